//! One run of one task: what it needs, the call, and what comes of it.

mod drains;
mod hooks;
mod sharing;
mod syncs;
mod upgrades;
mod walks;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use metrics::Label;
use tracing::Instrument;

pub(crate) use self::hooks::acting;
pub(crate) use self::sharing::recovery;
pub(super) use self::walks::forget_walk;
use super::connections::Unavailable;
use super::payload::{HookTask, Mark, TaskPayload, drain_mark_prefix, walked_key};
use super::scheduler::Entry;
use super::{ActiveConnection, DispatchOf, Shared};
use crate::context::{Dispatch, Mode};
use crate::dispatch::Input;
use crate::engine::{
    After, CommitError, Committed, Completion, ConnectionStatus, TaskChange, TaskError, TaskPriority, TaskRow, Write,
    WriteSet,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, ConnectionId, DeliveryId, TaskId};
use crate::network::{KeptFor, PutOff};
use crate::records::{OWN_WALK, RecordIntent};
use crate::value;

/// How often a dispatch is run again at once because another was faster.
const MAX_CONFLICTS: u32 = 5;

/// How long the queue waits after the store has failed.
const STORE_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// What is noted of a task before it runs with caution.
const STOPPED: &str = "the host stopped without notice while this ran";

/// What becomes of a task whose code succeeded.
pub(super) enum End {
    /// It is done, or runs again at its interval.
    Done,
    /// It is in the middle of something, and goes on then; none for at once.
    Again(Option<Timestamp>),
    /// It is done for now, and begins again then.
    Next(Timestamp),
    /// It is done, and begins again at once: changes may have been missed.
    Anew,
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
        self.ran(id, connection, &ran);
        // Whoever made the connection active meanwhile found nothing parked.
        if matches!(ran, Ran::Parked) && self.is_active(connection).await {
            self.unpark(connection);
        }
    }

    /// Tells the scheduler what became of a task that it gave out.
    fn ran(&self, id: TaskId, connection: ConnectionId, ran: &Ran) {
        let now = self.ports.clock.now();
        let mut scheduler = self.scheduler();
        let before = scheduler.next_timer();
        match ran {
            Ran::Finished => scheduler.finish(id, now),
            Ran::PutBack(until) => scheduler.put_back(id, *until, now),
            Ran::Parked => {
                scheduler.set_parked(connection, true);
                scheduler.put_back(id, None, now);
            }
        }
        // Who ran it looks for the next that is ready; its own next run may be the first timer.
        if scheduler.next_timer() != before {
            self.follower.timer.notify_one();
        }
    }

    async fn is_active(&self, id: ConnectionId) -> bool {
        let works = |connection: Arc<ActiveConnection>| {
            connection.row.status == ConnectionStatus::Active && !connection.needs_attention()
        };
        self.active(id).await.is_ok_and(works)
    }

    /// Goes on with the tasks of a connection.
    pub(super) fn unpark(&self, id: ConnectionId) {
        self.scheduler().set_parked(id, false);
        self.follower.ready.notify_one();
    }

    /// The code of a task has ended, and it waits for the store: the code of another can run. Or it runs again.
    fn set_commits(&self, id: TaskId, now: bool) {
        if self.scheduler().set_commits(id, now) {
            self.follower.ready.notify_one();
        }
    }

    pub(super) fn store_pause(&self) -> Option<Timestamp> {
        self.ports.clock.now().checked_add(STORE_PAUSE).ok()
    }

    /// What the answers of a task's run are kept under.
    fn put_off_of(row: &TaskRow) -> PutOff {
        PutOff::Task(row.id, row.key.as_ref().map(|_| row.revision))
    }

    async fn run_task(self: &Arc<Self>, entry: Entry, cautious: bool) -> Ran {
        let row = match entry.row {
            Some(row) => row,
            None => match self.ports.engine.tasks_by_id(vec![entry.id]).await {
                Ok(mut rows) => match rows.pop().flatten() {
                    // Another revision was committed since, of which the commit tells the queue.
                    Some(row) if row.revision != entry.revision => return Ran::Finished,
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
        let status = connection.row.status;
        if !matches!(status, ConnectionStatus::Active | ConnectionStatus::Disabled) {
            return Ran::Parked;
        }
        let payload: TaskPayload = match value::from_bytes(&row.payload) {
            Ok(payload) => payload,
            Err(error) => {
                let error = Error::bug("the task is of a kind that this version does not know").with_source(error);
                return self.die(&row, &error).await;
            }
        };
        if status == ConnectionStatus::Active && connection.needs_attention() {
            return Ran::Parked;
        }
        // One that is disconnected has nothing but its end to run, and that whatever it has used.
        if (status == ConnectionStatus::Disabled) != matches!(payload, TaskPayload::Disconnect) {
            return Ran::Parked;
        }
        match self.spend(row.connection, 1, 0).await {
            Ok(true) => {}
            Ok(false) => return Ran::Parked,
            Err(error) => {
                tracing::error!(task = %row.id, "the store failed: {error}");
                return Ran::PutBack(self.store_pause());
            }
        }
        let row = if cautious {
            match self.suspect(&row).await {
                Ok(row) => row,
                Err(ran) => return ran,
            }
        } else {
            row
        };
        match self.begin_sending(&payload, &row).await {
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
            let mode = match self.mode_of(&connection, payload, row).await {
                Ok(mode) => mode,
                Err(error) => {
                    tracing::error!(task = %row.id, "the store failed: {error}");
                    return Ran::PutBack(self.store_pause());
                }
            };
            let dispatch = DispatchOf {
                mode,
                lane: match (row.priority, mode) {
                    (TaskPriority::User, _) => TaskPriority::User,
                    (_, Mode::Backfill | Mode::Recovery) => TaskPriority::Backfill,
                    (priority, Mode::Live) => priority.min(TaskPriority::Incremental),
                },
                task: Some(row.id),
                run: row.key.as_ref().map(|_| row.revision),
                nonce: row.nonce,
                attempt: row.attempt + 1,
                name: payload.title(),
                may_call_out: payload.may_call_out(),
                creates: payload.creates(),
                connection: Arc::clone(&connection),
            }
            .begin(self);
            let outcome = match self.guarded(&dispatch, self.perform(&dispatch, payload)).await {
                Ok(end) => {
                    self.set_commits(row.id, true);
                    self.complete(&dispatch, row, payload, end).await.map_err(|error| (error, true))
                }
                Err(error) => Err((error, false)),
            };
            if outcome.as_ref().is_err_and(|(error, _)| !matches!(error.kind(), ErrorKind::RateLimited { .. })) {
                self.keep_writes(&dispatch);
            }
            let (name, connector) = (&dispatch.name, connection.connector.declaration.id);
            let requests = dispatch.requests.load(Ordering::Relaxed);
            if let Err(error) = self.spend(row.connection, 0, requests).await {
                tracing::error!(connector, connection = %row.connection, "what it used cannot be counted: {error}");
            }
            match outcome {
                Ok(_) => {
                    tracing::debug!(connector, connection = %row.connection, task = %row.id, dispatch = name, attempt = row.attempt + 1, elapsed = %self.ports.clock.now().duration_since(started), "done");
                    return Ran::Finished;
                }
                Err((error, _)) if error.is_conflict() && conflict < MAX_CONFLICTS => {
                    tracing::debug!(connector, connection = %row.connection, task = %row.id, dispatch = name, "runs again: {error}");
                    self.set_commits(row.id, false);
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
                Err((error, _)) if error.is_paced() => {
                    tracing::debug!(connector, connection = %row.connection, task = %row.id, dispatch = name, "waits: {error}");
                    return self.failed(row, payload, &dispatch, &error).await;
                }
                Err((error, _)) => {
                    tracing::warn!(connector, connection = %row.connection, task = %row.id, dispatch = name, attempt = row.attempt + 1, kind = error.kind().as_str(), "failed: {error}");
                    return self.failed(row, payload, &dispatch, &error).await;
                }
            }
        }
        Ran::PutBack(None)
    }

    /// Stores what a dispatch did, with the end of its task.
    async fn complete(
        &self,
        dispatch: &Arc<Dispatch>,
        row: &TaskRow,
        payload: &TaskPayload,
        end: End,
    ) -> Result<Committed> {
        let (midway, saved) = (matches!(end, End::Again(_)), dispatch.unit().saved);
        let log = self.logged(&dispatch.connection.connector, row, payload, |log| {
            (log.midway, log.error) = (midway, None);
            log.saved += saved;
            log.leave_out(&dispatch.unit().met);
            if !midway {
                log.last_end = log.last_run;
            }
        });
        if let Some((key, value)) = log.await? {
            dispatch.unit().put(key, Some(value));
        }
        let completion = Completion { task: row.id, revision: row.revision, then: self.after(row, end) };
        self.commit(dispatch, Some(completion)).await
    }

    /// Runs code of a connector: a panic or too long a run fails it, and nothing else (R7.2). It has a
    /// span, and its outcome and duration are metrics (R7.3).
    pub(super) async fn guarded<T>(&self, dispatch: &Dispatch, code: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.config.max_time;
        let connector = dispatch.connection.connector.declaration.id;
        let span = tracing::info_span!(
            "dispatch",
            connector,
            connection = %dispatch.connection_id(),
            name = dispatch.name,
            task = dispatch.task.map(tracing::field::display),
            attempt = dispatch.attempt,
        );
        let started = self.ports.clock.now();
        let mut code = pin!(Some(AssertUnwindSafe(code).catch_unwind()));
        let mut timer = None;
        let outcome = poll_fn(|cx| {
            if let Some(running) = code.as_mut().as_pin_mut()
                && let Poll::Ready(outcome) = running.poll(cx)
            {
                return Poll::Ready(outcome.unwrap_or_else(|panic| Err(panicked(dispatch, &*panic))));
            }
            // Most code is done at its first poll, and needs no timer.
            let timer = timer.get_or_insert_with(|| {
                let clock = &self.ports.clock;
                let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
                clock.sleep_until(clock.now().checked_add(limit).unwrap_or(Timestamp::MAX))
            });
            while timer.as_mut().poll(cx).is_ready() {
                // What it waits for a quota is none of its time.
                let waited = Duration::from_millis(dispatch.waited_ms.load(Ordering::Relaxed));
                let ends = started.checked_add(limit.saturating_add(waited)).unwrap_or(Timestamp::MAX);
                if self.ports.clock.now() >= ends {
                    return Poll::Ready(Err(Error::transient(format!(
                        "`{}` took more than {} s: take smaller steps, with a task or sync step for each",
                        dispatch.name,
                        limit.as_secs()
                    ))));
                }
                *timer = self.ports.clock.sleep_until(ends);
            }
            Poll::Pending
        })
        .instrument(span)
        .await;
        // What it holds goes now. That may panic as well, and is the connector's too.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| code.set(None))) {
            tracing::error!(connector, dispatch = dispatch.name, "{}", panicked(dispatch, &*panic));
        }
        if let Err(error) = &outcome
            && let ErrorKind::RateLimited { until } = error.kind()
        {
            self.keep_answers(dispatch, *until);
        }
        let result = outcome.as_ref().err().map_or("ok", |error| error.kind().as_str());
        let elapsed = self.ports.clock.now().duration_since(started);
        let mut labels =
            vec![Label::from_static_parts("connector", connector), Label::new("callback", dispatch.name.clone())];
        metrics::histogram!("connectors_dispatch_seconds", labels.clone()).record(elapsed.as_secs_f64());
        labels.push(Label::from_static_parts("outcome", result));
        metrics::counter!("connectors_dispatches_total", labels).increment(1);
        outcome
    }

    /// Keeps what a dispatch was answered, as it is put off until then and goes on where it was.
    pub(super) fn keep_answers(&self, dispatch: &Dispatch, until: Timestamp) {
        self.keep(dispatch, KeptFor::Quota, until);
    }

    /// Keeps the answers to requests that may not be repeated, as the dispatch has failed and may run again (L40).
    fn keep_writes(&self, dispatch: &Dispatch) {
        if dispatch.answers().has_writes() {
            let until = self.ports.clock.now().checked_add(super::policy::BACKOFF_CAP).unwrap_or(Timestamp::MAX);
            self.keep(dispatch, KeptFor::Failure, until);
        }
    }

    fn keep(&self, dispatch: &Dispatch, ended: KeptFor, until: Timestamp) {
        if let Some(put_off) = dispatch.put_off() {
            let mut answers = dispatch.answers();
            dispatch.wrote.fetch_or(answers.has_writes(), Ordering::Relaxed);
            let answers = std::mem::take(&mut *answers);
            self.kept.keep(put_off, answers, ended, until, self.ports.clock.now());
        }
    }

    /// What becomes of a task whose code succeeded.
    fn after(&self, row: &TaskRow, end: End) -> After {
        match (end, row.every_ms) {
            (End::Again(run_at), _) => After::Again { run_at },
            (End::Next(at), _) => After::Again { run_at: Some(at) },
            (End::Anew, _) => After::Again { run_at: None },
            (End::Done, Some(_)) => After::Again { run_at: self.next_interval(row) },
            (End::Done, None) => After::Delete,
        }
    }

    /// The next run of a recurring task: an interval after the last one was due, or now if that is past.
    pub(super) fn next_interval(&self, row: &TaskRow) -> Option<Timestamp> {
        let every = SignedDuration::from_millis(row.every_ms?);
        let now = self.ports.clock.now();
        let due = row.run_at.unwrap_or(now).checked_add(every).ok()?;
        let next = now.checked_add(every).ok()?;
        // One that is late by whole intervals does not run once for each of them, and a clock that was set back
        // does not make the next one late.
        Some(if due <= now { next } else { due.min(next) })
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
            TaskPayload::Drain(drain) if drain.only.is_some() => return Ok(drain.mode),
            TaskPayload::Drain(drain) => {
                let marks = self.ports.engine.state_entries(row.connection, drain_mark_prefix(&drain.key), 1).await?;
                return Ok(marks.first().map(|(_, stored)| Mark::decode(&stored.value).mode).unwrap_or_default());
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
                let Some(declared) = dispatch.connection.connector.work_named(name) else {
                    return Err(Error::bug(format!("`{name}` is not declared any more")));
                };
                dispatch.call(declared.namespace, declared.entry.name, &args, Input::Typed(Box::new(()))).await?;
                Ok(End::Done)
            }
            TaskPayload::Subscription { name, channel } => self.reconcile(dispatch, name, channel.as_ref()).await,
            TaskPayload::Delivery { delivery, .. } => {
                self.hand_over(dispatch, DeliveryId::from_number(*delivery)).await.map(|()| End::Done)
            }
            TaskPayload::Drain(drain) => self.drain_pass(dispatch, drain).await,
            TaskPayload::RefreshChannels => {
                let channels = self.list_channels(dispatch).await?;
                dispatch.unit().records.push(RecordIntent::Channels(channels));
                Ok(End::Done)
            }
            TaskPayload::Redeclare => self.redeclare(dispatch).await.map(|()| End::Done),
            TaskPayload::ShareCredential => self.share_credential(dispatch).await.map(|()| End::Done),
            TaskPayload::Disconnect => self.end_disconnected(dispatch).await.map(|()| End::Done),
        }
    }

    /// A task that was ready when the host stopped without notice may be what stopped it: before it runs,
    /// that is noted, and the note goes when the run has ended, well or not. One that was about to run at
    /// several such stops in a row is put off longer each time, and in the end is a dead letter: by then,
    /// nothing else can have been to blame.
    async fn suspect(&self, row: &Arc<TaskRow>) -> Result<Arc<TaskRow>, Ran> {
        let now = self.ports.clock.now();
        let stops = row.errors.iter().rev().take_while(|error| error.message == STOPPED).count();
        let stops = u32::try_from(stops).unwrap_or(u32::MAX);
        if stops >= self.config.max_attempts {
            let error = Error::bug(format!("the host stopped without notice {stops} times while this ran"));
            return Err(self.die(row, &error).await);
        }
        if let Some(last) = row.errors.last().filter(|_| stops > 1) {
            let until = last.at.checked_add(super::policy::backoff_step(stops)).unwrap_or(Timestamp::MAX);
            if until > now {
                return Err(Ran::PutBack(Some(until)));
            }
        }
        let mut errors = row.errors.clone();
        let attempt = row.attempt + 1;
        errors.push(TaskError { at: now, attempt, kind: ErrorKind::Transient, message: STOPPED.to_owned() });
        let then = After::Retry { run_at: None, attempt: row.attempt, errors };
        let completes = Some(Completion { task: row.id, revision: row.revision, then });
        let set = WriteSet { connection: Some(row.connection), completes, ..WriteSet::default() };
        match self.ports.engine.commit(set).await {
            Ok(committed) => {
                let noted = committed.tasks.into_iter().find_map(|change| match change {
                    TaskChange::Waits(noted) if noted.id == row.id => Some(noted),
                    _ => None,
                });
                let noted = noted.map(|noted| Arc::new(TaskRow { errors: row.errors.clone(), ..noted }));
                noted.ok_or(Ran::Finished)
            }
            Err(CommitError::TaskGone) => Err(Ran::Finished),
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
        match self.ports.engine.commit(set).await {
            Ok(_) | Err(CommitError::TaskGone) => Ran::Finished,
            Err(CommitError::RecordConflict | CommitError::StateConflict(_) | CommitError::Taken { .. }) => {
                Ran::PutBack(None)
            }
            Err(error) => {
                tracing::error!(task = %row.id, "the store failed: {error}");
                Ran::PutBack(self.store_pause())
            }
        }
    }
}

/// The arguments of declared work: its scope.
pub(super) fn scope_args(channel: Option<&ChannelId>) -> Result<Vec<u8>> {
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
