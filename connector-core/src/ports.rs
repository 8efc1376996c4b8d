//! What the framework needs from the host that runs it, beside an [`Engine`].

use std::borrow::Cow;
use std::sync::Arc;

use crate::clock::{BoxFuture, Clock};
use crate::credential::Credential;
use crate::engine::{ConnectionRow, Engine, Write};
use crate::error::Result;
use crate::network::NetworkPort;
use crate::secret::Secret;

/// What a sealed value is for, and where the store keeps it.
///
/// A [`Vault`] authenticates both with the value. A value that was copied to another row, field or name of the store
/// therefore does not open there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealContext<'a> {
    purpose: &'a str,
    place: Option<Cow<'a, str>>,
}

impl<'a> SealContext<'a> {
    /// A value that the store keeps. `purpose` is a constant of the code without NUL characters. `place` names the
    /// row and the field, such as `credential/7` or `con_7/api_key`; no other value of this purpose has the same
    /// place.
    pub fn stored(purpose: &'a str, place: impl Into<Cow<'a, str>>) -> Self {
        Self { purpose, place: Some(place.into()) }
    }

    /// A token that others keep, and that no row of the store holds: a callback token, the token of a session. Such a
    /// token says within itself whose it is.
    pub fn token(purpose: &'a str) -> Self {
        Self { purpose, place: None }
    }

    /// What the value is for.
    pub fn purpose(&self) -> &str {
        self.purpose
    }

    /// Row and field that hold the value; `None` for a token that others keep.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// What is authenticated with the value: the purpose, then a NUL and the place if there is one.
    pub fn associated_data(&self) -> Vec<u8> {
        let mut data = self.purpose.as_bytes().to_vec();
        if let Some(place) = &self.place {
            data.push(0);
            data.extend(place.as_bytes());
        }
        data
    }
}

/// Seals what must not be read or forged: credentials, secure options, callback tokens (design 7).
pub trait Vault: Send + Sync + 'static {
    /// Encrypts and authenticates a value. The result opens in the same context only, and is safe in a URL.
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> String;

    /// Opens a value that was sealed in the same context. A vault may also open values of its own earlier form, which
    /// were sealed for their purpose alone.
    fn open(&self, context: &SealContext<'_>, sealed: &str) -> std::result::Result<Vec<u8>, VaultError>;

    /// Random bytes that cannot be guessed.
    fn random(&self) -> [u8; 16];
}

/// Why something sealed does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// It has not the form of sealed text.
    #[error("it is no sealed text")]
    NotSealed,
    /// It was not sealed here in this context, or it was changed.
    #[error("it was not sealed by this host for this place, or it was changed")]
    Forged,
    /// It was sealed under a key that this host does not have.
    #[error("it was sealed under the key `{0}`, which this host does not have: restore that key")]
    UnknownKey(String),
}

/// Gives the access tokens of connections (R8.1).
pub trait Credentials: Send + Sync + 'static {
    /// The token, fresh; none if the connection has no credential.
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>>;

    /// Another token in place of one that the service has refused; none if there is no other.
    fn replace<'a>(
        &'a self,
        connection: &'a ConnectionRow,
        refused: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Secret>>>;

    /// What is stored with the end of a connection, so that its credential ends at the service too.
    fn release<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Vec<Write>>>;
}

/// Everything that the framework needs from its host.
#[derive(Clone)]
#[allow(missing_docs, reason = "the names of the ports say all there is to say")]
pub struct Ports {
    pub engine: Arc<dyn Engine>,
    pub network: Arc<dyn NetworkPort>,
    pub clock: Arc<dyn Clock>,
    pub vault: Arc<dyn Vault>,
    pub credentials: Arc<dyn Credentials>,
}

/// Credentials as they are stored: no token is refreshed, and none is revoked.
pub struct StoredCredentials {
    engine: Arc<dyn Engine>,
    vault: Arc<dyn Vault>,
}

impl StoredCredentials {
    /// Those of this store, sealed by this vault.
    pub fn new(engine: Arc<dyn Engine>, vault: Arc<dyn Vault>) -> Self {
        Self { engine, vault }
    }
}

impl Credentials for StoredCredentials {
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async move {
            let Some(name) = &connection.credential else { return Ok(None) };
            let Some(row) = self.engine.secret(name.clone()).await? else { return Ok(None) };
            Ok(Some(Credential::open(&*self.vault, name, &row.sealed)?.access_token))
        })
    }

    fn replace<'a>(&'a self, _: &'a ConnectionRow, _: &'a Secret) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async { Ok(None) })
    }

    fn release<'a>(&'a self, _: &'a ConnectionRow) -> BoxFuture<'a, Result<Vec<Write>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
