//! The connector against an emulator of Slack that somebody else wrote.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use connector_core::engine::{ConnectionStatus, SyncState, TaskQuery};
use connector_core::id::LinkTypeId;
use connector_core::model::{Actor, Author, Delivery, Download, Emoji, Recipient};
use connector_core::runtime::{Compose, NewUserNote};
use connector_core::secret::Secret;
use connector_slack::{DirectMessage, Message};
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use connector_test_support::{Emulator, Synced, ada};
use http::Method;
use support::{connect, host, id, pushed, saved, slack, subscribe, synced};

pub(crate) fn time(ts: &Value) -> Timestamp {
    let (seconds, micros) = ts.as_str().and_then(|ts| ts.split_once('.')).expect("seconds and their parts");
    Timestamp::new(seconds.parse().expect("seconds"), micros.parse::<i32>().expect("micros") * 1000).expect("a time")
}

/// What there is to compare of a message: the same from Slack and from the store.
#[derive(Debug, PartialEq)]
struct Said {
    author: String,
    at: Timestamp,
    /// Who reacted, by the name of the emoji at Slack.
    reactions: BTreeSet<(String, String)>,
}

/// The messages of the channel by thread, then by time, as the emulator holds them.
async fn truth(emulator: &Emulator, channel: &str) -> BTreeMap<String, BTreeMap<String, Said>> {
    let mut threads: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for message in emulator.all("messages").await {
        if message["channel_id"] != channel || message["subtype"] == "channel_archive" {
            continue;
        }
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let each = |reaction: &Value| {
            let users = reaction["users"].as_array().expect("users").clone();
            users.into_iter().map(|user| (text(&reaction["name"]), text(&user))).collect::<Vec<_>>()
        };
        let said = Said {
            author: text(&message["user"]),
            at: time(&message["ts"]),
            reactions: message["reactions"].as_array().expect("reactions").iter().flat_map(each).collect(),
        };
        let root = message["thread_ts"].as_str().map_or_else(|| text(&message["ts"]), str::to_owned);
        threads.entry(root).or_default().insert(text(&message["ts"]), said);
    }
    threads
}

/// The same, as the host has it.
async fn mirrored(synced: &Synced) -> BTreeMap<String, BTreeMap<String, Said>> {
    let names =
        [("👀", "eyes"), ("✅", "white_check_mark"), ("🎉", "tada"), ("👍", "+1"), ("❤️", "heart"), ("🚀", "rocket")];
    let mut threads = BTreeMap::new();
    for (link, notes) in synced.records().await.into_iter().filter(|(link, _)| !link.link.archived) {
        let said = notes.iter().map(|row| &row.note).filter(|note| !note.archived).map(|note| {
            let Author::Person(author) = &note.author else { panic!("{:?} wrote it", note.author) };
            let reactions = note.reactions.iter().map(|reaction| {
                let known = names.iter().find(|(emoji, _)| reaction.emoji == Emoji::unicode(*emoji));
                (known.expect("a known emoji").1.to_owned(), reaction.actor.id.clone())
            });
            let said = Said { author: author.id.clone(), at: note.occurred_at, reactions: reactions.collect() };
            (note.key.as_ref().expect("it came from Slack").to_string(), said)
        });
        let root = link.link.source.qualifiers().last().expect("a time");
        assert!(threads.insert(root, said.collect()).is_none(), "{} is there twice", link.link.source);
    }
    threads
}

async fn dead(synced: &Synced) -> usize {
    synced.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works").len()
}

