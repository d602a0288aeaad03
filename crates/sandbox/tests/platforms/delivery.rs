//! The posting of webhooks: order, redelivery, batches, copies, signatures, verification.

use std::time::Duration;

use interline_sandbox::{PhoneError, SubscribeError, signature};
use serde_json::Value;

use crate::hook::{Hook, LIMIT, NUMBER, PAGE, phone, quick, send, start, text};
use crate::webhooks::updates;

fn texts(bodies: &[Value]) -> Vec<String> {
    let text = |update: &Value| update["text"]["body"].as_str().map(str::to_owned);
    updates(bodies).iter().filter_map(text).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn what_is_not_answered_with_200_is_posted_again_and_nothing_overtakes_it() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    hook.answer_with(&[500, 503, 201, 404, 200, 302]);
    for number in 0..5 {
        phone(platforms.whatsapp()).say(number.to_string()).unwrap();
    }
    let bodies = hook.wait_for_taken(5).await;
    assert_eq!(texts(&bodies), numbers(0..5));
    let posts = hook.posts();
    assert!(posts[..5].iter().all(|post| post.body == posts[0].body), "the same bytes each time");
    let counts = platforms.whatsapp().wait_for_counts(|counts| counts.updates_taken == 5).await;
    assert_eq!((counts.posts, counts.posts_taken, counts.retries), (10, 5, 5));
    assert_eq!(platforms.whatsapp().account(NUMBER).unwrap().counts().retries, 5);
}

#[tokio::test]
async fn an_absent_daemon_loses_nothing() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    // A port that nobody listens on: it was just closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let account = whatsapp.account(NUMBER).unwrap();
    account.set_webhook_url(Some(&format!("http://{closed}/webhooks")));
    for number in 0..20 {
        phone(whatsapp).say(number.to_string()).unwrap();
    }
    whatsapp.wait_for_counts(|counts| counts.retries >= 3).await;
    account.set_webhook_url(None);
    account.set_webhook_url(Some(&hook.url));
    tokio::time::timeout(LIMIT, platforms.idle()).await.unwrap();
    let bodies: Vec<Value> = hook.posts().iter().map(crate::hook::Post::json).collect();
    assert_eq!(texts(&bodies), numbers(0..20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_quiet_waits_for_the_receipts_of_what_a_phone_already_shows() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    for count in 1..=200 {
        let quiet = async {
            phone(whatsapp).wait_for_received(count, LIMIT).await.unwrap();
            tokio::time::timeout(LIMIT, platforms.idle()).await.unwrap();
            whatsapp.counts().updates_taken
        };
        let hello = text(whatsapp, "hello");
        let (taken, (status, _)) = tokio::join!(quiet, send(whatsapp, &hello));
        assert_eq!((taken, status), (2 * count as u64, 200), "sent and delivered, {count} times");
    }
}

#[tokio::test]
async fn one_post_at_a_time_unless_more_are_allowed() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    hook.hold(true);
    for number in 0..6 {
        phone(whatsapp).say(number.to_string()).unwrap();
    }
    hook.wait_for_open(1).await;
    whatsapp.change_settings(|settings| settings.delivery.in_flight_max = 4);
    hook.hold(false);
    hook.wait_for_taken(6).await;
    hook.hold(true);
    for number in 0..6 {
        phone(whatsapp).say(number.to_string()).unwrap();
    }
    hook.wait_for_open(4).await;
    hook.hold(false);
    tokio::time::timeout(LIMIT, platforms.idle()).await.unwrap();
    assert_eq!((hook.open_most(), texts(&hook.wait_for_taken(12).await).len()), (4, 12));
}

#[tokio::test]
async fn updates_can_be_batched_up_to_a_thousand_in_order() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    whatsapp.change_settings(|settings| {
        settings.delivery.batch_max = 5_000;
        settings.delivery.batch_linger = Duration::from_secs(3_600);
    });
    for number in 0..2_000 {
        phone(whatsapp).say(number.to_string()).unwrap();
    }
    let bodies = hook.wait_for_taken(2).await;
    assert_eq!(texts(&bodies), numbers(0..2_000));
    assert_eq!(bodies[0]["entry"][0]["changes"].as_array().unwrap().len(), 1);
    let value = &bodies[0]["entry"][0]["changes"][0]["value"];
    assert_eq!(
        (value["messages"].as_array().unwrap().len(), value["contacts"].as_array().unwrap().len()),
        (1_000, 1)
    );
}

