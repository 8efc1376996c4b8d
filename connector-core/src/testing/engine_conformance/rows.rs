//! What is stored comes back as it was, field by field.

use serde_json::{Value, json};

use super::TestStore;
use super::fixture::*;
use crate::engine::{
    ChannelRow, ChannelSync, ConnectionRow, ConnectionStatus, DeadTask, KeyedTask, LinkRow, NoteRow, SyncState,
    TaskError, TaskPriority, TaskRow, UserThreadRow, Write,
};
use crate::error::ErrorKind;
use crate::id::{ConnectionId, FileId, ThreadId};
use crate::link_type::{DynamicStatus, LinkTypeRefinement};
use crate::model::{
    Account, ActionButton, Actor, Attachment, AttachmentRef, Attendance, Author, ButtonTarget, Channel, Contact,
    Delivery, Emoji, Reaction, Recipient, Schedule, Source, When,
};

/// A text that databases and their drivers get wrong.
const UNICODE: &str =
    "“q” 'q' \"q\" \\ % _ ; -- \u{1} \t\r\n é e\u{301} ß İ 日本 👩‍👩‍👧 \u{202e}rtl\u{202c} \u{feff} \u{10ffff}";

/// A row of each kind that has something in every field.
struct Rows {
    connection: ConnectionRow,
    channel: ChannelRow,
    link: LinkRow,
    note: NoteRow,
    mark: UserThreadRow,
    task: TaskRow,
    dead: DeadTask,
}

impl Rows {
    /// With nothing that can be left out.
    fn empty(store: &TestStore) -> Self {
        let connection = connection_row(store.id());
        let id = connection.id;
        let link = link_row(id, store.id(), store.thread(), Source::new("github", ["1"]));
        Self {
            channel: channel_row(id, "repo"),
            note: note_row(&link, store.id(), None),
            mark: UserThreadRow { unread: false, ..mark_row("ada", link.link.thread) },
            task: TaskRow { payload: bytes(""), ..task_row(id, store.id()) },
            dead: DeadTask { task: TaskRow { payload: bytes(""), ..task_row(id, store.id()) }, died_at: at(0) },
            connection,
            link,
        }
    }

    /// With this text in every field that takes one.
    fn full(store: &TestStore, text: &str) -> Self {
        let mut rows = Self::empty(store);
        let id = rows.connection.id;
        rows.connection = full_connection(id, text);
        rows.channel = full_channel(id, text);
        rows.link = full_link(&rows.link, text);
        let thread = rows.link.link.thread;
        rows.note = full_note(&rows.link, rows.note.note.id.number(), text);
        rows.mark = UserThreadRow {
            unread: true,
            todo: true,
            todo_date: Some(jiff::civil::date(2024, 2, 29)),
            archived: true,
            ..mark_row(text, thread)
        };
        rows.task = full_task(id, rows.task.id.number(), text);
        rows.dead = DeadTask { task: full_task(id, rows.dead.task.id.number(), text), died_at: at_micro(999_999) };
        rows
    }

    fn writes(&self) -> Vec<Write> {
        vec![
            Write::PutConnection { row: Box::new(self.connection.clone()), expect: None },
            Write::PutChannel { row: Box::new(self.channel.clone()), expect: None },
            Write::PutLink { row: Box::new(self.link.clone()), expect: None },
            Write::PutNote { row: Box::new(self.note.clone()), expect: None },
            Write::PutUserThread { row: self.mark.clone(), expect: None },
            Write::PutTask { task: self.task.clone(), keyed: KeyedTask::Keep },
            Write::PutDead(self.dead.clone()),
        ]
    }

