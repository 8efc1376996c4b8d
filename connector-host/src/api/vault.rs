use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::caller::Operator;
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::Rotated;
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new().api_route(
        "/vault/rotate",
        post_with(rotate, op("rotateVault", "Seal credentials and secure options under a new key", &[500])),
    )
}

async fn rotate(State(host): State<Host>, _: Operator) -> Answer<Json<Rotated>> {
    let rotated = host
        .rotate_vault()
        .await
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "rotation-failed", error.to_string()))?;
    Ok(Json(rotated))
}
