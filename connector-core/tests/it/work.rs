use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connector_core::engine::{CommitError, ConnectionStatus, SyncState, Write};
use connector_core::model::Patch;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{ActionError, ChannelUpdate, ConnectRequest, ConnectionUpdate, WorkState, WorkView};
use connector_core::testing::TestHost;
use serde_json::json;

use crate::fixture::{Bench, Changed, Lab, Plain, at, grace, handler, lab_for, log, logged, on, quiet, source, ticket};

type Turn = (ChannelId, Option<u64>);

/// A walk of `pages` pages, each with one ticket.
fn walk(pages: u64) {
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, (channel, cursor): Turn| async move {
            let page = cursor.unwrap_or(0);
            log(format!("{channel} {page} {:?}", cx.mode()));
            if page >= pages {
                return Ok(Step::Done(page));
            }
            let link =
                NewLink::new(Ticket::Open.with(TicketMeta { number: page }), source(page), &channel, grace(), at(0));
            cx.integrations().save_link(link).await?;
            Ok(if page + 1 < pages { Step::Next(page + 1) } else { Step::Done(page + 1) })
        }));
    });
}

use crate::fixture::{Ticket, TicketMeta};

/// R11.1, L1, L7
#[tokio::test]
async fn a_sync_walks_pages_and_then_looks_at_its_interval() {
    let bench = Bench::new().await;
    walk(3);
    bench.enable("one").await;
    assert_eq!(logged(), ["one 0 Backfill", "one 1 Backfill", "one 2 Backfill"]);
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.sync.saved), (SyncState::Synced, 3));
    assert!(channel.sync.started.is_some() && channel.sync.completed.is_some());
    bench.advance("14m").await;
    assert_eq!(logged(), [""; 0]);
    bench.advance("1m").await;
    assert_eq!(logged(), ["one 3 Live"]);
    let bench = bench.crash().await;
    bench.advance("45m").await;
    assert_eq!(logged(), ["one 3 Live"; 3]);
    assert!(bench.runtime().last_sync(bench.connection).await.unwrap().is_some_and(|last| last.outcome == "succeeded"));
}

/// R11.1, L1: synced when all of the channel's syncs have ended their walk, and not before.
#[tokio::test]
async fn a_channel_is_synced_when_all_of_its_syncs_are() {
    let bench = Bench::new().await;
    walk(1);
    on(|handlers| {
        handlers.people = Some(handler(|cx: Context<Lab>, (_, cursor): Turn| async move {
            log(format!("people {cursor:?} {:?}", cx.mode()));
            Ok(match cursor {
                None => Step::Wait(cx.now().checked_add(SignedDuration::from_mins(5)).unwrap(), 1),
                Some(_) => Step::Done(2),
            })
        }));
    });
    bench.enable("one").await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Syncing);
    bench.advance("4m").await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Syncing);
    let bench = bench.crash().await;
    bench.advance("1m").await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
    let lines = logged();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("people")).collect::<Vec<_>>(),
        ["people None Backfill", "people Some(1) Backfill"]
    );
    assert_eq!(bench.channel("two").await.sync.state, SyncState::Off);
}

/// R11.1, L7: the cursor moves with the items of its step, or not at all.
#[tokio::test]
async fn a_step_that_fails_keeps_its_cursor() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): Turn| async move {
            let page = cursor.unwrap_or(0);
            log(format!("{page} {}", cx.attempt()));
            cx.integrations().save_link(ticket(page)).await?;
            if page == 1 && cx.attempt() < 3 {
                return Err(Error::transient("no"));
            }
            Ok(if page < 2 { Step::Next(page + 1) } else { Step::Done(page) })
        }));
    });
    bench.enable("one").await;
    assert_eq!(bench.links().await.len(), 1);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Syncing);
    bench.advance("1m").await;
    assert_eq!(logged(), ["0 1", "1 1", "1 2", "1 3", "2 1"]);
    assert_eq!(bench.links().await.len(), 3);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
}

/// R11.1, L1, L2: a sync that fails for good shows it, is kept, and goes on later by itself.
#[tokio::test]
async fn a_sync_that_fails_marks_its_channel_and_goes_on_later() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _| async move {
            log("items");
            if cx.now() < at(1000) { Err(Error::bug("wrong field")) } else { Ok(Step::Done(1)) }
        }));
    });
    bench.enable("one").await;
    bench.advance("10m").await;
    let channel = bench.channel("one").await;
    assert_eq!(channel.sync.state, SyncState::Failed);
    assert!(channel.sync.error.as_deref().unwrap().contains("wrong field"));
    assert_eq!(bench.dead().await.len(), 1);
    assert_eq!(logged().len(), 3);
    bench.advance("2h").await;
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.sync.error), (SyncState::Synced, None));
    assert_eq!(bench.tasks_of("sync items").await.len(), 1);
}

