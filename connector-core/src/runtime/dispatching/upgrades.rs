//! What a new version of a connector changes about its declared work.

use std::collections::HashSet;

use crate::context::Dispatch;
use crate::engine::{SyncState, TaskPriority, TaskQuery, TaskRow, Write};
use crate::error::Result;
use crate::id::{ChannelId, TaskId};
use crate::records::{OWN_WALK, channels_task, end_walk, work_task};
use crate::registry::{DeclaredWork, RegisteredConnector};
use crate::runtime::Shared;
use crate::runtime::payload::TaskPayload;
use crate::value;
use crate::work::Work;

/// Tasks that are looked at at once.
const PAGE: usize = 500;

/// A piece of declared work, by its name of now, and its channel.
type Scope = (String, Option<ChannelId>);

/// What a task of declared work is to the version that runs now.
enum Known {
    /// It does this.
    As(Scope),
    /// It looks for channels.
    Channels,
    /// It is declared otherwise now, or not any more.
    Obsolete,
    /// It is none, or sees to its end itself.
    Other,
}

impl Shared {
    /// Begins declared work that the connector did not have before, as for a channel that is enabled, and ends what
    /// it does not have any more. What it has still goes on as it is.
    pub(super) async fn redeclare(&self, dispatch: &Dispatch) -> Result<()> {
        let (engine, id, now) = (&self.ports.engine, dispatch.connection_id(), self.ports.clock.now());
        let connector = &dispatch.connection.connector;
        let (mut there, mut looks_for_channels) = (HashSet::new(), false);
        let mut writes = Vec::new();
        let mut query = TaskQuery { connection: Some(id), ..TaskQuery::all(PAGE) };
        loop {
            let tasks = engine.tasks(query.clone()).await?;
            for task in &tasks {
                match known(connector, task) {
                    Known::As(scope) => {
                        there.insert(scope);
                    }
                    Known::Channels => looks_for_channels = true,
                    Known::Obsolete => writes.push(Write::DeleteTask { id: task.id }),
                    Known::Other => {}
                }
            }
            query.after = tasks.last().map(|task| task.id);
            if tasks.len() < PAGE {
                break;
            }
        }
        let mut begin = |declared: &DeclaredWork, channel: Option<&ChannelId>| {
            if !there.contains(&(declared.name.clone(), channel.cloned())) {
                writes.extend(work_task(&**engine, id, declared, channel, TaskPriority::Backfill));
            }
        };
        let enabled: Vec<_> = engine.channels(id).await?.into_iter().filter(|row| row.enabled).collect();
        for declared in connector.work() {
            if declared.entry.per_channel {
                let concerned = enabled.iter().filter(|row| declared.entry.concerns(&row.channel.id));
                concerned.for_each(|row| begin(declared, Some(&row.channel.id)));
            } else {
                begin(declared, None);
            }
        }
        if !looks_for_channels {
            writes.extend(channels_task(connector, TaskId::from_number(engine.take_ids(1)), id, now));
        }
        for row in &enabled {
            let channel = &row.channel.id;
            let syncs = connector.work().iter().filter(|sync| sync.is_sync() && sync.entry.concerns(channel));
            let names = syncs.map(|sync| sync.name.clone());
            let new: Vec<_> = names.filter(|name| !there.contains(&(name.clone(), Some(channel.clone())))).collect();
            self.change_channel(dispatch, channel, |row| {
                for name in row.walking.clone() {
                    let declared = |name| {
                        let found = connector.work_named(name);
                        found.is_some_and(|sync| sync.is_sync() && sync.entry.concerns(channel))
                    };
                    if name != OWN_WALK && !declared(&name) {
                        row.sync.failing.retain(|failing| *failing != name);
                        end_walk(row, &name, now);
                    }
                }
                for name in &new {
                    if !row.walking.iter().any(|walking| walking == name) {
                        row.walking.push(name.clone());
                    }
                    if row.sync.state == SyncState::Synced {
                        row.sync.state = SyncState::Queued;
                    }
                }
            })
            .await?;
        }
        let mut unit = dispatch.unit();
        writes.into_iter().for_each(|write| unit.push(write));
        Ok(())
    }
}

fn known(connector: &RegisteredConnector, task: &TaskRow) -> Known {
    if !task.key.as_ref().is_some_and(|key| key.starts_with("w/")) {
        return Known::Other;
    }
    let Ok(payload) = value::from_bytes(&task.payload) else { return Known::Other };
    let (name, channel) = match &payload {
        TaskPayload::Sync { name, channel }
        | TaskPayload::Every { name, channel }
        | TaskPayload::Subscription { name, channel } => (name, channel),
        TaskPayload::RefreshChannels => return Known::Channels,
        _ => return Known::Other,
    };
    let same = connector.work_named(name).filter(|declared| {
        let work = match (&payload, declared.work) {
            (TaskPayload::Every { .. }, Work::Every { interval }) => {
                task.every_ms.is_some_and(|every| u128::try_from(every) == Ok(interval.as_millis()))
            }
            (TaskPayload::Sync { .. }, Work::Sync { .. }) => true,
            (TaskPayload::Subscription { .. }, Work::Webhook(_)) => true,
            _ => false,
        };
        work && channel.as_ref().map_or(!declared.entry.per_channel, |channel| declared.entry.concerns(channel))
    });
    match same {
        Some(declared) => Known::As((declared.name.clone(), channel.clone())),
        // What it registered, it deletes.
        None if matches!(payload, TaskPayload::Subscription { .. }) => Known::Other,
        None => Known::Obsolete,
    }
}
