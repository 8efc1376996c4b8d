//! The connector against an emulator of GitHub that somebody else wrote.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod hooks;
mod support;

use std::collections::{BTreeMap, BTreeSet};

use connector_core::engine::{ConnectionStatus, LinkRow, NoteRow, SyncState, TaskQuery};
use connector_core::id::{ChannelId, LinkTypeId, StatusId};
use connector_core::model::{Actor, Author, Delivery, Patch, Source};
use connector_core::runtime::{Compose, LinkUpdate};
use connector_core::secret::Secret;
use connector_github::{Issue, PullRequest};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use connector_test_support::{Emulator, Synced, ada};
use support::{host, saved, synced};

/// Far enough for everything that the emulator has.
fn all_history() -> Value {
    json!({ "history_days": 3650 })
}

/// What there is to compare: the same from GitHub and from the store.
#[derive(Debug, PartialEq)]
struct Item {
    title: String,
    status: String,
    author: String,
    assignee: Option<String>,
    labels: BTreeSet<String>,
    milestone: Option<String>,
    created: Timestamp,
    updated: Timestamp,
    /// Key, author, time, text.
    notes: Vec<(String, String, Timestamp, String)>,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn time(value: &Value) -> Timestamp {
    text(value).parse().expect("a time")
}

fn author(author: &Author) -> String {
    match author {
        Author::Person(actor) => actor.id.clone(),
        other => panic!("{other:?} wrote it"),
    }
}

fn stored(link: &LinkRow, notes: &[NoteRow]) -> Item {
    let (link, meta) = (&link.link, &link.link.raw_meta);
    let mut notes: Vec<_> = notes
        .iter()
        .map(|row| &row.note)
        .map(|note| {
            let key = note.key.as_ref().expect("it came from GitHub").to_string();
            (key, author(&note.author), note.occurred_at, note.content.clone())
        })
        .collect();
    notes.sort();
    Item {
        title: link.title.clone().expect("a title"),
        status: link.status.as_ref().expect("a status").to_string(),
        author: author(&link.author),
        assignee: link.assignee.as_ref().map(|actor| actor.id.clone()),
        labels: meta["labels"].as_array().expect("labels").iter().map(text).collect(),
        milestone: meta["milestone"].as_str().map(str::to_owned),
        created: link.occurred_at,
        updated: link.updated_at,
        notes,
    }
}

/// The items of repository 1, `acme/web-app`, by id, as the emulator holds them.
async fn truth(emulator: &Emulator, kind: &str) -> BTreeMap<String, Item> {
    let named = |items: Vec<Value>, name: &'static str| -> BTreeMap<String, String> {
        items.iter().map(|item| (item["id"].to_string(), text(&item[name]))).collect()
    };
    let labels = named(emulator.all("labels").await, "name");
    let milestones = named(emulator.all("milestones").await, "title");
    let comments = emulator.all("comments").await;
    let items = emulator.all(kind).await;
    let of_repository = |item: &&Value| item["repo_id"] == 1 && item["is_pull_request"] != true;
    items
        .iter()
        .filter(of_repository)
        .map(|item| {
            let note = |key: String, note: &Value| {
                (
                    key,
                    note["user_id"].to_string(),
                    time(&note["created_at"]),
                    text(&note["body"]).trim_end().replace("\r\n", "\n"),
                )
            };
            let own = comments.iter().filter(|comment| {
                comment["repo_id"] == 1
                    && comment["comment_type"] == "issue"
                    && comment["issue_number"] == item["number"]
            });
            let mut notes: Vec<_> = own.map(|comment| note(comment["id"].to_string(), comment)).collect();
            notes.extend(item["body"].as_str().filter(|body| !body.is_empty()).map(|_| note("body".to_owned(), item)));
            notes.sort();
            let merged = item["merged"] == true;
            let held = Item {
                title: text(&item["title"]).trim().to_owned(),
                status: if merged { "merged".to_owned() } else { text(&item["state"]) },
                author: item["user_id"].to_string(),
                assignee: item["assignee_ids"].get(0).map(ToString::to_string),
                labels: item["label_ids"]
                    .as_array()
                    .expect("ids")
                    .iter()
                    .map(|id| labels[&id.to_string()].clone())
                    .collect(),
                milestone: item["milestone_id"].as_u64().map(|id| milestones[&id.to_string()].clone()),
                created: time(&item["created_at"]),
                updated: time(&item["updated_at"]),
                notes,
            };
            (item["id"].to_string(), held)
        })
        .collect()
}

