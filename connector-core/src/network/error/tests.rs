use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::{Failure, FailureFn, TransportError};
use crate::error::{Error, ErrorKind};
use crate::network::{Request, Response};

fn now() -> Timestamp {
    "2025-06-01T12:00:00Z".parse().unwrap()
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    let request = Request::new(Method::PUT, "https://api.example.com:3456/issues?token=hidden".parse().unwrap());
    let status = StatusCode::from_u16(status).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let mut response = Response::new(&request, status, HeaderMap::from_iter(headers), body);
    response.context.received_at = now();
    response
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
    response(status, headers, body).error().unwrap()
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

/// R6.6: a success is no error, and each failure is one.
#[test]
fn a_success_is_no_error() {
    for status in [200, 201, 204, 302, 304] {
        assert!(response(status, &[], "{}").error().is_none(), "{status}");
    }
}

/// L36: Google answers 403 when a quota is used up, and says so in a list of reasons.
#[test]
fn googles_quota_errors_are_rate_limits() {
    let old = |message: &str, reason: &str| {
        format!(
            r#"{{"error": {{"code": 403, "message": "{message}",
                "errors": [{{"domain": "usageLimits", "reason": "{reason}"}}], "status": "PERMISSION_DENIED"}}}}"#
        )
    };
    let new = r#"{"error": {"code": 403, "message": "Quota exceeded.", "status": "PERMISSION_DENIED",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}]}}"#;
    for (body, seconds) in [
        (old("Quota exceeded for quota metric 'Queries'", "rateLimitExceeded"), 60),
        (old("User Rate Limit Exceeded", "userRateLimitExceeded"), 60),
        (old("Calendar usage limits exceeded.", "quotaExceeded"), 60),
        (old("Daily Limit Exceeded", "dailyLimitExceeded"), 3600),
        (new.to_owned(), 60),
    ] {
        assert_eq!(wait(403, &[], &body), Some(seconds), "{body}");
        assert_eq!(wait(403, &[("retry-after", "7")], &body), Some(7), "{body}");
    }
    for reason in ["forbidden", "insufficientPermissions", "storageQuotaExceeded", "accessNotConfigured"] {
        assert_eq!(answer(403, &[], &old("No.", reason)).kind(), &ErrorKind::Rejected, "{reason}");
    }
    // What no quota is about stays what it is.
    assert_eq!(answer(400, &[], &old("Bad", "rateLimitExceeded")).kind(), &ErrorKind::Rejected);
}

/// L36: codes with which other services answer 403 in place of 429.
#[test]
fn codes_of_a_403_that_mean_a_rate_limit() {
    for body in [
        r#"{"error": "ratelimited", "ok": false}"#,
        r#"{"error": {"code": "TooManyRequests", "message": "Slow down"}}"#,
        r#"{"code": "rate_limited", "message": "Slow down"}"#,
    ] {
        assert_eq!(wait(403, &[], body), Some(60), "{body}");
    }
}

/// R10.8: a connector says once what the answers of its service mean, also those that are no failure by their status.
#[test]
fn a_declared_function_decides_what_answers_mean() {
    fn errors(response: &Response) -> Option<Failure> {
        match response.body.as_ref() {
            b"fine" => None,
            b"slow" => Some(Failure::rate_limited().because("slow down")),
            b"gone" => Some(Failure::new(ErrorKind::Gone).because("no such\nitem")),
            _ => Some(Failure::usual()),
        }
    }
    let error = |status, headers: &[(&str, &str)], body| {
        let mut response = response(status, headers, body);
        response.context.errors = Some(FailureFn::new("errors", errors));
        response.error().map(|error| (error.kind().clone(), error.to_string()))
    };
    let line = "PUT api.example.com:3456/issues answered";
    assert_eq!(error(200, &[], "fine"), None);
    assert_eq!(error(404, &[], "fine"), Some((ErrorKind::Gone, format!("{line} 404 Not Found: fine"))));
    let until = now() + SignedDuration::from_secs(9);
    assert_eq!(
        error(200, &[("retry-after", "9")], "slow"),
        Some((ErrorKind::RateLimited { until }, format!("{line} 200 OK: slow down")))
    );
    assert_eq!(error(200, &[], "gone"), Some((ErrorKind::Gone, format!("{line} 200 OK: no such item"))));
    assert_eq!(error(200, &[], "other"), Some((ErrorKind::Rejected, format!("{line} 200 OK: other"))));
    assert_eq!(error(503, &[], "other").unwrap().0, ErrorKind::Transient);
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
        let text = format!("DELETE {error}");
        let error = error.into_error(&Method::DELETE);
        assert_eq!((error.kind(), error.to_string()), (&kind, text));
    }
}
