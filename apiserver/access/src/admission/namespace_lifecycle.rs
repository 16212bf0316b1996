//! NamespaceLifecycle: objects need a namespace that isn't going away, and
//! some namespaces never go.

use super::{Context, Operation, Plugin, Review};
use crate::text;
use hardway_proto::Status;
use hardway_proto::status::{Cause, NAMESPACE_TERMINATING};
use serde_json::Value;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The plugin.
pub struct NamespaceLifecycle;

impl Plugin for NamespaceLifecycle {
    fn mutate(&self, cx: &Context, review: &Review, object: &mut Value) -> Result<(), Status> {
        check(cx, review, Some(object))
    }

    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        check(cx, review, new)
    }
}

fn check(cx: &Context, review: &Review, object: Option<&Value>) -> Result<(), Status> {
    if review.is_of("", "namespaces") {
        let dies = review.operation == Operation::Delete && IMMORTAL.contains(&review.name);
        return match dies {
            true => Err(review.forbid(object, "this namespace may not be deleted")),
            false => Ok(()),
        };
    }
    let is_free = review.namespace.is_empty()
        || review.operation == Operation::Delete
        || review.is_of("authorization.k8s.io", "localsubjectaccessreviews");
    if is_free {
        return Ok(());
    }
    let namespace = review.namespace;
    let Some(found) = cx.objects.read("", "namespaces", "", namespace) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    if review.operation != Operation::Create || text(&found, "/status/phase") != "Terminating" {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut status = review.forbid(object, why);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: NAMESPACE_TERMINATING.into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(status)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod, review};
    use super::*;
    use crate::User;
    use serde_json::json;

    #[test]
    fn namespaces_must_exist_and_stay() {
        let bench = Bench::new();
        let mut elsewhere = pod("p");
        elsewhere["metadata"]["namespace"] = json!("nowhere");
        assert_eq!(
            bench.create("", "pods", elsewhere).unwrap_err().message,
            r#"namespaces "nowhere" not found"#
        );
        bench.fake.put(
            "",
            "namespaces",
            json!({"metadata": {"name": "shop"}, "status": {"phase": "Terminating"}}),
        );
        let status = bench.create("", "pods", pod("p")).unwrap_err();
        assert_eq!(
            status.message,
            r#"pods "p" is forbidden: unable to create new content in namespace shop because it is being terminated"#
        );
        assert_eq!(
            status.details.unwrap().causes[0].reason,
            "NamespaceTerminating"
        );
    }

    #[test]
    fn some_namespaces_are_immortal() {
        let bench = Bench::new();
        let user = User::new("jane", ["dev"]);
        let delete = |name| {
            let review = review(&user, Operation::Delete, "", "namespaces", name, name);
            bench.validate(&review, None, Some(&json!({})))
        };
        assert_eq!(
            delete("kube-system").unwrap_err().message,
            r#"namespaces "kube-system" is forbidden: this namespace may not be deleted"#
        );
        assert!(delete("shop").is_ok());
    }
}
