//! Which requests concern a webhook or a policy: its rules, its selectors, and what other
//! versions of the same resource count for (`matchPolicy`). As
//! `pkg/admission/plugin/webhook/predicates` and `…/policy/matching` of `k8s.io/apiserver`
//! have it.

mod index;
mod rule;

pub use index::Index;
pub use rule::Rule;

use super::review::{Operation, ResourceKind, Review};
use crate::Objects;
use crate::objects::items;
use hardway_proto::Status;
use hardway_proto::labels::{Selector, SelectorError};
use serde_json::Value;

/// The group of webhook configurations and policies.
pub const REGISTRATION_GROUP: &str = "admissionregistration.k8s.io";
/// What must always be able to be mended: no webhook or policy sees these.
const EXEMPT: [&str; 6] = [
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Whether a request is about what configures webhooks and policies, which none of them is
/// asked about.
pub fn is_exempt(review: &Review<'_>) -> bool {
    let kind = &review.requested.kind;
    kind.group == REGISTRATION_GROUP && EXEMPT.contains(&kind.kind.as_str())
}

/// What nobody keeps, and what servers ask to learn who somebody is and what they may do: a
/// policy that refused these would break the cluster (`pkg/kubeapiserver/admission/exclusion` of
/// Kubernetes). Webhooks see them.
const REVIEWS: [(&str, &str); 6] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

/// Whether no policy judges or changes a request.
pub fn is_exempt_from_policies(review: &Review<'_>) -> bool {
    is_exempt(review) || REVIEWS.contains(&(review.group, review.resource))
}

/// What a webhook, a policy's `matchConstraints` or a binding's `matchResources` say of the
/// requests that concern them, read once.
#[derive(Clone, Debug)]
pub struct MatchResources {
    /// `None`: all requests.
    rules: Option<Vec<Rule>>,
    excluded: Vec<Rule>,
    /// Whether other versions of a resource count as the one that a rule names.
    equivalent: bool,
    namespaces: Selector,
    objects: Selector,
}

impl MatchResources {
    /// Of a webhook, which without rules is asked about nothing.
    ///
    /// # Errors
    /// If a selector is none.
    pub fn of_webhook(webhook: &Value) -> Result<Self, SelectorError> {
        Self::read(
            webhook,
            Some(rules(webhook, "/rules")),
            webhook["matchPolicy"] != "Exact",
        )
    }

    /// Of a policy or binding, which without rules concerns everything.
    ///
    /// # Errors
    /// If a selector is none.
    pub fn of_policy(constraints: &Value) -> Result<Self, SelectorError> {
        let rules = rules(constraints, "/resourceRules");
        let rules = (!rules.is_empty()).then_some(rules);
        let equivalent = constraints["matchPolicy"] != "Exact";
        Self::read(constraints, rules, equivalent)
    }

    fn read(
        from: &Value,
        rules_of: Option<Vec<Rule>>,
        equivalent: bool,
    ) -> Result<Self, SelectorError> {
        let selector = |field: &str| match &from[field] {
            Value::Null => Ok(Selector::everything()),
            selector => Selector::from_json(selector),
        };
        Ok(Self {
            rules: rules_of,
            excluded: rules(from, "/excludeResourceRules"),
            equivalent,
            namespaces: selector("namespaceSelector")?,
            objects: selector("objectSelector")?,
        })
    }

    /// The rules, unless everything is matched.
    pub fn rules(&self) -> Option<&[Rule]> {
        self.rules.as_deref()
    }

    /// Whether a request is concerned, and as which version of its resource. `new` and `old`
    /// are its objects as they are kept.
    ///
    /// # Errors
    /// 404, if that depends on the labels of a namespace that doesn't exist.
    pub fn matches<'r>(
        &self,
        review: &'r Review<'_>,
        objects: &dyn Objects,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<Option<&'r ResourceKind>, Status> {
        let name = review.name_of(new);
        if !self.excluded.is_empty() && self.first(&self.excluded, review, name).is_some() {
            return Ok(None);
        }
        let found = match &self.rules {
            None => Some(&review.requested),
            Some(rules) => self.first(rules, review, name),
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let selected = self.selects_object(review, new, old)
            && self.selects_namespace(review, objects, new)?;
        Ok(selected.then_some(found))
    }

    /// The version of the resource that the first rule is about which matches.
    fn first<'r>(
        &self,
        rules: &[Rule],
        review: &'r Review<'_>,
        name: &str,
    ) -> Option<&'r ResourceKind> {
        let asked = &review.requested;
        if rules.iter().any(|rule| rule.matches(review, asked, name)) {
            return Some(asked);
        }
        if !self.equivalent || !rules.iter().any(|rule| rule.may_match(review, name)) {
            return None;
        }
        rules.iter().find_map(|rule| {
            let mut others = review.others().iter();
            others.find(|other| rule.matches(review, other, name))
        })
    }

    fn selects_object(
        &self,
        review: &Review<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> bool {
        self.objects.is_everything()
            || has_metadata(review)
                && [new, old]
                    .into_iter()
                    .flatten()
                    .any(|object| selects(&self.objects, review.versions.labels(object)))
    }

    fn selects_namespace(
        &self,
        review: &Review<'_>,
        objects: &dyn Objects,
        new: Option<&Value>,
    ) -> Result<bool, Status> {
        let of_namespaces = review.is_of_namespaces();
        if self.namespaces.is_everything() || review.namespace.is_empty() && !of_namespaces {
            return Ok(true);
        }
        let is_written = matches!(review.operation, Operation::Create | Operation::Update);
        if of_namespaces && review.subresource.is_empty() && is_written {
            let labels = new.and_then(|namespace| namespace["metadata"]["labels"].as_object());
            return Ok(selects(&self.namespaces, labels));
        }
        let Some(namespace) = review.namespace_object(objects) else {
            let name = review.namespace_of(new);
            return Err(Status::not_found("", "namespaces", name));
        };
        let labels = namespace["metadata"]["labels"].as_object();
        Ok(selects(&self.namespaces, labels))
    }
}

fn rules(from: &Value, pointer: &str) -> Vec<Rule> {
    items(from, pointer).iter().map(Rule::of).collect()
}

/// Whether what is sent has labels, were there none. Options of a stream and a rollback have no
/// such field, and no selector selects them.
fn has_metadata(review: &Review<'_>) -> bool {
    review.operation != Operation::Connect && review.requested.kind.kind != "DeploymentRollback"
}

fn selects(selector: &Selector, labels: Option<&serde_json::Map<String, Value>>) -> bool {
    selector.matches_with(|key| labels?.get(key)?.as_str())
}

#[cfg(test)]
mod tests;
