//! What a service pushed, and handing it over again.

use serde_json::{Value, json};

use crate::http;
use crate::rig::{Emulator, Hub};

const REPOSITORY: &str = "acme/web-app";

/// How often GitHub was asked for an issue.
fn asked(emulator: &Emulator, number: u64) -> usize {
    let url = format!("{}/requests?service=github", emulator.variable("EMU_CONTROL_URL"));
    let requests = http::send("GET", &url, "", None).expect("the control endpoint answers").json();
    let path = format!("/repos/{REPOSITORY}/issues/{number}");
    let requests = requests.as_array().expect("requests").iter();
    requests.filter(|request| request["method"] == "GET" && request["path"] == path).count()
}

/// What was received, newest first, once all of it was handed over.
fn handed_over(hub: &Hub) -> Vec<Value> {
    loop {
        let deliveries = hub.json(&["hooks", "list"]);
        let all = deliveries.as_array().expect("deliveries");
        if all.iter().all(|delivery| delivery["state"] == "done") {
            return all.clone();
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// R10.3, R11.4: an operator hands one delivery over again by its id, and all that came within a time.
#[test]
fn what_was_pushed_is_handed_over_again() {
    let Some(emulator) = Emulator::start() else { return };
    let hub = Hub::new("hooks", emulator.api());
    let base = hub.base();
    let hub = hub.with("CONNECTORS_PUBLIC_URL", base);
    let connection = hub.connect(&emulator);
    let served = hub.serve();
    hub.ok(&["enable", &connection, REPOSITORY]);
    hub.ok(&["sync", &connection, "--wait"]);
    let hooks = format!("/repos/{REPOSITORY}/hooks");
    while emulator.github("GET", &hooks, None).json() == json!([]) {}
    let edit = |number: u64, before: usize| {
        let path = format!("/repos/{REPOSITORY}/issues/{number}");
        emulator.github("PATCH", &path, Some(&json!({ "title": format!("Edited {number}") })));
        // What was pushed is fetched.
        while asked(&emulator, number) == 0 {}
        let all = handed_over(&hub);
        assert_eq!(all.len(), before + 1);
        all
    };
    let before = handed_over(&hub).len();
    let first = edit(3, before)[0].clone();
    let second = edit(4, before + 1)[0].clone();
    assert!(first["received_at"] != second["received_at"], "{first} {second}");
    let counts = || [asked(&emulator, 3), asked(&emulator, 4)];
    assert_eq!(counts(), [1, 1]);
    let come_to = |third: usize, fourth: usize| {
        while asked(&emulator, 3) < third || asked(&emulator, 4) < fourth {}
        handed_over(&hub);
        assert_eq!(counts(), [third, fourth]);
    };

    let again = hub.json(&["hooks", "replay", text(&first["id"])]);
    assert_eq!(again["id"], first["id"]);
    come_to(2, 1);

    let since = text(&first["received_at"]);
    let until = text(&second["received_at"]);
    let range = ["hooks", "replay", "--since", since, "--until", until, "--connection", &connection];
    assert_eq!(hub.json(&range), json!({ "replayed": 1 }));
    // Not what came at the end of the time.
    come_to(3, 1);
    assert_eq!(hub.json(&["hooks", "replay", "--since", since]), json!({ "replayed": 2 }));
    come_to(4, 2);
    assert_eq!(handed_over(&hub).len(), before + 2, "nothing was received anew");

    let (code, complaint) = hub.fails(&["hooks", "replay", "dlv_999999"]);
    assert!(code == 1 && complaint.contains("dlv_999999"), "{code} {complaint}");
    let (code, _) = hub.fails(&["hooks", "replay"]);
    assert_eq!(code, 2, "wrong usage");
    served.kill();
}
