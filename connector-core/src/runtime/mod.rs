//! Running connectors: the queue, the dispatch of each task, its commit, and what users do.

mod actions;
mod budget;
mod claims;
mod connections;
mod dispatching;
pub(crate) mod hooks;
pub(crate) mod payload;
mod policy;
mod scheduler;
pub(crate) mod subscriptions;
pub(crate) mod unsent;
mod work_log;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

pub use actions::{
    ActionError, ChannelUpdate, Compose, ConnectRequest, ConnectionUpdate, ConnectorError, LinkUpdate, Looking,
    NewUserNote, ProductState, ProductView, Requester, Retrying, Standing, TaskView, Upload, WorkState, WorkView,
};
pub use budget::Budget;
pub(crate) use connections::ActiveConnection;
use connections::Connections;
pub use hooks::{DeliveryView, Hook, HookAnswer, HookError};
pub use subscriptions::{SubscriptionState, SubscriptionView};
pub use worker::Workers;

use crate::clock::Clock;
use crate::context::Dispatch;
use crate::credential;
use crate::engine::{
    CommitError, CommitListener, Committed, Completion, ConnectionChange, ConnectionStatus, Expect, TaskPriority,
    WriteSet,
};
use crate::error::{Error, Result};
use crate::network::{KeptAnswers, PutOff, RateLimiter};
use crate::ports::Ports;
use crate::records::{Resolution, auto_enables, resolve};
use crate::registry::Registry;
use crate::runtime::scheduler::Scheduler;
use crate::secret::Secret;

/// Limits and habits of a host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Tasks whose code runs side by side. As many more may wait for the store to keep what theirs did.
    pub concurrency: usize,
    /// Tasks of one connection that run side by side.
    pub per_connection: usize,
    /// Wall time of one dispatch (R6.7).
    pub max_time: Duration,
    /// Outbound requests of one dispatch (R6.7).
    pub max_requests: u32,
    /// What one connection may use (R6.7).
    pub budget: Budget,
    /// How often a task is tried before it becomes a dead letter, for errors that pass by themselves.
    pub max_attempts: u32,
    /// How often a task is tried whose error says that the connector is wrong.
    pub max_bug_attempts: u32,
    /// How long `get_channels` may take.
    pub channels_deadline: Duration,
    /// A hook that must not call the service and does so fails, in place of a warning (R3.5).
    pub strict: bool,
    /// What the URLs of webhooks begin with, without a slash at the end; without it, there are none.
    pub public_url: Option<String>,
    /// What providers sign the webhooks of a whole app with, by the provider's id.
    pub webhook_secrets: HashMap<String, Secret>,
    /// How long requests that services pushed are kept.
    pub keep_deliveries: Duration,
    /// How many of them are kept at most.
    pub max_deliveries: u64,
    /// Maximum number of bytes in the bodies of those that are kept.
    pub max_delivery_bytes: u64,
    /// As whom the host is registered at providers, by the provider's id.
    pub client_ids: HashMap<String, String>,
    /// The largest file that a user can upload, in bytes.
    pub max_file: u64,
    /// Where the APIs of providers begin, by the provider's id, where that differs from the built-in ones.
    pub api_urls: HashMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 64,
            per_connection: 16,
            max_time: Duration::from_secs(60),
            max_requests: 1_000,
            budget: Budget::default(),
            max_attempts: 12,
            max_bug_attempts: 3,
            channels_deadline: Duration::from_secs(20),
            strict: false,
            public_url: None,
            webhook_secrets: HashMap::new(),
            keep_deliveries: Duration::from_secs(7 * 24 * 60 * 60),
            max_deliveries: 100_000,
            max_delivery_bytes: 1 << 30,
            client_ids: HashMap::new(),
            max_file: 100 << 20,
            api_urls: HashMap::new(),
        }
    }
}

/// How often records are resolved anew because another commit was faster.
const MAX_RESOLUTIONS: usize = 8;

/// What everything that runs shares.
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) registry: Registry,
    pub(crate) config: Config,
    follower: Arc<Follower>,
    pub(crate) rates: RateLimiter,
    pub(crate) kept: KeptAnswers,
}

