use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use super::{MemoryEngine, VirtualClock};
use crate::clock::BoxFuture;
use crate::hex;
use crate::id::{FileId, UserId};
use crate::network::{NetworkPort, Request, Response, StreamedResponse, TransportError, UrlRules};
use crate::ports::{Credentials, Ports, SealContext, StoredCredentials, Vault, VaultError};
use crate::registry::Registry;
use crate::runtime::{Config, Runtime};

/// How many tasks [`TestHost::settle`] runs before it says that they never end.
const MAX_TASKS: usize = 100_000;

/// A host for tests: the store is in memory, time is moved by the test, and tasks run one after the
/// other when the test says so. What users do, it does through [`runtime`](Self::runtime).
///
/// ```
/// # use connector_core::testing::TestHost;
/// # use connector_core::registry::Registry;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let host = TestHost::new(Registry::default());
/// host.settle().await;
/// host.advance(jiff::SignedDuration::from_hours(1)).await;
/// # });
/// ```
pub struct TestHost {
    runtime: Runtime,
    engine: Arc<MemoryEngine>,
    clock: Arc<VirtualClock>,
    network: Arc<Watched>,
    registry: Registry,
    config: Config,
    credentials: Option<Arc<dyn Credentials>>,
}

impl TestHost {
    /// A host for these connectors, with no service to reach.
    pub fn new(registry: Registry) -> Self {
        Self::with_network(registry, FakeService::new(|_| FakeService::answer(404, "no service")))
    }

