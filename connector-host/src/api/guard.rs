//! What every request passes: an id, a span, metrics, headers that keep browsers safe, and the bounds of its caller.
//!
//! A request that changes something runs in a task of the host's own ([`limit`]): a caller who leaves does not stop it
//! halfway. It counts among the caller's requests until it has ended, so that leaving is no way around the bound.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;
use tracing::Instrument;

use super::caller::{Caller, Identity};
use super::problem::Problem;
use super::{changes, files, hooks};
use crate::holding::Holding;
use crate::host::Host;
use crate::limits::{Permit, Reached};
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
    let method = label(request.method());
    let span = tracing::info_span!("request", %method, route, id);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    span.in_scope(|| tracing::debug!(status, ?elapsed, "answered"));
    let labels = [("method", method.to_owned()), ("route", route)];
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

/// The name of a method in metrics and in the log. Callers can make up methods, and each would be a series of its own.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Refuses what is one request too many, and lets what is accepted go on by itself. Runs behind the authentication.
pub(super) async fn limit(State(host): State<Host>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let (Some(caller), Some(identity)) = (extensions.get::<Caller>(), extensions.get::<Identity>()) else {
        return next.run(request).await;
    };
    if let Err(wait) = host.limits().take(caller, identity) {
        let seconds = wait.as_secs() + 1;
        return too_many(Problem::too_many(format!("too many requests: try again in {seconds} s"), seconds));
    }
    let taken = if changes::is_waiting(&request) {
        host.limits().stream(caller, identity).map_err(|reached| at_once("streams of changes", reached))
    } else {
        host.limits().request(caller, identity).map_err(|reached| at_once("requests", reached))
    };
    let permit = match taken {
        Ok(permit) => permit,
        Err(problem) => return too_many(problem),
    };
    if request.method().is_safe() {
        return holding(next.run(request).await, permit);
    }
    let answer = async move { holding(next.run(request).await, permit) };
    match host.detached().run(answer).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!("a request ended halfway: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the host failed to do this").into_response()
        }
    }
}

fn at_once(what: &str, Reached { maximum, setting }: Reached) -> Problem {
    let detail = format!(
        "this caller has {maximum} {what} under way, and no more are taken at once (`{setting}`): wait until one has ended"
    );
    Problem::too_many(detail, 1)
}

/// The answer to a caller who has reached a bound, which is counted.
pub(super) fn too_many(problem: Problem) -> Response {
    metrics::counter!("connectors_rate_limited_total").increment(1);
    problem.into_response()
}

/// The response, which counts until its body has ended.
fn holding(response: Response, permit: Permit<Identity>) -> Response {
    response.map(|body| Body::new(Holding::new(body, permit)))
}

/// Bounds the time that a body takes to arrive: from one piece to the next, and in all unless it is an upload. A
/// request whose body was too slow is answered with 408.
pub(super) async fn arrival(State(host): State<Host>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let config = host.config();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let (whole, setting) = match route {
        // The router may be mounted below another path.
        route if route.ends_with(files::ROUTE) => (None, "limits.stall_time"),
        route if hooks::is_ingress(route) => (Some(config.max_webhook_time()), "limits.max_webhook_time"),
        _ => (Some(config.body_time()), "limits.body_time"),
    };
    let pieces = config.stall_time();
    let late = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&late);
    let request = request.map(|body| {
        let whole = whole.map(|time| Box::pin(tokio::time::sleep(time)));
        Body::new(Arriving {
            body,
            pieces,
            next: Box::pin(tokio::time::sleep(pieces)),
            waiting: false,
            whole,
            late: told,
        })
    });
    let response = next.run(request).await;
    if !late.load(Ordering::Relaxed) || response.status().is_success() {
        return response;
    }
    let detail = match whole {
        Some(whole) => format!(
            "the body did not arrive within {} s (`{setting}`), or stopped for {} s (`limits.stall_time`): send it again",
            whole.as_secs_f64(),
            pieces.as_secs_f64()
        ),
        None => format!("the body stopped for {} s (`{setting}`): send it again", pieces.as_secs_f64()),
    };
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail).into_response()
}

/// A body that ends with an error when it takes too long.
struct Arriving {
    body: Body,
    /// Maximum time between two pieces.
    pieces: Duration,
    next: Pin<Box<Sleep>>,
    /// The next piece is waited for. Time in which nobody asks for it is not the sender's.
    waiting: bool,
    /// Maximum time for all of it; `None` if only the pieces have one.
    whole: Option<Pin<Box<Sleep>>>,
    late: Arc<AtomicBool>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = false;
            return Poll::Ready(frame);
        }
        if !self.waiting {
            self.waiting = true;
            let deadline = tokio::time::Instant::now() + self.pieces;
            self.next.as_mut().reset(deadline);
        }
        let whole = self.whole.as_mut().is_some_and(|whole| whole.as_mut().poll(cx).is_ready());
        if !whole {
            ready!(self.next.as_mut().poll(cx));
        }
        self.late.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new("the body is too slow"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
