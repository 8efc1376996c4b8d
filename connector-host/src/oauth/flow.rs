//! The authorization of a connection, from the first click to the token (RFC 6749 4.1, RFC 9700).

use std::collections::HashMap;

use connector_core::credential::Credential;
use connector_core::engine::{CommitError, ConnectionRow, EngineError, SecretRow, Write};
use connector_core::id::{ConnectionId, UserId};
use connector_core::ports::SealContext;
use connector_core::runtime::{ActionError, Runtime};
use connector_core::secret::Secret;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::protocol::OAuthError;
use super::providers::Flow;
use super::{Inner, OAuth, store_failed};
use crate::vault::{hex, random_secret};

/// How long a user has for it.
const TIME_TO_AUTHORIZE: SignedDuration = SignedDuration::from_mins(15);

/// Names of secrets that hold an authorization under way: the hash of its state follows.
const PREFIX: &str = "authorization/";

/// What it is sealed for.
const PURPOSE: &str = "authorization";

/// Expired ones that are removed at a time.
const SWEPT: usize = 100;

/// An authorization under way.
#[derive(Serialize, Deserialize)]
struct Pending {
    connection: ConnectionId,
    user: UserId,
    provider: String,
    asked: Vec<String>,
    redirect: Url,
    #[serde(default)]
    verifier: Option<String>,
    #[serde(default)]
    return_to: Option<Url>,
}

