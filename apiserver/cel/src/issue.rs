//! What is wrong with an expression, and where.

use std::fmt;

/// Something that is wrong with an expression. Shown as cel-go shows it, with the line of
/// the expression and a mark below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line that it is in.
    source: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        write!(f, "ERROR: <input>:{line}:{column}: {}", self.message)?;
        write!(f, "\n | {}\n | ", self.source.replace('\t', " "))?;
        // Wide characters have wide dots below them.
        let wide = |c: Option<char>| c.is_some_and(|c| c.len_utf8() > 1);
        let mut chars = self.source.chars();
        for _ in 1..column {
            f.write_str(if wide(chars.next()) { "．" } else { "." })?;
        }
        f.write_str(if wide(chars.next()) { "＾" } else { "^" })
    }
}

/// Issues of one expression, by place.
#[derive(Debug)]
pub(crate) struct Issues<'t> {
    text: &'t [char],
    found: Vec<(usize, String)>,
}

impl<'t> Issues<'t> {
    pub fn new(text: &'t [char]) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    /// Something wrong at a character.
    pub fn add(&mut self, at: usize, message: impl Into<String>) {
        self.found.push((at, message.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, in the order of the expression.
    pub fn into_list(mut self) -> Vec<Issue> {
        self.found.sort_by_key(|(at, _)| *at);
        let issues = self.found.into_iter().map(|(at, message)| {
            let before = &self.text[..at.min(self.text.len())];
            let start = before.iter().rposition(|c| *c == '\n').map_or(0, |i| i + 1);
            let rest = self.text[start..].iter().take_while(|c| **c != '\n');
            Issue {
                line: before.iter().filter(|c| **c == '\n').count() + 1,
                column: before.len() - start + 1,
                message,
                source: rest.collect(),
            }
        });
        issues.collect()
    }
}
