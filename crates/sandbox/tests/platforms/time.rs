//! The platforms' clock, and what goes by it: messaging windows, limits, usage headers, and giving up on a webhook.

use std::time::Duration;

use interline_sandbox::{
    Fault, Kind, Limits, Order, PairLimit, Person, Platform, Platforms, Usage,
};
use serde_json::{Value, json};

use crate::hook::{
    Hook, LIMIT, NUMBER, PAGE, PSID, code, phone, png, quick, send, start, text, try_send,
};
use crate::webhooks::updates;

const HOUR: Duration = Duration::from_secs(3_600);

/// A send that a closed window refuses at once.
async fn refused(platform: &Platform, body: &Value) -> (u16, u64, Option<u64>) {
    let (status, answer) = send(platform, body).await;
    let (code, subcode) = code(&answer);
    (status, code, subcode)
}

/// The statuses that were posted, as `(status, code)`.
async fn statuses(platforms: &Platforms, hook: &Hook) -> Vec<(String, u64)> {
    tokio::time::timeout(LIMIT, platforms.idle()).await.unwrap();
    let bodies: Vec<Value> = hook.posts().iter().map(crate::hook::Post::json).collect();
    let updates = updates(&bodies).into_iter();
    updates
        .filter_map(|update| {
            let status = update["status"].as_str()?.to_owned();
            Some((status, update["errors"][0]["code"].as_u64().unwrap_or(0)))
        })
        .collect()
}

#[tokio::test]
async fn a_closed_window_on_whatsapp_is_told_later_as_a_failed_status_and_lets_templates_through() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    assert!(phone(whatsapp).window_is_open());
    platforms.clock().advance(24 * HOUR + Duration::from_secs(1));
    assert!(!phone(whatsapp).window_is_open());
    let (status, answer) = send(whatsapp, &text(whatsapp, "too late")).await;
    let id = answer["messages"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(status, 200);
    assert!(phone(whatsapp).received().is_empty());
    assert_eq!(statuses(&platforms, &hook).await, [("failed".to_owned(), 131_047)]);
    let failed = &updates(&[hook.posts()[0].json()])[0];
    assert_eq!(
        (&failed["id"], &failed["biz_opaque_callback_data"]),
        (&json!(id), &json!("marker-1"))
    );
    assert!(failed["errors"][0]["error_data"]["details"].as_str().unwrap().contains("24 hours"));
    let template = json!({
        "messaging_product": "whatsapp", "to": phone(whatsapp).id(), "type": "template",
        "template": {"name": "hello_world", "language": {"code": "en_US"}},
    });
    let (status, answer) = send(whatsapp, &template).await;
    assert_eq!((status, &answer["messages"][0]["message_status"]), (200, &json!("accepted")));
    assert_eq!(phone(whatsapp).received().len(), 1);
    phone(whatsapp).say("here I am").unwrap();
    assert_eq!(send(whatsapp, &text(whatsapp, "in time")).await.0, 200);
    assert_eq!(phone(whatsapp).received_texts(), ["in time"]);
}

#[tokio::test]
async fn a_closed_window_on_messenger_and_instagram_is_refused_at_once() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for (platform, status, subcode) in
        [(platforms.messenger(), 400, 2_018_278), (platforms.instagram(), 403, 2_534_022)]
    {
        phone(platform).close_window();
        let refused = refused(platform, &text(platform, "too late")).await;
        assert_eq!(refused, (status, 10, Some(subcode)));
        let mut tagged = text(platform, "by a person");
        tagged["messaging_type"] = json!("MESSAGE_TAG");
        tagged["tag"] = json!("HUMAN_AGENT");
        assert_eq!(send(platform, &tagged).await.0, 200, "a person may answer for seven days");
        assert_eq!(phone(platform).received_texts(), ["by a person"]);
    }
    platforms.clock().advance(7 * 24 * HOUR);
    let messenger = platforms.messenger();
    let mut tagged = text(messenger, "too late even so");
    tagged["messaging_type"] = json!("MESSAGE_TAG");
    tagged["tag"] = json!("HUMAN_AGENT");
    assert_eq!(refused(messenger, &tagged).await, (400, 10, Some(2_018_278)));
    let utility = json!({
        "recipient": {"id": PSID}, "messaging_type": "UTILITY",
        "message": {"template": {"name": "order", "language": {"code": "en"}}},
    });
    assert_eq!(send(messenger, &utility).await.0, 200);
    let mut wordy = text(messenger, "no template");
    wordy["messaging_type"] = json!("UTILITY");
    assert_eq!(refused(messenger, &wordy).await, (400, 100, None));
    let typing = json!({"recipient": {"id": PSID}, "sender_action": "mark_seen"});
    assert_eq!(send(messenger, &typing).await.0, 200, "who reads writes nothing");
}

