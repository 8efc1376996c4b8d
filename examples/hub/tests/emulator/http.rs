//! As much of an HTTP client as these tests need.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A response: status, headers and body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: ::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends a request on a connection of its own.
pub(crate) fn send(method: &str, url: &str, token: &str, body: Option<&Value>) -> io::Result<Response> {
    let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
    exchange(method, url, &headers, &body.map(ToString::to_string).unwrap_or_default())
}

/// Sends what a browser asks for to the server at `base`.
pub(crate) fn browse(base: &str, request: &::http::Request<String>) -> ::http::Response<String> {
    let headers = request.headers().iter();
    let headers: String =
        headers.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().expect("text"))).collect();
    let url = format!("{base}{}", request.uri().path_and_query().expect("a path"));
    let answer = exchange(request.method().as_str(), &url, &headers, request.body()).expect("the server answers");
    let mut response = ::http::Response::new(String::from_utf8_lossy(&answer.body).into_owned());
    *response.status_mut() = ::http::StatusCode::from_u16(answer.status).expect("a status");
    *response.headers_mut() = answer.headers;
    response
}

fn exchange(method: &str, url: &str, headers: &str, body: &str) -> io::Result<Response> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("only http"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: connector-tests\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(|| io::Error::other("no response"))?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| io::Error::other("no status"))?;
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let raw = &all[end + 4..];
    let body = if header("transfer-encoding").eq_ignore_ascii_case("chunked") { unchunk(raw) } else { raw.to_vec() };
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = lines
        .filter_map(|(name, value)| {
            let name = ::http::HeaderName::try_from(name).ok()?;
            Some((name, ::http::HeaderValue::try_from(value.trim()).ok()?))
        })
        .collect();
    Ok(Response { status, headers, body })
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&raw[..end]).trim(), 16).unwrap_or(0);
        if size == 0 || raw.len() < end + 2 + size + 2 {
            break;
        }
        body.extend_from_slice(&raw[end + 2..end + 2 + size]);
        raw = &raw[end + 2 + size + 2..];
    }
    body
}
