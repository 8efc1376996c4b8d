use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem::Problem;
use crate::host::Host;

pub(super) fn routes() -> Router<Host> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

/// The process runs.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The store answers, and the host is not about to stop.
async fn readyz(State(host): State<Host>) -> Response {
    if *host.stopping().borrow() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the host is about to stop").into_response();
    }
    match host.engine().feed_end().await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}
