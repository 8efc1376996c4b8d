use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::Dispatch;
use crate::engine::{ChannelRow, LinkQuery};
use crate::error::{Error, Result};
use crate::id::ChannelId;
use crate::model::{
    Actor, Channel, CustomEmoji, Link, LinkFilter, LinkInput, LinkPatch, NewLink, NewNote, NoteFilter, NoteRef,
    Reaction, Source,
};
use crate::network::Outbound;
use crate::records::{RecordIntent, check_channels, contact_key};
use crate::secret::Secret;
use crate::unit_of_work::UnitOfWork;
use crate::value;
use crate::walk::LeftOut;

/// Links that are read at once while a connector lists them.
const LINKS_PAGE: usize = 1000;

/// Links, notes, people and channels of a connection (R8).
pub struct Integrations<'a> {
    pub(crate) dispatch: &'a Arc<Dispatch>,
}

/// What became of the items of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SaveReport {
    /// Will be stored with the dispatch.
    pub saved: usize,
    /// Older than the connection's history limit, and left out (R8.7).
    pub filtered: usize,
    /// Bad ones, which are left out while the rest is saved (R8.2).
    pub failed: Vec<ItemError>,
}

/// Why one item was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{source_text}`: {message}")]
#[non_exhaustive]
pub struct ItemError {
    /// The item's source.
    pub source_text: String,
    /// What is wrong with it.
    pub message: String,
}

