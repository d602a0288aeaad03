//! The ways in which a medium can be shown on a target, best first: as what it is, converted, as something near.
//!
//! Asked twice: by `fit`, with what the origin claims, and by deliver, with what the bytes turned out to be.

use crate::{Capabilities, Loss, MediaRule, OriginTraits};
use interline_envelope::{Media, MediaKind, Redacted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What can be done to media on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversions {
    /// Pictures into other pictures.
    pub pictures: bool,
    /// Sounds and films into others.
    pub sounds_and_films: bool,
}

impl Conversions {
    /// What the daemon does itself, whatever is installed.
    pub const BUILT_IN: Self = Self { pictures: true, sounds_and_films: false };
}

/// One conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conversion {
    /// A sound into Ogg/Opus with one channel, which plays as a voice note.
    VoiceNote,
    /// A sound into AAC in MP4, which plays everywhere.
    SoundFile,
    /// The first picture of a WebP file into PNG.
    Picture,
    /// A picture into WebP of 512 by 512.
    Sticker,
    /// A GIF into a silent film.
    Film,
}

impl Conversion {
    /// The MIME type of what comes out.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::VoiceNote => "audio/ogg",
            Self::SoundFile => "audio/mp4",
            Self::Picture => "image/png",
            Self::Sticker => "image/webp",
            Self::Film => "video/mp4",
        }
    }

    /// True if it can be done to this type.
    fn takes(self, possible: Conversions, mime: &str) -> bool {
        let sounds = [
            "audio/ogg",
            "audio/opus",
            "audio/mp4",
            "audio/m4a",
            "audio/x-m4a",
            "audio/aac",
            "audio/amr",
            "audio/mpeg",
            "audio/wav",
            "audio/x-wav",
            "audio/wave",
            "audio/vnd.wave",
            "audio/webm",
        ];
        match self {
            Self::VoiceNote | Self::SoundFile => {
                possible.sounds_and_films && sounds.contains(&mime)
            }
            Self::Picture => possible.pictures && mime == "image/webp",
            Self::Sticker => possible.pictures && mime == "image/png",
            Self::Film => possible.sounds_and_films && mime == "image/gif",
        }
    }
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaWay {
    /// As what it is shown.
    pub kind: MediaKind,
    /// What has to be done to it first.
    pub conversion: Option<Conversion>,
    /// What that gives up.
    pub loss: Option<Loss>,
}

const fn as_it_is(kind: MediaKind, loss: Option<Loss>) -> MediaWay {
    MediaWay { kind, conversion: None, loss }
}

const fn converted(kind: MediaKind, conversion: Conversion, loss: Loss) -> MediaWay {
    MediaWay { kind, conversion: Some(conversion), loss: Some(loss) }
}

/// The ways that a target takes a medium, best first; none if it takes it in no form.
///
/// `media`: what is known of it; a type or a size that is not known is no hindrance.
pub fn media_ways(
    capabilities: &Capabilities,
    origin: OriginTraits,
    possible: Conversions,
    media: &Media,
) -> Vec<MediaWay> {
    use {Conversion as To, MediaKind as As};
    let mime = mime_of(media).map(bare).unwrap_or_default();
    let own = as_it_is(media.media, None);
    let file = as_it_is(As::Document, Some(Loss::MediaAsDocument));
    let candidates: &[MediaWay] = match media.media {
        As::Image => &[
            own,
            converted(As::Image, To::Picture, Loss::MediaConverted),
            converted(As::Video, To::Film, Loss::MediaConverted),
            file,
        ],
        // A platform without voice notes shows those of its people as sounds; music comes as MP3 or with a name.
        As::Audio if is_speech(origin, media, &mime) => &[
            converted(As::Voice, To::VoiceNote, Loss::MediaConverted),
            own,
            converted(As::Audio, To::SoundFile, Loss::MediaConverted),
            file,
        ],
        As::Audio => &[own, converted(As::Audio, To::SoundFile, Loss::MediaConverted), file],
        As::Voice => &[
            own,
            converted(As::Voice, To::VoiceNote, Loss::MediaConverted),
            converted(As::Audio, To::SoundFile, Loss::VoiceAsAudio),
            as_it_is(As::Audio, Some(Loss::VoiceAsAudio)),
            file,
        ],
        As::Sticker => &[
            own,
            converted(As::Sticker, To::Sticker, Loss::MediaConverted),
            as_it_is(As::Image, Some(Loss::StickerAsImage)),
            converted(As::Image, To::Picture, Loss::StickerAsImage),
            file,
        ],
        As::Video => &[own, file],
        As::Document => &[own],
    };
    let is_open = |way: &&MediaWay| {
        let Some(rule) = capabilities.media_rule(way.kind) else { return false };
        match way.conversion {
            None => takes(rule, media),
            // AAC needs no conversion to AAC.
            Some(To::SoundFile) if is_aac(&mime) => false,
            Some(conversion) => {
                rule.by_upload && rule.takes(conversion.mime()) && conversion.takes(possible, &mime)
            }
        }
    };
    candidates.iter().filter(is_open).copied().collect()
}