/// R11.1: retrying its dead letter makes it run now.
#[tokio::test]
async fn a_dead_sync_is_retried_at_once() {
    let bench = Bench::new().await;
    on(|handlers| handlers.items = Some(handler(|_, _| async move { Err(Error::rejected("no")) })));
    bench.enable("one").await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Failed);
    walk(1);
    let dead = bench.dead().await;
    bench.runtime().retry_task(dead[0].id).await.unwrap();
    bench.host.settle().await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
    assert_eq!(bench.tasks_of("sync items").await.len(), 1);
    assert!(bench.dead().await.is_empty());
}

/// R6.6, R11.1: while the service takes no requests, the channel shows it.
#[tokio::test]
async fn a_rate_limited_sync_shows_as_throttled() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _| async move {
            if cx.now() < at(600) { Err(Error::rate_limited(at(600))) } else { Ok(Step::Done(1)) }
        }));
    });
    bench.enable("one").await;
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Throttled);
    bench.advance("10m").await;
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.sync.error), (SyncState::Synced, None));
    assert!(bench.dead().await.is_empty());
}

/// R6.6, R11.1: quietly, from its beginning, in recovery.
#[tokio::test]
async fn an_expired_cursor_restarts_the_sync_in_recovery() {
    let bench = Bench::new().await;
    walk(2);
    bench.enable("one").await;
    logged();
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): Turn| async move {
            log(format!("{cursor:?} {:?}", cx.mode()));
            match cursor {
                Some(2) => Err(Error::cursor_expired("too old")),
                None => Ok(Step::Next(10)),
                Some(_) => Ok(Step::Done(11)),
            }
        }));
    });
    bench.advance("15m").await;
    assert_eq!(logged(), ["Some(2) Live", "None Recovery", "Some(10) Recovery"]);
    assert!(bench.dead().await.is_empty());
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.recovering), (SyncState::Synced, false));
    bench.advance("15m").await;
    assert_eq!(logged(), ["Some(11) Live"]);
}

/// R11.1: looking now is one look, in the lane of its channel.
#[tokio::test]
async fn sync_now_runs_what_waits() {
    let bench = Bench::new().await;
    walk(1);
    bench.enable("one").await;
    bench.enable("two").await;
    logged();
    bench.runtime().sync_now(bench.connection).await.unwrap();
    bench.runtime().sync_now(bench.connection).await.unwrap();
    bench.host.settle().await;
    let mut lines = logged();
    lines.sort();
    assert_eq!(lines, ["one 1 Live", "two 1 Live"]);
    bench.advance("14m").await;
    assert_eq!(logged(), [""; 0]);
}

/// R11.1, L3: a look that is asked for while one runs is not lost.
#[tokio::test]
async fn sync_now_while_it_runs_runs_it_again() {
    for first_run_at_a_time in [true, false] {
        let bench = Bench::new().await;
        walk(1);
        bench.enable("one").await;
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        logged();
        on(|handlers| {
            handlers.items = Some(handler(move |cx: Context<Lab>, _| {
                let runtime = runtime.clone();
                async move {
                    log("items");
                    if cx.get::<bool>("pushed").await?.is_none() {
                        cx.set("pushed", &true).await?;
                        runtime.sync_now(connection).await?;
                    }
                    Ok(Step::Done(1))
                }
            }));
        });
        if first_run_at_a_time {
            bench.advance("15m").await;
        } else {
            bench.runtime().sync_now(bench.connection).await.unwrap();
            bench.host.settle().await;
        }
        assert_eq!(logged(), ["items", "items"], "{first_run_at_a_time}");
        assert_eq!(bench.tasks_of("sync items").await.len(), 1);
    }
}

/// R11.1, L3: a push that does not say what has changed lets the sync of its channel look, once, and no other.
#[tokio::test]
async fn a_push_lets_a_sync_look_now() {
    let bench = Bench::new().await;
    walk(1);
    bench.enable("one").await;
    bench.enable("two").await;
    logged();
    bench
        .run(|cx| async move {
            for channel in ["one", "one", "off"] {
                cx.sync_now(crate::fixture::Items { channel: channel.into() }).await?;
            }
            Ok(())
        })
        .await;
    bench.host.settle().await;
    assert_eq!(logged(), ["one 1 Live"]);
}

