//! The store on SQLite. One thread owns the connection; what waits for it is done in one transaction.
//!
//! Reads go through the same thread, in order with the writes, so a read sees every earlier write of anybody; a read
//! costs some 10 µs beside a commit's 250. Group commit: all waiting operations, up to a bound, share one `fsync`;
//! each runs in a savepoint of its own, so that one that fails does not fail its neighbours.

mod copies;
mod dispatches;
mod echoes;
mod held;
mod keyed;
mod memory;
mod parked;
mod reactions;
mod receipts;
mod schema;
mod sent;
mod windows;
mod writer;

use crate::{
    Begun, Copy, DispatchRow, DispatchState, EchoOf, FailedLater, HeldBody, HeldLane, HeldRow,
    HeldStage, Info, Intent, Known, NativeMessage, NewCopy, NewDispatch, NewParked, NewSent,
    Parked, Reacted, ReadUpTo, Reading, Recorded, Released, RequestOutcome, ServiceWindow,
    Settings, Settled, Store, StoreError,
};
use async_trait::async_trait;
use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, LaneId, Redacted, RootKey};
use keyed::Keyed;
use rusqlite::Connection;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
pub use writer::Turn;
use writer::{Db, Executor, InMemory, Writer};

/// A store in one SQLite file, locked to this process; or in memory.
#[derive(Debug)]
pub struct SqliteStore {
    executor: Executor,
    path: PathBuf,
    // The lock lives as long as the store.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the store, or makes it. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`StoreError`]: in use, unreadable, another key's, of a later version.
    pub fn open(path: &Path, root: &RootKey, settings: &Settings) -> Result<Self, StoreError> {
        Self::exists(path)?;
        let lock = lock(path)?;
        let db = database(path, schema::open(path)?, root, settings)?;
        let executor = Executor::Writer(Writer::start(db, settings.queue_max)?);
        Ok(Self { executor, path: path.to_owned(), _lock: Some(lock) })
    }

    /// A store in memory, without a thread: each operation is done where it is awaited, after a `turn` and before
    /// another. For tests on a paused clock, which see what happens where a caller comes no further than a turn.
    ///
    /// # Errors
    /// [`StoreError`] if SQLite does not start.
    pub fn in_memory(root: &RootKey, settings: &Settings, turn: Turn) -> Result<Self, StoreError> {
        let path = PathBuf::from(":memory:");
        let db = database(&path, schema::open_in_memory()?, root, settings)?;
        Ok(Self { executor: Executor::Memory(InMemory::new(db, turn)), path, _lock: None })
    }

    /// What is left of a store in memory for the next start of the process; nothing of one that is a file.
    ///
    /// # Errors
    /// [`StoreError`] if the start cannot be counted.
    pub fn next_run(&self, turn: Turn) -> Result<Option<Self>, StoreError> {
        let Executor::Memory(memory) = &self.executor else { return Ok(None) };
        let executor = Executor::Memory(memory.next_run(turn)?);
        Ok(Some(Self { executor, path: self.path.clone(), _lock: None }))
    }

    /// True if a store is there, false if one would be made: nothing is there yet, or an empty file.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] if something else is there, [`StoreError::Open`] if that cannot be seen.
    ///
    /// Source: SQLite, "Database File Format", 1.3.1.
    pub fn exists(path: &Path) -> Result<bool, StoreError> {
        const MAGIC: &[u8] = b"SQLite format 3\0";
        if path.is_dir() {
            return Err(StoreError::NotAStore { path: path.to_owned() });
        }
        let mut begins = Vec::new();
        let read = File::open(path)
            .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begins));
        match read {
            Ok(0) => Ok(false),
            Ok(_) if begins == MAGIC => Ok(true),
            Ok(_) => Err(StoreError::NotAStore { path: path.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StoreError::Open { path: path.to_owned(), source }),
        }
    }

    /// Looks at an existing store without changing it: its version, and whether this is its key.
    ///
    /// # Errors
    /// [`StoreError`]: unreadable, another key's, of a later version.
    pub fn inspect(path: &Path, root: &RootKey) -> Result<Info, StoreError> {
        let connection = schema::open_to_read(path)?;
        schema::check_key(path, &connection, root)?;
        schema::info(path, &connection)
    }
}

fn database(
    path: &Path,
    connection: Connection,
    root: &RootKey,
    settings: &Settings,
) -> Result<Db, StoreError> {
    schema::migrate(path, &connection, root)?;
    let run = schema::next_run(&connection)?;
    let days = memory::Days::load(&connection)?;
    Ok(Db {
        connection,
        keyed: Keyed::new(root),
        settings: settings.clone(),
        run,
        days,
        new_days: Vec::new(),
        last_first: std::cell::Cell::new(None),
    })
}

