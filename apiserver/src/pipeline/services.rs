//! Cluster IPs and node ports of Services.
//!
//! What is in use the cache knows ([`Claims`](crate::cache::Claims)); that no two Services get
//! the same is made sure of by a claim, a key of its own in the transaction
//! that stores the Service. So nothing leaks and nothing is repaired later.

use super::Target;
use crate::cache::{Cache, claims_of, ip_claim, port_claim};
use hardway_proto::Status;
use hardway_proto::status::Cause;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A network of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u32,
    bits: u8,
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is no IPv4 network such as 10.96.0.0/16");
        let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
        let address: Ipv4Addr = address.parse().map_err(|_| invalid())?;
        let bits: u8 = bits.parse().map_err(|_| invalid())?;
        if !(8..=30).contains(&bits) {
            return Err(format!("{text:?}: the prefix must be from /8 to /30"));
        }
        let mask = u32::MAX << (32 - bits);
        Ok(Self {
            address: u32::from(address) & mask,
            bits,
        })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.bits)
    }
}

impl Network {
    fn size(&self) -> u32 {
        1 << (32 - self.bits)
    }

    /// The n-th address.
    pub fn nth(&self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.address + n)
    }

    /// Whether an address can be given to a Service.
    pub fn usable(&self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(self.address);
        (1..self.size() - 1).contains(&offset)
    }
}

/// Gives out cluster IPs and node ports.
pub struct Services {
    cache: Arc<Cache>,
    network: Network,
    ports: RangeInclusive<u16>,
}

/// Claims of one write.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub take: Vec<String>,
    pub give_back: Vec<String>,
}

/// What a write of a Service needs: fields to fill, claims to make.
#[derive(Default)]
pub(super) struct Allocation<'a> {
    services: Option<&'a Services>,
    /// Claims of the Service as it was.
    old: BTreeSet<String>,
    /// Whether an IP has to be chosen.
    choose_ip: bool,
    /// Indexes of ports that need a number.
    choose_ports: Vec<usize>,
    choose_health_check: bool,
    /// Claimed by somebody else, as the store told.
    taken: BTreeSet<String>,
    /// Keys chosen here; others were asked for.
    chosen: BTreeSet<String>,
}

impl Services {
    /// An allocator of these ranges.
    pub fn new(cache: Arc<Cache>, network: Network, ports: RangeInclusive<u16>) -> Self {
        Self {
            cache,
            network,
            ports,
        }
    }

    /// The claims to give back when an object goes.
    pub(super) fn held(&self, target: &Target, object: &Value) -> Vec<String> {
        match is_service(target) {
            true => claims_of(object).into_iter().collect(),
            false => Vec::new(),
        }
    }

    /// What a write has to allocate. Values asked for that can't be had
    /// become causes.
    pub(super) fn change(
        &self,
        target: &Target,
        object: &mut Value,
        old: Option<&Value>,
        causes: &mut Vec<Cause>,
    ) -> Allocation<'_> {
        if !is_service(target) || !target.subresource.is_empty() {
            return Allocation::default();
        }
        let mut plan = Allocation {
            services: Some(self),
            old: old.map(claims_of).unwrap_or_default(),
            ..Allocation::default()
        };
        let kind = object["spec"]["type"]
            .as_str()
            .unwrap_or("ClusterIP")
            .to_owned();
        if kind == "ExternalName" {
            for field in [
                "clusterIP",
                "clusterIPs",
                "ipFamilies",
                "ipFamilyPolicy",
                "healthCheckNodePort",
            ] {
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.remove(field);
                }
            }
            return plan;
        }
        let asked = object["spec"]["clusterIP"]
            .as_str()
            .or_else(|| object["spec"]["clusterIPs"][0].as_str())
            .unwrap_or_default()
            .to_owned();
        let contradictions = reconcile_families(&mut object["spec"], old, &asked);
        causes.extend(match contradictions.is_empty() {
            true => other_families(&object["spec"], &asked),
            false => contradictions,
        });
        match asked.as_str() {
            "" => plan.choose_ip = true,
            "None" => set_ip(object, "None"),
            ip => {
                set_ip(object, ip);
                let key = ip_claim(ip);
                if !plan.old.contains(&key) {
                    causes.extend(self.refuse_ip(ip));
                }
            }
        }
        self.plan_ports(&kind, object, &mut plan, causes);
        plan
    }

    fn plan_ports(
        &self,
        kind: &str,
        object: &mut Value,
        plan: &mut Allocation<'_>,
        causes: &mut Vec<Cause>,
    ) {
        let wants_ports = match kind {
            "NodePort" => true,
            "LoadBalancer" => object["spec"]["allocateLoadBalancerNodePorts"] != false,
            _ => false,
        };
        let local = object["spec"]["externalTrafficPolicy"] == "Local";
        // Looked up, so that none are made of none.
        let ports = object["spec"].get_mut("ports");
        let ports = ports.and_then(Value::as_array_mut);
        for (index, port) in ports.into_iter().flatten().enumerate() {
            match port["nodePort"].as_u64().filter(|number| *number > 0) {
                None if wants_ports => plan.choose_ports.push(index),
                Some(number) if !plan.old.contains(&port_claim(number)) => {
                    let field = format!("spec.ports[{index}].nodePort");
                    causes.extend(self.refuse_port(number, &field));
                }
                _ => {}
            }
        }
        if kind == "LoadBalancer" && local {
            let given = object["spec"]["healthCheckNodePort"]
                .as_u64()
                .unwrap_or_default();
            plan.choose_health_check = given == 0;
        } else if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("healthCheckNodePort");
        }
    }

    fn refuse_ip(&self, ip: &str) -> Option<Cause> {
        let why = match ip.parse::<Ipv4Addr>() {
            Err(_) => return None,
            Ok(address) if !self.network.usable(address) => format!(
                "the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}",
                self.network
            ),
            Ok(_) if self.cache.claims().contains(&ip_claim(ip)) => {
                "provided IP is already allocated".into()
            }
            Ok(_) => return None,
        };
        Some(ip_cause(ip, &why))
    }

    fn refuse_port(&self, number: u64, field: &str) -> Option<Cause> {
        let why = if !u16::try_from(number).is_ok_and(|port| self.ports.contains(&port)) {
            format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                self.ports.start(),
                self.ports.end()
            )
        } else if self.cache.claims().contains(&port_claim(number)) {
            "provided port is already allocated".into()
        } else {
            return None;
        };
        Some(port_cause(number, field, &why))
    }
}

