//! Days and what is dropped with them; poison events; second ids of people.

use super::writer::Db;
use crate::StoreError;
use interline_envelope::{Address, Redacted};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A day in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;
const BINDING: &str = "binding";

/// What has a table a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What became of dispatches.
    Dispatch,
    /// Copies by their native id.
    Native,
    /// Copies by envelope and participant.
    Owned,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Native => "native",
            Self::Owned => "owned",
        }
    }
}

/// The table of a day; a negative day is the one without.
pub(super) fn day_table(kind: Kind, day: i64) -> String {
    if day < 0 { format!("{}_undated", kind.as_str()) } else { format!("{}_{day}", kind.as_str()) }
}

/// The days that have a table, the newest first, the one without a day last.
pub(super) fn days(db: &Db, kind: Kind) -> Result<Vec<i64>, StoreError> {
    let mut statement =
        db.connection.prepare_cached("SELECT day FROM day WHERE kind = ?1 ORDER BY day DESC")?;
    let rows = statement.query_map([kind.as_str()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn make_day(db: &Db, kind: Kind, day: i64) -> Result<(), StoreError> {
    let day = day.max(-1);
    let known: Option<i64> = db
        .connection
        .prepare_cached("SELECT 1 FROM day WHERE kind = ?1 AND day = ?2")?
        .query_row((kind.as_str(), day), |row| row.get(0))
        .optional()?;
    if known.is_none() {
        let table = day_table(kind, day);
        db.connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (key INTEGER PRIMARY KEY, whole BLOB NOT NULL, value BLOB NOT NULL) STRICT"
        ))?;
        db.connection
            .execute("INSERT INTO day (kind, day) VALUES (?1, ?2)", (kind.as_str(), day))?;
    }
    Ok(())
}

/// Today by this machine's clock: the one place where the store looks at it, to tell a wrong platform clock.
pub(super) fn today(_db: &Db) -> Result<i64, StoreError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(i64::try_from(since.as_secs() / 86_400).unwrap_or(0))
}

pub(super) fn retain(db: &Db, now: i64) -> Result<(), StoreError> {
    let keeps = [
        (Kind::Dispatch, db.settings.dispatch_retention),
        (Kind::Native, db.settings.copy_retention),
        (Kind::Owned, db.settings.copy_retention),
    ];
    for (kind, retention) in keeps {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        // A day's table goes when the whole day is too old.
        let oldest = now.saturating_sub(retention).div_euclid(DAY_MS);
        for day in days(db, kind)? {
            if day >= 0 && day < oldest {
                db.connection
                    .execute_batch(&format!("DROP TABLE IF EXISTS {}", day_table(kind, day)))?;
                db.connection.execute(
                    "DELETE FROM day WHERE kind = ?1 AND day = ?2",
                    (kind.as_str(), day),
                )?;
            }
        }
    }
    let tombstones = now
        .saturating_sub(i64::try_from(db.settings.copy_retention.as_millis()).unwrap_or(i64::MAX));
    db.connection.execute("DELETE FROM tombstone WHERE at < ?1", [tombstones])?;
    Ok(())
}

pub(super) fn event_opened(db: &Db, key: [u8; 16]) -> Result<u32, StoreError> {
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
