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

mod recurrence;
mod saving;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use saving::Piece;

use crate::error::Result;
use crate::model::{Schedule, When};

/// One event with all of its pieces, as far as they have arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// By the occurrence that each stands in for; the master by none.
    pieces: BTreeMap<String, Known>,
}

/// What is known of a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// As of then.
    version: Timestamp,
    /// None of a master that was taken away without a word about when it would have been.
    schedule: Option<Schedule>,
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
}

/// The key of the master.
const MASTER: &str = "";

impl Series {
    /// Takes a piece as it was at the service at that time. An older one than is there already changes nothing, and is
    /// answered by false; of two of the same time one is taken, whichever came first.
    pub fn put(&mut self, version: Timestamp, schedule: Schedule) -> bool {
        let key = schedule.occurrence.map_or_else(|| MASTER.to_owned(), key);
        self.take(key, Known { version, schedule: Some(schedule) })
    }

    /// The service took all of it away at that time, and says no more of it.
    pub fn cancel(&mut self, version: Timestamp) -> bool {
        self.take(MASTER.to_owned(), Known { version, schedule: None })
    }

    fn take(&mut self, key: String, piece: Known) -> bool {
        match self.pieces.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(piece);
                true
            }
            Entry::Occupied(mut entry) => {
                let is_newer = piece.rank() >= entry.get().rank();
                if is_newer {
                    entry.insert(piece);
                }
                is_newer
            }
        }
    }

    /// What recurs, or the one that takes place once; none as long as only other pieces have arrived, and once it was
    /// cancelled.
    pub fn master(&self) -> Option<&Schedule> {
        self.pieces.get(MASTER).and_then(Known::live)
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
        pieces.filter_map(Known::live)
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

    /// When it takes place from one time until before another, in order. Days are taken in the zone of the event.
    ///
    /// Errors: the recurrence is none, by RFC 5545, or its zone is not known, or it has more than 10,000 occurrences
    /// in that time.
    pub fn occurrences(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Occurrence>> {
        let zone = match self.master() {
            Some(master) => recurrence::zone(master)?,
            None => TimeZone::UTC,
        };
        let mut found = match self.master() {
            Some(master) => recurrence::expand(master, &zone, from, until)?,
            None => Vec::new(),
        };
        found.retain(|occurrence| !self.pieces.contains_key(&key(occurrence.of)));
        for schedule in self.shown() {
            if let Some(of) = schedule.occurrence.filter(|_| is_within(schedule.start, &zone, from, until)) {
                found.push(Occurrence { start: schedule.start, end: schedule.end, of });
            }
        }
        found.sort_by_key(|occurrence| (instant(occurrence.start, &zone), key(occurrence.of)));
        Ok(found)
    }
}

impl Known {
    /// It takes place.
    fn live(&self) -> Option<&Schedule> {
        self.schedule.as_ref().filter(|schedule| !schedule.cancelled)
    }

    /// What decides between two: the time, and for the same time anything that is the same in any order.
    fn rank(&self) -> (Timestamp, bool, String) {
        (self.version, self.live().is_none(), serde_json::to_string(&self.schedule).unwrap_or_default())
    }
}

fn key(when: When) -> String {
    match when {
        When::Day(day) => day.to_string(),
        When::At(at) => at.to_string(),
    }
}

fn is_within(start: When, zone: &TimeZone, from: Timestamp, until: Timestamp) -> bool {
    let start = instant(start, zone);
    from <= start && start < until
}

/// When a day begins in a zone, or the instant.
fn instant(when: When, zone: &TimeZone) -> Timestamp {
    let begins = |day: Date| zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible();
    match when {
        // Out of range only at both ends of the calendar.
        When::Day(day) => begins(day).unwrap_or(if day.year() < 0 { Timestamp::MIN } else { Timestamp::MAX }),
        When::At(at) => at,
    }
}

#[cfg(test)]
mod tests;
