//! The bodies of PUT and PATCH as edits of an object.

use super::modify::{Part, Plan};
use super::subresource::part::with_part;
use super::{Body, Object, PatchKind, Pipeline, Request, Target, decode, metadata};
use bytes::Bytes;
use hardway_proto::Status;
use hardway_resources::rows::Handler;
use hardway_resources::{scale, strict};
use serde_json::Value;

/// The part of an object that a PUT or PATCH of a target is about, and where it is, if it
/// is but a field of spec or status.
fn part_of(target: &Target) -> Result<(Part, Option<[&'static str; 2]>), Status> {
    match target.handler() {
        None | Some(Handler::Scale) => Ok((Part::Main, None)),
        Some(Handler::Field(["status"])) => Ok((Part::Status, None)),
        Some(Handler::Field([outer, inner])) => Ok((Part::Special, Some([outer, inner]))),
        Some(_) => Err(Status::method_not_allowed()),
    }
}

impl Pipeline {
    /// Replaces an object, or its status.
    pub(super) async fn update(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let (part, special) = part_of(target)?;
        if special.is_some() {
            return self.update_special(request).await;
        }
        let body = decode::object(request)?;
        let edit = |_: &Value| Ok(body.clone());
        let plan = Plan {
            part,
            edit: &edit,
            applied: false,
        };
        if let Some(object) = self.modify(request, plan).await? {
            return Ok(object);
        }
        if !target.subresource.is_empty() || !target.resource.strategy.create_on_update {
            return Err(target.not_found());
        }
        let uid = metadata::text(&body, "uid");
        if !uid.is_empty() {
            return Err(target.conflict(&format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: "
            )));
        }
        self.authorise(&request.user, target, "create")?;
        let mut body = body;
        metadata::of(&mut body).remove("resourceVersion");
        self.create_object(request, body, false).await
    }

    /// Patches an object, its status or its scale.
    pub(super) async fn patch(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let Body::Patch(kind, bytes) = &request.body else {
            return Err(Status::unsupported_media_type(
                "a patch needs a patch content type",
            ));
        };
        if *kind == PatchKind::Apply {
            return self.apply_patch(request, bytes).await;
        }
        if request.options.force_given {
            return Err(Status::bad_request(
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            ));
        }
        if *kind == PatchKind::Strategic && target.resource.custom {
            return Err(Status::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        let patch = Parsed::read(*kind, bytes)?;
        let (part, special) = part_of(target)?;
        let kept = target.kept_metadata();
        let edit = |old: &Value| match target.subresource.as_str() {
            "scale" => {
                let before =
                    scale::read(&target.resource, old).ok_or_else(|| target.not_found())?;
                let after = patch.apply(request, &before)?;
                let mut object = old.clone();
                scale::write(&target.resource, &mut object, &after);
                carry_version(&mut object, &after);
                Ok(object)
            }
            _ => {
                let mut new = patch.apply(request, old)?;
                let problems = strict::prune(target.schema(), &mut new).map_err(|why| {
                    strict::undecodable(&target.version, &target.resource.kind, &why)
                })?;
                decode::report(request, &target.version, &target.resource.kind, &problems)?;
                decode::identify(&mut new, &target.api_version(), &target.resource.kind)?;
                Ok(match special {
                    Some(part) => with_part(old, &new, part, kept),
                    None => new,
                })
            }
        };
        let plan = Plan {
            part,
            edit: &edit,
            applied: false,
        };
        let object = self.modify(request, plan).await?;
        let object = object.ok_or_else(|| target.not_found())?;
        match target.subresource.as_str() {
            "scale" => self.as_scale(target, &object),
            _ => Ok(object),
        }
    }

    /// Server-side apply.
    async fn apply_patch(&self, request: &Request, bytes: &Bytes) -> Result<Object, Status> {
        let target = &request.target;
        if request.options.field_manager.is_empty() {
            return Err(Status::invalid(
                "meta.k8s.io",
                "PatchOptions",
                "",
                vec![hardway_proto::status::Cause {
                    reason: "FieldValueRequired".into(),
                    message: "Required value: is required for apply patch".into(),
                    field: "fieldManager".into(),
                }],
            ));
        }
        let kind = target.resource.kind.as_str();
        let json = decode::yaml_to_json(bytes, kind)?;
        let (applied, problems) = strict::check(target.schema(), &json)
            .map_err(|why| strict::undecodable(&target.version, kind, &why))?;
        if applied["metadata"]["managedFields"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
        {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let given = applied["apiVersion"].as_str().unwrap_or_default();
        if given != target.api_version() {
            return Err(Status::bad_request(format!(
                "Incorrect version specified in apply patch. Specified patch version: {given}, expected: {}",
                target.api_version()
            )));
        }
        let mut applied = applied;
        decode::report(request, &target.version, kind, &problems)?;
        decode::identify(&mut applied, &target.api_version(), kind)?;
        metadata::place(&mut applied, target)?;
        let (part, special) = part_of(target)?;
        let kept = target.kept_metadata();
        let edit = |old: &Value| {
            let new = self.apply(request, Some(old), &applied)?;
            let Some(part) = special else {
                return Ok(new);
            };
            let mut object = with_part(old, &new, part, kept);
            metadata::take_owners(&mut object, &new);
            Ok(object)
        };
        let plan = Plan {
            part,
            edit: &edit,
            applied: true,
        };
        for _ in 0..2 {
            if let Some(object) = self.modify(request, plan).await? {
                return Ok(object);
            }
            if !target.subresource.is_empty() {
                return Err(target.not_found());
            }
            let uid = metadata::text(&applied, "uid");
            if !uid.is_empty() {
                return Err(target.conflict(&format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                )));
            }
            self.authorise(&request.user, target, "create")?;
            let mut object = self.apply(request, None, &applied)?;
            let metadata = metadata::of(&mut object);
            metadata
                .entry("name")
                .or_insert_with(|| target.name.as_str().into());
            match self.create_object(request, object, true).await {
                // Somebody was faster: apply to what is there.
                Err(status) if status.is_already_exists() => {}
                other => return other,
            }
        }
        Err(target.stale())
    }
}

/// The resource version in a patched part counts for the whole.
pub(super) fn carry_version(object: &mut Value, part: &Value) {
    let version = metadata::text(part, "resourceVersion").to_owned();
    metadata::of(object).insert("resourceVersion".into(), version.into());
}

/// A patch, read once for all tries.
enum Parsed<'a> {
    Json(&'a [u8]),
    Merge(Value),
    Strategic(Value),
}

impl<'a> Parsed<'a> {
    fn read(kind: PatchKind, bytes: &'a Bytes) -> Result<Self, Status> {
        Ok(match kind {
            PatchKind::Json => Self::Json(bytes),
            PatchKind::Merge => Self::Merge(decode::patch(bytes)?),
            PatchKind::Strategic | PatchKind::Apply => Self::Strategic(decode::patch(bytes)?),
        })
    }

    fn apply(&self, request: &Request, old: &Value) -> Result<Value, Status> {
        match self {
            Self::Json(bytes) => hardway_patch::json_patch(old, bytes),
            Self::Merge(patch) => hardway_patch::merge_patch(old, patch),
            Self::Strategic(patch) => {
                hardway_patch::strategic_merge(old, patch, request.target.schema())
            }
        }
    }
}
