//! A host: a store, connectors that run on it, and the API, in one value that a program embeds.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use connector_core::clock::Clock;
use connector_core::declaration::Provider;
use connector_core::engine::{CommitError, Counts, Engine, EngineError, EngineResult, Write, WriteSet};
use connector_core::network::NetworkPort;
use connector_core::ports::{Ports, Vault};
use connector_core::registry::{Registry, RegistryErrors};
use connector_core::runtime::{ActionError, Runtime, Workers};
use connector_core::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};

use crate::api::{Recent, UnderWay, forget_answers};
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::deliveries::KeptDeliveries;
use crate::detached::Detached;
use crate::engine::{SqliteEngine, SqliteOptions};
use crate::keys::{ApiKeyError, ApiKeys, Bearer};
use crate::limits::CallerLimits;
use crate::network::HttpClient;
use crate::oauth::{OAuth, Parts};
use crate::rotation::Rotated;
use crate::server::serve;
use crate::sessions::Sessions;
use crate::vault::{KeyError, KeyVault, random_secret};

/// The setting that names the operator's key under which data keys are sealed.
const KEY_SETTING: &str = "vault_key";

/// Settings that hold data keys, whose id follows; and the one that names the one which seals.
const DATA_KEY_SETTING: &str = "vault/data/";
const FIRST_DATA_KEY_SETTING: &str = "vault/first";

/// The setting that is written to see whether one can write.
const CHECK_SETTING: &str = "last_check";

/// The first API key has at least this many characters.
const SHORTEST_API_KEY: usize = 32;

/// Entries of the feed that are kept, where the configuration does not say.
const FEED_ENTRIES: u64 = 1_000_000;

/// Entries of the feed that are removed at once.
const TRIM_STEP: u64 = 10_000;

/// How long what callers without a key can ask for is told again.
const FRESH: Duration = Duration::from_secs(1);

/// Least time between two looks for what nobody needs, so that whoever causes them does not keep the store busy.
const PAUSE: Duration = Duration::from_millis(250);

/// How long what nobody needs any more may stay.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// What the lock file calls the address of the API, and the key for it.
pub(crate) const LOCK_URL: &str = "url";
pub(crate) const LOCK_KEY: &str = "key";

/// Why a host does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The connectors do not go together.
    #[error(transparent)]
    Registry(#[from] RegistryErrors),
    /// The vault's keys are not to be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Nobody can connect there.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The address of the listener is not known.
    #[error("the address that the API listens on is not known: {0}")]
    Serve(std::io::Error),
    /// What is sealed could not be sealed anew.
    #[error("what is sealed cannot be sealed anew: {0}")]
    Rotate(ActionError),
    /// Connections could not be brought to the versions of their connectors.
    #[error("the connections cannot be upgraded: {0}")]
    Upgrade(ActionError),
    /// The file that tells other processes where the API is cannot be written.
    #[error("the lock file of the database cannot be written: {0}")]
    LockFile(std::io::Error),
}

/// Runs the connectors of a registry on a database. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    runtime: Runtime,
    engine: Arc<SqliteEngine>,
    keys: ApiKeys,
    sessions: Arc<Sessions>,
    /// Notified when API keys or sessions may have become invalid.
    tokens_changed: watch::Sender<()>,
    oauth: OAuth,
    vault: Arc<KeyVault>,
    /// One rotation of the vault's keys at a time.
    rotating: Mutex<()>,
    /// Opens the API to processes that can read the lock file.
    local_key: Secret,
    limits: CallerLimits,
    under_way: UnderWay,
    detached: Detached,
    recent: Recent,
    deliveries: KeptDeliveries,
    /// When the store last took the write that checks it.
    checked: Mutex<Option<Instant>>,
    /// How much the store holds, and when that was counted.
    counted: Mutex<Option<(Instant, Counts)>>,
    workers: Mutex<Option<Workers>>,
    stopping: watch::Sender<bool>,
}

impl Host {
    /// Opens the database and connects everything to it. Nothing runs yet; what users do is stored.
    pub async fn open(config: Config, registry: Registry) -> Result<Self, HostError> {
        Self::open_with_clock(config, registry, Arc::new(SystemClock)).await
    }

