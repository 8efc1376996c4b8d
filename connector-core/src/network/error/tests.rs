use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::{TransportError, classify};
use crate::error::{Error, ErrorKind};
use crate::network::Response;

fn now() -> Timestamp {
    "2025-06-01T12:00:00Z".parse().unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    let url = "https://api.example.com/issues?token=hidden".parse().unwrap();
    let response = Response::new(
        StatusCode::from_u16(status).unwrap(),
        HeaderMap::from_iter(headers),
        Bytes::copy_from_slice(body.as_bytes()),
        url,
    );
    classify(&response, now())
}

/// Seconds from now until when the error says that the service takes no more.
fn wait(status: u16, headers: &[(&str, &str)], body: &str) -> Option<i64> {
    match answer(status, headers, body).kind() {
        ErrorKind::RateLimited { until } => Some(until.duration_since(now()).as_secs()),
        _ => None,
    }
}

/// R6.6
#[test]
fn each_status_has_its_kind() {
    for (status, kind) in [
        (400, ErrorKind::Rejected),
        (401, ErrorKind::NeedsReauth),
        (402, ErrorKind::Rejected),
        (403, ErrorKind::Rejected),
        (404, ErrorKind::Gone),
        (408, ErrorKind::Transient),
        (409, ErrorKind::Rejected),
        (410, ErrorKind::Gone),
        (412, ErrorKind::Rejected),
        (422, ErrorKind::Rejected),
        (425, ErrorKind::Transient),
        (500, ErrorKind::Transient),
        (502, ErrorKind::Transient),
        (503, ErrorKind::Transient),
        (504, ErrorKind::Transient),
        (599, ErrorKind::Transient),
    ] {
        assert_eq!(answer(status, &[], "").kind(), &kind, "{status}");
    }
}

