//! The pages of an authorization: the one on which the user confirms it, and the one that providers send users back
//! to. They take no API key: a ticket, and then a state with the cookie of the browser, is one.
//!
//! Pages are complete without JavaScript, but for the one that reads a fragment. Their templates escape every value, and
//! their policy lets nothing run or load but what this host serves.

use std::collections::HashMap;

use axum::extract::{Path, RawForm, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use maud::{DOCTYPE, Markup, html};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::problem::Problem;
use crate::host::Host;
use crate::oauth::{AUTHORIZE_PATH, CALLBACK_PATH, Explanation, FlowError, Returned, Sent, TIME_TO_AUTHORIZE};
use crate::vault::{hex, random_secret};

const STYLE: &str = include_str!("oauth/page.css");
const FRAGMENT_SCRIPT: &str = include_str!("oauth/fragment.js");

/// Name of the cookies, each followed by the id of its authorization, so that several go on in one browser.
const COOKIE: &str = "connectors-authorization-";

/// Prefix of cookies that no other host can set (RFC 6265bis 4.1.3). It takes HTTPS.
const HOST_PREFIX: &str = "__Host-";

/// Field of the form that shows that the page was opened in the browser which confirms.
const CONFIRMATION: &str = "confirmation";

/// Parameters of an answer that are read, each of which comes once (RFC 6749 3.1).
const PARAMETERS: [&str; 7] = ["state", "code", "error", "error_description", "iss", "token", CONFIRMATION];

pub(super) fn routes() -> Router<Host> {
    let script = ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], FRAGMENT_SCRIPT);
    let style = ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE);
    Router::new()
        .route(&format!("/{AUTHORIZE_PATH}/{{ticket}}"), get(authorize).post(confirm))
        // A program that looks at a link before its user follows it must not use it up.
        .route(&format!("/{CALLBACK_PATH}"), get(returned).head(look).post(fragment))
        .route("/oauth/page.css", get(async || style))
        .route("/oauth/fragment.js", get(async || script))
}

/// The page that says what would be connected, and to whom.
async fn authorize(State(host): State<Host>, Path(ticket): Path<String>, headers: HeaderMap) -> Response {
    let explanation = match host.oauth().explain(host.runtime(), &ticket).await {
        Ok(explanation) => explanation,
        Err(error) => return failure(&headers, error, "../page.css"),
    };
    let name = cookie_name(&host, &ticket);
    let known = cookies(&headers).find(|(cookie, _)| *cookie == name).map(|(_, value)| value.to_owned());
    let value = known.unwrap_or_else(|| random_secret().expose().to_owned());
    let page = confirmation_page(&explanation, &confirmation(&value, &ticket));
    let urls = [Some(&explanation.authorize_url), explanation.return_to.as_ref()];
    let mut response = page_response(StatusCode::OK, page, &form_policy(urls));
    set_cookie(&mut response, &host, &name, &value, TIME_TO_AUTHORIZE.as_secs());
    response
}

/// The user has confirmed: the browser is known by its cookie from here on, and goes to the provider.
async fn confirm(
    State(host): State<Host>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let parameters = match single(url::form_urlencoded::parse(&form)) {
        Ok(parameters) => parameters,
        Err(error) => return failure(&headers, error, "../page.css"),
    };
    let name = cookie_name(&host, &ticket);
    let given = parameters.get(CONFIRMATION);
    let own = cookies(&headers).any(|(cookie, value)| cookie == name && given == Some(&confirmation(value, &ticket)));
    if !own || !is_same_origin(&host, &headers) {
        return failure(&headers, FlowError::NotConfirmed, "../page.css");
    }
    match host.oauth().confirm(host.runtime(), &ticket).await {
        Ok(Sent { url, browser }) => {
            let mut response = Redirect::to(url.as_str()).into_response();
            // Another value than the one of the page, so that none is of use that was known before.
            set_cookie(&mut response, &host, &name, browser.expose(), TIME_TO_AUTHORIZE.as_secs());
            response
        }
        Err(error) => failure(&headers, error, "../page.css"),
    }
}

