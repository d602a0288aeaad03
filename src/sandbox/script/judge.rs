//! Whether the phones show what the script wants.

use super::{Expectation, numbered};
use crate::sandbox::cast::{self, Member};
use crate::sandbox::demo::{Check, equal};
use crate::sandbox::screen;
use interline_sandbox::Seen;
use std::collections::BTreeMap;

/// The most messages that a check names one by one.
const NAMED_MAX: usize = 5;

/// How many messages a phone must show altogether.
pub(super) fn count_for(phone: Member, expectations: &[Expectation]) -> u64 {
    expectations.iter().filter(|wanted| wanted.phone == phone).map(|wanted| wanted.times).sum()
}

/// Judges one phone: first each expectation, then that nothing else is there. What is expected of one person must
/// come in the order of the script. A phone of which nothing is expected is not judged.
pub(super) fn judge(phone: Member, expectations: &[Expectation], view: &[Seen]) -> Vec<Check> {
    let mut received: Vec<(&Seen, bool)> =
        view.iter().filter(|seen| !seen.mine).map(|seen| (seen, false)).collect();
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    let mut checks = Vec::new();
    for wanted in expectations.iter().filter(|wanted| wanted.phone == phone) {
        let from = next.entry(wanted.from.name).or_default();
        checks.push(take(wanted, &mut received, from, view));
    }
    if checks.is_empty() {
        return checks;
    }
    let count = count_for(phone, expectations);
    let name = format!("{} sees nothing else and nothing twice", place(phone));
    let others: Vec<String> =
        received.iter().filter(|(_, taken)| !taken).map(|(seen, _)| words(seen)).collect();
    let mut seen = messages(received.len());
    if !others.is_empty() {
        seen = format!("{seen}, of which nobody expects {}", some(&others));
    }
    checks.push(equal(name, &messages(usize::try_from(count).unwrap_or(usize::MAX)), &seen));
    checks
}

/// Takes what fits, in order, beginning at `from`.
fn take(
    wanted: &Expectation,
    received: &mut [(&Seen, bool)],
    from: &mut usize,
    view: &[Seen],
) -> Check {
    let often = if wanted.times > 1 { format!(", {} times", wanted.times) } else { String::new() };
    let name =
        format!("{} gets “{}”{often}", place(wanted.phone), screen::shortened(&wanted.shows));
    let answer =
        wanted.answers.as_ref().map_or_else(String::new, |to| format!(" as an answer to “{to}”"));
    let expected = format!("“{}”{answer}{often}, in order", wanted.shows);
    let mut missing = Vec::new();
    let mut early = 0_usize;
    for number in 1..=wanted.times {
        let fits = |(seen, taken): &(&Seen, bool)| !taken && fits(wanted, number, seen, view);
        let found = received.iter().enumerate().skip(*from).find(|(_, entry)| fits(entry));
        let Some((index, _)) = found else {
            early += usize::from(received.iter().any(fits));
            missing.push(format!("“{}”", numbered(&wanted.shows, number)));
            continue;
        };
        if let Some((_, taken)) = received.get_mut(index) {
            *taken = true;
        }
        *from = index + 1;
    }
    let seen = match missing.as_slice() {
        [] => expected.clone(),
        missing => {
            let late =
                if early > 0 { format!(" ({early} came out of order)") } else { String::new() };
            let heard: Vec<String> =
                received.iter().filter(|(_, taken)| !taken).map(|(seen, _)| words(seen)).collect();
            let heard = if heard.is_empty() { "nothing else".to_owned() } else { some(&heard) };
            format!(
                "{} of {} missing{late}: {}; there is {heard}",
                missing.len(),
                wanted.times,
                some(missing)
            )
        }
    };
    Check { name, holds: missing.is_empty(), expected, seen }
}

fn fits(wanted: &Expectation, number: u64, seen: &Seen, view: &[Seen]) -> bool {
    let shows = numbered(&wanted.shows, number);
    let same = seen.text() == Some(shows.as_str()) || screen::words(&seen.content) == shows;
    let quoted = match (&wanted.answers, &seen.quotes) {
        (None, None) => true,
        (Some(to), Some(id)) => view
            .iter()
            .any(|other| other.native_id == *id && mentions(other, &numbered(to, number))),
        (None, Some(_)) | (Some(_), None) => false,
    };
    same && quoted
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
    use interline_sandbox::Content;

    fn wants(from: Member, shows: &str, times: u64) -> Expectation {
        Expectation { phone: BOB, from, shows: shows.to_owned(), answers: None, times }
    }

    fn view(texts: &[&str]) -> Vec<Seen> {
        let ids = (0..).map(|id: u32| id.to_string());
        let shown = texts.iter().zip(ids);
        shown.map(|(text, id)| seen(&id, false, Content::Text((*text).to_owned()))).collect()
    }

    fn held(expectations: &[Expectation], texts: &[&str]) -> Vec<bool> {
        judge(BOB, expectations, &view(texts)).iter().map(|check| check.holds).collect()
    }

    #[test]
    fn the_messages_of_one_person_must_come_in_order_and_those_of_two_may_mix() {
        let wanted = [wants(ALICE, "A{n}", 2), wants(CARLA, "C", 1)];
        assert_eq!(held(&wanted, &["A1", "C", "A2"]), [true, true, true]);
        assert_eq!(held(&wanted, &["C", "A1", "A2"]), [true, true, true]);
        assert_eq!(held(&wanted, &["A2", "C", "A1"])[..2], [false, true], "in the wrong order");
        let checks = judge(BOB, &wanted, &view(&["A2", "C", "A1"]));
        assert!(checks[0].seen.contains("out of order"), "{checks:#?}");
    }

    #[test]
    fn what_is_missing_and_what_comes_twice_does_not_hold() {
        let wanted = [wants(ALICE, "A{n}", 2)];
        assert_eq!(held(&wanted, &["A1"]), [false, false]);
        assert_eq!(held(&wanted, &["A1", "A2", "A2"]), [true, false]);
        let checks = judge(BOB, &wanted, &view(&["A1", "A2", "A2"]));
        assert!(checks[1].seen.ends_with("of which nobody expects “A2”"), "{checks:#?}");
        assert!(
            judge(ALICE, &wanted, &view(&["whatever"])).is_empty(),
            "nothing is expected there"
        );
    }

    #[test]
    fn an_answer_must_quote_the_message_that_it_answers() {
        let mut wanted = wants(ALICE, "yes", 1);
        wanted.answers = Some("A".to_owned());
        let wanted = [wanted];
        let mut view = view(&["A", "B", "yes"]);
        let holds = |view: &[Seen]| judge(BOB, &wanted, view)[0].holds;
        assert!(!holds(&view));
        view[2].quotes = Some(view[1].native_id.clone());
        assert!(!holds(&view), "it answers another one");
        view[2].quotes = Some(view[0].native_id.clone());
        assert!(holds(&view));
    }
}
