//! What of a pod or a template is let in, but seldom meant: the warnings of
//! `pkg/api/pod/warnings.go` of Kubernetes 1.33.

mod overlaps;
mod ports;

use super::containers;
use crate::rules::field::Path;
use crate::rules::json::{entries, get, has, int, list, text};
use crate::rules::{addresses, node_labels, storage};
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

/// Annotations that nobody reads any more.
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// Kinds of volumes that have had their time.
const VOLUMES: [(&str, &str); 9] = [
    (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    ("gitRepo", "deprecated in v1.11"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const POD_SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const CONTAINER_SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// Warnings of a new pod.
pub fn of_pod(pod: &Value) -> Vec<String> {
    let name = text(get(pod, "metadata"), "name");
    let mut warnings = of_name(name, "the Pod's hostname");
    collect(&mut warnings, &Path::default(), pod);
    warnings
}

/// Warnings of the template of a new object, or of a changed one, at a path. `named`
/// tells whether the object's name becomes part of its pods' names.
pub fn of_template(object: &Value, old: Option<&Value>, path: &str, named: bool) -> Vec<String> {
    let mut at = path.split('.');
    let Some(template) = at.try_fold(object, |value, field| value.get(field)) else {
        return Vec::new();
    };
    let generation = |object| get(get(object, "metadata"), "generation");
    if old.is_some_and(|old| generation(old) == generation(object)) {
        return Vec::new();
    }
    let mut warnings = match old {
        None if named => of_name(
            text(get(object, "metadata"), "name"),
            "Pod names and hostnames",
        ),
        _ => Vec::new(),
    };
    collect(&mut warnings, &Path::new(path), template);
    warnings
}

fn of_name(name: &str, used_in: &str) -> Vec<String> {
    let problems = names::is_dns1123_label(name);
    if problems.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is recommended: [{}]",
        problems.join(" ")
    )]
}

fn collect(warnings: &mut Vec<String>, path: &Path, pod: &Value) {
    let (spec, at) = (get(pod, "spec"), path.child("spec"));
    let annotations = get(get(pod, "metadata"), "annotations");
    let is_template = !path.to_string().is_empty();
    nodes(warnings, &at, spec);
    spread(warnings, &at.child("topologySpreadConstraints"), spec);
    let of_annotation = path.child("metadata.annotations");
    for (key, why) in ANNOTATIONS {
        if has(annotations, key) {
            warnings.push(format!("{}: {why}", of_annotation.key(key)));
        }
    }
    volumes(warnings, &at.child("volumes"), spec);
    warnings.extend(overlaps::of_volumes(list(spec, "volumes")));
    duplicates(warnings, &at, spec, "hostAliases", "ip");
    for (i, alias) in list(spec, "hostAliases").iter().enumerate() {
        let at = at.child("hostAliases").index(i).child("ip");
        addresses::of_ip(warnings, &at, text(alias, "ip"));
    }
    let servers = list(get(spec, "dnsConfig"), "nameservers").iter();
    for (i, server) in servers.enumerate() {
        let at = at.child("dnsConfig.nameservers").index(i);
        addresses::of_ip(warnings, &at, server.as_str().unwrap_or_default());
    }
    duplicates(warnings, &at, spec, "imagePullSecrets", "name");
    for (i, secret) in list(spec, "imagePullSecrets").iter().enumerate() {
        if text(secret, "name").is_empty() {
            let at = at.child("imagePullSecrets").index(i).child("name");
            warnings.push(format!("{at}: invalid empty name \"\""));
        }
    }
    fractions(warnings, &at.child("overhead"), get(spec, "overhead"));
    let security = get(spec, "securityContext");
    if !has(security, "seccompProfile") && has(annotations, POD_SECCOMP) {
        warnings.push(format!("{}: {SECCOMP}", of_annotation.key(POD_SECCOMP)));
    }
    for (at, container) in containers::all(&at, spec) {
        let own = get(container, "securityContext");
        let name = text(container, "name");
        let key = format!("{CONTAINER_SECCOMP}{name}");
        if !has(own, "seccompProfile") && has(annotations, &key) {
            warnings.push(format!("{}: {SECCOMP}", of_annotation.key(&key)));
        }
        let key = format!("{APP_ARMOR}{name}");
        let has_field = has(own, "appArmorProfile") || has(security, "appArmorProfile");
        if is_template && !has_field && has(annotations, &key) {
            let why = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            warnings.push(format!("{}: {why}", of_annotation.key(&key)));
        }
        let resources = get(container, "resources");
        for kind in ["limits", "requests"] {
            let at = at.child("resources").child(kind);
            fractions(warnings, &at, get(resources, kind));
        }
        environment(warnings, &at.child("env"), container);
    }
    let all: Vec<_> = containers::all(&at, spec).collect();
    ports::collect(warnings, &all);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let at = at.child("terminationGracePeriodSeconds");
        warnings.push(format!(
            "{at}: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    affinity(warnings, &at.child("affinity"), get(spec, "affinity"));
}

fn nodes(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    for (label, _) in entries(spec, "nodeSelector") {
        if let Some(why) = node_labels::deprecated(label) {
            warnings.push(format!("{}: {why}", path.child("nodeSelector").key(label)));
        }
    }
    let affinity = get(get(spec, "affinity"), "nodeAffinity");
    let path = path.child("affinity.nodeAffinity");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = list(get(affinity, required), "nodeSelectorTerms");
    for (i, term) in terms.iter().enumerate() {
        let at = path.child(required).child("nodeSelectorTerms").index(i);
        node_labels::of_expressions(warnings, &at, term, false);
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (i, term) in list(affinity, preferred).iter().enumerate() {
        let at = path.child(preferred).index(i).child("preference");
        node_labels::of_expressions(warnings, &at, get(term, "preference"), true);
    }
}

fn spread(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    let constraints = list(spec, "topologySpreadConstraints");
    for (i, constraint) in constraints.iter().enumerate() {
        let path = path.index(i);
        let key = text(constraint, "topologyKey");
        if let Some(why) = node_labels::deprecated(key) {
            warnings.push(format!("{}: {key} is {why}", path.child("topologyKey")));
        }
        if !has(constraint, "labelSelector") {
            warnings.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
        }
    }
}

fn volumes(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        let path = path.index(i);
        for (kind, why) in VOLUMES {
            if has(volume, kind) {
                // Kubernetes' message writes this one as its type.
                let shown = match kind {
                    "storageos" => "storageOS",
                    kind => kind,
                };
                warnings.push(format!("{}: {why}", path.child(shown)));
            }
        }
        let claim = get(get(volume, "ephemeral"), "volumeClaimTemplate");
        let path = path.child("ephemeral.volumeClaimTemplate.spec");
        storage::claim_warnings(warnings, &path, get(claim, "spec"));
    }
}

/// Elements of a list that have the same in a field.
fn duplicates(warnings: &mut Vec<String>, path: &Path, spec: &Value, of: &str, field: &str) {
    let mut seen = BTreeSet::new();
    for (i, element) in list(spec, of).iter().enumerate() {
        let value = text(element, field);
        if !seen.insert(value) {
            let at = path.child(of).index(i).child(field);
            warnings.push(format!("{at}: duplicate {field} {value:?}"));
        }
    }
}

/// Memory and disk that is no whole number of bytes.
fn fractions(warnings: &mut Vec<String>, path: &Path, resources: &Value) {
    for name in ["memory", "ephemeral-storage"] {
        fraction(warnings, &path.key(name), get(resources, name));
    }
}

/// An amount that is no whole number of bytes.
pub(in crate::rules) fn fraction(warnings: &mut Vec<String>, path: &Path, amount: &Value) {
    if let Ok(amount) = Quantity::from_json(amount)
        && !amount.is_whole()
    {
        let amount = amount.to_string();
        warnings.push(format!(
            "{path}: fractional byte value {amount:?} is invalid, must be an integer"
        ));
    }
}

/// Variables that are there twice, unless the second is made of the first.
fn environment(warnings: &mut Vec<String>, path: &Path, container: &Value) {
    let mut seen = BTreeSet::new();
    for (i, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        if seen.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        if has(variable, "valueFrom") || value == reference || !value.contains(&reference) {
            warnings.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                path.index(i)
            ));
        }
    }
}

fn affinity(warnings: &mut Vec<String>, path: &Path, affinity: &Value) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (path, terms) = (path.child(kind), get(affinity, kind));
        for (field, below) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            (
                "preferredDuringSchedulingIgnoredDuringExecution",
                "podAffinityTerm",
            ),
        ] {
            for (i, term) in list(terms, field).iter().enumerate() {
                let mut at = path.child(field).index(i);
                let term = match below {
                    "" => term,
                    below => {
                        at = at.child(below);
                        get(term, below)
                    }
                };
                if !has(term, "labelSelector") {
                    warnings.push(format!("{}: {NO_SELECTOR}", at.child("labelSelector")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(annotations: Value, spec: Value) -> Vec<String> {
        let object = json!({"metadata": {"name": "web", "generation": 1}, "spec": {"template": {
            "metadata": {"annotations": annotations}, "spec": spec}}});
        of_template(&object, None, "spec.template", true)
    }

    /// Cases of Kubernetes' `warnings_test.go`.
    #[test]
    fn what_is_seldom_meant_is_told() {
        let selector = json!({"matchLabels": {"a": "b"}});
        for (annotations, spec, expected) in [
            (
                json!({}),
                json!({"hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]}),
                vec![r#"spec.hostAliases[1].ip: duplicate ip "1.1.1.1""#],
            ),
            (
                json!({}),
                json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}, {"name": ""}]}),
                vec![
                    r#"spec.imagePullSecrets[1].name: duplicate name "a""#,
                    r#"spec.imagePullSecrets[2].name: invalid empty name """#,
                ],
            ),
            (
                json!({}),
                json!({"containers": [{"resources": {"requests": {"memory": "100m"}, "limits": {"ephemeral-storage": "1.5"}}}]}),
                vec![
                    r#"spec.containers[0].resources.limits[ephemeral-storage]: fractional byte value "1500m" is invalid, must be an integer"#,
                    r#"spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer"#,
                ],
            ),
            (
                json!({}),
                json!({"overhead": {"memory": "0.5"}}),
                vec![
                    r#"spec.overhead[memory]: fractional byte value "500m" is invalid, must be an integer"#,
                ],
            ),
            (
                json!({}),
                json!({"containers": [{"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"},
                {"name": "B", "value": "1"}, {"name": "B", "value": "$(B)2"}, {"name": "B", "value": "$(B)"}]}]}),
                vec![
                    r#"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
                    r#"spec.containers[0].env[4]: hides previous definition of "B", which may be dropped when using apply"#,
                ],
            ),
            (
                json!({}),
                json!({"topologySpreadConstraints": [{"topologyKey": "failure-domain.beta.kubernetes.io/zone"}]}),
                vec![
                    r#"spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#,
                    "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
                ],
            ),
            (
                json!({}),
                json!({"nodeSelector": {"beta.kubernetes.io/arch": "amd64"}}),
                vec![
                    r#"spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use "kubernetes.io/arch" instead"#,
                ],
            ),
            (
                json!({}),
                json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"preference": {"matchExpressions": [{"key": "a", "values": ["-1"]}]}}]}}}),
                vec![
                    "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[0]: -1 is invalid, ",
                ],
            ),
            (
                json!({}),
                json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": selector}, {}], "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {}}]}}}),
                vec![
                    "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].labelSelector: a null labelSelector results in matching no pod",
                    "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
                ],
            ),
            (
                json!({}),
                json!({"volumes": [{"gitRepo": {}}, {"rbd": {}}, {"storageos": {}}]}),
                vec![
                    "spec.volumes[0].gitRepo: deprecated in v1.11",
                    "spec.volumes[1].rbd: deprecated in v1.28, non-functional in v1.31+",
                    "spec.volumes[2].storageOS: deprecated in v1.22, non-functional in v1.25+",
                ],
            ),
            (
                json!({}),
                json!({"terminationGracePeriodSeconds": -1}),
                vec![
                    "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
                ],
            ),
            (
                json!({"scheduler.alpha.kubernetes.io/critical-pod": "", POD_SECCOMP: "runtime/default",
                "container.apparmor.security.beta.kubernetes.io/c": "unconfined"}),
                json!({"containers": [{"name": "c"}]}),
                vec![
                    r#"metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead"#,
                    r#"metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead"#,
                    r#"metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the "appArmorProfile" field instead"#,
                ],
            ),
        ] {
            let told = deployment(annotations, spec.clone());
            assert_eq!(told.len(), expected.len(), "{spec}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                let expected = format!("spec.template.{expected}");
                assert!(told.starts_with(&expected), "{told} is not {expected}");
            }
        }
    }

    #[test]
    fn only_what_changes_is_warned_of() {
        let object = |generation: u64| {
            json!({"metadata": {"name": "a.b", "generation": generation}, "spec": {"template": {
                "spec": {"terminationGracePeriodSeconds": -1}}}})
        };
        let count = |old: Option<&Value>| of_template(&object(2), old, "spec.template", true).len();
        assert_eq!(count(None), 2);
        assert_eq!(count(Some(&object(1))), 1);
        assert_eq!(count(Some(&object(2))), 0);
        let pod = json!({"metadata": {"name": "a.b", "annotations":
            {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}},
            "spec": {"containers": [{"name": "c"}]}});
        assert_eq!(
            of_pod(&pod),
            [
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
            ]
        );
    }
}
