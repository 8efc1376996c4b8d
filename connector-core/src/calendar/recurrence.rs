//! Recurrence by RFC 5545 3.8.5. The rules are reckoned in local time by the crate `rrule`, which is given local times
//! as if they were UTC; what they are in the zone of the event is reckoned here.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime as Reckoned, TimeZone as _};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rrule::{RRule, RRuleSet, Tz, Unvalidated};

use super::{Occurrence, is_within};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Schedule, When};

/// An event with more is a mistake, or takes place every second.
const MOST: u16 = 10_000;

/// The zone that the recurrence of an event is reckoned in.
pub(super) fn zone(schedule: &Schedule) -> Result<TimeZone> {
    let Some(name) = &schedule.time_zone else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|error| {
        Error::new(ErrorKind::Bug, format!("`{name}` is no time zone that is known here")).with_source(error)
    })
}

/// The occurrences of a master.
pub(super) fn expand(master: &Schedule, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Result<Vec<Occurrence>> {
    let first = local(master.start, zone);
    let mut starts = BTreeSet::from([first]);
    let mut excluded = BTreeSet::new();
    let window = (zone.to_datetime(from), zone.to_datetime(until));
    for line in &master.recurrence {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(line, "it has no colon"))?;
        match name.split(';').next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "RRULE" => starts.extend(by_rule(value, line, first, zone, window)?),
            "RDATE" => starts.extend(dates(name, value, line, first, zone)?),
            "EXDATE" => excluded.extend(dates(name, value, line, first, zone)?),
            // Deprecated by RFC 5545, which says to ignore it.
            "EXRULE" => {}
            _ => return Err(malformed(line, "it is no RRULE, RDATE or EXDATE")),
        }
    }
    let length = length(master, zone);
    let occurrence = |start: DateTime| {
        let start = match master.start {
            When::Day(_) => When::Day(start.date()),
            // A time that the clock skips is taken by the offset from before, one that it has twice is the first
            // (RFC 5545 3.3.5).
            When::At(_) => When::At(zone.to_ambiguous_timestamp(start).compatible().ok()?),
        };
        is_within(start, zone, from, until).then(|| Occurrence { start, end: length.end(start), of: start })
    };
    let found: Vec<_> = starts.difference(&excluded).filter_map(|start| occurrence(*start)).collect();
    if found.len() > usize::from(MOST) {
        return Err(Error::bug(format!("the event recurs more than {MOST} times in that time")));
    }
    Ok(found)
}

fn by_rule(
    rule: &str,
    line: &str,
    first: DateTime,
    zone: &TimeZone,
    (from, until): (DateTime, DateTime),
) -> Result<Vec<DateTime>> {
    let wrong = |error: rrule::RRuleError| malformed(line, &error.to_string());
    let start = reckoned(first).ok_or_else(|| malformed(line, "it begins out of range"))?;
    let rule = RRule::<Unvalidated>::from_str(&until_in_local_time(rule, line, zone)?).map_err(wrong)?;
    let rule = rule.validate(start).map_err(wrong)?;
    let mut rules = RRuleSet::new(start).rrule(rule);
    // A day of tolerance, as what the window is to the zone is not what it is to the rule.
    let day = Span::new().days(1);
    if let Some(from) = from.checked_sub(day).ok().and_then(reckoned) {
        rules = rules.after(from);
    }
    if let Some(until) = until.checked_add(day).ok().and_then(reckoned) {
        rules = rules.before(until);
    }
    let found = rules.all(MOST + 3);
    let local = |at: &Reckoned<Tz>| Some(TimeZone::UTC.to_datetime(Timestamp::from_second(at.timestamp()).ok()?));
    Ok(found.dates.iter().filter_map(local).collect())
}

