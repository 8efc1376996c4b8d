use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use connector_core::engine::{FeedEntry, FeedKind};
use connector_core::id::ChannelId;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::extract::{Query, limit};
use super::problem::{Answer, Problem};
use crate::host::Host;

/// Longest that a request waits for a change, in seconds.
const MAX_WAIT: u64 = 60;

/// Changes that a stream reads at once.
const BATCH: usize = 200;

pub(super) fn routes() -> Router<Host> {
    Router::new().route("/changes", get(changes))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesQuery {
    /// The position after which to begin; 0 for all.
    after: Option<u64>,
    limit: Option<usize>,
    /// How long to wait for the first change, in seconds.
    wait: Option<u64>,
}

/// That a thing was saved or changed, with what it is now; null if it is gone.
#[derive(Serialize)]
struct Change {
    #[serde(flatten)]
    entry: FeedEntry,
    data: Value,
}

#[derive(Serialize)]
struct Changes {
    items: Vec<Change>,
    /// What `after` is to be for the changes that follow.
    next: u64,
}

/// The change feed in the order of commits: as JSON at once or when there is something, or as server-sent events.
async fn changes(State(host): State<Host>, headers: HeaderMap, Query(query): Query<ChangesQuery>) -> Answer<Response> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
        return Ok(events(host, last.or(query.after).unwrap_or_default()));
    }
    let limit = limit(query.limit)?;
    let wait = query.wait.unwrap_or_default();
    if wait > MAX_WAIT {
        return Err(Problem::field("wait", format!("a request waits for {MAX_WAIT} s at most")));
    }
    let after = query.after.unwrap_or_default();
    let waiting = next(&host, after, limit);
    let items = match tokio::time::timeout(Duration::from_secs(wait), waiting).await {
        Ok(items) => items?,
        // The time was up, or there was none: what is there already counts.
        Err(_) => read(&host, after, limit).await?,
    };
    let next = items.last().map_or(after, |change| change.entry.position);
    Ok(Json(Changes { items, next }).into_response())
}

/// The changes after a position, as soon as there are any; none if the host is about to stop.
async fn next(host: &Host, after: u64, limit: usize) -> Answer<Vec<Change>> {
    let (mut feed, mut stopping) = (host.runtime().feed_changes(), host.stopping());
    loop {
        // Whatever is added from here on rings.
        feed.mark_unchanged();
        let items = read(host, after, limit).await?;
        if !items.is_empty() || *stopping.borrow_and_update() {
            return Ok(items);
        }
        tokio::select! {
            changed = feed.changed() => if changed.is_err() { return Ok(Vec::new()) },
            changed = stopping.changed() => if changed.is_err() { return Ok(Vec::new()) },
        }
    }
}

async fn read(host: &Host, after: u64, limit: usize) -> Answer<Vec<Change>> {
    let entries = host.engine().feed(after, limit).await?;
    let mut items = Vec::with_capacity(entries.len());
    for entry in entries {
        let data = data(host, &entry).await?;
        items.push(Change { entry, data });
    }
    Ok(items)
}

/// What a thing is now.
async fn data(host: &Host, entry: &FeedEntry) -> Answer<Value> {
    let engine = host.engine();
    let shown = match entry.kind {
        FeedKind::Thread => Some(json!({"id": engine.current_thread(entry.id.parse()?).await?})),
        FeedKind::Link => engine.link(entry.id.parse()?).await?.map(|row| super::links::view(&row, &[])),
        FeedKind::Note => engine.note(entry.id.parse()?).await?.map(|row| super::notes::view(&row)),
        FeedKind::Connection => {
            let row = engine.connection(entry.id.parse()?).await?;
            row.map(|row| super::connections::view(host, &row))
        }
        FeedKind::Channel => match entry.connection {
            Some(connection) => {
                let row = engine.channel(connection, ChannelId::new(entry.id.clone())).await?;
                row.map(|row| super::channels::view(&row))
            }
            None => None,
        },
    };
    Ok(shown.unwrap_or_default())
}

fn events(host: Host, after: u64) -> Response {
    let batches = stream::unfold((host, after), |(host, after)| async move {
        // An error of the store, or the end of the host, ends the stream; a client comes back for more.
        let items = match next(&host, after, BATCH).await {
            Ok(items) if !items.is_empty() => items,
            Ok(_) | Err(_) => return None,
        };
        let after = items.last().map_or(after, |change| change.entry.position);
        Some((stream::iter(items), (host, after)))
    });
    let events = futures_util::StreamExt::flatten(batches);
    let events = futures_util::StreamExt::filter_map(events, |change| async move {
        let event = Event::default().id(change.entry.position.to_string()).event(change.entry.kind.as_str());
        event.json_data(&change).ok().map(Ok::<_, Infallible>)
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
