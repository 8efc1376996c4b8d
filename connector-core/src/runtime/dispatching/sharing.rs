//! What follows for other connections from a credential that is given to one.

use std::sync::Arc;

use crate::context::Dispatch;
use crate::engine::{
    CommitError, ConnectionRow, ConnectionStatus, Engine, FeedEntry, FeedKind, TaskPriority, Write, WriteSet,
};
use crate::error::{Error, Result};
use crate::records::{enable_writes, work_task};
use crate::registry::RegisteredConnector;
use crate::runtime::Shared;
use crate::runtime::payload::walked_key;
use crate::value;

/// Connections that are looked through at once.
const PAGE: usize = 500;

impl Shared {
    /// Makes those connections of the workspace active again that waited for the credential that was given to this one
    /// (R1.4). Doing it again changes nothing more.
    pub(super) async fn share_credential(self: &Arc<Self>, dispatch: &Arc<Dispatch>) -> Result<()> {
        let (engine, connection) = (&*self.ports.engine, &dispatch.connection);
        let authorized = &connection.row;
        let mut after = None;
        loop {
            let rows = engine.connections(None, Some(authorized.connector.clone()), after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id);
            for listed in rows {
                let id = listed.id;
                let waits = |row: &Arc<ConnectionRow>| {
                    row.status == ConnectionStatus::NeedsReauth && row.credential == authorized.credential
                };
                let mut current = Some(listed);
                while let Some(before) = current.take().filter(waits) {
                    let row = ConnectionRow {
                        status: ConnectionStatus::Active,
                        status_reason: None,
                        ..ConnectionRow::clone(&before)
                    };
                    let mut writes = recovery(engine, &row, &connection.connector).await?;
                    writes.push(Write::PutConnection { row: Box::new(row), expect: Some(before.version) });
                    match engine.commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await {
                        Ok(_) => {}
                        // It was changed meanwhile.
                        Err(CommitError::RecordConflict) => current = engine.connection(id).await?,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    }
}

/// What lets a connection make up for what it missed (R3.4, R3.7).
pub(crate) async fn recovery(
    engine: &dyn Engine,
    row: &ConnectionRow,
    connector: &RegisteredConnector,
) -> Result<Vec<Write>> {
    let id = row.id;
    let mut writes = vec![Write::Feed(FeedEntry::new(FeedKind::Connection, id, id))];
    for channel in engine.channels(id).await?.into_iter().filter(|channel| channel.enabled) {
        writes.extend(enable_writes(engine, connector, &channel, Some(channel.version), true));
    }
    for sync in connector.work().iter().filter(|declared| declared.is_sync() && !declared.entry.per_channel) {
        let key = walked_key(&sync.name);
        // One that has not ended its first walk goes on with that.
        if engine.state(id, vec![key.clone()]).await?.pop().flatten().is_some() {
            let value =
                value::to_bytes(&false).map_err(|error| Error::bug("the walk cannot be stored").with_source(error))?;
            writes.push(Write::PutState { connection: id, key, value: value.into() });
        }
        writes.extend(work_task(engine, id, sync, None, TaskPriority::Backfill));
    }
    Ok(writes)
}
