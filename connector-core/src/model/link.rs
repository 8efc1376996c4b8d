use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::note::files_among;
use super::{ActionButton, Actor, Attachment, Author, Contact, Content, Recipient, Schedule, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, FileId, LinkId, LinkTypeId, StatusId, ThreadId, UserId};
use crate::link_type::{LinkKind, LinkType};

/// A partial update in which absent and null differ (R8.4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Patch<T> {
    /// Stays as it is.
    #[default]
    Keep,
    /// Goes away.
    Clear,
    /// Becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// Nothing is said about it.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// What it says: nothing, that it is gone, or its value.
    pub fn as_option(&self) -> Option<Option<&T>> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(None),
            Self::Set(value) => Some(Some(value)),
        }
    }
}

impl<T: Clone + PartialEq> Patch<T> {
    /// Puts it over what is there.
    pub(crate) fn apply(&self, field: &mut Option<T>) {
        if let Some(value) = self.as_option()
            && field.as_ref() != value
        {
            *field = value.cloned();
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

/// What a connector says of an item beyond its identity; each field can be left as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LinkFields {
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) title: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) preview: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) url: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) status: Patch<StatusId>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) assignee: Patch<Actor>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) contacts: Patch<Vec<Contact>>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) schedules: Patch<Vec<Schedule>>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) actions: Patch<Vec<ActionButton>>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) meta: Patch<Arc<Value>>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub(crate) updated_at: Patch<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unarchive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) archived: Option<bool>,
}

/// What `save_link` takes apart: a whole item or a patch of one.
#[derive(Debug, Clone)]
pub(crate) struct LinkInput {
    pub(crate) source: Source,
    pub(crate) also: Vec<Source>,
    pub(crate) fields: LinkFields,
    /// None in a patch, which cannot create.
    pub(crate) create: Option<LinkIdentity>,
    pub(crate) update_only: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct LinkIdentity {
    pub(crate) link_type: LinkTypeId,
    pub(crate) channel: ChannelId,
    pub(crate) author: Author,
    pub(crate) occurred_at: Timestamp,
    pub(crate) recurring: bool,
    pub(crate) bad: Option<String>,
}

/// An external item to save; upserted by its source (R8.2, R8.3). Fields that are not given keep
/// the value that they have.
///
/// What must not be forgotten is a parameter of [`NewLink::new`] (R8.4).
#[derive(Debug, Clone)]
#[must_use = "a link is stored by `cx.integrations().save_link(…)`, or returned by `on_create_link`"]
pub struct NewLink {
    pub(crate) input: LinkInput,
    pub(crate) notes: Vec<super::NewNote>,
    /// The notes are all that the item has.
    pub(crate) notes_are_all: bool,
}

impl NewLink {
    /// An item of this kind and status, with its identity, its channel, its author, and the time
    /// at which it came into being at the service.
    pub fn new<K: LinkKind>(
        kind: K,
        source: Source,
        channel: impl AsRef<ChannelId>,
        author: impl Into<Author>,
        occurred_at: Timestamp,
    ) -> Self {
        let (status, meta) = kind.into_parts();
        let declaration = <K::Type as LinkType>::DECLARATION;
        let (meta, bad) = match serde_json::to_value(&meta) {
            Ok(meta) => (meta, None),
            Err(error) => (Value::Null, Some(format!("its meta cannot be written as JSON: {error}"))),
        };
        let mut fields = LinkFields { meta: Patch::Set(meta.into()), ..LinkFields::default() };
        if let Some(status) = status.status() {
            fields.status = Patch::Set(StatusId::from_static(status));
        }
        let create = LinkIdentity {
            link_type: LinkTypeId::from_static(declaration.id),
            channel: channel.as_ref().clone(),
            author: author.into(),
            occurred_at,
            recurring: false,
            bad,
        };
        Self {
            input: LinkInput { source, also: Vec::new(), fields, create: Some(create), update_only: false },
            notes: Vec::new(),
            notes_are_all: false,
        }
    }

    /// With the title; trimmed by the host to one line.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.input.fields.title = Patch::Set(title.into());
        self
    }

    /// With a short text that stands for the item in a list.
    pub fn preview(mut self, preview: impl Into<String>) -> Self {
        self.input.fields.preview = Patch::Set(preview.into());
        self
    }

