//! PLATFORMS.md section 9, the mistakes that are easy to make: a test for each that can be made here, by its
//! number. 5, 12, 14, 15 and 19 are WhatsApp's, 1 is about its numbers, 6 is ingest's, 17 Instagram's.

use crate::sending::{answer, body_of, by_url, failure, render, text, to};
use crate::support::{self, envelope, line};
use interline_bridge_api::Bridge;
use interline_envelope::{Kind, MediaKind, Target};
use interline_messenger::Messenger;
use interline_relay::{Action, MessagingType, Outgoing, TextUnit};

const PAGE: &str = "104500000000001";
const USER: &str = "6100000000000001";

fn event(rest: &str) -> String {
    body(&format!(
        r#"{{"sender":{{"id":"{USER}"}},"recipient":{{"id":"{PAGE}"}},"timestamp":1772998024000,{rest}}}"#
    ))
}

fn body(event: &str) -> String {
    format!(
        r#"{{"object":"page","entry":[{{"id":"{PAGE}","time":1772998024412,"messaging":[{event}]}}]}}"#
    )
}

#[test]
fn mistake_2_the_signature_is_checked_over_the_raw_bytes_of_every_fixture() {
    let Some(root) = support::fixtures() else { return };
    let signatures = std::fs::read(root.join("SIGNATURES.json")).unwrap();
    let signatures: serde_json::Value = serde_json::from_slice(&signatures).unwrap();
    let secret = signatures["app_secret"].as_str().unwrap().as_bytes();
    let mut rewritten = 0;
    for (name, body) in support::files("messenger/webhook").unwrap() {
        let header = signatures["signatures"][format!("messenger/webhook/{name}")].as_str();
        assert_eq!(interline_graph::verify_signature(secret, &body, header), Ok(()), "{name}");
        let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let again = serde_json::to_vec(&parsed).unwrap();
        rewritten +=
            usize::from(interline_graph::verify_signature(secret, &again, header).is_err());
    }
    assert!(rewritten > 0, "a re-serialised body is another body");
}

