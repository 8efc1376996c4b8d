//! What every request passes: an id, a span, metrics, headers that keep browsers safe, and its limit.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::caller::{Caller, Identity};
use super::problem::Problem;
use crate::host::Host;
use crate::vault::hex;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a request, in characters.
const LONGEST_ID: usize = 64;

/// Headers of every response that does not say otherwise: data is not for caches, and nothing here is
/// a page that may run or frame anything.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The outermost: everything that is answered goes through it.
pub(super) async fn watch(State(host): State<Host>, request: Request, next: Next) -> Response {
    let id = given_id(&request).unwrap_or_else(|| hex(&host.runtime().ports().vault.random()));
    // The route, not the path: that of a webhook is a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", %method, route, id);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    span.in_scope(|| tracing::debug!(status, ?elapsed, "answered"));
    let labels = [("method", method.to_string()), ("route", route)];
    metrics::histogram!("connectors_http_request_seconds", &labels).record(elapsed.as_secs_f64());
    let [method, route] = labels;
    let labels = [method, route, ("status", status.to_string())];
    metrics::counter!("connectors_http_requests_total", &labels).increment(1);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The id that whoever sent the request has given it, for their logs and these to be put together.
fn given_id(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    (!id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(allowed)).then(|| id.to_owned())
}

/// Refuses what is one request too many. Runs behind the authentication.
pub(super) async fn limit(State(host): State<Host>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let (caller, identity) = (extensions.get::<Caller>(), extensions.get::<Identity>());
    if let (Some(caller), Some(identity)) = (caller, identity)
        && let Err(wait) = host.limits().take(caller, identity)
    {
        metrics::counter!("connectors_rate_limited_total").increment(1);
        return too_many(wait);
    }
    next.run(request).await
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let detail = format!("too many requests: try again in {seconds} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
    ([(header::RETRY_AFTER, HeaderValue::from(seconds))], problem).into_response()
}
