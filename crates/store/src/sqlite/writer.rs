//! The thread that owns the connection, and the group commit; or, for a store in memory, the caller itself.

use super::keyed::Keyed;
use super::memory::{Days, Kind, forget_new_days};
use super::schema;
use crate::{Settings, StoreError};
use rusqlite::Connection;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// The most operations in one transaction.
const BATCH_MAX: usize = 2048;

/// What an operation works on.
pub(super) struct Db {
    pub(super) connection: Connection,
    pub(super) keyed: Keyed,
    pub(super) settings: Settings,
    /// Which start of the process this is.
    pub(super) run: i64,
    /// Which days have tables.
    pub(super) days: Days,
    /// Those that the open transaction made.
    pub(super) new_days: Vec<(Kind, i64)>,
    /// The number that was given last to a held row which stands before the others; nothing in a run that gave none.
    pub(super) last_first: Cell<Option<i64>>,
}

/// Answers a caller once the transaction is durable, or tells it why it is not.
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;
/// Runs one operation, or none where there is no transaction to run it in; what it did is undone if it fails.
type Operation = Box<dyn FnOnce(Option<&mut Db>) -> Answer + Send>;

enum Order {
    Do(Operation),
    Close(oneshot::Sender<()>),
}

/// The callers' end.
pub(super) struct Writer {
    orders: mpsc::Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Who does the operations.
#[derive(Debug)]
pub(super) enum Executor {
    /// The thread.
    Writer(Writer),
    /// The caller itself.
    Memory(InMemory),
}

impl Executor {
    /// Runs an operation, and waits until it is durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Self::Writer(writer) => writer.run(operation).await,
            Self::Memory(memory) => memory.run(operation).await,
        }
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Writer(writer) => writer.close().await,
            Self::Memory(_) => Ok(()),
        }
    }
}

/// What is awaited before an operation on a store in memory, and after it.
pub type Turn = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A store that nobody else sees and that dies with its last handle.
pub(super) struct InMemory {
    db: Arc<Mutex<Db>>,
    turn: Turn,
}

impl std::fmt::Debug for InMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InMemory")
    }
}

impl InMemory {
    pub(super) fn new(db: Db, turn: Turn) -> Self {
        Self { db: Arc::new(Mutex::new(db)), turn }
    }

    /// The same rows for the next start of the process.
    pub(super) fn next_run(&self, turn: Turn) -> Result<Self, StoreError> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        db.run = schema::next_run(&db.connection)?;
        db.last_first.set(None);
        drop(db);
        Ok(Self { db: self.db.clone(), turn })
    }

    async fn run<T>(
        &self,
        operation: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        (self.turn)().await;
        let result =
            in_savepoint(&mut self.db.lock().unwrap_or_else(PoisonError::into_inner), operation);
        (self.turn)().await;
        result
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(super) fn start(db: Db, queue_max: usize) -> Result<Self, StoreError> {
        let (orders, queue) = mpsc::channel(queue_max.max(1));
        let thread = std::thread::Builder::new()
            .name("interline-store".to_owned())
            .spawn(move || serve(db, queue))
            .map_err(|source| StoreError::Open { path: "the store's thread".into(), source })?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)) })
    }

    /// Runs an operation on the thread and waits until it is durable. Waits for a place in the queue first.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let order: Operation = Box::new(move |db| {
            let result = match db {
                Some(db) => in_savepoint(db, operation),
                None => Err(StoreError::Commit(
                    "the transaction was gone before this was done".to_owned(),
                )),
            };
            Box::new(move |committed| {
                let result = committed.map_err(StoreError::Commit).and(result);
                // A caller that went away does not need the answer.
                drop(tell.send(result));
            })
        });
        self.orders.send(Order::Do(order)).await.map_err(|_| StoreError::Closed)?;
        told.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        if self.orders.send(Order::Close(tell)).await.is_err() {
            return Ok(());
        }
        told.await.map_err(|_| StoreError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the last sender is gone: it commits what it has and closes the file.
        let (orphan, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.orders, orphan));
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("the store's thread panicked");
        }
    }
}

fn in_savepoint<T>(
    db: &mut Db,
    operation: impl FnOnce(&mut Db) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let days_before = db.new_days.len();
    execute(db, "SAVEPOINT operation")?;
    let result = operation(db);
    if result.is_err() {
        forget_new_days(db, days_before);
        execute(db, "ROLLBACK TO operation")?;
    }
    execute(db, "RELEASE operation")?;
    result
}

fn execute(db: &Db, sql: &str) -> Result<(), StoreError> {
    db.connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn serve(mut db: Db, mut queue: mpsc::Receiver<Order>) {
    let mut batch = Vec::new();
    let mut closing = None;
    while closing.is_none() && queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let begun = execute(&db, "BEGIN IMMEDIATE");
        let mut answers = Vec::with_capacity(batch.len());
        for order in batch.drain(..) {
            match order {
                Order::Do(operation) => {
                    // SQLite itself ends a transaction on a full disk; what came after would each commit alone.
                    let open = begun.is_ok() && !db.connection.is_autocommit();
                    answers.push(operation(open.then_some(&mut db)));
                }
                Order::Close(tell) => closing = Some(tell),
            }
        }
        let started = Instant::now();
        let committed =
            begun.and_then(|()| execute(&db, "COMMIT")).map_err(|error| error.to_string());
        if committed.is_ok() {
            (db.settings.on_commit)(started.elapsed());
            db.new_days.clear();
        }
        if let Err(error) = &committed {
            forget_new_days(&mut db, 0);
            error!(
                error,
                "a transaction of the store failed; what it would have written will be tried again"
            );
            // If the commit failed the transaction may still be open, and it may also be gone already.
            drop(execute(&db, "ROLLBACK"));
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
    if let Err(error) = db.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        error!(%error, "the store's log could not be folded into its file; the next start does it");
    }
    drop(queue);
    drop(db);
    if let Some(tell) = closing
        && tell.send(()).is_err()
    {
        error!("nobody waited for the store to close");
    }
}
