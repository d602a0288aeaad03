//! Formatting marks between platforms that render them and those that show them as they stand.
//!
//! WhatsApp's `*bold*`, `_italic_`, `~strike~`, `` `code` `` and ```` ```code``` ```` lose their marks on a plain
//! target and keep their words; only pairs that stand at the borders of words are marks. The other way round, marks
//! that were meant literally are kept from becoming formatting by a zero-width space (U+200B) behind each that could
//! open a pair: readers see what was written, and links stay whole. A second time changes nothing. Marks of quotes and
//! lists (`> `, `- `, `1. `) stay as they are both ways: they read as what they mean, rendered or not.

use crate::Formatting;
use std::borrow::Cow;

const GUARD: char = '\u{200B}';
const FENCE: &str = "```";

/// What a translation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Removed,
    Guarded,
}

/// A text in the target's dialect, and what that changed.
pub(super) fn translate(text: &str, from: Formatting, to: Formatting) -> (Cow<'_, str>, Change) {
    if !text.bytes().any(|b| matches!(b, b'*' | b'_' | b'~' | b'`')) {
        return (Cow::Borrowed(text), Change::None);
    }
    let (changed, change) = match (from, to) {
        (Formatting::WhatsApp, Formatting::WhatsApp) | (Formatting::Plain, Formatting::Plain) => {
            (None, Change::None)
        }
        (Formatting::WhatsApp, Formatting::Plain) => (without_marks(text), Change::Removed),
        (Formatting::Plain, Formatting::WhatsApp) => (with_guards(text), Change::Guarded),
    };
    changed.map_or((Cow::Borrowed(text), Change::None), |changed| (Cow::Owned(changed), change))
}

/// A mark with what stands around it.
#[derive(Clone, Copy)]
struct Mark {
    /// Byte offset.
    at: usize,
    /// Index among [`KINDS`].
    kind: usize,
    opens: bool,
    closes: bool,
    line: usize,
}

const KINDS: [char; 4] = ['*', '_', '~', '`'];
/// The index of the backtick.
const TICK: usize = 3;

/// All single marks of a text, in order. Marks within links neither open nor close, but at a link's very end.
fn marks(text: &str) -> Vec<Mark> {
    let mut found = Vec::new();
    let mut before: Option<char> = None;
    let mut line = 0;
    let mut in_link = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map(|(_, c)| *c);
        if c == '\n' {
            line += 1;
        }
        if c.is_whitespace() {
            in_link = false;
        } else if c == ':' && text.get(at..).is_some_and(|rest| rest.starts_with("://")) {
            in_link = true;
        }
        if let Some(kind) = KINDS.iter().position(|kind| *kind == c) {
            let opens = !in_link
                && before.is_none_or(is_border)
                && after.is_some_and(|next| !is_gap(next) && next != c);
            let closes = before.is_some_and(|c| !is_gap(c))
                && after.is_none_or(is_border)
                && (!in_link || ends_link(text.get(at..).unwrap_or_default()));
            found.push(Mark { at, kind, opens, closes, line });
        }
        before = Some(c);
    }
    found
}

/// True for what may stand on the outer side of a mark: `¯\\_(ツ)_/¯` and `a/_b_/c` are no formatting.
fn is_border(c: char) -> bool {
    !c.is_alphanumeric() && !matches!(c, '/' | '\\' | '@' | '#' | '&' | '=' | '%' | '+' | '$')
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || c == GUARD
}

/// True if only punctuation follows in this word. Guards do not count: a text that has them already reads the same.
fn ends_link(rest: &str) -> bool {
    rest.chars()
        .take_while(|c| !c.is_whitespace())
        .filter(|c| *c != GUARD)
        .take(8)
        .all(|c| !c.is_alphanumeric() && c != '/')
}

/// The text without the marks of well-formed pairs; nothing if there are none.
fn without_marks(text: &str) -> Option<String> {
    let mut dropped: Vec<(usize, usize)> = Vec::new();
    let mut code = fenced(text, &mut dropped).into_iter().peekable();
    let all = marks(text);
    let tick_closers = tick_closers(&all);
    let mut open: [Option<Mark>; KINDS.len()] = [None; KINDS.len()];
    let mut skip_to = 0;
    for (mark, tick_closer) in all.iter().zip(tick_closers) {
        while let Some((_, end)) = code.next_if(|(start, _)| *start <= mark.at) {
            skip_to = skip_to.max(end);
        }
        if mark.at < skip_to {
            continue;
        }
        if let Some(closer) = tick_closer.filter(|_| mark.opens) {
            dropped.extend([(mark.at, 1), (closer, 1)]);
            // Inside code, marks are literal.
            skip_to = closer + 1;
            continue;
        }
        let same_line = open.get(mark.kind).copied().flatten().filter(|o| o.line == mark.line);
        match same_line {
            Some(opener) if mark.closes && mark.at > opener.at + 1 => {
                dropped.extend([(opener.at, 1), (mark.at, 1)]);
                // What opened inside and did not close there stays as it is.
                for slot in &mut open {
                    *slot = slot.filter(|inner| inner.at < opener.at);
                }
            }
            None if mark.opens && mark.kind != TICK => {
                if let Some(slot) = open.get_mut(mark.kind) {
                    *slot = Some(*mark);
                }
            }
            Some(_) | None => {}
        }
    }
    if dropped.is_empty() {
        return None;
    }
    dropped.sort_unstable();
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for (at, bytes) in dropped {
        plain.push_str(text.get(from..at).unwrap_or_default());
        from = at + bytes;
    }
    plain.push_str(text.get(from..).unwrap_or_default());
    Some(plain)
}

