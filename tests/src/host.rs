//! A host of its own: a Debian with systemd as its first process, booted by
//! systemd-nspawn, with network, cgroups and disk of its own. What a cluster on real hosts
//! is tested on.
//!
//! All hosts of a [`Site`] are plugged into one bridge. The bridge is in a network
//! namespace too, so that any address may be used and none of this machine's is touched.
//! Whatever a run that was killed left behind, the next one removes.

mod cgroups;
mod programs;
mod site;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kubectl::Output;
use crate::lab::Lab;
use crate::wait::{holds, until, within};
use programs::{attempt, limited, run};

pub use site::Site;

/// The network namespace with the bridge.
const OUTSIDE: &str = "hardway-hosts";
const BRIDGE: &str = "bridge";
/// How long a host may take to boot, on a busy machine.
const BOOT: Duration = Duration::from_secs(60);
/// How long a host may take to shut down: systemd itself gives up on a unit after 90 s.
const SHUTDOWN: Duration = Duration::from_secs(150);
/// After so many seconds a command on a host is ended.
const SECONDS: u64 = 300;

/// systemd-nspawn shows settings of the network and the cgroups of version 1 read-only, but
/// for systemd's own. A node needs to write both.
const LIKE_A_HOST: &str = "[Unit]
DefaultDependencies=no
Before=sysinit.target systemd-sysctl.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=mount --bind /proc/sys/net /proc/sys/net
ExecStart=mount -o remount,bind,rw /proc/sys/net
ExecStart=/bin/sh -c 'for group in /sys/fs/cgroup/*; do mount -o remount,bind,rw,nosuid,nodev,noexec $group; done'
[Install]
WantedBy=sysinit.target
";

/// One host. Dropped, it is gone with all that was on it.
#[derive(Debug)]
pub struct Host {
    /// Its host name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    folder: PathBuf,
    /// systemd-nspawn, while the host has power.
    launcher: Mutex<Option<Child>>,
}

