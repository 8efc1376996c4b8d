//! A scripted store: commits, what is told of them, reads, runs and time in any order. Whatever the order, the queue
//! never goes back to an older row, and in the end each task of the store has run.

use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// Rows that a read of the script returns at once.
const PAGE: usize = 2;

/// Timers that the script keeps in memory.
const MAX_TIMERS: usize = 3;

/// What happens next; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    /// A task is committed: in which connection and channel, and due in how many seconds.
    Put(u8, u8, u8),
    /// A task is replaced: which one, and due in how many seconds.
    Replace(u8, u8),
    Delete(u8),
    DeleteAll(u8, u8),
    /// The queue is told of the oldest commit of which it was not.
    Tell,
    /// A read begins: of the tasks that are due at once, or of timers.
    BeginRead(bool),
    /// The store answers a read.
    Answer(u8),
    /// The queue gets the rows of a read.
    Deliver(u8),
    /// Rows of tasks that run soon are read at once.
    ReadAhead,
    Run,
    /// A running task ends: which one, and what becomes of it.
    End(u8, u8),
    /// Seconds pass.
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3u8, 0..3u8, 0..40u8).prop_map(|(connection, channel, due)| Step::Put(connection, channel, due)),
        2 => (any::<u8>(), 0..40u8).prop_map(|(which, due)| Step::Replace(which, due)),
        1 => any::<u8>().prop_map(Step::Delete),
        1 => (0..3u8, 0..3u8).prop_map(|(connection, channel)| Step::DeleteAll(connection, channel)),
        4 => Just(Step::Tell),
        2 => any::<bool>().prop_map(Step::BeginRead),
        3 => any::<u8>().prop_map(Step::Answer),
        3 => any::<u8>().prop_map(Step::Deliver),
        1 => Just(Step::ReadAhead),
        4 => Just(Step::Run),
        3 => (any::<u8>(), 0..3u8).prop_map(|(which, then)| Step::End(which, then)),
        1 => (0..30u8).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..120)
}

/// A read that is under way.
struct Pending {
    read: Read,
    timers: bool,
    /// Position after which it reads.
    after: (Timestamp, TaskId),
    rows: Option<Vec<TaskRow>>,
}

/// A run that is under way.
struct Running {
    entry: Entry,
    row: TaskRow,
    /// It has ended, and its end was not told of yet.
    ending: bool,
}

struct Script {
    scheduler: Scheduler,
    now: Timestamp,
    store: BTreeMap<TaskId, TaskRow>,
    last_id: i64,
    last_revision: i64,
    /// Commits of which the queue was not told, each with the task whose run it ended.
    untold: VecDeque<(Vec<TaskChange>, Option<TaskId>)>,
    reads: Vec<Pending>,
    timers_read: usize,
    running: Vec<Running>,
    /// The greatest revision of each task that the queue was told of.
    told: HashMap<TaskId, i64>,
}

impl Script {
    fn new(before: u8) -> Self {
        let mut script = Self {
            scheduler: Scheduler::new(8, 4),
            now: Timestamp::UNIX_EPOCH,
            store: BTreeMap::new(),
            last_id: 0,
            last_revision: 0,
            untold: VecDeque::new(),
            reads: Vec::new(),
            timers_read: 0,
            running: Vec::new(),
            told: HashMap::new(),
        };
        // These were in the store before the queue was there.
        for number in 0..before {
            script.put(number % 3, number % 2, (number % 4) * 9);
        }
        script.untold.clear();
        script.scheduler.begin_loading(TaskId::from_number(script.last_id + 1));
        script.begin_read(false);
        script.begin_read(true);
        script
    }

    fn run_at(&self, due: u8) -> Option<Timestamp> {
        (due > 0).then(|| self.now + SignedDuration::from_secs(due.into()))
    }

    fn channel(channel: u8) -> Option<ChannelId> {
        match channel {
            0 => None,
            channel => Some(ChannelId::from(format!("c{channel}"))),
        }
    }

    fn put(&mut self, connection: u8, channel: u8, due: u8) {
        self.last_id += 1;
        self.last_revision += 1;
        let row = TaskRow {
            id: TaskId::from_number(self.last_id),
            connection: ConnectionId::from_number(connection.into()),
            run_at: self.run_at(due),
            attempt: 0,
            revision: self.last_revision,
            key: None,
            channel: Self::channel(channel),
            priority: TaskPriority::Incremental,
            every_ms: None,
            payload: bytes::Bytes::new(),
            errors: Vec::new(),
            nonce: None,
        };
        self.store.insert(row.id, row.clone());
        self.untold.push_back((vec![TaskChange::Waits(row)], None));
    }

