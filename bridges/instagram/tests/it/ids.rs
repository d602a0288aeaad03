//! G2: the same event has the same id alone, batched otherwise, or raw.

use crate::support::{files, normalized};
use interline_bridge_api::Bridge;
use interline_envelope::Envelope;
use interline_instagram::Instagram;

#[test]
fn g2_the_items_of_every_fixture_make_the_envelopes_of_the_whole() {
    let Some(files) = files("instagram/webhook") else { return };
    let bridge = Instagram::new();
    for (name, body) in files {
        let whole = normalized(&bridge, &body).envelopes;
        let mut items: Vec<Envelope> = Vec::new();
        for item in bridge.split(&body).unwrap().items {
            for envelope in normalized(&bridge, &item.body).envelopes {
                assert_eq!(item.account, envelope.account, "{name}");
                items.push(envelope);
            }
        }
        assert_eq!(whole, items, "{name}");
    }
}

#[test]
fn g2_pretty_and_compact_forms_of_every_fixture_make_the_same_envelopes() {
    let Some(files) = files("instagram/webhook") else { return };
    let bridge = Instagram::new();
    for (name, body) in files {
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let compact = value.to_string().replace('/', "\\/").into_bytes();
        let plain = normalized(&bridge, &body).envelopes;
        assert_eq!(normalized(&bridge, &compact).envelopes, plain, "{name}");
    }
}

#[test]
fn g2_a_seen_event_in_another_batch_has_the_same_id() {
    let bridge = Instagram::new();
    let batch = |time: u64| {
        let body = format!(
            r#"{{"object":"instagram","entry":[{{"id":"2","time":{time},"messaging":[{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}},"read":{{"mid":"m"}}}}]}}]}}"#
        );
        normalized(&bridge, body.as_bytes()).envelopes.remove(0)
    };
    let (one, again) = (batch(1_772_998_024_412), batch(1_772_998_099_999));
    assert_eq!(one.id, again.id);
    assert_ne!(one.time, again.time, "the entry's clock stands in, and is not part of the id");
}

/// A body in an array is never read by the shortcut for single messages: both readings mean the same.
#[test]
fn g2_every_fixture_means_the_same_inside_an_array() {
    let Some(files) = files("instagram/webhook") else { return };
    let bridge = Instagram::new();
    for (name, body) in files.into_iter().filter(|(name, _)| name != "root_is_array.json") {
        let array = [b"[".as_slice(), &body, b"]"].concat();
        let plain = normalized(&bridge, &body).envelopes;
        assert_eq!(normalized(&bridge, &array).envelopes, plain, "{name}");
    }
}
