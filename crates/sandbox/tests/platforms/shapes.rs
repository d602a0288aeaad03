//! The webhooks and responses that the sandbox makes have the keys of the collected payloads.

use std::collections::BTreeSet;
use std::path::PathBuf;

use interline_sandbox::{Fault, Kind, Phone, signature};
use serde_json::{Value, json};

use crate::hook::{Hook, PSID, phone, png, send, start, text};
use crate::webhooks::updates;

/// Where the payloads are, or `None` after saying that they are not there.
fn fixtures() -> Option<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures"));
    if root.is_dir() {
        return Some(root);
    }
    let required = std::env::var_os("INTERLINE_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "../shared is not beside the checkout");
    println!("skipped: ../shared is not beside the checkout");
    None
}

fn read(root: &std::path::Path, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root.join(file)).unwrap()).unwrap()
}

/// Every key path with the type of its value; list items share `[]`.
fn keys(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    walk(value, &format!("{path}.{key}"), all);
                }
            }
            Value::Array(items) => {
                for item in items {
                    walk(item, &format!("{path}[]"), all);
                }
            }
            Value::String(_) => drop(all.insert(format!("{path}: string"))),
            Value::Number(_) => drop(all.insert(format!("{path}: number"))),
            Value::Bool(_) => drop(all.insert(format!("{path}: bool"))),
            Value::Null => drop(all.insert(format!("{path}: null"))),
        }
    }
    let mut all = BTreeSet::new();
    walk(value, "", &mut all);
    all
}

/// What `made` has and the fixture has not, and the other way round; `known` are paths that may differ.
fn check_same(made: &Value, fixture: &Value, name: &str, known: &[&str]) {
    let (made, wanted) = (keys(made), keys(fixture));
    let differ: Vec<&String> = made
        .symmetric_difference(&wanted)
        .filter(|path| !known.iter().any(|known| path.contains(known)))
        .collect();
    assert!(differ.is_empty(), "{name}: {differ:?}\nmade {made:?}\nwanted {wanted:?}");
}

type Act = Box<dyn Fn(&Phone)>;

fn act(act: impl Fn(&Phone) + 'static) -> Act {
    Box::new(act)
}

/// Keys that came after a fixture was taken (the BSUID, the media URL), or that are optional.
const SINCE: [&str; 7] = [
    "user_id",
    "from_parent",
    "parent_user",
    "contacts[].profile.username",
    ".url:",
    "voice",
    "frequently",
];

#[tokio::test]
async fn whatsapp_webhooks_have_the_keys_of_the_real_ones() {
    let Some(root) = fixtures() else { return };
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let sam = phone(platforms.whatsapp());
    let cases: Vec<(&str, Act)> = vec![
        ("text", act(|sam| drop(sam.say("x").unwrap()))),
        ("text_reply_context", act(|sam| drop(sam.reply(&sam.view()[0].native_id, "x").unwrap()))),
        ("image_caption_url", act(|sam| drop(sam.photo(png(), "image/png", Some("c")).unwrap()))),
        ("audio_voice", act(|sam| drop(sam.voice(&b"OggS"[..]).unwrap()))),
        ("video_caption", act(|sam| drop(sam.video(&b"mp4"[..], "video/mp4", Some("c")).unwrap()))),
        (
            "document",
            act(|sam| {
                drop(sam.document(&b"%"[..], "application/pdf", "a.pdf", Some("c")).unwrap())
            }),
        ),
        ("sticker_static", act(|sam| drop(sam.sticker(&b"RIFF"[..], false).unwrap()))),
        ("location_named", act(|sam| drop(sam.location(1.5, 2.5, Some("n"), Some("a")).unwrap()))),
        ("reaction_add", act(|sam| drop(sam.react(&sam.view()[0].native_id, "😮").unwrap()))),
        (
            "reaction_remove_empty_emoji",
            act(|sam| drop(sam.unreact(&sam.view()[0].native_id).unwrap())),
        ),
        ("unsupported_with_subtype_poll", act(|sam| drop(sam.unsupported("poll").unwrap()))),
        (
            "unsupported_with_subtype_edit",
            act(|sam| drop(sam.edit(&sam.view()[0].native_id, "y").unwrap())),
        ),
        ("revoke_user_deleted", act(|sam| drop(sam.unsend(&sam.view()[0].native_id).unwrap()))),
    ];
    for (index, (name, act)) in cases.iter().enumerate() {
        act(&sam);
        let made = hook.wait_for_taken(index + 1).await.pop().unwrap();
        let fixture = read(&root, &format!("whatsapp/webhook/{name}.json"));
        check_same(&made, &fixture, name, &SINCE);
    }
}

