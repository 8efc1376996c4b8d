//! Google Calendar: <https://developers.google.com/workspace/calendar/api/v3/reference>.

use std::collections::BTreeMap;

use connector_core::calendar::Series;
use connector_core::prelude::*;
use serde_json::{Value, json};

use crate::{Event, EventMeta, Google, Page, Product, horizon, mail};

/// How far back a push is looked for.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// A walk over the events that have changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    /// What Google gave at the end of the last one; it may forget it.
    sync_token: Option<String>,
    page: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ApiCalendar {
    id: String,
    summary: String,
    description: Option<String>,
    #[serde(default)]
    selected: bool,
}

impl ApiCalendar {
    pub(crate) fn channel(self) -> Channel {
        let mut channel = Product::Calendar.channel(&self.id, &self.summary).enabled_by_default(self.selected);
        channel.description = self.description;
        channel
    }
}

/// An event, or what differs in one occurrence of it. Of one that was cancelled there may be no more than its id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiEvent {
    id: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(rename = "iCalUID")]
    ical_uid: Option<String>,
    summary: Option<String>,
    description: Option<String>,
    location: Option<String>,
    html_link: Option<String>,
    created: Option<Timestamp>,
    updated: Option<Timestamp>,
    start: Option<ApiWhen>,
    end: Option<ApiWhen>,
    #[serde(default)]
    recurrence: Vec<String>,
    recurring_event_id: Option<String>,
    original_start_time: Option<ApiWhen>,
    organizer: Option<ApiPerson>,
    #[serde(default)]
    attendees: Vec<ApiPerson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiWhen {
    date: Option<Date>,
    date_time: Option<Timestamp>,
    time_zone: Option<String>,
}

