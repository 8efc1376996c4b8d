//! (b) Durable tasks that do nothing, through the real path, against inserting and deleting their rows.

use std::path::Path;
use std::sync::Arc;

use connector_core::engine::Engine;
use rusqlite::params;

use crate::connector::NoOp;
use crate::rig;

/// Rows of a task table inserted, then deleted, in groups of 1000 with nothing around it: the second
/// rate. The table is keyed by connection and has an index of what is ready, as a queue in SQL has.
fn raw(path: &Path, count: usize) -> rig::Cost {
    let mut plain = rusqlite::Connection::open(path).unwrap();
    plain
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=4000;
             CREATE TABLE task(connection_id INTEGER NOT NULL, id INTEGER NOT NULL, run_at INTEGER NOT NULL, status INTEGER NOT NULL DEFAULT 0,
               attempt INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, key TEXT, callback_id INTEGER, payload BLOB,
               PRIMARY KEY(connection_id, id)) WITHOUT ROWID;
             CREATE INDEX ready ON task(run_at, connection_id, id) WHERE status=0;
             CREATE UNIQUE INDEX keyed ON task(connection_id, key) WHERE key IS NOT NULL;",
        )
        .unwrap();
    let groups = |plain: &mut rusqlite::Connection, statement: &str| {
        for group in 0..count / 1000 {
            let transaction = plain.transaction().unwrap();
            {
                let mut prepared = transaction.prepare_cached(statement).unwrap();
                for place in 0..1000_i64 {
                    prepared.execute(params![place, group as i64 * 1000 + place]).unwrap();
                }
            }
            transaction.commit().unwrap();
        }
    };
    groups(&mut plain, "INSERT INTO task(connection_id, id, run_at, payload) VALUES(?1, ?2, 0, '{\"n\":1}')");
    let ((), cost) =
        rig::measured(|| groups(&mut plain, "DELETE FROM task WHERE connection_id=?1 AND id=?2 AND epoch=0"));
    cost
}

struct Figures {
    enqueue_single: f64,
    enqueue_bulk: f64,
    process: f64,
    cpu_us: f64,
    process_cpu_us: f64,
}

fn ours(path: &Path, count: usize, handlers: usize) -> Figures {
    rig::runtime().block_on(async {
        let (runtime, engine) = rig::host(path, handlers);
        let connections = rig::connections(&runtime, 100, "").await;
        let singles = rig::setting("N1", 500);
        let start = std::time::Instant::now();
        for number in 0..singles {
            runtime.queue(connections[number % 100], NoOp { number: number as u64 }).await.unwrap();
        }
        let enqueue_single = singles as f64 / start.elapsed().as_secs_f64();
        let whole = rig::meter();
        let start = std::time::Instant::now();
        rig::queue_in_turn(&runtime, &connections, count, |number| NoOp { number: number as u64 }).await;
        let enqueue_bulk = count as f64 / start.elapsed().as_secs_f64();
        rig::close(&engine).await;
        drop((runtime, engine));
        // All is queued: from starting a host on it until it is all done.
        let meter = rig::meter();
        let (runtime, engine) = rig::host(path, handlers);
        let workers = runtime.start().await.unwrap();
        rig::drained(&runtime).await;
        let (cost, tasks) = (meter(), (count + singles) as f64);
        let process = tasks / cost.wall;
        let (cpu_us, process_cpu_us) = (whole().cpu * 1e6 / tasks, cost.cpu * 1e6 / tasks);
        let counters = engine.counters();
        eprintln!(
            "  {:.1} sets and {:.2} pages in each commit",
            counters.sets as f64 / counters.commits as f64,
            counters.wal_pages as f64 / counters.commits as f64
        );
        workers.stop(&runtime).await;
        let left = engine.counts().await.unwrap().tasks;
        assert_eq!(left, 100, "only the looks for channels are left");
        let engine: Arc<_> = engine;
        rig::close(&engine).await;
        Figures { enqueue_single, enqueue_bulk, process, cpu_us, process_cpu_us }
    })
}

/// The measurement.
pub(crate) fn run() {
    let count = rig::setting("N", 100_000);
    let folder = rig::folder("tasks");
    let (mut ratios, mut cpu, mut cpu_ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rig::setting("ROUNDS", 5) {
        let limit = raw(&folder.join(format!("raw{round}.db")), count);
        let figures = ours(&folder.join(format!("ours{round}.db")), count, rig::setting("CONC", 50));
        println!(
            "raw {:.0}/s ({:.1} us of CPU each), ours {:.0}/s ({:.1} us, {:.1} us with queueing), enqueue one by one {:.0}/s, in bulk {:.0}/s",
            count as f64 / limit.wall,
            limit.cpu * 1e6 / count as f64,
            figures.process,
            figures.process_cpu_us,
            figures.cpu_us,
            figures.enqueue_single,
            figures.enqueue_bulk
        );
        ratios.push(figures.process * limit.wall / count as f64);
        cpu.push(figures.cpu_us);
        cpu_ratios.push(figures.process_cpu_us * count as f64 / (limit.cpu * 1e6));
    }
    let (ratio, cpu) = (rig::median(ratios), rig::median(cpu));
    println!("CPU of a no-op task, without queueing / raw limit: {:.2}", rig::median(cpu_ratios));
    rig::verdict("(b) durable no-op tasks / raw limit", ratio, ">= 0.6", ratio >= 0.6);
    rig::verdict("(b) CPU of each, enqueue included, us", cpu, "<= 30", cpu <= 30.0);
}

/// The three figures of a table of queues, for `N` tasks and `CONC` handlers, on `DB_FILE`.
pub(crate) fn peer() {
    let path = std::env::var("DB_FILE").map_or_else(|_| rig::folder("peer").join("peer.db"), Into::into);
    let figures = ours(&path, rig::setting("N", 20_000), rig::setting("CONC", 50));
    println!(
        "enqueue_single\t{:.0}\nenqueue_bulk\t{:.0}\nprocess\t{:.0}",
        figures.enqueue_single, figures.enqueue_bulk, figures.process
    );
}
