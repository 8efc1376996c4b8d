//! Which task runs next: lanes, priorities, fairness between connections, timers (design 4).
//!
//! Everything here is in memory and follows from the store, which has the truth: it is filled from
//! there at the start, and fed with what each commit changed.
//!
//! Two streams bring rows of tasks: commits, in their order, and reads, whenever they come back. A read may have been
//! overtaken: its rows can be older than what a commit has told meanwhile, or newer than what commits have told so far.
//! The rules that keep memory from going back: a read begins with a [`Read`] and gives it back with its rows, and a
//! row is not taken where a commit has told of its task since then; a row of an older revision never takes the place
//! of a newer one; and a task runs only with a row of the revision that the queue knows.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::policy::BACKOFF_CAP;
use crate::engine::{TaskChange, TaskPriority, TaskRow};
use crate::id::{ChannelId, ConnectionId, TaskId};

/// Rows are kept in memory beside their ids up to this many, so that they need not be read again.
const MAX_ROWS: usize = 100_000;

/// Rows are read ahead when fewer than this many are in memory, for tasks that are ready.
const FEW_ROWS: usize = 1_000;

/// And so many at once.
const READ_AHEAD: usize = 4_000;

/// A task that the scheduler knows.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: TaskId,
    /// Revision of the row that the entry was made of.
    pub(crate) revision: i64,
    pub(crate) connection: ConnectionId,
    channel: Option<ChannelId>,
    priority: TaskPriority,
    /// When it is due.
    pub(crate) due: Timestamp,
    /// The longest that it waits at a time: its interval, or the longest pause before a retry. None: until a time
    /// that somebody named.
    patience: Option<SignedDuration>,
    /// The row, where it is kept in memory.
    pub(crate) row: Option<Arc<TaskRow>>,
}

/// The order within a lane.
type Place = (TaskPriority, TaskId);

/// Where a task is.
#[derive(Debug)]
enum Position {
    Ready {
        connection: ConnectionId,
        channel: Option<ChannelId>,
        priority: TaskPriority,
        revision: i64,
    },
    Timer {
        at: Timestamp,
        revision: i64,
    },
    /// Runs; and what it becomes when it has ended.
    Running {
        next: Option<Arc<TaskRow>>,
        entry: Entry,
        /// Its code has ended: it waits for the store to keep what that did.
        commits: bool,
    },
}

#[derive(Debug, Default)]
struct Lane {
    ready: BTreeMap<Place, Entry>,
    running: usize,
}

#[derive(Debug, Default)]
struct Queue {
    lanes: HashMap<Option<ChannelId>, Lane>,
    /// The first of each lane that may run.
    heads: BTreeMap<Place, Option<ChannelId>>,
    running: usize,
    parked: bool,
    in_turn: bool,
}

/// Reading the tasks that were in the store at the start, while others run.
#[derive(Debug)]
struct Loading {
    /// Tasks with ids up to this one have been read.
    after: TaskId,
    /// Tasks with ids from this one on came later.
    end: TaskId,
}

/// A read of tasks that is under way. It counts as under way until [`Scheduler::end_read`] takes it back.
#[derive(Debug)]
#[must_use = "a read that is not given back keeps what commits tell in memory"]
pub(crate) struct Read {
    /// Number of changes that commits had told of when the read began.
    began: u64,
}

/// What commits have told of while reads were under way.
#[derive(Debug, Default)]
struct Overtaking {
    /// Changes told so far.
    told: u64,
    /// Reads under way, by the number of changes at which they began.
    reads: BTreeMap<u64, usize>,
    /// The last change of each task.
    tasks: HashMap<TaskId, u64>,
    /// Changes that removed all tasks of a connection or channel, except one.
    removed: Vec<(u64, ConnectionId, Option<ChannelId>, Option<TaskId>)>,
}

impl Overtaking {
    fn begin(&mut self) -> Read {
        *self.reads.entry(self.told).or_default() += 1;
        Read { began: self.told }
    }

