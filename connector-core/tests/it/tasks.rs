use connector_core::prelude::*;
use connector_core::runtime::ConnectionUpdate;

use crate::fixture::{Act, ActIn, Bench, act, log, logged, on};

fn act_now(name: &str) -> Act {
    Act { name: name.to_owned() }
}

/// A task of this name writes down that it ran, and when.
fn writes_down(name: &'static str) {
    act(name, move |cx| async move {
        log(format!("{name} {}", cx.now().as_second() - crate::fixture::at(0).as_second()));
        Ok(())
    });
}

/// R6.1
#[tokio::test]
async fn a_task_runs_at_its_time_and_not_before() {
    let bench = Bench::new().await;
    writes_down("a");
    bench
        .run(|cx| async move {
            cx.run_task(act_now("a")).await?;
            cx.run_task_at(act_now("a"), crate::fixture::at(60)).await?;
            cx.run_task_at(act_now("a"), crate::fixture::at(-60)).await.map(drop)
        })
        .await;
    assert_eq!(logged(), ["a 0", "a 0"]);
    bench.advance("59s").await;
    assert_eq!(logged(), [""; 0]);
    let bench = bench.crash().await;
    bench.advance("1s").await;
    assert_eq!(logged(), ["a 60"]);
    bench.advance("24h").await;
    assert_eq!(logged(), [""; 0]);
}

/// R6.1
#[tokio::test]
async fn a_task_is_cancelled_before_it_runs_and_cancelling_another_time_is_no_error() {
    let bench = Bench::new().await;
    writes_down("a");
    let (run, waits) = bench
        .run(|cx| async move {
            let taken_back = cx.run_task(act_now("a")).await?;
            cx.cancel_task(&taken_back).await?;
            cx.cancel_task(&taken_back).await?;
            Ok((cx.run_task(act_now("a")).await?, cx.run_task_at(act_now("a"), crate::fixture::at(60)).await?))
        })
        .await;
    assert_eq!(logged(), ["a 0"]);
    bench
        .run(move |cx| async move {
            cx.cancel_task(&run).await?;
            cx.cancel_task(&waits).await
        })
        .await;
    bench.advance("24h").await;
    assert_eq!(logged(), [""; 0]);
    assert!(bench.tasks_of("act").await.is_empty());
}

/// R6.1: of a task that is cancelled while it runs, nothing is stored.
#[tokio::test]
async fn a_task_that_is_cancelled_while_it_runs_stores_nothing() {
    let bench = Bench::new().await;
    let runtime = bench.runtime().clone();
    act("a", move |cx| {
        let runtime = runtime.clone();
        async move {
            cx.set("ran", &true).await?;
            let own = runtime.tasks(connector_core::engine::TaskQuery::all(100)).await?;
            let own = own.iter().find(|task| task.does == "act").unwrap().id;
            runtime.discard_task(own).await?;
            log("ran");
            Ok(())
        }
    });
    bench.run(|cx| async move { cx.run_task(act_now("a")).await.map(drop) }).await;
    bench.advance("2h").await;
    assert_eq!(logged(), ["ran"]);
    assert_eq!(bench.value("ran").await, serde_json::json!(null));
    assert!(bench.dead().await.is_empty());
}

