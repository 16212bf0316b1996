//! JSON patch and JSON merge patch.

use hardway_proto::Status;
use hardway_proto::status::Details;
use json_patch::PatchOperation;
use serde_json::Value;

/// More operations than this in one JSON patch are refused.
const MAX_OPERATIONS: usize = 10_000;
/// What the copies of one JSON patch may add up to in bytes: each may double
/// what there is.
const MAX_COPIED: usize = 3 << 20;
/// How many elements of lists one JSON patch may move by adding and removing others
/// before them.
const MAX_MOVED: usize = 1 << 28;
/// How deep an object may be nested after a patch. JSON deeper than 128 can't
/// be read again.
const MAX_DEPTH: usize = 100;

/// Why a JSON patch can't be applied, in the words of the library of Kubernetes
/// (`evanphx/json-patch`) where it has some.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum JsonPatchError {
    /// It is no list of operations.
    #[error("error decoding patch: {0}")]
    NoPatch(String),
    /// It has too many.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// An operation that there isn't.
    #[error("Unexpected kind: {0}")]
    UnknownOperation(String),
    /// An operation lacks a field, or has a path that is none.
    #[error("an operation is invalid: {0}")]
    InvalidOperation(String),
    /// A test failed.
    #[error("testing value {0} failed: test failed")]
    TestFailed(String),
    /// There is nothing where an operation has to do something.
    #[error("{operation} operation does not apply: doc is missing path: {path:?}: missing value")]
    MissingPath {
        /// Its name.
        operation: String,
        /// Where.
        path: String,
    },
    /// It copies, moves or nests more than it may.
    #[error("the patch copies or moves too much, or nests too deep")]
    TooLarge,
}

/// Applies a JSON patch (RFC 6902) of a client.
///
/// A body that is no JSON patch is a 400; a patch that can't be applied (a
/// missing path, a failed test) a 422, with the text Kubernetes uses.
pub fn json_patch(object: &Value, patch: &[u8]) -> Result<Value, Status> {
    apply_json_patch(object, patch).map_err(|error| match error {
        JsonPatchError::NoPatch(_) => Status::bad_request(error.to_string()),
        JsonPatchError::TooManyOperations(_) => {
            Status::too_large(format!("Request entity is too large: {error}"))
        }
        _ => unprocessable(),
    })
}

/// Applies a JSON patch (RFC 6902).
///
/// # Errors
/// If it is none, is too large, or can't be applied.
pub fn apply_json_patch(object: &Value, patch: &[u8]) -> Result<Value, JsonPatchError> {
    let operations: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(patch)
        .map_err(|error| JsonPatchError::NoPatch(error.to_string()))?;
    apply(object, operations.into_iter().map(Value::Object).collect())
}

