use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// How many ids are reserved at a time.
const BLOCK: i64 = 10_000;

/// What tells one run of a task from all others, in this database and all others.
pub(super) fn new_nonce() -> [u8; 16] {
    rand::random()
}

/// The sequence of ids, which is in memory; how far it may have got is in the store.
///
/// Taking an id must not wait for the disk. It does not have to: an id matters from the commit on
/// that stores it, or that lets it leave the host. Each commit stores a bound that is greater than
/// every id taken until then, if the stored one is not. So after a crash the sequence goes on
/// above all ids that any commit knew. For ids that no commit has known yet, the writer is asked to
/// raise the bound when half of a block is used up, long before it is reached.
#[derive(Debug)]
pub(super) struct Ids {
    next: AtomicI64,
    /// The stored bound: all smaller ids may have been taken.
    stored: AtomicI64,
    /// The writer was asked to raise it.
    asked: AtomicBool,
}

impl Ids {
    /// Goes on from the stored bound.
    pub(super) fn from_stored(stored: i64) -> Self {
        Self { next: AtomicI64::new(stored), stored: AtomicI64::new(stored), asked: AtomicBool::new(false) }
    }

    /// Takes ids; the first of them, and whether the caller has to ask the writer for a new bound.
    pub(super) fn take(&self, count: u32) -> (i64, bool) {
        let first = self.next.fetch_add(i64::from(count), Ordering::SeqCst);
        let low = first + i64::from(count) + BLOCK / 2 > self.stored.load(Ordering::SeqCst);
        (first, low && !self.asked.swap(true, Ordering::SeqCst))
    }

    /// One for the writer itself, which looks at the bound before it commits.
    pub(super) fn take_one(&self) -> i64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// The bound to store with the commit that is about to be made, if it has to be raised.
    pub(super) fn new_bound(&self) -> Option<i64> {
        let next = self.next.load(Ordering::SeqCst);
        (next + BLOCK / 2 > self.stored.load(Ordering::SeqCst)).then_some(next + BLOCK)
    }

    /// What was asked for was done, or not.
    pub(super) fn answered(&self, stored: Option<i64>) {
        if let Some(stored) = stored {
            self.stored.store(stored, Ordering::SeqCst);
        }
        self.asked.store(false, Ordering::SeqCst);
    }

    /// The next id; all smaller ones were taken.
    pub(super) fn next(&self) -> i64 {
        self.next.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_raised_before_ids_reach_it() {
        let ids = Ids::from_stored(1);
        assert_eq!(ids.take(3), (1, true));
        assert_eq!(ids.take(1), (4, false), "it was asked once");
        let bound = ids.new_bound().unwrap();
        ids.answered(Some(bound));
        assert!(bound > 5 && ids.new_bound().is_none());
        let mut asked = 0;
        let mut last = 4;
        while asked == 0 {
            let (id, ask) = ids.take(1);
            assert_eq!(id, last + 1);
            last = id;
            asked += i32::from(ask);
        }
        assert!(last < bound, "asked at {last}, the bound is {bound}");
    }

    #[test]
    fn a_bound_that_could_not_be_stored_is_asked_for_again() {
        let ids = Ids::from_stored(1);
        assert!(ids.take(1).1);
        ids.answered(None);
        assert!(ids.take(1).1);
    }
}
