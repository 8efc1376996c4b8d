//! The authorization of a connection, from the first click to the token (RFC 6749 4.1, RFC 9700).
//!
//! It has two steps, each with a row of its own that is used up by the next one. The API gives out a *ticket*: the
//! link to a page of the host, which says what would be connected, and to whom. Whoever confirms there gets a cookie
//! and is sent to the provider with a *state*, whose row has the digest of the cookie. An answer of the provider that
//! another browser brings connects nothing: an account is bound to the person who saw the page (RFC 6749 10.12,
//! RFC 9700 4.7). A link straight to the provider would not do, as whoever follows it connects their account to
//! the connection of the one who sent it.

use std::collections::HashMap;
use std::sync::Arc;

use connector_core::credential::Credential;
use connector_core::declaration::Declaration;
use connector_core::engine::{CommitError, ConnectionRow, ConnectionStatus, EngineError, SecretRow, Write};
use connector_core::id::{ConnectionId, UserId, WorkspaceId};
use connector_core::ports::SealContext;
use connector_core::runtime::{ActionError, Requester, Runtime};
use connector_core::secret::Secret;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::protocol::OAuthError;
use super::providers::Flow;
use super::{AUTHORIZE_PATH, Inner, OAuth, store_failed};
use crate::sessions::Session;
use crate::vault::{hex, random_secret};

/// How long a ticket is good for, and then a state.
pub(crate) const TIME_TO_AUTHORIZE: SignedDuration = SignedDuration::from_mins(15);

/// Names of secrets that hold an authorization under way: the digest of its ticket or its state follows.
const PREFIX: &str = "authorization/";

/// What it is sealed for.
const PURPOSE: &str = "authorization";

/// What is said of a ticket or a state that is not there.
const OVER: &str = "this link was used already, or is too old, or is not from here: start again where you came from";

/// Expired ones that are removed at a time.
const SWEPT: usize = 100;

/// An authorization under way.
#[derive(Serialize, Deserialize)]
struct Pending {
    connection: ConnectionId,
    user: UserId,
    provider: String,
    /// Session that has begun it, with whose end it is void, though not with its expiry. `None` for an operator.
    #[serde(default)]
    session: Option<Session>,
    #[serde(default)]
    return_to: Option<Url>,
    /// `None` until it is confirmed: then the row is that of a ticket, else that of a state.
    #[serde(default)]
    confirmed: Option<Confirmed>,
}

/// What is known of an authorization since it was confirmed.
#[derive(Serialize, Deserialize)]
struct Confirmed {
    /// Digest of the cookie that the browser got.
    browser: String,
    asked: Vec<String>,
    redirect: Url,
    #[serde(default)]
    verifier: Option<String>,
}

/// What the page tells of an authorization before it is confirmed.
pub(crate) struct Explanation {
    pub(crate) connector: &'static Declaration,
    /// User to whom the account is going to belong.
    pub(crate) user: UserId,
    pub(crate) workspace: Option<WorkspaceId>,
    /// Name of the connection, if it was authorized before.
    pub(crate) again: Option<String>,
    /// Scopes that the provider is asked for.
    pub(crate) scopes: Vec<String>,
    /// Labels of the optional scope groups that were chosen.
    pub(crate) groups: Vec<&'static str>,
    /// Page of the provider that the user is sent to.
    pub(crate) authorize_url: Url,
    /// Place where the user is sent at the end.
    pub(crate) return_to: Option<Url>,
}

/// A confirmed authorization.
pub(crate) struct Sent {
    /// Page of the provider.
    pub(crate) url: Url,
    /// What the browser has to bring with the answer.
    pub(crate) browser: Secret,
}

