//! The cells of a row, and how they are kept: as text in which only ages are left open, as these
//! change while the object doesn't.

use crate::excerpt::Excerpt;
use crate::printers::human;
use crate::resource::Printer;
use jiff::Timestamp;
use serde_json::Value;

/// What stands in one column of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Whatever the time is.
    Value(Value),
    /// A text that says how long ago something was.
    Age {
        /// What stands before that.
        before: String,
        /// When it was, in seconds since 1970.
        second: i64,
        /// What stands behind it.
        after: &'static str,
    },
}

impl Cell {
    /// How long ago a time was, and nothing else.
    pub fn since(time: Timestamp) -> Self {
        Self::Age {
            before: String::new(),
            second: time.as_second(),
            after: "",
        }
    }

    /// What it is at a time.
    pub fn at(&self, now: Timestamp) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Age {
                before,
                second,
                after,
            } => format!("{before}{}{after}", human(now.as_second() - second)).into(),
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Value(text.into())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Value(text.into())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Value(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Value(number.into())
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Value(flag.into())
    }
}

/// The cells of a row as JSON, but for ages.
#[derive(Debug)]
pub struct CellsText {
    text: Box<str>,
    /// Where in the text it is to be said how long ago a second was.
    ages: Box<[(u32, i64)]>,
}

impl CellsText {
    /// Those of an object's JSON, of which no more is read than the printer looks at.
    ///
    /// # Errors
    /// If it is no object.
    pub fn read(printer: &dyn Printer, json: &[u8]) -> serde_json::Result<Self> {
        let excerpt = Excerpt::read(json, printer.looks_at())?;
        Ok(Self::of(&printer.cells(&excerpt.object)))
    }

    fn of(cells: &[Cell]) -> Self {
        let (mut text, mut ages) = (String::from("["), Vec::new());
        for (number, cell) in cells.iter().enumerate() {
            if number > 0 {
                text.push(',');
            }
            match cell {
                Cell::Value(value) => text.push_str(&value.to_string()),
                Cell::Age {
                    before,
                    second,
                    after,
                } => {
                    let quoted = Value::from(before.as_str()).to_string();
                    text.push_str(quoted.strip_suffix('"').unwrap_or_default());
                    // A row is far from being that long.
                    ages.push((u32::try_from(text.len()).unwrap_or_default(), *second));
                    let quoted = Value::from(*after).to_string();
                    text.push_str(quoted.strip_prefix('"').unwrap_or_default());
                }
            }
        }
        text.push(']');
        Self {
            text: text.into(),
            ages: ages.into(),
        }
    }

    /// Writes them as they are at a time: as a list of JSON.
    pub fn write(&self, out: &mut Vec<u8>, now: Timestamp) {
        let text = self.text.as_bytes();
        let mut written = 0;
        for (at, second) in &self.ages {
            let at = *at as usize;
            out.extend_from_slice(&text[written..at]);
            // It has nothing that JSON would have escaped.
            out.extend_from_slice(human(now.as_second() - second).as_bytes());
            written = at;
        }
        out.extend_from_slice(&text[written..]);
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(&*self.ages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printers;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn written(cells: &CellsText, now: Timestamp) -> String {
        let mut out = Vec::new();
        cells.write(&mut out, now);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_kept_is_right_whenever_it_is_written() {
        let pod = json!({"metadata": {"name": "a\"b\\", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "c"}], "nodeName": "n"},
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": true,
                "restartCount": 2, "state": {"running": {}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}]}});
        let never = json!({"metadata": {"name": "x"}});
        let job = json!({"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"startTime": "2026-01-01T00:00:01Z"}});
        for (kind, object) in [
            ("Pod", &pod),
            ("Pod", &never),
            ("Job", &job),
            ("Other", &pod),
        ] {
            let printer = printers::for_kind("", "v1", kind);
            let kept = CellsText::read(&*printer, object.to_string().as_bytes()).unwrap();
            for now in [
                "2026-01-01T00:05:09Z",
                "2026-01-03T09:00:00Z",
                "2020-01-01T00:00:00Z",
            ] {
                let now = at(now);
                let cells = printer.cells(object);
                let cells: Vec<Value> = cells.iter().map(|cell| cell.at(now)).collect();
                assert_eq!(written(&kept, now), json!(cells).to_string(), "{kind}");
            }
        }
        let printer = printers::for_kind("", "v1", "Pod");
        let kept = CellsText::read(&*printer, pod.to_string().as_bytes()).unwrap();
        assert_eq!(
            written(&kept, at("2026-01-01T02:00:00Z")),
            r#"["a\"b\\","1/1","Running","2 (115m ago)","120m","<none>","n","<none>","<none>"]"#
        );
        assert!((80..300).contains(&kept.size()), "{}", kept.size());
    }

    #[test]
    fn what_is_no_object_has_no_row() {
        let printer = printers::for_kind("", "v1", "Pod");
        assert!(CellsText::read(&*printer, b"[]").is_err());
    }
}
