//! The loops that run tasks: as many side by side as the configuration says, and one for timers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::scheduler::{Read, Scheduler};
use super::{Runtime, Shared};
use crate::engine::{EngineResult, TaskRow};
use crate::id::TaskId;

/// Tasks that are read from the store at once.
const PAGE: usize = 2_000;

/// And so many of those are given to the queue at once.
const LOADED_AT_ONCE: usize = 100;

/// Timers that are in memory at most; those after them stay in the store until they are near.
const MAX_TIMERS: usize = 50_000;

/// Longest sleep before the time is looked at again: it may have been set back meanwhile.
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_secs(30);

/// The running loops of a [`Runtime`].
#[derive(Debug)]
pub struct Workers {
    set: JoinSet<()>,
    stop: Arc<Stop>,
    count: usize,
}

#[derive(Debug, Default)]
struct Stop {
    wanted: AtomicBool,
    /// Loops that have ended.
    ended: AtomicUsize,
    /// Tasks up to this id were there when the host stopped without notice, and run with caution.
    cautious: AtomicI64,
}

impl Runtime {
    /// Runs what is due, until the workers are stopped: as soon as the first tasks are read from the store, while the
    /// others are.
    pub async fn start(&self) -> EngineResult<Workers> {
        let end = self.begin_load().await?;
        let more = self.shared.load_page().await?;
        let stop = Arc::new(Stop::default());
        if self.shared.ports.engine.unclean_start() {
            stop.cautious.store(end.number(), Ordering::Relaxed);
        }
        let mut set = JoinSet::new();
        if more {
            let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&stop));
            set.spawn(async move {
                shared.load_rest(&stop).await;
                run(shared, stop).await;
            });
        }
        // As many again wait for the store while the code of others runs.
        for _ in 0..self.shared.config.concurrency.max(1).saturating_mul(2) {
            set.spawn(run(Arc::clone(&self.shared), Arc::clone(&stop)));
        }
        set.spawn(watch_timers(Arc::clone(&self.shared), Arc::clone(&stop)));
        self.shared.follower.ready.notify_one();
        Ok(Workers { count: set.len(), set, stop })
    }

    /// Reads the queue from the store.
    pub(crate) async fn load(&self) -> EngineResult<()> {
        self.begin_load().await?;
        while self.shared.load_page().await? {}
        Ok(())
    }

    /// Reads the timers from the store, and begins with the tasks that are due: all that are there have smaller ids.
    async fn begin_load(&self) -> EngineResult<TaskId> {
        self.shared.load_timers((Timestamp::MIN, TaskId::from_number(0))).await?;
        let end = TaskId::from_number(self.shared.ports.engine.take_ids(0));
        self.shared.scheduler().begin_loading(end);
        Ok(end)
    }

    /// Runs one task that is ready, here and now; false if there is none. For tests, which run no workers.
    pub(crate) async fn run_one(&self) -> bool {
        let entry = {
            let mut scheduler = self.shared.scheduler();
            scheduler.fire(self.shared.ports.clock.now());
            scheduler.next()
        };
        match entry {
            Some(entry) => {
                self.shared.run_entry(entry, false).await;
                true
            }
            None => false,
        }
    }

    /// When the next task is due that waits for its time.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.shared.scheduler().next_timer()
    }
}

/// Counts a loop that has ended, in whatever way.
struct Ends(Arc<Stop>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Whether all of the loops still run.
    pub fn alive(&self) -> bool {
        self.count > 0 && self.stop.ended.load(Ordering::Relaxed) == 0
    }

    /// Lets the running tasks end, takes no others, and returns when all have ended.
    pub async fn stop(mut self, runtime: &Runtime) {
        self.stop.wanted.store(true, Ordering::Relaxed);
        runtime.shared.follower.ready.notify_waiters();
        runtime.shared.follower.timer.notify_waiters();
        runtime.shared.follower.ready.notify_one();
        runtime.shared.follower.timer.notify_one();
        while self.set.join_next().await.is_some() {
            runtime.shared.follower.ready.notify_one();
            runtime.shared.follower.timer.notify_one();
        }
    }
}

async fn run(shared: Arc<Shared>, stop: Arc<Stop>) {
    let _ends = Ends(Arc::clone(&stop));
    loop {
        let notified = shared.follower.ready.notified();
        if stop.wanted.load(Ordering::Relaxed) {
            // The next one to stop waits as well.
            shared.follower.ready.notify_one();
            return;
        }
        let (entry, more, ahead) = {
            let mut scheduler = shared.scheduler();
            let entry = scheduler.next();
            (entry, scheduler.has_runnable(), scheduler.read_ahead())
        };
        if more {
            shared.follower.ready.notify_one();
        }
        if !ahead.is_empty() {
            shared.read_ahead(ahead).await;
        }
        match entry {
            Some(entry) => {
                let cautious = entry.id.number() < stop.cautious.load(Ordering::Relaxed);
                shared.run_entry(entry, cautious).await;
            }
            None => notified.await,
        }
    }
}

