use std::sync::Arc;

use bytes::Bytes;

use super::ActionError;
use crate::engine::{CommitError, ConnectionRow, ConnectionStatus, FeedEntry, FeedKind, KeyedTask, Write, WriteSet};
use crate::error::Error;
use crate::id::{ConnectorId, TaskId};
use crate::registry::{DeclaredWork, RegisteredConnector};
use crate::runtime::Runtime;
use crate::runtime::payload::{HookTask, TaskPayload};
use crate::value;

impl Runtime {
    /// Connections whose connector has another version now get its `upgrade`, once each (R3.1). Where a connector
    /// declares other work under the same version, its connections begin and end what differs (R11.10). The feed tells
    /// of connections that cannot go on with their options (R11.11). Returns the number of connections that are
    /// upgraded.
    pub async fn upgrade_connections(&self) -> Result<usize, ActionError> {
        let (shared, mut after, mut upgraded) = (&self.shared, None, 0);
        for connector in shared.registry.iter() {
            let (id, version) = (ConnectorId::from_static(connector.declaration.id), connector.declaration.version);
            let (setting, declared_setting) = (format!("version/{id}"), format!("work/{id}"));
            let mut missed = false;
            // What all connections have: then there is nothing to look for.
            let known_version = shared.ports.engine.setting(setting.clone()).await?;
            let known_declared = shared.ports.engine.setting(declared_setting.clone()).await?;
            let declared = declared(connector)?;
            let same_version = known_version.is_some_and(|known| known == version.as_bytes());
            let other = known_declared.as_ref().is_some_and(|known| *known != declared);
            if same_version && known_declared.is_some() && !other {
                continue;
            }
            loop {
                let rows = shared.ports.engine.connections(None, Some(id.clone()), after, 500).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.id);
                let activated = |row: &&Arc<ConnectionRow>| {
                    !matches!(row.status, ConnectionStatus::AwaitingAuthorization | ConnectionStatus::Disabled)
                };
                for row in rows.iter().filter(|row| other && row.connector_version == version).filter(activated) {
                    let task =
                        TaskPayload::Redeclare.task(TaskId::from_number(shared.ports.engine.take_ids(1)), row.id)?;
                    let put = Write::PutTask { task, keyed: KeyedTask::Replace };
                    shared.ports.engine.commit(WriteSet { connection: Some(row.id), ..WriteSet::of([put]) }).await?;
                }
                let attention = rows.iter().filter(|row| self.standing(row).status == ConnectionStatus::NeedsAttention);
                let told = attention.map(|row| Write::Feed(FeedEntry::new(FeedKind::Connection, row.id, row.id)));
                let told: Vec<_> = told.collect();
                if !told.is_empty() {
                    shared.ports.engine.commit(WriteSet::of(told)).await?;
                }
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
            let known = [
                Write::PutSetting { name: setting, value: Some(Bytes::from_static(version.as_bytes())) },
                Write::PutSetting { name: declared_setting, value: Some(declared) },
            ];
            shared.ports.engine.commit(WriteSet::of(known)).await?;
        }
        Ok(upgraded)
    }
}

/// The work and the options that a connector declares, as they are compared between builds.
fn declared(connector: &RegisteredConnector) -> Result<Bytes, ActionError> {
    let of = |declared: &'_ DeclaredWork| (declared.name.clone(), declared.entry.per_channel, declared.entry.work);
    let mut work: Vec<_> = connector.work().iter().map(of).collect();
    work.sort_by(|(name, ..), (other, ..)| name.cmp(other));
    let options = connector.declaration.options.json_schema();
    let written = value::to_bytes(&(work, options));
    Ok(written.map_err(|error| Error::bug("a declaration cannot be written down").with_source(error))?.into())
}
