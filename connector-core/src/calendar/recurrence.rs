//! The recurrence set of a master: RFC 5545 3.8.5.
//!
//! What a rule gives in local time becomes instants here. Occurrences are compared as what they are, days or
//! instants, so that a local time that the clock has twice is not taken for the other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan as _};

use super::lines::Line;
use super::rule::{Rule, Window};
use super::zone::time_zone;
use crate::error::{Error, Result};
use crate::model::{Schedule, When};

/// An event with more occurrences than this in the time that is asked for is a mistake, or takes place every second.
const MAX_OCCURRENCES: usize = 10_000;

/// The recurrence set of a master in a time.
pub(super) struct Expanded {
    /// Starts and ends.
    pub(super) found: BTreeMap<When, Option<When>>,
    /// Each line that was left out, and why.
    pub(super) refused: Vec<Error>,
}

/// The zone that a recurrence of a schedule is reckoned in. `None` means that the schedule names no zone.
pub(super) fn zone(schedule: &Schedule) -> Result<Option<TimeZone>> {
    schedule.time_zone.as_deref().map(time_zone).transpose()
}

/// The occurrences of a master that begin in a time. Days and floating times are taken in the zone.
///
/// Errors: there are more than 10,000.
pub(super) fn expand(master: &Schedule, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Result<Expanded> {
    let mut set = Set {
        master,
        zone,
        written: self::zone(master).ok().flatten(),
        starts: BTreeMap::from([(master.start, None)]),
        excluded: BTreeSet::new(),
        excluded_days: BTreeSet::new(),
    };
    let day = 1.day();
    // A day of tolerance, as what the window is to the zone is not what it is to the rule.
    let window = Window {
        from: zone.to_datetime(from).checked_sub(day).unwrap_or(DateTime::MIN),
        until: zone.to_datetime(until).checked_add(day).unwrap_or(DateTime::MAX),
        limit: MAX_OCCURRENCES + 3,
    };
    let mut refused = Vec::new();
    for line in master.recurrence.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        if let Err(why) = set.take(line, window) {
            refused.push(Error::bug(format!("the recurrence `{line}` is left out: {why}")));
        }
    }
    let length = Length::of(master, zone);
    let Set { starts, excluded, excluded_days, .. } = set;
    let is_excluded = |start: &When| excluded.contains(start) || excluded_days.contains(&local(*start, zone).date());
    let within = starts.into_iter().filter(|(start, _)| super::is_within(*start, zone, from, until));
    let found: BTreeMap<_, _> = within
        .filter(|(start, _)| !is_excluded(start))
        .map(|(start, end)| (start, end.or_else(|| length.end(start))))
        .collect();
    if found.len() > MAX_OCCURRENCES {
        return Err(Error::bug(format!("the event recurs more than {MAX_OCCURRENCES} times in that time")));
    }
    Ok(Expanded { found, refused })
}

/// A recurrence set that is being put together.
struct Set<'a> {
    master: &'a Schedule,
    zone: &'a TimeZone,
    /// The zone that the schedule names.
    written: Option<TimeZone>,
    /// Each with its end where that is its own.
    starts: BTreeMap<When, Option<When>>,
    excluded: BTreeSet<When>,
    /// Days of which every occurrence is excluded.
    excluded_days: BTreeSet<Date>,
}

