//! The report that `e2e.test` writes in the end: JUnit's XML, by Ginkgo 1 (until Kubernetes
//! 1.24) or 2.

use std::collections::BTreeMap;
use std::fmt;

use roxmltree::{Document, Node};

/// So many characters of a cause are shown.
const LONGEST: usize = 300;

/// A test that has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Why it failed, if it did: the first thing it complained of, in a line.
    pub failure: Option<String>,
}

impl Test {
    /// The part of Kubernetes it belongs to: the first `[sig-…]` in its name, else its first
    /// label, which some have instead (`[k8s.io]` until 1.20).
    pub fn area(&self) -> &str {
        label_after(&self.name, "[sig-")
            .or_else(|| label_after(&self.name, "["))
            .unwrap_or("-")
    }
}

/// What stands between `start` and the next bracket.
fn label_after<'a>(name: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = name.split_once(start)?;
    rest.split_once(']').map(|(label, _)| label)
}

/// The tests of a report that have run, in its order. Those that were left out are not told.
///
/// # Errors
/// If it is no XML, with the parser's words.
pub fn read(xml: &str) -> Result<Vec<Test>, roxmltree::Error> {
    let document = Document::parse(xml)?;
    let cases = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"));
    Ok(cases.filter_map(test).collect())
}

fn test(case: Node<'_, '_>) -> Option<Test> {
    let child = |name: &str| case.children().find(|node| node.has_tag_name(name));
    if child("skipped").is_some() {
        return None;
    }
    let failure = child("failure").or_else(|| child("error"));
    let name = case.attribute("name")?;
    // Ginkgo 2 says which kind of node each one is, and lists set-up as well.
    let name = name.strip_prefix("[It] ").unwrap_or(name);
    let set_up = label_after(name, "[").is_some_and(|label| label.ends_with("Suite"));
    if failure.is_none() && set_up {
        return None;
    }
    Some(Test {
        name: name.to_owned(),
        failure: failure.map(|node| {
            let text = [node.text(), node.attribute("message")];
            let causes = text.into_iter().flatten().map(first_cause);
            let mut causes = causes.filter(|cause| !cause.is_empty());
            causes
                .next()
                .unwrap_or_else(|| "it does not say why".to_owned())
        }),
    })
}

/// The complaint itself, out of a failure's text: without the places in the source, the
/// time, and Go's rendering of an error, which its message follows.
fn first_cause(text: &str) -> String {
    let mut words = Vec::new();
    // The indentation of the line that opened a value in Go's syntax.
    let mut inside: Option<usize> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(opened) = inside {
            if indentation <= opened && line.starts_with('}') {
                inside = None;
            }
            continue;
        }
        if line.starts_with('<') && line.ends_with('{') {
            inside = Some(indentation);
            continue;
        }
        let line = line.strip_prefix("[FAILED] ").unwrap_or(line);
        let line = without_time(line);
        let line = line.strip_prefix("FAIL: ").unwrap_or(line);
        let noise = [
            "",
            "occurred",
            "to have occurred",
            "Unexpected error:",
            "Expected error:",
        ];
        if noise.contains(&line) || is_place(line) {
            continue;
        }
        if line.starts_with("Full Stack Trace") {
            break;
        }
        words.push(line);
    }
    let mut cause = words.join(" ");
    if let Some((end, _)) = cause.char_indices().nth(LONGEST) {
        cause.truncate(end);
        cause.push('…');
    }
    cause
}

