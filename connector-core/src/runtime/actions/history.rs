use crate::engine::{ChannelRow, Engine, TaskPriority, Write};
use crate::id::ConnectionId;
use crate::records::{enable_writes, work_task};
use crate::registry::RegisteredConnector;
use crate::runtime::payload::{cursor_key, walked_key};
use crate::value;
use crate::work::Work;

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
    let syncs = || connector.work().filter(|entry| matches!(entry.work, Some(Work::Sync { .. })));
    let mut writes = Vec::new();
    for row in channels.iter().filter(|row| row.enabled) {
        for entry in syncs().filter(|entry| entry.concerns(&row.channel.id)) {
            writes.push(Write::DeleteState { connection, key: cursor_key(entry.name, Some(&row.channel.id)) });
        }
        writes.extend(enable_writes(engine, connector, row, Some(row.version), true));
    }
    for entry in syncs().filter(|entry| !entry.per_channel) {
        writes.push(Write::DeleteState { connection, key: cursor_key(entry.name, None) });
        if let Ok(walked) = value::to_bytes(&false) {
            writes.push(Write::PutState { connection, key: walked_key(entry.name), value: walked.into() });
        }
        writes.extend(work_task(engine, connection, entry.name, entry.work, None, TaskPriority::Backfill));
    }
    writes
}