#[tokio::test]
async fn messages_taps_and_opened_links_open_a_window_and_reactions_edits_and_reading_do_not() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in platforms.all() {
        let phone = phone(platform);
        let said = phone.say("before").unwrap();
        send(platform, &text(platform, "an answer")).await;
        phone.close_window();
        phone.react(&said, "❤").unwrap();
        phone.edit(&said, "after").unwrap();
        phone.read().unwrap();
        assert!(!phone.window_is_open(), "{:?}", platform.kind());
        phone.photo(png(), "image/png", None).unwrap();
        assert!(phone.window_is_open());
        phone.close_window();
        phone.tap_quick_reply("p", "P").unwrap();
        assert!(phone.window_is_open());
        phone.close_window();
        if platform.kind() == Kind::WhatsApp {
            assert!(phone.open_link("shop").is_err());
        } else {
            phone.open_link("shop").unwrap();
            assert!(phone.window_is_open());
        }
    }
    platforms.idle().await;
    let bodies: Vec<Value> = hook.posts().iter().map(crate::hook::Post::json).collect();
    let sources: Vec<String> = updates(&bodies)
        .iter()
        .filter_map(|update| update["referral"]["source"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(sources.len(), 2, "{sources:?}");
}

#[tokio::test]
async fn who_never_wrote_is_unknown_on_messenger_and_instagram_and_gets_only_templates_on_whatsapp()
{
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for (platform, subcode) in
        [(platforms.messenger(), 2_018_001), (platforms.instagram(), 2_534_014)]
    {
        let account = platform.accounts()[0].clone();
        let person = Person { has_written: false, ..Person::new("77", "Nobody yet") };
        let new = platform.add_phone(account.id(), person).unwrap();
        let body = json!({"recipient": {"id": "77"}, "message": {"text": "hello"}});
        assert_eq!(refused(platform, &body).await, (400, 100, Some(subcode)));
        new.say("I come first").unwrap();
        assert_eq!(send(platform, &body).await.0, 200);
        assert_eq!(new.received_texts(), ["hello"]);
    }
    let person = Person { has_written: false, ..Person::new("15550007777", "Nobody yet") };
    platforms.whatsapp().add_phone(NUMBER, person).unwrap();
    let body = json!({
        "messaging_product": "whatsapp", "to": "15550007777", "type": "text", "text": {"body": "x"},
    });
    assert_eq!(send(platforms.whatsapp(), &body).await.0, 200);
    assert_eq!(statuses(&platforms, &hook).await, [("failed".to_owned(), 131_047)]);
}

#[tokio::test]
async fn the_46th_message_to_one_person_waits_six_seconds_and_others_do_not() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let documented = Limits::documented(Kind::WhatsApp).pair.unwrap();
    assert_eq!(documented, PairLimit { every: Duration::from_secs(6), burst: 45 });
    // An hour stands for the six seconds, which 45 sends may take.
    whatsapp.change_settings(|settings| {
        settings.limits.pair = Some(PairLimit { every: HOUR, ..documented });
    });
    for _ in 0..45 {
        assert_eq!(send(whatsapp, &text(whatsapp, "quick")).await.0, 200);
    }
    let (_, answer) = send(whatsapp, &text(whatsapp, "too quick")).await;
    assert_eq!(code(&answer).0, 131_056);
    assert!(answer["error"]["error_data"]["details"].is_string());
    whatsapp.add_phone(NUMBER, Person::new("15550002222", "Ann")).unwrap();
    let mut other = text(whatsapp, "to another");
    other["to"] = json!("15550002222");
    assert_eq!(send(whatsapp, &other).await.0, 200);
    platforms.clock().advance(HOUR);
    assert_eq!(send(whatsapp, &text(whatsapp, "in time")).await.0, 200);
}

