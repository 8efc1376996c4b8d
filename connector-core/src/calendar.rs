//! Events of calendars (L27): masters, the occurrences that differ from them, and those that are cancelled, in
//! whatever order and however often a service gives them.
//!
//! A connector gives each [`Piece`] as it comes to
//! [`save_events`](crate::context::Integrations::save_events), which keeps a [`Series`] of each event and saves what
//! that says, so the order does not matter:
//!
//! ```
//! use connector_core::calendar::Series;
//! use connector_core::model::Schedule;
//! # fn main() -> connector_core::Result<()> {
//! let time = |text: &str| text.parse::<jiff::Timestamp>();
//! let (monday, tuesday) = (time("2026-01-05T09:00:00Z")?, time("2026-01-06T09:00:00Z")?);
//! let mut series = Series::default();
//! series.put(monday, Schedule::new("standup_2", tuesday).occurrence(tuesday).cancelled());
//! assert!(series.schedules().is_empty());
//! series.put(monday, Schedule::new("standup", monday).recurrence(["RRULE:FREQ=DAILY;COUNT=3".to_owned()], "UTC"));
//! let starts: Vec<_> = series.occurrences(monday, time("2026-02-01T00:00:00Z")?)?.iter().map(|at| at.start).collect();
//! assert_eq!(starts, [monday.into(), time("2026-01-07T09:00:00Z")?.into()]);
//! # Ok(()) }
//! ```

mod lines;
mod recurrence;
mod rule;
mod saving;
mod windows_zones;
mod zone;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use saving::{EventWalk, Piece};
pub use zone::{time_zone, zone_of_vtimezone};

use crate::error::{Error, Result};
use crate::id::ScheduleKey;
use crate::model::{Schedule, When};
use recurrence::{Length, local};

/// One event with all of its pieces, as far as they have arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// By the occurrence that each stands in for; the master by none.
    pieces: BTreeMap<String, KnownPiece>,
}

/// What is known of a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KnownPiece {
    /// Time of the service's last change of the piece.
    version: Timestamp,
    /// `None` means a master that was taken away without a word about when it would have been.
    schedule: Option<Schedule>,
    /// Time at which the piece arrived here last.
    #[serde(default)]
    seen: Timestamp,
}

/// One time at which an event takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occurrence {
    /// Begins.
    pub start: When,
    /// Ends; for days, the first day after it.
    pub end: Option<When>,
    /// Which occurrence of its series it is: when it would begin by the master.
    pub of: When,
    /// The schedule that says it: that of the master, or of the piece that stands in for the occurrence.
    pub schedule: ScheduleKey,
}

/// The occurrences of an event in a time, as far as its recurrence can be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Agenda {
    /// In order.
    pub occurrences: Vec<Occurrence>,
    /// What was left out: each error names the line of the recurrence, and why.
    pub refused: Vec<Error>,
}

/// The key of the master.
const MASTER: &str = "";

impl Series {
    /// Takes a piece as it was at the service at that time. An older one than is there already changes nothing, and is
    /// answered by false; of two of the same time one is taken, whichever came first.
    pub fn put(&mut self, version: Timestamp, schedule: Schedule) -> bool {
        let key = schedule.occurrence.map_or_else(|| MASTER.to_owned(), key);
        self.take(key, KnownPiece { version, schedule: Some(schedule), seen: Timestamp::default() })
    }

    /// The service took all of it away at that time, and says no more of it.
    pub fn cancel(&mut self, version: Timestamp) -> bool {
        self.take(MASTER.to_owned(), KnownPiece { version, schedule: None, seen: Timestamp::default() })
    }

    /// Takes the event whole, as it was at the service at that time: what was known of it before and is not among
    /// these pieces is no more, such as an occurrence that was cancelled or moved and then restored (L38). What is
    /// newer stays. False is the answer where the event itself is newer here.
    pub fn replace(&mut self, version: Timestamp, schedules: impl IntoIterator<Item = Schedule>) -> bool {
        let is_newest = self.pieces.get(MASTER).is_none_or(|master| master.version <= version);
        self.pieces.retain(|_, piece| piece.version > version);
        for schedule in schedules {
            self.put(version, schedule);
        }
        is_newest
    }

