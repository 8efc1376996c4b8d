//! The server's bounds in time and connections, over real connections (L50).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use connector_core::registry::Registry;
use connector_host::server::{ServerLimits, serve};
use connector_host::{Config, Host};
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::desk::{Desk, KEY, config, directory};

/// Much longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(600);

/// Shorter than anyone waits.
const SHORT: Duration = Duration::from_millis(100);

struct Served {
    host: Host,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    directory: std::path::PathBuf,
}

/// A host that listens, with these settings, all times being long but those that the test changes.
async fn served(name: &str, change: impl FnOnce(&mut Config)) -> Served {
    let directory = directory(name);
    let mut config = config(&directory);
    let limits = &mut config.limits;
    for time in [&mut limits.header_time, &mut limits.body_time, &mut limits.stall_time, &mut limits.idle_time] {
        *time = Some(LONG);
    }
    limits.shutdown_time = Some(LONG);
    change(&mut config);
    let host = Host::open(config, Registry::of::<Desk>().expect("a registry")).await.expect("a host");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = host.clone();
    let serving = tokio::spawn(async move {
        serving.serve(listener, async { stopped.await.unwrap_or_default() }).await.expect("it serves");
    });
    Served { host, address, stop, serving, directory }
}

impl Served {
    async fn open(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(sent.as_bytes()).await.expect("it is sent");
        stream
    }

    /// The whole of what comes on a connection that the host closes.
    async fn ask(&self, sent: &str) -> String {
        until_closed(self.open(sent).await).await
    }

    async fn end(self) {
        self.stop.send(()).expect("it serves");
        self.serving.await.expect("no panic");
        self.host.shutdown().await.expect("an end in order");
        std::fs::remove_dir_all(&self.directory).expect("the directory goes");
    }
}

async fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        text.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// What has come up to the first blank line.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.contains("\r\n\r\n") {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.expect("the connection is open");
        assert_ne!(count, 0, "the connection is closed after {head:?}");
        head.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    head
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
const HALF: &str = "GET /healthz HTTP/1.1\r\nhos";

fn stream_of_events() -> String {
    format!(
        "GET /api/v1/changes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\naccept: text/event-stream\r\n\r\n"
    )
}

fn half_an_upload() -> String {
    format!(
        "POST /api/v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 1000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
}

#[tokio::test]
async fn headers_that_do_not_end_close_their_connection() {
    let served = served("server-head", |config| config.limits.header_time = Some(SHORT)).await;
    assert_eq!(served.ask("").await, "");
    assert_eq!(served.ask(HALF).await, "");
    // The second request of a connection has the time too.
    let mut stream = served.open(HEALTH).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    stream.write_all(HALF.as_bytes()).await.expect("it is sent");
    until_closed(stream).await;
    served.end().await;
}

#[tokio::test]
async fn a_connection_that_is_idle_is_closed() {
    let served = served("server-idle", |config| config.limits.idle_time = Some(SHORT)).await;
    let text = served.ask(HEALTH).await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    served.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_end_is_refused() {
    let served = served("server-body", |config| config.limits.body_time = Some(SHORT)).await;
    let post = |rest: &str| {
        format!("POST /api/v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n{rest}")
    };
    for rest in ["content-length: 50\r\n\r\n{", "idempotency-key: k\r\ncontent-length: 50\r\n\r\n{"] {
        let text = served.ask(&post(rest)).await;
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("`limits.body_time`"), "{text}");
    }
    served.end().await;
}

#[tokio::test]
async fn an_upload_that_stops_is_refused() {
    let served = served("server-upload", |config| config.limits.stall_time = Some(SHORT)).await;
    let text = served.ask(&half_an_upload()).await;
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("`limits.stall_time`"), "{text}");
    served.end().await;
}

/// Half-sent headers make room for a request, however many there are.
#[tokio::test]
async fn a_new_connection_replaces_one_that_waits() {
    let served = served("server-evict", |config| config.limits.connections = NonZeroU32::new(2)).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(served.open(HALF).await);
    }
    let mut stream = served.open(HEALTH).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    drop(held);
    served.end().await;
}

/// Connections with a request under way stay; one more is told so.
#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let served = served("server-full", |config| config.limits.connections = NonZeroU32::new(2)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = served.open(&stream_of_events()).await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
        held.push(stream);
    }
    let text = served.ask(HEALTH).await;
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("`limits.connections`"), "{text}");
    held.pop();
    let mut stream = served.open(HEALTH).await;
    while !head(&mut stream).await.starts_with("HTTP/1.1 200 OK") {
        // The host has not seen yet that the other one is closed.
        stream = served.open(HEALTH).await;
    }
    served.end().await;
}

/// Streams end at once, half-sent headers soon, and an upload that does not go on when the time is over.
#[tokio::test]
async fn the_host_stops_whatever_clients_do() {
    let served = served("server-stop", |config| config.limits.shutdown_time = Some(Duration::from_secs(1))).await;
    let mut open = served.open(&stream_of_events()).await;
    head(&mut open).await;
    let mut idle = served.open(HEALTH).await;
    head(&mut idle).await;
    let held = (served.open(HALF).await, served.open("").await, served.open(&half_an_upload()).await);
    // All of these were taken before this one.
    let mut last = served.open(HEALTH).await;
    head(&mut last).await;
    served.end().await;
    drop((held, open, idle, last));
}

/// Without requests under way, nothing waits for the end of the time.
#[tokio::test]
async fn idle_connections_do_not_keep_the_host() {
    let served = served("server-stop-idle", |_| ()).await;
    let mut open = served.open(&stream_of_events()).await;
    head(&mut open).await;
    let mut idle = served.open(HEALTH).await;
    head(&mut idle).await;
    let half = served.open(HALF).await;
    served.end().await;
    drop((open, idle, half));
}

/// A client that takes nothing of its answer does not hold it for ever.
#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let (alive, mut ended) = mpsc::channel::<()>(1);
    let endless = move || {
        let alive = alive.clone();
        async move {
            let zeros = stream::repeat_with(move || {
                let _alive = &alive;
                Ok::<_, std::io::Error>(Bytes::from_static(&[0; 65_536]))
            });
            Body::from_stream(zeros)
        }
    };
    let router = Router::new().route("/", get(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut limits = ServerLimits::default();
    limits.stall_time = SHORT;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router, limits, async { stopped.await.unwrap_or_default() }));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is sent");
    stop.send(()).expect("it serves");
    serving.await.expect("no panic");
    assert_eq!(ended.recv().await, None, "the body of the answer is gone");
    drop(stream);
}
