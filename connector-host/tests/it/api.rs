//! The HTTP API of a host on a real database, with a connector that needs no service.

use axum::body::Body;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_host::{Config, Host, HostError};
use futures_util::StreamExt;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{Bench, Desk, KEY, config, directory, ids};

/// Design 6.2: no key, no answer; keys are made, used and revoked.
#[tokio::test]
async fn only_a_valid_key_opens_the_api() {
    let bench = Bench::new("keys").await;
    let with = |key: Option<&str>| {
        let request = Request::builder().uri("/api/v1/connections");
        let request = match key {
            Some(key) => request.header("authorization", key),
            None => request,
        };
        request.body(Body::empty()).expect("a request")
    };
    for wrong in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic YTpi"), Some(KEY)] {
        let (status, problem) = bench.raw(with(wrong)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong:?}");
        assert_eq!(problem["type"], "urn:connectors:problem:unauthorized");
    }
    let made = bench.ok("POST", "/keys", json!({"name": "ci"})).await;
    let key = format!("Bearer {}", made["key"].as_str().expect("a key"));
    assert_eq!(bench.raw(with(Some(&key))).await.0, StatusCode::OK);
    bench.refused("POST", "/keys", json!({"name": "ci"}), 409).await;
    bench.refused("POST", "/keys", json!({"name": "two words"}), 422).await;
    let listed = bench.get("/keys").await;
    assert_eq!(listed["items"][0]["name"], "ci");
    assert!(!listed.to_string().contains(made["key"].as_str().expect("a key")));
    bench.ok("DELETE", "/keys/ci", Value::Null).await;
    assert_eq!(bench.raw(with(Some(&key))).await.0, StatusCode::UNAUTHORIZED);
    bench.refused("DELETE", "/keys/ci", Value::Null, 404).await;
    for open in ["/healthz", "/readyz"] {
        let request = Request::get(open).body(Body::empty()).expect("a request");
        assert_eq!(bench.raw(request).await.0, StatusCode::OK);
    }
    bench.end().await;
}

/// R13.4: what is not in the description is refused: lists for objects, empty names, keys of another pattern.
#[tokio::test]
async fn what_the_description_does_not_allow_is_refused() {
    let bench = Bench::new("strict").await;
    bench.refused("POST", "/keys", json!(["x"]), 422).await;
    bench.refused("POST", "/keys", json!({"name": ""}), 422).await;
    let body = json!({"connector": "desk", "user": "ada", "name": "  ", "options": {"api_key": "k"}});
    let problem = bench.refused("POST", "/connections", body, 422).await;
    assert!(problem["errors"]["name"].is_string(), "{problem}");
    let unnamed = bench.connect("ada").await;
    bench.refused("PATCH", &format!("/connections/{unnamed}"), json!({"name": ""}), 422).await;
    for (key, status) in [("with space", 400), ("tab\there", 400), ("", 400), ("fine-1!~", 201)] {
        let request = Request::post("/api/v1/keys")
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(r#"{"name": "again"}"#))
            .expect("a request");
        assert_eq!(bench.raw(request).await.0.as_u16(), status, "{key:?}");
    }
    bench.end().await;
}

/// R13.4: a field that may be left out has no default, which generators take for one that is always sent.
#[tokio::test]
async fn defaults_make_no_field_required() {
    fn look(schema: &Value, at: &str, found: &mut Vec<String>) {
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if property.get("default").is_some() && !required(name) {
                found.push(format!("{at}/{name}"));
            }
        }
        match schema {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| look(value, &format!("{at}/{name}"), found))
            }
            Value::Array(items) => items.iter().for_each(|item| look(item, at, found)),
            _ => {}
        }
    }
    let bench = Bench::new("defaults").await;
    let mut found = Vec::new();
    let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
    let (status, document) = bench.raw(request).await;
    assert_eq!(status, StatusCode::OK);
    look(&document["components"]["schemas"], "", &mut found);
    assert_eq!(found, [""; 0]);
    bench.end().await;
}

