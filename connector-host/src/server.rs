//! The HTTP/1.1 server: bounded in connections, in time for headers and idle connections, and in the time that
//! stopping takes.
//!
//! It serves a [`Router`] on a listener. It is not responsible for what a request may cost: that is the router's, which
//! bounds bodies, and requests of each caller. The invariant it keeps: whatever clients do, a new connection is taken
//! or refused at once, and [`serve`] returns at most [`ServerLimits::shutdown_time`] after it was told to stop.
//!
//! `axum::serve` has no time limits and no bound on connections: a client that sends half of a request's headers keeps
//! its connection, and the process at its end, for as long as it likes. `hyper`'s own `header_read_timeout` has one
//! limit for headers and for connections that are idle between two requests, and none for a client that does not take
//! its answer. So each connection here has a phase, and closes when it has been in it for too long.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::ServiceExt;

use crate::holding::Holding;

/// Largest head of a request, in bytes; a larger one is answered with 431.
const MAX_HEAD: usize = 64 * 1024;

/// Connections where the settings and the operating system do not say otherwise.
const CONNECTIONS: usize = 1_024;

/// How long a refused connection stays open for its client to read the refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Refused connections that stay open for their clients to read the refusal.
const REFUSALS: usize = 16;

/// How long an idle connection stays open once the server is told to stop, for a request that is on its way.
const LAST_HEAD_TIME: Duration = Duration::from_millis(500);

/// How long to wait after the operating system has refused to hand over a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The problem document for a connection that is one too many, while all others have a request under way.
const REFUSAL: &str = r#"{"type":"urn:connectors:problem:too-many-connections","title":"too many connections","status":503,"detail":"all connections that the host takes at once (`limits.connections`) have a request under way: try again"}"#;

/// Bounds of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Maximum number of open connections, at least 1. A new connection beyond it replaces the one that has waited
    /// longest for a request; if all have a request under way, the new one is answered with 503.
    pub connections: usize,
    /// Maximum time from the first byte of a request (on a new connection: from its start) to the end of its headers. A
    /// request whose first bytes came with the request before it has the time of an idle connection.
    pub header_time: Duration,
    /// Maximum time that a connection stays open between two requests.
    pub idle_time: Duration,
    /// Maximum time that a client may take no byte of an answer that waits for it.
    pub stall_time: Duration,
    /// Maximum time from the stop signal to the end of the last connection.
    pub shutdown_time: Duration,
}

impl Default for ServerLimits {
    /// 1,024 connections, or half of the number of files that the process may open if that is fewer; 10 s for headers,
    /// 75 s idle, 30 s stalled, 10 s to stop.
    fn default() -> Self {
        Self {
            connections: file_limit().map_or(CONNECTIONS, |files| CONNECTIONS.min(files / 2)).max(1),
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_secs(30),
            shutdown_time: Duration::from_secs(10),
        }
    }
}

/// Maximum number of files that this process may open; `None` where the operating system does not say (proc_pid_limits(5)).
fn file_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Serves until `stop` is ready, and then until the requests under way are answered, or
/// [`shutdown_time`](ServerLimits::shutdown_time) has passed: what is left then is closed.
///
/// Dropping the future closes all connections.
///
/// ```no_run
/// # async fn example(host: connector_host::Host) -> std::io::Result<()> {
/// use connector_host::server::{ServerLimits, serve};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:7300").await?;
/// // Streams of changes end when the host stops, so that they do not have to be cut off.
/// let stopped = host.clone();
/// let stop = async move {
///     tokio::signal::ctrl_c().await.ok();
///     stopped.stop();
/// };
/// serve(listener, host.router(), ServerLimits::default(), stop).await;
/// # Ok(())
/// # }
/// ```
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let open = Arc::new(Open::default());
    let stopping = watch::Sender::new(false);
    let limits = Arc::new(limits);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match slot(&slots, &open).await {
                    Some(slot) => {
                        let serving = Serving { open: Arc::clone(&open), limits: Arc::clone(&limits), slot };
                        connections.spawn(serving.run(stream, router.clone(), stopping.subscribe()));
                    }
                    None => refuse(stream, &refusals),
                },
                Err(error) => {
                    tracing::warn!("a connection cannot be taken: {error}");
                    // Often, all files that the process may open are open: one that waits for nothing goes.
                    if !is_of_connection(&error) && !open.evict() {
                        sleep(ACCEPT_PAUSE).await;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown_time, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections are closed with requests under way: the time to stop is over"
        );
        connections.shutdown().await;
    }
}

/// The error is of one connection that its client has given up, and not of the listener.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Room for one more connection, in place of one that waits for a request if need be; `None` if none does.
async fn slot(slots: &Arc<Semaphore>, open: &Open) -> Option<OwnedSemaphorePermit> {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return Some(slot);
    }
    if !open.evict() {
        return None;
    }
    timeout(REFUSAL_TIME, Arc::clone(slots).acquire_owned()).await.ok()?.ok()
}

