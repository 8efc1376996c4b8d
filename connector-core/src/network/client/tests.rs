use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Network, Outbound, ProviderApi, RequestBuilder};
use crate::clock::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::network::{Failure, FailureFn, NetworkPort, Request, Response, TransportError, UrlRules};
use crate::secret::Secret;

type Outcome = Result<Response, TransportError>;

/// A dispatch whose requests are answered from a list, at a time that only waiting moves.
struct Fake {
    rules: UrlRules,
    api_url: &'static str,
    token: Option<&'static str>,
    hangs: bool,
    errors: Option<FailureFn>,
    answers: Mutex<VecDeque<Outcome>>,
    state: Mutex<State>,
}

struct State {
    sent: Vec<Request>,
    waits: Vec<SignedDuration>,
    budget: usize,
    unanswered: bool,
    /// Requests that had been sent each time that one followed that may not be repeated.
    marked: Vec<usize>,
    now: Timestamp,
}

impl Fake {
    fn new(answers: impl IntoIterator<Item = Outcome>) -> Self {
        Self {
            rules: UrlRules::parse(&["https://api.example.com/v1/*", "https://files.example.com"]).unwrap(),
            api_url: "https://api.example.com/v1",
            token: Some("t0ken"),
            hangs: false,
            errors: None,
            answers: Mutex::new(answers.into_iter().collect()),
            state: Mutex::new(State {
                sent: Vec::new(),
                waits: Vec::new(),
                budget: 100,
                unanswered: false,
                marked: Vec::new(),
                now: Timestamp::from_second(1_750_000_000).unwrap(),
            }),
        }
    }

    fn network(&self) -> Network<'_> {
        Network::new(self)
    }

    fn provider(&self) -> ProviderApi<'_> {
        ProviderApi::new(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The only request that was sent.
    fn sent(&self) -> Request {
        let state = self.state();
        assert_eq!(state.sent.len(), 1);
        state.sent[0].clone()
    }
}

impl Outbound for Fake {
    fn start<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state();
        let left = state.budget.checked_sub(1);
        state.budget = left.unwrap_or_default();
        Box::pin(std::future::ready(left.map(drop).ok_or_else(|| Error::bug("too many requests"))))
    }

    fn answered(&self, _: &Response, _: Option<Timestamp>) {}

    fn errors(&self) -> Option<FailureFn> {
        self.errors
    }

    fn waits_for(&self, _: Timestamp) -> bool {
        false
    }

    fn replay(&self, _: &Request) -> Option<Response> {
        None
    }

    fn note(&self, _: &Request, _: &Response) {}

    fn note_write(&self, _: &Request, _: Option<&Response>) {}

    fn not_written(&self) {}

    fn port(&self) -> &dyn NetworkPort {
        // A `Fake` borrows nothing, so the port may be the same value.
        self
    }

    fn rules(&self) -> &UrlRules {
        &self.rules
    }

    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        let wait = at.duration_since(state.now);
        state.waits.push(wait);
        state.now = at;
        Box::pin(async {})
    }

    fn token(&self) -> BoxFuture<'_, Result<Option<Secret>>> {
        Box::pin(async { Ok(self.token.map(Secret::new)) })
    }

    fn replace<'a>(&'a self, _: &'a Secret) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async { Ok(None) })
    }

    fn api_url(&self) -> &str {
        self.api_url
    }

    fn authorization(&self, token: &Secret) -> Result<String> {
        Ok(format!("Bearer {}", token.expose()))
    }

    fn idempotency_key(&self) -> String {
        "dispatch-7".to_owned()
    }

    fn random(&self) -> [u8; 16] {
        [7; 16]
    }

    fn sends_once(&self) -> BoxFuture<'_, Result<()>> {
        let mut state = self.state();
        let sent = state.sent.len();
        state.marked.push(sent);
        Box::pin(std::future::ready(Ok(())))
    }

    fn unanswered(&self) {
        self.state().unanswered = true;
    }
}

impl NetworkPort for Fake {
    fn send<'a>(&'a self, request: Request, _: &'a UrlRules) -> BoxFuture<'a, Outcome> {
        self.state().sent.push(request);
        if self.hangs {
            return Box::pin(std::future::pending());
        }
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.unwrap_or_else(|| answer_with(200, &[], "{}")) })
    }
}

