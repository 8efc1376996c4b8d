//! Walks of syncs: that they end, and what a complete one means for what it did not meet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connector_core::engine::{LinkQuery, SyncState};
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ChannelUpdate, ConnectRequest, LinkUpdate, WorkView};
use connector_core::testing::TestHost;
use connector_core::walk::Items;
use serde_json::json;

use crate::fixture::{Bench, Changed, Lab, Ticket, TicketMeta, at, grace, handler, log, logged, on, source, ticket};

type Turn = (ChannelId, Option<u64>);

/// A walk that goes from page to page as `next` says, and saves one ticket on each: that of its page.
fn walk(next: impl Fn(u64) -> Step<u64> + Send + Sync + 'static) {
    let next = Arc::new(next);
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, (_, cursor): Turn| {
            let next = Arc::clone(&next);
            async move {
                let page = cursor.unwrap_or(0);
                log(format!("{page}"));
                cx.integrations().save_link(ticket(page)).await?;
                Ok(next(page))
            }
        }));
    });
}

async fn items(bench: &Bench) -> WorkView {
    let work = bench.runtime().work(bench.connection).await.unwrap();
    work.into_iter().find(|view| view.name == "items" && view.channel.is_some()).unwrap()
}

/// The numbers of the tickets that are shown.
async fn shown(bench: &Bench) -> Vec<u64> {
    let links = bench.links().await.into_iter().filter(|row| !row.link.archived);
    let mut numbers: Vec<_> = links.filter_map(|row| row.link.source.qualifiers().last()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_cursor_that_comes_back_ends_the_walk() {
    let bench = Bench::new().await;
    walk(|page| Step::Next(if page == 3 { 1 } else { page + 1 }));
    bench.enable("one").await;
    assert_eq!(logged(), ["0", "1", "2", "3"]);
    // What its pages had is there, the last one's included.
    assert_eq!(shown(&bench).await, [0, 1, 2, 3]);
    let channel = bench.channel("one").await;
    assert_eq!(channel.sync.state, SyncState::Failed);
    assert!(channel.sync.error.unwrap().contains("came back to a cursor"));
    assert_eq!(bench.dead().await.len(), 1);
    // The next walk begins where this one began, and finds a list that has an end again.
    walk(|page| if page == 4 { Step::Done(4) } else { Step::Next(page + 1) });
    bench.advance("2h").await;
    assert_eq!(logged()[..5], ["0", "1", "2", "3", "4"]);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
}

#[tokio::test]
async fn a_cursor_that_stays_where_it_is_ends_the_walk() {
    let bench = Bench::new().await;
    walk(|_| Step::Next(7));
    bench.enable("one").await;
    assert_eq!(logged(), ["0", "7"]);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Failed);
}

#[tokio::test]
async fn a_walk_over_changes_that_loops_goes_back_to_its_start() {
    let bench = Bench::new().await;
    walk(|_| Step::Done(100));
    bench.enable("one").await;
    walk(|page| Step::Next(if page == 102 { 101 } else { page + 1 }));
    bench.advance("15m").await;
    assert_eq!(logged(), ["0", "100", "101", "102"]);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Failed);
    walk(Step::Done);
    bench.advance("1h").await;
    assert_eq!(logged()[0], "100");
}

#[tokio::test]
async fn pages_that_bring_the_same_for_ever_end_the_walk() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): Turn| async move {
            let page = cursor.unwrap_or(0);
            log(format!("{page}"));
            // The service gives its last page again, under a new number.
            cx.integrations().save_links([ticket(page.min(2)), ticket(page.min(2) + 10)]).await?;
            Ok(Step::Next(page + 1))
        }));
    });
    bench.enable("one").await;
    assert!(logged().len() < 15);
    let channel = bench.channel("one").await;
    assert_eq!(channel.sync.state, SyncState::Failed);
    assert!(channel.sync.error.unwrap().contains("the list has no end"));
}

#[tokio::test]
async fn pages_that_bring_nothing_for_ever_end_the_walk() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|_: Context<Lab>, (_, cursor): Turn| async move {
            log("");
            Ok(Step::Next(cursor.unwrap_or(0) + 1))
        }));
    });
    bench.enable("one").await;
    assert!(logged().len() < 1_100);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Failed);
}

#[tokio::test]
async fn waiting_for_the_same_is_no_loop() {
    let bench = Bench::new().await;
    let polls = Arc::new(AtomicU64::new(0));
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, _: Turn| {
            let polls = polls.fetch_add(1, Ordering::Relaxed);
            async move {
                let later = cx.now() + SignedDuration::from_mins(1);
                Ok(if polls < 20 { Step::Wait(later, 5) } else { Step::Done(6) })
            }
        }));
    });
    bench.enable("one").await;
    bench.advance("1h").await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
}

