//! What admission is told of a write, and what is done with what it says.

use super::{Options, Pipeline, Request, Target};
use crate::conversion::Conversion;
use crate::metrics;
use futures_util::future::BoxFuture;
use hardway_access::admission::{
    GroupVersionKind, Notes, ResourceKind, Review, Validators, Versions,
};
use hardway_access::{Operation, User};
use hardway_patch::managed_fields;
use hardway_proto::Status;
use hardway_resources::registry::Snapshot;
use hardway_resources::resource::{Resource, api_version};
use hardway_resources::rows::{Handler, Part};
use hardway_resources::schema::builtin;
use hardway_resources::{Schema, scale, strict};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;

/// A write that admission is asked about.
pub(super) struct Write<'a> {
    request: &'a Request,
    target: &'a Target,
    operation: Operation,
    options: Value,
    versions: Shown<'a>,
}

/// The versions of a target's resource, and what is sent in them.
struct Shown<'a> {
    request: &'a Request,
    target: &'a Target,
    table: Arc<Snapshot>,
    conversion: &'a Conversion,
    sent: Sent,
}

/// In what shape admission has what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The object, as the rules of its kind look at it: a custom resource in the version
    /// asked for, any other as it is kept.
    Object,
    /// The body of an action or the options of a stream, as it is.
    Body,
}

impl Pipeline {
    /// A write of a target, for admission.
    pub(super) fn written<'a>(
        &'a self,
        request: &'a Request,
        target: &'a Target,
        operation: Operation,
        sent: Sent,
    ) -> Write<'a> {
        Write {
            request,
            target,
            operation,
            options: options(operation, &request.options),
            versions: Shown {
                request,
                target,
                table: self.registry.snapshot(),
                conversion: &self.conversion,
                sent,
            },
        }
    }

    /// The mutating phase of admission. Whether anybody outside has changed the object: what
    /// nobody may set has to be reset again then.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn mutate(
        &self,
        write: &Write<'_>,
        new: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<bool, Status> {
        let (review, begun) = (write.review(), Instant::now());
        let outcome = self.admission.mutate(&review, new, old).await;
        let operation = review.operation.as_str();
        let (refused, took) = (outcome.is_err(), begun.elapsed());
        let turns = review.notes.turns.lock();
        metrics::admission("admit", operation, refused, took, &turns);
        drop(turns);
        write
            .request
            .story
            .admitted("mutating", &review.notes, begun);
        let changed = review.notes.is_changed();
        write.pass_on(review.notes);
        outcome.map(|()| changed)
    }

    /// The validating phase.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn validate(
        &self,
        write: &Write<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.validate_by(Validators::All, write, new, old).await
    }

    /// Some of the validating phase.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn validate_by(
        &self,
        which: Validators,
        write: &Write<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let (review, begun) = (write.review(), Instant::now());
        let outcome = self.admission.validate_by(which, &review, new, old).await;
        let operation = review.operation.as_str();
        let (refused, took) = (outcome.is_err(), begun.elapsed());
        let turns = review.notes.turns.lock();
        metrics::admission("validate", operation, refused, took, &turns);
        drop(turns);
        write
            .request
            .story
            .admitted("validating", &review.notes, begun);
        write.pass_on(review.notes);
        outcome
    }

    /// Both phases for the body of an action, or the options of a stream.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn admit_body(
        &self,
        request: &Request,
        operation: Operation,
        body: &mut Value,
    ) -> Result<(), Status> {
        let write = self.written(request, &request.target, operation, Sent::Body);
        self.mutate(&write, Some(body), None).await?;
        self.validate(&write, Some(body), None).await
    }
}

impl<'a> Write<'a> {
    fn review(&self) -> Review<'_> {
        let (request, target) = (self.request, self.target);
        let user: &User = &request.user;
        Review {
            user,
            operation: self.operation,
            // Plugins know a resource by where it is kept, whichever group shows it.
            group: target.resource.kept_group(),
            version: match target.resource.custom {
                true => &target.version,
                false => target.resource.kept_version(),
            },
            resource: target.plural(),
            kind: &target.resource.kind,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: &target.name,
            dry_run: request.options.dry_run,
            options: &self.options,
            requested: shown_as(&target.resource, &target.version, &target.subresource),
            versions: &self.versions,
            deadline: request.done_by(),
            notes: Notes::default(),
        }
    }

    /// Passes on what admission has to tell, of a refused write, too.
    fn pass_on(&self, notes: Notes) {
        for warning in notes.warnings.into_inner() {
            self.request.warn(warning);
        }
        let annotations = notes.annotations.into_inner();
        self.request.annotations.lock().extend(annotations);
    }
}

