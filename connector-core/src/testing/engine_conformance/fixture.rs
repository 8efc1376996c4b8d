//! What the checks share: rows with little in them, a world with a row of each kind, and what can be
//! seen of it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::TestStore;
use crate::clock::BoxFuture;
use crate::engine::{
    After, CallbackRow, ChannelRow, ChannelSync, CommitError, Committed, Completion, ConnectionRow, ConnectionStatus,
    Counts, DeadTask, DeliveryQuery, DeliveryRow, Engine, EngineError, EngineResult, FeedEntry, FeedKind, FileRow,
    KeyedTask, LinkQuery, LinkRow, NoteRow, SecretRow, StateValue, TaskChange, TaskError, TaskPriority, TaskQuery,
    TaskRow, UserThreadRow, Write, WriteSet,
};
use crate::error::ErrorKind;
use crate::id::{ChannelId, ConnectionId, DeliveryId, FileId, LinkId, NoteId, NoteKey, TaskId, ThreadId, UserId};
use crate::model::{Account, Author, Channel, Link, Note, Source};

/// Prefixes that a careless engine takes for a pattern, or sorts by a language.
pub(super) const STRANGE: &[&str] =
    &["%", "_", "*", "?", "[", "\\", "'", "\"", "\u{1}", "é", "日本", "\u{10ffff}", "A", "a", "a%", "a_b"];

/// More than there is of anything in a check.
pub(super) const ALL: usize = 10_000;

