//! Whether a command printed what it should.

/// The first of the wanted lines that was not printed, or the first unwanted one that
/// was; none if all is well.
///
/// Each wanted line needs a printed one for itself; blanks count as one and do not
/// matter at the ends; `*` stands for anything, and `!` in front unwants a line.
pub fn missing<'a>(printed: &str, wanted: &'a [String]) -> Option<&'a str> {
    let mut lines: Vec<String> = printed.lines().map(squeeze).collect();
    for want in wanted {
        let good = if let Some(unwanted) = want.strip_prefix('!') {
            !lines.iter().any(|line| fits(line, unwanted))
        } else {
            match lines.iter().position(|line| fits(line, want)) {
                Some(at) => {
                    lines.remove(at);
                    true
                }
                None => false,
            }
        };
        if !good {
            return Some(want);
        }
    }
    None
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line is as described. A star between blanks may stand for nothing at all.
fn fits(line: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return line == pattern;
    };
    let Some(mut line) = line.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some(at) = line.find(part) else {
            return false;
        };
        line = &line[at + part.len()..];
    }
    line.ends_with(end)
}

/// The text without colours, which `kubectl cluster-info` prints everywhere.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // The sequence ends with its first letter.
            characters.find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        assert!(fits("a-1 2/2 Running 0 5s", "a-* 2/2 Running *"));
        assert!(fits("a", "a"));
        assert!(fits("abc", "a*"));
        assert!(fits("abc", "*b*"));
        assert!(fits("10.0.0.1:9,10.0.0.2:9", "*:9,*:9"));
        assert!(!fits("10.0.0.1:9", "*:9,*:9"));
        assert!(!fits("abc", "a*b"));
        assert!(!fits("abc", "b*"));
        assert!(!fits("ab", "abc"));
    }

    #[test]
    fn each_wanted_line_needs_one_for_itself() {
        let wanted = |lines: &[&str]| {
            lines
                .iter()
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>()
        };
        let printed = "NAME   READY\nx-1    1/1\n  x-2  1/1\n";
        assert_eq!(missing(printed, &wanted(&["x-* 1/1", "x-* 1/1"])), None);
        let three = wanted(&["x-*", "x-*", "x-*"]);
        assert_eq!(missing(printed, &three), Some("x-*"));
        assert_eq!(missing(printed, &wanted(&["!y*"])), None);
        assert_eq!(missing(printed, &wanted(&["!x-2 *"])), Some("!x-2 *"));
    }

    #[test]
    fn colours_go() {
        assert_eq!(plain("\u{1b}[0;32mgreen\u{1b}[0m, say"), "green, say");
    }
}
