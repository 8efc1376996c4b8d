//! What a connection is authorized with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::declaration::Declaration;
use crate::engine::ConnectionRow;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::ports::{SealContext, Vault};
use crate::secret::Secret;

/// What credentials are sealed for.
const PURPOSE: &str = "credential";

/// A credential of an account, with what the provider said when it gave it. Stored sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// What requests are made with: an access token, or a key.
    pub access_token: Secret,
    /// Gives another access token (RFC 6749 6).
    pub refresh_token: Option<Secret>,
    /// When the access token ends; none if it does not, or nobody knows.
    pub expires_at: Option<Timestamp>,
    /// When another is to be asked for.
    pub refresh_at: Option<Timestamp>,
    /// The scopes that were granted; none if the provider did not say.
    pub scopes: Option<Vec<String>>,
    /// The scopes that were asked for.
    pub asked_scopes: Vec<String>,
    /// The service's id of the account, where the provider says it.
    pub account_id: Option<String>,
    /// The name of the account, where the provider says it.
    pub account_name: Option<String>,
    /// The customer of the service that the account belongs to, where the provider says it: Slack's team.
    pub tenant: Option<String>,
    /// What else the provider said: Slack's team, Atlassian's sites. Holds no secret.
    pub extra: Value,
    /// User who gave the credential to a workspace, and may replace it. `None` for a credential of one connection.
    pub installer: Option<UserId>,
    /// Someone refreshes it until then, and others wait.
    pub refreshing_until: Option<Timestamp>,
    /// Why the provider gives no other token for it: the account has to be authorized again.
    pub refused: Option<String>,
}

/// As it is sealed. Secrets are texts here, and nowhere else.
#[derive(Serialize, Deserialize)]
struct Stored {
    access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    asked_scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    extra: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installer: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refreshing_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Credential {
    /// A token of which nothing else is known, or a key.
    pub fn new(access_token: Secret) -> Self {
        Self {
            access_token,
            refresh_token: None,
            expires_at: None,
            refresh_at: None,
            scopes: None,
            asked_scopes: Vec::new(),
            account_id: None,
            account_name: None,
            tenant: None,
            extra: Value::Null,
            installer: None,
            refreshing_until: None,
            refused: None,
        }
    }

    /// The stored form of the credential, for the secret with this name. It opens under this name only.
    pub fn seal(&self, vault: &dyn Vault, name: &str) -> Result<String> {
        let stored = Stored {
            access_token: self.access_token.expose().to_owned(),
            refresh_token: self.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            expires_at: self.expires_at,
            refresh_at: self.refresh_at,
            scopes: self.scopes.clone(),
            asked_scopes: self.asked_scopes.clone(),
            account_id: self.account_id.clone(),
            account_name: self.account_name.clone(),
            tenant: self.tenant.clone(),
            extra: self.extra.clone(),
            installer: self.installer.clone(),
            refreshing_until: self.refreshing_until,
            refused: self.refused.clone(),
        };
        let json = serde_json::to_vec(&stored)
            .map_err(|error| Error::bug("the credential cannot be stored").with_source(error))?;
        Ok(vault.seal(&SealContext::stored(PURPOSE, name), &json))
    }

    /// The credential that the secret with this name holds. A value that is no JSON object is a bare token, as
    /// credentials once were.
    pub fn open(vault: &dyn Vault, name: &str, sealed: &str) -> Result<Self> {
        let plain = vault
            .open(&SealContext::stored(PURPOSE, name), sealed)
            .map_err(|error| Error::needs_reauth("the stored credential cannot be opened").with_source(error))?;
        if let Ok(stored) = serde_json::from_slice::<Stored>(&plain) {
            return Ok(Self {
                access_token: Secret::new(stored.access_token),
                refresh_token: stored.refresh_token.map(Secret::new),
                expires_at: stored.expires_at,
                refresh_at: stored.refresh_at,
                scopes: stored.scopes,
                asked_scopes: stored.asked_scopes,
                account_id: stored.account_id,
                account_name: stored.account_name,
                tenant: stored.tenant,
                extra: stored.extra,
                installer: stored.installer,
                refreshing_until: stored.refreshing_until,
                refused: stored.refused,
            });
        }
        let token = String::from_utf8(plain)
            .map_err(|_| Error::needs_reauth("the stored credential is not text: authorize the connection again"))?;
        Ok(Self::new(Secret::new(token)))
    }
}

/// What the names of secrets that hold credentials begin with.
const PREFIX: &str = "credential/";

/// The name of the secret that holds a connection's credential: its own, or its workspace's (R1.4).
pub(crate) fn name(row: &ConnectionRow, declaration: &Declaration) -> String {
    match row.workspace.as_ref().filter(|_| declaration.shared) {
        Some(workspace) => format!("{PREFIX}{}/{workspace}", declaration.id),
        None => format!("{PREFIX}{}", row.id.number()),
    }
}

/// Whether a secret of this name holds a credential.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}
