use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use connector_core::engine::TaskQuery;
use connector_core::id::{ConnectionId, TaskId};
use connector_core::runtime::TaskView;
use serde::Deserialize;

use super::extract::{Page, Query, limit};
use super::problem::Answer;
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new()
        .route("/tasks", get(list))
        .route("/tasks/{id}", delete(discard))
        .route("/tasks/{id}/retry", post(retry))
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TaskState {
    Ready,
    Waiting,
    Dead,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<TaskState>,
    connection: Option<ConnectionId>,
    after: Option<TaskId>,
    limit: Option<usize>,
}

/// Tasks that wait or run, or the dead letters.
async fn list(State(host): State<Host>, Query(asked): Query<ListQuery>) -> Answer<Json<Page<TaskView>>> {
    let limit = limit(asked.limit)?;
    let mut query = TaskQuery::default();
    query.connection = asked.connection;
    query.after = asked.after;
    query.limit = limit + 1;
    let wanted = match asked.state {
        Some(TaskState::Dead) => {
            let page = Page::of(host.runtime().dead_tasks(query).await?, limit, |task| task.id.to_string());
            return Ok(Json(page));
        }
        Some(TaskState::Ready) => Some("ready"),
        Some(TaskState::Waiting) => Some("waiting"),
        None => None,
    };
    let mut page = Page::of(host.runtime().tasks(query).await?, limit, |task| task.id.to_string());
    // A page of what is left has fewer; `next` still leads on.
    page.items.retain(|task| wanted.is_none_or(|wanted| task.state == wanted));
    Ok(Json(page))
}

async fn retry(State(host): State<Host>, Path(id): Path<String>) -> Answer<Json<TaskView>> {
    Ok(Json(host.runtime().retry_task(id.parse()?).await?))
}

async fn discard(State(host): State<Host>, Path(id): Path<String>) -> Answer<StatusCode> {
    host.runtime().discard_task(id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
