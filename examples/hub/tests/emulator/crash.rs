//! Killed at random instants, over and over.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::rig::{Emulator, Hub};

const KILLS: usize = 200;

const REPOSITORY: &str = "acme/web-app";

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// R6.5, R7.1, R9.4, L8, L19: killed 200 times during syncs with replies under way, the database opens, work goes
/// on, and at the end every item is there once and each reply is on GitHub once or shown as unknown.
#[test]
fn killed_at_random_instants_nothing_is_lost_or_doubled() {
    let Some(emulator) = Emulator::start() else { return };
    let hub = Hub::new("crash", emulator.api());
    let connection = hub.connect(&emulator);
    hub.ok(&["enable", &connection, REPOSITORY]);
    let mut random = Random(0x5EED_0F0D_D5EE_D5A1);
    let mut replies = BTreeMap::new();
    // Slow answers, so that a kill finds requests under way.
    emulator.control("/faults", &json!({ "service": "github", "times": -1, "delay_ms": 4, "delay_after_ms": 4 }));
    for kill in 0..KILLS {
        // Long before half of an hour's requests are used: the emulator's clock is ahead of this machine's by then, and
        // what waits for its next hour would wait for many of ours.
        if kill % 10 == 9 {
            emulator.next_hour();
        }
        let served = hub.serve();
        served.api("POST", &format!("/connections/{connection}/sync"), None);
        let issue = 1 + random.below(190);
        emulator.github(
            "PATCH",
            &format!("/repos/{REPOSITORY}/issues/{issue}"),
            Some(&json!({ "title": format!("Edited before kill {kill}") })),
        );
        let threads = served.api("GET", "/threads?limit=40&type=issue", None);
        let threads = threads["items"].as_array().expect("threads");
        if !threads.is_empty() {
            let thread = &threads[random.below(threads.len() as u64) as usize];
            let text = format!("Reply {kill} of {KILLS}.");
            let path = format!("/threads/{}/notes", thread["id"].as_str().expect("an id"));
            let note = served.api("POST", &path, Some(&json!({ "user": "ada", "content": text })));
            replies.insert(text, note["id"].as_str().expect("an id").to_owned());
        }
        // As long as it takes to ask a few times, more or less: from at once to about the end of the sync.
        let patience = if kill % 8 == 7 { 300 } else { 30 };
        for _ in 0..random.below(patience) {
            served.api("GET", &format!("/connections/{connection}"), None);
        }
        served.kill();
    }

    emulator.next_hour();
    emulator.control("/faults", &json!({ "service": "github", "times": 0 }));
    let served = hub.serve();
    served.api("POST", &format!("/connections/{connection}/sync"), None);
    settle(&served, &connection);
    served.api("POST", &format!("/connections/{connection}/sync"), None);
    settle(&served, &connection);

    // Every item once, as it is on GitHub.
    let threads = served.all("/threads?archived=true");
    let mut stored = BTreeMap::new();
    for thread in &threads {
        for link in thread["links"].as_array().expect("links").iter().filter(|link| link["type"] == "issue") {
            let number = link["meta"]["number"].as_u64().expect("a number");
            let before = stored.insert(number, (thread["id"].clone(), link["title"].clone()));
            assert!(before.is_none(), "issue {number} is there twice");
        }
    }
    let issues = emulator.all(&format!("/repos/{REPOSITORY}/issues?state=all"));
    let issues: Vec<_> = issues.iter().filter(|issue| issue.get("pull_request").is_none_or(Value::is_null)).collect();
    assert_eq!(stored.len(), issues.len(), "every issue, once");
    let mut on_github: BTreeMap<String, usize> = BTreeMap::new();
    for issue in issues {
        let number = issue["number"].as_u64().expect("a number");
        let (thread, title) = &stored[&number];
        assert_eq!(title, &issue["title"], "issue {number}");
        let comments = emulator.all(&format!("/repos/{REPOSITORY}/issues/{number}/comments"));
        let shown = served.api("GET", &format!("/threads/{}", thread.as_str().expect("an id")), None);
        let notes = shown["notes"].as_array().expect("notes");
        for comment in &comments {
            let id = comment["id"].to_string();
            let found = notes.iter().filter(|note| note["key"] == json!(id)).count();
            assert_eq!(found, 1, "comment {id} of issue {number} is there {found} times");
            *on_github.entry(comment["body"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        let keyed = notes.iter().filter(|note| note["key"].is_string() && note["key"] != "body").count();
        assert_eq!(keyed, comments.len(), "issue {number} has no comments that GitHub does not have");
    }

    // Each reply once, or known to be unknown.
    let mut unknown = 0;
    for (text, note) in &replies {
        let sent = on_github.get(text).copied().unwrap_or_default();
        assert!(sent <= 1, "`{text}` is on GitHub {sent} times");
        let state = served.try_api("GET", &format!("/notes/{note}"), None).expect("an answer").json();
        let delivery = state["delivery"]["state"].as_str().unwrap_or_default();
        match (sent, delivery) {
            (1, "delivered") => {}
            (0, "unknown") => unknown += 1,
            _ => panic!("`{text}` is on GitHub {sent} times, and shown as {state}; tasks: {:?}", served.all("/tasks")),
        }
    }
    // A step that takes longer than the host lives, a dozen times in a row, is put off and shown; nothing else is given up.
    for dead in served.all("/tasks?state=dead") {
        let said = dead["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(said.contains("the host stopped without notice"), "{dead}");
    }
    println!("{} replies over {KILLS} kills: {} delivered, {unknown} unknown", replies.len(), replies.len() - unknown);
    assert!(replies.len() > KILLS / 2, "most kills had a reply under way");
}

/// Comes back when nothing is left to do now.
fn settle(served: &crate::rig::Served, connection: &str) {
    loop {
        let state = served.api("GET", &format!("/connections/{connection}"), None);
        let tasks = served.all("/tasks");
        let busy = tasks.iter().any(|task| task["state"] == "ready");
        if state["syncing"] == json!(false) && !busy {
            return;
        }
    }
}
