//! Media: shown as what they are, as the nearest thing that the target takes, as a link, or as a line that says so.

use super::draft::Draft;
use super::excerpt::{media_noun, shortened};
use super::split::{is_within, split};
use super::visible::is_visible;
use super::ways::media_ways;
use crate::{
    Action, FitInput, Form, Loss, MediaAccess, MediaRule, MediaSource, OutMedia, OwnStickers,
    TextLimit,
};
use interline_envelope::{Media, MediaKind, Part, Redacted};
use std::borrow::Cow;

/// How much of a file's name is shown, in grapheme clusters.
const NAME_GRAPHEMES: usize = 60;
/// And in bytes: some graphemes have dozens.
const NAME_BYTES: usize = 180;

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
        let emoji = media.unknown.get("emoji")?.as_str().filter(|emoji| is_visible(emoji))?;
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
        let input = self.input;
        let ways = media_ways(input.capabilities, input.origin, input.means.conversions, media);
        ways.into_iter().find_map(|way| {
            let rule = input.capabilities.media_rule(way.kind)?;
            Some((way.kind, self.source(rule, media)?, way.loss))
        })
    }

    /// Where the target gets the bytes from. An upload is better than an address: what is uploaded was looked at, and
    /// addresses die.
    fn source(&self, rule: &MediaRule, media: &Media) -> Option<MediaSource> {
        if rule.by_upload && (media.url.is_some() || media.id.is_some()) {
            return Some(MediaSource::Origin(Box::new(media.clone())));
        }
        if !rule.by_url {
            return None;
        }
        self.address(media).map(MediaSource::Url)
    }

    /// An address that anyone can follow: the origin's own where it is public, else a link of ours.
    fn address(&self, media: &Media) -> Option<Redacted<String>> {
        match self.input.origin.media_access {
            MediaAccess::PublicUrl => {
                media.url.clone().filter(|url| !url.as_exposed_str().is_empty())
            }
            MediaAccess::AccountToken => self.input.means.link(media),
        }
    }

    /// Sends an album: captions inside where the rule has them, else behind it. Answers how many messages of media.
    fn flush(&mut self, album: Option<Album<'a>>, run: &[Part]) -> usize {
        let Some(Album { kind, items }) = album else { return 0 };
        let limit = self.input.capabilities.media_rule(kind).and_then(|rule| rule.caption);
        let mut separate: Vec<String> = Vec::new();
        let mut out = Vec::with_capacity(items.len());
        for (media, source) in items {
            let words = self.caption_of(media);
            let mut caption = None;
            if limit.is_none() && words.is_empty() {
                self.announce(&noun_of(run.iter().filter_map(as_media).map(|one| one.media)));
            } else if !words.is_empty() || !self.lead.is_empty() {
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

    /// A medium's words in the target's dialect; empty if a reader would see nothing of them.
    fn caption_of<'m>(&mut self, media: &'m Media) -> Cow<'m, str> {
        let words = media.caption.as_ref().map(Redacted::as_exposed_str).unwrap_or_default();
        let words = self.translated(words);
        if is_visible(&words) { words } else { Cow::Borrowed("") }
    }

    /// A link, where anyone can follow it; else a line that says what is missing.
    fn instead_of(&mut self, media: &Media) {
        let caption = self.caption_of(media);
        let (line, _) = self.link_or_line(media);
        let text = if caption.is_empty() { line } else { format!("{line}\n{caption}") };
        let text = self.with_lead(Cow::Owned(text));
        self.say(&text);
        debug_assert!(self.plan.form != Form::Native, "a medium that is not sent is a fallback");
    }

    fn link_or_line(&mut self, media: &Media) -> (String, Loss) {
        let limit = self.input.capabilities.text;
        let linked = self.address(media).and_then(|url| {
            let name = media.filename.as_ref().map(Redacted::as_exposed_str);
            let name = name.map(|name| shortened(name, NAME_GRAPHEMES, NAME_BYTES));
            let name = name.filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| bare_noun(media.media).to_owned());
            let name = self.plain(&name);
            let size = media.bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
            let line = format!("📎 {name}{size}: {}", url.as_exposed_str());
            // A link that has to be cut leads nowhere.
            is_within(limit, &line).then_some(line)
        });
        match linked {
            Some(line) => {
                self.fall_back(Loss::MediaAsLink);
                (line, Loss::MediaAsLink)
            }
            None => {
                let what = format!("{} that cannot be shown here", media_noun(media.media));
                (self.placeholder_text(Loss::MediaNotShown, &what), Loss::MediaNotShown)
            }
        }
    }
}

/// What to say in place of a medium that `fit` planned and that turned out to be out of reach or too large: a link to
/// it, or a line that says so, with its caption; and what that gives up. Every text is within the target's limit.
///
/// `media`: the medium as it came, with what was learnt of it since. `caption`: the words that were to stand under it.
pub fn instead_of_media(
    input: &FitInput<'_>,
    media: &Media,
    caption: Option<&Redacted<String>>,
) -> (Vec<Action>, Loss) {
    let mut draft = Draft::new(input);
    let (mut text, loss) = draft.link_or_line(media);
    if let Some(caption) = caption {
        text.push('\n');
        text.push_str(caption.as_exposed_str());
    }
    (texts(&text, input.capabilities.text), loss)
}

/// A caption as messages of its own, for a medium that turned out to be shown as something without one.
pub fn caption_apart(input: &FitInput<'_>, caption: &Redacted<String>) -> Vec<Action> {
    texts(caption.as_exposed_str(), input.capabilities.text)
}

fn texts(text: &str, limit: TextLimit) -> Vec<Action> {
    let pieces = split(text, limit).unwrap_or_default();
    let seen = pieces.iter().filter(|piece| is_visible(piece));
    let action = |piece: &&str| Action::Text {
        text: Redacted::new((*piece).to_owned()),
        link_preview: piece.contains("https://") || piece.contains("http://"),
        quick_replies: Vec::new(),
    };
    seen.map(action).collect()
}

const fn as_media(part: &Part) -> Option<&Media> {
    if let Part::Media(media) = part { Some(media) } else { None }
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
