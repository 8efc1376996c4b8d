//! Keeps exactly one live registration of each webhook at its service (R11.4, L13).
//!
//! One task for each scope compares what should be with what is, whatever has happened since: it
//! creates, renews, adopts and deletes. What is about to be created is stored before, so that after a
//! crash the task knows that there may be one more than it knows of, and looks for it by its URL.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actions::IsOld;
use super::dispatching::{End, scope_args};
use super::hooks::{
    HookTarget, StoredHook, encode, hook_context, hook_key, hook_url, new_token, reseal_field, secret_context, token_of,
};
use super::payload::scope_name;
use super::{ActiveConnection, Runtime, Shared};
use crate::context::Dispatch;
use crate::engine::{EngineResult, KeyedTask, TaskPriority, TaskRow, Write};
use crate::error::{Error, ErrorKind, Result};
use crate::hex;
use crate::id::{ChannelId, ConnectionId, TaskId};
use crate::ports::{SealContext, Vault};
use crate::runtime::payload::TaskPayload;
use crate::secret::Secret;
use crate::value;
use crate::webhook::Handshake;
use crate::work::{Endpoint, Registration, SubscriptionCall, SubscriptionFns, SubscriptionReply, Work};

/// How often the host looks whether the service still has a registration.
const CHECK_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// What the keys of stored subscriptions begin with, in the connection's state.
pub(super) const SUBSCRIPTION_KEYS: &str = "s/";

/// How far a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// It is being registered.
    Pending,
    /// The service pushes.
    Live,
    /// The service does not push, for the reason given: the declared syncs find what changes at their intervals.
    Polling,
    /// It is being deleted at the service.
    Removing,
}

/// A subscription as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SubscriptionView {
    /// The webhook.
    pub callback: String,
    /// Its channel, for one that has a scope for each.
    pub channel: Option<ChannelId>,
    /// How far it is.
    pub state: SubscriptionState,
    /// Why it is no further.
    pub reason: Option<String>,
    /// When the registration ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When the host renews it.
    pub renew_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredSubscription {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    state: SubscriptionState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The token of its URL, sealed.
    token: String,
    /// What the service was last given to push to, sealed: the URL is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// A registration was asked for, and what came of it was not stored.
    #[serde(default)]
    unsure: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registration: Option<Registration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renew_at: Option<Timestamp>,
    /// Registrations that another one has taken the place of, and that are to be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded: Vec<Registration>,
}

/// A subscription of a connection that goes away which could not be deleted at the service now.
pub(crate) struct Left {
    pub(crate) name: String,
    pub(crate) reason: String,
    /// Where it is stored, and as what.
    pub(crate) key: String,
    pub(crate) row: Bytes,
    error: Error,
}

/// One scope of one webhook, in one run of its task.
struct Reconciling<'a> {
    shared: &'a Arc<Shared>,
    dispatch: &'a Arc<Dispatch>,
    name: &'a str,
    channel: Option<&'a ChannelId>,
    args: Vec<u8>,
}

/// The task that keeps a subscription as it should be. It has no lane and falls with no channel: it ends what it began.
pub(crate) fn subscription_task(
    id: TaskId,
    connection: ConnectionId,
    name: &str,
    channel: Option<&ChannelId>,
) -> Result<Write> {
    let payload = TaskPayload::Subscription { name: name.to_owned().into(), channel: channel.cloned() };
    let task = TaskRow {
        key: Some(format!("w//webhook/{}", scope_name(name, channel))),
        priority: TaskPriority::Webhook,
        ..payload.task(id, connection)?
    };
    Ok(Write::PutTask { task, keyed: KeyedTask::Replace })
}

fn row_key(name: &str, channel: Option<&ChannelId>) -> String {
    format!("{SUBSCRIPTION_KEYS}{}", scope_name(name, channel))
}

/// The row of a subscription with what is sealed in it sealed anew; `None` if that is not needed.
pub(super) fn reseal_subscription(
    vault: &dyn Vault,
    connection: ConnectionId,
    key: &str,
    stored: &[u8],
    is_old: &IsOld<'_>,
) -> Result<Option<Bytes>> {
    let mut row: StoredSubscription = value::from_bytes(stored)
        .map_err(|error| Error::bug("the stored subscription cannot be read").with_source(error))?;
    let mut resealed = reseal_field(vault, &hook_context(connection, key, "token"), &mut row.token, is_old)?;
    if let Some(url) = &mut row.url {
        resealed |= reseal_field(vault, &hook_context(connection, key, "url"), url, is_old)?;
    }
    if resealed { encode(&row).map(Some) } else { Ok(None) }
}

