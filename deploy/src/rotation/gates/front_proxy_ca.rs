//! Where the front proxy's CA is published, and which hosts' front proxies are known by it: they show
//! their certificates to API servers beside ours alone, so that each host notes it.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::Gates;
use crate::api::text;
use crate::failure::Result;
use crate::rotation::material::{Material, blocks, id, short};
use crate::rotation::missing::{Missing, missing};
use crate::rotation::observe::Cluster;
use crate::rotation::steps::Id;

/// Where apiservers publish by which CAs clients and the front proxy are known.
pub const AUTHENTICATION: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
/// Annotations of it: before the address of a control plane's host, by the id of which CA the front
/// proxy there is known. It shows its certificate to API servers beside ours alone, so that it can't
/// be seen from outside.
const FRONT_PROXY_OF: &str = "hardway.example/front-proxy-ca-of-";

impl Gates<'_> {
    /// A CA may go when the front proxies of other hosts don't need it. This host's has its
    /// certificate of the one that signs before that.
    pub(super) fn front_proxies_show(&self, cluster: &Cluster, signs: &Id) -> Result<Vec<Missing>> {
        let own = self.place.own();
        let hosts = cluster.control_planes.iter().map(|host| host.apiserver);
        let others: Vec<SocketAddr> = hosts
            .filter(|at| !own.iter().any(|ip| at.ip() == *ip))
            .collect();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let map = self.place.api().get(AUTHENTICATION)?.unwrap_or_default();
        Ok(former_front_proxies(&map, &others, signs))
    }

    pub(super) fn front_proxy_is_published(
        &self,
        material: &Material<'_>,
        next: &Id,
    ) -> Result<Vec<Missing>> {
        let map = self.place.api().get(AUTHENTICATION)?.unwrap_or_default();
        let bundle = text(&map["data"]["requestheader-client-ca-file"]);
        let is_there = blocks(bundle)
            .iter()
            .any(|block| id(block).is_ok_and(|id| id == *next));
        Ok(
            match is_there && material.state()?.believed.contains(next) {
                true => Vec::new(),
                false => vec![missing(
                    "ConfigMap kube-system/extension-apiserver-authentication",
                    "lacks the new CA",
                    "apiservers write it",
                )],
            },
        )
    }
}

/// What notes in [`AUTHENTICATION`] by which CA the front proxy of a host is known.
pub fn note_of_front_proxy(host: IpAddr, signs: &Id) -> Value {
    json!({"metadata": {"annotations": {format!("{FRONT_PROXY_OF}{host}"): signs}}})
}

/// Those of these apiservers which haven't noted that they are known by this CA.
fn former_front_proxies(map: &Value, apiservers: &[SocketAddr], signs: &Id) -> Vec<Missing> {
    let noted = |at: &SocketAddr| {
        let key = format!("{FRONT_PROXY_OF}{}", at.ip());
        text(&map["metadata"]["annotations"][key]).to_owned()
    };
    let former = apiservers.iter().filter(|at| noted(at) != *signs);
    former
        .map(|at| {
            missing(
                format!("apiserver {at}"),
                format!("has not said that the CA {} vouches for it", short(signs)),
                "on that host, too: the command that was typed here",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_proxies_of_a_former_ca_are_named() {
        let hosts: Vec<SocketAddr> = ["10.0.0.2:6443", "10.0.0.3:6443", "10.0.0.4:6443"]
            .map(|at| at.parse().unwrap())
            .to_vec();
        let mut map = note_of_front_proxy(hosts[0].ip(), &"new".to_owned());
        let other = note_of_front_proxy(hosts[1].ip(), &"old".to_owned());
        for (key, value) in other["metadata"]["annotations"].as_object().unwrap() {
            map["metadata"]["annotations"][key] = value.clone();
        }
        let found = former_front_proxies(&map, &hosts, &"new".to_owned());
        let names: Vec<&str> = found.iter().map(|it| it.who.as_str()).collect();
        assert_eq!(
            names,
            ["apiserver 10.0.0.3:6443", "apiserver 10.0.0.4:6443"]
        );
        assert!(former_front_proxies(&map, &hosts[..1], &"new".to_owned()).is_empty());
    }
}
