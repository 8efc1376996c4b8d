use std::sync::Arc;

use futures_util::FutureExt;
use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::authorize::{Admitted, chosen_groups};
use super::history::{reaches_further, walk_again};
use super::{ActionError, Requester};
use crate::clock::BoxFuture;
use crate::context::{Dispatch, Mode};
use crate::credential::{self, Credential};
use crate::declaration::{Declaration, Hooks};
use crate::dispatch::{HookCall, HookReply};
use crate::engine::{
    ChannelRow, CommitError, ConnectionRow, ConnectionStatus, FeedEntry, FeedKind, KeyedTask, TaskPriority, Write,
    WriteSet,
};
use crate::error::{Error, ErrorKind};
use crate::id::{ChannelId, ConnectionId, ConnectorId, TaskId, UserId, WorkspaceId};
use crate::model::{Account, Actor, Authorization, Channel, LinkFilter, Patch};
use crate::records::{
    RecordIntent, Resolution, channels_task, enable_writes, new_channel, resolve, with_parents, work_task,
};
use crate::registry::RegisteredConnector;
use crate::runtime::claims::{
    MAX_NUMBER, claims_of, instance_taken, name_claim, name_taken, not_stored, numbered, rename,
};
use crate::runtime::connections::{ActiveConnection, Unavailable};
use crate::runtime::dispatching::acting;
use crate::runtime::payload::{
    HookTask, LookScope, TaskPayload, channel_key_prefix, declared_drain_key, drain_mark_prefix, look_now,
};
use crate::runtime::subscriptions::subscription_task;
use crate::runtime::{DispatchOf, Runtime};
use crate::secret::Secret;
use crate::unit_of_work::UnitOfWork;
use crate::work::Work;

/// Connections of a user to one connector that are read at once.
const PAGE: usize = 100;

/// How often a change of a connection is begun anew because another change was faster.
const MAX_TRIES: usize = 16;

/// A connection to make.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The connector.
    pub connector: ConnectorId,
    /// Whose connection it will be.
    pub user: UserId,
    /// The user's workspace.
    pub workspace: Option<WorkspaceId>,
    /// What it is called; else what the connector says.
    pub name: Option<String>,
    /// Options as the user sent them.
    pub options: Map<String, Value>,
    /// An access token, for a connector with a provider. None: the user authorizes the connection.
    pub token: Option<Secret>,
    /// The optional scope groups that are asked for; none for those that the connector switches on.
    pub scope_groups: Option<Vec<String>>,
    /// Nothing older than this many days is kept.
    pub history_days: Option<u32>,
}

impl ConnectRequest {
    /// A connection of this user to this connector.
    pub fn new(connector: impl Into<ConnectorId>, user: impl Into<UserId>) -> Self {
        Self {
            connector: connector.into(),
            user: user.into(),
            workspace: None,
            name: None,
            options: Map::new(),
            token: None,
            scope_groups: None,
            history_days: None,
        }
    }
}

/// What the service says of an account.
pub(super) struct Probed {
    pub(super) name: Option<String>,
    pub(super) identity: Option<Actor>,
    pub(super) tenant: Option<String>,
    pub(super) channels: Vec<Channel>,
    /// What the hooks wrote that were asked.
    pub(super) wrote: UnitOfWork,
}

/// A change of a connection; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct ConnectionUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Other options; those left out stay.
    pub options: Option<Map<String, Value>>,
    /// Whether new channels are enabled by themselves.
    pub auto_enable_new_channels: Option<bool>,
    /// Another limit of the history, or none any more. What a longer one lets through is fetched (R8.7).
    pub history_days: Patch<u32>,
    /// On whose behalf the connection is changed.
    pub requester: Requester,
}

/// How a channel is enabled.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChannelUpdate {
    /// Only look: nothing is written back for it.
    pub observe_only: bool,
}

