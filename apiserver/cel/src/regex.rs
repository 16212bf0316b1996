//! Regular expressions: RE2's, compiled by the `regex` crate, which bounds what they take.

use crate::value::Opaque;
use crate::{Error, Type, Value};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::str::Chars;

/// What a compiled expression may take, in bytes.
const MOST: usize = 1 << 20;
/// The same of one whose pattern an object brings, in bytes: it is compiled when it is met, for
/// which Kubernetes' costs charge little.
const MOST_OF_ARGUMENT: usize = 64 << 10;
/// How many of those one evaluation keeps: a loop mostly matches with the same ones.
const KEPT: usize = 8;
/// The cache that matching builds up as it goes, in bytes.
const CACHE: usize = 256 << 10;

/// The last patterns that objects have brought into an evaluation: compiled once if it keeps to
/// a few.
#[derive(Default)]
pub(crate) struct Brought(VecDeque<(String, Value<'static>)>);

impl Brought {
    /// An argument that is the text of a pattern, as a [`Pattern`]. `None` if it is anything
    /// else: what is wrong with it is told by the function that takes it.
    pub fn compiled(&mut self, argument: &Value) -> Option<Value<'static>> {
        let Value::String(text) = argument else {
            return None;
        };
        let text: &str = text;
        if let Some((_, pattern)) = self.0.iter().find(|(known, _)| known == text) {
            return Some(pattern.clone());
        }
        let pattern = Value::opaque(Pattern::within(text, MOST_OF_ARGUMENT).ok()?);
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((text.to_owned(), pattern.clone()));
        Some(pattern)
    }
}

/// Compiles a pattern.
///
/// # Errors
///
/// It is none of RE2's, or too large.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Error> {
    within(pattern, MOST)
}

fn within(pattern: &str, bytes: usize) -> Result<Regex, Error> {
    RegexBuilder::new(&translated(pattern))
        .size_limit(bytes)
        .dfa_size_limit(CACHE)
        .build()
        .map_err(|error| Error::function(format!("error parsing regexp: {}", reason(&error))))
}

/// A pattern that is compiled: with the expression that it stands in, or when an object brings
/// it. It takes the place of its text among the arguments, and costs as much.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    characters: u64,
}

impl Pattern {
    /// The pattern that a text is.
    ///
    /// # Errors
    ///
    /// It is none of RE2's, or too large.
    pub fn of(text: &str) -> Result<Self, Error> {
        Self::within(text, MOST)
    }

    fn within(text: &str, bytes: usize) -> Result<Self, Error> {
        Ok(Self {
            regex: within(text, bytes)?,
            characters: text.chars().count() as u64,
        })
    }

    /// The pattern that an argument is.
    ///
    /// # Errors
    ///
    /// It isn't one.
    pub fn in_argument<'v>(value: &'v Value) -> Result<Cow<'v, Regex>, Error> {
        match (value, value.downcast::<Self>()) {
            (_, Some(pattern)) => Ok(Cow::Borrowed(&pattern.regex)),
            (Value::String(text), None) => within(text, MOST_OF_ARGUMENT).map(Cow::Owned),
            _ => Err(Error::NoSuchOverload),
        }
    }
}

impl Opaque for Pattern {
    fn type_of(&self) -> Type {
        Type::String
    }

    fn equals(&self, _: &dyn Opaque) -> bool {
        false
    }

    fn size(&self) -> Option<u64> {
        Some(self.characters)
    }
}

/// The last line of the engine's message, which says why; the others show where.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// A pattern of RE2 in the words of the `regex` crate: in RE2 the classes of Perl are those
/// of ASCII, and sets have no operators.
pub fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // Whether we are in a set, and at its beginning, where `]` is a character.
    let (mut in_set, mut begins) = (false, false);
    while let Some(c) = chars.next() {
        let first = std::mem::take(&mut begins);
        match (c, in_set) {
            ('\\', _) => match chars.next() {
                Some(class) => {
                    out.push_str(&escape(class, in_set));
                    if chars.peek() == Some(&'{') && "pPx".contains(class) {
                        copy_through('}', &mut chars, &mut out);
                    }
                    if in_set && "dDwWsS".contains(class) {
                        literal_dash(&mut chars, &mut out);
                    }
                }
                None => out.push('\\'),
            },
            ('[', false) => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                (in_set, begins) = (true, true);
            }
            ('[', true) if chars.peek() == Some(&':') => {
                // A class by its name, up to its end.
                out.push('[');
                copy_through(']', &mut chars, &mut out);
                literal_dash(&mut chars, &mut out);
            }
            ('[', true) => out.push_str("\\["),
            (']', true) if first => out.push_str("\\]"),
            (']', true) => {
                out.push(']');
                in_set = false;
            }
            ('&' | '~', true) => {
                out.push('\\');
                out.push(c);
            }
            ('-', true) if chars.peek() == Some(&'-') => out.push_str("\\-"),
            ('{', false) if !begins_repeat(chars.clone()) => out.push_str("\\{"),
            _ => out.push(c),
        }
    }
    out
}

