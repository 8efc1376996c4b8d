//! Outbound HTTP: what a connector asks for, and what the host's client must do (R10.1, R10.2).

mod body;
mod client;
mod error;
mod graphql;
mod kept;
mod link;
mod quota;
mod rate;
mod reason;
mod retry_after;
mod url_pattern;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use url::Url;

pub use body::{Body, Form};
pub use client::{Network, ProviderApi, RequestBuilder};
pub(crate) use client::{Outbound, names_a_credential};
pub use error::{Failure, FailureFn, TransportError};
pub(crate) use kept::{Answers, KeptAnswers, KeptFor, MAX_PATIENCE, PutOff};
pub use quota::{Methods, QuotaDeclaration, RequestPattern};
pub(crate) use rate::{Admission, Asking, Counted, LONG_WAIT, RateLimiter};
pub use url_pattern::{UrlPattern, UrlPatternError, UrlRules};

use crate::clock::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Download;
use crate::secret::Secret;

/// A request, complete.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers; those with secrets are marked sensitive.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Until the whole response is there.
    pub timeout: Duration,
    /// Largest body of a response that is read, in bytes.
    pub max_response: usize,
}

impl Request {
    /// The time for a request that sets none.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// The time for a request that sends a file, to be [set](RequestBuilder::timeout): nearly all that a dispatch has.
    pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(50);

    /// The largest body of a response, in bytes, for a request that sets none.
    pub const MAX_RESPONSE: usize = 32 << 20;

    /// The largest body of a response that is streamed, in bytes, for a request that sets none.
    pub const MAX_STREAMED: usize = 1 << 30;

    /// A request without headers and body, with the usual limits.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::default(),
            timeout: Self::TIMEOUT,
            max_response: Self::MAX_RESPONSE,
        }
    }
}

/// A response, with its whole body.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, unpacked: a service may send it compressed.
    pub body: Bytes,
    /// Method of the request that it answers, after redirects.
    pub method: Method,
    /// Where it came from, after redirects.
    pub url: Url,
    pub(crate) context: ResponseContext,
}

/// What is known of a response besides what the service sent: enough to say what it means.
#[derive(Debug, Clone)]
pub(crate) struct ResponseContext {
    /// When it came, by the host's clock.
    pub(crate) received_at: Timestamp,
    /// What the connector says of the errors of its service; `None` means that the usual rules are enough.
    pub(crate) errors: Option<FailureFn>,
    /// Secrets of the request, which the service may repeat.
    pub(crate) hidden: Vec<Secret>,
}

impl Default for ResponseContext {
    fn default() -> Self {
        Self { received_at: Timestamp::UNIX_EPOCH, errors: None, hidden: Vec::new() }
    }
}

impl Response {
    /// The response to a request; made by clients.
    pub fn new(request: &Request, status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        let (method, url) = (request.method.clone(), request.url.clone());
        Self { status, headers, body, method, url, context: ResponseContext::default() }
    }

    /// The error that the response is, with what to do about it (R6.6) and the reason that the service gives; `None`
    /// for a success. What [`send`](RequestBuilder::send) returns as an error, for those who take every status for an
    /// answer with [`send_raw`](RequestBuilder::send_raw).
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # async fn vote<C: connector_core::component::Component>(cx: &Context<C>) -> Result<()> {
    /// let response = cx.provider().put("/votes/1").send_raw().await?;
    /// match response.error() {
    ///     // The vote was there already.
    ///     Some(_) if response.status == 409 => Ok(()),
    ///     Some(error) => Err(error),
    ///     None => Ok(()),
    /// }
    /// # }
    /// ```
    pub fn error(&self) -> Option<Error> {
        error::classify(self)
    }

    /// `GET api.example.com:8443/items`: what was asked, as it may stand in a log.
    pub(crate) fn request_line(&self) -> String {
        format!("{} {}", self.method, host_and_path(&self.url))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON. What is no JSON of that type is an error that says where it differs.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // A proxy's or a maintenance page in place of the service passes; another shape does not.
            let packed = self.header("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
            if let Some(encoding) = packed {
                let text = format!("{} answered in the encoding `{encoding}`, which is not known", self.request_line());
                return Error::new(ErrorKind::Bug, reason::hide(&text, &self.context.hidden));
            }
            let start = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
            let (kind, what) = match (start, error.classify()) {
                (Some(b'<'), _) => (ErrorKind::Transient, "HTML in place of JSON"),
                (None, _) => (ErrorKind::Transient, "an empty body in place of JSON"),
                (_, Category::Eof) => (ErrorKind::Transient, "JSON that is cut off"),
                (_, Category::Syntax | Category::Io) => (ErrorKind::Transient, "a text that is no JSON"),
                (_, Category::Data) => (ErrorKind::Bug, "JSON of another shape than expected"),
            };
            let asked = reason::hide(&self.request_line(), &self.context.hidden);
            Error::new(kind, format!("{asked} answered {what}")).with_source(error)
        })
    }

    /// The targets of the `Link` header by relation (RFC 8288), as services page with it: whole
    /// URLs, the first for each relation.
    pub fn links(&self) -> HashMap<String, String> {
        let mut links = HashMap::new();
        for value in self.headers.get_all(http::header::LINK) {
            for (target, relations) in link::parse(&String::from_utf8_lossy(value.as_bytes())) {
                let Ok(target) = self.url.join(&target) else {
                    continue;
                };
                for relation in relations.split_ascii_whitespace() {
                    links.entry(relation.to_ascii_lowercase()).or_insert_with(|| String::from(target.clone()));
                }
            }
        }
        links
    }

    /// The page after this one, by the `Link` header.
    pub fn next_page(&self) -> Option<String> {
        self.links().remove("next")
    }
}

/// A response whose body is read as it is asked for.
#[non_exhaustive]
pub struct StreamedResponse {
    /// All but the body, which is empty here.
    pub head: Response,
    /// The body.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl StreamedResponse {
    /// A response; made by clients. The body of `head` is not looked at.
    pub fn new(head: Response, body: BoxStream<'static, Result<Bytes>>) -> Self {
        Self { head: Response { body: Bytes::new(), ..head }, body }
    }

    /// The answer to a download, with a name; and with the media type that the service says.
    pub fn into_download(self, name: impl Into<String>) -> Download {
        let media_type = self.head.header("content-type").unwrap_or("application/octet-stream").to_owned();
        Download::Body { name: name.into(), media_type, body: self.body }
    }
}

impl From<Response> for StreamedResponse {
    fn from(response: Response) -> Self {
        let body = response.body.clone();
        Self::new(response, stream::once(std::future::ready(Ok(body))).boxed())
    }
}

impl std::fmt::Debug for StreamedResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamedResponse").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Sends requests. The host has one that uses the network; a test has one that it answers.
pub trait NetworkPort: Send + Sync + 'static {
    /// Sends a request and follows redirects, as long as `rules` allow each of the URLs, and reads
    /// the body up to the request's limit.
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>>;

    /// The same, and comes back before the body is read. Its time is then that of each piece.
    fn open<'a>(
        &'a self,
        request: Request,
        rules: &'a UrlRules,
    ) -> BoxFuture<'a, Result<StreamedResponse, TransportError>> {
        Box::pin(async move { self.send(request, rules).await.map(StreamedResponse::from) })
    }
}

/// A URL as it may stand in a log: host, port where it is not the usual one, and path, without the query, which can hold
/// a secret.
pub fn host_and_path(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests;