/// R11.3, R6.3
#[tokio::test]
async fn declared_intervals_run_whatever_happens() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.tick = Some(handler(|cx: Context<Lab>, ()| async move {
            let hour = (cx.now().as_second() - at(0).as_second()) / 3600;
            log(format!("tick {hour}"));
            if hour == 2 { Err(Error::rejected("no")) } else { Ok(()) }
        }));
    });
    bench.advance("4h").await;
    assert_eq!(logged(), ["tick 1", "tick 2", "tick 3", "tick 4"]);
    assert_eq!(bench.tasks_of("every tick").await.len(), 1);
}

/// R3.6, R11.5, L8
#[tokio::test]
async fn disabling_a_channel_ends_its_work() {
    let bench = Bench::new().await;
    walk(2);
    bench.enable("one").await;
    bench.enable("two").await;
    bench
        .run(|cx| async move {
            cx.mark_dirty(Changed { channel: "one".into() }, ["a".into()]).await?;
            cx.mark_dirty(Changed { channel: "two".into() }, ["b".into()]).await?;
            let later = cx.now().checked_add(SignedDuration::from_hours(1)).unwrap();
            cx.run_task_at(crate::fixture::ActIn { channel: "one".into(), name: "x".into() }, later).await.map(drop)
        })
        .await;
    bench.save([ticket(50)]).await;
    let hidden = |entries: Vec<(String, serde_json::Value)>| {
        entries.into_iter().map(|(key, _)| key).filter(|key| key.contains("one")).collect::<Vec<_>>()
    };
    assert_eq!(hidden(bench.runtime().state(bench.connection, "").await.unwrap()).len(), 5);
    on(|handlers| {
        handlers.disabled = Some(handler(|cx: Context<Lab>, channel: Channel| async move {
            log(format!("disabled {}", channel.id));
            cx.set("left", &channel.name).await?;
            // It is there while the connector cleans up, and what is queued for the channel goes with it.
            cx.run_task(crate::fixture::ActIn { channel: "one".into(), name: "x".into() }).await.map(drop)
        }));
    });
    logged();
    let row = bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    assert!(!row.enabled);
    assert_eq!(logged(), ["disabled one"]);
    assert_eq!(bench.value("left").await, json!("One"));
    assert_eq!((row.sync.state, row.walking.len()), (SyncState::Off, 0));
    bench.advance("3h").await;
    let lines = logged();
    assert!(lines.contains(&"changed b".to_owned()) && !lines.contains(&"disabled one".to_owned()), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.starts_with("one") || line.contains("changed a") || line.starts_with("x in")),
        "{lines:?}"
    );
    assert_eq!(hidden(bench.runtime().state(bench.connection, "").await.unwrap()), [""; 0]);
    assert!(bench.tasks().await.iter().all(|task| task.channel.as_deref() != Some("one")));
    for row in bench.links().await {
        assert_eq!(row.link.archived, row.link.channel.as_str() == "one", "{row:?}");
    }
    // Enabled again, it begins again.
    bench.enable("one").await;
    let lines = logged();
    assert_eq!(lines[0], "one 0 Backfill", "{lines:?}");
    assert!(bench.links().await.iter().any(|row| row.link.channel.as_str() == "one" && !row.link.archived));
}

/// R3.6: a hook that fails does not keep the channel, and is tried again.
#[tokio::test]
async fn cleaning_up_a_channel_is_tried_again() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        let tries = std::sync::Mutex::new(0);
        handlers.disabled = Some(handler(move |cx: Context<Lab>, _| {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            let fails = *tries < 3;
            async move {
                cx.set("cleaned", &true).await?;
                if fails { Err(Error::transient("502")) } else { Ok(()) }
            }
        }));
    });
    let row = bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    assert!(!row.enabled);
    assert_eq!(bench.tasks_of("on_channel_disabled").await.len(), 1);
    bench.host.settle().await;
    assert_eq!(bench.value("cleaned").await, json!(null), "nothing of a failed hook is stored");
    bench.advance("1m").await;
    assert_eq!(bench.value("cleaned").await, json!(true));
    assert!(bench.tasks_of("on_channel_disabled").await.is_empty());
}

/// Design 6.2: who loses against others again and again hears that it was a conflict, and may try again.
#[tokio::test]
async fn a_user_who_always_loses_is_told_of_a_conflict() {
    let bench = Bench::enabled().await;
    bench.host.engine().fail_commits(|set| {
        let of_channel = set.writes.iter().any(|write| matches!(write, Write::PutChannel { .. }));
        of_channel.then(|| CommitError::RecordConflict.into())
    });
    let refused = bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap_err();
    assert!(matches!(refused, ActionError::Conflict(_)), "{refused:?}");
    bench.host.engine().stop_failing();
    assert!(bench.channel("one").await.enabled);
    assert!(!bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap().enabled);
}

