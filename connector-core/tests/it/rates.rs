//! One limiter for each quota of a provider account (L11), in virtual time.

use std::sync::{Arc, Mutex};

use connector_core::id::ConnectionId;
use connector_core::network::Request;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::ChannelUpdate;
use connector_core::testing::{FakeService, TestHost, VirtualClock};

use crate::fixture::{Lab, Ticket, TicketMeta, act, ada, at, grace, handler, lab_for, on, source};

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

/// A service that takes so many requests of one kind in each window, and of the others all.
struct Limits {
    reads: Option<(u64, i64)>,
    writes: Option<(u64, i64)>,
    clock: Option<VirtualClock>,
    taken: Vec<(Timestamp, String)>,
    refused: Vec<(Timestamp, String)>,
}

type Limited = Arc<Mutex<Limits>>;

impl Limits {
    fn answer(&mut self, request: &Request) -> connector_core::network::Response {
        let now = self.clock.as_ref().map_or(at(0), VirtualClock::now);
        let reads = request.method == "GET";
        let asked = format!("{} {}", request.method, request.url.path());
        if let Some((limit, length)) = if reads { self.reads } else { self.writes } {
            let window = |at_: Timestamp| at_.duration_since(at(0)).as_secs() / length;
            let same =
                |(then, what): &&(Timestamp, String)| what.starts_with("GET") == reads && window(*then) == window(now);
            if self.taken.iter().filter(same).count() as u64 >= limit {
                self.refused.push((now, asked));
                let left = (length - now.duration_since(at(0)).as_secs() % length).to_string();
                return FakeService::answer_with(429, &[("retry-after", left.as_str())], "{}");
            }
        }
        self.taken.push((now, asked));
        FakeService::answer(200, "{}")
    }

    fn count(&self, method: &str) -> (usize, usize) {
        let count = |list: &[(Timestamp, String)]| list.iter().filter(|(_, what)| what.starts_with(method)).count();
        (count(&self.taken), count(&self.refused))
    }
}

/// A connection to a service with these limits, whose channel `one` is not enabled yet.
async fn limited(reads: Option<(u64, i64)>, writes: Option<(u64, i64)>) -> (TestHost, ConnectionId, Limited) {
    let (taken, refused) = (Vec::new(), Vec::new());
    let limits = Arc::new(Mutex::new(Limits { reads, writes, clock: None, taken, refused }));
    let answering = Arc::clone(&limits);
    let service = FakeService::new(move |request| answering.lock().unwrap().answer(request));
    let host = TestHost::with_network(Registry::of::<Lab>().unwrap(), service);
    limits.lock().unwrap().clock = Some(host.clock().clone());
    on(|handlers| handlers.identity = Some(handler(|_, ()| async move { Ok(Some(ada())) })));
    let id = host.runtime().connect(lab_for("ada")).await.unwrap().id;
    (host, id, limits)
}

/// A walk of one step of 60 requests, each for another item; `varies` adds the present time to each.
fn sixty_requests(varies: bool) {
    on(move |handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, (_, page): (ChannelId, Option<u64>)| async move {
            for number in 0..60 {
                let request = cx.provider().get(format!("items/{number}"));
                let request = if varies { request.query("now", cx.now()) } else { request };
                request.send().await?;
            }
            Ok(Step::Done(page.unwrap_or(0) + 1))
        }));
    });
}

/// How long the channel takes until it is synced; none if it is not within a day.
async fn synced_after(host: &TestHost, id: ConnectionId) -> Option<SignedDuration> {
    host.runtime().enable_channel(id, &"one".into(), ChannelUpdate::default()).await.unwrap();
    let began = host.clock().now();
    host.settle().await;
    for _ in 0..24 * 60 * 6 {
        let channels = host.runtime().ports().engine.channels(id).await.unwrap();
        let synced = channels.iter().any(|row| row.sync.state == connector_core::engine::SyncState::Synced);
        if synced {
            return Some(host.clock().now().duration_since(began));
        }
        host.advance(SignedDuration::from_secs(10)).await;
    }
    None
}

/// L36, R10.11: what is learned from refused sends slows no read: a step of 60 reads asks 60 times, and at once.
#[tokio::test]
async fn refused_writes_never_slow_reads() {
    let (host, id, limits) = limited(None, Some((2, 30))).await;
    act("write", |cx| async move { cx.provider().post("send").send().await.map(drop) });
    for _ in 0..12 {
        host.runtime().queue(id, crate::fixture::Act { name: "write".to_owned() }).await.unwrap();
    }
    host.settle().await;
    host.advance(SignedDuration::from_secs(65)).await;
    assert!(limits.lock().unwrap().count("POST").1 >= 2, "the quota of the writes is learned");
    sixty_requests(false);
    let took = synced_after(&host, id).await.expect("it ends");
    assert_eq!(limits.lock().unwrap().count("GET"), (60, 0));
    assert!(took < SignedDuration::from_secs(1), "{took:#}");
}

