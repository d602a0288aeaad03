//! How somebody's reaction to a message was shown to somebody else: what replaces it, or takes it away, must know.
//!
//! It lies with the copies by envelope and participant, and goes with them.

use super::copies;
use super::keyed::RowKey;
use super::memory::{DAY_MS, Kind};
use super::writer::Db;
use crate::{NewReaction, Reacted, StoreError};
use interline_envelope::{Address, EnvelopeId};

const TABLE: &str = "reacted";

fn key(db: &Db, message: EnvelopeId, by: &Address, on: &Address) -> RowKey {
    let (by, on) = (by.to_exposed_string(), on.to_exposed_string());
    db.keyed.key(TABLE, &[message.as_bytes(), by.as_bytes(), on.as_bytes()])
}

pub(super) fn record(
    db: &mut Db,
    new: &NewReaction,
    on: &Address,
    at: i64,
) -> Result<(), StoreError> {
    let key = key(db, new.message, &new.by, on);
    let before = copies::read::<Reacted>(db, Kind::Owned, TABLE, &key)?;
    if before.is_none() && new.stands.shown.is_none() {
        return Ok(());
    }
    let day = at.div_euclid(DAY_MS);
    // The newest day is read first, also where the clock stepped back.
    let day = before.map_or(day, |(before, _)| day.max(before));
    copies::write(db, Kind::Owned, TABLE, day, &key, &new.stands)
}

pub(super) fn reacted(
    db: &Db,
    message: EnvelopeId,
    by: &Address,
    on: &Address,
) -> Result<Option<Reacted>, StoreError> {
    let found = copies::read(db, Kind::Owned, TABLE, &key(db, message, by, on))?;
    Ok(found.map(|(_, stands)| stands))
}
