//! The Send API of Messenger and Instagram: what it takes, what it refuses, what a person then sees.

use interline_sandbox::{Content, Kind, MediaKind, Platform};
use serde_json::{Value, json};

use crate::hook::{Hook, IG, IGSID, LIMIT, PAGE, PSID, call, code, phone, png, send, start};
use crate::webhooks::updates;
use crate::whatsapp::host;

fn to(platform: &Platform, message: Value) -> Value {
    let person = if platform.kind() == Kind::Instagram { IGSID } else { PSID };
    json!({"recipient": {"id": person}, "message": message})
}

async fn refused(platform: &Platform, body: Value) -> (u64, Option<u64>) {
    let (status, answer) = send(platform, &body).await;
    assert_eq!(status, 400, "{body} was answered {answer}");
    code(&answer)
}

#[tokio::test]
async fn a_text_is_echoed_with_the_marker_on_messenger_and_without_on_instagram() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in [platforms.messenger(), platforms.instagram()] {
        let (status, answer) =
            send(platform, &to(platform, json!({"text": "hi", "metadata": "ours-1"}))).await;
        assert_eq!((status, &answer["recipient_id"]), (200, &json!(phone(platform).id())));
        let seen = phone(platform).wait_for_received(1, LIMIT).await.unwrap().remove(0);
        assert_eq!(json!(seen.native_id), answer["message_id"]);
    }
    let all = updates(&hook.wait_for_taken(3).await);
    let echo = |account: &str| {
        let found = all.iter().find(|update| update["sender"]["id"] == account).unwrap();
        found["message"].clone()
    };
    assert_eq!(echo(PAGE)["metadata"], "ours-1");
    assert!(echo(PAGE)["app_id"].is_u64() && echo(PAGE)["is_echo"] == json!(true));
    assert!(echo(IG).get("metadata").is_none() && echo(IG)["is_echo"] == json!(true));
    let delivery = all.iter().find(|update| update.get("delivery").is_some()).unwrap();
    assert_eq!(delivery["delivery"]["mids"], json!([echo(PAGE)["mid"]]));
    assert_eq!(all.len(), 3, "Instagram tells of no delivery");
}

#[tokio::test]
async fn messenger_counts_characters_and_instagram_bytes() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let (messenger, instagram) = (platforms.messenger(), platforms.instagram());
    let text = |platform: &Platform, text: String| to(platform, json!({"text": text}));
    assert_eq!(send(messenger, &text(messenger, "ä".repeat(2000))).await.0, 200);
    assert_eq!(refused(messenger, text(messenger, "ä".repeat(2001))).await, (100, None));
    assert_eq!(send(instagram, &text(instagram, "ä".repeat(500))).await.0, 200);
    assert_eq!(refused(instagram, text(instagram, "ä".repeat(501))).await, (100, None));
    assert_eq!(phone(instagram).received().len(), 1);
    let long = json!({"text": "x", "metadata": "m".repeat(1001)});
    assert_eq!(refused(messenger, to(messenger, long)).await, (100, None));
}

#[tokio::test]
async fn bad_requests_get_the_platforms_own_errors() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let (messenger, instagram) = (platforms.messenger(), platforms.instagram());
    let both =
        json!({"recipient": {"id": PSID}, "message": {"text": "x"}, "sender_action": "typing_on"});
    let stranger = json!({"recipient": {"id": "1"}, "message": {"text": "x"}});
    let mut tagged = to(messenger, json!({"text": "x"}));
    tagged["messaging_type"] = json!("MESSAGE_TAG");
    tagged["tag"] = json!("ACCOUNT_UPDATE");
    let by_id =
        |id: &str| json!({"attachment": {"type": "image", "payload": {"attachment_id": id}}});
    let cases = [
        (messenger, both, (100, Some(2_018_014))),
        (messenger, stranger.clone(), (100, Some(2_018_001))),
        (instagram, stranger, (100, Some(2_534_014))),
        (messenger, json!({"message": {"text": "x"}}), (100, None)),
        (messenger, tagged, (100, None)),
        (messenger, to(messenger, json!({"text": "x", "reply_to": {"mid": "m"}})), (100, None)),
        (messenger, to(messenger, json!({})), (100, None)),
        (messenger, to(messenger, json!({"text": ""})), (100, None)),
        (messenger, to(messenger, by_id("5")), (100, Some(2_018_074))),
        (messenger, json!({"recipient": {"id": PSID}, "sender_action": "dance"}), (100, None)),
        (
            instagram,
            to(instagram, json!({"attachment": {"type": "sticker"}})),
            (100, Some(2_534_015)),
        ),
    ];
    for (platform, body, wanted) in cases {
        assert_eq!(refused(platform, body.clone()).await, wanted, "{body}");
    }
    assert!(phone(messenger).view().is_empty() && phone(instagram).view().is_empty());
}

