//! Files that users attach, through the binary.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use connector_core::registry::Registry;
use connector_core::testing::VirtualClock;
use connector_host::config::ProviderConfig;
use connector_host::{Config, Host};
use connector_slack::Slack;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::http;
use crate::rig::{Emulator, Hub, KEY, Served};

const BOUNDARY: &str = "a-boundary";

/// More than the store takes at once.
const SIZE: usize = 3 << 20;

fn head(length: usize) -> String {
    format!(
        "POST /api/v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// A form with a file of zeros.
fn form() -> Vec<u8> {
    let part = |disposition: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    let user = part("name=\"user\"") + "ada\r\n";
    let mut form = (user + &part("name=\"file\"; filename=\"zeros.bin\"")).into_bytes();
    form.extend(vec![0; SIZE]);
    form.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    form
}

/// Sends half of a file, and leaves the connection open.
fn half(served: &Served) -> TcpStream {
    let form = form();
    let mut stream = TcpStream::connect(served.base.trim_start_matches("http://")).expect("a connection");
    stream.write_all(head(form.len()).as_bytes()).expect("the head is taken");
    stream.write_all(&form[..form.len() / 2]).expect("half of the body is taken");
    stream
}

/// Files in the store, whole or not.
fn stored(served: &Served) -> String {
    let metrics = http::send("GET", &format!("{}/metrics", served.base), KEY, None).expect("an answer").body;
    let metrics = String::from_utf8(metrics).expect("a text");
    let line = metrics.lines().find_map(|line| line.strip_prefix("connectors_stored{kind=\"files\"} "));
    line.expect("the metric").to_owned()
}

/// The database in a host of the test's own, while nobody serves it.
async fn opened(hub: &Hub, api: &str, clock: VirtualClock) -> Host {
    let mut config = Config::default();
    config.database = hub.folder.join("hub.db");
    config.allow_private = true;
    let provider = ProviderConfig { api_url: Some(api.parse().expect("a URL")), ..ProviderConfig::default() };
    config.providers.insert("slack".to_owned(), provider);
    let registry = Registry::of::<Slack>().expect("the connector is sound");
    Host::open_with_clock(config, registry, Arc::new(clock)).await.expect("a host")
}

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

/// R7.1, R10.4: of an upload that a kill of the host cut off, nothing is to be seen; it can be done again; what is
/// left of it goes within a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_killed_during_an_upload_keeps_no_half_file() {
    let Some(emulator) = Emulator::of("slack") else { return };
    let api = emulator.variable("SLACK_API_URL");
    let hub = Hub::new("half", api).with("CONNECTORS_PROVIDERS__SLACK__API_URL", api);
    let thread = conversation(&emulator, &hub);
    let served = hub.serve();
    let sending = half(&served);
    while stored(&served) == "0" {}
    served.kill();
    drop(sending);

    let clock = VirtualClock::new(Timestamp::now());
    let host = opened(&hub, api, clock.clone()).await;
    let engine = Arc::clone(&host.runtime().ports().engine);
    let rows = engine.unused_files(Timestamp::MAX, 10).await.expect("the store is read");
    let [left] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(left.size, None, "it is not whole");
    let left = left.id.to_string();
    host.shutdown().await.expect("an end in order");

    let served = hub.serve();
    let path = format!("/threads/{thread}/notes");
    let with = |file: &str| json!({ "user": "ada", "content": "See there.", "attachments": [file] });
    let refused = served.try_api("POST", &path, Some(&with(&left))).expect("an answer");
    assert_eq!(refused.status, 422, "{}", String::from_utf8_lossy(&refused.body));
    assert!(refused.json()["detail"].as_str().expect("a text").contains("has uploaded no file"));

    let zeros = hub.folder.join("zeros.bin");
    std::fs::write(&zeros, vec![0; SIZE]).expect("it is written");
    let attached = replied(&hub, &thread, &[&zeros]);
    assert_eq!(attached[0]["size"], SIZE);
    let shown = served.api("GET", &format!("/threads/{thread}"), None);
    let notes = shown["notes"].as_array().expect("notes");
    let url = notes.iter().find_map(|note| note["attachment_urls"][0].as_str()).expect("a URL");
    let file = http::send("GET", &format!("{}{url}?user=ada", served.base), KEY, None).expect("an answer");
    assert!(file.status == 200 && file.body == vec![0; SIZE], "{} {}", file.status, file.body.len());
    assert_eq!(stored(&served), "2");
    served.kill();

    let host = opened(&hub, api, clock.clone()).await;
    clock.set(Timestamp::now() + SignedDuration::from_hours(23));
    assert_eq!(host.runtime().prune_files().await.expect("the store works"), 0, "not before a day");
    clock.advance(SignedDuration::from_hours(2));
    let engine = Arc::clone(&host.runtime().ports().engine);
    host.start().await.expect("it starts");
    while engine.counts().await.expect("the store is read").files > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.unused_files(Timestamp::MAX, 10).await.expect("the store is read"), [], "the one in use stays");
    host.shutdown().await.expect("it stops");
}
