//! RuntimeClass: a pod takes overhead and placement from its runtime class.

use super::{Context, Plugin, Review, array_at, object_at};
use crate::objects::{fields, items};
use crate::text;
use hardway_proto::Status;
use serde_json::Value;
use std::sync::Arc;

/// The plugin.
pub struct RuntimeClass;

impl Plugin for RuntimeClass {
    fn mutate(&self, cx: &Context, review: &Review, pod: &mut Value) -> Result<(), Status> {
        if !review.creates("", "pods") {
            return Ok(());
        }
        let Some(class) = class_of(cx, review, pod)? else {
            return Ok(());
        };
        if let Some(overhead) = class.pointer("/overhead/podFixed")
            && pod
                .pointer("/spec/overhead")
                .is_none_or(|o| o.as_object().is_none_or(|o| o.is_empty()))
        {
            pod["spec"]["overhead"] = overhead.clone();
        }
        for (key, value) in fields(&class, "/scheduling/nodeSelector") {
            let wanted = value.as_str().unwrap_or_default();
            let selector = object_at(&mut pod["spec"], "nodeSelector");
            match selector.get(key).and_then(Value::as_str) {
                Some(own) if own != wanted => {
                    let why = format!(
                        "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {own}"
                    );
                    return Err(review.forbid(Some(pod), why));
                }
                _ => selector.insert(key.to_owned(), value.clone()),
            };
        }
        for toleration in items(&class, "/scheduling/tolerations") {
            let tolerations = array_at(&mut pod["spec"], "tolerations");
            if !tolerations.contains(toleration) {
                tolerations.push(toleration.clone());
            }
        }
        Ok(())
    }

    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        let Some(pod) = new.filter(|_| review.creates("", "pods")) else {
            return Ok(());
        };
        let class = class_of(cx, review, pod)?;
        let wanted = class
            .as_ref()
            .and_then(|class| class.pointer("/overhead/podFixed"));
        let own = pod.pointer("/spec/overhead");
        match own {
            None => Ok(()),
            Some(own) if Some(own) == wanted => Ok(()),
            Some(_) if wanted.is_some() => Err(review.forbid(
                new,
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            )),
            Some(_) => Err(review.forbid(
                new,
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
        }
    }
}

fn class_of(cx: &Context, review: &Review, pod: &Value) -> Result<Option<Arc<Value>>, Status> {
    let name = text(pod, "/spec/runtimeClassName");
    if name.is_empty() {
        return Ok(None);
    }
    match cx.objects.read("node.k8s.io", "runtimeclasses", "", name) {
        None => Err(review.forbid(
            Some(pod),
            format!("pod rejected: RuntimeClass {name:?} not found"),
        )),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod};
    use serde_json::json;

    #[test]
    fn overhead_comes_from_the_class() {
        let bench = Bench::new();
        bench.fake.put(
            "node.k8s.io",
            "runtimeclasses",
            json!({
            "metadata": {"name": "vm"}, "overhead": {"podFixed": {"cpu": "250m"}},
            "scheduling": {"nodeSelector": {"vm": "yes"}}}),
        );
        let mut wanted = pod("p");
        wanted["spec"]["runtimeClassName"] = json!("vm");
        let stored = bench.create("", "pods", wanted.clone()).unwrap();
        assert_eq!(stored["spec"]["overhead"]["cpu"], "250m");
        assert_eq!(stored["spec"]["nodeSelector"]["vm"], "yes");
        wanted["spec"]["runtimeClassName"] = json!("none");
        assert_eq!(
            bench.create("", "pods", wanted).unwrap_err().message,
            r#"pods "p" is forbidden: pod rejected: RuntimeClass "none" not found"#
        );
    }
}
