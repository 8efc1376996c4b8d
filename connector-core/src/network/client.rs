use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::{TransportError, is_failure, refused_until};
use super::quota::reads;
use super::{
    Body, FailureFn, Form, NetworkPort, Request, Response, ResponseContext, StreamedResponse, UrlRules, graphql,
    host_and_path, reason,
};
use crate::clock::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How long to wait before each repetition of a request that is safe to repeat.
const BACKOFF: [SignedDuration; 2] = [SignedDuration::from_millis(250), SignedDuration::from_secs(1)];

/// Refusals of a quota that one request waits for in place.
const MAX_REFUSALS: u32 = 3;

/// As much of the body of an error is read, in bytes, where the body is streamed.
const MAX_FAILURE: usize = 64 << 10;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("connector/", env!("CARGO_PKG_VERSION")));

/// What a dispatch gives to its requests.
pub(crate) trait Outbound: Send + Sync {
    /// Counts a request, each repetition too, against the limit of the dispatch (R6.7), and
    /// refuses where requests are not allowed. Comes back when the service takes it (L11).
    fn start<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<()>>;

    /// Learns from a response how many more the service takes: none until `refused`, if that is there.
    fn answered(&self, response: &Response, refused: Option<Timestamp>);

    /// Whether a request that the service has refused until then is worth waiting for in place: it is not the first of
    /// its dispatch, or a user waits for it, and the wait is not long.
    fn waits_for(&self, refused: Timestamp) -> bool;

    /// The answer to a request that an earlier attempt of the dispatch got: before a quota put it off (L36), or before
    /// it failed behind a request that may not be repeated (L40).
    fn replay(&self, request: &Request) -> Option<Response>;

    /// Notes an answer to a request that may be repeated: it is not sent again when a quota puts the dispatch off.
    fn note(&self, request: &Request, response: &Response);

    /// Notes that a request that may not be repeated has succeeded: later attempts of the dispatch do not send it again.
    /// `None` means that its answer is streamed, and cannot be given to them.
    fn note_write(&self, request: &Request, response: Option<&Response>);

    /// Notes that the last request that may not be repeated has not succeeded after all, as its answer says.
    fn not_written(&self);

    /// What the connector says of the errors of its service.
    fn errors(&self) -> Option<FailureFn>;

    /// What sends.
    fn port(&self) -> &dyn NetworkPort;

    /// Where to.
    fn rules(&self) -> &UrlRules;

    /// Now.
    fn now(&self) -> Timestamp;

    /// Comes back when `now()` has reached that time.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;

    /// The account's token, if it has one.
    fn token(&self) -> BoxFuture<'_, Result<Option<Secret>>>;

    /// Another token in place of one that the service has refused; none if there is no other.
    fn replace<'a>(&'a self, refused: &'a Secret) -> BoxFuture<'a, Result<Option<Secret>>>;

    /// The base of the provider's API.
    fn api_url(&self) -> &str;

    /// What `Authorization` is for a request that bears this token.
    fn authorization(&self, token: &Secret) -> Result<String>;

    /// What `Idempotency-Key` is: the same each time that the dispatch is run.
    fn idempotency_key(&self) -> String;

    /// Bytes that nobody can guess.
    fn random(&self) -> [u8; 16];

    /// Called before a request that may not be repeated is sent, so that after a crash nobody believes that it was not
    /// (R9.4). An error means that it must not be sent.
    fn sends_once(&self) -> BoxFuture<'_, Result<()>>;

    /// Notes that a request that is not safe to repeat may have reached the service, and that what
    /// came of it is not known.
    fn unanswered(&self);
}

