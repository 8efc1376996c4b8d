//! One life of a connector: a host, its service, and a user, all driven by the script.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::gate::{Gate, Strike};
use super::{ConformanceService, Edit, Item, Push};
use crate::declaration::Hooks;
use crate::engine::{
    ChannelRow, ConnectionRow, Engine, LinkQuery, LinkRow, NoteRow, SyncState, TaskQuery, Write, WriteSet,
};
use crate::id::{ChannelId, ConnectionId, UserId};
use crate::link_type::ComposeTarget;
use crate::model::{Delivery, Schedule, When};
use crate::registry::{RegisteredConnector, Registry};
use crate::runtime::{
    ActionError, ChannelUpdate, Compose, ConnectRequest, ConnectionUpdate, HookError, LinkUpdate, NewUserNote, Runtime,
};
use crate::testing::{Fault, TestHost};
use crate::webhook::WebhookRequest;
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
    /// More endpoints are registered with the service than there are.
    Registered,
}

pub(super) type Difference = (Kind, String);

/// Where the service reaches the host.
const PUBLIC_URL: &str = "https://host.conformance.test";

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
    failures: Vec<Difference>,
    /// What the service pushed, and the host could not take.
    undelivered: Vec<Push>,
}

pub(super) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

impl<'a, S: ConformanceService> Life<'a, S> {
    pub(super) async fn new(setup: &'a Setup<S>, wrong: Wrong) -> Self {
        let gate = Gate::new((setup.make)(), wrong.call);
        let mut host = TestHost::with_network(setup.registry.clone(), gate.clone());
        host = host.configure(|config| config.public_url = Some(PUBLIC_URL.to_owned()));
        if setup.connector.declaration.provider.is_some() {
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
            failures: Vec::new(),
            undelivered: Vec::new(),
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
            let ran = self.host.step().await;
            self.most_calls = self.most_calls.max(self.gate.count() - before);
            if !ran && !self.host.engine().is_stopped() && !self.deliver().await {
                return;
            }
        }
        self.endless = true;
    }

    /// Delivers what the service pushed: the last first, and each twice. False if there was nothing.
    async fn deliver(&mut self) -> bool {
        let mut pushes = self.gate.with(S::take_pushes);
        pushes.append(&mut self.undelivered);
        if pushes.is_empty() {
            return false;
        }
        for push in pushes.into_iter().rev() {
            for _ in 0..2 {
                let Some(token) = push.url.strip_prefix(PUBLIC_URL).and_then(|path| path.strip_prefix("/hooks/"))
                else {
                    self.fail(Kind::Push, format!("the service pushed to `{}`, which is not of this host", push.url));
                    break;
                };
                let mut request = WebhookRequest::new("POST", push.body.clone(), self.now());
                for (name, value) in &push.headers {
                    request = request.with_header(name, value.clone());
                }
                let taken = match self.runtime().find_hook(token).await {
                    Ok(hook) => hook.receive(request).await.map(drop),
                    Err(error) => Err(error),
                };
                match taken {
                    Ok(()) | Err(HookError::Unknown | HookError::Disabled) => {}
                    Err(HookError::Unverified(error)) => {
                        self.fail(Kind::Push, format!("what the service pushed was refused: {error}"));
                    }
                    // The host was killed meanwhile: the service sends it again.
                    Err(_) => {
                        self.undelivered.push(push.clone());
                        break;
                    }
                }
            }
        }
        self.revive().await;
        true
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
            let due = self.runtime().next_due().filter(|due| *due <= end && !self.endless);
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
        let declared = self.connector().work().filter_map(|entry| match entry.work {
            Some(Work::Sync { every }) => SignedDuration::try_from(every).ok(),
            _ => None,
        });
        declared.max().unwrap_or(SignedDuration::from_hours(24)) + minutes(2)
    }

    /// Lets the connector look at the service once.
    pub(super) async fn look(&mut self) {
        self.advance(self.interval()).await;
    }

