use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Known, RecordIntent, Resolver, Tracked};
use crate::clock::BoxFuture;
use crate::engine::{EngineResult, Expect, LinkQuery, LinkRow, StateValue, Write};
use crate::id::{LinkId, ThreadId};
use crate::model::{Delivery, Link, LinkFields, LinkFilter, LinkIdentity, LinkInput, Patch, Source};
use crate::runtime::payload::HookTask;
use crate::runtime::unsent::UnsentChange;

/// Links that are read at once while many are archived.
const ARCHIVE_PAGE: usize = 1000;

/// What the state keys begin with that mark composed items which were sent at least once.
const DRAFTS: &str = "h/draft/";

/// Such items that are looked at.
const MAX_DRAFTS: usize = 100;

/// A service may write down the time of an item a little before the host's, in whole seconds or by another clock.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// A composed item that was sent, and of which nobody knows that it arrived. One that is sent again after an
/// error may have arrived the first time.
fn on_its_way(draft: &Link) -> bool {
    matches!(draft.delivery, Some(Delivery::Pending | Delivery::Sending | Delivery::Unknown))
}

/// Where it is marked that a composed item was sent.
pub(crate) fn draft_key(link: LinkId) -> String {
    format!("{DRAFTS}{link}")
}

/// Longest title, in characters.
const MAX_TITLE: usize = 500;

