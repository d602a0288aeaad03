//! Every send fixture is what `render` makes of the matching intent, every response is read, every error is
//! classified. PLATFORMS.md sections 1, 4, 5 and 6.

use crate::sending::{
    answer, body_of, by_id, by_url, failure, quick, render, sent, text, to, to_nobody, upload,
};
use crate::support;
use interline_bridge_api::{Bridge, Certainty, RequestBody};
use interline_envelope::MediaKind::{Audio, Document, Image, Video};
use interline_instagram::Instagram;
use interline_relay::{
    Action, MediaRule, MessagingType, Outgoing, ReactionRule, Recipient, ThreadControl, UploadSpec,
};
use serde_json::{Value, json};

const USER: &str = "1700000000000001";

fn mid(fixture: &Value) -> &str {
    let place = fixture.pointer("/payload/message_id").or_else(|| fixture.pointer("/reply_to/mid"));
    place.and_then(Value::as_str).unwrap()
}

/// What is meant by each request fixture. The mid of another message is taken from the fixture itself.
fn intent(name: &str, fixture: &Value) -> Outgoing {
    let me = |action| to(USER, action);
    let url = |media, name: &str| by_url(media, &format!("https://cdn.example.com/{name}"));
    let response =
        |action| Outgoing { messaging_type: Some(MessagingType::Response), ..me(action) };
    let reaction = |emoji: Option<&str>| Action::Reaction {
        message: mid(fixture).into(),
        emoji: emoji.map(Into::into),
    };
    match name {
        "attachment_upload" => to_nobody(upload(Some("https://cdn.example.com/pic.jpg"))),
        "audio_url" => me(Action::Media(vec![url(Audio, "a.m4a")])),
        "file_url" => me(Action::Media(vec![url(Document, "a.pdf")])),
        "human_agent_tag" => Outgoing {
            messaging_type: Some(MessagingType::Tag("HUMAN_AGENT".to_owned())),
            ..me(text("A person answers within 7 days"))
        },
        "image_url" => me(Action::Media(vec![url(Image, "pic.jpg")])),
        "images_mixed_url_and_id" => {
            me(Action::Media(vec![url(Image, "1.jpg"), by_id(Image, "1857777774821032")]))
        }
        "images_several" => me(Action::Media(vec![url(Image, "1.jpg"), url(Image, "2.jpg")])),
        "like_heart" => me(Action::Heart),
        "mark_seen" => me(Action::MarkRead { message: None }),
        "media_share" => me(Action::SharePost("17900000000000002".to_owned())),
        "private_reply_comment" => Outgoing::new(
            Recipient::Comment("17850000000000001".into()),
            text("Thanks for the comment"),
        ),
        "quick_replies" => {
            response(quick("Pick one", &[("Yes", "P_YES", None), ("No", "P_NO", None)]))
        }
        "react_love" => me(reaction(Some("❤️"))),
        "unreact" => me(reaction(None)),
        "template_generic" => me(Action::Interactive(json!({
            "template_type": "generic",
            "elements": [{
                "title": "Welcome!",
                "image_url": "https://cdn.example.com/hat.jpg",
                "subtitle": "Hats",
                "buttons": [
                    {"type": "web_url", "url": "https://www.example.com", "title": "View Website"},
                    {"type": "postback", "title": "Start Chatting", "payload": "P"}]}]}))),
        "text" => me(text("Hello from the account")),
        "text_reply_to" => Outgoing { reply_to: Some(mid(fixture).into()), ..me(text("TEXT")) },
        "thread_control_release" => {
            response(Action::ThreadControl(ThreadControl::Release { text: "done".into() }))
        }
        "typing_on" => me(Action::Typing { on: true, message: None }),
        "video_url" => me(Action::Media(vec![url(Video, "a.mp4")])),
        other => panic!("no intent is written down for {other}"),
    }
}

#[test]
fn every_request_fixture_is_what_render_makes_of_its_intent() {
    let Some(files) = support::files("instagram/send") else { return };
    assert_eq!(files.len(), 25);
    let bridge = Instagram::new();
    let mut compared = 0;
    for (name, body) in files {
        let Some(name) = name.strip_suffix(".request.json") else { continue };
        let expected: Value = serde_json::from_slice(&body).unwrap();
        let request = render(&bridge, &intent(name, &expected)).unwrap();
        assert_eq!(body_of(&request), expected, "{name}");
        let path = if name == "attachment_upload" { "message_attachments" } else { "messages" };
        assert_eq!(request.route, format!("104500000000001/{path}"), "the linked page's id sends");
        compared += 1;
    }
    assert_eq!(compared, 20);
}

#[test]
fn every_response_fixture_is_read_and_gives_the_ids_it_has() {
    let Some(files) = support::files("instagram/send") else { return };
    let bridge = Instagram::new();
    let message = render(&bridge, &to(USER, text("x"))).unwrap();
    let action = render(&bridge, &to(USER, Action::MarkRead { message: None })).unwrap();
    let upload = render(&bridge, &to_nobody(upload(None))).unwrap();
    for (name, body) in files {
        let Some(name) = name.strip_suffix(".response.json") else { continue };
        let (request, key) = match name {
            // Nothing renders a profile request yet; its answer is the profile service's to read.
            "profile_get" => continue,
            "sender_action" => (&action, "message_id"),
            "attachment_upload" => (&upload, "attachment_id"),
            _ => (&message, "message_id"),
        };
        let ids = sent(bridge.interpret(request, &answer(200, &body)));
        let fixture: Value = serde_json::from_slice(&body).unwrap();
        let expected: Vec<&str> = fixture.get(key).and_then(Value::as_str).into_iter().collect();
        assert_eq!(ids, expected, "{name}");
        assert_eq!(ids.is_empty(), name == "sender_action", "{name}");
    }
}

