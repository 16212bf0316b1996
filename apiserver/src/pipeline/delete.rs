//! delete and deletecollection.

use super::admission::Sent;
use super::options::{DeleteOptions, Propagation};
use super::write::Change;
use super::{Answer, Object, Options, Pipeline, Request, Target, Verb, metadata, modify, present};
use crate::store::{StoreError, Write};
use hardway_access::Operation;
use hardway_proto::Status;
use hardway_proto::status::Details;
use hardway_resources::rows::Dependents;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// How often a deletion is tried when the object changes meanwhile.
const TRIES: usize = 6;

/// What a deletion comes to.
#[derive(Debug, PartialEq)]
enum Deletion {
    /// The object goes at once.
    Gone,
    /// It stays, changed, until its time is up or its finalizers are done.
    Stays(Value),
    /// It is on its way already: nothing changes.
    AsIs,
}

impl Pipeline {
    /// Deletes an object, at once or gracefully.
    pub(super) async fn delete(&self, request: &Request) -> Result<Object, Status> {
        self.delete_object(request, true).await
    }

    /// The same; admission isn't asked about it where it was about what brings the deletion.
    pub(super) async fn delete_object(
        &self,
        request: &Request,
        asks_admission: bool,
    ) -> Result<Object, Status> {
        let target = &request.target;
        let mut found = match self.cache_of(target)?.get(&target.key()) {
            Some(entry) => Some((entry.value(), entry.revision, true)),
            None => self.current(target).await?,
        };
        for _ in 0..TRIES {
            let (value, revision, cached) = found.ok_or_else(|| target.not_found())?;
            let options = &request.options.delete;
            if let Err(status) = preconditions(target, options, &value) {
                if !cached {
                    return Err(status);
                }
                found = self.current(target).await?;
                continue;
            }
            let seen = self.open(target, value.clone()).await?.value;
            if asks_admission {
                let write = self.written(request, target, Operation::Delete, Sent::Object);
                self.mutate(&write, None, Some(&seen)).await?;
                self.validate(&write, None, Some(&seen)).await?;
            }
            let deletion = decide(target, options, &value, Timestamp::now());
            if request.options.dry_run || deletion == Deletion::AsIs {
                return Ok(match deletion {
                    Deletion::Gone => gone(target, &value),
                    Deletion::Stays(object) => {
                        let object = self.open(target, object).await?.value;
                        Object::of(&present::to_served(target, object))
                    }
                    Deletion::AsIs => Object::of(&present::to_served(target, seen)),
                });
            }
            let outcome = match deletion {
                Deletion::Stays(object) => {
                    // In the version it is stored in: it goes whether or not it could be
                    // stored in another one.
                    let served = match target.resource.webhook.is_some() {
                        true => Some(self.open(target, object.clone()).await?.value),
                        false => None,
                    };
                    let change = Change {
                        target,
                        object: Arc::new(object),
                        served: served.as_ref(),
                        write: Write {
                            key: target.store_key(),
                            expected: revision,
                            ..Write::default()
                        },
                    };
                    self.commit(request, change).await
                }
                _ => {
                    let write = Write {
                        key: target.store_key(),
                        expected: revision,
                        releases: self.services.held(target, &value),
                        ..Write::default()
                    };
                    let committed = self.carry_out(request, target, &value, write).await;
                    committed.map(|_| gone(target, &value))
                }
            };
            match outcome {
                Ok(object) => return Ok(object),
                Err(StoreError::Changed(_)) => found = self.current(target).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(target.stale())
    }

    async fn current(&self, target: &Target) -> Result<Option<(Value, i64, bool)>, Status> {
        let Some(stored) = self.store.get(&target.store_key()).await? else {
            return Ok(None);
        };
        let mut value = stored.object()?;
        target.resource.rules.default_stored(&mut value);
        let version = stored.revision.to_string();
        metadata::of(&mut value).insert("resourceVersion".into(), version.into());
        Ok(Some((value, stored.revision, false)))
    }

    /// Deletes every selected object; answers with what they were.
    pub(super) async fn delete_collection(&self, request: &Request) -> Result<Object, Status> {
        let listing = self.list(request).await?;
        let target = &request.target;
        let mut items = Vec::new();
        for entry in &listing.items {
            let one = target.named(entry.namespace(), entry.name());
            let one = Request {
                options: Options {
                    dry_run: request.options.dry_run,
                    delete: request.options.delete.clone(),
                    ..Options::default()
                },
                story: request.story.of_one(),
                ..request.with(Verb::Delete, one)
            };
            let outcome = self.delete(&one).await.map(Answer::Object);
            request.tell_of(&one);
            if !outcome.as_ref().is_err_and(Status::is_not_found) {
                one.story.end(&self.steps, &one, outcome.as_ref());
            }
            match outcome {
                Ok(_) => items.push(present::to_served(target, entry.value())),
                Err(status) if status.is_not_found() => {}
                Err(status) => return Err(status),
            }
        }
        Ok(Object::of(&json!({
            "kind": target.resource.list_kind,
            "apiVersion": target.api_version(),
            "metadata": {"resourceVersion": listing.revision.to_string()},
            "items": items,
        })))
    }
}

fn preconditions(target: &Target, options: &DeleteOptions, object: &Value) -> Result<(), Status> {
    let checks = [
        ("UID", "uid", &options.uid, "deleted and then recreated"),
        (
            "ResourceVersion",
            "resourceVersion",
            &options.resource_version,
            "modified",
        ),
    ];
    for (name, field, wanted, deletion) in checks {
        let found = metadata::text(object, field);
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(target.conflict(&format!(
                "the {name} in the precondition ({wanted}) does not match the {name} in record ({found}). The object might have been {deletion}"
            )));
        }
    }
    Ok(())
}

/// What becomes of an object.
fn decide(target: &Target, options: &DeleteOptions, old: &Value, now: Timestamp) -> Deletion {
    let mut object = old.clone();
    set_propagation(target, options, &mut object);
    if !metadata::is_terminating(old) {
        let rules = &target.resource.rules;
        rules.prepare_delete(&mut object, &metadata::time(now));
    }
    let default = target.resource.rules.default_grace_period(old);
    let grace = match default {
        None => 0,
        Some(_) if ends_at_once(old) => 0,
        Some(default) => options.grace_period.unwrap_or(default).max(0),
    };
    if grace < 0 {
        return Deletion::AsIs;
    }
    let held = metadata::has_finalizers(&object) || modify::is_held_namespace(target, &object);
    if metadata::is_terminating(old) {
        let left = old["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or_default();
        // A repeated deletion may only hurry.
        let asked = options.grace_period.map_or(left, |seconds| seconds.max(0));
        if asked >= left && left > 0 {
            return changed(object, old);
        }
        if !held && asked == 0 {
            return Deletion::Gone;
        }
        if asked < left {
            set_deletion(target, &mut object, now, asked);
        }
        return changed(object, old);
    }
    if grace == 0 && !held {
        return Deletion::Gone;
    }
    set_deletion(target, &mut object, now, grace);
    if let Some(generation) = old["metadata"]["generation"].as_i64().filter(|n| *n > 0) {
        metadata::of(&mut object).insert("generation".into(), (generation + 1).into());
    }
    if modify::is_held_namespace(target, &object) {
        object["status"]["phase"] = "Terminating".into();
    }
    Deletion::Stays(object)
}

fn changed(object: Value, old: &Value) -> Deletion {
    match object == *old {
        true => Deletion::AsIs,
        false => Deletion::Stays(object),
    }
}

fn set_deletion(target: &Target, object: &mut Value, now: Timestamp, grace: i64) {
    let at = now
        .checked_add(SignedDuration::from_secs(grace))
        .unwrap_or(now);
    let metadata = metadata::of(object);
    metadata.insert("deletionTimestamp".into(), metadata::time(at).into());
    // Namespaces know no grace: their contents take the time they take.
    if !modify::is_namespace(target) {
        metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
    }
}

/// A pod that no kubelet looks after, or that has ended, needs no grace.
fn ends_at_once(object: &Value) -> bool {
    let node = object["spec"]["nodeName"].as_str().unwrap_or_default();
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    object["kind"] == "Pod" && (node.is_empty() || matches!(phase, "Succeeded" | "Failed"))
}

/// Foreground deletion and orphaning are finalizers, for the garbage
/// collector to act on.
fn set_propagation(target: &Target, options: &DeleteOptions, object: &mut Value) {
    let default = target.resource.strategy.dependents;
    if default == Dependents::None {
        return;
    }
    let has = |name: &str| {
        object["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|list| list.iter().any(|finalizer| finalizer == name))
    };
    let (orphan, foreground) = match options.propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None if has("orphan") || has("foregroundDeletion") => return,
        None => (default == Dependents::Orphaned, false),
    };
    metadata::set_finalizer(object, "orphan", orphan);
    metadata::set_finalizer(object, "foregroundDeletion", foreground);
}

/// What a deletion that is done answers: the object for kinds whose clients
/// want it, otherwise success.
fn gone(target: &Target, object: &Value) -> Object {
    match target.resource.strategy.returns_deleted_object {
        true => Object::of(&present::to_served(target, object.clone())),
        false => success(target, object),
    }
}

fn success(target: &Target, object: &Value) -> Object {
    let mut status = Status::success();
    status.code = 0;
    status.details = Some(Box::new(Details {
        name: target.name.clone(),
        group: target.group().into(),
        kind: target.plural().into(),
        uid: metadata::text(object, "uid").into(),
        ..Details::default()
    }));
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.remove("code");
    }
    Object::of(&value)
}