    /// Forgets the pieces that last arrived before a walk over all events began, and that the walk would have given
    /// if they were still there.
    fn forget_before(&mut self, walk: &EventWalk) {
        let is_over = |schedule: &Schedule| {
            let last = [Some(schedule.start), schedule.end, schedule.occurrence].into_iter().flatten();
            let last = last.map(|when| instant(when, &TimeZone::UTC)).max();
            walk.from.is_some_and(|from| last.is_some_and(|last| last < from))
        };
        self.pieces.retain(|key, piece| {
            key == MASTER || piece.seen >= walk.began || piece.schedule.as_ref().is_some_and(is_over)
        });
    }

    /// Notes which pieces arrived now.
    fn saw(&mut self, schedule: Option<When>, at: Timestamp) {
        if let Some(piece) = self.pieces.get_mut(&schedule.map_or_else(|| MASTER.to_owned(), key)) {
            piece.seen = piece.seen.max(at);
        }
    }

    fn take(&mut self, key: String, piece: KnownPiece) -> bool {
        match self.pieces.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(piece);
                true
            }
            Entry::Occupied(mut entry) => {
                let is_newer = piece.rank() >= entry.get().rank();
                if is_newer {
                    let seen = entry.get().seen;
                    entry.insert(KnownPiece { seen, ..piece });
                }
                is_newer
            }
        }
    }

    /// What recurs, or the one that takes place once; none as long as only other pieces have arrived, and once it was
    /// cancelled.
    pub fn master(&self) -> Option<&Schedule> {
        self.pieces.get(MASTER).and_then(KnownPiece::live)
    }

    /// Nothing of it takes place: the service took it away, or there was nothing but cancellations.
    pub fn is_cancelled(&self) -> bool {
        self.shown().next().is_none()
    }

    /// It recurs, as far as is known.
    pub fn is_recurring(&self) -> bool {
        self.master().is_none_or(|master| !master.recurrence.is_empty())
    }

    /// When what takes place of it last changed: of what does not, services do not always say it.
    pub fn updated_at(&self) -> Option<Timestamp> {
        self.pieces.values().filter(|piece| piece.live().is_some()).map(|piece| piece.version).max()
    }

    /// The pieces that take place: those that a later cancellation of the whole does not take with it.
    fn shown(&self) -> impl Iterator<Item = &Schedule> {
        let cancelled = self.pieces.get(MASTER).filter(|master| master.live().is_none()).map(|master| master.version);
        let pieces = self.pieces.values().filter(move |piece| cancelled.is_none_or(|at| piece.version > at));
        pieces.filter_map(KnownPiece::live)
    }

    /// What a link is given: the master, and what differs from it. A cancellation is among them only where there is a
    /// master that it takes something from.
    pub fn schedules(&self) -> Vec<Schedule> {
        let takes_away = self.master().is_some() && self.is_recurring();
        if !takes_away {
            return self.shown().cloned().collect();
        }
        self.pieces.values().filter_map(|piece| piece.schedule.clone()).collect()
    }

    /// The occurrences that begin from one time until before another, in order. Days and floating times are taken in
    /// the zone of the event, or in UTC if it names none.
    ///
    /// Errors: a line of the recurrence is wrong by RFC 5545 or not supported, or a zone is not known, or the event
    /// has more than 10,000 occurrences in that time. [`Series::agenda`] answers with what can be read.
    pub fn occurrences(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Occurrence>> {
        let zone = self.master().map(recurrence::zone).transpose()?.flatten().unwrap_or(TimeZone::UTC);
        let mut agenda = self.agenda(from, until, &zone)?;
        if !agenda.refused.is_empty() {
            return Err(agenda.refused.swap_remove(0));
        }
        agenda.occurrences.retain(|occurrence| is_within(occurrence.start, &zone, from, until));
        Ok(agenda.occurrences)
    }

    /// What takes place of the event between two times, in order, with what began before and has not ended. Days and
    /// floating times are taken in the zone of the viewer.
    ///
    /// A line of the recurrence that is wrong or not supported is left out and named, and the rest is as it says.
    ///
    /// Errors: the event has more than 10,000 occurrences in that time.
    pub fn agenda(&self, from: Timestamp, until: Timestamp, viewer: &TimeZone) -> Result<Agenda> {
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        let mut zone = viewer.clone();
        if let Some(master) = self.master() {
            if matches!(master.start, When::At(_)) {
                // Without its zone it cannot recur, but it takes place.
                match recurrence::zone(master) {
                    Ok(named) => zone = named.unwrap_or(TimeZone::UTC),
                    Err(error) => refused.push(error),
                }
            }
            let once;
            let master = if refused.is_empty() {
                master
            } else {
                once = Schedule { recurrence: Vec::new(), ..master.clone() };
                &once
            };
            let pieces = self.pieces.iter().filter(|(key, _)| *key != MASTER);
            let pieces: Vec<_> = pieces.filter_map(|(_, piece)| piece.schedule.as_ref()).collect();
            let ahead = Length::of(master, &zone).at_most() + moved_at_most(&pieces, &zone);
            let begins = from.checked_sub(ahead).unwrap_or(Timestamp::MIN);
            let ends = until.checked_add(moved_at_most(&pieces, &zone)).unwrap_or(Timestamp::MAX);
            let expanded = recurrence::expand(master, &zone, begins, ends)?;
            refused.extend(expanded.refused);
            let mut replaced = BTreeSet::new();
            for piece in &pieces {
                let Some(of) = piece.occurrence else { continue };
                match stands_in(of, &expanded.found, &zone) {
                    Ok(of) => replaced.extend(of),
                    Err(why) => refused.push(Error::bug(format!("the occurrence `{}` is left out: {why}", piece.key))),
                }
            }
            let remaining = expanded.found.into_iter().filter(|(of, _)| !replaced.contains(of));
            found.extend(remaining.filter_map(|(of, end)| {
                let by_master = Occurrence { start: of, end, of, schedule: master.key.clone() };
                match following(&pieces, of, &zone) {
                    Some(piece) => moved(piece, of, &zone),
                    None => Some(by_master),
                }
            }));
        }
        for schedule in self.shown() {
            let Schedule { start, end, key, .. } = schedule;
            found.extend(schedule.occurrence.map(|of| Occurrence {
                start: *start,
                end: *end,
                of,
                schedule: key.clone(),
            }));
        }
        let end = |occurrence: &Occurrence| match (occurrence.end, occurrence.start) {
            (Some(end), _) => instant(end, &zone),
            (None, When::Day(day)) => instant(When::Day(day.tomorrow().unwrap_or(day)), &zone),
            (None, start) => instant(start, &zone),
        };
        found.retain(|occurrence| {
            let start = instant(occurrence.start, &zone);
            start < until && (start >= from || end(occurrence) > from)
        });
        found.sort_by_key(|occurrence| (instant(occurrence.start, &zone), occurrence.of));
        Ok(Agenda { occurrences: found, refused })
    }
}

