//! Random lives of a sync, in virtual time: a service that changes, pushes that come or are lost, users who ask for the
//! changes now, faults, quotas and restarts, one step of the host at a time.
//!
//! Whatever happened, every change is seen within one interval after the last fault, and no more requests are made than
//! the events of the life explain.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_core::engine::SyncState;
use connector_core::id::ConnectionId;
use connector_core::network::{Request, Response, TransportError};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest};
use connector_core::testing::{FakeService, TestHost, VirtualClock};
use serde_json::json;

/// Lives that each run of the test goes through.
const LIVES: u64 = 150;

/// Events of a life.
const EVENTS: usize = 60;

/// The interval of the sync, in minutes.
const INTERVAL: i64 = 15;

/// Items of a page.
const PAGE: usize = 3;

/// Requests that the service takes in a minute.
const QUOTA: usize = 12;

/// A board of notes.
#[connector(
    urls = ["https://board.test/*"],
    link_types = [Sheet],
    quota("reads", 12, per = "1m"),
)]
#[derive(Default)]
struct Board;

/// A note of the board.
#[link_type(label = "Sheet")]
struct Sheet;

/// Minutes within which what was asked for is seen while nothing fails: the quota may stretch two walks as far.
const SOON: i64 = 5;

/// What the service gives at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Page {
    items: Vec<Item>,
    /// The page after this one, or the place where the next walk begins.
    next: String,
    more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    id: u64,
    changed: i64,
    title: String,
}

impl Item {
    fn link(&self, channel: &ChannelId) -> NewLink {
        let source = Source::new("board", [self.id.to_string()]);
        let at = Timestamp::UNIX_EPOCH;
        NewLink::new(Sheet, source, channel, Author::system("a board"), at).title(&self.title)
    }
}

#[connector]
impl Connector for Board {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("wall", "Wall")])
    }
}

#[connector]
impl Board {
    /// The sheets, in the order of the service.
    #[sync(every = "15m")]
    async fn sheets(&self, cx: &Context<Self>, channel: ChannelId, after: Option<String>) -> Result<Step<String>> {
        let request = cx.network().get("https://board.test/items").query("after", after.unwrap_or_default());
        let page: Page = request.fetch().await?;
        cx.integrations().save_links(page.items.iter().map(|item| item.link(&channel))).await?;
        Ok(if page.more { Step::Next(page.next) } else { Step::Done(page.next) })
    }

    /// The sheets that were pushed.
    #[drain(batch = 2)]
    async fn pushed_sheets(&self, cx: &Context<Self>, channel: ChannelId, ids: Vec<u64>) -> Result<Drained<u64>> {
        for id in ids {
            let item: Item = cx.network().get(format!("https://board.test/items/{id}")).fetch().await?;
            cx.integrations().save_link(item.link(&channel)).await?;
        }
        Ok(Drained::all())
    }

    /// The service names a sheet that was changed.
    #[callback]
    async fn names_a_sheet(&self, cx: &Context<Self>, channel: ChannelId, id: u64) -> Result<()> {
        cx.mark_dirty(PushedSheets { channel }, [id]).await
    }

    /// The service says that something was changed.
    #[callback]
    async fn says_look(&self, cx: &Context<Self>, channel: ChannelId) -> Result<()> {
        cx.sync_now(Sheets { channel }).await
    }
}

/// What comes instead of an answer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Busy,
    Broken,
    NoAnswer,
}

#[derive(Default)]
struct Service {
    clock: Option<VirtualClock>,
    items: BTreeMap<u64, Item>,
    by_change: bool,
    faults: VecDeque<Fault>,
    /// When the requests of the last minute came.
    recent: VecDeque<Timestamp>,
    requests: usize,
}

impl Service {
    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or(Timestamp::UNIX_EPOCH, VirtualClock::now)
    }

    /// Adds or changes an item, later than all changes before.
    fn change(&mut self, id: u64) {
        let last = self.items.values().map(|item| item.changed).max().unwrap_or_default();
        let changed = self.now().as_millisecond().max(last + 1);
        self.items.insert(id, Item { id, changed, title: format!("as of {changed:015}") });
    }

    /// The items after this place: in the order of their changes, or of their ids, where each walk passes all of them.
    fn page(&self, after: &str) -> Page {
        let place =
            |item: &Item| if self.by_change { format!("{:015}", item.changed) } else { format!("{:015}", item.id) };
        let mut items: Vec<_> = self.items.values().filter(|item| *place(item) > *after).cloned().collect();
        items.sort_by_key(place);
        let more = items.len() > PAGE;
        items.truncate(PAGE);
        let last = items.last().map_or(after.to_owned(), place);
        Page { items, next: if more || self.by_change { last } else { String::new() }, more }
    }

    fn answer(&mut self, request: &Request) -> Result<Response, TransportError> {
        let now = self.now();
        self.requests += 1;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now.duration_since(*first).as_secs() >= 60) {
            self.recent.pop_front();
        }
        // A minute may reach into two of the windows in which the host counts.
        assert!(self.recent.len() <= 2 * QUOTA, "more requests in a minute than the declared quota");
        match self.faults.pop_front() {
            Some(Fault::Busy) => return Ok(FakeService::answer_with(429, &[("retry-after", "40")], "{}")),
            Some(Fault::Broken) => return Ok(FakeService::answer(503, "{}")),
            Some(Fault::NoAnswer) => {
                return Err(TransportError::Timeout { url: "board.test".to_owned(), limit: Duration::from_secs(30) });
            }
            None => {}
        }
        let body = match request.url.path().strip_prefix("/items/") {
            Some(id) => json!(self.items[&id.parse::<u64>().unwrap()]),
            None => json!(self.page(&request.url.query_pairs().next().unwrap().1)),
        };
        Ok(FakeService::answer(200, body.to_string()))
    }
}

