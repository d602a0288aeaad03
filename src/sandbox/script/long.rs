//! Long texts: how a script writes them in a few words, and whether the parts in which they arrive are whole.

use super::numbered;
use super::read::{Reader, some_words};
use crate::sandbox::demo::INSTAGRAM_TEXT_BYTES_MAX;
use interline_sandbox::Kind;
use unicode_segmentation::GraphemeCursor;

/// What is repeated stands here.
const PLACE: &str = "{repeat}";
/// The most repetitions.
const REPETITIONS_MAX: u64 = 10_000;
/// The longest text that repetitions make, in bytes: an envelope has room for it.
const TEXT_BYTES_MAX: usize = 128 * 1024;
/// The longest texts that WhatsApp and Messenger take, in characters.
const WHATSAPP_TEXT_CHARS_MAX: usize = 4096;
const MESSENGER_TEXT_CHARS_MAX: usize = 2000;

/// The text of a key, with what `repeat` says in its place, as many times as `often` says.
pub(super) fn whole_words(table: &mut Reader<'_, '_>, key: &'static str) -> Option<String> {
    let text = some_words(table, key);
    let repeated = some_words(table, "repeat");
    let times = table.number("often", 1, 1..=REPETITIONS_MAX);
    let text = text?;
    if !table.has("repeat") {
        if table.has("often") {
            table.contradiction("often", "nothing is repeated; write it, as in repeat = \"Ha\"");
        }
        if text.contains(PLACE) {
            let example = "repeat = \"Ha\", often = 100";
            let message =
                format!("{PLACE} stands for what `repeat` says; write that, as in {example}");
            table.contradiction(key, message);
        }
        return Some(text);
    }
    if !table.has("often") {
        table.contradiction("repeat", "how often? write often = 100");
    }
    if text.matches(PLACE).count() != 1 {
        let message = format!("`{key}` names its place once; write {key} = \"Ho {PLACE}\"");
        table.contradiction("repeat", message);
        return None;
    }
    let repeated = repeated?;
    let mut run = String::new();
    for number in 1..=times {
        run.push_str(&numbered(&repeated, number));
        if text.len() + run.len() > TEXT_BYTES_MAX {
            let message =
                format!("the text has more than {TEXT_BYTES_MAX} bytes; write a lower number");
            table.contradiction("often", message);
            return None;
        }
    }
    Some(text.replacen(PLACE, &run, 1))
}

/// Where in `whole` a part ends that goes on at `at`, if it does. White space may be lost between two parts.
pub(super) fn end_of(whole: &str, at: usize, part: &str) -> Option<usize> {
    let rest = whole.get(at..)?;
    let (part, lost) =
        if at == 0 { (part, 0) } else { (part.trim_start(), rest.len() - rest.trim_start().len()) };
    let goes_on = !part.is_empty() && rest.get(lost..)?.starts_with(part);
    goes_on.then_some(at + lost + part.len())
}

/// What is wrong with a part that ends there, if anything is.
pub(super) fn wrong_with(kind: Kind, whole: &str, end: usize, part: &str) -> Option<&'static str> {
    let fits = match kind {
        Kind::WhatsApp => part.chars().count() <= WHATSAPP_TEXT_CHARS_MAX,
        Kind::Messenger => part.chars().count() <= MESSENGER_TEXT_CHARS_MAX,
        Kind::Instagram => part.len() <= INSTAGRAM_TEXT_BYTES_MAX,
    };
    if !fits {
        return Some("is longer than the platform takes");
    }
    let is_border = GraphemeCursor::new(end, whole.len(), true).is_boundary(whole, 0);
    (is_border != Ok(true)).then_some("ends inside a character")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_goes_on_where_the_last_one_ended_but_for_white_space() {
        assert_eq!(end_of("one two", 0, "one"), Some(3));
        assert_eq!(end_of("one two", 3, "two"), Some(7));
        assert_eq!(end_of("one two", 3, " two"), Some(7));
        assert_eq!(end_of("one two", 3, "wo"), None);
        assert_eq!(end_of("one two", 3, ""), None);
        assert_eq!(end_of("one two", 7, "more"), None);
    }

    #[test]
    fn a_part_that_ends_inside_a_family_or_is_too_long_is_wrong() {
        let family = "👨‍👩‍👧‍👦";
        let whole = family.repeat(100);
        let wrong = |kind, part: &str| wrong_with(kind, &whole, part.len(), part);
        let ends = |bytes: usize| whole.get(..bytes).unwrap();
        assert_eq!(wrong(Kind::Instagram, ends(40 * family.len())), None);
        assert_eq!(
            wrong(Kind::Instagram, ends(39 * family.len() + 4)),
            Some("ends inside a character")
        );
        let long = Some("is longer than the platform takes");
        assert_eq!(wrong(Kind::Instagram, ends(41 * family.len())), long);
        assert_eq!(wrong(Kind::Messenger, &whole), None);
        assert_eq!(wrong(Kind::Messenger, &"x".repeat(2001)), long);
        assert_eq!(wrong(Kind::WhatsApp, &"x".repeat(4097)), long);
    }
}
