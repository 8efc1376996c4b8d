//! Google Calendar: <https://developers.google.com/workspace/calendar/api/v3/reference>.

use connector_core::calendar::{EventWalk, Piece};
use connector_core::content::html_of;
use connector_core::prelude::*;
use connector_core::walk::Pages;
use serde_json::json;

use crate::{Event, EventMeta, Google, Page, horizon, mail, own_id, page_of};

/// A walk over the events that have changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Walk {
    /// What Google gave at the end of the last one; it may forget it.
    sync_token: Option<String>,
    #[serde(default)]
    pages: Pages,
    /// The walk over all events that the page belongs to. `None` means a walk over changes, or a first page.
    #[serde(default)]
    all: Option<EventWalk>,
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
        let id = ChannelId::of_product("calendar", &self.id);
        let channel = Channel::new(id, &self.summary).enabled_by_default(self.selected);
        self.description.into_iter().fold(channel, Channel::description)
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
    comment: Option<String>,
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
            Some("tentative") => Some(Attendance::Tentative),
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

    /// What it says of its event, as of the last change of its calendar where Google does not say when it changed. None
    /// of an occurrence that is nowhere.
    fn piece(&self, channel: &ChannelId, calendar_updated: Timestamp) -> Option<Piece> {
        let (source, version) = (source(channel, self.series()), self.updated.unwrap_or(calendar_updated));
        if self.is_cancelled() && self.recurring_event_id.is_none() {
            return Some(Piece::gone(source, version));
        }
        let schedule = self.schedule()?;
        if self.is_cancelled() {
            return Some(Piece::cancelled(source, version, schedule));
        }
        Some(Piece::new(self.link(channel, source), version, schedule))
    }

    /// When it takes place, and who attends. `None` means an occurrence that is nowhere.
    fn schedule(&self) -> Option<Schedule> {
        let occurrence = self.original_start_time.as_ref().and_then(ApiWhen::when);
        let start = self.start.as_ref().and_then(ApiWhen::when).or(occurrence)?;
        let mut schedule = Schedule::new(self.id.as_str(), start);
        schedule.end = self.end.as_ref().and_then(ApiWhen::when);
        schedule.time_zone = self.start.as_ref().and_then(|start| start.time_zone.clone());
        schedule.recurrence.clone_from(&self.recurrence);
        schedule.location.clone_from(&self.location);
        if self.recurring_event_id.is_some() {
            schedule.occurrence = Some(occurrence?);
            schedule.title.clone_from(&self.summary);
        }
        for person in self.attendees.iter().filter(|_| !self.is_cancelled()) {
            schedule = person.actor().into_iter().fold(schedule, |to, who| to.attendee(who, person.attendance()));
        }
        Some(schedule)
    }

    fn link(&self, channel: &ChannelId, source: Source) -> NewLink {
        let status = if self.status.as_deref() == Some("tentative") { Event::Tentative } else { Event::Confirmed };
        let meta = EventMeta { event: self.id.clone(), location: self.location.clone() };
        let organizer = self.organizer.as_ref().and_then(ApiPerson::actor);
        let author = organizer.clone().map_or_else(|| Author::system("an event without an organizer"), Author::Person);
        let occurred_at = self.created.or(self.updated).unwrap_or(Timestamp::UNIX_EPOCH);
        let people = || self.attendees.iter().filter_map(|person| Some((person, person.actor()?)));
        let attendees = people()
            .map(|(person, actor)| Contact::new(actor).role(if person.optional { "optional" } else { "attendee" }));
        let organizer = organizer.filter(|organizer| people().all(|(_, actor)| actor.id != organizer.id));
        let contacts = organizer.map(|actor| Contact::new(actor).role("organizer")).into_iter().chain(attendees);
        let note = |key: &str, author: Author, content| NewNote::new(source.clone(), key, author, occurred_at, content);
        let description = self.description.iter().filter(|text| !text.trim().is_empty());
        let description = description.map(|text| note("description", author.clone(), Content::html(text)));
        // What people say with their answers.
        let comments = people().filter_map(|(person, actor)| {
            let text = person.comment.as_deref().filter(|text| !text.trim().is_empty())?;
            Some(note(&format!("comment/{}", actor.id), Author::Person(actor), Content::text(text)))
        });
        let link = NewLink::new(status.with(meta), source.clone(), channel, author.clone(), occurred_at)
            .title(self.summary.as_deref().unwrap_or("(no title)"))
            .contacts(contacts)
            // The same event in the calendars of others.
            .also(self.ical_uid.iter().map(|uid| Source::new("ical", [uid])))
            .all_notes(description.chain(comments));
        self.html_link.iter().fold(link, NewLink::url)
    }
}

