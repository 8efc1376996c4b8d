use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::transform::TransformOperation;
use axum::extract::State;
use axum::http::StatusCode;

use super::openapi::{answers, op};
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    let alive = op("isAlive", "Whether the process runs", &[]);
    let ready = op("isReady", "Whether the host can serve", &[503]);
    let shown = op("getMetrics", "Metrics, as Prometheus reads them", &[404]);
    ApiRouter::new()
        .api_route("/healthz", get_with(healthz, |operation| text(alive(operation))))
        .api_route("/readyz", get_with(readyz, |operation| text(ready(operation))))
        .api_route("/metrics", get_with(metrics, |operation| text(shown(operation))))
}

fn text(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    answers(operation, 200, &["text/plain"], "A text.")
}

/// How long the store may take to write.
const STORE_TIME: Duration = Duration::from_secs(5);

/// The process runs.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The store can be written, the workers run if they were started, and the host is not about to stop.
async fn readyz(State(host): State<Host>) -> Answer<&'static str> {
    let not_ready = |kind, detail| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail));
    if *host.stopping().borrow() {
        return not_ready("stopping", "the host is about to stop");
    }
    match tokio::time::timeout(STORE_TIME, host.check_store()).await {
        Ok(stored) => stored?,
        Err(_) => return not_ready("store-failed", "the store takes too long to write"),
    }
    if !host.workers_alive().await {
        return not_ready("workers-ended", "a worker has ended: start the process again");
    }
    Ok("ready\n")
}

/// What a scraper reads.
async fn metrics(State(host): State<Host>) -> Answer<String> {
    let rendered = crate::metrics::render(&host).await;
    rendered.ok_or_else(|| Problem::not_found("the program that embeds the host shows its metrics itself"))
}
