//! Seals credentials and secure options anew while the host runs (design 7). It can be stopped at any moment: what
//! was sealed under an older key still opens, and the next rotation goes on.
//!
//! Old data keys are kept, sealed under the operator's first key. Callback tokens and the URLs of webhooks are sealed
//! under them, and those are with services and in what connectors have stored, where nobody can replace them. So
//! what lies beside those is not sealed anew either: secrets of webhooks, tasks that wait, stored answers to
//! repeated requests.

use connector_core::engine::{CommitError, Engine, EngineError, SecretRow, Write, WriteSet};
use connector_core::ports::Vault;
use connector_core::runtime::Runtime;
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Config;
use crate::host::{HostError, operator_keys, store_data_keys};
use crate::vault::KeyVault;

/// The setting that names the key of a rotation that has not ended.
const ROTATING_SETTING: &str = "vault/rotating";

/// Secrets that are read at once.
const PAGE: usize = 200;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rotated {
    /// The id of the operator's key that data keys are sealed under now. Its other keys can be removed.
    pub operator_key: String,
    /// The id of the data key that seals now. Those before it are kept: callback tokens and webhooks need them.
    pub data_key: String,
    /// The credentials, authorizations under way and connections with secure options that were sealed anew.
    pub resealed: usize,
}

pub(crate) async fn rotate(
    config: &Config,
    runtime: &Runtime,
    engine: &dyn Engine,
    vault: &KeyVault,
) -> Result<Rotated, HostError> {
    vault.take_operator_keys(operator_keys(config, Some(&vault.key_id()))?);
    let current = |vault: &KeyVault| vault.sealed_data_keys().into_iter().next().map(|(id, _)| id).unwrap_or_default();
    let unfinished = engine.setting(ROTATING_SETTING.to_owned()).await?;
    if unfinished.is_none_or(|id| id != current(vault).as_bytes()) {
        vault.make_data_key();
    }
    // The key is stored before anything is sealed under it alone.
    store_data_keys(engine, vault).await?;
    let data_key = current(vault);
    put_setting(engine, Some(data_key.clone())).await?;
    let mut resealed = 0;
    let mut after = None;
    loop {
        let rows = engine.secrets(String::new(), after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.name.clone());
        for row in rows {
            resealed += usize::from(reseal(engine, vault, row).await?);
        }
    }
    resealed += runtime.reseal_options(&|sealed: &str| !vault.is_current(sealed)).await.map_err(HostError::Rotate)?;
    put_setting(engine, None).await?;
    Ok(Rotated { operator_key: vault.key_id(), data_key, resealed })
}

async fn reseal(engine: &dyn Engine, vault: &KeyVault, row: SecretRow) -> Result<bool, EngineError> {
    let name = row.name.clone();
    let mut row = Some(row);
    while let Some(before) = row.filter(|row| !vault.is_current(&row.sealed)) {
        // Secrets are sealed for what their names begin with.
        let purpose = name.split('/').next().unwrap_or_default();
        let Ok(plain) = vault.open(purpose, &before.sealed) else {
            tracing::error!(secret = %name, "it does not open, and stays as it is");
            return Ok(false);
        };
        let expect = Some(before.version);
        let put = Write::PutSecret { row: SecretRow { sealed: vault.seal(purpose, &plain), ..before }, expect };
        match engine.commit(WriteSet::of([put])).await {
            Ok(_) => return Ok(true),
            // It was changed meanwhile, which has sealed it anew, or not.
            Err(CommitError::RecordConflict) => row = engine.secret(name.clone()).await?,
            Err(CommitError::Engine(error)) => return Err(error),
            Err(other) => return Err(EngineError::Failed(other.to_string())),
        }
    }
    Ok(false)
}

async fn put_setting(engine: &dyn Engine, value: Option<String>) -> Result<(), EngineError> {
    let put = Write::PutSetting { name: ROTATING_SETTING.to_owned(), value: value.map(|id| id.into_bytes().into()) };
    engine.commit(WriteSet::of([put])).await.map(drop).map_err(|error| EngineError::Failed(error.to_string()))
}
