//! The beginning of a message, to quote it where it cannot be referred to.

use super::visible::{is_visible, turns};
use interline_envelope::{ChoiceOf, Envelope, MediaKind, Part, Redacted, ShareOf};
use unicode_segmentation::UnicodeSegmentation;

/// The first `graphemes_max` grapheme clusters of what an envelope says, on one line, with `…` where it goes on; a
/// word such as `a photo` where it has no words; nothing if it has no parts.
pub fn excerpt(envelope: &Envelope, graphemes_max: usize) -> Option<Redacted<String>> {
    let words = envelope.parts.iter().find_map(words_of);
    let text = match words {
        Some(words) => shortened(words, graphemes_max, usize::MAX),
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
    words.map(Redacted::as_exposed_str).filter(|words| is_visible(words))
}

/// What to call a part that has no words.
pub(super) fn noun_of(part: &Part) -> &'static str {
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
pub(super) const fn media_noun(media: MediaKind) -> &'static str {
    match media {
        MediaKind::Image => "a photo",
        MediaKind::Video => "a video",
        MediaKind::Audio => "an audio file",
        MediaKind::Voice => "a voice note",
        MediaKind::Document => "a file",
        MediaKind::Sticker => "a sticker",
    }
}

/// The first `graphemes_max` clusters on one line, in at most `bytes_max`, with `…` where the text goes on.
pub(super) fn shortened(text: &str, graphemes_max: usize, bytes_max: usize) -> String {
    // A cluster of a thousand marks is no excerpt: 32 bytes a cluster take every emoji, families too.
    let bytes_max = graphemes_max.saturating_mul(32).min(bytes_max);
    let mut short = String::with_capacity(text.len().min(bytes_max) + 4);
    let mut taken = 0;
    for grapheme in text.trim().graphemes(true) {
        if taken == graphemes_max || short.len() + grapheme.len() > bytes_max {
            short.truncate(short.trim_end().len());
            short.push('…');
            return short;
        }
        if grapheme.chars().all(turns) {
            continue;
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

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::{EnvelopeId, Kind, Media, Platform};

    fn excerpt_of(parts: Vec<Part>) -> Option<String> {
        let id = EnvelopeId::from_bytes([0; 16]);
        let platform = Platform::new("whatsapp").unwrap();
        let mut envelope = Envelope::new(id, Kind::Message, platform, "1", "2", 0);
        envelope.parts = parts;
        excerpt(&envelope, 10).map(Redacted::into_exposed)
    }

    #[test]
    fn an_excerpt_is_the_beginning_on_one_line() {
        let of = |text: &str| excerpt_of(vec![Part::text(text)]);
        assert_eq!(of("Hello").as_deref(), Some("Hello"));
        assert_eq!(of(" one\n\ntwo ").as_deref(), Some("one two"));
        assert_eq!(of("0123456789").as_deref(), Some("0123456789"));
        assert_eq!(of("012345678 and so on").as_deref(), Some("012345678…"));
        let family = "👨‍👩‍👧‍👦".repeat(11);
        assert_eq!(of(&family), Some(format!("{}…", "👨‍👩‍👧‍👦".repeat(10))));
    }

    #[test]
    fn an_excerpt_does_not_turn_the_words_behind_it() {
        let of = |text: &str| excerpt_of(vec![Part::text(text)]);
        assert_eq!(of("\u{202E}abc\u{2067}def").as_deref(), Some("abcdef"));
        // A text of nothing that shows has no words.
        assert_eq!(of("\u{200B}\u{202E}").as_deref(), Some("a message"));
    }

    #[test]
    fn a_cluster_of_a_thousand_marks_does_not_fill_an_excerpt() {
        let zalgo = format!("e{}", "\u{301}".repeat(1000));
        assert_eq!(excerpt_of(vec![Part::text(zalgo)]).as_deref(), Some("…"));
    }

    #[test]
    fn what_has_no_words_has_a_word_for_it() {
        let mut photo = Media::new(MediaKind::Image);
        assert_eq!(excerpt_of(vec![Part::Media(photo.clone())]).as_deref(), Some("a photo"));
        photo.caption = Some("The sea".into());
        assert_eq!(excerpt_of(vec![Part::Media(photo)]).as_deref(), Some("The sea"));
        assert_eq!(excerpt_of(vec![Part::unsupported("poll", "x")]).as_deref(), Some("a message"));
        assert_eq!(excerpt_of(Vec::new()), None);
    }
}
