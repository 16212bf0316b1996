//! A host becomes one more control plane: it fetches what control planes share, makes
//! certificates of its own, and its etcd becomes a member beside the others.

use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use anstream::println;
use serde_json::{Value, json};

use super::{Options, PATIENCE};
use crate::api::{self, Api};
use crate::etcd::join::{self, Local};
use crate::etcd::{self, CLIENT_PORT, Client, member};
use crate::failure::{Failure, Result};
use crate::host::cluster::{self, Cluster};
use crate::host::discovery::Found;
use crate::host::etcd_env::{self, State};
use crate::host::shared_keys::{SharedKeys, secret};
use crate::host::steps::Steps;
use crate::host::{Layout, control_plane, env, facts, systemd, token};
use crate::packaging::Package;
use crate::pki::{self, CLUSTER_CA, YEAR};
use crate::shell;

/// Where the addresses of all apiservers are.
const APISERVERS: &str = "/api/v1/namespaces/default/endpoints/kubernetes";
const ETCD: &str = "hardway-etcd.service";
/// The label of Nodes that are control planes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// A host that is to be a control plane.
pub struct Joining<'a> {
    /// The host.
    pub layout: &'a Layout,
    /// The apiserver that it asks.
    pub server: SocketAddr,
    /// Its own address for others.
    pub address: Ipv4Addr,
    /// The cluster.
    pub found: &'a Found,
    /// What else it was told.
    pub options: &'a Options,
}