#[tokio::test]
async fn messenger_webhooks_have_the_keys_of_the_real_ones() {
    let Some(root) = fixtures() else { return };
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let mia = phone(platforms.messenger());
    let cases: Vec<(&str, Act)> = vec![
        ("text", act(|mia| drop(mia.say("x").unwrap()))),
        ("reply_to", act(|mia| drop(mia.reply(&mia.view()[0].native_id, "x").unwrap()))),
        ("image", act(|mia| drop(mia.photo(png(), "image/png", None).unwrap()))),
        (
            "image_several",
            act(|mia| drop(mia.photos(vec![(png().into(), "image/png".into()); 3]).unwrap())),
        ),
        ("audio_voice_clip", act(|mia| drop(mia.voice(&b"mp4"[..]).unwrap()))),
        ("video", act(|mia| drop(mia.video(&b"mp4"[..], "video/mp4", None).unwrap()))),
        (
            "file",
            act(|mia| drop(mia.document(&b"%"[..], "application/pdf", "a b.pdf", None).unwrap())),
        ),
        ("sticker_new_type", act(|mia| drop(mia.sticker(png(), false).unwrap()))),
        ("location_legacy", act(|mia| drop(mia.location(1.5, 2.5, None, None).unwrap()))),
        ("reaction_react", act(|mia| drop(mia.react(&mia.view()[0].native_id, "❤️").unwrap()))),
        ("reaction_unreact", act(|mia| drop(mia.unreact(&mia.view()[0].native_id).unwrap()))),
        ("message_edit_num_int", act(|mia| drop(mia.edit(&mia.view()[0].native_id, "y").unwrap()))),
        ("quick_reply", act(|mia| drop(mia.tap_quick_reply("P", "t").unwrap()))),
    ];
    for (index, (name, act)) in cases.iter().enumerate() {
        act(&mia);
        let made = hook.wait_for_taken(index + 1).await.pop().unwrap();
        check_same(&made, &read(&root, &format!("messenger/webhook/{name}.json")), name, &[]);
    }
}

#[tokio::test]
async fn instagram_webhooks_have_the_keys_of_the_real_ones() {
    let Some(root) = fixtures() else { return };
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let ina = phone(platforms.instagram());
    let cases: Vec<(&str, Act)> = vec![
        ("text", act(|ina| drop(ina.say("x").unwrap()))),
        ("reply_to_message", act(|ina| drop(ina.reply(&ina.view()[0].native_id, "x").unwrap()))),
        ("image", act(|ina| drop(ina.photo(png(), "image/png", None).unwrap()))),
        ("audio_voice", act(|ina| drop(ina.voice(&b"mp4"[..]).unwrap()))),
        ("video", act(|ina| drop(ina.video(&b"mp4"[..], "video/mp4", None).unwrap()))),
        (
            "file_pdf",
            act(|ina| drop(ina.document(&b"%"[..], "application/pdf", "a.pdf", None).unwrap())),
        ),
        ("like_heart", act(|ina| drop(ina.heart().unwrap()))),
        ("is_unsupported", act(|ina| drop(ina.unsupported("poll").unwrap()))),
        ("reaction_react", act(|ina| drop(ina.react(&ina.view()[0].native_id, "❤️").unwrap()))),
        (
            "reaction_react_other_no_reaction_word",
            act(|ina| drop(ina.react(&ina.view()[0].native_id, "🔥").unwrap())),
        ),
        ("reaction_unreact", act(|ina| drop(ina.unreact(&ina.view()[0].native_id).unwrap()))),
        ("message_edit", act(|ina| drop(ina.edit(&ina.view()[0].native_id, "y").unwrap()))),
        ("is_deleted_unsend", act(|ina| drop(ina.unsend(&ina.view()[0].native_id).unwrap()))),
    ];
    for (index, (name, act)) in cases.iter().enumerate() {
        act(&ina);
        let made = hook.wait_for_taken(index + 1).await.pop().unwrap();
        check_same(&made, &read(&root, &format!("instagram/webhook/{name}.json")), name, &[]);
    }
    platforms.instagram().change_settings(|settings| {
        settings.instagram_form = interline_sandbox::InstagramForm::Changes;
    });
    ina.say("x").unwrap();
    let made = hook.wait_for_taken(cases.len() + 1).await.pop().unwrap();
    check_same(
        &made,
        &read(&root, "instagram/webhook/changes_messages_field_value.json"),
        "changes",
        &[],
    );
}

