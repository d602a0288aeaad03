//! From what is to be sent to one request. PLATFORMS.md sections 1 (endpoints), 3 (phone format, BSUID), 4 and 6.
//!
//! Refuses what WhatsApp has no word for, and what is over its limits: `fit` replaces and splits it before.

use crate::capabilities::{CAPTION, MARKER_BYTES_MAX, TEXT};
use crate::people::is_scoped;
use interline_bridge_api::{
    Method, MultipartFile, RenderContext, RenderError, Request, RequestBody,
};
use interline_envelope::{ContactCard, Location, MediaKind, Redacted};
use interline_relay::{
    Action, Charge, MediaSource, OutMedia, Outgoing, QuickReply, Recipient, TextLimit, TextUnit,
    UploadSpec,
};
use serde_json::{Map, Value, json};

const NAME: &str = "WhatsApp";

/// Section 4: at most 3 reply buttons, title 20, id 256, body 1024 characters.
const BUTTONS_MAX: usize = 3;
const BUTTON_TITLE: TextLimit = TextLimit { max: 20, unit: TextUnit::Characters };
const BUTTON_ID: TextLimit = TextLimit { max: 256, unit: TextUnit::Characters };
const BUTTON_BODY: TextLimit = TextLimit { max: 1024, unit: TextUnit::Characters };
/// Section 4: the body of a list has 4096 characters.
const LIST_BODY: TextLimit = TEXT;

/// Renders one request.
pub(crate) fn render(
    context: &RenderContext<'_>,
    outgoing: &Outgoing,
) -> Result<Request, RenderError> {
    let body = match &outgoing.action {
        Action::Upload(spec) => return upload(context, outgoing, spec),
        Action::LocateMedia(id) => return locate(id),
        Action::MarkRead { message } => read_receipt(message.as_ref(), false)?,
        Action::Typing { on: true, message } => read_receipt(message.as_ref(), true)?,
        Action::Typing { on: false, .. } => return Err(unsupported("end of typing")),
        Action::Text { .. }
        | Action::Media(_)
        | Action::Location(_)
        | Action::Contacts(_)
        | Action::Reaction { .. }
        | Action::Interactive(_)
        | Action::Template(_) => message(outgoing)?,
        Action::PlatformSticker(_) => return Err(unsupported("stickers of its own by id")),
        Action::Heart => return Err(unsupported("heart sticker")),
        Action::SharePost(_) => return Err(unsupported("shared posts")),
        Action::ThreadControl(_) => return Err(unsupported("thread control")),
    };
    Ok(Request {
        method: Method::Post,
        route: format!("{}/messages", context.send_as),
        query: Vec::new(),
        headers: Vec::new(),
        body: RequestBody::Json(Value::Object(body)),
        marker: outgoing.marker.clone(),
        idempotent: outgoing.is_idempotent(),
        charge: Charge::default(),
    })
}

const fn unsupported(what: &'static str) -> RenderError {
    RenderError::Unsupported { platform: NAME, what }
}

const fn missing(what: &'static str) -> RenderError {
    RenderError::Missing { platform: NAME, what }
}

const fn over(what: &'static str, max: usize, unit: &'static str) -> RenderError {
    RenderError::OverLimit { platform: NAME, what, max, unit }
}

