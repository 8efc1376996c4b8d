//! One run of one task: what it needs, the call, and what comes of it.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::connections::Unavailable;
use super::payload::{DrainTask, HookTask, TaskPayload, cursor_key, drain_mark_prefix, walked_key};
use super::scheduler::Entry;
use super::{ActiveConnection, DispatchOf, Shared};
use crate::context::{Dispatch, Mode};
use crate::dispatch::{EncodedStep, HookCall, HookReply, Input, Returned, ToolHook};
use crate::engine::{
    After, ChannelRow, Completion, ConnectionStatus, DeadTask, FeedEntry, FeedKind, SyncState, TaskError, TaskRow,
    Write, WriteSet,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, LinkId, NoteId, TaskId, ThreadId};
use crate::model::{Actor, Delivery, Link, Note, SyncContext, Thread};
use crate::records::{OWN_WALK, RecordIntent, draft_key, end_walk};
use crate::value;
use crate::work::Work;

/// How often a dispatch is run again at once because another was faster.
const MAX_CONFLICTS: u32 = 5;

/// How long the queue waits after the store has failed.
const STORE_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// What becomes of a task whose code succeeded.
pub(super) enum End {
    /// It is done, or runs again at its interval.
    Done,
    /// It runs again then.
    Again(Option<Timestamp>),
}

/// What the scheduler is to do with a task that has run, or has not.
enum Ran {
    /// The store knows what became of it.
    Finished,
    /// It has not run; it waits with its connection.
    Parked,
    /// It has to run again, then.
    PutBack(Option<Timestamp>),
}

impl Shared {
    /// Runs a task that the scheduler gave out.
    pub(super) async fn run_entry(self: &Arc<Self>, entry: Entry, cautious: bool) {
        let (id, connection) = (entry.id, entry.connection);
        let ran = self.run_task(entry, cautious).await;
        let now = self.ports.clock.now();
        let mut scheduler = self.scheduler();
        match ran {
            Ran::Finished => scheduler.finish(id, now),
            Ran::PutBack(until) => scheduler.put_back(id, until, now),
            Ran::Parked => {
                scheduler.set_parked(connection, true);
                scheduler.put_back(id, None, now);
            }
        }
        let runnable = scheduler.has_runnable();
        drop(scheduler);
        if runnable {
            self.ready.notify_one();
        }
        if matches!(ran, Ran::PutBack(Some(_))) {
            self.timer.notify_one();
        }
    }

    fn store_pause(&self) -> Option<Timestamp> {
        self.ports.clock.now().checked_add(STORE_PAUSE).ok()
    }

    async fn run_task(self: &Arc<Self>, entry: Entry, cautious: bool) -> Ran {
        let row = match entry.row {
            Some(row) => row,
            None => match self.ports.engine.tasks_by_id(vec![entry.id]).await {
                Ok(mut rows) => match rows.pop().flatten() {
                    Some(row) => Arc::new(row),
                    None => return Ran::Finished,
                },
                Err(error) => {
                    tracing::error!(task = %entry.id, "a task cannot be read: {error}");
                    return Ran::PutBack(self.store_pause());
                }
            },
        };
        let connection = match self.active(row.connection).await {
            Ok(connection) => connection,
            Err(Unavailable::Gone) => return self.end(&row, After::Delete, Vec::new()).await,
            Err(Unavailable::NotLinked) => return Ran::Parked,
            Err(Unavailable::Failed(error)) => {
                tracing::error!(task = %row.id, connection = %row.connection, "a connection cannot be read: {error}");
                return Ran::PutBack(self.store_pause());
            }
        };
        if connection.row.status != ConnectionStatus::Active {
            return Ran::Parked;
        }
        let payload: TaskPayload = match value::from_bytes(&row.payload) {
            Ok(payload) => payload,
            Err(error) => {
                let error = Error::bug("the task is of a kind that this version does not know").with_source(error);
                return self.die(&row, &error).await;
            }
        };
        let row = if cautious {
            match self.count_attempt(&row).await {
                Ok(row) => row,
                Err(ran) => return ran,
            }
        } else {
            row
        };
        match self.mark_sending(&payload, &row).await {
            Ok(true) => {}
            Ok(false) => return Ran::Finished,
            Err(error) => {
                tracing::error!(task = %row.id, "the store failed: {error}");
                return Ran::PutBack(self.store_pause());
            }
        }
        self.attempt(&row, &payload, connection).await
    }

