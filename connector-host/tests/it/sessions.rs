//! What a token has opened ends with it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use connector_core::clock::Clock;
use connector_core::registry::Registry;
use connector_core::testing::VirtualClock;
use connector_host::Host;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{self, Desk, KEY};

struct TokenBench {
    directory: std::path::PathBuf,
    host: Host,
    clock: VirtualClock,
}

impl TokenBench {
    async fn new(name: &str) -> Self {
        let directory = desk::directory(&format!("tokens-{name}"));
        let clock = VirtualClock::new(Timestamp::from_second(1_800_000_000).expect("a time"));
        Self { host: open(&directory, &clock).await, directory, clock }
    }

    async fn reopened(self) -> Self {
        self.host.shutdown().await.expect("an end in order");
        Self { host: open(&self.directory, &self.clock).await, ..self }
    }

    async fn end(self) {
        self.host.shutdown().await.expect("an end in order");
        std::fs::remove_dir_all(&self.directory).expect("the directory goes");
    }

    async fn send(&self, token: &str, method: &str, path: &str, body: Body) -> Response<Body> {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = if path.starts_with("/changes?stream") {
            request.uri("/api/v1/changes").header("accept", "text/event-stream")
        } else {
            request
        };
        self.host.router().oneshot(request.body(body).expect("a request")).await.expect("an answer")
    }