/// `/src/test/e2e/apps/job.go:113`, also with words before or behind it.
fn is_place(line: &str) -> bool {
    let place = line.strip_prefix("In [It] at: ").unwrap_or(line);
    let place = place.split(' ').next().unwrap_or_default();
    place
        .split_once(".go:")
        .is_some_and(|(_, number)| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// Without `Nov 26 13:46:45.123: ` in front.
fn without_time(line: &str) -> &str {
    let Some((time, rest)) = line.split_once(": ") else {
        return line;
    };
    let time: Vec<&str> = time.split_whitespace().collect();
    match time.as_slice() {
        [month, _, clock] if month.len() == 3 && clock.matches(':').count() == 2 => rest,
        _ => line,
    }
}

/// How the tests went: a line for each area, then what failed and why.
pub struct Summary<'a>(pub &'a [Test]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for test in self.0 {
            let (passed, failed) = areas.entry(test.area()).or_default();
            match test.failure {
                None => *passed += 1,
                Some(_) => *failed += 1,
            }
        }
        writeln!(to, "{:<24}{:>7}{:>7}", "AREA", "PASSED", "FAILED")?;
        let (mut all_passed, mut all_failed) = (0, 0);
        for (area, (passed, failed)) in areas {
            writeln!(to, "{area:<24}{passed:>7}{failed:>7}")?;
            all_passed += passed;
            all_failed += failed;
        }
        write!(to, "{:<24}{all_passed:>7}{all_failed:>7}", "all")?;
        let mut failed: Vec<&Test> = self
            .0
            .iter()
            .filter(|test| test.failure.is_some())
            .collect();
        failed.sort_by_key(|test| (test.area(), &test.name));
        for test in failed {
            let cause = test.failure.as_deref().unwrap_or_default();
            write!(to, "\nFAILED {}\n       {cause}", test.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kubernetes 1.20 writes it, with Ginkgo 1.
    const GINKGO_1: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
  <testsuite name="Kubernetes e2e suite" tests="4" failures="1" errors="0" time="62.1">
      <testcase name="[sig-apps] Job should run [Conformance]" classname="Kubernetes e2e suite" time="9.2"></testcase>
      <testcase name="[k8s.io] Pods should be updated [Conformance]" classname="Kubernetes e2e suite" time="3"></testcase>
      <testcase name="[sig-node] Pods are left out" classname="Kubernetes e2e suite" time="0">
          <skipped></skipped>
      </testcase>
      <testcase name="[sig-api-machinery] Aggregator Should be able &amp; willing [Conformance]" classname="Kubernetes e2e suite" time="61">
          <failure type="Failure">/src/test/e2e/apimachinery/aggregator.go:113&#xA;Nov 26 13:46:45.123: creating a thing&#xA;Unexpected error:&#xA;    &lt;*errors.StatusError | 0xc0001&gt;: {&#xA;        ErrStatus: {&#xA;            Code: 404,&#xA;        },&#xA;    }&#xA;    the server could not find the requested resource&#xA;occurred&#xA;/src/vendor/github.com/onsi/ginkgo/runner.go:113</failure>
          <system-out>much</system-out>
      </testcase>
  </testsuite>"#;

    /// As Kubernetes 1.30 writes it, with Ginkgo 2.
    const GINKGO_2: &str = r#"<testsuites tests="3"><testsuite name="Kubernetes e2e suite">
      <testcase name="[SynchronizedBeforeSuite]" status="passed" time="1"></testcase>
      <testcase name="[It] [sig-network] DNS should answer [Conformance]" status="passed" time="3"></testcase>
      <testcase name="[It] [sig-network] Services should listen" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
      <testcase name="[It] [sig-network] Services should serve [Conformance]" status="failed" time="8">
        <failure message="timed out" type="failed">[FAILED] timed out waiting for the condition&#xA;In [It] at: k8s.io/kubernetes/test/e2e/network/service.go:55 @ 11/26/26 13:46:45.1</failure>
      </testcase></testsuite></testsuites>"#;

    #[test]
    fn both_kinds_of_report_tell_what_failed_and_why() {
        let mut tests = read(GINKGO_1).unwrap();
        assert_eq!(tests.len(), 3);
        assert_eq!(tests[0].area(), "apps");
        assert_eq!(
            tests[2].failure.as_deref(),
            Some("creating a thing the server could not find the requested resource")
        );
        tests.extend(read(GINKGO_2).unwrap());
        assert_eq!(
            Summary(&tests).to_string(),
            "AREA                     PASSED FAILED
api-machinery                 0      1
apps                          1      0
k8s.io                        1      0
network                       1      1
all                           3      2
FAILED [sig-api-machinery] Aggregator Should be able & willing [Conformance]
       creating a thing the server could not find the requested resource
FAILED [sig-network] Services should serve [Conformance]
       timed out waiting for the condition"
        );
        assert!(read("no report").is_err());
    }

    #[test]
    fn long_causes_are_cut_where_a_character_ends() {
        let cause = first_cause(&"ä".repeat(1000));
        assert_eq!(cause.chars().count(), LONGEST + 1);
        assert_eq!(first_cause("/a/b.go:1\n/c/d.go:22 +0x1\n"), "");
    }
}
