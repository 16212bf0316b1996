//! Events, of core/v1 (stored so) and events.k8s.io/v1.

use super::field::{Errors, Path};
use super::json::{get, has, int, is_empty, text};
use super::kind::{Kind, PLAIN};
use hardway_proto::names;
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

/// What may be said of an instance, an action or a reason, and in all, in bytes.
const LONGEST_WORD: usize = 128;
const LONGEST_MESSAGE: usize = 1024;

/// What is asked of events of either version: an event lives where the object it is about
/// lives, and one with a time of its own tells who did what (`legacyValidateEvent` of
/// `pkg/apis/core/validation/events.go`). The controller is named as the version does.
fn check(e: &mut Errors, event: &Value, controller: &str) {
    let own = text(get(event, "metadata"), "namespace");
    let namespace = text(get(event, "involvedObject"), "namespace");
    let timed = has(event, "eventTime");
    let apart = match (namespace, timed) {
        ("", false) => own != "default",
        ("", true) => !["default", "kube-system"].contains(&own),
        (_, false) => namespace != own,
        (_, true) => false,
    };
    if apart {
        let path = Path::new("involvedObject.namespace");
        e.invalid(&path, namespace, "does not match event.namespace");
    }
    if !timed {
        return;
    }
    let (path, name) = (Path::new(controller), text(event, "reportingComponent"));
    if name.is_empty() {
        e.required(&path, "");
    }
    e.each(&path, name, names::is_qualified_name(name));
    for field in ["reportingInstance", "action", "reason"] {
        let path = Path::new(field);
        match text(event, field).len() {
            0 => e.required(&path, ""),
            length => at_most(e, &path, length, LONGEST_WORD),
        }
    }
    let length = text(event, "message").len();
    at_most(e, &Path::new("message"), length, LONGEST_MESSAGE);
}

fn at_most(e: &mut Errors, path: &Path, length: usize, limit: usize) {
    if length > limit {
        e.invalid(path, "", &format!("can have at most {limit} characters"));
    }
}

fn check_series(e: &mut Errors, event: &Value) {
    let series = get(event, "series");
    if series.is_null() {
        return;
    }
    if int(series, "count").unwrap_or_default() < 2 {
        e.invalid(&Path::new("series.count"), "", "should be at least 2");
    }
    if !has(series, "lastObservedTime") {
        e.required(&Path::new("series.lastObservedTime"), "");
    }
}

/// What else is asked of one that is created as of events.k8s.io/v1.
fn check_strictly(e: &mut Errors, event: &Value) {
    check(e, event, "reportingController");
    check_series(e, event);
    if !has(event, "eventTime") {
        e.required(&Path::new("eventTime"), "");
    }
    let kind = text(event, "type");
    if !["Normal", "Warning"].contains(&kind) {
        let detail = format!("has invalid value: {kind}");
        e.invalid(&Path::new("type"), "", &detail);
    }
    let source = get(event, "source");
    let sourced = ["component", "host"].map(|field| text(source, field)) != ["", ""];
    for (field, is_set) in [
        ("firstTimestamp", has(event, "firstTimestamp")),
        ("lastTimestamp", has(event, "lastTimestamp")),
        ("count", int(event, "count").unwrap_or_default() != 0),
        ("source", sourced),
    ] {
        if is_set {
            e.invalid(&Path::new(field), "", "needs to be unset");
        }
    }
}

