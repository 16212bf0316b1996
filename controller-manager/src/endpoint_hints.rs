//! Hints that keep traffic within a zone: which zones an endpoint is for.
//!
//! A Service asks for them by `trafficDistribution: PreferClose`, and each ready endpoint is
//! for its own zone; or by the annotation `service.kubernetes.io/topology-mode: Auto`, and
//! zones get endpoints as they have CPUs, as
//! `staging/src/k8s.io/endpointslice/{trafficdist,topologycache}` of Kubernetes 1.33 have it.

use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, ForZone};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The label of a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const MODE_ANNOTATIONS: [&str; 2] = [
    "service.kubernetes.io/topology-mode",
    "service.kubernetes.io/topology-aware-hints",
];
/// Nodes with one of these don't count.
const EXCLUDED_LABELS: [&str; 2] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
];
/// By how much more than its share an endpoint may get.
const OVERLOAD: f64 = 0.2;

/// Hints were set.
pub const ENABLED: &str = "Topology Aware Hints has been enabled";
/// They aren't asked for any more.
pub const DISABLED: &str = "Topology Aware Hints has been disabled";
const NO_ZONE: &str = "One or more endpoints do not have a zone specified";
const NO_NODE_INFO: &str =
    "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
const TOO_FEW: &str = "Insufficient number of endpoints";
const TOO_UNEVEN: &str = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";

/// How a Service wants traffic to be distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Over all endpoints.
    Everywhere,
    /// To the client's zone.
    Close,
    /// To zones as they have CPUs.
    Auto,
}

impl Mode {
    /// What a Service says. The annotation counts more than the field.
    pub fn of(service: &Service) -> Self {
        let annotations = service.metadata.annotations.as_ref();
        let mode = MODE_ANNOTATIONS
            .iter()
            .find_map(|name| annotations?.get(*name));
        let spec = service.spec.as_ref();
        match mode.map(String::as_str) {
            Some("Auto" | "auto") => Mode::Auto,
            _ if spec.and_then(|s| s.traffic_distribution.as_deref()) == Some("PreferClose") => {
                Mode::Close
            }
            _ => Mode::Everywhere,
        }
    }
}

/// What of the CPUs of all nodes each zone has.
#[derive(Clone, Debug, PartialEq)]
pub struct Zones(BTreeMap<String, f64>);

/// A node's zone.
pub fn zone(node: &Node) -> Option<&String> {
    let labels = node.metadata.labels.as_ref()?;
    labels.get(ZONE_LABEL).filter(|zone| !zone.is_empty())
}

/// What of a node matters to zones: whether it counts, its zone, thousandths of its CPUs.
pub fn share(node: &Node) -> Option<(Option<&String>, i64)> {
    let labels = node.metadata.labels.as_ref();
    let is_excluded = |label: &&str| labels.is_some_and(|labels| labels.contains_key(*label));
    if EXCLUDED_LABELS.iter().any(is_excluded) || !is_ready(node) {
        return None;
    }
    let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
    let cpu = allocatable.and_then(|allocatable| allocatable.get("cpu"));
    let cpu = cpu.and_then(|cpu| cpu.0.parse::<Quantity>().ok());
    Some((zone(node), cpu.unwrap_or_default().milli_value()))
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|c| c.type_ == "Ready");
    ready.is_some_and(|ready| ready.status == "True")
}

impl Zones {
    /// Of nodes; `None` if one says too little of itself, or there are fewer than two zones.
    pub fn of(nodes: &[Arc<Node>]) -> Option<Self> {
        let mut zones: BTreeMap<String, f64> = BTreeMap::new();
        for (zone, cpu) in nodes.iter().filter_map(|node| share(node)) {
            match zone {
                Some(zone) if cpu > 0 => *zones.entry(zone.clone()).or_default() += cpu as f64,
                _ => return None,
            }
        }
        let all: f64 = zones.values().sum();
        zones.values_mut().for_each(|cpu| *cpu /= all);
        (zones.len() > 1).then_some(Self(zones))
    }
}

fn ready(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|conditions| conditions.ready) == Some(true)
}

