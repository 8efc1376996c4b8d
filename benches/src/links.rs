//! (d) Records from a local HTTP server, end to end into SQLite, against a plain loop.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use bytes::Bytes;
use connector_core::engine::Engine;
use connector_core::runtime::ChannelUpdate;
use rusqlite::params;
use serde::Deserialize;

use crate::connector::{ApiRecord, ApiUser};
use crate::rig;

const PAGE: usize = 100;

fn count() -> usize {
    rig::setting("RECORDS", 100_000)
}

#[derive(Deserialize)]
struct Page {
    page: usize,
}

/// Serves the records, and prints its port.
pub(crate) fn server() {
    let pages: Vec<Bytes> = (0..count() / PAGE)
        .map(|page| {
            let records: Vec<_> = (page * PAGE..(page + 1) * PAGE).map(record).collect();
            serde_json::to_vec(&records).unwrap().into()
        })
        .collect();
    let pages = Arc::new(pages);
    rig::runtime().block_on(async {
        let answer = |State(pages): State<Arc<Vec<Bytes>>>, Query(page): Query<Page>| async move {
            let more = if page.page + 1 < pages.len() { "1" } else { "0" };
            (
                [("x-more", more), ("content-type", "application/json")],
                pages.get(page.page).cloned().unwrap_or_default(),
            )
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        axum::serve(listener, Router::new().route("/records", get(answer)).with_state(pages)).await.unwrap();
    });
}

fn record(number: usize) -> ApiRecord {
    let body =
        "The quick brown fox jumps over the lazy dog, and somebody has to write down what came of it. ".repeat(5);
    ApiRecord {
        id: 1_000_000 + number as u64,
        number: number as u64,
        title: format!("Something that somebody wanted to be done, number {number}"),
        state: if number.is_multiple_of(3) { "closed" } else { "open" }.to_owned(),
        html_url: format!("https://service.example/acme/web-app/issues/{number}"),
        user: ApiUser { id: number as u64 % 50, login: format!("user-{}", number % 50) },
        labels: vec!["bug".to_owned(), format!("area-{}", number % 12)],
        created_at: jiff::Timestamp::from_second(1_700_000_000 + number as i64).unwrap(),
        updated_at: jiff::Timestamp::from_second(1_750_000_000 + number as i64).unwrap(),
        body,
    }
}

/// The loop that one would write without a framework.
pub(crate) fn plain(args: &[String]) {
    let (path, url) = (Path::new(&args[0]), &args[1]);
    let store = rusqlite::Connection::open(path).unwrap();
    store
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
             CREATE TABLE record(source TEXT PRIMARY KEY, updated INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;",
        )
        .unwrap();
    rig::runtime().block_on(async {
        let mut store = store;
        // A second one would be refused, and there is none.
        rustls::crypto::ring::default_provider().install_default().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for pass in 0..2 {
            let meter = rig::meter();
            for page in 0.. {
                let response = client.get(format!("{url}?page={page}")).send().await.unwrap();
                let more = response.headers().get("x-more").is_some_and(|more| more == "1");
                let records: Vec<ApiRecord> = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
                let transaction = store.transaction().unwrap();
                {
                    let mut upsert = transaction
                        .prepare_cached("INSERT INTO record VALUES(?1,?2,?3) ON CONFLICT DO UPDATE SET updated=excluded.updated,doc=excluded.doc")
                        .unwrap();
                    for record in records {
                        let document = serde_json::to_string(&record).unwrap();
                        upsert.execute(params![format!("record:{}", record.id), record.updated_at.as_second(), document]).unwrap();
                    }
                }
                transaction.commit().unwrap();
                if !more {
                    break;
                }
            }
            report(pass, meter());
        }
    });
    println!("peak\t{}", rig::memory().0);
}

/// The same through the framework.
pub(crate) fn ours(args: &[String]) {
    let (path, url) = (Path::new(&args[0]), &args[1]);
    rig::runtime().block_on(async {
        let (runtime, engine) = rig::host(path, 50);
        let connection = rig::connections(&runtime, 1, url).await[0];
        let workers = runtime.start().await.unwrap();
        let channel = "records".into();
        let mut memory = Vec::new();
        for pass in 0..2 {
            let feed = engine.feed_end().await.unwrap();
            let (meter, start) = (rig::meter(), std::time::Instant::now());
            if pass == 0 {
                runtime.enable_channel(connection, &channel, ChannelUpdate::default()).await.unwrap();
            } else {
                runtime.sync_now(connection).await.unwrap();
            }
            loop {
                rig::drained(&runtime).await;
                let last = runtime.last_sync(connection).await.unwrap();
                let row = engine.channel(connection, channel.clone()).await.unwrap().unwrap();
                if last.is_some() && row.walking.is_empty() && runtime.queue_depths().0 == 0 {
                    break;
                }
                if start.elapsed().as_secs() > 600 {
                    panic!("the sync does not end: {row:?}");
                }
            }
            report(pass, meter());
            let written: usize = engine
                .feed(feed, usize::MAX / 2)
                .await
                .unwrap()
                .iter()
                .filter(|entry| entry.kind == connector_core::engine::FeedKind::Link)
                .count();
            println!("written{pass}\t{written}");
            memory.push(rig::memory().1);
        }
        assert_eq!(engine.counts().await.unwrap().links as usize, count());
        workers.stop(&runtime).await;
        rig::close(&engine).await;
    });
    println!("peak\t{}", rig::memory().0);
}

fn report(pass: usize, cost: rig::Cost) {
    println!("pass{pass}\t{}\ncpu{pass}\t{}", count() as f64 / cost.wall, cost.cpu * 1e6 / count() as f64);
}

fn child(args: &[&str]) -> Vec<(String, f64)> {
    let output = Command::new(std::env::current_exe().unwrap()).args(args).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{args:?} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn figure(figures: &[(String, f64)], name: &str) -> f64 {
    figures.iter().find(|(known, _)| known == name).unwrap().1
}

/// A process that ends with the measurement, also when that fails.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait().map(drop)).expect("the server ends");
    }
}