/// R9.8: a change of a link that was refused is retried or discarded over the API.
#[tokio::test]
async fn a_refused_change_of_a_link_is_discarded_over_the_api() {
    let bench = Bench::new("undelivered").await;
    let id = bench.synced("ada").await;
    bench.settled(&id).await;
    let threads = bench.get("/threads?user=ada").await;
    let link = threads["items"][0]["links"][0].clone();
    let path = format!("/links/{}", link["id"].as_str().expect("an id"));
    bench.ok("PATCH", &path, json!({"user": "ada", "title": "refuse me"})).await;
    let failed = |link: &Value| link["delivery"]["state"] == "failed";
    let shown = bench.until(&path, failed).await;
    assert_eq!(shown["title"], "refuse me");
    bench.ok("POST", &format!("{path}/retry"), json!({"user": "ada"})).await;
    bench.until(&path, failed).await;
    bench.ok("DELETE", &format!("{path}?user=ada"), Value::Null).await;
    let shown = bench.get(&path).await;
    assert_eq!((&shown["title"], shown.get("delivery")), (&link["title"], None), "{shown}");
    bench.refused("DELETE", &format!("{path}?user=ada"), Value::Null, 409).await;
    bench.end().await;
}

/// Design 6.2: problem documents say what is wrong with which field.
#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_by_field() {
    let bench = Bench::new("problems").await;
    let problem = bench.refused("POST", "/connections", json!({"connector": "desk", "user": 7}), 422).await;
    assert!(problem["errors"]["user"].is_string(), "{problem}");
    let problem = bench.refused("POST", "/connections", json!({"conector": "desk"}), 422).await;
    assert!(problem["detail"].as_str().expect("a text").contains("`connector`"), "{problem}");
    let body = json!({"connector": "desk", "user": "ada", "options": {"tickets": 0, "what": 1}});
    let problem = bench.refused("POST", "/connections", body, 422).await;
    for field in ["options.api_key", "options.tickets", "options.what"] {
        assert!(problem["errors"][field].is_string(), "{field}: {problem}");
    }
    let problem = bench.refused("POST", "/connections", json!({"connector": "dusk", "user": "ada"}), 404).await;
    assert!(problem["detail"].as_str().expect("a text").contains("there are desk"), "{problem}");
    let body = json!({"connector": "desk", "user": "ada", "options": {"api_key": "wrong"}});
    let problem = bench.refused("POST", "/connections", body, 422).await;
    assert!(problem["detail"].as_str().expect("a text").contains("the desk does not know this key"), "{problem}");
    assert_eq!(ids(&bench.get("/connections").await), [""; 0], "nothing is stored");
    let problem = bench.refused("GET", "/nothing", Value::Null, 404).await;
    assert!(problem["detail"].as_str().expect("a text").contains("/api/v1/nothing"), "{problem}");
    bench.refused("GET", "/connections/12", Value::Null, 404).await;
    bench.refused("GET", "/connections/con_99", Value::Null, 404).await;
    bench.refused("GET", "/threads?limt=3", Value::Null, 400).await;
    bench.refused("GET", "/threads?limit=0", Value::Null, 422).await;
    bench.refused("GET", "/threads?after=x", Value::Null, 422).await;
    bench.refused("DELETE", "/threads", Value::Null, 405).await;
    let long = json!({"name": "x".repeat(1024 * 1024)});
    bench.refused("POST", "/keys", long, 413).await;
    let request = Request::post("/api/v1/keys").header("authorization", format!("Bearer {KEY}"));
    assert_eq!(bench.raw(request.body(Body::from("{{")).expect("a request")).await.0, StatusCode::BAD_REQUEST);
    bench.end().await;
}