fn check(limit: TextLimit, what: &'static str, text: &str) -> Result<(), RenderError> {
    let unit = match limit.unit {
        TextUnit::Characters => "characters",
        TextUnit::Utf8Bytes => "bytes",
    };
    if limit.allows(text) { Ok(()) } else { Err(over(what, limit.max, unit)) }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// A message to a person or a group: whom, what, what it answers, what comes back.
fn message(outgoing: &Outgoing) -> Result<Map<String, Value>, RenderError> {
    let mut body = object(json!({"messaging_product": "whatsapp"}));
    let (kind, content) = content(&outgoing.action)?;
    let is_group = address(outgoing.to.as_ref().ok_or_else(|| missing("a recipient"))?, &mut body)?;
    let is_contacts = matches!(outgoing.action, Action::Contacts(_));
    // The documented contacts request has no `recipient_type`; `individual` is its default.
    if is_group || !is_contacts {
        let kind = if is_group { "group" } else { "individual" };
        body.insert("recipient_type".to_owned(), kind.into());
    }
    body.insert("type".to_owned(), kind.into());
    body.insert(kind.to_owned(), content);
    let is_reaction = matches!(outgoing.action, Action::Reaction { .. });
    // A reaction names its target itself and takes no context.
    if let Some(quoted) = outgoing.reply_to.as_ref().filter(|_| !is_reaction) {
        body.insert("context".to_owned(), json!({"message_id": quoted.as_exposed_str()}));
    }
    if let Some(marker) = &outgoing.marker {
        if marker.len() > MARKER_BYTES_MAX {
            return Err(over("the marker", MARKER_BYTES_MAX, "bytes"));
        }
        body.insert("biz_opaque_callback_data".to_owned(), marker.as_str().into());
    }
    Ok(body)
}

/// Puts the recipient in. True for a group.
fn address(to: &Recipient, body: &mut Map<String, Value>) -> Result<bool, RenderError> {
    match to {
        Recipient::User(id) if is_scoped(id.as_exposed_str()) => {
            body.insert("recipient".to_owned(), id.as_exposed_str().into());
        }
        Recipient::User(id) => {
            // Without the plus sign the business number's own country code is put in front.
            let digits = id.as_exposed_str();
            let digits = digits.strip_prefix('+').unwrap_or(digits);
            if digits.is_empty() {
                return Err(missing("the recipient's number"));
            }
            body.insert("to".to_owned(), format!("+{digits}").into());
        }
        Recipient::ScopedId(id) => {
            body.insert("recipient".to_owned(), id.as_exposed_str().into());
        }
        Recipient::Group(id) => {
            body.insert("to".to_owned(), id.as_exposed_str().into());
            return Ok(true);
        }
        Recipient::Comment(_) => return Err(unsupported("private replies to comments")),
        Recipient::UserRef(_) => return Err(unsupported("checkbox references")),
    }
    Ok(false)
}

fn content(action: &Action) -> Result<(&'static str, Value), RenderError> {
    Ok(match action {
        Action::Text { text, link_preview, quick_replies } if quick_replies.is_empty() => {
            let text = text.as_exposed_str();
            check(TEXT, "a text", text)?;
            if text.is_empty() {
                return Err(missing("a text with at least one character"));
            }
            let mut content = object(json!({"body": text}));
            if *link_preview {
                content.insert("preview_url".to_owned(), true.into());
            }
            ("text", Value::Object(content))
        }
        Action::Text { text, quick_replies, .. } => {
            ("interactive", buttons(text.as_exposed_str(), quick_replies)?)
        }
        Action::Media(media) => match media.as_slice() {
            [one] => self::media(one)?,
            [] => return Err(missing("a medium")),
            _ => return Err(over("a message with several media", 1, "media")),
        },
        Action::Location(place) => ("location", location(place)),
        Action::Contacts(cards) if cards.is_empty() => return Err(missing("a contact card")),
        Action::Contacts(cards) => ("contacts", cards.iter().map(card).collect()),
        Action::Reaction { message, emoji } => {
            let emoji = emoji.as_ref().map(Redacted::as_exposed_str).unwrap_or_default();
            ("reaction", json!({"message_id": message.as_exposed_str(), "emoji": emoji}))
        }
        Action::Interactive(object) => {
            let body = object.pointer("/body/text").and_then(Value::as_str).unwrap_or_default();
            let is_list = object.get("type").and_then(Value::as_str) == Some("list");
            check(if is_list { LIST_BODY } else { BUTTON_BODY }, "an interactive body", body)?;
            ("interactive", object.clone())
        }
        Action::Template(object) => ("template", object.clone()),
        Action::PlatformSticker(_)
        | Action::Heart
        | Action::SharePost(_)
        | Action::MarkRead { .. }
        | Action::Typing { .. }
        | Action::Upload(_)
        | Action::LocateMedia(_)
        | Action::ThreadControl(_) => return Err(unsupported("such a message")),
    })
}

fn buttons(text: &str, replies: &[QuickReply]) -> Result<Value, RenderError> {
    check(BUTTON_BODY, "a text with buttons", text)?;
    if replies.len() > BUTTONS_MAX {
        return Err(over("a message with buttons", BUTTONS_MAX, "buttons"));
    }
    let mut buttons = Vec::with_capacity(replies.len());
    for reply in replies {
        check(BUTTON_TITLE, "a button's title", &reply.title)?;
        check(BUTTON_ID, "a button's id", &reply.payload)?;
        buttons
            .push(json!({"type": "reply", "reply": {"id": reply.payload, "title": reply.title}}));
    }
    Ok(json!({"type": "button", "body": {"text": text}, "action": {"buttons": buttons}}))
}

fn media(media: &OutMedia) -> Result<(&'static str, Value), RenderError> {
    let mut content = match &media.source {
        MediaSource::Id(id) => object(json!({"id": id.as_exposed_str()})),
        MediaSource::Url(url) => object(json!({"link": url.as_exposed_str()})),
        MediaSource::Origin(_) => {
            return Err(missing("the id of the uploaded medium, or a public URL of it"));
        }
    };
    if let Some(caption) = &media.caption {
        if matches!(media.media, MediaKind::Audio | MediaKind::Voice | MediaKind::Sticker) {
            return Err(unsupported("caption on audio or stickers"));
        }
        check(CAPTION, "a caption", caption.as_exposed_str())?;
        content.insert("caption".to_owned(), caption.as_exposed_str().into());
    }
    let kind = match media.media {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Voice => {
            content.insert("voice".to_owned(), true.into());
            "audio"
        }
        MediaKind::Document => {
            if let Some(name) = &media.filename {
                content.insert("filename".to_owned(), name.as_exposed_str().into());
            }
            "document"
        }
        MediaKind::Sticker => "sticker",
    };
    Ok((kind, Value::Object(content)))
}

/// The docs send degrees as strings.
fn location(place: &Location) -> Value {
    let mut content = object(json!({
        "latitude": place.latitude.to_string(),
        "longitude": place.longitude.to_string(),
    }));
    for (key, value) in [("name", &place.name), ("address", &place.address)] {
        if let Some(value) = value {
            content.insert(key.to_owned(), value.as_exposed_str().into());
        }
    }
    Value::Object(content)
}

/// A card in the platform's fields: those it came with (`native`) where they still say the same, else plain ones.
fn card(card: &ContactCard) -> Value {
    let mut content = Map::new();
    for key in ["addresses", "birthday", "org", "urls"] {
        if let Some(value) = card.unknown.get(key) {
            content.insert(key.to_owned(), value.clone());
        }
    }
    let native = card.unknown.get("native");
    let name = card.name.as_exposed_str();
    let native_name = native
        .and_then(|native| native.get("name"))
        .filter(|value| value.get("formatted_name").and_then(Value::as_str) == Some(name));
    content.insert(
        "name".to_owned(),
        // One part besides `formatted_name` is required.
        native_name.cloned().unwrap_or_else(|| json!({"formatted_name": name, "first_name": name})),
    );
    for (key, field, plain) in
        [("phones", "phone", &card.phones), ("emails", "email", &card.emails)]
    {
        if plain.is_empty() {
            continue;
        }
        let same = |value: &&Value| {
            let listed = value.as_array().into_iter().flatten();
            let listed = listed.map(|item| item.get(field).and_then(Value::as_str));
            listed.eq(plain.iter().map(|text| Some(text.as_exposed_str())))
        };
        let items = native.and_then(|native| native.get(key)).filter(same).cloned();
        let items = items.unwrap_or_else(|| {
            plain.iter().map(|text| json!({field: text.as_exposed_str()})).collect()
        });
        content.insert(key.to_owned(), items);
    }
    Value::Object(content)
}

/// Marks a message and all earlier as read; with `typing` it also shows that somebody writes, which cannot be had
/// alone (section 9, mistake 10).
fn read_receipt(
    message: Option<&Redacted<String>>,
    typing: bool,
) -> Result<Map<String, Value>, RenderError> {
    let message = message.ok_or_else(|| missing("the id of a message that the person sent"))?;
    let mut body = object(json!({
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": message.as_exposed_str(),
    }));
    if typing {
        body.insert("typing_indicator".to_owned(), json!({"type": "text"}));
    }
    Ok(body)
}

fn upload(
    context: &RenderContext<'_>,
    outgoing: &Outgoing,
    spec: &UploadSpec,
) -> Result<Request, RenderError> {
    if spec.url.is_some() {
        return Err(unsupported("upload by URL"));
    }
    Ok(Request {
        method: Method::Post,
        route: format!("{}/media", context.send_as),
        query: Vec::new(),
        headers: Vec::new(),
        body: RequestBody::Multipart {
            fields: vec![
                ("messaging_product".to_owned(), "whatsapp".to_owned()),
                ("type".to_owned(), spec.mime.clone()),
            ],
            file: MultipartFile {
                field: "file".to_owned(),
                filename: spec.filename.as_exposed_str().to_owned(),
                mime: spec.mime.clone(),
            },
        },
        marker: None,
        idempotent: outgoing.is_idempotent(),
        charge: Charge::default(),
    })
}

fn locate(id: &Redacted<String>) -> Result<Request, RenderError> {
    let id = id.as_exposed_str();
    // It stands in a path: an id from a webhook must not lead anywhere else.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if id.is_empty() || id.contains("..") || !id.bytes().all(plain) {
        return Err(missing("a media id of letters and digits"));
    }
    Ok(Request {
        method: Method::Get,
        route: id.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: RequestBody::Empty,
        marker: None,
        idempotent: true,
        charge: Charge::default(),
    })
}
