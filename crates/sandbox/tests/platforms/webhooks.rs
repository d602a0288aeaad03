//! What people do, as the daemon hears it.

use interline_sandbox::{InstagramForm, Kind, Person, PhoneError, Platform, signature};
use serde_json::{Value, json};

use crate::hook::{Hook, IG, LIMIT, NUMBER, PAGE, call, phone, png, start};

/// Every update in the bodies, in order.
pub(crate) fn updates(bodies: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    for entry in bodies.iter().flat_map(|body| body["entry"].as_array().unwrap()) {
        for event in entry["messaging"].as_array().into_iter().flatten() {
            all.push(event.clone());
        }
        for change in entry["changes"].as_array().into_iter().flatten() {
            let value = &change["value"];
            if value.get("sender").is_some() {
                all.push(value.clone());
            }
            for list in ["messages", "statuses"] {
                all.extend(value[list].as_array().into_iter().flatten().cloned());
            }
        }
    }
    all
}

async fn heard(hook: &Hook, count: usize) -> Vec<Value> {
    updates(&hook.wait_for_taken(count).await)
}

async fn get(platform: &Platform, url: &str, token: bool) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(url);
    if token {
        request = request.bearer_auth(platform.accounts()[0].config().unwrap().access_token);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_text_is_posted_signed_and_byte_for_byte_as_meta_writes_it() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let id = phone(platforms.whatsapp()).say("äöå 👍 https://example.com/a").unwrap();
    let post = hook.wait_for(|posts| posts.len() == 1).await.remove(0);
    let raw = String::from_utf8(post.body.to_vec()).unwrap();
    assert!(raw.contains(r#"\u00e4\u00f6\u00e5 \ud83d\udc4d https:\/\/example.com\/a"#), "{raw}");
    assert!(!raw.contains('\n') && !raw.contains(": "), "{raw}");
    assert_eq!(post.signature, signature(&format!("sandbox-secret-{NUMBER}"), &post.body));
    let message = updates(&[post.json()]).remove(0);
    assert_eq!(message["id"], json!(id));
    assert!(message["timestamp"].as_str().unwrap().len() == 10);
    assert!(message["from_user_id"].as_str().unwrap().starts_with("US."));
    platforms.stop().await;
}

#[tokio::test]
async fn a_username_user_hides_the_phone_number_and_keeps_the_scoped_id() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let mut person = Person::new("15550003333", "Robin Fixture");
    person.hides_phone = true;
    person.username = Some("robin.fixture".into());
    person.bsuid = Some("US.13490000000000000001".into());
    platforms.whatsapp().add_phone(NUMBER, person).unwrap().say("hi").unwrap();
    let value = hook.wait_for_taken(1).await[0]["entry"][0]["changes"][0]["value"].clone();
    assert!(
        value["messages"][0].get("from").is_none() && value["contacts"][0].get("wa_id").is_none()
    );
    assert_eq!(value["contacts"][0]["user_id"], "US.13490000000000000001");
    assert_eq!(value["contacts"][0]["profile"]["username"], "robin.fixture");
    let to = json!({"messaging_product": "whatsapp", "recipient": "US.13490000000000000001",
        "type": "text", "text": {"body": "Hello"}});
    let (status, body) = call(platforms.whatsapp(), &format!("{NUMBER}/messages"), &to).await;
    assert_eq!((status, &body["contacts"][0]["user_id"]), (200, &json!("US.13490000000000000001")));
    assert!(body["contacts"][0].get("wa_id").is_none());
    let robin = platforms.whatsapp().phone("15550003333").unwrap();
    assert_eq!(robin.wait_for_received(1, LIMIT).await.unwrap()[0].text(), Some("Hello"));
}

#[tokio::test]
async fn whatsapp_media_is_named_in_the_webhook_and_fetched_with_the_token() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    phone(whatsapp).photo(png(), "image/png", Some("look")).unwrap();
    let image = heard(&hook, 1).await[0]["image"].clone();
    assert_eq!((&image["caption"], &image["mime_type"]), (&json!("look"), &json!("image/png")));
    assert!(image["sha256"].as_str().unwrap().ends_with('='), "base64: {image}");
    let url = image["url"].as_str().unwrap();
    assert_eq!(get(whatsapp, url, false).await.status(), 401);
    assert_eq!(get(whatsapp, url, true).await.bytes().await.unwrap(), png());
    let info_url = format!("{}/{}", whatsapp.api_url(), image["id"].as_str().unwrap());
    let info: Value = get(whatsapp, &info_url, true).await.json().await.unwrap();
    assert_eq!(info["sha256"].as_str().unwrap().len(), 64, "hex: {info}");
    let bytes = get(whatsapp, info["url"].as_str().unwrap(), true).await.bytes().await.unwrap();
    assert_eq!(bytes, png());
    let forged = url.replace("hash=", "hash=0");
    assert_eq!(get(whatsapp, &forged, true).await.status(), 404);
}

