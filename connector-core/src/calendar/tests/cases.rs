//! Events in forms that people have met, as iCalendar, each with its occurrences.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::lines::{Line, unfolded};
use super::super::{Series, time_zone, zone_of_vtimezone};
use super::{day, recurring, series, time};
use crate::model::{Schedule, When};

/// The events of a text, as a connector would read them: zones and dates by the functions of the module.
fn event(text: &str) -> Series {
    let lines: Vec<String> = unfolded(text).collect();
    let mut pieces = Vec::new();
    let mut piece: Option<Schedule> = None;
    let when = |line: &Line<'_>| match line.value.len() {
        8 => When::Day(Date::strptime("%Y%m%d", line.value).unwrap()),
        _ => {
            let at = DateTime::strptime("%Y%m%dT%H%M%S", line.value.trim_end_matches('Z')).unwrap();
            match line.parameter("TZID") {
                _ if line.value.ends_with('Z') => When::At(TimeZone::UTC.to_timestamp(at).unwrap()),
                Some(zone) => {
                    let zone = time_zone(zone).unwrap();
                    When::At(zone.to_ambiguous_timestamp(at).compatible().unwrap())
                }
                None => When::Floating(at),
            }
        }
    };
    for text in &lines {
        let line = Line::parse(text).unwrap();
        match line.name.as_str() {
            "BEGIN" if line.value == "VEVENT" => piece = Some(Schedule::new("event", Timestamp::UNIX_EPOCH)),
            "END" => pieces.extend(piece.take()),
            name => {
                let Some(piece) = piece.as_mut() else { continue };
                match name {
                    "DTSTART" => {
                        piece.start = when(&line);
                        piece.time_zone = line.parameter("TZID").map(str::to_owned);
                    }
                    "DTEND" => piece.end = Some(when(&line)),
                    "RECURRENCE-ID" => {
                        piece.occurrence = Some(when(&line));
                        piece.and_following = line.parameter("RANGE") == Some("THISANDFUTURE");
                        piece.key = line.value.into();
                    }
                    "RRULE" | "RDATE" | "EXDATE" => piece.recurrence.push(text.clone()),
                    _ => {}
                }
            }
        }
    }
    series(pieces)
}

fn one(lines: &str) -> Series {
    event(&format!("BEGIN:VEVENT\nUID:1@example.test\n{lines}\nEND:VEVENT"))
}

fn found(series: &Series) -> Vec<super::super::Occurrence> {
    series.occurrences(time("2025-01-01T00:00:00Z"), time("2028-01-01T00:00:00Z")).unwrap()
}

fn starts(series: &Series) -> Vec<String> {
    found(series).iter().map(|occurrence| super::super::key(occurrence.start)).collect()
}

fn refusal(series: &Series) -> String {
    let refused = series.occurrences(time("2025-01-01T00:00:00Z"), time("2028-01-01T00:00:00Z"));
    refused.unwrap_err().to_string()
}

/// CLDR windowsZones: W. Europe Standard Time is Europe/Berlin.
#[test]
fn a_start_in_a_windows_zone_recurs_in_that_zone() {
    let event = one("DTSTART;TZID=\"W. Europe Standard Time\":20260323T090000\n\
        DTEND;TZID=\"W. Europe Standard Time\":20260323T093000\nRRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO\nSUMMARY:Weekly");
    assert_eq!(starts(&event), ["2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z", "2026-04-06T07:00:00Z"]);
}

#[test]
fn an_excluded_date_in_a_windows_zone_is_excluded() {
    let event = one("DTSTART;TZID=Europe/Berlin:20260323T090000\nDTEND;TZID=Europe/Berlin:20260323T093000\n\
        RRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO\nEXDATE;TZID=W. Europe Standard Time:20260330T090000");
    assert_eq!(starts(&event), ["2026-03-23T08:00:00Z", "2026-04-06T07:00:00Z"]);
}

