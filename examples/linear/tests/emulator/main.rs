//! The connector against an emulator of Linear that somebody else wrote. It has neither filters by time nor
//! attachments, so here the connector syncs what is essential; `service.rs` has the rest.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use connector_core::engine::{LinkRow, NoteRow, SyncState, TaskQuery};
use connector_core::id::{LinkTypeId, StatusId};
use connector_core::link_type::StatusIcon;
use connector_core::model::{Actor, Author, Delivery, Patch, Source};
use connector_core::runtime::{Compose, LinkUpdate};
use http::Method;
use serde_json::{Value, json};

use connector_test_support::{Emulator, Synced, ada};
use support::{issue, linear, saved, synced};

/// What there is to compare: the same from Linear and from the store.
#[derive(Debug, PartialEq)]
struct Item {
    title: String,
    state: String,
    author: String,
    assignee: Option<String>,
    priority: u64,
    labels: BTreeSet<String>,
    /// Key, author, text.
    notes: BTreeSet<(String, String, String)>,
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn author(author: &Author) -> String {
    match author {
        Author::Person(actor) => actor.id.clone(),
        other => panic!("{other:?} wrote it"),
    }
}

fn stored(row: &LinkRow, notes: &[NoteRow]) -> Item {
    let (link, meta) = (&row.link, &row.link.raw_meta);
    let note = |row: &NoteRow| {
        (row.note.key.as_ref().expect("a key").to_string(), author(&row.note.author), row.note.content.clone())
    };
    Item {
        title: link.title.clone().expect("a title"),
        state: link.status.as_ref().expect("a status").to_string(),
        author: author(&link.author),
        assignee: link.assignee.as_ref().map(|actor| actor.id.clone()),
        priority: meta["priority"].as_u64().expect("a number"),
        labels: meta["labels"].as_array().expect("labels").iter().map(text).collect(),
        notes: notes.iter().map(note).collect(),
    }
}

/// The issues of a team by id, as the emulator holds them.
async fn truth(emulator: &Emulator, team: &str) -> BTreeMap<String, Item> {
    let labels: BTreeMap<_, _> = emulator
        .all("issue_labels")
        .await
        .iter()
        .map(|label| (text(&label["linear_id"]), text(&label["name"])))
        .collect();
    let comments = emulator.all("comments").await;
    let stored = |text: &Value| text.as_str().expect("a text").trim_end().replace("\r\n", "\n");
    let item = |issue: &Value| {
        let own = comments.iter().filter(|comment| comment["issue_id"] == issue["linear_id"]);
        let mut notes: BTreeSet<_> = own
            .map(|comment| (text(&comment["linear_id"]), text(&comment["user_id"]), stored(&comment["body"])))
            .collect();
        if issue["description"].as_str().is_some_and(|text| !text.is_empty()) {
            notes.insert(("description".to_owned(), text(&issue["creator_id"]), stored(&issue["description"])));
        }
        Item {
            title: text(&issue["title"]).trim().to_owned(),
            state: text(&issue["state_id"]),
            author: text(&issue["creator_id"]),
            assignee: issue["assignee_id"].as_str().map(str::to_owned),
            priority: issue["priority"].as_u64().expect("a number"),
            labels: issue["label_ids"].as_array().expect("ids").iter().map(|id| labels[&text(id)].clone()).collect(),
            notes,
        }
    };
    let issues = emulator.all("issues").await;
    issues
        .iter()
        .filter(|issue| issue["team_id"] == team)
        .map(|issue| (text(&issue["linear_id"]), item(issue)))
        .collect()
}

/// The same, as the host has it.
async fn mirrored(synced: &Synced) -> BTreeMap<String, Item> {
    let mut items = BTreeMap::new();
    for row in synced.links().await.into_iter().filter(|row| !row.link.archived) {
        let item = stored(&row, &synced.notes(&row).await);
        let id = row.link.source.qualifiers().next().expect("an id");
        assert!(items.insert(id, item).is_none(), "{} is there twice", row.link.source);
    }
    items
}

async fn assert_mirrored(emulator: &Emulator, synced: &Synced) {
    let (found, truth) = (mirrored(synced).await, truth(emulator, synced.channel.as_str()).await);
    assert_eq!(found.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    for (id, item) in &truth {
        assert_eq!(&found[id], item, "{id}");
    }
    let dead = synced.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works");
    assert!(dead.is_empty(), "{dead:?}");
}

/// R8.2, R11.1, L30: everything is there once, and what changes on Linear arrives.
#[tokio::test]
async fn a_team_is_mirrored() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "PLT").await;
    assert_eq!(synced.links().await.len(), 80);
    assert_mirrored(&emulator, &synced).await;

