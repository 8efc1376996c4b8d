//! Ends tokens at the service when their connection has ended here (R3.1).

use connector_core::credential::Credential;
use connector_core::engine::{ConnectionRow, EngineError, FeedEntry, FeedKind, SecretRow, Write, WriteSet};
use connector_core::error::{Error, Result};
use connector_core::id::ConnectionId;
use connector_core::ports::SealContext;
use connector_core::runtime::Runtime;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::providers::Revocation;
use super::{Inner, OAuth, OAuthError, store_failed};

/// Names of secrets that hold a token to be revoked.
const PREFIX: &str = "revocation/";

/// What it is sealed for.
const PURPOSE: &str = "revocation";

/// For how long it is tried.
const TIME_TO_TRY: SignedDuration = SignedDuration::from_hours(48);

/// When it is tried again: after this, then twice as long each time, up to an hour.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// Revocations that are read at once.
const PAGE: usize = 100;

/// A token to be revoked.
#[derive(Serialize, Deserialize)]
struct Due {
    provider: String,
    /// Sealed as a credential.
    credential: String,
    /// The connection that ended with it; none where it never came to belong to one.
    #[serde(default)]
    connection: Option<ConnectionId>,
    #[serde(default)]
    tries: u32,
    #[serde(default)]
    not_before: Option<Timestamp>,
}

impl OAuth {
    /// Revokes what is to be revoked now. When to look again; none if nothing is left.
    pub(crate) async fn revoke_due(&self, runtime: &Runtime) -> Result<Option<Timestamp>, EngineError> {
        let inner = &self.inner;
        let mut next: Option<Timestamp> = None;
        let mut after = None;
        loop {
            let rows = inner.engine.secrets(PREFIX.to_owned(), after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(next) };
            after = Some(last.name.clone());
            for row in rows {
                let again = inner.revoke_one(runtime, row).await?;
                next = [next, again].into_iter().flatten().min();
            }
        }
    }

    /// Revokes as long as the host runs.
    pub(crate) async fn keep_revoking(self, runtime: Runtime) {
        loop {
            let woken = self.inner.revoking.due.notified();
            let next = match self.revoke_due(&runtime).await {
                Ok(next) => next,
                Err(EngineError::Closed) => return,
                Err(error) => {
                    tracing::error!("the tokens to be revoked cannot be read: {error}");
                    self.inner.clock.now().checked_add(LONGEST_PAUSE).ok()
                }
            };
            match next {
                Some(at) => {
                    let timer = self.inner.clock.sleep_until(at);
                    futures_util::future::select(std::pin::pin!(woken), timer).await;
                }
                None => woken.await,
            }
        }
    }
}

impl Inner {
    /// A token that nobody needs any more, since this connection ended or because it came to belong to none.
    pub(super) fn revocation_of(
        &self,
        provider: &str,
        credential: &Credential,
        connection: Option<ConnectionId>,
    ) -> Result<Write, EngineError> {
        let failed = |error: String| EngineError::Failed(error);
        let name = format!("{PREFIX}{}", self.engine.take_ids(1));
        let due = Due {
            provider: provider.to_owned(),
            credential: credential.seal(&*self.vault, &name).map_err(|error| failed(error.to_string()))?,
            connection,
            tries: 0,
            not_before: None,
        };
        let json = serde_json::to_vec(&due).map_err(|error| failed(error.to_string()))?;
        Ok(Write::PutSecret {
            row: SecretRow {
                connection: None,
                sealed: self.vault.seal(&SealContext::stored(PURPOSE, &name), &json),
                name,
                expires_at: self.clock.now().checked_add(TIME_TO_TRY).ok(),
                version: 0,
            },
            expect: None,
        })
    }

