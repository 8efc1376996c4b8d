//! OAuth 2.0: providers, the authorization of connections, and the tokens that come of it (R1.2, R1.3, R8.1).

mod credentials;
mod flow;
mod held;
mod outage;
mod protocol;
mod providers;
mod revocation;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use connector_core::clock::Clock;
use connector_core::engine::{
    CommitError, CommitListener, Committed, ConnectionChange, Engine, EngineError, Write, WriteSet,
};
use connector_core::id::ConnectorId;
use connector_core::network::NetworkPort;
use connector_core::ports::Vault;
use connector_core::registry::Registry;
use url::Url;

pub(crate) use flow::{Explanation, FlowError, Returned, Sent, TIME_TO_AUTHORIZE};
pub(crate) use protocol::OAuthError;

use crate::config::{Config, ConfigError};
use crate::sessions::Sessions;
use held::HeldCredentials;
use protocol::Protocol;
use settings::Settings;

/// Where providers send users back to, below the public URL.
pub(crate) const CALLBACK_PATH: &str = "oauth/callback";

/// The page on which an authorization is confirmed, below the public URL; its ticket follows.
pub(crate) const AUTHORIZE_PATH: &str = "oauth/authorize";

/// Authorizes connections and keeps their tokens fresh. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OAuth {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    engine: Arc<dyn Engine>,
    network: Arc<dyn NetworkPort>,
    clock: Arc<dyn Clock>,
    vault: Arc<dyn Vault>,
    sessions: Arc<Sessions>,
    providers: BTreeMap<&'static str, Arc<Settings>>,
    /// What discovery has told of them.
    discovered: Mutex<HashMap<&'static str, Arc<Settings>>>,
    /// The public URL.
    base: Url,
    redirect: Url,
    return_to: Vec<Url>,
    held: Arc<HeldCredentials>,
    refreshing: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// How the providers have answered to refreshes.
    endpoints: outage::Endpoints,
    revoking: Arc<Revoking>,
}

/// Wakes the task that revokes tokens.
#[derive(Default)]
struct Revoking {
    /// Notified when there may be a token to revoke.
    due: tokio::sync::Notify,
}

/// The end of a connection is stored together with the token that is to be revoked for it.
impl CommitListener for Revoking {
    fn committed(&self, sets: &mut dyn Iterator<Item = &Committed>) {
        let mut changes = sets.flat_map(|set| &set.connections);
        if changes.any(|change| matches!(change, ConnectionChange::Ended(_))) {
            self.due.notify_one();
        }
    }
}

/// What the host gives to it.
pub(crate) struct Parts {
    pub(crate) registry: Registry,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) network: Arc<dyn NetworkPort>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) sessions: Arc<Sessions>,
}

impl OAuth {
    pub(crate) fn new(config: &Config, parts: Parts) -> Result<Self, ConfigError> {
        let Parts { registry, engine, network, clock, vault, sessions } = parts;
        let providers = settings::all(config, &registry)?;
        let base = config.base_url()?;
        let redirect = Url::parse(&format!("{}/{CALLBACK_PATH}", base.as_str().trim_end_matches('/')))
            .map_err(|error| ConfigError(vec![format!("`{base}` cannot be what redirect URLs begin with: {error}")]))?;
        let revoking = Arc::new(Revoking::default());
        let listener: Weak<Revoking> = Arc::downgrade(&revoking);
        engine.listen(listener);
        let held = Arc::new(HeldCredentials::default());
        let listener: Weak<HeldCredentials> = Arc::downgrade(&held);
        engine.listen(listener);
        Ok(Self {
            inner: Arc::new(Inner {
                registry,
                engine,
                network,
                endpoints: outage::Endpoints::new(Arc::clone(&clock)),
                clock,
                vault,
                sessions,
                providers,
                discovered: Mutex::default(),
                base,
                redirect,
                return_to: config.return_to.clone(),
                held,
                refreshing: Mutex::default(),
                revoking,
            }),
        })
    }
}

impl OAuth {
    /// What redirects and links begin with.
    pub(crate) fn base(&self) -> &Url {
        &self.inner.base
    }
}

impl Inner {
    fn protocol(&self, settings: &Arc<Settings>) -> Protocol {
        Protocol { settings: Arc::clone(settings), network: Arc::clone(&self.network), now: self.clock.now() }
    }

    /// A provider, with its endpoints.
    async fn settings(&self, provider: &str) -> Result<Arc<Settings>, OAuthError> {
        let (id, settings) = self.providers.get_key_value(provider).ok_or_else(|| OAuthError::Lost {
            provider: "the host",
            reason: format!("it knows no provider `{provider}`"),
        })?;
        let known = self.discovered.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some(settings) = known {
            return Ok(settings);
        }
        let settings = Arc::new(self.protocol(settings).discover().await?);
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&settings));
        Ok(settings)
    }

    /// The same, as far as it is known without asking the provider.
    fn known_settings(&self, provider: &str) -> Option<Arc<Settings>> {
        let discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner).get(provider).cloned();
        discovered.or_else(|| self.providers.get(provider).cloned())
    }

    /// The provider of a connector.
    fn provider_of(&self, connector: &ConnectorId) -> Option<&'static str> {
        Some(self.registry.get(connector.as_str())?.declaration.provider?.id())
    }

    async fn commit(&self, writes: impl IntoIterator<Item = Write>) -> Result<(), CommitError> {
        self.engine.commit(WriteSet::of(writes)).await.map(drop)
    }
}

/// A refused commit of rows that nobody else writes.
fn store_failed(error: CommitError) -> EngineError {
    match error {
        CommitError::Engine(error) => error,
        other => EngineError::Failed(other.to_string()),
    }
}
