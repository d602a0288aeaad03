//! What WhatsApp can show. PLATFORMS.md sections 4 (limits, media out), 6 and 8 (matrix).

use interline_envelope::MediaKind;
use interline_relay::{
    Capabilities, ChatKind, Formatting, MediaAccess, MediaRule, OwnStickers, ReactionRule,
    ReadRule, TextLimit, TextUnit, TypingRule,
};

/// Section 4: text 4096 characters (not bytes).
pub(crate) const TEXT: TextLimit = TextLimit { max: 4096, unit: TextUnit::Characters };
/// Section 4: caption 1024 characters; none on audio and sticker.
pub(crate) const CAPTION: TextLimit = TextLimit { max: 1024, unit: TextUnit::Characters };
/// Section 4: `biz_opaque_callback_data` at most 512.
pub(crate) const MARKER_BYTES_MAX: usize = 512;

const MB: u64 = 1024 * 1024;

pub(crate) fn capabilities(chat: ChatKind) -> Capabilities {
    let is_direct = chat == ChatKind::Direct;
    // Section 6, "groups": text, media and templates; reactions and the like answer 130501.
    let mut media = vec![
        rule(MediaKind::Image, &["image/jpeg", "image/png"], 5 * MB, Some(CAPTION)),
        rule(MediaKind::Video, &["video/mp4", "video/3gpp"], 16 * MB, Some(CAPTION)),
        rule(MediaKind::Audio, AUDIO_MIMES, 16 * MB, None),
        // Only ogg/opus mono plays as a voice note.
        rule(MediaKind::Voice, &["audio/ogg"], 16 * MB, None),
        rule(MediaKind::Document, &[], 100 * MB, Some(CAPTION)),
        // Static ones; 500 KB are allowed for animated ones, which a MIME type does not tell apart.
        rule(MediaKind::Sticker, &["image/webp"], 100 * 1024, None),
    ];
    if !is_direct {
        media.retain(|rule| rule.media != MediaKind::Sticker);
    }
    Capabilities {
        text: TEXT,
        formatting: Formatting::WhatsApp,
        media,
        own_stickers: OwnStickers::None,
        reply: true,
        reaction: if is_direct { ReactionRule::Any } else { ReactionRule::None },
        location: is_direct,
        contacts: is_direct,
        read: if is_direct { ReadRule::Message } else { ReadRule::None },
        typing: if is_direct { TypingRule::MarksRead } else { TypingRule::None },
        edit: false,
        delete: false,
        marker_bytes_max: Some(MARKER_BYTES_MAX),
        media_access: MediaAccess::AccountToken,
    }
}

const AUDIO_MIMES: &[&str] = &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"];

fn rule(media: MediaKind, mimes: &[&str], bytes_max: u64, caption: Option<TextLimit>) -> MediaRule {
    MediaRule {
        media,
        mimes: mimes.iter().map(|mime| (*mime).to_owned()).collect(),
        bytes_max,
        caption,
        per_message_max: 1,
        by_url: true,
        by_upload: true,
    }
}
