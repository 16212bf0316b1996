//! What a cluster leaves on a host that was a part of it.

use std::collections::BTreeSet;

use hardway_tests::host::Host;

/// Everything on a host that a cluster could have made: a line for each process, mount,
/// device, route, table of nftables, cgroup of pods, container, file and enabled unit.
pub struct Traces(BTreeSet<String>);

/// Prints them. Left out is what Debian and systemd write at any time.
const LOOK: &str = r"
for process in /proc/[0-9]*; do
    program=$(readlink $process/exe) && echo process $program
done
awk '{ print $2, $3 }' /proc/self/mounts | sed 's/^/mount /'
ip -o link | awk '{ print $2 }' | sed 's/^/device /'
{ ip route show table all; ip rule; } | sed 's/^/route /'
ls /run/netns 2>/dev/null | sed 's/^/network namespace /'
if command -v nft >/dev/null; then
    nft --stateless list ruleset | grep -E 'hardway|CNI|cbr0|cni0|10\.(244|96)\.' | sed 's/^/nftables /'
fi
find /sys/fs/cgroup -type d -name '*kubepods*' | sed 's/^/cgroup /'
find /run/containerd /var/lib/containerd -regextype posix-extended \
    -regex '.*/[0-9a-f]{64}' ! -path '*/io.containerd.content*' 2>/dev/null | sed 's/^/container /'
find / /run -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp \
    -o -path /root -o -path /usr/share -o -path /var/cache -o -path /var/log/journal \
    -o -path /var/log/apt -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd \
    -o -path /run/systemd -o -path /run/credentials -o -path /run/containerd -o -path /run/log \
    \) -prune -o -print | sed 's/^/file /'
systemctl list-unit-files --state=enabled --no-legend | sed 's/^/enabled /'
true
";

impl Traces {
    /// Those of a host as it is now.
    #[track_caller]
    pub fn of(host: &Host) -> Self {
        let seen = host.run(LOOK);
        // Whoever looks is there too, and systemd's helpers come and go.
        let is_passing = |line: &str| {
            line.starts_with("process /usr/lib/systemd/")
                || line.starts_with("process /lib/systemd/")
                || line.starts_with("mount /run/credentials/")
                || ["bash", "dash", "sed", "awk", "mawk", "find"]
                    .iter()
                    .any(|program| line == format!("process /usr/bin/{program}"))
        };
        Self(
            seen.lines()
                .filter(|line| !is_passing(line))
                .map(str::to_owned)
                .collect(),
        )
    }

    /// What is on a host now that wasn't.
    #[track_caller]
    pub fn since(host: &Host, before: &Self) -> Vec<String> {
        let now = Self::of(host);
        let new = now.0.difference(&before.0);
        new.map(|line| format!("{}: {line}", host.name)).collect()
    }
}
