//! What the tests of this codec share: bodies, short summaries, and the shared fixtures.

use interline_bridge_api::{Bridge, Normalized};
use interline_envelope::{Envelope, IdKey, Part, Person, Platform, ReplyTo, Target};
use interline_whatsapp::WhatsApp;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

pub(crate) const ACCOUNT: &str = "106540352242922";

/// The fixtures' folder, or nothing (and then the test is skipped) where it is absent.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures"));
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

/// Every file of a folder of the fixtures, sorted, with its bytes.
pub(crate) fn files(fixtures: &std::path::Path, folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(fixtures.join(folder))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

pub(crate) fn normalize(body: &[u8]) -> Normalized {
    WhatsApp::new().normalize(&IdKey::published_test_key(), body).unwrap()
}

/// A body with one change of `field`.
pub(crate) fn body(field: &str, value: Value) -> Vec<u8> {
    let mut value = value;
    if let Some(fields) = value.as_object_mut() {
        fields.entry("metadata").or_insert_with(
            || json!({"display_phone_number": "15550009999", "phone_number_id": ACCOUNT}),
        );
    }
    serde_json::to_vec(&json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"field": field, "value": value}]}],
    }))
    .unwrap()
}

/// A body with these messages and no contacts.
pub(crate) fn messages(messages: Value) -> Vec<u8> {
    body("messages", json!({"messages": messages}))
}

/// The one envelope of a body that has one.
pub(crate) fn only(body: &[u8]) -> Envelope {
    let normalized = normalize(body);
    assert_eq!(normalized.unreadable, Vec::new());
    assert_eq!(normalized.envelopes.len(), 1);
    normalized.envelopes.into_iter().next().unwrap()
}

fn person(person: &Person) -> String {
    let mut out = person.user.as_exposed_str().to_owned();
    if let Some(id) = &person.scoped_id {
        write!(out, "|{}", id.as_exposed_str()).unwrap();
    }
    if let Some(name) = &person.name {
        write!(out, " '{}'", name.as_exposed_str()).unwrap();
    }
    if let Some(name) = &person.username {
        write!(out, " @{}", name.as_exposed_str()).unwrap();
    }
    out
}

/// The last characters of an id: enough to tell ids of one file apart.
fn tail(id: &str) -> String {
    let skip = id.chars().count().saturating_sub(9);
    id.chars().skip(skip).collect()
}

fn part(part: &Part) -> String {
    let value = serde_json::to_value(part).unwrap();
    let mut fields = value.as_object().unwrap().clone();
    let kind = fields.remove("type").unwrap();
    for long in ["url", "sha256"] {
        if let Some(Value::String(text)) = fields.get_mut(long) {
            *text = format!("{}…", text.chars().take(8).collect::<String>());
        }
    }
    format!("{} {}", kind.as_str().unwrap(), Value::Object(fields))
}

/// An envelope in one line, but for its id.
pub(crate) fn summary(envelope: &Envelope) -> String {
    let mut out = envelope.kind.as_str().to_owned();
    assert_eq!(envelope.platform, Platform::new("whatsapp").unwrap());
    if envelope.account != ACCOUNT {
        write!(out, " account={}", envelope.account).unwrap();
    }
    for (flag, word) in [
        (envelope.echo, "echo"),
        (envelope.standby, "standby"),
        (envelope.history, "history"),
        (envelope.forwarded, "forwarded"),
    ] {
        if flag {
            write!(out, " {word}").unwrap();
        }
    }
    if let Some(from) = &envelope.from {
        write!(out, " from={}", person(from)).unwrap();
    }
    if let Some(to) = &envelope.to {
        write!(out, " to={}", person(to)).unwrap();
    }
    let who = envelope.to.as_ref().or(envelope.from.as_ref());
    if who.is_none_or(|who| who.user != envelope.chat) {
        write!(out, " chat={}", envelope.chat.as_exposed_str()).unwrap();
    }
    if let Some(id) = &envelope.native_id {
        write!(out, " id=…{}", tail(id.as_exposed_str())).unwrap();
    }
    write!(out, " time={}", envelope.time).unwrap();
    rest(envelope, &mut out);
    out
}

fn rest(envelope: &Envelope, out: &mut String) {
    match &envelope.reply_to {
        Some(ReplyTo::Message { native_id }) => {
            write!(out, " reply_to=…{}", tail(native_id.as_exposed_str())).unwrap();
        }
        Some(ReplyTo::Story { .. }) => out.push_str(" reply_to=story"),
        None => {}
    }
    match &envelope.target {
        Some(Target::Messages { native_ids }) => {
            for id in native_ids {
                write!(out, " target=…{}", tail(id.as_exposed_str())).unwrap();
            }
        }
        Some(Target::Watermark { watermark }) => write!(out, " target<{watermark}").unwrap(),
        None => {}
    }
    for part_ in &envelope.parts {
        write!(out, "; {}", part(part_)).unwrap();
    }
    let json = serde_json::to_value(envelope).unwrap();
    for key in ["reaction", "status", "system", "referral"] {
        if let Some(value) = json.get(key) {
            write!(out, "; {key} {value}").unwrap();
        }
    }
    if !envelope.extra.is_empty() {
        write!(out, "; extra {}", Value::Object(envelope.extra.clone())).unwrap();
    }
}
