//! What a message holds, as parts. PLATFORMS.md section 6, "WhatsApp types in", and section 8.

use crate::native::{List, Message, NativeError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interline_envelope::{
    Choice, ChoiceOf, ContactCard, EXTRA_BYTES_MAX, Location, Media, MediaKind, Order, OrderItem,
    PARTS_MAX, Part, Redacted, Unknown,
};
use interline_graph::{IdText, Text, reason_of};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What a message of one of the content types holds; nothing if `kind` is no content type.
///
/// A content that cannot be read becomes an `unsupported` part: the message still has its sender and its place.
pub(crate) fn parts_of(kind: &str, message: &Message<'_>) -> Option<Vec<Part>> {
    let part = match kind {
        "text" => read(kind, message.text, text),
        "image" => read(kind, message.image, |raw| media(MediaKind::Image, raw)),
        "video" => read(kind, message.video, |raw| media(MediaKind::Video, raw)),
        "audio" => read(kind, message.audio, |raw| media(MediaKind::Audio, raw)),
        "voice" => read(kind, message.voice, |raw| media(MediaKind::Voice, raw)),
        "document" => read(kind, message.document, |raw| media(MediaKind::Document, raw)),
        "sticker" => read(kind, message.sticker, |raw| media(MediaKind::Sticker, raw)),
        "location" => read(kind, message.location, location),
        "contacts" => contacts(&message.contacts),
        "button" => read(kind, message.button, button),
        "interactive" => read(kind, message.interactive, interactive),
        "order" => read(kind, message.order, order),
        _ => return None,
    };
    Some(vec![part])
}

fn read(
    kind: &str,
    raw: Option<&RawValue>,
    parse: impl FnOnce(&RawValue) -> Result<Part, serde_json::Error>,
) -> Part {
    let Some(raw) = raw else {
        return Part::unsupported(kind, "the message came without its content");
    };
    parse(raw).unwrap_or_else(|error| Part::unsupported(kind, reason_of(&error)))
}

/// What the platform says of a message that it does not hand over.
pub(crate) fn unsupported(native_type: &str, errors: &List<'_>) -> Part {
    let error = errors
        .items()
        .first()
        .and_then(|raw| serde_json::from_str::<NativeError<'_>>(raw.get()).ok());
    let reason = error.as_ref().map_or("the platform does not hand it over", |error| {
        error.detail().unwrap_or_else(|| error.title())
    });
    let code = error.as_ref().and_then(|error| error.code.as_str().parse::<i64>().ok());
    let unknown = code.map(|code| ("code".to_owned(), Value::from(code))).into_iter().collect();
    Part::Unsupported { native_type: native_type.to_owned(), reason: reason.to_owned(), unknown }
}

#[derive(Deserialize)]
struct TextBody<'a> {
    #[serde(borrow)]
    body: Text<'a>,
}

fn text(raw: &RawValue) -> Result<Part, serde_json::Error> {
    let text: TextBody<'_> = serde_json::from_str(raw.get())?;
    Ok(Part::text(text.body.into_owned()))
}

#[derive(Deserialize)]
struct NativeMedia<'a> {
    #[serde(borrow, default)]
    id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    url: Option<Text<'a>>,
    #[serde(borrow, default)]
    mime_type: Option<Text<'a>>,
    #[serde(borrow, default)]
    sha256: Option<Text<'a>>,
    #[serde(borrow, default)]
    filename: Option<Text<'a>>,
    #[serde(borrow, default)]
    caption: Option<Text<'a>>,
    #[serde(default)]
    voice: Option<bool>,
    #[serde(default)]
    animated: Option<bool>,
}

fn media(kind: MediaKind, raw: &RawValue) -> Result<Part, serde_json::Error> {
    let native: NativeMedia<'_> = serde_json::from_str(raw.get())?;
    let kind = match (kind, native.voice) {
        (MediaKind::Audio, Some(true)) => MediaKind::Voice,
        (other, _) => other,
    };
    let mut media = Media::new(kind);
    media.id = native.id.map(|id| id.into_owned().into());
    media.url = native.url.map(|url| url.into_owned().into());
    media.mime = native.mime_type.map(Text::into_owned);
    if let Some(hash) = native.sha256 {
        match hex_sha256(hash.as_str()) {
            Some(hex) => media.sha256 = Some(hex),
            // Not a SHA-256 in either form: kept as it came, and nothing is compared with it.
            None => {
                media.unknown.insert("native_sha256".to_owned(), hash.into_owned().into());
            }
        }
    }
    media.filename = native.filename.map(|name| name.into_owned().into());
    media.caption = native.caption.map(|caption| caption.into_owned().into());
    media.animated = native.animated;
    Ok(Part::Media(media))
}

