//! What every request passes: idempotency, limits, headers; and what the host tells of itself.

use std::num::NonZeroU32;

use axum::body::{Body, Bytes};
use axum::response::Response;
use connector_core::registry::Registry;
use connector_host::Config;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{Bench, Desk, KEY, ids};

async fn send(bench: &Bench, request: http::request::Builder, body: Value) -> Response {
    let request = match request.headers_ref().is_some_and(|headers| headers.contains_key("authorization")) {
        true => request,
        false => request.header("authorization", format!("Bearer {KEY}")),
    };
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    bench.router.clone().oneshot(request.body(body).expect("a request")).await.expect("an answer")
}

async fn bytes(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body")
}

async fn post(bench: &Bench, path: &str, key: &str, body: Value) -> (StatusCode, bool, Value) {
    let request = Request::post(format!("/api/v1{path}")).header("idempotency-key", key);
    let response = send(bench, request, body).await;
    let (status, replayed) = (response.status(), response.headers().contains_key("idempotency-replayed"));
    (status, replayed, serde_json::from_slice(&bytes(response).await).unwrap_or_default())
}

/// Design 6.2: a POST that is sent again with its key is done once, and answered as it was.
#[tokio::test]
async fn a_request_that_is_sent_again_is_done_once() {
    let bench = Bench::new("idempotency").await;
    let ada = json!({"connector": "desk", "user": "ada", "options": {"api_key": "k"}});
    let (status, replayed, first) = post(&bench, "/connections", "one", ada.clone()).await;
    assert_eq!((status, replayed), (StatusCode::CREATED, false), "{first}");
    let (status, replayed, again) = post(&bench, "/connections", "one", ada.clone()).await;
    assert_eq!((status, replayed), (StatusCode::CREATED, true));
    assert_eq!(first, again);
    assert_eq!(ids(&bench.get("/connections").await).len(), 1);
    let bob = json!({"connector": "desk", "user": "bob", "options": {"api_key": "k"}});
    let (status, _, problem) = post(&bench, "/connections", "one", bob).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["type"], "urn:connectors:problem:idempotency-key-reused");
    // A problem is an answer too; another path, another caller and another key are other requests.
    let wrong = json!({"name": "two words"});
    assert_eq!(post(&bench, "/keys", "one", wrong.clone()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(post(&bench, "/keys", "one", wrong).await.1);
    let (status, replayed, _) = post(&bench, "/connections", "two", ada.clone()).await;
    assert_eq!((status, replayed), (StatusCode::CREATED, false));
    for bad in ["", &"x".repeat(256)] {
        assert_eq!(post(&bench, "/connections", bad, ada.clone()).await.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(ids(&bench.get("/connections").await).len(), 2);
    // What was answered is not readable in the store.
    let made = post(&bench, "/keys", "four", json!({"name": "secret"})).await.2;
    let key = made["key"].as_str().expect("a key").to_owned();
    let directory = bench.directory.clone();
    bench.host.shutdown().await.expect("an end in order");
    for file in std::fs::read_dir(&directory).expect("a directory") {
        let stored = std::fs::read(file.expect("a file").path()).expect("it is read");
        assert!(!stored.windows(key.len()).any(|part| part == key.as_bytes()), "the key is in the store");
    }
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

/// Design 6.2: each caller has a number of requests, which come back.
#[tokio::test]
async fn one_request_too_many_is_refused() {
    let bench = Bench::with("limits", |config| {
        config.limits.session_requests = NonZeroU32::new(1);
        config.limits.key_requests = NonZeroU32::new(100_000);
    })
    .await;
    let session = bench.ok("POST", "/sessions", json!({"user": "ada"})).await;
    let token = format!("Bearer {}", session["token"].as_str().expect("a token"));
    let mut refused = None;
    for _ in 0..50 {
        let request = Request::get("/api/v1/connectors").header("authorization", &token);
        let response = send(&bench, request, Value::Null).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(response);
            break;
        }
        assert_eq!(response.status(), StatusCode::OK);
    }
    let refused = refused.expect("it is refused at some time");
    assert!(refused.headers()["retry-after"].to_str().expect("text").parse::<u64>().expect("seconds") >= 1);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    // Another session of the same user has no more; another caller has their own.
    let session = bench.ok("POST", "/sessions", json!({"user": "ada"})).await;
    let token = format!("Bearer {}", session["token"].as_str().expect("a token"));
    let request = Request::get("/api/v1/connectors").header("authorization", &token);
    assert_eq!(send(&bench, request, Value::Null).await.status(), StatusCode::TOO_MANY_REQUESTS);
    bench.get("/connectors").await;
    bench.end().await;
}

/// Design 7: data is not cached, nothing is a page, and a request can be found in the log.
#[tokio::test]
async fn every_response_has_its_headers() {
    let bench = Bench::new("headers").await;
    for path in ["/api/v1/connections", "/api/v1/nothing", "/healthz", "/nothing", "/openapi.json"] {
        let response = send(&bench, Request::get(path), Value::Null).await;
        let headers = response.headers();
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers["content-security-policy"].to_str().expect("text").contains("frame-ancestors 'none'"));
        assert_eq!(headers["x-request-id"].len(), 32, "{path}");
    }
    let request = Request::get("/healthz").header("x-request-id", "trace-7.a_B");
    assert_eq!(send(&bench, request, Value::Null).await.headers()["x-request-id"], "trace-7.a_B");
    let request = Request::get("/healthz").header("x-request-id", "a b");
    assert_ne!(send(&bench, request, Value::Null).await.headers()["x-request-id"], "a b");
    bench.end().await;
}

/// R7.3: the metrics count runs by outcome, and what waits; design 6.2: they are there for a scraper.
#[tokio::test]
async fn metrics_tell_what_runs_and_waits() {
    let bench = Bench::new("metrics").await;
    bench.synced("ada").await;
    let parts = [("name=\"user\"", "ada"), ("name=\"file\"; filename=\"a.txt\"", "x")];
    let upload = crate::files::request(KEY, crate::files::form(&parts));
    assert_eq!(bench.raw(upload).await.0, StatusCode::CREATED);
    let response = send(&bench, Request::get("/metrics"), Value::Null).await;
    assert_eq!(response.status(), StatusCode::OK);
    let text = String::from_utf8(bytes(response).await.to_vec()).expect("text");
    for line in [
        "connectors_dispatches_total{connector=\"desk\",callback=\"sync tickets\",outcome=\"ok\"} ",
        "connectors_dispatch_seconds_bucket{connector=\"desk\",callback=\"sync tickets\",le=\"0.001\"} ",
        "connectors_tasks{state=\"waiting\"} ",
        "connectors_oldest_task_seconds ",
        "connectors_commit_group_sets_count ",
        "connectors_stored{kind=\"connections\"} ",
        "connectors_stored{kind=\"files\"} 1\n",
        "connectors_http_requests_total{method=\"POST\",route=\"/api/v1/connections\",status=\"201\"} ",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("con_"), "what one connection does has no label of its own");
    bench.end().await;
}

/// Design 6.2: it is ready while it can write and work, and says why it is not.
#[tokio::test]
async fn readiness_means_it() {
    let bench = Bench::new("ready").await;
    assert_eq!(send(&bench, Request::get("/readyz"), Value::Null).await.status(), StatusCode::OK);
    bench.host.shutdown().await.expect("an end in order");
    let response = send(&bench, Request::get("/readyz"), Value::Null).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = serde_json::from_slice(&bytes(response).await).expect("JSON");
    assert_eq!(problem["type"], "urn:connectors:problem:stopping", "{problem}");
    assert_eq!(send(&bench, Request::get("/healthz"), Value::Null).await.status(), StatusCode::OK);
    // The process runs, and its store is gone.
    let bench = Bench::new("ready").await;
    bench.host.runtime().ports().engine.close().await.expect("it closes");
    let response = send(&bench, Request::get("/readyz"), Value::Null).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = serde_json::from_slice(&bytes(response).await).expect("JSON");
    assert_eq!(problem["type"], "urn:connectors:problem:store-failed", "{problem}");
    assert_eq!(send(&bench, Request::get("/healthz"), Value::Null).await.status(), StatusCode::OK);
    bench.host.shutdown().await.ok();
    std::fs::remove_dir_all(&bench.directory).expect("the directory goes");
}

/// Design 6.2: workers that have ended, here with the runtime that they were started on, are not said to work.
#[tokio::test]
async fn a_host_whose_workers_have_ended_is_not_ready() {
    let opened = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let bench = runtime.block_on(Bench::new("workers"));
        runtime.block_on(async {
            assert_eq!(send(&bench, Request::get("/readyz"), Value::Null).await.status(), StatusCode::OK);
        });
        bench
    });
    let bench = opened.join().expect("it opened");
    let response = send(&bench, Request::get("/readyz"), Value::Null).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = serde_json::from_slice(&bytes(response).await).expect("JSON");
    assert_eq!(problem["type"], "urn:connectors:problem:workers-ended", "{problem}");
    assert_eq!(send(&bench, Request::get("/healthz"), Value::Null).await.status(), StatusCode::OK);
    bench.end().await;
}

