use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use connector_core::engine::LinkRow;
use connector_core::id::{ConnectionId, LinkId, StatusId, UserId};
use connector_core::model::{Actor, Link, Patch, ScheduleChange};
use connector_core::runtime::LinkUpdate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::extract::{Body, ById, Path, Query, present};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/links/{id}",
            get_with(show, op("getLink", "A link", &[]))
                .patch_with(
                    update,
                    op("updateLink", "Change the status, title, assignee or schedule of a link", &[409]),
                )
                .delete_with(discard, op("discardLink", "Discard a link that was not delivered", &[409])),
        )
        .api_route("/links/{id}/retry", post_with(retry, op("retryLink", "Send a link or its change again", &[409])))
        .api_route(
            "/links/{id}/actions/{index}",
            post_with(press, op("pressAction", "Press a button of a link", &[409])),
        )
}

/// A link as one connection sees it.
#[derive(Serialize, JsonSchema)]
pub(super) struct LinkView {
    #[serde(flatten)]
    link: Link,
    connection: ConnectionId,
    /// All connections that see the same item, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seen_by: Vec<ConnectionId>,
}

impl LinkView {
    pub(super) fn new(row: LinkRow, seen_by: Vec<ConnectionId>) -> Self {
        let seen_by = if seen_by.len() > 1 { seen_by } else { Vec::new() };
        Self { link: row.link, connection: row.connection, seen_by }
    }
}

async fn show(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<LinkId>>,
) -> Answer<Json<LinkView>> {
    Ok(Json(LinkView::new(caller.link(&host, id).await?, Vec::new())))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinkPatch {
    /// Who acts.
    user: UserId,
    status: Option<StatusId>,
    title: Option<String>,
    /// Null means nobody, which is not the same as leaving it out.
    #[serde(default, deserialize_with = "present")]
    assignee: Option<Option<Actor>>,
    /// Changes of when it takes place, or of single occurrences.
    #[serde(default)]
    schedules: Vec<ScheduleChange>,
}

async fn update(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<LinkId>>,
    Body(patch): Body<LinkPatch>,
) -> Answer<Json<LinkView>> {
    caller.acts_as(&patch.user)?;
    caller.link(&host, id).await?;
    let update = LinkUpdate {
        title: patch.title,
        status: patch.status,
        assignee: patch.assignee.map_or(Patch::Keep, Patch::from),
        schedules: patch.schedules,
    };
    let link = host.runtime().update_link(id, &patch.user, update).await?;
    shown(&host, link.id).await
}

/// A link as it is now.
async fn shown(host: &Host, id: LinkId) -> Answer<Json<LinkView>> {
    let row = host.engine().link(id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no link {id}")))?;
    Ok(Json(LinkView::new(row, Vec::new())))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Acting {
    /// Who acts.
    user: UserId,
}

async fn retry(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<LinkId>>,
    Body(by): Body<Acting>,
) -> Answer<Json<LinkView>> {
    caller.acts_as(&by.user)?;
    caller.link(&host, id).await?;
    let link = host.runtime().retry_link(id, &by.user).await?;
    shown(&host, link.id).await
}

async fn discard(
    State(host): State<Host>,
    caller: Caller,
    Path(ById { id }): Path<ById<LinkId>>,
    Query(by): Query<Acting>,
) -> Answer<NoContent> {
    caller.acts_as(&by.user)?;
    caller.link(&host, id).await?;
    host.runtime().discard_link(id, &by.user).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
struct ActionPath {
    id: LinkId,
    /// The place of the button among the actions of the link.
    index: usize,
}

async fn press(
    State(host): State<Host>,
    caller: Caller,
    Path(ActionPath { id, index }): Path<ActionPath>,
    Body(by): Body<Acting>,
) -> Answer<Json<LinkView>> {
    caller.acts_as(&by.user)?;
    caller.link(&host, id).await?;
    let link = host.runtime().press(id, index, &by.user).await?;
    shown(&host, link.id).await
}
