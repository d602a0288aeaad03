//! The beginning of a message, to quote it where it cannot be referred to.

use interline_envelope::{ChoiceOf, Envelope, MediaKind, Part, Redacted, ShareOf};
use unicode_segmentation::UnicodeSegmentation;

/// The first `graphemes_max` grapheme clusters of what an envelope says, on one line, with `…` where it goes on; a
/// word such as `a photo` where it has no words; nothing if it has no parts.
pub fn excerpt(envelope: &Envelope, graphemes_max: usize) -> Option<Redacted<String>> {
    let words = envelope.parts.iter().find_map(words_of);
    let text = match words {
        Some(words) => shortened(words, graphemes_max),
        None => noun_of(envelope.parts.first()?).to_owned(),
    };
    Some(Redacted::new(text))
}

/// The words that a part has, if any.
fn words_of(part: &Part) -> Option<&str> {
    let words = match part {
        Part::Text { text, .. } => Some(text),
        Part::Media(media) => media.caption.as_ref(),
        Part::Choice(choice) => Some(&choice.title),
        Part::Share(share) => share.title.as_ref().or(share.text.as_ref()),
        Part::Location(place) => place.name.as_ref().or(place.address.as_ref()),
        Part::Order(order) => order.text.as_ref(),
        Part::Contacts { .. } | Part::Sealed { .. } | Part::Unsupported { .. } | Part::Other(_) => {
            None
        }
    };
    words.map(Redacted::as_exposed_str).filter(|words| !words.trim().is_empty())
}

/// What to call a part that has no words.
pub(crate) fn noun_of(part: &Part) -> &'static str {
    match part {
        Part::Text { .. } => "a message",
        Part::Media(media) => media_noun(media.media),
        Part::Location(_) => "a location",
        Part::Contacts { .. } => "a contact",
        Part::Choice(choice) => match choice.of {
            ChoiceOf::Flow => "a filled-in form",
            ChoiceOf::Button | ChoiceOf::List | ChoiceOf::QuickReply | ChoiceOf::Postback => {
                "a choice"
            }
        },
        Part::Share(share) => match share.of {
            ShareOf::StoryMention => "a story mention",
            ShareOf::Reel => "a reel",
            ShareOf::Post => "a post",
            ShareOf::Link => "a link",
            ShareOf::Template => "a card",
        },
        Part::Order(_) => "an order",
        Part::Sealed { .. } => "a sealed message",
        Part::Unsupported { .. } | Part::Other(_) => "a message",
    }
}

/// What to call a medium.
pub(crate) const fn media_noun(media: MediaKind) -> &'static str {
    match media {
        MediaKind::Image => "a photo",
        MediaKind::Video => "a video",
        MediaKind::Audio => "an audio file",
        MediaKind::Voice => "a voice note",
        MediaKind::Document => "a file",
        MediaKind::Sticker => "a sticker",
    }
}

/// The first `graphemes_max` clusters on one line, with `…` where the text goes on.
pub(crate) fn shortened(text: &str, graphemes_max: usize) -> String {
    // A cluster of a thousand marks is no excerpt: 16 bytes a cluster take every emoji but the longest families.
    let bytes_max = graphemes_max.saturating_mul(16);
    let mut short = String::with_capacity(text.len().min(bytes_max) + 4);
    let mut taken = 0;
    for grapheme in text.trim().graphemes(true) {
        if taken == graphemes_max || short.len() + grapheme.len() > bytes_max {
            short.truncate(short.trim_end().len());
            short.push('…');
            return short;
        }
        if grapheme.chars().all(|c| c.is_whitespace() || c.is_control()) {
            if short.ends_with(' ') {
                continue;
            }
            short.push(' ');
        } else {
            short.push_str(grapheme);
        }
        taken += 1;
    }
    short
}