/// RFC 5545 3.2.19.
#[test]
fn an_excluded_date_in_a_prefixed_zone_is_excluded() {
    let event = one("DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY;COUNT=3\n\
        EXDATE;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20260106T090000");
    assert_eq!(starts(&event), ["2026-01-05T08:00:00Z", "2026-01-07T08:00:00Z"]);
}

/// RFC 5545 2 and 3.2.
#[test]
fn names_of_parameters_and_parts_have_no_case() {
    let event = one("DTSTART;TZID=Europe/Berlin:20260323T090000\nDTEND;TZID=Europe/Berlin:20260323T093000\n\
        RRULE:freq=weekly;count=3;byday=mo\nEXDATE;Tzid=America/New_York:20260330T030000");
    assert_eq!(starts(&event), ["2026-03-23T08:00:00Z", "2026-04-06T07:00:00Z"]);
}

#[test]
fn a_rule_that_ends_before_its_start_leaves_the_start() {
    let event = one("DTSTART;VALUE=DATE:20261002\nDTEND;VALUE=DATE:20261009\n\
        RRULE:FREQ=WEEKLY;UNTIL=20261001;INTERVAL=2;BYDAY=FR");
    assert_eq!(starts(&event), ["2026-10-02"]);
    let at_start = one("DTSTART;VALUE=DATE:20261002\nRRULE:FREQ=WEEKLY;UNTIL=20261002;BYDAY=FR");
    assert_eq!(starts(&at_start), ["2026-10-02"]);
}

/// RFC 5545 3.8.5.2.
#[test]
fn periods_have_their_own_ends() {
    let event = one("DTSTART:20260105T090000Z\nDTEND:20260105T100000Z\n\
        RDATE;VALUE=PERIOD:20260112T090000Z/PT3H,20260119T090000Z/20260119T093000Z");
    let ends: Vec<_> = found(&event).iter().map(|at| super::super::key(at.end.unwrap())).collect();
    assert_eq!(ends, ["2026-01-05T10:00:00Z", "2026-01-12T12:00:00Z", "2026-01-19T09:30:00Z"]);
}

/// RFC 5545 3.3.10: a number has a meaning in months and years only.
#[test]
fn a_number_before_a_weekday_is_ignored_in_weeks() {
    let event = one("DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=WEEKLY;COUNT=3;BYDAY=1MO");
    assert_eq!(starts(&event), ["2026-01-05T08:00:00Z", "2026-01-12T08:00:00Z", "2026-01-19T08:00:00Z"]);
}

/// RFC 5545 3.8.4.4 wants the form of the start, and some services give a day.
#[test]
fn an_occurrence_named_by_its_day_is_replaced() {
    let event = event(
        "BEGIN:VEVENT\nDTSTART;TZID=Europe/Berlin:20260105T090000\nDTEND;TZID=Europe/Berlin:20260105T100000\n\
        RRULE:FREQ=DAILY;COUNT=3\nEND:VEVENT\nBEGIN:VEVENT\nRECURRENCE-ID;VALUE=DATE:20260106\n\
        DTSTART;TZID=Europe/Berlin:20260106T150000\nDTEND;TZID=Europe/Berlin:20260106T160000\nEND:VEVENT",
    );
    assert_eq!(starts(&event), ["2026-01-05T08:00:00Z", "2026-01-06T14:00:00Z", "2026-01-07T08:00:00Z"]);
}

#[test]
fn a_day_with_two_occurrences_names_neither() {
    let start = time("2026-01-05T09:00:00Z");
    let master = recurring(start, "UTC", &["RRULE:FREQ=DAILY;COUNT=4;BYHOUR=9,15"]);
    let moved = Schedule::new("moved", time("2026-01-06T20:00:00Z")).occurrence(day("2026-01-06"));
    let series = series([master, moved]);
    assert!(refusal(&series).contains("`moved`"), "{}", refusal(&series));
    let agenda = series.agenda(start, time("2026-02-01T00:00:00Z"), &TimeZone::UTC).unwrap();
    assert_eq!((agenda.occurrences.len(), agenda.refused.len()), (5, 1));
}

