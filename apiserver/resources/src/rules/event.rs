//! Events, of core/v1 (stored so) and events.k8s.io/v1.

use super::field::{Errors, Path};
use super::json::{get, has, int, text};
use super::kind::{Kind, PLAIN};
use serde_json::Value;

type Selectable = Vec<(&'static str, String)>;

fn fields(event: &Value) -> Selectable {
    let object = if has(event, "regarding") {
        get(event, "regarding")
    } else {
        get(event, "involvedObject")
    };
    let source = if has(event, "deprecatedSource") {
        get(event, "deprecatedSource")
    } else {
        get(event, "source")
    };
    let component = match text(event, "reportingComponent") {
        "" => text(event, "reportingController"),
        component => component,
    };
    let of = |value: &str| value.to_owned();
    let source = match text(source, "component") {
        "" => component,
        source => source,
    };
    vec![
        ("involvedObject.kind", of(text(object, "kind"))),
        ("involvedObject.namespace", of(text(object, "namespace"))),
        ("involvedObject.name", of(text(object, "name"))),
        ("involvedObject.uid", of(text(object, "uid"))),
        ("involvedObject.apiVersion", of(text(object, "apiVersion"))),
        (
            "involvedObject.resourceVersion",
            of(text(object, "resourceVersion")),
        ),
        ("involvedObject.fieldPath", of(text(object, "fieldPath"))),
        ("reason", of(text(event, "reason"))),
        ("reportingComponent", of(component)),
        ("source", of(source)),
        ("type", of(text(event, "type"))),
    ]
}

/// An event lives where the object it is about lives; cluster-wide ones in
/// `default`.
fn check(e: &mut Errors, event: &Value) {
    let own = text(get(event, "metadata"), "namespace");
    let about = if has(event, "regarding") {
        "regarding"
    } else {
        "involvedObject"
    };
    let namespace = text(get(event, about), "namespace");
    let path = Path::new(about).child("namespace");
    if namespace.is_empty() {
        if !["default", "kube-system"].contains(&own) {
            e.invalid(&path, namespace, "does not match event.namespace");
        }
    } else if namespace != own {
        e.invalid(&path, namespace, "does not match event.namespace");
    }
    let series = get(event, "series");
    if !series.is_null() && int(series, "count").unwrap_or_default() < 2 {
        e.invalid(
            &Path::new("series.count"),
            get(series, "count"),
            "should be at least 2",
        );
    }
}

pub(super) const EVENT: Kind = Kind {
    validate: |event| Errors::collect(|e| check(e, event)),
    fields,
    ..PLAIN
};
