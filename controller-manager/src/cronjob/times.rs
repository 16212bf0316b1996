//! When a CronJob's next Job is due, and which times it missed: as
//! `mostRecentScheduleTime` of Kubernetes' controller reckons.

use hardway_proto::cron::Schedule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::CronJob;
use std::time::Duration;

/// Clocks of hosts differ a little: a Job that is due is looked for this much later.
const PADDING: SignedDuration = SignedDuration::from_millis(100);
/// So many missed times are a sign of a clock that is wrong.
const MANY: i64 = 100;

/// How many times have passed without a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// At most the one that is due now.
    None,
    /// Some.
    Few,
    /// More than a hundred.
    Many,
}

/// The times of a schedule can't be told apart, or never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time difference between two schedules is less than 1 second")]
pub struct NoTimes;

/// A schedule, and by whose clock it goes.
#[derive(Clone, Debug)]
pub struct Timetable {
    /// When.
    pub schedule: Schedule,
    /// Where.
    pub zone: TimeZone,
}

/// The last time that has passed, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    /// From when on times count.
    since: Timestamp,
    /// The time, if one has passed since then.
    time: Option<Timestamp>,
    missed: Missed,
}

impl Timetable {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, &self.zone)
    }

    fn last(&self, cron: &CronJob, now: Timestamp, limited: bool) -> Result<Last, NoTimes> {
        let since = since(cron, now, limited);
        let last = |time, missed| Last {
            since,
            time,
            missed,
        };
        let first = self.next(since);
        if first.is_some_and(|first| now < first) {
            return Ok(last(None, Missed::None));
        }
        let (Some(first), Some(second)) = (first, first.and_then(|first| self.next(first))) else {
            return Err(NoTimes);
        };
        if now < second {
            return Ok(last(Some(first), Missed::None));
        }
        // About how many have passed; far too many to go through, perhaps.
        let period = first.duration_until(second).as_secs();
        if period < 1 {
            return Err(NoTimes);
        }
        let passed = first.duration_until(now).as_secs() / period + 1;
        // From one before the last on they are exact, also of irregular schedules.
        let skipped = SignedDuration::from_secs((passed - 2) * period);
        let from = first.checked_add(skipped).map_err(|_| NoTimes)?;
        let times = std::iter::successors(self.next(from), |time| self.next(*time));
        let time = times.take_while(|time| *time <= now).last();
        let missed = if passed > MANY {
            Missed::Many
        } else {
            Missed::Few
        };
        Ok(last(time, missed))
    }

    /// The time for which a Job is due now, if there is one.
    ///
    /// # Errors
    /// If the schedule has no times.
    pub fn due(
        &self,
        cron: &CronJob,
        now: Timestamp,
    ) -> Result<Option<(Timestamp, Missed)>, NoTimes> {
        let last = self.last(cron, now, true)?;
        Ok(last.time.map(|time| (time, last.missed)))
    }

    /// In how long to look for the next Job that is due.
    pub fn next_in(&self, cron: &CronJob, now: Timestamp) -> Option<Duration> {
        let from = match self.last(cron, now, false) {
            Ok(last) if last.missed == Missed::None => last.time.unwrap_or(last.since),
            Ok(last) => last.time.unwrap_or(now),
            Err(NoTimes) => now,
        };
        let at = self.next(from)?.checked_add(PADDING).ok()?;
        Some(Duration::try_from(now.duration_until(at)).unwrap_or_default())
    }
}

