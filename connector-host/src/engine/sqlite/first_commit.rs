//! A write that goes with the first commit of a request.
//!
//! What says that a request was begun has to be stored with the first of what it does: before, it would stay behind
//! where nothing was done, and after, what was done could be done again. Which commit is the first, only the engine
//! sees, whatever code makes it. So the write waits in the task that handles the request, and its first commit takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connector_core::engine::{Write, WriteSet};

tokio::task_local! {
    static FIRST: Arc<First>;
}

/// A write that waits for a commit.
pub(super) struct First {
    write: Write,
    stored: AtomicBool,
}

/// Runs the future, whose first successful commit also stores the write; with whether there was one. Commits that
/// store nothing but secrets do not count: a token that was refreshed on the way is not what was asked for.
pub(crate) async fn with_first_commit<T>(write: Write, future: impl Future<Output = T>) -> (T, bool) {
    let first = Arc::new(First { write, stored: AtomicBool::new(false) });
    let value = FIRST.scope(Arc::clone(&first), future).await;
    (value, first.stored.load(Ordering::Relaxed))
}

/// Adds the write that waits in this task, if there is one that was not stored yet.
pub(super) fn add_first(set: &mut WriteSet) -> Option<Arc<First>> {
    let first = FIRST.try_with(Arc::clone).ok()?;
    let is_secret = |write: &Write| matches!(write, Write::PutSecret { .. });
    if first.stored.load(Ordering::Relaxed) || set.writes.iter().all(is_secret) {
        return None;
    }
    set.writes.push(first.write.clone());
    Some(first)
}

impl First {
    /// The commit that took it has succeeded.
    pub(super) fn stored(&self) {
        self.stored.store(true, Ordering::Relaxed);
    }
}
