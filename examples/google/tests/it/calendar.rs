//! Google Calendar: events with all of their pieces, and answers to invitations.

use connector_core::id::{ScheduleKey, StatusId};
use connector_core::model::{Actor, Attendance, Author, Delivery, Recipient, Schedule, ScheduleChange, When};
use connector_core::runtime::{ActionError, Compose, LinkUpdate};
use serde_json::{Value, json};

use crate::model::{ADA, Shared};
use crate::rig::{Rig, ada, calendar};

fn at(day: &str, hour: &str) -> Value {
    json!({ "dateTime": format!("2026-01-{day}T{hour}:00:00+01:00"), "timeZone": "Europe/Berlin" })
}

fn instant(text: &str) -> When {
    When::At(text.parse().expect("a time"))
}

fn with(mut event: Value, more: &Value) -> Value {
    event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event
}

/// A meeting of Bob on five days in Berlin.
fn standup(more: Value) -> Value {
    let event = json!({
        "id": "standup", "status": "confirmed", "iCalUID": "standup@google.com", "summary": "Standup",
        "htmlLink": "https://calendar.google.com/e", "created": "2025-12-01T00:00:00Z",
        "organizer": { "email": "bob@acme.test" }, "start": at("05", "09"), "end": at("05", "10"),
        "recurrence": ["RRULE:FREQ=DAILY;COUNT=5"],
        "attendees": [
            { "email": ADA, "self": true, "responseStatus": "needsAction" },
            { "email": "bob@acme.test", "responseStatus": "accepted" },
        ],
    });
    with(event, &more)
}

/// One day of it.
fn on(day: &str, more: Value) -> Value {
    let mut event = standup(json!({
        "id": format!("standup_{day}"), "recurringEventId": "standup", "originalStartTime": at(day, "09"),
        "start": at(day, "09"), "end": at(day, "10"),
    }));
    event.as_object_mut().expect("an object").remove("recurrence");
    with(event, &more)
}

/// All that Google says of an occurrence that was cancelled.
fn without(day: &str) -> Value {
    json!({ "id": format!("standup_{day}"), "status": "cancelled", "recurringEventId": "standup", "originalStartTime": at(day, "09") })
}

fn put(google: &Shared, events: impl IntoIterator<Item = Value>) {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    google.with(|google| events.into_iter().for_each(|event| google.calendar.put(event, now)));
}

async fn synced(events: impl IntoIterator<Item = Value>) -> (Shared, Rig) {
    let google = Shared::default();
    put(&google, events);
    let rig = Rig::new(&google, &[]).await;
    rig.host.settle().await;
    (google, rig)
}

async fn schedules(rig: &Rig) -> Vec<Schedule> {
    let links = rig.links().await;
    assert_eq!(links.len(), 1, "{links:?}");
    links[0].link.schedules.clone()
}

/// L27: occurrences before their master, on another page, and a cancellation with no more than what it cancels.
#[tokio::test]
async fn the_pieces_of_an_event_come_in_any_order() {
    let moved = json!({ "start": at("06", "11"), "end": at("06", "12"), "summary": "Standup, later" });
    let (google, rig) = synced([without("07"), on("06", moved), on("09", json!({})), standup(json!({}))]).await;
    let found = schedules(&rig).await;
    let keys: Vec<_> = found.iter().map(|schedule| (schedule.key.as_str(), schedule.cancelled)).collect();
    let expected = [("standup", false), ("standup_06", false), ("standup_07", true), ("standup_09", false)];
    assert_eq!(keys, expected);
    assert_eq!(found[0].recurrence, ["RRULE:FREQ=DAILY;COUNT=5"]);
    assert_eq!(
        (found[1].occurrence, found[1].start),
        (Some(instant("2026-01-06T08:00:00Z")), instant("2026-01-06T10:00:00Z"))
    );
    let link = rig.link("Standup").await.link;
    assert!(matches!(&link.author, Author::Person(bob) if bob.id == "bob@acme.test"));

    // Another one is moved, and one more is cancelled: what is there keeps its title.
    put(&google, [without("08"), on("09", json!({ "start": at("09", "15"), "end": at("09", "16") }))]);
    rig.sync().await;
    let found = schedules(&rig).await;
    assert_eq!((found.len(), found[4].start), (5, instant("2026-01-09T14:00:00Z")));
    assert_eq!(rig.link("Standup").await.link.raw_meta["event"], "standup");
}

