//! How far the tests are, read from what `e2e.test` prints.
//!
//! Its `ProgressReporter` (test/e2e/reporters/progress.go in Kubernetes, since 1.17) prints a
//! line of JSON after each test, sometimes behind a mark of Ginkgo's.

use serde::Deserialize;

/// A test that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// How many have ended so far, this one included.
    pub count: usize,
    /// How many will have run in the end.
    pub total: usize,
}

#[derive(Deserialize)]
struct Update {
    msg: String,
    #[serde(default)]
    total: usize,
    #[serde(default)]
    completed: usize,
    #[serde(default)]
    failed: usize,
}

/// The test of whose end a line tells, if it does.
pub fn finished(line: &str) -> Option<Finished> {
    let start = line.find(r#"{"msg":""#)?;
    let mut values = serde_json::Deserializer::from_str(&line[start..]).into_iter::<Update>();
    let update = values.next()?.ok()?;
    let (word, name) = update.msg.split_once(' ')?;
    let passed = match word {
        "PASSED" => true,
        "FAILED" => false,
        _ => return None,
    };
    Some(Finished {
        name: name.to_owned(),
        passed,
        // What Kubernetes calls completed are those that passed.
        count: update.completed + update.failed,
        total: update.total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_which_test_ended_how() {
        // As 1.20 prints them.
        let passed = r#"•{"msg":"PASSED [sig-apps] Job should run [Conformance]","total":52,"completed":4,"skipped":310,"failed":1}"#;
        let expected = Finished {
            name: "[sig-apps] Job should run [Conformance]".to_owned(),
            passed: true,
            count: 5,
            total: 52,
        };
        assert_eq!(finished(passed), Some(expected));
        let failed = r#"{"msg":"FAILED [sig-cli] x","total":2,"completed":0,"skipped":3,"failed":1,"failures":["[sig-cli] x"]}"#;
        assert!(finished(failed).is_some_and(|test| !test.passed && test.count == 1));
        for other in [
            r#"{"msg":"Test Suite starting","total":2,"completed":0,"skipped":0,"failed":0}"#,
            "STEP: Creating a kubernetes client",
            r#"{"msg":"PASSED cut sho"#,
        ] {
            assert_eq!(finished(other), None, "{other}");
        }
    }
}
