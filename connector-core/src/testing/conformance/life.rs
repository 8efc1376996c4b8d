//! One life of a connector: a host, its service, and a user, all driven by the script.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::gate::{Gate, Strike};
use super::pushes::{PUBLIC_URL, Pushes};
use super::{ConformanceService, Edit, Item};
use crate::credential::Credential;
use crate::dispatch::CallbackEntry;
use crate::engine::{
    ChannelRow, ConnectionRow, ConnectionStatus, Engine, LinkQuery, LinkRow, NoteRow, Write, WriteSet,
};
use crate::id::{ChannelId, ConnectionId, UserId};
use crate::options::{Field, FieldKind};
use crate::registry::DeclaredWork;
use crate::registry::{RegisteredConnector, Registry};
use crate::runtime::{ActionError, ChannelUpdate, ConnectRequest, ConnectionUpdate, Requester, Runtime};
use crate::secret::Secret;
use crate::testing::{Fault, MemoryEngine, TestHost};
use crate::work::Work;

/// What every life of a connector begins with.
pub(super) struct Setup<S> {
    pub(super) registry: Registry,
    pub(super) connector: Arc<RegisteredConnector>,
    pub(super) options: Map<String, Value>,
    pub(super) channels: Vec<ChannelId>,
    /// Points at which each fault strikes, at most.
    pub(super) points: usize,
    pub(super) make: Box<dyn Fn() -> S>,
}

/// What goes wrong in a life.
#[derive(Clone, Default)]
pub(super) struct Wrong {
    pub(super) call: Option<(usize, Strike)>,
    pub(super) commit: Option<(usize, Fault)>,
    /// The optional scope group that the user declines.
    pub(super) declined: Option<&'static str>,
}

/// Counts commits, and lets one of them be the host's last.
#[derive(Default)]
struct Commits {
    count: AtomicUsize,
    /// A user's own write is not struck: they saw that it failed, and the kit does not guess whether they do it again.
    spared: AtomicBool,
    plan: Mutex<Option<(usize, Fault)>>,
}

/// How the host and the service differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// At the service, and not here.
    Missing,
    /// Here, and not at the service.
    Foreign,
    /// More than once, here or there.
    Twice,
    Status,
    Time,
    NoteMissing,
    NoteForeign,
    NoteTwice,
    /// A channel has not come to an end.
    State,
    /// A task was given up.
    Dead,
    /// It takes place at other times.
    Schedule,
    /// The user could not do something.
    Action,
    /// The service was changed more often than by the user's edits.
    Writes,
    /// What the service pushed was not taken.
    Push,
    /// What anyone could send was taken.
    Forged,
    /// More endpoints are registered with the service than there are.
    Registered,
}

pub(super) type Difference = (Kind, String);

/// How often a user tries something.
const TRIES: usize = 6;

/// Tasks that one moment may have.
const MAX_STEPS: usize = 5_000;

pub(super) struct Life<'a, S> {
    setup: &'a Setup<S>,
    pub(super) host: TestHost,
    pub(super) gate: Gate<S>,
    commits: Arc<Commits>,
    pub(super) user: UserId,
    pub(super) connection: Option<ConnectionId>,
    pub(super) channels: Vec<ChannelId>,
    pub(super) crashes: usize,
    /// Changes that the user made, and that reach the service.
    pub(super) edits: usize,
    /// The most calls of one task.
    pub(super) most_calls: usize,
    pub(super) endless: bool,
    pub(super) pushes: Pushes,
    /// The optional scope group that the user has declined.
    declined: Option<&'static str>,
    failures: Vec<Difference>,
}

pub(super) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

impl<'a, S: ConformanceService> Life<'a, S> {
    pub(super) async fn new(setup: &'a Setup<S>, wrong: Wrong) -> Self {
        let gate = Gate::new((setup.make)(), wrong.call);
        let mut host = TestHost::with_network(setup.registry.clone(), gate.clone());
        let (provider, app) = (setup.connector.declaration.provider, gate.with(|service| service.app()));
        host = host.configure(|config| {
            config.public_url = Some(PUBLIC_URL.to_owned());
            if let (Some(provider), Some(app)) = (provider, app) {
                config.webhook_secrets.insert(provider.id().to_owned(), Secret::new(app.secret));
            }
        });
        if provider.is_some() {
            host = host.credentials(gate.clone());
        }
        let commits = Arc::new(Commits { plan: Mutex::new(wrong.commit), ..Commits::default() });
        let life = Self {
            setup,
            host,
            gate,
            commits,
            user: UserId::from_static("conformance-user"),
            connection: None,
            channels: Vec::new(),
            crashes: 0,
            edits: 0,
            most_calls: 0,
            endless: false,
            pushes: Pushes::new(),
            declined: wrong.declined,
            failures: Vec::new(),
        };
        life.attach();
        life
    }

