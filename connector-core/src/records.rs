//! What saving links and notes means: which row it becomes, in which thread, and what stays (R8, R9.2, R9.3).
//!
//! A dispatch only says what it wants; here that is resolved against the store, into rows with the
//! versions that they replace. If another commit was faster, the engine refuses the set, and it is
//! resolved anew. So the rules are the same on every engine.

mod channels;
mod links;
mod notes;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

pub(crate) use channels::{
    OWN_WALK, auto_enables, channels_task, enable_writes, end_walk, new_channel, with_parents, work_task,
};
pub(crate) use links::draft_key;

use crate::context::Mode;
use crate::engine::{
    DeadTask, Engine, EngineResult, Expect, FeedEntry, FeedKind, LinkRow, NoteRow, TaskError, TaskPriority, TaskQuery,
    TaskRow, UserThreadRow, Write,
};
use crate::error::ErrorKind;
use crate::id::{ChannelId, ConnectionId, LinkId, NoteId, NoteKey, ThreadId, UserId};
use crate::model::{
    Actor, Author, Channel, CustomEmoji, Delivery, LinkFilter, LinkInput, NewNote, NoteFilter, NoteRef, Reaction,
    Source, WriteBack,
};
use crate::registry::RegisteredConnector;
use crate::runtime::payload::{HookTask, TaskPayload, unsent_key};
use crate::value;

/// Tasks that are looked at at once while a channel is disabled.
const TASK_PAGE: usize = 1000;

/// What is said of a change that was not sent because its channel was disabled.
const UNSENT: &str = "the channel was disabled before it was sent";

/// Something that a dispatch wants to have stored.
#[derive(Debug, Clone)]
pub(crate) enum RecordIntent {
    Link(Box<LinkInput>),
    Note(Box<NewNote>),
    ArchiveLinks(LinkFilter),
    ArchiveNotes(NoteFilter),
    ToDo {
        link: Source,
        todo: bool,
        date: Option<Date>,
    },
    Reactions {
        note: NoteRef,
        reactions: Vec<Reaction>,
    },
    Contacts(Vec<Actor>),
    CustomEmoji(Vec<CustomEmoji>),
    Channels(Vec<Channel>),
    /// What became of a user's note at the service.
    Delivered {
        note: NoteId,
        sent: String,
        result: Box<WriteBack>,
    },
    /// What a user changed about a link is at the service.
    WrittenBack {
        link: LinkId,
    },
    /// A channel is off: what waits to be sent from it will not be.
    ChannelDisabled {
        channel: ChannelId,
    },
    /// What became of an item that a user composed: its identity at the service, or that it has none.
    Composed {
        link: LinkId,
        created: Option<Box<LinkInput>>,
    },
}

/// For whom, and in what light, intents are resolved.
pub(crate) struct Resolution<'a> {
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) connector: &'a RegisteredConnector,
    pub(crate) connection: ConnectionId,
    pub(crate) owner: &'a UserId,
    pub(crate) identity: Option<&'a Actor>,
    pub(crate) auto_enable: bool,
    pub(crate) mode: Mode,
    pub(crate) now: Timestamp,
}

/// A row as it was read and as it is to be.
struct Tracked<T> {
    stored: Option<Box<T>>,
    current: Box<T>,
    deleted: bool,
}

impl<T: Clone + PartialEq> Tracked<T> {
    fn loaded(row: T) -> Self {
        Self { stored: Some(Box::new(row.clone())), current: Box::new(row), deleted: false }
    }

    fn new(row: T) -> Self {
        Self { stored: None, current: Box::new(row), deleted: false }
    }

    fn changed(&self) -> bool {
        !self.deleted && self.stored.as_ref() != Some(&self.current)
    }
}

/// Rows that the intents concern, while they are resolved.
struct Resolver<'a> {
    about: &'a Resolution<'a>,
    links: BTreeMap<LinkId, Tracked<LinkRow>>,
    by_source: HashMap<Source, Option<LinkId>>,
    threads: HashMap<Source, Option<ThreadId>>,
    /// The same as they were read.
    stored_threads: HashMap<Source, Option<ThreadId>>,
    /// Sources whose thread the commit relies on already.
    expected: HashSet<Source>,
    notes: BTreeMap<NoteId, Tracked<NoteRow>>,
    by_key: HashMap<(LinkId, NoteKey), Option<NoteId>>,
    /// Links whose notes have all been read.
    complete: Vec<LinkId>,
    /// Composed items that may be at the service without the host knowing as what; none until they are read.
    drafts: Option<Vec<LinkId>>,
    marks: HashMap<ThreadId, Tracked<UserThreadRow>>,
    saved: HashMap<ChannelId, u64>,
    expects: Vec<Expect>,
    writes: Vec<Write>,
}

