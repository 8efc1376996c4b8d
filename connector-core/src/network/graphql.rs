//! GraphQL over HTTP: what an answer's errors mean, whatever its status.

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::error::{classify, said_until};
use super::{Response, reason};
use crate::error::{Error, ErrorKind, Result};

/// An answer (GraphQL specification, October 2021, 7.1).
#[derive(Default, Deserialize)]
struct Answer {
    /// There is data, if only null: the request was executed.
    #[serde(default, rename = "data", deserialize_with = "is_there")]
    executed: bool,
    #[serde(default)]
    errors: Vec<Problem>,
}

fn is_there<'de, D: Deserializer<'de>>(data: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(data).map(|_| true)
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
    /// GitHub's place for the code.
    #[serde(default, rename = "type")]
    code: Option<String>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Extensions {
    code: Option<String>,
    user_presentable_message: Option<String>,
}

/// The data of an answer, or its first error as the error that it is (R6.6). Data beside errors is not
/// used: what is missing from it would look deleted.
pub(super) fn data<T: DeserializeOwned>(response: &Response) -> Result<T> {
    let answer = serde_json::from_slice::<Answer>(&response.body).unwrap_or_default();
    if let Some(problem) = answer.errors.first() {
        return Err(problem.error(response, answer.executed));
    }
    // A gateway's page in place of the service.
    if let Some(error) = classify(response) {
        return Err(error);
    }
    response.json().map(|Data { data }| data)
}

/// Until when the service takes no more, if it says so with a 400, as Linear does: where others answer 429, the answer
/// says it in GraphQL's way.
pub(super) fn refused_until(response: &Response) -> Option<Timestamp> {
    let answer: Answer = serde_json::from_slice(&response.body).ok()?;
    match answer.errors.first()?.kind(response, answer.executed) {
        ErrorKind::RateLimited { until } => Some(until),
        _ => None,
    }
}

impl Problem {
    fn error(&self, response: &Response, executed: bool) -> Error {
        let said = self.extensions.user_presentable_message.as_ref().unwrap_or(&self.message);
        let hidden = &response.context.hidden;
        let asked = reason::hide(&response.request_line(), hidden);
        Error::new(self.kind(response, executed), format!("{asked} answered: {}", reason::one_line(said, hidden)))
    }

    /// What it means, by the codes of Linear (`AUTHENTICATION_ERROR`), GitHub (`INSUFFICIENT_SCOPES`), Apollo
    /// (`GRAPHQL_VALIDATION_FAILED`) and others.
    fn kind(&self, response: &Response, executed: bool) -> ErrorKind {
        let code = self.extensions.code.as_ref().or(self.code.as_ref()).map(|code| code.to_ascii_uppercase());
        let message = self.message.to_ascii_lowercase();
        let has = |part: &str| code.as_ref().is_some_and(|code| code.contains(part));
        if has("RATELIMIT") || has("RATE_LIMIT") || response.status == StatusCode::TOO_MANY_REQUESTS {
            return ErrorKind::RateLimited { until: until(&response.headers, response.context.received_at) };
        }
        if response.status == StatusCode::UNAUTHORIZED || has("AUTHENTICATION") || has("UNAUTHENTICATED") {
            ErrorKind::NeedsReauth
        } else if has("SCOPE") || message.contains("scope") {
            ErrorKind::ScopeMissing { scope: None }
        } else if has("NOT_FOUND") || message.contains("not found") {
            ErrorKind::Gone
        } else if has("INTERNAL") || has("TIMEOUT") || response.status.is_server_error() {
            ErrorKind::Transient
        } else if has("GRAPHQL") || (code.is_none() && !executed) {
            // It was refused before it was executed: it does not fit the schema.
            ErrorKind::Bug
        } else {
            ErrorKind::Rejected
        }
    }
}

/// Until when a service takes no more: as of any service, or by the budget that is used up. Linear has one for
/// requests and one for the complexity of queries: <https://linear.app/developers/rate-limiting>.
fn until(headers: &HeaderMap, now: Timestamp) -> Timestamp {
    let mut headers = headers.clone();
    for budget in ["requests", "endpoint-requests", "complexity"] {
        let used_up = headers.get(format!("x-ratelimit-{budget}-remaining")).is_some_and(|left| left == "0");
        if let Some(reset) = headers.get(format!("x-ratelimit-{budget}-reset")).filter(|_| used_up).cloned() {
            headers.insert("x-ratelimit-reset", reset);
        }
    }
    said_until(&headers, now)
}

#[cfg(test)]
mod tests;
