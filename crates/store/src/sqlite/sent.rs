//! Dispatches that a platform took and may report as failed later: what it takes to send them again.
//!
//! Bounded in number, the oldest go first, and in time. A message whose arrival is told needs its row no more.

use super::dispatches::Failed;
use super::writer::Db;
use super::{copies, dispatches};
use crate::{DispatchState, FailedLater, NewSent, RequestRow, RequestState, StoreError};
use interline_envelope::{AccountRef, Address, DispatchId, EnvelopeId, Platform, Redacted};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

const TABLE: &str = "sent";
/// The most rows. Most live for a second, until the arrival is told.
const ROWS_MAX: i64 = 20_000;
/// How long a platform may take to report a failure.
const AGE_MAX_MS: i64 = 3 * 24 * 3_600_000;

#[derive(Serialize, Deserialize)]
struct Value {
    platform: Platform,
    account: String,
    /// Rows of the first version have none.
    #[serde(default)]
    user: Option<Redacted<String>>,
    #[serde(with = "hex::serde")]
    body: Vec<u8>,
    time: i64,
    /// Rows of the first version have none.
    #[serde(default)]
    envelope: Option<EnvelopeId>,
    since: i64,
    plans: Vec<Plan>,
    /// The requests that arrived.
    arrived: Vec<u16>,
    /// The native ids that were reported as failed: each send has another, so a repeated report is no news.
    failed: Vec<Redacted<String>>,
    /// The requests that these were, but for sends that another took the place of.
    #[serde(default)]
    failed_requests: Vec<u16>,
    /// True once somebody else sees to the last of these: its lane, or whoever reads its dead letter.
    #[serde(default)]
    told: bool,
}

#[derive(Serialize, Deserialize)]
struct Plan(#[serde(with = "hex::serde")] Vec<u8>);

fn find(db: &Db, id: DispatchId) -> Result<Option<(i64, Value)>, StoreError> {
    let row: Option<(i64, Vec<u8>)> = db
        .connection
        .prepare_cached("SELECT seq, value FROM sent WHERE dispatch = ?1")?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, sealed)) = row else { return Ok(None) };
    Ok(Some((seq, db.keyed.open(TABLE, seq, &sealed)?)))
}

fn write(db: &Db, seq: i64, value: &Value) -> Result<(), StoreError> {
    let sealed = db.keyed.seal(TABLE, seq, value)?;
    db.connection
        .prepare_cached("UPDATE sent SET value = ?1 WHERE seq = ?2")?
        .execute((sealed, seq))?;
    Ok(())
}

