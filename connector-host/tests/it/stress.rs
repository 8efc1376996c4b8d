//! Callers who leave, bursts, restarts and kills, over real sockets. Whatever was accepted is done in the end.
//!
//! `STRESS_SECONDS` says how long it goes on (8 if it is not set), and `STRESS_SEED` with which random numbers.

use std::time::{Duration, Instant};

use connector_core::engine::{TaskQuery, TaskRow};
use connector_core::registry::Registry;
use connector_host::Host;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::desk::{Bench, Desk, KEY, config, directory};
use crate::fuzz::Dice;

/// Seconds if `STRESS_SECONDS` does not say.
const SECONDS: u64 = 8;

/// Clients of one burst.
const BURST: usize = 40;

/// Looks at the host until nothing is under way.
const LOOKS: usize = 200_000;

/// A host that serves a socket, on a database that outlives it.
struct Served {
    host: Host,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    async fn start(directory: &std::path::Path) -> Self {
        let host = Host::open(config(directory), Registry::of::<Desk>().expect("a registry")).await.expect("a host");
        host.start().await.expect("workers");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn({
            let host = host.clone();
            async move {
                let stopped = async move { stopped.await.unwrap_or_default() };
                host.serve(listener, stopped).await.expect("it serves");
            }
        });
        Self { host, address, stop, serving }
    }

    /// Ends as a process that is told to stop does.
    async fn stop(self) {
        self.stop.send(()).expect("it serves");
        self.serving.await.expect("it ends");
        self.host.shutdown().await.expect("an end in order");
    }
}

fn number(seed: &str, otherwise: u64) -> u64 {
    std::env::var(seed).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What a client asks for.
fn request(dice: &mut Dice, connections: &[String], threads: &[String], links: &[String]) -> (String, String, Value) {
    let connection = &connections[dice.below(connections.len())];
    let user = ["ada", "bob", "eve"][dice.below(3)];
    let thread = threads.get(dice.below(threads.len()));
    match (dice.below(10), thread) {
        (0..=3, Some(thread)) => {
            let content = if dice.one_in(20) { "refuse me" } else { "On it." };
            ("POST".into(), format!("/threads/{thread}/notes"), json!({"user": user, "content": content}))
        }
        (4 | 5, Some(_)) => {
            let link = &links[dice.below(links.len())];
            let status = ["open", "closed"][dice.below(2)];
            ("PATCH".into(), format!("/links/{link}"), json!({"user": user, "status": status, "assignee": null}))
        }
        (6, _) => {
            let options = json!({"tickets": 1 + dice.below(20)});
            ("PATCH".into(), format!("/connections/{connection}"), json!({"options": options}))
        }
        (7, _) => {
            let method = ["PUT", "DELETE"][dice.below(2)];
            (method.into(), format!("/connections/{connection}/channels/a%2Fb%20c"), Value::Null)
        }
        _ => ("POST".into(), format!("/connections/{connection}/sync"), Value::Null),
    }
}

/// Sends a request; then waits for the answer, or leaves a few milliseconds later. The status, if it came.
async fn send(
    address: std::net::SocketAddr,
    (method, path, body): (String, String, Value),
    leaves: Option<Duration>,
) -> Option<u16> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    match leaves {
        Some(after) => {
            tokio::time::timeout(after, stream.read_to_end(&mut answer)).await.ok()?.ok()?;
        }
        None => {
            stream.read_to_end(&mut answer).await.ok()?;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1)?.parse().ok()
}

/// Tasks of the store that are due.
async fn due(host: &Host) -> Vec<TaskRow> {
    let ports = host.runtime().ports();
    let now = ports.clock.now();
    let tasks = ports.engine.tasks(TaskQuery::all(100_000)).await.expect("tasks");
    tasks.into_iter().filter(|task| task.run_at.is_none_or(|at| at <= now)).collect()
}

/// Waits until nothing is due; what is left for good is a fault.
async fn comes_to_rest(host: &Host, when: &str) {
    for _ in 0..LOOKS {
        if due(host).await.is_empty() && host.runtime().queue_depths().2 == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let left = due(host).await;
    assert!(
        left.is_empty(),
        "{when}: these tasks are due and do not run, with {:?} in the queue: {left:?}",
        host.runtime().queue_depths()
    );
    let feed = host.runtime().ports().engine.feed_end().await.expect("the feed");
    for _ in 0..LOOKS {
        // A host that has added nothing since it was started has told nobody.
        let told = *host.runtime().feed_changes().borrow();
        if told == 0 || told >= feed {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{when}: readers of the feed were not told of {feed}");
}

/// Nothing waits in what people see.
async fn nobody_waits(bench: &Bench, connections: &[String], when: &str) {
    for connection in connections {
        let seen = bench.get(&format!("/connections/{connection}")).await;
        assert_eq!((&seen["status"], &seen["syncing"]), (&json!("active"), &json!(false)), "{when}: {seen}");
    }
    for thread in crate::desk::ids(&bench.get("/threads?limit=200").await) {
        let thread = bench.get(&format!("/threads/{thread}")).await;
        let notes =
            thread["links"].as_array().into_iter().flatten().flat_map(|link| link["notes"].as_array()).flatten();
        for note in notes {
            assert_ne!(note["delivery"]["state"], "pending", "{when}: {note}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_done_whatever_callers_do() {
    let (seconds, seed) = (number("STRESS_SECONDS", SECONDS), number("STRESS_SEED", 1));
    println!("STRESS_SEED={seed} STRESS_SECONDS={seconds}");
    let mut dice = Dice(seed);
    let bench = Bench::new("stress").await;
    let mut connections = Vec::new();
    for user in ["ada", "bob", "eve"] {
        connections.push(bench.synced(user).await);
    }
    let Bench { directory: place, host, .. } = &bench;
    host.shutdown().await.expect("an end in order");
    assert_eq!(*place, directory("stress"));
    let began = Instant::now();
    let (mut rounds, mut left, mut answered) = (0, 0_usize, 0_usize);
    let mut served = Served::start(place).await;
    while began.elapsed() < Duration::from_secs(seconds) || rounds < 3 {
        let seen = Bench::over(served.host.clone(), place);
        let threads = seen.get("/threads?limit=200").await;
        let threads: Vec<String> = crate::desk::ids(&threads).into_iter().map(str::to_owned).collect();
        let mut links = Vec::new();
        for thread in &threads {
            let thread = seen.get(&format!("/threads/{thread}")).await;
            links.extend(
                thread["links"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|link| Some(link["id"].as_str()?.to_owned())),
            );
        }
        let clients: Vec<_> = (0..BURST)
            .map(|_| {
                let request = request(&mut dice, &connections, &threads, &links);
                let leaves = (!dice.one_in(3))
                    .then(|| Duration::from_micros(u64::try_from(dice.below(4_000)).unwrap_or_default()));
                tokio::spawn(send(served.address, request, leaves))
            })
            .collect();
        for client in clients {
            match client.await.expect("a client ends") {
                Some(status) => {
                    answered += 1;
                    assert!(status < 500 || status == 503, "a request was answered {status}");
                }
                None => left += 1,
            }
        }
        rounds += 1;
        let when = format!("round {rounds} of seed {seed}");
        if dice.one_in(4) {
            served.stop().await;
            served = Served::start(place).await;
        }
        comes_to_rest(&served.host, &when).await;
        nobody_waits(&Bench::over(served.host.clone(), place), &connections, &when).await;
    }
    println!("{rounds} rounds, {answered} requests answered, {left} callers left before");
    assert!(left > 0 && answered > 0);
    served.stop().await;
    std::fs::remove_dir_all(place).expect("the directory goes");
}
