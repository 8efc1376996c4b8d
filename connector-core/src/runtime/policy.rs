//! What the host does about each kind of error: one policy, in one place (R6.6).

use jiff::{SignedDuration, Timestamp};

use super::Shared;
use super::dispatching::forget_walk;
use super::payload::{HookTask, LookScope, TaskPayload, cursor_key, look_now, unsent_key, walked_key};
use super::unsent::UnsentChange;
use crate::context::Dispatch;
use crate::engine::{
    After, ConnectionRow, ConnectionStatus, FeedEntry, FeedKind, SyncState, TaskError, TaskRow, Write,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ConnectionId, LinkId, NoteId, TaskId};
use crate::model::Delivery;
use crate::records::OWN_WALK;
use crate::registry::RegisteredConnector;
use crate::value;
use crate::work::Work;

/// The first retry comes after about this long.
const BACKOFF_BASE: SignedDuration = SignedDuration::from_secs(2);

/// And no retry later than this after the last.
pub(super) const BACKOFF_CAP: SignedDuration = SignedDuration::from_hours(1);

/// How often the service is told to stop pushing to a connection that is disconnected: for about three days.
const DISCONNECT_ATTEMPTS: u32 = 80;

/// Errors that are kept of one task.
const MAX_ERRORS: usize = 20;

/// About how long after this many attempts the next one comes.
pub(super) fn backoff_step(attempts: u32) -> SignedDuration {
    BACKOFF_BASE.saturating_mul(1_i32 << attempts.saturating_sub(1).min(12)).min(BACKOFF_CAP)
}

impl Shared {
    /// When to try again after this many attempts: exponential, between a half and the whole of the
    /// step at random, so that many that failed together do not come back together.
    pub(super) fn backoff(&self, attempts: u32) -> Option<Timestamp> {
        let step = backoff_step(attempts);
        let [random, ..] = self.ports.vault.random();
        let jitter = step.as_millis() / 2 * i128::from(random) / 255;
        let wait = SignedDuration::from_millis(i64::try_from(step.as_millis() / 2 + jitter).unwrap_or(i64::MAX));
        self.ports.clock.now().checked_add(wait).ok()
    }

    /// The history of a task's errors, with this one.
    fn errors(&self, row: &TaskRow, error: &Error) -> Vec<TaskError> {
        let mut errors = row.errors.clone();
        errors.push(TaskError {
            at: self.ports.clock.now(),
            attempt: row.attempt + 1,
            kind: error.kind().clone(),
            message: error.to_string(),
        });
        let surplus = errors.len().saturating_sub(MAX_ERRORS);
        errors.drain(..surplus);
        errors
    }

    /// A task that is given up; one that recurs goes on at its next time.
    pub(super) fn dead(&self, row: &TaskRow, error: &Error) -> After {
        let again = self.goes_on(row).map(|at| (at, TaskId::from_number(self.ports.engine.take_ids(1))));
        After::Dead { attempt: row.attempt + 1, errors: self.errors(row, error), at: self.ports.clock.now(), again }
    }

    /// When a task runs again that does so whatever happens to one run: recurring ones and declared work.
    fn goes_on(&self, row: &TaskRow) -> Option<Timestamp> {
        if row.every_ms.is_some() {
            return self.next_interval(row);
        }
        is_declared(row).then(|| self.ports.clock.now().checked_add(BACKOFF_CAP).ok()).flatten()
    }

    fn retry(&self, row: &TaskRow, error: &Error, limit: u32, interval: Option<SignedDuration>) -> After {
        let attempt = row.attempt + 1;
        if attempt >= limit {
            return self.dead(row, error);
        }
        // What runs by the clock is not tried later than it would run anyway.
        let next = interval.and_then(|interval| self.ports.clock.now().checked_add(interval).ok());
        let run_at = self.backoff(attempt).into_iter().chain(next).min();
        After::Retry { run_at, attempt, errors: self.errors(row, error) }
    }

