use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use connector_core::engine::TaskQuery;
use connector_core::id::{ConnectionId, TaskId};
use connector_core::runtime::TaskView;
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Operator;
use super::extract::{ById, Page, Path, Query, limit};
use super::openapi::op;
use super::problem::Answer;
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route("/tasks", get_with(list, op("listTasks", "Tasks that wait or run, or the dead letters", &[])))
        .api_route("/tasks/{id}", delete_with(discard, op("discardTask", "Discard a task or dead letter", &[409])))
        .api_route("/tasks/{id}/retry", post_with(retry, op("retryTask", "Run a task or dead letter now", &[409])))
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TaskState {
    Ready,
    Waiting,
    Dead,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<TaskState>,
    connection: Option<ConnectionId>,
    after: Option<TaskId>,
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
}

async fn list(State(host): State<Host>, _: Operator, Query(asked): Query<ListQuery>) -> Answer<Json<Page<TaskView>>> {
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

async fn retry(State(host): State<Host>, _: Operator, Path(ById { id }): Path<ById<TaskId>>) -> Answer<Json<TaskView>> {
    Ok(Json(host.runtime().retry_task(id).await?))
}

async fn discard(State(host): State<Host>, _: Operator, Path(ById { id }): Path<ById<TaskId>>) -> Answer<NoContent> {
    host.runtime().discard_task(id).await?;
    Ok(NoContent)
}
