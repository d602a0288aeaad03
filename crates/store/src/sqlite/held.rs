//! Lanes' backlogs: rows in order of arrival.

use super::writer::Db;
use crate::{HeldBody, HeldLane, HeldRow, HeldStage, StoreError};
use interline_envelope::{AccountRef, DispatchId, LaneId, Platform};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use tracing::error;

const TABLE: &str = "held";
/// How many rows can stand before the others: more than there ever will be.
const FIRST_ROWS: i64 = 1 << 40;
/// So many rows any lane may have, however small the bound of all is.
const LANE_ROWS_MIN: u64 = 256;

#[derive(Serialize, Deserialize)]
struct Value {
    platform: Platform,
    account: String,
    #[serde(with = "hex::serde")]
    body: Vec<u8>,
    held_at: i64,
    attempts: u32,
    /// Its number among the parked rows, if it was one: it stands there again when it is parked once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parked: Option<i64>,
}

pub(super) fn append(
    db: &Db,
    stage: HeldStage,
    lane: LaneId,
    account: &AccountRef,
    bodies: &[HeldBody],
) -> Result<Vec<u64>, StoreError> {
    let mut seqs = Vec::with_capacity(bodies.len());
    for body in bodies {
        seqs.push(insert_once(db, stage, lane, account, body, None)?);
    }
    let rows: u64 = db
        .connection
        .prepare_cached("SELECT count(*) FROM held")?
        .query_row([], |row| row.get(0))?;
    let max = db.settings.held_rows_max;
    if rows > max || (stage == HeldStage::Deliver && takes_too_much(db, lane, rows)?) {
        // The savepoint takes the rows back.
        return Err(StoreError::HeldFull { max });
    }
    Ok(seqs)
}

/// A lane that is blocked for days must leave room for others: once half of all rows are taken it may have a tenth.
fn takes_too_much(db: &Db, lane: LaneId, rows: u64) -> Result<bool, StoreError> {
    let max = db.settings.held_rows_max;
    if rows <= max / 2 {
        return Ok(false);
    }
    let own: u64 = db
        .connection
        .prepare_cached("SELECT count(*) FROM held WHERE stage = ?1 AND lane = ?2")?
        .query_row((HeldStage::Deliver.number(), lane.as_bytes()), |row| row.get(0))?;
    Ok(own > (max / 10).max(LANE_ROWS_MIN))
}

/// Holds what was parked, under the number that it had there.
pub(super) fn let_go(
    db: &Db,
    lane: LaneId,
    account: &AccountRef,
    body: &HeldBody,
    parked: i64,
) -> Result<u64, StoreError> {
    insert_once(db, HeldStage::Deliver, lane, account, body, Some(parked))
}

