use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use connector_core::engine::{CommitError, Committed, EngineError, EngineResult, WriteSet};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::announcer::Announcer;
use super::apply::Apply;
use super::fail::{Fail, Refusal};
use super::ids::Ids;
use super::lock::LockFile;
use super::presence::Presence;
use super::search::Index;
use super::statements::Statements;

/// More sets than this in one transaction save nothing more (storage.md, 2).
const GROUP_SETS: usize = 512;

/// More than this would make those that wait for the group wait long.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// A savepoint costs a copy of each page that the set changes. Refusals are rare: so there are none, and a group of
/// which one is refused midway is written anew, with them. Refusals come in bursts: so are as many groups after it.
const GROUPS_WITH_SAVEPOINTS: u32 = 32;

/// From this many sets on, a group is announced on the runtime.
const MANY_ANSWERS: usize = 8;

pub(super) type Outcome = Result<Committed, CommitError>;

/// A set that is to be committed.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) set: WriteSet,
    pub(super) documents: Vec<String>,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What became of a set, and the set, for another thread than the one that writes to free it.
pub(super) type Answer = (Outcome, WriteSet, Vec<String>);

/// What the writer is asked to do.
pub(super) enum Message {
    Commit(Job),
    /// Stores a new bound of the ids.
    ReserveIds,
    /// Answers when everything that was committed before is in the index of searches.
    Index(oneshot::Sender<EngineResult<()>>),
    /// Ends, after what was sent before; as a proper close, if someone waits for one.
    Stop(Option<oneshot::Sender<EngineResult<()>>>),
}

/// What the writer has done since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) commits: AtomicU64,
    pub(super) sets: AtomicU64,
    pub(super) wal_pages: AtomicU64,
    pub(super) checkpoints: AtomicU64,
}

/// The one thread that writes.
///
/// It commits what waits as one group: what arrived while the disk was busy with the group before.
/// So nothing waits for a timer, and the more there is to do, the more goes into one wait for the disk.
pub(super) struct Writer {
    pub(super) database: Arc<str>,
    pub(super) ids: Arc<Ids>,
    pub(super) lock: Arc<LockFile>,
    pub(super) presence: Presence,
    pub(super) tally: Arc<Tally>,
    pub(super) feed_end: u64,
    /// Pages in the write-ahead log after the last commit; -1 when that was looked at. SQLite tells it.
    pub(super) log_pages: Arc<AtomicI64>,
    pub(super) log: Log,
    /// Groups that are still to be written with a savepoint for each set, as one was refused not long ago.
    pub(super) refused_of_late: u32,
    pub(super) announcer: Arc<Announcer>,
    /// What is to be indexed for searches.
    pub(super) index: Index,
    /// The runtime on which callers wait for their commits; `None` means that the store was opened outside of one.
    pub(super) runtime: Option<Handle>,
}

/// What is committed together.
#[derive(Default)]
struct Group {
    jobs: Vec<Job>,
    bytes: usize,
    /// A new bound of the ids is asked for.
    reserve: bool,
    /// Who waits for the index of searches.
    index: Vec<oneshot::Sender<EngineResult<()>>>,
    /// Nothing comes after it; whom to answer, if someone waits for the end.
    stop: Option<Option<oneshot::Sender<EngineResult<()>>>>,
}

impl Group {
    fn is_full(&self) -> bool {
        self.stop.is_some() || self.jobs.len() >= GROUP_SETS || self.bytes >= GROUP_BYTES
    }

    fn add(&mut self, message: Message) {
        match message {
            Message::Commit(job) => {
                self.bytes += job.bytes;
                self.jobs.push(job);
            }
            Message::ReserveIds => self.reserve = true,
            Message::Index(answer) => self.index.push(answer),
            Message::Stop(answer) => self.stop = Some(answer),
        }
    }

