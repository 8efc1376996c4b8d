//! Connections as dispatches see them: the row, its connector, its typed options.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::Shared;
use crate::context::Dispatch;
use crate::declaration::Declaration;
use crate::engine::{ChannelRow, ConnectionRow, ConnectionStatus, FeedEntry, FeedKind, Write};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, ConnectionId};
use crate::network::UrlRules;
use crate::options::{FittedOptions, OptionErrors, sealed, sealed_text};
use crate::ports::{SealContext, VaultError};
use crate::registry::RegisteredConnector;
use crate::secret::Secret;

/// What secure options are sealed for.
const OPTION_PURPOSE: &str = "option";

/// The seal context of a secure option: its connection and its field.
fn option_context(connection: ConnectionId, field: &str) -> SealContext<'static> {
    SealContext::stored(OPTION_PURPOSE, format!("{connection}/{field}"))
}

/// Connections that are kept in memory; beyond it, all are forgotten and read again as they are needed.
const MAX_CACHED: usize = 10_000;

/// A connection with everything that its dispatches need. Made anew when its row or a channel changes.
pub(crate) struct ActiveConnection {
    pub(crate) row: Arc<ConnectionRow>,
    pub(crate) connector: Arc<RegisteredConnector>,
    pub(crate) channels: HashMap<ChannelId, ChannelRow>,
    pub(crate) rules: UrlRules,
    pub(crate) api_url: String,
    /// A token that is being tried, and is not stored yet.
    pub(crate) offered: Option<Secret>,
    values: Map<String, Value>,
    /// What its options need before it can run.
    missing: OptionErrors,
    options: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl ActiveConnection {
    /// What the requests of the connection share quotas with: those of others with the same account at the same
    /// provider.
    pub(crate) fn quota_account(&self) -> String {
        let account = self.row.account.id.clone().unwrap_or_else(|| self.row.id.to_string());
        format!("{}/{account}", self.quota_owner())
    }

    /// Whose quotas the requests of the connection count against: the provider's, else the connector's own service's.
    pub(crate) fn quota_owner(&self) -> &'static str {
        let declaration = self.connector.declaration;
        declaration.provider.as_ref().map_or(declaration.id, |provider| provider.id())
    }

    /// Whether the connection waits for a change of its options.
    pub(crate) fn needs_attention(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Options of another time; what they miss is as it is now.
    pub(crate) fn completed(&self, fitted: FittedOptions) -> Map<String, Value> {
        let mut values = fitted.values;
        let now = fitted.missing.0.keys().filter_map(|name| Some((name.clone(), self.values.get(name)?.clone())));
        values.extend(now);
        values
    }

    /// The typed options.
    pub(crate) fn options(&self) -> Result<Arc<dyn Any + Send + Sync>> {
        if let Some(options) = self.options.get() {
            return Ok(Arc::clone(options));
        }
        if !self.missing.is_empty() {
            return Err(Error::rejected(needs_options(self.row.id, &self.missing)));
        }
        let options = (self.connector.registration.read_options)(&self.values)?;
        Ok(Arc::clone(self.options.get_or_init(|| options)))
    }
}

/// Connections in memory.
pub(super) struct Connections<T = ActiveConnection> {
    known: HashMap<ConnectionId, Known<T>>,
    /// How often one was read.
    reads: u64,
}

enum Known<T> {
    /// It is being read, most recently by the read of this number.
    Reading(u64),
    Ready(Arc<T>),
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), reads: 0 }
    }
}

impl<T> Connections<T> {
    /// One that is known; else the number of the read that the caller does for it.
    fn look_up(&mut self, id: ConnectionId) -> Result<Arc<T>, u64> {
        if let Some(Known::Ready(connection)) = self.known.get(&id) {
            return Ok(Arc::clone(connection));
        }
        if self.known.len() >= MAX_CACHED {
            self.known.clear();
        }
        self.reads += 1;
        self.known.insert(id, Known::Reading(self.reads));
        Err(self.reads)
    }

    /// Keeps what was read, unless it was changed meanwhile, or is read by another who keeps it.
    fn keep(&mut self, id: ConnectionId, reading: u64, connection: &Arc<T>) {
        if let Some(known) = self.known.get_mut(&id)
            && matches!(&*known, Known::Reading(last) if *last == reading)
        {
            *known = Known::Ready(Arc::clone(connection));
        }
    }

