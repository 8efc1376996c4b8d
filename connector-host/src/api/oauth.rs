//! Where providers send users back to. It takes no key: the state is one.

use std::collections::HashMap;

use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::extract::Query;
use super::problem::Problem;
use crate::host::Host;
use crate::oauth::{CALLBACK_PATH, FlowError, Returned};

pub(super) fn routes() -> Router<Host> {
    Router::new().route(&format!("/{CALLBACK_PATH}"), get(returned).post(fragment))
}

type Parameters = HashMap<String, String>;

async fn returned(State(host): State<Host>, headers: HeaderMap, Query(parameters): Query<Parameters>) -> Response {
    answer(&host, &headers, &parameters, false).await
}

/// What the page sends that has read the fragment.
async fn fragment(State(host): State<Host>, headers: HeaderMap, RawForm(body): RawForm) -> Response {
    let parameters = url::form_urlencoded::parse(&body).into_owned().collect();
    answer(&host, &headers, &parameters, true).await
}

async fn answer(host: &Host, headers: &HeaderMap, parameters: &Parameters, fragment_sent: bool) -> Response {
    // It goes on though the browser may go away: the code is used up, and what comes for it must be stored.
    let (oauth, runtime, parameters) = (host.oauth().clone(), host.runtime().clone(), parameters.clone());
    let returning = tokio::spawn(async move { oauth.returned(&runtime, &parameters, fragment_sent).await });
    let outcome = match returning.await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!("an authorization ended halfway: {error}");
            let detail = "the host failed while it authorized: try again";
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail).into_response();
        }
    };
    let mut response = match outcome {
        Ok(Returned::Fragment { state }) => fragment_page(&state),
        Ok(Returned::Done { connection, return_to: Some(mut place), failed }) => {
            place.query_pairs_mut().append_pair("connection", &connection.to_string());
            if let Some(error) = failed {
                place.query_pairs_mut().append_pair("error", &error.to_string());
            }
            Redirect::to(place.as_str()).into_response()
        }
        Ok(Returned::Done { connection, return_to: None, failed: None }) if wants_json(headers) => {
            Json(json!({"connection": connection, "status": "active"})).into_response()
        }
        Ok(Returned::Done { return_to: None, failed: None, .. }) => {
            page(StatusCode::OK, "Connected", "The account is connected. You can close this page.")
        }
        Ok(Returned::Done { failed: Some(error), .. }) | Err(error) => failure(headers, error),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        // The URL holds a code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(HeaderName::from_static("content-security-policy"))
        .or_insert(HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"));
    response
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("json") && !accept.contains("text/html")
}

fn failure(headers: &HeaderMap, error: FlowError) -> Response {
    let text = error.to_string();
    let problem = Problem::from(error);
    if wants_json(headers) {
        return problem.into_response();
    }
    let status = problem.into_response().status();
    page(status, "Not connected", &format!("{text}."))
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    (status, Html(document(title, &format!("<p>{}</p>", escape(text))))).into_response()
}

/// Sends the token of the fragment to the host, which no server has seen so far.
fn fragment_page(state: &str) -> Response {
    // A digest of the script would do as well, but for every change of it.
    let nonce = crate::vault::random_secret();
    let nonce = nonce.expose();
    let form = format!(
        r#"<form method="post"><input type="hidden" name="state" value="{}">
<input type="hidden" name="token"><input type="hidden" name="error"></form>
<noscript><p>This page needs JavaScript to finish.</p></noscript>
<script nonce="{nonce}">
const answer = new URLSearchParams(location.hash.slice(1));
const form = document.forms[0];
for (const name of ["token", "error"]) {{
  if (answer.get(name)) form.elements[name].value = answer.get(name);
  else form.elements[name].remove();
}}
history.replaceState(null, "", location.pathname);
form.submit();
</script>"#,
        escape(state),
    );
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'"
    );
    let mut response = Html(document("Connecting …", &form)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>
</head><body><h1>{title}</h1>{body}</body></html>"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
