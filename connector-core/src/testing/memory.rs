mod table;
mod tables;

use std::fmt;
use std::future::poll_fn;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use self::tables::Tables;
use crate::clock::BoxFuture;
use crate::engine::search::{SearchHit, SearchQuery};
use crate::engine::{
    CallbackRow, ChannelRow, CommitError, CommitListener, Committed, ConnectionRow, Counts, DeadTask, DeliveryQuery,
    DeliveryRow, Engine, EngineError, EngineResult, FeedEntry, FileRow, LinkQuery, LinkRow, NoteRow, SecretRow,
    SourceRow, StateValue, TaskQuery, TaskRow, UserThreadRow, WriteSet,
};
use crate::id::{
    ChannelId, ConnectionId, ConnectorId, DeliveryId, FileId, LinkId, NoteId, NoteKey, TaskId, ThreadId, UserId,
};
use crate::model::Source;

/// An engine that keeps everything in memory, for tests. A clone is the same store.
///
/// A test can take away the process that it is in ([`crash`](MemoryEngine::crash)), and make commits
/// fail ([`fail_commits`](MemoryEngine::fail_commits)).
#[derive(Clone, Default)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
}

struct Shared {
    tables: Mutex<Tables>,
    last_id: AtomicI64,
    stopped: AtomicBool,
    unclean: bool,
    chunks_read: AtomicU64,
    faults: Mutex<Option<FaultHook>>,
    listeners: Mutex<Vec<Weak<dyn CommitListener>>>,
    /// Locked while a set is committed and told of, so that listeners hear of sets in the order of the commits.
    telling: Mutex<()>,
    /// False while answers are held back.
    answers: watch::Sender<bool>,
    suspends: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            tables: Mutex::default(),
            last_id: AtomicI64::new(0),
            stopped: AtomicBool::new(false),
            unclean: false,
            chunks_read: AtomicU64::new(0),
            faults: Mutex::default(),
            listeners: Mutex::default(),
            telling: Mutex::default(),
            answers: watch::Sender::new(true),
            suspends: AtomicBool::new(false),
        }
    }
}

type FaultHook = Box<dyn FnMut(&WriteSet) -> Option<Fault> + Send>;

/// What a test makes of a commit.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It fails so, and stores nothing.
    Fail(CommitError),
    /// The process dies before the set is stored: this call and all later ones answer
    /// [`EngineError::Closed`]. [`MemoryEngine::crash`] is what the next process finds.
    CrashBefore,
    /// The process dies after the set was stored, and nobody hears of it.
    CrashAfter,
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        Self::Fail(error)
    }
}

impl MemoryEngine {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a process finds that starts after this one was killed: everything that was committed, and
    /// nothing else. This store stays as it is; the two have nothing in common any more.
    pub fn crash(&self) -> Self {
        self.restarted(true)
    }

    /// What a process finds that starts after this one was closed.
    pub fn reopen(&self) -> Self {
        self.restarted(!self.is_stopped())
    }

