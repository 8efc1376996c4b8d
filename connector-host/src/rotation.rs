//! Seals credentials, secure options and the secrets of webhooks anew while the host runs (design 7). It can be
//! stopped at any moment: what was sealed under an older key still opens, and the next rotation goes on.
//!
//! Old data keys are kept, sealed under the operator's first key: callback tokens are sealed under them, and those are
//! with services and in what connectors have stored, where nobody can replace them. What passes by itself is not
//! sealed anew either: tasks that wait, deliveries, stored answers to repeated requests.
//!
//! The same walk binds what an earlier version sealed to its place, once for each database, before anything runs.

use connector_core::engine::{CommitError, Engine, EngineError, SecretRow, Write, WriteSet};
use connector_core::ports::{SealContext, Vault};
use connector_core::runtime::Runtime;
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Config;
use crate::host::{HostError, operator_keys, store_data_keys};
use crate::vault::KeyVault;

/// The setting that names the key of a rotation that has not ended.
const ROTATING_SETTING: &str = "vault/rotating";

/// The setting that says that nothing in the database is sealed for its purpose alone.
const BOUND_SETTING: &str = "vault/bound";

/// Secrets that are read at once.
const PAGE: usize = 200;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rotated {
    /// The id of the operator's key that data keys are sealed under now. Its other keys can be removed.
    pub operator_key: String,
    /// The id of the data key that seals now. Those before it are kept: callback tokens and webhooks need them.
    pub data_key: String,
    /// Number of credentials, authorizations under way, connections with secure options and webhooks that were sealed
    /// anew.
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
    put_setting(engine, ROTATING_SETTING, Some(data_key.clone())).await?;
    let resealed = reseal_all(runtime, engine, vault, &|sealed| !vault.is_current(sealed)).await?;
    put_setting(engine, ROTATING_SETTING, None).await?;
    Ok(Rotated { operator_key: vault.key_id(), data_key, resealed })
}

/// Binds what an earlier version sealed for its purpose alone to its place. A value that does not open stays as it is,
/// and so does an option of a connector that is not linked: a rotation tries both again.
pub(crate) async fn bind_to_places(runtime: &Runtime, engine: &dyn Engine, vault: &KeyVault) -> Result<(), HostError> {
    if engine.setting(BOUND_SETTING.to_owned()).await?.is_some() {
        return Ok(());
    }
    // Also those of the data keys.
    store_data_keys(engine, vault).await?;
    let bound = reseal_all(runtime, engine, vault, &|sealed| !KeyVault::is_bound(sealed)).await?;
    if bound > 0 {
        tracing::info!(bound, "what was sealed by an earlier version is bound to its place now");
    }
    Ok(put_setting(engine, BOUND_SETTING, Some("1".to_owned())).await?)
}

/// Seals everything anew for which `is_old` is true; the number of rows that were written.
async fn reseal_all(
    runtime: &Runtime,
    engine: &dyn Engine,
    vault: &KeyVault,
    is_old: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<usize, HostError> {
    let (mut resealed, mut after) = (0, None);
    loop {
        let rows = engine.secrets(String::new(), after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.name.clone());
        for row in rows {
            resealed += usize::from(reseal(engine, vault, row, is_old).await?);
        }
    }
    Ok(resealed + runtime.reseal(is_old).await.map_err(HostError::Rotate)?)
}

async fn reseal(
    engine: &dyn Engine,
    vault: &KeyVault,
    row: SecretRow,
    is_old: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<bool, EngineError> {
    let name = row.name.clone();
    let mut row = Some(row);
    while let Some(before) = row.filter(|row| is_old(&row.sealed)) {
        // Secrets are sealed for what their names begin with.
        let context = SealContext::stored(name.split('/').next().unwrap_or_default(), &name);
        let Ok(plain) = vault.open(&context, &before.sealed) else {
            tracing::error!(secret = %name, "it does not open, and stays as it is");
            return Ok(false);
        };
        let expect = Some(before.version);
        let put = Write::PutSecret { row: SecretRow { sealed: vault.seal(&context, &plain), ..before }, expect };
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

async fn put_setting(engine: &dyn Engine, name: &str, value: Option<String>) -> Result<(), EngineError> {
    let put = Write::PutSetting { name: name.to_owned(), value: value.map(|id| id.into_bytes().into()) };
    engine.commit(WriteSet::of([put])).await.map(drop).map_err(|error| EngineError::Failed(error.to_string()))
}
