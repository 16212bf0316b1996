//! Durations as Go writes them.

use jiff::SignedDuration;

/// A duration as Go's `time.ParseDuration` reads it; the error is without its `time: `.
pub(super) fn duration_of(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("invalid duration {text:?}");
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
            "" => return Err(format!("missing unit in duration {text:?}")),
            _ => return Err(format!("unknown unit {unit:?} in duration {text:?}")),
        };
        let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = |text: &str| -> Result<i128, String> {
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
