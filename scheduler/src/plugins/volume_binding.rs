//! Whether a pod's claims have volumes that its node can use, or can get some there.

use crate::framework::{ClusterEvent, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::storage::{Claims, Mismatch, Storage};

/// The plugin, and what it knows of storage.
pub struct VolumeBinding(pub Storage);

/// The pod's claims, or why it can't be anywhere.
struct OfPod(Result<Claims, Mismatch>);
impl Prepared for OfPod {}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn prepare(&self, pod: &PodInfo, _: Nodes<'_>) -> Box<dyn Prepared> {
        Box::new(OfPod(match pod.claims.is_empty() {
            true => Ok(Claims::default()),
            false => self.0.claims_of(&pod.pod),
        }))
    }

    fn pre_filter(&self, of_pod: &dyn Prepared, _: &PodInfo) -> Result<(), Rejection> {
        match &prepared::<OfPod>(of_pod).0 {
            Ok(_) => Ok(()),
            Err(why) => self.reject(why.to_string(), false),
        }
    }

    fn filters(&self, _: &dyn Prepared, pod: &PodInfo) -> bool {
        !pod.claims.is_empty()
    }

    fn filter(&self, of_pod: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let OfPod(Ok(claims)) = prepared::<OfPod>(of_pod) else {
            return Ok(());
        };
        let Err(reasons) = self.0.choose(claims, node) else {
            return Ok(());
        };
        Err(Rejection {
            plugin: self.name(),
            reasons: reasons.iter().map(|why| why.to_string().into()).collect(),
            resolvable: false,
        })
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        use ClusterEvent::{NodeAdded, NodeChanged, StorageChanged};
        matches!(event, NodeAdded | NodeChanged | StorageChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, node, pod};
    use super::*;
    use crate::storage::testing::{storage, with_drivers};
    use serde_json::{Value, json};

    /// The reasons against nodes `a` and `b`, of a pod with the claim `data`.
    fn reasons(claim: Value, volumes: Value, classes: Value) -> Vec<String> {
        let nodes = ["a", "b"].map(|name| node(name, json!({"host": name}), json!({})));
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
        let pod = pod(json!({ "volumes": [volume] }));
        let plugin = VolumeBinding(storage(claim, volumes, classes));
        let all = filter(plugin, &pod, nodes.into());
        all.into_iter().map(|reasons| reasons.join("; ")).collect()
    }

    fn claim(spec: Value, annotations: Value) -> Value {
        let mut all = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                             "resources": {"requests": {"storage": "1Gi"}}});
        for (field, value) in spec.as_object().unwrap() {
            all[field] = value.clone();
        }
        json!({"metadata": {"namespace": "default", "name": "data", "uid": "u",
                            "annotations": annotations}, "spec": all})
    }

    /// A volume of the class `local` on the host `a`.
    fn on_a(claim_ref: Value) -> Value {
        json!([{"metadata": {"name": "v"}, "status": {"phase": "Available"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "storageClassName": "local", "claimRef": claim_ref, "local": {"path": "/x"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "host", "operator": "In", "values": ["a"]}]}]}}}}])
    }

    fn local(provisioner: &str) -> Value {
        json!([{"metadata": {"name": "local"}, "provisioner": provisioner,
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowedTopologies": [{"matchLabelExpressions": [
                    {"key": "host", "values": ["b"]}]}]}])
    }

    #[test]
    fn a_bound_claim_holds_the_pod_to_its_volumes_nodes() {
        let done = json!({"pv.kubernetes.io/bind-completed": "yes"});
        let bound = claim(json!({"volumeName": "v"}), done);
        let of = json!({"namespace": "default", "name": "data", "uid": "u"});
        assert_eq!(
            reasons(bound.clone(), on_a(of), json!([])),
            ["", "node(s) had volume node affinity conflict"]
        );
        let gone = reasons(bound, json!([]), json!([]));
        assert!(gone[0].contains("non-existent pv"), "{gone:?}");
    }

    #[test]
    fn an_unbound_claim_is_waited_for_unless_its_class_waits_for_the_pod() {
        let immediate = claim(json!({}), json!({}));
        let why = "pod has unbound immediate PersistentVolumeClaims";
        assert_eq!(reasons(immediate, json!([]), json!([])), [why, why]);
        let waits = || claim(json!({"storageClassName": "local"}), json!({}));
        let nobody = local("kubernetes.io/no-provisioner");
        assert_eq!(
            reasons(waits(), on_a(Value::Null), nobody),
            [
                "",
                "node(s) didn't find available persistent volumes to bind"
            ]
        );
        // One can be made on host b.
        let made = reasons(waits(), on_a(Value::Null), local("x.io/p"));
        assert_eq!(made, ["", ""]);
        let made = reasons(waits(), json!([]), local("x.io/p"));
        assert_eq!(made[1], "");
        assert!(made[0].contains("didn't find available"), "{made:?}");
        // It is being made there.
        let selected = json!({"volume.kubernetes.io/selected-node": "b"});
        let selected = claim(json!({"storageClassName": "local"}), selected);
        let made = reasons(selected, json!([]), local("x.io/p"));
        assert_eq!(made[1], "");
        assert!(!made[0].is_empty());
    }

    #[test]
    fn a_claim_that_is_missing_is_named() {
        let mut other = claim(json!({}), json!({}));
        other["metadata"]["name"] = json!("other");
        let why = "persistentvolumeclaim \"data\" not found";
        assert_eq!(reasons(other, json!([]), json!([])), [why, why]);
    }

    #[test]
    fn a_pods_own_claim_is_waited_for_and_must_be_its_own() {
        let volume = json!({"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}});
        let pod = pod(json!({ "volumes": [volume] }));
        let why = |claim: Value| {
            let plugin = VolumeBinding(storage(claim, json!([]), local("x.io/p")));
            let nodes = vec![node("b", json!({"host": "b"}), json!({}))];
            filter(plugin, &pod, nodes).remove(0).join("; ")
        };
        assert_eq!(
            why(claim(json!({}), json!({}))),
            "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-scratch\""
        );
        let mut made = claim(json!({"storageClassName": "local"}), json!({}));
        made["metadata"]["name"] = json!("p-scratch");
        assert_eq!(
            why(made.clone()),
            "PVC default/p-scratch was not created for pod default/p (pod is not owner)"
        );
        made["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod",
            "name": "p", "uid": "p", "controller": true}]);
        assert_eq!(why(made), "");
    }

    #[test]
    fn one_volume_of_many_is_found_by_its_host() {
        let on = |host: &str, size: &str| {
            json!({"metadata": {"name": format!("{host}-{size}")}, "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size},
                "storageClassName": "local", "local": {"path": "/x"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]}}},
                "status": {"phase": "Available"}})
        };
        let volumes = json!([on("b", "2Gi"), on("b", "1Gi"), on("c", "1Gi")]);
        let waits = claim(json!({"storageClassName": "local"}), json!({}));
        let storage = storage(waits, volumes, local("kubernetes.io/no-provisioner"));
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
        let pod = pod(json!({ "volumes": [volume] }));
        let claims = storage.claims_of(&pod.pod).unwrap();
        let chosen = |name: &str| {
            let node = node(name, json!({"kubernetes.io/hostname": name}), json!({}));
            let choices = storage.choose(&claims, &node).ok()?;
            match &choices[..] {
                [crate::storage::Choice::Volume(_, volume)] => volume.metadata.name.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(chosen("a"), None);
        assert_eq!(chosen("b").unwrap(), "b-1Gi", "the smaller one");
        assert_eq!(chosen("c").unwrap(), "c-1Gi");
    }

    #[test]
    fn a_driver_that_tells_its_room_must_have_some_for_the_node() {
        let waits = claim(json!({"storageClassName": "local"}), json!({}));
        let room = |more: Value| {
            let mut told = json!({"metadata": {"namespace": "x", "name": "r"},
                "storageClassName": "local", "capacity": "2Gi",
                "nodeTopology": {"matchLabels": {"host": "b"}}});
            for (field, value) in more.as_object().unwrap() {
                told[field] = value.clone();
            }
            let drivers = json!([{"metadata": {"name": "x.io/p"},
                                  "spec": {"storageCapacity": true}}]);
            let storage = storage(waits.clone(), json!([]), local("x.io/p"));
            let plugin = VolumeBinding(with_drivers(
                storage,
                drivers,
                json!([]),
                json!([told]),
                json!([]),
            ));
            let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
            let pod = pod(json!({ "volumes": [volume] }));
            let nodes = vec![node("b", json!({"host": "b"}), json!({}))];
            filter(plugin, &pod, nodes).remove(0).join("; ")
        };
        let little = "node(s) did not have enough free storage";
        assert_eq!(room(json!({})), "");
        assert_eq!(room(json!({"capacity": "1Mi"})), little);
        assert_eq!(room(json!({"maximumVolumeSize": "1Mi"})), little);
        assert_eq!(room(json!({"nodeTopology": null})), little);
        assert_eq!(
            room(json!({"nodeTopology": {"matchLabels": {"host": "a"}}})),
            little
        );
    }

    /// How long one pod's filter takes where each of many nodes has a free volume; beside it,
    /// going through all volumes for each node. Only when asked for:
    /// `cargo test -p hardway-scheduler --lib -- --ignored --nocapture many_nodes`
    #[test]
    #[ignore = "a measurement"]
    fn one_claim_on_many_nodes() {
        use hardway_proto::claims::{allows_node, best_match};
        const NODES: usize = 1000;
        let volume = |number: usize| {
            let host = format!("host-{number}");
            json!({"metadata": {"name": host}, "status": {"phase": "Available"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                "storageClassName": "local", "local": {"path": "/x"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}]}}}})
        };
        let volumes: Vec<Value> = (0..NODES).map(volume).collect();
        let waits = claim(json!({"storageClassName": "local"}), json!({}));
        let parse = |volume: &Value| serde_json::from_value(volume.clone()).unwrap();
        let all: Vec<_> = volumes
            .iter()
            .map(|v| std::sync::Arc::new(parse(v)))
            .collect();
        let nobody = local("kubernetes.io/no-provisioner");
        let plugin = VolumeBinding(storage(waits.clone(), json!(volumes), nobody));
        let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "data"}});
        let pod = pod(json!({ "volumes": [volume] }));
        let nodes: Vec<_> = (0..NODES)
            .map(|number| {
                let host = format!("host-{number}");
                node(&host, json!({"kubernetes.io/hostname": host}), json!({}))
            })
            .collect();

        let begun = std::time::Instant::now();
        let waits = serde_json::from_value(waits).unwrap();
        for node in &nodes {
            let here = |v: &_| allows_node(v, &node.name, node.labels());
            assert!(best_match(&waits, &all, here).is_some());
        }
        let each = begun.elapsed();
        let begun = std::time::Instant::now();
        assert!(filter(plugin, &pod, nodes).iter().all(Vec::is_empty));
        println!(
            "{NODES} nodes: {:?} now, {each:?} volume by volume",
            begun.elapsed()
        );
    }
}
