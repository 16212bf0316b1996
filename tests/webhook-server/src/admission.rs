//! Answers to AdmissionReviews, by the first segment of the path; the rest says more:
//!
//! | path | answer |
//! |---|---|
//! | `allow` | yes |
//! | `deny`, `deny/MESSAGE` | no |
//! | `warn/TEXT` | yes, with a warning and the audit annotation `warned` |
//! | `label/KEY/VALUE` | yes, with that label |
//! | `patch/OPERATIONS` | yes, with a JSON patch |
//! | `hang` | none |
//! | `garbage` | no JSON |
//! | `fail/CODE` | an HTTP status |

use crate::Answer;
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The answer to a review.
pub fn answer(path: &str, asked: &Value) -> Answer {
    let (what, rest) = path.split_once('/').unwrap_or((path, ""));
    let rest = percent_decode_str(rest).decode_utf8_lossy();
    let request = &asked["request"];
    let mut response = json!({"uid": request["uid"], "allowed": true});
    match what {
        "deny" => {
            response["allowed"] = json!(false);
            if !rest.is_empty() {
                let status = json!({"message": rest, "reason": "Forbidden", "code": 403});
                response["status"] = status;
            }
        }
        "warn" => {
            response["warnings"] = json!([rest]);
            response["auditAnnotations"] = json!({"warned": rest});
        }
        "label" => {
            let (key, value) = rest.split_once('/').unwrap_or((&rest, ""));
            patch(&mut response, &label(request, key, value).to_string());
        }
        "patch" => patch(&mut response, &rest),
        "hang" => return Answer::Silence,
        "garbage" => return Answer::Body(200, "<html>".into()),
        "fail" => return Answer::Body(rest.parse().unwrap_or(500), "it fails".into()),
        _ => {}
    }
    let review = json!({
        "apiVersion": asked["apiVersion"],
        "kind": "AdmissionReview",
        "response": response,
    });
    Answer::Body(200, review.to_string().into())
}

fn patch(response: &mut Value, operations: &str) {
    response["patchType"] = json!("JSONPatch");
    response["patch"] = json!(STANDARD.encode(operations));
}

/// What gives an object a label; no operations if it has it.
fn label(request: &Value, key: &str, value: &str) -> Value {
    let labels = &request["object"]["metadata"]["labels"];
    if labels[key] == value {
        return json!([]);
    }
    let mut labels = match labels {
        Value::Object(labels) => labels.clone(),
        _ => Default::default(),
    };
    labels.insert(key.to_owned(), value.into());
    json!([{"op": "add", "path": "/metadata/labels", "value": labels}])
}