/// `HEAD` changes nothing, so it does not tell what `GET` would answer.
async fn look() -> Response {
    let detail = "an answer of a provider is taken by GET and POST alone";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail);
    ([(header::ALLOW, format!("{}, {}", Method::GET, Method::POST))], problem).into_response()
}

async fn returned(State(host): State<Host>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    answer(&host, &headers, single(url::form_urlencoded::parse(query.as_bytes())), false).await
}

/// What the page sends that has read the fragment.
async fn fragment(State(host): State<Host>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    answer(&host, &headers, single(url::form_urlencoded::parse(&form)), true).await
}

type Parameters = HashMap<String, String>;

/// The parameters that are read. One that comes twice could mean either value, and is refused.
fn single(pairs: url::form_urlencoded::Parse<'_>) -> Result<Parameters, FlowError> {
    let mut found = Parameters::new();
    for (name, value) in pairs.filter(|(name, _)| PARAMETERS.contains(&name.as_ref())) {
        if found.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(FlowError::Unasked(format!("`{name}` is there more than once, so nothing was connected")));
        }
    }
    Ok(found)
}

async fn answer(
    host: &Host,
    headers: &HeaderMap,
    parameters: Result<Parameters, FlowError>,
    fragment_sent: bool,
) -> Response {
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return failure(headers, error, "page.css"),
    };
    let own: Vec<_> = cookies(headers).filter(|(name, _)| name.starts_with(&cookie_prefix(host))).collect();
    let browsers: Vec<_> = own.iter().map(|(_, value)| (*value).to_owned()).collect();
    // It goes on though the browser may go away: the code is used up, and what comes for it must be stored.
    let (oauth, runtime) = (host.oauth().clone(), host.runtime().clone());
    let returning = tokio::spawn(async move { oauth.returned(&runtime, &parameters, &browsers, fragment_sent).await });
    let outcome = match returning.await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!("an authorization ended halfway: {error}");
            let detail = "the host failed while it authorized: try again";
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail).into_response();
        }
    };
    match outcome {
        Ok(Returned::Fragment { state, return_to }) => {
            let policy = format!("script-src 'self'; {}", form_policy([return_to.as_ref()]));
            page_response(StatusCode::OK, fragment_page(&state), &policy)
        }
        Ok(Returned::Done { connection, browser, return_to, failed }) => {
            let mut response = match (return_to, failed) {
                (Some(mut place), failed) => {
                    place.query_pairs_mut().append_pair("connection", &connection.to_string());
                    if let Some(error) = failed {
                        place.query_pairs_mut().append_pair("error", &error.to_string());
                    }
                    Redirect::to(place.as_str()).into_response()
                }
                (None, Some(error)) => failure(headers, error, "page.css"),
                (None, None) if wants_json(headers) => {
                    Json(json!({"connection": connection, "status": "active"})).into_response()
                }
                (None, None) => {
                    let text = "The account is connected. You can close this page.";
                    page_response(StatusCode::OK, page("Connected", "page.css", html! { p { (text) } }), "")
                }
            };
            // The cookie has done its work.
            for (name, _) in own.iter().filter(|(_, value)| *value == browser) {
                set_cookie(&mut response, host, name, "", 0);
            }
            response
        }
        Err(error) => failure(headers, error, "page.css"),
    }
}

/// Whether a form was sent by a page of this host. Browsers that say neither header are told by the field of the form.
fn is_same_origin(host: &Host, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    // A page that keeps its URL to itself has the origin `null` (Fetch 3.2).
    let Some(origin) = text("origin").filter(|origin| *origin != "null") else { return true };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    origin == host.oauth().base().origin().ascii_serialization() || (authority.is_some() && authority == text("host"))
}

/// What the form of a page has, which belongs to the cookie that came with the page.
fn confirmation(cookie: &str, ticket: &str) -> String {
    hex(&Sha256::digest(format!("{cookie}/{ticket}").as_bytes()))
}

fn cookie_prefix(host: &Host) -> String {
    let prefix = if is_secure(host) { HOST_PREFIX } else { "" };
    format!("{prefix}{COOKIE}")
}

fn is_secure(host: &Host) -> bool {
    host.oauth().base().scheme() == "https"
}

