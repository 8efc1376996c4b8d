use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ErrorKind;
use crate::id::{
    ChannelId, ConnectionId, ConnectorId, DeliveryId, FileId, LinkId, LinkTypeId, NoteId, StatusId, TaskId, ThreadId,
    UserId, WorkspaceId,
};
use crate::model::{Account, ActionButton, Actor, Author, Channel, Contact, Delivery, Link, Note, Schedule, Source};

/// A value of a connection's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// Differs for each write of the key.
    pub version: i64,
    /// In the form of [`crate::value`].
    pub value: Bytes,
}

/// A callback that is too large to be sealed in its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackRow {
    /// Its id, which the token names.
    pub id: i64,
    /// Whose it is.
    pub connection: ConnectionId,
    /// What the token would hold.
    pub body: Bytes,
}

/// Whether a connection works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// The user has not finished authorizing it.
    AwaitingAuthorization,
    /// Works.
    Active,
    /// Its credential does not work any more; its tasks are parked (R3.7).
    NeedsReauth,
    /// Its options do not fit its connector any more; its tasks are parked (R11.11). It follows from the options and
    /// the connector, so it is shown, and never stored.
    NeedsAttention,
    /// Over one of the operator's limits; its tasks are parked (R6.7).
    Suspended,
    /// Disconnected, and kept until the service has been told to stop pushing; or its connector is not linked into
    /// this host, and its tasks are parked.
    Disabled,
}

impl ConnectionStatus {
    /// As one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingAuthorization => "awaiting_authorization",
            Self::Active => "active",
            Self::NeedsReauth => "needs_reauth",
            Self::NeedsAttention => "needs_attention",
            Self::Suspended => "suspended",
            Self::Disabled => "disabled",
        }
    }
}

/// Something sealed that is found by its name: a credential, an authorization under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Its name: `credential/7`.
    pub name: String,
    /// Whose it is: it goes with its connection. None for what outlives one.
    pub connection: Option<ConnectionId>,
    /// As the vault sealed it.
    pub sealed: String,
    /// From then on it is of no use, and whoever finds it may remove it.
    pub expires_at: Option<Timestamp>,
    /// Counts the writes of the row.
    pub version: i64,
}

/// A connection as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// Its id.
    pub id: ConnectionId,
    /// Its connector.
    pub connector: ConnectorId,
    /// The version of the connector that last ran its `activate` or `upgrade`.
    pub connector_version: String,
    /// Whose it is.
    pub owner: UserId,
    /// The workspace that may share its credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceId>,
    /// Whether it works.
    pub status: ConnectionStatus,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// What it is called.
    pub name: String,
    /// Its options; secure ones are sealed.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The account, without its credential.
    pub account: Account,
    /// The owner's own account at the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Actor>,
    /// The name of the secret that is its credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The optional scope groups that the user has chosen (R1.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope_groups: Vec<String>,
    /// The scopes that were asked for when it was last authorized; those that were granted are the account's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_scopes: Vec<String>,
    /// Nothing older than this many days is kept; none if there is no limit (R8.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_days: Option<u32>,
    /// Newly discovered channels are enabled; none leaves it to the connector's declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_enable_new_channels: Option<bool>,
    /// Callbacks of an earlier generation are deleted.
    pub generation: i64,
    /// Texts that no other connection of the store has: what must be unique is decided when the row is stored. An
    /// engine does not look into them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts the writes of the row.
    #[serde(default)]
    pub version: i64,
}

/// The last look for changes that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastSync {
    /// When.
    pub at: Timestamp,
    /// `succeeded`, or what went wrong.
    pub outcome: String,
}

/// How far the syncing of a channel is (design 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// Not enabled.
    #[default]
    Off,
    /// Enabled, not begun.
    Queued,
    /// Under way.
    Syncing,
    /// All that is there was fetched.
    Synced,
    /// The service takes no more requests for now.
    Throttled,
    /// Gave up.
    Failed,
}

/// The syncing of a channel, as a user sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChannelSync {
    /// How far it is.
    pub state: SyncState,
    /// Links and notes that it has saved since it began.
    #[serde(default)]
    pub saved: u64,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its declared syncs that have failed, or been told to wait, since they last ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
}

/// A channel of a connection as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Whose it is.
    pub connection: ConnectionId,
    /// What `get_channels` last said of it, without its children.
    pub channel: Channel,
    /// The channel that it is within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChannelId>,
    /// The user syncs it.
    pub enabled: bool,
    /// Only look: nothing is written back for it.
    #[serde(default)]
    pub observe_only: bool,
    /// Its declared syncs that have not ended their first, or recovering, walk. Empty while live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub walking: Vec<String>,
    /// The walk that is under way makes up for what was missed, in place of being the first.
    #[serde(default)]
    pub recovering: bool,
    /// How far it is.
    pub sync: ChannelSync,
    /// Counts the writes of the row.
    #[serde(default)]
    pub version: i64,
}

