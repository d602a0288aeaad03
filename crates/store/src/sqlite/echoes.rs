//! Sends of unknown fate on platforms that give no marker back, by the chat that an echo of them would come from.
//!
//! A send is open from its intent until its outcome. An echo that looks like an open send is that send's; while one is
//! open, nobody can say of another echo whose it is.

use super::keyed::RowKey;
use super::writer::Db;
use super::{copies, dispatches};
use crate::{EchoOf, NativeMessage, StoreError};
use interline_envelope::{Address, DispatchId, Redacted};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

const TABLE: &str = "open_send";
/// How many sends of a chat may be open. Within a lane there is one; more are those that an operator has to decide of.
const OPEN_MAX: usize = 16;

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct OpenSend {
    dispatch: DispatchId,
    n: u16,
    likeness: Redacted<String>,
    /// When its intent was written: UTC milliseconds. An echo is not older than its send.
    at: i64,
    /// True for one of unknown fate that was tried again, and whose later outcome is known: one more echo of it may come,
    /// and must not be taken for that of another send.
    surplus: bool,
    /// The echo that came. The copy is recorded later, and the same echo may come once more before that.
    echo: Option<Redacted<String>>,
}

/// By how much the platform's clock may be behind ours.
const CLOCKS_APART_MAX_MS: i64 = 1_000;
/// An echo that is later than this may be of what somebody wrote by hand, and settles no send that was tried again.
const TAKEN_WITHIN_MS: i64 = 60_000;
/// How long the second echo of a send that was made twice is expected.
const SURPLUS_AGE_MAX_MS: i64 = 3_600_000;

fn key_of(db: &Db, chat: &Address) -> RowKey {
    db.keyed.address(TABLE, &[], chat)
}

fn load(db: &Db, key: &RowKey) -> Result<Vec<OpenSend>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>)> = db
        .connection
        .prepare_cached("SELECT whole, value FROM open_send WHERE key = ?1")?
        .query_row([key.number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match row {
        Some((whole, value)) if whole == key.whole => db.keyed.open(TABLE, key.number, &value),
        Some(_) | None => Ok(Vec::new()),
    }
}

fn save(db: &Db, key: &RowKey, list: &[OpenSend]) -> Result<(), StoreError> {
    if list.is_empty() {
        db.connection
            .prepare_cached("DELETE FROM open_send WHERE key = ?1 AND whole = ?2")?
            .execute((key.number, key.whole))?;
        return Ok(());
    }
    let value = db.keyed.seal(TABLE, key.number, &list)?;
    db.connection
        .prepare_cached("INSERT OR REPLACE INTO open_send (key, whole, value) VALUES (?1, ?2, ?3)")?
        .execute((key.number, key.whole, value))?;
    Ok(())
}

/// A request is about to be sent.
pub(super) fn open(
    db: &Db,
    chat: &Address,
    dispatch: DispatchId,
    n: u16,
    likeness: &Redacted<String>,
    at: i64,
) -> Result<(), StoreError> {
    let key = key_of(db, chat);
    let mut list = load(db, &key)?;
    list.retain(|send| !send.surplus || at.saturating_sub(send.at) < SURPLUS_AGE_MAX_MS);
    // One that is sent again stands there twice: each of its echoes is its own.
    list.drain(..(list.len() + 1).saturating_sub(OPEN_MAX));
    list.push(OpenSend { dispatch, n, likeness: likeness.clone(), at, surplus: false, echo: None });
    save(db, &key, &list)
}

/// The fate of a request is known.
pub(super) fn close(
    db: &Db,
    chat: &Address,
    dispatch: DispatchId,
    n: u16,
) -> Result<(), StoreError> {
    let key = key_of(db, chat);
    let mut list = load(db, &key)?;
    let before = list.len();
    // The last one is the send whose fate is known; earlier ones were sends of unknown fate.
    let own = |send: &OpenSend| (send.dispatch, send.n) == (dispatch, n);
    if let Some(last) = list.iter().rposition(own) {
        list.remove(last);
    }
    let mut earlier = false;
    for send in list.iter_mut().filter(|send| own(send) && !send.surplus) {
        send.surplus = true;
        earlier = true;
    }
    if list.len() == before && !earlier { Ok(()) } else { save(db, &key, &list) }
}

/// Whose echo this is. One that looks like an open send settles it.
pub(super) fn recognise(
    db: &mut Db,
    message: &NativeMessage,
    likeness: Option<&Redacted<String>>,
    time: i64,
) -> Result<EchoOf, StoreError> {
    let NativeMessage { account, chat, native_id } = message;
    if let Some(known) = copies::envelope_of(db, account, chat, native_id)? {
        let is_original = known.is_original == Some(true);
        return Ok(if is_original { EchoOf::SomebodyElse } else { EchoOf::Ours });
    }
    let chat = Address { account: account.clone(), user: chat.clone() };
    let key = key_of(db, &chat);
    let mut list = load(db, &key)?;
    if list.iter().any(|send| send.echo.as_ref() == Some(native_id)) {
        return Ok(EchoOf::Ours);
    }
    let is_like = |send: &&mut OpenSend| {
        send.echo.is_none()
            && Some(&send.likeness) == likeness
            && time.saturating_add(CLOCKS_APART_MAX_MS) >= send.at
    };
    if let Some(send) = list.iter_mut().find(is_like) {
        send.echo = Some(native_id.clone());
        let (dispatch, n) = (send.dispatch, send.n);
        // Whichever send of it this was: it is there, and is not to be sent again.
        let settles = list.iter().any(|other| {
            let is_free = other.echo.as_ref().is_none_or(|echo| echo == native_id);
            let is_near = time.saturating_add(CLOCKS_APART_MAX_MS) >= other.at
                && time <= other.at.saturating_add(TAKEN_WITHIN_MS);
            (other.dispatch, other.n) == (dispatch, n) && is_free && (!other.surplus || is_near)
        });
        save(db, &key, &list)?;
        if settles {
            dispatches::settle(db, dispatch, n, std::slice::from_ref(native_id))?;
        }
        return Ok(EchoOf::Ours);
    }
    let is_open = list.iter().any(|send| !send.surplus && send.echo.is_none());
    Ok(if is_open { EchoOf::Undecided } else { EchoOf::SomebodyElse })
}