    /// What becomes of a task that failed, and what else that changes.
    pub(super) async fn after_failure(
        &self,
        row: &TaskRow,
        payload: &TaskPayload,
        dispatch: &Dispatch,
        error: &Error,
    ) -> Result<(After, Vec<Write>)> {
        let mut writes = Vec::new();
        let mut lost = self.may_have_arrived(payload, dispatch, error);
        let interval = interval_of(&dispatch.connection.connector, row, payload);
        if let TaskPayload::Sync { name, channel } = payload
            && error.is_endless()
        {
            writes.extend(self.give_up_walk(row.connection, name, channel.as_ref()).await?);
        }
        let mut then = match error.kind() {
            _ if lost => After::Delete,
            ErrorKind::Transient if matches!(payload, TaskPayload::Disconnect) => {
                self.retry(row, error, DISCONNECT_ATTEMPTS, interval)
            }
            ErrorKind::Transient => self.retry(row, error, self.config.max_attempts, interval),
            ErrorKind::Bug => self.retry(row, error, self.config.max_bug_attempts, interval),
            ErrorKind::RateLimited { until } => {
                // To leave a quota to others is no failure.
                let errors = if error.is_paced() { row.errors.clone() } else { self.errors(row, error) };
                After::Retry { run_at: Some(*until), attempt: row.attempt, errors }
            }
            ErrorKind::NeedsReauth if self.has_another_token(row, dispatch).await => {
                After::Retry { run_at: None, attempt: row.attempt, errors: self.errors(row, error) }
            }
            ErrorKind::NeedsReauth => {
                writes.extend(self.needs_reauth(dispatch, error).await?);
                After::Retry { run_at: None, attempt: row.attempt, errors: self.errors(row, error) }
            }
            ErrorKind::ScopeMissing { .. } => self.dead(row, error),
            // The list that a sync walks is gone: people have to see that.
            ErrorKind::Gone if matches!(payload, TaskPayload::Sync { .. }) => self.dead(row, error),
            ErrorKind::Gone => self.goes_on(row).map_or(After::Delete, |at| After::Again { run_at: Some(at) }),
            // Its user sees it, and decides.
            ErrorKind::Rejected if shown_on(payload).is_some() => After::Delete,
            ErrorKind::Rejected => self.dead(row, error),
            ErrorKind::CursorExpired => match payload {
                TaskPayload::Sync { name, channel } => {
                    writes.push(Write::DeleteState {
                        connection: row.connection,
                        key: cursor_key(name, channel.as_ref()),
                    });
                    writes.extend(forget_walk(row.connection, name, channel.as_ref()));
                    if let Some(channel) = channel {
                        self.change_channel(dispatch, channel, |row| {
                            row.recovering = true;
                            row.sync.state = SyncState::Syncing;
                            if !row.walking.iter().any(|walking| walking == name.as_ref()) {
                                row.walking.push(name.to_string());
                            }
                        })
                        .await?;
                    } else {
                        let value = value::to_bytes(&false)
                            .map_err(|error| Error::bug("the walk cannot be stored").with_source(error))?;
                        writes.push(Write::PutState {
                            connection: row.connection,
                            key: walked_key(name),
                            value: value.into(),
                        });
                    }
                    After::Again { run_at: None }
                }
                _ => self.retry(row, error, self.config.max_bug_attempts, interval),
            },
        };
        let ended = matches!(then, After::Delete | After::Dead { .. });
        // What it created is at the service, whatever went wrong behind that (L40): it is shown as of unknown delivery
        // when nothing is tried any more, and as being sent until then.
        let sent = payload.creates().is_some() && dispatch.wrote.load(std::sync::atomic::Ordering::Relaxed);
        if sent && ended {
            (then, lost) = (After::Delete, true);
        }
        // Other declared work goes on, and shows what it did not find.
        let shown = ended || (matches!(error.kind(), ErrorKind::Gone) && is_declared(row));
        let restarts = u32::from(matches!(error.kind(), ErrorKind::CursorExpired) && !ended);
        if shown || restarts > 0 {
            let last = self.errors(row, error).pop().filter(|_| shown);
            let log = self.logged(&dispatch.connection.connector, row, payload, |log| {
                log.midway = (log.midway || restarts > 0) && !error.is_endless();
                log.restarts += restarts;
                if shown {
                    log.last_end = log.last_run;
                    log.error = last;
                }
            });
            let log = log.await?;
            writes.extend(log.map(|(key, value)| Write::PutState { connection: row.connection, key, value }));
        }
        if !sent || ended {
            writes.extend(self.show_failure(payload, dispatch, error, lost, ended).await?);
        }
        if lost {
            writes.extend(self.look_again(row));
        }
        Ok((then, writes))
    }

