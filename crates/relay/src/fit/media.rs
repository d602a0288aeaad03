//! Media: shown as what they are, as the nearest thing that the target takes, as a link, or as a line that says so.

use super::draft::Draft;
use super::excerpt::{media_noun, shortened};
use super::split::{is_within, split};
use crate::{
    Action, FitInput, Form, Loss, MediaAccess, MediaRule, MediaSource, OutMedia, OwnStickers,
};
use interline_envelope::{Media, MediaKind, Part, Redacted};
use std::borrow::Cow;

/// How much of a file's name is shown, in grapheme clusters.
const NAME_GRAPHEMES: usize = 60;

/// Media that go out in one message.
struct Album<'a> {
    kind: MediaKind,
    items: Vec<(&'a Media, MediaSource)>,
}

impl<'a> Draft<'a> {
    /// Plans media that stand side by side in one envelope.
    pub(super) fn media(&mut self, run: &'a [Part]) {
        let mut album: Option<Album<'a>> = None;
        let mut messages = 0;
        for media in run.iter().filter_map(as_media) {
            if let Some(action) = self.own_sticker(media) {
                messages += 1 + self.flush(album.take(), run);
                self.announce(media_noun(media.media));
                self.push(action);
                continue;
            }
            if let Some(emoji) = self.emoji_instead(media) {
                messages += 1 + self.flush(album.take(), run);
                self.fall_back(Loss::StickerAsText);
                self.words(emoji);
                continue;
            }
            let Some((kind, source, loss)) = self.choose(media) else {
                messages += 1 + self.flush(album.take(), run);
                self.instead_of(media);
                continue;
            };
            if let Some(loss) = loss {
                self.fall_back(loss);
            }
            match &mut album {
                Some(open) if open.kind == kind && open.items.len() < self.room(kind) => {
                    open.items.push((media, source));
                }
                Some(_) | None => {
                    messages += self.flush(album.take(), run);
                    album = Some(Album { kind, items: vec![(media, source)] });
                }
            }
        }
        messages += self.flush(album.take(), run);
        if messages > 1 {
            self.lose(Loss::MediaSeparated);
        }
    }

    /// A sticker that the target has itself.
    fn own_sticker(&self, media: &Media) -> Option<Action> {
        if media.media != MediaKind::Sticker {
            return None;
        }
        let emoji = media.unknown.get("emoji").and_then(serde_json::Value::as_str);
        match self.input.capabilities.own_stickers {
            OwnStickers::ById if self.input.origin.own_stickers == OwnStickers::ById => {
                Some(Action::PlatformSticker(media.id.as_ref()?.as_exposed_str().to_owned()))
            }
            OwnStickers::Heart if emoji?.trim_end_matches('\u{FE0F}') == "❤" => {
                Some(Action::Heart)
            }
            OwnStickers::ById | OwnStickers::Heart | OwnStickers::None => None,
        }
    }

