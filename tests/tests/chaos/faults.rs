//! What can happen to a control plane of several hosts.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hardway_tests::dice::Dice;
use hardway_tests::load::Load;
use hardway_tests::own_lab::OwnLab;
use hardway_tests::wait::holds;
use hardway_tests::within;

/// How long what happens lasts.
const LASTS: Duration = Duration::from_secs(6);
/// How long all may take to be well again.
const PATIENCE: Duration = Duration::from_secs(90);
/// How far a wrong clock is off: certificates, tokens and leases go by it.
const CLOCK_OFF: &str = "+600";
/// Where Debian has the library that makes a clock wrong, below the folder of libraries.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// What an etcd with hardly any data needs, and how much more it gets.
const SMALL_DISK: &str = "400m";

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A process ends as by a crash.
    Kill(String),
    /// A process stands still for a while.
    Freeze(String),
    /// A host has no power for a while.
    Off(String),
    /// A host is heard of no more for a while; it goes on.
    Lost(String),
    /// Two hosts don't hear each other.
    Cut(String, String),
    /// The first doesn't hear the second, who hears it.
    OneWay(String, String),
    /// etcd comes on in jerks, as on a disk that is far too slow.
    SlowDisk(String),
    /// There is no more room on the disk of a host's etcd.
    FullDisk(String),
    /// The clock of an API server is wrong.
    WrongClock(String),
    /// All but one host are lost: there is no majority.
    OnlyOne(String),
}

impl Fault {
    /// One of all kinds of faults, in turn, to chance's hosts.
    pub fn nth(number: u64, hosts: &[String], dice: &mut Dice) -> Self {
        let host = hosts[dice.below(hosts.len())].clone();
        let others: Vec<&String> = hosts.iter().filter(|other| **other != host).collect();
        let other = others[dice.below(others.len())].clone();
        let process = |dice: &mut Dice| {
            let names = ["etcd", "apiserver", "controller-manager", "scheduler"];
            format!("{}@{host}", names[dice.below(names.len())])
        };
        match number % 10 {
            0 => Fault::Lost(host),
            1 => Fault::Kill(process(dice)),
            2 => Fault::Cut(host, other),
            3 => Fault::Freeze(process(dice)),
            4 => Fault::Off(host),
            5 => Fault::OneWay(host, other),
            6 => Fault::SlowDisk(host),
            7 => Fault::FullDisk(host),
            8 => Fault::WrongClock(host),
            _ => Fault::OnlyOne(host),
        }
    }

    /// Whether most hosts can still work together: then writes go on.
    pub fn leaves_majority(&self) -> bool {
        !matches!(self, Fault::OnlyOne(_))
    }

    /// Has it happen and go on for a while, and undoes it. Says why it can't, here.
    pub fn happen(&self, lab: &OwnLab, hosts: &[String], load: &Load) -> Result<(), String> {
        match self {
            Fault::Kill(process) => {
                lab.tool(&format!("kill {process}"));
                load.pass(LASTS);
                lab.tool(&format!("start {process}"));
            }
            Fault::Freeze(process) => {
                lab.tool(&format!("suspend {process}"));
                load.pass(LASTS);
                lab.tool(&format!("resume {process}"));
            }
            Fault::Off(host) => {
                lab.tool(&format!("node kill {host}"));
                load.pass(LASTS);
                lab.tool(&format!("node start {host}"));
            }
            Fault::Lost(host) => cut(lab, load, &[format!("node cut {host}")]),
            Fault::Cut(host, other) => {
                cut(lab, load, &[format!("node cut {host} --from {other}")]);
            }
            Fault::OneWay(host, other) => {
                cut(
                    lab,
                    load,
                    &[format!("node cut {host} --from {other} --one-way")],
                );
            }
            Fault::OnlyOne(host) => {
                let others = hosts.iter().filter(|other| *other != host);
                let lines: Vec<String> = others.map(|other| format!("node cut {other}")).collect();
                cut(lab, load, &lines);
            }
            Fault::SlowDisk(host) => jerk(lab, load, host),
            Fault::FullDisk(host) => fill_disk(lab, load, host),
            Fault::WrongClock(host) => return set_clock(lab, load, host),
        }
        Ok(())
    }
}

