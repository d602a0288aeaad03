//! PLATFORMS.md section 9, the mistakes that are easy to make: those that Instagram adds to the ones tested with
//! Messenger, by their numbers.

use crate::sending::{answer, body_of, failure, quick, render, text, to};
use crate::support::{self, envelope};
use interline_bridge_api::{Bridge, RenderError};
use interline_envelope::{Kind, Target};
use interline_instagram::Instagram;
use interline_relay::{Action, ChatKind, MessagingType, Outgoing, TextUnit};

const USER: &str = "1700000000000001";

fn event(rest: &str) -> String {
    format!(
        r#"{{"object":"instagram","entry":[{{"id":"17841400000000001","time":1,"messaging":[{{"sender":{{"id":"{USER}"}},"recipient":{{"id":"17841400000000001"}},"timestamp":1772998024000,{rest}}}]}}]}}"#
    )
}

#[test]
fn mistake_2_and_17_signatures_are_checked_with_the_secret_of_the_account_s_own_login() {
    let Some(root) = support::fixtures() else { return };
    let signatures = std::fs::read(root.join("SIGNATURES.json")).unwrap();
    let signatures: serde_json::Value = serde_json::from_slice(&signatures).unwrap();
    let secret = signatures["app_secret"].as_str().unwrap().as_bytes();
    for (name, body) in support::files("instagram/webhook").unwrap() {
        let header = signatures["signatures"][format!("instagram/webhook/{name}")].as_str();
        assert_eq!(interline_graph::verify_signature(secret, &body, header), Ok(()), "{name}");
        let facebook = interline_graph::verify_signature(b"the-facebook-app-secret", &body, header);
        let words = facebook.unwrap_err().to_string();
        assert!(words.contains("Instagram Login has a secret of its own"), "{words}");
    }
}

#[test]
fn mistake_3_an_unsend_names_the_original_message_and_is_not_taken_for_it() {
    let bridge = Instagram::new();
    let message = envelope(&bridge, &event(r#""message":{"mid":"m","text":"x"}"#));
    let unsend = envelope(&bridge, &event(r#""message":{"mid":"m","is_deleted":true}"#));
    assert_eq!((unsend.kind, unsend.target.clone()), (Kind::Delete, Some(Target::message("m"))));
    assert_ne!(message.id, unsend.id);
    let placeholder = envelope(&bridge, &event(r#""message_edit":{"mid":"m","num_edit":0}"#));
    assert_eq!(placeholder.kind, Kind::Message);
    assert_ne!(message.id, placeholder.id, "should both come, neither swallows the other");
}

#[test]
fn mistake_4_seen_names_a_message_and_is_no_watermark() {
    let seen = envelope(&Instagram::new(), &event(r#""read":{"mid":"m"}"#));
    assert_eq!(seen.target, Some(Target::message("m")));
}

#[test]
fn mistake_7_self_echo_standby_and_comments_are_never_live() {
    let bridge = Instagram::new();
    let said = event(r#""message":{"mid":"m","text":"x"}"#);
    let own = said.replace(USER, "17841400000000001");
    let own = own.replace(r#""text""#, r#""is_self":true,"is_echo":true,"text""#);
    let own = envelope(&bridge, &own);
    assert!(own.echo && own.extra["is_self"] == true);
    let turned = said.replace(r#""text""#, r#""is_echo":true,"text""#);
    let turned = envelope(&bridge, &turned);
    assert!(turned.echo, "an echo whose sender is the person");
    assert_eq!(
        (turned.account.as_str(), turned.chat.as_exposed_str()),
        ("17841400000000001", USER)
    );
    assert!(envelope(&bridge, &said.replace("messaging", "standby")).standby);
    for form in [
        r#""changes":[{"field":"comments","value":{"text":"nice"}}]"#,
        r#""field":"comments","value":{"text":"nice"}"#,
    ] {
        let body = format!(r#"{{"object":"instagram","entry":[{{"id":"2","time":1,{form}}}]}}"#);
        assert_eq!(envelope(&bridge, &body).kind, Kind::Account);
    }
}

#[test]
fn mistake_9_code_10_means_what_its_subcode_says() {
    let bridge = Instagram::new();
    let request = render(&bridge, &to(USER, text("x"))).unwrap();
    let class = |error: &str| {
        let body = format!(r#"{{"error":{{{error}}}}}"#);
        failure(bridge.interpret(&request, &answer(403, body.as_bytes()))).class.as_str()
    };
    assert_eq!(class(r#""code":10,"error_subcode":2534022"#), "window");
    assert_eq!(class(r#""code":10,"error_subcode":2534077"#), "reauth");
    assert_eq!(class(r#""code":100,"error_subcode":2534037"#), "handover");
}

#[test]
fn mistake_10_and_11_a_sender_action_stands_alone_and_reply_to_beside_the_message() {
    let quoting = |action| Outgoing { reply_to: Some("m".into()), ..to(USER, action) };
    let render = |outgoing| body_of(&render(&Instagram::new(), &outgoing).unwrap());
    let typing = render(quoting(Action::Typing { on: true, message: None }));
    let expected = serde_json::json!({"recipient": {"id": USER}, "sender_action": "typing_on"});
    assert_eq!(typing, expected);
    let reply = render(quoting(text("x")));
    assert_eq!(reply["reply_to"]["mid"], "m");
    assert!(reply["message"].get("reply_to").is_none());
}

#[test]
fn mistake_13_instagram_counts_bytes() {
    let bridge = Instagram::new();
    let limit = bridge.capabilities(ChatKind::Direct).text;
    assert_eq!((limit.max, limit.unit), (1000, TextUnit::Utf8Bytes));
    assert!(render(&bridge, &to(USER, text(&"é".repeat(500)))).is_ok());
    let error = render(&bridge, &to(USER, text(&"é".repeat(501)))).unwrap_err();
    assert!(matches!(error, RenderError::OverLimit { max: 1000, unit: "bytes", .. }), "{error}");
}

#[test]
fn mistake_16_a_malformed_neighbour_costs_nothing() {
    let body = event(r#""message":{"mid":"m","text":"x"}"#);
    let body = body.replace(r#""messaging":["#, r#""messaging":[5,{"message":7},"#);
    let normalized = support::normalized(&Instagram::new(), body.as_bytes());
    assert_eq!((normalized.envelopes.len(), normalized.unreadable.len()), (2, 1));
    assert_eq!(normalized.envelopes[1].kind, Kind::Message);
}

#[test]
fn mistake_20_nothing_is_tagged_unless_asked_and_the_marker_stays_at_home() {
    let bridge = Instagram::new();
    let outgoing =
        Outgoing { marker: Some("mark".to_owned()), ..to(USER, quick("x", &[("t", "p", None)])) };
    let request = render(&bridge, &outgoing).unwrap();
    let body = body_of(&request);
    assert!(body.get("tag").is_none() && body.get("messaging_type").is_none());
    assert!(body["message"].get("metadata").is_none() && request.marker.is_none());
    let retired = Some(MessagingType::Tag("ACCOUNT_UPDATE".to_owned()));
    assert!(render(&bridge, &Outgoing { messaging_type: retired, ..outgoing }).is_err());
}
