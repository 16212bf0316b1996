//! What a pod, or a volume, refers to: the one place that knows every field by
//! which the spec of a pod names another object.
//!
//! The Node authorizer lets a node read what its pods refer to, NodeRestriction
//! lets a node make no pod that refers to anything, and the kubelet watches what
//! it needs: all three go by these tables. A test of the resources' schemas
//! fails when a field is missing here.

use serde_json::Value;
use std::borrow::Cow;

/// The kinds a pod can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Referent {
    Secret,
    ConfigMap,
    PersistentVolumeClaim,
    ServiceAccount,
    ResourceClaim,
    ClusterTrustBundle,
}

use Referent::{
    ClusterTrustBundle, ConfigMap, PersistentVolumeClaim, ResourceClaim, Secret, ServiceAccount,
};

/// Where something is named: the fields on the way, `[]` for a list's items.
pub type Place = (&'static str, Referent);

/// The lists of containers in a pod's spec.
pub const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Places in the spec of a pod, other than in its volumes and containers.
pub const IN_SPEC: &[Place] = &[
    ("serviceAccountName", ServiceAccount),
    ("serviceAccount", ServiceAccount),
    ("imagePullSecrets.[].name", Secret),
    ("resourceClaims.[].resourceClaimName", ResourceClaim),
];

/// Places in each of a pod's `volumes`.
pub const IN_VOLUME: &[Place] = &[
    ("secret.secretName", Secret),
    ("configMap.name", ConfigMap),
    ("projected.sources.[].secret.name", Secret),
    ("projected.sources.[].configMap.name", ConfigMap),
    (
        "projected.sources.[].clusterTrustBundle.name",
        ClusterTrustBundle,
    ),
    (
        "projected.sources.[].clusterTrustBundle.signerName",
        ClusterTrustBundle,
    ),
    ("persistentVolumeClaim.claimName", PersistentVolumeClaim),
    ("csi.nodePublishSecretRef.name", Secret),
    ("azureFile.secretName", Secret),
    ("cephfs.secretRef.name", Secret),
    ("cinder.secretRef.name", Secret),
    ("flexVolume.secretRef.name", Secret),
    ("iscsi.secretRef.name", Secret),
    ("rbd.secretRef.name", Secret),
    ("scaleIO.secretRef.name", Secret),
    ("storageos.secretRef.name", Secret),
];

/// Places in each container.
pub const IN_CONTAINER: &[Place] = &[
    ("env.[].valueFrom.secretKeyRef.name", Secret),
    ("env.[].valueFrom.configMapKeyRef.name", ConfigMap),
    ("envFrom.[].secretRef.name", Secret),
    ("envFrom.[].configMapRef.name", ConfigMap),
];

/// The fields of a PersistentVolume's spec that name a secret the kubelet
/// reads. Those that only controllers read (`controllerPublishSecretRef`,
/// `controllerExpandSecretRef` of CSI) are not a node's business.
pub const IN_PERSISTENT_VOLUME: &[&str] = &[
    "csi.nodePublishSecretRef",
    "csi.nodeStageSecretRef",
    "csi.nodeExpandSecretRef",
    "azureFile",
    "cephfs.secretRef",
    "cinder.secretRef",
    "flexVolume.secretRef",
    "iscsi.secretRef",
    "rbd.secretRef",
    "scaleIO.secretRef",
    "storageos.secretRef",
];

/// Calls `found` with all that a pod refers to in its own namespace (trust
/// bundles have none), as often as it does so. Claims made for the pod are
/// among it: those of ephemeral volumes, and those the pod's status tells of.
pub fn of_pod(pod: &Value, mut found: impl FnMut(Referent, &str)) {
    let spec = &pod["spec"];
    each(spec, IN_SPEC, &mut found);
    for volume in items(&spec["volumes"]) {
        each(volume, IN_VOLUME, &mut found);
        if volume["ephemeral"].is_object() {
            found(PersistentVolumeClaim, &ephemeral_claim(pod, volume));
        }
    }
    for list in CONTAINERS {
        for container in items(&spec[list]) {
            each(container, IN_CONTAINER, &mut found);
        }
    }
    for made in items(&pod["status"]["resourceClaimStatuses"]) {
        let asked = |claim: &Value| claim["name"] == made["name"];
        if let Some(name) = made["resourceClaimName"].as_str()
            && items(&spec["resourceClaims"]).iter().any(asked)
        {
            found(ResourceClaim, name);
        }
    }
}

/// The names of one kind that a pod refers to.
pub fn names(pod: &Value, of: Referent) -> std::collections::BTreeSet<String> {
    let mut names = std::collections::BTreeSet::new();
    of_pod(pod, |referent, name| {
        if referent == of {
            names.insert(name.to_owned());
        }
    });
    names
}

/// The claim of a pod's volume: named by it, or made for it.
pub fn claim<'a>(pod: &Value, volume: &'a Value) -> Option<Cow<'a, str>> {
    if volume["ephemeral"].is_object() {
        return Some(ephemeral_claim(pod, volume).into());
    }
    volume["persistentVolumeClaim"]["claimName"]
        .as_str()
        .map(Cow::Borrowed)
}

