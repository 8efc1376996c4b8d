use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ActionButton, Actor, Author, Reaction, Recipient, Source};
use crate::error::{Error, Result};
use crate::id::{FileId, LinkId, NoteId, NoteKey, ThreadId, UserId};

/// The text of a note in the form that the service gives it; there is no conversion that one
/// does not ask for (L26). Stored as markdown (R8.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "format", content = "text")]
pub enum Content {
    /// Plain text: nothing in it is markup.
    Text(String),
    /// CommonMark, with the tables, task lists and strikethrough of GitHub.
    Markdown(String),
    /// HTML.
    Html(String),
}

impl Content {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Markdown.
    pub fn markdown(text: impl Into<String>) -> Self {
        Self::Markdown(text.into())
    }

    /// HTML.
    pub fn html(text: impl Into<String>) -> Self {
        Self::Html(text.into())
    }
}

/// A note to save; upserted by its key within its link (R8.2). Fields that are not given keep the
/// value that they have.
#[derive(Debug, Clone)]
#[must_use = "a note is stored by `cx.integrations().save_note(…)`, or with its link"]
pub struct NewNote {
    pub(crate) link: Source,
    pub(crate) key: NoteKey,
    pub(crate) author: Author,
    pub(crate) occurred_at: Timestamp,
    pub(crate) content: Content,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) url: Option<String>,
    pub(crate) reply_to: Option<NoteKey>,
    pub(crate) attachments: Option<Vec<Attachment>>,
    pub(crate) reactions: Option<Vec<Reaction>>,
    pub(crate) actions: Option<Vec<ActionButton>>,
    pub(crate) recipients: Option<Vec<Recipient>>,
}

impl NewNote {
    /// A note of this link, with the service's id of it, who wrote it, when, and what.
    pub fn new(
        link: Source,
        key: impl Into<NoteKey>,
        author: impl Into<Author>,
        occurred_at: Timestamp,
        content: Content,
    ) -> Self {
        Self {
            link,
            key: key.into(),
            author: author.into(),
            occurred_at,
            content,
            updated_at: None,
            url: None,
            reply_to: None,
            attachments: None,
            reactions: None,
            actions: None,
            recipients: None,
        }
    }

    /// Last edited at the service then.
    pub fn updated_at(mut self, updated_at: Timestamp) -> Self {
        self.updated_at = Some(updated_at);
        self
    }

    /// With its page at the service.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// An answer to another note of the link.
    pub fn reply_to(mut self, key: impl Into<NoteKey>) -> Self {
        self.reply_to = Some(key.into());
        self
    }

    /// With all of its attachments.
    pub fn attachments(mut self, attachments: impl IntoIterator<Item = Attachment>) -> Self {
        self.attachments = Some(attachments.into_iter().collect());
        self
    }

    /// With all of its reactions.
    pub fn reactions(mut self, reactions: impl IntoIterator<Item = Reaction>) -> Self {
        self.reactions = Some(reactions.into_iter().collect());
        self
    }

    /// With its buttons.
    pub fn actions(mut self, actions: impl IntoIterator<Item = ActionButton>) -> Self {
        self.actions = Some(actions.into_iter().collect());
        self
    }

    /// With those that it was sent to.
    pub fn recipients(mut self, recipients: impl IntoIterator<Item = Recipient>) -> Self {
        self.recipients = Some(recipients.into_iter().collect());
        self
    }
}

/// A note as one connection sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Note {
    /// Its id here.
    pub id: NoteId,
    /// Its thread.
    pub thread: ThreadId,
    /// Its link.
    pub link: LinkId,
    /// The service's id of it; none while it is not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<NoteKey>,
    /// Who wrote it.
    pub author: Author,
    /// When it was written.
    pub occurred_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// The content, as markdown.
    pub content: String,
    /// Its page at the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The note that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<NoteKey>,
    /// Its attachments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Its reactions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    /// Its buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionButton>,
    /// Those that it is sent to, resolved, without the acting user (R9.5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Recipient>,
    /// The user who wrote it here; none if it came from the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<UserId>,
    /// Whether what a user wrote has reached the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// No longer there at the service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

/// Whether what a user wrote has reached the service (R9.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Delivery {
    /// On its way.
    Pending,
    /// Being sent right now.
    Sending,
    /// It is there.
    Delivered,
    /// It is not there, for this reason. The user can retry or discard.
    Failed {
        /// For the user.
        reason: String,
    },
    /// The host stopped while it was being sent, and the connector cannot tell whether it arrived.
    /// The user can retry or discard.
    Unknown,
}

/// A file of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Attachment {
    /// File name.
    pub name: String,
    /// Media type (RFC 6838).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Id that the text of the note names the file by, in a URL such as `cid:plan@other.test` (RFC 2392).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Where its bytes are.
    #[serde(flatten)]
    pub at: AttachmentRef,
}

impl Attachment {
    /// A file that the connector can fetch by this reference, in `download_attachment`.
    pub fn new(name: impl Into<String>, reference: impl Into<String>) -> Self {
        let at = AttachmentRef::Service(reference.into());
        Self { name: name.into(), media_type: None, size: None, content_id: None, at }
    }

