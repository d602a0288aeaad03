//! What became of each dispatch and its requests: one sealed row a dispatch.
//!
//! A row lies in the table of its envelope's day, so that a repeated event finds it. An envelope whose clock is wrong
//! (older than the retention, or of tomorrow) lies in a table of the day on which it came.

use super::memory::{DAY_MS, Kind, day_table, days, make_day, oldest_day};
use super::sent;
use super::writer::Db;
use super::{echoes, parked, reactions};
use crate::{
    Begun, DispatchRow, DispatchState, Intent, NativeMessage, NewDispatch, Released,
    RequestOutcome, RequestRow, RequestState, Settled, StoreError,
};
use interline_envelope::{DispatchId, Redacted};
use rusqlite::OptionalExtension;

const TABLE: &str = "dispatch";

/// A table: its kind and day.
type Place = (Kind, i64);

/// Where the row of an envelope of that time lies, if it comes now.
fn place_of(db: &Db, time: i64) -> Place {
    let (day, now) = (time.div_euclid(DAY_MS), (db.settings.now_ms)());
    let today = now.div_euclid(DAY_MS);
    let believed = (oldest_day(now, db.settings.dispatch_retention)..=today + 1).contains(&day);
    if believed { (Kind::Dispatch, day) } else { (Kind::Undated, today) }
}

fn find(db: &Db, id: DispatchId, place: Place) -> Result<Option<DispatchRow>, StoreError> {
    if !db.days.has(place.0, place.1) {
        return Ok(None);
    }
    let key = db.keyed.key(TABLE, &[id.as_bytes()]);
    let sql = format!("SELECT whole, value FROM {} WHERE key = ?1", day_table(place.0, place.1));
    let row: Option<(Vec<u8>, Vec<u8>)> = db
        .connection
        .prepare_cached(&sql)?
        .query_row([key.number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match row {
        Some((whole, value)) if whole == key.whole => {
            Ok(Some(db.keyed.open(TABLE, key.number, &value)?))
        }
        Some(_) | None => Ok(None),
    }
}

/// The row and where it lies: in the table of its day, or in one of those for wrong clocks.
fn locate(db: &Db, id: DispatchId, time: i64) -> Result<Option<(Place, DispatchRow)>, StoreError> {
    let dated = (Kind::Dispatch, time.div_euclid(DAY_MS));
    let undated = days(db, Kind::Undated).map(|day| (Kind::Undated, day));
    for place in std::iter::once(dated).chain(undated) {
        if let Some(row) = find(db, id, place)? {
            return Ok(Some((place, row)));
        }
    }
    Ok(None)
}

fn write(db: &mut Db, id: DispatchId, place: Place, row: &DispatchRow) -> Result<(), StoreError> {
    make_day(db, place.0, place.1)?;
    let key = db.keyed.key(TABLE, &[id.as_bytes()]);
    let value = db.keyed.seal(TABLE, key.number, row)?;
    let table = day_table(place.0, place.1);
    let sql = format!("INSERT OR REPLACE INTO {table} (key, whole, value) VALUES (?1, ?2, ?3)");
    db.connection.prepare_cached(&sql)?.execute((key.number, key.whole, value))?;
    Ok(())
}

pub(super) fn read(db: &Db, id: DispatchId, time: i64) -> Result<Option<DispatchRow>, StoreError> {
    Ok(locate(db, id, time)?.map(|(_, row)| row))
}

/// What became of a dispatch of unknown time.
pub(super) fn state_of(db: &Db, id: DispatchId) -> Result<Option<DispatchState>, StoreError> {
    for place in places(db) {
        if let Some(row) = find(db, id, place)? {
            return Ok(Some(row.state));
        }
    }
    Ok(None)
}

pub(super) fn begin(
    db: &mut Db,
    new: &NewDispatch,
    intended_at: i64,
) -> Result<(Begun, Vec<Released>), StoreError> {
    if locate(db, new.id, new.time)?.is_some() {
        return Ok((Begun::Before, Vec::new()));
    }
    if let Some(NativeMessage { account, chat, native_id }) = &new.carries
        && parked::is_buried(db, account, chat, native_id)?
    {
        let released = finish(db, new.id, new.time, DispatchState::Refused)?;
        return Ok((Begun::TakenBack, released));
    }
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
            likeness: plan.likeness.clone(),
        })
        .collect();
    let row = DispatchRow { state: DispatchState::Open, requests, to: Some(new.to.clone()) };
    write(db, new.id, place_of(db, new.time), &row)?;
    open_send(db, new.id, 0, &row, intended_at)?;
    if let Some(reaction) = &new.reaction {
        reactions::record(db, reaction, &new.to, intended_at)?;
    }
    Ok((Begun::Now, Vec::new()))
}

