use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use connector_core::registry::RegisteredConnector;
use serde_json::{Value, json};

use super::extract::Page;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new().route("/connectors", get(list)).route("/connectors/{id}", get(show))
}

/// A connector with all that a user chooses by.
pub(crate) fn summary(connector: &RegisteredConnector) -> Value {
    let declaration = connector.declaration;
    let link_types =
        declaration.link_types.iter().map(|link_type| json!({"id": link_type.id, "label": link_type.label}));
    json!({
        "id": declaration.id,
        "name": declaration.name,
        "description": declaration.description,
        "version": declaration.version,
        "logo": declaration.logo,
        "provider": declaration.provider.map(|provider| provider.id()),
        "key_option": declaration.key_option,
        "link_types": link_types.collect::<Vec<_>>(),
    })
}

async fn list(State(host): State<Host>) -> Json<Page<Value>> {
    Json(Page::whole(host.runtime().registry().iter().map(|connector| summary(connector)).collect()))
}

async fn show(State(host): State<Host>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let connector = host.runtime().registry().get(&id);
    let connector = connector.ok_or_else(|| Problem::not_found(format!("there is no connector `{id}`")))?;
    Ok(Json(json!(connector.manifest())))
}
