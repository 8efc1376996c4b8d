//! Sends the requests of connectors over the network (R10.1, R10.2).
//!
//! Answers are asked for compressed (gzip, deflate, Brotli and Zstandard), and unpacked while they are read (R10.9).

mod address;
mod redirect;

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connector_core::clock::BoxFuture;
use connector_core::network::{
    NetworkPort, Request, Response, StreamedResponse, TransportError, UrlRules, host_and_path,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::Client;
use url::{Host, Url};

pub use address::Names;
use address::{AddressPolicy, ResolveError, Resolver, SystemNames};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long, and how many of, the connections to a host are kept open for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS: usize = 8;

/// As much memory as is taken on the word of a `Content-Length` alone, in bytes.
const LARGEST_RESERVATION: usize = 1 << 20;

/// The client of the host.
///
/// Proxies of the environment are not used: a proxy would look names up by itself, and the check of
/// the addresses would be void.
pub struct HttpClient {
    addresses: Arc<AddressPolicy>,
    names: Arc<dyn Names>,
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl HttpClient {
    /// A client that reaches public addresses, and all others too if `allow_private` is set.
    pub fn new(allow_private: bool) -> Self {
        Self::with_policy(if allow_private { AddressPolicy::All } else { AddressPolicy::Public { except: Vec::new() } })
    }

    /// A client that reaches public addresses, and of all others these alone.
    pub fn allowing(private: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::with_policy(AddressPolicy::Public { except: private.into_iter().collect() })
    }

    fn with_policy(addresses: AddressPolicy) -> Self {
        let names = Arc::new(SystemNames);
        Self { addresses: Arc::new(addresses), names, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// The same, where names mean what `names` says. Each connection is made to an address that was looked up and
    /// checked for it.
    pub fn names(self, names: impl Names) -> Self {
        Self { names: Arc::new(names), plain: OnceLock::new(), secure: OnceLock::new(), ..self }
    }

    /// The client for this scheme. The one for https loads the system's certificates, so it is made
    /// when it is needed, and where that fails, again the next time.
    fn client(&self, url: &Url) -> Result<&Client, TransportError> {
        let secure = url.scheme() == "https";
        let slot = if secure { &self.secure } else { &self.plain };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // The error is that another thread was faster, which is as good.
            rustls::crypto::ring::default_provider().install_default().ok();
        }
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .dns_resolver(Resolver::new(Arc::clone(&self.addresses), Arc::clone(&self.names)));
        let builder = if secure { builder.https_only(true) } else { builder.tls_certs_only([]) };
        let client = builder.build().map_err(|error| TransportError::NoConnection {
            url: host_and_path(url),
            reason: format!("TLS cannot be set up: {}", reason(&error)),
        })?;
        Ok(slot.get_or_init(|| client))
    }

    /// Follows redirects to the response that is none, whose body is yet to be read; with the request that it answers.
    async fn exchange(
        &self,
        mut request: Request,
        rules: &UrlRules,
    ) -> Result<(reqwest::Response, Request), TransportError> {
        let first = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(&request, rules).await?;
            match redirect::target(&response, &request.url) {
                None => return Ok((response, request)),
                Some(target) => {
                    let target = target
                        .map_err(|reason| TransportError::Connection { url: host_and_path(&request.url), reason })?;
                    redirect::follow(&mut request, response.status(), target);
                }
            }
        }
        Err(TransportError::TooManyRedirects { url: host_and_path(&first) })
    }

    async fn send_once(&self, request: &Request, rules: &UrlRules) -> Result<reqwest::Response, TransportError> {
        let url = &request.url;
        if !rules.allows(url) {
            return Err(TransportError::NotDeclared { url: host_and_path(url) });
        }
        // An address in a URL is not looked up, so the resolver would not see it.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if let Some(address) = address.filter(|address| !self.addresses.allows(*address)) {
            return Err(TransportError::PrivateAddress { host: address.to_string(), address: address.to_string() });
        }
        let mut outgoing = reqwest::Request::new(request.method.clone(), url.clone());
        *outgoing.headers_mut() = request.headers.clone();
        if let Some(bytes) = request.body.bytes().filter(|bytes| !bytes.is_empty()) {
            *outgoing.body_mut() = Some(bytes.into());
        } else if !request.body.is_empty() {
            // Its length is known, so that services that take no chunks take it too.
            outgoing.headers_mut().insert(header::CONTENT_LENGTH, request.body.size().into());
            let pieces = request.body.stream().map_err(|error| io::Error::other(error.to_string()));
            *outgoing.body_mut() = Some(reqwest::Body::wrap_stream(pieces));
        } else if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
            // The client leaves it out, and some servers then refuse the request (RFC 9110 8.6).
            outgoing.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.client(url)?.execute(outgoing).await.map_err(|error| transport_error(&error, url))
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl NetworkPort for HttpClient {
    fn send<'a>(&'a self, request: Request, rules: &'a UrlRules) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async move {
            let (limit, url) = (request.timeout, host_and_path(&request.url));
            let answer = tokio::time::timeout(limit, async {
                let (response, request) = self.exchange(request, rules).await?;
                read(response, &request).await
            });
            answer.await.unwrap_or(Err(TransportError::Timeout { url, limit }))
        })
    }

    fn open<'a>(
        &'a self,
        request: Request,
        rules: &'a UrlRules,
    ) -> BoxFuture<'a, Result<StreamedResponse, TransportError>> {
        Box::pin(async move {
            let (limit, url) = (request.timeout, host_and_path(&request.url));
            let answer = tokio::time::timeout(limit, self.exchange(request, rules)).await;
            let (response, request) = answer.unwrap_or(Err(TransportError::Timeout { url, limit }))?;
            streamed(response, request)
        })
    }
}

