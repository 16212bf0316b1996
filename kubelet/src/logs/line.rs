//! One line of a log: `TIME STREAM TAG CONTENT`.

/// A line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// When it was written, RFC 3339.
    pub time: &'a str,
    /// `stdout` or `stderr`.
    pub stream: &'a str,
    /// Whether the container's line goes on in the next one.
    pub partial: bool,
    /// What the container wrote, which need be no text, without a newline.
    pub content: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line that ends with its newline.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n")?;
        let (time, rest) = word(line)?;
        let (stream, rest) = word(rest)?;
        // A line may be empty, and then some writers leave out the last space.
        let (tags, content) = match word(rest) {
            Some(found) => found,
            None => (text(rest)?, &b""[..]),
        };
        if !matches!(stream, "stdout" | "stderr") {
            return None;
        }
        let partial = match tags.split(':').next()? {
            "P" => true,
            "F" => false,
            _ => return None,
        };
        Some(Self {
            time,
            stream,
            partial,
            content,
        })
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn word(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    Some((text(&bytes[..space])?, &bytes[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cri() {
        let line = Line::parse(b"2026-01-01T00:00:00.5Z stderr P:x a b\n").unwrap();
        assert_eq!(line.time, "2026-01-01T00:00:00.5Z");
        assert_eq!((line.stream, line.partial), ("stderr", true));
        assert_eq!(line.content, b"a b");
        let latin = Line::parse(b"2026-01-01T00:00:00Z stdout F caf\xe9 two\n").unwrap();
        assert_eq!(latin.content, b"caf\xe9 two", "bytes are kept as they are");
        let empty = Line::parse(b"2026-01-01T00:00:00Z stdout F \n").unwrap();
        assert_eq!((empty.partial, empty.content), (false, &b""[..]));
        assert!(Line::parse(b"2026-01-01T00:00:00Z stdout F\n").is_some());
        for bad in [
            &b"x\n"[..],
            b"t stdin F x\n",
            b"t stdout X x\n",
            b"t stdout F x",
        ] {
            assert_eq!(Line::parse(bad), None);
        }
    }
}