/// One process owns the store. The lock file stays: removing it would let two processes lock two different files.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let open = |source| StoreError::Open { path: lock_path.clone(), source };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(open)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked { path: path.to_owned() }),
        Err(error) => Err(open(error.into())),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn dispatch(&self, id: DispatchId, time: i64) -> Result<Option<DispatchRow>, StoreError> {
        self.executor.run(move |db| dispatches::read(db, id, time)).await
    }

    async fn state_of(&self, id: DispatchId) -> Result<Option<DispatchState>, StoreError> {
        self.executor.run(move |db| dispatches::state_of(db, id)).await
    }

    async fn begin(
        &self,
        dispatch: NewDispatch,
        intended_at: i64,
    ) -> Result<(Begun, Vec<Released>), StoreError> {
        self.executor.run(move |db| dispatches::begin(db, &dispatch, intended_at)).await
    }

    async fn intend(
        &self,
        id: DispatchId,
        time: i64,
        n: u16,
        at: i64,
    ) -> Result<Intent, StoreError> {
        self.executor.run(move |db| dispatches::intend(db, id, time, n, at)).await
    }

    async fn outcome(
        &self,
        id: DispatchId,
        time: i64,
        n: u16,
        outcome: RequestOutcome,
        new_copies: Vec<NewCopy>,
        finish: Option<DispatchState>,
    ) -> Result<Recorded, StoreError> {
        self.executor
            .run(move |db| {
                let written = dispatches::outcome(db, id, time, n, &outcome, finish)?;
                let mut new_copies = new_copies;
                new_copies.retain(|copy| copy.is_original || !written.has_failed);
                // A person may read a message before its answer has come back to us.
                for copy in &mut new_copies {
                    copy.at = written.intended_at.unwrap_or(copy.at);
                }
                let mut released = copies::record(db, &new_copies)?;
                if finish.is_some() && !written.goes_again {
                    released.extend(parked::release_end(db, id)?);
                }
                Ok(Recorded { released, goes_again: written.goes_again })
            })
            .await
    }

    async fn finish(
        &self,
        id: DispatchId,
        time: i64,
        state: DispatchState,
    ) -> Result<Vec<Released>, StoreError> {
        self.executor.run(move |db| dispatches::finish(db, id, time, state)).await
    }

    async fn reopen(&self, id: DispatchId, time: i64) -> Result<(), StoreError> {
        self.executor.run(move |db| dispatches::reopen(db, id, time)).await
    }

    async fn plan_of(&self, id: DispatchId, n: u16) -> Result<Option<Vec<u8>>, StoreError> {
        self.executor.run(move |db| dispatches::plan_of(db, id, n)).await
    }

    async fn settle(
        &self,
        id: DispatchId,
        n: u16,
        native_ids: Vec<Redacted<String>>,
    ) -> Result<Settled, StoreError> {
        self.executor.run(move |db| dispatches::settle(db, id, n, &native_ids)).await
    }

    async fn keep_sent(&self, new: NewSent) -> Result<(), StoreError> {
        self.executor.run(move |db| sent::keep(db, &new)).await
    }

    async fn forget_sent(&self, id: DispatchId) -> Result<(), StoreError> {
        self.executor.run(move |db| sent::forget(db, id)).await
    }

    async fn arrived_later(&self, id: DispatchId, n: u16) -> Result<(), StoreError> {
        self.executor.run(move |db| sent::arrived(db, id, n)).await
    }

    async fn failed_later(
        &self,
        id: DispatchId,
        n: u16,
        native_id: &Redacted<String>,
        passes_max: u32,
    ) -> Result<FailedLater, StoreError> {
        let native_id = native_id.clone();
        self.executor.run(move |db| sent::failed(db, id, n, &native_id, passes_max)).await
    }

    async fn failure_told(&self, id: DispatchId) -> Result<(), StoreError> {
        self.executor.run(move |db| sent::failure_told(db, id)).await
    }

    async fn record_copies(&self, new_copies: Vec<NewCopy>) -> Result<Vec<Released>, StoreError> {
        if new_copies.is_empty() {
            return Ok(Vec::new());
        }
        self.executor.run(move |db| copies::record(db, &new_copies)).await
    }

    async fn envelope_of(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
    ) -> Result<Option<Known>, StoreError> {
        let (account, chat, native_id) = (account.clone(), chat.clone(), native_id.clone());
        self.executor.run(move |db| copies::envelope_of(db, &account, &chat, &native_id)).await
    }

    async fn copies_of(
        &self,
        envelope: EnvelopeId,
        participant: &Address,
    ) -> Result<Vec<Copy>, StoreError> {
        let participant = participant.clone();
        self.executor.run(move |db| copies::copies_of(db, envelope, &participant)).await
    }

    async fn reacted(
        &self,
        message: EnvelopeId,
        by: &Address,
        on: &Address,
    ) -> Result<Option<Reacted>, StoreError> {
        let (by, on) = (by.clone(), on.clone());
        self.executor.run(move |db| reactions::reacted(db, message, &by, &on)).await
    }

    async fn recognise_echo(
        &self,
        message: NativeMessage,
        likeness: Option<Redacted<String>>,
        time: i64,
    ) -> Result<EchoOf, StoreError> {
        self.executor.run(move |db| echoes::recognise(db, &message, likeness.as_ref(), time)).await
    }

    async fn read(&self, chat: &Address, up_to: ReadUpTo, now: i64) -> Result<Reading, StoreError> {
        let chat = chat.clone();
        self.executor.run(move |db| receipts::read(db, &chat, &up_to, now)).await
    }

    async fn read_noted(&self, chat: &Address, last: Redacted<String>) -> Result<(), StoreError> {
        let chat = chat.clone();
        self.executor.run(move |db| receipts::noted(db, &chat, &last)).await
    }

    async fn hold(
        &self,
        stage: HeldStage,
        lane: LaneId,
        account: &AccountRef,
        bodies: Vec<HeldBody>,
    ) -> Result<Vec<u64>, StoreError> {
        let account = account.clone();
        self.executor.run(move |db| held::append(db, stage, lane, &account, &bodies)).await
    }

    async fn held_lanes(
        &self,
        stage: HeldStage,
        account: Option<&AccountRef>,
    ) -> Result<Vec<HeldLane>, StoreError> {
        let account = account.cloned();
        self.executor.run(move |db| held::lanes(db, stage, account.as_ref())).await
    }

    async fn held_peek(
        &self,
        stage: HeldStage,
        lane: LaneId,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<HeldRow>, StoreError> {
        self.executor.run(move |db| held::peek(db, stage, lane, after, max)).await
    }

    async fn held_find(
        &self,
        stage: HeldStage,
        lane: LaneId,
        dispatch: DispatchId,
    ) -> Result<Option<HeldRow>, StoreError> {
        self.executor.run(move |db| held::find(db, stage, lane, dispatch)).await
    }

    async fn held_release(
        &self,
        stage: HeldStage,
        lane: LaneId,
        seq: u64,
    ) -> Result<(), StoreError> {
        self.executor.run(move |db| held::release(db, stage, lane, seq)).await
    }

    async fn park_if_absent(&self, new: NewParked) -> Result<Parked, StoreError> {
        self.executor.run(move |db| parked::park_if_absent(db, &new)).await
    }

    async fn is_parked(&self, id: DispatchId) -> Result<bool, StoreError> {
        self.executor.run(move |db| parked::is_parked(db, id)).await
    }

    async fn parked_expired(&self, now: i64) -> Result<Vec<Released>, StoreError> {
        self.executor.run(move |db| parked::take_expired(db, now)).await
    }

    async fn bury(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
        at: i64,
    ) -> Result<(), StoreError> {
        let (account, chat, native_id) = (account.clone(), chat.clone(), native_id.clone());
        self.executor.run(move |db| parked::bury(db, &account, &chat, &native_id, at)).await
    }

    async fn is_buried(
        &self,
        account: &AccountRef,
        chat: &Redacted<String>,
        native_id: &Redacted<String>,
    ) -> Result<bool, StoreError> {
        let (account, chat, native_id) = (account.clone(), chat.clone(), native_id.clone());
        self.executor.run(move |db| parked::is_buried(db, &account, &chat, &native_id)).await
    }

    async fn events_opened(
        &self,
        keys: Vec<[u8; 16]>,
        suspect_runs: u32,
    ) -> Result<Vec<u32>, StoreError> {
        self.executor.run(move |db| memory::events_opened(db, &keys, suspect_runs)).await
    }

    async fn events_closed(&self, keys: Vec<[u8; 16]>) -> Result<(), StoreError> {
        self.executor.run(move |db| memory::events_closed(db, &keys)).await
    }

    async fn bind(&self, address: &Address, id: &Redacted<String>) -> Result<(), StoreError> {
        let (address, id) = (address.clone(), id.clone());
        self.executor.run(move |db| memory::bind(db, &address, &id)).await
    }

    async fn bindings(&self) -> Result<Vec<(Address, Redacted<String>)>, StoreError> {
        self.executor.run(memory::bindings).await
    }

    async fn window_of(&self, person: &Address) -> Result<ServiceWindow, StoreError> {
        let person = person.clone();
        self.executor.run(move |db| windows::read(db, &person)).await
    }

    async fn window_opened(&self, person: &Address, at: i64) -> Result<ServiceWindow, StoreError> {
        let person = person.clone();
        self.executor.run(move |db| windows::opened(db, &person, at)).await
    }

    async fn window_refused(&self, person: &Address, at: i64) -> Result<ServiceWindow, StoreError> {
        let person = person.clone();
        self.executor.run(move |db| windows::refused(db, &person, at)).await
    }

    async fn window_invited(&self, person: &Address, at: i64) -> Result<bool, StoreError> {
        let person = person.clone();
        self.executor.run(move |db| windows::invited(db, &person, at)).await
    }

    async fn retain(&self, now: i64) -> Result<(), StoreError> {
        self.executor.run(move |db| memory::retain(db, now)).await
    }

    async fn info(&self) -> Result<Info, StoreError> {
        let path = self.path.clone();
        self.executor.run(move |db| schema::info(&path, &db.connection)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.executor.close().await
    }
}