/// Random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }
}

/// Each item is here as it was then, or as it became later.
async fn all_are_seen(host: &TestHost, connection: ConnectionId, items: &BTreeMap<u64, Item>, when: &str) {
    for item in items.values() {
        let source = Source::new("board", [item.id.to_string()]);
        let engine = &host.runtime().ports().engine;
        let link = engine.links_by_source(connection, vec![source]).await.unwrap().remove(0);
        let title = link.and_then(|link| link.link.title).unwrap_or_default();
        assert!(title >= item.title, "{when}: {title:?}, where {item:?} was to be seen");
    }
}

/// A life with faults and restarts, or, for an even seed, a calm one.
async fn live(seed: u64) {
    let mut dice = Dice(seed);
    let service = Arc::new(Mutex::new(Service::default()));
    let answering = Arc::clone(&service);
    let network = FakeService::failing(move |request| answering.lock().unwrap().answer(request));
    let mut host = TestHost::with_network(Registry::of::<Board>().unwrap(), network);
    let at = |host: &TestHost| host.clock().now();
    let (calm, by_change) = (seed.is_multiple_of(2), seed % 4 < 2);
    service.lock().unwrap().clock = Some(host.clock().clone());
    service.lock().unwrap().by_change = by_change;
    let began = at(&host);
    let connection = host.runtime().connect(ConnectRequest::new("board", "ada")).await.unwrap().id;
    let wall = ChannelId::from("wall");
    host.runtime().enable_channel(connection, &wall, ChannelUpdate::default()).await.unwrap();
    // Each look may have one request more than it has pages, and a fault or a restart repeats one.
    let (mut looks, mut pushed, mut repeated) = (1, 0, 0);
    let mut told = Vec::new();
    // When the host was last asked for the changes, and what there was then.
    let mut asked = None;
    for _ in 0..EVENTS {
        let event = dice.below(if calm { 9 } else { 12 });
        told.push(event);
        match event {
            0..=2 => {
                let id = dice.below(12);
                service.lock().unwrap().change(id);
                let runtime = host.runtime();
                match dice.below(4) {
                    0 => {
                        pushed += 1;
                        runtime.queue(connection, NamesASheet { channel: wall.clone(), id }).await.unwrap();
                    }
                    1 => {
                        looks += 1;
                        runtime.queue(connection, SaysLook { channel: wall.clone() }).await.unwrap();
                    }
                    // It says nothing, or nobody hears it.
                    _ => {}
                }
            }
            3 => {
                looks += 1;
                host.runtime().sync_now(connection).await.unwrap();
                asked = Some((at(&host), service.lock().unwrap().items.clone()));
            }
            4..=6 => {
                for _ in 0..dice.below(4) {
                    host.step().await;
                }
            }
            7 | 8 => {
                let seconds = dice.below(20 * 60);
                host.advance(SignedDuration::from_secs(i64::try_from(seconds).unwrap())).await;
                let soon = |(when, _): &(Timestamp, _)| at(&host).duration_since(*when).as_mins() >= SOON;
                if let Some((_, items)) = asked.take_if(|asked| soon(asked)).filter(|_| calm) {
                    all_are_seen(&host, connection, &items, &format!("life {seed}, events {told:?}")).await;
                }
            }
            9 => {
                let count = 1 + dice.below(5);
                for _ in 0..count {
                    let fault = [Fault::Busy, Fault::Broken, Fault::NoAnswer][usize::try_from(dice.below(3)).unwrap()];
                    service.lock().unwrap().faults.push_back(fault);
                }
                repeated += usize::try_from(count).unwrap();
            }
            10 => {
                repeated += 1;
                host = host.crash().await;
                // What a host has asked for is known to that host alone.
                service.lock().unwrap().recent.clear();
            }
            _ => host.settle().await,
        }
    }
    service.lock().unwrap().faults.clear();
    host.advance(SignedDuration::from_mins(INTERVAL)).await;
    let (items, requests) = {
        let service = service.lock().unwrap();
        (service.items.clone(), service.requests)
    };
    let when = format!("life {seed}, events {told:?}");
    all_are_seen(&host, connection, &items, &when).await;
    let channel = host.runtime().ports().engine.channel(connection, wall).await.unwrap().unwrap();
    assert_eq!((channel.sync.state, &channel.sync.error), (SyncState::Synced, &None), "{when}");
    let minutes = at(&host).duration_since(began).as_mins();
    let intervals = usize::try_from(minutes / INTERVAL).unwrap() + 1;
    let pages = 12 / PAGE + 1;
    let most = (looks + intervals) * pages + pushed + repeated;
    assert!(requests <= most, "{when}: {requests} requests, where {most} are explained");
}

#[tokio::test]
async fn every_change_is_seen_whatever_happens() {
    let seed = std::env::var("SYNCING_SEED").ok().and_then(|text| text.parse().ok());
    for seed in seed.map_or(0..LIVES, |seed: u64| seed..seed + 1) {
        live(seed).await;
    }
}