/// R8.2, R8.3, R11.1: everything is there once, looking again writes nothing, and what changes in Slack arrives.
#[tokio::test]
async fn a_channel_is_mirrored() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "engineering").await;
    let threads = truth(&emulator, synced.channel.as_str()).await;
    assert!(threads.len() > 200 && threads.values().any(|thread| thread.len() == 61), "{}", threads.len());
    assert_eq!(mirrored(&synced).await, threads);
    let channels =
        synced.host.run(synced.runtime().channels(synced.connection)).await.expect("the channels can be listed");
    let channel = channels.iter().find(|channel| channel.channel.id == synced.channel).expect("it is listed");
    assert_eq!((channel.channel.name.as_str(), channel.sync.state), ("#engineering", SyncState::Synced));
    assert!(channels.iter().all(|channel| channel.channel.name != "#old-project"), "it is archived");

    let before = synced.records().await;
    synced.sync().await;
    assert_eq!(synced.records().await, before);

    let newest = threads.keys().last().expect("there are some").clone();
    let channel = &synced.channel;
    let root = slack(&emulator, "bob", "chat.postMessage", json!({ "channel": channel, "text": "New *here*" })).await;
    let reply = json!({ "channel": channel, "text": "Welcome", "thread_ts": root["ts"] });
    slack(&emulator, "carol", "chat.postMessage", reply).await;
    let reaction = json!({ "channel": channel, "timestamp": newest, "name": "tada" });
    slack(&emulator, "dinesh", "reactions.add", reaction).await;
    synced.host.advance(SignedDuration::from_mins(15)).await;
    assert_eq!(mirrored(&synced).await, truth(&emulator, channel.as_str()).await);
    let link = saved(&synced, &root["ts"]).await;
    assert_eq!(link.link.title.as_deref(), Some("New here"));
    assert!(link.link.is::<Message>());
    assert_eq!(dead(&synced).await, 0);
}

/// R8.6, L26: text is markdown here, people have their names, and links lead to Slack.
#[tokio::test]
async fn text_becomes_markdown() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let (alice, general) = (id(&emulator, "users", "alice").await, id(&emulator, "channels", "general").await);
    let text = format!("<@{alice}> *deploy* of <https://ci.example/1|build 1> &amp; :wave: see <#{general}|general>");
    let posted = json!({ "channel": general, "text": text });
    let posted = slack(&emulator, "bob", "chat.postMessage", posted).await;
    let synced = synced(&emulator, "general").await;
    let link = saved(&synced, &posted["ts"]).await;
    let notes = synced.notes(&link).await;
    assert_eq!(
        &*notes[0].note.content,
        format!(
            "[@alice](https://acme.slack.com/team/{alice}) **deploy** of [build 1](https://ci.example/1) & 👋 \
             see [#general](https://acme.slack.com/archives/{general})"
        )
    );
    let page = posted["ts"].as_str().expect("a time").replace('.', "");
    assert_eq!(notes[0].note.url, Some(format!("https://acme.slack.com/archives/{general}/p{page}")));
    let Author::Person(author) = &notes[0].note.author else { panic!("nobody wrote it") };
    assert_eq!((author.name.as_deref(), author.email.as_deref()), (Some("bob"), Some("bob@acme.example")));
}

/// R9.1, R9.2, R9.3: a reply is in Slack once, and does not come back as another note.
#[tokio::test]
async fn a_reply_arrives_once() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let general = id(&emulator, "channels", "general").await;
    let root = slack(&emulator, "bob", "chat.postMessage", json!({ "channel": general, "text": "Ready?" })).await;
    let synced = synced(&emulator, "general").await;
    let link = saved(&synced, &root["ts"]).await;
    let replies = async || {
        let asked = json!({ "channel": general, "ts": root["ts"] });
        slack(&emulator, "bob", "conversations.replies", asked).await["messages"].as_array().expect("a list").clone()
    };

    let written = "Yes, **now**:\n\n- `a < b`\n- [docs](https://a.example)";
    let note = synced.reply(&link, written).await;
    assert_eq!(note.note.delivery, Some(Delivery::Delivered));
    let arrived = replies().await;
    assert_eq!(arrived.len(), 2);
    assert_eq!(arrived[1]["text"], "Yes, *now*:\n\n• `a &lt; b`\n• <https://a.example|docs>");
    assert_eq!(arrived[1]["user"], id(&emulator, "users", "alice").await);

    synced.sync().await;
    synced.sync().await;
    let notes = synced.notes(&link).await;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let known = notes.iter().find(|found| found.note.id == note.note.id).expect("the note is there");
    assert_eq!((&*known.note.content, &known.note.written_by), (written, &Some(ada())));

    synced.runtime().edit_note(note.note.id, &ada(), "Yes, *today*.".to_owned()).await.expect("it is stored");
    synced.host.settle().await;
    assert_eq!(replies().await[1]["text"], "Yes, _today_.");
    synced.sync().await;
    assert_eq!(synced.notes(&link).await.len(), 2);
    assert_eq!(dead(&synced).await, 0);
}