    /// With the page of the item at the service.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.input.fields.url = Patch::Set(url.into());
        self
    }

    /// In a status that is known at run time only (R1.8): one that the channel's refinement of the
    /// link type names, or the item is refused.
    pub fn dynamic_status(mut self, status: impl Into<StatusId>) -> Self {
        self.input.fields.status = Patch::Set(status.into());
        self
    }

    /// With its assignee, or nobody.
    pub fn assignee(mut self, assignee: Option<Actor>) -> Self {
        self.input.fields.assignee = assignee.into();
        self
    }

    /// With all the people who take part.
    pub fn contacts(mut self, contacts: impl IntoIterator<Item = Contact>) -> Self {
        self.input.fields.contacts = Patch::Set(contacts.into_iter().collect());
        self
    }

    /// With all of its schedules.
    pub fn schedules(mut self, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        self.input.fields.schedules = Patch::Set(schedules.into_iter().collect());
        self
    }

    /// With its buttons.
    pub fn actions(mut self, actions: impl IntoIterator<Item = ActionButton>) -> Self {
        self.input.fields.actions = Patch::Set(actions.into_iter().collect());
        self
    }

    /// Last changed at the service then.
    pub fn updated_at(mut self, updated_at: Timestamp) -> Self {
        self.input.fields.updated_at = Patch::Set(updated_at);
        self
    }

    /// Further identities: links that share one of them share a thread (R8.3).
    pub fn also(mut self, sources: impl IntoIterator<Item = Source>) -> Self {
        self.input.also.extend(sources);
        self
    }

    /// Whether the owner has read it at the service. Without it, the host decides by its mode (R8.5).
    pub fn provider_read(mut self, read: bool) -> Self {
        self.input.fields.provider_read = Some(read);
        self
    }

    /// Takes the thread out of the archive even in a backfill (R8.5).
    pub fn unarchive(mut self) -> Self {
        self.input.fields.unarchive = Some(true);
        self
    }

    /// It recurs, so the history limit does not apply to it (R8.7).
    pub fn recurring(mut self) -> Self {
        if let Some(create) = &mut self.input.create {
            create.recurring = true;
        }
        self
    }

    /// Changes an item that is there, and never creates one (R8.3).
    pub fn update_only(mut self) -> Self {
        self.input.update_only = true;
        self
    }

    /// With notes of it, saved together with it.
    pub fn notes(mut self, notes: impl IntoIterator<Item = super::NewNote>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// With all of its notes, saved together with it: those that the service knew and that are not among
    /// them are archived, as they were deleted there.
    pub fn all_notes(mut self, notes: impl IntoIterator<Item = super::NewNote>) -> Self {
        self.notes_are_all = true;
        self.notes(notes)
    }

    /// Its identity.
    pub fn source(&self) -> &Source {
        &self.input.source
    }
}

/// A change of an item that is there; cannot create one (R8.4).
#[derive(Debug, Clone)]
#[must_use = "a patch is stored by `cx.integrations().patch_link(…)`"]
pub struct LinkPatch {
    pub(crate) input: LinkInput,
}

impl LinkPatch {
    /// A change of the item with this source that says nothing yet.
    pub fn new(source: Source) -> Self {
        Self {
            input: LinkInput {
                source,
                also: Vec::new(),
                fields: LinkFields::default(),
                create: None,
                update_only: true,
            },
        }
    }

    /// Another title.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.input.fields.title = Patch::Set(title.into());
        self
    }

    /// Another status.
    pub fn status<T: LinkType>(mut self, status: T) -> Self {
        self.input.fields.status = status.status().map(StatusId::from_static).into();
        self
    }

    /// Another status that is known at run time only.
    pub fn dynamic_status(mut self, status: impl Into<StatusId>) -> Self {
        self.input.fields.status = Patch::Set(status.into());
        self
    }

    /// Another assignee, or nobody.
    pub fn assignee(mut self, assignee: Option<Actor>) -> Self {
        self.input.fields.assignee = assignee.into();
        self
    }

    /// Other metadata.
    pub fn meta<T: LinkType>(mut self, meta: &T::Meta) -> Result<Self> {
        let meta = serde_json::to_value(meta)
            .map_err(|error| Error::bug("the meta cannot be written as JSON").with_source(error))?;
        self.input.fields.meta = Patch::Set(meta.into());
        Ok(self)
    }

    /// Other people.
    pub fn contacts(mut self, contacts: impl IntoIterator<Item = Contact>) -> Self {
        self.input.fields.contacts = Patch::Set(contacts.into_iter().collect());
        self
    }

    /// Other schedules.
    pub fn schedules(mut self, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        self.input.fields.schedules = Patch::Set(schedules.into_iter().collect());
        self
    }

    /// Last changed at the service then.
    pub fn updated_at(mut self, updated_at: Timestamp) -> Self {
        self.input.fields.updated_at = Patch::Set(updated_at);
        self
    }

    /// Whether the owner has read it at the service.
    pub fn provider_read(mut self, read: bool) -> Self {
        self.input.fields.provider_read = Some(read);
        self
    }
}

