use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::NoContent;
use axum::{Extension, Json};
use connector_core::credential::Credential;
use connector_core::engine::{ConnectionRow, ConnectionStatus, LastSync, SyncState};
use connector_core::id::{ConnectionId, ConnectorId, UserId, WorkspaceId};
use connector_core::model::{Account, Actor, Patch};
use connector_core::options::{Field, is_sealed};
use connector_core::runtime::{ConnectRequest, ConnectionUpdate, ProductView, Retrying, Standing, WorkView};
use connector_core::secret::Secret;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::caller::{Caller, Operator, Permit};
use super::channels::ChannelView;
use super::extract::{Accepted, Body, ById, Created, Page, Path, Query, limit, present};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/connections",
            get_with(list, op("listConnections", "Connections, in the order in which they were made", &[]))
                .post_with(create, op("createConnection", "Connect an account", &[404, 409, 500, 502])),
        )
        .api_route(
            "/connections/{id}",
            get_with(show, op("getConnection", "A connection, and how far its syncing is", &[]))
                .patch_with(update, op("updateConnection", "Change a connection", &[409, 500, 502]))
                .delete_with(
                    disconnect,
                    op("deleteConnection", "Disconnect, and remove what belongs to it", &[409, 500, 502]),
                ),
        )
        .api_route(
            "/connections/{id}/authorize",
            post_with(
                authorize,
                op("authorizeConnection", "Authorize a connection, the first time or again", &[409, 500, 502]),
            ),
        )
        .api_route(
            "/connections/{id}/sync",
            post_with(sync, op("syncConnection", "Look for changes now", &[409, 500, 502])),
        )
        .api_route(
            "/connections/{id}/work",
            get_with(work, op("getWork", "The declared work of a connection, in each of its scopes", &[])),
        )
        .api_route(
            "/connections/{id}/resume",
            post_with(resume, op("resumeConnection", "Let a suspended or rate-limited connection go on", &[409])),
        )
        .api_route("/connections/{id}/state", get_with(state, op("getState", "What the connector has stored", &[])))
}

/// A connection without its secrets.
#[derive(Serialize, JsonSchema)]
pub(super) struct ConnectionView {
    id: ConnectionId,
    connector: ConnectorId,
    name: String,
    /// Whose it is.
    user: UserId,
    workspace: Option<WorkspaceId>,
    status: ConnectionStatus,
    /// Why it does not work.
    status_reason: Option<String>,
    /// The options that have to be changed before it works, because its connector declares them differently now.
    attention: Vec<Attention>,
    account: Account,
    /// The owner's own account at the service.
    identity: Option<Actor>,
    /// Without the secure ones.
    options: Map<String, Value>,
    /// The secure options that have a value.
    secure_options: Vec<&'static str>,
    /// The optional scope groups that were chosen.
    scope_groups: Vec<String>,
    /// The scopes that were asked for when it was last authorized.
    asked_scopes: Vec<String>,
    auto_enable_new_channels: Option<bool>,
    history_days: Option<u32>,
    created_at: Timestamp,
}

/// An option that has to be changed.
#[derive(Serialize, JsonSchema)]
struct Attention {
    field: String,
    reason: String,
}

impl ConnectionView {
    pub(super) fn new(host: &Host, row: &ConnectionRow) -> Self {
        let connector = host.runtime().registry().get(row.connector.as_str());
        let fields = connector.map_or(&[][..], |connector| connector.declaration.options.fields);
        let (secure, shown): (Vec<&Field>, Vec<&Field>) = fields.iter().partition(|field| field.secure());
        let value_of = |field: &Field| row.options.get(field.name);
        // What was secure in another version of the connector is sealed still.
        let shown = shown.into_iter().filter_map(|field| Some((field.name, value_of(field)?)));
        let shown = shown.filter(|(_, value)| !is_sealed(value));
        let Standing { status, reason, missing } = host.runtime().standing(row);
        Self {
            id: row.id,
            connector: row.connector.clone(),
            name: row.name.clone(),
            user: row.owner.clone(),
            workspace: row.workspace.clone(),
            status,
            status_reason: reason,
            attention: missing.0.into_iter().map(|(field, reason)| Attention { field, reason }).collect(),
            account: row.account.clone(),
            identity: row.identity.clone(),
            options: shown.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            secure_options: secure
                .into_iter()
                .filter(|field| value_of(field).is_some())
                .map(|field| field.name)
                .collect(),
            scope_groups: row.scope_groups.clone(),
            asked_scopes: row.asked_scopes.clone(),
            auto_enable_new_channels: row.auto_enable_new_channels,
            history_days: row.history_days,
            created_at: row.created_at,
        }
    }
}