    /// The same by another clock than the machine's, which tests of what takes hours and days move themselves.
    pub async fn open_with_clock(config: Config, registry: Registry, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        check_providers(&config, &registry)?;
        check_api_key(&config)?;
        let engine = open_engine(&config).await?;
        match Self::assemble(config, registry, &engine, clock).await {
            Ok(host) => Ok(host),
            Err(error) => {
                if let Err(error) = engine.close().await {
                    tracing::warn!("the database was not closed: {error}");
                }
                Err(error)
            }
        }
    }

    async fn assemble(
        config: Config,
        registry: Registry,
        engine: &Arc<SqliteEngine>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HostError> {
        let keys_of_vault = Arc::new(open_vault(&config, &**engine).await?);
        let vault = Arc::clone(&keys_of_vault) as Arc<dyn Vault>;
        let engine_port = Arc::clone(engine) as Arc<dyn Engine>;
        let network: Arc<dyn NetworkPort> = Arc::new(HttpClient::new(config.allow_private));
        let tokens_changed = watch::Sender::new(());
        let sessions = Sessions::open(Arc::clone(&vault), Arc::clone(&engine_port), tokens_changed.clone());
        let sessions = Arc::new(sessions.await?);
        let oauth = OAuth::new(
            &config,
            Parts {
                registry: registry.clone(),
                engine: Arc::clone(&engine_port),
                network: Arc::clone(&network),
                clock: Arc::clone(&clock),
                vault: Arc::clone(&vault),
                sessions: Arc::clone(&sessions),
            },
        )?;
        let credentials = Arc::new(oauth.clone());
        let ports = Ports { engine: engine_port, network, clock, credentials, vault };
        let local_key = random_secret();
        let fixed = config.api_key.iter().chain([&local_key]);
        let keys = ApiKeys::new(Arc::clone(engine) as Arc<dyn Engine>, fixed);
        crate::metrics::recorder();
        let limits = CallerLimits::new(&config.limits);
        let runtime = Runtime::new(registry, ports, config.runtime());
        let deliveries = KeptDeliveries::new(runtime.max_delivery_bytes());
        crate::rotation::bind_to_places(&runtime, &**engine, &keys_of_vault).await?;
        runtime.claim_connections().await.map_err(HostError::Upgrade)?;
        let shared = Shared {
            config,
            runtime,
            engine: Arc::clone(engine),
            keys,
            sessions,
            tokens_changed,
            oauth,
            vault: keys_of_vault,
            rotating: Mutex::default(),
            local_key,
            limits,
            under_way: UnderWay::default(),
            detached: Detached::default(),
            recent: Recent::default(),
            deliveries,
            checked: Mutex::default(),
            counted: Mutex::default(),
            workers: Mutex::new(None),
            stopping: watch::Sender::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Starts the workers: what is due runs from now on.
    pub async fn start(&self) -> Result<(), HostError> {
        let mut workers = self.shared.workers.lock().await;
        if workers.is_none() {
            self.runtime().upgrade_connections().await.map_err(HostError::Upgrade)?;
            *workers = Some(self.runtime().start().await?);
            tokio::spawn(housekeeping(self.clone()));
            let revoking = self.oauth().clone().keep_revoking(self.runtime().clone());
            let mut stopping = self.stopping();
            tokio::spawn(async move {
                tokio::select! {
                    () = revoking => {}
                    _ = stopping.wait_for(|stopping| *stopping) => {}
                }
            });
        }
        Ok(())
    }

    /// Serves the API until `stop` comes back, and then until the requests under way are answered, or
    /// `limits.shutdown_time` has passed. Other processes of this user can find it by the database's lock file.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), HostError> {
        let address = listener.local_addr().map_err(HostError::Serve)?;
        let info = [
            (LOCK_URL.to_owned(), format!("http://{}", reachable(address))),
            (LOCK_KEY.to_owned(), self.shared.local_key.expose().to_owned()),
        ];
        self.shared.engine.set_lock_info(&info).map_err(HostError::LockFile)?;
        let host = self.clone();
        let stop = async move {
            stop.await;
            host.stop();
        };
        serve(listener, self.router(), self.config().server(), stop).await;
        Ok(())
    }

    /// Ends what waits for changes, streams above all: a server that is to stop would wait for them.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Lets the requests and then the tasks that run end, each for at most `limits.shutdown_time`, and closes the
    /// database. A task that has not ended by then is stopped, and runs again at the next start.
    pub async fn shutdown(&self) -> Result<(), HostError> {
        self.stop();
        let time = self.config().server().shutdown_time;
        if tokio::time::timeout(time, self.detached().ended()).await.is_err() {
            tracing::warn!("requests were not done within {} s, and end with the process", time.as_secs_f64());
        }
        if let Some(workers) = self.shared.workers.lock().await.take()
            && tokio::time::timeout(time, workers.stop(self.runtime())).await.is_err()
        {
            tracing::warn!("tasks were not done within {} s: they run again at the next start", time.as_secs_f64());
        }
        Ok(self.shared.engine.close().await?)
    }

    /// The HTTP API, to be mounted at the root of a server (design 6.2).
    pub fn router(&self) -> Router {
        crate::api::router(self.clone())
    }

    /// What runs the connectors.
    pub fn runtime(&self) -> &Runtime {
        &self.shared.runtime
    }

    /// Seals credentials and secure options under a new key, and the data keys, old ones too, under what is now the
    /// operator's first key.
    pub async fn rotate_vault(&self) -> Result<Rotated, HostError> {
        let _one_at_a_time = self.shared.rotating.lock().await;
        crate::rotation::rotate(self.config(), self.runtime(), self.engine(), &self.shared.vault).await
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.shared.engine
    }

    pub(crate) fn keys(&self) -> &ApiKeys {
        &self.shared.keys
    }

    pub(crate) fn limits(&self) -> &CallerLimits {
        &self.shared.limits
    }

    pub(crate) fn under_way(&self) -> &UnderWay {
        &self.shared.under_way
    }

    /// Requests that go on by themselves.
    pub(crate) fn detached(&self) -> &Detached {
        &self.shared.detached
    }

    /// The newest entries of the change feed.
    pub(crate) fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    /// How much is kept of what services pushed.
    pub(crate) fn deliveries(&self) -> &KeptDeliveries {
        &self.shared.deliveries
    }

    /// Writes something, which a store that is read-only or full refuses. Whoever asks for it needs no key, so one
    /// check runs at a time, and one that succeeded counts for a second.
    pub(crate) async fn check_store(&self) -> EngineResult<()> {
        let mut checked = self.shared.checked.lock().await;
        if checked.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let now = self.runtime().ports().clock.now();
        let put = Write::PutSetting { name: CHECK_SETTING.to_owned(), value: Some(now.to_string().into()) };
        self.store([put]).await?;
        *checked = Some(Instant::now());
        Ok(())
    }

    /// How much the store holds, as it was at most a second ago: counting looks at every row, and needs no key either.
    pub(crate) async fn counts(&self) -> EngineResult<Counts> {
        let mut counted = self.shared.counted.lock().await;
        if let Some((at, counts)) = *counted
            && at.elapsed() < FRESH
        {
            return Ok(counts);
        }
        let counts = self.engine().counts().await?;
        *counted = Some((Instant::now(), counts));
        Ok(counts)
    }

    /// Whether the workers run, or were not started here.
    pub(crate) async fn workers_alive(&self) -> bool {
        self.shared.workers.lock().await.as_ref().is_none_or(Workers::alive)
    }

    /// Removes what services pushed and is no longer to be kept, and counts what is left.
    async fn prune_deliveries(&self) -> EngineResult<()> {
        self.deliveries().begin_count();
        self.runtime().prune_deliveries().await?;
        let counts = self.engine().counts().await?;
        self.deliveries().counted(counts.delivery_bytes);
        Ok(())
    }

    /// Removes the entries of the feed that are beyond what is kept, in steps that hold up nobody for long.
    pub(crate) async fn trim_feed(&self) -> EngineResult<()> {
        let kept = self.config().limits.feed_entries.map_or(FEED_ENTRIES, |count| u64::from(count.get()));
        let (mut start, end) = (self.engine().feed_start().await?, self.engine().feed_end().await?);
        while start + kept <= end {
            let upto = (end - kept).min(start + TRIM_STEP);
            self.store([Write::TrimFeed { upto }]).await?;
            start = upto + 1;
        }
        Ok(())
    }

    /// Stores what no other write can conflict with.
    pub(crate) async fn store(&self, writes: impl IntoIterator<Item = Write>) -> EngineResult<()> {
        match self.engine().commit(WriteSet::of(writes)).await {
            Ok(_) => Ok(()),
            Err(CommitError::Engine(error)) => Err(error),
            Err(other) => Err(EngineError::Failed(other.to_string())),
        }
    }

    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.shared.sessions
    }

    /// Who has sent this token; none if it is not valid.
    pub(crate) async fn bearer(&self, token: &str) -> EngineResult<Option<Bearer>> {
        if Sessions::is_token(token) {
            let now = self.runtime().ports().clock.now();
            return Ok(self.sessions().find(token, now).map(Bearer::Session));
        }
        Ok(self.keys().accepts(token).await?.map(Bearer::Key))
    }

    /// Changes whenever API keys or sessions may have become invalid.
    pub(crate) fn token_changes(&self) -> watch::Receiver<()> {
        self.shared.tokens_changed.subscribe()
    }

    /// Revokes the API keys of this name; whatever still goes on with one ends. It is done though nobody waits for it.
    pub(crate) async fn revoke_key(&self, name: String) -> Result<(), ApiKeyError> {
        let host = self.clone();
        let revoking = tokio::spawn(async move {
            let revoked = host.keys().revoke(&name).await;
            host.shared.tokens_changed.send_replace(());
            revoked
        });
        revoking.await.unwrap_or_else(|error| Err(EngineError::Failed(format!("no key was revoked: {error}")).into()))
    }

    pub(crate) fn oauth(&self) -> &OAuth {
        &self.shared.oauth
    }

    pub(crate) fn local_key(&self) -> &Secret {
        &self.shared.local_key
    }

    /// Turns true when the host is to stop: whoever waits for something, waits no more.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.shared.stopping.subscribe()
    }
}

