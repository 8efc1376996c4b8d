//! How many bytes are kept of what services pushed.
//!
//! The store is pruned every ten minutes. Between two of these times any number of requests may come, each verified and
//! each of up to a megabyte: so what comes is counted, and pruning is early when it is much. What waits to be handled is
//! never pruned; when that alone is as much as is kept, services are told to send again later.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Part of the bytes that are kept after whose arrival the store is pruned.
const PART: u64 = 8;

/// Counts bytes.
#[derive(Debug)]
pub(crate) struct KeptDeliveries {
    most: u64,
    /// Bytes that have come since the last count began.
    come: AtomicU64,
    /// What was left when it was counted is as much as is kept.
    full: AtomicBool,
    /// Notified when much has come.
    many: Notify,
}

impl KeptDeliveries {
    /// Counts up to this many bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, come: AtomicU64::new(0), full: AtomicBool::new(false), many: Notify::new() }
    }

    /// A request with this many bytes was stored.
    pub(crate) fn add(&self, bytes: u64) {
        let come = self.come.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if come > self.most / PART {
            self.many.notify_one();
        }
    }

    /// Whether no more can be taken: what waits to be handled, and what could not be, is as much as is kept.
    pub(crate) fn are_full(&self) -> bool {
        let full = self.full.load(Ordering::Relaxed);
        if full {
            // It may have been handled meanwhile.
            self.many.notify_one();
        }
        full
    }

    /// Waits until so much has come that the store is to be pruned.
    pub(crate) async fn many(&self) {
        self.many.notified().await;
    }

    /// Pruning and counting begin: what comes from now on may not be in the count.
    pub(crate) fn begin_count(&self) {
        self.come.store(0, Ordering::Relaxed);
    }

    /// So much was left after pruning.
    pub(crate) fn counted(&self, left: u64) {
        self.full.store(left > self.most, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn much_that_comes_has_the_store_pruned_early() {
        let kept = KeptDeliveries::new(80);
        kept.add(10);
        assert_eq!(kept.many().now_or_never(), None);
        kept.add(1);
        assert_eq!(kept.many().now_or_never(), Some(()));
        kept.begin_count();
        kept.add(10);
        assert_eq!(kept.many().now_or_never(), None);
    }

    #[test]
    fn what_cannot_be_pruned_refuses_more() {
        let kept = KeptDeliveries::new(80);
        kept.counted(80);
        assert!(!kept.are_full());
        kept.counted(81);
        assert!(kept.are_full());
        assert_eq!(kept.many().now_or_never(), Some(()), "it is looked at again");
        kept.counted(0);
        assert!(!kept.are_full());
    }
}
