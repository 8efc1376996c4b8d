//! What the emulator does not have: filters by time, attachments, the bin, answers to comments, people of other services.
//! Against answers written by hand, which are compared with Linear's schema, as the connector's queries are.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod described;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use connector_core::engine::{LinkQuery, LinkRow, SyncState};
use connector_core::id::{ChannelId, ConnectionId, UserId};
use connector_core::model::{Author, ButtonTarget, Download};
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, NewUserNote};
use connector_core::secret::Secret;
use connector_core::testing::{FakeService, TestHost};
use connector_linear::Linear;
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A team with issues, of which one page holds two.
#[derive(Clone, Default)]
struct LinearByHand(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    issues: Vec<Value>,
    states: Vec<Value>,
    /// The filters that issues were asked for with.
    filters: Vec<Value>,
    /// What is in the storage, by its address.
    files: BTreeMap<String, Bytes>,
    limited: bool,
}

fn state(id: &str, kind: &str) -> Value {
    json!({ "id": id, "name": id, "type": kind, "position": 1.5 })
}

fn person() -> Value {
    json!({ "id": "u1", "name": "Ada Lovelace", "displayName": "ada", "email": "ada@acme.test", "avatarUrl": null })
}

fn issue(id: &str, updated_at: &str) -> Value {
    json!({
        "id": id, "identifier": format!("ENG-{id}"), "title": format!("Issue {id}"), "description": null, "priority": 2.0,
        "url": format!("https://linear.app/acme/issue/ENG-{id}"), "createdAt": "2025-11-01T00:00:00Z", "updatedAt": updated_at,
        "dueDate": "2026-02-01", "team": { "id": "t1" }, "state": { "id": "s1", "type": "unstarted" }, "creator": person(),
        "assignee": null, "labels": { "nodes": [{ "name": "Bug" }] }, "project": null, "trashed": null, "botActor": null,
        "externalUserCreator": null, "attachments": { "nodes": [] },
        "comments": { "nodes": [], "pageInfo": { "hasNextPage": false, "endCursor": null } },
    })
}

