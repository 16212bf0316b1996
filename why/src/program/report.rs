//! What was found, as text for people and as JSON for programs.

use std::fmt::Write;

use anstream::println;
use hardway_why::{Diagnosis, Evidence, Explanation, Severity, Source, Unread};
use jiff::Timestamp;
use serde::Serialize;

use crate::Failure;
use crate::printable::Printable;

// Colours are taken out again where the output is no terminal, or NO_COLOR is set.
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Shows it as indented JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::new("write JSON", error, "ask for text:  -o text"))?;
    println!("{}", escaped(&text));
    Ok(())
}

/// JSON whose strings have no control characters: most are escaped already, and DEL and those
/// above it here.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_control() && character != '\n' {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// The answer about one object: a line, then a chain for each cause.
pub fn explanation(told: &Explanation) -> String {
    let mut out = String::new();
    let colour = match told.causes.first().map(|it| it.severity) {
        None => GREEN,
        Some(severity) => colour(severity),
    };
    let namespace = told.subject.namespace.as_deref();
    let _ = writeln!(
        out,
        "{BOLD}{}{PLAIN}{}: {colour}{}{PLAIN}",
        Printable(&told.subject),
        within(namespace),
        Printable(&told.summary)
    );
    for (position, cause) in told.causes.iter().enumerate() {
        out.push('\n');
        if position > 0 {
            let _ = writeln!(
                out,
                "also {}: {}{}{PLAIN}",
                Printable(&cause.subject),
                self::colour(cause.severity),
                Printable(&cause.summary)
            );
        }
        chain(&mut out, cause);
    }
    unread(&mut out, &told.unread);
    out
}

/// Everything that is wrong, the worst first.
pub fn problems(found: &[Diagnosis], not_read: &[Unread], namespace: Option<&str>) -> String {
    let mut out = String::new();
    let place = namespace.map_or("the cluster".to_owned(), |it| format!("namespace {it}"));
    let _ = match found.len() {
        0 => writeln!(out, "{GREEN}nothing is wrong in {place}{PLAIN}"),
        1 => writeln!(out, "{BOLD}1 thing is wrong in {place}{PLAIN}"),
        n => writeln!(out, "{BOLD}{n} things are wrong in {place}{PLAIN}"),
    };
    for cause in found {
        let its_own = cause.subject.namespace.as_deref();
        let _ = writeln!(
            out,
            "\n{BOLD}{}{PLAIN}{}: {}{}{PLAIN}",
            Printable(&cause.subject),
            within(its_own.filter(|it| Some(*it) != namespace)),
            colour(cause.severity),
            Printable(&cause.summary)
        );
        chain(&mut out, cause);
    }
    unread(&mut out, not_read);
    out
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
        Severity::Info => PLAIN,
    }
}

fn within(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |it| format!(" in {}", Printable(it)))
}

fn chain(out: &mut String, cause: &Diagnosis) {
    for evidence in &cause.evidence {
        let _ = writeln!(
            out,
            "  {}  {FAINT}{}{}{PLAIN}",
            Printable(&evidence.object),
            Printable(place(&evidence.source)),
            age(evidence)
        );
        for line in evidence.says.lines() {
            let _ = writeln!(out, "      {}", Printable(line));
        }
    }
    if !cause.affected.is_empty() {
        const MOST: usize = 6;
        let names: Vec<String> = cause
            .affected
            .iter()
            .take(MOST)
            .map(ToString::to_string)
            .collect();
        let more = match cause.affected.len().saturating_sub(MOST) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(
            out,
            "  because of this not well: {}{more}",
            Printable(names.join(", "))
        );
    }
    for remedy in &cause.remedies {
        let _ = writeln!(out, "  → {}", Printable(&remedy.advice));
        if let Some(command) = &remedy.command {
            let _ = writeln!(out, "      {BOLD}{}{PLAIN}", Printable(command));
        }
    }
}

