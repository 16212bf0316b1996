//! Three control planes under all kinds of faults, with clients of all three API servers whose
//! history is judged after each.

use std::time::Duration;

use hardway_tests::dice::Dice;
use hardway_tests::history;
use hardway_tests::load::{self, Clients, Gaps, Load};
use hardway_tests::own_lab::{OwnLab, Size};
use hardway_tests::wait::holds;
use hardway_tests::{Lab, within};

use crate::faults::{self, Fault};
use crate::{report, setting};

const CLIENTS: Clients = Clients {
    writers: 6,
    watchers: 3,
};

/// How long writes may stand still when one host of three is lost: what is promised.
const GAP: Duration = Duration::from_secs(3);

/// Faults, one after the other, each with a history of its own: the clients of one run would have
/// to remember hours.
pub fn run(count: u64, seed: u64) {
    let only = "etcd,apiserver,controller-manager,scheduler";
    let size = Size {
        control_planes: 3,
        workers: 0,
        only,
    };
    let lab = OwnLab::up("chaos", size);
    let (addresses, hosts): (Vec<String>, Vec<String>) = lab.control_planes().into_iter().unzip();
    let mut dice = Dice::new(seed);
    let (mut gaps, mut complaints) = (Vec::new(), Vec::new());
    let mut has_gaps = false;
    // $CHAOS_FAULT=7 is a full disk, again and again: kinds count from 0, as Fault::nth has them.
    let only = setting("CHAOS_FAULT", u64::MAX);
    for number in 0..count {
        let kind = if only == u64::MAX { number } else { only };
        let fault = Fault::nth(kind, &hosts, &mut dice);
        has_gaps |= fault.leaves_majority();
        let load = Load::new(&lab, &addresses, &format!("chaos-{number}"));
        let run_seed = seed.wrapping_mul(1000).wrapping_add(number);
        let (told, (left_out, gap, back)) = load.run(CLIENTS, run_seed, |load| {
            writes_go_on(load);
            let since = load.now();
            let left_out = fault.happen(&lab, &hosts, load).err();
            let gap = Gaps::between(&load.history(), since, load.now());
            let back = faults::recover(&lab);
            writes_go_on(load);
            (left_out, gap, back)
        });
        let verdict = history::check(&told.history);
        report(&format!(
            "  {number}: {fault:?}: {gap}; all well after {back:.1?}; {} operations, {} lists, {} watches",
            told.history.operations.len(),
            told.history.lists.len(),
            told.history.watches.len()
        ));
        for (complaint, count) in told.complaints {
            report(&format!("      {count:4} × {complaint}"));
        }
        if let Some(why) = left_out {
            report(&format!("      left out: {why}"));
            if std::env::var_os("HARDWAY_LAB").is_some() {
                // Its summary is of the lab that all share.
                Lab::open().leave_out(&format!("{fault:?}"), &why);
            }
        } else if fault.leaves_majority() {
            gaps.push(gap.longest);
        }
        if !verdict.violations.is_empty() || !verdict.undecided.is_empty() {
            complaints.push(format!("{number}: {fault:?}\n{verdict}"));
        }
    }
    gaps.sort_unstable();
    let p99 = load::p99(gaps.clone());
    report(&format!("  no write for {gaps:.1?}, p99 {p99:.1?}"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(
        !has_gaps || !gaps.is_empty(),
        "all faults with which writes go on were left out"
    );
    assert!(
        p99 < GAP,
        "one fault of {count} stopped all writes for {p99:.1?}"
    );
}

fn writes_go_on(load: &Load) {
    let since = load.now();
    within(Duration::from_secs(60), "writes go on", || {
        let count = load.writes_since(since);
        holds(count >= 30, format!("{count} writes were answered"))
    });
}
