//! What Instagram can show. PLATFORMS.md sections 4 (limits), 6 (receipts, reactions) and 8 (kinds).

use interline_bridge_api::Capabilities;
use interline_envelope::MediaKind;
use interline_relay::{
    Formatting, MediaAccess, MediaRule, OwnStickers, ReactionRule, ReadRule, TextLimit, TextUnit,
    TypingRule,
};

/// 1,000 bytes of UTF-8, not characters.
pub(crate) const TEXT: TextLimit = TextLimit { max: 1000, unit: TextUnit::Utf8Bytes };
/// Up to 10 images in one message, and images only.
pub(crate) const IMAGES_MAX: u8 = 10;
const IMAGE_BYTES_MAX: u64 = 8_000_000;
const FILE_BYTES_MAX: u64 = 25_000_000;

const IMAGES: &[&str] = &["image/png", "image/jpeg", "image/gif"];
const VIDEOS: &[&str] =
    &["video/mp4", "video/ogg", "video/x-msvideo", "video/avi", "video/quicktime", "video/webm"];
// aac, m4a, wav, mp4; each has several registered and customary names.
const AUDIOS: &[&str] = &[
    "audio/aac",
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
    "audio/wav",
    "audio/x-wav",
    "audio/wave",
    "audio/vnd.wave",
];

pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        text: TEXT,
        formatting: Formatting::Plain,
        media: vec![
            rule(MediaKind::Image, IMAGES, IMAGE_BYTES_MAX, IMAGES_MAX),
            rule(MediaKind::Video, VIDEOS, FILE_BYTES_MAX, 1),
            rule(MediaKind::Audio, AUDIOS, FILE_BYTES_MAX, 1),
            rule(MediaKind::Document, &["application/pdf"], FILE_BYTES_MAX, 1),
        ],
        own_stickers: OwnStickers::Heart,
        reply: true,
        // The documentation promises `love` alone.
        reaction: ReactionRule::Only(vec!["❤".to_owned()]),
        location: false,
        contacts: false,
        read: ReadRule::Thread,
        typing: TypingRule::Free,
        edit: false,
        delete: false,
        // Echoes bring nothing back but the message's id.
        marker_bytes_max: None,
        media_access: MediaAccess::PublicUrl,
    }
}

fn rule(media: MediaKind, mimes: &[&str], bytes_max: u64, per_message_max: u8) -> MediaRule {
    MediaRule {
        media,
        mimes: mimes.iter().map(|mime| (*mime).to_owned()).collect(),
        bytes_max,
        caption: None,
        per_message_max,
        by_url: true,
        by_upload: true,
    }
}
