//! What it means that a request failed: no answer at all, or an answer that is no success (R6.6).

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::retry_after::{Headers, LONGEST_WAIT, bounded};
use super::{Response, graphql, reason};
use crate::error::{Error, ErrorKind};
use crate::named_function::named_function;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connector does not declare the URL, or a redirect led to one that it does not.
    #[error("`{url}` is not among the URLs that the connector declares: add it to `urls`")]
    NotDeclared {
        /// Host, port and path.
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
        /// Host, port and path.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The body is larger than the request's limit.
    #[error("`{url}` answered with more than {limit} bytes")]
    TooLarge {
        /// Host, port and path.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// Redirects without end.
    #[error("`{url}` redirects too often")]
    TooManyRedirects {
        /// Host, port and path of the first.
        url: String,
    },
    /// There is no connection, so nothing was sent.
    #[error("`{url}` cannot be reached: {reason}")]
    NoConnection {
        /// Host, port and path.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The connection failed, or ended before the response was whole.
    #[error("`{url}` was connected, and the connection failed: {reason}")]
    Connection {
        /// Host, port and path.
        url: String,
        /// What the network said.
        reason: String,
    },
}

impl TransportError {
    /// The error of the hook or callback whose request it was. Not a `From`: `?` takes any other error as transient.
    pub fn into_error(self, method: &Method) -> Error {
        let kind = match &self {
            Self::NotDeclared { .. } | Self::PrivateAddress { .. } | Self::TooLarge { .. } => ErrorKind::Bug,
            Self::NoSuchHost { .. }
            | Self::Timeout { .. }
            | Self::TooManyRedirects { .. }
            | Self::NoConnection { .. }
            | Self::Connection { .. } => ErrorKind::Transient,
        };
        Error::new(kind, format!("{method} {self}")).with_source(self)
    }
}

/// What an answer means, where a connector knows it better than the usual rules: from the function of
/// `#[connector(errors = …)]`.
///
/// ```
/// # use connector_core::prelude::*;
/// # use connector_core::network::{Failure, Response};
/// /// Acme answers 200 with `{"ok": false, "code": "…", "text": "…"}` when something is wrong.
/// fn acme_errors(response: &Response) -> Option<Failure> {
///     #[derive(Deserialize)]
///     struct Answer {
///         ok: bool,
///         code: String,
///         text: String,
///     }
///     let answer: Answer = response.json().ok().filter(|answer: &Answer| !answer.ok)?;
///     let failure = match answer.code.as_str() {
///         "slow_down" => Failure::rate_limited(),
///         "no_such_item" => Failure::new(ErrorKind::Gone),
///         _ => Failure::new(ErrorKind::Rejected),
///     };
///     Some(failure.because(answer.text))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    kind: Option<FailureKind>,
    reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FailureKind {
    Is(ErrorKind),
    RateLimited,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind: Some(FailureKind::Is(kind)), reason: None }
    }

    /// The service takes no more requests for now: until when, its headers say.
    pub fn rate_limited() -> Self {
        Self { kind: Some(FailureKind::RateLimited), reason: None }
    }

    /// A failure whose kind follows from the status, by the usual rules. Of a success it is
    /// [`ErrorKind::Rejected`].
    pub fn usual() -> Self {
        Self::default()
    }

    /// With the reason that people are shown, in place of the one that is found in the usual places of the body.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into()).filter(|reason| !reason.trim().is_empty());
        self
    }
}

named_function!(
    /// The function that says what the answers of a connector's service mean, known by its name: for an answer that
    /// is no failure, `None`; else the [`Failure`]. For an answer of 400 and more, `None` leaves it to the usual rules.
    FailureFn(fn(&Response) -> Option<Failure>)
);

/// The error that an answer is; `None` if it is a success (R6.6).
pub(super) fn classify(response: &Response) -> Option<Error> {
    let declared = response.context.errors.and_then(|errors| (errors.run)(response));
    if declared.is_none() && !is_failure(response.status) {
        return None;
    }
    let Failure { kind, reason } = declared.unwrap_or_default();
    let now = response.context.received_at;
    let kind = match kind {
        Some(FailureKind::Is(kind)) => kind,
        Some(FailureKind::RateLimited) => ErrorKind::RateLimited { until: said_until(&response.headers, now) },
        None => usual_kind(response, now),
    };
    let hidden = &response.context.hidden;
    let reason = match reason {
        Some(reason) => Some(reason::one_line(&reason, hidden)),
        None => reason::of(response),
    };
    let asked = reason::hide(&response.request_line(), hidden);
    let said = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(Error::new(kind, format!("{asked} answered {}{said}", response.status)))
}