/// Webhooks give base64, the media endpoint (and the history) hex: PLATFORMS.md section 4, "Media in".
pub(crate) fn hex_sha256(hash: &str) -> Option<String> {
    let mut bytes = [0_u8; 32];
    if hash.len() == 64 && hex::decode_to_slice(hash, &mut bytes).is_ok() {
        return Some(hash.to_ascii_lowercase());
    }
    let decoded = STANDARD.decode(hash).ok()?;
    (decoded.len() == bytes.len()).then(|| hex::encode(decoded))
}

#[derive(Deserialize)]
struct NativeLocation<'a> {
    #[serde(borrow)]
    latitude: &'a RawValue,
    #[serde(borrow)]
    longitude: &'a RawValue,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    address: Option<Text<'a>>,
    #[serde(borrow, default)]
    url: Option<Text<'a>>,
}

fn location(raw: &RawValue) -> Result<Part, serde_json::Error> {
    let native: NativeLocation<'_> = serde_json::from_str(raw.get())?;
    let degrees = |raw: &RawValue| {
        let number: Result<f64, _> = scalar(raw).unwrap_or_default().parse();
        number.ok().filter(|number| number.is_finite() && number.abs() <= 180.0)
    };
    let (Some(latitude), Some(longitude)) = (degrees(native.latitude), degrees(native.longitude))
    else {
        return Ok(Part::unsupported("location", "its coordinates are no degrees"));
    };
    Ok(Part::Location(Location {
        latitude,
        longitude,
        name: native.name.map(|name| name.into_owned().into()),
        address: native.address.map(|address| address.into_owned().into()),
        url: native.url.map(|url| url.into_owned().into()),
        unknown: Unknown::new(),
    }))
}

fn contacts(list: &List<'_>) -> Part {
    let cards: Vec<ContactCard> = list
        .items()
        .iter()
        .take(PARTS_MAX)
        .filter_map(|raw| serde_json::from_str::<Map<String, Value>>(raw.get()).ok())
        .map(card)
        .collect();
    if cards.is_empty() {
        return Part::unsupported("contacts", "no card can be read");
    }
    Part::Contacts { contacts: cards, unknown: Unknown::new() }
}

/// One card: its plain forms in the common fields, the platform's richer ones under `native`, all else as it came.
fn card(mut fields: Map<String, Value>) -> ContactCard {
    let mut native = Map::new();
    let mut list = |key: &str, field: &str| -> Vec<Redacted<String>> {
        let Some(value) = fields.remove(key) else { return Vec::new() };
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let plain = items.iter().filter_map(|item| item.get(field)?.as_str());
        let plain = plain.map(Redacted::from).collect();
        native.insert(key.to_owned(), value);
        plain
    };
    let phones = list("phones", "phone");
    let emails = list("emails", "email");
    let name = fields.remove("name").unwrap_or_default();
    let formatted = name.get("formatted_name").or_else(|| name.get("first_name"));
    let formatted = formatted.and_then(Value::as_str).unwrap_or_default().to_owned();
    native.insert("name".to_owned(), name);
    fields.insert("native".to_owned(), Value::Object(native));
    ContactCard { name: formatted.into(), phones, emails, unknown: fields }
}

#[derive(Deserialize)]
struct NativeButton<'a> {
    #[serde(borrow, default)]
    payload: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
}

fn button(raw: &RawValue) -> Result<Part, serde_json::Error> {
    let native: NativeButton<'_> = serde_json::from_str(raw.get())?;
    Ok(choice(ChoiceOf::Button, native.payload, native.text, None, None))
}