/// R6.1: the connector's own tasks; not what the host does for it, nor what users wait for.
#[tokio::test]
async fn cancelling_all_tasks_spares_declared_work_and_users_changes() {
    let bench = Bench::enabled().await;
    bench.save([crate::fixture::ticket(1)]).await;
    writes_down("a");
    on(|handlers| {
        handlers.note_created = Some(crate::fixture::handler(|cx, (note, _): (Note, Thread)| async move {
            if cx.get::<bool>("cancelled").await?.is_none() {
                Err(Error::transient("later"))
            } else {
                Ok(WriteBack::delivered(note.content))
            }
        }));
    });
    let thread = bench.links().await[0].link.thread;
    let note = bench.writes(thread, "hello").await;
    bench.host.settle().await;
    let declared = bench.tasks().await.len();
    bench
        .run(|cx| async move {
            cx.run_task_at(act_now("a"), crate::fixture::at(60)).await?;
            cx.schedule_task("k", act_now("a"), Scheduled::at(crate::fixture::at(60))).await?;
            cx.schedule_recurring("r", act_now("a"), SignedDuration::from_hours(1), None).await
        })
        .await;
    assert_eq!(logged(), ["a 0"]);
    bench
        .run(|cx| async move {
            cx.set("cancelled", &true).await?;
            cx.run_task(act_now("a")).await?;
            cx.cancel_all_tasks().await
        })
        .await;
    assert_eq!(bench.tasks().await.len(), declared);
    bench.advance("3h").await;
    assert_eq!(logged(), [""; 0]);
    assert_eq!(bench.note(note.id).await.note.delivery, Some(connector_core::model::Delivery::Delivered));
}

/// R6.1, R6.3: a clock that is set back by a day delays neither recurring work nor a retry by that day; a task that is
/// to run at a time runs when the clock shows it.
#[tokio::test]
async fn a_clock_that_is_set_back_delays_nothing() {
    let bench = Bench::new().await;
    writes_down("beat");
    writes_down("named");
    act("failing", |cx| async move {
        log(format!("failing {}", cx.attempt()));
        if cx.attempt() == 1 { Err(Error::transient("no")) } else { Ok(()) }
    });
    let ten = SignedDuration::from_mins(10);
    bench
        .run(move |cx| async move {
            cx.schedule_recurring("beat", act_now("beat"), ten, None).await?;
            cx.run_task_at(act_now("named"), crate::fixture::at(300)).await?;
            cx.run_task(act_now("failing")).await.map(drop)
        })
        .await;
    let begun = logged();
    assert_eq!((begun.len(), begun.contains(&"failing 1".to_owned())), (2, true), "{begun:?}");
    bench.host.clock().advance(SignedDuration::from_hours(-24));
    bench.advance("11m").await;
    let after = logged();
    assert_eq!((after.len(), after[0].as_str()), (2, "failing 2"), "{after:?}");
    assert!(after[1].starts_with("beat "), "{after:?}");
    bench.advance("10m").await;
    assert_eq!(logged().len(), 1, "its interval is as long as before");
    bench.advance("24h").await;
    assert_eq!(logged().iter().filter(|line| line.starts_with("named ")).count(), 1);
}

/// R6.2
#[tokio::test]
async fn one_task_waits_for_a_key() {
    let bench = Bench::new().await;
    writes_down("a");
    writes_down("b");
    // A new one takes the place of the one that waits, also in one dispatch.
    bench
        .run(|cx| async move {
            cx.schedule_task("k", act_now("a"), Scheduled::at(crate::fixture::at(60))).await?;
            cx.schedule_task("k", act_now("b"), Scheduled::at(crate::fixture::at(120))).await?;
            cx.schedule_task("other", act_now("a"), Scheduled::at(crate::fixture::at(30))).await.map(drop)
        })
        .await;
    assert_eq!(bench.tasks_of("act").await.len(), 2);
    bench.run(|cx| async move { cx.schedule_task("k", act_now("a"), Scheduled::at(crate::fixture::at(90))).await.map(drop) }).await;
    bench.advance("10m").await;
    assert_eq!(logged(), ["a 30", "a 90"]);

    // Coalesced, the one that waits stays, at the earlier time.
    let later = |seconds: i64| crate::fixture::at(600 + seconds);
    bench
        .run(move |cx| async move {
            cx.schedule_task("k", act_now("a"), Scheduled::at(later(60)).coalesce()).await?;
            cx.schedule_task("k", act_now("b"), Scheduled::at(later(30)).coalesce()).await?;
            cx.schedule_task("k", act_now("b"), Scheduled::at(later(90)).coalesce()).await.map(drop)
        })
        .await;
    bench.advance("10m").await;
    assert_eq!(logged(), ["a 630"]);
    bench
        .run(move |cx| async move {
            cx.schedule_task("k", act_now("a"), Scheduled::at(later(900)).coalesce()).await.map(drop)
        })
        .await;
    bench
        .run(move |cx| async move { cx.schedule_task("k", act_now("b"), Scheduled::now().coalesce()).await.map(drop) })
        .await;
    assert_eq!(logged(), ["a 1200"]);

    bench
        .run(move |cx| async move { cx.schedule_task("k", act_now("a"), Scheduled::at(later(1200))).await.map(drop) })
        .await;
    bench
        .run(|cx| async move {
            cx.cancel_scheduled("k").await?;
            cx.cancel_scheduled("never").await
        })
        .await;
    bench.advance("24h").await;
    assert_eq!(logged(), [""; 0]);
}