impl Allocation<'_> {
    /// Fills the fields in; gives the claims of the write.
    pub(super) fn claims(&mut self, object: &mut Value) -> Result<Claims, Status> {
        let Some(services) = self.services else {
            return Ok(Claims::default());
        };
        if self.choose_ip || !self.choose_ports.is_empty() || self.choose_health_check {
            self.choose(services, object)?;
        }
        let new = claims_of(object);
        Ok(Claims {
            take: new.difference(&self.old).cloned().collect(),
            give_back: self.old.difference(&new).cloned().collect(),
        })
    }

    fn choose(&mut self, services: &Services, object: &mut Value) -> Result<(), Status> {
        let Self { taken, chosen, .. } = self;
        chosen.clear();
        let held = services.cache.claims();
        let asked = claims_of(object);
        let is_free = |claim: &String| {
            !held.contains(claim) && !taken.contains(claim) && !asked.contains(claim)
        };
        if self.choose_ip {
            let network = services.network;
            let ip = pick(network.size() - 2, |n| {
                let ip = network.nth(n + 1).to_string();
                is_free(&ip_claim(&ip)).then_some(ip)
            })
            .ok_or_else(|| full("cluster IPs", &network.to_string()))?;
            chosen.insert(ip_claim(&ip));
            set_ip(object, &ip);
        }
        let range = &services.ports;
        let count = u32::from(*range.end() - *range.start()) + 1;
        let mut port = || {
            let port = pick(count, |n| {
                let port = u64::from(*range.start()) + u64::from(n);
                let claim = port_claim(port);
                (is_free(&claim) && !chosen.contains(&claim)).then_some(port)
            })
            .ok_or_else(|| full("node ports", &format!("{}-{}", range.start(), range.end())))?;
            chosen.insert(port_claim(port));
            Ok::<u64, Status>(port)
        };
        for index in &self.choose_ports {
            object["spec"]["ports"][index]["nodePort"] = port()?.into();
        }
        if self.choose_health_check {
            object["spec"]["healthCheckNodePort"] = port()?.into();
        }
        Ok(())
    }

    /// The store told that others hold these: choose anew, or refuse what was
    /// asked for.
    pub(super) fn claimed(&mut self, target: &Target, keys: &[String]) -> Result<(), Status> {
        let mut causes = Vec::new();
        for key in keys {
            self.taken.insert(key.clone());
            if self.chosen.contains(key) {
                continue;
            }
            let value = key.rsplit('/').next().unwrap_or_default();
            causes.push(match value.parse::<u64>() {
                Ok(port) => port_cause(
                    port,
                    "spec.ports[0].nodePort",
                    "provided port is already allocated",
                ),
                Err(_) => ip_cause(value, "provided IP is already allocated"),
            });
        }
        target.check(causes)
    }
}

fn is_service(target: &Target) -> bool {
    target.group().is_empty() && target.plural() == "services"
}

fn ip_cause(ip: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: [{ip:?}]: failed to allocate IP {ip}: {why}"),
        field: "spec.clusterIPs".into(),
    }
}

fn family_cause(field: String, value: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {value:?}: {why}"),
        field,
    }
}

/// A Service that becomes one of a single family keeps its first; where its families and what
/// it says of their number contradict each other, that is refused.
fn reconcile_families(spec: &mut Value, old: Option<&Value>, asked: &str) -> Vec<Cause> {
    let policy = match spec["ipFamilyPolicy"].as_str() {
        Some(policy) => policy,
        None if is_served_elsewhere(spec, asked) => "RequireDualStack",
        None => "SingleStack",
    }
    .to_owned();
    let before = old.and_then(|old| old["spec"]["ipFamilies"].as_array());
    let Some(families) = spec.get_mut("ipFamilies").and_then(Value::as_array_mut) else {
        return Vec::new();
    };
    let why = if policy == "SingleStack" {
        if before == Some(&*families) {
            families.truncate(1);
        }
        let many = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        // The same twice is refused as that.
        matches!(families.as_slice(), [one, other] if one != other).then_some(many)
    } else {
        let fewer = !families.is_empty() && before.is_some_and(|b| b.len() > families.len());
        fewer.then_some("must be 'SingleStack' to release the secondary IP family")
    };
    let cause = |why| family_cause("spec.ipFamilyPolicy".into(), &policy, why);
    why.map(cause).into_iter().collect()
}

