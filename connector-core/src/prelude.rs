//! Everything that a connector usually needs: `use connector_core::prelude::*;`.

pub use http::Method;
pub use jiff::civil::Date;
pub use jiff::{SignedDuration, Timestamp};
// The derive macro names its crate, which a connector need not depend on itself.
pub use schemars::{self, JsonSchema};
pub use serde::{Deserialize, Serialize};

pub use crate::callback::{BoundCallback, Callback};
pub use crate::connector::Connector;
pub use crate::context::{Context, Mode, Scheduled, TaskToken};
pub use crate::declaration::Provider;
pub use crate::error::{Error, ErrorKind, GoneExt, Result, ResultExt};
pub use crate::files::AttachedFile;
pub use crate::id::{ChannelId, FileId, LinkTypeId, NoteKey, ScheduleKey, StatusId, UserId};
pub use crate::link_type::{DynamicStatus, LinkType, LinkTypeRefinement};
pub use crate::model::{
    Account, Action, ActionButton, Actor, Attachment, AttachmentRef, Attendance, Author, Authorization, Channel,
    Contact, ContactChanges, Content, CustomEmoji, Download, Emoji, Link, LinkChanges, LinkDraft, LinkFilter,
    LinkPatch, NewLink, NewNote, Note, NoteFilter, NoteRef, Patch, Reaction, Recipient, Schedule, Source, SyncContext,
    Thread, When, WriteBack,
};
pub use crate::secret::Secret;
pub use crate::tool::Tool;
pub use crate::walk::Since;
pub use crate::webhook::{Verified, WebhookRequest};
pub use crate::work::{Drained, Endpoint, Registration, Step, Subscription};
#[cfg(feature = "macros")]
pub use crate::{Choices, Options, callback, connector, drain, every, link_type, sync, tool, webhook};
