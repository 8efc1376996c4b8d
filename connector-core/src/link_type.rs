//! Kinds of external item: what `#[link_type]` declares, and how their statuses and metadata are typed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::options::same_text;
use crate::schema::SchemaFn;

/// A declared kind of external item, as `#[link_type]` implements it on an enum (one variant for
/// each status) or on a unit struct (a kind without statuses).
///
/// A value of the type is a status, so a connector cannot name one that does not exist (R1.7).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a link type",
    label = "has no `#[link_type(…)]`",
    note = "put `#[link_type]` on the enum of its statuses, or on `struct {Self};` for a kind without statuses"
)]
pub trait LinkType: Copy + Send + Sync + 'static {
    /// What the service says of an item beyond the common model; comes back in every write-back (R8.4).
    type Meta: LinkMeta;

    /// The declaration.
    const DECLARATION: &'static LinkTypeDeclaration;

    /// The id of this status; none for a kind without statuses.
    fn status(self) -> Option<&'static str>;

    /// The status with this id.
    fn from_status(id: &str) -> Option<Self>;

    /// This status together with the item's metadata, for a kind that has some.
    fn with(self, meta: Self::Meta) -> WithMeta<Self> {
        WithMeta { status: self, meta }
    }
}

/// What can be the metadata of a link type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the metadata of a link type",
    label = "is not `Serialize + DeserializeOwned + Send + Sync`",
    note = "metadata is stored with the link and comes back in every write-back: derive `Serialize` and `Deserialize` for it"
)]
pub trait LinkMeta: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> LinkMeta for T {}

/// A status and the metadata of an item; see [`LinkType::with`].
#[derive(Debug, Clone)]
pub struct WithMeta<T: LinkType> {
    /// The status.
    pub status: T,
    /// The metadata.
    pub meta: T::Meta,
}

/// What a new link is: a status of a link type, with its metadata where the kind has some.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what the link is",
    label = "give a status of a link type, with its metadata if it declares any",
    note = "write `Issue::Open` for a link type without `meta`, `Issue::Open.with(IssueMeta {{ … }})` for one with it"
)]
pub trait LinkKind {
    /// The link type.
    type Type: LinkType;

    /// Takes the two apart.
    fn into_parts(self) -> (Self::Type, <Self::Type as LinkType>::Meta);
}

#[diagnostic::do_not_recommend]
impl<T: LinkType<Meta = ()>> LinkKind for T {
    type Type = T;

    fn into_parts(self) -> (T, ()) {
        (self, ())
    }
}

impl<T: LinkType> LinkKind for WithMeta<T> {
    type Type = T;

    fn into_parts(self) -> (T, T::Meta) {
        (self.status, self.meta)
    }
}

/// Everything that `#[link_type(…)]` says (R1.7).
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct LinkTypeDeclaration {
    /// Stable id; the type's name in snake_case unless given.
    pub id: &'static str,
    /// Shown: `Issue`.
    pub label: &'static str,
    /// From the doc comment.
    pub description: &'static str,
    /// What the service calls itself in the wording of this type: `GitHub`.
    pub source_name: Option<&'static str>,
    /// What a note is called: `Comment`.
    pub note_label: &'static str,
    /// On the button that composes one: `New issue`.
    pub compose_label: Option<&'static str>,
    /// In the reply box: `Comment on GitHub`.
    pub reply_label: Option<&'static str>,
    /// Logos.
    pub logos: Logos,
    /// Its statuses, in the order shown.
    pub statuses: &'static [StatusDeclaration],
    /// An item has an assignee.
    pub assignee: bool,
    /// An item has schedules.
    pub schedules: bool,
    /// Who sees an item at the service.
    pub sharing: Sharing,
    /// The roles that contacts have.
    pub contact_roles: &'static [ContactRole],
    /// What else it supports.
    pub supports: Supports,
    /// How a user composes a new one; none where they cannot.
    pub compose: Option<Compose>,
    /// The reactions it takes, in place of the connector's.
    pub reactions: Option<Reactions>,
    /// The schema of what a connector stores with a link of this type; none if it stores nothing.
    #[serde(skip)]
    pub meta: Option<SchemaFn>,
}

impl LinkTypeDeclaration {
    /// Whether another type has this one's id.
    pub const fn has_id_of(&self, other: &Self) -> bool {
        same_text(self.id, other.id)
    }

    /// A declaration in which everything but the id and the label has its default.
    pub const fn new(id: &'static str, label: &'static str) -> Self {
        Self {
            id,
            label,
            description: "",
            source_name: None,
            note_label: "Note",
            compose_label: None,
            reply_label: None,
            logos: Logos { light: None, dark: None, mono: None },
            statuses: &[],
            assignee: false,
            schedules: false,
            sharing: Sharing::Channel,
            contact_roles: &[],
            supports: Supports {
                contact_changes: false,
                links: false,
                attachments: false,
                forwarding: false,
                schedule_changes: false,
            },
            compose: None,
            reactions: None,
            meta: None,
        }
    }

    /// The status with this id.
    pub fn status(&self, id: &str) -> Option<&'static StatusDeclaration> {
        self.statuses.iter().find(|status| status.id == id)
    }
}

/// Logos of a link type: URLs or data URLs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Logos {
    /// On a light ground.
    pub light: Option<&'static str>,
    /// On a dark ground.
    pub dark: Option<&'static str>,
    /// In one colour.
    pub mono: Option<&'static str>,
}

/// One status of a link type.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StatusDeclaration {
    /// Stable id; the variant's name in snake_case unless given.
    pub id: &'static str,
    /// Shown.
    pub label: &'static str,
    /// Drawn beside the label.
    pub icon: Option<StatusIcon>,
    /// Work on it has ended.
    pub done: bool,
    /// The one that reopening, or a to-do, puts it in. At most one.
    pub todo: bool,
    /// Work on it is under way.
    pub active: bool,
    /// Items in it are not shown unless asked for.
    pub hidden: bool,
}

