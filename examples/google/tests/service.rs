//! What the emulator does not have: sync tokens that expire, recurrence, answers to invitations, and tasks. Against
//! answers written by hand after Google's reference of Calendar (v3) and Tasks (v1).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panics, as tests do"
)]

use std::sync::{Arc, Mutex};

use connector_core::engine::{LinkQuery, LinkRow, TaskQuery};
use connector_core::id::{ChannelId, ConnectionId, StatusId, UserId};
use connector_core::model::{Attendance, Author, Schedule};
use connector_core::network::Request;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, LinkUpdate};
use connector_core::secret::Secret;
use connector_core::testing::{FakeService, TestHost};
use connector_google::Google;
use serde_json::{Value, json};

#[derive(Default)]
struct Held {
    /// The events, in the order of their last changes; a sync token is how many of them it knows.
    events: Vec<Value>,
    forgets: bool,
    tasks: Vec<Value>,
    /// Method, path and body of what was to change something.
    changes: Vec<(String, String, Value)>,
    full_walks: usize,
}

#[derive(Clone, Default)]
struct GoogleByHand(Arc<Mutex<Held>>);

impl GoogleByHand {
    fn held<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.lock().expect("no panic"))
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        let body: Value = serde_json::from_slice(&request.body.bytes().unwrap_or_default()).unwrap_or_default();
        let path = request.url.path();
        let query =
            |name: &str| request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        self.held(|held| match (request.method.as_str(), path) {
            ("GET", "/oauth2/v2/userinfo") => (200, json!({ "email": "Ada@acme.test", "name": "Ada" })),
            ("GET", "/calendar/v3/users/me/calendarList") => {
                (200, json!({ "items": [{ "id": "ada@acme.test", "summary": "Ada", "selected": true }] }))
            }
            ("GET", "/tasks/v1/users/@me/lists") => (200, json!({ "items": [{ "id": "home", "title": "Home" }] })),
            ("GET", "/calendar/v3/calendars/ada@acme.test/events") => {
                let known = match query("syncToken") {
                    Some(_) if std::mem::take(&mut held.forgets) => {
                        return (410, json!({ "error": { "message": "fullSyncRequired" } }));
                    }
                    Some(token) => token.parse::<usize>().expect("a token"),
                    None => {
                        held.full_walks += usize::from(query("pageToken").is_none());
                        0
                    }
                };
                let from = query("pageToken").map_or(known, |token| token.parse().expect("a token"));
                let page: Vec<_> = held.events.iter().skip(from).take(2).cloned().collect();
                let end = from + page.len();
                let mut answer = json!({ "items": page });
                if end < held.events.len() {
                    answer["nextPageToken"] = json!(end.to_string())
                } else {
                    answer["nextSyncToken"] = json!(end.to_string())
                }
                (200, answer)
            }
            ("GET", "/tasks/v1/lists/home/tasks") => (200, json!({ "items": held.tasks })),
            ("GET", _) => {
                let id = path.rsplit('/').next().unwrap_or_default();
                held.events
                    .iter()
                    .rfind(|event| event["id"] == id)
                    .map_or((404, json!({})), |event| (200, event.clone()))
            }
            (method, _) => {
                held.changes.push((method.to_owned(), path.to_owned(), body.clone()));
                (200, body)
            }
        })
    }

    async fn synced(&self, channel: &'static str) -> Synced {
        let service = self.clone();
        let network = FakeService::new(move |request| {
            let (status, body) = service.answer(request);
            FakeService::answer(status, body.to_string())
        });
        let host = TestHost::with_network(Registry::of::<Google>().expect("the connector is sound"), network);
        let mut request = ConnectRequest::new("google", "ada");
        request.token = Some(Secret::new("t0ken"));
        let connection = host.run(host.runtime().connect(request)).await.expect("the token is good").id;
        host.run(host.runtime().channels(connection)).await.expect("they can be listed");
        let channel = ChannelId::from_static(channel);
        host.runtime().enable_channel(connection, &channel, ChannelUpdate::default()).await.expect("it can be enabled");
        host.settle().await;
        Synced { host, connection }
    }
}

struct Synced {
    host: TestHost,
    connection: ConnectionId,
}

