//! Timestamps and durations as text, read and written as Go's `time` package does, whose
//! parsers CEL's conversions are.

use crate::{Error, Type};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

/// The second at which timestamps begin: the first of year 1.
const FIRST_SECOND: i64 = -62_135_596_800;
/// The second at which they end: the last of year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

fn no_conversion(to: &Type) -> Error {
    Error::function(format!(
        "type conversion error from 'string' to '{}'",
        to.name()
    ))
}

/// A duration such as `1h15m30.918273645s`: decimal numbers, each with a unit, and a sign.
pub(crate) fn parse_duration(text: &str) -> Result<SignedDuration, Error> {
    nanoseconds(text)
        .map(SignedDuration::from_nanos)
        .ok_or_else(|| no_conversion(&Type::Duration))
}

fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let unit: u64 = match &after[..end] {
            "ns" => 1,
            // Both signs that stand for micro.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: u64 = match whole {
            "" => 0,
            digits => digits.parse().ok()?,
        };
        let part = whole
            .checked_mul(unit)?
            .checked_add(fraction_of(fraction, unit))?;
        total = total.checked_add(part)?;
        rest = &after[end..];
    }
    if negative {
        0i64.checked_sub_unsigned(total)
    } else {
        i64::try_from(total).ok()
    }
}

/// The digits at the start of a text, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// `0.fraction` of a unit, in nanoseconds, with as many digits as 63 bits have room for.
fn fraction_of(fraction: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0i64, 1.0);
    for digit in fraction.bytes() {
        let next = number.checked_mul(10);
        let Some(next) = next.and_then(|next| next.checked_add((digit - b'0').into())) else {
            break;
        };
        number = next;
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

/// A duration in seconds: `3600s`, `1.5s`.
pub(crate) fn duration_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs() as f64 + f64::from(duration.subsec_nanos()) / 1e9;
    format!("{seconds}s")
}

/// A timestamp of RFC 3339, as UTC.
pub(crate) fn parse_timestamp(text: &str) -> Result<DateTime, Error> {
    let (local, offset) = local_time(text).ok_or_else(|| no_conversion(&Type::Timestamp))?;
    from_unix_seconds(unix_seconds(local) - offset)?
        .with()
        .subsec_nanosecond(local.subsec_nanosecond())
        .build()
        .map_err(|_| no_conversion(&Type::Timestamp))
}

/// The time a text says, and by how many seconds that is ahead of UTC.
fn local_time(text: &str) -> Option<(DateTime, i64)> {
    let mut rest = Rest(text);
    let year = rest.number(4, 4)?;
    rest.character('-')?;
    let month = rest.number(2, 2)?;
    rest.character('-')?;
    let day = rest.number(2, 2)?;
    rest.character('T')?;
    // Go takes an hour of one digit as well.
    let hour = rest.number(1, 2)?;
    rest.character(':')?;
    let minute = rest.number(2, 2)?;
    rest.character(':')?;
    let second = rest.number(2, 2)?;
    let nanosecond = rest.fraction()?;
    let offset = rest.offset()?;
    let date = Date::new(year as i16, month as i8, day as i8).ok()?;
    let time = Time::new(hour as i8, minute as i8, second as i8, nanosecond).ok()?;
    rest.0
        .is_empty()
        .then(|| (DateTime::from_parts(date, time), offset))
}

/// What of a text is still to be read.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn character(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    /// A number of so many digits at least and at most.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = digits(self.0).0.len().min(most);
        if count < least {
            return None;
        }
        let (number, rest) = self.0.split_at(count);
        self.0 = rest;
        number.parse().ok()
    }

    /// Nanoseconds, if there are any; a comma may stand for the point.
    fn fraction(&mut self) -> Option<i32> {
        let Some(after) = self.0.strip_prefix(['.', ',']) else {
            return Some(0);
        };
        let (fraction, rest) = digits(after);
        if fraction.is_empty() {
            return None;
        }
        self.0 = rest;
        let kept = &fraction[..fraction.len().min(9)];
        format!("{kept:0<9}").parse().ok()
    }

    /// `Z` or `+01:30`, in seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.character('Z').is_some() {
            return Some(0);
        }
        let sign = if self.character('-').is_some() {
            -1
        } else {
            self.character('+')?;
            1
        };
        let hours = self.number(2, 2)?;
        self.character(':')?;
        let minutes = self.number(2, 2)?;
        // Go allows for offsets that people write of 24 hours and 60 minutes.
        (hours <= 24 && minutes <= 60).then_some(sign * (hours * 60 + minutes) * 60)
    }
}

