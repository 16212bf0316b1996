//! Load on several API servers at once that writes down what it asks and is told, for
//! [`crate::history`] to judge: writers and readers of the same few ConfigMaps, and watchers of
//! them all. Each goes on at another server when its own does not answer, as Kubernetes' clients
//! do whose kubeconfig or load balancer knows several.

pub mod answers;
mod asking;
mod chunks;
mod gaps;
mod watching;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::history::{Action, History, Outcome, Recorder};
use crate::http::{Answer, Request};
use crate::lab::Lab;
use crate::tls::{Client, Failure};
use crate::wait;

pub use gaps::{Gaps, p99};

/// How long a client waits for a byte before it goes on elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the watchers may take to come to the end when nothing is written any more.
const CATCH_UP: Duration = Duration::from_secs(60);

/// How many clients of which kind.
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    /// Those that write and read.
    pub writers: usize,
    /// Those that watch.
    pub watchers: usize,
}

/// Where it all happens, and what is written down.
#[derive(Debug)]
pub struct Load {
    servers: Vec<Client>,
    namespace: String,
    recorder: Recorder,
    over: AtomicBool,
    /// The last revision that watchers have to come to; 0 as long as that is not known.
    end: AtomicU64,
    /// What servers said when they turned something away, and how often.
    complaints: Mutex<BTreeMap<String, usize>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// All that was asked and told.
    pub history: History,
    /// What servers said when they turned something away, and how often.
    pub complaints: BTreeMap<String, usize>,
}

impl Load {
    /// Load on the API servers at these addresses, in a namespace that is made for it.
    pub fn new(lab: &Lab, addresses: &[String], namespace: &str) -> Self {
        let client = |address: &String| {
            let address = format!("{address}:6443");
            Client::new(lab, "ca", &address, Some("admin"), PATIENCE)
        };
        let load = Self {
            servers: addresses.iter().map(client).collect(),
            namespace: namespace.to_owned(),
            recorder: Recorder::default(),
            over: AtomicBool::new(false),
            end: AtomicU64::new(0),
            complaints: Mutex::default(),
        };
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        wait::until("the namespace of the load is made", || {
            let answer = load.send(0, "POST", "/api/v1/namespaces", &object);
            let answer = answer.map_err(|failure| format!("{failure:?}"))?;
            wait::holds([201, 409].contains(&answer.status), answer.body)
        });
        load
    }

    /// Has the clients work while `meanwhile` does something else; gives what they wrote down, and
    /// what that came to. The end is a list of all that is there, by each of the servers, so all
    /// of them must answer then.
    pub fn run<T>(
        self,
        clients: Clients,
        seed: u64,
        meanwhile: impl FnOnce(&Self) -> T,
    ) -> (Report, T) {
        let result = std::thread::scope(|scope| {
            for number in 0..clients.writers {
                let dice = Dice::new(seed.wrapping_add(number as u64 + 1));
                let load = &self;
                scope.spawn(move || asking::ask(load, number, dice));
            }
            for number in 0..clients.watchers {
                let load = &self;
                scope.spawn(move || watching::watch(load, clients.writers + number));
            }
            // Also after a panic the others must end, or it is never shown.
            let stop = crate::defer(|| self.stop());
            let result = meanwhile(&self);
            drop(stop);
            result
        });
        let report = Report {
            history: self.recorder.history(),
            complaints: self.lock().clone(),
        };
        (report, result)
    }

    /// What was written down so far.
    pub fn history(&self) -> History {
        self.recorder.history()
    }

    /// The time since the load began.
    pub fn now(&self) -> Duration {
        self.recorder.now()
    }

    /// Lets time pass: what is observed is what happens, or doesn't, in it.
    pub fn pass(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// How many writes were answered that were asked for after a moment.
    pub fn writes_since(&self, moment: Duration) -> usize {
        self.recorder.count(|operation| {
            operation.invoked >= moment
                && !matches!(operation.action, Action::Get { .. })
                && !matches!(operation.outcome, Outcome::Refused | Outcome::Unknown)
        })
    }

    /// What a server says of the list of all objects, with this query, by patience of its own.
    ///
    /// # Errors
    /// If it says nothing in time.
    pub fn ask(&self, server: usize, query: &str, patience: Duration) -> Result<Answer, String> {
        let path = format!("{}{query}", self.path());
        let client = self.servers[server].clone().patient(patience);
        let answer = client.send(&Request::get(&path));
        answer.map_err(|failure| format!("{failure:?}"))
    }

    fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
        if std::thread::panicking() {
            self.end.store(u64::MAX, Ordering::Relaxed);
            return;
        }
        let began = Instant::now();
        let mut end = 0;
        for server in 0..self.servers.len() {
            // One that never answers is found by what it doesn't tell.
            while began.elapsed() < CATCH_UP {
                if let Some(list) = asking::list(self, usize::MAX, server, false) {
                    let revisions = list.items.values().map(|(revision, _)| *revision);
                    end = revisions.fold(end, u64::max);
                    break;
                }
                std::thread::sleep(asking::PAUSE);
            }
        }
        self.end.store(end.max(1), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The path of the objects.
    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    /// Sends a request to one of the servers; a body that is null is none.
    fn send(
        &self,
        server: usize,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request {
            method,
            path,
            headers: &["Content-Type: application/json"],
            body: &body,
        };
        self.servers[server % self.servers.len()].send(&request)
    }

    /// Remembers what a server says when it turns something away.
    fn complain(&self, answer: &Answer) {
        let status: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let message = status["message"].as_str().unwrap_or(&answer.body);
        let complaint = format!("{} {message}", answer.status);
        *self.lock().entry(complaint).or_default() += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, usize>> {
        self.complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
