use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use connector_core::prelude::*;
use serde_json::json;

use crate::fixture::{Act, Bench, act, log, logged};

/// R5.1, R5.3
#[tokio::test]
async fn a_dispatch_reads_what_it_wrote() {
    let bench = Bench::new().await;
    bench
        .run(|cx| async move {
            assert_eq!(cx.get::<u32>("a").await?, None);
            cx.set("a", &1).await?;
            cx.set_many([("b", 2), ("c", 3)]).await?;
            assert_eq!(cx.get_many::<u32>(&["c", "x", "a", "c"]).await?, [Some(3), None, Some(1), Some(3)]);
            cx.clear("b").await?;
            assert_eq!(cx.get::<u32>("b").await?, None);
            Ok(())
        })
        .await;
    bench
        .run(|cx| async move {
            assert_eq!(cx.get_many::<u32>(&["a", "b", "c"]).await?, [Some(1), None, Some(3)]);
            cx.set("c", &4).await?;
            // A key that is written stands beside keys that are not, in any order.
            assert_eq!(cx.get_many::<u32>(&["c", "a", "c", "b"]).await?, [Some(4), Some(1), Some(4), None]);
            cx.clear_many(&["a", "never"]).await
        })
        .await;
    assert_eq!(
        bench
            .runtime()
            .state(bench.connection, "")
            .await
            .unwrap()
            .iter()
            .filter(|(key, _)| !key.starts_with("host:"))
            .count(),
        1
    );
    assert_eq!(bench.value("c").await, json!(4));
}

/// R5.1, R5.3
#[tokio::test]
async fn lists_show_stored_and_pending_entries_in_order() {
    let bench = Bench::new().await;
    bench.run(|cx| async move { cx.set_many([("p/1", 1), ("p/3", 3), ("p/5", 5), ("q", 0), ("o", 0)]).await }).await;
    bench
        .run(|cx| async move {
            cx.set("p/2", &2).await?;
            cx.set("p/3", &33).await?;
            cx.clear("p/5").await?;
            assert_eq!(cx.list("p/").await?, ["p/1", "p/2", "p/3"]);
            let entries = cx.list_entries::<u32>("p/").await?;
            assert_eq!(entries, [("p/1".to_owned(), 1), ("p/2".to_owned(), 2), ("p/3".to_owned(), 33)]);
            cx.clear_all().await?;
            assert_eq!(cx.list("").await?, [""; 0]);
            cx.set("p/9", &9).await?;
            assert_eq!(cx.list("").await?, ["p/9"]);
            assert_eq!(cx.get::<u32>("p/1").await?, None);
            Ok(())
        })
        .await;
    assert_eq!(bench.run(|cx| async move { cx.list("").await }).await, ["p/9"]);
}

/// R5.1, R11.1
#[tokio::test]
async fn clearing_all_leaves_what_the_host_keeps() {
    let bench = Bench::enabled().await;
    bench
        .run(|cx| async move {
            cx.set("mine", &1).await?;
            cx.mark_dirty(crate::fixture::Swept, [7]).await?;
            assert!(cx.acquire_lock("door", SignedDuration::from_hours(1)).await?);
            Ok(())
        })
        .await;
    let hosts = |entries: Vec<(String, serde_json::Value)>| -> Vec<String> {
        entries.into_iter().map(|(key, _)| key).filter(|key| key.starts_with("host:")).collect()
    };
    let before = hosts(bench.runtime().state(bench.connection, "").await.unwrap());
    assert!(before.len() >= 4, "{before:?}");
    bench.run(|cx| async move { cx.clear_all().await }).await;
    assert_eq!(hosts(bench.runtime().state(bench.connection, "").await.unwrap()), before);
    assert_eq!(bench.value("mine").await, json!(null));
}

/// R5.3, R7.1
#[tokio::test]
async fn a_dispatch_that_fails_or_panics_stores_nothing() {
    let bench = Bench::new().await;
    bench.run(|cx| async move { cx.set("kept", &1).await }).await;
    act("later", |_| async { Ok(()) });
    bench
        .fails(|cx| async move {
            cx.set("kept", &2).await?;
            cx.set("new", &2).await?;
            cx.run_task(Act { name: "later".into() }).await?;
            cx.integrations().save_link(crate::fixture::ticket(1)).await?;
            Err::<(), _>(Error::bug("no"))
        })
        .await;
    let outcomes = bench
        .outcomes::<(), _>(|cx| async move {
            cx.set("kept", &3).await?;
            if cx.attempt() > 0 {
                panic!("no");
            }
            Ok(())
        })
        .await;
    assert!(outcomes.is_empty());
    assert_eq!(bench.value("kept").await, json!(1));
    assert_eq!(bench.value("new").await, json!(null));
    assert!(bench.tasks_of("act").await.is_empty());
    assert!(bench.links().await.is_empty());
    let failed = bench.tasks_of("on_options_changed").await;
    assert!(failed.iter().any(|task| task.errors[0].message.contains("panicked: no")), "{failed:?}");
}

