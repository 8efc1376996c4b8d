//! What takes place between two times: occurrences of the events of a user's connections.

use std::collections::{BTreeMap, BTreeSet};

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use connector_core::calendar::{Series, instant, time_zone};
use connector_core::engine::{LinkQuery, LinkRow};
use connector_core::id::{ChannelId, ConnectionId, LinkId, LinkTypeId, StatusId, ThreadId, UserId};
use connector_core::model::{Attendee, Schedule, When};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::extract::{Query, limit};
use super::openapi::op;
use super::problem::{Answer, Problem};
use super::threads::listed;
use crate::host::Host;

/// Longest time that is expanded.
const MAX_SPAN: SignedDuration = SignedDuration::from_hours(24 * 366);

/// Links with schedules that are looked at for one answer.
const MAX_LINKS: usize = 20_000;

/// Occurrences that one answer is chosen from.
const MAX_OCCURRENCES: usize = 100_000;

/// Links that are read at once.
const BATCH: usize = 500;

pub(super) fn routes() -> ApiRouter<Host> {
    ApiRouter::new().api_route(
        "/agenda",
        get_with(show, op("getAgenda", "What takes place between two times, in order", &[404, 409])),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AgendaQuery {
    /// As this user sees it.
    user: Option<UserId>,
    connection: Option<ConnectionId>,
    /// A time with an offset, or a day, which begins in the zone.
    from: String,
    /// A time or a day, at most 366 days after `from`. What begins then is not in the answer.
    to: String,
    /// The user's time zone, in which days and floating times are taken. UTC if it is left out.
    zone: Option<String>,
    after: Option<String>,
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
}

/// A page of an agenda.
#[derive(Serialize, JsonSchema)]
struct AgendaPage {
    items: Vec<AgendaItem>,
    /// Give it as `after` for the page that follows; null on the last.
    next: Option<String>,
    /// What could not be expanded, and why: the rest of those events is in the list.
    left_out: Vec<LeftOut>,
}

/// One time at which an event takes place.
#[derive(Serialize, JsonSchema)]
struct AgendaItem {
    /// Begins.
    start: When,
    /// Ends; for days, the first day after it.
    end: Option<When>,
    /// The start in the user's zone.
    begins: String,
    /// The end in the user's zone.
    ends: Option<String>,
    /// Which occurrence of its series it is: when it would begin by the series. Changes and answers name it so.
    occurrence: Option<When>,
    /// Id of the schedule that says it: that of the occurrence, if it has one of its own.
    schedule: String,
    link: LinkId,
    thread: ThreadId,
    connection: ConnectionId,
    channel: ChannelId,
    #[serde(rename = "type")]
    link_type: LinkTypeId,
    status: Option<StatusId>,
    /// Title of the occurrence, or else of the event.
    title: Option<String>,
    /// Place of the occurrence, or else of the event.
    location: Option<String>,
    /// Who attends, with their answers.
    attendees: Vec<Attendee>,
}

/// A part of an event that is not in an agenda.
#[derive(Serialize, JsonSchema)]
struct LeftOut {
    link: LinkId,
    reason: String,
}

/// The place of an item in the order of an agenda.
type Position = (Timestamp, LinkId, When);

fn position((at, link, of): &Position) -> String {
    let of = match of {
        When::Day(day) => day.to_string(),
        When::At(at) => at.to_string(),
        When::Floating(at) => at.to_string(),
    };
    format!("{at}~{link}~{of}")
}

fn read_position(text: &str) -> Option<Position> {
    let mut parts = text.split('~');
    let (at, link, of) = (parts.next()?, parts.next()?, parts.next()?);
    let when = if of.len() == 10 {
        When::Day(of.parse().ok()?)
    } else if of.ends_with('Z') {
        When::At(of.parse().ok()?)
    } else {
        When::Floating(of.parse().ok()?)
    };
    Some((at.parse().ok()?, link.parse().ok()?, when))
}

/// A time, or the beginning of a day.
fn time(field: &str, text: &str, zone: &TimeZone) -> Answer<Timestamp> {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let found = match day {
        Some(day) => Some(instant(When::Day(day), zone)),
        None => text.parse().ok(),
    };
    found.ok_or_else(|| {
        Problem::field(field, "give a time such as `2026-01-31T08:00:00Z`, or a day such as `2026-01-31`")
    })
}

async fn show(State(host): State<Host>, caller: Caller, Query(asked): Query<AgendaQuery>) -> Answer<Json<AgendaPage>> {
    let limit = limit(asked.limit)?;
    let zone = asked.zone.as_deref().map(time_zone).transpose();
    let zone = zone.map_err(|error| Problem::field("zone", error.to_string()))?.unwrap_or(TimeZone::UTC);
    let (from, to) = (time("from", &asked.from, &zone)?, time("to", &asked.to, &zone)?);
    if to <= from || to.duration_since(from) > MAX_SPAN {
        return Err(Problem::field("to", "give a time after `from`, and at most 366 days later"));
    }
    let after = asked
        .after
        .as_deref()
        .map(|text| read_position(text).ok_or_else(|| Problem::field("after", "take `next` of the page before")));
    let after = after.transpose()?;
    let user = caller.view_of(asked.user)?;
    let connections = listed(&host, &caller, user.as_ref(), asked.connection).await?;
    let (mut found, mut left_out) = (BTreeMap::new(), Vec::new());
    for row in scheduled(&host, connections).await? {
        let series: Series = row.link.schedules.iter().cloned().collect();
        let agenda = match series.agenda(from, to, &zone) {
            Ok(agenda) => agenda,
            Err(error) => {
                left_out.push(LeftOut { link: row.id(), reason: error.to_string() });
                continue;
            }
        };
        let refused = agenda.refused.iter();
        left_out.extend(refused.map(|error| LeftOut { link: row.id(), reason: error.to_string() }));
        for occurrence in agenda.occurrences {
            let place = (instant(occurrence.start, &zone), row.id(), occurrence.of);
            if after.as_ref().is_some_and(|after| place <= *after) {
                continue;
            }
            found.insert(place, item(&row, occurrence, &zone));
            if found.len() > MAX_OCCURRENCES {
                let problem = "more takes place in that time than an agenda holds: ask for a shorter time";
                return Err(Problem::field("to", problem));
            }
        }
    }
    let more = found.len() > limit;
    let page: Vec<_> = found.into_iter().take(limit).collect();
    let next = page.last().filter(|_| more).map(|(place, _)| position(place));
    let items = page.into_iter().map(|(_, item)| item).collect();
    Ok(Json(AgendaPage { items, next, left_out }))
}

/// Links with schedules, each once, of the types that have some.
async fn scheduled(host: &Host, connections: Option<Vec<ConnectionId>>) -> Answer<Vec<LinkRow>> {
    let mut types: Vec<&str> = Vec::new();
    for connector in host.runtime().registry().iter() {
        let declared = connector.declaration.link_types.iter().filter(|declared| declared.schedules);
        types.extend(declared.map(|declared| declared.id));
    }
    types.sort_unstable();
    types.dedup();
    let mut rows = Vec::new();
    for link_type in types {
        let mut query = LinkQuery::all(BATCH);
        query.connections.clone_from(&connections);
        query.link_type = Some(link_type.to_owned());
        loop {
            let page = host.engine().links(query.clone()).await?;
            let is_last = page.len() < BATCH;
            query.after = page.last().map(|row| (row.link.updated_at, row.id()));
            rows.extend(page.into_iter().filter(|row| !row.link.schedules.is_empty()));
            if rows.len() > MAX_LINKS {
                return Err(Problem::field("connection", "there are too many events: ask for one connection"));
            }
            if is_last {
                break;
            }
        }
    }
    // Several connections of a user may see the same event.
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.link.source.clone()));
    Ok(rows)
}

