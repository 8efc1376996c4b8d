//! What no connector may do to the host that runs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connector_core::clock::{BoxFuture, Clock};
use connector_core::ports::Ports;
use connector_core::prelude::*;
use connector_core::registry::Registry;
use connector_core::runtime::{Config, Runtime};

use crate::fixture::{Act, Bench, Lab, act, lab_for, log, logged, on};

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off");
    }
}

/// R7.2: what is still held when a run takes too long goes, and a panic of it is the connector's alone.
#[tokio::test]
async fn a_panic_while_a_run_is_cancelled_fails_that_run_alone() {
    let bench = Bench::new().await;
    act("bomb", |_| async {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
        Ok(())
    });
    act("good", |_| async {
        log("good");
        Ok(())
    });
    bench
        .run(|cx| async move {
            cx.run_task(Act { name: "bomb".into() }).await?;
            cx.run_task(Act { name: "good".into() }).await.map(drop)
        })
        .await;
    bench.advance("90s").await;
    assert_eq!(logged(), ["good"]);
    let bomb = bench.tasks_of("act").await.pop().expect("it is tried again");
    assert!(bomb.errors[0].message.contains("took more than 60 s"), "{:?}", bomb.errors);
}

/// A clock that breaks.
struct Breaking {
    broken: Arc<AtomicBool>,
    inner: Arc<dyn Clock>,
}

impl Clock for Breaking {
    fn now(&self) -> Timestamp {
        assert!(!self.broken.load(Ordering::SeqCst), "the clock is broken");
        self.inner.now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        self.inner.sleep_until(at)
    }
}

/// Design 6.2: a worker that has ended is known, for the host to say that it is not ready.
#[tokio::test]
async fn a_worker_that_ended_is_known() {
    let bench = Bench::new().await;
    let broken = Arc::new(AtomicBool::new(false));
    let ports = bench.runtime().ports().clone();
    let clock = Arc::new(Breaking { broken: Arc::clone(&broken), inner: Arc::clone(&ports.clock) });
    let runtime = Runtime::new(Registry::of::<Lab>().unwrap(), Ports { clock, ..ports }, Config::default());
    let workers = runtime.start().await.unwrap();
    assert!(workers.alive());
    on(|handlers| {
        handlers.tick = Some(crate::fixture::handler(move |_, ()| {
            broken.store(true, Ordering::SeqCst);
            async { Ok(()) }
        }));
    });
    runtime.connect(lab_for("bob")).await.unwrap();
    for _ in 0..10_000 {
        if !workers.alive() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nobody noticed");
}

/// R6.7, R7.1: tasks run while the rest of them is read from the store, each once.
#[tokio::test]
async fn what_waited_at_the_start_runs_once_each() {
    const COUNT: usize = 5_000;
    let bench = Bench::new().await;
    act("count", |_| async {
        log("ran");
        Ok(())
    });
    let messages = (0..COUNT).map(|_| Act { name: "count".into() });
    assert_eq!(bench.runtime().queue_many(bench.connection, messages).await.unwrap().len(), COUNT);
    let runtime = Runtime::new(Registry::of::<Lab>().unwrap(), bench.runtime().ports().clone(), Config::default());
    let workers = runtime.start().await.unwrap();
    let mut ran = 0;
    for _ in 0..100_000 {
        ran += logged().len();
        if ran >= COUNT {
            break;
        }
        tokio::task::yield_now().await;
    }
    workers.stop(&runtime).await;
    assert_eq!(ran + logged().len(), COUNT);
    assert!(bench.tasks_of("act").await.is_empty(), "all are done");
}

/// R6.5: a task that failed is tried again at its time, whatever else wakes the host or does not.
#[tokio::test]
async fn the_time_of_a_retry_is_not_missed() {
    let bench = Bench::new().await;
    act("fails", |_| async {
        log("tried");
        Err(Error::transient("not now"))
    });
    let runtime = Runtime::new(Registry::of::<Lab>().unwrap(), bench.runtime().ports().clone(), Config::default());
    let workers = runtime.start().await.unwrap();
    runtime.queue(bench.connection, Act { name: "fails".into() }).await.unwrap();
    let (clock, mut tries) = (bench.host.clock().clone(), 0);
    for round in 1..=3 {
        for _ in 0..10_000 {
            tries += logged().len();
            tokio::task::yield_now().await;
        }
        assert_eq!(tries, round, "it is tried once each time");
        let due = bench.tasks_of("act").await.pop().and_then(|task| task.run_at).expect("it is to be tried again");
        assert!(clock.next_wake().is_some_and(|wake| wake <= due), "{:?} for {due}", clock.next_wake());
        clock.advance(due.duration_since(clock.now()));
    }
    workers.stop(&runtime).await;
}