    let before = synced.links().await;
    synced.sync().await;
    assert_eq!(synced.links().await, before);

    let update =
        "mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success } }";
    linear(&emulator, update, json!({ "id": "PLT-7", "input": { "title": "Renamed", "priority": 1 } })).await;
    let comment = "mutation($input: CommentCreateInput!) { commentCreate(input: $input) { success } }";
    linear(&emulator, comment, json!({ "input": { "issueId": "PLT-9", "body": "One more" } })).await;
    let create = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success } }";
    linear(&emulator, create, json!({ "input": { "teamId": synced.channel, "title": "New" } })).await;
    synced.sync().await;
    assert_eq!(saved(&synced, "PLT-7").await.link.title.as_deref(), Some("Renamed"));
    assert_eq!(synced.links().await.len(), 81);
    assert_mirrored(&emulator, &synced).await;
}

/// R1.8: each team has its own workflow states in place of the declared statuses.
#[tokio::test]
async fn each_team_has_its_own_statuses() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "MOB").await;
    assert_mirrored(&emulator, &synced).await;
    let channels = synced.host.run(synced.runtime().channels(synced.connection)).await.expect("they can be listed");
    assert_eq!(channels.len(), 3);
    let mobile = channels.iter().find(|channel| channel.channel.id == synced.channel).expect("it is listed");
    assert_eq!((mobile.channel.name.as_str(), mobile.sync.state), ("Mobile", SyncState::Synced));
    let statuses = mobile.channel.link_types[0].statuses.as_ref().expect("statuses");
    let shown: Vec<_> = statuses.iter().map(|status| (status.label.as_str(), status.icon, status.done)).collect();
    assert_eq!(
        shown,
        [
            ("Triage", Some(StatusIcon::Backlog), false),
            ("Backlog", Some(StatusIcon::Backlog), false),
            ("Todo", Some(StatusIcon::Todo), false),
            ("In Progress", Some(StatusIcon::InProgress), false),
            ("In Review", Some(StatusIcon::InProgress), false),
            ("Done", Some(StatusIcon::Done), true),
            ("Canceled", Some(StatusIcon::Cancelled), true),
            ("Won't fix", Some(StatusIcon::Cancelled), true),
        ]
    );
    assert_eq!(
        statuses.iter().filter(|status| status.todo).map(|status| status.label.as_str()).collect::<Vec<_>>(),
        ["Todo"]
    );
    let ids: BTreeSet<_> = statuses.iter().map(|status| StatusId::new(status.id.as_str())).collect();
    assert!(synced.links().await.iter().all(|row| row.link.status.as_ref().is_some_and(|status| ids.contains(status))));
}

/// R9.1, L24: what a user changes is changed on Linear, and nothing else.
#[tokio::test]
async fn changes_reach_linear() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "PLT").await;
    let before = issue(&emulator, "PLT-12").await;
    let link = saved(&synced, "PLT-12").await;
    let states = emulator.all("workflow_states").await;
    let state = states
        .iter()
        .find(|state| state["team_id"] == synced.channel.as_str() && state["name"] == "In Review")
        .map(|state| text(&state["linear_id"]))
        .expect("the state is there");

    synced.update(&link, LinkUpdate { status: Some(StatusId::new(state.as_str())), ..LinkUpdate::default() }).await;
    let after = issue(&emulator, "PLT-12").await;
    assert_eq!(after["state"]["id"], state);
    for kept in ["title", "description", "priority", "assignee", "labels"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }

    let users = emulator.all("users").await;
    let carol =
        users.iter().find(|user| user["display_name"] == "carol").map(|user| text(&user["linear_id"])).expect("carol");
    let assignee = Patch::Set(Actor::new(carol.as_str()));
    synced.update(&link, LinkUpdate { title: Some("Slow".to_owned()), assignee, ..LinkUpdate::default() }).await;
    let after = issue(&emulator, "PLT-12").await;
    assert_eq!((&after["title"], &after["assignee"]["id"]), (&json!("Slow"), &json!(carol)));
    synced.update(&link, LinkUpdate { assignee: Patch::Clear, ..LinkUpdate::default() }).await;
    let after = issue(&emulator, "PLT-12").await;
    assert_eq!((&after["assignee"], &after["state"]["id"]), (&Value::Null, &json!(state)));

    let unknown = LinkUpdate { status: Some(StatusId::from_static("done")), ..LinkUpdate::default() };
    synced.runtime().update_link(link.link.id, &ada(), unknown).await.expect_err("the team has no such state");
    synced.sync().await;
    assert_mirrored(&emulator, &synced).await;
}

