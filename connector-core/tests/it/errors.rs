use connector_core::engine::ConnectionStatus;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::testing::{FakeService, TestHost};

use crate::fixture::{Act, Bench, Lab, act, at, handler, log, logged, on, quiet};

async fn queue(bench: &Bench, name: &'static str) {
    bench.run(move |cx| async move { cx.run_task(Act { name: name.into() }).await.map(drop) }).await;
}

fn seconds(cx: &Context<Lab>) -> i64 {
    cx.now().as_second() - at(0).as_second()
}

/// R6.6: transient errors are retried, later each time up to an hour, and are kept in the end.
#[tokio::test]
async fn backoff_grows_and_is_capped() {
    let host =
        TestHost::with_network(Registry::of::<Lab>().unwrap(), quiet()).configure(|config| config.max_attempts = 16);
    let bench = Bench::on(host, quiet()).await;
    act("fails", |cx| async move {
        log(format!("{}", seconds(&cx)));
        Err(std::io::Error::other("the line is cut").into())
    });
    queue(&bench, "fails").await;
    bench.advance("24h").await;
    let times: Vec<i64> = logged().iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(times.len(), 16);
    for (number, pair) in times.windows(2).enumerate() {
        let step = (2_i64 << number).min(3600);
        let wait = pair[1] - pair[0];
        assert!(wait >= step / 2 - 1 && wait <= step + 1, "retry {number} after {wait} s, of {step}");
    }
    let dead = bench.dead().await;
    assert_eq!((dead.len(), dead[0].attempt, dead[0].errors.len()), (1, 16, 16));
    assert_eq!(dead[0].errors[0].kind, ErrorKind::Transient);
    assert!(dead[0].errors[0].message.contains("the line is cut"));
    assert!(bench.tasks_of("act").await.is_empty());
}

/// R6.6: waits differ, so that many that failed together do not come back together.
#[tokio::test]
async fn backoff_has_jitter() {
    let bench = Bench::new().await;
    act("fails", |_| async { Err(Error::transient("no")) });
    bench
        .run(|cx| async move {
            for _ in 0..20 {
                cx.run_task(Act { name: "fails".into() }).await?;
            }
            Ok(())
        })
        .await;
    let mut times: Vec<_> = bench.tasks_of("act").await.into_iter().map(|task| task.run_at).collect();
    times.sort();
    times.dedup();
    assert!(times.len() > 5, "{times:?}");
}

/// R6.6: what each kind of error does to a task that is no user's change.
#[tokio::test]
async fn each_kind_has_one_policy() {
    for (kind, runs, dead) in [
        (ErrorKind::Bug, 3, 1),
        (ErrorKind::Transient, 12, 1),
        (ErrorKind::Rejected, 1, 1),
        (ErrorKind::ScopeMissing { scope: Some("repo".into()) }, 1, 1),
        (ErrorKind::Gone, 1, 0),
        (ErrorKind::CursorExpired, 3, 1),
    ] {
        let bench = Bench::new().await;
        let given = kind.clone();
        act("fails", move |_| {
            let kind = given.clone();
            async move {
                log("ran");
                Err(Error::new(kind, "no"))
            }
        });
        queue(&bench, "fails").await;
        bench.advance("12h").await;
        assert_eq!(logged().len(), runs, "{kind:?}");
        assert_eq!(bench.dead().await.len(), dead, "{kind:?}");
        assert!(bench.tasks_of("act").await.is_empty(), "{kind:?}");
    }
}

/// R6.6: a task that the service takes no requests for is moved there, and has not been tried.
#[tokio::test]
async fn a_rate_limit_moves_the_task_and_does_not_count() {
    let service = FakeService::new({
        let mut asked = 0;
        move |_| {
            asked += 1;
            if asked < 40 {
                FakeService::answer_with(429, &[("retry-after", "100")], "")
            } else {
                FakeService::answer(200, "{}")
            }
        }
    });
    let bench = Bench::with(service).await;
    act("asks", |cx| async move {
        log(format!("{} {}", cx.attempt(), seconds(&cx)));
        cx.provider().get("/").send().await.map(drop)
    });
    queue(&bench, "asks").await;
    let task = bench.tasks_of("act").await.remove(0);
    assert_eq!((task.run_at, task.attempt), (Some(at(100)), 0));
    bench.advance("3h").await;
    let lines = logged();
    assert_eq!(lines.len(), 40);
    assert_eq!(lines[..3], ["1 0", "1 100", "1 200"]);
    assert!(bench.dead().await.is_empty());
    assert!(bench.tasks_of("act").await.is_empty());
}