#[tokio::test]
async fn a_batch_that_does_not_fill_goes_after_its_linger() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    messenger.change_settings(|settings| {
        settings.delivery.batch_max = 100;
        settings.delivery.batch_linger = Duration::from_millis(5);
    });
    phone(messenger).say("1").unwrap();
    phone(messenger).say("2").unwrap();
    let bodies = hook.wait_for_taken(1).await;
    assert_eq!(bodies[0]["entry"][0]["messaging"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn copies_repeat_a_body_or_batch_it_otherwise() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    whatsapp.change_settings(|settings| settings.delivery.copies = 3);
    phone(whatsapp).say("a").unwrap();
    assert_eq!(texts(&hook.wait_for_taken(3).await), ["a", "a", "a"]);
    platforms.idle().await;
    whatsapp.change_settings(|settings| {
        settings.delivery.copies = 2;
        settings.delivery.rebatch = true;
    });
    phone(whatsapp).say("b").unwrap();
    assert_eq!(texts(&hook.wait_for_taken(5).await)[3..], ["b", "a", "b"]);
    platforms.idle().await;
    whatsapp.change_settings(|settings| {
        settings.delivery.batch_max = 2;
        settings.delivery.batch_linger = Duration::from_secs(3_600);
    });
    phone(whatsapp).say("c").unwrap();
    phone(whatsapp).say("d").unwrap();
    let bodies = hook.wait_for_taken(8).await;
    assert_eq!(texts(&bodies)[6..], ["c", "d", "c", "d"]);
    assert_eq!(updates(&bodies[5..6]).len(), 2);
    assert_eq!(updates(&bodies[6..7]).len(), 1);
}

#[tokio::test]
async fn a_wrong_signature_can_be_ordered_and_the_right_one_follows() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let account = platforms.messenger().account(PAGE).unwrap();
    account.sign_wrongly(1);
    hook.answer_with(&[401]);
    phone(platforms.messenger()).say("x").unwrap();
    hook.wait_for_taken(1).await;
    let secret = account.config().unwrap().app_secret;
    let right: Vec<bool> =
        hook.posts().iter().map(|post| post.signature == signature(&secret, &post.body)).collect();
    assert_eq!(right, [false, true]);
}

#[tokio::test]
async fn subscribing_verifies_the_challenge() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in platforms.all() {
        platform.accounts()[0].subscribe().await.unwrap();
    }
    let mut stranger = interline_sandbox::AccountConfig::new("77").posting_to(&hook.url);
    stranger.verify_token = "another".into();
    let stranger = platforms.messenger().add_account(stranger).unwrap();
    let refused = stranger.subscribe().await.unwrap_err();
    assert!(matches!(refused, SubscribeError::Refused { status: 403, .. }), "{refused}");
    stranger.set_webhook_url(None);
    assert!(matches!(stranger.subscribe().await, Err(SubscribeError::NoUrl { .. })));
}

#[tokio::test]
async fn a_full_outbox_is_told_to_the_one_who_speaks() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    whatsapp.account(NUMBER).unwrap().set_webhook_url(None);
    whatsapp.change_settings(|settings| settings.outbox_max = 3);
    let said: Vec<bool> =
        (0..8).map(|number| phone(whatsapp).say(number.to_string()).is_ok()).collect();
    // One more than the bound may be out of the queue already, on its way.
    let taken = said.iter().filter(|taken| **taken).count();
    assert!((3..=4).contains(&taken), "{said:?}");
    assert!(matches!(phone(whatsapp).say("x"), Err(PhoneError::OutboxFull { .. })));
    assert_eq!(phone(whatsapp).view().len(), taken, "what was refused is not on the screen");
}

#[tokio::test]
async fn screens_and_logs_are_bounded() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    whatsapp.change_settings(|settings| {
        settings.timeline_max = 5;
        settings.raw_requests_max = 3;
        settings.delivery = quick();
    });
    for number in 0..10 {
        phone(whatsapp).say(number.to_string()).unwrap();
        send(whatsapp, &serde_json::json!({})).await;
    }
    assert_eq!(phone(whatsapp).view().len(), 5);
    assert_eq!(whatsapp.raw_requests().len(), 3);
    assert_eq!(whatsapp.counts().refused, 10);
}
