//! Who isn't yet where a rotation may go on: who doesn't believe the next CA, and who still
//! counts on the former one. Each is seen from outside, and named with what is to be seen there.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::control_planes::{ControlPlane, Without};
use super::material::{Kind, Material, blocks, id, short};
use super::missing::{Missing, missing};
use super::observe::{Cluster, items, samples};
use super::place::{Place, etcd_name};
use super::probe::{Caller, Seen};
use super::steps::{Gate, Id};
use super::window::Window;
use crate::api::text;
use crate::failure::{Failure, Result};
use crate::host::token;
use crate::http;
use crate::pki::{self, BACKDATED};

/// Where the cluster publishes its CA for pods and nodes.
const ROOT_CAS: &str = "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt";
/// Where apiservers publish by which CAs clients and the front proxy are known.
pub const AUTHENTICATION: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
/// Annotations of it: before the address of a control plane's host, by the id of which CA the front
/// proxy there is known. It shows its certificate to API servers beside ours alone, so that it can't
/// be seen from outside.
const FRONT_PROXY_OF: &str = "hardway.example/front-proxy-ca-of-";
/// When a user last showed a certificate of a former CA, by its key id and the user.
const FORMER_CLIENTS: &str = "hardway_apiserver_former_ca_last_request_timestamp_seconds";
/// When somebody last showed a token, by the key that it is signed with.
const TOKEN_KEYS: &str = "hardway_apiserver_service_account_key_last_use_timestamp_seconds";
const STARTED: &str = "process_start_time_seconds";

/// Who keeps a gate shut, if that can be seen.
type Looked = std::result::Result<Vec<Missing>, Unseen>;

/// Why it can't be seen who keeps a gate shut.
enum Unseen {
    /// Since this isn't there.
    Missing(Missing),
    Failed(Failure),
}

impl From<Failure> for Unseen {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Looks whether a rotation may go on. What was found good once isn't asked again.
pub struct Gates<'a> {
    place: &'a Place,
    /// Who isn't waited for.
    without: &'a Without,
    /// For how long nobody may have shown anything of a former one.
    unused_for: Duration,
    good: HashSet<String>,
}

impl<'a> Gates<'a> {
    /// For a place.
    pub fn new(place: &'a Place, without: &'a Without, unused_for: Duration) -> Self {
        Self {
            place,
            without,
            unused_for,
            good: HashSet::new(),
        }
    }

    /// Who keeps a gate shut.
    ///
    /// # Errors
    /// If the cluster can't be asked, or files can't be read.
    pub fn missing(&mut self, kind: Kind, gate: &Gate) -> Result<Vec<Missing>> {
        let pki = self.place.pki();
        let material = Material::new(&pki, kind);
        let now = SystemTime::now();
        let looked = match gate {
            Gate::Open => Ok(Vec::new()),
            Gate::Believed(next) => self.who_believes_it_not(kind, &material, next, now),
            Gate::OnlyInUse(signs) => self.who_uses_another(kind, &material, signs, now),
        };
        match looked {
            Err(Unseen::Missing(missing)) => Ok(vec![missing]),
            Err(Unseen::Failed(failure)) => Err(failure),
            Ok(missing) => Ok(missing),
        }
    }

    fn who_believes_it_not(
        &mut self,
        kind: Kind,
        material: &Material<'_>,
        next: &Id,
        now: SystemTime,
    ) -> Looked {
        let cluster = self.cluster()?;
        let all = match kind {
            Kind::Ca => self.ca_is_believed(&cluster, material, next, now)?,
            Kind::EtcdCa => self.etcd_believes(&cluster, material, next, now)?,
            Kind::FrontProxyCa => self.front_proxy_is_published(material, next)?,
            Kind::ServiceAccounts => self.key_is_known(&cluster, next),
        };
        let state = material.state()?;
        let is_way_back = state.former.as_ref() == Some(next) && state.signs != *next;
        Ok(match is_way_back {
            true => all.into_iter().map(on_the_way_back).collect(),
            false => all,
        })
    }

    fn who_uses_another(
        &mut self,
        kind: Kind,
        material: &Material<'_>,
        signs: &Id,
        now: SystemTime,
    ) -> Looked {
        let cluster = self.cluster()?;
        match kind {
            Kind::Ca => self.only_ca_in_use(&cluster, material, signs, now),
            Kind::EtcdCa => self.etcd_shows(&cluster, material, signs, now),
            Kind::FrontProxyCa => Ok(self.front_proxies_show(&cluster, signs)?),
            Kind::ServiceAccounts => Ok(self.only_key_in_use(&cluster, signs, now)?),
        }
    }

    /// Who is in the cluster and is waited for; or that this can't be seen just now.
    fn cluster(&self) -> std::result::Result<Cluster, Unseen> {
        let found = self.place.cluster();
        let mut cluster = found.map_err(|failure| {
            Unseen::Missing(missing(
                "the cluster",
                failure.to_string(),
                "hardway doctor",
            ))
        })?;
        let without = self.without;
        let hosts = &mut cluster.control_planes;
        hosts.retain(|host| !host.is_left_out(without));
        Ok(cluster)
    }