/// The cookie of a ticket, and of the authorization that comes of it.
fn cookie_name(host: &Host, ticket: &str) -> String {
    let id: String = hex(&Sha256::digest(ticket.as_bytes())).chars().rev().take(16).collect();
    format!("{}{id}", cookie_prefix(host))
}

/// The cookies of a request.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The browser sends it on the way back from the provider, which `SameSite=Strict` would forbid, and shows it to no script.
fn set_cookie(response: &mut Response, host: &Host, name: &str, value: &str, seconds: i64) {
    let secure = if is_secure(host) { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("json") && !accept.contains("text/html")
}

fn failure(headers: &HeaderMap, error: FlowError, style: &str) -> Response {
    let text = error.to_string();
    let problem = Problem::from(error);
    if wants_json(headers) {
        return problem.into_response();
    }
    let status = problem.into_response().status();
    page_response(status, page("Not connected", style, html! { p { (text) "." } }), "")
}

/// Where a form may lead: to this host, and on to these. Browsers look at every redirect that follows, and what a
/// provider redirects to on its way is not known.
fn form_policy<'a>(urls: impl IntoIterator<Item = Option<&'a Url>>) -> String {
    let plain = urls.into_iter().flatten().filter(|url| url.scheme() != "https");
    let plain = plain.map(|url| format!(" {}", url.origin().ascii_serialization()));
    format!("form-action 'self' https:{}", plain.collect::<String>())
}

/// A page with its policy: `more` is what it allows beside the style.
fn page_response(status: StatusCode, page: Markup, more: &str) -> Response {
    let more = if more.is_empty() { "form-action 'none'" } else { more };
    let policy = format!("default-src 'none'; style-src 'self'; {more}; base-uri 'none'; frame-ancestors 'none'");
    let mut response = (status, page.into_string()).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // The URL holds a ticket or a code.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Should an origin be no text that a header can have, nothing at all may be loaded or sent.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Links are relative, as the host may be mounted below a path.
fn page(title: &str, style: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href=(style);
            }
            body {
                main { h1 { (title) } (body) }
            }
        }
    }
}

fn confirmation_page(explanation: &Explanation, confirmation: &str) -> Markup {
    let Explanation { connector, user, workspace, again, scopes, groups, authorize_url, return_to } = explanation;
    let provider = authorize_url.host_str().unwrap_or_default();
    let title = match again {
        Some(_) => format!("Authorize {} again?", connector.name),
        None => format!("Connect {}?", connector.name),
    };
    let body = html! {
        @if !connector.description.is_empty() { p { (connector.description) } }
        dl {
            dt { "For" } dd { bdi { (user) } }
            @if let Some(workspace) = workspace {
                dt { "Workspace" } dd { bdi { (workspace) } ", whose members all use the account" }
            }
            @if let Some(name) = again { dt { "Connection" } dd { bdi { (name) } } }
            dt { "Account at" } dd { (provider) }
            @if let Some(place) = return_to.as_ref().and_then(|place| place.host_str()) {
                dt { "Then back to" } dd { (place) }
            }
        }
        @if !connector.access.is_empty() {
            h2 { "What " (connector.name) " does with it" }
            ul { @for access in connector.access { li { (access) } } }
        }
        @if !groups.is_empty() {
            h2 { "Chosen parts" }
            ul { @for group in groups { li { (group) } } }
        }
        @if !scopes.is_empty() {
            h2 { "Permissions that " (provider) " is asked for" }
            ul { @for scope in scopes { li { code { (scope) } } } }
        }
        p.warning {
            "The account that you choose at " (provider) " is going to be connected for " strong { bdi { (user) } }
            ", who can then use it. If somebody else sent you this link, or you did not ask for this, close the page."
        }
        form method="post" {
            input type="hidden" name=(CONFIRMATION) value=(confirmation);
            button type="submit" { "Continue to " (provider) }
        }
    };
    page(&title, "../page.css", body)
}

/// Sends the token of the fragment to the host, which no server has seen so far.
fn fragment_page(state: &str) -> Markup {
    let body = html! {
        form method="post" {
            input type="hidden" name="state" value=(state);
            input type="hidden" name="token";
            input type="hidden" name="error";
        }
        noscript { p { "This page needs JavaScript to finish." } }
        script src="fragment.js" {}
    };
    page("Connecting …", "page.css", body)
}