impl Runtime {
    /// Makes a connection. With a credential at hand it is tried, the account and its channels are read, and
    /// `activate` runs; nothing is stored if any of that fails. Without one, the connection awaits its authorization.
    ///
    /// The names of a user's connections to one connector differ: a name that is taken is refused, and a default name
    /// gets a number.
    pub async fn connect(&self, request: ConnectRequest) -> Result<Arc<ConnectionRow>, ActionError> {
        self.to_its_end(|runtime| async move { runtime.make_connection(request).await }).await
    }

    async fn make_connection(&self, request: ConnectRequest) -> Result<Arc<ConnectionRow>, ActionError> {
        let connector = self.connector(&request.connector)?;
        let declaration = connector.declaration;
        if request.user.as_str().trim().is_empty() {
            return Err(ActionError::Invalid("a connection needs a user".to_owned()));
        }
        if request.token.is_some() && declaration.provider.is_none() {
            return Err(ActionError::Invalid(format!("{} has no provider, so it takes no token", declaration.name)));
        }
        let scope_groups = chosen_groups(declaration, request.scope_groups.as_deref())?;
        for _ in 0..MAX_TRIES {
            if let Some(row) = self.try_connect(&request, &connector, scope_groups.clone()).await? {
                return Ok(row);
            }
        }
        let (user, name) = (&request.user, declaration.name);
        Err(ActionError::Conflict(format!("{user} is connected to {name} by other requests all the time: try again")))
    }

    /// Makes the connection; `None` if it awaits its authorization and another request was faster.
    async fn try_connect(
        &self,
        request: &ConnectRequest,
        connector: &Arc<RegisteredConnector>,
        scope_groups: Vec<String>,
    ) -> Result<Option<Arc<ConnectionRow>>, ActionError> {
        let shared = &self.shared;
        let declaration = connector.declaration;
        let mut row = ConnectionRow {
            id: ConnectionId::from_number(0),
            connector: request.connector.clone(),
            connector_version: declaration.version.to_owned(),
            owner: request.user.clone(),
            workspace: request.workspace.clone(),
            status: ConnectionStatus::AwaitingAuthorization,
            status_reason: None,
            name: request.name.clone().unwrap_or_else(|| declaration.name.to_owned()),
            options: Map::new(),
            account: Account::new(request.user.clone()),
            identity: None,
            credential: None,
            scope_groups,
            asked_scopes: Vec::new(),
            history_days: request.history_days,
            auto_enable_new_channels: None,
            generation: 0,
            claims: Vec::new(),
            created_at: shared.ports.clock.now(),
            version: 0,
        };
        let before = self.replaced(&row, declaration, request.name.is_some()).await?;
        row.id = match &before {
            Some(before) => before.id,
            None => ConnectionId::from_number(shared.ports.engine.take_ids(1)),
        };
        row.version = before.as_ref().map_or(0, |before| before.version);
        row.claims = claims_of(&row, declaration);
        let stored = self.stored_credential(&credential::name(&row, declaration)).await?;
        let (options, key) = self.own_options(connector, &row, &request.options, stored.as_ref())?;
        row.options = options;
        let offered = key.or(request.token.clone()).map(Credential::new);
        let with = match (offered, stored) {
            (Some(offered), _) => Admitted::Offered(offered),
            (None, Some(stored)) => Admitted::Stored(stored),
            (None, None) if declaration.provider.is_none() => Admitted::Without,
            (None, None) => return self.await_authorization(row, request.name.is_some(), declaration).await,
        };
        // Who is in a workspace is the embedding product's to say, so it is the one that asks.
        self.admit(row, with, Vec::new(), &Requester::Operator).await.map(Some)
    }