/// Why a connection was not authorized.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowError {
    /// What came back does not belong to anything that was asked.
    #[error("{0}")]
    Unasked(String),
    /// Another browser than the one that confirmed the authorization brought the answer.
    #[error(
        "this authorization was not begun in this browser, so nothing was connected: go on in the browser in which it was confirmed, or start again where you came from"
    )]
    OtherBrowser,
    /// The page was not confirmed by the person who saw it, as far as the host can tell.
    #[error(
        "this was not confirmed on the page of this host, or the browser keeps no cookies, so nothing was begun: open the link again, and confirm there"
    )]
    NotConfirmed,
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
    Done {
        connection: ConnectionId,
        /// Cookie of the browser, which is of no use any more.
        browser: String,
        return_to: Option<Url>,
        failed: Option<FlowError>,
    },
    /// The token is in the fragment, which the page has to send.
    Fragment { state: String, return_to: Option<Url> },
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

    /// The page on which the user authorizes a connection. It can be confirmed once, and for a while.
    pub(crate) async fn start(
        &self,
        runtime: &Runtime,
        row: &ConnectionRow,
        return_to: Option<&str>,
        session: Option<&Session>,
    ) -> Result<Url, FlowError> {
        let inner = &self.inner;
        let return_to = return_to.map(|url| inner.allowed(url)).transpose()?;
        let provider = inner
            .provider_of(&row.connector)
            .ok_or_else(|| ActionError::Invalid(format!("{} has no provider to authorize it at", row.connector)))?;
        // What the provider lacks is told now, and not on the page.
        inner.protocol(&inner.settings(provider).await?).ask(&inner.redirect, &random_secret(), &[])?;
        let ticket = random_secret();
        let pending = Pending {
            connection: row.id,
            user: row.owner.clone(),
            provider: provider.to_owned(),
            session: session.cloned(),
            return_to,
            confirmed: None,
        };
        runtime.may_authorize(row, &pending.requester()).await?;
        let mut writes = inner.expired().await?;
        writes.push(inner.put_pending(&ticket, &pending)?);
        inner.commit(writes).await.map_err(store_failed)?;
        let page = format!("{}/{AUTHORIZE_PATH}/{}", inner.base.as_str().trim_end_matches('/'), ticket.expose());
        Ok(Url::parse(&page).map_err(|error| EngineError::Failed(error.to_string()))?)
    }

    /// What the page of a ticket says.
    pub(crate) async fn explain(&self, runtime: &Runtime, ticket: &str) -> Result<Explanation, FlowError> {
        let (_, _, explanation) = self.inner.ticket(runtime, ticket).await?;
        Ok(explanation)
    }

    /// Uses up a ticket: the user goes on to the provider.
    pub(crate) async fn confirm(&self, runtime: &Runtime, ticket: &str) -> Result<Sent, FlowError> {
        let inner = &self.inner;
        let (secret, pending, Explanation { scopes: asked, .. }) = inner.ticket(runtime, ticket).await?;
        let settings = inner.settings(&pending.provider).await?;
        let (state, browser) = (random_secret(), random_secret());
        let asking = inner.protocol(&settings).ask(&inner.redirect, &state, &asked)?;
        let confirmed = Confirmed {
            browser: digest(browser.expose()),
            asked,
            redirect: inner.redirect.clone(),
            verifier: asking.verifier.map(|verifier| verifier.expose().to_owned()),
        };
        let put = inner.put_pending(&state, &Pending { confirmed: Some(confirmed), ..pending })?;
        let used = Write::DeleteSecret { name: secret.name, expect: Some(secret.version) };
        match inner.commit([used, put]).await {
            Ok(()) => Ok(Sent { url: asking.url, browser }),
            Err(CommitError::RecordConflict) => Err(FlowError::Unasked(OVER.to_owned())),
            Err(error) => Err(store_failed(error).into()),
        }
    }

    /// Takes what a provider sends back with the user, and with it the cookies of authorizations that the browser has.
    pub(crate) async fn returned(
        &self,
        runtime: &Runtime,
        parameters: &HashMap<String, String>,
        browsers: &[String],
        fragment_sent: bool,
    ) -> Result<Returned, FlowError> {
        let inner = &self.inner;
        let unasked = |text: &str| FlowError::Unasked(text.to_owned());
        let state = parameters.get("state").ok_or_else(|| unasked("there is no `state` with it"))?;
        let (secret, pending) = inner.under_way(state).await?;
        let confirmed = pending.confirmed.as_ref().ok_or_else(|| unasked(OVER))?;
        // Nothing is used up by anyone else's browser.
        let browser = browsers.iter().find(|browser| digest(browser) == confirmed.browser);
        let browser = browser.ok_or(FlowError::OtherBrowser)?.clone();
        let asks_token = inner.providers.get(pending.provider.as_str()).map(|settings| settings.data.flow);
        let is_fragment = asks_token == Some(Flow::Fragment);
        if fragment_sent != is_fragment && fragment_sent {
            return Err(unasked("the provider sends no token this way"));
        }
        if is_fragment && !fragment_sent && !parameters.contains_key("error") {
            return Ok(Returned::Fragment { state: state.clone(), return_to: pending.return_to });
        }
        // From here on it is used up, whatever comes of it.
        match inner.commit([Write::DeleteSecret { name: secret.name, expect: Some(secret.version) }]).await {
            Ok(()) => {}
            Err(CommitError::RecordConflict) => return Err(unasked(OVER)),
            Err(error) => return Err(store_failed(error).into()),
        }
        let row = inner.connection_of(runtime, &pending).await?;
        let failed = inner.complete(runtime, &pending, confirmed, parameters).await.err();
        if let Some(error) = &failed {
            tracing::warn!(connection = %row.id, provider = %pending.provider, "not authorized: {error}");
            runtime.authorization_failed(row.id, &error.to_string()).await?;
        }
        Ok(Returned::Done { connection: row.id, browser, return_to: pending.return_to, failed })
    }
}