impl StatusDeclaration {
    /// A status with no more than an id and a label.
    pub const fn new(id: &'static str, label: &'static str) -> Self {
        Self { id, label, icon: None, done: false, todo: false, active: false, hidden: false }
    }
}

/// What is drawn beside a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the icons say all there is to say")]
pub enum StatusIcon {
    Backlog,
    Todo,
    InProgress,
    Blocked,
    Done,
    Cancelled,
    Confirmed,
    Tentative,
}

/// Who sees an item at the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// The contacts of its thread.
    Thread,
    /// Everyone in its channel.
    Channel,
    /// The contacts of each message.
    Message,
    /// Its owner alone.
    None,
}

/// A role that a contact of an item has: `to`, `cc`, `attendee`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ContactRole {
    /// Stable id.
    pub id: &'static str,
    /// Shown.
    pub label: &'static str,
    /// What a contact has that is added without a role. Exactly one role of a type is the default.
    pub default: bool,
}

/// What else a link type supports.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Supports {
    /// Contacts are added, removed and given other roles.
    pub contact_changes: bool,
    /// Links in notes.
    pub links: bool,
    /// Files attached to notes.
    pub attachments: bool,
    /// Forwarding to others.
    pub forwarding: bool,
    /// Users move and cancel what takes place, or one occurrence of it.
    pub schedule_changes: bool,
}

/// How a user composes a new item.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Compose {
    /// What it is addressed to.
    pub target: ComposeTarget,
    /// The status it begins in, by id.
    pub status: Option<&'static str>,
    /// It begins as a to-do of its author.
    pub todo: bool,
}

/// What a composed item is addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComposeTarget {
    /// One of the enabled channels.
    Channels,
    /// Contacts that the service knows.
    Contacts,
    /// Any e-mail address.
    Addresses,
}

/// The reactions that a service takes (R1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reactions {
    /// Any unicode emoji.
    Unicode {
        /// And the custom emoji of the workspace.
        custom: bool,
    },
    /// Some unicode emoji, and no others.
    Subset {
        /// The emoji.
        emoji: &'static [&'static str],
    },
    /// A fixed set, with a name for each at the service.
    Fixed {
        /// Pairs of emoji and name.
        set: &'static [(&'static str, &'static str)],
    },
}

impl Reactions {
    /// Whether the service can take this emoji (R1.9). It takes none that does not exist.
    pub fn takes(&self, emoji: &crate::model::Emoji) -> bool {
        let Some(emoji) = emoji.standard() else { return false };
        match (self, &emoji) {
            (Self::Unicode { .. }, crate::model::Emoji::Unicode(_)) => true,
            (Self::Unicode { custom }, crate::model::Emoji::Custom { .. }) => *custom,
            (Self::Subset { emoji: subset }, _) => subset.iter().any(|known| is_same(known, &emoji)),
            (Self::Fixed { set }, _) => set.iter().any(|(known, _)| is_same(known, &emoji)),
        }
    }

    /// The service's name of an emoji, where the set is fixed.
    pub fn name_of(&self, emoji: &crate::model::Emoji) -> Option<&'static str> {
        let emoji = emoji.standard()?;
        match self {
            Self::Fixed { set } => set.iter().find(|(known, _)| is_same(known, &emoji)).map(|(_, name)| *name),
            Self::Unicode { .. } | Self::Subset { .. } => None,
        }
    }

    /// The emoji that has this name at the service, where the set is fixed.
    pub fn named(&self, name: &str) -> Option<crate::model::Emoji> {
        match self {
            Self::Fixed { set } => {
                set.iter().find(|(_, known)| *known == name).map(|(emoji, _)| crate::model::Emoji::unicode(*emoji))
            }
            Self::Unicode { .. } | Self::Subset { .. } => None,
        }
    }
}

/// Whether a declared unicode emoji, in whatever form it was declared, is this one, which is in its standard form.
fn is_same(declared: &str, emoji: &crate::model::Emoji) -> bool {
    crate::model::Emoji::unicode(declared) == *emoji
}

/// A refinement of a declared link type for one channel, found at run time (R1.8): a team's own
/// workflow states. What is not given stays as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTypeRefinement {
    /// The declared type.
    pub id: String,
    /// Another label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Other statuses, in place of the declared ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<DynamicStatus>>,
}

impl LinkTypeRefinement {
    /// A refinement of `T` that changes nothing yet.
    pub fn of<T: LinkType>() -> Self {
        Self { id: T::DECLARATION.id.to_owned(), label: None, statuses: None }
    }

    /// Gives the statuses.
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = DynamicStatus>) -> Self {
        self.statuses = Some(statuses.into_iter().collect());
        self
    }

    /// Gives the label.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// A status that is known at run time only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicStatus {
    /// The service's id of it.
    pub id: String,
    /// Shown.
    pub label: String,
    /// Drawn beside the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<StatusIcon>,
    /// Work on it has ended.
    #[serde(default)]
    pub done: bool,
    /// The one that reopening puts it in.
    #[serde(default)]
    pub todo: bool,
    /// Work on it is under way.
    #[serde(default)]
    pub active: bool,
    /// Items in it are not shown unless asked for.
    #[serde(default)]
    pub hidden: bool,
}

impl DynamicStatus {
    /// A status with no more than an id and a label.
    pub fn new(id: impl Into<String>, label: impl Into<String>) -> Self {
        Self { id: id.into(), label: label.into(), icon: None, done: false, todo: false, active: false, hidden: false }
    }
}