fn answer_with(status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()));
    let request = Request::new(Method::GET, "https://api.example.com/v1/x".parse().unwrap());
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Response::new(&request, status, HeaderMap::from_iter(headers), Bytes::copy_from_slice(body.as_bytes())))
}

fn connection_lost() -> Outcome {
    Err(TransportError::Connection { url: "api.example.com/v1/x".to_owned(), reason: "reset".to_owned() })
}

/// Nothing here ever waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the request waits for something")
}

/// The error of a request of which nothing may be sent.
fn refused(build: impl for<'a> FnOnce(&'a Fake) -> RequestBuilder<'a>) -> Error {
    let fake = Fake::new([]);
    let error = run(build(&fake).send()).unwrap_err();
    assert!(fake.state().sent.is_empty());
    error
}

/// R10.2
#[test]
fn a_request_has_what_was_set() {
    let fake = Fake::new([]);
    let request = fake
        .network()
        .post("https://api.example.com/v1/items?a=1")
        .query("name", "x & y=ä")
        .query("page", 2)
        .header("X-Version", "3")
        .json(&json!({"title": "t"}))
        .timeout(Duration::from_secs(5))
        .max_response(10);
    run(request.send()).unwrap();
    let sent = fake.sent();
    assert_eq!(sent.method, Method::POST);
    assert_eq!(sent.url.as_str(), "https://api.example.com/v1/items?a=1&name=x+%26+y%3D%C3%A4&page=2");
    assert_eq!(sent.headers["x-version"], "3");
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.headers["user-agent"], format!("connector/{}", env!("CARGO_PKG_VERSION")));
    assert!(!sent.headers.contains_key("authorization"));
    assert_eq!(sent.body.bytes().unwrap(), &br#"{"title":"t"}"#[..]);
    assert_eq!((sent.timeout, sent.max_response), (Duration::from_secs(5), 10));

    let fake = Fake::new([]);
    run(fake.network().put("https://files.example.com/f").form([("a", "1 2"), ("b", "&")]).send()).unwrap();
    let sent = fake.sent();
    assert_eq!(sent.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(sent.body.bytes().unwrap(), &b"a=1+2&b=%26"[..]);
    assert_eq!((sent.timeout, sent.max_response), (Duration::from_secs(30), 32 << 20));
}

/// R10.2, L29: what authorizes is marked, so that nothing shows it.
#[test]
fn secrets_are_marked() {
    let secret = Secret::new("pa55");
    for (name, value, build) in [
        (
            "authorization",
            "Bearer pa55",
            (|request, secret| RequestBuilder::bearer(request, secret)) as fn(RequestBuilder<'static>, &Secret) -> _,
        ),
        ("authorization", "Basic YWRhOnBhNTU=", |request, secret| request.basic("ada", secret)),
        ("x-thing", "pa55", |request, secret| request.secret_header("x-thing", secret)),
        ("x-api-key", "pa55", |request, secret| request.header("X-Api-Key", secret.expose())),
        ("private-token", "pa55", |request, secret| request.header("PRIVATE-TOKEN", secret.expose())),
        ("cookie", "pa55", |request, secret| request.header("cookie", secret.expose())),
    ] {
        let fake: &'static Fake = Box::leak(Box::new(Fake::new([])));
        let request = build(fake.network().get("https://files.example.com/?key=hidden"), &secret);
        let shown = format!("{request:?}");
        assert!(!shown.contains("pa55") && !shown.contains("hidden"), "{shown}");
        run(request.send()).unwrap();
        let sent = fake.sent();
        assert_eq!(sent.headers[name], value);
        assert!(sent.headers[name].is_sensitive(), "{name}");
        assert!(!format!("{:?}", sent.headers).contains("pa55"), "{name}");
    }
}

/// L29: what would inject a header is refused, and the message does not repeat it.
#[test]
fn headers_cannot_be_injected() {
    for value in ["a\r\nx-injected: 1", "a\nb", "a\rb", "a\0b", "a\u{7f}"] {
        let error = refused(|fake| fake.network().get("https://files.example.com/").header("x-name", value));
        assert_eq!(error.kind(), &ErrorKind::Bug);
        assert!(error.message().contains("GET files.example.com/") && error.message().contains("`x-name`"), "{error}");
        assert!(!error.message().contains(value), "{error}");

        let error = refused(|fake| fake.network().get("https://files.example.com/").bearer(&Secret::new(value)));
        assert!(error.kind() == &ErrorKind::Bug && !error.message().contains(value), "{error}");
        let error = refused(|fake| fake.network().get("https://files.example.com/").body("x", value));
        assert_eq!(error.kind(), &ErrorKind::Bug);
    }
    for name in ["", "a b", "a:b", "a\r\nb", "ä"] {
        let error = refused(|fake| fake.network().get("https://files.example.com/").header(name, "x"));
        assert!(error.kind() == &ErrorKind::Bug && error.message().contains("no name of a header"), "{error}");
    }
    for name in ["Host", "content-length", "Transfer-Encoding", "connection"] {
        let error = refused(|fake| fake.network().get("https://files.example.com/").header(name, "x"));
        assert!(error.kind() == &ErrorKind::Bug && error.message().contains("client alone"), "{error}");
    }
    let error = refused(|fake| fake.network().get("https://files.example.com/").basic("a:b", &Secret::new("c")));
    assert!(error.message().contains("colon"), "{error}");
}

/// R10.1
#[test]
fn only_declared_urls_are_reached() {
    for url in [
        "https://api.example.com/v2",
        "https://example.com/",
        "http://files.example.com/",
        "https://u:p@files.example.com/",
    ] {
        let error = refused(|fake| fake.network().get(url));
        assert_eq!(error.kind(), &ErrorKind::Bug);
        assert!(error.message().contains("add it to `urls`") && !error.message().contains("u:p"), "{error}");
    }
    for url in ["", "/v1/x", "api.example.com/v1", "https://", "file:///etc/passwd", "mailto:a@example.com"] {
        let error = refused(|fake| fake.network().get(url));
        assert!(error.kind() == &ErrorKind::Bug && error.message().contains("is no URL"), "{error}");
    }
    let error = refused(|fake| fake.network().get("//x?token=hidden"));
    assert!(!error.to_string().contains("hidden"), "{error}");
}

/// R8.1, R10.2: requests to the provider are the account's, and go below the base.
#[test]
fn the_provider_is_asked_as_the_account() {
    for (path, url) in [
        ("/items", "https://api.example.com/v1/items"),
        ("items?page=2", "https://api.example.com/v1/items?page=2"),
        ("//evil.test/x", "https://api.example.com/v1//evil.test/x"),
        ("/https://evil.test/", "https://api.example.com/v1/https://evil.test/"),
        ("https://api.example.com/v1/items?page=3", "https://api.example.com/v1/items?page=3"),
    ] {
        let fake = Fake::new([]);
        run(fake.provider().get(path).send()).unwrap();
        let sent = fake.sent();
        assert_eq!(sent.url.as_str(), url);
        assert_eq!(sent.headers["authorization"], "Bearer t0ken");
        assert!(sent.headers["authorization"].is_sensitive());
        assert_eq!(sent.headers["accept"], "application/json");
    }
    let fake = Fake::new([]);
    run(fake.provider().patch("x").header("accept", "text/plain").bearer(&Secret::new("other")).send()).unwrap();
    assert_eq!(fake.sent().headers["authorization"], "Bearer other");
    assert_eq!(fake.sent().headers["accept"], "text/plain");
    assert_eq!(fake.provider().api_url(), "https://api.example.com/v1");
}

/// L29: the token goes nowhere else.
#[test]
fn the_accounts_token_stays_at_the_providers_api() {
    for url in [
        "https://files.example.com/x",
        "http://api.example.com/v1/x",
        "https://api.example.com:8443/v1/x",
        "https://api.example.com@evil.test/",
    ] {
        let error = refused(|fake| fake.provider().get(url));
        assert!(error.kind() == &ErrorKind::Bug && error.message().contains("account's token"), "{error}");
    }
    for path in ["../v2", "/../../x", "x/../../admin", "%2e%2e/admin", "..%2fadmin"] {
        let error = refused(|fake| fake.provider().get(path));
        assert!(error.kind() == &ErrorKind::Bug && error.message().contains("leads out"), "{error}");
    }
}

/// R8.1
#[test]
fn without_a_token_the_account_needs_reauthorization() {
    for token in [None, Some("a\nb")] {
        let fake = Fake { token, ..Fake::new([]) };
        let error = run(fake.provider().get("/x").send()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NeedsReauth);
        assert!(fake.state().sent.is_empty());
    }
}

/// R6.6, R10.2
#[test]
fn a_status_of_400_and_more_is_an_error() {
    for (status, kind) in
        [(401, ErrorKind::NeedsReauth), (404, ErrorKind::Gone), (422, ErrorKind::Rejected), (500, ErrorKind::Transient)]
    {
        let error = run(Fake::new([answer_with(status, &[], "")]).provider().get("x").send()).unwrap_err();
        assert_eq!(error.kind(), &kind);
        let response = run(Fake::new([answer_with(status, &[], "")]).provider().get("x").send_raw()).unwrap();
        assert_eq!(response.status.as_u16(), status);
    }
    for status in [200, 304] {
        assert!(run(Fake::new([answer_with(status, &[], "")]).provider().get("x").send()).is_ok());
    }
}

/// R10.2
#[test]
fn fetch_reads_json() {
    let fetch =
        |status, body| run(Fake::new([answer_with(status, &[], body)]).provider().get("x").fetch::<Option<Vec<u8>>>());
    assert_eq!(fetch(200, "[1, 2]").unwrap(), Some(vec![1, 2]));
    assert_eq!(fetch(204, "").unwrap(), None);
    assert_eq!(fetch(200, "<html>").unwrap_err().kind(), &ErrorKind::Transient);
    assert_eq!(fetch(404, "[1]").unwrap_err().kind(), &ErrorKind::Gone);
}

/// R10.2
#[test]
fn fetch_pages_follows_the_link_header_as_the_account() {
    let next = |url: &str, body: &str| answer_with(200, &[("link", &format!("<{url}>; rel=\"next\""))], body);
    let fake = Fake::new([
        next("https://api.example.com/v1/items?page=2", "[1, 2]"),
        next("/v1/items?page=3", "[3]"),
        answer_with(200, &[], "[]"),
    ]);
    let items = fake.provider().get("/items").header("x-version", "7");
    assert_eq!(run(items.fetch_pages::<Vec<u32>>()).unwrap().concat(), [1, 2, 3]);
    let state = fake.state();
    let urls: Vec<_> = state.sent.iter().map(|request| request.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "https://api.example.com/v1/items",
            "https://api.example.com/v1/items?page=2",
            "https://api.example.com/v1/items?page=3",
        ]
    );
    for request in &state.sent {
        assert_eq!(request.headers["authorization"], "Bearer t0ken");
        assert_eq!(request.headers["x-version"], "7");
    }
}

/// R10.1, R6.6: the token does not go where a service's answer says, and a page that fails fails the list.
#[test]
fn fetch_pages_stays_where_it_began() {
    for (elsewhere, message) in [
        ("https://files.example.com/items", "at another host"),
        ("http://api.example.com/v1/items", "at another host"),
        ("https://api.example.com/v2/items", "among the URLs that the connector declares"),
    ] {
        let link = format!("<{elsewhere}>; rel=\"next\"");
        let fake = Fake::new([answer_with(200, &[("link", &link)], "[1]")]);
        let error = run(fake.provider().get("/items").fetch_pages::<Vec<u32>>()).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert_eq!(fake.state().sent.len(), 1, "{elsewhere}");
    }
    let fake =
        Fake::new([answer_with(200, &[("link", "</v1/items?page=2>; rel=next")], "[1]"), answer_with(404, &[], "")]);
    let error = run(fake.provider().get("/items").fetch_pages::<Vec<u32>>()).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Gone);
}