/// R9.1, R9.2, R9.3: a reply is on Linear once, can be edited, and does not come back as another note.
#[tokio::test]
async fn a_reply_arrives_once() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "PLT").await;
    let comments = async || issue(&emulator, "PLT-3").await["comments"]["nodes"].as_array().expect("a list").clone();
    let (link, had) = (saved(&synced, "PLT-3").await, comments().await.len());

    let note = synced.reply(&link, "On it.").await;
    assert_eq!(note.note.delivery, Some(Delivery::Delivered));
    let arrived = comments().await;
    assert_eq!(arrived.len(), had + 1);
    let key = note.note.key.as_ref().expect("a key").to_string();
    let of_note =
        |comments: &[Value]| comments.iter().find(|comment| comment["id"] == key).cloned().expect("it is there");
    assert_eq!(of_note(&arrived)["body"], "On it.");

    synced.sync().await;
    let edited = synced.runtime().edit_note(note.note.id, &ada(), "On it, *today*.".to_owned()).await;
    edited.expect("it is stored");
    synced.host.settle().await;
    synced.sync().await;
    assert_eq!(of_note(&comments().await)["body"], "On it, *today*.");
    assert_eq!(comments().await.len(), had + 1);
    let notes = synced.notes(&link).await;
    let ours: Vec<_> = notes.iter().filter(|row| row.note.written_by == Some(ada())).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].note.content, "On it, *today*.");
    assert_mirrored(&emulator, &synced).await;
}

/// R9.1, R9.3: a composed issue is made once, and a sync finds the one that is there.
#[tokio::test]
async fn an_issue_is_composed() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "MOB").await;
    let before = synced.links().await.len();
    let compose = Compose {
        user: ada(),
        connection: synced.connection,
        channel: Some(synced.channel.clone()),
        link_type: LinkTypeId::from_static("issue"),
        status: None,
        title: "Colours are off".to_owned(),
        content: Some("In *dark mode*.".to_owned()),
        recipients: Vec::new(),
        attachments: Vec::new(),
        schedules: Vec::new(),
    };
    let draft = synced.runtime().compose(compose).await.expect("it is stored");
    synced.host.settle().await;
    synced.sync().await;
    let issues = emulator.all("issues").await;
    let made: Vec<_> = issues.iter().filter(|issue| issue["title"] == "Colours are off").collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["description"], "In *dark mode*.");
    let links = synced.links().await;
    assert_eq!(links.len(), before + 1);
    let link = links.iter().find(|row| row.link.id == draft.id).expect("it is the same link");
    assert_eq!(link.link.source, Source::new("linear", [text(&made[0]["linear_id"])]));
    assert_eq!(link.link.status.as_ref().map(ToString::to_string), Some(text(&made[0]["state_id"])));
    assert_eq!(synced.notes(link).await.len(), 1);
    assert_mirrored(&emulator, &synced).await;
}

/// R6.6, L11: what fails in the middle is done again, and nothing is lost or doubled.
#[tokio::test]
async fn faults_pass() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let fault = async |mut fault: Value| {
        fault["service"] = json!("linear");
        emulator.control(Method::POST, "/faults", fault).await;
    };
    fault(json!({ "body_match": "issues\\(", "skip": 1, "times": 4, "status": 502, "body": "down" })).await;
    fault(json!({ "body_match": "issues\\(", "skip": 6, "times": 1, "truncate": 300 })).await;
    fault(json!({ "body_match": "issues\\(", "skip": 7, "times": 1, "throttle": "primary", "retry_after": 30 })).await;
    let synced = synced(&emulator, "PLT").await;
    synced.host.advance(jiff::SignedDuration::from_hours(2)).await;
    assert_mirrored(&emulator, &synced).await;
    let faults = emulator.control(Method::GET, "/faults", Value::Null).await;
    assert!(faults.as_array().expect("a list").iter().all(|fault| fault["times"] == 0), "{faults:?}");
}