    /// Stores the rows and reads them in every way there is.
    async fn come_back(&self, store: &TestStore) {
        store.apply(self.writes()).await;
        let id = self.connection.id;
        let connection = ConnectionRow { version: 1, ..self.connection.clone() };
        assert_eq!(store.read(|engine| engine.connection(id)).await.as_deref(), Some(&connection));
        let listed = store.read(|engine| engine.connections(None, None, None, ALL)).await;
        assert_eq!(listed.iter().find(|row| row.id == id).map(|row| &**row), Some(&connection));

        let channel = ChannelRow { version: 1, ..self.channel.clone() };
        let channel_id = channel.channel.id.clone();
        assert_eq!(store.read(|engine| engine.channel(id, channel_id)).await.as_ref(), Some(&channel));
        assert_eq!(store.read(|engine| engine.channels(id)).await, [channel]);

        let link = LinkRow { version: 1, ..self.link.clone() };
        assert_eq!(store.link(link.link.id).await.as_ref(), Some(&link));
        let sources = vec![link.link.source.clone()];
        assert_eq!(store.read(|engine| engine.links_by_source(id, sources)).await, [Some(link.clone())]);
        assert_eq!(store.threads_of(&[&link.link.source]).await, [Some(link.link.thread)]);

        let note = NoteRow { version: 1, ..self.note.clone() };
        let (note_id, link_id) = (note.note.id, note.note.link);
        assert_eq!(store.read(|engine| engine.note(note_id)).await.as_ref(), Some(&note));
        assert_eq!(store.read(|engine| engine.notes_of_link(link_id)).await, std::slice::from_ref(&note));
        if let Some(key) = note.note.key.clone() {
            assert_eq!(store.read(|engine| engine.notes_by_key(id, vec![(link_id, key)])).await, [Some(note)]);
        }

        let mark = UserThreadRow { version: 1, ..self.mark.clone() };
        let (user, thread) = (mark.user.clone(), mark.thread);
        assert_eq!(store.read(|engine| engine.user_threads(user, vec![thread])).await, [Some(mark)]);

        let task = store.task(self.task.id).await;
        let unnumbered = |task: &TaskRow| TaskRow { revision: 0, ..task.clone() };
        // One that has no nonce is given one.
        let nonce = self.task.nonce.or(task.as_ref().and_then(|task| task.nonce));
        assert_eq!(task.as_ref().map(unnumbered), Some(TaskRow { nonce, ..self.task.clone() }));
        if let Some(key) = self.task.key.clone() {
            assert_eq!(store.read(|engine| engine.task_by_key(id, key)).await, task);
        }
        let dead = store.dead(self.dead.task.id).await.expect("it is there");
        assert_eq!(DeadTask { task: unnumbered(&dead.task), ..dead }, self.dead);
    }
}

fn actor(text: &str) -> Actor {
    let mut actor = Actor::new(text).name(text).email(text).avatar(text).handle(text).bot();
    actor.user = Some(text.into());
    actor
}

fn json_of(text: &str) -> Value {
    json!({
        text: text,
        "": null,
        "null": null,
        "numbers": [0, -1, u64::MAX, i64::MIN, 0.1, -2.5e-7],
        "nested": { "list": [[], {}, [null, true, false, "x"]] },
    })
}

fn full_connection(id: ConnectionId, text: &str) -> ConnectionRow {
    let mut account = Account::new(text.into());
    account.id = Some(text.to_owned());
    account.name = Some(text.to_owned());
    account.tenant = Some(text.to_owned());
    account.scopes = vec![text.to_owned(), String::new()];
    ConnectionRow {
        id,
        connector: text.into(),
        connector_version: text.to_owned(),
        owner: text.into(),
        workspace: Some(text.into()),
        status: ConnectionStatus::NeedsReauth,
        status_reason: Some(text.to_owned()),
        name: text.to_owned(),
        options: json_of(text).as_object().cloned().expect("an object"),
        account,
        identity: Some(actor(text)),
        credential: Some(text.to_owned()),
        scope_groups: vec![text.to_owned()],
        asked_scopes: vec![text.to_owned()],
        history_days: Some(u32::MAX),
        auto_enable_new_channels: Some(false),
        generation: i64::MAX,
        claims: vec![format!("{id} {text}"), format!("{id}")],
        created_at: at_micro(123_456),
        version: 0,
    }
}

