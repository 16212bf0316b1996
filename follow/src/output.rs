//! Where it is shown: on a terminal, in a file, as JSON.

use crate::cli::{Arguments, Output as Form};
use crate::follow::End;
use crate::line::Step;
use crate::story::Entry;
use crate::words;
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;

/// Shows entries in the order of their times.
pub struct Output {
    form: Form,
    all: bool,
    begun: Option<f64>,
    /// The object of the line before.
    last: String,
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    depth: usize,
    cause: bool,
    #[serde(flatten)]
    step: &'a Step,
}

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

impl Output {
    /// As the arguments say.
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            form: arguments.output,
            all: arguments.all,
            begun: None,
            last: String::new(),
        }
    }

    /// Shows what belongs to the story, in this order.
    pub fn show(&mut self, entries: &[Entry]) {
        match self.form {
            Form::Json => entries.iter().for_each(show_json),
            Form::Text if self.all => {
                for entry in entries {
                    self.show_line(entry, &[]);
                }
            }
            Form::Text => {
                let told = entries.iter().filter(|entry| !words::is_routine(entry));
                // Many processes hear the same at about the same time.
                let mut lines: Vec<Vec<&Entry>> = Vec::new();
                for entry in told {
                    match lines.iter_mut().find(|line| line[0].is_same_news(entry)) {
                        Some(line) => line.push(entry),
                        None => lines.push(vec![entry]),
                    }
                }
                for line in lines {
                    self.show_line(line[0], &line[1..]);
                }
            }
        }
    }

    /// `others` are told of the same.
    fn show_line(&mut self, entry: &Entry, others: &[&Entry]) {
        let head = entry.moment.head();
        let since = entry.at() - *self.begun.get_or_insert(entry.at());
        let by = process(entry);
        let indent = "  ".repeat(entry.depth);
        let object = match head.object.resource.is_empty() {
            true => String::new(),
            false => printable(&head.object.short()).into_owned(),
        };
        // An object is named once for what follows each other.
        let shown = match object == self.last || object.is_empty() {
            true => String::new(),
            false => format!("{BOLD}{object}{PLAIN} "),
        };
        if !object.is_empty() {
            self.last = object;
        }
        let mut text = printable(&words::say(entry)).into_owned();
        if let Some(last) = others.last() {
            let others: Vec<String> = others.iter().map(|other| process(other)).collect();
            let within = words::time(last.at() - entry.at());
            text.push_str(&format!("; within {within} so do {}", others.join(", ")));
        }
        if self.all && !head.audit_id.is_empty() {
            let audit_id = printable(&head.audit_id);
            text.push_str(&format!(" {DIM}[{audit_id}]{PLAIN}"));
        }
        write_line(&format!(
            "{since:>8.3} {DIM}{by:<32}{PLAIN} {indent}{shown}{text}"
        ));
    }

    /// Says something about the showing itself.
    pub fn note(&self, text: &str) {
        eprintln!("hardway-follow: {}", printable(text));
    }

    /// The end.
    pub fn end(&self, end: End, message: &str, summary: &[String]) {
        match self.form {
            Form::Json => write_json(&serde_json::json!({
                "type": "END", "result": end.as_str(), "message": message, "summary": summary,
            })),
            Form::Text => {
                write_line("");
                summary.iter().for_each(|line| write_line(&printable(line)));
                write_line(&format!(
                    "{BOLD}{}{PLAIN}{}{}",
                    end.as_str(),
                    if message.is_empty() { "" } else { ": " },
                    printable(message)
                ));
            }
        }
    }
}

fn process(entry: &Entry) -> String {
    let head = entry.moment.head();
    let process = printable(&head.process);
    match head.host.as_str() {
        "" => process.into_owned(),
        host => format!("{process}@{}", printable(host)),
    }
}

/// Text from the cluster, without what a terminal takes for commands: whoever may write an
/// event or run a pod could move the cursor, or change what was shown before.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let shown = text.chars().map(|char| match char {
        _ if char.is_whitespace() && char.is_ascii() => ' ',
        _ if char.is_control() => char::REPLACEMENT_CHARACTER,
        _ => char,
    });
    shown.collect()
}

fn show_json(entry: &Entry) {
    for step in entry.moment.steps() {
        write_json(&Line {
            r#type: "STEP",
            depth: entry.depth,
            cause: entry.is_cause,
            step,
        });
    }
}

fn write_json(value: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        write_line(&line);
    }
}

/// Colours go to terminals alone. Who doesn't read any more misses nothing.
fn write_line(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_commands_no_terminal() {
        for (text, expected) in [
            ("pulls image größe", "pulls image größe"),
            ("a\x1b[2Jb\x07", "a\u{fffd}[2Jb\u{fffd}"),
            ("one\r\ntwo\tthree", "one  two three"),
            ("\u{9b}31m", "\u{fffd}31m"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}
