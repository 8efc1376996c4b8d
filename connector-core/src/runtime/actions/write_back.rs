use std::sync::Arc;

use jiff::civil::Date;

use super::{ActionError, schedules};
use crate::context::has_status;
use crate::declaration::Hooks;
use crate::engine::{
    ConnectionRow, ConnectionStatus, Expect, FeedEntry, FeedKind, KeyedTask, LinkQuery, LinkRow, NoteRow, TaskQuery,
    TaskRow, UserThreadRow, Write, WriteSet,
};
use crate::id::{
    ChannelId, ConnectionId, FileId, LinkId, LinkTypeId, NoteId, ScheduleKey, StatusId, TaskId, ThreadId, UserId,
};
use crate::link_type::LinkTypeDeclaration;
use crate::model::{
    Actor, Attendance, Author, Contact, ContactChanges, Content, Delivery, Emoji, Link, LinkChanges, LinkDraft, Note,
    Patch, Reaction, Recipient, Schedule, ScheduleChange, When,
};
use crate::records::untouched;
use crate::registry::RegisteredConnector;
use crate::runtime::Runtime;
use crate::runtime::dispatching::acting;
use crate::runtime::payload::{HookTask, TaskPayload, unsent_key};
use crate::runtime::unsent::{LinkBefore, UnsentChange};
use crate::value;

/// Links of a thread that are looked at.
const MAX_LINKS: usize = 1000;

/// A note that a user writes.
#[derive(Debug, Clone)]
pub struct NewUserNote {
    /// Who writes.
    pub user: UserId,
    /// The text, as markdown.
    pub content: String,
    /// The link that it answers; else the thread's newest that takes replies.
    pub link: Option<LinkId>,
    /// Whom it is for.
    pub recipients: Vec<Recipient>,
    /// Files that they have uploaded.
    pub attachments: Vec<FileId>,
}

/// What a user changes about a link; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct LinkUpdate {
    /// Another title.
    pub title: Option<String>,
    /// Another status, by id.
    pub status: Option<StatusId>,
    /// Another assignee, or none any more.
    pub assignee: Patch<Actor>,
    /// Changes of when it takes place, or of single occurrences (R9.6).
    pub schedules: Vec<ScheduleChange>,
}

/// An item that a user composes.
#[derive(Debug, Clone)]
pub struct Compose {
    /// Who composes.
    pub user: UserId,
    /// By which of their connections.
    pub connection: ConnectionId,
    /// Where it goes.
    pub channel: Option<ChannelId>,
    /// Its kind.
    pub link_type: LinkTypeId,
    /// The status it begins in; else the declared one.
    pub status: Option<StatusId>,
    /// Its title.
    pub title: String,
    /// Its first content, as markdown.
    pub content: Option<String>,
    /// Whom it is for.
    pub recipients: Vec<Recipient>,
    /// Files that they have uploaded.
    pub attachments: Vec<FileId>,
    /// When it takes place, for kinds that have schedules (R9.6).
    pub schedules: Vec<Schedule>,
}

/// A link with what is needed to act on it for a user.
pub(super) struct Acting {
    pub(super) row: LinkRow,
    connection: Arc<ConnectionRow>,
    connector: Arc<RegisteredConnector>,
    /// The connection is the user's own, works, and its channel may be written to: what they do is carried to the service.
    pub(super) own: bool,
}

impl Acting {
    pub(super) fn declaration(&self) -> Option<&'static LinkTypeDeclaration> {
        self.connector.declaration.link_type(self.row.link.link_type.as_str())
    }

    pub(super) fn dispatches(&self, hook: Hooks) -> bool {
        self.own && self.connector.hooks.has(hook)
    }

    fn dispatches_task(&self, task: &HookTask) -> bool {
        match task {
            HookTask::CreateLink { .. } => self.dispatches(Hooks::CREATE_LINK),
            HookTask::LinkUpdated { .. } => self.dispatches(Hooks::LINK_UPDATED),
            HookTask::ContactsChanged { .. } => self.dispatches(Hooks::CONTACTS_CHANGED),
            HookTask::ScheduleContactUpdated { .. } => self.dispatches(Hooks::SCHEDULE_CONTACT_UPDATED),
            HookTask::NoteReactionChanged { .. } => self.dispatches(Hooks::NOTE_REACTION_CHANGED),
            _ => self.own,
        }
    }

    /// The user as the service knows them.
    pub(super) fn actor(&self, user: &UserId) -> Actor {
        match &self.connection.identity {
            Some(identity) if self.connection.owner == *user => identity.clone(),
            _ => acting(user),
        }
    }
}

/// One that a user composed, and that is not at the service yet, still says so while it is changed.
fn composing(link: &Link) -> bool {
    matches!(link.delivery, Some(Delivery::Pending | Delivery::Sending | Delivery::Unknown))
}

