//! Exchanges with a real service, recorded once and replayed for ever (R12.3).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::clock::BoxFuture;
use crate::network::{NetworkPort, Request, Response, TransportError, UrlRules, host_and_path, names_a_credential};
use crate::secret::Secret;
use crate::testing::host::whole;

/// What stands in a recording in place of a secret.
const SCRUBBED: &str = "SCRUBBED";

/// Shorter texts are not looked for everywhere, as they stand in other words too.
const SHORTEST_SECRET: usize = 6;

/// Parts of the names of parameters and fields whose values are secret.
const SECRET_NAMES: [&str; 10] =
    ["token", "secret", "password", "passwd", "api_key", "apikey", "signature", "credential", "assertion", "session"];

/// An exchange as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Exchange {
    method: String,
    url: String,
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    sent: Body,
    status: u16,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    answered: Body,
}

/// A body: as text where it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Text(String),
    Base64(String),
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Body {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(BASE64_STANDARD.encode(bytes)),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) | Self::Base64(text) if text.is_empty())
    }

    fn bytes(&self) -> Bytes {
        match self {
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Base64(text) => BASE64_STANDARD.decode(text).unwrap_or_default().into(),
        }
    }
}

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file.
    #[error("the recording {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("the recording {path} is not one: {source}")]
    Format {
        /// Which.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// A network that records what passes it. Secrets are scrubbed before anything is written: headers with
/// credentials, parameters and fields whose names say that they are secret, and their values wherever
/// else they stand. A clone is the same.
///
/// ```no_run
/// # use connector_core::network::NetworkPort;
/// # use connector_core::registry::Registry;
/// # use connector_core::testing::{Recorder, TestHost};
/// # async fn record(registry: Registry, real: impl NetworkPort) -> Result<(), Box<dyn std::error::Error>> {
/// let recorder = Recorder::new(real);
/// let host = TestHost::with_network(registry, recorder.clone());
/// // What the test does, against the real service.
/// recorder.write("tests/recordings/first_sync.json")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<dyn NetworkPort>,
    recorded: Arc<Mutex<Recorded>>,
}

#[derive(Default)]
struct Recorded {
    exchanges: Vec<Exchange>,
    secrets: Secrets,
}

impl Recorder {
    /// Records what is asked of this network.
    pub fn new(network: impl NetworkPort) -> Self {
        Self { inner: Arc::new(network), recorded: Arc::default() }
    }

    /// This is a secret too, wherever it stands.
    pub fn secret(self, secret: &Secret) -> Self {
        lock(&self.recorded).secrets.add(secret.expose());
        self
    }

    /// Writes what was recorded so far.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), RecordingError> {
        let path = path.as_ref();
        let shown = || path.display().to_string();
        let exchanges = self.exchanges();
        let text = serde_json::to_string_pretty(&exchanges)
            .map_err(|source| RecordingError::Format { path: shown(), source })?;
        crate::whole_file::replace(path, (text + "\n").as_bytes())
            .map_err(|source| RecordingError::File { path: shown(), source })
    }

    /// What was recorded so far, to be replayed at once.
    pub fn recording(&self) -> Recording {
        Recording::new(self.exchanges())
    }

    /// A secret that is learned late may stand in what was recorded before.
    fn exchanges(&self) -> Vec<Exchange> {
        let recorded = lock(&self.recorded);
        recorded.exchanges.iter().map(|exchange| recorded.secrets.scrub_exchange(exchange)).collect()
    }
}

impl NetworkPort for Recorder {
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let request = whole(request).await?;
            let response = self.inner.send(request.clone(), rules).await?;
            let mut recorded = lock(&self.recorded);
            recorded.secrets.learn(&request);
            let headers = response.headers.iter().filter_map(|(name, value)| {
                let secret = value.is_sensitive() || names_a_credential(name.as_str());
                let value = if secret { SCRUBBED } else { value.to_str().ok()? };
                Some((name.as_str().to_owned(), value.to_owned()))
            });
            let exchange = Exchange {
                method: request.method.to_string(),
                url: request.url.to_string(),
                sent: Body::of(&request.body.bytes().unwrap_or_default()),
                status: response.status.as_u16(),
                headers: headers.collect(),
                answered: Body::of(&response.body),
            };
            recorded.secrets.learn_fields(&response.body);
            recorded.exchanges.push(exchange);
            Ok(response)
        })
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("exchanges", &lock(&self.recorded).exchanges.len()).finish_non_exhaustive()
    }
}

/// A network that answers from a recording. The same request again gets the answer that came next, and
/// the last one for ever after. A request that was not recorded gets none, and is remembered.
///
/// ```no_run
/// # use connector_core::registry::Registry;
/// # use connector_core::testing::{Recording, TestHost};
/// # async fn replay(registry: Registry) -> Result<(), Box<dyn std::error::Error>> {
/// let recording = Recording::read("tests/recordings/first_sync.json")?;
/// let host = TestHost::with_network(registry, recording.clone());
/// // The same as when it was recorded.
/// assert_eq!(recording.not_recorded(), Vec::<String>::new());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recording {
    exchanges: Arc<Vec<Exchange>>,
    replay: Arc<Mutex<Replay>>,
    secrets: Vec<String>,
}

#[derive(Default)]
struct Replay {
    /// How often each request was made.
    made: HashMap<(String, String, Vec<u8>), usize>,
    unknown: Vec<String>,
}

impl Recording {
    fn new(exchanges: Vec<Exchange>) -> Self {
        Self { exchanges: Arc::new(exchanges), replay: Arc::default(), secrets: Vec::new() }
    }

