//! What requests look like. PLATFORMS.md sections 1, 3, 4, 6; every shared send fixture is what `render` makes of
//! the intent beside its name here.

use crate::support::{ACCOUNT, files, fixtures};
use interline_bridge_api::{
    Bridge, ChatKind, Method, RenderContext, RenderError, Request, RequestBody,
};
use interline_envelope::{ContactCard, Location, MediaKind, Unknown};
use interline_relay::{
    Action, MediaSource, OutMedia, Outgoing, QuickReply, ReactionRule, Recipient, UploadSpec,
};
use interline_whatsapp::WhatsApp;
use serde_json::{Value, json};

pub(crate) fn outgoing(action: Action) -> Outgoing {
    Outgoing::new(Recipient::User("15550001111".into()), action)
}

pub(crate) fn render(outgoing: &Outgoing) -> Result<Request, RenderError> {
    WhatsApp::new().render(&RenderContext { account: ACCOUNT, send_as: ACCOUNT }, outgoing)
}

pub(crate) fn rendered(outgoing: &Outgoing) -> Request {
    render(outgoing).unwrap()
}

pub(crate) fn json_of(request: &Request) -> Value {
    if let RequestBody::Json(body) = &request.body { body.clone() } else { Value::Null }
}

fn text(text: &str, link_preview: bool) -> Action {
    Action::Text { text: text.into(), link_preview, quick_replies: vec![] }
}

fn media(
    media: MediaKind,
    source: MediaSource,
    caption: Option<&str>,
    name: Option<&str>,
) -> Action {
    let (filename, caption) = (name.map(Into::into), caption.map(Into::into));
    Action::Media(vec![OutMedia { media, source, filename, caption, reusable: false }])
}

fn by_id(kind: MediaKind, id: &str, caption: Option<&str>) -> Action {
    media(kind, MediaSource::Id(id.into()), caption, None)
}

/// The intent of each send fixture; platform objects (interactive, template) are handed through.
fn intent(name: &str, body: &Value) -> Outgoing {
    let mut out = outgoing(match name {
        "contacts" => Action::Contacts(vec![card(&body["contacts"][0])]),
        "group_text" => {
            text("This is another destination option: https://www.luckytravel.com/DDLmU5F1Pw", true)
        }
        "template_named_params" | "template_positional_params" => {
            Action::Template(body["template"].clone())
        }
        "location" => Action::Location(Location {
            latitude: 37.442_162_518_686_83,
            longitude: -122.161_535_820_493_94,
            name: Some("Philz Coffee".into()),
            address: Some("101 Forest Ave, Palo Alto, CA 94301".into()),
            url: None,
            unknown: Unknown::new(),
        }),
        "mark_read" => Action::MarkRead {
            message: Some("wamid.HBgLMTU1NTAwMDExMTEVAgARGBI4QjUzMzMxNkIwQTJBRDgyM0YA".into()),
        },
        "typing_indicator" => Action::Typing {
            on: true,
            message: Some("wamid.HBgLMTU1NTAwMDExMTEVAgARGBI4QjUzMzMxNkIwQTJBRDgyM0YA".into()),
        },
        "reaction_add" => Action::Reaction {
            message: "wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTYyMjdGQTU4OTY3N0QyNUM1NAA=".into(),
            emoji: Some("😀".into()),
        },
        "reaction_remove" => Action::Reaction {
            message: "wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTg0M0NCQUNDNjFDOEZFNDU4OAA=".into(),
            emoji: None,
        },
        "text_biz_opaque_callback_data" => text("correlate me", false),
        "text_preview_url" => text(
            "As requested, here's the link to our latest product: https://www.meta.com/quest/quest-3/",
            true,
        ),
        "text_reply_context" => text("You're welcome, Noor!", false),
        "text_to_bsuid" => text("Hello, username user", false),
        "interactive_buttons"
        | "interactive_cta_url"
        | "interactive_list"
        | "interactive_location_request" => Action::Interactive(body["interactive"].clone()),
        other => media_intent(other),
    });
    match name {
        "group_text" => {
            let group = "Y2FwaV9ncm91cDoxNTU1MDAwOTk5OToxMjAzNjM0MDAwMDAwMDAwMDAZD";
            out.to = Some(Recipient::Group(group.into()));
        }
        "text_to_bsuid" => out.to = Some(Recipient::ScopedId("US.13490000000000000001".into())),
        "text_biz_opaque_callback_data" => out.marker = Some("bridge:msg:0001".to_owned()),
        "text_reply_context" => {
            let quoted = "wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTk5NzgyQTE5MTMxMEFGQTdBOAA=";
            out.reply_to = Some(quoted.into());
        }
        _ => {}
    }
    out
}

