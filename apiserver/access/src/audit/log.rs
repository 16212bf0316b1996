//! Where audit events go: to the file at once, or through a bounded queue.

use super::Policy;
use super::file::{Output, Rotation};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Events are written together up to about this many bytes.
const TOGETHER: usize = 64 << 10;

/// What a request has to do with the writing of its events, as `--audit-log-mode`
/// says in Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It goes on when they are written, or can't be.
    #[default]
    Blocking,
    /// And is refused if the event of its arrival can't be.
    BlockingStrict,
    /// Nothing: they wait in a queue for so many, and are lost when it is full.
    Batch(usize),
}

/// How many events there were.
#[derive(Debug, Default)]
pub struct Counts {
    events: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
    rejected: AtomicU64,
}

impl Counts {
    /// Handed to the log.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Not written because of an error.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Thrown away because the queue was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Requests refused because their arrival could not be written.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

/// The audit log. Dropping it writes what is queued.
pub struct Log {
    policy: Policy,
    strict: bool,
    sink: Sink,
    counts: Arc<Counts>,
}

enum Sink {
    File(Mutex<Output>),
    Queue {
        /// Taken when the log is dropped.
        queue: Option<SyncSender<String>>,
        writer: Option<JoinHandle<()>>,
    },
}

impl Log {
    /// Opens the file for appending.
    pub fn open(path: &Path, policy: Policy, rotation: Rotation, mode: Mode) -> io::Result<Self> {
        let mut output = Output::open(path, rotation)?;
        let counts = Arc::<Counts>::default();
        let sink = match mode {
            Mode::Blocking | Mode::BlockingStrict => Sink::File(Mutex::new(output)),
            Mode::Batch(buffer) => {
                let (queue, events) = sync_channel(buffer);
                let counts = counts.clone();
                let writer = std::thread::Builder::new()
                    .name("audit".into())
                    .spawn(move || write_all(&mut output, &events, &counts))?;
                Sink::Queue {
                    queue: Some(queue),
                    writer: Some(writer),
                }
            }
        };
        Ok(Self {
            policy,
            strict: mode == Mode::BlockingStrict,
            sink,
            counts,
        })
    }

    /// How many events there were, and what became of them.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a request whose arrival could not be written is to be refused.
    pub(super) fn rejects(&self) -> bool {
        if self.strict {
            self.counts.rejected.fetch_add(1, Ordering::Relaxed);
        }
        self.strict
    }

    /// Writes an event; whether that went well as far as can be told.
    pub(super) fn write(&self, mut line: String) -> bool {
        line.push('\n');
        self.counts.events.fetch_add(1, Ordering::Relaxed);
        match &self.sink {
            Sink::File(output) => {
                let written = output.lock().write(&line);
                if !written {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                }
                written
            }
            Sink::Queue { queue, .. } => {
                let sent = queue.as_ref().is_some_and(|q| q.try_send(line).is_ok());
                if !sent && self.counts.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::error!(
                        "the audit log can't keep up: events are lost from now on; see \
                         apiserver_audit_error_total, --audit-log-mode and --audit-log-batch-buffer-size"
                    );
                }
                sent
            }
        }
    }
}

