//! What one caller may use, and callers without a key (L50). `docs/limits.md` is the table of these bounds.

use std::num::NonZeroU32;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{Bench, KEY, poll_once};
use crate::files::{form, request as upload};

async fn token(bench: &Bench, user: &str) -> String {
    let session = bench.ok("POST", "/sessions", json!({"user": user})).await;
    session["token"].as_str().expect("a token").to_owned()
}

async fn send(bench: &Bench, request: Request<Body>) -> Response {
    bench.router.clone().oneshot(request).await.expect("an answer")
}

fn get(token: &str, path: &str) -> Request<Body> {
    let request = Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).expect("a request")
}

fn events(token: &str) -> Request<Body> {
    let mut request = get(token, "/changes?after=0");
    request.headers_mut().insert("accept", "text/event-stream".parse().expect("a value"));
    request
}

/// The answer names the bound's setting, and says when to try again.
async fn assert_bound(response: Response, setting: &str) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = response.headers()["retry-after"].to_str().expect("text").parse::<u64>().expect("seconds");
    assert!(wait >= 1);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    let problem: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(problem["detail"].as_str().expect("text").contains(&format!("`{setting}`")), "{problem}");
}

/// A made-up method is a series `other`, however many there are.
#[tokio::test]
async fn made_up_methods_share_one_series() {
    let bench = Bench::new("bounds-methods").await;
    for number in 0..50 {
        let request = Request::builder().method(format!("MADEUP{number}").as_str()).uri("/healthz");
        let response = send(&bench, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    let response = send(&bench, Request::get("/metrics").body(Body::empty()).expect("a request")).await;
    let text = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    let text = String::from_utf8(text.to_vec()).expect("text");
    assert!(!text.contains("MADEUP"));
    assert!(text.contains("connectors_http_requests_total{method=\"other\",route=\"/healthz\",status=\"405\"}"));
    bench.end().await;
}

/// A request counts until it has ended, also when its caller has gone; another caller has their own.
#[tokio::test]
async fn one_request_too_many_at_once_is_refused() {
    let bench = Bench::with("bounds-requests", |config| config.limits.session_concurrency = NonZeroU32::new(1)).await;
    let (ada, bob) = (token(&bench, "ada").await, token(&bench, "bob").await);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let rest = stream::once(async move {
        ended.await.ok();
        Err::<Bytes, _>(std::io::Error::other("the caller is gone"))
    });
    let body = stream::once(async { Ok(Bytes::from(form(&[("name=\"user\"", "ada")])[..60].to_owned())) }).chain(rest);
    let mut held = Box::pin(bench.router.clone().oneshot(upload(&ada, Body::from_stream(body))));
    assert!(poll_once(&mut held).await.is_pending());
    drop(held);
    assert_bound(send(&bench, get(&ada, "/connectors")).await, "limits.session_concurrency").await;
    assert_eq!(send(&bench, get(&bob, "/connectors")).await.status(), StatusCode::OK);
    end.send(()).expect("it is waited for");
    for _ in 0..100_000 {
        if send(&bench, get(&ada, "/connectors")).await.status() == StatusCode::OK {
            bench.end().await;
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the upload has ended, and still counts");
}

/// Streams of changes have a bound of their own, which counts requests that wait for a change too.
#[tokio::test]
async fn one_stream_too_many_is_refused() {
    let bench = Bench::with("bounds-streams", |config| {
        config.limits.session_streams = NonZeroU32::new(1);
        config.limits.session_concurrency = NonZeroU32::new(1);
    })
    .await;
    let ada = token(&bench, "ada").await;
    let first = send(&bench, events(&ada)).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_bound(send(&bench, events(&ada)).await, "limits.session_streams").await;
    assert_bound(send(&bench, get(&ada, "/changes?wait=9")).await, "limits.session_streams").await;
    for path in ["/connectors", "/changes", "/changes?wait=0"] {
        assert_eq!(send(&bench, get(&ada, path)).await.status(), StatusCode::OK, "{path} is no stream");
    }
    drop(first);
    assert_eq!(send(&bench, events(&ada)).await.status(), StatusCode::OK);
    bench.end().await;
}

/// Of one user, so many bytes of files are kept that no note has.
#[tokio::test]
async fn uploads_that_no_note_uses_are_bounded() {
    let bench = Bench::with("bounds-uploads", |config| {
        config.limits.unused_file_bytes = NonZeroU32::new(1_000_000);
    })
    .await;
    bench.synced("ada").await;
    let file = "x".repeat(600_000);
    const FILE: &str = "name=\"file\"; filename=\"a.txt\"";
    let send_file = async |user: &str, first: bool| {
        let user = ("name=\"user\"", user);
        let parts = if first { [user, (FILE, file.as_str())] } else { [(FILE, file.as_str()), user] };
        send(&bench, upload(KEY, form(&parts))).await
    };
    let kept = send_file("ada", true).await;
    assert_eq!(kept.status(), StatusCode::CREATED);
    let body = axum::body::to_bytes(kept.into_body(), usize::MAX).await.expect("a body");
    let kept: Value = serde_json::from_slice(&body).expect("JSON");
    for first in [true, false] {
        assert_bound(send_file("ada", first).await, "limits.unused_file_bytes").await;
    }
    assert_eq!(send_file("bob", false).await.status(), StatusCode::CREATED);
    // Two at a time count together.
    let (one, two) = tokio::join!(send_file("cyd", true), send_file("cyd", false));
    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert_ne!(statuses, [201, 201]);
    // What is on a note does not count.
    let thread = bench.get("/threads?user=ada").await["items"][0]["id"].as_str().expect("a thread").to_owned();
    let note = json!({"user": "ada", "attachments": [kept["id"]]});
    bench.ok("POST", &format!("/threads/{thread}/notes"), note).await;
    assert_eq!(send_file("ada", true).await.status(), StatusCode::CREATED);
    bench.end().await;
}

/// A stream has what other users do not see left out, and reads nothing again that another has read.
#[tokio::test]
async fn streams_of_users_have_what_is_theirs() {
    let bench = Bench::new("bounds-recent").await;
    bench.synced("ada").await;
    let bob = token(&bench, "bob").await;
    let end = bench.get("/changes?limit=1000").await["next"].as_u64().expect("a position");
    let path = format!("/changes?after={end}&wait=30");
    let (ours, all) = (get(&bob, &path), get(KEY, &path));
    let waiting = tokio::spawn({
        let router = bench.router.clone();
        async move { router.oneshot(ours).await.expect("an answer") }
    });
    let all = tokio::spawn({
        let router = bench.router.clone();
        async move { router.oneshot(all).await.expect("an answer") }
    });
    tokio::task::yield_now().await;
    let thread = bench.get("/threads?user=ada").await["items"][0]["id"].as_str().expect("a thread").to_owned();
    bench.ok("POST", &format!("/threads/{thread}/notes"), json!({"user": "ada", "content": "for ada"})).await;
    let read = async |response: Response| {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        serde_json::from_slice::<Value>(&body).expect("JSON")
    };
    let all = read(all.await.expect("no panic")).await;
    assert!(!all["items"].as_array().expect("items").is_empty());
    let made = bench.connect("bob").await;
    let found = read(waiting.await.expect("no panic")).await;
    let seen: Vec<_> = found["items"].as_array().expect("items").iter().map(|item| &item["connection"]).collect();
    assert!(!seen.is_empty() && seen.iter().all(|connection| **connection == json!(made)), "{found}");
    // What is gone is not told of any more, also by what was read before.
    bench.ok("DELETE", &format!("/connections/{made}"), Value::Null).await;
    let after = format!("/changes?after={end}&limit=1000");
    let left = bench.get(&after).await;
    let of_bob = left["items"].as_array().expect("items").iter().filter(|item| item["connection"] == json!(made));
    for item in of_bob {
        assert_eq!(item["data"], Value::Null, "{item}");
    }
    bench.end().await;
}
