//! What saving links and notes means: which row it becomes, in which thread, and what stays (R8, R9.2, R9.3).
//!
//! A dispatch only says what it wants; here that is resolved against the store, into rows with the
//! versions that they replace. If another commit was faster, the engine refuses the set, and it is
//! resolved anew. So the rules are the same on every engine.

mod channels;
mod links;
mod notes;
mod sweep;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

pub(crate) use channels::{
    OWN_WALK, auto_enables, channels_task, check_channels, enable_writes, end_walk, new_channel, with_parents,
    work_task,
};
pub(crate) use links::draft_key;
pub(crate) use sweep::Sweep;

use crate::context::Mode;
use crate::engine::{
    DeadTask, Engine, EngineResult, Expect, FeedEntry, FeedKind, LinkRow, NoteRow, SourceRow, TaskError, TaskPriority,
    TaskQuery, TaskRow, UserThreadRow, Write,
};
use crate::error::ErrorKind;
use crate::id::{ChannelId, ConnectionId, LinkId, NoteId, NoteKey, ThreadId, UserId};
use crate::model::{
    Actor, Author, Channel, CustomEmoji, Delivery, LinkFields, LinkFilter, LinkInput, NewNote, NoteFilter, NoteRef,
    Reaction, Source, WriteBack,
};
use crate::registry::RegisteredConnector;
use crate::runtime::payload::{HookTask, TaskPayload, unsent_key};
use crate::runtime::unsent::UnsentChange;
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
    /// A walk was complete: what it did not meet is no longer there.
    Sweep(Box<Sweep>),
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
        sent: Box<HookTask>,
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
    /// Declared sync of which this is a step, and its channel.
    pub(crate) sync: Option<(&'a str, Option<&'a ChannelId>)>,
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

/// What is known of a source.
#[derive(Default)]
struct Known {
    /// The link of this connection that it is the source of.
    link: Option<LinkId>,
    /// The thread that it belongs to.
    thread: Option<ThreadId>,
    /// The same as it was read.
    stored_thread: Option<ThreadId>,
    /// The commit relies on that already.
    expected: bool,
}

/// Rows that the intents concern, while they are resolved.
struct Resolver<'a> {
    about: &'a Resolution<'a>,
    links: BTreeMap<LinkId, Tracked<LinkRow>>,
    sources: HashMap<Source, Known>,
    /// Threads that begin here: nobody has marked them yet.
    new_threads: HashSet<ThreadId>,
    notes: BTreeMap<NoteId, Tracked<NoteRow>>,
    by_key: HashMap<(LinkId, NoteKey), Option<NoteId>>,
    /// Links whose notes have all been read.
    complete: Vec<LinkId>,
    /// Composed items that may be at the service without the host knowing as what; none until they are read.
    drafts: Option<Vec<LinkId>>,
    /// Changes of links that did not reach the service, where that list is another one now.
    unsent: BTreeMap<LinkId, Vec<UnsentChange>>,
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
        sources: HashMap::new(),
        new_threads: HashSet::new(),
        notes: BTreeMap::new(),
        by_key: HashMap::new(),
        complete: Vec::new(),
        unsent: BTreeMap::new(),
        drafts: None,
        marks: HashMap::new(),
        saved: HashMap::new(),
        expects: Vec::new(),
        writes: Vec::new(),
    };
    resolver.load_sources(intents).await?;
    resolver.load_notes(intents).await?;
    resolver.load_marks(intents).await?;
    for intent in intents {
        match intent {
            RecordIntent::Link(input) => resolver.link(input).await?,
            RecordIntent::Note(note) => resolver.note(note).await?,
            RecordIntent::ArchiveLinks(filter) => resolver.archive_links(filter).await?,
            RecordIntent::Sweep(sweep) => resolver.sweep(sweep).await?,
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
            RecordIntent::WrittenBack { link, sent } => resolver.written_back(*link, sent).await?,
            RecordIntent::ChannelDisabled { channel } => {
                resolver.channel_disabled(channel).await?;
                resolver.unsent(channel).await?;
            }
            RecordIntent::Composed { link, created } => resolver.composed(*link, created.as_deref()).await?,
        }
    }
    resolver.tell_walks(intents).await?;
    Ok(resolver.finish())
}

