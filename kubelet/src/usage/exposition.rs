//! Prometheus' text format, written as it comes: series are too many, and too short-lived,
//! to be registered.

use std::fmt::Write as _;

/// The text that grows.
#[derive(Debug, Default)]
pub struct Exposition(String);

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
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.escaped(text);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = write!(self.0, " {value}");
        if let Some(at) = at {
            let _ = write!(self.0, " {at}");
        }
        self.0.push('\n');
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
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
        assert_eq!(
            text.finish(),
            "# HELP a_total All of it\n# TYPE a_total counter\n\
             a_total{pod=\"x\\\"y\\\\\",container=\"\"} 1.5 7\nb 3\n"
        );
    }
}
