//! A patch, read once for all tries, and what it makes of an object.

use super::{PatchKind, Request, decode};
use hardway_proto::Status;
use hardway_proto::status::Cause;
use hardway_resources::strict;
use serde_json::Value;

/// The document of a PATCH, but for an applied configuration.
pub struct Patch<'a> {
    document: Document<'a>,
    /// Of what it has itself, what strict validation wouldn't let pass.
    problems: Vec<String>,
}

enum Document<'a> {
    Json(&'a [u8]),
    Merge(Value),
    Strategic(Value),
}

impl<'a> Patch<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// 400, if it is no JSON.
    pub fn read(kind: PatchKind, bytes: &'a [u8]) -> Result<Self, Status> {
        if kind == PatchKind::Json {
            return Ok(Self {
                document: Document::Json(bytes),
                problems: strict::operations(bytes),
            });
        }
        let (value, problems) = strict::patch(bytes)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        let document = match kind {
            PatchKind::Merge => Document::Merge(value),
            _ => Document::Strategic(value),
        };
        Ok(Self { document, problems })
    }

    /// The object as the patch makes it.
    pub fn apply(&self, request: &Request, old: &Value) -> Result<Value, Status> {
        match &self.document {
            Document::Json(bytes) => hardway_patch::json_patch(old, bytes),
            Document::Merge(patch) => hardway_patch::merge_patch(old, patch),
            Document::Strategic(patch) => {
                hardway_patch::strategic_merge(old, patch, request.target.schema())
            }
        }
    }

    /// Holds what it has made of an object against the schema: what isn't known is dropped, and
    /// told together with what the patch itself has twice.
    ///
    /// # Errors
    /// 422, if it can't be decoded any more or strict validation is asked for.
    pub fn check(&self, request: &Request, old: &Value, new: &mut Value) -> Result<(), Status> {
        // Told only if something is wrong, so not rendered before.
        let refuse = |why: String| {
            let shown = match &self.document {
                Document::Strategic(patch) => hardway_patch::go_format(patch),
                _ => self
                    .apply(request, old)
                    .map_or_else(|_| String::new(), |patched| patched.to_string()),
            };
            refused(&shown, &why)
        };
        let unknown = strict::prune(request.target.schema(), new).map_err(&refuse)?;
        let problems = self.problems.iter().cloned().chain(unknown);
        decode::Problems::of_fields(problems.collect()).report(request, refuse)
    }
}

/// The 422 for a patch whose result is no object of its kind. It names neither kind nor
/// object (`applyPatchToObject` of `k8s.io/apiserver`, `pkg/endpoints/handlers/patch.go`).
fn refused(shown: &str, why: &str) -> Status {
    let cause = Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {shown:?}: {why}"),
        field: "patch".into(),
    };
    Status::invalid("", "", "", vec![cause])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_no_object() {
        let status = refused("map[a:b]", "no");
        assert_eq!(status.code, 422);
        assert_eq!(
            status.message,
            " \"\" is invalid: patch: Invalid value: \"map[a:b]\": no"
        );
    }
}