/// R6.1, R6.2: the token of a schedule cancels it, also where it took the place of another.
#[tokio::test]
async fn the_token_of_a_keyed_task_cancels_it() {
    let bench = Bench::new().await;
    writes_down("a");
    writes_down("b");
    let when = Scheduled::at(crate::fixture::at(60));
    bench.run(move |cx| async move { cx.schedule_task("k", act_now("a"), when).await.map(drop) }).await;
    let token = bench.run(move |cx| async move { cx.schedule_task("k", act_now("a"), when).await }).await;
    bench.run(move |cx| async move { cx.cancel_task(&token).await }).await;
    assert!(bench.tasks_of("act").await.is_empty());
    let token = bench
        .run(move |cx| async move {
            cx.schedule_task("other", act_now("a"), when).await?;
            cx.schedule_task("k", act_now("b"), when).await?;
            cx.schedule_task("k", act_now("b"), when.coalesce()).await
        })
        .await;
    bench.run(move |cx| async move { cx.cancel_task(&token).await }).await;
    assert_eq!(bench.tasks_of("act").await.len(), 1);
    bench.advance("1h").await;
    assert_eq!(logged(), ["a 60"]);
    let when = Scheduled::at(crate::fixture::at(7_200));
    bench
        .run(move |cx| async move {
            cx.schedule_task("k", act_now("a"), when).await?;
            let token = cx.schedule_task("k", act_now("a"), when).await?;
            cx.cancel_task(&token).await
        })
        .await;
    bench.advance("1h").await;
    assert_eq!(logged(), [""; 0]);
}

/// R6.2: a task that schedules its own key from within its run goes on, with one task.
#[tokio::test]
async fn a_task_schedules_itself_anew() {
    let bench = Bench::new().await;
    act("chain", |cx| async move {
        let left: u32 = cx.get("left").await?.unwrap_or(5);
        log(format!("chain {left}"));
        cx.set("left", &(left.saturating_sub(1))).await?;
        let when = if left.is_multiple_of(2) {
            Scheduled::now()
        } else {
            Scheduled::at(cx.now().checked_add(SignedDuration::from_secs(10)).unwrap())
        };
        let when = if left > 3 { when } else { when.coalesce() };
        if left > 0 { cx.schedule_task("chain", act_now("chain"), when).await.map(drop) } else { Ok(()) }
    });
    bench.run(|cx| async move { cx.schedule_task("chain", act_now("chain"), Scheduled::now()).await.map(drop) }).await;
    bench.advance("5m").await;
    assert_eq!(logged(), ["chain 5", "chain 4", "chain 3", "chain 2", "chain 1", "chain 0"]);
    assert!(bench.tasks_of("act").await.is_empty());
}

