//! Declared syncs: a step, and what it says about its channel (R11.1).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{End, scope_args};
use crate::context::{Dispatch, Mode};
use crate::dispatch::{EncodedStep, Input, Returned};
use crate::engine::{ChannelRow, CommitError, FeedEntry, FeedKind, SyncState, Write, WriteSet};
use crate::error::{Error, Result};
use crate::id::ChannelId;
use crate::records::end_walk;
use crate::runtime::payload::{LookScope, began_key, cursor_key, walk_key, walked_key};
use crate::runtime::work_log::{WorkLog, log_key};
use crate::runtime::{MAX_RESOLUTIONS, Shared};
use crate::value;
use crate::work::Work;

impl Shared {
    /// Takes one step of a declared sync; its cursor is stored with what the step saved (R11.1).
    pub(super) async fn sync_step(
        self: &Arc<Self>,
        dispatch: &Arc<Dispatch>,
        name: &str,
        channel: Option<&ChannelId>,
    ) -> Result<End> {
        let declared = dispatch.connection.connector.work_named(name);
        let Some((sync, Work::Sync { every })) = declared.map(|declared| (declared, declared.work)) else {
            return Err(Error::bug(format!("the sync `{name}` is not declared any more")));
        };
        let now = self.ports.clock.now();
        if let Some(channel) = channel {
            self.begin_walk(dispatch, channel).await?;
        }
        let key = cursor_key(name, channel);
        let mut stored = dispatch.read_state(vec![key.clone(), walk_key(name, channel)]).await?.into_iter();
        let (cursor, walk) = (stored.next().flatten(), stored.next().flatten());
        let walk = self.walk(dispatch, name, channel, cursor.as_ref(), walk)?;
        let asked_again = self.note_requests(dispatch, name, channel, cursor.is_none()).await?;
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => value::to_bytes(&None::<()>).map_err(|error| Error::bug("no cursor").with_source(error))?.into(),
        };
        let given = cursor.clone();
        let args = scope_args(channel)?;
        let step = match dispatch.call(sync.namespace, sync.entry.name, &args, Input::Cursor(cursor)).await? {
            Returned::Step(step) => step,
            Returned::Value(_) | Returned::Drained(_) => return Err(Error::bug(format!("`{name}` returned no step"))),
        };
        let ended = || {
            let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
            let next = now.checked_add(every).unwrap_or(Timestamp::MAX);
            if asked_again { End::Anew } else { End::Next(next) }
        };
        let (cursor, end) = match step {
            EncodedStep::Next(cursor) => {
                walk.went_on(dispatch, name, channel, &given)?;
                (cursor, End::Again(None))
            }
            EncodedStep::Wait(until, cursor) => {
                walk.waits(dispatch, name, channel, &given, &cursor)?;
                (cursor, End::Again(Some(until)))
            }
            EncodedStep::Done(cursor) => {
                walk.ended(dispatch, name, channel);
                (cursor, ended())
            }
            EncodedStep::Complete(filter, cursor) => {
                walk.completed(dispatch, name, channel, filter);
                (cursor, ended())
            }
        };
        self.step_succeeded(dispatch, name, channel, !matches!(end, End::Again(_)), now).await?;
        dispatch.unit().put(key, Some(cursor));
        Ok(end)
    }

    /// Keeps which request to look for changes a walk begins after. True if another has come since: the walk may have
    /// passed what changed, so it has to begin once more. (A request that comes during the last step changes the
    /// revision of the task, which then runs again by itself.)
    ///
    /// A walk without a cursor begins, also where the log says that one is under way: its cursor has expired, and what
    /// the step that found it out had noted was dropped with it.
    async fn note_requests(
        &self,
        dispatch: &Dispatch,
        name: &str,
        channel: Option<&ChannelId>,
        begins: bool,
    ) -> Result<bool> {
        let log = log_key("sync", name, channel);
        let began = began_key(name, channel);
        let scopes = [LookScope::Connection, LookScope::Sync { name, channel }];
        let scopes = scopes.into_iter().chain(channel.map(LookScope::Channel));
        let keys = [log, began.clone()].into_iter().chain(scopes.map(LookScope::key)).collect();
        let mut stored = self.ports.engine.state(dispatch.connection_id(), keys).await?.into_iter();
        let log: WorkLog =
            stored.next().flatten().and_then(|log| value::from_bytes(&log.value).ok()).unwrap_or_default();
        let began_after: Option<i64> = stored.next().flatten().and_then(|began| value::from_bytes(&began.value).ok());
        let last = stored.flatten().map(|request| request.version).max();
        if log.midway && !begins {
            return Ok(last > began_after);
        }
        if last != began_after {
            let last = value::to_bytes(&last)
                .map_err(|error| Error::bug("the beginning of a walk cannot be stored").with_source(error))?;
            dispatch.unit().put(began, Some(last.into()));
        }
        Ok(false)
    }

    /// Shows a channel as syncing, from the first step of its walk.
    pub(super) async fn begin_walk(&self, dispatch: &Dispatch, channel: &ChannelId) -> Result<()> {
        if dispatch.connection.channels.get(channel).is_none_or(|row| row.sync.state != SyncState::Queued) {
            return Ok(());
        }
        let now = self.ports.clock.now();
        self.change_channel(dispatch, channel, |row| {
            if row.sync.state == SyncState::Queued {
                row.sync.state = if row.walking.is_empty() { SyncState::Synced } else { SyncState::Syncing };
                row.sync.error = None;
                row.sync.started = Some(now);
            }
        })
        .await
    }

    /// Changes a channel's row at once, apart from what the dispatch stores.
    pub(in crate::runtime) async fn change_channel(
        &self,
        dispatch: &Dispatch,
        channel: &ChannelId,
        change: impl Fn(&mut ChannelRow),
    ) -> Result<()> {
        let connection = dispatch.connection_id();
        for _ in 0..MAX_RESOLUTIONS {
            let Some(before) = self.ports.engine.channel(connection, channel.clone()).await? else { return Ok(()) };
            let mut row = before.clone();
            change(&mut row);
            if row == before {
                return Ok(());
            }
            let feed = Write::Feed(FeedEntry::new(FeedKind::Channel, connection, channel));
            let put = Write::PutChannel { row: Box::new(row), expect: Some(before.version) };
            match self.ports.engine.commit(WriteSet { connection: Some(connection), ..WriteSet::of([put, feed]) }).await
            {
                Ok(_) => return Ok(()),
                Err(CommitError::RecordConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A step was taken, so the sync does not fail any more; and at the end of a walk, the channel is synced when all
    /// of its walks have ended (L1).
    async fn step_succeeded(
        &self,
        dispatch: &Dispatch,
        name: &str,
        channel: Option<&ChannelId>,
        ended: bool,
        now: Timestamp,
    ) -> Result<()> {
        let connection = dispatch.connection_id();
        let Some(channel) = channel else {
            if ended && dispatch.mode != Mode::Live {
                let walked = value::to_bytes(&true)
                    .map_err(|error| Error::bug("the end of a walk cannot be stored").with_source(error))?;
                dispatch.unit().put(walked_key(name), Some(walked.into()));
            }
            return Ok(());
        };
        let seen = dispatch.connection.channels.get(channel);
        let concerned = seen.is_none_or(|row| {
            row.sync.failing.iter().any(|failing| failing == name) || row.walking.iter().any(|walking| walking == name)
        });
        if !concerned {
            return Ok(());
        }
        let Some(before) = self.ports.engine.channel(connection, channel.clone()).await? else { return Ok(()) };
        let mut row = before.clone();
        succeed(&mut row, name, now);
        if ended && row.walking.iter().any(|walking| walking == name) {
            end_walk(&mut row, name, now);
        }
        if row != before {
            let mut unit = dispatch.unit();
            unit.push(Write::Feed(FeedEntry::new(FeedKind::Channel, connection, channel)));
            unit.push(Write::PutChannel { row: Box::new(row), expect: Some(before.version) });
        }
        Ok(())
    }
}

/// A sync of the channel does not fail any more. While another does, the channel's state tells of that one.
pub(super) fn succeed(row: &mut ChannelRow, name: &str, now: Timestamp) {
    if !row.sync.failing.iter().any(|failing| failing == name) {
        return;
    }
    row.sync.failing.retain(|failing| failing != name);
    if row.sync.failing.is_empty() {
        row.sync.state = if row.walking.is_empty() { SyncState::Synced } else { SyncState::Syncing };
        row.sync.error = None;
        row.sync.started.get_or_insert(now);
    }
}
