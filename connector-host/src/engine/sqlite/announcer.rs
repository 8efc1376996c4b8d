//! Tells listeners of what was committed, then answers those who wait for it.
//!
//! Listeners must hear of sets in the order of the commits, whichever thread tells them: the writer for a few sets, a
//! thread of the runtime for many. So each group goes into one queue, and one thread at a time empties it. A thread
//! that finds another at work leaves its group to that one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use connector_core::engine::CommitListener;

use super::writer::{Job, Outcome};

/// A group of sets with what became of each.
type Group = Vec<(Job, Outcome)>;

#[derive(Debug, Default)]
pub(super) struct Announcer {
    listeners: Mutex<Vec<Weak<dyn CommitListener>>>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    groups: VecDeque<Group>,
    /// A thread empties the queue at this moment.
    busy: bool,
}

/// Groups that wait to be announced. They are when this value is dropped.
pub(super) struct Due(Arc<Announcer>);

impl Drop for Due {
    fn drop(&mut self) {
        self.0.announce();
    }
}

impl Announcer {
    pub(super) fn listen(&self, listener: Weak<dyn CommitListener>) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Takes a group. The caller is the one thread that commits, so groups come in the order of the commits.
    pub(super) fn add(self: &Arc<Self>, group: Group) -> Due {
        lock(&self.queue).groups.push_back(group);
        Due(Arc::clone(self))
    }

    fn announce(&self) {
        {
            let mut queue = lock(&self.queue);
            if queue.busy {
                return;
            }
            queue.busy = true;
        }
        loop {
            let group = {
                let mut queue = lock(&self.queue);
                let Some(group) = queue.groups.pop_front() else {
                    queue.busy = false;
                    return;
                };
                group
            };
            self.tell(&group);
            for (job, outcome) in group {
                if job.answer.send((outcome, job.set, job.documents)).is_err() {
                    tracing::trace!("nobody waits for a commit any more");
                }
            }
        }
    }

    fn tell(&self, group: &Group) {
        for listener in lock(&self.listeners).iter().filter_map(Weak::upgrade) {
            let mut committed = group.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
            // A panic must not stop those who wait for this group and for the next ones.
            if catch_unwind(AssertUnwindSafe(|| listener.committed(&mut committed))).is_err() {
                tracing::error!("a listener panicked: what this process keeps in memory may not follow the store");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
