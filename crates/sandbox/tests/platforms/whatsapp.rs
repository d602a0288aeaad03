//! WhatsApp's Send API: what it takes, what it refuses, what a person then sees.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use interline_sandbox::{AccountConfig, Content, MediaKind, Person, Platform};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::hook::{Hook, LIMIT, NUMBER, SAM, code, phone, png, send, start};
use crate::webhooks::updates;

fn body(kind: &str, content: Value) -> Value {
    json!({"messaging_product": "whatsapp", "to": format!("+{SAM}"), "type": kind, kind: content})
}

async fn refused(platform: &Platform, body: Value) -> u64 {
    let (status, answer) = send(platform, &body).await;
    assert_eq!(status, 400, "{body} was answered {answer}");
    code(&answer).0
}

/// A host with a picture, a text and a picture that is too big for WhatsApp.
pub(crate) async fn host() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/pic.png", get(|| async { ([(CONTENT_TYPE, "image/png")], png()) }))
        .route("/note.txt", get(|| async { ([(CONTENT_TYPE, "text/plain")], "a note") }))
        .route("/doc.pdf", get(|| async { ([(CONTENT_TYPE, "application/pdf")], "%PDF") }))
        .route("/slow.png", get(std::future::pending::<String>));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, tasks)
}

async fn upload(platform: &Platform, bytes: Vec<u8>, mime: &str, name: &str) -> (u16, Value) {
    let part = reqwest::multipart::Part::bytes(bytes).mime_str(mime).unwrap();
    let form = reqwest::multipart::Form::new()
        .text("messaging_product", "whatsapp")
        .text("type", mime.to_owned())
        .part("file", part.file_name(name.to_owned()));
    let token = platform.accounts()[0].config().unwrap().access_token;
    let url = format!("{}/{NUMBER}/media", platform.api_url());
    let request = reqwest::Client::new().post(url).bearer_auth(token).multipart(form);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_text_is_answered_shown_and_reported_with_its_marker() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let mut text = body("text", json!({"body": "hello"}));
    text["biz_opaque_callback_data"] = json!("ours-1");
    let (status, answer) = send(platforms.whatsapp(), &text).await;
    let id = answer["messages"][0]["id"].as_str().unwrap();
    assert_eq!(status, 200);
    assert_eq!(answer["contacts"], json!([{"input": "+15550001111", "wa_id": "15550001111"}]));
    let seen = phone(platforms.whatsapp()).wait_for_received(1, LIMIT).await.unwrap().remove(0);
    assert_eq!(
        (seen.native_id.as_str(), seen.text(), seen.marker.as_deref()),
        (id, Some("hello"), Some("ours-1"))
    );
    let statuses = updates(&hook.wait_for_taken(2).await);
    for (status, state) in statuses.iter().zip(["sent", "delivered"]) {
        assert_eq!((&status["status"], &status["id"]), (&json!(state), &json!(id)));
        assert_eq!(status["biz_opaque_callback_data"], "ours-1");
        assert_eq!(status["recipient_id"], SAM);
    }
    platforms.stop().await;
}

#[tokio::test]
async fn texts_and_captions_have_their_limits_in_characters() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    assert_eq!(send(whatsapp, &body("text", json!({"body": "ä".repeat(4096)}))).await.0, 200);
    assert_eq!(refused(whatsapp, body("text", json!({"body": "ä".repeat(4097)}))).await, 100);
    assert_eq!(refused(whatsapp, body("text", json!({"body": ""}))).await, 131_008);
    let (_, media) = upload(whatsapp, png(), "image/png", "a.png").await;
    let image = |caption: String| body("image", json!({"id": media["id"], "caption": caption}));
    assert_eq!(send(whatsapp, &image("ä".repeat(1024))).await.0, 200);
    assert_eq!(refused(whatsapp, image("ä".repeat(1025))).await, 100);
    assert_eq!(phone(whatsapp).received().len(), 2);
}

