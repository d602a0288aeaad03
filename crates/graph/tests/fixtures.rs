//! The shared fixtures: signatures, challenges and error classes of all three platforms.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests panic and print where a test would"
)]

use interline_bridge_api::{Certainty, Class, Response};
use interline_graph::{
    ChallengeError, Network, answer_challenge, failure_of, sign, verify_signature,
};
use serde_json::Value;
use std::borrow::Cow;
use std::path::PathBuf;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");

/// The fixtures' folder, or nothing (and then the test is skipped) where it is absent.
fn fixtures() -> Option<PathBuf> {
    let path = PathBuf::from(SHARED).join("fixtures");
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("INTERLINE_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "../shared is not beside the checkout, and INTERLINE_REQUIRE_ALL=1 asks for it"
    );
    println!("skipped: ../shared is not beside the checkout");
    None
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn network_of(file: &str) -> Network {
    match file.split('/').next().unwrap() {
        "whatsapp" => Network::WhatsApp,
        "messenger" => Network::Messenger,
        "instagram" => Network::Instagram,
        other => panic!("{other} is no platform"),
    }
}

/// PLATFORMS.md section 5 and `ERROR_CLASSES.json`.
#[test]
fn every_error_fixture_has_its_class() {
    let Some(fixtures) = fixtures() else { return };
    let table = json(fixtures.join("ERROR_CLASSES.json"));
    let files = table["files"].as_array().unwrap();
    assert!(files.len() >= 106, "{}", files.len());
    let mut wrong = Vec::new();
    for entry in files {
        let file = entry["file"].as_str().unwrap();
        let status = u16::try_from(entry["http_status"].as_u64().unwrap()).unwrap();
        let body = std::fs::read(fixtures.join(file)).unwrap();
        let failure = failure_of(network_of(file), &Response { status, headers: Vec::new(), body });
        let expected: Class = serde_json::from_value(entry["class"].clone()).unwrap();
        if failure.class != expected {
            wrong.push(format!("{file}: {:?}, not {expected:?}", failure.class));
        }
        assert_eq!(failure.certainty, Certainty::NotSent, "{file}");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// PLATFORMS.md section 2, "Signature".
#[test]
fn every_webhook_fixture_has_the_signature_that_meta_would_send() {
    let Some(fixtures) = fixtures() else { return };
    let table = json(fixtures.join("SIGNATURES.json"));
    let secret = table["app_secret"].as_str().unwrap().as_bytes();
    let signatures = table["signatures"].as_object().unwrap();
    assert!(signatures.len() >= 218, "{}", signatures.len());
    for (file, signature) in signatures {
        let body = std::fs::read(fixtures.join(file)).unwrap();
        let signature = signature.as_str().unwrap();
        assert_eq!(sign(secret, &body), signature, "{file}");
        assert_eq!(verify_signature(secret, &body, Some(signature)), Ok(()), "{file}");
    }
}

/// PLATFORMS.md section 2, "Verification".
#[test]
fn every_challenge_case_is_answered_as_the_platforms_expect() {
    let Some(fixtures) = fixtures() else { return };
    let table = json(fixtures.join("VERIFY_GET.json"));
    let token = table["verify_token"].as_str().unwrap();
    for case in table["cases"].as_array().unwrap() {
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = case["query"]
            .as_str()
            .unwrap()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (Cow::from(key), Cow::from(percent_decoded(value))))
            .collect();
        let answer = answer_challenge(pairs, &[token.as_bytes()]);
        match (&case["status"], answer) {
            (Value::Number(status), Ok(body)) => {
                assert_eq!(status.as_u64(), Some(200), "{case}");
                assert_eq!(case["body"].as_str(), Some(&*body), "{case}");
            }
            (Value::Number(status), Err(error)) => {
                assert_eq!(status.as_u64(), Some(u64::from(error.http_status())), "{case}");
            }
            (_, answer) => assert!(
                matches!(answer, Err(ChallengeError::Incomplete | ChallengeError::Refused)),
                "{case}"
            ),
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().unwrap(), rest.next().unwrap()];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}
