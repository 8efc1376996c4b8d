use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use connector_core::engine::NoteRow;
use connector_core::id::{NoteId, UserId};
use connector_core::model::Emoji;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Query};
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new()
        .route("/notes/{id}", get(show).patch(edit).delete(discard))
        .route("/notes/{id}/retry", post(retry))
        .route("/notes/{id}/reactions/{emoji}", put(react).delete(unreact))
}

pub(super) fn view(row: &NoteRow) -> Value {
    let mut shown = json!(row.note);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("connection".to_owned(), json!(row.connection));
    }
    shown
}

/// A note as it is now.
pub(super) async fn shown(host: &Host, id: NoteId) -> Answer<Value> {
    let row = host.engine().note(id).await?;
    let row = row.ok_or_else(|| Problem::not_found(format!("there is no note {id}")))?;
    Ok(view(&row))
}

async fn show(State(host): State<Host>, Path(id): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(shown(&host, id.parse()?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    user: UserId,
    content: String,
}

async fn edit(State(host): State<Host>, Path(id): Path<String>, Body(edit): Body<Edit>) -> Answer<Json<Value>> {
    let note = host.runtime().edit_note(id.parse()?, &edit.user, edit.content).await?;
    Ok(Json(shown(&host, note.id).await?))
}

/// Who acts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acting {
    user: UserId,
}

async fn retry(State(host): State<Host>, Path(id): Path<String>, Body(by): Body<Acting>) -> Answer<Json<Value>> {
    let note = host.runtime().retry_note(id.parse()?, &by.user).await?;
    Ok(Json(shown(&host, note.id).await?))
}

async fn discard(State(host): State<Host>, Path(id): Path<String>, Query(by): Query<Acting>) -> Answer<StatusCode> {
    host.runtime().discard_note(id.parse()?, &by.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn react(
    State(host): State<Host>,
    Path((id, emoji)): Path<(String, String)>,
    Query(by): Query<Acting>,
) -> Answer<Json<Value>> {
    let note = host.runtime().react(id.parse()?, &by.user, read_emoji(&emoji), true).await?;
    Ok(Json(shown(&host, note.id).await?))
}

async fn unreact(
    State(host): State<Host>,
    Path((id, emoji)): Path<(String, String)>,
    Query(by): Query<Acting>,
) -> Answer<Json<Value>> {
    let note = host.runtime().react(id.parse()?, &by.user, read_emoji(&emoji), false).await?;
    Ok(Json(shown(&host, note.id).await?))
}

/// `:name:` is a custom one.
fn read_emoji(text: &str) -> Emoji {
    let custom = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).filter(|name| !name.is_empty());
    custom.map_or_else(|| Emoji::unicode(text), Emoji::custom)
}