fn full_channel(connection: ConnectionId, text: &str) -> ChannelRow {
    let mut status = DynamicStatus::new(text, text);
    (status.done, status.todo, status.active, status.hidden) = (true, true, true, true);
    let refinement =
        LinkTypeRefinement { id: text.to_owned(), label: Some(text.to_owned()), statuses: Some(vec![status]) };
    let channel = Channel::new(text, text)
        .description(text)
        .children([Channel::new("child", text)])
        .enabled_by_default(false)
        .link_types([refinement, LinkTypeRefinement { id: String::new(), label: None, statuses: Some(Vec::new()) }]);
    ChannelRow {
        connection,
        channel,
        parent: Some(text.into()),
        enabled: true,
        observe_only: true,
        walking: vec![text.to_owned(), String::new()],
        recovering: true,
        sync: ChannelSync {
            state: SyncState::Failed,
            saved: 9_007_199_254_740_993,
            started: Some(at_micro(1)),
            completed: Some(at_micro(2)),
            error: Some(text.to_owned()),
            failing: vec![text.to_owned(), String::new()],
        },
        version: 0,
    }
}

fn buttons(text: &str) -> Vec<ActionButton> {
    let callback = ActionButton { label: text.to_owned(), does: ButtonTarget::Callback(text.to_owned()) };
    vec![ActionButton::open(text, text), callback]
}

fn full_link(empty: &LinkRow, text: &str) -> LinkRow {
    let mut row = empty.clone();
    let link = &mut row.link;
    link.source = Source::new("github", [text]);
    link.link_type = text.into();
    link.channel = text.into();
    link.title = Some(text.to_owned());
    link.preview = Some(text.to_owned());
    link.url = Some(text.to_owned());
    link.status = Some(text.into());
    link.assignee = Some(actor(text));
    link.contacts = vec![Contact::new(actor(text)).role(text), Contact::new(Actor::new(""))];
    link.schedules = vec![
        Schedule::new(text, at_micro(3))
            .end(at_micro(4))
            .recurrence([text.to_owned()], text)
            .occurrence(jiff::civil::date(2024, 2, 29))
            .cancelled()
            .attendee(actor(text), Some(Attendance::Skip))
            .attendee(Actor::new("b"), None),
        Schedule::new("", When::Day(jiff::civil::date(1969, 12, 31))),
    ];
    link.actions = buttons(text);
    link.author = Author::person(actor(text));
    link.occurred_at = at_micro(-62_135_596_800_000_000);
    link.updated_at = at_micro(123_456);
    link.raw_meta = json_of(text).into();
    link.delivery = Some(Delivery::Failed { reason: text.to_owned() });
    link.archived = true;
    row.syncs = vec![text.to_owned(), String::new()];
    row
}

fn full_note(link: &LinkRow, id: i64, text: &str) -> NoteRow {
    let mut row = note_row(link, id, Some(text));
    let note = &mut row.note;
    note.author = Author::system(text);
    note.occurred_at = at_micro(5);
    note.updated_at = at_micro(6);
    note.content = text.to_owned();
    note.url = Some(text.to_owned());
    note.reply_to = Some(text.into());
    let mut file = Attachment::new(text, text);
    file.at = AttachmentRef::File(FileId::from_number(7));
    note.attachments = vec![Attachment::new(text, text).media_type(text).size(u64::MAX), file];
    note.reactions =
        vec![Reaction::new(Emoji::unicode(text), actor(text)), Reaction::new(Emoji::custom(text), Actor::new(""))];
    note.actions = buttons(text);
    note.recipients = vec![Recipient { actor: actor(text), role: text.to_owned() }];
    note.written_by = Some(text.into());
    note.delivery = Some(Delivery::Failed { reason: text.to_owned() });
    note.archived = true;
    row.baseline = Some(text.to_owned());
    row
}

fn full_task(connection: ConnectionId, id: i64, text: &str) -> TaskRow {
    let kinds = [
        ErrorKind::NeedsReauth,
        ErrorKind::ScopeMissing { scope: Some(text.to_owned()) },
        ErrorKind::ScopeMissing { scope: None },
        ErrorKind::Gone,
        ErrorKind::RateLimited { until: at_micro(7) },
        ErrorKind::Transient,
        ErrorKind::CursorExpired,
        ErrorKind::Rejected,
        ErrorKind::Bug,
    ];
    let errors = kinds.into_iter().enumerate().map(|(number, kind)| TaskError {
        at: at_micro(i64::try_from(number).unwrap()),
        attempt: u32::MAX,
        kind,
        message: text.to_owned(),
    });
    TaskRow {
        run_at: Some(at_micro(123_456)),
        attempt: u32::MAX,
        key: Some(text.to_owned()),
        channel: Some(text.into()),
        priority: TaskPriority::Backfill,
        every_ms: Some(i64::MAX),
        payload: (0..=u8::MAX).collect(),
        errors: errors.collect(),
        nonce: Some([7; 16]),
        ..task_row(connection, id)
    }
}