/// The same, as the host has it.
async fn mirrored(synced: &Synced, kind: &str) -> BTreeMap<String, Item> {
    let mut items = BTreeMap::new();
    for (link, notes) in synced.records().await {
        let parts: Vec<_> = link.link.source.qualifiers().collect();
        if parts[0] == kind && !link.link.archived {
            let notes: Vec<_> = notes.into_iter().filter(|row| !row.note.archived).collect();
            assert!(
                items.insert(parts[1].clone(), stored(&link, &notes)).is_none(),
                "{} is there twice",
                link.link.source
            );
        }
    }
    items
}

fn assert_same(found: &BTreeMap<String, Item>, truth: &BTreeMap<String, Item>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    for (id, item) in truth {
        assert_eq!(&found[id], item, "{id}");
    }
}

/// R8.2, R8.3, R11.1: everything is there once, looking again writes nothing, and what changes on GitHub arrives.
#[tokio::test]
async fn a_repository_is_mirrored() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "acme/web-app", all_history()).await;
    let (issues, pulls) = (truth(&emulator, "issues").await, truth(&emulator, "pull_requests").await);
    assert_eq!((issues.len(), pulls.len()), (190, 12));
    assert_same(&mirrored(&synced, "issue").await, &issues);
    assert_same(&mirrored(&synced, "pull").await, &pulls);
    let channels =
        synced.host.run(synced.runtime().channels(synced.connection)).await.expect("the channels can be listed");
    let names: Vec<_> = channels.iter().map(|channel| channel.channel.id.as_str()).collect();
    assert_eq!(names, ["acme/api", "acme/web-app", "alice/dotfiles"]);
    let web_app = channels.iter().find(|channel| channel.channel.id == synced.channel).expect("it is listed");
    assert_eq!(web_app.sync.state, SyncState::Synced);

    let (before, asked) = (synced.records().await, emulator.listed("requests").await.len());
    synced.sync().await;
    assert_eq!(synced.records().await, before);
    let asked = emulator.listed("requests").await.len() - asked;
    assert!(asked <= 6, "{asked} requests to learn that nothing has changed");

    emulator
        .call(
            Method::PATCH,
            "/repos/acme/web-app/issues/7",
            json!({ "title": "Renamed", "labels": ["bug"], "assignees": ["carol"] }),
        )
        .await;
    emulator.call(Method::POST, "/repos/acme/web-app/issues/3/comments", json!({ "body": "One more" })).await;
    let opened = emulator.call(Method::POST, "/repos/acme/web-app/issues", json!({ "title": "New" })).await;
    synced.host.advance(SignedDuration::from_mins(15)).await;
    let issues = truth(&emulator, "issues").await;
    assert_eq!(issues[&opened["id"].to_string()].title, "New");
    assert_same(&mirrored(&synced, "issue").await, &issues);

    let doomed = emulator.get("/repos/acme/web-app/issues/3/comments").await[0]["id"].clone();
    emulator.call(Method::DELETE, &format!("/repos/acme/web-app/issues/comments/{doomed}"), Value::Null).await;
    emulator.call(Method::PATCH, "/repos/acme/web-app/issues/3", json!({ "body": "" })).await;
    synced.sync().await;
    let issues = truth(&emulator, "issues").await;
    assert_same(&mirrored(&synced, "issue").await, &issues);
}

/// R2.1, R8.7: pull requests and history are the user's choice.
#[tokio::test]
async fn options_limit_what_is_synced() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let issues = truth(&emulator, "issues").await;
    let newest = issues.values().map(|issue| issue.updated).max().expect("there are some");
    let host = host(&emulator);
    host.clock().set(newest);
    let options = json!({ "history_days": 30, "pull_requests": false });
    let synced = emulator.sync(host, ChannelId::new("acme/web-app"), options).await;
    let recent = |issue: &&Item| issue.updated >= newest - SignedDuration::from_hours(30 * 24);
    let wanted = issues.values().filter(recent).count();
    assert!((1..100).contains(&wanted), "{wanted} of {}", issues.len());
    let links = synced.links().await;
    assert_eq!(links.len(), wanted);
    assert!(links.iter().all(|link| link.link.is::<Issue>()));
}

async fn note_of(synced: &Synced, link: &LinkRow, wanted: impl Fn(&NoteRow) -> bool) -> NoteRow {
    synced.notes(link).await.into_iter().find(wanted).expect("the note is there")
}