impl Set<'_> {
    /// Takes a line. Errors: why it, or one of its values, is left out.
    fn take(&mut self, text: &str, window: Window) -> Result<(), String> {
        // Some services give the rule alone.
        let bare = text.get(..5).filter(|begin| begin.eq_ignore_ascii_case("FREQ=")).map(|_| format!("RRULE:{text}"));
        let line = Line::parse(bare.as_deref().unwrap_or(text)).ok_or("it has no colon")?;
        match line.name.as_str() {
            "RRULE" => {
                let starts = self.by_rule(&line, window)?;
                self.starts.extend(starts.into_iter().map(|start| (start, None)));
            }
            "RDATE" => {
                for value in self.values(&line) {
                    let (start, end) = value?;
                    self.starts.insert(self.at_time_of_master(start), end);
                }
            }
            "EXDATE" => {
                for value in self.values(&line) {
                    match (value?.0, self.master.start) {
                        (When::Day(day), When::At(_) | When::Floating(_)) => self.excluded_days.insert(day),
                        (start, _) => self.excluded.insert(start),
                    };
                }
            }
            // Of RFC 2445: deprecated, and still written.
            "EXRULE" => {
                let excluded = self.by_rule(&line, window)?;
                self.excluded.extend(excluded);
            }
            // What the schedule says itself, and what others may add (RFC 5545 3.8.8).
            "DTSTART" | "DTEND" | "DURATION" => {}
            name if name.starts_with("X-") => {}
            _ => return Err("it is no RRULE, RDATE or EXDATE".to_owned()),
        }
        Ok(())
    }

    fn by_rule(&self, line: &Line<'_>, window: Window) -> Result<Vec<When>, String> {
        let rule = Rule::parse(line.value, matches!(self.master.start, When::Day(_)))?;
        let first = local(self.master.start, self.zone);
        let zone = match self.master.start {
            When::At(_) => self.zone.clone(),
            // An end in UTC is the day or time that it shows, unless the schedule names a zone.
            When::Day(_) | When::Floating(_) => self.written.clone().unwrap_or(TimeZone::UTC),
        };
        let found = rule.expand(first, &zone, window)?;
        Ok(found.into_iter().filter_map(|at| self.start(at)).collect())
    }

    /// A local time as the start of an occurrence.
    fn start(&self, at: DateTime) -> Option<When> {
        Some(match self.master.start {
            When::Day(_) => When::Day(at.date()),
            When::Floating(_) => When::Floating(at),
            // Its own time is the one that it names, of two that the clock shows alike.
            start @ When::At(_) if at == local(start, self.zone) => start,
            // A time that the clock skips is taken by the offset from before, one that it has twice is the first
            // (RFC 5545 3.3.5).
            When::At(_) => When::At(self.zone.to_ambiguous_timestamp(at).compatible().ok()?),
        })
    }

    /// A day among the dates of an event that has a time begins at that time.
    fn at_time_of_master(&self, start: When) -> When {
        match (start, self.master.start) {
            (When::Day(day), When::At(_) | When::Floating(_)) => {
                let at = day.to_datetime(local(self.master.start, self.zone).time());
                self.start(at).unwrap_or(start)
            }
            _ => start,
        }
    }

    /// The dates, times or periods of a line, each with its end where it has one.
    fn values(&self, line: &Line<'_>) -> Vec<Result<(When, Option<When>), String>> {
        let zone = match line.parameter("TZID").map(time_zone).transpose() {
            Ok(zone) => zone,
            Err(error) => return vec![Err(error.to_string())],
        };
        let values = line.value.split(',').map(str::trim).filter(|value| !value.is_empty());
        let mut values: Vec<_> = values
            .map(|value| {
                let (start, end) = value.split_once('/').map_or((value, None), |(start, end)| (start, Some(end)));
                let wrong = || format!("`{value}` is no date, time or period");
                let start = self.value(start, zone.as_ref()).ok_or_else(wrong)?;
                let end = end.map(|end| self.end(start, end, zone.as_ref()).ok_or_else(wrong)).transpose()?;
                Ok((start, end))
            })
            .collect();
        // What can be read is taken before what cannot is named.
        values.sort_by_key(Result::is_err);
        values
    }

    /// A date or time in the form of the master's start.
    fn value(&self, text: &str, zone: Option<&TimeZone>) -> Option<When> {
        if text.len() == 8 {
            return Date::strptime("%Y%m%d", text).ok().map(When::Day);
        }
        let upper = text.to_ascii_uppercase();
        let at = DateTime::strptime("%Y%m%dT%H%M%S", upper.trim_end_matches('Z')).ok()?;
        let utc = TimeZone::UTC;
        let zone = if upper.ends_with('Z') { Some(&utc) } else { zone };
        match (self.master.start, zone) {
            (When::At(_), zone) => zone.unwrap_or(self.zone).to_ambiguous_timestamp(at).compatible().ok().map(When::At),
            (When::Floating(_), None) => Some(When::Floating(at)),
            (When::Floating(_), Some(zone)) => {
                let at = zone.to_ambiguous_timestamp(at).compatible().ok()?;
                Some(When::Floating(self.zone.to_datetime(at)))
            }
            (When::Day(_), zone) => Some(When::Day(match (zone, &self.written) {
                (Some(zone), Some(written)) => {
                    written.to_datetime(zone.to_ambiguous_timestamp(at).compatible().ok()?).date()
                }
                _ => at.date(),
            })),
        }
    }

    /// The end of a period that begins then: a time, or a duration.
    fn end(&self, start: When, text: &str, zone: Option<&TimeZone>) -> Option<When> {
        let text = text.trim();
        if !text.starts_with(['P', 'p', '+']) {
            return self.value(text, zone);
        }
        let length: Span = text.parse().ok()?;
        match start {
            When::At(at) => at.to_zoned(self.zone.clone()).checked_add(length).ok().map(|at| When::At(at.timestamp())),
            When::Floating(at) => at.checked_add(length).ok().map(When::Floating),
            When::Day(day) => day.checked_add(length).ok().map(When::Day),
        }
    }
}

/// The local time of a day or time in a zone; a day begins at midnight.
pub(super) fn local(when: When, zone: &TimeZone) -> DateTime {
    match when {
        When::Day(day) => day.at(0, 0, 0, 0),
        When::At(at) => zone.to_datetime(at),
        When::Floating(at) => at,
    }
}

/// How long each occurrence takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    /// The event does not say its length.
    Unknown,
    /// A number of days.
    Days(Span),
    /// A duration.
    Exactly(SignedDuration),
}

impl Length {
    /// The length of the event that a schedule says.
    pub(super) fn of(schedule: &Schedule, zone: &TimeZone) -> Self {
        match (schedule.start, schedule.end) {
            (_, None) => Self::Unknown,
            (When::Day(start), Some(end)) => start.until(local(end, zone).date()).map_or(Self::Unknown, Self::Days),
            (When::Floating(start), Some(end)) => Self::Exactly(local(end, zone).duration_since(start)),
            (When::At(start), Some(end)) => Self::Exactly(super::instant(end, zone).duration_since(start)),
        }
    }

    /// The end of an occurrence that begins then.
    pub(super) fn end(self, start: When) -> Option<When> {
        match (self, start) {
            (Self::Days(days), When::Day(start)) => start.checked_add(days).ok().map(When::Day),
            (Self::Exactly(length), When::At(start)) => start.checked_add(length).ok().map(When::At),
            (Self::Exactly(length), When::Floating(start)) => start.checked_add(length).ok().map(When::Floating),
            _ => None,
        }
    }

    /// The most that it takes. A day that has no end takes that day.
    pub(super) fn at_most(self) -> SignedDuration {
        match self {
            Self::Unknown => SignedDuration::from_hours(25),
            Self::Days(days) => SignedDuration::from_hours(24 * (i64::from(days.get_days()) + 1)),
            Self::Exactly(length) => length.max(SignedDuration::ZERO),
        }
    }
}
