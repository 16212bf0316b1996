//! Which Service gets which address, and the node through which it is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use crate::plan::Plan;

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Service, as far as its address depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// When it was created, in RFC 3339, and its UID: the older one chooses first.
    pub age: (String, String),
    /// Whether the tunnel is to give it an address.
    pub balanced: bool,
    /// The address it asks for, as it is written.
    pub asked: Option<String>,
    /// Whether only nodes with endpoints may be sent its packets.
    pub local: bool,
    /// The addresses that its status has.
    pub given: Vec<Ipv4Addr>,
    /// Its ports, to be shown.
    pub ports: Vec<String>,
    /// The nodes of its ready endpoints.
    pub nodes: BTreeSet<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its address on the lab's bridge.
    pub address: Ipv4Addr,
    /// Whether it may be sent packets: it is Ready, and not excluded from load balancing.
    pub fit: bool,
}

/// The addresses that can be given, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub first: Ipv4Addr,
    /// The last.
    pub last: Ipv4Addr,
}

impl Range {
    /// Those of a lab, in the network of its hosts and far from theirs.
    pub fn of(plan: &Plan) -> Self {
        let [a, b, c, _] = plan.gateway().octets();
        Self {
            first: Ipv4Addr::new(a, b, c, 210),
            last: Ipv4Addr::new(a, b, c, 250),
        }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    fn all(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.last)
    }
}

/// How a Service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// At an address, through a node.
    At(Ipv4Addr, Ipv4Addr),
    /// It has an address, and there is no node that could be sent its packets.
    Nowhere(Ipv4Addr),
    /// It gets no address, for this reason.
    Refused(String),
}

/// What is to be so.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Every Service that is to have an address.
    pub services: BTreeMap<Key, Reached>,
    /// What a Service's status has to say from now on, where it says something else.
    pub status: BTreeMap<Key, Option<Ipv4Addr>>,
    /// From addresses to those of the nodes.
    pub routes: BTreeMap<Ipv4Addr, Ipv4Addr>,
}

/// Decides. `held` are the routes that there are: an address stays with its node as long as
/// that is fit for it, and with its Service as long as that wants one.
pub fn decide(
    range: Range,
    services: &BTreeMap<Key, Service>,
    nodes: &BTreeMap<String, Node>,
    held: &BTreeMap<Ipv4Addr, Ipv4Addr>,
) -> Assignment {
    let mut assignment = Assignment::default();
    let mut by_age: Vec<(&Key, &Service)> = services.iter().filter(|(_, it)| it.balanced).collect();
    by_age.sort_by_key(|(_, service)| &service.age);
    let mut taken: BTreeMap<Ipv4Addr, &Key> = BTreeMap::new();
    // Those that have one keep it, unless they ask for another.
    for (key, service) in &by_age {
        let kept = service.given.iter().find(|ip| {
            let asked = service.asked.as_ref();
            range.contains(**ip) && asked.is_none_or(|asked| *asked == ip.to_string())
        });
        if let Some(ip) = kept {
            taken.entry(*ip).or_insert(key);
        }
    }
    for (key, service) in by_age {
        let reached = match address(range, key, service, &mut taken) {
            Err(why) => Reached::Refused(why),
            Ok(ip) => match through(ip, service, nodes, held) {
                None => Reached::Nowhere(ip),
                Some(node) => {
                    assignment.routes.insert(ip, node);
                    Reached::At(ip, node)
                }
            },
        };
        assignment.services.insert(key.clone(), reached);
    }
    for (key, service) in services {
        let says = match assignment.services.get(key) {
            Some(Reached::At(ip, _) | Reached::Nowhere(ip)) => Some(*ip),
            _ => None,
        };
        // An address from elsewhere, in a Service of others, is not the tunnel's to take.
        let ours = says.is_some() || service.given.iter().any(|ip| range.contains(*ip));
        if ours && service.given != Vec::from_iter(says) {
            assignment.status.insert(key.clone(), says);
        }
    }
    assignment
}

