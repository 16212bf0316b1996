//! What a process does for an object, step by step: for people who follow a request across
//! the processes (`hardway follow`).
//!
//! [`record`] keeps the last [`MOST`] steps in memory, whether anybody reads them or not, so
//! that the recent past can be shown. [`report`] hands them to the apiserver as soon as
//! somebody reads, and does nothing meanwhile.
//!
//! A step says what was done, to which object, and how long it took. It never has secrets or
//! contents of objects: names, addresses, numbers and reasons only.

mod report;
pub mod ring;

pub use report::report;

use crate::trace;
use hardway_proto::api::{self, StepDetail};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, status};
use parking_lot::Mutex;
use prost::Message;
use ring::Ring;
use std::borrow::Cow;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// So many steps are kept …
pub const MOST: usize = 2048;
/// … of so many bytes together.
pub const LARGEST: usize = 1 << 20;
/// So many are handed in at once.
pub const MOST_AT_ONCE: usize = 256;
/// A step has at most so many details …
pub const MOST_DETAILS: usize = 16;
/// … and no text in it is longer, in bytes.
pub const LONGEST_TEXT: usize = 512;

static STEPS: Mutex<Ring<api::Step>> = Mutex::new(Ring::new(MOST, LARGEST));
/// Whether somebody reads them now.
static READING: AtomicBool = AtomicBool::new(false);
static NEWS: Notify = Notify::const_new();

/// A step that has happened, to be [recorded](record).
#[derive(Clone, Debug)]
pub struct Step(api::Step);

impl Step {
    /// A step that belongs to no one object: what is done for a key.
    pub fn new(what: &str) -> Self {
        Self(api::Step {
            time: nanoseconds(SystemTime::now()),
            what: what.to_owned(),
            audit_id: trace::current().unwrap_or_default(),
            ..api::Step::default()
        })
    }

    /// A step about an object, now.
    pub fn about<K: Kind>(object: &K, what: &str) -> Self {
        let key = ObjectKey::of(object);
        Self::of(resource::<K>(), key, object.uid(), what)
    }

    /// A step about the object of a resource (`pods`, `deployments.apps`) with this key. An
    /// empty UID is one that isn't known.
    pub fn of(
        resource: impl Into<String>,
        key: ObjectKey,
        uid: impl Into<String>,
        what: &str,
    ) -> Self {
        let mut step = Self::new(what);
        step.0.resource = resource.into();
        step.0.namespace = key.namespace;
        step.0.name = key.name;
        step.0.uid = uid.into();
        step
    }

    /// Says which object it is about, for one that was made without.
    pub fn of_object(mut self, resource: &str, key: &ObjectKey, uid: &str) -> Self {
        self.0.resource = resource.to_owned();
        self.0.namespace = key.namespace.clone();
        self.0.name = key.name.clone();
        self.0.uid = uid.to_owned();
        self
    }

    /// It began when this was made, which is so long ago, and has ended now.
    pub fn ended(mut self, after: Duration) -> Self {
        self.0.took = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
        self
    }

    /// It began then, and has ended now.
    pub fn since(mut self, begun: Instant) -> Self {
        self.set_took(begun.elapsed());
        self
    }

    /// It began so long ago, and has ended now.
    pub fn took(mut self, took: Duration) -> Self {
        self.set_took(took);
        self
    }

    fn set_took(&mut self, took: Duration) {
        let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        self.0.took = took;
        self.0.time -= took;
    }

    /// It is part of that request, or of what is done under that name.
    pub fn for_audit_id(mut self, audit_id: impl Into<String>) -> Self {
        self.0.audit_id = audit_id.into();
        self
    }

    /// Says more. What is empty is left out, what is long is cut.
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        let mut value = value.to_string();
        if value.is_empty() || self.0.details.len() >= MOST_DETAILS {
            return self;
        }
        cut(&mut value);
        self.0.details.push(StepDetail {
            name: name.to_owned(),
            value,
        });
        self
    }

    /// As it goes over the wire.
    pub fn into_message(mut self) -> api::Step {
        for text in [&mut self.0.name, &mut self.0.audit_id] {
            cut(text);
        }
        self.0
    }
}

/// The name of a kind's resource with its group.
fn resource<K: Kind>() -> Cow<'static, str> {
    match K::RESOURCE.group {
        "" => K::RESOURCE.resource.into(),
        group => status::qualified(group, K::RESOURCE.resource).into(),
    }
}

fn cut(text: &mut String) {
    const END: &str = " …";
    if text.len() > LONGEST_TEXT {
        let mut at = LONGEST_TEXT - END.len();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        text.push_str(END);
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Bytes that a step takes in memory, roughly.
pub fn size(step: &api::Step) -> usize {
    const STRUCTS: usize = size_of::<api::Step>() + MOST_DETAILS * size_of::<StepDetail>() / 4;
    STRUCTS + step.encoded_len()
}

/// Bytes of all steps that are kept.
pub fn held() -> usize {
    STEPS.lock().size()
}

/// Keeps a step, and has it sent if somebody reads.
pub fn record(step: Step) {
    let step = step.into_message();
    let size = size(&step);
    STEPS.lock().push(step, size);
    if READING.load(Ordering::Relaxed) {
        NEWS.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;

    #[tokio::test]
    async fn a_step_says_which_object_and_for_what() {
        let mut deployment = Deployment::default();
        deployment.metadata.namespace = Some("shop".into());
        deployment.metadata.name = Some("web".into());
        deployment.metadata.uid = Some("u-1".into());
        let begun = Instant::now();
        let work = async { Step::about(&deployment, "seen") };
        let step = trace::scope("cause".to_owned(), work).await;
        let step = step.since(begun).with("revision", 7).with("empty", "");
        let step = step.into_message();
        assert_eq!(step.resource, "deployments.apps");
        assert_eq!((&*step.namespace, &*step.name), ("shop", "web"));
        assert_eq!((&*step.uid, &*step.audit_id), ("u-1", "cause"));
        assert!(step.took > 0 && step.time > 0);
        assert_eq!(step.details.len(), 1);
        assert_eq!(step.details[0].value, "7");
    }

    #[test]
    fn nothing_in_a_step_is_long() {
        let mut step = Step::new("seen");
        for _ in 0..MOST_DETAILS + 5 {
            step = step.with("text", "ä".repeat(LONGEST_TEXT));
        }
        let step = step.into_message();
        assert_eq!(step.details.len(), MOST_DETAILS);
        let text = &step.details[0].value;
        assert!(
            text.len() <= LONGEST_TEXT && text.ends_with("ä …"),
            "{text}"
        );
    }
}
