//! Every send fixture is what `render` makes of the matching intent, every response is read, every error is
//! classified. PLATFORMS.md sections 1, 4, 5 and 6.

use crate::sending::{
    answer, body_of, by_id, by_url, failure, quick, render, sent, text, to, to_nobody, upload,
};
use crate::support;
use interline_bridge_api::{Bridge, Certainty, RenderError};
use interline_envelope::MediaKind::{Audio, Document, Image, Sticker, Video, Voice};
use interline_envelope::{Location, Media, Unknown};
use interline_messenger::Messenger;
use interline_relay::{
    Action, MediaSource, MessagingType, OutMedia, Outgoing, Recipient, ThreadControl,
};
use serde_json::{Value, json};

const USER: &str = "6100000000000001";
const MID: &str =
    "m_kpoOy1xUAPj1DWWzaIFzC-F_rTRpg0co8sK32DxPypBcdEvcBi7k28JZufwlueg-134L0VsJ_XuCki5byKC85w";

/// What is meant by each request fixture.
fn intent(name: &str) -> Outgoing {
    let me = |action| to(USER, action);
    let reaction = |emoji: Option<&str>| Action::Reaction {
        message: MID.into(),
        emoji: emoji.map(Into::into),
    };
    match name {
        "attachment_upload" => to_nobody(upload(Some("https://cdn.example.com/pic.jpg"))),
        "audio_url" => me(Action::Media(vec![by_url(Audio, "https://cdn.example.com/a.mp3")])),
        "file_url" => me(Action::Media(vec![by_url(Document, "https://cdn.example.com/a.pdf")])),
        "human_agent_tag" => Outgoing {
            messaging_type: Some(MessagingType::Tag("HUMAN_AGENT".to_owned())),
            ..me(text("A person answers within 7 days"))
        },
        "image_attachment_id" => me(Action::Media(vec![by_id(Image, "1857777774821032")])),
        "image_filedata_multipart_fields" => me(upload(None)),
        "image_url" => {
            let image = by_url(Image, "https://cdn.example.com/pic.jpg");
            me(Action::Media(vec![OutMedia { reusable: true, ..image }]))
        }
        "mark_seen" => me(Action::MarkRead { message: None }),
        "pass_thread_control" => me(Action::ThreadControl(ThreadControl::Pass {
            target_app_id: "263902037430900".to_owned(),
            metadata: Some("needs a human".to_owned()),
        })),
        "private_reply_comment" => Outgoing::new(
            Recipient::Comment("104500000000001_200000000000001".into()),
            text("Thanks for reaching out, how can I help?"),
        ),
        "quick_replies" => me(quick(
            "Pick a color:",
            &[
                ("Red", "P_RED", Some("https://example.com/img/red.png")),
                ("Green", "P_GREEN", None),
            ],
        )),
        "react" => me(reaction(Some("🎉"))),
        "unreact" => me(reaction(None)),
        "sticker_id" => me(Action::PlatformSticker("767226160478561".to_owned())),
        "template_button" => me(Action::Interactive(button_template())),
        "template_generic" => Outgoing {
            messaging_type: Some(MessagingType::Response),
            ..me(Action::Interactive(generic_template()))
        },
        "text" => me(text("Hello, world!")),
        "text_metadata" => {
            Outgoing { marker: Some("bridge:0001".to_owned()), ..me(text("Hello, world!")) }
        }
        "text_reply_to" => Outgoing { reply_to: Some(MID.into()), ..me(text("Hello, world!")) },
        "typing_off" => me(Action::Typing { on: false, message: None }),
        "typing_on" => me(Action::Typing { on: true, message: None }),
        "user_ref" => Outgoing::new(Recipient::UserRef("USER-REF-0001".into()), text("hi")),
        "utility_template" => Outgoing {
            messaging_type: Some(MessagingType::Utility),
            ..me(Action::Template(utility_template()))
        },
        "video_url" => me(Action::Media(vec![by_url(Video, "https://cdn.example.com/a.mp4")])),
        other => panic!("no intent is written down for {other}"),
    }
}

fn button_template() -> Value {
    json!({"template_type": "button", "text": "Try the postback button!", "buttons": [
        {"type": "postback", "title": "Postback Button", "payload": "DEVELOPER_DEFINED_PAYLOAD"},
        {"type": "web_url", "url": "https://www.example.com/", "title": "URL Button",
            "webview_height_ratio": "full"}]})
}

fn generic_template() -> Value {
    json!({"template_type": "generic", "elements": [{
        "title": "Welcome!",
        "image_url": "https://cdn.example.com/hat.jpg",
        "subtitle": "We have the right hat for everyone.",
        "default_action": {"type": "web_url", "url": "https://www.example.com/hats"},
        "buttons": [
            {"type": "web_url", "url": "https://www.example.com", "title": "View Website"},
            {"type": "postback", "title": "Start Chatting", "payload": "P"}]}]})
}

fn utility_template() -> Value {
    json!({"name": "example_order_confirmation_1", "language": {"code": "en"}, "components": [
        {"type": "body", "parameters": [{"type": "text", "text": "566701"}]}]})
}