impl Host {
    /// A file of the host, seen from here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join("root").join(path.trim_start_matches('/'))
    }

    /// What `hardway init` has made on it, as clients see a lab: its CA and certificates.
    pub fn cluster(&self) -> Lab {
        Lab::at(&self.path("/etc/hardway"), Path::new("hardway"))
    }

    /// Runs a script of bash as root, in root's home, with the environment of a login.
    pub fn try_run(&self, script: &str) -> Output {
        self.try_run_within(SECONDS, script)
    }

    /// The same with a patience of its own, in seconds.
    pub fn try_run_within(&self, seconds: u64, script: &str) -> Output {
        let Some(init) = self.init() else {
            return Output {
                success: false,
                code: None,
                stdout: String::new(),
                stderr: format!("{} has no first process", self.name),
            };
        };
        let script = format!("cd; {script}");
        limited(
            seconds,
            &[
                "nsenter",
                "--target",
                &init.to_string(),
                "--all",
                "--root",
                "--wd",
                "env",
                "--ignore-environment",
                "HOME=/root",
                "USER=root",
                "LANG=C.UTF-8",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "bash",
                "-c",
                &script,
            ],
        )
    }

    /// Runs a script that must succeed; returns what it printed.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        assert!(
            output.success,
            "{}# {script}\nends with {:?}\n{}{}",
            self.name, output.code, output.stdout, output.stderr
        );
        output.stdout
    }

    /// What a unit logged since the host was booted.
    pub fn journal(&self, unit: &str) -> String {
        let output = self.try_run(&format!("journalctl --boot --no-pager --unit={unit}"));
        output.ok().unwrap_or_else(|why| why)
    }

    /// A property of a unit, as `systemctl show` names it.
    #[track_caller]
    pub fn property(&self, unit: &str, property: &str) -> String {
        let line = format!("systemctl show --value --property={property} {unit}");
        self.run(&line).trim().to_owned()
    }

    /// Waits until a unit is active, which one of type `notify` is when it does its work.
    #[track_caller]
    pub fn wait_active(&self, unit: &str) {
        until(&format!("{unit} is active on {}", self.name), || {
            let state = self.try_run(&format!("systemctl is-active {unit}"));
            holds(
                state.success,
                format!("{}{}", state.stdout, self.journal(unit)),
            )
        });
    }

    /// Shuts the host down in an orderly way, and boots it again.
    #[track_caller]
    pub fn reboot(&self) {
        self.shut_down();
        self.power_on();
    }

    /// Shuts the host down in an orderly way.
    #[track_caller]
    pub fn shut_down(&self) {
        // The connection to systemd may go before its answer comes.
        let _ = self.try_run("systemctl poweroff");
        let mut launcher = self.launcher();
        within(SHUTDOWN, &format!("{} is down", self.name), || {
            let Some(child) = launcher.as_mut() else {
                return Ok(());
            };
            let ended = child.try_wait().map_err(|error| error.to_string())?;
            holds(ended.is_some(), self.console())
        });
        *launcher = None;
        drop(launcher);
        unplug(&self.name);
    }

    /// Takes its power away: everything on it ends at once.
    #[track_caller]
    pub fn power_cut(&self) {
        cgroups::kill_all(&self.name);
        if let Some(mut child) = self.launcher().take() {
            child
                .wait()
                .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        }
        unplug(&self.name);
    }

    /// Gives it power, and waits until systemd has started what it is to start.
    #[track_caller]
    pub fn power_on(&self) {
        let groups = cgroups::make(&self.name);
        self.plug_in();
        let console = self.folder.join("console");
        let log = File::create(&console)
            .unwrap_or_else(|error| panic!("create {}: {error}", console.display()));
        let mut command = Command::new("sh");
        // Who starts it moves into its cgroups first.
        command.args([
            "-c",
            "count=$1; shift
             while [ $count -gt 0 ]; do echo $$ >\"$1/cgroup.procs\"; shift; count=$((count-1)); done
             exec systemd-nspawn \"$@\"",
            "sh",
        ]);
        command.arg(groups.len().to_string()).args(&groups);
        command.args(["--quiet", "--boot", "--register=no", "--console=pipe"]);
        // This machine's name servers can't be reached from it.
        command.arg("--resolv-conf=off");
        command.args(["--kill-signal=SIGRTMIN+3", "--capability=all"]);
        command.arg("--system-call-filter=@keyring bpf");
        if !Path::new("/run/systemd/system").exists() {
            // There is no manager that could give it a scope of its own.
            command.arg("--keep-unit");
        }
        command.arg(format!("--machine={}", self.name));
        command.arg(format!("--directory={}", self.path("").display()));
        command.arg(format!(
            "--network-namespace-path=/run/netns/{}",
            space(&self.name)
        ));
        // Images can't be unpacked on an overlay.
        command.arg(format!(
            "--bind={}:/var/lib/containerd",
            self.folder.join("containerd").display()
        ));
        let errors = log.try_clone().expect("a file has another handle");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start systemd-nspawn: {error}"));
        *self.launcher() = Some(child);
        within(BOOT, &format!("{} has booted", self.name), || {
            let state = self.try_run("systemctl is-system-running");
            let state = format!("{}{}", state.stdout, state.stderr);
            let booted = ["running", "degraded"].contains(&state.trim());
            holds(booted, format!("{state}{}", self.console()))
        });
    }

    /// What its first process said since it was booted last, and how the host went down.
    pub fn console(&self) -> String {
        fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }

    fn launcher(&self) -> MutexGuard<'_, Option<Child>> {
        self.launcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its first process, by the number it has here.
    fn init(&self) -> Option<u32> {
        let launcher = self.launcher().as_ref()?.id();
        let numbers = fs::read_dir("/proc").ok()?.flatten();
        numbers
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .find(|process| parent(*process) == Some(launcher))
    }

    /// Puts an installed system on its disk.
    #[track_caller]
    fn install(&self, debian: &Path) {
        let folder = self.folder.display();
        for name in ["root", "upper", "work", "containerd"] {
            let path = self.folder.join(name);
            fs::create_dir_all(&path)
                .unwrap_or_else(|error| panic!("create {}: {error}", path.display()));
        }
        run(&format!(
            "mount -t overlay overlay {folder}/root \
             -o lowerdir={},upperdir={folder}/upper,workdir={folder}/work",
            debian.display()
        ));
        let units = "etc/systemd/system";
        self.write("etc/hostname", &format!("{}\n", self.name));
        self.write(
            "etc/hosts",
            &format!("127.0.0.1 localhost\n127.0.1.1 {}\n", self.name),
        );
        // Kept over boots, to be read after a failure.
        self.write("var/log/journal/.keep", "");
        self.write(&format!("{units}/like-a-host.service"), LIKE_A_HOST);
        run(&format!(
            "systemctl --quiet --root={folder}/root enable like-a-host.service"
        ));
    }

    /// Writes a file on its disk.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)
            .and_then(|()| File::create(&path))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
    }

    /// Copies a file to it.
    #[track_caller]
    pub fn copy(&self, from: &Path, to: &str) {
        let to = self.path(to);
        let folder = to.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)
            .and_then(|()| fs::copy(from, &to))
            .unwrap_or_else(|error| panic!("copy {} to {}: {error}", from.display(), to.display()));
    }

    /// A network namespace with a link to the bridge. Its hardware address stays the same,
    /// as that of a real machine does.
    #[track_caller]
    fn plug_in(&self) {
        let (space, name, address) = (space(&self.name), &self.name, self.address);
        let [.., subnet, last] = address.octets();
        run(&format!("ip netns add {space}"));
        run(&format!(
            "ip -n {OUTSIDE} link add {name} type veth peer name eth0 \
             address 02:68:77:01:{subnet:02x}:{last:02x} netns {space}"
        ));
        run(&format!(
            "ip -n {OUTSIDE} link set {name} master {BRIDGE} up"
        ));
        run(&format!("ip -n {space} link set lo up"));
        run(&format!("ip -n {space} link set eth0 up"));
        run(&format!("ip -n {space} address add {address}/24 dev eth0"));
        let gateway = Ipv4Addr::from(u32::from(address) & 0xffff_ff00 | 1);
        run(&format!("ip -n {space} route add default via {gateway}"));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_journal();
        }
        remove(&self.name, &self.folder);
        if let Some(mut child) = self.launcher().take() {
            // It was killed with the rest.
            drop(child.wait());
        }
    }
}

