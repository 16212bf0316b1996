//! Stopping a cluster so that it goes on later: everything ends politely, and everything that
//! was stored stays.

use std::fs;
use std::path::Path;
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
    end_containers(lab, &on)?;
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
fn end_containers(lab: &Lab, hosts: &[&Host]) -> Result<()> {
    let containers = |hosts: &[&Host]| -> Vec<i32> {
        let inits = hosts.iter().filter_map(|host| node::init_pid(lab, host));
        inits.flat_map(containers_of).collect()
    };
    for pid in containers(hosts) {
        // One that has ended meanwhile needs no signal.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let deadline = Instant::now() + GRACE;
    while !containers(hosts).is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// First processes of a host's containers: the children of containerd's shims, but for those
/// that only hold a pod's namespaces.
fn containers_of(init: i32) -> Vec<i32> {
    let name = |pid: i32| {
        let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm"));
        text.unwrap_or_default().trim().to_owned()
    };
    process::children(init)
        .into_iter()
        .filter(|pid| name(*pid).starts_with("containerd-shim"))
        .flat_map(process::children)
        .filter(|pid| name(*pid) != "pause")
        .collect()
}
