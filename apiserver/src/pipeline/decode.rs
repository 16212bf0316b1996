//! From the bytes of a body to an object of the right kind.

use super::{Body, FieldValidation, Request, yaml};
use hardway_proto::Status;
use hardway_resources::{Schema, strict};
use serde_json::Value;
use std::borrow::Cow;

/// The body as an object of the target's kind and version, defaulted and
/// ready to be stored, and what strict validation would refuse.
pub fn object(request: &Request) -> Result<Value, Status> {
    let target = &request.target;
    let kind = target.resource.kind.as_str();
    typed(request, target.schema(), &target.api_version(), kind)
}

/// The body as an object of another kind, for subresources.
pub fn typed(
    request: &Request,
    schema: &Schema,
    api_version: &str,
    kind: &str,
) -> Result<Value, Status> {
    let json: Cow<[u8]> = match &request.body {
        Body::Value(value) => return Ok(value.clone()),
        Body::Empty => Cow::Borrowed(b"{}"),
        Body::Json(bytes) | Body::Patch(_, bytes) => Cow::Borrowed(bytes),
        Body::Yaml(bytes) => Cow::Owned(yaml_to_json(bytes, kind)?),
    };
    let version = api_version.rsplit('/').next().unwrap_or(api_version);
    let (mut value, problems) = match strict::check(schema, &json) {
        Ok(decoded) => decoded,
        Err(why) if is_object(&json) => return Err(strict::undecodable(version, kind, &why)),
        Err(why) => return Err(unrecognised(kind, &why)),
    };
    identify(&mut value, api_version, kind)?;
    report(request, version, kind, &problems)?;
    Ok(value)
}

/// Refuses, tells or ignores unknown and duplicate fields.
pub fn report(
    request: &Request,
    version: &str,
    kind: &str,
    problems: &[String],
) -> Result<(), Status> {
    match request.options.field_validation {
        _ if problems.is_empty() => {}
        FieldValidation::Ignore => {}
        FieldValidation::Warn => problems.iter().for_each(|problem| request.warn(problem)),
        FieldValidation::Strict => return Err(strict::refused(version, kind, problems)),
    }
    Ok(())
}

/// Checks (or fills in) `apiVersion` and `kind`.
pub fn identify(value: &mut Value, api_version: &str, kind: &str) -> Result<(), Status> {
    let Some(map) = value.as_object_mut() else {
        return Err(unrecognised(
            kind,
            "json: cannot unmarshal a body that is no object",
        ));
    };
    match map.get("kind").and_then(Value::as_str) {
        None | Some("") => drop(map.insert("kind".into(), kind.into())),
        Some(given) if given != kind => {
            let version = map
                .get("apiVersion")
                .and_then(Value::as_str)
                .unwrap_or(api_version);
            return Err(Status::bad_request(format!(
                "{given} in version {:?} cannot be handled as a {kind}: converting ({version}.{given}) to ({api_version}.{kind}): unknown conversion",
                version.rsplit('/').next().unwrap_or(version),
            )));
        }
        Some(_) => {}
    }
    match map.get("apiVersion").and_then(Value::as_str) {
        None | Some("") => drop(map.insert("apiVersion".into(), api_version.into())),
        Some(given) if given != api_version => {
            return Err(Status::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version ({api_version})"
            )));
        }
        Some(_) => {}
    }
    Ok(())
}

fn is_object(json: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok()
        && json.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
}

fn unrecognised(kind: &str, why: &str) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why}"
    ))
}

/// YAML as JSON. Keys that appear twice are refused.
pub fn yaml_to_json(yaml: &[u8], kind: &str) -> Result<Vec<u8>, Status> {
    let value = yaml::read(yaml).map_err(|error| unrecognised(kind, &format!("yaml: {error}")))?;
    serde_json::to_vec(&value).map_err(|error| unrecognised(kind, &error.to_string()))
}

/// What is sent along with a deletion: its options.
pub fn delete_options(body: &Body) -> Result<Value, Status> {
    let options = match body {
        Body::Json(bytes) if bytes.is_empty() => return Ok(Value::Null),
        Body::Json(bytes) => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        Body::Yaml(bytes) => yaml::read(bytes),
        _ => return Ok(Value::Null),
    };
    options.map_err(|error| Status::bad_request(format!("the body is no DeleteOptions: {error}")))
}

/// A patch's body as JSON; apply patches may be YAML.
pub fn patch(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn identity_is_filled_in_or_checked() {
        let mut value = json!({"metadata": {}});
        identify(&mut value, "apps/v1", "Deployment").unwrap();
        assert_eq!(value["kind"], "Deployment");
        let mut other = json!({"kind": "Deployment", "apiVersion": "v2"});
        let status = identify(&mut other, "apps/v1", "Deployment").unwrap_err();
        assert_eq!(
            status.message,
            "the API version in the data (v2) does not match the expected API version (apps/v1)"
        );
        let mut pod = json!({"kind": "Pod", "apiVersion": "v1"});
        assert_eq!(identify(&mut pod, "v1", "Service").unwrap_err().code, 400);
        assert_eq!(
            identify(&mut json!([]), "v1", "Service").unwrap_err().code,
            400
        );
    }

    #[test]
    fn yaml_becomes_json() {
        assert_eq!(
            yaml_to_json(b"a: [1, x]", "Pod").unwrap(),
            br#"{"a":[1,"x"]}"#
        );
        assert_eq!(yaml_to_json(b"a: 1\na: 2", "Pod").unwrap_err().code, 400);
        assert_eq!(yaml_to_json(b"{", "Pod").unwrap_err().code, 400);
    }
}