/// R9.1, R9.2, R9.3: a reply is on GitHub once, and does not come back as another note.
#[tokio::test]
async fn a_reply_arrives_once() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "alice/dotfiles", all_history()).await;
    let issue = emulator.get("/repos/alice/dotfiles/issues/1").await;
    let link = saved(&synced, "issue", &issue["id"]).await;
    let before = synced.notes(&link).await.len();
    let comments = async || emulator.get("/repos/alice/dotfiles/issues/1/comments?per_page=100").await;
    let had = comments().await.as_array().expect("a list").len();

    let note = synced.reply(&link, "On it.").await;
    assert_eq!(note.note.delivery, Some(Delivery::Delivered));
    let arrived = comments().await;
    assert_eq!(arrived.as_array().expect("a list").len(), had + 1);
    assert_eq!((&arrived[had]["body"], &arrived[had]["user"]["login"]), (&json!("On it."), &json!("alice")));
    assert_eq!(note.note.key.as_ref().expect("a key").as_str(), arrived[had]["id"].to_string());

    synced.sync().await;
    synced.sync().await;
    let notes = synced.notes(&link).await;
    assert_eq!(notes.len(), before + 1);
    assert_eq!(note_of(&synced, &link, |found| found.note.id == note.note.id).await.note.written_by, Some(ada()));
    assert_eq!(comments().await.as_array().expect("a list").len(), had + 1);

    synced.runtime().edit_note(note.note.id, &ada(), "On it, *today*.".to_owned()).await.expect("it is stored");
    synced.host.settle().await;
    assert_eq!(comments().await[had]["body"], "On it, *today*.");
    synced.sync().await;
    let note = note_of(&synced, &link, |found| found.note.id == note.note.id).await;
    assert_eq!((note.note.content.as_str(), note.note.delivery), ("On it, *today*.", Some(Delivery::Delivered)));
    assert_eq!(synced.notes(&link).await.len(), before + 1);
}

async fn update(synced: &Synced, link: &LinkRow, update: LinkUpdate) {
    synced.runtime().update_link(link.link.id, &ada(), update).await.expect("it is stored");
    synced.host.settle().await;
}

/// R9.1: what a user changes is changed on GitHub, and nothing else (L24).
#[tokio::test]
async fn changes_reach_github() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "acme/web-app", all_history()).await;
    let issue = async || emulator.get("/repos/acme/web-app/issues/1").await;
    let before = issue().await;
    assert_eq!((&before["state"], &before["assignee"]["login"]), (&json!("open"), &json!("bob")));
    let link = saved(&synced, "issue", &before["id"]).await;

    update(&synced, &link, LinkUpdate { status: Some(StatusId::from_static("closed")), ..LinkUpdate::default() }).await;
    let closed = issue().await;
    assert_eq!(closed["state"], "closed");
    for kept in ["title", "body", "labels", "assignees", "milestone"] {
        assert_eq!(closed[kept], before[kept], "{kept}");
    }
    update(
        &synced,
        &link,
        LinkUpdate {
            status: Some(StatusId::from_static("open")),
            title: Some("Slow".to_owned()),
            ..LinkUpdate::default()
        },
    )
    .await;
    assert_eq!((&issue().await["state"], &issue().await["title"]), (&json!("open"), &json!("Slow")));

    let carol = emulator.get("/users/carol").await;
    let assignee = Actor::new(carol["id"].to_string()).handle("carol");
    update(&synced, &link, LinkUpdate { assignee: Patch::Set(assignee), ..LinkUpdate::default() }).await;
    assert_eq!(issue().await["assignees"].as_array().expect("a list").len(), 1);
    assert_eq!(issue().await["assignee"]["login"], "carol");
    update(&synced, &link, LinkUpdate { assignee: Patch::Clear, ..LinkUpdate::default() }).await;
    assert_eq!(issue().await["assignees"], json!([]));

    let pull = emulator.get("/repos/acme/web-app/pulls/192").await;
    let link = saved(&synced, "pull", &pull["id"]).await;
    assert_eq!(link.link.typed_status(), Some(PullRequest::Open));
    update(&synced, &link, LinkUpdate { status: Some(StatusId::from_static("closed")), ..LinkUpdate::default() }).await;
    assert_eq!(emulator.get("/repos/acme/web-app/pulls/192").await["state"], "closed");

    synced.sync().await;
    assert_same(&mirrored(&synced, "issue").await, &truth(&emulator, "issues").await);
    assert_same(&mirrored(&synced, "pull").await, &truth(&emulator, "pull_requests").await);
    assert!(synced.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works").is_empty());
}

