//! What is seen on a host: one script prints it, section by section.

use std::collections::BTreeMap;

/// Prints all there is to see. What a host lacks leaves its section empty.
pub const SCRIPT: &str = r#"
exec 2>/dev/null
s() { echo "[$1]"; }
s kernel; uname -r
s forwarding; cat /proc/sys/net/ipv4/ip_forward
s bridge; cat /proc/sys/net/bridge/bridge-nf-call-iptables
s filesystems; cat /proc/filesystems
s controllers; cat /sys/fs/cgroup/cgroup.controllers || cut -f1 /proc/cgroups
s disk; df -P -k / /var/lib/kubelet /var/lib/containerd /var/lib/etcd
s inodes; df -P -i / /var/lib/kubelet /var/lib/containerd /var/lib/etcd
s swap; cat /proc/swaps
s clock; date +%s
s synchronized; timedatectl show --value --property=NTPSynchronized
s listening; cat /proc/net/tcp /proc/net/tcp6
s containerd; containerd --version
s runc; runc --version | head -n1
s nft; nft --version
s mounts; cut -d' ' -f2 /proc/self/mounts
s leases; ls -1 /var/lib/cni/networks/*/
s cgroups; find /sys/fs/cgroup -maxdepth 7 -type d -name 'pod*'
s tables; nft list tables
true
"#;

/// What a host has printed, by section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    sections: BTreeMap<String, Vec<String>>,
}

impl Facts {
    /// Reads what [`SCRIPT`] prints.
    pub fn parse(printed: &str) -> Self {
        let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut at = String::new();
        for line in printed.lines() {
            match line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                Some(name) => at = name.to_owned(),
                None => sections
                    .entry(at.clone())
                    .or_default()
                    .push(line.to_owned()),
            }
        }
        Self { sections }
    }

    /// The lines of a section.
    pub fn lines(&self, section: &str) -> &[String] {
        self.sections.get(section).map_or(&[], Vec::as_slice)
    }

    /// The first line of a section that is not empty.
    pub fn first(&self, section: &str) -> Option<&str> {
        let mut lines = self.lines(section).iter().map(|it| it.trim());
        lines.find(|it| !it.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_apart() {
        let facts = Facts::parse("[kernel]\n6.1.0\n[bridge]\n[mounts]\n/\n/proc\n");
        assert_eq!(facts.first("kernel"), Some("6.1.0"));
        assert_eq!(facts.first("bridge"), None);
        assert_eq!(facts.lines("mounts"), ["/", "/proc"]);
    }
}