/// Whether a status says that the request failed.
pub(super) fn is_failure(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Until when the service takes no more requests of the kind that this one was, where that is what its answer says.
/// A service that is down (503) is no quota.
pub(super) fn refused_until(response: &Response) -> Option<Timestamp> {
    if response.status == StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    if response.status == StatusCode::BAD_REQUEST && response.context.errors.is_none() {
        return graphql::refused_until(response);
    }
    match classify(response)?.kind() {
        ErrorKind::RateLimited { until } => Some(*until),
        _ => None,
    }
}

fn usual_kind(response: &Response, now: Timestamp) -> ErrorKind {
    if let Some(until) = limited_until(response, now) {
        return ErrorKind::RateLimited { until };
    }
    match response.status {
        StatusCode::UNAUTHORIZED => ErrorKind::NeedsReauth,
        StatusCode::FORBIDDEN => {
            missing_scope(&response.headers).map_or(ErrorKind::Rejected, |scope| ErrorKind::ScopeMissing { scope })
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::Gone,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => ErrorKind::Transient,
        status if status.is_server_error() => ErrorKind::Transient,
        _ => ErrorKind::Rejected,
    }
}

/// Until when a service takes no more, by the status, the headers and the body of an answer.
fn limited_until(response: &Response, now: Timestamp) -> Option<Timestamp> {
    let headers = Headers::new(&response.headers, now);
    let said = || Some(said_until(&response.headers, now));
    match response.status {
        StatusCode::TOO_MANY_REQUESTS => said(),
        StatusCode::SERVICE_UNAVAILABLE if headers.has_retry_after() => said(),
        // GitHub and Google answer 403 where others answer 429.
        StatusCode::FORBIDDEN => match quota_reason(response) {
            Some(Used::Day) => Some(headers.retry_after().map_or(now + LONGEST_WAIT, |at| bounded(Some(at), now))),
            Some(Used::Window) => said(),
            None if headers.has_retry_after() || headers.is_exhausted() => said(),
            None => None,
        },
        _ => None,
    }
}

/// Until when the headers say that no more is taken. Without a word of them it is a minute.
pub(super) fn said_until(headers: &HeaderMap, now: Timestamp) -> Timestamp {
    let headers = Headers::new(headers, now);
    let until = if headers.has_retry_after() { headers.retry_after() } else { headers.resets() };
    bounded(until, now)
}

/// What was used up.
enum Used {
    /// What may be asked for in seconds or minutes.
    Window,
    /// What may be asked for in a day.
    Day,
}

/// Whether the body of a 403 says that a quota was used up: Google's `errors[].reason` and `details[].reason`
/// (<https://developers.google.com/workspace/calendar/api/guides/errors>), the codes of others, and GitHub's message.
fn quota_reason(response: &Response) -> Option<Used> {
    let said = reason::of(response).unwrap_or_default().to_ascii_lowercase();
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&body);
    let listed = ["errors", "details"].iter().filter_map(|list| error.get(*list)?.as_array()).flatten();
    let reasons = listed.filter_map(|part| part.get("reason"));
    let codes = ["reason", "code", "status", "error"].iter().filter_map(|name| error.get(*name));
    let words = reasons
        .chain(codes)
        .chain([error])
        .filter_map(Value::as_str)
        .map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase());
    let mut used = None;
    for word in words {
        match word.as_str() {
            "dailylimitexceeded" | "dailylimitexceededunreg" => return Some(Used::Day),
            "ratelimitexceeded"
            | "userratelimitexceeded"
            | "quotaexceeded"
            | "ratelimited"
            | "ratelimit"
            | "resourceexhausted"
            | "toomanyrequests"
            | "limitexceeded"
            | "throttled"
            | "throttlingexception"
            | "requestlimitexceeded" => used = Some(Used::Window),
            _ => {}
        }
    }
    used.or_else(|| said.contains("rate limit").then_some(Used::Window))
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

#[cfg(test)]
mod tests;