/// RFC 7529 4.1.
#[test]
fn days_that_a_month_lacks_are_skipped_as_told() {
    let by = |skip: &str| {
        starts(&one(&format!("DTSTART;VALUE=DATE:20260131\nRRULE:RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP={skip};COUNT=3")))
    };
    assert_eq!(by("BACKWARD"), ["2026-01-31", "2026-02-28", "2026-03-31"]);
    assert_eq!(by("FORWARD"), ["2026-01-31", "2026-03-01", "2026-03-31"]);
    assert_eq!(by("OMIT"), ["2026-01-31", "2026-03-31", "2026-05-31"]);
    let yearly = one("DTSTART;VALUE=DATE:20240229\nRRULE:RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=FORWARD;COUNT=4");
    assert_eq!(starts(&yearly), ["2025-03-01", "2026-03-01", "2027-03-01"]);
    let other = one("DTSTART;VALUE=DATE:20260131\nRRULE:RSCALE=CHINESE;FREQ=YEARLY;COUNT=3");
    assert!(refusal(&other).contains("RSCALE=CHINESE"), "{}", refusal(&other));
}

/// Programs write these for a rule without a count.
#[test]
fn a_count_below_one_is_no_count() {
    let days = ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"];
    let minus_one = one("DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260106\n\
        RRULE:FREQ=WEEKLY;UNTIL=20260126;COUNT=-1;INTERVAL=1;BYDAY=MO");
    assert_eq!(starts(&minus_one), days);
    let zero = one("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=0;UNTIL=20260126;BYDAY=MO");
    assert_eq!(starts(&zero), days);
}

/// RFC 5545 3.3.10: the start always counts.
#[test]
fn a_start_that_its_rule_lacks_counts() {
    let event = one("DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=3;BYDAY=TU");
    assert_eq!(starts(&event), ["2026-01-05", "2026-01-06", "2026-01-13"]);
}

#[test]
fn numbered_and_other_weekdays_of_a_month_are_joined() {
    let event = one("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=MONTHLY;UNTIL=20260131;BYDAY=MO,-1FR,1TH");
    let days = ["2026-01-01", "2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26", "2026-01-30"];
    assert_eq!(starts(&event), days);
}

/// The clocks of Berlin show 02:45 twice on 25 October 2026.
#[test]
fn an_end_in_a_repeated_hour_is_an_instant() {
    let event = |until: &str| {
        starts(&one(&format!("DTSTART;TZID=Europe/Berlin:20261024T024500\nRRULE:FREQ=DAILY;UNTIL={until}")))
    };
    let both = ["2026-10-24T00:45:00Z", "2026-10-25T00:45:00Z"];
    // 02:30 for the second time is after 02:45 for the first time.
    assert_eq!(event("20261025T013000Z"), both);
    assert_eq!(event("20261025T004500Z"), both);
    assert_eq!(event("20261025T003000Z"), both[..1]);
}

#[test]
fn a_start_in_the_second_of_two_hours_stays_there() {
    let start = time("2026-10-25T01:30:00Z");
    let event = series([recurring(start, "Europe/Berlin", &["RRULE:FREQ=DAILY;COUNT=2"])]);
    assert_eq!(starts(&event), ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]);
}