fn choice(
    of: ChoiceOf,
    id: Option<Text<'_>>,
    title: Option<Text<'_>>,
    description: Option<Text<'_>>,
    data: Option<Value>,
) -> Part {
    Part::Choice(Choice {
        id: id.map(Text::into_owned).unwrap_or_default().into(),
        title: title.map(Text::into_owned).unwrap_or_default().into(),
        description: description.map(|text| text.into_owned().into()),
        of,
        data: data.map(Redacted::new),
        unknown: Unknown::new(),
    })
}

#[derive(Deserialize)]
struct NativeInteractive<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    button_reply: Option<NativeReply<'a>>,
    #[serde(borrow, default)]
    list_reply: Option<NativeReply<'a>>,
    #[serde(borrow, default)]
    nfm_reply: Option<NativeFlow<'a>>,
}

#[derive(Deserialize)]
struct NativeReply<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct NativeFlow<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    body: Option<Text<'a>>,
    #[serde(borrow, default)]
    response_json: Option<&'a RawValue>,
}

fn interactive(raw: &RawValue) -> Result<Part, serde_json::Error> {
    let native: NativeInteractive<'_> = serde_json::from_str(raw.get())?;
    Ok(match (native.kind.as_str(), native.button_reply, native.list_reply, native.nfm_reply) {
        ("button_reply", Some(reply), ..) => {
            choice(ChoiceOf::Button, reply.id, reply.title, reply.description, None)
        }
        ("list_reply", _, Some(reply), _) => {
            choice(ChoiceOf::List, reply.id, reply.title, reply.description, None)
        }
        ("nfm_reply", _, _, Some(flow)) => {
            let data = flow.response_json.map(flow_data);
            choice(ChoiceOf::Flow, flow.name, flow.body, None, data)
        }
        (other, ..) => Part::unsupported(other, "this interactive answer is not known"),
    })
}

/// A form's answers are JSON inside a JSON string, and need not be an object.
fn flow_data(raw: &RawValue) -> Value {
    let value = serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
    match value.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(parsed)) => parsed,
        // Words, or an object without the string around it: kept as it is.
        Some(Err(_)) | None => value,
    }
}

#[derive(Deserialize)]
struct NativeOrder<'a> {
    #[serde(borrow, default)]
    catalog_id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    product_items: List<'a>,
}

#[derive(Deserialize)]
struct NativeProduct<'a> {
    #[serde(borrow, default)]
    product_retailer_id: Option<IdText<'a>>,
    #[serde(borrow, default)]
    quantity: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item_price: Option<&'a RawValue>,
    #[serde(borrow, default)]
    currency: Option<Text<'a>>,
}

/// The most lines of a cart that are kept; the platform's own limit is 30.
const ORDER_ITEMS_MAX: usize = 256;

fn order(raw: &RawValue) -> Result<Part, serde_json::Error> {
    let native: NativeOrder<'_> = serde_json::from_str(raw.get())?;
    let items = native.product_items.items().iter().take(ORDER_ITEMS_MAX);
    let items = items.filter_map(|raw| serde_json::from_str::<NativeProduct<'_>>(raw.get()).ok());
    Ok(Part::Order(Order {
        catalog_id: native.catalog_id.map(IdText::into_owned),
        text: native.text.map(|text| text.into_owned().into()),
        items: items
            .map(|product| OrderItem {
                product_id: product
                    .product_retailer_id
                    .map(IdText::into_owned)
                    .unwrap_or_default()
                    .into(),
                name: None,
                quantity: product.quantity.and_then(scalar).map(str::to_owned),
                price: product.item_price.and_then(scalar).map(str::to_owned),
                currency: product.currency.map(Text::into_owned),
                unknown: Unknown::new(),
            })
            .collect(),
        unknown: Unknown::new(),
    }))
}

/// A number or a plain string, as the platform wrote it.
fn scalar(raw: &RawValue) -> Option<&str> {
    let json = raw.get();
    let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    (text.len() <= 64 && json != "null" && text.bytes().all(plain)).then_some(text)
}

/// A native value for `extra`; nothing if it is larger than all of `extra` may be, or nests too deeply.
pub(crate) fn extra_value(raw: &RawValue) -> Option<Value> {
    if raw.get().len() > EXTRA_BYTES_MAX {
        return None;
    }
    serde_json::from_str(raw.get()).ok()
}
