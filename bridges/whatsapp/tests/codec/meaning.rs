//! What webhooks mean: one golden a fact, each with the section of PLATFORMS.md that it rests on.

use crate::support::{body, messages, normalize, only, summary};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

/// A message of 15550001111 with this type and content.
fn message(kind: &str, content: Value) -> Vec<u8> {
    let mut fields =
        json!({"from": "15550001111", "id": "wamid.A1", "timestamp": "1750000000", "type": kind});
    fields[kind] = content;
    messages(json!([fields]))
}

#[expect(clippy::needless_pass_by_value, reason = "`expect!` makes a value")]
fn check(body: &[u8], expected: Expect) {
    let normalized = normalize(body);
    let mut lines: Vec<String> = normalized.envelopes.iter().map(summary).collect();
    lines.extend(normalized.unreadable.iter().map(|error| format!("unreadable {error}")));
    expected.assert_eq(&lines.join("\n"));
}

/// Section 6, "WhatsApp types in"; section 2, "Timestamps": seconds as a string.
#[test]
fn a_text_is_a_message_in_the_chat_of_its_sender() {
    check(
        &message("text", json!({"body": "héllo"})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; text {"text":"héllo"}"#
        ]],
    );
}

/// Section 4, "Media in": sha256 in base64; section 8: voice note as such.
#[test]
fn media_keep_id_type_hash_in_hex_caption_and_name() {
    let sha256 = "wvqXMe6n7n1W0zphvLPoLj+s/NtKqmr3zZ7YzTP7xFI=";
    let image = json!({"id": 1_234_567_890_123_456_789_u64, "mime_type": "image/jpeg", "sha256": sha256, "caption": "c"});
    check(
        &message("image", image),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"caption":"c","id":"1234567890123456789","media":"image","mime":"image/jpeg","sha256":"c2fa9731…"}"#
        ]],
    );
    let document =
        json!({"id": "7", "mime_type": "application/pdf", "filename": "ä.pdf", "caption": "d"});
    check(
        &message("document", document),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"caption":"d","filename":"ä.pdf","id":"7","media":"document","mime":"application/pdf"}"#
        ]],
    );
    check(
        &message("audio", json!({"id": "8", "mime_type": "audio/ogg; codecs=opus", "voice": true})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"id":"8","media":"voice","mime":"audio/ogg; codecs=opus"}"#
        ]],
    );
    check(
        &message("audio", json!({"id": "8", "mime_type": "audio/mp4", "voice": false})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"id":"8","media":"audio","mime":"audio/mp4"}"#
        ]],
    );
    check(
        &message("voice", json!({"id": "8", "mime_type": "audio/ogg"})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"id":"8","media":"voice","mime":"audio/ogg"}"#
        ]],
    );
    check(
        &message("sticker", json!({"id": "9", "mime_type": "image/webp", "animated": true})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"animated":true,"id":"9","media":"sticker","mime":"image/webp"}"#
        ]],
    );
    check(
        &message("video", json!({"id": "9", "mime_type": "video/mp4"})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; media {"id":"9","media":"video","mime":"video/mp4"}"#
        ]],
    );
}

/// Section 4: the media endpoint and the history give hex; what is no SHA-256 is compared with nothing.
#[test]
fn a_hash_is_hex_or_it_is_no_hash() {
    let hex = "3F9D94D399FA61C191BC1D4CA71375A035CD9B9F5B1128E1F0963A415C16B0CC";
    let envelope = only(&message("image", json!({"id": "1", "sha256": hex})));
    let json = serde_json::to_value(&envelope.parts[0]).unwrap();
    assert_eq!(json["sha256"], hex.to_ascii_lowercase());
    let envelope = only(&message("image", json!({"id": "1", "sha256": "4654+8g="})));
    let json = serde_json::to_value(&envelope.parts[0]).unwrap();
    assert_eq!((json.get("sha256"), &json["native_sha256"]), (None, &json!("4654+8g=")));
}

