//! Whether the phones show what the script wants.

use super::{Expectation, long, numbered};
use crate::sandbox::cast::{self, Member};
use crate::sandbox::demo::{Check, equal};
use crate::sandbox::screen;
use interline_sandbox::{Media, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// The most messages that a check names one by one.
const NAMED_MAX: usize = 5;

/// The files that people sent: whose, and their hash.
pub(super) type Sent<'a> = BTreeSet<(&'static str, &'a str)>;

/// The files that stand on the screens of those who sent them.
pub(super) fn files_sent(views: &[(Member, Vec<Seen>)]) -> Sent<'_> {
    let mut sent = Sent::new();
    for (member, view) in views {
        let own = view.iter().filter(|seen| seen.mine).filter_map(Seen::media);
        sent.extend(own.map(|media| (member.name, media.sha256.as_str())));
    }
    sent
}

/// How many messages a phone must show altogether.
pub(super) fn count_for(phone: Member, expectations: &[Expectation]) -> u64 {
    let wanted = expectations.iter().filter(|wanted| wanted.phone == phone);
    wanted.map(|wanted| wanted.times * wanted.parts).sum()
}

/// Judges one phone: first each expectation, then that nothing else is there. What is expected of one person must
/// come in the order of the script. A phone of which nothing is expected is not judged.
pub(super) fn judge(
    phone: Member,
    expectations: &[Expectation],
    view: &[Seen],
    sent: &Sent<'_>,
) -> Vec<Check> {
    let received = view.iter().filter(|seen| !seen.mine).map(|seen| (seen, false)).collect();
    let mut screen = Screen { view, sent, received };
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    let mut checks = Vec::new();
    for wanted in expectations.iter().filter(|wanted| wanted.phone == phone) {
        let from = next.entry(wanted.from.name).or_default();
        checks.push(screen.take(wanted, from));
    }
    if checks.is_empty() {
        return checks;
    }
    let count = count_for(phone, expectations);
    let name = format!("{} sees nothing else and nothing twice", place(phone));
    let others = screen.others();
    let mut seen = messages(screen.received.len());
    if !others.is_empty() {
        seen = format!("{seen}, of which nobody expects {}", some(&others));
    }
    checks.push(equal(name, &messages(usize::try_from(count).unwrap_or(usize::MAX)), &seen));
    checks
}

/// A phone while it is judged.
struct Screen<'a> {
    view: &'a [Seen],
    sent: &'a Sent<'a>,
    /// What came from others, and whether somebody expected it.
    received: Vec<(&'a Seen, bool)>,
}