/// An external item as one connection sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Link {
    /// Its id here.
    pub id: LinkId,
    /// The thread it lives in.
    pub thread: ThreadId,
    /// Its identity.
    pub source: Source,
    /// Its kind.
    #[serde(rename = "type")]
    pub link_type: LinkTypeId,
    /// Where it was found.
    pub channel: ChannelId,
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Short text that stands for it in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// Its page at the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its status, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusId>,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Actor>,
    /// Who takes part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// When it takes place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// Its buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionButton>,
    /// Who made it.
    pub author: Author,
    /// When it came into being at the service.
    pub occurred_at: Timestamp,
    /// When it last changed at the service.
    pub updated_at: Timestamp,
    /// What the service says beyond the common model; read it with [`Link::meta`].
    #[serde(rename = "meta", default, skip_serializing_if = "is_null")]
    pub raw_meta: Arc<Value>,
    /// Whether what a user composed has reached the service; none for what came from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<super::Delivery>,
    /// No longer current: its channel was disabled, or the connector archived it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

fn is_null(meta: &Value) -> bool {
    meta.is_null()
}

impl Link {
    /// Whether the service has it as it is here, as far as is known: nothing that a user composed or changed is still to
    /// arrive.
    pub fn has_arrived(&self) -> bool {
        matches!(self.delivery, None | Some(super::Delivery::Delivered))
    }

    /// The source of an item that a user composed here, and that the service does not have.
    pub(crate) fn draft_source(id: LinkId) -> Source {
        Source::new("draft", [id.to_string()])
    }

    /// Whether a user composed it here, and the service does not have it.
    pub(crate) fn is_draft(&self) -> bool {
        self.source == Self::draft_source(self.id)
    }

    /// Whether it is of this kind.
    pub fn is<T: LinkType>(&self) -> bool {
        self.link_type.as_str() == T::DECLARATION.id
    }

    /// Its metadata, in the type of its kind (R8.4).
    pub fn meta<T: LinkType>(&self) -> Result<T::Meta> {
        if !self.is::<T>() {
            let wanted = T::DECLARATION.id;
            return Err(Error::bug(format!("the link {} is a `{}`, not a `{wanted}`", self.id, self.link_type)));
        }
        T::Meta::deserialize(&*self.raw_meta).map_err(|error| {
            Error::new(
                ErrorKind::Bug,
                format!("the meta of {} is not of its type any more: give new fields a default", self.id),
            )
            .with_source(error)
        })
    }

    /// Its status, in the type of its kind; none if it has none, or one that is known at run time only.
    pub fn typed_status<T: LinkType>(&self) -> Option<T> {
        self.status.as_ref().filter(|_| self.is::<T>()).and_then(|status| T::from_status(status.as_str()))
    }
}

/// What a user changed about a link, and nothing else (R9.1, L24).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkChanges {
    /// The kind of the link; none in what an earlier version stored.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub link_type: Option<LinkTypeId>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The status, by id; read it with [`LinkChanges::status`].
    #[serde(rename = "status", default, skip_serializing_if = "Option::is_none")]
    pub raw_status: Option<StatusId>,
    /// The assignee, or that there is none any more.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub assignee: Patch<Actor>,
    /// The schedules that were changed, as they are to be (R9.6): the event itself, or single occurrences of it.
    /// An occurrence that had no schedule of its own has one that [`Schedule::is_new`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
}

impl LinkChanges {
    /// The new status, in the type of the link's kind; none if it was not changed, or is known at run time only.
    ///
    /// # Errors
    ///
    /// The link is of another kind: ask with [`Link::is`] first where a connector has several.
    pub fn status<T: LinkType>(&self) -> Result<Option<T>> {
        let wanted = T::DECLARATION.id;
        match &self.link_type {
            Some(link_type) if link_type.as_str() != wanted => {
                Err(Error::bug(format!("the change is one of a `{link_type}`, not of a `{wanted}`")))
            }
            _ => Ok(self.raw_status.as_ref().and_then(|status| T::from_status(status.as_str()))),
        }
    }

    /// Nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.title.is_none() && self.raw_status.is_none() && self.assignee.is_keep() && self.schedules.is_empty()
    }
}

