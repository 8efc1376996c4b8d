//! What each connection has used of the operator's limits (R6.7). In memory: a host that starts counts anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Shared;
use crate::engine::{CommitError, ConnectionRow, ConnectionStatus, EngineResult, FeedEntry, FeedKind, Write, WriteSet};
use crate::id::ConnectionId;

/// Parts of a window that are counted apart, and forgotten one by one.
const PARTS: i32 = 60;

/// What one connection may use of a host within a sliding window. A connection that goes over it is
/// suspended until the operator resumes it, or its connector has another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The length of the window.
    pub window: Duration,
    /// Dispatches within it; none is no limit.
    pub dispatches: Option<u32>,
    /// Cost within it, counted in requests to the service; none is no limit.
    pub requests: Option<u32>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { window: Duration::from_secs(3600), dispatches: None, requests: None }
    }
}

impl Budget {
    fn limits(&self) -> bool {
        self.dispatches.is_some() || self.requests.is_some()
    }
}

/// What each connection has used.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    used: Mutex<HashMap<ConnectionId, VecDeque<Part>>>,
}

/// What was used in a part of a window.
#[derive(Debug)]
struct Part {
    began: Timestamp,
    dispatches: u32,
    requests: u32,
}

impl Budgets {
    /// Counts what a connection uses. Why it may go on no longer, if so.
    fn count(
        &self,
        budget: &Budget,
        id: ConnectionId,
        dispatches: u32,
        requests: u32,
        now: Timestamp,
    ) -> Option<String> {
        let window = SignedDuration::try_from(budget.window).unwrap_or(SignedDuration::MAX);
        let mut used = self.used();
        let parts = used.entry(id).or_default();
        // Where the clock was set back, what was used before counts as used now, so that it passes within a window.
        for part in parts.iter_mut().filter(|part| part.began > now) {
            part.began = now;
        }
        while parts.pop_front_if(|part| now.duration_since(part.began) >= window).is_some() {}
        match parts.back_mut().filter(|part| now.duration_since(part.began) < window / PARTS) {
            Some(part) => {
                part.dispatches += dispatches;
                part.requests += requests;
            }
            None => parts.push_back(Part { began: now, dispatches, requests }),
        }
        let over = |what: &str, limit: Option<u32>, used: u64| {
            let limit = limit.filter(|limit| used > u64::from(*limit))?;
            let seconds = budget.window.as_secs();
            Some(format!("it made more than {limit} {what} within {seconds} s, which is the operator's limit"))
        };
        over("dispatches", budget.dispatches, parts.iter().map(|part| u64::from(part.dispatches)).sum())
            .or_else(|| over("requests", budget.requests, parts.iter().map(|part| u64::from(part.requests)).sum()))
    }

    pub(super) fn forget(&self, id: ConnectionId) {
        self.used().remove(&id);
    }

    fn used(&self) -> MutexGuard<'_, HashMap<ConnectionId, VecDeque<Part>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Counts what a connection uses, and suspends it where that is too much.
    pub(super) async fn spend(&self, id: ConnectionId, dispatches: u32, requests: u32) -> EngineResult<bool> {
        let budget = &self.config.budget;
        if !budget.limits() {
            return Ok(true);
        }
        let Some(reason) = self.follower.budgets.count(budget, id, dispatches, requests, self.ports.clock.now()) else {
            return Ok(true);
        };
        tracing::warn!(connection = %id, "suspended: {reason}");
        self.set_status(id, ConnectionStatus::Active, ConnectionStatus::Suspended, Some(reason)).await?;
        Ok(false)
    }

    /// Gives a connection another status, if it still has this one. False if it has not.
    pub(super) async fn set_status(
        &self,
        id: ConnectionId,
        from: ConnectionStatus,
        to: ConnectionStatus,
        reason: Option<String>,
    ) -> EngineResult<bool> {
        loop {
            let Some(before) = self.ports.engine.connection(id).await? else { return Ok(false) };
            if before.status != from {
                return Ok(false);
            }
            let row = ConnectionRow { status: to, status_reason: reason.clone(), ..ConnectionRow::clone(&before) };
            let writes = [
                Write::PutConnection { row: Box::new(row), expect: Some(before.version) },
                Write::Feed(FeedEntry::new(FeedKind::Connection, id, id)),
            ];
            match self.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await {
                Ok(_) => return Ok(true),
                Err(CommitError::RecordConflict) => {}
                Err(CommitError::Engine(error)) => return Err(error),
                Err(CommitError::StateConflict(_) | CommitError::TaskGone | CommitError::Taken { .. }) => {
                    return Ok(false);
                }
            }
        }
    }
}