/// L27: a series that is cancelled takes its occurrences with it, of which Google may tell on the same page; a
/// cancelled occurrence of an event that is not there makes nothing.
#[tokio::test]
async fn a_series_is_cancelled_whole() {
    let (google, rig) = synced([standup(json!({})), on("06", json!({ "start": at("06", "11") }))]).await;
    assert!(!rig.link("Standup").await.link.archived);
    google.with(|google| google.calendar.delete("standup", "2026-01-01T00:00:00Z".parse().expect("a time")));
    rig.sync().await;
    assert!(rig.link("Standup").await.link.archived);

    let other = json!({ "id": "other_07", "status": "cancelled", "recurringEventId": "other", "originalStartTime": at("07", "09") });
    put(&google, [other, json!({ "id": "never", "status": "cancelled" })]);
    rig.sync().await;
    assert_eq!(rig.links().await.len(), 1);

    // It is put on again.
    put(&google, [standup(json!({ "summary": "Standup again" }))]);
    rig.sync().await;
    let link = rig.link("Standup again").await.link;
    assert_eq!((link.archived, link.schedules[0].cancelled), (false, false));
}

/// L27: who is invited to one occurrence sees that one, and what they do is done to it.
#[tokio::test]
async fn an_occurrence_without_its_master_is_an_event() {
    let (google, rig) = synced([on("06", json!({ "summary": "As a guest" }))]).await;
    let link = rig.link("As a guest").await.link;
    assert_eq!((link.raw_meta["event"].as_str(), link.schedules.len()), (Some("standup_06"), 1));
    let title = LinkUpdate { title: Some("With me".to_owned()), ..LinkUpdate::default() };
    rig.host.runtime().update_link(link.id, &ada(), title).await.expect("it is stored");
    rig.host.settle().await;
    assert_eq!(
        google.with(|google| google.calendar.get("standup_06").expect("it is there")["summary"].clone()),
        "With me"
    );
}

/// R6.6, R11.1: a sync token that Google forgot begins the walk anew, quietly, and nothing is lost.
#[tokio::test]
async fn a_forgotten_sync_token_is_recovered_from() {
    let (google, rig) = synced([standup(json!({}))]).await;
    put(&google, [standup(json!({ "summary": "Daily" }))]);
    rig.sync().await;
    rig.link("Daily").await;
    assert_eq!(google.with(|google| google.calendar.walks.0), 1);
    put(&google, [standup(json!({ "summary": "Weekly" })), without("06")]);
    google.with(|google| google.calendar.oldest = u64::MAX);
    rig.sync().await;
    google.with(|google| google.calendar.oldest = 0);
    rig.sync().await;
    let row = rig.link("Weekly").await;
    assert_eq!((row.link.schedules.len(), google.with(|google| google.calendar.walks.0)), (2, 2));
    let marks =
        rig.host.runtime().ports().engine.user_threads(ada(), vec![row.link.thread]).await.expect("the store works");
    assert!(!marks[0].as_ref().is_some_and(|marks| marks.unread), "a recovery is no news");
}

