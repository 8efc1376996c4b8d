//! A watermark.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::short_hash;

/// How far the clock of a service may be ahead of the host's.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// How late a service may list what has changed, where the connector says nothing else.
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);

/// Items of the overlap that are remembered; more than that are fetched again.
const MAX_MET: usize = 2_000;

/// What is known of a list: everything that changed before a time. Kept in the cursor of a `#[sync]`.
///
/// The watermark is that of the newest change which the service has told of, in the service's own time. The next walk
/// begins an overlap before it, so that what the service lists late, or changes within the same second, is not skipped.
///
/// - **A time in the future does not move it.** An item of a service with a wrong clock, dated beyond
///   [now](crate::context::Context::now) and a minute, is saved and has no influence on the watermark.
/// - **The overlap is not fetched for ever.** Items in it are remembered by time and id. One that was met again, by a walk
///   at least an overlap after the one that met it first, cannot change any more without a later time; from then on
///   [`is_new`](Self::is_new) says that it is known.
/// - **Order does not matter.** Items may come in any order; items with one time are told apart by their ids.
///
/// ```
/// use connector_core::prelude::*;
///
/// let at = |minute: i8| format!("2026-01-01T12:{minute:02}:00Z").parse::<Timestamp>().unwrap();
/// let mut since = Since::new(at(0));
/// assert_eq!(since.start(at(30)), at(0));
/// assert!(since.is_new(at(30), at(10), "a"));
/// // A service whose clock is wrong by years.
/// assert!(since.is_new(at(30), "2099-01-01T00:00:00Z".parse().unwrap(), "b"));
/// let since = since.ended();
/// assert_eq!(since.start(at(31)), at(8));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Since {
    /// Time from which on this walk asks.
    start: Timestamp,
    /// Time of the newest change that is known.
    newest: Timestamp,
    /// Seconds.
    overlap: i64,
    /// Items of the overlap, by a hash of their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    met: BTreeMap<u64, Met>,
}

/// An item that a walk has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Met {
    /// Time of its last change, by the service's clock.
    changed: Timestamp,
    /// When it was met first with that time, by the host's clock.
    first: Timestamp,
    /// It was met again, so late that a change since would have a later time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    settled: bool,
}

impl Since {
    /// A first walk, over what changed from then on.
    pub fn new(start: Timestamp) -> Self {
        Self { start, newest: start, overlap: OVERLAP.as_secs(), met: BTreeMap::new() }
    }

    /// How late the service may list what has changed, in whole seconds: each walk begins so long before the newest
    /// change that is known. Two minutes if not set.
    pub fn overlap(mut self, overlap: SignedDuration) -> Self {
        self.overlap = overlap.as_secs().max(0);
        self
    }

    /// Time from which on this walk asks for changes, that time included. It stays the same in all steps of a walk, unless
    /// the host's clock was set back behind it.
    pub fn start(&self, now: Timestamp) -> Timestamp {
        self.start.min(before(now, self.overlap))
    }

    /// Whether what changed then is before what this walk asks for: a list whose newest change comes first can be left.
    pub fn is_past(&self, now: Timestamp, changed: Timestamp) -> bool {
        changed < self.start(now)
    }

    /// Notes an item that the list has, with the time of its last change, and says whether it has to be looked at. An
    /// item that is known need not be fetched or saved.
    pub fn is_new(&mut self, now: Timestamp, changed: Timestamp, id: impl AsRef<str>) -> bool {
        if self.is_past(now, changed) {
            return false;
        }
        if !self.saw(now, changed) {
            // Its time says nothing, also not that it has not changed.
            return true;
        }
        let met = self.met.entry(short_hash(id.as_ref().as_bytes()));
        let met = met.and_modify(|met| {
            if met.changed != changed {
                *met = Met { changed, first: now, settled: false };
            }
        });
        let met = met.or_insert(Met { changed, first: now, settled: false });
        let known = met.settled;
        met.settled |= met.first <= before(now, self.overlap);
        if self.met.len() > MAX_MET {
            self.trim();
        }
        !known
    }

    /// Notes the time of an item that may change without a later time: such an item has to be looked at whenever it is
    /// listed. False if the time lies in the future and says nothing.
    pub fn saw(&mut self, now: Timestamp, changed: Timestamp) -> bool {
        let sane = changed <= after(now, TOLERANCE.as_secs());
        if sane {
            self.newest = self.newest.max(changed.min(now));
        }
        sane
    }

    /// The walk has ended: what the next walk begins from.
    pub fn ended(mut self) -> Self {
        self.start = self.start.max(before(self.newest, self.overlap));
        self.trim();
        self
    }

    /// Forgets what the next walk will not ask for, and what there is no room for.
    fn trim(&mut self) {
        let start = self.start.max(before(self.newest, self.overlap));
        self.met.retain(|_, met| met.changed >= start);
        if self.met.len() > MAX_MET {
            let mut times: Vec<_> = self.met.values().map(|met| met.changed).collect();
            times.sort_unstable();
            let oldest = times.get(times.len() - MAX_MET / 2).copied().unwrap_or(start);
            self.met.retain(|_, met| met.changed > oldest);
        }
    }
}

fn before(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
