//! What timestamps and durations tell of themselves: `t.getFullYear()`,
//! `t.getHours("Europe/Paris")`, `d.getSeconds()`.

use super::time_text::unix_seconds;
use crate::{Error, Overload, Type, Value};
use hardway_proto::cron::time_zone;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

/// The functions of this file.
pub(crate) fn overloads() -> Vec<Overload> {
    let mut all = Vec::new();
    all.extend(timestamps());
    all.extend(durations());
    all
}

fn timestamps() -> Vec<Overload> {
    let field = |name, id, call| Overload::member(name, id, [Type::Timestamp], Type::Int, call);
    let zoned = |name, id, call| {
        let params = [Type::Timestamp, Type::String];
        Overload::member(name, id, params, Type::Int, call)
    };
    vec![
        field("getFullYear", "timestamp_to_year", |a| utc(a, year)),
        zoned("getFullYear", "timestamp_to_year_with_tz", |a| {
            local(a, year)
        }),
        field("getMonth", "timestamp_to_month", |a| utc(a, month)),
        zoned("getMonth", "timestamp_to_month_with_tz", |a| {
            local(a, month)
        }),
        field("getDayOfYear", "timestamp_to_day_of_year", |a| {
            utc(a, day_of_year)
        }),
        zoned("getDayOfYear", "timestamp_to_day_of_year_with_tz", |a| {
            local(a, day_of_year)
        }),
        field("getDayOfMonth", "timestamp_to_day_of_month", |a| {
            utc(a, day_of_month)
        }),
        zoned("getDayOfMonth", "timestamp_to_day_of_month_with_tz", |a| {
            local(a, day_of_month)
        }),
        field("getDate", "timestamp_to_day_of_month_1_based", |a| {
            utc(a, date)
        }),
        zoned(
            "getDate",
            "timestamp_to_day_of_month_1_based_with_tz",
            |a| local(a, date),
        ),
        field("getDayOfWeek", "timestamp_to_day_of_week", |a| {
            utc(a, day_of_week)
        }),
        zoned("getDayOfWeek", "timestamp_to_day_of_week_with_tz", |a| {
            local(a, day_of_week)
        }),
        field("getHours", "timestamp_to_hours", |a| utc(a, hour)),
        zoned("getHours", "timestamp_to_hours_with_tz", |a| local(a, hour)),
        field("getMinutes", "timestamp_to_minutes", |a| utc(a, minute)),
        zoned("getMinutes", "timestamp_to_minutes_with_tz", |a| {
            local(a, minute)
        }),
        field("getSeconds", "timestamp_to_seconds", |a| utc(a, second)),
        zoned("getSeconds", "timestamp_to_seconds_tz", |a| {
            local(a, second)
        }),
        field("getMilliseconds", "timestamp_to_milliseconds", |a| {
            utc(a, millisecond)
        }),
        zoned(
            "getMilliseconds",
            "timestamp_to_milliseconds_with_tz",
            |a| local(a, millisecond),
        ),
    ]
}

fn durations() -> Vec<Overload> {
    let part = |name, id, call| Overload::member(name, id, [Type::Duration], Type::Int, call);
    vec![
        part("getHours", "duration_to_hours", |a| {
            whole(a, |d| d.as_hours())
        }),
        part("getMinutes", "duration_to_minutes", |a| {
            whole(a, |d| d.as_mins())
        }),
        part("getSeconds", "duration_to_seconds", |a| {
            whole(a, |d| d.as_secs())
        }),
        part("getMilliseconds", "duration_to_milliseconds", |a| {
            whole(a, |d| d.as_millis() as i64)
        }),
    ]
}

fn year(time: DateTime) -> i64 {
    time.year().into()
}

/// From 0.
fn month(time: DateTime) -> i64 {
    i64::from(time.month()) - 1
}

/// From 0.
fn day_of_year(time: DateTime) -> i64 {
    i64::from(time.day_of_year()) - 1
}

/// From 0.
fn day_of_month(time: DateTime) -> i64 {
    i64::from(time.day()) - 1
}

/// The day of the month, from 1.
fn date(time: DateTime) -> i64 {
    time.day().into()
}

/// From Sunday, which is 0.
fn day_of_week(time: DateTime) -> i64 {
    time.weekday().to_sunday_zero_offset().into()
}

fn hour(time: DateTime) -> i64 {
    time.hour().into()
}

fn minute(time: DateTime) -> i64 {
    time.minute().into()
}

fn second(time: DateTime) -> i64 {
    time.second().into()
}

fn millisecond(time: DateTime) -> i64 {
    time.millisecond().into()
}

fn utc<'a>(args: &[Value<'a>], field: fn(DateTime) -> i64) -> Result<Value<'a>, Error> {
    match args {
        [Value::Timestamp(time)] => Ok(Value::Int(field(*time))),
        _ => Err(Error::NoSuchOverload),
    }
}