impl LinearByHand {
    fn held<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.lock().expect("no panic"))
    }

    fn answer(&self, body: &Value) -> Value {
        let (query, variables) = (body["query"].as_str().expect("a query"), &body["variables"]);
        if query.contains("viewer") {
            return json!({ "viewer": person() });
        }
        if query.contains("teams(") {
            let states = self.held(|held| held.states.clone());
            let team = json!({ "id": "t1", "key": "ENG", "name": "Engineering", "states": { "nodes": states } });
            return json!({ "teams": { "nodes": [team], "pageInfo": { "hasNextPage": false, "endCursor": null } } });
        }
        let input = &variables["input"];
        if query.contains("fileUpload(") {
            let place = format!("{}-{}", variables["filename"].as_str().expect("a name"), variables["size"]);
            let upload = json!({
                "uploadUrl": format!("https://storage.googleapis.com/linear-uploads/{place}"),
                "assetUrl": format!("https://uploads.linear.app/{place}"),
                "headers": [{ "key": "x-goog-meta", "value": variables["contentType"] }],
            });
            return json!({ "fileUpload": { "uploadFile": upload } });
        }
        if query.contains("commentCreate(") || query.contains("commentUpdate(") {
            let comment = json!({
                "id": "c1", "body": input["body"], "createdAt": "2025-12-31T00:00:00Z", "updatedAt": "2025-12-31T00:00:00Z",
                "user": person(), "url": "https://linear.app/acme/issue/ENG-1#comment-c1", "parent": null, "botActor": null,
                "externalUser": null,
            });
            self.held(|held| {
                held.issues[0]["comments"]["nodes"] = json!([comment]);
                held.issues[0]["updatedAt"] = json!("2025-12-31T00:00:00Z");
            });
            return json!({ "saved": { "comment": comment } });
        }
        let filter = &variables["filter"];
        let mut issues = self.held(|held| {
            held.filters.push(filter.clone());
            held.issues.clone()
        });
        let ids = filter["id"]["in"].as_array();
        issues.retain(|issue| ids.is_none_or(|ids| ids.contains(&issue["id"])));
        let since = filter["updatedAt"]["gte"].as_str().map(|since| since.parse::<Timestamp>().expect("a time"));
        let updated =
            |issue: &Value| issue["updatedAt"].as_str().expect("a text").parse::<Timestamp>().expect("a time");
        issues.retain(|issue| since.is_none_or(|since| updated(issue) >= since));
        issues.sort_by_key(|issue| std::cmp::Reverse(updated(issue)));
        let after = variables["after"].as_str().map_or(0, |after| after.parse::<usize>().expect("a cursor"));
        let more = issues.len() > after + 2;
        let page: Vec<_> = issues.into_iter().skip(after).take(2).collect();
        let page = json!({ "nodes": page, "pageInfo": { "hasNextPage": more, "endCursor": (after + 2).to_string() } });
        if query.contains("team(id") { json!({ "team": { "issues": page } }) } else { json!({ "issues": page }) }
    }

    async fn synced(&self) -> Synced {
        let service = self.clone();
        let answers = FakeService::new(move |request| {
            match (request.url.host_str(), request.url.path().rsplit('/').next()) {
                (Some("storage.googleapis.com"), Some(place)) => {
                    assert!(
                        request.headers.contains_key("x-goog-meta") && !request.headers.contains_key("authorization")
                    );
                    let bytes = request.body.bytes().expect("it was collected");
                    service.held(|held| held.files.insert(place.to_owned(), bytes));
                    return FakeService::answer(200, "");
                }
                (Some("uploads.linear.app"), Some(place)) => {
                    assert_eq!(request.headers["authorization"], "Bearer t0ken");
                    let found = service.held(|held| held.files.get(place).cloned());
                    return found.map_or_else(|| FakeService::answer(404, ""), |bytes| FakeService::answer(200, bytes));
                }
                _ => {}
            }
            let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).expect("JSON");
            let of_issues = body["query"].as_str().expect("a query").contains("issues(");
            if of_issues && service.held(|held| std::mem::take(&mut held.limited)) {
                let limited =
                    json!({ "errors": [{ "message": "Slow down", "extensions": { "code": "RATELIMITED" } }] });
                return FakeService::answer_with(400, &[("retry-after", "90")], limited.to_string());
            }
            let answer = json!({ "data": service.answer(&body) });
            described::check(&body, &answer);
            FakeService::answer(200, answer.to_string())
        });
        let host = TestHost::with_network(Registry::of::<Linear>().expect("the connector is sound"), answers);
        let mut request = ConnectRequest::new("linear", "ada");
        request.token = Some(Secret::new("t0ken"));
        let connection = host.run(host.runtime().connect(request)).await.expect("the token is good").id;
        let team = ChannelId::from_static("t1");
        host.run(host.runtime().channels(connection)).await.expect("they can be listed");
        host.runtime().enable_channel(connection, &team, ChannelUpdate::default()).await.expect("it can be enabled");
        host.settle().await;
        Synced { host, connection }
    }
}

struct Synced {
    host: TestHost,
    connection: ConnectionId,
}

impl Synced {
    async fn sync(&self) {
        self.host.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(100);
        query.archived = true;
        self.host.runtime().ports().engine.links(query).await.expect("the store works")
    }

    async fn link(&self, identifier: &str) -> LinkRow {
        let links = self.links().await;
        links.into_iter().find(|row| row.link.raw_meta["identifier"] == identifier).expect("the issue is there")
    }
}

fn service(issues: Vec<Value>) -> LinearByHand {
    let linear = LinearByHand::default();
    linear.held(|held| {
        held.issues = issues;
        held.states = vec![state("s1", "unstarted"), state("s2", "completed")];
    });
    linear
}