/// The number that a held row had among the parked ones; nothing if it was none of them, or cannot be opened.
pub(super) fn number_parked(db: &Db, seq: u64) -> Result<Option<i64>, StoreError> {
    let seq = number(seq)?;
    let sealed: Option<Vec<u8>> = db
        .connection
        .prepare_cached("SELECT value FROM held WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let value = sealed.and_then(|sealed| db.keyed.open::<Value>(TABLE, seq, &sealed).ok());
    Ok(value.and_then(|value| value.parked))
}

/// Appends a row, or finds the one that the lane holds of this dispatch already.
fn insert_once(
    db: &Db,
    stage: HeldStage,
    lane: LaneId,
    account: &AccountRef,
    body: &HeldBody,
    parked: Option<i64>,
) -> Result<u64, StoreError> {
    let held: Option<Columns> = db
        .connection
        .prepare_cached(
            "SELECT seq, dispatch, value FROM held WHERE stage = ?1 AND lane = ?2 AND dispatch = ?3",
        )?
        .query_row((stage.number(), lane.as_bytes(), body.dispatch.as_bytes()), columns)
        .optional()?;
    match held {
        // Its row stands for the send that failed, and is about to go: what came back must not go with it. One that
        // cannot be opened keeps nothing.
        Some(row) if body.first || opened(db, row.clone()).is_err() => {
            remove(db, row.0)?;
            insert(db, stage, lane, account, body, parked)
        }
        Some((seq, ..)) => public(seq),
        None => insert(db, stage, lane, account, body, parked),
    }
}

fn insert(
    db: &Db,
    stage: HeldStage,
    lane: LaneId,
    account: &AccountRef,
    body: &HeldBody,
    parked: Option<i64>,
) -> Result<u64, StoreError> {
    // The number is part of the seal, so the row is made first and filled then, within one transaction.
    let first = if body.first { Some(next_first(db)?) } else { None };
    db.connection
        .prepare_cached(
            "INSERT INTO held (seq, stage, lane, dispatch, value) VALUES (?1, ?2, ?3, ?4, x'')",
        )?
        .execute((first, stage.number(), lane.as_bytes(), body.dispatch.as_bytes()))?;
    let seq = db.connection.last_insert_rowid();
    let value = Value {
        platform: account.platform.clone(),
        account: account.account.to_string(),
        body: body.body.clone(),
        held_at: body.held_at,
        attempts: body.attempts,
        parked,
    };
    let sealed = db.keyed.seal(TABLE, seq, &value)?;
    db.connection
        .prepare_cached("UPDATE held SET value = ?1 WHERE seq = ?2")?
        .execute((sealed, seq))?;
    public(seq)
}

fn remove(db: &Db, seq: i64) -> Result<(), StoreError> {
    db.connection.prepare_cached("DELETE FROM held WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// The number of the next row that stands before all others but those of its kind. Never one that was given before in
/// this run: whoever still works on that row removes it by its number.
fn next_first(db: &Db) -> Result<i64, StoreError> {
    let last = match db.last_first.get() {
        Some(last) => Some(last),
        None => db
            .connection
            .prepare_cached("SELECT max(seq) FROM held WHERE seq < 0")?
            .query_row([], |row| row.get(0))?,
    };
    let next = last.map_or(-FIRST_ROWS, |last| last + 1).min(-1);
    db.last_first.set(Some(next));
    Ok(next)
}

/// Numbers as callers see them: never negative, in the same order.
fn public(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq.saturating_add(FIRST_ROWS)).map_err(|_| StoreError::Damaged)
}

/// At most `held_rows_max` rows in all, so reading them at start is bounded.
pub(super) fn lanes(
    db: &Db,
    stage: HeldStage,
    account: Option<&AccountRef>,
) -> Result<Vec<HeldLane>, StoreError> {
    let mut statement = db
        .connection
        .prepare_cached("SELECT lane, count(*) FROM held WHERE stage = ?1 GROUP BY lane")?;
    let rows = statement.query_map([stage.number()], |row| {
        Ok((row.get::<_, [u8; 8]>(0)?, row.get::<_, u64>(1)?))
    })?;
    let mut lanes = Vec::new();
    for row in rows {
        let (lane, rows) = row?;
        let lane = LaneId::from_bytes(lane);
        // A lane has one target, so its first row tells the account of them all.
        let of = peek(db, stage, lane, None, 1)?.pop().map(|row| row.account);
        if of.is_some() && (account.is_none() || of.as_ref() == account) {
            lanes.push(HeldLane { lane, rows });
        }
    }
    Ok(lanes)
}

pub(super) fn peek(
    db: &Db,
    stage: HeldStage,
    lane: LaneId,
    after: Option<u64>,
    max: usize,
) -> Result<Vec<HeldRow>, StoreError> {
    let mut statement = db.connection.prepare_cached(
        "SELECT seq, dispatch, value FROM held WHERE stage = ?1 AND lane = ?2 AND seq > ?3 ORDER BY seq",
    )?;
    let after = after.map_or(Ok(i64::MIN), number)?;
    let rows = statement.query_map((stage.number(), lane.as_bytes(), after), columns)?;
    let mut found = Vec::with_capacity(max.min(64));
    for row in rows {
        if found.len() == max {
            break;
        }
        found.extend(opened_or_passed_over(db, lane, row?));
    }
    Ok(found)
}

/// One that cannot be opened holds up nothing, and whoever has the right key finds it.
fn opened_or_passed_over(db: &Db, lane: LaneId, row: Columns) -> Option<HeldRow> {
    opened(db, row)
        .inspect_err(
            |error| error!(%error, %lane, "a held row cannot be opened; it is passed over"),
        )
        .ok()
}

pub(super) fn find(
    db: &Db,
    stage: HeldStage,
    lane: LaneId,
    dispatch: DispatchId,
) -> Result<Option<HeldRow>, StoreError> {
    db.connection
        .prepare_cached(
            "SELECT seq, dispatch, value FROM held WHERE stage = ?1 AND lane = ?2 AND dispatch = ?3",
        )?
        .query_row((stage.number(), lane.as_bytes(), dispatch.as_bytes()), columns)
        .optional()
        .map(|row| row.and_then(|row| opened_or_passed_over(db, lane, row)))
        .map_err(StoreError::from)
}

/// Number, dispatch, sealed value.
type Columns = (i64, [u8; 16], Vec<u8>);

fn columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn opened(db: &Db, (seq, dispatch, sealed): Columns) -> Result<HeldRow, StoreError> {
    let value: Value = db.keyed.open(TABLE, seq, &sealed)?;
    Ok(HeldRow {
        seq: public(seq)?,
        dispatch: DispatchId::from_bytes(dispatch),
        account: AccountRef::new(value.platform, &value.account),
        body: value.body,
        held_at: value.held_at,
        attempts: value.attempts,
    })
}

/// The row of a number as callers see it.
fn number(public: u64) -> Result<i64, StoreError> {
    Ok(i64::try_from(public).map_err(|_| StoreError::Unknown)?.saturating_sub(FIRST_ROWS))
}

pub(super) fn release(db: &Db, stage: HeldStage, lane: LaneId, seq: u64) -> Result<(), StoreError> {
    let seq = number(seq)?;
    db.connection
        .prepare_cached("DELETE FROM held WHERE seq = ?1 AND stage = ?2 AND lane = ?3")?
        .execute((seq, stage.number(), lane.as_bytes()))?;
    Ok(())
}