#[tokio::test]
async fn receipts_responses_and_errors_have_the_keys_of_the_real_ones() {
    let Some(root) = fixtures() else { return };
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let (_, answer) = send(platforms.whatsapp(), &text(platforms.whatsapp(), "x")).await;
    check_same(&answer, &read(&root, "whatsapp/send/text.response.json"), "response", &[]);
    let bodies = hook.wait_for_taken(2).await;
    let optional = ["user_id", "conversation", "pricing", "username"];
    for (body, file) in bodies.iter().zip([
        "whatsapp/webhook/status_sent_biz_opaque_callback_data.json",
        "whatsapp/webhook/status_sent_biz_opaque_callback_data.json",
    ]) {
        check_same(body, &read(&root, file), file, &optional);
    }
    let (_, answer) = send(platforms.messenger(), &text(platforms.messenger(), "x")).await;
    check_same(&answer, &read(&root, "messenger/send/text.response.json"), "response", &[]);
    let bodies = hook.wait_for_taken(4).await;
    check_same(&bodies[2], &read(&root, "messenger/webhook/echo_text_own_app.json"), "echo", &[]);
    check_same(
        &bodies[3],
        &read(&root, "messenger/webhook/delivery_mids_no_timestamp.json"),
        "delivery",
        &["timestamp"],
    );
    let (_, answer) = send(platforms.instagram(), &text(platforms.instagram(), "x")).await;
    check_same(&answer, &read(&root, "instagram/send/text.response.json"), "response", &[]);
    let body = hook.wait_for_taken(5).await.remove(4);
    check_same(&body, &read(&root, "instagram/webhook/is_echo_text.json"), "echo", &[]);
    let refusals = [
        (
            platforms.whatsapp(),
            json!({"to": "+1"}),
            "whatsapp/errors/131008_missing_parameter.json",
        ),
        (
            platforms.messenger(),
            json!({"recipient": {"id": "1"}, "message": {"text": "x"}}),
            "messenger/errors/100_2018001_no_user.json",
        ),
        (
            platforms.messenger(),
            json!({"recipient": {"id": PSID}, "message": {"text": "x".repeat(2001)}}),
            "messenger/errors/100_text_too_long.json",
        ),
        (
            platforms.instagram(),
            json!({"recipient": {"id": "1"}, "message": {"text": "x"}}),
            "instagram/errors/100_2534014_no_user.json",
        ),
    ];
    for (platform, body, file) in refusals {
        let (status, answer) = send(platform, &body).await;
        let wanted = read(&root, file);
        assert_eq!(status, 400);
        check_same(&answer, &wanted, file, &[]);
        assert_eq!(answer["error"]["message"], wanted["error"]["message"]);
        assert_eq!(answer["error"]["code"], wanted["error"]["code"]);
    }
}

