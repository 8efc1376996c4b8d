//! Who may use which operation, and what a session sees.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Bench, ids};
use crate::document::{Operation, document, operations};
use crate::files::{self, form};

/// Everything of one user that an operation can name.
struct Things {
    connection: String,
    thread: String,
    link: String,
    note: String,
}

async fn things(bench: &Bench, user: &str) -> Things {
    let connection = bench.synced(user).await;
    let threads = bench.get(&format!("/threads?user={user}")).await;
    let thread = ids(&threads)[0].to_owned();
    let link = threads["items"][0]["links"][0]["id"].as_str().expect("a link").to_owned();
    let shown = bench.get(&format!("/threads/{thread}?user={user}")).await;
    let note = shown["notes"][0]["id"].as_str().expect("a note").to_owned();
    Things { connection, thread, link, note }
}

/// A request that would succeed for the owner of these things, acting as `user`.
fn request(operation: &Operation, things: &Things, user: &str) -> (String, Value) {
    let id = match operation.path.split('/').nth(3).unwrap_or_default() {
        "connections" => things.connection.as_str(),
        "threads" => &things.thread,
        "notes" => &things.note,
        "links" => &things.link,
        "schedules" => &format!("{}:one", things.link),
        "tasks" => "tsk_1",
        _ => "desk",
    };
    let path = operation.path.replace("{id}", id).replace("{channel}", "broken").replace("{emoji}", "x");
    let path = path.replace("{contact}", "7").replace("{note}", &things.note).replace("{index}", "1");
    let mut path = path.replace("{name}", "ci").replace("{file}", "fil_1");
    let needs_user = |one: &Value| one["name"] == "user" && one["required"] == true;
    if operation.described["parameters"].as_array().is_some_and(|all| all.iter().any(needs_user)) {
        path.push_str(&format!("?user={user}"));
    }
    if operation.id() == "getAgenda" {
        path.push_str("?from=2026-01-01&to=2026-02-01");
    }
    let body = match operation.id() {
        "createConnection" => json!({"connector": "desk", "user": user, "options": {"api_key": "k"}}),
        "createThread" => {
            json!({"user": user, "connection": things.connection, "channel": "a/b c", "type": "ticket", "title": "T"})
        }
        "createFile" => json!({"user": user}),
        "createSession" => json!({"user": user}),
        "createKey" => json!({"name": "one-more"}),
        "authorizeConnection" => json!({"token": "t"}),
        "updateConnection" => json!({"name": "N"}),
        "createNote" | "editNote" => json!({"user": user, "content": "C"}),
        "updateLink" => json!({"user": user, "status": "closed"}),
        "setRead" => json!({"user": user}),
        "setToDo" => json!({"user": user, "todo": true}),
        "changeContacts" | "retryNote" | "retryLink" | "pressAction" | "setAttendance" => json!({"user": user}),
        _ => Value::Null,
    };
    (path, body)
}

async fn send(bench: &Bench, token: Option<&str>, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    if path == "/api/v1/files" {
        let user = body["user"].as_str().unwrap_or_default();
        let form = form(&[("name=\"user\"", user), ("name=\"file\"; filename=\"a\"", "x")]);
        let mut upload = files::request(token.unwrap_or_default(), form);
        if token.is_none() {
            upload.headers_mut().remove("authorization");
        }
        return bench.raw(upload).await;
    }
    let request = Request::builder().method(method.to_uppercase().as_str()).uri(path);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    bench.raw(request.body(body).expect("a request")).await
}

async fn session(bench: &Bench, user: &str) -> String {
    let session = bench.ok("POST", "/sessions", json!({"user": user})).await;
    session["token"].as_str().expect("a token").to_owned()
}