fn hint(zone: &str) -> Option<EndpointHints> {
    Some(EndpointHints {
        for_zones: Some(vec![ForZone { name: zone.into() }]),
        for_nodes: None,
    })
}

/// The zone that an endpoint is for.
pub fn hinted(endpoint: &Endpoint) -> Option<&str> {
    let zones = endpoint.hints.as_ref()?.for_zones.as_deref()?;
    zones.first().map(|zone| zone.name.as_str())
}

/// Each ready endpoint is for its own zone.
pub fn close<'a>(endpoints: impl IntoIterator<Item = &'a mut Endpoint>) {
    for endpoint in endpoints {
        if ready(endpoint) {
            endpoint.hints = endpoint.zone.as_deref().and_then(hint);
        }
    }
}

/// How many endpoints a zone is to get.
struct Allocation {
    minimum: usize,
    maximum: usize,
    desired: f64,
}

fn allocations<'z>(
    zones: Option<&'z Zones>,
    endpoints: usize,
) -> Result<BTreeMap<&'z str, Allocation>, String> {
    let Some(Zones(zones)) = zones else {
        return Err(NO_NODE_INFO.into());
    };
    let failed = |why| {
        Err(format!(
            "{why} ({endpoints} endpoints, {} zones)",
            zones.len()
        ))
    };
    if zones.len() > endpoints {
        return failed(TOO_FEW);
    }
    let least = |ratio: f64| (ratio * endpoints as f64 * (1.0 / (1.0 + OVERLOAD))).ceil() as usize;
    let together: usize = zones.values().map(|ratio| least(*ratio)).sum();
    let Some(spare) = endpoints.checked_sub(together) else {
        return failed(TOO_UNEVEN);
    };
    let allocation = |(zone, ratio): (&'z String, &f64)| {
        let minimum = least(*ratio);
        let allocation = Allocation {
            minimum,
            maximum: minimum + spare,
            desired: (ratio * endpoints as f64).max(minimum as f64),
        };
        (zone.as_str(), allocation)
    };
    Ok(zones.iter().map(allocation).collect())
}

fn counted<'a>(zones: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for zone in zones {
        *counts.entry(zone).or_default() += 1;
    }
    counts
}

/// Zones get endpoints as they have CPUs. What `before` says of addresses stays, as long as it
/// is good enough.
///
/// # Errors
/// Why there are no hints; none is set then.
pub fn proportional(
    mut endpoints: Vec<&mut Endpoint>,
    zones: Option<&Zones>,
    before: &HashMap<String, String>,
) -> Result<(), String> {
    endpoints.retain(|endpoint| ready(endpoint));
    let allocations = allocations(zones, endpoints.len())?;
    if endpoints
        .iter()
        .any(|e| e.zone.as_deref().unwrap_or_default().is_empty())
    {
        return Err(NO_ZONE.into());
    }
    let former = |endpoint: &Endpoint| {
        let zone = before.get(endpoint.addresses.first()?)?;
        allocations
            .contains_key(zone.as_str())
            .then(|| zone.clone())
    };
    let kept: Option<Vec<String>> = endpoints.iter().map(|endpoint| former(endpoint)).collect();
    if let Some(kept) = kept {
        let counts = counted(kept.iter().map(String::as_str));
        let is_good = allocations.iter().all(|(zone, allocation)| {
            let count = counts.get(zone).copied().unwrap_or_default();
            (allocation.minimum..=allocation.maximum).contains(&count)
        });
        if is_good {
            for (endpoint, zone) in endpoints.iter_mut().zip(kept) {
                endpoint.hints = hint(&zone);
            }
            return Ok(());
        }
    }
    endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    let counts = counted(endpoints.iter().filter_map(|e| e.zone.as_deref()));
    let (mut giving, mut receiving) = exchange(&allocations, &counts);
    for endpoint in endpoints {
        let Some(own) = endpoint.zone.clone() else {
            continue;
        };
        let to_give = giving.get_mut(&own).filter(|number| **number > 0);
        // Whoever was lent to a zone before is lent to it again.
        let to = former(endpoint).filter(|zone| receiving.get(zone).is_some_and(|n| *n > 0));
        let to = to.or_else(|| {
            let mut receivers = receiving.iter().filter(|(_, number)| **number > 0);
            receivers.next().map(|(zone, _)| zone.clone())
        });
        endpoint.hints = hint(&own);
        if let (Some(number), Some(to)) = (to_give, to) {
            *number -= 1;
            *receiving.entry(to.clone()).or_default() -= 1;
            endpoint.hints = hint(&to);
        }
    }
    Ok(())
}

