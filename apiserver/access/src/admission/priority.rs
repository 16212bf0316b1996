//! Priority: a pod's priority is that of its priority class.

use super::{Context, Operation, Plugin, Review};
use crate::objects::is_true;
use crate::text;
use hardway_proto::Status;
use serde_json::{Value, json};
use std::sync::Arc;

const GROUP: &str = "scheduling.k8s.io";
const PREEMPT: &str = "PreemptLowerPriority";

/// The plugin.
pub struct Priority;

impl Plugin for Priority {
    fn mutate(&self, cx: &Context, review: &Review, pod: &mut Value) -> Result<(), Status> {
        if !review.creates("", "pods") {
            return Ok(());
        }
        let class = class_of(cx, review, pod)?;
        let (name, value, policy) = match &class {
            None => ("", 0, PREEMPT),
            Some(class) => (
                text(class, "/metadata/name"),
                class["value"].as_i64().unwrap_or_default(),
                match text(class, "/preemptionPolicy") {
                    "" => PREEMPT,
                    policy => policy,
                },
            ),
        };
        let given = pod.pointer("/spec/priority").and_then(Value::as_i64);
        if let Some(given) = given.filter(|given| *given != value) {
            return Err(review.forbid(Some(pod), format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            )));
        }
        let given = pod
            .pointer("/spec/preemptionPolicy")
            .and_then(Value::as_str);
        if let Some(given) = given.filter(|given| *given != policy) {
            return Err(review.forbid(Some(pod), format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            )));
        }
        if !name.is_empty() {
            pod["spec"]["priorityClassName"] = json!(name);
        }
        pod["spec"]["priority"] = json!(value);
        pod["spec"]["preemptionPolicy"] = json!(policy);
        Ok(())
    }

    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        let writes = matches!(review.operation, Operation::Create | Operation::Update);
        let Some(class) = new.filter(|_| writes && review.is_of(GROUP, "priorityclasses")) else {
            return Ok(());
        };
        let name = text(class, "/metadata/name");
        let other = default_class(cx).filter(|other| text(other, "/metadata/name") != name);
        match other {
            Some(other) if is_true(class, "/globalDefault") => Err(review.forbid(
                new,
                format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    text(&other, "/metadata/name")
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The class a pod names, or the default; an error if it names one that isn't.
fn class_of(cx: &Context, review: &Review, pod: &Value) -> Result<Option<Arc<Value>>, Status> {
    match text(pod, "/spec/priorityClassName") {
        "" => Ok(default_class(cx)),
        name => match cx.objects.read(GROUP, "priorityclasses", "", name) {
            None => Err(review.forbid(
                Some(pod),
                format!("no PriorityClass with name {name} was found"),
            )),
            found => Ok(found),
        },
    }
}

/// The default class; the lowest, should there be several.
fn default_class(cx: &Context) -> Option<Arc<Value>> {
    let classes = cx.objects.read_all(GROUP, "priorityclasses", None);
    classes
        .into_iter()
        .filter(|class| is_true(class, "/globalDefault"))
        .min_by_key(|class| class["value"].as_i64())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod};
    use super::*;

    #[test]
    fn priority_comes_from_the_class() {
        let bench = Bench::new();
        let stored = bench.create("", "pods", pod("p")).unwrap();
        assert_eq!(stored["spec"]["priority"], 0);
        assert_eq!(stored["spec"]["preemptionPolicy"], PREEMPT);
        let mut critical = pod("p");
        critical["spec"]["priorityClassName"] = json!("system-node-critical");
        let stored = bench.create("", "pods", critical).unwrap();
        assert_eq!(stored["spec"]["priority"], 2_000_001_000);
        let mut wrong = pod("p");
        wrong["spec"]["priorityClassName"] = json!("high");
        assert_eq!(
            bench.create("", "pods", wrong.clone()).unwrap_err().message,
            r#"pods "p" is forbidden: no PriorityClass with name high was found"#
        );
        wrong["spec"] = json!({"preemptionPolicy": "", "containers": []});
        assert_eq!(
            bench.create("", "pods", wrong.clone()).unwrap_err().message,
            r#"pods "p" is forbidden: the string value of PreemptionPolicy () must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name"#
        );
        wrong["spec"] = json!({"priority": 7, "containers": []});
        assert!(
            bench
                .create("", "pods", wrong)
                .unwrap_err()
                .message
                .contains("(7) must not be provided")
        );
    }

    #[test]
    fn there_is_one_default() {
        let bench = Bench::new();
        let class =
            |name: &str| json!({"metadata": {"name": name}, "value": 5, "globalDefault": true});
        bench.fake.put(GROUP, "priorityclasses", class("a"));
        assert_eq!(
            bench
                .create(GROUP, "priorityclasses", class("b"))
                .unwrap_err()
                .message,
            r#"priorityclasses.scheduling.k8s.io "b" is forbidden: PriorityClass a is already marked as default. Only one default can exist"#
        );
        assert_eq!(
            bench.create("", "pods", pod("p")).unwrap()["spec"]["priorityClassName"],
            "a"
        );
    }
}