/// Design 6.2: no key, no answer; another user's things are not there for a session, and nobody acts
/// as another. For every operation of the document.
#[tokio::test]
async fn every_operation_asks_who_calls() {
    let bench = Bench::new("access").await;
    let adas = things(&bench, "ada").await;
    let bob = session(&bench, "bob").await;
    let before = bench.get("/changes?limit=1000").await["next"].clone();
    // What anyone with a session may look at.
    let open = ["listConnectors", "getConnector"];
    let lists = ["listConnections", "listThreads", "listChanges", "getAgenda"];
    // Acting for himself.
    let own = ["createConnection", "createFile"];
    for operation in operations(&document(&bench).await) {
        let id = operation.id();
        if !operation.needs_key() {
            assert!(!operation.path.starts_with("/api/v1"), "{id}");
            continue;
        }
        // Which would end the session that this test goes on with; it is its own anyway.
        if id == "endSession" {
            continue;
        }
        let (path, body) = request(&operation, &adas, "ada");
        for wrong in [None, Some("wrong"), Some("cs_wrong"), Some("")] {
            let (status, problem) = send(&bench, wrong, &operation.method, &path, &body).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{id} {wrong:?}: {problem}");
        }
        // As himself at what is Ada's, and as Ada.
        for user in ["bob", "ada"] {
            if own.contains(&id) && user == "bob" {
                continue;
            }
            let (path, body) = request(&operation, &adas, user);
            let (status, answer) = send(&bench, Some(&bob), &operation.method, &path, &body).await;
            if operation.operator_only() {
                assert_eq!(status, StatusCode::FORBIDDEN, "{id}: {answer}");
            } else if open.contains(&id) {
                assert_eq!(status, StatusCode::OK, "{id}: {answer}");
            } else if lists.contains(&id) {
                assert_eq!(status, StatusCode::OK, "{id}: {answer}");
                assert_eq!(answer["items"], json!([]), "{id}");
            } else {
                let refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status);
                assert!(refused, "{id} as {user}: {status} {answer}");
            }
            for word in ["Ticket 1", "Grace", &adas.connection] {
                let data = answer["items"].to_string() + &answer["data"].to_string();
                assert!(!data.contains(word), "{id}: {answer}");
            }
        }
    }
    for (path, status) in [
        ("/connections?user=ada".to_owned(), 403),
        ("/threads?user=ada".to_owned(), 403),
        (format!("/threads?connection={}", adas.connection), 404),
        (format!("/threads/{}?user=ada", adas.thread), 403),
        (format!("/connections/{}/channels?stored=true", adas.connection), 404),
    ] {
        let (found, problem) = send(&bench, Some(&bob), "get", &format!("/api/v1{path}"), &Value::Null).await;
        assert_eq!(found.as_u16(), status, "{path}: {problem}");
    }
    let after = bench.get(&format!("/changes?limit=1000&after={before}")).await;
    assert_eq!(after["items"], json!([]), "nothing was changed");
    bench.end().await;
}

/// Design 6.2: a session sees and does what its user may, and ends.
#[tokio::test]
async fn a_session_is_its_users_view() {
    let bench = Bench::new("session").await;
    let adas = things(&bench, "ada").await;
    let bobs = things(&bench, "bob").await;
    let ada = session(&bench, "ada").await;
    let get = async |path: &str| {
        let (status, answer) = send(&bench, Some(&ada), "get", &format!("/api/v1{path}"), &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    };
    assert_eq!(ids(&get("/connections").await), [adas.connection.as_str()]);
    let threads = get("/threads").await;
    assert_eq!(ids(&threads).len(), 3);
    assert_eq!(threads["items"][0]["marks"]["user"], "ada");
    assert!(!threads.to_string().contains(&format!("\"{}\"", bobs.connection)), "{threads}");
    let thread = get(&format!("/threads/{}", adas.thread)).await;
    assert!(!thread.to_string().contains(&bobs.connection), "{thread}");
    let note = json!({"user": "ada", "content": "Mine."});
    let path = format!("/api/v1/threads/{}/notes", adas.thread);
    let (status, written) = send(&bench, Some(&ada), "post", &path, &note).await;
    assert_eq!(status, StatusCode::CREATED, "{written}");
    assert_eq!(written["connection"], json!(adas.connection));
    let written = format!("/notes/{}", written["id"].as_str().expect("an id"));
    bench.until(&written, |note| note["delivery"]["state"] == "delivered").await;
    // Nor through what both see: Bob's view of the item is not hers to write to.
    let note = json!({"user": "ada", "content": "Mine.", "link": bobs.link});
    assert_eq!(send(&bench, Some(&ada), "post", &path, &note).await.0, StatusCode::NOT_FOUND);
    // Of the feed, her own.
    let changes = get("/changes?limit=1000").await;
    let entries = changes["items"].as_array().expect("items");
    assert!(entries.iter().all(|entry| entry["connection"] == json!(adas.connection)), "{changes}");
    assert!(entries.iter().any(|entry| entry["kind"] == "note"));
    let mut position = 0;
    let mut seen = Vec::new();
    loop {
        let page = get(&format!("/changes?limit=1&after={position}")).await;
        seen.extend(page["items"].as_array().expect("items").iter().map(|entry| entry["position"].clone()));
        let next = page["next"].as_u64().expect("a position");
        if next == position {
            break;
        }
        position = next;
    }
    let all: Vec<_> = entries.iter().map(|entry| entry["position"].clone()).collect();
    assert_eq!(seen, all);
    // It is no key, and cannot be changed into another's.
    let (status, _) = send(&bench, Some(&ada), "post", "/api/v1/sessions", &json!({"user": "ada"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let forged = format!("{}A", &ada[..ada.len() - 1]);
    if forged != ada {
        assert_eq!(send(&bench, Some(&forged), "get", "/api/v1/connections", &Value::Null).await.0, 401);
    }
    bench.refused("POST", "/sessions", json!({"user": "ada", "seconds": 0}), 422).await;
    bench.refused("POST", "/sessions", json!({"user": "ada", "seconds": 100_000}), 422).await;
    bench.refused("POST", "/sessions", json!({"user": " "}), 422).await;
    bench.end().await;
}