    fn end(&mut self, read: &Read) {
        if let Some(count) = self.reads.get_mut(&read.began) {
            *count -= 1;
            if *count == 0 {
                self.reads.remove(&read.began);
            }
        }
        // What was told before the oldest read began concerns nobody any more.
        match self.reads.first_key_value() {
            None => {
                self.tasks.clear();
                self.removed.clear();
            }
            Some((oldest, _)) if *oldest > read.began => {
                self.tasks.retain(|_, told| *told > *oldest);
                self.removed.retain(|(told, ..)| *told > *oldest);
            }
            Some(_) => {}
        }
    }

    fn note(&mut self, change: &TaskChange) {
        if self.reads.is_empty() {
            return;
        }
        self.told += 1;
        match change {
            TaskChange::Waits(TaskRow { id, .. }) | TaskChange::Gone(id) => {
                self.tasks.insert(*id, self.told);
            }
            TaskChange::AllGone { connection, channel, except } => {
                self.removed.push((self.told, *connection, channel.clone(), *except));
            }
        }
    }

    /// A commit has told of the task of this row since the read began.
    fn has_overtaken(&self, read: &Read, row: &TaskRow) -> bool {
        self.tasks.get(&row.id).is_some_and(|told| *told > read.began)
            || self.removed.iter().any(|(told, connection, channel, except)| {
                *told > read.began
                    && row.connection == *connection
                    && (channel.is_none() || row.channel == *channel)
                    && Some(row.id) != *except
            })
    }
}

/// The queue of a host.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    queues: HashMap<ConnectionId, Queue>,
    /// Connections with something to run, in turn.
    turn: VecDeque<ConnectionId>,
    timers: BTreeMap<(Timestamp, TaskId), Entry>,
    tasks: HashMap<TaskId, Position>,
    rows: usize,
    /// Rows are being read ahead.
    reading_ahead: bool,
    loading: Option<Loading>,
    overtaking: Overtaking,
    /// Timers up to here are in memory; those beyond are in the store. None: all are.
    horizon: Option<(Timestamp, TaskId)>,
    /// The time at the last look.
    seen: Timestamp,
    /// Tasks whose code runs.
    in_code: usize,
    concurrency: usize,
    per_connection: usize,
}

impl Scheduler {
    /// A queue that runs the code of at most this many tasks side by side, and this many tasks of one connection.
    pub(crate) fn new(concurrency: usize, per_connection: usize) -> Self {
        Self { concurrency: concurrency.max(1), per_connection: per_connection.max(1), ..Self::default() }
    }

    /// Takes over what a commit changed.
    pub(crate) fn apply(&mut self, changes: &[TaskChange], now: Timestamp) {
        for change in changes {
            self.overtaking.note(change);
            match change {
                TaskChange::Waits(row) => self.waits(row, now),
                TaskChange::Gone(id) => self.remove(*id),
                TaskChange::AllGone { connection, channel, except } => {
                    self.remove_all(*connection, channel.as_ref(), *except)
                }
            }
        }
    }

    /// A read of tasks from the store begins.
    pub(crate) fn begin_read(&mut self) -> Read {
        self.overtaking.begin()
    }

    /// A read came back with these rows. The queue takes those of tasks that it does not know, and of which no commit
    /// has told since the read began.
    pub(crate) fn take_read(&mut self, read: &Read, rows: &[TaskRow], now: Timestamp) {
        for row in rows {
            if !self.tasks.contains_key(&row.id) && !self.overtaking.has_overtaken(read, row) {
                self.waits(row, now);
            }
        }
    }

    /// The rows of a read were taken, or it brought none.
    pub(crate) fn end_read(&mut self, read: Read) {
        self.overtaking.end(&read);
    }

    /// From now on, the tasks that the store holds and whose ids are below this one are read.
    pub(crate) fn begin_loading(&mut self, end: TaskId) {
        self.loading = Some(Loading { after: TaskId::from_number(0), end });
    }