#[tokio::test]
async fn bad_requests_get_the_platforms_own_errors() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let without = |key: &str| {
        let mut body = body("text", json!({"body": "x"}));
        body.as_object_mut().unwrap().remove(key);
        body
    };
    let with = |key: &str, value: Value| {
        let mut body = body("text", json!({"body": "x"}));
        body[key] = value;
        body
    };
    let cases = [
        (without("messaging_product"), 131_008),
        (with("messaging_product", json!("sms")), 100),
        (without("to"), 131_008),
        (with("to", json!("not a number")), 131_009),
        (with("to", json!("+15550009999")), 131_021),
        (without("text"), 131_008),
        (with("text", json!("x")), 100),
        (with("type", json!("hologram")), 131_051),
        (body("audio", json!({"id": "1", "caption": "no"})), 100),
        (body("image", json!({"id": "123"})), 131_009),
        (body("image", json!({})), 131_008),
        (body("location", json!({"latitude": "x", "longitude": 1})), 131_009),
        (body("location", json!({"latitude": 91, "longitude": 1})), 131_009),
        (body("contacts", json!([{"phones": []}])), 131_008),
        (body("reaction", json!({"message_id": "wamid.none", "emoji": "😀"})), 131_009),
        (
            json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.none"}),
            131_009,
        ),
        (json!({"messaging_product": "whatsapp", "status": "unread", "message_id": "x"}), 100),
    ];
    for (body, wanted) in cases {
        assert_eq!(refused(whatsapp, body.clone()).await, wanted, "{body}");
    }
    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    for garbage in ["", "{", "[1]", "\u{0}\u{1}", &nested, &"x".repeat(4 << 20)] {
        let url = format!("{}/{NUMBER}/messages", whatsapp.api_url());
        let token = whatsapp.accounts()[0].config().unwrap().access_token;
        let request = reqwest::Client::new().post(url).bearer_auth(token).body(garbage.to_owned());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(matches!(code(&answer).0, 100 | 131_008), "{answer}");
    }
    assert!(phone(whatsapp).view().is_empty());
    assert_eq!(whatsapp.counts().accepted, 0);
}

#[tokio::test]
async fn a_reaction_replaces_the_one_before_and_an_empty_one_removes_it() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let sam = phone(whatsapp);
    let id = sam.say("hi").unwrap();
    let react = |emoji: &str| body("reaction", json!({"message_id": id, "emoji": emoji}));
    for (emoji, shown) in [("😀", Some("😀")), ("👩‍👩‍👧‍👦", Some("👩‍👩‍👧‍👦")), ("", None)]
    {
        let (status, answer) = send(whatsapp, &react(emoji)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(sam.view()[0].reaction.as_deref(), shown);
    }
    for bad in ["ok", "x", "😀😀"] {
        assert_eq!(refused(whatsapp, react(bad)).await, 131_009);
    }
    let mut with_context = react("😀");
    with_context["context"] = json!({"message_id": id});
    assert_eq!(refused(whatsapp, with_context).await, 131_009);
    // Only `sent` follows a reaction.
    platforms.idle().await;
    let states = updates(&hook.wait_for_taken(4).await);
    assert_eq!(states.iter().filter(|update| update["status"] == "sent").count(), 3);
    assert_eq!(states.len(), 4);
    assert_eq!(sam.view().len(), 1, "a reaction is no message on the screen");
}

