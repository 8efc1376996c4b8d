use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Body, Page};
use super::problem::Answer;
use crate::host::Host;
use crate::keys::KeyInfo;

pub(super) fn routes() -> Router<Host> {
    Router::new().route("/keys", get(list).post(create)).route("/keys/{name}", delete(revoke))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
}

async fn list(State(host): State<Host>) -> Answer<Json<Page<KeyInfo>>> {
    Ok(Json(Page::whole(host.keys().list().await?)))
}

/// Makes a key; the answer is the one time that it is shown.
async fn create(State(host): State<Host>, Body(new): Body<NewKey>) -> Answer<(StatusCode, Json<Value>)> {
    let now = host.runtime().ports().clock.now();
    let key = host.keys().create(&new.name, now).await?;
    Ok((StatusCode::CREATED, Json(json!({"name": new.name, "key": key.expose()}))))
}

async fn revoke(State(host): State<Host>, Path(name): Path<String>) -> Answer<StatusCode> {
    host.keys().revoke(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
