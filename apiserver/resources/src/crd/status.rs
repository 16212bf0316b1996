//! The status of a definition: the names it has got, and its conditions.

use super::naming;
use crate::rules::definition::{approval_condition, structural};
use crate::rules::json::{get, list, set, text};
use serde_json::{Value, json};

/// The status that a definition has from now on, given the accepted names of the
/// others of its group. A definition is established as soon as it has all its names,
/// and stays so. Conditions that hold already keep their time.
pub fn of(definition: &Value, others: &[&Value], now: &str) -> Value {
    let old = get(definition, "status");
    let mut status = match old.is_object() {
        true => old.clone(),
        false => json!({}),
    };
    let asked = get(get(definition, "spec"), "names");
    let (names, conflict) = naming::accept(asked, get(old, "acceptedNames"), others);
    set(&mut status, "acceptedNames", names);
    let accepted = conflict.is_none();
    let (reason, message) = conflict.unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    let mut put = |kind: &str, value: &str, reason: &str, message: &str| {
        set_condition(&mut status, kind, (value, reason, message), now);
    };
    put("NamesAccepted", truth(accepted), reason, &message);
    if accepted {
        put(
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
    } else if !is(old, "Established") {
        let message = "not all names are accepted";
        put("Established", "False", "NotAccepted", message);
    }
    if let Some((value, reason, message)) = approval_condition(definition) {
        put(
            "KubernetesAPIApprovalPolicyConformant",
            value,
            reason,
            &message,
        );
    }
    match structural::condition(definition) {
        Some((value, reason, message)) => put("NonStructuralSchema", value, reason, &message),
        None => remove_condition(&mut status, "NonStructuralSchema"),
    }
    // Earlier releases said so of definitions whose webhook they did not call.
    remove_condition(&mut status, "ConversionAvailable");
    status
}

fn truth(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// Whether a condition is true; of an `Established` definition the objects are served.
pub fn is(status: &Value, kind: &str) -> bool {
    let conditions = list(status, "conditions").iter();
    let mut conditions = conditions.filter(|condition| text(condition, "type") == kind);
    conditions.any(|condition| text(condition, "status") == "True")
}

/// The reason of a condition; empty if it isn't there.
pub fn reason<'a>(status: &'a Value, kind: &str) -> &'a str {
    let mut conditions = list(status, "conditions").iter();
    let condition = conditions.find(|condition| text(condition, "type") == kind);
    condition.map_or("", |condition| text(condition, "reason"))
}

/// Sets a condition to a status, reason and message.
pub fn set_condition(
    status: &mut Value,
    kind: &str,
    (value, reason, message): (&str, &str, &str),
    now: &str,
) {
    let mut conditions = list(status, "conditions").to_vec();
    let place = conditions.iter().position(|c| text(c, "type") == kind);
    let before = place.map(|place| &conditions[place]);
    let since = before.filter(|before| text(before, "status") == value);
    let since = since.map_or(now, |before| text(before, "lastTransitionTime"));
    let condition = json!({"type": kind, "status": value, "lastTransitionTime": since,
        "reason": reason, "message": message});
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
    set(status, "conditions", conditions);
}

fn remove_condition(status: &mut Value, kind: &str) {
    let mut conditions = list(status, "conditions").to_vec();
    conditions.retain(|condition| text(condition, "type") != kind);
    set(status, "conditions", conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(group: &str, schema: Value) -> Value {
        json!({"metadata": {"name": format!("knobs.{group}")}, "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "knobs", "singular": "knob", "kind": "Knob", "listKind": "KnobList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}]}})
    }

    fn told(status: &Value) -> Vec<String> {
        let conditions = list(status, "conditions").iter();
        let conditions = conditions.map(|c| {
            format!(
                "{}={} {}",
                text(c, "type"),
                text(c, "status"),
                text(c, "reason")
            )
        });
        conditions.collect()
    }

    #[test]
    fn what_was_said_of_webhooks_that_are_not_called_is_taken_back() {
        let mut knobs = definition("example.com", json!({"type": "object"}));
        knobs["spec"]["conversion"] = json!({"strategy": "Webhook"});
        knobs["status"]["conditions"] = json!([{"type": "ConversionAvailable", "status": "False"}]);
        let said = told(&of(&knobs, &[], "1"));
        assert_eq!(said.len(), 2, "{said:?}");
    }

    #[test]
    fn established_by_its_names_and_for_good() {
        let mut knobs = definition("example.com", json!({"type": "object"}));
        let other = json!({"plural": "dials", "kind": "Knob"});
        let status = of(&knobs, &[&other], "1");
        assert_eq!(
            told(&status),
            [
                "NamesAccepted=False KindConflict",
                "Established=False NotAccepted"
            ]
        );
        knobs["status"] = status;
        let status = of(&knobs, &[], "2");
        assert_eq!(
            told(&status),
            [
                "NamesAccepted=True NoConflicts",
                "Established=True InitialNamesAccepted"
            ]
        );
        assert_eq!(status["acceptedNames"], knobs["spec"]["names"]);
        assert_eq!(status["conditions"][1]["lastTransitionTime"], "2");
        knobs["status"] = status;
        assert_eq!(of(&knobs, &[], "3"), knobs["status"]);
        // A name that it can't have takes away none that it has.
        knobs["spec"]["names"]["shortNames"] = json!(["d"]);
        let status = of(&knobs, &[&json!({"shortNames": ["d"]})], "4");
        assert_eq!(
            told(&status),
            [
                "NamesAccepted=False ShortNamesConflict",
                "Established=True InitialNamesAccepted"
            ]
        );
        assert!(is(&status, "Established"));
    }

    #[test]
    fn what_was_let_in_once_is_told_of() {
        let mut knobs = definition("x-k8s.io", json!({"properties": {"spec": {}}}));
        let violation = "spec.versions[0].schema.openAPIV3Schema.type: Required value: must not be empty at the root";
        let status = of(&knobs, &[], "1");
        let conditions = list(&status, "conditions");
        assert_eq!(text(&conditions[2], "type"), "NonStructuralSchema");
        assert!(text(&conditions[2], "message").contains(violation));
        knobs["spec"]["group"] = json!("x.k8s.io");
        assert!(
            told(&of(&knobs, &[], "1"))
                .contains(&"KubernetesAPIApprovalPolicyConformant=False MissingAnnotation".into())
        );
        knobs["status"] = status;
        knobs["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object"});
        knobs["metadata"]["annotations"] =
            json!({"api-approved.kubernetes.io": "https://example.com/1"});
        assert_eq!(
            told(&of(&knobs, &[], "1"))[2],
            "KubernetesAPIApprovalPolicyConformant=True ApprovedAnnotation"
        );
    }
}