impl Screen<'_> {
    /// Takes what fits, in order, beginning at `from`.
    fn take(&mut self, wanted: &Expectation, from: &mut usize) -> Check {
        let mut often = String::new();
        if wanted.parts > 1 {
            often = format!(" in {} parts", wanted.parts);
        }
        if wanted.times > 1 {
            often = format!("{often}, {} times", wanted.times);
        }
        let short = screen::shortened(&wanted.shows);
        let name = format!("{} gets “{short}”{often}", place(wanted.phone));
        let answer = wanted
            .answers
            .as_ref()
            .map_or_else(String::new, |to| format!(" as an answer to “{to}”"));
        let shows = if wanted.parts > 1 { &short } else { &wanted.shows };
        let unchanged = if wanted.unchanged { ", byte for byte as it was sent" } else { "" };
        let expected = format!("“{shows}”{answer}{often}{unchanged}, in order");
        let mut missing = Vec::new();
        for number in 1..=wanted.times {
            match self.find(wanted, number, *from) {
                Ok(found) => {
                    for index in found {
                        if let Some((_, taken)) = self.received.get_mut(index) {
                            *taken = true;
                        }
                        *from = index + 1;
                    }
                }
                Err(what) => missing.push(what),
            }
        }
        let seen = match missing.as_slice() {
            [] => expected.clone(),
            missing => {
                let heard = self.others();
                let heard = if heard.is_empty() { "nothing else".to_owned() } else { some(&heard) };
                let (count, of, named) = (missing.len(), wanted.times, some(missing));
                format!("{count} of {of} missing: {named}; there is {heard}")
            }
        };
        Check { name, holds: missing.is_empty(), expected, seen }
    }

    /// Which messages show it, from `from` on; else what is missing.
    fn find(&self, wanted: &Expectation, number: u64, from: usize) -> Result<Vec<usize>, String> {
        if wanted.parts > 1 {
            return self.find_parts(wanted, number, from);
        }
        let fits = |(seen, taken): &(&Seen, bool)| !taken && self.fits(wanted, number, seen);
        let found = self.received.iter().enumerate().skip(from).find(|(_, entry)| fits(entry));
        if let Some((index, _)) = found {
            return Ok(vec![index]);
        }
        let early = self.received.iter().any(fits);
        let late = if early { " (which came out of order)" } else { "" };
        let changed = if wanted.unchanged { " with the bytes that were sent" } else { "" };
        Err(format!("“{}”{changed}{late}", numbered(&wanted.shows, number)))
    }

    /// Which messages show a long text, one after the other.
    fn find_parts(
        &self,
        wanted: &Expectation,
        number: u64,
        mut from: usize,
    ) -> Result<Vec<usize>, String> {
        let whole = numbered(&wanted.shows, number);
        let named = |part: u64| format!("part {part} of “{}”", screen::shortened(&whole));
        let mut found = Vec::new();
        let mut at = 0;
        for part in 1..=wanted.parts {
            let goes_on = |(index, (seen, taken)): (usize, &(&Seen, bool))| {
                let text = seen.text().filter(|_| !taken)?;
                Some((index, long::end_of(&whole, at, text)?, text.to_owned(), seen.quotes.clone()))
            };
            let next = self.received.iter().enumerate().skip(from).find_map(goes_on);
            let Some((index, end, text, quotes)) = next else { return Err(named(part)) };
            let answers = wanted.answers.as_deref().filter(|_| part == 1);
            if !self.quotes(answers, number, quotes.as_deref()) {
                return Err(format!("{}, which quotes something else", named(part)));
            }
            if let Some(why) = long::wrong_with(wanted.phone.kind, &whole, end, &text) {
                return Err(format!("{}, which {why}", named(part)));
            }
            (at, from) = (end, index + 1);
            found.push(index);
        }
        match whole.get(at..).map(str::trim) {
            Some("") => Ok(found),
            Some(_) | None => Err(named(wanted.parts + 1)),
        }
    }

    fn fits(&self, wanted: &Expectation, number: u64, seen: &Seen) -> bool {
        let shows = numbered(&wanted.shows, number);
        let same = seen.text() == Some(shows.as_str()) || screen::words(&seen.content) == shows;
        let was_sent =
            |media: &Media| self.sent.contains(&(wanted.from.name, media.sha256.as_str()));
        let unchanged = !wanted.unchanged || seen.media().is_some_and(was_sent);
        let answers = wanted.answers.as_deref();
        same && unchanged && self.quotes(answers, number, seen.quotes.as_deref())
    }

    /// Whether what is quoted is this phone's own copy of a message with these words; without words nothing may be.
    fn quotes(&self, words: Option<&str>, number: u64, quoted: Option<&str>) -> bool {
        match (words, quoted) {
            (None, None) => true,
            (Some(words), Some(id)) => self
                .view
                .iter()
                .any(|other| other.native_id == id && mentions(other, &numbered(words, number))),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// What nobody has expected so far.
    fn others(&self) -> Vec<String> {
        self.received.iter().filter(|(_, taken)| !taken).map(|(seen, _)| words(seen)).collect()
    }
}

/// True if the words stand in a message, in full or as the screen shows it.
pub(super) fn mentions(seen: &Seen, words: &str) -> bool {
    seen.text().is_some_and(|text| text.contains(words))
        || screen::words(&seen.content).contains(words)
}

fn words(seen: &Seen) -> String {
    let answer = if seen.quotes.is_some() { " as an answer" } else { "" };
    format!("“{}”{answer}", screen::words(&seen.content))
}

fn some(words: &[String]) -> String {
    let named = words.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn place(phone: Member) -> String {
    format!("{} on {}", phone.name, cast::platform_name(phone.kind))
}

fn messages(count: usize) -> String {
    format!("{count} messages from the others")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cast::{ALICE, BOB, CARLA};
    use crate::sandbox::screen::tests::seen;
    use interline_sandbox::{Content, MediaKind};

    fn wants(from: Member, shows: &str, times: u64) -> Expectation {
        let (shows, answers, parts, unchanged) = (shows.to_owned(), None, 1, false);
        Expectation { phone: BOB, from, shows, answers, times, parts, unchanged }
    }

    fn view(texts: &[&str]) -> Vec<Seen> {
        let ids = (0..).map(|id: u32| id.to_string());
        let shown = texts.iter().zip(ids);
        shown.map(|(text, id)| seen(&id, false, Content::Text((*text).to_owned()))).collect()
    }

    fn judged(expectations: &[Expectation], view: &[Seen]) -> Vec<Check> {
        judge(BOB, expectations, view, &Sent::new())
    }

    fn held(expectations: &[Expectation], texts: &[&str]) -> Vec<bool> {
        judged(expectations, &view(texts)).iter().map(|check| check.holds).collect()
    }

    #[test]
    fn the_messages_of_one_person_must_come_in_order_and_those_of_two_may_mix() {
        let wanted = [wants(ALICE, "A{n}", 2), wants(CARLA, "C", 1)];
        assert_eq!(held(&wanted, &["A1", "C", "A2"]), [true, true, true]);
        assert_eq!(held(&wanted, &["C", "A1", "A2"]), [true, true, true]);
        assert_eq!(held(&wanted, &["A2", "C", "A1"])[..2], [false, true], "in the wrong order");
        let checks = judged(&wanted, &view(&["A2", "C", "A1"]));
        assert!(checks[0].seen.contains("out of order"), "{checks:#?}");
    }

    #[test]
    fn what_is_missing_and_what_comes_twice_does_not_hold() {
        let wanted = [wants(ALICE, "A{n}", 2)];
        assert_eq!(held(&wanted, &["A1"]), [false, false]);
        assert_eq!(held(&wanted, &["A1", "A2", "A2"]), [true, false]);
        let checks = judged(&wanted, &view(&["A1", "A2", "A2"]));
        assert!(checks[1].seen.ends_with("of which nobody expects “A2”"), "{checks:#?}");
        let elsewhere = judge(ALICE, &wanted, &view(&["whatever"]), &Sent::new());
        assert!(elsewhere.is_empty(), "nothing is expected there");
    }

    #[test]
    fn an_answer_must_quote_the_message_that_it_answers() {
        let mut wanted = wants(ALICE, "yes", 1);
        wanted.answers = Some("A".to_owned());
        let wanted = [wanted];
        let mut view = view(&["A", "B", "yes"]);
        let holds = |view: &[Seen]| judged(&wanted, view)[0].holds;
        assert!(!holds(&view));
        view[2].quotes = Some(view[1].native_id.clone());
        assert!(!holds(&view), "it answers another one");
        view[2].quotes = Some(view[0].native_id.clone());
        assert!(holds(&view));
    }

    #[test]
    fn a_text_in_parts_must_be_whole_in_order_and_cut_between_characters_only() {
        let mut wanted = wants(ALICE, "A: one 👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 1);
        wanted.parts = 2;
        let wanted = [wanted];
        let why = |texts: &[&str]| {
            let check = judged(&wanted, &view(texts)).swap_remove(0);
            if check.holds { "it holds".to_owned() } else { check.seen }
        };
        assert_eq!(why(&["A: one", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦"]), "it holds");
        assert_eq!(why(&["A: one 👨‍👩‍👧‍👦", "C: between", "👨‍👩‍👧‍👦"]), "it holds");
        for (texts, part) in [
            (&["A: one 👨‍👩‍👧‍👦👨‍👩‍👧‍👦"][..], "part 2 of"),
            (&["👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "A: one"], "part 2 of"),
            (&["A: one", "👨‍👩‍👧‍👦"], "part 3 of"),
            (&["A: one 👨‍👩‍👧‍👦👨", "\u{200d}👩‍👧‍👦"], "ends inside a character"),
        ] {
            assert!(why(texts).contains(part), "{part}: {}", why(texts));
        }
        assert_eq!(held(&wanted, &["A: one", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦"]), [true, true], "two are expected");
    }

    #[test]
    fn a_file_that_must_be_unchanged_has_the_bytes_that_its_sender_sent() {
        let file = |bytes: &'static [u8]| Media {
            kind: MediaKind::Audio,
            mime: "audio/mp4".to_owned(),
            sha256: format!("hash of {bytes:?}"),
            bytes: bytes.into(),
            filename: None,
            caption: None,
        };
        let mut wanted = wants(ALICE, "[audio, audio/mp4, 3 bytes]", 1);
        wanted.unchanged = true;
        let wanted = [wanted];
        let own = vec![seen("1", true, Content::Media(file(b"one")))];
        let views = [(ALICE, own)];
        let holds = |bytes: &'static [u8]| {
            let view = [seen("2", false, Content::Media(file(bytes)))];
            judge(BOB, &wanted, &view, &files_sent(&views))[0].holds
        };
        assert!(holds(b"one"));
        assert!(!holds(b"two"), "others of the same length");
    }
}
