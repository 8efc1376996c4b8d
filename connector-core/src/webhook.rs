//! Requests that services push, and how it is checked that they come from the service (R10.3, L14).

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

use crate::error::{Error, ErrorKind, Result};
use crate::hex;
use crate::named_function::named_function;
use crate::secret::Secret;

/// How the requests of a `#[webhook]` are checked, acknowledged and told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WebhookDeclaration {
    /// How it is checked that the service sent it.
    pub verify: Verify,
    /// How the service asks whether the endpoint is wanted.
    pub handshake: Option<Handshake>,
    /// Where the id of a delivery is, so that one that was seen is dropped: a header, or a JSON pointer
    /// (RFC 6901), which begins with `/`, into the body.
    pub delivery_id: Option<&'static str>,
    /// The service sends to one URL for the whole app, signed with the provider's `webhook_secret`; the
    /// request goes to the connections whose account belongs to this tenant.
    pub tenant: Option<Tenant>,
    /// The largest body that is taken, in bytes, up to [`MAX_BODY`]; `None` means as the host has it, which is 1 MiB
    /// unless the operator says otherwise.
    pub max_body: Option<u32>,
}

/// The largest body of a webhook that a connector can declare, 25 MiB: the largest that GitHub sends
/// (<https://docs.github.com/en/webhooks/webhook-events-and-payloads>).
pub const MAX_BODY: u32 = 25 << 20;

/// What a request says about the customer of the service whom it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Tenant {
    /// A field of the body.
    Field {
        /// A JSON pointer (RFC 6901): `/team_id`.
        pointer: &'static str,
    },
    /// What a function reads from it.
    Function {
        /// The function.
        function: TenantFn,
    },
}

impl Tenant {
    /// The tenant of a request; none if it concerns nobody, and is dropped.
    pub(crate) fn of(&self, request: &WebhookRequest) -> Option<String> {
        match self {
            Self::Field { pointer } => request.text_at(pointer),
            Self::Function { function } => (function.run)(request),
        }
    }
}

named_function!(
    /// A function that reads the tenant from a request, known by its name.
    TenantFn(fn(&WebhookRequest) -> Option<String>),
    /// A function that checks a request, known by its name.
    ///
    /// It gets the secret of the registration where there is one, and [`WebhookRequest::received_at`] is
    /// the time to compare others with. Use [`signed`] to compare digests.
    VerifyFn(fn(&WebhookRequest, Option<&Secret>) -> std::result::Result<(), VerifyError>)
);

