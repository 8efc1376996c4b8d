//! The engine that needs no set-up: one SQLite file, which one host has open.
//!
//! One thread writes whatever sets wait as one group, so that many share one wait for the disk, and
//! answers when they are durable. Others read beside it. Nothing is claimed or leased, for the file
//! has one host: a lock file beside it says which.
//!
//! The write-ahead log has its size from the start. A log that grows makes the file system write its
//! own journal at each commit, which halves the rate of single commits.

mod announcer;
mod apply;
mod fail;
mod files;
mod first_commit;
mod ids;
mod lock;
mod presence;
mod queries;
mod reader;
mod rows;
mod schema;
mod search;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::BoxFuture;
use connector_core::engine::search::{SearchHit, SearchQuery};
use connector_core::engine::{
    CallbackRow, ChannelRow, CommitError, CommitListener, Committed, ConnectionRow, Counts, DeadTask, DeliveryQuery,
    DeliveryRow, Engine, EngineError, EngineResult, FeedEntry, FileRow, LinkQuery, LinkRow, NoteRow, SecretRow,
    SourceRow, StateValue, TaskQuery, TaskRow, UserThreadRow, WriteSet,
};
use connector_core::id::{
    ChannelId, ConnectionId, ConnectorId, DeliveryId, FileId, LinkId, NoteId, NoteKey, TaskId, ThreadId, UserId,
};
use connector_core::model::Source;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::announcer::Announcer;
use self::fail::Fail;
pub(crate) use self::first_commit::with_first_commit;
use self::ids::Ids;
use self::lock::{LockError, LockFile};
use self::presence::Presence;
use self::reader::{Readers, Size};
use self::search::Index;
use self::statements::Statements;
use self::writer::{Job, Log, Message, Tally, Writer};

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The disk: what was committed survives a loss of power.
    #[default]
    Full,
    /// The operating system: what was committed survives the end of the process. A loss of power may
    /// take the last seconds, and never damages the database. For tests, and where it does not matter.
    Relaxed,
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// What a commit waits for.
    pub durability: Durability,
    /// The size of the write-ahead log in bytes: from the start, and when its content is moved to the database. Zero lets it
    /// grow from nothing, and be moved at 16 MiB.
    pub log_size: u64,
    /// Number of threads for look-ups, at least 1.
    pub readers: usize,
    /// Number of threads for reads that may look at many rows, at least 1: searches, counts, lists for operators.
    pub scanners: usize,
    /// What other processes read about this one, in the lock file.
    pub info: Vec<(String, String)>,
    /// At most this many pages of 4 KiB, to see what a full disk does.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            log_size: 16 * 1024 * 1024,
            readers: 2,
            scanners: 2,
            info: Vec::new(),
            max_pages: None,
        }
    }
}

/// What an engine has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Transactions that changed something; each is one wait for the disk, with [`Durability::Full`].
    pub commits: u64,
    /// Sets that were stored in them.
    pub sets: u64,
    /// Pages of 4 KiB that were written to the log for them.
    pub wal_pages: u64,
    /// How often the content of the log was moved to the database; two more waits for the disk.
    pub checkpoints: u64,
}

