//! The regular expressions of schemas. Kubernetes reads them as RE2 has them; here
//! they are put into the words of another engine, and compiled within bounds.

use hardway_cel::regex::translated;
use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

/// What the patterns of one definition may take in memory, in bytes.
const MOST: usize = 32 << 20;
/// What one of them may.
const MOST_FOR_ONE: usize = 1 << 20;
/// What the cheapest takes.
const LEAST: usize = 8 << 10;
/// The cache that matching builds up as it goes, in bytes.
const CACHE: usize = 256 << 10;

/// What is in use anywhere: the same few patterns stand in most definitions.
static IN_USE: LazyLock<Mutex<HashMap<String, InUse>>> = LazyLock::new(Mutex::default);

struct InUse {
    regex: Weak<Regex>,
    /// The limit that it was compiled within.
    size: usize,
}

/// Compiles the patterns of one definition, each only once.
#[derive(Debug)]
pub(crate) struct Patterns {
    left: usize,
    compiled: HashMap<String, Result<Arc<Regex>, String>>,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            left: MOST,
            compiled: HashMap::new(),
        }
    }
}

impl Patterns {
    /// The pattern, compiled; or why it can't be.
    pub(crate) fn compile(&mut self, pattern: &str) -> Result<Arc<Regex>, String> {
        if let Some(known) = self.compiled.get(pattern) {
            return known.clone();
        }
        let compiled = match self.in_use(pattern) {
            Some(regex) => Ok(regex),
            None => self.compile_anew(pattern),
        };
        self.compiled.insert(pattern.to_owned(), compiled.clone());
        compiled
    }

    /// The pattern, if somebody else uses it; it counts all the same.
    fn in_use(&mut self, pattern: &str) -> Option<Arc<Regex>> {
        let in_use = IN_USE.lock();
        let known = in_use.get(pattern)?;
        let left = self.left.checked_sub(known.size)?;
        let regex = known.regex.upgrade()?;
        self.left = left;
        Some(regex)
    }

    fn compile_anew(&mut self, pattern: &str) -> Result<Arc<Regex>, String> {
        let translated = translated(pattern);
        // The engine doesn't tell what an expression takes, only what is too little.
        let mut size = LEAST;
        loop {
            let limit = size.min(self.left);
            let built = RegexBuilder::new(&translated)
                .size_limit(limit)
                .dfa_size_limit(CACHE)
                .build();
            match built {
                Ok(regex) => {
                    self.left -= limit;
                    let regex = Arc::new(regex);
                    let known = InUse {
                        regex: Arc::downgrade(&regex),
                        size: limit,
                    };
                    let mut in_use = IN_USE.lock();
                    // Only where the map would grow, so that each costs the same.
                    if in_use.len() == in_use.capacity() {
                        in_use.retain(|_, known| known.regex.strong_count() > 0);
                    }
                    in_use.insert(pattern.to_owned(), known);
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) if self.left <= size => {
                    return Err(format!(
                        "the patterns of this definition take more than {MOST} bytes when compiled; use simpler ones, or fewer"
                    ));
                }
                Err(regex::Error::CompiledTooBig(_)) if size < MOST_FOR_ONE => size *= 4,
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(format!(
                        "it takes more than {MOST_FOR_ONE} bytes when compiled; repeat less"
                    ));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let regex = Patterns::default().compile(pattern);
        regex.expect(pattern).is_match(text)
    }

    #[test]
    fn classes_are_those_of_ascii() {
        assert!(matches(r"^\d+$", "42") && !matches(r"^\d+$", "٤٢"));
        assert!(matches(r"^[\w.-]+$", "a_1.b-c") && !matches(r"^[\w.-]+$", "é"));
        assert!(matches(r"^\S+$", "é") && !matches(r"^[^\s]+$", "a b"));
        assert!(matches(r"^[^\D]+$", "1") && matches(r"\bx\b", "a x"));
    }

    #[test]
    fn sets_have_no_operators() {
        for (pattern, text) in [
            ("^[a&&b]+$", "a&b"),
            ("^[[a]+$", "[a"),
            ("^[]a]+$", "]a"),
            ("^[^]a]+$", "b"),
            ("^[!--]+$", "-"),
            ("^[~~]+$", "~"),
            (r"^[\]\[]+$", "[]"),
            ("^[[:alpha:]_]+$", "a_b"),
        ] {
            assert!(matches(pattern, text), "{pattern}");
        }
    }

    #[test]
    fn hostile_patterns_are_refused() {
        let mut patterns = Patterns::default();
        assert!(patterns.compile("(").is_err());
        let why = patterns.compile("((a{100}){100}){100}").unwrap_err();
        assert!(why.contains("1048576 bytes"), "{why}");
        // Many that are large together.
        let refused = (0..5_000)
            .map(|n| patterns.compile(&format!("[a-z]{{200}}{n}")))
            .filter(Result::is_err)
            .count();
        assert!((1..5_000).contains(&refused), "{refused}");
    }
}