/// What this process keeps in memory of the store. It follows each commit, whoever made it and whoever waits for it.
///
/// The engine tells it on a thread of its own, which holds it meanwhile. So it owns no engine: the last owner of an
/// engine must not be one of the engine's threads.
struct Follower {
    clock: Arc<dyn Clock>,
    scheduler: Mutex<Scheduler>,
    /// Notified when there may be a task to run.
    ready: Notify,
    /// Notified when a newly set timer may be the earliest.
    timer: Notify,
    feed_end: watch::Sender<u64>,
    connections: Mutex<Connections>,
    budgets: budget::Budgets,
}

/// Runs the connectors of a registry on the ports of a host. Cheap to clone.
///
/// It does nothing by itself until [`start`](Self::start): what users do is stored, and waits.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
}

impl Runtime {
    /// A runtime for these connectors.
    pub fn new(registry: Registry, ports: Ports, config: Config) -> Self {
        let follower = Arc::new(Follower {
            clock: Arc::clone(&ports.clock),
            scheduler: Mutex::new(Scheduler::new(config.concurrency, config.per_connection)),
            ready: Notify::new(),
            timer: Notify::new(),
            feed_end: watch::Sender::new(0),
            connections: Mutex::default(),
            budgets: budget::Budgets::default(),
        });
        let listener: Weak<Follower> = Arc::downgrade(&follower);
        ports.engine.listen(listener);
        let shared = Arc::new(Shared {
            ports,
            registry,
            config,
            follower,
            rates: RateLimiter::default(),
            kept: KeptAnswers::default(),
        });
        Self { shared }
    }

    /// The connectors.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.shared.ports
    }

    /// Rings with the last position of the change feed whenever something was added to it here.
    pub fn feed_changes(&self) -> watch::Receiver<u64> {
        self.shared.follower.feed_end.subscribe()
    }

    /// When the task was due that has waited longest of those that are ready; none if none is.
    pub fn oldest_due(&self) -> Option<jiff::Timestamp> {
        self.shared.scheduler().oldest_due()
    }

    /// How many tasks are ready, wait for their time, and run, as far as they are in memory.
    pub fn queue_depths(&self) -> (usize, usize, usize) {
        self.shared.scheduler().depths()
    }
}

impl CommitListener for Follower {
    fn committed(&self, sets: &mut dyn Iterator<Item = &Committed>) {
        let now = self.clock.now();
        let mut feed_end = None;
        let mut scheduler = self.scheduler();
        let before = (scheduler.has_runnable(), scheduler.next_timer());
        for set in sets {
            if !set.connections.is_empty() {
                let mut connections = self.connections();
                for change in &set.connections {
                    connections.forget(change.connection());
                }
            }
            for name in set.secrets.iter().filter(|name| credential::is_name(name)) {
                self.connections().forget_if(|known| known.row.credential.as_ref() == Some(name));
            }
            scheduler.apply(&set.tasks, now);
            for change in &set.connections {
                match *change {
                    // A disabled connection still has the task that ends it.
                    ConnectionChange::Stored { id, status: ConnectionStatus::Active | ConnectionStatus::Disabled } => {
                        scheduler.set_parked(id, false);
                    }
                    ConnectionChange::Ended(id) => {
                        scheduler.set_parked(id, false);
                        self.budgets.forget(id);
                    }
                    ConnectionChange::Stored { .. } | ConnectionChange::Channels(_) => {}
                }
            }
            feed_end = feed_end.max(set.feed_end);
        }
        let after = (scheduler.has_runnable(), scheduler.next_timer());
        drop(scheduler);
        // If a task could run before, a worker looks for it already, and for the others then.
        if after.0 && !before.0 {
            self.ready.notify_one();
        }
        if after.1 != before.1 {
            self.timer.notify_one();
        }
        if let Some(end) = feed_end {
            self.feed_end.send_if_modified(|last| {
                let newer = end > *last;
                *last = end.max(*last);
                newer
            });
        }
    }
}