/// Section 8: location, contact card.
#[test]
fn places_and_cards_keep_everything_they_say() {
    check(
        &message("location", json!({"latitude": "37.5", "longitude": -122.25, "name": "n"})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; location {"latitude":37.5,"longitude":-122.25,"name":"n"}"#
        ]],
    );
    check(
        &message("location", json!({"latitude": "x", "longitude": 1})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"location","reason":"its coordinates are no degrees"}"#
        ]],
    );
    let card = json!({"name": {"formatted_name": "Cas", "first_name": "Cas"},
        "phones": [{"phone": "+1 555", "wa_id": "1555", "type": "CELL"}],
        "emails": [{"email": "c@example.com", "type": "Work"}],
        "birthday": "1999-01-23", "org": {"company": "x"}});
    check(
        &message("contacts", json!([card, 5])),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; contacts {"contacts":[{"birthday":"1999-01-23","emails":["c@example.com"],"name":"Cas","native":{"emails":[{"email":"c@example.com","type":"Work"}],"name":{"first_name":"Cas","formatted_name":"Cas"},"phones":[{"phone":"+1 555","type":"CELL","wa_id":"1555"}]},"org":{"company":"x"},"phones":["+1 555"]}]}"#
        ]],
    );
    check(
        &message("contacts", json!([])),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"contacts","reason":"no card can be read"}"#
        ]],
    );
}

/// DESIGN, "Parts": a tap is a message with a choice; section 6, "interactive".
#[test]
fn a_tap_or_an_answered_form_is_a_choice() {
    check(
        &message("button", json!({"payload": "p", "text": "t"})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; choice {"id":"p","of":"button","title":"t"}"#
        ]],
    );
    let reply =
        json!({"type": "list_reply", "list_reply": {"id": "i", "title": "t", "description": "d"}});
    check(
        &message("interactive", reply),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; choice {"description":"d","id":"i","of":"list","title":"t"}"#
        ]],
    );
    let reply = json!({"type": "button_reply", "button_reply": {"id": "i", "title": "t"}});
    check(
        &message("interactive", reply),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; choice {"id":"i","of":"button","title":"t"}"#
        ]],
    );
    let flow = |data: &str| json!({"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": data}});
    check(
        &message("interactive", flow("{\"a\":\"1\"}")),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; choice {"data":{"a":"1"},"id":"flow","of":"flow","title":"Sent"}"#
        ]],
    );
    check(
        &message("interactive", flow("[1]")),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; choice {"data":[1],"id":"flow","of":"flow","title":"Sent"}"#
        ]],
    );
    check(
        &message("interactive", flow("no json")),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; choice {"data":"no json","id":"flow","of":"flow","title":"Sent"}"#
        ]],
    );
    check(
        &message(
            "interactive",
            json!({"type": "call_permission_reply", "call_permission_reply": {"response": "accept"}}),
        ),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"call_permission_reply","reason":"this interactive answer is not known"}; extra {"content":{"call_permission_reply":{"response":"accept"},"type":"call_permission_reply"}}"#
        ]],
    );
}

/// Section 6, "reaction": removal is an empty emoji or none; it has a wamid of its own.
#[test]
fn reactions_are_set_and_removed() {
    check(
        &message("reaction", json!({"message_id": "wamid.T", "emoji": "👍"})),
        expect![[
            r#"reaction from=15550001111 id=…wamid.A1 time=1750000000000 target=…wamid.T; reaction {"action":"add","emoji":"👍"}"#
        ]],
    );
    check(
        &message("reaction", json!({"message_id": "wamid.T", "emoji": ""})),
        expect![[
            r#"reaction from=15550001111 id=…wamid.A1 time=1750000000000 target=…wamid.T; reaction {"action":"remove"}"#
        ]],
    );
    check(
        &message("reaction", json!({"message_id": "wamid.T"})),
        expect![[
            r#"reaction from=15550001111 id=…wamid.A1 time=1750000000000 target=…wamid.T; reaction {"action":"remove"}"#
        ]],
    );
    check(
        &message("reaction", json!({"emoji": "👍"})),
        expect![[
            r#"unsupported from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"reaction","reason":"a field is missing or of another type, line 1 column 16"}"#
        ]],
    );
}

/// Section 6, "edit" and "unsend": coexistence numbers, and edits as `unsupported` since June 2026.
#[test]
fn edits_and_deletions_name_what_they_change() {
    let edit = json!({"original_message_id": "wamid.T", "message": {"type": "text", "text": {"body": "new"}}});
    check(
        &message("edit", edit),
        expect![[
            r#"edit from=15550001111 id=…wamid.A1 time=1750000000000 target=…wamid.T; text {"text":"new"}"#
        ]],
    );
    check(
        &message("revoke", json!({"original_message_id": "wamid.T"})),
        expect!["delete from=15550001111 id=…wamid.A1 time=1750000000000 target=…wamid.T"],
    );
    check(
        &message("unsupported", json!({"type": "edit"})),
        expect![[
            r#"edit from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"edit","reason":"the platform does not hand it over"}"#
        ]],
    );
}