/// The rule with an end in UTC, or of a day, as local time.
fn until_in_local_time(rule: &str, line: &str, zone: &TimeZone) -> Result<String> {
    let part = |part: &str| -> Result<String> {
        let Some((name, value)) = part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("UNTIL")) else {
            return Ok(part.to_owned());
        };
        let end = match value.len() {
            8 => {
                date(value).and_then(|day| day.checked_add(Span::new().hours(0)).ok()).map(|day| day.at(23, 59, 59, 0))
            }
            _ => date_time(value, zone),
        };
        let end = end.ok_or_else(|| malformed(line, "its UNTIL is no date and no time"))?;
        Ok(format!("{name}={}Z", end.strftime("%Y%m%dT%H%M%S")))
    };
    Ok(rule.split(';').map(part).collect::<Result<Vec<_>>>()?.join(";"))
}

/// The dates or times of a line, in the zone of the event.
fn dates(name: &str, values: &str, line: &str, first: DateTime, zone: &TimeZone) -> Result<Vec<DateTime>> {
    let named = name.split(';').find_map(|parameter| parameter.strip_prefix("TZID="));
    let written = match named {
        Some(name) => {
            TimeZone::get(name.trim_matches('"')).map_err(|_| malformed(line, "its zone is not known here"))?
        }
        None => zone.clone(),
    };
    let one = |value: &str| {
        // Of a period only the start counts.
        let value = value.split('/').next().unwrap_or_default().trim();
        let found = match value.len() {
            8 => date(value).map(|day| day.to_datetime(first.time())),
            _ if written == *zone => date_time(value, zone),
            _ => {
                let at = date_time(value, &written).and_then(|at| written.to_ambiguous_timestamp(at).compatible().ok());
                at.map(|at| zone.to_datetime(at))
            }
        };
        found.ok_or_else(|| malformed(line, "it has something that is no date and no time"))
    };
    values.split(',').map(one).collect()
}

fn date(text: &str) -> Option<Date> {
    Date::strptime("%Y%m%d", text).ok()
}

/// A time as it stands in the zone; one in UTC is brought there.
fn date_time(text: &str, zone: &TimeZone) -> Option<DateTime> {
    match text.strip_suffix(['Z', 'z']) {
        Some(utc) => {
            let utc = DateTime::strptime("%Y%m%dT%H%M%S", utc).ok()?;
            Some(zone.to_datetime(TimeZone::UTC.to_timestamp(utc).ok()?))
        }
        None => DateTime::strptime("%Y%m%dT%H%M%S", text).ok(),
    }
}

fn local(when: When, zone: &TimeZone) -> DateTime {
    match when {
        When::Day(day) => day.at(0, 0, 0, 0),
        When::At(at) => zone.to_datetime(at),
    }
}

/// Local time, as the crate `rrule` is given it.
fn reckoned(local: DateTime) -> Option<Reckoned<Tz>> {
    let seconds = TimeZone::UTC.to_timestamp(local).ok()?.as_second();
    Tz::UTC.timestamp_opt(seconds, 0).single()
}

/// How long each occurrence takes.
enum Length {
    Unknown,
    Days(Span),
    Exactly(SignedDuration),
}

fn length(master: &Schedule, zone: &TimeZone) -> Length {
    match (master.start, master.end) {
        (_, None) => Length::Unknown,
        (When::Day(start), Some(end)) => {
            let end = local(end, zone).date();
            start.until(end).map_or(Length::Unknown, Length::Days)
        }
        (When::At(start), Some(end)) => Length::Exactly(super::instant(end, zone).duration_since(start)),
    }
}

impl Length {
    fn end(&self, start: When) -> Option<When> {
        match (self, start) {
            (Self::Days(days), When::Day(start)) => start.checked_add(*days).ok().map(When::Day),
            (Self::Exactly(length), When::At(start)) => start.checked_add(*length).ok().map(When::At),
            _ => None,
        }
    }
}

fn malformed(line: &str, why: &str) -> Error {
    Error::bug(format!("`{line}` is no recurrence by RFC 5545: {why}"))
}
