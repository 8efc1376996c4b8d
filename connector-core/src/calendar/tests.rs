mod cases;
mod dateutil;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use proptest::prelude::*;

use super::Series;
use crate::model::{Schedule, When};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn recurring(start: impl Into<When>, zone: &str, lines: &[&str]) -> Schedule {
    Schedule::new("event", start).recurrence(lines.iter().map(|line| (*line).to_owned()), zone)
}

fn series(pieces: impl IntoIterator<Item = Schedule>) -> Series {
    let mut series = Series::default();
    for piece in pieces {
        series.put(time("2026-01-01T00:00:00Z"), piece);
    }
    series
}

/// When it takes place in 2026 and 2027.
fn starts(series: &Series) -> Vec<String> {
    let found = series.occurrences(time("2026-01-01T00:00:00Z"), time("2028-01-01T00:00:00Z")).unwrap();
    found.iter().map(|occurrence| super::key(occurrence.start)).collect()
}

fn refusal(schedule: Schedule) -> String {
    let error = series([schedule]).occurrences(Timestamp::UNIX_EPOCH, time("2030-01-01T00:00:00Z")).unwrap_err();
    error.to_string()
}

#[test]
fn an_event_that_does_not_recur_takes_place_once() {
    let at = time("2026-01-05T09:00:00Z");
    let once = series([Schedule::new("event", at).end(time("2026-01-05T10:00:00Z"))]);
    assert_eq!(starts(&once), ["2026-01-05T09:00:00Z"]);
    assert!(once.occurrences(at + SignedDuration::from_secs(1), time("2027-01-01T00:00:00Z")).unwrap().is_empty());
}

/// L22: nine in the morning stays that when the clocks change, and an hour stays an hour.
#[test]
fn a_time_is_reckoned_in_its_zone() {
    let start = time("2026-03-28T08:00:00Z");
    let event = recurring(start, "Europe/Berlin", &["RRULE:FREQ=DAILY;COUNT=3"]).end(time("2026-03-28T09:00:00Z"));
    let found = series([event]).occurrences(start, time("2026-04-01T00:00:00Z")).unwrap();
    let times: Vec<_> = found.iter().map(|at| (super::key(at.start), super::key(at.end.unwrap()))).collect();
    let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
    assert_eq!(
        times,
        [
            pair("2026-03-28T08:00:00Z", "2026-03-28T09:00:00Z"),
            pair("2026-03-29T07:00:00Z", "2026-03-29T08:00:00Z"),
            pair("2026-03-30T07:00:00Z", "2026-03-30T08:00:00Z"),
        ]
    );
}

