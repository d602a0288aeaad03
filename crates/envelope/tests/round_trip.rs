//! What goes in comes out: unknown fields survive, bounds are kept, ids are stable.

use interline_envelope::{
    Address, Author, Dispatch, Envelope, EnvelopeError, EnvelopeId, IdKey, Kind, Location, Media,
    MediaKind, Origin, PARTS_MAX, Part, Person, Platform, Reaction, ReactionAction, Redacted,
    ReplyTo, Status, StatusState, Target, Unknown,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn full() -> Value {
    json!({
        "v": 1, "id": "000102030405060708090a0b0c0d0e0f", "kind": "message", "platform": "whatsapp",
        "account": "106540352242922", "chat": "15550001111", "native_id": "wamid.X", "time": 1_700_000_000_000_i64,
        "from": {"user": "15550001111", "scoped_id": "US.1", "name": "Alice", "mood": "good"},
        "forwarded": true,
        "reply_to": {"native_id": "wamid.Y"},
        "parts": [
            {"type": "text", "text": "hi", "tone": "loud"},
            {"type": "media", "media": "voice", "id": "9", "mime": "audio/ogg; codecs=opus", "seconds": 3},
            {"type": "location", "latitude": 37.5, "longitude": -122.25, "floor": 3},
            {"type": "contacts", "contacts": [{"name": "Bob", "phones": ["+1"], "org": {"company": "x"}}], "n": 1},
            {"type": "choice", "id": "a", "title": "A", "of": "quick_reply", "data": {"x": [1]}, "row": 2},
            {"type": "share", "of": "reel", "id": "18446744073709551617", "views": 4},
            {"type": "order", "items": [{"product_id": "p", "quantity": "1", "colour": "red"}], "note": "n"},
            {"type": "sealed", "scheme": "mls", "bytes": "AA", "epoch": 4},
            {"type": "unsupported", "native_type": "poll", "reason": "not handed over", "hint": 1},
            {"type": "hologram", "depth": 3}
        ],
        "extra": {"context": {"frequently_forwarded": true}},
        "added_in_v1_7": {"deep": [1, {"x": null}]}
    })
}

#[test]
fn unknown_fields_survive_a_round_trip_at_every_level() {
    let envelope = Envelope::from_json(full().to_string().as_bytes()).unwrap();
    assert!(matches!(envelope.parts.last(), Some(Part::Other(_))));
    let back: Value = serde_json::from_slice(&envelope.to_json().unwrap()).unwrap();
    assert_eq!(back, full());
}

#[test]
fn a_dispatch_survives_a_round_trip_with_unknown_fields() {
    let key = IdKey::published_test_key();
    let to = Address::parse("instagram/17841400000000001/1700000000000001").unwrap();
    let envelope = Envelope::from_json(full().to_string().as_bytes()).unwrap();
    let dispatch = Dispatch {
        v: 1,
        id: key.dispatch_id(envelope.id, &to),
        lane: key.lane_id("alice-and-bob", &to),
        prev: None,
        conversation: "alice-and-bob".into(),
        to,
        author: Author { alias: "Alice".into(), named: true, unknown: Unknown::new() },
        origin: Origin {
            account: Address::parse("whatsapp/106540352242922/15550001111").unwrap(),
            chat: "15550001111".into(),
            native_id: Some("wamid.X".into()),
            unknown: Unknown::new(),
        },
        hop: 1,
        expires: None,
        envelope,
        unknown: std::iter::once(("later".to_owned(), json!([1]))).collect(),
    };
    assert_eq!(Dispatch::from_json(&dispatch.to_json().unwrap()).unwrap(), dispatch);
}

#[test]
fn the_small_kinds_have_the_field_names_of_the_design() {
    let platform = Platform::new("messenger").unwrap();
    let mut envelope =
        Envelope::new(EnvelopeId::from_bytes([0; 16]), Kind::Reaction, platform, "1", "2", 3);
    envelope.from = Some(Person::new("2"));
    envelope.target = Some(Target::message("m_1"));
    envelope.reaction = Some(Reaction {
        emoji: Some("❤️".into()),
        action: ReactionAction::Add,
        unknown: Unknown::new(),
    });
    envelope.status = Some(Status {
        state: StatusState::Other("warped".into()),
        error: None,
        marker: Some("il1".into()),
        unknown: Unknown::new(),
    });
    let json: Value = serde_json::from_slice(&envelope.to_json().unwrap()).unwrap();
    assert_eq!(json["target"], json!({"native_ids": ["m_1"]}));
    assert_eq!(json["reaction"], json!({"emoji": "❤️", "action": "add"}));
    assert_eq!(json["status"], json!({"state": "warped", "marker": "il1"}));
    assert!(json.get("echo").is_none(), "false flags are left out");
    envelope.target = Some(Target::Watermark { watermark: 7 });
    envelope.reply_to =
        Some(ReplyTo::Story { story: interline_envelope::StoryRef { id: "s".into(), url: None } });
    let json: Value = serde_json::from_slice(&envelope.to_json().unwrap()).unwrap();
    assert_eq!(json["target"], json!({"watermark": 7}));
    assert_eq!(json["reply_to"], json!({"story": {"id": "s"}}));
    assert_eq!(Envelope::from_json(&envelope.to_json().unwrap()).unwrap(), envelope);
}

#[test]
fn g9_an_envelope_has_bounds_and_says_which_one_was_passed() {
    let mut envelope = Envelope::from_json(full().to_string().as_bytes()).unwrap();
    envelope.parts = vec![Part::text("x"); PARTS_MAX + 1];
    assert!(matches!(envelope.to_json(), Err(EnvelopeError::TooManyParts { parts: 65 })));
    envelope.parts = vec![Part::text("x".repeat(300_000))];
    assert!(matches!(envelope.to_json(), Err(EnvelopeError::TooLarge { .. })));
    let mut newer = full();
    newer["v"] = json!(2);
    assert!(matches!(
        Envelope::from_json(newer.to_string().as_bytes()),
        Err(EnvelopeError::Version(2))
    ));
}

#[test]
fn g8_the_debug_form_of_an_envelope_shows_no_person_and_no_words() {
    let mut envelope = Envelope::from_json(full().to_string().as_bytes()).unwrap();
    envelope.extra.insert("city".into(), json!("secret words"));
    envelope.parts = vec![
        Part::text("secret words"),
        Part::Media(Media { caption: Some("secret words".into()), ..Media::new(MediaKind::Image) }),
        Part::Location(Location {
            latitude: 1.0,
            longitude: 2.0,
            name: Some("secret words".into()),
            address: None,
            url: None,
            unknown: Unknown::new(),
        }),
    ];
    let shown = format!("{envelope:?}");
    for canary in ["15550001111", "Alice", "secret words", "wamid."] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}

proptest! {
    #[test]
    fn any_text_comes_back_as_it_was(text in ".*", name in ".*") {
        let platform = Platform::new("messenger").unwrap();
        let mut envelope = Envelope::new(EnvelopeId::from_bytes([1; 16]), Kind::Message, platform, "1", "2", 3);
        envelope.parts = vec![Part::text(text)];
        envelope.from = Some(Person { name: Some(Redacted::new(name)), ..Person::new("2") });
        prop_assert_eq!(Envelope::from_json(&envelope.to_json().unwrap()).unwrap(), envelope);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Envelope::from_json(&bytes).is_err());
    }
}
