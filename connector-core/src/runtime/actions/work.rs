//! The declared work of a connection, as people see it (R11).

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::ActionError;
use crate::engine::{ConnectionStatus, LastSync, TaskError, TaskRow};
use crate::error::ErrorKind;
use crate::id::{ChannelId, ConnectionId, TaskId};
use crate::registry::DeclaredWork;
use crate::runtime::Runtime;
use crate::runtime::payload::{declared_drain_key, drain_mark_prefix, drain_task_key, work_task_key};
use crate::runtime::work_log::{WorkLog, log_key};
use crate::walk::LeftOut;
use crate::work::Work;

/// Marks that are counted at most.
const MAX_MARKS: usize = 10_000;

/// The look for changes that is under way, if one is.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Looking {
    /// Pieces of declared work that are due, run, or are tried again after an error.
    pub pending: usize,
    /// The last error of one of them that is tried again, and when that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrying: Option<Retrying>,
}

/// A piece of work that failed and is tried again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Retrying {
    /// When; none for at once.
    pub run_at: Option<Timestamp>,
    /// What went wrong.
    pub error: TaskError,
}

/// A piece of declared work in one scope: of the connection, or of one of its enabled channels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct WorkView {
    /// Its callback; of one of a tool, with the tool before it: `contacts.people`.
    pub name: String,
    /// `sync`, `every` or `drain`.
    pub kind: &'static str,
    /// Its channel; none for the whole connection.
    pub channel: Option<ChannelId>,
    /// Where it is.
    pub state: WorkState,
    /// When its last run ended.
    pub last_run: Option<Timestamp>,
    /// When its last walk or pass ended, or was given up; a run in the middle of one does not count.
    pub last_end: Option<Timestamp>,
    /// When it runs next; none for as soon as possible, or for when there is something to do.
    pub next_run: Option<Timestamp>,
    /// Seconds from one run to the next, if it runs by the clock.
    pub interval: Option<u64>,
    /// Items that it has handed over to be saved.
    pub saved: u64,
    /// Number of items that it has left out since its last walk over everything began: they could not be read, or not be
    /// saved.
    pub left_out: u64,
    /// The last of them, newest last: which, and what is wrong with them.
    pub last_left_out: Vec<LeftOut>,
    /// How often it began anew because the service did not know its cursor any more.
    pub restarts: u32,
    /// Ids that are marked dirty and wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marked: Option<usize>,
    /// Failed attempts since it last succeeded.
    pub attempt: u32,
    /// What went wrong last, if it has not succeeded since.
    pub error: Option<TaskError>,
    /// Its task.
    pub task: Option<TaskId>,
}

/// Where a piece of declared work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkState {
    /// Nothing to do until its next run, or until something is marked.
    Idle,
    /// Due.
    Queued,
    /// Runs.
    Running,
    /// Goes on later: it said so itself, or the service takes no more requests for now.
    Waiting,
    /// Failed, and is tried again at its next run.
    Retrying,
    /// Was given up; goes on at its next run.
    Failed,
    /// Waits for its connection to work again.
    Parked,
}

/// A piece of declared work in one scope.
struct Scope {
    declared: DeclaredWork,
    channel: Option<ChannelId>,
}

impl Scope {
    /// The key of its task.
    fn task_key(&self) -> String {
        match self.declared.work {
            Work::Drain { .. } => drain_task_key(&self.drain_key()),
            work => work_task_key(work.kind(), &self.declared.name, self.channel.as_ref()),
        }
    }

    fn drain_key(&self) -> String {
        declared_drain_key(self.declared.namespace, self.declared.entry.name, self.channel.as_ref())
    }

    fn log_key(&self) -> String {
        log_key(self.declared.work.kind(), &self.declared.name, self.channel.as_ref())
    }

    fn interval(&self) -> Option<Duration> {
        match self.declared.work {
            Work::Sync { every: interval } | Work::Every { interval } => Some(interval),
            Work::Drain { .. } | Work::Webhook(_) => None,
        }
    }
}

impl Runtime {
    /// The declared work of a connection and its enabled channels that is run as tasks.
    async fn scopes(&self, id: ConnectionId) -> Result<Vec<Scope>, ActionError> {
        let connection = self.connection(id).await?;
        let connector = self.connector(&connection.connector)?;
        let channels = self.shared.ports.engine.channels(id).await?;
        let mut scopes = Vec::new();
        for declared in connector.work().iter().filter(|declared| !matches!(declared.work, Work::Webhook(_))) {
            let scope = |channel| Scope { declared: declared.clone(), channel };
            if declared.entry.per_channel {
                let enabled = channels.iter().filter(|row| row.enabled && declared.entry.concerns(&row.channel.id));
                scopes.extend(enabled.map(|row| scope(Some(row.channel.id.clone()))));
            } else {
                scopes.push(scope(None));
            }
        }
        Ok(scopes)
    }