/// A store in one SQLite file.
///
/// Dropping it waits for what was handed in to be stored, and leaves the file as a process that was
/// killed then does; [`close`](Engine::close) it instead.
#[derive(Debug)]
pub struct SqliteEngine {
    queue: Sender<Message>,
    readers: Readers,
    ids: Arc<Ids>,
    lock: Arc<LockFile>,
    tally: Arc<Tally>,
    announcer: Arc<Announcer>,
    unclean: bool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteEngine {
    /// Opens a database, makes it if there is none, and brings it to the newest schema.
    ///
    /// Opened within a tokio runtime, it uses that to tell many at once that their commits are durable.
    ///
    /// # Errors
    ///
    /// [`EngineError::InUse`] while another has it open, [`EngineError::NewerSchema`] for one of a newer version,
    /// [`EngineError::Corrupt`] for what is no database of this framework, [`EngineError::NotWritable`] where it
    /// cannot be made or written. In all these cases the file is left as it was.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, EngineError> {
        let name: Arc<str> = path.display().to_string().into();
        check_place(path, &name)?;
        check_header(path, &name)?;
        let lock = LockFile::take(path, &options.info).map_err(|error| no_lock(error, path, &name))?;
        // The write-ahead log and the index of it get the permissions of the file.
        lock::open_private(path).map_err(|error| not_writable(&error, path, &name))?;
        Self::open_locked(path, &options, name.clone(), lock).map_err(|error| match error {
            OpenError::Engine(error) => error,
            OpenError::Fail(fail) => fail.into_engine(&name),
            OpenError::Io(error) => EngineError::Failed(format!("{name}: {error}")),
        })
    }

    fn open_locked(path: &Path, options: &SqliteOptions, name: Arc<str>, lock: LockFile) -> Result<Self, OpenError> {
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_ours(&connection, &name)?;
        let version = schema::version(&connection)?;
        if version > schema::newest() {
            return Err(EngineError::NewerSchema {
                database: name.to_string(),
                found: version,
                known: schema::newest(),
            }
            .into());
        }
        if connection.is_readonly("main")? {
            return Err(EngineError::NotWritable {
                database: name.to_string(),
                reason: "the file is read-only: let the user of this process write it".to_owned(),
            }
            .into());
        }
        schema::migrate(&mut connection, version..schema::newest())?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
             PRAGMA journal_size_limit = 268435456; PRAGMA wal_autocheckpoint = 0;",
        )?;
        if let Err(error) = fill_log(&mut connection, path, options.log_size) {
            tracing::warn!(database = %name, %error, "the write-ahead log cannot be made in its full size: commits are slower");
        }
        connection.execute_batch("PRAGMA cache_size = -16384;")?;
        let unclean = meta(&connection, "clean")? == 0;
        let ids = Ids::from_stored(meta(&connection, "next_id")?);
        let bound = ids.new_bound();
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'clean'", [])?;
        if let Some(bound) = bound {
            connection.execute("UPDATE meta SET value = ?1 WHERE name = 'next_id'", [bound])?;
        }
        ids.answered(bound);
        let feed_end = queries::feed_end(&Statements::new(&connection))?;
        connection.wal_checkpoint_v2(Some("main"), rusqlite::wal::CheckpointMode::RESTART)?;
        if options.durability == Durability::Relaxed {
            connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
        }
        if let Some(pages) = options.max_pages {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        let log_pages = Arc::new(AtomicI64::new(-1));
        let told = log_pages.clone();
        // Also keeps SQLite from moving the log by itself, within a commit that someone waits for.
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            told.store(i64::from(pages), Ordering::Relaxed);
            Ok(())
        }))?;
        let reading = |count: usize| (0..count.max(1)).map(|_| reading(path)).collect::<Result<Vec<_>, _>>();
        let (look_ups, scans) = (reading(options.readers)?, reading(options.scanners)?);
        let readers = Readers::start(name.clone(), look_ups, scans).map_err(OpenError::Io)?;

        let (ids, lock, tally) = (Arc::new(ids), Arc::new(lock), Arc::new(Tally::default()));
        let announcer = Arc::new(Announcer::default());
        let index = Index::load(&Statements::new(&connection))?;
        index.tell();
        let writer = Writer {
            database: name,
            ids: ids.clone(),
            lock: lock.clone(),
            presence: Presence::of(path).map_err(OpenError::Io)?,
            tally: tally.clone(),
            feed_end,
            log_pages,
            log: Log::new(log_limit(options.log_size)),
            refused_of_late: 0,
            announcer: announcer.clone(),
            index,
            runtime: Handle::try_current().ok(),
        };
        let (queue, waiting) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer.run(connection, &waiting))
            .map_err(OpenError::Io)?;
        Ok(Self { queue, readers, ids, lock, tally, announcer, unclean, writer: Mutex::new(Some(thread)) })
    }

    /// What the process says about itself that has this database open, its process id (`pid`) first; none if no process has.
    pub fn holder_info(path: &Path) -> Option<Vec<(String, String)>> {
        lock::holder_info(path)
    }

    /// Replaces what other processes read about this one.
    pub fn set_lock_info(&self, info: &[(String, String)]) -> io::Result<()> {
        self.lock.set_info(info)
    }

    /// What it has done since it was opened.
    pub fn counters(&self) -> Counters {
        Counters {
            commits: self.tally.commits.load(Ordering::Relaxed),
            sets: self.tally.sets.load(Ordering::Relaxed),
            wal_pages: self.tally.wal_pages.load(Ordering::Relaxed),
            checkpoints: self.tally.checkpoints.load(Ordering::Relaxed),
        }
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        let ends = self.readers.stop();
        self.readers.join();
        drop(ends);
        // An error says that it has ended already.
        if self.queue.send(Message::Stop(None)).is_err() {
            tracing::trace!("the database was closed before");
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread that writes the database panicked");
        }
    }
}

