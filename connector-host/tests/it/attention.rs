//! A connection whose options do not fit its connector any more (R11.11).

use connector_core::engine::{ConnectionRow, Write, WriteSet};
use connector_core::id::ConnectionId;
use serde_json::json;

use crate::desk::{Bench, OPTION};

/// The API says which options to change, and the connection goes on when they are.
#[tokio::test]
async fn the_api_says_which_options_have_to_be_changed() {
    let bench = Bench::new("attention").await;
    let id = bench.connect("ada").await;
    let engine = &bench.host.runtime().ports().engine;
    let number: ConnectionId = id.parse().expect("an id");
    let row = engine.connection(number).await.expect("a store").expect("a connection");
    let mut options = row.options.clone();
    options.remove("api_key");
    let put = Write::PutConnection {
        row: Box::new(ConnectionRow { options, ..ConnectionRow::clone(&row) }),
        expect: Some(row.version),
    };
    engine.commit(WriteSet { connection: Some(number), ..WriteSet::of([put]) }).await.expect("it is stored");

    let (_, shown) = bench.ask("GET", &format!("/connections/{id}"), json!(null)).await;
    assert_eq!(shown["status"], "needs_attention", "{shown}");
    assert_eq!(shown["attention"], json!([{"field": "api_key", "reason": "must be given"}]));
    assert!(shown["status_reason"].as_str().unwrap_or_default().contains("api_key: must be given"), "{shown}");
    let (status, refused) = bench.ask("POST", &format!("/connections/{id}/sync"), json!({})).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap_or_default().contains("change its options first"), "{refused}");

    let (status, shown) =
        bench.ask("PATCH", &format!("/connections/{id}"), json!({"options": {"api_key": OPTION}})).await;
    assert!(status.is_success(), "{shown}");
    assert_eq!((&shown["status"], &shown["attention"]), (&json!("active"), &json!([])));
    assert_eq!(shown["secure_options"], json!(["api_key"]));
    bench.end().await;
}
