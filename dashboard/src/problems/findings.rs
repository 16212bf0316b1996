//! What is wrong, as it changes: found anew when what the viewer's watches show has changed.

use super::reading;
use super::turn::Turn;
use crate::failure::{Failure, json_text};
use crate::live::message::{Batch, Problems, Selection};
use crate::live::{Lookers, Watch};
use crate::viewer::Viewer;
use bytes::Bytes;
use hardway_why::reading::Paths;
use hardway_why::{Listing, Resource, Snapshot, Unread, condense, everything, problems};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How many problems pages are sent: the worst. Whoever has more looks at these first, or chooses a
/// namespace.
const MOST: usize = 500;
/// How long changes are gathered before all is looked at again.
const GATHER: Duration = Duration::from_secs(2);
/// How much longer than it took to look one rests before looking again: in a large cluster that
/// changes all the time the search takes no more than a tenth of a core.
const REST: u32 = 9;
/// Some things are wrong because nothing has changed for a time.
const AGAIN: Duration = Duration::from_secs(30);

/// What is being found out for a viewer, by namespace; empty for all of them.
#[derive(Default)]
pub struct Looks(Mutex<HashMap<String, Weak<Findings>>>);

/// What is wrong in one namespace or in all, for all pages of a viewer that ask for it.
pub struct Findings {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    latest: Mutex<Latest>,
    lookers: Lookers,
}

#[derive(Default)]
struct Latest {
    /// Counts what was found, from 1; 0 is before that.
    number: u64,
    found: Found,
}

/// What was found in one search.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// The worst problems, in JSON.
    problems: Vec<Bytes>,
    /// How many there are besides.
    more: usize,
    unread: Vec<Unread>,
}

/// A resource, as it is watched.
struct Source {
    resource: &'static Resource,
    paths: Paths,
    watch: Arc<Watch>,
}

impl Findings {
    /// Looks, as long as what this gives is kept: once for all pages of a viewer. `looker` is
    /// notified of news.
    ///
    /// # Errors
    /// If the viewer has too many watches.
    pub fn look(
        viewer: &Arc<Viewer>,
        place: &Problems,
        looker: &Arc<Notify>,
    ) -> Result<Arc<Self>, Failure> {
        let mut looks = viewer.looks.0.lock();
        looks.retain(|_, findings| findings.strong_count() > 0);
        let there = looks.get(&place.namespace).and_then(Weak::upgrade);
        let findings = match there {
            Some(findings) => findings,
            None => {
                let findings = Arc::new(Self::begin(viewer, &place.namespace)?);
                looks.insert(place.namespace.clone(), Arc::downgrade(&findings));
                findings
            }
        };
        findings.shared.lookers.add(looker);
        Ok(findings)
    }