/// R11.5: what a channel's task had under way when the channel was disabled is not stored.
#[tokio::test]
async fn a_step_that_runs_while_its_channel_is_disabled_stores_nothing() {
    let bench = Bench::new().await;
    let (runtime, connection) = (bench.runtime().clone(), bench.connection);
    on(|handlers| {
        handlers.items = Some(handler(move |cx: Context<Lab>, _| {
            let runtime = runtime.clone();
            async move {
                cx.integrations().save_link(ticket(1)).await?;
                runtime.disable_channel(connection, &"one".into()).await?;
                Ok(Step::Next(1))
            }
        }));
    });
    bench.enable("one").await;
    bench.advance("1h").await;
    assert!(bench.links().await.is_empty());
    assert!(bench.tasks_of("sync items").await.is_empty());
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Off);
}

async fn plain() -> (TestHost, connector_core::id::ConnectionId) {
    let host = TestHost::with_network(Registry::of::<Plain>().unwrap(), quiet());
    let mut request = ConnectRequest::new("plain", "ada");
    request.options = json!({"api_key": "k"}).as_object().cloned().unwrap();
    let id = host.runtime().connect(request).await.unwrap().id;
    (host, id)
}

/// R3.4, R8.2, L1: a connector that walks by tasks of its own says itself when it is done.
#[tokio::test]
async fn a_walk_of_tasks_ends_when_the_connector_says_so() {
    let (host, id) = plain().await;
    on(|handlers| {
        handlers.enabled = Some(handler(|cx: Context<Plain>, (channel, _): (Channel, SyncContext)| async move {
            cx.run_task(crate::fixture::Walk { channel: channel.id, page: 0 }).await.map(drop)
        }));
        handlers.walk = Some(handler(|cx: Context<Plain>, (channel, page)| async move {
            log(format!("walk {page} {:?}", cx.mode()));
            if page == 2 {
                cx.integrations().channel_sync_completed(&channel).await?;
                return cx.integrations().channel_sync_completed(&channel).await;
            }
            let later = cx.now().checked_add(SignedDuration::from_mins(1)).unwrap();
            cx.run_task_at(crate::fixture::Walk { channel, page: page + 1 }, later).await.map(drop)
        }));
    });
    host.settle().await;
    logged();
    let state = async || host.runtime().ports().engine.channel(id, "memos".into()).await.unwrap().unwrap().sync.state;
    host.runtime().enable_channel(id, &"memos".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    assert_eq!(state().await, SyncState::Syncing);
    host.advance(SignedDuration::from_mins(1)).await;
    assert_eq!(state().await, SyncState::Syncing);
    host.advance(SignedDuration::from_mins(1)).await;
    assert_eq!(state().await, SyncState::Synced);
    assert_eq!(logged(), ["enabled memos recovering=false", "walk 0 Backfill", "walk 1 Backfill", "walk 2 Backfill"]);
    // Twice is once.
    host.runtime().enable_channel(id, &"memos".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    assert_eq!(logged(), [""; 0]);
}

/// R3.4: the mark of syncing is cleared when the hook fails for good.
#[tokio::test]
async fn a_channel_whose_hook_fails_is_not_syncing_for_ever() {
    let (host, id) = plain().await;
    on(|handlers| handlers.enabled = Some(handler(|_, _| async move { Err(Error::bug("no")) })));
    host.runtime().enable_channel(id, &"memos".into(), ChannelUpdate::default()).await.unwrap();
    host.advance(SignedDuration::from_hours(1)).await;
    let channel = host.runtime().ports().engine.channel(id, "memos".into()).await.unwrap().unwrap();
    assert_eq!(channel.sync.state, SyncState::Failed);
}

/// R3.5, L5
#[tokio::test]
async fn on_channel_enabled_does_not_call_the_service() {
    let (host, id) = plain().await;
    on(|handlers| {
        handlers.enabled = Some(handler(|cx: Context<Plain>, _| async move {
            let error = cx.network().get("https://example.test/").send().await.unwrap_err();
            log(format!("{} {error}", error.kind().as_str()));
            Ok(())
        }));
    });
    logged();
    host.runtime().enable_channel(id, &"memos".into(), ChannelUpdate::default()).await.unwrap();
    host.settle().await;
    let line = logged().pop().unwrap();
    assert!(
        line.starts_with("bug") && line.contains("on_channel_enabled") && line.contains("must return fast"),
        "{line}"
    );
}

/// R8.5, R11.1: a sync of the whole connection walks what was there before, and then follows.
#[tokio::test]
async fn a_sync_of_a_connection_knows_its_mode() {
    let host = TestHost::with_network(Registry::of::<Plain>().unwrap(), quiet());
    on(|handlers| {
        handlers.feed = Some(handler(|cx: Context<Plain>, cursor: Option<u64>| async move {
            log(format!("{cursor:?} {:?}", cx.mode()));
            Ok(match cursor {
                None => Step::Next(1),
                Some(1) => Step::Done(2),
                Some(2) if cx.now() > at(2000) => return Err(Error::cursor_expired("old")),
                Some(other) => Step::Done(other),
            })
        }));
    });
    logged();
    let mut request = ConnectRequest::new("plain", "ada");
    request.options = json!({"api_key": "k"}).as_object().cloned().unwrap();
    host.runtime().connect(request).await.unwrap();
    host.settle().await;
    assert_eq!(logged(), ["None Backfill", "Some(1) Backfill"]);
    host.advance(SignedDuration::from_mins(30)).await;
    assert_eq!(logged(), ["Some(2) Live"]);
    host.advance(SignedDuration::from_mins(30)).await;
    assert_eq!(logged(), ["Some(2) Live", "None Recovery", "Some(1) Recovery"]);
}

/// What is shown of the work of this name, in its scopes.
async fn work_of(bench: &Bench, name: &str) -> Vec<WorkView> {
    let work = bench.runtime().work(bench.connection).await.unwrap();
    work.into_iter().filter(|work| work.name == name).collect()
}

/// R11, issue 4: each piece of declared work shows where it is, in each of its scopes.
#[tokio::test]
async fn work_shows_where_it_is() {
    let bench = Bench::new().await;
    assert!(work_of(&bench, "items").await.is_empty(), "it has no scope before a channel is enabled");
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, (_, cursor): Turn| async move {
            Ok(match cursor {
                None => {
                    cx.integrations().save_links([ticket(1), ticket(2)]).await?;
                    Step::Wait(at(60), 1)
                }
                Some(1) if cx.attempt() == 1 => return Err(Error::transient("502")),
                Some(1) => {
                    cx.integrations().save_link(ticket(3)).await?;
                    Step::Done(2)
                }
                Some(2) => return Err(Error::cursor_expired("too old")),
                Some(_) => Step::Done(4),
            })
        }));
    });
    let see = async || {
        let items = work_of(&bench, "items").await;
        assert_eq!(items.len(), 1);
        items.into_iter().next().unwrap()
    };
    bench.runtime().enable_channel(bench.connection, &"one".into(), ChannelUpdate::default()).await.unwrap();
    let view = see().await;
    assert_eq!((view.kind, view.channel.as_ref().map(ChannelId::as_str)), ("sync", Some("one")));
    assert_eq!((view.state, view.interval, view.last_run), (WorkState::Queued, Some(900), None));
    bench.host.settle().await;
    let view = see().await;
    assert_eq!(
        (view.state, view.saved, view.next_run, view.last_run),
        (WorkState::Waiting, 2, Some(at(60)), Some(at(0)))
    );
    bench.advance("1m").await;
    let view = see().await;
    assert_eq!((view.state, view.attempt), (WorkState::Retrying, 1));
    assert!(view.error.is_some_and(|error| error.message.contains("502")));
    let bench = bench.crash().await;
    bench.advance("10s").await;
    let view = work_of(&bench, "items").await.remove(0);
    assert_eq!((view.state, view.saved, view.attempt), (WorkState::Idle, 3, 0));
    assert!(view.error.is_none() && view.next_run.is_some_and(|next| next > at(900)));
    // Its cursor expires: it begins anew, and that is counted.
    on(|handlers| {
        handlers.items = Some(handler(|_, (_, cursor): Turn| async move {
            if cursor == Some(2) { Err(Error::cursor_expired("too old")) } else { Ok(Step::Done(5)) }
        }));
    });
    bench.advance("15m").await;
    let view = work_of(&bench, "items").await.remove(0);
    assert_eq!((view.state, view.restarts), (WorkState::Idle, 1));
    on(|handlers| handlers.items = Some(handler(|_, _| async move { Err(Error::rejected("no such project")) })));
    bench.advance("15m").await;
    let view = work_of(&bench, "items").await.remove(0);
    assert_eq!(view.state, WorkState::Failed);
    assert!(view.error.is_some_and(|error| error.message.contains("no such project")));
    assert!(view.next_run.is_some(), "it goes on by itself");
    // With its channel it goes, and begins without a history.
    bench.runtime().disable_channel(bench.connection, &"one".into()).await.unwrap();
    assert!(work_of(&bench, "items").await.is_empty());
    on(|handlers| handlers.items = None);
    bench.enable("one").await;
    let view = work_of(&bench, "items").await.remove(0);
    assert_eq!((view.state, view.saved, view.restarts, view.error), (WorkState::Idle, 0, 0, None));
}