/// R3.7, R6.6: the tasks of a connection whose credential ended wait, through a restart, and go on.
#[tokio::test]
async fn a_lost_credential_parks_and_a_new_one_resumes() {
    let valid = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = std::sync::Arc::clone(&valid);
    let service = FakeService::new(move |_| {
        let status = if asked.load(std::sync::atomic::Ordering::Relaxed) { 200 } else { 401 };
        FakeService::answer(status, "{}")
    });
    let bench = Bench::with(service).await;
    bench.enable("one").await;
    let bob = bench.runtime().connect(crate::fixture::lab_for("bob")).await.unwrap().id;
    bench.host.settle().await;
    on(|handlers| {
        handlers.items = Some(handler(|cx: Context<Lab>, _| async move {
            log(format!("items {:?}", cx.mode()));
            cx.provider().get("/items").send().await?;
            Ok(Step::Done(1))
        }));
    });
    act("asks", |cx| async move {
        log(format!("asks {}", cx.attempt()));
        cx.provider().get("/").send().await.map(drop)
    });
    act("quiet", |cx| async move {
        log(format!("quiet of {}", cx.owner()));
        Ok(())
    });
    logged();
    valid.store(false, std::sync::atomic::Ordering::Relaxed);
    queue(&bench, "asks").await;
    let row = bench.runtime().connection(bench.connection).await.unwrap();
    assert_eq!(row.status, ConnectionStatus::NeedsReauth);
    assert!(row.status_reason.clone().unwrap().contains("401"), "{row:?}");
    bench.queue(|cx| async move { cx.run_task(Act { name: "quiet".into() }).await.map(drop) }).await;
    let bench = bench.crash().await;
    bench.advance("5h").await;
    // Others go on meanwhile.
    let queued =
        bench.queue_on(bob, |cx| async move { cx.run_task(Act { name: "quiet".into() }).await.map(drop) }).await;
    bench.host.settle().await;
    drop(queued);
    let lines = logged();
    assert_eq!(lines, ["asks 1", "quiet of bob"]);

    valid.store(true, std::sync::atomic::Ordering::Relaxed);
    bench.runtime().reauthorize(bench.connection, Secret::new("new")).await.unwrap();
    bench.host.settle().await;
    let mut lines = logged();
    lines.sort();
    assert_eq!(lines, ["asks 1", "items Recovery", "quiet of ada"]);
    let row = bench.runtime().connection(bench.connection).await.unwrap();
    assert_eq!((row.status, row.status_reason.clone()), (ConnectionStatus::Active, None));
    assert_eq!(bench.channel("one").await.sync.state, connector_core::engine::SyncState::Synced);
    bench.advance("20m").await;
    assert_eq!(logged(), ["items Live"]);
    assert!(bench.dead().await.is_empty());
}

/// R3.7: also where the connector says so itself; what the dispatch wrote is stored.
#[tokio::test]
async fn a_connector_marks_its_credential_as_lost() {
    let bench = Bench::new().await;
    act("quiet", |_| async {
        log("quiet");
        Ok(())
    });
    bench
        .run(|cx| async move {
            cx.set("seen", &true).await?;
            cx.run_task(Act { name: "quiet".into() }).await?;
            cx.integrations().mark_needs_reauth("the app was removed").await
        })
        .await;
    bench.advance("1h").await;
    let row = bench.runtime().connection(bench.connection).await.unwrap();
    assert_eq!(
        (row.status, row.status_reason.as_deref()),
        (ConnectionStatus::NeedsReauth, Some("the app was removed"))
    );
    assert_eq!(bench.value("seen").await, true);
    assert_eq!(logged(), [""; 0]);
    bench.runtime().reauthorize(bench.connection, Secret::new("new")).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["quiet"]);
}

