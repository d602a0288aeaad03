//! The bodies of webhooks: one or many updates of one account in the platform's envelope.
//!
//! Pure. WhatsApp: neighbours of one sort share a `value`, with their contacts; a change of sort begins a new `change`,
//! so that the order of updates can be read from the body. Source: platform facts, section 2.

use serde_json::{Map, Value, json};

use crate::config::{AccountConfig, InstagramForm, Kind};
use crate::outbox::Update;

/// One POST body. `now_ms` becomes `entry[].time` where the platform has it.
pub(crate) fn body_of(
    kind: Kind,
    form: InstagramForm,
    account: &AccountConfig,
    updates: &[Update],
    now_ms: u64,
) -> Value {
    match kind {
        Kind::WhatsApp => whatsapp_body(account, updates),
        Kind::Messenger => messaging_body("page", account, updates, now_ms),
        Kind::Instagram => match form {
            InstagramForm::Messaging => messaging_body("instagram", account, updates, now_ms),
            InstagramForm::Changes => changes_body(account, updates, now_ms),
            InstagramForm::RootArray => {
                json!([messaging_body("instagram", account, updates, now_ms)])
            }
        },
    }
}

fn whatsapp_body(account: &AccountConfig, updates: &[Update]) -> Value {
    let mut changes: Vec<Map<String, Value>> = Vec::new();
    for update in updates {
        let (list, contact, item) = match update {
            Update::Message { contact, message } => ("messages", Some(contact), message),
            Update::Status { contact, status } => ("statuses", contact.as_ref(), status),
            Update::Event(_) => continue,
        };
        if changes.last().is_none_or(|value| !value.contains_key(list)) {
            let mut value = Map::new();
            value.insert("messaging_product".into(), json!("whatsapp"));
            let metadata = json!({
                "display_phone_number": account.display_phone_number,
                "phone_number_id": account.id,
            });
            value.insert("metadata".into(), metadata);
            value.insert(list.into(), json!([]));
            changes.push(value);
        }
        let Some(value) = changes.last_mut() else { continue };
        append(value, list, item.clone());
        if let Some(contact) = contact {
            append(value, "contacts", contact.clone());
        }
    }
    let changes: Vec<Value> =
        changes.into_iter().map(|value| json!({"field": "messages", "value": value})).collect();
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": account.waba_id, "changes": changes}],
    })
}

/// Appends to a list, but not the same contact twice.
fn append(value: &mut Map<String, Value>, list: &str, item: Value) {
    let entry = value.entry(list.to_owned()).or_insert_with(|| json!([]));
    if let Some(items) = entry.as_array_mut()
        && (list != "contacts" || !items.contains(&item))
    {
        items.push(item);
    }
}

fn messaging_body(object: &str, account: &AccountConfig, updates: &[Update], now_ms: u64) -> Value {
    let events: Vec<&Value> = updates.iter().filter_map(event_of).collect();
    json!({
        "object": object,
        "entry": [{"id": account.id, "time": now_ms, "messaging": events}],
    })
}

/// Instagram's other form: seconds, the event's as a string.
fn changes_body(account: &AccountConfig, updates: &[Update], now_ms: u64) -> Value {
    let changes: Vec<Value> = updates
        .iter()
        .filter_map(event_of)
        .map(|event| {
            let mut event = event.clone();
            let seconds = event.get("timestamp").and_then(Value::as_u64).map(|ms| ms / 1_000);
            if let (Some(fields), Some(seconds)) = (event.as_object_mut(), seconds) {
                fields.insert("timestamp".into(), json!(seconds.to_string()));
            }
            json!({"field": "messages", "value": event})
        })
        .collect();
    json!({
        "object": "instagram",
        "entry": [{"id": account.id, "time": now_ms / 1_000, "changes": changes}],
    })
}

fn event_of(update: &Update) -> Option<&Value> {
    match update {
        Update::Event(event) => Some(event),
        Update::Message { .. } | Update::Status { .. } => None,
    }
}