/// A resource in a version, with the kind of what is sent there.
fn shown_as(resource: &Resource, version: &str, subresource: &str) -> ResourceKind {
    let body = resource.subresource(version, subresource);
    let body = body.and_then(|subresource| subresource.body.as_ref());
    let kind = match body {
        Some((group, version, kind)) => GroupVersionKind {
            group: group.clone(),
            version: version.clone(),
            kind: kind.clone(),
        },
        None => GroupVersionKind {
            group: resource.group.clone(),
            version: version.to_owned(),
            kind: resource.kind.clone(),
        },
    };
    ResourceKind {
        group: resource.group.clone(),
        version: version.to_owned(),
        resource: resource.plural.clone(),
        kind,
    }
}

impl Shown<'_> {
    /// What is sent is the Scale of an object, which admission has whole.
    fn is_scale(&self) -> bool {
        let handler = self.target.handler();
        self.sent == Sent::Object && matches!(handler, Some(Handler::Part(Part::Scale)))
    }

    fn row(&self, of: &ResourceKind) -> Result<&Arc<Resource>, Status> {
        let row = self.table.lookup(&of.group, &of.version, &of.resource);
        row.ok_or_else(|| {
            Status::internal(format!(
                "unable to convert to {}: unknown kind",
                api_version(&of.group, &of.version)
            ))
        })
    }

    fn schema(&self, row: &Resource, of: &ResourceKind) -> Option<Schema> {
        let kind = &of.kind;
        match self.sent == Sent::Body || self.is_scale() {
            true => builtin::kind(&kind.group, &kind.version, &kind.kind),
            false => row.version(&of.version).map(|it| it.schema.clone()),
        }
    }

    /// An object of a custom resource in a version.
    async fn convert_custom(&self, object: Value, version: &str) -> Result<Value, Status> {
        let row = &self.target.resource;
        let converted = self.conversion.objects(row, vec![object], version).await?;
        let object = converted.into_iter().next().unwrap_or_default();
        Ok(match row.converts() {
            true => row.to_external(object, version),
            false => object,
        })
    }

    async fn show_now(&self, kept: &Value, of: &ResourceKind) -> Result<Value, Status> {
        if self.sent == Sent::Body {
            return Ok(kept.clone());
        }
        let row = self.row(of)?;
        if row.custom {
            return match self.is_scale() {
                true => scale::read(row, &self.target.version, kept)
                    .ok_or_else(Status::no_such_resource),
                false => self.convert_custom(kept.clone(), &of.version).await,
            };
        }
        let object = match row.converts() {
            true => row.to_external(kept.clone(), &of.version),
            false => kept.clone(),
        };
        match self.is_scale() {
            true => scale::read(row, &of.version, &object).ok_or_else(Status::no_such_resource),
            false => Ok(object),
        }
    }

    async fn take_now(
        &self,
        mut shown: Value,
        of: &ResourceKind,
        kept: &mut Value,
    ) -> Result<(), Status> {
        let row = self.row(of)?;
        let kind = &of.kind;
        if let Some(schema) = self.schema(row, of) {
            strict::prune(&schema, &mut shown).map_err(Status::internal)?;
        }
        if !shown.is_object() {
            return Err(Status::internal(format!("it is no {} any more", kind.kind)));
        }
        shown["apiVersion"] = api_version(&kind.group, &kind.version).into();
        shown["kind"] = kind.kind.as_str().into();
        if self.sent == Sent::Body {
            *kept = shown;
            return Ok(());
        }
        if self.is_scale() && row.custom {
            scale::write(row, &self.target.version, kept, &shown);
            return Ok(());
        }
        if self.is_scale() {
            let mut object = self.convert(kept.clone(), row, &of.version);
            scale::write(row, &of.version, &mut object, &shown);
            *kept = row.to_storage(object);
            return Ok(());
        }
        if let Err(why) = managed_fields::check(&shown) {
            self.request.warn(format!(
                ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: {why}"
            ));
            let before = kept["metadata"].get("managedFields").cloned();
            let metadata = super::metadata::of(&mut shown);
            match before {
                Some(fields) => metadata.insert("managedFields".into(), fields),
                None => metadata.remove("managedFields"),
            };
        }
        if row.custom {
            row.default(&mut shown);
            *kept = self.convert_custom(shown, &self.target.version).await?;
            return Ok(());
        }
        row.default_version(&mut shown);
        let mut taken = row.to_storage(shown);
        row.default(&mut taken);
        *kept = taken;
        Ok(())
    }

    fn convert(&self, kept: Value, row: &Resource, version: &str) -> Value {
        match row.converts() {
            true => row.to_external(kept, version),
            false => kept,
        }
    }
}