/// For each backtick, the next one on its line that could close it; nothing for other marks.
fn tick_closers(all: &[Mark]) -> Vec<Option<usize>> {
    let mut next: Option<Mark> = None;
    let mut closers: Vec<Option<usize>> = all
        .iter()
        .rev()
        .map(|mark| {
            if mark.kind != TICK {
                return None;
            }
            let closer = next.filter(|next| next.line == mark.line).map(|next| next.at);
            if mark.closes {
                next = Some(*mark);
            }
            closer
        })
        .collect();
    closers.reverse();
    closers
}

/// The ranges of fenced code, fences included; the fences go to `dropped`. They may span lines.
fn fenced(text: &str, dropped: &mut Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut fences = text.match_indices(FENCE).map(|(at, _)| at);
    while let Some(start) = fences.next() {
        let Some(end) = fences.next() else { break };
        let inside = text.get(start + FENCE.len()..end).unwrap_or_default();
        if !inside.trim().is_empty() {
            dropped.extend([(start, FENCE.len()), (end, FENCE.len())]);
            ranges.push((start, end + FENCE.len()));
        }
    }
    ranges
}

/// The text with a guard behind every mark that could open a pair; nothing if there is none.
fn with_guards(text: &str) -> Option<String> {
    let mut guards: Vec<usize> = Vec::new();
    let all = marks(text);
    // Backwards, so that for each mark it is known whether its line still holds one that could close it.
    let mut closer_line: [Option<usize>; KINDS.len()] = [None; KINDS.len()];
    for mark in all.iter().rev() {
        let Some(closer) = closer_line.get_mut(mark.kind) else { continue };
        if mark.opens && *closer == Some(mark.line) {
            guards.push(mark.at + 1);
        }
        if mark.closes {
            *closer = Some(mark.line);
        }
    }
    guards.extend(fences_to_break(text));
    if guards.is_empty() {
        return None;
    }
    guards.sort_unstable();
    guards.dedup();
    let mut guarded = String::with_capacity(text.len() + guards.len() * GUARD.len_utf8());
    let mut from = 0;
    for at in guards {
        guarded.push_str(text.get(from..at).unwrap_or_default());
        guarded.push(GUARD);
        from = at;
    }
    guarded.push_str(text.get(from..).unwrap_or_default());
    Some(guarded)
}

/// Where guards go into runs of three and more backticks that another such run could close: behind each backtick.
fn fences_to_break(text: &str) -> Vec<usize> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text.match_indices('`') {
        match runs.last_mut() {
            Some((_, end)) if *end == at => *end = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs.retain(|(start, end)| end - start >= FENCE.len());
    runs.pop();
    runs.into_iter().flat_map(|(start, end)| start + 1..=end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> String {
        translate(text, Formatting::WhatsApp, Formatting::Plain).0.into_owned()
    }

    fn guarded(text: &str) -> String {
        translate(text, Formatting::Plain, Formatting::WhatsApp).0.replace(GUARD, "|")
    }

    #[test]
    fn marks_of_well_formed_pairs_go_and_their_words_stay() {
        for (marked, words) in [
            ("*b*", "b"),
            ("a *bold word* and _it_, ~gone~!", "a bold word and it, gone!"),
            ("*_both_*", "both"),
            ("`let *x*` end", "let *x* end"),
            ("```let *x*;\nlet _y_;``` end", "let *x*;\nlet _y_; end"),
            ("*https://example.org/a_b_c*", "https://example.org/a_b_c"),
            ("(*b*)", "(b)"),
        ] {
            assert_eq!(plain(marked), words, "{marked}");
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_stays() {
        for text in [
            "2*3*4",
            "snake_case_name",
            "* item",
            "a * b * c",
            "*open",
            "~ 5 ~",
            "*over\nlines*",
            "https://example.org/_a_/*b*/c",
            "``` ```",
            "¯\\_(ツ)_/¯ x",
        ] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn literal_marks_do_not_become_formatting() {
        for (text, shown) in [
            ("*b*", "*|b*"),
            ("a *b c* d _e_", "a *|b c* d _|e_"),
            ("2*3*4", "2*3*4"),
            ("*open", "*open"),
            ("```x```", "`|`|`|x```"),
            ("`x`", "`|x`"),
            ("https://example.org/_a_/b", "https://example.org/_a_/b"),
        ] {
            assert_eq!(guarded(text), shown, "{text}");
        }
    }

    #[test]
    fn a_guard_within_a_link_moves_no_mark_to_its_end() {
        let text = "_https://a.b/_c_>```a```-";
        let once = guarded(text);
        assert_eq!(once, "_https://a.b/_c_>`|`|`|a```-");
        assert_eq!(guarded(&once.replace('|', "\u{200B}")), once);
    }

    proptest! {
        #[test]
        fn guarding_twice_changes_nothing(text in "[ab *_~`\n(:/]{0,24}") {
            let once = translate(&text, Formatting::Plain, Formatting::WhatsApp).0.into_owned();
            prop_assert_eq!(&once.replace(GUARD, ""), &text);
            let twice = translate(&once, Formatting::Plain, Formatting::WhatsApp);
            prop_assert_eq!((twice.0.as_ref(), twice.1), (once.as_str(), Change::None));
        }

        #[test]
        fn a_guarded_text_has_no_pairs_left(text in "[ab *_~`\n(]{0,24}") {
            let once = translate(&text, Formatting::Plain, Formatting::WhatsApp).0.into_owned();
            prop_assert_eq!(plain(&once), once);
        }

        #[test]
        fn only_marks_are_removed(text in "[ab *_~`\n(:/]{0,24}") {
            let words = |text: &str| text.replace(['*', '_', '~', '`'], "");
            prop_assert_eq!(words(&plain(&text)), words(&text));
        }
    }
}