/// R11.2, R11.3, R3.7: drains show what is marked, recurring work its interval, and all of it that its connection waits.
#[tokio::test]
async fn work_of_every_kind_shows() {
    let bench = Bench::enabled().await;
    on(|handlers| handlers.tick = Some(handler(|_, ()| async move { Ok(()) })));
    bench
        .run(|cx| async move { cx.mark_dirty(Changed { channel: "one".into() }, ["a".into(), "b".into()]).await })
        .await;
    let drain = work_of(&bench, "changed").await.remove(0);
    assert_eq!((drain.kind, drain.state, drain.marked, drain.interval), ("drain", WorkState::Waiting, Some(2), None));
    assert!(drain.next_run.is_some());
    bench.advance("2s").await;
    let drain = work_of(&bench, "changed").await.remove(0);
    assert_eq!((drain.state, drain.marked, drain.next_run), (WorkState::Idle, Some(0), None));
    assert_eq!(drain.last_run, Some(at(2)));
    let tick = work_of(&bench, "tick").await.remove(0);
    assert_eq!((tick.kind, tick.channel, tick.interval), ("every", None, Some(3600)));
    bench.run(|cx| async move { cx.integrations().mark_needs_reauth("revoked").await }).await;
    assert_eq!(work_of(&bench, "tick").await[0].state, WorkState::Parked);
}

