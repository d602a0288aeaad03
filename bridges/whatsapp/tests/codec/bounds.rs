//! Bodies of every size and shape: promises G9 and G10. PLATFORMS.md section 2, "Batching".

use crate::support::{ACCOUNT, body, messages, normalize};
use interline_bridge_api::{BodyError, Bridge};
use interline_envelope::{ENVELOPE_BYTES_MAX, ITEMS_MAX, IdKey, Kind};
use interline_whatsapp::WhatsApp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn refusal(bytes: &[u8]) -> BodyError {
    let bridge = WhatsApp::new();
    let error = bridge.normalize(&IdKey::published_test_key(), bytes).unwrap_err();
    let split = bridge.split(bytes).unwrap_err();
    assert_eq!(split.to_string(), error.to_string());
    assert!(error.to_string().len() < 300, "{error}");
    error
}

#[test]
fn g9_a_body_of_3_mb_with_1000_updates_is_read_whole() {
    let text = "ä".repeat(1450);
    let batch: Vec<Value> = (0..1000)
        .map(|n| {
            json!({"from": format!("1555{:07}", n % 70), "id": format!("wamid.{n}"), "timestamp": "1750000000",
                "type": "text", "text": {"body": text}})
        })
        .collect();
    let bytes = messages(json!(batch));
    assert!(bytes.len() > 2_900_000, "{}", bytes.len());
    let normalized = normalize(&bytes);
    assert_eq!((normalized.envelopes.len(), normalized.unreadable.len()), (1000, 0));
    let split = WhatsApp::new().split(&bytes).unwrap();
    assert_eq!(split.items.len(), 1000);
    assert!(split.items.iter().all(|item| item.account == ACCOUNT && item.body.len() < 4000));
}

#[test]
fn g9_a_body_of_64_mb_is_refused_at_once_and_clearly() {
    let bytes = vec![b'['; 64 * 1024 * 1024];
    let begin = Instant::now();
    assert!(matches!(refusal(&bytes), BodyError::TooLarge { .. }));
    // Nothing is read of it: the bound is far above what a length check takes.
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn g9_more_items_than_one_body_may_hold_are_refused() {
    let item = json!({"from": "1", "id": "w", "type": "text", "text": {"body": "x"}});
    let bytes = messages(json!(vec![item; ITEMS_MAX + 1]));
    assert!(matches!(refusal(&bytes), BodyError::TooManyItems));
}

#[test]
fn g10_garbage_gets_a_clear_error() {
    assert!(matches!(refusal(b""), BodyError::Json(_)));
    assert!(matches!(refusal(b"\xff\xfe\x00"), BodyError::Json(_)));
    assert!(matches!(refusal(b"{\"object\":\"whatsapp_busi"), BodyError::Json(_)));
    for foreign in ["[]", "{}", "\"secret words\"", "17", r#"{"object":"page","entry":[]}"#] {
        let error = refusal(foreign.as_bytes());
        assert!(matches!(error, BodyError::Foreign { .. }), "{foreign}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(refusal(deep.as_bytes()), BodyError::Json(_)));
}

#[test]
fn g10_deep_nesting_inside_an_item_is_bounded() {
    let nested = |levels: usize| {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let bytes =
            messages(json!([{"from": "1", "id": "w", "type": "hologram", "hologram": "DEEP"}]));
        String::from_utf8(bytes).unwrap().replace("\"DEEP\"", &deep)
    };
    assert_eq!(normalize(nested(100).as_bytes()).envelopes.len(), 1);
    assert!(matches!(refusal(nested(5000).as_bytes()), BodyError::Json(_)));
}

#[test]
fn g9_extras_and_envelopes_stay_bounded_whatever_the_platform_sends() {
    let fields: serde_json::Map<String, Value> =
        (0..2000).map(|n| (format!("key{n}"), json!("x".repeat(200)))).collect();
    let bytes = body("account_update", json!(fields));
    let envelope = normalize(&bytes).envelopes.remove(0);
    assert_eq!(envelope.kind, Kind::Account);
    assert!(envelope.to_json().unwrap().len() < ENVELOPE_BYTES_MAX);
    let referral = json!([{"from": "1", "id": "w", "type": "text", "text": {"body": "x"}, "referral": fields}]);
    assert!(
        normalize(&messages(referral)).envelopes[0].to_json().unwrap().len() < ENVELOPE_BYTES_MAX
    );
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Keys that the codec knows, so that mutations reach deep.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "object",
        "entry",
        "changes",
        "value",
        "field",
        "metadata",
        "phone_number_id",
        "messages",
        "statuses",
        "contacts",
        "errors",
        "history",
        "threads",
        "id",
        "from",
        "from_user_id",
        "type",
        "text",
        "body",
        "image",
        "context",
        "timestamp",
        "time",
        "system",
        "user_id",
        "wa_id",
        "reaction",
        "interactive",
        "location",
        "edit",
        "message",
        "original_message_id",
        "recipient_id",
        "status",
        "code",
        "name",
        "phones",
    ])
    .prop_map(str::to_owned)
}

/// One whole of everything, to be mutated.
fn template() -> Value {
    let m = |kind: &str, content: Value| {
        let mut item = json!({"from": "1", "id": "w", "timestamp": "1750000000", "type": kind, "context": {"id": "q"}});
        item[kind] = content;
        item
    };
    json!({"object": "whatsapp_business_account", "entry": [{"id": "7", "time": 5, "changes": [
        {"field": "messages", "value": {
            "metadata": {"display_phone_number": "15550009999", "phone_number_id": "8"},
            "contacts": [{"wa_id": "1", "user_id": "US.1", "profile": {"name": "n"}}],
            "messages": [
                m("text", json!({"body": "x"})), m("image", json!({"id": "1", "sha256": "4654+8g="})),
                m("location", json!({"latitude": 1, "longitude": "2"})), m("contacts", json!([{"name": {"formatted_name": "x"}, "phones": [{"phone": "1"}]}])),
                m("interactive", json!({"type": "nfm_reply", "nfm_reply": {"response_json": "{}"}})),
                m("reaction", json!({"message_id": "m", "emoji": "x"})), m("system", json!({"type": "user_changed_number", "wa_id": "2"})),
                m("edit", json!({"original_message_id": "m", "message": {"type": "text", "text": {"body": "y"}}})),
                m("revoke", json!({"original_message_id": "m"})), m("order", json!({"product_items": [{"quantity": 1}]})),
            ],
            "statuses": [{"id": "s", "status": "failed", "recipient_id": "1", "errors": [{"code": 1, "title": "t"}]}],
            "errors": [{"code": 1}],
        }},
        {"field": "history", "value": {"metadata": {"phone_number_id": "8"}, "history": [{"threads": [{"id": "1", "messages": [m("text", json!({"body": "x"}))]}]}]}},
        {"field": "user_id_update", "value": {"metadata": {"phone_number_id": "8"}, "user_id_update": [{"wa_id": "1", "user_id": {"previous": "US.1", "current": "US.2"}}]}},
        {"field": "account_update", "value": {"event": "x"}},
    ]}]})
}

/// Replaces the node that `path` leads to (each step modulo the number of children).
fn mutate(value: &mut Value, path: &[usize], with: Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = with;
        return;
    };
    let child = match value {
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            items.get_mut(index)
        }
        Value::Object(fields) if !fields.is_empty() => {
            let index = step % fields.len();
            fields.values_mut().nth(index)
        }
        _ => None,
    };
    match child {
        Some(child) => mutate(child, rest, with),
        None => *value = with,
    }
}