    /// After which id, and before which, the next tasks are to be read; `None` means that all have been.
    pub(crate) fn loading(&self) -> Option<(TaskId, TaskId)> {
        self.loading.as_ref().map(|loading| (loading.after, loading.end))
    }

    /// Tasks with ids up to this one have been read.
    pub(crate) fn loaded_up_to(&mut self, last: TaskId) {
        if let Some(loading) = &mut self.loading {
            loading.after = last;
        }
    }

    /// All tasks that the store held at the start have been read.
    pub(crate) fn end_loading(&mut self) {
        self.loading = None;
    }

    /// The revision of a task that the queue knows.
    fn known_revision(&self, id: TaskId) -> Option<i64> {
        self.tasks.get(&id).map(|position| match position {
            Position::Running { next: Some(next), .. } => next.revision,
            Position::Running { next: None, entry, .. } => entry.revision,
            Position::Ready { revision, .. } | Position::Timer { revision, .. } => *revision,
        })
    }

    /// A task waits, as this row says.
    pub(crate) fn waits(&mut self, row: &TaskRow, now: Timestamp) {
        if self.known_revision(row.id).is_some_and(|known| row.revision < known) {
            return;
        }
        if let Some(Position::Running { next, .. }) = self.tasks.get_mut(&row.id) {
            *next = Some(Arc::new(row.clone()));
            return;
        }
        self.remove(row.id);
        let mut entry = Entry {
            id: row.id,
            revision: row.revision,
            connection: row.connection,
            channel: row.channel.clone(),
            priority: row.priority,
            due: row.run_at.unwrap_or(now),
            patience: match row.every_ms {
                Some(every) => Some(SignedDuration::from_millis(every)),
                None => (row.attempt > 0).then_some(BACKOFF_CAP),
            },
            row: None,
        };
        match row.run_at {
            Some(at) if at > now => self.set_timer(at, entry),
            _ => {
                if self.rows < MAX_ROWS {
                    entry.row = Some(Arc::new(row.clone()));
                    self.rows += 1;
                }
                self.make_ready(entry);
            }
        }
    }

    fn set_timer(&mut self, at: Timestamp, entry: Entry) {
        if self.horizon.is_some_and(|horizon| (at, entry.id) > horizon) {
            return;
        }
        self.tasks.insert(entry.id, Position::Timer { at, revision: entry.revision });
        self.timers.insert((at, entry.id), entry);
    }

    fn make_ready(&mut self, entry: Entry) {
        let Entry { connection, priority, revision, .. } = entry;
        let channel = entry.channel.clone();
        self.tasks.insert(entry.id, Position::Ready { connection, channel: channel.clone(), priority, revision });
        let queue = self.queues.entry(connection).or_default();
        let lane = queue.lanes.entry(channel.clone()).or_default();
        let old_head = lane.ready.first_key_value().map(|(place, _)| *place);
        lane.ready.insert((priority, entry.id), entry);
        queue.move_head(&channel, old_head);
        self.take_turn(connection);
    }

    /// Puts a connection in the round of turns, if it has something to run.
    fn take_turn(&mut self, connection: ConnectionId) {
        let Some(queue) = self.queues.get_mut(&connection) else { return };
        let runnable = !queue.parked && !queue.heads.is_empty() && queue.running < self.per_connection;
        if runnable && !queue.in_turn {
            queue.in_turn = true;
            self.turn.push_back(connection);
        } else if !runnable
            && queue.running == 0
            && !queue.parked
            && queue.lanes.values().all(|lane| lane.ready.is_empty())
        {
            self.queues.remove(&connection);
        }
    }

