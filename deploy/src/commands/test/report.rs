//! What `cargo test` tells of the tests that failed, read from what it prints.

use std::collections::BTreeMap;
use std::fmt;

/// So many lines of a complaint are kept.
const LONGEST: usize = 12;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The file it is in, without its ending.
    pub suite: String,
    /// Its name.
    pub test: String,
    /// What it panicked with last; empty where that wasn't captured.
    pub complaint: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.suite, self.test)?;
        match self.complaint.as_str() {
            "" => Ok(()),
            complaint => write!(to, ": {complaint}"),
        }
    }
}

/// What a run of tests told, line by line.
#[derive(Debug, Default)]
pub struct Report {
    /// Whether the command that ran them says that all is well.
    pub succeeded: bool,
    /// How many tests passed.
    pub passed: usize,
    /// Those that failed, in order.
    pub failed: Vec<Failed>,
    /// How many tests of each suite were run.
    ran: BTreeMap<String, usize>,
    /// The suites that cargo says have failed.
    suites: Vec<String>,
    suite: String,
    test: String,
    /// What each test of the suite panicked with.
    complaints: BTreeMap<String, Vec<String>>,
    place: Place,
}

/// The sum of several runs.
impl FromIterator<Report> for Report {
    fn from_iter<I: IntoIterator<Item = Report>>(runs: I) -> Self {
        let mut sum = Self {
            succeeded: true,
            ..Self::default()
        };
        for run in runs {
            sum.succeeded &= run.succeeded;
            sum.passed += run.passed;
            sum.failed.extend(run.failed);
            sum.suites.extend(run.suites);
            for (suite, count) in run.ran {
                *sum.ran.entry(suite).or_default() += count;
            }
        }
        sum
    }
}

/// What the next line belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Other,
    /// The text of a panic.
    Panic,
    /// The names of the tests that failed.
    Names(Vec<String>),
}

impl Report {
    /// Reads the next line.
    pub fn read(&mut self, line: &str) {
        if let Some(suite) = between(line, "Running tests/", ".rs (") {
            suite.clone_into(&mut self.suite);
            self.complaints.clear();
            self.test.clear();
        } else if let Some(target) = between(line, "to rerun pass `", "`") {
            let suite = target.rsplit(' ').next().unwrap_or_default();
            self.suites.push(suite.to_owned());
        } else if let Some(test) = between(line, "---- ", " stdout ----") {
            test.clone_into(&mut self.test);
        } else if line.starts_with("thread '") && line.contains(" panicked at ") {
            self.place = Place::Panic;
            self.complaints.insert(self.test.clone(), Vec::new());
        } else if line == "failures:" {
            self.place = Place::Names(Vec::new());
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.end_of_suite(result);
        } else {
            self.within(line);
        }
    }

    /// A line that belongs to what came before.
    fn within(&mut self, line: &str) {
        match &mut self.place {
            Place::Other => {}
            Place::Panic => {
                let lines = self.complaints.entry(self.test.clone()).or_default();
                let ends = ["stack backtrace:", "note: ", "$ "];
                if ends.iter().any(|end| line.starts_with(end)) || lines.len() == LONGEST {
                    self.place = Place::Other;
                } else {
                    lines.push(line.trim().to_owned());
                }
            }
            Place::Names(names) => match line.strip_prefix("    ") {
                Some(name) if !name.contains(' ') => names.push(name.to_owned()),
                _ if line.is_empty() => {}
                // The same heading stands before what the tests printed.
                _ => self.place = Place::Other,
            },
        }
    }

    fn end_of_suite(&mut self, result: &str) {
        let count = |before, after| {
            let count = between(result, before, after);
            count.and_then(|count| count.parse().ok()).unwrap_or(0)
        };
        let passed: usize = count(". ", " passed");
        self.passed += passed;
        *self.ran.entry(self.suite.clone()).or_default() += passed + count("; ", " failed");
        if let Place::Names(names) = std::mem::take(&mut self.place) {
            for test in names {
                let complaint = self.complaints.remove(&test).unwrap_or_default();
                self.failed.push(Failed {
                    suite: self.suite.clone(),
                    complaint: complaint.join(" ").trim().to_owned(),
                    test,
                });
            }
        }
    }

