//! Files through the API: up, on notes, and down (R10.4, R9.1, design 6.2).

use std::num::NonZeroU32;

use axum::body::{Body, Bytes};
use connector_core::runtime::Runtime;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{Bench, KEY};

const BOUNDARY: &str = "a-boundary";

/// The parts of a form, and its end.
pub(crate) fn form(parts: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (disposition, content) in parts {
        text.push_str(&format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n"));
    }
    text + &format!("--{BOUNDARY}--\r\n")
}

pub(crate) fn request(token: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method("POST")
        .uri("/api/v1/files")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(body.into())
        .expect("a request")
}

async fn send(bench: &Bench, token: &str, parts: &[(&str, &str)]) -> (StatusCode, Value) {
    bench.raw(request(token, form(parts))).await
}

async fn stored(runtime: &Runtime) -> u64 {
    runtime.ports().engine.counts().await.expect("the store is read").files
}

async fn opened(bench: &Bench, path: &str) -> (StatusCode, http::HeaderMap, Bytes) {
    let request = Request::builder().uri(path).header("authorization", format!("Bearer {KEY}"));
    let request = request.body(Body::empty()).expect("a request");
    let response = bench.router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, axum::body::to_bytes(body, usize::MAX).await.expect("a body"))
}

const USER: &str = "name=\"user\"";
const FILE: &str = "name=\"file\"; filename=\"r\u{e4}port.txt\"";

/// Design 6.2: a user uploads a file, writes a note with it, and opens it again; its bytes are theirs.
#[tokio::test]
async fn a_file_goes_up_on_a_note_and_down() {
    let bench = Bench::new("files").await;
    bench.synced("ada").await;
    let typed = format!("{FILE}\r\nContent-Type: text/html; charset=utf-8");
    let (status, file) = send(&bench, KEY, &[(&typed, "<b>hi</b>"), (USER, "ada")]).await;
    assert_eq!(status, StatusCode::CREATED, "{file}");
    assert_eq!(file["name"], "r\u{e4}port.txt");
    assert_eq!((&file["type"], &file["size"]), (&json!("text/html; charset=utf-8"), &json!(9)));
    let thread = bench.get("/threads?user=ada").await["items"][0]["id"].as_str().expect("a thread").to_owned();
    let notes = format!("/threads/{thread}/notes");
    let note = bench.ok("POST", &notes, json!({"user": "ada", "attachments": [file["id"]]})).await;
    assert_eq!(note["attachments"][0]["file"], file["id"]);
    let url = note["attachment_urls"][0].as_str().expect("a URL").to_owned();
    assert_eq!(url, format!("/api/v1/attachments/{}/0", note["id"].as_str().expect("an id")));
    bench
        .until(&format!("/notes/{}", note["id"].as_str().expect("an id")), |note| {
            note["delivery"]["state"] == "delivered"
        })
        .await;
    let (status, headers, body) = opened(&bench, &format!("{url}?user=ada")).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"<b>hi</b>"[..]));
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["content-disposition"], "attachment; filename*=UTF-8''r%C3%A4port.txt");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let new = json!({"user": "ada", "connection": note["connection"], "channel": "a/b c", "type": "ticket", "title": "T",
        "attachments": [file["id"]]});
    let composed = bench.ok("POST", "/threads", new).await;
    assert_eq!(composed["notes"][0]["attachments"][0]["name"], "r\u{e4}port.txt");
    let mine = json!({"user": "bob", "content": "x", "attachments": [file["id"]]});
    bench.synced("bob").await;
    let bobs = bench.get("/threads?user=bob").await["items"][0]["id"].as_str().expect("a thread").to_owned();
    let refused = bench.refused("POST", &format!("/threads/{bobs}/notes"), mine, 422).await;
    assert!(refused["detail"].as_str().expect("text").contains("bob has uploaded no file"), "{refused}");
    bench.end().await;
}

/// R7 of the design: a session uploads for its own user alone.
#[tokio::test]
async fn a_session_uploads_for_its_user() {
    let bench = Bench::new("files-session").await;
    let session = bench.ok("POST", "/sessions", json!({"user": "bob"})).await;
    let token = session["token"].as_str().expect("a token");
    assert_eq!(send(&bench, token, &[(FILE, "x")]).await.0, StatusCode::CREATED);
    assert_eq!(send(&bench, token, &[(USER, "bob"), (FILE, "x")]).await.0, StatusCode::CREATED);
    for parts in [[(USER, "ada"), (FILE, "x")], [(FILE, "x"), (USER, "ada")]] {
        assert_eq!(send(&bench, token, &parts).await.0, StatusCode::FORBIDDEN);
    }
    bench.end().await;
}