    /// What a sticker says as an emoji, where it says the same as one and the target cannot show it as a sticker.
    fn emoji_instead<'m>(&self, media: &'m Media) -> Option<&'m str> {
        let emoji =
            media.unknown.get("emoji")?.as_str().filter(|emoji| !emoji.trim().is_empty())?;
        let is_native = matches!(self.choose(media), Some((MediaKind::Sticker, ..)));
        (media.media == MediaKind::Sticker && !is_native).then_some(emoji)
    }

    /// How many of a kind fit into one message.
    fn room(&self, kind: MediaKind) -> usize {
        let rule = self.input.capabilities.media_rule(kind);
        rule.map_or(1, |rule| usize::from(rule.per_message_max).max(1))
    }

    /// As what a medium can be sent, from where, and what that loses.
    fn choose(&self, media: &Media) -> Option<(MediaKind, MediaSource, Option<Loss>)> {
        let file = (MediaKind::Document, Some(Loss::MediaAsDocument));
        let own = (media.media, None);
        let candidates = match media.media {
            MediaKind::Image | MediaKind::Video | MediaKind::Audio => [Some(own), None, Some(file)],
            MediaKind::Voice => {
                [Some(own), Some((MediaKind::Audio, Some(Loss::VoiceAsAudio))), Some(file)]
            }
            MediaKind::Sticker => {
                [Some(own), Some((MediaKind::Image, Some(Loss::StickerAsImage))), Some(file)]
            }
            MediaKind::Document => [Some(own), None, None],
        };
        candidates.into_iter().flatten().find_map(|(kind, loss)| {
            let rule = self.input.capabilities.media_rule(kind)?;
            if !takes(rule, media) {
                return None;
            }
            Some((kind, self.source(rule, media)?, loss))
        })
    }

    /// Where the target gets the bytes from.
    fn source(&self, rule: &MediaRule, media: &Media) -> Option<MediaSource> {
        let is_public = self.input.origin.media_access == MediaAccess::PublicUrl;
        match &media.url {
            Some(url) if is_public && rule.by_url => Some(MediaSource::Url(url.clone())),
            Some(_) | None if rule.by_upload && (media.url.is_some() || media.id.is_some()) => {
                Some(MediaSource::Origin(Box::new(media.clone())))
            }
            Some(_) | None => None,
        }
    }

    /// Sends an album: captions inside where the rule has them, else behind it. Answers how many messages of media.
    fn flush(&mut self, album: Option<Album<'a>>, run: &[Part]) -> usize {
        let Some(Album { kind, items }) = album else { return 0 };
        let limit = self.input.capabilities.media_rule(kind).and_then(|rule| rule.caption);
        let mut separate: Vec<String> = Vec::new();
        let mut out = Vec::with_capacity(items.len());
        for (media, source) in items {
            let words = media.caption.as_ref().map(Redacted::as_exposed_str).unwrap_or_default();
            let words = if words.trim().is_empty() { "" } else { words };
            let mut caption = None;
            if limit.is_none() && words.is_empty() {
                self.announce(&noun_of(run.iter().filter_map(as_media).map(|one| one.media)));
            } else if !words.is_empty() || !self.lead.is_empty() {
                let words = self.translated(words);
                let text = self.with_lead(words).into_owned();
                if limit.is_some_and(|limit| limit.allows(&text)) {
                    caption = Some(Redacted::new(text));
                } else {
                    separate.push(text);
                    self.lose(Loss::CaptionSeparated);
                }
            }
            let filename = media.filename.clone();
            out.push(OutMedia { media: kind, source, filename, caption, reusable: false });
        }
        self.push(Action::Media(out));
        for text in separate {
            self.say(&text);
        }
        1
    }

    /// A link, where anyone can follow it; else a line that says what is missing.
    fn instead_of(&mut self, media: &Media) {
        let caption = media.caption.as_ref().map(Redacted::as_exposed_str).unwrap_or_default();
        let caption = self.translated(caption).into_owned();
        let limit = self.input.capabilities.text;
        let url = media
            .url
            .as_ref()
            .map(Redacted::as_exposed_str)
            // A link that has to be cut leads nowhere.
            .filter(|url| !url.is_empty() && is_within(limit, url))
            .filter(|_| self.input.origin.media_access == MediaAccess::PublicUrl);
        let line = if let Some(url) = url {
            self.fall_back(Loss::MediaAsLink);
            let name = media.filename.as_ref().map(Redacted::as_exposed_str);
            let name = name.map(|name| shortened(name, NAME_GRAPHEMES, usize::MAX));
            let name = name.filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| bare_noun(media.media).to_owned());
            let name = self.plain(&name);
            let size = media.bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
            format!("📎 {name}{size}: {url}")
        } else {
            let noun = media_noun(media.media);
            let what = format!("{noun} that cannot be shown here");
            self.placeholder_text(Loss::MediaNotShown, &what)
        };
        let text = if caption.trim().is_empty() { line } else { format!("{line}\n{caption}") };
        let text = self.with_lead(Cow::Owned(text));
        self.say(&text);
        debug_assert!(self.plan.form != Form::Native, "a medium that is not sent is a fallback");
    }
}

/// What to say in place of media that `fit` planned and that turned out to be out of reach: one text within the
/// target's limit. A caption goes along as far as there is room.
pub fn not_shown(input: &FitInput<'_>, media: &[OutMedia]) -> Action {
    let mut draft = Draft::new(input);
    let kinds = media.iter().map(|one| match &one.source {
        MediaSource::Origin(origin) => origin.media,
        MediaSource::Id(_) | MediaSource::Url(_) => one.media,
    });
    let what = format!("{} that cannot be shown here", noun_of(kinds));
    let mut text = draft.placeholder_text(Loss::MediaNotShown, &what);
    for caption in media.iter().filter_map(|one| one.caption.as_ref()) {
        text.push('\n');
        text.push_str(caption.as_exposed_str());
    }
    let first = split(&text, input.capabilities.text).and_then(|pieces| pieces.first().copied());
    let text = Redacted::new(first.unwrap_or_default().to_owned());
    Action::Text { text, link_preview: false, quick_replies: Vec::new() }
}

const fn as_media(part: &Part) -> Option<&Media> {
    if let Part::Media(media) = part { Some(media) } else { None }
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

/// `photo`, `voice note`.
fn bare_noun(media: MediaKind) -> &'static str {
    media_noun(media).split_once(' ').map_or("file", |(_, noun)| noun)
}

/// `a photo`, `3 photos`, `2 files`.
fn noun_of(mut kinds: impl Iterator<Item = MediaKind>) -> Cow<'static, str> {
    let Some(first) = kinds.next() else { return Cow::Borrowed("a file") };
    let mut count = 1;
    let mut are_alike = true;
    for kind in kinds {
        count += 1;
        are_alike &= kind == first;
    }
    if count == 1 {
        return Cow::Borrowed(media_noun(first));
    }
    let plural = match first {
        _ if !are_alike => "files",
        MediaKind::Image => "photos",
        MediaKind::Video => "videos",
        MediaKind::Audio => "audio files",
        MediaKind::Voice => "voice notes",
        MediaKind::Document => "files",
        MediaKind::Sticker => "stickers",
    };
    Cow::Owned(format!("{count} {plural}"))
}

/// `1.4 MB`, in powers of ten as platforms show it.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = bytes / (unit / 10);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth if tenths < 100 => format!("{}.{tenth} {name}", tenths / 10),
        _ => format!("{} {name}", tenths / 10),
    }
}