    /// Somebody whom one of these CAs vouches for; or that its key isn't here.
    fn caller(
        &self,
        material: &Material<'_>,
        of: &Id,
        now: SystemTime,
    ) -> std::result::Result<Caller, Unseen> {
        let key = material.key_of(of).ok_or_else(|| no_key(of))?;
        let shown = pki::of_nobody(&material.public_of(of)?, &key, now)?;
        let bundle = format!("{}{}", material.bundle()?, material.public_of(of)?);
        Caller::new(&bundle, &shown).map_err(|_| no_key(of))
    }

    /// Asks those who were not good before, and keeps those who are.
    fn ask_each(
        &mut self,
        kind: &str,
        whom: impl IntoIterator<Item = Server>,
        caller: &Caller,
        complaint: impl Fn(&Seen) -> Option<Missing>,
    ) -> Vec<Missing> {
        let mut all = Vec::new();
        for server in whom {
            let who = server.who.clone();
            let key = format!("{kind} {who}");
            if self.good.contains(&key) {
                continue;
            }
            let found = match caller.ask(server.at) {
                Ok(seen) => complaint(&seen),
                Err(why) => Some(server.away(why)),
            };
            match found {
                None => drop(self.good.insert(key)),
                Some(complaint) => all.push(Missing { who, ..complaint }),
            }
        }
        all
    }

    /// The kubelets that can be asked, and the nodes that can't.
    fn kubelets(&self, cluster: &Cluster) -> (Vec<Server>, Vec<Missing>) {
        let (mut there, mut away) = (Vec::new(), Vec::new());
        for node in &cluster.nodes {
            let who = format!("node {}", node.name);
            match node.kubelet.filter(|_| node.is_ready) {
                _ if self.without.nodes.contains(&node.name) => {}
                None if self.without.hosts.contains(&node.name) => {}
                Some(at) => there.push(Server {
                    who,
                    at,
                    way_out: String::new(),
                }),
                None => away.push(missing(
                    who,
                    "isn't Ready, so it can't be seen whom it believes",
                    format!(
                        "if it doesn't come back: kubectl delete node {0}, or --without-node {0}",
                        node.name
                    ),
                )),
            }
        }
        (there, away)
    }

