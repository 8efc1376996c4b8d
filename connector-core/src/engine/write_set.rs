use bytes::Bytes;
use jiff::Timestamp;

use super::rows::{
    CallbackRow, ChannelRow, ConnectionRow, ConnectionStatus, DeadTask, DeliveryRow, FeedEntry, FileRow, LinkRow,
    NoteRow, SecretRow, TaskError, TaskRow, UserThreadRow,
};
use crate::id::{ChannelId, ConnectionId, DeliveryId, FileId, TaskId, ThreadId, UserId};
use crate::model::Source;

/// Writes that are stored together, or not at all (R7.1).
#[derive(Debug, Clone, Default)]
pub struct WriteSet {
    /// Whose they are, for the engine to put neighbours together; none for writes of the host itself.
    pub connection: Option<ConnectionId>,
    /// The task that ends with them. Checked and applied first.
    pub completes: Option<Completion>,
    /// What must still be so. Checked before any write.
    pub expects: Vec<Expect>,
    /// Applied in this order.
    pub writes: Vec<Write>,
}

/// The end of one run of a task. If no task has this id any more, the whole set is refused with
/// [`TaskGone`](super::CommitError::TaskGone).
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The task.
    pub task: TaskId,
    /// The revision that ran. If the row has another, it was scheduled anew meanwhile: it stays as
    /// it is, to run again, with its attempts and errors reset, whatever `then` says.
    pub revision: i64,
    /// What becomes of the row.
    pub then: After,
}

/// What becomes of a task after a run.
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    /// It is done.
    Delete,
    /// It runs again then (none for at once), as if it had not been tried yet, with another revision.
    Again {
        /// When.
        run_at: Option<Timestamp>,
    },
    /// It is tried again then.
    Retry {
        /// When; none for at once.
        run_at: Option<Timestamp>,
        /// Attempts so far.
        attempt: u32,
        /// What went wrong so far.
        errors: Vec<TaskError>,
    },
    /// It becomes a dead letter.
    Dead {
        /// Attempts so far.
        attempt: u32,
        /// What went wrong.
        errors: Vec<TaskError>,
        /// When.
        at: Timestamp,
        /// A recurring task also goes on, then: only this run of it is dead. The dead letter gets an id of its own.
        again: Option<(Timestamp, TaskId)>,
    },
}

/// Something that a dispatch relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// A state key has this version; none if it is absent.
    State {
        /// Whose.
        connection: ConnectionId,
        /// The key.
        key: String,
        /// The version.
        version: Option<i64>,
    },
    /// The keys that begin with `prefix` have these versions, in order, and there are no others.
    StatePrefix {
        /// Whose.
        connection: ConnectionId,
        /// The prefix.
        prefix: String,
        /// Key and version of each.
        versions: Vec<(String, i64)>,
    },
    /// A task is there: it was not cancelled, nor removed with its connection or channel. Else the set is
    /// refused with [`TaskGone`](super::CommitError::TaskGone).
    Task {
        /// The task.
        id: TaskId,
    },
    /// A source belongs to this thread; none if no connection has it. Else the set is refused with
    /// [`RecordConflict`](super::CommitError::RecordConflict), not as a conflict of state.
    SourceThread {
        /// The source.
        source: Source,
        /// The thread.
        thread: Option<ThreadId>,
    },
    /// In a channel, these tasks wait for or run what users did, in the order of their ids, and no others. Else the
    /// set is refused with [`RecordConflict`](super::CommitError::RecordConflict).
    UserTasks {
        /// Whose.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// The tasks of [`TaskPriority::User`](super::TaskPriority::User).
        tasks: Vec<TaskId>,
    },
    /// A setting has this value; `None` means that there is no such setting. Else the set is refused with
    /// [`RecordConflict`](super::CommitError::RecordConflict).
    Setting {
        /// Name of the setting.
        name: String,
        /// Its value.
        value: Option<Bytes>,
    },
    /// A file is there, and whole. Else the set is refused with
    /// [`RecordConflict`](super::CommitError::RecordConflict).
    File {
        /// The file.
        id: FileId,
    },
}

/// What a put does where a task of the connection already has the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedTask {
    /// The new one takes its place: payload, time, interval, priority; the id stays, the revision changes.
    Replace,
    /// The old one stays, at the earlier of the two times; the revision changes.
    Coalesce,
    /// The old one stays untouched.
    Keep,
}