    /// A host for these connectors, with this network: a [`FakeService`], or a real one.
    pub fn with_network(registry: Registry, network: impl NetworkPort) -> Self {
        let config = Config { strict: true, ..Config::default() };
        let clock = VirtualClock::new(Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH));
        Self::assemble(
            registry,
            Arc::new(MemoryEngine::new()),
            Arc::new(clock),
            Arc::new(Watched::new(network)),
            config,
            None,
        )
    }

    fn assemble(
        registry: Registry,
        engine: Arc<MemoryEngine>,
        clock: Arc<VirtualClock>,
        network: Arc<Watched>,
        config: Config,
        credentials: Option<Arc<dyn Credentials>>,
    ) -> Self {
        let vault = Arc::new(TestVault::default());
        let ports = Ports {
            engine: Arc::clone(&engine) as _,
            network: Arc::clone(&network) as _,
            clock: Arc::clone(&clock) as _,
            credentials: credentials
                .clone()
                .unwrap_or_else(|| Arc::new(StoredCredentials::new(Arc::clone(&engine) as _, Arc::clone(&vault) as _))),
            vault,
        };
        let runtime = Runtime::new(registry.clone(), ports, config.clone());
        Self { runtime, engine, clock, network, registry, config, credentials }
    }

    /// The same host with other limits or API addresses. Before anything has run on it.
    pub fn configure(self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.config;
        change(&mut config);
        Self::assemble(self.registry, self.engine, self.clock, self.network, config, self.credentials)
    }

    /// The same host with access tokens from elsewhere: for a test in which they expire or are revoked.
    /// Before anything has run on it.
    pub fn credentials(self, credentials: impl Credentials) -> Self {
        let credentials = Some(Arc::new(credentials) as _);
        Self::assemble(self.registry, self.engine, self.clock, self.network, self.config, credentials)
    }

    /// The API of a provider begins there.
    pub fn api_url(self, provider: &str, url: impl Into<String>) -> Self {
        let url = url.into();
        self.configure(|config| {
            config.api_urls.insert(provider.to_owned(), url);
        })
    }

    /// What users do.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The store, for faults.
    pub fn engine(&self) -> &MemoryEngine {
        &self.engine
    }

    /// Time.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// A user uploads a file, to attach it to what they write: in [`NewUserNote`](crate::runtime::NewUserNote) and
    /// [`Compose`](crate::runtime::Compose).
    ///
    /// # Panics
    ///
    /// When the store fails, or the file is larger than the host takes.
    #[allow(clippy::expect_used, reason = "a test's own store does not fail by itself")]
    pub async fn upload(&self, user: &UserId, name: &str, media_type: &str, bytes: impl Into<Bytes>) -> FileId {
        let mut upload = self.runtime.upload(name, Some(media_type)).await.expect("the store in memory is written");
        upload.write(bytes.into()).await.expect("the file is not too large");
        upload.finish(user).await.expect("the store in memory is written").id
    }

    /// Runs everything that is ready, and what comes of it, until nothing is left. No time passes, but
    /// for the pauses that a running dispatch makes itself.
    ///
    /// # Panics
    ///
    /// When tasks make new ones without end.
    #[allow(clippy::panic, reason = "a test that never ends is reported by a panic")]
    pub async fn settle(&self) {
        for _ in 0..MAX_TASKS {
            if !self.run(self.runtime.run_one()).await {
                return;
            }
        }
        panic!("{MAX_TASKS} tasks have run, and there are always more: something queues itself without end");
    }

    /// Runs one task that is ready; false if there is none.
    pub async fn step(&self) -> bool {
        self.run(self.runtime.run_one()).await
    }

    /// Lets time pass, and runs what becomes due, each at its time.
    pub async fn advance(&self, by: SignedDuration) {
        self.settle().await;
        let end = self.clock.now().checked_add(by).unwrap_or(Timestamp::MAX);
        while let Some(due) = self.runtime.next_due().filter(|due| *due <= end) {
            if due > self.clock.now() {
                self.clock.set(due);
            }
            self.settle().await;
        }
        if end > self.clock.now() {
            self.clock.set(end);
        }
        self.settle().await;
    }

    /// Drives something that waits for time: its own pauses pass at once, but never while it waits for the service.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        // A work that has to yield to other tasks of the executor does not wait for time.
        let mut work = pin!(tokio::task::unconstrained(work));
        loop {
            let done = poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                // Nothing but time can go on: the dispatch pauses before it tries again.
                Poll::Pending
                    if self.network.waiting.load(Ordering::Relaxed) == 0 && self.clock.next_wake().is_some() =>
                {
                    Poll::Ready(None)
                }
                Poll::Pending => Poll::Pending,
            })
            .await;
            match (done, self.clock.next_wake()) {
                (Some(value), _) => return value,
                (None, Some(wake)) => self.clock.set(wake),
                (None, None) => {}
            }
        }
    }

    /// The host as it comes up after it was killed: everything that was committed is there, and nothing else.
    pub async fn crash(&self) -> Self {
        self.started(self.registry.clone(), self.engine.crash()).await
    }

    /// The host as it starts on a backup of its store ([`MemoryEngine::restored`]), which then has nothing in common with
    /// the store of this one.
    pub async fn restore(&self, backup: MemoryEngine) -> Self {
        self.started(self.registry.clone(), backup).await
    }

    /// The same store under other connectors: a host after an upgrade.
    pub async fn upgrade(&self, registry: Registry) -> Self {
        self.started(registry, self.engine.reopen()).await
    }

    /// Another host on this store, with the clock, the network and the settings of this one.
    async fn started(&self, registry: Registry, engine: MemoryEngine) -> Self {
        let host = Self::assemble(
            registry,
            Arc::new(engine),
            Arc::clone(&self.clock),
            Arc::clone(&self.network),
            self.config.clone(),
            self.credentials.clone(),
        );
        host.load().await;
        host
    }

    #[allow(clippy::expect_used, reason = "a test's own store does not fail by itself")]
    async fn load(&self) {
        self.runtime.load().await.expect("the store in memory can be read");
    }
}

/// Counts requests that are under way, so that no time passes meanwhile.
struct Watched {
    inner: Box<dyn NetworkPort>,
    waiting: AtomicUsize,
}

impl Watched {
    fn new(inner: impl NetworkPort) -> Self {
        Self { inner: Box::new(inner), waiting: AtomicUsize::new(0) }
    }
}

