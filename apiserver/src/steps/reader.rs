//! Who reads steps, and which.

use super::rings::Place;
use super::{Reading, Steps, Told, line};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use hardway_access::{Attributes, Authorizer, User};
use hardway_proto::Status;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// For so long the processes' past is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Steps looked at at once.
const AT_ONCE: usize = 256;
/// Names of work are remembered, as many as these.
const MOST_NAMES: usize = 4096;

/// Which steps are wanted. What is empty selects nothing away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    uid: String,
    resource: String,
    namespace: String,
    name: String,
    audit_id: String,
    /// Whether steps are sent as they come, or only those that are there.
    watch: bool,
}

impl Filter {
    /// What the parameters of a query say.
    ///
    /// # Errors
    /// 400 for those that there aren't.
    pub fn of(pairs: impl Iterator<Item = (String, String)>) -> Result<Self, Status> {
        let mut filter = Self::default();
        for (name, value) in pairs {
            let field = match name.as_str() {
                "uid" => &mut filter.uid,
                "resource" => &mut filter.resource,
                "namespace" => &mut filter.namespace,
                "name" => &mut filter.name,
                "auditID" => &mut filter.audit_id,
                "watch" => {
                    filter.watch = !matches!(value.as_str(), "false" | "0" | "False");
                    continue;
                }
                other => {
                    return Err(Status::bad_request(format!(
                        "unknown parameter {other:?}: steps are selected by uid, resource, namespace, name and auditID, and followed with watch"
                    )));
                }
            };
            *field = value;
        }
        Ok(filter)
    }

    /// Whether the answer goes on for as long as both sides like.
    pub fn watches(&self) -> bool {
        self.watch
    }

    fn selects(&self, told: &Told) -> bool {
        let step = &told.step;
        let fields = [
            (&self.uid, &step.uid),
            (&self.resource, &step.resource),
            (&self.namespace, &step.namespace),
            (&self.name, &step.name),
        ];
        fields
            .into_iter()
            .all(|(wanted, is)| wanted.is_empty() || wanted == is)
            && (self.audit_id.is_empty() || belongs(&step.audit_id, &self.audit_id))
    }
}

/// Whether an audit ID is that one, or one of the requests that were made under that name.
fn belongs(audit_id: &str, name: &str) -> bool {
    let rest = audit_id.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Names of work of which the reader has seen something, the newest of them.
#[derive(Default)]
struct Names {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Names {
    /// What was done under it may be shown from now on.
    fn note(&mut self, audit_id: &str) {
        let name = audit_id.split('.').next().unwrap_or_default();
        if name.is_empty() || !self.known.insert(name.to_owned()) {
            return;
        }
        self.order.push_back(name.to_owned());
        if self.order.len() > MOST_NAMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Somebody who reads.
pub struct Reader {
    steps: Arc<Steps>,
    authorizer: Arc<Authorizer>,
    user: User,
    filter: Filter,
    names: Names,
    place: Place,
    news: watch::Receiver<()>,
    /// Until when the past is waited for; none once it is here.
    past: Option<Instant>,
    over: bool,
    _reading: Reading,
}

impl Reader {
    /// One who may read, from the oldest step on.
    pub fn new(
        steps: &Arc<Steps>,
        authorizer: Arc<Authorizer>,
        user: User,
        filter: Filter,
    ) -> Self {
        let news = steps.news.subscribe();
        let reading = Reading::begin(steps);
        let place = steps.rings.lock().oldest();
        Self {
            steps: steps.clone(),
            authorizer,
            user,
            filter,
            names: Names::default(),
            place,
            news,
            past: Some(Instant::now() + PATIENCE),
            over: false,
            _reading: reading,
        }
    }

    /// What the reader is sent.
    pub fn lines(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut reader| async move {
            let bytes = reader.next().await?;
            Some((bytes, reader))
        })
    }

    /// What comes next; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.over || self.steps.is_stopped() {
                return None;
            }
            self.news.borrow_and_update();
            let complete = self.past.is_some() && self.steps.reporters.lock().are_complete();
            let (lost, told) = self.steps.rings.lock().take(&mut self.place, AT_ONCE);
            let mut bytes = BytesMut::new();
            if lost > 0 {
                bytes.extend_from_slice(&line::lost(lost));
            }
            for told in &told {
                if self.may_see(told) {
                    bytes.extend_from_slice(&line::step(told));
                }
            }
            if told.len() < AT_ONCE
                && let Some(past) = self.past
                && (complete || Instant::now() >= past)
            {
                bytes.extend_from_slice(&line::synced());
                self.past = None;
                self.over = !self.filter.watch;
            }
            if !bytes.is_empty() {
                return Some(bytes.freeze());
            }
            if told.len() == AT_ONCE {
                tokio::task::yield_now().await;
                continue;
            }
            match self.past {
                Some(past) => {
                    let _ = tokio::time::timeout_at(past, self.news.changed()).await;
                }
                None => self.news.changed().await.ok()?,
            }
        }
    }

    /// Whether a step is wanted, and its object one that the reader may get. What is about no
    /// object is shown to who has seen a request that was made for it.
    fn may_see(&mut self, told: &Told) -> bool {
        let step = &told.step;
        if step.resource.is_empty() {
            return self.names.known.contains(&step.audit_id);
        }
        if !self.filter.selects(told) {
            return false;
        }
        let (resource, group) = step
            .resource
            .split_once('.')
            .unwrap_or((&step.resource, ""));
        let (namespace, name) = (&step.namespace, &step.name);
        let get = Attributes::resource(&self.user, "get", group, resource, namespace, name);
        let allowed = self.authorizer.authorize(&get).is_allowed();
        if allowed {
            self.names.note(&step.audit_id);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_proto::api;

    fn told(resource: &str, name: &str, audit_id: &str) -> Told {
        Told {
            process: "apiserver",
            host: "h".into(),
            step: api::Step {
                resource: resource.into(),
                name: name.into(),
                audit_id: audit_id.into(),
                ..api::Step::default()
            },
        }
    }

    fn filter(query: &str) -> Result<Filter, Status> {
        Filter::of(crate::pipeline::pairs(query))
    }

    #[test]
    fn steps_are_selected_by_what_is_said() {
        let web = told("pods", "web", "cause.1");
        for (query, expected) in [
            ("", true),
            ("resource=pods&name=web", true),
            ("resource=pods&name=other", false),
            ("auditID=cause", true),
            ("auditID=cause.1", true),
            ("auditID=cau", false),
            ("uid=u", false),
        ] {
            assert_eq!(filter(query).unwrap().selects(&web), expected, "{query}");
        }
        assert!(filter("watch=true").unwrap().watches());
        assert!(!filter("watch=false").unwrap().watches());
        let refused = filter("pod=web").unwrap_err();
        assert!(refused.code == 400 && refused.message.contains("\"pod\""));
    }

    #[test]
    fn names_of_work_are_bounded() {
        let mut names = Names::default();
        for number in 0..=MOST_NAMES {
            names.note(&format!("n{number}.1"));
            names.note(&format!("n{number}.2"));
        }
        assert_eq!(names.known.len(), MOST_NAMES);
        assert!(!names.known.contains("n0") && names.known.contains("n1"));
    }
}
