//! Every shared webhook fixture, against `shared_webhooks.txt`: one line an envelope, checked against
//! PLATFORMS.md (sections 2, 3, 6) and the case column of the fixtures' index. No file's point is rejection.

use crate::support::{files, fixtures, normalize, summary};
use expect_test::expect_file;
use interline_bridge_api::Bridge;
use interline_envelope::{Envelope, IdKey};
use interline_whatsapp::WhatsApp;
use std::fmt::Write;

#[test]
fn every_webhook_fixture_normalises_to_what_it_means() {
    let Some(fixtures) = fixtures() else { return };
    let files = files(&fixtures, "whatsapp/webhook");
    assert_eq!(files.len(), 96);
    let mut table = String::new();
    for (name, bytes) in files {
        let normalized = normalize(&bytes);
        writeln!(table, "{name}").unwrap();
        for envelope in &normalized.envelopes {
            writeln!(table, "  {}", summary(envelope)).unwrap();
        }
        for error in &normalized.unreadable {
            writeln!(table, "  unreadable {error}").unwrap();
        }
    }
    expect_file!["./shared_webhooks.txt"].assert_eq(&table);
}

/// Promise G2; DESIGN "Ids": redelivered, rebatched and raw forms give equal ids.
#[test]
fn g2_split_items_and_the_escaped_form_give_the_envelopes_of_the_whole_body() {
    let Some(fixtures) = fixtures() else { return };
    let bridge = WhatsApp::new();
    for (name, bytes) in files(&fixtures, "whatsapp/webhook") {
        let whole = normalize(&bytes).envelopes;
        let split = bridge.split(&bytes).unwrap();
        assert_eq!(split.unreadable, Vec::new(), "{name}");
        let mut items: Vec<Envelope> = Vec::new();
        for item in &split.items {
            let one = normalize(&item.body);
            assert_eq!((one.envelopes.len(), one.unreadable.len()), (1, 0), "{name}");
            let envelope = one.envelopes.into_iter().next().unwrap();
            assert_eq!(envelope.account, item.account, "{name}");
            if items.iter().all(|known| known.id != envelope.id) {
                items.push(envelope);
            }
        }
        assert!(items == whole, "{name}: the items' envelopes are not those of the body");

        let escaped = escaped(&serde_json::from_slice(&bytes).unwrap());
        let again = bridge.normalize(&IdKey::published_test_key(), escaped.as_bytes()).unwrap();
        assert!(again.envelopes == whole, "{name}: the escaped form gives other envelopes");
    }
}

#[test]
fn a_key_that_means_nothing_changes_no_envelope_though_it_is_read_another_way() {
    let Some(fixtures) = fixtures() else { return };
    for (name, bytes) in files(&fixtures, "whatsapp/webhook") {
        let keyed =
            String::from_utf8(bytes.clone()).unwrap().replacen('{', "{\"of_tomorrow\": 1,", 1);
        let (plain, keyed) = (normalize(&bytes), normalize(keyed.as_bytes()));
        assert!(plain.envelopes == keyed.envelopes, "{name}");
        assert_eq!(plain.unreadable, keyed.unreadable, "{name}");
    }
}

/// Compact, keys in another order, non-ASCII as `\u….`, slashes as `\/`: as Meta sends it.
fn escaped(value: &serde_json::Value) -> String {
    let plain = value.to_string();
    let mut out = String::new();
    for c in plain.chars() {
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
    out
}