/// R10.2: a request that is safe to repeat is sent twice more; each counts against the limit.
#[test]
fn what_is_safe_to_repeat_is_repeated() {
    let failures: [fn() -> Outcome; 4] =
        [connection_lost, || answer_with(502, &[], ""), || answer_with(503, &[], ""), || answer_with(504, &[], "")];
    let waits = [SignedDuration::from_millis(250), SignedDuration::from_secs(1)];
    for failure in failures {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let fake = Fake::new([failure(), failure()]);
            run(fake.provider().request(method, "x").body("b", "text/plain").send()).unwrap();
            let state = fake.state();
            assert_eq!((state.sent.len(), state.budget, &state.waits[..]), (3, 97, &waits[..]));
            assert!(state.sent.iter().all(|request| request.body.bytes() == Some("b".into())
                && request.headers["authorization"] == "Bearer t0ken"));
        }
        let fake = Fake::new([failure(), failure(), failure()]);
        let error = run(fake.provider().get("x").send()).unwrap_err();
        assert_eq!((error.kind(), fake.state().sent.len()), (&ErrorKind::Transient, 3));

        for method in [Method::POST, Method::PATCH] {
            let fake = Fake::new([failure()]);
            assert!(run(fake.provider().request(method.clone(), "x").send()).is_err());
            assert_eq!(fake.state().sent.len(), 1, "{method}");

            let fake = Fake::new([failure()]);
            run(fake.provider().request(method, "x").idempotency_key().send()).unwrap();
            let state = fake.state();
            assert_eq!(state.sent.len(), 2);
            assert!(state.sent.iter().all(|request| request.headers["idempotency-key"] == "dispatch-7"));
        }
    }
}

