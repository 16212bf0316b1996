//! `%20` and the like in the parts of a URL, each of which has rules of its own in Go's
//! `net/url`.

use super::super::quote::quoted;

/// A part of a URL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Host,
    Zone,
    User,
    Query,
    Fragment,
}

/// The text without escapes, or what is wrong with it.
pub(super) fn unescape(text: &str, part: Part) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let escape = &bytes[at..bytes.len().min(at + 3)];
                let bad = || {
                    let escape = String::from_utf8_lossy(escape);
                    format!("invalid URL escape {}", quoted(&escape))
                };
                let value = hex(escape).ok_or_else(bad)?;
                let allowed = match part {
                    // Only what isn't ASCII may be escaped in a host, and the `%` of a zone.
                    Part::Host => value >= 0x80 || value == b'%',
                    Part::Zone => value == b'%' || value == b' ' || !must_escape(value, Part::Host),
                    _ => true,
                };
                if !allowed {
                    return Err(bad());
                }
                plain.push(value);
                at += 3;
                continue;
            }
            b'+' if part == Part::Query => plain.push(b' '),
            byte => {
                let of_host = matches!(part, Part::Host | Part::Zone);
                if of_host && byte < 0x80 && must_escape(byte, part) {
                    let character = quoted(&char::from(byte).to_string());
                    return Err(format!("invalid character {character} in host name"));
                }
                plain.push(byte);
            }
        }
        at += 1;
    }
    Ok(plain)
}

/// The value of `%7E`.
fn hex(escape: &[u8]) -> Option<u8> {
    match escape {
        [b'%', high, low] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        }
        _ => None,
    }
}

/// The bytes with everything escaped that must be.
pub(super) fn escape(bytes: &[u8], part: Part) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for &byte in bytes {
        if must_escape(byte, part) {
            escaped.push_str(&format!("%{byte:02X}"));
        } else {
            escaped.push(byte.into());
        }
    }
    escaped
}

/// Whether a text is escaped well enough to be left as it is.
pub(super) fn is_escaped(text: &str, part: Part) -> bool {
    text.bytes().all(|byte| match byte {
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':'
        | b'@' | b'[' | b']' | b'%' => true,
        byte => !must_escape(byte, part),
    })
}

fn must_escape(byte: u8, part: Part) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => false,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':'
        | b'[' | b']' | b'<' | b'>' | b'"'
            if matches!(part, Part::Host | Part::Zone) =>
        {
            false
        }
        b'-' | b'_' | b'.' | b'~' => false,
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match part {
            Part::Path => byte == b'?',
            Part::User => matches!(byte, b'@' | b'/' | b'?' | b':'),
            Part::Query => true,
            Part::Fragment => false,
            Part::Host | Part::Zone => true,
        },
        b'!' | b'(' | b')' | b'*' => part != Part::Fragment,
        _ => true,
    }
}