/// Reads the body, and stops where it gets larger than the request's limit: the limit holds for what a compressed body
/// unpacks to (R10.9), which is unpacked piece by piece.
async fn read(mut response: reqwest::Response, request: &Request) -> Result<Response, TransportError> {
    let (url, limit) = (&request.url, request.max_response);
    let too_large = || TransportError::TooLarge { url: host_and_path(url), limit };
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    // Chunks are copied: a small one would keep the whole buffer that it was read into.
    let mut body = BytesMut::with_capacity(expected.min(LARGEST_RESERVATION));
    while has_body(&request.method, response.status())
        && let Some(chunk) = response.chunk().await.map_err(|error| transport_error(&error, url))?
    {
        if chunk.len() > limit - body.len() {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let headers = std::mem::take(response.headers_mut());
    Ok(Response::new(request, response.status(), headers, body.freeze()))
}

/// Whether a response has a body at all (RFC 9110 6.4.1). Where it has none, it may still say that it would be
/// compressed, and nothing cannot be unpacked.
fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The body, piece by piece: no piece may take longer than the whole head, and all of them no more than the request's limit.
fn streamed(mut response: reqwest::Response, request: Request) -> Result<StreamedResponse, TransportError> {
    let (max, limit) = (request.max_response, request.timeout);
    let too_large = move |url: &Url| TransportError::TooLarge { url: host_and_path(url), limit: max };
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_large(&request.url));
    }
    let headers = std::mem::take(response.headers_mut());
    let head = Response::new(&request, response.status(), headers, Bytes::new());
    let body = stream::try_unfold((response, 0_usize), move |(mut response, read)| {
        let (url, method) = (request.url.clone(), request.method.clone());
        async move {
            if !has_body(&method, response.status()) {
                return Ok(None);
            }
            let next = tokio::time::timeout(limit, response.chunk()).await;
            let next =
                next.map_err(|_| TransportError::Timeout { url: host_and_path(&url), limit }.into_error(&method))?;
            let Some(chunk) = next.map_err(|error| transport_error(&error, &url).into_error(&method))? else {
                return Ok(None);
            };
            let read = read.saturating_add(chunk.len());
            if read > max { Err(too_large(&url).into_error(&method)) } else { Ok(Some((chunk, (response, read)))) }
        }
    });
    Ok(StreamedResponse::new(head, body.boxed()))
}

/// What went wrong, from the error or one of its causes.
fn transport_error(error: &reqwest::Error, url: &Url) -> TransportError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<ResolveError>() {
            return error.clone().into();
        }
        cause = error.source();
    }
    let (url, reason) = (host_and_path(url), reason(error));
    if error.is_connect() {
        TransportError::NoConnection { url, reason }
    } else {
        TransportError::Connection { url, reason }
    }
}

/// The innermost causes, which say what happened; the outermost has the URL with its query.
fn reason(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let mut texts = causes.map(ToString::to_string).collect::<Vec<_>>();
    texts.dedup_by(|inner, outer| outer.contains(inner.as_str()));
    if texts.is_empty() { "the request could not be sent".to_owned() } else { texts.join(": ") }
}
