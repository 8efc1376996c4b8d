use std::sync::Arc;

use super::ActionError;
use crate::engine::{CommitError, ConnectionRow, ConnectionStatus, KeyedTask, Write, WriteSet};
use crate::id::{ConnectorId, TaskId};
use crate::runtime::Runtime;
use crate::runtime::payload::{HookTask, TaskPayload};

impl Runtime {
    /// Connections whose connector has another version now get its `upgrade`, once each (R3.1).
    pub async fn upgrade_connections(&self) -> Result<usize, ActionError> {
        let (shared, mut after, mut upgraded) = (&self.shared, None, 0);
        for connector in shared.registry.iter() {
            let (id, version) = (ConnectorId::from_static(connector.declaration.id), connector.declaration.version);
            let setting = format!("version/{id}");
            let mut missed = false;
            // The version that all connections have: then there is nothing to look for.
            if shared.ports.engine.setting(setting.clone()).await?.is_some_and(|known| known == version.as_bytes()) {
                continue;
            }
            loop {
                let rows = shared.ports.engine.connections(None, Some(id.clone()), after, 500).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.id);
                let activated = |row: &&Arc<ConnectionRow>| {
                    !matches!(row.status, ConnectionStatus::AwaitingAuthorization | ConnectionStatus::Disabled)
                };
                for before in rows.iter().filter(|row| row.connector_version != version).filter(activated) {
                    let mut row =
                        ConnectionRow { connector_version: version.to_owned(), ..ConnectionRow::clone(before) };
                    if row.status == ConnectionStatus::Suspended {
                        // What went over the limits may be mended (R6.7).
                        (row.status, row.status_reason) = (ConnectionStatus::Active, None);
                    }
                    let hook = HookTask::Upgrade { from: before.connector_version.clone() };
                    let task = TaskPayload::Hook(hook)
                        .task(TaskId::from_number(shared.ports.engine.take_ids(1)), before.id)?;
                    let writes = [
                        Write::PutConnection { row: Box::new(row), expect: Some(before.version) },
                        Write::PutTask { task, keyed: KeyedTask::Replace },
                    ];
                    match shared
                        .ports
                        .engine
                        .commit(WriteSet { connection: Some(before.id), ..WriteSet::of(writes) })
                        .await
                    {
                        Ok(_) => upgraded += 1,
                        // It was changed meanwhile, perhaps by another host's upgrade: the next start looks again.
                        Err(CommitError::RecordConflict) => missed = true,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            after = None;
            if missed {
                continue;
            }
            let value = Some(bytes::Bytes::from_static(version.as_bytes()));
            shared.ports.engine.commit(WriteSet::of([Write::PutSetting { name: setting, value }])).await?;
        }
        Ok(upgraded)
    }
}