    /// One was changed: it is read anew, and what is being read of it is not kept.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.known.remove(&id);
    }

    /// Something was changed that all of these have in common. What is being read may have it too.
    pub(super) fn forget_if(&mut self, changed: impl Fn(&T) -> bool) {
        self.known.retain(|_, known| matches!(known, Known::Ready(connection) if !changed(connection)));
    }
}

/// Why there is no connection to run something for.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// It is gone.
    Gone,
    /// Its connector is not linked into this program.
    NotLinked,
    /// The store, or what it holds.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Unavailable {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a connection needs whose options miss something.
pub(crate) fn needs_options(id: ConnectionId, missing: &OptionErrors) -> String {
    format!("the options of {id} do not fit its connector any more, and have to be changed: {missing}")
}

/// What the options of a connection miss, as its connector declares them now (R11.11).
pub(crate) fn missing_options(row: &ConnectionRow, declaration: &Declaration) -> OptionErrors {
    let mut missing = declaration.options.fit(&row.options).missing;
    // A key of the workspace is no option of the connection.
    if let Some(key) = declaration.key_option.filter(|_| row.credential.is_some()) {
        missing.0.remove(key);
    }
    missing
}

impl Shared {
    /// A connection, from memory where it is there.
    pub(crate) async fn active(&self, id: ConnectionId) -> Result<Arc<ActiveConnection>, Unavailable> {
        let reading = match self.connections().look_up(id) {
            Ok(connection) => return Ok(connection),
            Err(reading) => reading,
        };
        let engine = &self.ports.engine;
        let row = engine.connection(id).await?.ok_or(Unavailable::Gone)?;
        let channels = engine.channels(id).await?;
        let key = match self.registry.get(row.connector.as_str()) {
            // A key of the workspace is no option of the connection.
            Some(connector) if connector.declaration.key_option.is_some() && row.credential.is_some() => {
                self.ports.credentials.token(&row).await?
            }
            _ => None,
        };
        let connection = Arc::new(self.activate_row(row, channels, key)?);
        self.connections().keep(id, reading, &connection);
        Ok(connection)
    }

    /// A connection whose dispatches use this token, or key, in place of the stored one.
    pub(crate) fn activate_row(
        &self,
        row: Arc<ConnectionRow>,
        channels: Vec<ChannelRow>,
        offered: Option<Secret>,
    ) -> Result<ActiveConnection, Unavailable> {
        let connector = Arc::clone(self.registry.get(row.connector.as_str()).ok_or(Unavailable::NotLinked)?);
        let mut rules =
            UrlRules::parse(&connector.urls().collect::<Vec<_>>()).map_err(|error| Error::bug(error.to_string()))?;
        let provider = connector.declaration.provider;
        let api_url = provider.map(|provider| {
            self.config.api_urls.get(provider.id()).cloned().unwrap_or_else(|| provider.api_url().to_owned())
        });
        if let Some(api_url) = &api_url {
            let base = url::Url::parse(api_url).map_err(|error| {
                Error::bug(format!("`{api_url}` is no URL for the provider's API: correct it in the configuration"))
                    .with_source(error)
            })?;
            rules.push_base(&base);
        }
        let mut values = self.open_options(&row, &connector)?;
        if let (Some(key), Some(option)) = (&offered, connector.declaration.key_option) {
            values.insert(option.to_owned(), Value::String(key.expose().to_owned()));
        }
        let missing = missing_options(&row, connector.declaration);
        let FittedOptions { values, .. } = connector.declaration.options.fit(&values);
        Ok(ActiveConnection {
            missing,
            offered,
            channels: channels.into_iter().map(|channel| (channel.channel.id.clone(), channel)).collect(),
            rules,
            api_url: api_url.unwrap_or_default().trim_end_matches('/').to_owned(),
            values,
            options: OnceLock::new(),
            connector,
            row,
        })
    }

    /// The options with the secure ones in the clear.
    pub(crate) fn open_options(
        &self,
        row: &ConnectionRow,
        connector: &RegisteredConnector,
    ) -> Result<Map<String, Value>> {
        self.open_values(row.id, &row.options, connector)
    }

    /// Stored options of a connection, opened, as its connector declares them now.
    pub(crate) fn fitted_options(
        &self,
        connection: ConnectionId,
        stored: &Map<String, Value>,
        connector: &RegisteredConnector,
    ) -> Result<FittedOptions> {
        let opened = self.open_values(connection, stored, connector)?;
        Ok(connector.declaration.options.fit(&opened))
    }

