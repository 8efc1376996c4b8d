//! Hooks: what each is called with, and how a write-back is marked while it is sent (R9).

use std::sync::Arc;

use jiff::SignedDuration;

use super::syncs::succeed;
use crate::context::Dispatch;
use crate::dispatch::{HookCall, HookReply, Input, ToolHook};
use crate::engine::{After, CommitError, Completion, LinkQuery, LinkRow, NoteRow, TaskRow, Write, WriteSet};
use crate::error::{Error, Result};
use crate::id::{ConnectionId, LinkId, NoteId, ThreadId, UserId};
use crate::model::{Actor, Channel, Delivery, Link, Note, Schedule, SyncContext, Thread};
use crate::records::{OWN_WALK, RecordIntent, check_channels, draft_key};
use crate::runtime::Shared;
use crate::runtime::payload::{Creates, HookTask, TaskPayload};
use crate::value;

impl Shared {
    /// The channels that the service has now (R3.3).
    pub(in crate::runtime) async fn list_channels(self: &Arc<Self>, dispatch: &Arc<Dispatch>) -> Result<Vec<Channel>> {
        let account = dispatch.connection.row.account.clone();
        match self.call_hook(dispatch, HookCall::GetChannels { account }).await? {
            HookReply::Channels(channels) => {
                check_channels(dispatch.connection.connector.declaration, &channels, "get_channels")?;
                Ok(channels)
            }
            _ => Ok(Vec::new()),
        }
    }

    pub(in crate::runtime) async fn call_hook(
        self: &Arc<Self>,
        dispatch: &Arc<Dispatch>,
        call: HookCall,
    ) -> Result<HookReply> {
        let connector = &dispatch.connection.connector;
        let (_, hook) = call.hook();
        let around = match &call {
            HookCall::Activate { .. } => Some((ToolHook::PreActivate, ToolHook::PostActivate)),
            HookCall::Upgrade { .. } => Some((ToolHook::PreUpgrade, ToolHook::PostUpgrade)),
            HookCall::Deactivate => Some((ToolHook::PreDeactivate, ToolHook::PostDeactivate)),
            _ => None,
        };
        if let Some((before, _)) = around {
            for tool in connector.tools() {
                (tool.hooks.run)(dispatch, before).await?;
            }
        }
        let reply = if connector.hooks.has(hook) {
            (connector.registration.run_hook)(dispatch, call).await?
        } else {
            HookReply::Done
        };
        if let Some((_, after)) = around {
            for tool in connector.tools.iter().rev() {
                (tool.hooks.run)(dispatch, after).await?;
            }
        }
        Ok(reply)
    }