/// R9.1, R9.3: a composed issue is opened once, and a sync finds the one that is there.
#[tokio::test]
async fn an_issue_is_composed() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "alice/dotfiles", all_history()).await;
    let before = synced.links().await.len();
    let compose = Compose {
        user: ada(),
        connection: synced.connection,
        channel: Some(synced.channel.clone()),
        link_type: LinkTypeId::from_static("issue"),
        status: None,
        title: "Colours are off".to_owned(),
        content: Some("In `fish`, *always*.".to_owned()),
        recipients: Vec::new(),
        attachments: Vec::new(),
        schedules: Vec::new(),
    };
    let draft = synced.runtime().compose(compose).await.expect("it is stored");
    synced.host.settle().await;
    let issues = emulator.get("/repos/alice/dotfiles/issues?state=all").await;
    let opened: Vec<_> =
        issues.as_array().expect("a list").iter().filter(|issue| issue["title"] == "Colours are off").collect();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0]["body"], "In `fish`, *always*.");

    synced.sync().await;
    assert_eq!(synced.links().await.len(), before + 1);
    let link = saved(&synced, "issue", &opened[0]["id"]).await;
    assert_eq!(
        (link.link.id, link.link.thread, &link.link.delivery),
        (draft.id, draft.thread, &Some(Delivery::Delivered))
    );
    assert_eq!(link.link.source, Source::new("github", ["issue", &opened[0]["id"].to_string()]));
    let notes = synced.notes(&link).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(notes[0].note.written_by, Some(ada()));
}

/// R3.7: a token that is wrong is refused, one that is revoked asks for another, and the sync goes on with that.
#[tokio::test]
async fn tokens_can_be_wrong() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let refused = emulator.connect(&host(&emulator), "ghp_wrong", all_history()).await.expect_err("the token is wrong");
    assert!(refused.to_string().contains("credential was not accepted"), "{refused}");

    let synced = synced(&emulator, "alice/dotfiles", all_history()).await;
    emulator.revoke("ghp_emulatorAlice").await;
    synced.sync().await;
    let status = async || synced.runtime().connection(synced.connection).await.expect("it is there").status;
    assert_eq!(status().await, ConnectionStatus::NeedsReauth);

    emulator
        .control(
            Method::POST,
            "/tokens",
            json!({ "service": "github", "token": "ghp_second", "login": "alice", "scopes": ["repo"] }),
        )
        .await;
    synced
        .host
        .run(synced.runtime().reauthorize(synced.connection, Secret::new("ghp_second")))
        .await
        .expect("the token is good");
    synced.host.settle().await;
    assert_eq!(status().await, ConnectionStatus::Active);
    assert!(synced.links().await.len() >= 6);
}

/// R6.6, R7.1: what fails in the middle is done again, and nothing is lost or doubled.
#[tokio::test]
async fn faults_pass() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let host = host(&emulator);
    let connection = emulator.connect(&host, "ghp_emulatorAlice", all_history()).await.expect("the token is good");
    let synced = Synced { host, connection, channel: "acme/web-app".into() };
    synced.enable().await;
    let comments = "/repos/acme/web-app/issues/[0-9]+/comments";
    emulator.fault(json!({ "path": comments, "status": 500, "body": "{}", "skip": 20, "times": 3 })).await;
    emulator.fault(json!({ "path": comments, "truncate": 200, "skip": 60, "times": 2 })).await;
    emulator
        .fault(json!({ "path": comments, "status": 200, "body": "<html>down</html>", "skip": 90, "times": 1 }))
        .await;
    emulator
        .fault(json!({ "path": comments, "throttle": "secondary", "retry_after": 30, "skip": 120, "times": 1 }))
        .await;
    synced.host.advance(SignedDuration::from_hours(2)).await;
    let faults = emulator.listed("faults").await;
    assert!(faults.len() == 4 && faults.iter().all(|fault| fault["times"] == 0), "{faults:?}");
    assert_same(&mirrored(&synced, "issue").await, &truth(&emulator, "issues").await);
    assert_same(&mirrored(&synced, "pull").await, &truth(&emulator, "pull_requests").await);
    assert!(synced.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works").is_empty());
}