pub(super) fn intend(
    db: &mut Db,
    id: DispatchId,
    time: i64,
    n: u16,
    at: i64,
) -> Result<Intent, StoreError> {
    let (place, mut row) = locate(db, id, time)?.ok_or(StoreError::Unknown)?;
    let request = row.requests.get_mut(usize::from(n)).ok_or(StoreError::Unknown)?;
    if let RequestState::Sent { native_ids, .. } = &request.state {
        return Ok(Intent::AlreadySent { native_ids: native_ids.clone() });
    }
    request.state = RequestState::Intended { at };
    write(db, id, place, &row)?;
    open_send(db, id, n, &row, at)?;
    Ok(Intent::Written)
}

/// From now on an echo that looks like this request may be its own.
fn open_send(
    db: &Db,
    id: DispatchId,
    n: u16,
    row: &DispatchRow,
    at: i64,
) -> Result<(), StoreError> {
    let likeness = row.requests.get(usize::from(n)).and_then(|request| request.likeness.as_ref());
    match (&row.to, likeness) {
        (Some(to), Some(likeness)) => echoes::open(db, to, id, n, likeness, at),
        (_, None) | (None, _) => Ok(()),
    }
}

/// What followed from an outcome.
pub(super) struct Outcome {
    /// The time of the request's intent, where it was intended.
    pub(super) intended_at: Option<i64>,
    /// The platform reported meanwhile that this send failed: there is no copy of it.
    pub(super) has_failed: bool,
    /// True if the dispatch cannot end as done: a request failed meanwhile.
    pub(super) goes_again: bool,
}

pub(super) fn outcome(
    db: &mut Db,
    id: DispatchId,
    time: i64,
    n: u16,
    outcome: &RequestOutcome,
    finish: Option<DispatchState>,
) -> Result<Outcome, StoreError> {
    let (place, mut row) = locate(db, id, time)?.ok_or(StoreError::Unknown)?;
    if row.state == DispatchState::Done {
        return Ok(Outcome { intended_at: None, has_failed: false, goes_again: false });
    }
    let request = row.requests.get_mut(usize::from(n)).ok_or(StoreError::Unknown)?;
    let intended_at = request.state.intended_at();
    let has_failed = has_failed_since(db, id, &request.state, outcome)?;
    if !has_failed {
        request.state = after(&request.state, outcome);
    }
    let had_likeness = request.likeness.is_some();
    if had_likeness
        && *outcome != RequestOutcome::Uncertain
        && let Some(to) = &row.to
    {
        echoes::close(db, to, id, n)?;
    }
    let is_sent = |request: &RequestRow| matches!(request.state, RequestState::Sent { .. });
    let goes_again = finish == Some(DispatchState::Done) && !row.requests.iter().all(is_sent);
    if let Some(state) = finish.filter(|_| !goes_again) {
        end(&mut row, state);
    }
    write(db, id, place, &row)?;
    Ok(Outcome { intended_at, has_failed, goes_again })
}

/// True if this attempt believes a request to be sent that was reported as failed since: it is intended no more. What
/// was sent before a replay has no ids any more.
fn has_failed_since(
    db: &Db,
    id: DispatchId,
    state: &RequestState,
    outcome: &RequestOutcome,
) -> Result<bool, StoreError> {
    match (state, outcome) {
        (RequestState::Planned | RequestState::Rejected, RequestOutcome::Sent { native_ids }) => {
            Ok(native_ids.is_empty() || sent::has_failed(db, id, native_ids)?)
        }
        (_, _) => Ok(false),
    }
}

fn after(state: &RequestState, outcome: &RequestOutcome) -> RequestState {
    match (state, outcome) {
        (_, RequestOutcome::Sent { native_ids }) => {
            RequestState::Sent { native_ids: native_ids.clone(), at: state.intended_at() }
        }
        // The marker came back in the meantime: it was sent, whatever this attempt believes.
        (
            RequestState::Sent { native_ids, at },
            RequestOutcome::NotSent | RequestOutcome::Uncertain | RequestOutcome::Rejected,
        ) => RequestState::Sent { native_ids: native_ids.clone(), at: *at },
        // It failed for good while this attempt was under way.
        (RequestState::Rejected, RequestOutcome::NotSent | RequestOutcome::Uncertain)
        | (_, RequestOutcome::Rejected) => RequestState::Rejected,
        (_, RequestOutcome::NotSent | RequestOutcome::Uncertain) => RequestState::Planned,
    }
}

/// What the failure of a send means to an open dispatch.
pub(super) enum Failed {
    /// The request is planned again or, if that is no use, rejected; its lane sees to both.
    Noted,
    /// Another send of the request is there.
    Superseded,
    /// What became of the request is not known yet.
    UnderWay,
}

/// A request of an open dispatch failed after the platform took it. `passes`: false if it is not to be sent again.
pub(super) fn fail(
    db: &mut Db,
    id: DispatchId,
    time: i64,
    n: u16,
    native_id: &Redacted<String>,
    passes: bool,
) -> Result<Failed, StoreError> {
    let Some((place, mut row)) = locate(db, id, time)? else { return Ok(Failed::UnderWay) };
    let Some(request) = row.requests.get_mut(usize::from(n)) else { return Ok(Failed::UnderWay) };
    match &request.state {
        RequestState::Intended { .. } => return Ok(Failed::UnderWay),
        RequestState::Sent { native_ids, .. }
            if !native_ids.is_empty() && !native_ids.contains(native_id) =>
        {
            return Ok(Failed::Superseded);
        }
        RequestState::Rejected => return Ok(Failed::Noted),
        RequestState::Planned | RequestState::Sent { .. } => {}
    }
    request.state = if passes { RequestState::Planned } else { RequestState::Rejected };
    write(db, id, place, &row)?;
    Ok(Failed::Noted)
}

