//! The mistakes of PLATFORMS.md section 9 that concern WhatsApp, by number.

use crate::requests::{outgoing, render, rendered};
use crate::support::{ACCOUNT, body, messages, normalize, only};
use interline_bridge_api::{Bridge, ChatKind, Outcome, RenderError, Response};
use interline_envelope::{EnvelopeId, IdKey, Kind, MediaKind, StatusState};
use interline_relay::{Action, MediaSource, OutMedia, Recipient, TypingRule};
use interline_whatsapp::WhatsApp;
use serde_json::{Value, json};

fn text(id: &str, from: &str) -> Value {
    json!({"from": from, "id": id, "timestamp": "1750000000", "type": "text", "text": {"body": "x"}})
}

#[test]
fn mistake_1_a_message_needs_neither_from_nor_wa_id() {
    let message = json!({"from_user_id": "US.1", "id": "w", "timestamp": "1750000000", "type": "text", "text": {"body": "x"}});
    let contacts = json!([{"profile": {"name": "Robin", "username": "robin"}, "user_id": "US.1"}]);
    let envelope = only(&body("messages", json!({"messages": [message], "contacts": contacts})));
    let from = envelope.from.unwrap();
    assert_eq!(from.user.as_exposed_str(), "US.1");
    assert_eq!(from.scoped_id.unwrap().as_exposed_str(), "US.1");
    assert_eq!(from.name.unwrap().as_exposed_str(), "Robin");
    assert_eq!(envelope.chat.as_exposed_str(), "US.1");

    // An older draft sent empty strings.
    let mut message = text("w", "");
    message["from_user_id"] = json!("US.1");
    assert_eq!(only(&messages(json!([message]))).chat.as_exposed_str(), "US.1");
}

#[test]
fn mistake_2_the_escaped_body_is_read_as_it_came() {
    let raw = br#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"metadata":
        {"phone_number_id":"106540352242922"},"messages":[{"from":"1","id":"w\/\u0041","timestamp":"1750000000",
        "type":"text","text":{"body":"\u00e4 \ud83d\udc4d https:\/\/x"}}]},"field":"messages"}]}]}"#;
    let envelope = only(raw);
    assert_eq!(envelope.native_id.unwrap().as_exposed_str(), "w/A");
    let part = serde_json::to_value(&envelope.parts[0]).unwrap();
    assert_eq!(part["text"], "ä 👍 https://x");
}

#[test]
fn mistake_3_a_message_its_edit_its_deletion_and_reactions_never_share_an_envelope_id() {
    // WhatsApp gives each a wamid of its own; the id holds even where they would share one.
    let item = |kind: &str, content: Value, time: &str| {
        let mut item = json!({"from": "1", "id": "same", "timestamp": time, "type": kind});
        item[kind] = content;
        item
    };
    let set = json!({"message_id": "m", "emoji": "👍"});
    let body = messages(json!([
        item("text", json!({"body": "x"}), "1750000000"),
        item(
            "edit",
            json!({"original_message_id": "m", "message": {"type": "text", "text": {"body": "y"}}}),
            "1750000000"
        ),
        item("revoke", json!({"original_message_id": "m"}), "1750000000"),
        item("reaction", set.clone(), "1750000000"),
        item("reaction", json!({"message_id": "m", "emoji": "❤️"}), "1750000000"),
        item("reaction", json!({"message_id": "m"}), "1750000000"),
        item("reaction", set, "1750000009"),
    ]));
    assert_eq!(normalize(&body).envelopes.len(), 7);
}

#[test]
fn mistake_5_http_200_is_not_delivered_the_failure_comes_later_as_a_status() {
    let outgoing =
        outgoing(Action::Text { text: "x".into(), link_preview: false, quick_replies: vec![] });
    let request = rendered(&outgoing);
    let response = Response {
        status: 200,
        headers: vec![],
        body: br#"{"messages":[{"id":"wamid.S"}]}"#.to_vec(),
    };
    let outcome = WhatsApp::new().interpret(&request, &response);
    assert_eq!(outcome, Outcome::Sent { native_ids: vec!["wamid.S".into()] });

    let status = json!({"id": "wamid.S", "status": "failed", "timestamp": "1750000000", "recipient_id": "1",
        "errors": [{"code": 131_047, "title": "Re-engagement message"}]});
    let envelope = only(&body("messages", json!({"statuses": [status]})));
    let status = envelope.status.unwrap();
    assert_eq!(status.state, StatusState::Failed);
    assert_eq!(status.error.unwrap().code, 131_047);
    assert_eq!(envelope.target.unwrap().first(), Some("wamid.S"));
}