/// R10.2: GitHub's primary limit is a 403 with nothing remaining, and the time of the reset.
#[test]
fn githubs_primary_limit() {
    let reset = (now() + SignedDuration::from_secs(900)).as_second().to_string();
    let headers =
        [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    let body = r#"{"message": "API rate limit exceeded for user ID 1."}"#;
    assert_eq!(wait(403, &headers, body), Some(900));
    assert_eq!(wait(429, &headers, body), Some(900));

    let some_left = [("x-ratelimit-remaining", "17"), ("x-ratelimit-reset", reset.as_str())];
    assert_eq!(answer(403, &some_left, r#"{"message": "Must have admin rights"}"#).kind(), &ErrorKind::Rejected);
    assert_eq!(answer(401, &headers, "").kind(), &ErrorKind::NeedsReauth);
    assert_eq!(answer(503, &headers, "").kind(), &ErrorKind::Transient);
}

/// R10.2: GitHub's secondary limit has `Retry-After`, or only a message.
#[test]
fn githubs_secondary_limit() {
    let body = r#"{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}"#;
    for status in [403, 429] {
        assert_eq!(wait(status, &[("retry-after", "30")], body), Some(30), "{status}");
        assert_eq!(wait(status, &[("retry-after", "30"), ("x-ratelimit-remaining", "42")], body), Some(30), "{status}");
        assert_eq!(wait(status, &[("x-ratelimit-remaining", "42")], body), Some(60), "{status}");
    }
}

/// R10.2: `Retry-After` is seconds or a date (RFC 9110 10.2.3); Slack's 429 has seconds.
#[test]
fn retry_after_in_each_form() {
    for (text, seconds) in [
        ("30", 30),
        (" 30 ", 30),
        ("1.2", 2),
        ("0", 1),
        ("-5", 1),
        ("99999999999999999999", 86_400),
        ("nan", 60),
        ("soon", 60),
        ("", 60),
        ("Sun, 01 Jun 2025 12:05:00 GMT", 300),
        ("Sun, 01 Jun 2025 11:00:00 GMT", 1),
        ("Tue, 01 Jun 2055 12:00:00 GMT", 86_400),
    ] {
        assert_eq!(wait(429, &[("retry-after", text)], ""), Some(seconds), "{text}");
        assert_eq!(wait(503, &[("retry-after", text)], ""), Some(seconds), "{text}");
    }
    assert_eq!(wait(500, &[("retry-after", "30")], ""), None);
}

/// R10.2: `RateLimit-*` counts from now, `X-RateLimit-Reset` from the epoch, by some in milliseconds.
#[test]
fn rate_limit_headers_in_each_form() {
    let at = (now() + SignedDuration::from_secs(120)).as_second();
    for (name, text, seconds) in [
        ("ratelimit-reset", "50".to_owned(), 50),
        ("x-ratelimit-reset", "50".to_owned(), 50),
        ("x-ratelimit-reset", at.to_string(), 120),
        ("x-ratelimit-reset", format!("{at}.25"), 121),
        ("x-ratelimit-reset", (at * 1000).to_string(), 120),
        ("x-ratelimit-reset", (at - 3600).to_string(), 1),
        ("x-ratelimit-reset", "inf".to_owned(), 60),
        ("x-ratelimit-reset", "1e300".to_owned(), 60),
        ("x-ratelimit-reset", "?".to_owned(), 60),
        ("x-other", String::new(), 60),
    ] {
        assert_eq!(wait(429, &[(name, &text)], ""), Some(seconds), "{name} {text}");
        assert_eq!(wait(429, &[(name, &text), ("ratelimit-remaining", "0")], ""), Some(seconds), "{name} {text}");
        assert_eq!(wait(403, &[(name, &text), ("ratelimit-remaining", "0")], ""), Some(seconds), "{name} {text}");
    }
    assert_eq!(
        wait(429, &[("retry-after", "7"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "50")], ""),
        Some(7)
    );
}

/// R6.6, L12: a scope that was not granted is told apart from other refusals.
#[test]
fn a_missing_scope_is_named() {
    let missing = |headers: &[(&str, &str)]| match answer(403, headers, "").kind() {
        ErrorKind::ScopeMissing { scope } => Some(scope.clone()),
        _ => None,
    };
    let standard =
        r#"Bearer realm="https://accounts.example.com/", error="insufficient_scope", scope="mail.read mail.send""#;
    assert_eq!(missing(&[("www-authenticate", standard)]), Some(Some("mail.read mail.send".to_owned())));
    assert_eq!(missing(&[("www-authenticate", r#"Bearer error="insufficient_scope""#)]), Some(None));
    assert_eq!(missing(&[("www-authenticate", r#"Bearer error="invalid_token""#)]), None);
    assert_eq!(
        missing(&[("x-accepted-oauth-scopes", "repo, admin:org"), ("x-oauth-scopes", "gist, read:user")]),
        Some(Some("repo".to_owned()))
    );
    assert_eq!(missing(&[("x-accepted-oauth-scopes", "repo"), ("x-oauth-scopes", "gist, repo")]), None);
    assert_eq!(missing(&[("x-accepted-oauth-scopes", ""), ("x-oauth-scopes", "gist")]), None);
    assert_eq!(missing(&[("x-oauth-scopes", "gist")]), None);
}

/// R10.2: the message says what the service said, on one line, and nothing of the query.
#[test]
fn the_message_says_what_the_service_said() {
    for body in [
        r#"{"message": "no such label"}"#,
        r#"{"error": {"code": 7, "message": "no such label"}}"#,
        r#"{"error": "invalid_request", "error_description": "no such label"}"#,
        r#"{"errors": [{"message": "no such label"}]}"#,
        r#"{"errors": [{"detail": "no such label"}]}"#,
        r#"{"errorMessages": ["no such label"]}"#,
        r#"{"detail": "no such label"}"#,
        r#"{"error": "no such label"}"#,
        r#"{"message": "", "error": "no\nsuch\u001blabel"}"#,
    ] {
        let text = answer(422, &[], body).to_string();
        assert_eq!(text, "api.example.com/issues answered 422 Unprocessable Entity: no such label", "{body}");
    }
    for body in ["", "<html>", "[]", "{}", r#"{"message": 7}"#] {
        assert_eq!(
            answer(422, &[], body).to_string(),
            "api.example.com/issues answered 422 Unprocessable Entity",
            "{body}"
        );
    }
    let long = answer(422, &[], &format!(r#"{{"message": "{}"}}"#, "ä".repeat(9000))).to_string();
    assert!(long.ends_with(&"ä".repeat(300)) && long.chars().count() < 400);
}

/// R6.6: what never gets better is not tried for long.
#[test]
fn a_missing_response_has_its_kind() {
    let url = || "example.com/".to_owned();
    for (error, kind) in [
        (TransportError::NotDeclared { url: url() }, ErrorKind::Bug),
        (TransportError::PrivateAddress { host: url(), address: "10.0.0.1".to_owned() }, ErrorKind::Bug),
        (TransportError::TooLarge { url: url(), limit: 7 }, ErrorKind::Bug),
        (TransportError::NoSuchHost { host: url() }, ErrorKind::Transient),
        (TransportError::Timeout { url: url(), limit: std::time::Duration::from_millis(1500) }, ErrorKind::Transient),
        (TransportError::TooManyRedirects { url: url() }, ErrorKind::Transient),
        (TransportError::NoConnection { url: url(), reason: "refused".to_owned() }, ErrorKind::Transient),
        (TransportError::Connection { url: url(), reason: "reset".to_owned() }, ErrorKind::Transient),
    ] {
        let text = error.to_string();
        let error = error.into_error();
        assert_eq!((error.kind(), error.to_string()), (&kind, text));
    }
}