#[tokio::test]
async fn attachments_come_by_url_and_their_failures_are_told_at_once() {
    let hook = Hook::start().await;
    let (base, _host) = host().await;
    let platforms = start(&hook).await;
    let file = |kind: &str, path: &str| {
        let payload = json!({"url": format!("{base}{path}"), "is_reusable": true});
        json!({"attachment": {"type": kind, "payload": payload}})
    };
    for platform in [platforms.messenger(), platforms.instagram()] {
        let (status, answer) = send(platform, &to(platform, file("image", "/pic.png"))).await;
        assert_eq!(status, 200, "{answer}");
        assert!(phone(platform).received()[0].media().unwrap().is(&png()));
        // The saved id can be sent again.
        let again = json!({"attachment": {"type": "image", "payload": {"attachment_id": answer["attachment_id"]}}});
        assert_eq!(send(platform, &to(platform, again)).await.0, 200);
        let gone = refused(platform, to(platform, file("image", "/none.png"))).await;
        assert_eq!(gone, (100, Some(2_018_008)));
        assert_eq!(phone(platform).received().len(), 2);
    }
    let (messenger, instagram) = (platforms.messenger(), platforms.instagram());
    assert_eq!(
        refused(messenger, to(messenger, file("audio", "/note.txt"))).await,
        (100, Some(2_018_047))
    );
    assert_eq!(send(messenger, &to(messenger, file("file", "/note.txt"))).await.0, 200);
    assert_eq!(
        refused(instagram, to(instagram, file("file", "/note.txt"))).await,
        (100, Some(2_534_015))
    );
    assert_eq!(send(instagram, &to(instagram, file("file", "/doc.pdf"))).await.0, 200);
}