/// L36: a step that a quota puts off goes on where it was: 60 requests are taken once each, and few are refused.
#[tokio::test]
async fn a_step_that_is_put_off_goes_on_where_it_was() {
    let (host, id, limits) = limited(Some((20, 100)), None).await;
    sixty_requests(false);
    let took = synced_after(&host, id).await.expect("it ends");
    let (taken, refused) = limits.lock().unwrap().count("GET");
    assert_eq!(taken, 60);
    assert!(refused <= 6, "{refused} were refused");
    assert!(took <= SignedDuration::from_secs(400), "{took:#}");
}

/// L36: a step whose requests differ in each attempt ends as well, with at most three attempts' requests.
#[tokio::test]
async fn a_step_whose_requests_always_differ_ends() {
    let (host, id, limits) = limited(Some((20, 90)), None).await;
    sixty_requests(true);
    let took = synced_after(&host, id).await.expect("it ends");
    let (taken, refused) = limits.lock().unwrap().count("GET");
    assert!(taken <= 180, "{taken} were taken");
    assert!(refused <= 12, "{refused} were refused");
    assert!(took <= SignedDuration::from_secs(1200), "{took:#}");
}

/// L36: a list of channels that takes three requests succeeds where two are taken in four seconds.
#[tokio::test]
async fn channels_are_listed_under_a_small_quota() {
    let (host, id, limits) = limited(Some((2, 4)), None).await;
    on(|handlers| {
        handlers.channels = Some(handler(|cx: Context<Lab>, ()| async move {
            for page in 0..3 {
                cx.provider().get("/user/repos").query("page", page).send().await?;
            }
            Ok(vec![Channel::new("one", "One")])
        }));
    });
    for _ in 0..3 {
        let listed = host.run(host.runtime().channels(id)).await.unwrap();
        assert!(listed.iter().any(|row| row.channel.name == "One"), "{listed:?}");
    }
    let (taken, refused) = limits.lock().unwrap().count("GET");
    assert!(taken == 9 && refused <= 6, "{taken} {refused}");
}

/// R10.11: a declared quota is kept without a refusal, and holds nothing else up.
#[tokio::test]
async fn a_declared_quota_is_never_exceeded() {
    let (host, id, limits) = limited(None, None).await;
    act("upload", |cx| async move {
        for number in 0..5 {
            cx.provider().post(format!("/uploads/{number}")).send().await?;
        }
        Ok(())
    });
    act("other", |cx| async move {
        for number in 0..5 {
            cx.provider().post(format!("/others/{number}")).send().await?;
        }
        Ok(())
    });
    for name in ["upload", "other"] {
        host.runtime().queue(id, crate::fixture::Act { name: name.to_owned() }).await.unwrap();
    }
    host.advance(SignedDuration::from_secs(120)).await;
    let limits = limits.lock().unwrap();
    let times = |part: &str| -> Vec<_> {
        let taken = limits.taken.iter().filter(|(_, what)| what.contains(part));
        taken.map(|(then, _)| *then).collect()
    };
    let uploads = times("/uploads/");
    assert_eq!((uploads.len(), times("/others/").len()), (5, 5));
    for (first, third) in uploads.iter().zip(uploads.iter().skip(2)) {
        assert!(third.duration_since(*first) >= SignedDuration::from_secs(10), "{uploads:?}");
    }
    let others = times("/others/");
    assert!(others.iter().all(|then| *then == others[0]), "{others:?}");
}

/// R6.6: an operator's resume lifts a wait that the service said, and what waited runs at once.
#[tokio::test]
async fn a_resume_lifts_what_a_service_said() {
    let refusals = Arc::new(Mutex::new(1));
    let left = Arc::clone(&refusals);
    let service = FakeService::new(move |_| {
        let mut left = left.lock().unwrap();
        match *left {
            0 => FakeService::answer(200, "{}"),
            _ => {
                *left -= 1;
                FakeService::answer_with(429, &[("retry-after", "3000")], "{}")
            }
        }
    });
    let host = TestHost::with_network(Registry::of::<Lab>().unwrap(), service.clone());
    on(|handlers| handlers.identity = Some(handler(|_, ()| async move { Ok(Some(ada())) })));
    let id = host.runtime().connect(lab_for("ada")).await.unwrap().id;
    let error = host.runtime().resume(id).await.unwrap_err().to_string();
    assert!(error.contains("neither suspended nor rate limited"), "{error}");
    act("read", |cx| async move { cx.provider().get("x").send().await.map(drop) });
    host.runtime().queue(id, crate::fixture::Act { name: "read".to_owned() }).await.unwrap();
    host.settle().await;
    host.advance(SignedDuration::from_mins(30)).await;
    assert_eq!(service.requests().len(), 1);
    host.runtime().resume(id).await.unwrap();
    host.settle().await;
    assert_eq!(service.requests().len(), 2);
}