/// A link as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkRow {
    /// The connection that sees it so.
    pub connection: ConnectionId,
    /// The link.
    pub link: Link,
    /// The declared syncs that have saved it, in the order in which they did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syncs: Vec<String>,
    /// Counts the writes of the row.
    #[serde(default)]
    pub version: i64,
}

/// What a store has of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceRow {
    /// The link of the connection that asks.
    pub link: Option<LinkRow>,
    /// The thread that it belongs to, in any connection.
    pub thread: Option<ThreadId>,
}

/// What of a link an engine finds links by, for engines that keep it in columns of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in `Link`")]
pub struct LinkColumns {
    pub id: LinkId,
    pub thread: ThreadId,
    pub source: Source,
    pub link_type: LinkTypeId,
    pub channel: ChannelId,
    pub status: Option<StatusId>,
    /// To the microsecond, as all times of a link.
    pub occurred_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived: bool,
}

/// The rest of a link, which an engine stores as one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `Link`")]
pub struct LinkDocument<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Cow<'a, Actor>>,
    #[serde(default, skip_serializing_if = "nothing_in")]
    pub contacts: Cow<'a, [Contact]>,
    #[serde(default, skip_serializing_if = "nothing_in")]
    pub schedules: Cow<'a, [Schedule]>,
    #[serde(default, skip_serializing_if = "nothing_in")]
    pub actions: Cow<'a, [ActionButton]>,
    pub author: Cow<'a, Author>,
    #[serde(default, skip_serializing_if = "is_null")]
    pub meta: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Cow<'a, Delivery>>,
    #[serde(default, skip_serializing_if = "nothing_in")]
    pub syncs: Cow<'a, [String]>,
}

fn nothing_in<T>(list: &[T]) -> bool {
    list.is_empty()
}

fn is_null(meta: &Value) -> bool {
    meta.is_null()
}

impl<'a> From<&'a LinkRow> for LinkDocument<'a> {
    fn from(LinkRow { link, syncs, .. }: &'a LinkRow) -> Self {
        Self {
            title: link.title.as_deref().map(Cow::Borrowed),
            preview: link.preview.as_deref().map(Cow::Borrowed),
            url: link.url.as_deref().map(Cow::Borrowed),
            assignee: link.assignee.as_ref().map(Cow::Borrowed),
            contacts: Cow::Borrowed(&link.contacts),
            schedules: Cow::Borrowed(&link.schedules),
            actions: Cow::Borrowed(&link.actions),
            author: Cow::Borrowed(&link.author),
            meta: Arc::clone(&link.raw_meta),
            delivery: link.delivery.as_ref().map(Cow::Borrowed),
            syncs: Cow::Borrowed(syncs),
        }
    }
}

impl LinkDocument<'_> {
    /// The row that it was made from, with its columns.
    pub fn into_row(self, connection: ConnectionId, columns: LinkColumns, version: i64) -> LinkRow {
        let syncs = self.syncs.into_owned();
        let link = Link {
            id: columns.id,
            thread: columns.thread,
            source: columns.source,
            link_type: columns.link_type,
            channel: columns.channel,
            title: self.title.map(Cow::into_owned),
            preview: self.preview.map(Cow::into_owned),
            url: self.url.map(Cow::into_owned),
            status: columns.status,
            assignee: self.assignee.map(Cow::into_owned),
            contacts: self.contacts.into_owned(),
            schedules: self.schedules.into_owned(),
            actions: self.actions.into_owned(),
            author: self.author.into_owned(),
            occurred_at: columns.occurred_at,
            updated_at: columns.updated_at,
            raw_meta: self.meta,
            delivery: self.delivery.map(Cow::into_owned),
            archived: columns.archived,
        };
        LinkRow { connection, link, syncs, version }
    }
}

/// A note as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteRow {
    /// The connection that sees it so.
    pub connection: ConnectionId,
    /// The note.
    pub note: Note,
    /// The hash of what the service last said that it stores (R9.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Counts the writes of the row.
    #[serde(default)]
    pub version: i64,
}

/// A file that a user uploaded. Its bytes are stored beside it, in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Its id.
    pub id: FileId,
    /// Who uploaded it; empty while it is being uploaded.
    pub owner: UserId,
    /// File name.
    pub name: String,
    /// Media type (RFC 6838).
    pub media_type: String,
    /// Bytes; none while it is being uploaded.
    pub size: Option<u64>,
    /// When its upload began.
    pub created_at: Timestamp,
    /// Counts the writes of the row.
    pub version: i64,
}

/// What a user has done to a thread. A thread that the user never touched has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserThreadRow {
    /// The user.
    pub user: UserId,
    /// The thread.
    pub thread: ThreadId,
    /// Something in it is new to the user.
    #[serde(default)]
    pub unread: bool,
    /// The user wants to do something about it.
    #[serde(default)]
    pub todo: bool,
    /// On this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub todo_date: Option<Date>,
    /// The user put it away.
    #[serde(default)]
    pub archived: bool,
    /// Counts the writes of the row.
    #[serde(default)]
    pub version: i64,
}

