//! What became of a message that we sent. PLATFORMS.md sections 2 ("Dedup keys"), 3 and 6.
//!
//! One status is one state of one participant: groups repeat the same message id (section 9, mistake 18). A failure
//! may come long after HTTP 200 (mistake 5), and carries its error.

use crate::content::extra_value;
use crate::message::unreadable;
use crate::native::{List, NativeError, StatusItem};
use crate::people::{Ids, id_of};
use crate::walk::{Found, PLATFORM};
use interline_envelope::{
    Envelope, IdInput, IdKey, Kind, NativeKey, Platform, Status, StatusError, StatusState, Target,
    Unknown, bounded_extra,
};
use interline_graph::{IdText, Text, reason_of};
use serde_json::{Map, Value};

/// The envelope of one status.
pub(crate) fn status(ids: &IdKey, platform: &Platform, found: &Found<'_, '_>) -> Envelope {
    let item = match serde_json::from_str::<StatusItem<'_>>(found.raw.get()) {
        Ok(item) => item,
        Err(error) => return unreadable(ids, platform, found, None, &reason_of(&error)),
    };
    let message = item.id.as_ref().and_then(IdText::non_empty);
    let word = item.status.as_ref().and_then(Text::non_empty);
    let (Some(message), Some(word)) = (message, word) else {
        let reason = "a status names its message and its state; this one does not";
        return unreadable(ids, platform, found, None, reason);
    };
    let is_group = item.recipient_type.as_ref().is_some_and(|kind| kind.as_str() == "group");
    let participant = Ids::new(
        item.recipient_participant_id.as_ref(),
        item.recipient_participant_user_id.as_ref(),
    );
    let recipient = Ids::new(item.recipient_id.as_ref(), item.recipient_user_id.as_ref());
    let contacts = &found.scope.contacts;
    let from = contacts.person(if is_group { &participant } else { &recipient });
    let person = from.as_ref().map(|person| person.user.as_exposed_str()).unwrap_or_default();
    let chat =
        if is_group { id_of(item.recipient_id.as_ref()).unwrap_or_default() } else { person };
    let chat = chat.to_owned();
    let time = item.timestamp.0;
    let id = ids.envelope_id(&IdInput {
        kind: Kind::Status,
        platform: PLATFORM,
        account: found.scope.account,
        chat: &chat,
        actor: person,
        native: NativeKey::Id(message),
        time_ms: time.unwrap_or_default(),
        discriminator: &[word, person],
    });
    let time = time.or_else(|| found.scope.entry_millis()).unwrap_or_default();
    let account = found.scope.account;
    let mut envelope = Envelope::new(id, Kind::Status, platform.clone(), account, chat, time);
    envelope.from = from;
    envelope.target = Some(Target::message(message));
    envelope.status = Some(Status {
        state: state_of(word),
        error: first_error(&item.errors),
        marker: item.biz_opaque_callback_data.as_ref().map(|marker| marker.as_str().to_owned()),
        unknown: Unknown::new(),
    });
    envelope.extra = extra(&item);
    envelope
}

fn extra(item: &StatusItem<'_>) -> Map<String, Value> {
    let mut extra = Map::new();
    for (key, raw) in [("conversation", item.conversation), ("pricing", item.pricing)] {
        if let Some(value) = raw.and_then(extra_value) {
            extra.insert(key.to_owned(), value);
        }
    }
    let others = item.errors.items().iter().skip(1).filter_map(|raw| extra_value(raw));
    let others: Vec<Value> = others.collect();
    if !others.is_empty() {
        extra.insert("errors".to_owned(), others.into());
    }
    if extra.is_empty() { extra } else { bounded_extra(extra) }
}

fn state_of(word: &str) -> StatusState {
    match word {
        "sent" => StatusState::Sent,
        "delivered" => StatusState::Delivered,
        "read" => StatusState::Read,
        "played" => StatusState::Played,
        "failed" => StatusState::Failed,
        other => StatusState::Other(other.to_owned()),
    }
}

/// The first error that can be read; the platform sends one.
fn first_error(errors: &List<'_>) -> Option<StatusError> {
    errors.items().iter().find_map(|raw| {
        let error: NativeError<'_> = serde_json::from_str(raw.get()).ok()?;
        Some(StatusError {
            code: error.code.as_str().parse().ok()?,
            title: error.title().to_owned(),
            detail: error.detail().map(str::to_owned),
            unknown: Unknown::new(),
        })
    })
}
