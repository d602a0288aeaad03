//! Where the copies of a message are, looked up from both ends.

use super::memory::{DAY_MS, Kind, day_table, days, make_day};
use super::writer::Db;
use super::{parked, receipts};
use crate::{Copy, Known, NewCopy, Released, StoreError};
use interline_envelope::{AccountRef, Address, EnvelopeId, Redacted};
use rusqlite::OptionalExtension;

const NATIVE: &str = "copy_native";
const OWNED: &str = "copy_owned";

/// Writes copies and lets go of what waited for them; says which lanes now hold that.
pub(super) fn record(db: &mut Db, copies: &[NewCopy]) -> Result<Vec<Released>, StoreError> {
    let mut released = Vec::new();
    for copy in copies {
        let day = copy.at.div_euclid(DAY_MS);
        let key = db.keyed.native(NATIVE, &copy.account, &copy.chat, &copy.native_id);
        if read::<Known>(db, Kind::Native, NATIVE, &key)?.is_some() {
            continue;
        }
        let known = Known {
            envelope: copy.envelope,
            part: copy.part,
            excerpt: copy.excerpt.clone(),
            author: copy.author.clone(),
            is_original: Some(copy.is_original),
            writer: Some(copy.writer.clone()),
        };
        write(db, Kind::Native, NATIVE, day, &key, &known)?;
        let owned = db.keyed.address(OWNED, copy.envelope.as_bytes(), &copy.participant);
        let (own_day, mut list) =
            read::<Vec<Copy>>(db, Kind::Owned, OWNED, &owned)?.unwrap_or((day, Vec::new()));
        list.push(Copy { native_id: copy.native_id.clone(), part: copy.part });
        list.sort_by_key(|copy| copy.part);
        // The newest day is read first, so the whole list goes there, also where the clock stepped back.
        write(db, Kind::Owned, OWNED, day.max(own_day), &owned, &list)?;
        if let Some(receipt) = &copy.receipt {
            receipts::sent(db, copy, receipt)?;
        }
        released.extend(parked::release(db, &copy.account, &copy.chat, &copy.native_id)?);
    }
    Ok(released)
}

/// A copy is not on its person's phone after all: nothing points to it any more, and nobody has read it. Whoever names it
/// all the same is understood.
pub(super) fn forget(
    db: &mut Db,
    participant: &Address,
    native_id: &Redacted<String>,
) -> Result<(), StoreError> {
    let Address { account, user } = participant;
    let Some(known) = envelope_of(db, account, user, native_id)? else { return Ok(()) };
    let owned = db.keyed.address(OWNED, known.envelope.as_bytes(), participant);
    if let Some((day, mut list)) = read::<Vec<Copy>>(db, Kind::Owned, OWNED, &owned)? {
        list.retain(|copy| copy.native_id != *native_id);
        write(db, Kind::Owned, OWNED, day, &owned, &list)?;
    }
    receipts::forget(db, participant, native_id)
}

pub(super) fn envelope_of(
    db: &Db,
    account: &AccountRef,
    chat: &Redacted<String>,
    native_id: &Redacted<String>,
) -> Result<Option<Known>, StoreError> {
    Ok(read(db, Kind::Native, NATIVE, &db.keyed.native(NATIVE, account, chat, native_id))?
        .map(|(_, known)| known))
}

pub(super) fn copies_of(
    db: &Db,
    envelope: EnvelopeId,
    participant: &Address,
) -> Result<Vec<Copy>, StoreError> {
    let key = db.keyed.address(OWNED, envelope.as_bytes(), participant);
    Ok(read(db, Kind::Owned, OWNED, &key)?.map(|(_, list)| list).unwrap_or_default())
}

/// Looks through the days, the newest first: most questions are about today.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    db: &Db,
    kind: Kind,
    table: &str,
    key: &super::keyed::RowKey,
) -> Result<Option<(i64, T)>, StoreError> {
    for day in days(db, kind) {
        let sql = format!("SELECT whole, value FROM {} WHERE key = ?1", day_table(kind, day));
        let row: Option<(Vec<u8>, Vec<u8>)> = db
            .connection
            .prepare_cached(&sql)?
            .query_row([key.number], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((whole, value)) = row
            && whole == key.whole
        {
            return Ok(Some((day, db.keyed.open(table, key.number, &value)?)));
        }
    }
    Ok(None)
}

pub(super) fn write<T: serde::Serialize>(
    db: &mut Db,
    kind: Kind,
    table: &str,
    day: i64,
    key: &super::keyed::RowKey,
    value: &T,
) -> Result<(), StoreError> {
    make_day(db, kind, day)?;
    let sealed = db.keyed.seal(table, key.number, value)?;
    let sql = format!(
        "INSERT OR REPLACE INTO {} (key, whole, value) VALUES (?1, ?2, ?3)",
        day_table(kind, day)
    );
    db.connection.prepare_cached(&sql)?.execute((key.number, key.whole, sealed))?;
    Ok(())
}