impl Resolver<'_> {
    /// Upserts an item by its source (R8.3).
    pub(super) async fn link(&mut self, input: &LinkInput) -> EngineResult<()> {
        let id = match self.link_of(&input.source) {
            Some(id) => {
                let mut was_archived = false;
                if let Some(tracked) = self.links.get_mut(&id) {
                    was_archived = tracked.current.link.archived;
                    apply(&mut tracked.current.link, &input.fields);
                    if input.create.is_some() && input.fields.archived.is_none() {
                        tracked.current.link.archived = false;
                    }
                    if let Some(create) = &input.create {
                        tracked.current.link.channel.clone_from(&create.channel);
                        tracked.current.link.author.clone_from(&create.author);
                        tracked.current.link.occurred_at = to_the_microsecond(create.occurred_at);
                    }
                }
                self.void_unsent(id, &input.fields).await?;
                if let Some(tracked) = self.links.get(&id) {
                    let link = &tracked.current.link;
                    let (thread, author) = (link.thread, link.author.clone());
                    let unarchive = input.fields.unarchive == Some(true) && was_archived;
                    if input.fields.provider_read.is_some() || unarchive || input.fields.unarchive == Some(true) {
                        // A change of an item that was there is no news; what the connector states is.
                        let system = crate::model::Author::system("update");
                        let by = if self.is_owner(&author) { &author } else { &system };
                        self.news(thread, by, input.fields.provider_read, input.fields.unarchive == Some(true)).await?;
                    }
                }
                id
            }
            None => {
                let Some(create) = input.create.as_ref().filter(|_| !input.update_only) else { return Ok(()) };
                if let Some(draft) = self.draft_of(input, create).await? {
                    self.composed(draft, Some(input)).await?;
                    self.saved_by_sync(draft);
                    *self.saved.entry(create.channel.clone()).or_default() += 1;
                    return Ok(());
                }
                let thread = self.thread_for(&input.source, &input.also);
                let id = LinkId::from_number(self.about.engine.take_ids(1));
                let mut link = Link {
                    id,
                    thread,
                    source: input.source.clone(),
                    link_type: create.link_type.clone(),
                    channel: create.channel.clone(),
                    title: None,
                    preview: None,
                    url: None,
                    status: None,
                    assignee: None,
                    contacts: Vec::new(),
                    schedules: Vec::new(),
                    actions: Vec::new(),
                    author: create.author.clone(),
                    occurred_at: to_the_microsecond(create.occurred_at),
                    updated_at: to_the_microsecond(create.occurred_at),
                    raw_meta: Arc::default(),
                    delivery: None,
                    archived: false,
                };
                apply(&mut link, &input.fields);
                self.links.insert(id, Tracked::new(LinkRow::new(self.about.connection, link)));
                self.known(&input.source).link = Some(id);
                self.complete.push(id);
                let unarchive = input.fields.unarchive == Some(true);
                self.news(thread, &create.author, input.fields.provider_read, unarchive).await?;
                id
            }
        };
        self.join_threads(id, &input.also);
        let shows = |tracked: &Tracked<LinkRow>| {
            tracked.stored.as_ref().is_none_or(|stored| stored.link != tracked.current.link)
        };
        if self.links.get(&id).is_some_and(shows)
            && let Some(create) = &input.create
        {
            *self.saved.entry(create.channel.clone()).or_default() += 1;
        }
        if input.create.is_some() {
            self.saved_by_sync(id);
        }
        Ok(())
    }

    /// What is known of a source, for more to be noted.
    fn known(&mut self, source: &Source) -> &mut Known {
        self.sources.entry(source.clone()).or_default()
    }

    fn thread_of(&self, source: &Source) -> Option<ThreadId> {
        self.sources.get(source)?.thread
    }

    /// The commit relies on it that a source is in the thread in which it was read.
    fn expect_thread(&mut self, source: &Source) {
        let known = self.known(source);
        if !known.expected {
            known.expected = true;
            let thread = known.stored_thread;
            self.expects.push(Expect::SourceThread { source: source.clone(), thread });
        }
    }

    /// The thread of a new link: that of the first of its sources which has one, else a new one.
    fn thread_for(&mut self, source: &Source, also: &[Source]) -> ThreadId {
        let known = std::iter::once(source).chain(also).filter_map(|source| self.thread_of(source)).min();
        for source in std::iter::once(source).chain(also) {
            self.expect_thread(source);
        }
        let thread = known.unwrap_or_else(|| {
            let thread = ThreadId::from_number(self.about.engine.take_ids(1));
            self.new_threads.insert(thread);
            thread
        });
        self.known(source).thread = Some(thread);
        thread
    }

    /// Links that share a source share a thread: the oldest of their threads stays (R8.3).
    fn join_threads(&mut self, id: LinkId, also: &[Source]) {
        let Some(thread) = self.links.get(&id).map(|tracked| tracked.current.link.thread) else { return };
        let mut stays = thread;
        let mut goes = Vec::new();
        for source in also {
            let known = self.thread_of(source);
            if known == Some(thread) {
                continue;
            }
            self.expect_thread(source);
            match known {
                None => {}
                Some(other) if other < stays => {
                    goes.push(stays);
                    stays = other;
                }
                Some(other) if other != stays && !goes.contains(&other) => goes.push(other),
                Some(_) => {}
            }
            self.known(source).thread = Some(stays);
            self.writes.push(Write::PutSource { source: source.clone(), thread: stays });
        }
        for from in goes {
            self.writes.push(Write::MergeThreads { from, into: stays });
            for known in self.sources.values_mut().filter(|known| known.thread == Some(from)) {
                known.thread = Some(stays);
            }
            for tracked in self.links.values_mut().filter(|tracked| tracked.current.link.thread == from) {
                tracked.current.link.thread = stays;
                // The merge moves the stored row as well.
                if let Some(stored) = &mut tracked.stored {
                    stored.link.thread = stays;
                }
            }
            for tracked in self.notes.values_mut().filter(|tracked| tracked.current.note.thread == from) {
                tracked.current.note.thread = stays;
                if let Some(stored) = &mut tracked.stored {
                    stored.note.thread = stays;
                }
            }
        }
    }

    /// Archives what meets a filter.
    pub(super) async fn archive_links(&mut self, filter: &LinkFilter) -> EngineResult<()> {
        let connection = self.about.connection;
        if let Some(sources) = &filter.sources {
            let rows = self.about.engine.links_by_source(connection, sources.clone()).await?;
            self.track(rows.into_iter().flatten());
        } else {
            let mut query = LinkQuery {
                connections: Some(vec![connection]),
                channel: filter.channel.clone(),
                link_type: filter.link_type.as_ref().map(ToString::to_string),
                limit: ARCHIVE_PAGE,
                ..LinkQuery::default()
            };
            loop {
                let rows = self.about.engine.links(query.clone()).await?;
                let (count, last) = (rows.len(), rows.last().map(|row| (row.link.updated_at, row.link.id)));
                self.track(rows);
                if count < ARCHIVE_PAGE {
                    break;
                }
                query.after = last;
            }
        }
        for tracked in self.links.values_mut().filter(|tracked| filter.matches(&tracked.current.link)) {
            tracked.current.link.archived = true;
        }
        Ok(())
    }

    pub(super) fn track(&mut self, rows: impl IntoIterator<Item = LinkRow>) {
        for row in rows {
            self.known(&row.link.source).link = Some(row.id());
            self.links.entry(row.id()).or_insert_with(|| Tracked::loaded(row));
        }
    }

    pub(super) async fn unsent_link(&mut self, id: LinkId) -> EngineResult<()> {
        if !self.links.contains_key(&id) {
            let Some(row) = self.about.engine.link(id).await? else { return Ok(()) };
            self.track([row]);
        }
        if let Some(tracked) = self.links.get_mut(&id) {
            super::unsent(&mut tracked.current.link.delivery);
        }
        Ok(())
    }

    /// What a user changed about a link is at the service now (R9.4). What was not sent of it still shows (R9.8).
    pub(super) async fn written_back(&mut self, id: LinkId, sent: &HookTask) -> EngineResult<()> {
        if !self.links.contains_key(&id) {
            let Some(row) = self.about.engine.link(id).await? else { return Ok(()) };
            self.track([row]);
        }
        let mut unsent = self.unsent_changes(id).await?;
        if !unsent.is_empty() {
            unsent.retain(|known| !UnsentChange::says_anew(sent, &known.task));
            self.unsent.insert(id, unsent.clone());
        }
        let unsent = unsent.pop();
        if let Some(tracked) = self.links.get_mut(&id)
            && matches!(tracked.current.link.delivery, Some(Delivery::Pending | Delivery::Failed { .. }))
        {
            tracked.current.link.delivery = Some(match unsent {
                Some(UnsentChange { reason, .. }) => Delivery::Failed { reason },
                None => Delivery::Delivered,
            });
        }
        Ok(())
    }

    /// The changes of a link that did not reach the service, as they are to be stored.
    pub(super) async fn unsent_changes(&mut self, id: LinkId) -> EngineResult<Vec<UnsentChange>> {
        if let Some(known) = self.unsent.get(&id) {
            return Ok(known.clone());
        }
        UnsentChange::all_of(&**self.about.engine, self.about.connection, id).await
    }

    /// The service says how an item is: changes of it that were not sent and that this is about are void (R9.8).
    async fn void_unsent(&mut self, id: LinkId, saved: &LinkFields) -> EngineResult<()> {
        let failed = |tracked: &Tracked<LinkRow>| {
            let link = &tracked.current.link;
            matches!(link.delivery, Some(Delivery::Failed { .. })) && !link.is_draft()
        };
        if !self.links.get(&id).is_some_and(failed) {
            return Ok(());
        }
        let unsent = self.unsent_changes(id).await?;
        let left: Vec<_> = unsent.iter().filter(|change| !change.is_void(saved)).cloned().collect();
        // An older version kept nothing of some changes: whatever the service says makes them void.
        if left.len() == unsent.len() && !unsent.is_empty() {
            return Ok(());
        }
        if let Some(tracked) = self.links.get_mut(&id) {
            let reason = left.last().map(|change| change.reason.clone());
            tracked.current.link.delivery = reason.map(|reason| Delivery::Failed { reason });
        }
        self.unsent.insert(id, left);
        Ok(())
    }

    /// Whether an item may be one that the owner composed, as far as it says itself.
    pub(super) fn may_be_draft(&self, input: &LinkInput) -> bool {
        let titled = matches!(input.fields.title, Patch::Set(_));
        titled && input.create.as_ref().is_some_and(|create| self.may_be_owner(&create.author))
    }

    /// An item that comes from the service may be one that a user composed here, and of which the host
    /// never heard that it arrived: then it is that one, and no second (R9.3, L19).
    async fn draft_of(&mut self, input: &LinkInput, create: &LinkIdentity) -> EngineResult<Option<LinkId>> {
        if !self.may_be_draft(input) {
            return Ok(None);
        }
        let drafts = self.drafts().await?;
        if drafts.is_empty() {
            return Ok(None);
        }
        let Some(Some(title)) = input.fields.title.as_option().map(|title| title.map(|title| one_line(title))) else {
            return Ok(None);
        };
        let found = drafts.into_iter().find(|id| {
            self.links.get(id).is_some_and(|tracked| {
                let draft = &tracked.current.link;
                on_its_way(draft)
                    && draft.link_type == create.link_type
                    && (draft.channel == create.channel || draft.channel.as_str().is_empty())
                    && draft.title.as_deref().map(one_line).as_ref() == Some(&title)
                    && draft.occurred_at.duration_since(create.occurred_at) <= CLOCK_SKEW
            })
        });
        Ok(found)
    }

    /// Composed items that were sent, oldest first. The mark of one whose fate is known by now goes away.
    async fn drafts(&mut self) -> EngineResult<Vec<LinkId>> {
        if let Some(drafts) = &self.drafts {
            return Ok(drafts.clone());
        }
        let marks = self.draft_marks().await?;
        self.load_drafts(marks).await
    }

    /// The marks of composed items that were sent.
    pub(super) fn draft_marks(&self) -> BoxFuture<'static, EngineResult<Vec<(String, StateValue)>>> {
        self.about.engine.state_entries(self.about.connection, DRAFTS.to_owned(), MAX_DRAFTS)
    }

    pub(super) async fn load_drafts(&mut self, marks: Vec<(String, StateValue)>) -> EngineResult<Vec<LinkId>> {
        let connection = self.about.connection;
        let mut drafts = Vec::new();
        for (key, mark) in marks {
            let id = key.strip_prefix(DRAFTS).and_then(|id| id.parse::<LinkId>().ok());
            let row = match id {
                Some(id) => self.about.engine.link(id).await?,
                None => None,
            };
            match row.filter(|row| on_its_way(&row.link)) {
                Some(row) => {
                    drafts.push(row.id());
                    self.track([row]);
                }
                None => self.writes.push(Write::DeleteStateVersion { connection, key, version: mark.version }),
            }
        }
        drafts.sort();
        self.drafts = Some(drafts.clone());
        Ok(drafts)
    }

    /// The item that a user composed is at the service now, under this identity.
    pub(super) async fn composed(&mut self, id: LinkId, created: Option<&LinkInput>) -> EngineResult<()> {
        let Some(draft) = self.about.engine.link(id).await? else { return Ok(()) };
        let thread = draft.link.thread;
        self.track([draft]);
        self.writes.push(Write::DeleteState { connection: self.about.connection, key: draft_key(id) });
        let Some(created) = created else {
            // It stays the user's, who sends it again or discards it; nothing can be replied to it (R9.8).
            if let Some(draft) = self.links.get_mut(&id) {
                let reason = format!("{} did not take it", self.about.connector.declaration.name);
                draft.current.link.delivery = Some(Delivery::Failed { reason });
            }
            return Ok(());
        };
        match self.link_of(&created.source) {
            // A sync was faster: the draft becomes one with what it found, in the older thread.
            Some(found) if found != id => {
                let other = self.links.get(&found).map_or(thread, |tracked| tracked.current.link.thread);
                let (from, into) = if other < thread { (thread, other) } else { (other, thread) };
                self.load_all_notes(found).await?;
                for note in self.about.engine.notes_of_link(id).await? {
                    let mut tracked = Tracked::loaded(note);
                    self.take_over_twin(&mut tracked.current, found);
                    tracked.current.note.link = found;
                    tracked.current.note.thread = into;
                    self.notes.insert(tracked.current.id(), tracked);
                }
                if from != into {
                    self.writes.push(Write::MergeThreads { from, into });
                    if let Some(tracked) = self.links.get_mut(&found) {
                        tracked.current.link.thread = into;
                        if let Some(stored) = &mut tracked.stored {
                            stored.link.thread = into;
                        }
                    }
                }
                if let Some(draft) = self.links.get_mut(&id) {
                    draft.deleted = true;
                }
                Box::pin(self.link(created)).await
            }
            _ => {
                if let Some(draft) = self.links.get_mut(&id) {
                    let link = &mut draft.current.link;
                    link.source = created.source.clone();
                    link.delivery = Some(Delivery::Delivered);
                    if let Some(create) = &created.create {
                        link.link_type.clone_from(&create.link_type);
                        link.occurred_at = to_the_microsecond(create.occurred_at);
                        link.author.clone_from(&create.author);
                        // The host fills the channel in where the connector's item names none.
                        if !create.channel.as_str().is_empty() {
                            link.channel.clone_from(&create.channel);
                        }
                    }
                    apply(link, &created.fields);
                }
                let thread_now = self.thread_of(&created.source);
                self.expect_thread(&created.source);
                self.known(&created.source).link = Some(id);
                if let Some(other) = thread_now.filter(|other| *other != thread) {
                    let (from, into) = if other < thread { (thread, other) } else { (other, thread) };
                    self.writes.push(Write::MergeThreads { from, into });
                    if let Some(draft) = self.links.get_mut(&id) {
                        draft.current.link.thread = into;
                        if let Some(stored) = &mut draft.stored {
                            stored.link.thread = into;
                        }
                    }
                }
                self.join_threads(id, &created.also);
                Ok(())
            }
        }
    }
}

