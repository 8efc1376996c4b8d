use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{MAX_CHARS, of, secrets_of};
use crate::network::{Request, Response};
use crate::secret::Secret;

fn reason(body: impl Into<Bytes>) -> Option<String> {
    let request = Request::new(Method::POST, "https://api.example.com/issues".parse().unwrap());
    of(&Response::new(&request, StatusCode::UNPROCESSABLE_ENTITY, HeaderMap::new(), body.into()))
}

/// L43: the reason is found wherever services put it in JSON.
#[test]
fn reasons_in_json() {
    for (body, said) in [
        (r#"{"message": "no such label"}"#, "no such label"),
        (r#"{"error": {"code": 7, "message": "no such label"}}"#, "no such label"),
        (r#"{"error": "invalid_request", "error_description": "no such label"}"#, "no such label"),
        (r#"{"errors": [{"message": "no such label"}]}"#, "no such label"),
        (r#"{"errors": [{"title": "Not found", "detail": "no such label"}]}"#, "no such label"),
        (r#"{"errorMessages": ["no such label"], "errors": {}}"#, "no such label"),
        (r#"{"errorMessages": [], "errors": {"labels": "no such label"}}"#, "labels: no such label"),
        (r#"{"detail": "no such label"}"#, "no such label"),
        (r#"{"error": "no such label"}"#, "no such label"),
        (r#""no such label""#, "no such label"),
        (r#"["no such label"]"#, "no such label"),
        (r#"[{"errorCode": "X", "message": "no such label"}]"#, "no such label"),
        (r#"{"errors": ["Subject cannot be blank"]}"#, "Subject cannot be blank"),
        (r#"{"errors": ["Subject cannot be blank", "Status is wrong"]}"#, "Subject cannot be blank; Status is wrong"),
        (r#"{"errors": "Subject cannot be blank"}"#, "Subject cannot be blank"),
        (r#"{"errors": {"subject": ["cannot be blank", "is odd"]}}"#, "subject: cannot be blank; is odd"),
        (r#"{"errors": {"base": ["It is locked"]}}"#, "It is locked"),
        (r#"{"subject": ["This field may not be blank."]}"#, "subject: This field may not be blank."),
        (r#"{"non_field_errors": ["It is locked"]}"#, "It is locked"),
        (r#"{"detail": [{"loc": ["body", "name"], "msg": "field required"}]}"#, "body.name: field required"),
        (
            r#"{"message": "Validation Failed", "errors": [{"resource": "Issue", "field": "title", "code": "missing"}]}"#,
            "Validation Failed: title: missing",
        ),
        (
            r#"{"type": "https://e.x/p", "title": "Invalid", "status": 422, "invalid-params": [{"name": "age", "reason": "must be positive"}]}"#,
            "Invalid: age: must be positive",
        ),
        (r#"{"title": "Forbidden", "status": 403, "detail": "Your balance is 30."}"#, "Your balance is 30."),
        (r#"{"error": {"message": "M", "errors": [{"reason": "quotaExceeded"}], "status": "X"}}"#, "M: quotaExceeded"),
        (r#"{"error": {"message": "The same", "errors": [{"message": "The same", "reason": "r"}]}}"#, "The same"),
        (r#"{"odata.error": {"code": "", "message": {"lang": "en", "value": "no such list"}}}"#, "no such list"),
        (r#"{"fault": {"faultstring": "no such label", "detail": {"errorcode": "x"}}}"#, "no such label"),
        (r#"{"response": {"status": "error", "message": "no such label"}}"#, "no such label"),
        (r#"{"code": "label_unknown"}"#, "label_unknown"),
        (r#"{"message": "", "error": "no\nsuch\u001b\u202elabel"}"#, "no such label"),
    ] {
        assert_eq!(reason(body).as_deref(), Some(said), "{body}");
    }
}

/// L43: the reason is found in XML, in the title of a page, and in plain text.
#[test]
fn reasons_in_xml_html_and_text() {
    for (body, said) in [
        (
            r#"<?xml version="1.0"?><errors type="array"><error>Subject cannot be blank</error></errors>"#,
            "Subject cannot be blank",
        ),
        ("<Error><Code>NoSuchKey</Code><Message>No such key: a &amp; &#x62;</Message></Error>", "No such key: a & b"),
        (
            r#"<d:error xmlns:d="DAV:" xmlns:s="x"><s:exception>E</s:exception><s:message>It is locked</s:message></d:error>"#,
            "It is locked",
        ),
        (r#"<error xmlns="DAV:"><lock-token-submitted/></error>"#, "lock-token-submitted"),
        ("<e><message><![CDATA[a < b]]></message></e>", "a < b"),
        ("<!DOCTYPE html><html><head><title>502 Bad\n Gateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        ("<html><body><h1>Not here</h1></body></html>", "Not here"),
        ("\u{feff}invalid id", "invalid id"),
        ("  The service\r\nis closed.\u{0} ", "The service is closed."),
    ] {
        assert_eq!(reason(body).as_deref(), Some(said), "{body}");
    }
}

/// R10.8: what says nothing to a person is not shown.
#[test]
fn bodies_without_a_reason() {
    for body in ["", " ", "<html>", "[]", "{}", r#"{"message": 7}"#, "{\"error", "null", "<", "<a"] {
        let shown = reason(body);
        assert!(shown.is_none() || shown.as_deref() == Some("null"), "{body}: {shown:?}");
    }
    assert_eq!(reason(Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 1, 2, 3])), None);
}

/// R10.8: a reason has a bound, whatever a service sends.
#[test]
fn a_reason_is_short() {
    for body in [
        format!(r#"{{"message": "{}"}}"#, "ä".repeat(9000)),
        "ä".repeat(1 << 20),
        format!("<e><message>{}</message></e>", "ä".repeat(9000)),
        format!(r#"{{"errors": [{}"x"]}}"#, r#""y","#.repeat(9000)),
        format!("{}1{}", r#"{"error":"#.repeat(100), "}".repeat(100)),
        "[".repeat(60_000),
    ] {
        assert!(reason(body).unwrap_or_default().chars().count() <= MAX_CHARS);
    }
}

/// R10.8: services repeat what they were sent, and secrets of the request are not shown.
#[test]
fn secrets_of_the_request_are_hidden() {
    let url = "https://user:pass-w0rd@api.example.com/x?api_key=k%2Fey-123456&q=visible";
    let mut request = Request::new(Method::GET, url.parse().unwrap());
    for (name, value) in [
        ("authorization", "Bearer tok-abcdef"),
        ("x-b", "Basic dXNlcjpzZWNyZXQtcHc="),
        ("x-o", "OAuth oauth_consumer_key=\"consumer-key\", oauth_token=\"oauth-token\""),
        ("cookie", "session=cookie-value"),
    ] {
        let mut value = HeaderValue::from_static(value);
        value.set_sensitive(true);
        request.headers.insert(name, value);
    }
    request.headers.insert("x-plain", HeaderValue::from_static("plain-value"));
    let body = "tok-abcdef secret-pw consumer-key oauth-token cookie-value pass-w0rd k/ey-123456 plain-value visible";
    let mut response = Response::new(&request, StatusCode::FORBIDDEN, HeaderMap::new(), body.into());
    response.context.hidden = secrets_of(&request);
    assert_eq!(of(&response).unwrap(), format!("{} plain-value visible", ["[hidden]"; 7].join(" ")));

    // A secret that stands where the text is cut off is not shown in part.
    let long = format!("{}tok-abcdef", "x".repeat(MAX_CHARS - 4));
    let mut response = Response::new(&request, StatusCode::FORBIDDEN, HeaderMap::new(), long.into());
    response.context.hidden = vec![Secret::new("tok-abcdef")];
    assert!(!of(&response).unwrap().contains("tok"));
}