/// How it is checked that a request comes from the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "scheme")]
pub enum Verify {
    /// HMAC-SHA256 of the body, in hex, in a header. Of several digests, with commas or spaces between them, one has to
    /// be right: while a secret is rotated, services send one for each.
    HmacSha256 {
        /// The header.
        header: &'static str,
        /// What stands before the digest: `sha256=`.
        prefix: &'static str,
    },
    /// Slack: HMAC-SHA256 of `v0:timestamp:body`, no older than five minutes.
    Slack,
    /// Standard Webhooks 1.0: base64 of HMAC-SHA256 of `id.timestamp.body`, no older than five minutes, in the headers
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature` (<https://www.standardwebhooks.com>). The key is what
    /// stands in base64 behind `whsec_` in the secret; a secret without that is the key itself.
    StandardWebhooks,
    /// Stripe style: `t=timestamp,v1=digest` of `timestamp.body`, no older than five minutes.
    Timestamped {
        /// The header.
        header: &'static str,
    },
    /// The URL cannot be guessed, and the service has no other scheme.
    SecretUrl,
    /// A field of the body is the secret that the service was given.
    StateField {
        /// A JSON pointer (RFC 6901): `/clientState`. A `*` stands for every element of a list, as in
        /// `/value/*/clientState`: each of them must be right.
        pointer: &'static str,
    },
    /// A header is the secret that the service was given.
    StateHeader {
        /// The header.
        header: &'static str,
    },
    /// A function says whether it does.
    Function {
        /// The function.
        function: VerifyFn,
    },
    /// Nothing is checked, for this reason.
    None {
        /// Why that is safe.
        reason: &'static str,
    },
}

/// How a service asks whether an endpoint is wanted, and what it wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Handshake {
    /// A query parameter is sent back as text (Microsoft's `validationToken`).
    EchoQuery {
        /// The parameter.
        parameter: &'static str,
    },
    /// A field of the JSON body is sent back (Slack's `challenge`).
    EchoField {
        /// A JSON pointer (RFC 6901).
        pointer: &'static str,
    },
    /// A request header is sent back, as a header of the same name (Asana's `X-Hook-Secret`).
    EchoHeader {
        /// The header.
        header: &'static str,
    },
}

/// A request that a service pushed; the body as it came, for signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookRequest {
    /// HTTP method.
    pub method: String,
    /// URL that was called, as the service knows it: below the public URL of the host, with the query as it was sent.
    /// Only while the request is verified: it is not stored, as whoever has it can push, and empty afterwards.
    #[serde(skip)]
    pub url: String,
    /// Query parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When it came.
    pub received_at: Timestamp,
    /// The secret of the URL that it came to, while a callback has it.
    #[serde(skip)]
    pub(crate) secret: Option<Secret>,
}

impl WebhookRequest {
    /// A request with this body.
    pub fn new(method: impl Into<String>, body: impl Into<Bytes>, received_at: Timestamp) -> Self {
        Self {
            method: method.into(),
            url: String::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: body.into(),
            received_at,
            secret: None,
        }
    }

    /// With the URL that was called.
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// With a header.
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// With a query parameter.
    pub fn with_query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// The first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first query parameter with this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Checks a request that came to a URL of [`create_webhook`](crate::context::Context::create_webhook), with
    /// the secret that was made for that URL.
    pub fn verify(self, scheme: &Verify) -> Result<Verified<Self>> {
        let checked = scheme.check(&self, self.secret.as_ref(), self.received_at);
        checked.map_err(|error| Error::rejected(error.to_string()).with_source(error))?;
        Ok(Verified::new(self))
    }

    /// A text, or a number as one, of the JSON body.
    pub(crate) fn text_at(&self, pointer: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        match body.pointer(pointer)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::new(ErrorKind::Bug, "the webhook's body is not the expected JSON").with_source(error)
        })
    }
}

/// Something that has been checked to come from the service; only the host makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// What was checked.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The header or field with the proof is not there.
    #[error("the request has no signature")]
    Missing,
    /// There is a proof, and it is wrong.
    #[error("the request's signature is wrong")]
    Wrong,
    /// The proof is right, but too old: it may be a replay.
    #[error("the request's timestamp is too far from now")]
    Stale,
    /// There is no secret to check with. A missing secret never lets a request through.
    #[error("no secret is stored for this webhook")]
    NoSecret,
}

/// How far a signed timestamp may be from now; both Slack and Stripe say five minutes.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

impl Verify {
    /// Checks a request, in constant time where a digest is compared.
    pub fn check(
        &self,
        request: &WebhookRequest,
        secret: Option<&Secret>,
        now: Timestamp,
    ) -> std::result::Result<(), VerifyError> {
        let secret = || secret.filter(|secret| !secret.expose().is_empty()).ok_or(VerifyError::NoSecret);
        match self {
            Self::HmacSha256 { header, prefix } => {
                let secret = secret()?;
                let given = request.header(header).ok_or(VerifyError::Missing)?;
                let mut digests = given.split([',', ' ']).filter_map(|digest| digest.trim().strip_prefix(prefix));
                let right = digests.any(|digest| hmac_matches(secret, &[&request.body], digest).is_ok());
                if right { Ok(()) } else { Err(VerifyError::Wrong) }
            }
            Self::StandardWebhooks => {
                let key = standard_key(secret()?)?;
                let header = |name: &str| request.header(name).ok_or(VerifyError::Missing);
                let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
                let signed_parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &request.body];
                let right = header("webhook-signature")?.split(' ').any(|given| {
                    let digest = given.strip_prefix("v1,").and_then(|digest| BASE64_STANDARD.decode(digest).ok());
                    digest.is_some_and(|digest| signed(Algorithm::Sha256, &key, &signed_parts, &digest))
                });
                if right { fresh(timestamp, now) } else { Err(VerifyError::Wrong) }
            }
            Self::Slack => {
                let secret = secret()?;
                let timestamp = request.header("x-slack-request-timestamp").ok_or(VerifyError::Missing)?;
                let given = request.header("x-slack-signature").ok_or(VerifyError::Missing)?;
                let digest = given.strip_prefix("v0=").ok_or(VerifyError::Wrong)?;
                hmac_matches(secret, &[b"v0:", timestamp.as_bytes(), b":", &request.body], digest)?;
                fresh(timestamp, now)
            }
            Self::Timestamped { header } => {
                let secret = secret()?;
                let given = request.header(header).ok_or(VerifyError::Missing)?;
                let parts = || given.split(',').filter_map(|part| part.trim().split_once('='));
                let timestamp =
                    parts().find(|(key, _)| *key == "t").map(|(_, value)| value).ok_or(VerifyError::Missing)?;
                // While a secret is rotated there is a digest for each.
                let mut digests = parts().filter(|(key, _)| *key == "v1").map(|(_, value)| value).peekable();
                digests.peek().ok_or(VerifyError::Missing)?;
                let signed = [timestamp.as_bytes(), b".", &request.body];
                if !digests.any(|digest| hmac_matches(secret, &signed, digest).is_ok()) {
                    return Err(VerifyError::Wrong);
                }
                fresh(timestamp, now)
            }
            Self::SecretUrl | Self::None { .. } => Ok(()),
            Self::StateField { pointer } => {
                let secret = secret()?;
                let body: serde_json::Value =
                    serde_json::from_slice(&request.body).map_err(|_| VerifyError::Missing)?;
                let mut given = Vec::new();
                fields(&body, pointer, &mut given);
                if given.is_empty() || given.contains(&None) {
                    return Err(VerifyError::Missing);
                }
                let right = |text: &str| same(text.as_bytes(), secret.expose().as_bytes());
                // All are compared, whichever of them is wrong.
                let wrong = given.into_iter().flatten().filter(|text| !right(text)).count();
                if wrong == 0 { Ok(()) } else { Err(VerifyError::Wrong) }
            }
            Self::StateHeader { header } => {
                let secret = secret()?;
                let given = request.header(header).ok_or(VerifyError::Missing)?;
                if same(given.as_bytes(), secret.expose().as_bytes()) { Ok(()) } else { Err(VerifyError::Wrong) }
            }
            Self::Function { function } => (function.run)(request, secret().ok()),
        }
    }

    /// What was signed, where that is all of the request that matters: a request with the same is the same.
    pub(crate) fn signed(&self, request: &WebhookRequest) -> Option<Vec<u8>> {
        let timestamp = match self {
            Self::HmacSha256 { .. } => "",
            Self::Slack => request.header("x-slack-request-timestamp")?,
            // It is signed, and stays the same when the service sends it again.
            Self::StandardWebhooks => return Some(request.header("webhook-id")?.as_bytes().to_vec()),
            Self::Timestamped { header } => request.header(header)?,
            Self::SecretUrl
            | Self::StateField { .. }
            | Self::StateHeader { .. }
            | Self::Function { .. }
            | Self::None { .. } => return None,
        };
        Some([timestamp.as_bytes(), b"\0", &request.body].concat())
    }
}

/// The texts at a JSON pointer in which `*` stands for every element; none for what is not there, or no text.
fn fields<'a>(value: &'a serde_json::Value, pointer: &str, found: &mut Vec<Option<&'a str>>) {
    match pointer.split_once("/*") {
        Some((before, rest)) if rest.is_empty() || rest.starts_with('/') => {
            let list = value.pointer(before).and_then(serde_json::Value::as_array);
            match list {
                Some(list) => list.iter().for_each(|element| fields(element, rest, found)),
                None => found.push(None),
            }
        }
        _ => found.push(value.pointer(pointer).and_then(serde_json::Value::as_str)),
    }
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, which some services still use.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// Whether `digest` is the HMAC of these parts in a row under this key, compared in constant time: for
/// [`VerifyFn`]s of services that encode or combine them in a way of their own. An empty key fits nothing.
///
/// HubSpot signs the method, the URL, the body and a timestamp in milliseconds
/// (<https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation>), and
/// Trello the body and the URL (<https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/>):
///
/// ```
/// use base64::prelude::{BASE64_STANDARD, Engine};
/// use connector_core::secret::Secret;
/// use connector_core::webhook::{Algorithm, VerifyError, WebhookRequest, fresh, signed};
///
/// fn hubspot(request: &WebhookRequest, secret: Option<&Secret>) -> Result<(), VerifyError> {
///     let key = secret.ok_or(VerifyError::NoSecret)?.expose().as_bytes();
///     let given = request.header("x-hubspot-signature-v3").ok_or(VerifyError::Missing)?;
///     let digest = BASE64_STANDARD.decode(given).map_err(|_| VerifyError::Wrong)?;
///     let milliseconds = request.header("x-hubspot-request-timestamp").ok_or(VerifyError::Missing)?;
///     let parts = [request.method.as_bytes(), request.url.as_bytes(), &request.body, milliseconds.as_bytes()];
///     if !signed(Algorithm::Sha256, key, &parts, &digest) {
///         return Err(VerifyError::Wrong);
///     }
///     let seconds = milliseconds.get(..milliseconds.len().saturating_sub(3)).ok_or(VerifyError::Wrong)?;
///     fresh(seconds, request.received_at)
/// }
///
/// fn trello(request: &WebhookRequest, secret: Option<&Secret>) -> Result<(), VerifyError> {
///     let key = secret.ok_or(VerifyError::NoSecret)?.expose().as_bytes();
///     let given = request.header("x-trello-webhook").ok_or(VerifyError::Missing)?;
///     let digest = BASE64_STANDARD.decode(given).map_err(|_| VerifyError::Wrong)?;
///     let right = signed(Algorithm::Sha1, key, &[&request.body, request.url.as_bytes()], &digest);
///     if right { Ok(()) } else { Err(VerifyError::Wrong) }
/// }
/// # let request = WebhookRequest::new("POST", "{}", jiff::Timestamp::UNIX_EPOCH);
/// # assert_eq!(hubspot(&request, Some(&Secret::new("s"))), Err(VerifyError::Missing));
/// # assert_eq!(trello(&request, None), Err(VerifyError::NoSecret));
/// ```
pub fn signed(algorithm: Algorithm, key: &[u8], parts: &[&[u8]], digest: &[u8]) -> bool {
    if key.is_empty() {
        return false;
    }
    match algorithm {
        Algorithm::Sha1 => mac::<Hmac<Sha1>>(key, parts).is_some_and(|mac| mac.verify_slice(digest).is_ok()),
        Algorithm::Sha256 => mac::<Hmac<Sha256>>(key, parts).is_some_and(|mac| mac.verify_slice(digest).is_ok()),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<M> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

fn hmac_matches(secret: &Secret, parts: &[&[u8]], digest: &str) -> std::result::Result<(), VerifyError> {
    let digest = hex::decode(digest).ok_or(VerifyError::Wrong)?;
    let right = signed(Algorithm::Sha256, secret.expose().as_bytes(), parts, &digest);
    if right { Ok(()) } else { Err(VerifyError::Wrong) }
}

/// The key in a secret of Standard Webhooks.
fn standard_key(secret: &Secret) -> std::result::Result<Vec<u8>, VerifyError> {
    match secret.expose().strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD.decode(encoded.trim()).map_err(|_| VerifyError::NoSecret),
        None => Ok(secret.expose().as_bytes().to_vec()),
    }
}

/// Checks that a signed timestamp, in seconds since the epoch, is at most five minutes from now: what is older may be a
/// replay. It is written in digits alone, without a sign.
pub fn fresh(timestamp: &str, now: Timestamp) -> std::result::Result<(), VerifyError> {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = timestamp.parse().ok().filter(|_| digits);
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(VerifyError::Wrong)?;
    if now.duration_since(at).abs() <= TOLERANCE { Ok(()) } else { Err(VerifyError::Stale) }
}

/// Compares without telling by its time where the two differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

/// The HMAC-SHA256 of these parts in a row, in hex.
pub(crate) fn hmac_sha256(secret: &str, parts: &[&[u8]]) -> String {
    let mac = mac::<Hmac<Sha256>>(secret.as_bytes(), parts).filter(|_| !secret.is_empty());
    mac.map(|mac| hex::encode(&mac.finalize().into_bytes())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
