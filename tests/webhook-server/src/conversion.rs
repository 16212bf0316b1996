//! Answers to ConversionReviews. Objects have their address as `spec.hostPort` in `v1`, and as
//! `spec.host` and `spec.port` in any other version; what the path says comes on top:
//!
//! | path | answer |
//! |---|---|
//! | `convert` | the objects, converted |
//! | `convert/label/KEY/VALUE` | with that label |
//! | `convert/rename` | with another name |
//! | `convert/none` | no objects |
//! | `convert/deny/MESSAGE` | a failure |
//! | `convert/hang` | none |

use crate::Answer;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The answer to a review.
pub fn answer(path: &str, asked: &Value) -> Answer {
    let (_, rest) = path.split_once('/').unwrap_or((path, ""));
    let rest = percent_decode_str(rest).decode_utf8_lossy();
    let mut words = rest.splitn(3, '/');
    let (what, first) = (words.next(), words.next().unwrap_or_default());
    let second = words.next().unwrap_or_default();
    let request = &asked["request"];
    let mut objects: Vec<Value> = request["objects"].as_array().cloned().unwrap_or_default();
    let mut result = json!({"status": "Success"});
    for object in &mut objects {
        convert(object, &request["desiredAPIVersion"]);
        match what {
            Some("label") => object["metadata"]["labels"][first] = second.into(),
            Some("rename") => object["metadata"]["name"] = "another".into(),
            _ => {}
        }
    }
    match what {
        Some("none") => objects.clear(),
        Some("deny") => result = json!({"status": "Failure", "message": first}),
        Some("hang") => return Answer::Silence,
        _ => {}
    }
    let review = json!({
        "apiVersion": asked["apiVersion"],
        "kind": "ConversionReview",
        "response": {"uid": request["uid"], "result": result, "convertedObjects": objects},
    });
    Answer::Body(200, review.to_string().into())
}

/// Brings an object into a version.
fn convert(object: &mut Value, wanted: &Value) {
    let is_v1 = |version: &Value| version.as_str().is_some_and(|it| it.ends_with("/v1"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match (is_v1(&object["apiVersion"]), is_v1(wanted)) {
        (true, false) => {
            let both = text(&object["spec"]["hostPort"]);
            let (host, port) = both.split_once(':').unwrap_or((&both, ""));
            object["spec"] = json!({"host": host, "port": port});
        }
        (false, true) => {
            let (host, port) = (text(&object["spec"]["host"]), text(&object["spec"]["port"]));
            object["spec"] = json!({"hostPort": format!("{host}:{port}")});
        }
        _ => {}
    }
    object["apiVersion"] = wanted.clone();
}