    /// Stores a connection that awaits its authorization; `None` if another request was faster.
    async fn await_authorization(
        &self,
        mut row: ConnectionRow,
        named: bool,
        declaration: &Declaration,
    ) -> Result<Option<Arc<ConnectionRow>>, ActionError> {
        let id = row.id;
        for number in 1..=MAX_NUMBER {
            if !named {
                rename(&mut row, numbered(declaration.name, number));
            }
            let expect = (row.version > 0).then_some(row.version);
            let put = Write::PutConnection { row: Box::new(row.clone()), expect };
            let feed = Write::Feed(FeedEntry::new(FeedKind::Connection, id, id));
            match self.shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of([put, feed]) }).await
            {
                Ok(_) => return self.connection(id).await.map(Some),
                Err(CommitError::Taken { claim, .. }) if !named && claim == name_claim(&row) => {}
                Err(error @ CommitError::Taken { .. }) if named => return Err(not_stored(error, &row, declaration)),
                Err(CommitError::Taken { .. } | CommitError::RecordConflict) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(name_taken(&row, id, declaration))
    }

    /// The connection that a new one takes the place of: one of the user's in its scope that was never authorized.
    ///
    /// Errors: the name is taken, or the only instance is there. The commit decides about both again.
    async fn replaced(
        &self,
        new: &ConnectionRow,
        declaration: &Declaration,
        named: bool,
    ) -> Result<Option<Arc<ConnectionRow>>, ActionError> {
        let (mut after, mut awaiting, mut namesake) = (None, None, None);
        loop {
            let (user, connector) = (Some(new.owner.clone()), Some(new.connector.clone()));
            let rows = self.shared.ports.engine.connections(user, connector, after, PAGE).await?;
            after = rows.last().map(|row| row.id);
            let whole = rows.len() < PAGE;
            // One that is disconnected already is in nobody's way.
            for other in rows.into_iter().filter(|other| other.status != ConnectionStatus::Disabled) {
                let same_scope = !declaration.multiple_instances && other.workspace == new.workspace;
                match other.status {
                    ConnectionStatus::AwaitingAuthorization if same_scope => awaiting = Some(other),
                    _ if same_scope => return Err(instance_taken(new, other.id, declaration)),
                    _ if name_claim(&other) == name_claim(new) => namesake = Some(other.id),
                    _ => {}
                }
            }
            if whole {
                break;
            }
        }
        match namesake.filter(|_| named) {
            Some(by) => Err(name_taken(new, by, declaration)),
            None => Ok(awaiting),
        }
    }

    /// The options as they are stored, and the key among them that is stored as the workspace's credential.
    fn own_options(
        &self,
        connector: &RegisteredConnector,
        row: &ConnectionRow,
        sent: &Map<String, Value>,
        stored: Option<&Credential>,
    ) -> Result<(Map<String, Value>, Option<Secret>), ActionError> {
        let declaration = connector.declaration;
        let shared_key = declaration.key_option.filter(|_| declaration.shared && row.workspace.is_some());
        let mut kept = self.shared.fitted_options(row.id, &row.options, connector)?.values;
        if let (Some(option), Some(stored)) = (shared_key, stored) {
            kept.insert(option.to_owned(), Value::String(stored.access_token.expose().to_owned()));
        }
        let mut options = declaration.options.validate(sent, &kept)?;
        let key = shared_key.and_then(|option| options.remove(option).filter(|_| sent.contains_key(option)));
        let key = key.and_then(|key| key.as_str().map(Secret::new));
        Ok((self.shared.seal_values(row.id, options, connector), key))
    }