impl Runtime {
    /// The subscriptions of a connection, in the order of their scopes.
    pub async fn subscriptions(&self, connection: ConnectionId) -> EngineResult<Vec<SubscriptionView>> {
        let stored = self.shared.stored_subscriptions(connection).await?;
        Ok(stored
            .into_iter()
            .map(|row| SubscriptionView {
                callback: row.name,
                channel: row.channel,
                state: row.state,
                reason: row.reason,
                expires_at: row.registration.and_then(|registration| registration.expires_at),
                renew_at: row.renew_at,
            })
            .collect())
    }
}

impl Shared {
    async fn stored_subscriptions(&self, connection: ConnectionId) -> EngineResult<Vec<StoredSubscription>> {
        let prefix = SUBSCRIPTION_KEYS.to_owned();
        let entries = self.ports.engine.state_entries(connection, prefix, usize::MAX).await?;
        let read = entries.into_iter().filter_map(|(key, stored)| match value::from_bytes(&stored.value) {
            Ok(row) => Some(row),
            Err(error) => {
                tracing::error!(%connection, key, "a stored subscription cannot be read: {error}");
                None
            }
        });
        Ok(read.collect())
    }

    /// Makes a subscription as it should be.
    pub(super) async fn reconcile(
        self: &Arc<Self>,
        dispatch: &Arc<Dispatch>,
        name: &str,
        channel: Option<&ChannelId>,
    ) -> Result<End> {
        let scope = Reconciling { shared: self, dispatch, name, channel, args: scope_args(channel)? };
        let stored = scope.stored().await?;
        let found = dispatch.connection.connector.work_named(name);
        let declared = found.and_then(|found| match (found.work, found.entry.subscription) {
            (Work::Webhook(declared), Some(fns)) => Some((declared, fns)),
            _ => None,
        });
        let enabled = channel
            .is_none_or(|channel| dispatch.connection.channels.get(channel).is_some_and(|channel| channel.enabled));
        match (declared, stored) {
            (Some((declared, fns)), stored) if enabled => {
                let brings_secret = matches!(declared.handshake, Some(Handshake::EchoHeader { .. }));
                scope.subscribe(fns, brings_secret, stored).await
            }
            (Some((_, fns)), Some(stored)) => scope.unsubscribe(fns, stored).await,
            (None, Some(stored)) => {
                tracing::warn!(connection = %dispatch.connection_id(), webhook = name, "is not declared any more, and cannot be deleted at the service");
                scope.forget(&stored)?;
                Ok(End::Done)
            }
            (_, None) => Ok(End::Done),
        }
    }

    /// Deletes all registrations of a connection that goes away; those that the service could not be told of now.
    /// What it does not let go is logged.
    pub(super) async fn unsubscribe_all(
        self: &Arc<Self>,
        connection: &Arc<ActiveConnection>,
        begin: impl Fn(&str) -> Arc<Dispatch>,
    ) -> Result<Vec<Left>> {
        let id = connection.row.id;
        let mut left = Vec::new();
        for mut row in self.stored_subscriptions(id).await? {
            let found = connection.connector.work_named(&row.name);
            let Some(fns) = found.and_then(|found| found.entry.subscription) else { continue };
            let (name, channel) = (row.name.clone(), row.channel.clone());
            let dispatch = begin(&name);
            let args = scope_args(channel.as_ref())?;
            let scope = Reconciling { shared: self, dispatch: &dispatch, name: &name, channel: channel.as_ref(), args };
            let Err(error) = self.guarded(&dispatch, scope.delete_all(fns, &mut row)).await else { continue };
            if !matches!(error.kind(), ErrorKind::Transient | ErrorKind::RateLimited { .. }) {
                tracing::error!(connection = %id, webhook = name, "the registration stays at the service: {error}");
                continue;
            }
            let reason = error.to_string();
            (row.state, row.reason) = (SubscriptionState::Removing, Some(reason.clone()));
            left.push(Left { key: row_key(&name, channel.as_ref()), row: encode(&row)?, name, reason, error });
        }
        Ok(left)
    }

