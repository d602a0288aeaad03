//! What an echo of a request looks like, to tell an account's own sends from those that a person made by hand.
//!
//! Instagram's echoes bring no marker back, so a send of unknown fate is recognised by its content. Both sides are
//! reduced to what a platform leaves as it is: words without their white space, kinds of media without their addresses.
//! Pure. *Invariant:* what is no message of its own (a receipt, a reaction) looks like nothing.

use crate::Action;
use interline_envelope::{Envelope, Kind, MediaKind, Part, Redacted};

/// What an echo of `action` will look like; nothing where it makes none.
pub fn likeness_of(action: &Action) -> Option<Redacted<String>> {
    let looks = match action {
        Action::Text { text, .. } => words(text.as_exposed_str()),
        Action::Media(media) => kinds(media.iter().map(|one| one.media)),
        Action::Heart => kinds([MediaKind::Sticker]),
        Action::Location(_)
        | Action::Contacts(_)
        | Action::PlatformSticker(_)
        | Action::SharePost(_)
        | Action::Reaction { .. }
        | Action::MarkRead { .. }
        | Action::Typing { .. }
        | Action::Interactive(_)
        | Action::Template(_)
        | Action::Upload(_)
        | Action::LocateMedia(_)
        | Action::ThreadControl(_) => return None,
    };
    Some(Redacted::new(looks))
}

/// What an echo looks like; nothing for what is no message.
pub fn likeness_of_echo(echo: &Envelope) -> Option<Redacted<String>> {
    if echo.kind != Kind::Message {
        return None;
    }
    let media: Vec<MediaKind> = echo
        .parts
        .iter()
        .filter_map(|part| if let Part::Media(media) = part { Some(media.media) } else { None })
        .collect();
    if !media.is_empty() {
        return Some(Redacted::new(kinds(media)));
    }
    // A link brings its preview along, behind the words.
    echo.parts.iter().find_map(|part| match part {
        Part::Text { text, .. } => Some(Redacted::new(words(text.as_exposed_str()))),
        Part::Media(_)
        | Part::Location(_)
        | Part::Contacts { .. }
        | Part::Choice(_)
        | Part::Share(_)
        | Part::Order(_)
        | Part::Sealed { .. }
        | Part::Unsupported { .. }
        | Part::Other(_) => None,
    })
}

fn words(text: &str) -> String {
    let mut looks = "text:".to_owned();
    looks.extend(text.chars().filter(|c| !c.is_whitespace()));
    looks
}

fn kinds(media: impl IntoIterator<Item = MediaKind>) -> String {
    let mut looks = "media:".to_owned();
    for kind in media {
        looks.push_str(match kind {
            MediaKind::Image => "image,",
            MediaKind::Video => "video,",
            MediaKind::Audio | MediaKind::Voice => "audio,",
            MediaKind::Document => "file,",
            MediaKind::Sticker => "sticker,",
        });
    }
    looks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MediaSource, OutMedia};
    use interline_envelope::{EnvelopeId, Media, Platform};

    fn echo(kind: Kind, parts: Vec<Part>) -> Envelope {
        let platform = Platform::new("instagram").unwrap();
        let id = EnvelopeId::from_bytes([0; 16]);
        let envelope = Envelope::new(id, kind, platform, "1", "2", 0);
        Envelope { echo: true, parts, ..envelope }
    }

    fn text(text: &str) -> Action {
        Action::Text { text: text.into(), link_preview: false, quick_replies: Vec::new() }
    }

    fn media(kinds: &[MediaKind]) -> Action {
        let one = |kind: &MediaKind| OutMedia {
            media: *kind,
            source: MediaSource::Id("1".into()),
            filename: None,
            caption: None,
            reusable: false,
        };
        Action::Media(kinds.iter().map(one).collect())
    }

    #[test]
    fn an_echo_looks_like_the_request_whatever_the_platform_did_to_its_white_space() {
        let sent = likeness_of(&text("See\r\nyou  there \n"));
        let echo = likeness_of_echo(&echo(Kind::Message, vec![Part::text("See you there")]));
        assert!(sent.is_some() && sent == echo);
    }

    #[test]
    fn other_words_look_otherwise() {
        let said = |words: &str| likeness_of(&text(words));
        assert_ne!(said("yes"), said("Yes"));
        assert_ne!(said("image,"), likeness_of(&media(&[MediaKind::Image])));
    }

    #[test]
    fn media_look_like_their_kinds_in_order() {
        let parts = [MediaKind::Image, MediaKind::Image].map(|kind| Part::Media(Media::new(kind)));
        let album = likeness_of_echo(&echo(Kind::Message, parts.to_vec()));
        assert_eq!(album, likeness_of(&media(&[MediaKind::Image, MediaKind::Image])));
        assert_ne!(album, likeness_of(&media(&[MediaKind::Image])));
        let sound = likeness_of(&media(&[MediaKind::Voice]));
        assert_eq!(
            sound,
            likeness_of(&media(&[MediaKind::Audio])),
            "no platform echoes a voice note as such"
        );
    }

    #[test]
    fn what_is_no_message_looks_like_nothing() {
        assert_eq!(likeness_of(&Action::MarkRead { message: None }), None);
        let reaction = Action::Reaction { message: "m".into(), emoji: Some("❤".into()) };
        assert_eq!(likeness_of(&reaction), None);
        assert_eq!(likeness_of_echo(&echo(Kind::Reaction, Vec::new())), None);
    }
}