/// Puts what is given over what is there.
fn apply(link: &mut Link, fields: &LinkFields) {
    if let Some(title) = fields.title.as_option() {
        link.title = title.map(|title| one_line(title));
    }
    fields.preview.apply(&mut link.preview);
    fields.url.apply(&mut link.url);
    fields.status.apply(&mut link.status);
    fields.assignee.apply(&mut link.assignee);
    if let Some(contacts) = fields.contacts.as_option() {
        link.contacts = contacts.cloned().unwrap_or_default();
    }
    if let Some(schedules) = fields.schedules.as_option() {
        link.schedules = schedules.cloned().unwrap_or_default();
    }
    if let Some(actions) = fields.actions.as_option() {
        link.actions = actions.cloned().unwrap_or_default();
    }
    if let Some(meta) = fields.meta.as_option() {
        link.raw_meta = meta.cloned().unwrap_or_default();
    }
    if let Some(Some(at)) = fields.updated_at.as_option() {
        link.updated_at = to_the_microsecond(*at);
    }
    if let Some(archived) = fields.archived {
        link.archived = archived;
    }
}

/// A time as stores keep it. Some services write down more digits, which must not look like a change at each sync.
fn to_the_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn one_line(title: &str) -> String {
    let short = title.len() <= MAX_TITLE || title.chars().count() <= MAX_TITLE;
    if short && !title.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | b'\t')) && title.trim().len() == title.len() {
        return title.to_owned();
    }
    title.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_TITLE).collect()
}

impl RecordIntent {
    /// What a connector's `on_create_link` gave back.
    pub(crate) fn composed(link: LinkId, created: Option<crate::model::NewLink>) -> Vec<Self> {
        match created {
            None => vec![Self::Composed { link, created: None }],
            Some(created) => {
                let mut intents = vec![Self::Composed { link, created: Some(Box::new(created.input)) }];
                intents.extend(created.notes.into_iter().map(|note| Self::Note(Box::new(note))));
                intents
            }
        }
    }
}