    /// Asks the service who the account is, and which channels it has.
    pub(super) async fn probe(&self, row: &ConnectionRow, offered: Option<&Secret>) -> Result<Probed, ActionError> {
        let refused = |error: Error| match error.kind() {
            ErrorKind::NeedsReauth => ActionError::Invalid(format!("the credential was not accepted: {error}")),
            _ => ActionError::from(error),
        };
        let (account, mut wrote) = (row.account.clone(), UnitOfWork::default());
        let call = HookCall::GetAccountName { account: account.clone() };
        let name = self.hook_once(row, offered, call, &mut wrote).await.map_err(refused)?;
        let name = if let HookReply::AccountName(name) = name { name } else { None };
        let call = HookCall::GetAccountIdentity { account: account.clone() };
        let identity = self.hook_once(row, offered, call, &mut wrote).await.map_err(refused)?;
        let identity = if let HookReply::Identity(identity) = identity { identity } else { None };
        let tenant = match &row.account.tenant {
            Some(tenant) => HookReply::Tenant(Some(tenant.clone())),
            None => {
                let call = HookCall::GetAccountTenant { account };
                self.hook_once(row, offered, call, &mut wrote).await.map_err(refused)?
            }
        };
        let tenant = if let HookReply::Tenant(tenant) = tenant { tenant } else { None };
        let dispatch = self.provisional(row, offered, "get_channels", true, &mut wrote)?;
        let channels = self.shared.guarded(&dispatch, self.shared.list_channels(&dispatch)).await.map_err(refused)?;
        let wrote = std::mem::take(&mut *dispatch.unit());
        Ok(Probed { name, identity, tenant, channels, wrote })
    }

    async fn hook_once(
        &self,
        row: &ConnectionRow,
        offered: Option<&Secret>,
        call: HookCall,
        wrote: &mut UnitOfWork,
    ) -> Result<HookReply, Error> {
        let dispatch = self.provisional(row, offered, call.hook().0, call.may_call_out(), wrote)?;
        let reply = self.shared.guarded(&dispatch, self.shared.call_hook(&dispatch, call)).await?;
        *wrote = std::mem::take(&mut *dispatch.unit());
        Ok(reply)
    }

    /// Calls a hook of a connection here and now, for someone who waits for its answer, and stores what it wrote.
    pub(super) async fn hook_now(&self, id: ConnectionId, call: HookCall) -> Result<HookReply, ActionError> {
        let shared = &self.shared;
        let connection = shared.active(id).await.map_err(unavailable)?;
        let dispatch = dispatch_of(connection, call.hook().0, call.may_call_out()).begin(shared);
        let reply = shared.guarded(&dispatch, shared.call_hook(&dispatch, call)).await?;
        shared.commit(&dispatch, None).await?;
        Ok(reply)
    }

    /// A dispatch for a connection that is not stored yet, or not so, which goes on from what others wrote for it.
    fn provisional(
        &self,
        row: &ConnectionRow,
        offered: Option<&Secret>,
        name: &str,
        may_call_out: bool,
        wrote: &mut UnitOfWork,
    ) -> Result<Arc<Dispatch>, Error> {
        let row = Arc::new(ConnectionRow { version: 0, ..row.clone() });
        let connection = self.shared.activate_row(row, Vec::new(), offered.cloned()).map_err(unavailable)?;
        let dispatch = dispatch_of(Arc::new(connection), name, may_call_out).begin(&self.shared);
        *dispatch.unit() = std::mem::take(wrote);
        Ok(dispatch)
    }

