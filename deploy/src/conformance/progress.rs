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
    /// How many will have run in the end, where that is known: not when several programs
    /// share the tests.
    pub total: Option<usize>,
}

#[derive(Deserialize)]
struct Update {
    msg: String,
    #[serde(default)]
    total: i64,
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
        // Ginkgo says -1 where it does not know.
        total: usize::try_from(update.total).ok(),
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
            total: Some(52),
        };
        assert_eq!(finished(passed), Some(expected));
        let failed = r#"{"msg":"FAILED [sig-cli] x","total":2,"completed":0,"skipped":3,"failed":1,"failures":["[sig-cli] x"]}"#;
        assert!(finished(failed).is_some_and(|test| !test.passed && test.total == Some(2)));
        // With two programs, by Ginkgo's own.
        let shared =
            r#"[2] {"msg":"PASSED [sig-cli] y","total":-1,"completed":1,"skipped":3,"failed":0}"#;
        assert!(finished(shared).is_some_and(|test| test.passed && test.total.is_none()));
        for other in [
            r#"{"msg":"Test Suite starting","total":2,"completed":0,"skipped":0,"failed":0}"#,
            "STEP: Creating a kubernetes client",
            r#"{"msg":"PASSED cut sho"#,
        ] {
            assert_eq!(finished(other), None, "{other}");
        }
    }
}
