use super::ActionError;
use super::connect::dispatch_of;
use crate::dispatch::HookCall;
use crate::engine::{ConnectionRow, ConnectionStatus, FeedEntry, FeedKind, KeyedTask, SecretRow, Write, WriteSet};
use crate::error::{ErrorKind, Result as Outcome};
use crate::id::{ConnectionId, TaskId};
use crate::runtime::connections::Unavailable;
use crate::runtime::payload::TaskPayload;
use crate::runtime::subscriptions::Left;
use crate::runtime::{Runtime, Shared};

impl Runtime {
    /// Ends a connection: `deactivate` runs, then nothing of it is left (R3.1). Where the service cannot be told to
    /// stop pushing, the connection is disabled with its credential until the service has heard it; to disconnect
    /// it once more ends that too.
    pub async fn disconnect(&self, id: ConnectionId) -> Result<(), ActionError> {
        self.to_its_end(move |runtime| async move { runtime.end_connection(id).await }).await
    }

    async fn end_connection(&self, id: ConnectionId) -> Result<(), ActionError> {
        let shared = &self.shared;
        let row = self.connection(id).await?;
        let mut left = Vec::new();
        match shared.active(id).await {
            // One that was never authorized was never activated.
            Ok(_) if row.status == ConnectionStatus::AwaitingAuthorization => {}
            Ok(_) if row.status == ConnectionStatus::Disabled => {
                tracing::warn!(connection = %id, "what is registered at the service may stay there, as its user wants no more of it");
            }
            Ok(connection) => {
                let begin = |name: &str| dispatch_of(connection.clone(), name, true).begin(shared);
                left = shared.unsubscribe_all(&connection, begin).await?;
                let dispatch = dispatch_of(connection, "deactivate", true).begin(shared);
                if let Err(error) = shared.guarded(&dispatch, shared.call_hook(&dispatch, HookCall::Deactivate)).await {
                    tracing::warn!(connection = %id, "deactivate failed, and the connection goes away all the same: {error}");
                }
            }
            Err(Unavailable::Gone | Unavailable::NotLinked) => {}
            // What is stored of it cannot be read, and it is not wanted any more.
            Err(Unavailable::Failed(error)) if matches!(error.kind(), ErrorKind::Bug) => {
                tracing::warn!(connection = %id, "deactivate cannot run, and the connection goes away all the same: {error}");
            }
            Err(Unavailable::Failed(error)) => return Err(error.into()),
        }
        let writes = if left.is_empty() { shared.end_of(&row).await? } else { shared.disabling(&row, left).await? };
        shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await?;
        Ok(())
    }
}

impl Shared {
    /// What ends a connection here.
    pub(in crate::runtime) async fn end_of(&self, row: &ConnectionRow) -> Outcome<Vec<Write>> {
        let mut writes = self.ports.credentials.release(row).await?;
        writes.push(Write::DeleteConnection { id: row.id });
        writes.push(Write::Feed(FeedEntry::new(FeedKind::Connection, row.id, row.id)));
        Ok(writes)
    }

    /// What leaves of a connection only what it takes to have the service stop, and the task that tries to.
    async fn disabling(&self, row: &ConnectionRow, left: Vec<Left>) -> Result<Vec<Write>, ActionError> {
        let (engine, id) = (&self.ports.engine, row.id);
        let names: Vec<_> = left.iter().map(|left| format!("`{}` ({})", left.name, left.reason)).collect();
        let disabled = ConnectionRow {
            status: ConnectionStatus::Disabled,
            claims: Vec::new(),
            status_reason: Some(format!(
                "disconnected; the service still pushes, and is told to stop as soon as it can be: {}",
                names.join(", ")
            )),
            ..row.clone()
        };
        let task = TaskPayload::Disconnect.task(TaskId::from_number(engine.take_ids(1)), id)?;
        let mut writes =
            vec![Write::DeleteConnection { id }, Write::PutConnection { row: Box::new(disabled), expect: None }];
        if let Some(name) = &row.credential
            && let Some(secret) = engine.secret(name.clone()).await?.filter(|secret| secret.connection == Some(id))
        {
            writes.push(Write::PutSecret { row: SecretRow { version: 0, ..secret }, expect: None });
        }
        writes.extend(left.into_iter().map(|left| Write::PutState { connection: id, key: left.key, value: left.row }));
        writes.push(Write::PutTask { task, keyed: KeyedTask::Replace });
        writes.push(Write::Feed(FeedEntry::new(FeedKind::Connection, id, id)));
        Ok(writes)
    }
}