/// A timestamp in RFC 3339 with as many digits as it needs.
pub(crate) fn timestamp_text(timestamp: DateTime) -> String {
    let mut text = timestamp.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    if timestamp.subsec_nanosecond() != 0 {
        let fraction = format!(".{:09}", timestamp.subsec_nanosecond());
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Seconds since 1970.
pub(crate) fn unix_seconds(timestamp: DateTime) -> i64 {
    timestamp
        .duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0))
        .as_nanos()
        .div_euclid(1_000_000_000) as i64
}

/// The timestamp so many seconds after the start of 1970.
pub(crate) fn from_unix_seconds(seconds: i64) -> Result<DateTime, Error> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        return Err(Error::function("timestamp overflow"));
    }
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|_| Error::function("timestamp overflow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Go's own tests of time.ParseDuration.
    #[test]
    fn durations() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("-5s", -5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-0", 0),
            ("5.0s", 5_000_000_000),
            ("5.6s", 5_600_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("13ms", 13_000_000),
            ("3h30m", 12_600_000_000_000),
            ("4m10.5s", 250_500_000_000),
            ("-2m3.4s", -123_400_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("39h9m14.425s", 140_954_425_000_000),
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.100000000000000000000h", 360_000_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(SignedDuration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "3",
            "-",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "\u{85}\u{85}",
            "hello",
            "9223372036854775810ns",
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "3000000h",
            "9223372036854775.808us",
            " 1s",
            "1s ",
        ] {
            assert_eq!(
                parse_duration(text).unwrap_err().to_string(),
                "type conversion error from 'string' to 'google.protobuf.Duration'",
                "{text}"
            );
        }
    }

    #[test]
    fn durations_are_written_in_seconds() {
        for (text, written) in [
            ("1h45m47s", "6347s"),
            ("2ns", "0.000000002s"),
            ("1.5s", "1.5s"),
            ("-1500ms", "-1.5s"),
            ("0", "0s"),
        ] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), written);
        }
    }

    #[test]
    fn timestamps() {
        for (text, written) in [
            ("2009-02-13T23:31:30Z", "2009-02-13T23:31:30Z"),
            ("2023-02-03T23:31:20+00:00", "2023-02-03T23:31:20Z"),
            ("2011-01-01T00:00:00.000+01:00", "2010-12-31T23:00:00Z"),
            ("1985-04-12T23:20:50.52-07:30", "1985-04-13T06:50:50.52Z"),
            (
                "2009-02-13T23:31:30.000000001Z",
                "2009-02-13T23:31:30.000000001Z",
            ),
            ("2009-02-13T3:31:30,5Z", "2009-02-13T03:31:30.5Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            (
                "9999-12-31T23:59:59.999999999Z",
                "9999-12-31T23:59:59.999999999Z",
            ),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(
                parse_timestamp(text).map(timestamp_text).as_deref(),
                Ok(written),
                "{text}"
            );
        }
        for text in [
            "",
            "2009-02-13",
            "2009-02-13 23:31:30Z",
            "2009-02-13T23:31:30",
            "2023-02-29T00:00:00Z",
            "2009-02-13T23:31:60Z",
            "2009-02-13T24:00:00Z",
            "2009-2-13T23:31:30Z",
            "2009-02-13T23:31:30z",
            "2009-02-13T23:31:30+0100",
            "2009-02-13T23:31:30.Z",
            "2009-02-13T23:31:30+25:00",
            "2009-02-13T23:31:30Z ",
        ] {
            assert_eq!(
                parse_timestamp(text).unwrap_err().to_string(),
                "type conversion error from 'string' to 'google.protobuf.Timestamp'",
                "{text}"
            );
        }
        for text in [
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
        ] {
            let error = parse_timestamp(text).unwrap_err().to_string();
            assert_eq!(error, "timestamp overflow", "{text}");
        }
    }

    #[test]
    fn seconds_of_the_epoch() {
        for seconds in [FIRST_SECOND, -1, 0, 1_234_567_890, LAST_SECOND] {
            assert_eq!(unix_seconds(from_unix_seconds(seconds).unwrap()), seconds);
        }
        assert_eq!(
            timestamp_text(from_unix_seconds(1_234_567_890).unwrap()),
            "2009-02-13T23:31:30Z"
        );
        assert!(from_unix_seconds(LAST_SECOND + 1).is_err());
    }
}
