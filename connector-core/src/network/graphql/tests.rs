use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::data;
use crate::error::{Error, ErrorKind, Result};
use crate::network::{Request, Response};

fn now() -> Timestamp {
    "2025-06-01T12:00:00Z".parse().unwrap()
}

fn answered(status: u16, headers: &[(&str, &str)], body: impl ToString) -> Result<Value> {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    let request = Request::new(Method::POST, "https://api.example.com/graphql".parse().unwrap());
    let (status, body) = (StatusCode::from_u16(status).unwrap(), Bytes::from(body.to_string()));
    let mut response = Response::new(&request, status, HeaderMap::from_iter(headers), body);
    response.context.received_at = now();
    data(&response)
}

fn failed(status: u16, body: Value) -> Error {
    answered(status, &[], body).unwrap_err()
}

#[test]
fn data_is_what_was_asked_for() {
    assert_eq!(answered(200, &[], json!({ "data": { "viewer": { "id": "1" } } })).unwrap()["viewer"]["id"], "1");
    assert_eq!(answered(200, &[], json!({ "data": null })).unwrap(), Value::Null);
}

/// L10: an error is an error with any status, and beside data.
#[test]
fn each_error_has_its_kind() {
    let error = |code: Value, message: &str| json!({ "message": message, "extensions": { "code": code } });
    for (code, message, kind) in [
        (json!("AUTHENTICATION_ERROR"), "Authentication required", ErrorKind::NeedsReauth),
        (json!("INPUT_ERROR"), "Entity not found: Issue", ErrorKind::Gone),
        (json!("INPUT_ERROR"), "Title is too long", ErrorKind::Rejected),
        (json!("FORBIDDEN"), "You don't have access", ErrorKind::Rejected),
        (json!("FORBIDDEN"), "Invalid scope: `write` required", ErrorKind::ScopeMissing { scope: None }),
        (json!("INTERNAL_SERVER_ERROR"), "Sorry", ErrorKind::Transient),
        (json!("GRAPHQL_VALIDATION_FAILED"), "Cannot query field", ErrorKind::Bug),
    ] {
        for (status, data) in [(200, json!({ "issue": null })), (400, Value::Null)] {
            let answer = json!({ "data": data, "errors": [error(code.clone(), message)] });
            assert_eq!(failed(status, answer).kind(), &kind, "{code} {message}");
        }
    }
    let of_github =
        json!({ "data": { "node": null }, "errors": [{ "type": "INSUFFICIENT_SCOPES", "message": "Your token" }] });
    assert_eq!(failed(200, of_github).kind(), &ErrorKind::ScopeMissing { scope: None });
}

/// Without a code, an operation that was not executed does not fit the schema; one that was, was refused.
#[test]
fn what_was_not_executed_is_a_bug() {
    let errors = json!([{ "message": "Cannot query field \"x\" on type \"Issue\"." }]);
    assert_eq!(failed(400, json!({ "errors": errors })).kind(), &ErrorKind::Bug);
    assert_eq!(failed(200, json!({ "errors": errors, "data": null })).kind(), &ErrorKind::Rejected);
}

#[test]
fn an_answer_that_is_none_is_known_by_its_status() {
    assert_eq!(answered(502, &[], "<html>").unwrap_err().kind(), &ErrorKind::Transient);
    assert_eq!(answered(401, &[], "{}").unwrap_err().kind(), &ErrorKind::NeedsReauth);
    assert_eq!(answered(200, &[], "<html>").unwrap_err().kind(), &ErrorKind::Transient);
}

/// L11: Linear answers 400 with a code, and says per budget when it begins anew.
#[test]
fn a_rate_limit_says_until_when() {
    let body = json!({ "errors": [{ "message": "Rate limit exceeded", "extensions": { "code": "RATELIMITED" } }] });
    let reset = (now() + SignedDuration::from_mins(10)).as_millisecond().to_string();
    let other = (now() + SignedDuration::from_mins(30)).as_millisecond().to_string();
    let headers = [
        ("x-ratelimit-requests-remaining", "0"),
        ("x-ratelimit-requests-reset", reset.as_str()),
        ("x-ratelimit-complexity-remaining", "4000"),
        ("x-ratelimit-complexity-reset", other.as_str()),
    ];
    let kind = |headers: &[(&str, &str)]| answered(400, headers, &body).unwrap_err().kind().clone();
    let until = |wait| ErrorKind::RateLimited { until: now() + wait };
    assert_eq!(kind(&headers), until(SignedDuration::from_mins(10)));
    assert_eq!(kind(&[("retry-after", "7")]), until(SignedDuration::from_secs(7)));
    assert_eq!(kind(&[]), until(SignedDuration::from_secs(60)));
}

/// What is said to people is preferred to what is said to programmers, and is one line.
#[test]
fn the_message_is_for_the_user() {
    let extensions = json!({ "code": "INPUT_ERROR", "userPresentableMessage": "The title\nis too long." });
    let error =
        failed(400, json!({ "errors": [{ "message": "Argument Validation Error", "extensions": extensions }] }));
    assert_eq!(error.message(), "POST api.example.com/graphql answered: The title is too long.");
}
