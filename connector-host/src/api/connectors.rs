use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use connector_core::manifest::ConnectorManifest;
use connector_core::registry::RegisteredConnector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::extract::{Page, Path};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route("/connectors", get_with(list, op("listConnectors", "What users can connect", &[])))
        .api_route("/connectors/{id}", get_with(show, op("getConnector", "All that a connector declares", &[])))
}

/// A connector with all that a user chooses by.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ConnectorSummary {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    version: &'static str,
    logo: Option<&'static str>,
    /// The authority that it is authorized by.
    provider: Option<&'static str>,
    /// The option that holds its key, where it is authorized by one.
    key_option: Option<&'static str>,
    link_types: Vec<LinkTypeSummary>,
}

#[derive(Serialize, JsonSchema)]
struct LinkTypeSummary {
    id: &'static str,
    label: &'static str,
}

pub(crate) fn summary(connector: &RegisteredConnector) -> ConnectorSummary {
    let declaration = connector.declaration;
    let link_types = declaration.link_types.iter();
    ConnectorSummary {
        id: declaration.id,
        name: declaration.name,
        description: declaration.description,
        version: declaration.version,
        logo: declaration.logo,
        provider: declaration.provider.map(|provider| provider.id()),
        key_option: declaration.key_option,
        link_types: link_types.map(|declared| LinkTypeSummary { id: declared.id, label: declared.label }).collect(),
    }
}

async fn list(State(host): State<Host>, _: Caller) -> Json<Page<ConnectorSummary>> {
    Json(Page::whole(host.runtime().registry().iter().map(|connector| summary(connector)).collect()))
}

#[derive(Deserialize, JsonSchema)]
struct ByConnector {
    id: String,
}

async fn show(
    State(host): State<Host>,
    _: Caller,
    Path(ByConnector { id }): Path<ByConnector>,
) -> Answer<Json<ConnectorManifest>> {
    let connector = host.runtime().registry().get(&id);
    let connector = connector.ok_or_else(|| Problem::not_found(format!("there is no connector `{id}`")))?;
    Ok(Json(connector.manifest()))
}