    fn begin(viewer: &Arc<Viewer>, namespace: &str) -> Result<Self, Failure> {
        let namespace = Some(namespace.to_owned()).filter(|it| !it.is_empty());
        let changed = Arc::<Notify>::default();
        let sources = everything()
            .iter()
            .map(|resource| {
                let paths = Paths::new(resource, namespace.as_deref());
                Source::watch(viewer, resource, paths, &changed)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::<Shared>::default();
        let keeper = Keeper {
            viewer: viewer.clone(),
            namespace,
            sources,
            changed,
            shared: shared.clone(),
        };
        Ok(Self {
            shared,
            _task: AbortOnDropHandle::new(tokio::spawn(keeper.keep())),
        })
    }

    /// What a page has not been sent that has `seen` so much.
    pub fn news(&self, seen: &mut u64) -> Option<Batch> {
        let latest = self.shared.latest.lock();
        if latest.number == *seen {
            return None;
        }
        *seen = latest.number;
        Some(Batch {
            reset: true,
            set: latest.found.problems.clone(),
            more: latest.found.more,
            ready: true,
            unread: latest.found.unread.clone(),
            ..Batch::default()
        })
    }
}

impl Source {
    fn watch(
        viewer: &Viewer,
        resource: &'static Resource,
        paths: Paths,
        changed: &Arc<Notify>,
    ) -> Result<Self, Failure> {
        let selection = Selection::all(paths.first().to_owned());
        Ok(Self {
            resource,
            watch: viewer.watches.look(&selection, changed)?,
            paths,
        })
    }

    /// The same elsewhere, if it is not to be had here.
    fn elsewhere(&self, viewer: &Viewer, changed: &Arc<Notify>) -> Option<Self> {
        let code = self.watch.collection().error()?.code();
        let paths = self.paths.after(code.as_u16())?;
        Self::watch(viewer, self.resource, paths, changed).ok()
    }

    /// What there is to read: the objects in JSON, or why there are none. `None` before either.
    fn state(&self) -> Option<Result<Vec<Bytes>, Failure>> {
        let collection = self.watch.collection();
        match (collection.is_complete(), collection.error()) {
            (true, _) => Some(Ok(collection.texts().cloned().collect())),
            (false, Some(failure)) => Some(Err(failure.clone())),
            (false, None) => None,
        }
    }
}

struct Keeper {
    viewer: Arc<Viewer>,
    namespace: Option<String>,
    sources: Vec<Source>,
    changed: Arc<Notify>,
    shared: Arc<Shared>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut took = Duration::ZERO;
        loop {
            // Quickly the first time.
            if self.shared.latest.lock().number > 0 {
                tokio::time::sleep(GATHER.max(took * REST)).await;
            }
            let _ = tokio::time::timeout(AGAIN, self.changed.notified()).await;
            for source in &mut self.sources {
                if let Some(next) = source.elsewhere(&self.viewer, &self.changed) {
                    *source = next;
                }
            }
            let Ok(_turn) = Turn::wait(&self.viewer).await else {
                return;
            };
            let states = self.sources.iter();
            let states = states.map(|source| Some((source.resource, source.state()?)));
            let Some(states) = states.collect::<Option<Vec<_>>>() else {
                continue;
            };
            let namespace = self.namespace.clone();
            let began = Instant::now();
            // Thousands of objects take their time, and pages are not to wait for it.
            let found = tokio::task::spawn_blocking(move || find(states, namespace.as_deref()));
            match found.await {
                Ok(found) => self.publish(found),
                Err(error) => tracing::error!(%error, "looking for problems failed"),
            }
            took = began.elapsed();
        }
    }

    fn publish(&self, found: Found) {
        let mut latest = self.shared.latest.lock();
        if latest.number > 0 && latest.found == found {
            return;
        }
        latest.number += 1;
        latest.found = found;
        drop(latest);
        self.shared.lookers.notify();
    }
}

type State = (&'static Resource, Result<Vec<Bytes>, Failure>);

fn find(states: Vec<State>, namespace: Option<&str>) -> Found {
    let mut snapshot = Snapshot::new(Timestamp::now());
    for (resource, state) in states {
        let listing = match state {
            Ok(texts) => {
                let objects = texts.iter();
                let objects = objects.filter_map(|text| serde_json::from_slice::<Value>(text).ok());
                let objects = objects.map(|object| condense(&resource.kind, object));
                Listing::Read(objects.map(Arc::new).collect())
            }
            Err(failure) => reading::unread(&failure),
        };
        snapshot.put(resource, listing);
    }
    let found = problems(&snapshot, namespace);
    let worst = found.iter().take(MOST);
    Found {
        problems: worst.map(|problem| json_text(problem).into()).collect(),
        more: found.len().saturating_sub(MOST),
        unread: snapshot.unread(everything()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::tests::viewer;
    use serde_json::json;

    #[test]
    fn of_many_problems_the_worst_are_sent_and_the_others_counted() {
        let pod = |index: usize| {
            let pod = json!({"metadata": {"name": format!("pod-{index}"), "namespace": "a", "uid": index.to_string()},
                "status": {"phase": "Failed", "reason": "Evicted"}});
            Bytes::from(pod.to_string())
        };
        let pods = |number: usize| {
            let resource = hardway_why::resource("Pod").unwrap();
            find(vec![(resource, Ok((0..number).map(pod).collect()))], None)
        };
        let found = pods(3);
        assert_eq!((found.problems.len(), found.more), (3, 0));
        let found = pods(MOST + 7);
        assert_eq!((found.problems.len(), found.more), (MOST, 7));
    }

    #[tokio::test]
    async fn pages_of_a_viewer_share_what_is_found_and_all_hear_of_it() {
        let viewer = viewer();
        let place = |namespace: &str| Problems {
            namespace: namespace.to_owned(),
        };
        let (one, other) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let first = Findings::look(&viewer, &place("a"), &one).unwrap();
        let second = Findings::look(&viewer, &place("a"), &other).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let elsewhere = Findings::look(&viewer, &place(""), &one).unwrap();
        assert!(!Arc::ptr_eq(&first, &elsewhere));
        // Each hears at once that there is something to look at, and then of news.
        for _ in 0..2 {
            one.notified().await;
            other.notified().await;
            first.shared.lookers.notify();
        }
        drop((first, second));
        let again = Findings::look(&viewer, &place("a"), &one).unwrap();
        assert_eq!(viewer.looks.0.lock().len(), 2);
        drop((again, elsewhere));
    }
}
