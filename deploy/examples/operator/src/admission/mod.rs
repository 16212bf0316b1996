//! The webhooks that the apiserver asks before it stores a website: what a schema and its
//! rules can't say.

mod defaults;
mod validation;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use serde_json::json;

use crate::api::v1::Website;

pub use validation::Other;

/// A review as it comes and goes. Its object is read later: what isn't a website at all is
/// refused by the schema, after the mutating webhooks.
pub type Review = AdmissionReview<DynamicObject>;
type Request = AdmissionRequest<DynamicObject>;

/// Answers the mutating webhook.
pub fn mutate(review: Review) -> Review {
    answer(review, |request, response| {
        let website = request.object.as_ref().and_then(website);
        let Some(page) = website.and_then(|website| defaults::index(&website)) else {
            return response;
        };
        let patch = json!([{"op": "add", "path": "/spec/pages/-", "value": page}]);
        let patch = serde_json::from_value(patch).map(|patch| response.clone().with_patch(patch));
        match patch {
            Ok(Ok(patched)) => patched,
            Ok(Err(error)) => response.deny(error),
            Err(error) => response.deny(error),
        }
    })
}

/// Answers the validating webhook. `others` are all websites that the operator knows.
pub fn validate(review: Review, others: &[Other]) -> Review {
    answer(review, |request, mut response| {
        let new = request.object.as_ref().and_then(website);
        let old = request.old_object.as_ref().and_then(website);
        let refusal = match (&request.operation, &new, &old) {
            (Operation::Delete, _, Some(old)) => validation::deletion(old),
            (_, Some(new), _) => validation::change(new, others),
            _ => None,
        };
        if let Some(refusal) = refusal {
            response.result.code = 403;
            return response.deny(refusal);
        }
        let warnings = new.map(|new| validation::warnings(&new, old.as_ref()));
        response.warnings = warnings.filter(|warnings| !warnings.is_empty());
        response
    })
}

fn answer(
    review: Review,
    decide: impl FnOnce(&Request, AdmissionResponse) -> AdmissionResponse,
) -> Review {
    let request: Result<Request, _> = review.try_into();
    match request {
        Ok(request) => decide(&request, AdmissionResponse::from(&request)).into_review(),
        Err(error) => AdmissionResponse::invalid(error).into_review(),
    }
}

fn website(object: &DynamicObject) -> Option<Website> {
    object.clone().try_parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn review(operation: &str, object: Value, old: Value) -> Review {
        let kind = json!({"group": "hardway.example", "version": "v1", "kind": "Website"});
        let resource = json!({"group": "hardway.example", "version": "v1", "resource": "websites"});
        serde_json::from_value(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "42", "kind": kind, "resource": resource, "name": "shop",
                        "namespace": "default", "operation": operation, "userInfo": {},
                        "object": object, "oldObject": old, "dryRun": false},
        }))
        .unwrap()
    }

    fn object(pages: Value, replicas: i32) -> Value {
        json!({"apiVersion": "hardway.example/v1", "kind": "Website",
               "metadata": {"name": "shop", "namespace": "default"},
               "spec": {"replicas": replicas, "pages": pages, "service": {}}})
    }

    fn response(review: Review) -> AdmissionResponse {
        review.response.expect("a response")
    }

    #[test]
    fn an_index_is_added_where_there_is_none() {
        let pages = json!([{"name": "a.html", "content": "A"}]);
        let answer = response(mutate(review("CREATE", object(pages, 2), Value::Null)));
        assert!(answer.allowed);
        assert_eq!(answer.uid, "42");
        let patch: Value = serde_json::from_slice(&answer.patch.expect("a patch")).unwrap();
        assert_eq!(patch[0]["op"], "add");
        assert_eq!(patch[0]["path"], "/spec/pages/-");
        assert_eq!(patch[0]["value"]["name"], "index.html");

        let pages = json!([{"name": "index.html", "content": "mine"}]);
        let answer = response(mutate(review("CREATE", object(pages, 2), Value::Null)));
        assert!(answer.allowed && answer.patch.is_none());
    }

    /// The schema's refusal, which comes later, says what is wrong with it.
    #[test]
    fn what_is_no_website_passes_the_mutating_webhook() {
        let answer = response(mutate(review("CREATE", object(json!(3), 1), Value::Null)));
        assert!(answer.allowed && answer.patch.is_none());
    }

    #[test]
    fn a_protected_website_is_not_deleted() {
        let mut old = object(json!([]), 2);
        let delete = |old: &Value| {
            let review = review("DELETE", Value::Null, old.clone());
            response(validate(review, &[]))
        };
        assert!(delete(&old).allowed);
        old["metadata"]["annotations"] = json!({"hardway.example/protected": "true"});
        let refused = delete(&old);
        assert!(!refused.allowed);
        assert_eq!(refused.result.code, 403);
        assert_eq!(
            refused.result.message,
            "Website default/shop is protected: remove the annotation hardway.example/protected"
        );
    }

    #[test]
    fn one_server_alone_is_warned_of() {
        let create = |replicas| {
            let review = review("CREATE", object(json!([]), replicas), Value::Null);
            response(validate(review, &[]))
        };
        assert!(create(1).allowed);
        assert_eq!(create(1).warnings.expect("warnings").len(), 1);
        assert_eq!(create(2).warnings, None);
    }
}
