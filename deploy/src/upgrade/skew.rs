//! Which versions may be beside each other: Kubernetes' version skew policy
//! (<https://kubernetes.io/releases/version-skew-policy/>).

use super::version::Version;

/// So many minor versions apart apiservers may be.
const API_SERVERS: u32 = 1;
/// So many minor versions older than an apiserver a node may be.
const NODES: u32 = 3;

/// Somebody with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// An address of an apiserver, or a node's name.
    pub name: String,
    /// Its version.
    pub version: Version,
}

/// What runs in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// The apiservers of other hosts.
    pub api_servers: Vec<Versioned>,
    /// All nodes that are known of.
    pub nodes: Vec<Versioned>,
}

/// What keeps a control plane from going from one version to another.
pub fn of_control_plane(from: Version, to: Version, running: &Running) -> Vec<String> {
    let mut problems = Vec::new();
    if from.kubernetes[0] != to.kubernetes[0] || from.minor().abs_diff(to.minor()) > API_SERVERS {
        problems.push(format!(
            "from {from} to {to} is more than one minor version of Kubernetes: go there by those in between"
        ));
    }
    for other in &running.api_servers {
        if other.version.minor().abs_diff(to.minor()) > API_SERVERS {
            problems.push(format!(
                "the apiserver {} is {}, more than one minor version from {to}: change it first",
                other.name, other.version
            ));
        }
    }
    for node in &running.nodes {
        problems.extend(beside(
            &node.name,
            node.version,
            "the control plane here",
            to,
        ));
    }
    problems
}

/// What keeps a node from going to a version.
pub fn of_node(name: &str, to: Version, running: &Running) -> Vec<String> {
    let beside = |server: &Versioned| {
        let what = format!("the apiserver {}", server.name);
        beside(name, to, &what, server.version)
    };
    running.api_servers.iter().filter_map(beside).collect()
}

/// Why a node can't be beside an apiserver. One that lacks what a newer node asks for is worse
/// than one that is asked by an old one.
fn beside(node: &str, of_node: Version, server: &str, of_server: Version) -> Option<String> {
    if of_node.is_newer_than(of_server) {
        return Some(format!(
            "node {node} would be {of_node}, and {server} {of_server}: control planes go first when versions go up, and last when they go down"
        ));
    }
    (of_server.minor() - of_node.minor() > NODES).then(|| {
        format!(
            "node {node} would be {of_node}, more than three minor versions older than {server} ({of_server}): upgrade the node first"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn running(api_servers: &[&str], nodes: &[&str]) -> Running {
        let all = |of: &[&str]| {
            let one = |(number, text): (usize, &&str)| Versioned {
                name: format!("n{number}"),
                version: version(text),
            };
            of.iter().enumerate().map(one).collect()
        };
        Running {
            api_servers: all(api_servers),
            nodes: all(nodes),
        }
    }

    /// The examples are those of Kubernetes' page.
    #[test]
    fn control_planes_go_a_minor_version_at_a_time() {
        for (from, to, others, nodes, problems) in [
            (
                "1.33.0",
                "1.34.0",
                vec!["1.33.0", "1.33.0"],
                vec!["1.33.0"],
                0,
            ),
            (
                "1.33.0",
                "1.34.0",
                vec!["1.34.0", "1.33.2"],
                vec!["1.31.0"],
                0,
            ),
            ("1.33.0", "1.33.0", vec![], vec![], 0),
            ("1.33.0", "1.35.0", vec![], vec![], 1),
            ("1.33.0", "2.0.0", vec![], vec![], 1),
            // Apiservers two versions apart.
            ("1.33.0", "1.34.0", vec!["1.32.0"], vec![], 1),
            // Nodes four versions behind, and newer ones.
            ("1.33.0", "1.34.0", vec![], vec!["1.30.0"], 1),
            ("1.33.0", "1.34.0", vec![], vec!["1.35.0", "1.29.0"], 2),
            // Back: nodes go first.
            ("1.34.0", "1.33.0", vec!["1.34.0"], vec!["1.33.0"], 0),
            ("1.34.0", "1.33.0", vec!["1.34.0"], vec!["1.34.0"], 1),
            (
                "1.33.0+hardway0.2.0",
                "1.33.0+hardway0.1.0",
                vec![],
                vec!["1.33.0"],
                0,
            ),
        ] {
            let found = of_control_plane(version(from), version(to), &running(&others, &nodes));
            assert_eq!(found.len(), problems, "{from} to {to}: {found:#?}");
        }
    }

    #[test]
    fn nodes_are_no_newer_than_any_apiserver_and_three_versions_older_at_most() {
        for (to, servers, problems) in [
            ("1.33.0", vec!["1.33.0", "1.34.0"], 0),
            ("1.31.0", vec!["1.34.0"], 0),
            ("1.30.0", vec!["1.34.0", "1.33.0"], 1),
            ("1.34.0", vec!["1.34.0", "1.33.0"], 1),
            ("1.33.1", vec!["1.33.0"], 1),
            ("1.33.0+hardway0.2.0", vec!["1.33.0+hardway0.1.0"], 1),
            ("1.33.0+hardway0.2.0", vec!["1.33.0+hardway0.2.0"], 0),
        ] {
            let found = of_node("worker-1", version(to), &running(&servers, &[]));
            assert_eq!(found.len(), problems, "{to} of {servers:?}: {found:#?}");
        }
        let told = of_node("worker-1", version("1.34.0"), &running(&["1.33.0"], &[]));
        assert!(told[0].contains("control planes go first"), "{told:?}");
    }
}