    fn choose(&self, which: u8) -> Option<TaskId> {
        let count = self.store.len().max(1);
        self.store.keys().nth(usize::from(which) % count).copied()
    }

    fn changed(&mut self, id: TaskId, run_at: Option<Timestamp>) -> Option<TaskRow> {
        self.last_revision += 1;
        let row = self.store.get_mut(&id)?;
        row.run_at = run_at;
        row.revision = self.last_revision;
        Some(row.clone())
    }

    fn tell(&mut self) {
        let Some((changes, ended)) = self.untold.pop_front() else { return };
        for change in &changes {
            if let TaskChange::Waits(row) = change {
                self.told.insert(row.id, row.revision);
            }
        }
        let known: Vec<_> =
            self.told.keys().filter_map(|id| Some((*id, self.scheduler.known_revision(*id)?))).collect();
        self.scheduler.apply(&changes, self.now);
        for (id, before) in known {
            let after = self.scheduler.known_revision(id);
            // A commit that removed all tasks of a channel may be told of after a read has brought one that came later.
            // The queue forgets that one until it is told of the commit that made it.
            let removed = changes.iter().any(|change| !matches!(change, TaskChange::Waits(_)));
            assert!(removed || after.is_none_or(|after| after >= before), "{id} goes back from {before} to {after:?}");
        }
        // Only now the commit answers, and the run ends.
        if let Some(id) = ended {
            self.running.retain(|running| running.entry.id != id);
            self.scheduler.finish(id, self.now);
        }
    }

    fn begin_read(&mut self, timers: bool) {
        if timers {
            if self.reads.iter().any(|pending| pending.timers) {
                return;
            }
            let after = self.scheduler.horizon().unwrap_or((Timestamp::MIN, TaskId::from_number(0)));
            self.timers_read = 0;
            self.begin_timer_page(after);
        } else if let Some((after, _)) = self.scheduler.loading()
            && !self.reads.iter().any(|pending| !pending.timers)
        {
            let read = self.scheduler.begin_read();
            self.reads.push(Pending { read, timers, after: (Timestamp::MIN, after), rows: None });
        }
    }

    fn begin_timer_page(&mut self, after: (Timestamp, TaskId)) {
        self.scheduler.set_horizon(None);
        let read = self.scheduler.begin_read();
        self.reads.push(Pending { read, timers: true, after, rows: None });
    }

    fn answer(&mut self, which: u8) {
        let count = self.reads.len().max(1);
        let Some(pending) = self.reads.get_mut(usize::from(which) % count) else { return };
        if pending.rows.is_some() {
            return;
        }
        let mut rows: Vec<_> = if pending.timers {
            let timers = self.store.values().filter_map(|row| Some((row.run_at?, row)));
            let mut timers: Vec<_> = timers.filter(|(at, row)| (*at, row.id) > pending.after).collect();
            timers.sort_by_key(|(at, row)| (*at, row.id));
            timers.into_iter().map(|(_, row)| row.clone()).collect()
        } else {
            let due = self.store.values().filter(|row| row.run_at.is_none() && row.id > pending.after.1);
            due.cloned().collect()
        };
        rows.truncate(PAGE);
        pending.rows = Some(rows);
    }

    fn deliver(&mut self, which: u8) {
        let count = self.reads.len().max(1);
        let index = usize::from(which) % count;
        if self.reads.get(index).is_none_or(|pending| pending.rows.is_none()) {
            return;
        }
        let Pending { read, timers, after, rows } = self.reads.swap_remove(index);
        let rows = rows.unwrap_or_default();
        let full = rows.len() == PAGE;
        let end = self.scheduler.loading().map(|(_, end)| end);
        let taken: Vec<_> = rows.iter().filter(|row| timers || end.is_some_and(|end| row.id < end)).cloned().collect();
        self.scheduler.take_read(&read, &taken, self.now);
        self.scheduler.end_read(read);
        if timers {
            self.timers_read += rows.len();
            let last = rows.last().and_then(|row| Some((row.run_at?, row.id))).unwrap_or(after);
            if full && self.timers_read >= MAX_TIMERS {
                self.scheduler.set_horizon(Some(last));
            } else if full {
                self.begin_timer_page(last);
            }
        } else if let Some(last) = rows.last().filter(|_| full && taken.len() == PAGE) {
            self.scheduler.loaded_up_to(last.id);
            self.begin_read(false);
        } else {
            self.scheduler.end_loading();
        }
    }

