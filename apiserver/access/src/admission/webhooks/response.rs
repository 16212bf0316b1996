//! What a webhook answers (`VerifyAdmissionResponse` of `k8s.io/apiserver`).

use super::Phase;
use super::configuration::ReviewVersion;
use crate::objects::{fields, strings};
use crate::text;
use base64::{Engine, engine::general_purpose::STANDARD};
use hardway_proto::Status;
use serde_json::Value;

/// A webhook's answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Response {
    pub allowed: bool,
    /// Why not.
    pub result: Option<Status>,
    /// The text of a patch; empty for none.
    pub patch: Vec<u8>,
    pub patch_type: String,
    pub warnings: Vec<String>,
    pub annotations: Vec<(String, String)>,
}

/// Reads an answer to the review with this UID.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(
    answer: &Value,
    version: ReviewVersion,
    phase: Phase,
    uid: &str,
) -> Result<Response, String> {
    let response = &answer["response"];
    if !response.is_object() {
        return Err("webhook response was absent".to_owned());
    }
    let mut patch = bytes(&response["patch"])?;
    let mut patch_type = response["patchType"].as_str();
    match version {
        ReviewVersion::V1 => verify(answer, phase, uid, &patch, patch_type)?,
        // Neither were verified in this version; there is but one type of patch.
        ReviewVersion::V1Beta1 if phase == Phase::Validating => patch.clear(),
        ReviewVersion::V1Beta1 => patch_type = (!patch.is_empty()).then_some("JSONPatch"),
    }
    let result = response.get("status").filter(|status| status.is_object());
    Ok(Response {
        allowed: response["allowed"] == true,
        result: result.map(explanation),
        patch,
        patch_type: patch_type.unwrap_or_default().to_owned(),
        warnings: strings(response, "/warnings").map(str::to_owned).collect(),
        annotations: fields(response, "/auditAnnotations")
            .map(|(key, value)| {
                (
                    key.to_owned(),
                    value.as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect(),
    })
}

/// Why a webhook refuses. Each field counts for itself: one that is odd doesn't take the others
/// along.
fn explanation(status: &Value) -> Status {
    let code = status["code"].as_i64().unwrap_or_default().clamp(0, 599);
    let details = serde_json::from_value(status["details"].clone());
    Status {
        message: text(status, "/message").to_owned(),
        reason: text(status, "/reason").to_owned(),
        details: details.ok(),
        code: u16::try_from(code).unwrap_or_default(),
        ..Status::default()
    }
}

/// The bytes of a patch: in base64, or one number each. Go reads both, and webhooks written
/// with kube send numbers.
fn bytes(patch: &Value) -> Result<Vec<u8>, String> {
    let Some(numbers) = patch.as_array() else {
        let text = patch.as_str().unwrap_or_default();
        let bytes = STANDARD.decode(text);
        return bytes.map_err(|error| format!("response.patch is no base64: {error}"));
    };
    let byte = |number: &Value| number.as_u64().and_then(|number| number.try_into().ok());
    let bytes: Option<Vec<u8>> = numbers.iter().map(byte).collect();
    bytes.ok_or_else(|| "response.patch has numbers that are no bytes".to_owned())
}

/// What v1 demands.
fn verify(
    answer: &Value,
    phase: Phase,
    uid: &str,
    patch: &[u8],
    patch_type: Option<&str>,
) -> Result<(), String> {
    let told = text(answer, "/response/uid");
    if told != uid {
        return Err(format!("expected response.uid={uid:?}, got {told:?}"));
    }
    let (api_version, kind) = (text(answer, "/apiVersion"), text(answer, "/kind"));
    if (api_version, kind) != (ReviewVersion::V1.api_version(), "AdmissionReview") {
        // As Go prints a kind without a group or version.
        let api_version = match api_version {
            "" => "/",
            api_version => api_version,
        };
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {api_version}, Kind={kind}"
        ));
    }
    let wrong = match (phase, patch.is_empty(), patch_type) {
        (Phase::Mutating, false, None) => {
            "webhook returned response.patch but not response.patchType"
        }
        (Phase::Mutating, true, Some(_)) => {
            "webhook returned response.patchType but not response.patch"
        }
        (Phase::Mutating, _, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (Phase::Validating, false, _) => "validating webhook may not return response.patch",
        (Phase::Validating, _, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_is_base64_or_numbers() {
        for patch in [json!("W10="), json!([91, 93])] {
            assert_eq!(bytes(&patch).unwrap(), b"[]");
        }
        assert_eq!(bytes(&Value::Null).unwrap(), b"");
        for garbage in [json!("W10"), json!([91, 256]), json!([-1]), json!(["["])] {
            assert!(bytes(&garbage).is_err(), "{garbage}");
        }
    }
}