/// Tells a client that its connection is one too many.
fn refuse(mut stream: TcpStream, refusals: &Arc<Semaphore>) {
    metrics::counter!("connectors_connections_refused_total").increment(1);
    let Ok(permit) = Arc::clone(refusals).try_acquire_owned() else { return };
    tokio::spawn(async move {
        let _permit = permit;
        let told = async {
            let head = format!(
                "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncache-control: no-store\r\n\
                 content-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{REFUSAL}",
                REFUSAL.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing a connection with unread bytes takes back what was sent to it.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        if !matches!(timeout(REFUSAL_TIME, told).await, Ok(Ok(()))) {
            tracing::trace!("a refused connection was not read to its end");
        }
    });
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For the headers of a request, since then.
    Head(Instant),
    /// For the next request, since then.
    Idle(Instant),
    /// For the answer to a request.
    Answer,
}

/// The state of one connection, which its parts tell it.
#[derive(Debug)]
struct State {
    times: Mutex<Times>,
    /// The connection is to make room for another.
    evicted: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    phase: Phase,
    /// Since when the client has taken no byte of what waits for it.
    stalled: Option<Instant>,
}

impl State {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the connection closes if nothing happens before.
    fn deadline(&self, limits: &ServerLimits, stopped: Option<Instant>) -> Option<Instant> {
        let times = *self.times();
        // An answer may be on its way to the client after its last byte has left the router.
        let phase = match times.phase {
            _ if times.stalled.is_some() => None,
            Phase::Head(since) => Some(since + limits.header_time),
            Phase::Idle(since) => Some(since + limits.idle_time),
            Phase::Answer => None,
        };
        let last = stopped.filter(|_| phase.is_some()).map(|at| at + LAST_HEAD_TIME);
        let stalled = times.stalled.map(|since| since + limits.stall_time);
        [phase, last, stalled].into_iter().flatten().min()
    }
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Open {
    next: AtomicU64,
    states: Mutex<HashMap<u64, Arc<State>>>,
}

impl Open {
    fn states(&self) -> MutexGuard<'_, HashMap<u64, Arc<State>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a new connection.
    fn add(&self) -> (u64, Arc<State>) {
        let times = Times { phase: Phase::Head(Instant::now()), stalled: None };
        let state = Arc::new(State { times: Mutex::new(times), evicted: Notify::new() });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.states().insert(id, Arc::clone(&state));
        (id, state)
    }

    /// Closes the connection that has waited longest for a request. False if all have one.
    fn evict(&self) -> bool {
        let mut states = self.states();
        let waiting = states.iter().filter_map(|(id, state)| match *state.times() {
            Times { phase: Phase::Head(since) | Phase::Idle(since), stalled: None } => Some((since, *id)),
            Times { .. } => None,
        });
        let Some((_, longest)) = waiting.min() else { return false };
        // It is not chosen again while it closes.
        if let Some(state) = states.remove(&longest) {
            state.evicted.notify_one();
        }
        true
    }
}

/// What one connection is served with.
struct Serving {
    open: Arc<Open>,
    limits: Arc<ServerLimits>,
    slot: OwnedSemaphorePermit,
}

impl Serving {
    async fn run(self, stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
        let (id, state) = self.open.add();
        let _registered = Registered { open: &self.open, id };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::trace!("a connection waits for small packets: {error}");
        }
        let io = TokioIo::new(Watched { stream, state: Arc::clone(&state) });
        let service = Service { router, state: Arc::clone(&state) };
        let mut connection = pin!(http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(io, service));
        let mut timer = pin!(sleep(self.limits.header_time));
        let mut stopped = None;
        loop {
            let limits = &*self.limits;
            let step = poll_fn(|cx| {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                // Whatever changes the state of a connection happens while it is polled.
                poll_deadline(timer.as_mut(), state.deadline(limits, stopped), cx).map(|()| {
                    tracing::debug!(phase = ?state.times().phase, "a connection was slow, and is closed");
                    Ok(())
                })
            });
            tokio::select! {
                ended = step => {
                    if let Err(error) = ended {
                        tracing::trace!("a connection ended: {error}");
                    }
                    break;
                }
                () = state.evicted.notified() => break,
                _ = stopping.wait_for(|stopping| *stopping), if stopped.is_none() => {
                    stopped = Some(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        drop(self.slot);
    }
}

/// Ready when the deadline has passed.
fn poll_deadline(mut timer: Pin<&mut Sleep>, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(deadline) = deadline else { return Poll::Pending };
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    timer.poll(cx)
}

/// Forgets a connection when it is dropped.
struct Registered<'a> {
    open: &'a Open,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.open.states().remove(&self.id);
    }
}

/// Answers the requests of one connection.
struct Service {
    router: Router,
    state: Arc<State>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Holding<Answering>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.state.times().phase = Phase::Answer;
        let (router, state) = (self.router.clone(), Arc::clone(&self.state));
        Box::pin(async move {
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok(response.map(|body| Holding::new(body, Answering(state))))
        })
    }
}

/// An answer that is being sent. When it is dropped, the connection is idle.
struct Answering(Arc<State>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.times().phase = Phase::Idle(Instant::now());
    }
}

/// The bytes of a connection, which tell its state.
struct Watched {
    stream: TcpStream,
    state: Arc<State>,
}

impl Watched {
    fn wrote<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let mut times = self.state.times();
        match outcome {
            Poll::Pending => {
                times.stalled.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => times.stalled = None,
        }
        outcome
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            let mut times = self.state.times();
            if let Phase::Idle(_) = times.phase {
                times.phase = Phase::Head(Instant::now());
            }
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
