//! Ordered faults: what the client meets, and what the person saw all the same.

use std::time::Duration;

use interline_sandbox::{Calls, Fault, Order, Person};
use serde_json::{Value, json};

use crate::hook::{Hook, LIMIT, NUMBER, PAGE, SAM, code, phone, png, send, start, text, try_send};
use crate::webhooks::updates;

#[tokio::test]
async fn a_message_that_is_taken_and_then_cut_is_shown_once_and_reported() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for platform in platforms.all() {
        let order = platform.order(Order::next(Fault::TakeThenCut));
        let error = try_send(platform, &text(platform, "taken")).await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
        assert_eq!(order.struck(), 1);
        assert_eq!(phone(platform).wait_for_received(1, LIMIT).await.unwrap().len(), 1);
        assert_eq!(send(platform, &text(platform, "next")).await.0, 200);
        assert_eq!(phone(platform).received_texts(), ["taken", "next"]);
        let counts = platform.wait_for_counts(|counts| counts.in_flight == 0).await;
        assert_eq!((counts.requests_seen, counts.messages_accepted, counts.struck), (2, 2, 1));
    }
    platforms.idle().await;
    let posts = hook.posts();
    let markers = posts
        .iter()
        .filter(|post| String::from_utf8_lossy(&post.body).contains("marker-1"))
        .count();
    // WhatsApp: sent and delivered of both; Messenger: the echo of both; Instagram gives no marker back.
    assert_eq!(markers, 4 + 2);
    platforms.stop().await;
}

#[tokio::test]
async fn a_message_that_is_sent_again_after_a_cut_shows_twice() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    whatsapp.order(Order::next(Fault::TakeThenCut));
    try_send(whatsapp, &text(whatsapp, "once?")).await.unwrap_err();
    send(whatsapp, &text(whatsapp, "once?")).await;
    let view = phone(whatsapp).received();
    assert_eq!(view.len(), 2);
    assert_ne!(view[0].native_id, view[1].native_id);
    assert!(view[0].order < view[1].order && view[0].marker == view[1].marker);
}

#[tokio::test]
async fn a_file_that_is_handed_over_late_is_whole() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    phone(messenger).photo(png(), "image/png", None).unwrap();
    let body = hook.wait_for_taken(1).await.remove(0);
    let message = &body["entry"][0]["messaging"][0]["message"];
    let url = message["attachments"][0]["payload"]["url"].as_str().unwrap();
    let slow = Fault::SlowAnswer(Duration::from_millis(1));
    let order = messenger.order(Order::next(slow).calls(Calls::Media));
    let file = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert_eq!((order.struck(), &*file), (1, &*png()));
}

#[tokio::test]
async fn errors_that_are_ordered_take_nothing() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    whatsapp.order(Order::next(Fault::Html500));
    let answer = try_send(whatsapp, &text(whatsapp, "x")).await.unwrap();
    assert_eq!(answer.status(), 500);
    assert!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    whatsapp.order(Order::next(Fault::Empty503));
    let answer = try_send(whatsapp, &text(whatsapp, "x")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.bytes().await.unwrap().len()), (503, 0));
    whatsapp.order(Order::next(Fault::graph_500()));
    let (status, answer) = send(whatsapp, &text(whatsapp, "x")).await;
    assert_eq!(
        (status, code(&answer), &answer["error"]["is_transient"]),
        (500, (2, None), &json!(true))
    );
    whatsapp.order(Order::next(Fault::graph(403, 368, Some(7))));
    let (status, answer) = send(whatsapp, &text(whatsapp, "x")).await;
    assert_eq!((status, code(&answer)), (403, (368, Some(7))));
    for fault in [Fault::CutBeforeReading, Fault::TakeThenHtml500] {
        whatsapp.order(Order::next(fault));
    }
    try_send(whatsapp, &text(whatsapp, "x")).await.unwrap_err();
    assert!(phone(whatsapp).view().is_empty());
    assert_eq!(try_send(whatsapp, &text(whatsapp, "taken")).await.unwrap().status(), 500);
    assert_eq!(phone(whatsapp).received_texts(), ["taken"]);
}

#[tokio::test]
async fn a_throttle_is_each_platforms_own_and_can_be_for_one_person() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    for (platform, wanted) in
        platforms.all().into_iter().zip([(130_429, None), (613, None), (613, Some(2_534_040))])
    {
        let order = platform.order(Order::next(Fault::throttle(platform.kind())).until_released());
        for _ in 0..3 {
            let (status, answer) = send(platform, &text(platform, "x")).await;
            assert_eq!((status, code(&answer)), (400, wanted));
        }
        order.release();
        assert_eq!((send(platform, &text(platform, "x")).await.0, order.struck()), (200, 3));
    }
    let whatsapp = platforms.whatsapp();
    let other = whatsapp.add_phone(NUMBER, Person::new("15550002222", "Noor")).unwrap();
    whatsapp.order(Order::next(Fault::throttle_pair()).person(SAM).times(2));
    let to_noor =
        json!({"messaging_product": "whatsapp", "to": "+15550002222", "text": {"body": "y"}});
    assert_eq!(code(&send(whatsapp, &text(whatsapp, "x")).await.1).0, 131_056);
    assert_eq!(send(whatsapp, &to_noor).await.0, 200);
    assert_eq!(code(&send(whatsapp, &text(whatsapp, "x")).await.1).0, 131_056);
    assert_eq!(send(whatsapp, &text(whatsapp, "x")).await.0, 200);
    assert_eq!(other.received().len(), 1);
}

