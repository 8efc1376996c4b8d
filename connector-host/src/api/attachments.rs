use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use connector_core::id::{NoteId, UserId};
use connector_core::model::Download;
use connector_core::network::TransportError;
use connector_core::runtime::{ActionError, ConnectorError};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::caller::Caller;
use super::extract::{Path, Query};
use super::openapi::{answers, describes, op};
use super::problem::{Answer, Problem};
use crate::host::Host;

pub(super) fn routes() -> ApiRouter<Host> {
    let documented = op("getAttachment", "The bytes of an attachment, or where they are", &[410, 500, 502]);
    ApiRouter::new().api_route(
        "/attachments/{note}/{index}",
        get_with(download, |operation| {
            let operation =
                answers(documented(operation), 302, &[], "They are there; the URL carries its own permission.");
            let operation = describes(
                operation,
                502,
                "The service failed; or, of the type `attachment-too-large`, has more than is taken from it.",
            );
            answers(
                operation,
                200,
                &["application/octet-stream"],
                "The bytes, as the media type that the service says.",
            )
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
struct AttachmentPath {
    note: NoteId,
    /// Its place in the note, from 0.
    index: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct By {
    /// Who opens it.
    user: UserId,
}

/// An attachment that is at the service, by its place in the note: where it is, or its bytes.
async fn download(
    State(host): State<Host>,
    caller: Caller,
    Path(AttachmentPath { note, index }): Path<AttachmentPath>,
    Query(by): Query<By>,
) -> Answer<Response> {
    caller.acts_as(&by.user)?;
    caller.note(&host, note).await?;
    let found = match host.runtime().download(note, index, &by.user).await {
        Ok(found) => found,
        Err(error) => return Err(unopened(&host, note, error).await?),
    };
    match found {
        Download::Redirect(url) => redirect(&url),
        Download::Body { name, media_type, body } => {
            let unknown = HeaderValue::from_static("application/octet-stream");
            let media_type = HeaderValue::from_str(&media_type).unwrap_or(unknown);
            let mut response = Body::from_stream(body_errors(body)).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, media_type);
            // What a service holds is not trusted to be shown where the API is.
            headers.insert(header::CONTENT_DISPOSITION, disposition(&name));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            Ok(response)
        }
        _ => Err(Problem::new(
            StatusCode::GONE,
            "gone",
            format!("attachment {index} of {note} is not to be had any more"),
        )),
    }
}

/// Why an attachment was not opened. One that is too large here can be opened at the service.
async fn unopened(host: &Host, note: NoteId, error: ActionError) -> Answer<Problem> {
    let limit = match &error {
        ActionError::Connector(ConnectorError(error)) => match error.cause::<TransportError>() {
            Some(TransportError::TooLarge { limit, .. }) => Some(*limit),
            _ => None,
        },
        _ => None,
    };
    let Some(limit) = limit else { return Ok(error.into()) };
    let engine = host.engine();
    let link = match engine.note(note).await? {
        Some(row) => engine.link(row.note.link).await?,
        None => None,
    };
    let place = link.and_then(|row| row.link.url).map(|url| format!(", {url}")).unwrap_or_default();
    let detail = format!(
        "the attachment has more than {limit} bytes, which is as much as is taken from the service: open it there{place}"
    );
    Ok(Problem::new(StatusCode::BAD_GATEWAY, "attachment-too-large", detail))
}

/// The body's errors as ones that a response can end with.
fn body_errors(
    body: futures_util::stream::BoxStream<'static, connector_core::Result<bytes::Bytes>>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> {
    futures_util::StreamExt::map(body, |chunk| chunk.map_err(|error| std::io::Error::other(error.to_string())))
}

fn redirect(url: &str) -> Answer<Response> {
    let target = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let target = target.and_then(|url| HeaderValue::from_str(url.as_str()).ok());
    match target {
        Some(target) => Ok((StatusCode::FOUND, [(header::LOCATION, target)]).into_response()),
        None => Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            "service-failed",
            "the connector gave no usable URL for the attachment",
        )),
    }
}

/// To be saved under this name (RFC 6266; RFC 8187 for its characters).
fn disposition(name: &str) -> HeaderValue {
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}
