//! Files that users attach, through the binary.

use std::path::Path;

use serde_json::Value;

use crate::rig::{Emulator, Hub};

/// A Slack conversation that is synced, and a thread in it.
fn conversation(emulator: &Emulator, hub: &Hub) -> String {
    let made = hub.json(&["connect", "slack", "--user", "ada", "--token", emulator.variable("SLACK_TOKEN")]);
    let connection = made["id"].as_str().expect("an id");
    let channels = hub.json(&["channels", connection]);
    let channels = channels.as_array().expect("channels");
    let channel = channels.iter().find(|channel| channel["name"] == "#support").expect("the channel");
    hub.ok(&["enable", connection, channel["id"].as_str().expect("an id")]);
    hub.ok(&["sync", connection, "--wait"]);
    hub.json(&["threads"])[0]["id"].as_str().expect("an id").to_owned()
}

/// The attachments of the note that `reply` printed. The emulator wants files where the connector declares no URL, so
/// nobody waits for them to be there.
fn replied(hub: &Hub, thread: &str, files: &[&Path]) -> Vec<Value> {
    let mut arguments = vec!["reply", thread, "See there.", "--user", "ada", "--no-wait"];
    for file in files {
        arguments.extend(["--attach", file.to_str().expect("a name")]);
    }
    hub.json(&arguments)["attachments"].as_array().expect("attachments").clone()
}

/// R9.1: what a file is, as its name says it, is known to those who open it.
#[test]
fn the_type_of_an_attached_file_goes_with_it() {
    let Some(emulator) = Emulator::of("slack") else { return };
    let api = emulator.variable("SLACK_API_URL");
    let hub = Hub::new("types", api).with("CONNECTORS_PROVIDERS__SLACK__API_URL", api);
    let thread = conversation(&emulator, &hub);
    let files = ["Scan.PDF", "chart.png", "notes.tar.gz", "LICENSE", "core.4711"].map(|name| hub.folder.join(name));
    for file in &files {
        std::fs::write(file, "content").expect("it is written");
    }
    let attached = replied(&hub, &thread, &files.each_ref().map(|file| file.as_path()));
    let types: Vec<_> = attached.iter().map(|file| file["media_type"].as_str().expect("a type")).collect();
    let unknown = "application/octet-stream";
    assert_eq!(types, ["application/pdf", "image/png", "application/gzip", unknown, unknown]);
}