/// L38: an occurrence that was cancelled or moved and then restored is as Google has it, whether Google tells of it or
/// gives all events anew without it.
#[tokio::test]
async fn a_restored_occurrence_is_as_google_has_it() {
    let moved = json!({ "start": at("06", "11"), "end": at("06", "12") });
    let (google, rig) = synced([standup(json!({})), on("06", moved.clone()), without("07")]).await;
    let starts = async || {
        let series: connector_core::calendar::Series = schedules(&rig).await.into_iter().collect();
        let (from, until) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        let found = series.occurrences(from.parse().expect("a time"), until.parse().expect("a time"));
        found.expect("it recurs").into_iter().map(|at| at.start).collect::<Vec<_>>()
    };
    let at_eight = |day: u32| instant(&format!("2026-01-0{day}T08:00:00Z"));
    assert_eq!(starts().await, [at_eight(5), instant("2026-01-06T10:00:00Z"), at_eight(8), at_eight(9)]);
    put(&google, [on("06", json!({})), on("07", json!({}))]);
    rig.sync().await;
    assert_eq!(starts().await, [5, 6, 7, 8, 9].map(at_eight));

    put(&google, [on("06", moved), without("07")]);
    rig.sync().await;
    assert_eq!(starts().await.len(), 4);
    google.with(|google| {
        google.calendar.drop_exception("standup_06");
        google.calendar.drop_exception("standup_07");
        google.calendar.oldest = u64::MAX;
    });
    rig.sync().await;
    google.with(|google| google.calendar.oldest = 0);
    rig.sync().await;
    assert_eq!(starts().await, [5, 6, 7, 8, 9].map(at_eight));
    assert_eq!(schedules(&rig).await.len(), 1);
}

