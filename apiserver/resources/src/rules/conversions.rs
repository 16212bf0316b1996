//! Between the shape an object is kept in and the shapes other versions show:
//! pure functions, and what those versions default in their own way.

mod autoscaler;
mod budget;
mod events;
mod ingress;
mod slices;
mod workloads;

use serde_json::Value;

pub(super) use workloads::TEMPLATE_GENERATION;

/// How one version shows the objects of another. The functions change all but
/// `apiVersion`; taking an object there and back changes nothing.
#[derive(Clone, Copy)]
pub struct Conversion {
    /// What this version fills in, on objects in its own shape, before the
    /// kept version's defaults.
    pub default: fn(&mut Value),
    /// From this version's shape to the kept one.
    pub to_storage: fn(&mut Value),
    /// From the kept shape to this version's.
    pub to_external: fn(&mut Value),
    /// By which labels objects can be selected in this version, and the kept fields they
    /// stand for; `None` where they are those of the kept version.
    pub labels: Option<&'static [(&'static str, &'static str)]>,
}

/// Of a version that differs in its name alone.
const SAME: Conversion = Conversion {
    default: |_| {},
    to_storage: |_| {},
    to_external: |_| {},
    labels: None,
};

/// The conversion of a row that shows another's objects.
pub fn find(group: &str, version: &str, kind: &str) -> Conversion {
    match (group, version, kind) {
        ("events.k8s.io", _, "Event") => events::EVENTS,
        ("autoscaling", "v1", _) => Conversion {
            to_storage: autoscaler::to_v2,
            to_external: autoscaler::to_v1,
            ..SAME
        },
        ("extensions", _, "Deployment") => workloads::DEPLOYMENT_OF_EXTENSIONS,
        ("apps", "v1beta1", "Deployment") => workloads::DEPLOYMENT_OF_APPS_V1BETA1,
        ("extensions", _, "DaemonSet") => workloads::DAEMON_SET,
        ("extensions", _, "ReplicaSet") => workloads::REPLICA_SET,
        ("apps", "v1beta1", "StatefulSet") => workloads::STATEFUL_SET,
        ("extensions" | "networking.k8s.io", "v1beta1", "Ingress") => ingress::INGRESS,
        ("discovery.k8s.io", "v1beta1", _) => slices::SLICE,
        ("policy", "v1beta1", _) => budget::BUDGET,
        _ => SAME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;
    use serde_json::json;

    #[test]
    fn conversions_bear_objects_of_any_shape() {
        for row in rows::all().filter(|row| row.shows.is_some()) {
            let conversion = find(row.group, row.versions[0], row.kind);
            for object in [
                json!({}),
                json!([]),
                json!({"spec": null, "metadata": null}),
                json!({"spec": "text", "metadata": [], "status": 1}),
                json!({"metadata": {"name": "a"}, "spec": {"template": {}, "rules": [{}, null, 1]}}),
                json!({"metadata": {"annotations": {}}, "spec": {"selector": 1, "backend": []}}),
            ] {
                for step in [
                    conversion.default,
                    conversion.to_storage,
                    conversion.to_external,
                ] {
                    step(&mut object.clone());
                }
                let mut once = object.clone();
                (conversion.default)(&mut once);
                let mut twice = once.clone();
                (conversion.default)(&mut twice);
                assert_eq!(once, twice, "defaults of {} settle", row.kind);
            }
        }
    }
}