impl Resolver<'_> {
    /// Reads the links that the intents name and the threads of all their sources, at once.
    async fn load_sources(&mut self, intents: &[RecordIntent]) -> EngineResult<()> {
        let mut sources = Vec::with_capacity(intents.len());
        let mut may_be_drafts = false;
        for intent in intents {
            match intent {
                RecordIntent::Link(input) => {
                    sources.push(input.source.clone());
                    sources.extend(input.also.iter().cloned());
                    may_be_drafts = may_be_drafts || self.may_be_draft(input);
                }
                RecordIntent::Composed { created: Some(created), .. } => {
                    sources.push(created.source.clone());
                    sources.extend(created.also.iter().cloned());
                }
                RecordIntent::Note(note) => sources.push(note.link.clone()),
                RecordIntent::ArchiveNotes(NoteFilter { link, .. })
                | RecordIntent::ToDo { link, .. }
                | RecordIntent::Reactions { note: NoteRef { link, .. }, .. } => sources.push(link.clone()),
                _ => {}
            }
        }
        sources.sort_unstable();
        sources.dedup();
        if sources.is_empty() {
            return Ok(());
        }
        let rows = self.about.engine.sources(self.about.connection, sources.clone());
        // Both are read side by side.
        let marks = may_be_drafts.then(|| self.draft_marks());
        for (source, SourceRow { link, thread }) in sources.into_iter().zip(rows.await?) {
            let id = link.as_ref().map(LinkRow::id);
            self.sources.insert(source, Known { link: id, thread, stored_thread: thread, expected: false });
            if let Some(row) = link {
                self.links.insert(row.id(), Tracked::loaded(row));
            }
        }
        if let Some(marks) = marks {
            let marks = marks.await?;
            self.load_drafts(marks).await?;
        }
        Ok(())
    }

    /// Reads what the owner has done to the threads that the intents may mark.
    async fn load_marks(&mut self, intents: &[RecordIntent]) -> EngineResult<()> {
        let live = self.about.mode == Mode::Live;
        let marked = |intent: &RecordIntent| match intent {
            RecordIntent::Link(input) => {
                let known = self.sources.get(&input.source)?;
                let LinkFields { provider_read, unarchive, .. } = &input.fields;
                let news = live && known.link.is_none() && input.create.is_some();
                (news || provider_read.is_some() || unarchive.is_some()).then_some(known.thread)?
            }
            RecordIntent::Note(note) if live => self.sources.get(&note.link)?.thread,
            RecordIntent::ToDo { link, .. } => self.sources.get(link)?.thread,
            _ => None,
        };
        let mut threads: Vec<_> = intents.iter().filter_map(marked).collect();
        threads.sort_unstable();
        threads.dedup();
        if threads.is_empty() {
            return Ok(());
        }
        let owner = self.about.owner;
        let rows = self.about.engine.user_threads(owner.clone(), threads.clone()).await?;
        for (thread, row) in threads.into_iter().zip(rows) {
            self.marks.insert(thread, row.map_or_else(|| Tracked::new(untouched(owner, thread)), Tracked::loaded));
        }
        Ok(())
    }

    /// The link of this connection with this source.
    fn link_of(&self, source: &Source) -> Option<LinkId> {
        self.sources.get(source)?.link
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
            if let Some(link) = self.link_of(source) {
                keys.push((link, key.clone()));
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
            HookTask::CreateLink { link, .. } => self.unsent_link(link).await,
            HookTask::LinkUpdated { link, .. }
            | HookTask::ContactsChanged { link, .. }
            | HookTask::ScheduleContactUpdated { link, .. }
            | HookTask::ActionPressed { link, .. } => {
                self.unsent_link(link).await?;
                let mut all = self.unsent_changes(link).await?;
                UnsentChange::add(&mut all, UnsentChange { task: hook, reason: UNSENT.to_owned() });
                self.unsent.insert(link, all);
                Ok(())
            }
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
        if !self.marks.contains_key(&thread) && !self.new_threads.contains(&thread) {
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
        if let Some(row) = self.link_of(link).and_then(|id| self.links.get(&id)) {
            let thread = row.current.link.thread;
            let marks = self.marks(thread).await?;
            (marks.todo, marks.todo_date) = (todo, date.filter(|_| todo));
        }
        Ok(())
    }

    /// The writes, in an order in which each finds what it refers to.
    fn finish(mut self) -> (Vec<Expect>, Vec<Write>) {
        let connection = self.about.connection;
        for (link, changes) in std::mem::take(&mut self.unsent) {
            let key = unsent_key(link);
            self.writes.push(match UnsentChange::encode(&changes) {
                Ok(value) if !changes.is_empty() => Write::PutState { connection, key, value },
                _ => Write::DeleteState { connection, key },
            });
        }
        // A merge changes the rows that it moves, and a deleted link takes the notes that are still its
        // own: both come after the writes of rows as they were read.
        let merges: Vec<_> = self.writes.extract_if(.., |write| matches!(write, Write::MergeThreads { .. })).collect();
        let mut deleted = Vec::new();
        for (id, link) in self.links {
            if link.deleted {
                deleted.push(Write::DeleteLink { id });
            } else if link.changed() {
                let expect = link.stored.as_ref().map(|row| row.version);
                let shows = link.stored.as_ref().is_none_or(|stored| stored.link != link.current.link);
                self.writes.push(Write::PutLink { row: link.current, expect });
                // Which sync has saved it is nothing that anyone sees.
                if !shows {
                    continue;
                }
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
