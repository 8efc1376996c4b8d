//! (f) Connections that wait: each with one recurring task.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use connector_core::engine::{
    ConnectionRow, ConnectionStatus, Engine, KeyedTask, TaskPriority, TaskRow, Write, WriteSet,
};
use connector_core::id::{ConnectionId, TaskId};
use connector_core::model::Account;

use crate::rig;

/// Opens a store with connections and prints what that costs.
pub(crate) fn open(args: &[String]) {
    rig::runtime().block_on(async {
        let start = std::time::Instant::now();
        let (runtime, engine) = rig::host(Path::new(&args[0]), 50);
        let workers = runtime.start().await.unwrap();
        println!("start\t{}", start.elapsed().as_secs_f64());
        println!("memory\t{}", rig::memory().1);
        workers.stop(&runtime).await;
        rig::close(&engine).await;
    });
}

fn writes(id: i64, payload: &[u8], at: jiff::Timestamp) -> [Write; 2] {
    let connection = ConnectionId::from_number(id);
    let row = ConnectionRow {
        id: connection,
        connector: "load".into(),
        connector_version: "1".to_owned(),
        owner: format!("user-{id}").into(),
        workspace: None,
        status: ConnectionStatus::Active,
        status_reason: None,
        name: "Load".to_owned(),
        options: serde_json::Map::new(),
        account: Account::new(format!("user-{id}").into()),
        identity: None,
        credential: None,
        scope_groups: Vec::new(),
        asked_scopes: Vec::new(),
        history_days: None,
        auto_enable_new_channels: None,
        generation: 0,
        claims: Vec::new(),
        created_at: at,
        version: 0,
    };
    let task = TaskRow {
        id: TaskId::from_number(id + 1),
        connection,
        run_at: at.checked_add(jiff::SignedDuration::from_hours(24)).ok(),
        attempt: 0,
        revision: 0,
        key: Some("w//every/refresh".to_owned()),
        channel: None,
        priority: TaskPriority::Incremental,
        every_ms: Some(86_400_000),
        payload: payload.to_vec().into(),
        errors: Vec::new(),
        nonce: None,
    };
    [Write::PutConnection { row: Box::new(row), expect: None }, Write::PutTask { task, keyed: KeyedTask::Replace }]
}

/// The measurement.
pub(crate) fn run() {
    let count = rig::setting("CONNECTIONS", 100_000);
    let path = rig::folder("idle").join("idle.db");
    rig::runtime().block_on(async {
        let (_, engine) = rig::host(&path, 1);
        let engine: Arc<_> = engine;
        let now = jiff::Timestamp::now();
        for _ in 0..count / 1000 {
            let first = engine.take_ids(2000);
            let set =
                WriteSet::of((0..1000).flat_map(|place| writes(first + place * 2, &[1, 2, 3, 4, 5, 6, 7, 8], now)));
            engine.commit(set).await.unwrap();
        }
        rig::close(&engine).await;
    });
    let megabytes = std::fs::metadata(&path).unwrap().len() as f64 / 1024.0 / 1024.0;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["idle-open", &path.display().to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let figure = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(&format!("{name}\t"))).unwrap().parse::<f64>().unwrap()
    };
    println!("{count} idle connections: {megabytes:.1} MiB on disk");
    let (memory, start) = (figure("memory"), figure("start"));
    rig::verdict("(f) resident memory, MiB", memory, "<= 150", memory <= 150.0);
    rig::verdict(
        "(f) file, KiB for each connection",
        megabytes * 1024.0 / count as f64,
        "<= 1.2",
        megabytes * 1024.0 / count as f64 <= 1.2,
    );
    rig::verdict("(f) start, s", start, "<= 5", start <= 5.0);
}