    /// Everything that is stored when a connection begins: its row, what its hooks wrote, its channels, its work.
    pub(super) async fn activation(
        &self,
        row: &ConnectionRow,
        offered: Option<&Secret>,
        channels: &[Channel],
        mut wrote: UnitOfWork,
    ) -> Result<WriteSet, ActionError> {
        let shared = &self.shared;
        let (engine, id) = (&shared.ports.engine, row.id);
        let connector = self.connector(&row.connector)?;
        let dispatch = self.provisional(row, offered, "activate", false, &mut wrote)?;
        let actor = row.identity.clone().unwrap_or_else(|| acting(&row.owner));
        let call = HookCall::Activate { authorization: Authorization::new(row.account.clone()), actor };
        shared.guarded(&dispatch, shared.call_hook(&dispatch, call)).await?;
        let (own, mut records, generations) = {
            let mut unit = dispatch.unit();
            (unit.drain(id).1, std::mem::take(&mut unit.records), unit.generations)
        };
        let row = ConnectionRow { generation: generations, ..row.clone() };
        let mut writes = vec![
            Write::PutConnection { expect: (row.version > 0).then_some(row.version), row: Box::new(row.clone()) },
            Write::Feed(FeedEntry::new(FeedKind::Connection, id, id)),
        ];
        writes.extend(own);
        // The channels were listed just now.
        records.retain(|record| !matches!(record, RecordIntent::Channels(_)));
        let about = Resolution {
            engine,
            connector: &connector,
            connection: id,
            owner: &row.owner,
            identity: row.identity.as_ref(),
            auto_enable: false,
            mode: Mode::Live,
            sync: None,
            now: shared.ports.clock.now(),
        };
        let (expects, recorded) = resolve(&about, &records).await?;
        for (parent, channel) in with_parents(channels) {
            let found = new_channel(id, channel, parent.as_ref());
            if connector.declaration.channels.single || channel.enabled_by_default == Some(true) {
                writes.extend(enable_writes(&**engine, &connector, &found, None, false));
            } else {
                writes.push(Write::PutChannel { row: Box::new(found), expect: None });
            }
        }
        writes.extend(recorded);
        for declared in connector.work().iter().filter(|declared| !declared.entry.per_channel) {
            writes.extend(work_task(&**engine, id, declared, None, TaskPriority::Backfill));
        }
        let now = shared.ports.clock.now();
        writes.extend(channels_task(&connector, TaskId::from_number(engine.take_ids(1)), id, now));
        Ok(WriteSet { connection: Some(id), expects, ..WriteSet::of(writes) })
    }

    /// Changes a connection's name or options; options reach the connector through `on_options_changed`.
    /// A key among them is tried first, and what waited for another one goes on with it (R3.7). The key of a
    /// workspace is another one for all of its connections (R1.4).
    pub async fn update_connection(
        &self,
        id: ConnectionId,
        update: ConnectionUpdate,
    ) -> Result<Arc<ConnectionRow>, ActionError> {
        self.to_its_end(move |runtime| async move {
            runtime.with_latest(id, |before| runtime.change_connection(before, update.clone()).boxed()).await
        })
        .await
    }