impl ApiWhen {
    fn when(&self) -> Option<When> {
        self.date.map(When::Day).or(self.date_time.map(When::At))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiPerson {
    email: Option<String>,
    display_name: Option<String>,
    response_status: Option<String>,
    #[serde(default)]
    optional: bool,
}

impl ApiPerson {
    fn actor(&self) -> Option<Actor> {
        Some(mail::person(self.display_name.as_deref(), self.email.as_deref()?))
    }

    fn attendance(&self) -> Option<Attendance> {
        match self.response_status.as_deref() {
            Some("accepted") => Some(Attendance::Attend),
            Some("declined") => Some(Attendance::Skip),
            _ => None,
        }
    }
}

impl ApiEvent {
    fn is_cancelled(&self) -> bool {
        self.status.as_deref() == Some("cancelled")
    }

    /// The id of the series that it belongs to.
    fn series(&self) -> &str {
        self.recurring_event_id.as_deref().unwrap_or(&self.id)
    }

    /// As a piece of its series; none of one that was taken away before anything was known of it.
    fn schedule(&self) -> Option<Schedule> {
        let occurrence = self.original_start_time.as_ref().and_then(ApiWhen::when);
        let start = self.start.as_ref().and_then(ApiWhen::when).or(occurrence)?;
        let mut schedule = Schedule::new(self.id.as_str(), start);
        schedule.end = self.end.as_ref().and_then(ApiWhen::when);
        schedule.time_zone = self.start.as_ref().and_then(|start| start.time_zone.clone());
        schedule.recurrence.clone_from(&self.recurrence);
        schedule.occurrence = occurrence.filter(|_| self.recurring_event_id.is_some());
        schedule.cancelled = self.is_cancelled();
        Some(self.attendees.iter().fold(schedule, |schedule, person| match person.actor() {
            Some(actor) => schedule.attendee(actor, person.attendance()),
            None => schedule,
        }))
    }

    /// The event with these schedules.
    fn link(&self, channel: &ChannelId, series: &Series) -> NewLink {
        let status = match self.status.as_deref() {
            Some("tentative") => Event::Tentative,
            Some("cancelled") => Event::Cancelled,
            _ => Event::Confirmed,
        };
        let meta = EventMeta { event: self.series().to_owned(), location: self.location.clone() };
        let organizer = self.organizer.as_ref().and_then(ApiPerson::actor);
        let author = organizer.clone().map_or_else(|| Author::system("an event without an organizer"), Author::Person);
        let occurred_at = self.created.or(self.updated).unwrap_or(Timestamp::UNIX_EPOCH);
        let attendees = self.attendees.iter().filter_map(|person| {
            Some(Contact::new(person.actor()?).role(if person.optional { "optional" } else { "attendee" }))
        });
        let organizer = organizer
            .filter(|organizer| !self.attendees.iter().any(|to| to.actor().is_some_and(|to| to.id == organizer.id)));
        let contacts = organizer.map(|actor| Contact::new(actor).role("organizer")).into_iter().chain(attendees);
        let source = source(channel, self.series());
        let description =
            self.description.iter().filter(|text| !text.trim().is_empty()).map(|text| {
                NewNote::new(source.clone(), "description", author.clone(), occurred_at, Content::html(text))
            });
        let link = NewLink::new(status.with(meta), source.clone(), channel, author.clone(), occurred_at)
            .title(self.summary.as_deref().unwrap_or("(no title)"))
            .contacts(contacts)
            .schedules(series.schedules())
            // The same event in the calendars of others.
            .also(self.ical_uid.iter().map(|uid| Source::new("ical", [uid])))
            .all_notes(description);
        let link = self.html_link.iter().fold(link, NewLink::url);
        let link = self.updated.iter().fold(link, |link, at| link.updated_at(*at));
        if series.master().is_some_and(|master| master.recurrence.is_empty()) { link } else { link.recurring() }
    }
}

/// Ids of events are unique within a calendar.
fn source(channel: &ChannelId, id: &str) -> Source {
    Source::new("google-calendar", [Product::Calendar.id(channel).unwrap_or_default(), id])
}

/// Where the events of a channel are in the API.
fn path(channel: &ChannelId) -> Option<String> {
    let id: String = url_encoded(Product::Calendar.id(channel)?);
    Some(format!("/calendar/v3/calendars/{id}/events"))
}

/// Ids of calendars are addresses, some with a `#`.
fn url_encoded(id: &str) -> String {
    id.replace('%', "%25").replace('#', "%23").replace('/', "%2F").replace('?', "%3F")
}

pub(crate) async fn walk(cx: &Context<Google>, channel: &ChannelId, walk: Walk) -> Result<Step<Walk>> {
    let Some(path) = path(channel) else { return Ok(Step::Done(walk)) };
    let request = cx.provider().get(path).query("maxResults", 100).query("showDeleted", true);
    let request = match &walk.sync_token {
        Some(token) => request.query("syncToken", token),
        // Google compares it with the end, and takes what recurs beyond it as well.
        None => request.query("timeMin", horizon(cx)),
    };
    let request = walk.page.iter().fold(request, |request, token| request.query("pageToken", token));
    let page: Page<ApiEvent> = request.fetch().await.map_err(|error| match error.kind() {
        // 410: https://developers.google.com/workspace/calendar/api/guides/sync
        ErrorKind::Gone if walk.sync_token.is_some() => Error::cursor_expired("Google Calendar forgot the sync token"),
        _ => error,
    })?;
    save(cx, channel, &page.items).await?;
    Ok(match page.next_page_token {
        Some(token) => Step::Next(Walk { page: Some(token), ..walk }),
        None => Step::Done(Walk { sync_token: page.next_sync_token, page: None }),
    })
}

/// What has changed in the last hour.
pub(crate) async fn recent(cx: &Context<Google>, channel: &ChannelId) -> Result<()> {
    let Some(path) = path(channel) else { return Ok(()) };
    let mut page = None::<String>;
    loop {
        let request = cx.provider().get(&path).query("showDeleted", true).query("updatedMin", cx.now() - RECENT);
        let found: Page<ApiEvent> =
            page.iter().fold(request, |request, token| request.query("pageToken", token)).fetch().await?;
        save(cx, channel, &found.items).await?;
        page = found.next_page_token;
        if page.is_none() {
            return Ok(());
        }
    }
}

/// Saves events. Their pieces come in any order and on different pages, so each series is kept as far as it is known (L27).
async fn save(cx: &Context<Google>, channel: &ChannelId, events: &[ApiEvent]) -> Result<()> {
    let mut by_series: BTreeMap<&str, Vec<&ApiEvent>> = BTreeMap::new();
    for event in events {
        by_series.entry(event.series()).or_default().push(event);
    }
    let (mut links, mut patches, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (id, pieces) in by_series {
        let key = format!("series/{channel}/{id}");
        let mut series: Series = cx.get(&key).await?.unwrap_or_default();
        let known: Vec<_> = pieces.iter().filter_map(|piece| Some((piece, piece.schedule()?))).collect();
        if known.is_empty() {
            // Deleted, and no more than its id is left.
            cx.clear(&key).await?;
            gone.push(source(channel, id));
            continue;
        }
        for (piece, schedule) in known {
            // Of an occurrence that was cancelled it is not said when.
            series.put(piece.updated.unwrap_or_else(|| cx.now()), schedule);
        }
        cx.set(&key, &series).await?;
        let master = pieces.iter().find(|piece| piece.recurring_event_id.is_none() && piece.start.is_some());
        match master.or_else(|| pieces.iter().find(|piece| series.master().is_none() && !piece.is_cancelled())) {
            _ if series.is_cancelled() => gone.push(source(channel, id)),
            Some(event) => links.push(event.link(channel, &series)),
            // Only occurrences of what is there already.
            None => patches.push(LinkPatch::new(source(channel, id)).schedules(series.schedules())),
        }
    }
    cx.integrations().save_links(links).await?;
    for patch in patches {
        cx.integrations().patch_link(patch).await?;
    }
    cx.integrations().archive_links(LinkFilter::sources(gone)).await
}

pub(crate) async fn update(cx: &Context<Google>, link: &Link, changes: &LinkChanges) -> Result<()> {
    let mut event = serde_json::Map::new();
    event.extend(changes.title.as_ref().map(|title| ("summary".to_owned(), json!(title))));
    event.extend(changes.raw_status.as_ref().map(|status| ("status".to_owned(), json!(status))));
    let id = link.meta::<Event>()?.event;
    cx.provider().patch(event_path(link, &id)?).json(&event).send().await.map(drop)
}

fn event_path(link: &Link, id: &str) -> Result<String> {
    let events = path(&link.channel).ok_or_else(|| Error::bug(format!("{} is in no calendar", link.id)))?;
    Ok(format!("{events}/{id}"))
}

/// Says whether someone comes. Google takes the list of those who are invited only as a whole.
pub(crate) async fn answer(
    cx: &Context<Google>,
    link: &Link,
    schedule: &Schedule,
    who: &Actor,
    attendance: Option<Attendance>,
) -> Result<()> {
    let path = event_path(link, schedule.key.as_str())?;
    let event: Value = cx.provider().get(&path).fetch().await?;
    let mut attendees = event.get("attendees").and_then(Value::as_array).cloned().unwrap_or_default();
    let of_them = |person: &Value| {
        person.get("email").and_then(Value::as_str).is_some_and(|email| email.eq_ignore_ascii_case(&who.id))
    };
    let Some(person) = attendees.iter_mut().find(|person| of_them(person)).and_then(Value::as_object_mut) else {
        return Err(Error::rejected(format!("{} is not invited", who.id)));
    };
    let status = match attendance {
        Some(Attendance::Attend) => "accepted",
        Some(Attendance::Skip) => "declined",
        None => "needsAction",
    };
    person.insert("responseStatus".to_owned(), json!(status));
    let request = cx.provider().patch(path).query("sendUpdates", "all");
    request.json(&json!({ "attendees": attendees })).send().await.map(drop)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiWatch {
    id: String,
    resource_id: String,
    #[serde(skip_serializing)]
    expiration: Option<String>,
}

/// Makes Google push for a while: <https://developers.google.com/workspace/calendar/api/guides/push>.
pub(crate) async fn watch(cx: &Context<Google>, channel: &ChannelId, endpoint: &Endpoint) -> Result<Registration> {
    let Some(path) = path(channel) else {
        return Err(Error::rejected("only calendars push to a URL: what else there is, is asked for"));
    };
    // Google takes an id once.
    let id = format!("{}-{}", cx.idempotency_key(), cx.now().as_millisecond());
    let watch = json!({ "id": id, "type": "web_hook", "address": endpoint.url });
    let watch: ApiWatch = cx.provider().post(path + "/watch").json(&watch).fetch().await?;
    let ends = watch.expiration.as_deref().and_then(|ends| Timestamp::from_millisecond(ends.parse().ok()?).ok());
    let registration = Registration::new(format!("{} {}", watch.id, watch.resource_id));
    Ok(ends.into_iter().fold(registration, Registration::expires_at))
}

pub(crate) async fn stop(cx: &Context<Google>, registration: &Registration) -> Result<()> {
    let (id, resource_id) = registration.id.split_once(' ').ok_or_else(|| Error::bug("no id of a watch"))?;
    let watch = ApiWatch { id: id.to_owned(), resource_id: resource_id.to_owned(), expiration: None };
    cx.provider().post("/calendar/v3/channels/stop").json(&watch).send().await.unless_gone().map(drop)
}