/// R11.1, L30: a walk asks only for what has changed, again for the last minutes, and takes all of its pages.
#[tokio::test]
async fn only_what_changed_is_asked_for() {
    let linear = service((1..=5).map(|n| issue(&n.to_string(), &format!("2025-12-0{n}T00:00:00Z"))).collect());
    let synced = linear.synced().await;
    assert_eq!(synced.links().await.len(), 5);
    assert_eq!(linear.held(|held| std::mem::take(&mut held.filters)).len(), 3);

    linear.held(|held| held.issues.push(issue("6", "2025-12-04T23:58:00Z")));
    synced.sync().await;
    assert_eq!(synced.link("ENG-6").await.link.title.as_deref(), Some("Issue 6"));
    let filters = linear.held(|held| std::mem::take(&mut held.filters));
    assert_eq!(filters, [json!({ "updatedAt": { "gte": "2025-12-04T23:58:00Z" } })]);
}

/// R8.2: attachments are buttons, an answer names what it answers, and who wrote elsewhere is known.
#[tokio::test]
async fn an_issue_comes_with_all_that_belongs_to_it() {
    let mut whole = issue("1", "2025-12-01T00:00:00Z");
    whole["attachments"] =
        json!({ "nodes": [{ "title": "Pull request 7", "url": "https://github.com/acme/web/pull/7" }] });
    let comment = |id: &str, more: Value| {
        let mut comment = json!({
            "id": id, "body": id, "createdAt": "2025-11-02T00:00:00Z", "updatedAt": "2025-11-02T00:00:00Z", "user": null,
            "url": format!("https://linear.app/acme/issue/ENG-1#{id}"), "parent": null, "botActor": null, "externalUser": null,
        });
        comment.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        comment
    };
    let grace = json!({ "id": "x1", "name": "Grace", "displayName": "grace", "email": null, "avatarUrl": null });
    whole["comments"]["nodes"] = json!([
        comment("first", json!({ "user": person() })),
        comment("second", json!({ "externalUser": grace, "parent": { "id": "first" } })),
        comment("third", json!({ "botActor": { "id": null, "name": "GitHub" } })),
    ]);
    let synced = service(vec![whole]).synced().await;
    let row = synced.link("ENG-1").await;
    assert_eq!(row.link.actions[0].does, ButtonTarget::Url("https://github.com/acme/web/pull/7".to_owned()));
    assert_eq!(row.link.raw_meta["due"], "2026-02-01");
    let mut notes = synced.host.runtime().ports().engine.notes_of_link(row.link.id).await.expect("the store works");
    notes.sort_by_key(|row| row.note.key.clone());
    let author = |author: &Author| match author {
        Author::Person(actor) => (actor.id.clone(), actor.bot),
        other => panic!("{other:?}"),
    };
    let authors: Vec<_> = notes.iter().map(|row| author(&row.note.author)).collect();
    assert_eq!(authors, [("u1".to_owned(), false), ("x1".to_owned(), false), ("GitHub".to_owned(), true)]);
    assert_eq!(notes[1].note.reply_to.as_ref().map(|key| key.as_str()), Some("first"));
}