    /// A request that creates something got no answer, or none that can be read: whether it did, only the
    /// service knows.
    fn may_have_arrived(&self, payload: &TaskPayload, dispatch: &Dispatch, error: &Error) -> bool {
        payload.creates().is_some()
            && matches!(error.kind(), ErrorKind::Transient | ErrorKind::Bug)
            && dispatch.unanswered.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Lets the declared syncs of the task's channel look now whether what is unknown has arrived.
    pub(super) fn look_again(&self, row: &TaskRow) -> impl Iterator<Item = Write> + use<> {
        let channel = row.channel.as_ref();
        channel.map(|channel| look_now(row.connection, LookScope::Channel(channel))).into_iter().flatten()
    }

    /// A token that the service refused may have another in its place; that is tried once.
    async fn has_another_token(&self, row: &TaskRow, dispatch: &Dispatch) -> bool {
        if row.errors.last().is_some_and(|last| last.kind == ErrorKind::NeedsReauth) {
            return false;
        }
        let given = dispatch.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let Some(given) = given else { return false };
        match self.ports.credentials.replace(&dispatch.connection.row, &given).await {
            Ok(another) => another.is_some(),
            // Whether the account is lost cannot be known now; the next attempt finds out.
            Err(error) => !matches!(error.kind(), ErrorKind::NeedsReauth),
        }
    }

    async fn needs_reauth(&self, dispatch: &Dispatch, error: &Error) -> Result<Vec<Write>> {
        let id = dispatch.connection_id();
        let Some(row) = self.ports.engine.connection(id).await? else { return Ok(Vec::new()) };
        if row.status != ConnectionStatus::Active {
            return Ok(Vec::new());
        }
        let row_now = ConnectionRow {
            status: ConnectionStatus::NeedsReauth,
            status_reason: Some(error.to_string()),
            ..ConnectionRow::clone(&row)
        };
        Ok(vec![
            Write::PutConnection { row: Box::new(row_now), expect: Some(row.version) },
            Write::Feed(FeedEntry::new(FeedKind::Connection, id, id)),
        ])
    }

    /// Shows a failure where its user sees it: on the note or link, or on the channel (R9.4, L1).
    async fn show_failure(
        &self,
        payload: &TaskPayload,
        dispatch: &Dispatch,
        error: &Error,
        lost: bool,
        ended: bool,
    ) -> Result<Vec<Write>> {
        let connection = dispatch.connection_id();
        let delivery = if lost {
            Delivery::Unknown
        } else if ended {
            Delivery::Failed { reason: error.to_string() }
        } else {
            Delivery::Pending
        };
        if let Some(shown) = shown_on(payload) {
            return self.show_delivery(payload, connection, shown, delivery).await;
        }
        match payload {
            TaskPayload::Sync { channel: Some(channel), .. }
            | TaskPayload::Hook(HookTask::ChannelEnabled { channel, .. }) => {
                let name = if let TaskPayload::Sync { name, .. } = payload { name.as_ref() } else { OWN_WALK };
                let state = match error.kind() {
                    ErrorKind::RateLimited { .. } if error.is_paced() => None,
                    ErrorKind::RateLimited { .. } => Some(SyncState::Throttled),
                    ErrorKind::CursorExpired => None,
                    _ if ended => Some(SyncState::Failed),
                    _ => None,
                };
                if let Some(state) = state {
                    let message = error.to_string();
                    self.change_channel(dispatch, channel, |row| {
                        row.sync.state = state;
                        row.sync.error = Some(message.clone());
                        if !row.sync.failing.iter().any(|failing| failing == name) {
                            row.sync.failing.push(name.to_owned());
                        }
                    })
                    .await?;
                }
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Shows whether what a user did has reached the service, and keeps what they may want to send again.
    async fn show_delivery(
        &self,
        payload: &TaskPayload,
        connection: ConnectionId,
        shown: Shown,
        delivery: Delivery,
    ) -> Result<Vec<Write>> {
        let engine = &self.ports.engine;
        let failed = matches!(delivery, Delivery::Failed { .. });
        let link = match shown {
            Shown::Note(note) => {
                let Some(mut row) = engine.note(note).await? else { return Ok(Vec::new()) };
                let expect = Some(row.version);
                row.note.delivery = Some(delivery);
                let feed = Write::Feed(FeedEntry::new(FeedKind::Note, connection, note));
                return Ok(vec![Write::PutNote { row: Box::new(row), expect }, feed]);
            }
            Shown::Link(link) => link,
            Shown::LinkOf(note) => match engine.note(note).await?.filter(|_| failed) {
                Some(row) => row.note.link,
                None => return Ok(Vec::new()),
            },
        };
        let Some(mut row) = engine.link(link).await? else { return Ok(Vec::new()) };
        let mut writes = Vec::new();
        match payload {
            // A sync brought it while it was sent: it did arrive.
            TaskPayload::Hook(HookTask::CreateLink { .. }) if row.link.delivery == Some(Delivery::Delivered) => {
                return Ok(Vec::new());
            }
            TaskPayload::Hook(HookTask::CreateLink { .. }) => {}
            TaskPayload::Hook(task) => {
                if let Delivery::Failed { reason } = &delivery {
                    let key = unsent_key(link);
                    let mut all = UnsentChange::all_of(&**engine, connection, link).await?;
                    UnsentChange::add(&mut all, UnsentChange { task: task.clone(), reason: reason.clone() });
                    writes.push(Write::PutState { connection, key, value: UnsentChange::encode(&all)? });
                }
            }
            _ => {}
        }
        let expect = Some(row.version);
        row.link.delivery = Some(delivery);
        writes.push(Write::PutLink { row: Box::new(row), expect });
        writes.push(Write::Feed(FeedEntry::new(FeedKind::Link, connection, link)));
        Ok(writes)
    }

    /// Tells the feed that what a task writes back has another state.
    pub(super) fn written_back_feed(&self, payload: &TaskPayload, row: &TaskRow) -> Option<Write> {
        let entry = match payload {
            TaskPayload::Hook(HookTask::NoteCreated { note } | HookTask::NoteUpdated { note }) => {
                FeedEntry::new(FeedKind::Note, row.connection, note)
            }
            TaskPayload::Hook(HookTask::CreateLink { link, .. }) => {
                FeedEntry::new(FeedKind::Link, row.connection, link)
            }
            _ => return None,
        };
        Some(Write::Feed(entry))
    }
}

/// Where a user sees what became of something that they did.
enum Shown {
    Note(NoteId),
    Link(LinkId),
    /// On the link of this note, and only that it failed: the note itself is at the service.
    LinkOf(NoteId),
}

/// Where its user sees that a task was not done; none for those that only an operator sees.
fn shown_on(payload: &TaskPayload) -> Option<Shown> {
    let TaskPayload::Hook(hook) = payload else { return None };
    match hook {
        HookTask::NoteCreated { note } | HookTask::NoteUpdated { note } => Some(Shown::Note(*note)),
        HookTask::NoteReactionChanged { note, .. } => Some(Shown::LinkOf(*note)),
        HookTask::CreateLink { link, .. }
        | HookTask::LinkUpdated { link, .. }
        | HookTask::ContactsChanged { link, .. }
        | HookTask::ScheduleContactUpdated { link, .. }
        | HookTask::ActionPressed { link, .. } => Some(Shown::Link(*link)),
        _ => None,
    }
}

/// Whether a task runs declared work.
fn is_declared(row: &TaskRow) -> bool {
    row.key.as_ref().is_some_and(|key| key.starts_with("w/"))
}

/// How often a task runs by the clock, if it does.
fn interval_of(connector: &RegisteredConnector, row: &TaskRow, payload: &TaskPayload) -> Option<SignedDuration> {
    if let Some(every) = row.every_ms {
        return Some(SignedDuration::from_millis(every));
    }
    let TaskPayload::Sync { name, .. } = payload else { return None };
    match connector.work_named(name)?.work {
        Work::Sync { every } => SignedDuration::try_from(every).ok(),
        _ => None,
    }
}