/// Turns intents into what must still be so, and what is to be written.
pub(crate) async fn resolve(
    about: &Resolution<'_>,
    intents: &[RecordIntent],
) -> EngineResult<(Vec<Expect>, Vec<Write>)> {
    let mut resolver = Resolver {
        about,
        links: BTreeMap::new(),
        by_source: HashMap::new(),
        threads: HashMap::new(),
        stored_threads: HashMap::new(),
        expected: HashSet::new(),
        notes: BTreeMap::new(),
        by_key: HashMap::new(),
        complete: Vec::new(),
        drafts: None,
        marks: HashMap::new(),
        saved: HashMap::new(),
        expects: Vec::new(),
        writes: Vec::new(),
    };
    resolver.load_links(intents).await?;
    resolver.stored_threads = resolver.threads.clone();
    resolver.load_notes(intents).await?;
    for intent in intents {
        match intent {
            RecordIntent::Link(input) => resolver.link(input).await?,
            RecordIntent::Note(note) => resolver.note(note).await?,
            RecordIntent::ArchiveLinks(filter) => resolver.archive_links(filter).await?,
            RecordIntent::ArchiveNotes(filter) => resolver.archive_notes(filter).await?,
            RecordIntent::ToDo { link, todo, date } => resolver.mark_to_do(link, *todo, *date).await?,
            RecordIntent::Reactions { note, reactions } => resolver.reactions(note, reactions),
            RecordIntent::Contacts(contacts) => {
                let entries = contacts.iter().map(|contact| (contact_key(&contact.id), value::to_bytes(contact)));
                resolver.facts(entries.collect()).await?;
            }
            RecordIntent::CustomEmoji(emoji) => {
                let entries = emoji.iter().map(|emoji| (format!("h/emoji/{}", emoji.name), value::to_bytes(emoji)));
                resolver.facts(entries.collect()).await?;
            }
            RecordIntent::Channels(channels) => resolver.channels(channels).await?,
            RecordIntent::Delivered { note, sent, result } => resolver.delivered(*note, sent, result).await?,
            RecordIntent::WrittenBack { link } => resolver.written_back(*link).await?,
            RecordIntent::ChannelDisabled { channel } => {
                resolver.channel_disabled(channel).await?;
                resolver.unsent(channel).await?;
            }
            RecordIntent::Composed { link, created } => resolver.composed(*link, created.as_deref()).await?,
        }
    }
    Ok(resolver.finish())
}