    /// The next task to run. It is running from now on, until [`finish`](Self::finish).
    pub(crate) fn next(&mut self) -> Option<Entry> {
        if self.in_code >= self.concurrency {
            return None;
        }
        while let Some(connection) = self.turn.pop_front() {
            let Some(queue) = self.queues.get_mut(&connection) else { continue };
            queue.in_turn = false;
            if queue.parked || queue.running >= self.per_connection {
                continue;
            }
            let Some((place, channel)) = queue.heads.pop_first() else { continue };
            let Some(lane) = queue.lanes.get_mut(&channel) else { continue };
            let Some(entry) = lane.ready.remove(&place) else { continue };
            lane.running += 1;
            queue.running += 1;
            queue.move_head(&channel, None);
            self.rows -= usize::from(entry.row.is_some());
            self.in_code += 1;
            self.tasks.insert(entry.id, Position::Running { next: None, entry: entry.clone(), commits: false });
            self.take_turn(connection);
            return Some(entry);
        }
        None
    }

    /// Tasks that run soon and whose rows should be read now, all at once; empty if there are enough, or
    /// others are being read. Whoever gets some gives the rows to [`keep`](Self::keep).
    pub(crate) fn read_ahead(&mut self) -> Vec<TaskId> {
        if self.reading_ahead || self.rows >= FEW_ROWS || self.turn.is_empty() {
            return Vec::new();
        }
        let each = (READ_AHEAD / self.turn.len()).max(1);
        let lanes = self
            .turn
            .iter()
            .take(READ_AHEAD)
            .filter_map(|connection| self.queues.get(connection))
            .flat_map(|queue| queue.lanes.values());
        let soon = lanes.flat_map(|lane| lane.ready.values().take(each));
        let ids: Vec<_> = soon.filter(|entry| entry.row.is_none()).map(|entry| entry.id).take(READ_AHEAD).collect();
        // One that is about to run reads its own row.
        if ids.len() < 2 {
            return Vec::new();
        }
        self.reading_ahead = true;
        ids
    }

    /// Rows that were read ahead, for the tasks that are still ready.
    pub(crate) fn keep(&mut self, rows: Vec<TaskRow>) {
        self.reading_ahead = false;
        for row in rows {
            let Some(Position::Ready { connection, channel, priority, revision }) = self.tasks.get(&row.id) else {
                continue;
            };
            // A row of another revision was changed since: a commit tells of it, or has told before it was read.
            if row.revision != *revision {
                continue;
            }
            let lane = self.queues.get_mut(connection).and_then(|queue| queue.lanes.get_mut(channel));
            let Some(entry) = lane.and_then(|lane| lane.ready.get_mut(&(*priority, row.id))) else { continue };
            if entry.row.is_none() {
                entry.row = Some(Arc::new(row));
                self.rows += 1;
            }
        }
    }

    /// A task runs at this moment.
    pub(crate) fn is_running(&self, id: TaskId) -> bool {
        matches!(self.tasks.get(&id), Some(Position::Running { .. }))
    }

    /// There is something to run, and room for it.
    pub(crate) fn has_runnable(&self) -> bool {
        self.in_code < self.concurrency && !self.turn.is_empty()
    }

    /// The code of a running task has ended, and it waits for the store; or it runs again. While one waits, the code
    /// of another can run: whether that one has waited for this.
    pub(crate) fn set_commits(&mut self, id: TaskId, now: bool) -> bool {
        let before = self.has_runnable();
        let Some(Position::Running { commits, .. }) = self.tasks.get_mut(&id) else { return false };
        match (std::mem::replace(commits, now), now) {
            (false, true) => self.in_code -= 1,
            (true, false) => self.in_code += 1,
            _ => {}
        }
        !before && self.has_runnable()
    }

    /// A run has ended; its commit, if there was one, has been applied before.
    pub(crate) fn finish(&mut self, id: TaskId, now: Timestamp) {
        let Some((next, entry)) = self.end(id) else { return };
        if let Some(row) = next {
            self.waits(&row, now);
        }
        self.take_turn(entry.connection);
    }

    /// A run did not come about, or its outcome could not be stored: it waits again, until then.
    pub(crate) fn put_back(&mut self, id: TaskId, until: Option<Timestamp>, now: Timestamp) {
        let Some((next, mut entry)) = self.end(id) else { return };
        if let Some(row) = next {
            self.waits(&row, now);
        } else if let Some(at) = until.filter(|at| *at > now) {
            entry.row = None;
            self.tasks.insert(entry.id, Position::Timer { at, revision: entry.revision });
            self.timers.insert((at, entry.id), entry.clone());
        } else {
            entry.row = None;
            self.make_ready(entry.clone());
        }
        self.take_turn(entry.connection);
    }