/// The address of a Service.
fn address<'a>(
    range: Range,
    key: &'a Key,
    service: &Service,
    taken: &mut BTreeMap<Ipv4Addr, &'a Key>,
) -> Result<Ipv4Addr, String> {
    if let Some((ip, _)) = taken.iter().find(|(_, owner)| **owner == key) {
        return Ok(*ip);
    }
    let ip = match &service.asked {
        Some(asked) => {
            let ip = asked.parse().ok().filter(|ip| range.contains(*ip));
            let ip = ip.ok_or_else(|| {
                format!("spec.loadBalancerIP {asked} is none of the tunnel's, {range}")
            })?;
            if let Some(owner) = taken.get(&ip) {
                return Err(format!(
                    "spec.loadBalancerIP {ip} is that of Service {owner}"
                ));
            }
            ip
        }
        None => {
            let mut free = range.all().filter(|ip| !taken.contains_key(ip));
            let free = free.next();
            free.ok_or_else(|| format!("all addresses from {range} are given away"))?
        }
    };
    taken.insert(ip, key);
    Ok(ip)
}

/// The node that is sent an address' packets: the one that has been, if it is fit; else one of
/// those that are, another for each address.
fn through(
    ip: Ipv4Addr,
    service: &Service,
    nodes: &BTreeMap<String, Node>,
    held: &BTreeMap<Ipv4Addr, Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let fit: Vec<Ipv4Addr> = nodes
        .iter()
        .filter(|(name, node)| node.fit && (!service.local || service.nodes.contains(*name)))
        .map(|(_, node)| node.address)
        .collect();
    let held = held.get(&ip).filter(|node| fit.contains(node));
    held.copied().or_else(|| {
        let at = usize::from(ip.octets()[3]) % fit.len().max(1);
        fit.get(at).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, 0, last)
    }

    fn range(first: u8, last: u8) -> Range {
        Range {
            first: ip(first),
            last: ip(last),
        }
    }

    fn key(name: &str) -> Key {
        Key {
            namespace: "d".to_owned(),
            name: name.to_owned(),
        }
    }

    fn service(age: &str) -> Service {
        Service {
            age: (age.to_owned(), String::new()),
            balanced: true,
            ..Service::default()
        }
    }

    fn services(list: Vec<(&str, Service)>) -> BTreeMap<Key, Service> {
        list.into_iter().map(|(name, it)| (key(name), it)).collect()
    }

    fn nodes(list: &[(&str, u8, bool)]) -> BTreeMap<String, Node> {
        let node = |&(name, last, fit): &(&str, u8, bool)| {
            let address = ip(last);
            (name.to_owned(), Node { address, fit })
        };
        list.iter().map(node).collect()
    }

    fn two() -> BTreeMap<String, Node> {
        nodes(&[("a", 11, true), ("b", 12, true)])
    }

    #[test]
    fn no_host_of_a_lab_has_one_of_its_addresses() {
        let plan = Plan {
            control_planes: crate::plan::MOST_CONTROL_PLANES,
            ..Plan::of_lab(0, crate::plan::MOST_WORKERS)
        };
        let range = Range::of(&plan);
        assert_eq!(range, super::tests::range(210, 250));
        assert!(
            plan.hosts()
                .iter()
                .all(|host| !range.contains(host.address))
        );
    }

    #[test]
    fn the_lowest_free_address_is_given_to_the_oldest() {
        let all = services(vec![("young", service("2")), ("old", service("1"))]);
        let made = decide(range(200, 201), &all, &two(), &BTreeMap::new());
        assert_eq!(made.services[&key("old")], Reached::At(ip(200), ip(11)));
        assert_eq!(made.services[&key("young")], Reached::At(ip(201), ip(12)));
        assert_eq!(made.status[&key("old")], Some(ip(200)));
    }

    #[test]
    fn what_is_given_stays_and_is_not_written_again() {
        let mut has = service("2");
        has.given = vec![ip(200)];
        let all = services(vec![("has", has), ("old", service("1"))]);
        let held = BTreeMap::from([(ip(200), ip(12))]);
        let made = decide(range(200, 201), &all, &two(), &held);
        assert_eq!(made.services[&key("has")], Reached::At(ip(200), ip(12)));
        assert_eq!(made.services[&key("old")], Reached::At(ip(201), ip(12)));
        assert_eq!(made.status.keys().collect::<Vec<_>>(), [&key("old")]);
    }

    #[test]
    fn two_that_say_the_same_address_do_not_share_it() {
        let mut one = service("1");
        one.given = vec![ip(200)];
        let mut other = service("2");
        other.given = vec![ip(200)];
        let all = services(vec![("one", one), ("other", other)]);
        let made = decide(range(200, 201), &all, &two(), &BTreeMap::new());
        assert_eq!(made.status, BTreeMap::from([(key("other"), Some(ip(201)))]));
    }

    #[test]
    fn an_address_that_is_asked_for_is_given_if_it_is_free() {
        let asking = |age: &str, asked: &str| Service {
            asked: Some(asked.to_owned()),
            ..service(age)
        };
        let all = services(vec![
            ("first", asking("1", "10.88.0.205")),
            ("second", asking("2", "10.88.0.205")),
            ("outside", asking("3", "192.0.2.1")),
        ]);
        let made = decide(range(200, 250), &all, &two(), &BTreeMap::new());
        assert_eq!(made.services[&key("first")], Reached::At(ip(205), ip(12)));
        let refused = |name: &str| match &made.services[&key(name)] {
            Reached::Refused(why) => why.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            refused("second"),
            "spec.loadBalancerIP 10.88.0.205 is that of Service d/first"
        );
        assert_eq!(
            refused("outside"),
            "spec.loadBalancerIP 192.0.2.1 is none of the tunnel's, 10.88.0.200 to 10.88.0.250"
        );
        assert_eq!(made.status.len(), 1);
    }

    #[test]
    fn one_that_asks_anew_loses_what_it_had() {
        let mut asking = service("1");
        asking.given = vec![ip(200)];
        asking.asked = Some("10.88.0.201".to_owned());
        let all = services(vec![("a", asking.clone())]);
        let made = decide(range(200, 250), &all, &two(), &BTreeMap::new());
        assert_eq!(made.status[&key("a")], Some(ip(201)));
        asking.asked = Some("192.0.2.1".to_owned());
        let all = services(vec![("a", asking)]);
        let made = decide(range(200, 250), &all, &two(), &BTreeMap::new());
        assert_eq!(made.status[&key("a")], None);
    }

    #[test]
    fn no_more_is_given_than_there_is() {
        let all = services(vec![("a", service("1")), ("b", service("2"))]);
        let made = decide(range(200, 200), &all, &two(), &BTreeMap::new());
        assert_eq!(
            made.services[&key("b")],
            Reached::Refused("all addresses from 10.88.0.200 to 10.88.0.200 are given away".into())
        );
        assert_eq!(made.status.keys().collect::<Vec<_>>(), [&key("a")]);
    }

    #[test]
    fn an_address_moves_when_its_node_is_not_fit_and_only_then() {
        let all = services(vec![("a", service("1"))]);
        let held = BTreeMap::from([(ip(200), ip(12))]);
        let at = |nodes: &BTreeMap<String, Node>| {
            let made = decide(range(200, 250), &all, nodes, &held);
            made.routes.get(&ip(200)).copied()
        };
        assert_eq!(at(&two()), Some(ip(12)));
        assert_eq!(
            at(&nodes(&[("a", 11, true), ("b", 12, false)])),
            Some(ip(11))
        );
        assert_eq!(at(&nodes(&[("a", 11, true)])), Some(ip(11)));
        assert_eq!(at(&nodes(&[("b", 12, false)])), None);
    }

    #[test]
    fn local_traffic_goes_where_endpoints_are() {
        let mut local = service("1");
        local.local = true;
        local.nodes = BTreeSet::from(["b".to_owned()]);
        let held = BTreeMap::from([(ip(200), ip(11))]);
        let made = |local: &Service| {
            let all = services(vec![("a", local.clone())]);
            decide(range(200, 250), &all, &two(), &held)
        };
        assert_eq!(made(&local).routes[&ip(200)], ip(12));
        local.nodes.clear();
        let nowhere = made(&local);
        assert_eq!(nowhere.services[&key("a")], Reached::Nowhere(ip(200)));
        assert!(nowhere.routes.is_empty() && nowhere.status[&key("a")] == Some(ip(200)));
    }

    #[test]
    fn what_others_balance_is_left_alone() {
        let mut others = service("1");
        others.balanced = false;
        others.given = vec![Ipv4Addr::new(192, 0, 2, 1)];
        let mut former = others.clone();
        former.given = vec![ip(201)];
        let all = services(vec![("others", others), ("former", former)]);
        let made = decide(range(200, 250), &all, &two(), &BTreeMap::new());
        assert_eq!(made.status, BTreeMap::from([(key("former"), None)]));
        assert!(made.services.is_empty());
    }
}