impl Synced {
    async fn sync(&self) {
        self.host.runtime().sync_now(self.connection).await.expect("there is the connection");
        self.host.settle().await;
    }

    async fn links(&self) -> Vec<LinkRow> {
        let mut query = LinkQuery::all(100);
        query.archived = true;
        let dead = self.host.runtime().dead_tasks(TaskQuery::all(10)).await.expect("the store works");
        assert!(dead.is_empty(), "{dead:?}");
        self.host.runtime().ports().engine.links(query).await.expect("the store works")
    }

    async fn schedules(&self) -> Vec<Schedule> {
        let links = self.links().await;
        assert_eq!(links.len(), 1, "{links:?}");
        links[0].link.schedules.clone()
    }
}

fn event(id: &str, updated: &str, more: Value) -> Value {
    let mut event = json!({
        "id": id, "status": "confirmed", "iCalUID": "standup@google.com", "summary": "Standup", "htmlLink": "https://calendar.google.com/e",
        "created": "2025-12-01T00:00:00Z", "updated": updated, "organizer": { "email": "bob@acme.test" },
        "start": { "dateTime": "2026-01-05T09:00:00+01:00", "timeZone": "Europe/Berlin" },
        "end": { "dateTime": "2026-01-05T09:15:00+01:00", "timeZone": "Europe/Berlin" },
        "attendees": [{ "email": "ada@acme.test", "self": true, "responseStatus": "needsAction" }, { "email": "bob@acme.test", "responseStatus": "accepted" }],
    });
    event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event
}

fn occurrence(day: &str, updated: &str, more: Value) -> Value {
    let at = json!({ "dateTime": format!("2026-01-{day}T09:00:00+01:00"), "timeZone": "Europe/Berlin" });
    let mut event = event(
        &format!("standup_{day}"),
        updated,
        json!({ "recurringEventId": "standup", "originalStartTime": at, "start": at }),
    );
    event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event
}

fn master(updated: &str) -> Value {
    event("standup", updated, json!({ "recurrence": ["RRULE:FREQ=DAILY;COUNT=5"] }))
}

/// L27: occurrences before their master, on another page, and a cancellation with no more than what it cancels.
#[tokio::test]
async fn the_pieces_of_an_event_come_in_any_order() {
    let google = GoogleByHand::default();
    let cancelled = json!({ "id": "standup_07", "status": "cancelled", "recurringEventId": "standup",
        "originalStartTime": { "dateTime": "2026-01-07T09:00:00+01:00", "timeZone": "Europe/Berlin" } });
    let moved = json!({ "start": { "dateTime": "2026-01-06T11:00:00+01:00", "timeZone": "Europe/Berlin" } });
    google.held(|held| {
        held.events = vec![cancelled, occurrence("06", "2026-01-01T00:00:00Z", moved), master("2025-12-01T00:00:00Z")]
    });
    let synced = google.synced("calendar:ada@acme.test").await;
    let schedules = synced.schedules().await;
    let keys: Vec<_> = schedules.iter().map(|schedule| (schedule.key.as_str(), schedule.cancelled)).collect();
    assert_eq!(keys, [("standup", false), ("standup_06", false), ("standup_07", true)]);
    assert_eq!(schedules[0].recurrence, ["RRULE:FREQ=DAILY;COUNT=5"]);
    let link = synced.links().await.remove(0).link;
    assert!(matches!(&link.author, Author::Person(bob) if bob.id == "bob@acme.test"));

    // One more is cancelled: what is there keeps its title.
    google.held(|held| {
        held.events.push(json!({ "id": "standup_08", "status": "cancelled", "recurringEventId": "standup",
        "originalStartTime": { "dateTime": "2026-01-08T09:00:00+01:00", "timeZone": "Europe/Berlin" } }))
    });
    synced.sync().await;
    assert_eq!(synced.schedules().await.len(), 4);
    assert_eq!(synced.links().await[0].link.title.as_deref(), Some("Standup"));

    google.held(|held| held.events.push(json!({ "id": "standup", "status": "cancelled" })));
    synced.sync().await;
    assert!(synced.links().await[0].link.archived);
}

