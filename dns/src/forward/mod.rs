//! Names that are not the cluster's: asked of other name servers, one question
//! at a time for each name, and remembered for a while.

mod cache;
mod upstream;

use crate::authority::Answer;
use crate::metrics;
use crate::resolver::code_label;
use cache::Cache;
use hardway_client::panics;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

pub use upstream::from_resolv_conf;

/// How long one server may take; a client's resolver gives up after five seconds.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How often servers are asked before giving up.
const ATTEMPTS: usize = 3;
/// Questions under way at a time.
const MOST_QUESTIONS: usize = 512;
/// How often a loop is looked for at the start.
const PROBES: usize = 3;

/// A question, as far as its answer depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name, in lower case.
    pub name: Name,
    /// The type of records.
    pub kind: RecordType,
    /// Whether signatures are wanted along.
    pub dnssec_ok: bool,
    /// Whether bogus signatures are accepted.
    pub checking_disabled: bool,
}

/// The answer to a question, or why there is none.
pub type Outcome = Result<Answer, String>;
type Flight = watch::Receiver<Option<Result<Arc<Message>, String>>>;

struct Upstream {
    address: SocketAddr,
    /// Questions to it come back here.
    loops: AtomicBool,
}

struct Shared {
    upstreams: Vec<Upstream>,
    /// The one that answered last.
    preferred: AtomicUsize,
    cache: Mutex<Cache>,
    flights: Mutex<HashMap<Question, Flight>>,
    probes: Mutex<HashMap<Name, usize>>,
    slots: Semaphore,
}

/// Asks other servers.
#[derive(Clone)]
pub struct Forwarder {
    shared: Arc<Shared>,
}

