//! What other servers serve behind this one: APIServices with a Service. Requests for their
//! groups are passed on with the name of who asks, once they are permitted
//! ([`remote::Remote::forward`]); discovery and OpenAPI tell of them with all else. A server
//! that can't be asked keeps nothing waiting but requests for its own groups.

pub mod discovery;
mod following;
pub mod identity;
mod local;
pub mod remote;
pub mod spec;
mod status;

use crate::cache::{Cache, Entry};
use crate::pipeline::{Pipeline, url_decode};
use crate::rest::health::Startup;
use following::Following;
use hardway_resources::openapi::Foreign;
use parking_lot::RwLock;
use remote::{FrontProxy, Remote, State};
use spec::Spec;
use std::collections::{BTreeMap, HashMap, hash_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait before trying again what could not be written.
const RETRY: Duration = Duration::from_secs(2);

/// Servers by group and version.
type Remotes = BTreeMap<String, BTreeMap<String, Arc<Remote>>>;

/// Who serves what in this server's place.
pub struct Aggregation {
    cache: Arc<Cache>,
    proxy: FrontProxy,
    remotes: RwLock<Arc<Remotes>>,
    /// Changes with all that documents tell.
    generation: AtomicU64,
    /// The generation of the table of resources.
    table: watch::Sender<u64>,
}

/// Whether a path means to everybody what it means here. The server gets it as it was sent: were
/// it to read more or other segments in it, what was permitted would not be what is done.
fn is_plain(below: &str) -> bool {
    let is_other = |segment: &str| {
        let decoded = url_decode(segment, false);
        decoded.contains(['/', '\\', '\0']) || matches!(decoded.as_str(), "" | "." | "..")
    };
    let segments = below.strip_suffix('/').unwrap_or(below);
    segments.is_empty() && below.is_empty() || !segments.split('/').any(is_other)
}

impl Aggregation {
    /// Nobody yet. `proxy` is the certificate by which other servers know this one.
    pub fn new(cache: Arc<Cache>, proxy: FrontProxy) -> Self {
        Self {
            cache,
            proxy,
            remotes: RwLock::default(),
            generation: AtomicU64::new(0),
            table: watch::Sender::new(0),
        }
    }

    /// Who serves a path (`/apis/GROUP/VERSION` and all below) if it isn't this server.
    pub fn serves(&self, path: &str) -> Option<Arc<Remote>> {
        let mut parts = path.strip_prefix("/apis/")?.splitn(3, '/');
        let (group, version) = (parts.next()?, parts.next()?);
        let remotes = self.remotes.read().clone();
        let remote = remotes.get(group)?.get(version)?;
        let below = parts.next().unwrap_or_default();
        is_plain(below).then(|| remote.clone())
    }

    /// What is known of all of them, by group and version.
    pub fn known(&self) -> Vec<discovery::Remote> {
        let remotes = self.remotes.read().clone();
        let known = remotes.values().flat_map(BTreeMap::values);
        let known = known.map(|remote| discovery::Remote {
            spec: remote.spec.clone(),
            state: remote.state(),
        });
        known.collect()
    }

    /// Their parts of the OpenAPI v2 document, in the order in which groups are told.
    pub fn openapi_v2(&self) -> Vec<Foreign> {
        let known = self.known();
        let in_order = discovery::in_order(&known);
        let parts = in_order.filter_map(|remote| remote.state.openapi.v2.as_ref()?.1.clone());
        parts.collect()
    }

    /// Changes with all that documents tell of them.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Has documents made anew.
    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The table of resources has this generation.
    pub fn table_is(&self, generation: u64) {
        self.table
            .send_if_modified(|known| std::mem::replace(known, generation) != generation);
    }
}

/// Keeps up the APIServices of this server, and follows those of others, for ever.
pub async fn run(pipeline: Arc<Pipeline>, startup: Arc<Startup>) {
    pipeline.cache.loaded().await;
    let mut definitions = startup.definitions.subscribe();
    if definitions.wait_for(|known| *known).await.is_err() {
        return;
    }
    let Some(of) = pipeline.cache.of(local::GROUP, local::PLURAL) else {
        return;
    };
    let aggregation = pipeline.aggregation.clone();
    let (mut changes, mut table) = (of.changes(), aggregation.table.subscribe());
    let mut followed: HashMap<String, Following> = HashMap::new();
    loop {
        changes.borrow_and_update();
        table.borrow_and_update();
        let (entries, _) = of.list(None);
        follow(&pipeline, &mut followed, &entries);
        startup
            .aggregation
            .send_if_modified(|known| !std::mem::replace(known, true));
        let written = local::reconcile(&pipeline, &pipeline.registry.snapshot()).await;
        let wait = async {
            tokio::select! {
                changed = changes.changed() => changed.is_ok(),
                changed = table.changed() => changed.is_ok(),
            }
        };
        let goes_on = match written {
            Ok(()) => wait.await,
            Err(status) => {
                tracing::warn!(%status, "API services, retrying");
                tokio::time::timeout(RETRY, wait).await.unwrap_or(true)
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Begins and ends following servers, as the APIServices say.
fn follow(
    pipeline: &Arc<Pipeline>,
    followed: &mut HashMap<String, Following>,
    entries: &[Arc<Entry>],
) {
    let aggregation = &pipeline.aggregation;
    let mut wanted: HashMap<String, (Spec, bool)> = HashMap::new();
    for entry in entries {
        let object = entry.value();
        let spec = Spec::of(&object);
        let is_ours = hardway_resources::rows::GROUPS.contains(&spec.group.as_str());
        if spec.service.is_some() && !spec.group.is_empty() && !is_ours {
            wanted.insert(
                entry.name().to_owned(),
                (spec, status::is_available(&object)),
            );
        }
    }
    let before = followed.len();
    // A server that gets another certificate or place is told as before until it is asked.
    let known: HashMap<String, State> = followed
        .iter()
        .map(|(name, following)| (name.clone(), following.remote.state()))
        .collect();
    followed.retain(|name, following| {
        let same = wanted.get(name).map(|(spec, _)| spec);
        same == Some(&following.remote.spec)
    });
    let mut is_news = followed.len() != before;
    for (name, (spec, is_available)) in wanted {
        if let hash_map::Entry::Vacant(place) = followed.entry(name) {
            is_news = true;
            let (name, proxy) = (place.key().clone(), aggregation.proxy.clone());
            let remote = Remote::new(&aggregation.cache, spec, proxy, is_available);
            if let Some(former) = known.get(&name) {
                remote.learn(|state| {
                    state.resources.clone_from(&former.resources);
                    state.openapi = former.openapi.clone();
                    true
                });
            }
            place.insert(Following::begin(pipeline.clone(), name, Arc::new(remote)));
        }
    }
    if is_news {
        let mut remotes = Remotes::new();
        for following in followed.values() {
            let spec = &following.remote.spec;
            let versions = remotes.entry(spec.group.clone()).or_default();
            versions.insert(spec.version.clone(), following.remote.clone());
        }
        *aggregation.remotes.write() = Arc::new(remotes);
        aggregation.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn paths_that_others_may_read_otherwise_go_to_nobody() {
        for plain in [
            "",
            "things",
            "things/",
            "namespaces/a/things/x/log",
            "things/a%20b",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "/",
            "/namespaces/kube-system/things",
            "namespaces//things",
            "things//",
            "things/x%2Flog",
            "things/x%2f..",
            "things/..%2F..%2Fother",
            "things/%2e%2e/other",
            "things/./x",
            "things/x%5Clog",
            "things/x%00",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
