//! Words, columns and colours of what programs print.

/// Splits a command line into words as a shell does; quotes of both kinds group.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => word.get_or_insert_default().push(character),
            None if character == '\'' || character == '"' => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            None if character.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// A table as kubectl prints it: for each line the cells, which two spaces or more
/// keep apart. The header comes first.
pub fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    table
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(cells)
        .collect()
}

/// The text without colours.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            for skipped in characters.by_ref() {
                if skipped.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(character);
        }
    }
    plain
}

/// The text with every run of blanks made one, so that columns don't matter.
pub fn squeezed(text: &str) -> String {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Fails unless the text has all the parts, in this order, blanks aside.
#[track_caller]
pub fn assert_has(text: &str, parts: &[&str]) {
    let text = squeezed(text);
    let mut rest = text.as_str();
    for part in parts {
        let Some(at) = rest.find(&squeezed(part)) else {
            panic!("{part:?} is missing, or not where it belongs, in:\n{text}");
        };
        rest = &rest[at + squeezed(part).len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_a_shell_has_them() {
        assert_eq!(
            words(r#"patch rc x -p '{"a": 1}' --x="" y"#),
            ["patch", "rc", "x", "-p", r#"{"a": 1}"#, "--x=", "y"]
        );
        assert_eq!(words("  "), Vec::<String>::new());
    }

    #[test]
    fn tables_are_told_by_gaps() {
        assert_eq!(
            rows("NAME   STATUS\na b    Ready  \n"),
            [["NAME", "STATUS"], ["a b", "Ready"]]
        );
    }

    #[test]
    fn colours_go() {
        assert_eq!(plain("\u{1b}[0;32mgreen\u{1b}[0m"), "green");
    }

    #[test]
    fn parts_must_come_in_order() {
        assert_has("a:   1\n  b:  2", &["a: 1", "b: 2"]);
        assert!(std::panic::catch_unwind(|| assert_has("b a", &["a", "b"])).is_err());
    }
}
