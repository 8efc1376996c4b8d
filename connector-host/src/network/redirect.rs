use connector_core::network::{Body, Request};
use http::{HeaderName, Method, StatusCode, header};
use url::Url;

/// Where a response redirects to, if it does; or why it cannot be followed.
pub(super) fn target(response: &reqwest::Response, from: &Url) -> Option<Result<Url, String>> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(header::LOCATION).filter(|_| redirects)?;
    let target = std::str::from_utf8(location.as_bytes()).ok().and_then(|location| from.join(location).ok());
    Some(target.ok_or_else(|| "it redirects to what is no URL".to_owned()))
}

/// Makes the request the one that follows a redirect (RFC 9110 15.4).
pub(super) fn follow(request: &mut Request, status: StatusCode, target: Url) {
    let becomes_get = match status {
        StatusCode::SEE_OTHER => request.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        request.method = Method::GET;
        request.body = Body::default();
        remove(request, |name, _| name.as_str().starts_with("content-") || name == header::TRANSFER_ENCODING);
    }
    if target.origin() != request.url.origin() {
        remove(request, |name, sensitive| {
            sensitive || matches!(*name, header::AUTHORIZATION | header::COOKIE | header::PROXY_AUTHORIZATION)
        });
    }
    request.url = target;
}

fn remove(request: &mut Request, unwanted: impl Fn(&HeaderName, bool) -> bool) {
    let kept = request.headers.iter().filter(|(name, value)| !unwanted(name, value.is_sensitive()));
    request.headers = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
}
