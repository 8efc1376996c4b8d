//! The hooks of a connector: what the host calls on an event.

use std::future::Future;

use jiff::civil::Date;

use crate::component::Declared;
use crate::context::Context;
use crate::error::Result;
use crate::model::{
    Account, Actor, Attachment, Attendance, Authorization, Channel, Contact, ContactChanges, Download, Emoji, Link,
    LinkChanges, LinkDraft, NewLink, Note, Schedule, SyncContext, Thread, WriteBack,
};

/// The hooks of a connector. Each is optional: one that is not written does nothing. `#[connector]`
/// on the `impl` records which are there, so that what is declared can be checked against it (R1.11).
///
/// A hook is one dispatch: everything that it does through its context is stored together when it
/// succeeds, and nothing of it when it fails (R7.1).
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `impl Connector`",
    label = "a declared connector needs its hooks",
    note = "write `#[connector] impl Connector for {Self} {{ … }}`; it may be empty"
)]
#[allow(unused_variables, reason = "the defaults use none of what they get, and the names are documentation")]
pub trait Connector: Declared {
    /// The connection has been authorized. Read and write state, queue tasks; do not call the service (R3.5).
    fn activate(
        &self,
        cx: &Context<Self>,
        authorization: &Authorization,
        actor: &Actor,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// The connector's version has changed; once for each active connection.
    fn upgrade(&self, cx: &Context<Self>, from: &str) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// The connection goes away. What it stored is removed by the host afterwards.
    fn deactivate(&self, cx: &Context<Self>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// The user changed the options; both are complete.
    fn on_options_changed(
        &self,
        cx: &Context<Self>,
        old: &Self::Options,
        new: &Self::Options,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What the connection is called: `octocat`.
    fn get_account_name(
        &self,
        cx: &Context<Self>,
        account: &Account,
    ) -> impl Future<Output = Result<Option<String>>> + Send {
        async { Ok(None) }
    }

    /// The owner's own account at the service, by which the host knows what the owner wrote there.
    /// For accounts without OAuth it gives at least the e-mail address.
    fn get_account_identity(
        &self,
        cx: &Context<Self>,
        account: &Account,
    ) -> impl Future<Output = Result<Option<Actor>>> + Send {
        async { Ok(None) }
    }

    /// The service's id of the customer that the account belongs to, where the provider has not told it with the
    /// token: what the service pushes for a whole app is routed by it.
    fn get_account_tenant(
        &self,
        cx: &Context<Self>,
        account: &Account,
    ) -> impl Future<Output = Result<Option<String>>> + Send {
        async { Ok(None) }
    }

    /// The channels that the user can enable, nested where the service nests them.
    fn get_channels(&self, cx: &Context<Self>, account: &Account) -> impl Future<Output = Result<Vec<Channel>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// A channel was enabled, or its connection has been authorized again (R3.4). Returns fast: declared
    /// syncs are started by the host; only what they do not cover is queued here. The service is not called (R3.5).
    fn on_channel_enabled(
        &self,
        cx: &Context<Self>,
        channel: Channel,
        sync: SyncContext,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A channel was disabled: stop, clean up. The host then removes what carries the channel's key (R3.6).
    fn on_channel_disabled(&self, cx: &Context<Self>, channel: Channel) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user changed a link; `changes` has only what they changed.
    fn on_link_updated(
        &self,
        cx: &Context<Self>,
        link: &Link,
        changes: &LinkChanges,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user composed a new item. The host attaches what comes back to the originating thread. `None` means that the
    /// connector does not take it: nothing is at the service, and the user sees that, sends it again or discards it.
    fn on_create_link(
        &self,
        cx: &Context<Self>,
        draft: LinkDraft,
    ) -> impl Future<Output = Result<Option<NewLink>>> + Send {
        async { Ok(None) }
    }

    /// A user wrote a note.
    fn on_note_created(
        &self,
        cx: &Context<Self>,
        note: &Note,
        thread: &Thread,
    ) -> impl Future<Output = Result<WriteBack>> + Send {
        async { Ok(WriteBack::accepted()) }
    }

    /// A user edited their note.
    fn on_note_updated(
        &self,
        cx: &Context<Self>,
        note: &Note,
        thread: &Thread,
    ) -> impl Future<Output = Result<WriteBack>> + Send {
        async { Ok(WriteBack::accepted()) }
    }

    /// A user read a thread, or marked it unread.
    fn on_thread_read(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        actor: &Actor,
        unread: bool,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user made a thread a to-do, for a day or without one, or finished it.
    fn on_thread_to_do(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        actor: &Actor,
        todo: bool,
        date: Option<Date>,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user changed the people of a thread.
    fn on_contacts_changed(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        changes: &ContactChanges,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user said whether someone attends; none takes back what was said.
    fn on_schedule_contact_updated(
        &self,
        cx: &Context<Self>,
        thread: &Thread,
        schedule: &Schedule,
        contact: &Contact,
        attendance: Option<Attendance>,
        actor: &Actor,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user reacted to a note, or took it back. Only called with an emoji that the service takes (R1.9).
    fn on_note_reaction_changed(
        &self,
        cx: &Context<Self>,
        note: &Note,
        thread: &Thread,
        actor: &Actor,
        emoji: &Emoji,
        added: bool,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// A user opens an attachment that is at the service.
    fn download_attachment(
        &self,
        cx: &Context<Self>,
        attachment: &Attachment,
        link: &Link,
    ) -> impl Future<Output = Result<Download>> + Send {
        async { Ok(Download::Gone) }
    }
}
