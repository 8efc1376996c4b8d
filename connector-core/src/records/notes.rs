use super::{Resolver, Tracked};
use crate::engine::{EngineResult, NoteRow};
use crate::id::{LinkId, NoteId};
use crate::model::{Author, Content, Delivery, NewNote, Note, NoteFilter, NoteRef, Reaction, WriteBack};

impl Resolver<'_> {
    /// Upserts a note by its key within its link (R8.2).
    pub(super) async fn note(&mut self, new: &NewNote) -> EngineResult<()> {
        let Some(link) = self.link_of(&new.link) else {
            // The link was removed since the dispatch saw it; its notes go with it.
            return Ok(());
        };
        let Some(row) = self.links.get(&link) else { return Ok(()) };
        let (thread, channel) = (row.current.link.thread, row.current.link.channel.clone());
        let fingerprint = new.content.fingerprint();
        let known = match self.by_key.get(&(link, new.key.clone())).copied().flatten() {
            Some(id) => Some(id),
            None => self.absorb(link, new, &fingerprint).await?,
        };
        let id = match known {
            Some(id) => {
                if let Some(tracked) = self.notes.get_mut(&id) {
                    update(&mut tracked.current, new, fingerprint);
                }
                id
            }
            None => {
                let id = NoteId::from_number(self.about.engine.take_ids(1));
                let note = Note {
                    id,
                    thread,
                    link,
                    key: Some(new.key.clone()),
                    author: new.author.clone(),
                    occurred_at: new.occurred_at,
                    updated_at: new.updated_at.unwrap_or(new.occurred_at),
                    content: new.content.to_markdown(),
                    url: new.url.clone(),
                    reply_to: new.reply_to.clone(),
                    attachments: new.attachments.clone().unwrap_or_default(),
                    reactions: new.reactions.clone().unwrap_or_default(),
                    actions: new.actions.clone().unwrap_or_default(),
                    recipients: new.recipients.clone().unwrap_or_default(),
                    written_by: None,
                    delivery: None,
                    archived: false,
                };
                let row = NoteRow { connection: self.about.connection, note, baseline: Some(fingerprint), version: 0 };
                self.notes.insert(id, Tracked::new(row));
                self.by_key.insert((link, new.key.clone()), Some(id));
                self.news(thread, &new.author, None, false).await?;
                id
            }
        };
        if self.notes.get(&id).is_some_and(Tracked::changed) {
            *self.saved.entry(channel).or_default() += 1;
        }
        Ok(())
    }

    /// A note that comes back from the service may be one that a user wrote here, and of which the
    /// host never heard that it arrived: then it is that one, and no second (R9.3, L19).
    async fn absorb(&mut self, link: LinkId, new: &NewNote, fingerprint: &str) -> EngineResult<Option<NoteId>> {
        if !self.may_be_owner(&new.author) {
            return Ok(None);
        }
        self.load_all_notes(link).await?;
        let markdown = new.content.to_markdown();
        let found = self
            .notes
            .values()
            .filter(|tracked| {
                !tracked.deleted && tracked.current.note.link == link && tracked.current.note.key.is_none()
            })
            .filter(|tracked| {
                matches!(
                    tracked.current.note.delivery,
                    Some(Delivery::Sending | Delivery::Unknown | Delivery::Pending | Delivery::Delivered)
                )
            })
            .filter(|tracked| {
                let written = Content::markdown(tracked.current.note.content.clone()).fingerprint();
                written == fingerprint
                    || tracked.current.note.content == markdown
                    || tracked.current.baseline.as_deref() == Some(fingerprint)
            })
            .min_by_key(|tracked| tracked.current.note.id)
            .map(|tracked| tracked.current.note.id);
        if let Some(id) = found {
            self.by_key.insert((link, new.key.clone()), Some(id));
            if let Some(tracked) = self.notes.get_mut(&id) {
                tracked.current.note.key = Some(new.key.clone());
                tracked.current.note.delivery = Some(Delivery::Delivered);
                tracked.current.baseline = Some(fingerprint.to_owned());
            }
        }
        Ok(found)
    }

    /// A user's note moves to a link that a sync has brought, perhaps with that very note: then the two become one.
    pub(super) fn take_over_twin(&mut self, row: &mut NoteRow, link: LinkId) {
        if row.note.key.is_some() {
            return;
        }
        let fingerprint = Content::markdown(row.note.content.clone()).fingerprint();
        let twin = self
            .notes
            .values()
            .filter(|tracked| {
                !tracked.deleted && tracked.current.note.link == link && tracked.current.note.written_by.is_none()
            })
            .filter(|tracked| self.may_be_owner(&tracked.current.note.author))
            .find(|tracked| {
                tracked.current.baseline.as_ref() == Some(&fingerprint)
                    || tracked.current.note.content == row.note.content
            })
            .map(|tracked| tracked.current.clone());
        let Some(twin) = twin else { return };
        if let Some(key) = &twin.note.key {
            self.by_key.insert((link, key.clone()), Some(row.id()));
        }
        if let Some(tracked) = self.notes.get_mut(&twin.id()) {
            tracked.deleted = true;
        }
        row.note.key = twin.note.key;
        row.baseline = twin.baseline;
    }

    /// Whose account the owner's is may be unknown; then the content alone has to tell.
    pub(super) fn may_be_owner(&self, author: &Author) -> bool {
        self.is_owner(author) || (self.about.identity.is_none() && !matches!(author, Author::System { .. }))
    }

    pub(super) async fn load_all_notes(&mut self, link: LinkId) -> EngineResult<()> {
        if self.complete.contains(&link) {
            return Ok(());
        }
        self.complete.push(link);
        for row in self.about.engine.notes_of_link(link).await? {
            if let Some(key) = &row.note.key {
                self.by_key.entry((link, key.clone())).or_insert(Some(row.id()));
            }
            self.notes.entry(row.id()).or_insert_with(|| Tracked::loaded(row));
        }
        Ok(())
    }

    pub(super) async fn archive_notes(&mut self, filter: &NoteFilter) -> EngineResult<()> {
        let Some(link) = self.link_of(&filter.link) else { return Ok(()) };
        self.load_all_notes(link).await?;
        for tracked in self.notes.values_mut().filter(|tracked| tracked.current.note.link == link) {
            let note = &mut tracked.current.note;
            if filter.matches(note) {
                note.archived = true;
            }
        }
        Ok(())
    }

    pub(super) fn reactions(&mut self, note: &NoteRef, reactions: &[Reaction]) {
        let id =
            self.link_of(&note.link).and_then(|link| self.by_key.get(&(link, note.key.clone())).copied().flatten());
        if let Some(tracked) = id.and_then(|id| self.notes.get_mut(&id)) {
            tracked.current.note.reactions = reactions.to_vec();
        }
    }

    pub(super) async fn unsent_note(&mut self, id: NoteId) -> EngineResult<()> {
        if !self.notes.contains_key(&id) {
            let Some(row) = self.about.engine.note(id).await? else { return Ok(()) };
            self.notes.insert(id, Tracked::loaded(row));
        }
        if let Some(tracked) = self.notes.get_mut(&id) {
            super::unsent(&mut tracked.current.note.delivery);
        }
        Ok(())
    }

    /// A user's note has been to the service (R9.2, R9.4).
    pub(super) async fn delivered(&mut self, id: NoteId, sent: &str, result: &WriteBack) -> EngineResult<()> {
        if !self.notes.contains_key(&id) {
            let Some(row) = self.about.engine.note(id).await? else { return Ok(()) };
            self.notes.insert(id, Tracked::loaded(row));
        }
        let Some(tracked) = self.notes.get_mut(&id) else { return Ok(()) };
        let note = &mut tracked.current.note;
        if let Some(reason) = &result.delivery_error {
            note.delivery = Some(Delivery::Failed { reason: reason.clone() });
            return Ok(());
        }
        // An edit that the user made meanwhile is still on its way.
        let edited = note.content != sent && matches!(note.delivery, Some(Delivery::Pending));
        if !edited {
            note.delivery = Some(Delivery::Delivered);
        }
        if let Some(url) = &result.url {
            note.url = Some(url.clone());
        }
        if let Some(author) = &result.author {
            note.author = Author::Person(crate::model::Actor { user: note.written_by.clone(), ..author.clone() });
        }
        // What was sent, and not what the note is now: the user may have edited it meanwhile.
        let sent = Content::markdown(sent);
        tracked.current.baseline = Some(result.stored.as_ref().unwrap_or(&sent).fingerprint());
        let Some(key) = &result.key else { return Ok(()) };
        note.key = Some(key.clone());
        let link = note.link;
        // A sync may have been faster: what it saved under this key is this note.
        let twin = match self.by_key.get(&(link, key.clone())).copied() {
            Some(twin) => twin,
            None => {
                let twin = self
                    .about
                    .engine
                    .notes_by_key(self.about.connection, vec![(link, key.clone())])
                    .await?
                    .pop()
                    .flatten();
                let twin_id = twin.as_ref().map(NoteRow::id);
                if let Some(twin) = twin {
                    self.notes.entry(twin.id()).or_insert_with(|| Tracked::loaded(twin));
                }
                twin_id
            }
        };
        if let Some(twin) = twin.filter(|twin| *twin != id)
            && let Some(tracked) = self.notes.get_mut(&twin)
        {
            tracked.deleted = true;
        }
        self.by_key.insert((link, key.clone()), Some(id));
        Ok(())
    }
}

