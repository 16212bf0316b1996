//! What literals mean: numbers, and texts with their escapes.

use super::tree::Constant;

/// How a text is written.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// `r"…"`: a backslash is one.
    pub raw: bool,
    /// `b"…"`.
    pub bytes: bool,
    /// What it begins and ends with: one quotation mark or three.
    pub quotes: Vec<char>,
    /// How many characters stand before the quotation marks.
    pub prefix: usize,
}

fn integer<T>(text: &str, parse: impl Fn(&str, u32) -> Option<T>) -> Option<T> {
    match text.strip_prefix("0x") {
        Some(digits) => parse(digits, 16),
        None => parse(text, 10),
    }
}

/// `1u`, without the `u`.
pub(super) fn unsigned(text: &str) -> Result<Constant, String> {
    integer(text, |digits, radix| {
        u64::from_str_radix(digits, radix).ok()
    })
    .map(Constant::Uint)
    .ok_or_else(|| "invalid uint literal".to_owned())
}

/// An integer or a double, with its sign apart.
pub(super) fn number(text: &str, negative: bool) -> Result<Constant, String> {
    let decimal = !text.starts_with("0x") && text.contains(['.', 'e', 'E']);
    if decimal {
        let value: f64 = text.parse().map_err(|_| "invalid double literal")?;
        if value.is_infinite() {
            return Err("invalid double literal".to_owned());
        }
        return Ok(Constant::Double(if negative { -value } else { value }));
    }
    integer(text, |digits, radix| {
        let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
        i64::try_from(if negative { -magnitude } else { magnitude }).ok()
    })
    .map(Constant::Int)
    .ok_or_else(|| "invalid int literal".to_owned())
}

/// What stands between quotation marks.
pub(super) fn text(content: &[char], form: &Form) -> Result<Constant, String> {
    let mut bytes = Vec::new();
    let mut rest = content.iter().copied().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' {
            // Line ends are one character, however they are written.
            if rest.peek() != Some(&'\n') {
                push(&mut bytes, '\n');
            }
        } else if c != '\\' || form.raw {
            push(&mut bytes, c);
        } else {
            escaped(&mut rest, form.bytes, &mut bytes)?;
        }
    }
    if form.bytes {
        return Ok(Constant::Bytes(bytes.into()));
    }
    // Escapes push whole characters, so it is text.
    String::from_utf8(bytes)
        .map(|text| Constant::String(text.into()))
        .map_err(|_| "invalid string literal".to_owned())
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash.
fn escaped(
    rest: &mut impl Iterator<Item = char>,
    as_bytes: bool,
    bytes: &mut Vec<u8>,
) -> Result<(), String> {
    let unable = || "unable to unescape string".to_owned();
    let c = rest.next().ok_or_else(unable)?;
    let plain = match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '?' | '"' | '\'' | '`' => c,
        'x' | 'X' | '0'..='3' => {
            let (first, count, radix) = match c {
                'x' | 'X' => ("", 2, 16),
                _ => (&*c.to_string(), 2, 8),
            };
            let value = digits(rest, first, count, radix).and_then(|v| u8::try_from(v).ok());
            let value = value.ok_or_else(unable)?;
            match as_bytes {
                true => bytes.push(value),
                false => push(bytes, char::from(value)),
            }
            return Ok(());
        }
        'u' | 'U' if !as_bytes => {
            let value = digits(rest, "", if c == 'u' { 4 } else { 8 }, 16);
            value.and_then(char::from_u32).ok_or_else(unable)?
        }
        _ => return Err(unable()),
    };
    push(bytes, plain);
    Ok(())
}

/// The number that a digit already read and so many more spell.
fn digits(
    rest: &mut impl Iterator<Item = char>,
    first: &str,
    count: usize,
    radix: u32,
) -> Option<u32> {
    let more: String = rest.take(count).collect();
    let fits = more.chars().all(|c| c.is_digit(radix)) && more.len() == count;
    let text = format!("{first}{more}");
    fits.then(|| u32::from_str_radix(&text, radix).ok())
        .flatten()
}
