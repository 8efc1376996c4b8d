//! The HTTP API (design 6.2). Everything that the command line does goes through it too.

mod attachments;
mod changes;
mod channels;
mod connections;
mod connectors;
mod extract;
mod health;
mod keys;
mod links;
mod notes;
mod problem;
mod schedules;
mod tasks;
mod threads;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

pub(crate) use connectors::summary;
use problem::Problem;

use crate::host::Host;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The router of a host, to be mounted at the root.
pub(crate) fn router(host: Host) -> Router {
    let v1 = Router::new()
        .merge(connectors::routes())
        .merge(connections::routes())
        .merge(channels::routes())
        .merge(threads::routes())
        .merge(notes::routes())
        .merge(links::routes())
        .merge(schedules::routes())
        .merge(tasks::routes())
        .merge(attachments::routes())
        .merge(changes::routes())
        .merge(keys::routes())
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(host.clone(), require_key));
    Router::new()
        .nest("/api/v1", v1)
        .merge(health::routes())
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(host)
}

async fn nothing_here(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

/// Lets requests with a valid API key through.
async fn require_key(State(host): State<Host>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = given.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let accepted = match key {
        Some(key) => host.keys().accepts(key).await,
        None => Ok(false),
    };
    match (accepted, key) {
        (Ok(true), _) => next.run(request).await,
        (Ok(false), None) => unauthorized("send an API key: `Authorization: Bearer KEY`"),
        (Ok(false), Some(_)) => unauthorized("this API key is not valid, or was revoked"),
        (Err(error), _) => Problem::from(error).into_response(),
    }
}

fn unauthorized(detail: &str) -> Response {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}