/// Outbound HTTP, from `cx.network()` (R10.1, R10.2).
///
/// Only the URLs that the connector declares are reached.
///
/// # Which requests are repeated
///
/// A request that may be repeated is sent up to twice more when the connection fails or the service answers 502, 503
/// or 504 and does not say when to come back; any other request, when no connection could be made. When the answer of a
/// request that may not be repeated is lost, what a user sent with it is shown as of unknown delivery, in place of being
/// sent again (R9.4, R10.7).
///
/// - GET, HEAD, OPTIONS, TRACE and WebDAV's PROPFIND, REPORT and SEARCH change nothing, and may be repeated.
/// - PUT and DELETE are idempotent (RFC 9110 9.2.2), and may be repeated. A PUT of a service that appends is marked with
///   [`not_repeatable`](RequestBuilder::not_repeatable).
/// - POST, PATCH and all others may not be repeated, unless they have an
///   [idempotency key](RequestBuilder::idempotency_key) or are marked with [`repeatable`](RequestBuilder::repeatable),
///   as a search by POST is.
///
/// A request that may not be repeated, and that has succeeded, is not sent again when the hook or task fails behind it,
/// at a read of what it made, say. The next attempt runs from its beginning, and gets the answers that were there up to
/// that request, those of the requests before it among them; what comes after is asked for anew. So the code has to
/// send the same request in each attempt: one with the time in it, or with a file as its body, is another one, and is
/// not sent; what the user sent is then shown as of unknown delivery, as it is when the host stops in between.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    outbound: &'a dyn Outbound,
}

impl<'a> Network<'a> {
    pub(crate) fn new(outbound: &'a dyn Outbound) -> Self {
        Self { outbound }
    }

    /// A request with this method.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder<'a> {
        RequestBuilder::new(self.outbound, method, parse(url.as_ref()))
    }

    /// A GET request.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::PUT, url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::PATCH, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::DELETE, url)
    }
}

impl fmt::Debug for Network<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

/// The provider's API as the connected account, from `cx.provider()`: requests go to the base that
/// the operator may set, with the account's token, and ask for JSON.
///
/// In place of a path each of them also takes a whole URL, as of a `Link` header, at the base's
/// scheme, host and port. The empty path is the base itself.
#[derive(Clone, Copy)]
pub struct ProviderApi<'a> {
    outbound: &'a dyn Outbound,
}

impl<'a> ProviderApi<'a> {
    pub(crate) fn new(outbound: &'a dyn Outbound) -> Self {
        Self { outbound }
    }

    /// The base of the API: the provider's, or what the operator set in its place.
    pub fn api_url(&self) -> &'a str {
        self.outbound.api_url()
    }

    /// Runs a GraphQL operation at the base of the API, and reads its `data`. An error in the answer, whatever the
    /// answer's status, is an error that says what to do about it (R6.6); one that was not executed as it
    /// does not fit the schema is an [`ErrorKind::Bug`].
    ///
    /// A query is repeated as a GET is, a mutation is not.
    pub async fn graphql<T: DeserializeOwned>(&self, operation: &str, variables: &impl Serialize) -> Result<T> {
        #[derive(Serialize)]
        struct Body<'a, V> {
            query: &'a str,
            variables: &'a V,
        }
        let request = self.post("").json(&Body { query: operation, variables });
        let is_query = !operation.trim_start().starts_with("mutation");
        let mut built = if is_query { request.repeatable() } else { request }.build().await?;
        let response = built.exchange(self.outbound).await?;
        let unreadable = serde_json::from_slice::<serde::de::IgnoredAny>(&response.body).is_err();
        if unreadable && response.status.is_success() && !built.repeatable {
            self.outbound.unanswered();
        }
        let data = graphql::data(&response);
        if data.is_err() && response.status.is_success() && !built.repeatable {
            self.outbound.not_written();
        }
        data
    }

    /// A request with this method.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RequestBuilder<'a> {
        let mut request = RequestBuilder::new(self.outbound, method, below(self.api_url(), path.as_ref()));
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request.with_token = true;
        request
    }

    /// A GET request.
    pub fn get(&self, path: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::GET, path)
    }

    /// A POST request.
    pub fn post(&self, path: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::POST, path)
    }

    /// A PUT request.
    pub fn put(&self, path: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::PUT, path)
    }

    /// A PATCH request.
    pub fn patch(&self, path: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::PATCH, path)
    }

    /// A DELETE request.
    pub fn delete(&self, path: impl AsRef<str>) -> RequestBuilder<'a> {
        self.request(Method::DELETE, path)
    }
}