fn media_intent(name: &str) -> Action {
    match name {
        "audio_basic" => by_id(MediaKind::Audio, "1013859600285441", None),
        "audio_voice" => by_id(MediaKind::Voice, "1013859600285441", None),
        "document" => media(
            MediaKind::Document,
            MediaSource::Id("1376223850470843".into()),
            Some("Your order confirmation (PDF)"),
            Some("order_abc123.pdf"),
        ),
        "image_by_id" => {
            by_id(MediaKind::Image, "1479537139650973", Some("The best succulent ever?"))
        }
        "image_by_link" => {
            let url = MediaSource::Url("https://cdn.example.com/pic.jpg".into());
            media(MediaKind::Image, url, Some("From a link"), None)
        }
        "sticker" => by_id(MediaKind::Sticker, "798882015472548", None),
        "video" => by_id(MediaKind::Video, "1166846181421424", Some("A succulent eclipse!")),
        other => panic!("{other}: say here what was meant by it"),
    }
}

/// The card that a person shared, as `normalize` reads it.
fn card(native: &Value) -> ContactCard {
    let message = json!([{"from": "1", "id": "w", "type": "contacts", "contacts": [native]}]);
    let envelope = crate::support::only(&crate::support::messages(message));
    match envelope.parts.into_iter().next().unwrap() {
        interline_envelope::Part::Contacts { contacts, .. } => contacts.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_send_fixture_is_what_render_makes_of_its_intent() {
    let Some(fixtures) = fixtures() else { return };
    let mut seen = 0;
    for (name, bytes) in files(&fixtures, "whatsapp/send") {
        let Some(name) = name.strip_suffix(".request.json") else { continue };
        let expected: Value = serde_json::from_slice(&bytes).unwrap();
        let request = rendered(&intent(name, &expected));
        assert_eq!(json_of(&request), expected, "{name}");
        assert_eq!(request.method, Method::Post, "{name}");
        assert_eq!(request.route, format!("{ACCOUNT}/messages"), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 24);
}

/// Section 6: typing and read receipts, which carry nothing else.
#[test]
fn a_read_receipt_names_one_message_and_typing_adds_an_indicator() {
    let read = rendered(&outgoing(Action::MarkRead { message: Some("w".into()) }));
    let expected = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "w"});
    assert_eq!(json_of(&read), expected);
    assert!(read.idempotent);
    let typing = rendered(&outgoing(Action::Typing { on: true, message: Some("w".into()) }));
    assert_eq!(json_of(&typing)["typing_indicator"], json!({"type": "text"}));
}

/// Section 1: upload is multipart with `messaging_product`, `type`, `file`; media are located by id.
#[test]
fn uploads_are_multipart_and_media_are_located_by_id() {
    let spec = UploadSpec {
        media: MediaKind::Image,
        mime: "image/png".to_owned(),
        filename: "a.png".into(),
        url: None,
    };
    let mut upload = outgoing(Action::Upload(spec));
    upload.to = None;
    let request = rendered(&upload);
    assert_eq!(request.route, format!("{ACCOUNT}/media"));
    let RequestBody::Multipart { fields, file } = request.body else { panic!("{request:?}") };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(fields, [pair("messaging_product", "whatsapp"), pair("type", "image/png")]);
    assert_eq!((file.field.as_str(), file.mime.as_str()), ("file", "image/png"));

    let mut locate = outgoing(Action::LocateMedia("1003383421387256".into()));
    locate.to = None;
    let request = rendered(&locate);
    assert_eq!((request.method, request.route.as_str()), (Method::Get, "1003383421387256"));
    // An id from a webhook stands in a path.
    for id in ["", "../me", "1/2", "1?x", ".."] {
        assert!(render(&outgoing(Action::LocateMedia(id.into()))).is_err(), "{id}");
    }
}

/// Section 4: 3 reply buttons, titles of 20 characters, marker of 512 bytes, one attachment.
#[test]
fn what_is_over_a_limit_or_has_no_word_is_refused() {
    let replies = |count: usize, title: &str| {
        let one = QuickReply { title: title.to_owned(), payload: "p".to_owned(), image_url: None };
        outgoing(Action::Text {
            text: "x".into(),
            link_preview: false,
            quick_replies: vec![one; count],
        })
    };
    let buttons = json_of(&rendered(&replies(3, "t")));
    assert_eq!(buttons["interactive"]["action"]["buttons"][2]["reply"]["title"], "t");
    let is_over =
        |outgoing: &Outgoing| matches!(render(outgoing), Err(RenderError::OverLimit { .. }));
    assert!(is_over(&replies(4, "t")));
    assert!(is_over(&replies(1, &"t".repeat(21))));
    let mut marked = outgoing(text("x", false));
    marked.marker = Some("m".repeat(513));
    assert!(is_over(&marked));
    let one = OutMedia {
        media: MediaKind::Image,
        source: MediaSource::Id("1".into()),
        filename: None,
        caption: None,
        reusable: false,
    };
    assert!(is_over(&outgoing(Action::Media(vec![one.clone(), one]))));

    let is_unsupported =
        |action: Action| matches!(render(&outgoing(action)), Err(RenderError::Unsupported { .. }));
    assert!(is_unsupported(Action::Heart));
    assert!(is_unsupported(Action::PlatformSticker("1".to_owned())));
    assert!(is_unsupported(Action::SharePost("1".to_owned())));
    let is_missing =
        |outgoing: &Outgoing| matches!(render(outgoing), Err(RenderError::Missing { .. }));
    assert!(is_missing(&outgoing(Action::MarkRead { message: None })));
    assert!(is_missing(&outgoing(Action::Media(vec![]))));
    assert!(is_missing(&outgoing(text("", false))));
    let mut nobody = outgoing(text("x", false));
    nobody.to = None;
    assert!(is_missing(&nobody));
}

/// A card of another platform has no native form: it goes out in plain fields.
#[test]
fn a_plain_card_is_rendered_with_the_fields_that_whatsapp_requires() {
    let card = ContactCard {
        name: "Cas".into(),
        phones: vec!["+1 555".into()],
        emails: vec!["c@example.com".into()],
        unknown: Unknown::new(),
    };
    let body = json_of(&rendered(&outgoing(Action::Contacts(vec![card]))));
    let expected = json!([{"name": {"formatted_name": "Cas", "first_name": "Cas"},
        "phones": [{"phone": "+1 555"}], "emails": [{"email": "c@example.com"}]}]);
    assert_eq!(body["contacts"], expected);
}

/// Section 6, "groups": text, media and templates only.
#[test]
fn a_group_takes_fewer_kinds_than_a_person() {
    let bridge = WhatsApp::new();
    let group = bridge.capabilities(ChatKind::Group);
    assert_eq!(group.reaction, ReactionRule::None);
    assert!(!group.location && !group.contacts);
    assert!(group.media_rule(MediaKind::Image).is_some());
    let direct = bridge.capabilities(ChatKind::Direct);
    assert_eq!((direct.text.max, direct.marker_bytes_max), (4096, Some(512)));
    assert!(direct.location && direct.contacts && direct.reply && !direct.edit && !direct.delete);
}
