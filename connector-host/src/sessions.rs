//! Sessions of users: tokens that name their user and the time of their end, sealed, so that no token is stored.
//!
//! What is stored are the ends that come before that time. The sessions that are ended one by one are remembered by
//! the digest of their token, and the end of all sessions of a user by an epoch: a token of another epoch is not valid.
//! A time would not do in the place of the epoch, as the clock of the machine may be set back. Both are kept until
//! the last of the tokens that they concern has expired by itself, which is after [`LONGEST`] at most, and of one user
//! there are at most [`MAX_ENDED`] of the former, so that memory and disk are bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::engine::{CommitError, Engine, EngineError, EngineResult, Write, WriteSet};
use connector_core::id::UserId;
use connector_core::ports::{SealContext, Vault};
use connector_core::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::vault::hex;

/// Longest time that a session lasts.
pub(crate) const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// Number of sessions of one user that are remembered as ended one by one. Beyond it, all of the user's sessions end.
const MAX_ENDED: usize = 100;

/// What tokens of sessions are sealed for.
const PURPOSE: &str = "session";

/// What they begin with, so that they are told from API keys.
const PREFIX: &str = "cs_";

/// Names of settings that hold the ended sessions of a user: the digest of the user's id follows.
const ENDED_PREFIX: &str = "ended_sessions/";

#[derive(Serialize, Deserialize)]
struct Claims {
    user: UserId,
    expires_at: Timestamp,
    /// Epoch of the user's sessions when the token was made; empty before the first one ended.
    #[serde(default)]
    epoch: String,
}

/// A session, as its token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user: UserId,
    pub(crate) expires_at: Timestamp,
    /// Digest of the token.
    id: String,
    epoch: String,
}

/// The ended sessions of one user.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ended {
    user: UserId,
    /// The one epoch whose tokens are valid. `None` while the tokens of all epochs are.
    epoch: Option<String>,
    /// Time at which the last token of an older epoch has expired.
    epoch_until: Timestamp,
    /// Digests of the tokens that were ended one by one, with the time at which each expires.
    tokens: BTreeMap<String, Timestamp>,
}

/// Makes, reads and ends the sessions.
pub(crate) struct Sessions {
    vault: Arc<dyn Vault>,
    engine: Arc<dyn Engine>,
    ended: Mutex<HashMap<UserId, Ended>>,
    /// One change of the stored rows at a time, so that a row has all that memory has.
    storing: tokio::sync::Mutex<()>,
    /// Notified when tokens may have become invalid.
    changed: watch::Sender<()>,
}

impl Sessions {
    /// Reads which sessions were ended. `changed` is notified when more are.
    pub(crate) async fn open(
        vault: Arc<dyn Vault>,
        engine: Arc<dyn Engine>,
        changed: watch::Sender<()>,
    ) -> EngineResult<Self> {
        let rows = engine.settings(ENDED_PREFIX.to_owned()).await?;
        let mut ended = HashMap::new();
        for (name, row) in rows {
            let row: Ended = serde_json::from_slice(&row)
                .map_err(|error| EngineError::Failed(format!("the setting `{name}` cannot be read: {error}")))?;
            ended.insert(row.user.clone(), row);
        }
        Ok(Self { vault, engine, ended: Mutex::new(ended), storing: tokio::sync::Mutex::default(), changed })
    }

    pub(crate) fn token(&self, user: &UserId, expires_at: Timestamp) -> Secret {
        let epoch = self.ended().get(user).and_then(|ended| ended.epoch.clone()).unwrap_or_default();
        let claims = Claims { user: user.clone(), expires_at, epoch };
        // Texts and a time can always be written.
        let plain = serde_json::to_vec(&claims).unwrap_or_default();
        Secret::new(format!("{PREFIX}{}", self.vault.seal(&SealContext::token(PURPOSE), &plain)))
    }

    /// The session of a token. `None` if it is not the token of a session, or the session is over.
    pub(crate) fn find(&self, token: &str, now: Timestamp) -> Option<Session> {
        let plain = self.vault.open(&SealContext::token(PURPOSE), token.strip_prefix(PREFIX)?).ok()?;
        let Claims { user, expires_at, epoch } = serde_json::from_slice(&plain).ok()?;
        let session = Session { user, expires_at, id: hex(&Sha256::digest(token.as_bytes())), epoch };
        (now < expires_at && !self.has_ended(&session)).then_some(session)
    }