/// One write. A `row` is stored with a version one greater than `expect`, and only if the stored
/// version is `expect` (none: if there is no row); else the set is refused with
/// [`RecordConflict`](super::CommitError::RecordConflict).
#[derive(Debug, Clone)]
pub enum Write {
    /// Stores a state value, with a version that no write of the key had before.
    PutState {
        /// Whose.
        connection: ConnectionId,
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
    },
    /// Removes a state value.
    DeleteState {
        /// Whose.
        connection: ConnectionId,
        /// The key.
        key: String,
    },
    /// Removes a state value if it still has this version; one that was written anew stays, which is no conflict.
    DeleteStateVersion {
        /// Whose.
        connection: ConnectionId,
        /// The key.
        key: String,
        /// The version that was seen.
        version: i64,
    },
    /// Removes the state values whose key begins with `prefix`.
    DeleteStatePrefix {
        /// Whose.
        connection: ConnectionId,
        /// The prefix.
        prefix: String,
    },
    /// Stores a callback.
    PutCallback(CallbackRow),
    /// Removes a stored callback.
    DeleteCallback {
        /// Whose.
        connection: ConnectionId,
        /// Its id.
        id: i64,
    },
    /// Removes all stored callbacks of a connection, and the marks of deleted sealed ones.
    DeleteCallbacks {
        /// Whose.
        connection: ConnectionId,
    },
    /// Marks a sealed callback as deleted.
    RevokeCallback {
        /// Whose.
        connection: ConnectionId,
        /// The nonce of its token.
        nonce: String,
    },
    /// Adds a task.
    PutTask {
        /// The task; its revision is ignored. A nonce that it has is kept.
        task: TaskRow,
        /// What happens where the key is taken; for a task without a key, it is not.
        keyed: KeyedTask,
    },
    /// Removes a task; one that is gone is no error.
    DeleteTask {
        /// The task.
        id: TaskId,
    },
    /// Removes the task of a connection with this key; one that is gone is no error.
    DeleteTaskByKey {
        /// Whose.
        connection: ConnectionId,
        /// The key.
        key: String,
    },
    /// Removes tasks of a connection, or of one of its channels; dead letters too if the connection goes away.
    DeleteTasks {
        /// Whose.
        connection: ConnectionId,
        /// Of this channel only.
        channel: Option<ChannelId>,
        /// All but this one: the task that says so.
        except: Option<TaskId>,
        /// Dead letters too.
        dead: bool,
    },
    /// Makes tasks run now. One that runs at this moment runs again, as its revision changes.
    HastenTasks {
        /// Whose.
        connection: ConnectionId,
        /// Those whose key begins with this.
        key_prefix: String,
    },
    /// Adds a dead letter.
    PutDead(DeadTask),
    /// Removes a dead letter; one that is gone is no error.
    DeleteDead {
        /// Its id.
        id: TaskId,
    },
    /// Stores a delivery. If another one of the connection has its key, the set is refused with
    /// [`RecordConflict`](super::CommitError::RecordConflict).
    PutDelivery {
        /// The row.
        row: DeliveryRow,
        /// The request, in the form of [`crate::value`].
        request: Bytes,
    },
    /// Another task hands a delivery over; one that is gone is no error.
    RedirectDelivery {
        /// The delivery.
        id: DeliveryId,
        /// The task.
        task: TaskId,
    },
    /// Removes deliveries with their requests; those that are gone are no error.
    DeleteDeliveries {
        /// Which.
        ids: Vec<DeliveryId>,
    },
    /// Stores a connection with its claims, in place of those that it had. If another connection has one of them, the
    /// set is refused with [`Taken`](super::CommitError::Taken).
    PutConnection {
        /// The row.
        row: Box<ConnectionRow>,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Removes a connection and everything that is its own: state, callbacks, tasks, dead letters, deliveries, channels,
    /// links, notes, secrets, claims, and the sources of those threads in which no other connection has a link.
    DeleteConnection {
        /// Which.
        id: ConnectionId,
    },
    /// Stores a channel.
    PutChannel {
        /// The row.
        row: Box<ChannelRow>,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Removes a channel that the service no longer has; its links stay as they are.
    DeleteChannel {
        /// Whose.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
    },
    /// Counts what was saved in a channel, and lets nobody conflict over it.
    CountSaved {
        /// Whose.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// How many more.
        saved: u64,
    },
    /// Stores a link. Another one of the same connection and source is a record conflict.
    PutLink {
        /// The row.
        row: Box<LinkRow>,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Removes a link and its notes: one that was never at the service, or that became another's.
    DeleteLink {
        /// Which.
        id: crate::id::LinkId,
    },
    /// Says that a source that is no link's own belongs to a thread (R8.3).
    PutSource {
        /// The source.
        source: Source,
        /// The thread.
        thread: ThreadId,
    },
    /// Makes one thread of two: links, notes, sources and users' marks of `from` move to `into`, in all
    /// connections. The old id stays an alias. Where a user has marks on both, those of `into` stay.
    /// Links and notes that move are changed by it: who read them before conflicts. So in a set it comes
    /// after the writes of such rows.
    MergeThreads {
        /// The thread that goes.
        from: ThreadId,
        /// The thread that stays.
        into: ThreadId,
    },
    /// Stores a note. Another one of the same link and key is a record conflict. A file of its attachments is
    /// kept as long as a note has it: it goes with the last one that loses it, however that comes.
    PutNote {
        /// The row.
        row: Box<NoteRow>,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Removes a note: one that a user discarded before it was delivered.
    DeleteNote {
        /// Which.
        id: crate::id::NoteId,
    },
    /// Stores a file.
    PutFile {
        /// The row.
        row: FileRow,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Adds a chunk to a file that is not whole yet. If it is, or is not there, or has the chunk, the set is refused
    /// with [`RecordConflict`](super::CommitError::RecordConflict).
    PutFileChunk {
        /// The file.
        file: FileId,
        /// Its place, from 0.
        index: u32,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Removes files with their chunks. One that a note has stays; one that is gone is no error.
    DeleteFiles {
        /// Which.
        ids: Vec<FileId>,
    },
    /// Stores what a user did to a thread.
    PutUserThread {
        /// The row.
        row: UserThreadRow,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Removes a user's marks.
    DeleteUserThread {
        /// The user.
        user: UserId,
        /// The thread.
        thread: ThreadId,
    },
    /// Adds to the feed; the position is given by the engine, in the order of commits.
    Feed(FeedEntry),
    /// Removes the entries of the feed up to this position, but for the last of the feed: positions go on after it.
    TrimFeed {
        /// The position.
        upto: u64,
    },
    /// Stores a secret.
    PutSecret {
        /// The row.
        row: SecretRow,
        /// The version it replaces.
        expect: Option<i64>,
    },
    /// Removes a secret. With a version, it must be there with that one, so that it is used up once.
    DeleteSecret {
        /// Its name.
        name: String,
        /// The version that was seen; none for whatever is there.
        expect: Option<i64>,
    },
    /// Stores a setting; none removes it.
    PutSetting {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<Bytes>,
    },
    /// Removes the settings whose name begins with `prefix`.
    DeleteSettings {
        /// The prefix.
        prefix: String,
    },
}

/// What a commit changed of the rows that hosts keep in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// Changes of tasks, in the order of the writes, the completion first.
    pub tasks: Vec<TaskChange>,
    /// Changes of connections, in the order of the writes.
    pub connections: Vec<ConnectionChange>,
    /// Names of the secrets that were stored or removed, but for those that ended with their connections.
    pub secrets: Vec<String>,
    /// Last position of the feed; `None` means that the set added nothing to it.
    pub feed_end: Option<u64>,
}

impl Committed {
    /// Notes what a write changes of connections and secrets. An engine calls this for each write that it applies.
    pub fn note(&mut self, write: &Write) {
        match write {
            Write::PutSecret { row, .. } => self.secrets.push(row.name.clone()),
            Write::DeleteSecret { name, .. } => self.secrets.push(name.clone()),
            _ => {}
        }
        self.connections.extend(match write {
            Write::PutConnection { row, .. } => Some(ConnectionChange::Stored { id: row.id, status: row.status }),
            Write::DeleteConnection { id } => Some(ConnectionChange::Ended(*id)),
            Write::PutChannel { row, .. } => Some(ConnectionChange::Channels(row.connection)),
            Write::DeleteChannel { connection, .. } => Some(ConnectionChange::Channels(*connection)),
            _ => None,
        });
    }
}

/// A connection that a commit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionChange {
    /// The row of the connection was stored.
    Stored {
        /// The connection.
        id: ConnectionId,
        /// Its status from now on.
        status: ConnectionStatus,
    },
    /// A channel of the connection was stored or removed.
    Channels(ConnectionId),
    /// The connection and everything that was its own are gone.
    Ended(ConnectionId),
}

impl ConnectionChange {
    /// The connection that changed.
    pub fn connection(self) -> ConnectionId {
        match self {
            Self::Stored { id, .. } | Self::Channels(id) | Self::Ended(id) => id,
        }
    }
}

/// A task that a commit added, changed or removed.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskChange {
    /// It waits now, as this row says.
    Waits(TaskRow),
    /// It is gone, or a dead letter.
    Gone(TaskId),
    /// All tasks of the connection, or of its channel, are gone, but for one.
    AllGone {
        /// Whose.
        connection: ConnectionId,
        /// Of this channel only.
        channel: Option<ChannelId>,
        /// All but this one.
        except: Option<TaskId>,
    },
}

impl WriteSet {
    /// A set of the host itself.
    pub fn of(writes: impl IntoIterator<Item = Write>) -> Self {
        Self { writes: writes.into_iter().collect(), ..Self::default() }
    }

    /// Nothing is to be stored.
    pub fn is_empty(&self) -> bool {
        self.completes.is_none() && self.writes.is_empty()
    }
}
