//! Many checks on one thing that is costly to set up: each is told by name, and a
//! failed one doesn't keep the others from being tried.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::cleanup::explain;
use crate::kubectl::Kubectl;

/// A check by its name.
pub type Step<T> = (&'static str, fn(&T));

/// Does the steps in order and fails at the end if any failed. $HARDWAY_STEPS
/// chooses some of them: parts of their names, with commas in between.
#[track_caller]
pub fn run<T>(subject: &T, kubectl: &Kubectl, steps: &[Step<T>]) {
    let outcomes = chosen(steps).map(|step| attempt(subject, step));
    let outcomes: Vec<Outcome> = outcomes.inspect(|outcome| outcome.tell(kubectl)).collect();
    sum_up(&outcomes);
}

/// The same side by side, for steps that mostly wait and don't disturb each other.
#[track_caller]
pub fn run_side_by_side<T: Sync>(subject: &T, kubectl: &Kubectl, steps: &[Step<T>]) {
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let begun: Vec<_> = chosen(steps)
            .map(|step| scope.spawn(move || attempt(subject, step)))
            .collect();
        let ended = begun.into_iter().filter_map(|step| step.join().ok());
        ended.inspect(|outcome| outcome.tell(kubectl)).collect()
    });
    sum_up(&outcomes);
}

fn chosen<T>(steps: &[Step<T>]) -> impl Iterator<Item = &Step<T>> {
    let chosen = std::env::var("HARDWAY_STEPS").unwrap_or_default();
    let is_chosen = move |name: &str| chosen.split(',').any(|part| name.contains(part));
    steps.iter().filter(move |(name, _)| is_chosen(name))
}

/// How a step went.
struct Outcome {
    name: &'static str,
    good: bool,
    took: Duration,
}

impl Outcome {
    fn tell(&self, kubectl: &Kubectl) {
        if !self.good {
            explain(kubectl);
        }
        let outcome = if self.good { "ok" } else { "FAILED" };
        eprintln!("   {outcome:6} {} ({:.1?})", self.name, self.took);
    }
}

fn attempt<T>(subject: &T, (name, step): &Step<T>) -> Outcome {
    let start = Instant::now();
    let good = catch_unwind(AssertUnwindSafe(|| step(subject))).is_ok();
    Outcome {
        name,
        good,
        took: start.elapsed(),
    }
}

#[track_caller]
fn sum_up(outcomes: &[Outcome]) {
    let failed = outcomes.iter().filter(|outcome| !outcome.good);
    let failed: Vec<&str> = failed.map(|outcome| outcome.name).collect();
    assert!(
        failed.is_empty(),
        "steps that failed: {}",
        failed.join(", ")
    );
}