/// Writes what is queued, as much at once as there is, until nobody queues any more.
fn write_all(output: &mut Output, events: &Receiver<String>, counts: &Counts) {
    while let Ok(mut lines) = events.recv() {
        let mut count = 1;
        while lines.len() < TOGETHER
            && let Ok(line) = events.try_recv()
        {
            lines.push_str(&line);
            count += 1;
        }
        if !output.write(&lines) {
            counts.failed.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Sink::Queue { queue, writer } = &mut self.sink {
            drop(queue.take());
            if let Some(writer) = writer.take() {
                let _ = writer.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, Request};
    use super::*;
    use crate::User;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn request<'a>(user: &'a User, resource: &'a str) -> Request<'a> {
        Request {
            audit_id: "1",
            user,
            impersonated: None,
            verb: "create",
            uri: "/api/v1/namespaces/a/x?dryRun=All",
            source_ips: &[],
            user_agent: "kubectl",
            group: "",
            version: "v1",
            resource,
            subresource: "",
            namespace: "a",
            name: "n",
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    const NO_ROTATION: Rotation = Rotation {
        max_size: 0,
        max_backups: 0,
        max_age: Duration::ZERO,
    };

    #[test]
    fn bodies_of_secrets_are_never_logged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let policy = "{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [RequestReceived],
            rules: [{level: None, users: [quiet]}, {level: RequestResponse}]}";
        let policy = Policy::parse(policy).unwrap();
        let log = Arc::new(Log::open(&path, policy, NO_ROTATION, Mode::default()).unwrap());
        let user = User::new("jane", ["dev"]);
        for resource in ["secrets", "configmaps"] {
            let mut entry = log.begin(&request(&user, resource)).unwrap().unwrap();
            entry.request_object(&json!({"data": {"a": "b"}}));
            let reason = "RBAC: so".to_owned();
            entry.decided(&crate::Decision::Allow { reason });
            entry.complete(201, "", "");
        }
        assert!(
            log.begin(&request(&User::new("quiet", [""]), "pods"))
                .unwrap()
                .is_none()
        );
        drop(log);
        let events = lines(&path);
        assert_eq!(events.len(), 2);
        assert_eq!(events[0]["level"], "Metadata");
        assert_eq!(events[0].get("requestObject"), None);
        assert_eq!(events[1]["requestObject"]["data"]["a"], "b");
        assert_eq!(events[1]["objectRef"]["resource"], "configmaps");
        assert_eq!(events[1]["stage"], "ResponseComplete");
        assert_eq!(events[1]["responseStatus"]["code"], 201);
        let annotations = json!({"authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "RBAC: so"});
        assert_eq!(events[1]["annotations"], annotations);
    }

    #[test]
    fn who_leaves_before_the_answer_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log =
            Arc::new(Log::open(&path, Policy::default(), NO_ROTATION, Mode::default()).unwrap());
        let jane = User::new("jane", ["dev"]);
        drop(log.begin(&request(&jane, "pods")).unwrap().unwrap());
        let answered = log.begin(&request(&jane, "pods")).unwrap().unwrap();
        answered.complete(201, "", "");
        let broken = log.begin(&request(&jane, "pods")).unwrap().unwrap();
        broken.panicked("no");
        drop(log);
        let events = lines(&path);
        let stages: Vec<_> = events.iter().map(|e| e["stage"].as_str()).collect();
        let ends = ["ResponseComplete", "ResponseComplete", "Panic"].map(Some);
        assert_eq!(stages, ends);
        let gone = json!({"metadata": {}, "code": 200, "status": "Success",
            "message": "Connection closed early"});
        assert_eq!(events[0]["responseStatus"], gone);
        assert_eq!(events[1]["responseStatus"]["code"], 201);
    }

    #[test]
    fn long_answers_and_strangers_have_their_stages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log =
            Arc::new(Log::open(&path, Policy::default(), NO_ROTATION, Mode::default()).unwrap());
        let jane = User::new("jane", ["dev"]);
        let running = log
            .begin(&request(&jane, "pods"))
            .unwrap()
            .unwrap()
            .response_started(200);
        let mut headers = http::HeaderMap::new();
        let none = super::super::attempted(&headers, false);
        headers.insert("authorization", "Bearer x".parse().unwrap());
        let bearer = super::super::attempted(&headers, true);
        for message in [none, bearer] {
            log.unauthenticated(&request(&User::default(), "pods"), &message);
        }
        drop(running);
        drop(log);
        let events = lines(&path);
        let told: Vec<(&str, &Value)> = events
            .iter()
            .map(|e| (e["stage"].as_str().unwrap(), &e["responseStatus"]["code"]))
            .collect();
        assert_eq!(
            told,
            [
                ("ResponseStarted", &json!(200)),
                ("ResponseStarted", &json!(401)),
                ("ResponseStarted", &json!(401)),
                ("ResponseComplete", &json!(200)),
            ]
        );
        assert_eq!(events[1]["user"], json!({}));
        let messages = [1, 2].map(|i| &events[i]["responseStatus"]["message"]);
        assert_eq!(
            messages,
            [
                "Authentication failed, no credentials provided",
                "Authentication failed, attempted: bearer, x509"
            ]
        );
    }

    #[test]
    fn rotates_by_size_and_prunes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rotation = Rotation {
            max_size: 600,
            max_backups: 2,
            max_age: Duration::ZERO,
        };
        let log = Arc::new(Log::open(&path, Policy::default(), rotation, Mode::Blocking).unwrap());
        let user = User::new("jane", ["dev"]);
        for _ in 0..8 {
            log.begin(&request(&user, "pods"))
                .unwrap()
                .unwrap()
                .complete(200, "", "");
        }
        drop(log);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        assert_eq!(lines(&path).len(), 1);
    }

    #[test]
    fn a_wrong_policy_is_refused() {
        for text in [
            "rules: 1",
            "{apiVersion: v1, kind: Policy, rules: [{level: None}]}",
        ] {
            assert!(Policy::parse(text).is_err());
        }
    }

    #[test]
    fn what_is_not_written_is_counted_and_refused_if_asked() {
        let policy = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}";
        let user = User::new("jane", ["dev"]);
        let full = |mode| {
            let policy = Policy::parse(policy).unwrap();
            let log = Log::open(Path::new("/dev/full"), policy, NO_ROTATION, mode).unwrap();
            let log = Arc::new(log);
            let begun = log.begin(&request(&user, "pods"));
            (begun.map(|entry| drop(entry.unwrap())), log)
        };
        let counts = |log: &Log| {
            let counts = log.counts();
            let (events, failed) = (counts.events(), counts.failed());
            (events, failed, counts.lost(), counts.rejected())
        };
        let (begun, log) = full(Mode::Blocking);
        assert!(begun.is_ok());
        // Its beginning, and its end.
        assert_eq!(counts(&log), (2, 2, 0, 0));
        let (begun, log) = full(Mode::BlockingStrict);
        assert!(begun.is_err());
        assert_eq!(counts(&log), (1, 1, 0, 1));
        // Nobody takes from this queue any more.
        let (queue, events) = sync_channel(1);
        let log = Log {
            policy: Policy::default(),
            strict: false,
            sink: Sink::Queue {
                queue: Some(queue),
                writer: None,
            },
            counts: Arc::default(),
        };
        assert!(log.write("a".into()) && !log.write("b".into()));
        assert_eq!(counts(&log), (2, 0, 1, 0));
        drop(events);
    }
}
