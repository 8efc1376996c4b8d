//! What the framework needs from the host that runs it, beside an [`Engine`].

use std::sync::Arc;

use crate::clock::{BoxFuture, Clock};
use crate::engine::{ConnectionRow, Engine};
use crate::error::{Error, Result};
use crate::network::NetworkPort;
use crate::secret::Secret;

/// What the credential of a connection is sealed for.
pub const CREDENTIAL_PURPOSE: &str = "credential";

/// Seals what must not be read or forged: credentials, secure options, callback tokens (design 7).
pub trait Vault: Send + Sync + 'static {
    /// Encrypts and authenticates. `purpose` must be the same when it is opened, so that what was
    /// sealed for one place does not open in another. The result is safe in a URL.
    fn seal(&self, purpose: &str, plain: &[u8]) -> String;

    /// Opens what was sealed for the same purpose.
    fn open(&self, purpose: &str, sealed: &str) -> std::result::Result<Vec<u8>, VaultError>;

    /// Random bytes that cannot be guessed.
    fn random(&self) -> [u8; 16];
}

/// Why something sealed does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// It was not sealed here, for this purpose, or it was changed.
    #[error("it was not sealed by this host, or it was changed")]
    Forged,
    /// It was sealed under a key that this host does not have.
    #[error("it was sealed under the key `{0}`, which this host does not have: restore that key")]
    UnknownKey(String),
}

/// Gives the access token of a connection, fresh (R8.1).
pub trait Credentials: Send + Sync + 'static {
    /// The token; none if the connection has no credential.
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>>;
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

/// Credentials that are stored as they are used: the access token, sealed in the connection's row.
pub struct SealedCredentials {
    vault: Arc<dyn Vault>,
}

impl SealedCredentials {
    /// Opens them with this vault.
    pub fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault }
    }
}

impl Credentials for SealedCredentials {
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>> {
        let token = connection.credential.as_ref().map(|sealed| {
            let opened = self.vault.open(CREDENTIAL_PURPOSE, sealed);
            let plain = opened
                .map_err(|error| Error::needs_reauth("the stored credential cannot be opened").with_source(error))?;
            let token = String::from_utf8(plain).map_err(|_| {
                Error::needs_reauth("the stored credential is not text: authorize the connection again")
            })?;
            Ok(Secret::new(token))
        });
        Box::pin(async move { token.transpose() })
    }
}
