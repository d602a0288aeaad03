//! A phone's screen in words, for people and for programs.

use super::cast::Member;
use interline_sandbox::{Content, Media, MediaKind, Seen};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

/// How much of a long text is shown at its beginning and at its end, in characters.
const BEGINNING_CHARS: usize = 50;
const END_CHARS: usize = 24;

/// Colours for a terminal, or none.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether escape codes are written.
    pub coloured: bool,
}

impl Style {
    /// For titles.
    pub fn strong(self, text: &str) -> String {
        self.painted("1", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.painted("2", text)
    }

    /// For what is as it should be.
    pub fn good(self, text: &str) -> String {
        self.painted("32", text)
    }

    /// For what is not.
    pub fn bad(self, text: &str) -> String {
        self.painted("31", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// `Alice's phone, WhatsApp`
pub fn title(member: &Member) -> String {
    format!("{}'s phone, {}", member.name, member.platform())
}

/// One line for each message on a screen, without its number: `◂ Bob: Hello   (answers 1)`.
pub fn lines(view: &[Seen]) -> Vec<String> {
    view.iter().map(|seen| line(seen, view)).collect()
}

fn line(seen: &Seen, view: &[Seen]) -> String {
    let mut notes = Vec::new();
    if let Some(id) = &seen.quotes {
        match place(view, id) {
            Some(number) => notes.push(format!("answers {number}")),
            None => notes.push("answers a message that is not on this screen".to_owned()),
        }
    }
    if let Some(emoji) = &seen.my_reaction {
        notes.push(format!("{emoji} by the phone's owner"));
    }
    if let Some(emoji) = &seen.reaction {
        notes.push(format!("{emoji} by the others"));
    }
    if seen.edited {
        notes.push("edited".to_owned());
    }
    if seen.unsent {
        notes.push("taken back".to_owned());
    }
    let sign = if seen.mine { '▸' } else { '◂' };
    let notes = if notes.is_empty() { String::new() } else { format!("   ({})", notes.join("; ")) };
    format!("{sign} {}{notes}", words(&seen.content))
}

/// The number of a message on the screen, from 1.
fn place(view: &[Seen], native_id: &str) -> Option<usize> {
    view.iter().position(|seen| seen.native_id == native_id).map(|index| index + 1)
}

/// What a message shows, on one line.
pub fn words(content: &Content) -> String {
    match content {
        Content::Text(text) => shortened(text),
        Content::Media(media) => file(media),
        Content::Album(files) => files.iter().map(file).collect::<Vec<_>>().join(" "),
        Content::Location(place) => {
            let names: Vec<&str> =
                [&place.name, &place.address].into_iter().flatten().map(String::as_str).collect();
            format!("[place {}, {}] {}", place.latitude, place.longitude, names.join(", "))
                .trim_end()
                .to_owned()
        }
        Content::Contacts(cards) => format!("[{} contact(s)]", cards.len()),
        Content::Choices { text, choices } => {
            let titles: Vec<&str> = choices.iter().map(|choice| choice.title.as_str()).collect();
            format!("{}   [{}]", shortened(text), titles.join("] ["))
        }
        Content::Heart => "❤".to_owned(),
        Content::PlatformSticker(_) => "[sticker]".to_owned(),
        Content::Template(_) => "[card]".to_owned(),
        Content::Unsupported(native_type) => format!("[{native_type}]"),
    }
}

fn file(media: &Media) -> String {
    let caption = media
        .caption
        .as_deref()
        .map_or_else(String::new, |caption| format!(" {}", shortened(caption)));
    format!("[{}, {}, {} bytes]{caption}", noun(media.kind), media.mime, media.bytes.len())
}

const fn noun(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "photo",
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Voice => "voice note",
        MediaKind::Document => "file",
        MediaKind::Sticker => "sticker",
    }
}

/// A text on one line; of a long one the beginning and the end, and how long it is.
pub(super) fn shortened(text: &str) -> String {
    let line = text.replace('\n', " ⏎ ");
    let count = line.chars().count();
    if count <= BEGINNING_CHARS + 2 * END_CHARS {
        return line;
    }
    let beginning = bytes_of(line.graphemes(true), BEGINNING_CHARS);
    let beginning = line.get(..beginning).unwrap_or_default();
    let end = bytes_of(line.graphemes(true).rev(), END_CHARS);
    let end = line.get(line.len() - end..).unwrap_or_default();
    // At a word; but an endless word is shown in part.
    let most = |part: &&str, of: &str| part.chars().count() * 4 > of.chars().count();
    let head =
        beginning.rsplit_once(' ').map(|(head, _)| head).filter(|head| most(head, beginning));
    let tail = end.split_once(' ').map(|(_, tail)| tail).filter(|tail| most(tail, end));
    let (beginning, end) = (head.unwrap_or(beginning), tail.unwrap_or(end));
    format!("{beginning} … {end}   ({} bytes)", text.len())
}

/// How many bytes the first signs have that are `chars` characters together, so that none is shown in half.
fn bytes_of<'t>(signs: impl Iterator<Item = &'t str>, mut chars: usize) -> usize {
    let fits = |sign: &&str| {
        let left = chars.checked_sub(sign.chars().count());
        chars = left.unwrap_or(chars);
        left.is_some()
    };
    signs.take_while(fits).map(str::len).sum()
}

/// A screen as JSON: an array with one object a message. Texts are whole; files are described, not included.
pub fn json(view: &[Seen]) -> Value {
    view.iter().enumerate().map(|(index, seen)| message(index + 1, seen, view)).collect()
}

/// One message of a screen as JSON.
pub fn message(number: usize, seen: &Seen, view: &[Seen]) -> Value {
    json!({
        "number": number,
        "by_owner": seen.mine,
        "text": seen.text(),
        "files": files(&seen.content),
        "shows": words(&seen.content),
        "answers": seen.quotes.as_deref().map(|id| place(view, id)),
        "reaction_of_owner": seen.my_reaction,
        "reaction_of_others": seen.reaction,
        "edited": seen.edited,
        "taken_back": seen.unsent,
        "at_ms": seen.at_ms,
    })
}

fn files(content: &Content) -> Vec<Value> {
    let files = match content {
        Content::Media(media) => std::slice::from_ref(media),
        Content::Album(files) => files.as_slice(),
        Content::Text(_)
        | Content::Location(_)
        | Content::Contacts(_)
        | Content::Choices { .. }
        | Content::Heart
        | Content::PlatformSticker(_)
        | Content::Template(_)
        | Content::Unsupported(_) => &[],
    };
    let described = |media: &Media| {
        json!({
            "kind": noun(media.kind),
            "mime": media.mime,
            "bytes": media.bytes.len(),
            "sha256": media.sha256,
        })
    };
    files.iter().map(described).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::sandbox) fn seen(native_id: &str, mine: bool, content: Content) -> Seen {
        Seen {
            order: 1,
            native_id: native_id.to_owned(),
            account: "1".to_owned(),
            mine,
            content,
            quotes: None,
            reaction: None,
            my_reaction: None,
            read: false,
            edited: false,
            unsent: false,
            marker: None,
            at_ms: 0,
        }
    }

    #[test]
    fn a_screen_says_what_answers_what_and_what_was_done_to_it() {
        let mut one = seen("a", true, Content::Text("Hello".to_owned()));
        one.my_reaction = Some("❤".to_owned());
        one.edited = true;
        let mut two = seen("b", false, Content::Text("Bob: line\nline".to_owned()));
        two.quotes = Some("a".to_owned());
        let mut three = seen("c", false, Content::Heart);
        three.quotes = Some("elsewhere".to_owned());
        let view = [one, two, three];
        assert_eq!(
            lines(&view),
            [
                "▸ Hello   (❤ by the phone's owner; edited)",
                "◂ Bob: line ⏎ line   (answers 1)",
                "◂ ❤   (answers a message that is not on this screen)",
            ]
        );
        let json = json(&view);
        assert_eq!((&json[1]["answers"], &json[1]["text"]), (&json!(1), &json!("Bob: line\nline")));
        assert_eq!((&json[0]["answers"], &json[0]["by_owner"]), (&Value::Null, &json!(true)));
    }

    #[test]
    fn a_long_text_is_shown_in_part_with_its_size_and_cut_at_words() {
        let text = "👨‍👩‍👧‍👦 ".repeat(100);
        let shown = shortened(text.trim_end());
        assert!(shown.ends_with("(2599 bytes)"), "{shown}");
        assert!(shown.split(' ').take(3).all(|word| word == "👨‍👩‍👧‍👦"), "{shown}");
        assert_eq!(shortened("short"), "short");
        let endless = shortened(&format!("Alice: {}", "x".repeat(500)));
        assert!(endless.starts_with("Alice: xxx"), "{endless}");
    }

    #[test]
    fn no_sign_that_is_made_of_several_is_shown_in_half() {
        let family = "👨‍👩‍👧‍👦";
        let shown = shortened(&format!("A{}", family.repeat(100)));
        let expected = format!("A{} … {}   (2501 bytes)", family.repeat(7), family.repeat(3));
        assert_eq!(shown, expected);
    }

    #[test]
    fn colours_are_written_only_if_they_are_wanted() {
        assert_eq!(Style { coloured: false }.good("✓"), "✓");
        assert_eq!(Style { coloured: true }.good("✓"), "\u{1b}[32m✓\u{1b}[0m");
    }
}