    /// Runs the code, until it has had the store for itself.
    async fn attempt(
        self: &Arc<Self>,
        row: &Arc<TaskRow>,
        payload: &TaskPayload,
        mut connection: Arc<ActiveConnection>,
    ) -> Ran {
        let started = self.ports.clock.now();
        for conflict in 0.. {
            let dispatch = DispatchOf {
                mode: match self.mode_of(&connection, payload, row).await {
                    Ok(mode) => mode,
                    Err(error) => {
                        tracing::error!(task = %row.id, "the store failed: {error}");
                        return Ran::PutBack(self.store_pause());
                    }
                },
                task: Some(row.id),
                attempt: row.attempt + 1,
                name: payload.title(),
                may_call_out: !matches!(
                    payload,
                    TaskPayload::Hook(HookTask::Activate { .. } | HookTask::ChannelEnabled { .. })
                ),
                creates: payload.creates(),
                connection: Arc::clone(&connection),
            }
            .begin(self);
            let outcome = match self.guarded(&dispatch, self.perform(&dispatch, payload)).await {
                Ok(end) => {
                    let completion = Completion { task: row.id, revision: row.revision, then: self.after(row, end) };
                    self.commit(&dispatch, Some(completion)).await.map_err(|error| (error, true))
                }
                Err(error) => Err((error, false)),
            };
            let (name, connector) = (&dispatch.name, connection.connector.declaration.id);
            match outcome {
                Ok(_) => {
                    tracing::debug!(connector, connection = %row.connection, task = %row.id, dispatch = name, attempt = row.attempt + 1, elapsed = %self.ports.clock.now().duration_since(started), "done");
                    return Ran::Finished;
                }
                Err((error, _)) if error.is_conflict() && conflict < MAX_CONFLICTS => {
                    tracing::debug!(connector, connection = %row.connection, task = %row.id, dispatch = name, "runs again: {error}");
                    match self.active(row.connection).await {
                        Ok(fresh) => connection = fresh,
                        Err(Unavailable::Gone | Unavailable::NotLinked) => return Ran::PutBack(None),
                        Err(Unavailable::Failed(_)) => return Ran::PutBack(self.store_pause()),
                    }
                }
                // The commit found that the task is gone: cancelled, or removed with its channel or connection.
                Err((error, true)) if matches!(error.kind(), ErrorKind::Gone) => return Ran::Finished,
                Err((error, true)) if !error.is_conflict() => {
                    tracing::error!(connector, connection = %row.connection, task = %row.id, dispatch = name, "cannot be stored: {error}");
                    return Ran::PutBack(self.store_pause());
                }
                Err((error, _)) => {
                    tracing::warn!(connector, connection = %row.connection, task = %row.id, dispatch = name, attempt = row.attempt + 1, kind = error.kind().as_str(), "failed: {error}");
                    return self.failed(row, payload, &dispatch, &error).await;
                }
            }
        }
        Ran::PutBack(None)
    }

