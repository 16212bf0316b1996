//! End-to-end tests that fail by bad luck: a few that failed are run once more, each by
//! itself, and told of loudly if they pass then.

use std::process::Command;

use anstream::println;

use super::Notes;
use super::report::{Failed, Report};
use super::run_tests::{self, Show};
use crate::failure::{Failure, Result};

/// So many tests may fail and be tried again; with more of them it is no bad luck.
const MOST: usize = 3;

/// Runs the tests that failed once more, by the command that `again` makes of one, if there
/// are few of them and the labs `are_well`. Tells which passed at the second try only.
pub fn run(
    report: Report,
    again: impl Fn(&Failed) -> Result<Command>,
    are_well: impl Fn() -> Result<()>,
) -> Result<Notes> {
    if report.succeeded {
        return Ok(Notes::new());
    }
    let few = may_be_bad_luck(&report).map_err(|why| failure(&why, &report.failed))?;
    are_well().map_err(|why| failure(&format!("no second try, {why}"), &report.failed))?;
    let (mut flaky, mut lost) = (Notes::new(), Vec::new());
    for test in few {
        println!("\nonce more: {} of {}", test.test, test.suite);
        let second = run_tests::run(again(test)?, Show::AtOnce)?;
        if second.succeeded && second.passed == 1 {
            flaky.push(format!("flaky: {test} (passed at the second try)"));
        } else {
            lost.push(second.failed.into_iter().next().unwrap_or(test.clone()));
        }
    }
    if lost.is_empty() {
        return Ok(flaky);
    }
    Err(failure("these failed twice", &lost))
}

/// The tests that failed, if a second try of them is worth its time; or why it isn't.
fn may_be_bad_luck(report: &Report) -> std::result::Result<&[Failed], String> {
    let silent = report.silent();
    if !silent.is_empty() {
        let suites = silent.join(", ");
        return Err(format!("ended without telling what failed: {suites}"));
    }
    match report.failed.len() {
        0 => Err("no test says that it failed; the output above tells more".to_owned()),
        1..=MOST => Ok(&report.failed),
        count => Err(format!("{count} tests failed, none is tried again")),
    }
}

fn failure(why: &str, failed: &[Failed]) -> Failure {
    let lines: Vec<String> = failed.iter().map(|test| format!("\n{test}")).collect();
    Failure::new("run the end-to-end tests", why.to_owned() + &lines.concat())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What a suite prints whose tests fail.
    fn failing(names: &[&str]) -> String {
        let list: Vec<String> = names.iter().map(|name| format!("    {name}\n")).collect();
        let list = list.concat();
        format!(
            "     Running tests/rbac.rs (x)\nfailures:\n{list}\ntest result: FAILED. 0 passed\n\
             error: test failed, to rerun pass `-p hardway-tests --test rbac`\n"
        )
    }

    const GOOD: &str = "test result: ok. 1 passed; 0 failed; 0 ignored\n";
    const NONE: &str = "test result: ok. 0 passed; 0 failed; 0 ignored\n";

    fn prints(text: &str, code: u8) -> Command {
        let mut command = Command::new("sh");
        let script = format!("printf %s \"$0\"; exit {code}");
        command.args(["-c", &script, text]);
        command
    }

    /// What comes of tests that print this at first, and then each of these with its exit
    /// status; and which were tried again.
    fn after(first: (&str, u8), second: &[(&str, u8)], well: bool) -> (Result<Notes>, Vec<String>) {
        let tried = RefCell::new(Vec::new());
        let result = run(
            run_tests::run(prints(first.0, first.1), Show::AtTheEnd).unwrap(),
            |test| {
                let (text, code) = second[tried.borrow().len()];
                tried.borrow_mut().push(test.test.clone());
                Ok(prints(text, code))
            },
            || match well {
                true => Ok(()),
                false => Err(Failure::new("the lab", "etcd has ended")),
            },
        );
        (result, tried.into_inner())
    }

    #[test]
    fn a_few_failures_get_a_second_try() {
        let (result, tried) = after((GOOD, 0), &[], true);
        assert_eq!((result, tried.len()), (Ok(Notes::new()), 0));
        let two = failing(&["who", "what"]);
        let (result, tried) = after((&two, 101), &[(GOOD, 0), (GOOD, 0)], true);
        assert_eq!(tried, ["who", "what"]);
        let flaky =
            ["who", "what"].map(|test| format!("flaky: rbac {test} (passed at the second try)"));
        assert_eq!(result.unwrap(), flaky);
    }

    #[test]
    fn who_fails_twice_fails() {
        let two = failing(&["who", "what"]);
        let again = failing(&["what"]);
        let (result, tried) = after((&two, 101), &[(GOOD, 0), (&again, 101)], true);
        assert_eq!(tried.len(), 2);
        assert_eq!(result.unwrap_err().why, "these failed twice\nrbac what");
        // A test that wasn't run has not passed.
        let (result, _) = after((&failing(&["who"]), 101), &[(NONE, 0)], true);
        assert!(result.is_err());
    }

    #[test]
    fn what_is_no_bad_luck_is_not_tried_again() {
        let four = failing(&["a", "b", "c", "d"]);
        let silent = "error: test failed, to rerun pass `-p hardway-tests --test dns`\n";
        for (printed, well, why) in [
            (four.as_str(), true, "4 tests failed"),
            (silent, true, "without telling what failed: dns"),
            ("error: could not compile", true, "no test says"),
            (&failing(&["a"]), false, "etcd has ended"),
        ] {
            let (result, tried) = after((printed, 101), &[], well);
            let failure = result.unwrap_err();
            assert!(failure.why.contains(why), "{failure}");
            assert!(tried.is_empty());
        }
    }
}