/// R6.2, L3: what is scheduled from outside while it runs is not lost.
#[tokio::test]
async fn a_key_that_is_scheduled_while_its_task_runs_runs_again() {
    let bench = Bench::new().await;
    let runtime = bench.runtime().clone();
    let connection = bench.connection;
    act("slow", move |cx| {
        let runtime = runtime.clone();
        async move {
            log("slow");
            if cx.get::<bool>("again").await?.is_none() {
                cx.set("again", &true).await?;
                let stored = runtime.ports().engine.task_by_key(connection, "c//k".into()).await?.unwrap();
                let write = connector_core::engine::Write::PutTask {
                    task: stored,
                    keyed: connector_core::engine::KeyedTask::Coalesce,
                };
                runtime.ports().engine.commit(connector_core::engine::WriteSet::of([write])).await?;
            }
            Ok(())
        }
    });
    bench.run(|cx| async move { cx.schedule_task("k", act_now("slow"), Scheduled::now()).await.map(drop) }).await;
    bench.advance("1s").await;
    assert_eq!(logged(), ["slow", "slow"]);
}

/// R6.3
#[tokio::test]
async fn a_recurring_task_keeps_its_beat() {
    let bench = Bench::new().await;
    writes_down("beat");
    let minute = SignedDuration::from_mins(1);
    bench
        .run(move |cx| async move {
            cx.schedule_recurring("beat", act_now("beat"), minute, Some(crate::fixture::at(90))).await
        })
        .await;
    bench.advance("4m").await;
    assert_eq!(logged(), ["beat 90", "beat 150", "beat 210"]);
    // Late by a little, it keeps its beat.
    bench.host.clock().set(crate::fixture::at(275));
    bench.advance("1m").await;
    assert_eq!(logged(), ["beat 275", "beat 330"]);
    // A host that was away does not make up for each time.
    let bench = bench.crash().await;
    bench.host.clock().set(crate::fixture::at(36_000));
    bench.advance("59s").await;
    assert_eq!(logged(), ["beat 36000"]);
    bench.advance("1s").await;
    assert_eq!(logged(), ["beat 36060"]);
    // Scheduled again, it begins anew; there is one for each key.
    bench.run(move |cx| async move { cx.schedule_recurring("beat", act_now("beat"), minute * 2, None).await }).await;
    bench.advance("5m").await;
    assert_eq!(logged(), ["beat 36060", "beat 36180", "beat 36300"]);
    bench.run(|cx| async move { cx.cancel_scheduled("beat").await }).await;
    bench.advance("1h").await;
    assert_eq!(logged(), [""; 0]);
    let refused = bench
        .fails(|cx| async move { cx.schedule_recurring("beat", act_now("beat"), SignedDuration::ZERO, None).await })
        .await;
    assert_eq!(refused.kind(), &ErrorKind::Bug);
}

/// R6.3, L2: whatever happens to a run.
#[tokio::test]
async fn a_recurring_task_goes_on_after_failures_and_panics() {
    let bench = Bench::new().await;
    act("beat", |cx| async move {
        log(format!("beat {}", cx.attempt()));
        let now = cx.now().as_second() - crate::fixture::at(0).as_second();
        match now / 36_000 {
            0 => Err(Error::bug("no")),
            1 => panic!("no"),
            2 => Err(Error::rejected("no")),
            3 => Err(Error::gone("no")),
            4 => Err(Error::scope_missing("no")),
            _ => Ok(()),
        }
    });
    bench.run(|cx| async move { cx.schedule_recurring("beat", act_now("beat"), SignedDuration::from_hours(10), None).await }).await;
    bench.advance("51h").await;
    let lines = logged();
    assert_eq!(lines.len(), 3 + 3 + 1 + 1 + 1 + 1, "{lines:?}");
    assert_eq!(bench.tasks_of("act").await.len(), 1);
    assert_eq!(bench.dead().await.len(), 4);
    bench.advance("10h").await;
    assert_eq!(logged(), ["beat 1"]);
}

