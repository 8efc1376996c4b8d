//! Slack, by the same commands.

use serde_json::{Value, json};

use crate::http;
use crate::rig::{Emulator, Hub};

/// Connect, enable, sync, read, reply: what there is in Slack is there once, and a reply goes there once.
#[test]
fn a_conversation_is_read_and_answered() {
    let Some(emulator) = Emulator::of("slack") else { return };
    let api = emulator.variable("SLACK_API_URL");
    let hub = Hub::new("slack", api).with("CONNECTORS_PROVIDERS__SLACK__API_URL", api);
    assert_eq!(hub.json(&["show", "slack"])["declaration"]["id"], "slack");
    let call = |method: &str, arguments: Value| {
        let url = format!("{api}/{method}");
        let answer = http::send("POST", &url, emulator.variable("SLACK_TOKEN"), Some(&arguments)).unwrap().json();
        assert_eq!(answer["ok"], true, "{method}: {answer}");
        answer
    };

    let made = hub.json(&["connect", "slack", "--user", "ada", "--token", emulator.variable("SLACK_TOKEN")]);
    assert_eq!(made["name"], "Acme (alice)");
    let connection = made["id"].as_str().unwrap();
    let channels = hub.json(&["channels", connection]);
    let channel = channels.as_array().unwrap().iter().find(|channel| channel["name"] == "#support").unwrap();
    let channel = channel["id"].as_str().unwrap();
    hub.ok(&["enable", connection, channel]);
    hub.ok(&["sync", connection, "--wait"]);

    let history = call("conversations.history", json!({ "channel": channel, "limit": 1000 }));
    let messages = history["messages"].as_array().unwrap();
    let threads = hub.serve().all("/threads");
    assert_eq!(threads.len(), messages.len());

    let root = &messages[0]["ts"];
    let thread = threads.iter().find(|thread| thread["links"][0]["meta"]["ts"] == *root).unwrap();
    hub.ok(&["reply", thread["id"].as_str().unwrap(), "On **it**.", "--user", "ada"]);
    hub.ok(&["sync", connection, "--wait"]);
    let replies = call("conversations.replies", json!({ "channel": channel, "ts": root }));
    let arrived = replies["messages"].as_array().unwrap().iter().filter(|message| message["text"] == "On *it*.");
    assert_eq!(arrived.count(), 1);
    let notes = hub.json(&["thread", thread["id"].as_str().unwrap()])["notes"].clone();
    assert_eq!(notes.as_array().unwrap().iter().filter(|note| note["content"] == "On **it**.").count(), 1);
    assert_eq!(hub.json(&["tasks", "--dead"]), json!([]));
}