/// R10.2
#[test]
fn what_would_not_help_is_not_repeated() {
    let url = || "api.example.com/v1/x".to_owned();
    for failure in [
        answer_with(500, &[], ""),
        answer_with(408, &[], ""),
        answer_with(503, &[("retry-after", "1")], ""),
        Err(TransportError::NotDeclared { url: url() }),
        Err(TransportError::PrivateAddress { host: url(), address: "10.0.0.1".to_owned() }),
        Err(TransportError::Timeout { url: url(), limit: Duration::from_secs(30) }),
        Err(TransportError::TooLarge { url: url(), limit: 1 }),
    ] {
        let fake = Fake::new([failure]);
        assert!(run(fake.provider().get("x").send()).is_err());
        let state = fake.state();
        assert_eq!((state.sent.len(), state.waits.len()), (1, 0));
    }
}

/// R10.2, L11: the task is moved; its dispatch does not wait.
#[test]
fn a_rate_limit_is_never_waited_for() {
    for (status, headers) in [
        (429, &[("retry-after", "7")][..]),
        (403, &[("retry-after", "7")]),
        (503, &[("retry-after", "7")]),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1750000007")]),
    ] {
        let fake = Fake::new([answer_with(status, headers, "")]);
        let error = run(fake.provider().get("x").send()).unwrap_err();
        assert_eq!(
            error.kind(),
            &ErrorKind::RateLimited { until: Timestamp::from_second(1_750_000_007).unwrap() },
            "{status}"
        );
        let state = fake.state();
        assert_eq!((state.sent.len(), state.waits.len()), (1, 0));
    }
}

