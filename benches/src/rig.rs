//! What the measurements stand on: a host on a fresh database, a clock, the cost of the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_core::callback::CalledCallback;
use connector_core::engine::Engine;
use connector_core::id::ConnectionId;
use connector_core::ports::{Ports, StoredCredentials};
use connector_core::registry::Registry;
use connector_core::runtime::{Config, ConnectRequest, Runtime};
use connector_host::clock::SystemClock;
use connector_host::engine::SqliteEngine;
use connector_host::engine::SqliteOptions;
use connector_host::network::HttpClient;
use connector_host::vault::KeyVault;

use crate::connector::Load;

/// A folder of this measurement's own, empty. Below `BENCH_DIR`, or the build's target folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    let base = std::env::var_os("BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench"), PathBuf::from);
    let folder = base.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("the folder of an earlier run can be removed");
    }
    std::fs::create_dir_all(&folder).expect("a folder for the measurement");
    folder
}

/// The vault beside a database.
fn vault(database: &Path) -> KeyVault {
    let path = database.with_extension("key");
    if path.exists() { KeyVault::from_file(&path) } else { KeyVault::make_file(&path) }.expect("a key")
}

/// A host without workers.
pub(crate) fn host(database: &Path, concurrency: usize) -> (Runtime, Arc<SqliteEngine>) {
    let engine = Arc::new(SqliteEngine::open(database, SqliteOptions::default()).expect("a database"));
    let vault = Arc::new(vault(database));
    let ports = Ports {
        engine: Arc::clone(&engine) as _,
        network: Arc::new(HttpClient::new(true)),
        clock: Arc::new(SystemClock),
        credentials: Arc::new(StoredCredentials::new(Arc::clone(&engine) as _, Arc::clone(&vault) as _)),
        vault,
    };
    let mut config = Config::default();
    config.concurrency = concurrency;
    (Runtime::new(Registry::of::<Load>().expect("a registry"), ports, config), engine)
}

/// Connections of the measured connector.
pub(crate) async fn connections(runtime: &Runtime, count: usize, url: &str) -> Vec<ConnectionId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let mut request = ConnectRequest::new("load", format!("user-{number}"));
        request.options.insert("url".to_owned(), url.into());
        ids.push(runtime.connect(request).await.expect("a connection").id);
    }
    ids
}

/// Queues one message for each number below `count`, each for a connection in turn: ten at a time for each, all
/// connections side by side, so that tasks that run one after the other are neighbours in the store.
pub(crate) async fn queue_in_turn<M>(
    runtime: &Runtime,
    connections: &[ConnectionId],
    count: usize,
    message: impl Fn(usize) -> M,
) where
    M: CalledCallback<Input = ()>,
{
    let each = 10;
    for group in (0..count).step_by(each * connections.len()) {
        let mut queueing = tokio::task::JoinSet::new();
        for (place, connection) in connections.iter().copied().enumerate() {
            let numbers = (0..each).map(|turn| group + turn * connections.len() + place);
            let messages: Vec<_> = numbers.filter(|number| *number < count).map(&message).collect();
            let runtime = runtime.clone();
            queueing.spawn(async move { runtime.queue_many(connection, messages).await.expect("it is queued").len() });
        }
        let queued: usize = queueing.join_all().await.iter().sum();
        assert_eq!(queued, (each * connections.len()).min(count - group), "all are queued");
    }
}

/// Comes back when no task is left that is due.
pub(crate) async fn drained(runtime: &Runtime) {
    loop {
        let (ready, _, running) = runtime.queue_depths();
        if ready == 0 && running == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Closes a store.
pub(crate) async fn close(engine: &Arc<SqliteEngine>) {
    engine.close().await.expect("the store closes");
}

/// What some work took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Seconds by the clock.
    pub wall: f64,
    /// User and system seconds of this process, and of children that have ended: what others do on the machine hardly
    /// changes them.
    pub cpu: f64,
}

/// Measures from here on.
pub(crate) fn meter() -> impl Fn() -> Cost {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    move || Cost { wall: start.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu }
}

/// What something takes.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let meter = meter();
    let value = work();
    (value, meter())
}

/// User and system seconds of this process and its ended children so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (11..15).map(ticks).sum::<f64>() / 100.0
}

/// Peak and present resident memory of this process, in MiB.
pub(crate) fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    (field("VmHWM:"), field("VmRSS:"))
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Prints a figure against its bar.
pub(crate) fn verdict(name: &str, ratio: f64, bar: &str, kept: bool) {
    println!("{name:<46} {ratio:>8.3}   bar {bar:<14} {}", if kept { "kept" } else { "MISSED" });
}

/// A connection to a database of the engine's own schema, for writing the same rows plainly.
pub(crate) async fn plain(path: &Path) -> rusqlite::Connection {
    let engine = SqliteEngine::open(path, SqliteOptions::default()).expect("a database");
    engine.close().await.expect("it closes");
    drop(engine);
    let plain = rusqlite::Connection::open(path).expect("a database");
    plain
        .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=4000;")
        .expect("settings");
    plain.set_prepared_statement_cache_capacity(64);
    plain
}

/// A runtime with as many threads as the machine has.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}
