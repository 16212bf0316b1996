//! Many checks on one thing that is costly to set up: each is told by name, and a
//! failed one doesn't keep the others from being tried.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::cleanup::explain;
use crate::kubectl::Kubectl;
use crate::text::squeezed;

/// A check by its name.
pub type Step<T> = (&'static str, fn(&T));

/// Does the steps in order and fails at the end if any failed. $HARDWAY_STEPS
/// chooses some of them: parts of their names, with commas in between. A part that no
/// step's name has is a mistake.
#[track_caller]
pub fn run<T>(subject: &T, kubectl: &Kubectl, steps: &[Step<T>]) {
    run_explained(subject, &|| explain(kubectl), steps);
}

/// The same with another way to print what there is to see after a failure.
#[track_caller]
pub fn run_explained<T>(subject: &T, explain: &dyn Fn(), steps: &[Step<T>]) {
    let outcomes = chosen(steps).into_iter().map(|step| attempt(subject, step));
    let outcomes: Vec<Outcome> = outcomes.inspect(|outcome| outcome.tell(explain)).collect();
    sum_up(&outcomes);
}

/// The same side by side, for steps that mostly wait and don't disturb each other.
#[track_caller]
pub fn run_side_by_side<T: Sync>(subject: &T, kubectl: &Kubectl, steps: &[Step<T>]) {
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let begun: Vec<_> = chosen(steps)
            .into_iter()
            .map(|step| scope.spawn(move || attempt(subject, step)))
            .collect();
        let ended = begun
            .into_iter()
            .map(|step| step.join().expect("a step's panic is caught"));
        ended
            .inspect(|outcome| outcome.tell(&|| explain(kubectl)))
            .collect()
    });
    sum_up(&outcomes);
}

#[track_caller]
fn chosen<T>(steps: &[Step<T>]) -> Vec<&Step<T>> {
    let chosen = std::env::var("HARDWAY_STEPS").unwrap_or_default();
    choose(steps, &chosen).unwrap_or_else(|why| panic!("HARDWAY_STEPS={chosen}: {why}"))
}

/// The steps whose names have any of the parts.
fn choose<'a, T>(steps: &'a [Step<T>], parts: &str) -> Result<Vec<&'a Step<T>>, String> {
    let has = |part: &str| steps.iter().any(|(name, _)| name.contains(part));
    if let Some(part) = parts.split(',').find(|part| !has(part)) {
        let names: Vec<&str> = steps.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        return Err(format!(
            "no step here is called {part:?}, choose the test too; steps: {names}"
        ));
    }
    let is_chosen = |name: &str| parts.split(',').any(|part| name.contains(part));
    Ok(steps.iter().filter(|(name, _)| is_chosen(name)).collect())
}

/// How a step went.
struct Outcome {
    name: &'static str,
    /// What it panicked with, if it failed.
    complaint: Option<String>,
    took: Duration,
}

impl Outcome {
    fn tell(&self, explain: &dyn Fn()) {
        if self.complaint.is_some() {
            explain();
        }
        let outcome = if self.complaint.is_none() {
            "ok"
        } else {
            "FAILED"
        };
        eprintln!("   {outcome:6} {} ({:.1?})", self.name, self.took);
    }
}

fn attempt<T>(subject: &T, (name, step): &Step<T>) -> Outcome {
    let start = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| step(subject)));
    Outcome {
        name,
        complaint: ended.err().map(|panic| message(panic.as_ref())),
        took: start.elapsed(),
    }
}

/// The text of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

/// Fails if a step did, with a line for each: its name and the start of its complaint. The
/// whole complaint is far above, and `hardway test` repeats this at its end.
#[track_caller]
fn sum_up(outcomes: &[Outcome]) {
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| {
            let complaint = squeezed(outcome.complaint.as_ref()?).replace('\n', " ");
            let start: String = complaint.chars().take(LONGEST_COMPLAINT).collect();
            Some(format!("  {}: {start}", outcome.name))
        })
        .collect();
    assert!(
        failed.is_empty(),
        "steps that failed:\n{}",
        failed.join("\n")
    );
}

/// So many characters of a complaint are repeated.
const LONGEST_COMPLAINT: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parts: &str) -> Result<Vec<&'static str>, String> {
        const STEPS: &[Step<()>] = &[("watch", |()| ()), ("pages", |()| ())];
        Ok(choose(STEPS, parts)?
            .into_iter()
            .map(|(name, _)| *name)
            .collect())
    }

    #[test]
    fn a_misspelt_choice_is_a_failure() {
        assert_eq!(names("").unwrap(), ["watch", "pages"]);
        assert_eq!(names("page").unwrap(), ["pages"]);
        assert_eq!(names("page,watch").unwrap(), ["watch", "pages"]);
        assert!(names("pagse").unwrap_err().contains("watch, pages"));
        assert!(names("watch,pagse").is_err());
        assert!(choose::<()>(&[], "").is_err(), "no steps at all");
    }

    #[test]
    fn the_sum_names_each_step_that_failed_and_why() {
        const STEPS: &[Step<()>] = &[
            ("good", |()| ()),
            ("short", |()| panic!("no")),
            ("long", |()| assert_eq!(1, 2, "in:\n  {}", "x".repeat(1000))),
        ];
        let ended = catch_unwind(|| run_explained(&(), &|| (), STEPS));
        let sum = message(ended.unwrap_err().as_ref());
        let lines: Vec<&str> = sum.lines().collect();
        assert_eq!(lines[..2], ["steps that failed:", "  short: no"]);
        assert!(lines[2].starts_with("  long: assertion `left == right` failed: in: xxx"));
        assert_eq!((lines.len(), lines[2].chars().count()), (3, 408));
    }
}