/// Takes over what a service says of a note. Content that it has said before leaves the user's richer
/// text as it is; other content replaces it (R9.2).
fn update(row: &mut NoteRow, new: &NewNote, fingerprint: String) {
    let note = &mut row.note;
    if row.baseline.as_deref() != Some(fingerprint.as_str()) {
        // An edit that is on its way to the service is not lost to what it replaces there.
        if !matches!(note.delivery, Some(Delivery::Pending | Delivery::Sending)) {
            note.content = new.content.to_markdown();
        }
        row.baseline = Some(fingerprint);
    }
    if note.written_by.is_none() {
        note.author = new.author.clone();
    }
    note.occurred_at = new.occurred_at;
    note.updated_at = new.updated_at.unwrap_or(note.updated_at).max(new.occurred_at);
    note.archived = false;
    if let Some(url) = &new.url {
        note.url = Some(url.clone());
    }
    if let Some(reply_to) = &new.reply_to {
        note.reply_to = Some(reply_to.clone());
    }
    // The user's own files stay until the service has them.
    let on_its_way = matches!(note.delivery, Some(Delivery::Pending | Delivery::Sending));
    if let Some(attachments) = new.attachments.as_ref().filter(|_| !on_its_way || note.files().next().is_none()) {
        note.attachments.clone_from(attachments);
    }
    if let Some(reactions) = &new.reactions {
        note.reactions.clone_from(reactions);
    }
    if let Some(actions) = &new.actions {
        note.actions.clone_from(actions);
    }
    if let Some(recipients) = &new.recipients {
        note.recipients.clone_from(recipients);
    }
}
