//! Names that expressions can say, and how Kubernetes spells fields that they can't.

/// Words that stand for themselves.
pub(super) const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Words that CEL keeps for later, which no variable is called.
pub(super) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Whether a variable can be called this.
pub fn is_identifier(name: &str) -> bool {
    has_form(name) && !KEYWORDS.contains(&name) && !RESERVED.contains(&name)
}

fn has_form(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// How expressions spell a property: `__dash__` for a dash and so on, and reserved words
/// between underscores. `None` for what no expression can get at.
///
/// As Kubernetes' `k8s.io/apiserver/pkg/cel.Escape` does.
pub fn escape(name: &str) -> Option<String> {
    if KEYWORDS.contains(&name) || RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let starts = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if !starts || !name.chars().all(valid) {
        return None;
    }
    let name = name.replace("__", "__underscores__");
    let name = name.replace('.', "__dot__");
    Some(name.replace('-', "__dash__").replace('/', "__slash__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Kubernetes' tests.
    #[test]
    fn names_are_escaped_as_in_kubernetes() {
        for (name, escaped) in [
            ("", None),
            ("*", None),
            ("0abc", None),
            ("if", Some("__if__")),
            ("namespace", Some("__namespace__")),
            ("self", Some("self")),
            ("true", Some("__true__")),
            ("a.b", Some("a__dot__b")),
            ("a-b", Some("a__dash__b")),
            ("a__dot__b", Some("a__underscores__dot__underscores__b")),
            (
                "a.b__c.d-e/",
                Some("a__dot__b__underscores__c__dot__d__dash__e__slash__"),
            ),
            ("_foo_", Some("_foo_")),
            ("__foo__", Some("__underscores__foo__underscores__")),
        ] {
            assert_eq!(escape(name).as_deref(), escaped, "{name}");
        }
    }
}
