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
