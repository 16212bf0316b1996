//! The condition `Available` of an APIService.

use super::local::{GROUP, PLURAL, target};
use crate::backend::Unavailable;
use crate::pipeline::{Body, Pipeline, Request, Target, Verb, metadata};
use hardway_proto::Status;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Why a server can be asked, or why not.
pub type Verdict = Result<Unavailable, Unavailable>;

/// Whether the condition says that it can be asked.
pub fn is_available(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| it["type"] == "Available" && it["status"] == "True")
}

/// The conditions with a verdict in them; nothing if they say so already.
fn with(conditions: &Value, verdict: &Verdict, now: &str) -> Option<Value> {
    let (status, said) = match verdict {
        Ok(said) => ("True", said),
        Err(said) => ("False", said),
    };
    let mut conditions = conditions.as_array().cloned().unwrap_or_default();
    let found = conditions.iter().position(|it| it["type"] == "Available");
    let former = found.map(|at| conditions[at].clone()).unwrap_or_default();
    let since = match former["status"] == status {
        true => former["lastTransitionTime"].clone(),
        false => now.into(),
    };
    let condition = json!({
        "type": "Available",
        "status": status,
        "lastTransitionTime": since,
        "reason": said.reason,
        "message": said.message,
    });
    if condition == former {
        return None;
    }
    match found {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
    Some(conditions.into())
}

/// Says in an APIService's status how it is, if that is news.
///
/// # Errors
/// If it could not be written.
pub async fn write(pipeline: &Pipeline, name: &str, verdict: &Verdict) -> Result<(), Status> {
    let entry = pipeline.cache.of(GROUP, PLURAL).and_then(|of| of.get(name));
    let Some(entry) = entry else {
        return Ok(());
    };
    let mut object = entry.value();
    let now = metadata::time(Timestamp::now());
    let Some(conditions) = with(&object["status"]["conditions"], verdict, &now) else {
        return Ok(());
    };
    if let Err(why) = verdict {
        tracing::warn!(
            name,
            why.reason,
            why.message,
            "an API service is not available"
        );
    }
    object["status"]["conditions"] = conditions;
    let target = Target {
        subresource: "status".into(),
        ..target(pipeline, name)?
    };
    let request = Request::internal(Verb::Update, target, Body::Value(object));
    match pipeline.dispatch(&request).await {
        Err(status) if status.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_last_transition() {
        let said = |reason, message: &str| Unavailable {
            reason,
            message: message.into(),
        };
        let missing = with(&Value::Null, &Err(said("ServiceNotFound", "a")), "1").unwrap();
        assert_eq!(missing[0]["status"], "False");
        let other = with(&missing, &Err(said("MissingEndpoints", "b")), "2").unwrap();
        assert_eq!(other[0]["lastTransitionTime"], "1");
        assert_eq!(other[0]["reason"], "MissingEndpoints");
        let passed = Ok(said("Passed", "all checks passed"));
        let good = with(&other, &passed, "3").unwrap();
        assert_eq!(good[0]["lastTransitionTime"], "3");
        assert!(with(&good, &passed, "4").is_none());
        assert!(is_available(&json!({"status": {"conditions": good}})));
        assert!(!is_available(&json!({"status": {"conditions": other}})));
    }
}
