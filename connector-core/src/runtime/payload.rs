//! What a task does, as it is stored.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::context::{Mode, own_key};
use crate::dispatch::QUICK_HOOKS;
use crate::engine::{TaskPriority, TaskRow, Write};
use crate::error::{Error, Result};
use crate::id::{ChannelId, ConnectionId, LinkId, NoteId, ScheduleKey, TaskId, ThreadId};
use crate::model::{
    Action, Attendance, Authorization, Channel, Contact, ContactChanges, Emoji, LinkChanges, LinkDraft, Schedule,
};
use crate::runtime::unsent::LinkBefore;
use crate::value;

type Name = Cow<'static, str>;

/// What a task does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum TaskPayload {
    /// Runs a callback.
    Callback {
        #[serde(default, skip_serializing_if = "str::is_empty")]
        namespace: Name,
        name: Name,
        #[serde(default)]
        args: Bytes,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Bytes>,
        /// The token that it was queued by: it must still be valid when it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// Calls a hook.
    Hook(HookTask),
    /// Takes a step of a `#[sync]`.
    Sync { name: Name, channel: Option<ChannelId> },
    /// Runs an `#[every]`.
    Every { name: Name, channel: Option<ChannelId> },
    /// Hands over the ids that were marked dirty.
    Drain(DrainTask),
    /// Hands over what a service pushed.
    Delivery { name: Name, delivery: i64 },
    /// Keeps the registration of a webhook as it should be.
    Subscription { name: Name, channel: Option<ChannelId> },
    /// Looks for channels that are new or gone.
    RefreshChannels,
    /// Begins declared work that the connector did not have before, and ends what it does not have any more.
    Redeclare,
    /// Has other connections of a workspace go on with the credential that was given to this one.
    ShareCredential,
    /// Has the service stop pushing to a connection that is disconnected, which then ends.
    Disconnect,
}

/// The drain that a task runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DrainTask {
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(crate) namespace: Name,
    pub(crate) name: Name,
    pub(crate) args: Bytes,
    pub(crate) key: String,
    pub(crate) batch: u32,
    pub(crate) max_attempts: u32,
    /// In the dead letter of an id: that id, in place of those that are marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<Bytes>,
    /// The mode in which the id of the dead letter was marked.
    #[serde(default, skip_serializing_if = "is_live")]
    pub(crate) mode: Mode,
}

fn is_live(mode: &Mode) -> bool {
    *mode == Mode::Live
}

/// The stored mark of an id that waits for a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of passes that the drain wanted the id again after.
    pub(crate) attempts: u32,
    /// The mode of the dispatch that marked the id (R8.5): the drain runs in it.
    pub(crate) mode: Mode,
}

impl Mark {
    /// As it is stored.
    pub(crate) fn encode(self) -> Result<Bytes> {
        let bytes = value::to_bytes(&(self.attempts, self.mode));
        Ok(bytes.map_err(|error| Error::bug("a mark cannot be stored").with_source(error))?.into())
    }

    /// Reads a stored mark. The earlier form, the number of attempts alone, is read as marked live.
    pub(crate) fn decode(stored: &[u8]) -> Self {
        let (attempts, mode) = value::from_bytes(stored)
            .unwrap_or_else(|_| (value::from_bytes(stored).unwrap_or_default(), Mode::default()));
        Self { attempts, mode }
    }
}

/// The hook that a task calls. It names things by id; what they are is read when it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum HookTask {
    Activate {
        authorization: Authorization,
    },
    Upgrade {
        from: String,
    },
    OptionsChanged {
        old: Map<String, Value>,
        new: Map<String, Value>,
    },
    ChannelEnabled {
        channel: ChannelId,
        recovering: bool,
    },
    ChannelDisabled {
        channel: Channel,
    },
    LinkUpdated {
        link: LinkId,
        changes: LinkChanges,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<LinkBefore>>,
    },
    CreateLink {
        link: LinkId,
        draft: LinkDraft,
    },
    NoteCreated {
        note: NoteId,
    },
    NoteUpdated {
        note: NoteId,
    },
    ThreadRead {
        thread: ThreadId,
        unread: bool,
    },
    ThreadToDo {
        thread: ThreadId,
        todo: bool,
        date: Option<Date>,
    },
    ContactsChanged {
        link: LinkId,
        changes: ContactChanges,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<LinkBefore>>,
    },
    ScheduleContactUpdated {
        link: LinkId,
        schedule: ScheduleKey,
        contact: Contact,
        attendance: Option<Attendance>,
        /// The schedule as it was answered, for one that the service does not have yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answered: Option<Box<Schedule>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<LinkBefore>>,
    },
    NoteReactionChanged {
        note: NoteId,
        emoji: Emoji,
        added: bool,
    },
    ActionPressed {
        link: LinkId,
        token: String,
        action: Action,
    },
}