    /// This was scrubbed as a secret when it was recorded: the value that the test has for it now.
    pub fn secret(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.expose().to_owned());
        self
    }

    /// Reads what a [`Recorder`] wrote.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        let path = path.as_ref();
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| RecordingError::File { path: shown(), source })?;
        let exchanges =
            serde_json::from_str(&text).map_err(|source| RecordingError::Format { path: shown(), source })?;
        Ok(Self::new(exchanges))
    }

    /// The requests that were not recorded.
    pub fn not_recorded(&self) -> Vec<String> {
        lock(&self.replay).unknown.clone()
    }
}

impl NetworkPort for Recording {
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let shown = host_and_path(&request.url);
            if !rules.allows(&request.url) {
                return Err(TransportError::NotDeclared { url: shown });
            }
            let request = whole(request).await?;
            let mut secrets = Secrets::default();
            self.secrets.iter().for_each(|secret| secrets.add(secret));
            secrets.learn(&request);
            let (method, url) = (request.method.to_string(), secrets.scrub_url(request.url.as_str()));
            let sent = secrets.scrub_body(&Body::of(&request.body.bytes().unwrap_or_default()));
            let same: Vec<_> = self
                .exchanges
                .iter()
                .filter(|exchange| exchange.method == method && exchange.url == url && exchange.sent == sent)
                .collect();
            let mut replay = lock(&self.replay);
            let made = replay.made.entry((method.clone(), url.clone(), sent.bytes().to_vec())).or_default();
            let Some(exchange) = same.get(*made).or(same.last()) else {
                replay.unknown.push(format!("{method} {url}"));
                let reason = format!("`{method} {url}` was not recorded: record it again");
                return Err(TransportError::NoConnection { url: shown, reason });
            };
            *made += 1;
            let mut headers = HeaderMap::new();
            for (name, value) in &exchange.headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    headers.append(name, value);
                }
            }
            let status = StatusCode::from_u16(exchange.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(Response::new(&request, status, headers, exchange.answered.bytes()))
        })
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("exchanges", &self.exchanges.len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The secrets that were seen.
#[derive(Default)]
struct Secrets {
    known: Vec<String>,
}

/// Whether the value of a field is a secret; what names the next page is none.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let continues = ["page", "sync", "next", "cursor"].iter().any(|part| name.contains(part));
    !continues && SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Whether the value of a parameter of a URL or form is a secret.
fn is_secret_parameter(name: &str) -> bool {
    is_secret_name(name) || matches!(name, "key" | "sig" | "code" | "auth")
}

impl Secrets {
    fn add(&mut self, secret: &str) {
        if secret.len() >= SHORTEST_SECRET && secret != SCRUBBED && !self.known.iter().any(|known| known == secret) {
            self.known.push(secret.to_owned());
            // One may be within another.
            self.known.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// Learns the secrets of a request.
    fn learn(&mut self, request: &Request) {
        for (name, value) in &request.headers {
            if (value.is_sensitive() || names_a_credential(name.as_str()))
                && let Ok(value) = value.to_str()
            {
                // A scheme stands before it: `Bearer`.
                self.add(value.rsplit(' ').next().unwrap_or(value));
            }
        }
        for (name, value) in request.url.query_pairs() {
            if is_secret_parameter(&name) {
                self.add(&value);
            }
        }
        let body = request.body.bytes().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(&body) {
            if is_secret_parameter(&name) {
                self.add(&value);
            }
        }
        self.learn_fields(&body);
    }

    /// Learns the secrets among the fields of a body.
    fn learn_fields(&mut self, body: &[u8]) {
        if let Ok(value) = serde_json::from_slice(body) {
            self.learn_value(&value);
        }
    }

    fn learn_value(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if is_secret_name(name) => self.add(text),
                        value => self.learn_value(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.learn_value(value)),
            _ => {}
        }
    }

    fn scrub(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), SCRUBBED))
    }

    fn scrub_url(&self, text: &str) -> String {
        let Ok(mut url) = Url::parse(text) else { return self.scrub(text) };
        if url.query().is_some() {
            let pairs: Vec<_> = url
                .query_pairs()
                .map(|(name, value)| {
                    let value = if is_secret_parameter(&name) { SCRUBBED.to_owned() } else { value.into_owned() };
                    (name.into_owned(), value)
                })
                .collect();
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        self.scrub(url.as_str())
    }

    fn scrub_body(&self, body: &Body) -> Body {
        let Body::Text(text) = body else { return body.clone() };
        Body::Text(match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                if scrub_fields(&mut value) {
                    self.scrub(&value.to_string())
                } else {
                    self.scrub(text)
                }
            }
            Err(_) => self.scrub(text),
        })
    }

    fn scrub_exchange(&self, exchange: &Exchange) -> Exchange {
        Exchange {
            method: exchange.method.clone(),
            url: self.scrub_url(&exchange.url),
            sent: self.scrub_body(&exchange.sent),
            status: exchange.status,
            headers: exchange.headers.iter().map(|(name, value)| (name.clone(), self.scrub(value))).collect(),
            answered: self.scrub_body(&exchange.answered),
        }
    }
}

/// Scrubs the fields whose names say that they are secret, also those that are too short to be looked for elsewhere.
fn scrub_fields(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter_mut().fold(false, |scrubbed, (name, value)| match value {
            Value::String(text) if is_secret_name(name) => {
                SCRUBBED.clone_into(text);
                true
            }
            value => scrub_fields(value) || scrubbed,
        }),
        Value::Array(values) => values.iter_mut().map(scrub_fields).fold(false, |scrubbed, one| scrubbed | one),
        _ => false,
    }
}