    /// Calls a hook with what its task names, as it is now.
    pub(super) async fn hook(self: &Arc<Self>, dispatch: &Arc<Dispatch>, hook: HookTask) -> Result<()> {
        let connection = &dispatch.connection;
        let actor = || connection.row.identity.clone().unwrap_or_else(|| acting(&connection.row.owner));
        let mut written_back = None;
        let sent = Box::new(hook.clone());
        let call = match hook {
            HookTask::Activate { authorization } => HookCall::Activate { authorization, actor: actor() },
            HookTask::Upgrade { from } => {
                self.call_hook(dispatch, HookCall::Upgrade { from }).await?;
                return self.redeclare(dispatch).await;
            }
            HookTask::OptionsChanged { old, new } => HookCall::OptionsChanged {
                old: connection.completed(self.fitted_options(connection.row.id, &old, &connection.connector)?),
                new: connection.completed(self.fitted_options(connection.row.id, &new, &connection.connector)?),
            },
            HookTask::ChannelEnabled { channel, recovering } => {
                let Some(row) = connection.channels.get(&channel) else { return Ok(()) };
                self.begin_walk(dispatch, &channel).await?;
                let sync = SyncContext {
                    earliest: connection.row.history_days.and_then(|days| {
                        self.ports.clock.now().checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok()
                    }),
                    recovering,
                    observe_only: row.observe_only,
                };
                self.call_hook(dispatch, HookCall::ChannelEnabled { channel: row.channel.clone(), sync }).await?;
                let now = self.ports.clock.now();
                return self.change_channel(dispatch, &channel, |row| succeed(row, OWN_WALK, now)).await;
            }
            HookTask::ChannelDisabled { channel } => HookCall::ChannelDisabled { channel },
            HookTask::LinkUpdated { link, changes, .. } => {
                let Some(found) = self.own_sent_link(dispatch, link).await? else { return Ok(()) };
                written_back = Some(link);
                HookCall::LinkUpdated { link: found, changes }
            }
            HookTask::CreateLink { link, draft } => {
                if self.own_link(dispatch, link).await?.is_none() {
                    // Its user has discarded it.
                    return Ok(());
                }
                let reply = self.call_hook(dispatch, HookCall::CreateLink { draft }).await?;
                let created =
                    if let HookReply::Created(created) = reply { created.map(|created| *created) } else { None };
                dispatch.unit().records.extend(RecordIntent::composed(link, created));
                return Ok(());
            }
            HookTask::NoteCreated { note } | HookTask::NoteUpdated { note } => {
                let created = matches!(hook, HookTask::NoteCreated { .. });
                let Some((found, thread)) = self.own_note(dispatch, note).await? else { return Ok(()) };
                if thread.links.iter().any(|link| link.id == found.link && link.is_draft()) {
                    return Err(Error::rejected("what it replies to is not at the service"));
                }
                let sent = found.content.clone();
                let call = if created || found.key.is_none() {
                    HookCall::NoteCreated { note: found, thread }
                } else {
                    HookCall::NoteUpdated { note: found, thread }
                };
                if let HookReply::WriteBack(result) = self.call_hook(dispatch, call).await? {
                    dispatch.unit().records.push(RecordIntent::Delivered { note, sent, result: Box::new(result) });
                }
                return Ok(());
            }
            HookTask::ThreadRead { thread, unread } => {
                let Some(thread) = self.own_thread(dispatch, thread).await? else { return Ok(()) };
                HookCall::ThreadRead { thread, actor: actor(), unread }
            }
            HookTask::ThreadToDo { thread, todo, date } => {
                let Some(thread) = self.own_thread(dispatch, thread).await? else { return Ok(()) };
                HookCall::ThreadToDo { thread, actor: actor(), todo, date }
            }
            HookTask::ContactsChanged { link, changes, .. } => {
                let Some(link) = self.own_sent_link(dispatch, link).await? else { return Ok(()) };
                written_back = Some(link.id);
                HookCall::ContactsChanged { thread: Thread::new(link.thread, vec![link]), changes }
            }
            HookTask::ScheduleContactUpdated { link, schedule, contact, attendance, answered, .. } => {
                let Some(link) = self.own_sent_link(dispatch, link).await? else { return Ok(()) };
                written_back = Some(link.id);
                // A sync may have brought the service's own schedule of an occurrence that had none, or none.
                let occurrence = answered.as_ref().and_then(|answered| answered.occurrence);
                let is_same = |known: &&Schedule| {
                    known.key == schedule || (occurrence.is_some() && known.occurrence == occurrence)
                };
                let known = link.schedules.iter().find(is_same).cloned();
                let Some(schedule) = known.or(answered.map(|answered| *answered)) else { return Ok(()) };
                let thread = Thread::new(link.thread, vec![link]);
                HookCall::ScheduleContactUpdated { thread, schedule, contact, attendance, actor: actor() }
            }
            HookTask::ActionPressed { link, token, action } => {
                let bound = dispatch.bound(&token).await?;
                let input = value::to_bytes(&action)
                    .map_err(|error| Error::bug("the action cannot be stored").with_source(error))?;
                dispatch.call(&bound.namespace, &bound.name, &bound.args, Input::Encoded(input.into())).await?;
                dispatch.unit().records.push(RecordIntent::WrittenBack { link, sent });
                return Ok(());
            }
            HookTask::NoteReactionChanged { note, emoji, added } => {
                let Some((note, thread)) = self.own_note(dispatch, note).await? else { return Ok(()) };
                written_back = Some(note.link);
                HookCall::NoteReactionChanged { note, thread, actor: actor(), emoji, added }
            }
        };
        self.call_hook(dispatch, call).await?;
        dispatch.unit().records.extend(written_back.map(|link| RecordIntent::WrittenBack { link, sent }));
        Ok(())
    }

    async fn own_link(&self, dispatch: &Dispatch, link: LinkId) -> Result<Option<Link>> {
        let row = self.ports.engine.link(link).await?;
        Ok(row.filter(|row| row.connection == dispatch.connection_id()).map(|row| row.link))
    }

    /// A link that the service has: a change of a draft goes out with it.
    async fn own_sent_link(&self, dispatch: &Dispatch, link: LinkId) -> Result<Option<Link>> {
        Ok(self.own_link(dispatch, link).await?.filter(|link| !link.is_draft()))
    }

    /// A thread as the connection sees it.
    async fn own_thread(&self, dispatch: &Dispatch, thread: ThreadId) -> Result<Option<Thread>> {
        let id = self.ports.engine.current_thread(thread).await?;
        let query = LinkQuery {
            connections: Some(vec![dispatch.connection_id()]),
            thread: Some(id),
            archived: true,
            limit: 1000,
            ..Default::default()
        };
        let mut links: Vec<_> = self.ports.engine.links(query).await?.into_iter().map(|row| row.link).collect();
        links.sort_by_key(|link| link.occurred_at);
        Ok((!links.is_empty()).then(|| Thread::new(id, links)))
    }