impl Versions for Shown<'_> {
    fn others(&self) -> Vec<ResourceKind> {
        let asked = &self.target.resource;
        let subresource = self.target.subresource.as_str();
        let same = |row: &&Arc<Resource>| {
            row.plural == asked.plural && row.kept_group() == asked.kept_group()
        };
        let versions = |row: &'_ Arc<Resource>| -> Vec<ResourceKind> {
            let names = row.versions.iter().map(|version| version.name.as_str());
            let is_asked =
                |version: &&str| row.group == asked.group && *version == self.target.version;
            let has_it = |version: &&str| {
                subresource.is_empty() || row.subresource(version, subresource).is_some()
            };
            names
                .filter(|version| !is_asked(version) && has_it(version))
                .map(|version| shown_as(row, version, subresource))
                .collect()
        };
        self.table
            .rows()
            .iter()
            .filter(same)
            .flat_map(versions)
            .collect()
    }

    fn labels<'v>(&self, object: &'v Value) -> Option<&'v Map<String, Value>> {
        match self.is_scale() {
            true => None,
            false => object["metadata"]["labels"].as_object(),
        }
    }

    fn show<'a>(
        &'a self,
        kept: &'a Value,
        shown_as: &'a ResourceKind,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(self.show_now(kept, shown_as))
    }

    fn patch(&self, shown: &Value, operations: &[u8]) -> Result<Value, String> {
        hardway_patch::apply_json_patch(shown, operations).map_err(|why| why.to_string())
    }

    fn take<'a>(
        &'a self,
        shown: Value,
        shown_as: &'a ResourceKind,
        kept: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(self.take_now(shown, shown_as, kept))
    }
}

/// The options of a write as an object of meta.k8s.io/v1: those of the operation, whatever
/// the request was. A stream has none.
fn options(operation: Operation, options: &Options) -> Value {
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Value::Null,
    };
    let mut written = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if options.dry_run {
        written["dryRun"] = json!(["All"]);
    }
    if operation != Operation::Delete {
        if !options.field_manager.is_empty() {
            written["fieldManager"] = json!(options.field_manager);
        }
        if options.field_validation_given {
            written["fieldValidation"] = json!(options.field_validation.as_str());
        }
        return written;
    }
    let delete = &options.delete;
    if let Some(seconds) = delete.grace_period {
        written["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(uid) = &delete.uid {
        written["preconditions"]["uid"] = json!(uid);
    }
    if let Some(version) = &delete.resource_version {
        written["preconditions"]["resourceVersion"] = json!(version);
    }
    if let Some(policy) = delete.propagation {
        written["propagationPolicy"] = json!(policy.as_str());
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_operation() {
        let asked = Options::from_query(
            "dryRun=All&fieldManager=kubectl&fieldValidation=Strict&gracePeriodSeconds=0&propagationPolicy=Orphan",
        )
        .unwrap();
        assert_eq!(
            options(Operation::Update, &asked),
            json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"],
                "fieldManager": "kubectl", "fieldValidation": "Strict"})
        );
        assert_eq!(
            options(Operation::Delete, &asked),
            json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"],
                "gracePeriodSeconds": 0, "propagationPolicy": "Orphan"})
        );
        assert_eq!(options(Operation::Connect, &asked), Value::Null);
        // What was said is told, also where it is what is done anyway.
        let told = |query: &str| {
            let asked = Options::from_query(query).unwrap();
            options(Operation::Create, &asked)["fieldValidation"].clone()
        };
        assert_eq!(told("fieldValidation=Warn"), "Warn");
        assert_eq!(told("fieldValidation="), Value::Null);
        assert_eq!(told(""), Value::Null);
    }
}
