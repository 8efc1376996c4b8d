//! The walk of a declared sync, from its first step to its last: that it ends (L32), and what it has met (L37).

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::context::{Dispatch, Mode};
use crate::engine::Write;
use crate::error::{Error, Result};
use crate::id::{ChannelId, ConnectionId};
use crate::model::LinkFilter;
use crate::records::{RecordIntent, Sweep};
use crate::runtime::Shared;
use crate::runtime::payload::{cursor_key, met_prefix, walk_key};
use crate::value;
use crate::walk::{Seen, short_hash};

/// Steps in a row that may save just what an earlier step of the walk has saved. Some do by chance, as what is new moves
/// the items of a list from page to page.
const MAX_REPEATS: u32 = 8;

/// Steps in a row that may do nothing at all.
const MAX_IDLE: u32 = 1_000;

/// What is known of a walk while it is under way.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SyncWalk {
    /// The cursor that it began with. `None` means that it began without one.
    start: Option<Bytes>,
    /// What was made since it began has a greater id.
    began: i64,
    steps: u64,
    /// The cursors that its steps were given.
    cursors: Seen,
    /// What its steps have saved.
    saved: Seen,
    /// Steps in a row that saved what was saved before.
    repeats: u32,
    /// Steps in a row that did nothing.
    idle: u32,
    /// An item could not be read, so nobody knows what it did not meet.
    unknown: bool,
    /// It is stored.
    #[serde(skip)]
    stored: bool,
}

impl Shared {
    /// The walk that a step goes on with, or begins.
    ///
    /// # Errors
    ///
    /// The walk has been where it is now: the list has no end. What its steps have saved stays, and the request for a page
    /// that is known is not made.
    pub(super) fn walk(
        &self,
        dispatch: &Arc<Dispatch>,
        name: &str,
        channel: Option<&ChannelId>,
        cursor: Option<&Bytes>,
        stored: Option<Bytes>,
    ) -> Result<SyncWalk> {
        let is_stored = stored.is_some();
        let under_way = stored.filter(|_| cursor.is_some()).and_then(|walk| value::from_bytes::<SyncWalk>(&walk).ok());
        let walk = match under_way {
            Some(walk) => SyncWalk { stored: true, ..walk },
            None => {
                let began = self.ports.engine.take_ids(1);
                SyncWalk { start: cursor.cloned(), began, stored: is_stored, ..SyncWalk::default() }
            }
        };
        if let Some(cursor) = cursor {
            walk.check(name, cursor)?;
        }
        let mut unit = dispatch.unit();
        unit.met.sync = Some((name.to_owned(), channel.cloned()));
        unit.met.anew = cursor.is_none() && dispatch.mode != Mode::Live;
        Ok(walk)
    }

    /// What a sync forgets of a walk that led nowhere: the next walk begins where this one began.
    pub(in crate::runtime) async fn give_up_walk(
        &self,
        connection: ConnectionId,
        name: &str,
        channel: Option<&ChannelId>,
    ) -> Result<Vec<Write>> {
        let key = walk_key(name, channel);
        let stored = self.ports.engine.state(connection, vec![key]).await?.pop().flatten();
        let walk = stored.and_then(|walk| value::from_bytes::<SyncWalk>(&walk.value).ok());
        let mut writes = forget_walk(connection, name, channel);
        if let Some(walk) = walk {
            let key = cursor_key(name, channel);
            writes.push(match walk.start {
                Some(value) => Write::PutState { connection, key, value },
                None => Write::DeleteState { connection, key },
            });
        }
        Ok(writes)
    }
}

/// Forgets a walk that is under way.
pub(in crate::runtime) fn forget_walk(connection: ConnectionId, name: &str, channel: Option<&ChannelId>) -> Vec<Write> {
    vec![
        Write::DeleteState { connection, key: walk_key(name, channel) },
        Write::DeleteStatePrefix { connection, prefix: met_prefix(name, channel) },
    ]
}