impl Follower {
    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(crate) fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.follower.scheduler()
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.follower.connections()
    }

    /// Stores what a dispatch did, with the end of its task if it has ended.
    pub(crate) async fn commit(&self, dispatch: &Dispatch, completes: Option<Completion>) -> Result<Committed> {
        let mut sync = None;
        let (mut expects, mut writes, records, needs_reauth) = {
            let mut unit = dispatch.unit();
            let (mut expects, writes) = unit.drain(dispatch.connection_id());
            if completes.is_none() {
                // A checkpoint: nothing is stored of a task that was cancelled, or removed with its connection, meanwhile.
                expects.extend(dispatch.task.map(|id| Expect::Task { id }));
            }
            let records = std::mem::take(&mut unit.records);
            let completed = std::mem::take(&mut unit.completed_channels);
            sync.clone_from(&unit.met.sync);
            let marks = (unit.needs_reauth.take(), std::mem::take(&mut unit.callbacks_deleted), completed);
            (expects, writes, records, marks)
        };
        let (needs_reauth, callbacks_deleted, completed) = needs_reauth;
        if needs_reauth.is_some() || callbacks_deleted || !completed.is_empty() {
            writes.extend(self.connection_marks(dispatch, needs_reauth, callbacks_deleted, completed).await?);
        }
        for _ in 0..MAX_RESOLUTIONS {
            let mut set = WriteSet {
                connection: Some(dispatch.connection_id()),
                completes: completes.clone(),
                expects: expects.clone(),
                writes: Vec::new(),
            };
            if records.is_empty() {
                // Nothing to resolve: nothing to keep for another try.
                set.writes = std::mem::take(&mut writes);
            } else {
                let row = &dispatch.connection.row;
                let resolution = Resolution {
                    engine: &self.ports.engine,
                    connector: &dispatch.connection.connector,
                    connection: row.id,
                    owner: &row.owner,
                    identity: row.identity.as_ref(),
                    auto_enable: auto_enables(row, &dispatch.connection.connector),
                    mode: dispatch.mode,
                    sync: sync.as_ref().map(|(name, channel): &(String, Option<_>)| (name.as_str(), channel.as_ref())),
                    now: self.ports.clock.now(),
                };
                let (more_expects, more_writes) = resolve(&resolution, &records).await?;
                set.expects.extend(more_expects);
                set.writes.clone_from(&writes);
                set.writes.extend(more_writes);
            }
            if set.is_empty() {
                return Ok(Committed::default());
            }
            match self.ports.engine.commit(set).await {
                Ok(committed) => return Ok(committed),
                Err(CommitError::RecordConflict) if !records.is_empty() => {}
                // What was created at the service is not created again for the sake of a state key that
                // another changed meanwhile: the later write stays.
                Err(CommitError::StateConflict(_)) if dispatch.creates.is_some() && !records.is_empty() => {
                    expects.retain(|expect| !matches!(expect, Expect::State { .. } | Expect::StatePrefix { .. }));
                }
                Err(error) => return Err(refused(error)),
            }
        }
        Err(Error::conflict("the same records are changed by others all the time"))
    }
}

/// What a refused commit means for the dispatch that wanted it.
fn refused(error: CommitError) -> Error {
    match error {
        CommitError::StateConflict(_) | CommitError::RecordConflict | CommitError::Taken { .. } => {
            Error::conflict(error.to_string())
        }
        CommitError::TaskGone => Error::gone(error.to_string()),
        CommitError::Engine(error) => error.into(),
    }
}

/// A fresh dispatch of a connection.
pub(crate) struct DispatchOf {
    pub(crate) connection: Arc<ActiveConnection>,
    pub(crate) mode: crate::context::Mode,
    pub(crate) lane: TaskPriority,
    pub(crate) task: Option<crate::id::TaskId>,
    pub(crate) run: Option<i64>,
    pub(crate) nonce: Option<[u8; 16]>,
    pub(crate) attempt: u32,
    pub(crate) name: String,
    pub(crate) may_call_out: bool,
    pub(crate) creates: Option<payload::Creates>,
}

impl DispatchOf {
    pub(crate) fn begin(self, shared: &Arc<Shared>) -> Arc<Dispatch> {
        let put_off = PutOff::of(self.task, self.run, self.connection.row.id, &self.name, self.lane);
        let answers = put_off.map(|put_off| shared.kept.take(&put_off, shared.ports.clock.now()));
        Arc::new(Dispatch {
            shared: Arc::clone(shared),
            connection: self.connection,
            unit: Mutex::default(),
            mode: self.mode,
            lane: self.lane,
            task: self.task,
            run: self.run,
            nonce: self.nonce,
            attempt: self.attempt,
            name: self.name,
            may_call_out: self.may_call_out,
            creates: self.creates,
            requests: AtomicU32::new(0),
            keys: AtomicU32::new(0),
            unanswered: false.into(),
            wrote: false.into(),
            marked: false.into(),
            waited_ms: AtomicU64::new(0),
            answers: Mutex::new(answers.unwrap_or_default()),
            given: Mutex::default(),
        })
    }
}
