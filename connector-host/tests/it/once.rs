//! Requests that a caller gives up, or sends again, are done once (L49).

use axum::body::Body;
use axum::response::Response;
use connector_core::registry::Registry;
use connector_host::Host;
use connector_host::engine::sqlite::Durability;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{Bench, Desk, KEY, config, directory, ids, poll_once};

fn request(method: &str, path: &str, key: Option<&str>, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    let request = request.header("authorization", format!("Bearer {KEY}"));
    let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
    request.body(Body::from(body.to_string())).expect("a request")
}

fn connecting(user: &str) -> Value {
    json!({"connector": "desk", "user": user, "options": {"api_key": "k"}})
}

async fn read(response: Response) -> (StatusCode, bool, Value) {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let replayed = parts.headers.contains_key("idempotency-replayed");
    (parts.status, replayed, serde_json::from_slice(&body).unwrap_or_default())
}

async fn send(bench: &Bench, request: Request<Body>) -> (StatusCode, bool, Value) {
    read(bench.router.clone().oneshot(request).await.expect("an answer")).await
}

/// Sends a request and goes away after so many steps of it.
async fn give_up(bench: &Bench, request: Request<Body>, steps: usize) {
    let mut answer = Box::pin(bench.router.clone().oneshot(request));
    for _ in 0..=steps {
        if poll_once(&mut answer).await.is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A caller who goes away, at whatever moment, finds the request done when they send it again.
#[tokio::test]
async fn a_request_that_was_given_up_is_answered_when_sent_again() {
    let bench = Bench::new("once-given-up").await;
    for steps in 0..30 {
        let (user, key) = (format!("user-{steps}"), format!("key-{steps}"));
        give_up(&bench, request("POST", "/connections", Some(&key), &connecting(&user)), steps).await;
        let (status, _, answer) = send(&bench, request("POST", "/connections", Some(&key), &connecting(&user))).await;
        assert_eq!(status, StatusCode::CREATED, "after {steps} steps: {answer}");
        let found = bench.get(&format!("/connections?user={user}")).await;
        assert_eq!(ids(&found), [answer["id"].as_str().expect("an id")], "after {steps} steps");
    }
    bench.end().await;
}

/// A request without a key goes on too, and what follows from it: here, that the task of the note runs.
#[tokio::test]
async fn a_request_without_a_key_that_was_given_up_is_done() {
    let bench = Bench::new("once-without").await;
    bench.synced("ada").await;
    let thread = bench.get("/threads?user=ada").await["items"][0]["id"].as_str().expect("a thread").to_owned();
    for steps in 0..30 {
        let note = json!({"user": "ada", "content": format!("note {steps}")});
        give_up(&bench, request("POST", &format!("/threads/{thread}/notes"), None, &note), steps).await;
    }
    let delivered = |thread: &Value| {
        let notes = thread["notes"].as_array().expect("notes").iter();
        notes.filter(|note| note["delivery"]["state"] == "delivered").count() == 30
    };
    bench.until(&format!("/threads/{thread}"), delivered).await;
    bench.end().await;
}

/// The same request that comes while it is being done waits for its answer; another with its key is refused.
#[tokio::test]
async fn the_same_request_at_the_same_time_gets_the_same_answer() {
    let bench = Bench::new("once-at-once").await;
    let post = |user: &str| send(&bench, request("POST", "/connections", Some("key"), &connecting(user)));
    let (one, two, other) = tokio::join!(post("ada"), post("ada"), post("bob"));
    assert_eq!((one.0, two.0), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(one.2, two.2);
    assert_ne!(one.1, two.1, "one of the two is a repetition");
    assert_eq!(other.2["type"], "urn:connectors:problem:idempotency-key-reused");
    assert_eq!(ids(&bench.get("/connections").await).len(), 1);
    bench.end().await;
}

/// A host that stops with its runtime at any moment of a request has done it once, or leaves it free to be done.
#[test]
fn a_crash_leaves_a_request_done_once_or_free() {
    for steps in 0..16 {
        let directory = directory(&format!("once-crash-{steps}"));
        let open = async || {
            let mut config = config(&directory);
            // It is not the machine that crashes.
            config.durability = Durability::Relaxed;
            Host::open(config, Registry::of::<Desk>().expect("a registry")).await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let host = open().await.expect("a host");
            let request = request("POST", "/connections", Some("key"), &connecting("ada"));
            let mut answer = Box::pin(host.router().oneshot(request));
            assert!(poll_once(&mut answer).await.is_pending());
            if steps % 2 == 0 {
                // Parts of the way are in other threads, and take their time.
                for _ in 0..1 << steps {
                    tokio::task::yield_now().await;
                }
                return;
            }
            // It is done, and its answer is not kept yet.
            let engine = &host.runtime().ports().engine;
            while engine.connections(Some("ada".into()), None, None, 1).await.expect("it is read").is_empty() {}
        });
        // The tasks end where they are.
        drop(runtime);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let host = open().await.expect("the host again");
            let router = host.router();
            let again = request("POST", "/connections", Some("key"), &connecting("ada"));
            let (status, _, answer) = read(router.clone().oneshot(again).await.expect("an answer")).await;
            let list = request("GET", "/connections", None, &Value::Null);
            let (_, _, list) = read(router.oneshot(list).await.expect("an answer")).await;
            assert_eq!(ids(&list).len(), 1, "after {steps} steps: {answer}");
            match status {
                StatusCode::CREATED => assert_eq!(list["items"][0]["id"], answer["id"]),
                _ => assert_eq!(answer["type"], "urn:connectors:problem:idempotency-answer-lost"),
            }
            host.shutdown().await.expect("an end in order");
        });
        std::fs::remove_dir_all(&directory).expect("the directory goes");
    }
}