/// Whatever it is, it is read or refused, and the items of `split` say what the whole says.
fn check_never_panics(bytes: &[u8]) {
    let bridge = WhatsApp::new();
    let ids = IdKey::published_test_key();
    let (whole, split) = (bridge.normalize(&ids, bytes), bridge.split(bytes));
    let (Ok(whole), Ok(split)) = (whole, split) else { return };
    let mut envelopes = Vec::new();
    for item in &split.items {
        for envelope in bridge.normalize(&ids, &item.body).unwrap().envelopes {
            if envelopes.iter().all(|id| *id != envelope.id) {
                envelopes.push(envelope.id);
            }
        }
    }
    let expected: Vec<_> = whole.envelopes.iter().map(|envelope| envelope.id).collect();
    assert_eq!(envelopes, expected, "{}", String::from_utf8_lossy(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn g10_mutated_webhooks_never_panic_and_split_like_the_whole(
        path in prop::collection::vec(0_usize..12, 1..9),
        with in arbitrary_json(),
    ) {
        let mut body = template();
        mutate(&mut body, &path, with);
        check_never_panics(body.to_string().as_bytes());
    }

    #[test]
    fn g10_cut_and_flipped_bytes_never_panic(cut in 0_usize..3000, at in 0_usize..3000, byte in any::<u8>()) {
        let mut bytes = template().to_string().into_bytes();
        if let Some(target) = bytes.get_mut(at) {
            *target = byte;
        }
        let keep = bytes.len().saturating_sub(cut % 40);
        bytes.truncate(if byte % 2 == 0 { keep } else { bytes.len() });
        check_never_panics(&bytes);
    }

    #[test]
    fn g10_arbitrary_json_never_panics(value in arbitrary_json()) {
        check_never_panics(value.to_string().as_bytes());
    }
}