/// How many endpoints zones give to others, and get from them.
fn exchange(
    allocations: &BTreeMap<&str, Allocation>,
    counts: &BTreeMap<&str, usize>,
) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let difference = |(zone, allocation): (&&str, &Allocation)| {
        let count = counts.get(zone).copied().unwrap_or_default();
        ((*zone).to_owned(), count as f64 - allocation.desired)
    };
    let mut surplus: BTreeMap<String, f64> = allocations.iter().map(difference).collect();
    let (mut giving, mut receiving) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let most = surplus.iter().max_by(|a, b| a.1.total_cmp(b.1));
        let least = surplus.iter().min_by(|a, b| a.1.total_cmp(b.1));
        let (Some((from, give)), Some((to, take))) = (most, least) else {
            break;
        };
        let (give, take) = (*give, -*take);
        if (give < 1.0 && take < 1.0) || give < 0.5 || take < 0.5 {
            break;
        }
        let (from, to) = (from.clone(), to.clone());
        surplus.insert(from.clone(), give - 1.0);
        surplus.insert(to.clone(), 1.0 - take);
        *giving.entry(from).or_default() += 1;
        *receiving.entry(to).or_default() += 1;
    }
    (giving, receiving)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(zone: Option<&str>, cpu: &str, rest: Value) -> Arc<Node> {
        let mut node = json!({"metadata": {"labels": {}}, "status": {"allocatable": {"cpu": cpu},
            "conditions": [{"type": "Ready", "status": "True"}]}});
        if let Some(zone) = zone {
            node["metadata"]["labels"][ZONE_LABEL] = zone.into();
        }
        if let Some(label) = rest["label"].as_str() {
            node["metadata"]["labels"][label] = "".into();
        }
        if let Some(ready) = rest["ready"].as_str() {
            node["status"]["conditions"][0]["status"] = ready.into();
        }
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn zones(shares: &[(&str, u32)]) -> Option<Zones> {
        let node = |(zone, cpu): &(&str, u32)| node(Some(zone), &format!("{cpu}m"), Value::Null);
        Zones::of(&shares.iter().map(node).collect::<Vec<_>>())
    }

    fn endpoints(zones: &[&str]) -> Vec<Endpoint> {
        let endpoint = |(number, zone): (usize, &&str)| {
            serde_json::from_value(json!({"addresses": [format!("10.0.0.{number}")],
                "conditions": {"ready": true}, "zone": zone}))
            .unwrap()
        };
        zones.iter().enumerate().map(endpoint).collect()
    }

    /// For which zones endpoints of these zones are.
    fn spread(of: &[&str], zones: Option<&Zones>) -> Result<Vec<String>, String> {
        let mut endpoints = endpoints(of);
        proportional(endpoints.iter_mut().collect(), zones, &HashMap::new())?;
        Ok(endpoints
            .iter()
            .map(|e| hinted(e).unwrap().to_owned())
            .collect())
    }

    #[test]
    fn services_ask_in_three_ways() {
        let mode = |annotations: Value, distribution: Value| {
            let service = json!({"metadata": {"annotations": annotations},
                "spec": {"trafficDistribution": distribution}});
            Mode::of(&serde_json::from_value(service).unwrap())
        };
        let auto = |name: &str, value: &str| json!({name: value});
        assert_eq!(mode(json!({}), Value::Null), Mode::Everywhere);
        assert_eq!(mode(json!({}), json!("PreferClose")), Mode::Close);
        for name in MODE_ANNOTATIONS {
            assert_eq!(mode(auto(name, "Auto"), json!("PreferClose")), Mode::Auto);
            assert_eq!(mode(auto(name, "auto"), Value::Null), Mode::Auto);
            assert_eq!(mode(auto(name, "Disabled"), Value::Null), Mode::Everywhere);
        }
    }

    #[test]
    fn zones_need_nodes_that_say_enough() {
        assert_eq!(zones(&[("a", 1000)]), None, "one zone");
        let both = [
            node(Some("a"), "1", json!({})),
            node(Some("b"), "3", json!({})),
        ];
        let Zones(shares) = Zones::of(&both).unwrap();
        assert_eq!((shares["a"], shares["b"]), (0.25, 0.75));
        let with = |other| {
            let nodes: Vec<_> = both.iter().cloned().chain([other]).collect();
            Zones::of(&nodes).is_some()
        };
        assert!(!with(node(None, "1", json!({}))));
        assert!(!with(node(Some("a"), "0", json!({}))));
        // Those that don't count may say what they like.
        assert!(with(node(None, "1", json!({"ready": "False"}))));
        assert!(with(node(None, "1", json!({"label": EXCLUDED_LABELS[0]}))));
    }

    #[test]
    fn close_is_the_own_zone() {
        let mut all = endpoints(&["a", "b"]);
        all[1].zone = None;
        let mut leaving = endpoints(&["a"]);
        leaving[0].conditions.as_mut().unwrap().ready = Some(false);
        all.extend(leaving);
        close(&mut all);
        let hints: Vec<_> = all.iter().map(hinted).collect();
        assert_eq!(hints, [Some("a"), None, None]);
    }

    #[test]
    fn zones_share_as_they_have_cpus() {
        let even = zones(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        let spread = |of, zones: &Option<Zones>| spread(of, zones.as_ref());
        let own = ["a", "b", "c", "a", "b", "c"];
        assert_eq!(spread(&own, &even).unwrap(), own);
        let lent = spread(&["a", "a", "a", "a", "b", "b"], &even).unwrap();
        assert_eq!(lent, ["c", "c", "a", "a", "b", "b"]);
        // Of ten endpoints, a zone of four fifths of the CPUs gets eight.
        let uneven = zones(&[("a", 4000), ("b", 1000)]);
        let ten = ["a", "a", "a", "a", "a", "b", "b", "b", "b", "b"];
        let to_a = spread(&ten, &uneven).unwrap();
        assert_eq!(to_a.iter().filter(|zone| *zone == "a").count(), 8);
    }

    #[test]
    fn what_cant_be_shared_out_is_said() {
        let failing = |of: &[&str], zones: &Option<Zones>| spread(of, zones.as_ref()).unwrap_err();
        let even = zones(&[("a", 1000), ("b", 1000)]);
        assert_eq!(failing(&["a", "b"], &None), NO_NODE_INFO);
        let words = "Insufficient number of endpoints (1 endpoints, 2 zones)";
        assert_eq!(failing(&["a"], &even), words);
        // 3 * 0.5 / 1.2 is 1.25 for each.
        let words = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (3 endpoints, 2 zones)";
        assert_eq!(failing(&["a", "b", "a"], &even), words);
        assert_eq!(failing(&["a", ""], &even), NO_ZONE);
    }

    #[test]
    fn hints_stay_while_they_are_good_enough() {
        let even = zones(&[("a", 1000), ("b", 1000)]);
        let before = |zones: &[&str]| -> HashMap<String, String> {
            let hint =
                |(number, zone): (usize, &&str)| (format!("10.0.0.{number}"), (*zone).into());
            zones.iter().enumerate().map(hint).collect()
        };
        let after = |former: &[&str]| {
            let mut endpoints = endpoints(&["a"; 12]);
            let all = endpoints.iter_mut().collect();
            proportional(all, even.as_ref(), &before(former)).unwrap();
            let hints = endpoints.iter().filter_map(hinted);
            hints.map(str::to_owned).collect::<Vec<_>>()
        };
        // Between five and seven of twelve are good enough.
        let former = ["a", "b", "a", "b", "a", "b", "a", "b", "a", "b", "a", "a"];
        assert_eq!(after(&former), former);
        let all_a = after(&["a"; 12]);
        assert_eq!(all_a.iter().filter(|zone| *zone == "b").count(), 6);
    }
}
