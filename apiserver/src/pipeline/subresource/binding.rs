//! The subresource binding: a pod gets its node.

use super::check_name;
use crate::pipeline::part::ObjectPart;
use crate::pipeline::{Object, Pipeline, Request, Target, Verb, decode, metadata};
use hardway_access::Operation;
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::rules::{Findings, KindRules};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Where a pod runs. With it come annotations, and a condition.
struct Placement;

impl ObjectPart for Placement {
    /// It was asked about the Binding.
    fn asks_admission(&self) -> bool {
        false
    }

    fn validate(&self, rules: &dyn KindRules, new: &Value, old: &Value) -> Findings {
        rules.validate_status_update(new, old)
    }
}

impl Pipeline {
    /// Binds a pod to a node.
    pub(in crate::pipeline) async fn bind(&self, request: &Request) -> Result<Object, Status> {
        let rows = &self.registry;
        let row = rows.lookup_kind("", "v1", "Binding");
        let row = row.ok_or_else(Status::no_such_resource)?;
        let mut body = decode::typed(request, &row.versions[0].schema, &["v1"], "Binding")?;
        check_name(request, &body, "Binding")?;
        self.admit_body(request, Operation::Create, &mut body)
            .await?;
        let node = body["target"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let kind = body["target"]["kind"].as_str().unwrap_or_default();
        if node.is_empty() || !matches!(kind, "" | "Node") {
            let (field, message) = match node.is_empty() {
                true => ("target.name", "Required value"),
                false => (
                    "target.kind",
                    "Unsupported value: supported values: \"Node\"",
                ),
            };
            return Err(Status::invalid(
                "",
                "Binding",
                &request.target.name,
                vec![Cause {
                    reason: "FieldValueRequired".into(),
                    message: message.into(),
                    field: field.into(),
                }],
            ));
        }
        let target = Target {
            resource: self
                .registry
                .resource("", "pods")
                .ok_or_else(Status::no_such_resource)?,
            subresource: "binding".into(),
            ..request.target.clone()
        };
        let pod = Request {
            options: request.options.clone(),
            ..request.with(Verb::Update, target)
        };
        let edit = |old: &Value| bound(old, &node, &body);
        self.change(&pod, &Placement, &edit).await?;
        let mut status = Status::success();
        status.code = 201;
        let value = serde_json::to_value(status).unwrap_or_default();
        Ok(Object::of(&value).created())
    }
}

/// The pod, bound to a node.
fn bound(old: &Value, node: &str, binding: &Value) -> Result<Value, Status> {
    let name = metadata::text(old, "name");
    let refuse = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
    if metadata::is_terminating(old) {
        return refuse(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    if let Some(other) = old["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        return refuse(format!("pod {name} is already assigned to node {other:?}"));
    }
    let uid = metadata::text(binding, "uid");
    if !uid.is_empty() && uid != metadata::text(old, "uid") {
        return refuse(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            metadata::text(old, "uid")
        ));
    }
    let mut pod = old.clone();
    metadata::of(&mut pod).remove("resourceVersion");
    pod["spec"]["nodeName"] = node.into();
    for (key, value) in binding["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
    {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    let scheduled = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": metadata::time(Timestamp::now()),
    });
    let mut conditions = old["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(scheduled);
    pod["status"]["conditions"] = conditions.into();
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let pod = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {}});
        let bound_pod = bound(&pod, "n1", &json!({})).unwrap();
        assert_eq!(bound_pod["spec"]["nodeName"], "n1");
        assert_eq!(bound_pod["status"]["conditions"][0]["type"], "PodScheduled");
        let status = bound(&bound_pod, "n2", &json!({})).unwrap_err();
        assert_eq!(
            status.message,
            "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n1\""
        );
    }
}
