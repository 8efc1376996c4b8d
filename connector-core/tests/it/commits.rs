//! What follows a commit does not depend on who waits for it.
//!
//! Each action is dropped after each of its polls in turn, on a store whose calls suspend. Whatever was stored by then
//! must run, show and be known, as if the caller had waited.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use connector_core::prelude::*;
use connector_core::runtime::{ChannelUpdate, ConnectionUpdate, LinkUpdate, NewUserNote};
use serde_json::json;

use crate::fixture::{Act, Bench, act, lab_for, log, logged, source, ticket};

/// Polls this often, then drops the future. True if it has ended by then.
async fn dropped_after<T>(polls: usize, action: impl Future<Output = T>) -> bool {
    let mut action = pin!(action);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        if action.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Lets what goes on by itself come to its end, runs everything, and looks for what was left behind.
async fn is_consistent(bench: &Bench, when: &str) {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
    bench.host.engine().suspend_calls(false);
    bench.host.settle().await;
    let (runtime, engine) = (bench.runtime(), &bench.runtime().ports().engine);
    let now = bench.host.clock().now();
    let due = |task: &connector_core::runtime::TaskView| task.run_at.is_none_or(|at| at <= now);
    let left: Vec<_> = bench.tasks().await.into_iter().filter(due).collect();
    assert!(left.is_empty(), "{when}: these are due and do not run: {left:?}");
    let feed = engine.feed_end().await.unwrap();
    assert_eq!(*runtime.feed_changes().borrow(), feed, "{when}: readers of the feed were not told of its end");
    let Ok(row) = runtime.connection(bench.connection).await else { return };
    act("look", |cx| async move {
        log(cx.options().size.to_string());
        Ok(())
    });
    logged();
    runtime.queue(bench.connection, Act { name: "look".into() }).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), [row.options["size"].to_string()], "{when}: dispatches see other options than are stored");
}

/// Drops an action after each of its polls in turn.
async fn at_each_await<T, Work>(name: &str, action: impl Fn(&Bench) -> Work)
where
    Work: Future<Output = T>,
{
    for polls in 0..400 {
        let bench = Bench::new().await;
        bench.enable("one").await;
        bench.save([ticket(1)]).await;
        bench.host.engine().suspend_calls(true);
        let ended = dropped_after(polls, action(&bench)).await;
        is_consistent(&bench, &format!("{name}, dropped after {polls} polls")).await;
        if ended {
            assert!(polls > 2, "{name} never waits for the store");
            return;
        }
    }
    panic!("{name} does not end");
}

#[tokio::test]
async fn a_note_whose_writer_left_is_sent_all_the_same() {
    at_each_await("create_note", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move {
            let links = runtime.ports().engine.links_by_source(connection, vec![source(1)]).await.unwrap();
            let thread = links[0].as_ref().unwrap().link.thread;
            let note = NewUserNote {
                user: "ada".into(),
                content: "On it.".to_owned(),
                link: None,
                recipients: Vec::new(),
                attachments: Vec::new(),
            };
            runtime.create_note(thread, note).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_link_is_written_back_all_the_same() {
    at_each_await("update_link", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move {
            let links = runtime.ports().engine.links_by_source(connection, vec![source(1)]).await.unwrap();
            let update = LinkUpdate { status: Some("closed".into()), ..LinkUpdate::default() };
            runtime.update_link(links[0].as_ref().unwrap().id(), &"ada".into(), update).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn changed_options_hold_for_the_next_dispatch() {
    at_each_await("update_connection", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move {
            let options = json!({"size": 77}).as_object().cloned();
            let update = ConnectionUpdate { options, ..ConnectionUpdate::default() };
            runtime.update_connection(connection, update).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_whose_maker_left_runs_its_work() {
    at_each_await("connect", |bench| {
        let runtime = bench.runtime().clone();
        async move { runtime.connect(lab_for("bob")).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn channels_are_switched_whole_whoever_waits() {
    at_each_await("enable_channel", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move { runtime.enable_channel(connection, &"two".into(), ChannelUpdate::default()).await.unwrap() }
    })
    .await;
    at_each_await("disable_channel", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move { runtime.disable_channel(connection, &"one".into()).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_whose_caller_left_goes_on_to_its_end() {
    at_each_await("disconnect", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move { runtime.disconnect(connection).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn queued_and_hastened_tasks_run_whoever_waits() {
    at_each_await("queue", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move { runtime.queue(connection, Act { name: "none".into() }).await.unwrap() }
    })
    .await;
    at_each_await("sync_now", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move { runtime.sync_now(connection).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn a_new_token_holds_whoever_waits() {
    at_each_await("reauthorize", |bench| {
        let (runtime, connection) = (bench.runtime().clone(), bench.connection);
        async move { runtime.reauthorize(connection, Secret::new("another")).await.unwrap() }
    })
    .await;
}

/// The dispatch reaches its time limit while its checkpoint waits for an answer. What the checkpoint stored runs.
#[tokio::test]
async fn a_task_of_a_checkpoint_runs_though_its_run_ended() {
    let bench = Bench::new().await;
    act("child", |_| async {
        log("child");
        Ok(())
    });
    let engine = bench.host.engine().clone();
    act("parent", move |cx| {
        let engine = engine.clone();
        async move {
            cx.run_task(Act { name: "child".into() }).await?;
            engine.hold_answers();
            cx.checkpoint().await?;
            Ok(())
        }
    });
    bench.runtime().queue(bench.connection, Act { name: "parent".into() }).await.unwrap();
    // The answer comes once the run has used up its time.
    let (engine, clock) = (bench.host.engine().clone(), bench.host.clock().clone());
    let began = clock.now();
    let answered = async move {
        while clock.now().duration_since(began) < SignedDuration::from_secs(60) {
            tokio::task::yield_now().await;
        }
        engine.give_answers();
        std::future::pending::<()>().await;
    };
    let step = bench.host.step();
    futures_util::future::select(pin!(step), pin!(answered)).await;
    act("parent", |_| async { Ok(()) });
    logged();
    bench.host.settle().await;
    assert!(logged().contains(&"child".to_owned()));
    assert!(bench.tasks_of("act").await.iter().all(|task| task.run_at.is_some()), "{:?}", bench.tasks().await);
}

#[tokio::test]
async fn changes_of_a_connection_at_once_are_all_made() {
    for polls in 1..400 {
        let bench = Bench::new().await;
        bench.host.engine().suspend_calls(true);
        let (runtime, connection) = (bench.runtime(), bench.connection);
        let options = json!({"size": 7}).as_object().cloned();
        let mut first = pin!(runtime.update_connection(connection, ConnectionUpdate { options, ..Default::default() }));
        let ended = dropped_after(polls, first.as_mut()).await;
        let name = Some("Mine".to_owned());
        runtime.update_connection(connection, ConnectionUpdate { name, ..Default::default() }).await.unwrap();
        if ended {
            assert!(polls > 2, "a change never waits for the store");
            return;
        }
        first.await.unwrap_or_else(|error| panic!("changed after {polls} polls by another: {error}"));
        let row = runtime.connection(connection).await.unwrap();
        assert_eq!((row.name.as_str(), &row.options["size"]), ("Mine", &json!(7)));
    }
    panic!("a change does not end");
}