fn ephemeral_claim(pod: &Value, volume: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{}-{}",
        text(&pod["metadata"]["name"]),
        text(&volume["name"])
    )
}

/// The audiences of the tokens that a pod's projected volumes ask for; the
/// apiserver's own is `""`.
pub fn token_audiences(pod: &Value) -> impl Iterator<Item = &str> {
    items(&pod["spec"]["volumes"])
        .iter()
        .flat_map(|volume| items(&volume["projected"]["sources"]))
        .map(|source| &source["serviceAccountToken"])
        .filter(|token| token.is_object())
        .map(|token| token["audience"].as_str().unwrap_or_default())
}

/// Calls `found` with namespace and name of every secret that a kubelet reads
/// to mount a PersistentVolume. Where the volume names no namespace it is the
/// claim's.
pub fn secrets_of_volume(volume: &Value, mut found: impl FnMut(&str, &str)) {
    let spec = &volume["spec"];
    for place in IN_PERSISTENT_VOLUME {
        let reference = place.split('.').fold(spec, |at, field| &at[field]);
        let text = |key: &str| reference[key].as_str().filter(|text| !text.is_empty());
        let (name, namespace) = match *place {
            "azureFile" => (text("secretName"), text("secretNamespace")),
            _ => (text("name"), text("namespace")),
        };
        let namespace = namespace.or_else(|| spec["claimRef"]["namespace"].as_str());
        if let Some(name) = name {
            found(namespace.unwrap_or_default(), name);
        }
    }
}

fn each(value: &Value, places: &[Place], found: &mut impl FnMut(Referent, &str)) {
    for (path, referent) in places {
        walk(value, path, *referent, found);
    }
}