/// R3, R8: the life of a connection.
#[tokio::test]
async fn a_connection_is_made_synced_changed_and_ended() {
    let bench = Bench::new("life").await;
    assert_eq!(ids(&bench.get("/connectors").await), ["desk"]);
    assert!(bench.get("/connectors/desk").await["callbacks"]["tickets"].is_object());
    let id = bench.synced("ada").await;
    let connection = bench.get(&format!("/connections/{id}")).await;
    assert_eq!(connection["name"], "The desk");
    assert_eq!(connection["status"], "active");
    assert_eq!(connection["options"], json!({"tickets": 3}));
    assert_eq!(connection["secure_options"], json!(["api_key"]));
    assert!(!connection.to_string().contains("sesame"), "L29: {connection}");
    assert_eq!(connection["last_sync"]["outcome"], "succeeded");
    assert_eq!(connection["channels"][0]["sync"]["saved"], 6);
    assert_eq!(connection["syncing"], false);
    // Sync again.
    let first = connection["last_sync"]["at"].clone();
    let (status, _) = bench.ask("POST", &format!("/connections/{id}/sync"), Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let tasks = bench.get(&format!("/tasks?connection={id}")).await;
    assert!(!tasks["items"].as_array().expect("items").is_empty());
    assert_ne!(bench.settled(&id).await["last_sync"]["at"], first);
    assert_eq!(ids(&bench.get("/threads").await).len(), 3, "and changes nothing");
    // A channel that fails says why, in dead letters too.
    bench.ok("PUT", &format!("/connections/{id}/channels/broken"), Value::Null).await;
    let failed = bench.settled(&id).await;
    assert_eq!(failed["channels"][1]["sync"]["state"], "failed");
    assert!(failed["channels"][1]["sync"]["error"].as_str().expect("a reason").contains("tickets:read"));
    let dead = bench.get("/tasks?state=dead").await;
    assert_eq!(dead["items"][0]["errors"][0]["kind"], "scope_missing");
    bench.ok("DELETE", &format!("/tasks/{}", ids(&dead)[0]), Value::Null).await;
    assert_eq!(ids(&bench.get("/tasks?state=dead").await).len(), 0);
    let disabled = bench.ok("DELETE", &format!("/connections/{id}/channels/broken"), Value::Null).await;
    assert_eq!(disabled["enabled"], false);
    bench.refused("PUT", &format!("/connections/{id}/channels/none"), Value::Null, 404).await;
    let stored = bench.get(&format!("/connections/{id}/channels?stored=true")).await;
    assert_eq!(ids(&stored), ["a/b c", "broken"]);
    let live = bench.get(&format!("/connections/{id}/channels")).await;
    assert_eq!(live, stored);
    // Change it.
    let changed =
        bench.ok("PATCH", &format!("/connections/{id}"), json!({"name": "Mine", "options": {"tickets": 4}})).await;
    assert_eq!((&changed["name"], &changed["options"]["tickets"]), (&json!("Mine"), &json!(4)));
    bench.refused("PATCH", &format!("/connections/{id}"), json!({"options": {"tickets": 1000}}), 422).await;
    assert!(bench.get(&format!("/connections/{id}/state")).await.is_object());
    bench.ok("DELETE", &format!("/connections/{id}"), Value::Null).await;
    bench.refused("GET", &format!("/connections/{id}"), Value::Null, 404).await;
    assert_eq!(ids(&bench.get("/threads").await).len(), 0);
    bench.end().await;
}

/// R8.3: what several connections see is there once; a user sees what their own have synced.
#[tokio::test]
async fn threads_are_listed_by_page_filter_and_user() {
    let bench = Bench::new("threads").await;
    let ada = bench.synced("ada").await;
    bench.synced("bob").await;
    let all = bench.get("/threads").await;
    let titles: Vec<_> =
        all["items"].as_array().expect("items").iter().map(|thread| thread["title"].as_str()).collect();
    assert_eq!(titles, [Some("Ticket 3"), Some("Ticket 2"), Some("Ticket 1")], "newest first");
    for thread in all["items"].as_array().expect("items") {
        assert_eq!(thread["links"].as_array().expect("links").len(), 1);
        assert_eq!(thread["links"][0]["seen_by"].as_array().expect("both").len(), 2);
    }
    // Pages of one have the same threads, each once.
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("/threads?limit=1{next}")).await;
        paged.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(after) => next = format!("&after={after}"),
            None => break,
        }
    }
    assert_eq!(paged, ids(&all));
    let closed = bench.get("/threads?status=closed&type=ticket").await;
    assert_eq!(closed["items"][0]["title"], "Ticket 2");
    assert_eq!(ids(&closed).len(), 1);
    assert_eq!(ids(&bench.get("/threads?q=TICKET%201").await).len(), 1);
    assert_eq!(ids(&bench.get("/threads?channel=a/b%20c").await).len(), 3);
    let mine = bench.get("/threads?user=ada").await;
    assert_eq!(mine["items"][0]["links"][0]["connection"], json!(ada));
    assert_eq!(mine["items"][0]["marks"]["unread"], false, "R8.5: a backfill marks nothing unread");
    assert_eq!(ids(&bench.get("/threads?user=eve").await).len(), 0);
    let thread = ids(&all)[0];
    let shown = bench.get(&format!("/threads/{thread}")).await;
    assert_eq!(shown["notes"].as_array().expect("notes").len(), 1, "{shown}");
    assert_eq!(shown["notes"][0]["content"], "Text 3");
    bench.refused("GET", &format!("/threads/{thread}?user=eve"), Value::Null, 404).await;
    bench.refused("GET", &format!("/threads?user=bob&connection={ada}"), Value::Null, 404).await;
    bench.end().await;
}

