//! Where services push (no key: each request proves itself), and the list of what they pushed.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use connector_core::engine::DeliveryQuery;
use connector_core::id::{ConnectionId, DeliveryId};
use connector_core::runtime::{DeliveryView, Hook, HookAnswer, HookError};
use connector_core::webhook::WebhookRequest;
use futures_util::StreamExt;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::caller::Operator;
use super::extract::{Body, ById, Page, Path, Query, limit};
use super::openapi::op;
use super::problem::{Answer, Problem};
use crate::host::Host;
use crate::limits::Reached;

/// Where services push for one subscription, and for a whole app.
const OWN: &str = "/hooks/{token}";
const OF_APP: &str = "/hooks/app/{connector}";

/// Seconds after which a service may push again what was not kept for want of room.
const FULL_RETRY_AFTER: u64 = 60;

/// Memory for bodies of webhooks that are larger than one unit, which are read at the same time: 64 MiB.
const LARGE_UNIT: usize = 1 << 20;
const LARGE_UNITS: usize = 64;
static LARGE_BODIES: Semaphore = Semaphore::const_new(LARGE_UNITS);

/// Outside of the versioned API: services have been told these addresses.
pub(super) fn ingress() -> Router<Host> {
    Router::new().route(OWN, any(receive)).route(OF_APP, any(receive_app))
}

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new()
        .api_route(
            "/hooks/deliveries",
            get_with(list, op("listDeliveries", "What services pushed and is still kept, newest first", &[])),
        )
        .api_route(
            "/hooks/deliveries/replay",
            post_with(replay_range, op("replayDeliveries", "Hand over again what was received in a time", &[])),
        )
        .api_route(
            "/hooks/deliveries/{id}/replay",
            post_with(replay, op("replayDelivery", "Hand a delivery over again", &[])),
        )
}

async fn receive(
    State(host): State<Host>,
    axum::extract::Path(token): axum::extract::Path<String>,
    request: Request,
) -> Answer<Response> {
    let hook = host.runtime().find_hook(&token).await?;
    take(&host, hook, token.into(), request).await
}

async fn receive_app(
    State(host): State<Host>,
    axum::extract::Path(connector): axum::extract::Path<String>,
    request: Request,
) -> Answer<Response> {
    let hook = host.runtime().find_app_hook(&connector)?;
    take(&host, hook, connector.into(), request).await
}

/// Whether a route, as it is mounted, is one that services push to.
pub(super) fn is_ingress(route: &str) -> bool {
    route.ends_with(OWN) || route.ends_with(OF_APP)
}

async fn take(host: &Host, hook: Hook, url: Arc<str>, request: Request) -> Answer<Response> {
    let permit = host.limits().webhook(&url).map_err(|Reached { maximum, setting }| {
        let detail =
            format!("{maximum} requests to this URL are under way, and no more are taken at once (`{setting}`)");
        Problem::too_many(detail, 1)
    })?;
    if host.deliveries().are_full() {
        let most = host.runtime().max_delivery_bytes();
        let detail = format!(
            "the webhooks that wait to be handled, or that could not be, have {most} bytes, and no more are kept \
             (`limits.max_delivery_bytes`)"
        );
        return Err(Problem::too_many(detail, FULL_RETRY_AFTER));
    }
    let (parts, body) = request.into_parts();
    let most = host.config().max_webhook_body(hook.max_body());
    let said = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > most) {
        return Err(too_large(most));
    }
    // A sender that does not say the size may send as much as is taken.
    let room = room_for(said.unwrap_or(most))?;
    let body = read(body, most).await?;
    let size = body.len() as u64;
    let received_at = host.runtime().ports().clock.now();
    let mut taken = WebhookRequest::new(parts.method.as_str(), body, received_at);
    if let Ok(base) = host.config().base_url() {
        let called = parts.uri.path_and_query().map(|called| called.as_str()).unwrap_or_default();
        taken = taken.with_url(format!("{}{called}", base.as_str().trim_end_matches('/')));
    }
    for (name, value) in &parts.headers {
        taken = taken.with_header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        taken = taken.with_query(name, value);
    }
    // What was taken is stored and handed over, also if the service does not wait for the answer.
    let receiving = async move {
        let _held = (permit, room);
        hook.receive(taken).await
    };
    let received = host.detached().run(receiving).await.map_err(|error| {
        tracing::error!("a webhook ended halfway: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the host failed to take this")
    })??;
    if received == HookAnswer::Taken {
        host.deliveries().add(size);
    }
    Ok(match received {
        HookAnswer::Text(text) => text_response(text),
        HookAnswer::Json(value) => Json(value).into_response(),
        HookAnswer::Header(name, value) => {
            let mut response = StatusCode::OK.into_response();
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
            response
        }
        _ => StatusCode::OK.into_response(),
    })
}

