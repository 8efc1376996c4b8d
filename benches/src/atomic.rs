//! (c) Whole dispatches, each one commit, against plainly writing the same rows in groups of 100.

use std::path::Path;

use rusqlite::params;

use crate::connector::Unit;
use crate::rig;

fn plain(path: &Path, count: usize, links: usize) -> rig::Cost {
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
    let owners: Vec<String> = (0..100).map(|number| format!("user-{number}")).collect();
    let (mut links_saved, mut threads_marked, mut position) = (Vec::new(), Vec::new(), 0);
    let mut next = count as i64;
    let ((), cost) = rig::measured(|| {
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
                        .prepare_cached("INSERT INTO user_thread(thread_id,user,unread,todo,archived,version) VALUES(?1,?2,1,0,0,1)")
                        .unwrap()
                        .execute(params![next - 1, owners[connection as usize]])
                        .unwrap();
                    links_saved.push(format!("lnk_{next}"));
                    threads_marked.push(format!("thr_{}", next - 1));
                }
                for (kind, ids) in [("link", &mut links_saved), ("thread", &mut threads_marked)] {
                    if ids.is_empty() {
                        continue;
                    }
                    position += ids.len() as i64;
                    let owner = (kind == "link").then_some(connection);
                    transaction
                        .prepare_cached("INSERT INTO feed(position,kind,connection_id,refs) VALUES(?1,?2,?3,?4)")
                        .unwrap()
                        .execute(params![position, kind, owner, serde_json::to_string(&ids).unwrap()])
                        .unwrap();
                    ids.clear();
                }
            }
            transaction.commit().unwrap();
        }
    });
    cost
}

fn ours(path: &Path, count: usize, links: usize) -> rig::Cost {
    rig::runtime().block_on(async {
        let (runtime, engine) = rig::host(path, rig::setting("CONC", 200));
        let connections = rig::connections(&runtime, 100, "").await;
        rig::queue_in_turn(&runtime, &connections, count, |number| Unit { number: number as u64, links: links as u64 })
            .await;
        let (before, meter) = (engine.counters(), rig::meter());
        let workers = runtime.start().await.unwrap();
        rig::drained(&runtime).await;
        let cost = meter();
        let after = engine.counters();
        let (sets, commits) = (after.sets - before.sets, after.commits - before.commits);
        println!(
            "  {:.1} sets and {:.2} pages in each commit",
            sets as f64 / commits as f64,
            (after.wal_pages - before.wal_pages) as f64 / commits as f64
        );
        workers.stop(&runtime).await;
        rig::close(&engine).await;
        cost
    })
}

/// The measurement.
pub(crate) fn run() {
    let folder = rig::folder("atomic");
    let only = std::env::var("LINKS").ok().and_then(|links| links.parse::<usize>().ok());
    for (links, count) in [(0, 30_000), (10, 8_000), (100, 1_500)] {
        if only.is_some_and(|only| only != links) {
            continue;
        }
        let (mut ratios, mut cpu) = (Vec::new(), Vec::new());
        for round in 0..rig::setting("ROUNDS", 3) {
            let limit = plain(&folder.join(format!("plain{links}-{round}.db")), count, links);
            let rate = ours(&folder.join(format!("ours{links}-{round}.db")), count, links);
            let each = |cost: rig::Cost| (count as f64 / cost.wall, cost.cpu * 1e6 / count as f64);
            let ((plain, plain_us), (ours, ours_us)) = (each(limit), each(rate));
            println!(
                "{links} links: plain rows {plain:.0}/s ({plain_us:.1} us of CPU each), dispatches {ours:.0}/s ({ours_us:.1} us)"
            );
            ratios.push(ours / plain);
            cpu.push(ours_us / plain_us);
        }
        let (ratio, cpu) = (rig::median(ratios), rig::median(cpu));
        println!("CPU of a dispatch with {links} links / plain rows, on all threads: {cpu:.2}");
        rig::verdict(&format!("(c) dispatch with {links} links / plain rows"), ratio, ">= 0.6", ratio >= 0.6);
    }
}
