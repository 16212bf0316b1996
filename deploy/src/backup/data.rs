//! etcd's folder out of a snapshot: of a new cluster of one member, with revisions that nobody
//! has seen, without what only the former control plane was, and tried before it is used.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bolt;
use crate::etcd::{self, member};
use crate::failure::{Failure, OrFail, Result};
use crate::pki::{ETCD_CA, Pki};
use crate::shell;

/// More revisions than any etcd makes in a second: it writes tens of thousands at best.
const RATE: u64 = 100_000;
/// So many are left out where clocks can't be trusted, as Kubernetes' documentation of restores has it.
const LEAST: i64 = 1_000_000_000;
/// The file with all revisions, in etcd's folder.
pub const FILE: &str = "member/snap/db";

/// How long etcd may take to read its file, and to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the former control plane said of itself. Who has just become one would wait for the
/// leases to be over, and clients would be sent to apiservers that are no more.
const STALE: &[&str] = &[
    "/registry/leases/kube-system/",
    "/registry/services/endpoints/default/kubernetes",
    "/registry/endpointslices/default/kubernetes",
];

/// A revision after all that clients may have seen.
///
/// Each moment has one, 100,000 of them a second since 1970. A store that begins with that of its
/// restore stays behind those of later moments, whatever is written. So of two restores the later one
/// has the later revisions, whichever backups they are of, and though neither host may know of the
/// other.
///
/// `taken` and `now` are the times of the backup and of the restore since 1970, by clocks that may have
/// been wrong. They were if `now` is the earlier one, or if the moment's revision is before one that was
/// given out for all we know: of the `backup`, or the `last` of the host's former etcd, where its file
/// is still there. Then it is one long after those.
pub fn next_revision(backup: i64, taken: Duration, now: Duration, last: Option<i64>) -> i64 {
    let at_most = |time: Duration| {
        let revisions = time.as_secs().saturating_mul(RATE);
        i64::try_from(revisions).unwrap_or(i64::MAX / 2)
    };
    let moment = at_most(now);
    let written = at_most(now.saturating_sub(taken));
    let known = backup.saturating_add(written).max(last.unwrap_or(0));
    match taken <= now && known < moment {
        true => moment,
        false => known.saturating_add(LEAST),
    }
}

/// The last revision in an etcd's folder, none if there is none that could be read.
pub fn last_revision(folder: &Path) -> Option<i64> {
    let store = bolt::Store::open(&folder.join(FILE)).ok()?;
    store.last_revision().ok()
}

/// Where etcd's folder is made, and for whom.
#[derive(Debug)]
pub struct Making<'a> {
    /// The snapshot.
    pub snapshot: &'a Path,
    /// The folder to be made.
    pub folder: &'a Path,
    /// Certificates by which etcd is asked while it is tried.
    pub pki: &'a Pki,
    /// Name of the host.
    pub host: &'a str,
    /// Its address, for members that will join.
    pub address: Ipv4Addr,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Keys in it.
    pub keys: i64,
    /// Its revision.
    pub revision: i64,
}

impl Making<'_> {
    /// Makes the folder, all revisions in it after `since`.
    ///
    /// # Errors
    /// If the snapshot is none, or etcd doesn't come up with it.
    pub fn make(&self, next: impl FnOnce(i64) -> i64) -> Result<Made> {
        // One that was interrupted.
        shell::remove(self.folder)?;
        let peer = member::peer_url(self.address);
        let token = format!("hardway-{}", random_name()?);
        let program = restorer()?;
        let what = || format!("{} snapshot restore", program.display());
        let output = Command::new(&program)
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore"])
            .arg(self.snapshot)
            .arg("--data-dir")
            .arg(self.folder)
            .args(["--name", self.host])
            .args(["--initial-cluster", &format!("{}={peer}", self.host)])
            .args(["--initial-advertise-peer-urls", &peer])
            // Members of the former cluster that are still somewhere don't know this one.
            .args(["--initial-cluster-token", &token])
            .stdin(Stdio::null())
            .output()
            .or_fail(what)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().last().unwrap_or_default();
            return Err(Failure::new(what(), last));
        }
        let file = self.folder.join(FILE);
        let what = || format!("raise the revision in {}", file.display());
        let store = bolt::Store::open(&file).or_fail(what)?;
        let backup = store.last_revision().or_fail(what)?;
        let revision = next(backup);
        store.raise_to(revision).or_fail(what)?;
        drop(store);
        self.clean(revision)
    }

    /// Runs etcd for nobody else, has it forget what was, and leaves the folder as a whole.
    fn clean(&self, raised: i64) -> Result<Made> {
        let private = Private::start(self)?;
        let client = private.client();
        let what = || "try the restored etcd";
        private.wait(&client)?;
        for prefix in STALE {
            client.delete_prefix(prefix).or_fail(what)?;
        }
        let revision = client.revision().or_fail(what)?;
        if revision < raised {
            return Err(Failure::new(
                what(),
                format!("it is at revision {revision}, not {raised}"),
            ));
        }
        // Whoever has seen an earlier one is told that it is gone, and begins anew.
        client.compact(revision).or_fail(what)?;
        let keys = client.count("/").or_fail(what)?;
        private.stop()?;
        Ok(Made { keys, revision })
    }
}

