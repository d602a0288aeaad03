//! G9 and G10: large, deep, foreign and broken bodies get a bounded and clear answer, and never a panic.

use crate::support::normalized;
use interline_bridge_api::{BodyError, Bridge};
use interline_envelope::{EXTRA_BYTES_MAX, ITEMS_MAX, IdKey, PARTS_MAX};
use interline_messenger::Messenger;
use proptest::prelude::*;
use std::fmt::Write;

fn refused(body: &[u8]) -> BodyError {
    let bridge = Messenger::new();
    let error = bridge.normalize(&IdKey::published_test_key(), body).unwrap_err();
    assert_eq!(bridge.split(body).unwrap_err().to_string(), error.to_string());
    error
}

fn event(mid: usize, text: &str) -> String {
    format!(
        r#"{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}},"timestamp":1,"message":{{"mid":"m_{mid}","text":"{text}"}}}}"#
    )
}

fn batch(count: usize, text: &str) -> String {
    let mut events = String::new();
    for mid in 0..count {
        write!(events, "{}{}", if mid > 0 { "," } else { "" }, event(mid, text)).unwrap();
    }
    format!(r#"{{"object":"page","entry":[{{"id":"2","messaging":[{events}]}}]}}"#)
}

#[test]
fn a_body_of_3_mb_with_1000_updates_is_read_and_split() {
    let body = batch(1000, &"x".repeat(2950));
    assert!(body.len() > 3_000_000);
    let bridge = Messenger::new();
    let normalized = normalized(&bridge, body.as_bytes());
    assert_eq!((normalized.envelopes.len(), normalized.unreadable.len()), (1000, 0));
    assert_eq!(bridge.split(body.as_bytes()).unwrap().items.len(), 1000);
}

#[test]
fn g9_more_items_than_the_bound_are_refused() {
    assert!(matches!(refused(batch(ITEMS_MAX + 1, "x").as_bytes()), BodyError::TooManyItems));
}

#[test]
fn g9_a_body_of_64_mb_is_refused_by_its_length_alone() {
    let body = vec![b'['; 64 * 1024 * 1024];
    assert!(matches!(refused(&body), BodyError::TooLarge { bytes: 67_108_864 }));
}

#[test]
fn g10_garbage_and_foreign_bodies_say_what_is_wrong() {
    for (body, words) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\u{0}\u{1}", "not JSON"),
        ("<html>", "not JSON"),
        ("{} trailing", "not JSON"),
        ("5", "no Messenger webhook"),
        ("null", "no Messenger webhook"),
        ("{}", "`object` is missing"),
        ("[]", "its array is empty"),
        ("[{}]", "`object` is missing"),
        (r#"{"object":"page"}"#, "`entry` is missing"),
        (r#"{"object":"page","entry":5}"#, "`entry` is not an array"),
        (r#"{"object":"instagram","entry":[]}"#, "`object` is not `page`"),
        (r#"{"object":"whatsapp_business_account","entry":[]}"#, "`object` is not `page`"),
    ] {
        let error = refused(body.as_bytes()).to_string();
        assert!(error.contains(words), "{body}: {error}");
    }
    assert!(refused(b"{\"object\":\"p\xff\"}").to_string().contains("UTF-8"));
}

#[test]
fn g10_deep_nesting_is_refused_and_does_not_overflow() {
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(refused(deep(1_000_000).as_bytes()).to_string().contains("nests deeper"));
    let inner = format!(
        r#"{{"object":"page","entry":[{{"id":"2","messaging":[{{"x":{}}}]}}]}}"#,
        deep(500)
    );
    assert!(refused(inner.as_bytes()).to_string().contains("nests deeper"));
    let bearable = format!(
        r#"{{"object":"page","entry":[{{"id":"2","messaging":[{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}},"news":{}}}]}}]}}"#,
        deep(100)
    );
    assert_eq!(normalized(&Messenger::new(), bearable.as_bytes()).envelopes.len(), 1);
}

#[test]
fn g9_parts_and_extra_are_bounded() {
    let bridge = Messenger::new();
    let image = r#"{"type":"image","payload":{"url":"https://h/a.png"}}"#;
    let many = vec![image; 500].join(",");
    let body =
        batch(1, "x").replace(r#""text":"x""#, &format!(r#""text":"x","attachments":[{many}]"#));
    let message = normalized(&bridge, body.as_bytes()).envelopes.remove(0);
    assert_eq!(message.parts.len(), PARTS_MAX);
    assert!(message.check().is_ok());
    let wordy = format!(r#""is_echo":true,"metadata":"{}","text":"x""#, "y".repeat(20_000));
    let body = batch(1, "x").replace(r#""text":"x""#, &wordy);
    let message = normalized(&bridge, body.as_bytes()).envelopes.remove(0);
    let extra = serde_json::to_string(&message.extra).unwrap();
    assert!(extra.len() <= EXTRA_BYTES_MAX && extra.contains("truncated"), "{}", extra.len());
}

/// Bodies of every shape that the goldens use, to be broken.
const SEEDS: [&str; 6] = [
    r#"{"object":"page","entry":[{"id":"2","time":1,"messaging":[{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":"1","message":{"mid":"m","text":"\u00e4 x","attachments":[{"type":"file","payload":{"url":"https://h/a%20b.pdf"}},{"type":"template","payload":{"elements":[{"title":"t"}]}}],"reply_to":{"story":{"id":1}}}}]}]}"#,
    r#"{"object":"page","entry":[{"id":"2","messaging":[{"sender":{"id":"1"},"recipient":{"id":"2"},"delivery":{"mids":["m"],"watermark":"5"}},{"sender":{"id":"2"},"recipient":{"id":"1"},"message":{"mid":"m","is_echo":true,"app_id":5}}]}]}"#,
    r#"[{"object":"page","entry":[{"id":"2","standby":[{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":"2021-09-08T06:34:04+0000","postback":{"title":"t","payload":"p","referral":{"ref":"r"}}}]}]}]"#,
    r#"{"object":"page","entry":[{"id":"2","time":5,"changes":[{"field":"feed","value":{"item":"comment"}},{"field":"messages","value":{"sender":{"id":"1"},"recipient":{"id":"2"},"message_edit":{"mid":"m","num_edit":"0"}}}]}]}"#,
    r#"{"object":"page","entry":[{"id":"2","messaging":[{"sender":{"id":"1"},"recipient":{"id":"2"},"reaction":{"mid":"m","action":"react","emoji":"❤"}},{"sender":{"user_ref":"u"},"recipient":{"id":"2"},"order":{"products":[{"id":1,"quantity":2}]}}]}]}"#,
    r#"{"object":"page","entry":[{"id":"2","field":"comments","value":{"text":"nice"}},{"id":"2","messaging":[{"recipient":{"id":"2"},"app_roles":{"1":["x"]}}]}]}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn g10_a_broken_body_never_panics_and_its_items_stay_the_whole(
        seed in 0..SEEDS.len(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = SEEDS[seed].as_bytes().to_vec();
        for (at, byte, how) in cuts {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                // Characters of JSON's own break its shape rather than its strings.
                _ => bytes[at] = b"{}[],:\"0nt"[usize::from(byte) % 10],
            }
            if bytes.is_empty() { bytes.push(b' '); }
        }
        let (bridge, key) = (Messenger::new(), IdKey::published_test_key());
        let Ok(whole) = bridge.normalize(&key, &bytes) else {
            prop_assert!(bridge.split(&bytes).is_err());
            return Ok(());
        };
        let mut ids = Vec::new();
        for item in bridge.split(&bytes).unwrap().items {
            if let Ok(one) = bridge.normalize(&key, &item.body) {
                for envelope in one.envelopes {
                    prop_assert!(envelope.to_json().is_ok());
                    if !ids.contains(&envelope.id) { ids.push(envelope.id); }
                }
            }
        }
        prop_assert_eq!(ids, whole.envelopes.iter().map(|e| e.id).collect::<Vec<_>>());
    }

    #[test]
    fn g10_arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bridge = Messenger::new();
        let normalized = bridge.normalize(&IdKey::published_test_key(), &bytes);
        prop_assert_eq!(normalized.is_ok(), bridge.split(&bytes).is_ok());
    }
}
