//! API keys: kept as hashes, so that who reads the database has none.

use std::sync::Arc;

use connector_core::engine::{CommitError, Engine, EngineError, EngineResult, Expect, Write, WriteSet};
use connector_core::secret::Secret;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sessions::Session;
use crate::vault::{hex, random_secret};

/// Names of settings that hold keys: the hash of the key follows.
const PREFIX: &str = "api_key/";

/// Names of settings that hold the hash of the key with the name that follows. A commit expects that there is none, so
/// one of several requests gets a name. Keys of an earlier version have none.
const NAME_PREFIX: &str = "api_key_name/";

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
        let taken = || ApiKeyError::Exists(name.to_owned());
        // A key of an earlier version has no setting for its name.
        if self.stored().await?.iter().any(|(_, info)| info.name == name) {
            return Err(taken());
        }
        let key = Secret::new(format!("ck_{}", random_secret().expose()));
        let hash = hash(key.expose());
        let info = KeyInfo { name: name.to_owned(), created_at: now };
        let value = serde_json::to_vec(&info).map_err(|error| EngineError::Failed(error.to_string()))?;
        let name_setting = format!("{NAME_PREFIX}{name}");
        let expect = Expect::Setting { name: name_setting.clone(), value: None };
        let writes = [
            Write::PutSetting { name: format!("{PREFIX}{hash}"), value: Some(value.into()) },
            Write::PutSetting { name: name_setting, value: Some(hash.into_bytes().into()) },
        ];
        if self.commit(expect, writes).await? { Ok(key) } else { Err(taken()) }
    }

    /// Ends all keys with this name. Databases of an earlier version may hold several.
    pub(crate) async fn revoke(&self, name: &str) -> Result<(), ApiKeyError> {
        let name_setting = format!("{NAME_PREFIX}{name}");
        loop {
            // Who makes the same name anew meanwhile changes the setting: then all is read again.
            let named = self.engine.setting(name_setting.clone()).await?;
            let stored = self.stored().await?;
            let keys = stored.into_iter().filter(|(_, info)| info.name == name).map(|(setting, _)| setting);
            let mut writes: Vec<_> = keys.map(|name| Write::PutSetting { name, value: None }).collect();
            if writes.is_empty() && named.is_none() {
                return Err(ApiKeyError::Unknown(name.to_owned()));
            }
            writes.push(Write::PutSetting { name: name_setting.clone(), value: None });
            let expect = Expect::Setting { name: name_setting.clone(), value: named };
            if self.commit(expect, writes).await? {
                return Ok(());
            }
        }
    }

    /// Stores the writes if what is expected holds; whether it did.
    async fn commit(&self, expect: Expect, writes: impl IntoIterator<Item = Write>) -> EngineResult<bool> {
        let set = WriteSet { expects: vec![expect], ..WriteSet::of(writes) };
        match self.engine.commit(set).await {
            Ok(_) => Ok(true),
            Err(CommitError::RecordConflict) => Ok(false),
            Err(CommitError::Engine(error)) => Err(error),
            Err(other) => Err(EngineError::Failed(other.to_string())),
        }
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