impl fmt::Debug for ProviderApi<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderApi").field("api_url", &self.api_url()).finish_non_exhaustive()
    }
}

/// A request that is being put together. What is wrong with it is an [`ErrorKind::Bug`] when it is sent.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder<'a> {
    outbound: &'a dyn Outbound,
    method: Method,
    url: Result<Url>,
    headers: HeaderMap,
    body: Body,
    timeout: Duration,
    max_response: Option<usize>,
    with_token: bool,
    /// What the author says of repeating it; `None` means that the method and the headers decide.
    repeatable: Option<bool>,
    problem: Option<Error>,
}

impl<'a> RequestBuilder<'a> {
    fn new(outbound: &'a dyn Outbound, method: Method, url: Result<Url>) -> Self {
        let headers = HeaderMap::from_iter([(header::USER_AGENT, USER_AGENT)]);
        Self {
            outbound,
            method,
            url,
            headers,
            body: Body::default(),
            timeout: Request::TIMEOUT,
            max_response: None,
            with_token: false,
            repeatable: None,
            problem: None,
        }
    }

    /// Adds a query parameter; the name and the value are encoded.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    /// Sets a header. A value with a line break or another control character is an error.
    ///
    /// For a header with a secret, see [`secret_header`](Self::secret_header).
    pub fn header(self, name: &str, value: impl AsRef<str>) -> Self {
        let sensitive = names_a_credential(name);
        self.set_header(name, value.as_ref(), sensitive)
    }

    /// Sets a header that holds a secret: it is never logged, and not sent on by a redirect to another host.
    pub fn secret_header(self, name: &str, value: &Secret) -> Self {
        self.set_header(name, value.expose(), true)
    }

    /// Authorizes with a bearer token (RFC 6750), in place of the account's.
    pub fn bearer(self, token: &Secret) -> Self {
        let value = format!("Bearer {}", token.expose());
        self.set_header("authorization", &value, true)
    }

