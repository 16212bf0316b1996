//! What pods and their network need of a kernel, and the programs beside it.

use super::Line;
use super::facts::Facts;

/// Controllers without which limits of pods mean nothing; in version 1 the last is `blkio`.
const CONTROLLERS: &[&str] = &["cpu", "memory", "pids"];

/// The oldest kernel that Kubernetes 1.33 supports.
const OLDEST: (u32, u32) = (4, 19);

/// All of it.
pub fn check(facts: &Facts, runs_pods: bool) -> Vec<Line> {
    let mut all = vec![version(facts)];
    if runs_pods {
        all.extend([
            forwarding(facts),
            bridge(facts),
            overlay(facts),
            controllers(facts),
            swap(facts),
        ]);
        all.extend(programs(facts));
    }
    all
}

fn version(facts: &Facts) -> Line {
    let Some(release) = facts.first("kernel") else {
        return Line::unknown("kernel", "its version can't be read", "uname -r");
    };
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let pair = numbers
        .next()
        .and_then(Result::ok)
        .zip(numbers.next().and_then(Result::ok));
    match pair {
        Some(pair) if pair < OLDEST => Line::bad(
            "kernel",
            format!("{release} is too old; 4.19 is the oldest"),
            "install a newer kernel",
        ),
        _ => Line::good("kernel", release),
    }
}

fn forwarding(facts: &Facts) -> Line {
    match facts.first("forwarding") {
        Some("1") => Line::good("forwarding", "packets are forwarded"),
        _ => Line::bad(
            "forwarding",
            "net.ipv4.ip_forward is not 1: pods reach nothing outside their node",
            "sysctl -w net.ipv4.ip_forward=1, and keep it in /etc/sysctl.d",
        ),
    }
}

fn bridge(facts: &Facts) -> Line {
    match facts.first("bridge") {
        Some("1") => Line::good("bridge", "bridged packets pass netfilter"),
        Some(_) => Line::bad(
            "bridge",
            "net.bridge.bridge-nf-call-iptables is not 1: Services fail for pods of the same node",
            "sysctl -w net.bridge.bridge-nf-call-iptables=1, and keep it in /etc/sysctl.d",
        ),
        None => Line::bad(
            "bridge",
            "br_netfilter is not loaded: Services fail for pods of the same node",
            "modprobe br_netfilter, and keep it in /etc/modules-load.d",
        ),
    }
}

fn overlay(facts: &Facts) -> Line {
    let all = facts.lines("filesystems");
    match all
        .iter()
        .any(|it| it.split_whitespace().last() == Some("overlay"))
    {
        true => Line::good("overlay", "the kernel has overlayfs"),
        false => Line::bad(
            "overlay",
            "the kernel has no overlayfs loaded: containers can't be made of images",
            "modprobe overlay, and keep it in /etc/modules-load.d",
        ),
    }
}

fn controllers(facts: &Facts) -> Line {
    let words: Vec<&str> = facts
        .lines("controllers")
        .iter()
        .flat_map(|it| it.split_whitespace())
        .collect();
    let lacking: Vec<&str> = CONTROLLERS
        .iter()
        .filter(|it| !words.contains(it))
        .copied()
        .collect();
    match lacking.as_slice() {
        [] => Line::good("cgroups", "cpu, memory and pids are controlled"),
        lacking => Line::bad(
            "cgroups",
            format!(
                "no controller for {}: limits of pods are not kept",
                lacking.join(", ")
            ),
            "start the kernel with cgroup_enable=memory, or with systemd.unified_cgroup_hierarchy=1",
        ),
    }
}

fn swap(facts: &Facts) -> Line {
    // A line of titles, and one for each.
    match facts.lines("swap").len() {
        0 | 1 => Line::good("swap", "none"),
        _ => Line::warning(
            "swap",
            "memory is swapped: limits of pods don't mean what they say",
            "swapoff --all, and take it out of /etc/fstab",
        ),
    }
}

/// Programs, and the oldest that is known to work.
const PROGRAMS: &[(&str, (u32, u32))] =
    &[("containerd", (1, 6)), ("runc", (1, 0)), ("nft", (0, 9))];

fn programs(facts: &Facts) -> Vec<Line> {
    let one = |&(name, oldest): &(&'static str, (u32, u32))| {
        let Some(said) = facts.first(name) else {
            return Line::bad(
                name,
                "is not there",
                format!("install it:  apt-get install {}", debian(name)),
            );
        };
        let words = said.split_whitespace();
        let mut versions = words.filter_map(|word| {
            let word = word.trim_start_matches('v');
            let mut numbers = word.split(['.', '~', '+', '-']);
            Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        });
        match versions.next() {
            Some(version) if version < oldest => Line::warning(
                name,
                format!(
                    "{}.{} is older than {}.{}",
                    version.0, version.1, oldest.0, oldest.1
                ),
                "install a newer one",
            ),
            Some((major, minor)) => Line::good(name, format!("{major}.{minor}")),
            None => Line::good(name, said),
        }
    };
    PROGRAMS.iter().map(one).collect()
}

fn debian(program: &str) -> &str {
    match program {
        "nft" => "nftables",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    const GOOD: &str = "[kernel]\n6.1.0-18-amd64\n[forwarding]\n1\n[bridge]\n1\n[filesystems]\nnodev\toverlay\n\
        [controllers]\ncpuset cpu io memory pids\n[swap]\nFilename Type\n[containerd]\n\
        containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1\n[runc]\nrunc version 1.1.5+ds1\n\
        [nft]\nnftables v1.0.6 (Lester Gooch #5)\n";

    #[test]
    fn a_good_host_has_nothing_to_complain_of() {
        let all = check(&Facts::parse(GOOD), true);
        assert!(all.iter().all(|it| it.state == State::Good), "{all:?}");
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn what_is_missing_has_a_way_out() {
        let bad = "[kernel]\n3.10.0\n[forwarding]\n0\n[controllers]\ncpu\n[swap]\na\nb\n[containerd]\nx 1.4.1\n";
        let all = check(&Facts::parse(bad), true);
        assert!(
            all.iter()
                .all(|it| it.state >= State::Warning && !it.way_out.is_empty()),
            "{all:?}"
        );
        assert_eq!(
            check(&Facts::parse(GOOD), false).len(),
            1,
            "who runs no pods needs none of it"
        );
    }
}
