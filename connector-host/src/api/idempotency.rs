//! `Idempotency-Key`: a POST that is sent again is done once, and answered as it was.
//!
//! An accepted request runs in a task of the host's own (`guard::limit`), whatever becomes of its connection. Its answer
//! is kept for a day; the same request again gets that answer, or waits for it.
//!
//! The first commit of a request also stores a mark with its key. So after a crash one of three is true: nothing was
//! stored, and the request is free to be done; the answer was kept, and is given again; or something was stored and
//! the answer was not, which is told. A mark that was stored before the request was done, as a commit of its own, would
//! block a request of which nothing was done; without a mark, a request could be done twice.

use std::collections::HashMap;
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
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::caller::Identity;
use super::problem::{Answer, Problem};
use crate::engine::sqlite::with_first_commit;
use crate::host::Host;
use crate::vault::hex;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Marks an answer of which only the short fields were kept.
const REDUCED: HeaderName = HeaderName::from_static("idempotency-answer");

/// Largest answer that is kept whole, in bytes.
const LARGEST_ANSWER: usize = 256 * 1024;

/// Longest text in an answer that is not kept whole, in bytes.
const LONGEST_FIELD: usize = 256;

/// Largest number of fields in an answer that is not kept whole.
const MOST_FIELDS: usize = 64;

/// Longest key, in characters.
const LONGEST_KEY: usize = 255;

/// What settings with answers begin with; the number of the day, and a digest of caller, path and key follow.
const PREFIX: &str = "idempotency/";

/// What answers are sealed for: one may hold a key.
const PURPOSE: &str = "idempotency";

/// A host is off for so many days at most, or what it stored before stays.
const OFF: i64 = 400;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Requests with keys that are under way, by the digest of caller, path and key.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashMap<String, Pending>>);

/// A request that is under way.
#[derive(Clone)]
struct Pending {
    /// Digest of its body.
    body: String,
    /// Its answer, once there is one.
    answer: watch::Receiver<Option<Stored>>,
}

/// Who does a request.
enum Doer<'a> {
    /// Whoever has asked.
    Caller(Held<'a>),
    /// Another, of the same request.
    Other(Pending),
}

/// A request is under way until this is dropped.
struct Held<'a> {
    under_way: &'a UnderWay,
    name: String,
    answer: watch::Sender<Option<Stored>>,
}

impl UnderWay {
    fn begin(&self, name: &str, body: &str) -> Doer<'_> {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = requests.get(name) {
            return Doer::Other(other.clone());
        }
        let (sender, answer) = watch::channel(None);
        requests.insert(name.to_owned(), Pending { body: body.to_owned(), answer });
        Doer::Caller(Held { under_way: self, name: name.to_owned(), answer: sender })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// A request with a key, of which something was stored; and its answer, unless the host has stopped before there was one.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Digest of the body.
    request: String,
    at: Timestamp,
    answer: Option<Stored>,
}

