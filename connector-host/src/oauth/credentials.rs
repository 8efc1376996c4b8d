//! Tokens, fresh (R8.1, L15): one refresh at a time for each credential, also across hosts, and what a
//! provider gave in place of a token is stored before anyone uses it.

use std::sync::{Arc, PoisonError};

use connector_core::clock::BoxFuture;
use connector_core::credential::Credential;
use connector_core::engine::{CommitError, ConnectionRow, SecretRow, Write};
use connector_core::error::{Error, Result};
use connector_core::ports::Credentials;
use connector_core::secret::Secret;
use jiff::{SignedDuration, Timestamp};

use super::providers::Refresh;
use super::{Inner, OAuth, OAuthError};

/// Who refreshes has it for this long, which is more than all of its requests may take; after that, it is taken to have died.
const LEASE: SignedDuration = SignedDuration::from_secs(25);

/// How long to wait before looking again whether another host is done.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// How often new tokens are tried to be stored, and how long after each failure.
const STORE_TRIES: u32 = 8;
const STORE_PAUSE: SignedDuration = SignedDuration::from_millis(250);

impl Credentials for OAuth {
    fn token<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async move {
            let Some(name) = &connection.credential else { return Ok(None) };
            let inner = &self.inner;
            let held = match inner.held.get(name) {
                Ok(held) => held,
                Err(before) => match inner.read(name).await? {
                    Some((_, credential)) => inner.held.hold(before, name, credential),
                    None => return Ok(None),
                },
            };
            if let Some(reason) = &held.refused {
                return Err(Error::needs_reauth(reason.clone()));
            }
            if is_fresh(&held, inner.clock.now()) {
                return Ok(Some(held.access_token.clone()));
            }
            inner.renewed(connection, name, None).await
        })
    }

    fn replace<'a>(
        &'a self,
        connection: &'a ConnectionRow,
        refused: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async move {
            let Some(name) = &connection.credential else { return Ok(None) };
            self.inner.renewed(connection, name, Some(refused.clone())).await
        })
    }

    fn release<'a>(&'a self, connection: &'a ConnectionRow) -> BoxFuture<'a, Result<Vec<Write>>> {
        Box::pin(async move { self.inner.release(connection).await })
    }
}

/// Nothing has to be done for it now.
fn is_fresh(credential: &Credential, now: Timestamp) -> bool {
    let due = credential.refresh_at.or(credential.expires_at);
    credential.refused.is_none() && due.is_none_or(|due| due > now)
}

impl Inner {
    pub(super) async fn read(&self, name: &str) -> Result<Option<(SecretRow, Credential)>> {
        let Some(row) = self.engine.secret(name.to_owned()).await? else { return Ok(None) };
        let credential = Credential::open(&*self.vault, name, &row.sealed)?;
        Ok(Some((row, credential)))
    }

    /// A token that is not the refused one. The work goes on when the dispatch that waits for it ends:
    /// what the provider gave must be stored.
    async fn renewed(
        self: &Arc<Self>,
        connection: &ConnectionRow,
        name: &str,
        refused: Option<Secret>,
    ) -> Result<Option<Secret>> {
        let (inner, connection, name) = (Arc::clone(self), connection.clone(), name.to_owned());
        let work = tokio::spawn(async move {
            let lock = inner.lock_of(&name);
            let guard = lock.lock().await;
            let before = inner.held.now();
            let renewed = inner.renew(&connection, &name, refused.as_ref()).await;
            drop(guard);
            inner.forget_lock(&name, lock);
            // One that could not be stored must be remembered: the provider takes the one before no more.
            renewed.map(|renewed| renewed.map(|new| inner.held.hold(before, &name, new).access_token.clone()))
        });
        work.await.unwrap_or_else(|error| Err(Error::bug("the refresh of a token failed").with_source(error)))
    }