#[test]
fn mistake_7_history_and_echoes_are_never_live_messages() {
    let field = |field: &str, value: Value| only(&body(field, value));
    // The media that follow a history chunk come in `value.messages`.
    assert!(field("history", json!({"messages": [text("w", "1")]})).history);
    let thread = |from: &str| json!({"history": [{"threads": [{"id": "1", "messages": [text("w", from)]}]}]});
    let theirs = field("history", thread("1"));
    assert!(theirs.history && !theirs.echo);
    let ours = field("history", thread("15550009999"));
    assert!(ours.history && ours.echo);
    assert_eq!(ours.to.unwrap().user.as_exposed_str(), "1");
    let mut echo = text("w", "15550009999");
    echo["to"] = json!("1");
    let echo = field("smb_message_echoes", json!({"message_echoes": [echo]}));
    assert!(echo.echo && !echo.history);
    assert_eq!(echo.chat.as_exposed_str(), "1");
}

#[test]
fn mistake_8_ids_keep_their_digits_as_numbers_and_as_strings() {
    let of = |id: Value| {
        let image = json!({"from": "1", "id": "w", "timestamp": "1750000000", "type": "image", "image": {"id": id}});
        serde_json::to_value(&only(&messages(json!([image]))).parts[0]).unwrap()["id"].clone()
    };
    assert_eq!(of(json!("12345678909876543210123")), "12345678909876543210123");
    assert_eq!(of(json!(9_007_199_254_740_993_u64)), "9007199254740993");
    let raw = r#"{"object":"whatsapp_business_account","entry":[{"id":102290129340398,"changes":[{"value":{"metadata":
        {"phone_number_id":106540352242922},"messages":[{"from":15550001111,"id":"w","timestamp":1750000000,
        "type":"image","image":{"id":123456789012345678901234567890}}]},"field":"messages"}]}]}"#;
    let envelope = only(raw.as_bytes());
    assert_eq!(envelope.account, ACCOUNT);
    assert_eq!(envelope.chat.as_exposed_str(), "15550001111");
    let part = serde_json::to_value(&envelope.parts[0]).unwrap();
    assert_eq!(part["id"], "123456789012345678901234567890");
}

#[test]
fn mistake_9_codes_3_and_131045_are_config_errors_although_they_come_with_http_500() {
    let request = rendered(&outgoing(Action::Text {
        text: "x".into(),
        link_preview: false,
        quick_replies: vec![],
    }));
    for code in [3, 131_045] {
        let body = json!({"error": {"code": code, "message": "m"}}).to_string().into_bytes();
        let outcome =
            WhatsApp::new().interpret(&request, &Response { status: 500, headers: vec![], body });
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.class, interline_bridge_api::Class::Config);
    }
}

#[test]
fn mistake_10_typing_always_marks_a_message_as_read_and_needs_its_id() {
    assert_eq!(WhatsApp::new().capabilities(ChatKind::Direct).typing, TypingRule::MarksRead);
    let without = outgoing(Action::Typing { on: true, message: None });
    assert!(matches!(render(&without), Err(RenderError::Missing { .. })));
    let off = outgoing(Action::Typing { on: false, message: Some("w".into()) });
    assert!(matches!(render(&off), Err(RenderError::Unsupported { .. })));
}

#[test]
fn mistake_11_a_reaction_has_no_context() {
    let mut reaction =
        outgoing(Action::Reaction { message: "m".into(), emoji: Some("👍".into()) });
    reaction.reply_to = Some("q".into());
    let body = crate::requests::json_of(&rendered(&reaction));
    assert_eq!(body.get("context"), None);
    let mut said =
        outgoing(Action::Text { text: "x".into(), link_preview: false, quick_replies: vec![] });
    said.reply_to = Some("q".into());
    let body = crate::requests::json_of(&rendered(&said));
    assert_eq!(body["context"], json!({"message_id": "q"}));
}

