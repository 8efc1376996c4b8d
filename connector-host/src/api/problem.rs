//! What the API answers when something is wrong (RFC 9457).

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use connector_core::engine::EngineError;
use connector_core::id::ParseIdError;
use connector_core::runtime::ActionError;
use connector_core::{Error, ErrorKind};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::keys::ApiKeyError;
use crate::oauth::{FlowError, OAuthError};

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProblemDocument {
    /// Names the kind of problem, for programs to tell them apart.
    #[serde(rename = "type")]
    kind: String,
    /// The kind, for people.
    title: String,
    /// The status of the response.
    status: u16,
    /// What is wrong, and the way out.
    detail: String,
    /// What is wrong with each field of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    errors: BTreeMap<String, String>,
}

/// What is wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    /// What is wrong with each field of the request.
    errors: BTreeMap<String, String>,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u64>,
}

/// Longest text about one problem, in characters.
const LONGEST_DETAIL: usize = 2_000;

/// Longest name of a field, and longest word of a text, in characters: longer ones were sent by the caller.
const LONGEST_NAME: usize = 200;

/// Largest number of fields that a problem document has something to say about.
const MOST_FIELDS: usize = 100;

/// What a handler answers.
pub(crate) type Answer<T> = Result<T, Problem>;

impl Problem {
    /// `kind` is a word that programs can tell problems by.
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), errors: BTreeMap::new(), retry_after: None }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The body has more than this many bytes.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body has more than {limit} bytes"))
    }

    /// The file has more than this many bytes.
    pub(crate) fn file_too_large(limit: u64) -> Self {
        let detail = format!("the file has more than {limit} bytes, which is as much as is taken (`limits.max_file`)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// The request is well formed, and asks for something wrong.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// The caller has as many of something as the host takes from one caller; there may be room after some seconds.
    pub(crate) fn too_many(detail: impl Into<String>, retry_after: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// A field of the request is wrong.
    pub(crate) fn field(field: impl Into<String>, mistake: impl Into<String>) -> Self {
        let (field, mistake) = (field.into(), mistake.into());
        let mut problem = Self::invalid(format!("`{field}`: {mistake}"));
        problem.errors.insert(field, mistake);
        problem
    }
}

impl From<ParseIdError> for Problem {
    fn from(error: ParseIdError) -> Self {
        Self::not_found(error.to_string())
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        tracing::error!("the store failed: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-failed", error.to_string())
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotFound(detail) => Self::not_found(detail),
            ActionError::Invalid(detail) => Self::invalid(detail),
            ActionError::Options(errors) => {
                let mut problem = Self::invalid(format!("the options are wrong: {errors}"));
                problem.errors =
                    errors.0.into_iter().map(|(field, mistake)| (format!("options.{field}"), mistake)).collect();
                problem
            }
            ActionError::NotAllowed(detail) => Self::forbidden(detail),
            ActionError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            ActionError::TooLarge { limit } => Self::file_too_large(limit),
            ActionError::Connector(error) => error.0.into(),
            ActionError::Engine(error) => error.into(),
            other => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", other.to_string()),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, kind) = match error.kind() {
            ErrorKind::NeedsReauth => (StatusCode::UNPROCESSABLE_ENTITY, "needs-reauth"),
            ErrorKind::ScopeMissing { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "scope-missing"),
            ErrorKind::Rejected => (StatusCode::UNPROCESSABLE_ENTITY, "rejected"),
            ErrorKind::Gone => (StatusCode::NOT_FOUND, "gone"),
            ErrorKind::RateLimited { .. } => (StatusCode::SERVICE_UNAVAILABLE, "rate-limited"),
            ErrorKind::Transient | ErrorKind::CursorExpired => (StatusCode::BAD_GATEWAY, "service-failed"),
            ErrorKind::Bug => (StatusCode::INTERNAL_SERVER_ERROR, "connector-failed"),
        };
        let mut problem = Self::new(status, kind, error.to_string());
        if let ErrorKind::RateLimited { until } = error.kind() {
            let seconds = until.duration_since(Timestamp::now()).as_secs().max(1);
            problem.retry_after = Some(seconds.unsigned_abs());
        }
        problem
    }
}

impl From<OAuthError> for Problem {
    fn from(error: OAuthError) -> Self {
        let detail = error.to_string();
        match error {
            OAuthError::NotConfigured(_) => Self::new(StatusCode::CONFLICT, "provider-not-configured", detail),
            OAuthError::Refused { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "authorization-refused", detail),
            OAuthError::Lost { .. } => Self::new(StatusCode::BAD_GATEWAY, "provider-failed", detail),
        }
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Unasked(detail) => Self::new(StatusCode::BAD_REQUEST, "authorization-unknown", detail),
            FlowError::OtherBrowser => {
                Self::new(StatusCode::FORBIDDEN, "authorization-other-browser", FlowError::OtherBrowser.to_string())
            }
            FlowError::NotConfirmed => {
                Self::new(StatusCode::FORBIDDEN, "authorization-not-confirmed", FlowError::NotConfirmed.to_string())
            }
            FlowError::Elsewhere(detail) => Self::field("return_to", detail),
            FlowError::OAuth(error) => error.into(),
            FlowError::Action(error) => error.into(),
            FlowError::Engine(error) => error.into(),
        }
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        let detail = error.to_string();
        match error {
            ApiKeyError::Exists(_) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            ApiKeyError::Unknown(_) => Self::not_found(detail),
            ApiKeyError::BadName => Self::field("name", detail),
            ApiKeyError::Engine(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // What a caller has sent is in these texts, and answers are kept for the request to be sent again.
        let errors = self.errors.iter().take(MOST_FIELDS);
        let errors = errors.map(|(field, mistake)| (shortened(field, LONGEST_NAME), bounded(mistake)));
        let document = ProblemDocument {
            kind: format!("urn:connectors:problem:{}", self.kind),
            title: self.kind.replace('-', " "),
            status: self.status.as_u16(),
            detail: bounded(&self.detail),
            errors: errors.collect(),
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A text whose length has a bound, whatever of a request it repeats: overlong words are cut first, so that what
/// stands behind them, which is the way out, is kept.
fn bounded(text: &str) -> String {
    if text.len() <= LONGEST_NAME {
        return text.to_owned();
    }
    let words: Vec<_> = text.split(' ').map(|word| shortened(word, LONGEST_NAME)).collect();
    shortened(&words.join(" "), LONGEST_DETAIL)
}

/// The beginning of a text, and its end if something between them is left out.
fn shortened(text: &str, longest: usize) -> String {
    let characters = text.chars().count();
    if characters <= longest {
        return text.to_owned();
    }
    let (start, end) = (longest * 3 / 4, longest / 4);
    let head: String = text.chars().take(start).collect();
    let tail: String = text.chars().skip(characters - end).collect();
    format!("{head}…{tail}")
}