impl Runtime {
    /// The links of a thread that the user sees: those of the user's own connections (R8.3). Links that can be acted on
    /// come first, and newer links before older ones.
    async fn links_for(&self, thread: ThreadId, user: &UserId) -> Result<Vec<Acting>, ActionError> {
        let engine = &self.shared.ports.engine;
        let thread = engine.current_thread(thread).await?;
        let query = LinkQuery { thread: Some(thread), archived: true, limit: MAX_LINKS, ..LinkQuery::default() };
        let mut links = Vec::new();
        for row in engine.links(query).await? {
            links.push(self.acting(row, user).await?);
        }
        if links.is_empty() {
            return Err(ActionError::NotFound(format!("there is no thread {thread}")));
        }
        links.retain(|link| link.connection.owner == *user);
        if links.is_empty() {
            return Err(ActionError::NotFound(format!(
                "{user} sees no thread {thread}: no connection of theirs has it"
            )));
        }
        links.sort_by_key(|link| (!link.own, std::cmp::Reverse(link.row.link.updated_at)));
        Ok(links)
    }

    async fn acting(&self, row: LinkRow, user: &UserId) -> Result<Acting, ActionError> {
        let engine = &self.shared.ports.engine;
        let connection = self.connection(row.connection).await?;
        let connector = self.connector(&connection.connector)?;
        let usable = matches!(
            connection.status,
            ConnectionStatus::Active | ConnectionStatus::NeedsReauth | ConnectionStatus::Suspended
        );
        let mut own = connection.owner == *user && usable;
        if own && let Some(channel) = engine.channel(row.connection, row.link.channel.clone()).await? {
            own = !channel.observe_only;
        }
        Ok(Acting { row, connection, connector, own })
    }

    /// A link as a connection of the user sees it: the named one, or the one of the same item in another connection.
    pub(super) async fn own_link(&self, id: LinkId, user: &UserId) -> Result<Acting, ActionError> {
        let row = self.shared.ports.engine.link(id).await?;
        let row = row.ok_or_else(|| ActionError::NotFound(format!("there is no link {id}")))?;
        let (thread, source) = (row.link.thread, row.link.source.clone());
        let named = self.acting(row, user).await?;
        if named.own {
            return Ok(named);
        }
        let others = match self.links_for(thread, user).await {
            Err(ActionError::NotFound(_)) => Vec::new(),
            others => others?,
        };
        let mut same = others.into_iter().filter(|other| other.row.link.source == source);
        match same.next() {
            Some(other) if other.own || named.connection.owner != *user => Ok(other),
            _ if named.connection.owner == *user => Ok(named),
            _ => Err(ActionError::NotFound(format!("{user} sees no link {id}: no connection of theirs has it"))),
        }
    }

    /// A note as a connection of the user sees it, with its link.
    pub(super) async fn own_note(&self, id: NoteId, user: &UserId) -> Result<(NoteRow, Acting), ActionError> {
        let engine = &self.shared.ports.engine;
        let missing = || ActionError::NotFound(format!("there is no note {id}"));
        let unseen = || ActionError::NotFound(format!("{user} sees no note {id}: no connection of theirs has it"));
        let note = engine.note(id).await?.ok_or_else(missing)?;
        let link = match self.own_link(note.note.link, user).await {
            Err(ActionError::NotFound(_)) => return Err(unseen()),
            link => link?,
        };
        if link.row.connection == note.connection {
            return Ok((note, link));
        }
        // The user has their own view of the same note, if their connection has synced it.
        let key = note.note.key.ok_or_else(unseen)?;
        let own = engine.notes_by_key(link.row.connection, vec![(link.row.id(), key)]).await?.pop().flatten();
        Ok((own.ok_or_else(unseen)?, link))
    }

    pub(super) fn hook_task(&self, link: &Acting, hook: HookTask) -> Result<Write, ActionError> {
        let id = TaskId::from_number(self.shared.ports.engine.take_ids(1));
        let task = TaskPayload::Hook(hook).task(id, link.row.connection)?;
        let channel = Some(link.row.link.channel.clone()).filter(|channel| !channel.as_str().is_empty());
        Ok(Write::PutTask { task: TaskRow { channel, ..task }, keyed: KeyedTask::Replace })
    }

    pub(super) async fn put(&self, connection: ConnectionId, writes: Vec<Write>) -> Result<(), ActionError> {
        self.put_expecting(connection, Vec::new(), writes).await
    }