#[tokio::test]
async fn uploads_are_sent_by_id_and_shown_with_their_bytes() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let sent = [
        ("image", png(), "image/png", json!({"caption": "c"}), MediaKind::Image),
        (
            "audio",
            b"OggS".to_vec(),
            "audio/ogg; codecs=opus",
            json!({"voice": true}),
            MediaKind::Voice,
        ),
        ("audio", b"ID3".to_vec(), "audio/mpeg", json!({}), MediaKind::Audio),
        ("video", b"mp4".to_vec(), "video/mp4", json!({}), MediaKind::Video),
        (
            "document",
            b"%PDF".to_vec(),
            "application/pdf",
            json!({"filename": "x.pdf"}),
            MediaKind::Document,
        ),
        ("sticker", b"RIFF".to_vec(), "image/webp", json!({}), MediaKind::Sticker),
    ];
    for (kind, bytes, mime, mut content, _) in sent.clone() {
        let (status, media) = upload(whatsapp, bytes, mime, "file.bin").await;
        assert_eq!(status, 200, "{media}");
        content["id"] = media["id"].clone();
        let (status, answer) = send(whatsapp, &body(kind, content)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let view = phone(whatsapp).received();
    for (seen, (_, bytes, mime, _, kind)) in view.iter().zip(sent) {
        let media = seen.media().unwrap();
        assert!(media.is(&bytes) && media.kind == kind && media.mime == mime, "{media:?}");
    }
    assert_eq!(view[4].media().unwrap().filename.as_deref(), Some("x.pdf"));
    let (status, answer) =
        upload(whatsapp, b"MZ".to_vec(), "application/x-msdownload", "a.exe").await;
    assert_eq!((status, code(&answer).0), (400, 100));
}

#[tokio::test]
async fn a_link_is_fetched_and_one_that_cannot_be_fetched_fails_later() {
    let hook = Hook::start().await;
    let (base, _host) = host().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let link = |path: &str| body("image", json!({"link": format!("{base}{path}")}));
    assert_eq!(send(whatsapp, &link("/pic.png")).await.0, 200);
    let seen = phone(whatsapp).wait_for_received(1, LIMIT).await.unwrap();
    assert!(seen[0].media().unwrap().is(&png()));
    whatsapp.change_settings(|settings| settings.fetch_timeout = Duration::from_millis(100));
    for path in ["/none.png", "/slow.png", "/note.txt"] {
        let (status, answer) = send(whatsapp, &link(path)).await;
        assert_eq!(status, 200, "{answer}");
    }
    platforms.idle().await;
    let statuses = updates(&hook.wait_for_taken(5).await);
    let failed: Vec<&Value> =
        statuses.iter().filter(|status| status["status"] == "failed").collect();
    assert_eq!(failed.len(), 3);
    for status in failed {
        assert_eq!(status["errors"][0]["code"], 131_053);
    }
    assert_eq!(phone(whatsapp).received().len(), 1);
}

#[tokio::test]
async fn location_contacts_and_templates_are_shown_as_they_were_sent() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let place = json!({"latitude": "37.44", "longitude": "-122.16", "name": "Philz", "address": "101 Forest Ave"});
    let card = json!([{"name": {"formatted_name": "Casey"}, "phones": [{"phone": "+1555"}]}]);
    let template = json!({"name": "hello", "language": {"code": "en_US"}});
    send(whatsapp, &body("location", place)).await;
    send(whatsapp, &body("contacts", card.clone())).await;
    let (_, answer) = send(whatsapp, &body("template", template.clone())).await;
    assert_eq!(answer["messages"][0]["message_status"], "accepted");
    let view = phone(whatsapp).received();
    let Content::Location(location) = &view[0].content else { panic!("{view:?}") };
    assert_eq!((location.latitude, location.name.as_deref()), (37.44, Some("Philz")));
    assert_eq!(view[1].content, Content::Contacts(card.as_array().unwrap().clone()));
    assert_eq!(view[2].content, Content::Template(template));
}

#[tokio::test]
async fn reading_marks_that_message_and_those_before_it_and_typing_comes_with_it() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let sam = phone(whatsapp);
    let ids: Vec<String> = ["1", "2", "3"].map(|text| sam.say(text).unwrap()).into();
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": ids[1],
        "typing_indicator": {"type": "text"}});
    assert_eq!(send(whatsapp, &read).await, (200, json!({"success": true})));
    let read: Vec<bool> = sam.view().iter().map(|seen| seen.read).collect();
    assert_eq!(read, [true, true, false]);
    assert!(sam.sees_typing() && sam.typings_seen() == 1);
    send(whatsapp, &body("text", json!({"body": "done"}))).await;
    assert!(!sam.sees_typing());
}

