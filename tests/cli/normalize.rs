//! `normalize` and `render`.

use crate::support::{fixture, run, run_with};
use serde_json::{Value, json};
use std::path::PathBuf;

const BRIDGES: [&str; 3] = ["whatsapp", "instagram", "messenger"];

/// The one envelope of a body.
fn envelope(bridge: &str) -> Value {
    let ran = run(&["normalize", bridge, &fixture(&format!("{bridge}.json"))]).ended(0);
    let mut lines = ran.json_lines();
    assert_eq!(lines.len(), 1, "{ran:?}");
    lines.remove(0)
}

#[test]
fn a_webhook_body_becomes_one_envelope_a_line() {
    let ran = run(&["normalize", "whatsapp", &fixture("whatsapp.json")]).ended(0);
    let lines = ran.json_lines();
    let [message, reaction] = lines.as_slice() else { panic!("{ran:?}") };
    for (field, wanted) in [
        ("v", json!(1)),
        ("kind", json!("message")),
        ("platform", json!("whatsapp")),
        ("account", json!("106540352242922")),
        ("chat", json!("15550001111")),
        ("from", json!({"user": "15550001111", "name": "Ann Example"})),
        ("time", json!(1_749_416_383_000_u64)),
        ("parts", json!([{"type": "text", "text": "Hello 👋"}])),
    ] {
        assert_eq!(message[field], wanted, "{field}");
    }
    assert_eq!(message["id"].as_str().unwrap().len(), 32, "a keyed hash in hex");
    assert_eq!(reaction["kind"], "reaction");
    assert_eq!(reaction["reaction"], json!({"emoji": "❤️", "action": "add"}));
    assert_eq!(reaction["target"]["native_ids"].as_array().unwrap().len(), 1);
    assert!(ran.err.contains("published test key"), "{}", ran.err);
}

#[test]
fn each_platform_has_the_same_fields() {
    let answer = envelope("messenger");
    assert_eq!(answer["parts"], json!([{"type": "text", "text": "Yes, at eight"}]));
    assert_eq!(answer["reply_to"], json!({"native_id": "m_AAAAtheothermessage"}));
    assert_eq!(answer["from"], json!({"user": "6100000000000001"}));
    let photo = envelope("instagram");
    assert_eq!(photo["native_id"], "aWdfZAAAAanexampleofaphoto");
    let part = &photo["parts"][0];
    assert_eq!((&part["type"], &part["media"]), (&json!("media"), &json!("image")));
    assert_eq!(part["url"], "https://lookaside.example/photo.jpg?a=1");
}

#[test]
fn standard_input_is_read_where_no_file_is_named_and_for_a_dash() {
    let path = fixture("messenger.json");
    let from_file = run(&["normalize", "messenger", &path]).ended(0).out;
    let body = std::fs::read(&path).unwrap();
    assert_eq!(run_with(&["normalize", "messenger"], &body).ended(0).out, from_file);
    assert_eq!(run_with(&["normalize", "messenger", "-"], &body).ended(0).out, from_file);
}

#[test]
fn garbage_ends_with_1_and_says_what_is_wrong_and_where() {
    for bridge in BRIDGES {
        let ran = run_with(&["normalize", bridge], b"{\"entry\": [}").ended(1);
        assert!(ran.out.is_empty() && ran.err.contains("line 1 column 12"), "{ran:?}");
        let ran = run_with(&["normalize", bridge], b"[1, 2]").ended(1);
        assert!(ran.err.contains("webhook"), "{ran:?}");
        run_with(&["normalize", bridge], b"").ended(1);
        run_with(&["normalize", bridge], &[0xff; 100]).ended(1);
    }
    let ran = run(&["normalize", "whatsapp", "no-such-file.json"]).ended(1);
    assert!(ran.err.contains("no-such-file.json cannot be read"), "{ran:?}");
    let ran = run_with(&["normalize", "telegram"], b"{}").ended(1);
    assert!(ran.err.contains("whatsapp, messenger, instagram"), "{ran:?}");
}

#[test]
fn an_error_says_each_cause_once() {
    let ran = run_with(&["normalize", "instagram"], b"x{").ended(1);
    assert_eq!(ran.err.matches("expected value at line 1 column 1").count(), 1, "{ran:?}");
}

/// The shared payloads of the platforms, beside the checkout.
fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("INTERLINE_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "../shared is not beside the checkout, and INTERLINE_REQUIRE_ALL=1 asks for it"
    );
    println!("skipped: ../shared is not beside the checkout");
    None
}

#[test]
fn every_shared_webhook_is_read_into_envelopes_with_the_fields_of_the_schema() {
    let Some(shared) = shared() else { return };
    let schema = include_str!("../../docs/envelope.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let known = schema["properties"].as_object().unwrap();
    let required = schema["required"].as_array().unwrap();
    for bridge in BRIDGES {
        let mut files = 0;
        for entry in std::fs::read_dir(shared.join(bridge).join("webhook")).unwrap() {
            let path = entry.unwrap().path().display().to_string();
            let ran = run(&["normalize", bridge, &path]).ended(0);
            files += 1;
            for envelope in ran.json_lines() {
                let fields = envelope.as_object().unwrap();
                let unknown: Vec<_> =
                    fields.keys().filter(|key| !known.contains_key(*key)).collect();
                assert!(unknown.is_empty(), "{path}: {unknown:?}");
                let absent: Vec<_> = required
                    .iter()
                    .filter(|key| envelope[key.as_str().unwrap()].is_null())
                    .collect();
                assert!(absent.is_empty(), "{path}: {absent:?}");
                assert_eq!(envelope["platform"], bridge, "{path}");
            }
        }
        assert!(files > 0, "{bridge}");
    }
}

#[test]
fn render_prints_the_request_without_credentials() {
    let outgoing = br#"{"to": {"user": "15550001111"}, "action": {"text": {"text": "hi"}}}"#;
    let ran = run_with(&["render", "whatsapp", "--account", "106540352242922"], outgoing).ended(0);
    let request = ran.json();
    assert_eq!(request["route"], "106540352242922/messages");
    assert_eq!(request["body"]["json"]["text"]["body"], "hi");
    assert!(!ran.out.contains("oken") && !ran.out.contains("Bearer"), "{ran:?}");
    let outgoing = br#"{"to": {"user": "6100000000000001"}, "action": {"text": {"text": "hi"}}}"#;
    let ran = run_with(&["render", "messenger"], outgoing).ended(0);
    assert_eq!(ran.json()["body"]["json"]["message"]["text"], "hi");
    let ran = run_with(&["render", "instagram"], b"{}").ended(1);
    assert!(ran.err.contains("`interline render --help`") && ran.err.contains("line 1"), "{ran:?}");
}
