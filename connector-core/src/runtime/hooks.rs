//! Requests that services push: whose they are, whether they are right, and how they are kept (R10.3, L14).

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::actions::{ActionError, IsOld};
use super::connections::Unavailable;
use super::dispatching::scope_args;
use super::payload::TaskPayload;
use super::{ActiveConnection, Config, DispatchOf, Runtime, Shared};
use crate::context::{Dispatch, Mode};
use crate::dispatch::{Input, Returned};
use crate::engine::{
    CommitError, ConnectionStatus, DeliveryQuery, DeliveryRow, EngineError, EngineResult, KeyedTask, TaskPriority,
    TaskRow, Write, WriteSet,
};
use crate::error::{Error, Result};
use crate::hex;
use crate::id::{ChannelId, ConnectionId, DeliveryId, TaskId};
use crate::ports::{SealContext, Vault};
use crate::registry::{DeclaredWork, RegisteredConnector};
use crate::secret::Secret;
use crate::value;
use crate::webhook::{Handshake, Verified, VerifyError, WebhookDeclaration, WebhookRequest};
use crate::work::Work;

/// What the secrets and URLs of webhooks are sealed for.
const HOOK_PURPOSE: &str = "webhook";

/// The seal context of a field of a webhook's row: the connection, the key of the row in its state, the field.
pub(crate) fn hook_context(connection: ConnectionId, key: &str, field: &str) -> SealContext<'static> {
    SealContext::stored(HOOK_PURPOSE, format!("{connection}/{key}#{field}"))
}

/// The seal context of the secret of a stored webhook.
pub(crate) fn secret_context(connection: ConnectionId, key: &str) -> SealContext<'static> {
    hook_context(connection, key, "secret")
}

/// The seal context of the secret that a delivery holds.
fn delivery_context(connection: ConnectionId, delivery: DeliveryId) -> SealContext<'static> {
    SealContext::stored(HOOK_PURPOSE, format!("{connection}/{delivery}"))
}

/// How often a synchronous webhook is run because another dispatch was faster.
const MAX_CONFLICTS: usize = 5;

/// Deliveries that are looked at or removed at once.
const PAGE: usize = 500;

/// A URL that a service pushes to, as it is stored under the hash of its token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredHook {
    #[serde(flatten)]
    pub(crate) target: HookTarget,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<ChannelId>,
    /// The callback's value is the answer.
    #[serde(default)]
    pub(crate) synchronous: bool,
    /// Where the id of a delivery is, for a URL that the connector made itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivery_id: Option<String>,
    /// The service may bring a secret of its own in a handshake: its registration is being made.
    #[serde(default)]
    pub(crate) expects_secret: bool,
}

/// The callback that takes the requests of a URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HookTarget {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) args: Bytes,
    /// The callback token that it was made from: it must still be valid when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// The secret that the service signs with, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// A delivery as it is stored: the request, and who takes it.
#[derive(Serialize, Deserialize)]
struct StoredDelivery {
    target: HookTarget,
    request: WebhookRequest,
}

/// Seals a field anew if `is_old` is true for it; whether it was.
pub(super) fn reseal_field(
    vault: &dyn Vault,
    context: &SealContext<'_>,
    sealed: &mut String,
    is_old: &IsOld<'_>,
) -> Result<bool> {
    if !is_old(sealed) {
        return Ok(false);
    }
    let plain = vault
        .open(context, sealed)
        .map_err(|error| Error::bug("a stored webhook cannot be opened").with_source(error))?;
    *sealed = vault.seal(context, &plain);
    Ok(true)
}

/// The row of a webhook with its secret sealed anew; `None` if that is not needed.
pub(super) fn reseal_hook(
    vault: &dyn Vault,
    connection: ConnectionId,
    key: &str,
    stored: &[u8],
    is_old: &IsOld<'_>,
) -> Result<Option<Bytes>> {
    let mut hook: StoredHook = value::from_bytes(stored)
        .map_err(|error| Error::bug("the stored webhook cannot be read").with_source(error))?;
    let Some(secret) = &mut hook.target.secret else { return Ok(None) };
    if !reseal_field(vault, &secret_context(connection, key), secret, is_old)? {
        return Ok(None);
    }
    encode(&hook).map(Some)
}