/// The program that makes a folder of a snapshot: etcdutl has it from etcd 3.5 on.
fn restorer() -> Result<PathBuf> {
    let found = ["etcdutl", "etcdctl"]
        .iter()
        .find_map(|it| shell::find_program(it));
    found.ok_or_else(|| {
        Failure::new(
            "restore etcd's snapshot",
            "neither etcdutl nor etcdctl is installed",
        )
        .way_out("apt-get install etcd-client")
    })
}

fn random_name() -> Result<String> {
    let bytes = crate::encryption::random()?;
    Ok(bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// An etcd that listens to this host alone, on ports that nobody knows.
struct Private<'a> {
    child: Child,
    port: u16,
    pki: &'a Pki,
    log: PathBuf,
}

impl<'a> Private<'a> {
    fn start(making: &Making<'a>) -> Result<Self> {
        let (port, peer) = (free_port()?, free_port()?);
        let mut log = making.folder.as_os_str().to_owned();
        log.push(".log");
        let log = PathBuf::from(log);
        let output = File::create(&log).or_fail(|| format!("write {}", log.display()))?;
        let pki = making.pki;
        let file = |path: PathBuf| path.display().to_string();
        let (certificate, key) = (pki.certificate("etcd-server"), pki.key("etcd-server"));
        let (certificate, key) = (file(certificate), file(key));
        let ca = file(pki.certificate(ETCD_CA));
        let url = format!("https://127.0.0.1:{port}");
        let peer = format!("https://127.0.0.1:{peer}");
        let child = Command::new("etcd")
            .args(["--name", making.host])
            .arg("--data-dir")
            .arg(making.folder)
            .args(["--listen-client-urls", &url])
            .args(["--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer])
            .args(["--client-cert-auth", "--peer-client-cert-auth"])
            .args(["--cert-file", &certificate, "--key-file", &key])
            .args(["--trusted-ca-file", &ca])
            .args(["--peer-cert-file", &certificate, "--peer-key-file", &key])
            .args(["--peer-trusted-ca-file", &ca])
            .args(["--logger", "zap", "--quota-backend-bytes", "8589934592"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .or_fail(|| "run etcd")?;
        Ok(Self {
            child,
            port,
            pki,
            log,
        })
    }

    fn client(&self) -> etcd::Client {
        let identity = self.pki.identity(ETCD_CA, "apiserver-etcd-client");
        etcd::Client::new(vec![([127, 0, 0, 1], self.port).into()], identity)
    }

    /// Waits until it answers.
    fn wait(&self, client: &etcd::Client) -> Result<()> {
        let began = Instant::now();
        loop {
            let error = match client.revision() {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let has_ended = fs::metadata(format!("/proc/{}/exe", self.child.id())).is_err();
            if has_ended || began.elapsed() > PATIENCE {
                let log = shell::last_lines(&self.log, 5).join("\n");
                return Err(Failure::new(
                    "try the restored etcd",
                    format!("{error}\n{log}"),
                ));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it, and waits until all is on the disk.
    fn stop(mut self) -> Result<()> {
        let what = || "end the restored etcd";
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).or_fail(what)?;
        let began = Instant::now();
        while self.child.try_wait().or_fail(what)?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err(Failure::new(what(), "it doesn't end"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_file(&self.log);
        Ok(())
    }
}

impl Drop for Private<'_> {
    fn drop(&mut self) {
        // It has ended, or is of no use.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|it| it.port()).or_fail(|| "find a free port")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of the life of a cluster that was made in 2026.
    fn at(second: u64) -> Duration {
        Duration::from_secs(1_800_000_000 + second)
    }

    #[test]
    fn the_later_restore_has_the_later_revisions_whatever_it_is_of() {
        // All that an etcd can have written in so many seconds.
        let most = |seconds: i64| seconds * 100_000 - 1;
        // One backup is restored, another is taken of that and restored, and this as often as can be.
        let early = (most(10), at(10));
        let mut seen = most(100);
        let mut newest = early;
        for restore in 1..100 {
            let now = 100 * restore;
            // By a host that knows nothing of the others, and by one that does.
            for last in [None, Some(seen)] {
                for (backup, taken) in [early, newest] {
                    let next = next_revision(backup, taken, at(now), last);
                    assert!(next > seen, "{next} after {seen}");
                    // JavaScript's numbers are exact that far.
                    assert!(next < 1 << 53);
                }
            }
            let restored = next_revision(newest.0, newest.1, at(now), None);
            newest = (restored + most(99), at(now + 99));
            seen = restored + most(100);
        }
    }

    #[test]
    fn a_clock_that_is_wrong_gives_no_revision_out_again_that_is_known() {
        let backup = 900_000_000_000_000;
        for now in [Duration::ZERO, at(0) / 2, at(0), at(3600), at(0) * 2] {
            let next = next_revision(backup, at(0), now, None);
            assert!(next >= backup + 1_000_000_000);
            let next = next_revision(backup, at(0), now, Some(backup * 2));
            assert!(next >= backup * 2 + 1_000_000_000);
        }
        // The backup is of the future, and of few revisions.
        assert_eq!(next_revision(7, at(3600), at(0), None), 1_000_000_007);
        let large = i64::MAX / 4;
        assert!(next_revision(large, Duration::ZERO, Duration::MAX, Some(large)) > large);
    }
}
