//! What handlers take from a request, with problem documents for what is wrong in it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::problem::Problem;

/// Things in a page if the request does not say.
const DEFAULT_LIMIT: usize = 50;

/// Things in a page at most.
const MAX_LIMIT: usize = 1_000;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(super::MAX_BODY),
            status => Problem::new(status, "malformed", rejection.body_text()),
        })?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
        // Where fields have names, a list of their values would be taken for them.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let detail = "the body is an array: send an object, with the name of each field";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail));
        }
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = error.path().to_string();
            let mistake = error.into_inner();
            if mistake.is_data() && field != "." {
                return Problem::field(field, plain(&mistake));
            }
            let status = if mistake.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
            Problem::new(status, "malformed", format!("the body is not what is expected: {mistake}"))
        })?;
        json.end().map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is not JSON: {error}"))
        })?;
        Ok(Self(parsed))
    }
}

/// Why a body was not read whole: it is too large, or it did not come to its end.
pub(super) fn unread(error: axum::Error) -> Problem {
    let mut cause = Some(&error as &dyn std::error::Error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Problem::too_large(super::MAX_BODY);
        }
        cause = error.source();
    }
    let detail = format!("the body cannot be read: {error}. Send the request again, whole");
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

/// The mistake without its position, which says nothing to someone who gave no text.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(mistake, _)| mistake.to_owned())
}

/// The parameters after the `?`.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(parsed)) => Ok(Self(parsed)),
            Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST, "malformed", rejection.body_text())),
        }
    }
}

/// The parameters in the path. What cannot be one is not there.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parsed)) => Ok(Self(parsed)),
            Err(rejection) => Err(Problem::not_found(rejection.body_text())),
        }
    }
}

/// What was made.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// It is going to be done.
pub(crate) struct Accepted;

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

/// The `{id}` of a path.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ById<I> {
    pub(crate) id: I,
}

/// A page of a list. `next` is what `after` is to be for the page that follows; none if this is the last.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// A list that fits into one page.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// The first `limit` of these, of which there is one more if there is another page.
    pub(crate) fn of(mut items: Vec<T>, limit: usize, position: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(position);
        Self { items, next }
    }
}

/// How many a page has.
pub(crate) fn limit(wanted: Option<usize>) -> Result<usize, Problem> {
    match wanted {
        None => Ok(DEFAULT_LIMIT),
        Some(wanted @ 1..=MAX_LIMIT) => Ok(wanted),
        Some(_) => Err(Problem::field("limit", format!("a page has 1 to {MAX_LIMIT}"))),
    }
}

/// A value that is there, though it may be null.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