    /// Does something with a connection as it is in the store, and does it again when the connection was changed before
    /// the outcome could be stored: tasks change connections at any time, which is nothing that a caller can know of.
    pub(super) async fn with_latest<'a, T>(
        &self,
        id: ConnectionId,
        act: impl Fn(Arc<ConnectionRow>) -> BoxFuture<'a, Result<T, ActionError>>,
    ) -> Result<T, ActionError> {
        let mut before = self.connection_in_use(id).await?;
        for _ in 1..MAX_TRIES {
            let done = act(Arc::clone(&before)).await;
            let known = before.version;
            if !matches!(done, Err(ActionError::Conflict(_))) {
                return done;
            }
            before = self.connection_in_use(id).await?;
            if before.version == known {
                return done;
            }
        }
        act(before).await
    }

    async fn change_connection(
        &self,
        before: Arc<ConnectionRow>,
        update: ConnectionUpdate,
    ) -> Result<Arc<ConnectionRow>, ActionError> {
        let (shared, id) = (&self.shared, before.id);
        let connector = self.connector(&before.connector)?;
        let mut row = ConnectionRow::clone(&before);
        if let Some(name) = update.name.filter(|name| *name != before.name) {
            rename(&mut row, name);
        }
        row.auto_enable_new_channels = update.auto_enable_new_channels.or(row.auto_enable_new_channels);
        let (mut writes, mut admitted) = (Vec::new(), None);
        update.history_days.apply(&mut row.history_days);
        if reaches_further(row.history_days, before.history_days) {
            let channels = shared.ports.engine.channels(id).await?;
            writes.extend(walk_again(&*shared.ports.engine, &connector, id, &channels));
        }
        if let Some(sent) = update.options {
            let key_option = connector.declaration.key_option;
            let stored = match &before.credential {
                Some(name) if key_option.is_some() => self.stored_credential(name).await?,
                _ => None,
            };
            let (options, key) = self.own_options(&connector, &before, &sent, stored.as_ref())?;
            // A value that is sealed twice looks different, and a default is stored by the first change only: what
            // the connector reads tells.
            let read = |options: &Map<String, Value>| {
                self.shared.fitted_options(id, options, &connector).map(|fitted| fitted.values)
            };
            let changed = read(&options)? != read(&before.options)?;
            if changed {
                row.options = options;
            }
            let awaited = row.status == ConnectionStatus::AwaitingAuthorization;
            if key_option.is_some_and(|option| sent.contains_key(option)) && !awaited {
                admitted = Some(key.map_or(Admitted::Without, |key| Admitted::Offered(Credential::new(key))));
            }
            if changed && let Some(option) = key_option.filter(|option| !sent.contains_key(*option)) {
                let (old, new) = (read(&before.options)?, read(&row.options)?);
                // Who has changed where the key goes has to give it again: the service there may not be the same (R10.5).
                match moved(&old, &new) {
                    Some((name, true)) => {
                        return Err(ActionError::Invalid(format!(
                            "`{name}` leads to another host: send `{option}` again, which was given for the old one"
                        )));
                    }
                    // The key is tried there before anything is stored.
                    Some((_, false)) if row.status == ConnectionStatus::Active => {
                        admitted = Some(stored.map_or(Admitted::Without, Admitted::Stored));
                    }
                    _ => {}
                }
            }
            if changed && connector.hooks.has(Hooks::OPTIONS_CHANGED) {
                let hook = HookTask::OptionsChanged { old: before.options.clone(), new: row.options.clone() };
                let task = TaskPayload::Hook(hook).task(TaskId::from_number(shared.ports.engine.take_ids(1)), id)?;
                writes.push(Write::PutTask { task, keyed: KeyedTask::Replace });
            }
        }
        if let Some(admitted) = admitted {
            return self.admit(row, admitted, writes, &update.requester).await;
        }
        writes.insert(0, Write::PutConnection { row: Box::new(row.clone()), expect: Some(before.version) });
        writes.push(Write::Feed(FeedEntry::new(FeedKind::Connection, id, id)));
        let stored = shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await;
        stored.map_err(|error| not_stored(error, &row, connector.declaration))?;
        Ok(Arc::new(row))
    }

    /// The channels of a connection, as the service has them now (R3.3).
    pub async fn channels(&self, id: ConnectionId) -> Result<Vec<ChannelRow>, ActionError> {
        let shared = &self.shared;
        let row = self.connection(id).await?;
        if self.standing(&row).status == ConnectionStatus::Active {
            let connection = shared.active(id).await.map_err(unavailable)?;
            if connection.connector.hooks.has(Hooks::GET_CHANNELS) {
                let dispatch = dispatch_of(connection, "get_channels", true).begin(shared);
                let deadline = shared.config.channels_deadline;
                let listing = shared.list_channels(&dispatch);
                let clock = &shared.ports.clock;
                let until =
                    SignedDuration::try_from(deadline).ok().and_then(|deadline| clock.now().checked_add(deadline).ok());
                let timer = clock.sleep_until(until.unwrap_or(jiff::Timestamp::MAX));
                let guarded = std::pin::pin!(shared.guarded(&dispatch, listing));
                let channels = match futures_util::future::select(guarded, timer).await {
                    futures_util::future::Either::Left((channels, _)) => channels?,
                    futures_util::future::Either::Right(_) => {
                        // Who asks again does not begin anew.
                        shared.keep_answers(&dispatch, clock.now());
                        let message = format!("the channels could not be listed within {} s", deadline.as_secs());
                        return Err(Error::transient(message).into());
                    }
                };
                dispatch.unit().records.push(RecordIntent::Channels(channels));
                shared.commit(&dispatch, None).await?;
            }
        }
        Ok(shared.ports.engine.channels(id).await?)
    }

    /// Enables a channel (R3.4); one that is enabled already stays as it is.
    pub async fn enable_channel(
        &self,
        id: ConnectionId,
        channel: &ChannelId,
        update: ChannelUpdate,
    ) -> Result<ChannelRow, ActionError> {
        let shared = &self.shared;
        let connection = self.connection(id).await?;
        let connector = self.connector(&connection.connector)?;
        let before = self.channel(id, channel).await?;
        if before.enabled {
            return Ok(before);
        }
        let row = ChannelRow { observe_only: update.observe_only, ..before };
        let writes = enable_writes(&*shared.ports.engine, &connector, &row, Some(row.version), false);
        match shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of(writes) }).await {
            // Enabled twice at the same time: the other one did it.
            Ok(_) | Err(CommitError::RecordConflict) => {}
            Err(error) => return Err(error.into()),
        }
        self.channel(id, channel).await
    }

    /// Disables a channel: the connector cleans up, then its work and tasks end, and its links are archived (R3.6).
    pub async fn disable_channel(&self, id: ConnectionId, channel: &ChannelId) -> Result<ChannelRow, ActionError> {
        let channel = channel.clone();
        self.to_its_end(move |runtime| async move { runtime.end_work_of(id, &channel).await }).await
    }

    async fn end_work_of(&self, id: ConnectionId, channel: &ChannelId) -> Result<ChannelRow, ActionError> {
        let shared = &self.shared;
        let before = self.channel(id, channel).await?;
        if !before.enabled {
            return Ok(before);
        }
        let connection = shared.active(id).await.map_err(unavailable)?;
        let mut left = None;
        if connection.connector.hooks.has(Hooks::CHANNEL_DISABLED) {
            left = Some(before.channel.clone());
            let dispatch = dispatch_of(Arc::clone(&connection), "on_channel_disabled", true).begin(shared);
            if connection.row.status == ConnectionStatus::Active {
                let call = HookCall::ChannelDisabled { channel: before.channel };
                match shared.guarded(&dispatch, shared.call_hook(&dispatch, call)).await {
                    Ok(_) => match self.end_channel(&dispatch, channel, None).await {
                        // It read what another changed meanwhile.
                        Err(error) if error.is_conflict() => {}
                        ended => {
                            ended?;
                            return self.channel(id, channel).await;
                        }
                    },
                    Err(error) => {
                        tracing::warn!(connection = %id, %channel, "on_channel_disabled failed, and is tried again when the channel is off: {error}");
                    }
                }
            }
        }
        let dispatch = dispatch_of(connection, "on_channel_disabled", true).begin(shared);
        self.end_channel(&dispatch, channel, left).await?;
        self.channel(id, channel).await
    }

    /// Removes what the host has of a channel, and stores what the hook wrote; one that could not run runs later.
    async fn end_channel(
        &self,
        dispatch: &Arc<Dispatch>,
        channel: &ChannelId,
        hook: Option<Channel>,
    ) -> Result<(), Error> {
        let (shared, id) = (&self.shared, dispatch.connection_id());
        let hooks = shared.own_hooks_of(id, channel).await?;
        {
            let mut unit = dispatch.unit();
            for key in hooks {
                unit.push(Write::DeleteState { connection: id, key });
            }
            unit.push(Write::DeleteTasks { connection: id, channel: Some(channel.clone()), except: None, dead: false });
            unit.push(Write::DeleteStatePrefix {
                connection: id,
                prefix: format!("h/{}", channel_key_prefix(channel)),
            });
            for declared in dispatch.connection.connector.work() {
                let entry = declared.entry;
                if entry.subscription.is_some() && entry.concerns(channel) {
                    let task = TaskId::from_number(shared.ports.engine.take_ids(1));
                    unit.push(subscription_task(task, id, &declared.name, Some(channel))?);
                }
                if let Work::Drain { .. } = declared.work {
                    let prefix = drain_mark_prefix(&declared_drain_key(declared.namespace, entry.name, Some(channel)));
                    unit.push(Write::DeleteStatePrefix { connection: id, prefix });
                }
            }
            unit.records.push(RecordIntent::ChannelDisabled { channel: channel.clone() });
            unit.records.push(RecordIntent::ArchiveLinks(LinkFilter::channel(channel)));
            if let Some(channel) = hook {
                let hook = TaskPayload::Hook(HookTask::ChannelDisabled { channel });
                let task = hook.task(TaskId::from_number(shared.ports.engine.take_ids(1)), id)?;
                unit.push(Write::PutTask { task, keyed: KeyedTask::Replace });
            }
        }
        shared.commit(dispatch, None).await.map(drop)
    }

    /// Looks for changes now: the declared work of the connection runs as soon as it can.
    pub async fn sync_now(&self, id: ConnectionId) -> Result<(), ActionError> {
        self.connection(id).await?;
        let look = look_now(id, LookScope::Connection);
        self.shared.ports.engine.commit(WriteSet { connection: Some(id), ..WriteSet::of(look) }).await?;
        Ok(())
    }

    /// A connection, which there is.
    pub async fn connection(&self, id: ConnectionId) -> Result<Arc<ConnectionRow>, ActionError> {
        let row = self.shared.ports.engine.connection(id).await?;
        row.ok_or_else(|| ActionError::NotFound(format!("there is no connection {id}")))
    }

    /// A connection that its user has not disconnected.
    pub async fn connection_in_use(&self, id: ConnectionId) -> Result<Arc<ConnectionRow>, ActionError> {
        let row = self.connection(id).await?;
        match row.status {
            ConnectionStatus::Disabled => Err(ActionError::Conflict(format!("{id} is disconnected: connect anew"))),
            _ => Ok(row),
        }
    }

    pub(crate) async fn channel(&self, id: ConnectionId, channel: &ChannelId) -> Result<ChannelRow, ActionError> {
        let row = self.shared.ports.engine.channel(id, channel.clone()).await?;
        row.ok_or_else(|| {
            ActionError::NotFound(format!(
                "{id} has no channel `{channel}`: list those it has with `connectors channels {id}`"
            ))
        })
    }

    pub(crate) fn connector(&self, id: &ConnectorId) -> Result<Arc<RegisteredConnector>, ActionError> {
        self.shared.registry.get(id.as_str()).cloned().ok_or_else(|| {
            let known: Vec<_> = self.shared.registry.iter().map(|connector| connector.declaration.id).collect();
            let known = if known.is_empty() {
                "none is linked into this host".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            ActionError::NotFound(format!("there is no connector `{id}`: {known}"))
        })
    }
}

