//! Who may do what: bindings, certificates, admission, flow control.

use super::Spec;
use super::cells::*;
use serde_json::Value;

pub fn spec(_group: &str, _version: &str, kind: &str) -> Option<Spec> {
    Some(match kind {
        "RoleBinding" | "ClusterRoleBinding" => {
            ("Name|Role|Age|Users+|Groups+|ServiceAccounts+", binding)
        }
        "CertificateSigningRequest" => (
            "Name|Age|SignerName|Requestor|RequestedDuration|Condition",
            certificate_request,
        ),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            ("Name|Webhooks:i|Age", |object| {
                vec![
                    name(object),
                    list(&object["webhooks"]).len().into(),
                    age(object),
                ]
            })
        }
        "ValidatingAdmissionPolicy" => ("Name|Validations:i|ParamKind|Age", |object| {
            let validations = list(&object["spec"]["validations"]).len();
            with_name_and_age(object, [validations.into(), param_kind(object)])
        }),
        "MutatingAdmissionPolicy" => ("Name|Mutations:i|ParamKind|Age", |object| {
            let mutations = list(&object["spec"]["mutations"]).len();
            with_name_and_age(object, [mutations.into(), param_kind(object)])
        }),
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            ("Name|PolicyName|ParamRef|Age", |object| {
                let shown = param_ref(&object["spec"]["paramRef"]);
                let policy = object["spec"]["policyName"].clone();
                with_name_and_age(object, [policy.into(), shown.into()])
            })
        }
        "APIService" => ("Name|Service|Available|Age", |object| {
            let service = &object["spec"]["service"];
            let place = match service.is_object() {
                true => format!("{}/{}", text(&service["namespace"]), text(&service["name"])),
                false => "Local".to_owned(),
            };
            let mut conditions = list(&object["status"]["conditions"]).iter();
            let available = conditions.find(|condition| condition["type"] == "Available");
            let available = available.map_or_else(
                || "Unknown".to_owned(),
                |it| match (text(&it["status"]), text(&it["reason"])) {
                    ("True", _) => "True".to_owned(),
                    (status, "") => status.to_owned(),
                    (status, reason) => format!("{status} ({reason})"),
                },
            );
            vec![name(object), place.into(), available.into(), age(object)]
        }),
        "FlowSchema" => (
            "Name|PriorityLevel|MatchingPrecedence|DistinguisherMethod|Age|MissingPL",
            flow_schema,
        ),
        "PriorityLevelConfiguration" => (
            "Name|Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age",
            priority_level,
        ),
        _ => return None,
    })
}

/// Of what kind a policy's parameters are.
fn param_kind(policy: &Value) -> Cell {
    let kind = &policy["spec"]["paramKind"];
    match text(&kind["kind"]) {
        "" => UNSET.into(),
        name => format!("{}/{name}", text(&kind["apiVersion"])).into(),
    }
}

/// Which objects are a binding's parameters, as Kubernetes has it: one without a namespace may
/// be in any, and a selector is shown as Go prints it.
fn param_ref(reference: &Value) -> String {
    let quoted = |selector: &Value| {
        let labels = selector["matchLabels"].as_object().into_iter().flatten();
        let labels: String = labels
            .map(|(key, value)| format!("{key}: {},", text(value)))
            .collect();
        let expressions: String = list(&selector["matchExpressions"])
            .iter()
            .map(|it| {
                let values: Vec<&str> = list(&it["values"]).iter().map(text).collect();
                let (key, operator) = (text(&it["key"]), text(&it["operator"]));
                format!(
                    "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},",
                    values.join(" ")
                )
            })
            .collect();
        format!(
            "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
        )
    };
    match (text(&reference["namespace"]), text(&reference["name"])) {
        (_, "") if reference["selector"].is_object() => quoted(&reference["selector"]),
        (_, "") => UNSET.to_owned(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn with_name_and_age<const N: usize>(object: &Value, cells: [Cell; N]) -> Cells {
    let (first, last) = ([name(object)], [age(object)]);
    first.into_iter().chain(cells).chain(last).collect()
}

fn binding(object: &Value) -> Cells {
    let role = &object["roleRef"];
    let of_kind = |kind: &str| -> Cell {
        let texts: Vec<String> = list(&object["subjects"])
            .iter()
            .filter(|subject| subject["kind"] == kind)
            .map(|subject| match kind {
                "ServiceAccount" => {
                    format!("{}/{}", text(&subject["namespace"]), text(&subject["name"]))
                }
                _ => text(&subject["name"]).to_owned(),
            })
            .collect();
        texts.join(", ").into()
    };
    vec![
        name(object),
        format!("{}/{}", text(&role["kind"]), text(&role["name"])).into(),
        age(object),
        of_kind("User"),
        of_kind("Group"),
        of_kind("ServiceAccount"),
    ]
}

fn certificate_request(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has = |wanted: &str| {
        list(&status["conditions"])
            .iter()
            .any(|c| c["type"] == wanted)
    };
    let mut state = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(&status["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    let duration = spec["expirationSeconds"]
        .as_i64()
        .map_or(NONE.to_owned(), human);
    vec![
        name(object),
        age(object),
        text_or(&spec["signerName"], NONE).into(),
        text(&spec["username"]).into(),
        duration.into(),
        state.into(),
    ]
}

fn flow_schema(object: &Value) -> Cells {
    let spec = &object["spec"];
    let dangling = list(&object["status"]["conditions"])
        .iter()
        .find(|condition| condition["type"] == "Dangling");
    vec![
        name(object),
        spec["priorityLevelConfiguration"]["name"].clone().into(),
        int(&spec["matchingPrecedence"]).into(),
        text_or(&spec["distinguisherMethod"]["type"], NONE).into(),
        age(object),
        dangling
            .map_or("?", |condition| text(&condition["status"]))
            .into(),
    ]
}

fn priority_level(object: &Value) -> Cells {
    let limited = &object["spec"]["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let shares = match &limited["nominalConcurrencyShares"] {
        Value::Null => &object["spec"]["exempt"]["nominalConcurrencyShares"],
        shares => shares,
    };
    let count = |value: &Value| Cell::from(int_or_string(value, NONE));
    vec![
        name(object),
        object["spec"]["type"].clone().into(),
        count(shares),
        count(&queuing["queues"]),
        count(&queuing["handSize"]),
        count(&queuing["queueLengthLimit"]),
        age(object),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bindings_and_requests() {
        let cells = shown(binding(
            &json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [
                {"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "namespace": "n", "name": "sa"}]}),
        ));
        assert_eq!(cells[1], "ClusterRole/admin");
        assert_eq!((&cells[3], &cells[5]), (&json!("jane"), &json!("n/sa")));
        let cells = shown(certificate_request(
            &json!({"metadata": {"name": "c"}, "spec": {"signerName": "s", "expirationSeconds": 86400},
                "status": {"conditions": [{"type": "Approved"}], "certificate": "x"}}),
        ));
        assert_eq!(
            (&cells[4], &cells[5]),
            (&json!("24h"), &json!("Approved,Issued"))
        );
    }
}
