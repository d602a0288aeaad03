//! Webhooks of the three platforms, one for every kind of event that people cause.

use interline::bridges;
use interline_envelope::IdKey;
use serde_json::{Value, json};

fn whatsapp(value: Value) -> Value {
    let mut value = value;
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] =
        json!({"display_phone_number": "15550009999", "phone_number_id": "106540352242922"});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]})
}

fn said(message: Value) -> Value {
    let mut message = message;
    message["from"] = json!("15550001111");
    message["id"] = json!("wamid.A");
    message["timestamp"] = json!("1749416383");
    whatsapp(json!({
        "contacts": [{"profile": {"name": "Alice"}, "wa_id": "15550001111"}], "messages": [message],
    }))
}

fn meta(object: &str, account: &str, event: Value) -> Value {
    let mut event = event;
    event["sender"] = json!({"id": "1700000000000001"});
    event["recipient"] = json!({"id": account});
    event["timestamp"] = json!(1_749_416_383_000_i64);
    json!({"object": object, "entry": [{"id": account, "time": 1_749_416_383_001_i64, "messaging": [event]}]})
}

type Sample = (&'static str, Value);

/// WhatsApp's webhooks, and the kinds of envelope that they become.
fn whatsapp_bodies() -> Vec<Sample> {
    let status = |status: &str, errors: Value| {
        let status = json!({"id": "wamid.B", "status": status, "timestamp": "1749416383",
            "recipient_id": "15550001111", "biz_opaque_callback_data": "x", "errors": errors});
        whatsapp(json!({"statuses": [status]}))
    };
    let image = json!({"id": "9", "mime_type": "image/jpeg", "caption": "c",
        "sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="});
    let place = json!({"latitude": 37.5, "longitude": -122});
    let cards = json!([{"name": {"formatted_name": "Bob"}, "phones": [{"phone": "+1"}]}]);
    let row =
        json!({"type": "list_reply", "list_reply": {"id": "a", "title": "A", "description": "d"}});
    let item =
        json!({"product_retailer_id": "p", "quantity": 2, "item_price": 1.5, "currency": "EUR"});
    let order = json!({"catalog_id": "7", "text": "t", "product_items": [item]});
    let reaction = json!({"message_id": "wamid.B", "emoji": "👍"});
    let failed = json!([{"code": 131026, "title": "t", "error_data": {"details": "d"}}]);
    vec![
        ("message", said(json!({"type": "text", "text": {"body": "hi"}}))),
        ("message", said(json!({"type": "image", "image": image}))),
        ("message", said(json!({"type": "location", "location": place}))),
        ("message", said(json!({"type": "contacts", "contacts": cards}))),
        ("message", said(json!({"type": "interactive", "interactive": row}))),
        ("message", said(json!({"type": "order", "order": order}))),
        (
            "message",
            said(json!({"type": "unsupported", "errors": [{"code": 131051, "title": "t"}]})),
        ),
        ("reaction", said(json!({"type": "reaction", "reaction": reaction}))),
        ("status", status("delivered", json!([]))),
        ("status", status("failed", failed)),
    ]
}

fn messenger_bodies() -> Vec<Sample> {
    let image = json!({"type": "image", "payload": {"url": "https://h.example/i.jpg"}});
    let reply = json!({"mid": "m", "text": "hi", "reply_to": {"mid": "n"}});
    let postback = json!({"mid": "m", "title": "Go", "payload": "GO"});
    let reaction = json!({"mid": "m", "action": "react", "emoji": "❤"});
    let samples = [
        ("message", json!({"message": reply})),
        ("message", json!({"message": {"mid": "m", "attachments": [image]}})),
        ("message", json!({"postback": postback})),
        ("reaction", json!({"reaction": reaction})),
        ("status", json!({"read": {"watermark": 1_749_416_383_000_i64}})),
    ];
    samples.into_iter().map(|(kind, event)| (kind, meta("page", "2001", event))).collect()
}

fn instagram_bodies() -> Vec<Sample> {
    let image = json!({"type": "image", "payload": {"url": "https://h.example/i.jpg"}});
    let story = json!({"id": "17900000000000001", "url": "https://h.example/s"});
    let samples = [
        ("message", json!({"message": {"mid": "m", "text": "hi", "reply_to": {"story": story}}})),
        ("message", json!({"message": {"mid": "m", "attachments": [image]}})),
        ("edit", json!({"message_edit": {"mid": "m", "text": "t", "num_edit": 1}})),
        ("delete", json!({"message": {"mid": "m", "is_deleted": true}})),
        ("status", json!({"read": {"mid": "m"}})),
    ];
    let body = |event| meta("instagram", "17841400000000001", event);
    samples.into_iter().map(|(kind, event)| (kind, body(event))).collect()
}

/// A body for every kind of event that people cause: bridge, kind of envelope, webhook.
pub(super) fn bodies() -> Vec<(&'static str, &'static str, Value)> {
    let of = |platform, samples: Vec<Sample>| {
        samples.into_iter().map(move |(kind, body)| (platform, kind, body))
    };
    of("whatsapp", whatsapp_bodies())
        .chain(of("messenger", messenger_bodies()))
        .chain(of("instagram", instagram_bodies()))
        .collect()
}

/// What the bridge makes of a body, as it is written.
pub(super) fn envelopes(platform: &str, body: &Value) -> Vec<Value> {
    let bridge = bridges::find(platform).unwrap();
    let made = bridge.normalize(&IdKey::published_test_key(), body.to_string().as_bytes()).unwrap();
    assert!(made.unreadable.is_empty(), "{platform}: {body}");
    let read = |envelope: &interline_envelope::Envelope| {
        serde_json::from_slice(&envelope.to_json().unwrap()).unwrap()
    };
    made.envelopes.iter().map(read).collect()
}
