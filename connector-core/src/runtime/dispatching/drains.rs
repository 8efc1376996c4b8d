//! Drains: ids that were marked dirty, handed over a batch at a time (R6.4).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::{End, panicked};
use crate::context::Dispatch;
use crate::dispatch::{Input, Returned};
use crate::engine::{DeadTask, TaskError, TaskRow, Write};
use crate::error::{Error, ErrorKind, Result};
use crate::hex;
use crate::id::TaskId;
use crate::runtime::Shared;
use crate::runtime::payload::{DrainTask, Mark, TaskPayload, drain_mark_prefix};
use crate::unit_of_work::UnitOfWork;
use crate::value;

impl Shared {
    /// Hands over the ids that were marked dirty, at most a batch of them (R6.4).
    pub(super) async fn drain_pass(self: &Arc<Self>, dispatch: &Arc<Dispatch>, drain: &DrainTask) -> Result<End> {
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
        for (key, stored) in marks.into_iter().take(batch) {
            let Mark { attempts, mode } = Mark::decode(&stored.value);
            // One pass runs in one mode: what was marked in another waits for a pass of its own.
            if mode != dispatch.mode {
                continue;
            }
            let Some(id) = key.strip_prefix(&prefix).and_then(hex::decode).map(Bytes::from) else { continue };
            // What was refused once goes alone, so that it does not take others with it.
            let alone = attempts > 0;
            if alone && !handed.is_empty() {
                break;
            }
            handed.push((key, stored.version, id, attempts));
            if alone {
                break;
            }
        }
        if handed.is_empty() {
            // An id may have been marked in another mode since the mode of this pass was chosen.
            return Ok(if found > 0 { End::Again(None) } else { End::Done });
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
                *dispatch.unit() = UnitOfWork::default();
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
                unit.put(key, Some(Mark { attempts, mode: dispatch.mode }.encode()?));
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
        let drain = DrainTask { only: Some(id), mode: dispatch.mode, ..drain.clone() };
        let id = TaskId::from_number(self.ports.engine.take_ids(1));
        let now = self.ports.clock.now();
        let attempt = drain.max_attempts;
        let errors = vec![TaskError { at: now, attempt, kind: ErrorKind::Bug, message }];
        let task = TaskPayload::Drain(drain).task(id, dispatch.connection_id())?;
        Ok(DeadTask { task: TaskRow { errors, attempt, ..task }, died_at: now })
    }
}
