//! Events come in any order (L27): the guarantee, and toy calendars that do without it, which the kit finds.

use std::cell::Cell;
use std::collections::BTreeMap;

use connector_core::calendar::Piece;
use connector_core::engine::{LinkQuery, LinkRow};
use connector_core::network::{Request, Response};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest};
use connector_core::testing::conformance::{Conformance, ConformanceService, Edit, Item, Promise, Verdict};
use connector_core::testing::{FakeService, TestHost};
use connector_core::walk::Items;
use proptest::prelude::*;

/// What the service says of an event, or of one occurrence of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ApiPiece {
    event: u64,
    occurrence: Option<Timestamp>,
    /// None of an event that is gone.
    start: Option<Timestamp>,
    days: u32,
    title: String,
    cancelled: bool,
    changed: Timestamp,
}

impl ApiPiece {
    fn schedule(&self) -> Option<Schedule> {
        let mut schedule = Schedule::new(format!("{:?}", self.occurrence), self.start?);
        if self.days > 1 {
            schedule = schedule.recurrence([format!("RRULE:FREQ=DAILY;COUNT={}", self.days)], "UTC");
        }
        schedule.occurrence = self.occurrence.map(Into::into);
        schedule.cancelled = self.cancelled;
        Some(schedule)
    }

    fn source(&self) -> Source {
        Source::new("diary", [self.event.to_string()])
    }

    fn link(&self, channel: &ChannelId) -> NewLink {
        NewLink::new(Event, self.source(), channel, Actor::new("grace"), start()).title(&self.title)
    }

    fn piece(&self, channel: &ChannelId) -> Piece {
        match self.schedule() {
            Some(schedule) if !self.cancelled => Piece::new(self.link(channel), self.changed, schedule),
            Some(schedule) if self.occurrence.is_some() => Piece::cancelled(self.source(), self.changed, schedule),
            _ => Piece::gone(self.source(), self.changed),
        }
    }
}

fn start() -> Timestamp {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

/// What is wrong with the toy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    TakesPagesForEvents,
    MakesEventsOfCancellations,
}

thread_local! {
    static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
}

/// A diary.
#[connector(urls = ["https://diary.example/*"], link_types = [Event])]
#[derive(Default)]
struct Diary;

/// An event.
#[link_type(label = "Event", schedules)]
struct Event;

#[connector]
impl Connector for Diary {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("diary", "Diary")])
    }
}

#[connector]
impl Diary {
    #[sync(every = "15m")]
    async fn events(&self, cx: &Context<Self>, channel: ChannelId, after: Option<usize>) -> Result<Step<usize>> {
        let known = after.unwrap_or_default();
        let url = format!("https://diary.example/pieces?after={known}");
        let page: Items<ApiPiece> = cx.network().get(url).fetch().await?;
        let count = page.len();
        let page = page.take(cx);
        match BUG.get() {
            Bug::None => {
                drop(cx.integrations().save_events(&channel, page.iter().map(|api| api.piece(&channel))).await?)
            }
            Bug::TakesPagesForEvents => by_page(cx, &channel, &page).await?,
            Bug::MakesEventsOfCancellations => {
                let piece = |api: &ApiPiece| match api.schedule() {
                    Some(mut schedule) => {
                        schedule.cancelled = false;
                        Piece::new(api.link(&channel), api.changed, schedule)
                    }
                    None => api.piece(&channel),
                };
                cx.integrations().save_events(&channel, page.iter().map(piece)).await?;
            }
        }
        let next = known + count;
        Ok(if count == PAGE { Step::Next(next) } else { Step::Done(next) })
    }
}

/// Each event is what is on this page of it.
async fn by_page(cx: &Context<Diary>, channel: &ChannelId, page: &[ApiPiece]) -> Result<()> {
    let mut events: BTreeMap<u64, Vec<&ApiPiece>> = BTreeMap::new();
    for api in page {
        events.entry(api.event).or_default().push(api);
    }
    for pieces in events.values() {
        let (Some(first), schedules) = (pieces.first(), pieces.iter().filter_map(|api| api.schedule())) else {
            continue;
        };
        let schedules: Vec<_> = schedules.collect();
        if schedules.is_empty() {
            cx.integrations().archive_links(LinkFilter::sources([first.source()])).await?;
        } else {
            let said = pieces.iter().find(|api| api.occurrence.is_none()).unwrap_or(first);
            cx.integrations().save_link(said.link(channel).schedules(schedules).recurring()).await?;
        }
    }
    Ok(())
}

/// Pieces that the service gives at a time.
const PAGE: usize = 2;

/// The pieces, in the order of their last changes; each change is listed, so that how many were seen is a cursor.
#[derive(Default)]
struct DiaryService {
    log: Vec<ApiPiece>,
}

impl DiaryService {
    /// As they are now.
    fn pieces(&self) -> BTreeMap<(u64, Option<Timestamp>), &ApiPiece> {
        self.log.iter().map(|api| ((api.event, api.occurrence), api)).collect()
    }

