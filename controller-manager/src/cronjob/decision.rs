//! Whether a CronJob starts a Job now.

use super::times::{Missed, Timetable};
use hardway_client::events::EventType;
use hardway_proto::Kind;
use hardway_proto::cron::{Schedule, time_zone};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec};

/// An event of the CronJob: type, reason and message.
pub type Event = (EventType, &'static str, String);

/// What to do.
#[derive(Debug, Default)]
pub struct Decision {
    /// Start a Job for this time.
    pub start: Option<Timestamp>,
    /// Events to record.
    pub events: Vec<Event>,
    /// By what the next time is reckoned; `None`: nothing happens until the
    /// CronJob changes.
    pub timetable: Option<Timetable>,
}

impl Decision {
    fn event(r#type: EventType, reason: &'static str, message: String) -> Self {
        Self {
            events: vec![(r#type, reason, message)],
            ..Self::default()
        }
    }
}

/// The timetable of a CronJob; of one without a zone by the clock of `here`.
///
/// # Errors
/// The event to record.
pub fn timetable(spec: &CronJobSpec, here: &TimeZone) -> Result<Timetable, Event> {
    let warning = |reason, message| (EventType::Warning, reason, message);
    let zone = match &spec.time_zone {
        Some(name) => time_zone(name).map_err(|error| {
            warning(
                "UnknownTimeZone",
                format!("invalid timeZone: {name:?}: {error}"),
            )
        })?,
        None => here.clone(),
    };
    let text = &spec.schedule;
    let schedule = Schedule::parse(text).map_err(|error| {
        let message = format!("unparseable schedule: {text:?} : {error}");
        warning("UnparseableSchedule", message)
    })?;
    Ok(Timetable { schedule, zone })
}

/// Decides by the CronJob's status, which knows of all Jobs that run.
pub fn decide(cron: &CronJob, here: &TimeZone, now: Timestamp) -> Decision {
    let Some(spec) = &cron.spec else {
        return Decision::default();
    };
    let leaving = cron.metadata.deletion_timestamp.is_some();
    if leaving || spec.suspend == Some(true) {
        return Decision::default();
    }
    let timetable = match timetable(spec, here) {
        Ok(timetable) => timetable,
        Err(event) => {
            return Decision {
                events: vec![event],
                ..Decision::default()
            };
        }
    };
    let mut decision = match timetable.due(cron, now) {
        Ok(None) => Decision::default(),
        Ok(Some((time, missed))) => due(cron, spec, time, missed, now),
        Err(error) => {
            let message = format!("invalid schedule: {} : {error}", spec.schedule);
            return Decision::event(EventType::Warning, "InvalidSchedule", message);
        }
    };
    decision.timetable = Some(timetable);
    decision
}

fn due(
    cron: &CronJob,
    spec: &CronJobSpec,
    time: Timestamp,
    missed: Missed,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    if missed == Missed::Many {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        let event = (EventType::Warning, "TooManyMissedTimes", message.to_owned());
        decision.events.push(event);
    }
    let deadline = spec
        .starting_deadline_seconds
        .map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| time.duration_until(now) > deadline) {
        let when = time.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = format!("Missed scheduled time to start a job: {when}");
        let event = (EventType::Warning, "MissSchedule", message);
        decision.events.push(event);
        return decision;
    }
    let status = cron.status.as_ref();
    let active = status.and_then(|s| s.active.as_deref()).unwrap_or_default();
    let last = status.and_then(|s| s.last_schedule_time.as_ref());
    let name = job_name(cron, time);
    let known = active.iter().any(|job| job.name.as_ref() == Some(&name));
    if known || last.is_some_and(|last| last.0 == time) {
        return decision;
    }
    if spec.concurrency_policy.as_deref() == Some("Forbid") && !active.is_empty() {
        let message =
            "Not starting job because prior execution is running and concurrency policy is Forbid";
        let event = (EventType::Normal, "JobAlreadyActive", message.to_owned());
        decision.events.push(event);
        return decision;
    }
    decision.start = Some(time);
    decision
}

/// The name of the Job for a time: the same whoever starts it, so that there is
/// never a second one.
pub fn job_name(cron: &CronJob, time: Timestamp) -> String {
    format!("{}-{}", cron.name(), time.as_second().div_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CronBuilder, at};
    use super::*;
    use serde_json::{Value, json};

    /// The time that is started, and the reasons of the events.
    fn decided(cron: CronBuilder, now: &str) -> (String, String) {
        let decision = decide(&cron.build(), &TimeZone::UTC, at(now));
        let start = decision.start.map(|time| time.strftime("%T").to_string());
        let events: Vec<_> = decision
            .events
            .iter()
            .map(|(_, reason, _)| *reason)
            .collect();
        (start.unwrap_or_default(), events.join(","))
    }

    fn hourly() -> CronBuilder {
        CronBuilder::new().created("10:00:00")
    }

    #[test]
    fn a_job_is_started_when_its_time_has_come() {
        let active =
            |name: &str| json!([{"kind": "Job", "namespace": "d", "name": name, "uid": "u"}]);
        let eleven = format!("c-{}", at("11:00:00").as_second() / 60);
        let with = |spec: Value| hourly().with(spec);
        for (cron, now, start, events) in [
            (hourly(), "10:59:59", "", ""),
            (hourly(), "11:00:01", "11:00:00", ""),
            (hourly().ran("11:00:00"), "11:00:01", "", ""),
            (hourly().active(active(&eleven)), "11:00:01", "", ""),
            (hourly().active(active("c-1")), "11:00:01", "11:00:00", ""),
            (with(json!({"suspend": true})), "11:00:01", "", ""),
            (hourly().leaving(), "11:00:01", "", ""),
            (
                with(json!({"concurrencyPolicy": "Forbid"})).active(active("c-1")),
                "11:00:01",
                "",
                "JobAlreadyActive",
            ),
            (
                with(json!({"concurrencyPolicy": "Forbid"})),
                "11:00:01",
                "11:00:00",
                "",
            ),
            (
                with(json!({"concurrencyPolicy": "Replace"})).active(active("c-1")),
                "11:00:01",
                "11:00:00",
                "",
            ),
            (
                with(json!({"schedule": "* * * * *"})),
                "12:00:00",
                "12:00:00",
                "TooManyMissedTimes",
            ),
            (
                with(json!({"schedule": "59 23 31 2 *"})),
                "12:00:00",
                "",
                "InvalidSchedule",
            ),
            (
                with(json!({"schedule": "x"})),
                "12:00:00",
                "",
                "UnparseableSchedule",
            ),
            (
                with(json!({"timeZone": "No/Where"})),
                "12:00:00",
                "",
                "UnknownTimeZone",
            ),
            (
                with(json!({"schedule": "0 20 * * *", "timeZone": "Asia/Tokyo"})),
                "11:00:01",
                "11:00:00",
                "",
            ),
        ] {
            let case = json!(cron.clone().build().spec);
            assert_eq!(
                decided(cron, now),
                (start.into(), events.into()),
                "{case} at {now}"
            );
        }
    }

    #[test]
    fn a_job_that_is_too_late_is_told_of() {
        // `startingDeadlineSeconds` alone leaves no time that is too late.
        let cron = hourly().deadline(600).build();
        let spec = cron.spec.as_ref().unwrap();
        let decision = due(&cron, spec, at("11:00:00"), Missed::None, at("11:10:01"));
        assert_eq!(decision.start, None);
        let message = "Missed scheduled time to start a job: Mon, 01 Jan 2024 11:00:00 +0000";
        assert_eq!(decision.events[0].2, message);
        let decision = due(&cron, spec, at("11:00:00"), Missed::None, at("11:10:00"));
        assert_eq!(decision.start, Some(at("11:00:00")));
    }

    #[test]
    fn without_a_zone_the_controllers_clock_counts() {
        let tokyo = time_zone("Asia/Tokyo").unwrap();
        let cron = hourly().with(json!({"schedule": "0 20 * * *"})).build();
        assert_eq!(
            decide(&cron, &tokyo, at("11:00:01")).start,
            Some(at("11:00:00"))
        );
    }
}
