//! How the one reaction to a copy is shown: so that what is taken away was there, and what was said is not taken away.

use super::keyed::RowKey;
use super::writer::Db;
use crate::{NativeMessage, ReactionShown, StoreError};
use interline_envelope::DispatchId;
use rusqlite::OptionalExtension;

const TABLE: &str = "reaction";

struct Row {
    dispatch: Vec<u8>,
    shown: i64,
    before: i64,
}

const fn number(shown: Option<ReactionShown>) -> i64 {
    match shown {
        None => 0,
        Some(ReactionShown::Set) => 1,
        Some(ReactionShown::Told) => 2,
    }
}

const fn shown(number: i64) -> Option<ReactionShown> {
    match number {
        1 => Some(ReactionShown::Set),
        2 => Some(ReactionShown::Told),
        _ => None,
    }
}

fn key(db: &Db, copy: &NativeMessage) -> RowKey {
    db.keyed.native(TABLE, &copy.account, &copy.chat, &copy.native_id)
}

fn find(db: &Db, key: &RowKey) -> Result<Option<Row>, StoreError> {
    let row: Option<(Vec<u8>, Row)> = db
        .connection
        .prepare_cached("SELECT whole, dispatch, shown, before FROM reaction WHERE key = ?1")?
        .query_row([key.number], |row| {
            let found = Row { dispatch: row.get(1)?, shown: row.get(2)?, before: row.get(3)? };
            Ok((row.get(0)?, found))
        })
        .optional()?;
    Ok(row.filter(|(whole, _)| *whole == key.whole).map(|(_, row)| row))
}

/// How it was shown before a dispatch changed it, or is to.
fn before(row: &Row, dispatch: DispatchId) -> i64 {
    if row.dispatch == dispatch.as_bytes() { row.before } else { row.shown }
}

pub(super) fn read(
    db: &Db,
    copy: &NativeMessage,
    dispatch: DispatchId,
) -> Result<Option<ReactionShown>, StoreError> {
    let row = find(db, &key(db, copy))?;
    Ok(row.and_then(|row| shown(before(&row, dispatch))))
}

pub(super) fn write(
    db: &Db,
    copy: &NativeMessage,
    dispatch: DispatchId,
    now: Option<ReactionShown>,
    at: i64,
) -> Result<(), StoreError> {
    let key = key(db, copy);
    let before = find(db, &key)?.map_or(0, |row| before(&row, dispatch));
    db.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO reaction (key, whole, at, dispatch, shown, before) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((key.number, key.whole, at, dispatch.as_bytes(), number(now), before))?;
    Ok(())
}

/// Drops what nothing was heard of since `since`.
pub(super) fn retain(db: &Db, since: i64) -> Result<(), StoreError> {
    db.connection.prepare_cached("DELETE FROM reaction WHERE at < ?1")?.execute([since])?;
    Ok(())
}
