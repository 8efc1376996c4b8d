//! Sessions of users: tokens that say whose they are and until when, sealed, so that none is stored.

use std::sync::Arc;

use connector_core::id::UserId;
use connector_core::ports::{SealContext, Vault};
use connector_core::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What tokens of sessions are sealed for.
const PURPOSE: &str = "session";

/// What they begin with, so that they are told from API keys.
const PREFIX: &str = "cs_";

#[derive(Serialize, Deserialize)]
struct Claims {
    user: UserId,
    expires_at: Timestamp,
}

/// Makes and reads the tokens.
pub(crate) struct Sessions {
    vault: Arc<dyn Vault>,
}

impl Sessions {
    pub(crate) fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault }
    }

    pub(crate) fn token(&self, user: &UserId, expires_at: Timestamp) -> Secret {
        let claims = Claims { user: user.clone(), expires_at };
        // A text and a time can always be written.
        let plain = serde_json::to_vec(&claims).unwrap_or_default();
        Secret::new(format!("{PREFIX}{}", self.vault.seal(&SealContext::token(PURPOSE), &plain)))
    }

    /// Whose session it is; none if this is no token of one, or it has ended.
    pub(crate) fn user(&self, token: &str, now: Timestamp) -> Option<UserId> {
        let plain = self.vault.open(&SealContext::token(PURPOSE), token.strip_prefix(PREFIX)?).ok()?;
        let claims: Claims = serde_json::from_slice(&plain).ok()?;
        (now < claims.expires_at).then_some(claims.user)
    }

    /// Whether it looks like a token of a session.
    pub(crate) fn is_token(token: &str) -> bool {
        token.starts_with(PREFIX)
    }
}