/// R9.1, R10.4: a user's files go to Linear's storage and are named in the comment; what a text names there can be
/// fetched, and an edit of the text takes no file away.
#[tokio::test]
async fn files_go_out_and_in() {
    let linear = service(vec![issue("1", "2025-12-01T00:00:00Z")]);
    let synced = linear.synced().await;
    let (runtime, row) = (synced.host.runtime(), synced.link("ENG-1").await);
    let plan: Vec<u8> = (0..600_000_u32).map(|byte| byte as u8).collect();
    let ada = UserId::from_static("ada");
    let attachments = vec![
        synced.host.upload(&ada, "plan.png", "image/png", plan.clone()).await,
        synced.host.upload(&ada, "notes.txt", "text/plain", "soup").await,
    ];
    let (user, link) = (ada.clone(), Some(row.link.id));
    let new = NewUserNote { user, content: "Here *it* is".to_owned(), link, recipients: Vec::new(), attachments };
    let note = runtime.create_note(row.link.thread, new).await.expect("it is stored");
    synced.host.settle().await;
    let body = || linear.held(|held| held.issues[0]["comments"]["nodes"][0]["body"].as_str().map(str::to_owned));
    let text = body().expect("a comment");
    let plan_there = "![plan.png](https://uploads.linear.app/plan.png-600000)";
    assert_eq!(text, format!("Here *it* is\n\n{plan_there}\n\n[notes.txt](https://uploads.linear.app/notes.txt-4)"));
    assert!(linear.held(|held| held.files.values().any(|bytes| *bytes == plan)));

    synced.host.advance(SignedDuration::from_mins(1)).await;
    synced.sync().await;
    let known = async || {
        let notes = runtime.ports().engine.notes_of_link(row.link.id).await.expect("the store works");
        let [known] = notes.as_slice() else { panic!("{notes:?}") };
        assert_eq!(known.note.id, note.id);
        known.note.clone()
    };
    let found = known().await;
    assert_eq!((found.content.as_str(), found.attachments.len(), found.files().count()), ("Here *it* is", 2, 0));
    let download = runtime.download(note.id, 0, &ada);
    let Download::Body { name, body: bytes, .. } = synced.host.run(download).await.expect("the service works") else {
        panic!("there is a file")
    };
    let bytes = bytes.try_collect::<Vec<_>>().await.expect("it is whole").concat();
    assert_eq!((name.as_str(), bytes), ("plan.png", plan));

    runtime.edit_note(note.id, &ada, "There".to_owned()).await.expect("it is stored");
    synced.host.settle().await;
    let edited = body().expect("a comment");
    assert_eq!(edited, text.replace("Here *it* is", "There"));
}

/// L8: what is in the bin is archived, and comes back from there.
#[tokio::test]
async fn an_issue_in_the_bin_is_archived() {
    let linear = service(vec![issue("1", "2025-12-01T00:00:00Z")]);
    let synced = linear.synced().await;
    let trash = |trashed: bool, at: &str| {
        linear.held(|held| {
            held.issues[0]["trashed"] = json!(trashed);
            held.issues[0]["updatedAt"] = json!(at);
        });
    };
    trash(true, "2025-12-02T00:00:00Z");
    synced.sync().await;
    assert!(synced.link("ENG-1").await.link.archived);
    trash(false, "2025-12-03T00:00:00Z");
    synced.sync().await;
    assert!(!synced.link("ENG-1").await.link.archived);
}

/// R1.8, L7: an issue in a state that was added after the teams were listed is not lost: they are listed again.
#[tokio::test]
async fn a_new_state_is_learned() {
    let linear = service(vec![issue("1", "2025-12-01T00:00:00Z")]);
    let synced = linear.synced().await;
    linear.held(|held| {
        held.states.push(state("s3", "started"));
        held.issues[0]["state"] = json!({ "id": "s3", "type": "started" });
        held.issues[0]["updatedAt"] = json!("2025-12-02T00:00:00Z");
    });
    synced.sync().await;
    synced.host.advance(SignedDuration::from_mins(1)).await;
    assert_eq!(synced.link("ENG-1").await.link.status.expect("a status").as_str(), "s3");
}

/// L11: a limit that comes as a bad request with a code moves the sync, and it goes on.
#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let linear = service(vec![issue("1", "2025-12-01T00:00:00Z")]);
    let synced = linear.synced().await;
    linear.held(|held| {
        held.limited = true;
        held.issues.push(issue("2", "2025-12-02T00:00:00Z"));
    });
    synced.sync().await;
    assert_eq!(synced.links().await.len(), 1);
    synced.host.advance(SignedDuration::from_secs(91)).await;
    assert_eq!(synced.links().await.len(), 2);
    let channels =
        synced.host.run(synced.host.runtime().channels(synced.connection)).await.expect("they can be listed");
    assert_eq!(channels[0].sync.state, SyncState::Synced);
}