/// R9.1: answers to an invitation go both ways, to all of an event or to one occurrence; those of others stay, and are
/// not sent.
#[tokio::test]
async fn answers_go_both_ways() {
    let (google, rig) = synced([standup(json!({})), on("06", json!({ "start": at("06", "11") }))]).await;
    let attending = async |place: usize| -> Vec<_> {
        schedules(&rig).await[place].attendees.iter().map(|person| person.status).collect()
    };
    assert_eq!(attending(0).await, [None, Some(Attendance::Attend)]);
    let statuses = |id: &str| {
        let event = google.with(|google| google.calendar.get(id).expect("it is there").clone());
        let attendees = event["attendees"].as_array().expect("a list").clone();
        attendees.iter().map(|person| person["responseStatus"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    let link = rig.link("Standup").await.link.id;
    for (key, answer) in [("standup", Attendance::Skip), ("standup_06", Attendance::Attend)] {
        let key = ScheduleKey::from_static(key);
        let answered = rig.host.runtime().set_attendance(link, &key, None, ADA, &ada(), Some(answer)).await;
        answered.expect("it is stored");
    }
    rig.host.settle().await;
    assert_eq!(
        (statuses("standup"), statuses("standup_06")),
        (vec!["declined".to_owned(), "accepted".to_owned()], vec!["accepted".to_owned(); 2])
    );
    let sent = google
        .with(|google| google.changes.iter().filter(|(method, ..)| method == "PATCH").cloned().collect::<Vec<_>>());
    assert!(sent.len() == 2 && sent.iter().all(|(.., body)| !body.to_string().contains("bob@")), "{sent:?}");

    let (key, user) = (ScheduleKey::from_static("standup"), ada());
    let others = rig.host.runtime().set_attendance(link, &key, None, "bob@acme.test", &user, None);
    others.await.expect("it is stored");
    rig.host.settle().await;
    assert_eq!(statuses("standup"), ["declined", "accepted"]);

    let attendees = json!([{ "email": ADA, "responseStatus": "accepted" }, { "email": "bob@acme.test", "responseStatus": "declined" }]);
    put(&google, [standup(json!({ "attendees": attendees }))]);
    rig.sync().await;
    assert_eq!(attending(0).await, [Some(Attendance::Attend), Some(Attendance::Skip)]);
}

/// R8.2: what people say with their answers is theirs, and goes when they take it back.
#[tokio::test]
async fn comments_of_attendees_are_notes() {
    let comment = |text: Option<&str>| json!({ "description": "<p>In <b>room</b> 3</p>", "attendees": [{ "email": "bob@acme.test", "comment": text, "responseStatus": "declined" }] });
    let (google, rig) = synced([standup(comment(Some("On a train")))]).await;
    let row = rig.link("Standup").await;
    let notes = rig.notes(&row).await;
    let mut told: Vec<_> = notes.iter().map(|row| row.note.content.clone()).collect();
    told.sort();
    assert_eq!(told, ["In **room** 3", "On a train"]);
    let said = notes.iter().find(|row| row.note.content == "On a train").expect("it is there");
    assert!(matches!(&said.note.author, Author::Person(bob) if bob.id == "bob@acme.test"));
    put(&google, [standup(comment(None))]);
    rig.sync().await;
    assert_eq!(rig.notes(&row).await.len(), 1);
    let reply = rig.reply(&row, "Fine").await;
    assert!(matches!(reply.note.delivery, Some(connector_core::model::Delivery::Failed { .. })), "{reply:?}");
}

/// L22: days are days, and times are in the zone of the event.
#[tokio::test]
async fn days_and_times_are_kept_apart() {
    let off = json!({ "id": "off", "summary": "Off", "status": "confirmed", "created": "2025-12-01T00:00:00Z",
        "start": { "date": "2026-01-05" }, "end": { "date": "2026-01-07" } });
    let (_, rig) = synced([off, standup(json!({}))]).await;
    let off = rig.link("Off").await.link.schedules;
    let day = |text: &str| When::Day(text.parse().expect("a day"));
    assert_eq!((off[0].start, off[0].end), (day("2026-01-05"), Some(day("2026-01-07"))));
    assert_eq!(off[0].time_zone, None);
    let standup = rig.link("Standup").await.link.schedules;
    assert_eq!(
        (standup[0].start, standup[0].time_zone.as_deref()),
        (instant("2026-01-05T08:00:00Z"), Some("Europe/Berlin"))
    );
}

/// R9.1: another title is all that is sent; an event that is cancelled here is deleted at Google, for all who come.
#[tokio::test]
async fn events_are_renamed_and_cancelled() {
    let (google, rig) = synced([standup(json!({}))]).await;
    let link = rig.link("Standup").await.link.id;
    let update = async |update: LinkUpdate| {
        rig.host.runtime().update_link(link, &ada(), update).await.expect("it is stored");
        rig.host.settle().await;
        google.with(|google| google.changes.pop()).expect("it was sent")
    };
    let path = format!("calendar/v3/calendars/{ADA}/events/standup");
    let sent = update(LinkUpdate { title: Some("Daily".to_owned()), ..LinkUpdate::default() }).await;
    assert_eq!(sent, ("PATCH".to_owned(), path.clone(), json!({ "summary": "Daily" })));
    let cancelled = Some(StatusId::from_static("cancelled"));
    let sent = update(LinkUpdate { status: cancelled, ..LinkUpdate::default() }).await;
    assert_eq!(sent, ("DELETE".to_owned(), path, Value::Null));
    rig.sync().await;
    assert!(rig.link("Daily").await.link.archived);
}

/// R11.5, L8: what is known of events falls with their calendar.
#[tokio::test]
async fn nothing_is_left_of_a_calendar_that_is_disabled() {
    let (_, rig) = synced([without("07"), standup(json!({}))]).await;
    let engine = std::sync::Arc::clone(&rig.host.runtime().ports().engine);
    let stored = async || {
        let entries = engine.state_entries(rig.connection, "h/w/".to_owned(), 100).await.expect("the store works");
        entries.iter().filter(|(key, _)| key.contains(ADA)).count()
    };
    assert!(stored().await > 0);
    rig.host.runtime().disable_channel(rig.connection, &calendar()).await.expect("it is there");
    rig.host.settle().await;
    assert_eq!(stored().await, 0);
}

fn berlin(day: &str, hour: &str) -> When {
    When::At(format!("2026-01-{day}T{hour}:00:00+01:00").parse().expect("a time"))
}

/// The last request that changed the calendar.
fn sent(google: &Shared) -> (String, String, Value) {
    google.with(|google| google.changes.pop()).expect("it was sent")
}

fn events_path(id: &str) -> String {
    format!("calendar/v3/calendars/{ADA}/events{id}")
}

/// R9.6: what is composed is an event of the calendar, with its zone and recurrence.
#[tokio::test]
async fn an_event_is_composed_with_its_schedule() {
    let (google, rig) = synced([]).await;
    let compose = |title: &str, schedules: Vec<Schedule>| Compose {
        user: ada(),
        connection: rig.connection,
        channel: Some(calendar()),
        link_type: "event".into(),
        status: None,
        title: title.to_owned(),
        content: Some("Bring **numbers**".to_owned()),
        recipients: vec![Recipient { actor: Actor::new("bob@acme.test"), role: "attendee".to_owned() }],
        attachments: Vec::new(),
        schedules,
    };
    let weekly = Schedule::composed(berlin("05", "09"))
        .end(berlin("05", "10"))
        .recurrence(["RRULE:FREQ=WEEKLY;COUNT=3".to_owned()], "Europe/Berlin")
        .location("Room 3");
    rig.host.runtime().compose(compose("Review", vec![weekly])).await.expect("it is stored");
    rig.host.settle().await;
    let (method, path, body) = sent(&google);
    assert_eq!((method.as_str(), path), ("POST", events_path("")));
    assert_eq!(body["start"]["timeZone"], "Europe/Berlin");
    assert_eq!((&body["location"], &body["recurrence"][0]), (&json!("Room 3"), &json!("RRULE:FREQ=WEEKLY;COUNT=3")));
    assert_eq!(body["attendees"][0]["email"], "bob@acme.test");
    let link = rig.link("Review").await.link;
    assert!(matches!(link.delivery, Some(Delivery::Delivered)), "{link:?}");
    assert_eq!((link.schedules.len(), link.schedules[0].start), (1, berlin("05", "09")));
    rig.sync().await;
    assert_eq!(rig.links().await.len(), 1);

    let day = |text: &str| When::Day(text.parse().expect("a day"));
    let off = Schedule::composed(day("2026-01-05")).end(day("2026-01-07"));
    rig.host.runtime().compose(compose("Off", vec![off])).await.expect("it is stored");
    rig.host.settle().await;
    assert_eq!(sent(&google).2["end"]["date"], "2026-01-07");

    for (schedules, said) in [
        (vec![], "takes place"),
        (vec![Schedule::composed(berlin("05", "09"))], "ends"),
        (vec![Schedule::composed("2026-01-05T09:00:00".parse::<jiff::civil::DateTime>().expect("a time"))], "floating"),
    ] {
        let schedules = schedules.into_iter().map(|schedule| match schedule.start {
            When::Floating(at) => schedule.end(at),
            _ => schedule,
        });
        let link = rig.host.runtime().compose(compose("Refused", schedules.collect())).await.expect("it is stored");
        rig.host.settle().await;
        let link = rig.links().await.into_iter().find(|row| row.id() == link.id).expect("it is there");
        let Some(Delivery::Failed { reason, .. }) = &link.link.delivery else { panic!("{link:?}") };
        assert!(reason.contains(said), "{reason}");
    }
    let wrong = [
        Schedule::composed(berlin("05", "10")).end(berlin("05", "09")),
        Schedule::composed(berlin("05", "09")).end(day("2026-01-06")),
        Schedule::composed(berlin("05", "09")).recurrence(["RRULE:FREQ=SOMETIMES".to_owned()], "Europe/Berlin"),
        Schedule::composed(berlin("05", "09")).recurrence(["RRULE:FREQ=DAILY".to_owned()], "Mars/Olympus"),
    ];
    for schedule in wrong {
        let refused = rig.host.runtime().compose(compose("Wrong", vec![schedule])).await;
        assert!(matches!(refused, Err(ActionError::Invalid(_))), "{refused:?}");
    }
}

/// R9.6: an event is moved with its length; of its people and text nothing is sent.
#[tokio::test]
async fn an_event_is_moved() {
    let (google, rig) = synced([standup(json!({}))]).await;
    let link = rig.link("Standup").await.link.id;
    let change = ScheduleChange { start: Some(berlin("05", "11")), ..ScheduleChange::default() };
    let update = LinkUpdate { schedules: vec![change], ..LinkUpdate::default() };
    rig.host.runtime().update_link(link, &ada(), update).await.expect("it is stored");
    rig.host.settle().await;
    let (method, path, body) = sent(&google);
    assert_eq!((method.as_str(), path), ("PATCH", events_path("/standup")));
    let keys: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["end", "recurrence", "start"]);
    assert_eq!(body["end"]["dateTime"], "2026-01-05T11:00:00Z");
    rig.sync().await;
    assert_eq!(schedules(&rig).await[0].start, berlin("05", "11"));
}

/// R9.6: an occurrence without a schedule of its own is moved, cancelled and answered; the others stay.
#[tokio::test]
async fn one_occurrence_is_moved_cancelled_and_answered() {
    let (google, rig) = synced([standup(json!({}))]).await;
    let link = rig.link("Standup").await.link.id;
    let change = async |change: ScheduleChange| {
        let update = LinkUpdate { schedules: vec![change], ..LinkUpdate::default() };
        rig.host.runtime().update_link(link, &ada(), update).await.expect("it is stored");
        rig.host.settle().await;
    };
    let of = |day: &str| ScheduleChange { occurrence: Some(berlin(day, "09")), ..ScheduleChange::default() };
    change(ScheduleChange { start: Some(berlin("06", "14")), ..of("06") }).await;
    let (method, path, body) = sent(&google);
    assert_eq!((method.as_str(), path), ("PATCH", events_path("/standup_20260106T080000Z")));
    assert_eq!(body["end"]["dateTime"], "2026-01-06T14:00:00Z");
    change(ScheduleChange { cancelled: Some(true), ..of("07") }).await;
    let (method, path, _) = sent(&google);
    assert_eq!((method.as_str(), path), ("DELETE", events_path("/standup_20260107T080000Z")));
    let key = ScheduleKey::from_static("standup");
    let tentative = Some(Attendance::Tentative);
    let user = ada();
    let answer = rig.host.runtime().set_attendance(link, &key, Some(berlin("08", "09")), ADA, &user, tentative);
    answer.await.expect("it is stored");
    rig.host.settle().await;
    let (method, path, body) = sent(&google);
    assert_eq!((method.as_str(), path), ("PATCH", events_path("/standup_20260108T080000Z")));
    assert_eq!(body["attendees"][0]["responseStatus"], "tentative");
    rig.sync().await;
    let found = schedules(&rig).await;
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|schedule| !schedule.is_new()));
    assert_eq!((found[1].start, found[2].cancelled), (berlin("06", "14"), true));
    assert_eq!(found[3].attendees[0].status, tentative);
    let series: connector_core::calendar::Series = found.into_iter().collect();
    let (from, until) = ("2026-01-01T00:00:00Z".parse(), "2026-02-01T00:00:00Z".parse());
    let starts = series.occurrences(from.expect("a time"), until.expect("a time")).expect("it recurs");
    let starts: Vec<_> = starts.into_iter().map(|at| at.start).collect();
    assert_eq!(starts, [berlin("05", "09"), berlin("06", "14"), berlin("08", "09"), berlin("09", "09")]);

    // Taken back: it takes place again, as the series says.
    change(ScheduleChange { cancelled: Some(false), ..of("07") }).await;
    let missing = LinkUpdate { schedules: vec![of("20")], ..LinkUpdate::default() };
    let missing = rig.host.runtime().update_link(link, &ada(), missing).await;
    assert!(matches!(missing, Err(ActionError::NotFound(_))), "{missing:?}");
}