fn place(source: &Source) -> String {
    match source {
        Source::Field(path) => path.clone(),
        Source::Condition(kind) => format!("condition {kind}"),
        Source::Event(reason) => format!("event {reason}"),
        Source::Log(container) => format!("log of {container}"),
        Source::Answer(question) => format!("answer to {question}"),
        Source::Comparison => "compared".to_owned(),
    }
}

fn age(evidence: &Evidence) -> String {
    let Some(since) = evidence.since else {
        return String::new();
    };
    let seconds = (Timestamp::now().as_second() - since.as_second()).max(0);
    let (number, unit) = match seconds {
        ..=119 => (seconds, 's'),
        120..=7199 => (seconds / 60, 'm'),
        7200..=172_799 => (seconds / 3600, 'h'),
        _ => (seconds / 86_400, 'd'),
    };
    format!(", for {number}{unit}")
}

fn unread(out: &mut String, unread: &[Unread]) {
    if unread.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nnot seen, and might say more:");
    for it in unread {
        let _ = writeln!(out, "  {}: {}", it.resource, Printable(&it.reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_why::{Remedy, Subject};

    #[test]
    fn what_pods_and_events_say_does_not_reach_the_terminal_as_commands() {
        let evil = "a\x1b]0;title\x07\u{9b}2Jb\rc\x7f";
        let subject = Subject::new("Pod", Some(evil), evil);
        let source = [Source::Log(evil.into()), Source::Event(evil.into())];
        let evidence = source.map(|source| Evidence {
            object: subject.clone(),
            source,
            says: evil.into(),
            since: None,
        });
        let cause = Diagnosis {
            cause: "crash".into(),
            subject: subject.clone(),
            severity: Severity::Info,
            summary: evil.into(),
            since: None,
            evidence: evidence.into(),
            remedies: vec![Remedy {
                advice: evil.into(),
                command: Some(evil.into()),
            }],
            affected: vec![subject.clone()],
        };
        let unread = [Unread {
            resource: "nodes".into(),
            reason: evil.into(),
        }];
        let told = Explanation {
            subject,
            summary: evil.into(),
            causes: vec![cause.clone(), cause],
            unread: unread.to_vec(),
        };
        let is_ours = |text: &str| {
            let colours = [BOLD, RED, YELLOW, GREEN, FAINT, PLAIN];
            let rest = colours
                .iter()
                .fold(text.to_owned(), |it, colour| it.replace(colour, ""));
            !rest.replace('\n', "").contains(char::is_control)
        };
        assert!(is_ours(&explanation(&told)));
        assert!(is_ours(&problems(&told.causes, &unread, None)));
        let json = escaped(&serde_json::to_string_pretty(&told).unwrap());
        assert!(is_ours(&json));
        let again: Explanation = serde_json::from_str(&json).unwrap();
        assert_eq!(again, told);
    }

    #[test]
    fn the_line_comes_first_and_the_chain_below() {
        let subject = Subject::new("Pod", Some("default"), "web");
        let cause = Diagnosis {
            cause: "crash".into(),
            subject: subject.clone(),
            severity: Severity::Error,
            summary: "container web ended with code 1".into(),
            since: None,
            evidence: vec![Evidence {
                object: subject.clone(),
                source: Source::Log("web".into()),
                says: "one\ntwo".into(),
                since: None,
            }],
            remedies: vec![Remedy {
                advice: "read its log".into(),
                command: Some("kubectl logs web".into()),
            }],
            affected: Vec::new(),
        };
        let told = Explanation {
            subject,
            summary: cause.summary.clone(),
            causes: vec![cause],
            unread: vec![Unread {
                resource: "nodes".into(),
                reason: "forbidden".into(),
            }],
        };
        let text = anstream::adapter::strip_str(&explanation(&told)).to_string();
        assert_eq!(
            text,
            "pod/web in default: container web ended with code 1\n\n  pod/web  log of web\n      one\n      two\n  \
             → read its log\n      kubectl logs web\n\nnot seen, and might say more:\n  nodes: forbidden\n"
        );
        let none = anstream::adapter::strip_str(&problems(&[], &[], None)).to_string();
        assert_eq!(none, "nothing is wrong in the cluster\n");
    }
}
