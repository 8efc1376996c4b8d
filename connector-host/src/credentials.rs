//! Access tokens of connections, opened where they are needed.

use std::sync::Arc;

use connector_core::clock::BoxFuture;
use connector_core::engine::ConnectionRow;
use connector_core::ports::{CREDENTIAL_PURPOSE, Credentials, Vault};
use connector_core::secret::Secret;
use connector_core::{Error, Result};

/// Opens the credential that is stored with a connection.
pub(crate) struct StoredCredentials {
    vault: Arc<dyn Vault>,
}

impl StoredCredentials {
    pub(crate) fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault }
    }

    fn open(&self, connection: &ConnectionRow) -> Result<Option<Secret>> {
        let Some(sealed) = &connection.credential else {
            return Ok(None);
        };
        let opened = self.vault.open(CREDENTIAL_PURPOSE, sealed);
        let plain =
            opened.map_err(|error| Error::needs_reauth("the stored credential cannot be opened").with_source(error))?;
        let token = String::from_utf8(plain)
            .map_err(|_| Error::needs_reauth("the stored credential is not text: authorize the connection again"))?;
        Ok(Some(Secret::new(token)))
    }
}

impl Credentials for StoredCredentials {
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async move { self.open(connection) })
    }
}