    fn page(&self, after: usize) -> Vec<&ApiPiece> {
        self.log.iter().skip(after).take(PAGE).collect()
    }
}

fn answered(page: &[&ApiPiece]) -> Response {
    FakeService::answer(200, serde_json::to_vec(page).unwrap())
}

fn after(request: &Request) -> usize {
    request.url.query_pairs().next().unwrap().1.parse().unwrap()
}

impl ConformanceService for DiaryService {
    fn answer(&mut self, request: &Request, _: Timestamp) -> Response {
        answered(&self.page(after(request)))
    }

    fn items(&self) -> Vec<Item> {
        let pieces = self.pieces();
        let masters = pieces.values().filter(|api| api.occurrence.is_none() && !api.cancelled);
        let item = |master: &&&ApiPiece| {
            let own = pieces.values().filter(|api| api.event == master.event);
            Item::new(master.event.to_string(), "diary", &master.title).schedules(own.filter_map(|api| api.schedule()))
        };
        masters.collect::<Vec<_>>().iter().map(item).collect()
    }

    fn create(&mut self, _: &str, title: &str, _: &str, at: Timestamp) -> String {
        let event = self.log.iter().map(|api| api.event).max().unwrap_or_default() + 1;
        let (title, start) = (title.to_owned(), Some(start()));
        self.log.push(ApiPiece { event, occurrence: None, start, days: 1, title, cancelled: false, changed: at });
        event.to_string()
    }

    fn edit(&mut self, id: &str, edit: &Edit, at: Timestamp) -> bool {
        let event: u64 = id.parse().unwrap();
        let Some(master) = self.pieces().get(&(event, None)).map(|api| ApiPiece::clone(api)) else { return false };
        // Later than what was changed in the same moment, as services count.
        let last = self.log.iter().filter(|api| api.event == event).map(|api| api.changed).max();
        let changed = last.map_or(at, |last| at.max(last + SignedDuration::from_millis(1)));
        let of = |occurrence: Timestamp| ApiPiece { occurrence: Some(occurrence), days: 1, ..master.clone() };
        let piece = match edit {
            Edit::Title(title) => ApiPiece { title: title.clone(), ..master.clone() },
            Edit::Repeat(days) => ApiPiece { days: *days, ..master.clone() },
            Edit::Move { occurrence, to } => ApiPiece { start: Some(*to), ..of(*occurrence) },
            Edit::Cancel { occurrence } => ApiPiece { start: Some(*occurrence), cancelled: true, ..of(*occurrence) },
            Edit::Restore { occurrence } => ApiPiece { start: Some(*occurrence), ..of(*occurrence) },
            Edit::Delete => ApiPiece { start: None, cancelled: true, ..master.clone() },
            _ => return false,
        };
        self.log.push(ApiPiece { changed, ..piece });
        true
    }
}

fn conformance(bug: Bug) -> connector_core::testing::conformance::Report {
    BUG.set(bug);
    Conformance::of::<Diary>(DiaryService::default).points(4).run()
}

/// L27
#[test]
fn a_sound_calendar_keeps_its_promises() {
    let report = conformance(Bug::None);
    report.assert();
    assert!(matches!(report.verdict(Promise::new(27)), Verdict::Passed { .. }), "{report}");
}

/// L27: the kit finds a calendar that takes an event for what is on a page of it.
#[test]
fn l27_occurrences_before_their_masters() {
    let report = conformance(Bug::TakesPagesForEvents);
    assert!(report.failed().contains(&Promise::new(27)), "{report}");
}

/// L27: the kit finds a calendar that makes events of cancellations.
#[test]
fn l27_phantom_cancellations() {
    let report = conformance(Bug::MakesEventsOfCancellations);
    assert!(report.failed().contains(&Promise::new(27)), "{report}");
}

