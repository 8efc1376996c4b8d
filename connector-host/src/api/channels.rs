use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use connector_core::engine::ChannelRow;
use connector_core::id::{ChannelId, ConnectionId};
use connector_core::runtime::ChannelUpdate;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Page, Query};
use super::problem::Answer;
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new()
        .route("/connections/{id}/channels", get(list))
        .route("/connections/{id}/channels/{channel}", put(enable).delete(disable))
}

pub(super) fn view(row: &ChannelRow) -> Value {
    json!({
        "id": row.channel.id,
        "name": row.channel.name,
        "description": row.channel.description,
        "parent": row.parent,
        "enabled": row.enabled,
        "observe_only": row.observe_only,
        "sync": row.sync,
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListQuery {
    /// As they were when they were last listed, without asking the service.
    stored: bool,
}

/// The channels that the service has now.
async fn list(
    State(host): State<Host>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<Value>>> {
    let id: ConnectionId = id.parse()?;
    let rows = if query.stored {
        host.runtime().connection(id).await?;
        host.engine().channels(id).await?
    } else {
        host.runtime().channels(id).await?
    };
    Ok(Json(Page::whole(rows.iter().map(view).collect())))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Enable {
    observe_only: bool,
}

async fn enable(
    State(host): State<Host>,
    Path((id, channel)): Path<(String, String)>,
    Body(body): Body<Enable>,
) -> Answer<Json<Value>> {
    let id: ConnectionId = id.parse()?;
    let update = ChannelUpdate { observe_only: body.observe_only };
    let row = host.runtime().enable_channel(id, &ChannelId::new(channel), update).await?;
    Ok(Json(view(&row)))
}

async fn disable(State(host): State<Host>, Path((id, channel)): Path<(String, String)>) -> Answer<Json<Value>> {
    let row = host.runtime().disable_channel(id.parse()?, &ChannelId::new(channel)).await?;
    Ok(Json(view(&row)))
}