/// R5.4
#[tokio::test]
async fn no_update_is_lost_between_two_dispatches() {
    let bench = Bench::new().await;
    bench.run(|cx| async move { cx.set("count", &10).await }).await;
    let runs = Arc::new(AtomicU32::new(0));
    let (runtime, connection, seen) = (bench.runtime().clone(), bench.connection, Arc::clone(&runs));
    // The second dispatch runs, and commits, while the first is between its read and its commit.
    bench
        .run(move |cx| {
            let (runtime, seen) = (runtime.clone(), Arc::clone(&seen));
            async move {
                let count: u32 = cx.get("count").await?.unwrap_or(0);
                if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                    let write = connector_core::engine::Write::PutState {
                        connection,
                        key: "c/count".into(),
                        value: connector_core::value::to_bytes(&100_u32)?.into(),
                    };
                    runtime.ports().engine.commit(connector_core::engine::WriteSet::of([write])).await?;
                }
                cx.set("count", &(count + 1)).await
            }
        })
        .await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(bench.value("count").await, json!(101));
}

/// R5.4
#[tokio::test]
async fn a_listing_that_another_dispatch_changed_is_run_again() {
    let bench = Bench::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let (runtime, connection, seen) = (bench.runtime().clone(), bench.connection, Arc::clone(&runs));
    bench
        .run(move |cx| {
            let (runtime, seen) = (runtime.clone(), Arc::clone(&seen));
            async move {
                let found = cx.list("job/").await?;
                if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                    let write = connector_core::engine::Write::PutState {
                        connection,
                        key: "c/job/1".into(),
                        value: connector_core::value::to_bytes(&1_u32)?.into(),
                    };
                    runtime.ports().engine.commit(connector_core::engine::WriteSet::of([write])).await?;
                }
                cx.set("total", &found.len()).await
            }
        })
        .await;
    assert_eq!(bench.value("total").await, json!(1));
}

/// R5.4: reads and writes side by side in one dispatch do not mix up the values.
#[tokio::test]
async fn reads_and_writes_side_by_side_keep_their_keys() {
    let bench = Bench::new().await;
    bench.run(|cx| async move { cx.set_many([("a", 1), ("b", 2), ("c", 3)]).await }).await;
    bench
        .run(|cx| async move {
            let keys = ["a", "b", "c"];
            let (values, ()) = tokio::try_join!(cx.get_many::<u32>(&keys), async { cx.set("a", &9).await })?;
            assert_eq!(values[1..], [Some(2), Some(3)]);
            Ok(())
        })
        .await;
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Rich {
    numbers: BTreeMap<u64, i128>,
    places: HashMap<(i32, i32), String>,
    set: BTreeSet<Option<char>>,
    bytes: Vec<u8>,
    big: u128,
    small: i64,
    nested: Option<Option<u8>>,
    at: Timestamp,
    day: Date,
    unit: (),
}

/// R5.2
#[tokio::test]
async fn whatever_serde_writes_comes_back_equal() {
    let bench = Bench::new().await;
    let rich = Rich {
        numbers: [(u64::MAX, i128::MIN), (0, -1)].into(),
        places: [((-1, 2), "a".to_owned())].into(),
        set: [None, Some('ß')].into(),
        bytes: vec![0, 255],
        big: u128::MAX,
        small: i64::MIN,
        nested: Some(None),
        at: Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap(),
        day: jiff::civil::date(2024, 2, 29),
        unit: (),
    };
    let stored = rich.clone();
    bench
        .run(move |cx| {
            let stored = stored.clone();
            async move {
                cx.set("rich", &stored).await?;
                cx.set("floats", &[f64::NAN, f64::INFINITY, -0.0]).await
            }
        })
        .await;
    let bench = bench.crash().await;
    let (back, floats) =
        bench.run(|cx| async move { Ok((cx.get::<Rich>("rich").await?, cx.get::<[f64; 3]>("floats").await?)) }).await;
    assert_eq!(back, Some(rich));
    let floats = floats.unwrap();
    assert!(floats[0].is_nan() && floats[1] == f64::INFINITY && floats[2].is_sign_negative());
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: connector_core::serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(connector_core::serde::ser::Error::custom("cannot be written"))
    }
}

