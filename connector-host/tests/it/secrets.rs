//! Secrets, and that they are nowhere but where they belong (L29).

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::desk::{Bench, KEY, ids};

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Every answer that was given, but for those that hand out a secret.
async fn answer(bench: &Bench, seen: &mut String, method: &str, path: &str, body: Value) -> Value {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
    let response = bench.router.clone().oneshot(request.body(body).expect("a request")).await.expect("an answer");
    seen.push_str(&format!("{method} {path} {:?}\n", response.headers()));
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    seen.push_str(&String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap_or_default()
}

/// L29, design 7: a life at trace level leaves no secret in the log, a response, a metric, the feed or the store.
#[tokio::test]
async fn secrets_are_seen_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(log.clone())
        .finish();
    // Other tests run in processes of their own.
    tracing::subscriber::set_global_default(subscriber).expect("the first");
    let bench = Bench::new("secrets").await;
    let mut seen = String::new();
    let option = "option-secret-4711";
    let changed = "changed-secret-4712";
    let wrong = "wrong";
    let made = bench.ok("POST", "/keys", json!({"name": "ci"})).await;
    let session = bench.ok("POST", "/sessions", json!({"user": "ada"})).await;
    let connect = |key: &str| json!({"connector": "desk", "user": "ada", "options": {"api_key": key}});
    let connection = answer(&bench, &mut seen, "POST", "/api/v1/connections", connect(option)).await;
    let id = connection["id"].as_str().expect("an id").to_owned();
    answer(&bench, &mut seen, "POST", "/api/v1/connections", connect(wrong)).await;
    let path = format!("/api/v1/connections/{id}");
    answer(&bench, &mut seen, "PUT", &format!("{path}/channels/a%2Fb%20c"), Value::Null).await;
    answer(&bench, &mut seen, "PUT", &format!("{path}/channels/broken"), Value::Null).await;
    answer(&bench, &mut seen, "PATCH", &path, json!({"options": {"api_key": changed}})).await;
    answer(&bench, &mut seen, "PATCH", &path, json!({"options": {"api_key": changed, "tickets": 0}})).await;
    bench.settled(&id).await;
    let threads = bench.get("/threads").await;
    let note = json!({"user": "ada", "content": "refuse me"});
    answer(&bench, &mut seen, "POST", &format!("/api/v1/threads/{}/notes", ids(&threads)[0]), note).await;
    for path in [
        "/api/v1/connections",
        "/api/v1/connectors",
        "/api/v1/keys",
        "/api/v1/tasks",
        "/api/v1/tasks?state=dead",
        "/api/v1/threads",
        "/api/v1/changes?limit=1000",
        "/metrics",
        "/openapi.json",
        "/readyz",
        &path,
        &format!("{path}/state"),
        &format!("{path}/channels"),
    ] {
        answer(&bench, &mut seen, "GET", path, Value::Null).await;
    }
    answer(&bench, &mut seen, "DELETE", &path, Value::Null).await;
    let directory = bench.directory.clone();
    bench.host.shutdown().await.expect("an end in order");
    let log = String::from_utf8_lossy(&log.0.lock().expect("nobody panics")).into_owned();
    // R7.3: what runs and for whom stands in every line that is written meanwhile.
    for span in [
        format!("dispatch{{connector=\"desk\" connection={id} name=\"sync tickets\" task=tsk_"),
        format!("dispatch{{connector=\"desk\" connection={id} name=\"on_note_created\" task=tsk_"),
        "request{method=POST route=\"/api/v1/connections\" id=\"".to_owned(),
    ] {
        let line = log.lines().find(|line| line.contains(&span));
        let line = line.unwrap_or_else(|| panic!("no {span}: {}", log.chars().take(4_000).collect::<String>()));
        assert!(!span.starts_with("dispatch") || line.contains("attempt=1}"), "{line}");
    }
    let mut stored = Vec::new();
    for file in std::fs::read_dir(&directory).expect("a directory") {
        stored.extend(std::fs::read(file.expect("a file").path()).expect("it is read"));
    }
    let stored = String::from_utf8_lossy(&stored);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    for secret in [KEY.to_owned(), option.to_owned(), changed.to_owned(), text(&made["key"]), text(&session["token"])] {
        assert!(!log.contains(&secret), "the log has {secret}");
        assert!(!seen.contains(&secret), "a response has {secret}");
        assert!(!stored.contains(&secret), "the store has {secret}");
    }
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}
