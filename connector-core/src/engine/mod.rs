//! The one port between the framework and storage (design 5).
//!
//! An engine stores rows and commits sets of writes. It decides nothing: what a save means, which
//! thread a link is in and when a task runs again is settled before, in the unit of work. So every
//! engine behaves the same, and [`testing::engine_conformance`](crate::testing) can hold all of them to it.

mod rows;
pub mod search;
mod write_set;

use std::sync::{Arc, Weak};

use bytes::Bytes;
use jiff::Timestamp;

pub use rows::{
    CallbackRow, ChannelRow, ChannelSync, ConnectionRow, ConnectionStatus, DeadTask, DeliveryRow, FeedEntry, FeedKind,
    FileRow, LastSync, LinkColumns, LinkDocument, LinkRow, NoteRow, SecretRow, SourceRow, StateValue, SyncState,
    TaskError, TaskPriority, TaskRow, UserThreadRow,
};
pub use write_set::{After, Committed, Completion, ConnectionChange, Expect, KeyedTask, TaskChange, Write, WriteSet};

use self::search::{SearchHit, SearchQuery};
use crate::clock::BoxFuture;
use crate::id::{
    ChannelId, ConnectionId, ConnectorId, DeliveryId, FileId, LinkId, NoteId, NoteKey, TaskId, ThreadId, UserId,
};
use crate::model::Source;

/// What an engine answers.
pub type EngineResult<T, E = EngineError> = Result<T, E>;

/// Why a store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The database is from a newer version of the framework.
    #[error(
        "the database {database} has schema version {found}, and this version knows up to {known}: run the newer version, or restore a backup that was made before the upgrade"
    )]
    NewerSchema {
        /// Which database.
        database: String,
        /// Its version.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Another process has the database open.
    #[error("{database} is in use by another process{holder}: stop it, or talk to it over HTTP")]
    InUse {
        /// Which database.
        database: String,
        /// Who it is, where that is known: ` (pid 4711)`.
        holder: String,
    },
    /// It is damaged, or something else.
    #[error("{database} is not a usable database: {reason}. Restore a backup, or start with another file")]
    Corrupt {
        /// Which database.
        database: String,
        /// What was found.
        reason: String,
    },
    /// It cannot be written: no permission, read-only, or full.
    #[error("{database} cannot be written: {reason}")]
    NotWritable {
        /// Which database.
        database: String,
        /// What the operating system said.
        reason: String,
    },
    /// Something else that passes by itself, or not.
    #[error("the store failed: {0}")]
    Failed(String),
    /// It was closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a write set was not stored. Nothing of it was.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A state key that the dispatch read was changed by another: the dispatch has to run again.
    #[error("`{0}` was changed by another dispatch")]
    StateConflict(String),
    /// A record was changed since it was read: the records have to be resolved again.
    #[error("a record was changed by another dispatch")]
    RecordConflict,
    /// Another connection has a claim that a connection was to be stored with.
    #[error("the connection {by} has the claim `{claim}` already")]
    Taken {
        /// The claim.
        claim: String,
        /// The connection that has it.
        by: ConnectionId,
    },
    /// The task is gone: it was cancelled, its connection or channel was removed, or another host completed it.
    #[error("the task is gone")]
    TaskGone,
    /// The store failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What to list of the links, threads first.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LinkQuery {
    /// Of these connections; none for all.
    pub connections: Option<Vec<ConnectionId>>,
    /// In this channel.
    pub channel: Option<ChannelId>,
    /// Of this type.
    pub link_type: Option<String>,
    /// In this status.
    pub status: Option<String>,
    /// In this thread.
    pub thread: Option<ThreadId>,
    /// Also the archived ones.
    pub archived: bool,
    /// After this one in the order of the list: newest change first, then greatest id.
    pub after: Option<(Timestamp, LinkId)>,
    /// At most this many.
    pub limit: usize,
}

impl LinkQuery {
    /// The newest links of all connections, at most this many; narrow it by its fields.
    pub fn all(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }
}

/// What to list of the tasks.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TaskQuery {
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// After this one, in the order of ids.
    pub after: Option<TaskId>,
    /// At most this many.
    pub limit: usize,
}

impl TaskQuery {
    /// The first tasks of all connections, at most this many; narrow it by its fields.
    pub fn all(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }
}

/// What to list of the deliveries, newest first.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryQuery {
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Received at this time or later.
    pub since: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
    /// With a smaller id than this one.
    pub before: Option<DeliveryId>,
    /// At most this many.
    pub limit: usize,
}

impl DeliveryQuery {
    /// The newest deliveries of all connections, at most this many; narrow it by its fields.
    pub fn all(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }
}