/// R6.7
#[test]
fn the_limit_of_requests_ends_repeating() {
    let fake = Fake::new([connection_lost(), connection_lost()]);
    fake.state().budget = 2;
    let error = run(fake.network().get("https://files.example.com/").send()).unwrap_err();
    assert_eq!(error.message(), "too many requests");
    assert_eq!(fake.state().sent.len(), 2);
}

/// R10.2: without a connection nothing was sent, so that any request is sent again.
#[test]
fn what_was_never_sent_is_repeated() {
    let refused =
        || Err(TransportError::NoConnection { url: "api.example.com/v1/x".to_owned(), reason: "refused".to_owned() });
    let fake = Fake::new([refused(), refused()]);
    run(fake.provider().post("x").send()).unwrap();
    let state = fake.state();
    assert_eq!((state.sent.len(), state.unanswered), (3, false));
}

/// R10.2: a write whose outcome is not known is told apart from one that failed.
#[test]
fn a_write_without_an_answer_is_noted() {
    let url = || "api.example.com/v1/x".to_owned();
    let timeout = || Err(TransportError::Timeout { url: url(), limit: Duration::from_secs(30) });
    for (method, outcome, unanswered) in [
        (Method::POST, timeout(), true),
        (Method::PATCH, timeout(), true),
        (Method::POST, connection_lost(), true),
        (Method::POST, Err(TransportError::TooLarge { url: url(), limit: 1 }), true),
        (Method::POST, answer_with(502, &[], ""), true),
        (Method::POST, answer_with(504, &[], ""), true),
        (Method::POST, answer_with(500, &[], ""), false),
        (Method::POST, answer_with(422, &[], ""), false),
        (Method::POST, answer_with(201, &[], ""), false),
        (Method::POST, Err(TransportError::NoSuchHost { host: url() }), false),
        (Method::POST, Err(TransportError::NotDeclared { url: url() }), false),
        (Method::GET, timeout(), false),
        (Method::PUT, timeout(), false),
    ] {
        let shown = format!("{method} {outcome:?}");
        let fake = Fake::new([outcome]);
        let succeeded = run(fake.provider().request(method, "x").send()).is_ok();
        assert_eq!((fake.state().unanswered, succeeded), (unanswered, shown.contains("201")), "{shown}");
    }
    let fake = Fake::new([timeout()]);
    assert!(run(fake.provider().post("x").idempotency_key().send()).is_err());
    assert!(!fake.state().unanswered);
}

