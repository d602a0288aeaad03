//! The MUSTs of `docs/bridge-contract.md` that can be asked of every bridge in the same words.

use super::samples::bodies;
use interline::bridges;
use interline_bridge_api::{
    Bridge, Certainty, ChatKind, Outcome, Outgoing, RenderContext, Request, Response,
};
use interline_envelope::{Envelope, IdKey};
use interline_relay::{Action, Recipient};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

const MARKER: &str = "il1.00000000000000000000000000000000.0";

/// Webhooks with the kind of envelope that each becomes.
type Samples = Vec<(&'static str, Vec<u8>)>;

/// Every bridge with its sample bodies; one without any would be asked nothing.
fn each() -> Vec<(Arc<dyn Bridge>, Samples)> {
    let of = |bridge: &Arc<dyn Bridge>| {
        let own = bodies().into_iter().filter(|(id, ..)| *id == bridge.manifest().id.as_str());
        own.map(|(_, kind, body)| (kind, body.to_string().into_bytes())).collect::<Samples>()
    };
    let all: Vec<_> =
        bridges::all().into_iter().map(|bridge| (bridge.clone(), of(&bridge))).collect();
    for (bridge, samples) in &all {
        assert!(samples.len() >= 5, "{}: add webhooks to samples.rs", bridge.manifest().id);
    }
    all
}

fn envelopes(bridge: &dyn Bridge, body: &[u8]) -> Vec<Envelope> {
    bridge.normalize(&IdKey::published_test_key(), body).unwrap().envelopes
}

fn text_request(bridge: &dyn Bridge) -> Request {
    let text = Action::Text { text: "hi".into(), link_preview: false, quick_replies: Vec::new() };
    let mut outgoing = Outgoing::new(Recipient::User("15550001111".into()), text);
    outgoing.marker =
        bridge.capabilities(ChatKind::Direct).marker_bytes_max.map(|_| MARKER.to_owned());
    let context = RenderContext { account: "1", send_as: "1" };
    bridge.render(&context, &outgoing).unwrap()
}

#[test]
fn every_bridge_makes_the_same_of_the_same_bytes() {
    for (bridge, samples) in each() {
        for (kind, body) in samples {
            let once = envelopes(bridge.as_ref(), &body);
            assert_eq!(once[0].kind.as_str(), kind);
            assert!(once == envelopes(bridge.as_ref(), &body), "{}: {kind}", bridge.manifest().id);
        }
    }
}

#[test]
fn every_bridge_splits_a_body_into_items_that_mean_the_same() {
    for (bridge, samples) in each() {
        for (kind, body) in samples {
            let split = bridge.split(&body).unwrap();
            assert!(split.unreadable.is_empty() && !split.items.is_empty());
            let items: Vec<Envelope> = split
                .items
                .iter()
                .flat_map(|item| envelopes(bridge.as_ref(), &item.body))
                .collect();
            let whole = envelopes(bridge.as_ref(), &body);
            assert!(items == whole, "{}: {kind}", bridge.manifest().id);
            assert!(split.items.iter().all(|item| item.account == whole[0].account));
        }
    }
}

#[test]
fn every_bridge_declares_the_kinds_that_it_makes() {
    for (bridge, samples) in each() {
        for (_, body) in samples {
            for envelope in envelopes(bridge.as_ref(), &body) {
                assert!(bridge.manifest().kinds.contains(&envelope.kind), "{envelope:?}");
                assert_eq!(envelope.platform, bridge.manifest().id);
            }
        }
    }
}

#[test]
fn no_bridge_panics_on_garbage_and_each_says_what_is_wrong() {
    let garbage: [&[u8]; 5] = [b"", b"{", b"\xff\xfe", b"{\"object\":\"something else\"}", b"7"];
    for (bridge, _) in each() {
        for body in garbage {
            let error = bridge.normalize(&IdKey::published_test_key(), body).unwrap_err();
            assert!(!error.to_string().is_empty());
            bridge.split(body).unwrap_err();
        }
    }
}

#[test]
fn no_bridge_shows_a_person_in_debug_output() {
    for (bridge, samples) in each() {
        for (_, body) in samples {
            let made = bridge.normalize(&IdKey::published_test_key(), &body).unwrap();
            let shown = format!("{made:?} {:?}", bridge.split(&body).unwrap());
            for person in ["15550001111", "1700000000000001", "Alice", "Bob"] {
                assert!(!shown.contains(person), "{shown}");
            }
        }
    }
}

#[test]
fn a_marker_is_in_the_request_exactly_where_the_platform_gives_it_back() {
    for (bridge, _) in each() {
        let request = text_request(bridge.as_ref());
        let body = serde_json::to_value(&request.body).unwrap().to_string();
        let given_back = bridge.capabilities(ChatKind::Direct).marker_bytes_max;
        assert_eq!(body.contains(MARKER), given_back.is_some(), "{}", bridge.manifest().id);
        assert!(given_back.is_none_or(|bytes_max| bytes_max >= MARKER.len() + 4));
        assert!(!request.idempotent, "a text shown twice is seen twice");
    }
}

#[test]
fn an_answer_that_is_not_the_platform_s_leaves_a_send_uncertain() {
    for (bridge, _) in each() {
        let request = text_request(bridge.as_ref());
        for (status, body) in [(500, "<html>"), (502, ""), (200, ""), (200, "{}")] {
            let response = Response { status, headers: Vec::new(), body: body.into() };
            let outcome = bridge.interpret(&request, &response);
            let Outcome::Failed(failure) = outcome else { panic!("{status} {body}: {outcome:?}") };
            assert_eq!(failure.certainty, Certainty::MaybeSent, "{status} {body}");
        }
    }
}

#[test]
fn the_platform_s_no_means_that_nothing_was_sent() {
    let error: Value =
        serde_json::json!({"error": {"message": "m", "type": "OAuthException", "code": 100}});
    for (bridge, _) in each() {
        let request = text_request(bridge.as_ref());
        let response =
            Response { status: 400, headers: Vec::new(), body: error.to_string().into() };
        let outcome = bridge.interpret(&request, &response);
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!((failure.certainty, failure.code), (Certainty::NotSent, Some(100)));
    }
}

/// Every Rust file below a folder.
fn sources(folder: &Path, out: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            sources(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            // An editor's temporary file may be gone by now.
            out.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

#[test]
fn every_must_of_the_bridge_contract_has_a_number_and_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contract = std::fs::read_to_string(root.join("docs/bridge-contract.md")).unwrap();
    let mut code = String::new();
    sources(root, &mut code);
    let musts: Vec<&str> = contract.split("\n### ").skip(1).collect();
    assert!(musts.len() >= 15, "{} MUSTs", musts.len());
    for (index, must) in musts.iter().enumerate() {
        assert!(must.starts_with(&format!("{}. ", index + 1)), "{must}");
        assert!(must.contains("MUST"), "{must}");
        let (_, held) = must.split_once("Held by").expect(must);
        let tests: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{must}");
        for test in tests {
            assert!(code.contains(&format!("fn {test}(")), "no test is called {test}");
        }
    }
}