/// Fields that hold JSON as a string, taken apart, so that the order of keys does not count.
fn without_inner_strings(body: Value) -> Value {
    let Value::Object(fields) = body else { return body };
    let open = |value: Value| match value.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(inner @ Value::Object(_))) => json!({"as a string": inner}),
        _ => value,
    };
    Value::Object(fields.into_iter().map(|(key, value)| (key, open(value))).collect())
}

#[test]
fn every_request_fixture_is_what_render_makes_of_its_intent() {
    let Some(files) = support::files("messenger/send") else { return };
    assert_eq!(files.len(), 31);
    let bridge = Messenger::new();
    let mut compared = 0;
    for (name, body) in files {
        let Some(name) = name.strip_suffix(".request.json") else { continue };
        let expected: Value = serde_json::from_slice(&body).unwrap();
        let request = render(&bridge, &intent(name)).unwrap();
        assert_eq!(
            without_inner_strings(body_of(&request)),
            without_inner_strings(expected),
            "{name}"
        );
        let path = match name {
            "attachment_upload" => "message_attachments",
            "pass_thread_control" => "pass_thread_control",
            _ => "messages",
        };
        assert_eq!(request.route, format!("104500000000001/{path}"), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 24);
}

#[test]
fn every_response_fixture_is_read_and_gives_the_ids_it_has() {
    let Some(files) = support::files("messenger/send") else { return };
    let bridge = Messenger::new();
    for (name, body) in files {
        let Some(name) = name.strip_suffix(".response.json") else { continue };
        let request_of = match name {
            // Nothing renders a profile request yet; its answer is the profile service's to read.
            "profile_get" => continue,
            "sender_action" => "typing_on",
            "image_url_reusable" => "image_url",
            own => own,
        };
        let request = render(&bridge, &intent(request_of)).unwrap();
        let ids = sent(bridge.interpret(&request, &answer(200, &body)));
        let fixture: Value = serde_json::from_slice(&body).unwrap();
        let key = if name == "attachment_upload" { "attachment_id" } else { "message_id" };
        let expected: Vec<&str> = fixture.get(key).and_then(Value::as_str).into_iter().collect();
        assert_eq!(ids, expected, "{name}");
        assert_eq!(ids.is_empty(), matches!(name, "sender_action" | "pass_thread_control"));
    }
}

#[test]
fn every_error_fixture_has_the_class_of_the_fact_sheet() {
    let Some(root) = support::fixtures() else { return };
    let classes = std::fs::read(root.join("ERROR_CLASSES.json")).unwrap();
    let classes: Value = serde_json::from_slice(&classes).unwrap();
    let bridge = Messenger::new();
    let request = render(&bridge, &intent("text")).unwrap();
    let mut compared = 0;
    for entry in classes["files"].as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        if !file.starts_with("messenger/") {
            continue;
        }
        let body = std::fs::read(root.join(file)).unwrap();
        let status = u16::try_from(entry["http_status"].as_u64().unwrap()).unwrap();
        let failure = failure(bridge.interpret(&request, &answer(status, &body)));
        assert_eq!(failure.class.as_str(), entry["class"].as_str().unwrap(), "{file}");
        assert_eq!(failure.certainty, Certainty::NotSent, "{file}");
        compared += 1;
    }
    assert_eq!(compared, 41);
}

fn refused(outgoing: &Outgoing) -> String {
    render(&Messenger::new(), outgoing).unwrap_err().to_string()
}

#[test]
fn what_messenger_does_not_take_is_refused_with_its_reason() {
    let place = Location {
        latitude: 1.0,
        longitude: 2.0,
        name: None,
        address: None,
        url: None,
        unknown: Unknown::new(),
    };
    let image = || by_url(Image, "https://cdn.example.com/1.jpg");
    let captioned = OutMedia { caption: Some("words".into()), ..image() };
    let origin = MediaSource::Origin(Box::new(Media::new(Image)));
    let unfetched = OutMedia { source: origin, ..image() };
    for (action, words) in [
        (Action::Location(place), "locations"),
        (Action::Contacts(Vec::new()), "contact cards"),
        (Action::Heart, "heart"),
        (Action::SharePost("1".to_owned()), "share a post"),
        (Action::LocateMedia("1".into()), "media to look up"),
        (Action::Media(vec![image(), image()]), "limit of 1 images"),
        (Action::Media(vec![by_url(Voice, "https://x")]), "voice notes"),
        (Action::Media(vec![by_url(Sticker, "https://x")]), "stickers"),
        (Action::Media(vec![captioned]), "captions"),
        (Action::Media(vec![unfetched]), "is missing"),
        (Action::Media(Vec::new()), "is missing"),
        (Action::PlatformSticker("heart".to_owned()), "sticker"),
        (text(""), "the text is missing"),
    ] {
        let error = refused(&to(USER, action));
        assert!(error.contains(words), "{error} should say {words}");
    }
    assert!(refused(&to_nobody(text("x"))).contains("the recipient is missing"));
    let group = Outgoing::new(Recipient::Group("1".into()), text("x"));
    assert!(refused(&group).contains("groups"));
}

