use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use connector_core::engine::LinkRow;
use connector_core::id::{ConnectionId, LinkId, StatusId, UserId};
use connector_core::model::{Actor, Patch};
use connector_core::runtime::LinkUpdate;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::extract::Body;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new().route("/links/{id}", get(show).patch(update))
}

/// A link, with the connections that see it.
pub(super) fn view(row: &LinkRow, seen_by: &[ConnectionId]) -> Value {
    let mut shown = json!(row.link);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("connection".to_owned(), json!(row.connection));
        if seen_by.len() > 1 {
            shown.insert("seen_by".to_owned(), json!(seen_by));
        }
    }
    shown
}

async fn found(host: &Host, id: LinkId) -> Answer<Value> {
    let row = host.engine().link(id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no link {id}")))?;
    Ok(view(&row, &[]))
}

async fn show(State(host): State<Host>, Path(id): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(found(&host, id.parse()?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkPatch {
    user: UserId,
    status: Option<StatusId>,
    title: Option<String>,
    /// Null means nobody, which is not the same as leaving it out.
    #[serde(default, deserialize_with = "present")]
    assignee: Option<Option<Actor>>,
}

/// A value that is there, though it may be null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

async fn update(State(host): State<Host>, Path(id): Path<String>, Body(patch): Body<LinkPatch>) -> Answer<Json<Value>> {
    let update = LinkUpdate {
        title: patch.title,
        status: patch.status,
        assignee: patch.assignee.map_or(Patch::Keep, Patch::from),
    };
    let link = host.runtime().update_link(id.parse()?, &patch.user, update).await?;
    Ok(Json(found(&host, link.id).await?))
}