    /// Takes what has come, as far as there is room.
    fn take(&mut self, waiting: &Receiver<Message>) {
        while !self.is_full() {
            match waiting.try_recv() {
                Ok(message) => self.add(message),
                // One that nobody can send to any more is found by who waits for a message.
                Err(_) => return,
            }
        }
    }
}

/// How full the write-ahead log is.
pub(super) struct Log {
    /// Pages after the last commit.
    pages: i64,
    /// From this many pages on they are moved to the database.
    limit: i64,
    /// At this many pages it is tried next.
    next_try: i64,
}

impl Log {
    pub(super) fn new(limit: i64) -> Self {
        Self { pages: 0, limit, next_try: limit }
    }
}

impl Writer {
    /// Serves until it is told to stop, and closes the connection.
    pub(super) fn run(mut self, connection: Connection, waiting: &Receiver<Message>) {
        let db = Statements::new(&connection);
        let answer = self.serve(&db, waiting);
        let marked = match &answer {
            Some(_) => self.mark_clean(&db),
            None => Ok(()),
        };
        drop(db);
        self.end(connection, marked, answer);
    }

    /// Commits what comes, until it is told to stop; whom to answer, if it is.
    fn serve(&mut self, db: &Statements<'_>, waiting: &Receiver<Message>) -> Option<oneshot::Sender<EngineResult<()>>> {
        let mut group = Group::default();
        loop {
            group.add(self.next(db, waiting)?);
            // And what came while the disk was busy with the group before.
            group.take(waiting);
            if !group.jobs.is_empty() || group.reserve {
                let begun = Instant::now();
                self.commit_group(db, &mut group.jobs);
                if self.index.is_due(begun.elapsed()) {
                    self.index_batch(db);
                }
            }
            for answer in group.index.drain(..) {
                self.index_all(db, answer);
            }
            if let Some(answer) = group.stop.take() {
                return answer;
            }
            (group.bytes, group.reserve) = (0, false);
        }
    }