/// A new URL's token, which says whose it is and cannot be guessed.
pub(crate) fn new_token(connection: ConnectionId, random: [u8; 16]) -> String {
    format!("{}-{}", connection.number(), hex::encode(&random))
}

/// Whose URL has this token, and where it is stored: under a hash, so that a copy of the store opens no URL.
pub(crate) fn hook_key(token: &str) -> Option<(ConnectionId, String)> {
    let (connection, random) = token.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(connection) || random.len() != 32 {
        return None;
    }
    Some((ConnectionId::from_number(connection.parse().ok()?), format!("{HOOK_KEYS}{}", hash(&[token.as_bytes()]))))
}

/// What the keys of stored hooks begin with, in the connection's state.
pub(crate) const HOOK_KEYS: &str = "k/";

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digits = hex::encode(&hash.finalize());
    digits.truncate(32);
    digits
}

/// The URL of a hook.
pub(crate) fn hook_url(config: &Config, token: &str) -> Result<String> {
    match &config.public_url {
        Some(base) => Ok(format!("{base}/hooks/{token}")),
        None => Err(Error::rejected(
            "no public URL is configured, so services cannot push: set `public_url` to where they reach this host",
        )),
    }
}

/// The last part of a hook's URL.
pub(crate) fn token_of(url: &str) -> Option<&str> {
    url.rsplit('/').next()
}

/// Somewhere that services push to.
pub struct Hook {
    shared: Arc<Shared>,
    place: Place,
}

enum Place {
    /// The URL of one subscription.
    Own { connection: Arc<ActiveConnection>, key: String, hook: Box<StoredHook>, declared: Option<WebhookDeclaration> },
    /// The URL of a whole app.
    App { connector: Arc<RegisteredConnector>, work: DeclaredWork, declared: WebhookDeclaration },
}

