//! What a service says of its quota, in the metrics.

use super::*;

/// A meter that may be read so often and no more.
#[connector(
    id = "meter",
    name = "Meter",
    provider = OFFICE,
)]
#[derive(Default)]
pub struct Meter;

#[connector]
impl Connector for Meter {}

#[connector]
impl Meter {
    /// What it shows, twice.
    #[sync(every = "1h")]
    async fn readings(&self, cx: &Context<Self>, count: Option<u64>) -> Result<Step<u64>> {
        let count = count.unwrap_or_default() + 1;
        for _ in 0..2 {
            cx.provider().get("/meter").send().await?;
        }
        cx.set("readings", &count).await?;
        Ok(Step::Done(count))
    }
}

/// Comes back when the metrics have this line.
async fn shown(bench: &Bench, line: &str) {
    let mut metrics = String::new();
    for _ in 0..5_000 {
        metrics = bench.metrics().await;
        if metrics.contains(line) {
            return;
        }
    }
    panic!("{line} is missing:\n{metrics}");
}

/// R7.3, L11: a refusal, work that is put off until the quota has room, and requests that wait for it are counted by
/// provider.
#[tokio::test]
async fn the_quota_of_a_service_is_seen_in_the_metrics() {
    let (bench, clock) = Bench::timed("meter", Registry::of::<Meter>().expect("a registry")).await;
    let path = format!("/connections/{}", bench.connected_to("meter", "ada").await);
    let readings = |wanted: u64| {
        let path = format!("{path}/state");
        let bench = &bench;
        async move { bench.until(&path, |state| state["readings"] == wanted).await }
    };
    readings(1).await;
    let metrics = bench.metrics().await;
    assert!(!metrics.contains("connectors_quota_refused_total{"), "{metrics}");

    bench.authority.seen().readings.push_back((429, vec![("retry-after", "30")]));
    bench.ok("POST", &format!("{path}/sync"), Value::Null).await;
    shown(&bench, "connectors_quota_refused_total{provider=\"office\"} 1\n").await;
    // It is put off by what the service said, and that is stored, before time goes on.
    let mut work = Value::Null;
    for _ in 0..5_000 {
        work = bench.get(&format!("{path}/work")).await["items"][0].take();
        if work["state"] == "waiting" {
            break;
        }
    }
    assert_eq!((&work["state"], &work["error"]["kind"]), (&json!("waiting"), &json!("rate_limited")), "{work}");

    // Between the two requests of the next run, nothing is left of the quota for ten seconds; after it, for longer.
    for reset in ["10", "1000"] {
        let used_up = vec![("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)];
        bench.authority.seen().readings.push_back((200, used_up));
    }
    clock.advance(SignedDuration::from_secs(60));
    let near = Some(clock.now() + SignedDuration::from_secs(10));
    for _ in 0..20_000 {
        if bench.authority.seen().readings.len() <= 1 && clock.next_wake() <= near {
            break;
        }
        tokio::task::yield_now().await;
    }
    clock.advance(SignedDuration::from_secs(10));
    readings(2).await;
    shown(&bench, "connectors_quota_wait_seconds_sum{provider=\"office\"} 10\n").await;
    shown(&bench, "connectors_quota_wait_seconds_count{provider=\"office\"} 1\n").await;
    assert!(!bench.metrics().await.contains("connectors_quota_moved_total{"));

    // To wait so long, work is put off.
    bench.ok("POST", &format!("{path}/sync"), Value::Null).await;
    shown(&bench, "connectors_quota_moved_total{provider=\"office\"} 1\n").await;
    shown(&bench, "connectors_quota_refused_total{provider=\"office\"} 1\n").await;
    bench.end().await;
}
