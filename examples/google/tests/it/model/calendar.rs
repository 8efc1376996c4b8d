//! Calendar: <https://developers.google.com/workspace/calendar/api/v3/reference>.

use std::collections::BTreeMap;

use connector_core::model::Schedule;
use connector_core::testing::conformance::{Edit, Item, Push};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{ADA, Answer, Asked, NOT_FOUND, PAGE};

/// How long Google watches.
pub(crate) const WATCHED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One in so many walks finds that its sync token was forgotten.
const FORGETS: u64 = 6;

/// One calendar, with its events in the order of their last changes.
#[derive(Default)]
pub(crate) struct Calendar {
    events: Vec<(u64, Value)>,
    changes: u64,
    updated: Timestamp,
    now: Timestamp,
    /// Walks that began without and with a sync token.
    pub(crate) walks: (u64, u64),
    /// Tokens from before this change are forgotten.
    pub(crate) oldest: u64,
    pub(crate) watches: Vec<Watch>,
    /// So many answers to who wants to watch are yet to be lost.
    pub(crate) losing: u8,
    pub(crate) pushes: Vec<Push>,
}

/// A notification channel.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) ends: Timestamp,
    sent: u64,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn time(value: &Value) -> Option<Timestamp> {
    value["dateTime"].as_str()?.parse().ok()
}

/// A start or end as it is given: days are as long as they are in UTC.
fn when_of(value: &Value) -> Result<Timestamp, (u16, &'static str)> {
    let day = value["date"].as_str().and_then(|day| format!("{day}T00:00:00Z").parse().ok());
    day.or_else(|| time(value)).ok_or((400, "required"))
}

fn when(at: Timestamp) -> Value {
    json!({ "dateTime": at.to_string(), "timeZone": "UTC" })
}

fn is_cancelled(event: &Value) -> bool {
    event["status"] == "cancelled"
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}

