//! The selectors in a question about a list: `fieldSelector` and
//! `labelSelector` of `resourceAttributes`, each as one text or as
//! requirements.

use super::invalid;
use crate::objects::{items, strings};
use crate::text;
use hardway_proto::Status;
use hardway_proto::fields::{FieldRequirement, FieldSelector};
use serde_json::Value;

/// The field selector that is asked about; both selectors are checked. What
/// can't be understood narrows nothing, as Kubernetes has it: the question is
/// then about more.
///
/// Nobody decides by labels; so nothing is kept of them.
pub(super) fn fields(kind: &str, resource: &Value) -> Result<FieldSelector, Status> {
    for name in ["fieldSelector", "labelSelector"] {
        check(kind, name, resource)?;
    }
    let raw = text(resource, "/fieldSelector/rawSelector");
    if !raw.is_empty() {
        return Ok(FieldSelector::parse(raw).unwrap_or_default());
    }
    let requirements = items(resource, "/fieldSelector/requirements");
    Ok(FieldSelector::of(
        requirements.iter().filter_map(requirement),
    ))
}

/// One value that must, or must not, be the field's.
fn requirement(of: &Value) -> Option<FieldRequirement> {
    let negated = match text(of, "/operator") {
        "In" => false,
        "NotIn" => true,
        _ => return None,
    };
    let mut values = strings(of, "/values");
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    Some(FieldRequirement {
        field: text(of, "/key").to_owned(),
        value: value.to_owned(),
        negated,
    })
}

fn check(kind: &str, name: &str, resource: &Value) -> Result<(), Status> {
    let Some(selector) = resource.get(name).filter(|s| s.is_object()) else {
        return Ok(());
    };
    let path = format!("spec.resourceAttributes.{name}");
    let refuse =
        |field: String, reason: &str, message: &str| Err(invalid(kind, &field, reason, message));
    let raw = text(selector, "/rawSelector");
    let requirements = items(selector, "/requirements");
    match (raw.is_empty(), requirements.is_empty()) {
        (false, false) => {
            let message = format!(
                "Invalid value: {raw:?}: may not specified at the same time as requirements"
            );
            return refuse(format!("{path}.rawSelector"), "FieldValueInvalid", &message);
        }
        (true, true) => {
            let message = format!(
                "Required value: when {path} is specified, requirements or rawSelector is required"
            );
            return refuse(
                format!("{path}.requirements"),
                "FieldValueRequired",
                &message,
            );
        }
        _ => {}
    }
    for (i, requirement) in requirements.iter().enumerate() {
        let path = format!("{path}.requirements[{i}]");
        let (key, operator) = (text(requirement, "/key"), text(requirement, "/operator"));
        let has_values = !items(requirement, "/values").is_empty();
        if key.is_empty() {
            let message = "Required value: must be specified";
            return refuse(format!("{path}.key"), "FieldValueRequired", message);
        }
        match operator {
            "In" | "NotIn" if !has_values => {
                let message =
                    "Required value: must be specified when `operator` is 'In' or 'NotIn'";
                return refuse(format!("{path}.values"), "FieldValueRequired", message);
            }
            "Exists" | "DoesNotExist" if has_values => {
                let message =
                    "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                return refuse(format!("{path}.values"), "FieldValueForbidden", message);
            }
            // Newer clients may know more operators: what is not understood
            // narrows nothing.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(selector: Value) -> Result<FieldSelector, String> {
        fields("SubjectAccessReview", &json!({"fieldSelector": selector}))
            .map_err(|status| status.message)
    }

    #[test]
    fn a_selector_is_a_text_or_requirements() {
        let own = FieldSelector::equals("spec.nodeName", "n1");
        assert_eq!(
            read(json!({"rawSelector": "spec.nodeName=n1"})),
            Ok(own.clone())
        );
        let requirement = |operator: &str, values: Value| {
            json!({"requirements": [
                {"key": "spec.nodeName", "operator": operator, "values": values}]})
        };
        assert_eq!(read(requirement("In", json!(["n1"]))), Ok(own));
        assert!(
            read(requirement("Gt", json!(["1"])))
                .unwrap()
                .is_everything()
        );
        // Of two values no one is meant.
        let any = read(requirement("In", json!(["n1", "n2"]))).unwrap();
        assert!(any.is_everything());
        assert!(
            read(json!({"rawSelector": "what?"}))
                .unwrap()
                .is_everything()
        );
        for wrong in [
            json!({}),
            json!({"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]}),
            requirement("In", json!([])),
            requirement("Exists", json!(["x"])),
            json!({"requirements": [{"operator": "Exists"}]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let labels = json!({"labelSelector": {"requirements": [{"key": "", "operator": "In"}]}});
        assert!(fields("SubjectAccessReview", &labels).is_err());
    }
}
