//! The HTTP API (design 6.2). Everything that the command line does goes through it too.

mod agenda;
mod attachments;
mod caller;
mod changes;
mod channels;
mod connections;
mod connectors;
mod extract;
mod files;
mod guard;
mod health;
mod hooks;
mod idempotency;
mod keys;
mod links;
mod notes;
mod oauth;
mod openapi;
mod problem;
mod recent;
mod schedules;
mod sessions;
mod tasks;
mod threads;
mod vault;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};

pub(crate) use caller::{Caller, Identity};
pub(crate) use connectors::summary;
pub(crate) use idempotency::{UnderWay, forget as forget_answers};
use openapi::{answers, op};
use problem::Problem;
pub(crate) use recent::Recent;

use crate::host::Host;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The router of a host, to be mounted at the root.
pub(crate) fn router(host: Host) -> Router {
    openapi::begin();
    let v1 = ApiRouter::new()
        .merge(connectors::routes())
        .merge(connections::routes())
        .merge(channels::routes())
        .merge(threads::routes())
        .merge(notes::routes())
        .merge(links::routes())
        .merge(schedules::routes())
        .merge(agenda::routes())
        .merge(tasks::routes())
        .merge(files::routes())
        .merge(attachments::routes())
        .merge(changes::routes())
        .merge(sessions::routes())
        .merge(keys::routes())
        .merge(hooks::routes())
        .merge(vault::routes())
        .fallback(nothing_here)
        // The last one is the first that a request meets.
        .layer(middleware::from_fn_with_state(host.clone(), idempotency::once))
        .layer(middleware::from_fn_with_state(host.clone(), guard::limit))
        .layer(middleware::from_fn_with_state(host.clone(), caller::authenticate));
    let document_route = get_with(document, |operation| {
        answers(op("getDocument", "This document", &[])(operation), 200, &["application/json"], "OpenAPI 3.1.")
    });
    let mut document = openapi::frame();
    let router = ApiRouter::new()
        .nest("/api/v1", v1)
        .merge(health::routes())
        .merge(oauth::routes())
        .merge(hooks::ingress())
        .api_route("/openapi.json", document_route)
        .fallback(nothing_here)
        .finish_api(&mut document);
    router
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::Extension(openapi::finish(&document)))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(host.clone(), guard::arrival))
        .layer(middleware::from_fn_with_state(host.clone(), guard::watch))
        .with_state(host)
}

async fn document(axum::Extension(document): axum::Extension<openapi::Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

async fn nothing_here(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
