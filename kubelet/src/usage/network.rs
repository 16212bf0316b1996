//! What went over a pod's network, as a process in it sees it.

use std::fs;

/// One interface, since it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name: `eth0`.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were broken.
    pub errors: u64,
    /// Packets that were thrown away.
    pub dropped: u64,
}

/// The interfaces that a process has; none if it is in the kubelet's own network, whose
/// figures are the node's.
pub fn of_process(pid: i32) -> Vec<Interface> {
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let theirs = network(&pid.to_string());
    if theirs.is_none() || theirs == network("self") {
        return Vec::new();
    }
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev"));
    parse(&text.unwrap_or_default())
}

/// The node's own.
pub fn of_node() -> Vec<Interface> {
    parse(&fs::read_to_string("/proc/net/dev").unwrap_or_default())
}

/// Reads `/proc/net/dev`; the loopback is not counted, nor what pods are attached to, as
/// in cAdvisor.
fn parse(text: &str) -> Vec<Interface> {
    let interface = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let name = name.trim();
        let ignored = ["lo", "veth", "docker", "nerdctl"];
        if ignored.iter().any(|start| name.starts_with(start)) {
            return None;
        }
        let figures: Vec<u64> = figures
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        let traffic = |from: usize| {
            let [bytes, packets, errors, dropped] = *figures.get(from..from + 4)? else {
                return None;
            };
            Some(Traffic {
                bytes,
                packets,
                errors,
                dropped,
            })
        };
        Some(Interface {
            name: name.to_owned(),
            received: traffic(0)?,
            sent: traffic(8)?,
        })
    };
    text.lines().filter_map(interface).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read() {
        let text = "Inter-|   Receive                                                |  Transmit\n\
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
    lo:       9       9    0    0    0     0          0         0        9       9    0    0    0     0       0          0\n\
  eth0:    1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0\n\
vethab:       1       1    0    0    0     0          0         0        1       1    0    0    0     0       0          0\n";
        let interfaces = parse(text);
        assert_eq!(interfaces.len(), 1);
        let eth0 = &interfaces[0];
        assert_eq!((eth0.name.as_str(), eth0.received.bytes), ("eth0", 1000));
        assert_eq!((eth0.sent.bytes, eth0.sent.dropped), (2000, 4));
        assert!(of_process(std::process::id().try_into().unwrap()).is_empty());
    }
}