    fn lock_of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }

    /// Removes a lock that nobody else waits for.
    fn forget_lock(&self, name: &str, lock: Arc<tokio::sync::Mutex<()>>) {
        let mut locks = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&lock) <= 2 {
            locks.remove(name);
        }
    }

    async fn renew(
        &self,
        connection: &ConnectionRow,
        name: &str,
        refused: Option<&Secret>,
    ) -> Result<Option<Credential>> {
        let provider = self.provider_of(&connection.connector);
        loop {
            let Some((row, held)) = self.read(name).await? else { return Ok(None) };
            if let Some(reason) = &held.refused {
                return Err(Error::needs_reauth(reason.clone()));
            }
            let now = self.clock.now();
            let good = match refused {
                Some(refused) => held.access_token != *refused,
                None => is_fresh(&held, now),
            };
            if good {
                return Ok(Some(held));
            }
            let lives = refused.is_none() && held.expires_at.is_none_or(|at| at > now);
            let Some(provider) = provider.filter(|_| held.refresh_token.is_some()) else {
                return match (lives, refused) {
                    (true, _) => Ok(Some(held)),
                    (false, Some(_)) => Ok(None),
                    (false, None) => {
                        Err(Error::needs_reauth("the token has ended, and there is none to get another with"))
                    }
                };
            };
            if let Some(until) = held.refreshing_until.filter(|until| *until > now) {
                // Another host asks for it at this moment.
                let next = now.checked_add(LOOK_AGAIN).map_or(until, |next| next.min(until));
                self.clock.sleep_until(next).await;
                continue;
            }
            let turn = match self.endpoints.turn(provider).await {
                Ok(turn) => turn,
                Err(_) if lives => return Ok(Some(held)),
                Err(until) => {
                    let reason =
                        format!("the token has ended, and {provider} gives no other now: it is asked at {until}");
                    return Err(Error::transient(reason));
                }
            };
            let settings = match self.settings(provider).await {
                Ok(settings) => settings,
                Err(error) => {
                    turn.end(!matches!(error, OAuthError::Lost { .. }));
                    return if lives { Ok(Some(held)) } else { Err(transient(&error)) };
                }
            };
            if settings.data.refresh == Refresh::Never {
                return Ok(Some(held).filter(|_| lives));
            }
            // It may have waited for its turn.
            let now = self.clock.now();
            let claimed = Credential { refreshing_until: now.checked_add(LEASE).ok(), ..held.clone() };
            match self.put(&row, &claimed).await {
                Ok(()) => {}
                Err(CommitError::RecordConflict) => continue,
                Err(error) => return Err(error.into()),
            }
            let row = SecretRow { version: row.version + 1, ..row };
            tracing::debug!(connection = %connection.id, provider, "refreshing the token");
            let refreshed = self.protocol(&settings).refresh(&held, !turn.is_probe).await;
            turn.end(!matches!(refreshed, Err(OAuthError::Lost { .. })));
            let took = self.clock.now().duration_since(now).as_secs_f64();
            metrics::histogram!("connectors_token_refresh_seconds", "provider" => provider).record(took);
            let result = match &refreshed {
                Ok(_) => "ok",
                Err(error) if error.is_void() => "void",
                Err(_) => "failed",
            };
            metrics::counter!("connectors_token_refreshes_total", "provider" => provider, "outcome" => result)
                .increment(1);
            let (after, outcome) = match refreshed {
                Ok(fresh) => (fresh.clone(), Ok(Some(fresh))),
                Err(error) if error.is_void() => {
                    let reason = format!("the account has to be authorized again: {error}");
                    let after = Credential { refused: Some(reason.clone()), ..held };
                    (after, Err(Error::needs_reauth(reason)))
                }
                // Not this time; the token that there is may do for a while.
                Err(error) => {
                    tracing::warn!(connection = %connection.id, provider, "the token could not be refreshed: {error}");
                    let outcome = if lives { Ok(Some(held.clone())) } else { Err(transient(&error)) };
                    (held, outcome)
                }
            };
            match self.put_surely(&row, &after).await {
                Ok(()) => return outcome,
                // It was authorized anew, or another host took over: what is stored now counts.
                Err(CommitError::RecordConflict) => {}
                Err(error) => {
                    tracing::error!(connection = %connection.id, provider, "a new token could not be stored: {error}");
                    return outcome;
                }
            }
        }
    }

    async fn put(&self, before: &SecretRow, credential: &Credential) -> std::result::Result<(), CommitError> {
        let sealed = credential
            .seal(&*self.vault, &before.name)
            .map_err(|error| CommitError::Engine(connector_core::engine::EngineError::Failed(error.to_string())))?;
        let row = SecretRow { sealed, ..before.clone() };
        self.commit([Write::PutSecret { row, expect: Some(before.version) }]).await
    }

    /// A provider may give these tokens once only: a store that fails is tried again.
    async fn put_surely(&self, before: &SecretRow, credential: &Credential) -> std::result::Result<(), CommitError> {
        let mut pause = STORE_PAUSE;
        for _ in 1..STORE_TRIES {
            match self.put(before, credential).await {
                Err(CommitError::Engine(error)) => tracing::warn!("a new token could not be stored yet: {error}"),
                done => return done,
            }
            if let Ok(at) = self.clock.now().checked_add(pause) {
                self.clock.sleep_until(at).await;
            }
            pause = pause.saturating_mul(2);
        }
        self.put(before, credential).await
    }
}

fn transient(error: &OAuthError) -> Error {
    Error::transient(format!("the token has ended, and no other could be had: {error}"))
}