fn remove(db: &Db, seq: i64) -> Result<(), StoreError> {
    db.connection.prepare_cached("DELETE FROM sent WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

pub(super) fn keep(db: &Db, new: &NewSent) -> Result<(), StoreError> {
    // The number is part of the seal, so the row is made first and filled then, within one transaction.
    let made = db
        .connection
        .prepare_cached("INSERT OR IGNORE INTO sent (dispatch, at, value) VALUES (?1, ?2, x'')")?
        .execute((new.id.as_bytes(), new.since))?;
    if made == 0 {
        return Ok(());
    }
    let seq = db.connection.last_insert_rowid();
    let value = Value {
        platform: new.to.account.platform.clone(),
        account: new.to.account.account.to_string(),
        user: Some(new.to.user.clone()),
        body: new.body.clone(),
        time: new.time,
        envelope: Some(new.envelope),
        since: new.since,
        plans: new.plans.iter().map(|plan| Plan(plan.body.clone())).collect(),
        arrived: Vec::new(),
        failed: Vec::new(),
        failed_requests: Vec::new(),
        told: false,
    };
    write(db, seq, &value)?;
    db.connection
        .prepare_cached("DELETE FROM sent WHERE seq <= ?1")?
        .execute([seq.saturating_sub(ROWS_MAX)])?;
    Ok(())
}

pub(super) fn forget(db: &Db, id: DispatchId) -> Result<(), StoreError> {
    db.connection
        .prepare_cached("DELETE FROM sent WHERE dispatch = ?1")?
        .execute([id.as_bytes()])?;
    Ok(())
}

pub(super) fn arrived(db: &Db, id: DispatchId, n: u16) -> Result<(), StoreError> {
    let Some((seq, mut value)) = find(db, id)? else { return Ok(()) };
    if !value.arrived.contains(&n) {
        value.arrived.push(n);
    }
    if value.arrived.len() >= value.plans.len() {
        return remove(db, seq);
    }
    write(db, seq, &value)
}

pub(super) fn failed(
    db: &mut Db,
    id: DispatchId,
    n: u16,
    native_id: &Redacted<String>,
    passes_max: u32,
) -> Result<FailedLater, StoreError> {
    let Some((seq, mut value)) = find(db, id)? else { return Ok(FailedLater::Unknown) };
    if value.arrived.contains(&n) {
        return Ok(FailedLater::NoNews);
    }
    let is_known = value.failed.contains(native_id);
    let state = dispatches::read(db, id, value.time)?.map(|row| row.state);
    match (state, is_known) {
        (Some(DispatchState::Done | DispatchState::Dead), false)
            if is_superseded(db, &value, n, native_id)? =>
        {
            return is_no_news(db, seq, value, native_id);
        }
        (Some(DispatchState::Done), false) => {
            dispatches::restore_dead(db, id, value.time, restored(&value, n))?;
        }
        (Some(DispatchState::Dead), true) if value.told => return Ok(FailedLater::NoNews),
        // Whoever heard it first may have died before the message went back to its lane, or became a dead letter.
        (Some(DispatchState::Dead), true) => return Ok(sent(&value)),
        (Some(DispatchState::Dead), false) => {
            // Another request of a message that goes back to its lane already.
            dispatches::reject(db, id, value.time, n)?;
        }
        (Some(DispatchState::Open), false) => {
            let passes = failures_of(&value, n).saturating_add(1) <= passes_max;
            match dispatches::fail(db, id, value.time, n, native_id, passes)? {
                Failed::Noted => {}
                Failed::UnderWay => return Ok(FailedLater::UnderWay),
                Failed::Superseded => return is_no_news(db, seq, value, native_id),
            }
        }
        (Some(DispatchState::Done | DispatchState::Open), true)
        | (Some(DispatchState::Refused) | None, _) => return Ok(FailedLater::NoNews),
    }
    if let Some(user) = value.user.clone() {
        copies::forget(db, &Address { account: account_of(&value), user }, native_id)?;
    }
    value.failed.push(native_id.clone());
    value.failed_requests.push(n);
    value.told = match state {
        Some(DispatchState::Open) => true,
        Some(DispatchState::Dead) => value.told,
        Some(DispatchState::Done | DispatchState::Refused) | None => false,
    };
    write(db, seq, &value)?;
    Ok(match state {
        Some(DispatchState::Open) => {
            FailedLater::InItsLane { since: value.since, failures: failures(&value) }
        }
        Some(DispatchState::Dead) => FailedLater::NoNews,
        Some(DispatchState::Done | DispatchState::Refused) | None => sent(&value),
    })
}

/// True if the request is known to be there by another id: this send was of unknown fate, and made once more.
fn is_superseded(
    db: &Db,
    value: &Value,
    n: u16,
    native_id: &Redacted<String>,
) -> Result<bool, StoreError> {
    let (Some(envelope), Some(user)) = (value.envelope, value.user.clone()) else {
        return Ok(false);
    };
    let there = copies::copies_of(db, envelope, &Address { account: account_of(value), user })?;
    let mut of_part = there.iter().filter(|copy| copy.part == n).peekable();
    Ok(of_part.peek().is_some() && of_part.all(|copy| copy.native_id != *native_id))
}

/// The failure of a send that does not matter any more.
fn is_no_news(
    db: &Db,
    seq: i64,
    mut value: Value,
    native_id: &Redacted<String>,
) -> Result<FailedLater, StoreError> {
    value.failed.push(native_id.clone());
    write(db, seq, &value)?;
    Ok(FailedLater::NoNews)
}

/// Somebody else sees to what failed: the same report once more is no news.
pub(super) fn failure_told(db: &Db, id: DispatchId) -> Result<(), StoreError> {
    let Some((seq, mut value)) = find(db, id)? else { return Ok(()) };
    value.told = true;
    write(db, seq, &value)
}

/// How often a message failed: as often as that of its requests that failed most.
fn failures(value: &Value) -> u32 {
    let of_one = |n: &u16| failures_of(value, *n);
    value.failed_requests.iter().map(of_one).max().unwrap_or_default()
}

fn failures_of(value: &Value, n: u16) -> u32 {
    let times = value.failed_requests.iter().filter(|failed| **failed == n).count();
    u32::try_from(times).unwrap_or(u32::MAX)
}

/// True if a send with one of these native ids was reported as failed.
pub(super) fn has_failed(
    db: &Db,
    id: DispatchId,
    native_ids: &[Redacted<String>],
) -> Result<bool, StoreError> {
    let failed = find(db, id)?.map(|(_, value)| value.failed).unwrap_or_default();
    Ok(native_ids.iter().any(|native_id| failed.contains(native_id)))
}

fn account_of(value: &Value) -> AccountRef {
    AccountRef::new(value.platform.clone(), &value.account)
}

fn sent(value: &Value) -> FailedLater {
    FailedLater::Sent {
        account: account_of(value),
        body: value.body.clone(),
        since: value.since,
        failures: failures(value),
    }
}

/// The requests of a message of which one failed: the others are not sent again.
fn restored(value: &Value, failed: u16) -> Vec<RequestRow> {
    let state = |index| {
        if index == usize::from(failed) {
            RequestState::Rejected
        } else {
            RequestState::Sent { native_ids: Vec::new(), at: None }
        }
    };
    let plans = value.plans.iter().enumerate();
    plans
        .map(|(index, plan)| RequestRow {
            plan: plan.0.clone(),
            state: state(index),
            likeness: None,
        })
        .collect()
}

pub(super) fn retain(db: &Db, now: i64) -> Result<(), StoreError> {
    db.connection
        .prepare_cached("DELETE FROM sent WHERE at < ?1")?
        .execute([now.saturating_sub(AGE_MAX_MS)])?;
    Ok(())
}