/// Requests that cannot be sent as they are: they name files, comments or groups that this sandbox does not have.
const NEEDS_MORE: [&str; 16] = [
    "group_text",
    "private_reply",
    "user_ref",
    "pass_thread",
    "attachment_upload",
    "multipart_fields",
    "media_share",
    "_by_id",
    "_by_link",
    "audio_",
    "video",
    "document",
    "sticker.request",
    "image",
    "file_url",
    "mark_read.request",
];

#[tokio::test]
async fn the_collected_send_requests_are_taken() {
    let Some(root) = fixtures() else { return };
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    let mut taken = 0;
    for platform in platforms.all() {
        let person = phone(platform);
        let id = person.say("hi").unwrap();
        let folder = root.join(platform.kind().word()).join("send");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".request.json") || NEEDS_MORE.iter().any(|part| name.contains(part))
            {
                continue;
            }
            let mut body: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            // What a request refers to must be a message of this sandbox.
            for place in ["/reaction/message_id", "/payload/message_id", "/message_id"] {
                if let Some(target) = body.pointer_mut(place) {
                    *target = json!(id);
                }
            }
            if body["recipient"].is_string() {
                continue;
            }
            let (status, answer) = send(platform, &body).await;
            assert_eq!(status, 200, "{name}: {answer}");
            taken += 1;
        }
    }
    assert!(taken > 25, "{taken} requests were tried");
}

#[test]
fn signatures_are_those_of_the_collected_bodies() {
    let Some(root) = fixtures() else { return };
    let list = read(&root, "SIGNATURES.json");
    let secret = list["app_secret"].as_str().unwrap();
    for (file, wanted) in list["signatures"].as_object().unwrap() {
        assert_eq!(
            &json!(signature(secret, &std::fs::read(root.join(file)).unwrap())),
            wanted,
            "{file}"
        );
    }
}

#[tokio::test]
async fn bodies_are_escaped_as_the_byte_exact_one() {
    let Some(root) = fixtures() else { return };
    let hook = Hook::start().await;
    let platforms = start(&hook).await;
    phone(platforms.messenger()).say("äöå 👍 https://example.com/a/b").unwrap();
    let made = hook.wait_for(|posts| posts.len() == 1).await[0].body.clone();
    let real =
        std::fs::read_to_string(root.join("messenger/webhook/raw_compact_escaped.json")).unwrap();
    let text = |body: &str| {
        body.split("\"text\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!(text(std::str::from_utf8(&made).unwrap()), text(&real));
    assert_eq!(updates(&[serde_json::from_slice(&made).unwrap()]).len(), 1);
}

#[test]
fn every_collected_error_is_among_those_that_can_be_ordered() {
    let Some(root) = fixtures() else { return };
    let classes = read(&root, "ERROR_CLASSES.json");
    let files: Vec<&Value> = classes["files"].as_array().unwrap().iter().collect();
    assert!(files.len() > 100);
    // Subcodes that say nothing, and a status that the documentation has otherwise.
    let vague = ["130429_rate_limit_with_subcode", "190_1234567", "1_99", "368_1390008"];
    for file in files {
        let path = file["file"].as_str().unwrap();
        let error = &read(&root, path)["error"];
        let kind = match path.split('/').next() {
            Some("whatsapp") => Kind::WhatsApp,
            Some("messenger") => Kind::Messenger,
            _ => Kind::Instagram,
        };
        let subcode = error["error_subcode"].as_u64();
        let name = format!("{}_{}", error["code"], subcode.unwrap_or(0));
        if vague.iter().any(|vague| path.contains(vague) || name == *vague) {
            continue;
        }
        let known = Fault::known(kind, error["code"].as_u64().unwrap(), subcode);
        let Some(Fault::Graph(known)) = known else { panic!("{path} cannot be ordered") };
        assert_eq!(Some(u64::from(known.status)), file["http_status"].as_u64(), "{path}");
        assert_eq!(known.transient, error["is_transient"].as_bool(), "{path}");
    }
}