/// R9: what a user does is stored, carried to the service, and shows how that went.
#[tokio::test]
async fn what_users_do_reaches_the_service() {
    let bench = Bench::new("write-back").await;
    let connection = bench.synced("ada").await;
    let threads = bench.get("/threads").await;
    let thread = ids(&threads)[0].to_owned();
    let link = threads["items"][0]["links"][0]["id"].as_str().expect("an id").to_owned();
    // Reply.
    let note = bench.ok("POST", &format!("/threads/{thread}/notes"), json!({"user": "ada", "content": "On it."})).await;
    let path = format!("/notes/{}", note["id"].as_str().expect("an id"));
    let note = bench.until(&path, |note| note["delivery"]["state"] == "delivered").await;
    assert!(note["key"].as_str().expect("a key").starts_with("reply-"));
    // One that is refused says why, and can be changed and sent again, or discarded.
    let note =
        bench.ok("POST", &format!("/threads/{thread}/notes"), json!({"user": "ada", "content": "refuse me"})).await;
    let path = format!("/notes/{}", note["id"].as_str().expect("an id"));
    let note = bench.until(&path, |note| note["delivery"]["state"] == "failed").await;
    assert!(note["delivery"]["reason"].as_str().expect("a reason").contains("locked"));
    bench.ok("POST", &format!("{path}/retry"), json!({"user": "ada"})).await;
    bench.until(&path, |note| note["delivery"]["state"] == "failed").await;
    bench.ok("DELETE", &format!("{path}?user=ada"), Value::Null).await;
    bench.refused("GET", &path, Value::Null, 404).await;
    bench.refused("POST", &format!("/threads/{thread}/notes"), json!({"user": "ada", "content": " "}), 422).await;
    // Status.
    let path = format!("/links/{link}");
    let problem = bench.refused("PATCH", &path, json!({"user": "ada", "status": "done"}), 422).await;
    assert!(problem["detail"].as_str().expect("a text").contains("open, closed"), "{problem}");
    let changed = bench.ok("PATCH", &path, json!({"user": "ada", "status": "closed"})).await;
    assert_eq!(changed["status"], "closed");
    bench.until(&path, |link| link["delivery"]["state"] == "delivered").await;
    bench.refused("PATCH", &path, json!({"user": "eve", "status": "open"}), 404).await;
    bench.refused("PATCH", &path, json!({"user": "ada", "assignee": null, "statu": 1}), 422).await;
    // Marks, reactions.
    let marks = bench
        .ok("PUT", &format!("/threads/{thread}/todo"), json!({"user": "ada", "todo": true, "date": "2026-12-01"}))
        .await;
    assert_eq!((&marks["todo"], &marks["todo_date"]), (&json!(true), &json!("2026-12-01")));
    let marks = bench.ok("PUT", &format!("/threads/{thread}/read"), json!({"user": "ada", "unread": true})).await;
    assert_eq!(marks["unread"], true);
    let shown = bench.get(&format!("/threads/{thread}?user=ada")).await;
    assert_eq!(shown["marks"]["todo"], true);
    let body = shown["notes"][0]["id"].as_str().expect("an id");
    let reacted = bench.ok("PUT", &format!("/notes/{body}/reactions/%F0%9F%91%8D?user=ada"), Value::Null).await;
    assert_eq!(reacted["reactions"][0]["emoji"], "👍");
    let reacted = bench.ok("DELETE", &format!("/notes/{body}/reactions/%F0%9F%91%8D?user=ada"), Value::Null).await;
    assert_eq!(reacted["reactions"], Value::Null);
    // Compose.
    let new = json!({"user": "ada", "connection": connection, "channel": "a/b c", "type": "ticket", "title": "New", "content": "Body"});
    let composed = bench.ok("POST", "/threads", new.clone()).await;
    assert_eq!(composed["notes"][0]["content"], "Body");
    let path = format!("/threads/{}", composed["id"].as_str().expect("an id"));
    let composed = bench.until(&path, |thread| thread["links"][0]["delivery"]["state"] == "delivered").await;
    assert_eq!(composed["links"][0]["source"], "desk:new");
    let mut wrong = new;
    wrong["type"] = json!("tocket");
    bench.refused("POST", "/threads", wrong, 422).await;
    bench.end().await;
}