#[test]
fn mistake_3_message_edit_reaction_and_unsend_of_one_mid_have_different_ids() {
    let bridge = Messenger::new();
    let bodies = [
        r#""message":{"mid":"m_1","text":"a"}"#,
        r#""message":{"mid":"m_1","is_deleted":true}"#,
        r#""message_edit":{"mid":"m_1","text":"b","num_edit":1}"#,
        r#""message_edit":{"mid":"m_1","text":"c","num_edit":2}"#,
        r#""reaction":{"mid":"m_1","action":"react","emoji":"👍"}"#,
        r#""reaction":{"mid":"m_1","action":"react","emoji":"❤️"}"#,
        r#""reaction":{"mid":"m_1","action":"unreact","emoji":"👍"}"#,
        r#""reaction":{"mid":"m_1","action":"unreact"}"#,
    ];
    let ids: std::collections::HashSet<_> =
        bodies.iter().map(|rest| envelope(&bridge, &event(rest)).id).collect();
    assert_eq!(ids.len(), bodies.len());
    let number = |json: &str| {
        let rest = format!(r#""message_edit":{{"mid":"m_1","text":"b","num_edit":{json}}}"#);
        envelope(&bridge, &event(&rest)).id
    };
    assert_eq!(number("1"), number("\"1\""), "an integer in the table, a string in the example");
}

#[test]
fn mistake_4_a_watermark_may_be_a_string_and_is_no_message_id() {
    let bridge = Messenger::new();
    for watermark in ["1648581633369", "\"1648581633369\""] {
        let read = envelope(&bridge, &event(&format!(r#""read":{{"watermark":{watermark}}}"#)));
        assert_eq!(read.target, Some(Target::Watermark { watermark: 1_648_581_633_369 }));
    }
    let by_id = envelope(&bridge, &event(r#""read":{"mid":"m_1"}"#));
    assert_eq!(by_id.target, Some(Target::message("m_1")));
}

#[test]
fn mistake_7_standby_echoes_self_and_comments_are_marked_and_never_live() {
    let bridge = Messenger::new();
    let said = format!(
        r#"{{"sender":{{"id":"{USER}"}},"recipient":{{"id":"{PAGE}"}},"timestamp":1,"message":{{"mid":"m_1","text":"x"}}}}"#
    );
    let standby = format!(r#"{{"object":"page","entry":[{{"id":"{PAGE}","standby":[{said}]}}]}}"#);
    assert!(envelope(&bridge, &standby).standby);
    assert!(!envelope(&bridge, &body(&said)).standby);
    let echo = said.replace(r#""text""#, r#""is_echo":true,"text""#);
    assert!(envelope(&bridge, &body(&echo)).echo);
    let own = said.replace(r#""text""#, r#""is_self":true,"text""#);
    assert!(envelope(&bridge, &body(&own)).echo);
    let by_page = said.replace(USER, "X").replace(PAGE, USER).replace('X', PAGE);
    assert!(envelope(&bridge, &body(&by_page)).echo, "the page spoke, flag or not");
    let comment = format!(
        r#"{{"object":"page","entry":[{{"id":"{PAGE}","time":1,"changes":[{{"field":"feed","value":{{"item":"comment"}}}}]}}]}}"#
    );
    assert_eq!(envelope(&bridge, &comment).kind, Kind::Account);
}

#[test]
fn mistake_8_ids_keep_their_exact_digits_whether_numbers_or_strings() {
    let bridge = Messenger::new();
    for app_id in ["9007199254740993", "\"9007199254740993\""] {
        let rest =
            format!(r#""message":{{"mid":"m","is_echo":true,"app_id":{app_id},"text":"x"}}"#);
        assert_eq!(envelope(&bridge, &event(&rest)).extra["app_id"], "9007199254740993");
    }
    let long = "9".repeat(40);
    let numeric = format!(
        r#"{{"sender":{{"id":{long}}},"recipient":{{"id":{PAGE}}},"timestamp":1,"message":{{"mid":{long},"text":"x"}}}}"#
    );
    let message = envelope(&bridge, &body(&numeric));
    assert_eq!(message.chat.as_exposed_str(), long);
    assert_eq!(message.native_id.as_ref().unwrap().as_exposed_str(), long);
    let quoted = numeric.replace(&format!("{{\"id\":{long}}}"), &format!("{{\"id\":\"{long}\"}}"));
    assert_eq!(envelope(&bridge, &body(&quoted)).id, message.id);
    let sticker = r#""message":{"mid":"m","attachments":[{"type":"sticker","payload":{"url":"https://h/s.png","sticker_id":9007199254740993}}]}"#;
    assert!(line(&envelope(&bridge, &event(sticker))).contains("9007199254740993"));
}

#[test]
fn mistake_9_code_10_means_what_its_subcode_says_and_http_500_does_not_decide() {
    let bridge = Messenger::new();
    let request = render(&bridge, &to(USER, text("x"))).unwrap();
    let class = |status: u16, error: &str| {
        let body = format!(r#"{{"error":{{{error}}}}}"#);
        failure(bridge.interpret(&request, &answer(status, body.as_bytes()))).class.as_str()
    };
    assert_eq!(class(403, r#""code":10"#), "config");
    assert_eq!(class(400, r#""code":10,"error_subcode":2018278"#), "window");
    assert_eq!(class(400, r#""code":10,"error_subcode":2018108"#), "recipient");
    assert_eq!(class(400, r#""code":10,"error_subcode":1893063"#), "blocked");
    assert_eq!(class(500, r#""code":100"#), "permanent");
}

#[test]
fn mistake_10_typing_never_shares_a_request_with_a_message() {
    let outgoing = Outgoing {
        marker: Some("mark".to_owned()),
        reply_to: Some("m_1".into()),
        ..to(USER, Action::Typing { on: true, message: Some("m_1".into()) })
    };
    let body = body_of(&render(&Messenger::new(), &outgoing).unwrap());
    assert_eq!(body, serde_json::json!({"recipient": {"id": USER}, "sender_action": "typing_on"}));
}

#[test]
fn mistake_11_reply_to_stands_beside_the_message() {
    let outgoing = Outgoing {
        reply_to: Some("m_1".into()),
        ..to(USER, Action::Media(vec![by_url(MediaKind::Image, "https://h/a.png")]))
    };
    let body = body_of(&render(&Messenger::new(), &outgoing).unwrap());
    assert_eq!(body["reply_to"]["mid"], "m_1");
    assert!(body["message"].get("reply_to").is_none());
}

#[test]
fn mistake_13_messenger_counts_characters() {
    let limit = Messenger::new().capabilities(interline_relay::ChatKind::Direct).text;
    assert_eq!((limit.max, limit.unit), (2000, TextUnit::Characters));
}

#[test]
fn mistake_16_one_malformed_item_never_fails_its_neighbours() {
    let bridge = Messenger::new();
    let good = |mid: &str| {
        format!(
            r#"{{"sender":{{"id":"{USER}"}},"recipient":{{"id":"{PAGE}"}},"timestamp":1,"message":{{"mid":"{mid}","text":"x"}}}}"#
        )
    };
    for bad in [
        "5",
        "null",
        "\"x\"",
        "[]",
        "{}",
        r#"{"sender":5,"recipient":[],"message":{"mid":"m"}}"#,
        r#"{"message":{"mid":"m","text":17}}"#,
        r#"{"message":5}"#,
        r#"{"reaction":{"mid":"m"}}"#,
        r#"{"reaction":"x"}"#,
        r#"{"read":{"watermark":"soon"}}"#,
        r#"{"delivery":{"mids":"x"}}"#,
        r#"{"message_edit":{}}"#,
        r#"{"postback":[]}"#,
        r#"{"order":{"products":5}}"#,
        r#"{"referral":5}"#,
        r#"{"message":{"mid":"m","text":"\ud83d"}}"#,
        r#"{"message":{"mid":"m","attachments":[5,{"type":5},{"type":"image"},{}]}}"#,
        r#"{"message":{"mid":"m","attachments":"x","reply_to":5,"quick_reply":5,"referral":5}}"#,
    ] {
        let whole = body(&format!("{},{bad},{}", good("m_1"), good("m_2")));
        let normalized = support::normalized(&bridge, whole.as_bytes());
        let texts = normalized.envelopes.iter().filter(|e| line(e).contains("text(\"x\")")).count();
        assert_eq!(texts, 2, "{bad}");
        assert_eq!(normalized.envelopes.len() + normalized.unreadable.len(), 3, "{bad}");
        let split = bridge.split(whole.as_bytes()).unwrap();
        assert_eq!(split.items.len(), 3, "{bad}: nothing is dropped");
    }
    for entries in ["5", "null", "[1]", r#"{"id":"1","messaging":{}}"#, r#"{"id":"1","changes":5}"#]
    {
        let whole = format!(
            r#"{{"object":"page","entry":[{entries},{{"id":"{PAGE}","messaging":[{}]}}]}}"#,
            good("m_1")
        );
        let normalized = support::normalized(&bridge, whole.as_bytes());
        assert_eq!((normalized.envelopes.len(), normalized.unreadable.len()), (1, 1), "{entries}");
        let split = bridge.split(whole.as_bytes()).unwrap();
        assert_eq!((split.items.len(), split.unreadable.len()), (2, 1), "{entries}");
    }
}

#[test]
fn mistake_16_a_malformed_attachment_leaves_the_words_and_its_neighbours() {
    let rest = r#""message":{"mid":"m","text":"look","attachments":[7,{"type":"image","payload":{"url":"https://h/a.png"}}]}"#;
    let message = line(&envelope(&Messenger::new(), &event(rest)));
    assert!(message.contains("text(\"look\") unsupported(attachment") && message.contains("a.png"));
}

#[test]
fn mistake_18_read_may_come_before_or_without_delivered_and_each_state_has_its_id() {
    let bridge = Messenger::new();
    let read = envelope(&bridge, &event(r#""read":{"watermark":5}"#));
    let delivered = envelope(&bridge, &event(r#""delivery":{"watermark":5}"#));
    assert_ne!(read.id, delivered.id);
    let other = event(r#""read":{"watermark":5}"#).replace(USER, "6100000000000002");
    assert_ne!(envelope(&bridge, &other).id, read.id, "another person's receipt is another event");
}

#[test]
fn mistake_20_relayed_content_carries_no_tag_and_retired_tags_are_refused() {
    let bridge = Messenger::new();
    let body = body_of(&render(&bridge, &to(USER, text("x"))).unwrap());
    assert_eq!(body["messaging_type"], "RESPONSE");
    assert!(body.get("tag").is_none());
    for tag in ["CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE", ""] {
        let tagged = Outgoing {
            messaging_type: Some(MessagingType::Tag(tag.to_owned())),
            ..to(USER, text("x"))
        };
        assert!(render(&bridge, &tagged).is_err(), "{tag}");
    }
}