/// R6.6
#[tokio::test]
async fn a_dead_letter_is_inspected_retried_and_discarded() {
    let bench = Bench::new().await;
    act("fails", |cx| async move {
        log(format!("{}", cx.attempt()));
        if cx.get::<bool>("well").await?.is_some() { Ok(()) } else { Err(Error::bug("not yet")) }
    });
    queue(&bench, "fails").await;
    queue(&bench, "fails").await;
    bench.advance("1h").await;
    logged();
    let dead = bench.dead().await;
    assert_eq!(dead.len(), 2);
    assert_eq!((dead[0].does.as_str(), dead[0].state, dead[0].errors.len()), ("act", "dead", 3));
    assert!(dead[0].payload.to_string().contains("fails"), "{}", dead[0].payload);
    assert!(dead[0].died_at.is_some());
    // Retried while nothing is better, it dies again.
    bench.runtime().retry_task(dead[0].id).await.unwrap();
    bench.advance("1h").await;
    assert_eq!(logged(), ["1", "2", "3"]);
    assert_eq!(bench.dead().await.len(), 2);
    bench.run(|cx| async move { cx.set("well", &true).await }).await;
    bench.runtime().retry_task(dead[0].id).await.unwrap();
    bench.runtime().discard_task(dead[1].id).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["1"]);
    assert!(bench.dead().await.is_empty());
    assert!(bench.runtime().retry_task(dead[0].id).await.is_err());
    assert!(bench.runtime().discard_task(dead[1].id).await.is_err());
}

/// R6.6, L2: retrying the dead run of a schedule that goes on makes it run now, and makes no second schedule.
#[tokio::test]
async fn a_dead_run_of_a_recurring_task_is_retried_by_running_it_now() {
    let bench = Bench::new().await;
    act("beat", |cx| async move {
        log("beat");
        if cx.get::<bool>("well").await?.is_some() { Ok(()) } else { Err(Error::rejected("no")) }
    });
    bench
        .run(|cx| async move {
            cx.schedule_recurring("beat", Act { name: "beat".into() }, SignedDuration::from_hours(1), None).await
        })
        .await;
    assert_eq!(logged(), ["beat"]);
    let dead = bench.dead().await;
    bench.run(|cx| async move { cx.set("well", &true).await }).await;
    bench.runtime().retry_task(dead[0].id).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["beat"]);
    assert_eq!(bench.tasks_of("act").await.len(), 1);
    bench.advance("3h").await;
    assert_eq!(logged().len(), 3);
    // One whose key another waits for runs beside it.
    act("other", |_| async {
        log("other");
        Ok(())
    });
    on(|handlers| drop(handlers.acts.remove("beat")));
    act("once", |_| async { Err(Error::rejected("no")) });
    bench
        .run(|cx| async move { cx.schedule_task("k", Act { name: "once".into() }, Scheduled::now()).await.map(drop) })
        .await;
    let later = Scheduled::at(bench.host.clock().now().checked_add(SignedDuration::from_mins(10)).unwrap());
    bench
        .run(move |cx| async move { cx.schedule_task("k", Act { name: "other".into() }, later).await.map(drop) })
        .await;
    act("once", |_| async {
        log("once");
        Ok(())
    });
    bench.runtime().retry_task(bench.dead().await[0].id).await.unwrap();
    bench.host.settle().await;
    assert_eq!(logged(), ["once"]);
    bench.advance("11m").await;
    assert_eq!(logged(), ["other"]);
}

/// R6.6: a task that waits for its next try runs now if someone says so.
#[tokio::test]
async fn a_waiting_task_is_run_now() {
    let bench = Bench::new().await;
    act("later", |_| async {
        log("later");
        Ok(())
    });
    let later = at(3600);
    bench
        .run(move |cx| async move {
            cx.run_task_at(Act { name: "later".into() }, later).await?;
            cx.schedule_task("k", Act { name: "later".into() }, Scheduled::at(later)).await.map(drop)
        })
        .await;
    for task in bench.tasks_of("act").await {
        bench.runtime().retry_task(task.id).await.unwrap();
    }
    bench.host.settle().await;
    assert_eq!(logged(), ["later", "later"]);
    bench.advance("2h").await;
    assert_eq!(logged(), [""; 0]);
}
