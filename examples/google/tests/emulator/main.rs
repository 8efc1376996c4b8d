//! Gmail, and the listing of calendars, against an emulator that somebody else wrote. It has no sync tokens, recurrence,
//! single events, watches, tasks or the profile of a mailbox: the model of `tests/it` has those.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use connector_core::engine::TaskQuery;
use connector_core::id::LinkTypeId;
use connector_core::model::{Actor, Delivery, Download, Recipient};
use connector_core::runtime::Compose;
use http::Method;
use serde_json::{Value, json};

use connector_test_support::{Emulator, Synced, ada};
use support::synced;

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The ids of the mails of each conversation with a label, as the emulator holds them.
async fn truth(emulator: &Emulator, label: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut threads: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut labelled = BTreeSet::new();
    for mail in emulator.all("messages").await.iter().filter(|mail| mail["user_email"] == "alice@acme.example") {
        let labels: Vec<_> = mail["label_ids"].as_array().expect("labels").iter().map(text).collect();
        if labels.iter().any(|found| ["TRASH", "SPAM", "DRAFT"].contains(&found.as_str())) {
            continue;
        }
        if labels.iter().any(|found| found == label) {
            labelled.insert(text(&mail["thread_id"]));
        }
        threads.entry(text(&mail["thread_id"])).or_default().insert(text(&mail["gmail_id"]));
    }
    threads.retain(|id, _| labelled.contains(id));
    threads
}

async fn mirrored(synced: &Synced) -> BTreeMap<String, BTreeSet<String>> {
    let mut threads = BTreeMap::new();
    for row in synced.links().await.into_iter().filter(|row| !row.link.archived) {
        let notes = synced.notes(&row).await;
        let keys = notes.iter().filter_map(|row| row.note.key.as_ref().map(ToString::to_string)).collect();
        threads.insert(text(&row.link.raw_meta["thread"]), keys);
    }
    threads
}

async fn assert_mirrored(emulator: &Emulator, synced: &Synced) {
    assert_eq!(mirrored(synced).await, truth(emulator, "INBOX").await);
    let dead = synced.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works");
    assert!(dead.is_empty(), "{dead:?}");
}

/// R1.10, R8.2: mail is there once, with people in their roles; what comes in arrives.
#[tokio::test]
async fn an_inbox_is_mirrored() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "mail:INBOX").await;
    assert!(synced.links().await.len() > 20);
    assert_mirrored(&emulator, &synced).await;
    let channels = synced.host.run(synced.runtime().channels(synced.connection)).await.expect("they can be listed");
    let ids: Vec<_> = channels.iter().map(|channel| channel.channel.id.as_str()).collect();
    assert!(ids.contains(&"mail:SENT") && ids.contains(&"calendar:primary"), "{ids:?}");
    let links = synced.links().await;
    let roles: BTreeSet<_> =
        links.iter().flat_map(|row| &row.link.contacts).filter_map(|contact| contact.role.clone()).collect();
    assert!(roles.contains("from") && roles.contains("to") && roles.contains("cc"), "{roles:?}");

    let raw = "RnJvbTogYm9iQGFjbWUuZXhhbXBsZQ0KVG86IGFsaWNlQGFjbWUuZXhhbXBsZQ0KU3ViamVjdDogTmV3DQoNCkhlbGxvDQo";
    let path = "/gmail/v1/users/me/messages?internalDateSource=receivedTime";
    emulator.call(Method::POST, path, json!({ "raw": raw, "labelIds": ["INBOX", "UNREAD"] })).await;
    synced.sync().await;
    assert!(synced.links().await.iter().any(|row| row.link.title.as_deref() == Some("New")));
    assert_mirrored(&emulator, &synced).await;
}