impl FromIterator<Schedule> for Series {
    /// The event that a link's schedules describe.
    fn from_iter<I: IntoIterator<Item = Schedule>>(schedules: I) -> Self {
        let mut series = Self::default();
        series.replace(Timestamp::default(), schedules);
        series
    }
}

impl KnownPiece {
    /// It takes place.
    fn live(&self) -> Option<&Schedule> {
        self.schedule.as_ref().filter(|schedule| !schedule.cancelled)
    }

    /// What decides between two: the time, and for the same time anything that is the same in any order.
    fn rank(&self) -> (Timestamp, bool, String) {
        (self.version, self.live().is_none(), serde_json::to_string(&self.schedule).unwrap_or_default())
    }
}

/// The occurrences of a master that a piece stands in for; none if the master has it not, or not in the time that was
/// expanded. Some services name a day in place of a time (RFC 5545 3.8.4.4 wants the form of the start).
///
/// Errors: the event takes place more than once on that day.
fn stands_in(of: When, found: &BTreeMap<When, Option<When>>, zone: &TimeZone) -> Result<Option<When>, &'static str> {
    if found.contains_key(&of) {
        return Ok(Some(of));
    }
    let is_same = |known: &When| match (of, *known) {
        (When::Day(day), known) => local(known, zone).date() == day,
        (When::At(at), When::Day(known)) => {
            zone.to_datetime(at).date() == known || TimeZone::UTC.to_datetime(at).date() == known
        }
        (of, known) => local(of, zone) == local(known, zone),
    };
    let mut same = found.keys().copied().filter(is_same);
    match (same.next(), same.next()) {
        (Some(_), Some(_)) if matches!(of, When::Day(_)) => {
            Err("it names a day on which the event takes place more than once")
        }
        (first, _) => Ok(first),
    }
}

