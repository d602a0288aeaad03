//! Events about the account, and about people's ids and choices: everything that is neither message nor status.
//!
//! PLATFORMS.md section 2, "Envelope" (the list of fields), and section 3 (`user_id_update`).

use crate::content::extra_value;
use crate::message::unreadable;
use crate::people::{Ids, id_of};
use crate::walk::{Found, PLATFORM, Place};
use interline_envelope::{
    Envelope, IdInput, IdKey, Kind, NativeKey, Part, Person, Platform, Redacted, SystemChange,
    SystemEvent, Unknown, bounded_extra,
};
use interline_graph::{IdText, Millis, canonical_or_raw, reason_of};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What such an item says about whom and when, in any of its shapes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Native<'a> {
    #[serde(borrow)]
    wa_id: Option<IdText<'a>>,
    /// An id, or `{previous, current}`.
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<IdText<'a>>,
    #[serde(borrow)]
    from_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    to: Option<IdText<'a>>,
    #[serde(borrow)]
    id: Option<IdText<'a>>,
    timestamp: Millis,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    previous: Option<IdText<'a>>,
    #[serde(borrow, default)]
    current: Option<IdText<'a>>,
}

/// Fields about the account. Others are from the future, and of kind `unsupported`.
fn is_account_field(field: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "account_",
        "business_",
        "flows",
        "group_",
        "message_template_",
        "phone_number_",
        "security",
        "template_",
    ];
    PREFIXES.iter().any(|prefix| field.starts_with(prefix))
}

/// A `user_id_update`: a person's BSUID changed.
pub(crate) fn id_update(ids: &IdKey, platform: &Platform, found: &Found<'_, '_>) -> Envelope {
    let native = match serde_json::from_str::<Native<'_>>(found.raw.get()) {
        Ok(native) => native,
        Err(error) => return unreadable(ids, platform, found, None, &reason_of(&error)),
    };
    let change: Option<Change<'_>> =
        native.user_id.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let Some(change) = change.filter(|change| change.current.is_some()) else {
        let reason = "a change of ids names the new one; this one does not";
        return unreadable(ids, platform, found, None, reason);
    };
    // The person as known until now, so that the directory finds them.
    let known = Ids::new(native.wa_id.as_ref(), change.previous.as_ref());
    let mut from = found.scope.contacts.person(&known);
    if from.is_none() {
        from = id_of(change.current.as_ref()).map(Person::new);
    }
    let mut envelope = base(ids, platform, found, Kind::System, &native, from);
    envelope.system = Some(SystemEvent {
        change: SystemChange::ScopedId,
        previous: id_of(change.previous.as_ref()).map(Redacted::from),
        current: id_of(change.current.as_ref()).map(Redacted::from),
        unknown: Unknown::new(),
    });
    envelope
}

/// Everything else: the native value stands in `extra`, under the field that it came in.
pub(crate) fn account_event(ids: &IdKey, platform: &Platform, found: &Found<'_, '_>) -> Envelope {
    // Items of a shape from the future have no person and no time of their own.
    let native: Native<'_> = serde_json::from_str(found.raw.get()).unwrap_or_default();
    let person = match found.place {
        Place::UserPreferences => {
            let user_id = native.user_id.and_then(IdText::from_raw);
            found.scope.contacts.person(&Ids::new(native.wa_id.as_ref(), user_id.as_ref()))
        }
        Place::Calls => {
            let is_own = id_of(native.from.as_ref()) == Some(&found.scope.own_number());
            let ids = if is_own {
                Ids::new(native.to.as_ref(), None)
            } else {
                Ids::new(native.from.as_ref(), native.from_user_id.as_ref())
            };
            found.scope.contacts.person(&ids)
        }
        Place::Messages
        | Place::Echoes
        | Place::HistoryThread { .. }
        | Place::HistoryErrors
        | Place::Statuses
        | Place::Errors
        | Place::UserIdUpdates
        | Place::StateSync
        | Place::WholeValue => None,
    };
    let field = found.scope.field;
    let is_known = found.place != Place::WholeValue || is_account_field(field);
    let kind = if is_known { Kind::Account } else { Kind::Unsupported };
    let mut envelope = base(ids, platform, found, kind, &native, person);
    if !is_known {
        envelope.parts = vec![Part::unsupported(field, "this webhook field is not known")];
    }
    let mut extra = Map::new();
    extra.insert("field".to_owned(), Value::from(field));
    if let Some(waba) = found.scope.waba {
        extra.insert("business_account".to_owned(), Value::from(waba));
    }
    if let Some(value) = extra_value(found.raw) {
        extra.insert("value".to_owned(), value);
    }
    envelope.extra = bounded_extra(extra);
    envelope
}

fn base(
    ids: &IdKey,
    platform: &Platform,
    found: &Found<'_, '_>,
    kind: Kind,
    native: &Native<'_>,
    from: Option<Person>,
) -> Envelope {
    let scope = found.scope;
    let time = native.timestamp.0.or_else(|| scope.entry_millis()).unwrap_or_default();
    let chat = from.as_ref().map(|person| person.user.as_exposed_str()).unwrap_or_default();
    let canonical = canonical_or_raw(found.raw);
    // The item's bytes name it: calls repeat their id for each of their events.
    let id = ids.envelope_id(&IdInput {
        kind,
        platform: PLATFORM,
        account: scope.account,
        chat,
        actor: chat,
        native: NativeKey::CanonicalItem(&canonical),
        time_ms: time,
        discriminator: &[scope.field],
    });
    let chat = chat.to_owned();
    let mut envelope = Envelope::new(id, kind, platform.clone(), scope.account, chat, time);
    envelope.from = from;
    envelope.native_id = native.id.as_ref().and_then(IdText::non_empty).map(Redacted::from);
    envelope
}