/// In which order the tasks of a lane run (design 4, L11). A smaller one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPriority {
    /// A user waits for it.
    User = 0,
    /// The service pushed it.
    Webhook = 1,
    /// Looks for changes.
    Incremental = 2,
    /// Walks what was there before.
    Backfill = 3,
}

impl TaskPriority {
    /// As a number, as it is stored.
    pub fn number(self) -> i64 {
        self as i64
    }

    /// The priority with this number; an unknown one goes last.
    pub fn from_number(number: i64) -> Self {
        match number {
            0 => Self::User,
            1 => Self::Webhook,
            2 => Self::Incremental,
            _ => Self::Backfill,
        }
    }
}

/// A task that waits or runs. A host keeps no mark of running in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Its id; the same for all of its attempts, and all runs of a recurring one.
    pub id: TaskId,
    /// Whose it is.
    pub connection: ConnectionId,
    /// When it runs; none for at once.
    pub run_at: Option<Timestamp>,
    /// How often it was tried.
    pub attempt: u32,
    /// Differs for each change from outside while it waits or runs.
    pub revision: i64,
    /// At most one task of a connection has a key.
    pub key: Option<String>,
    /// Its lane; falls with the channel.
    pub channel: Option<ChannelId>,
    /// Its order in the lane.
    pub priority: TaskPriority,
    /// Runs again at this interval, in milliseconds.
    pub every_ms: Option<i64>,
    /// What it does: a `TaskPayload` in the form of [`crate::value`].
    pub payload: Bytes,
    /// What went wrong so far, oldest first.
    pub errors: Vec<TaskError>,
    /// Random bytes that no other run of any task has, in this store or another: idempotency keys are made of them, so
    /// a second installation or a restored backup never sends a key that the service has seen for another message
    /// (L35). The store draws them with each new revision; all attempts of one run have the same. `None` in a row that
    /// is to be stored means that the store draws them, and in a stored row that an older version stored it.
    pub nonce: Option<[u8; 16]>,
}

/// What went wrong in one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskError {
    /// When.
    pub at: Timestamp,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What the host did about it.
    #[serde(flatten)]
    pub kind: ErrorKind,
    /// The message.
    pub message: String,
}

/// A task that the host gave up on, with its error history (R6.6).
#[derive(Debug, Clone, PartialEq)]
pub struct DeadTask {
    /// The task as it was.
    pub task: TaskRow,
    /// When it was given up.
    pub died_at: Timestamp,
}

/// A request that a service pushed, as it was received. Its bytes are stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub connection: ConnectionId,
    /// Tells it from others of the connection; the same for what the service sends again. None: it is like no other.
    pub key: Option<String>,
    /// The callback that takes it.
    pub callback: String,
    /// The channel that it concerns.
    pub channel: Option<ChannelId>,
    /// When it came.
    pub received_at: Timestamp,
    /// The last task that hands it over.
    pub task: TaskId,
    /// How many bytes its body has.
    pub size: u64,
}

/// What a feed entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    /// A thread's read, to-do or archive mark, or its merging with another.
    Thread,
    /// A link.
    Link,
    /// A note.
    Note,
    /// A connection.
    Connection,
    /// A channel's state.
    Channel,
    /// The token of a connection that ended here has ended at its service too.
    Revoked,
    /// It could not be ended there, and is not tried any more: its user can take it back at the service.
    NotRevoked,
}

impl FeedKind {
    /// As one word, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Link => "link",
            Self::Note => "note",
            Self::Connection => "connection",
            Self::Channel => "channel",
            Self::Revoked => "revoked",
            Self::NotRevoked => "not_revoked",
        }
    }

    /// The kind that is stored as this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Thread, Self::Link, Self::Note, Self::Connection, Self::Channel, Self::Revoked, Self::NotRevoked]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// One entry of the change feed: that a thing was saved or changed. What it is now is read with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedEntry {
    /// Its position, in the order of commits. Zero in one that is yet to be committed.
    pub position: u64,
    /// What it is about.
    pub kind: FeedKind,
    /// Whose connection; none for a user's thread marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The id of the thing: of the thread, link, note or connection, or of the channel.
    pub id: String,
}

impl FeedEntry {
    /// A thing of a connection was saved or changed.
    pub fn new(kind: FeedKind, connection: ConnectionId, id: impl ToString) -> Self {
        Self { position: 0, kind, connection: Some(connection), id: id.to_string() }
    }

    /// A user's marks of a thread were changed.
    pub fn thread(thread: ThreadId) -> Self {
        Self { position: 0, kind: FeedKind::Thread, connection: None, id: thread.to_string() }
    }
}

impl LinkRow {
    /// A link of a connection that is not stored yet, and that no sync has saved.
    pub fn new(connection: ConnectionId, link: Link) -> Self {
        Self { connection, link, syncs: Vec::new(), version: 0 }
    }

    /// The link's id.
    pub fn id(&self) -> LinkId {
        self.link.id
    }
}

impl NoteRow {
    /// The note's id.
    pub fn id(&self) -> NoteId {
        self.note.id
    }
}