    /// The next message. Indexes while there is none.
    fn next(&mut self, db: &Statements<'_>, waiting: &Receiver<Message>) -> Option<Message> {
        while let Some(pause) = self.index.pause() {
            match waiting.recv_timeout(pause) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => self.index_batch(db),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        waiting.recv().ok()
    }

    fn index_all(&mut self, db: &Statements<'_>, answer: oneshot::Sender<EngineResult<()>>) {
        let mut indexed = Ok(());
        while indexed.is_ok() && self.index.pause().is_some() {
            indexed = self.try_index(db).map_err(|fail| fail.into_engine(&self.database));
        }
        if answer.send(indexed).is_err() {
            tracing::trace!("nobody waits for the index of searches");
        }
    }

    fn index_batch(&mut self, db: &Statements<'_>) {
        if let Err(fail) = self.try_index(db) {
            self.index.failed();
            tracing::error!(%fail, database = %self.database, "the index of searches stays behind: it is tried again");
        }
    }

    /// Indexes some rows, whole or not at all.
    fn try_index(&mut self, db: &Statements<'_>) -> Result<(), Fail> {
        let stored = begin(db).and_then(|()| self.index.batch(db)).and_then(|batch| commit(db).map(|()| batch));
        match stored {
            Ok(batch) => {
                self.index.indexed(&batch);
                self.note_pages();
                self.checkpoint_if_full(db);
                Ok(())
            }
            Err(fail) => {
                roll_back(db);
                Err(fail)
            }
        }
    }

    fn end(self, connection: Connection, marked: Result<(), Fail>, answer: Option<oneshot::Sender<EngineResult<()>>>) {
        let Self { database, lock, .. } = self;
        // The last connection that closes moves the log to the database and removes it.
        let closed = connection.close().map_err(|(_, error)| Fail::from(error));
        let released = lock
            .release()
            .map_err(|error| EngineError::Failed(format!("{database}: its lock file cannot be released: {error}")));
        let ended = marked.and(closed).map_err(|fail| fail.into_engine(&database)).and(released);
        match answer {
            Some(answer) => {
                if answer.send(ended).is_err() {
                    tracing::debug!(%database, "nobody waited for the database to close");
                }
            }
            None => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "the database was not closed properly");
                }
            }
        }
    }

    fn mark_clean(&self, db: &Statements<'_>) -> Result<(), Fail> {
        self.presence.check()?;
        begin(db)?;
        let stored = store_bound(db, self.ids.next())
            .and_then(|()| Ok(db.run("UPDATE meta SET value = 1 WHERE name = 'clean'", [])?))
            .and_then(|_| commit(db));
        if stored.is_err() {
            roll_back(db);
        }
        stored
    }

    /// Commits these sets as one transaction, and answers each.
    fn commit_group(&mut self, db: &Statements<'_>, group: &mut Vec<Job>) {
        // Rows of one connection are neighbours: together, they share pages. Its own sets stay in their order.
        group.sort_by_key(|job| job.set.connection);
        match self.try_group(db, group) {
            Ok(outcomes) => {
                let many = outcomes.len() >= MANY_ANSWERS;
                let due = self.announcer.add(group.drain(..).zip(outcomes).collect());
                // To wake many from this thread costs as much as to write what they stored; from one of those that
                // run them, next to nothing. A runtime that has ended drops the future at once, which announces too.
                match &self.runtime {
                    Some(runtime) if many => {
                        runtime.spawn(async move { drop(due) });
                    }
                    _ => drop(due),
                }
            }
            Err(fail) if group.len() > 1 && !fail.concerns_all() => {
                tracing::debug!(%fail, "a group of commits failed: each alone");
                for job in group.drain(..) {
                    let alone = std::slice::from_ref(&job);
                    let outcome = match self.try_group(db, alone) {
                        Ok(outcomes) => outcomes.into_iter().next().unwrap_or_else(|| Ok(Committed::default())),
                        Err(fail) => Err(fail.into_engine(&self.database).into()),
                    };
                    drop(self.announcer.add(vec![(job, outcome)]));
                }
            }
            Err(fail) => {
                let error = fail.into_engine(&self.database);
                tracing::error!(%error, sets = group.len(), "a group of commits failed");
                drop(self.announcer.add(group.drain(..).map(|job| (job, Err(error.clone().into()))).collect()));
            }
        }
        // After the answers: nobody has to wait for it.
        self.checkpoint_if_full(db);
    }

    /// Commits these sets, and says what became of each; or stores nothing at all.
    fn try_group(&mut self, db: &Statements<'_>, group: &[Job]) -> Result<Vec<Outcome>, Fail> {
        let feed_end = self.feed_end;
        loop {
            let savepoints = self.refused_of_late > 0;
            let stored = self.presence.check().and_then(|()| begin(db));
            let stored = stored.and_then(|()| self.apply_and_commit(db, group, savepoints));
            if !matches!(stored, Ok(Some(_))) {
                self.ids.answered(None);
                self.feed_end = feed_end;
                roll_back(db);
            }
            match stored {
                Ok(Some(outcomes)) => {
                    if savepoints && outcomes.iter().all(Result::is_ok) {
                        self.refused_of_late -= 1;
                    }
                    return Ok(outcomes);
                }
                Ok(None) => self.refused_of_late = GROUPS_WITH_SAVEPOINTS,
                Err(fail) => return Err(fail),
            }
        }
    }

    /// None if a set was refused that is written in part, and has no savepoint to go back to.
    fn apply_and_commit(
        &mut self,
        db: &Statements<'_>,
        group: &[Job],
        savepoints: bool,
    ) -> Result<Option<Vec<Outcome>>, Fail> {
        let mut outcomes = Vec::with_capacity(group.len());
        let mut accepted = 0;
        for job in group {
            let before = db.connection().total_changes();
            let outcome = match self.apply(db, job, savepoints) {
                Ok(committed) => Ok(committed),
                Err(Refusal::Refused(_)) if !savepoints && db.connection().total_changes() != before => {
                    return Ok(None);
                }
                Err(Refusal::Refused(error)) => Err(error),
                Err(Refusal::Fail(fail)) => return Err(fail),
            };
            accepted += u64::from(outcome.is_ok());
            outcomes.push(outcome);
        }
        let bound = self.ids.new_bound();
        if let Some(bound) = bound {
            store_bound(db, bound)?;
        }
        commit(db)?;
        self.presence.check()?;
        self.ids.answered(bound);
        self.tally.sets.fetch_add(accepted, Ordering::Relaxed);
        // A count of sets fits; beyond it, nobody cares.
        metrics::histogram!("connectors_commit_group_sets")
            .record(f64::from(u32::try_from(accepted).unwrap_or(u32::MAX)));
        self.count_pages();
        Ok(Some(outcomes))
    }

    fn apply(&mut self, db: &Statements<'_>, job: &Job, savepoint: bool) -> Result<Committed, Refusal> {
        let mut apply = Apply { db, ids: &self.ids, feed_end: &mut self.feed_end, due: &mut self.index.due };
        if !savepoint {
            return apply.set(&job.set, &job.documents);
        }
        let feed_end = *apply.feed_end;
        db.run("SAVEPOINT one", [])?;
        let applied = apply.set(&job.set, &job.documents);
        match &applied {
            Ok(_) => {}
            Err(Refusal::Refused(_)) => {
                *apply.feed_end = feed_end;
                db.run("ROLLBACK TO one", [])?;
            }
            Err(Refusal::Fail(_)) => return applied,
        }
        db.run("RELEASE one", [])?;
        applied
    }

    fn count_pages(&mut self) {
        if let Some(written) = self.note_pages() {
            self.tally.commits.fetch_add(1, Ordering::Relaxed);
            self.tally.wal_pages.fetch_add(u64::try_from(written).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Looks how full the log is after a commit; how many pages were written, if it wrote any.
    fn note_pages(&mut self) -> Option<i64> {
        let pages = self.log_pages.swap(-1, Ordering::Relaxed);
        if pages < 0 {
            return None;
        }
        // The log starts anew once all of it is in the database and nobody reads from it.
        let written = if pages > self.log.pages { pages - self.log.pages } else { pages };
        if pages <= self.log.pages {
            self.log.next_try = self.log.limit;
        }
        self.log.pages = pages;
        Some(written)
    }

    fn checkpoint_if_full(&mut self, db: &Statements<'_>) {
        if self.log.pages < self.log.next_try {
            return;
        }
        // A reader may hold a part back; not to pay for the attempt at each commit, the next is a while later.
        self.log.next_try = self.log.pages + self.log.limit / 4;
        match db.connection().wal_checkpoint_v2(Some("main"), rusqlite::wal::CheckpointMode::PASSIVE) {
            Ok(_) => {
                self.tally.checkpoints.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, database = %self.database, "the write-ahead log stays where it is")
            }
        }
    }
}

fn store_bound(db: &Statements<'_>, bound: i64) -> Result<(), Fail> {
    db.run("UPDATE meta SET value = ?1 WHERE name = 'next_id'", [bound])?;
    Ok(())
}

fn begin(db: &Statements<'_>) -> Result<(), Fail> {
    db.run("BEGIN IMMEDIATE", [])?;
    Ok(())
}

fn commit(db: &Statements<'_>) -> Result<(), Fail> {
    db.run("COMMIT", [])?;
    Ok(())
}

/// After some failures SQLite has rolled back already.
fn roll_back(db: &Statements<'_>) {
    if !db.connection().is_autocommit()
        && let Err(error) = db.connection().execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction cannot be rolled back");
    }
}

/// The write-ahead log of a database.
pub(super) fn log_path(database: &std::path::Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}
