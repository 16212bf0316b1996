//! Tells systemd how the process is: `Type=notify` and `WatchdogSec=` of its
//! unit (sd_notify(3)). Without `NOTIFY_SOCKET` nothing happens.
//!
//! A unit is started when `/readyz` says so for the first time, however long
//! that takes: other hosts may come later than this one. Until then, and
//! whenever it isn't ready, its status line says why. The watchdog hears
//! something for as long as all runtimes turn ([`watchdog::check`]).

use crate::{vital, watchdog};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often it is looked at how the process is: before it is ready, and after.
const EAGER_LOOK: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(10);
/// What a start may take from each message on, in microseconds.
const MORE_TIME: &str = "EXTEND_TIMEOUT_USEC=60000000\n";

/// Where systemd listens. Sending never waits: who doesn't read must not stop
/// what is vital here.
struct Manager {
    socket: UnixDatagram,
    /// How soon after a sign of life there must be another.
    watchdog: Option<Duration>,
}

static MANAGER: LazyLock<Option<Manager>> = LazyLock::new(|| {
    let path = std::env::var_os("NOTIFY_SOCKET")?;
    let variable = |name| std::env::var(name).ok();
    let patience = patience(
        variable("WATCHDOG_USEC").as_deref(),
        variable("WATCHDOG_PID").as_deref(),
    );
    Manager::new(&path, patience)
        .inspect_err(|error| tracing::warn!(%error, "systemd can't be told anything"))
        .ok()
});

/// Set when the process has begun to stop; nothing is said of readiness then.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// What the environment says of the watchdog, if it is meant for this process.
fn patience(microseconds: Option<&str>, process: Option<&str>) -> Option<Duration> {
    if process.is_some_and(|id| id.parse() != Ok(std::process::id())) {
        return None;
    }
    let patience = Duration::from_micros(microseconds?.parse().ok()?);
    (!patience.is_zero()).then_some(patience)
}

impl Manager {
    fn new(path: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        let address = match path.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(path)?,
        };
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, watchdog })
    }

    fn tell(&self, message: &str) {
        if message.is_empty() {
            return;
        }
        if let Err(error) = self.socket.send(message.as_bytes()) {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

/// What was said so far.
#[derive(Default)]
struct Announced {
    ready: bool,
    status: String,
}

impl Announced {
    /// The next message; empty if there is nothing to say.
    fn next(&mut self, verdict: &Result<(), String>, alive: bool, watched: bool) -> String {
        let mut message = String::new();
        if watched && alive {
            message.push_str("WATCHDOG=1\n");
        }
        if STOPPING.load(Ordering::Acquire) {
            return message;
        }
        if verdict.is_ok() && !self.ready {
            self.ready = true;
            message.push_str("READY=1\n");
        }
        if !self.ready && alive {
            message.push_str(MORE_TIME);
        }
        let status = match verdict {
            Ok(()) => "ready".to_owned(),
            Err(reason) => format!("not ready: {}", reason.replace('\n', " ")),
        };
        if self.status != status {
            message.push_str(&format!("STATUS={status}\n"));
            self.status = status;
        }
        message
    }

    /// How long to wait for the next look.
    fn pause(&self, watchdog: Option<Duration>) -> Duration {
        let look = if self.ready { LOOK } else { EAGER_LOOK };
        watchdog.map_or(look, |patience| look.min(patience / 2))
    }
}

/// Has systemd follow whether the process is ready, from now on; called once.
pub fn follow<F>(ready: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    if let Some(manager) = &*MANAGER {
        vital::runtime().spawn(run(manager, ready));
    }
}

async fn run<F>(manager: &Manager, ready: impl Fn() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let mut told = Announced::default();
    loop {
        let alive = watchdog::check();
        let verdict = match &alive {
            Ok(()) => ready().await,
            Err(reason) => Err(reason.clone()),
        };
        let message = told.next(&verdict, alive.is_ok(), manager.watchdog.is_some());
        manager.tell(&message);
        tokio::time::sleep(told.pause(manager.watchdog)).await;
    }
}

/// Says that the process has begun to stop.
pub fn stopping() {
    STOPPING.store(true, Ordering::Release);
    if let Some(manager) = &*MANAGER {
        manager.tell("STOPPING=1\nSTATUS=stopping\n");
    }
}

/// Says what takes so long while the process stops, and that it may take `time` from now.
pub fn status(text: &str, time: Duration) {
    if let Some(manager) = &*MANAGER {
        let time = time.as_micros();
        manager.tell(&format!("STATUS={text}\nEXTEND_TIMEOUT_USEC={time}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("nothing was said in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Messages up to one that has this in it, that one included.
    fn until(socket: &UnixDatagram, part: &str) -> Vec<String> {
        let mut messages = vec![receive(socket)];
        while !messages.last().unwrap().contains(part) {
            assert!(messages.len() < 1000, "{part} never came");
            messages.push(receive(socket));
        }
        messages
    }

    #[test]
    fn systemd_hears_when_it_is_ready_and_that_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let manager = Manager::new(path.as_os_str(), Some(Duration::from_millis(20))).unwrap();
        let verdict = Arc::new(Mutex::new(Err("sync: not yet".to_owned())));
        let shared = verdict.clone();
        let task = vital::runtime().spawn(async move {
            run(&manager, move || std::future::ready(shared.lock().clone())).await;
        });
        let first = receive(&socket);
        assert!(
            first.contains("STATUS=not ready: sync: not yet\n"),
            "{first}"
        );
        assert!(
            first.contains("WATCHDOG=1\n") && first.contains(MORE_TIME),
            "{first}"
        );
        assert!(!first.contains("READY=1"), "{first}");
        assert!(!receive(&socket).contains("STATUS="), "said already");
        *verdict.lock() = Ok(());
        let messages = until(&socket, "READY=1\n");
        assert!(messages.last().unwrap().contains("STATUS=ready\n"));
        *verdict.lock() = Err("sync: broken".into());
        let messages = until(&socket, "STATUS=not ready: sync: broken\n");
        assert!(
            messages.iter().all(|m| m.contains("WATCHDOG=1\n")),
            "it lives"
        );
        assert!(
            messages.iter().all(|m| !m.contains("EXTEND")),
            "it has started"
        );
        task.abort();
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("hardway-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let manager = Manager::new(OsStr::new(&format!("@{name}")), None).unwrap();
        manager.tell("READY=1\n");
        assert_eq!(receive(&socket), "READY=1\n");
    }

    #[test]
    fn a_process_that_hangs_is_not_said_to_live() {
        let mut told = Announced::default();
        let hangs = Err("the runtime main has not turned".to_owned());
        let message = told.next(&hangs, false, true);
        assert_eq!(
            message,
            "STATUS=not ready: the runtime main has not turned\n"
        );
        assert_eq!(told.next(&hangs, false, true), "");
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_must_be() {
        let own = std::process::id().to_string();
        let minute = Some(Duration::from_secs(60));
        assert_eq!(patience(Some("60000000"), Some(&own)), minute);
        assert_eq!(patience(Some("60000000"), None), minute);
        assert_eq!(patience(Some("60000000"), Some("1")), None, "another's");
        assert_eq!(patience(None, Some(&own)), None);
        assert_eq!(patience(Some("0"), None), None);
        let mut told = Announced::default();
        assert_eq!(told.pause(None), EAGER_LOOK);
        told.ready = true;
        assert_eq!(told.pause(minute), LOOK);
        assert_eq!(told.pause(Some(LOOK)), LOOK / 2);
    }
}