/// A mistake is named, and leaves nothing half stored.
#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    let bench = Bench::with("files-broken", |config| config.limits.max_file = NonZeroU32::new(600_000)).await;
    let large = "x".repeat(600_001);
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let cases: [Case<'_>; 7] = [
        (&[(USER, "ada"), (FILE, &large)], 413, "more than 600000 bytes"),
        (&[(USER, "ada")], 422, "`file`"),
        (&[(FILE, "x")], 422, "`user`"),
        (&[(USER, ""), (FILE, "x")], 422, "`user`"),
        (&[(USER, "ada"), ("name=\"file\"", "x")], 422, "with the name that it has"),
        (&[(USER, "ada"), (FILE, "x"), (FILE, "y")], 422, "one file"),
        (&[("name=\"folder\"", "x"), (FILE, "x")], 422, "`folder`"),
    ];
    for (parts, status, says) in cases {
        let (found, problem) = send(&bench, KEY, parts).await;
        assert_eq!(found.as_u16(), status, "{problem}");
        assert!(problem["detail"].as_str().expect("text").contains(says), "{problem}");
    }
    let whole = form(&[(USER, "ada"), (FILE, &"x".repeat(500_000))]);
    let (status, problem) = bench.raw(request(KEY, whole[..400_000].to_owned())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    assert!(problem["detail"].as_str().expect("text").contains("Send it again, whole"), "{problem}");
    let lost = stream::iter([Ok(whole[..400_000].to_owned()), Err(std::io::Error::other("the connection is gone"))]);
    let (status, problem) = bench.raw(request(KEY, Body::from_stream(lost))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    let mut said = request(KEY, Body::empty());
    said.headers_mut().insert("content-length", "700000000".parse().expect("a header"));
    let (status, problem) = bench.raw(said).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    assert!(problem["detail"].as_str().expect("text").contains("limits.max_file"), "{problem}");
    let mut json = request(KEY, "{}");
    json.headers_mut().insert("content-type", "application/json".parse().expect("a header"));
    assert_eq!(bench.raw(json).await.0, StatusCode::BAD_REQUEST);
    let endless = stream::iter(0..).map(|_: u32| Ok::<_, std::io::Error>(vec![b'x'; 64 << 10]));
    let (status, problem) = bench.raw(request(KEY, Body::from_stream(endless))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "what is no form is not collected: {problem}");
    // Nobody waits for the answer: the client is gone in the middle.
    let pending = stream::iter([Ok::<_, std::io::Error>(whole[..400_000].to_owned())]).chain(stream::pending());
    let upload = tokio::spawn(bench.router.clone().oneshot(request(KEY, Body::from_stream(pending))));
    while stored(bench.host.runtime()).await == 0 {
        tokio::task::yield_now().await;
    }
    upload.abort();
    while stored(bench.host.runtime()).await > 0 {
        tokio::task::yield_now().await;
    }
    bench.end().await;
}

/// R10.4: what comes faster than it is stored waits; so a large file is never whole in memory.
#[tokio::test]
async fn an_upload_is_taken_as_fast_as_it_is_stored() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 1024;
    let bench = Bench::new("files-large").await;
    let given = Arc::new(AtomicU64::new(0));
    let (head, tail) = (form(&[(USER, "ada"), (FILE, "")]), format!("\r\n--{BOUNDARY}--\r\n"));
    let head = head.trim_end_matches(tail.as_str()).to_owned();
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let counting = Arc::clone(&given);
    // Always ready: a client that is faster than any disk.
    let pieces = stream::iter(0..PIECES).map(move |_| {
        counting.fetch_add(PIECE as u64, Ordering::SeqCst);
        Ok::<_, std::io::Error>(piece.clone())
    });
    let ends = |text: String| stream::iter([Ok::<_, std::io::Error>(Bytes::from(text))]);
    let body = Body::from_stream(ends(head).chain(pieces).chain(ends(tail)));
    let engine = Arc::clone(&bench.host.runtime().ports().engine);
    let upload = tokio::spawn(bench.router.clone().oneshot(request(KEY, body)));
    let id = loop {
        if let Some(row) = engine.unused_files(jiff::Timestamp::MAX, 1).await.expect("the store is read").pop() {
            break row.id;
        }
        tokio::task::yield_now().await;
    };
    let mut chunks: u32 = 0;
    let mut ahead = 0;
    while !upload.is_finished() {
        let before = given.load(Ordering::SeqCst);
        while engine.file_chunk(id, chunks).await.expect("the store is read").is_some() {
            chunks += 1;
        }
        ahead = ahead.max(before.saturating_sub(u64::from(chunks) * (256 << 10)));
    }
    let response = upload.await.expect("it ran").expect("an answer");
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(given.load(Ordering::SeqCst), (PIECE * PIECES) as u64);
    assert!(ahead <= 1 << 20, "{ahead} bytes were taken that were not stored");
    bench.end().await;
}