#[tokio::test]
async fn a_reply_quotes_and_a_stranger_is_undeliverable() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let id = phone(whatsapp).say("hi").unwrap();
    let mut reply = body("text", json!({"body": "yes?"}));
    reply["context"] = json!({"message_id": id});
    send(whatsapp, &reply).await;
    assert_eq!(phone(whatsapp).received()[0].quotes.as_deref(), Some(id.as_str()));
    let stranger =
        json!({"messaging_product": "whatsapp", "to": "+1 (555) 000-7777", "text": {"body": "?"}});
    let (status, answer) = send(whatsapp, &stranger).await;
    assert_eq!((status, &answer["contacts"][0]["wa_id"]), (200, &json!("15550007777")));
    let all = updates(&hook.wait_for_taken(4).await);
    let failed = all.iter().find(|update| update["status"] == "failed").unwrap();
    assert_eq!(failed["errors"][0]["code"], 131_026);
    assert_eq!(failed["id"], answer["messages"][0]["id"]);
}

#[tokio::test]
async fn tokens_are_checked_and_numbers_may_share_one() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let mut second = AccountConfig::new("106540352242923").with(Person::new(SAM, "Sam"));
    second.access_token = format!("sandbox-token-{NUMBER}");
    whatsapp.add_account(second).unwrap();
    whatsapp.add_account(AccountConfig::new("9")).unwrap();
    let post = async |path: &str, token: &str| {
        let url = format!("{}/{path}/messages", whatsapp.base_url());
        let request = reqwest::Client::new().post(url).query(&[("access_token", token)]);
        let response = request.json(&body("text", json!({"body": "x"}))).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let token = format!("sandbox-token-{NUMBER}");
    assert_eq!(post(NUMBER, &token).await.0, 200);
    assert_eq!(post("106540352242923", &token).await.0, 200);
    assert_eq!(
        whatsapp.account("106540352242923").unwrap().phone(SAM).unwrap().received().len(),
        1
    );
    let (status, answer) = post(NUMBER, "wrong").await;
    assert_eq!((status, code(&answer)), (401, (190, None)));
    let (status, answer) = post("9", &token).await;
    assert_eq!((status, code(&answer)), (400, (100, Some(33))));
    whatsapp.account(NUMBER).unwrap().revoke_token(463);
    let (status, answer) = post(NUMBER, &token).await;
    assert_eq!((status, code(&answer)), (401, (190, Some(463))));
    whatsapp.account(NUMBER).unwrap().restore_token();
    assert_eq!(post(NUMBER, &token).await.0, 200);
}

#[tokio::test]
async fn a_file_is_given_and_deleted_only_on_the_number_that_is_named() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let (_, media) = upload(whatsapp, png(), "image/png", "a.png").await;
    let url = format!("{}/{}", whatsapp.api_url(), media["id"].as_str().unwrap());
    let token = whatsapp.accounts()[0].config().unwrap().access_token;
    let ask = async |method: reqwest::Method, number: &str| {
        let request = reqwest::Client::new().request(method, &url).bearer_auth(&token);
        let request = request.query(&[("phone_number_id", number)]);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(reqwest::Method::GET, "106540352242999").await, 400);
    assert_eq!(ask(reqwest::Method::DELETE, "106540352242999").await, 400);
    assert_eq!(ask(reqwest::Method::GET, NUMBER).await, 200);
    assert_eq!(ask(reqwest::Method::DELETE, NUMBER).await, 200);
    assert_eq!(ask(reqwest::Method::GET, NUMBER).await, 400);
}
