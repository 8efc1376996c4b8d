//! The agenda, and how users change what takes place.

use connector_core::registry::Registry;
use serde_json::{Value, json};

use crate::bureau::{self, Bureau};
use crate::desk::Bench;

const JANUARY: &str = "/agenda?user=ada&from=2026-01-01&to=2026-02-01&zone=Europe/Berlin";

async fn bench(name: &str) -> Bench {
    let mut settings = connector_host::Config::default();
    bureau::configure(&mut settings).await;
    let bench = Bench::of(name, settings, Registry::of::<Bureau>().expect("a registry")).await;
    bureau::connected(&bench, "ada").await;
    bench
}

fn begins(agenda: &Value) -> Vec<&str> {
    agenda["items"].as_array().expect("items").iter().map(|item| item["begins"].as_str().expect("a time")).collect()
}

/// R13.1: occurrences in order, in the user's zone, with the titles, places and answers of single ones.
#[tokio::test]
async fn an_agenda_expands_occurrences() {
    let bench = bench("agenda").await;
    let agenda = bench.get(JANUARY).await;
    let expected = [
        "2026-01-05T09:00:00+01:00",
        "2026-01-12T09:00:00+01:00",
        "2026-01-19T11:00:00+01:00",
        "2026-01-26T09:00:00+01:00",
    ];
    assert_eq!(begins(&agenda), expected);
    let told = |item: &Value| (item["title"].clone(), item["location"].clone());
    assert_eq!(told(&agenda["items"][1]), (json!("An affair"), json!("Room 3")));
    assert_eq!(told(&agenda["items"][2]), (json!("An affair outside"), json!("The garden")));
    assert_eq!(agenda["items"][2]["occurrence"]["at"], "2026-01-19T08:00:00Z");
    assert_eq!(agenda["items"][0]["attendees"][1]["status"], "attend");
    assert_eq!((&agenda["next"], &agenda["left_out"]), (&Value::Null, &json!([])));

    let first = bench.get(&format!("{JANUARY}&limit=3")).await;
    let after = first["next"].as_str().expect("there is more");
    let rest = bench.get(&format!("{JANUARY}&limit=3&after={}", after.replace('+', "%2B"))).await;
    assert_eq!((begins(&first), begins(&rest)), (expected[..3].to_vec(), expected[3..].to_vec()));
    assert_eq!(rest["next"], Value::Null);
    // What has begun is there until it ends.
    let within = bench.get("/agenda?from=2026-01-05T08:30:00Z&to=2026-01-05T08:45:00Z").await;
    assert_eq!(begins(&within), ["2026-01-05T08:00:00+00:00"]);
    assert_eq!(bench.get("/agenda?user=bob&from=2026-01-01&to=2026-02-01").await["items"], json!([]));
    for wrong in ["from=2026-01-01&to=2027-06-01", "from=2026-02-01&to=2026-01-01", "from=x&to=2026-01-01"] {
        bench.refused("GET", &format!("/agenda?{wrong}"), Value::Null, 422).await;
    }
    bench.refused("GET", &format!("{JANUARY}/Olympus"), Value::Null, 422).await;
    bench.end().await;
}

/// R9.6: an occurrence without a schedule of its own is moved, cancelled and answered through the API.
#[tokio::test]
async fn one_occurrence_is_changed_through_the_api() {
    let bench = bench("occurrences").await;
    let item = bench.get(JANUARY).await["items"][0].clone();
    let (link, schedule) = (item["link"].as_str().expect("a link"), item["schedule"].as_str().expect("a schedule"));
    let delivered = async || {
        bench.until(&format!("/links/{link}"), |link| link["delivery"]["state"] == "delivered").await;
    };
    let change = async |change: Value| {
        bench.ok("PATCH", &format!("/links/{link}"), json!({"user": "ada", "schedules": [change]})).await;
        delivered().await;
    };
    change(json!({"occurrence": {"at": "2026-01-12T08:00:00Z"}, "start": {"at": "2026-01-13T08:00:00Z"}})).await;
    change(json!({"occurrence": {"at": "2026-01-26T08:00:00Z"}, "cancelled": true})).await;
    let answer = json!({"user": "ada", "status": "tentative", "occurrence": {"at": "2026-01-05T08:00:00Z"}});
    let answered = bench.ok("PUT", &format!("/schedules/{schedule}/contacts/clerk-ada"), answer).await;
    assert_eq!(answered["attendees"][0]["status"], "tentative");
    let agenda = bench.get(JANUARY).await;
    let expected = ["2026-01-05T09:00:00+01:00", "2026-01-13T09:00:00+01:00", "2026-01-19T11:00:00+01:00"];
    assert_eq!(begins(&agenda), expected);
    assert_eq!(agenda["items"][1]["ends"], "2026-01-13T10:00:00+01:00");
    assert_eq!(agenda["items"][0]["attendees"][0]["status"], "tentative");
    assert_eq!(agenda["items"][2]["attendees"], json!([]));
    delivered().await;

    let path = format!("/links/{link}");
    let refused = async |change: Value, status: u16| {
        bench.refused("PATCH", &path, json!({"user": "ada", "schedules": [change]}), status).await
    };
    refused(json!({"occurrence": {"at": "2026-01-06T08:00:00Z"}, "cancelled": true}), 404).await;
    refused(json!({"recurrence": ["RRULE:FREQ=SOMETIMES"]}), 422).await;
    refused(json!({"time_zone": "Mars/Olympus"}), 422).await;
    refused(json!({"start": {"day": "2026-01-05"}, "end": {"at": "2026-01-05T09:00:00Z"}}), 422).await;
    bench.end().await;
}

/// R9.6: what is composed takes place as it was composed, also while it is on its way.
#[tokio::test]
async fn what_is_composed_is_on_the_agenda() {
    let bench = bench("composed").await;
    let connection = bench.get(JANUARY).await["items"][0]["connection"].clone();
    let compose = |schedule: Value| {
        json!({
            "user": "ada", "connection": connection, "type": "affair", "channel": "affairs", "title": "Trip",
            "schedules": [schedule],
        })
    };
    let days = json!({"start": {"day": "2026-01-30"}, "end": {"day": "2026-02-02"}, "location": "The sea"});
    bench.ok("POST", "/threads", compose(days)).await;
    let agenda = bench.get("/agenda?user=ada&from=2026-02-01&to=2026-02-02&zone=Asia/Tokyo").await;
    assert_eq!(begins(&agenda), ["2026-01-30T00:00:00+09:00"]);
    assert_eq!((&agenda["items"][0]["title"], &agenda["items"][0]["location"]), (&json!("Trip"), &json!("The sea")));
    let backwards = json!({"start": {"day": "2026-01-30"}, "end": {"day": "2026-01-30"}});
    bench.refused("POST", "/threads", compose(backwards), 422).await;
    bench.end().await;
}
