//! The common model of what services hold: links in threads, their notes, people, schedules.

mod actor;
mod channel;
mod link;
mod note;
mod reaction;
mod schedule;
mod source;
mod thread;

pub use actor::{Account, Actor, Author, Authorization, Contact, ContactChanges, Recipient};
pub use channel::{Channel, SyncContext};
pub use link::{Link, LinkChanges, LinkDraft, LinkFilter, LinkPatch, NewLink, Patch};
pub(crate) use link::{LinkFields, LinkIdentity, LinkInput};
pub use note::{Attachment, AttachmentRef, Content, Delivery, Download, NewNote, Note, NoteFilter, NoteRef, WriteBack};
pub use reaction::{CustomEmoji, Emoji, Reaction};
pub use schedule::{Action, ActionButton, Attendance, Attendee, ButtonTarget, Schedule, ScheduleChange, When};
pub use source::Source;
pub use thread::Thread;
