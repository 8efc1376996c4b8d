use crate::engine::{ChannelRow, Engine, TaskPriority, Write};
use crate::id::ConnectionId;
use crate::records::{enable_writes, work_task};
use crate::registry::RegisteredConnector;
use crate::runtime::payload::{cursor_key, walked_key};
use crate::value;

/// Whether a history limit lets more through than another.
pub(super) fn reaches_further(new: Option<u32>, old: Option<u32>) -> bool {
    new.unwrap_or(u32::MAX) > old.unwrap_or(u32::MAX)
}

/// Walks everything again from its beginning, as a recovery: what a shorter history has left out is
/// fetched, and nothing is news (R8.5, R8.7).
pub(super) fn walk_again(
    engine: &dyn Engine,
    connector: &RegisteredConnector,
    connection: ConnectionId,
    channels: &[ChannelRow],
) -> Vec<Write> {
    let syncs = || connector.work().iter().filter(|declared| declared.is_sync());
    let mut writes = Vec::new();
    for row in channels.iter().filter(|row| row.enabled) {
        for sync in syncs().filter(|sync| sync.entry.concerns(&row.channel.id)) {
            writes.push(Write::DeleteState { connection, key: cursor_key(&sync.name, Some(&row.channel.id)) });
        }
        writes.extend(enable_writes(engine, connector, row, Some(row.version), true));
    }
    for sync in syncs().filter(|sync| !sync.entry.per_channel) {
        writes.push(Write::DeleteState { connection, key: cursor_key(&sync.name, None) });
        if let Ok(walked) = value::to_bytes(&false) {
            writes.push(Write::PutState { connection, key: walked_key(&sync.name), value: walked.into() });
        }
        writes.extend(work_task(engine, connection, sync, None, TaskPriority::Backfill));
    }
    writes
}
