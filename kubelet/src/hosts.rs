//! A pod's host name and the content of its `/etc/hosts`.

use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use std::fmt::Write;

/// A pod's own name on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Short name.
    pub hostname: String,
    /// Domain; empty without a `subdomain`.
    pub domain: String,
}

impl Names {
    /// Name and domain, with a dot between if there are both.
    pub fn fqdn(&self) -> String {
        if self.domain.is_empty() {
            self.hostname.clone()
        } else {
            format!("{}.{}", self.hostname, self.domain)
        }
    }
}

/// Longest host name Linux takes.
const MAX_HOSTNAME: usize = 63;

/// What a pod is called: `hostname` and `subdomain` of its spec, or its name.
pub fn names(pod: &Pod, cluster_domain: &str) -> Names {
    let spec = pod.spec.as_ref();
    let set = |text: Option<&String>| text.filter(|t| !t.is_empty()).cloned();
    let hostname = set(spec.and_then(|s| s.hostname.as_ref())).unwrap_or_else(|| {
        let fits = |&(at, letter): &(usize, char)| at + letter.len_utf8() <= MAX_HOSTNAME;
        let name = pod.name().char_indices();
        let short: String = name.take_while(fits).map(|(_, letter)| letter).collect();
        short.trim_end_matches(['-', '.']).to_owned()
    });
    let domain = set(spec.and_then(|s| s.subdomain.as_ref()))
        .map(|sub| format!("{sub}.{}.svc.{cluster_domain}", pod.namespace()))
        .unwrap_or_default();
    Names { hostname, domain }
}

/// The hosts file of a pod. Pods in the host's network get the host's
/// entries, given as `host_file`; others their own addresses.
pub fn content(pod: &Pod, pod_ips: &[String], names: &Names, host_file: &str) -> String {
    let spec = pod.spec.as_ref();
    let mut text = if spec.and_then(|s| s.host_network) == Some(true) {
        format!("# Kubernetes-managed hosts file (host network).\n{host_file}")
    } else {
        own_entries(pod_ips, names)
    };
    let aliases = spec.and_then(|s| s.host_aliases.as_deref()).unwrap_or(&[]);
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let hosts = alias.hostnames.as_deref().unwrap_or(&[]).join("\t");
        let _ = writeln!(text, "{}\t{hosts}", alias.ip);
    }
    text
}

fn own_entries(pod_ips: &[String], names: &Names) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    for ip in pod_ips {
        let _ = if names.domain.is_empty() {
            writeln!(text, "{ip}\t{}", names.hostname)
        } else {
            writeln!(text, "{ip}\t{}\t{}", names.fqdn(), names.hostname)
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn names_come_from_the_spec_or_the_pod() {
        let plain = names(&pod(json!({"containers": []})), "cluster.local");
        assert_eq!(
            (plain.fqdn().as_str(), plain.domain.as_str()),
            ("web-1", "")
        );
        let spec = json!({"containers": [], "hostname": "db", "subdomain": "data"});
        let set = names(&pod(spec), "cluster.local");
        assert_eq!(set.fqdn(), "db.data.shop.svc.cluster.local");
        let mut long = pod(json!({"containers": []}));
        long.metadata.name = Some(format!("{}-tail", "a".repeat(62)));
        assert_eq!(names(&long, "x").hostname, "a".repeat(62));
    }

    #[test]
    fn own_addresses_and_aliases() {
        let pod = pod(json!({
            "containers": [], "hostname": "db", "subdomain": "data",
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["foo", "bar"]}],
        }));
        let names = names(&pod, "cluster.local");
        let text = content(&pod, &["10.244.1.5".into()], &names, "");
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with(
            "10.244.1.5\tdb.data.shop.svc.cluster.local\tdb\n\
             \n# Entries added by HostAliases.\n1.2.3.4\tfoo\tbar\n"
        ));
    }

    #[test]
    fn host_network_takes_the_hosts_entries() {
        let pod = pod(json!({"containers": [], "hostNetwork": true}));
        let names = names(&pod, "cluster.local");
        assert_eq!(
            content(&pod, &[], &names, "127.0.0.1 localhost\n"),
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"
        );
    }
}
