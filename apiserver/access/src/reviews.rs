//! The APIs that answer questions about users and permissions.

mod selectors;

use crate::objects::{fields, strings};
use crate::{Attributes, Authenticator, Authorizer, Decision, User, text};
use hardway_proto::fields::FieldSelector;
use hardway_proto::{Status, status::Cause};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const AUTHORIZATION: &str = "authorization.k8s.io";

/// Answers reviews of authentication.k8s.io and authorization.k8s.io.
pub struct Reviews {
    authenticator: Arc<Authenticator>,
    authorizer: Arc<Authorizer>,
}

impl Reviews {
    /// Answers with what these two decide.
    pub fn new(authenticator: Arc<Authenticator>, authorizer: Arc<Authorizer>) -> Self {
        Self {
            authenticator,
            authorizer,
        }
    }

    /// Answers a review (`tokenreviews`, `selfsubjectreviews`,
    /// `subjectaccessreviews`, `localsubjectaccessreviews`,
    /// `selfsubjectaccessreviews`, `selfsubjectrulesreviews`).
    pub fn create(
        &self,
        resource: &str,
        namespace: &str,
        body: &Value,
        user: &User,
    ) -> Result<Value, Status> {
        let (kind, status) = match resource {
            "tokenreviews" => ("TokenReview", self.token(body)?),
            "selfsubjectreviews" => ("SelfSubjectReview", json!({"userInfo": user.to_json()})),
            "subjectaccessreviews" => ("SubjectAccessReview", self.subject(body, "")?),
            "localsubjectaccessreviews" => {
                ("LocalSubjectAccessReview", self.subject(body, namespace)?)
            }
            "selfsubjectaccessreviews" => {
                let asked = asked(body, "SelfSubjectAccessReview")?;
                ("SelfSubjectAccessReview", self.access(&asked, user))
            }
            "selfsubjectrulesreviews" => ("SelfSubjectRulesReview", self.rules(body, user)?),
            _ => return Err(Status::no_such_resource()),
        };
        let version = match resource {
            "tokenreviews" | "selfsubjectreviews" => "authentication.k8s.io/v1",
            _ => "authorization.k8s.io/v1",
        };
        let mut answer = json!({
            "kind": kind,
            "apiVersion": version,
            "metadata": body.get("metadata").cloned().unwrap_or_else(|| json!({"creationTimestamp": null})),
            "status": status,
        });
        if let Some(spec) = body.get("spec") {
            answer["spec"] = spec.clone();
        }
        Ok(answer)
    }

    fn token(&self, body: &Value) -> Result<Value, Status> {
        let token = text(body, "/spec/token");
        if token.is_empty() {
            return Err(Status::bad_request(
                "token is required for TokenReview in authentication",
            ));
        }
        let audiences: Vec<String> = strings(body, "/spec/audiences").map(Into::into).collect();
        Ok(match self.authenticator.token(token, &audiences) {
            Ok((user, audiences)) => json!({
                "authenticated": true, "user": user.to_json(), "audiences": audiences,
            }),
            Err(error) => json!({"user": {}, "error": error}),
        })
    }

    fn subject(&self, body: &Value, namespace: &str) -> Result<Value, Status> {
        let kind = match namespace {
            "" => "SubjectAccessReview",
            _ => "LocalSubjectAccessReview",
        };
        let groups: Vec<String> = strings(body, "/spec/groups").map(Into::into).collect();
        let name = text(body, "/spec/user");
        if name.is_empty() && groups.is_empty() {
            let field = "spec.user";
            return Err(invalid(
                kind,
                field,
                "FieldValueRequired",
                "Required value: at least one of user or group must be specified",
            ));
        }
        let asked = asked(body, kind)?;
        let own = text(body, "/metadata/namespace");
        if !namespace.is_empty()
            && (asked.namespace != namespace || !own.is_empty() && own != namespace)
        {
            return Err(Status::bad_request(format!(
                "spec.resourceAttributes.namespace must match namespace: {namespace}"
            )));
        }
        let extra: BTreeMap<String, Vec<String>> = fields(body, "/spec/extra")
            .map(|(key, values)| {
                (
                    key.to_owned(),
                    strings(values, "").map(Into::into).collect(),
                )
            })
            .collect();
        let user = User {
            name: name.into(),
            uid: text(body, "/spec/uid").into(),
            groups,
            extra,
        };
        Ok(self.access(&asked, &user))
    }

    fn access(&self, asked: &ReviewedRequest, user: &User) -> Value {
        let attributes = Attributes {
            user,
            verb: asked.verb,
            group: asked.group,
            version: asked.version,
            resource: asked.resource,
            subresource: asked.subresource,
            namespace: asked.namespace,
            name: asked.name,
            fields: Some(&asked.fields),
            path: asked.path,
            is_resource: asked.is_resource,
        };
        let decision = self.authorizer.authorize(&attributes);
        let mut status = json!({"allowed": decision.is_allowed()});
        if matches!(decision, Decision::Deny { .. }) {
            status["denied"] = json!(true);
        }
        if !decision.reason().is_empty() {
            status["reason"] = json!(decision.reason());
        }
        status
    }