    async fn put_expecting(
        &self,
        connection: ConnectionId,
        expects: Vec<Expect>,
        writes: Vec<Write>,
    ) -> Result<(), ActionError> {
        self.shared
            .ports
            .engine
            .commit(WriteSet { connection: Some(connection), expects, ..WriteSet::of(writes) })
            .await?;
        Ok(())
    }

    /// A user writes a note in a thread. It is stored, and on its way if a connection of theirs can take it.
    pub async fn create_note(&self, thread: ThreadId, new: NewUserNote) -> Result<Note, ActionError> {
        if new.content.trim().is_empty() && new.attachments.is_empty() {
            return Err(ActionError::Invalid("a note needs some content, or an attachment".to_owned()));
        }
        let links = self.links_for(thread, &new.user).await?;
        let takes = |link: &Acting| {
            link.connector.declaration.handle_replies
                && link.dispatches(Hooks::NOTE_CREATED)
                && !link.row.link.is_draft()
        };
        let link = match new.link {
            Some(id) => links.iter().find(|link| link.row.id() == id),
            None => links.iter().find(|link| takes(link)).or(links.first()),
        };
        let link = link.ok_or_else(|| ActionError::NotFound(format!("{thread} has no such link")))?;
        if link.row.link.is_draft() {
            return Err(ActionError::Conflict(format!(
                "{} is not at the service: reply to it when it has arrived",
                link.row.id()
            )));
        }
        let (attachments, expects) = self.attach(&new.user, &new.attachments, link.declaration()).await?;
        let sends = takes(link);
        let own_id = link.connection.identity.as_ref().map(|identity| identity.id.clone());
        let now = self.shared.ports.clock.now();
        let note = Note {
            id: NoteId::from_number(self.shared.ports.engine.take_ids(1)),
            thread: link.row.link.thread,
            link: link.row.id(),
            key: None,
            author: Author::Person(Actor { user: Some(new.user.clone()), ..link.actor(&new.user) }),
            occurred_at: now,
            updated_at: now,
            content: Content::Markdown(new.content).to_markdown(),
            url: None,
            reply_to: None,
            attachments,
            reactions: Vec::new(),
            actions: Vec::new(),
            recipients: new
                .recipients
                .into_iter()
                .filter(|recipient| Some(&recipient.actor.id) != own_id.as_ref())
                .collect(),
            written_by: Some(new.user),
            delivery: sends.then_some(Delivery::Pending),
            archived: false,
        };
        let row = NoteRow { connection: link.row.connection, note: note.clone(), baseline: None, version: 0 };
        let mut writes = vec![
            Write::PutNote { row: Box::new(row), expect: None },
            Write::Feed(FeedEntry::new(FeedKind::Note, link.row.connection, note.id)),
        ];
        if sends {
            writes.push(self.hook_task(link, HookTask::NoteCreated { note: note.id })?);
        }
        self.put_expecting(link.row.connection, expects, writes).await?;
        Ok(note)
    }

