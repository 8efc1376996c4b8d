use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::Resolver;
use crate::declaration::{Declaration, Hooks};
use crate::engine::{
    ChannelRow, ChannelSync, ConnectionRow, Engine, EngineResult, FeedEntry, FeedKind, KeyedTask, SyncState,
    TaskPriority, TaskRow, Write,
};
use crate::error::{Error, Result};
use crate::id::{ChannelId, ConnectionId, TaskId};
use crate::model::Channel;
use crate::registry::{DeclaredWork, RegisteredConnector};
use crate::runtime::payload::{HookTask, TaskPayload, work_task_key};
use crate::runtime::subscriptions::subscription_task;
use crate::work::Work;

/// How often the host looks for channels that are new or gone.
const CHANNELS_INTERVAL: SignedDuration = SignedDuration::from_hours(6);

/// The walk of a connector that syncs by tasks of its own, and ends it with `channel_sync_completed`.
pub(crate) const OWN_WALK: &str = "*";

/// What enabling a channel, or making up for what it missed, writes (R3.4): its row, the hook, and
/// the tasks of its declared work.
pub(crate) fn enable_writes(
    engine: &dyn Engine,
    connector: &RegisteredConnector,
    before: &ChannelRow,
    stored: Option<i64>,
    recovering: bool,
) -> Vec<Write> {
    let (connection, channel) = (before.connection, &before.channel.id);
    let mut row = before.clone();
    row.enabled = true;
    row.recovering = recovering;
    row.walking.clear();
    let mut tasks = Vec::new();
    for declared in connector.work().iter().filter(|declared| declared.entry.concerns(channel)) {
        if declared.is_sync() {
            row.walking.push(declared.name.clone());
        }
        tasks.extend(work_task(engine, connection, declared, Some(channel), TaskPriority::Backfill));
    }
    if connector.hooks.has(Hooks::CHANNEL_ENABLED) {
        if row.walking.is_empty() {
            row.walking.push(OWN_WALK.to_owned());
        }
        let hook = TaskPayload::Hook(HookTask::ChannelEnabled { channel: channel.clone(), recovering });
        if let Ok(task) = hook.task(TaskId::from_number(engine.take_ids(1)), connection) {
            tasks.push(Write::PutTask {
                task: TaskRow { channel: Some(channel.clone()), ..task },
                keyed: KeyedTask::Replace,
            });
        }
    }
    let state = if row.walking.is_empty() { SyncState::Synced } else { SyncState::Queued };
    row.sync = ChannelSync { state, ..ChannelSync::default() };
    let feed = Write::Feed(FeedEntry::new(FeedKind::Channel, connection, channel));
    let put = Write::PutChannel { row: Box::new(row), expect: stored };
    [put, feed].into_iter().chain(tasks).collect()
}

/// The task of a piece of declared work; none for work that waits for something else than time.
pub(crate) fn work_task(
    engine: &dyn Engine,
    connection: ConnectionId,
    declared: &DeclaredWork,
    channel: Option<&ChannelId>,
    priority: TaskPriority,
) -> Option<Write> {
    let name = declared.name.as_str();
    let (payload, kind, every) = match declared.work {
        Work::Sync { .. } => {
            (TaskPayload::Sync { name: name.to_owned().into(), channel: channel.cloned() }, "sync", None)
        }
        Work::Every { interval } => {
            (TaskPayload::Every { name: name.to_owned().into(), channel: channel.cloned() }, "every", Some(interval))
        }
        // One of the whole app is registered once, by a person.
        Work::Webhook(declared) if declared.tenant.is_none() => {
            let id = TaskId::from_number(engine.take_ids(1));
            return subscription_task(id, connection, name, channel).ok();
        }
        Work::Drain { .. } | Work::Webhook(_) => return None,
    };
    let task = payload.task(TaskId::from_number(engine.take_ids(1)), connection).ok()?;
    let task = TaskRow {
        channel: channel.cloned(),
        key: Some(work_task_key(kind, name, channel)),
        priority,
        every_ms: every.map(|every| i64::try_from(every.as_millis()).unwrap_or(i64::MAX)),
        ..task
    };
    Some(Write::PutTask { task, keyed: KeyedTask::Replace })
}

/// The task that looks for channels which are new or gone; none for a connector whose channels stay as they are.
pub(crate) fn channels_task(
    connector: &RegisteredConnector,
    id: TaskId,
    connection: ConnectionId,
    now: Timestamp,
) -> Option<Write> {
    if !connector.hooks.has(Hooks::GET_CHANNELS) || connector.declaration.channels.fixed {
        return None;
    }
    let task = TaskPayload::RefreshChannels.task(id, connection).ok()?;
    let task = TaskRow {
        key: Some("w//channels".to_owned()),
        every_ms: i64::try_from(CHANNELS_INTERVAL.as_millis()).ok(),
        run_at: now.checked_add(CHANNELS_INTERVAL).ok(),
        ..task
    };
    Some(Write::PutTask { task, keyed: KeyedTask::Replace })
}