fn item(row: &LinkRow, occurrence: connector_core::calendar::Occurrence, zone: &TimeZone) -> AgendaItem {
    let link = &row.link;
    let own = link.schedules.iter().find(|schedule| schedule.key == occurrence.schedule);
    let master = link.schedules.iter().find(|schedule| schedule.occurrence.is_none());
    let of_own = |field: fn(&Schedule) -> Option<String>| own.and_then(field).or_else(|| master.and_then(field));
    let local = |when: When| {
        let at = instant(when, zone);
        at.display_with_offset(zone.to_offset(at)).to_string()
    };
    let recurs = master.is_none_or(|master| !master.recurrence.is_empty());
    AgendaItem {
        start: occurrence.start,
        end: occurrence.end,
        begins: local(occurrence.start),
        ends: occurrence.end.map(local),
        occurrence: recurs.then_some(occurrence.of),
        schedule: format!("{}:{}", row.id(), occurrence.schedule),
        link: row.id(),
        thread: link.thread,
        connection: row.connection,
        channel: link.channel.clone(),
        link_type: link.link_type.clone(),
        status: link.status.clone(),
        title: of_own(|schedule| schedule.title.clone()).or_else(|| link.title.clone()),
        location: of_own(|schedule| schedule.location.clone()),
        attendees: own.map(|schedule| schedule.attendees.clone()).unwrap_or_default(),
    }
}