    /// Of this media type.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Of this many bytes.
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Named by this id in `cid:` URLs of the note's text (RFC 2392).
    pub fn content_id(mut self, id: impl Into<String>) -> Self {
        self.content_id = Some(id.into());
        self
    }
}

/// Where the bytes of an attachment are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentRef {
    /// At the service, by what the connector needs to fetch it.
    #[serde(rename = "reference")]
    Service(String),
    /// With the host: a user attached it.
    File(FileId),
}

/// The files of users among these.
pub(super) fn files_among(attachments: &[Attachment]) -> impl Iterator<Item = FileId> {
    attachments.iter().filter_map(|attachment| match attachment.at {
        AttachmentRef::File(file) => Some(file),
        AttachmentRef::Service(_) => None,
    })
}

/// What `download_attachment` answers.
#[non_exhaustive]
pub enum Download {
    /// Fetch it there. The URL carries its own permission.
    Redirect(String),
    /// The bytes, streamed.
    Body {
        /// File name.
        name: String,
        /// Media type.
        media_type: String,
        /// The bytes.
        body: BoxStream<'static, Result<Bytes>>,
    },
    /// It is not to be had: 410.
    Gone,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redirect(_) => f.write_str("Redirect"),
            Self::Body { name, media_type, .. } => write!(f, "Body({name}, {media_type})"),
            Self::Gone => f.write_str("Gone"),
        }
    }
}

/// What became of a user's note at the service: the result of `on_note_created` and `on_note_updated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "return it from the hook: the host learns from it what the service stored"]
#[non_exhaustive]
pub struct WriteBack {
    /// The service's id of the note; none if it has not become one.
    pub key: Option<NoteKey>,
    /// What the service says that it stored: the note's baseline (R9.2). Without it, what was sent.
    pub stored: Option<Content>,
    /// Its page at the service.
    pub url: Option<String>,
    /// Why it did not arrive, for the user (R9.4).
    pub delivery_error: Option<String>,
    /// Who wrote it, as the service knows them.
    pub author: Option<Actor>,
}

impl WriteBack {
    /// It is a note with this id now.
    pub fn delivered(key: impl Into<NoteKey>) -> Self {
        Self { key: Some(key.into()), stored: None, url: None, delivery_error: None, author: None }
    }

    /// It was taken, and is no note of its own at the service.
    pub fn accepted() -> Self {
        Self { key: None, stored: None, url: None, delivery_error: None, author: None }
    }

    /// It did not arrive, for this reason; shown on the note (R9.4).
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { delivery_error: Some(reason.into()), ..Self::accepted() }
    }

    /// What the service says that it stored.
    pub fn stored(mut self, content: Content) -> Self {
        self.stored = Some(content);
        self
    }

    /// Its page at the service.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Who wrote it, as the service knows them.
    pub fn author(mut self, author: Actor) -> Self {
        self.author = Some(author);
        self
    }
}

/// One note: by its link and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRef {
    /// Its link.
    pub link: Source,
    /// The service's id of it.
    pub key: NoteKey,
}

impl NoteRef {
    /// The note with this key in this link.
    pub fn new(link: Source, key: impl Into<NoteKey>) -> Self {
        Self { link, key: key.into() }
    }
}

/// Which notes of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NoteFilter {
    /// The link.
    pub link: Source,
    /// Those with these keys; none for all of them.
    pub keys: Option<Vec<NoteKey>>,
    /// None of those with these keys, and none that the service does not know yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<NoteKey>>,
}

impl NoteFilter {
    /// All notes of a link.
    pub fn all(link: Source) -> Self {
        Self { link, keys: None, except: None }
    }

    /// The notes of a link with these keys.
    pub fn keys(link: Source, keys: impl IntoIterator<Item = NoteKey>) -> Self {
        Self { link, keys: Some(keys.into_iter().collect()), except: None }
    }

    /// The notes of a link that the service knew, other than those with these keys. What users have
    /// written that has not arrived there yet is not among them.
    pub fn except(link: Source, keys: impl IntoIterator<Item = NoteKey>) -> Self {
        Self { link, keys: None, except: Some(keys.into_iter().collect()) }
    }

    /// Whether this note of the link meets it.
    pub fn matches(&self, note: &Note) -> bool {
        let among = |keys: &[NoteKey]| note.key.as_ref().map(|key| keys.contains(key));
        self.keys.as_deref().is_none_or(|keys| among(keys) == Some(true))
            && self.except.as_deref().is_none_or(|keys| among(keys) == Some(false))
    }
}

impl Note {
    /// The service's id of it, which a note that is edited there has.
    pub fn require_key(&self) -> Result<&NoteKey> {
        self.key.as_ref().ok_or_else(|| Error::bug(format!("{} has not arrived at the service", self.id)))
    }

    /// The files of users among its attachments.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        files_among(&self.attachments)
    }

    /// The file that a user attached, of an attachment of this note.
    pub fn file(&self, index: usize) -> Result<FileId> {
        match self.attachments.get(index).map(|attachment| &attachment.at) {
            Some(AttachmentRef::File(file)) => Ok(*file),
            Some(AttachmentRef::Service(_)) => {
                Err(Error::bug(format!("attachment {index} of {} is at the service", self.id)))
            }
            None => Err(Error::bug(format!("{} has no attachment {index}", self.id))),
        }
    }
}
