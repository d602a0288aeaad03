//! Translates a message's content into parts, in the order that a person saw them: words, then attachments.
//!
//! PLATFORMS.md section 6, "Attachment types in", and section 8.

use super::kept::{kept, personal, plain, short};
use super::share::{is_share, share};
use super::wire::{Attachment, Coordinates, Message, Payload};
use crate::Text;
use interline_envelope::{
    Choice, ChoiceOf, Location, Media, MediaKind, PARTS_MAX, Part, Redacted, Unknown,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The stickers of the blue thumb in its three sizes, and what they say.
const THUMB_STICKERS: [&str; 3] = ["369239263222822", "369239343222814", "369239383222810"];

/// The parts of `message`; never empty.
pub(super) fn parts_of(message: &Message<'_>) -> Vec<Part> {
    let mut parts = Vec::with_capacity(1);
    let text = message.text.as_ref().and_then(Text::non_empty);
    match message.quick_reply {
        // The text of a tap is the title of what was tapped.
        Some(raw) => parts.push(quick_reply(raw, text.unwrap_or_default())),
        None => parts.extend(text.map(Part::text)),
    }
    if let Some(raw) = message.attachments {
        attachments(raw, &mut parts);
    }
    if message.is_unsupported == Some(true) {
        parts.push(Part::unsupported("unsupported", "the platform did not hand it over"));
    }
    if parts.is_empty() {
        parts.push(Part::unsupported("message", "it has no content that can be read"));
    }
    parts
}

#[derive(Deserialize)]
struct QuickReply<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

fn quick_reply(raw: &RawValue, title: &str) -> Part {
    let payload = serde_json::from_str::<QuickReply<'_>>(raw.get()).ok().and_then(|q| q.payload);
    Part::Choice(Choice {
        id: personal(payload).unwrap_or_default(),
        title: Redacted::from(title),
        description: None,
        of: ChoiceOf::QuickReply,
        data: None,
        unknown: Unknown::new(),
    })
}

fn attachments(raw: &RawValue, parts: &mut Vec<Part>) {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        parts.push(Part::unsupported("attachment", "they are not an array"));
        return;
    };
    let has_text = !parts.is_empty();
    let total = items.len();
    // Until 30 August 2026 one sticker comes twice, as `sticker` and as `image`.
    let mut stickers_seen: Vec<String> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        if parts.len() + 1 >= PARTS_MAX && index + 1 < total {
            let rest = format!("{} further attachments", total - index);
            parts.push(Part::unsupported("attachment", rest));
            return;
        }
        match serde_json::from_str::<Attachment<'_>>(item.get()) {
            Ok(attachment) => {
                let payload = payload_of(&attachment);
                if let Some(sticker) = plain(payload.sticker_id) {
                    if stickers_seen.contains(&sticker) {
                        continue;
                    }
                    stickers_seen.push(sticker);
                }
                parts.extend(part(&attachment, &payload, has_text));
            }
            Err(_) => parts.push(Part::unsupported("attachment", "it cannot be read")),
        }
    }
}

/// `payload`; empty where it is `null`, absent or no object.
fn payload_of<'a>(attachment: &Attachment<'a>) -> Payload<'a> {
    attachment.payload.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// One attachment's part; nothing for an empty one that stands beside a text.
fn part(attachment: &Attachment<'_>, payload: &Payload<'_>, has_text: bool) -> Option<Part> {
    let kind = attachment.kind.as_ref().map_or("", Text::as_str);
    let url = payload.url.or(attachment.url);
    Some(match kind {
        "image" if payload.sticker_id.is_some() => sticker(payload, url),
        "image" => media(MediaKind::Image, kind, url),
        "video" => media(MediaKind::Video, kind, url),
        "audio" => media(MediaKind::Audio, kind, url),
        "file" => media(MediaKind::Document, kind, url),
        "sticker" => sticker(payload, url),
        "like_heart" => Part::Media(emoji_sticker(Media::new(MediaKind::Sticker), "❤️")),
        "location" => location(payload, attachment)?,
        "appointment_booking" => booking(attachment, payload),
        "ephemeral" => Part::unsupported("ephemeral", "disappearing media are not handed over"),
        _ if is_share(kind) => return share(kind, attachment, payload, has_text),
        "" => Part::unsupported("attachment", "it does not say what it is"),
        _ => unknown(kind, url),
    })
}