    /// A task runs no longer; what it was, and what it becomes.
    fn end(&mut self, id: TaskId) -> Option<(Option<Arc<TaskRow>>, Entry)> {
        let Some(Position::Running { next, entry, commits }) = self.tasks.remove(&id) else { return None };
        self.in_code -= usize::from(!commits);
        if let Some(queue) = self.queues.get_mut(&entry.connection) {
            queue.running = queue.running.saturating_sub(1);
            if let Some(lane) = queue.lanes.get_mut(&entry.channel) {
                lane.running = lane.running.saturating_sub(1);
            }
            queue.move_head(&entry.channel, None);
        }
        Some((next, entry))
    }

    /// Stops running tasks of a connection, or goes on with them. They wait meanwhile.
    pub(crate) fn set_parked(&mut self, connection: ConnectionId, parked: bool) {
        if parked {
            self.queues.entry(connection).or_default().parked = true;
        } else if let Some(queue) = self.queues.get_mut(&connection) {
            queue.parked = false;
            self.take_turn(connection);
        }
    }

    /// Makes the timers that are due ready.
    pub(crate) fn fire(&mut self, now: Timestamp) {
        if now < self.seen {
            self.set_back(now);
        }
        self.seen = now;
        while let Some(first) = self.timers.first_entry().filter(|first| first.key().0 <= now) {
            let entry = first.remove();
            self.make_ready(entry);
        }
    }

    /// The clock was set back. Who waits for an interval has no longer to wait than before; a time that somebody
    /// named comes when the clock shows it.
    fn set_back(&mut self, now: Timestamp) {
        let seen = self.seen;
        let waits = |entry: &Entry, at: Timestamp| {
            let left = at.duration_since(seen);
            entry.patience.filter(|patience| left <= *patience).and_then(|_| now.checked_add(left).ok())
        };
        let moved = self.timers.iter().filter_map(|((at, id), entry)| Some((*at, *id, waits(entry, *at)?)));
        for (at, id, to) in moved.collect::<Vec<_>>() {
            let Some(entry) = self.timers.remove(&(at, id)) else { continue };
            self.tasks.insert(id, Position::Timer { at: to, revision: entry.revision });
            self.timers.insert((to, id), entry);
        }
    }