enum OpenError {
    Engine(EngineError),
    Fail(Fail),
    Io(io::Error),
}

impl From<EngineError> for OpenError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Fail> for OpenError {
    fn from(fail: Fail) -> Self {
        Self::Fail(fail)
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fail(Fail::Sql(error))
    }
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn check_place(path: &Path, name: &str) -> Result<(), EngineError> {
    let directory = directory(path);
    let reason = if !directory.is_dir() {
        format!("there is no directory {}: create it, or choose another place", directory.display())
    } else if path.is_dir() {
        "it is a directory: name a file in it".to_owned()
    } else {
        return Ok(());
    };
    Err(EngineError::NotWritable { database: name.to_owned(), reason })
}

/// Refuses what is no database of ours, before anything is opened, made or locked.
fn check_header(path: &Path, name: &str) -> Result<(), EngineError> {
    let mut header = Vec::with_capacity(100);
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut header));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(not_writable(&error, path, name)),
    }
    let corrupt = |reason: &str| Err(EngineError::Corrupt { database: name.to_owned(), reason: reason.to_owned() });
    if !header.is_empty() && !header.starts_with(b"SQLite format 3\0") {
        return corrupt("the file is no SQLite database");
    }
    let id = header.get(68..72).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
    if id != 0 && id != schema::APPLICATION_ID { corrupt(OF_ANOTHER) } else { Ok(()) }
}

const OF_ANOTHER: &str = "it is the database of another application";

fn check_ours(connection: &Connection, name: &str) -> Result<(), OpenError> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))?;
    if id == schema::APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    Err(EngineError::Corrupt { database: name.to_owned(), reason: OF_ANOTHER.to_owned() }.into())
}

fn not_writable(error: &io::Error, path: &Path, name: &str) -> EngineError {
    let what = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only: choose another place".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on its disk".to_owned(),
        _ => format!("let the user of this process write it and the directory {}", directory(path).display()),
    };
    EngineError::NotWritable { database: name.to_owned(), reason: format!("{error}: {what}") }
}

fn no_lock(error: LockError, path: &Path, name: &str) -> EngineError {
    match error {
        LockError::Io(error) => not_writable(&error, path, name),
        LockError::Held(info) => {
            let pid = info.unwrap_or_default().into_iter().find(|(key, _)| key == "pid");
            EngineError::InUse {
                database: name.to_owned(),
                holder: pid.map_or_else(String::new, |(_, pid)| format!(" (pid {pid})")),
            }
        }
    }
}

fn meta(connection: &Connection, name: &str) -> Result<i64, Fail> {
    Ok(connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))?)
}