/// What is kept of an answer is bounded: a problem by what it repeats, another by its short fields.
#[tokio::test]
async fn a_large_answer_is_kept_without_its_long_fields() {
    let bench = Bench::new("once-large").await;
    bench.synced("ada").await;
    let name = "x".repeat(900_000);
    let wrong = json!({"connector": "desk", "user": "ada", (name.as_str()): 1});
    let (status, _, problem) = send(&bench, request("POST", "/connections", Some("wrong"), &wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem.to_string().len() < 5_000, "{} bytes", problem.to_string().len());
    assert!(problem["detail"].as_str().expect("text").contains("unknown field"), "{problem}");
    assert!(send(&bench, request("POST", "/connections", Some("wrong"), &wrong)).await.1);
    let path = format!("/{}", "y".repeat(50_000));
    assert!(send(&bench, request("GET", &path, None, &Value::Null)).await.2.to_string().len() < 5_000);
    let many: serde_json::Map<_, _> = (0..20_000).map(|field| (format!("field-{field}"), json!(1))).collect();
    let options = json!({"connector": "desk", "user": "ada", "options": many});
    let (status, _, problem) = send(&bench, request("POST", "/connections", None, &options)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem.to_string().len() < 30_000, "{} bytes", problem.to_string().len());

    let thread = bench.get("/threads?user=ada").await["items"][0]["id"].as_str().expect("a thread").to_owned();
    let note = json!({"user": "ada", "content": "z".repeat(300_000)});
    let posted = || request("POST", &format!("/threads/{thread}/notes"), Some("large"), &note);
    let (status, _, whole) = send(&bench, posted()).await;
    assert_eq!(status, StatusCode::CREATED);
    let again = bench.router.clone().oneshot(posted()).await.expect("an answer");
    assert_eq!(again.headers()["idempotency-answer"], "reduced");
    let (status, replayed, reduced) = read(again).await;
    assert_eq!((status, replayed), (StatusCode::CREATED, true));
    assert_eq!((&reduced["id"], &reduced["content"]), (&whole["id"], &Value::Null));
    let engine = &bench.host.runtime().ports().engine;
    for (name, kept) in engine.settings("idempotency/".to_owned()).await.expect("the store is read") {
        assert!(kept.len() < 20_000, "{name} has {} bytes", kept.len());
    }
    bench.end().await;
}
