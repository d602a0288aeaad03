//! Cuts a text into pieces that the target takes: at a paragraph, else a line, a sentence, a word.
//!
//! *Invariant:* the pieces, joined, are the text but for white space at the cuts; no grapheme cluster is cut unless it
//! is over the limit alone.

use crate::TextLimit;
use unicode_segmentation::UnicodeSegmentation;

/// A place to cut: where the piece ends and where the rest begins.
#[derive(Clone, Copy)]
struct Cut {
    piece_end: usize,
    rest_start: usize,
}

/// Where the walk over the largest piece found places to cut: the last of each sort.
#[derive(Default)]
struct Cuts {
    paragraph: Option<Cut>,
    line: Option<Cut>,
    sentence: Option<Cut>,
    any: Option<Cut>,
}

/// The pieces of `text`, none blank. Nothing if the limit has no room for one of its characters.
pub(super) fn split(text: &str, limit: TextLimit) -> Option<Vec<&str>> {
    if limit.max == 0 {
        return None;
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while !is_within(limit, rest) {
        let cut = next_cut(rest, limit)?;
        let (piece, after) = (rest.get(..cut.piece_end)?, rest.get(cut.rest_start..)?);
        if !piece.trim().is_empty() {
            pieces.push(piece);
        }
        rest = after;
    }
    if !rest.trim().is_empty() {
        pieces.push(rest);
    }
    Some(pieces)
}

/// [`TextLimit::allows`], without counting where the bytes alone decide: no unit is smaller than a byte.
pub(super) fn is_within(limit: TextLimit, text: &str) -> bool {
    text.len() <= limit.max || limit.allows(text)
}

/// Where to cut a text that is over the limit.
fn next_cut(text: &str, limit: TextLimit) -> Option<Cut> {
    let mut cuts = Cuts::default();
    let mut measured = 0;
    let mut end = 0;
    let mut before = "";
    for (start, grapheme) in window(text, limit).grapheme_indices(true) {
        let begins_gap = is_blank(grapheme) && !before.is_empty() && !is_blank(before);
        if begins_gap {
            cuts.note_gap(text, start, before);
        } else if ends_sentence_without_space(before) {
            let cut = Cut { piece_end: start, rest_start: start };
            (cuts.sentence, cuts.any) = (Some(cut), Some(cut));
        }
        measured += limit.measure(grapheme);
        if measured > limit.max {
            break;
        }
        end = start + grapheme.len();
        before = grapheme;
    }
    if end == 0 {
        return cut_inside_cluster(text, limit);
    }
    // A cut in the first half would make many short messages out of few long ones.
    let late = |cut: &Option<Cut>| cut.filter(|cut| cut.piece_end >= end / 2);
    late(&cuts.paragraph)
        .or_else(|| late(&cuts.line))
        .or_else(|| late(&cuts.sentence))
        .or_else(|| {
            cuts.any.filter(|cut| cut.piece_end >= end / 2 || !is_endless(text, *cut, limit))
        })
        .or_else(|| Some(inside_word(text, end)))
}

/// A cut where no white space is. Beside a formatting mark it would make one of what was none (`x*b*`), so such a
/// place is the last choice.
fn inside_word(text: &str, end: usize) -> Cut {
    let is_mark = |grapheme: Option<&str>| {
        grapheme.is_some_and(|grapheme| matches!(grapheme, "*" | "_" | "~" | "`"))
    };
    let word = text.get(..end).unwrap_or_default();
    let mut behind = text.get(end..).and_then(|rest| rest.graphemes(true).next());
    for (start, grapheme) in word.grapheme_indices(true).rev() {
        let at = start + grapheme.len();
        if at < end / 2 {
            break;
        }
        if !is_mark(Some(grapheme)) && !is_mark(behind) {
            return Cut { piece_end: at, rest_start: after_gap(text, at) };
        }
        behind = Some(grapheme);
    }
    Cut { piece_end: end, rest_start: after_gap(text, end) }
}

/// True if the word behind a cut is over the limit itself, so that it is cut in any case, and the piece before it would
/// hold next to nothing.
fn is_endless(text: &str, cut: Cut, limit: TextLimit) -> bool {
    let rest = window(text.get(cut.rest_start..).unwrap_or_default(), limit);
    let word: usize = rest.graphemes(true).take_while(|g| !is_blank(g)).map(str::len).sum();
    !is_within(limit, rest.get(..word).unwrap_or_default())
}

/// As much of the text as can matter, and more than fits: a cluster of 200,000 marks is not measured for every piece.
fn window(text: &str, limit: TextLimit) -> &str {
    // A character has at most four bytes.
    let bytes = limit.max.saturating_mul(4).saturating_add(8);
    (0..4).find_map(|back| text.get(..bytes.checked_sub(back)?)).unwrap_or(text)
}

impl Cuts {
    /// Notes the gap that begins at `start`, behind the cluster `before`.
    fn note_gap(&mut self, text: &str, start: usize, before: &str) {
        let rest_start = after_gap(text, start);
        let cut = Some(Cut { piece_end: start, rest_start });
        self.any = cut;
        let newlines = text.get(start..rest_start).map_or(0, |gap| gap.matches('\n').count());
        match newlines {
            0 if ends_sentence(before) => self.sentence = cut,
            0 => {}
            1 => self.line = cut,
            _ => self.paragraph = cut,
        }
    }
}

/// The first cluster from `start` on that is not blank.
fn after_gap(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let gap: usize = rest.graphemes(true).take_while(|g| is_blank(g)).map(str::len).sum();
    start + gap
}

/// A cluster that is white space and nothing else (a space may carry an accent).
fn is_blank(grapheme: &str) -> bool {
    grapheme.chars().all(char::is_whitespace)
}

fn ends_sentence(grapheme: &str) -> bool {
    grapheme.starts_with(['.', '!', '?', '…', '。', '！', '？', ';', '"', '”', '»', ')'])
}

/// Scripts that put no space between sentences.
fn ends_sentence_without_space(grapheme: &str) -> bool {
    grapheme.starts_with(['。', '！', '？'])
}

/// A cluster that is over the limit alone is cut between characters.
fn cut_inside_cluster(text: &str, limit: TextLimit) -> Option<Cut> {
    let mut measured = 0;
    let mut end = 0;
    let mut buffer = [0_u8; 4];
    for c in text.chars() {
        measured += limit.measure(c.encode_utf8(&mut buffer));
        if measured > limit.max {
            break;
        }
        end += c.len_utf8();
    }
    (end > 0).then_some(Cut { piece_end: end, rest_start: end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TextUnit;

    const BYTES_20: TextLimit = TextLimit { max: 20, unit: TextUnit::Utf8Bytes };
    const CHARACTERS_20: TextLimit = TextLimit { max: 20, unit: TextUnit::Characters };

    #[track_caller]
    fn check(text: &str, limit: TextLimit, pieces: &[&str]) {
        assert_eq!(split(text, limit).as_deref(), Some(pieces));
    }

    #[test]
    fn a_text_is_cut_at_the_best_border_in_the_second_half() {
        check("one two. x\n\nthree. four", CHARACTERS_20, &["one two. x", "three. four"]);
        check("one two three\nfour. five six", CHARACTERS_20, &["one two three", "four. five six"]);
        check("one two three. four five", CHARACTERS_20, &["one two three.", "four five"]);
        check("one two three four five", CHARACTERS_20, &["one two three four", "five"]);
        check("a\n\nbcd efghi jklmn opqrst", CHARACTERS_20, &["a\n\nbcd efghi jklmn", "opqrst"]);
        check("漢字漢字漢。字漢字", BYTES_20, &["漢字漢字漢。", "字漢字"]);
    }

    #[test]
    fn a_word_without_borders_is_cut_between_clusters_by_the_targets_count() {
        let family = "👨‍👩‍👧‍👦";
        check(&family.repeat(3), CHARACTERS_20, &[&family.repeat(2), family]);
        check("🇩🇪🇫🇷🇮🇹", BYTES_20, &["🇩🇪🇫🇷", "🇮🇹"]);
        check(&"x".repeat(45), BYTES_20, &[&"x".repeat(20), &"x".repeat(20), "xxxxx"]);
    }

    #[test]
    fn the_words_before_an_endless_one_stay_with_it_and_those_before_a_long_one_do_not() {
        let endless = "x".repeat(25);
        check(
            &format!("Al: {endless}"),
            BYTES_20,
            &[&format!("Al: {}", "x".repeat(16)), &"x".repeat(9)],
        );
        check(&format!("Al: {} y", "x".repeat(19)), BYTES_20, &["Al:", &"x".repeat(19), "y"]);
        check(
            &format!("Al is here: {endless}"),
            BYTES_20,
            &["Al is here:", &"x".repeat(20), "xxxxx"],
        );
    }

    #[test]
    fn a_cut_inside_a_word_makes_no_formatting_of_literal_marks() {
        check(
            &format!("{}*b*{}", "x".repeat(19), "y".repeat(9)),
            BYTES_20,
            &[&"x".repeat(18), &format!("x*b*{}", "y".repeat(9))],
        );
        check(
            &format!("{}*b*{}", "x".repeat(17), "y".repeat(9)),
            BYTES_20,
            &[&"x".repeat(16), &format!("x*b*{}", "y".repeat(9))],
        );
        check(&"*".repeat(25), BYTES_20, &[&"*".repeat(20), "*****"]);
    }

    #[test]
    fn a_cluster_over_the_limit_is_cut_between_characters() {
        let marks = format!("e{}", "\u{301}".repeat(15));
        let rest = "\u{301}".repeat(6);
        check(&marks, BYTES_20, &[&format!("e{}", "\u{301}".repeat(9)), &rest]);
        assert_eq!(split("👍", TextLimit { max: 3, unit: TextUnit::Utf8Bytes }), None);
        assert_eq!(split("x", TextLimit { max: 0, unit: TextUnit::Characters }), None);
    }
}