    fn attach(&self) {
        self.gate.attach(self.host.engine().clone(), self.host.clock().clone());
        let commits = Arc::clone(&self.commits);
        self.host.engine().fail_commits(move |_| {
            let number = commits.count.fetch_add(1, Ordering::Relaxed);
            let mut plan = commits.plan.lock().unwrap_or_else(PoisonError::into_inner);
            let due = plan.as_ref().is_some_and(|(at, _)| number >= *at) && !commits.spared.load(Ordering::Relaxed);
            if due { plan.take().map(|(_, fault)| fault) } else { None }
        });
    }

    /// A user's own write is not struck meanwhile.
    pub(super) fn spare(&self, spared: bool) {
        self.commits.spared.store(spared, Ordering::Relaxed);
    }

    pub(super) fn commits(&self) -> usize {
        self.commits.count.load(Ordering::Relaxed)
    }

    pub(super) fn connector(&self) -> &RegisteredConnector {
        &self.setup.connector
    }

    pub(super) fn runtime(&self) -> &Runtime {
        self.host.runtime()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.host.clock().now()
    }

    pub(super) fn fail(&mut self, kind: Kind, what: impl Into<String>) {
        self.failures.push((kind, what.into()));
    }

    /// What could not be done, and has nothing to do with what the service holds.
    pub(super) fn take_failures(&mut self) -> Vec<Difference> {
        std::mem::take(&mut self.failures)
    }

    /// Brings the host up again if it was killed.
    async fn revive(&mut self) {
        while self.host.engine().is_stopped() {
            self.crashes += 1;
            self.host = self.host.crash().await;
            self.attach();
        }
    }