    /// Has the service stop pushing to a connection that is disconnected. When it has heard it of all, the connection ends.
    pub(super) async fn end_disconnected(self: &Arc<Self>, dispatch: &Arc<Dispatch>) -> Result<()> {
        let known = self.stored_subscriptions(dispatch.connection_id()).await?;
        let mut left = self.unsubscribe_all(&dispatch.connection, |_| Arc::clone(dispatch)).await?;
        let Some(last) = left.pop() else {
            let end = self.end_of(&dispatch.connection.row).await?;
            end.into_iter().for_each(|write| dispatch.unit().push(write));
            return Ok(());
        };
        {
            let mut unit = dispatch.unit();
            for row in known {
                unit.put(row_key(&row.name, row.channel.as_ref()), None);
            }
            for left in left {
                unit.put(left.key, Some(left.row));
            }
            unit.put(last.key, Some(last.row));
        }
        // What is done is not done again.
        self.commit(dispatch, None).await?;
        Err(last.error)
    }
}

impl Reconciling<'_> {
    fn connection(&self) -> ConnectionId {
        self.dispatch.connection_id()
    }

    fn now(&self) -> Timestamp {
        self.shared.ports.clock.now()
    }

    async fn stored(&self) -> Result<Option<StoredSubscription>> {
        let keys = vec![row_key(self.name, self.channel)];
        let stored = self.shared.ports.engine.state(self.connection(), keys).await?.pop().flatten();
        let read = |stored: crate::engine::StateValue| value::from_bytes(&stored.value);
        stored
            .map(read)
            .transpose()
            .map_err(|error| Error::bug("the stored subscription cannot be read").with_source(error))
    }

    fn put(&self, row: &StoredSubscription) -> Result<()> {
        self.dispatch.unit().put(row_key(self.name, self.channel), Some(encode(row)?));
        Ok(())
    }

    /// Stores the row now: what follows may not come to its end.
    async fn store(&self, row: &StoredSubscription) -> Result<()> {
        self.put(row)?;
        self.shared.commit(self.dispatch, None).await.map(drop)
    }

    fn forget(&self, row: &StoredSubscription) -> Result<()> {
        let (_, key) =
            hook_key(&self.open("token", &row.token)?).ok_or_else(|| Error::bug("a stored webhook has no key"))?;
        let mut unit = self.dispatch.unit();
        unit.put(key, None);
        unit.put(row_key(self.name, self.channel), None);
        Ok(())
    }

    /// The seal context of a field of the subscription's row.
    fn context(&self, field: &str) -> SealContext<'static> {
        hook_context(self.connection(), &row_key(self.name, self.channel), field)
    }

    /// Opens a field of the subscription's row.
    fn open(&self, field: &str, sealed: &str) -> Result<String> {
        self.open_in(&self.context(field), sealed)
    }

    fn open_in(&self, context: &SealContext<'_>, sealed: &str) -> Result<String> {
        let opened = self.shared.ports.vault.open(context, sealed);
        let plain = opened.map_err(|error| Error::bug("a stored webhook cannot be opened").with_source(error))?;
        Ok(String::from_utf8_lossy(&plain).into_owned())
    }

    /// Seals a field of the subscription's row.
    fn seal(&self, field: &str, plain: &str) -> String {
        self.shared.ports.vault.seal(&self.context(field), plain.as_bytes())
    }

    async fn call(&self, fns: SubscriptionFns, call: SubscriptionCall) -> Result<SubscriptionReply> {
        (fns.run)(self.dispatch, &self.args, call).await
    }

    async fn list(&self, fns: SubscriptionFns) -> Result<Option<Vec<Registration>>> {
        match self.call(fns, SubscriptionCall::List).await? {
            SubscriptionReply::Listed(listed) => Ok(listed),
            _ => Ok(None),
        }
    }

    /// Deletes a registration; one that is gone, or that the service does not let go, is gone.
    async fn delete(&self, fns: SubscriptionFns, registration: Registration) -> Result<()> {
        match self.call(fns, SubscriptionCall::Delete { registration }).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::Gone => Ok(()),
                ErrorKind::Rejected | ErrorKind::ScopeMissing { .. } => {
                    tracing::error!(connection = %self.connection(), webhook = self.name, "the registration stays at the service: {error}");
                    Ok(())
                }
                _ => Err(error),
            },
        }
    }

    async fn subscribe(
        &self,
        fns: SubscriptionFns,
        brings_secret: bool,
        stored: Option<StoredSubscription>,
    ) -> Result<End> {
        let mut row = match stored {
            Some(row) => row,
            None => StoredSubscription {
                name: self.name.to_owned(),
                channel: self.channel.cloned(),
                state: SubscriptionState::Pending,
                reason: None,
                token: self.seal("token", &new_token(self.connection(), self.shared.ports.vault.random())),
                url: None,
                unsure: false,
                registration: None,
                renew_at: None,
                superseded: Vec::new(),
            },
        };
        let token = self.open("token", &row.token)?;
        let url = match hook_url(&self.shared.config, &token) {
            Ok(url) => url,
            Err(error) => return self.poll(row, &error),
        };
        let told = row.url.as_deref().map(|url| self.open("url", url)).transpose()?;
        if told.is_some_and(|told| told != url) {
            // The host is reached at another address now.
            row.superseded.extend(row.registration.take());
        }
        match self.register(fns, brings_secret, &mut row, &token, url).await {
            Ok(()) => {}
            Err(error) => {
                return match error.kind() {
                    ErrorKind::Rejected | ErrorKind::ScopeMissing { .. } | ErrorKind::Gone => {
                        row.unsure = false;
                        self.poll(row, &error)
                    }
                    _ => {
                        row.reason = Some(error.to_string());
                        self.store(&row).await?;
                        Err(error)
                    }
                };
            }
        }
        (row.state, row.reason) = (SubscriptionState::Live, None);
        self.store(&row).await?;
        // Only now, that the new one is stored.
        while let Some(registration) = row.superseded.last() {
            self.delete(fns, registration.clone()).await?;
            row.superseded.pop();
            self.put(&row)?;
        }
        let check = self.now().checked_add(CHECK_INTERVAL).ok();
        Ok(End::Again(row.renew_at.into_iter().chain(check).min()))
    }

    /// Sees to it that `row` has a registration that is live.
    async fn register(
        &self,
        fns: SubscriptionFns,
        brings_secret: bool,
        row: &mut StoredSubscription,
        token: &str,
        url: String,
    ) -> Result<()> {
        if row.unsure || row.registration.is_some() {
            self.compare(fns, row, &url).await?;
        }
        let (_, key) = hook_key(token).ok_or_else(|| Error::bug("a stored webhook has no key"))?;
        let context = secret_context(self.connection(), &key);
        let hook = self.shared.ports.engine.state(self.connection(), vec![key.clone()]).await?.pop().flatten();
        let vault = &self.shared.ports.vault;
        let declared = self.dispatch.connection.connector.work_named(self.name);
        let declared = declared.ok_or_else(|| Error::bug("the webhook is not declared any more"))?;
        let mut hook: StoredHook = match hook {
            Some(hook) => value::from_bytes(&hook.value)
                .map_err(|error| Error::bug("the stored webhook cannot be read").with_source(error))?,
            None => StoredHook {
                target: HookTarget {
                    namespace: declared.namespace.to_owned(),
                    name: declared.entry.name.to_owned(),
                    args: self.args.clone().into(),
                    token: None,
                    secret: Some(vault.seal(&context, hex::encode(&vault.random()).as_bytes())),
                },
                channel: self.channel.cloned(),
                synchronous: false,
                delivery_id: None,
                expects_secret: false,
            },
        };
        let secret = hook.target.secret.as_deref().map(|sealed| self.open_in(&context, sealed)).transpose()?;
        let secret = secret.map(Secret::new);
        let endpoint = Endpoint::new(url.clone(), secret);
        if let Some(registration) = row.registration.clone().filter(|_| row.renew_at.is_some_and(|at| at <= self.now()))
        {
            let ended = registration.expires_at.is_some_and(|at| at <= self.now());
            let renewed = if ended { Ok(None) } else { self.renew(fns, &registration, &endpoint).await };
            match renewed? {
                Some(renewed) => self.registered(row, renewed),
                None => row.superseded.extend(row.registration.take()),
            }
        }
        if row.registration.is_some() {
            return Ok(());
        }
        // The secret is stored before the service has it, and that there may soon be a registration.
        (row.state, row.unsure) = (SubscriptionState::Pending, true);
        row.url = Some(self.seal("url", &url));
        hook.expects_secret = brings_secret;
        self.dispatch.unit().put(key, Some(encode(&hook)?));
        self.store(row).await?;
        let SubscriptionReply::Registered(Some(registration)) =
            self.call(fns, SubscriptionCall::Create { endpoint }).await?
        else {
            return Err(Error::bug("a subscription was created without a registration"));
        };
        self.registered(row, registration);
        Ok(())
    }

    /// Renews a registration; none if it cannot be, and a new one has to take its place.
    async fn renew(
        &self,
        fns: SubscriptionFns,
        registration: &Registration,
        endpoint: &Endpoint,
    ) -> Result<Option<Registration>> {
        let call = SubscriptionCall::Renew { registration: registration.clone(), endpoint: endpoint.clone() };
        match self.call(fns, call).await {
            Ok(SubscriptionReply::Registered(renewed)) => Ok(renewed),
            Ok(_) => Ok(None),
            Err(error) if *error.kind() == ErrorKind::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn registered(&self, row: &mut StoredSubscription, registration: Registration) {
        let now = self.now();
        // At half of its life there is as much time left for what goes wrong.
        let half = registration.expires_at.map(|at| at.duration_since(now) / 2);
        row.renew_at = half.and_then(|half| now.checked_add(half.max(SignedDuration::ZERO)).ok());
        row.registration = Some(registration);
        row.unsure = false;
    }

    /// Takes over what the service says that it has, where it can say it.
    async fn compare(&self, fns: SubscriptionFns, row: &mut StoredSubscription, url: &str) -> Result<()> {
        let Some(listed) = self.list(fns).await? else { return Ok(()) };
        let known = row.registration.as_ref().map(|registration| registration.id.clone());
        if known.is_some_and(|known| listed.iter().all(|listed| listed.id != known)) {
            // The service has lost it.
            (row.registration, row.renew_at) = (None, None);
        }
        for listed in listed {
            let known = |other: &Registration| other.id == listed.id;
            if row.registration.as_ref().is_some_and(known) || row.superseded.iter().any(known) {
                continue;
            }
            match &listed.url {
                Some(pushes_to) if pushes_to == url && row.registration.is_none() => self.registered(row, listed),
                Some(pushes_to) if pushes_to == url || self.is_stray(pushes_to).await? => row.superseded.push(listed),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether it is a URL that this connection had and does not know any more.
    async fn is_stray(&self, url: &str) -> Result<bool> {
        let base = self.shared.config.public_url.as_deref().unwrap_or_default();
        let Some((connection, key)) = token_of(url).and_then(hook_key) else { return Ok(false) };
        if connection != self.connection() || !url.strip_prefix(base).is_some_and(|rest| rest.starts_with("/hooks/")) {
            return Ok(false);
        }
        Ok(self.shared.ports.engine.state(connection, vec![key]).await?.pop().flatten().is_none())
    }

    /// The service does not take the subscription: the declared syncs do without, and it is tried again later.
    fn poll(&self, mut row: StoredSubscription, error: &Error) -> Result<End> {
        tracing::warn!(connection = %self.connection(), webhook = self.name, "is not registered, so changes are found by polling: {error}");
        row.state = SubscriptionState::Polling;
        row.reason = Some(error.to_string());
        self.put(&row)?;
        Ok(End::Again(self.now().checked_add(CHECK_INTERVAL).ok()))
    }

    async fn unsubscribe(&self, fns: SubscriptionFns, mut row: StoredSubscription) -> Result<End> {
        row.state = SubscriptionState::Removing;
        if let Err(error) = self.delete_all(fns, &mut row).await {
            row.reason = Some(error.to_string());
            self.store(&row).await?;
            return Err(error);
        }
        self.forget(&row)?;
        Ok(End::Done)
    }

    /// Deletes what there is, and what there may be, at the service.
    async fn delete_all(&self, fns: SubscriptionFns, row: &mut StoredSubscription) -> Result<()> {
        row.superseded.extend(row.registration.take());
        row.renew_at = None;
        if row.unsure {
            let url = row.url.as_deref().map(|url| self.open("url", url)).transpose()?;
            let listed = self.list(fns).await?.unwrap_or_default();
            let ours = listed.into_iter().filter(|listed| url.is_some() && listed.url == url);
            let new: Vec<_> = ours.filter(|ours| row.superseded.iter().all(|known| known.id != ours.id)).collect();
            row.superseded.extend(new);
            row.unsure = false;
        }
        while let Some(registration) = row.superseded.last() {
            self.delete(fns, registration.clone()).await?;
            row.superseded.pop();
        }
        Ok(())
    }
}
