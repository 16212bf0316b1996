//! Durations as Go writes them: `1h15m30.5s`.

use jiff::SignedDuration;

/// What is wrong with a duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time: {0}")]
pub struct DurationError(String);

/// A duration as Go's `time.ParseDuration` reads it: decimal numbers, each with a unit, and
/// a sign.
///
/// # Errors
/// As Go has them.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError(format!("invalid duration {text:?}"));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit());
        let (amount, after) = rest.split_at(end.unwrap_or(rest.len()));
        if !amount.contains(|c: char| c.is_ascii_digit()) || amount.matches('.').count() > 1 {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => {
                let why = format!("missing unit in duration {text:?}");
                return Err(DurationError(why));
            }
            _ => {
                let why = format!("unknown unit {unit:?} in duration {text:?}");
                return Err(DurationError(why));
            }
        };
        let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = |text: &str| -> Result<i128, DurationError> {
            match text {
                "" => Ok(0),
                _ => text.parse().map_err(|_| invalid()),
            }
        };
        // Fractions finer than this are no matter of a schedule.
        let part = &part[..part.len().min(15)];
        let fraction = digits(part)? * scale / 10i128.pow(part.len() as u32);
        let whole = digits(whole)?.checked_mul(scale).ok_or_else(invalid)?;
        nanoseconds = whole
            .checked_add(fraction)
            .and_then(|amount| amount.checked_add(nanoseconds))
            .ok_or_else(invalid)?;
        if nanoseconds > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = after;
    }
    let nanoseconds = nanoseconds as i64;
    Ok(SignedDuration::from_nanos(if negative {
        -nanoseconds
    } else {
        nanoseconds
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_is_read() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("+1.5m", 90_000_000_000),
            ("-1h0.5s", -3_600_500_000_000),
            ("1us", 1_000),
            (".5ms", 500_000),
        ] {
            assert_eq!(parse(text), Ok(SignedDuration::from_nanos(nanoseconds)));
        }
        for (text, why) in [
            ("", r#"time: invalid duration """#),
            ("abc", r#"time: invalid duration "abc""#),
            ("-", r#"time: invalid duration "-""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("5 s", r#"time: unknown unit " s" in duration "5 s""#),
            ("9999999999h", r#"time: invalid duration "9999999999h""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), why);
        }
    }
}