/// An option that holds another address than before, and whether that is at another host.
fn moved(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<(String, bool)> {
    let address = |value: Option<&Value>| {
        let url = url::Url::parse(value?.as_str()?).ok()?;
        url.has_host().then_some(url)
    };
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let moves = differ.filter_map(|name| match (address(old.get(name)), address(new.get(name))) {
        (None, None) => None,
        (Some(old), Some(new)) => Some((name.clone(), old.origin() != new.origin())),
        (Some(_), None) | (None, Some(_)) => Some((name.clone(), true)),
    });
    moves.max_by_key(|(_, elsewhere)| *elsewhere)
}

pub(super) fn dispatch_of(connection: Arc<ActiveConnection>, name: &str, may_call_out: bool) -> DispatchOf {
    DispatchOf {
        connection,
        mode: Mode::Live,
        lane: TaskPriority::User,
        task: None,
        run: None,
        nonce: None,
        attempt: 1,
        name: name.to_owned(),
        may_call_out,
        creates: None,
    }
}

fn unavailable(reason: Unavailable) -> Error {
    match reason {
        Unavailable::Gone => Error::gone("the connection is gone"),
        Unavailable::NotLinked => Error::bug("the connection's connector is not linked into this host"),
        Unavailable::Failed(error) => error,
    }
}