impl Host {
    /// Leaves the journal beside the folder of the hosts.
    fn keep_journal(&self) {
        let journal = self.path("var/log/journal");
        let kept = self.folder.with_extension("log");
        let kept = self
            .folder
            .parent()
            .and_then(Path::parent)
            .zip(kept.file_name())
            .map_or_else(|| kept.clone(), |(folder, name)| folder.join(name));
        let journal = format!("--directory={}", journal.display());
        let read = limited(60, &["journalctl", &journal, "--no-pager", "--merge"]);
        match fs::write(&kept, read.stdout) {
            Ok(()) => eprintln!("the journal of {} is in {}", self.name, kept.display()),
            Err(error) => eprintln!("keep the journal in {}: {error}", kept.display()),
        }
    }
}

/// Name of a host's network namespace.
fn space(host: &str) -> String {
    format!("{OUTSIDE}-{host}")
}

/// Removes a host. What fails doesn't keep the rest from being removed.
fn remove(name: &str, folder: &Path) {
    cgroups::kill_all(name);
    unplug(name);
    let root = folder.join("root");
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if mounted.contains(&format!(" {} ", root.display())) {
        attempt(&["umount", "--recursive", &root.display().to_string()]);
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            eprintln!("remove {}: {error}", folder.display());
        }
        _ => {}
    }
}

/// Takes away a host's network and cgroups, in which no process is left.
fn unplug(name: &str) {
    let space = space(name);
    if Path::new("/run/netns").join(&space).exists() {
        attempt(&["ip", "netns", "delete", &space]);
        // The kernel takes the link away when it gets to it; its name is needed again.
        let link = ["ip", "-n", OUTSIDE, "link", "delete", name];
        let _ = limited(10, &link);
    }
    for group in cgroups::all(name).iter().filter(|group| group.exists()) {
        until(&format!("{} is gone", group.display()), || {
            cgroups::remove(group).map_err(|error| error.to_string())
        });
    }
}

/// Number of a process's parent.
fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}
