//! `explain`.

use crate::support::{Ran, fixture, run, run_with};
use serde_json::{Value, json};

/// A sample of `tests/fidelity`, which the table in `docs/fidelity.md` is made of.
fn sample(platform: &str, row: &str) -> Vec<u8> {
    let path = format!("{}/tests/fidelity/{platform}.json", env!("CARGO_MANIFEST_DIR"));
    let samples: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(samples[row].is_object(), "{platform} {row}");
    serde_json::to_vec(&samples[row]).unwrap()
}

#[track_caller]
fn explain(platform: &str, row: &str, arguments: &[&str]) -> Ran {
    let mut all = vec!["explain", platform, "-"];
    all.extend(arguments);
    run_with(&all, &sample(platform, row)).ended(0)
}

#[test]
fn what_would_arrive_is_told_with_its_form_its_rules_and_a_sentence_for_each_loss() {
    let ran = explain("whatsapp", "location", &["--to", "instagram"]);
    let expected = "\
message to Instagram: fallback
  | 📍 Café Central, Herrengasse 14, Vienna https://maps.google.com/?q=48.2104,16.3654
  location-as-text: A place became a line of text.
";
    assert_eq!(ran.out, expected);
    assert!(ran.err.is_empty(), "{}", ran.err);
}

#[test]
fn a_sticker_is_explained_as_the_picture_that_the_daemon_makes_of_it() {
    for target in ["messenger", "instagram"] {
        let out = explain("whatsapp", "sticker", &["--to", target]).out;
        assert!(out.contains("  | [photo]\n  sticker-as-image: "), "{out}");
    }
}

#[test]
fn what_ffmpeg_and_links_change_is_explained_where_it_is_asked_for() {
    let voice =
        |more: &[&str]| explain("whatsapp", "voice", &[&["--to", "instagram"], more].concat()).out;
    assert!(voice(&[]).contains("that cannot be shown here]"), "{}", voice(&[]));
    assert!(voice(&["--ffmpeg"]).contains("  | [audio]\n  voice-as-audio: "));
    let archive = |more: &[&str]| {
        explain("whatsapp", "archive", &[&["--to", "instagram"], more].concat()).out
    };
    assert!(!archive(&[]).contains("https://"), "{}", archive(&[]));
    assert!(archive(&["--links"]).contains("https://"), "{}", archive(&["--links"]));
}

#[test]
fn every_envelope_of_a_webhook_is_explained() {
    let ran = run(&["explain", "whatsapp", &fixture("whatsapp.json"), "--to", "instagram"]);
    let expected = "\
message to Instagram: native
  | Hello 👋

reaction to Instagram: native
  | [reaction ❤️]
";
    assert_eq!(ran.ended(0).out, expected);
}

#[test]
fn a_program_reads_one_json_object_an_envelope() {
    let ran = explain("whatsapp", "caption", &["--to", "messenger", "--json", "--named"]);
    let lines = ran.json_lines();
    let [explained] = lines.as_slice() else { panic!("{ran:?}") };
    assert_eq!(explained["kind"], "message");
    assert_eq!(explained["form"], "native");
    let shown = json!([
        {"seen": "[photo]", "quotes": false},
        {"seen": "Alice: The old harbour", "quotes": false},
    ]);
    assert_eq!(explained["shown"], shown);
    let rules: Vec<&str> = explained["losses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["formatting-removed", "caption-separated"]);
}

#[test]
fn what_is_known_of_the_message_that_it_is_about_can_be_said() {
    let out = |original: &str| {
        explain("instagram", "reply", &["--to", "whatsapp", "--original", original]).out
    };
    assert_eq!(
        out("copied"),
        "message to WhatsApp: native\n  | Yes, I come\n    (quotes the copy there of what it is about)\n"
    );
    assert!(out("known").contains("  | > Bob: See you at eight\n  | \n  | Yes, I come\n"));
    assert!(out("unknown").contains("  reply-dropped: What was answered is not known here.\n"));
    let told = ["--to", "instagram", "--earlier-reaction", "text"];
    let told = explain("whatsapp", "reaction-removed", &told).out;
    assert!(told.contains("  | removed their reaction to \"See you at eight\"\n"), "{told}");
}

#[test]
fn what_arrives_for_nobody_says_why() {
    let out = |row: &str, arguments: &[&str]| explain("whatsapp", row, arguments).out;
    let unsend = out("unsend", &["--to", "messenger", "--original", "unknown"]);
    let because = "by the rule delete-of-unknown: What was deleted never arrived here.";
    assert!(unsend.starts_with(&format!("delete to Messenger: nothing, {because}\n")), "{unsend}");
    // The account's own answer from its inbox.
    let echo = json!({"object": "page", "entry": [{"id": "2", "time": 1, "messaging": [{
        "sender": {"id": "2"}, "recipient": {"id": "1"}, "timestamp": 1_700_000_000_000_i64,
        "message": {"mid": "m", "text": "by hand", "is_echo": true}}]}]});
    let ran = run_with(&["explain", "messenger", "--to", "whatsapp"], echo.to_string().as_bytes());
    let expected = "message to WhatsApp: nothing, by the rule echo: The account itself sent it.\n";
    assert_eq!(ran.ended(0).out, expected);
}

#[test]
fn a_hostile_text_does_not_write_to_the_terminal() {
    let body = json!({"object": "page", "entry": [{"id": "2", "time": 1, "messaging": [{
        "sender": {"id": "1"}, "recipient": {"id": "2"}, "timestamp": 1_700_000_000_000_i64,
        "message": {"mid": "m", "text": "\u{1b}[2Jgone\u{202E}\u{7}"}}]}]});
    let ran = run_with(&["explain", "messenger", "--to", "whatsapp"], body.to_string().as_bytes());
    assert_eq!(ran.ended(0).out, "message to WhatsApp: native\n  | [2Jgone\n");
}

#[test]
fn what_is_no_event_or_no_platform_is_refused_with_a_reason() {
    let ran = run_with(&["explain", "whatsapp", "--to", "instagram"], b"{}").ended(1);
    assert!(ran.err.contains("this is no event of WhatsApp that can be read"), "{}", ran.err);
    let ran = run_with(&["explain", "whatsapp", "--to", "carrier-pigeon"], b"{}").ended(1);
    assert!(ran.err.contains("there is no bridge `carrier-pigeon`"), "{}", ran.err);
    run(&["explain", "whatsapp"]).ended(2);
}