#[tokio::test]
async fn a_file_can_be_uploaded_first_or_with_the_message() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    let token = messenger.accounts()[0].config().unwrap().access_token;
    let part =
        || reqwest::multipart::Part::bytes(png()).mime_str("image/png").unwrap().file_name("a.png");
    let message = r#"{"attachment":{"type":"image","payload":{"is_reusable":true}}}"#;
    let post = async |path: &str, form: reqwest::multipart::Form| {
        let url = format!("{}/{path}?access_token={token}", messenger.api_url());
        let request = reqwest::Client::new().post(url).multipart(form);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let form = reqwest::multipart::Form::new().text("message", message).part("filedata", part());
    let saved = post("me/message_attachments", form).await;
    let by_id = json!({"attachment": {"type": "image", "payload": {"attachment_id": saved["attachment_id"]}}});
    assert_eq!(send(messenger, &to(messenger, by_id)).await.0, 200);
    let form = reqwest::multipart::Form::new()
        .text("recipient", format!(r#"{{"id":"{PSID}"}}"#))
        .text("messaging_type", "RESPONSE")
        .text("message", message)
        .part("filedata", part());
    let sent = post("me/messages", form).await;
    assert!(sent["message_id"].is_string() && sent["attachment_id"].is_string(), "{sent}");
    let view = phone(messenger).received();
    assert_eq!(view.len(), 2);
    assert!(view.iter().all(|seen| seen.media().is_some_and(|media| media.is(&png()))));
}

#[tokio::test]
async fn instagram_shows_up_to_ten_images_in_one_message() {
    let hook = Hook::start().await;
    let (base, _host) = host().await;
    let platforms = start(&hook).await;
    let instagram = platforms.instagram();
    let image = json!({"type": "image", "payload": {"url": format!("{base}/pic.png")}});
    let several = |count: usize| to(instagram, json!({"attachments": vec![image.clone(); count]}));
    assert_eq!(send(instagram, &several(10)).await.0, 200);
    let view = phone(instagram).received();
    let Content::Album(album) = &view[0].content else { panic!("{view:?}") };
    assert!(album.len() == 10 && album.iter().all(|media| media.kind == MediaKind::Image));
    assert_eq!(refused(instagram, several(11)).await, (100, Some(2_534_015)));
    assert_eq!(
        send(instagram, &to(instagram, json!({"attachment": {"type": "like_heart"}}))).await.0,
        200
    );
    assert_eq!(phone(instagram).received()[1].content, Content::Heart);
}

#[tokio::test]
async fn sender_actions_type_read_and_react_and_have_no_message_id() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in [platforms.messenger(), platforms.instagram()] {
        let person = phone(platform);
        let id = person.say("hi").unwrap();
        let action = |action: &str, payload: Value| {
            let recipient = json!({"id": person.id()});
            json!({"recipient": recipient, "sender_action": action, "payload": payload})
        };
        for name in ["typing_on", "mark_seen"] {
            let (status, answer) = send(platform, &action(name, json!({}))).await;
            assert_eq!((status, answer), (200, json!({"recipient_id": person.id()})));
        }
        assert!(person.sees_typing() && person.view()[0].read);
        send(platform, &action("typing_off", json!({}))).await;
        assert!(!person.sees_typing());
        send(platform, &action("react", json!({"message_id": id, "reaction": "love"}))).await;
        assert_eq!(person.view()[0].reaction.as_deref(), Some("❤️"));
        let other =
            send(platform, &action("react", json!({"message_id": id, "reaction": "🎉"}))).await;
        if platform.kind() == Kind::Messenger {
            assert_eq!((other.0, person.view()[0].reaction.as_deref()), (200, Some("🎉")));
        } else {
            assert_eq!((other.0, code(&other.1)), (400, (100, Some(2_534_015))));
        }
        send(platform, &action("unreact", json!({"message_id": id}))).await;
        assert_eq!(person.view()[0].reaction, None);
    }
}

#[tokio::test]
async fn a_reply_stands_beside_the_message_and_profiles_are_given() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in [platforms.messenger(), platforms.instagram()] {
        let id = phone(platform).say("hi").unwrap();
        let mut reply = to(platform, json!({"text": "yes?"}));
        reply["reply_to"] = json!({"mid": id});
        let path = format!("{}/messages", platform.accounts()[0].id());
        assert_eq!(call(platform, &path, &reply).await.0, 200);
        assert_eq!(phone(platform).received()[0].quotes.as_deref(), Some(id.as_str()));
        let url = format!("{}/{}", platform.base_url(), phone(platform).id());
        let token = platform.accounts()[0].config().unwrap().access_token;
        let request = reqwest::Client::new()
            .get(url)
            .query(&[("fields", "name,first_name"), ("access_token", &token)]);
        let profile: Value = request.send().await.unwrap().json().await.unwrap();
        let name = if platform.kind() == Kind::Messenger {
            &profile["first_name"]
        } else {
            &profile["name"]
        };
        assert!(matches!(name.as_str(), Some("Mia" | "Ina Sample")), "{profile}");
    }
}

#[tokio::test]
async fn a_profile_has_the_fields_that_were_asked_for_and_the_id() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    let url = format!("{}/{}", messenger.base_url(), phone(messenger).id());
    let token = messenger.accounts()[0].config().unwrap().access_token;
    for (fields, expected) in [
        (None, json!({"first_name": "Mia", "last_name": "Sample", "id": PSID})),
        (
            Some("id,name, last_name"),
            json!({"name": "Mia Sample", "last_name": "Sample", "id": PSID}),
        ),
        (Some("locale"), json!({"id": PSID})),
    ] {
        let mut request = reqwest::Client::new().get(&url).bearer_auth(&token);
        if let Some(fields) = fields {
            request = request.query(&[("fields", fields)]);
        }
        let mut profile: Value = request.send().await.unwrap().json().await.unwrap();
        // Without fields a picture comes, too.
        let picture = profile.as_object_mut().unwrap().remove("profile_pic");
        assert_eq!((profile, picture.is_some()), (expected, fields.is_none()), "{fields:?}");
    }
}
