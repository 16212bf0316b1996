//! PID 1 of a host: sets the host up from inside, starts and ends processes when
//! the tool asks, and reaps orphans. When it dies, the kernel ends all of the host.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anstream::eprintln;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::control::{self, Process, Reply, Request, Spec};
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// Folders every host has for itself although the machine's root is shared.
pub const OWN_FOLDERS: &[&str] = &[
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/var/lib/hardway-volumes",
    "/data",
];

/// Where a host has its boot identity, which is another one after each start.
pub const BOOT_ID: &str = "/run/boot-id";

/// How long a process may take to stop when asked politely.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the host called `name` whose disk is `folder`; returns only on failure.
pub fn run(name: &str, folder: &Path) -> Result<()> {
    if std::process::id() != 1 {
        return Err(Failure::new(
            "run as a host's init process",
            "this is not process 1 of a namespace",
        ));
    }
    nix::unistd::sethostname(name).or_fail(|| "set the host name")?;
    // The socket must be where the tool sees it, so it comes before /run is hidden.
    let listener = control::listen(folder)?;
    set_up_mounts(folder)?;
    set_up_identity(folder)?;
    set_up_kernel();
    let table = Arc::new(Table::default());
    let served = Arc::clone(&table);
    std::thread::spawn(move || serve(&listener, &served));
    table.reap()
}

fn set_up_mounts(folder: &Path) -> Result<()> {
    let none = None::<&str>;
    // Volumes with mount propagation need shared mounts; what is mounted here stays here.
    mount(none, "/", none, MsFlags::MS_SHARED | MsFlags::MS_REC, none)
        .or_fail(|| "share the host's mounts")?;
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=755"),
    )
    .or_fail(|| "mount /run")?;
    shell::make_directory(Path::new("/run/lock"))?;
    for own in OWN_FOLDERS {
        let disk = folder.join("own").join(own.trim_start_matches('/'));
        shell::make_directory(&disk)?;
        mount(Some(&disk), *own, none, MsFlags::MS_BIND, none)
            .or_fail(|| format!("mount the host's own {own}"))?;
    }
    Ok(())
}