#[tokio::test]
async fn an_account_that_sends_too_fast_is_throttled_in_each_platforms_way() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in platforms.all() {
        platform.change_settings(|settings| settings.limits.messages_per_second = Some(1));
    }
    let wanted = [(130_429, None), (613, None), (613, Some(2_534_040))];
    for (platform, wanted) in platforms.all().into_iter().zip(wanted) {
        // A second may go by between the two: then they are sent once more.
        let too_fast = async {
            loop {
                platforms.clock().advance(Duration::from_secs(5));
                // What people say counts on WhatsApp, too.
                if platform.kind() == Kind::WhatsApp {
                    phone(platform).say("one").unwrap();
                } else {
                    assert_eq!(send(platform, &text(platform, "one")).await.0, 200);
                }
                let (status, answer) = send(platform, &text(platform, "two")).await;
                if status != 200 {
                    return code(&answer);
                }
            }
        };
        assert_eq!(tokio::time::timeout(LIMIT, too_fast).await.unwrap(), wanted);
    }
    platforms.clock().advance(Duration::from_secs(5));
    for platform in platforms.all() {
        assert_eq!(send(platform, &text(platform, "three")).await.0, 200);
    }
}

#[tokio::test]
async fn every_answer_says_how_much_is_used_and_too_many_calls_are_code_4_with_the_minutes() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    messenger.change_settings(|settings| settings.limits.calls_per_hour = Some(2));
    let header = |response: &reqwest::Response, name: &str| -> Value {
        serde_json::from_str(response.headers()[name].to_str().unwrap()).unwrap()
    };
    let first = try_send(messenger, &text(messenger, "one")).await.unwrap();
    assert_eq!(header(&first, "x-app-usage")["call_count"], 50);
    let entry = &header(&first, "x-business-use-case-usage")[PAGE][0];
    assert_eq!((&entry["type"], &entry["call_count"]), (&json!("messenger"), &json!(50)));
    assert_eq!(entry["estimated_time_to_regain_access"], 0);
    try_send(messenger, &text(messenger, "two")).await.unwrap();
    let third = try_send(messenger, &text(messenger, "three")).await.unwrap();
    let entry = &header(&third, "x-business-use-case-usage")[PAGE][0];
    assert_eq!(entry["estimated_time_to_regain_access"], 60);
    assert_eq!(code(&third.json().await.unwrap()), (4, None));
    platforms.clock().advance(HOUR);
    assert_eq!(send(messenger, &text(messenger, "four")).await.0, 200);
    let told = Usage { call_count: 28, total_time: 25, total_cputime: 24, regain_minutes: 3 };
    messenger.change_settings(|settings| settings.usage = Some(told));
    let answer = try_send(messenger, &text(messenger, "five")).await.unwrap();
    assert_eq!(header(&answer, "x-app-usage")["total_cputime"], 24);
    let entry = &header(&answer, "x-business-use-case-usage")[PAGE][0];
    assert_eq!(entry["estimated_time_to_regain_access"], 3);
}

#[tokio::test]
async fn an_hour_of_failures_unsubscribes_messenger_and_what_happens_then_is_lost() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    messenger.change_settings(|settings| settings.delivery.retry_first = 10 * HOUR);
    let account = messenger.account(PAGE).unwrap();
    hook.answer_with(&[500, 500]);
    phone(messenger).say("nobody hears this").unwrap();
    phone(messenger).say("nor this").unwrap();
    hook.wait_for(|posts| posts.len() == 1).await;
    platforms.clock().advance(10 * HOUR);
    messenger.wait_for_counts(|counts| counts.updates_lost == 2).await;
    assert!(!account.is_subscribed());
    tokio::time::timeout(LIMIT, platforms.idle()).await.unwrap();
    phone(messenger).say("nor this, an hour later").unwrap();
    assert_eq!(messenger.counts().updates_lost, 3);
    account.subscribe().await.unwrap();
    phone(messenger).say("this they hear").unwrap();
    let bodies = hook.wait_for_taken(1).await;
    assert_eq!(updates(&bodies)[0]["message"]["text"], "this they hear");
    assert_eq!(hook.posts().len(), 3);
}

