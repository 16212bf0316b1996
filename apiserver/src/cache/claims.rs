//! Which cluster IPs and node ports the cached Services hold: kept while they come and go, so
//! that a write of one needs no look at all others.

use parking_lot::RwLock;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The key in etcd that holds a cluster IP, below the root.
pub fn ip_claim(ip: &str) -> String {
    format!("hardway/serviceips/{ip}")
}

/// The key in etcd that holds a node port, below the root.
pub fn port_claim(port: u64) -> String {
    format!("hardway/nodeports/{port}")
}

/// The claims that a Service holds.
pub fn claims_of(service: &Value) -> BTreeSet<String> {
    let spec = &service["spec"];
    let mut claims = BTreeSet::new();
    let ip = spec["clusterIP"].as_str();
    if let Some(ip) = ip.filter(|ip| !matches!(*ip, "" | "None")) {
        claims.insert(ip_claim(ip));
    }
    let ports = spec["ports"].as_array().into_iter().flatten();
    let numbers = ports.map(|port| &port["nodePort"]);
    for number in numbers.chain([&spec["healthCheckNodePort"]]) {
        if let Some(number) = number.as_u64().filter(|number| *number > 0) {
            claims.insert(port_claim(number));
        }
    }
    claims
}

/// The claims of all cached Services. Others may have been made since: those etcd knows.
#[derive(Default)]
pub struct Claims(RwLock<Held>);

#[derive(Default)]
struct Held {
    by_service: HashMap<String, Box<[Arc<str>]>>,
    /// Each claim with the number of Services that have it: one, but for what was written past
    /// the apiserver.
    holders: HashMap<Arc<str>, usize>,
}

impl Claims {
    /// Whether a Service holds this.
    pub fn contains(&self, claim: &str) -> bool {
        self.0.read().holders.contains_key(claim)
    }

    /// The Service of a key (`namespace/name`) is there now, or is another than before.
    pub(super) fn put(&self, key: &str, service: &Value) {
        let mut held = self.0.write();
        held.forget(key);
        let claims: Box<[Arc<str>]> = claims_of(service).into_iter().map(Arc::from).collect();
        if claims.is_empty() {
            return;
        }
        for claim in &claims {
            *held.holders.entry(claim.clone()).or_default() += 1;
        }
        held.by_service.insert(key.to_owned(), claims);
    }

    /// The Service of a key is gone, or can't be read any more.
    pub(super) fn remove(&self, key: &str) {
        self.0.write().forget(key);
    }

    /// Takes over all that another has been told, and nothing else.
    pub(super) fn replace(&self, other: Self) {
        *self.0.write() = other.0.into_inner();
    }
}

impl Held {
    fn forget(&mut self, key: &str) {
        for claim in self.by_service.remove(key).into_iter().flatten() {
            if let Some(count) = self.holders.get_mut(&claim) {
                *count -= 1;
                if *count == 0 {
                    self.holders.remove(&claim);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_claims_its_ip_and_ports() {
        let service = json!({"spec": {"clusterIP": "10.96.0.7", "ports": [
            {"nodePort": 30061}, {"port": 1}, {"nodePort": 30061}]}});
        let claims: Vec<_> = claims_of(&service).into_iter().collect();
        assert_eq!(
            claims,
            ["hardway/nodeports/30061", "hardway/serviceips/10.96.0.7"]
        );
        assert!(claims_of(&json!({"spec": {"clusterIP": "None"}})).is_empty());
    }

    #[test]
    fn claims_come_and_go_with_their_services() {
        let claims = Claims::default();
        let service =
            |ip: &str, port: u16| json!({"spec": {"clusterIP": ip, "ports": [{"nodePort": port}]}});
        claims.put("d/a", &service("10.96.0.7", 30_001));
        claims.put("d/b", &service("10.96.0.8", 30_001));
        assert!(claims.contains(&ip_claim("10.96.0.7")) && claims.contains(&port_claim(30_001)));
        // It has another address now.
        claims.put("d/a", &service("10.96.0.9", 30_002));
        assert!(
            !claims.contains(&ip_claim("10.96.0.7")) && claims.contains(&ip_claim("10.96.0.9"))
        );
        // Another Service has that port still.
        assert!(claims.contains(&port_claim(30_001)));
        claims.remove("d/b");
        assert!(!claims.contains(&port_claim(30_001)));
        claims.remove("d/b");
        let anew = Claims::default();
        anew.put("d/c", &service("10.96.0.10", 30_003));
        claims.replace(anew);
        assert!(claims.contains(&port_claim(30_003)) && !claims.contains(&port_claim(30_002)));
        claims.remove("d/c");
        let held = claims.0.read();
        assert!(held.holders.is_empty() && held.by_service.is_empty());
    }
}