/// R1.9, R9.1: reactions go both ways, under the names that Slack has for them.
#[tokio::test]
async fn reactions_go_both_ways() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let general = id(&emulator, "channels", "general").await;
    let root = slack(&emulator, "bob", "chat.postMessage", json!({ "channel": general, "text": "Done" })).await;
    let party = json!({ "channel": general, "timestamp": root["ts"], "name": "party_parrot" });
    slack(&emulator, "carol", "reactions.add", party).await;
    let synced = synced(&emulator, "general").await;
    let note = synced.notes(&saved(&synced, &root["ts"]).await).await[0].note.clone();
    assert_eq!(note.reactions[0].emoji, Emoji::custom("party_parrot"));

    let names = async || {
        let asked = json!({ "channel": general, "timestamp": root["ts"] });
        let message = slack(&emulator, "bob", "reactions.get", asked).await["message"].clone();
        let reactions = message["reactions"].as_array().cloned().unwrap_or_default();
        reactions.iter().map(|reaction| reaction["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let react = async |emoji: Emoji, added| {
        synced.runtime().react(note.id, &ada(), emoji, added).await.expect("it is stored");
        synced.host.settle().await;
    };
    react(Emoji::unicode("🤔"), true).await;
    react(Emoji::custom("party_parrot"), true).await;
    assert_eq!(names().await, ["party_parrot", "thinking_face"]);
    synced.sync().await;
    assert_eq!(synced.notes(&saved(&synced, &root["ts"]).await).await[0].note.reactions.len(), 3);
    react(Emoji::unicode("🤔"), false).await;
    assert_eq!(names().await, ["party_parrot"]);
    // It is gone there already, which is what the user wants.
    let gone = json!({ "channel": general, "timestamp": root["ts"], "name": "party_parrot" });
    slack(&emulator, "alice", "reactions.remove", gone).await;
    react(Emoji::custom("party_parrot"), false).await;
    assert_eq!(dead(&synced).await, 0);
}

/// R10.4, R9.1, R9.3: a user's files are in Slack, in the thread or in a message of their own, once; and come back from there.
#[tokio::test]
async fn files_go_out_and_in() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let general = id(&emulator, "channels", "general").await;
    let root = slack(&emulator, "bob", "chat.postMessage", json!({ "channel": general, "text": "The plan?" })).await;
    let synced = synced(&emulator, "general").await;
    let link = saved(&synced, &root["ts"]).await;
    let plan: Vec<u8> = (0..=255).cycle().take(600_000).collect();
    let files = [
        synced.host.upload(&ada(), "plan.png", "image/png", plan.clone()).await,
        synced.host.upload(&ada(), "note.txt", "text/plain", "a note").await,
    ];
    let new = NewUserNote {
        user: ada(),
        content: "Here *it* is".to_owned(),
        link: Some(link.link.id),
        recipients: Vec::new(),
        attachments: files.to_vec(),
    };
    let note = synced.runtime().create_note(link.link.thread, new).await.expect("it is stored");
    synced.host.settle().await;
    let sent = async || {
        let asked = json!({ "channel": general, "ts": root["ts"] });
        let all = slack(&emulator, "bob", "conversations.replies", asked).await["messages"].clone();
        let all = all.as_array().expect("a list").clone();
        all.into_iter().filter(|message| message["files"].is_array()).collect::<Vec<_>>()
    };
    let arrived = sent().await;
    assert_eq!((arrived.len(), &arrived[0]["text"]), (1, &json!("Here _it_ is")));
    let names: Vec<_> = arrived[0]["files"].as_array().expect("files").iter().map(|file| &file["name"]).collect();
    assert_eq!(names, [&json!("plan.png"), &json!("note.txt")]);
    assert_eq!(arrived[0]["files"][0]["size"], 600_000);

    synced.sync().await;
    synced.sync().await;
    let notes = synced.notes(&link).await;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let known = notes.iter().find(|found| found.note.id == note.id).expect("the note is there").note.clone();
    assert_eq!((&known.delivery, known.attachments.len()), (&Some(Delivery::Delivered), 2));
    assert!(known.files().next().is_none(), "Slack's stand for them");
    let download = synced.runtime().download(note.id, 0, &ada()).await.expect("it is there");
    let Download::Body { name, media_type, body } = download else { panic!("{download:?}") };
    let body = body.try_collect::<Vec<_>>().await.expect("it is whole").concat();
    assert_eq!((name.as_str(), media_type.as_str(), body), ("plan.png", "image/png", plan));

    let file = synced.host.upload(&ada(), "menu.txt", "text/plain", "soup").await;
    let menu = Compose { attachments: vec![file], ..compose(&synced, "message", "The menu") };
    let draft = synced.runtime().compose(menu).await.expect("it is stored");
    synced.host.settle().await;
    synced.sync().await;
    let composed = synced.engine().link(draft.id).await.expect("the store works").expect("it is there");
    let notes = synced.notes(&composed).await;
    assert_eq!((notes.len(), notes[0].note.attachments[0].name.as_str()), (1, "menu.txt"), "{notes:?}");
    assert_eq!(dead(&synced).await, 0);
}