#[tokio::test]
async fn a_throttle_names_the_minutes_in_its_header() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let Fault::Graph(mut fault) = Fault::throttle(platforms.messenger().kind()) else {
        unreachable!()
    };
    fault.regain_minutes = Some(19);
    platforms.messenger().order(Order::next(Fault::Graph(fault)));
    let messenger = platforms.messenger();
    let answer = try_send(messenger, &text(messenger, "x")).await.unwrap();
    let header = answer.headers()["x-business-use-case-usage"].to_str().unwrap();
    let usage: Value = serde_json::from_str(header).unwrap();
    assert_eq!(usage[PAGE][0]["estimated_time_to_regain_access"], 19);
}

#[tokio::test]
async fn a_request_hangs_until_it_is_released_and_is_then_taken_if_its_client_still_waits() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    let order = messenger.order(Order::next(Fault::Hang).times(2));
    let (patient, impatient) = (text(messenger, "patient"), text(messenger, "gone"));
    let gives_up = async {
        let sent = tokio::time::timeout(Duration::from_secs(3600), try_send(messenger, &impatient));
        tokio::select! {
            _ = sent => panic!("it must hang"),
            counts = messenger.wait_for_counts(|counts| counts.struck == 1) => assert_eq!(counts.in_flight, 1),
        }
    };
    gives_up.await;
    // The server notices that the client is gone, and has taken nothing.
    messenger.wait_for_counts(|counts| counts.in_flight == 0).await;
    let releases = async {
        messenger.wait_for_counts(|counts| counts.struck == 2).await;
        assert!(phone(messenger).view().is_empty());
        order.release();
    };
    let (answer, ()) = tokio::join!(try_send(messenger, &patient), releases);
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(phone(messenger).received_texts(), ["patient"]);
}

#[tokio::test]
async fn a_message_can_be_taken_and_its_answer_withheld_or_late() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let instagram = platforms.instagram();
    let order = instagram.order(Order::next(Fault::TakeThenHang));
    let (first, second) = (text(instagram, "one"), text(instagram, "two"));
    let release = async {
        phone(instagram).wait_for_received(1, LIMIT).await.unwrap();
        hook.wait_for_taken(1).await;
        order.release();
    };
    let (answer, ()) = tokio::join!(send(instagram, &first), release);
    assert_eq!(answer.1["message_id"], json!(phone(instagram).received()[0].native_id));
    instagram.order(Order::next(Fault::SlowAnswer(Duration::from_millis(50))));
    let begun = std::time::Instant::now();
    assert_eq!(send(instagram, &second).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_listener_that_is_down_refuses_and_comes_back_on_the_same_port() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let url = whatsapp.api_url();
    let hang = whatsapp.order(Order::next(Fault::Hang));
    let body = text(whatsapp, "x");
    let goes_down = async {
        whatsapp.wait_for_counts(|counts| counts.struck == 1).await;
        whatsapp.refuse_connections().await;
    };
    let (answer, ()) = tokio::join!(try_send(whatsapp, &body), goes_down);
    assert!(!answer.unwrap_err().is_connect(), "an open connection dies");
    assert!(try_send(whatsapp, &body).await.unwrap_err().is_connect());
    whatsapp.answer_again().await.unwrap();
    assert_eq!(whatsapp.api_url(), url);
    assert_eq!(send(whatsapp, &body).await.0, 200);
    assert_eq!((phone(whatsapp).received().len(), hang.struck()), (1, 1));
    platforms.stop().await;
}

#[tokio::test]
async fn orders_wait_their_turn_and_strike_only_what_they_name() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let whatsapp = platforms.whatsapp();
    let id = phone(whatsapp).say("hi").unwrap();
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": id});
    whatsapp.order(Order::next(Fault::Empty503).after(1));
    whatsapp.order(Order::next(Fault::Html500).calls(Calls::Actions));
    whatsapp.order(Order::next(Fault::Html500).account("another"));
    assert_eq!(try_send(whatsapp, &read).await.unwrap().status(), 500);
    assert_eq!(try_send(whatsapp, &text(whatsapp, "1")).await.unwrap().status(), 200);
    assert_eq!(try_send(whatsapp, &text(whatsapp, "2")).await.unwrap().status(), 503);
    assert_eq!(try_send(whatsapp, &text(whatsapp, "3")).await.unwrap().status(), 200);
    let raw = phone(whatsapp).raw_requests();
    let statuses: Vec<Option<u16>> = raw.iter().map(|raw| raw.status).collect();
    assert_eq!(statuses, [Some(500), Some(200), Some(503), Some(200)]);
    assert_eq!(raw[1].params["text"]["body"], "1");
    assert!(raw.iter().all(|raw| !format!("{raw:?}").contains("sandbox-token")));
}

#[tokio::test]
async fn an_echo_can_come_before_the_response() {
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let messenger = platforms.messenger();
    messenger.change_settings(|settings| {
        settings.receipts.timing = interline_sandbox::Timing::BeforeResponse;
        settings.receipts.delivered = false;
    });
    let (status, _) = send(messenger, &text(messenger, "x")).await;
    assert_eq!(status, 200);
    let bodies: Vec<Value> = hook.posts().iter().map(crate::hook::Post::json).collect();
    assert_eq!(updates(&bodies).len(), 1, "it was there when the response came");
}