/// A finished row is kept for its state alone; the plans, which hold content, go.
fn end(row: &mut DispatchRow, state: DispatchState) {
    row.state = state;
    if state != DispatchState::Dead {
        row.requests = Vec::new();
    }
}

pub(super) fn finish(
    db: &mut Db,
    id: DispatchId,
    time: i64,
    state: DispatchState,
) -> Result<Vec<Released>, StoreError> {
    let (place, mut row) = match locate(db, id, time)? {
        Some((_, row)) if row.state == DispatchState::Done => return Ok(Vec::new()),
        Some(found) => found,
        None => (place_of(db, time), DispatchRow { state, requests: Vec::new(), to: None }),
    };
    end(&mut row, state);
    write(db, id, place, &row)?;
    parked::release_end(db, id)
}

pub(super) fn reopen(db: &mut Db, id: DispatchId, time: i64) -> Result<(), StoreError> {
    let Some((place, mut row)) = locate(db, id, time)? else { return Ok(()) };
    if row.state != DispatchState::Dead {
        return Ok(());
    }
    if row.requests.is_empty() {
        // It died before it had a plan: it is planned anew.
        return delete(db, id, place);
    }
    row.state = DispatchState::Open;
    for request in &mut row.requests {
        // What is there is not sent again. Of what may be there the operator, who could look, has decided.
        if matches!(request.state, RequestState::Rejected | RequestState::Intended { .. }) {
            request.state = RequestState::Planned;
        }
    }
    write(db, id, place, &row)?;
    // Its lane has it now.
    sent::failure_told(db, id)
}

/// A dispatch that was done is dead after all, with what became of its requests.
pub(super) fn restore_dead(
    db: &mut Db,
    id: DispatchId,
    time: i64,
    requests: Vec<RequestRow>,
) -> Result<(), StoreError> {
    let Some((place, mut row)) = locate(db, id, time)? else { return Ok(()) };
    row.state = DispatchState::Dead;
    row.requests = requests;
    write(db, id, place, &row)
}

/// Another request of a dead dispatch failed as well.
pub(super) fn reject(db: &mut Db, id: DispatchId, time: i64, n: u16) -> Result<(), StoreError> {
    let Some((place, mut row)) = locate(db, id, time)? else { return Ok(()) };
    if let Some(request) = row.requests.get_mut(usize::from(n)) {
        request.state = RequestState::Rejected;
    }
    write(db, id, place, &row)
}

fn delete(db: &Db, id: DispatchId, place: Place) -> Result<(), StoreError> {
    let key = db.keyed.key(TABLE, &[id.as_bytes()]);
    let sql = format!("DELETE FROM {} WHERE key = ?1", day_table(place.0, place.1));
    db.connection.prepare_cached(&sql)?.execute([key.number])?;
    Ok(())
}

/// Every table that may hold a row of unknown time. Markers name the dispatch but not its day: the newest day is
/// looked at first, since markers come soon.
fn places(db: &Db) -> Vec<Place> {
    let dated = days(db, Kind::Dispatch).map(|day| (Kind::Dispatch, day));
    let undated = days(db, Kind::Undated).map(|day| (Kind::Undated, day));
    dated.chain(undated).collect()
}

pub(super) fn plan_of(db: &Db, id: DispatchId, n: u16) -> Result<Option<Vec<u8>>, StoreError> {
    for place in places(db) {
        if let Some(row) = find(db, id, place)? {
            let request = row.requests.into_iter().nth(usize::from(n));
            return Ok(request.map(|request| request.plan));
        }
    }
    Ok(None)
}

pub(super) fn settle(
    db: &mut Db,
    id: DispatchId,
    n: u16,
    native_ids: &[Redacted<String>],
) -> Result<Settled, StoreError> {
    for place in places(db) {
        let Some(mut row) = find(db, id, place)? else { continue };
        if row.state == DispatchState::Done {
            return Ok(Settled::AlreadyKnown);
        }
        // News of a send that failed since says nothing of the one that follows it.
        if sent::has_failed(db, id, native_ids)? {
            return Ok(Settled::AlreadyKnown);
        }
        let Some(request) = row.requests.get_mut(usize::from(n)) else {
            return Ok(Settled::Unknown);
        };
        return match request.state {
            RequestState::Sent { .. } => Ok(Settled::AlreadyKnown),
            RequestState::Intended { .. } | RequestState::Planned | RequestState::Rejected => {
                let at = request.state.intended_at();
                request.state = RequestState::Sent { native_ids: native_ids.to_vec(), at };
                write(db, id, place, &row)?;
                Ok(Settled::Recorded)
            }
        };
    }
    Ok(Settled::Unknown)
}