fn compose(synced: &Synced, link_type: &'static str, content: &str) -> Compose {
    Compose {
        user: ada(),
        connection: synced.connection,
        channel: Some(synced.channel.clone()),
        link_type: LinkTypeId::from_static(link_type),
        status: None,
        title: "Lunch".to_owned(),
        content: Some(content.to_owned()),
        recipients: Vec::new(),
        attachments: Vec::new(),
        schedules: Vec::new(),
    }
}

/// R9.1, R9.3, R9.5: a composed message is in its channel, or with the people it is for, once.
#[tokio::test]
async fn messages_are_composed() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "general").await;
    let before = synced.links().await.len();
    let said = async |text: &str| {
        let all = emulator.all("messages").await;
        all.into_iter().filter(|message| message["text"] == text).collect::<Vec<_>>()
    };
    let draft = synced.runtime().compose(compose(&synced, "message", "Lunch *at noon*?")).await.expect("it is stored");
    synced.host.settle().await;
    let arrived = said("Lunch _at noon_?").await;
    assert_eq!((arrived.len(), &arrived[0]["channel_id"]), (1, &json!(synced.channel)));
    synced.sync().await;
    assert_eq!(synced.links().await.len(), before + 1);
    let link = saved(&synced, &arrived[0]["ts"]).await;
    assert_eq!((link.link.id, &link.link.delivery), (draft.id, &Some(Delivery::Delivered)));
    assert_eq!(synced.notes(&link).await.len(), 1);

    let carol = id(&emulator, "users", "carol").await;
    let recipients = vec![Recipient { actor: Actor::new(&carol), role: "member".to_owned() }];
    let direct = Compose { channel: None, recipients, ..compose(&synced, "direct_message", "Just us") };
    let draft = synced.runtime().compose(direct).await.expect("it is stored");
    synced.host.settle().await;
    let arrived = said("Just us").await;
    assert_eq!(arrived.len(), 1);
    let sent = synced.engine().link(draft.id).await.expect("the store works").expect("it is there");
    assert_eq!(json!(sent.link.channel), arrived[0]["channel_id"]);
    assert!(sent.link.is::<DirectMessage>() && sent.link.contacts.iter().any(|contact| contact.actor.id == carol));
    assert_eq!(dead(&synced).await, 0);
}

