//! Prometheus' text format, written as it comes: series are too many, and too short-lived,
//! to be registered.

use std::fmt::Write as _;

/// The text that grows.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// Labels that many figures have, as they are written.
#[derive(Debug, Default)]
pub struct LabelText(String);

impl LabelText {
    /// These labels.
    pub fn of(labels: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        push_labels(&mut text, labels);
        Self(text)
    }
}

/// Each label, with a comma after it.
fn push_labels(to: &mut String, labels: &[(&str, &str)]) {
    for (label, text) in labels {
        to.push_str(label);
        to.push_str("=\"");
        push_escaped(to, text);
        to.push_str("\",");
    }
}

fn push_escaped(to: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        to.push_str(&rest[..at]);
        to.push_str(match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    to.push_str(rest);
}

/// How a figure may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Exposition {
    /// Begins the series of a name.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One figure, with the time it is of in milliseconds since the epoch if that is known.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64, at: Option<i64>) {
        self.series(name, &LabelText::default(), labels, value, at);
    }

    /// The same, with labels that other figures have too before its own.
    pub fn series(
        &mut self,
        name: &str,
        shared: &LabelText,
        own: &[(&str, &str)],
        value: f64,
        at: Option<i64>,
    ) {
        self.0.push_str(name);
        if !shared.0.is_empty() || !own.is_empty() {
            self.0.push('{');
            self.0.push_str(&shared.0);
            push_labels(&mut self.0, own);
            // Each label ends with a comma.
            self.0.pop();
            self.0.push('}');
        }
        let _ = write!(self.0, " {value}");
        if let Some(at) = at {
            let _ = write!(self.0, " {at}");
        }
        self.0.push('\n');
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_look_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.family("a_total", "All of it", Kind::Counter);
        text.sample(
            "a_total",
            &[("pod", "x\"y\\"), ("container", "")],
            1.5,
            Some(7),
        );
        text.sample("b", &[], 3.0, None);
        let shared = LabelText::of(&[("pod", "x\ny")]);
        text.series("c", &shared, &[], 1.0, None);
        text.series("c", &shared, &[("cpu", "total")], 2.0, None);
        assert_eq!(
            text.finish(),
            "# HELP a_total All of it\n# TYPE a_total counter\n\
             a_total{pod=\"x\\\"y\\\\\",container=\"\"} 1.5 7\nb 3\n\
             c{pod=\"x\\ny\"} 1\nc{pod=\"x\\ny\",cpu=\"total\"} 2\n"
        );
    }
}