/// Ids of events are unique within a calendar.
fn source(channel: &ChannelId, id: &str) -> Source {
    Source::new("google-calendar", [own_id(channel), id])
}

/// Where the events of a channel are in the API. Ids of calendars are addresses, some with a `#`.
fn path(channel: &ChannelId) -> String {
    let id = own_id(channel).replace('%', "%25").replace('#', "%23").replace('/', "%2F").replace('?', "%3F");
    format!("/calendar/v3/calendars/{id}/events")
}

pub(crate) async fn walk(cx: &Context<Google>, channel: &ChannelId, walk: Walk) -> Result<Step<Walk>> {
    let request = cx.provider().get(path(channel)).query("maxResults", 100).query("showDeleted", true);
    let (request, all) = match &walk.sync_token {
        Some(token) => (request.query("syncToken", token), None),
        None => {
            // Each page is asked for with the same time; Google compares it with the end, and takes what recurs beyond
            // it as well.
            let all = walk.all.clone().unwrap_or_else(|| EventWalk::new(cx.now()).from(horizon(cx)));
            (request.query("timeMin", all.earliest().unwrap_or_else(|| horizon(cx))), Some(all))
        }
    };
    let page: Page<ApiEvent> = page_of(request, &walk.pages)?.fetch().await.map_err(|error| match error.kind() {
        // 410: https://developers.google.com/workspace/calendar/api/guides/sync
        ErrorKind::Gone if walk.sync_token.is_some() => Error::cursor_expired("Google Calendar forgot the sync token"),
        _ => error,
    })?;
    let updated = page.updated.unwrap_or_else(|| cx.now());
    let items = page.items.take(cx);
    let pieces = items.iter().filter_map(|event| event.piece(channel, updated));
    match &all {
        Some(all) => cx.integrations().save_all_events(channel, all, pieces).await?,
        None => cx.integrations().save_events(channel, pieces).await?,
    };
    if let Some(pages) = walk.pages.after(page.next_page_token) {
        return Ok(Step::Next(Walk { pages, all, ..walk }));
    }
    let next = Walk { sync_token: page.next_sync_token, pages: Pages::default(), all: None };
    let Some(all) = all else { return Ok(Step::Done(next)) };
    cx.integrations().end_all_events(channel, &all).await?;
    Ok(Step::Complete(LinkFilter::default(), next))
}

/// Where an event of a link is in the API; those who come hear of what changes.
fn event_path(link: &Link, id: &str) -> String {
    format!("{}/{id}?sendUpdates=all", path(&link.channel))
}

pub(crate) async fn update(cx: &Context<Google>, link: &Link, changes: &LinkChanges) -> Result<()> {
    let path = event_path(link, &link.meta::<Event>()?.event);
    if changes.status::<Event>()? == Some(Event::Cancelled) {
        cx.provider().delete(path).send().await.unless_gone()?;
        // It is gone there, and so it is here.
        return cx.integrations().archive_links(LinkFilter::sources([link.source.clone()])).await;
    }
    for schedule in changes.schedules.iter().filter(|schedule| schedule.occurrence.is_some()) {
        let path = event_path(link, &occurrence_id(cx, link, schedule).await?);
        if schedule.cancelled {
            cx.provider().delete(path).send().await.unless_gone()?;
        } else {
            // One that was cancelled takes place again.
            let mut event = times(schedule)?;
            event.insert("status".to_owned(), json!("confirmed"));
            cx.provider().patch(path).json(&event).send().await?;
        }
    }
    let mut event = serde_json::Map::new();
    if let Some(schedule) = changes.schedules.iter().find(|schedule| schedule.occurrence.is_none()) {
        event.extend(times(schedule)?);
        event.insert("recurrence".to_owned(), json!(schedule.recurrence));
    }
    event.extend(changes.title.as_ref().map(|title| ("summary".to_owned(), json!(title))));
    event.extend(changes.raw_status.as_ref().map(|status| ("status".to_owned(), json!(status))));
    if event.is_empty() {
        return Ok(());
    }
    cx.provider().patch(path).json(&event).send().await.map(drop)
}

