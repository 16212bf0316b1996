//! Ports of a pod that collide.

use crate::rules::field::Path;
use crate::rules::json::{int, list, text};
use serde_json::Value;
use std::collections::HashMap;

/// Warnings of the ports of all containers.
pub(super) fn collect(warnings: &mut Vec<String>, containers: &[(Path, &Value)]) {
    let mut seen: HashMap<(i64, &str), Vec<(Path, &Value)>> = HashMap::new();
    let number = |port: &Value, field: &str| int(port, field).unwrap_or_default();
    for (path, container) in containers {
        for (i, port) in list(container, "ports").iter().enumerate() {
            let path = path.child("ports").index(i);
            let (ip, host) = (text(port, "hostIP"), number(port, "hostPort"));
            let (container, protocol) = (number(port, "containerPort"), text(port, "protocol"));
            if !ip.is_empty() && host == 0 {
                let name = text(port, "name");
                warnings.push(format!(
                    "{path}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{container} Protocol:{protocol} HostIP:{ip}}}"
                ));
            }
            let others = seen.entry((container, protocol)).or_default();
            for (other_path, other) in others.iter() {
                let (other_ip, other_host) = (text(other, "hostIP"), number(other, "hostPort"));
                let what = if (ip, host) == (other_ip, other_host) {
                    "duplicate"
                } else if host == 0 || other_host == 0 {
                    "overlapping"
                } else if host == other_host && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                warnings.push(format!("{path}: {what} port definition with {other_path}"));
            }
            others.push((path, port));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_that_collide() {
        let containers = [
            json!({"ports": [
                {"name": "http", "containerPort": 80, "protocol": "TCP"},
                {"containerPort": 80, "protocol": "TCP"},
                {"containerPort": 80, "protocol": "UDP"},
                {"containerPort": 80, "protocol": "TCP", "hostPort": 8080}]}),
            json!({"ports": [
                {"containerPort": 53, "protocol": "UDP", "hostPort": 53},
                {"containerPort": 53, "protocol": "UDP", "hostPort": 53, "hostIP": "10.0.0.1"},
                {"name": "a", "containerPort": 1, "protocol": "TCP", "hostIP": "10.0.0.1"}]}),
        ];
        let containers = containers.iter().enumerate();
        let containers: Vec<(Path, &Value)> = containers
            .map(|(i, container)| (Path::new("c").index(i), container))
            .collect();
        let mut warnings = Vec::new();
        collect(&mut warnings, &containers);
        assert_eq!(
            warnings,
            [
                "c[0].ports[1]: duplicate port definition with c[0].ports[0]",
                "c[0].ports[3]: overlapping port definition with c[0].ports[0]",
                "c[0].ports[3]: overlapping port definition with c[0].ports[1]",
                "c[1].ports[1]: dangerously ambiguous port definition with c[1].ports[0]",
                "c[1].ports[2]: hostIP set without hostPort: {Name:a HostPort:0 ContainerPort:1 Protocol:TCP HostIP:10.0.0.1}",
            ]
        );
    }
}
