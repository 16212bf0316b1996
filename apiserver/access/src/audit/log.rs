//! Writing audit events: a bounded queue, a thread, a file that rotates.

use super::Policy;
use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

const QUEUE: usize = 10_000;

/// When the file is replaced by a new one, and how many old ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Bytes after which the file is rotated; 0 for never.
    pub max_size: u64,
    /// Rotated files kept; 0 for all.
    pub max_backups: usize,
    /// How long rotated files are kept; 0 for ever.
    pub max_age: Duration,
}

impl Default for Rotation {
    /// Ten files of 100 MiB.
    fn default() -> Self {
        Self {
            max_size: 100 << 20,
            max_backups: 10,
            max_age: Duration::ZERO,
        }
    }
}

/// The audit log. Dropping it writes what is queued.
pub struct Log {
    policy: Policy,
    queue: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
    lost: AtomicU64,
}

impl Log {
    /// Opens the file for appending and starts the writer.
    pub fn open(path: &Path, policy: Policy, rotation: Rotation) -> io::Result<Self> {
        let mut output = Output::open(path, rotation)?;
        let (queue, events) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || output.run(&events))?;
        Ok(Self {
            policy,
            queue: Some(queue),
            writer: Some(writer),
            lost: AtomicU64::new(0),
        })
    }

    /// Events that didn't fit into the queue.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(super) fn write(&self, line: String) {
        let sent = self
            .queue
            .as_ref()
            .is_some_and(|q| q.try_send(line).is_ok());
        if !sent && self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!("the audit log can't keep up: events are lost from now on");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Output {
    path: PathBuf,
    rotation: Rotation,
    file: BufWriter<File>,
    size: u64,
}

impl Output {
    fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        // Who did what is not for everybody on the host.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            rotation,
            file: BufWriter::new(file),
            size,
        })
    }

    fn run(&mut self, events: &Receiver<String>) {
        loop {
            let line = match events.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.told(|this| this.file.flush());
                    match events.recv() {
                        Ok(line) => line,
                        Err(_) => break,
                    }
                }
            };
            self.told(|this| this.append(&line));
        }
        self.told(|this| this.file.flush());
    }

    fn told(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) {
        if let Err(error) = act(self) {
            tracing::error!(path = %self.path.display(), %error, "audit log not written");
        }
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64 + 1;
        if self.rotation.max_size > 0
            && self.size > 0
            && self.size + length > self.rotation.max_size
        {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.size += length;
        Ok(())
    }

    /// `audit.log` becomes `audit-TIME.log`.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let now = Timestamp::now();
        std::fs::rename(&self.path, self.rotated(now))?;
        *self = Self::open(&self.path, self.rotation)?;
        self.prune(now)
    }

    /// Where the file goes that is put aside at a time. Names sort by time.
    fn rotated(&self, at: Timestamp) -> PathBuf {
        let (stem, extension) = self.name();
        let time = format!("{at:.9}").replace(':', "-");
        self.path
            .with_file_name(format!("{stem}-{time}{extension}"))
    }

    fn name(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| {
            part.map(|s| s.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let extension = match part(self.path.extension()) {
            none if none.is_empty() => none,
            some => format!(".{some}"),
        };
        (part(self.path.file_stem()), extension)
    }

    fn prune(&self, now: Timestamp) -> io::Result<()> {
        let (stem, extension) = self.name();
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut old: Vec<PathBuf> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path
                    .file_name()
                    .map(|n| n.to_string_lossy())
                    .unwrap_or_default();
                name.starts_with(&format!("{stem}-")) && name.ends_with(&extension)
            })
            .collect();
        old.sort();
        let surplus = match self.rotation.max_backups {
            0 => 0,
            kept => old.len().saturating_sub(kept),
        };
        let age = self.rotation.max_age;
        let outdated = match now.checked_sub(age) {
            Ok(then) if !age.is_zero() => {
                let oldest = self.rotated(then);
                let is_old = |path: &&PathBuf| path.file_name() < oldest.file_name();
                old.iter().take_while(is_old).count()
            }
            _ => 0,
        };
        let gone = old.iter().take(surplus.max(outdated));
        gone.into_iter().try_for_each(std::fs::remove_file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, Request};
    use super::*;
    use crate::User;
    use serde_json::{Value, json};
    use std::sync::Arc;

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
        let log = Arc::new(Log::open(&path, policy, NO_ROTATION).unwrap());
        let user = User::new("jane", ["dev"]);
        for resource in ["secrets", "configmaps"] {
            let mut entry = log.begin(&request(&user, resource)).unwrap();
            entry.request_object(&json!({"data": {"a": "b"}}));
            let reason = "RBAC: so".to_owned();
            entry.decided(&crate::Decision::Allow { reason });
            entry.complete(201, "", "");
        }
        assert!(
            log.begin(&request(&User::new("quiet", [""]), "pods"))
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
    fn long_answers_and_strangers_have_their_stages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = Arc::new(Log::open(&path, Policy::default(), NO_ROTATION).unwrap());
        let jane = User::new("jane", ["dev"]);
        let running = log
            .begin(&request(&jane, "pods"))
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
    fn old_files_go_by_their_age() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let at = |name: &str| folder.path().join(name);
        let now: Timestamp = "2026-03-10T00:00:00Z".parse().unwrap();
        let names = ["03-01", "03-07", "03-08", "03-09"]
            .map(|day| format!("audit-2026-{day}T10-00-00.000000000Z.log"));
        names
            .iter()
            .for_each(|name| std::fs::write(at(name), "").unwrap());
        let left = |max_backups, days: u64| {
            let rotation = Rotation {
                max_size: 0,
                max_backups,
                max_age: Duration::from_secs(days * 24 * 3600),
            };
            let output = Output::open(&path, rotation).unwrap();
            output.prune(now).unwrap();
            names.iter().filter(|name| at(name).exists()).count()
        };
        assert_eq!(left(0, 0), 4);
        assert_eq!(left(0, 3), 3);
        assert_eq!(left(3, 3), 3);
        assert_eq!(left(1, 3), 1);
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
        let log = Arc::new(Log::open(&path, Policy::default(), rotation).unwrap());
        let user = User::new("jane", ["dev"]);
        for _ in 0..8 {
            log.begin(&request(&user, "pods"))
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
}