/// This many seconds after a time in this century.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// This many microseconds after a time in this century.
pub(super) fn at_micro(micro: i64) -> Timestamp {
    at(0) + SignedDuration::from_micros(micro)
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl TestStore {
    pub(super) fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine)
    }

    pub(super) fn id(&self) -> i64 {
        self.engine.take_ids(1)
    }

    pub(super) fn thread(&self) -> ThreadId {
        ThreadId::from_number(self.id())
    }

    /// What a read answers.
    pub(super) async fn read<T>(&self, read: impl FnOnce(&dyn Engine) -> BoxFuture<'static, EngineResult<T>>) -> T {
        read(&*self.engine).await.expect("the store is read")
    }

    /// Stores a set that has to be taken.
    #[track_caller]
    pub(super) fn commit(&self, set: WriteSet) -> impl Future<Output = Committed> + Send + 'static {
        let from = std::panic::Location::caller();
        let answer = self.engine.commit(set);
        async move { answer.await.unwrap_or_else(|error| panic!("{from}: the set was refused: {error:?}")) }
    }

    /// Stores writes that have to be taken.
    #[track_caller]
    pub(super) fn apply(
        &self,
        writes: impl IntoIterator<Item = Write>,
    ) -> impl Future<Output = Committed> + Send + 'static {
        self.commit(WriteSet::of(writes))
    }

    /// Stores a set that has to be refused.
    #[track_caller]
    pub(super) fn refused(&self, set: WriteSet) -> impl Future<Output = CommitError> + Send + 'static {
        let from = std::panic::Location::caller();
        let answer = self.engine.commit(set);
        async move {
            match answer.await {
                Ok(committed) => panic!("{from}: the set was stored: {committed:?}"),
                Err(error) => error,
            }
        }
    }

    /// Writes that have to be refused because a record has another version, or belongs to another.
    #[track_caller]
    pub(super) fn conflicts(
        &self,
        writes: impl IntoIterator<Item = Write>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let from = std::panic::Location::caller();
        let refused = self.refused(WriteSet::of(writes));
        async move {
            let error = refused.await;
            assert!(matches!(error, CommitError::RecordConflict), "{from}: it is no record conflict: {error:?}");
        }
    }

    /// A new connection.
    pub(super) async fn connection(&self) -> ConnectionId {
        let row = connection_row(self.id());
        let id = row.id;
        self.apply([Write::PutConnection { row: Box::new(row), expect: None }]).await;
        id
    }

    /// A new link with this source, in a thread of its own.
    pub(super) async fn new_link(&self, connection: ConnectionId, source: &Source) -> LinkRow {
        self.put_link(link_row(connection, self.id(), self.thread(), source.clone())).await
    }

    /// Stores a new link, as it is then.
    pub(super) async fn put_link(&self, row: LinkRow) -> LinkRow {
        let id = row.link.id;
        self.apply([Write::PutLink { row: Box::new(row), expect: None }]).await;
        self.link(id).await.expect("the link is there")
    }

    /// Stores a new note, as it is then.
    pub(super) async fn put_note(&self, row: NoteRow) -> NoteRow {
        let id = row.note.id;
        self.apply([Write::PutNote { row: Box::new(row), expect: None }]).await;
        self.read(|engine| engine.note(id)).await.expect("the note is there")
    }

    /// Stores a new task, as it waits then.
    pub(super) async fn put_task(&self, task: TaskRow) -> TaskRow {
        let id = task.id;
        self.apply([Write::PutTask { task, keyed: KeyedTask::Replace }]).await;
        self.task(id).await.expect("the task is there")
    }

    pub(super) async fn link(&self, id: LinkId) -> Option<LinkRow> {
        self.read(|engine| engine.link(id)).await
    }

    pub(super) async fn task(&self, id: TaskId) -> Option<TaskRow> {
        self.read(|engine| engine.tasks_by_id(vec![id])).await.pop().expect("an answer for each id")
    }

    pub(super) async fn dead(&self, id: TaskId) -> Option<DeadTask> {
        self.read(|engine| engine.dead_task(id)).await
    }

    pub(super) async fn value(&self, connection: ConnectionId, key: &str) -> Option<StateValue> {
        let keys = vec![key.to_owned()];
        self.read(|engine| engine.state(connection, keys)).await.pop().expect("an answer for each key")
    }

    /// Writes a state value, and how it is stored.
    pub(super) async fn put_value(&self, connection: ConnectionId, key: &str, value: &str) -> StateValue {
        self.apply([put_state(connection, key, value)]).await;
        self.value(connection, key).await.expect("the value is there")
    }

    pub(super) async fn threads_of(&self, sources: &[&Source]) -> Vec<Option<ThreadId>> {
        let sources = sources.iter().map(|source| (*source).clone()).collect();
        let nobody = ConnectionId::from_number(i64::MAX);
        let found = self.read(|engine| engine.sources(nobody, sources)).await;
        found.into_iter().map(|source| source.thread).collect()
    }

    /// Closes the store and opens it again; none if it cannot be.
    pub(super) async fn reopen(mut self) -> Option<Self> {
        let reopen = self.reopen.take()?;
        self.engine.close().await.expect("the store is closed");
        let kept = std::mem::take(&mut self.kept);
        drop(self);
        Some(Self { engine: reopen().await, reopen: None, kept })
    }
}

pub(super) fn put_state(connection: ConnectionId, key: &str, value: &str) -> Write {
    Write::PutState { connection, key: key.to_owned(), value: bytes(value) }
}

pub(super) fn connection_row(id: i64) -> ConnectionRow {
    let owner = UserId::from_static("ada");
    ConnectionRow {
        id: ConnectionId::from_number(id),
        connector: "github".into(),
        connector_version: "1.0.0".to_owned(),
        owner: owner.clone(),
        workspace: None,
        status: ConnectionStatus::Active,
        status_reason: None,
        name: "octocat".to_owned(),
        options: serde_json::Map::new(),
        account: Account::new(owner),
        identity: None,
        credential: None,
        scope_groups: Vec::new(),
        asked_scopes: Vec::new(),
        history_days: None,
        auto_enable_new_channels: None,
        generation: 0,
        claims: Vec::new(),
        created_at: at(0),
        version: 0,
    }
}

pub(super) fn channel_row(connection: ConnectionId, id: &str) -> ChannelRow {
    ChannelRow {
        connection,
        channel: Channel::new(id, "a channel"),
        parent: None,
        enabled: true,
        observe_only: false,
        walking: Vec::new(),
        recovering: false,
        sync: ChannelSync::default(),
        version: 0,
    }
}