    async fn status(&self, token: &str, method: &str, path: &str) -> u16 {
        self.send(token, method, path, Body::empty()).await.status().as_u16()
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.send(KEY, method, path, Body::from(body.to_string())).await;
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        assert!(status.is_success(), "{method} {path}: {status} {body:?}");
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn session(&self, user: &str) -> String {
        let session = self.ok("POST", "/sessions", json!({"user": user, "seconds": 60})).await;
        session["token"].as_str().expect("a token").to_owned()
    }

    async fn key(&self, name: &str) -> String {
        self.ok("POST", "/keys", json!({"name": name})).await["key"].as_str().expect("a key").to_owned()
    }

    /// A connection, of whose changes a stream tells.
    async fn change(&self, user: &str) {
        let body = json!({"connector": "desk", "user": user, "options": {"api_key": "k"}});
        self.ok("POST", "/connections", body).await;
    }

    /// A stream of events that has told of everything so far.
    async fn stream(&self, token: &str) -> stream::BoxStream<'static, Result<Bytes, axum::Error>> {
        let answer = self.send(token, "GET", "/changes?stream", Body::empty()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut events = answer.into_body().into_data_stream().boxed();
        events.next().await.expect("an event").expect("no error");
        while events.next().now_or_never().is_some() {}
        events
    }
}

async fn open(directory: &std::path::Path, clock: &VirtualClock) -> Host {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let registry = Registry::of::<Desk>().expect("a registry");
    let host = Host::open_with_clock(desk::config(directory), registry, clock).await.expect("a host");
    host.start().await.expect("workers");
    host
}

/// Whatever was on its way before the end: nothing comes after it.
async fn ends(mut events: stream::BoxStream<'static, Result<Bytes, axum::Error>>) {
    assert!(events.next().await.is_none(), "the stream has ended");
}

#[tokio::test]
async fn a_stream_ends_when_its_session_expires() {
    let bench = TokenBench::new("expiry").await;
    bench.change("ada").await;
    let token = bench.session("ada").await;
    let mut events = bench.stream(&token).await;
    bench.clock.advance(SignedDuration::from_secs(59));
    bench.change("ada").await;
    events.next().await.expect("an event").expect("no error");
    while events.next().now_or_never().is_some() {}
    bench.clock.advance(SignedDuration::from_secs(1));
    bench.change("ada").await;
    ends(events).await;
    assert_eq!(bench.status(&token, "GET", "/connections").await, 401);
    bench.end().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let bench = TokenBench::new("revoked").await;
    bench.change("ada").await;
    let (key, other) = (bench.key("one").await, bench.key("two").await);
    let (events, mut others) = (bench.stream(&key).await, bench.stream(&other).await);
    bench.ok("DELETE", "/keys/one", Value::Null).await;
    bench.change("ada").await;
    ends(events).await;
    others.next().await.expect("an event").expect("no error");
    bench.end().await;
}

#[tokio::test]
async fn a_waiting_request_ends_with_its_token() {
    let bench = TokenBench::new("waiting").await;
    let (key, session) = (bench.key("one").await, bench.session("ada").await);
    let next = bench.ok("GET", "/changes", Value::Null).await["next"].clone();
    let path = format!("/changes?wait=60&after={next}");
    for (token, end) in [(&key, "/keys/one"), (&session, "/sessions?user=ada")] {
        let ending = async {
            tokio::task::yield_now().await;
            bench.ok("DELETE", end, Value::Null).await;
        };
        let (status, ()) = tokio::join!(bench.status(token, "GET", &path), ending);
        assert_eq!(status, 401, "{end}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_session_ends_itself_and_no_other() {
    let bench = TokenBench::new("itself").await;
    bench.change("ada").await;
    let (ended, other, bob) = (bench.session("ada").await, bench.session("ada").await, bench.session("bob").await);
    let events = bench.stream(&ended).await;
    assert_eq!(bench.status(&ended, "DELETE", "/sessions/current").await, 204);
    ends(events).await;
    assert_eq!(bench.status(&ended, "DELETE", "/sessions/current").await, 401);
    let bench = bench.reopened().await;
    for (token, status) in [(&ended, 401), (&other, 200), (&bob, 200)] {
        assert_eq!(bench.status(token, "GET", "/connections").await, status);
    }
    assert_eq!(bench.status(KEY, "DELETE", "/sessions/current").await, 422, "a key is no session");
    bench.end().await;
}

#[tokio::test]
async fn an_operator_ends_all_sessions_of_a_user() {
    let bench = TokenBench::new("all").await;
    bench.change("ada").await;
    let (one, two, bob) = (bench.session("ada").await, bench.session("ada").await, bench.session("bob").await);
    assert_eq!(bench.status(&one, "DELETE", "/sessions?user=ada").await, 403);
    let events = [bench.stream(&one).await, bench.stream(&two).await];
    bench.ok("DELETE", "/sessions?user=ada", Value::Null).await;
    for events in events {
        ends(events).await;
    }
    // One that is made in the same moment is valid, until all are ended again.
    let new = bench.session("ada").await;
    let bench = bench.reopened().await;
    for (token, status) in [(&one, 401), (&two, 401), (&new, 200), (&bob, 200)] {
        assert_eq!(bench.status(token, "GET", "/connections").await, status);
    }
    bench.ok("DELETE", "/sessions?user=ada", Value::Null).await;
    assert_eq!(bench.status(&new, "GET", "/connections").await, 401);
    bench.end().await;
}

#[tokio::test]
async fn ended_sessions_are_forgotten_when_they_would_have_expired() {
    let bench = TokenBench::new("forgotten").await;
    let token = bench.session("ada").await;
    assert_eq!(bench.status(&token, "DELETE", "/sessions/current").await, 204);
    bench.ok("DELETE", "/sessions?user=bob", Value::Null).await;
    let stored = async |bench: &TokenBench| {
        let rows = bench.host.runtime().ports().engine.settings("ended_sessions/".to_owned()).await.expect("settings");
        assert!(rows.iter().all(|(_, row)| !String::from_utf8_lossy(row).contains(&token)));
        rows.len()
    };
    assert_eq!(stored(&bench).await, 2);
    bench.clock.advance(SignedDuration::from_hours(24));
    let bench = bench.reopened().await;
    while stored(&bench).await > 0 {
        tokio::task::yield_now().await;
    }
    bench.end().await;
}

#[tokio::test]
async fn of_one_user_a_hundred_ended_sessions_are_remembered() {
    let bench = TokenBench::new("hundred").await;
    let first = bench.session("ada").await;
    for _ in 0..100 {
        let token = bench.session("ada").await;
        assert_eq!(bench.status(&token, "DELETE", "/sessions/current").await, 204);
    }
    assert_eq!(bench.status(&first, "GET", "/connections").await, 200);
    let token = bench.session("ada").await;
    assert_eq!(bench.status(&token, "DELETE", "/sessions/current").await, 204);
    assert_eq!(bench.status(&token, "GET", "/connections").await, 401);
    assert_eq!(bench.status(&first, "GET", "/connections").await, 401, "all of the user's have ended");
    assert_eq!(bench.status(&bench.session("ada").await, "GET", "/connections").await, 200);
    bench.end().await;
}

/// A body whose second half comes after `between` is done.
fn halves(first: String, second: String, between: impl Future<Output = ()> + Send + 'static) -> Body {
    let second = async move {
        between.await;
        Ok::<_, std::io::Error>(second)
    };
    Body::from_stream(stream::once(async move { Ok(first) }).chain(stream::once(second)))
}

#[tokio::test]
async fn what_is_sent_after_its_session_has_ended_is_refused() {
    let bench = TokenBench::new("late-body").await;
    for path in ["/connections", "/files"] {
        let token = bench.session("ada").await;
        let router = bench.host.router();
        let ending = async move {
            let request = Request::delete("/api/v1/sessions?user=ada").header("authorization", format!("Bearer {KEY}"));
            let ended = router.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
            assert_eq!(ended.status(), StatusCode::NO_CONTENT);
        };
        let (first, second, media_type) = match path {
            "/files" => (
                "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf",
                " and half\r\n--b--\r\n",
                "multipart/form-data; boundary=b",
            ),
            _ => (
                "{\"connector\": \"desk\", \"user\": \"ada\",",
                "\"options\": {\"api_key\": \"k\"}}",
                "application/json",
            ),
        };
        let request = Request::post(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", media_type)
            .body(halves(first.to_owned(), second.to_owned(), ending))
            .expect("a request");
        let answer = bench.host.router().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(bench.ok("GET", "/connections", Value::Null).await["items"], json!([]));
    bench.end().await;
}
