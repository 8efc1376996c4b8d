//! What a hook or callback works with: state, callbacks, tasks, and the tools of the host.

mod callbacks;
mod integrations;
mod state;
mod tasks;
mod webhooks;

use std::any::Any;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use integrations::has_status;
pub use integrations::{Integrations, ItemError, SaveReport};
pub(crate) use tasks::own_key;
pub use tasks::{Scheduled, TaskToken};

use crate::clock::BoxFuture;
use crate::component::{Component, DeclaredTool, UsesTool};
use crate::engine::TaskPriority;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::hex;
use crate::id::{ChannelId, ConnectionId, TaskId, UserId};
use crate::model::{Account, Emoji};
use crate::network::{
    Admission, Answers, Asking, Counted, FailureFn, LONG_WAIT, MAX_PATIENCE, Network, NetworkPort, Outbound,
    ProviderApi, PutOff, Request, Response, UrlRules,
};
use crate::runtime::payload::Creates;
use crate::runtime::{ActiveConnection, Shared};
use crate::secret::Secret;
use crate::unit_of_work::UnitOfWork;
use crate::walk::LeftOut;

/// Why a dispatch looks at the service (R8.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Walks what was there before the channel was enabled.
    Backfill,
    /// Follows what changes.
    #[default]
    Live,
    /// Makes up for what was missed.
    Recovery,
}

/// One run of one hook or callback.
pub(crate) struct Dispatch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: Arc<ActiveConnection>,
    pub(crate) unit: Mutex<UnitOfWork>,
    pub(crate) mode: Mode,
    /// How urgent its requests are.
    pub(crate) lane: TaskPriority,
    pub(crate) task: Option<TaskId>,
    /// Which run of the task, if it may run more than once.
    pub(crate) run: Option<i64>,
    /// What the idempotency keys of the run are made of.
    pub(crate) nonce: Option<[u8; 16]>,
    pub(crate) attempt: u32,
    /// The name of the hook or callback, for messages.
    pub(crate) name: String,
    pub(crate) may_call_out: bool,
    /// What its code creates at the service, so that it does not run again once it has succeeded.
    pub(crate) creates: Option<Creates>,
    pub(crate) requests: AtomicU32,
    /// Idempotency keys that were given to requests.
    pub(crate) keys: AtomicU32,
    /// A request that may have changed something at the service got no answer.
    pub(crate) unanswered: AtomicBool,
    /// Milliseconds that its requests wait for quotas, those of waits that have begun included.
    pub(crate) waited_ms: AtomicU64,
    /// What it has been answered, also before a quota put it off.
    pub(crate) answers: Mutex<Answers>,
    /// A request that may not be repeated has succeeded, in this attempt or one before it. Known when it has failed.
    pub(crate) wrote: AtomicBool,
    /// What it creates is marked in the store as being sent.
    pub(crate) marked: AtomicBool,
    /// The account's token that the code has last been given.
    pub(crate) given: Mutex<Option<Secret>>,
}

impl Dispatch {
    pub(crate) fn unit(&self) -> MutexGuard<'_, UnitOfWork> {
        // A panic in a connector cannot leave the unit half changed: no code of a connector runs while it is locked.
        self.unit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connection_id(&self) -> ConnectionId {
        self.connection.row.id
    }

    /// The connection is not stored yet, so nothing of it may be.
    pub(crate) fn is_provisional(&self) -> bool {
        self.connection.row.version == 0
    }

    /// Leaves an item out of which the identity is not known, visibly, while its siblings are saved (L42).
    pub(crate) fn leave_out(&self, item: LeftOut) {
        self.report_left_out(&item);
        let mut unit = self.unit();
        unit.met.unknown = true;
        unit.met.leave_out(item);
    }

    fn report_left_out(&self, LeftOut { item, reason, .. }: &LeftOut) {
        let connector = self.connection.connector.declaration.id;
        tracing::warn!(connector, connection = %self.connection_id(), dispatch = self.name, item, "an item was left out: {reason}");
        metrics::counter!("connectors_items_left_out_total", "connector" => connector).increment(1);
    }

