use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::transform::TransformOperation;
use axum::extract::State;
use axum::http::StatusCode;

use super::openapi::{answers, op};
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    let (alive, ready) =
        (op("isAlive", "Whether the process runs", &[]), op("isReady", "Whether it can serve", &[503]));
    ApiRouter::new()
        .api_route("/healthz", get_with(healthz, |operation| yes(alive(operation))))
        .api_route("/readyz", get_with(readyz, |operation| yes(ready(operation))))
}

fn yes(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    answers(operation, 200, &["text/plain"], "Yes.")
}

/// The process runs.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The store answers, and the host is not about to stop.
async fn readyz(State(host): State<Host>) -> Answer<&'static str> {
    if *host.stopping().borrow() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the host is about to stop"));
    }
    host.engine().feed_end().await?;
    Ok("ready\n")
}