/// What is wrong with a change as of events.k8s.io/v1: it may add to the series.
fn check_change(e: &mut Errors, new: &Value, old: &Value) {
    check(e, new, "reportingController");
    if get(new, "series") != get(old, "series") {
        check_series(e, new);
    }
    for (field, told) in [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        // Kubernetes looks twice.
        ("reason", "reason"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        let (new, old) = (get(new, field), get(old, field));
        let unset = |value: &Value| is_empty(value) || value == 0;
        if !(unset(new) && unset(old)) {
            e.immutable(&Path::new(told), new, old);
        }
    }
}

/// Events of core/v1.
pub(super) const EVENT: Kind = Kind {
    // Any that a path can have.
    name: names::is_path_segment,
    validate: |event| Errors::collect(|e| check(e, event, "reportingComponent")),
    fields,
    ..PLAIN
};

/// Events that are written as of events.k8s.io/v1; they are kept, and so seen here, as of
/// core/v1.
pub(super) const STRICT_EVENT: Kind = Kind {
    name: names::is_dns1123_subdomain,
    validate: |event| Errors::collect(|e| check_strictly(e, event)),
    validate_changed: Some(|new, old| Errors::collect(|e| check_change(e, new, old))),
    ..EVENT
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{FieldErrors, KindRules};
    use serde_json::json;

    fn texts(causes: FieldErrors) -> Vec<String> {
        let causes = causes.into_iter();
        causes
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    fn timed() -> Value {
        json!({"metadata": {"name": "a", "namespace": "n"}, "eventTime": "2026-01-01T00:00:00.000000Z",
            "involvedObject": {"kind": "Pod", "namespace": "other"}, "reportingComponent": "a.b/c",
            "reportingInstance": "i", "action": "Do", "reason": "Done", "type": "Normal",
            "source": {}, "count": 0, "message": "m"})
    }

    /// Cases of `TestValidateEventCreateForNewV1beta1AndLaterEvents`.
    #[test]
    fn an_event_with_a_time_tells_who_did_what() {
        assert_eq!(texts(KindRules::validate(&EVENT, &timed())), [""; 0]);
        assert_eq!(texts(KindRules::validate(&STRICT_EVENT, &timed())), [""; 0]);
        let mut event = timed();
        for field in ["reportingComponent", "action", "type"] {
            event[field] = json!("");
        }
        event["reason"] = json!("x".repeat(129));
        event["message"] = json!("x".repeat(1025));
        event["series"] = json!({"count": 0});
        event["source"] = json!({"host": "h"});
        event["count"] = json!(1);
        let common = |controller: &str| {
            [
                format!("{controller}: Required value"),
                format!(r#"{controller}: Invalid value: "": name part must be non-empty"#),
                format!(
                    r#"{controller}: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#
                ),
                "action: Required value".into(),
                r#"reason: Invalid value: "": can have at most 128 characters"#.into(),
                r#"message: Invalid value: "": can have at most 1024 characters"#.into(),
            ]
        };
        assert_eq!(
            texts(KindRules::validate(&EVENT, &event)),
            common("reportingComponent")
        );
        let mut strictly = common("reportingController").to_vec();
        strictly.extend(
            [
                r#"series.count: Invalid value: "": should be at least 2"#,
                "series.lastObservedTime: Required value",
                r#"type: Invalid value: "": has invalid value: "#,
                r#"count: Invalid value: "": needs to be unset"#,
                r#"source: Invalid value: "": needs to be unset"#,
            ]
            .map(str::to_owned),
        );
        assert_eq!(texts(KindRules::validate(&STRICT_EVENT, &event)), strictly);
    }

    /// Cases of `TestEventV1EventUpdateValidation`.
    #[test]
    fn only_the_series_of_an_event_changes() {
        let old = timed();
        let mut new = old.clone();
        new["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
        new["count"] = Value::Null;
        let change =
            |new: &Value| texts(KindRules::validate_changed(&STRICT_EVENT, new, &old).causes);
        assert_eq!(change(&new), [""; 0]);
        new["reason"] = json!("Other");
        new["reportingComponent"] = json!("a.b/d");
        assert_eq!(
            change(&new),
            [
                r#"reason: Invalid value: "Other": field is immutable"#,
                r#"reason: Invalid value: "Other": field is immutable"#,
                r#"reportingController: Invalid value: "a.b/d": field is immutable"#,
            ]
        );
        assert!(
            KindRules::validate_changed(&EVENT, &new, &old)
                .causes
                .is_empty()
        );
    }
}
