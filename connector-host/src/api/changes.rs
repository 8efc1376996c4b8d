use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use connector_core::engine::{FeedEntry, FeedKind, LinkQuery};
use connector_core::id::{ChannelId, ConnectionId, ThreadId};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, connections_of};
use super::channels::ChannelView;
use super::connections::ConnectionView;
use super::extract::{Query, limit};
use super::links::LinkView;
use super::notes::NoteView;
use super::openapi::{answers, answers_json, op};
use super::problem::{Answer, Problem};
use crate::host::Host;

/// Longest that a request waits for a change, in seconds.
const MAX_WAIT: u64 = 60;

/// Changes that a stream reads at once.
const BATCH: usize = 200;

/// Entries that are looked at, at most, for changes that a session may see, before the position is told.
const MAX_SCAN: usize = 20_000;

pub(super) fn routes() -> ApiRouter<Host> {
    let documented =
        op("listChanges", "The change feed: everything that was saved or changed, in the order of commits", &[410]);
    ApiRouter::new().api_route(
        "/changes",
        get_with(changes, |operation| {
            let what = "The changes after a position; as server-sent events if the request accepts them. \
                        There may be none, and `next` still moves on.";
            let operation = answers_json::<Changes>(documented(operation), 200, what);
            answers(operation, 200, &["text/event-stream"], what)
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangesQuery {
    /// The position after which to begin; 0 for all.
    after: Option<u64>,
    #[schemars(range(min = 1, max = 1_000))]
    limit: Option<usize>,
    /// How long to wait for the first change, in seconds.
    #[schemars(range(max = 60))]
    wait: Option<u64>,
}

/// That a thing was saved or changed, with what it is now; null if it is gone.
#[derive(Serialize, JsonSchema)]
pub(super) struct Change {
    #[serde(flatten)]
    pub(super) entry: FeedEntry,
    data: Option<Changed>,
    /// All of it as JSON, once that is needed.
    #[serde(skip)]
    json: OnceLock<String>,
}

impl Change {
    pub(super) fn new(entry: FeedEntry, data: Option<Changed>) -> Self {
        Self { entry, data, json: OnceLock::new() }
    }

    /// The change as JSON, as it is sent as an event. Rows of the store can always be written.
    pub(super) fn json(&self) -> &str {
        self.json.get_or_init(|| serde_json::to_string(self).unwrap_or_default())
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Changed {
    Link(Box<LinkView>),
    Note(Box<NoteView>),
    Connection(Box<ConnectionView>),
    Channel(Box<ChannelView>),
    Thread {
        /// What it is called now: another if it was merged into that one.
        id: ThreadId,
    },
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Changes {
    pub(super) items: Vec<Arc<Change>>,
    /// What `after` is to be for the changes that follow.
    pub(super) next: u64,
}

/// Whether a request is for changes that are to come, and so holds its connection for as long as there are none.
pub(super) fn is_waiting(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let waits =
        |query: &str| url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "wait" && value != "0");
    route.ends_with("/changes") && (wants_events(request.headers()) || request.uri().query().is_some_and(waits))
}

/// Whether the changes are to be sent as server-sent events.
fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepts.contains("text/event-stream")
}

/// As JSON at once or when there is something, or as server-sent events.
async fn changes(
    State(host): State<Host>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ChangesQuery>,
) -> Answer<Response> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    if wants_events(&headers) {
        let after = last.or(query.after).unwrap_or_default();
        still_there(&host, after).await?;
        return Ok(events(host, caller, after));
    }
    let limit = limit(query.limit)?;
    let wait = query.wait.unwrap_or_default();
    if wait > MAX_WAIT {
        return Err(Problem::field("wait", format!("a request waits for {MAX_WAIT} s at most")));
    }
    let after = query.after.unwrap_or_default();
    still_there(&host, after).await?;
    let waiting = next(&host, &caller, after, limit);
    let found = match tokio::time::timeout(Duration::from_secs(wait), waiting).await {
        Ok(found) => found?,
        // The time was up, or there was none: what is there already counts.
        Err(_) => read(&host, &caller, after, limit).await?,
    };
    Ok(Json(found).into_response())
}

/// A position whose next changes went away would miss them in silence.
async fn still_there(host: &Host, after: u64) -> Answer<()> {
    let start = host.engine().feed_start().await?;
    if after == 0 || after >= start.saturating_sub(1) {
        return Ok(());
    }
    let end = host.engine().feed_end().await?;
    let detail = format!(
        "the changes after {after} are no longer kept: read what there is anew, and go on with the changes after {end}"
    );
    Err(Problem::new(StatusCode::GONE, "position-gone", detail))
}

/// The changes after a position, as soon as there are any; none if the host is about to stop.
async fn next(host: &Host, caller: &Caller, mut after: u64, limit: usize) -> Answer<Changes> {
    let (mut feed, mut stopping) = (host.runtime().feed_changes(), host.stopping());
    loop {
        // Whatever is added from here on rings.
        feed.mark_unchanged();
        let found = match host.recent().after(host, caller, after, limit).await? {
            Some(found) => found,
            None => read(host, caller, after, limit).await?,
        };
        if !found.items.is_empty() || *stopping.borrow_and_update() {
            return Ok(found);
        }
        let moved = found.next != after;
        after = found.next;
        if moved {
            continue;
        }
        tokio::select! {
            changed = feed.changed() => if changed.is_err() { return Ok(found) },
            changed = stopping.changed() => if changed.is_err() { return Ok(found) },
        }
    }
}

/// The changes after a position that the caller may see.
async fn read(host: &Host, caller: &Caller, after: u64, limit: usize) -> Answer<Changes> {
    let mut found = Changes { items: Vec::new(), next: after };
    let mut view = View { caller, owned: HashMap::new(), connections: None };
    let mut scanned = 0;
    while found.items.is_empty() && scanned < MAX_SCAN {
        let entries = host.engine().feed(found.next, limit).await?;
        let Some(last) = entries.last() else { break };
        found.next = last.position;
        scanned += entries.len();
        for entry in entries {
            if view.sees(host, &entry).await? {
                let data = data(host, &entry).await?;
                found.items.push(Arc::new(Change::new(entry, data)));
            }
        }
    }
    Ok(found)
}

/// What a caller may see of the feed.
struct View<'a> {
    caller: &'a Caller,
    owned: HashMap<ConnectionId, bool>,
    /// Those of the session's user, once they are needed.
    connections: Option<Vec<ConnectionId>>,
}

impl View<'_> {
    async fn sees(&mut self, host: &Host, entry: &FeedEntry) -> Answer<bool> {
        let Some(user) = self.caller.user() else { return Ok(true) };
        if let Some(connection) = entry.connection {
            if let Some(owned) = self.owned.get(&connection) {
                return Ok(*owned);
            }
            let owned = self.caller.sees(host, connection).await?;
            self.owned.insert(connection, owned);
            return Ok(owned);
        }
        let connections = match &self.connections {
            Some(connections) => connections.clone(),
            None => {
                let connections = connections_of(host, Some(user)).await?.unwrap_or_default();
                self.connections.insert(connections).clone()
            }
        };
        let mut query = LinkQuery::all(1);
        query.thread = Some(host.engine().current_thread(entry.id.parse()?).await?);
        query.connections = Some(connections);
        query.archived = true;
        Ok(!host.engine().links(query).await?.is_empty())
    }
}

/// What a thing is now.
pub(super) async fn data(host: &Host, entry: &FeedEntry) -> Answer<Option<Changed>> {
    let engine = host.engine();
    Ok(match entry.kind {
        FeedKind::Thread => Some(Changed::Thread { id: engine.current_thread(entry.id.parse()?).await? }),
        FeedKind::Link => {
            let row = engine.link(entry.id.parse()?).await?;
            row.map(|row| Changed::Link(Box::new(LinkView::new(row, Vec::new()))))
        }
        FeedKind::Note => engine.note(entry.id.parse()?).await?.map(|row| Changed::Note(Box::new(row.into()))),
        FeedKind::Connection => {
            let row = engine.connection(entry.id.parse()?).await?;
            row.map(|row| Changed::Connection(Box::new(ConnectionView::new(host, &row))))
        }
        FeedKind::Channel => match entry.connection {
            Some(connection) => {
                let row = engine.channel(connection, ChannelId::new(entry.id.clone())).await?;
                row.map(|row| Changed::Channel(Box::new(row.into())))
            }
            None => None,
        },
        // Nothing is left to be shown.
        FeedKind::Revoked | FeedKind::NotRevoked => None,
    })
}

fn events(host: Host, caller: Caller, after: u64) -> Response {
    let batches = stream::unfold((host, caller, after), |(host, caller, after)| async move {
        // An error of the store, or the end of the host, ends the stream; a client comes back for more.
        let found = match next(&host, &caller, after, BATCH).await {
            Ok(found) if !found.items.is_empty() => found,
            Ok(_) | Err(_) => return None,
        };
        Some((stream::iter(found.items), (host, caller, found.next)))
    });
    let events = futures_util::StreamExt::flatten(batches);
    let events = futures_util::StreamExt::map(events, |change| {
        let event = Event::default().id(change.entry.position.to_string()).event(change.entry.kind.as_str());
        Ok::<_, Infallible>(event.data(change.json()))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
