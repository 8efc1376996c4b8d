use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use connector_core::engine::{ConnectionRow, ConnectionStatus, SyncState};
use connector_core::id::{ConnectionId, ConnectorId, UserId, WorkspaceId};
use connector_core::runtime::{ConnectRequest, ConnectionUpdate};
use connector_core::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::channels::view as channel_view;
use super::extract::{Body, Page, Query, limit};
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new()
        .route("/connections", get(list).post(create))
        .route("/connections/{id}", get(show).patch(update).delete(disconnect))
        .route("/connections/{id}/authorize", post(authorize))
        .route("/connections/{id}/sync", post(sync))
        .route("/connections/{id}/state", get(state))
}

/// A connection without its secrets.
pub(super) fn view(host: &Host, row: &ConnectionRow) -> Value {
    let connector = host.runtime().registry().get(row.connector.as_str());
    let secure: Vec<_> = connector.map_or_else(Vec::new, |connector| {
        let fields = connector.declaration.options.fields.iter();
        fields.filter(|field| field.secure()).map(|field| field.name).collect()
    });
    // Without the connector, nobody knows which of them are secret.
    let shown = row.options.iter().filter(|(name, _)| connector.is_some() && !secure.contains(&name.as_str()));
    let options: Map<_, _> = shown.map(|(name, value)| (name.clone(), value.clone())).collect();
    json!({
        "id": row.id,
        "connector": row.connector,
        "name": row.name,
        "user": row.owner,
        "workspace": row.workspace,
        "status": if connector.is_some() { row.status } else { ConnectionStatus::Disabled },
        "status_reason": if connector.is_some() {
            row.status_reason.clone()
        } else {
            Some(format!("the connector `{}` is not linked into this host", row.connector))
        },
        "account": row.account,
        "identity": row.identity,
        "options": options,
        "secure_options": secure.into_iter().filter(|name| row.options.contains_key(*name)).collect::<Vec<_>>(),
        "auto_enable_new_channels": row.auto_enable_new_channels,
        "history_days": row.history_days,
        "created_at": row.created_at,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    user: Option<UserId>,
    connector: Option<ConnectorId>,
    after: Option<ConnectionId>,
    limit: Option<usize>,
}

async fn list(State(host): State<Host>, Query(query): Query<ListQuery>) -> Answer<Json<Page<Value>>> {
    let limit = limit(query.limit)?;
    let rows = host.engine().connections(query.user, query.connector, query.after, limit + 1).await?;
    let Page { items, next } = Page::of(rows, limit, |row| row.id.to_string());
    let items = items.iter().map(|row| view(&host, row)).collect();
    Ok(Json(Page { items, next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewConnection {
    connector: ConnectorId,
    user: UserId,
    workspace: Option<WorkspaceId>,
    name: Option<String>,
    #[serde(default)]
    options: Map<String, Value>,
    token: Option<String>,
    history_days: Option<u32>,
}

async fn create(State(host): State<Host>, Body(new): Body<NewConnection>) -> Answer<(StatusCode, Json<Value>)> {
    let mut request = ConnectRequest::new(new.connector, new.user);
    request.workspace = new.workspace;
    request.name = new.name;
    request.options = new.options;
    request.token = new.token.map(token).transpose()?;
    request.history_days = new.history_days;
    let row = host.runtime().connect(request).await?;
    Ok((StatusCode::CREATED, Json(view(&host, &row))))
}

/// A token as it can be sent in a header.
fn token(text: String) -> Answer<Secret> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(|letter| !letter.is_ascii_graphic()) {
        return Err(Problem::field("token", "a token is one word of printable ASCII characters"));
    }
    Ok(Secret::new(text))
}

async fn show(State(host): State<Host>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let id: ConnectionId = id.parse()?;
    let runtime = host.runtime();
    let row = runtime.connection(id).await?;
    let mut shown = view(&host, &row);
    let channels = host.engine().channels(id).await?;
    let enabled: Vec<_> = channels.iter().filter(|row| row.enabled).collect();
    let linked = runtime.registry().get(row.connector.as_str()).is_some();
    let looking = if linked { runtime.looking(id).await? } else { Default::default() };
    let walking = |state| matches!(state, SyncState::Queued | SyncState::Syncing | SyncState::Throttled);
    let works = linked && row.status == ConnectionStatus::Active;
    let syncing = works && (looking.pending > 0 || enabled.iter().any(|row| walking(row.sync.state)));
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("syncing".to_owned(), json!(syncing));
        shown.insert("retrying".to_owned(), json!(looking.retrying));
        shown.insert("last_sync".to_owned(), json!(runtime.last_sync(id).await?));
        shown.insert("channels".to_owned(), enabled.into_iter().map(channel_view).collect());
    }
    Ok(Json(shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionPatch {
    name: Option<String>,
    options: Option<Map<String, Value>>,
    auto_enable_new_channels: Option<bool>,
}

async fn update(
    State(host): State<Host>,
    Path(id): Path<String>,
    Body(patch): Body<ConnectionPatch>,
) -> Answer<Json<Value>> {
    if patch.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Problem::field("name", "a connection needs a name"));
    }
    let update = ConnectionUpdate {
        name: patch.name,
        options: patch.options,
        auto_enable_new_channels: patch.auto_enable_new_channels,
    };
    let row = host.runtime().update_connection(id.parse()?, update).await?;
    Ok(Json(view(&host, &row)))
}

async fn disconnect(State(host): State<Host>, Path(id): Path<String>) -> Answer<StatusCode> {
    host.runtime().disconnect(id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    token: String,
}

async fn authorize(
    State(host): State<Host>,
    Path(id): Path<String>,
    Body(body): Body<Authorization>,
) -> Answer<Json<Value>> {
    let row = host.runtime().reauthorize(id.parse()?, token(body.token)?).await?;
    Ok(Json(view(&host, &row)))
}

async fn sync(State(host): State<Host>, Path(id): Path<String>) -> Answer<StatusCode> {
    let id: ConnectionId = id.parse()?;
    let row = host.runtime().connection(id).await?;
    if row.status != ConnectionStatus::Active {
        let why = row.status_reason.as_deref().unwrap_or("for no known reason");
        let status = row.status.as_str();
        let detail = format!("{id} is {status} ({why}): authorize it again first");
        return Err(Problem::new(StatusCode::CONFLICT, "not-active", detail));
    }
    host.runtime().sync_now(id).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateQuery {
    #[serde(default)]
    prefix: String,
}

async fn state(
    State(host): State<Host>,
    Path(id): Path<String>,
    Query(query): Query<StateQuery>,
) -> Answer<Json<Value>> {
    let entries = host.runtime().state(id.parse()?, &query.prefix).await?;
    Ok(Json(entries.into_iter().collect::<Map<_, _>>().into()))
}