/// L2, L3, issue 4: at most one run of a scope at a time, however often it is pushed; pushes during a run become one more.
#[tokio::test]
async fn a_scope_runs_once_at_a_time() {
    let bench = Bench::new().await;
    let (running, most, runs) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&runs));
    on(|handlers| {
        handlers.items = Some(handler(move |_, _| {
            let (running, most, runs) = counters.clone();
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                runs.fetch_add(1, Ordering::SeqCst);
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Step::Done(1))
            }
        }));
    });
    let workers = bench.runtime().start().await.unwrap();
    bench.runtime().enable_channel(bench.connection, &"one".into(), ChannelUpdate::default()).await.unwrap();
    while running.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(work_of(&bench, "items").await[0].state, WorkState::Running);
    for _ in 0..10 {
        bench.runtime().sync_now(bench.connection).await.unwrap();
    }
    while runs.load(Ordering::SeqCst) < 2 || running.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    workers.stop(bench.runtime()).await;
    assert_eq!((most.load(Ordering::SeqCst), runs.load(Ordering::SeqCst)), (1, 2));
}

/// R6.3, L20: each run of recurring work has an idempotency key of its own, and its attempts share it.
#[tokio::test]
async fn runs_of_recurring_work_differ_by_their_idempotency_key() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.tick = Some(handler(|cx: Context<Lab>, ()| async move {
            log(cx.idempotency_key());
            if cx.attempt() == 1 { Err(Error::transient("502")) } else { Ok(()) }
        }));
    });
    logged();
    bench.advance("2h 5m").await;
    let keys = logged();
    assert_eq!(keys.len(), 4);
    assert_eq!((&keys[0], &keys[2]), (&keys[1], &keys[3]));
    assert_ne!(keys[0], keys[2]);
}

/// R6.3, R6.6: what runs by the clock is not tried later than it would run anyway.
#[tokio::test]
async fn a_failing_sync_does_not_wait_longer_than_its_interval() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _| async move {
            log(cx.now().duration_since(at(0)).as_secs().to_string());
            Err(Error::transient("502"))
        }));
    });
    bench.enable("one").await;
    bench.advance("1h").await;
    let times: Vec<i64> = logged().iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(times.len(), 12, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 900), "{times:?}");
}

