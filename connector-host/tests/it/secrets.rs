//! Secrets, and that they are nowhere but where they belong (L29).

use axum::body::Body;
use connector_test_support::secrets;
use http::Request;
use serde_json::{Value, json};

use crate::desk::{self, Bench, KEY, PLACES, ids};

async fn answer(bench: &Bench, method: &str, path: &str, body: Value) -> Value {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
    let (_, _, body) = desk::answer(&bench.router, request.body(body).expect("a request")).await;
    serde_json::from_slice(&body).unwrap_or_default()
}

/// L29, design 7: a life at trace level leaves no secret in the log, a response, a metric, the feed or the store.
#[tokio::test]
async fn secrets_are_seen_nowhere() {
    let bench = Bench::new("secrets").await;
    let option = "option-secret-4711";
    let changed = "changed-secret-4712";
    let wrong = "wrong";
    secrets::know([option, changed]);
    let made = bench.ok("POST", "/keys", json!({"name": "ci"})).await;
    let session = bench.ok("POST", "/sessions", json!({"user": "ada"})).await;
    let connect = |key: &str| json!({"connector": "desk", "user": "ada", "options": {"api_key": key}});
    let connection = answer(&bench, "POST", "/api/v1/connections", connect(option)).await;
    let id = connection["id"].as_str().expect("an id").to_owned();
    answer(&bench, "POST", "/api/v1/connections", connect(wrong)).await;
    let path = format!("/api/v1/connections/{id}");
    answer(&bench, "PUT", &format!("{path}/channels/a%2Fb%20c"), Value::Null).await;
    answer(&bench, "PUT", &format!("{path}/channels/broken"), Value::Null).await;
    answer(&bench, "PATCH", &path, json!({"options": {"api_key": changed}})).await;
    answer(&bench, "PATCH", &path, json!({"options": {"api_key": changed, "tickets": 0}})).await;
    bench.settled(&id).await;
    let threads = bench.get("/threads").await;
    let note = json!({"user": "ada", "content": "refuse me"});
    answer(&bench, "POST", &format!("/api/v1/threads/{}/notes", ids(&threads)[0]), note).await;
    let (state, channels) = (format!("{path}/state"), format!("{path}/channels"));
    let others = ["/api/v1/connectors", "/api/v1/threads", "/openapi.json", &path, &state, &channels];
    for path in PLACES.iter().copied().chain(others) {
        answer(&bench, "GET", path, Value::Null).await;
    }
    answer(&bench, "DELETE", &path, Value::Null).await;
    let directory = bench.directory.clone();
    bench.host.shutdown().await.expect("an end in order");
    let log = secrets::seen();
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
        assert!(!stored.contains(&secret), "the store has {secret}");
    }
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}