    fn run(&mut self) -> bool {
        let Some(entry) = self.scheduler.next() else { return false };
        assert!(self.running.iter().all(|running| running.entry.id != entry.id), "{} runs twice at once", entry.id);
        let row = match &entry.row {
            Some(row) => TaskRow::clone(row),
            None => match self.store.get(&entry.id) {
                Some(row) if row.revision == entry.revision => row.clone(),
                _ => {
                    self.scheduler.finish(entry.id, self.now);
                    return true;
                }
            },
        };
        assert_eq!(row.revision, entry.revision, "{} runs with a row that the queue does not know", row.id);
        let told = self.told.get(&row.id).copied().unwrap_or_default();
        assert!(row.revision >= told, "{} runs with revision {}, and {told} was told", row.id, row.revision);
        self.running.push(Running { entry, row, ending: false });
        true
    }

    fn end(&mut self, which: u8, then: u8) {
        let count = self.running.len().max(1);
        let index = usize::from(which) % count;
        let Some(running) = self.running.get_mut(index).filter(|running| !running.ending) else { return };
        let (id, revision) = (running.row.id, running.row.revision);
        running.ending = true;
        let change = match self.store.get(&id) {
            // The commit is refused, and the run ends without one.
            None => {
                self.running.remove(index);
                self.scheduler.finish(id, self.now);
                return;
            }
            Some(row) if row.revision != revision => TaskChange::Waits(row.clone()),
            Some(_) if then == 0 => {
                self.store.remove(&id);
                TaskChange::Gone(id)
            }
            Some(_) => match self.changed(id, self.run_at(then * 7)) {
                Some(row) => TaskChange::Waits(row),
                None => return,
            },
        };
        self.untold.push_back((vec![change], Some(id)));
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Put(connection, channel, due) => self.put(connection, channel, due),
            Step::Replace(which, due) => {
                let run_at = self.run_at(due);
                if let Some(row) = self.choose(which).and_then(|id| self.changed(id, run_at)) {
                    self.untold.push_back((vec![TaskChange::Waits(row)], None));
                }
            }
            Step::Delete(which) => {
                if let Some(id) = self.choose(which) {
                    self.store.remove(&id);
                    self.untold.push_back((vec![TaskChange::Gone(id)], None));
                }
            }
            Step::DeleteAll(connection, channel) => {
                let (connection, channel) = (ConnectionId::from_number(connection.into()), Self::channel(channel));
                self.store
                    .retain(|_, row| row.connection != connection || (channel.is_some() && row.channel != channel));
                self.untold.push_back((vec![TaskChange::AllGone { connection, channel, except: None }], None));
            }
            Step::Tell => self.tell(),
            Step::BeginRead(timers) => {
                if !timers || self.scheduler.horizon().is_some_and(|(at, _)| at <= self.now) {
                    self.begin_read(timers);
                }
            }
            Step::Answer(which) => self.answer(which),
            Step::Deliver(which) => self.deliver(which),
            Step::ReadAhead => {
                let ids = self.scheduler.read_ahead();
                if !ids.is_empty() {
                    let rows = ids.iter().filter_map(|id| self.store.get(id).cloned()).collect();
                    self.scheduler.keep(rows);
                }
            }
            Step::Run => {
                self.run();
            }
            Step::End(which, then) => self.end(which, then),
            Step::Pass(seconds) => {
                self.now += SignedDuration::from_secs(seconds.into());
                self.scheduler.fire(self.now);
            }
        }
    }

    /// Everything that is under way comes to its end; then whatever is due runs, until nothing is left.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            while !self.untold.is_empty() {
                self.tell();
            }
            while !self.reads.is_empty() {
                self.answer(0);
                self.deliver(0);
            }
            while self.run() {}
            while let Some(index) = self.running.iter().position(|running| !running.ending) {
                self.end(u8::try_from(index).unwrap_or_default(), 0);
            }
            if self.untold.is_empty() && self.running.is_empty() && !self.scheduler.has_runnable() {
                let Some(next) = self.scheduler.next_timer() else { return };
                self.now = self.now.max(next);
                self.scheduler.fire(self.now);
                if self.scheduler.horizon().is_some_and(|(at, _)| at <= self.now) {
                    self.begin_read(true);
                }
            }
        }
        panic!("the queue does not come to rest: {:?}", self.scheduler);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn each_task_runs_whatever_overtakes_what(before in 0..12u8, steps in steps()) {
        let mut script = Script::new(before);
        for step in &steps {
            script.take(step);
        }
        script.come_to_rest();
        prop_assert!(script.store.is_empty(), "these never run: {:?}", script.store);
        prop_assert_eq!(script.scheduler.depths(), (0, 0, 0));
    }
}