/// A service with these tickets, of which each step gives two; a walk over all of them begins at each look.
fn service(tickets: impl IntoIterator<Item = u64>) {
    let tickets: Vec<u64> = tickets.into_iter().collect();
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, (_, cursor): Turn| {
            let tickets = tickets.clone();
            async move {
                let page = cursor.filter(|page| *page < 1_000).unwrap_or(0);
                log(format!("{page}"));
                let start = usize::try_from(page).unwrap() * 2;
                cx.integrations().save_links(tickets.iter().skip(start).take(2).map(|number| ticket(*number))).await?;
                let more = start + 2 < tickets.len();
                Ok(if more { Step::Next(page + 1) } else { Step::Complete(LinkFilter::default(), 1_000) })
            }
        }));
    });
}

#[tokio::test]
async fn what_a_complete_walk_did_not_meet_is_archived() {
    let bench = Bench::new().await;
    service(0..5);
    bench.enable("one").await;
    assert_eq!(shown(&bench).await, [0, 1, 2, 3, 4]);
    service([0, 2, 3]);
    let bench = bench.crash().await;
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [0, 2, 3]);
    service([]);
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [0; 0]);
    // What comes back is there again.
    service([1]);
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [1]);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
    let left: Vec<_> = bench.runtime().state(bench.connection, "").await.unwrap();
    assert!(left.iter().all(|(key, _)| !key.contains("/met/") && !key.contains("/walk/")), "{left:?}");
}

#[tokio::test]
async fn a_walk_that_is_done_archives_nothing() {
    let bench = Bench::new().await;
    service(0..3);
    bench.enable("one").await;
    walk(|_| Step::Done(0));
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [0, 1, 2, 1_000]);
}

#[tokio::test]
async fn a_filter_says_what_a_complete_walk_was_over() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (channel, _): Turn| async move {
            let dated = |number: u64| {
                let made = at(i64::try_from(number).unwrap());
                NewLink::new(Ticket::Open.with(TicketMeta { number }), source(number), &channel, grace(), made)
            };
            cx.integrations().save_links((0..4).map(dated)).await?;
            Ok(Step::Done(1_000))
        }));
    });
    bench.enable("one").await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _: Turn| async move {
            cx.integrations().met([source(3)]).await?;
            Ok(Step::Complete(LinkFilter::default().occurred_from(at(2)), 1_000))
        }));
    });
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [0, 1, 3]);
}

#[tokio::test]
async fn what_another_sync_has_saved_stays() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.people = Some(handler(|cx: Context<Lab>, _: Turn| async move {
            cx.integrations().save_link(ticket(50)).await?;
            Ok(Step::Done(1))
        }));
    });
    service(0..2);
    bench.enable("one").await;
    service([1]);
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [1, 50]);
}

/// What a push, a drain or a user does while a walk is under way is not undone by its end.
#[tokio::test]
async fn what_others_save_during_a_complete_walk_stays() {
    let bench = Bench::new().await;
    service(0..6);
    bench.enable("one").await;
    on(|handlers| {
        handlers.changed = Some(handler(|cx: Context<Lab>, (_, ids): (ChannelId, Vec<String>)| async move {
            cx.integrations().save_links(ids.iter().map(|id| ticket(id.parse().unwrap()))).await?;
            Ok(Drained::all())
        }));
        handlers.items = Some(handler(|cx: Context<Lab>, (channel, cursor): Turn| async move {
            Ok(match cursor {
                Some(1) => {
                    cx.integrations().save_link(ticket(0)).await?;
                    Step::Complete(LinkFilter::default(), 1_000)
                }
                _ => {
                    // One that is there already, and is where the walk has been; and a new one.
                    cx.mark_dirty(Changed { channel }, ["4".into(), "77".into()]).await?;
                    Step::Wait(cx.now() + SignedDuration::from_mins(5), 1)
                }
            })
        }));
    });
    bench.advance("17m").await;
    assert_eq!(shown(&bench).await, [0, 1, 2, 3, 4, 5, 77]);
    bench.advance("4m").await;
    assert_eq!(shown(&bench).await, [0, 4, 77]);
}

#[tokio::test]
async fn what_a_user_has_not_sent_yet_stays() {
    let bench = Bench::new().await;
    service(0..3);
    bench.enable("one").await;
    on(|handlers| {
        handlers.link_updated =
            Some(handler(|_: Context<Lab>, _: (Link, LinkChanges)| async move { Err(Error::transient("not now")) }));
        handlers.create_link =
            Some(handler(|_: Context<Lab>, _: LinkDraft| async move { Err(Error::transient("not now")) }));
    });
    let changed = bench.links().await.into_iter().find(|row| row.link.source == source(1)).unwrap();
    let update = LinkUpdate { status: Some("closed".into()), ..LinkUpdate::default() };
    bench.runtime().update_link(changed.id(), &"ada".into(), update).await.unwrap();
    bench.runtime().compose(bench.composition("Composed")).await.unwrap();
    service([2]);
    bench.runtime().sync_now(bench.connection).await.unwrap();
    bench.host.settle().await;
    let links = bench.links().await.into_iter().filter(|row| !row.link.archived);
    let titles: Vec<_> = links.map(|row| row.link.source.to_string()).collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
}

