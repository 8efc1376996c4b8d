use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use connector_core::clock::BoxFuture;
use connector_core::engine::{EngineError, EngineResult};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fail::Fail;
use super::statements::Statements;

type Job = Box<dyn FnOnce(&Statements<'_>) + Send>;

enum Message {
    Read(Job),
    Stop(oneshot::Sender<()>),
}

/// Threads that read, each with a connection of its own, so that a slow read delays neither the writer nor the executor.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Sender<Message>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    count: usize,
    database: Arc<str>,
}

impl Readers {
    pub(super) fn start(database: Arc<str>, connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let count = connections.len();
        let threads = connections
            .into_iter()
            .map(|connection| {
                let waiting = waiting.clone();
                std::thread::Builder::new().name("sqlite-reader".to_owned()).spawn(move || serve(connection, &waiting))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { queue, threads: Mutex::new(threads), count, database })
    }

    /// Runs a read in a transaction of its own, from the moment of this call.
    pub(super) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Statements<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> BoxFuture<'static, EngineResult<T>> {
        let (answer, answered) = oneshot::channel();
        let database = self.database.clone();
        let job = move |db: &Statements<'_>| {
            let found = in_transaction(db, read).map_err(|fail| fail.into_engine(&database));
            if answer.send(found).is_err() {
                tracing::trace!("nobody waits for a read any more");
            }
        };
        let sent = self.queue.send(Message::Read(Box::new(job)));
        Box::pin(async move {
            sent.map_err(|_| EngineError::Closed)?;
            answered.await.map_err(|_| EngineError::Closed)?
        })
    }

    /// Ends the threads after the reads that wait. Each answers when its connection is closed.
    pub(super) fn stop(&self) -> Vec<oneshot::Receiver<()>> {
        let stop = || {
            let (answer, answered) = oneshot::channel();
            self.queue.send(Message::Stop(answer)).ok().map(|()| answered)
        };
        (0..self.count).filter_map(|_| stop()).collect()
    }

    /// Waits until they have ended.
    pub(super) fn join(&self) {
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the database panicked");
            }
        }
    }
}

fn serve(connection: Connection, waiting: &Mutex<Receiver<Message>>) {
    let db = Statements::new(&connection);
    let stop = loop {
        let message = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match message {
            Ok(Message::Read(job)) => job(&db),
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
