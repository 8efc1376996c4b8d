use std::time::Duration;

use connector_core::prelude::*;

use crate::fixture::{Act, Bench, Changed, Swept, act, handler, log, logged, on};

fn ids(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Marks these in channel `one`, in a dispatch of its own.
async fn mark(bench: &Bench, text: &'static str) {
    bench.run(move |cx| async move { cx.mark_dirty(Changed { channel: "one".into() }, ids(text)).await }).await;
}

async fn marks(bench: &Bench) -> usize {
    let entries = bench.runtime().state(bench.connection, "host:d/").await.unwrap();
    entries.len()
}

/// R6.4, R11.2, L3
#[tokio::test]
async fn a_burst_of_marks_is_one_pass_of_batches() {
    let bench = Bench::enabled().await;
    mark(&bench, "a b").await;
    bench.advance("1s").await;
    mark(&bench, "c b").await;
    mark(&bench, "d").await;
    assert_eq!(bench.tasks_of("drain").await.len(), 1);
    assert_eq!(logged(), [""; 0]);
    let bench = bench.crash().await;
    bench.advance("1s").await;
    assert_eq!(logged(), ["changed a,b,c", "changed d"]);
    assert_eq!(marks(&bench).await, 0);
    assert!(bench.tasks_of("drain").await.is_empty());
    bench.advance("24h").await;
    assert_eq!(logged(), [""; 0]);
    // No ids, no pass.
    mark(&bench, "").await;
    assert!(bench.tasks_of("drain").await.is_empty());
}

/// R11.2, L3: an id that is marked during the pass is handed over again, and a new one is not lost.
#[tokio::test]
async fn what_is_marked_during_the_pass_is_handed_over_again() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.changed = Some(handler(|cx: Context<crate::fixture::Lab>, (channel, _)| async move {
            if cx.get::<bool>("again").await?.is_none() {
                cx.set("again", &true).await?;
                cx.mark_dirty(Changed { channel }, ids("a e")).await?;
            }
            Ok(Drained::all())
        }));
    });
    mark(&bench, "a b").await;
    bench.advance("1m").await;
    assert_eq!(logged(), ["changed a,b", "changed a,e"]);
    assert_eq!(marks(&bench).await, 0);
}

/// R11.2, L3: also by another dispatch.
#[tokio::test]
async fn what_another_dispatch_marks_during_the_pass_is_handed_over_again() {
    let bench = Bench::enabled().await;
    let (engine, connection) = (std::sync::Arc::clone(&bench.runtime().ports().engine), bench.connection);
    on(|handlers| {
        handlers.changed = Some(handler(move |cx: Context<crate::fixture::Lab>, _| {
            let engine = std::sync::Arc::clone(&engine);
            async move {
                if cx.get::<bool>("again").await?.is_none() {
                    cx.set("again", &true).await?;
                    let (key, mark) = engine.state_entries(connection, "d/".into(), 1).await?.remove(0);
                    let again = connector_core::engine::Write::PutState { connection, key, value: mark.value };
                    let key = "d/c//changed:one".to_owned();
                    let task = engine.task_by_key(connection, key).await?.unwrap();
                    let pass = connector_core::engine::Write::PutTask {
                        task,
                        keyed: connector_core::engine::KeyedTask::Coalesce,
                    };
                    engine.commit(connector_core::engine::WriteSet::of([again, pass])).await?;
                }
                Ok(Drained::all())
            }
        }));
    });
    mark(&bench, "a b").await;
    bench.advance("1m").await;
    assert_eq!(logged(), ["changed a,b", "changed a"]);
    assert_eq!(marks(&bench).await, 0);
}

/// R6.4: ids that the handler wants again come alone, and in the end as a dead letter each.
#[tokio::test]
async fn returned_ids_are_retried_singly_and_die_alone() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.changed =
            Some(handler(|cx: Context<crate::fixture::Lab>, (_, given): (ChannelId, Vec<String>)| async move {
                for id in given.iter().filter(|id| !id.starts_with("bad")) {
                    cx.set(&format!("took/{id}"), &true).await?;
                }
                Ok(Drained::retry(given.into_iter().filter(|id| id.starts_with("bad"))))
            }));
    });
    mark(&bench, "a bad1 bad2 c z").await;
    bench.advance("10m").await;
    let lines = logged();
    assert_eq!(lines[0], "changed a,c,z", "in the order of their marks: {lines:?}");
    for bad in ["bad1", "bad2"] {
        assert_eq!(lines.iter().filter(|line| line.contains(bad)).count(), 3, "{lines:?}");
    }
    assert_eq!(lines.iter().filter(|line| line.contains('c') && line.contains(",z")).count(), 1, "{lines:?}");
    assert_eq!(marks(&bench).await, 0);
    assert!(bench.tasks_of("drain").await.is_empty());
    let dead = bench.dead().await;
    assert_eq!(dead.len(), 2);
    assert!(dead[0].errors[0].message.contains("bad1") && dead[1].errors[0].message.contains("bad2"), "{dead:?}");
    assert_eq!(dead[0].attempt, 3);
    assert_eq!(bench.run(|cx| async move { cx.list("took/").await }).await, ["took/a", "took/c", "took/z"]);
}

