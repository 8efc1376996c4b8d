use super::ActionError;
use crate::engine::{After, CommitError, Completion, ConnectionStatus, TaskQuery, WriteSet};
use crate::error::ErrorKind;
use crate::id::{ConnectionId, TaskId};
use crate::runtime::Runtime;

/// Tasks that are read at once.
const PAGE: usize = 500;

impl Runtime {
    /// Lets a connection go on: a suspended one with its limits counted anew (R6.7), and one whose service was said to
    /// take no requests until a later time, with all others of the same account (R6.6).
    pub async fn resume(&self, id: ConnectionId) -> Result<(), ActionError> {
        let row = self.connection(id).await?;
        self.shared.follower.budgets.forget(id);
        let lifted = match self.shared.active(id).await {
            Ok(connection) => self.shared.rates.lift(&connection.quota_account(), self.shared.ports.clock.now()),
            Err(_) => false,
        };
        if !self.shared.set_status(id, ConnectionStatus::Suspended, ConnectionStatus::Active, None).await? && !lifted {
            let status = row.status.as_str();
            return Err(ActionError::Conflict(format!("{id} is neither suspended nor rate limited: it is {status}")));
        }
        if lifted {
            self.hasten_rate_limited(id).await?;
        }
        Ok(())
    }

    /// Lets the tasks run now that wait until a service takes requests again.
    async fn hasten_rate_limited(&self, id: ConnectionId) -> Result<(), ActionError> {
        let (engine, now) = (&self.shared.ports.engine, self.shared.ports.clock.now());
        let mut after: Option<TaskId> = None;
        loop {
            let tasks = engine.tasks(TaskQuery { connection: Some(id), after, limit: PAGE }).await?;
            let Some(last) = tasks.last() else { return Ok(()) };
            after = Some(last.id);
            let waiting = tasks.into_iter().filter(|task| {
                let limited =
                    task.errors.last().is_some_and(|error| matches!(error.kind, ErrorKind::RateLimited { .. }));
                limited && task.run_at.is_some_and(|at| at > now)
            });
            for task in waiting {
                let then = After::Retry { run_at: None, attempt: task.attempt, errors: task.errors };
                let completes = Some(Completion { task: task.id, revision: task.revision, then });
                match self
                    .shared
                    .ports
                    .engine
                    .commit(WriteSet { connection: Some(id), completes, ..WriteSet::default() })
                    .await
                {
                    Ok(_) | Err(CommitError::TaskGone) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}
