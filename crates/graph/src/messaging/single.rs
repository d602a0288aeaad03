//! The commonest body, read in one pass: one entry with one event, a message. Meta sends most messages so, and
//! `split` hands all on so.
//!
//! A shortcut, not a second reading: whatever differs in the least (a number for an id, an escaped id, no clock of
//! its own) is left to [`super::walk`], which reads all and means the same.

use super::Dialect;
use super::event::{Content, Opened, parties};
use super::wire::{Message, Party};
use crate::{IdText, check_body};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Body<'a> {
    object: &'a str,
    #[serde(borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    id: &'a str,
    #[serde(borrow)]
    messaging: Vec<Event<'a>>,
    standby: Option<IgnoredAny>,
    changes: Option<IgnoredAny>,
    field: Option<IgnoredAny>,
    value: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    sender: Id<'a>,
    #[serde(borrow)]
    recipient: Id<'a>,
    timestamp: i64,
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(borrow)]
    hop_context: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Id<'a> {
    id: &'a str,
}

impl<'a> Id<'a> {
    fn party(self) -> Party<'a> {
        Party { id: Some(IdText::new(self.id)), user_ref: None }
    }
}

/// From here on a number counts milliseconds; below, `walk` decides. PLATFORMS.md section 2, "Timestamps".
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The one message of `body`, or nothing if it is not exactly that.
pub(super) fn single<'a>(dialect: &Dialect, body: &'a [u8]) -> Option<Opened<'a>> {
    check_body(body).ok()?;
    let body: Body<'a> = serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    let Ok([entry]) = <[Entry<'a>; 1]>::try_from(body.entry) else { return None };
    let surrounded = entry.standby.is_some()
        || entry.changes.is_some()
        || entry.field.is_some()
        || entry.value.is_some();
    let Ok([event]) = <[Event<'a>; 1]>::try_from(entry.messaging) else { return None };
    let message = event.message;
    let named = [entry.id, event.sender.id, event.recipient.id].iter().all(|id| !id.is_empty());
    let has_mid = message.mid.as_ref().is_some_and(|mid| mid.non_empty().is_some());
    let in_order = body.object == dialect.object && event.timestamp >= MILLISECONDS_FROM;
    if surrounded || !named || !has_mid || !in_order {
        return None;
    }
    let own = message.is_own();
    let entry_id = Some(IdText::new(entry.id));
    let parties =
        parties(entry_id, Some(event.sender.party()), Some(event.recipient.party()), own)?;
    Some(Opened {
        parties,
        time_ms: Some(event.timestamp),
        entry_time_ms: None,
        standby: false,
        content: Content::Message { message, hop_context: event.hop_context },
        // Only what has no mid is named by its own JSON.
        json: RawValue::NULL,
    })
}