    fn rules(&self, body: &Value, user: &User) -> Result<Value, Status> {
        let namespace = text(body, "/spec/namespace");
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let granted = self.authorizer.rules_for(user, namespace);
        let (mut resources, mut paths) = (Vec::new(), Vec::new());
        for rule in granted.rules {
            match rule.non_resource_urls.is_empty() {
                true => resources.push(rule),
                false => paths.push(rule),
            }
        }
        let mut status = json!({
            "resourceRules": resources, "nonResourceRules": paths, "incomplete": false,
        });
        let mut errors = granted.errors;
        if user.as_node().is_some() {
            errors.push("node authorizer does not support user rule resolution".into());
        }
        if !errors.is_empty() {
            status["incomplete"] = json!(true);
            status["evaluationError"] = json!(errors.join(", "));
        }
        Ok(status)
    }
}

/// What a review asks about.
#[derive(Default)]
struct ReviewedRequest<'a> {
    verb: &'a str,
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    fields: FieldSelector,
    path: &'a str,
    is_resource: bool,
}

fn asked<'a>(body: &'a Value, kind: &str) -> Result<ReviewedRequest<'a>, Status> {
    let part = |name: &str| {
        body.pointer(&format!("/spec/{name}"))
            .filter(|v| v.is_object())
    };
    match (part("resourceAttributes"), part("nonResourceAttributes")) {
        (Some(_), Some(_)) => Err(invalid(
            kind,
            "spec.nonResourceAttributes",
            "FieldValueInvalid",
            "Invalid value: cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => Err(invalid(
            kind,
            "spec.resourceAttributes",
            "FieldValueInvalid",
            "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        (Some(resource), None) => Ok(ReviewedRequest {
            verb: text(resource, "/verb"),
            group: text(resource, "/group"),
            version: text(resource, "/version"),
            resource: text(resource, "/resource"),
            subresource: text(resource, "/subresource"),
            namespace: text(resource, "/namespace"),
            name: text(resource, "/name"),
            fields: selectors::fields(kind, resource)?,
            path: "",
            is_resource: true,
        }),
        (None, Some(path)) => Ok(ReviewedRequest {
            verb: text(path, "/verb"),
            path: text(path, "/path"),
            ..ReviewedRequest::default()
        }),
    }
}

fn invalid(kind: &str, field: &str, reason: &str, message: &str) -> Status {
    let cause = Cause {
        reason: reason.into(),
        message: message.into(),
        field: field.into(),
    };
    Status::invalid(AUTHORIZATION, kind, "", vec![cause])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;

    fn reviews() -> Reviews {
        let fake = Arc::new(Fake::default());
        let authenticator = Arc::new(Authenticator::new(fake.clone(), None));
        Reviews::new(authenticator, Arc::new(Authorizer::new(fake)))
    }

    #[test]
    fn who_may_what() {
        let body = json!({"spec": {
            "user": "root", "groups": ["system:masters"],
            "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "a"}}});
        let answer = |resource, body: &Value| {
            reviews().create(resource, "a", body, &User::new("jane", ["dev"]))
        };
        assert_eq!(
            answer("subjectaccessreviews", &body).unwrap()["status"]["allowed"],
            true
        );
        assert_eq!(
            answer("selfsubjectaccessreviews", &body).unwrap()["status"]["allowed"],
            false
        );
        assert!(answer("localsubjectaccessreviews", &body).is_ok());
        assert_eq!(
            answer("subjectaccessreviews", &json!({"spec": {"user": "x"}}))
                .unwrap_err()
                .code,
            422
        );
        let me = answer("selfsubjectreviews", &json!({})).unwrap();
        assert_eq!(me["status"]["userInfo"]["username"], "jane");
        let rules = answer(
            "selfsubjectrulesreviews",
            &json!({"spec": {"namespace": "a"}}),
        )
        .unwrap();
        assert_eq!(
            rules["status"],
            json!({"resourceRules": [], "nonResourceRules": [], "incomplete": false})
        );
    }

    #[test]
    fn a_node_may_list_its_own_pods() {
        let asked = |selector: &str| {
            json!({"spec": {"user": "system:node:n1", "groups": ["system:nodes"],
                "resourceAttributes": {"verb": "list", "resource": "pods",
                    "fieldSelector": {"rawSelector": selector}}}})
        };
        let may = |selector| {
            let body = asked(selector);
            let answer = reviews().create("subjectaccessreviews", "", &body, &User::default());
            answer.unwrap()["status"]["allowed"].clone()
        };
        assert_eq!(may("spec.nodeName=n1"), true);
        assert_eq!(may("spec.nodeName=n2"), false);
    }

    #[test]
    fn a_wrong_token_is_an_answer_not_an_error() {
        let answer = reviews().create(
            "tokenreviews",
            "",
            &json!({"spec": {"token": "x"}}),
            &User::default(),
        );
        let status = &answer.unwrap()["status"];
        assert_eq!(status["authenticated"], Value::Null);
        assert_eq!(status["error"], "invalid bearer token");
    }
}