/// R9, design 6.2: an attachment is where its service says, here, or gone.
#[tokio::test]
async fn attachments_are_fetched_for_a_user() {
    let bench = Bench::new("attachments").await;
    bench.synced("ada").await;
    let threads = bench.get("/threads").await;
    let thread = bench.get(&format!("/threads/{}", ids(&threads)[0])).await;
    let note = thread["notes"][0]["id"].as_str().expect("an id");
    let fetch = async |index: usize| {
        let request = Request::get(format!("/api/v1/attachments/{note}/{index}?user=ada"));
        let request = request.header("authorization", format!("Bearer {KEY}"));
        let request = request.body(Body::empty()).expect("a request");
        bench.router.clone().oneshot(request).await.expect("an answer")
    };
    let elsewhere = fetch(0).await;
    assert_eq!(elsewhere.status(), StatusCode::FOUND);
    assert_eq!(elsewhere.headers()["location"], "https://files.example.com/1?sig=2");
    let here = fetch(1).await;
    assert_eq!(here.headers()["content-disposition"], "attachment; filename*=UTF-8''r%C3%A4port%20%22.html");
    assert_eq!(here.headers()["x-content-type-options"], "nosniff");
    let body = axum::body::to_bytes(here.into_body(), usize::MAX).await.expect("a body");
    assert_eq!(&body[..], b"<b>x");
    bench.refused("GET", &format!("/attachments/{note}/2?user=ada"), Value::Null, 410).await;
    bench.refused("GET", &format!("/attachments/{note}/3?user=ada"), Value::Null, 404).await;
    bench.refused("GET", &format!("/attachments/{note}/x?user=ada"), Value::Null, 404).await;
    bench.end().await;
}

/// Design 6.2: the feed has every change in order, waits for the next, and ends its waiting with the host.
#[tokio::test]
async fn the_feed_tells_of_changes_in_order() {
    let bench = Bench::new("feed").await;
    let id = bench.synced("ada").await;
    let all = bench.get("/changes?limit=1000").await;
    let items = all["items"].as_array().expect("items");
    let positions: Vec<_> = items.iter().filter_map(|item| item["position"].as_u64()).collect();
    assert!(positions.is_sorted_by(|one, two| one < two), "{positions:?}");
    assert_eq!(all["next"], json!(positions.last()));
    for kind in ["connection", "channel", "link", "note"] {
        assert!(items.iter().any(|item| item["kind"] == kind), "{kind}");
    }
    let link = items.iter().find(|item| item["kind"] == "link").expect("a link");
    assert_eq!(link["data"]["type"], "ticket");
    assert!(!all.to_string().contains("sesame"), "design 7: nothing secret is in the feed");
    let end = all["next"].as_u64().expect("a position");
    let path = format!("/changes?after={end}&wait=60");
    let waiting = bench.get(&path);
    let renamed = async { bench.ok("PATCH", &format!("/connections/{id}"), json!({"name": "Other"})).await };
    let (change, _) = tokio::join!(waiting, renamed);
    assert_eq!(change["items"][0]["data"]["name"], "Other");
    bench.refused("GET", "/changes?wait=3600", Value::Null, 422).await;
    let end = change["next"].as_u64().expect("a position");
    let request = Request::get(format!("/api/v1/changes?after={}", end - 1))
        .header("authorization", format!("Bearer {KEY}"))
        .header("accept", "text/event-stream");
    let stream = bench.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut events = stream.into_body().into_data_stream();
    let first = events.next().await.expect("an event").expect("no error");
    let text = String::from_utf8(first.to_vec()).expect("text");
    let expected = format!("id: {end}\nevent: connection\ndata: {{");
    assert!(text.starts_with(&expected), "{text}");
    let (rest, ended) = tokio::join!(events.next(), bench.host.shutdown());
    assert!(rest.is_none(), "the stream ends with the host: {rest:?}");
    ended.expect("an end in order");
    std::fs::remove_dir_all(&bench.directory).expect("the directory goes");
}