/// R8.7: a longer history is fetched at once, as a recovery; a shorter one changes nothing that is there.
#[tokio::test]
async fn a_longer_history_is_walked_again() {
    let bench = Bench::new().await;
    let change = async |days: Patch<u32>| {
        let update = ConnectionUpdate { history_days: days, ..ConnectionUpdate::default() };
        bench.runtime().update_connection(bench.connection, update).await.unwrap();
        bench.host.settle().await;
    };
    change(Patch::Set(10)).await;
    walk(2);
    bench.enable("one").await;
    assert_eq!(logged(), ["one 0 Backfill", "one 1 Backfill"]);
    change(Patch::Set(5)).await;
    change(Patch::Keep).await;
    assert_eq!(logged(), [""; 0]);
    change(Patch::Set(30)).await;
    assert_eq!(logged(), ["one 0 Recovery", "one 1 Recovery"]);
    change(Patch::Clear).await;
    assert_eq!(logged(), ["one 0 Recovery", "one 1 Recovery"]);
    assert_eq!(bench.channel("one").await.sync.state, SyncState::Synced);
    assert_eq!(bench.tasks_of("sync items").await.len(), 1);
}

/// R6.7: a connection that uses more than the operator allows is suspended, visibly, and loses nothing.
#[tokio::test]
async fn a_connection_over_its_budget_is_suspended() {
    let registry = Registry::of::<Lab>().unwrap();
    let host =
        TestHost::with_network(registry.clone(), quiet()).configure(|config| config.budget.dispatches = Some(20));
    let bench = Bench::on(host, quiet()).await;
    on(|handlers| {
        handlers.items = Some(handler(|_, (_, page): Turn| async move {
            log("step");
            Ok(if page.unwrap_or(0) < 100 { Step::Next(page.unwrap_or(0) + 1) } else { Step::Done(100) })
        }));
    });
    let other = bench.runtime().connect(lab_for("bob")).await.unwrap().id;
    bench.enable("one").await;
    let status = async |bench: &Bench, id| {
        let row = bench.runtime().connection(id).await.unwrap();
        (row.status, row.status_reason.clone())
    };
    let (state, reason) = status(&bench, bench.connection).await;
    assert_eq!(state, ConnectionStatus::Suspended);
    assert!(reason.unwrap().contains("more than 20 dispatches"));
    assert_eq!(status(&bench, other).await.0, ConnectionStatus::Active);
    assert_eq!(work_of(&bench, "items").await[0].state, WorkState::Parked);
    let ran = logged().len();
    assert!((15..=20).contains(&ran), "{ran}");
    bench.advance("2h").await;
    assert_eq!(logged().len(), 0, "time alone does not resume it");
    assert!(bench.runtime().resume(other).await.is_err());
    bench.runtime().resume(bench.connection).await.unwrap();
    bench.host.settle().await;
    let ran = logged().len();
    assert!((15..=20).contains(&ran), "its limits count anew: {ran}");
    assert_eq!(status(&bench, bench.connection).await.0, ConnectionStatus::Suspended);
    // Suspended it stays over a restart, and another version of its connector resumes it.
    let bench = bench.crash().await;
    bench.host.settle().await;
    assert_eq!(logged().len(), 0);
    let mut row =
        connector_core::engine::ConnectionRow::clone(&*bench.runtime().connection(bench.connection).await.unwrap());
    row.connector_version = "0".to_owned();
    let expect = Some(row.version);
    let put = connector_core::engine::Write::PutConnection { row: Box::new(row), expect };
    bench.runtime().ports().engine.commit(connector_core::engine::WriteSet::of([put])).await.unwrap();
    bench.runtime().upgrade_connections().await.unwrap();
    assert_eq!(status(&bench, bench.connection).await, (ConnectionStatus::Active, None));
}

/// R6.7: within a sliding window, by its cost too.
#[tokio::test]
async fn a_budget_slides_and_counts_requests() {
    let registry = Registry::of::<Lab>().unwrap();
    let host = TestHost::with_network(registry, quiet()).configure(|config| config.budget.requests = Some(4));
    let bench = Bench::on(host, quiet()).await;
    let status = async || bench.runtime().connection(bench.connection).await.unwrap().status;
    let ask = async |times: usize| {
        bench
            .run(move |cx| async move {
                for _ in 0..times {
                    cx.provider().get("x").send().await?;
                }
                Ok(())
            })
            .await;
    };
    ask(3).await;
    bench.advance("61m").await;
    ask(3).await;
    assert_eq!(status().await, ConnectionStatus::Active, "the first ones are over an hour ago");
    ask(2).await;
    assert_eq!(status().await, ConnectionStatus::Suspended);
}