/// Section 6, "unsupported", and section 8, "poll, event, pin": the others shall know that something was said.
#[test]
fn what_the_platform_does_not_hand_over_is_a_message_with_an_unsupported_part() {
    let errors = json!([{"code": 131_051, "title": "t", "error_data": {"details": "why"}}]);
    let bare = json!([{"from": "1", "id": "w", "timestamp": "1750000000", "type": "unsupported", "errors": errors}]);
    check(
        &messages(bare),
        expect![[
            r#"message from=1 id=…w time=1750000000000; unsupported {"code":131051,"native_type":"unsupported","reason":"why"}"#
        ]],
    );
    check(
        &message("unsupported", json!({"type": "poll"})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"poll","reason":"the platform does not hand it over"}"#
        ]],
    );
    check(
        &message("hologram", json!({"frames": [1]})),
        expect![[
            r#"message from=15550001111 id=…wamid.A1 time=1750000000000; unsupported {"native_type":"hologram","reason":"this type of message is not known"}; extra {"content":{"frames":[1]}}"#
        ]],
    );
    check(
        &messages(json!([{"from": "1", "id": "w", "timestamp": "1750000000", "type": "image"}])),
        expect![[
            r#"message from=1 id=…w time=1750000000000; unsupported {"native_type":"image","reason":"the message came without its content"}"#
        ]],
    );
}

