//! Who makes the cgroups of containers, as containerd tells in its
//! configuration: runc itself below the pod's, or systemd.

use serde_json::Value;
use std::collections::BTreeMap;

/// Whether it is systemd, from what the runtime tells of itself. Then a pod's
/// cgroup would have to be a slice, and no pod starts below those that the
/// kubelet makes. Runtimes that don't tell are taken to know what they do.
pub fn is_systemd(info: &BTreeMap<String, String>) -> bool {
    let config = info
        .get("config")
        .and_then(|text| serde_json::from_str(text).ok());
    let config: Value = config.unwrap_or_default();
    let containerd = &config["containerd"];
    let runtime = containerd["defaultRuntimeName"].as_str().unwrap_or("runc");
    containerd["runtimes"][runtime]["options"]["SystemdCgroup"] == true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_default_runtime_counts() {
        let info = |systemd: bool| {
            let config = json!({"containerd": {"snapshotter": "overlayfs", "defaultRuntimeName": "runc",
                "runtimes": {"runc": {"runtimeType": "io.containerd.runc.v2",
                    "options": {"BinaryName": "", "SystemdCgroup": systemd}},
                    "other": {"options": {"SystemdCgroup": !systemd}}}}});
            BTreeMap::from([("config".to_owned(), config.to_string())])
        };
        assert!(is_systemd(&info(true)));
        assert!(!is_systemd(&info(false)));
        assert!(!is_systemd(&BTreeMap::new()));
        let odd = BTreeMap::from([("config".to_owned(), "?".to_owned())]);
        assert!(!is_systemd(&odd));
    }
}