/// Waits until every process is well; says how long that took. Starts what has ended by itself,
/// as a supervisor would.
pub fn recover(lab: &OwnLab) -> Duration {
    let began = Instant::now();
    within(PATIENCE, "all processes are well again", || {
        let status = lab.try_tool("status");
        for line in status.stdout.lines() {
            if let [host, process, "-", ..] = line.split_whitespace().collect::<Vec<_>>()[..] {
                drop(lab.try_tool(&format!("start {process}@{host}")));
            }
        }
        holds(status.success, status.stdout)
    });
    began.elapsed()
}

/// Does these things to the network, and undoes them.
fn cut(lab: &OwnLab, load: &Load, lines: &[String]) {
    for line in lines {
        lab.tool(line);
    }
    load.pass(LASTS);
    for line in lines {
        let host = line.split_whitespace().nth(2).expect("node cut HOST");
        lab.tool(&format!("node join {host}"));
    }
}

/// Lets etcd stand still for most of the time.
fn jerk(lab: &OwnLab, load: &Load, host: &str) {
    let began = load.now();
    while load.now() - began < LASTS {
        lab.tool(&format!("suspend etcd@{host}"));
        load.pass(Duration::from_millis(400));
        lab.tool(&format!("resume etcd@{host}"));
        load.pass(Duration::from_millis(50));
    }
}

/// Puts etcd on a disk of its own, fills that, and makes room again.
fn fill_disk(lab: &OwnLab, load: &Load, host: &str) {
    let disk = lab
        .path(&format!("nodes/{host}/etcd"))
        .display()
        .to_string();
    let shell = |script: &str| lab.on(host, &format!("sh -c '{script}'"));
    lab.tool(&format!("stop etcd@{host}"));
    shell(&format!(
        "set -e; mkdir -p /run/small; mount -t tmpfs -o size={SMALL_DISK} tmpfs /run/small; \
         cp -a {disk}/. /run/small/; chmod 700 /run/small; mount --bind /run/small {disk}"
    ));
    lab.tool(&format!("start etcd@{host}"));
    // It ends when there is no more room, which is what is wanted.
    shell(&format!(
        "dd if=/dev/zero of={disk}/filler bs=1M 2>/dev/null || true"
    ));
    load.pass(LASTS);
    shell(&format!("rm {disk}/filler"));
    lab.tool(&format!("stop etcd@{host}"));
    shell(&format!(
        "set -e; umount {disk}; rm -rf {disk}/member; cp -a /run/small/. {disk}/; umount /run/small"
    ));
    lab.tool(&format!("start etcd@{host}"));
}

/// A program that is started by hand, for a while.
struct ByHand(Child);

impl Drop for ByHand {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Has an API server believe that it is another time.
fn set_clock(lab: &OwnLab, load: &Load, host: &str) -> Result<(), String> {
    if !Path::new(FAKETIME).exists() {
        return Err("it needs Debian's package libfaketime".to_owned());
    }
    let words = command_line(lab, host)?;
    lab.tool(&format!("stop apiserver@{host}"));
    // Only the time of day is wrong: clocks that measure go on as they do. It ends with the program
    // that has brought it into the host.
    let wrong = format!(
        "node exec {host} setpriv --pdeathsig KILL env LD_PRELOAD={FAKETIME} \
         FAKETIME={CLOCK_OFF} FAKETIME_DONT_FAKE_MONOTONIC=1"
    );
    let mut command: Command = lab.command(&wrong);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let by_hand = command
        .spawn()
        .map(ByHand)
        .map_err(|error| error.to_string())?;
    load.pass(LASTS);
    drop(by_hand);
    lab.tool(&format!("start apiserver@{host}"));
    Ok(())
}

/// How a host's API server was started.
fn command_line(lab: &OwnLab, host: &str) -> Result<Vec<String>, String> {
    let status = lab.try_tool("status").stdout;
    let pid = status.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.first() == Some(&host) && words.get(1) == Some(&"apiserver"))
            .then(|| words[2].to_owned())
    });
    let pid = pid.ok_or(status)?;
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    let line = line.map_err(|error| error.to_string())?;
    Ok(line
        .trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect())
}
