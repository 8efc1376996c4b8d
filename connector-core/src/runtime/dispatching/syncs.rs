//! Declared syncs: a step, and what it says about its channel (R11.1).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{End, scope_args};
use crate::context::{Dispatch, Mode};
use crate::dispatch::{EncodedStep, Input, Returned};
use crate::engine::{ChannelRow, CommitError, FeedEntry, FeedKind, LastSync, SyncState, Write, WriteSet};
use crate::error::{Error, Result};
use crate::id::ChannelId;
use crate::records::end_walk;
use crate::runtime::payload::{cursor_key, walked_key};
use crate::runtime::{MAX_RESOLUTIONS, Shared};
use crate::value;
use crate::work::Work;

/// Where the last look for changes is kept in the connection's state.
pub(crate) const LAST_SYNC_KEY: &str = "h/last_sync";

impl Shared {
    /// Takes one step of a declared sync; its cursor is stored with what the step saved (R11.1).
    pub(super) async fn sync_step(
        self: &Arc<Self>,
        dispatch: &Arc<Dispatch>,
        name: &str,
        channel: Option<&ChannelId>,
    ) -> Result<End> {
        let work = dispatch.connection.connector.callback("", name).and_then(|found| found.entry.work);
        let Some(Work::Sync { every }) = work else {
            return Err(Error::bug(format!("the sync `{name}` is not declared any more")));
        };
        let now = self.ports.clock.now();
        if let Some(channel) = channel {
            self.begin_walk(dispatch, channel, name).await?;
        }
        let key = cursor_key(name, channel);
        let cursor = dispatch.read_state(vec![key.clone()]).await?.pop().flatten();
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => value::to_bytes(&None::<()>).map_err(|error| Error::bug("no cursor").with_source(error))?.into(),
        };
        let args = scope_args(channel)?;
        let step = match dispatch.call("", name, &args, Input::Encoded(cursor)).await? {
            Returned::Step(step) => step,
            Returned::Value(_) | Returned::Drained(_) => return Err(Error::bug(format!("`{name}` returned no step"))),
        };
        let (cursor, end) = match step {
            EncodedStep::Next(cursor) => (cursor, End::Again(None)),
            EncodedStep::Wait(until, cursor) => (cursor, End::Again(Some(until))),
            EncodedStep::Done(cursor) => {
                let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
                self.end_sync(dispatch, name, channel, now).await?;
                (cursor, End::Next(now.checked_add(every).unwrap_or(Timestamp::MAX)))
            }
        };
        dispatch.unit().put(key, Some(cursor));
        Ok(end)
    }

    /// Shows a channel as syncing, from the first step of its walk.
    pub(super) async fn begin_walk(&self, dispatch: &Dispatch, channel: &ChannelId, name: &str) -> Result<()> {
        let row = dispatch.connection.channels.get(channel);
        let failing = |row: &ChannelRow| row.sync.failing.iter().any(|failing| failing == name);
        let begins = row.is_some_and(|row| row.sync.state == SyncState::Queued || failing(row));
        if !begins {
            return Ok(());
        }
        let now = self.ports.clock.now();
        self.change_channel(dispatch, channel, |row| {
            let resumes = row.sync.state != SyncState::Queued;
            row.sync.failing.retain(|failing| failing != name);
            if !row.sync.failing.is_empty() {
                // Another sync of the channel is what its state tells of.
                return;
            }
            row.sync.state = if row.walking.is_empty() { SyncState::Synced } else { SyncState::Syncing };
            row.sync.error = None;
            if !resumes || row.sync.started.is_none() {
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

    /// A walk has come to its end: the channel is synced when all of them have (L1).
    async fn end_sync(
        &self,
        dispatch: &Dispatch,
        name: &str,
        channel: Option<&ChannelId>,
        now: Timestamp,
    ) -> Result<()> {
        let connection = dispatch.connection_id();
        let last = value::to_bytes(&LastSync { at: now, outcome: "succeeded".to_owned() })
            .map_err(|error| Error::bug("the time of a sync cannot be stored").with_source(error))?;
        dispatch.unit().put(LAST_SYNC_KEY.to_owned(), Some(last.into()));
        if channel.is_none() && dispatch.mode != Mode::Live {
            let walked = value::to_bytes(&true)
                .map_err(|error| Error::bug("the end of a walk cannot be stored").with_source(error))?;
            dispatch.unit().put(walked_key(name), Some(walked.into()));
        }
        if let Some(channel) = channel
            && let Some(mut row) = self.ports.engine.channel(connection, channel.clone()).await?
        {
            let expect = Some(row.version);
            if row.walking.iter().any(|walking| walking == name) {
                end_walk(&mut row, name, now);
                let mut unit = dispatch.unit();
                unit.push(Write::Feed(FeedEntry::new(FeedKind::Channel, connection, channel)));
                unit.push(Write::PutChannel { row: Box::new(row), expect });
            }
        }
        Ok(())
    }
}
