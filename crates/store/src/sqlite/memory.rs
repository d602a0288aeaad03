//! Days and what is dropped with them; poison events; second ids of people.

use super::writer::Db;
use super::{sent, windows};
use crate::StoreError;
use interline_envelope::{Address, Redacted};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// A day in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;
const BINDING: &str = "binding";

/// What has a table a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What became of dispatches, by the day of their envelope.
    Dispatch,
    /// The same for envelopes whose clock is not to be believed, by the day on which they came.
    Undated,
    /// Copies by their native id.
    Native,
    /// Copies by envelope and participant.
    Owned,
    /// Who has read an envelope, where several have to.
    Readers,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Dispatch, Self::Undated, Self::Native, Self::Owned, Self::Readers];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Undated => "undated",
            Self::Native => "native",
            Self::Owned => "owned",
            Self::Readers => "readers",
        }
    }
}

/// The table of a day.
pub(super) fn day_table(kind: Kind, day: i64) -> String {
    format!("{}_{day}", kind.as_str())
}

/// Which days have a table. In memory, since every question asks.
#[derive(Debug, Default)]
pub(super) struct Days([BTreeSet<i64>; 5]);

impl Days {
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut days = Self::default();
        for kind in Kind::ALL {
            let mut statement = connection.prepare("SELECT day FROM day WHERE kind = ?1")?;
            let rows = statement.query_map([kind.as_str()], |row| row.get(0))?;
            days.0[kind as usize] = rows.collect::<Result<_, _>>()?;
        }
        Ok(days)
    }

    /// True if the day has a table.
    pub(super) fn has(&self, kind: Kind, day: i64) -> bool {
        self.0[kind as usize].contains(&day)
    }
}

/// The days that have a table, the newest first.
pub(super) fn days(db: &Db, kind: Kind) -> impl Iterator<Item = i64> + use<> {
    db.days.0[kind as usize].clone().into_iter().rev()
}

pub(super) fn make_day(db: &mut Db, kind: Kind, day: i64) -> Result<(), StoreError> {
    if db.days.has(kind, day) {
        return Ok(());
    }
    let table = day_table(kind, day);
    // A table that a rolled-back transaction took away again is made anew: hence IF NOT EXISTS and OR IGNORE.
    db.connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (key INTEGER PRIMARY KEY, whole BLOB NOT NULL, value BLOB NOT NULL) STRICT"
    ))?;
    db.connection
        .execute("INSERT OR IGNORE INTO day (kind, day) VALUES (?1, ?2)", (kind.as_str(), day))?;
    db.new_days.push((kind, day));
    db.days.0[kind as usize].insert(day);
    Ok(())
}

/// Forgets the days, from the `from`th of the open transaction, whose tables a roll-back took away again.
pub(super) fn forget_new_days(db: &mut Db, from: usize) {
    for (kind, day) in db.new_days.split_off(from.min(db.new_days.len())) {
        db.days.0[kind as usize].remove(&day);
    }
}

/// The oldest day that is kept: a day's table goes when the whole day is too old.
pub(super) fn oldest_day(now: i64, retention: Duration) -> i64 {
    now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)).div_euclid(DAY_MS)
}

pub(super) fn retain(db: &mut Db, now: i64) -> Result<(), StoreError> {
    let keeps = [
        (Kind::Dispatch, db.settings.dispatch_retention),
        (Kind::Undated, db.settings.dispatch_retention),
        (Kind::Native, db.settings.copy_retention),
        (Kind::Owned, db.settings.copy_retention),
        (Kind::Readers, db.settings.copy_retention),
    ];
    for (kind, retention) in keeps {
        for day in days(db, kind) {
            if day < oldest_day(now, retention) {
                db.connection
                    .execute_batch(&format!("DROP TABLE IF EXISTS {}", day_table(kind, day)))?;
                db.connection.execute(
                    "DELETE FROM day WHERE kind = ?1 AND day = ?2",
                    (kind.as_str(), day),
                )?;
                db.days.0[kind as usize].remove(&day);
            }
        }
    }
    let tombstones = now
        .saturating_sub(i64::try_from(db.settings.copy_retention.as_millis()).unwrap_or(i64::MAX));
    db.connection.execute("DELETE FROM tombstone WHERE at < ?1", [tombstones])?;
    windows::retain(db, tombstones)?;
    sent::retain(db, now)?;
    Ok(())
}

pub(super) fn events_opened(
    db: &Db,
    keys: &[[u8; 16]],
    suspect_runs: u32,
) -> Result<Vec<u32>, StoreError> {
    let mut opened = Vec::with_capacity(keys.len());
    for key in keys {
        let runs = event_opened(db, *key)?;
        opened.push(runs);
        if runs >= suspect_runs {
            break;
        }
    }
    Ok(opened)
}

fn event_opened(db: &Db, key: [u8; 16]) -> Result<u32, StoreError> {
    let row: Option<(i64, u32)> = db
        .connection
        .prepare_cached("SELECT run, runs FROM open_event WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let runs = match row {
        Some((run, runs)) if run == db.run => runs,
        Some((_, runs)) => runs.saturating_add(1),
        None => 0,
    };
    db.connection
        .prepare_cached("INSERT OR REPLACE INTO open_event (key, run, runs) VALUES (?1, ?2, ?3)")?
        .execute((key, db.run, runs))?;
    Ok(runs)
}

pub(super) fn events_closed(db: &Db, keys: &[[u8; 16]]) -> Result<(), StoreError> {
    for key in keys {
        db.connection.prepare_cached("DELETE FROM open_event WHERE key = ?1")?.execute([key])?;
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Binding {
    address: Address,
    id: Redacted<String>,
}

pub(super) fn bind(db: &Db, address: &Address, id: &Redacted<String>) -> Result<(), StoreError> {
    let key = db.keyed.address(BINDING, id.as_exposed_str().as_bytes(), address);
    let value = Binding { address: address.clone(), id: id.clone() };
    let sealed = db.keyed.seal(BINDING, key.number, &value)?;
    db.connection
        .prepare_cached("INSERT OR REPLACE INTO binding (key, whole, value) VALUES (?1, ?2, ?3)")?
        .execute((key.number, key.whole, sealed))?;
    Ok(())
}

pub(super) fn bindings(db: &mut Db) -> Result<Vec<(Address, Redacted<String>)>, StoreError> {
    let mut statement = db.connection.prepare_cached("SELECT key, value FROM binding")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    rows.map(|row| {
        let (key, sealed) = row?;
        let binding: Binding = db.keyed.open(BINDING, key, &sealed)?;
        Ok((binding.address, binding.id))
    })
    .collect()
}