impl Joining<'_> {
    /// Makes it one.
    ///
    /// # Errors
    /// With the first step that fails; joining again goes on there.
    pub fn run(&self) -> Result<()> {
        let (layout, name) = (self.layout, facts::host_name()?);
        println!(
            "control plane {name} at {}, beside {}",
            self.address, self.server
        );
        let (keys, cluster) = (OnceCell::new(), OnceCell::new());
        let has_changed = Cell::new(true);
        let etc = layout.etc();
        let units = Package::ControlPlane.units();
        let mut steps = Steps::default();
        steps.add("the keys that control planes share", || {
            let (fetched, said) = self.fetch()?;
            let _ = keys.set(fetched);
            Ok(said)
        });
        steps.add(format!("settings in {}", etc.display()), || {
            let shared = keys.get().map(SharedKeys::cluster).transpose()?;
            let own = self.describe(shared)?;
            let text = own.to_yaml();
            shell::write_file(&etc.join(cluster::FILE), text.as_bytes(), 0o644)?;
            let anew = env::write_cluster(&etc, &own.variables())?
                | env::ensure_host(&etc, &[("ADDRESS", &own.address.to_string())])?;
            has_changed.set(anew);
            let _ = cluster.set(own);
            Ok(if anew { "changed" } else { "kept" }.to_owned())
        });
        steps.add("certificates and kubeconfigs of this host", || {
            certify(layout, of(&cluster)?, &name)
        });
        steps.add("owners of the keys", || {
            systemd::apply_owners(layout, "hardway-control-plane.conf")
        });
        steps.add("etcd of this host is a member", || self.join_etcd(&name));
        steps.add(format!("enable {}", units.join(", ")), || {
            systemd::enable(layout, units)
        });
        steps.add("start them, and wait until they are ready", || {
            let others: Vec<&str> = units.iter().copied().filter(|unit| *unit != ETCD).collect();
            systemd::start(&others, has_changed.get(), PATIENCE)
        });
        steps.add("the API answers here", || {
            control_plane::wait_ready(layout, of(&cluster)?)
        });
        let kubelet = "usr/lib/systemd/system/hardway-kubelet.service";
        if layout.path(kubelet).exists() {
            steps.add("its Node is known for a control plane", || {
                label(layout, of(&cluster)?, &name.to_lowercase())
            });
        }
        steps.run(self.options.dry_run)?;
        if !self.options.dry_run {
            self.summary();
        }
        Ok(())
    }

    /// The shared files: fetched, or those of the time before where they are gone by now.
    fn fetch(&self) -> Result<(SharedKeys, String)> {
        let fetched = match &self.options.certificate_key {
            Some(key) => secret::fetch(self.server, self.found, &self.options.token, key),
            None => Err(
                Failure::new("fetch the keys that control planes share", "no key was named")
                    .way_out("name it with --certificate-key; a control plane prints the whole line:  hardway token create --control-plane"),
            ),
        };
        let etc = self.layout.etc();
        match (fetched, SharedKeys::read(&etc)) {
            (Ok(keys), _) => {
                keys.write(&etc)?;
                Ok((keys, "fetched".to_owned()))
            }
            // What an attempt before has brought here is as good.
            (Err(failure), Ok(kept))
                if token::ca_hash(&kept.cluster_ca()?)? == token::ca_hash(&self.found.ca)? =>
            {
                Ok((
                    kept,
                    format!("kept, since they can't be had anew: {}", failure.why),
                ))
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// The cluster, at this host's address.
    fn describe(&self, shared: Option<Cluster>) -> Result<Cluster> {
        let shared = shared.ok_or_else(|| Failure::new("describe the cluster", "no keys"))?;
        let own = Cluster {
            address: self.address,
            ..shared
        };
        own.validate()?;
        Ok(own)
    }

    /// Makes etcd of this host a member beside those of the other control planes.
    fn join_etcd(&self, name: &str) -> Result<String> {
        let others = self.others()?;
        let client = Client::new(others, etcd::identity(self.layout));
        let local = OfHost {
            layout: self.layout,
            client: Client::of_host(self.layout),
        };
        if !local.has_data() {
            // From now on this host begins no cluster of its own, and can leave this one again.
            let members = client.members().unwrap_or_default();
            let own = member::peer_url(self.address);
            let known = member::initial_cluster(&members, (name, &own));
            etcd_env::write(&self.layout.etc(), State::Existing, Some(&known))?;
        }
        join::join(&client, &local, name, &member::peer_url(self.address))
    }

    /// Where clients find etcd of the other control planes: that of the one which is asked
    /// first, then those which all apiservers know of each other.
    fn others(&self) -> Result<Vec<SocketAddr>> {
        let api = Api::new(self.server, self.layout.pki().identity(CLUSTER_CA, "admin"));
        let known = api.get(APISERVERS)?.unwrap_or_default();
        let mut all = vec![self.server.ip()];
        all.extend(addresses(&known));
        let mut others = Vec::new();
        for address in all {
            let at = SocketAddr::new(address, CLIENT_PORT);
            if address != self.address && !others.contains(&at) {
                others.push(at);
            }
        }
        Ok(others)
    }

    /// What there is now, and whether it can lose a host.
    fn summary(&self) {
        let members = Client::of_host(self.layout).members().unwrap_or_default();
        let voters = members.iter().filter(|member| !member.is_learner).count();
        println!("\nthis host is one of {voters} control planes");
        if voters % 2 == 0 {
            println!(
                "an even number outlives no more losses than one less does: have another one join"
            );
        }
    }
}

/// The addresses in an Endpoints object.
fn addresses(endpoints: &Value) -> Vec<IpAddr> {
    let subsets = endpoints["subsets"].as_array().into_iter().flatten();
    let all = subsets.flat_map(|subset| subset["addresses"].as_array().into_iter().flatten());
    all.filter_map(|it| api::text(&it["ip"]).parse().ok())
        .collect()
}

fn of(cluster: &OnceCell<Cluster>) -> Result<&Cluster> {
    let found = cluster.get();
    found.ok_or_else(|| Failure::new("describe the cluster", "its settings weren't written"))
}

/// Certificates of this host by the CAs that have come; these are never made here.
fn certify(layout: &Layout, cluster: &Cluster, name: &str) -> Result<String> {
    let host = control_plane::host(cluster, name);
    let leaves = pki::of_control_plane(&host, &cluster.api_names());
    let done = layout
        .pki()
        .renew(&leaves, SystemTime::now(), YEAR, false)?;
    control_plane::write_kubeconfigs(layout, cluster, host)?;
    let issued = done.iter().filter(|it| it.is_new).count();
    Ok(match issued {
        0 => "kept".to_owned(),
        issued => format!("{issued} issued"),
    })
}

/// Labels the Node of a control plane's host, if there is one, as kubeadm does: what it serves
/// with is for an apiserver's address then, which no other node gets a certificate for.
pub fn label(layout: &Layout, cluster: &Cluster, node: &str) -> Result<String> {
    let labels = json!({"metadata": {"labels": {CONTROL_PLANE: ""}}});
    let api = control_plane::administrator(layout, cluster);
    Ok(
        match api.patch(&format!("/api/v1/nodes/{node}"), &labels)? {
            true => format!("labelled {CONTROL_PLANE}"),
            false => "it isn't there yet".to_owned(),
        },
    )
}

/// etcd as systemd runs it.
struct OfHost<'a> {
    layout: &'a Layout,
    client: Client,
}

impl Local for OfHost<'_> {
    fn has_data(&self) -> bool {
        etcd::has_data(self.layout)
    }

    fn run(&self, initial_cluster: Option<&str>) -> Result<()> {
        let etc = self.layout.etc();
        if initial_cluster.is_none() && systemd::is_active(ETCD) {
            return etcd_env::settle(&etc);
        }
        // One that has failed to start with another list is started anew.
        let anew =
            initial_cluster.is_some() && etcd_env::write(&etc, State::Existing, initial_cluster)?;
        systemd::start(&[ETCD], anew, PATIENCE).map_err(|failure| {
            failure.way_out(format!(
                "see all of it:  journalctl --unit {ETCD}; if what it has stored is damaged, have this host begin anew:  hardway reset --force, then join again"
            ))
        })?;
        etcd_env::settle(&etc)
    }

    fn client(&self) -> &Client {
        &self.client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apiservers_say_where_control_planes_are() {
        let endpoints = json!({"subsets": [
            {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"port": 6443}]},
            {"addresses": [{"ip": "10.0.0.3"}]},
            {"notReadyAddresses": [{"ip": "10.0.0.4"}]},
        ]});
        let found: Vec<String> = addresses(&endpoints)
            .iter()
            .map(IpAddr::to_string)
            .collect();
        assert_eq!(found, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert!(addresses(&Value::Null).is_empty());
    }
}