/// What a task creates at the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creates {
    /// A note that a user wrote.
    Note(NoteId),
    /// An item that a user composed.
    Link(LinkId),
}

impl TaskPayload {
    /// A task that does it at once.
    pub(crate) fn task(&self, id: TaskId, connection: ConnectionId) -> Result<TaskRow> {
        let payload =
            value::to_bytes(self).map_err(|error| Error::bug("a task cannot be stored").with_source(error))?;
        let priority = match self {
            Self::Hook(_) => TaskPriority::User,
            Self::Drain(_) | Self::Delivery { .. } | Self::Subscription { .. } => TaskPriority::Webhook,
            Self::Callback { .. }
            | Self::Sync { .. }
            | Self::Every { .. }
            | Self::RefreshChannels
            | Self::Redeclare
            | Self::ShareCredential
            | Self::Disconnect => TaskPriority::Incremental,
        };
        Ok(TaskRow {
            id,
            connection,
            run_at: None,
            attempt: 0,
            revision: 0,
            key: None,
            channel: None,
            priority,
            every_ms: None,
            payload: payload.into(),
            errors: Vec::new(),
            nonce: None,
        })
    }

    /// What the task creates at the service, where running it twice would create it twice.
    pub(crate) fn creates(&self) -> Option<Creates> {
        match self {
            Self::Hook(HookTask::NoteCreated { note }) => Some(Creates::Note(*note)),
            Self::Hook(HookTask::CreateLink { link, .. }) => Some(Creates::Link(*link)),
            _ => None,
        }
    }

    /// It may send requests to the service: all but the hooks that the user waits for (R3.5).
    pub(crate) fn may_call_out(&self) -> bool {
        !matches!(self, Self::Hook(hook) if QUICK_HOOKS.contains(&hook.name()))
    }

    /// What it is called in a list.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Callback { namespace, name, .. } if namespace.is_empty() => name.to_string(),
            Self::Callback { namespace, name, .. } => format!("{namespace}/{name}"),
            Self::Hook(hook) => hook.name().to_owned(),
            Self::Sync { name, .. } => format!("sync {name}"),
            Self::Every { name, .. } => format!("every {name}"),
            Self::Drain(drain) => format!("drain {}", drain.name),
            Self::Subscription { name, .. } => format!("subscription {name}"),
            Self::Delivery { name, .. } => format!("webhook {name}"),
            Self::RefreshChannels => "get_channels".to_owned(),
            Self::Redeclare => "declared work".to_owned(),
            Self::ShareCredential => "share credential".to_owned(),
            Self::Disconnect => "disconnect".to_owned(),
        }
    }
}

impl HookTask {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Activate { .. } => "activate",
            Self::Upgrade { .. } => "upgrade",
            Self::OptionsChanged { .. } => "on_options_changed",
            Self::ChannelEnabled { .. } => "on_channel_enabled",
            Self::ChannelDisabled { .. } => "on_channel_disabled",
            Self::LinkUpdated { .. } => "on_link_updated",
            Self::CreateLink { .. } => "on_create_link",
            Self::NoteCreated { .. } => "on_note_created",
            Self::NoteUpdated { .. } => "on_note_updated",
            Self::ThreadRead { .. } => "on_thread_read",
            Self::ThreadToDo { .. } => "on_thread_to_do",
            Self::ContactsChanged { .. } => "on_contacts_changed",
            Self::ScheduleContactUpdated { .. } => "on_schedule_contact_updated",
            Self::NoteReactionChanged { .. } => "on_note_reaction_changed",
            Self::ActionPressed { .. } => "action",
        }
    }
}