/// A request that is under way.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NetworkPort for Watched {
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let _waiting = Waiting::new(&self.waiting);
            self.inner.send(request, rules).await
        })
    }

    fn open<'a>(
        &'a self,
        request: Request,
        rules: &'a UrlRules,
    ) -> BoxFuture<'a, Result<StreamedResponse, TransportError>> {
        Box::pin(async move {
            let _waiting = Waiting::new(&self.waiting);
            self.inner.open(request, rules).await
        })
    }
}

type Answer = Box<dyn FnMut(&Request) -> Result<Response, TransportError> + Send>;

/// A service that a test answers for. Only for what cannot be had for real: an invented service
/// answers what its author believes (L28).
#[derive(Clone)]
pub struct FakeService {
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeService {
    /// A service that answers by this function.
    pub fn new(mut answer: impl FnMut(&Request) -> Response + Send + 'static) -> Self {
        Self::failing(move |request| Ok(answer(request)))
    }

    /// A service that may fail to answer.
    pub fn failing(answer: impl FnMut(&Request) -> Result<Response, TransportError> + Send + 'static) -> Self {
        Self { answer: Arc::new(Mutex::new(Box::new(answer))), requests: Arc::default() }
    }

    /// A response with this status and body, as JSON.
    pub fn answer(status: u16, body: impl Into<Bytes>) -> Response {
        Self::answer_with(status, &[("content-type", "application/json")], body)
    }

    /// A response with headers. What is no header is left out.
    pub fn answer_with(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let request = Request::new(Method::GET, unspecified());
        Response::new(&request, status, map, body.into())
    }

    /// Everything that was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[allow(clippy::expect_used, reason = "a constant URL")]
fn unspecified() -> url::Url {
    url::Url::parse("https://service.test/").expect("a constant URL")
}

impl NetworkPort for FakeService {
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            if !rules.allows(&request.url) {
                return Err(TransportError::NotDeclared { url: crate::network::host_and_path(&request.url) });
            }
            let request = whole(request).await?;
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            let answer = (self.answer.lock().unwrap_or_else(PoisonError::into_inner))(&request);
            answer.map(|response| Response { url: request.url, method: request.method, ..response })
        })
    }
}

/// The request with its body in memory, as a service that is no real one looks at it.
pub(crate) async fn whole(request: Request) -> Result<Request, TransportError> {
    let collected = request.body.collected().await;
    let body = collected.map_err(|error| TransportError::Connection {
        url: crate::network::host_and_path(&request.url),
        reason: format!("the body could not be read: {error}"),
    })?;
    Ok(Request { body, ..request })
}

/// A vault that authenticates and does not hide: what a test stores, it may read.
#[derive(Default)]
struct TestVault {
    drawn: AtomicU64,
}

const TEST_KEY: &[u8] = b"the key of every test host";

fn tag(context: &SealContext<'_>, plain: &[u8]) -> String {
    let mut text = String::new();
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(TEST_KEY) {
        let associated = context.associated_data();
        mac.update(&(associated.len() as u64).to_be_bytes());
        mac.update(&associated);
        mac.update(plain);
        text = hex::encode(&mac.finalize().into_bytes());
        text.truncate(16);
    }
    text
}

impl Vault for TestVault {
    fn seal(&self, context: &SealContext<'_>, plain: &[u8]) -> String {
        format!("{}{}", tag(context, plain), hex::encode(plain))
    }

    fn open(&self, context: &SealContext<'_>, sealed: &str) -> Result<Vec<u8>, VaultError> {
        let (given, digits) = sealed.split_at_checked(16).ok_or(VaultError::NotSealed)?;
        let plain = hex::decode(digits).ok_or(VaultError::NotSealed)?;
        if tag(context, &plain) == given { Ok(plain) } else { Err(VaultError::Forged) }
    }

    fn random(&self) -> [u8; 16] {
        // The same in every run of a test.
        u128::from(self.drawn.fetch_add(1, Ordering::Relaxed))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
            .to_be_bytes()
    }
}
