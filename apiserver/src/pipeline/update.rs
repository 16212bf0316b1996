//! The bodies of PUT and PATCH as edits of an object.

use super::modify::Edit;
use super::subresource::{part_of, shown};
use super::{Body, Object, PatchKind, Pipeline, Request, decode, metadata};
use bytes::Bytes;
use hardway_proto::Status;
use hardway_resources::strict;
use serde_json::Value;
use std::borrow::Cow;

impl Pipeline {
    /// Replaces a part of an object.
    pub(super) async fn update(&self, request: &Request) -> Result<Object, Status> {
        let target = &request.target;
        let part = part_of(target)?;
        let body = part.read(request)?;
        let edit = Edit {
            part,
            make: &|old| Ok(part.place(target, old, Cow::Borrowed(&body))),
            applied: false,
        };
        if let Some(object) = self.modify(request, edit).await? {
            return shown(target, object);
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

    /// Patches a part of an object.
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
        let part = part_of(target)?;
        let apply = |old: &Value| patch.apply(request, old);
        let make = |old: &Value| part.patch(request, old, &apply);
        shown(target, self.change(request, part, &make).await?)
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
        let part = part_of(target)?;
        let make = |old: &Value| {
            let new = self.apply(request, Some(old), &applied)?;
            Ok(part.place(target, old, Cow::Owned(new)))
        };
        let edit = Edit {
            part,
            make: &make,
            applied: true,
        };
        for _ in 0..2 {
            if let Some(object) = self.modify(request, edit).await? {
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
