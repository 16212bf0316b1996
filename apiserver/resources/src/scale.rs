//! The `scale` subresource: the same small object over every resource that
//! counts replicas.

use crate::jsonpath;
use crate::resource::{Resource, api_version};
use serde_json::{Map, Value, json};

/// Group and version of the Scale that a version of a resource shows: autoscaling/v1, but
/// of their own in versions from before that.
pub fn version<'a>(resource: &'a Resource, version: &str) -> (&'a str, &'a str) {
    resource
        .subresource(version, "scale")
        .and_then(|sub| sub.body.as_ref())
        .map_or(("autoscaling", "v1"), |(group, version, _)| {
            (group, version)
        })
}

/// The Scale of an object in a version; `None` if that has none.
pub fn read(resource: &Resource, version: &str, object: &Value) -> Option<Value> {
    let paths = resource.version(version)?.scale.as_ref()?;
    let number = |path: &str| {
        let found = jsonpath::find(object, path);
        found.first().and_then(|v| v.as_i64()).unwrap_or_default()
    };
    let mut metadata = Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": number(&paths.status)});
    let selector = paths
        .selector
        .as_deref()
        .map(|path| jsonpath::find(object, path));
    let (group, version) = self::version(resource, version);
    match selector.as_deref().and_then(<[_]>::first) {
        Some(selector) if group == "autoscaling" => {
            status["selector"] = selector_text(selector).into();
        }
        // The text came later and so has another name.
        Some(selector) => {
            status["targetSelector"] = selector_text(selector).into();
            let labels = &selector["matchLabels"];
            if labels.is_object() && selector.get("matchExpressions").is_none() {
                status["selector"] = labels.clone();
            }
        }
        None => {}
    }
    let mut spec = Map::new();
    match number(&paths.spec) {
        0 => {}
        replicas => drop(spec.insert("replicas".into(), replicas.into())),
    }
    Some(json!({
        "kind": "Scale",
        "apiVersion": api_version(group, version),
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }))
}

/// Writes a Scale's replicas into an object in a version of the resource.
pub fn write(resource: &Resource, version: &str, object: &mut Value, scale: &Value) {
    let paths = resource.version(version).map(|it| &it.scale);
    let Some(Some(paths)) = paths else {
        return;
    };
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
    let mut target = object;
    for field in jsonpath::fields(&paths.spec) {
        if !target.is_object() {
            *target = json!({});
        }
        target = &mut target[field];
    }
    *target = replicas.into();
}

/// A label selector (text, map of labels, or LabelSelector) as text.
pub fn selector_text(selector: &Value) -> String {
    if let Value::String(text) = selector {
        return text.clone();
    }
    let is_map = selector
        .as_object()
        .is_some_and(|map| map.values().all(Value::is_string));
    let labels = if is_map {
        selector
    } else {
        &selector["matchLabels"]
    };
    let mut parts: Vec<(String, String)> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), format!("{key}={}", jsonpath::text(value))))
        .collect();
    for expression in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), text));
    }
    parts.sort();
    let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    #[test]
    fn reads_and_writes_replicas() {
        let registry = Registry::new();
        let row = registry
            .lookup("apps", "v1", "deployments")
            .expect("deployments");
        let mut object = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}, "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]}]}},
            "status": {"replicas": 1},
        });
        let mut scale = read(&row, "v1", &object).expect("scalable");
        assert_eq!(
            scale["status"],
            json!({"replicas": 1, "selector": "app=web,tier in (a,b)"})
        );
        assert_eq!(scale["metadata"].get("labels"), None);
        scale["spec"]["replicas"] = json!(5);
        write(&row, "v1", &mut object, &scale);
        assert_eq!(object["spec"]["replicas"], 5);

        let row = registry
            .lookup("extensions", "v1beta1", "deployments")
            .expect("deployments");
        let scale = read(&row, "v1beta1", &object).expect("scalable");
        assert_eq!(scale["apiVersion"], "extensions/v1beta1");
        assert_eq!(
            scale["status"],
            json!({"replicas": 1, "targetSelector": "app=web,tier in (a,b)"})
        );
        object["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
        let scale = read(&row, "v1beta1", &object).expect("scalable");
        assert_eq!(scale["status"]["selector"], json!({"app": "web"}));
    }
}
