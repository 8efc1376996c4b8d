//! What the emulator does not have: reactions, and pull requests among the issues. Against answers
//! written by hand after GitHub's documentation.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

use std::sync::{Arc, Mutex};

use connector_core::engine::{LinkQuery, LinkRow, NoteRow};
use connector_core::id::{ChannelId, UserId};
use connector_core::model::Emoji;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest};
use connector_core::secret::Secret;
use connector_core::testing::{FakeService, TestHost};
use connector_github::GitHub;
use jiff::SignedDuration;
use serde_json::{Value, json};

fn user(id: u64, login: &str) -> Value {
    json!({ "id": id, "login": login, "type": "User", "avatar_url": null })
}

/// One issue, listed together with a pull request, as GitHub does, and whoever reacted to it.
struct GitHubByHand {
    reactions: Arc<Mutex<Vec<Value>>>,
    service: FakeService,
}

impl GitHubByHand {
    fn new() -> Self {
        let reactions = Arc::new(Mutex::new(vec![
            json!({ "id": 1, "content": "rocket", "user": user(8, "bob") }),
            json!({ "id": 2, "content": "unheard-of", "user": user(8, "bob") }),
        ]));
        let held = Arc::clone(&reactions);
        let service = FakeService::new(move |request| {
            let mut reactions = held.lock().expect("no panic");
            let item = |number: u64, more: Value| {
                let mut item = json!({
                    "id": 100 + number, "number": number, "title": "T", "state": "open", "html_url": "https://github.com/o/r/issues/1",
                    "body": "B", "user": user(8, "bob"), "assignee": null, "labels": [], "milestone": null, "comments": 0,
                    "created_at": "2025-12-01T00:00:00Z", "updated_at": "2025-12-01T00:00:00Z",
                    "reactions": { "total_count": reactions.len() },
                });
                item.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
                item
            };
            let answer = match (request.method.as_str(), request.url.path()) {
                ("GET", "/user") => user(7, "ada"),
                ("GET", "/user/repos") => json!([{ "full_name": "o/r", "description": null }]),
                // Without the scope for it.
                ("GET", "/user/orgs") => return FakeService::answer(403, "{}"),
                ("GET", "/repos/o/r/issues") => json!([
                    item(1, json!({})),
                    item(2, json!({ "pull_request": { "merged_at": null }, "draft": false })),
                ]),
                ("GET", "/repos/o/r/pulls") => json!([]),
                ("GET", "/repos/o/r/issues/1/reactions") => json!(*reactions),
                ("POST", "/repos/o/r/issues/1/reactions") => {
                    let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).expect("JSON");
                    reactions.push(json!({ "id": 3, "content": body["content"], "user": user(7, "ada") }));
                    json!({})
                }
                ("DELETE", path) if path.starts_with("/repos/o/r/issues/1/reactions/") => {
                    let id = path.rsplit('/').next().expect("an id");
                    let id: u64 = id.parse().expect("a number");
                    reactions.retain(|reaction| reaction["id"] != id);
                    return FakeService::answer(204, "");
                }
                (method, path) => panic!("GitHub was not expected to be asked for {method} {path}"),
            };
            FakeService::answer(200, answer.to_string())
        });
        Self { reactions, service }
    }

    /// Who reacted with what, as GitHub has it.
    fn reacted(&self) -> Vec<(String, String)> {
        let reactions = self.reactions.lock().expect("no panic");
        let named = |value: &Value| value.as_str().expect("a text").to_owned();
        reactions.iter().map(|reaction| (named(&reaction["content"]), named(&reaction["user"]["login"]))).collect()
    }
}

/// R9.1, R1.9: reactions go both ways, under GitHub's names; a pull request among the issues is not an issue.
#[tokio::test]
async fn reactions_go_both_ways() {
    let github = GitHubByHand::new();
    let registry = Registry::of::<GitHub>().expect("the connector is sound");
    let host = TestHost::with_network(registry, github.service.clone());
    let mut request = ConnectRequest::new("github", "ada");
    request.token = Some(Secret::new("t"));
    let connection = host.run(host.runtime().connect(request)).await.expect("it connects").id;
    let channel = ChannelId::from_static("o/r");
    host.runtime().enable_channel(connection, &channel, ChannelUpdate::default()).await.expect("it is there");
    host.advance(SignedDuration::from_secs(10)).await;

    let engine = &host.runtime().ports().engine;
    let links: Vec<LinkRow> = engine.links(LinkQuery::all(10)).await.expect("the store works");
    assert_eq!(links.len(), 1, "{links:?}");
    let body = async || -> NoteRow {
        let notes = engine.notes_of_link(links[0].link.id).await.expect("the store works");
        notes.into_iter().next().expect("the issue's text")
    };
    let shown = async || -> Vec<(String, String)> {
        let reactions = body().await.note.reactions;
        reactions.iter().map(|reaction| (reaction.emoji.to_string(), reaction.actor.id.clone())).collect()
    };
    assert_eq!(shown().await, [("🚀".to_owned(), "8".to_owned())]);

    let (note, ada) = (body().await.note.id, UserId::from_static("ada"));
    host.runtime().react(note, &ada, Emoji::unicode("👍"), true).await.expect("GitHub takes it");
    host.settle().await;
    assert!(github.reacted().contains(&("+1".to_owned(), "ada".to_owned())), "{:?}", github.reacted());
    host.runtime().react(note, &ada, Emoji::unicode("🦀"), true).await.expect_err("GitHub does not take it");
    host.advance(SignedDuration::from_mins(16)).await;
    assert_eq!(shown().await, [("🚀".to_owned(), "8".to_owned()), ("👍".to_owned(), "7".to_owned())]);

    host.runtime().react(note, &ada, Emoji::unicode("👍"), false).await.expect("GitHub takes it");
    host.advance(SignedDuration::from_mins(16)).await;
    assert_eq!(github.reacted().len(), 2);
    assert_eq!(shown().await, [("🚀".to_owned(), "8".to_owned())]);
}