pub(super) fn link_row(connection: ConnectionId, id: i64, thread: ThreadId, source: Source) -> LinkRow {
    let link = Link {
        id: LinkId::from_number(id),
        thread,
        source,
        link_type: "issue".into(),
        channel: "repo".into(),
        title: None,
        preview: None,
        url: None,
        status: None,
        assignee: None,
        contacts: Vec::new(),
        schedules: Vec::new(),
        actions: Vec::new(),
        author: Author::Owner,
        occurred_at: at(0),
        updated_at: at(0),
        raw_meta: Arc::default(),
        delivery: None,
        archived: false,
    };
    LinkRow::new(connection, link)
}

pub(super) fn note_row(link: &LinkRow, id: i64, key: Option<&str>) -> NoteRow {
    let note = Note {
        id: NoteId::from_number(id),
        thread: link.link.thread,
        link: link.link.id,
        key: key.map(NoteKey::from),
        author: Author::Owner,
        occurred_at: at(0),
        updated_at: at(0),
        content: "a note".to_owned(),
        url: None,
        reply_to: None,
        attachments: Vec::new(),
        reactions: Vec::new(),
        actions: Vec::new(),
        recipients: Vec::new(),
        written_by: None,
        delivery: None,
        archived: false,
    };
    NoteRow { connection: link.connection, note, baseline: None, version: 0 }
}

/// A file whose upload has begun.
pub(super) fn file_row(id: i64) -> FileRow {
    FileRow {
        id: FileId::from_number(id),
        owner: "ada".into(),
        name: "a.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        size: None,
        created_at: at(0),
        version: 0,
    }
}

pub(super) fn mark_row(user: &str, thread: ThreadId) -> UserThreadRow {
    UserThreadRow { user: user.into(), thread, unread: true, todo: false, todo_date: None, archived: false, version: 0 }
}

pub(super) fn task_row(connection: ConnectionId, id: i64) -> TaskRow {
    TaskRow {
        id: TaskId::from_number(id),
        connection,
        run_at: None,
        attempt: 0,
        revision: 0,
        key: None,
        channel: None,
        priority: TaskPriority::Incremental,
        every_ms: None,
        payload: bytes("payload"),
        errors: Vec::new(),
        nonce: None,
    }
}

pub(super) fn delivery_row(connection: ConnectionId, id: i64, key: Option<&str>) -> DeliveryRow {
    DeliveryRow {
        id: DeliveryId::from_number(id),
        connection,
        key: key.map(str::to_owned),
        callback: "events".to_owned(),
        channel: None,
        received_at: at(0),
        task: TaskId::from_number(id),
        size: 0,
    }
}

pub(super) fn task_error(attempt: u32) -> TaskError {
    TaskError {
        at: at(i64::from(attempt)),
        attempt,
        kind: ErrorKind::Transient,
        message: "the service is down".to_owned(),
    }
}

/// A set that ends a run of this task, as it was read.
pub(super) fn completes(task: &TaskRow, then: After) -> WriteSet {
    let completion = Completion { task: task.id, revision: task.revision, then };
    WriteSet { connection: Some(task.connection), completes: Some(completion), ..WriteSet::default() }
}

/// The row without its revision and its nonce, which an engine chooses.
pub(super) fn unrevised(task: &TaskRow) -> TaskRow {
    TaskRow { revision: 0, nonce: None, ..task.clone() }
}

/// The rows that wait after a commit.
pub(super) fn waiting(committed: &Committed) -> Vec<TaskRow> {
    let rows = committed.tasks.iter().filter_map(|change| match change {
        TaskChange::Waits(row) => Some(row.clone()),
        _ => None,
    });
    rows.collect()
}

