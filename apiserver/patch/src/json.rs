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

/// Applies a JSON patch (RFC 6902).
///
/// A body that is no JSON patch is a 400; a patch that can't be applied (a
/// missing path, a failed test) a 422, with the text Kubernetes uses.
pub fn json_patch(object: &Value, patch: &[u8]) -> Result<Value, Status> {
    let operations: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(patch)
        .map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(Status::too_large(format!(
            "Request entity is too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let operations = Value::Array(operations.into_iter().map(Value::Object).collect());
    let operations: json_patch::Patch =
        serde_json::from_value(operations).map_err(|_| unprocessable())?;
    let mut patched = object.clone();
    let (mut copied, mut moved) = (0, 0);
    for operation in &operations.0 {
        if let PatchOperation::Copy(copy) = operation {
            let source = patched.pointer(copy.from.as_str());
            copied += source.map_or(0, |value| value.to_string().len());
            if copied > MAX_COPIED {
                return Err(unprocessable());
            }
        }
        moved += moves(&patched, operation);
        if moved > MAX_MOVED {
            return Err(unprocessable());
        }
        if is_absent_as_tested(&patched, operation) {
            continue;
        }
        let one = std::slice::from_ref(operation);
        json_patch::patch(&mut patched, one).map_err(|_| unprocessable())?;
    }
    match is_deeper(&patched, MAX_DEPTH) {
        true => Err(unprocessable()),
        false => Ok(patched),
    }
}

/// Applies the operations of a JSON patch that an admission policy has made. `None` if one of
/// them is a test that fails: then nothing is done.
///
/// # Errors
/// In Kubernetes' words, if it is no patch or can't be applied.
pub fn tested_json_patch(object: &Value, operations: &Value) -> Result<Option<Value>, String> {
    let operations = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut patched = object.clone();
    for operation in operations {
        let one = Value::Array(vec![operation.clone()]).to_string();
        let (name, path) = (&operation["op"], &operation["path"]);
        let (name, path) = (name.as_str(), path.as_str());
        patched = match json_patch(&patched, one.as_bytes()) {
            Ok(patched) => patched,
            Err(_) if name == Some("test") => return Ok(None),
            Err(_) => {
                let (name, path) = (name.unwrap_or_default(), path.unwrap_or_default());
                return Err(match name {
                    "add" | "remove" | "replace" | "move" | "copy" => format!(
                        "{name} operation does not apply: doc is missing path: {path:?}: missing value"
                    ),
                    other => format!("Unexpected kind: {other}"),
                });
            }
        };
    }
    Ok(Some(patched))
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