/// Section 6, "reply", "forwarded flag", and the referral of an ad.
#[test]
fn quotes_forwards_and_referrals_ride_on_the_message() {
    let mut fields = json!({"from": "1", "id": "w", "timestamp": "1750000000", "type": "text", "text": {"body": "x"}});
    fields["context"] = json!({"from": "2", "id": "wamid.Q"});
    check(
        &messages(json!([fields])),
        expect![[
            r#"message from=1 id=…w time=1750000000000 reply_to=…wamid.Q; text {"text":"x"}"#
        ]],
    );
    fields["context"] = json!({"forwarded": true});
    check(
        &messages(json!([fields])),
        expect![[r#"message forwarded from=1 id=…w time=1750000000000; text {"text":"x"}"#]],
    );
    fields["context"] = json!({"frequently_forwarded": true});
    check(
        &messages(json!([fields])),
        expect![[
            r#"message forwarded from=1 id=…w time=1750000000000; text {"text":"x"}; extra {"frequently_forwarded":true}"#
        ]],
    );
    fields["context"] = json!({"id": "wamid.Q", "referred_product": {"catalog_id": "1"}});
    check(
        &messages(json!([fields])),
        expect![[
            r#"message from=1 id=…w time=1750000000000 reply_to=…wamid.Q; text {"text":"x"}; extra {"referred_product":{"catalog_id":"1"}}"#
        ]],
    );
    fields["context"] = json!("no object");
    fields["referral"] = json!({"source_type": "ad", "source_url": "https://fb.me/x", "source_id": "5", "headline": "h"});
    check(
        &messages(json!([fields])),
        expect![[
            r#"message from=1 id=…w time=1750000000000; text {"text":"x"}; referral {"headline":"h","source":"ad","source_id":"5","url":"https://fb.me/x"}"#
        ]],
    );
}

/// Section 3, "Changes arrive as `system` messages and field `user_id_update`".
#[test]
fn changed_ids_are_system_events() {
    let system = json!({"type": "user_changed_number", "wa_id": "15550003333", "user_id": "US.2", "body": "b"});
    check(
        &message("system", system),
        expect![[
            r#"system from=15550001111 id=…wamid.A1 time=1750000000000; system {"change":"number","current":"15550003333","current_scoped_id":"US.2","previous":"15550001111"}"#
        ]],
    );
    let system =
        json!({"type": "user_changed_user_id", "user_id": "US.2", "body": "from US.9 to US.2"});
    check(
        &messages(
            json!([{"id": "w", "timestamp": "1750000000", "type": "system", "system": system}]),
        ),
        expect![[
            r#"system from=US.2|US.2 id=…w time=1750000000000; system {"change":"scoped_id","current":"US.2"}"#
        ]],
    );
    let update = json!([{"wa_id": "1555", "user_id": {"previous": "US.1", "current": "US.2"}, "timestamp": "1700000003"}]);
    check(
        &body("user_id_update", json!({"user_id_update": update})),
        expect![[
            r#"system from=1555|US.1 time=1700000003000; system {"change":"scoped_id","current":"US.2","previous":"US.1"}"#
        ]],
    );
    let update = json!([{"wa_id": "1555", "timestamp": "1700000003"}]);
    check(
        &body("user_id_update", json!({"user_id_update": update})),
        expect![[
            r#"unsupported chat= time=0; unsupported {"native_type":"user_id_update","reason":"a change of ids names the new one; this one does not"}; extra {"field":"user_id_update"}"#
        ]],
    );
}

/// Section 6, "delivered", "read", `played`; section 5: errors as `statuses[].errors[]`.
#[test]
fn a_status_says_how_far_a_message_came_and_gives_our_marker_back() {
    let status = |word: &str| json!({"id": "wamid.S", "status": word, "timestamp": "1750000000", "recipient_id": "15550001111"});
    let mut read = status("read");
    read["biz_opaque_callback_data"] = json!("mark");
    check(
        &body("messages", json!({"statuses": [read, status("in_orbit"), {"id": "wamid.S"}]})),
        expect![[r#"
            status from=15550001111 time=1750000000000 target=…wamid.S; status {"marker":"mark","state":"read"}
            status from=15550001111 time=1750000000000 target=…wamid.S; status {"state":"in_orbit"}
            unsupported chat= time=0; unsupported {"native_type":"statuses","reason":"a status names its message and its state; this one does not"}; extra {"field":"messages"}"#]],
    );
    let mut failed = status("failed");
    failed["errors"] = json!([{"code": 131_047, "title": "Re-engagement", "error_data": {"details": "24 hours"}}, {"code": 2}]);
    check(
        &body("messages", json!({"statuses": [failed]})),
        expect![[
            r#"status from=15550001111 time=1750000000000 target=…wamid.S; status {"error":{"code":131047,"detail":"24 hours","title":"Re-engagement"},"state":"failed"}; extra {"errors":[{"code":2}]}"#
        ]],
    );
}

/// Section 2, "Echo" and "Envelope": `smb_message_echoes`, group chats.
#[test]
fn an_echo_is_from_the_account_to_the_person_and_a_group_has_its_own_chat() {
    let echo = json!([{"from": "15550009999", "to": "15550001111", "id": "w", "timestamp": "1750000000", "type": "text", "text": {"body": "x"}}]);
    check(
        &body("smb_message_echoes", json!({"message_echoes": echo})),
        expect![[
            r#"message echo from=15550009999 to=15550001111 id=…w time=1750000000000; text {"text":"x"}"#
        ]],
    );
    let group = json!([{"from": "1", "group_id": "G=", "id": "w", "timestamp": "1750000000", "type": "text", "text": {"body": "x"}}]);
    check(
        &messages(group),
        expect![[r#"message from=1 chat=G= id=…w time=1750000000000; text {"text":"x"}"#]],
    );
}

/// Section 2, "Envelope": fields about the account; section 5: `value.errors[]`; fields from the future.
#[test]
fn events_about_the_account_keep_their_field_and_value() {
    check(
        &body("account_update", json!({"event": "DISABLED_UPDATE"})),
        expect![[
            r#"account chat= time=0; extra {"business_account":"102290129340398","field":"account_update","value":{"event":"DISABLED_UPDATE","metadata":{"display_phone_number":"15550009999","phone_number_id":"106540352242922"}}}"#
        ]],
    );
    check(
        &body("messages", json!({"errors": [{"code": 130_429, "title": "Rate limit hit"}]})),
        expect![[
            r#"account chat= time=0; extra {"business_account":"102290129340398","field":"messages","value":{"code":130429,"title":"Rate limit hit"}}"#
        ]],
    );
    check(
        &body("field_from_the_future", json!({"a": 1})),
        expect![[
            r#"unsupported chat= time=0; unsupported {"native_type":"field_from_the_future","reason":"this webhook field is not known"}; extra {"business_account":"102290129340398","field":"field_from_the_future","value":{"a":1,"metadata":{"display_phone_number":"15550009999","phone_number_id":"106540352242922"}}}"#
        ]],
    );
    check(
        &body("field_from_the_future", json!(5)),
        expect![[
            r#"unsupported account=102290129340398 chat= time=0; unsupported {"native_type":"field_from_the_future","reason":"this webhook field is not known"}; extra {"business_account":"102290129340398","field":"field_from_the_future","value":5}"#
        ]],
    );
    check(
        &body("calls", json!({"calls": [{"id": "c", "from": "1", "timestamp": "1750000000"}]})),
        expect![[
            r#"account from=1 id=…c time=1750000000000; extra {"business_account":"102290129340398","field":"calls","value":{"from":"1","id":"c","timestamp":"1750000000"}}"#
        ]],
    );
}
