//! An authorization server and a service in one, on the loopback interface, which a test makes misbehave.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, RawForm, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use connector_test_support::secrets;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

pub(crate) const CLIENT_ID: &str = "the-client";
pub(crate) const CLIENT_SECRET: &str = "the-client-secret";

/// What the token endpoint does with the next request.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Does its work, and the connection breaks before the answer.
    Lose,
    /// Answers this, and does nothing.
    Say(u16, String),
    /// Answers as it should when the test lets it.
    Wait(Arc<tokio::sync::Semaphore>),
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Codes that were not exchanged: challenge, user.
    codes: HashMap<String, (String, String)>,
    /// Access tokens that work, with the user.
    pub(crate) access: HashMap<String, String>,
    /// Refresh tokens: the user, and what came of it, as that is answered again.
    refresh: HashMap<String, (String, Option<Value>)>,
    /// How often each user's token was asked to be refreshed, the repetition of a lost answer too.
    pub(crate) refreshes: HashMap<String, u32>,
    /// How often tokens of a user were made by a refresh.
    pub(crate) renewed: HashMap<String, u32>,
    pub(crate) moods: VecDeque<Mood>,
    pub(crate) revoked: Vec<String>,
    /// What the meter says next: status and headers. Else 200.
    pub(crate) readings: VecDeque<(u16, Vec<(&'static str, &'static str)>)>,
    pub(crate) calls: u32,
    /// Seconds that an access token lives.
    pub(crate) life: u64,
    /// The scopes that are granted; none for those that were asked for.
    pub(crate) grants: Option<String>,
    /// It says in its discovery document that it names itself in every answer.
    pub(crate) names_itself: bool,
    /// Its discovery document has its revocation endpoint, which no test has set but one.
    pub(crate) discovers_revocation: bool,
    /// What the requests to Trello's API were authorized with.
    pub(crate) authorizations: Vec<String>,
    /// The token endpoint answers nothing but 503, to as many requests.
    pub(crate) outage: Option<u32>,
    /// What stands in the answers beside tokens.
    pub(crate) beside: Vec<(&'static str, Value)>,
    /// A refresh token works after it was used, with the same answer.
    pub(crate) forgives: bool,
    number: u32,
}

#[derive(Clone)]
pub(crate) struct Authority {
    seen: Arc<Mutex<Seen>>,
    /// Rings when a token is to be revoked, whatever comes of it.
    pub(crate) revoking: Arc<tokio::sync::Notify>,
    pub(crate) base: String,
}

impl Authority {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Seen { life: 3600, forgives: true, ..Seen::default() };
        let authority = Self { seen: Arc::new(Mutex::new(seen)), revoking: Arc::default(), base };
        let router = Router::new()
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/api/me", get(me))
            .route("/api/items/{channel}", get(items))
            .route("/api/meter", get(meter))
            .route("/api/film", get(film))
            .route("/api/reel", get(reel))
            .route("/forge/user", get(me))
            .route("/forge/applications/{client}/token", axum::routing::delete(end_of_app))
            .route("/elsewhere/{client}/revoke", axum::routing::delete(end_of_app))
            .route("/trello/members/me", get(member))
            .route("/trello/tokens/{token}", axum::routing::delete(end_token))
            .route("/.well-known/openid-configuration", get(discovery))
            .with_state(authority.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        authority
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the consent page does when the user allows: the parameters that come back.
    pub(crate) fn allow(&self, authorize_url: &str, user: &str) -> HashMap<String, String> {
        let url = Url::parse(authorize_url).expect("a URL");
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT_ID));
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut seen = self.seen();
        seen.number += 1;
        let code = format!("code-{}-of-{user}", seen.number);
        secrets::know([code.as_str()]);
        seen.codes.insert(code.clone(), (asked["code_challenge"].clone(), user.to_owned()));
        HashMap::from([("code".to_owned(), code), ("state".to_owned(), asked["state"].clone())])
    }

    fn give(&self, user: &str) -> Value {
        let mut seen = self.seen();
        seen.number += 1;
        let (access, refresh) =
            (format!("access-{}-of-{user}", seen.number), format!("refresh-{}-of-{user}", seen.number));
        secrets::know([access.as_str(), refresh.as_str()]);
        seen.access.retain(|_, owner| owner != user);
        seen.access.insert(access.clone(), user.to_owned());
        seen.refresh.insert(refresh.clone(), (user.to_owned(), None));
        let mut answer =
            json!({"access_token": access, "token_type": "Bearer", "expires_in": seen.life, "refresh_token": refresh});
        if let Some(grants) = &seen.grants {
            answer["scope"] = json!(grants);
        }
        for (name, value) in &seen.beside {
            answer[*name] = value.clone();
        }
        answer
    }
}

