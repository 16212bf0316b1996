//! PodSecurity: namespaces say by label how much a pod may ask of its host.

mod baseline;
mod containers;
mod existing;
mod restricted;

use super::{Context, Operation, Plugin, Review};
use crate::text;
use hardway_proto::{Status, status::Cause};
use serde_json::Value;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// The plugin.
pub struct PodSecurity;

/// One finding: what is forbidden, and where.
pub struct Violation {
    reason: &'static str,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level with the version it is taken from, as labels give them.
struct Policy {
    level: Level,
    version: String,
    /// Both, as messages tell them.
    shown: String,
}

impl Policy {
    /// The policy of a mode (`enforce`, `warn`, `audit`); a wrong label counts
    /// as the strictest.
    fn of(namespace: &Value, mode: &str) -> Self {
        let label = |name: &str| {
            let labels = namespace.pointer("/metadata/labels");
            labels
                .and_then(|l| l.get(format!("{PREFIX}{name}")))
                .and_then(Value::as_str)
        };
        let version = label(&format!("{mode}-version")).unwrap_or("latest");
        let (level, name) = match label(mode) {
            None | Some("privileged") => (Level::Privileged, "privileged"),
            Some("baseline") => (Level::Baseline, "baseline"),
            Some(_) => (Level::Restricted, "restricted"),
        };
        Self {
            level,
            version: version.to_owned(),
            shown: format!("{name}:{version}"),
        }
    }

    fn check(&self, metadata: &Value, spec: &Value) -> Vec<Violation> {
        match self.level {
            Level::Privileged => Vec::new(),
            Level::Baseline => baseline::check(metadata, spec, true),
            Level::Restricted => {
                let mut found = baseline::check(metadata, spec, false);
                found.extend(restricted::check(spec));
                found
            }
        }
    }

    /// Why the policy forbids a pod, without saying where.
    fn reasons(&self, metadata: &Value, spec: &Value) -> Option<String> {
        let found = self.check(metadata, spec);
        let reasons: Vec<&str> = found.iter().map(|violation| violation.reason).collect();
        (!reasons.is_empty()).then(|| reasons.join(", "))
    }

    /// What of a pod's spec the policy forbids, in one line.
    fn violations(&self, metadata: &Value, spec: &Value) -> Option<String> {
        let found = self.check(metadata, spec);
        let told: Vec<String> = found
            .iter()
            .map(|v| match v.detail.is_empty() {
                true => v.reason.to_owned(),
                false => format!("{} ({})", v.reason, v.detail),
            })
            .collect();
        (!told.is_empty())
            .then(|| format!("violate PodSecurity {:?}: {}", self.shown, told.join(", ")))
    }
}

impl Plugin for PodSecurity {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let writes = matches!(review.operation, Operation::Create | Operation::Update);
        let Some(new) = new.filter(|_| writes) else {
            return Ok(());
        };
        if review.is_of("", "namespaces") {
            check_labels(new)?;
            if let Some(old) = old {
                let (policy, before) = (Policy::of(new, "enforce"), Policy::of(old, "enforce"));
                if existing::is_stricter(&policy, &before) {
                    let pods = cx.objects.list("", "pods", Some(review.name));
                    let warnings = existing::warnings(review.name, &policy, &pods);
                    review.notes.warnings.lock().extend(warnings);
                }
            }
            return Ok(());
        }
        let Some((template, is_pod)) = template(review) else {
            return Ok(());
        };
        let Some(pod) = new.pointer(template) else {
            return Ok(());
        };
        let same =
            old.is_some_and(|old| old.pointer(template).map(|p| &p["spec"]) == Some(&pod["spec"]));
        if same {
            return Ok(());
        }
        let Some(namespace) = cx.objects.read("", "namespaces", "", review.namespace) else {
            return Ok(());
        };
        let find = |mode| Policy::of(&namespace, mode).violations(&pod["metadata"], &pod["spec"]);
        if is_pod && let Some(found) = find("enforce") {
            return Err(review.forbid(Some(new), found.replacen("violate", "violates", 1)));
        }
        if let Some(found) = find("warn") {
            review.notes.warnings.lock().push(format!("would {found}"));
        }
        Ok(())
    }
}