    /// What is stored with the end of a connection: its credential goes, if no other connection has it.
    pub(super) async fn release(&self, connection: &ConnectionRow) -> Result<Vec<Write>> {
        let Some(name) = &connection.credential else { return Ok(Vec::new()) };
        if self.is_shared(connection, name).await? {
            return Ok(Vec::new());
        }
        let mut writes = vec![Write::DeleteSecret { name: name.clone(), expect: None }];
        let revokes = self.provider_of(&connection.connector).and_then(|id| self.known_settings(id));
        // What is not discovered yet may tell of an endpoint.
        if let Some(settings) =
            revokes.filter(|settings| settings.discovers || settings.revocation() != Revocation::None)
            && settings.client_id.is_some()
            && let Ok(Some((_, credential))) = self.read(name).await
            && credential.refused.is_none()
        {
            writes.push(self.revocation_of(settings.id, &credential, Some(connection.id))?);
        }
        Ok(writes)
    }

    /// Another connection of the workspace has the same credential (R1.4).
    async fn is_shared(&self, connection: &ConnectionRow, name: &str) -> Result<bool, Error> {
        if *name == format!("credential/{}", connection.id.number()) {
            return Ok(false);
        }
        let mut after = None;
        loop {
            let rows = self.engine.connections(None, Some(connection.connector.clone()), after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(false) };
            after = Some(last.id);
            if rows.iter().any(|row| row.id != connection.id && row.credential.as_deref() == Some(name)) {
                return Ok(true);
            }
        }
    }

    /// Tries one of them; when it is to be tried again.
    async fn revoke_one(&self, runtime: &Runtime, row: SecretRow) -> Result<Option<Timestamp>, EngineError> {
        let now = self.clock.now();
        let plain = self.vault.open(&SealContext::stored(PURPOSE, &row.name), &row.sealed).ok();
        let due = plain.and_then(|plain| serde_json::from_slice::<Due>(&plain).ok());
        let connection = due.as_ref().and_then(|due| due.connection);
        let Some(mut due) = due.filter(|_| row.expires_at.is_some_and(|at| at > now)) else {
            tracing::warn!(secret = %row.name, "a token was not revoked at its service in time, and is forgotten");
            return drop_secret(runtime, &row, FeedKind::NotRevoked, connection).await;
        };
        if let Some(at) = due.not_before.filter(|at| *at > now) {
            return Ok(Some(at));
        }
        match self.revoke(&row.name, &due).await {
            Ok(true) => {
                tracing::debug!(provider = %due.provider, "a token was revoked");
                drop_secret(runtime, &row, FeedKind::Revoked, connection).await
            }
            Ok(false) => drop_secret(runtime, &row, FeedKind::NotRevoked, connection).await,
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(1_i32 << due.tries.min(12)).min(LONGEST_PAUSE);
                tracing::warn!(provider = %due.provider, tries = due.tries + 1, "a token could not be revoked yet: {error}");
                due.tries += 1;
                due.not_before = now.checked_add(pause).ok();
                let again = due.not_before;
                let json = serde_json::to_vec(&due).map_err(|error| EngineError::Failed(error.to_string()))?;
                let expect = Some(row.version);
                let sealed = self.vault.seal(&SealContext::stored(PURPOSE, &row.name), &json);
                let row = SecretRow { sealed, ..row };
                match self.commit([Write::PutSecret { row, expect }]).await {
                    // Another host tried it too.
                    Ok(()) | Err(connector_core::engine::CommitError::RecordConflict) => Ok(again),
                    Err(error) => Err(store_failed(error)),
                }
            }
        }
    }

    async fn revoke(&self, name: &str, due: &Due) -> Result<bool, OAuthError> {
        let lost = |error: Error| OAuthError::Lost { provider: "the host", reason: error.to_string() };
        let credential = Credential::open(&*self.vault, name, &due.credential).map_err(lost)?;
        let settings = self.settings(&due.provider).await?;
        self.protocol(&settings).revoke(&credential).await
    }
}

/// Nothing more is done about a token; who follows the feed learns what became of it.
async fn drop_secret(
    runtime: &Runtime,
    row: &SecretRow,
    outcome: FeedKind,
    connection: Option<ConnectionId>,
) -> Result<Option<Timestamp>, EngineError> {
    let gone = Write::DeleteSecret { name: row.name.clone(), expect: None };
    let told = connection.map(|id| Write::Feed(FeedEntry::new(outcome, id, id)));
    runtime.ports().engine.commit(WriteSet::of([gone].into_iter().chain(told))).await.map_err(store_failed)?;
    Ok(None)
}