/// RFC 5545 3.2.13.
#[test]
fn an_occurrence_and_those_after_it_are_moved() {
    let text = |range: &str, more: &str| {
        format!(
            "BEGIN:VEVENT\nDTSTART:20260105T090000Z\nDTEND:20260105T100000Z\nRRULE:FREQ=DAILY;COUNT=5\nEND:VEVENT\n\
            BEGIN:VEVENT\nRECURRENCE-ID{range}:20260107T090000Z\nDTSTART:20260107T110000Z\nDTEND:20260107T113000Z\n\
            END:VEVENT\n{more}"
        )
    };
    let moved = event(&text(";RANGE=THISANDFUTURE", ""));
    let times: Vec<_> =
        found(&moved).iter().map(|at| (super::super::key(at.start), at.schedule.as_str().to_owned())).collect();
    let expected = [
        ("2026-01-05T09:00:00Z", "event"),
        ("2026-01-06T09:00:00Z", "event"),
        ("2026-01-07T11:00:00Z", "20260107T090000Z"),
        ("2026-01-08T11:00:00Z", "20260107T090000Z"),
        ("2026-01-09T11:00:00Z", "20260107T090000Z"),
    ];
    assert_eq!(times, expected.map(|(at, key)| (at.to_owned(), key.to_owned())));
    assert_eq!(found(&moved)[4].end, Some(When::At(time("2026-01-09T11:30:00Z"))));
    let also = "BEGIN:VEVENT\nRECURRENCE-ID:20260108T090000Z\nDTSTART:20260108T200000Z\nEND:VEVENT";
    let with_another = event(&text(";RANGE=THISANDFUTURE", also));
    assert_eq!(starts(&with_another)[3..], ["2026-01-08T20:00:00Z", "2026-01-09T11:00:00Z"]);
    assert_eq!(starts(&event(&text("", "")))[3..], ["2026-01-08T09:00:00Z", "2026-01-09T09:00:00Z"]);
}

#[test]
fn a_series_that_is_cancelled_from_a_day_on_ends() {
    let start = time("2026-01-05T09:00:00Z");
    let third = start + SignedDuration::from_hours(48);
    let cancelled = Schedule::new("rest", third).occurrence(third).and_following().cancelled();
    let event = series([recurring(start, "UTC", &["RRULE:FREQ=DAILY;COUNT=5"]), cancelled]);
    assert_eq!(starts(&event).len(), 2);
}

