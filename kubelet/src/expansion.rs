//! `$(VAR)` references in environment values, commands, arguments and
//! `subPathExpr`, with Kubernetes' rules: `$$` is a dollar sign, and what is
//! no complete reference stands for itself.

/// Replaces references through `lookup`; unknown names stay as written.
pub fn expand<'a>(input: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let replace = |name: &str| Ok::<_, String>(lookup(name).map(str::to_owned));
    // The closure above never fails.
    walk(input, replace).unwrap_or_default()
}

/// Replaces references through `lookup`; an unknown name is an error that
/// names it.
pub fn expand_all<'a>(
    input: &str,
    lookup: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    walk(input, |name| match lookup(name) {
        Some(value) => Ok(Some(value.to_owned())),
        None => Err(name.to_owned()),
    })
}

/// Looks names up in a list where the last entry of a name counts.
pub fn in_list<'a>(list: &'a [(String, String)]) -> impl Fn(&str) -> Option<&'a str> {
    move |name| {
        let entry = list.iter().rev().find(|(n, _)| n == name);
        entry.map(|(_, value)| value.as_str())
    }
}

fn walk<E>(input: &str, replace: impl Fn(&str) -> Result<Option<String>, E>) -> Result<String, E> {
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some((name, tail)) = reference(after) {
            match replace(name)? {
                Some(value) => out.push_str(&value),
                None => out.push_str(&rest[at..rest.len() - tail.len()]),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The name and what follows, if the text goes on with `(NAME)`.
fn reference(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<&'static str> {
        match name {
            "VAR_A" => Some("A"),
            "VAR_EMPTY" => Some(""),
            "VAR_REF" => Some("$(VAR_A)"),
            _ => None,
        }
    }

    #[test]
    fn references_as_in_kubernetes() {
        for (input, expected) in [
            ("$(VAR_A)", "A"),
            ("___$(VAR_A)___$(VAR_A)", "___A___A"),
            ("$$(VAR_A)", "$(VAR_A)"),
            ("$$$(VAR_A)", "$A"),
            ("$$$$(VAR_A)", "$$(VAR_A)"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("$(VAR_EMPTY)x", "x"),
            ("foo$(UNKNOWN)bar", "foo$(UNKNOWN)bar"),
            ("$VAR_A", "$VAR_A"),
            ("$(VAR_A", "$(VAR_A"),
            ("$?_boo_$!", "$?_boo_$!"),
            ("end$", "end$"),
            ("$$", "$"),
            ("ü$(VAR_A)ü", "üAü"),
        ] {
            assert_eq!(expand(input, known), expected, "{input}");
        }
    }

    #[test]
    fn strict_expansion_names_what_is_missing() {
        assert_eq!(expand_all("a/$(VAR_A)", known), Ok("a/A".into()));
        assert_eq!(expand_all("$(NOPE)/x", known), Err("NOPE".into()));
    }

    #[test]
    fn the_last_entry_of_a_list_counts() {
        let list = [("A".to_owned(), "1".to_owned()), ("A".into(), "2".into())];
        assert_eq!(expand("$(A)", in_list(&list)), "2");
    }
}