/// What a service hears.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HookAnswer {
    /// The request is stored, or was stored before.
    Taken,
    /// A text.
    Text(String),
    /// A JSON value.
    Json(serde_json::Value),
    /// Nothing but a header.
    Header(&'static str, String),
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// Nothing is pushed there, or not any more.
    #[error("no webhook has this address")]
    Unknown,
    /// Its channel is disabled.
    #[error("this webhook's channel is disabled")]
    Disabled,
    /// It does not come from the service.
    #[error("{0}")]
    Unverified(#[from] VerifyError),
    /// This host cannot take it now.
    #[error("this webhook cannot be taken now")]
    Unavailable,
    /// The store failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The callback whose answer is waited for failed.
    #[error("{}", .0)]
    Failed(super::actions::ConnectorError),
}

impl From<Error> for HookError {
    fn from(error: Error) -> Self {
        Self::Failed(super::actions::ConnectorError(error))
    }
}

impl Runtime {
    /// The webhook whose URL has this token.
    pub async fn find_hook(&self, token: &str) -> Result<Hook, HookError> {
        let shared = Arc::clone(&self.shared);
        let (id, key) = hook_key(token).ok_or(HookError::Unknown)?;
        let stored = shared.ports.engine.state(id, vec![key.clone()]).await?.pop().flatten();
        let stored = stored.ok_or(HookError::Unknown)?;
        let hook: StoredHook = value::from_bytes(&stored.value).map_err(|error| {
            tracing::error!(connection = %id, "a stored webhook cannot be read: {error}");
            HookError::Unavailable
        })?;
        let connection = match shared.active(id).await {
            Ok(connection) => connection,
            Err(Unavailable::Gone) => return Err(HookError::Unknown),
            Err(Unavailable::NotLinked) => return Err(HookError::Unavailable),
            Err(Unavailable::Failed(error)) => {
                tracing::error!(connection = %id, "a connection cannot be read: {error}");
                return Err(HookError::Unavailable);
            }
        };
        if let Some(channel) = &hook.channel
            && !connection.channels.get(channel).is_some_and(|channel| channel.enabled)
        {
            return Err(HookError::Disabled);
        }
        let found = connection.connector.callback(&hook.target.namespace, &hook.target.name);
        let declared = match found.ok_or(HookError::Unknown)?.entry.work {
            Some(Work::Webhook(declared)) => Some(declared),
            _ => None,
        };
        Ok(Hook { shared, place: Place::Own { connection, key, hook: Box::new(hook), declared } })
    }

    /// The webhook of a whole app.
    pub fn find_app_hook(&self, connector: &str) -> Result<Hook, HookError> {
        let connector = self.shared.registry.get(connector).ok_or(HookError::Unknown)?;
        let (work, declared) = connector.app_webhook().ok_or(HookError::Unknown)?;
        let place = Place::App { connector: Arc::clone(connector), work: work.clone(), declared };
        Ok(Hook { shared: Arc::clone(&self.shared), place })
    }
}

impl Hook {
    /// How its requests are checked; none for a URL that the connector made itself, which it checks itself.
    pub(crate) fn declared(&self) -> Option<&WebhookDeclaration> {
        match &self.place {
            Place::Own { declared, .. } => declared.as_ref(),
            Place::App { declared, .. } => Some(declared),
        }
    }

    /// The largest body that the connector takes there, in bytes; `None` means as the host has it.
    pub fn max_body(&self) -> Option<u32> {
        self.declared()?.max_body
    }

    /// Takes a request that came to it. When this returns without an error, it is stored, or needs not be.
    pub async fn receive(self, request: WebhookRequest) -> Result<HookAnswer, HookError> {
        let Self { shared, place } = self;
        let connector = match &place {
            Place::Own { connection, .. } => connection.connector.declaration.id,
            Place::App { connector, .. } => connector.declaration.id,
        };
        let answer = match place {
            Place::Own { connection, key, hook, declared } => {
                shared.receive(connection, key, *hook, declared, request).await
            }
            Place::App { connector, work, declared } => shared.receive_app(&connector, &work, declared, request).await,
        };
        let outcome = match &answer {
            Ok(HookAnswer::Taken) => "taken",
            Ok(_) => "answered",
            Err(HookError::Unverified(_)) => "unverified",
            Err(_) => "failed",
        };
        metrics::counter!("connectors_webhooks_total", "connector" => connector, "outcome" => outcome).increment(1);
        answer
    }
}

impl Shared {
    /// The URLs that a connector made itself for a channel.
    pub(super) async fn own_hooks_of(&self, connection: ConnectionId, channel: &ChannelId) -> Result<Vec<String>> {
        let stored = self.ports.engine.state_entries(connection, HOOK_KEYS.to_owned(), usize::MAX).await?;
        let active = self.active(connection).await;
        let subscribed = |hook: &StoredHook| {
            active.as_ref().is_ok_and(|active| {
                let found = active.connector.callback(&hook.target.namespace, &hook.target.name);
                found.is_some_and(|found| found.entry.subscription.is_some())
            })
        };
        let own = |(key, stored): (String, crate::engine::StateValue)| {
            let hook: StoredHook = value::from_bytes(&stored.value).ok()?;
            (hook.channel.as_ref() == Some(channel) && !subscribed(&hook)).then_some(key)
        };
        Ok(stored.into_iter().filter_map(own).collect())
    }

    async fn receive(
        self: &Arc<Self>,
        connection: Arc<ActiveConnection>,
        key: String,
        hook: StoredHook,
        declared: Option<WebhookDeclaration>,
        request: WebhookRequest,
    ) -> Result<HookAnswer, HookError> {
        let id = connection.row.id;
        if let Some(declared) = &declared {
            if let Some(answer) = early_answer(declared, &request) {
                return Ok(answer);
            }
            if let Some(Handshake::EchoHeader { header }) = declared.handshake
                && let Some(secret) = request.header(header)
            {
                let secret = secret.to_owned();
                return self.keep_secret(id, key, hook, &secret).await.map(|()| HookAnswer::Header(header, secret));
            }
            let secret = self.open_secret(&secret_context(id, &key), &hook.target)?;
            declared.verify.check(&request, secret.as_ref(), request.received_at)?;
            if let Some(answer) = challenge(declared, &request) {
                return Ok(answer);
            }
        }
        if hook.synchronous {
            return self.answer(&connection, &key, &hook.target, request).await;
        }
        let delivery_id = declared.map_or(hook.delivery_id.as_deref(), |declared| declared.delivery_id);
        let repeated = delivery_key(&key, delivery_id, declared.as_ref(), &request);
        // What the host has checked needs no secret any more; a callback that checks it itself does.
        let secret = match declared {
            Some(_) => None,
            None => self.open_secret(&secret_context(id, &key), &hook.target)?,
        };
        self.keep_delivery(id, hook.channel, repeated, hook.target, secret, request).await?;
        Ok(HookAnswer::Taken)
    }

    async fn receive_app(
        self: &Arc<Self>,
        connector: &RegisteredConnector,
        work: &DeclaredWork,
        declared: WebhookDeclaration,
        request: WebhookRequest,
    ) -> Result<HookAnswer, HookError> {
        if let Some(answer) = early_answer(&declared, &request) {
            return Ok(answer);
        }
        let id = connector.declaration.id;
        let secret = connector.declaration.provider.and_then(|provider| self.config.webhook_secrets.get(provider.id()));
        if secret.is_none() {
            tracing::warn!(
                connector = id,
                "no `webhook_secret` is configured for the provider: its webhooks are refused"
            );
        }
        declared.verify.check(&request, secret, request.received_at)?;
        if let Some(answer) = challenge(&declared, &request) {
            return Ok(answer);
        }
        let tenant = declared.tenant.and_then(|tenant| tenant.of(&request));
        let Some(tenant) = tenant else {
            tracing::debug!(connector = id, "a request of the app names no tenant");
            return Ok(HookAnswer::Taken);
        };
        let connections = self.ports.engine.connections_of_tenant(connector.declaration.id.into(), tenant).await?;
        let target = HookTarget {
            namespace: work.namespace.to_owned(),
            name: work.entry.name.to_owned(),
            args: scope_args(None)?.into(),
            token: None,
            secret: None,
        };
        let repeated = delivery_key(&work.name, declared.delivery_id, Some(&declared), &request);
        let kept = connections
            .iter()
            .filter(|row| row.status != ConnectionStatus::Disabled)
            .map(|row| self.keep_delivery(row.id, None, repeated.clone(), target.clone(), None, request.clone()));
        // Should one of them fail, the service sends it again, and the others have it already.
        for kept in futures_util::future::join_all(kept).await {
            kept?;
        }
        Ok(HookAnswer::Taken)
    }

    fn open_secret(&self, context: &SealContext<'_>, target: &HookTarget) -> Result<Option<Secret>, HookError> {
        let Some(sealed) = &target.secret else { return Ok(None) };
        let plain = self.ports.vault.open(context, sealed).map_err(|error| {
            tracing::error!("the secret of a webhook cannot be opened: {error}");
            HookError::Unavailable
        })?;
        Ok(Some(Secret::new(String::from_utf8_lossy(&plain).into_owned())))
    }

    /// Stores the secret that the service brought, before it hears that it was taken (L13). Only while
    /// its registration is being made: later, it could be anyone's.
    async fn keep_secret(
        &self,
        connection: ConnectionId,
        key: String,
        hook: StoredHook,
        secret: &str,
    ) -> Result<(), HookError> {
        if !hook.expects_secret || secret.is_empty() {
            return Err(VerifyError::Wrong.into());
        }
        let sealed = self.ports.vault.seal(&secret_context(connection, &key), secret.as_bytes());
        let hook =
            StoredHook { expects_secret: false, target: HookTarget { secret: Some(sealed), ..hook.target }, ..hook };
        let value = encode(&hook)?;
        let put = Write::PutState { connection, key, value };
        self.ports
            .engine
            .commit(WriteSet { connection: Some(connection), ..WriteSet::of([put]) })
            .await
            .map_err(not_stored)?;
        Ok(())
    }

    /// Stores a request with the task that hands it over. One that was stored before is dropped.
    async fn keep_delivery(
        &self,
        connection: ConnectionId,
        channel: Option<ChannelId>,
        key: Option<String>,
        target: HookTarget,
        secret: Option<Secret>,
        request: WebhookRequest,
    ) -> Result<(), HookError> {
        let id = DeliveryId::from_number(self.ports.engine.take_ids(2));
        let context = delivery_context(connection, id);
        let secret = secret.map(|secret| self.ports.vault.seal(&context, secret.expose().as_bytes()));
        let target = HookTarget { secret, ..target };
        let task = delivery_task(first_task_of(id), connection, channel.clone(), &target.name, id)?;
        let row = DeliveryRow {
            id,
            connection,
            key,
            callback: target.name.clone(),
            channel,
            received_at: request.received_at,
            task: task.id,
            size: request.body.len() as u64,
        };
        let request = encode(&StoredDelivery { target, request })?;
        let writes = [Write::PutDelivery { row, request }, Write::PutTask { task, keyed: KeyedTask::Replace }];
        match self.ports.engine.commit(WriteSet { connection: Some(connection), ..WriteSet::of(writes) }).await {
            Ok(_) => Ok(()),
            Err(CommitError::RecordConflict) => {
                tracing::debug!(%connection, "a webhook that was sent again is dropped");
                Ok(())
            }
            Err(error) => Err(not_stored(error)),
        }
    }

    /// Runs the callback while the service waits, for its answer.
    async fn answer(
        self: &Arc<Self>,
        connection: &Arc<ActiveConnection>,
        key: &str,
        target: &HookTarget,
        request: WebhookRequest,
    ) -> Result<HookAnswer, HookError> {
        let context = secret_context(connection.row.id, key);
        let mut connection = Arc::clone(connection);
        for _ in 0..MAX_CONFLICTS {
            let dispatch = DispatchOf {
                connection: Arc::clone(&connection),
                mode: Mode::Live,
                lane: TaskPriority::Webhook,
                task: None,
                run: None,
                nonce: None,
                attempt: 1,
                name: target.name.clone(),
                may_call_out: true,
                creates: None,
            }
            .begin(self);
            let value = self.guarded(&dispatch, dispatch.take_request(&context, target, request.clone())).await?;
            match self.commit(&dispatch, None).await {
                Ok(_) => {
                    return Ok(match value {
                        serde_json::Value::Null => HookAnswer::Taken,
                        serde_json::Value::String(text) => HookAnswer::Text(text),
                        value => HookAnswer::Json(value),
                    });
                }
                Err(error) if error.is_conflict() => {
                    connection = self.active(connection.row.id).await.map_err(|_| HookError::Unknown)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(HookError::Unavailable)
    }

    /// Hands a stored request to its callback.
    pub(super) async fn hand_over(&self, dispatch: &Arc<Dispatch>, id: DeliveryId) -> Result<()> {
        let Some((row, stored)) = self.ports.engine.delivery(id).await? else {
            return Err(Error::gone("the request is not kept any more"));
        };
        if let Some(channel) = &row.channel
            && !dispatch.connection.channels.get(channel).is_some_and(|channel| channel.enabled)
        {
            // It came in while the channel was disabled.
            return Ok(());
        }
        let StoredDelivery { target, request } = value::from_bytes(&stored)
            .map_err(|error| Error::bug("the stored request cannot be read").with_source(error))?;
        let received_at = request.received_at;
        dispatch.take_request(&delivery_context(row.connection, id), &target, request).await?;
        // One that is replayed has waited for nobody.
        if row.task == first_task_of(id) {
            let lag = self.ports.clock.now().duration_since(received_at).as_secs_f64().max(0.0);
            let connector = dispatch.connection.connector.declaration.id;
            metrics::histogram!("connectors_webhook_lag_seconds", "connector" => connector, "callback" => target.name)
                .record(lag);
        }
        Ok(())
    }
}

/// The task that hands a delivery over the first time: its id is taken with that of the delivery.
fn first_task_of(id: DeliveryId) -> TaskId {
    TaskId::from_number(id.number() + 1)
}

impl Dispatch {
    /// Runs the callback of a webhook; its value as JSON, null if it has none.
    async fn take_request(
        self: &Arc<Self>,
        context: &SealContext<'_>,
        target: &HookTarget,
        mut request: WebhookRequest,
    ) -> Result<serde_json::Value> {
        if let Some(token) = &target.token {
            self.bound(token).await?;
        }
        let found = self.connection.connector.callback(&target.namespace, &target.name);
        let entry = found.map(|found| found.entry);
        let input = match entry.and_then(|entry| entry.work) {
            Some(Work::Webhook(_)) => Input::Typed(Box::new(Verified::new(request))),
            _ => {
                let secret = self.shared.open_secret(context, target);
                request.secret = secret.map_err(|error| Error::bug(error.to_string()))?;
                Input::Typed(Box::new(request))
            }
        };
        match self.call(&target.namespace, &target.name, &target.args, input).await? {
            Returned::Value(value) => match entry.and_then(|entry| entry.output) {
                Some(output) => output(&*value),
                None => Ok(serde_json::Value::Null),
            },
            _ => Err(Error::bug(format!("`{}` takes no webhook", target.name))),
        }
    }
}

/// What is answered before anything is checked: the service asks whether the endpoint is there.
fn early_answer(declared: &WebhookDeclaration, request: &WebhookRequest) -> Option<HookAnswer> {
    match declared.handshake? {
        Handshake::EchoQuery { parameter } => Some(HookAnswer::Text(request.parameter(parameter)?.to_owned())),
        Handshake::EchoField { .. } | Handshake::EchoHeader { .. } => None,
    }
}

/// The answer to a challenge, which is signed like everything else.
fn challenge(declared: &WebhookDeclaration, request: &WebhookRequest) -> Option<HookAnswer> {
    let Handshake::EchoField { pointer } = declared.handshake? else { return None };
    Some(HookAnswer::Text(request.text_at(pointer)?))
}

/// What tells a delivery from others of the same webhook: its id, else what was signed of it. Without
/// either, two that look alike may still be two: nothing is dropped then.
fn delivery_key(
    webhook: &str,
    delivery_id: Option<&str>,
    declared: Option<&WebhookDeclaration>,
    request: &WebhookRequest,
) -> Option<String> {
    let id = delivery_id.and_then(|place| match place.starts_with('/') {
        true => request.text_at(place),
        false => request.header(place).map(str::to_owned),
    });
    match id {
        Some(id) => Some(hash(&[webhook.as_bytes(), b"id", id.as_bytes()])),
        None => declared?.verify.signed(request).map(|signed| hash(&[webhook.as_bytes(), b"signed", &signed])),
    }
}

fn delivery_task(
    id: TaskId,
    connection: ConnectionId,
    channel: Option<ChannelId>,
    name: &str,
    delivery: DeliveryId,
) -> Result<TaskRow> {
    let payload = TaskPayload::Delivery { name: name.to_owned().into(), delivery: delivery.number() };
    Ok(TaskRow { channel, priority: TaskPriority::Webhook, ..payload.task(id, connection)? })
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    let bytes = value::to_bytes(value).map_err(|error| Error::bug("a webhook cannot be stored").with_source(error))?;
    Ok(bytes.into())
}

fn not_stored(error: CommitError) -> HookError {
    match error {
        CommitError::Engine(error) => error.into(),
        other => {
            tracing::error!("a webhook cannot be stored: {other}");
            HookError::Unavailable
        }
    }
}

/// A delivery as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// Whose it is.
    pub connection: ConnectionId,
    /// The callback that takes it.
    pub callback: String,
    /// The channel that it concerns.
    pub channel: Option<ChannelId>,
    /// When it came.
    pub received_at: Timestamp,
    /// How many bytes its body has.
    pub size: u64,
    /// The last task that hands it over.
    pub task: TaskId,
    /// `waiting`, `done` or `dead`: what became of that task.
    pub state: &'static str,
}

impl Runtime {
    /// Deliveries that are kept, newest first.
    pub async fn deliveries(&self, query: DeliveryQuery) -> Result<Vec<DeliveryView>, ActionError> {
        let rows = self.shared.ports.engine.deliveries(query).await?;
        Ok(self.shared.view_deliveries(rows).await?)
    }

    /// Hands a delivery over again. One that still waits stays as it is.
    pub async fn replay(&self, id: DeliveryId) -> Result<DeliveryView, ActionError> {
        let gone = || ActionError::NotFound(format!("no delivery {id} is kept"));
        let (row, _) = self.shared.ports.engine.delivery(id).await?.ok_or_else(gone)?;
        self.shared.replay(vec![row]).await?;
        let (row, _) = self.shared.ports.engine.delivery(id).await?.ok_or_else(gone)?;
        self.shared.view_deliveries(vec![row]).await?.pop().ok_or_else(gone)
    }

    /// Hands all deliveries over again that the query names; how many. Its limit is not looked at.
    pub async fn replay_all(&self, query: DeliveryQuery) -> Result<u64, ActionError> {
        let mut replayed = 0;
        let mut query = DeliveryQuery { limit: PAGE, ..query };
        loop {
            let rows = self.shared.ports.engine.deliveries(query.clone()).await?;
            let Some(last) = rows.last() else { return Ok(replayed) };
            query.before = Some(last.id);
            replayed += self.shared.replay(rows).await?;
        }
    }

    /// Maximum number of bytes in the bodies of the deliveries that are kept.
    pub fn max_delivery_bytes(&self) -> u64 {
        self.shared.config.max_delivery_bytes
    }

    /// Removes deliveries that were kept long enough, and the oldest beyond the number and the bytes that are kept;
    /// how many. What still waits, or is a dead letter, stays.
    pub async fn prune_deliveries(&self) -> EngineResult<u64> {
        let (engine, config) = (&self.shared.ports.engine, &self.shared.config);
        let keep = SignedDuration::try_from(config.keep_deliveries).unwrap_or(SignedDuration::MAX);
        let cutoff = self.shared.ports.clock.now().checked_sub(keep).unwrap_or(Timestamp::MIN);
        let counts = engine.counts().await?;
        let mut surplus = counts.deliveries.saturating_sub(config.max_deliveries);
        let mut surplus_bytes = counts.delivery_bytes.saturating_sub(config.max_delivery_bytes);
        let mut pruned = 0;
        let mut after = DeliveryId::from_number(0);
        loop {
            let rows = engine.oldest_deliveries(after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(pruned) };
            after = last.id;
            let mut old = Vec::new();
            let mut more = true;
            for row in rows {
                more = row.received_at < cutoff || surplus > 0 || surplus_bytes > 0;
                if !more {
                    break;
                }
                surplus = surplus.saturating_sub(1);
                surplus_bytes = surplus_bytes.saturating_sub(row.size);
                old.push(row);
            }
            let viewed = self.shared.view_deliveries(old).await?;
            let ids: Vec<_> = viewed.iter().filter(|view| view.state == "done").map(|view| view.id).collect();
            if !ids.is_empty() {
                pruned += ids.len() as u64;
                match self.shared.ports.engine.commit(WriteSet::of([Write::DeleteDeliveries { ids }])).await {
                    Ok(_) => {}
                    Err(CommitError::Engine(error)) => return Err(error),
                    Err(other) => return Err(EngineError::Failed(other.to_string())),
                }
            }
            if !more {
                return Ok(pruned);
            }
        }
    }
}

impl Shared {
    async fn view_deliveries(&self, rows: Vec<DeliveryRow>) -> EngineResult<Vec<DeliveryView>> {
        let engine = &self.ports.engine;
        let tasks = engine.tasks_by_id(rows.iter().map(|row| row.task).collect()).await?;
        let mut views = Vec::with_capacity(rows.len());
        for (row, task) in rows.into_iter().zip(tasks) {
            let state = match task {
                Some(_) => "waiting",
                None if engine.dead_task(row.task).await?.is_some() => "dead",
                None => "done",
            };
            let DeliveryRow { id, connection, callback, channel, received_at, size, task, .. } = row;
            views.push(DeliveryView { id, connection, callback, channel, received_at, size, task, state });
        }
        Ok(views)
    }

    /// Queues tasks that hand these over again, unless they still wait; how many.
    async fn replay(&self, rows: Vec<DeliveryRow>) -> Result<u64, ActionError> {
        let engine = &self.ports.engine;
        let tasks = engine.tasks_by_id(rows.iter().map(|row| row.task).collect()).await?;
        let mut writes = Vec::new();
        let mut replayed = 0;
        for (row, _) in rows.into_iter().zip(tasks).filter(|(_, task)| task.is_none()) {
            let id = TaskId::from_number(engine.take_ids(1));
            let task = delivery_task(id, row.connection, row.channel, &row.callback, row.id)?;
            // The dead letter is the same request: it would be handed over a second time by a retry.
            writes.push(Write::DeleteDead { id: row.task });
            writes.push(Write::RedirectDelivery { id: row.id, task: id });
            writes.push(Write::PutTask { task, keyed: KeyedTask::Replace });
            replayed += 1;
        }
        if !writes.is_empty() {
            self.ports.engine.commit(WriteSet::of(writes)).await?;
        }
        Ok(replayed)
    }
}
