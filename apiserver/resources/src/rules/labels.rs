//! Checks of labels and of label selectors inside objects.

use super::field::{Errors, Path};
use super::json::{get, list, text};
use hardway_proto::names;
use serde_json::Value;

/// Keys and values of a map of labels.
pub fn check(e: &mut Errors, path: &Path, labels: &Value) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        e.each(path, key, names::is_qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        e.each(path, value, names::is_label_value(value));
    }
}

/// A `LabelSelector`.
pub fn check_selector(e: &mut Errors, path: &Path, selector: &Value) {
    check_selector_with(e, path, selector, false);
}

/// The same; in expressions any values may be let pass.
pub fn check_selector_with(e: &mut Errors, path: &Path, selector: &Value, any_values: bool) {
    check(e, &path.child("matchLabels"), get(selector, "matchLabels"));
    for (i, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(i);
        check_expression(e, &path, expression, false);
        if !any_values {
            check_values(e, &path, expression);
        }
    }
}

/// One expression of a label or node selector, but for its values; only the latter
/// compares numbers.
pub fn check_expression(e: &mut Errors, path: &Path, expression: &Value, numbers: bool) {
    let values = list(expression, "values");
    let at = path.child("values");
    match text(expression, "operator") {
        "In" | "NotIn" => {
            if values.is_empty() {
                e.required(&at, "must be specified when `operator` is 'In' or 'NotIn'");
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                e.forbidden(
                    &at,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
        }
        "Gt" | "Lt" if numbers => {
            if values.len() != 1 {
                e.required(
                    &at,
                    "must be specified single value when `operator` is 'Lt' or 'Gt'",
                );
            }
        }
        other => e.invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        ),
    }
    let key = text(expression, "key");
    e.each(&path.child("key"), key, names::is_qualified_name(key));
}

/// The values of an expression are such that labels can have.
pub fn check_values(e: &mut Errors, path: &Path, expression: &Value) {
    for (i, value) in list(expression, "values").iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        let at = path.child("values").index(i);
        e.each(&at, value, names::is_label_value(value));
    }
}

/// Whether a selector (a `LabelSelector`, or a plain map) selects the labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let get_label = |key: &str| labels.get(key).and_then(Value::as_str);
    let is_selector = has_selector_form(selector);
    if !is_selector {
        let mut pairs = selector.as_object().into_iter().flatten();
        return pairs.all(|(k, v)| labels.get(k) == Some(v));
    }
    hardway_proto::labels::Selector::from_json(selector).is_ok_and(|s| s.matches_with(get_label))
}

fn has_selector_form(selector: &Value) -> bool {
    get(selector, "matchLabels").is_object() || get(selector, "matchExpressions").is_array()
}