/// The start and end of a schedule as Google writes them. What one of the two forms has is taken away by the other.
fn times(schedule: &Schedule) -> Result<serde_json::Map<String, serde_json::Value>> {
    let zone = schedule.time_zone.as_deref();
    let time = |when: When| match when {
        When::Day(day) => Ok(json!({ "date": day, "dateTime": null, "timeZone": null })),
        When::At(at) => Ok(json!({ "date": null, "dateTime": at, "timeZone": zone })),
        When::Floating(_) => Err(Error::rejected(
            "Google Calendar has no floating times: give the time zone in which the event takes place",
        )),
    };
    let end = match (schedule.start, schedule.end) {
        (_, Some(end)) => end,
        (When::Day(day), None) => When::Day(day.tomorrow().unwrap_or(day)),
        _ => return Err(Error::rejected("say when the event ends: Google Calendar keeps none without an end")),
    };
    let mut event = serde_json::Map::new();
    event.insert("start".to_owned(), time(schedule.start)?);
    event.insert("end".to_owned(), time(end)?);
    Ok(event)
}

/// Makes an event in the calendar that it was composed for; those who are invited hear of it.
pub(crate) async fn create(cx: &Context<Google>, draft: &LinkDraft) -> Result<NewLink> {
    let channel = draft.require_channel()?;
    let schedule = draft.schedules.first().ok_or_else(|| Error::rejected("say when the event takes place"))?;
    let mut event = times(schedule)?;
    event.insert("summary".to_owned(), json!(draft.title));
    if !schedule.recurrence.is_empty() {
        event.insert("recurrence".to_owned(), json!(schedule.recurrence));
    }
    if let Some(location) = &schedule.location {
        event.insert("location".to_owned(), json!(location));
    }
    if draft.status::<Event>() == Some(Event::Tentative) {
        event.insert("status".to_owned(), json!("tentative"));
    }
    if draft.content.as_ref().is_some_and(|content| !content.trim().is_empty()) {
        event.insert("description".to_owned(), json!(html_of(draft.content.as_deref().unwrap_or_default())));
    }
    let invited = draft.recipients.iter().map(|to| {
        let email = to.actor.email.as_deref().unwrap_or(&to.actor.id);
        json!({ "email": email, "optional": to.role == "optional" })
    });
    let invited: Vec<_> = invited.collect();
    if !invited.is_empty() {
        event.insert("attendees".to_owned(), json!(invited));
    }
    let path = format!("{}?sendUpdates=all", path(channel));
    let made: ApiEvent = cx.provider().post(path).json(&event).fetch().await?;
    let schedule = made.schedule().ok_or_else(|| Error::bug("Google made an event without a start"))?;
    Ok(made.link(channel, source(channel, &made.id)).schedules([schedule]))
}