impl Calendar {
    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.events.iter().map(|(_, event)| event).find(|event| event["id"] == id)
    }

    /// An event, as it is from now on.
    pub(crate) fn put(&mut self, mut event: Value, at: Timestamp) {
        // No two changes of a calendar are at the same time.
        self.now = self.now.max(at);
        self.updated = at.max(self.updated + SignedDuration::from_millis(1));
        self.changes += 1;
        if !is_cancelled(&event) {
            event["updated"] = json!(self.updated.to_string());
        }
        self.events.retain(|(_, known)| known["id"] != event["id"]);
        self.events.push((self.changes, event));
        self.notify();
    }

    /// An occurrence is as its series says again, and Google tells nothing of it any more.
    pub(crate) fn drop_exception(&mut self, id: &str) {
        self.events.retain(|(_, known)| known["id"] != id);
    }

    /// Google says no more of a deleted event than its id, and of an occurrence of what it was one.
    pub(crate) fn delete(&mut self, id: &str, at: Timestamp) {
        let gone: Vec<_> = self.events.iter().map(|(_, event)| event.clone()).collect();
        for event in gone.into_iter().filter(|event| event["id"] == id || event["recurringEventId"] == id) {
            let mut left =
                Map::from_iter([("id".to_owned(), event["id"].clone()), ("status".to_owned(), json!("cancelled"))]);
            for kept in ["recurringEventId", "originalStartTime"] {
                left.extend(event.get(kept).map(|value| (kept.to_owned(), value.clone())));
            }
            self.put(Value::Object(left), at);
        }
    }

    pub(crate) fn watching(&self) -> impl Iterator<Item = &Watch> {
        self.watches.iter().filter(|watch| watch.ends > self.now)
    }

    fn notify(&mut self) {
        let now = self.now;
        for watch in self.watches.iter_mut().filter(|watch| watch.ends > now) {
            watch.sent += 1;
            self.pushes.push(watch.push("exists"));
        }
    }

    pub(super) fn answer(&mut self, asked: &Asked<'_>, path: &[&str]) -> Answer {
        self.now = self.now.max(asked.now);
        match (asked.method, path) {
            ("POST", ["channels", "stop"]) => {
                let known = self.watches.len();
                let (id, resource) = (&asked.body["id"], &asked.body["resourceId"]);
                self.watches.retain(|watch| watch.id != text(id) || text(resource) != "events-of-ada");
                if self.watches.len() < known { Ok(Value::Null) } else { Err(NOT_FOUND) }
            }
            ("POST", ["calendars", ADA, "events", "watch"]) => self.watch(asked),
            ("POST", ["calendars", _, "events", "watch"]) => Err((400, "pushNotSupportedForRequestedResource")),
            ("GET", ["calendars", ADA, "events"]) => self.list(asked),
            ("GET", ["calendars", _, "events"]) => Ok(json!({ "items": [], "nextSyncToken": "0" })),
            ("POST", ["calendars", ADA, "events"]) => self.insert(asked),
            ("GET", ["calendars", ADA, "events", id, "instances"]) => self.instance(asked, id),
            (method, ["calendars", ADA, "events", id]) => {
                let known = self.get(id).cloned().or_else(|| self.by_series(id)).ok_or(NOT_FOUND)?;
                match method {
                    "GET" => Ok(known),
                    "DELETE" if is_cancelled(&known) => Err((410, "deleted")),
                    "DELETE" if known["recurringEventId"].is_string() => {
                        let mut left = Self::occurrence(&known, time(&known["originalStartTime"]).ok_or(NOT_FOUND)?);
                        merge(&mut left, &json!({ "id": id, "recurringEventId": known["recurringEventId"] }));
                        left["status"] = json!("cancelled");
                        self.put(left, asked.now);
                        Ok(Value::Null)
                    }
                    "DELETE" => {
                        self.delete(id, asked.now);
                        Ok(Value::Null)
                    }
                    "PATCH" if is_cancelled(&known) => Err((403, "forbidden")),
                    "PATCH" => {
                        self.put(patched(known, &asked.body), asked.now);
                        self.get(id).cloned().ok_or(NOT_FOUND)
                    }
                    _ => Err((405, "methodNotAllowed")),
                }
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn insert(&mut self, asked: &Asked<'_>) -> Answer {
        let mut event = json!({
            "status": "confirmed", "created": asked.now.to_string(), "organizer": { "email": ADA, "self": true },
        });
        merge(&mut event, &asked.body);
        let (start, end) = (when_of(&event["start"])?, when_of(&event["end"])?);
        if event["recurrence"].is_array() && event["start"]["date"].is_null() && event["start"]["timeZone"].is_null() {
            return Err((400, "required"));
        }
        if start >= end {
            return Err((400, "timeRangeEmpty"));
        }
        let id = format!("made{}", self.changes);
        merge(&mut event, &json!({ "id": id, "iCalUID": format!("{id}@google.com") }));
        self.put(event, asked.now);
        self.get(&id).cloned().ok_or(NOT_FOUND)
    }

    /// The occurrence of a series that has this id, as the series says it.
    fn by_series(&self, id: &str) -> Option<Value> {
        let (series, of) = id.rsplit_once('_')?;
        let master = self.get(series).filter(|master| master["recurrence"].is_array())?;
        let of = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", of).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        let of = of.timestamp();
        let length = time(&master["end"])?.duration_since(time(&master["start"])?);
        let mut event = master.clone();
        merge(&mut event, &Self::occurrence(master, of));
        merge(&mut event, &json!({ "start": when(of), "end": when(of + length) }));
        event.as_object_mut()?.remove("recurrence");
        Some(event)
    }

    /// One occurrence of a series, by when it would begin.
    fn instance(&self, asked: &Asked<'_>, id: &str) -> Answer {
        let master = self.get(id).filter(|master| master["recurrence"].is_array()).ok_or(NOT_FOUND)?;
        let of: Timestamp = asked.query("originalStart").and_then(|at| at.parse().ok()).ok_or((400, "badRequest"))?;
        let known = self.events.iter().map(|(_, event)| event);
        let mut known =
            known.filter(|event| event["recurringEventId"] == id && time(&event["originalStartTime"]) == Some(of));
        let id = text(&Self::occurrence(master, of)["id"]).to_owned();
        let event = known.next().cloned().or_else(|| self.by_series(&id));
        Ok(json!({ "items": event.into_iter().collect::<Vec<_>>() }))
    }

    fn watch(&mut self, asked: &Asked<'_>) -> Answer {
        let id = text(&asked.body["id"]).to_owned();
        if id.is_empty() || self.watches.iter().any(|watch| watch.id == id) {
            return Err((400, "channelIdNotUnique"));
        }
        let url = text(&asked.body["address"]).to_owned();
        if !url.starts_with("https://") || asked.body["type"] != "web_hook" {
            return Err((400, "webhookUrlNotHttps"));
        }
        let ends = asked.now + WATCHED;
        let token = asked.body["token"].as_str().map(str::to_owned);
        let watch = Watch { id, url, token, ends, sent: 1 };
        self.pushes.push(watch.push("sync"));
        self.watches.push(watch.clone());
        if self.losing > 0 {
            self.losing -= 1;
            return Err((503, "backendError"));
        }
        let expiration = ends.as_millisecond().to_string();
        Ok(json!({ "kind": "api#channel", "id": watch.id, "resourceId": "events-of-ada", "expiration": expiration }))
    }

    fn list(&mut self, asked: &Asked<'_>) -> Answer {
        let number = |text: &str| text.parse::<u64>().map_err(|_| (400, "badRequest"));
        let token = asked.query("syncToken").map(number).transpose()?;
        if token.is_some() && asked.query("timeMin").is_some() {
            return Err((400, "badRequest"));
        }
        let page = asked.query("pageToken").map(number).transpose()?;
        match (page, token) {
            (Some(_), _) => {}
            (None, None) => self.walks.0 += 1,
            (None, Some(token)) => {
                self.walks.1 += 1;
                if token < self.oldest || self.walks.1.is_multiple_of(FORGETS) {
                    return Err((410, "fullSyncRequired"));
                }
            }
        }
        let from = page.or(token).unwrap_or_default();
        let earliest: Option<Timestamp> = asked.query("timeMin").and_then(|at| at.parse().ok());
        let listed = |event: &Value| {
            let recurs = event["recurrence"].is_array() || is_cancelled(event);
            recurs || earliest.is_none_or(|earliest| time(&event["end"]).is_none_or(|end| end > earliest))
        };
        let mut found = self.events.iter().filter(|(change, event)| *change > from && listed(event));
        let page: Vec<_> = found.by_ref().take(PAGE).collect();
        let items: Vec<_> = page.iter().map(|(_, event)| event).collect();
        let mut answer = json!({ "items": items, "updated": self.updated.to_string(), "timeZone": "Europe/Berlin" });
        match (found.next(), page.last()) {
            (Some(_), Some((last, _))) => answer["nextPageToken"] = json!(last.to_string()),
            _ => answer["nextSyncToken"] = json!(self.changes.to_string()),
        }
        Ok(answer)
    }

    pub(super) fn create(&mut self, title: &str, description: &str, at: Timestamp) -> String {
        let id = format!("e{}", self.changes);
        let start = Timestamp::from_second(at.as_second() + 86_400).expect("a time");
        self.put(
            json!({
                "id": id, "status": "confirmed", "iCalUID": format!("{id}@google.com"), "summary": title,
                "description": description, "created": at.to_string(), "organizer": { "email": "grace@acme.test" },
                "start": when(start), "end": when(start + SignedDuration::from_mins(30)),
                "attendees": [{ "email": ADA, "self": true, "responseStatus": "needsAction" }],
            }),
            at,
        );
        format!("calendar/{id}")
    }

    /// One occurrence of an event.
    fn occurrence(master: &Value, of: Timestamp) -> Value {
        let id = format!("{}_{}", text(&master["id"]), of.strftime("%Y%m%dT%H%M%SZ"));
        json!({ "id": id, "recurringEventId": master["id"], "originalStartTime": when(of) })
    }

    pub(super) fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let Some(mut event) = self.get(id).filter(|event| !is_cancelled(event)).cloned() else { return false };
        match edit {
            Edit::Title(title) => event["summary"] = json!(title),
            Edit::Status(status) if status != "cancelled" => event["status"] = json!(status),
            // With an answer people may say something.
            Edit::Note(comment) => {
                let attendees = event["attendees"].as_array_mut().expect("a list");
                let email = format!("guest{}@acme.test", attendees.len());
                attendees.push(json!({ "email": email, "responseStatus": "accepted", "comment": comment }));
            }
            Edit::Repeat(days) => event["recurrence"] = json!([format!("RRULE:FREQ=DAILY;COUNT={days}")]),
            Edit::Move { occurrence, to } => {
                let mut moved = event.clone();
                merge(&mut moved, &Self::occurrence(&event, *occurrence));
                merge(&mut moved, &json!({ "start": when(*to), "end": when(*to + SignedDuration::from_mins(30)) }));
                moved.as_object_mut().expect("an object").remove("recurrence");
                event = moved;
            }
            Edit::Restore { occurrence } => {
                let occurrence_of = Self::occurrence(&event, *occurrence);
                merge(&mut event, &occurrence_of);
                merge(
                    &mut event,
                    &json!({ "start": when(*occurrence), "end": when(*occurrence + SignedDuration::from_mins(30)) }),
                );
                event.as_object_mut().expect("an object").remove("recurrence");
            }
            Edit::Cancel { occurrence } => {
                event = Self::occurrence(&event, *occurrence);
                event["status"] = json!("cancelled");
            }
            Edit::Delete | Edit::Status(_) => {
                self.delete(id, at);
                return true;
            }
            _ => return false,
        }
        self.put(event, at);
        true
    }

    /// Knows none of the sync tokens that it gave.
    pub(super) fn forget(&mut self) {
        self.changes += 1;
        self.oldest = self.changes;
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let mut series: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (_, event) in &self.events {
            series.entry(text(event.get("recurringEventId").unwrap_or(&event["id"]))).or_default().push(event);
        }
        let item = |pieces: &Vec<&Value>| {
            let master = pieces.iter().find(|event| event["recurringEventId"].is_null() && !is_cancelled(event))?;
            let comments = master["attendees"].as_array().into_iter().flatten().map(|person| text(&person["comment"]));
            let notes = std::iter::once(text(&master["description"])).chain(comments).filter(|note| !note.is_empty());
            let id = format!("calendar/{}", text(&master["id"]));
            let item = Item::new(id, format!("calendar:{ADA}"), text(&master["summary"]))
                .status(text(&master["status"]))
                .notes(notes)
                .schedules(pieces.iter().filter_map(|event| schedule(event)));
            Some(text(&master["created"]).parse().into_iter().fold(item, Item::created_at))
        };
        series.values().filter_map(item).collect()
    }
}

fn schedule(event: &Value) -> Option<Schedule> {
    let of = time(&event["originalStartTime"]);
    let mut schedule = Schedule::new(text(&event["id"]), time(&event["start"]).or(of)?);
    schedule.end = time(&event["end"]).map(Into::into);
    schedule.occurrence = of.map(Into::into);
    schedule.cancelled = is_cancelled(event);
    schedule.recurrence =
        event["recurrence"].as_array().into_iter().flatten().map(|line| text(line).to_owned()).collect();
    Some(schedule)
}

/// An event with a change. With `attendeesOmitted` those who are not among the attendees stay as they are.
fn patched(mut event: Value, change: &Value) -> Value {
    let mut attendees = event["attendees"].as_array().cloned().unwrap_or_default();
    merge(&mut event, change);
    if change["attendeesOmitted"] == true {
        for given in change["attendees"].as_array().into_iter().flatten() {
            if let Some(known) = attendees.iter_mut().find(|known| known["email"] == given["email"]) {
                merge(known, given);
            }
        }
        event["attendees"] = json!(attendees);
        event.as_object_mut().expect("an object").remove("attendeesOmitted");
    }
    event
}

impl Watch {
    /// A notice: headers, and no body.
    fn push(&self, state: &str) -> Push {
        let push = Push::new(&self.url, "")
            .header("X-Goog-Channel-ID", &self.id)
            .header("X-Goog-Resource-ID", "events-of-ada")
            .header("X-Goog-Resource-State", state)
            .header("X-Goog-Message-Number", self.sent.to_string());
        self.token.iter().fold(push, |push, token| push.header("X-Goog-Channel-Token", token))
    }
}
