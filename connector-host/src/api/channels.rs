use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, put_with};
use axum::Json;
use axum::extract::State;
use connector_core::engine::{ChannelRow, ChannelSync};
use connector_core::id::{ChannelId, ConnectionId};
use connector_core::runtime::ChannelUpdate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::extract::{Body, ById, Page, Path, Query};
use super::openapi::op;
use super::problem::Answer;
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/connections/{id}/channels",
            get_with(list, op("listChannels", "The channels that the service has now", &[409, 500, 502])),
        )
        .api_route(
            "/connections/{id}/channels/{channel}",
            put_with(enable, op("enableChannel", "Sync a channel", &[409, 500, 502]))
                .delete_with(disable, op("disableChannel", "Sync a channel no longer", &[409, 422, 500, 502])),
        )
}

/// A channel of a connection.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChannelView {
    id: ChannelId,
    name: String,
    description: Option<String>,
    /// The channel that it is within.
    parent: Option<ChannelId>,
    /// It is synced.
    enabled: bool,
    /// Only look: nothing is written back for it.
    observe_only: bool,
    sync: ChannelSync,
}

impl From<ChannelRow> for ChannelView {
    fn from(row: ChannelRow) -> Self {
        Self {
            id: row.channel.id,
            name: row.channel.name,
            description: row.channel.description,
            parent: row.parent,
            enabled: row.enabled,
            observe_only: row.observe_only,
            sync: row.sync,
        }
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ListQuery {
    /// As they were when they were last listed, without asking the service.
    stored: bool,
}

async fn list(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<ConnectionId>>,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page<ChannelView>>> {
    caller.connection(&host, id).await?;
    let rows = if query.stored { host.engine().channels(id).await? } else { host.runtime().channels(id).await? };
    Ok(Json(Page::whole(rows.into_iter().map(ChannelView::from).collect())))
}

#[derive(Deserialize, JsonSchema)]
struct ChannelPath {
    id: ConnectionId,
    channel: ChannelId,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EnableChannel {
    /// Only look: nothing is written back for it.
    observe_only: bool,
}

async fn enable(
    State(host): State<Host>,
    caller: Caller,
    Path(path): Path<ChannelPath>,
    Body(body): Body<EnableChannel>,
) -> Answer<Json<ChannelView>> {
    caller.connection(&host, path.id).await?;
    let update = ChannelUpdate { observe_only: body.observe_only };
    Ok(Json(host.runtime().enable_channel(path.id, &path.channel, update).await?.into()))
}

async fn disable(State(host): State<Host>, caller: Caller, Path(path): Path<ChannelPath>) -> Answer<Json<ChannelView>> {
    caller.connection(&host, path.id).await?;
    Ok(Json(host.runtime().disable_channel(path.id, &path.channel).await?.into()))
}
