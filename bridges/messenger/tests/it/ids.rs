//! G2: the same event has the same id alone, batched otherwise, or raw.

use crate::support::{self, normalized};
use interline_bridge_api::Bridge;
use interline_envelope::{Envelope, EnvelopeId};
use interline_messenger::Messenger;

/// The envelopes of a body, and those of its items one by one, without repetitions.
fn whole_and_items(bridge: &dyn Bridge, body: &[u8]) -> (Vec<Envelope>, Vec<Envelope>) {
    let whole = normalized(bridge, body).envelopes;
    let mut items: Vec<Envelope> = Vec::new();
    for item in bridge.split(body).unwrap().items {
        for envelope in normalized(bridge, &item.body).envelopes {
            assert_eq!(item.account, envelope.account, "the item is for the envelope's account");
            if items.iter().all(|known| known.id != envelope.id) {
                items.push(envelope);
            }
        }
    }
    (whole, items)
}

#[test]
fn g2_the_items_of_every_fixture_make_the_envelopes_of_the_whole() {
    let Some(files) = support::files("messenger/webhook") else { return };
    let bridge = Messenger::new();
    for (name, body) in files {
        let (whole, items) = whole_and_items(&bridge, &body);
        assert_eq!(whole, items, "{name}");
    }
}

/// As Meta sends it: one line, non-ASCII as `\uXXXX`, `/` as `\/`.
fn escaped(body: &[u8]) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '/' => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.into_bytes()
}

#[test]
fn g2_the_raw_escaped_form_of_every_fixture_makes_the_same_envelopes() {
    let Some(files) = support::files("messenger/webhook") else { return };
    let bridge = Messenger::new();
    for (name, body) in files {
        let plain = normalized(&bridge, &body).envelopes;
        assert_eq!(normalized(&bridge, &escaped(&body)).envelopes, plain, "{name}");
    }
}

fn ids(body: &str) -> Vec<EnvelopeId> {
    normalized(&Messenger::new(), body.as_bytes()).envelopes.iter().map(|e| e.id).collect()
}

/// PLATFORMS.md section 2: a delivery may have no timestamp of its own, and the entry's belongs to the batch.
#[test]
fn g2_a_redelivery_in_another_batch_has_the_same_ids() {
    let message = r#"{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":1772998024000,"message":{"mid":"m_1","text":"x"}}"#;
    let receipt = r#"{"sender":{"id":"1"},"recipient":{"id":"2"},"delivery":{"mids":["m_0"]}}"#;
    let batch = |time: u64, events: &str| {
        format!(
            r#"{{"object":"page","entry":[{{"id":"2","time":{time},"messaging":[{events}]}}]}}"#
        )
    };
    let together = ids(&batch(1_772_998_024_412, &format!("{message},{receipt}")));
    let again = ids(&batch(1_772_998_099_999, &format!("{receipt},{message},{receipt}")));
    assert_eq!(together.len(), 2);
    assert_eq!(again, [together[1], together[0]]);
    assert_eq!(ids(&batch(5, message)), [together[0]]);
    assert_eq!(ids(&format!("[{}]", batch(5, receipt))), [together[1]]);
    let seconds = message.replace("1772998024000", "\"1772998024\"");
    let change = format!(
        r#"{{"object":"page","entry":[{{"id":"2","changes":[{{"field":"messages","value":{seconds}}}]}}]}}"#
    );
    assert_eq!(ids(&change), [together[0]], "the dashboard's form of the same event");
}

#[test]
fn g2_a_reaction_that_was_set_changed_and_set_again_is_three_events() {
    let react = |time: u64, emoji: &str| {
        format!(
            r#"{{"object":"page","entry":[{{"id":"2","messaging":[{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}},"timestamp":{time},"reaction":{{"mid":"m","action":"react","emoji":"{emoji}"}}}}]}}]}}"#
        )
    };
    let all = [
        ids(&react(1_700_000_000_001, "👍")),
        ids(&react(1_700_000_000_002, "❤️")),
        ids(&react(1_700_000_000_003, "👍")),
    ];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    assert_eq!(all[0], ids(&react(1_700_000_000_001, "👍")));
}

/// A body in an array is never read by the shortcut for single messages: both readings mean the same.
#[test]
fn g2_every_fixture_means_the_same_inside_an_array() {
    let Some(files) = support::files("messenger/webhook") else { return };
    let bridge = Messenger::new();
    for (name, body) in files {
        let array = [b"[".as_slice(), &body, b"]"].concat();
        let plain = normalized(&bridge, &body).envelopes;
        assert_eq!(normalized(&bridge, &array).envelopes, plain, "{name}");
    }
}