/// R11.9, L34: a request to look for changes that comes at any step of a walk is not absorbed by the walk.
#[tokio::test]
async fn a_request_during_a_walk_begins_another_after_it() {
    for (at_step, in_the_run) in [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)] {
        let bench = Bench::new().await;
        let runtime = bench.runtime().clone();
        let connection = bench.connection;
        on(|handlers| {
            handlers.items = Some(handler(move |_: Context<Lab>, (_, cursor): Turn| {
                let runtime = runtime.clone();
                async move {
                    let page = cursor.unwrap_or(0);
                    log(page.to_string());
                    // The first walk after the backfill is asked again in the middle of one of its steps.
                    if in_the_run && page == 10 + at_step {
                        runtime.sync_now(connection).await.unwrap();
                    }
                    Ok(if page % 10 < 2 { Step::Next(page + 1) } else { Step::Done(page - page % 10 + 10) })
                }
            }));
        });
        bench.enable("one").await;
        assert_eq!(logged(), ["0", "1", "2"]);
        bench.runtime().sync_now(connection).await.unwrap();
        if !in_the_run {
            // One connection-wide look makes other work run as well: steps are counted by what the walk logs.
            let mut walked = Vec::new();
            while walked.len() < usize::try_from(at_step).unwrap() {
                assert!(bench.host.step().await, "the walk goes on");
                walked.extend(logged());
            }
            bench.runtime().sync_now(connection).await.unwrap();
            walked.into_iter().for_each(log);
        }
        bench.host.settle().await;
        let expected: &[&str] =
            if !in_the_run && at_step == 0 { &["10", "11", "12"] } else { &["10", "11", "12", "20", "21", "22"] };
        let mut walked = logged();
        walked.sort_unstable();
        assert_eq!(walked, expected, "asked at step {at_step}, in the run: {in_the_run}");
    }
}

/// R11.9, L33: a list that is gone is a failure that people see.
#[tokio::test]
async fn a_list_that_is_gone_fails_its_channel_with_the_reason() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|_: Context<Lab>, _: Turn| async { Err(Error::gone("there is no such list")) }));
    });
    bench.enable("one").await;
    let channel = bench.channel("one").await;
    assert_eq!(channel.sync.state, SyncState::Failed);
    assert!(channel.sync.error.is_some_and(|error| error.contains("no such list")));
    assert_eq!(bench.dead().await.len(), 1);
    let last = bench.runtime().last_sync(bench.connection).await.unwrap().expect("it ended");
    assert!(last.outcome.contains("no such list"), "{last:?}");
    assert_eq!(bench.runtime().looking(bench.connection).await.unwrap().pending, 0);
    walk(1);
    bench.advance("1h").await;
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.sync.error), (SyncState::Synced, None));
    let last = bench.runtime().last_sync(bench.connection).await.unwrap().expect("it ended");
    assert_eq!(last.outcome, "succeeded");
}

/// L45: a sync that fails shows why until a step has succeeded, also while it is tried again.
#[tokio::test]
async fn a_throttled_channel_says_why_until_a_step_succeeds() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _: Turn| async move {
            Err(Error::rate_limited(cx.now().checked_add(SignedDuration::from_mins(30)).unwrap()))
        }));
    });
    bench.enable("one").await;
    for _ in 0..2 {
        let channel = bench.channel("one").await;
        assert_eq!(channel.sync.state, SyncState::Throttled);
        assert!(channel.sync.error.is_some_and(|error| error.contains("rate limited until")));
        bench.runtime().sync_now(bench.connection).await.unwrap();
    }
    walk(1);
    bench.advance("31m").await;
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.sync.error), (SyncState::Synced, None));
}

/// R11.11, L41: a stored cursor that the type does not read any more restarts the walk in recovery mode.
#[tokio::test]
async fn a_cursor_of_an_older_type_restarts_the_walk() {
    let bench = Bench::new().await;
    walk(2);
    bench.enable("one").await;
    logged();
    let engine = &bench.runtime().ports().engine;
    let entries = engine.state_entries(bench.connection, "h/".to_owned(), 1_000).await.unwrap();
    let (key, _) = entries.into_iter().find(|(key, _)| key.contains("cursor/items")).expect("the cursor is stored");
    let value = connector_core::value::to_bytes(&Some("page two")).unwrap().into();
    let put = Write::PutState { connection: bench.connection, key, value };
    engine.commit(connector_core::engine::WriteSet::of([put])).await.unwrap();
    bench.advance("15m").await;
    assert_eq!(logged(), ["one 0 Recovery", "one 1 Recovery"]);
    let channel = bench.channel("one").await;
    assert_eq!((channel.sync.state, channel.sync.error), (SyncState::Synced, None));
    assert!(bench.dead().await.is_empty());
}