    /// Runs code of a connector: a panic or too long a run fails it, and nothing else (R7.2).
    pub(super) async fn guarded<T>(&self, dispatch: &Dispatch, code: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.config.max_time;
        let mut code = pin!(AssertUnwindSafe(code).catch_unwind());
        let mut timer = None;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = code.as_mut().poll(cx) {
                return Poll::Ready(outcome.unwrap_or_else(|panic| Err(panicked(dispatch, &*panic))));
            }
            // Most code is done at its first poll, and needs no timer.
            let timer = timer.get_or_insert_with(|| {
                let clock = &self.ports.clock;
                let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
                clock.sleep_until(clock.now().checked_add(limit).unwrap_or(Timestamp::MAX))
            });
            timer.as_mut().poll(cx).map(|()| {
                Err(Error::transient(format!(
                    "`{}` took more than {} s: take smaller steps, with a task or sync step for each",
                    dispatch.name,
                    limit.as_secs()
                )))
            })
        })
        .await
    }

    /// What becomes of a task whose code succeeded.
    fn after(&self, row: &TaskRow, end: End) -> After {
        match (end, row.every_ms) {
            (End::Again(run_at), _) => After::Again { run_at },
            (End::Done, Some(_)) => After::Again { run_at: self.next_interval(row) },
            (End::Done, None) => After::Delete,
        }
    }

    /// The next run of a recurring task: an interval after the last one was due, or now if that is past.
    pub(super) fn next_interval(&self, row: &TaskRow) -> Option<Timestamp> {
        let every = SignedDuration::from_millis(row.every_ms?);
        let now = self.ports.clock.now();
        let due = row.run_at.unwrap_or(now).checked_add(every).ok()?;
        // One that is late by whole intervals does not run once for each of them.
        Some(if due <= now { now.checked_add(every).ok()? } else { due })
    }

    /// Why a task looks at the service: by whether the walk that it is part of is under way (R8.5).
    async fn mode_of(&self, connection: &ActiveConnection, payload: &TaskPayload, row: &TaskRow) -> Result<Mode> {
        let walk = match payload {
            TaskPayload::Sync { name, channel: None } => {
                let walked = self.ports.engine.state(row.connection, vec![walked_key(name)]).await?.pop().flatten();
                return Ok(match walked.map(|walked| value::from_bytes(&walked.value).unwrap_or(true)) {
                    None => Mode::Backfill,
                    Some(false) => Mode::Recovery,
                    Some(true) => Mode::Live,
                });
            }
            TaskPayload::Sync { name, .. } => name.as_ref(),
            TaskPayload::Callback { .. } | TaskPayload::Hook(HookTask::ChannelEnabled { .. }) => OWN_WALK,
            _ => return Ok(Mode::Live),
        };
        Ok(match row.channel.as_ref().and_then(|channel| connection.channels.get(channel)) {
            Some(row) if row.walking.iter().any(|walking| walking == walk) => {
                if row.recovering {
                    Mode::Recovery
                } else {
                    Mode::Backfill
                }
            }
            _ => Mode::Live,
        })
    }

    async fn perform(self: &Arc<Self>, dispatch: &Arc<Dispatch>, payload: &TaskPayload) -> Result<End> {
        match payload {
            TaskPayload::Callback { namespace, name, args, input, token } => {
                if let Some(token) = token {
                    dispatch.bound(token).await?;
                }
                let input = match input {
                    Some(input) => Input::Encoded(input.clone()),
                    None => Input::Typed(Box::new(())),
                };
                dispatch.call(namespace, name, args, input).await?;
                Ok(End::Done)
            }
            TaskPayload::Hook(hook) => self.hook(dispatch, hook.clone()).await.map(|()| End::Done),
            TaskPayload::Sync { name, channel } => self.sync_step(dispatch, name, channel.as_ref()).await,
            TaskPayload::Every { name, channel } => {
                let args = scope_args(channel.as_ref())?;
                dispatch.call("", name, &args, Input::Typed(Box::new(()))).await?;
                Ok(End::Done)
            }
            TaskPayload::Drain(drain) => self.drain_pass(dispatch, drain).await,
            TaskPayload::RefreshChannels => {
                let channels = self.list_channels(dispatch).await?;
                dispatch.unit().records.push(RecordIntent::Channels(channels));
                Ok(End::Done)
            }
        }
    }

    /// Takes one step of a declared sync; its cursor is stored with what the step saved (R11.1).
    async fn sync_step(
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
                (cursor, End::Again(now.checked_add(every).ok()))
            }
        };
        dispatch.unit().put(key, Some(cursor));
        Ok(end)
    }

    /// Shows a channel as syncing, from the first step of its walk.
    async fn begin_walk(&self, dispatch: &Dispatch, channel: &ChannelId, name: &str) -> Result<()> {
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
    pub(super) async fn change_channel(
        &self,
        dispatch: &Dispatch,
        channel: &ChannelId,
        change: impl Fn(&mut ChannelRow),
    ) -> Result<()> {
        let connection = dispatch.connection_id();
        for _ in 0..super::MAX_RESOLUTIONS {
            let Some(before) = self.ports.engine.channel(connection, channel.clone()).await? else { return Ok(()) };
            let mut row = before.clone();
            change(&mut row);
            if row == before {
                return Ok(());
            }
            let feed = Write::Feed(FeedEntry::new(FeedKind::Channel, connection, channel));
            let put = Write::PutChannel { row: Box::new(row), expect: Some(before.version) };
            match self.store(WriteSet { connection: Some(connection), ..WriteSet::of([put, feed]) }).await {
                Ok(_) => return Ok(()),
                Err(crate::engine::CommitError::RecordConflict) => {}
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
        let last = value::to_bytes(&crate::engine::LastSync { at: now, outcome: "succeeded".to_owned() })
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

    /// Hands over the ids that were marked dirty, at most a batch of them (R6.4).
    async fn drain_pass(self: &Arc<Self>, dispatch: &Arc<Dispatch>, drain: &DrainTask) -> Result<End> {
        let connection = dispatch.connection_id();
        if let Some(id) = &drain.only {
            return match dispatch.call(&drain.namespace, &drain.name, &drain.args, Input::Ids(vec![id.clone()])).await?
            {
                Returned::Drained(again) if again.is_empty() => Ok(End::Done),
                _ => Err(Error::transient(format!("`{}` wants the id again", drain.name))),
            };
        }
        let prefix = drain_mark_prefix(&drain.key);
        let batch = drain.batch.max(1) as usize;
        // The marks are not relied on as a whole: one that comes in during the pass stays for the next.
        let marks = self.ports.engine.state_entries(connection, prefix.clone(), batch + 1).await?;
        let found = marks.len();
        let mut handed = Vec::new();
        for (key, mark) in marks.into_iter().take(batch) {
            let attempts: u32 = value::from_bytes(&mark.value).unwrap_or(0);
            let Some(id) = key.strip_prefix(&prefix).and_then(crate::webhook::unhex).map(Bytes::from) else { continue };
            // What was refused once goes alone, so that it does not take others with it.
            let alone = attempts > 0;
            if alone && !handed.is_empty() {
                break;
            }
            handed.push((key, mark.version, id, attempts));
            if alone {
                break;
            }
        }
        if handed.is_empty() {
            return Ok(End::Done);
        }
        let ids: Vec<Bytes> = handed.iter().map(|(_, _, id, _)| id.clone()).collect();
        // A panic over one id must not take the others with it, so it is an error as any other here.
        let handler = AssertUnwindSafe(dispatch.call(&drain.namespace, &drain.name, &drain.args, Input::Ids(ids)));
        let outcome = handler.catch_unwind().await.unwrap_or_else(|panic| Err(panicked(dispatch, &*panic)));
        let (again, error) = match outcome {
            Ok(Returned::Drained(again)) => (again, None),
            Ok(Returned::Value(_) | Returned::Step(_)) => {
                return Err(Error::bug(format!("`{}` returned no ids", drain.name)));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Transient | ErrorKind::Bug | ErrorKind::Rejected | ErrorKind::Gone
                ) && !error.is_conflict() =>
            {
                // Nothing that a failed handler wrote is kept.
                *dispatch.unit() = crate::unit_of_work::UnitOfWork::default();
                (handed.iter().map(|(_, _, id, _)| id.clone()).collect(), Some(error))
            }
            Err(error) => return Err(error),
        };
        let all = handed.len();
        let more = found > all;
        let mut unit = dispatch.unit();
        for (key, version, id, attempts) in handed {
            if !again.contains(&id) {
                unit.push(Write::DeleteStateVersion { connection, key, version });
                continue;
            }
            let attempts = attempts + 1;
            if attempts < drain.max_attempts {
                let mark = value::to_bytes(&attempts)
                    .map_err(|error| Error::bug("a mark cannot be stored").with_source(error))?;
                unit.put(key, Some(mark.into()));
                continue;
            }
            let shown = value::to_json(&id).map(|id| id.to_string()).unwrap_or_default();
            let message = match &error {
                Some(error) => format!("the id {shown} was dropped after {attempts} attempts: {error}"),
                None => format!("the id {shown} was dropped: `{}` wanted it again {attempts} times", drain.name),
            };
            tracing::error!(%connection, drain = %drain.name, "{message}");
            unit.push(Write::DeleteStateVersion { connection, key, version });
            unit.push(Write::PutDead(self.dead_id(dispatch, drain, id, message)?));
        }
        drop(unit);
        let pause = if error.is_some() || again.len() == all { self.backoff(1) } else { None };
        Ok(if more || !again.is_empty() { End::Again(pause) } else { End::Done })
    }

    /// The dead letter of an id that a drain dropped.
    fn dead_id(&self, dispatch: &Dispatch, drain: &DrainTask, id: Bytes, message: String) -> Result<DeadTask> {
        let drain = DrainTask { only: Some(id), ..drain.clone() };
        let id = TaskId::from_number(self.ports.engine.take_ids(1));
        let now = self.ports.clock.now();
        let attempt = drain.max_attempts;
        let errors = vec![TaskError { at: now, attempt, kind: ErrorKind::Bug, message }];
        let task = TaskPayload::Drain(drain).task(id, dispatch.connection_id())?;
        Ok(DeadTask { task: TaskRow { errors, attempt, ..task }, died_at: now })
    }

    /// The channels that the service has now (R3.3).
    pub(super) async fn list_channels(
        self: &Arc<Self>,
        dispatch: &Arc<Dispatch>,
    ) -> Result<Vec<crate::model::Channel>> {
        let account = dispatch.connection.row.account.clone();
        match self.call_hook(dispatch, HookCall::GetChannels { account }).await? {
            HookReply::Channels(channels) => {
                let declared = dispatch.connection.connector.declaration;
                if declared.channels.single && channels.len() != 1 {
                    return Err(Error::bug(format!(
                        "`{}` is declared with `single_channel`, and `get_channels` returned {} channels in place of one",
                        declared.id,
                        channels.len()
                    )));
                }
                Ok(channels)
            }
            _ => Ok(Vec::new()),
        }
    }

    pub(super) async fn call_hook(self: &Arc<Self>, dispatch: &Arc<Dispatch>, call: HookCall) -> Result<HookReply> {
        let connector = &dispatch.connection.connector;
        let (_, hook) = call.hook();
        let around = match &call {
            HookCall::Activate { .. } => Some((ToolHook::PreActivate, ToolHook::PostActivate)),
            HookCall::Upgrade { .. } => Some((ToolHook::PreUpgrade, ToolHook::PostUpgrade)),
            HookCall::Deactivate => Some((ToolHook::PreDeactivate, ToolHook::PostDeactivate)),
            _ => None,
        };
        if let Some((before, _)) = around {
            for tool in connector.tools() {
                (tool.hooks.run)(dispatch, before).await?;
            }
        }
        let reply = if connector.hooks.has(hook) {
            (connector.registration.run_hook)(dispatch, call).await?
        } else {
            HookReply::Done
        };
        if let Some((_, after)) = around {
            for tool in connector.tools.iter().rev() {
                (tool.hooks.run)(dispatch, after).await?;
            }
        }
        Ok(reply)
    }

    /// Calls a hook with what its task names, as it is now.
    async fn hook(self: &Arc<Self>, dispatch: &Arc<Dispatch>, hook: HookTask) -> Result<()> {
        let connection = &dispatch.connection;
        let actor = || connection.row.identity.clone().unwrap_or_else(|| acting(&connection.row.owner));
        let call = match hook {
            HookTask::Activate { authorization } => HookCall::Activate { authorization, actor: actor() },
            HookTask::Upgrade { from } => HookCall::Upgrade { from },
            HookTask::OptionsChanged { old, new } => HookCall::OptionsChanged {
                old: self.open_values(&old, &connection.connector)?,
                new: self.open_values(&new, &connection.connector)?,
            },
            HookTask::ChannelEnabled { channel, recovering } => {
                let Some(row) = connection.channels.get(&channel) else { return Ok(()) };
                self.begin_walk(dispatch, &channel, OWN_WALK).await?;
                let sync = SyncContext {
                    earliest: connection.row.history_days.and_then(|days| {
                        self.ports.clock.now().checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok()
                    }),
                    recovering,
                    observe_only: row.observe_only,
                };
                HookCall::ChannelEnabled { channel: row.channel.clone(), sync }
            }
            HookTask::ChannelDisabled { channel } => HookCall::ChannelDisabled { channel },
            HookTask::LinkUpdated { link, changes } => {
                let Some(found) = self.own_link(dispatch, link).await? else { return Ok(()) };
                self.call_hook(dispatch, HookCall::LinkUpdated { link: found, changes }).await?;
                dispatch.unit().records.push(RecordIntent::WrittenBack { link });
                return Ok(());
            }
            HookTask::CreateLink { link, draft } => {
                let reply = self.call_hook(dispatch, HookCall::CreateLink { draft }).await?;
                let created =
                    if let HookReply::Created(created) = reply { created.map(|created| *created) } else { None };
                dispatch.unit().records.extend(RecordIntent::composed(link, created));
                return Ok(());
            }
            HookTask::NoteCreated { note } | HookTask::NoteUpdated { note } => {
                let created = matches!(hook, HookTask::NoteCreated { .. });
                let Some((found, thread)) = self.own_note(dispatch, note).await? else { return Ok(()) };
                let sent = found.content.clone();
                let call = if created || found.key.is_none() {
                    HookCall::NoteCreated { note: found, thread }
                } else {
                    HookCall::NoteUpdated { note: found, thread }
                };
                if let HookReply::WriteBack(result) = self.call_hook(dispatch, call).await? {
                    dispatch.unit().records.push(RecordIntent::Delivered { note, sent, result: Box::new(result) });
                }
                return Ok(());
            }
            HookTask::ThreadRead { thread, unread } => {
                let Some(thread) = self.own_thread(dispatch, thread).await? else { return Ok(()) };
                HookCall::ThreadRead { thread, actor: actor(), unread }
            }
            HookTask::ThreadToDo { thread, todo, date } => {
                let Some(thread) = self.own_thread(dispatch, thread).await? else { return Ok(()) };
                HookCall::ThreadToDo { thread, actor: actor(), todo, date }
            }
            HookTask::ContactsChanged { link, changes } => {
                let Some(link) = self.own_link(dispatch, link).await? else { return Ok(()) };
                HookCall::ContactsChanged { thread: Thread::new(link.thread, vec![link]), changes }
            }
            HookTask::ScheduleContactUpdated { link, schedule, contact, attendance } => {
                let Some(link) = self.own_link(dispatch, link).await? else { return Ok(()) };
                let Some(schedule) = link.schedules.iter().find(|known| known.key == schedule).cloned() else {
                    return Ok(());
                };
                let thread = Thread::new(link.thread, vec![link]);
                HookCall::ScheduleContactUpdated { thread, schedule, contact, attendance, actor: actor() }
            }
            HookTask::NoteReactionChanged { note, emoji, added } => {
                let Some((note, thread)) = self.own_note(dispatch, note).await? else { return Ok(()) };
                HookCall::NoteReactionChanged { note, thread, actor: actor(), emoji, added }
            }
        };
        self.call_hook(dispatch, call).await.map(drop)
    }

    async fn own_link(&self, dispatch: &Dispatch, link: LinkId) -> Result<Option<Link>> {
        let row = self.ports.engine.link(link).await?;
        Ok(row.filter(|row| row.connection == dispatch.connection_id()).map(|row| row.link))
    }

    /// A thread as the connection sees it.
    async fn own_thread(&self, dispatch: &Dispatch, thread: ThreadId) -> Result<Option<Thread>> {
        let id = self.ports.engine.current_thread(thread).await?;
        let query = crate::engine::LinkQuery {
            connections: Some(vec![dispatch.connection_id()]),
            thread: Some(id),
            archived: true,
            limit: 1000,
            ..Default::default()
        };
        let mut links: Vec<_> = self.ports.engine.links(query).await?.into_iter().map(|row| row.link).collect();
        links.sort_by_key(|link| link.occurred_at);
        Ok((!links.is_empty()).then(|| Thread::new(id, links)))
    }

    async fn own_note(&self, dispatch: &Dispatch, note: NoteId) -> Result<Option<(Note, Thread)>> {
        let Some(row) = self.ports.engine.note(note).await?.filter(|row| row.connection == dispatch.connection_id())
        else {
            return Ok(None);
        };
        let thread = self.own_thread(dispatch, row.note.thread).await?;
        Ok(thread.map(|thread| (row.note, thread)))
    }

    /// A note that is being sent is marked so before it is, so that after a crash nobody believes that
    /// it was not (R9.4). False: it was being sent when the host stopped, and whether it arrived is unknown.
    async fn mark_sending(&self, payload: &TaskPayload, row: &TaskRow) -> Result<bool> {
        let (delivery, set): (_, Box<dyn Fn(Delivery) -> Write + Send>) = match payload {
            TaskPayload::Hook(HookTask::NoteCreated { note }) => {
                let Some(found) = self.ports.engine.note(*note).await? else { return Ok(true) };
                let expect = Some(found.version);
                (
                    found.note.delivery.clone(),
                    Box::new(move |delivery| {
                        let mut row = found.clone();
                        row.note.delivery = Some(delivery);
                        Write::PutNote { row: Box::new(row), expect }
                    }),
                )
            }
            TaskPayload::Hook(HookTask::CreateLink { link, .. }) => {
                let Some(found) = self.ports.engine.link(*link).await? else { return Ok(true) };
                let expect = Some(found.version);
                (
                    found.link.delivery.clone(),
                    Box::new(move |delivery| {
                        let mut row = found.clone();
                        row.link.delivery = Some(delivery);
                        Write::PutLink { row: Box::new(row), expect }
                    }),
                )
            }
            _ => return Ok(true),
        };
        let connection = Some(row.connection);
        match delivery {
            // A sync brought it between two attempts: the one that seemed to fail had arrived.
            Some(Delivery::Delivered) => {
                let completes = Some(Completion { task: row.id, revision: row.revision, then: After::Delete });
                return match self.store(WriteSet { connection, completes, ..WriteSet::default() }).await {
                    Ok(_) | Err(crate::engine::CommitError::TaskGone) => Ok(false),
                    Err(error) => Err(error.into()),
                };
            }
            Some(Delivery::Sending) => {
                let completes = Some(Completion { task: row.id, revision: row.revision, then: After::Delete });
                let mut writes = vec![set(Delivery::Unknown)];
                writes.extend(self.written_back_feed(payload, row));
                writes.extend(self.look_again(row));
                let set = WriteSet { connection, completes, writes, ..WriteSet::default() };
                return match self.store(set).await {
                    Ok(_) | Err(crate::engine::CommitError::TaskGone) => Ok(false),
                    Err(error) => Err(error.into()),
                };
            }
            _ => {}
        }
        let mut writes = vec![set(Delivery::Sending)];
        if let TaskPayload::Hook(HookTask::CreateLink { link, .. }) = payload {
            // Should the answer be lost, a sync that brings the item finds by this which one it is.
            let value = value::to_bytes(&true)
                .map_err(|error| Error::bug("the mark of a draft cannot be stored").with_source(error))?;
            writes.push(Write::PutState { connection: row.connection, key: draft_key(*link), value: value.into() });
        }
        match self.store(WriteSet { connection, ..WriteSet::of(writes) }).await {
            Ok(_) | Err(crate::engine::CommitError::RecordConflict) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// A task that was ready when the host stopped without notice may be what stopped it: it is counted
    /// before it runs, so that one that kills the host every time ends as a dead letter.
    async fn count_attempt(&self, row: &Arc<TaskRow>) -> Result<Arc<TaskRow>, Ran> {
        let attempt = row.attempt + 1;
        if attempt > self.config.max_attempts {
            let error = Error::bug(format!(
                "the host stopped without notice {} times while this was about to run",
                row.attempt
            ));
            return Err(self.die(row, &error).await);
        }
        let then = After::Retry { run_at: None, attempt, errors: row.errors.clone() };
        let completes = Some(Completion { task: row.id, revision: row.revision, then });
        let set = WriteSet { connection: Some(row.connection), completes, ..WriteSet::default() };
        match self.store(set).await {
            Ok(committed) => {
                let counted = committed.tasks.into_iter().find_map(|change| match change {
                    crate::engine::TaskChange::Waits(counted) if counted.id == row.id => Some(counted),
                    _ => None,
                });
                counted
                    .map(|mut counted| {
                        counted.attempt = row.attempt;
                        Arc::new(counted)
                    })
                    .ok_or(Ran::Finished)
            }
            Err(crate::engine::CommitError::TaskGone) => Err(Ran::Finished),
            Err(error) => {
                tracing::error!(task = %row.id, "the store failed: {error}");
                Err(Ran::PutBack(self.store_pause()))
            }
        }
    }

    async fn failed(&self, row: &TaskRow, payload: &TaskPayload, dispatch: &Dispatch, error: &Error) -> Ran {
        for _ in 0..super::MAX_RESOLUTIONS {
            match self.after_failure(row, payload, dispatch, error).await {
                // What shows the failure was changed by another: it is read again. The code does not
                // run again for it, as that could send something twice.
                Ok((then, writes)) => match self.end(row, then, writes).await {
                    Ran::PutBack(None) => {}
                    ran => return ran,
                },
                Err(error) => {
                    tracing::error!(task = %row.id, "the store failed: {error}");
                    return Ran::PutBack(self.store_pause());
                }
            }
        }
        Ran::PutBack(self.store_pause())
    }

    /// Makes a dead letter of a task whose code cannot even be found.
    async fn die(&self, row: &TaskRow, error: &Error) -> Ran {
        tracing::error!(task = %row.id, connection = %row.connection, "{error}");
        let then = self.dead(row, error);
        self.end(row, then, Vec::new()).await
    }

    async fn end(&self, row: &TaskRow, then: After, writes: Vec<Write>) -> Ran {
        let completes = Some(Completion { task: row.id, revision: row.revision, then });
        let set = WriteSet { connection: Some(row.connection), completes, expects: Vec::new(), writes };
        match self.store(set).await {
            Ok(_) | Err(crate::engine::CommitError::TaskGone) => Ran::Finished,
            Err(crate::engine::CommitError::RecordConflict | crate::engine::CommitError::StateConflict(_)) => {
                Ran::PutBack(None)
            }
            Err(error) => {
                tracing::error!(task = %row.id, "the store failed: {error}");
                Ran::PutBack(self.store_pause())
            }
        }
    }
}

/// Where the last look for changes is kept in the connection's state.
pub(crate) const LAST_SYNC_KEY: &str = "h/last_sync";

/// The arguments of declared work: its scope.
fn scope_args(channel: Option<&ChannelId>) -> Result<Vec<u8>> {
    #[derive(serde::Serialize)]
    struct Scope<'a> {
        channel: &'a ChannelId,
    }
    #[derive(serde::Serialize)]
    struct Connection {}
    match channel {
        Some(channel) => value::to_bytes(&Scope { channel }),
        None => value::to_bytes(&Connection {}),
    }
    .map_err(|error| Error::bug("the scope of declared work cannot be stored").with_source(error))
}

/// The error of code that panicked.
fn panicked(dispatch: &Dispatch, panic: &(dyn std::any::Any + Send)) -> Error {
    let said =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    Error::bug(format!("`{}` panicked: {}", dispatch.name, said.unwrap_or_default()))
}

/// The owner of a connection whose account at the service is not known.
pub(crate) fn acting(user: &crate::id::UserId) -> Actor {
    let mut actor = Actor::new(user.as_str());
    actor.user = Some(user.clone());
    actor
}