/// R10.3, R11.4: what happens in Slack is here as soon as Slack has pushed it, in old threads as well.
#[tokio::test]
async fn pushes_arrive() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let synced = synced(&emulator, "support").await;
    let threads = truth(&emulator, synced.channel.as_str()).await;
    let (old, thread) = threads.iter().find(|(_, thread)| thread.len() > 1).expect("a thread");
    let reply = thread.keys().last().expect("a reply");
    let channel = &synced.channel;
    let listener = subscribe(&synced, &emulator).await;
    let push = async |user: &str, method: &str, arguments: Value| {
        let (answer, ()) = tokio::join!(slack(&emulator, user, method, arguments), pushed(&synced, &listener));
        answer
    };
    let posted = push("bob", "chat.postMessage", json!({ "channel": channel, "text": "New" })).await;
    let doomed = push("bob", "chat.postMessage", json!({ "channel": channel, "text": "Wrong" })).await;
    push("carol", "chat.postMessage", json!({ "channel": channel, "text": "Late", "thread_ts": old })).await;
    push("carol", "reactions.add", json!({ "channel": channel, "timestamp": reply, "name": "eyes" })).await;
    push("bob", "chat.update", json!({ "channel": channel, "ts": posted["ts"], "text": "Newer" })).await;
    push("bob", "chat.delete", json!({ "channel": channel, "ts": doomed["ts"] })).await;
    // Of no concern: nobody has enabled that channel.
    let general = id(&emulator, "channels", "general").await;
    push("bob", "chat.postMessage", json!({ "channel": general, "text": "Elsewhere" })).await;
    synced.host.advance(SignedDuration::from_secs(5)).await;
    assert_eq!(mirrored(&synced).await, truth(&emulator, channel.as_str()).await);
    assert_eq!(saved(&synced, &posted["ts"]).await.link.title.as_deref(), Some("Newer"));
    assert_eq!(dead(&synced).await, 0);
}

/// R3.7: a token that is wrong is refused, one that is revoked asks for another, and the sync goes on with that.
#[tokio::test]
async fn tokens_can_be_wrong() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let refused = connect(&emulator, &host(&emulator).await, "xoxp-wrong").await.expect_err("the token is wrong");
    assert!(refused.to_string().contains("credential was not accepted"), "{refused}");

    let synced = synced(&emulator, "design").await;
    emulator.revoke("xoxb-emulator-alice").await;
    synced.sync().await;
    let status = async || synced.runtime().connection(synced.connection).await.expect("it is there").status;
    assert_eq!(status().await, ConnectionStatus::NeedsReauth);

    let scopes = ["channels:read", "channels:history", "groups:read", "im:read", "mpim:read", "users:read"];
    let token = json!({ "service": "slack", "token": "xoxp-second", "login": "alice", "scopes": scopes });
    emulator.control(Method::POST, "/tokens", token).await;
    let again = synced.runtime().reauthorize(synced.connection, Secret::new("xoxp-second"));
    synced.host.run(again).await.expect("the token is good");
    synced.host.settle().await;
    assert_eq!(status().await, ConnectionStatus::Active);
}

/// R6.6, R7.1: what fails in the middle is done again, and nothing is lost or doubled.
#[tokio::test]
async fn faults_pass() {
    let Some(emulator) = support::emulator() else {
        return;
    };
    let (history, replies) = ("/api/conversations.history", "/api/conversations.replies");
    emulator.fault(json!({ "path": history, "throttle": "primary", "retry_after": 30, "skip": 1, "times": 2 })).await;
    emulator.fault(json!({ "path": replies, "status": 500, "body": "{}", "skip": 3, "times": 2 })).await;
    emulator.fault(json!({ "path": replies, "truncate": 100, "skip": 9, "times": 1 })).await;
    let down = json!({ "ok": false, "error": "internal_error" }).to_string();
    emulator.fault(json!({ "path": replies, "status": 200, "body": down, "skip": 20, "times": 1 })).await;
    let synced = synced(&emulator, "engineering").await;
    synced.host.advance(SignedDuration::from_hours(1)).await;
    let faults = emulator.listed("faults").await;
    assert!(faults.len() == 4 && faults.iter().all(|fault| fault["times"] == 0), "{faults:?}");
    assert_eq!(mirrored(&synced).await, truth(&emulator, synced.channel.as_str()).await);
    assert_eq!(dead(&synced).await, 0);
}
