//! Texts in quotes, as messages of Go have them.

use std::fmt::Write;

/// A text as Go's `strconv.Quote` and `%q` have it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                // Writing to a text can't fail.
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c if c.is_ascii() || is_printable(c) => quoted.push(c),
            c if u32::from(c) < 0x10000 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether it is seen: neither a control, nor a space, nor without a meaning. What combines
/// with the character before it is.
fn is_printable(c: char) -> bool {
    let after_another = String::from_iter(['a', c]);
    after_another.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    // As Go's strconv.Quote.
    #[test]
    fn what_is_not_seen_is_escaped() {
        for (text, expected) in [
            ("a\"b\\", r#""a\"b\\""#),
            ("\t\n\r\u{b}\u{7}\u{8}\u{c}", r#""\t\n\r\v\a\b\f""#),
            ("\u{0}\u{1}\u{7f}", r#""\x00\x01\x7f""#),
            (
                "\u{85}\u{a0}\u{200b}\u{feff}",
                r#""\u0085\u00a0\u200b\ufeff""#,
            ),
            (
                "é\u{301}日\u{1f600}\u{e0001}",
                "\"é\u{301}日\u{1f600}\\U000e0001\"",
            ),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