#[tokio::test]
async fn failures_that_end_within_the_hour_unsubscribe_nobody_and_lose_nothing() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let instagram = platforms.instagram();
    let minutes = Duration::from_secs(50 * 60);
    instagram.change_settings(|settings| {
        settings.delivery.retry_first = minutes;
        settings.delivery.retry_max = minutes;
    });
    for round in 1..=2 {
        hook.answer_with(&[500]);
        phone(instagram).say(format!("{round}")).unwrap();
        hook.wait_for(|posts| posts.len() as u64 == 2 * round - 1).await;
        platforms.clock().advance(minutes);
        instagram.wait_for_counts(|counts| counts.updates_taken == round).await;
    }
    assert!(instagram.accounts()[0].is_subscribed());
    assert_eq!(instagram.counts().updates_lost, 0);
}

#[tokio::test]
async fn whatsapp_posts_for_seven_days_and_unsubscribes_nobody() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let day = 24 * HOUR;
    whatsapp.change_settings(|settings| {
        settings.delivery.retry_first = day;
        settings.delivery.retry_max = day;
    });
    hook.answer_with(&[500; 8]);
    phone(whatsapp).say("never heard").unwrap();
    for failed in 1..=7 {
        hook.wait_for(|posts| posts.len() == failed).await;
        platforms.clock().advance(day);
    }
    whatsapp.wait_for_counts(|counts| counts.updates_lost == 1).await;
    whatsapp.change_settings(|settings| settings.delivery = quick());
    phone(whatsapp).say("heard").unwrap();
    assert_eq!(updates(&hook.wait_for_taken(1).await)[0]["text"]["body"], "heard");
    assert!(whatsapp.accounts()[0].is_subscribed());
}

#[tokio::test]
async fn faults_for_a_time_media_urls_and_typing_go_by_the_clock() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    messenger.order(Order::next(Fault::Html500).lasting(HOUR));
    assert_eq!(try_send(messenger, &text(messenger, "x")).await.unwrap().status(), 500);
    platforms.clock().advance(HOUR);
    assert_eq!(send(messenger, &text(messenger, "x")).await.0, 200);
    let typing = json!({"recipient": {"id": PSID}, "sender_action": "typing_on"});
    send(messenger, &typing).await;
    assert!(phone(messenger).sees_typing());
    platforms.clock().advance(Duration::from_secs(21));
    assert!(!phone(messenger).sees_typing());
    let whatsapp = platforms.whatsapp();
    phone(whatsapp).photo(png(), "image/png", None).unwrap();
    platforms.idle().await;
    let bodies: Vec<Value> = hook.posts().iter().map(crate::hook::Post::json).collect();
    let photo = updates(&bodies).into_iter().find(|update| update["image"].is_object()).unwrap();
    let url = photo["image"]["url"].as_str().unwrap().to_owned();
    let token = whatsapp.accounts()[0].config().unwrap().access_token;
    let status = || async {
        let response = reqwest::Client::new().get(&url).bearer_auth(&token).send().await;
        response.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    platforms.clock().advance(Duration::from_secs(301));
    assert_eq!(status().await, 404);
    let slow = whatsapp.order(Order::next(Fault::SlowAnswer(HOUR)));
    let late = text(whatsapp, "slow");
    let (answer, ()) = tokio::join!(send(whatsapp, &late), async {
        phone(whatsapp).wait_for_received(1, LIMIT).await.unwrap();
        platforms.clock().advance(2 * HOUR);
    });
    assert_eq!((answer.0, slow.struck()), (200, 1));
}