/// R9.1: read and star are labels at Gmail.
#[tokio::test]
async fn read_and_star_reach_gmail() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "mail:INBOX").await;
    let links = synced.links().await;
    let row = &links[0];
    let labels = async || {
        let path = format!("/gmail/v1/users/me/threads/{}", text(&row.link.raw_meta["thread"]));
        let thread = emulator.call(Method::GET, &path, Value::Null).await;
        let mails = thread["messages"].as_array().expect("mails").clone();
        mails
            .iter()
            .flat_map(|mail| mail["labelIds"].as_array().expect("labels").clone())
            .map(|label| text(&label))
            .collect::<BTreeSet<_>>()
    };
    let (runtime, thread) = (synced.runtime(), row.link.thread);
    runtime.set_read(thread, &ada(), true).await.expect("it is stored");
    runtime.set_to_do(thread, &ada(), true, None).await.expect("it is stored");
    synced.host.settle().await;
    assert!(labels().await.is_superset(&["STARRED".to_owned(), "UNREAD".to_owned()].into()), "{:?}", labels().await);
    runtime.set_read(thread, &ada(), false).await.expect("it is stored");
    runtime.set_to_do(thread, &ada(), false, None).await.expect("it is stored");
    synced.host.settle().await;
    assert!(labels().await.is_disjoint(&["STARRED".to_owned(), "UNREAD".to_owned()].into()), "{:?}", labels().await);
}

/// R9.1, R9.3, R9.5: a reply goes to all, within the conversation, once; a new mail to whom it is for.
#[tokio::test]
async fn mails_are_sent_once() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "mail:INBOX").await;
    let links = synced.links().await;
    let had = emulator.all("messages").await.len();
    let note = synced.reply(&links[0], "On it.").await;
    assert_eq!(note.note.delivery, Some(Delivery::Delivered));
    let key = note.note.key.as_ref().expect("a key").to_string();
    let sent = emulator.call(Method::GET, &format!("/gmail/v1/users/me/messages/{key}"), Value::Null).await;
    assert_eq!(sent["threadId"], links[0].link.raw_meta["thread"]);
    let headers = sent["payload"]["headers"].as_array().expect("headers");
    let header = |name: &str| headers.iter().find(|header| header["name"] == name).map(|header| text(&header["value"]));
    assert!(header("In-Reply-To").is_some(), "{headers:?}");
    assert!(!header("To").expect("someone").contains("alice@"), "{headers:?}");

    let to = |email: &str, role: &str| Recipient { actor: Actor::new(email).email(email), role: role.to_owned() };
    let compose = Compose {
        user: ada(),
        connection: synced.connection,
        channel: None,
        link_type: LinkTypeId::from_static("conversation"),
        status: None,
        title: "Lunch".to_owned(),
        content: Some("At noon?".to_owned()),
        recipients: vec![to("bob@acme.example", "to"), to("carol@acme.example", "cc"), to("dan@acme.example", "bcc")],
        attachments: Vec::new(),
        schedules: Vec::new(),
    };
    synced.runtime().compose(compose).await.expect("it is stored");
    synced.host.settle().await;
    synced.sync().await;
    let mails = emulator.all("messages").await;
    assert_eq!(mails.len(), had + 2);
    let mail = mails.iter().find(|mail| mail["subject"] == "Lunch").expect("it was sent");
    assert!(
        text(&mail["to"]).contains("bob@")
            && text(&mail["cc"]).contains("carol@")
            && !text(&mail["to"]).contains("dan@")
    );
    let notes = synced.notes(&links[0]).await;
    assert_eq!(notes.iter().filter(|row| row.note.written_by == Some(ada())).count(), 1);
}

/// R9.1: attachments are fetched by where they are in their mail.
#[tokio::test]
async fn attachments_are_fetched() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "mail:INBOX").await;
    let (mut found, owner) = (0, ada());
    for row in synced.links().await {
        for note in synced.notes(&row).await {
            for index in 0..note.note.attachments.len() {
                let download = synced.runtime().download(note.note.id, index, &owner);
                let download = synced.host.run(download).await.expect("the emulator works");
                assert!(matches!(download, Download::Body { .. }), "{download:?}");
                found += 1;
            }
        }
    }
    let attached = emulator.all("attachments").await.len();
    assert!(found > 0 || attached == 0, "{found} of {attached}");
}