impl Inner {
    /// An authorization under way, by its ticket or state.
    async fn under_way(&self, key: &str) -> Result<(SecretRow, Pending), FlowError> {
        let over = || FlowError::Unasked(OVER.to_owned());
        let name = name_of(key);
        let secret = self.engine.secret(name.clone()).await?.ok_or_else(over)?;
        if secret.expires_at.is_none_or(|at| at <= self.clock.now()) {
            return Err(over());
        }
        let plain = self.vault.open(&SealContext::stored(PURPOSE, name), &secret.sealed).map_err(|_| over())?;
        let pending: Pending = serde_json::from_slice(&plain).map_err(|_| over())?;
        if pending.session.as_ref().is_some_and(|session| self.sessions.has_ended(session)) {
            return Err(FlowError::Unasked("the session that asked for this has ended: start again".to_owned()));
        }
        Ok((secret, pending))
    }

    /// The same, as the row that is stored.
    fn put_pending(&self, key: &Secret, pending: &Pending) -> Result<Write, EngineError> {
        let json = serde_json::to_vec(pending).map_err(|error| EngineError::Failed(error.to_string()))?;
        let name = name_of(key.expose());
        let row = SecretRow {
            connection: Some(pending.connection),
            sealed: self.vault.seal(&SealContext::stored(PURPOSE, &name), &json),
            name,
            expires_at: self.clock.now().checked_add(TIME_TO_AUTHORIZE).ok(),
            version: 0,
        };
        Ok(Write::PutSecret { row, expect: None })
    }

    /// The connection of an authorization, which is that of the same user and provider still.
    async fn connection_of(&self, runtime: &Runtime, pending: &Pending) -> Result<Arc<ConnectionRow>, FlowError> {
        let row = runtime.connection(pending.connection).await?;
        if row.owner != pending.user || self.provider_of(&row.connector) != Some(pending.provider.as_str()) {
            return Err(FlowError::Unasked("the connection that this is for is another's".to_owned()));
        }
        Ok(row)
    }

    /// An authorization that was not confirmed yet.
    async fn ticket(&self, runtime: &Runtime, ticket: &str) -> Result<(SecretRow, Pending, Explanation), FlowError> {
        let over = || FlowError::Unasked(OVER.to_owned());
        let (secret, pending) = self.under_way(ticket).await?;
        if pending.confirmed.is_some() {
            return Err(over());
        }
        let row = self.connection_of(runtime, &pending).await?;
        runtime.may_authorize(&row, &pending.requester()).await?;
        let connector = self.registry.get(row.connector.as_str()).ok_or_else(over)?.declaration;
        let settings = self.settings(&pending.provider).await?;
        let chosen = connector.scopes.optional.iter().filter(|group| row.scope_groups.iter().any(|id| id == group.id));
        let explanation = Explanation {
            connector,
            user: row.owner.clone(),
            workspace: row.workspace.clone().filter(|_| connector.shared),
            again: (row.status != ConnectionStatus::AwaitingAuthorization).then(|| row.name.clone()),
            scopes: runtime.scopes_to_ask(&row)?,
            groups: chosen.map(|group| group.label).collect(),
            authorize_url: settings.authorize_url.clone().ok_or_else(over)?,
            return_to: pending.return_to.clone(),
        };
        Ok((secret, pending, explanation))
    }

    async fn complete(
        &self,
        runtime: &Runtime,
        pending: &Pending,
        confirmed: &Confirmed,
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
                let verifier = confirmed.verifier.clone().map(Secret::new);
                if settings.data.pkce && verifier.is_none() {
                    return Err(FlowError::Unasked("the verifier of the code challenge is missing".to_owned()));
                }
                self.protocol(&settings)
                    .exchange(code, &confirmed.redirect, verifier.as_ref(), &confirmed.asked)
                    .await?
            }
            Flow::Fragment => {
                let token = parameters
                    .get("token")
                    .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
                let token = token.ok_or_else(|| missing("token"))?;
                let mut credential = Credential::new(Secret::new(token));
                credential.asked_scopes.clone_from(&confirmed.asked);
                credential
            }
        };
        let admitted = runtime.authorize(pending.connection, credential.clone(), &pending.requester()).await;
        if let Err(error) = admitted {
            // It is of no use to anyone now.
            self.commit([self.revocation_of(settings.id, &credential, None)?]).await.map_err(store_failed)?;
            self.revoking.due.notify_one();
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

impl Pending {
    fn requester(&self) -> Requester {
        self.session.as_ref().map_or(Requester::Operator, |session| Requester::User(session.user.clone()))
    }
}

/// A ticket or a state is as good as a key, so the store has its digest.
fn name_of(key: &str) -> String {
    format!("{PREFIX}{}", digest(key))
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// What a provider says, as far as it is shown.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
}