/// A connection, and where its user authorizes it.
#[derive(Serialize, JsonSchema)]
struct Authorizing {
    #[serde(flatten)]
    connection: ConnectionView,
    /// Where the user is to be sent, if the user has to authorize it.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorize_url: Option<String>,
}

/// A connection, and how far its syncing is.
#[derive(Serialize, JsonSchema)]
struct ConnectionState {
    #[serde(flatten)]
    connection: ConnectionView,
    /// Something looks for changes right now.
    syncing: bool,
    /// What failed and is tried again.
    retrying: Option<Retrying>,
    last_sync: Option<LastSync>,
    /// The enabled ones.
    channels: Vec<ChannelView>,
    /// Those of a combined connector.
    products: Vec<ProductView>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    user: Option<UserId>,
    connector: Option<ConnectorId>,
    after: Option<ConnectionId>,
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
}

async fn list(
    State(host): State<Host>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<ConnectionView>>> {
    let limit = limit(query.limit)?;
    let user = caller.view_of(query.user)?;
    let rows = host.engine().connections(user, query.connector, query.after, limit + 1).await?;
    let Page { items, next } = Page::of(rows, limit, |row| row.id.to_string());
    let items = items.iter().map(|row| ConnectionView::new(&host, row)).collect();
    Ok(Json(Page { items, next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewConnection {
    connector: ConnectorId,
    /// Whose it will be.
    user: UserId,
    workspace: Option<WorkspaceId>,
    /// What it is called; else what the service calls the account.
    name: Option<String>,
    #[serde(default)]
    options: Map<String, Value>,
    /// An access token. Without one, the user authorizes the connection.
    token: Option<String>,
    /// The optional scope groups to ask for; those that the connector switches on, if left out.
    scope_groups: Option<Vec<String>>,
    /// Where the user is sent after the authorization: below a place that the operator allows.
    return_to: Option<String>,
    /// Nothing older than this many days is kept.
    history_days: Option<u32>,
}

async fn create(
    State(host): State<Host>,
    caller: Caller,
    Extension(permit): Extension<Permit>,
    Body(new): Body<NewConnection>,
) -> Answer<Created<Authorizing>> {
    caller.acts_as(&new.user)?;
    if new.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Problem::field("name", "it is empty: leave it out to take what the service calls the account"));
    }
    let mut request = ConnectRequest::new(new.connector, new.user);
    request.workspace = new.workspace;
    request.name = new.name;
    request.options = new.options;
    request.token = new.token.map(token).transpose()?;
    request.history_days = new.history_days;
    request.scope_groups = new.scope_groups;
    let connector = host.runtime().registry().get(request.connector.as_str());
    if connector.is_some_and(|connector| connector.declaration.shared) && request.workspace.is_some() {
        // Who is in a workspace, and so may use its credential, the embedding product alone knows (R1.4).
        caller.may_name_workspaces()?;
    }
    let provider = connector.and_then(|connector| connector.declaration.provider);
    if let (None, Some(provider)) = (&request.token, provider) {
        host.oauth().configured(provider.id())?;
    }
    // Before there is a connection that nobody can come back from.
    host.oauth().check_return(new.return_to.as_deref())?;
    let row = host.runtime().connect(request).await?;
    let authorize_url = match row.status {
        ConnectionStatus::AwaitingAuthorization => {
            let session = permit.session();
            let url = host.oauth().start(host.runtime(), &row, new.return_to.as_deref(), session).await?;
            Some(url.into())
        }
        _ => None,
    };
    Ok(Created(Authorizing { connection: ConnectionView::new(&host, &row), authorize_url }))
}

/// A token as it can be sent in a header.
fn token(text: String) -> Answer<Secret> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(|letter| !letter.is_ascii_graphic()) {
        return Err(Problem::field("token", "a token is one word of printable ASCII characters"));
    }
    Ok(Secret::new(text))
}

async fn show(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ConnectionId>>,
) -> Answer<Json<ConnectionState>> {
    let runtime = host.runtime();
    let row = caller.connection(&host, id).await?;
    let channels = host.engine().channels(id).await?;
    let enabled: Vec<_> = channels.into_iter().filter(|row| row.enabled).collect();
    let linked = runtime.registry().get(row.connector.as_str()).is_some();
    let works = runtime.standing(&row).status == ConnectionStatus::Active;
    let looking = if linked { runtime.looking(id).await? } else { Default::default() };
    let walking = |state| matches!(state, SyncState::Queued | SyncState::Syncing | SyncState::Throttled);
    Ok(Json(ConnectionState {
        connection: ConnectionView::new(&host, &row),
        syncing: works && (looking.pending > 0 || enabled.iter().any(|row| walking(row.sync.state))),
        retrying: looking.retrying,
        last_sync: runtime.last_sync(id).await?,
        channels: enabled.into_iter().map(ChannelView::from).collect(),
        products: if linked { runtime.products(id).await? } else { Vec::new() },
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConnectionPatch {
    name: Option<String>,
    options: Option<Map<String, Value>>,
    auto_enable_new_channels: Option<bool>,
    /// Nothing older than this many days is kept; null is no limit. What a longer one lets through is fetched.
    #[serde(default, deserialize_with = "present")]
    history_days: Option<Option<u32>>,
}

async fn update(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ConnectionId>>,
    Body(patch): Body<ConnectionPatch>,
) -> Answer<Json<ConnectionView>> {
    caller.connection(&host, id).await?;
    if patch.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Problem::field("name", "a connection needs a name"));
    }
    let update = ConnectionUpdate {
        name: patch.name,
        options: patch.options,
        auto_enable_new_channels: patch.auto_enable_new_channels,
        history_days: patch.history_days.map_or(Patch::Keep, Patch::from),
        requester: caller.requester(),
    };
    let row = host.runtime().update_connection(id, update).await?;
    Ok(Json(ConnectionView::new(&host, &row)))
}

async fn disconnect(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ConnectionId>>,
) -> Answer<NoContent> {
    caller.connection(&host, id).await?;
    host.runtime().disconnect(id).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Authorization {
    /// An access token. Without one, the user authorizes the connection.
    token: Option<String>,
    /// Where the user is sent after the authorization: below a place that the operator allows.
    return_to: Option<String>,
}

async fn authorize(
    State(host): State<Host>,
    caller: Caller,
    Extension(permit): Extension<Permit>,
    Path(ById { id }): Path<ById<ConnectionId>>,
    Body(body): Body<Authorization>,
) -> Answer<Json<Authorizing>> {
    let row = caller.connection(&host, id).await?;
    if let Some(given) = body.token {
        let credential = Credential::new(token(given)?);
        let row = host.runtime().authorize(id, credential, &caller.requester()).await?;
        return Ok(Json(Authorizing { connection: ConnectionView::new(&host, &row), authorize_url: None }));
    }
    let url = host.oauth().start(host.runtime(), &row, body.return_to.as_deref(), permit.session()).await?;
    Ok(Json(Authorizing { connection: ConnectionView::new(&host, &row), authorize_url: Some(url.into()) }))
}

async fn sync(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ConnectionId>>,
) -> Answer<Accepted> {
    let row = caller.connection(&host, id).await?;
    let Standing { status, reason, .. } = host.runtime().standing(&row);
    if status != ConnectionStatus::Active {
        let why = reason.as_deref().unwrap_or("for no known reason");
        let first = match status {
            ConnectionStatus::Suspended => "resume it",
            ConnectionStatus::NeedsAttention => "change its options",
            _ => "authorize it again",
        };
        let status = status.as_str();
        let detail = format!("{id} is {status} ({why}): {first} first");
        return Err(Problem::new(StatusCode::CONFLICT, "not-active", detail));
    }
    host.runtime().sync_now(id).await?;
    Ok(Accepted)
}

async fn work(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ConnectionId>>,
) -> Answer<Json<Page<WorkView>>> {
    caller.connection(&host, id).await?;
    Ok(Json(Page::whole(host.runtime().work(id).await?)))
}

async fn resume(
    State(host): State<Host>,
    _: Operator,
    Path(ById { id }): Path<ById<ConnectionId>>,
) -> Answer<Json<ConnectionView>> {
    host.runtime().resume(id).await?;
    Ok(Json(ConnectionView::new(&host, &*host.runtime().connection(id).await?)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StateQuery {
    #[serde(default)]
    prefix: String,
}

async fn state(
    State(host): State<Host>,
    _: Operator,
    Path(ById { id }): Path<ById<ConnectionId>>,
    Query(query): Query<StateQuery>,
) -> Answer<Json<Map<String, Value>>> {
    Ok(Json(host.runtime().state(id, &query.prefix).await?.into_iter().collect()))
}