/// R6.3: scheduled anew from within its own run, it follows the new schedule.
#[tokio::test]
async fn a_recurring_task_changes_its_own_interval() {
    let bench = Bench::new().await;
    act("beat", |cx| async move {
        log(format!("beat {}", cx.now().as_second() - crate::fixture::at(0).as_second()));
        if cx.get::<bool>("slower").await?.is_none() {
            cx.set("slower", &true).await?;
            let first = cx.now().checked_add(SignedDuration::from_mins(10)).unwrap();
            cx.schedule_recurring("beat", act_now("beat"), SignedDuration::from_mins(10), Some(first)).await?;
        }
        Ok(())
    });
    bench.run(|cx| async move { cx.schedule_recurring("beat", act_now("beat"), SignedDuration::from_mins(1), None).await }).await;
    bench.advance("25m").await;
    assert_eq!(logged(), ["beat 0", "beat 600", "beat 1200"]);
    bench
        .run(|cx| async move {
            let own = Act { name: "stop".into() };
            cx.schedule_recurring("beat", own, SignedDuration::from_mins(1), None).await
        })
        .await;
    act("stop", |cx| async move {
        log("stop");
        cx.cancel_scheduled("beat").await
    });
    bench.advance("25m").await;
    assert_eq!(logged(), ["stop"]);
}

/// R6.7: one that queues itself without end does not starve others.
#[tokio::test]
async fn connections_take_turns() {
    let bench = Bench::new().await;
    let bob = bench.runtime().connect(crate::fixture::lab_for("bob")).await.unwrap().id;
    bench.host.settle().await;
    act("loop", |cx| async move {
        log(cx.owner().as_str());
        let rounds: u32 = cx.get("rounds").await?.unwrap_or(0);
        cx.set("rounds", &(rounds + 1)).await?;
        if rounds < 300 { cx.run_task(act_now("loop")).await.map(drop) } else { Ok(()) }
    });
    writes_down("once");
    bench
        .run(|cx| async move {
            for _ in 0..50 {
                cx.run_task_at(act_now("loop"), crate::fixture::at(60)).await?;
            }
            Ok(())
        })
        .await;
    let queued = bench
        .queue_on(bob, |cx| async move {
            cx.run_task_at(act_now("once"), crate::fixture::at(60)).await?;
            cx.run_task_at(act_now("once"), crate::fixture::at(60)).await.map(drop)
        })
        .await;
    bench.host.settle().await;
    drop(queued);
    bench.advance("1m").await;
    let lines = logged();
    let places: Vec<_> =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("once")).map(|(place, _)| place).collect();
    assert!(lines.len() > 300 && places.len() == 2 && places[1] <= 4, "{places:?}");
}

/// Design 4, L11: what a user does goes before the rest of its lane.
#[tokio::test]
async fn a_users_change_goes_before_the_backfill_of_its_channel() {
    let bench = Bench::enabled().await;
    bench.save([crate::fixture::ticket(1)]).await;
    let thread = bench.links().await[0].link.thread;
    act("page", |_| async { Ok(()) });
    on(|handlers| {
        handlers.note_created = Some(crate::fixture::handler(|_, _| async move {
            log("note");
            Ok(WriteBack::delivered("n"))
        }));
    });
    bench
        .run(|cx| async move {
            for page in 0..5 {
                let task = ActIn { channel: "one".into(), name: format!("page {page}") };
                cx.run_task_at(task, crate::fixture::at(60)).await?;
            }
            Ok(())
        })
        .await;
    bench.host.clock().set(crate::fixture::at(60));
    bench.writes(thread, "first").await;
    bench.host.settle().await;
    assert_eq!(logged()[0], "note");
}

/// R6.5: a name that changes the connection's row does not disturb a task that runs.
#[tokio::test]
async fn a_task_outlives_a_change_of_its_connection() {
    let bench = Bench::new().await;
    let (runtime, connection) = (bench.runtime().clone(), bench.connection);
    act("rename", move |cx| {
        let runtime = runtime.clone();
        async move {
            let update = ConnectionUpdate { name: Some("Other".into()), ..ConnectionUpdate::default() };
            runtime.update_connection(connection, update).await?;
            cx.set("done", &true).await
        }
    });
    bench.run(|cx| async move { cx.run_task(act_now("rename")).await.map(drop) }).await;
    assert_eq!(bench.value("done").await, serde_json::json!(true));
    assert_eq!(bench.runtime().connection(connection).await.unwrap().name, "Other");
}
