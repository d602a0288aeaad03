//! Bodies of our own, small ones, and what they mean. Each names the place in PLATFORMS.md that it rests on.

use crate::support::{normalized, summary};
use expect_test::{Expect, expect};
use interline_messenger::Messenger;

/// One event between person 1 and page 2, at 1700000000000.
fn check(rest: &str, expected: Expect) {
    let event = format!(
        r#"{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}},"timestamp":1700000000000,{rest}}}"#
    );
    check_body(
        &format!(r#"{{"object":"page","entry":[{{"id":"2","messaging":[{event}]}}]}}"#),
        expected,
    );
}

fn check_body(body: &str, expected: Expect) {
    expected.assert_eq(&summary(&normalized(&Messenger::new(), body.as_bytes())));
}

/// Section 6, "Attachment types in": the order is the sender's.
#[test]
fn words_come_first_and_attachments_in_their_order() {
    check(
        r#""message":{"mid":"m","text":"t","attachments":[{"type":"video","payload":{"url":"https://h/v.mp4"}},{"type":"image","payload":{"url":"https://h/i.png"}},{"type":"file","payload":{"url":"https://h/a%20b.txt?x=1"}}]}"#,
        expect![[
            r#"message 2<1 @1700000000000 m text("t") video(https://h/v.mp4) image(https://h/i.png) document("a b.txt" https://h/a%20b.txt)"#
        ]],
    );
}

/// Section 6: until 30 August 2026 both a `sticker` and an `image` attachment for the same sticker.
#[test]
fn a_sticker_that_comes_twice_is_bridged_once_in_either_order() {
    let sticker = r#"{"type":"sticker","payload":{"url":"https://h/s.png","sticker_id":5}}"#;
    let image = r#"{"type":"image","payload":{"url":"https://h/s.png","sticker_id":"5"}}"#;
    for order in [format!("{sticker},{image}"), format!("{image},{sticker}")] {
        check(
            &format!(r#""message":{{"mid":"m","attachments":[{order}]}}"#),
            expect![[r#"message 2<1 @1700000000000 m sticker("5" https://h/s.png)"#]],
        );
    }
}

/// Section 8, degrade table: the 👍 sticker stands for its emoji.
#[test]
fn a_thumb_sticker_says_which_emoji_it_stands_for() {
    check(
        r#""message":{"mid":"m","attachments":[{"type":"sticker","payload":{"url":"https://h/s.png","sticker_id":369239343222814}}]}"#,
        expect![[
            r#"message 2<1 @1700000000000 m sticker("369239343222814" "👍" https://h/s.png)"#
        ]],
    );
}

/// Section 6: `fallback` (payload may be null or absent).
#[test]
fn an_empty_fallback_beside_words_adds_nothing() {
    check(
        r#""message":{"mid":"m","text":"t","attachments":[{"type":"fallback","payload":null}]}"#,
        expect![[r#"message 2<1 @1700000000000 m text("t")"#]],
    );
    check(
        r#""message":{"mid":"m","text":"t","attachments":[{"type":"fallback","payload":{"url":"https://h/p","title":"T"}}]}"#,
        expect![[
            r#"message 2<1 @1700000000000 m text("t") share(Link title="T" url=https://h/p)"#
        ]],
    );
}

/// Section 6: "location (legacy)"; the fixture writes `long`, others `lng`.
#[test]
fn a_location_reads_long_and_lng_and_refuses_neither() {
    check(
        r#""message":{"mid":"m","attachments":[{"type":"location","title":"Here","payload":{"coordinates":{"lat":1,"lng":-2.5}}},{"type":"location","payload":{}}]}"#,
        expect![[
            r#"message 2<1 @1700000000000 m {"type":"location","latitude":1.0,"longitude":-2.5,"name":"Here"} unsupported(location: its coordinates cannot be read)"#
        ]],
    );
}

/// Section 6, "reaction → us": on removal the emoji may stay away; the heart has a word.
#[test]
fn a_reaction_keeps_its_emoji_and_the_heart_is_known_by_its_word() {
    check(
        r#""reaction":{"mid":"m","action":"react","emoji":"❤"}"#,
        expect![[r#"reaction 2<1 @1700000000000 target=m Add(\u{2764})"#]],
    );
    check(
        r#""reaction":{"mid":"m","action":"react","reaction":"love"}"#,
        expect![[r#"reaction 2<1 @1700000000000 target=m Add(\u{2764}\u{fe0f})"#]],
    );
    check(
        r#""reaction":{"mid":"m","action":"unreact"}"#,
        expect!["reaction 2<1 @1700000000000 target=m Remove()"],
    );
    check(
        r#""reaction":{"mid":"m","action":"react","reaction":"other"}"#,
        expect![[
            r#"unsupported 2<1 @1700000000000 unsupported(reaction: it has no emoji) extra={"reaction":{"action":"react","mid":"m","reaction":"other"}}"#
        ]],
    );
}

/// Section 6, "edit → us".
#[test]
fn an_edit_names_its_target_and_says_when_its_text_is_missing() {
    check(
        r#""message_edit":{"mid":"m","text":"b","num_edit":3}"#,
        expect![[r#"edit 2<1 @1700000000000 text("b") target=m extra={"num_edit":"3"}"#]],
    );
    check(
        r#""message_edit":{"mid":"m","num_edit":3}"#,
        expect![
            "edit 2<1 @1700000000000 unsupported(message_edit: the new text did not come along) target=m"
        ],
    );
}

/// Section 6, "delivered → us": mids are optional, the watermark may be a string.
#[test]
fn a_delivery_without_mids_goes_by_its_watermark() {
    check(
        r#""delivery":{"mids":[],"watermark":"1700000000001"}"#,
        expect!["status 2<1 @1700000000000 up_to=1700000000001 delivered"],
    );
    check(
        r#""delivery":{"mids":["m_1"],"watermark":1700000000001}"#,
        expect![[
            r#"status 2<1 @1700000000000 target=m_1 delivered extra={"watermark":1700000000001}"#
        ]],
    );
    check(
        r#""delivery":{}"#,
        expect![[
            r#"unsupported 2<1 @1700000000000 unsupported(delivery: it has neither message ids nor a watermark) extra={"delivery":{}}"#
        ]],
    );
}

/// Section 2, "Timestamps".
#[test]
fn every_form_of_a_timestamp_is_read_and_the_entry_s_stands_in() {
    let body = |stamp: &str| {
        format!(
            r#"{{"object":"page","entry":[{{"id":"2","time":1700000000999,"messaging":[{{"sender":{{"id":"1"}},"recipient":{{"id":"2"}}{stamp},"message":{{"mid":"m","text":"t"}}}}]}}]}}"#
        )
    };
    for stamp in [
        r#","timestamp":1700000000"#,
        r#","timestamp":"1700000000""#,
        r#","timestamp":1700000000000"#,
        r#","timestamp":"1700000000000""#,
        r#","timestamp":"2023-11-14T22:13:20+0000""#,
    ] {
        check_body(&body(stamp), expect![[r#"message 2<1 @1700000000000 m text("t")"#]]);
    }
    for stamp in ["", r#","timestamp":null"#, r#","timestamp":"soon""#, r#","timestamp":{}"#] {
        check_body(&body(stamp), expect![[r#"message 2<1 @1700000000999 m text("t")"#]]);
    }
}

/// Section 2, "Echo": the metadata of our send comes back; `app_id` is a number or a string.
#[test]
fn an_echo_is_from_the_account_to_the_person_and_brings_the_marker_back() {
    check_body(
        r#"{"object":"page","entry":[{"id":"2","messaging":[{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1700000000000,"message":{"mid":"m","is_echo":true,"app_id":263902037430900,"metadata":"mark","text":"t"}}]}]}"#,
        expect![[
            r#"message 2>1 @1700000000000 m text("t") extra={"app_id":"263902037430900","metadata":"mark"}"#
        ]],
    );
}

/// Section 6, "thread ownership": `standby`, and a hand-over without a sender.
#[test]
fn thread_control_is_told_by_what_moved() {
    check(
        r#""request_thread_control":{"requested_owner_app_id":9007199254740993}"#,
        expect![[
            r#"handover 2<1 @1700000000000 extra={"request_thread_control":{"requested_owner_app_id":"9007199254740993"}}"#
        ]],
    );
    check_body(
        r#"{"object":"page","entry":[{"id":"2","time":1700000000,"messaging":[{"recipient":{"id":"2"},"app_roles":{"7":["primary_receiver"]}}]}]}"#,
        expect![[r#"handover 2 @1700000000000 extra={"app_roles":{"7":["primary_receiver"]}}"#]],
    );
    check_body(
        r#"{"object":"page","entry":[{"id":"2","standby":[{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":1700000000,"message":{"mid":"m","text":"t"}}]}]}"#,
        expect![[r#"message 2<1 @1700000000000 standby m text("t")"#]],
    );
}

/// Section 2: "Answer 200 also for events you ignore"; nothing is lost without a trace (G4).
#[test]
fn an_event_of_a_later_day_is_kept_as_unsupported() {
    check(
        r#""levitation":{"height":3,"pilot_id":9007199254740993}"#,
        expect![[
            r#"unsupported 2<1 @1700000000000 unsupported(levitation: this version does not know such an event) extra={"levitation":{"height":3,"pilot_id":"9007199254740993"}}"#
        ]],
    );
    check(
        r#""hop_context":{}"#,
        expect![
            "unsupported 2<1 @1700000000000 unsupported(event: it has neither content nor a known kind)"
        ],
    );
}

/// Section 3: a person may be known by a `user_ref` alone (section 2: dashboard tests).
#[test]
fn a_user_ref_stands_in_for_an_id_and_says_so() {
    check_body(
        r#"{"object":"page","entry":[{"id":"2","changes":[{"field":"messaging_postbacks","value":{"sender":{"user_ref":"u"},"recipient":{"id":"2"},"timestamp":"1700000000","postback":{"title":"T","payload":"P"}}}]}]}"#,
        expect![[r#"message 2<u @1700000000000 choice(Postback "P" "T") extra={"user_ref":"u"}"#]],
    );
}

/// Section 8: an order is content.
#[test]
fn a_cart_keeps_amounts_as_written() {
    check(
        r#""order":{"products":[{"id":1,"retailer_id":"sku","name":"n","unit_price":1.50,"currency":"THB","quantity":2},5],"note":"be quick"}"#,
        expect![[
            r#"message 2<1 @1700000000000 {"type":"order","text":"be quick","items":[{"product_id":"sku","name":"n","quantity":"2","price":"1.50","currency":"THB","id":"1"},{"product_id":""}]}"#
        ]],
    );
}

/// Section 4: a referral opens the window; it may stand in a message, a postback, or alone.
#[test]
fn a_referral_keeps_its_ad() {
    check(
        r#""referral":{"source":"ADS","type":"OPEN_THREAD","ref":"r","ad_id":9007199254740993,"ads_context_data":{"ad_title":"A"}},"lead":{"data":[]}"#,
        expect![[
            r#"referral 2<1 @1700000000000 referral={"source":"ADS","ref":"r","headline":"A","ad_id":"9007199254740993","ads_context_data":{"ad_title":"A"},"type":"OPEN_THREAD"} extra={"lead":{"data":[]}}"#
        ]],
    );
    check(
        r#""message":{"mid":"m","text":"t","referral":{"product":{"id":5}}}"#,
        expect![[
            r#"message 2<1 @1700000000000 m text("t") referral={"source":"product","product":{"id":"5"}}"#
        ]],
    );
}