async fn watch_timers(shared: Arc<Shared>, stop: Arc<Stop>) {
    let _ends = Ends(Arc::clone(&stop));
    loop {
        let notified = shared.follower.timer.notified();
        if stop.wanted.load(Ordering::Relaxed) {
            return;
        }
        let now = shared.ports.clock.now();
        let (mut next, horizon) = {
            let mut scheduler = shared.scheduler();
            scheduler.fire(now);
            (scheduler.next_timer(), scheduler.horizon())
        };
        shared.follower.ready.notify_one();
        if let Some(horizon) = horizon.filter(|(at, _)| next.is_none_or(|next| next >= *at) && *at <= now)
            && let Err(error) = shared.load_timers(horizon).await
        {
            tracing::error!("the timers cannot be read: {error}");
            next = shared.store_pause();
        }
        match next {
            Some(next) => {
                let next = now.checked_add(LONGEST_SLEEP).map_or(next, |latest| next.min(latest));
                let due = shared.ports.clock.sleep_until(next);
                futures_util::future::select(std::pin::pin!(notified), due).await;
            }
            None => notified.await,
        }
    }
}

impl Shared {
    /// Reads the next tasks that are due from the store; false if there are no more.
    async fn load_page(&self) -> EngineResult<bool> {
        let (read, after, end) = {
            let mut scheduler = self.scheduler();
            let Some((after, end)) = scheduler.loading() else { return Ok(false) };
            (ReadGuard::begin(self, &mut scheduler), after, end)
        };
        let mut rows = self.ports.engine.immediate_tasks(after, PAGE).await?;
        let full = rows.len() == PAGE;
        rows.retain(|row| row.id < end);
        let more = full && rows.len() == PAGE;
        read.end(&rows);
        let mut scheduler = self.scheduler();
        match rows.last() {
            Some(last) if more => scheduler.loaded_up_to(last.id),
            _ => scheduler.end_loading(),
        }
        Ok(more)
    }

    /// Reads what is left of them, unless the workers are stopped.
    async fn load_rest(&self, stop: &Stop) {
        while !stop.wanted.load(Ordering::Relaxed) {
            match self.load_page().await {
                Ok(more) => {
                    self.follower.ready.notify_one();
                    if !more {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!("the tasks cannot be read: {error}");
                    if let Some(until) = self.store_pause() {
                        self.ports.clock.sleep_until(until).await;
                    }
                }
            }
        }
        self.scheduler().end_loading();
    }

    /// Reads the rows of tasks that run soon.
    async fn read_ahead(&self, ids: Vec<TaskId>) {
        let rows = match self.ports.engine.tasks_by_id(ids).await {
            Ok(rows) => rows.into_iter().flatten().collect(),
            Err(error) => {
                tracing::error!("tasks cannot be read: {error}");
                Vec::new()
            }
        };
        self.scheduler().keep(rows);
    }

    /// Reads timers after this position, as many as stay in memory.
    async fn load_timers(&self, after: (Timestamp, TaskId)) -> EngineResult<()> {
        let mut position = after;
        let loaded = self.load_timers_from(&mut position).await;
        if loaded.is_err() {
            // Those beyond are still in the store alone.
            self.scheduler().set_horizon(Some(position));
        }
        loaded
    }

    /// Moves `position` to the last timer that was read.
    async fn load_timers_from(&self, position: &mut (Timestamp, TaskId)) -> EngineResult<()> {
        let mut read_so_far = 0;
        loop {
            let read = {
                let mut scheduler = self.scheduler();
                // While timers are read, none may be kept out as too far away.
                scheduler.set_horizon(None);
                ReadGuard::begin(self, &mut scheduler)
            };
            let rows = self.ports.engine.scheduled_tasks(*position, PAGE).await?;
            let last = rows.last().and_then(|row| Some((row.run_at?, row.id)));
            let count = rows.len();
            read_so_far += count;
            read.end(&rows);
            if let Some(last) = last {
                *position = last;
            }
            if count < PAGE {
                return Ok(());
            }
            if read_so_far >= MAX_TIMERS {
                self.scheduler().set_horizon(Some(*position));
                return Ok(());
            }
        }
    }
}

/// A read of tasks, which ends with the rows that came, or without any where the read fails or its future is dropped.
struct ReadGuard<'a> {
    shared: &'a Shared,
    read: Option<Read>,
}

impl<'a> ReadGuard<'a> {
    fn begin(shared: &'a Shared, scheduler: &mut Scheduler) -> Self {
        Self { shared, read: Some(scheduler.begin_read()) }
    }

    /// Gives the rows to the queue.
    fn end(mut self, rows: &[TaskRow]) {
        let Some(read) = self.read.take() else { return };
        // A few at a time: nothing else runs meanwhile.
        for rows in rows.chunks(LOADED_AT_ONCE) {
            self.shared.scheduler().take_read(&read, rows, self.shared.ports.clock.now());
        }
        self.shared.scheduler().end_read(read);
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        if let Some(read) = self.read.take() {
            self.shared.scheduler().end_read(read);
        }
    }
}