    fn ca_is_believed(
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

    fn only_ca_in_use(
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

    fn etcd_believes(
        &mut self,
        cluster: &Cluster,
        material: &Material<'_>,
        next: &Id,
        now: SystemTime,
    ) -> Looked {
        let caller = self.caller(material, next, now)?;
        Ok(self.ask_each("believes", self.members(cluster), &caller, |seen| {
            (!seen.accepted).then(|| {
                missing("", "doesn't believe the CA that is to sign", "on that host: hardway certificates rotate-ca --resume --certificate-key KEY")
            })
        }))
    }

    fn etcd_shows(
        &mut self,
        cluster: &Cluster,
        material: &Material<'_>,
        signs: &Id,
        now: SystemTime,
    ) -> Looked {
        let caller = self.caller(material, signs, now)?;
        let ca = pki::der_of(&material.public_of(signs)?)?;
        Ok(
            self.ask_each("shows", self.members(cluster), &caller, |seen| {
                (!pki::is_issued_by(&seen.shown, &ca)).then(|| {
                    missing(
                        "",
                        "shows a certificate of the former CA",
                        "on that host: hardway certificates rotate-ca --resume",
                    )
                })
            }),
        )
    }

    fn members(&self, cluster: &Cluster) -> Vec<Server> {
        let hosts = cluster.control_planes.iter();
        let members = hosts.filter(|host| host.member.is_some());
        let server = |host: &ControlPlane| {
            let at = self.place.etcd_at(host.apiserver.ip());
            Server {
                who: etcd_name(at),
                at,
                way_out: host.way_out(),
            }
        };
        members.map(server).collect()
    }

    /// A CA may go when the front proxies of other hosts don't need it. This host's has its
    /// certificate of the one that signs before that.
    fn front_proxies_show(&self, cluster: &Cluster, signs: &Id) -> Result<Vec<Missing>> {
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

    fn front_proxy_is_published(&self, material: &Material<'_>, next: &Id) -> Result<Vec<Missing>> {
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

    fn key_is_known(&self, cluster: &Cluster, next: &Id) -> Vec<Missing> {
        let mut all = Vec::new();
        let identity = self.place.administrator();
        for server in apiservers(cluster) {
            let answer = match http::get_tls(server.at, "/openid/v1/jwks", &identity) {
                Ok(answer) => answer,
                Err(failure) => {
                    all.push(server.away(failure.why));
                    continue;
                }
            };
            let keys: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let mut keys = keys["keys"].as_array().into_iter().flatten();
            if !keys.any(|key| key["kid"] == next.as_str()) {
                all.push(missing(
                    server.who,
                    "doesn't know the key that is to sign",
                    "on that host: hardway certificates rotate-service-account-key --resume --certificate-key KEY",
                ));
            }
        }
        all
    }

    fn only_key_in_use(
        &self,
        cluster: &Cluster,
        signs: &Id,
        now: SystemTime,
    ) -> Result<Vec<Missing>> {
        let mut all = Vec::new();
        for server in apiservers(cluster) {
            let used = self.keys_used(&server, signs, now);
            all.extend(used.unwrap_or_else(|failure| vec![server.away(failure.why)]));
        }
        all.extend(kept_tokens(
            &self.place.api().get(TOKEN_SECRETS)?.unwrap_or_default(),
            signs,
        ));
        Ok(all)
    }

    /// Who has shown an apiserver a token of another key of late.
    fn keys_used(&self, server: &Server, signs: &Id, now: SystemTime) -> Result<Vec<Missing>> {
        let address = server.at;
        let identity = self.place.administrator();
        let started = samples(address, &identity, STARTED)?;
        let started = started.first().map_or(0.0, |(_, value)| *value);
        let used = samples(address, &identity, TOKEN_KEYS)?;
        let used = used.into_iter().filter_map(|(labels, at)| {
            let key = labels.into_iter().next()?;
            (key != *signs).then_some((format!("key {key}"), at))
        });
        let how = format!("kubectl get --raw /metrics | grep {TOKEN_KEYS}, at {address}");
        let window = Window::new(self.unused_for, self.switched_at().max(started), now);
        Ok(window.missing(&server.who, "a token of the former key", used, &how))
    }

    /// When the former key was put aside, in seconds since 1970.
    fn switched_at(&self) -> f64 {
        let file = self.place.pki().key("sa-former");
        let written = std::fs::metadata(file).and_then(|file| file.modified());
        let since = written
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        since.map_or(0.0, |since| since.as_secs_f64())
    }
}

/// Secrets that hold tokens, which never end.
const TOKEN_SECRETS: &str =
    "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token";

fn no_key(of: &Id) -> Unseen {
    Unseen::Missing(missing(
        "this host",
        format!("doesn't have the key {of}"),
        "hardway certificates rotate-ca --resume --certificate-key KEY",
    ))
}

/// One that is asked.
struct Server {
    /// What it is called.
    who: String,
    at: SocketAddr,
    /// What to do if it can't be asked.
    way_out: String,
}

impl Server {
    fn away(&self, why: impl std::fmt::Display) -> Missing {
        let why = format!("can't be asked: {why}");
        missing(self.who.clone(), why, self.way_out.clone())
    }
}

fn apiservers(cluster: &Cluster) -> Vec<Server> {
    let hosts = cluster.control_planes.iter();
    let server = |host: &ControlPlane| Server {
        who: format!("apiserver {}", host.apiserver),
        at: host.apiserver,
        way_out: host.way_out(),
    };
    hosts.map(server).collect()
}

/// The same, for whoever would return to a key that somebody may have dropped.
fn on_the_way_back(missing: Missing) -> Missing {
    let see = "dropped there already, there is no way back: go on without --roll-back";
    Missing {
        see: match missing.see.is_empty() {
            true => see.to_owned(),
            false => format!("if the former one was {see}; else {}", missing.see),
        },
        ..missing
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

/// The id of the key that a token says it is signed with.
fn key_of_token(token: &str) -> Option<Id> {
    let header = token.split('.').next()?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    header["kid"].as_str().map(str::to_owned)
}

/// Secrets whose tokens another key has signed than this one.
fn kept_tokens(secrets: &Value, signs: &Id) -> Vec<Missing> {
    let is_former = |secret: &&Value| {
        let token = token::field(secret, "token");
        key_of_token(&token).is_some_and(|key| key != *signs)
    };
    items(secrets)
        .filter(is_former)
        .map(|secret| {
            let metadata = &secret["metadata"];
            let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
            missing(
                format!("Secret {namespace}/{name}"),
                "holds a token of the former key, which never ends",
                format!("when nobody has a copy of it: kubectl patch secret {name} --namespace {namespace} --type json --patch '[{{\"op\": \"remove\", \"path\": \"/data/token\"}}]', and it is filled anew"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

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

    #[test]
    fn secrets_with_tokens_of_a_former_key_are_named() {
        let secret = |name: &str, key: &str| {
            let header = json!({"alg": "ES256", "kid": key}).to_string();
            let token = format!("{}.e30.x", BASE64_URL_SAFE_NO_PAD.encode(header));
            json!({"metadata": {"namespace": "shop", "name": name},
                "data": {"token": BASE64_STANDARD.encode(token)}})
        };
        let all = json!({"items": [secret("old", "k1"), secret("new", "k2")]});
        let found = kept_tokens(&all, &"k2".to_owned());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].who, "Secret shop/old");
    }
}