/// An answer that is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    status: u16,
    content_type: Option<String>,
    body: String,
    /// The answer was too large: only its short fields are kept.
    #[serde(default)]
    reduced: bool,
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
    let is_key = |key: &&str| (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(is_key);
    let key = key.ok_or_else(|| {
        let detail = format!("`Idempotency-Key` has 1 to {LONGEST_KEY} printable ASCII characters, and no spaces");
        Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
    })?;
    let Some(identity) = request.extensions().get::<Identity>().cloned() else { return Ok(next.run(request).await) };
    let name = digest(&[identity.0.as_bytes(), request.uri().path().as_bytes(), key.as_bytes()]);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, super::MAX_BODY).await.map_err(super::extract::unread)?;
    let sent = digest(&[&body]);
    let held = loop {
        let mut other = match host.under_way().begin(&name, &sent) {
            Doer::Caller(held) => break held,
            Doer::Other(other) => other,
        };
        if other.body != sent {
            return Err(reused());
        }
        if let Ok(answer) = other.answer.wait_for(Option::is_some).await
            && let Some(answer) = answer.clone()
        {
            return Ok(replayed(answer));
        }
        // It ended without an answer, so it is free to be done.
    };
    let now = host.runtime().ports().clock.now();
    if let Some(record) = found(host, &name, now).await? {
        return answered_before(record, &sent);
    }
    let setting = format!("{PREFIX}{}/{name}", day(now));
    let mut record = Record { request: sent, at: now, answer: None };
    let mark = write(host, &setting, Some(&record))?;
    let request = Request::from_parts(parts, Body::from(body));
    let (response, marked) = with_first_commit(mark, next.run(request)).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let answer = Stored {
        status: parts.status.as_u16(),
        content_type: content_type.map(str::to_owned),
        body: String::from_utf8_lossy(&body).into_owned(),
        reduced: false,
    };
    let kept = if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
        // It may succeed the next time.
        if marked { put(host, &setting, None).await } else { Ok(()) }
    } else {
        let size = body.len() as u64;
        let whole = body.len() <= LARGEST_ANSWER && host.limits().keeps_answer(&identity, day(now), size);
        record.answer = Some(if whole { answer.clone() } else { answer.clone().reduced() });
        put(host, &setting, Some(&record)).await
    };
    if let Err(problem) = kept {
        // It was done all the same, and whoever asked hears so.
        tracing::error!(?problem, "the answer to a request with a key cannot be kept");
    }
    held.answer.send_replace(Some(answer));
    Ok(Response::from_parts(parts, Body::from(body)))
}

impl Stored {
    /// Without what is long: of an object, the fields that are short. What was made is known by its `id`.
    fn reduced(self) -> Self {
        let is_short = |value: &Value| match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
            Value::String(text) => text.len() <= LONGEST_FIELD,
            Value::Array(_) | Value::Object(_) => false,
        };
        let body = match serde_json::from_str(&self.body) {
            Ok(Value::Object(mut fields)) => {
                fields.retain(|name, value| name.len() <= LONGEST_FIELD && is_short(value));
                Value::Object(fields.into_iter().take(MOST_FIELDS).collect()).to_string()
            }
            _ => String::new(),
        };
        Self { body, reduced: true, ..self }
    }
}

fn reused() -> Problem {
    let detail = "this `Idempotency-Key` was sent with another request: take a new one for each";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
}

fn answered_before(record: Record, sent: &str) -> Answer<Response> {
    if record.request != sent {
        return Err(reused());
    }
    let Some(stored) = record.answer else {
        let detail = "the host stopped when it had stored something of the same request, and before its answer was kept: \
                      look whether it was done, and send it with another key if not";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency-answer-lost", detail));
    };
    Ok(replayed(stored))
}

/// An answer that was given before.
fn replayed(stored: Stored) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or_default();
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(value) = stored.content_type.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if stored.reduced {
        headers.insert(REDUCED, HeaderValue::from_static("reduced"));
    }
    response
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
    Ok(host.store([write(host, setting, record)?]).await?)
}

fn write(host: &Host, setting: &str, record: Option<&Record>) -> Answer<Write> {
    let value = match record {
        Some(record) => {
            let plain = serde_json::to_vec(record).map_err(|error| EngineError::Failed(error.to_string()))?;
            let context = SealContext::stored(PURPOSE, setting);
            Some(Bytes::from(host.runtime().ports().vault.seal(&context, &plain)))
        }
        None => None,
    };
    Ok(Write::PutSetting { name: setting.to_owned(), value })
}

/// Removes what is older than can be asked for.
pub(crate) async fn forget(host: &Host) -> Result<(), EngineError> {
    let today = day(host.runtime().ports().clock.now());
    let past = (today - OFF..today - 1).map(|day| Write::DeleteSettings { prefix: format!("{PREFIX}{day}/") });
    host.store(past).await
}
