use super::ActionError;
use crate::callback::{BoundTarget, CalledCallback};
use crate::component::Component;
use crate::engine::{KeyedTask, TaskRow, Write, WriteSet};
use crate::error::Error;
use crate::id::{ConnectionId, TaskId};
use crate::runtime::Runtime;
use crate::runtime::payload::TaskPayload;

impl Runtime {
    /// Queues a callback of a connection from outside of it: for a product that embeds the host and
    /// knows the connector. When this returns, the task is stored.
    pub async fn queue<M>(&self, connection: ConnectionId, message: M) -> Result<TaskId, ActionError>
    where
        M: CalledCallback<Input = ()>,
    {
        let queued = self.queue_many(connection, [message]).await?;
        queued.first().copied().ok_or_else(|| Error::bug("nothing was queued").into())
    }

    /// Queues several, all or none.
    pub async fn queue_many<M>(
        &self,
        connection: ConnectionId,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Vec<TaskId>, ActionError>
    where
        M: CalledCallback<Input = ()>,
    {
        let row = self.connection(connection).await?;
        let connector = self.connector(&row.connector)?;
        let namespace = <M::Component as Component>::NAMESPACE;
        if connector.callback(namespace, M::NAME).is_none() {
            let (id, name) = (connector.declaration.id, M::NAME);
            return Err(ActionError::Invalid(format!(
                "{connection} is a connection to `{id}`, which has no callback `{name}`"
            )));
        }
        let (mut ids, mut writes) = (Vec::new(), Vec::new());
        for message in messages {
            let BoundTarget { namespace, name, args, channel } = BoundTarget::of(&message)?;
            let id = TaskId::from_number(self.shared.ports.engine.take_ids(1));
            let payload = TaskPayload::Callback {
                namespace: namespace.into(),
                name: name.into(),
                args: args.into(),
                input: None,
                token: None,
            };
            let task = TaskRow { channel, ..payload.task(id, connection)? };
            writes.push(Write::PutTask { task, keyed: KeyedTask::Replace });
            ids.push(id);
        }
        self.shared.ports.engine.commit(WriteSet { connection: Some(connection), ..WriteSet::of(writes) }).await?;
        Ok(ids)
    }
}
