use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::{Response, host_and_path};
use crate::error::{Error, ErrorKind};

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connector does not declare the URL, or a redirect led to one that it does not.
    #[error("`{url}` is not among the URLs that the connector declares: add it to `urls`")]
    NotDeclared {
        /// Host and path.
        url: String,
    },
    /// The address is private, loopback or link-local.
    #[error(
        "`{host}` is at the private address {address}, which connectors may not reach: the operator can allow it with CONNECTORS_NETWORK__ALLOW_PRIVATE=true"
    )]
    PrivateAddress {
        /// The name that was looked up.
        host: String,
        /// What it resolved to.
        address: String,
    },
    /// There is no such host.
    #[error("`{host}` cannot be found")]
    NoSuchHost {
        /// The name that was looked up.
        host: String,
    },
    /// It took too long.
    #[error("`{url}` did not answer within {limit:?}")]
    Timeout {
        /// Host and path.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The body is larger than the request's limit.
    #[error("`{url}` answered with more than {limit} bytes")]
    TooLarge {
        /// Host and path.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// Redirects without end.
    #[error("`{url}` redirects too often")]
    TooManyRedirects {
        /// Host and path of the first.
        url: String,
    },
    /// There is no connection, so nothing was sent.
    #[error("`{url}` cannot be reached: {reason}")]
    NoConnection {
        /// Host and path.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The connection failed, or ended before the response was whole.
    #[error("the connection to `{url}` failed: {reason}")]
    Connection {
        /// Host and path.
        url: String,
        /// What the network said.
        reason: String,
    },
}

impl TransportError {
    /// The error of the hook or callback. Not a `From`: `?` takes any other error as transient.
    pub fn into_error(self) -> Error {
        let kind = match &self {
            Self::NotDeclared { .. } | Self::PrivateAddress { .. } | Self::TooLarge { .. } => ErrorKind::Bug,
            Self::NoSuchHost { .. }
            | Self::Timeout { .. }
            | Self::TooManyRedirects { .. }
            | Self::NoConnection { .. }
            | Self::Connection { .. } => ErrorKind::Transient,
        };
        Error::new(kind, self.to_string()).with_source(self)
    }
}

/// How long a service that refuses for its rate, and does not say until when, is left alone.
pub(super) const UNSAID_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// The shortest wait: a service that says "now", or a time that is over by its clock, is not called in a loop (L11).
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// The longest wait: a time that is far off is asked about again.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// What a status that is no success means (R6.6).
pub(crate) fn classify(response: &Response, now: Timestamp) -> Error {
    let (status, headers) = (response.status, &response.headers);
    let said = message(&response.body);
    let text = format!("{} answered {status}{said}", host_and_path(&response.url));
    if let Some(until) = limited_until(status, headers, &said, now) {
        return Error::new(ErrorKind::RateLimited { until }, text);
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED => ErrorKind::NeedsReauth,
        StatusCode::FORBIDDEN => {
            missing_scope(headers).map_or(ErrorKind::Rejected, |scope| ErrorKind::ScopeMissing { scope })
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::Gone,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => ErrorKind::Transient,
        status if status.is_client_error() => ErrorKind::Rejected,
        _ => ErrorKind::Transient,
    };
    Error::new(kind, text)
}

/// Until when the service of a response takes no more; none if that is not what it says.
pub(super) fn rate_limited_until(response: &Response, now: Timestamp) -> Option<Timestamp> {
    limited_until(response.status, &response.headers, &message(&response.body), now)
}

/// Until when a service takes no more, by its headers: `Retry-After` (RFC 9110 10.2.3), and the
/// `…RateLimit-Remaining` and `-Reset` of GitHub and others.
pub(super) fn limited_until(status: StatusCode, headers: &HeaderMap, said: &str, now: Timestamp) -> Option<Timestamp> {
    let too_many = status == StatusCode::TOO_MANY_REQUESTS;
    if !too_many && !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::FORBIDDEN) {
        return None;
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let first = |names: [&str; 2]| names.into_iter().find_map(header);
    let exhausted = status != StatusCode::SERVICE_UNAVAILABLE
        && first(["x-ratelimit-remaining", "ratelimit-remaining"]) == Some("0");
    // GitHub answers 403 where others answer 429.
    let secondary = status == StatusCode::FORBIDDEN && said.to_ascii_lowercase().contains("rate limit");

    let until = if let Some(after) = header("retry-after") {
        seconds_from(now, after).or_else(|| Some(jiff::fmt::rfc2822::parse(after).ok()?.timestamp()))
    } else if too_many || exhausted {
        first(["x-ratelimit-reset", "ratelimit-reset"]).and_then(|reset| reset_at(now, reset))
    } else if secondary {
        None
    } else {
        return None;
    };
    Some(until.unwrap_or(now + UNSAID_WAIT).clamp(now + SHORTEST_WAIT, now + LONGEST_WAIT))
}

/// That many seconds from now; services also write fractions.
fn seconds_from(now: Timestamp, text: &str) -> Option<Timestamp> {
    let seconds = text.parse::<f64>().ok()?.ceil().clamp(0.0, LONGEST_WAIT.as_secs_f64());
    now.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

/// The time of a `…RateLimit-Reset`. Small numbers are seconds from now, large ones from the epoch, the largest milliseconds.
pub(super) fn reset_at(now: Timestamp, text: &str) -> Option<Timestamp> {
    const FROM_THE_EPOCH: f64 = 1e8;
    const IN_MILLISECONDS: f64 = 1e11;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    if number < FROM_THE_EPOCH {
        return seconds_from(now, text);
    }
    let seconds = if number < IN_MILLISECONDS { number } else { number / 1000.0 };
    Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(seconds.ceil()).ok()?).ok()
}

/// The scope that is missing, where that is why: by RFC 6750 3.1, or as GitHub says which scopes
/// would do and which there are.
fn missing_scope(headers: &HeaderMap) -> Option<Option<String>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(challenge) = text("www-authenticate").filter(|challenge| challenge.contains("insufficient_scope")) {
        let scope = challenge
            .split_once("scope=\"")
            .and_then(|(_, scope)| scope.split_once('"'))
            .map(|(scope, _)| scope.to_owned());
        return Some(scope.filter(|scope| !scope.is_empty()));
    }
    let list = |name: &str| {
        let scopes = text(name)?.split(',').map(|scope| scope.trim().to_owned());
        Some(scopes.filter(|scope| !scope.is_empty()).collect::<Vec<_>>())
    };
    let (accepted, granted) = (list("x-accepted-oauth-scopes")?, list("x-oauth-scopes")?);
    let lacks = !accepted.is_empty() && !accepted.iter().any(|scope| granted.contains(scope));
    lacks.then(|| accepted.into_iter().next())
}

/// Larger bodies are not searched for a message.
const LARGEST_MESSAGE: usize = 64 << 10;

/// What the service says in a JSON body, in the fields that most services use.
fn message(body: &[u8]) -> String {
    const FIELDS: [&str; 8] = [
        "/message",
        "/error/message",
        "/error_description",
        "/errors/0/message",
        "/errors/0/detail",
        "/errorMessages/0",
        "/detail",
        "/error",
    ];
    if body.len() > LARGEST_MESSAGE {
        return String::new();
    }
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::new();
    };
    let said = FIELDS.iter().find_map(|pointer| body.pointer(pointer)?.as_str().filter(|said| !said.is_empty()));
    said.map(|said| format!(": {}", one_line(said))).unwrap_or_default()
}

/// The beginning of what a service says, on one line, as it goes into logs.
pub(super) fn one_line(said: &str) -> String {
    said.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