/// What a Service wants of IP families that this cluster, which is one of IPv4 alone,
/// doesn't have.
fn other_families(spec: &Value, asked: &str) -> Vec<Cause> {
    if is_served_elsewhere(spec, asked) {
        return Vec::new();
    }
    let families = spec["ipFamilies"].as_array().into_iter().flatten();
    let mut causes: Vec<Cause> = families
        .enumerate()
        .filter(|(_, family)| *family == "IPv6")
        .map(|(index, _)| {
            let field = format!("spec.ipFamilies[{index}]");
            family_cause(field, "IPv6", "not configured on this cluster")
        })
        .collect();
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        causes.push(family_cause(
            "spec.ipFamilyPolicy".into(),
            "RequireDualStack",
            "this cluster is not configured for dual-stack services",
        ));
    }
    causes
}

fn port_cause(number: u64, field: &str, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {number}: {why}"),
        field: field.into(),
    }
}

fn full(what: &str, range: &str) -> Status {
    Status::internal(format!(
        "failed to allocate: the range of {what} {range} is full"
    ))
}

fn set_ip(object: &mut Value, ip: &str) {
    let spec = &mut object["spec"];
    spec["clusterIP"] = ip.into();
    spec["clusterIPs"] = json!([ip]);
    let elsewhere = is_served_elsewhere(spec, ip);
    if spec["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = match elsewhere {
            true => "RequireDualStack".into(),
            false => "SingleStack".into(),
        };
    }
    if elsewhere
        && spec["ipFamilyPolicy"] != "SingleStack"
        && let Some([only]) = spec["ipFamilies"].as_array().map(Vec::as_slice)
    {
        let other = match only.as_str() {
            Some("IPv6") => "IPv4",
            _ => "IPv6",
        };
        spec["ipFamilies"] = json!([only, other]);
    }
}

/// Whether a Service has neither selector nor address: who serves it may do so by any family,
/// whatever the cluster's are.
fn is_served_elsewhere(spec: &Value, ip: &str) -> bool {
    let selector = spec["selector"].as_object();
    ip == "None" && selector.is_none_or(serde_json::Map::is_empty)
}

/// The first of `0..count` that will do, from a random place on.
fn pick<T>(count: u32, try_one: impl Fn(u32) -> Option<T>) -> Option<T> {
    let random = RandomState::new().build_hasher().finish() as u32;
    let start = random % count.max(1);
    (start..count).chain(0..start).find_map(try_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network: Network = "10.96.0.0/16".parse().unwrap();
        assert_eq!(network.nth(1).to_string(), "10.96.0.1");
        assert!(network.usable("10.96.255.254".parse().unwrap()));
        for outside in ["10.96.0.0", "10.96.255.255", "10.97.0.1"] {
            assert!(!network.usable(outside.parse().unwrap()), "{outside}");
        }
        for bad in ["10.96.0.0", "10.96.0.0/33", "x/16", "10.0.0.0/31"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_number_of_families_is_what_a_service_says() {
        let both = json!(["IPv4", "IPv6"]);
        let headless = |policy: Value, families: Value| json!({"clusterIP": "None", "ipFamilyPolicy": policy, "ipFamilies": families});
        let old = json!({"spec": headless("RequireDualStack".into(), both.clone())});
        let change = |mut spec: Value, old: Option<&Value>| {
            let causes = reconcile_families(&mut spec, old, "None");
            let causes: Vec<String> = causes.into_iter().map(|c| c.message).collect();
            (spec["ipFamilies"].clone(), causes.join(" "))
        };
        let (kept, refused) = change(headless("SingleStack".into(), both.clone()), Some(&old));
        assert_eq!((kept, refused.as_str()), (json!(["IPv4"]), ""));
        let (_, refused) = change(headless("SingleStack".into(), both.clone()), None);
        assert_eq!(
            refused,
            r#"Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"#
        );
        let fewer = headless("RequireDualStack".into(), json!(["IPv4"]));
        let (_, refused) = change(fewer, Some(&old));
        assert_eq!(
            refused,
            r#"Invalid value: "RequireDualStack": must be 'SingleStack' to release the secondary IP family"#
        );
        let (kept, refused) = change(headless(Value::Null, both.clone()), Some(&old));
        assert_eq!((kept, refused.as_str()), (both, ""));
    }

    #[test]
    fn picks_what_is_free_and_tells_when_nothing_is() {
        assert_eq!(pick(5, |n| (n == 3).then_some(n)), Some(3));
        assert_eq!(pick(5, |_| None::<u32>), None);
    }
}