    /// Counts a request, and refuses where requests are not allowed. How many there were before it.
    fn count_request(&self) -> Result<u32> {
        if !self.may_call_out {
            let message = format!(
                "`{}` called the service: it must return fast, so queue a task that does it, or declare a `#[sync]`",
                self.name
            );
            if self.shared.config.strict {
                return Err(Error::bug(message));
            }
            tracing::warn!(connection = %self.connection_id(), "{message}");
        }
        let limit = self.shared.config.max_requests;
        let sent = self.requests.fetch_add(1, Ordering::Relaxed);
        if sent >= limit {
            return Err(Error::bug(format!(
                "`{}` made more than {limit} requests in one run: take smaller steps, with a task or sync step for each",
                self.name
            )));
        }
        Ok(sent)
    }

    /// Comes back when the service's quotas have room for a request, or moves the dispatch to when they have (L11).
    /// The time that it waits is none of the time that the dispatch has (L36).
    async fn wait_for_quota(&self, request: &Request, begun: bool) -> Result<()> {
        let account = self.connection.quota_account();
        let (lane, connection) = (self.lane, self.connection_id());
        let counted = self.counted(&account, &request.method, &request.url);
        let max_wait = self.max_wait();
        let mut asking = Asking { counted, lane, connection, begun, max_wait, place: None };
        let (provider, asked) = (self.connection.quota_owner(), self.now());
        loop {
            match self.shared.rates.admit(&asking, self.now()) {
                Admission::Go => {
                    if asking.place.is_some() {
                        let waited = self.now().duration_since(asked).as_secs_f64();
                        metrics::histogram!("connectors_quota_wait_seconds", "provider" => provider).record(waited);
                    }
                    return Ok(());
                }
                Admission::Wait(until) => {
                    let wait = until.duration_since(self.now()).as_millis();
                    self.waited_ms.fetch_add(u64::try_from(wait).unwrap_or_default(), Ordering::Relaxed);
                    self.sleep_until(until).await;
                    asking.place = Some(until);
                    asking.max_wait = self.max_wait();
                }
                Admission::Move(until) => {
                    metrics::counter!("connectors_quota_moved_total", "provider" => provider).increment(1);
                    return Err(Error::paced(until));
                }
            }
        }
    }

    /// What a request counts against.
    fn counted<'a>(&'a self, account: &'a str, method: &'a Method, url: &'a Url) -> Counted<'a> {
        let declaration = self.connection.connector.declaration;
        let by_method = declaration.provider.as_ref().is_some_and(|provider| provider.limits_by_method());
        Counted { account, by_method, declared: declaration.quotas, base: &self.connection.api_url, method, url }
    }

