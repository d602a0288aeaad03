//! From a body to one minimal native body per item: the item's own bytes, its account, its field, and the contacts
//! that it names. PLATFORMS.md section 2, "Batching": up to 1,000 updates of many chats come in one POST.

use crate::people::Ids;
use crate::walk::{Found, OBJECT, Place, walk};
use interline_bridge_api::{BodyError, Item, Split};
use interline_graph::IdText;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) fn split(body: &[u8]) -> Result<Split, BodyError> {
    let mut items = Vec::new();
    let unreadable = walk(body, &mut |found| {
        items.push(Item { account: found.scope.account.to_owned(), body: minimal_body(found) });
    })?;
    Ok(Split { items, unreadable })
}

fn minimal_body(found: &Found<'_, '_>) -> Vec<u8> {
    let scope = found.scope;
    let mut json = String::with_capacity(found.raw.get().len() + 512);
    json.push_str("{\"object\":");
    push_text(&mut json, OBJECT);
    json.push_str(",\"entry\":[{");
    if let Some(waba) = scope.waba {
        json.push_str("\"id\":");
        push_text(&mut json, waba);
        json.push(',');
    }
    if let Some(time) = scope.entry_time {
        json.push_str("\"time\":");
        json.push_str(time.get());
        json.push(',');
    }
    json.push_str("\"changes\":[{\"field\":");
    push_text(&mut json, scope.field);
    json.push_str(",\"value\":");
    if found.place == Place::WholeValue {
        json.push_str(found.raw.get());
    } else {
        push_value(&mut json, found);
    }
    json.push_str("}]}]}");
    json.into_bytes()
}

fn push_value(json: &mut String, found: &Found<'_, '_>) {
    json.push_str("{\"messaging_product\":\"whatsapp\",");
    if let Some(metadata) = found.scope.metadata {
        json.push_str("\"metadata\":");
        json.push_str(metadata.get());
        json.push(',');
    }
    let contacts = contacts_of(found);
    if !contacts.is_empty() {
        json.push_str("\"contacts\":[");
        for (index, contact) in contacts.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(contact.get());
        }
        json.push_str("],");
    }
    push_text(json, found.place.key());
    json.push_str(":[");
    let chunk = |json: &mut String| {
        json.push('{');
        if let Some(metadata) = found.chunk {
            json.push_str("\"metadata\":");
            json.push_str(metadata.get());
            json.push(',');
        }
    };
    match found.place {
        Place::HistoryThread { thread } => {
            chunk(json);
            json.push_str("\"threads\":[{\"id\":");
            push_text(json, thread);
            json.push_str(",\"messages\":[");
            json.push_str(found.raw.get());
            json.push_str("]}]}");
        }
        Place::HistoryErrors => {
            chunk(json);
            json.push_str("\"errors\":[");
            json.push_str(found.raw.get());
            json.push_str("]}");
        }
        Place::Messages
        | Place::Echoes
        | Place::Statuses
        | Place::Errors
        | Place::UserIdUpdates
        | Place::UserPreferences
        | Place::Calls
        | Place::StateSync
        | Place::WholeValue => json.push_str(found.raw.get()),
    }
    json.push_str("]}");
}

fn push_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// Every id under which an item may name a person.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Naming<'a> {
    #[serde(borrow)]
    from: Option<IdText<'a>>,
    #[serde(borrow)]
    from_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    to: Option<IdText<'a>>,
    #[serde(borrow)]
    to_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    recipient_id: Option<IdText<'a>>,
    #[serde(borrow)]
    recipient_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    recipient_participant_id: Option<IdText<'a>>,
    #[serde(borrow)]
    recipient_participant_user_id: Option<IdText<'a>>,
    #[serde(borrow)]
    wa_id: Option<IdText<'a>>,
    /// An id, or `{previous, current}`.
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Previous<'a> {
    #[serde(borrow)]
    previous: IdText<'a>,
}

/// The contacts that `normalize` will look up for this item.
fn contacts_of<'s>(found: &Found<'_, 's>) -> Vec<&'s RawValue> {
    let Ok(naming) = serde_json::from_str::<Naming<'_>>(found.raw.get()) else {
        return Vec::new();
    };
    let user_id = naming.user_id.and_then(|raw| {
        IdText::from_raw(raw).or_else(|| {
            serde_json::from_str::<Previous<'_>>(raw.get()).ok().map(|ids| ids.previous)
        })
    });
    let thread = found.place.thread().map(IdText::new);
    let pairs = [
        (naming.from.as_ref(), naming.from_user_id.as_ref()),
        (naming.to.as_ref(), naming.to_user_id.as_ref()),
        (naming.recipient_id.as_ref(), naming.recipient_user_id.as_ref()),
        (naming.recipient_participant_id.as_ref(), naming.recipient_participant_user_id.as_ref()),
        (naming.wa_id.as_ref(), user_id.as_ref()),
        (thread.as_ref(), None),
    ];
    let mut contacts: Vec<&'s RawValue> = Vec::new();
    for (phone, scoped) in pairs {
        let contact = found.scope.contacts.raw_of(&Ids::new(phone, scoped));
        if let Some(raw) = contact
            && !contacts.iter().any(|known| std::ptr::eq(*known, raw))
        {
            contacts.push(raw);
        }
    }
    contacts
}