/// Takes over what comes, up to and with a character.
fn copy_through(last: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    for c in chars.by_ref() {
        out.push(c);
        if c == last {
            break;
        }
    }
}

/// A class begins no range: what follows it in a set is a dash.
fn literal_dash(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    if chars.next_if_eq(&'-').is_some() {
        out.push_str("\\-");
    }
}

/// Whether what comes after a `{` makes it a repetition; in RE2 it is a character otherwise.
fn begins_repeat(after: Peekable<Chars<'_>>) -> bool {
    let inside: String = after.take_while(|c| *c != '}').collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, "0"));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

fn escape(class: char, in_set: bool) -> String {
    let ascii = match class {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => r"^\t\n\f\r ",
        'b' if !in_set => return r"(?-u:\b)".into(),
        // Bounds of words to the crate.
        '<' | '>' => return class.to_string(),
        other => return format!("\\{other}"),
    };
    match in_set && class.is_lowercase() {
        true => ascii.to_owned(),
        false => format!("[{ascii}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_expression_is_told_in_a_line() {
        for pattern in ["(", "a{2,1}", "[z-a]", "*", r"\q", "((a{100}){100}){100}"] {
            let error = compile(pattern).unwrap_err().to_string();
            assert!(error.starts_with("error parsing regexp: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    /// One that takes a millisecond to compile costs a loop over many values seconds.
    #[test]
    fn a_pattern_that_an_object_brings_may_be_less_large() {
        let of_hosts = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z]{2,63}$";
        for (pattern, taken) in [(of_hosts, true), (r"\pL{20}", false)] {
            assert!(compile(pattern).is_ok(), "{pattern}");
            let brought = Value::string(pattern);
            assert_eq!(Pattern::in_argument(&brought).is_ok(), taken, "{pattern}");
        }
    }

    /// To compile a pattern takes a hundred times as long as to find it.
    #[test]
    fn an_evaluation_keeps_the_last_patterns_that_were_brought() {
        let mut patterns = Brought::default();
        for n in 0..=KEPT {
            let text = Value::string(format!("a{n}"));
            for _ in 0..2 {
                let pattern = patterns.compiled(&text).unwrap();
                let regex = Pattern::in_argument(&pattern).unwrap();
                assert!(regex.is_match(&format!("a{n}")));
                assert_eq!(pattern.size(), text.size());
            }
        }
        let kept: Vec<&str> = patterns.0.iter().map(|(text, _)| text.as_str()).collect();
        let last: Vec<String> = (1..=KEPT).map(|n| format!("a{n}")).collect();
        assert_eq!(kept, last);
        assert!(patterns.compiled(&Value::string("(")).is_none());
        assert!(patterns.compiled(&Value::Int(1)).is_none());
    }

    #[test]
    fn classes_are_those_of_ascii() {
        for (pattern, text, matches) in [
            (r"^\d+$", "42", true),
            (r"^\d+$", "٤٢", false),
            (r"^[\w.-]+$", "é", false),
            ("^[a&&b]+$", "a&b", true),
            ("^.$", "é", true),
            (r"^[\w-\.]+@([\w-]+\.)+[\w-]{2,4}$", "a-b.c@d-e.org", true),
            (r"^[\w-~]$", "-", true),
            (r"^[\w-~]$", "|", false),
            ("^[[:alpha:]-.]$", "-", true),
            ("^{{.*}}$", "{{ x }}", true),
            (r"^\p{L}{2}$", "éa", true),
            (r"^\x{61}$", "a", true),
            (r"^a\<b$", "a<b", true),
            ("^a{,2}$", "a{,2}", true),
        ] {
            assert_eq!(
                compile(pattern).unwrap().is_match(text),
                matches,
                "{pattern}"
            );
        }
    }
}
