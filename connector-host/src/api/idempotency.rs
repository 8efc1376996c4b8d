//! `Idempotency-Key`: a POST that is sent again is done once, and answered as it was.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connector_core::engine::{EngineError, Write};
use connector_core::ports::SealContext;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::caller::Identity;
use super::problem::{Answer, Problem};
use crate::host::Host;
use crate::vault::hex;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in characters.
const LONGEST_KEY: usize = 255;

/// What settings with answers begin with; the number of the day, and a digest of caller, path and key follow.
const PREFIX: &str = "idempotency/";

/// What answers are sealed for: one may hold a key.
const PURPOSE: &str = "idempotency";

/// A host is off for so many days at most, or what it stored before stays.
const OFF: i64 = 400;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Keys whose requests are under way.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashSet<String>>);

/// Is under way until it is dropped.
struct Held<'a> {
    under_way: &'a UnderWay,
    name: String,
}

impl UnderWay {
    fn hold(&self, name: &str) -> Option<Held<'_>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(name.to_owned()).then(|| Held { under_way: self, name: name.to_owned() })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// A request with a key, and its answer once there is one.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The digest of the body.
    request: String,
    at: Timestamp,
    answer: Option<Stored>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    status: u16,
    content_type: Option<String>,
    body: String,
}

/// Runs behind the authentication.
pub(super) async fn once(State(host): State<Host>, request: Request, next: Next) -> Response {
    let key = request.headers().get(KEY).cloned();
    match key.filter(|_| *request.method() == Method::POST && !is_multipart(&request)) {
        Some(key) => keyed(&host, &key, request, next).await.unwrap_or_else(IntoResponse::into_response),
        None => next.run(request).await,
    }
}

/// An upload is not done twice by anyone's mistake: a file that nobody names goes away.
fn is_multipart(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("multipart/"))
}

async fn keyed(host: &Host, key: &HeaderValue, request: Request, next: Next) -> Answer<Response> {
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let key = key.ok_or_else(|| {
        let detail = format!("`Idempotency-Key` has 1 to {LONGEST_KEY} printable ASCII characters");
        Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
    })?;
    let Some(Identity(identity)) = request.extensions().get().cloned() else { return Ok(next.run(request).await) };
    let name = digest(&[identity.as_bytes(), request.uri().path().as_bytes(), key.as_bytes()]);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, super::MAX_BODY).await.map_err(|_| Problem::too_large(super::MAX_BODY))?;
    let sent = digest(&[&body]);
    let Some(_held) = host.under_way().hold(&name) else {
        return Err(in_progress("the same request is being done right now: wait for its answer"));
    };
    let now = host.runtime().ports().clock.now();
    if let Some(record) = found(host, &name, now).await? {
        return answered_before(record, &sent);
    }
    let setting = format!("{PREFIX}{}/{name}", day(now));
    let mut record = Record { request: sent, at: now, answer: None };
    // Should the host stop now, nobody can say whether the request was done, and it is not done again.
    put(host, &setting, Some(&record)).await?;
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
        // It may succeed the next time.
        put(host, &setting, None).await?;
    } else {
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        record.answer = Some(Stored {
            status: parts.status.as_u16(),
            content_type: content_type.map(str::to_owned),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        put(host, &setting, Some(&record)).await?;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn answered_before(record: Record, sent: &str) -> Answer<Response> {
    if record.request != sent {
        let detail = "this `Idempotency-Key` was sent with another request: take a new one for each";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail));
    }
    let Some(stored) = record.answer else {
        let detail = "the host stopped while it did the same request: look whether it was done, and send it with another key if not";
        return Err(in_progress(detail));
    };
    let status = StatusCode::from_u16(stored.status).unwrap_or_default();
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(value) = stored.content_type.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn in_progress(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "idempotency-in-progress", detail)
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY.as_secs())
}

/// What was stored for a key in the last 24 hours.
async fn found(host: &Host, name: &str, now: Timestamp) -> Answer<Option<Record>> {
    for day in [day(now), day(now) - 1] {
        let setting = format!("{PREFIX}{day}/{name}");
        let Some(sealed) = host.engine().setting(setting.clone()).await? else { continue };
        let context = SealContext::stored(PURPOSE, setting);
        let plain = host.runtime().ports().vault.open(&context, &String::from_utf8_lossy(&sealed)).ok();
        let record: Option<Record> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        if let Some(record) = record.filter(|record| now.duration_since(record.at) < DAY) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

async fn put(host: &Host, setting: &str, record: Option<&Record>) -> Answer<()> {
    let value = match record {
        Some(record) => {
            let plain = serde_json::to_vec(record).map_err(|error| EngineError::Failed(error.to_string()))?;
            let context = SealContext::stored(PURPOSE, setting);
            Some(Bytes::from(host.runtime().ports().vault.seal(&context, &plain)))
        }
        None => None,
    };
    Ok(host.store([Write::PutSetting { name: setting.to_owned(), value }]).await?)
}

/// Removes what is older than can be asked for.
pub(crate) async fn forget(host: &Host) -> Result<(), EngineError> {
    let today = day(host.runtime().ports().clock.now());
    let past = (today - OFF..today - 1).map(|day| Write::DeleteSettings { prefix: format!("{PREFIX}{day}/") });
    host.store(past).await
}
