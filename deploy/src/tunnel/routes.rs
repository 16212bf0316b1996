//! Ways to addresses: routes of the machine and of the lab's hosts, by which packets for an
//! address go to its node. Nobody has the address itself, so that nothing answers at it but
//! what the node's proxy passes on.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::failure::Result;
use crate::plan::{Host, Plan};
use crate::shell::run;

/// The number by which the kernel knows the tunnel's routes: it keeps for each route who made
/// it, and doesn't care what numbers mean.
const MAKER: &str = "88";

/// From addresses to those of the nodes that are sent their packets.
pub type Ways = BTreeMap<Ipv4Addr, Ipv4Addr>;

/// A place with routes of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Its network namespace; none for the machine's own.
    namespace: Option<String>,
    /// Its link to the bridge.
    link: String,
    /// Its address; the way to an address of its own node ends here.
    address: Ipv4Addr,
}

impl Place {
    fn of(host: Host) -> Self {
        Self {
            namespace: Some(host.namespace),
            link: "eth0".to_owned(),
            address: host.address,
        }
    }

    fn ip(&self, arguments: &[&str]) -> Result<String> {
        match &self.namespace {
            Some(namespace) => run("ip", &[&["-n", namespace], arguments].concat()),
            None => run("ip", arguments),
        }
    }

    fn ways(&self) -> Result<Ways> {
        // On the machine other labs have tunnels as well, over bridges of their own.
        match self.ip(&["route", "show", "proto", MAKER, "dev", &self.link]) {
            Ok(routes) => Ok(read(&routes)),
            // With its link a place has lost its ways.
            Err(failure) if failure.why.contains("Cannot find device") => Ok(Ways::new()),
            Err(failure) => Err(failure),
        }
    }

    /// Makes the ways what they should be.
    fn set(&self, ways: &Ways) -> Result<()> {
        let there = self.ways()?;
        for command in difference(&there, ways, self.address, &self.link) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            self.ip(&words)?;
        }
        Ok(())
    }
}

/// All places of a lab that are there: the machine itself, and the hosts that are on.
fn places(plan: &Plan) -> Vec<Place> {
    let machine = Place {
        namespace: None,
        link: plan.bridge(),
        address: plan.gateway(),
    };
    let is_on = |host: &Host| Path::new("/run/netns").join(&host.namespace).exists();
    let hosts = plan.hosts().into_iter().filter(is_on).map(Place::of);
    std::iter::once(machine).chain(hosts).collect()
}

/// The ways of the machine.
///
/// # Errors
/// If the kernel doesn't say.
pub fn held(plan: &Plan) -> Result<Ways> {
    match places(plan).first() {
        Some(machine) => machine.ways(),
        None => Ok(Ways::new()),
    }
}

/// Makes the ways of the machine and of all hosts what they should be. One place that can't be
/// changed doesn't keep the others from it.
///
/// # Errors
/// The first there was.
pub fn set(plan: &Plan, ways: &Ways) -> Result<()> {
    let outcomes: Vec<_> = places(plan).iter().map(|place| place.set(ways)).collect();
    outcomes.into_iter().collect()
}

/// What `ip route show` tells.
fn read(routes: &str) -> Ways {
    let way = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        let node = words
            .skip_while(|word| *word != "via")
            .nth(1)?
            .parse()
            .ok()?;
        Some((address, node))
    };
    routes.lines().filter_map(way).collect()
}

/// The commands of `ip` that make the ways at a place what they should be.
fn difference(there: &Ways, ways: &Ways, own: Ipv4Addr, link: &str) -> Vec<Vec<String>> {
    // On the node itself packets have arrived.
    let here: Ways = ways
        .iter()
        .filter(|(_, node)| **node != own)
        .map(|(a, n)| (*a, *n))
        .collect();
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let gone = there.keys().filter(|address| !here.contains_key(address));
    let gone = gone.map(|address| {
        let address = format!("{address}/32");
        command(&["route", "delete", &address, "dev", link, "proto", MAKER])
    });
    let new = here
        .iter()
        .filter(|(address, node)| there.get(address) != Some(node));
    let new = new.map(|(address, node)| {
        let (address, node) = (format!("{address}/32"), node.to_string());
        command(&[
            "route", "replace", &address, "via", &node, "dev", link, "proto", MAKER,
        ])
    });
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 88, 0, last)
    }

    #[test]
    fn routes_are_read_as_they_are_shown() {
        let shown =
            "10.88.0.200 via 10.88.0.11 dev hardway0 \n10.88.0.201 via 10.88.0.12 dev hardway0\n";
        let ways = Ways::from([(ip(200), ip(11)), (ip(201), ip(12))]);
        assert_eq!(read(shown), ways);
        assert_eq!(read("unreachable default\n"), Ways::new());
    }

    #[test]
    fn only_what_differs_is_changed() {
        let there = Ways::from([(ip(200), ip(11)), (ip(201), ip(11)), (ip(202), ip(12))]);
        let ways = Ways::from([(ip(200), ip(11)), (ip(201), ip(12)), (ip(203), ip(10))]);
        let commands = difference(&there, &ways, ip(10), "eth0");
        let commands: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            commands,
            [
                "route delete 10.88.0.202/32 dev eth0 proto 88",
                "route replace 10.88.0.201/32 via 10.88.0.12 dev eth0 proto 88",
            ]
        );
    }

    /// A network namespace, which goes with this value.
    struct Space(String);

    impl Drop for Space {
        fn drop(&mut self) {
            let _ = run("ip", &["netns", "delete", &self.0]);
        }
    }

    #[test]
    fn tunnels_of_several_labs_leave_each_other_alone() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let space = Space(format!("hardway-routes-{}", std::process::id()));
        run("ip", &["netns", "add", &space.0]).unwrap();
        let lab = |third: u8| {
            let address = |last| Ipv4Addr::new(10, 88, third, last);
            let place = Place {
                namespace: Some(space.0.clone()),
                link: format!("lab{third}"),
                address: address(1),
            };
            assert_eq!(
                place.ways().unwrap(),
                Ways::new(),
                "its link isn't there yet"
            );
            let network = format!("{}/24", address(1));
            for line in [
                format!("link add {} type bridge", place.link),
                format!("address add {network} dev {}", place.link),
                format!("link set {} up", place.link),
            ] {
                let words: Vec<&str> = line.split(' ').collect();
                place.ip(&words).unwrap();
            }
            (place, Ways::from([(address(200), address(11))]))
        };
        let ((one, ways_of_one), (two, ways_of_two)) = (lab(1), lab(2));
        one.set(&ways_of_one).unwrap();
        two.set(&ways_of_two).unwrap();
        assert_eq!(one.ways().unwrap(), ways_of_one);
        two.set(&Ways::new()).unwrap();
        assert_eq!(one.ways().unwrap(), ways_of_one);
        assert_eq!(two.ways().unwrap(), Ways::new());
    }
}
