//! What a webhook's server answers over HTTP, and how Kubernetes' client tells of it
//! (`NewGenericServerResponse` of `k8s.io/apimachinery`, `pkg/api/errors`).

use hardway_access::admission::webhooks::CallError;
use hardway_proto::Status;
use serde_json::Value;

/// The JSON of an answer.
///
/// # Errors
/// If it is a failure, or no JSON.
pub fn read(code: u16, body: &[u8]) -> Result<Value, CallError> {
    let failed = |message: String, code| Err(CallError::Failed { message, code });
    let parsed = serde_json::from_slice::<Value>(body);
    if let Ok(Some(status)) = parsed.as_ref().map(failure) {
        return failed(status.message, status.code);
    }
    if !(200..=206).contains(&code) {
        return failed(refusal(code, &String::from_utf8_lossy(body)), code);
    }
    match parsed {
        Ok(answer) if answer["kind"].is_string() => Ok(answer),
        Ok(answer) if answer.is_object() => {
            failed(format!("Object 'Kind' is missing in '{answer}'"), 503)
        }
        Ok(_) => failed(
            "couldn't get version/kind; json parse error: it is no object".to_owned(),
            503,
        ),
        Err(error) => failed(
            format!("couldn't get version/kind; json parse error: {error}"),
            503,
        ),
    }
}

/// A Status that tells of a failure.
fn failure(answer: &Value) -> Option<Status> {
    let is_failure = answer["kind"] == "Status" && answer["status"] != "Success";
    is_failure.then(|| serde_json::from_value(answer.clone()).unwrap_or_default())
}

fn refusal(code: u16, body: &str) -> String {
    let fixed = match code {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        409 => "the server reported a conflict",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        403 | 406 | 415 => return body.to_owned(),
        500.. => {
            return format!(
                "an error on the server ({:?}) has prevented the request from succeeding",
                if body.is_empty() { "unknown" } else { body }
            );
        }
        _ => {
            return format!(
                "the server responded with the status code {code} but did not return more information"
            );
        }
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: u16, body: &str) -> (String, u16) {
        match read(code, body.as_bytes()) {
            Ok(answer) => panic!("{answer}"),
            Err(CallError::Failed { message, code }) => (message, code),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn failures_are_told_in_kubernetes_words() {
        let answer = r#"{"kind":"AdmissionReview"}"#;
        assert!(read(200, answer.as_bytes()).is_ok());
        let is = |message: &str, code| (message.to_owned(), code);
        assert_eq!(
            told(404, "404 page not found"),
            is("the server could not find the requested resource", 404)
        );
        assert_eq!(
            told(500, "oh"),
            is(
                "an error on the server (\"oh\") has prevented the request from succeeding",
                500
            )
        );
        let status = r#"{"kind":"Status","status":"Failure","message":"no","code":418}"#;
        assert_eq!(told(418, status), is("no", 418));
        assert_eq!(told(200, "{}").0, "Object 'Kind' is missing in '{}'");
        assert!(
            told(200, "<html>")
                .0
                .starts_with("couldn't get version/kind; json parse error: ")
        );
    }
}