    /// Asks this about every commit that comes from now on, in place of who was asked before.
    /// Nothing happens to one for which it answers none.
    pub fn fail_commits(&self, faults: impl FnMut(&WriteSet) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.faults) = Some(Box::new(faults));
    }

    /// Stores all commits again.
    pub fn stop_failing(&self) {
        *lock(&self.shared.faults) = None;
    }

    /// Holds back the answers of commits, those under way among them, until [`give_answers`](Self::give_answers): sets
    /// are stored and listeners hear of them, and whoever waits for a commit goes on waiting.
    pub fn hold_answers(&self) {
        self.shared.answers.send_replace(false);
    }

    /// Gives the answers that were held back.
    pub fn give_answers(&self) {
        self.shared.answers.send_replace(true);
    }

    /// Lets each call suspend once before it does anything and once after, as calls of a store on disk do. A test that
    /// drops the future of a caller after each of its polls in turn then finds every await.
    pub fn suspend_calls(&self, suspends: bool) {
        self.shared.suspends.store(suspends, Ordering::SeqCst);
    }

    async fn pause(&self) {
        let mut pending = self.shared.suspends.load(Ordering::SeqCst);
        poll_fn(|cx| {
            if std::mem::take(&mut pending) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The process dies here and now: this store answers [`EngineError::Closed`] from now on, and
    /// [`crash`](Self::crash) is what the next process finds.
    pub fn kill(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
    }

    /// How many chunks of files were read so far, to see how far a reader is ahead of who takes them.
    pub fn file_chunks_read(&self) -> u64 {
        self.shared.chunks_read.load(Ordering::SeqCst)
    }

    /// What a process finds that starts on a backup of this store: everything that was committed, under ids and
    /// revisions that the store goes on to give as well, and with nonces that no other store gives.
    pub fn restored(&self) -> Self {
        static RESTORED: AtomicU64 = AtomicU64::new(0);
        let restored = self.restarted(false);
        lock(&restored.shared.tables).incarnation = RESTORED.fetch_add(1, Ordering::Relaxed) + 1;
        restored
    }

    fn restarted(&self, unclean: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                tables: Mutex::new(lock(&self.shared.tables).clone()),
                last_id: AtomicI64::new(self.shared.last_id.load(Ordering::SeqCst)),
                unclean,
                ..Shared::default()
            }),
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    fn store(&self, set: WriteSet) -> Result<Committed, CommitError> {
        if self.is_stopped() {
            return Err(EngineError::Closed.into());
        }
        // Asked with nothing locked, so that it can look at the store, and write to it, which it is not asked about.
        let asked = lock(&self.shared.faults).take();
        let fault = asked.and_then(|mut asked| {
            let fault = asked(&set);
            lock(&self.shared.faults).get_or_insert(asked);
            fault
        });
        match fault {
            None => self.commit_and_tell(set),
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::CrashBefore) => {
                self.shared.stopped.store(true, Ordering::SeqCst);
                Err(EngineError::Closed.into())
            }
            Some(Fault::CrashAfter) => {
                let stored = lock(&self.shared.tables).commit(set);
                self.shared.stopped.store(true, Ordering::SeqCst);
                stored.and(Err(EngineError::Closed.into()))
            }
        }
    }

    fn commit_and_tell(&self, set: WriteSet) -> Result<Committed, CommitError> {
        let _telling = lock(&self.shared.telling);
        let committed = lock(&self.shared.tables).commit(set)?;
        for listener in lock(&self.shared.listeners).iter().filter_map(Weak::upgrade) {
            listener.committed(&mut std::iter::once(&committed));
        }
        Ok(committed)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tables) -> T + Send + 'static,
    ) -> BoxFuture<'static, EngineResult<T>> {
        let engine = self.clone();
        Box::pin(async move {
            engine.pause().await;
            if engine.is_stopped() {
                return Err(EngineError::Closed);
            }
            let answer = read(&lock(&engine.shared.tables));
            engine.pause().await;
            Ok(answer)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

impl Engine for MemoryEngine {
    fn listen(&self, listener: Weak<dyn CommitListener>) {
        let mut listeners = lock(&self.shared.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    fn take_ids(&self, count: u32) -> i64 {
        self.shared.last_id.fetch_add(i64::from(count), Ordering::SeqCst) + 1
    }

    fn commit(&self, set: WriteSet) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let engine = self.clone();
        Box::pin(async move {
            engine.pause().await;
            let stored = engine.store(set);
            engine.pause().await;
            let mut answers = engine.shared.answers.subscribe();
            if answers.wait_for(|given| *given).await.is_err() {
                return Err(EngineError::Closed.into());
            }
            stored
        })
    }

    fn unclean_start(&self) -> bool {
        self.shared.unclean
    }

    fn close(&self) -> BoxFuture<'static, EngineResult<()>> {
        let engine = self.clone();
        Box::pin(async move {
            engine.shared.stopped.store(true, Ordering::SeqCst);
            Ok(())
        })
    }

    fn state(
        &self,
        connection: ConnectionId,
        keys: Vec<String>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<StateValue>>>> {
        self.read(move |tables| keys.into_iter().map(|key| tables.state.get(&(connection, key)).cloned()).collect())
    }

    fn state_entries(
        &self,
        connection: ConnectionId,
        prefix: String,
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<(String, StateValue)>>> {
        self.read(move |tables| {
            tables
                .state_entries(connection, &prefix)
                .take(limit)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        })
    }

    fn callback(&self, connection: ConnectionId, id: i64) -> BoxFuture<'static, EngineResult<Option<CallbackRow>>> {
        self.read(move |tables| tables.callbacks.get(&(connection, id)).cloned())
    }

    fn callback_revoked(&self, connection: ConnectionId, nonce: String) -> BoxFuture<'static, EngineResult<bool>> {
        self.read(move |tables| tables.revoked.get(&(connection, nonce)).is_some())
    }

    fn connection(&self, id: ConnectionId) -> BoxFuture<'static, EngineResult<Option<Arc<ConnectionRow>>>> {
        self.read(move |tables| tables.connections.get(&id).cloned())
    }

    fn connections(
        &self,
        user: Option<UserId>,
        connector: Option<ConnectorId>,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<Arc<ConnectionRow>>>> {
        self.read(move |tables| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            tables
                .connections
                .range((from, Bound::Unbounded))
                .map(|(_, row)| row)
                .filter(|row| user.as_ref().is_none_or(|wanted| *wanted == row.owner))
                .filter(|row| connector.as_ref().is_none_or(|wanted| *wanted == row.connector))
                .take(limit)
                .cloned()
                .collect()
        })
    }

    fn connections_of_tenant(
        &self,
        connector: ConnectorId,
        tenant: String,
    ) -> BoxFuture<'static, EngineResult<Vec<Arc<ConnectionRow>>>> {
        self.read(move |tables| {
            let of_tenant = |row: &&Arc<ConnectionRow>| {
                row.connector == connector && row.account.tenant.as_deref() == Some(tenant.as_str())
            };
            tables.connections.values().filter(of_tenant).cloned().collect()
        })
    }

    fn channels(&self, connection: ConnectionId) -> BoxFuture<'static, EngineResult<Vec<ChannelRow>>> {
        self.read(move |tables| {
            let all = tables.channels.range((connection, ChannelId::from_static(""))..);
            all.take_while(|((owner, _), _)| *owner == connection).map(|(_, row)| row.clone()).collect()
        })
    }

    fn channel(
        &self,
        connection: ConnectionId,
        channel: ChannelId,
    ) -> BoxFuture<'static, EngineResult<Option<ChannelRow>>> {
        self.read(move |tables| tables.channels.get(&(connection, channel)).cloned())
    }

    fn links_by_source(
        &self,
        connection: ConnectionId,
        sources: Vec<Source>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<LinkRow>>>> {
        self.read(move |tables| {
            let ids = sources.into_iter().map(|source| tables.links_by_source.get(&(source, connection)));
            ids.map(|id| id.and_then(|id| tables.links.get(id)).cloned()).collect()
        })
    }

    fn sources(
        &self,
        connection: ConnectionId,
        sources: Vec<Source>,
    ) -> BoxFuture<'static, EngineResult<Vec<SourceRow>>> {
        self.read(move |tables| {
            let found = sources.into_iter().map(|source| {
                let thread = tables.thread_of_source(&source);
                let link = tables.links_by_source.get(&(source, connection)).and_then(|id| tables.links.get(id));
                SourceRow { link: link.cloned(), thread }
            });
            found.collect()
        })
    }

    fn current_thread(&self, thread: ThreadId) -> BoxFuture<'static, EngineResult<ThreadId>> {
        self.read(move |tables| tables.current_thread(thread))
    }

    fn link(&self, id: LinkId) -> BoxFuture<'static, EngineResult<Option<LinkRow>>> {
        self.read(move |tables| tables.links.get(&id).cloned())
    }

    fn links(&self, query: LinkQuery) -> BoxFuture<'static, EngineResult<Vec<LinkRow>>> {
        self.read(move |tables| tables.query_links(&query))
    }

    fn search(&self, query: SearchQuery) -> BoxFuture<'static, EngineResult<Vec<SearchHit>>> {
        self.read(move |tables| tables.search(&query))
    }

    fn indexed(&self) -> BoxFuture<'static, EngineResult<()>> {
        self.read(|_| ())
    }

    fn notes_by_key(
        &self,
        connection: ConnectionId,
        keys: Vec<(LinkId, NoteKey)>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<NoteRow>>>> {
        self.read(move |tables| {
            let ids = keys.into_iter().map(|place| tables.notes_by_key.get(&place));
            ids.map(|id| id.and_then(|id| tables.notes.get(id)).filter(|row| row.connection == connection).cloned())
                .collect()
        })
    }

    fn note(&self, id: NoteId) -> BoxFuture<'static, EngineResult<Option<NoteRow>>> {
        self.read(move |tables| tables.notes.get(&id).cloned())
    }

    fn notes_of_link(&self, link: LinkId) -> BoxFuture<'static, EngineResult<Vec<NoteRow>>> {
        self.read(move |tables| tables.notes_of(link).cloned().collect())
    }

    fn user_threads(
        &self,
        user: UserId,
        threads: Vec<ThreadId>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<UserThreadRow>>>> {
        self.read(move |tables| {
            threads.into_iter().map(|thread| tables.user_threads.get(&(thread, user.clone())).cloned()).collect()
        })
    }

    fn feed(&self, after: u64, limit: usize) -> BoxFuture<'static, EngineResult<Vec<FeedEntry>>> {
        self.read(move |tables| {
            let newer = tables.feed.range((Bound::Excluded(after), Bound::Unbounded));
            newer.take(limit).map(|(_, entry)| entry.clone()).collect()
        })
    }

    fn feed_start(&self) -> BoxFuture<'static, EngineResult<u64>> {
        self.read(Tables::feed_start)
    }

    fn feed_end(&self) -> BoxFuture<'static, EngineResult<u64>> {
        self.read(Tables::feed_end)
    }

    fn immediate_tasks(&self, after: TaskId, limit: usize) -> BoxFuture<'static, EngineResult<Vec<TaskRow>>> {
        self.read(move |tables| {
            tables.tasks_in_order((None, after)).take_while(|row| row.run_at.is_none()).take(limit).cloned().collect()
        })
    }

    fn scheduled_tasks(
        &self,
        after: (Timestamp, TaskId),
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<TaskRow>>> {
        self.read(move |tables| tables.tasks_in_order((Some(after.0), after.1)).take(limit).cloned().collect())
    }

    fn tasks_by_id(&self, ids: Vec<TaskId>) -> BoxFuture<'static, EngineResult<Vec<Option<TaskRow>>>> {
        self.read(move |tables| ids.iter().map(|id| tables.tasks.get(id).cloned()).collect())
    }

    fn task_by_key(&self, connection: ConnectionId, key: String) -> BoxFuture<'static, EngineResult<Option<TaskRow>>> {
        self.read(move |tables| {
            let id = tables.tasks_by_key.get(&(connection, key));
            id.and_then(|id| tables.tasks.get(id)).cloned()
        })
    }

    fn tasks(&self, query: TaskQuery) -> BoxFuture<'static, EngineResult<Vec<TaskRow>>> {
        self.read(move |tables| tables.query_tasks(&query))
    }

    fn dead_tasks(&self, query: TaskQuery) -> BoxFuture<'static, EngineResult<Vec<DeadTask>>> {
        self.read(move |tables| tables.query_dead(&query))
    }

    fn dead_task(&self, id: TaskId) -> BoxFuture<'static, EngineResult<Option<DeadTask>>> {
        self.read(move |tables| tables.dead.get(&id).cloned())
    }

    fn deliveries(&self, query: DeliveryQuery) -> BoxFuture<'static, EngineResult<Vec<DeliveryRow>>> {
        self.read(move |tables| tables.query_deliveries(&query))
    }

    fn oldest_deliveries(&self, after: DeliveryId, limit: usize) -> BoxFuture<'static, EngineResult<Vec<DeliveryRow>>> {
        self.read(move |tables| {
            let after = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
            tables.deliveries.range(after).take(limit).map(|(_, (row, _))| row.clone()).collect()
        })
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'static, EngineResult<Option<(DeliveryRow, Bytes)>>> {
        self.read(move |tables| tables.deliveries.get(&id).cloned())
    }

    fn file(&self, id: FileId) -> BoxFuture<'static, EngineResult<Option<FileRow>>> {
        self.read(move |tables| tables.files.get(&id).cloned())
    }

    fn file_chunk(&self, id: FileId, index: u32) -> BoxFuture<'static, EngineResult<Option<Bytes>>> {
        let (engine, found) = (self.clone(), self.read(move |tables| tables.file_chunks.get(&(id, index)).cloned()));
        Box::pin(async move {
            engine.shared.chunks_read.fetch_add(1, Ordering::SeqCst);
            found.await
        })
    }

    fn unused_files(&self, before: Timestamp, limit: usize) -> BoxFuture<'static, EngineResult<Vec<FileRow>>> {
        self.read(move |tables| tables.unused_files(before, limit))
    }

    fn unused_bytes(&self, owner: UserId) -> BoxFuture<'static, EngineResult<u64>> {
        self.read(move |tables| tables.unused_bytes(&owner))
    }

    fn setting(&self, name: String) -> BoxFuture<'static, EngineResult<Option<Bytes>>> {
        self.read(move |tables| tables.settings.get(&name).cloned())
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, EngineResult<Vec<(String, Bytes)>>> {
        self.read(move |tables| {
            let all = tables.settings.range(prefix.clone()..);
            all.take_while(|(name, _)| name.starts_with(&prefix))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        })
    }

    fn secret(&self, name: String) -> BoxFuture<'static, EngineResult<Option<SecretRow>>> {
        self.read(move |tables| tables.secrets.get(&name).cloned())
    }

    fn secrets(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<SecretRow>>> {
        self.read(move |tables| {
            let all = tables.secrets.range(prefix.clone()..);
            all.take_while(|(name, _)| name.starts_with(&prefix))
                .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
                .map(|(_, row)| row.clone())
                .take(limit)
                .collect()
        })
    }

    fn counts(&self) -> BoxFuture<'static, EngineResult<Counts>> {
        self.read(|tables| Counts {
            connections: tables.connections.count(),
            links: tables.links.count(),
            notes: tables.notes.count(),
            tasks: tables.tasks.count(),
            dead: tables.dead.count(),
            deliveries: tables.deliveries.count(),
            delivery_bytes: tables.deliveries.values().map(|(row, _)| row.size).sum(),
            files: tables.files.count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{FeedEntry, FeedKind, Write};

    fn put(key: &str) -> WriteSet {
        let connection = ConnectionId::from_number(1);
        let value = Write::PutState { connection, key: key.to_owned(), value: Bytes::from_static(b"1") };
        WriteSet::of([value, Write::Feed(FeedEntry::new(FeedKind::Connection, connection, key))])
    }

    async fn keys(engine: &MemoryEngine) -> Vec<String> {
        let entries = engine.state_entries(ConnectionId::from_number(1), String::new(), 10).await.expect("it is read");
        entries.into_iter().map(|(key, _)| key).collect()
    }

    fn is_closed(answer: Result<Committed, CommitError>) -> bool {
        matches!(answer, Err(CommitError::Engine(EngineError::Closed)))
    }

    #[tokio::test]
    async fn a_crash_keeps_what_was_committed_and_nothing_else() {
        let engine = MemoryEngine::new();
        engine.commit(put("a")).await.expect("it is stored");
        let waiting = engine.commit(put("never asked for"));
        let after = engine.crash();
        drop(waiting);
        engine.commit(put("b")).await.expect("the first store goes on");
        assert_eq!(keys(&after).await, ["a"]);
        assert!(after.unclean_start() && !engine.unclean_start());
        assert!(after.take_ids(1) == engine.take_ids(1), "ids go on from where they were");
        engine.close().await.expect("it is closed");
        assert!(!engine.reopen().unclean_start(), "it was closed");
        assert_eq!(keys(&engine.reopen()).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn commits_fail_when_a_test_says_so() {
        let engine = MemoryEngine::new();
        let mut count = 0;
        engine.fail_commits(move |set| {
            count += 1;
            assert!(!set.is_empty());
            (count == 2).then_some(CommitError::RecordConflict.into())
        });
        engine.commit(put("a")).await.expect("the first is stored");
        assert!(matches!(engine.commit(put("b")).await, Err(CommitError::RecordConflict)));
        engine.commit(put("c")).await.expect("the third is stored");
        assert_eq!(keys(&engine).await, ["a", "c"]);
        engine.fail_commits(|_| Some(CommitError::TaskGone.into()));
        assert!(engine.commit(put("d")).await.is_err());
        engine.stop_failing();
        engine.commit(put("d")).await.expect("it is stored");
    }

    #[tokio::test]
    async fn a_process_dies_before_or_after_a_commit() {
        for (fault, left) in [(Fault::CrashBefore, vec!["a"]), (Fault::CrashAfter, vec!["a", "b"])] {
            let engine = MemoryEngine::new();
            engine.commit(put("a")).await.expect("it is stored");
            engine.fail_commits(move |_| Some(fault.clone()));
            assert!(is_closed(engine.commit(put("b")).await), "nobody hears of it");
            assert!(is_closed(engine.commit(put("c")).await), "the process is dead");
            assert!(matches!(engine.feed_end().await, Err(EngineError::Closed)));
            let next = engine.crash();
            assert!(next.unclean_start());
            assert_eq!(keys(&next).await, left);
            next.commit(put("d")).await.expect("the next process commits");
        }
    }
}