    /// Suites that came to their end without having run a test.
    pub fn empty(&self) -> Vec<&str> {
        let empty = self.ran.iter().filter(|(_, count)| **count == 0);
        empty.map(|(suite, _)| suite.as_str()).collect()
    }

    /// Suites that failed, and of which no test did: they ended early.
    pub fn silent(&self) -> Vec<&str> {
        let told = |suite: &str| self.failed.iter().any(|test| test.suite == suite);
        let suites = self.suites.iter().map(String::as_str);
        suites.filter(|suite| !told(suite)).collect()
    }
}

/// The part of a line between two others.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(line.split_once(before)?.1.split_once(after)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As cargo 1.90 and libtest print it.
    const PRINTED: &str = "\
     Running tests/pods.rs (target/debug/deps/pods-6ac6e99fb9fb9131)

running 1 test
test pods_are_what_they_ask_for ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s

     Running tests/self_healing.rs (target/debug/deps/self_healing-3fc9550b461bf1df)

running 2 tests
test pods_leave_without_a_request_lost ... ok
test the_cluster_heals_itself ... FAILED

failures:

---- the_cluster_heals_itself stdout ----
   ok     startup probe that fails (7.1s)

thread '<unnamed>' (12) panicked at tests/tests/self_healing.rs:9:5:
in pod moody: touch /tmp/ready
error: unable to upgrade connection: container not found (\"main\")

stack backtrace:
   0: __rustc::rust_begin_unwind
$ kubectl get pods
NAME   READY
failures:
    are shown here

thread 'the_cluster_heals_itself' (11) panicked at tests/tests/self_healing.rs:30:5:
steps that failed:
  readiness comes and goes: in pod moody: touch /tmp/ready
$ kubectl get pods
moody 0/1


failures:
    the_cluster_heals_itself

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 37.85s

error: test failed, to rerun pass `-p hardway-tests --test self_healing`
     Running tests/tutorial.rs (target/debug/deps/tutorial-03e2c537d37e9db6)

running 1 test
error: test failed, to rerun pass `-p hardway-tests --test tutorial`

Caused by:
  process didn't exit successfully: `tutorial --ignored` (signal: 9, SIGKILL: kill)
error: 2 targets failed:
    `-p hardway-tests --test self_healing`
    `-p hardway-tests --test tutorial`
";

    #[test]
    fn failures_are_read_with_their_last_complaint() {
        let mut report = Report::default();
        PRINTED.lines().for_each(|line| report.read(line));
        let failed = Failed {
            suite: "self_healing".to_owned(),
            test: "the_cluster_heals_itself".to_owned(),
            complaint:
                "steps that failed: readiness comes and goes: in pod moody: touch /tmp/ready"
                    .to_owned(),
        };
        assert_eq!(
            failed.to_string(),
            "self_healing the_cluster_heals_itself: steps that failed: \
             readiness comes and goes: in pod moody: touch /tmp/ready"
        );
        assert_eq!(report.failed, std::slice::from_ref(&failed));
        assert_eq!(report.passed, 2);
        assert_eq!(report.silent(), ["tutorial"]);
        assert!(report.empty().is_empty());

        let good = Report {
            succeeded: true,
            passed: 3,
            ..Report::default()
        };
        let sum: Report = [good, report].into_iter().collect();
        assert_eq!((sum.succeeded, sum.passed), (false, 5));
        assert_eq!(
            (sum.silent(), &*sum.failed),
            (vec!["tutorial"], &[failed][..])
        );
    }

    #[test]
    fn suites_without_a_test_that_runs_are_known() {
        let result = |suite: &str, counts: &str| {
            let mut report = Report::default();
            report.read(&format!("     Running tests/{suite}.rs (x)"));
            report.read(&format!("test result: {counts}; 1 ignored; 0 measured"));
            report
        };
        let runs = [
            result("rbac", "ok. 0 passed; 0 failed"),
            result("dns", "ok. 0 passed; 0 failed"),
            // Another package's suite of the same name.
            result("dns", "ok. 2 passed; 0 failed"),
            result("pods", "FAILED. 0 passed; 1 failed"),
        ];
        let all: Report = runs.into_iter().collect();
        assert_eq!(all.empty(), ["rbac"]);
    }
}