/// What a user composed, for `on_create_link` to bring to the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkDraft {
    /// The kind.
    #[serde(rename = "type")]
    pub link_type: LinkTypeId,
    /// Where it goes; none for kinds that address contacts or addresses.
    pub channel: Option<ChannelId>,
    /// The title.
    pub title: String,
    /// The first content, as markdown.
    #[serde(default)]
    pub content: Option<String>,
    /// The status it begins in, by id; read it with [`LinkDraft::status`].
    #[serde(rename = "status", default)]
    pub raw_status: Option<StatusId>,
    /// Who it is for, resolved to accounts at the service, without the acting user (R9.5).
    #[serde(default)]
    pub recipients: Vec<Recipient>,
    /// Files that the user attached: read them with `cx.files()` (R10.4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// When it takes place (R9.6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// Who composed it.
    pub user: UserId,
    /// The thread it will be in.
    pub thread: ThreadId,
}

impl LinkDraft {
    /// A draft of this user for this thread.
    pub fn new(link_type: impl Into<LinkTypeId>, title: impl Into<String>, user: UserId, thread: ThreadId) -> Self {
        Self {
            link_type: link_type.into(),
            channel: None,
            title: title.into(),
            content: None,
            raw_status: None,
            recipients: Vec::new(),
            attachments: Vec::new(),
            schedules: Vec::new(),
            user,
            thread,
        }
    }

    /// The files among its attachments.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        files_among(&self.attachments)
    }

    /// Whether it is of this kind.
    pub fn is<T: LinkType>(&self) -> bool {
        self.link_type.as_str() == T::DECLARATION.id
    }

    /// The status it begins in, in the type of its kind.
    pub fn status<T: LinkType>(&self) -> Option<T> {
        self.raw_status.as_ref().filter(|_| self.is::<T>()).and_then(|status| T::from_status(status.as_str()))
    }

    /// The channel, which a kind that is composed into channels always has.
    pub fn require_channel(&self) -> Result<&ChannelId> {
        self.channel.as_ref().ok_or_else(|| Error::rejected("choose where it goes"))
    }

    /// The first content as markdown text, empty if there is none.
    pub fn content_or_empty(&self) -> Content {
        Content::markdown(self.content.clone().unwrap_or_default())
    }
}

/// Which links: those that meet everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkFilter {
    /// In this channel.
    pub channel: Option<ChannelId>,
    /// Of this kind.
    pub link_type: Option<LinkTypeId>,
    /// With one of these identities.
    pub sources: Option<Vec<Source>>,
    /// That came into being before then.
    pub before: Option<Timestamp>,
    /// None of those with these identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<Source>>,
    /// That came into being then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_from: Option<Timestamp>,
    /// That last changed then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_from: Option<Timestamp>,
}

impl LinkFilter {
    /// All links of a channel.
    pub fn channel(channel: impl AsRef<ChannelId>) -> Self {
        Self { channel: Some(channel.as_ref().clone()), ..Self::default() }
    }

    /// The links with these identities.
    pub fn sources(sources: impl IntoIterator<Item = Source>) -> Self {
        Self { sources: Some(sources.into_iter().collect()), ..Self::default() }
    }

    /// Of this kind only.
    pub fn of<T: LinkType>(mut self) -> Self {
        self.link_type = Some(LinkTypeId::from_static(T::DECLARATION.id));
        self
    }

    /// That came into being before then.
    pub fn before(mut self, before: Timestamp) -> Self {
        self.before = Some(before);
        self
    }

    /// The links of a channel that are at the service, other than those with these identities: what a user composed that
    /// has not arrived there is not among them.
    pub fn except(channel: impl AsRef<ChannelId>, sources: impl IntoIterator<Item = Source>) -> Self {
        Self { except: Some(sources.into_iter().collect()), ..Self::channel(channel) }
    }

    /// That came into being then or later.
    pub fn occurred_from(mut self, from: Timestamp) -> Self {
        self.occurred_from = Some(from);
        self
    }

    /// That last changed then or later.
    pub fn changed_from(mut self, from: Timestamp) -> Self {
        self.changed_from = Some(from);
        self
    }

    /// Whether this link meets it.
    pub fn matches(&self, link: &Link) -> bool {
        self.channel.as_ref().is_none_or(|channel| *channel == link.channel)
            && self.link_type.as_ref().is_none_or(|link_type| *link_type == link.link_type)
            && self.sources.as_ref().is_none_or(|sources| sources.contains(&link.source))
            && self.before.is_none_or(|before| link.occurred_at < before)
            && self.except.as_ref().is_none_or(|except| link.has_arrived() && !except.contains(&link.source))
            && self.occurred_from.is_none_or(|from| link.occurred_at >= from)
            && self.changed_from.is_none_or(|from| link.updated_at >= from)
    }
}