/// RFC 5545 3.3.5: a time that is skipped is taken by the offset from before.
#[test]
fn a_time_that_the_clock_skips_takes_place() {
    let start = time("2026-03-28T01:30:00Z");
    let event = recurring(start, "Europe/Berlin", &["RRULE:FREQ=DAILY;COUNT=3"]);
    assert_eq!(starts(&series([event])), ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
}

/// L22: days are days, in every zone, and end where they end.
#[test]
fn days_have_no_zone() {
    let event = recurring(day("2026-01-30"), "America/New_York", &["RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3"]);
    let event = event.end(day("2026-02-01"));
    let found = series([event]).occurrences(time("2026-01-01T00:00:00Z"), time("2027-01-01T00:00:00Z")).unwrap();
    let days: Vec<_> = found.iter().map(|at| (super::key(at.start), super::key(at.end.unwrap()))).collect();
    assert_eq!(days[0], ("2026-01-30".to_owned(), "2026-02-01".to_owned()));
    assert_eq!(days[1], ("2026-01-31".to_owned(), "2026-02-02".to_owned()));
    assert_eq!(days[2], ("2026-02-28".to_owned(), "2026-03-02".to_owned()));
}

/// An end in UTC, or of a day, is one in the zone: what takes place at that moment is in.
#[test]
fn the_end_of_a_rule_is_included() {
    let start = time("2026-01-05T23:00:00Z");
    for until in ["20260108T040000Z", "20260107", "20260107T230000"] {
        let rule = format!("RRULE:FREQ=DAILY;UNTIL={until}");
        let event = recurring(start + SignedDuration::from_hours(5), "America/New_York", &[&rule]);
        assert_eq!(starts(&series([event])).len(), 3, "{until}");
    }
}

#[test]
fn dates_are_added_and_taken_away() {
    let event = recurring(
        time("2026-01-05T14:00:00Z"),
        "America/New_York",
        &[
            "RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=4",
            "EXDATE;TZID=America/New_York:20260112T090000",
            "EXDATE:20260119T140000Z",
            "RDATE;TZID=Europe/Berlin:20260120T150000,20260121T150000",
            "RDATE;VALUE=PERIOD:20260202T140000Z/PT1H",
        ],
    );
    assert_eq!(
        starts(&series([event])),
        [
            "2026-01-05T14:00:00Z",
            "2026-01-20T14:00:00Z",
            "2026-01-21T14:00:00Z",
            "2026-01-26T14:00:00Z",
            "2026-02-02T14:00:00Z"
        ]
    );
}

/// L27: an occurrence that was moved is where it was moved to, one that was cancelled is nowhere.
#[test]
fn exceptions_take_the_place_of_occurrences() {
    let at = |day: i8| When::At(time(&format!("2026-01-0{day}T09:00:00Z")));
    let series = series([
        Schedule::new("3", at(3)).occurrence(at(3)).cancelled(),
        Schedule::new("2", time("2026-01-09T12:00:00Z")).occurrence(at(2)),
        recurring(at(1), "UTC", &["RRULE:FREQ=DAILY;COUNT=4"]),
    ]);
    assert_eq!(starts(&series), ["2026-01-01T09:00:00Z", "2026-01-04T09:00:00Z", "2026-01-09T12:00:00Z"]);
    assert_eq!(series.schedules().len(), 3);
}

/// L27: a cancellation without anything to cancel shows nothing, and an occurrence without its master shows.
#[test]
fn without_a_master_only_occurrences_show() {
    let at = When::At(time("2026-01-02T09:00:00Z"));
    let phantom = Schedule::new("2", at).occurrence(at).cancelled();
    let mut pieces = series([phantom.clone()]);
    assert!(pieces.is_cancelled() && pieces.schedules().is_empty() && starts(&pieces).is_empty());
    let other = When::At(time("2026-01-03T09:00:00Z"));
    pieces.put(time("2026-01-01T00:00:00Z"), Schedule::new("3", other).occurrence(other));
    assert_eq!(starts(&pieces), ["2026-01-03T09:00:00Z"]);
    assert_eq!(pieces.schedules().len(), 1);
    // A meeting that is cancelled whole takes its occurrences with it, until it is put on again.
    pieces.put(time("2026-01-02T00:00:00Z"), recurring(at, "UTC", &["RRULE:FREQ=DAILY;COUNT=4"]).cancelled());
    assert!(pieces.is_cancelled() && starts(&pieces).is_empty());
    pieces.put(time("2026-01-03T00:00:00Z"), recurring(at, "UTC", &["RRULE:FREQ=DAILY;COUNT=4"]));
    assert_eq!(starts(&pieces).len(), 3);
}

#[test]
fn what_is_no_recurrence_is_named() {
    let at = time("2026-01-05T09:00:00Z");
    for line in ["RRULE:FREQ=SOMETIMES", "RRULE", "RRULE:FREQ=DAILY;UNTIL=tomorrow", "EXDATE:2026", "XRULE:FREQ=DAILY"]
    {
        let said = refusal(recurring(at, "UTC", &[line]));
        assert!(said.contains(line), "{said}");
    }
    assert!(refusal(recurring(at, "Mars/Olympus", &["RRULE:FREQ=DAILY"])).contains("Mars/Olympus"));
    assert!(refusal(recurring(at, "UTC", &["RRULE:FREQ=SECONDLY"])).contains("10000"));
}

/// A piece: of which occurrence, what it says, and as of when.
fn piece() -> impl Strategy<Value = (Timestamp, Option<Schedule>)> {
    let start = time("2026-01-05T09:00:00Z");
    (0i64..6, 0i64..3, any::<bool>(), 0i64..20).prop_map(move |(of, version, cancelled, moved)| {
        let at = start + SignedDuration::from_hours(24 * (of - 1));
        let schedule = match of {
            0 => recurring(start + SignedDuration::from_hours(moved), "UTC", &["RRULE:FREQ=DAILY;COUNT=5"]),
            _ => Schedule::new("exception", at + SignedDuration::from_hours(moved)).occurrence(at),
        };
        let schedule = match cancelled {
            // Of what was taken away whole it is not said when it would have been.
            true if of == 0 && moved % 2 == 0 => None,
            true => Some(schedule.cancelled()),
            false => Some(schedule),
        };
        (Timestamp::from_second(version).unwrap(), schedule)
    })
}

proptest! {
    /// L27: in whatever order pieces arrive, and however often, it comes to the same.
    #[test]
    fn the_order_of_pieces_does_not_matter(
        (pieces, shuffled) in proptest::collection::vec(piece(), 0..12)
            .prop_flat_map(|pieces| (Just(pieces.clone()), Just([pieces.clone(), pieces].concat()).prop_shuffle()))
    ) {
        let of = |pieces: Vec<(Timestamp, Option<Schedule>)>| {
            let mut series = Series::default();
            for (version, schedule) in pieces {
                match schedule {
                    Some(schedule) => series.put(version, schedule),
                    None => series.cancel(version),
                };
            }
            series
        };
        let (first, second) = (of(pieces), of(shuffled));
        prop_assert_eq!(starts(&first), starts(&second));
        prop_assert_eq!(first, second);
    }

    /// L22: a daily event is at the same time of the day all year, wherever it is, as far as the clock has that time.
    #[test]
    fn a_daily_event_keeps_its_time(
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        minute in 0i64..(24 * 60),
        interval in 1i32..20,
    ) {
        let tz = TimeZone::get(zone).unwrap();
        let first = day("2026-01-01").at(0, 0, 0, 0) + Span::new().minutes(minute);
        let at = |local: jiff::civil::DateTime| tz.to_ambiguous_timestamp(local).compatible().unwrap();
        let rule = format!("RRULE:FREQ=DAILY;INTERVAL={interval}");
        let series = series([recurring(at(first), zone, &[&rule])]);
        let (from, until) = (time("2026-02-01T00:00:00Z"), time("2026-12-01T00:00:00Z"));
        let expected: Vec<_> = (0..400)
            .map(|n| at(first + Span::new().days(n * interval)))
            .filter(|at| from <= *at && *at < until)
            .map(When::At)
            .collect();
        let found: Vec<_> = series.occurrences(from, until).unwrap().iter().map(|at| at.start).collect();
        prop_assert_eq!(found, expected);
    }
}
