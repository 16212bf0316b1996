//! Which lines of logs a person looks for. Components write text or JSON of their own,
//! containerd and the registry `key=value`, etcd JSON, Kubernetes' programs klog.

/// What of a log is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Warnings and errors.
    Interesting,
    /// Errors, and what is known for trouble.
    Problems,
}

impl Shown {
    /// Whether a line is shown.
    pub fn has(self, line: &str) -> bool {
        match self {
            Self::Interesting => level(line) != Level::Other || is_known_problem(line),
            Self::Problems => level(line) == Level::Error || is_known_problem(line),
        }
    }

    /// The last lines of a log that are shown.
    pub fn last(self, text: &str, count: usize) -> Vec<&str> {
        let mut lines: Vec<&str> = text
            .lines()
            .rev()
            .filter(|line| self.has(line))
            .take(count)
            .collect();
        lines.reverse();
        lines
    }
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Other,
}

/// What its level is, in the words of the program that wrote it.
fn level(line: &str) -> Level {
    let words = [
        field(line, "level=", ' '),
        field(line, "\"level\":\"", '"'),
        // `2026-01-02T03:04:05.678901Z  WARN hardway_…`
        line.split_whitespace()
            .nth(1)
            .filter(|_| line.starts_with(|c: char| c.is_ascii_digit())),
    ];
    match words.into_iter().flatten().next() {
        Some("error" | "ERROR" | "fatal" | "panic" | "dpanic") => return Level::Error,
        Some("warn" | "warning" | "WARN") => return Level::Warning,
        _ => {}
    }
    // `E0102 03:04:05.678901    1234 file.go:56] …`
    let klog = line
        .split_once(' ')
        .filter(|(head, _)| head.len() == 5 && head[1..].bytes().all(|c| c.is_ascii_digit()));
    match klog.and_then(|(head, _)| head.chars().next()) {
        Some('E' | 'F') => Level::Error,
        Some('W') => Level::Warning,
        _ => Level::Other,
    }
}

/// What follows a key, up to the end of the value.
fn field<'a>(line: &'a str, key: &str, end: char) -> Option<&'a str> {
    let (_, rest) = line.split_once(key)?;
    rest.split(end).next()
}

/// What tells of trouble whatever its level is.
fn is_known_problem(line: &str) -> bool {
    const SIGNS: &[&str] = &[
        "panicked at",
        "panic: ",
        "address already in use",
        "no space left on device",
        "too many open files",
        "certificate has expired",
        "x509: ",
        "out of memory",
        "mvcc: database space exceeded",
    ];
    let line = line.to_ascii_lowercase();
    SIGNS.iter().any(|sign| line.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_every_form() {
        for (line, expected) in [
            (
                "2026-11-27T11:47:07.123456Z  WARN hardway_kubelet: no",
                Level::Warning,
            ),
            (
                "2026-11-27T11:47:07.123456Z ERROR hardway_kubelet: no",
                Level::Error,
            ),
            (
                "2026-11-27T11:47:07.123456Z  INFO hardway_kubelet: ERROR in a text",
                Level::Other,
            ),
            (
                "{\"timestamp\":\"2026\",\"level\":\"ERROR\",\"fields\":{}}",
                Level::Error,
            ),
            (
                "{\"level\":\"warn\",\"ts\":\"2026\",\"msg\":\"slow\"}",
                Level::Warning,
            ),
            (
                "time=\"2026-11-27T11:47:07Z\" level=error msg=\"no\"",
                Level::Error,
            ),
            (
                "time=\"2026-11-27T11:47:07Z\" level=info msg=\"x\"",
                Level::Other,
            ),
            ("E1127 11:47:07.123456    7 x.go:1] no", Level::Error),
            ("W1127 11:47:07.123456    7 x.go:1] no", Level::Warning),
            ("I1127 11:47:07.123456    7 x.go:1] yes", Level::Other),
            ("", Level::Other),
            ("Error", Level::Other),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }

    #[test]
    fn problems_are_fewer_than_what_is_interesting() {
        let text =
            "2026 INFO a\n2026 WARN b\n2026 ERROR c\nthread 'x' panicked at y\n2026 WARN d\n";
        let interesting = Shown::Interesting.last(text, 3);
        assert_eq!(
            interesting,
            ["2026 ERROR c", "thread 'x' panicked at y", "2026 WARN d"]
        );
        let problems = Shown::Problems.last(text, 9);
        assert_eq!(problems, ["2026 ERROR c", "thread 'x' panicked at y"]);
    }
}
