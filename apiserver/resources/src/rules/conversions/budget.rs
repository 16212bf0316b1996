//! PodDisruptionBudgets of policy/v1beta1, where an empty selector selects no
//! pod instead of all. What one version says so simply the other says with a
//! label that no pod has.

use super::super::json::{get, list, object_mut, set};
use super::{Conversion, SAME};
use serde_json::{Value, json};

const LABEL: &str = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";

pub(super) const BUDGET: Conversion = Conversion {
    to_storage: |budget| turn(budget, "Exists", "DoesNotExist"),
    to_external: |budget| turn(budget, "DoesNotExist", "Exists"),
    ..SAME
};

/// Says the empty selector with `operator`, and with `empty` the other way.
fn turn(budget: &mut Value, operator: &str, empty: &str) {
    let Some(spec) = object_mut(budget, "spec") else {
        return;
    };
    let selector = get(spec, "selector");
    let Some(fields) = selector.as_object() else {
        return;
    };
    let turned = if fields.is_empty() {
        json!({"matchExpressions": [{"key": LABEL, "operator": operator}]})
    } else if fields.len() == 1
        && matches!(list(selector, "matchExpressions"), [one] if *one == json!({"key": LABEL, "operator": empty}))
    {
        json!({})
    } else {
        return;
    };
    set(spec, "selector", turned);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_everything_are_told_apart() {
        let says =
            |operator: &str| json!({"matchExpressions": [{"key": LABEL, "operator": operator}]});
        for (shown, kept) in [
            (json!({}), says("Exists")),
            (says("DoesNotExist"), json!({})),
            (
                json!({"matchLabels": {"a": "b"}}),
                json!({"matchLabels": {"a": "b"}}),
            ),
            (Value::Null, Value::Null),
        ] {
            let mut budget = json!({"spec": {"selector": shown}});
            (BUDGET.to_storage)(&mut budget);
            assert_eq!(budget["spec"]["selector"], kept);
            (BUDGET.to_external)(&mut budget);
            assert_eq!(budget["spec"]["selector"], shown);
        }
    }
}