/// R6.4, R6.6: a handler that fails takes no ids, and one bad id does not take the others with it.
#[tokio::test]
async fn a_handler_that_fails_keeps_its_ids() {
    for kind in ["error", "panic"] {
        let bench = Bench::enabled().await;
        on(|handlers| {
            handlers.changed = Some(handler(
                move |cx: Context<crate::fixture::Lab>, (_, given): (ChannelId, Vec<String>)| async move {
                    for id in &given {
                        cx.set(&format!("took/{id}"), &true).await?;
                        if id == "bad" {
                            assert_ne!(kind, "panic", "told to");
                            return Err(Error::transient("the service is away"));
                        }
                    }
                    Ok(Drained::all())
                },
            ));
        });
        mark(&bench, "a bad c").await;
        bench.advance("1h").await;
        let lines = logged();
        assert_eq!(lines[0], "changed a,c,bad");
        assert_eq!(lines.iter().filter(|line| line.contains("bad")).count(), 3, "{lines:?}");
        assert_eq!(bench.run(|cx| async move { cx.list("took/").await }).await, ["took/a", "took/c"]);
        assert_eq!(marks(&bench).await, 0);
        let dead = bench.dead().await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert!(dead[0].errors[0].message.contains("bad"));
    }
}

/// R6.4, R6.6: a dead id can be retried, and is handed over again.
#[tokio::test]
async fn a_dead_id_is_retried_by_an_operator() {
    let bench = Bench::enabled().await;
    on(|handlers| handlers.changed = Some(handler(|_, (_, given)| async move { Ok(Drained::retry(given)) })));
    mark(&bench, "a").await;
    bench.advance("1h").await;
    let dead = bench.dead().await;
    assert_eq!(dead.len(), 1);
    logged();
    on(|handlers| handlers.changed = None);
    bench.runtime().retry_task(dead[0].id).await.unwrap();
    bench.advance("1m").await;
    assert_eq!(logged(), ["changed a"]);
    assert!(bench.dead().await.is_empty());
    assert!(bench.tasks_of("drain").await.is_empty());
    assert_eq!(marks(&bench).await, 0);
}

/// R6.4, R6.6: while the service takes no requests, the pass waits, and no attempt is counted.
#[tokio::test]
async fn a_rate_limited_pass_waits_and_keeps_its_ids() {
    let bench = Bench::enabled().await;
    on(|handlers| {
        handlers.changed = Some(handler(|cx: Context<crate::fixture::Lab>, _| async move {
            if cx.now() < crate::fixture::at(36_000) {
                return Err(Error::rate_limited(cx.now().checked_add(SignedDuration::from_mins(10)).unwrap()));
            }
            Ok(Drained::all())
        }));
    });
    mark(&bench, "a b").await;
    bench.advance("11h").await;
    let lines = logged();
    assert!(lines.len() > 50 && lines.iter().all(|line| line == "changed a,b"), "{}", lines.len());
    assert!(bench.dead().await.is_empty());
    assert_eq!(marks(&bench).await, 0);
}

/// R6.4
#[tokio::test]
async fn a_drain_of_ones_own_is_scheduled_and_cancelled() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.swept = Some(handler(|_, given: Vec<u64>| async move {
            log(format!("{given:?}"));
            Ok(Drained::all())
        }));
    });
    let schedule = |cx: Context<crate::fixture::Lab>| async move {
        cx.schedule_drain("mine", Swept, [3, 1, 2], 2, Duration::from_secs(30), 4).await
    };
    bench.run(schedule).await;
    bench.advance("29s").await;
    assert_eq!(logged(), [""; 0]);
    bench.advance("1s").await;
    let lines = logged();
    assert_eq!(lines.len(), 2);
    bench.run(schedule).await;
    bench.run(|cx| async move { cx.cancel_drain("mine").await }).await;
    bench.advance("1h").await;
    assert_eq!(logged(), [""; 0]);
    assert_eq!(marks(&bench).await, 0);
    // Scheduled and cancelled at once.
    bench
        .run(move |cx| async move {
            schedule(cx.clone()).await?;
            cx.cancel_drain("mine").await
        })
        .await;
    bench.advance("1h").await;
    assert_eq!(logged(), [""; 0]);
    assert_eq!(marks(&bench).await, 0);
}

/// R6.4, R7.1: marks are stored with the dispatch that makes them, or not at all.
#[tokio::test]
async fn marks_of_a_failed_dispatch_are_none() {
    let bench = Bench::enabled().await;
    act("fails", |cx| async move {
        cx.mark_dirty(Changed { channel: "one".into() }, ids("a")).await?;
        Err(Error::rejected("no"))
    });
    bench.run(|cx| async move { cx.run_task(Act { name: "fails".into() }).await.map(drop) }).await;
    bench.advance("1h").await;
    assert_eq!(logged(), [""; 0]);
    assert_eq!(marks(&bench).await, 0);
    assert_eq!(bench.dead().await.len(), 1);
}

/// R8.5, R11.10, L21: what a backfill marks is no news, and what a push marks meanwhile is.
#[tokio::test]
async fn a_drain_runs_in_the_mode_that_its_ids_were_marked_in() {
    let bench = Bench::new().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<crate::fixture::Lab>, (channel, _)| async move {
            cx.mark_dirty(Changed { channel }, ids("a b c")).await?;
            Ok(Step::Done(1))
        }));
        handlers.changed = Some(handler(|cx: Context<crate::fixture::Lab>, (_, given): (_, Vec<String>)| async move {
            log(format!("{:?} {}", cx.mode(), given.join(",")));
            Ok(Drained::all())
        }));
    });
    bench.enable("one").await;
    mark(&bench, "b d").await;
    bench.advance("5s").await;
    let mut lines: Vec<_> =
        logged().into_iter().filter(|line| line.starts_with("Live") || line.starts_with("Backfill")).collect();
    lines.sort();
    assert_eq!(lines, ["Backfill a,c", "Live b,d"]);
    // A walk that begins anew does not make old what was pushed.
    mark(&bench, "e").await;
    bench.advance("5s").await;
    assert_eq!(logged().last().map(String::as_str), Some("Live e"));
    assert_eq!(marks(&bench).await, 0);
}