/// Whether a commit said that this task is gone: by its id, or with all of its connection or channel.
pub(super) fn said_gone(committed: &Committed, task: &TaskRow) -> bool {
    committed.tasks.iter().any(|change| match change {
        TaskChange::Waits(_) => false,
        TaskChange::Gone(id) => *id == task.id,
        TaskChange::AllGone { connection, channel, except } => {
            *connection == task.connection
                && (channel.is_none() || *channel == task.channel)
                && *except != Some(task.id)
        }
    })
}

/// A connection with a row of each kind.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) id: ConnectionId,
    pub(super) channel: ChannelId,
    pub(super) callback: i64,
    /// Keyed `sync:a`, later, in the channel; and one without key or channel, at once.
    pub(super) tasks: [TaskRow; 2],
    pub(super) dead: TaskId,
    pub(super) delivery: DeliveryId,
    /// The version of the state key `dirty:1`.
    pub(super) dirty: i64,
    /// Each in a thread of its own, the first with two notes.
    pub(super) links: [LinkRow; 2],
    pub(super) notes: [NoteRow; 2],
}

/// What can be seen of a connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TenantView {
    row: Option<ConnectionRow>,
    state: Vec<(String, StateValue)>,
    callback: Option<CallbackRow>,
    revoked: bool,
    channels: Vec<ChannelRow>,
    tasks: Vec<TaskRow>,
    dead: Vec<DeadTask>,
    deliveries: Vec<DeliveryRow>,
    links: Vec<LinkRow>,
    notes: Vec<NoteRow>,
    notes_by_key: Vec<Option<NoteRow>>,
    marks: Vec<Option<UserThreadRow>>,
    threads: Vec<Option<ThreadId>>,
}

impl TenantView {
    /// Nothing is left of what is the connection's own.
    pub(super) fn is_gone(&self) -> bool {
        self.row.is_none()
            && self.state.is_empty()
            && self.callback.is_none()
            && !self.revoked
            && self.channels.is_empty()
            && self.tasks.is_empty()
            && self.dead.is_empty()
            && self.deliveries.is_empty()
            && self.links.is_empty()
            && self.notes.is_empty()
            && self.notes_by_key.iter().all(Option::is_none)
    }
}

impl Tenant {
    /// A new connection in which `name` tells the sources apart.
    pub(super) async fn new(store: &TestStore, name: &str) -> Self {
        let id = store.connection().await;
        let channel = ChannelId::from("repo");
        let source = |item: &str| Source::new("github", [name, item]);
        let links = [store.new_link(id, &source("1")).await, store.new_link(id, &source("2")).await];
        let notes = [
            store.put_note(note_row(&links[0], store.id(), Some("n1"))).await,
            store.put_note(note_row(&links[0], store.id(), None)).await,
        ];
        let later = TaskRow {
            run_at: Some(at(60)),
            key: Some("sync:a".to_owned()),
            channel: Some(channel.clone()),
            every_ms: Some(60_000),
            ..task_row(id, store.id())
        };
        let tasks = [store.put_task(later).await, store.put_task(task_row(id, store.id())).await];
        let dead =
            DeadTask { task: TaskRow { channel: Some(channel.clone()), ..task_row(id, store.id()) }, died_at: at(1) };
        let dirty = store.put_value(id, "dirty:1", "1").await.version;
        let delivery = delivery_row(id, store.id(), Some("first"));
        let tenant = Self {
            id,
            channel,
            callback: store.id(),
            tasks,
            dead: dead.task.id,
            delivery: delivery.id,
            dirty,
            links,
            notes,
        };
        store
            .apply([
                Write::PutChannel { row: Box::new(channel_row(id, "repo")), expect: None },
                put_state(id, "cursor", "1"),
                put_state(id, "dirty:2", "1"),
                Write::PutCallback(CallbackRow { id: tenant.callback, connection: id, body: bytes("body") }),
                Write::RevokeCallback { connection: id, nonce: "nonce".to_owned() },
                Write::PutDead(dead),
                Write::PutDelivery { row: delivery, request: bytes("request") },
                Write::PutUserThread { row: mark_row("ada", tenant.links[0].link.thread), expect: None },
            ])
            .await;
        tenant
    }

