//! Seals what the store holds anew: under another key, or in the form that is bound to its place.

use bytes::Bytes;

use super::ActionError;
use crate::engine::{CommitError, ConnectionRow, Expect, StateValue, Write, WriteSet};
use crate::id::ConnectionId;
use crate::options::sealed_text;
use crate::runtime::hooks::{self, HOOK_KEYS};
use crate::runtime::subscriptions::{self, SUBSCRIPTION_KEYS};
use crate::runtime::{Runtime, Shared};

/// Connections that are read at once.
const PAGE: usize = 500;

/// Whether a sealed value is to be sealed anew.
pub(in crate::runtime) type IsOld<'a> = dyn Fn(&str) -> bool + Send + Sync + 'a;

impl Runtime {
    /// Seals those secure options, and those secrets and URLs of webhooks, anew for which `is_old` is true. Returns
    /// the number of rows that were written. A value that does not open is logged and stays as it is.
    pub async fn reseal(&self, is_old: &(dyn Fn(&str) -> bool + Send + Sync)) -> Result<usize, ActionError> {
        let shared = &self.shared;
        let (mut after, mut resealed) = (None, 0);
        loop {
            let rows = shared.ports.engine.connections(None, None, after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(resealed) };
            after = Some(last.id);
            for row in rows {
                resealed += usize::from(shared.reseal_options(&row, is_old).await?);
                for prefix in [HOOK_KEYS, SUBSCRIPTION_KEYS] {
                    resealed += shared.reseal_webhooks(row.id, prefix, is_old).await?;
                }
            }
        }
    }
}

impl Shared {
    async fn reseal_options(&self, listed: &ConnectionRow, is_old: &IsOld<'_>) -> Result<bool, ActionError> {
        let mut current = Some(listed.clone());
        while let Some(before) = current.take() {
            let Some(connector) = self.registry.get(before.connector.as_str()) else { return Ok(false) };
            let sealed = before.options.iter().filter_map(|(name, value)| {
                let unmarked = value.as_str().filter(|_| connector.declaration.options.has_secure(name));
                sealed_text(value).or(unmarked)
            });
            if !sealed.into_iter().any(is_old) {
                return Ok(false);
            }
            let opened = match self.open_options(&before, connector) {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::error!(connection = %before.id, "the secure options stay as they are: {error}");
                    return Ok(false);
                }
            };
            let options = self.seal_values(before.id, opened, connector);
            let (id, expect) = (before.id, Some(before.version));
            let put = Write::PutConnection { row: Box::new(ConnectionRow { options, ..before }), expect };
            match self.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of([put]) }).await {
                Ok(_) => return Ok(true),
                Err(CommitError::RecordConflict) => {
                    current = self.ports.engine.connection(id).await?.map(|row| ConnectionRow::clone(&row));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// The rows of webhooks are values of the connection's state.
    async fn reseal_webhooks(
        &self,
        connection: ConnectionId,
        prefix: &'static str,
        is_old: &IsOld<'_>,
    ) -> Result<usize, ActionError> {
        let mut resealed = 0;
        for (key, listed) in self.ports.engine.state_entries(connection, prefix.to_owned(), usize::MAX).await? {
            let mut current = Some(listed);
            while let Some(before) = current.take() {
                let Some(value) = self.resealed_webhook(connection, prefix, &key, &before, is_old) else { break };
                let expect = Expect::State { connection, key: key.clone(), version: Some(before.version) };
                let put = Write::PutState { connection, key: key.clone(), value };
                let set = WriteSet { connection: Some(connection), expects: vec![expect], ..WriteSet::of([put]) };
                match self.ports.engine.commit(set).await {
                    Ok(_) => resealed += 1,
                    Err(CommitError::StateConflict(_)) => {
                        current = self.ports.engine.state(connection, vec![key.clone()]).await?.pop().flatten();
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(resealed)
    }

    fn resealed_webhook(
        &self,
        connection: ConnectionId,
        prefix: &str,
        key: &str,
        stored: &StateValue,
        is_old: &IsOld<'_>,
    ) -> Option<Bytes> {
        let vault = &*self.ports.vault;
        let resealed = match prefix {
            HOOK_KEYS => hooks::reseal_hook(vault, connection, key, &stored.value, is_old),
            _ => subscriptions::reseal_subscription(vault, connection, key, &stored.value, is_old),
        };
        resealed.unwrap_or_else(|error| {
            tracing::error!(%connection, key, "a stored webhook stays as it is: {error}");
            None
        })
    }
}
