//! Writing audit events: a bounded queue, a thread, a file that rotates.

use super::Policy;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

const QUEUE: usize = 10_000;

/// When the file is replaced by a new one, and how many old ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Bytes after which the file is rotated; 0 for never.
    pub max_size: u64,
    /// Rotated files kept; 0 for all.
    pub max_backups: usize,
}

impl Default for Rotation {
    /// Ten files of 100 MiB.
    fn default() -> Self {
        Self {
            max_size: 100 << 20,
            max_backups: 10,
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
        let time = format!("{:.9}", jiff::Timestamp::now()).replace(':', "-");
        let (stem, extension) = self.name();
        let rotated = self
            .path
            .with_file_name(format!("{stem}-{time}{extension}"));
        std::fs::rename(&self.path, rotated)?;
        *self = Self::open(&self.path, self.rotation)?;
        self.prune()
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

    fn prune(&self) -> io::Result<()> {
        if self.rotation.max_backups == 0 {
            return Ok(());
        }
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
        let surplus = old.len().saturating_sub(self.rotation.max_backups);
        old.iter().take(surplus).try_for_each(std::fs::remove_file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, Request};
    use super::*;
    use crate::User;
    use serde_json::{Value, json};

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
    };

    #[test]
    fn bodies_of_secrets_are_never_logged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let policy = "{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [RequestReceived],
            rules: [{level: None, users: [quiet]}, {level: RequestResponse}]}";
        let log = Log::open(&path, Policy::parse(policy).unwrap(), NO_ROTATION).unwrap();
        let user = User::new("jane", ["dev"]);
        for resource in ["secrets", "configmaps"] {
            let mut entry = log.begin(&request(&user, resource)).unwrap();
            entry.request_object(&json!({"data": {"a": "b"}}));
            entry.annotate("authorization.k8s.io/decision", "allow");
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
    }

    #[test]
    fn rotates_by_size_and_prunes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rotation = Rotation {
            max_size: 600,
            max_backups: 2,
        };
        let log = Log::open(&path, Policy::default(), rotation).unwrap();
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
