//! Field selectors: `metadata.name=x,status.phase!=Running`.

use std::fmt;

/// Why a field selector can't be used; the texts are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term without an operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash before a character that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A character that needs a backslash.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(char),
}

/// One requirement of a field selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// The field, e.g. `status.phase`.
    pub field: String,
    /// The value asked for.
    pub value: String,
    /// Whether the field must be other than the value.
    pub negated: bool,
}

/// Which objects are selected by their fields: those that satisfy all
/// requirements.
///
/// ```
/// use hardway_proto::fields::FieldSelector;
///
/// let selector = FieldSelector::parse("spec.nodeName=worker-1,status.phase!=Failed").unwrap();
/// assert_eq!(selector.exact("spec.nodeName"), Some("worker-1"));
/// assert!(selector.matches_with(|field| (field == "spec.nodeName").then_some("worker-1")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Reads `a=b,c==d,e!=f`; `\` escapes `,`, `=` and itself.
    ///
    /// # Errors
    /// In the words of `k8s.io/apimachinery/pkg/fields`, if a term isn't one.
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let mut requirements = Vec::new();
        for term in terms(text).into_iter().filter(|t| !t.is_empty()) {
            let Some((field, operator, value)) = split_term(term) else {
                return Err(FieldSelectorError::Term {
                    selector: text.to_owned(),
                    term: term.to_owned(),
                });
            };
            requirements.push(FieldRequirement {
                field: field.to_owned(),
                value: unescape(value)?,
                negated: operator == "!=",
            });
        }
        Ok(Self::of(requirements))
    }

    /// Selects the objects that satisfy all of these.
    pub fn of(requirements: impl IntoIterator<Item = FieldRequirement>) -> Self {
        let mut requirements: Vec<_> = requirements.into_iter().collect();
        requirements.sort_by(|a, b| a.field.cmp(&b.field));
        Self { requirements }
    }

    /// Selects the objects whose field has the value.
    pub fn equals(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            requirements: vec![FieldRequirement {
                field: field.into(),
                value: value.into(),
                negated: false,
            }],
        }
    }

    /// Its requirements, sorted by field.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether fields found through `get` are selected; an absent field counts
    /// as empty.
    pub fn matches_with<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|r| (get(&r.field).unwrap_or_default() == r.value) != r.negated)
    }

    /// The value the field has in every selected object, if the selector
    /// settles it.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|r| r.field == field && !r.negated)
            .map(|r| r.value.as_str())
    }
}

/// Splits at commas that aren't escaped.
fn terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, &str, &str)> {
    let at = term.find(['=', '!']).and_then(|first| {
        term[first..]
            .char_indices()
            .map(|(i, _)| first + i)
            .find(|i| term[*i..].starts_with('=') || term[*i..].starts_with("!="))
    })?;
    let operator = ["!=", "==", "="]
        .into_iter()
        .find(|o| term[at..].starts_with(o))?;
    Some((&term[..at], operator, &term[at + operator.len()..]))
}

fn unescape(value: &str) -> Result<String, FieldSelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence = other.map_or("\\".to_owned(), |c| format!("\\{c}"));
                    return Err(FieldSelectorError::Escape(sequence));
                }
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let operator = if r.negated { "!=" } else { "=" };
            write!(f, "{comma}{}{operator}", r.field)?;
            for c in r.value.chars() {
                if "\\,=".contains(c) {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_and_match() {
        let s = FieldSelector::parse("status.phase!=Running,spec.nodeName==n1,a=b\\,c").unwrap();
        assert_eq!(
            s.to_string(),
            "a=b\\,c,spec.nodeName=n1,status.phase!=Running"
        );
        assert_eq!(s.exact("spec.nodeName"), Some("n1"));
        let get = |field: &str| match field {
            "a" => Some("b,c"),
            "spec.nodeName" => Some("n1"),
            _ => None,
        };
        assert!(s.matches_with(get));
        assert!(FieldSelector::parse("").unwrap().is_everything());
    }

    #[test]
    fn errors_are_those_of_kubernetes() {
        assert_eq!(
            FieldSelector::parse("a=b,c").unwrap_err().to_string(),
            "invalid selector: 'a=b,c'; can't understand 'c'"
        );
        assert_eq!(
            FieldSelector::parse("a=b=c").unwrap_err().to_string(),
            "invalid field selector: unescaped character in value: ="
        );
        assert_eq!(
            FieldSelector::parse("a=\\x").unwrap_err().to_string(),
            "invalid field selector: invalid escape sequence: \\x"
        );
    }
}
