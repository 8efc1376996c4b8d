//! Which task runs next: lanes, priorities, fairness between connections, timers (design 4).
//!
//! Everything here is in memory and follows from the store, which has the truth: it is filled from
//! there at the start, and fed with what each commit changed.

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
    },
    Timer(Timestamp),
    /// Runs; and what it becomes when it has ended.
    Running {
        next: Option<Arc<TaskRow>>,
        entry: Entry,
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
    reading: bool,
    /// Timers up to here are in memory; those beyond are in the store. None: all are.
    horizon: Option<(Timestamp, TaskId)>,
    /// The time at the last look.
    seen: Timestamp,
    per_connection: usize,
}

impl Scheduler {
    /// A queue that runs at most this many tasks of one connection side by side.
    pub(crate) fn new(per_connection: usize) -> Self {
        Self { per_connection: per_connection.max(1), ..Self::default() }
    }

    /// Takes over what a commit changed.
    pub(crate) fn apply(&mut self, changes: &[TaskChange], now: Timestamp) {
        for change in changes {
            match change {
                TaskChange::Waits(row) => self.waits(row, now),
                TaskChange::Gone(id) => self.remove(*id),
                TaskChange::AllGone { connection, channel, except } => {
                    self.remove_all(*connection, channel.as_ref(), *except)
                }
            }
        }
    }

    /// A task waits, as this row says.
    pub(crate) fn waits(&mut self, row: &TaskRow, now: Timestamp) {
        if let Some(Position::Running { next, .. }) = self.tasks.get_mut(&row.id) {
            *next = Some(Arc::new(row.clone()));
            return;
        }
        self.remove(row.id);
        let mut entry = Entry {
            id: row.id,
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
        self.tasks.insert(entry.id, Position::Timer(at));
        self.timers.insert((at, entry.id), entry);
    }

    fn make_ready(&mut self, entry: Entry) {
        let (connection, channel, priority) = (entry.connection, entry.channel.clone(), entry.priority);
        self.tasks.insert(entry.id, Position::Ready { connection, channel: channel.clone(), priority });
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
            self.tasks.insert(entry.id, Position::Running { next: None, entry: entry.clone() });
            self.take_turn(connection);
            return Some(entry);
        }
        None
    }

    /// Tasks that run soon and whose rows should be read now, all at once; empty if there are enough, or
    /// others are being read. Whoever gets some gives the rows to [`keep`](Self::keep).
    pub(crate) fn read_ahead(&mut self) -> Vec<TaskId> {
        if self.reading || self.rows >= FEW_ROWS || self.turn.is_empty() {
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
        self.reading = true;
        ids
    }

    /// Rows that were read ahead, for the tasks that are still ready.
    pub(crate) fn keep(&mut self, rows: Vec<TaskRow>) {
        self.reading = false;
        for row in rows {
            let Some(Position::Ready { connection, channel, priority }) = self.tasks.get(&row.id) else { continue };
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

    /// There is something to run.
    pub(crate) fn has_runnable(&self) -> bool {
        !self.turn.is_empty()
    }

    /// A run has ended; its commit, if there was one, has been applied before.
    pub(crate) fn finish(&mut self, id: TaskId, now: Timestamp) {
        let Some(Position::Running { next, entry }) = self.tasks.remove(&id) else { return };
        self.release(&entry);
        if let Some(row) = next {
            self.waits(&row, now);
        }
        self.take_turn(entry.connection);
    }

    /// A run did not come about, or its outcome could not be stored: it waits again, until then.
    pub(crate) fn put_back(&mut self, id: TaskId, until: Option<Timestamp>, now: Timestamp) {
        let Some(Position::Running { next, mut entry }) = self.tasks.remove(&id) else { return };
        self.release(&entry);
        if let Some(row) = next {
            self.waits(&row, now);
        } else if let Some(at) = until.filter(|at| *at > now) {
            entry.row = None;
            self.tasks.insert(entry.id, Position::Timer(at));
            self.timers.insert((at, entry.id), entry.clone());
        } else {
            entry.row = None;
            self.make_ready(entry.clone());
        }
        self.take_turn(entry.connection);
    }

    fn release(&mut self, entry: &Entry) {
        let Some(queue) = self.queues.get_mut(&entry.connection) else { return };
        queue.running = queue.running.saturating_sub(1);
        if let Some(lane) = queue.lanes.get_mut(&entry.channel) {
            lane.running = lane.running.saturating_sub(1);
        }
        queue.move_head(&entry.channel, None);
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
            self.tasks.insert(id, Position::Timer(to));
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
            Some(Position::Timer(at)) => {
                let at = *at;
                self.timers.remove(&(at, id));
                self.tasks.remove(&id);
            }
            Some(Position::Ready { .. }) => {
                let Some(Position::Ready { connection, channel, priority }) = self.tasks.remove(&id) else { return };
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
        }
    }

    fn scheduler(rows: impl IntoIterator<Item = TaskRow>) -> Scheduler {
        let mut scheduler = Scheduler::new(4);
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
        let mut scheduler = Scheduler::new(4);
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