    /// When the next timer is due, or more have to be read from the store.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        let first = self.timers.first_key_value().map(|((at, _), _)| *at);
        match (first, self.horizon) {
            (Some(first), Some((horizon, _))) => Some(first.min(horizon)),
            (first, horizon) => first.or(horizon.map(|(at, _)| at)),
        }
    }

    /// The position up to which timers are in memory, if there are more in the store.
    pub(crate) fn horizon(&self) -> Option<(Timestamp, TaskId)> {
        self.horizon
    }

    /// Sets it.
    pub(crate) fn set_horizon(&mut self, horizon: Option<(Timestamp, TaskId)>) {
        self.horizon = horizon;
    }

    fn remove(&mut self, id: TaskId) {
        match self.tasks.get_mut(&id) {
            None => {}
            Some(Position::Running { next, .. }) => *next = None,
            Some(Position::Timer { at, .. }) => {
                let at = *at;
                self.timers.remove(&(at, id));
                self.tasks.remove(&id);
            }
            Some(Position::Ready { .. }) => {
                let Some(Position::Ready { connection, channel, priority, .. }) = self.tasks.remove(&id) else {
                    return;
                };
                if let Some(queue) = self.queues.get_mut(&connection) {
                    if let Some(lane) = queue.lanes.get_mut(&channel) {
                        let old_head = lane.ready.first_key_value().map(|(place, _)| *place);
                        if let Some(entry) = lane.ready.remove(&(priority, id)) {
                            self.rows -= usize::from(entry.row.is_some());
                        }
                        queue.move_head(&channel, old_head);
                    }
                    self.take_turn(connection);
                }
            }
        }
    }

    fn remove_all(&mut self, connection: ConnectionId, channel: Option<&ChannelId>, except: Option<TaskId>) {
        let wanted = |entry: &Entry| {
            entry.connection == connection
                && Some(entry.id) != except
                && (channel.is_none() || entry.channel.as_ref() == channel)
        };
        let mut gone: HashSet<TaskId> =
            self.timers.values().filter(|entry| wanted(entry)).map(|entry| entry.id).collect();
        if let Some(queue) = self.queues.get(&connection) {
            gone.extend(
                queue
                    .lanes
                    .values()
                    .flat_map(|lane| lane.ready.values())
                    .filter(|entry| wanted(entry))
                    .map(|entry| entry.id),
            );
        }
        gone.extend(self.tasks.iter().filter_map(|(id, position)| match position {
            Position::Running { entry, .. } if wanted(entry) => Some(*id),
            _ => None,
        }));
        for id in gone {
            self.remove(id);
        }
    }

    /// When the task was due that is first in its lane and has waited longest, of those that are ready.
    pub(crate) fn oldest_due(&self) -> Option<Timestamp> {
        let lanes = self.queues.values().filter(|queue| !queue.parked).flat_map(|queue| queue.lanes.values());
        lanes.filter_map(|lane| lane.ready.values().next()).map(|entry| entry.due).min()
    }

    /// How many tasks are ready, wait for their time, and run.
    pub(crate) fn depths(&self) -> (usize, usize, usize) {
        let running = self.queues.values().map(|queue| queue.running).sum();
        (self.tasks.len() - self.timers.len() - running, self.timers.len(), running)
    }
}

