//! Many checks on one thing that is costly to set up: each is told by name, and a
//! failed one doesn't keep the others from being tried.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::cleanup::explain;
use crate::kubectl::Kubectl;

/// A check by its name.
pub type Step<T> = (&'static str, fn(&T));

/// Does the steps in order and fails at the end if any failed. $HARDWAY_STEPS
/// chooses some of them: parts of their names, with commas in between.
#[track_caller]
pub fn run<T>(subject: &T, kubectl: &Kubectl, steps: &[Step<T>]) {
    let chosen = std::env::var("HARDWAY_STEPS").unwrap_or_default();
    let chosen = |name: &str| chosen.split(',').any(|part| name.contains(part));
    let mut failed = Vec::new();
    for (name, step) in steps.iter().filter(|(name, _)| chosen(name)) {
        let start = Instant::now();
        let good = catch_unwind(AssertUnwindSafe(|| step(subject))).is_ok();
        if !good {
            explain(kubectl);
            failed.push(*name);
        }
        let outcome = if good { "ok" } else { "FAILED" };
        eprintln!("   {outcome:6} {name} ({:.1?})", start.elapsed());
    }
    assert!(
        failed.is_empty(),
        "steps that failed: {}",
        failed.join(", ")
    );
}