/// How much work there is in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub connections: u64,
    /// Links.
    pub links: u64,
    /// Notes.
    pub notes: u64,
    /// Tasks that wait or run.
    pub tasks: u64,
    /// Dead letters.
    pub dead: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Bytes in the bodies of all deliveries.
    pub delivery_bytes: u64,
    /// Files, whole or not.
    pub files: u64,
}

/// Hears of everything that an engine commits.
///
/// What a host keeps in memory follows from the store: its queue, its caches, its readers of the feed. That must not
/// depend on who waits for a commit: a caller can go away, and reach its time limit, while the set is being stored. So
/// the engine itself tells the listener, whoever waits.
pub trait CommitListener: Send + Sync + 'static {
    /// These sets were committed. An engine calls this once for each set, in the order of the commits, after the set
    /// can be read and before its commit answers. An implementation neither blocks nor calls the engine.
    fn committed(&self, sets: &mut dyn Iterator<Item = &Committed>);
}

/// A store for connections, state, tasks and records.
///
/// Reads see everything that was committed before they began. [`commit`](Engine::commit) is atomic and durable:
/// when it answers, the set survives a crash.
pub trait Engine: Send + Sync + 'static {
    /// Tells this listener of all commits from now on, whoever makes them. An engine can have several listeners. It
    /// does not keep them alive.
    fn listen(&self, listener: Weak<dyn CommitListener>);

    /// Takes this many new ids, greater than all that were taken before; the first of them. Ids of
    /// all kinds come from one sequence. Of none, it is the one that is taken next.
    fn take_ids(&self, count: u32) -> i64;

    /// Stores a set of writes whole, or nothing of it. A caller that goes away before the answer changes nothing: a
    /// set that was handed in is stored or not by itself, and the [listeners](CommitListener) hear of it.
    fn commit(&self, set: WriteSet) -> BoxFuture<'static, Result<Committed, CommitError>>;

    /// The store was not closed properly before it was opened: tasks that were ready may have run.
    fn unclean_start(&self) -> bool;

    /// Stops, after everything that was committed is stored.
    fn close(&self) -> BoxFuture<'static, EngineResult<()>>;

    /// Values of a connection's state, in the order of the keys.
    fn state(
        &self,
        connection: ConnectionId,
        keys: Vec<String>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<StateValue>>>>;

    /// At most `limit` keys that begin with `prefix`, in order, with their values.
    fn state_entries(
        &self,
        connection: ConnectionId,
        prefix: String,
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<(String, StateValue)>>>;

    /// A stored callback: one too large to be sealed in its token.
    fn callback(&self, connection: ConnectionId, id: i64) -> BoxFuture<'static, EngineResult<Option<CallbackRow>>>;

    /// Whether a sealed callback was deleted.
    fn callback_revoked(&self, connection: ConnectionId, nonce: String) -> BoxFuture<'static, EngineResult<bool>>;

    /// A connection.
    fn connection(&self, id: ConnectionId) -> BoxFuture<'static, EngineResult<Option<Arc<ConnectionRow>>>>;

    /// Connections in the order of ids, of this user or connector if given.
    fn connections(
        &self,
        user: Option<UserId>,
        connector: Option<ConnectorId>,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<Arc<ConnectionRow>>>>;

    /// Connections of a connector whose account belongs to this customer of the service, in the order of ids.
    fn connections_of_tenant(
        &self,
        connector: ConnectorId,
        tenant: String,
    ) -> BoxFuture<'static, EngineResult<Vec<Arc<ConnectionRow>>>>;

    /// The channels of a connection that were ever listed, in the order of their ids.
    fn channels(&self, connection: ConnectionId) -> BoxFuture<'static, EngineResult<Vec<ChannelRow>>>;

    /// One of them.
    fn channel(
        &self,
        connection: ConnectionId,
        channel: ChannelId,
    ) -> BoxFuture<'static, EngineResult<Option<ChannelRow>>>;

    /// Links of a connection by source, in the order given.
    fn links_by_source(
        &self,
        connection: ConnectionId,
        sources: Vec<Source>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<LinkRow>>>>;

    /// What there is of these sources, in the order given.
    fn sources(
        &self,
        connection: ConnectionId,
        sources: Vec<Source>,
    ) -> BoxFuture<'static, EngineResult<Vec<SourceRow>>>;

    /// The thread that this one was merged into, else itself.
    fn current_thread(&self, thread: ThreadId) -> BoxFuture<'static, EngineResult<ThreadId>>;

    /// A link.
    fn link(&self, id: LinkId) -> BoxFuture<'static, EngineResult<Option<LinkRow>>>;

    /// Links, newest change first.
    fn links(&self, query: LinkQuery) -> BoxFuture<'static, EngineResult<Vec<LinkRow>>>;

    /// Threads by the words in their titles, previews and notes, the best first. An index may be behind the commits by
    /// many rows, which are then not found yet; it is not behind after few.
    fn search(&self, query: SearchQuery) -> BoxFuture<'static, EngineResult<Vec<SearchHit>>>;

    /// Ends when everything that was committed before is in the index of searches.
    fn indexed(&self) -> BoxFuture<'static, EngineResult<()>>;

    /// Notes by link and key, in the order given.
    fn notes_by_key(
        &self,
        connection: ConnectionId,
        keys: Vec<(LinkId, NoteKey)>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<NoteRow>>>>;

    /// A note.
    fn note(&self, id: NoteId) -> BoxFuture<'static, EngineResult<Option<NoteRow>>>;

    /// The notes of a link, oldest first.
    fn notes_of_link(&self, link: LinkId) -> BoxFuture<'static, EngineResult<Vec<NoteRow>>>;

    /// What users have done to threads: read, to-do, archive. In the order given; none for untouched ones.
    fn user_threads(
        &self,
        user: UserId,
        threads: Vec<ThreadId>,
    ) -> BoxFuture<'static, EngineResult<Vec<Option<UserThreadRow>>>>;

    /// The change feed after this position, oldest first.
    fn feed(&self, after: u64, limit: usize) -> BoxFuture<'static, EngineResult<Vec<FeedEntry>>>;

    /// The last position of the feed.
    fn feed_end(&self) -> BoxFuture<'static, EngineResult<u64>>;

    /// The first position that the feed still has; zero if it is empty.
    fn feed_start(&self) -> BoxFuture<'static, EngineResult<u64>>;

    /// Tasks that are to run at once, in the order of ids.
    fn immediate_tasks(&self, after: TaskId, limit: usize) -> BoxFuture<'static, EngineResult<Vec<TaskRow>>>;

    /// Tasks that are to run at a time, in its order (then that of ids), after this position.
    fn scheduled_tasks(
        &self,
        after: (Timestamp, TaskId),
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<TaskRow>>>;

    /// Tasks by id, in the order given; none for those that are gone.
    fn tasks_by_id(&self, ids: Vec<TaskId>) -> BoxFuture<'static, EngineResult<Vec<Option<TaskRow>>>>;

    /// The task of a connection with this key.
    fn task_by_key(&self, connection: ConnectionId, key: String) -> BoxFuture<'static, EngineResult<Option<TaskRow>>>;

    /// Tasks for people to see.
    fn tasks(&self, query: TaskQuery) -> BoxFuture<'static, EngineResult<Vec<TaskRow>>>;

    /// Dead letters for people to see.
    fn dead_tasks(&self, query: TaskQuery) -> BoxFuture<'static, EngineResult<Vec<DeadTask>>>;

    /// A dead letter.
    fn dead_task(&self, id: TaskId) -> BoxFuture<'static, EngineResult<Option<DeadTask>>>;

    /// Deliveries, greatest id first.
    fn deliveries(&self, query: DeliveryQuery) -> BoxFuture<'static, EngineResult<Vec<DeliveryRow>>>;

    /// Deliveries after this one, smallest id first.
    fn oldest_deliveries(&self, after: DeliveryId, limit: usize) -> BoxFuture<'static, EngineResult<Vec<DeliveryRow>>>;

    /// A delivery with its request.
    fn delivery(&self, id: DeliveryId) -> BoxFuture<'static, EngineResult<Option<(DeliveryRow, Bytes)>>>;

    /// A file, whole or not.
    fn file(&self, id: FileId) -> BoxFuture<'static, EngineResult<Option<FileRow>>>;

    /// One chunk of a file, from 0.
    fn file_chunk(&self, id: FileId, index: u32) -> BoxFuture<'static, EngineResult<Option<Bytes>>>;

    /// Files that no note has, whole or not, and whose upload began before then; smallest id first.
    fn unused_files(&self, before: Timestamp, limit: usize) -> BoxFuture<'static, EngineResult<Vec<FileRow>>>;

    /// Bytes in the whole files of a user that no note has.
    fn unused_bytes(&self, owner: UserId) -> BoxFuture<'static, EngineResult<u64>>;

    /// A value that belongs to the whole store: API keys, the known version of each connector.
    fn setting(&self, name: String) -> BoxFuture<'static, EngineResult<Option<Bytes>>>;

    /// Settings whose name begins with `prefix`, in order.
    fn settings(&self, prefix: String) -> BoxFuture<'static, EngineResult<Vec<(String, Bytes)>>>;

    /// A secret by its name.
    fn secret(&self, name: String) -> BoxFuture<'static, EngineResult<Option<SecretRow>>>;

    /// Secrets whose name begins with `prefix`, in the order of the names' bytes, after this name if given.
    fn secrets(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, EngineResult<Vec<SecretRow>>>;

    /// How much there is.
    fn counts(&self) -> BoxFuture<'static, EngineResult<Counts>>;
}