fn media(kind: MediaKind, caption: Option<&str>) -> Action {
    Action::Media(vec![OutMedia {
        media: kind,
        source: MediaSource::Id("1".into()),
        filename: None,
        caption: caption.map(Into::into),
        reusable: false,
    }])
}

#[test]
fn mistake_12_no_caption_on_audio_or_sticker_voice_only_as_ogg_and_no_webp_as_image() {
    for kind in [MediaKind::Audio, MediaKind::Voice, MediaKind::Sticker] {
        let result = render(&outgoing(media(kind, Some("c"))));
        assert!(matches!(result, Err(RenderError::Unsupported { .. })), "{kind:?}");
    }
    let bridge = WhatsApp::new();
    let capabilities = bridge.capabilities(ChatKind::Direct);
    let rule = |kind| capabilities.media_rule(kind).unwrap();
    assert!(rule(MediaKind::Voice).takes("audio/ogg; codecs=opus"));
    assert!(!rule(MediaKind::Voice).takes("audio/mp4"));
    assert!(!rule(MediaKind::Image).takes("image/webp"));
    assert!(rule(MediaKind::Sticker).takes("image/webp"));
    assert!(rule(MediaKind::Audio).caption.is_none());
}

#[test]
fn mistake_13_texts_are_counted_in_characters_and_not_in_bytes() {
    let say = |text: String| {
        render(&outgoing(Action::Text {
            text: text.into(),
            link_preview: false,
            quick_replies: vec![],
        }))
    };
    assert!(say("ä".repeat(4096)).is_ok());
    assert!(matches!(say("a".repeat(4097)), Err(RenderError::OverLimit { max: 4096, .. })));
    assert!(render(&outgoing(media(MediaKind::Image, Some(&"ä".repeat(1024))))).is_ok());
    let long = render(&outgoing(media(MediaKind::Image, Some(&"a".repeat(1025)))));
    assert!(matches!(long, Err(RenderError::OverLimit { max: 1024, .. })));
}

#[test]
fn mistake_14_numbers_go_out_with_a_plus_and_bsuids_as_recipient() {
    let to = |recipient| {
        let mut said =
            outgoing(Action::Text { text: "x".into(), link_preview: false, quick_replies: vec![] });
        said.to = Some(recipient);
        crate::requests::json_of(&rendered(&said))
    };
    assert_eq!(to(Recipient::User("15550001111".into()))["to"], "+15550001111");
    assert_eq!(to(Recipient::User("+15550001111".into()))["to"], "+15550001111");
    for recipient in [Recipient::User("US.13".into()), Recipient::ScopedId("US.13".into())] {
        let body = to(recipient);
        assert_eq!((body.get("to"), &body["recipient"]), (None, &json!("US.13")));
    }
}

#[test]
fn mistake_15_contacts_are_joined_by_id_and_not_by_position() {
    let contacts = json!([
        {"profile": {"name": "Noor"}, "wa_id": "2", "user_id": "US.2"},
        {"profile": {"name": "Sam"}, "wa_id": "1", "user_id": "US.1"},
    ]);
    let value =
        json!({"contacts": contacts, "messages": [text("a", "1"), text("b", "2"), text("c", "3")]});
    let names: Vec<Option<String>> = normalize(&body("messages", value))
        .envelopes
        .iter()
        .map(|envelope| Some(envelope.from.as_ref()?.name.as_ref()?.as_exposed_str().to_owned()))
        .collect();
    assert_eq!(names, [Some("Sam".to_owned()), Some("Noor".to_owned()), None]);

    // As in a body with many contacts.
    let many: Vec<Value> = (0..50)
        .map(|n| json!({"profile": {"name": format!("n{n}")}, "wa_id": format!("{n}")}))
        .collect();
    let value = json!({"contacts": many, "messages": [text("a", "41")]});
    let from = only(&body("messages", value)).from.unwrap();
    assert_eq!(from.name.unwrap().as_exposed_str(), "n41");
}