    /// The declared work of a connection: where each piece of it is, in each scope.
    pub async fn work(&self, id: ConnectionId) -> Result<Vec<WorkView>, ActionError> {
        let (shared, engine) = (&self.shared, &self.shared.ports.engine);
        let active = self.connection(id).await?.status == ConnectionStatus::Active;
        let scopes = self.scopes(id).await?;
        let keys = scopes.iter().map(|scope| scope.log_key()).collect();
        let logs = shared.work_log(id, keys).await?;
        let now = shared.ports.clock.now();
        let mut views = Vec::new();
        for (scope, log) in scopes.into_iter().zip(logs) {
            let task = engine.task_by_key(id, scope.task_key()).await?;
            let running = task.as_ref().is_some_and(|task| shared.scheduler().is_running(task.id));
            let state = match &task {
                _ if running => WorkState::Running,
                Some(_) if !active => WorkState::Parked,
                Some(task) => state_of(task, scope.declared.work, &log, now),
                None if log.error.is_some() => WorkState::Failed,
                None => WorkState::Idle,
            };
            let marked = match scope.declared.work {
                Work::Drain { .. } => {
                    let prefix = drain_mark_prefix(&scope.drain_key());
                    Some(engine.state_entries(id, prefix, MAX_MARKS).await?.len())
                }
                _ => None,
            };
            let error = task.as_ref().and_then(|task| task.errors.last().cloned());
            views.push(WorkView {
                kind: scope.declared.work.kind(),
                state,
                last_run: log.last_run,
                last_end: log.last_end,
                next_run: task.as_ref().and_then(|task| task.run_at).filter(|_| !running),
                interval: scope.interval().map(|interval| interval.as_secs()),
                saved: log.saved,
                left_out: log.left_out,
                last_left_out: log.last_left_out,
                restarts: log.restarts,
                marked,
                attempt: task.as_ref().map_or(0, |task| task.attempt),
                error: error.or(log.error),
                task: task.map(|task| task.id),
                name: scope.declared.name,
                channel: scope.channel,
            });
        }
        Ok(views)
    }

    /// How much of the declared work of a connection and its enabled channels is still to run now.
    pub async fn looking(&self, id: ConnectionId) -> Result<Looking, ActionError> {
        let (engine, now) = (&self.shared.ports.engine, self.shared.ports.clock.now());
        let mut looking = Looking::default();
        for scope in self.scopes(id).await?.into_iter().filter(|scope| scope.interval().is_some()) {
            let Some(task) = engine.task_by_key(id, scope.task_key()).await? else { continue };
            if task.run_at.is_none_or(|at| at <= now) || !task.errors.is_empty() {
                looking.pending += 1;
            }
            if let Some(error) = task.errors.last() {
                looking.retrying = Some(Retrying { run_at: task.run_at, error: error.clone() });
            }
        }
        Ok(looking)
    }

    /// The last look for changes that ended: when, and whether one of the syncs has failed since it last succeeded.
    pub async fn last_sync(&self, id: ConnectionId) -> Result<Option<LastSync>, ActionError> {
        let (mut ended, mut error) = (None, None);
        for view in self.work(id).await?.into_iter().filter(|view| view.kind == "sync") {
            ended = ended.max(view.last_end);
            error = error.or(view.error);
        }
        let outcome = error.map_or_else(|| "succeeded".to_owned(), |error| error.message);
        Ok(ended.map(|at| LastSync { at, outcome }))
    }
}

/// Where work is whose task waits.
fn state_of(task: &TaskRow, work: Work, log: &WorkLog, now: Timestamp) -> WorkState {
    let throttled = |error: &TaskError| matches!(error.kind, ErrorKind::RateLimited { .. });
    match task.run_at.filter(|at| *at > now) {
        None => WorkState::Queued,
        Some(_) if task.errors.last().is_some_and(throttled) => WorkState::Waiting,
        Some(_) if !task.errors.is_empty() => WorkState::Retrying,
        Some(_) if log.error.is_some() => WorkState::Failed,
        // A drain's task is there only while ids are marked.
        Some(_) if log.midway || log.last_run.is_none() || matches!(work, Work::Drain { .. }) => WorkState::Waiting,
        Some(_) => WorkState::Idle,
    }
}
