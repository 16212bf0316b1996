//! What becomes of a request that writes, step by step, for who follows it
//! ([`steps`](crate::steps)). Nothing is kept of requests that read, and of those that are
//! routine: leases, events and reviews.

use super::{Answer, Origin, Request, Target, Verb};
use crate::steps::Steps;
use hardway_access::admission::{AnnotationLevel, Notes, Turn};
use hardway_access::{UNAUTHENTICATED, User};
use hardway_client::steps::Step;
use hardway_proto::Status;
use hardway_proto::meta::ObjectKey;
use hardway_proto::status::qualified;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A plugin that takes longer is named.
const NOTABLE: Duration = Duration::from_micros(500);

/// By which way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// HTTP as Kubernetes speaks it.
    Rest,
    /// `hardway.v1.Api`.
    Grpc,
}

/// The story of one request. Clones share it; by default nothing is kept.
#[derive(Clone, Default)]
pub struct Story(Option<Arc<Kept>>);

struct Kept {
    audit_id: String,
    /// That the request came in.
    door: Step,
    so_far: Mutex<SoFar>,
}

#[derive(Default)]
struct SoFar {
    /// What it has met so far.
    steps: Vec<Step>,
    is_over: bool,
    /// Name and UID of what was written, once they are known.
    object: Option<(String, String)>,
}

impl Story {
    /// Begins the story of a request that has come in, if it is one to be told.
    pub fn begin(door: Door, origin: &Origin, user: &User, verb: Verb, target: &Target) -> Self {
        let is_routine = matches!(
            target.resource.kept_group(),
            "authentication.k8s.io" | "authorization.k8s.io" | "coordination.k8s.io"
        ) || target.plural() == "events";
        if verb.is_read() || is_routine {
            return Self::default();
        }
        let protocol = match door {
            Door::Rest => "REST",
            Door::Grpc => "gRPC",
        };
        let step = Step::new("request")
            .with("verb", verb.as_str())
            .with("subresource", &target.subresource)
            .with("protocol", protocol)
            .with("user", &user.name)
            .with("identity", identity(user, origin))
            .with("agent", &origin.agent)
            .with("from", &origin.address);
        let step = match &origin.impersonator {
            Some(by) => step.with("impersonatedBy", &by.name),
            None => step,
        };
        Self(Some(Arc::new(Kept {
            audit_id: origin.audit_id.0.clone(),
            door: step,
            so_far: Mutex::default(),
        })))
    }

    /// The story of one object of the many that the request is about.
    pub(super) fn of_one(&self) -> Self {
        Self(self.0.as_ref().map(|kept| {
            Arc::new(Kept {
                audit_id: kept.audit_id.clone(),
                door: kept.door.clone(),
                so_far: Mutex::default(),
            })
        }))
    }

    fn note(&self, step: impl FnOnce() -> Step) {
        if let Some(kept) = &self.0 {
            let step = step();
            kept.so_far.lock().steps.push(step);
        }
    }

    /// What was asked for is permitted, or not.
    pub(super) fn authorized(&self, reason: &str, begun: Instant) {
        self.note(|| Step::new("authorized").since(begun).with("reason", reason));
    }

    /// The request has its turn.
    pub(super) fn seated(&self, request: &Request, begun: Instant) {
        self.note(|| {
            let step = Step::new("seated").since(begun);
            match request.classified.get() {
                Some(classified) => step
                    .with("flowSchema", &classified.schema_name)
                    .with("priorityLevel", &classified.level_name),
                None => step,
            }
        });
    }

    /// A phase of admission is over.
    pub(super) fn admitted(&self, phase: &str, notes: &Notes, begun: Instant) {
        self.note(|| {
            let turns = notes.turns.lock();
            let mut step = Step::new("admission")
                .since(begun)
                .with("phase", phase)
                .with("plugins", turns.len());
            for turn in turns.iter().filter(|turn| is_notable(turn)) {
                let took = turn.took.as_secs_f64() * 1e3;
                let refused = if turn.rejected { ", refused" } else { "" };
                step = step.with(turn.plugin, format_args!("{took:.1} ms{refused}"));
            }
            // Which webhooks and policies had a say.
            let annotations = notes.annotations.lock();
            for told in annotations.iter() {
                if told.level == AnnotationLevel::Metadata {
                    step = step.with(&told.key, &told.value);
                }
            }
            step
        });
    }

    /// etcd has committed an object, or its removal.
    pub(super) fn stored(&self, object: &Value, is_removed: bool, revision: i64, begun: Instant) {
        let Some(kept) = &self.0 else {
            return;
        };
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let what = if is_removed { "removed" } else { "stored" };
        let mut step = Step::new(what).since(begun).with("revision", revision);
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let owners: Vec<&str> = owners.filter_map(|owner| owner["uid"].as_str()).collect();
        step = step.with("owners", owners.join(" "));
        if let Some(node) = object["spec"]["nodeName"].as_str() {
            step = step.with("node", node);
        }
        let mut so_far = kept.so_far.lock();
        so_far.steps.push(step);
        so_far.object = Some((text("name").to_owned(), text("uid").to_owned()));
    }

    /// The request is answered: hands its story over.
    pub(super) fn end(&self, steps: &Steps, request: &Request, outcome: Result<&Answer, &Status>) {
        steps.record(self.told(request, outcome).into_iter());
    }

    /// The same, for a request that was not let in.
    pub(super) fn turned_away(&self, steps: &Steps, request: &Request, why: &Status) {
        steps.record_refused(self.told(request, Err(why)).into_iter());
    }

    /// All its steps; none if they were told already, by who has the story, too.
    fn told(&self, request: &Request, outcome: Result<&Answer, &Status>) -> Vec<Step> {
        let Some(kept) = &self.0 else {
            return Vec::new();
        };
        let (noted, object) = {
            let mut so_far = kept.so_far.lock();
            if std::mem::replace(&mut so_far.is_over, true) {
                return Vec::new();
            }
            (std::mem::take(&mut so_far.steps), so_far.object.take())
        };
        let target = &request.target;
        let (name, uid) = object.unwrap_or_else(|| (target.name.clone(), String::new()));
        let door = kept.door.clone().ended(request.begun.elapsed());
        let mut door = match outcome {
            Ok(Answer::Object(object)) if object.created => door.with("code", 201),
            Ok(_) => door.with("code", 200),
            Err(status) => refused(door, status),
        };
        if request.options.dry_run {
            door = door.with("dryRun", true);
        }
        let resource = qualified(target.resource.kept_group(), target.plural());
        let key = ObjectKey::new(&target.namespace, name);
        let all = std::iter::once(door).chain(noted);
        all.map(|step| {
            step.of_object(&resource, &key, &uid)
                .for_audit_id(&kept.audit_id)
        })
        .collect()
    }
}

/// By what the sender is known.
fn identity(user: &User, origin: &Origin) -> &'static str {
    match origin.certified {
        _ if user.is_in(UNAUTHENTICATED) => "none",
        true => "client certificate",
        false => "bearer token",
    }
}

fn is_notable(turn: &Turn) -> bool {
    turn.rejected || turn.took >= NOTABLE
}

/// Code and reason. The message of what is invalid quotes the object: of that only the fields
/// are named.
fn refused(step: Step, status: &Status) -> Step {
    let step = step
        .with("code", status.code)
        .with("reason", &status.reason);
    if status.code != 422 {
        return step.with("message", &status.message);
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<&str> = causes.map(|cause| cause.field.as_str()).collect();
    step.with("fields", fields.join(", "))
}