fn media(kind: MediaKind, native_type: &str, url: Option<&RawValue>) -> Part {
    let Some(url) = plain(url) else {
        return Part::unsupported(native_type, "it came without a URL");
    };
    let mut media = Media::new(kind);
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if kind == MediaKind::Document {
        media.filename = file_name(path).map(Redacted::new);
    }
    if kind == MediaKind::Image && path.to_ascii_lowercase().ends_with(".gif") {
        media.animated = Some(true);
    }
    media.url = Some(Redacted::new(url));
    Part::Media(media)
}

/// A file's name stands only in the URL's path, percent-encoded. Instagram's URLs have none.
fn file_name(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("://")?;
    let (_, name) = rest.rsplit_once('/')?;
    let name = percent_decoded(name)?;
    let has_extension = name.rsplit_once('.').is_some_and(|(stem, ext)| {
        !stem.is_empty() && !ext.is_empty() && !ext.contains(char::is_whitespace)
    });
    has_extension.then_some(name)
}

/// Nothing if the result is not UTF-8 or not fit for a file's name.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let mut decoded = [0_u8];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            bytes.extend_from_slice(&decoded);
        } else {
            bytes.push(byte);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (!name.contains(|c: char| c == '/' || c == '\\' || c.is_control())).then_some(name)
}

fn sticker(payload: &Payload<'_>, url: Option<&RawValue>) -> Part {
    let mut media = Media::new(MediaKind::Sticker);
    media.id = personal(payload.sticker_id);
    media.url = personal(url);
    let is_thumb =
        media.id.as_ref().is_some_and(|id| THUMB_STICKERS.contains(&id.as_exposed_str()));
    Part::Media(if is_thumb { emoji_sticker(media, "👍") } else { media })
}

/// A sticker that says the same as an emoji; targets without stickers can show that (PLATFORMS.md section 8).
fn emoji_sticker(mut media: Media, emoji: &str) -> Media {
    media.unknown.insert("emoji".to_owned(), Value::from(emoji));
    media
}

fn location(payload: &Payload<'_>, attachment: &Attachment<'_>) -> Option<Part> {
    let raw = payload.coordinates.map(|raw| serde_json::from_str::<Coordinates>(raw.get()));
    Some(match raw {
        Some(Ok(place)) => Part::Location(Location {
            latitude: place.lat,
            longitude: place.long,
            name: personal(attachment.title.or(payload.title)),
            address: None,
            url: personal(payload.url.or(attachment.url)),
            unknown: Unknown::new(),
        }),
        _ => Part::unsupported("location", "its coordinates cannot be read"),
    })
}

/// A booking reads like a form's answer: one line per field.
fn booking(attachment: &Attachment<'_>, payload: &Payload<'_>) -> Part {
    let status = plain(payload.status);
    let title = status.map_or_else(
        || "Appointment".to_owned(),
        |status| format!("Appointment {}", short(&status)),
    );
    Part::Choice(Choice {
        id: personal(payload.booking_id).unwrap_or_default(),
        title: title.into(),
        description: None,
        of: ChoiceOf::Flow,
        data: attachment.payload.map(|raw| Redacted::new(kept(raw))),
        unknown: Unknown::new(),
    })
}

/// A type of a later day. Its URL may still help, so it is kept.
fn unknown(kind: &str, url: Option<&RawValue>) -> Part {
    let mut fields = Unknown::new();
    if let Some(url) = plain(url) {
        fields.insert("url".to_owned(), Value::from(url));
    }
    Part::Unsupported {
        native_type: short(kind),
        reason: "this version does not know such an attachment".to_owned(),
        unknown: fields,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_decoded_from_the_path_and_never_holds_a_separator() {
        let name = |path: &str| file_name(path);
        assert_eq!(name("https://h/a/invoice%20%E2%84%961.pdf").as_deref(), Some("invoice №1.pdf"));
        assert_eq!(name("https://h/ig_messaging_cdn/"), None);
        assert_eq!(name("https://h/x"), None);
        assert_eq!(name("https://h/..%2Fetc.d"), None);
        assert_eq!(name("https://h/%FF.pdf"), None);
        assert_eq!(name("https://h/%2.pdf"), None);
    }
}
