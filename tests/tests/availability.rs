//! A control plane of three hosts loses one, is cut in two, and loses two, while clients of all
//! three API servers write, read and watch. What they were told is judged when it is over: nothing
//! acknowledged is lost, nothing is told that is not so, and writes stand still for a moment only.
//!
//! The suite brings up a lab of its own, of etcd and API servers alone. The environment may say
//! $AVAILABILITY_SEED.

use std::time::{Duration, Instant};

use hardway_tests::history::{self, Verdict};
use hardway_tests::load::{Clients, Gaps, Load, Report};
use hardway_tests::own_lab::{OwnLab, Size};
use hardway_tests::wait::holds;
use hardway_tests::{until, within};

const CLIENTS: Clients = Clients {
    writers: 6,
    watchers: 3,
};

/// How long writes may stand still when one host of three is lost: what is promised.
const GAP: Duration = Duration::from_secs(3);
/// How long what is lost stays away once writes go on, and how long all is well in between.
const LASTS: Duration = Duration::from_secs(2);

struct ControlPlane {
    lab: OwnLab,
    /// Address and name.
    hosts: Vec<(String, String)>,
}

impl ControlPlane {
    fn up() -> Self {
        let lab = OwnLab::up(
            "availability",
            Size {
                control_planes: 3,
                workers: 0,
                only: "etcd,apiserver",
            },
        );
        let hosts = lab.control_planes();
        Self { lab, hosts }
    }

    fn leader(&self) -> String {
        until("etcd has a leader", || self.lab.etcd_leader())
    }

    fn others(&self, host: &str) -> Vec<String> {
        let names = self.hosts.iter().map(|(_, name)| name.clone());
        names.filter(|name| name != host).collect()
    }

    /// Undoes what was done to the network, and waits until every process is well.
    fn restore(&self) -> Duration {
        let began = Instant::now();
        for (_, host) in &self.hosts {
            self.lab.tool(&format!("node join {host}"));
        }
        within(
            Duration::from_secs(60),
            "all processes are well again",
            || self.lab.try_tool("status").ok().map(drop),
        );
        began.elapsed()
    }
}

/// How long writes stood still from a moment on, while something was the matter.
fn stand_still(load: &Load, since: Duration) -> Duration {
    within(Duration::from_secs(30), "writes go on", || {
        let count = load.writes_since(since);
        holds(count >= 20, format!("{count} writes were answered since"))
    });
    load.pass(LASTS);
    let gaps = Gaps::between(&load.history(), since, load.now());
    eprintln!("   {gaps}");
    gaps.longest
}

#[test]
#[ignore = "needs what is built: cargo hardway test --only e2e --suite availability"]
fn losing_a_host_of_three_loses_nothing() {
    let seed = std::env::var("AVAILABILITY_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("availability: AVAILABILITY_SEED={seed}");
    let three = ControlPlane::up();
    let addresses: Vec<String> = three
        .hosts
        .iter()
        .map(|(address, _)| address.clone())
        .collect();
    let load = Load::new(&three.lab, &addresses, "availability");
    let (report, gaps) = load.run(CLIENTS, seed, |load| faults(&three, load));
    let verdict = judge(&report);
    assert!(
        verdict.violations.is_empty(),
        "AVAILABILITY_SEED={seed}\n{verdict}"
    );
    assert!(
        verdict.undecided.is_empty(),
        "AVAILABILITY_SEED={seed}\n{verdict}"
    );
    for (what, gap) in gaps {
        assert!(gap < GAP, "{what}: no write for {gap:.1?}");
    }
}

/// Does it all, and says for how long writes stood still each time.
fn faults(three: &ControlPlane, load: &Load) -> Vec<(&'static str, Duration)> {
    let lab = &three.lab;
    within(Duration::from_secs(30), "writes are answered", || {
        holds(load.writes_since(Duration::ZERO) > 20, "none yet")
    });
    let mut gaps = Vec::new();

    let leader = three.leader();
    eprintln!("   {leader}, which leads etcd, is gone without a word");
    let since = load.now();
    lab.tool(&format!("node cut {leader}"));
    gaps.push(("the leader's host is lost", stand_still(load, since)));
    eprintln!("   all well {:.1?} after it is back", three.restore());

    let leader = three.leader();
    let other = three.others(&leader).remove(0);
    eprintln!("   {leader}, which leads etcd, and {other} don't hear each other");
    let since = load.now();
    lab.tool(&format!("node cut {leader} --from {other}"));
    gaps.push(("two hosts don't hear each other", stand_still(load, since)));
    eprintln!("   all well {:.1?} after they do", three.restore());

    let last = three.leader();
    eprintln!("   only {last} is left");
    for other in three.others(&last) {
        lab.tool(&format!("node cut {other}"));
    }
    only_old_reads(three, load, &last);
    eprintln!(
        "   all well {:.1?} after the others are back",
        three.restore()
    );
    let since = load.now();
    within(Duration::from_secs(30), "writes go on", || {
        holds(load.writes_since(since) >= 20, "not yet")
    });
    gaps
}

/// Without a majority nothing is written, and read only what may be old.
fn only_old_reads(three: &ControlPlane, load: &Load, last: &str) {
    let at = three.hosts.iter().position(|(_, name)| name == last);
    let at = at.expect("one of the hosts");
    let began = Instant::now();
    let told = until("it is told that nothing can be read for sure", || {
        let answer = load.ask(at, "", Duration::from_secs(30))?;
        let is_error = answer.status >= 500 && answer.body.contains("\"kind\":\"Status\"");
        holds(is_error, format!("{} {}", answer.status, answer.body)).map(|()| answer)
    });
    eprintln!(
        "   told after {:.1?}: {} {}",
        began.elapsed(),
        told.status,
        told.body
    );
    let old = load.ask(at, "?resourceVersion=0", Duration::from_secs(5));
    let old = old.expect("a list that may be old");
    assert_eq!(old.status, 200, "{}", old.body);
    let since = load.now();
    load.pass(LASTS);
    assert_eq!(load.writes_since(since), 0, "writes without a majority");
}

fn judge(report: &Report) -> Verdict {
    let Report {
        history,
        complaints,
    } = report;
    let events: usize = history.watches.iter().map(|watch| watch.events.len()).sum();
    eprintln!(
        "   {} operations, {} lists, {events} events of {} watches",
        history.operations.len(),
        history.lists.len(),
        history.watches.len()
    );
    for (complaint, count) in complaints {
        eprintln!("   {count:4} × {complaint}");
    }
    history::check(history)
}