/// R7.2: also when the dispatch is cancelled meanwhile.
#[test]
fn a_cancelled_write_is_noted() {
    let fake = Fake { hangs: true, ..Fake::new([]) };
    for (method, unanswered) in [(Method::GET, false), (Method::POST, true)] {
        assert!(fake.provider().request(method, "x").send().now_or_never().is_none());
        assert_eq!(fake.state().unanswered, unanswered);
    }
}

/// L10: a query that a gateway failed is asked again, a mutation may have been made.
#[test]
fn a_graphql_query_is_repeated_and_a_mutation_is_not() {
    let answers = || [answer_with(502, &[], ""), answer_with(200, &[], r#"{"data":{"viewer":{"id":"1"}}}"#)];
    let fake = Fake { api_url: "https://api.example.com/v1/graphql", ..Fake::new(answers()) };
    let data: serde_json::Value = run(fake.provider().graphql("query { viewer { id } }", &json!({ "a": 1 }))).unwrap();
    assert_eq!(data["viewer"]["id"], "1");
    let sent = fake.state().sent[1].clone();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://api.example.com/v1/graphql"));
    let body: serde_json::Value = serde_json::from_slice(&sent.body.bytes().unwrap()).unwrap();
    assert_eq!(body, json!({ "query": "query { viewer { id } }", "variables": { "a": 1 } }));

    let fake = Fake { api_url: "https://api.example.com/v1/graphql", ..Fake::new(answers()) };
    let error = run(fake.provider().graphql::<serde_json::Value>("mutation { issueDelete }", &json!({}))).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Transient);
    assert_eq!(fake.state().sent.len(), 1);
    assert!(fake.state().unanswered);
}

/// R10.7, L39: the method, the idempotency key and the author's word decide whether a request is repeated.
#[test]
fn the_author_decides_where_the_method_does_not() {
    type Mark = fn(RequestBuilder<'_>) -> RequestBuilder<'_>;
    let unmarked: Mark = |request| request;
    let repeatable: Mark = |request| request.repeatable();
    let not_repeatable: Mark = |request| request.not_repeatable();
    let keyed: Mark = |request| request.idempotency_key();
    for (method, mark, repeated) in [
        ("GET", unmarked, true),
        ("HEAD", unmarked, true),
        ("OPTIONS", unmarked, true),
        ("PROPFIND", unmarked, true),
        ("REPORT", unmarked, true),
        ("SEARCH", unmarked, true),
        ("PUT", unmarked, true),
        ("DELETE", unmarked, true),
        ("POST", unmarked, false),
        ("PATCH", unmarked, false),
        ("MKCALENDAR", unmarked, false),
        ("PROPPATCH", unmarked, false),
        ("POST", repeatable, true),
        ("POST", keyed, true),
        ("PUT", not_repeatable, false),
        ("GET", not_repeatable, false),
        ("POST", |request| request.idempotency_key().not_repeatable(), false),
    ] {
        let fake = Fake::new([answer_with(502, &[], "")]);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let succeeded = run(mark(fake.provider().request(method.clone(), "x")).send()).is_ok();
        let state = fake.state();
        assert_eq!((succeeded, state.unanswered), (repeated, !repeated), "{method}");
        assert_eq!(state.sent.len(), if repeated { 2 } else { 1 }, "{method}");
        // What may not be repeated is noted before it is sent.
        assert_eq!(state.marked, if repeated { vec![] } else { vec![0] }, "{method}");
    }
}

/// R10.7: an answer that cannot be read leaves it open what a request did that may not be repeated.
#[test]
fn an_unreadable_answer_of_an_appending_put_is_noted() {
    for (appends, unanswered) in [(true, true), (false, false)] {
        let fake = Fake::new([answer_with(200, &[], "{")]);
        let request = fake.provider().put("x");
        let request = if appends { request.not_repeatable() } else { request };
        assert!(run(request.fetch::<serde_json::Value>()).is_err());
        assert_eq!(fake.state().unanswered, unanswered);
    }
}

/// R10.8: each error names method, host, port and path, and none the query.
#[test]
fn errors_name_what_was_asked() {
    let port = |answer| Fake {
        rules: UrlRules::parse(&["https://api.example.com:8443/v1/*"]).unwrap(),
        api_url: "https://api.example.com:8443/v1",
        ..Fake::new([answer])
    };
    let url = || "api.example.com:8443/v1/x".to_owned();
    for (outcome, says) in [
        (
            answer_with(422, &[], r#"{"errors": ["No"]}"#),
            "PUT api.example.com:8443/v1/x answered 422 Unprocessable Entity: No",
        ),
        (
            Err(TransportError::Timeout { url: url(), limit: Duration::from_secs(30) }),
            "PUT `api.example.com:8443/v1/x` did not answer within 30s",
        ),
        (Err(TransportError::TooManyRedirects { url: url() }), "PUT `api.example.com:8443/v1/x` redirects too often"),
    ] {
        let outcome = outcome.map(|response| Response {
            url: "https://api.example.com:8443/v1/x?a=b".parse().unwrap(),
            method: Method::PUT,
            ..response
        });
        let fake = port(outcome);
        let error = run(fake.provider().put("x").query("a", "b").send()).unwrap_err();
        assert_eq!(error.to_string(), says);
    }
}

/// R10.8: a token that the service repeats, or that stands in a path, is in no error.
#[test]
fn a_token_is_in_no_error() {
    let token = "0123456789abcdef";
    let echo = |url: &str| {
        answer_with(403, &[], &format!("the token {token} is wrong"))
            .map(|response| Response { url: url.parse().unwrap(), ..response })
    };
    let fake = Fake { token: Some(token), ..Fake::new([echo("https://api.example.com/v1/bot0123456789abcdef/send")]) };
    let error = run(fake.provider().post(format!("bot{token}/send")).send()).unwrap_err().to_string();
    assert_eq!(error, "GET api.example.com/v1/bot[hidden]/send answered 403 Forbidden: the token [hidden] is wrong");
    let lost = Err(TransportError::Timeout { url: format!("api.example.com/v1/bot{token}"), limit: Duration::ZERO });
    let fake = Fake { token: Some(token), ..Fake::new([lost]) };
    let error = run(fake.provider().post(format!("bot{token}")).send()).unwrap_err();
    assert!(!format!("{error:?}").contains(token), "{error:?}");
}

/// R10.8: what the connector declares holds for each way to send, and `send_raw` takes every answer.
#[test]
fn declared_errors_hold_for_each_way_to_send() {
    fn errors(response: &Response) -> Option<Failure> {
        (response.body == "no").then(|| Failure::new(ErrorKind::Gone))
    }
    let fake = || Fake { errors: Some(FailureFn::new("errors", errors)), ..Fake::new([answer_with(200, &[], "no")]) };
    assert_eq!(run(fake().provider().get("x").send()).unwrap_err().kind(), &ErrorKind::Gone);
    let fetched = run(fake().provider().get("x").fetch::<serde_json::Value>());
    assert_eq!(fetched.unwrap_err().kind(), &ErrorKind::Gone);
    let pages = run(fake().provider().get("x").fetch_pages::<serde_json::Value>());
    assert_eq!(pages.unwrap_err().kind(), &ErrorKind::Gone);
    let raw = run(fake().provider().get("x").send_raw()).unwrap();
    assert_eq!(raw.error().unwrap().kind(), &ErrorKind::Gone);
}
