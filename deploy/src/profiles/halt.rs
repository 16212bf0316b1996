//! Stopping a cluster so that it goes on later: everything ends politely, and everything that
//! was stored stays.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::components;
use crate::failure::{Failure, Result};
use crate::lab::{Lab, network, node, process};
use crate::plan::Host;

/// Who ends first: what would start pods anew or give them up.
const FIRST: [&str; 3] = ["kubelet", "scheduler", "controller-manager"];

/// What only holds a pod's namespaces: some pods' processes would end with it at once.
const PAUSE: &str = "pause";

/// The cluster's DNS, which goes on for some seconds for those who have not heard that it ends.
/// Here nobody goes on.
const DNS: &str = "hardway-dns";

/// How long containers may take to end when they are asked to; what goes on then is cut off,
/// as by a machine that is switched off.
const GRACE: Duration = Duration::from_secs(5);

/// Ends all processes and switches all hosts off. Pods stay as they are stored: when the hosts
/// are on again, the kubelets start their containers anew.
pub fn halt(lab: &Lab) -> Result<()> {
    let hosts = lab.plan.hosts();
    let on: Vec<&Host> = hosts.iter().filter(|host| node::is_on(lab, host)).collect();
    let is_first = |name: &str| FIRST.contains(&name);
    stop(lab, &on, is_first)?;
    end_containers(lab, &on);
    // The store is the last that ends: until then whoever ends may write.
    let is_last = |name: &str| name == "etcd";
    stop(lab, &on, |name| !is_first(name) && !is_last(name))?;
    stop(lab, &on, is_last)?;
    // What does not end politely ends with its host.
    for host in hosts.iter().rev() {
        node::switch_off(lab, host)?;
    }
    network::remove_bridge(&lab.plan)
}

/// Ends the processes of these names, all at the same time.
fn stop(lab: &Lab, hosts: &[&Host], is_meant: impl Fn(&str) -> bool) -> Result<()> {
    thread::scope(|scope| {
        let all = hosts.iter().flat_map(|host| {
            let names = components::of_role(host.role).into_iter();
            names.map(move |name| (*host, name))
        });
        let ending: Vec<_> = all
            .filter(|(_, name)| is_meant(name))
            .map(|(host, name)| scope.spawn(move || process::stop(lab, host, name, true)))
            .collect();
        let ended = ending.into_iter().map(|thread| {
            let panicked = |_| Err(Failure::new("stop a process", "it panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        ended.collect::<Result<Vec<()>>>().map(|_| ())
    })
}

/// Asks the containers of hosts to end, and waits until they have, but not for ever.
fn end_containers(lab: &Lab, hosts: &[&Host]) {
    let containers = |hosts: &[&Host]| -> Vec<i32> {
        let inits = hosts.iter().filter_map(|host| node::init_pid(lab, host));
        inits.flat_map(containers_of).collect()
    };
    let mut ending = containers(hosts);
    // The kernel keeps a signal from a container's first process that has nothing to do when
    // it comes: it would be waited for in vain.
    ending.retain(|pid| heeds_end(*pid) && name_of(*pid) != DNS);
    for pid in containers(hosts) {
        // One that has ended meanwhile needs no signal.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        let left = containers(hosts);
        if !ending.iter().any(|pid| left.contains(pid)) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process does something when it is asked to end.
fn heeds_end(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    catches(&status, Signal::SIGTERM)
}

/// Whether a signal is in the mask of those that are caught, proc(5).
fn catches(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// First processes of a host's containers: the children of containerd's shims, but for those
/// that only hold namespaces.
fn containers_of(init: i32) -> Vec<i32> {
    process::children(init)
        .into_iter()
        .filter(|pid| name_of(*pid).starts_with("containerd-shim"))
        .flat_map(process::children)
        .filter(|pid| name_of(*pid) != PAUSE)
        .collect()
}

/// The name of a process, as the kernel has it.
fn name_of(pid: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/comm"));
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_catches_the_signal_is_waited_for() {
        let status = "SigIgn:\t0000000000004000\nSigCgt:\t0000000000000002\n";
        assert!(!catches(status, Signal::SIGTERM));
        assert!(catches(status, Signal::SIGINT));
        assert!(catches("SigCgt:\t0000000180004000\n", Signal::SIGTERM));
        assert!(!catches("", Signal::SIGTERM));
    }
}
