//! Opens one event: what it carries, whose account it is, who spoke to whom.
//!
//! PLATFORMS.md section 2, "Echo": in an echo the sender is the account. A public test suite has an echo whose
//! sender is the person; the entry's id says which of the two the account is.

use super::kept::plain;
use super::walk::{Found, Place};
use super::wire::{Event, Flags, Heading, Message, Party};
use crate::{IdText, Millis, reason_of};
use interline_bridge_api::ItemError;
use serde_json::value::RawValue;

/// Who spoke to whom.
pub(super) struct Parties<'a> {
    /// The operator's account; never empty.
    pub(super) account: IdText<'a>,
    /// The person; nothing where the event is about the account itself.
    pub(super) person: Option<IdText<'a>>,
    /// True if the account itself did it.
    pub(super) by_account: bool,
    /// True if the person is known by a `user_ref` alone.
    pub(super) by_user_ref: bool,
}

/// What an event carries.
pub(super) enum Content<'a> {
    Message {
        message: Message<'a>,
        hop_context: Option<&'a RawValue>,
    },
    /// Anything else that stands beside sender and recipient.
    Other,
    /// A change that is no event between the account and a person: comments, feed.
    Change {
        field: String,
        value: Option<&'a RawValue>,
    },
    /// Malformed somewhere; why, without its content.
    Malformed(String),
}

/// One event, opened.
pub(super) struct Opened<'a> {
    pub(super) parties: Parties<'a>,
    /// The event's own clock in milliseconds. It counts for the id; the entry's does not, since it changes with
    /// the batch.
    pub(super) time_ms: Option<i64>,
    /// The entry's clock in milliseconds.
    pub(super) entry_time_ms: Option<i64>,
    pub(super) standby: bool,
    pub(super) content: Content<'a>,
    /// The event's own JSON.
    pub(super) json: &'a RawValue,
}

/// Opens `found`.
///
/// # Errors
/// [`ItemError`] if nothing says whose account it is for.
pub(super) fn open<'a>(found: &Found<'a>) -> Result<Opened<'a>, ItemError> {
    let entry_id = found.entry_id.and_then(IdText::from_raw).filter(|id| id.non_empty().is_some());
    let entry_time_ms = found.entry_time.and_then(|raw| read::<Millis>(raw).ok()?.0);
    let mut standby = found.place == Place::Standby;
    let mut json = found.json;
    if matches!(found.place, Place::Changes | Place::Entry) {
        let field = plain(found.field).unwrap_or_default();
        standby |= field == "standby";
        match found.value {
            Some(value) if is_messaging_field(&field) && value.get().starts_with('{') => {
                json = value;
            }
            value => {
                let account = entry_id.ok_or_else(|| no_account(found))?;
                let parties =
                    Parties { account, person: None, by_account: false, by_user_ref: false };
                // `changes[]` and the form without it differ in what surrounds the value: it alone makes the id.
                json = value.unwrap_or(json);
                let content = Content::Change { field, value };
                return Ok(Opened {
                    parties,
                    time_ms: None,
                    entry_time_ms,
                    standby,
                    content,
                    json,
                });
            }
        }
    }
    let (sender, recipient, time_ms, own, content) = match read::<Event<'a>>(json) {
        Ok(event) => {
            let own = event.message.as_ref().is_some_and(Message::is_own);
            let hop_context = event.hop_context;
            let content = match event.message {
                Some(message) => Content::Message { message, hop_context },
                None => Content::Other,
            };
            (event.sender, event.recipient, event.timestamp.0, own, content)
        }
        Err(error) => heading(json, &error),
    };
    let parties = parties(entry_id, sender, recipient, own).ok_or_else(|| no_account(found))?;
    Ok(Opened { parties, time_ms, entry_time_ms, standby, content, json })
}

type Head<'a> = (Option<Party<'a>>, Option<Party<'a>>, Option<i64>, bool, Content<'a>);

fn heading<'a>(json: &'a RawValue, error: &serde_json::Error) -> Head<'a> {
    let content = Content::Malformed(reason_of(error));
    let Ok(heading) = read::<Heading<'a>>(json) else {
        return (None, None, None, false, content);
    };
    let party = |raw: Option<&'a RawValue>| raw.and_then(|raw| read::<Party<'a>>(raw).ok());
    let flags = heading.message.and_then(|raw| read::<Flags<'a>>(raw).ok()).unwrap_or_default();
    let is_true = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() == "true");
    let own = is_true(flags.is_echo) || is_true(flags.is_self);
    (party(heading.sender), party(heading.recipient), heading.timestamp.0, own, content)
}

/// Who is the account, who the person. `own`: the message says that the account itself sent it.
pub(super) fn parties<'a>(
    entry_id: Option<IdText<'a>>,
    sender: Option<Party<'a>>,
    recipient: Option<Party<'a>>,
    own: bool,
) -> Option<Parties<'a>> {
    let (sender, sender_by_ref) = id_of(sender);
    let (recipient, recipient_by_ref) = id_of(recipient);
    let by_account = own
        || (sender.is_some() && recipient.is_some() && sender == entry_id && sender != recipient);
    let turned = by_account && recipient == entry_id && sender != entry_id && recipient.is_some();
    let (account, person, by_user_ref) = if by_account && !turned {
        (sender, recipient, recipient_by_ref)
    } else {
        (recipient, sender, sender_by_ref)
    };
    Some(Parties { account: account.or(entry_id)?, person, by_account, by_user_ref })
}

impl Message<'_> {
    /// True if it says that the account itself sent it.
    pub(super) fn is_own(&self) -> bool {
        self.is_echo == Some(true) || self.is_self == Some(true)
    }
}

/// The id, or else the `user_ref`.
fn id_of(party: Option<Party<'_>>) -> (Option<IdText<'_>>, bool) {
    let Some(party) = party else { return (None, false) };
    match party.id.filter(|id| id.non_empty().is_some()) {
        Some(id) => (Some(id), false),
        None => (party.user_ref.filter(|user_ref| user_ref.non_empty().is_some()), true),
    }
}

/// The webhook fields whose `value` is one messaging event.
fn is_messaging_field(field: &str) -> bool {
    field.starts_with("messag") || matches!(field, "standby" | "response_feedback" | "send_cart")
}

fn no_account(found: &Found<'_>) -> ItemError {
    found.path.error("neither the recipient nor the entry says whose account it is for")
}

fn read<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(raw.get())
}
