//! (c) Whole dispatches, each one commit, against plainly writing the same rows in groups of 100.

use std::path::Path;

use rusqlite::params;

use crate::connector::Unit;
use crate::rig;

fn plain(path: &Path, count: usize, links: usize) -> f64 {
    let mut plain = rig::runtime().block_on(rig::plain(path));
    let payload = [0_u8; 32];
    {
        let transaction = plain.transaction().unwrap();
        let mut insert = transaction
            .prepare("INSERT INTO task(id,connection_id,attempt,revision,priority,payload) VALUES(?1,?2,0,0,2,?3)")
            .unwrap();
        for id in 0..count as i64 {
            insert.execute(params![id, id % 100, payload]).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
    let document = "x".repeat(620);
    let mut next = count as i64;
    let ((), seconds) = rig::timed(|| {
        for group in 0..count.div_ceil(100) {
            let transaction = plain.transaction().unwrap();
            for place in (group * 100)..((group + 1) * 100).min(count) {
                let (id, connection) = (place as i64, (place % 100) as i64);
                transaction
                    .prepare_cached("DELETE FROM task WHERE id=?1 AND revision=0")
                    .unwrap()
                    .execute([id])
                    .unwrap();
                for key in ["c/cursor".to_owned(), format!("c/seen:{}", id % 50)] {
                    transaction
                        .prepare_cached("INSERT INTO state(connection_id,key,version,value) VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET version=excluded.version,value=excluded.value")
                        .unwrap()
                        .execute(params![connection, key, id, payload])
                        .unwrap();
                }
                next += 1;
                transaction
                    .prepare_cached("INSERT INTO task(id,connection_id,run_at,attempt,revision,priority,payload) VALUES(?1,?2,?3,0,0,2,?4)")
                    .unwrap()
                    .execute(params![next, connection, i64::MAX, payload])
                    .unwrap();
                for link in 0..links as i64 {
                    next += 2;
                    transaction
                        .prepare_cached("INSERT INTO link(id,connection_id,source,thread_id,channel,type,status,occurred_at,updated_at,archived,version,doc) VALUES(?1,?2,?3,?4,'records','record','open',0,0,0,0,?5)")
                        .unwrap()
                        .execute(params![next, connection, format!("load:{}", id * links as i64 + link), next - 1, document])
                        .unwrap();
                    transaction
                        .prepare_cached("INSERT INTO feed(kind,connection_id,ref) VALUES('link',?1,?2)")
                        .unwrap()
                        .execute(params![connection, format!("lnk_{next}")])
                        .unwrap();
                }
            }
            transaction.commit().unwrap();
        }
    });
    count as f64 / seconds
}

fn ours(path: &Path, count: usize, links: usize) -> f64 {
    rig::runtime().block_on(async {
        let (runtime, engine) = rig::host(path, 200);
        let connections = rig::connections(&runtime, 100, "").await;
        for (connection, id) in connections.into_iter().enumerate() {
            let messages =
                (0..count / 100).map(|place| Unit { number: (place * 100 + connection) as u64, links: links as u64 });
            runtime.queue_many(id, messages).await.unwrap();
        }
        let start = std::time::Instant::now();
        let workers = runtime.start().await.unwrap();
        rig::drained(&runtime).await;
        let rate = count as f64 / start.elapsed().as_secs_f64();
        workers.stop(&runtime).await;
        rig::close(&engine).await;
        rate
    })
}

/// The measurement.
pub(crate) fn run() {
    let folder = rig::folder("atomic");
    for (links, count) in [(0, 30_000), (10, 8_000), (100, 1_500)] {
        let mut ratios = Vec::new();
        for round in 0..rig::setting("ROUNDS", 5) {
            let limit = plain(&folder.join(format!("plain{links}-{round}.db")), count, links);
            let rate = ours(&folder.join(format!("ours{links}-{round}.db")), count, links);
            println!("{links} links: plain rows {limit:.0}/s, dispatches {rate:.0}/s");
            ratios.push(rate / limit);
        }
        let ratio = rig::median(ratios);
        rig::verdict(&format!("(c) dispatch with {links} links / plain rows"), ratio, ">= 0.6", ratio >= 0.6);
    }
}