/// Rows with something in every field come back equal.
pub(super) async fn full_rows_come_back_equal(store: TestStore) {
    Rows::full(&store, "text").come_back(&store).await;
}

/// Rows with nothing that can be left out come back equal; so do those whose texts are empty.
pub(super) async fn empty_rows_come_back_equal(store: TestStore) {
    Rows::empty(&store).come_back(&store).await;
    let mut rows = Rows::full(&store, "");
    rows.link.link.source = Source::from_text("");
    rows.come_back(&store).await;
    let connection = rows.connection.id;
    store.apply([put_state(connection, "empty", "")]).await;
    assert_eq!(
        store.value(connection, "empty").await.map(|value| value.value),
        Some(bytes("")),
        "an empty value is not an absent one"
    );
}

/// Texts of every kind, and of a megabyte, come back equal.
pub(super) async fn long_and_strange_texts_come_back_equal(store: TestStore) {
    Rows::full(&store, UNICODE).come_back(&store).await;
    let long = "ä€😀x".repeat(100_000);
    let mut rows = Rows::full(&store, "long");
    rows.link.link.preview = Some(long.clone());
    rows.link.link.raw_meta = json!({ "long": long }).into();
    rows.note.note.content.clone_from(&long);
    rows.connection.credential = Some(long.clone());
    rows.task.payload = bytes(&long);
    rows.task.errors[0].message.clone_from(&long);
    rows.dead.task.payload = bytes(&long);
    rows.come_back(&store).await;
    let connection = rows.connection.id;
    let value = store.put_value(connection, UNICODE, &long).await;
    assert_eq!(value.value, bytes(&long));
}

/// Every value of each enum that is stored as a word or number.
pub(super) async fn every_word_of_the_enums_comes_back(store: TestStore) {
    for status in [
        ConnectionStatus::AwaitingAuthorization,
        ConnectionStatus::Active,
        ConnectionStatus::NeedsReauth,
        ConnectionStatus::Suspended,
        ConnectionStatus::Disabled,
    ] {
        let row = ConnectionRow { status, ..connection_row(store.id()) };
        store.apply([Write::PutConnection { row: Box::new(row.clone()), expect: None }]).await;
        let id = row.id;
        assert_eq!(store.read(|engine| engine.connection(id)).await.map(|row| row.status), Some(status));
    }
    let connection = store.connection().await;
    for (number, state) in [
        SyncState::Off,
        SyncState::Queued,
        SyncState::Syncing,
        SyncState::Synced,
        SyncState::Throttled,
        SyncState::Failed,
    ]
    .into_iter()
    .enumerate()
    {
        let mut row = channel_row(connection, &number.to_string());
        row.sync.state = state;
        let id = row.channel.id.clone();
        store.apply([Write::PutChannel { row: Box::new(row), expect: None }]).await;
        assert_eq!(store.read(|engine| engine.channel(connection, id)).await.map(|row| row.sync.state), Some(state));
    }
    for priority in [TaskPriority::User, TaskPriority::Webhook, TaskPriority::Incremental, TaskPriority::Backfill] {
        let row = store.put_task(TaskRow { priority, ..task_row(connection, store.id()) }).await;
        assert_eq!(row.priority, priority);
    }
    let link = store
        .put_link(link_row(connection, store.id(), ThreadId::from_number(store.id()), Source::new("x", ["1"])))
        .await;
    for delivery in
        [Delivery::Pending, Delivery::Delivered, Delivery::Failed { reason: String::new() }, Delivery::Unknown]
    {
        let mut row = note_row(&link, store.id(), None);
        row.note.delivery = Some(delivery.clone());
        row.note.author = Author::Owner;
        assert_eq!(store.put_note(row).await.note.delivery, Some(delivery));
    }
}