    /// Whether the session was ended before its time.
    pub(crate) fn has_ended(&self, session: &Session) -> bool {
        let ended = self.ended();
        let Some(ended) = ended.get(&session.user) else { return false };
        ended.tokens.contains_key(&session.id) || ended.epoch.as_ref().is_some_and(|epoch| *epoch != session.epoch)
    }

    /// Ends one session.
    pub(crate) async fn end(self: &Arc<Self>, session: Session, now: Timestamp) -> EngineResult<()> {
        let epoch = self.new_epoch();
        self.change(session.user, now, move |ended| {
            ended.tokens.retain(|_, expires_at| *expires_at > now);
            ended.tokens.insert(session.id, session.expires_at);
            if ended.tokens.len() > MAX_ENDED {
                ended.end_all(epoch, now);
            }
        })
        .await
    }

    /// Ends all sessions that a user has now.
    pub(crate) async fn end_all(self: &Arc<Self>, user: UserId, now: Timestamp) -> EngineResult<()> {
        let epoch = self.new_epoch();
        self.change(user, now, move |ended| ended.end_all(epoch, now)).await
    }

    /// Removes what concerns tokens that have expired by themselves.
    pub(crate) async fn forget(&self, now: Timestamp) -> EngineResult<()> {
        let _one_at_a_time = self.storing.lock().await;
        let mut writes = Vec::new();
        self.ended().retain(|_, ended| {
            let before = ended.clone();
            ended.tokens.retain(|_, expires_at| *expires_at > now);
            if ended.epoch_until <= now {
                ended.epoch = None;
            }
            let kept = ended.epoch.is_some() || !ended.tokens.is_empty();
            if !kept || (before.tokens.len(), &before.epoch) != (ended.tokens.len(), &ended.epoch) {
                writes.push(ended.write(kept));
            }
            kept
        });
        if writes.is_empty() { Ok(()) } else { self.store(writes).await }
    }

    /// Whether it looks like a token of a session.
    pub(crate) fn is_token(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Changes what has ended of a user, in memory first: a session whose end cannot be stored has ended all the same,
    /// until the host starts again. It goes on when nobody waits for it any more.
    async fn change(
        self: &Arc<Self>,
        user: UserId,
        now: Timestamp,
        change: impl FnOnce(&mut Ended) + Send + 'static,
    ) -> EngineResult<()> {
        let sessions = Arc::clone(self);
        let changing = tokio::spawn(async move {
            let _one_at_a_time = sessions.storing.lock().await;
            let write = {
                let mut all = sessions.ended();
                let none = Ended { user: user.clone(), epoch: None, epoch_until: now, tokens: BTreeMap::new() };
                let ended = all.entry(user).or_insert(none);
                change(ended);
                ended.write(true)
            };
            sessions.changed.send_replace(());
            sessions.store(vec![write]).await
        });
        changing.await.unwrap_or_else(|error| Err(EngineError::Failed(format!("the session was not ended: {error}"))))
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<UserId, Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_epoch(&self) -> String {
        hex(&self.vault.random())
    }

    async fn store(&self, writes: Vec<Write>) -> EngineResult<()> {
        match self.engine.commit(WriteSet::of(writes)).await {
            Ok(_) => Ok(()),
            Err(CommitError::Engine(error)) => Err(error),
            // A setting has no version that another write could change.
            Err(other) => Err(EngineError::Failed(other.to_string())),
        }
    }
}

impl Ended {
    fn end_all(&mut self, epoch: String, now: Timestamp) {
        self.epoch = Some(epoch);
        self.epoch_until = now.checked_add(LONGEST).unwrap_or(Timestamp::MAX);
        self.tokens.clear();
    }

    /// Stores the row, or removes it.
    fn write(&self, kept: bool) -> Write {
        let name = format!("{ENDED_PREFIX}{}", hex(&Sha256::digest(self.user.as_str().as_bytes())));
        // Texts and times can always be written.
        let value = kept.then(|| serde_json::to_vec(self).unwrap_or_default().into());
        Write::PutSetting { name, value }
    }
}