    /// Authorizes with a user name and a password (RFC 7617), in place of the account's token.
    pub fn basic(self, user: &str, password: &Secret) -> Self {
        if user.contains(':') {
            return self.fail(|| "the user name of basic authentication may not contain a colon".to_owned());
        }
        let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose())));
        self.set_header("authorization", &value, true)
    }

    /// Sets the body to this value as JSON.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body(body, "application/json"),
            Err(error) => self.fail(|| format!("the body cannot be written as JSON: {error}")),
        }
    }

    /// Sets the body to these fields as a form (`application/x-www-form-urlencoded`).
    pub fn form<K: AsRef<str>, V: AsRef<str>>(self, fields: impl IntoIterator<Item = (K, V)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body(body, "application/x-www-form-urlencoded")
    }

    /// Sets the body to a form with files.
    pub fn multipart(self, form: Form) -> Self {
        let (body, media_type) = form.encode(self.outbound.random());
        self.body(body, &media_type)
    }

    /// Sets the body to these bytes, or to a [file of a user](crate::files::AttachedFile), with their media type.
    pub fn body(mut self, body: impl Into<Body>, media_type: &str) -> Self {
        self.body = body.into();
        self.set_header("content-type", media_type, false)
    }

    /// How long it may take until the whole response is there. 30 seconds if not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest body that is taken, in bytes. 32 MiB if not set, and 1 GiB for one that is [streamed](Self::stream).
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = Some(bytes);
        self
    }

    /// Adds an `Idempotency-Key` header that stays the same when the dispatch is run again, so that
    /// the service does the work once. The request then counts as safe to repeat.
    pub fn idempotency_key(self) -> Self {
        let key = self.outbound.idempotency_key();
        self.set_header(IDEMPOTENCY_KEY, &key, false)
    }

    /// Says that sending the request twice does no harm, where its method does not say so: a search by POST, a POST with
    /// a transaction id of its own. See [which requests are repeated](Network#which-requests-are-repeated).
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # async fn find<C: connector_core::component::Component>(cx: &Context<C>) -> Result<serde_json::Value> {
    /// let query = serde_json::json!({ "filter": { "done": false } });
    /// cx.provider().post("/search").json(&query).repeatable().fetch().await
    /// # }
    /// ```
    pub fn repeatable(mut self) -> Self {
        self.repeatable = Some(true);
        self
    }

    /// Says that sending the request twice would do its work twice, where its method does not say so: a PUT that
    /// appends. See [which requests are repeated](Network#which-requests-are-repeated).
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # async fn comment<C: connector_core::component::Component>(cx: &Context<C>, text: &str) -> Result<()> {
    /// let change = serde_json::json!({ "issue": { "notes": text } });
    /// cx.provider().put("/issues/3.json").json(&change).not_repeatable().send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn not_repeatable(mut self) -> Self {
        self.repeatable = Some(false);
        self
    }

    /// Sends it. A response that is a failure, by its status or by what the connector declares with
    /// `#[connector(errors = …)]`, is an error that says what to do about it (R6.6).
    pub async fn send(self) -> Result<Response> {
        succeeded(self.send_raw().await?)
    }

    /// Sends it, and takes every status for an answer. [`Response::error`] says what a failure means.
    pub async fn send_raw(self) -> Result<Response> {
        let outbound = self.outbound;
        let mut built = self.build().await?;
        built.exchange(outbound).await
    }

    /// Sends it, and comes back before the body of the response is read, which is never whole in memory. A status of
    /// 400 and more is an error, as of [`send`](Self::send). The [timeout](Self::timeout) is that of each piece.
    ///
    /// ```
    /// # use connector_core::prelude::*;
    /// # async fn file<C: connector_core::component::Component>(cx: &Context<C>, attachment: &Attachment, url: &str) -> Result<Download> {
    /// Ok(cx.provider().get(url).stream().await?.into_download(&attachment.name))
    /// # }
    /// ```
    pub async fn stream(mut self) -> Result<StreamedResponse> {
        let outbound = self.outbound;
        self.max_response.get_or_insert(Request::MAX_STREAMED);
        let response = self.build().await?.open(outbound).await?;
        if !is_failure(response.head.status) {
            return Ok(response);
        }
        let StreamedResponse { head, body } = response;
        // What a service says of an error is short; of a page in place of it, the beginning does.
        let mut said = BytesMut::new();
        let mut body = body.take_while(|chunk| std::future::ready(chunk.is_ok()));
        while said.len() < MAX_FAILURE
            && let Some(Ok(chunk)) = body.next().await
        {
            said.extend_from_slice(&chunk);
        }
        match (Response { body: said.freeze(), ..head }).error() {
            Some(error) => Err(error),
            // The connector declares that this status is no failure: what there is of the body is the answer.
            None => Err(Error::bug("an answer of 400 and more cannot be streamed")),
        }
    }

    /// Sends it, and reads the response's body as JSON. Without content (204) that is `null`.
    ///
    /// A success whose body cannot be read leaves it open what a request did that is not safe to repeat.
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<T> {
        let (outbound, repeatable) = (self.outbound, self.is_repeatable());
        let mut response = self.send().await?;
        if response.status == StatusCode::NO_CONTENT {
            response.body = Bytes::from_static(b"null");
        }
        let value = response.json();
        if value.is_err() && !repeatable {
            outbound.not_written();
            outbound.unanswered();
        }
        value
    }

    /// Sends it, and reads that page and all that follow it, by the `Link` header of each (RFC 8288),
    /// with the same headers. For lists that fit into one dispatch: a `#[sync]` takes one page a step.
    ///
    /// A next page at another scheme, host or port is an error, as it would get the account's token. So is one that was
    /// read already: the list has no end.
    pub async fn fetch_pages<P: DeserializeOwned>(self) -> Result<Vec<P>> {
        let outbound = self.outbound;
        let mut built = self.build().await?;
        let (mut pages, mut seen) = (Vec::new(), HashSet::new());
        loop {
            seen.insert(built.request.url.clone());
            let response = succeeded(built.exchange(outbound).await?)?;
            pages.push(response.json()?);
            let Some(next) = response.next_page() else {
                return Ok(pages);
            };
            let next = parse(&next)?;
            if seen.contains(&next) {
                return Err(Error::endless(format!(
                    "a page of `{}` leads back to one before it: the list has no end",
                    host_and_path(&built.request.url)
                )));
            }
            if next.origin() != built.request.url.origin() {
                return Err(Error::bug(format!(
                    "the page after `{}` is at another host, `{}`",
                    host_and_path(&built.request.url),
                    host_and_path(&next)
                )));
            }
            declared(outbound, &built.request.method, &next)?;
            built.request.url = next;
        }
    }

    /// Whether sending it twice does no harm.
    fn is_repeatable(&self) -> bool {
        let usual = || self.method.is_idempotent() || reads(&self.method) || self.headers.contains_key(IDEMPOTENCY_KEY);
        self.repeatable.unwrap_or_else(usual)
    }

    async fn build(mut self) -> Result<Built> {
        let repeatable = self.is_repeatable();
        let url = self.url?;
        if let Some(problem) = self.problem {
            return Err(problem.context(format_args!("{} {}", self.method, host_and_path(&url))));
        }
        declared(self.outbound, &self.method, &url)?;
        let mut token = None;
        if self.with_token && !self.headers.contains_key(header::AUTHORIZATION) {
            let Some(given) = self.outbound.token().await? else {
                return Err(Error::needs_reauth("the account is not connected: there is no token for it"));
            };
            self.headers.insert(header::AUTHORIZATION, authorization(self.outbound, &given)?);
            token = Some(given);
        }
        let request = Request {
            method: self.method,
            url,
            headers: self.headers,
            body: self.body,
            timeout: self.timeout,
            max_response: self.max_response.unwrap_or(Request::MAX_RESPONSE),
        };
        Ok(Built { request, token, repeatable })
    }

    fn set_header(mut self, name: &str, value: &str, sensitive: bool) -> Self {
        let Ok(parsed) = HeaderName::try_from(name) else {
            return self.fail(|| format!("`{}` is no name of a header", name.escape_debug()));
        };
        if SET_BY_THE_CLIENT.contains(&parsed.as_str()) {
            return self.fail(|| format!("the header `{parsed}` is set by the client alone"));
        }
        // The value stays out of the message: it may be the secret.
        let Ok(mut value) = HeaderValue::try_from(value) else {
            return self.fail(|| {
                format!("the value for the header `{parsed}` contains a line break or another control character")
            });
        };
        value.set_sensitive(sensitive);
        self.headers.insert(parsed, value);
        self
    }

    /// Keeps the first problem: those after it may follow from it.
    fn fail(mut self, message: impl FnOnce() -> String) -> Self {
        self.problem.get_or_insert_with(|| Error::bug(message()));
        self
    }
}

