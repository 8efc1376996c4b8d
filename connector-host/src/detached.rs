//! Requests that go on by themselves.
//!
//! What an accepted request does must not depend on the connection that it came by: a future that is dropped at an
//! await has done half of it. So each runs in a task of its own, and the host waits for them before it closes the store.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::Instrument;

/// The tasks of requests that were accepted and have not ended.
#[derive(Debug)]
pub(crate) struct Detached(Arc<watch::Sender<usize>>);

impl Default for Detached {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Detached {
    /// Runs the future in a task of its own, which goes on when this call is dropped.
    ///
    /// # Errors
    ///
    /// The future panicked, or the process ends.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        self.0.send_modify(|count| *count += 1);
        let counted = Counted(Arc::clone(&self.0));
        let task = async move {
            let _counted = counted;
            future.await
        };
        tokio::spawn(task.in_current_span()).await
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&self) {
        // The sender is held here, so that there is an answer.
        if self.0.subscribe().wait_for(|count| *count == 0).await.is_err() {
            tracing::trace!("nobody counts requests any more");
        }
    }
}

/// Counts a task until it has ended, in whatever way.
struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