#[test]
fn mistake_16_one_malformed_item_never_fails_its_neighbours() {
    let value = json!({
        "messages": [text("a", "1"), 5, "x", null, {"from": {}}, {"id": "n", "type": "text"}, text("b", "1")],
        "statuses": [[], {"id": "s", "status": "read", "timestamp": "1", "recipient_id": "1"}],
        "contacts": ["x", 7],
    });
    let normalized = normalize(&body("messages", value));
    let kinds: Vec<Kind> = normalized.envelopes.iter().map(|envelope| envelope.kind).collect();
    use Kind::{Message, Status, Unsupported};
    assert_eq!(
        kinds[..7],
        [Message, Unsupported, Unsupported, Unsupported, Unsupported, Unsupported, Message]
    );
    assert_eq!(kinds[7..], [Unsupported, Status]);
    assert_eq!(normalized.unreadable, []);

    let lists = json!({"messages": {"a": 1}, "statuses": [{"id": "s", "status": "read", "recipient_id": "1"}]});
    let normalized = normalize(&body("messages", lists));
    assert_eq!(normalized.envelopes.len(), 1);
    assert_eq!(normalized.unreadable[0].path, "entry[0].changes[0].value.messages");

    let good: Value = serde_json::from_slice(&messages(json!([text("a", "1")]))).unwrap();
    let entries = json!({"object": "whatsapp_business_account",
        "entry": [7, {"id": "1", "changes": "x"}, good["entry"][0], {"id": "1", "changes": [null, {"field": "messages", "value": 4}]}]});
    let normalized = normalize(entries.to_string().as_bytes());
    assert_eq!(normalized.envelopes.len(), 1);
    let paths: Vec<_> = normalized.unreadable.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        ["entry[0]", "entry[1].changes", "entry[3].changes[0]", "entry[3].changes[1].value"]
    );
}

#[test]
fn mistake_18_each_participant_and_each_state_is_a_status_of_its_own() {
    let status = |state: &str, participant: &str, time: &str| {
        json!({"id": "same", "status": state, "timestamp": time, "recipient_id": "G", "recipient_type": "group",
            "recipient_participant_id": participant})
    };
    let statuses = json!([
        status("read", "1", "1750000000"),
        status("read", "2", "1750000000"),
        status("delivered", "1", "1750000000"),
        status("read", "1", "1750000000"),
    ]);
    let envelopes = normalize(&body("messages", json!({"statuses": statuses}))).envelopes;
    let who: Vec<_> = envelopes
        .iter()
        .map(|envelope| {
            (
                envelope.from.as_ref().unwrap().user.as_exposed_str().to_owned(),
                envelope.chat.as_exposed_str(),
            )
        })
        .collect();
    assert_eq!(who, [("1".to_owned(), "G"), ("2".to_owned(), "G"), ("1".to_owned(), "G")]);
}

#[test]
fn mistake_20_no_request_carries_a_tag() {
    let mut said =
        outgoing(Action::Text { text: "x".into(), link_preview: false, quick_replies: vec![] });
    said.messaging_type = Some(interline_relay::MessagingType::Tag("HUMAN_AGENT".into()));
    let body = crate::requests::json_of(&rendered(&said)).to_string();
    assert!(!body.contains("HUMAN_AGENT") && !body.contains("tag"), "{body}");
}

/// DESIGN, "Ids": the native time is part of the id, and the entry's is not.
#[test]
fn g2_a_message_has_one_id_in_whatever_batch_it_comes() {
    let id_of = |body: Vec<u8>, index: usize| -> EnvelopeId {
        let bridge = WhatsApp::new();
        bridge.normalize(&IdKey::published_test_key(), &body).unwrap().envelopes[index].id
    };
    let alone = id_of(messages(json!([text("a", "1")])), 0);
    let batched = id_of(messages(json!([text("b", "2"), text("a", "1")])), 1);
    assert_eq!(alone, batched);
    let mut late: Value = serde_json::from_slice(&messages(json!([text("a", "1")]))).unwrap();
    late["entry"][0]["time"] = json!(1_750_000_777);
    assert_eq!(alone, id_of(late.to_string().into_bytes(), 0));
}
