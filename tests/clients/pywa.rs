//! `pywa` against the simulated WhatsApp.

use crate::support::{Client, Language, NUMBER, SAM, Screen, assert_has, platforms, png, sending};
use interline_sandbox::{Content, Person, Platforms, Seen};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn what_pywa_sends_the_phone_shows_and_what_it_does_wrongly_it_is_told() {
    let platforms = platforms().await;
    let whatsapp = platforms.whatsapp();
    let sam = whatsapp.phones().remove(0);
    let (setting, _host) = sending(whatsapp).await;
    let Some(client) = Client::start(Language::Python, "pywa_sends.py", &setting) else { return };
    let screen = Screen { results: client.results().await, seen: sam.view() };

    let text = screen.shown("text");
    assert_eq!((text.text(), text.marker.as_deref()), (Some("hello"), Some("ours-1")));
    assert_eq!(screen.shown("reply").quotes.as_deref(), setting["said"].as_str());
    for (step, caption) in [("link", "by link"), ("bytes", "by bytes")] {
        let image = screen.shown(step);
        assert!(image.media().unwrap().is(&png()) && image.text() == Some(caption), "{image:#?}");
    }
    assert_eq!(screen.titles("buttons"), ["Tea", "Coffee"]);
    let Content::Location(place) = &screen.shown("location").content else { panic!("{screen:#?}") };
    assert_eq!((place.latitude, place.name.as_deref()), (52.5, Some("Here")));
    assert_eq!(screen.seen[0].reaction.as_deref(), Some("👍"));
    assert!(screen.seen[0].read && sam.typings_seen() == 1);
    let Content::Template(template) = &screen.shown("template").content else {
        panic!("{screen:#?}")
    };
    assert_eq!(template["name"], "hello_world");
    assert_eq!(screen.seen.len(), 8, "no refused message is shown: {screen:#?}");

    let results = &screen.results;
    assert!(results["read"] == true && results["typing"] == true, "{results:#}");
    let media = screen.seen.iter().find_map(Seen::media).unwrap();
    let expected = json!({"mime": "image/png", "size": png().len(), "sha256": media.sha256});
    assert_eq!(results["media"], expected);
    assert_eq!(results["download"], hex::encode(png()));
    assert_eq!(results["deleted"], true);
    assert_eq!(results["gone"], json!({"code": 100, "subcode": 33, "status": 400}));
    assert_eq!(results["number"], json!({"id": NUMBER, "shown": "15550009999"}));

    for (step, class, code, status) in [
        ("no_such_token", "ExpiredAccessToken", 190, 401),
        ("too_long", "WhatsAppError", 100, 400),
        ("no_such_media", "InvalidParameter", 131_009, 400),
    ] {
        let error = &results[step];
        assert_eq!(error["class"], class, "{step}: {error}");
        assert_eq!((&error["code"], &error["status"]), (&json!(code), &json!(status)), "{error}");
        assert!(error["trace"].is_string(), "{error}");
    }
    assert_eq!(results["no_such_media"]["details"], "Media with ID 1234567890 does not exist.");
    platforms.stop().await;
}

/// A program that hears, and whose webhook is subscribed.
async fn hearing(platforms: &Platforms) -> Option<Client> {
    Client::hearing(Language::Python, "pywa_hears.py", platforms.whatsapp()).await
}

#[tokio::test]
async fn what_a_person_says_pywa_parses_from_the_signed_webhook() {
    let platforms = platforms().await;
    let Some(mut client) = hearing(&platforms).await else { return };
    let sam = platforms.whatsapp().phones().remove(0);
    let said = sam.say("hello").unwrap();
    let hello = json!({"type": "text", "text": "hello", "id": said, "replies_to": null});
    assert_has(&client.line().await, hello);
    sam.reply(&said, "grüße").unwrap();
    let whole = json!({"text": "grüße", "replies_to": said, "name": "Sam Sample", "wa_id": SAM});
    assert_has(&client.line().await, whole);
    sam.location(52.5, 13.4, Some("Here"), None).unwrap();
    assert_has(&client.line().await, json!({"type": "location", "place": [52.5, "Here"]}));
    let card = json!({"name": {"formatted_name": "Ann"}, "phones": [{"phone": "+1555"}]});
    sam.contacts(vec![card]).unwrap();
    assert_has(&client.line().await, json!({"type": "contacts", "contacts": ["Ann"]}));
    sam.react(&said, "🎉").unwrap();
    assert_has(&client.line().await, json!({"type": "reaction", "reaction": ["🎉", said]}));
    sam.unreact(&said).unwrap();
    assert_has(&client.line().await, json!({"type": "reaction", "reaction": [null, said]}));
    sam.unsupported("poll").unwrap();
    assert_has(&client.line().await, json!({"type": "unsupported", "text": null}));
    sam.edit(&said, "edited").unwrap();
    assert_has(&client.line().await, json!({"type": "unsupported", "text": null}));
    platforms.whatsapp().change_settings(|settings| settings.native_edits = true);
    sam.edit(&said, "edited again").unwrap();
    assert_has(&client.line().await, json!({"type": "edited", "id": said, "text": "edited again"}));
    sam.unsend(&said).unwrap();
    assert_has(&client.line().await, json!({"type": "deleted", "id": said}));
    platforms.stop().await;
}