/// A channel that was just found.
pub(crate) fn new_channel(connection: ConnectionId, channel: &Channel, parent: Option<&ChannelId>) -> ChannelRow {
    ChannelRow {
        connection,
        channel: Channel { children: Vec::new(), ..channel.clone() },
        parent: parent.cloned(),
        enabled: false,
        observe_only: false,
        walking: Vec::new(),
        recovering: false,
        sync: ChannelSync::default(),
        version: 0,
    }
}

/// A tree of channels as a list, each with the one that it is within.
pub(crate) fn with_parents(channels: &[Channel]) -> Vec<(Option<ChannelId>, &Channel)> {
    let mut all = Vec::new();
    let mut left: Vec<_> = channels.iter().rev().map(|channel| (None, channel)).collect();
    while let Some((parent, channel)) = left.pop() {
        left.extend(channel.children.iter().rev().map(|child| (Some(channel.id.clone()), child)));
        all.push((parent, channel));
    }
    all
}

/// Refuses channels that a connector cannot have: what gave them, a hook or a call, is named.
pub(crate) fn check_channels(declaration: &Declaration, channels: &[Channel], by: &str) -> Result<()> {
    let (id, all) = (declaration.id, with_parents(channels));
    if declaration.channels.single && all.len() != 1 {
        let message =
            format!("`{id}` is declared with `single_channel`, and `{by}` gave {} channels in place of one", all.len());
        return Err(Error::bug(message));
    }
    let mut ids = HashSet::new();
    match all.into_iter().find(|(_, channel)| !ids.insert(&channel.id)) {
        Some((_, twice)) => {
            let message = format!("`{by}` of `{id}` gave the channel `{}` twice: give each channel once", twice.id);
            Err(Error::bug(message))
        }
        None => Ok(()),
    }
}

impl Resolver<'_> {
    /// The channels that there are now (R8.2). One that is gone and not enabled disappears; an enabled one stays until its user disables it.
    pub(super) async fn channels(&mut self, channels: &[Channel]) -> EngineResult<()> {
        let connection = self.about.connection;
        let stored = self.about.engine.channels(connection).await?;
        let first_listing = stored.is_empty();
        let mut stored: HashMap<_, _> = stored.into_iter().map(|row| (row.channel.id.clone(), row)).collect();
        for (parent, channel) in with_parents(channels) {
            let found = new_channel(connection, channel, parent.as_ref());
            match stored.remove(&channel.id) {
                Some(before) => {
                    let row = ChannelRow { channel: found.channel, parent: found.parent, ..before.clone() };
                    if row != before {
                        let expect = Some(before.version);
                        self.writes.push(Write::PutChannel { row: Box::new(row), expect });
                        self.writes.push(Write::Feed(FeedEntry::new(FeedKind::Channel, connection, &channel.id)));
                    }
                }
                None => {
                    let by_itself = if first_listing { false } else { self.about.auto_enable };
                    if channel.enabled_by_default.unwrap_or(by_itself) {
                        self.writes.extend(enable_writes(
                            &**self.about.engine,
                            self.about.connector,
                            &found,
                            None,
                            false,
                        ));
                    } else {
                        self.writes.push(Write::PutChannel { row: Box::new(found), expect: None });
                    }
                }
            }
        }
        for gone in stored.into_values().filter(|row| !row.enabled) {
            self.writes.push(Write::DeleteChannel { connection, channel: gone.channel.id });
        }
        Ok(())
    }

    /// Takes the row as it is now, whatever syncs made of it while the channel was being disabled (R3.6).
    pub(super) async fn channel_disabled(&mut self, channel: &ChannelId) -> EngineResult<()> {
        let connection = self.about.connection;
        let Some(mut row) = self.about.engine.channel(connection, channel.clone()).await? else { return Ok(()) };
        let expect = Some(row.version);
        row.enabled = false;
        row.walking.clear();
        row.sync = ChannelSync { state: SyncState::Off, ..ChannelSync::default() };
        self.writes.push(Write::PutChannel { row: Box::new(row), expect });
        self.writes.push(Write::Feed(FeedEntry::new(FeedKind::Channel, connection, channel)));
        Ok(())
    }
}

/// Ends a walk of a channel. True if it was the last one, so that the channel is synced.
pub(crate) fn end_walk(row: &mut ChannelRow, name: &str, now: Timestamp) -> bool {
    row.walking.retain(|walking| walking != name);
    if !row.walking.is_empty() || matches!(row.sync.state, SyncState::Off | SyncState::Synced) {
        return false;
    }
    row.recovering = false;
    row.sync.state = SyncState::Synced;
    row.sync.completed = Some(now);
    row.sync.error = None;
    row.sync.failing.clear();
    true
}

/// Whether newly discovered channels of a connection are enabled.
pub(crate) fn auto_enables(connection: &ConnectionRow, connector: &RegisteredConnector) -> bool {
    connection.auto_enable_new_channels.unwrap_or(connector.declaration.channels.auto_enable_new)
}