    async fn own_note(&self, dispatch: &Dispatch, note: NoteId) -> Result<Option<(Note, Thread)>> {
        let Some(row) = self.ports.engine.note(note).await?.filter(|row| row.connection == dispatch.connection_id())
        else {
            return Ok(None);
        };
        let thread = self.own_thread(dispatch, row.note.thread).await?;
        Ok(thread.map(|thread| (row.note, thread)))
    }

    /// Looks whether what a task creates at the service may be sent. False: it has arrived, or it was being sent when the
    /// host stopped, and whether it arrived is unknown.
    pub(super) async fn begin_sending(&self, payload: &TaskPayload, row: &TaskRow) -> Result<bool> {
        let Some(creates) = payload.creates() else { return Ok(true) };
        let connection = Some(row.connection);
        let writes = match self.delivery_of(creates).await? {
            Some(sent) => match sent.delivery {
                // A sync brought it between two attempts: the one that seemed to fail had arrived.
                Some(Delivery::Delivered) => Some(Vec::new()),
                // An attempt failed behind what it sent: the next one goes on there (L40).
                Some(Delivery::Sending) if self.kept.has_writes(&Self::put_off_of(row), self.ports.clock.now()) => None,
                Some(Delivery::Sending) => {
                    let mut writes = vec![sent.with(Delivery::Unknown)];
                    writes.extend(self.written_back_feed(payload, row));
                    writes.extend(self.look_again(row));
                    Some(writes)
                }
                _ => None,
            },
            None => None,
        };
        if let Some(writes) = writes {
            let completes = Some(Completion { task: row.id, revision: row.revision, then: After::Delete });
            return match self
                .ports
                .engine
                .commit(WriteSet { connection, completes, writes, ..WriteSet::default() })
                .await
            {
                Ok(_) | Err(CommitError::TaskGone) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        if let Creates::Link(link) = creates {
            // Should the answer be lost, a sync that brings the item finds by this which one it is.
            let value = value::to_bytes(&true)
                .map_err(|error| Error::bug("the mark of a draft cannot be stored").with_source(error))?;
            let mark = Write::PutState { connection: row.connection, key: draft_key(link), value: value.into() };
            match self.ports.engine.commit(WriteSet { connection, ..WriteSet::of([mark]) }).await {
                Ok(_) | Err(CommitError::RecordConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Marks what a task creates as being sent, before the first request that may not be repeated: after a crash nobody
    /// believes that it was not sent (R9.4). A task whose requests may all be repeated runs again after a crash.
    pub(crate) async fn mark_sending(&self, creates: Creates, connection: ConnectionId) -> Result<()> {
        let Some(sent) = self.delivery_of(creates).await? else { return Ok(()) };
        let writes = [sent.with(Delivery::Sending)];
        match self.ports.engine.commit(WriteSet { connection: Some(connection), ..WriteSet::of(writes) }).await {
            Ok(_) | Err(CommitError::RecordConflict) => Ok(()),
            Err(error) => Err(Error::transient("what is to be sent cannot be marked in the store").with_source(error)),
        }
    }

    /// The row whose delivery a user sees; `None` if it is gone.
    async fn delivery_of(&self, creates: Creates) -> Result<Option<Sent>> {
        Ok(match creates {
            Creates::Note(note) => self
                .ports
                .engine
                .note(note)
                .await?
                .map(|row| Sent { delivery: row.note.delivery.clone(), row: SentRow::Note(Box::new(row)) }),
            Creates::Link(link) => self
                .ports
                .engine
                .link(link)
                .await?
                .map(|row| Sent { delivery: row.link.delivery.clone(), row: SentRow::Link(Box::new(row)) }),
        })
    }
}

/// The row of what a user sends, and whether it has arrived.
struct Sent {
    delivery: Option<Delivery>,
    row: SentRow,
}

enum SentRow {
    Note(Box<NoteRow>),
    Link(Box<LinkRow>),
}

impl Sent {
    /// The write of the row with another delivery.
    fn with(self, delivery: Delivery) -> Write {
        match self.row {
            SentRow::Note(mut row) => {
                let expect = Some(row.version);
                row.note.delivery = Some(delivery);
                Write::PutNote { row, expect }
            }
            SentRow::Link(mut row) => {
                let expect = Some(row.version);
                row.link.delivery = Some(delivery);
                Write::PutLink { row, expect }
            }
        }
    }
}

/// The owner of a connection whose account at the service is not known.
pub(crate) fn acting(user: &UserId) -> Actor {
    let mut actor = Actor::new(user.as_str());
    actor.user = Some(user.clone());
    actor
}