/// One odd line does not lose the rest of the series, and is named.
#[test]
fn a_line_that_cannot_be_read_is_left_out_and_named() {
    let start = time("2026-01-05T09:00:00Z");
    let odd = ["RRULE:FREQ=SOMETIMES", "EXDATE;TZID=Mars/Olympus:20260106T090000", "XRULE:FREQ=DAILY"];
    for line in odd {
        let event = series([recurring(start, "UTC", &["RRULE:FREQ=DAILY;COUNT=3", line, "EXDATE:20260107T090000Z"])]);
        let agenda = event.agenda(start, time("2026-02-01T00:00:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(agenda.occurrences.len(), 2, "{line}");
        assert!(agenda.refused.len() == 1 && agenda.refused[0].to_string().contains(line), "{:?}", agenda.refused);
        assert!(refusal(&event).contains(line));
    }
    let half = series([recurring(start, "UTC", &["RDATE:20260110T090000Z,tomorrow,20260111T090000Z"])]);
    let agenda = half.agenda(start, time("2026-02-01T00:00:00Z"), &TimeZone::UTC).unwrap();
    assert_eq!((agenda.occurrences.len(), agenda.refused.len()), (3, 1));
}

#[test]
fn lines_that_say_nothing_of_recurrence_are_ignored() {
    let start = time("2026-01-05T09:00:00Z");
    let lines = ["DTSTART:20260105T090000Z", "", "X-GOOGLE:1", "freq=daily;count=2;", "EXDATE:"];
    assert_eq!(starts(&series([recurring(start, "UTC", &lines)])).len(), 2);
}

#[test]
fn wrong_parts_of_a_rule_are_named() {
    let start = time("2026-01-05T09:00:00Z");
    let wrong = [
        "INTERVAL=0",
        "BYMONTH=13",
        "BYMONTH=5L",
        "BYDAY=0MO",
        "BYDAY=XX",
        "BYHOUR=24",
        "BYSETPOS=0",
        "UNTIL=2026-01-07",
        "SKIP=SIDEWAYS",
        "BYEASTER=1",
        "COUNT=many",
    ];
    for part in wrong {
        let event = series([recurring(start, "UTC", &[&format!("RRULE:FREQ=DAILY;{part}")])]);
        assert!(refusal(&event).contains(part), "{}", refusal(&event));
    }
}

#[test]
fn zones_are_known_by_the_names_that_services_give() {
    let at = |name: &str| time_zone(name).unwrap().to_offset(time("2026-07-01T00:00:00Z")).seconds() / 60;
    let names = [
        ("Europe/Berlin", 120),
        ("europe/berlin", 120),
        ("\"W. Europe Standard Time\"", 120),
        ("w. europe standard time", 120),
        ("/mozilla.org/20050126_1/Europe/Berlin", 120),
        ("/example.test/America/Argentina/Buenos_Aires", -180),
        ("/example.test/Pacific Standard Time", -420),
        ("India Standard Time", 330),
        ("America/New York", -240),
        ("UTC", 0),
        ("+05:30", 330),
        ("UTC-3", -180),
        ("GMT+0100", 60),
        ("UTC+12", 720),
        ("STD-1DST,M3.5.0,M10.5.0/3", 120),
    ];
    for (name, minutes) in names {
        assert_eq!(at(name), minutes, "{name}");
    }
    for name in ["Mars/Olympus", "", "Customized Time Zone", "(UTC+01:00) Amsterdam, Berlin", "+99:00", "/"] {
        assert!(time_zone(name).unwrap_err().to_string().contains(name), "{name}");
    }
    for (windows, iana) in super::super::windows_zones::WINDOWS_ZONES {
        let (windows, iana) = (time_zone(windows).unwrap(), TimeZone::get(iana).unwrap());
        for month in 1..=12 {
            let at = TimeZone::UTC.to_timestamp(jiff::civil::date(2026, month, 15).at(0, 0, 0, 0)).unwrap();
            assert_eq!(windows.to_offset(at), iana.to_offset(at), "{windows:?}");
        }
    }
}

fn vtimezone(id: &str, standard: &str, daylight: &str) -> String {
    let part = |kind: &str, lines: &str| match lines {
        "" => String::new(),
        lines => format!("BEGIN:{kind}\n{lines}\nEND:{kind}\n"),
    };
    format!("BEGIN:VTIMEZONE\n{id}\n{}{}END:VTIMEZONE", part("STANDARD", standard), part("DAYLIGHT", daylight))
}

#[test]
fn a_zone_that_only_a_file_describes_is_resolved() {
    let standard =
        "DTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10";
    let daylight =
        "DTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3";
    let custom = zone_of_vtimezone(&vtimezone("TZID:Customized Time Zone", standard, daylight)).unwrap();
    let (custom, berlin) = (time_zone(&custom).unwrap(), TimeZone::get("Europe/Berlin").unwrap());
    for hours in 0..9_000 {
        let at = time("2026-01-01T00:00:00Z") + SignedDuration::from_hours(hours);
        assert_eq!(custom.to_offset(at), berlin.to_offset(at), "{at}");
    }
    let named = zone_of_vtimezone(&vtimezone("TZID:Berlin\nX-LIC-LOCATION:Europe/Berlin", standard, daylight));
    assert_eq!(named.unwrap(), "Europe/Berlin");
    let windows = zone_of_vtimezone(&vtimezone("TZID:W. Europe Standard Time", standard, daylight));
    assert_eq!(windows.unwrap(), "W. Europe Standard Time");
    let fixed = zone_of_vtimezone(&vtimezone("TZID:Ours", "DTSTART:16010101T000000\nTZOFFSETTO:+0545", "")).unwrap();
    assert_eq!(time_zone(&fixed).unwrap().to_offset(Timestamp::UNIX_EPOCH).seconds(), 345 * 60);
    let second = daylight.replace("BYDAY=-1SU", "BYDAY=SU;BYMONTHDAY=8,9,10,11,12,13,14");
    let second = zone_of_vtimezone(&vtimezone("TZID:Ours", standard, &second)).unwrap();
    assert!(second.contains("M3.2.0"), "{second}");
    let odd = standard.replace("YEARLY", "MONTHLY");
    let refused = zone_of_vtimezone(&vtimezone("TZID:Ours", &odd, daylight)).unwrap_err();
    assert!(refused.to_string().contains("`Ours`"));
}

/// Floating times and days are those of whoever looks.
#[test]
fn floating_times_and_days_are_in_the_zone_of_the_viewer() {
    let nine: DateTime = "2026-01-05T09:00:00".parse().unwrap();
    let lines = ["RRULE:FREQ=DAILY;COUNT=2".to_owned()];
    let mut floating = Schedule::new("event", nine);
    floating.recurrence = lines.to_vec();
    let days = Schedule { start: day("2026-01-05").into(), ..floating.clone() };
    let begins = |series: &Series, zone: &str, from: &str, until: &str| {
        series.agenda(time(from), time(until), &TimeZone::get(zone).unwrap()).unwrap().occurrences.len()
    };
    let (floating, days) = (series([floating]), series([days]));
    // The morning of 5 January in Tokyo, which is the night before in New York.
    let (from, until) = ("2026-01-04T23:59:00Z", "2026-01-05T00:01:00Z");
    assert_eq!(begins(&floating, "Asia/Tokyo", from, until), 1);
    assert_eq!(begins(&floating, "America/New_York", from, until), 0);
    assert_eq!(begins(&days, "Asia/Tokyo", from, until), 1);
    assert_eq!(begins(&days, "America/New_York", from, until), 0);
    assert_eq!(starts(&floating), ["2026-01-05T09:00:00", "2026-01-06T09:00:00"]);
}

#[test]
fn what_has_begun_and_not_ended_is_on_the_agenda() {
    let start = time("2026-01-05T22:00:00Z");
    let event = series([recurring(start, "UTC", &["RRULE:FREQ=DAILY;COUNT=2"]).end(time("2026-01-06T02:00:00Z"))]);
    let (from, until) = (time("2026-01-06T00:00:00Z"), time("2026-01-06T01:00:00Z"));
    assert_eq!(event.agenda(from, until, &TimeZone::UTC).unwrap().occurrences.len(), 1);
    assert!(event.occurrences(from, until).unwrap().is_empty());
}

/// L38: what is not among the pieces any more was restored.
#[test]
fn a_series_given_whole_replaces_its_pieces() {
    let (first, second) = (time("2026-01-01T00:00:00Z"), time("2026-01-02T00:00:00Z"));
    let at = |day: i64| time("2026-01-05T09:00:00Z") + SignedDuration::from_hours(24 * day);
    let master = recurring(at(0), "UTC", &["RRULE:FREQ=DAILY;COUNT=4"]);
    let cancelled = Schedule::new("1", at(1)).occurrence(at(1)).cancelled();
    let moved = Schedule::new("2", at(2) + SignedDuration::from_hours(5)).occurrence(at(2));
    let mut series = Series::default();
    assert!(series.replace(first, [master.clone(), cancelled, moved.clone()]));
    assert_eq!(starts(&series).len(), 3);
    assert!(series.replace(first, [master.clone(), moved]));
    assert_eq!(
        starts(&series),
        ["2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z", "2026-01-07T14:00:00Z", "2026-01-08T09:00:00Z"]
    );
    assert!(series.replace(second, [master.clone()]));
    assert_eq!((starts(&series).len(), series.schedules().len()), (4, 1));
    // An older one, which comes late, changes nothing.
    assert!(!series.replace(first, [master.cancelled()]));
    assert_eq!(starts(&series).len(), 4);
}