impl Resolver<'_> {
    /// Reads the links that the intents name, and the threads of sources that this connection does not have, at once.
    async fn load_links(&mut self, intents: &[RecordIntent]) -> EngineResult<()> {
        let mut own = Vec::new();
        let mut all = Vec::new();
        for intent in intents {
            match intent {
                RecordIntent::Link(input) => {
                    own.push(input.source.clone());
                    all.extend(input.also.iter().cloned());
                }
                RecordIntent::Note(note) => own.push(note.link.clone()),
                RecordIntent::ArchiveNotes(NoteFilter { link, .. })
                | RecordIntent::ToDo { link, .. }
                | RecordIntent::Reactions { note: NoteRef { link, .. }, .. } => own.push(link.clone()),
                RecordIntent::Composed { created: Some(created), .. } => {
                    own.push(created.source.clone());
                    all.extend(created.also.iter().cloned());
                }
                _ => {}
            }
        }
        own.sort();
        own.dedup();
        if !own.is_empty() {
            let rows = self.about.engine.links_by_source(self.about.connection, own.clone()).await?;
            for (source, row) in own.into_iter().zip(rows) {
                self.by_source.insert(source.clone(), row.as_ref().map(LinkRow::id));
                match row {
                    Some(row) => {
                        self.threads.insert(source, Some(row.link.thread));
                        self.links.insert(row.id(), Tracked::loaded(row));
                    }
                    None => all.push(source),
                }
            }
        }
        all.sort();
        all.dedup();
        all.retain(|source| !self.threads.contains_key(source));
        if !all.is_empty() {
            let threads = self.about.engine.threads_of_sources(all.clone()).await?;
            self.threads.extend(all.into_iter().zip(threads));
        }
        Ok(())
    }

    /// Reads the notes that the intents name, of links that are there already.
    async fn load_notes(&mut self, intents: &[RecordIntent]) -> EngineResult<()> {
        let mut keys = Vec::new();
        for intent in intents {
            let (source, key) = match intent {
                RecordIntent::Note(note) => (&note.link, &note.key),
                RecordIntent::Reactions { note, .. } => (&note.link, &note.key),
                _ => continue,
            };
            if let Some(Some(link)) = self.by_source.get(source) {
                keys.push((*link, key.clone()));
            }
        }
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = self.about.engine.notes_by_key(self.about.connection, keys.clone()).await?;
        for (key, row) in keys.into_iter().zip(rows) {
            self.by_key.insert(key, row.as_ref().map(NoteRow::id));
            if let Some(row) = row {
                self.notes.insert(row.id(), Tracked::loaded(row));
            }
        }
        Ok(())
    }

    /// Stores values that belong to the account, where they differ from what is stored.
    async fn facts(&mut self, entries: Vec<(String, Result<Vec<u8>, value::EncodeError>)>) -> EngineResult<()> {
        let entries: Vec<_> = entries.into_iter().filter_map(|(key, value)| Some((key, value.ok()?))).collect();
        let keys = entries.iter().map(|(key, _)| key.clone()).collect();
        let stored = self.about.engine.state(self.about.connection, keys).await?;
        for ((key, value), stored) in entries.into_iter().zip(stored) {
            if stored.is_none_or(|stored| stored.value != value) {
                self.writes.push(Write::PutState { connection: self.about.connection, key, value: value.into() });
            }
        }
        Ok(())
    }

    /// What users did in a channel and what still waits to be sent says that it will not be (R9.4): on the note or
    /// link, or as a dead letter where there is no such place. What is being sent at this moment may arrive, and its
    /// answer finds nobody.
    async fn unsent(&mut self, channel: &ChannelId) -> EngineResult<()> {
        let connection = self.about.connection;
        let mut query = TaskQuery { connection: Some(connection), limit: TASK_PAGE, ..TaskQuery::default() };
        let mut waiting = Vec::new();
        loop {
            let tasks = self.about.engine.tasks(query.clone()).await?;
            query.after = tasks.last().map(|task| task.id);
            let all = tasks.len() < TASK_PAGE;
            let of_users =
                |task: &TaskRow| task.priority == TaskPriority::User && task.channel.as_ref() == Some(channel);
            for task in tasks.into_iter().filter(of_users) {
                waiting.push(task.id);
                let Ok(TaskPayload::Hook(hook)) = value::from_bytes(&task.payload) else { continue };
                self.unsent_hook(task, hook).await?;
            }
            if all {
                break;
            }
        }
        // What comes while this is resolved is not removed unseen.
        self.expects.push(Expect::UserTasks { connection, channel: channel.clone(), tasks: waiting });
        Ok(())
    }

    async fn unsent_hook(&mut self, task: TaskRow, hook: HookTask) -> EngineResult<()> {
        match hook {
            HookTask::NoteCreated { note } | HookTask::NoteUpdated { note } => self.unsent_note(note).await,
            HookTask::LinkUpdated { link, changes } => {
                self.unsent_link(link).await?;
                if let Ok(changes) = value::to_bytes(&changes) {
                    let (key, value) = (unsent_key(link), changes.into());
                    self.writes.push(Write::PutState { connection: self.about.connection, key, value });
                }
                Ok(())
            }
            HookTask::CreateLink { link, .. }
            | HookTask::ContactsChanged { link, .. }
            | HookTask::ScheduleContactUpdated { link, .. }
            | HookTask::ActionPressed { link, .. } => self.unsent_link(link).await,
            HookTask::ThreadRead { .. } | HookTask::ThreadToDo { .. } | HookTask::NoteReactionChanged { .. } => {
                let (at, attempt) = (self.about.now, task.attempt);
                let mut errors = task.errors.clone();
                errors.push(TaskError { at, attempt, kind: ErrorKind::Rejected, message: UNSENT.to_owned() });
                self.writes.push(Write::PutDead(DeadTask { task: TaskRow { errors, ..task }, died_at: at }));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the owner of the connection wrote something.
    fn is_owner(&self, author: &Author) -> bool {
        match author {
            Author::Owner => true,
            Author::System { .. } => false,
            Author::Person(actor) => {
                self.about.identity.is_some_and(|owner| owner.id == actor.id)
                    || actor.user.as_ref() == Some(self.about.owner)
            }
        }
    }

    /// The owner's marks of a thread.
    async fn marks(&mut self, thread: ThreadId) -> EngineResult<&mut UserThreadRow> {
        if !self.marks.contains_key(&thread) {
            let stored = self.about.engine.user_threads(self.about.owner.clone(), vec![thread]).await?.pop().flatten();
            let tracked = match stored {
                Some(row) => Tracked::loaded(row),
                None => {
                    let untouched = untouched(self.about.owner, thread);
                    Tracked::new(untouched)
                }
            };
            self.marks.insert(thread, tracked);
        }
        let owner = self.about.owner;
        Ok(&mut self.marks.entry(thread).or_insert_with(|| Tracked::new(untouched(owner, thread))).current)
    }

    /// Something new came in, by this author: the host decides by its mode what that means for the owner (R8.5).
    async fn news(
        &mut self,
        thread: ThreadId,
        author: &Author,
        provider_read: Option<bool>,
        unarchive: bool,
    ) -> EngineResult<()> {
        let live = self.about.mode == Mode::Live && !self.is_owner(author) && !matches!(author, Author::System { .. });
        if !live && provider_read.is_none() && !unarchive {
            return Ok(());
        }
        let marks = self.marks(thread).await?;
        if live || unarchive {
            marks.archived = false;
        }
        match provider_read {
            Some(read) => marks.unread = !read,
            None if live => marks.unread = true,
            None => {}
        }
        Ok(())
    }

    async fn mark_to_do(&mut self, link: &Source, todo: bool, date: Option<Date>) -> EngineResult<()> {
        if let Some(Some(id)) = self.by_source.get(link)
            && let Some(row) = self.links.get(id)
        {
            let thread = row.current.link.thread;
            let marks = self.marks(thread).await?;
            (marks.todo, marks.todo_date) = (todo, date.filter(|_| todo));
        }
        Ok(())
    }

    /// The writes, in an order in which each finds what it refers to.
    fn finish(mut self) -> (Vec<Expect>, Vec<Write>) {
        let connection = self.about.connection;
        // A merge changes the rows that it moves, and a deleted link takes the notes that are still its
        // own: both come after the writes of rows as they were read.
        let merges: Vec<_> = self.writes.extract_if(.., |write| matches!(write, Write::MergeThreads { .. })).collect();
        let mut deleted = Vec::new();
        for (id, link) in self.links {
            if link.deleted {
                deleted.push(Write::DeleteLink { id });
            } else if link.changed() {
                let expect = link.stored.as_ref().map(|row| row.version);
                self.writes.push(Write::PutLink { row: link.current, expect });
            } else {
                continue;
            }
            self.writes.push(Write::Feed(FeedEntry::new(FeedKind::Link, connection, id)));
        }
        let mut notes: Vec<_> = self.notes.into_iter().collect();
        notes.sort_by_key(|(id, note)| (note.current.note.key.is_none() || note.stored.is_some(), *id));
        // A deleted note gives its key to another, so it goes first.
        notes.sort_by_key(|(_, note)| !note.deleted);
        for (id, note) in notes {
            if note.deleted {
                self.writes.push(Write::DeleteNote { id });
            } else if note.changed() {
                let expect = note.stored.as_ref().map(|row| row.version);
                self.writes.push(Write::PutNote { row: note.current, expect });
            } else {
                continue;
            }
            self.writes.push(Write::Feed(FeedEntry::new(FeedKind::Note, connection, id)));
        }
        let mut marks: Vec<_> = self.marks.into_iter().collect();
        marks.sort_by_key(|(thread, _)| *thread);
        for (thread, mark) in marks {
            let touched = *mark.current != untouched(&mark.current.user, thread);
            if mark.changed() && (touched || mark.stored.is_some()) {
                let expect = mark.stored.as_ref().map(|row| row.version);
                self.writes.push(Write::PutUserThread { row: *mark.current, expect });
                self.writes.push(Write::Feed(FeedEntry::thread(thread)));
            }
        }
        let mut saved: Vec<_> = self.saved.into_iter().collect();
        saved.sort();
        for (channel, saved) in saved {
            self.writes.push(Write::CountSaved { connection, channel, saved });
        }
        self.writes.extend(deleted);
        self.writes.extend(merges);
        (self.expects, self.writes)
    }
}

/// Where someone is kept whom a connector saved.
pub(crate) fn contact_key(id: &str) -> String {
    format!("h/contact/{id}")
}

/// What a delivery becomes when nobody will send it any more.
fn unsent(delivery: &mut Option<Delivery>) {
    match delivery {
        Some(Delivery::Pending) => *delivery = Some(Delivery::Failed { reason: UNSENT.to_owned() }),
        Some(Delivery::Sending) => *delivery = Some(Delivery::Unknown),
        _ => {}
    }
}

/// A thread that a user has not touched.
pub(crate) fn untouched(user: &UserId, thread: ThreadId) -> UserThreadRow {
    UserThreadRow {
        user: user.clone(),
        thread,
        unread: false,
        todo: false,
        todo_date: None,
        archived: false,
        version: 0,
    }
}