    /// Opens the secure ones among the stored options of a connection.
    pub(crate) fn open_values(
        &self,
        connection: ConnectionId,
        stored: &Map<String, Value>,
        connector: &RegisteredConnector,
    ) -> Result<Map<String, Value>> {
        let mut values = stored.clone();
        for (name, value) in &mut values {
            // Earlier versions stored the sealed text of a secure option as it is, like a text in the clear.
            let secure = connector.declaration.options.has_secure(name);
            let (sealed, marked) = match (sealed_text(value), value.as_str()) {
                (Some(sealed), _) => (sealed, true),
                (None, Some(text)) if secure => (text, false),
                _ => continue,
            };
            match self.ports.vault.open(&option_context(connection, name), sealed) {
                Ok(plain) => *value = Value::String(String::from_utf8_lossy(&plain).into_owned()),
                // It was stored before the option became a secure one.
                Err(VaultError::NotSealed) if !marked => {}
                Err(error) => {
                    let message = format!("the option `{name}` cannot be opened");
                    return Err(Error::new(ErrorKind::Bug, message).with_source(error));
                }
            }
        }
        Ok(values)
    }

    /// Seals the secure ones among the validated options of a connection.
    pub(crate) fn seal_values(
        &self,
        connection: ConnectionId,
        mut values: Map<String, Value>,
        connector: &RegisteredConnector,
    ) -> Map<String, Value> {
        for field in connector.declaration.options.fields.iter().filter(|field| field.secure()) {
            if let Some(Value::String(plain)) = values.get(field.name) {
                let text = self.ports.vault.seal(&option_context(connection, field.name), plain.as_bytes());
                values.insert(field.name.to_owned(), sealed(text));
            }
        }
        values
    }

    /// What a dispatch says about its connection and channels, as writes on their rows.
    pub(crate) async fn connection_marks(
        &self,
        dispatch: &Dispatch,
        needs_reauth: Option<String>,
        callbacks_deleted: bool,
        completed: Vec<ChannelId>,
    ) -> Result<Vec<Write>> {
        let id = dispatch.connection_id();
        let mut writes = Vec::new();
        if let Some(row) = self.ports.engine.connection(id).await? {
            let mut row = ConnectionRow::clone(&row);
            let expect = Some(row.version);
            if let Some(reason) = needs_reauth {
                row.status = ConnectionStatus::NeedsReauth;
                row.status_reason = Some(reason);
            }
            row.generation += i64::from(callbacks_deleted);
            writes.push(Write::Feed(FeedEntry::new(FeedKind::Connection, id, id)));
            writes.push(Write::PutConnection { row: Box::new(row), expect });
        }
        for channel in completed {
            if let Some(mut row) = self.ports.engine.channel(id, channel).await? {
                let expect = Some(row.version);
                if crate::records::end_walk(&mut row, crate::records::OWN_WALK, self.ports.clock.now()) {
                    writes.push(Write::Feed(FeedEntry::new(FeedKind::Channel, id, &row.channel.id)));
                    writes.push(Write::PutChannel { row: Box::new(row), expect });
                }
            }
        }
        Ok(writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_while_it_was_read_is_not_kept() {
        let id = ConnectionId::from_number(1);
        let mut connections = Connections::<&str>::default();
        let first = connections.look_up(id).unwrap_err();
        connections.forget(id);
        connections.keep(id, first, &Arc::new("before"));
        let second = connections.look_up(id).unwrap_err();
        let third = connections.look_up(id).unwrap_err();
        connections.keep(id, second, &Arc::new("now"));
        assert!(connections.look_up(id).is_err(), "another reads it as well");
        connections.forget(id);
        connections.keep(id, third, &Arc::new("now"));
        let last = connections.look_up(id).unwrap_err();
        connections.keep(id, last, &Arc::new("after"));
        assert_eq!(connections.look_up(id).as_deref(), Ok(&"after"));
        connections.forget(id);
        assert!(connections.look_up(id).is_err());
    }

    #[test]
    fn what_they_have_in_common_is_read_anew() {
        let [one, other, read] = [1, 2, 3].map(ConnectionId::from_number);
        let mut connections = Connections::<&str>::default();
        for (id, shared) in [(one, "before"), (other, "another")] {
            let reading = connections.look_up(id).unwrap_err();
            connections.keep(id, reading, &Arc::new(shared));
        }
        let reading = connections.look_up(read).unwrap_err();
        connections.forget_if(|shared| *shared == "before");
        connections.keep(read, reading, &Arc::new("before"));
        assert!(connections.look_up(one).is_err());
        assert!(connections.look_up(read).is_err());
        assert_eq!(connections.look_up(other).as_deref(), Ok(&"another"));
    }
}