impl Integrations<'_> {
    /// The access token of the account, fresh; none if the connection has none (R8.1).
    pub async fn token(&self, channel: impl AsRef<ChannelId>) -> Result<Option<Secret>> {
        let id = channel.as_ref();
        match self.dispatch.connection.channels.get(id) {
            Some(row) if row.enabled => Outbound::token(&**self.dispatch).await,
            _ => Ok(None),
        }
    }

    /// Nothing older than this is kept (R8.7); none if there is no limit. A sync need not ask for more.
    pub fn earliest(&self) -> Option<Timestamp> {
        let days = self.dispatch.connection.row.history_days?;
        let now = self.dispatch.shared.ports.clock.now();
        now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok()
    }

    /// How far a first walk goes back that looks at so many days: not beyond what is [kept](Self::earliest).
    pub fn history(&self, days: u32) -> Timestamp {
        let now = self.dispatch.shared.ports.clock.now();
        let start = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
        start.max(self.earliest().unwrap_or(Timestamp::MIN))
    }

    /// Saves one item; a bad one is an error.
    pub async fn save_link(&self, link: NewLink) -> Result<SaveReport> {
        let mut report = self.save_links([link]).await?;
        match report.failed.pop() {
            Some(failed) => Err(Error::bug(failed.to_string())),
            None => Ok(report),
        }
    }

    /// Saves items. A bad item is left out and reported, the rest is saved (R8.2).
    pub async fn save_links(&self, links: impl IntoIterator<Item = NewLink>) -> Result<SaveReport> {
        let mut report = SaveReport::default();
        let earliest = self.earliest();
        let mut unit = self.dispatch.unit();
        for link in links {
            unit.met.source(link.source());
            if let Err(message) = self.check(&unit, &link.input) {
                self.fail(&mut report, &mut unit, link.source(), message);
            } else if earliest.is_some_and(|earliest| is_older(&link, earliest)) {
                report.filtered += 1;
            } else {
                report.saved += 1;
                let source = link.input.source.clone();
                unit.met.saves(source.as_str(), &version_of(&link.input));
                for note in &link.notes {
                    unit.met.saves(note.key.as_str(), source.as_str().as_bytes());
                }
                unit.records.push(RecordIntent::Link(Box::new(link.input)));
                if link.notes_are_all {
                    let keys = link.notes.iter().map(|note| note.key.clone());
                    unit.records.push(RecordIntent::ArchiveNotes(NoteFilter::except(source, keys)));
                }
                unit.records.extend(link.notes.into_iter().map(|note| RecordIntent::Note(Box::new(note))));
            }
        }
        unit.saved += report.saved as u64;
        Ok(report)
    }

    /// Changes an item that is there; one that is not stays away (R8.4).
    pub async fn patch_link(&self, patch: LinkPatch) -> Result<()> {
        let mut unit = self.dispatch.unit();
        self.check(&unit, &patch.input).map_err(Error::bug)?;
        unit.saved += 1;
        unit.met.source(&patch.input.source);
        unit.met.saves(patch.input.source.as_str(), &version_of(&patch.input));
        unit.records.push(RecordIntent::Link(Box::new(patch.input)));
        Ok(())
    }

    /// Saves one note; one whose link is not there is an error.
    pub async fn save_note(&self, note: NewNote) -> Result<SaveReport> {
        let mut report = self.save_notes([note]).await?;
        match report.failed.pop() {
            Some(failed) => Err(Error::bug(failed.to_string())),
            None => Ok(report),
        }
    }

    /// Saves notes. One whose link is not there is left out and reported, the rest is saved.
    pub async fn save_notes(&self, notes: impl IntoIterator<Item = NewNote>) -> Result<SaveReport> {
        let notes: Vec<_> = notes.into_iter().collect();
        let mut report = SaveReport::default();
        let mut sources: Vec<_> = notes.iter().map(|note| note.link.clone()).collect();
        sources.sort();
        sources.dedup();
        {
            let unit = self.dispatch.unit();
            sources.retain(|source| {
                !unit.records.iter().any(|intent| matches!(intent, RecordIntent::Link(link) if link.source == *source && link.create.is_some() && !link.update_only))
            });
        }
        let stored =
            self.dispatch.shared.ports.engine.links_by_source(self.dispatch.connection_id(), sources.clone()).await?;
        let missing: Vec<_> =
            sources.into_iter().zip(stored).filter(|(_, row)| row.is_none()).map(|(source, _)| source).collect();
        let mut unit = self.dispatch.unit();
        for note in notes {
            if missing.contains(&note.link) {
                let message = format!("the note `{}` is of a link that was not saved: save its link first", note.key);
                self.fail(&mut report, &mut unit, &note.link, message);
            } else {
                report.saved += 1;
                unit.met.saves(note.key.as_str(), note.link.as_str().as_bytes());
                unit.records.push(RecordIntent::Note(Box::new(note)));
            }
        }
        unit.saved += report.saved as u64;
        Ok(report)
    }

    /// Saves people of the account, for a user to address.
    pub async fn save_contacts(&self, contacts: impl IntoIterator<Item = Actor>) -> Result<()> {
        let contacts: Vec<_> = contacts.into_iter().collect();
        let mut unit = self.dispatch.unit();
        contacts.iter().for_each(|contact| unit.met.saves(&contact.id, b"contact"));
        unit.records.push(RecordIntent::Contacts(contacts));
        Ok(())
    }

    /// Those of the people with these ids that were saved by an earlier dispatch, by id.
    pub async fn contacts(&self, ids: impl IntoIterator<Item = impl AsRef<str>>) -> Result<HashMap<String, Actor>> {
        let keys = ids.into_iter().map(|id| contact_key(id.as_ref())).collect();
        // Who they are decides nothing that is stored: this dispatch need not run again when one changes.
        let stored = self.dispatch.shared.ports.engine.state(self.dispatch.connection_id(), keys).await?;
        let contacts = stored.into_iter().flatten().map(|contact| {
            let contact: Actor = value::from_bytes(&contact.value)
                .map_err(|error| Error::bug("a stored contact cannot be read").with_source(error))?;
            Ok((contact.id.clone(), contact))
        });
        contacts.collect()
    }

    /// Saves the custom emoji of the service's workspace.
    pub async fn save_custom_emoji(&self, emoji: impl IntoIterator<Item = CustomEmoji>) -> Result<()> {
        self.dispatch.unit().records.push(RecordIntent::CustomEmoji(emoji.into_iter().collect()));
        Ok(())
    }

    /// Says that these items are at the service, without saving them: a walk that [is complete](crate::work::Step::Complete)
    /// has met them.
    pub async fn met(&self, sources: impl IntoIterator<Item = Source>) -> Result<()> {
        let mut unit = self.dispatch.unit();
        sources.into_iter().for_each(|source| unit.met.source(&source));
        Ok(())
    }

    /// Leaves an item out that could not be read, as [`Items`](crate::walk::Items) does in a list: for items that each take
    /// a request. `None` means that it was left out; an error that is not about the shape of what the service gave stays.
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # #[derive(Deserialize)]
    /// # struct Issue { title: String }
    /// # async fn issue<C: connector_core::component::Component>(cx: &Context<C>, id: u64) -> Result<Option<Issue>> {
    /// let issue = cx.provider().get(format!("/issues/{id}")).fetch().await;
    /// cx.integrations().unless_odd(format!("issue {id}"), issue)
    /// # }
    /// ```
    pub fn unless_odd<T>(&self, item: impl Into<String>, read: Result<T>) -> Result<Option<T>> {
        let is_odd = |error: &Error| error.cause::<serde_json::Error>().is_some_and(serde_json::Error::is_data);
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_odd(&error) => {
                let at = self.dispatch.shared.ports.clock.now();
                self.dispatch.leave_out(LeftOut { at, item: item.into(), reason: error.to_string(), raw: None });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The links of this connection that were saved by earlier dispatches and meet a filter, at most so many: those that
    /// changed last come first. Archived links are not among them.
    pub async fn links(&self, filter: &LinkFilter, limit: usize) -> Result<Vec<Link>> {
        let engine = &self.dispatch.shared.ports.engine;
        let mut found = Vec::new();
        if let Some(sources) = &filter.sources {
            let rows = engine.links_by_source(self.dispatch.connection_id(), sources.clone()).await?;
            found.extend(rows.into_iter().flatten().map(|row| row.link));
            found.retain(|link| !link.archived && filter.matches(link));
            found.sort_by_key(|link| std::cmp::Reverse((link.updated_at, link.id)));
            found.truncate(limit);
            return Ok(found);
        }
        let mut query = LinkQuery {
            connections: Some(vec![self.dispatch.connection_id()]),
            channel: filter.channel.clone(),
            link_type: filter.link_type.as_ref().map(ToString::to_string),
            limit: LINKS_PAGE,
            ..LinkQuery::default()
        };
        loop {
            let rows = engine.links(query.clone()).await?;
            query.after = rows.last().map(|row| (row.link.updated_at, row.link.id));
            let last = rows.len() < LINKS_PAGE;
            found.extend(rows.into_iter().map(|row| row.link).filter(|link| filter.matches(link)));
            if last || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// Archives links that are no longer current.
    pub async fn archive_links(&self, filter: LinkFilter) -> Result<()> {
        // Most pages name none: there is nothing to look for.
        if filter.sources.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        self.dispatch.unit().records.push(RecordIntent::ArchiveLinks(filter));
        Ok(())
    }

    /// Archives notes that are no longer there.
    pub async fn archive_notes(&self, filter: NoteFilter) -> Result<()> {
        self.dispatch.unit().records.push(RecordIntent::ArchiveNotes(filter));
        Ok(())
    }

    /// The owner made the item's thread a to-do at the service, or finished it.
    pub async fn set_thread_to_do(&self, link: Source, todo: bool, date: Option<Date>) -> Result<()> {
        self.dispatch.unit().records.push(RecordIntent::ToDo { link, todo, date });
        Ok(())
    }

    /// Replaces all reactions of a note.
    pub async fn set_note_reactions(&self, note: NoteRef, reactions: impl IntoIterator<Item = Reaction>) -> Result<()> {
        self.dispatch.unit().records.push(RecordIntent::Reactions { note, reactions: reactions.into_iter().collect() });
        Ok(())
    }

    /// All that was there in a channel has been fetched. Only for syncs made of tasks: a declared
    /// `#[sync]` says so by its `Step`.
    pub async fn channel_sync_completed(&self, channel: impl AsRef<ChannelId>) -> Result<()> {
        let mut unit = self.dispatch.unit();
        if !unit.completed_channels.contains(channel.as_ref()) {
            unit.completed_channels.push(channel.as_ref().clone());
        }
        Ok(())
    }

    /// The credential does not work any more: the user is asked to authorize again (R3.7).
    pub async fn mark_needs_reauth(&self, reason: impl Into<String>) -> Result<()> {
        self.dispatch.unit().needs_reauth = Some(reason.into());
        Ok(())
    }

    /// The channels that there are now: new ones appear, those that are gone disappear.
    pub async fn set_channels(&self, channels: impl IntoIterator<Item = Channel>) -> Result<()> {
        let channels: Vec<_> = channels.into_iter().collect();
        check_channels(self.dispatch.connection.connector.declaration, &channels, "set_channels")?;
        let mut unit = self.dispatch.unit();
        // The last word of a dispatch counts: two listings would be in each other's way.
        unit.records.retain(|intent| !matches!(intent, RecordIntent::Channels(_)));
        unit.records.push(RecordIntent::Channels(channels));
        Ok(())
    }

    /// Leaves a bad item out, visibly.
    fn fail(&self, report: &mut SaveReport, unit: &mut UnitOfWork, source: &Source, message: String) {
        let at = self.dispatch.shared.ports.clock.now();
        let item = LeftOut { at, item: source.to_string(), reason: message.clone(), raw: None };
        self.dispatch.report_left_out(&item);
        unit.met.leave_out(item);
        report.failed.push(ItemError { source_text: source.to_string(), message });
    }

    /// What is wrong with an item.
    fn check(&self, unit: &UnitOfWork, link: &LinkInput) -> Result<(), String> {
        let connection = &self.dispatch.connection;
        if link.source.as_str().is_empty() {
            return Err("its source is empty".to_owned());
        }
        let Some(create) = &link.create else { return Ok(()) };
        if let Some(bad) = &create.bad {
            return Err(bad.clone());
        }
        let Some(declaration) = connection.connector.declaration.link_type(create.link_type.as_str()) else {
            return Err(format!(
                "the connector does not declare the link type `{}`: add it to `link_types`",
                create.link_type
            ));
        };
        let row = connection.channels.get(&create.channel);
        // The channels of a connection that begins are stored with it.
        if row.is_none() && !self.dispatch.is_provisional() && !unit.lists_channel(&create.channel) {
            return Err(format!(
                "there is no channel `{}`: the channels are those of `get_channels`, and what `set_channels` adds",
                create.channel
            ));
        }
        if let crate::model::Patch::Set(status) = &link.fields.status
            && !has_status(row, declaration, status.as_str())
        {
            return Err(format!("the link type `{}` has no status `{status}` in this channel", declaration.id));
        }
        if let crate::model::Patch::Set(contacts) = &link.fields.contacts {
            let unknown = contacts
                .iter()
                .filter_map(|contact| contact.role.as_deref())
                .find(|role| !declaration.contact_roles.iter().any(|declared| declared.id == *role));
            if let Some(role) = unknown {
                return Err(format!("the link type `{}` has no contact role `{role}`", declaration.id));
            }
        }
        Ok(())
    }
}

/// Whether items of a type can have a status in a channel, with what the channel refines (R1.8).
pub(crate) fn has_status(
    channel: Option<&ChannelRow>,
    declaration: &crate::link_type::LinkTypeDeclaration,
    status: &str,
) -> bool {
    let refined = channel
        .and_then(|row| row.channel.link_types.iter().find(|refined| refined.id == declaration.id))
        .and_then(|refined| refined.statuses.as_ref());
    match refined {
        Some(statuses) => statuses.iter().any(|known| known.id == status),
        None => declaration.status(status).is_some(),
    }
}

fn is_older(link: &NewLink, earliest: Timestamp) -> bool {
    let Some(create) = link.input.create.as_ref().filter(|create| !create.recurring) else { return false };
    let updated = match &link.input.fields.updated_at {
        crate::model::Patch::Set(at) => (*at).max(create.occurred_at),
        _ => create.occurred_at,
    };
    updated < earliest
}

/// What tells a version of an item from others, as far as the item says it.
fn version_of(link: &LinkInput) -> Vec<u8> {
    let title = link.fields.title.as_option().flatten().map(String::as_str).unwrap_or_default();
    let changed = link.fields.updated_at.as_option().flatten().map(|at| at.as_nanosecond()).unwrap_or_default();
    let mut version = changed.to_be_bytes().to_vec();
    version.extend_from_slice(title.as_bytes());
    version
}