    /// Runs everything that is ready.
    pub(super) async fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            self.revive().await;
            let before = self.gate.count();
            let ran = Box::pin(self.step()).await;
            self.most_calls = self.most_calls.max(self.gate.count() - before);
            if !ran && !self.host.engine().is_stopped() && !self.deliver().await {
                return;
            }
        }
        self.endless = true;
    }

    /// Runs one task that is ready. Should it change the service while answers to changes are held back, then what
    /// the service pushes of it arrives, and is handed over, before its answer does.
    pub(super) async fn step(&mut self) -> bool {
        let Self { host, gate, pushes, setup, .. } = self;
        let mut step = pin!(host.step());
        let answered = poll_fn(|cx| match step.as_mut().poll(cx) {
            Poll::Ready(ran) => Poll::Ready(Some(ran)),
            Poll::Pending if gate.is_holding() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        if let Some(ran) = answered {
            return ran;
        }
        pushes.deliver(host, gate, &setup.connector).await;
        for _ in 0..MAX_STEPS {
            let mut other = pin!(host.step());
            match poll_fn(|cx| Poll::Ready(other.as_mut().poll(cx))).await {
                Poll::Ready(true) => {}
                Poll::Ready(false) => break,
                // It waits for time, which does not pass while an answer is held back, or changes the service as well.
                Poll::Pending => {
                    gate.hold(false);
                    gate.let_go();
                    join(step, other).await;
                    gate.hold(true);
                    return true;
                }
            }
        }
        gate.let_go();
        step.await
    }

    /// Delivers what the service has pushed. False if there was nothing.
    async fn deliver(&mut self) -> bool {
        let delivered = self.pushes.deliver(&self.host, &self.gate, &self.setup.connector).await;
        self.failures.append(&mut self.pushes.failures);
        self.revive().await;
        delivered
    }

    /// The answers to changes come after what those lead to, from now on.
    pub(super) fn overtake(&self, overtakes: bool) {
        self.gate.hold(overtakes);
    }

    /// Whether the host is going to be killed.
    pub(super) fn is_doomed(&self) -> bool {
        self.gate.is_planned() || self.commits.plan.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The host is killed at the commit, or at the call, so many from now.
    pub(super) fn kill_soon(&self, after: usize, at_call: bool, before: bool) {
        if at_call {
            let strike = if before { Strike::KillBefore } else { Strike::KillAfter };
            self.gate.plan(after, strike);
        } else {
            let fault = if before { Fault::CrashBefore } else { Fault::CrashAfter };
            *self.commits.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.commits() + after, fault));
        }
    }

    /// The host is killed no more.
    pub(super) fn spare_all(&self) {
        *self.commits.plan.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.gate.calm();
    }

    /// Lets time pass.
    pub(super) async fn advance(&mut self, by: SignedDuration) {
        let end = self.now().checked_add(by).unwrap_or(Timestamp::MAX);
        loop {
            self.settle().await;
            let next = self.runtime().next_due().into_iter().chain(self.pushes.next_due()).min();
            let due = next.filter(|due| *due <= end && !self.endless);
            match due {
                Some(due) if due > self.now() => self.host.clock().set(due),
                Some(_) => {}
                None => break,
            }
        }
        if end > self.now() {
            self.host.clock().set(end);
        }
        self.settle().await;
    }

    /// The time after which every change at the service has been looked for.
    pub(super) fn interval(&self) -> SignedDuration {
        let of_items = |declared: &DeclaredWork| match declared.work {
            // What has no channel are people and the like.
            Work::Sync { every } if declared.entry.per_channel => SignedDuration::try_from(every).ok(),
            _ => None,
        };
        let declared = self.connector().work().iter().filter_map(of_items);
        declared.max().unwrap_or(SignedDuration::from_hours(24)) + minutes(2)
    }

    /// How many endpoints are to be registered with the service.
    pub(super) async fn expected_registrations(&self) -> usize {
        let rows = self.channel_rows().await;
        let enabled: Vec<_> = rows.iter().filter(|row| row.enabled).collect();
        let scopes = self.webhooks().map(|entry| match entry.per_channel {
            true => enabled.iter().filter(|row| entry.concerns(&row.channel.id)).count(),
            false => 1,
        });
        scopes.sum()
    }

    /// Whether the service is to push what changes in the first channel, at a URL of its own.
    pub(super) fn is_pushed(&self) -> bool {
        let first = self.channels.first();
        self.webhooks().any(|entry| !entry.per_channel || first.is_some_and(|channel| entry.concerns(channel)))
    }

    fn webhooks(&self) -> impl Iterator<Item = &'static CallbackEntry> + '_ {
        let pushed =
            |declared: &&DeclaredWork| matches!(&declared.work, Work::Webhook(webhook) if webhook.tenant.is_none());
        self.connector().work().iter().filter(pushed).map(|declared| declared.entry)
    }

    /// Lets the connector look at the service once.
    pub(super) async fn look(&mut self) {
        self.advance(self.interval()).await;
    }

    /// Something that the user does, and does again if it fails.
    pub(super) async fn act<T>(
        &mut self,
        what: &str,
        code: impl AsyncFn(&Self) -> Result<T, ActionError>,
    ) -> Option<T> {
        let mut failure = String::new();
        for _ in 0..TRIES {
            let outcome = Box::pin(self.host.run(code(&*self))).await;
            let killed = self.host.engine().is_stopped();
            self.revive().await;
            match outcome {
                Ok(value) if !killed => return Some(value),
                Ok(_) => {}
                Err(error) => {
                    failure = error.to_string();
                    self.advance(minutes(2)).await;
                }
            }
        }
        self.fail(Kind::Action, format!("{what} failed {TRIES} times: {failure}"));
        None
    }

    fn request(&self) -> ConnectRequest {
        let declaration = self.setup.connector.declaration;
        let mut request = ConnectRequest::new(declaration.id, self.user.clone());
        request.options.clone_from(&self.setup.options);
        if let Some(key) = declaration.key_option
            && !request.options.contains_key(key)
        {
            request.options.insert(key.to_owned(), Value::String(self.gate.token().expose().to_owned()));
        }
        let groups = declaration.scopes.optional.iter().map(|group| group.id.to_owned());
        request.scope_groups = Some(groups.collect());
        request
    }

    /// What the provider gives when the user authorizes the connection, and allows all that is asked for, but for
    /// what they decline.
    fn credential(&self, row: &ConnectionRow) -> Result<Credential, ActionError> {
        let declared = &self.setup.connector.declaration.scopes;
        let asked = self.runtime().scopes_to_ask(row)?;
        let mut granted = asked.clone();
        if let Some(declined) = declared.optional.iter().find(|group| Some(group.id) == self.declined) {
            let others = declared.optional.iter().filter(|group| group.id != declined.id);
            let kept: Vec<_> = declared.required.iter().chain(others.flat_map(|group| group.scopes)).collect();
            granted.retain(|scope| !declined.scopes.contains(&scope.as_str()) || kept.contains(&&scope.as_str()));
        }
        let app = self.gate.with(|service| {
            service.grant(&granted);
            service.app()
        });
        Ok(Credential {
            scopes: Some(granted),
            asked_scopes: asked,
            tenant: app.map(|app| app.tenant),
            ..Credential::new(self.gate.token())
        })
    }

    /// Connects, and authorizes. Nothing has run yet.
    pub(super) async fn connect(&mut self) -> bool {
        let (request, user) = (self.request(), self.user.clone());
        let connected = self
            .act("connecting", async |life| {
                // The host may have been killed when it had stored it.
                let known = life.runtime().ports().engine.connections(Some(user.clone()), None, None, 1).await?;
                let row = match known.into_iter().next() {
                    Some(known) => known,
                    None => life.runtime().connect(request.clone()).await?,
                };
                if row.status == ConnectionStatus::AwaitingAuthorization {
                    // The user signs in anew each time.
                    life.runtime().authorize(row.id, life.credential(&row)?, &Requester::Operator).await?;
                }
                Ok(row.id)
            })
            .await;
        self.connection = connected;
        let listed: Vec<_> = self.channel_rows().await.into_iter().map(|row| row.channel.id.clone()).collect();
        self.channels = if self.setup.channels.is_empty() {
            listed.into_iter().take(2).collect()
        } else {
            self.setup.channels.iter().filter(|channel| listed.contains(channel)).cloned().collect()
        };
        // What is declined may be all that there is.
        if connected.is_some() && self.channels.is_empty() && self.declined.is_none() {
            self.fail(Kind::Action, "`get_channels` gave no channel: the service has to have at least one");
        }
        connected.is_some() && !self.channels.is_empty()
    }

    pub(super) async fn channel_rows(&self) -> Vec<ChannelRow> {
        let Some(id) = self.connection else { return Vec::new() };
        self.engine().channels(id).await.unwrap_or_default()
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.host.runtime().ports().engine
    }

    pub(super) async fn list(&mut self) {
        let Some(id) = self.connection else { return };
        self.act("listing the channels", async |life| life.runtime().channels(id).await).await;
    }

    pub(super) async fn enable(&mut self, channel: &ChannelId) {
        let Some(id) = self.connection else { return };
        self.act("enabling a channel", async |life| {
            life.runtime().enable_channel(id, channel, ChannelUpdate::default()).await
        })
        .await;
    }

    pub(super) async fn disable(&mut self, channel: &ChannelId) {
        let Some(id) = self.connection else { return };
        self.act("disabling a channel", async |life| life.runtime().disable_channel(id, channel).await).await;
    }

    pub(super) async fn disconnect(&mut self) {
        let Some(id) = self.connection else { return };
        self.act("disconnecting", async |life| {
            if life.engine().connection(id).await?.is_none() {
                return Ok(());
            }
            life.runtime().disconnect(id).await
        })
        .await;
    }

    /// The user authorizes the connection again, or gives another key.
    pub(super) async fn reauthorize(&mut self) {
        let Some(id) = self.connection else { return };
        if let Some(key) = self.setup.connector.declaration.key_option {
            self.act("giving another key", async |life| {
                let value = Value::String(life.gate.restore().expose().to_owned());
                let options = Some([(key.to_owned(), value)].into_iter().collect());
                life.runtime().update_connection(id, ConnectionUpdate { options, ..Default::default() }).await.map(drop)
            })
            .await;
            return;
        }
        self.act("authorizing again", async |life| {
            let row = life.runtime().connection(id).await?;
            life.gate.restore();
            life.runtime().authorize(id, life.credential(&row)?, &Requester::Operator).await
        })
        .await;
    }

    /// The user has thought better of what they had declined.
    pub(super) async fn allow_all(&mut self) {
        self.declined = None;
        self.reauthorize().await;
    }

    /// The user changes each option that has another value, and changes them back.
    pub(super) async fn change_options(&mut self) {
        let Some(id) = self.connection else { return };
        let options = self.request().options;
        let fields = self.setup.connector.declaration.options.fields.iter();
        let values: Vec<_> = fields
            .filter_map(|field| {
                let now = options.get(field.name).cloned().or_else(|| field.default())?;
                Some((field.name.to_owned(), other_value(field, &now)?, now))
            })
            .collect();
        for back in [false, true] {
            let mut changed = options.clone();
            for (name, other, now) in values.clone() {
                changed.insert(name, if back { now } else { other });
            }
            self.act("changing the options", async |life| {
                let update = ConnectionUpdate { options: Some(changed.clone()), ..Default::default() };
                life.runtime().update_connection(id, update).await
            })
            .await;
            self.look().await;
        }
    }

    /// The host starts with a new version of the connector.
    pub(super) async fn upgrade(&mut self) {
        let Some(id) = self.connection else { return };
        if let Ok(row) = self.runtime().connection(id).await {
            let before = Some(row.version);
            let row = ConnectionRow { connector_version: "before".to_owned(), ..ConnectionRow::clone(&row) };
            let setting = format!("version/{}", row.connector);
            let writes = [
                Write::PutConnection { row: Box::new(row), expect: before },
                Write::PutSetting { name: setting, value: None },
            ];
            if let Err(error) = self.engine().commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await {
                self.fail(Kind::Action, format!("the version was not changed: {error}"));
            }
        }
        self.host = self.host.upgrade(self.setup.registry.clone()).await;
        self.attach();
        self.act("upgrading", async |life| life.runtime().upgrade_connections().await).await;
    }

    /// The host starts on a backup of its store.
    pub(super) async fn restore(&mut self, backup: MemoryEngine) {
        self.host = self.host.restore(backup).await;
        self.attach();
    }

    /// Someone else makes an item.
    pub(super) fn make(&self, channel: &ChannelId, title: &str, at: Timestamp) -> String {
        self.gate.with(|service| service.create(channel.as_str(), title, &format!("The text of {title}."), at))
    }

    /// Someone else edits an item.
    pub(super) fn edit(&self, title: &str, edit: &Edit) -> bool {
        let at = self.now();
        self.gate.with(|service| {
            let id = service.items().into_iter().find(|item| item.title == title).map(|item| item.id);
            id.is_some_and(|id| service.edit(&id, edit, at))
        })
    }

    pub(super) fn items(&self) -> Vec<Item> {
        self.gate.with(|service| service.items())
    }

    pub(super) async fn links(&self) -> Vec<LinkRow> {
        let query = LinkQuery { connections: self.connection.map(|id| vec![id]), ..LinkQuery::all(100_000) };
        self.engine().links(query).await.unwrap_or_default()
    }

    pub(super) async fn link(&self, title: &str) -> Option<LinkRow> {
        self.links().await.into_iter().find(|row| row.link.title.as_deref() == Some(title))
    }

    pub(super) async fn notes(&self, link: &LinkRow) -> Vec<NoteRow> {
        let notes = self.engine().notes_of_link(link.id()).await.unwrap_or_default();
        notes.into_iter().filter(|row| !row.note.archived).collect()
    }
}

/// A value of an option that differs from this one; none if there is none that is known to be right.
fn other_value(field: &Field, now: &Value) -> Option<Value> {
    match field.kind {
        FieldKind::Boolean { .. } => Some(Value::Bool(!now.as_bool()?)),
        FieldKind::Number { min, max, .. } => {
            let fits = |number: &f64| min.is_none_or(|min| min <= *number) && max.is_none_or(|max| *number <= max);
            let now = now.as_f64()?;
            let other = [now + 1.0, now - 1.0].into_iter().find(fits)?;
            // Whole numbers are written as such.
            #[allow(clippy::cast_possible_truncation, reason = "it is whole, and small")]
            let whole = (other.fract() == 0.0).then(|| Value::from(other as i64));
            whole.or_else(|| serde_json::Number::from_f64(other).map(Value::Number))
        }
        FieldKind::Select { choices, .. } => {
            let other = choices.iter().find(|choice| Some(choice.id) != now.as_str())?;
            Some(Value::from(other.id))
        }
        FieldKind::Text { .. } => None,
    }
}