/// What became of the pieces when they come in this order.
async fn saved(pieces: Vec<ApiPiece>) -> Vec<LinkRow> {
    let service =
        FakeService::new(move |request| answered(&pieces.iter().skip(after(request)).take(PAGE).collect::<Vec<_>>()));
    let host = TestHost::with_network(Registry::of::<Diary>().unwrap(), service);
    let connection = host.run(host.runtime().connect(ConnectRequest::new("diary", "ada"))).await.unwrap().id;
    host.runtime().enable_channel(connection, &"diary".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    let mut query = LinkQuery::all(100);
    query.archived = true;
    let mut links = host.runtime().ports().engine.links(query).await.unwrap();
    links.sort_by_key(|row| row.link.source.clone());
    links
}

/// Schedules, titles and whether it takes place, of each event that is there.
fn shown(links: &[LinkRow]) -> Vec<(Source, Option<String>, Vec<Schedule>, Timestamp)> {
    let live = links.iter().map(|row| &row.link).filter(|link| !link.archived);
    let title = |link: &connector_core::model::Link| {
        let has_master = link.schedules.iter().any(|schedule| schedule.occurrence.is_none());
        link.title.clone().filter(|_| has_master)
    };
    live.map(|link| (link.source.clone(), title(link), link.schedules.clone(), link.updated_at)).collect()
}

/// A piece of one of two events, at one of a few times, so that older and newer ones of the same meet.
fn piece() -> impl Strategy<Value = ApiPiece> {
    (1u64..3, 0i64..4, 0i64..4, any::<bool>(), 0i64..3).prop_map(|(event, of, version, cancelled, moved)| {
        let occurrence = (of > 0).then(|| start() + SignedDuration::from_hours(24 * (of - 1)));
        let at = occurrence.unwrap_or_else(start);
        ApiPiece {
            event,
            occurrence,
            start: (of > 0 || !cancelled).then(|| at + SignedDuration::from_hours(moved)),
            days: if of > 0 { 1 } else { 5 },
            title: format!("As of {version}"),
            cancelled,
            changed: start() + SignedDuration::from_secs(version),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// L27: in whatever order and on whatever pages the pieces of events come, the links are the same in the end.
    #[test]
    fn events_are_saved_the_same_in_any_order(
        (pieces, shuffled) in prop::collection::vec(piece(), 1..9)
            .prop_flat_map(|mut pieces| {
                // A service says one thing of a piece at a time.
                pieces.sort_by_key(|api| (api.event, api.occurrence, api.changed));
                pieces.dedup_by_key(|api| (api.event, api.occurrence, api.changed));
                (Just(pieces.clone()), Just(pieces).prop_shuffle())
            })
    ) {
        BUG.set(Bug::None);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (first, second) = runtime.block_on(async { (saved(pieces).await, saved(shuffled).await) });
        prop_assert_eq!(shown(&first), shown(&second));
    }
}

fn of(occurrence: Option<&str>, changed: i64, cancelled: bool) -> ApiPiece {
    let occurrence = occurrence.map(|at| at.parse().unwrap());
    ApiPiece {
        event: 1,
        occurrence,
        start: Some(occurrence.unwrap_or_else(start)),
        days: if occurrence.is_some() { 1 } else { 5 },
        title: if occurrence.is_some() { "Moved".to_owned() } else { "Standup".to_owned() },
        cancelled,
        changed: start() + SignedDuration::from_secs(changed),
    }
}

/// L27: an occurrence shows before its master does, which may come many pages later.
#[tokio::test]
async fn an_occurrence_whose_master_comes_pages_later_is_a_part_of_it() {
    BUG.set(Bug::None);
    let others = (2..12).map(|event| ApiPiece { event, days: 1, ..of(None, 1, false) });
    let mut pieces = vec![of(Some("2026-01-06T09:00:00Z"), 2, false)];
    let links = saved(pieces.clone()).await;
    assert_eq!((links.len(), links[0].link.title.as_deref()), (1, Some("Moved")));
    pieces.extend(others);
    pieces.push(of(None, 1, false));
    let links = saved(pieces).await;
    assert_eq!((links.len(), links[0].link.title.as_deref(), links[0].link.schedules.len()), (11, Some("Standup"), 2));
}

/// L27: what is cancelled without being known makes nothing, and is remembered for when it is.
#[tokio::test]
async fn a_cancelled_occurrence_of_an_unknown_event_makes_nothing() {
    BUG.set(Bug::None);
    let phantom = of(Some("2026-01-07T09:00:00Z"), 1, true);
    let gone = ApiPiece { event: 2, start: None, cancelled: true, ..of(None, 1, true) };
    assert_eq!(saved(vec![phantom.clone(), gone]).await, Vec::new());
    let links = saved(vec![phantom, of(None, 1, false)]).await;
    let cancelled: Vec<_> = links[0].link.schedules.iter().map(|schedule| schedule.cancelled).collect();
    assert_eq!(cancelled, [false, true]);
}

/// L38: what is given whole replaces what was known: occurrences that were cancelled or moved are as they were.
#[tokio::test]
async fn a_restored_occurrence_is_as_its_series_says() {
    BUG.set(Bug::None);
    let (second, third) = ("2026-01-06T09:00:00Z", "2026-01-07T09:00:00Z");
    let master = of(None, 1, false);
    let moved = ApiPiece { start: Some(start() + SignedDuration::from_hours(30)), ..of(Some(second), 2, false) };
    let changed = vec![master.clone(), moved, of(Some(third), 3, true)];
    let mut restored = changed.clone();
    restored.extend([of(Some(second), 4, false), of(Some(third), 5, false)]);
    let occurrences = |links: &[LinkRow]| {
        let series: connector_core::calendar::Series = links[0].link.schedules.iter().cloned().collect();
        let found = series.occurrences(start(), start() + SignedDuration::from_hours(24 * 30)).unwrap();
        found.into_iter().map(|occurrence| occurrence.start).collect::<Vec<_>>()
    };
    let at = |hours: i64| connector_core::model::When::At(start() + SignedDuration::from_hours(hours));
    assert_eq!(occurrences(&saved(changed).await), [at(0), at(30), at(72), at(96)]);
    assert_eq!(occurrences(&saved(restored).await), [at(0), at(24), at(48), at(72), at(96)]);
}
