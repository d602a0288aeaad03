//! The windows in which accounts may write freely to people: three times each, no id in clear.

use super::writer::Db;
use crate::{ServiceWindow, StoreError};
use interline_envelope::Address;
use rusqlite::OptionalExtension;

const TABLE: &str = "window";
/// The shortest time between two invitations.
const INVITED_AGAIN_MIN_MS: i64 = 3_600_000;

pub(super) fn read(db: &Db, address: &Address) -> Result<ServiceWindow, StoreError> {
    let key = db.keyed.address(TABLE, &[], address);
    let row: Option<(Vec<u8>, ServiceWindow)> = db
        .connection
        .prepare_cached("SELECT whole, opened, refused, invited FROM window WHERE key = ?1")?
        .query_row([key.number], |row| {
            let window =
                ServiceWindow { opened: row.get(1)?, refused: row.get(2)?, invited: row.get(3)? };
            Ok((row.get(0)?, window))
        })
        .optional()?;
    Ok(row.filter(|(whole, _)| *whole == key.whole).map(|(_, window)| window).unwrap_or_default())
}

fn write(db: &Db, address: &Address, window: ServiceWindow) -> Result<(), StoreError> {
    let key = db.keyed.address(TABLE, &[], address);
    db.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO window (key, whole, opened, refused, invited) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((key.number, key.whole, window.opened, window.refused, window.invited))?;
    Ok(())
}

pub(super) fn opened(db: &Db, address: &Address, at: i64) -> Result<ServiceWindow, StoreError> {
    let mut window = read(db, address)?;
    window.opened = window.opened.max(at);
    write(db, address, window)?;
    Ok(window)
}

pub(super) fn refused(db: &Db, address: &Address, at: i64) -> Result<ServiceWindow, StoreError> {
    let mut window = read(db, address)?;
    window.refused = window.refused.max(at);
    write(db, address, window)?;
    Ok(window)
}

/// True if nobody invited the person since the window last opened, nor within the last hour: a report that comes late
/// must not invite somebody who has just written.
pub(super) fn invited(db: &Db, address: &Address, at: i64) -> Result<bool, StoreError> {
    let mut window = read(db, address)?;
    let is_soon = at.saturating_sub(window.invited) < INVITED_AGAIN_MIN_MS;
    if window.invited != 0 && (window.invited >= window.opened || is_soon) {
        return Ok(false);
    }
    window.invited = at;
    write(db, address, window)?;
    Ok(true)
}

/// Drops what nothing was heard of since `before`.
pub(super) fn retain(db: &Db, before: i64) -> Result<(), StoreError> {
    db.connection
        .prepare_cached("DELETE FROM window WHERE max(opened, refused, invited) < ?1")?
        .execute([before])?;
    Ok(())
}
