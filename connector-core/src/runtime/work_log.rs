//! What became of the runs of declared work, kept in the connection's state for people to see (R11).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::payload::{TaskPayload, work_task_key};
use crate::engine::{TaskError, TaskRow};
use crate::error::{Error, Result};
use crate::id::{ChannelId, ConnectionId};
use crate::registry::RegisteredConnector;
use crate::unit_of_work::{MAX_LEFT_OUT, MetItems};
use crate::value;
use crate::walk::LeftOut;
use crate::work::Work;

/// The history of one piece of declared work in one scope.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WorkLog {
    /// End of the last run, whatever came of it.
    pub(crate) last_run: Option<Timestamp>,
    /// End of the last run that was not in the middle of a walk, or was given up.
    pub(crate) last_end: Option<Timestamp>,
    /// In the middle of a walk, or of the ids that are marked.
    pub(crate) midway: bool,
    /// Items that its runs handed over to be saved.
    pub(crate) saved: u64,
    /// How often the service did not know the cursor any more.
    pub(crate) restarts: u32,
    /// Why the last run was given up; none if it went well.
    pub(crate) error: Option<TaskError>,
    /// Number of items that were left out since the last walk over everything began.
    pub(crate) left_out: u64,
    /// The last of them, newest last.
    pub(crate) last_left_out: Vec<LeftOut>,
}

impl WorkLog {
    /// Takes over what a run has left out.
    pub(crate) fn leave_out(&mut self, met: &MetItems) {
        if met.anew {
            self.left_out = 0;
            self.last_left_out.clear();
        }
        self.left_out += met.left_out;
        self.last_left_out.extend(met.last_left_out.iter().cloned());
        let surplus = self.last_left_out.len().saturating_sub(MAX_LEFT_OUT);
        self.last_left_out.drain(..surplus);
    }
}

/// Where it is kept. It falls with its channel.
pub(crate) fn log_key(kind: &str, name: &str, channel: Option<&ChannelId>) -> String {
    format!("h/{}", work_task_key("log", &format!("{kind}/{name}"), channel))
}

/// The log of the declared work that a task runs; none for other tasks.
fn log_of(connector: &RegisteredConnector, row: &TaskRow, payload: &TaskPayload) -> Option<String> {
    let name = match payload {
        TaskPayload::Sync { name, .. } | TaskPayload::Every { name, .. } => name,
        TaskPayload::Drain(drain) if drain.only.is_none() => {
            let declared = connector.work_of(&drain.namespace, &drain.name)?;
            return Some(log_key(declared.work.kind(), &declared.name, row.channel.as_ref()));
        }
        _ => return None,
    };
    let declared = connector.work_named(name)?;
    Some(log_key(declared.work.kind(), &declared.name, row.channel.as_ref()))
}

impl Shared {
    /// The log of declared work, as it is.
    pub(crate) async fn work_log(&self, connection: ConnectionId, keys: Vec<String>) -> Result<Vec<WorkLog>> {
        let stored = self.ports.engine.state(connection, keys).await?;
        let read = |stored: crate::engine::StateValue| value::from_bytes(&stored.value).ok();
        Ok(stored.into_iter().map(|stored| stored.and_then(read).unwrap_or_default()).collect())
    }

    /// The log of a task's declared work after this run, as the state key and value to store.
    pub(super) async fn logged(
        &self,
        connector: &RegisteredConnector,
        row: &TaskRow,
        payload: &TaskPayload,
        change: impl FnOnce(&mut WorkLog) + Send,
    ) -> Result<Option<(String, bytes::Bytes)>> {
        let Some(key) = log_of(connector, row, payload) else { return Ok(None) };
        let mut log = self.work_log(row.connection, vec![key.clone()]).await?.pop().unwrap_or_default();
        log.last_run = Some(self.ports.clock.now());
        change(&mut log);
        let log = value::to_bytes(&log).map_err(|error| Error::bug("a log cannot be stored").with_source(error))?;
        Ok(Some((key, log.into())))
    }
}

impl Work {
    /// The kind as one word.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Sync { .. } => "sync",
            Self::Drain { .. } => "drain",
            Self::Every { .. } => "every",
            Self::Webhook(_) => "webhook",
        }
    }
}
