//! What Messenger can show. PLATFORMS.md sections 4 (limits), 6 (receipts, reactions) and 8 (kinds).

use interline_bridge_api::Capabilities;
use interline_envelope::MediaKind;
use interline_relay::{
    Formatting, MediaAccess, MediaRule, OwnStickers, ReactionRule, ReadRule, TextLimit, TextUnit,
    TypingRule,
};

/// 2,000 characters.
pub(crate) const TEXT: TextLimit = TextLimit { max: 2000, unit: TextUnit::Characters };
/// `metadata` comes back in the echo; "< 1000".
pub(crate) const MARKER_BYTES_MAX: usize = 999;
/// By upload. By URL an image may have 8 MB only.
const UPLOAD_BYTES_MAX: u64 = 25_000_000;

pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        text: TEXT,
        formatting: Formatting::Plain,
        media: vec![
            rule(MediaKind::Image, &["image/png", "image/jpeg", "image/gif"]),
            rule(MediaKind::Video, &["video/*"]),
            rule(MediaKind::Audio, &["audio/*"]),
            rule(MediaKind::Document, &[]),
        ],
        own_stickers: OwnStickers::ById,
        reply: true,
        reaction: ReactionRule::Any,
        location: false,
        contacts: false,
        read: ReadRule::Thread,
        typing: TypingRule::Free,
        edit: false,
        delete: false,
        marker_bytes_max: Some(MARKER_BYTES_MAX),
        media_access: MediaAccess::PublicUrl,
    }
}

/// One attachment a message; attachment and text are separate sends, so there are no captions.
fn rule(media: MediaKind, mimes: &[&str]) -> MediaRule {
    MediaRule {
        media,
        mimes: mimes.iter().map(|mime| (*mime).to_owned()).collect(),
        bytes_max: UPLOAD_BYTES_MAX,
        caption: None,
        per_message_max: 1,
        by_url: true,
        by_upload: true,
    }
}