/// Where a resource has its pod, and whether it is one.
fn template(review: &Review) -> Option<(&'static str, bool)> {
    match (review.group, review.resource, review.subresource) {
        ("", "pods", "" | "ephemeralcontainers") => Some(("", true)),
        ("", "replicationcontrollers", "")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets", "")
        | ("batch", "jobs", "") => Some(("/spec/template", false)),
        ("batch", "cronjobs", "") => Some(("/spec/jobTemplate/spec/template", false)),
        ("", "podtemplates", "") => Some(("/template", false)),
        _ => None,
    }
}

fn check_labels(namespace: &Value) -> Result<(), Status> {
    let mut causes = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let label = |name: String| {
            let labels = namespace.pointer("/metadata/labels");
            labels.and_then(|l| l.get(&name)).and_then(Value::as_str)
        };
        let mut wrong = |label: String, value: &str, hint: &str| {
            causes.push(Cause {
                reason: "FieldValueInvalid".into(),
                message: format!("Invalid value: {value:?}: {hint}"),
                field: format!("metadata.labels[{label}]"),
            });
        };
        let name = format!("{PREFIX}{mode}");
        match label(name.clone()) {
            None | Some("privileged" | "baseline" | "restricted") => {}
            Some(other) => wrong(
                name,
                other,
                "must be one of privileged, baseline, restricted",
            ),
        }
        let name = format!("{PREFIX}{mode}-version");
        if let Some(version) = label(name.clone()) {
            let minor = version
                .strip_prefix("v1.")
                .map(|m| m.parse::<u16>().is_ok());
            if version != "latest" && minor != Some(true) {
                wrong(name, version, "must be \"latest\" or \"v1.x\"");
            }
        }
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(
            "",
            "Namespace",
            text(namespace, "/metadata/name"),
            causes,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod, review};
    use super::*;
    use crate::User;
    use serde_json::json;

    fn bench(mode: &str, level: &str) -> Bench {
        let bench = Bench::new();
        bench.fake.put(
            "",
            "namespaces",
            json!({"metadata": {
            "name": "shop", "labels": {format!("{PREFIX}{mode}"): level}}}),
        );
        bench
    }

    #[test]
    fn restricted_says_all_that_is_missing() {
        assert_eq!(
            bench("enforce", "restricted")
                .create("", "pods", pod("p"))
                .unwrap_err()
                .message,
            r#"pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#
        );
        let mut good = pod("p");
        good["spec"]["securityContext"] =
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        good["spec"]["containers"][0]["securityContext"] =
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        assert!(
            bench("enforce", "restricted")
                .create("", "pods", good)
                .is_ok()
        );
    }

    #[test]
    fn baseline_forbids_the_host() {
        let mut bad = pod("p");
        bad["spec"]["hostNetwork"] = json!(true);
        bad["spec"]["volumes"] = json!([{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]);
        bad["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
        bad["spec"]["containers"][0]["ports"] = json!([{"containerPort": 1, "hostPort": 80}]);
        assert_eq!(
            bench("enforce", "baseline")
                .create("", "pods", bad.clone())
                .unwrap_err()
                .message,
            r#"pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), hostPath volumes (volumes "a", "b"), hostPort (container "c" uses hostPort 80), privileged (container "c" must not set securityContext.privileged=true)"#
        );
        assert!(
            bench("enforce", "privileged")
                .create("", "pods", bad)
                .is_ok()
        );
        assert!(
            bench("enforce", "baseline")
                .create("", "pods", pod("p"))
                .is_ok()
        );
    }

    #[test]
    fn workloads_are_warned_about() {
        let bench = bench("warn", "restricted");
        let user = User::new("jane", ["dev"]);
        let review = review(&user, Operation::Create, "apps", "deployments", "shop", "");
        let deployment = json!({"metadata": {"name": "d"}, "spec": {"template": pod("x")}});
        assert!(bench.validate(&review, Some(&deployment), None).is_ok());
        let warnings = review.notes.warnings.into_inner();
        assert!(
            warnings[0].starts_with(r#"would violate PodSecurity "restricted:latest": allowPriv"#),
            "{warnings:?}"
        );
    }

    #[test]
    fn labels_must_name_a_level() {
        let namespace =
            json!({"metadata": {"name": "x", "labels": {format!("{PREFIX}enforce"): "tight"}}});
        assert_eq!(
            Bench::new()
                .create("", "namespaces", namespace)
                .unwrap_err()
                .message,
            r#"Namespace "x" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "tight": must be one of privileged, baseline, restricted"#
        );
    }
}