fn fields(form: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(form).into_owned().collect()
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

async fn token(State(authority): State<Authority>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let form = fields(&form);
    if let Some(asked) = &mut authority.seen().outage {
        *asked += 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mood = authority.seen().moods.pop_front();
    if form["grant_type"] == "refresh_token" {
        let user = authority.seen().refresh.get(&form["refresh_token"]).map(|(user, _)| user.clone());
        *authority.seen().refreshes.entry(user.unwrap_or_default()).or_default() += 1;
    }
    match &mood {
        Some(Mood::Say(status, body)) => {
            let status = StatusCode::from_u16(*status).expect("a status");
            return (status, [("content-type", "application/json")], body.clone()).into_response();
        }
        Some(Mood::Wait(gate)) => gate.acquire().await.expect("a gate").forget(),
        _ => {}
    }
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(expected.as_str()) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
    }
    let answer = if form["grant_type"] == "refresh_token" {
        let known = authority.seen().refresh.get(&form["refresh_token"]).cloned();
        match known {
            Some((user, None)) => {
                let answer = authority.give(&user);
                let mut seen = authority.seen();
                *seen.renewed.entry(user.clone()).or_default() += 1;
                seen.refresh.insert(form["refresh_token"].clone(), (user, Some(answer.clone())));
                answer
            }
            Some((_, Some(answer))) if authority.seen().forgives => answer,
            _ => return refused("invalid_grant"),
        }
    } else {
        let Some((challenge, user)) = authority.seen().codes.remove(&form["code"]) else {
            return refused("invalid_grant");
        };
        let verifier = form.get("code_verifier").cloned().unwrap_or_default();
        if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != challenge {
            return refused("invalid_grant");
        }
        authority.give(&user)
    };
    if matches!(mood, Some(Mood::Lose)) {
        // A body that is shorter than it says is a connection that broke.
        return (StatusCode::OK, [("content-type", "application/json")], answer.to_string()[..20].to_owned())
            .into_response();
    }
    Json(answer).into_response()
}

async fn revoke(State(authority): State<Authority>, RawForm(form): RawForm) -> Response {
    let form = fields(&form);
    authority.revoking.notify_one();
    if let Some(Mood::Say(status, body)) = authority.seen().moods.pop_front() {
        return (StatusCode::from_u16(status).expect("a status"), body).into_response();
    }
    authority.seen().revoked.push(form["token"].clone());
    StatusCode::OK.into_response()
}

/// GitHub's way to end a token of an app, wherever it is: the app says who it is, and names the token.
async fn end_of_app(
    State(authority): State<Authority>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    authority.revoking.notify_one();
    let of_app = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    assert_eq!(headers["authorization"], of_app.as_str());
    if let Some(Mood::Say(status, body)) = authority.seen().moods.pop_front() {
        return (StatusCode::from_u16(status).expect("a status"), body).into_response();
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    authority.seen().revoked.push(format!("{} {}", uri.path(), body["access_token"].as_str().expect("a token")));
    StatusCode::NO_CONTENT.into_response()
}

/// A film that does not end, and comes no further than its beginning.
async fn reel() -> Response {
    let begin = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![0; 1 << 10])]);
    let body = futures_util::StreamExt::chain(begin, futures_util::stream::pending());
    ([("content-type", "video/mp4")], axum::body::Body::from_stream(body)).into_response()
}

/// The user of the token.
fn bearer(authority: &Authority, headers: &HeaderMap) -> Option<String> {
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let mut seen = authority.seen();
    seen.calls += 1;
    seen.access.get(token).cloned()
}

async fn me(State(authority): State<Authority>, headers: HeaderMap) -> Response {
    match bearer(&authority, &headers) {
        Some(user) => Json(json!({ "login": user })).into_response(),
        None => (StatusCode::UNAUTHORIZED, Json(json!({"message": "bad token"}))).into_response(),
    }
}

async fn member(State(authority): State<Authority>, headers: HeaderMap) -> Response {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let given = headers.get("authorization").map(text).unwrap_or_default();
    let right = given == format!("OAuth oauth_consumer_key=\"{CLIENT_ID}\", oauth_token=\"token-of-ada\"");
    authority.seen().authorizations.push(given);
    match right {
        true => Json(json!({"id": "5", "username": "ada"})).into_response(),
        false => (StatusCode::UNAUTHORIZED, "invalid token").into_response(),
    }
}

async fn end_token(
    State(authority): State<Authority>,
    Path(token): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> StatusCode {
    authority.seen().revoked.push(format!("{token}?{}", query.unwrap_or_default()));
    StatusCode::OK
}

async fn items(State(authority): State<Authority>, Path(channel): Path<String>, headers: HeaderMap) -> Response {
    match bearer(&authority, &headers) {
        Some(user) => Json(json!([{"id": format!("{channel}-of-{user}")}])).into_response(),
        None => (StatusCode::UNAUTHORIZED, Json(json!({"message": "bad token"}))).into_response(),
    }
}

async fn meter(State(authority): State<Authority>) -> Response {
    let (status, headers) = authority.seen().readings.pop_front().unwrap_or((200, Vec::new()));
    let mut response = StatusCode::from_u16(status).expect("a status").into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}

/// Two GiB, of which nobody takes much.
async fn film() -> Response {
    let piece = || Ok::<_, std::io::Error>(vec![0; 1 << 16]);
    let body = axum::body::Body::from_stream(futures_util::stream::repeat_with(piece));
    let mut response = ([("content-type", "video/mp4")], body).into_response();
    response.headers_mut().insert("content-length", (2_u64 << 30).into());
    response
}

async fn discovery(State(authority): State<Authority>) -> Json<Value> {
    let base = &authority.base;
    let revocation = authority.seen().discovers_revocation.then(|| format!("{base}/revoke"));
    Json(json!({
        "issuer": base,
        "revocation_endpoint": revocation,
        "authorization_endpoint": format!("{base}/discovered"),
        "token_endpoint": format!("{base}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": authority.seen().names_itself,
    }))
}