    /// Something that the user does, and does again if it fails.
    async fn act<T>(&mut self, what: &str, code: impl AsyncFn(&Runtime) -> Result<T, ActionError>) -> Option<T> {
        let mut failure = String::new();
        for _ in 0..TRIES {
            let outcome = self.host.run(code(self.host.runtime())).await;
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
        request.token = declaration.provider.map(|_| self.gate.token());
        request
    }

    /// Connects. Nothing has run yet.
    pub(super) async fn connect(&mut self) -> bool {
        let (request, user, gate) = (self.request(), self.user.clone(), self.gate.clone());
        let connected = self
            .act("connecting", async |runtime| {
                // The host may have been killed when it had stored it.
                let known = runtime.ports().engine.connections(Some(user.clone()), None, None, 1).await?;
                match known.first() {
                    Some(known) => Ok(known.id),
                    None => {
                        // The user signs in anew each time.
                        let token = request.token.as_ref().map(|_| gate.token());
                        runtime.connect(ConnectRequest { token, ..request.clone() }).await.map(|row| row.id)
                    }
                }
            })
            .await;
        self.connection = connected;
        let rows = self.channel_rows().await;
        self.channels = if self.setup.channels.is_empty() {
            rows.iter().map(|row| row.channel.id.clone()).take(2).collect()
        } else {
            self.setup.channels.clone()
        };
        if connected.is_some() && self.channels.is_empty() {
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
        self.act("listing the channels", async |runtime| runtime.channels(id).await).await;
    }

    pub(super) async fn enable(&mut self, channel: &ChannelId) {
        let Some(id) = self.connection else { return };
        self.act("enabling a channel", async |runtime| {
            runtime.enable_channel(id, channel, ChannelUpdate::default()).await
        })
        .await;
    }

    pub(super) async fn disable(&mut self, channel: &ChannelId) {
        let Some(id) = self.connection else { return };
        self.act("disabling a channel", async |runtime| runtime.disable_channel(id, channel).await).await;
    }

    pub(super) async fn disconnect(&mut self) {
        let Some(id) = self.connection else { return };
        self.act("disconnecting", async |runtime| {
            if runtime.ports().engine.connection(id).await?.is_none() {
                return Ok(());
            }
            runtime.disconnect(id).await
        })
        .await;
    }

    pub(super) async fn reauthorize(&mut self) {
        let Some(id) = self.connection else { return };
        let gate = self.gate.clone();
        self.act("authorizing again", async |runtime| runtime.reauthorize(id, gate.restore()).await).await;
    }

    pub(super) async fn change_options(&mut self) {
        let Some(id) = self.connection else { return };
        let options = self.request().options;
        self.act("changing the options", async |runtime| {
            runtime
                .update_connection(id, ConnectionUpdate { options: Some(options.clone()), ..Default::default() })
                .await
        })
        .await;
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
        self.act("upgrading", async |runtime| runtime.upgrade_connections().await).await;
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

    pub(super) fn takes_replies(&self) -> bool {
        let connector = self.connector();
        connector.declaration.handle_replies && connector.hooks.has(Hooks::NOTE_CREATED)
    }

    /// The user replies.
    pub(super) async fn reply(&mut self, title: &str, text: &str) -> bool {
        if !self.takes_replies() {
            return false;
        }
        let Some(link) = self.link(title).await else { return false };
        let note = NewUserNote {
            user: self.user.clone(),
            content: text.to_owned(),
            link: Some(link.id()),
            recipients: Vec::new(),
            attachments: Vec::new(),
        };
        self.spare(true);
        let written =
            self.act("writing a note", async |runtime| runtime.create_note(link.link.thread, note.clone()).await).await;
        self.spare(false);
        self.edits += usize::from(written.is_some());
        written.is_some()
    }

    fn spare(&self, spared: bool) {
        self.commits.spared.store(spared, Ordering::Relaxed);
    }

    /// The user puts an item into another status.
    pub(super) async fn set_status(&mut self, title: &str) -> bool {
        if !self.connector().hooks.has(Hooks::LINK_UPDATED) {
            return false;
        }
        let Some(link) = self.link(title).await else { return false };
        let declared = self.connector().declaration.link_type(link.link.link_type.as_str());
        let other = declared.and_then(|declared| {
            let now = link.link.status.as_ref().and_then(|status| declared.status(status.as_str()));
            let done = now.is_some_and(|status| status.done);
            declared.statuses.iter().find(|status| status.done != done && !status.hidden)
        });
        let Some(other) = other else { return false };
        let (user, update) = (self.user.clone(), LinkUpdate { status: Some(other.id.into()), ..LinkUpdate::default() });
        let id = link.id();
        let changed =
            self.act("changing a status", async |runtime| runtime.update_link(id, &user, update.clone()).await).await;
        self.edits += usize::from(changed.is_some());
        changed.is_some()
    }

    /// The user composes an item.
    pub(super) async fn compose(&mut self, title: &str) -> bool {
        let composes = |compose: &crate::link_type::Compose| compose.target == ComposeTarget::Channels;
        let found =
            self.connector().declaration.link_types.iter().find(|kind| kind.compose.as_ref().is_some_and(composes));
        let (Some(link_type), Some(connection)) = (found, self.connection) else { return false };
        let compose = Compose {
            user: self.user.clone(),
            connection,
            channel: self.channels.first().cloned(),
            link_type: link_type.id.into(),
            status: None,
            title: title.to_owned(),
            content: Some(format!("The text of {title}.")),
            recipients: Vec::new(),
            attachments: Vec::new(),
        };
        self.spare(true);
        let composed = self.act("composing an item", async |runtime| runtime.compose(compose.clone()).await).await;
        self.spare(false);
        self.edits += usize::from(composed.is_some());
        composed.is_some()
    }

    /// The user sends again what did not arrive.
    pub(super) async fn send_again(&mut self) {
        for link in self.links().await {
            for row in self.notes(&link).await {
                if matches!(row.note.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown)) {
                    let user = self.user.clone();
                    self.edits += 1;
                    self.act("sending a note again", async |runtime| runtime.retry_note(row.id(), &user).await).await;
                }
            }
        }
    }

    /// How the host and the service differ.
    pub(super) async fn differences(&mut self) -> Vec<Difference> {
        let mut found = self.take_failures();
        let enabled: Vec<_> = self.channel_rows().await.into_iter().filter(|row| row.enabled).collect();
        for row in &enabled {
            if row.sync.state != SyncState::Synced {
                let error = row.sync.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
                found.push((Kind::State, format!("`{}` is {}{error}", row.channel.id, word(row.sync.state))));
            }
        }
        let query = TaskQuery { connection: self.connection, ..TaskQuery::all(100) };
        for dead in self.runtime().dead_tasks(query).await.unwrap_or_default() {
            let error = dead.errors.last().map(|error| error.message.clone()).unwrap_or_default();
            found.push((Kind::Dead, format!("{} was given up: {error}", dead.does)));
        }
        let registered = self.gate.with(|service| service.registrations());
        let subscriptions =
            self.connector().work().filter(|entry| matches!(entry.work, Some(Work::Webhook(_)))).count();
        if registered.len() > subscriptions * enabled.len().max(1) {
            found.push((Kind::Registered, format!("{} endpoints are registered with the service", registered.len())));
        }
        let items = self.items();
        let mut links = self.links().await;
        for item in &items {
            if !enabled.iter().any(|row| row.channel.id.as_str() == item.channel) {
                continue;
            }
            let title = &item.title;
            if items.iter().filter(|other| other.title == *title).count() > 1 {
                found.push((Kind::Twice, format!("the service has `{title}` more than once")));
                continue;
            }
            let (same, rest): (Vec<_>, Vec<_>) = links
                .into_iter()
                .partition(|row| row.link.title.as_deref() == Some(title) && row.link.channel.as_str() == item.channel);
            links = rest;
            match same.as_slice() {
                [] => found.push((Kind::Missing, format!("`{title}` is at the service and not here"))),
                [link] => self.compare(item, link, &mut found).await,
                _ => found.push((Kind::Twice, format!("`{title}` is here {} times", same.len()))),
            }
        }
        for row in links {
            // The user sees of these that they did not arrive.
            let undelivered = matches!(row.link.delivery, Some(Delivery::Failed { .. } | Delivery::Unknown));
            if !undelivered {
                let title = row.link.title.unwrap_or_default();
                found.push((
                    Kind::Foreign,
                    format!("`{title}` of `{}` is here and not at the service", row.link.channel),
                ));
            }
        }
        found
    }

    async fn compare(&self, item: &Item, link: &LinkRow, found: &mut Vec<Difference>) {
        let title = &item.title;
        if let Some(theirs) = &item.status {
            let ours = link.link.status.as_ref().map_or("none", |status| status.as_str());
            if theirs != ours {
                found.push((Kind::Status, format!("`{title}` is `{theirs}` at the service and `{ours}` here")));
            }
        }
        if let Some(created) = item.created_at {
            let ours = link.link.occurred_at;
            if ours.duration_since(created).abs() > SignedDuration::from_secs(1) {
                found.push((Kind::Time, format!("`{title}` is of {created} at the service and of {ours} here")));
            }
        }
        if !item.schedules.is_empty() {
            let differs = differs(&item.schedules, &link.link.schedules);
            found.extend(differs.map(|how| (Kind::Schedule, format!("`{title}` {how}"))));
        }
        let mut ours: Vec<_> = self
            .notes(link)
            .await
            .into_iter()
            .filter(|row| !matches!(row.note.delivery, Some(Delivery::Failed { .. })))
            .map(|row| words(&row.note.content))
            .collect();
        let mut theirs: Vec<_> = item.notes.iter().map(|note| words(note)).collect();
        for (notes, place) in [(&mut ours, "here"), (&mut theirs, "at the service")] {
            notes.sort();
            let all = notes.len();
            notes.dedup();
            if notes.len() < all {
                found.push((Kind::NoteTwice, format!("a note of `{title}` is {place} more than once")));
            }
        }
        for note in theirs.iter().filter(|note| !ours.contains(note)) {
            found.push((Kind::NoteMissing, format!("`{note}`, a note of `{title}`, is at the service and not here")));
        }
        for note in ours.iter().filter(|note| !theirs.contains(note)) {
            found.push((Kind::NoteForeign, format!("`{note}`, a note of `{title}`, is here and not at the service")));
        }
    }

    /// The calls that changed what the service holds.
    pub(super) fn changes(&self) -> usize {
        self.gate.calls_after(0).iter().filter(|call| call.changed).count()
    }
}

/// When something takes place at the service and here, where that is not the same.
fn differs(theirs: &[Schedule], ours: &[Schedule]) -> Option<String> {
    let told = |schedules: &[Schedule]| {
        let one = |schedule: &Schedule| {
            let when = |when: When| match when {
                When::Day(day) => day.to_string(),
                When::At(at) => at.to_string(),
            };
            let Schedule { start, end, occurrence, recurrence, cancelled, .. } = schedule;
            let of = occurrence.map(|of| format!("for {} ", when(of))).unwrap_or_default();
            if *cancelled {
                return format!("{of}not");
            }
            let until = end.map(|end| format!(" until {}", when(end))).unwrap_or_default();
            format!("{of}at {}{until} {}", when(*start), recurrence.join(" ")).trim_end().to_owned()
        };
        let mut told: Vec<_> = schedules.iter().map(one).collect();
        told.sort();
        told.join(", ")
    };
    let (theirs, ours) = (told(theirs), told(ours));
    (theirs != ours).then(|| format!("takes place {theirs} at the service, and here {ours}"))
}

/// The words of a text: formatting, which each end writes in its own way, is not compared.
fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn word(state: SyncState) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
