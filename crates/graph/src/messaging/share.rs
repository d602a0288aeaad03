//! What lives elsewhere: posts, reels, story mentions, links, templates. PLATFORMS.md section 6, "Attachment types".
//!
//! URLs stay as the platform wrote them, relative ones included. Media of a story must not be stored: a mention is
//! a `share`, so that nobody takes it for media.

use super::kept::{kept, personal};
use super::wire::{Attachment, Element, Payload, Product};
use interline_envelope::{Part, Share, ShareOf, Unknown};
use serde_json::value::RawValue;

/// True if attachments of this type are shares.
pub(super) fn is_share(kind: &str) -> bool {
    of(kind).is_some()
}

fn of(kind: &str) -> Option<ShareOf> {
    Some(match kind {
        "story_mention" => ShareOf::StoryMention,
        "reel" | "ig_reel" => ShareOf::Reel,
        "post" | "ig_post" | "share" => ShareOf::Post,
        "fallback" => ShareOf::Link,
        "template" => ShareOf::Template,
        _ => return None,
    })
}

/// The part of a shared thing; nothing for one that is empty and stands beside a text.
pub(super) fn share(
    kind: &str,
    attachment: &Attachment<'_>,
    payload: &Payload<'_>,
    has_text: bool,
) -> Option<Part> {
    let of = of(kind)?;
    let mut share = Share {
        of,
        id: personal(payload.id.or(payload.reel_video_id).or(payload.ig_post_media_id)),
        url: personal(payload.url).or_else(|| personal(attachment.url)),
        title: personal(payload.title).or_else(|| personal(attachment.title)),
        text: None,
        unknown: Unknown::new(),
    };
    if of == ShareOf::Template {
        template(&mut share, attachment, payload);
    }
    let is_empty = share.id.is_none()
        && share.url.is_none()
        && share.title.is_none()
        && share.text.is_none()
        && share.unknown.is_empty();
    match is_empty {
        false => Some(Part::Share(share)),
        // "A fallback with no payload might be sent": beside a text it says nothing more.
        true if has_text => None,
        true => Some(Part::unsupported(kind, "it came without a payload")),
    }
}

/// A template says its words in `text` or in its first element, also below `product`.
fn template(share: &mut Share, attachment: &Attachment<'_>, payload: &Payload<'_>) {
    let product =
        payload.product.and_then(|raw| serde_json::from_str::<Product<'_>>(raw.get()).ok());
    let elements = product.and_then(|product| product.elements).or(payload.elements);
    let first = elements.and_then(first_element).unwrap_or_default();
    share.id =
        share.id.take().or_else(|| personal(first.id)).or_else(|| personal(first.attachment_id));
    share.title = share.title.take().or_else(|| personal(first.title));
    share.url = share.url.take().or_else(|| personal(first.url));
    share.text = personal(payload.text).or_else(|| personal(first.subtitle));
    if let Some(raw) = attachment.payload {
        share.unknown.insert("payload".to_owned(), kept(raw));
    }
}

fn first_element(raw: &RawValue) -> Option<Element<'_>> {
    let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    serde_json::from_str(elements.first()?.get()).ok()
}