#[test]
fn every_error_fixture_has_the_class_of_the_fact_sheet() {
    let Some(root) = support::fixtures() else { return };
    let classes = std::fs::read(root.join("ERROR_CLASSES.json")).unwrap();
    let classes: Value = serde_json::from_slice(&classes).unwrap();
    let bridge = Instagram::new();
    let request = render(&bridge, &to(USER, text("x"))).unwrap();
    let mut compared = 0;
    for entry in classes["files"].as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        if !file.starts_with("instagram/") {
            continue;
        }
        let body = std::fs::read(root.join(file)).unwrap();
        let status = u16::try_from(entry["http_status"].as_u64().unwrap()).unwrap();
        let failure = failure(bridge.interpret(&request, &answer(status, &body)));
        assert_eq!(failure.class.as_str(), entry["class"].as_str().unwrap(), "{file}");
        assert_eq!(failure.certainty, Certainty::NotSent, "{file}");
        compared += 1;
    }
    assert_eq!(compared, 18);
}

/// PLATFORMS.md section 6, "reaction ← us": `love`; other emoji are not documented.
#[test]
fn only_the_heart_is_a_reaction_with_or_without_its_variation_selector() {
    let bridge = Instagram::new();
    let react = |emoji: &str| {
        let action = Action::Reaction { message: "m".into(), emoji: Some(emoji.into()) };
        render(&bridge, &to(USER, action))
    };
    for heart in ["❤️", "❤"] {
        assert_eq!(body_of(&react(heart).unwrap())["payload"]["reaction"], "love");
    }
    for other in ["👍", "🧡", "💔", "love", "❤️‍🔥"] {
        assert!(react(other).unwrap_err().to_string().contains("heart"), "{other}");
    }
}

/// PLATFORMS.md section 4: up to 10 images in one message, images only.
#[test]
fn ten_images_fit_into_one_message_and_nothing_else_does() {
    let bridge = Instagram::new();
    let images = |count| vec![by_url(Image, "https://h/a.png"); count];
    assert!(render(&bridge, &to(USER, Action::Media(images(10)))).is_ok());
    let eleven = render(&bridge, &to(USER, Action::Media(images(11)))).unwrap_err();
    assert!(eleven.to_string().contains("limit of 10 images"), "{eleven}");
    let mixed = vec![by_url(Image, "https://h/a.png"), by_url(Video, "https://h/a.mp4")];
    assert!(render(&bridge, &to(USER, Action::Media(mixed))).is_err());
}

/// PLATFORMS.md section 4, "file names": non-ASCII names are rejected on upload.
#[test]
fn a_file_is_uploaded_for_instagram_under_an_ascii_name() {
    let spec = UploadSpec {
        media: Document,
        mime: "application/pdf".to_owned(),
        filename: "Rechnung №1.pdf".into(),
        url: None,
    };
    let request = render(&Instagram::new(), &to_nobody(Action::Upload(spec))).unwrap();
    let RequestBody::Multipart { fields, file } = &request.body else { panic!("it is a form") };
    assert_eq!(file.filename, "Rechnung _1.pdf");
    assert!(fields.contains(&("platform".to_owned(), "instagram".to_owned())));
    assert!(fields.iter().any(|(key, value)| key == "message" && value.contains("\"file\"")));
}

#[test]
fn what_instagram_does_not_take_is_refused() {
    let bridge = Instagram::new();
    for action in [
        Action::PlatformSticker("369239263222822".to_owned()),
        Action::Template(json!({})),
        Action::Contacts(Vec::new()),
        Action::LocateMedia("1".into()),
    ] {
        assert!(render(&bridge, &to(USER, action)).is_err());
    }
    let by_ref = Outgoing::new(Recipient::UserRef("u".into()), text("x"));
    assert!(render(&bridge, &by_ref).is_err());
}

/// PLATFORMS.md sections 4, 6 and 8.
#[test]
fn the_capabilities_are_those_of_the_fact_sheet() {
    let bridge = Instagram::new();
    let capabilities = bridge.capabilities(interline_relay::ChatKind::Direct);
    let rule = |media| -> &MediaRule { capabilities.media_rule(media).unwrap() };
    assert_eq!((rule(Image).per_message_max, rule(Image).bytes_max), (10, 8_000_000));
    assert!(rule(Audio).takes("audio/mp4") && !rule(Audio).takes("audio/ogg; codecs=opus"));
    assert!(rule(Document).takes("application/pdf") && !rule(Document).takes("text/plain"));
    assert_eq!(capabilities.reaction, ReactionRule::Only(vec!["❤".to_owned()]));
    assert_eq!(capabilities.media.len(), 4, "neither voice notes nor stickers");
    assert_eq!(capabilities.marker_bytes_max, None);
}