/// How many pages the log has when it is moved.
fn log_limit(size: u64) -> i64 {
    const DEFAULT: i64 = 4000;
    // A page in the log has a header of 24 bytes.
    i64::try_from(size / (4096 + 24)).ok().filter(|pages| *pages > 0).unwrap_or(DEFAULT)
}

/// Makes the log as long as it will be: with pages of a transaction that is larger than the cache, and then rolled back.
fn fill_log(connection: &mut Connection, path: &Path, size: u64) -> Result<(), rusqlite::Error> {
    let length = std::fs::metadata(writer::log_path(path)).map_or(0, |metadata| metadata.len());
    if length >= size {
        return Ok(());
    }
    connection.execute_batch("PRAGMA cache_size = 16;")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch("CREATE TABLE filler(bytes BLOB)")?;
    // Some of it stays in the cache, and never gets into the log.
    let bytes = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(64 * 4096);
    transaction.execute("INSERT INTO filler(bytes) VALUES(zeroblob(?1))", [bytes])?;
    transaction.rollback()
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Without it, statements on tables with a partial index are planned anew each time that other values are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn reading(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;")?;
    Ok(connection)
}

type Reading<T> = BoxFuture<'static, EngineResult<T>>;

impl Engine for SqliteEngine {
    fn listen(&self, listener: Weak<dyn CommitListener>) {
        self.announcer.listen(listener);
    }

    fn take_ids(&self, count: u32) -> i64 {
        let (first, ask) = self.ids.take(count);
        if ask && self.queue.send(Message::ReserveIds).is_err() {
            tracing::trace!("ids were taken from a closed database");
        }
        first
    }

    fn commit(&self, mut set: WriteSet) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let (answer, answered) = oneshot::channel();
        let first = first_commit::add_first(&mut set);
        let sent = match rows::documents(&set) {
            Ok((documents, bytes)) => {
                self.queue.send(Message::Commit(Job { set, documents, bytes, answer })).map_err(|_| EngineError::Closed)
            }
            Err(error) => Err(EngineError::Failed(format!("a row cannot be written as JSON: {error}"))),
        };
        Box::pin(async move {
            sent?;
            let (outcome, ..) = answered.await.map_err(|_| EngineError::Closed)?;
            if let (Ok(_), Some(first)) = (&outcome, first) {
                first.stored();
            }
            outcome
        })
    }

    fn unclean_start(&self) -> bool {
        self.unclean
    }

    fn close(&self) -> Reading<()> {
        let readers = self.readers.stop();
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.clone();
        Box::pin(async move {
            // The writer's connection has to be the last: it leaves one whole file.
            for reader in readers {
                if reader.await.is_err() {
                    tracing::error!("a thread that reads the database panicked");
                }
            }
            if queue.send(Message::Stop(Some(answer))).is_err() {
                return Ok(());
            }
            // It was told to stop by another.
            answered.await.unwrap_or(Ok(()))
        })
    }

    fn state(&self, connection: ConnectionId, keys: Vec<String>) -> Reading<Vec<Option<StateValue>>> {
        self.readers.read(Size::LookUp, move |c| queries::state(c, connection, &keys))
    }

    fn state_entries(
        &self,
        connection: ConnectionId,
        prefix: String,
        limit: usize,
    ) -> Reading<Vec<(String, StateValue)>> {
        self.readers.read(Size::LookUp, move |c| queries::state_entries(c, connection, &prefix, limit))
    }

    fn callback(&self, connection: ConnectionId, id: i64) -> Reading<Option<CallbackRow>> {
        self.readers.read(Size::LookUp, move |c| queries::callback(c, connection, id))
    }

    fn callback_revoked(&self, connection: ConnectionId, nonce: String) -> Reading<bool> {
        self.readers.read(Size::LookUp, move |c| queries::callback_revoked(c, connection, &nonce))
    }

    fn connection(&self, id: ConnectionId) -> Reading<Option<Arc<ConnectionRow>>> {
        self.readers.read(Size::LookUp, move |c| queries::connection_row(c, id))
    }

    fn connections(
        &self,
        user: Option<UserId>,
        connector: Option<ConnectorId>,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Reading<Vec<Arc<ConnectionRow>>> {
        // Those of a user have an index.
        let size = if user.is_some() { Size::LookUp } else { Size::Scan };
        self.readers.read(size, move |c| queries::connections(c, user.as_ref(), connector.as_ref(), after, limit))
    }

    fn connections_of_tenant(&self, connector: ConnectorId, tenant: String) -> Reading<Vec<Arc<ConnectionRow>>> {
        self.readers.read(Size::LookUp, move |c| queries::connections_of_tenant(c, &connector, &tenant))
    }

    fn channels(&self, connection: ConnectionId) -> Reading<Vec<ChannelRow>> {
        self.readers.read(Size::LookUp, move |c| queries::channels(c, connection))
    }

    fn channel(&self, connection: ConnectionId, channel: ChannelId) -> Reading<Option<ChannelRow>> {
        self.readers.read(Size::LookUp, move |c| queries::channel(c, connection, &channel))
    }

    fn links_by_source(&self, connection: ConnectionId, sources: Vec<Source>) -> Reading<Vec<Option<LinkRow>>> {
        self.readers.read(Size::LookUp, move |c| queries::links_by_source(c, connection, &sources))
    }

    fn sources(&self, connection: ConnectionId, sources: Vec<Source>) -> Reading<Vec<SourceRow>> {
        self.readers.read(Size::LookUp, move |c| queries::sources(c, connection, &sources))
    }

    fn current_thread(&self, thread: ThreadId) -> Reading<ThreadId> {
        self.readers.read(Size::LookUp, move |c| queries::current_thread(c, thread))
    }

    fn link(&self, id: LinkId) -> Reading<Option<LinkRow>> {
        self.readers.read(Size::LookUp, move |c| queries::link(c, id))
    }

    fn links(&self, query: LinkQuery) -> Reading<Vec<LinkRow>> {
        // The links of a thread are few. A list may look at all that its filters leave out.
        let size = if query.thread.is_some() { Size::LookUp } else { Size::Scan };
        self.readers.read(size, move |c| queries::links(c, &query))
    }

    fn search(&self, query: SearchQuery) -> Reading<Vec<SearchHit>> {
        self.readers.read(Size::Scan, move |c| search::search(c, &query))
    }

    fn indexed(&self) -> Reading<()> {
        let (answer, answered) = oneshot::channel();
        let sent = self.queue.send(Message::Index(answer));
        Box::pin(async move {
            sent.map_err(|_| EngineError::Closed)?;
            answered.await.map_err(|_| EngineError::Closed)?
        })
    }

    fn notes_by_key(&self, connection: ConnectionId, keys: Vec<(LinkId, NoteKey)>) -> Reading<Vec<Option<NoteRow>>> {
        self.readers.read(Size::LookUp, move |c| queries::notes_by_key(c, connection, &keys))
    }

    fn note(&self, id: NoteId) -> Reading<Option<NoteRow>> {
        self.readers.read(Size::LookUp, move |c| queries::note(c, id))
    }

    fn notes_of_link(&self, link: LinkId) -> Reading<Vec<NoteRow>> {
        self.readers.read(Size::LookUp, move |c| queries::notes_of_link(c, link))
    }

    fn user_threads(&self, user: UserId, threads: Vec<ThreadId>) -> Reading<Vec<Option<UserThreadRow>>> {
        self.readers.read(Size::LookUp, move |c| queries::user_threads(c, &user, &threads))
    }

    fn feed(&self, after: u64, limit: usize) -> Reading<Vec<FeedEntry>> {
        self.readers.read(Size::LookUp, move |c| queries::feed(c, after, limit))
    }

    fn feed_start(&self) -> Reading<u64> {
        self.readers.read(Size::LookUp, queries::feed_start)
    }

    fn feed_end(&self) -> Reading<u64> {
        self.readers.read(Size::LookUp, queries::feed_end)
    }

    fn immediate_tasks(&self, after: TaskId, limit: usize) -> Reading<Vec<TaskRow>> {
        self.readers.read(Size::LookUp, move |c| queries::immediate_tasks(c, after, limit))
    }

    fn scheduled_tasks(&self, after: (Timestamp, TaskId), limit: usize) -> Reading<Vec<TaskRow>> {
        self.readers.read(Size::LookUp, move |c| queries::scheduled_tasks(c, after, limit))
    }

    fn tasks_by_id(&self, ids: Vec<TaskId>) -> Reading<Vec<Option<TaskRow>>> {
        self.readers.read(Size::LookUp, move |c| queries::tasks_by_id(c, &ids))
    }

    fn task_by_key(&self, connection: ConnectionId, key: String) -> Reading<Option<TaskRow>> {
        self.readers.read(Size::LookUp, move |c| queries::task_by_key(c, connection, &key))
    }

    fn tasks(&self, query: TaskQuery) -> Reading<Vec<TaskRow>> {
        self.readers.read(Size::Scan, move |c| queries::tasks(c, &query))
    }

    fn dead_tasks(&self, query: TaskQuery) -> Reading<Vec<DeadTask>> {
        self.readers.read(Size::Scan, move |c| queries::dead_tasks(c, &query))
    }

    fn dead_task(&self, id: TaskId) -> Reading<Option<DeadTask>> {
        self.readers.read(Size::LookUp, move |c| queries::dead_task(c, id))
    }

    fn deliveries(&self, query: DeliveryQuery) -> Reading<Vec<DeliveryRow>> {
        self.readers.read(Size::Scan, move |c| queries::deliveries(c, &query))
    }

    fn oldest_deliveries(&self, after: DeliveryId, limit: usize) -> Reading<Vec<DeliveryRow>> {
        self.readers.read(Size::LookUp, move |c| queries::oldest_deliveries(c, after, limit))
    }

    fn delivery(&self, id: DeliveryId) -> Reading<Option<(DeliveryRow, Bytes)>> {
        self.readers.read(Size::LookUp, move |c| queries::delivery(c, id))
    }

    fn file(&self, id: FileId) -> Reading<Option<FileRow>> {
        self.readers.read(Size::LookUp, move |c| files::file(c, id))
    }

    fn file_chunk(&self, id: FileId, index: u32) -> Reading<Option<Bytes>> {
        self.readers.read(Size::LookUp, move |c| files::chunk(c, id, index))
    }

    fn unused_files(&self, before: Timestamp, limit: usize) -> Reading<Vec<FileRow>> {
        self.readers.read(Size::Scan, move |c| files::unused(c, before, limit))
    }

    fn unused_bytes(&self, owner: UserId) -> Reading<u64> {
        self.readers.read(Size::LookUp, move |c| files::unused_bytes(c, &owner))
    }

    fn setting(&self, name: String) -> Reading<Option<Bytes>> {
        self.readers.read(Size::LookUp, move |c| queries::setting(c, &name))
    }

    fn settings(&self, prefix: String) -> Reading<Vec<(String, Bytes)>> {
        self.readers.read(Size::LookUp, move |c| queries::settings(c, &prefix))
    }

    fn secret(&self, name: String) -> Reading<Option<SecretRow>> {
        self.readers.read(Size::LookUp, move |c| queries::secret(c, &name))
    }

    fn secrets(&self, prefix: String, after: Option<String>, limit: usize) -> Reading<Vec<SecretRow>> {
        self.readers.read(Size::LookUp, move |c| queries::secrets(c, &prefix, after.as_deref(), limit))
    }

    fn counts(&self) -> Reading<Counts> {
        self.readers.read(Size::Scan, queries::counts)
    }
}
