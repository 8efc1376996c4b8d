use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::ActionError;
use crate::engine::{DeadTask, KeyedTask, TaskError, TaskPriority, TaskQuery, TaskRow, Write, WriteSet};
use crate::id::{ConnectionId, TaskId};
use crate::runtime::Runtime;
use crate::runtime::payload::TaskPayload;
use crate::value;

/// A task as people see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub connection: ConnectionId,
    /// What it does: the callback, hook or work.
    pub does: String,
    /// `ready`, `waiting` for its time, or `dead`.
    pub state: &'static str,
    /// When it runs; none for at once.
    pub run_at: Option<Timestamp>,
    /// How often it was tried.
    pub attempt: u32,
    /// The channel that it concerns.
    pub channel: Option<String>,
    /// What it does, in full.
    pub payload: serde_json::Value,
    /// What went wrong so far, oldest first.
    pub errors: Vec<TaskError>,
    /// When it was given up.
    pub died_at: Option<Timestamp>,
}

impl TaskView {
    fn new(row: TaskRow, died_at: Option<Timestamp>, now: Timestamp) -> Self {
        let does = value::from_bytes::<TaskPayload>(&row.payload)
            .map_or_else(|_| "unknown".to_owned(), |payload| payload.title());
        let state = match (died_at, row.run_at) {
            (Some(_), _) => "dead",
            (None, Some(at)) if at > now => "waiting",
            (None, _) => "ready",
        };
        Self {
            id: row.id,
            connection: row.connection,
            does,
            state,
            run_at: row.run_at,
            attempt: row.attempt,
            channel: row.channel.map(|channel| channel.to_string()),
            payload: shown(&row.payload),
            errors: row.errors,
            died_at,
        }
    }
}

/// What a task does, as JSON: with what is encoded within it, such as the arguments of its callback.
fn shown(payload: &[u8]) -> serde_json::Value {
    let mut shown = value::to_json(payload).unwrap_or_default();
    let encoded = match value::from_bytes::<TaskPayload>(payload) {
        Ok(TaskPayload::Callback { args, input, .. }) => vec![("args", Some(args)), ("input", input)],
        Ok(TaskPayload::Drain(drain)) => vec![("args", Some(drain.args)), ("only", drain.only)],
        _ => Vec::new(),
    };
    let fields =
        shown.as_object_mut().and_then(|kinds| kinds.values_mut().next()).and_then(serde_json::Value::as_object_mut);
    if let Some(fields) = fields {
        for (name, bytes) in encoded {
            if let Some(json) = bytes.and_then(|bytes| value::to_json(&bytes).ok()) {
                fields.insert(name.to_owned(), json);
            }
        }
    }
    shown
}

impl Runtime {
    /// Tasks that wait or run.
    pub async fn tasks(&self, query: TaskQuery) -> Result<Vec<TaskView>, ActionError> {
        let now = self.shared.ports.clock.now();
        let rows = self.shared.ports.engine.tasks(query).await?;
        Ok(rows.into_iter().map(|row| TaskView::new(row, None, now)).collect())
    }

    /// Dead letters (R6.6).
    pub async fn dead_tasks(&self, query: TaskQuery) -> Result<Vec<TaskView>, ActionError> {
        let now = self.shared.ports.clock.now();
        let rows = self.shared.ports.engine.dead_tasks(query).await?;
        Ok(rows.into_iter().map(|dead| TaskView::new(dead.task, Some(dead.died_at), now)).collect())
    }

    /// Runs a task again now: a dead letter as if it had never been tried, or one that waits for its time.
    pub async fn retry_task(&self, id: TaskId) -> Result<TaskView, ActionError> {
        let (engine, now) = (&self.shared.ports.engine, self.shared.ports.clock.now());
        if let Some(DeadTask { task, .. }) = engine.dead_task(id).await? {
            // A user's decision goes before what the host does by itself.
            let task = TaskRow { run_at: None, attempt: 0, priority: TaskPriority::User, ..task };
            let taken = match &task.key {
                Some(key) => engine.task_by_key(task.connection, key.clone()).await?.is_some(),
                None => false,
            };
            let goes_on = task.every_ms.is_some() || task.key.as_ref().is_some_and(|key| key.starts_with("w/"));
            let (task, keyed) = match (taken, goes_on) {
                (false, _) => (task, KeyedTask::Keep),
                // It has gone on since: its next run is now.
                (true, true) => (task, KeyedTask::Coalesce),
                // Another one waits for the key, and is not to be lost for this one.
                (true, false) => (TaskRow { key: None, ..task }, KeyedTask::Keep),
            };
            let put = Write::PutTask { task: task.clone(), keyed };
            let set = WriteSet { connection: Some(task.connection), ..WriteSet::of([Write::DeleteDead { id }, put]) };
            self.shared.ports.engine.commit(set).await?;
            return Ok(TaskView::new(task, None, now));
        }
        let waiting = engine.tasks_by_id(vec![id]).await?.pop().flatten();
        let Some(waiting) = waiting else { return Err(ActionError::NotFound(format!("there is no task {id}"))) };
        let task = TaskRow { run_at: None, ..waiting };
        let put = match task.key.clone() {
            Some(_) => Write::PutTask { task: task.clone(), keyed: KeyedTask::Coalesce },
            None => Write::PutTask { task: task.clone(), keyed: KeyedTask::Replace },
        };
        let mut writes = Vec::new();
        if task.key.is_none() {
            writes.push(Write::DeleteTask { id });
        }
        writes.push(put);
        self.shared.ports.engine.commit(WriteSet { connection: Some(task.connection), ..WriteSet::of(writes) }).await?;
        Ok(TaskView::new(task, None, now))
    }

    /// Discards a dead letter, or a task that waits.
    pub async fn discard_task(&self, id: TaskId) -> Result<(), ActionError> {
        let engine = &self.shared.ports.engine;
        let write = if engine.dead_task(id).await?.is_some() {
            Write::DeleteDead { id }
        } else if engine.tasks_by_id(vec![id]).await?.pop().flatten().is_some() {
            Write::DeleteTask { id }
        } else {
            return Err(ActionError::NotFound(format!("there is no task {id}")));
        };
        self.shared.ports.engine.commit(WriteSet::of([write])).await?;
        Ok(())
    }

    /// The stored state of a connection whose keys begin with `prefix`, as JSON: the connector's own
    /// keys as it wrote them, those of its tools below `tool:ID/`, those of the host below `host:`.
    pub async fn state(&self, id: ConnectionId, prefix: &str) -> Result<Vec<(String, serde_json::Value)>, ActionError> {
        self.connection(id).await?;
        let entries = self.shared.ports.engine.state_entries(id, String::new(), usize::MAX).await?;
        let shown = entries.into_iter().map(|(key, value)| {
            let key = match (key.strip_prefix("c/"), key.strip_prefix("t/")) {
                (Some(own), _) => own.to_owned(),
                (None, Some(tool)) => format!("tool:{tool}"),
                (None, None) => format!("host:{}", key.replace('\u{1}', "/")),
            };
            (key, value::to_json(&value.value).unwrap_or_else(|error| serde_json::Value::String(error.to_string())))
        });
        Ok(shown.filter(|(key, _)| key.starts_with(prefix)).collect())
    }
}
