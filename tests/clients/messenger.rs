//! `messaging-api-messenger` and `@warriorteam/messenger-sdk` against the simulated Messenger.

use crate::support::{Client, Language, MIA, PAGE, Screen, assert_has, platforms, png, sending};
use serde_json::json;

#[tokio::test]
async fn what_messaging_api_sends_the_phone_shows_and_what_it_does_wrongly_it_is_told() {
    let platforms = platforms().await;
    let messenger = platforms.messenger();
    let mia = messenger.phones().remove(0);
    let (setting, _host) = sending(messenger).await;
    let client = Client::start(Language::Node, "messaging_api_sends.cjs", &setting);
    let Some(client) = client else { return };
    let screen = Screen { results: client.results().await, seen: mia.view() };

    assert_eq!(screen.shown("text").text(), Some("hello"));
    assert_eq!(screen.shown("reply").quotes.as_deref(), setting["said"].as_str());
    for step in ["link", "bytes", "upload", "upload_of_link"] {
        assert!(screen.shown(step).media().unwrap().is(&png()), "{step}: {screen:#?}");
    }
    assert_eq!(screen.titles("choices"), ["Tea"]);
    assert_eq!(screen.titles("template"), ["Coffee"]);
    assert!(screen.seen[0].read && mia.typings_seen() == 1);
    assert_eq!(screen.seen.len(), 9, "no refused message is shown: {screen:#?}");

    let results = &screen.results;
    assert_eq!((&results["typing"], &results["read"]), (&json!(MIA), &json!(MIA)));
    assert_eq!(results["page"]["id"], PAGE);
    assert_eq!(results["profile"]["name"], "Mia Sample");
    assert_eq!(
        (&results["profile"]["firstName"], &results["profile"]["id"]),
        (&json!("Mia"), &json!(MIA))
    );
    for (step, code, subcode) in [
        ("no_such_token", 190, None),
        ("wrong_proof", 100, None),
        ("too_long", 100, None),
        ("no_such_person", 100, Some(2_018_001)),
    ] {
        let refused = &results[step];
        let error = &refused["body"]["error"];
        assert_eq!((&refused["status"], &error["code"]), (&json!(400), &json!(code)), "{refused}");
        assert_eq!(error["errorSubcode"].as_u64(), subcode, "{refused}");
        let words = format!("Messenger API - {code} OAuthException");
        assert!(refused["message"].as_str().unwrap().starts_with(&words), "{refused}");
    }
    platforms.stop().await;
}

#[tokio::test]
async fn what_warriorteam_sends_the_phone_shows_and_what_it_does_wrongly_it_is_told() {
    let platforms = platforms().await;
    let messenger = platforms.messenger();
    let mia = messenger.phones().remove(0);
    let (setting, _host) = sending(messenger).await;
    let client = Client::start(Language::Node, "warriorteam_sends.cjs", &setting);
    let Some(client) = client else { return };
    let screen = Screen { results: client.results().await, seen: mia.view() };

    let text = screen.shown("text");
    assert_eq!((text.text(), text.marker.as_deref()), (Some("hello"), Some("ours-1")));
    assert_eq!(screen.shown("reply").quotes.as_deref(), setting["said"].as_str());
    for step in ["link", "upload"] {
        assert!(screen.shown(step).media().unwrap().is(&png()), "{step}: {screen:#?}");
    }
    assert_eq!(screen.titles("template"), ["Coffee"]);
    assert!(screen.seen[0].reaction.is_some() && screen.seen[0].read, "{screen:#?}");
    assert_eq!(mia.typings_seen(), 1);
    assert_eq!(screen.seen.len(), 6, "no refused message is shown: {screen:#?}");

    let results = &screen.results;
    for step in ["reaction", "typing", "read"] {
        assert_eq!(results[step], MIA, "{step}: {results:#}");
    }
    let profile = json!({"id": MIA, "first_name": "Mia", "last_name": "Sample"});
    assert_eq!(results["profile"], profile);
    for (step, code, subcode) in [
        ("no_such_token", 190, None),
        ("no_such_person", 100, Some(2_018_001)),
        ("no_such_attachment", 100, Some(2_018_074)),
    ] {
        let error = &results[step];
        assert_eq!((&error["status"], &error["code"]), (&json!(400), &json!(code)), "{error}");
        assert_eq!(error["subcode"].as_u64(), subcode, "{error}");
        assert_eq!(error["type"], "OAuthException", "{error}");
    }
    platforms.stop().await;
}

#[tokio::test]
async fn what_a_person_says_warriorteam_tells_apart_from_the_signed_webhook() {
    let platforms = platforms().await;
    let messenger = platforms.messenger();
    let client = Client::hearing(Language::Node, "warriorteam_hears.cjs", messenger).await;
    let Some(mut client) = client else { return };
    let mia = messenger.phones().remove(0);
    let said = mia.say("grüße").unwrap();
    let whole = json!({"event": "message", "id": said, "text": "grüße", "from": MIA, "types": []});
    assert_has(&client.line().await, whole);
    mia.reply(&said, "again").unwrap();
    assert_has(&client.line().await, json!({"text": "again", "replies_to": said}));
    mia.photo(png(), "image/png", None).unwrap();
    let image = client.line().await;
    assert_has(&image, json!({"event": "message", "types": ["image"]}));
    assert!(image["urls"][0].as_str().unwrap().starts_with(messenger.base_url()), "{image}");
    for (action, done) in [("react", mia.react(&said, "🎉")), ("unreact", mia.unreact(&said))] {
        done.unwrap();
        let reaction = json!({"event": "reaction", "action": action, "emoji": "🎉", "id": said});
        assert_has(&client.line().await, reaction);
    }
    mia.edit(&said, "edited").unwrap();
    assert_has(&client.line().await, json!({"event": "edit", "id": said, "text": "edited"}));
    mia.tap_quick_reply("t", "Tea").unwrap();
    assert_has(&client.line().await, json!({"event": "message", "text": "Tea", "payload": "t"}));
    messenger.accounts()[0].sign_wrongly(1);
    let signed = mia.say("signed").unwrap();
    assert_has(&client.line().await, json!({"refused": true}));
    assert_has(&client.line().await, json!({"event": "message", "id": signed, "text": "signed"}));
    platforms.stop().await;
}