impl Forwarder {
    /// One that asks these servers, the first first.
    pub fn new(upstreams: &[SocketAddr]) -> Self {
        let upstreams = upstreams.iter().map(|&address| Upstream {
            address,
            loops: AtomicBool::new(false),
        });
        let shared = Shared {
            upstreams: upstreams.collect(),
            preferred: AtomicUsize::new(0),
            cache: Mutex::default(),
            flights: Mutex::default(),
            probes: Mutex::default(),
            slots: Semaphore::new(MOST_QUESTIONS),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The answer to a question: remembered, or asked of others, but never of
    /// this server's `own` addresses.
    pub async fn ask(&self, asked: &Question, own: &[IpAddr]) -> Outcome {
        let labels = [metrics::SERVER, ".", ""];
        metrics::CACHE_REQUESTS.with_label_values(&labels).inc();
        if let Some(outcome) = self.shared.cache.lock().get(asked, Instant::now()) {
            return outcome;
        }
        metrics::CACHE_MISSES.with_label_values(&labels).inc();
        let mut flight = self.flight(asked, own)?;
        // The other end closes without a word only if its task was ended.
        let landed = flight.wait_for(Option::is_some).await;
        let landed = landed.map_err(|_| "this server is stopping".to_owned())?;
        match landed.as_ref() {
            Some(Ok(message)) => Ok(cache::answer(message)),
            Some(Err(trouble)) => Err(trouble.clone()),
            None => Err("this server is stopping".to_owned()),
        }
    }

    /// The asking of a question: one that is under way, or a new one. It goes
    /// on when the client that began it has lost patience.
    fn flight(&self, asked: &Question, own: &[IpAddr]) -> Result<Flight, String> {
        let mut flights = self.shared.flights.lock();
        let vacant = match flights.entry(asked.clone()) {
            Entry::Occupied(flight) => return Ok(flight.get().clone()),
            Entry::Vacant(vacant) => vacant,
        };
        let usable = self.shared.usable(own)?;
        let (land, flight) = watch::channel(None);
        vacant.insert(flight.clone());
        let (shared, asked) = (self.shared.clone(), asked.clone());
        tokio::spawn(async move {
            let outcome = match shared.slots.try_acquire() {
                // Without an outcome, nobody would get an answer ever again.
                Ok(_slot) => panics::catch(shared.question(&asked, &usable))
                    .await
                    .unwrap_or_else(|panic| Err(panic.to_string())),
                Err(_) => {
                    metrics::REJECTED.inc();
                    Err(format!(
                        "{MOST_QUESTIONS} questions to other servers are under way"
                    ))
                }
            };
            shared.cache.lock().put(&asked, &outcome, Instant::now());
            shared.flights.lock().remove(&asked);
            land.send_replace(Some(outcome.map(Arc::new)));
        });
        Ok(flight)
    }

    /// Whether a question is one of [`Forwarder::look_for_loops`]: then the
    /// server it was sent to sends questions back here.
    pub fn is_probe(&self, query: &Query) -> bool {
        if query.query_type() != RecordType::HINFO {
            return false;
        }
        let probes = self.shared.probes.lock();
        let Some(&index) = probes.get(&query.name().to_lowercase()) else {
            return false;
        };
        let upstream = &self.shared.upstreams[index];
        if !upstream.loops.swap(true, Ordering::Relaxed) {
            tracing::error!(
                server = %upstream.address,
                "this name server sends questions back here, so it is not asked any more; \
                 name another with --forward or in the node's resolv.conf"
            );
        }
        true
    }

    /// Finds out whose questions come back, by asking each server something
    /// that nobody else would ask.
    pub async fn look_for_loops(&self) {
        for _ in 0..PROBES {
            let probes: Vec<(usize, Name)> = (0..self.shared.upstreams.len())
                .filter_map(|index| Some((index, probe_name()?)))
                .collect();
            let known = probes.iter().map(|(index, name)| (name.clone(), *index));
            self.shared.probes.lock().extend(known);
            for (index, name) in &probes {
                let asked = Question {
                    name: name.clone(),
                    kind: RecordType::HINFO,
                    dnssec_ok: false,
                    checking_disabled: false,
                };
                let address = self.shared.upstreams[*index].address;
                // Whether and what it answers doesn't matter.
                let _ = tokio::time::timeout(PATIENCE, upstream::ask(address, &asked)).await;
            }
            let mut known = self.shared.probes.lock();
            known.retain(|name, _| !probes.iter().any(|(_, probe)| probe == name));
        }
    }
}

fn probe_name() -> Option<Name> {
    let random: u64 = u64::from(Message::query().metadata.id) << 32
        | u64::from(Message::query().metadata.id) << 16
        | u64::from(Message::query().metadata.id);
    crate::names::parse(&format!("{random:x}.hardway-dns-loop."))
}

impl Shared {
    /// The servers to ask, the one that answered last first.
    fn usable(&self, own: &[IpAddr]) -> Result<Vec<(usize, SocketAddr)>, String> {
        let count = self.upstreams.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let usable: Vec<(usize, SocketAddr)> = (0..count)
            .map(|turn| (first + turn) % count)
            .map(|index| (index, &self.upstreams[index]))
            .filter(|(_, upstream)| !upstream.loops.load(Ordering::Relaxed))
            .filter(|(_, upstream)| !own.contains(&upstream.address.ip()))
            .map(|(index, upstream)| (index, upstream.address))
            .collect();
        match (count, usable.is_empty()) {
            (0, _) => Err("no other name servers are known".to_owned()),
            (_, true) => Err("all other name servers that are known ask this one".to_owned()),
            _ => Ok(usable),
        }
    }

    /// Asks servers in turn until one answers.
    async fn question(
        &self,
        asked: &Question,
        usable: &[(usize, SocketAddr)],
    ) -> Result<Message, String> {
        let mut refused = None;
        let mut troubles = Vec::new();
        let attempts = usable
            .iter()
            .cycle()
            .take(ATTEMPTS.max(usable.len().min(2 * ATTEMPTS)));
        let deadline = Instant::now() + PATIENCE * 3;
        for &(index, address) in attempts {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let to = address.to_string();
            metrics::FORWARD_REQUESTS.with_label_values(&[&to]).inc();
            let patience = PATIENCE.min(left);
            let trouble = match tokio::time::timeout(patience, upstream::ask(address, asked)).await
            {
                Ok(Ok(message)) => {
                    let code = message.metadata.response_code;
                    let label = code_label(code);
                    metrics::FORWARD_RESPONSES
                        .with_label_values(&[&to, label])
                        .inc();
                    if matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(message);
                    }
                    refused = Some(message);
                    continue;
                }
                Ok(Err(error)) => format!("{address}: {error}"),
                Err(_) => format!("{address}: no answer within {patience:?}"),
            };
            if !troubles.contains(&trouble) {
                troubles.push(trouble);
            }
        }
        // A server's own refusal tells more than another one's silence.
        refused.ok_or_else(|| troubles.join("; "))
    }
}