fn is_aac(mime: &str) -> bool {
    matches!(mime, "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "audio/aac")
}

fn is_speech(origin: OriginTraits, media: &Media, mime: &str) -> bool {
    let has_name = media.filename.as_ref().is_some_and(|name| {
        let name = name.as_exposed_str();
        !name.is_empty() && !name.starts_with("audioclip")
    });
    !origin.voice_notes && is_aac(mime) && !has_name
}

fn bare(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// True if a rule takes a medium, as far as its origin says what it is.
fn takes(rule: &MediaRule, media: &Media) -> bool {
    if media.bytes.is_some_and(|bytes| bytes > rule.bytes_max) {
        return false;
    }
    match mime_of(media) {
        Some(mime) => rule.takes(mime),
        // Messenger and Instagram send no type with what they call an image, a video or an audio: it is a common one.
        None => {
            rule.mimes.is_empty()
                || match rule.media {
                    MediaKind::Image | MediaKind::Video | MediaKind::Audio => true,
                    MediaKind::Voice | MediaKind::Document | MediaKind::Sticker => false,
                }
        }
    }
}

/// The MIME type that the platform claims, else that of the file's name or address.
fn mime_of(media: &Media) -> Option<&str> {
    if let Some(mime) = media.mime.as_deref().filter(|mime| mime.contains('/')) {
        return Some(mime);
    }
    let name = media.filename.as_ref().map(Redacted::as_exposed_str);
    let path = media.url.as_ref().map(Redacted::as_exposed_str);
    let path = path.and_then(|url| url.split(['?', '#']).next());
    let guess = name.and_then(mime_by_extension).or_else(|| path.and_then(mime_by_extension))?;
    let fits = |family: &str| guess.starts_with(family).then_some(guess);
    match media.media {
        // Messenger's voice clips are named `.mp4`.
        MediaKind::Audio | MediaKind::Voice if guess == "video/mp4" => Some("audio/mp4"),
        MediaKind::Audio | MediaKind::Voice => fits("audio/"),
        MediaKind::Image | MediaKind::Sticker => fits("image/"),
        MediaKind::Video => fits("video/"),
        MediaKind::Document => Some(guess),
    }
}

fn mime_by_extension(name: &str) -> Option<&'static str> {
    const TYPES: [(&str, &str); 24] = [
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("png", "image/png"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("mp4", "video/mp4"),
        ("3gp", "video/3gpp"),
        ("mov", "video/quicktime"),
        ("webm", "video/webm"),
        ("avi", "video/x-msvideo"),
        ("aac", "audio/aac"),
        ("m4a", "audio/mp4"),
        ("mp3", "audio/mpeg"),
        ("amr", "audio/amr"),
        ("ogg", "audio/ogg"),
        ("opus", "audio/ogg"),
        ("wav", "audio/wav"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("doc", "application/msword"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("xls", "application/vnd.ms-excel"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ];
    let (_, extension) = name.rsplit_once('.')?;
    TYPES.iter().find(|(own, _)| own.eq_ignore_ascii_case(extension)).map(|(_, mime)| *mime)
}
