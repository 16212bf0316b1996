//! The parameters of a binding, found for one request.

use super::binding::{Binding, Which};
use super::host::Host;
use super::policy::ParamKind;
use crate::Objects;
use serde_json::Value;
use std::sync::Arc;

/// What a policy is evaluated with under a binding, once for each; null where it takes no
/// parameters or the binding names none. `namespace` is that of the object that is judged.
///
/// # Errors
/// In Kubernetes' words: the binding doesn't fit the kind of the parameters, or there are none
/// and there should be, or they can't be had in the version that the policy names.
pub async fn collect(
    kind: Option<&ParamKind>,
    binding: &Binding,
    namespace: &str,
    objects: &dyn Objects,
    host: &dyn Host,
) -> Result<Vec<Value>, String> {
    let (Some(kind), Some(reference)) = (kind, &binding.params) else {
        return Ok(vec![Value::Null]);
    };
    let Some(resource) = host.find(&kind.api_version, &kind.kind) else {
        return Err(kind.unknown());
    };
    let namespace = match (resource.namespaced, reference.namespace.as_str()) {
        (true, "") if namespace.is_empty() => {
            return Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".into());
        }
        (true, "") => namespace,
        (false, "") => "",
        (true, named) => named,
        (false, _) => {
            return Err(
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into(),
            );
        }
    };
    let (group, plural) = (resource.group.as_str(), resource.resource.as_str());
    let look = || match &reference.which {
        Which::Name(name) => objects
            .read(group, plural, namespace, name)
            .map(Arc::unwrap_or_clone)
            .into_iter()
            .collect(),
        Which::Selected(selector) => {
            let within = resource.namespaced.then_some(namespace);
            let is_selected = |object: &Value| {
                let labels = &object["metadata"]["labels"];
                selector.matches_with(|key| labels.get(key)?.as_str())
            };
            let all = objects.parse_all(group, plural, within);
            all.filter(is_selected).collect()
        }
    };
    let mut found: Vec<Value> = look();
    // They may have been written a moment ago.
    if found.is_empty() && objects.catch_up().await.is_ok() {
        found = look();
    }
    if found.is_empty() && reference.denies_none {
        return Err(
            "no params found for policy binding with `Deny` parameterNotFoundAction".into(),
        );
    }
    host.show(&kind.api_version, &kind.kind, found).await
}
