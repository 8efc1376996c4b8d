use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with};
use axum::Json;
use axum::extract::State;
use axum::response::NoContent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Operator;
use super::extract::{Body, Created, Page, Path};
use super::openapi::op;
use super::problem::Answer;
use crate::host::Host;
use crate::keys::KeyInfo;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/keys",
            get_with(list, op("listKeys", "API keys, without the keys themselves", &[]))
                .post_with(create, op("createKey", "Make an API key", &[409])),
        )
        .api_route("/keys/{name}", delete_with(revoke, op("revokeKey", "Revoke an API key", &[409])))
}

async fn list(State(host): State<Host>, _: Operator) -> Answer<Json<Page<KeyInfo>>> {
    Ok(Json(Page::whole(host.keys().list().await?)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// What it is called: letters, digits, `.`, `_` and `-`.
    name: String,
}

/// A key, shown this one time.
#[derive(Serialize, JsonSchema)]
struct NewKeyMade {
    name: String,
    key: String,
}

async fn create(State(host): State<Host>, _: Operator, Body(new): Body<NewKey>) -> Answer<Created<NewKeyMade>> {
    let now = host.runtime().ports().clock.now();
    let key = host.keys().create(&new.name, now).await?;
    Ok(Created(NewKeyMade { name: new.name, key: key.expose().to_owned() }))
}

#[derive(Deserialize, JsonSchema)]
struct ByName {
    name: String,
}

async fn revoke(State(host): State<Host>, _: Operator, Path(ByName { name }): Path<ByName>) -> Answer<NoContent> {
    host.revoke_key(name).await?;
    Ok(NoContent)
}
