//! Everything at once for a long time: every process is killed and stopped, objects are
//! poisoned, owners go in circles, clients flood, nodes lose power and network, while
//! writers note each acknowledged write. In the end nothing acknowledged is lost, nothing
//! is doubled, and the cluster works without a hand.
//!
//! Three control planes get worse, in a lab of their own: hosts without power, cut off from some
//! or all, with slow and full disks and wrong clocks; what clients of all three API servers were
//! told meanwhile is judged by rules (`hardway_tests::history`).
//!
//! Runs only when it is named: `cargo hardway test --only e2e --suite chaos`, with the name of one
//! of its tests behind `--` only that one. The environment may say $CHAOS_HARMS (how many kills and
//! stops, 200), $CHAOS_FAULTS (how many faults of three control planes, 40), $CHAOS_FAULT (only
//! those of this number), $CHAOS_SEED.

#[path = "chaos/control_planes.rs"]
mod control_planes;
#[path = "chaos/faults.rs"]
mod faults;
#[path = "chaos/harm.rs"]
mod harm;
#[path = "chaos/ledger.rs"]
mod ledger;
#[path = "chaos/writers.rs"]
mod writers;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hardway_tests::dice::Dice;
use hardway_tests::workload::Workload;
use hardway_tests::{Kubectl, attacks, until, within};
use serde_json::{Value, json};

use harm::Tally;
use ledger::Ledger;
use writers::{Notes, Place};

const WRITERS: usize = 4;

/// Says how it goes, past the capture of tests that pass.
fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_string());
    text.parse()
        .unwrap_or_else(|_| panic!("{name}={text} is no number"))
}

#[test]
#[ignore = "needs a lab: cargo hardway test --only e2e --suite chaos"]
fn nothing_acknowledged_is_lost() {
    let harms = setting("CHAOS_HARMS", 200);
    let seed = setting("CHAOS_SEED", u64::from(std::process::id()));
    report(&format!(
        "chaos: {harms} kills and stops, CHAOS_SEED={seed}"
    ));
    let workload = Workload::start("chaos");
    let place = Place::new(&workload.lab, &workload.namespace.name);
    let over = AtomicBool::new(false);
    let notes: Vec<Mutex<Notes>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let start = Instant::now();
    let (tally, mut complaints) = std::thread::scope(|scope| {
        for (writer, notes) in notes.iter().enumerate() {
            let (place, over) = (&place, &over);
            let dice = Dice::new(seed.wrapping_add(writer as u64 + 1));
            scope.spawn(move || writers::write(place, writer, dice, over, notes));
        }
        let ended = catch_unwind(AssertUnwindSafe(|| {
            chaos(&workload, harms, Dice::new(seed))
        }));
        over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let mut ledger = Ledger::default();
    for notes in notes {
        let notes = notes.into_inner().expect("writers don't panic");
        ledger.merge(notes.ledger);
        complaints.extend(notes.complaints);
    }
    let found = until("the objects can be read", || place.read_all());
    complaints.extend(ledger.complaints(&found));
    let ([kills, stops, ends], [done, refused, unknown]) = (tally.sums(), ledger.counts());
    report(&format!(
        "{tally}\n  {kills} kills, {stops} stops, {ends} ends by themselves in {:.0?}\n  \
         {done} writes acknowledged, {refused} refused, {unknown} unknown; {} objects found; {} complaints",
        start.elapsed(),
        found.len(),
        complaints.len(),
    ));
    assert!(done > 0, "nothing was written");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    needs_no_hand(&workload);
}

#[test]
#[ignore = "needs what is built: cargo hardway test --only e2e --suite chaos"]
fn three_control_planes_tell_the_same() {
    let count = setting("CHAOS_FAULTS", 40);
    let seed = setting("CHAOS_SEED", u64::from(std::process::id()));
    report(&format!("chaos: {count} faults, CHAOS_SEED={seed}"));
    control_planes::run(count, seed);
}

/// Does all harm; every process gets its share. Tells what was not got over in time.
fn chaos(workload: &Workload, harms: u64, mut dice: Dice) -> (Tally, Vec<String>) {
    let (lab, namespace) = (&workload.lab, &workload.namespace);
    let processes = harm::processes(lab);
    let (mut tally, mut complaints) = (Tally::default(), Vec::new());
    let mut order: Vec<&String> = Vec::new();
    for number in 0..harms {
        if order.is_empty() {
            order = processes.iter().collect();
        }
        let process = order.swap_remove(dice.below(order.len()));
        let attack = number / 20;
        let mut attempt = |what: &str, work: &mut dyn FnMut()| {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                complaints.push(format!("{number}: {what}"));
            }
        };
        attempt(process, &mut || {
            harm::harm(lab, process, &mut dice, &mut tally);
        });
        match number % 20 {
            4 => attempt("poison", &mut || {
                attacks::poison(namespace, &format!("poison-{attack}"));
            }),
            9 => attempt("circle of owners", &mut || {
                attacks::owner_circle(namespace, &format!("circle-{attack}"));
            }),
            14 => attempt("flood", &mut || {
                let flood = attacks::flood(lab, namespace, || attacks::leases_are_renewed(lab, 1));
                report(&format!("  {number}: {flood:?}"));
            }),
            19 => attempt("node", &mut || node(workload, number, &mut dice)),
            _ => {}
        }
        harm::supervise(lab, &mut tally);
    }
    (tally, complaints)
}

/// A node loses its power or its network for a while.
fn node(workload: &Workload, number: u64, dice: &mut Dice) {
    let victim = &workload.workers[dice.below(workload.workers.len())].name;
    let ways = [("kill", "start"), ("cut", "join")];
    let (away, back) = ways[dice.below(ways.len())];
    report(&format!("  {number}: node {away} {victim}"));
    workload.lab.tool(&format!("node {away} {victim}"));
    std::thread::sleep(Duration::from_secs(1 + dice.below(20) as u64));
    within(Duration::from_secs(120), "the node is back", || {
        workload.lab.try_tool(&format!("node {back} {victim}")).ok()
    });
}

/// All is well, and what is new works: a Deployment, its Service, its endpoints.
fn needs_no_hand(workload: &Workload) {
    workload.works("chaos");
    workload.ready("web", 2);
    let namespace = &workload.namespace;
    namespace.run("create deployment last --image=busybox:1.36 --replicas=2 -- sh -c 'mkdir /www; hostname >/www/index.html; exec httpd -f -p 8080 -h /www'");
    namespace.run("expose deployment last --port=80 --target-port=8080");
    namespace.run("rollout status deployment last --timeout=60s");
    until("the new Service has its two endpoints", || {
        let slices = namespace.try_json("get endpointslices -l kubernetes.io/service-name=last")?;
        let endpoints: Vec<&Value> = slices["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|slice| slice["endpoints"].as_array())
            .flatten()
            .filter(|endpoint| endpoint["conditions"]["ready"] == json!(true))
            .collect();
        hardway_tests::wait::holds(endpoints.len() == 2, &slices)
    });
    for worker in &workload.workers {
        workload.assert_clean(worker);
    }
    within(Duration::from_secs(60), "no pod hangs at its end", || {
        let pods = Kubectl::stock().run("get pods -A");
        hardway_tests::wait::holds(!pods.contains("Terminating"), &pods)
    });
}
