//! Metrics of the process, for Prometheus.
//!
//! The framework counts with the `metrics` facade. A program that has a recorder of its own keeps it, and
//! finds everything there; else the first host installs the one that `/metrics` shows.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::host::Host;

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Upper bounds of counts.
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How often histograms are added up.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Records from here on; none if the program has a recorder of its own.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    let installed = RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_sets".to_owned()), &COUNTS));
        match builder.and_then(PrometheusBuilder::install_recorder) {
            Ok(handle) => {
                describe();
                keep_up(handle.clone());
                Some(handle)
            }
            Err(error) => {
                tracing::debug!("metrics go where the program sends them: {error}");
                None
            }
        }
    });
    installed.as_ref()
}

/// Adds up what histograms have recorded, for as long as the process runs: until then each value is kept by itself, and
/// nobody may ever ask for the metrics.
fn keep_up(handle: PrometheusHandle) {
    let upkeep = move || {
        loop {
            std::thread::sleep(UPKEEP);
            handle.run_upkeep();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(upkeep) {
        tracing::warn!("metrics take memory until they are asked for: {error}");
    }
}

fn describe() {
    metrics::describe_counter!("connectors_dispatches_total", "Runs of hooks and callbacks, by outcome");
    metrics::describe_histogram!("connectors_dispatch_seconds", "How long hooks and callbacks run");
    metrics::describe_histogram!("connectors_commit_group_sets", "Sets of writes that are stored by one commit");
    metrics::describe_counter!("connectors_http_requests_total", "Requests to the API");
    metrics::describe_histogram!("connectors_http_request_seconds", "How long requests to the API take");
    metrics::describe_counter!("connectors_rate_limited_total", "Requests to the API that were one too many");
    metrics::describe_counter!(
        "connectors_connections_refused_total",
        "Connections that came while all others had a request under way"
    );
    metrics::describe_counter!("connectors_webhooks_total", "Requests that services pushed, by what became of them");
    metrics::describe_histogram!(
        "connectors_webhook_lag_seconds",
        "From a webhook's acceptance to when it was handled"
    );
    metrics::describe_counter!("connectors_token_refreshes_total", "Refreshes of tokens: ok, void or failed");
    metrics::describe_histogram!("connectors_token_refresh_seconds", "How long refreshes of tokens take");
    metrics::describe_histogram!("connectors_quota_wait_seconds", "How long requests wait for a provider's quota");
    metrics::describe_counter!("connectors_quota_moved_total", "Dispatches put off until a provider's quota has room");
    metrics::describe_counter!("connectors_quota_refused_total", "Requests that a provider refused as too many");
    metrics::describe_gauge!("connectors_tasks", "Tasks by where they are");
    metrics::describe_gauge!("connectors_oldest_task_seconds", "How long the task has been due that waits longest");
    metrics::describe_gauge!("connectors_stored", "What the store holds, by kind");
    metrics::describe_gauge!("connectors_search_lag_rows", "Links and notes that are stored and not indexed yet");
    metrics::describe_gauge!("connectors_feed_position", "The last position of the change feed");
}

/// What is known now, as Prometheus reads it; none if the program has a recorder of its own.
pub(crate) async fn render(host: &Host) -> Option<String> {
    let handle = recorder()?;
    let runtime = host.runtime();
    let (ready, waiting, running) = runtime.queue_depths();
    for (state, count) in [("ready", ready), ("waiting", waiting), ("running", running)] {
        metrics::gauge!("connectors_tasks", "state" => state).set(as_gauge(count as u64));
    }
    let now = runtime.ports().clock.now();
    let age = runtime.oldest_due().map_or(0.0, |due| now.duration_since(due).as_secs_f64().max(0.0));
    metrics::gauge!("connectors_oldest_task_seconds").set(age);
    if let Ok(counts) = host.counts().await {
        let stored = [
            ("connections", counts.connections),
            ("links", counts.links),
            ("notes", counts.notes),
            ("tasks", counts.tasks),
            ("dead_letters", counts.dead),
            ("deliveries", counts.deliveries),
            ("files", counts.files),
            ("delivery_bytes", counts.delivery_bytes),
        ];
        for (kind, count) in stored {
            metrics::gauge!("connectors_stored", "kind" => kind).set(as_gauge(count));
        }
    }
    if let Ok(end) = host.engine().feed_end().await {
        metrics::gauge!("connectors_feed_position").set(as_gauge(end));
    }
    Some(handle.render())
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float, and exact as far as one counts")]
fn as_gauge(count: u64) -> f64 {
    count as f64
}