/// Design 6.2: a stream goes on after the last event that its client has seen.
#[tokio::test]
async fn a_stream_of_changes_is_resumed() {
    let bench = Bench::new("resume").await;
    bench.synced("ada").await;
    let all = bench.get("/changes?limit=1000").await;
    let positions: Vec<_> =
        all["items"].as_array().expect("items").iter().filter_map(|item| item["position"].as_u64()).collect();
    let request = Request::get("/api/v1/changes?after=0")
        .header("accept", "text/event-stream")
        .header("last-event-id", positions[2].to_string());
    let mut events = send(&bench, request, Value::Null).await.into_body().into_data_stream();
    for position in &positions[3..6] {
        let event = events.next().await.expect("an event").expect("no error");
        let event = String::from_utf8(event.to_vec()).expect("text");
        assert!(event.starts_with(&format!("id: {position}\n")), "{event}");
    }
    drop(events);
    bench.end().await;
}

/// Design 6.2: the feed does not grow for ever, and who comes too late is told so.
#[tokio::test]
async fn a_position_that_is_gone_is_a_problem() {
    let bench = Bench::new("trim").await;
    bench.synced("ada").await;
    let end = bench.get("/changes?limit=1000").await["next"].as_u64().expect("a position");
    bench.host.shutdown().await.expect("an end in order");
    let mut settings = Config::default();
    settings.limits.feed_entries = NonZeroU32::new(3);
    let bench = Bench::on(bench.directory, settings, Registry::of::<Desk>().expect("a registry")).await;
    let mut answer = (StatusCode::OK, Value::Null);
    for _ in 0..100_000 {
        answer = bench.ask("GET", "/changes?after=1", Value::Null).await;
        if answer.0 == StatusCode::GONE {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(answer.0, StatusCode::GONE);
    assert_eq!(answer.1["type"], "urn:connectors:problem:position-gone");
    let kept = bench.get(&format!("/changes?after={}", end - 2)).await;
    assert_eq!(kept["items"].as_array().expect("items").len(), 2);
    assert_eq!(bench.get("/changes").await["items"].as_array().expect("items").len(), 3, "0 is whatever is there");
    let request = Request::get("/api/v1/changes").header("accept", "text/event-stream").header("last-event-id", "1");
    assert_eq!(send(&bench, request, Value::Null).await.status(), StatusCode::GONE);
    bench.end().await;
}