#[tokio::test]
async fn a_cursor_that_expired_ends_in_a_complete_walk() {
    let bench = Bench::new().await;
    service(0..4);
    bench.enable("one").await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): Turn| async move {
            match cursor {
                Some(1_000) => Err(Error::cursor_expired("too old")),
                None => {
                    assert_eq!(cx.mode(), Mode::Recovery);
                    cx.integrations().save_link(ticket(0)).await?;
                    Ok(Step::Next(1))
                }
                Some(_) => {
                    cx.integrations().save_link(ticket(3)).await?;
                    Ok(Step::Complete(LinkFilter::default(), 2_000))
                }
            }
        }));
    });
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [0, 3]);
}

#[tokio::test]
async fn an_odd_item_is_left_out_visibly_and_nothing_is_swept() {
    let bench = Bench::new().await;
    service(0..3);
    bench.enable("one").await;
    assert_eq!(items(&bench).await.left_out, 0);
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _: Turn| async move {
            let found: Items<TicketMeta> =
                serde_json::from_value(json!([{ "number": 2 }, { "number": "seven" }, null])).unwrap();
            cx.integrations().save_links(found.take(&cx).iter().map(|meta| ticket(meta.number))).await?;
            Ok(Step::Complete(LinkFilter::default(), 1_000))
        }));
    });
    bench.advance("15m").await;
    assert_eq!(shown(&bench).await, [0, 1, 2]);
    let view = items(&bench).await;
    assert_eq!((view.left_out, view.last_left_out.len()), (2, 2));
    assert!(view.last_left_out[0].item.starts_with("item 2 of a list"), "{:?}", view.last_left_out);
    assert!(view.last_left_out[0].reason.starts_with("number: invalid type"));
    assert_eq!(view.last_left_out[0].raw.as_deref(), Some(r#"{"number":"seven"}"#));
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
}

#[tokio::test]
async fn a_connector_lists_the_links_that_it_has_saved() {
    let bench = Bench::new().await;
    service(0..5);
    bench.enable("one").await;
    bench
        .run(|cx| async move {
            let found = |filter: LinkFilter, limit| {
                let cx = cx.clone();
                async move {
                    let links = cx.integrations().links(&filter, limit).await?;
                    let mut sources: Vec<_> = links.into_iter().map(|link| link.source).collect();
                    sources.sort();
                    Ok::<_, Error>(sources)
                }
            };
            let channel = ChannelId::from_static("one");
            let all = found(LinkFilter::channel(&channel).of::<Ticket>(), 100).await?;
            assert_eq!(all, (0..5).map(source).collect::<Vec<_>>());
            assert_eq!(
                found(LinkFilter::except(&channel, [source(1), source(2)]), 100).await?,
                [source(0), source(3), source(4)]
            );
            assert_eq!(found(LinkFilter::sources([source(3), source(9)]), 100).await?, [source(3)]);
            assert_eq!(found(LinkFilter::default(), 2).await?.len(), 2);
            assert!(found(LinkFilter::channel(ChannelId::from_static("two")), 100).await?.is_empty());
            cx.integrations().archive_links(LinkFilter::except(&channel, [source(0), source(4)])).await
        })
        .await;
    assert_eq!(shown(&bench).await, [0, 4]);
}

/// A connector with one sync, and something else that saves.
#[connector(id = "single", link_types = [Listed, Told])]
#[derive(Default)]
struct Single;

#[link_type(label = "Listed")]
struct Listed;

#[link_type(label = "Told")]
struct Told;

#[connector]
impl Connector for Single {
    async fn get_channels(&self, _: &Context<Self>, _: &Account) -> Result<Vec<Channel>> {
        Ok(vec![Channel::new("one", "One")])
    }
}

#[connector]
impl Single {
    #[sync(every = "15m")]
    async fn tickets(&self, cx: &Context<Self>, _channel: ChannelId, _cursor: Option<u64>) -> Result<Step<u64>> {
        cx.integrations().save_link(NewLink::new(Listed, source(1), ChannelId::from("one"), grace(), at(0))).await?;
        Ok(Step::Complete(LinkFilter::default(), 1))
    }

    #[callback]
    async fn pushed(&self, cx: &Context<Self>) -> Result<()> {
        let told = NewLink::new(Told, source(2), ChannelId::from("one"), grace(), at(0));
        cx.integrations().save_link(told).await.map(drop)
    }
}

/// R11.7: in a channel with one sync, what a push has saved is gone when the walk over everything does not meet it,
/// though the sync has never saved anything of its kind.
#[tokio::test]
async fn the_only_sync_of_a_channel_tells_what_is_gone() {
    let host = TestHost::new(Registry::of::<Single>().unwrap());
    let id = host.runtime().connect(ConnectRequest::new("single", "ada")).await.unwrap().id;
    host.runtime().enable_channel(id, &"one".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    host.runtime().queue(id, Pushed).await.unwrap();
    host.settle().await;
    let shown = async |host: &TestHost| {
        let links = host.runtime().ports().engine.links(LinkQuery::all(9)).await.unwrap();
        let mut sources: Vec<_> = links.into_iter().map(|row| row.link.source).collect();
        sources.sort();
        sources
    };
    assert_eq!(shown(&host).await, [source(1), source(2)]);
    host.advance(SignedDuration::from_mins(16)).await;
    assert_eq!(shown(&host).await, [source(1)]);
}
