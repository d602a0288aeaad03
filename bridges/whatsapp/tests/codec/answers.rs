//! What the platform's answers mean. PLATFORMS.md sections 1, 4 ("Media in"), 5.

use crate::requests::{outgoing, rendered};
use crate::support::{files, fixtures};
use interline_bridge_api::{Bridge, Certainty, Class, Located, Outcome, Request, Response, Scope};
use interline_envelope::{MediaKind, Redacted};
use interline_relay::{Action, UploadSpec};
use interline_whatsapp::WhatsApp;

fn said() -> Request {
    rendered(&outgoing(Action::Text {
        text: "x".into(),
        link_preview: false,
        quick_replies: vec![],
    }))
}

fn interpret(request: &Request, status: u16, body: &[u8]) -> Outcome {
    let response = Response { status, headers: Vec::new(), body: body.to_vec() };
    WhatsApp::new().interpret(request, &response)
}

fn ids(outcome: &Outcome) -> Option<Vec<&str>> {
    if let Outcome::Sent { native_ids } = outcome {
        return Some(native_ids.iter().map(Redacted::as_exposed_str).collect());
    }
    None
}

#[test]
fn every_response_fixture_is_understood() {
    let Some(fixtures) = fixtures() else { return };
    let upload = rendered(&outgoing(Action::Upload(UploadSpec {
        media: MediaKind::Image,
        mime: "image/png".to_owned(),
        filename: "a.png".into(),
        url: None,
    })));
    let locate = rendered(&outgoing(Action::LocateMedia("1".into())));
    let mut seen = 0;
    for (name, bytes) in files(&fixtures, "whatsapp/send") {
        if name.contains(".request.") {
            continue;
        }
        seen += 1;
        let is_get = name.starts_with("media_get");
        let request = match name.as_str() {
            "media_upload.response.json" => &upload,
            _ if is_get => &locate,
            _ => &said(),
        };
        match interpret(request, 200, &bytes) {
            Outcome::Located(located) => {
                assert!(is_get && located.needs_token, "{name}");
                assert_eq!(
                    (located.bytes, located.mime.as_deref()),
                    (Some(303_833), Some("image/jpeg"))
                );
                let hex = "49f2277a19b8065b3059c5b0b19ffcfd003168bd9fceebf0e9e02cc95c2c3a5d";
                assert_eq!(located.sha256.as_deref(), Some(hex), "{name}");
            }
            outcome => {
                let ids = ids(&outcome).unwrap();
                let is_action = matches!(
                    name.as_str(),
                    "mark_read.response.json" | "media_delete.response.json"
                );
                assert_eq!(ids.len(), usize::from(!is_action), "{name}");
            }
        }
    }
    assert_eq!(seen, 10);
}

#[test]
fn ids_come_from_the_answer_in_order_with_their_digits() {
    let outcome = interpret(&said(), 200, br#"{"messages":[{"id":"wamid.1"},{"id":"wamid.2"}]}"#);
    assert_eq!(ids(&outcome), Some(vec!["wamid.1", "wamid.2"]));
    let done = interpret(&said(), 200, br#"{"success":true}"#);
    assert_eq!(ids(&done), Some(vec![]));
}

#[test]
fn a_located_medium_needs_the_token_and_has_its_hash_in_hex() {
    let locate = rendered(&outgoing(Action::LocateMedia("1".into())));
    let body =
        br#"{"url":"https://x/y","mime_type":"image/jpeg","file_size":"12","sha256":"nope"}"#;
    let expected = Located {
        url: Redacted::new("https://x/y".to_owned()),
        mime: Some("image/jpeg".to_owned()),
        bytes: Some(12),
        sha256: None,
        needs_token: true,
    };
    assert_eq!(interpret(&locate, 200, body), Outcome::Located(expected));
}

/// Section 5: a Graph body says that nothing was sent; without one a 5xx or an odd 200 leaves it open.
#[test]
fn an_unreadable_success_or_a_bare_5xx_leaves_the_send_uncertain() {
    let certainty = |status: u16, body: &str| match interpret(&said(), status, body.as_bytes()) {
        Outcome::Failed(failure) => failure.certainty,
        other => panic!("{other:?}"),
    };
    assert_eq!(certainty(200, "<html>"), Certainty::MaybeSent);
    assert_eq!(certainty(200, "{}"), Certainty::MaybeSent);
    assert_eq!(certainty(200, r#"{"messages":[]}"#), Certainty::MaybeSent);
    assert_eq!(certainty(502, "<html>"), Certainty::MaybeSent);
    assert_eq!(certainty(503, r#"{"error":{"code":2}}"#), Certainty::NotSent);
    assert_eq!(certainty(404, ""), Certainty::NotSent);
}

/// Section 4, "Pair rate": 131056 stops one person, 130429 the account.
#[test]
fn a_pair_limit_is_about_one_person() {
    let failure = |code: i64| {
        let body = format!(r#"{{"error":{{"code":{code}}}}}"#);
        match interpret(&said(), 400, body.as_bytes()) {
            Outcome::Failed(failure) => (failure.class, failure.scope),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(failure(131_056), (Class::Throttle, Scope::Pair));
    assert_eq!(failure(130_429), (Class::Throttle, Scope::Account));
    assert_eq!(failure(131_047), (Class::Window, Scope::Pair));
}