/// R5.2
#[tokio::test]
async fn what_cannot_be_stored_is_refused_with_its_path() {
    let bench = Bench::new().await;
    bench
        .run(|cx| async move {
            #[derive(Serialize)]
            struct Outer {
                list: Vec<Unwritable>,
            }
            let error = cx.set("bad", &Outer { list: vec![Unwritable] }).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Bug);
            let text = error.to_string();
            assert!(text.contains("bad") && text.contains("list") && text.contains('0'), "{text}");
            assert!(
                cx.set_many([("good", Ok(1)), ("bad", Err(Unwritable))].map(|(key, value)| (key, OkOr(value))))
                    .await
                    .is_err()
            );
            assert!(cx.get::<u32>("good").await?.is_none());
            assert!(cx.set("", &1).await.is_err());
            assert!(cx.set(&"x".repeat(513), &1).await.is_err());
            cx.set(&"x".repeat(512), &1).await
        })
        .await;
    assert_eq!(bench.value("bad").await, json!(null));
}

struct OkOr(std::result::Result<u32, Unwritable>);

impl Serialize for OkOr {
    fn serialize<S: connector_core::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(number) => number.serialize(serializer),
            Err(bad) => bad.serialize(serializer),
        }
    }
}

/// R5.1: a connection sees its own state only.
#[tokio::test]
async fn state_is_private_to_a_connection() {
    let bench = Bench::new().await;
    let other = bench.runtime().connect(crate::fixture::lab_for("bob")).await.unwrap().id;
    bench.run(|cx| async move { cx.set("a", &1).await }).await;
    let seen = bench.queue_on(other, |cx| async move { Ok((cx.get::<u32>("a").await?, cx.list("").await?)) }).await;
    bench.host.settle().await;
    assert_eq!(seen.lock().unwrap().pop().unwrap().unwrap(), (None, vec![]));
}

/// R5.5
#[tokio::test]
async fn a_lock_is_held_by_one_until_it_is_released_or_its_lease_ends() {
    let bench = Bench::new().await;
    let minute = SignedDuration::from_mins(1);
    assert!(bench.run(move |cx| async move { cx.acquire_lock("door", minute).await }).await);
    assert!(!bench.run(move |cx| async move { cx.acquire_lock("door", minute).await }).await);
    assert!(bench.run(move |cx| async move { cx.acquire_lock("window", minute).await }).await);
    bench.advance("59s").await;
    assert!(!bench.run(move |cx| async move { cx.acquire_lock("door", minute).await }).await);
    bench.advance("1s").await;
    assert!(bench.run(move |cx| async move { cx.acquire_lock("door", minute).await }).await);

    // Released by its holder, together with what the dispatch stores.
    bench
        .run(move |cx| async move {
            assert!(cx.acquire_lock("gate", minute).await?);
            cx.release_lock("gate").await
        })
        .await;
    assert!(bench.run(move |cx| async move { cx.acquire_lock("gate", minute).await }).await);
}

/// R5.5: who lost a lock by the end of its lease cannot take it from the next holder.
#[tokio::test]
async fn a_late_release_does_not_open_the_lock_of_another() {
    let bench = Bench::new().await;
    act("slow", |cx| async move {
        if cx.get::<bool>("second").await?.is_none() {
            log(format!("slow {}", cx.acquire_lock("door", SignedDuration::from_secs(10)).await?));
            cx.checkpoint().await?;
            return Err(Error::rate_limited(cx.now().checked_add(SignedDuration::from_secs(30)).unwrap()));
        }
        cx.release_lock("door").await
    });
    bench.run(|cx| async move { cx.run_task(Act { name: "slow".into() }).await.map(drop) }).await;
    assert_eq!(logged(), ["slow true"]);
    bench.advance("15s").await;
    let taken = bench
        .run(|cx| async move {
            cx.set("second", &true).await?;
            cx.acquire_lock("door", SignedDuration::from_hours(1)).await
        })
        .await;
    assert!(taken);
    bench.advance("1m").await;
    assert!(bench.tasks_of("act").await.is_empty());
    assert!(!bench.run(|cx| async move { cx.acquire_lock("door", SignedDuration::from_hours(1)).await }).await);
}

/// R5.5: a retry of the task that has the lock has it again, also after a crash.
#[tokio::test]
async fn a_retry_has_its_lock_again() {
    let bench = Bench::new().await;
    act("work", |cx| async move {
        log(format!("{} {}", cx.attempt(), cx.acquire_lock("door", SignedDuration::from_hours(9)).await?));
        if cx.attempt() < 3 { Err(Error::transient("again")) } else { cx.release_lock("door").await }
    });
    bench.run(|cx| async move { cx.run_task(Act { name: "work".into() }).await.map(drop) }).await;
    let bench = bench.crash().await;
    bench.advance("10m").await;
    assert_eq!(logged(), ["1 true", "2 true", "3 true"]);
    assert!(bench.run(|cx| async move { cx.acquire_lock("door", SignedDuration::from_hours(1)).await }).await);
}
