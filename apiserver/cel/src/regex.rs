//! Regular expressions: RE2's, compiled by the `regex` crate, which bounds what they take.

use crate::value::Opaque;
use crate::{Error, Type, Value};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::cell::RefCell;
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

thread_local! {
    /// Patterns that objects have brought into the evaluation that this thread is at.
    static BROUGHT: RefCell<VecDeque<(String, Regex)>> = const { RefCell::new(VecDeque::new()) };
}

/// Lets go of what objects have brought, at the end of an evaluation.
pub(crate) fn forget() {
    BROUGHT.with_borrow_mut(VecDeque::clear);
}

/// A pattern that an object brings, compiled once for an evaluation that keeps to a few.
fn brought(text: &str) -> Result<Regex, Error> {
    let known = BROUGHT.with_borrow(|all| {
        let mut all = all.iter();
        all.find_map(|(known, regex)| (known == text).then(|| regex.clone()))
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let regex = within(text, MOST_OF_ARGUMENT)?;
    BROUGHT.with_borrow_mut(|all| {
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back((text.to_owned(), regex.clone()));
    });
    Ok(regex)
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

/// A pattern that stands in an expression and is compiled with it. It takes the place of its
/// text among the arguments, and costs as much.
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
        Ok(Self {
            regex: compile(text)?,
            characters: text.chars().count() as u64,
        })
    }

    /// The pattern that an argument is, compiled by now.
    ///
    /// # Errors
    ///
    /// It isn't one.
    pub fn in_argument<'v>(value: &'v Value) -> Result<Cow<'v, Regex>, Error> {
        match (value, value.downcast::<Self>()) {
            (_, Some(pattern)) => Ok(Cow::Borrowed(&pattern.regex)),
            (Value::String(text), None) => brought(text).map(Cow::Owned),
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
        let kept = || BROUGHT.with_borrow(|all| all.iter().map(|(text, _)| text.clone()).collect());
        for n in 0..=KEPT {
            assert!(
                brought(&format!("a{n}"))
                    .unwrap()
                    .is_match(&format!("a{n}"))
            );
            assert!(brought(&format!("a{n}")).is_ok());
        }
        let all: Vec<String> = kept();
        assert_eq!(all, (1..=KEPT).map(|n| format!("a{n}")).collect::<Vec<_>>());
        assert!(brought("(").is_err());
        // What is evaluated next begins anew.
        let program = crate::Environment::new().compile("true").unwrap();
        let _ = program.evaluate(&crate::Scope::new(), &crate::Budget::new(10));
        assert_eq!(kept(), Vec::<String>::new());
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
