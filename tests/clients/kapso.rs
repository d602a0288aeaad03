//! `@kapso/whatsapp-cloud-api` against the simulated WhatsApp.

use crate::support::{Client, Language, NUMBER, SAM, Screen, assert_has, platforms, png, sending};
use interline_sandbox::Content;
use serde_json::json;

#[tokio::test]
async fn what_kapso_sends_the_phone_shows_and_what_it_does_wrongly_it_is_told() {
    let platforms = platforms().await;
    let whatsapp = platforms.whatsapp();
    let sam = whatsapp.phones().remove(0);
    let (setting, _host) = sending(whatsapp).await;
    let Some(client) = Client::start(Language::Node, "kapso_sends.cjs", &setting) else { return };
    let screen = Screen { results: client.results().await, seen: sam.view() };

    let text = screen.shown("text");
    assert_eq!((text.text(), text.marker.as_deref()), (Some("hello"), Some("ours-1")));
    assert_eq!(screen.shown("reply").quotes.as_deref(), setting["said"].as_str());
    for (step, caption) in [("link", "by link"), ("upload", "by upload")] {
        let image = screen.shown(step);
        assert!(image.media().unwrap().is(&png()) && image.text() == Some(caption), "{image:#?}");
    }
    assert_eq!(screen.titles("buttons"), ["Tea", "Coffee"]);
    let Content::Contacts(cards) = &screen.shown("contacts").content else { panic!("{screen:#?}") };
    assert_eq!(cards[0]["name"]["formatted_name"], "Ann");
    assert_eq!(screen.seen[0].reaction.as_deref(), Some("👍"));
    assert!(screen.seen[0].read && sam.typings_seen() == 1);
    assert_eq!(screen.seen.len(), 7, "no refused message is shown: {screen:#?}");

    let results = &screen.results;
    assert_eq!(results["read"], true);
    assert_eq!(results["media"], json!({"mime": "image/png", "size": png().len()}));
    assert_eq!(results["download"], hex::encode(png()));
    assert_eq!(results["without_token"], 401, "the file needs the token too");
    assert_eq!(results["deleted"], true);
    for (step, category, code, status) in [
        ("no_such_token", "authorization", 190, 401),
        ("too_long", "parameter", 100, 400),
        ("deleted_media", "parameter", 131_009, 400),
    ] {
        let error = &results[step];
        assert_eq!(error["category"], category, "{step}: {error}");
        assert_eq!((&error["code"], &error["status"]), (&json!(code), &json!(status)), "{error}");
    }
    platforms.stop().await;
}

#[tokio::test]
async fn what_a_person_says_kapso_normalises_from_the_signed_webhook() {
    let platforms = platforms().await;
    let whatsapp = platforms.whatsapp();
    let client = Client::hearing(Language::Node, "kapso_hears.cjs", whatsapp).await;
    let Some(mut client) = client else { return };
    let sam = whatsapp.phones().remove(0);
    let said = sam.say("grüße").unwrap();
    let whole = json!({
        "id": said, "type": "text", "text": {"body": "grüße"}, "from": SAM, "name": "Sam Sample",
        "account": NUMBER, "kapso": {"direction": "inbound"},
    });
    assert_has(&client.line().await, whole);
    sam.reply(&said, "again").unwrap();
    assert_has(&client.line().await, json!({"context": {"from": SAM, "id": said}}));
    sam.photo(png(), "image/png", Some("look")).unwrap();
    let image = client.line().await;
    assert_has(&image["image"], json!({"mimeType": "image/png", "caption": "look"}));
    sam.react(&said, "🎉").unwrap();
    let reaction = json!({"reaction": {"emoji": "🎉", "messageId": said}});
    assert_has(&client.line().await, reaction);
    sam.unsend(&said).unwrap();
    assert_has(&client.line().await, json!({"revoke": {"originalMessageId": said}}));
    whatsapp.accounts()[0].sign_wrongly(1);
    let signed = sam.say("signed").unwrap();
    assert_has(&client.line().await, json!({"refused": true}));
    assert_has(&client.line().await, json!({"id": signed, "text": {"body": "signed"}}));
    platforms.stop().await;
}
