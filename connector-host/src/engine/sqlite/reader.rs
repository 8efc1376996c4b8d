use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use connector_core::clock::BoxFuture;
use connector_core::engine::{EngineError, EngineResult};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fail::Fail;
use super::statements::Statements;

/// Steps of SQLite's virtual machine between two looks at whether a scan is still waited for.
const STEPS: i32 = 10_000;

/// How much a read looks at. Each size has threads of its own: a look-up takes microseconds, and would wait behind
/// scans, which take as long as there are rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// As many rows as it gives, found by an index.
    LookUp,
    /// Any number of rows.
    Scan,
}

type Job = Box<dyn FnOnce(&Statements<'_>, &Running) + Send>;

enum Message {
    Read(Job),
    Stop(oneshot::Sender<()>),
}

/// Whether nobody waits any more for the scan that runs on a thread.
type Running = Arc<Mutex<Arc<AtomicBool>>>;

/// Threads that read, each with a connection of its own, so that a slow read delays neither the writer nor the executor.
#[derive(Debug)]
pub(super) struct Readers {
    look_ups: Pool,
    scans: Pool,
    database: Arc<str>,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(super) fn start(
        database: Arc<str>,
        look_ups: Vec<Connection>,
        scans: Vec<Connection>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            look_ups: Pool::start("sqlite-reader", look_ups)?,
            scans: Pool::start("sqlite-scanner", scans)?,
            database,
        })
    }

    /// Runs a read in a transaction of its own, which begins after this call. A scan that nobody waits for any more
    /// ends early; a read that has not begun by then does not run.
    pub(super) fn read<T: Send + 'static>(
        &self,
        size: Size,
        read: impl FnOnce(&Statements<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> BoxFuture<'static, EngineResult<T>> {
        let (answer, answered) = oneshot::channel();
        let database = self.database.clone();
        let given_up = Arc::new(AtomicBool::new(false));
        let waiting = Waiting(Arc::clone(&given_up));
        let job = move |db: &Statements<'_>, running: &Running| {
            if answer.is_closed() {
                return;
            }
            let found = match size {
                Size::LookUp => in_transaction(db, read),
                Size::Scan => in_transaction(db, |db| {
                    let last = replace(running, given_up);
                    let found = read(db);
                    replace(running, last);
                    found
                }),
            };
            if answer.send(found.map_err(|fail| fail.into_engine(&database))).is_err() {
                tracing::trace!("nobody waits for a read any more");
            }
        };
        let pool = match size {
            Size::LookUp => &self.look_ups,
            Size::Scan => &self.scans,
        };
        let sent = pool.queue.send(Message::Read(Box::new(job)));
        Box::pin(async move {
            let _waiting = waiting;
            sent.map_err(|_| EngineError::Closed)?;
            answered.await.map_err(|_| EngineError::Closed)?
        })
    }

    /// Ends the threads after the reads that wait. Each answers when its connection is closed.
    pub(super) fn stop(&self) -> Vec<oneshot::Receiver<()>> {
        [&self.look_ups, &self.scans].into_iter().flat_map(Pool::stop).collect()
    }

    /// Waits until they have ended.
    pub(super) fn join(&self) {
        self.look_ups.join();
        self.scans.join();
    }
}

/// Somebody waits for a read until this is dropped.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says for which scan a thread looks whether somebody waits; gives back the one before.
fn replace(running: &Running, given_up: Arc<AtomicBool>) -> Arc<AtomicBool> {
    std::mem::replace(&mut *running.lock().unwrap_or_else(PoisonError::into_inner), given_up)
}

/// Threads that take reads from one queue.
#[derive(Debug)]
struct Pool {
    queue: Sender<Message>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    count: usize,
}

impl Pool {
    fn start(name: &str, connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let count = connections.len();
        let threads = connections
            .into_iter()
            .map(|connection| {
                let waiting = waiting.clone();
                std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(connection, &waiting))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { queue, threads: Mutex::new(threads), count })
    }

    fn stop(&self) -> Vec<oneshot::Receiver<()>> {
        let stop = || {
            let (answer, answered) = oneshot::channel();
            self.queue.send(Message::Stop(answer)).ok().map(|()| answered)
        };
        (0..self.count).filter_map(|_| stop()).collect()
    }

    fn join(&self) {
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the database panicked");
            }
        }
    }
}

fn serve(mut connection: Connection, waiting: &Mutex<Receiver<Message>>) {
    let running = Running::default();
    let looks_at = Arc::clone(&running);
    let given_up = move || looks_at.lock().unwrap_or_else(PoisonError::into_inner).load(Ordering::Relaxed);
    if let Err(error) = connection.progress_handler(STEPS, Some(given_up)) {
        tracing::warn!(%error, "reads that nobody waits for any more run to their end");
    }
    let db = Statements::new(&connection);
    let stop = loop {
        let message = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match message {
            Ok(Message::Read(job)) => job(&db, &running),
            Ok(Message::Stop(answer)) => break answer,
            Err(_) => return,
        }
    };
    drop(db);
    drop(connection);
    if stop.send(()).is_err() {
        tracing::trace!("nobody waits for the end of a reader");
    }
}

fn in_transaction<T>(db: &Statements<'_>, read: impl FnOnce(&Statements<'_>) -> Result<T, Fail>) -> Result<T, Fail> {
    db.run("BEGIN", [])?;
    let found = read(db);
    if let Err(error) = db.run("COMMIT", []) {
        // Nothing was written. What matters is that the next read finds no transaction open.
        if !db.connection().is_autocommit() {
            db.connection().execute_batch("ROLLBACK")?;
        }
        tracing::debug!(%error, "a read did not end as usual");
    }
    found
}