/// Keys of tasks that the host runs for declared work.
pub(crate) fn work_task_key(kind: &str, name: &str, channel: Option<&ChannelId>) -> String {
    match channel {
        Some(channel) => format!("{}{kind}/{name}", channel_key_prefix(channel)),
        None => format!("w//{kind}/{name}"),
    }
}

/// A piece of declared work with its scope.
pub(crate) fn scope_name(name: &str, channel: Option<&ChannelId>) -> String {
    match channel {
        Some(channel) => format!("{}:{channel}/{name}", channel.as_str().len()),
        None => format!("/{name}"),
    }
}

/// What the keys of a channel's declared work begin with. Channel ids may hold any character, so the length tells where they end.
pub(crate) fn channel_key_prefix(channel: &ChannelId) -> String {
    format!("w/{}:{channel}/", channel.as_str().len())
}

/// Where the cursor of a declared sync is kept in the connection's state.
pub(crate) fn cursor_key(name: &str, channel: Option<&ChannelId>) -> String {
    format!("h/{}", work_task_key("cursor", name, channel))
}

/// What is asked to look for changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LookScope<'a> {
    /// All declared work of the connection.
    Connection,
    /// The declared work of a channel.
    Channel(&'a ChannelId),
    /// One declared sync.
    Sync { name: &'a str, channel: Option<&'a ChannelId> },
}

impl LookScope<'_> {
    /// Where the last request is kept in the connection's state. A walk that was under way when the request came tells
    /// from the version of the value that it has to begin once more.
    pub(crate) fn key(self) -> String {
        match self {
            Self::Connection => "h/look".to_owned(),
            Self::Channel(channel) => format!("h/{}look", channel_key_prefix(channel)),
            Self::Sync { name, channel } => format!("h/{}", work_task_key("look", name, channel)),
        }
    }
}

/// A request to look for changes now.
pub(crate) fn look_now(connection: ConnectionId, scope: LookScope<'_>) -> [Write; 2] {
    let key_prefix = match scope {
        LookScope::Connection => "w/".to_owned(),
        LookScope::Channel(channel) => channel_key_prefix(channel),
        LookScope::Sync { name, channel } => work_task_key("sync", name, channel),
    };
    let value = Bytes::new();
    [Write::PutState { connection, key: scope.key(), value }, Write::HastenTasks { connection, key_prefix }]
}

/// Where a sync keeps, in the connection's state, the last request to look for changes that its walk began after.
pub(crate) fn began_key(name: &str, channel: Option<&ChannelId>) -> String {
    format!("h/{}", work_task_key("began", name, channel))
}

/// Where a sync keeps, in the connection's state, what is known of its walk while one is under way.
pub(crate) fn walk_key(name: &str, channel: Option<&ChannelId>) -> String {
    format!("h/{}", work_task_key("walk", name, channel))
}

/// Where the items are kept, in the connection's state, that a sync's walk has met, or that others have saved while it was
/// under way.
pub(crate) fn met_prefix(name: &str, channel: Option<&ChannelId>) -> String {
    format!("h/{}/", work_task_key("met", name, channel))
}

/// Where a sync of the whole connection keeps, in the connection's state, whether it has ended a walk:
/// absent before its first, false while it makes up for what it missed.
pub(crate) fn walked_key(name: &str) -> String {
    format!("h/{}", work_task_key("walked", name, None))
}

/// The key of a declared drain.
pub(crate) fn declared_drain_key(namespace: &str, name: &str, channel: Option<&ChannelId>) -> String {
    let scope = channel.map(|channel| format!(":{channel}")).unwrap_or_default();
    own_key(namespace, &format!("{name}{scope}"))
}

/// Where the changes of a link that were not delivered are kept in the connection's state, for its user to retry or
/// discard.
pub(crate) fn unsent_key(link: LinkId) -> String {
    format!("h/unsent/{link}")
}

/// The task of a drain.
pub(crate) fn drain_task_key(key: &str) -> String {
    format!("d/{key}")
}

/// Where the ids of a drain are kept in the connection's state.
pub(crate) fn drain_mark_prefix(key: &str) -> String {
    format!("d/{key}\u{1}")
}