#[tokio::test]
async fn a_stale_media_url_is_gone_and_a_new_one_is_had_by_id() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    phone(whatsapp).photo(png(), "image/png", None).unwrap();
    let image = heard(&hook, 1).await[0]["image"].clone();
    // The lifetime is in the URL itself, signed: one that has run out is one that was given out in the past.
    let url = image["url"].as_str().unwrap();
    let (before, after) = url.split_once("ext=").unwrap();
    let (_, rest) = after.split_once('&').unwrap();
    assert_eq!(get(whatsapp, &format!("{before}ext=1000&{rest}"), true).await.status(), 404);
    let id = image["id"].as_str().unwrap();
    let info = get(whatsapp, &format!("{}/{id}", whatsapp.base_url()), true).await;
    assert_eq!(info.status(), 200);
}

#[tokio::test]
async fn messenger_and_instagram_media_is_a_url_that_needs_no_token() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in [platforms.messenger(), platforms.instagram()] {
        phone(platform).photo(png(), "image/png", None).unwrap();
    }
    for (platform, event) in [(platforms.messenger(), PAGE), (platforms.instagram(), IG)]
        .map(|(platform, account)| (platform, account))
    {
        let all = heard(&hook, 2).await;
        let event = all.iter().find(|found| found["recipient"]["id"] == event).unwrap();
        let url = event["message"]["attachments"][0]["payload"]["url"].as_str().unwrap();
        let response = get(platform, url, false).await;
        assert_eq!(response.headers()["content-type"], "image/png");
        assert_eq!(response.bytes().await.unwrap(), png());
        assert_eq!(
            get(platform, &url.replace("oh=", "oh=x").replace("ature=", "ature=x"), false)
                .await
                .status(),
            403
        );
    }
}

#[tokio::test]
async fn a_document_keeps_its_name_where_the_platform_keeps_it() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    phone(platforms.whatsapp())
        .document(&b"%PDF"[..], "application/pdf", "bill.pdf", None)
        .unwrap();
    assert_eq!(heard(&hook, 1).await[0]["document"]["filename"], "bill.pdf");
    phone(platforms.messenger())
        .document(&b"%PDF"[..], "application/pdf", "my bill.pdf", None)
        .unwrap();
    let url = heard(&hook, 2).await[1]["message"]["attachments"][0]["payload"]["url"].clone();
    assert!(url.as_str().unwrap().contains("/my%20bill.pdf?"), "{url}");
}

#[tokio::test]
async fn reply_reaction_edit_unsend_and_read_share_a_mid_on_instagram() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let ina = phone(platforms.instagram());
    let id = ina.say("teh").unwrap();
    let reply = ina.reply(&id, "again").unwrap();
    assert_eq!(ina.react(&id, "❤️").unwrap(), id);
    ina.react(&id, "🔥").unwrap();
    ina.unreact(&id).unwrap();
    assert_eq!(ina.edit(&id, "the").unwrap(), id);
    assert_eq!(ina.unsend(&reply).unwrap(), reply);
    let all = heard(&hook, 7).await;
    assert_eq!(all[1]["message"]["reply_to"], json!({"mid": id}));
    assert_eq!(
        all[2]["reaction"],
        json!({"mid": id, "action": "react", "emoji": "❤️", "reaction": "love"})
    );
    assert_eq!(all[3]["reaction"], json!({"mid": id, "action": "react", "emoji": "🔥"}));
    assert_eq!(all[4]["reaction"], json!({"mid": id, "action": "unreact"}));
    assert_eq!(all[5]["message_edit"], json!({"mid": id, "text": "the", "num_edit": 1}));
    assert_eq!(all[6]["message"], json!({"mid": reply, "is_deleted": true}));
    let view = ina.view();
    assert!(
        view[0].edited
            && view[0].text() == Some("the")
            && view[1].unsent
            && view[0].my_reaction.is_none()
    );
}

#[tokio::test]
async fn whatsapp_reactions_edits_and_unsends_have_ids_of_their_own() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let sam = phone(platforms.whatsapp());
    let id = sam.say("teh").unwrap();
    let others = [
        sam.react(&id, "😮").unwrap(),
        sam.unreact(&id).unwrap(),
        sam.edit(&id, "the").unwrap(),
        sam.unsend(&id).unwrap(),
        sam.reply(&id, "why").unwrap(),
    ];
    assert!(others.iter().all(|other| *other != id));
    let all = heard(&hook, 6).await;
    assert_eq!(all[1]["reaction"], json!({"message_id": id, "emoji": "😮"}));
    assert_eq!(all[2]["reaction"], json!({"message_id": id, "emoji": ""}));
    assert_eq!(
        (&all[3]["type"], &all[3]["unsupported"]),
        (&json!("unsupported"), &json!({"type": "edit"}))
    );
    assert_eq!(all[4]["revoke"], json!({"original_message_id": id}));
    assert_eq!(all[5]["context"], json!({"from": "15550001111", "id": id}));
}