impl Queue {
    /// Sets the head of a lane anew, after its first entry or its running count has changed.
    fn move_head(&mut self, channel: &Option<ChannelId>, old: Option<Place>) {
        if let Some(place) = old {
            self.heads.remove(&place);
        }
        let Some(lane) = self.lanes.get(channel) else { return };
        // Tasks of one channel run one at a time; those of none, side by side.
        let free = channel.is_none() || lane.running == 0;
        match lane.ready.first_key_value() {
            Some((place, _)) if free => {
                self.heads.insert(*place, channel.clone());
            }
            Some(_) => {}
            None if lane.running == 0 => {
                self.lanes.remove(channel);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod interleavings;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, connection: i64, channel: Option<&str>, priority: TaskPriority) -> TaskRow {
        TaskRow {
            id: TaskId::from_number(id),
            connection: ConnectionId::from_number(connection),
            run_at: None,
            attempt: 0,
            revision: 0,
            key: None,
            channel: channel.map(ChannelId::from),
            priority,
            every_ms: None,
            payload: bytes::Bytes::new(),
            errors: Vec::new(),
            nonce: None,
        }
    }

    fn scheduler(rows: impl IntoIterator<Item = TaskRow>) -> Scheduler {
        let mut scheduler = Scheduler::new(64, 4);
        for row in rows {
            scheduler.waits(&row, Timestamp::UNIX_EPOCH);
        }
        scheduler
    }

    fn run(scheduler: &mut Scheduler) -> Option<i64> {
        scheduler.next().map(|entry| entry.id.number())
    }

    fn finish(scheduler: &mut Scheduler, id: i64) {
        scheduler.finish(TaskId::from_number(id), Timestamp::UNIX_EPOCH);
    }

    /// R6.7
    #[test]
    fn connections_take_turns() {
        let background = TaskPriority::Incremental;
        let many = (1..=100).map(|id| row(id, 1, None, background));
        let mut scheduler = scheduler(many.chain([row(101, 2, None, background)]));
        assert_eq!([run(&mut scheduler), run(&mut scheduler)], [Some(1), Some(101)]);
    }

    /// Design 4: one at a time in a lane, by priority, then age; lanes side by side.
    #[test]
    fn a_lane_runs_one_at_a_time_by_priority_then_age() {
        let mut scheduler = scheduler([
            row(1, 1, Some("a"), TaskPriority::Backfill),
            row(2, 1, Some("a"), TaskPriority::Incremental),
            row(3, 1, Some("a"), TaskPriority::User),
            row(4, 1, Some("b"), TaskPriority::Backfill),
        ]);
        assert_eq!([run(&mut scheduler), run(&mut scheduler), run(&mut scheduler)], [Some(3), Some(4), None]);
        finish(&mut scheduler, 3);
        assert_eq!([run(&mut scheduler), run(&mut scheduler)], [Some(2), None]);
        finish(&mut scheduler, 2);
        assert_eq!(run(&mut scheduler), Some(1));
    }

    #[test]
    fn a_connection_runs_up_to_its_limit() {
        let mut scheduler = scheduler((1..=6).map(|id| row(id, 1, None, TaskPriority::User)));
        let started: Vec<_> = std::iter::from_fn(|| run(&mut scheduler)).collect();
        assert_eq!(started, [1, 2, 3, 4]);
        finish(&mut scheduler, 2);
        assert_eq!([run(&mut scheduler), run(&mut scheduler)], [Some(5), None]);
    }

    #[test]
    fn while_one_waits_for_the_store_the_code_of_another_runs() {
        let mut scheduler = Scheduler::new(2, 4);
        for id in 1..=6 {
            scheduler.waits(&row(id, id, None, TaskPriority::User), Timestamp::UNIX_EPOCH);
        }
        assert_eq!([run(&mut scheduler), run(&mut scheduler), run(&mut scheduler)], [Some(1), Some(2), None]);
        assert!(!scheduler.has_runnable());
        assert!(scheduler.set_commits(TaskId::from_number(1), true), "there is room for one that waits for it");
        assert!(!scheduler.set_commits(TaskId::from_number(2), true), "and the room was known by then");
        assert_eq!([run(&mut scheduler), run(&mut scheduler), run(&mut scheduler)], [Some(3), Some(4), None]);
        // It was refused, and runs again at once.
        scheduler.set_commits(TaskId::from_number(1), false);
        finish(&mut scheduler, 3);
        assert_eq!(run(&mut scheduler), None);
        finish(&mut scheduler, 2);
        assert_eq!(run(&mut scheduler), None, "the end of a commit makes no more room");
        finish(&mut scheduler, 1);
        assert_eq!([run(&mut scheduler), run(&mut scheduler)], [Some(5), None]);
        finish(&mut scheduler, 4);
        finish(&mut scheduler, 5);
        assert_eq!(run(&mut scheduler), Some(6));
        finish(&mut scheduler, 6);
        assert_eq!((scheduler.in_code, scheduler.depths()), (0, (0, 0, 0)));
    }

    #[test]
    fn what_is_read_at_the_start_yields_to_what_is_known() {
        let gone = |id| TaskChange::Gone(TaskId::from_number(id));
        let (now, user) = (Timestamp::UNIX_EPOCH, TaskPriority::User);
        let mut scheduler = Scheduler::new(64, 64);
        let read = scheduler.begin_read();
        scheduler.take_read(&read, &[row(1, 1, None, user), row(2, 1, None, user)], now);
        scheduler.end_read(read);
        assert_eq!(run(&mut scheduler), Some(1));
        // Meanwhile: one that was read is cancelled, one that was not is, one is put off, all of a channel go but one.
        let later = TaskRow { run_at: Some(Timestamp::MAX), ..row(4, 1, None, user) };
        let all = TaskChange::AllGone {
            connection: ConnectionId::from_number(2),
            channel: Some("a".into()),
            except: Some(TaskId::from_number(6)),
        };
        let read = scheduler.begin_read();
        scheduler.apply(&[gone(1), gone(2), gone(3), TaskChange::Waits(later), all], now);
        finish(&mut scheduler, 1);
        let rows = [
            row(3, 1, None, user),
            row(4, 1, None, user),
            row(5, 2, Some("a"), user),
            row(6, 2, Some("a"), user),
            row(7, 2, Some("b"), user),
            row(8, 3, Some("a"), user),
        ];
        scheduler.take_read(&read, &rows, now);
        scheduler.end_read(read);
        let mut ran: Vec<_> = std::iter::from_fn(|| run(&mut scheduler)).collect();
        ran.sort_unstable();
        assert_eq!((ran, scheduler.depths()), (vec![6, 7, 8], (0, 1, 3)));
    }

    /// R3.7
    #[test]
    fn a_parked_connection_waits_and_goes_on() {
        let mut scheduler = scheduler([row(1, 1, None, TaskPriority::User), row(2, 1, None, TaskPriority::User)]);
        assert_eq!(run(&mut scheduler), Some(1));
        scheduler.set_parked(ConnectionId::from_number(1), true);
        scheduler.put_back(TaskId::from_number(1), None, Timestamp::UNIX_EPOCH);
        assert_eq!(run(&mut scheduler), None);
        scheduler.set_parked(ConnectionId::from_number(1), false);
        assert_eq!([run(&mut scheduler), run(&mut scheduler)], [Some(1), Some(2)]);
    }

    /// A task that could not be stored is not run hot, and is not forgotten.
    #[test]
    fn a_task_that_is_put_back_runs_when_its_time_has_come() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        for (until, waits) in [(None, false), (Some(4), false), (Some(5), false), (Some(6), true), (Some(90), true)] {
            let mut scheduler = scheduler([row(1, 1, Some("a"), TaskPriority::User)]);
            scheduler.fire(at(5));
            assert_eq!(run(&mut scheduler), Some(1));
            scheduler.put_back(TaskId::from_number(1), until.map(at), at(5));
            if waits {
                assert_eq!((run(&mut scheduler), scheduler.next_timer()), (None, until.map(at)), "until {until:?}");
                scheduler.fire(at(until.unwrap() - 1));
                assert_eq!(run(&mut scheduler), None, "until {until:?}");
                scheduler.fire(at(until.unwrap()));
            }
            assert_eq!((run(&mut scheduler), scheduler.next_timer()), (Some(1), None), "until {until:?}");
            finish(&mut scheduler, 1);
            assert_eq!(scheduler.depths(), (0, 0, 0), "until {until:?}");
        }
    }

    #[test]
    fn what_is_scheduled_anew_while_it_runs_runs_again() {
        let mut scheduler = scheduler([row(1, 1, Some("a"), TaskPriority::User)]);
        assert_eq!(run(&mut scheduler), Some(1));
        scheduler.waits(&row(1, 1, Some("a"), TaskPriority::User), Timestamp::UNIX_EPOCH);
        assert_eq!(run(&mut scheduler), None);
        finish(&mut scheduler, 1);
        assert_eq!(run(&mut scheduler), Some(1));
        finish(&mut scheduler, 1);
        assert_eq!(run(&mut scheduler), None);
        assert_eq!(scheduler.depths(), (0, 0, 0));
        assert!(scheduler.queues.is_empty());
    }

    #[test]
    fn timers_fire_in_time_and_removed_ones_do_not() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut scheduler = Scheduler::new(64, 4);
        for (id, seconds) in [(1, 30), (2, 10), (3, 20)] {
            scheduler.waits(&TaskRow { run_at: Some(at(seconds)), ..row(id, 1, None, TaskPriority::User) }, at(0));
        }
        scheduler.apply(&[TaskChange::Gone(TaskId::from_number(3))], at(0));
        assert_eq!(scheduler.next_timer(), Some(at(10)));
        scheduler.fire(at(25));
        assert_eq!([run(&mut scheduler), run(&mut scheduler)], [Some(2), None]);
        scheduler.fire(at(30));
        assert_eq!(run(&mut scheduler), Some(1));
    }
}