fn walk(value: &Value, path: &str, referent: Referent, found: &mut impl FnMut(Referent, &str)) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match (first, value) {
        ("", Value::String(name)) if !name.is_empty() => found(referent, name),
        ("[]", Value::Array(list)) => {
            for item in list {
                walk(item, rest, referent, found);
            }
        }
        (field, Value::Object(map)) => {
            if let Some(inner) = map.get(field) {
                walk(inner, rest, referent, found);
            }
        }
        _ => {}
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(pod: &Value, of: Referent) -> String {
        names(pod, of).into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_place_counts() {
        let pod = json!({
            "metadata": {"name": "web"},
            "spec": {
            "serviceAccountName": "robot", "serviceAccount": "robot",
            "imagePullSecrets": [{"name": "s-pull"}],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "r-own"},
                               {"name": "made", "resourceClaimTemplateName": "t"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "c-vol"}},
                {"name": "b", "secret": {"secretName": "s-vol"}},
                {"name": "c", "projected": {"sources": [
                    {"configMap": {"name": "c-proj"}}, {"secret": {"name": "s-proj"}},
                    {"clusterTrustBundle": {"signerName": "acme.com/ca"}}]}},
                {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "s-csi"}}},
                {"name": "e", "azureFile": {"secretName": "s-azure", "shareName": "x"}},
                {"name": "f", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
                {"name": "g", "persistentVolumeClaim": {"claimName": "p-named"}},
                {"name": "h", "flexVolume": {"driver": "x", "secretRef": {"name": "s-flex"}}},
            ],
            "initContainers": [{"name": "i", "env": [
                {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c-env", "key": "k"}}}]}],
            "containers": [{"name": "m", "envFrom": [
                {"configMapRef": {"name": "c-from"}}, {"secretRef": {"name": "s-from"}}]}],
            "ephemeralContainers": [{"name": "e",
                "env": [{"name": "Y", "valueFrom": {"secretKeyRef": {"name": "s-env", "key": "k"}}}]}],
        }, "status": {"resourceClaimStatuses": [
            {"name": "made", "resourceClaimName": "r-made"},
            {"name": "other", "resourceClaimName": "r-foreign"}]}});
        assert_eq!(all(&pod, ConfigMap), "c-env c-from c-proj c-vol");
        assert_eq!(
            all(&pod, Secret),
            "s-azure s-csi s-env s-flex s-from s-proj s-pull s-vol"
        );
        assert_eq!(all(&pod, PersistentVolumeClaim), "p-named web-f");
        assert_eq!(all(&pod, ServiceAccount), "robot");
        assert_eq!(all(&pod, ResourceClaim), "r-made r-own");
        assert_eq!(all(&pod, ClusterTrustBundle), "acme.com/ca");
    }

    #[test]
    fn nonsense_refers_to_nothing() {
        let pod = json!({"spec": {
            "volumes": [7, {"secret": "x"}, {"secret": {"secretName": ""}}],
            "containers": {"env": 1}, "imagePullSecrets": [{}, null]}});
        of_pod(&pod, |referent, name| panic!("{referent:?} {name}"));
        of_pod(&Value::Null, |referent, name| panic!("{referent:?} {name}"));
    }

    #[test]
    fn the_words_of_a_string_are_no_references() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "args": ["\"secret\":{\"secretName\":\"x\"}"]}]}});
        of_pod(&pod, |referent, name| panic!("{referent:?} {name}"));
    }

    #[test]
    fn tokens_are_for_audiences() {
        let pod = json!({"spec": {"volumes": [{"projected": {"sources": [
            {"serviceAccountToken": {"path": "t"}},
            {"serviceAccountToken": {"path": "u", "audience": "vault"}},
            {"secret": {"name": "x"}}]}}]}});
        assert_eq!(token_audiences(&pod).collect::<Vec<_>>(), ["", "vault"]);
    }

    #[test]
    fn volumes_bring_their_secrets() {
        let of = |source: Value| {
            let mut spec = source;
            spec["claimRef"] = json!({"namespace": "shop", "name": "data"});
            let mut found = Vec::new();
            secrets_of_volume(&json!({"spec": spec}), |namespace, name| {
                found.push(format!("{namespace}/{name}"));
            });
            found
        };
        let csi = json!({"csi": {
            "nodePublishSecretRef": {"namespace": "a", "name": "publish"},
            "nodeStageSecretRef": {"namespace": "a", "name": "stage"},
            "controllerPublishSecretRef": {"namespace": "a", "name": "controller"}}});
        assert_eq!(of(csi), ["a/publish", "a/stage"]);
        assert_eq!(of(json!({"azureFile": {"secretName": "x"}})), ["shop/x"]);
        assert_eq!(
            of(json!({"azureFile": {"secretName": "x", "secretNamespace": "b"}})),
            ["b/x"]
        );
        assert_eq!(of(json!({"rbd": {"secretRef": {"name": "x"}}})), ["shop/x"]);
    }
}
