//! Which sysctls pods may set: those that are known to touch nobody else, and
//! those that the node's owner allows.

use crate::admission::Rejection;
use crate::pod;
use hardway_proto::sysctl::{self, Namespace};
use k8s_openapi::api::core::v1::Pod;

/// Those that Kubernetes 1.33 calls safe, with the first kernel that keeps
/// them apart for each pod.
const SAFE: [(&str, (u32, u32)); 12] = [
    ("kernel.shm_rmid_forced", (0, 0)),
    ("net.ipv4.ip_local_port_range", (0, 0)),
    ("net.ipv4.tcp_syncookies", (0, 0)),
    ("net.ipv4.ping_group_range", (0, 0)),
    ("net.ipv4.ip_unprivileged_port_start", (0, 0)),
    ("net.ipv4.ip_local_reserved_ports", (3, 16)),
    ("net.ipv4.tcp_keepalive_time", (4, 5)),
    ("net.ipv4.tcp_fin_timeout", (4, 6)),
    ("net.ipv4.tcp_keepalive_intvl", (4, 5)),
    ("net.ipv4.tcp_keepalive_probes", (4, 5)),
    ("net.ipv4.tcp_rmem", (4, 15)),
    ("net.ipv4.tcp_wmem", (4, 15)),
];
/// What Kubernetes says a pattern must match.
const PATTERN: &str = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]";

/// The sysctls that pods of this node may set.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Names, with dots.
    names: Vec<(String, Namespace)>,
    /// What names may begin with.
    prefixes: Vec<(String, Namespace)>,
}

impl Allowed {
    /// The safe ones of a kernel (its release, as `uname -r` shows it) and
    /// those given: names, or patterns that end in `*`.
    pub fn new(kernel: &str, unsafe_ones: &[String]) -> Result<Self, String> {
        let kernel = version(kernel);
        let mut allowed = Self {
            names: Vec::new(),
            prefixes: Vec::new(),
        };
        let safe = SAFE.iter().filter(|(_, first)| kernel >= *first);
        for (name, _) in safe {
            allowed.add(name)?;
        }
        for pattern in unsafe_ones {
            allowed.add(pattern)?;
        }
        Ok(allowed)
    }

    fn add(&mut self, pattern: &str) -> Result<(), String> {
        let (stem, is_prefix) = match pattern.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (pattern, false),
        };
        // A prefix may end anywhere within a name.
        let whole = if is_prefix {
            format!("{stem}0")
        } else {
            stem.to_owned()
        };
        if !sysctl::is_name(&whole) {
            return Err(format!(
                "sysctl {pattern:?} must have at most {} characters and match regex {PATTERN}",
                sysctl::MAX_LENGTH
            ));
        }
        let stem = sysctl::dotted(stem).into_owned();
        let Some(namespace) = sysctl::namespace(&stem) else {
            return Err(format!(
                "the sysctl {pattern:?} is not known to be namespaced"
            ));
        };
        let list = if is_prefix {
            &mut self.prefixes
        } else {
            &mut self.names
        };
        list.push((stem, namespace));
        Ok(())
    }

    /// Refuses a pod with a sysctl that it may not set.
    pub fn check(&self, pod: &Pod) -> Result<(), Rejection> {
        let spec = pod::spec(pod);
        let context = spec.security_context.as_ref();
        for asked in context
            .and_then(|c| c.sysctls.as_deref())
            .unwrap_or_default()
        {
            let name = sysctl::dotted(&asked.name);
            let why = match self.namespace(&name) {
                None => format!("{name:?} not allowlisted"),
                Some(namespace) => {
                    let shared = match namespace {
                        Namespace::Ipc => spec.host_ipc,
                        Namespace::Net => spec.host_network,
                    };
                    if shared != Some(true) {
                        continue;
                    }
                    format!(
                        "{name:?} not allowed with host {} enabled",
                        namespace.as_str()
                    )
                }
            };
            return Err(Rejection::new(
                "SysctlForbidden",
                format!("forbidden sysctl: {why}"),
            ));
        }
        Ok(())
    }

    fn namespace(&self, name: &str) -> Option<Namespace> {
        let named = self.names.iter().find(|(known, _)| known == name);
        let prefixed = || {
            self.prefixes
                .iter()
                .find(|(p, _)| name.starts_with(p.as_str()))
        };
        named.or_else(prefixed).map(|(_, namespace)| *namespace)
    }
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(allowed: &Allowed, name: &str, host: &str) -> Result<(), String> {
        let pod = json!({"spec": {"containers": [], host: true,
            "securityContext": {"sysctls": [{"name": name, "value": "1"}]}}});
        let outcome = allowed.check(&serde_json::from_value(pod).unwrap());
        outcome.map_err(|r| {
            assert_eq!(r.reason, "SysctlForbidden");
            r.message
        })
    }

    #[test]
    fn what_is_not_known_to_be_safe_is_forbidden() {
        let allowed = Allowed::new("6.1.0-18-amd64", &[]).unwrap();
        let check = |name: &str, host: &str| verdict(&allowed, name, host);
        assert_eq!(check("net.ipv4.tcp_rmem", "hostPID"), Ok(()));
        assert_eq!(check("net/ipv4/tcp_syncookies", "hostIPC"), Ok(()));
        let forbidden = |why: &str| Err(format!("forbidden sysctl: {why}"));
        assert_eq!(
            check("kernel.msgmax", "hostPID"),
            forbidden("\"kernel.msgmax\" not allowlisted")
        );
        assert_eq!(
            check("net/ipv4/tcp_rmem", "hostNetwork"),
            forbidden("\"net.ipv4.tcp_rmem\" not allowed with host net enabled")
        );
        assert_eq!(
            check("kernel.shm_rmid_forced", "hostIPC"),
            forbidden("\"kernel.shm_rmid_forced\" not allowed with host ipc enabled")
        );
    }

    #[test]
    fn an_old_kernel_keeps_fewer_apart() {
        let allowed = Allowed::new("4.4.0", &[]).unwrap();
        assert!(verdict(&allowed, "net.ipv4.tcp_keepalive_time", "hostPID").is_err());
        assert!(verdict(&allowed, "net.ipv4.ip_local_reserved_ports", "hostPID").is_ok());
    }

    #[test]
    fn the_owner_of_the_node_may_allow_more() {
        let more = ["kernel.msg*".to_owned(), "net/core/somaxconn".to_owned()];
        let allowed = Allowed::new("6.1", &more).unwrap();
        assert_eq!(verdict(&allowed, "kernel.msgmax", "hostPID"), Ok(()));
        assert_eq!(verdict(&allowed, "net.core.somaxconn", "hostPID"), Ok(()));
        assert!(verdict(&allowed, "net.core.rmem_max", "hostPID").is_err());
        assert!(verdict(&allowed, "kernel.msgmax", "hostIPC").is_err());
        let refused = |pattern: &str| Allowed::new("6.1", &[pattern.to_owned()]).unwrap_err();
        assert_eq!(
            refused("vm.*"),
            "the sysctl \"vm.*\" is not known to be namespaced"
        );
        assert!(refused("a*b").starts_with("sysctl \"a*b\" must have at most 253"));
    }
}
