//! The bodies of PUT and PATCH as edits of an object.

use super::modify::Edit;
use super::patch::Patch;
use super::subresource::{part_of, shown};
use super::{Body, FieldValidation, Object, PatchKind, Pipeline, Request, decode, metadata};
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
        self.authorize(&request.user, target, "create")?;
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
        let patch = Patch::read(*kind, bytes)?;
        let part = part_of(target)?;
        let make = |old: &Value| part.patch(request, old, &patch);
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
        let part = part_of(target)?;
        let (schema, api_version, kind) = part
            .applied_kind(target)
            .ok_or_else(Status::no_such_resource)?;
        let (written, twice) = decode::yaml(bytes, &kind)?;
        hardway_patch::check_applied(&written, &schema, &api_version)?;
        if !twice.is_empty() && request.options.field_validation == FieldValidation::Strict {
            return Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {}",
                decode::unmarshal_errors(&twice)
            )));
        }
        decode::Problems::twice(twice).report(request, Status::bad_request)?;
        let mut applied = written;
        strict::prune(&schema, &mut applied)
            .map_err(|why| strict::undecodable(&target.version, &kind, &why))?;
        decode::identify(&mut applied, &api_version, &kind)?;
        let mut applied = part.configuration(target, applied)?;
        metadata::place(&mut applied, target)?;
        let make = |old: &Value| {
            let new = self.apply(request, Some(old), &applied)?;
            Ok(part.place_applied(target, old, new))
        };
        let edit = Edit {
            part,
            make: &make,
            applied: true,
        };
        for _ in 0..2 {
            if let Some(object) = self.modify(request, edit).await? {
                return shown(target, object);
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
            self.authorize(&request.user, target, "create")?;
            let attempt = || self.apply(request, None, &applied);
            let mut object = self.seeing_versions(request, attempt).await?;
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