/// Design 7: a database does not open with another key, and a lost key is not replaced in silence.
#[tokio::test]
async fn a_database_needs_the_key_that_it_was_sealed_under() {
    let directory = directory("vault");
    let registry = || Registry::of::<Desk>().expect("a registry");
    let host = Host::open(config(&directory), registry()).await.expect("a host");
    let held = Host::open(config(&directory), registry()).await.err().expect("one host for each database");
    assert!(held.to_string().contains(&format!("pid {}", std::process::id())), "{held}");
    host.shutdown().await.expect("an end in order");
    let file = directory.join("test.db.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("a key file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let key = std::fs::read_to_string(&file).expect("a key file");
    let refused = |config: Config| async move {
        match Host::open(config, registry()).await {
            Ok(_) => panic!("it must not open"),
            Err(error @ HostError::Key(_)) => error.to_string(),
            Err(other) => panic!("{other}"),
        }
    };
    std::fs::remove_file(&file).expect("the key goes");
    let error = refused(config(&directory)).await;
    assert!(error.contains("test.db.key") && error.contains("it is not there") && error.contains("restore"), "{error}");
    assert!(!file.exists(), "no new key is made for a database that has one");
    std::fs::write(&file, "short").expect("a file");
    assert!(refused(config(&directory)).await.contains("5 characters"));
    std::fs::write(&file, [0xff, 0xfe, 0]).expect("a file");
    assert!(refused(config(&directory)).await.contains("is damaged"));
    let mut other = config(&directory);
    other.secret_key = Some(Secret::new("another-key-that-is-long-enough-0123"));
    assert!(refused(other.clone()).await.contains("sealed under the key"));
    other.secret_key = None;
    other.secret_key_file = Some(directory.join("nothing"));
    let error = refused(other).await;
    assert!(error.contains("nothing") && error.contains("it is not there"), "{error}");
    std::fs::write(&file, key).expect("a file");
    let host = Host::open(config(&directory), registry()).await.expect("the key is back");
    host.shutdown().await.expect("an end in order");
    let mut typing_error = config(&directory);
    typing_error.providers.insert("githab".to_owned(), Default::default());
    let error = Host::open(typing_error, registry()).await.err().expect("no such provider").to_string();
    assert!(error.contains("`githab`") && error.contains("github"), "{error}");
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

/// Issue 4, R6.7, R8.7, R9.4: what runs for a connection is shown; what is not suspended, refused or
/// pressed is not resumed, sent again or run.
#[tokio::test]
async fn work_is_shown_and_what_failed_is_in_the_hands_of_its_user() {
    let bench = Bench::new("work").await;
    let id = bench.synced("ada").await;
    let mut work = bench.get(&format!("/connections/{id}/work")).await;
    for _ in 0..100_000 {
        // The walk has ended when its channel is synced, and its task a moment later.
        if work["items"][0]["state"] == "idle" {
            break;
        }
        tokio::task::yield_now().await;
        work = bench.get(&format!("/connections/{id}/work")).await;
    }
    let tickets = &work["items"][0];
    assert_eq!(
        (&tickets["name"], &tickets["kind"], &tickets["channel"]),
        (&json!("tickets"), &json!("sync"), &json!("a/b c"))
    );
    assert_eq!(
        (&tickets["state"], &tickets["interval"], &tickets["error"]),
        (&json!("idle"), &json!(3600), &Value::Null)
    );
    assert!(tickets["saved"].as_u64() > Some(0) && tickets["last_run"].is_string() && tickets["next_run"].is_string());
    let problem = bench.refused("POST", &format!("/connections/{id}/resume"), Value::Null, 409).await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("it is active")), "{problem}");
    let patched = bench.ok("PATCH", &format!("/connections/{id}"), json!({"history_days": 9})).await;
    assert_eq!(patched["history_days"], 9);
    let patched = bench.ok("PATCH", &format!("/connections/{id}"), json!({"history_days": null})).await;
    assert_eq!(patched["history_days"], Value::Null);
    assert_eq!(bench.get(&format!("/connections/{id}")).await["products"], json!([]));
    let threads = bench.get("/threads?user=ada").await;
    let link = threads["items"][0]["links"][0]["id"].as_str().expect("a link").to_owned();
    bench.refused("POST", &format!("/links/{link}/retry"), json!({"user": "ada"}), 409).await;
    bench.refused("DELETE", &format!("/links/{link}?user=ada"), Value::Null, 409).await;
    bench.refused("POST", &format!("/links/{link}/actions/0"), json!({"user": "ada"}), 404).await;
    bench.end().await;
}