/// A host has a machine identity that stays and a boot identity that does not,
/// as nodes report both.
fn set_up_identity(folder: &Path) -> Result<()> {
    let random = || shell::read_text(Path::new("/proc/sys/kernel/random/uuid"));
    let machine = folder.join("own/machine-id");
    if !machine.exists() {
        let text = random()?.replace('-', "");
        shell::write_file(&machine, text.as_bytes(), 0o444)?;
    }
    let boot = Path::new(BOOT_ID);
    shell::write_file(boot, random()?.as_bytes(), 0o444)?;
    let places = [
        ("/etc/machine-id", machine.as_path()),
        ("/proc/sys/kernel/random/boot_id", boot),
    ];
    for (place, file) in places.iter().filter(|(place, _)| Path::new(place).exists()) {
        mount(
            Some(*file),
            *place,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .or_fail(|| format!("mount the host's own {place}"))?;
    }
    Ok(())
}

/// Settings of the host's network; not all exist on every kernel.
fn set_up_kernel() {
    for (key, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("bridge/bridge-nf-call-iptables", "1"),
    ] {
        if let Err(error) = fs::write(format!("/proc/sys/net/{key}"), value) {
            eprintln!("net/{key} stays as it is: {error}");
        }
    }
}

fn serve(listener: &UnixListener, table: &Arc<Table>) {
    for stream in listener.incoming().flatten() {
        let table = Arc::clone(table);
        std::thread::spawn(move || answer(&stream, &table));
    }
}

fn answer(stream: &UnixStream, table: &Table) {
    let reply: Reply = match control::receive(stream) {
        Ok(Request::Start(spec)) => table.start(&spec),
        Ok(Request::Stop { name, polite }) => table.stop(&name, polite),
        Ok(Request::Suspend { name, still }) => table.suspend(&name, still),
        Ok(Request::List) => Ok(table.list()),
        Err(error) => Err(format!("the request is not understood: {error}")),
    };
    if let Err(error) = control::send(stream, &reply) {
        eprintln!("answer the tool: {error}");
    }
}

/// The processes of the host.
#[derive(Default)]
struct Table {
    processes: Mutex<BTreeMap<String, Process>>,
    changed: Condvar,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> Vec<Process> {
        self.lock().values().cloned().collect()
    }

    /// Starts a process. The lock is held meanwhile, so that it isn't reaped
    /// before it is known.
    fn start(&self, spec: &Spec) -> Reply {
        let mut processes = self.lock();
        if processes
            .get(&spec.name)
            .is_some_and(|process| process.pid.is_some())
        {
            return Ok(vec![processes[&spec.name].clone()]);
        }
        let pid = spawn(spec).map_err(|failure| failure.to_string())?;
        let process = Process {
            name: spec.name.clone(),
            pid: Some(pid),
            started: now(),
            fingerprint: spec.fingerprint.clone(),
            ended: None,
        };
        processes.insert(spec.name.clone(), process.clone());
        self.changed.notify_all();
        Ok(vec![process])
    }

    fn stop(&self, name: &str, polite: bool) -> Reply {
        let mut processes = self.lock();
        let pid = match processes.get(name) {
            None => return Ok(Vec::new()),
            Some(Process { pid: None, .. }) => return Ok(vec![processes[name].clone()]),
            Some(Process { pid: Some(pid), .. }) => *pid,
        };
        let mut signal = if polite {
            Signal::SIGTERM
        } else {
            Signal::SIGKILL
        };
        let mut deadline = Instant::now() + GRACE;
        // Between reaping and here nothing can take the number: the lock is held.
        kill(Pid::from_raw(pid), signal).map_err(|error| format!("signal {name}: {error}"))?;
        while processes
            .get(name)
            .is_some_and(|process| process.pid == Some(pid))
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if signal == Signal::SIGKILL {
                    return Err(format!("{name} does not end, not even by SIGKILL"));
                }
                signal = Signal::SIGKILL;
                deadline = Instant::now() + GRACE;
                kill(Pid::from_raw(pid), signal)
                    .map_err(|error| format!("signal {name}: {error}"))?;
                continue;
            }
            (processes, _) = self
                .changed
                .wait_timeout(processes, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(processes.get(name).cloned().into_iter().collect())
    }

    fn suspend(&self, name: &str, still: bool) -> Reply {
        let processes = self.lock();
        let running = processes
            .get(name)
            .and_then(|process| Some((process, process.pid?)));
        let (process, pid) = running.ok_or_else(|| format!("{name} does not run"))?;
        let signal = if still {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        kill(Pid::from_raw(pid), signal).map_err(|error| format!("signal {name}: {error}"))?;
        Ok(vec![process.clone()])
    }

    /// Reaps children for ever, the host's own and those that lost their parents.
    fn reap(&self) -> Result<()> {
        loop {
            // Look first without reaping, so that reaping happens under the lock.
            match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Ok(status) => self.collect(status.pid()),
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => {
                    let processes = self.lock();
                    if processes.values().all(|process| process.pid.is_none()) {
                        drop(
                            self.changed
                                .wait(processes)
                                .unwrap_or_else(PoisonError::into_inner),
                        );
                    }
                }
                Err(error) => return Err(Failure::new("wait for children", error)),
            }
        }
    }

    fn collect(&self, pid: Option<Pid>) {
        let mut processes = self.lock();
        let status = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => format!("exit status {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
            _ => return,
        };
        let pid = pid.map(Pid::as_raw);
        if let Some(process) = processes.values_mut().find(|process| process.pid == pid) {
            process.pid = None;
            process.ended = Some(status);
            self.changed.notify_all();
        }
    }
}

fn spawn(spec: &Spec) -> Result<i32> {
    let what = || format!("start {}", spec.name);
    let (program, arguments) = spec
        .command
        .split_first()
        .ok_or_else(|| Failure::new(what(), "its command is empty"))?;
    if let Some(folder) = spec.log.parent() {
        shell::make_directory(folder)?;
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spec.log)
        .or_fail(what)?;
    let errors = log.try_clone().or_fail(what)?;
    // A program that is not there is told here: a failing exec would be reaped twice.
    fs::metadata(program).or_fail(|| format!("start {}: {program}", spec.name))?;
    let child = Command::new(program)
        .args(arguments)
        .envs(&spec.environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .or_fail(what)?;
    Ok(child.id().cast_signed())
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