/// Why a connection was not authorized.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowError {
    /// What came back does not belong to anything that was asked.
    #[error("{0}")]
    Unasked(String),
    /// The user is to be sent back to where the operator did not allow it.
    #[error("{0}")]
    Elsewhere(String),
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    #[error(transparent)]
    Action(#[from] ActionError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What the callback says to the user's browser.
pub(crate) enum Returned {
    /// The connection works, or why it does not, and where the user wanted to go then.
    Done { connection: ConnectionId, return_to: Option<Url>, failed: Option<FlowError> },
    /// The token is in the fragment, which the page has to send.
    Fragment { state: String },
}

impl OAuth {
    /// Refuses a provider that the operator has not registered the host at.
    pub(crate) fn configured(&self, provider: &str) -> Result<(), OAuthError> {
        match self.inner.providers.get_key_value(provider) {
            Some((id, settings)) if settings.client_id.is_none() => Err(OAuthError::NotConfigured(id)),
            _ => Ok(()),
        }
    }

    /// Refuses a place to send the user back to that the operator does not allow.
    pub(crate) fn check_return(&self, url: Option<&str>) -> Result<(), FlowError> {
        url.map_or(Ok(()), |url| self.inner.allowed(url).map(drop))
    }

    /// Where the user is sent to authorize a connection. What comes back is good for it once, and for a while.
    pub(crate) async fn start(
        &self,
        runtime: &Runtime,
        row: &ConnectionRow,
        return_to: Option<&str>,
    ) -> Result<Url, FlowError> {
        let inner = &self.inner;
        let return_to = return_to.map(|url| inner.allowed(url)).transpose()?;
        let provider = inner
            .provider_of(&row.connector)
            .ok_or_else(|| ActionError::Invalid(format!("{} has no provider to authorize it at", row.connector)))?;
        let settings = inner.settings(provider).await?;
        let asked = runtime.scopes_to_ask(row)?;
        let state = random_secret();
        let asking = inner.protocol(&settings).ask(&inner.redirect, &state, &asked)?;
        let pending = Pending {
            connection: row.id,
            user: row.owner.clone(),
            provider: provider.to_owned(),
            asked,
            redirect: inner.redirect.clone(),
            verifier: asking.verifier.map(|verifier| verifier.expose().to_owned()),
            return_to,
        };
        let json = serde_json::to_vec(&pending).map_err(|error| EngineError::Failed(error.to_string()))?;
        let name = name_of(state.expose());
        let secret = SecretRow {
            connection: Some(row.id),
            sealed: inner.vault.seal(&SealContext::stored(PURPOSE, &name), &json),
            name,
            expires_at: inner.clock.now().checked_add(TIME_TO_AUTHORIZE).ok(),
            version: 0,
        };
        let mut writes = inner.expired().await?;
        writes.push(Write::PutSecret { row: secret, expect: None });
        inner.commit(writes).await.map_err(store_failed)?;
        Ok(asking.url)
    }

    /// Takes what a provider sends back with the user.
    pub(crate) async fn returned(
        &self,
        runtime: &Runtime,
        parameters: &HashMap<String, String>,
        fragment_sent: bool,
    ) -> Result<Returned, FlowError> {
        let inner = &self.inner;
        let unasked = |text: &str| FlowError::Unasked(text.to_owned());
        let state = parameters.get("state").ok_or_else(|| unasked("there is no `state` with it"))?;
        let over = "this link was used already, or is too old, or is not from here: start again where you came from";
        let name = name_of(state);
        let secret = inner.engine.secret(name.clone()).await?.ok_or_else(|| unasked(over))?;
        let plain =
            inner.vault.open(&SealContext::stored(PURPOSE, &name), &secret.sealed).map_err(|_| unasked(over))?;
        let pending: Pending = serde_json::from_slice(&plain).map_err(|_| unasked(over))?;
        let asks_token = inner.providers.get(pending.provider.as_str()).map(|settings| settings.data.flow);
        let is_fragment = asks_token == Some(Flow::Fragment);
        if fragment_sent != is_fragment && fragment_sent {
            return Err(unasked("the provider sends no token this way"));
        }
        if is_fragment && !fragment_sent && !parameters.contains_key("error") {
            return Ok(Returned::Fragment { state: state.clone() });
        }
        // From here on it is used up, whatever comes of it.
        match inner.commit([Write::DeleteSecret { name, expect: Some(secret.version) }]).await {
            Ok(()) => {}
            Err(CommitError::RecordConflict) => return Err(unasked(over)),
            Err(error) => return Err(store_failed(error).into()),
        }
        if secret.expires_at.is_none_or(|at| at <= inner.clock.now()) {
            return Err(unasked(over));
        }
        let row = runtime.connection(pending.connection).await?;
        if row.owner != pending.user || inner.provider_of(&row.connector) != Some(pending.provider.as_str()) {
            return Err(unasked("the connection that this is for is another's"));
        }
        let failed = inner.complete(runtime, &pending, parameters).await.err();
        if let Some(error) = &failed {
            tracing::warn!(connection = %row.id, provider = %pending.provider, "not authorized: {error}");
            runtime.authorization_failed(row.id, &error.to_string()).await?;
        }
        Ok(Returned::Done { connection: row.id, return_to: pending.return_to, failed })
    }
}

impl Inner {
    async fn complete(
        &self,
        runtime: &Runtime,
        pending: &Pending,
        parameters: &HashMap<String, String>,
    ) -> Result<(), FlowError> {
        let settings = self.settings(&pending.provider).await?;
        // Another provider's answer, brought here by one that wants its code (RFC 9207 2.4).
        if let Some(issuer) = &settings.issuer {
            let said = parameters.get("iss").map(|said| said.trim_end_matches('/'));
            if said.is_some_and(|said| said != issuer) || (said.is_none() && settings.names_itself) {
                let said = shown(said.unwrap_or("someone who does not say who they are"));
                return Err(FlowError::Unasked(format!("this is the answer of {said}, and {issuer} was asked")));
            }
        }
        if let Some(error) = parameters.get("error") {
            return Err(OAuthError::Refused {
                provider: settings.id,
                error: shown(error),
                description: parameters.get("error_description").map(|text| shown(text)),
            }
            .into());
        }
        let missing = |what: &str| FlowError::Unasked(format!("{} sent no {what}", settings.id));
        let credential = match settings.data.flow {
            Flow::Code => {
                let code = parameters.get("code").ok_or_else(|| missing("code"))?;
                let verifier = pending.verifier.clone().map(Secret::new);
                if settings.data.pkce && verifier.is_none() {
                    return Err(FlowError::Unasked("the verifier of the code challenge is missing".to_owned()));
                }
                self.protocol(&settings).exchange(code, &pending.redirect, verifier.as_ref(), &pending.asked).await?
            }
            Flow::Fragment => {
                let token = parameters
                    .get("token")
                    .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
                let token = token.ok_or_else(|| missing("token"))?;
                let mut credential = Credential::new(Secret::new(token));
                credential.asked_scopes.clone_from(&pending.asked);
                credential
            }
        };
        let admitted = runtime.authorize(pending.connection, credential.clone()).await;
        if let Err(error) = admitted {
            // It is of no use to anyone now.
            self.commit([self.revocation_of(settings.id, &credential, None)?]).await.map_err(store_failed)?;
            self.revoking.notify_one();
            return Err(error.into());
        }
        Ok(())
    }

    /// A place to send the user back to, which the operator allows.
    fn allowed(&self, url: &str) -> Result<Url, FlowError> {
        let wanted =
            Url::parse(url).map_err(|error| FlowError::Elsewhere(format!("`return_to` is no URL: {error}")))?;
        let below = |place: &&Url| {
            let path = place.path().trim_end_matches('/');
            let rest = wanted.path().strip_prefix(path);
            place.origin() == wanted.origin()
                && matches!(wanted.scheme(), "http" | "https")
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let plain = wanted.username().is_empty() && wanted.password().is_none();
        if plain && self.return_to.iter().any(|place| below(&place)) {
            return Ok(wanted);
        }
        let places: Vec<_> = self.return_to.iter().map(Url::as_str).collect();
        let places = if places.is_empty() { "none".to_owned() } else { places.join(", ") };
        Err(FlowError::Elsewhere(format!(
            "users are not sent back to `{}`: the operator allows {places} (`oauth.return_to`)",
            wanted.origin().ascii_serialization()
        )))
    }

    /// Removes authorizations that nobody finished.
    async fn expired(&self) -> Result<Vec<Write>, EngineError> {
        let now = self.clock.now();
        let rows = self.engine.secrets(PREFIX.to_owned(), None, SWEPT).await?;
        let expired = rows.into_iter().filter(|row| row.expires_at.is_some_and(|at| at <= now));
        Ok(expired.map(|row| Write::DeleteSecret { name: row.name, expect: None }).collect())
    }
}

/// A state is as good as a key, so the store has its hash.
fn name_of(state: &str) -> String {
    format!("{PREFIX}{}", hex(&Sha256::digest(state.as_bytes())))
}

/// What a provider says, as far as it is shown.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
}
