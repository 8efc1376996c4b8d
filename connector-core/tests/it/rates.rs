//! One limiter for each quota of a provider account (L11), in virtual time.

use std::sync::{Arc, Mutex};

use connector_core::id::ConnectionId;
use connector_core::network::Request;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::ChannelUpdate;
use connector_core::testing::{FakeService, TestHost, VirtualClock};

use crate::fixture::{Lab, Ticket, TicketMeta, ada, at, grace, handler, lab_for, on, source};

/// A service that takes `limit` requests in each window, and bans who does not stop.
struct Service {
    limit: u64,
    window: i64,
    /// It says what is left, in place of only refusing.
    says: bool,
    clock: Option<VirtualClock>,
    /// Requests that were taken, by window.
    taken: Vec<u64>,
    refused: u64,
    /// Refusals since the last request that was taken.
    in_a_row: u64,
    /// When the changes of users came.
    changes: Vec<Timestamp>,
}

type Shared = Arc<Mutex<Service>>;

impl Service {
    fn new(limit: u64, window: i64, says: bool) -> Shared {
        let clock = None;
        Arc::new(Mutex::new(Self {
            limit,
            window,
            says,
            clock,
            taken: Vec::new(),
            refused: 0,
            in_a_row: 0,
            changes: Vec::new(),
        }))
    }

    fn answer(&mut self, request: &Request) -> connector_core::network::Response {
        assert!(self.in_a_row < 100, "the account is banned: it does not stop");
        let now = self.clock.as_ref().map_or(at(0), VirtualClock::now);
        let since = now.duration_since(at(0)).as_secs();
        let window = usize::try_from(since / self.window).unwrap();
        self.taken.resize(self.taken.len().max(window + 1), 0);
        let left = self.window - since % self.window;
        let remaining = self.limit - self.taken[window];
        let status = if remaining == 0 { 429 } else { 200 };
        if remaining == 0 {
            self.refused += 1;
            self.in_a_row += 1;
        } else {
            self.taken[window] += 1;
            self.in_a_row = 0;
            if request.method == "POST" {
                self.changes.push(now);
            }
        }
        let (limit, rest, left) = (self.limit.to_string(), remaining.saturating_sub(1).to_string(), left.to_string());
        let mut headers = Vec::new();
        if status == 429 {
            headers.push(("retry-after", left.as_str()));
        }
        if self.says {
            let said = [("x-ratelimit-limit", &limit), ("x-ratelimit-remaining", &rest), ("x-ratelimit-reset", &left)];
            headers.extend(said.map(|(name, value)| (name, value.as_str())));
        }
        FakeService::answer_with(status, &headers, "{}")
    }
}

/// Connections of many users with one account, each with a channel whose backfill never ends.
async fn backfills(service: &Shared, count: usize) -> (TestHost, Vec<ConnectionId>) {
    let answering = Arc::clone(service);
    let host = TestHost::with_network(
        Registry::of::<Lab>().unwrap(),
        FakeService::new(move |request| answering.lock().unwrap().answer(request)),
    );
    service.lock().unwrap().clock = Some(host.clock().clone());
    on(|handlers| {
        handlers.identity = Some(handler(|_, ()| async move { Ok(Some(ada())) }));
        handlers.items = Some(handler(|cx: Context<Lab>, (channel, page): (ChannelId, Option<u64>)| async move {
            let page = page.unwrap_or(0);
            cx.provider().get("items").query("page", page).send().await?;
            if page == 0 {
                let number = u64::try_from(cx.connection().number()).unwrap();
                let item = Ticket::Open.with(TicketMeta { number });
                cx.integrations().save_link(NewLink::new(item, source(number), &channel, grace(), at(0))).await?;
            }
            Ok(Step::Next(page + 1))
        }));
        handlers.note_created = Some(handler(|cx: Context<Lab>, (note, _): (Note, Thread)| async move {
            cx.provider().post("notes").send().await?;
            Ok(WriteBack::delivered(note.id.to_string()))
        }));
    });
    let mut connections = Vec::new();
    for number in 0..count {
        let id = host.runtime().connect(lab_for(&format!("user{number}"))).await.unwrap().id;
        host.runtime().enable_channel(id, &"one".into(), ChannelUpdate::default()).await.unwrap();
        connections.push(id);
    }
    (host, connections)
}

/// What users wait for their changes, at the 95th percentile, while the backfills run in these windows.
async fn simulate(service: &Shared, connections: usize, windows: std::ops::Range<i64>, every: i64) -> SignedDuration {
    let (host, _) = backfills(service, connections).await;
    let window = service.lock().unwrap().window;
    host.advance(SignedDuration::from_secs(windows.start * window)).await;
    let mut waits = Vec::new();
    let mut number = 0_usize;
    while host.clock().now() < at(windows.end * window) {
        host.advance(SignedDuration::from_secs(every)).await;
        let links =
            host.runtime().ports().engine.links(connector_core::engine::LinkQuery::all(connections)).await.unwrap();
        number += 7;
        let row = &links[number % links.len()];
        let owner = host.runtime().connection(row.connection).await.unwrap().owner.clone();
        let written = host.clock().now();
        let before = service.lock().unwrap().changes.len();
        let note = connector_core::runtime::NewUserNote {
            user: owner,
            content: "Hello".to_owned(),
            link: Some(row.id()),
            recipients: Vec::new(),
            attachments: Vec::new(),
        };
        host.runtime().create_note(row.link.thread, note).await.unwrap();
        host.settle().await;
        while service.lock().unwrap().changes.len() == before {
            host.advance(SignedDuration::from_secs(1)).await;
        }
        waits.push(service.lock().unwrap().changes[before].duration_since(written));
    }
    waits.sort();
    waits[waits.len() * 95 / 100]
}

fn share_used(service: &Service, windows: std::ops::Range<usize>) -> f64 {
    let count = windows.len() as u64;
    service.taken[windows].iter().sum::<u64>() as f64 / (service.limit * count) as f64
}

/// L11: a thousand connections on one quota that the service tells of: nothing is refused, nearly all of
/// it is used, and users do not wait for the backfill.
#[tokio::test]
async fn a_thousand_connections_share_a_quota() {
    let service = Service::new(1_500, 1_800, true);
    let waited = simulate(&service, 1_000, 0..2, 25).await;
    let service = service.lock().unwrap();
    assert_eq!(service.refused, 0, "of {:?}", service.taken);
    let used = share_used(&service, 0..2);
    assert!(used >= 0.95, "{used} of the quota was used: {:?}", service.taken);
    assert!(waited < SignedDuration::from_secs(2), "users waited {waited:#}");
}

/// L11: the same where the service only refuses: the quota is learned from that.
#[tokio::test]
async fn a_quota_is_learned_from_refusals() {
    let service = Service::new(300, 300, false);
    let waited = simulate(&service, 200, 3..12, 17).await;
    let service = service.lock().unwrap();
    let used = share_used(&service, 3..12);
    assert!(used >= 0.95, "{used} of the quota was used: {:?}", service.taken);
    assert!(service.refused <= 15, "{} were refused", service.refused);
    assert!(waited < SignedDuration::from_secs(2), "users waited {waited:#}");
}