/// The piece that stands in for an occurrence because it does so from an earlier one on.
fn following<'a>(pieces: &[&'a Schedule], of: When, zone: &TimeZone) -> Option<&'a Schedule> {
    let before = pieces.iter().filter(|piece| piece.and_following);
    let before = before.filter_map(|piece| Some((local(piece.occurrence?, zone), *piece)));
    before.filter(|(begins, _)| *begins < local(of, zone)).max_by_key(|(begins, _)| *begins).map(|(_, piece)| piece)
}

/// An occurrence that is moved as an earlier one was; none if that was cancelled.
fn moved(piece: &Schedule, of: When, zone: &TimeZone) -> Option<Occurrence> {
    let by = local(piece.start, zone).duration_since(local(piece.occurrence?, zone));
    if piece.cancelled {
        return None;
    }
    let at = local(of, zone).checked_add(by).ok()?;
    let start = match piece.start {
        When::Day(_) => When::Day(at.date()),
        When::Floating(_) => When::Floating(at),
        When::At(_) => When::At(zone.to_ambiguous_timestamp(at).compatible().ok()?),
    };
    Some(Occurrence { start, end: Length::of(piece, zone).end(start), of, schedule: piece.key.clone() })
}

/// How far pieces that stand in for later occurrences move those, and how long they make them.
fn moved_at_most(pieces: &[&Schedule], zone: &TimeZone) -> SignedDuration {
    let by = pieces.iter().filter(|piece| piece.and_following).filter_map(|piece| {
        let by = local(piece.start, zone).duration_since(local(piece.occurrence?, zone)).abs();
        Some(by + Length::of(piece, zone).at_most())
    });
    by.max().unwrap_or(SignedDuration::ZERO)
}

pub(crate) fn key(when: When) -> String {
    match when {
        When::Day(day) => day.to_string(),
        When::At(at) => at.to_string(),
        When::Floating(at) => at.to_string(),
    }
}

/// The end of a schedule that begins at another time and takes as long as before. `None` means that it has no end, or
/// that one of the two times is a day and the other is none.
pub(crate) fn end_of(schedule: &Schedule, start: When) -> Option<When> {
    Length::of(schedule, &TimeZone::UTC).end(start)
}

fn is_within(start: When, zone: &TimeZone, from: Timestamp, until: Timestamp) -> bool {
    let start = instant(start, zone);
    from <= start && start < until
}

/// The instant of a point on the calendar: when a day begins in a zone, or a floating time is there.
pub fn instant(when: When, zone: &TimeZone) -> Timestamp {
    let begins = |at| zone.to_ambiguous_timestamp(at).compatible();
    // Out of range only at both ends of the calendar.
    let edge = |day: Date| if day.year() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    match when {
        When::Day(day) => begins(day.at(0, 0, 0, 0)).unwrap_or(edge(day)),
        When::Floating(at) => begins(at).unwrap_or(edge(at.date())),
        When::At(at) => at,
    }
}

#[cfg(test)]
mod tests;