fn local<'a>(args: &[Value<'a>], field: fn(DateTime) -> i64) -> Result<Value<'a>, Error> {
    match args {
        [Value::Timestamp(time), Value::String(zone)] => {
            let ahead = seconds_ahead(zone, *time)?;
            let there = time
                .checked_add(SignedDuration::from_secs(ahead))
                .map_err(|_| Error::function("timestamp overflow"))?;
            Ok(Value::Int(field(there)))
        }
        _ => Err(Error::NoSuchOverload),
    }
}

fn whole<'a>(args: &[Value<'a>], unit: fn(&SignedDuration) -> i64) -> Result<Value<'a>, Error> {
    match args {
        [Value::Duration(duration)] => Ok(Value::Int(unit(duration))),
        _ => Err(Error::NoSuchOverload),
    }
}

/// By how many seconds a zone's clocks are ahead of UTC at a time. The zone is a name of
/// IANA's, or `-05:00` and the like.
fn seconds_ahead(zone: &str, time: DateTime) -> Result<i64, Error> {
    if let Some((hours, minutes)) = zone.split_once(':') {
        let (hours, minutes) = (integer(hours)?, integer(minutes)?);
        let minutes = if zone.starts_with('-') {
            hours * 60 - minutes
        } else {
            hours * 60 + minutes
        };
        return Ok(minutes * 60);
    }
    if zone.is_empty() {
        return Ok(0);
    }
    let zone = time_zone(zone).map_err(|error| Error::function(error.to_string()))?;
    // The last day of year 9999 is beyond what zones know of: they are as the day before.
    let instant = Timestamp::from_second(unix_seconds(time)).unwrap_or(Timestamp::MAX);
    Ok(zone.to_offset(instant).seconds().into())
}

/// An integer of few digits, with Go's words for what isn't one.
fn integer(text: &str) -> Result<i64, Error> {
    text.parse::<i32>()
        .map(i64::from)
        .map_err(|_| Error::function(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standard::time_text::{parse_duration, parse_timestamp};

    fn call(name: &str, args: &[Value<'static>]) -> Result<i64, String> {
        let overload = overloads()
            .into_iter()
            .find(|o| {
                o.name == name && o.params.len() == args.len() && o.params[0] == args[0].type_of()
            })
            .unwrap();
        (overload.call)(args)
            .map(|value| value.as_int().unwrap())
            .map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Value<'static> {
        Value::Timestamp(parse_timestamp(text).unwrap())
    }

    // The specification's own cases.
    #[test]
    fn fields_of_timestamps() {
        for (name, expected) in [
            ("getFullYear", 2009),
            ("getMonth", 1),
            ("getDayOfYear", 43),
            ("getDayOfMonth", 12),
            ("getDate", 13),
            ("getDayOfWeek", 5),
            ("getHours", 23),
            ("getMinutes", 31),
            ("getSeconds", 30),
            ("getMilliseconds", 123),
        ] {
            let time = at("2009-02-13T23:31:30.123456789Z");
            assert_eq!(call(name, &[time]), Ok(expected), "{name}");
        }
    }

    #[test]
    fn fields_in_zones() {
        let time = "2009-02-13T23:31:30Z";
        for (name, zone, expected) in [
            ("getDate", "Australia/Sydney", 14),
            ("getDayOfMonth", "US/Central", 12),
            ("getDayOfMonth", "+11:00", 13),
            ("getDayOfYear", "US/Central", 43),
            ("getHours", "02:00", 1),
            ("getHours", "-02:30", 21),
            ("getMinutes", "Asia/Kathmandu", 16),
            ("getSeconds", "-00:00", 30),
            ("getHours", "", 23),
        ] {
            let result = call(name, &[at(time), Value::string(zone)]);
            assert_eq!(result, Ok(expected), "{name} {zone}");
        }
        let result = call("getHours", &[at(time), Value::string("Mars/Olympus")]);
        assert_eq!(result, Err("unknown time zone Mars/Olympus".into()));
        let result = call("getHours", &[at(time), Value::string("1h:00")]);
        let words = "strconv.Atoi: parsing \"1h\": invalid syntax";
        assert_eq!(result, Err(words.into()));
        let last = at("9999-12-31T23:59:59Z");
        let result = call("getHours", &[last, Value::string("Europe/Paris")]);
        assert_eq!(result, Err("timestamp overflow".into()));
    }

    #[test]
    fn durations_are_told_in_one_unit() {
        for (name, text, expected) in [
            ("getHours", "10000s", 2),
            ("getMinutes", "3730s", 62),
            ("getSeconds", "1h1m10s", 3670),
            ("getMilliseconds", "123.321456789s", 123_321),
            ("getSeconds", "-1.9s", -1),
        ] {
            let duration = Value::Duration(parse_duration(text).unwrap());
            assert_eq!(call(name, &[duration]), Ok(expected), "{name} {text}");
        }
    }
}