impl fmt::Debug for RequestBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map(host_and_path);
        f.debug_struct("RequestBuilder").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// A request that can be sent, with the account's token that it bears.
struct Built {
    request: Request,
    token: Option<Secret>,
    /// It may be sent again when nobody knows what came of it.
    repeatable: bool,
}

impl Built {
    /// Sends it; once more, whatever it does, if the service has refused its token and there is another: such a
    /// request has not been looked at (RFC 6750 3.1).
    async fn exchange(&mut self, outbound: &dyn Outbound) -> Result<Response> {
        self.exchange_by(outbound, |port, request, rules| port.send(request, rules)).await
    }

    /// The same, and comes back before the body is read.
    async fn open(&mut self, outbound: &dyn Outbound) -> Result<StreamedResponse> {
        self.exchange_by(outbound, |port, request, rules| port.open(request, rules)).await
    }

    async fn exchange_by<R: Answered>(&mut self, outbound: &dyn Outbound, send: SendBy<R>) -> Result<R> {
        let response = exchange(outbound, &self.request, self.repeatable, send).await?;
        if response.head().status == StatusCode::UNAUTHORIZED
            && let Some(refused) = &self.token
            && let Some(fresh) = outbound.replace(refused).await?
        {
            self.request.headers.insert(header::AUTHORIZATION, authorization(outbound, &fresh)?);
            self.token = Some(fresh);
            return exchange(outbound, &self.request, self.repeatable, send).await;
        }
        Ok(response)
    }
}

