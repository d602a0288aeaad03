//! Which copies a person has not read yet, and who has read what of a group.
//!
//! A platform tells how far somebody has read by a time or by one message; what that means for each author stands here.

use super::copies;
use super::keyed::RowKey;
use super::memory::{DAY_MS, Kind};
use super::writer::Db;
use crate::{NewCopy, ReadByAll, ReadUpTo, Reading, ReceiptWanted, StoreError};
use interline_envelope::{Address, EnvelopeId, Redacted};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

const UNREAD: &str = "unread";
const READERS: &str = "readers";
/// How many unread copies of a chat are known; of older ones nobody is told.
const UNREAD_MAX: usize = 64;

#[derive(Serialize, Deserialize)]
struct Unread {
    envelope: EnvelopeId,
    copy: Redacted<String>,
    author: Address,
    readers: u16,
    /// When its request was begun: UTC milliseconds.
    at: i64,
}

fn key_of(db: &Db, chat: &Address) -> RowKey {
    db.keyed.address(UNREAD, &[], chat)
}

fn load(db: &Db, key: &RowKey) -> Result<Vec<Unread>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>)> = db
        .connection
        .prepare_cached("SELECT whole, value FROM unread WHERE key = ?1")?
        .query_row([key.number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match row {
        Some((whole, value)) if whole == key.whole => db.keyed.open(UNREAD, key.number, &value),
        Some(_) | None => Ok(Vec::new()),
    }
}

fn save(db: &Db, key: &RowKey, list: &[Unread]) -> Result<(), StoreError> {
    if list.is_empty() {
        db.connection
            .prepare_cached("DELETE FROM unread WHERE key = ?1 AND whole = ?2")?
            .execute((key.number, key.whole))?;
        return Ok(());
    }
    let value = db.keyed.seal(UNREAD, key.number, &list)?;
    db.connection
        .prepare_cached("INSERT OR REPLACE INTO unread (key, whole, value) VALUES (?1, ?2, ?3)")?
        .execute((key.number, key.whole, value))?;
    Ok(())
}

/// A copy that somebody may be told of when it is read; in any case others are read up to it.
pub(super) fn sent(db: &Db, copy: &NewCopy, wanted: &ReceiptWanted) -> Result<(), StoreError> {
    let key = key_of(db, &copy.participant);
    let mut list = load(db, &key)?;
    // Of a message in several pieces the last one counts.
    list.retain(|unread| unread.envelope != copy.envelope);
    list.drain(..(list.len() + 1).saturating_sub(UNREAD_MAX));
    list.push(Unread {
        envelope: copy.envelope,
        copy: copy.native_id.clone(),
        author: wanted.author.clone(),
        readers: wanted.readers,
        at: copy.at,
    });
    save(db, &key, &list)
}

/// A copy that was reported as failed is read by nobody.
pub(super) fn forget(db: &Db, chat: &Address, copy: &Redacted<String>) -> Result<(), StoreError> {
    let key = key_of(db, chat);
    let mut list = load(db, &key)?;
    let before = list.len();
    list.retain(|unread| unread.copy != *copy);
    if list.len() == before { Ok(()) } else { save(db, &key, &list) }
}

/// How many of the list are read.
fn count(list: &[Unread], up_to: &ReadUpTo) -> usize {
    match up_to {
        ReadUpTo::Time(time) => list.iter().take_while(|unread| unread.at <= *time).count(),
        ReadUpTo::Message(id) => {
            list.iter().position(|unread| unread.copy == *id).map_or(0, |at| at + 1)
        }
    }
}

/// Notes that a person has read, and answers with what now everybody has read. The same question has the same answer
/// until [`noted`].
pub(super) fn read(
    db: &mut Db,
    chat: &Address,
    up_to: &ReadUpTo,
    now: i64,
) -> Result<Reading, StoreError> {
    let mut list = load(db, &key_of(db, chat))?;
    list.truncate(count(&list, up_to));
    let last = list.last().map(|unread| unread.copy.clone());
    let mut by_all = Vec::new();
    for unread in list.into_iter().filter(|unread| unread.readers > 0) {
        if unread.readers == 1 || note_reader(db, chat, &unread, now)? {
            by_all.push(ReadByAll { author: unread.author, copy: unread.copy });
        }
    }
    Ok(Reading { by_all, last })
}

/// True if everybody has read it now.
fn note_reader(db: &mut Db, chat: &Address, unread: &Unread, now: i64) -> Result<bool, StoreError> {
    let key = db.keyed.key(READERS, &[unread.envelope.as_bytes()]);
    let today = now.div_euclid(DAY_MS);
    let (day, mut readers) =
        copies::read::<Vec<i64>>(db, Kind::Readers, READERS, &key)?.unwrap_or((today, Vec::new()));
    let reader = key_of(db, chat).number;
    if !readers.contains(&reader) {
        readers.push(reader);
        copies::write(db, Kind::Readers, READERS, day.max(today), &key, &readers)?;
    }
    Ok(readers.len() >= usize::from(unread.readers))
}

/// The authors know of it: it need not be told again.
pub(super) fn noted(db: &Db, chat: &Address, last: &Redacted<String>) -> Result<(), StoreError> {
    let key = key_of(db, chat);
    let mut list = load(db, &key)?;
    let Some(last) = list.iter().position(|unread| unread.copy == *last) else { return Ok(()) };
    list.drain(..=last);
    save(db, &key, &list)
}
