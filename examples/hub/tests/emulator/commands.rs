//! The commands of the README, one after the other.

use serde_json::json;

use crate::rig::{Emulator, Hub};

/// What a new user tries: list, connect, channels, enable, sync, threads, reply, set-status, state, tasks, manifest.
#[test]
fn a_new_user_gets_through_the_readme() {
    let Some(emulator) = Emulator::start() else { return };
    let hub = Hub::new("commands", emulator.api());
    assert!(hub.ok(&["list"]).contains("github"));
    assert_eq!(hub.json(&["show", "github"])["declaration"]["id"], "github");

    let connection = hub.connect(&emulator);
    let channels = hub.json(&["channels", &connection]);
    let names: Vec<_> = channels.as_array().unwrap().iter().map(|channel| channel["name"].clone()).collect();
    assert!(names.contains(&json!("acme/web-app")), "{names:?}");
    hub.ok(&["enable", &connection, "acme/web-app"]);
    hub.ok(&["sync", &connection, "--wait"]);

    // Everything that GitHub has, once.
    let open = hub.json(&["threads", "--status", "open", "--type", "issue"]);
    assert!(!open.as_array().unwrap().is_empty());
    let issues = emulator.all("/repos/acme/web-app/issues?state=open");
    let feed = |hub: &Hub| hub.serve().api("GET", "/changes?limit=1000", None)["items"].as_array().map_or(0, Vec::len);
    let before = feed(&hub);

    // Again, and nothing changes.
    hub.ok(&["sync", &connection, "--wait"]);
    let after = feed(&hub);
    assert_eq!(before, after, "a second sync writes no record");

    // A reply becomes one comment, and comes back as the same note.
    let wanted = &issues[0];
    let number = wanted["number"].as_u64().unwrap();
    let served = hub.serve();
    let thread = served
        .all("/threads")
        .into_iter()
        .find(|thread| thread["links"][0]["meta"]["number"] == json!(number))
        .unwrap();
    let (thread_id, link_id) =
        (thread["id"].as_str().unwrap().to_owned(), thread["links"][0]["id"].as_str().unwrap().to_owned());
    served.kill();
    hub.ok(&["reply", &thread_id, "On it.", "--user", "ada"]);
    hub.ok(&["set-status", &link_id, "closed", "--user", "ada"]);
    let path = format!("/repos/acme/web-app/issues/{number}");
    let count =
        |text: &str| emulator.all(&format!("{path}/comments")).iter().filter(|comment| comment["body"] == text).count();
    assert_eq!(count("On it."), 1);
    assert_eq!(emulator.github("GET", &path, None).json()["state"], "closed");
    hub.ok(&["sync", &connection, "--wait"]);
    let notes = hub.json(&["thread", &thread_id]);
    let mine: Vec<_> = notes["notes"].as_array().unwrap().iter().filter(|note| note["content"] == "On it.").collect();
    assert_eq!(mine.len(), 1, "the reply came back as a second note");
    assert_eq!(count("On it."), 1);

    // An edit on GitHub arrives with the next sync.
    emulator.github("PATCH", &path, Some(&json!({ "title": "A title from GitHub" })));
    hub.ok(&["sync", &connection, "--wait"]);
    assert_eq!(hub.json(&["thread", &thread_id])["links"][0]["title"], "A title from GitHub");

    assert!(hub.ok(&["state", &connection]).contains("cursor"));
    assert_eq!(hub.json(&["tasks", "--dead"]), json!([]));
    let manifest = hub.ok(&["manifest"]);
    let old = hub.folder.join("manifest.json");
    std::fs::write(&old, &manifest).unwrap();
    hub.ok(&["manifest", "--check", old.to_str().unwrap()]);
    std::fs::write(&old, manifest.replace("\"issues\":", "\"issues_of_old\":")).unwrap();
    let output = hub.run(&["manifest", "--check", old.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let breaks = String::from_utf8_lossy(&output.stdout);
    assert!(breaks.contains("issues_of_old"), "{breaks}");

    hub.ok(&["disconnect", &connection]);
    assert_eq!(hub.json(&["connections"]), json!([]));
}