/// Memory for a body of so many bytes; a small one needs none of it. An error means that there is none for now.
fn room_for(bytes: usize) -> Answer<Option<SemaphorePermit<'static>>> {
    let needed = bytes.div_ceil(LARGE_UNIT).min(LARGE_UNITS);
    if needed <= 1 {
        return Ok(None);
    }
    let permit = LARGE_BODIES.try_acquire_many(u32::try_from(needed).unwrap_or(u32::MAX));
    permit.map(Some).map_err(|_| {
        let detail = format!("webhooks of {LARGE_UNITS} MiB are being read, and no more large ones are taken at once");
        Problem::too_many(detail, 1)
    })
}

/// What someone sent comes back as text and as nothing else: it is not for a browser to interpret.
fn text_response(text: String) -> Response {
    ([(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
}

/// Reads a body as far as it may go.
async fn read(body: HttpBody, most: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body cannot be read: {error}"))
        })?;
        if read.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
}

fn too_large(most: usize) -> Problem {
    let detail = format!("a webhook has at most {most} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

impl From<HookError> for Problem {
    fn from(error: HookError) -> Self {
        let detail = error.to_string();
        match error {
            HookError::Unknown => Self::not_found(detail),
            HookError::Disabled => Self::new(StatusCode::GONE, "gone", detail),
            HookError::Unverified(_) => Self::new(StatusCode::UNAUTHORIZED, "unverified", detail),
            HookError::Engine(error) => error.into(),
            HookError::Failed(error) => {
                // What went wrong is for the operator, not for whoever has the URL.
                tracing::warn!("a webhook that is waited for failed: {error}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the webhook failed")
            }
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    connection: Option<ConnectionId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<DeliveryId>,
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
}

/// What was received, newest first.
async fn list(
    State(host): State<Host>,
    _: Operator,
    Query(asked): Query<ListQuery>,
) -> Answer<Json<Page<DeliveryView>>> {
    let limit = limit(asked.limit)?;
    let mut query = DeliveryQuery::all(limit + 1);
    query.connection = asked.connection;
    query.since = asked.since;
    query.until = asked.until;
    query.before = asked.after;
    let found = host.runtime().deliveries(query).await?;
    Ok(Json(Page::of(found, limit, |delivery| delivery.id.to_string())))
}

async fn replay(
    State(host): State<Host>,
    _: Operator,
    Path(ById { id }): Path<ById<DeliveryId>>,
) -> Answer<Json<DeliveryView>> {
    Ok(Json(host.runtime().replay(id).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRange {
    connection: Option<ConnectionId>,
    since: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct Replayed {
    replayed: u64,
}

async fn replay_range(State(host): State<Host>, _: Operator, Body(range): Body<ReplayRange>) -> Answer<Json<Replayed>> {
    let mut query = DeliveryQuery::default();
    query.connection = range.connection;
    query.since = Some(range.since);
    query.until = range.until;
    Ok(Json(Replayed { replayed: host.runtime().replay_all(query).await? }))
}