/// R6.6, R11.1: a sync token that Google forgot begins the walk anew, and nothing is lost.
#[tokio::test]
async fn a_forgotten_sync_token_is_recovered_from() {
    let google = GoogleByHand::default();
    google.held(|held| held.events = vec![master("2025-12-01T00:00:00Z")]);
    let synced = google.synced("calendar:ada@acme.test").await;
    google.held(|held| held.events.push(event("standup", "2025-12-02T00:00:00Z", json!({ "summary": "Daily" }))));
    synced.sync().await;
    assert_eq!(
        (synced.links().await[0].link.title.as_deref(), google.held(|held| held.full_walks)),
        (Some("Daily"), 1)
    );
    google.held(|held| {
        held.forgets = true;
        held.events.push(event("standup", "2025-12-03T00:00:00Z", json!({ "summary": "Weekly" })));
    });
    synced.sync().await;
    assert_eq!(
        (synced.links().await[0].link.title.as_deref(), google.held(|held| held.full_walks)),
        (Some("Weekly"), 2)
    );
}

/// R9.1: answers to an invitation go both ways, and those of others stay as they are.
#[tokio::test]
async fn answers_go_both_ways() {
    let google = GoogleByHand::default();
    google.held(|held| held.events = vec![master("2025-12-01T00:00:00Z")]);
    let synced = google.synced("calendar:ada@acme.test").await;
    let attending =
        |schedules: Vec<Schedule>| schedules[0].attendees.iter().map(|person| person.status).collect::<Vec<_>>();
    assert_eq!(attending(synced.schedules().await), [None, Some(Attendance::Attend)]);

    let (link, runtime) = (synced.links().await.remove(0).link, synced.host.runtime());
    let key = link.schedules[0].key.clone();
    let answered = runtime
        .set_attendance(link.id, &key, "ada@acme.test", &UserId::from_static("ada"), Some(Attendance::Skip))
        .await;
    answered.expect("it is stored");
    synced.host.settle().await;
    let (method, path, body) = google.held(|held| held.changes.pop()).expect("it was sent");
    assert_eq!((method.as_str(), path.as_str()), ("PATCH", "/calendar/v3/calendars/ada@acme.test/events/standup"));
    let statuses: Vec<_> =
        body["attendees"].as_array().expect("a list").iter().map(|person| person["responseStatus"].clone()).collect();
    assert_eq!(statuses, ["declined", "accepted"]);

    let attendees = json!([{ "email": "ada@acme.test", "responseStatus": "accepted" }, { "email": "bob@acme.test", "responseStatus": "declined" }]);
    google.held(|held| held.events.push(event("standup", "2025-12-02T00:00:00Z", json!({ "attendees": attendees }))));
    synced.sync().await;
    assert_eq!(attending(synced.schedules().await), [Some(Attendance::Attend), Some(Attendance::Skip)]);
}

/// R8.2, R9.1: tasks arrive, and are done at Google when they are done here.
#[tokio::test]
async fn tasks_are_done_at_both_ends() {
    let google = GoogleByHand::default();
    google.held(|held| held.tasks = vec![json!({ "id": "t1", "title": "Cook", "status": "needsAction", "due": "2026-01-09T00:00:00.000Z", "updated": "2025-12-01T00:00:00Z", "notes": "soon" })]);
    let synced = google.synced("tasks:home").await;
    let link = synced.links().await.remove(0).link;
    assert_eq!((link.title.as_deref(), &link.raw_meta["due"]), (Some("Cook"), &json!("2026-01-09")));
    let done = LinkUpdate { status: Some(StatusId::from_static("done")), ..LinkUpdate::default() };
    synced.host.runtime().update_link(link.id, &UserId::from_static("ada"), done).await.expect("it is stored");
    synced.host.settle().await;
    let change = google.held(|held| held.changes.pop()).expect("it was sent");
    assert_eq!(
        change,
        ("PATCH".to_owned(), "/tasks/v1/lists/home/tasks/t1".to_owned(), json!({ "status": "completed" }))
    );
    google.held(|held| held.tasks[0]["deleted"] = json!(true));
    synced.sync().await;
    assert!(synced.links().await[0].link.archived);
}