/// Applies the operations of a JSON patch that an admission policy has made. `None` if one of
/// them is a test that fails: then nothing is done.
///
/// # Errors
/// In Kubernetes' words, if it is no patch or can't be applied.
pub fn tested_json_patch(object: &Value, operations: &Value) -> Result<Option<Value>, String> {
    match apply(object, operations.as_array().cloned().unwrap_or_default()) {
        Ok(patched) => Ok(Some(patched)),
        Err(JsonPatchError::TestFailed(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn apply(object: &Value, operations: Vec<Value>) -> Result<Value, JsonPatchError> {
    if operations.len() > MAX_OPERATIONS {
        return Err(JsonPatchError::TooManyOperations(operations.len()));
    }
    let named: Vec<(String, String)> = operations.iter().map(name_and_path).collect();
    if let Some((unknown, _)) = named.iter().find(|(name, _)| !is_known(name)) {
        return Err(JsonPatchError::UnknownOperation(unknown.clone()));
    }
    let operations: json_patch::Patch = serde_json::from_value(Value::Array(operations))
        .map_err(|error| JsonPatchError::InvalidOperation(error.to_string()))?;
    let mut patched = object.clone();
    let (mut copied, mut moved) = (0, 0);
    for (operation, (name, path)) in operations.0.iter().zip(named) {
        if let PatchOperation::Copy(copy) = operation {
            let source = patched.pointer(copy.from.as_str());
            copied += source.map_or(0, |value| value.to_string().len());
        }
        moved += moves(&patched, operation);
        if copied > MAX_COPIED || moved > MAX_MOVED {
            return Err(JsonPatchError::TooLarge);
        }
        if is_absent_as_tested(&patched, operation) {
            continue;
        }
        let one = std::slice::from_ref(operation);
        json_patch::patch(&mut patched, one).map_err(|_| match operation {
            PatchOperation::Test(_) => JsonPatchError::TestFailed(path),
            _ => JsonPatchError::MissingPath {
                operation: name,
                path,
            },
        })?;
    }
    match is_deeper(&patched, MAX_DEPTH) {
        true => Err(JsonPatchError::TooLarge),
        false => Ok(patched),
    }
}

fn is_known(operation: &str) -> bool {
    ["add", "remove", "replace", "move", "copy", "test"].contains(&operation)
}

fn name_and_path(operation: &Value) -> (String, String) {
    let text = |field: &str| operation[field].as_str().unwrap_or_default().to_owned();
    (text("op"), text("path"))
}

/// Whether the operation tests for null what an object doesn't have. In RFC 6902 that fails; the
/// library of Kubernetes (`evanphx/json-patch`) takes a missing member for null, and clients
/// test in this way that nobody has set a field.
fn is_absent_as_tested(document: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else {
        return false;
    };
    let parent = test.path.parent();
    let parent = parent.and_then(|parent| document.pointer(parent.as_str()));
    test.value.is_null()
        && parent.is_some_and(Value::is_object)
        && document.pointer(test.path.as_str()).is_none()
}

/// How many elements of a list an operation may move, at most.
fn moves(document: &Value, operation: &PatchOperation) -> usize {
    let length = |pointer: &json_patch::jsonptr::Pointer| {
        let list = pointer
            .parent()
            .and_then(|above| document.pointer(above.as_str()));
        list.and_then(Value::as_array).map_or(0, Vec::len)
    };
    match operation {
        PatchOperation::Add(add) if add.path.as_str().ends_with("/-") => 0,
        PatchOperation::Add(add) => length(&add.path),
        PatchOperation::Remove(remove) => length(&remove.path),
        PatchOperation::Move(of) => length(&of.from) + length(&of.path),
        PatchOperation::Copy(copy) => length(&copy.path),
        PatchOperation::Replace(_) | PatchOperation::Test(_) => 0,
    }
}

/// Whether a value is nested deeper than `levels`.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(map) => levels == 0 || map.values().any(|v| is_deeper(v, levels - 1)),
        Value::Array(list) => levels == 0 || list.iter().any(|v| is_deeper(v, levels - 1)),
        _ => false,
    }
}

/// Applies a JSON merge patch (RFC 7386): objects merge, null deletes,
/// everything else replaces.
pub fn merge_patch(object: &Value, patch: &Value) -> Result<Value, Status> {
    if !patch.is_object() {
        return Err(Status::bad_request("Invalid JSON Patch"));
    }
    let mut patched = object.clone();
    json_patch::merge(&mut patched, patch);
    Ok(patched)
}

/// The 422 for a well-formed patch that doesn't fit the object.
pub(crate) fn unprocessable() -> Status {
    let mut status = Status::failure(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    );
    status.details = Some(Box::<Details>::default());
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_patch_adds_replaces_and_removes() {
        let object =
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 1, "list": [1, 2]}});
        let patch = br#"[
            {"op": "test", "path": "/spec/replicas", "value": 1},
            {"op": "replace", "path": "/spec/replicas", "value": 3},
            {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
            {"op": "add", "path": "/spec/list/-", "value": 3},
            {"op": "remove", "path": "/metadata/labels/a"}]"#;
        assert_eq!(
            json_patch(&object, patch).unwrap(),
            json!({"metadata": {"labels": {"x/y": "z"}}, "spec": {"replicas": 3, "list": [1, 2, 3]}})
        );
    }

    /// What one operation may not, many of them may not, either.
    #[test]
    fn a_policys_operations_have_their_limits_together() {
        let object = json!({"big": "x".repeat(MAX_COPIED / 4)});
        let copies = |count: usize| {
            let copy = |to| json!({"op": "copy", "from": "/big", "path": format!("/copy{to}")});
            Value::Array((0..count).map(copy).collect())
        };
        assert!(tested_json_patch(&object, &copies(3)).is_ok());
        let refused = tested_json_patch(&object, &copies(5)).unwrap_err();
        assert_eq!(refused, JsonPatchError::TooLarge.to_string());
    }

    /// By the words of `evanphx/json-patch`.
    #[test]
    fn a_patch_that_does_not_apply_says_where() {
        let told = |operation: Value| {
            let patch = json!([operation]).to_string();
            let error = apply_json_patch(&json!({"a": {}}), patch.as_bytes()).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            told(json!({"op": "add", "path": "/b/c", "value": 1})),
            r#"add operation does not apply: doc is missing path: "/b/c": missing value"#
        );
        assert_eq!(
            told(json!({"op": "test", "path": "/a", "value": 1})),
            "testing value /a failed: test failed"
        );
        assert_eq!(
            told(json!({"op": "grow", "path": "/a"})),
            "Unexpected kind: grow"
        );
    }

    /// As clients do who must be the first to set it.
    #[test]
    fn what_is_missing_is_null_to_a_test() {
        let object = json!({"metadata": {"name": "a"}, "list": [1]});
        let set = |path: &str| {
            let test = json!({"op": "test", "path": path, "value": null});
            let add = json!({"op": "add", "path": path, "value": ["mine"]});
            json_patch(&object, json!([test, add]).to_string().as_bytes())
        };
        let patched = set("/metadata/finalizers").unwrap();
        assert_eq!(patched["metadata"]["finalizers"], json!(["mine"]));
        for path in ["/metadata/name", "/absent/finalizers", "/list/1"] {
            assert_eq!(set(path).unwrap_err().code, 422, "{path}");
        }
    }

    #[test]
    fn copies_do_not_multiply_without_bound() {
        let object = json!({"data": {"a": "x".repeat(1 << 10)}});
        let copies = |count: usize| {
            let copy = |n| json!({"op": "copy", "from": "/data", "path": format!("/data/{n}")});
            json!((0..count).map(copy).collect::<Vec<_>>()).to_string()
        };
        assert!(json_patch(&object, copies(3).as_bytes()).is_ok());
        // Each doubles what there is: the last would make 1 TiB of 1 KiB.
        let status = json_patch(&object, copies(30).as_bytes()).unwrap_err();
        assert_eq!(status.code, 422);
    }

    #[test]
    fn patches_do_not_nest_deeper_than_json_can_be_read() {
        let object = json!({"data": {}});
        let steps: Vec<Value> = (0..MAX_DEPTH)
            .map(|n| json!({"op": "add", "path": format!("/data{}", "/x".repeat(n + 1)), "value": {}}))
            .collect();
        let patch = |steps: &[Value]| json_patch(&object, json!(steps).to_string().as_bytes());
        assert!(patch(&steps[..MAX_DEPTH - 2]).is_ok());
        assert_eq!(patch(&steps).unwrap_err().code, 422);
    }

    #[test]
    fn a_json_patch_that_does_not_fit_is_a_422() {
        let object = json!({"spec": {"replicas": 1}});
        for patch in [
            r#"[{"op": "test", "path": "/spec/replicas", "value": 2}]"#,
            r#"[{"op": "remove", "path": "/spec/missing"}]"#,
            r#"[{"op": "nonsense", "path": "/spec"}]"#,
        ] {
            let status = json_patch(&object, patch.as_bytes()).unwrap_err();
            assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
            assert_eq!(
                status.message,
                "the server rejected our request due to an error in our request"
            );
        }
        assert_eq!(json_patch(&object, b"{}").unwrap_err().code, 400);
    }

    #[test]
    fn too_many_operations_are_a_413() {
        let operation = r#"{"op":"test","path":"/a","value":1}"#;
        let patch = format!("[{}]", vec![operation; MAX_OPERATIONS + 1].join(","));
        assert_eq!(
            json_patch(&json!({}), patch.as_bytes()).unwrap_err().code,
            413
        );
    }

    #[test]
    fn merge_patch_follows_rfc_7386() {
        let object = json!({"a": "b", "c": {"d": "e", "f": "g"}, "l": [1, 2]});
        let patch = json!({"a": "z", "c": {"f": null}, "l": [3], "n": {"x": null, "y": 1}});
        assert_eq!(
            merge_patch(&object, &patch).unwrap(),
            json!({"a": "z", "c": {"d": "e"}, "l": [3], "n": {"y": 1}})
        );
        assert_eq!(merge_patch(&object, &json!([1])).unwrap_err().code, 400);
    }
}