    /// A set that stores nothing because of its last write.
    pub(super) fn conflict(&self) -> Write {
        Write::PutConnection { row: Box::new(connection_row(self.id.number())), expect: Some(4711) }
    }

    pub(super) async fn view(&self, store: &TestStore) -> TenantView {
        let (id, callback) = (self.id, self.callback);
        let query = TaskQuery { connection: Some(id), after: None, limit: ALL };
        let dead = query.clone();
        let deliveries = DeliveryQuery { connection: Some(id), ..DeliveryQuery::all(ALL) };
        let links = LinkQuery { connections: Some(vec![id]), archived: true, limit: ALL, ..LinkQuery::default() };
        let mut notes = Vec::new();
        for link in &self.links {
            let link = link.link.id;
            notes.extend(store.read(|engine| engine.notes_of_link(link)).await);
        }
        let keys: Vec<_> = ["n1", "n2"].into_iter().map(|key| (self.links[0].link.id, NoteKey::from(key))).collect();
        let threads: Vec<_> = self.links.iter().map(|link| link.link.thread).collect();
        let sources: Vec<_> = self.links.iter().map(|link| &link.link.source).collect();
        TenantView {
            row: store.read(|engine| engine.connection(id)).await.map(|row| (*row).clone()),
            state: store.read(|engine| engine.state_entries(id, String::new(), ALL)).await,
            callback: store.read(|engine| engine.callback(id, callback)).await,
            revoked: store.read(|engine| engine.callback_revoked(id, "nonce".to_owned())).await,
            channels: store.read(|engine| engine.channels(id)).await,
            tasks: store.read(|engine| engine.tasks(query)).await,
            dead: store.read(|engine| engine.dead_tasks(dead)).await,
            deliveries: store.read(|engine| engine.deliveries(deliveries)).await,
            links: store.read(|engine| engine.links(links)).await,
            notes,
            notes_by_key: store.read(|engine| engine.notes_by_key(id, keys)).await,
            marks: store.read(|engine| engine.user_threads("ada".into(), threads)).await,
            threads: store.threads_of(&sources).await,
        }
    }
}

/// What can be seen of a store beside its connections.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoreView {
    feed: Vec<FeedEntry>,
    feed_end: u64,
    settings: Vec<(String, Bytes)>,
    secrets: Vec<SecretRow>,
    counts: Counts,
    files: Vec<FileRow>,
    extra_thread: Vec<Option<ThreadId>>,
}

impl StoreView {
    pub(super) fn end(&self) -> u64 {
        self.feed_end
    }

    pub(super) async fn of(store: &TestStore) -> Self {
        Self {
            feed: store.read(|engine| engine.feed(0, ALL)).await,
            feed_end: store.read(|engine| engine.feed_end()).await,
            settings: store.read(|engine| engine.settings(String::new())).await,
            secrets: store.read(|engine| engine.secrets(String::new(), None, ALL)).await,
            counts: store.read(|engine| engine.counts()).await,
            files: store.read(|engine| engine.unused_files(Timestamp::MAX, ALL)).await,
            extra_thread: store.threads_of(&[&extra_source()]).await,
        }
    }
}

/// A source that is no link's own.
pub(super) fn extra_source() -> Source {
    Source::new("mail", ["<message@example.com>"])
}

/// A credential of this connection.
pub(super) fn secret_row(connection: ConnectionId) -> SecretRow {
    SecretRow {
        name: "credential".to_owned(),
        connection: Some(connection),
        sealed: "sealed".to_owned(),
        expires_at: None,
        version: 0,
    }
}

pub(super) fn feed(tenant: &Tenant) -> Write {
    Write::Feed(FeedEntry::new(FeedKind::Link, tenant.id, tenant.links[0].link.id))
}

/// What a closed store answers.
pub(super) fn is_closed(error: &CommitError) -> bool {
    matches!(error, CommitError::Engine(EngineError::Closed))
}
