//! A pod's `resolv.conf`, by its `dnsPolicy` and `dnsConfig`.

use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};

/// Most name servers a resolver uses.
const MAX_SERVERS: usize = 3;
/// Most search domains Kubernetes writes.
const MAX_SEARCHES: usize = 32;
/// Longest list of search domains Kubernetes writes.
const MAX_SEARCH_LENGTH: usize = 2048;

/// The three lines of a `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options, e.g. `ndots:5`.
    pub options: Vec<String>,
}

/// What the node knows about DNS.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Addresses of the cluster's DNS service.
    pub cluster_dns: Vec<String>,
    /// The cluster's domain, e.g. `cluster.local`.
    pub cluster_domain: String,
    /// The node's own `resolv.conf`.
    pub host: ResolvConf,
}

/// Something to tell the pod's owner: reason and message of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Reason of the event.
    pub reason: &'static str,
    /// Its message.
    pub message: String,
}

/// Reads a `resolv.conf`. As in the resolver, the last `search` line counts.
pub fn parse(text: &str) -> ResolvConf {
    let mut conf = ResolvConf::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => conf.servers.extend(words.next().map(str::to_owned)),
            Some("search") => conf.searches = words.map(strip_dot).collect(),
            Some("options") => conf.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    conf
}

fn strip_dot(domain: &str) -> String {
    match domain.strip_suffix('.') {
        Some(stripped) if !stripped.is_empty() => stripped.to_owned(),
        _ => domain.to_owned(),
    }
}

/// What the pod's `resolv.conf` says, and what of it had to be left out.
pub fn for_pod(pod: &Pod, node: &Node) -> (ResolvConf, Vec<Warning>) {
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|s| s.host_network) == Some(true);
    let policy = spec.and_then(|s| s.dns_policy.as_deref());
    let cluster = match policy.unwrap_or("ClusterFirst") {
        "None" => None,
        "ClusterFirstWithHostNet" => Some(true),
        "ClusterFirst" => Some(!host_network),
        _ => Some(false),
    };
    let mut warnings = Vec::new();
    let mut conf = match cluster {
        None => ResolvConf::default(),
        Some(true) if !node.cluster_dns.is_empty() => cluster_first(pod.namespace(), node),
        Some(true) => {
            let policy = policy.unwrap_or("ClusterFirst");
            warnings.push(Warning {
                reason: "MissingClusterDNS",
                message: format!(
                    "kubelet does not have ClusterDNS IP configured and cannot create Pod using {policy:?} policy. Falling back to \"Default\" policy."
                ),
            });
            node.host.clone()
        }
        Some(false) => node.host.clone(),
    };
    if let Some(config) = spec.and_then(|s| s.dns_config.as_ref()) {
        merge(&mut conf, config);
    }
    limit(&mut conf, &mut warnings);
    (conf, warnings)
}

fn cluster_first(namespace: &str, node: &Node) -> ResolvConf {
    let domain = &node.cluster_domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        searches.push(format!("{namespace}.svc.{domain}"));
        searches.push(format!("svc.{domain}"));
        searches.push(domain.clone());
    }
    searches.extend(node.host.searches.iter().cloned());
    ResolvConf {
        servers: node.cluster_dns.clone(),
        searches: unique(searches),
        options: vec!["ndots:5".into()],
    }
}

fn merge(conf: &mut ResolvConf, config: &PodDNSConfig) {
    conf.servers
        .extend(config.nameservers.iter().flatten().cloned());
    conf.searches
        .extend(config.searches.iter().flatten().cloned());
    conf.servers = unique(std::mem::take(&mut conf.servers));
    conf.searches = unique(std::mem::take(&mut conf.searches));
    for option in config.options.iter().flatten() {
        let Some(name) = option.name.as_deref() else {
            continue;
        };
        conf.options.retain(|o| o.split(':').next() != Some(name));
        conf.options.push(match option.value.as_deref() {
            Some(value) if !value.is_empty() => format!("{name}:{value}"),
            _ => name.to_owned(),
        });
    }
}

fn unique(list: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

fn limit(conf: &mut ResolvConf, warnings: &mut Vec<Warning>) {
    let mut warn = |message: String| {
        let reason = "DNSConfigForming";
        warnings.push(Warning { reason, message });
    };
    if conf.servers.len() > MAX_SERVERS {
        conf.servers.truncate(MAX_SERVERS);
        let line = conf.servers.join(" ");
        warn(format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {line}"
        ));
    }
    let before = conf.searches.len();
    conf.searches.truncate(MAX_SEARCHES);
    while conf.searches.join(" ").len() > MAX_SEARCH_LENGTH {
        conf.searches.pop();
    }
    if conf.searches.len() < before {
        let line = conf.searches.join(" ");
        warn(format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {line}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node() -> Node {
        Node {
            cluster_dns: vec!["10.96.0.10".into()],
            cluster_domain: "cluster.local".into(),
            host: parse("nameserver 9.9.9.9\nsearch old\nsearch lan.\noptions edns0 ndots:1\n"),
        }
    }

    fn conf(spec: Value) -> (ResolvConf, Vec<Warning>) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod = json!({"metadata": {"namespace": "shop"}, "spec": spec});
        for_pod(&serde_json::from_value(pod).unwrap(), &node())
    }

    #[test]
    fn cluster_first() {
        let (conf, warnings) = conf(json!({"dnsPolicy": "ClusterFirst"}));
        assert_eq!(conf.servers, ["10.96.0.10"]);
        assert_eq!(
            conf.searches,
            [
                "shop.svc.cluster.local",
                "svc.cluster.local",
                "cluster.local",
                "lan"
            ]
        );
        assert_eq!(conf.options, ["ndots:5"]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn host_network_pods_use_the_hosts_unless_told() {
        let (default, _) = conf(json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}));
        assert_eq!(default, node().host);
        let policy = "ClusterFirstWithHostNet";
        let (cluster, _) = conf(json!({"dnsPolicy": policy, "hostNetwork": true}));
        assert_eq!(cluster.servers, ["10.96.0.10"]);
    }

    #[test]
    fn own_configuration_is_merged_in() {
        let (conf, _) = conf(json!({"dnsPolicy": "ClusterFirst", "dnsConfig": {
            "nameservers": ["1.1.1.1", "10.96.0.10"], "searches": ["my.dom", "cluster.local"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        }}));
        assert_eq!(conf.servers, ["10.96.0.10", "1.1.1.1"]);
        assert_eq!(conf.searches.last().unwrap(), "my.dom");
        assert_eq!(conf.options, ["ndots:2", "edns0"]);
    }

    #[test]
    fn none_is_only_what_the_pod_says_within_limits() {
        let (conf, warnings) = conf(json!({"dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"],
        }}));
        assert_eq!(conf.servers.len(), 3);
        assert_eq!(warnings[0].reason, "DNSConfigForming");
        assert!(warnings[0].message.ends_with("is: 1.1.1.1 2.2.2.2 3.3.3.3"));
    }

    #[test]
    fn without_cluster_dns_the_hosts_is_used_and_told() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": []}})).unwrap();
        let node = Node {
            cluster_dns: vec![],
            ..node()
        };
        let (conf, warnings) = for_pod(&pod, &node);
        assert_eq!(conf, node.host);
        assert_eq!(warnings[0].reason, "MissingClusterDNS");
    }
}