/// The measurement.
pub(crate) fn run() {
    let folder = rig::folder("links");
    let server = Command::new(std::env::current_exe().unwrap()).arg("links-server").stdout(Stdio::piped()).spawn();
    let mut server = Server(server.unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("http://127.0.0.1:{}/records", port.trim());
    let (mut ratios, mut again, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..rig::setting("ROUNDS", 3) {
        let plain = child(&["links-plain", &folder.join(format!("plain{round}.db")).display().to_string(), &url]);
        let ours = child(&["links-ours", &folder.join(format!("ours{round}.db")).display().to_string(), &url]);
        println!(
            "plain loop {:.0}/s ({:.1} us of CPU each) then {:.0}/s in {:.0} MiB; ours {:.0}/s ({:.1} us) then {:.0}/s ({:.1} us) in {:.0} MiB; second sync wrote {} records",
            figure(&plain, "pass0"),
            figure(&plain, "cpu0"),
            figure(&plain, "pass1"),
            figure(&plain, "peak"),
            figure(&ours, "pass0"),
            figure(&ours, "cpu0"),
            figure(&ours, "pass1"),
            figure(&ours, "cpu1"),
            figure(&ours, "peak"),
            figure(&ours, "written1"),
        );
        ratios.push(figure(&ours, "pass0") / figure(&plain, "pass0"));
        again.push(figure(&ours, "written1"));
        peak = peak.max(figure(&ours, "peak"));
    }
    let ratio = rig::median(ratios);
    rig::verdict("(d) saved links / plain loop", ratio, ">= 0.5", ratio >= 0.5);
    rig::verdict("(d) peak memory, MiB", peak, "< 60", peak < 60.0);
    rig::verdict("(d) records written by the second sync", again[0], "0", again.iter().all(|written| *written == 0.0));
}
