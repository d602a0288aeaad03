//! What became of each dispatch and its requests: one sealed row a dispatch.
//!
//! A row lies in the table of its envelope's day, so that a repeated event finds it. An envelope whose clock is wrong
//! (older than the retention, or of tomorrow) lies in a table without a day.

use super::memory::{DAY_MS, Kind, day_table, days, make_day};
use super::writer::Db;
use crate::{
    DispatchRow, DispatchState, NewDispatch, RequestOutcome, RequestRow, RequestState, Settled,
    StoreError,
};
use interline_envelope::{DispatchId, Redacted};
use rusqlite::OptionalExtension;

const TABLE: &str = "dispatch";
/// The table of envelopes whose day is not to be believed.
const NO_DAY: i64 = -1;

fn day_of(db: &Db, time: i64) -> Result<i64, StoreError> {
    let day = time.div_euclid(DAY_MS);
    // The newest day that was ever made moves with real time, not with one platform's wrong clock.
    let today = super::memory::today(db)?;
    let oldest =
        today - i64::try_from(db.settings.dispatch_retention.as_secs() / 86_400).unwrap_or(8) + 1;
    Ok(if (oldest..=today + 1).contains(&day) { day } else { NO_DAY })
}

fn find(db: &Db, id: DispatchId, day: i64) -> Result<Option<DispatchRow>, StoreError> {
    let key = db.keyed.key(TABLE, &[id.as_bytes()]);
    let sql = format!("SELECT whole, value FROM {} WHERE key = ?1", day_table(Kind::Dispatch, day));
    let mut statement = match db.connection.prepare_cached(&sql) {
        Ok(statement) => statement,
        // No table: nothing of that day was ever written.
        Err(error) if error.to_string().contains("no such table") => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let row: Option<(Vec<u8>, Vec<u8>)> =
        statement.query_row([key.number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match row {
        Some((whole, value)) if whole == key.whole => {
            Ok(Some(db.keyed.open(TABLE, key.number, &value)?))
        }
        Some(_) | None => Ok(None),
    }
}

/// The row and the day that it lies in: its own, or none, if its day was not to be believed when it came.
fn locate(db: &Db, id: DispatchId, time: i64) -> Result<Option<(i64, DispatchRow)>, StoreError> {
    let own = day_of(db, time)?;
    for day in [own, NO_DAY] {
        if let Some(row) = find(db, id, day)? {
            return Ok(Some((day, row)));
        }
        if own == NO_DAY {
            break;
        }
    }
    Ok(None)
}

fn write(db: &Db, id: DispatchId, day: i64, row: &DispatchRow) -> Result<(), StoreError> {
    make_day(db, Kind::Dispatch, day)?;
    let key = db.keyed.key(TABLE, &[id.as_bytes()]);
    let value = db.keyed.seal(TABLE, key.number, row)?;
    let sql = format!(
        "INSERT OR REPLACE INTO {} (key, whole, value) VALUES (?1, ?2, ?3)",
        day_table(Kind::Dispatch, day)
    );
    db.connection.prepare_cached(&sql)?.execute((key.number, key.whole, value))?;
    Ok(())
}

pub(super) fn read(db: &Db, id: DispatchId, time: i64) -> Result<Option<DispatchRow>, StoreError> {
    Ok(locate(db, id, time)?.map(|(_, row)| row))
}

pub(super) fn begin(db: &Db, new: &NewDispatch, intended_at: i64) -> Result<(), StoreError> {
    let requests = new
        .plans
        .iter()
        .enumerate()
        .map(|(n, plan)| RequestRow {
            plan: plan.body.clone(),
            state: if n == 0 {
                RequestState::Intended { at: intended_at }
            } else {
                RequestState::Planned
            },
        })
        .collect();
    write(db, new.id, day_of(db, new.time)?, &DispatchRow { state: DispatchState::Open, requests })
}

pub(super) fn intend(
    db: &Db,
    id: DispatchId,
    time: i64,
    n: u16,
    at: i64,
) -> Result<(), StoreError> {
    let (day, mut row) = locate(db, id, time)?.ok_or(StoreError::Unknown)?;
    let request = row.requests.get_mut(usize::from(n)).ok_or(StoreError::Unknown)?;
    request.state = RequestState::Intended { at };
    write(db, id, day, &row)
}

pub(super) fn outcome(
    db: &Db,
    id: DispatchId,
    time: i64,
    n: u16,
    outcome: &RequestOutcome,
    finish: Option<DispatchState>,
) -> Result<(), StoreError> {
    let (day, mut row) = locate(db, id, time)?.ok_or(StoreError::Unknown)?;
    let request = row.requests.get_mut(usize::from(n)).ok_or(StoreError::Unknown)?;
    request.state = match (&request.state, outcome) {
        (_, RequestOutcome::Sent { native_ids }) => {
            RequestState::Sent { native_ids: native_ids.clone() }
        }
        // The marker came back in the meantime: it was sent, whatever this attempt believes.
        (RequestState::Sent { native_ids }, RequestOutcome::NotSent | RequestOutcome::Rejected) => {
            RequestState::Sent { native_ids: native_ids.clone() }
        }
        (_, RequestOutcome::NotSent) => RequestState::Planned,
        (_, RequestOutcome::Rejected) => RequestState::Rejected,
    };
    if let Some(state) = finish {
        end(&mut row, state);
    }
    write(db, id, day, &row)
}

/// A finished row is kept for its state alone; the plans, which hold content, go.
fn end(row: &mut DispatchRow, state: DispatchState) {
    row.state = state;
    if state != DispatchState::Dead {
        row.requests = Vec::new();
    }
}

pub(super) fn finish(
    db: &Db,
    id: DispatchId,
    time: i64,
    state: DispatchState,
) -> Result<(), StoreError> {
    let (day, mut row) = match locate(db, id, time)? {
        Some(found) => found,
        None => (day_of(db, time)?, DispatchRow { state, requests: Vec::new() }),
    };
    end(&mut row, state);
    write(db, id, day, &row)
}

pub(super) fn reopen(db: &Db, id: DispatchId, time: i64) -> Result<(), StoreError> {
    let Some((day, mut row)) = locate(db, id, time)? else { return Ok(()) };
    if row.state != DispatchState::Dead {
        return Ok(());
    }
    row.state = DispatchState::Open;
    for request in &mut row.requests {
        // Only what is certainly not there is sent again.
        if request.state == RequestState::Rejected {
            request.state = RequestState::Planned;
        }
    }
    if row.requests.is_empty() {
        // It died before it had a plan: it is planned anew.
        return delete(db, id, day);
    }
    write(db, id, day, &row)
}

fn delete(db: &Db, id: DispatchId, day: i64) -> Result<(), StoreError> {
    let key = db.keyed.key(TABLE, &[id.as_bytes()]);
    let sql = format!("DELETE FROM {} WHERE key = ?1", day_table(Kind::Dispatch, day));
    db.connection.prepare_cached(&sql)?.execute([key.number])?;
    Ok(())
}

/// Markers name the dispatch but not its day: the newest day is looked at first, since markers come soon.
pub(super) fn settle(
    db: &Db,
    id: DispatchId,
    n: u16,
    native_ids: &[Redacted<String>],
) -> Result<Settled, StoreError> {
    for day in days(db, Kind::Dispatch)? {
        let Some(mut row) = find(db, id, day)? else { continue };
        if row.state == DispatchState::Done {
            return Ok(Settled::AlreadyKnown);
        }
        let Some(request) = row.requests.get_mut(usize::from(n)) else {
            return Ok(Settled::Unknown);
        };
        return match request.state {
            RequestState::Sent { .. } => Ok(Settled::AlreadyKnown),
            RequestState::Intended { .. } | RequestState::Planned | RequestState::Rejected => {
                request.state = RequestState::Sent { native_ids: native_ids.to_vec() };
                write(db, id, day, &row)?;
                Ok(Settled::Recorded)
            }
        };
    }
    Ok(Settled::Unknown)
}