/// From when on times count: the last one that had a Job, or the CronJob's
/// creation; none that its starting deadline forbids.
fn since(cron: &CronJob, now: Timestamp, limited: bool) -> Timestamp {
    let last = cron
        .status
        .as_ref()
        .and_then(|s| s.last_schedule_time.as_ref());
    let since = last.or(cron.metadata.creation_timestamp.as_ref());
    let since = since.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let deadline = cron.spec.as_ref().and_then(|s| s.starting_deadline_seconds);
    match deadline.filter(|_| limited) {
        Some(seconds) => {
            let earliest = now.checked_sub(SignedDuration::from_secs(seconds));
            earliest.map_or(since, |earliest| since.max(earliest))
        }
        None => since,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CronBuilder, at};
    use super::*;

    fn table(schedule: &str) -> Timetable {
        Timetable {
            schedule: Schedule::parse(schedule).unwrap(),
            zone: TimeZone::UTC,
        }
    }

    /// Due time and missed times; and when to look again.
    fn reckoned(schedule: &str, cron: CronBuilder, now: &str) -> (String, String) {
        let (cron, table, now) = (cron.build(), table(schedule), at(now));
        let due = match table.due(&cron, now) {
            Ok(None) => String::new(),
            Ok(Some((time, missed))) => format!("{} {missed:?}", time.strftime("%T")),
            Err(error) => error.to_string(),
        };
        let next = table.next_in(&cron, now).map(|pause| now + pause);
        (
            due,
            next.map_or(String::new(), |at| at.strftime("%d %T%.1f").to_string()),
        )
    }

    #[test]
    fn what_is_due_and_what_was_missed() {
        let fresh = || CronBuilder::new().created("10:00:00");
        let ran = |time| fresh().ran(time);
        for (schedule, cron, now, due, next) in [
            ("0 * * * *", fresh(), "10:30:00", "", "01 11:00:00.1"),
            (
                "0 * * * *",
                fresh(),
                "11:00:00",
                "11:00:00 None",
                "01 12:00:00.1",
            ),
            (
                "0 * * * *",
                fresh(),
                "11:59:59",
                "11:00:00 None",
                "01 12:00:00.1",
            ),
            (
                "0 * * * *",
                fresh(),
                "12:10:00",
                "12:00:00 Few",
                "01 13:00:00.1",
            ),
            (
                "0 * * * *",
                ran("12:00:00"),
                "12:10:00",
                "",
                "01 13:00:00.1",
            ),
            (
                "* * * * *",
                fresh(),
                "11:40:30",
                "11:40:00 Few",
                "01 11:41:00.1",
            ),
            (
                "* * * * *",
                fresh(),
                "11:41:30",
                "11:41:00 Many",
                "01 11:42:00.1",
            ),
            // An irregular one.
            (
                "30 6-16/4 * * *",
                fresh(),
                "15:00:00",
                "14:30:00 Few",
                "02 06:30:00.1",
            ),
            // The last time is in the future: the clock was set back.
            (
                "0 * * * *",
                ran("18:00:00"),
                "12:10:00",
                "",
                "01 19:00:00.1",
            ),
            (
                "@every 7m",
                ran("10:03:00"),
                "10:10:00",
                "10:10:00 None",
                "01 10:17:00.1",
            ),
            (
                "@every 7m",
                ran("10:03:00"),
                "10:20:00",
                "10:17:00 Few",
                "01 10:24:00.1",
            ),
        ] {
            let reckoned = reckoned(schedule, cron, now);
            assert_eq!(
                reckoned,
                (due.to_owned(), next.to_owned()),
                "{schedule} at {now}"
            );
        }
    }

    #[test]
    fn a_deadline_limits_what_is_missed() {
        let cron = |deadline| CronBuilder::new().created("10:00:00").deadline(deadline);
        let due = |deadline, now| reckoned("0 * * * *", cron(deadline), now).0;
        assert_eq!(due(600, "12:05:00"), "12:00:00 None");
        assert_eq!(due(600, "12:15:00"), "");
        assert_eq!(due(7200, "12:15:00"), "12:00:00 Few");
    }

    #[test]
    fn a_day_that_never_comes() {
        let cron = CronBuilder::new().created("10:00:00");
        let words = "time difference between two schedules is less than 1 second";
        assert_eq!(
            reckoned("59 23 31 2 *", cron, "12:00:00"),
            (words.into(), String::new())
        );
    }
}