    /// The longest that a request waits in place; `None` means as long as is usual. What waits in place has its worker
    /// and its channel: one that gains nothing by being put off waits longer, and none for ever.
    fn max_wait(&self) -> Option<SignedDuration> {
        let waited =
            SignedDuration::from_millis(i64::try_from(self.waited_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        let limit = SignedDuration::try_from(self.shared.config.max_time).unwrap_or(SignedDuration::MAX);
        match self.answers().is_patient() {
            true => Some(MAX_PATIENCE.saturating_sub(waited)),
            false if waited >= limit => Some(SignedDuration::ZERO),
            false => None,
        }
    }

    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes on where it was when a quota puts it off.
    pub(crate) fn put_off(&self) -> Option<PutOff> {
        PutOff::of(self.task, self.run, self.connection_id(), &self.name, self.lane)
    }

    /// The same for every attempt of one run of one task, and for nothing else.
    fn own_key(&self) -> String {
        match (self.nonce, self.task) {
            (Some(nonce), _) => hex::encode(&nonce),
            // An older version of the host stored the task, and may have sent this key for it.
            (None, Some(task)) => {
                let run = self.run.map(|run| format!("-{run}")).unwrap_or_default();
                format!("{}-{task}{run}", self.connection_id())
            }
            (None, None) => hex::encode(&self.shared.ports.vault.random()),
        }
    }
}

impl Outbound for Dispatch {
    fn start<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let sent = self.count_request()?;
            self.wait_for_quota(request, sent > 0).await
        })
    }

    fn waits_for(&self, refused: Timestamp) -> bool {
        let begun = self.requests.load(Ordering::Relaxed) > 1 || self.lane == TaskPriority::User;
        let wait = refused.duration_since(self.now());
        match self.max_wait() {
            Some(longest) => wait <= longest,
            None => begun && wait <= LONG_WAIT,
        }
    }

    fn replay(&self, request: &Request) -> Option<Response> {
        self.answers().replay(request)
    }

    fn note(&self, request: &Request, response: &Response) {
        if response.status.is_success() || matches!(response.status.as_u16(), 304 | 404 | 410) {
            self.answers().note(request, response);
        }
    }

    fn note_write(&self, request: &Request, response: Option<&Response>) {
        self.answers().note_write(request, response);
    }

    fn not_written(&self) {
        self.answers().forget_last_write();
    }

    fn answered(&self, response: &Response, refused: Option<Timestamp>) {
        let account = self.connection.quota_account();
        let counted = self.counted(&account, &response.method, &response.url);
        self.shared.rates.answered(response, refused, &counted, self.now());
        if refused.is_some() {
            metrics::counter!("connectors_quota_refused_total", "provider" => self.connection.quota_owner())
                .increment(1);
        }
    }

    fn errors(&self) -> Option<FailureFn> {
        self.connection.connector.declaration.errors
    }

    fn port(&self) -> &dyn NetworkPort {
        &*self.shared.ports.network
    }

    fn rules(&self) -> &UrlRules {
        &self.connection.rules
    }

    fn now(&self) -> Timestamp {
        self.shared.ports.clock.now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        self.shared.ports.clock.sleep_until(at)
    }

    fn token(&self) -> BoxFuture<'_, Result<Option<Secret>>> {
        if let Some(offered) = &self.connection.offered {
            return Box::pin(std::future::ready(Ok(Some(offered.clone()))));
        }
        Box::pin(async move {
            let token = self.shared.ports.credentials.token(&self.connection.row).await?;
            self.given.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&token);
            Ok(token)
        })
    }

    fn replace<'a>(&'a self, refused: &'a Secret) -> BoxFuture<'a, Result<Option<Secret>>> {
        if self.connection.offered.is_some() {
            return Box::pin(std::future::ready(Ok(None)));
        }
        Box::pin(async move {
            let token = self.shared.ports.credentials.replace(&self.connection.row, refused).await?;
            self.given.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&token);
            Ok(token)
        })
    }

    fn api_url(&self) -> &str {
        &self.connection.api_url
    }

    fn authorization(&self, token: &Secret) -> Result<String> {
        let provider = self.connection.connector.declaration.provider;
        let client_id = provider.and_then(|provider| self.shared.config.client_ids.get(provider.id()));
        match provider {
            Some(provider) => provider.authorization(client_id.map(String::as_str), token),
            None => Ok(format!("Bearer {}", token.expose())),
        }
    }

    fn idempotency_key(&self) -> String {
        // The n-th request of a dispatch is the same one in each attempt.
        let number = self.keys.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}-{number}", self.own_key())
    }

    fn random(&self) -> [u8; 16] {
        self.shared.ports.vault.random()
    }

    fn sends_once(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // An earlier attempt has sent another request in place of this one: the two would do the work twice (L40).
            if self.creates.is_some() && self.answers().owes_writes() {
                self.unanswered();
                return Err(Error::transient(format!(
                    "`{}` has sent something before, and would send something else now: it is not sent",
                    self.name
                )));
            }
            if let Some(creates) = self.creates.filter(|_| !self.marked.load(Ordering::Relaxed)) {
                self.shared.mark_sending(creates, self.connection_id()).await?;
                self.marked.store(true, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn unanswered(&self) {
        self.unanswered.store(true, Ordering::Relaxed);
    }
}

/// What a hook or callback of `C` works with. Typed by the connector: its options, its callbacks.
///
/// Nothing that is written through it is stored before the dispatch has succeeded; then all of it is
/// stored together (R7.1). A read sees what was written before it.
pub struct Context<C: Component> {
    pub(crate) dispatch: Arc<Dispatch>,
    options: Arc<C::Options>,
    component: PhantomData<fn() -> C>,
}

impl<C: Component> Clone for Context<C> {
    fn clone(&self) -> Self {
        Self { dispatch: Arc::clone(&self.dispatch), options: Arc::clone(&self.options), component: PhantomData }
    }
}

impl<C: Component> Context<C> {
    pub(crate) fn new(dispatch: &Arc<Dispatch>) -> Result<Self> {
        let options: Arc<dyn Any + Send + Sync> =
            if C::NAMESPACE.is_empty() { dispatch.connection.options()? } else { Arc::new(()) };
        let options = options.downcast().map_err(|_| {
            Error::bug(format!("`{}` runs for a connection of another connector", std::any::type_name::<C>()))
        })?;
        Ok(Self { dispatch: Arc::clone(dispatch), options, component: PhantomData })
    }

    /// The connection's options, typed.
    pub fn options(&self) -> &C::Options {
        &self.options
    }

    /// The connection.
    pub fn connection(&self) -> ConnectionId {
        self.dispatch.connection_id()
    }

    /// The user whose connection it is.
    pub fn owner(&self) -> &UserId {
        &self.dispatch.connection.row.owner
    }

    /// The account that the connection works with, and the scopes that it was granted.
    pub fn account(&self) -> &Account {
        &self.dispatch.connection.row.account
    }

    /// Whether the scopes of a product of this combined connector were granted (R1.10).
    pub fn has_product(&self, key: &str) -> bool {
        let declaration = self.dispatch.connection.connector.declaration;
        let product = declaration.products.iter().find(|product| product.key == key);
        product.is_some_and(|product| declaration.grants(product, self.account()))
    }

    /// Whether the user has enabled a channel.
    pub fn is_enabled(&self, channel: impl AsRef<ChannelId>) -> bool {
        self.dispatch.connection.channels.get(channel.as_ref()).is_some_and(|row| row.enabled)
    }

    /// Why this dispatch looks at the service (R8.5).
    pub fn mode(&self) -> Mode {
        self.dispatch.mode
    }

    /// The host's time. A connector takes no other, so that a test can move it.
    pub fn now(&self) -> Timestamp {
        self.dispatch.now()
    }

    /// Which attempt of the task this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.dispatch.attempt
    }

    /// Text that is the same in every attempt of one task, and differs in every other task, in every other run of a
    /// recurring one, and in other databases: for services that accept an idempotency key. It is random, and stored
    /// with the task, so a host that starts from a backup does not send the key of another message (L35).
    pub fn idempotency_key(&self) -> String {
        self.dispatch.own_key()
    }

    /// Any URL that the connector declares.
    pub fn network(&self) -> Network<'_> {
        Network::new(&*self.dispatch)
    }

    /// The provider's API, with the account's token.
    pub fn provider(&self) -> ProviderApi<'_> {
        ProviderApi::new(&*self.dispatch)
    }

    /// Links, notes, people and channels.
    pub fn integrations(&self) -> Integrations<'_> {
        Integrations { dispatch: &self.dispatch }
    }

    /// The files that the user attached to what they write (R10.4).
    pub fn files(&self) -> Files<'_> {
        Files { dispatch: &self.dispatch }
    }

    /// The service's name of an emoji, where the connector declares a fixed set of reactions (R1.9).
    pub fn reaction_name(&self, emoji: &Emoji) -> Option<&'static str> {
        self.dispatch.connection.connector.declaration.reactions?.name_of(emoji)
    }

    /// The emoji that the connector declares for a name of the service (R1.9).
    pub fn reaction_named(&self, name: &str) -> Option<Emoji> {
        self.dispatch.connection.connector.declaration.reactions?.named(name)
    }

    /// The context of a tool, for its methods: `Contacts.sync(&cx.tool::<Contacts>()?)`.
    pub fn tool<T: DeclaredTool>(&self) -> Result<Context<T>>
    where
        C: UsesTool<T>,
    {
        Context::new(&self.dispatch)
    }

    /// Stores what was done so far, and goes on. What is stored stays, even if the dispatch fails later (R7.1).
    ///
    /// In `activate` nothing is stored before the connection is, so there it does nothing.
    pub async fn checkpoint(&self) -> Result<()> {
        if self.dispatch.is_provisional() {
            return Ok(());
        }
        self.dispatch.shared.commit(&self.dispatch, None).await.map(drop)
    }
}