/// How a request is sent: until its whole response is there, or until its body begins.
type SendBy<R> = for<'a> fn(&'a dyn NetworkPort, Request, &'a UrlRules) -> BoxFuture<'a, Result<R, TransportError>>;

/// A response, of which the body may still be to come.
trait Answered {
    fn head(&self) -> &Response;

    fn head_mut(&mut self) -> &mut Response;

    /// The response, if its body is there.
    fn whole(&self) -> Option<&Response>;

    fn from_whole(response: Response) -> Self;
}

impl Answered for Response {
    fn head(&self) -> &Response {
        self
    }

    fn head_mut(&mut self) -> &mut Response {
        self
    }

    fn whole(&self) -> Option<&Response> {
        Some(self)
    }

    fn from_whole(response: Response) -> Self {
        response
    }
}

impl Answered for StreamedResponse {
    fn head(&self) -> &Response {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Response {
        &mut self.head
    }

    fn whole(&self) -> Option<&Response> {
        None
    }

    fn from_whole(response: Response) -> Self {
        response.into()
    }
}

fn authorization(outbound: &dyn Outbound, token: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(outbound.authorization(token)?)
        .map_err(|_| Error::needs_reauth("the account's token contains characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends a request, again where that does no harm and may help, and takes every status for an answer.
async fn exchange<R: Answered>(
    outbound: &dyn Outbound,
    request: &Request,
    repeatable: bool,
    send: SendBy<R>,
) -> Result<R> {
    if let Some(response) = outbound.replay(request) {
        return Ok(R::from_whole(response));
    }
    let mut waits = BACKOFF.iter();
    let mut refusals = 0;
    loop {
        outbound.start(request).await?;
        if !repeatable {
            outbound.sends_once().await?;
        }
        let answer = Answer { outbound, awaited: !repeatable };
        let mut outcome = send(outbound.port(), request.clone(), outbound.rules()).await;
        answer.came(&outcome);
        let (method, url) = (&request.method, host_and_path(&request.url));
        let mut refused = None;
        match outcome.as_mut().map(R::head_mut) {
            Ok(response) => {
                let errors = outbound.errors();
                // A success says nothing that has to be read with care.
                let hidden = if errors.is_some() || is_failure(response.status) {
                    reason::secrets_of(request)
                } else {
                    Vec::new()
                };
                response.context = ResponseContext { received_at: outbound.now(), errors, hidden };
                refused = refused_until(response);
                outbound.answered(response, refused);
                tracing::debug!(%method, url, status = response.status.as_u16(), bytes = response.body.len(), "request")
            }
            Err(error) => tracing::debug!(%method, url, %error, "request failed"),
        }
        if let Some(until) = refused {
            refusals += 1;
            // What was refused was not done, whatever it is.
            if refusals <= MAX_REFUSALS && outbound.waits_for(until) {
                continue;
            }
            return outcome.map_err(|error| lost(error, request));
        }
        if let Ok(answer) = &outcome {
            match (answer.whole(), repeatable) {
                (Some(response), true) => outbound.note(request, response),
                (None, true) => {}
                (whole, false) => {
                    if answer.head().status.is_success() && whole.is_none_or(|response| response.error().is_none()) {
                        outbound.note_write(request, whole);
                    }
                }
            }
        }
        match waits.next() {
            Some(wait) if passes_soon(&outcome, repeatable) => outbound.sleep_until(outbound.now() + *wait).await,
            _ => return outcome.map_err(|error| lost(error, request)),
        }
    }
}

/// Refuses a URL that the connector does not declare.
fn declared(outbound: &dyn Outbound, method: &Method, url: &Url) -> Result<()> {
    if outbound.rules().allows(url) {
        return Ok(());
    }
    let url = host_and_path(url);
    Err(TransportError::NotDeclared { url }.into_error(method))
}

/// Why there is no response, without the secrets of the request: some services have them in their paths.
fn lost(error: TransportError, request: &Request) -> Error {
    let error = error.into_error(&request.method);
    let hidden = reason::secrets_of(request);
    let shown = reason::hide(error.message(), &hidden);
    if shown == error.message() { error } else { Error::new(error.kind().clone(), shown) }
}

/// A failure as the error that it is.
fn succeeded(response: Response) -> Result<Response> {
    match response.error() {
        Some(error) => Err(error),
        None => Ok(response),
    }
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Headers about the connection. `Host` is among them, as it could name a host that is not declared.
const SET_BY_THE_CLIENT: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-authorization",
];

pub(crate) fn names_a_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    header != IDEMPOTENCY_KEY && ["auth", "cookie", "token", "secret", "key"].iter().any(|part| header.contains(part))
}

/// Says that an answer did not come: also when the dispatch is cancelled while it is awaited.
struct Answer<'a> {
    outbound: &'a dyn Outbound,
    awaited: bool,
}

impl Answer<'_> {
    fn came<R: Answered>(mut self, outcome: &Result<R, TransportError>) {
        self.awaited &= match outcome.as_ref().map(R::head) {
            // The gateway answers for the service, which may have done its work.
            Ok(response) => matches!(response.status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT),
            // Nothing was sent, or a redirect was the answer.
            Err(
                TransportError::NotDeclared { .. }
                | TransportError::PrivateAddress { .. }
                | TransportError::NoSuchHost { .. }
                | TransportError::NoConnection { .. },
            ) => false,
            Err(_) => true,
        };
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if self.awaited {
            self.outbound.unanswered();
        }
    }
}

/// Whether the same request may do in a moment, and does no harm.
fn passes_soon<R: Answered>(outcome: &Result<R, TransportError>, repeatable: bool) -> bool {
    match outcome.as_ref().map(R::head) {
        Ok(response) => {
            let fails = matches!(
                response.status,
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
            );
            repeatable && fails && !response.headers.contains_key(header::RETRY_AFTER)
        }
        Err(TransportError::NoConnection { .. }) => true,
        Err(error) => repeatable && matches!(error, TransportError::Connection { .. }),
    }
}

fn parse(text: &str) -> Result<Url> {
    // What stands after the path may be secret.
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    let url = Url::parse(text).map_err(|error| Error::bug(format!("`{shown}` is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::bug(format!("`{shown}` is no URL to send a request to: its scheme is not https or http")));
    }
    Ok(url)
}

/// A path below the base of an API, or a URL at the same origin.
fn below(base: &str, path: &str) -> Result<Url> {
    let base = parse(base).map_err(|error| error.context("the base of the provider's API"))?;
    if path.starts_with("https://") || path.starts_with("http://") {
        let url = parse(path)?;
        if url.origin() != base.origin() {
            let (url, base) = (host_and_path(&url), base.origin().ascii_serialization());
            return Err(Error::new(
                ErrorKind::Bug,
                format!(
                    "`{url}` is not at the provider's API, {base}, and must not get the account's token: use `cx.network()`"
                ),
            ));
        }
        return Ok(url);
    }
    if path.is_empty() {
        return Ok(base);
    }
    let mut root = base.clone();
    root.set_query(None);
    root.set_fragment(None);
    let root = root.as_str().trim_end_matches('/');
    let url = parse(&format!("{root}/{}", path.strip_prefix('/').unwrap_or(path)))?;
    let mut inside = UrlRules::default();
    inside.push_base(&base);
    if !inside.allows(&url) {
        return Err(Error::bug(format!("`{}` leads out of the provider's API, {root}", host_and_path(&url))));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