    /// A user edits their note.
    pub async fn edit_note(&self, id: NoteId, user: &UserId, content: String) -> Result<Note, ActionError> {
        let (before, link) = self.own_note(id, user).await?;
        if content.trim().is_empty() && before.note.attachments.is_empty() {
            return Err(ActionError::Invalid("a note needs some content".to_owned()));
        }
        let mine = before.note.written_by.as_ref() == Some(user)
            || matches!(&before.note.author, Author::Person(actor) if link.connection.owner == *user && Some(&actor.id) == link.connection.identity.as_ref().map(|identity| &identity.id))
            || (before.note.author == Author::Owner && link.connection.owner == *user);
        if !mine {
            return Err(ActionError::Conflict(format!("{user} did not write {id}: only its author edits a note")));
        }
        let mut row = before.clone();
        row.note.content = Content::Markdown(content).to_markdown();
        row.note.updated_at = self.shared.ports.clock.now();
        let (created, hook) = match row.note.key {
            Some(_) => (false, Hooks::NOTE_UPDATED),
            None => (true, Hooks::NOTE_CREATED),
        };
        // What belongs to a draft goes out with it.
        let sends = link.connector.declaration.handle_replies && link.dispatches(hook) && !link.row.link.is_draft();
        let in_flight = created && matches!(before.note.delivery, Some(Delivery::Sending));
        if in_flight {
            return Err(ActionError::Conflict(format!("{id} is being sent right now: edit it when it has arrived")));
        }
        if sends {
            row.note.delivery = Some(Delivery::Pending);
        }
        let note = row.note.clone();
        let mut writes = vec![
            Write::PutNote { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Note, link.row.connection, note.id)),
        ];
        // One that is still waiting to be sent goes out as it is then.
        let waits = created && matches!(before.note.delivery, Some(Delivery::Pending));
        if sends && !waits {
            let hook =
                if created { HookTask::NoteCreated { note: note.id } } else { HookTask::NoteUpdated { note: note.id } };
            writes.push(self.hook_task(&link, hook)?);
        }
        self.put(link.row.connection, writes).await?;
        Ok(note)
    }

    /// A user wants a note that was not delivered to be sent again (R9.4).
    pub async fn retry_note(&self, id: NoteId, user: &UserId) -> Result<Note, ActionError> {
        let (before, link) = self.own_note(id, user).await?;
        if !matches!(before.note.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown)) {
            return Err(ActionError::Conflict(format!("{id} was not refused: there is nothing to send again")));
        }
        let (hook, task) = match before.note.key {
            Some(_) => (Hooks::NOTE_UPDATED, HookTask::NoteUpdated { note: before.note.id }),
            None => (Hooks::NOTE_CREATED, HookTask::NoteCreated { note: before.note.id }),
        };
        if !link.dispatches(hook) {
            return Err(ActionError::Conflict(format!("{user} has no connection that can send {id}")));
        }
        let mut row = before.clone();
        row.note.delivery = Some(Delivery::Pending);
        let note = row.note.clone();
        let writes = vec![
            Write::PutNote { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Note, link.row.connection, note.id)),
            self.hook_task(&link, task)?,
        ];
        self.put(link.row.connection, writes).await?;
        Ok(note)
    }

    /// A user discards a note of theirs that was not delivered (R9.4).
    pub async fn discard_note(&self, id: NoteId, user: &UserId) -> Result<(), ActionError> {
        let (row, _) = self.own_note(id, user).await?;
        let undelivered = !matches!(row.note.delivery, Some(Delivery::Sending)) && row.note.key.is_none();
        if row.note.written_by.as_ref() != Some(user) || !undelivered {
            return Err(ActionError::Conflict(format!(
                "{id} is at the service, or is not {user}'s: it cannot be discarded here"
            )));
        }
        let feed = Write::Feed(FeedEntry::new(FeedKind::Note, row.connection, id));
        self.put(row.connection, vec![Write::DeleteNote { id: row.id() }, feed]).await
    }

    /// A user changes a link; only what they changed reaches the connector (R9.1).
    pub async fn update_link(&self, id: LinkId, user: &UserId, update: LinkUpdate) -> Result<Link, ActionError> {
        let acting = self.own_link(id, user).await?;
        let before = acting.row.clone();
        let mut row = before.clone();
        let declaration = acting.declaration();
        let link_type = Some(before.link.link_type.clone());
        let mut changes = LinkChanges { link_type, ..LinkChanges::default() };
        if let Some(title) = update.title.filter(|title| Some(title) != before.link.title.as_ref()) {
            row.link.title = Some(title.clone());
            changes.title = Some(title);
        }
        if let Some(status) = update.status.filter(|status| Some(status) != before.link.status.as_ref()) {
            let channel = self.shared.ports.engine.channel(before.connection, before.link.channel.clone()).await?;
            if !declaration.is_some_and(|declaration| has_status(channel.as_ref(), declaration, status.as_str())) {
                let known: Vec<_> =
                    declaration.iter().flat_map(|declaration| declaration.statuses).map(|status| status.id).collect();
                return Err(ActionError::Invalid(format!(
                    "a {} has no status `{status}`: it has {}",
                    before.link.link_type,
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )));
            }
            row.link.status = Some(status.clone());
            changes.raw_status = Some(status);
        }
        let assignee_changes = match update.assignee.as_option() {
            None => false,
            Some(wanted) => wanted.map(|actor| &actor.id) != before.link.assignee.as_ref().map(|actor| &actor.id),
        };
        if assignee_changes {
            if !declaration.is_some_and(|declaration| declaration.assignee) {
                return Err(ActionError::Invalid(format!("a {} has no assignee", before.link.link_type)));
            }
            row.link.assignee = update.assignee.as_option().flatten().cloned();
            changes.assignee = update.assignee;
        }
        for change in &update.schedules {
            if !declaration.is_some_and(|declaration| declaration.supports.schedule_changes) {
                let kind = &before.link.link_type;
                return Err(ActionError::Invalid(format!("when a {kind} takes place cannot be changed here")));
            }
            let changed = schedules::changed(&row.link, change)?;
            if schedules::put(&mut row.link, changed.clone()) {
                changes.schedules.retain(|known: &Schedule| known.key != changed.key);
                changes.schedules.push(changed);
            }
        }
        if changes.is_empty() {
            return Ok(before.link);
        }
        if !acting.connector.hooks.has(Hooks::LINK_UPDATED) {
            return Err(ActionError::Conflict(format!(
                "{} shows this, and cannot change it",
                acting.connector.declaration.name
            )));
        }
        if !composing(&before.link) {
            row.link.delivery = acting.own.then_some(Delivery::Pending);
        }
        let link = row.link.clone();
        let mut writes = vec![
            Write::PutLink { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Link, before.connection, link.id)),
        ];
        if acting.own {
            let before = Some(Box::new(LinkBefore::of(&before.link)));
            writes.push(self.hook_task(&acting, HookTask::LinkUpdated { link: link.id, changes, before })?);
        }
        self.put(before.connection, writes).await?;
        Ok(link)
    }

    /// A user wants a change of a link, or a link that they composed, to be sent again (R9.4).
    pub async fn retry_link(&self, id: LinkId, user: &UserId) -> Result<Link, ActionError> {
        let acting = self.own_link(id, user).await?;
        let before = acting.row.clone();
        let (id, connection) = (before.id(), before.connection);
        if !matches!(before.link.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown)) {
            return Err(ActionError::Conflict(format!("{id} was not refused: there is nothing to send again")));
        }
        let mut writes = Vec::new();
        let tasks = if before.link.is_draft() {
            let draft = self.draft_of(&before, user).await?;
            vec![HookTask::CreateLink { link: id, draft }]
        } else {
            let unsent = UnsentChange::all_of(&*self.shared.ports.engine, connection, id).await?;
            if unsent.is_empty() {
                return Err(ActionError::Conflict(format!(
                    "what was not sent of {id} is not known any more: discard it, and change it again"
                )));
            }
            writes.push(Write::DeleteState { connection, key: unsent_key(id) });
            unsent.into_iter().map(|change| change.task).collect()
        };
        if let Some(task) = tasks.iter().find(|task| !acting.dispatches_task(task)) {
            return Err(ActionError::Conflict(format!(
                "{user} has no connection that can send {id} ({})",
                task.name()
            )));
        }
        let tasks = tasks.into_iter().map(|task| self.hook_task(&acting, task)).collect::<Result<Vec<_>, _>>()?;
        let mut row = before.clone();
        row.link.delivery = Some(Delivery::Pending);
        let link = row.link.clone();
        writes.extend([
            Write::PutLink { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Link, connection, id)),
        ]);
        writes.extend(tasks);
        self.put(connection, writes).await?;
        Ok(link)
    }

    /// What a user composed, from what is stored of it.
    async fn draft_of(&self, row: &LinkRow, user: &UserId) -> Result<LinkDraft, ActionError> {
        let link = &row.link;
        let notes = self.shared.ports.engine.notes_of_link(link.id).await?;
        let body = notes.into_iter().find(|note| note.note.key.is_none() && note.note.written_by.is_some());
        let recipient = |contact: &Contact| Recipient {
            actor: contact.actor.clone(),
            role: contact.role.clone().unwrap_or_default(),
        };
        Ok(LinkDraft {
            channel: Some(link.channel.clone()).filter(|channel| !channel.as_str().is_empty()),
            content: body.map(|body| body.note.content),
            raw_status: link.status.clone(),
            recipients: link.contacts.iter().map(recipient).collect(),
            schedules: link.schedules.clone(),
            ..LinkDraft::new(link.link_type.clone(), link.title.clone().unwrap_or_default(), user.clone(), link.thread)
        })
    }

    /// A user discards what was not delivered: a link that they composed, or their changes of one that is at the service,
    /// which is then as it was before them (R9.4, R9.8).
    pub async fn discard_link(&self, id: LinkId, user: &UserId) -> Result<(), ActionError> {
        let acting = self.own_link(id, user).await?;
        let (link, connection) = (&acting.row.link, acting.row.connection);
        let in_flight = matches!(link.delivery, Some(Delivery::Sending));
        let failed = matches!(link.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown));
        if in_flight || acting.connection.owner != *user || !(link.is_draft() || failed) {
            return Err(ActionError::Conflict(format!(
                "{id} is at the service, or is not {user}'s: it cannot be discarded here"
            )));
        }
        let feed = Write::Feed(FeedEntry::new(FeedKind::Link, connection, link.id));
        if link.is_draft() {
            let mut writes = vec![Write::DeleteLink { id: link.id }, feed];
            writes.extend(self.composing_task(connection, link.id).await?.map(|id| Write::DeleteTask { id }));
            return self.put(connection, writes).await;
        }
        let key = unsent_key(link.id);
        let mut row = acting.row.clone();
        for change in UnsentChange::all_of(&*self.shared.ports.engine, connection, link.id).await?.iter().rev() {
            change.undo(&mut row.link);
        }
        row.link.delivery = None;
        let expect = Some(row.version);
        let put = Write::PutLink { row: Box::new(row), expect };
        self.put(connection, vec![put, Write::DeleteState { connection, key }, feed]).await
    }

    /// The task that sends what a user composed.
    async fn composing_task(&self, connection: ConnectionId, link: LinkId) -> Result<Option<TaskId>, ActionError> {
        let mut query = TaskQuery { connection: Some(connection), ..TaskQuery::all(MAX_LINKS) };
        loop {
            let tasks = self.shared.ports.engine.tasks(query.clone()).await?;
            let composes = |task: &&TaskRow| {
                let payload = value::from_bytes(&task.payload);
                matches!(payload, Ok(TaskPayload::Hook(HookTask::CreateLink { link: of, .. })) if of == link)
            };
            if let Some(task) = tasks.iter().find(composes) {
                return Ok(Some(task.id));
            }
            if tasks.len() < MAX_LINKS {
                return Ok(None);
            }
            query.after = tasks.last().map(|task| task.id);
        }
    }

    /// Changes a user's marks of a thread, and lets a connector of theirs know.
    async fn change_marks(
        &self,
        thread: ThreadId,
        user: &UserId,
        hook: Hooks,
        task: impl Fn(ThreadId) -> HookTask + Send,
        change: impl Fn(&mut UserThreadRow) + Send,
    ) -> Result<UserThreadRow, ActionError> {
        let links = self.links_for(thread, user).await?;
        let thread = links.first().map_or(thread, |link| link.row.link.thread);
        let stored = self.shared.ports.engine.user_threads(user.clone(), vec![thread]).await?.pop().flatten();
        let expect = stored.as_ref().map(|row| row.version);
        let before = stored.unwrap_or_else(|| untouched(user, thread));
        let mut row = before.clone();
        change(&mut row);
        if row == before {
            return Ok(row);
        }
        let mut writes =
            vec![Write::PutUserThread { row: row.clone(), expect }, Write::Feed(FeedEntry::thread(thread))];
        let mut told = Vec::new();
        for link in links.iter().filter(|link| link.dispatches(hook)) {
            if !told.contains(&link.row.connection) {
                told.push(link.row.connection);
                writes.push(self.hook_task(link, task(thread))?);
            }
        }
        self.shared.ports.engine.commit(WriteSet::of(writes)).await?;
        Ok(row)
    }

    /// A user reads a thread, or marks it unread.
    pub async fn set_read(&self, thread: ThreadId, user: &UserId, unread: bool) -> Result<UserThreadRow, ActionError> {
        let task = |thread| HookTask::ThreadRead { thread, unread };
        self.change_marks(thread, user, Hooks::THREAD_READ, task, |row| row.unread = unread).await
    }

    /// A user makes a thread a to-do, or finishes it.
    pub async fn set_to_do(
        &self,
        thread: ThreadId,
        user: &UserId,
        todo: bool,
        date: Option<Date>,
    ) -> Result<UserThreadRow, ActionError> {
        let date = date.filter(|_| todo);
        let task = |thread| HookTask::ThreadToDo { thread, todo, date };
        self.change_marks(thread, user, Hooks::THREAD_TO_DO, task, |row| {
            row.todo = todo;
            row.todo_date = date;
        })
        .await
    }

    /// A user reacts to a note, or takes it back.
    pub async fn react(&self, id: NoteId, user: &UserId, emoji: Emoji, added: bool) -> Result<Note, ActionError> {
        let (before, link) = self.own_note(id, user).await?;
        let takes =
            link.declaration().and_then(|declaration| declaration.reactions).or(link.connector.declaration.reactions);
        let Some(emoji) = emoji.standard() else {
            return Err(ActionError::Invalid(format!(
                "`{emoji}` is no emoji: react with a unicode emoji, or with `:name:` for one of the workspace"
            )));
        };
        if !takes.is_some_and(|takes| takes.takes(&emoji)) {
            return Err(ActionError::Invalid(format!(
                "{} cannot take the reaction {emoji}",
                link.connector.declaration.name
            )));
        }
        let actor = Actor { user: Some(user.clone()), ..link.actor(user) };
        let mut row = before.clone();
        let is_it = |known: &Emoji| known.standard().as_ref() == Some(&emoji);
        row.note.reactions.retain(|reaction| !is_it(&reaction.emoji) || reaction.actor.id != actor.id);
        if added {
            row.note.reactions.push(Reaction::new(emoji.clone(), actor));
        }
        if row == before {
            return Ok(before.note);
        }
        let note = row.note.clone();
        let mut writes = vec![
            Write::PutNote { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Note, before.connection, note.id)),
        ];
        if link.dispatches(Hooks::NOTE_REACTION_CHANGED) && note.key.is_some() {
            writes.push(self.hook_task(&link, HookTask::NoteReactionChanged { note: note.id, emoji, added })?);
        }
        self.put(before.connection, writes).await?;
        Ok(note)
    }

    /// A user changes the people of a thread's link.
    pub async fn change_contacts(
        &self,
        thread: ThreadId,
        user: &UserId,
        changes: ContactChanges,
    ) -> Result<Link, ActionError> {
        let links = self.links_for(thread, user).await?;
        let supports =
            |link: &&Acting| link.declaration().is_some_and(|declaration| declaration.supports.contact_changes);
        let Some(link) = links.iter().find(supports) else {
            return Err(ActionError::Invalid("the people of this thread cannot be changed".to_owned()));
        };
        let before = link.row.clone();
        let mut row = before.clone();
        let contacts = &mut row.link.contacts;
        let gone = changes.removed.iter().chain(&changes.changed).chain(&changes.added);
        let gone: Vec<_> = gone.map(|contact| contact.actor.id.clone()).collect();
        contacts.retain(|contact| !gone.contains(&contact.actor.id));
        contacts.extend(changes.changed.iter().chain(&changes.added).cloned());
        let sends = link.dispatches(Hooks::CONTACTS_CHANGED);
        if sends && !composing(&before.link) {
            row.link.delivery = Some(Delivery::Pending);
        }
        let changed = row.link.clone();
        let mut writes = vec![
            Write::PutLink { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Link, before.connection, changed.id)),
        ];
        if sends {
            let before = Some(Box::new(LinkBefore::of(&before.link)));
            writes.push(self.hook_task(link, HookTask::ContactsChanged { link: changed.id, changes, before })?);
        }
        self.put(before.connection, writes).await?;
        Ok(changed)
    }

    /// A user says whether a contact attends: an event, or one occurrence of it, which needs no schedule of its own.
    pub async fn set_attendance(
        &self,
        id: LinkId,
        schedule: &ScheduleKey,
        occurrence: Option<When>,
        contact: &str,
        user: &UserId,
        attendance: Option<Attendance>,
    ) -> Result<Link, ActionError> {
        let acting = self.own_link(id, user).await?;
        let before = acting.row.clone();
        let mut row = before.clone();
        let known = row.link.schedules.iter().find(|known| known.key == *schedule).cloned();
        let mut answered = match (known, occurrence) {
            (Some(known), of) if of.is_none() || of == known.occurrence => known,
            (Some(_), Some(of)) => schedules::occurrence(&row.link, of)?,
            (known, _) => known.ok_or_else(|| ActionError::NotFound(format!("{id} has no schedule `{schedule}`")))?,
        };
        let attendee = answered.attendees.iter_mut().find(|attendee| attendee.actor.id == contact);
        let attendee = attendee
            .ok_or_else(|| ActionError::NotFound(format!("{contact} is not invited to `{schedule}` of {id}")))?;
        attendee.status = attendance;
        let contact = Contact::new(attendee.actor.clone());
        schedules::put(&mut row.link, answered.clone());
        if acting.own && !acting.connector.hooks.has(Hooks::SCHEDULE_CONTACT_UPDATED) {
            let name = acting.connector.declaration.name;
            return Err(ActionError::Conflict(format!("{name} shows who attends, and cannot change it")));
        }
        let sends = acting.dispatches(Hooks::SCHEDULE_CONTACT_UPDATED);
        if sends && !composing(&before.link) {
            row.link.delivery = Some(Delivery::Pending);
        }
        let link = row.link.clone();
        let mut writes = vec![
            Write::PutLink { row: Box::new(row), expect: Some(before.version) },
            Write::Feed(FeedEntry::new(FeedKind::Link, before.connection, link.id)),
        ];
        if sends {
            let hook = HookTask::ScheduleContactUpdated {
                link: link.id,
                schedule: answered.key.clone(),
                contact,
                attendance,
                answered: answered.is_new().then(|| Box::new(answered)),
                before: Some(Box::new(LinkBefore::of(&before.link))),
            };
            writes.push(self.hook_task(&acting, hook)?);
        }
        self.put(before.connection, writes).await?;
        Ok(link)
    }

    /// A user composes a new item. It is stored as a draft of its own thread, and on its way.
    pub async fn compose(&self, compose: Compose) -> Result<Link, ActionError> {
        let shared = &self.shared;
        let (engine, now) = (&shared.ports.engine, shared.ports.clock.now());
        let connection = self.connection(compose.connection).await?;
        if connection.owner != compose.user {
            return Err(ActionError::NotFound(format!("{} has no connection {}", compose.user, compose.connection)));
        }
        let connector = self.connector(&connection.connector)?;
        let declared = connector.declaration.link_type(compose.link_type.as_str());
        let Some((declaration, rules)) = declared.and_then(|declared| Some((declared, declared.compose?))) else {
            let known: Vec<_> = connector
                .declaration
                .link_types
                .iter()
                .filter(|declared| declared.compose.is_some())
                .map(|declared| declared.id)
                .collect();
            let known = if known.is_empty() {
                "it composes none".to_owned()
            } else {
                format!("it composes {}", known.join(", "))
            };
            return Err(ActionError::Invalid(format!(
                "{} composes no `{}`: {known}",
                connector.declaration.name, compose.link_type
            )));
        };
        if compose.title.trim().is_empty() {
            return Err(ActionError::Invalid("give it a title".to_owned()));
        }
        let to_channel = rules.target == crate::link_type::ComposeTarget::Channels;
        let channel = match &compose.channel {
            Some(channel) => Some(self.channel(compose.connection, channel).await?),
            None if to_channel => return Err(ActionError::Invalid("choose the channel that it goes to".to_owned())),
            None => None,
        };
        if let Some(channel) = channel.as_ref().filter(|channel| !channel.enabled || channel.observe_only) {
            let name = &channel.channel.name;
            return Err(ActionError::Conflict(format!("{name} is not enabled for writing: enable it first")));
        }
        let status = compose.status.or_else(|| rules.status.map(StatusId::from_static));
        if let Some(status) =
            status.as_ref().filter(|status| !has_status(channel.as_ref(), declaration, status.as_str()))
        {
            return Err(ActionError::Invalid(format!("a {} has no status `{status}`", declaration.id)));
        }
        let composed = schedules::composed(compose.schedules, declaration)?;
        let (attachments, expects) = self.attach(&compose.user, &compose.attachments, Some(declaration)).await?;
        let first = engine.take_ids(4);
        let (thread, id, note) =
            (ThreadId::from_number(first), LinkId::from_number(first + 1), NoteId::from_number(first + 2));
        let author = Author::Person(Actor {
            user: Some(compose.user.clone()),
            ..connection.identity.clone().unwrap_or_else(|| acting(&compose.user))
        });
        let own_id = connection.identity.as_ref().map(|identity| identity.id.clone());
        let recipients: Vec<_> =
            compose.recipients.into_iter().filter(|recipient| Some(&recipient.actor.id) != own_id.as_ref()).collect();
        let link = Link {
            id,
            thread,
            source: Link::draft_source(id),
            link_type: compose.link_type.clone(),
            channel: compose.channel.clone().unwrap_or_else(|| ChannelId::from_static("")),
            title: Some(compose.title.clone()),
            preview: None,
            url: None,
            status: status.clone(),
            assignee: None,
            contacts: recipients.iter().map(|to| Contact::new(to.actor.clone()).role(to.role.clone())).collect(),
            schedules: composed.clone(),
            actions: Vec::new(),
            author: author.clone(),
            occurred_at: now,
            updated_at: now,
            raw_meta: Arc::default(),
            delivery: Some(Delivery::Pending),
            archived: false,
        };
        let draft = LinkDraft {
            channel: compose.channel,
            content: compose.content.clone(),
            raw_status: status,
            recipients,
            attachments: attachments.clone(),
            schedules: composed,
            ..LinkDraft::new(compose.link_type, compose.title, compose.user.clone(), thread)
        };
        let row = LinkRow::new(compose.connection, link.clone());
        let mut writes = vec![
            Write::PutLink { row: Box::new(row.clone()), expect: None },
            Write::Feed(FeedEntry::new(FeedKind::Link, compose.connection, id)),
        ];
        let content = compose.content.filter(|content| !content.trim().is_empty());
        if content.is_some() || !attachments.is_empty() {
            let body = Note {
                id: note,
                thread,
                link: id,
                key: None,
                author,
                occurred_at: now,
                updated_at: now,
                content: Content::Markdown(content.unwrap_or_default()).to_markdown(),
                url: None,
                reply_to: None,
                attachments,
                reactions: Vec::new(),
                actions: Vec::new(),
                recipients: Vec::new(),
                written_by: Some(compose.user.clone()),
                // It goes out with its link.
                delivery: Some(Delivery::Delivered),
                archived: false,
            };
            let body = NoteRow { connection: compose.connection, note: body, baseline: None, version: 0 };
            writes.push(Write::PutNote { row: Box::new(body), expect: None });
            writes.push(Write::Feed(FeedEntry::new(FeedKind::Note, compose.connection, note)));
        }
        if rules.todo {
            let marks = UserThreadRow { todo: true, ..untouched(&compose.user, thread) };
            writes.push(Write::PutUserThread { row: marks, expect: None });
        }
        let acting = Acting { row, connection, connector, own: true };
        writes.push(self.hook_task(&acting, HookTask::CreateLink { link: id, draft })?);
        self.put_expecting(compose.connection, expects, writes).await?;
        Ok(link)
    }
}
