//! `agenda` and `event`.

use connector_core::calendar::time_zone;
use connector_core::model::When;
use http::Method;
use jiff::civil::{Date, DateTime};
use serde_json::{Map, Value, json};

use super::args::{Agenda, EventCommand, MoveEvent, NewEvent, Times};
use super::client::Client;
use super::output::{Output, at, each, field, table};
use super::threads::arrive;
use super::{CliError, Done};

pub(super) async fn agenda(client: &Client, agenda: &Agenda, output: Output) -> Done {
    let given = [("user", &agenda.user), ("connection", &agenda.connection), ("zone", &agenda.zone)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let query: Vec<_> = [("from", agenda.from.as_str()), ("to", agenda.to.as_str())].into_iter().chain(given).collect();
    let limit = agenda.limit.to_string();
    let page: Vec<_> = query.iter().copied().chain([("limit", limit.as_str())]).collect();
    let page = client.get(&["agenda"], &page).await?;
    output.print(&page, |page| {
        let rows: Vec<_> = each(page, "/items").map(row).collect();
        let mut shown = if rows.is_empty() {
            "Nothing takes place in that time".to_owned()
        } else {
            table(&["BEGINS", "ENDS", "LINK", "TITLE", "PLACE"], &rows)
        };
        if !field(page, "/next").is_empty() {
            shown.push_str("\nThere is more: ask for a shorter time, or for more with --limit");
        }
        for left_out in each(page, "/left_out") {
            shown.push_str(&format!("\nNot shown of {}: {}", field(left_out, "/link"), field(left_out, "/reason")));
        }
        shown
    })
}

/// A day is shown as one.
fn row(item: &Value) -> Vec<String> {
    let shown = |when: &str, local: &str| match field(item, &format!("{when}/day")) {
        day if day.is_empty() => field(item, local),
        day => day,
    };
    let ends = shown("/end", "/ends");
    vec![shown("/start", "/begins"), ends, field(item, "/link"), field(item, "/title"), field(item, "/location")]
}

pub(super) async fn event(client: &Client, command: EventCommand, output: Output) -> Done {
    match command {
        EventCommand::New(new) => make(client, new, output).await,
        EventCommand::Move(change) => reschedule(client, change, output).await,
        EventCommand::Cancel { link, occurrence, user, no_wait } => {
            let change = json!({ "occurrence": when("occurrence", &occurrence, None)?, "cancelled": true });
            patch(client, &link, &user, change, !no_wait, output).await
        }
        EventCommand::Answer { schedule, contact, answer, occurrence, user } => {
            let status = if answer == "none" { Value::Null } else { json!(answer) };
            let occurrence = occurrence.map(|at| when("occurrence", &at, None)).transpose()?;
            let body = json!({ "user": user, "status": status, "occurrence": occurrence });
            let path = ["schedules", &schedule, "contacts", &contact];
            let answered = client.request(Method::PUT, &path, &[], Some(body)).await?;
            let link = client.get(&["links", &field(&answered, "/link")], &[]).await?;
            arrive(client, "links", link, true, output, &user).await
        }
    }
}

async fn make(client: &Client, new: NewEvent, output: Output) -> Done {
    let mut schedule = times(&new.times)?;
    schedule.insert("recurrence".to_owned(), json!(new.recurrence));
    schedule.insert("location".to_owned(), json!(new.location));
    let body = json!({
        "user": new.user, "connection": new.connection, "channel": new.channel, "type": new.link_type,
        "title": new.title, "content": new.text, "invite_emails": new.invite, "schedules": [schedule],
    });
    let thread = client.post(&["threads"], body).await?;
    arrive(client, "links", at(&thread, "/links/0").clone(), !new.no_wait, output, &new.user).await
}

async fn reschedule(client: &Client, change: MoveEvent, output: Output) -> Done {
    let mut schedule = times(&change.times)?;
    if let Some(occurrence) = &change.occurrence {
        schedule.insert("occurrence".to_owned(), json!(when("occurrence", occurrence, None)?));
    }
    patch(client, &change.link, &change.user, Value::Object(schedule), !change.no_wait, output).await
}

async fn patch(client: &Client, link: &str, user: &str, change: Value, wait: bool, output: Output) -> Done {
    let body = json!({ "user": user, "schedules": [change] });
    let link = client.request(Method::PATCH, &["links", link], &[], Some(body)).await?;
    arrive(client, "links", link, wait, output, user).await
}

fn times(times: &Times) -> Result<Map<String, Value>, CliError> {
    let zone = times.zone.as_deref();
    let mut schedule = Map::new();
    schedule.insert("start".to_owned(), json!(when("start", &times.start, zone)?));
    if let Some(end) = &times.end {
        schedule.insert("end".to_owned(), json!(when("end", end, zone)?));
    }
    schedule.extend(zone.map(|zone| ("time_zone".to_owned(), json!(zone))));
    Ok(schedule)
}

/// A day, an instant, or a time: one of the zone if there is one, else a floating time.
fn when(name: &str, text: &str, zone: Option<&str>) -> Result<When, CliError> {
    let wrong = || {
        CliError::Usage(format!(
            "`{text}` is no {name}: give a day `2026-01-31`, an instant `2026-01-31T08:00:00Z`, or a time \
             `2026-01-31T09:00`"
        ))
    };
    if text.len() == 10 {
        return text.parse::<Date>().map(When::Day).map_err(|_| wrong());
    }
    if let Ok(at) = text.parse() {
        return Ok(When::At(at));
    }
    let local: DateTime = text.parse().map_err(|_| wrong())?;
    let Some(zone) = zone else { return Ok(When::Floating(local)) };
    let zone = time_zone(zone).map_err(|error| CliError::Usage(error.to_string()))?;
    zone.to_ambiguous_timestamp(local).compatible().map(When::At).map_err(|_| wrong())
}