#[tokio::test]
async fn a_person_who_hides_the_number_pywa_hears_and_answers_by_the_scoped_id() {
    let platforms = platforms().await;
    let Some(mut client) = hearing(&platforms).await else { return };
    let scoped = "US.13490000000000000007";
    let person = Person {
        username: Some("robin.sample".to_owned()),
        bsuid: Some(scoped.to_owned()),
        hides_phone: true,
        ..Person::new("15550004444", "Robin Sample")
    };
    let robin = platforms.whatsapp().add_phone(NUMBER, person).unwrap();
    robin.say("hello").unwrap();
    let hello = json!({"text": "hello", "wa_id": null, "bsuid": scoped, "name": "Robin Sample"});
    assert_has(&client.line().await, hello);
    client.tell(scoped).await;
    let status = json!({"type": "status", "status": "sent", "tracker": "ours-1"});
    assert_has(&client.line().await, status);
    assert_eq!(robin.received_texts(), ["Which?"]);
    platforms.stop().await;
}

#[tokio::test]
async fn what_a_person_attaches_pywa_downloads() {
    let platforms = platforms().await;
    let Some(mut client) = hearing(&platforms).await else { return };
    let sam = platforms.whatsapp().phones().remove(0);
    let file = |kind: &str, mime: &str, text: Option<&str>| json!({"type": kind, "mime": mime, "bytes": hex::encode(png()), "text": text});
    sam.photo(png(), "image/png", Some("look")).unwrap();
    assert_has(&client.line().await, file("image", "image/png", Some("look")));
    sam.sticker(png(), false).unwrap();
    assert_has(&client.line().await, file("sticker", "image/webp", None));
    sam.voice(png()).unwrap();
    assert_has(&client.line().await, file("audio", "audio/ogg; codecs=opus", None));
    sam.document(png(), "application/pdf", "a.pdf", Some("read")).unwrap();
    assert_has(&client.line().await, file("document", "application/pdf", Some("read")));
    platforms.stop().await;
}

#[tokio::test]
async fn a_media_url_that_pywa_kept_is_stale_after_five_minutes_and_a_new_one_is_had_by_id() {
    let platforms = platforms().await;
    let Some(mut client) = hearing(&platforms).await else { return };
    let sam = platforms.whatsapp().phones().remove(0);
    sam.photo(png(), "image/png", None).unwrap();
    let heard = client.line().await;
    let (id, url) = (heard["media"][0].as_str().unwrap(), heard["media"][1].as_str().unwrap());
    for (minutes, status) in [(4, 200), (2, 404)] {
        platforms.clock().advance(Duration::from_secs(60 * minutes));
        client.tell(&format!("fetch {id} {url}")).await;
        let fetched = json!({"type": "fetched", "status": status, "fresh": hex::encode(png())});
        assert_has(&client.line().await, fetched);
    }
    platforms.stop().await;
}

#[tokio::test]
async fn what_becomes_of_a_message_pywa_hears_with_its_tracker() {
    let platforms = platforms().await;
    let Some(mut client) = hearing(&platforms).await else { return };
    let sam = platforms.whatsapp().phones().remove(0);
    client.tell(SAM).await;
    for status in ["sent", "delivered"] {
        let line = json!({"type": "status", "status": status, "tracker": "ours-1"});
        assert_has(&client.line().await, line);
    }
    sam.read().unwrap();
    assert_has(&client.line().await, json!({"type": "status", "status": "read"}));
    let asked = sam.received().remove(0).native_id;
    sam.tap(&asked, "c").unwrap();
    let tap = json!({"type": "tap", "data": "c", "title": "Coffee", "replies_to": asked});
    assert_has(&client.line().await, tap);
    platforms.stop().await;
}

#[tokio::test]
async fn a_webhook_with_a_wrong_signature_pywa_refuses_until_it_comes_signed_rightly() {
    let platforms = platforms().await;
    let Some(mut client) = hearing(&platforms).await else { return };
    platforms.whatsapp().accounts()[0].sign_wrongly(1);
    let said = platforms.whatsapp().phones()[0].say("hello").unwrap();
    assert_has(&client.line().await, json!({"type": "refused", "status": 403}));
    assert_has(&client.line().await, json!({"type": "text", "id": said, "text": "hello"}));
    platforms.stop().await;
}
