//! Dependents that wait for the message that they are about, and messages that were taken back before they came.

use super::keyed::RowKey;
use super::writer::Db;
use super::{copies, dispatches, held};
use crate::{
    Awaited, DispatchState, HeldBody, HeldStage, NativeMessage, NewParked, Parked, Released,
    StoreError,
};
use interline_envelope::{AccountRef, DispatchId, LaneId, Platform, Redacted};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use tracing::error;

const TABLE: &str = "parked";
const TOMBSTONE: &str = "tombstone";
const HOUR_MS: i64 = 3_600_000;

#[derive(Serialize, Deserialize)]
struct Value {
    /// The whole hash of what it waits for.
    #[serde(with = "hex::serde")]
    target: [u8; 32],
    lane: LaneId,
    platform: Platform,
    account: String,
    since: i64,
    #[serde(with = "hex::serde")]
    body: Vec<u8>,
}

pub(super) fn park_if_absent(db: &Db, new: &NewParked) -> Result<Parked, StoreError> {
    let (is_here, target) = match &new.awaits {
        Awaited::Message(NativeMessage { account, chat, native_id }) => {
            let known = copies::envelope_of(db, account, chat, native_id)?;
            (known.is_some(), db.keyed.native(TABLE, account, chat, native_id))
        }
        Awaited::End(dispatch) => {
            let state = dispatches::state_of(db, *dispatch)?;
            let has_ended = state.is_some_and(|state| state != DispatchState::Open);
            (has_ended, end_key(db, *dispatch))
        }
    };
    if is_here {
        return Ok(Parked::Here);
    }
    // What waited before keeps its place among what waits: others may have been parked since.
    let mut place = None;
    if let Some(seq) = new.held {
        place = held::number_parked(db, seq)?;
        held::release(db, HeldStage::Deliver, new.lane, seq)?;
    }
    if is_parked(db, new.dispatch)? {
        return Ok(Parked::Waits);
    }
    let rows: u64 = db
        .connection
        .prepare_cached("SELECT count(*) FROM parked")?
        .query_row([], |row| row.get(0))?;
    if rows >= db.settings.parked_rows_max {
        return Err(StoreError::ParkedFull { max: db.settings.parked_rows_max });
    }
    db.connection
        .prepare_cached(
            "INSERT INTO parked (seq, target, until, dispatch, value) VALUES (?1, ?2, ?3, ?4, x'')",
        )?
        .execute((place, target.number, new.until, new.dispatch.as_bytes()))?;
    let seq = db.connection.last_insert_rowid();
    let value = Value {
        target: target.whole,
        lane: new.lane,
        platform: new.target.platform.clone(),
        account: new.target.account.to_string(),
        since: new.since,
        body: new.body.clone(),
    };
    let sealed = db.keyed.seal(TABLE, seq, &value)?;
    db.connection
        .prepare_cached("UPDATE parked SET value = ?1 WHERE seq = ?2")?
        .execute((sealed, seq))?;
    Ok(Parked::Waits)
}

pub(super) fn is_parked(db: &Db, id: DispatchId) -> Result<bool, StoreError> {
    let mut known = db.connection.prepare_cached("SELECT 1 FROM parked WHERE dispatch = ?1")?;
    Ok(known.exists([id.as_bytes()])?)
}

fn end_key(db: &Db, dispatch: DispatchId) -> RowKey {
    db.keyed.key(TABLE, &[dispatch.as_bytes()])
}

/// Lets go of what waits for a message, in order.
pub(super) fn release(
    db: &Db,
    account: &AccountRef,
    chat: &Redacted<String>,
    native_id: &Redacted<String>,
) -> Result<Vec<Released>, StoreError> {
    release_key(db, &db.keyed.native(TABLE, account, chat, native_id))
}

/// Lets go of what waits for the end of a dispatch, in order.
pub(super) fn release_end(db: &Db, dispatch: DispatchId) -> Result<Vec<Released>, StoreError> {
    release_key(db, &end_key(db, dispatch))
}

fn release_key(db: &Db, target: &RowKey) -> Result<Vec<Released>, StoreError> {
    let rows = read(
        db,
        "SELECT seq, dispatch, value FROM parked WHERE target = ?1 ORDER BY seq",
        target.number,
    )?;
    take(db, rows.into_iter().filter(|(_, _, value)| value.target == target.whole))
}

pub(super) fn take_expired(db: &Db, now: i64) -> Result<Vec<Released>, StoreError> {
    let rows =
        read(db, "SELECT seq, dispatch, value FROM parked WHERE until <= ?1 ORDER BY seq", now)?;
    let released = take(db, rows.into_iter())?;
    // What is left cannot be opened: it is said once an hour.
    db.connection
        .prepare_cached("UPDATE parked SET until = ?1 WHERE until <= ?2")?
        .execute((now.saturating_add(HOUR_MS), now))?;
    Ok(released)
}

type Row = (i64, DispatchId, Value);

fn read(db: &Db, sql: &str, argument: i64) -> Result<Vec<Row>, StoreError> {
    let mut statement = db.connection.prepare_cached(sql)?;
    let rows = statement.query_map([argument], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (seq, dispatch, sealed) = row?;
        match db.keyed.open(TABLE, seq, &sealed) {
            Ok(value) => found.push((seq, DispatchId::from_bytes(dispatch), value)),
            // It holds up nothing, and whoever has the right key finds it.
            Err(error) => error!(%error, "a parked row cannot be opened; it is passed over"),
        }
    }
    Ok(found)
}

/// Moves rows before the held rows of their lanes, in order, within one transaction: a crash finds them in one place or the other.
/// The bound of held rows does not apply: they were within that of parked ones.
fn take(db: &Db, rows: impl Iterator<Item = Row>) -> Result<Vec<Released>, StoreError> {
    let mut released = Vec::new();
    for (seq, dispatch, value) in rows {
        let body = HeldBody {
            dispatch,
            body: value.body,
            held_at: value.since,
            attempts: 0,
            // All that its lane holds came after it, or it would not have been its turn to be parked.
            first: true,
        };
        let account = AccountRef::new(value.platform, &value.account);
        held::let_go(db, value.lane, &account, &body, seq)?;
        db.connection.prepare_cached("DELETE FROM parked WHERE seq = ?1")?.execute([seq])?;
        let one = Released { account, lane: value.lane };
        if !released.contains(&one) {
            released.push(one);
        }
    }
    Ok(released)
}

pub(super) fn bury(
    db: &Db,
    account: &AccountRef,
    chat: &Redacted<String>,
    native_id: &Redacted<String>,
    at: i64,
) -> Result<(), StoreError> {
    let key = db.keyed.native(TOMBSTONE, account, chat, native_id);
    db.connection
        .prepare_cached("INSERT OR REPLACE INTO tombstone (key, whole, at) VALUES (?1, ?2, ?3)")?
        .execute((key.number, key.whole, at))?;
    Ok(())
}

pub(super) fn is_buried(
    db: &Db,
    account: &AccountRef,
    chat: &Redacted<String>,
    native_id: &Redacted<String>,
) -> Result<bool, StoreError> {
    let key = db.keyed.native(TOMBSTONE, account, chat, native_id);
    let whole: Option<Vec<u8>> = db
        .connection
        .prepare_cached("SELECT whole FROM tombstone WHERE key = ?1")?
        .query_row([key.number], |row| row.get(0))
        .optional()?;
    Ok(whole.is_some_and(|whole| whole == key.whole))
}