/// Google's id of one occurrence: that of its schedule, or, where it has none of its own yet, the id that Google
/// tells by when it would begin.
async fn occurrence_id(cx: &Context<Google>, link: &Link, schedule: &Schedule) -> Result<String> {
    let Some(of) = schedule.occurrence.filter(|_| schedule.is_new()) else {
        return Ok(schedule.key.as_str().to_owned());
    };
    let original = match of {
        When::Day(day) => day.to_string(),
        When::At(at) => at.to_string(),
        When::Floating(_) => return Err(Error::rejected("Google Calendar has no floating times")),
    };
    let event = link.meta::<Event>()?.event;
    let path = format!("{}/{event}/instances", path(&link.channel));
    let request = cx.provider().get(path).query("originalStart", original).query("showDeleted", true);
    let page: Page<ApiEvent> = request.fetch().await?;
    let found = page.items.take(cx).into_iter().next();
    found.map(|event| event.id).ok_or_else(|| Error::rejected("the event does not take place then any more"))
}

/// Says whether the owner of the calendar comes: to all of an event, or to one occurrence.
pub(crate) async fn answer(
    cx: &Context<Google>,
    link: &Link,
    schedule: &Schedule,
    who: &Actor,
    attendance: Option<Attendance>,
) -> Result<()> {
    if cx.account().id.as_ref() != Some(&who.id) && own_id(&link.channel) != who.id {
        return Err(Error::rejected("in Google Calendar everyone answers for themselves"));
    }
    let status = match attendance {
        Some(Attendance::Attend) => "accepted",
        Some(Attendance::Skip) => "declined",
        Some(Attendance::Tentative) => "tentative",
        None => "needsAction",
    };
    // The answers of others are left out, and stay.
    let attendees = json!([{ "email": who.id, "responseStatus": status }]);
    let event = json!({ "attendeesOmitted": true, "attendees": attendees });
    let id = occurrence_id(cx, link, schedule).await?;
    cx.provider().patch(event_path(link, &id)).json(&event).send().await.map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiWatch {
    id: String,
    resource_id: String,
    expiration: Option<String>,
}

/// Ids that are tried for a watch.
const WATCHES: u8 = 8;

/// Makes Google push for a while: <https://developers.google.com/workspace/calendar/api/guides/push>.
///
/// Google takes an id once and lists no watches, so the ids of a day are known before: one that is taken belongs to a watch
/// of which the answer was lost. It is stopped as soon as there is another, which tells what it watches.
pub(crate) async fn watch(cx: &Context<Google>, channel: &ChannelId, endpoint: &Endpoint) -> Result<Registration> {
    let place: String = endpoint.url.rsplit('/').next().unwrap_or_default().chars().take(48).collect();
    let day = cx.now().as_second().div_euclid(24 * 60 * 60);
    let id = |number: u8| format!("{place}-{day}-{number}");
    let token = endpoint.secret.as_ref().map(Secret::expose);
    let watch = async |id: String| -> Result<ApiWatch> {
        let watch = json!({ "id": id, "type": "web_hook", "address": endpoint.url, "token": token });
        cx.provider().post(path(channel) + "/watch").json(&watch).fetch().await
    };
    let taken = |error: &Error| {
        let text = error.to_string();
        text.contains("channelIdNotUnique") || text.contains("not unique")
    };
    let mut number = 0;
    let watch = loop {
        match watch(id(number)).await {
            Err(error) if taken(&error) && number + 1 < WATCHES => number += 1,
            watch => break watch?,
        }
    };
    for lost in 0..number {
        stop_watch(cx, &id(lost), &watch.resource_id).await?;
    }
    let ends = watch.expiration.as_deref().and_then(|ends| Timestamp::from_millisecond(ends.parse().ok()?).ok());
    let registration = Registration::new(format!("{} {}", watch.id, watch.resource_id));
    Ok(ends.into_iter().fold(registration, Registration::expires_at))
}

pub(crate) async fn stop(cx: &Context<Google>, registration: &Registration) -> Result<()> {
    let (id, resource_id) = registration.id.split_once(' ').ok_or_else(|| Error::bug("no id of a watch"))?;
    stop_watch(cx, id, resource_id).await
}

async fn stop_watch(cx: &Context<Google>, id: &str, resource_id: &str) -> Result<()> {
    let watch = json!({ "id": id, "resourceId": resource_id });
    cx.provider().post("/calendar/v3/channels/stop").json(&watch).send().await.unless_gone().map(drop)
}
