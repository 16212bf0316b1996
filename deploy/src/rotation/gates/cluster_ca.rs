//! Who believes the cluster's CA, and who still shows a certificate of its former one: API servers,
//! kubelets, pods by what is published for them, and users by what they have shown.

use std::time::SystemTime;

use serde_json::Value;

use super::servers::{Server, apiservers};
use super::{Gates, Looked, STARTED};
use crate::api::text;
use crate::failure::Result;
use crate::pki::{self, BACKDATED};
use crate::rotation::material::{Material, blocks, id};
use crate::rotation::missing::{Missing, missing};
use crate::rotation::observe::{Cluster, items, samples};
use crate::rotation::steps::Id;
use crate::rotation::window::Window;

/// Where the cluster publishes its CA for pods and nodes.
const ROOT_CAS: &str = "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt";
/// When a user last showed a certificate of a former CA, by its key id and the user.
const FORMER_CLIENTS: &str = "hardway_apiserver_former_ca_last_request_timestamp_seconds";

impl Gates<'_> {
    pub(super) fn ca_is_believed(
        &mut self,
        cluster: &Cluster,
        material: &Material<'_>,
        next: &Id,
        now: SystemTime,
    ) -> Looked {
        let caller = self.caller(material, next, now)?;
        let mut all = self.ask_each("believes", apiservers(cluster), &caller, |seen| {
            (!seen.accepted).then(|| {
                missing(
                    "",
                    "doesn't believe the CA that is to sign",
                    "on that host: hardway certificates rotate-ca --resume --certificate-key KEY",
                )
            })
        });
        // Nodes follow what is published: they are waited for afterwards.
        all.extend(unpublished(
            &self.place.api().get(ROOT_CAS)?.unwrap_or_default(),
            next,
        ));
        let (there, away) = self.kubelets(cluster);
        all.extend(away);
        all.extend(self.ask_each("believes", there, &caller, |seen| {
            (!seen.accepted).then(|| {
                missing("", "doesn't believe the CA that is to sign", "its kubelet follows the ConfigMap kube-system/kube-root-ca.crt; on the node: journalctl --unit hardway-kubelet")
            })
        }));
        Ok(all)
    }

    pub(super) fn only_ca_in_use(
        &mut self,
        cluster: &Cluster,
        material: &Material<'_>,
        signs: &Id,
        now: SystemTime,
    ) -> Looked {
        let caller = self.caller(material, signs, now)?;
        let ca = pki::der_of(&material.public_of(signs)?)?;
        let mut all = Vec::new();
        for server in apiservers(cluster) {
            match caller.ask(server.at) {
                Err(why) => all.push(server.away(why)),
                Ok(seen) if !pki::is_issued_by(&seen.shown, &ca) => all.push(missing(
                    server.who,
                    "shows a certificate of the former CA",
                    "on that host: hardway certificates rotate-ca --resume",
                )),
                Ok(seen) => {
                    let since = pki::begins(&seen.shown)? + BACKDATED.as_secs();
                    let used = self.used(&server, since, now);
                    all.extend(used.unwrap_or_else(|failure| vec![server.away(failure.why)]));
                }
            }
        }
        let (there, away) = self.kubelets(cluster);
        all.extend(away);
        all.extend(self.ask_each("shows", there, &caller, |seen| {
            (!pki::is_issued_by(&seen.shown, &ca)).then(|| {
                missing(
                    "",
                    "serves with a certificate of the former CA",
                    "kubectl get csr; on the node: journalctl --unit hardway-kubelet",
                )
            })
        }));
        Ok(all)
    }

    /// Who has shown an apiserver a certificate of a former CA of late. `since` when it could
    /// see this, in seconds since 1970.
    fn used(&self, server: &Server, since: u64, now: SystemTime) -> Result<Vec<Missing>> {
        let address = server.at;
        let identity = self.place.administrator();
        let started = samples(address, &identity, STARTED)?;
        let started = started.first().map_or(0.0, |(_, value)| *value);
        let all = samples(address, &identity, FORMER_CLIENTS)?;
        let used = all
            .iter()
            .filter_map(|(labels, at)| Some((labels.get(1)?.clone(), *at)));
        let how = format!("kubectl get --raw /metrics | grep {FORMER_CLIENTS}, at {address}");
        let window = Window::new(self.unused_for, (since as f64).max(started), now);
        Ok(window.missing(&server.who, "a certificate of the former CA", used, &how))
    }
}

/// Namespaces whose pods don't find the next CA yet.
fn unpublished(maps: &Value, next: &Id) -> Vec<Missing> {
    let has = |map: &Value| {
        let bundle = blocks(text(&map["data"]["ca.crt"]));
        bundle
            .iter()
            .any(|block| id(block).is_ok_and(|id| id == *next))
    };
    let lacks = items(maps).filter(|map| !has(map));
    lacks
        .map(|map| {
            let namespace = text(&map["metadata"]["namespace"]);
            missing(
                format!("ConfigMap {namespace}/kube-root-ca.crt"),
                "lacks the new CA",
                "the controller manager that leads writes it, from the file of its host",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_without_the_next_ca_are_named() {
        let (one, _) = pki::new_authority(pki::CLUSTER_CA, SystemTime::now()).unwrap();
        let (two, _) = pki::new_authority(pki::CLUSTER_CA, SystemTime::now()).unwrap();
        let map = |namespace: &str, bundle: &str| json!({"metadata": {"namespace": namespace, "name": "kube-root-ca.crt"}, "data": {"ca.crt": bundle}});
        let maps = json!({"items": [map("a", &one), map("b", &format!("{one}{two}"))]});
        let next = id(&two).unwrap();
        let all = unpublished(&maps, &next);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].who, "ConfigMap a/kube-root-ca.crt");
    }
}