/// Removes what nobody needs any more, until the host stops.
async fn housekeeping(host: Host) {
    let mut stopping = host.stopping();
    loop {
        host.limits().forget();
        let swept = async {
            host.trim_feed().await?;
            host.prune_deliveries().await?;
            host.runtime().prune_files().await?;
            host.sessions().forget(host.runtime().ports().clock.now()).await?;
            forget_answers(&host).await
        };
        if let Err(error) = swept.await {
            tracing::warn!("what is no longer needed could not be removed: {error}");
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(HOUSEKEEPING) => {}
            () = host.deliveries().many() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

async fn open_engine(config: &Config) -> Result<Arc<SqliteEngine>, HostError> {
    let path = config.database.clone();
    let options = SqliteOptions { durability: config.durability, ..SqliteOptions::default() };
    let opened = tokio::task::spawn_blocking(move || SqliteEngine::open(&path, options)).await;
    match opened {
        Ok(engine) => Ok(Arc::new(engine?)),
        Err(error) => Err(EngineError::Failed(error.to_string()).into()),
    }
}

/// The vault, which must have the key that the database was sealed under. A new key is made for a
/// new database alone: one that was lost is not replaced in silence.
async fn open_vault(config: &Config, engine: &dyn Engine) -> Result<KeyVault, HostError> {
    let sealed_under = text_setting(engine, KEY_SETTING).await?;
    let vault = operator_keys(config, sealed_under.as_deref())?;
    if let Some(sealed_under) = &sealed_under {
        vault.require(sealed_under)?;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stored = engine.settings(DATA_KEY_SETTING.to_owned()).await?;
    let stored: Vec<_> = stored
        .iter()
        .map(|(name, sealed)| (name.trim_start_matches(DATA_KEY_SETTING).to_owned(), text(sealed)))
        .collect();
    if let Some(first) = text_setting(engine, FIRST_DATA_KEY_SETTING).await? {
        vault.take_data_keys(&stored, &first)?;
    } else if sealed_under.is_none() {
        vault.make_data_key();
    }
    if sealed_under.as_deref() != Some(&vault.key_id()) {
        store_data_keys(engine, &vault).await?;
    }
    Ok(vault)
}

async fn text_setting(engine: &dyn Engine, name: &str) -> Result<Option<String>, EngineError> {
    let value = engine.setting(name.to_owned()).await?;
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// Stores all data keys, sealed under the operator's first key. From then on its others are of no use.
pub(crate) async fn store_data_keys(engine: &dyn Engine, vault: &KeyVault) -> Result<(), EngineError> {
    let put = |name: String, value: String| Write::PutSetting { name, value: Some(value.into_bytes().into()) };
    let keys = vault.sealed_data_keys();
    let mut writes: Vec<_> =
        keys.iter().map(|(id, sealed)| put(format!("{DATA_KEY_SETTING}{id}"), sealed.clone())).collect();
    writes.extend(keys.first().map(|(id, _)| put(FIRST_DATA_KEY_SETTING.to_owned(), id.clone())));
    writes.push(put(KEY_SETTING.to_owned(), vault.key_id()));
    engine.commit(WriteSet::of(writes)).await.map(drop).map_err(|error| match error {
        CommitError::Engine(error) => error,
        other => EngineError::Failed(other.to_string()),
    })
}

/// The operator's keys, from where the configuration says. A key file that is not there is made if nothing is
/// sealed yet, named in the configuration or not.
pub(crate) fn operator_keys(config: &Config, sealed_under: Option<&str>) -> Result<KeyVault, KeyError> {
    if let Some(keys) = &config.secret_key {
        return KeyVault::from_text(keys, "the setting `secret_key`");
    }
    let file = config.secret_key_file.clone().unwrap_or_else(|| key_file(config));
    match KeyVault::from_file(&file) {
        Err(KeyError::File { reason, .. }) if reason.kind() == std::io::ErrorKind::NotFound => match sealed_under {
            None => KeyVault::make_file(&file),
            Some(sealed_under) => Err(KeyError::Another {
                sealed_under: sealed_under.to_owned(),
                origin: format!("the key file {}", file.display()),
                held: "nothing: it is not there".to_owned(),
            }),
        },
        found => found,
    }
}

/// The key file that belongs to a database.
fn key_file(config: &Config) -> PathBuf {
    let mut path = config.database.clone().into_os_string();
    path.push(".key");
    path.into()
}

/// A provider that no connector can have is a typing error in its settings.
fn check_providers(config: &Config, registry: &Registry) -> Result<(), ConfigError> {
    let built_in = Provider::BUILT_IN.iter().map(Provider::id);
    let linked = registry.iter().filter_map(|connector| connector.declaration.provider);
    let custom = linked.filter_map(|provider| match provider {
        Provider::Custom(custom) => Some(custom.id),
        _ => None,
    });
    let known: BTreeSet<_> = built_in.chain(custom).collect();
    let unknown = config.providers.keys().filter(|id| !known.contains(id.as_str()));
    let list = || known.iter().copied().collect::<Vec<_>>().join(", ");
    let mistakes: Vec<_> =
        unknown.map(|id| format!("there is no provider `{id}` to configure: there are {}", list())).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(ConfigError(mistakes)) }
}

/// Refuses a first API key that is short enough to be guessed.
fn check_api_key(config: &Config) -> Result<(), ConfigError> {
    match config.api_key.as_ref().map(|key| key.expose().chars().count()) {
        Some(length) if length < SHORTEST_API_KEY => Err(ConfigError(vec![format!(
            "CONNECTORS_API_KEY has {length} characters, and needs at least {SHORTEST_API_KEY}: make one with `openssl rand -base64 32`, or leave it out and make a key with `connectors key create NAME`"
        )])),
        _ => Ok(()),
    }
}

/// Where a process of this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
