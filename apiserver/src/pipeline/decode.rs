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
    typed(request, target.schema(), &[&target.api_version()], kind)
}

/// The body as an object of a kind, for subresources that of another than the target's. It
/// may name any of the versions; the first is filled in where it names none.
pub fn typed(
    request: &Request,
    schema: &Schema,
    api_versions: &[&str],
    kind: &str,
) -> Result<Value, Status> {
    let (json, twice): (Cow<[u8]>, _) = match &request.body {
        Body::Value(value) => return Ok(value.clone()),
        Body::Empty => (Cow::Borrowed(b"{}"), Vec::new()),
        Body::Json(bytes) | Body::Patch(_, bytes) => (Cow::Borrowed(bytes), Vec::new()),
        Body::Yaml(bytes) => {
            let (value, twice) = yaml(bytes, kind)?;
            (Cow::Owned(value.to_string().into_bytes()), twice)
        }
    };
    let first = api_versions.first().copied().unwrap_or_default();
    let version = first.rsplit('/').next().unwrap_or(first);
    let (mut value, fields) = match strict::check(schema, &json) {
        Ok(decoded) => decoded,
        Err(why) if is_object(&json) => return Err(strict::undecodable(version, kind, &why)),
        Err(why) => return Err(unrecognised(kind, &why)),
    };
    let named = value["apiVersion"].as_str();
    let named = named.filter(|named| api_versions.contains(named));
    let api_version = named.unwrap_or(first).to_owned();
    identify(&mut value, &api_version, kind)?;
    let problems = Problems { twice, fields };
    problems.report(request, |why| strict::undecodable(version, kind, &why))?;
    Ok(value)
}

/// What strict validation doesn't let pass.
pub struct Problems {
    /// Keys that come twice in YAML, each with its line.
    twice: Vec<String>,
    /// Fields that aren't known, or come twice in JSON.
    fields: Vec<String>,
}

impl Problems {
    /// Keys that come twice in YAML.
    pub fn twice(twice: Vec<String>) -> Self {
        let fields = Vec::new();
        Self { twice, fields }
    }

    /// Fields that aren't known, or come twice in JSON.
    pub fn of_fields(fields: Vec<String>) -> Self {
        let twice = Vec::new();
        Self { twice, fields }
    }

    /// Refuses, tells or ignores them, as the request asks.
    ///
    /// # Errors
    /// What `refuse` makes of their text.
    pub fn report(
        self,
        request: &Request,
        refuse: impl FnOnce(String) -> Status,
    ) -> Result<(), Status> {
        let Self { twice, fields } = self;
        if twice.is_empty() && fields.is_empty() {
            return Ok(());
        }
        match request.options.field_validation {
            FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                let all = twice.into_iter().chain(fields);
                all.for_each(|problem| request.warn(problem));
                Ok(())
            }
            FieldValidation::Strict => {
                let yaml = (!twice.is_empty()).then(|| unmarshal_errors(&twice));
                let all: Vec<String> = yaml.into_iter().chain(fields).collect();
                Err(refuse(format!("strict decoding error: {}", all.join(", "))))
            }
        }
    }
}

/// Lines of YAML that can't be taken, as Kubernetes' parser tells them together.
pub fn unmarshal_errors(lines: &[String]) -> String {
    format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "))
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

/// Reads YAML, and which keys come twice (the last counts).
pub fn yaml(yaml: &[u8], kind: &str) -> Result<(Value, Vec<String>), Status> {
    yaml::read_strictly(yaml).map_err(|error| unrecognised(kind, &format!("yaml: {error}")))
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
    fn yaml_is_read_with_what_comes_twice() {
        let (value, twice) = yaml(b"a: [1, x]\nb: 1\nb: 2", "Pod").unwrap();
        assert_eq!(value, json!({"a": [1, "x"], "b": 2}));
        assert_eq!(
            unmarshal_errors(&twice),
            "yaml: unmarshal errors:\n  line 3: key \"b\" already set in map"
        );
        assert_eq!(yaml(b"{", "Pod").unwrap_err().code, 400);
    }
}
