//! API keys: kept as hashes, so that who reads the database has none.

use std::sync::Arc;

use bytes::Bytes;
use connector_core::engine::{CommitError, Engine, EngineError, EngineResult, Write, WriteSet};
use connector_core::secret::Secret;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sessions::Session;
use crate::vault::{hex, random_secret};

/// Names of settings that hold keys: the hash of the key follows.
const PREFIX: &str = "api_key/";

/// Longest name of a key, in characters.
const LONGEST_NAME: usize = 64;

/// What is known of an API key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyInfo {
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

/// Who has sent a token.
pub(crate) enum Bearer {
    /// The holder of an API key, by its hash.
    Key(String),
    /// A user, in a session.
    Session(Session),
}

/// Why there is no such key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiKeyError {
    #[error("there is a key `{0}` already: revoke it first, or choose another name")]
    Exists(String),
    #[error("there is no key `{0}`")]
    Unknown(String),
    #[error("the name of a key has 1 to {LONGEST_NAME} letters, digits, `.`, `_` and `-`")]
    BadName,
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<CommitError> for ApiKeyError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Engine(error) => Self::Engine(error),
            // A setting has no version that another write could change.
            other => Self::Engine(EngineError::Failed(other.to_string())),
        }
    }
}

/// The keys that open the API.
pub(crate) struct ApiKeys {
    engine: Arc<dyn Engine>,
    /// Hashes of keys that are not in the store.
    fixed: Vec<String>,
}

impl ApiKeys {
    /// Keys of the store, and these.
    pub(crate) fn new<'a>(engine: Arc<dyn Engine>, fixed: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self { engine, fixed: fixed.into_iter().map(|key| hash(key.expose())).collect() }
    }

    /// The hash of a key, if it is valid. Hashes are compared, so that the time it takes tells nothing about the key.
    pub(crate) async fn accepts(&self, key: &str) -> EngineResult<Option<String>> {
        let hash = hash(key);
        let valid = self.fixed.contains(&hash) || self.engine.setting(format!("{PREFIX}{hash}")).await?.is_some();
        Ok(valid.then_some(hash))
    }

    pub(crate) async fn list(&self) -> EngineResult<Vec<KeyInfo>> {
        Ok(self.stored().await?.into_iter().map(|(_, info)| info).collect())
    }

    /// Makes a key. It is never shown again.
    pub(crate) async fn create(&self, name: &str, now: Timestamp) -> Result<Secret, ApiKeyError> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(allowed) {
            return Err(ApiKeyError::BadName);
        }
        if self.stored().await?.iter().any(|(_, info)| info.name == name) {
            return Err(ApiKeyError::Exists(name.to_owned()));
        }
        let key = Secret::new(format!("ck_{}", random_secret().expose()));
        let info = KeyInfo { name: name.to_owned(), created_at: now };
        let value = serde_json::to_vec(&info).map_err(|error| EngineError::Failed(error.to_string()))?;
        self.put(format!("{PREFIX}{}", hash(key.expose())), Some(value.into())).await?;
        Ok(key)
    }

    pub(crate) async fn revoke(&self, name: &str) -> Result<(), ApiKeyError> {
        let stored = self.stored().await?;
        let found = stored.into_iter().find(|(_, info)| info.name == name);
        let (setting, _) = found.ok_or_else(|| ApiKeyError::Unknown(name.to_owned()))?;
        self.put(setting, None).await
    }

    async fn put(&self, name: String, value: Option<Bytes>) -> Result<(), ApiKeyError> {
        self.engine.commit(WriteSet::of([Write::PutSetting { name, value }])).await?;
        Ok(())
    }

    async fn stored(&self) -> EngineResult<Vec<(String, KeyInfo)>> {
        let settings = self.engine.settings(PREFIX.to_owned()).await?;
        let keys = settings.into_iter().filter_map(|(name, value)| Some((name, serde_json::from_slice(&value).ok()?)));
        Ok(keys.collect())
    }
}

fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}