#[tokio::test]
async fn what_a_platform_does_not_have_is_an_error_and_no_webhook() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let (mia, ina) = (phone(platforms.messenger()), phone(platforms.instagram()));
    let own = mia.say("mine").unwrap();
    let tried = [
        ina.location(1.0, 2.0, None, None),
        ina.sticker(png(), false),
        ina.photo(png(), "image/png", Some("caption")),
        mia.contacts(vec![json!({})]),
        mia.unsend(&own),
        phone(platforms.whatsapp()).heart(),
    ];
    for result in tried {
        assert!(matches!(result, Err(PhoneError::NotOnThisPlatform { .. })), "{result:?}");
    }
    assert!(matches!(mia.reply("m_none", "?"), Err(PhoneError::NoSuchMessage { .. })));
    platforms.idle().await;
    assert_eq!(hook.posts().len(), 1);
    assert_eq!(mia.view().len() + ina.view().len(), 1);
}

#[tokio::test]
async fn instagram_has_two_forms_of_webhook() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let instagram = platforms.instagram();
    instagram.change_settings(|settings| settings.instagram_form = InstagramForm::Changes);
    phone(instagram).say("hi").unwrap();
    let body = hook.wait_for_taken(1).await.remove(0);
    let change = &body["entry"][0]["changes"][0];
    assert_eq!(
        (&change["field"], &change["value"]["message"]["text"]),
        (&json!("messages"), &json!("hi"))
    );
    assert_eq!(change["value"]["timestamp"].as_str().unwrap().len(), 10);
}

#[tokio::test]
async fn choices_that_were_sent_can_be_tapped() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let buttons = json!({"messaging_product": "whatsapp", "to": "+15550001111", "type": "interactive",
        "interactive": {"type": "button", "body": {"text": "When?"}, "action": {"buttons": [
            {"type": "reply", "reply": {"id": "now", "title": "Now"}},
            {"type": "reply", "reply": {"id": "later", "title": "Later"}}]}}});
    crate::hook::send(platforms.whatsapp(), &buttons).await;
    let sam = phone(platforms.whatsapp());
    let shown = sam.wait_for_received(1, LIMIT).await.unwrap().remove(0);
    sam.tap(&shown.native_id, "later").unwrap();
    let unknown = sam.tap(&shown.native_id, "never");
    assert!(matches!(unknown, Err(PhoneError::NoSuchChoice { .. })), "{unknown:?}");
    let all = heard(&hook, 3).await;
    let tap = all.iter().find(|update| update["type"] == "interactive").unwrap();
    assert_eq!(tap["interactive"]["button_reply"], json!({"id": "later", "title": "Later"}));
    assert_eq!(tap["context"]["id"], json!(shown.native_id));
    phone(platforms.messenger()).tap_quick_reply("P_RED", "Red").unwrap();
    let all = heard(&hook, 4).await;
    let tap = all.iter().find(|update| update["message"]["quick_reply"].is_object()).unwrap();
    assert_eq!(
        (&tap["message"]["text"], &tap["message"]["quick_reply"]["payload"]),
        (&json!("Red"), &json!("P_RED"))
    );
}

#[tokio::test]
async fn reading_sends_receipts_in_each_platforms_way() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let mut ids = Vec::new();
    for platform in platforms.all() {
        platform.change_settings(|settings| {
            settings.receipts.sent = false;
            settings.receipts.delivered = false;
        });
        let (status, body) =
            crate::hook::send(platform, &crate::hook::text(platform, "hello")).await;
        assert_eq!(status, 200, "{body}");
        let id = match platform.kind() {
            Kind::WhatsApp => body["messages"][0]["id"].clone(),
            Kind::Messenger | Kind::Instagram => body["message_id"].clone(),
        };
        ids.push(id);
        assert_eq!(phone(platform).read().unwrap(), 1);
        assert_eq!(phone(platform).read().unwrap(), 0, "what was read is not read again");
    }
    let all = heard(&hook, 3).await;
    let status = all.iter().find(|update| update["status"] == "read").unwrap();
    assert_eq!((&status["id"], &status["biz_opaque_callback_data"]), (&ids[0], &json!("marker-1")));
    let read = |account: &str| {
        all.iter().find(|update| update["recipient"]["id"] == account).unwrap()["read"].clone()
    };
    assert!(read(PAGE)["watermark"].is_u64());
    assert_eq!(read(IG), json!({"mid": ids[2]}));
}
