use std::collections::HashMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Dispatch};
use crate::component::Component;
use crate::engine::{CommitError, Expect, Write, WriteSet};
use crate::error::{Error, ErrorKind, Result};
use crate::unit_of_work::Pending;
use crate::value;

/// Longest key, in bytes.
const MAX_KEY: usize = 512;

/// Keys of connectors and tools begin with this, those of the host with other letters.
pub(crate) fn prefix_of(namespace: &str) -> String {
    if namespace.is_empty() { "c/".to_owned() } else { format!("t/{namespace}/") }
}

impl<C: Component> Context<C> {
    fn full_key(&self, key: &str) -> Result<String> {
        if key.is_empty() || key.len() > MAX_KEY {
            let shown: String = key.chars().take(40).collect();
            return Err(Error::bug(format!(
                "the state key `{shown}` has {} bytes: keys have 1 to {MAX_KEY}",
                key.len()
            )));
        }
        Ok(prefix_of(C::NAMESPACE) + key)
    }

    /// The value of a key; none if there is none.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let mut values = self.get_many(&[key]).await?;
        Ok(values.pop().flatten())
    }

    /// The values of several keys, in their order, in one read.
    pub async fn get_many<T: DeserializeOwned>(&self, keys: &[&str]) -> Result<Vec<Option<T>>> {
        let full = keys.iter().map(|key| self.full_key(key)).collect::<Result<Vec<_>>>()?;
        let values = self.dispatch.read_state(full).await?;
        keys.iter().zip(values).map(|(key, value)| value.map(|value| decode(key, &value)).transpose()).collect()
    }

    /// Stores a value. Whatever serde can write comes back equal (R5.2); what cannot be stored is
    /// refused here, with its path, and nothing of the value is stored.
    pub async fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let full = self.full_key(key)?;
        let value = encode(key, value)?;
        self.dispatch.unit().put(full, Some(value));
        Ok(())
    }

    /// Stores several values; if one cannot be stored, none is.
    pub async fn set_many<'k, T: Serialize>(
        &self,
        entries: impl IntoIterator<Item = (&'k str, T)> + Send,
    ) -> Result<()> {
        let entries = entries
            .into_iter()
            .map(|(key, value)| Ok((self.full_key(key)?, encode(key, &value)?)))
            .collect::<Result<Vec<_>>>()?;
        let mut unit = self.dispatch.unit();
        for (key, value) in entries {
            unit.put(key, Some(value));
        }
        Ok(())
    }

    /// Removes a value; none is no error.
    pub async fn clear(&self, key: &str) -> Result<()> {
        self.clear_many(&[key]).await
    }

    /// Removes several values.
    pub async fn clear_many(&self, keys: &[&str]) -> Result<()> {
        let full = keys.iter().map(|key| self.full_key(key)).collect::<Result<Vec<_>>>()?;
        let mut unit = self.dispatch.unit();
        for key in full {
            unit.put(key, None);
        }
        Ok(())
    }

    /// Removes all values of this connector, or tool, in this connection.
    pub async fn clear_all(&self) -> Result<()> {
        self.dispatch.unit().clear(prefix_of(C::NAMESPACE));
        Ok(())
    }

    /// The keys that begin with `prefix`, in order.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let own = prefix_of(C::NAMESPACE);
        let entries = self.dispatch.list_state(&format!("{own}{prefix}")).await?;
        Ok(entries.into_iter().filter_map(|(key, _)| key.strip_prefix(&own).map(str::to_owned)).collect())
    }

    /// The keys that begin with `prefix`, in order, with their values.
    pub async fn list_entries<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>> {
        let own = prefix_of(C::NAMESPACE);
        let entries = self.dispatch.list_state(&format!("{own}{prefix}")).await?;
        entries
            .into_iter()
            .filter_map(|(key, value)| key.strip_prefix(&own).map(|key| (key.to_owned(), value)))
            .map(|(key, value)| decode(&key, &value).map(|value| (key, value)))
            .collect()
    }

    /// Takes a lock that ends by itself after `lease`. False if another task has it. The lock is held
    /// from now on, also if this dispatch fails; a retry of the same task has it again (R5.5).
    pub async fn acquire_lock(&self, name: &str, lease: SignedDuration) -> Result<bool> {
        if self.dispatch.is_provisional() {
            // Nobody else can run for a connection that is not stored yet.
            return Ok(true);
        }
        let key = lock_key(C::NAMESPACE, name);
        let (connection, engine) = (self.dispatch.connection_id(), &self.dispatch.shared.ports.engine);
        let stored = engine.state(connection, vec![key.clone()]).await?.pop().flatten();
        let holder = self.dispatch.task.map(|task| task.number());
        if let Some(stored) = &stored {
            let (held_by, until): (Option<i64>, Timestamp) = decode(name, &stored.value)?;
            if until > self.now() && (held_by.is_none() || held_by != holder) {
                return Ok(false);
            }
        }
        let until = self.now().checked_add(lease).or_kind_bug("the lease of a lock is too long")?;
        let unchanged = Expect::State { connection, key: key.clone(), version: stored.map(|stored| stored.version) };
        let set = WriteSet {
            connection: Some(connection),
            expects: self.dispatch.task.map(|id| Expect::Task { id }).into_iter().chain([unchanged]).collect(),
            writes: vec![Write::PutState { connection, key, value: encode(name, &(holder, until))? }],
            ..WriteSet::default()
        };
        match engine.commit(set).await {
            Ok(_) => Ok(true),
            Err(CommitError::StateConflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a lock back, together with everything else that this dispatch stores. One that another task
    /// has by now, because the lease ended, stays with that one.
    pub async fn release_lock(&self, name: &str) -> Result<()> {
        let key = lock_key(C::NAMESPACE, name);
        let (connection, engine) = (self.dispatch.connection_id(), &self.dispatch.shared.ports.engine);
        let Some(stored) = engine.state(connection, vec![key.clone()]).await?.pop().flatten() else { return Ok(()) };
        let (held_by, _): (Option<i64>, Timestamp) = decode(name, &stored.value)?;
        if held_by == self.dispatch.task.map(|task| task.number()) {
            self.dispatch.unit().push(Write::DeleteStateVersion { connection, key, version: stored.version });
        }
        Ok(())
    }
}

/// Locks stand apart from the values, so that listing and clearing those does not touch them.
fn lock_key(namespace: &str, name: &str) -> String {
    format!("l/{namespace}/{name}")
}

trait OrBug<T> {
    fn or_kind_bug(self, message: &str) -> Result<T>;
}

impl<T> OrBug<T> for Result<T, jiff::Error> {
    fn or_kind_bug(self, message: &str) -> Result<T> {
        self.map_err(|error| Error::bug(message).with_source(error))
    }
}

fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Bytes> {
    let bytes = value::to_bytes(value)
        .map_err(|error| Error::bug(format!("the value of `{key}` cannot be stored")).with_source(error))?;
    Ok(bytes.into())
}

fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T> {
    value::from_bytes(value).map_err(|error| {
        Error::new(ErrorKind::Bug, format!("the stored value of `{key}` is not of the type that it is read as"))
            .with_source(error)
    })
}

impl Dispatch {
    /// Values by full key, in the order given.
    pub(crate) async fn read_state(&self, keys: Vec<String>) -> Result<Vec<Option<Bytes>>> {
        let unknown: Vec<_> = {
            let unit = self.unit();
            keys.iter().filter(|key| matches!(unit.pending(key), Pending::Unknown)).cloned().collect()
        };
        let stored = if unknown.is_empty() {
            Vec::new()
        } else {
            self.shared.ports.engine.state(self.connection_id(), unknown.clone()).await?
        };
        let mut unit = self.unit();
        for (key, value) in unknown.iter().zip(&stored) {
            unit.note_read(key.clone(), value.as_ref().map(|value| value.version));
        }
        // By key: what was unknown may have been written meanwhile, by code of this dispatch that runs side by side.
        let stored: HashMap<_, _> = unknown.into_iter().zip(stored).collect();
        Ok(keys
            .iter()
            .map(|key| match unit.pending(key) {
                Pending::Written(value) => value.cloned(),
                Pending::Unknown => stored.get(key).and_then(Option::as_ref).map(|value| value.value.clone()),
            })
            .collect())
    }

    /// Entries whose full key begins with `prefix`.
    pub(crate) async fn list_state(&self, prefix: &str) -> Result<Vec<(String, Bytes)>> {
        let stored =
            self.shared.ports.engine.state_entries(self.connection_id(), prefix.to_owned(), usize::MAX).await?;
        let mut unit = self.unit();
        unit.note_listed(prefix.to_owned(), stored.iter().map(|(key, value)| (key.clone(), value.version)).collect());
        let entries = unit.overlay(prefix, stored.into_iter().map(|(key, value)| (key, value.value)));
        Ok(entries.into_iter().collect())
    }
}