/// PLATFORMS.md section 4, "text" and "metadata".
#[test]
fn a_text_of_2000_characters_passes_and_one_more_does_not() {
    let bridge = Messenger::new();
    assert!(render(&bridge, &to(USER, text(&"😀".repeat(2000)))).is_ok());
    let error = render(&bridge, &to(USER, text(&"a".repeat(2001)))).unwrap_err();
    assert!(matches!(error, RenderError::OverLimit { max: 2000, unit: "characters", .. }));
    let marked = |bytes| Outgoing { marker: Some("m".repeat(bytes)), ..to(USER, text("x")) };
    assert!(render(&bridge, &marked(999)).is_ok());
    assert!(render(&bridge, &marked(1000)).is_err());
}

/// PLATFORMS.md section 4, "quick replies".
#[test]
fn quick_replies_are_bounded_in_number_and_length() {
    let replies = |count, title: &str, payload: &str| {
        to(USER, quick("x", &vec![(title, payload, None); count]))
    };
    let bridge = Messenger::new();
    assert!(render(&bridge, &replies(13, &"t".repeat(20), &"p".repeat(1000))).is_ok());
    assert!(refused(&replies(14, "t", "p")).contains("13"));
    assert!(refused(&replies(1, &"t".repeat(21), "p")).contains("20"));
    assert!(refused(&replies(1, "t", &"p".repeat(1001))).contains("1000"));
}

#[test]
fn a_sticker_id_is_sent_as_a_number_with_its_exact_digits() {
    let sticker = to(USER, Action::PlatformSticker("18446744073709551615".to_owned()));
    let body = body_of(&render(&Messenger::new(), &sticker).unwrap());
    assert!(body.to_string().contains(r#""sticker_id":18446744073709551615"#), "{body}");
}

#[test]
fn only_what_shows_nothing_twice_is_idempotent_and_carries_no_marker() {
    let bridge = Messenger::new();
    let check = |action: Action, idempotent: bool, marked: bool| {
        let outgoing = Outgoing { marker: Some("mark".to_owned()), ..to(USER, action) };
        let request = render(&bridge, &outgoing).unwrap();
        assert_eq!((request.idempotent, request.marker.is_some()), (idempotent, marked));
        assert_eq!(body_of(&request).to_string().contains("metadata"), marked);
    };
    check(text("x"), false, true);
    check(Action::Media(vec![by_id(Image, "1")]), false, true);
    check(upload(None), false, true);
    check(Action::Typing { on: true, message: None }, true, false);
    check(Action::Reaction { message: MID.into(), emoji: None }, true, false);
    let kept = render(&bridge, &to_nobody(upload(None))).unwrap();
    assert!(kept.idempotent, "a file that is kept for later shows nothing");
}

#[test]
fn an_answer_that_is_not_the_api_s_leaves_a_send_uncertain() {
    let bridge = Messenger::new();
    let request = render(&bridge, &to(USER, text("x"))).unwrap();
    for (status, body) in [(200, "<html>"), (200, "{}"), (502, "<html>Bad Gateway"), (503, "")] {
        let failure = failure(bridge.interpret(&request, &answer(status, body.as_bytes())));
        assert_eq!(failure.certainty, Certainty::MaybeSent, "{status} {body}");
    }
    let error = br#"{"error":{"message":"x","code":551}}"#;
    let refused = failure(bridge.interpret(&request, &answer(200, error)));
    assert_eq!((refused.class.as_str(), refused.code), ("recipient", Some(551)));
    let number = br#"{"recipient_id":"1","message_id":123456789012345678901}"#;
    assert_eq!(sent(bridge.interpret(&request, &answer(200, number))), ["123456789012345678901"]);
}

/// PLATFORMS.md section 5: 1/1357046 means that the messages were sent although an error came back.
#[test]
fn the_error_that_says_it_was_sent_is_not_sent_again() {
    let bridge = Messenger::new();
    let request = render(&bridge, &to(USER, text("x"))).unwrap();
    let body = br#"{"error":{"message":"x","code":1,"error_subcode":1357046}}"#;
    let failure = failure(bridge.interpret(&request, &answer(500, body)));
    assert_eq!(failure.certainty, Certainty::Sent);
}

/// PLATFORMS.md sections 4, 6 and 8.
#[test]
fn the_capabilities_are_those_of_the_fact_sheet() {
    let bridge = Messenger::new();
    let capabilities = bridge.capabilities(interline_relay::ChatKind::Direct);
    for media in [Image, Video, Audio, Document] {
        let rule = capabilities.media_rule(media).unwrap();
        assert_eq!((rule.per_message_max, rule.caption), (1, None), "{media:?}");
        assert!(rule.by_url && rule.by_upload, "{media:?}");
    }
    assert!(capabilities.media_rule(Voice).is_none() && capabilities.media_rule(Sticker).is_none());
    assert!(capabilities.media_rule(Image).unwrap().takes("image/gif"));
    assert!(!capabilities.media_rule(Image).unwrap().takes("image/webp"));
    assert_eq!(capabilities.reaction, interline_relay::ReactionRule::Any);
    assert_eq!(capabilities.marker_bytes_max, Some(999));
}
