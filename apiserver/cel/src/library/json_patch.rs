//! JSON patches of mutating policies: `JSONPatch{op: "add", path: "/spec/x", value: 1}` and
//! `jsonpatch.escapeKey`. Kubernetes' `k8s.io/apiserver/pkg/cel/library/jsonpatch.go`.

use super::costs::{estimate_copy, read};
use crate::{Error, ObjectType, Overload, Type, Value};

/// The functions, which only environments of mutating policies have.
pub fn overloads() -> Vec<Overload> {
    let id = "string_jsonpatch_escapeKey_string";
    let escape = Overload::global(
        "jsonpatch.escapeKey",
        id,
        [Type::String],
        Type::String,
        escape_key,
    );
    vec![escape.costs(read, estimate_copy)]
}

/// The type of one operation.
pub fn object_type() -> ObjectType {
    ObjectType::new(
        "JSONPatch",
        [
            ("op", Type::String),
            ("path", Type::String),
            ("from", Type::String),
            ("value", Type::Dyn),
        ],
    )
}

/// A key as it stands in a path: `~0` for `~` and `~1` for `/`.
fn escape_key<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(key)] => {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            Ok(Value::string(escaped))
        }
        _ => Err(Error::NoSuchOverload),
    }
}