impl SyncWalk {
    fn check(&self, name: &str, cursor: &[u8]) -> Result<()> {
        if self.cursors.contains(short_hash(cursor)) {
            return Err(Error::endless(format!(
                "the walk of `{name}` came back to a cursor that it has already had: the list leads in a circle, or its last page to its first"
            )));
        }
        if self.repeats >= MAX_REPEATS {
            return Err(Error::endless(format!(
                "the last {} steps of `{name}` brought only what the walk had already brought: the list has no end",
                self.repeats
            )));
        }
        if self.idle >= MAX_IDLE {
            return Err(Error::endless(format!(
                "the last {} steps of `{name}` brought nothing: the list has no end",
                self.idle
            )));
        }
        Ok(())
    }

    /// A step has ended, and the walk goes on at once.
    pub(super) fn went_on(
        mut self,
        dispatch: &Dispatch,
        name: &str,
        channel: Option<&ChannelId>,
        given: &[u8],
    ) -> Result<()> {
        self.cursors.push(short_hash(given));
        let (print, untouched) = {
            let unit = dispatch.unit();
            (unit.met.print, unit.is_untouched())
        };
        self.idle = if untouched { self.idle + 1 } else { 0 };
        if print != 0 {
            self.repeats = if self.saved.contains(print) { self.repeats + 1 } else { 0 };
            self.saved.push(print);
        }
        self.store(dispatch, name, channel)
    }

    /// A step has ended, and the walk goes on later. One that asks again later for the same, until it is there, is not
    /// in a circle.
    pub(super) fn waits(
        mut self,
        dispatch: &Dispatch,
        name: &str,
        channel: Option<&ChannelId>,
        given: &[u8],
        next: &[u8],
    ) -> Result<()> {
        if given != next {
            self.cursors.push(short_hash(given));
        }
        self.store(dispatch, name, channel)
    }

    fn store(mut self, dispatch: &Dispatch, name: &str, channel: Option<&ChannelId>) -> Result<()> {
        let mut unit = dispatch.unit();
        if !self.stored {
            // Nothing of an earlier walk is left, unless its cursor has expired.
            self.steps = 0;
        }
        self.steps += 1;
        self.unknown |= unit.met.unknown;
        let wrong = |error| Error::bug("the walk cannot be stored").with_source(error);
        let walk = value::to_bytes(&self).map_err(wrong)?;
        if !unit.met.sources.is_empty() {
            let met = value::to_bytes(&unit.met.sources).map_err(wrong)?;
            unit.put(format!("{}{}", met_prefix(name, channel), self.steps), Some(met.into()));
        }
        unit.put(walk_key(name, channel), Some(walk.into()));
        Ok(())
    }

    /// The walk has ended.
    pub(super) fn ended(self, dispatch: &Dispatch, name: &str, channel: Option<&ChannelId>) {
        if self.stored {
            let connection = dispatch.connection_id();
            let mut unit = dispatch.unit();
            forget_walk(connection, name, channel).into_iter().for_each(|write| unit.push(write));
        }
    }

    /// The walk has ended, and has met everything that meets the filter.
    pub(super) fn completed(self, dispatch: &Dispatch, name: &str, channel: Option<&ChannelId>, filter: LinkFilter) {
        let (began, unknown) = (self.began, self.unknown);
        let sweep = {
            let mut unit = dispatch.unit();
            let met = std::mem::take(&mut unit.met.sources);
            (!unknown && !unit.met.unknown).then(|| Sweep {
                sync: name.to_owned(),
                channel: channel.cloned(),
                filter,
                met,
                began,
            })
        };
        match sweep {
            Some(sweep) => dispatch.unit().records.push(RecordIntent::Sweep(Box::new(sweep))),
            None => tracing::warn!(
                connection = %dispatch.connection_id(),
                dispatch = dispatch.name,
                "an item of the walk could not be read, so nothing that is missing is archived"
            ),
        }
        self.ended(dispatch, name, channel);
    }
}
