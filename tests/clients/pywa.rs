//! `pywa` against the simulated WhatsApp.

use crate::support::{Client, Language, NUMBER, host, platforms, png, setting};
use interline_sandbox::{Content, Seen};
use serde_json::json;

#[tokio::test]
async fn what_pywa_sends_the_phone_shows_and_what_it_does_wrongly_it_is_told() {
    let platforms = platforms().await;
    let whatsapp = platforms.whatsapp();
    let sam = whatsapp.phones().remove(0);
    let said = sam.say("I said this").unwrap();
    let (link, _host) = host().await;
    let mut setting = setting(whatsapp);
    setting["said"] = json!(said);
    setting["link"] = json!(link);
    setting["picture"] = json!(hex::encode(png()));
    let Some(client) = Client::start(Language::Python, "pywa_sends.py", &setting) else { return };
    let results = client.results().await;

    let screen = sam.view();
    let shown = |step: &str| {
        let found = screen.iter().find(|seen| results[step] == seen.native_id);
        found.unwrap_or_else(|| panic!("{step}: {results:#} {screen:#?}"))
    };
    let text = shown("text");
    assert_eq!((text.text(), text.marker.as_deref()), (Some("hello"), Some("ours-1")));
    assert_eq!(shown("reply").quotes.as_ref(), Some(&said));
    for (step, caption) in [("link", "by link"), ("bytes", "by bytes")] {
        let image: &Seen = shown(step);
        assert!(image.media().unwrap().is(&png()) && image.text() == Some(caption), "{image:#?}");
    }
    let Content::Choices { choices, .. } = &shown("buttons").content else { panic!("{screen:#?}") };
    let titles: Vec<_> = choices.iter().map(|choice| choice.title.as_str()).collect();
    assert_eq!(titles, ["Tea", "Coffee"]);
    let Content::Location(place) = &shown("location").content else { panic!("{screen:#?}") };
    assert_eq!((place.latitude, place.name.as_deref()), (52.5, Some("Here")));
    assert_eq!(screen[0].reaction.as_deref(), Some("👍"));
    assert!(screen[0].read && results["read"] == true);
    assert!(results["typing"] == true && sam.typings_seen() == 1);
    assert_eq!(screen.len(), 7, "no refused message is shown: {screen:#?}");

    let media = screen.iter().find_map(Seen::media).unwrap();
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
