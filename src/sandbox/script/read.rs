//! Reads a script with the reader of the config: every mistake at once, with line, key and how to mend it.

use super::long::whole_words;
use super::{Deed, Expectation, Happens, Script, Step, Target, Trouble, Webhooks};
use crate::config::TableReader;
use crate::sandbox::Setup;
use crate::sandbox::cast::{self, Member, ROOMS};
use interline_sandbox::{Fault, Kind};
use std::time::Duration;

/// The most that one step may say, or one expectation may want.
const TIMES_MAX: u64 = 1_000;
/// The most parts that a text may come in.
const PARTS_MAX: u64 = 1_000;
const LONGEST: Duration = Duration::from_secs(600);
const LIMIT: Duration = Duration::from_secs(60);

pub(super) type Reader<'d, 'r> = TableReader<'d, 'r>;

/// What a step can be: the key that names it.
const DEEDS: [&str; 15] = [
    "say",
    "reply",
    "react",
    "unreact",
    "edit",
    "unsend",
    "photo",
    "voice",
    "sticker",
    "heart",
    "location",
    "contact",
    "unsupported",
    "read",
    "window",
];
/// What else a step can have.
const MODIFIERS: [&str; 9] =
    ["who", "to", "times", "repeat", "often", "on", "name", "address", "phone"];
const EVENTS: [&str; 5] = ["fault", "heal", "wait", "settle", "clock"];
/// The clock may go further than anybody waits.
const FURTHEST: Duration = Duration::from_secs(365 * 24 * 3_600);

pub(super) fn script(file: &mut Reader<'_, '_>) -> Script {
    let about = words(file, "about").unwrap_or_default();
    let rooms = file.number("conversations", 1, 1..=ROOMS.len());
    let limit = file.duration("limit", LIMIT, Duration::from_secs(1)..=LONGEST);
    let settle_timeout = file.section("deliver", |table| {
        let range = Duration::from_millis(100)..=LONGEST;
        table.has("settle_timeout").then(|| table.duration("settle_timeout", LIMIT, range))
    });
    let webhooks = file.section("webhooks", |table| Webhooks {
        copies: table.number("copies", 1, 1..=10),
        rebatch: table.flag("rebatch", false),
        batch: table.number("batch", 1, 1..=1_000),
    });
    let steps = file.tables("step", |table| step(table, rooms));
    let expectations = file.tables("expect", |table| expectation(table, rooms));
    if steps.is_empty() {
        file.absent(
            "step",
            "nothing happens; write a step, such as [[step]] who = \"alice\", say = \"Hello\"",
        );
    }
    let expectations = expectations.into_iter().flatten().collect();
    Script {
        about,
        setup: Setup { rooms, settle_timeout },
        limit,
        webhooks,
        steps: steps.into_iter().flatten().collect(),
        expectations,
    }
}

fn step(table: &mut Reader<'_, '_>, rooms: usize) -> Option<Step> {
    let line = table.at.line;
    let all = || DEEDS.into_iter().chain(EVENTS);
    let named: Vec<&str> = all().filter(|key| table.has(key)).collect();
    let what = match named.as_slice() {
        [key] if EVENTS.contains(key) => event(table, key),
        [key] => does(table, key, rooms),
        [] => {
            // What stands there is asked for, so that a slip is told as such.
            all().chain(MODIFIERS).for_each(|key| drop(table.find(key)));
            let keys = all().collect::<Vec<_>>().join(", ");
            table.contradiction("", format!("this step does nothing; write one of {keys}"));
            None
        }
        [first, second, ..] => {
            let message = format!(
                "a step is one thing, and this is both `{first}` and `{second}`; write two steps, each begun by [[step]]"
            );
            all().chain(MODIFIERS).for_each(|key| drop(table.find(key)));
            table.contradiction(second, &message);
            None
        }
    };
    Some(Step { line, what: what? })
}

fn event(table: &mut Reader<'_, '_>, key: &str) -> Option<Happens> {
    match key {
        "wait" => {
            let range = Duration::from_millis(1)..=LONGEST;
            Some(Happens::Waits(table.duration("wait", Duration::ZERO, range)))
        }
        "clock" => {
            let range = Duration::from_millis(1)..=FURTHEST;
            Some(Happens::Clock(table.duration("clock", Duration::ZERO, range)))
        }
        "settle" => {
            let settles = table.flag("settle", true);
            settles.then_some(Happens::Settles).or_else(|| no(table, "settle"))
        }
        "heal" => target(table, "heal").map(Happens::Heals),
        _ => breaks(table),
    }
}

/// `KEY = false` says nothing.
fn no<T>(table: &mut Reader<'_, '_>, key: &str) -> Option<T> {
    table.contradiction(key, "this is true or left out");
    None
}

fn breaks(table: &mut Reader<'_, '_>) -> Option<Happens> {
    let on = target(table, "on");
    let fault = words(table, "fault")?;
    let times = table.has("times").then(|| table.number("times", 1, 1..=TIMES_MAX));
    let on = on?;
    let (known, trouble) = match on {
        Target::Platform(kind) => (
            "\"500\", \"503\", \"hang\", \"throttle\", \"cut\", \"unreachable\", or an error of the platform, as in \
             \"10/2018278\"",
            match fault.as_str() {
                "500" => Some(Trouble::Answers(kind, Fault::Html500)),
                "503" => Some(Trouble::Answers(kind, Fault::Empty503)),
                "hang" => Some(Trouble::Answers(kind, Fault::Hang)),
                "throttle" => Some(Trouble::Answers(kind, Fault::throttle(kind))),
                "cut" => Some(Trouble::Answers(kind, Fault::CutBeforeReading)),
                "unreachable" => Some(Trouble::PlatformGone(kind)),
                code => documented(kind, code).map(|fault| Trouble::Answers(kind, fault)),
            },
        ),
        Target::Broker => (
            "\"cut\", \"blocked\" or \"unreachable\"",
            match fault.as_str() {
                "cut" => Some(Trouble::BrokerCut),
                "blocked" => Some(Trouble::BrokerBlocked),
                "unreachable" => Some(Trouble::BrokerGone),
                _ => None,
            },
        ),
    };
    let Some(fault) = trouble else {
        table.contradiction("fault", format!("there is no such fault here; write {known}"));
        return None;
    };
    if times.is_some() && !matches!(fault, Trouble::Answers(..)) {
        table.contradiction(
            "times",
            "this fault cannot be counted; leave `times` out, and heal it in a later step",
        );
    }
    Some(Happens::Breaks { fault, times })
}

/// `CODE` or `CODE/SUBCODE`, and on WhatsApp `later CODE`: an error that the platform's documentation names.
fn documented(kind: Kind, text: &str) -> Option<Fault> {
    let (text, later) = match text.strip_prefix("later ") {
        Some(code) if kind == Kind::WhatsApp => (code, true),
        Some(_) | None => (text, false),
    };
    let (code, subcode) = match text.split_once('/') {
        Some((code, subcode)) => (code, Some(subcode.parse().ok()?)),
        None => (text, None),
    };
    let Fault::Graph(error) = Fault::known(kind, code.parse().ok()?, subcode)? else { return None };
    Some(if later { Fault::FailLater(error) } else { Fault::Graph(error) })
}

fn target(table: &mut Reader<'_, '_>, key: &'static str) -> Option<Target> {
    let shape = "write \"whatsapp\", \"messenger\", \"instagram\" or \"broker\"";
    let Some(name) = words(table, key) else {
        if !table.has(key) {
            table.absent(key, format!("where? {shape}"));
        }
        return None;
    };
    let target = match name.as_str() {
        "whatsapp" => Target::Platform(Kind::WhatsApp),
        "messenger" => Target::Platform(Kind::Messenger),
        "instagram" => Target::Platform(Kind::Instagram),
        "broker" => Target::Broker,
        _ => {
            table.contradiction(key, format!("there is no such place; {shape}"));
            return None;
        }
    };
    Some(target)
}

fn does(table: &mut Reader<'_, '_>, key: &str, rooms: usize) -> Option<Happens> {
    let who = person(table, "who", rooms);
    let times =
        if ["say", "photo"].contains(&key) { table.number("times", 1, 1..=TIMES_MAX) } else { 1 };
    let deed = deed(table, key)?;
    Some(Happens::Does { who: who?, deed, times })
}

fn deed(table: &mut Reader<'_, '_>, key: &str) -> Option<Deed> {
    let is = |table: &mut Reader<'_, '_>, key: &'static str, deed: Deed| {
        if table.flag(key, true) { Some(deed) } else { no(table, key) }
    };
    Some(match key {
        "say" => Deed::Say(whole_words(table, "say")?),
        "reply" => Deed::Reply { text: some_words(table, "reply")?, to: words(table, "to") },
        "react" => Deed::React { sign: some_words(table, "react")?, to: words(table, "to") },
        "unreact" => {
            let to = words(table, "to");
            is(table, "unreact", Deed::Unreact { to })?
        }
        "edit" => Deed::Edit { text: some_words(table, "edit")?, to: words(table, "to") },
        "unsend" => {
            let to = words(table, "to");
            is(table, "unsend", Deed::Unsend { to })?
        }
        "photo" => Deed::Photo(words(table, "photo").filter(|caption| !caption.is_empty())),
        "voice" => is(table, "voice", Deed::Voice)?,
        "sticker" => is(table, "sticker", Deed::Sticker)?,
        "heart" => is(table, "heart", Deed::Heart)?,
        "location" => place(table)?,
        "contact" => {
            let phone = words(table, "phone");
            if phone.is_none() {
                table.contradiction(
                    "contact",
                    "a contact has a number; write phone = \"+43 1 000\"",
                );
            }
            Deed::Contact { name: some_words(table, "contact")?, phone: phone? }
        }
        "unsupported" => Deed::Unsupported(some_words(table, "unsupported")?),
        "window" => {
            if some_words(table, "window")? != "closed" {
                table.contradiction(
                    "window",
                    "a window opens by writing; write window = \"closed\"",
                );
                return None;
            }
            Deed::CloseWindow
        }
        _ => is(table, "read", Deed::Read)?,
    })
}

fn place(table: &mut Reader<'_, '_>) -> Option<Deed> {
    let (name, address) = (words(table, "name"), words(table, "address"));
    let point = words(table, "location")?;
    let degrees = |text: &str, most: f64| {
        text.trim().parse::<f64>().ok().filter(|degrees| (-most..=most).contains(degrees))
    };
    let read = point
        .split_once(',')
        .and_then(|(north, east)| Some((degrees(north, 90.0)?, degrees(east, 180.0)?)));
    let Some((latitude, longitude)) = read else {
        let shape =
            "write latitude and longitude in degrees, as in location = \"48.2104, 16.3654\"";
        table.contradiction("location", format!("this is no place; {shape}"));
        return None;
    };
    Some(Deed::Place { latitude, longitude, name, address })
}

fn expectation(table: &mut Reader<'_, '_>, rooms: usize) -> Option<Expectation> {
    let (phone, from) = (person(table, "phone", rooms), person(table, "from", rooms));
    let shows = whole_words(table, "shows");
    if shows.is_none() && !table.has("shows") {
        table.absent("shows", "what must the phone show? write it as the phone shows it, as in shows = \"Alice: Hello\"");
    }
    let answers = words(table, "answers");
    let times = table.number("times", 1, 1..=TIMES_MAX);
    let parts = table.number("parts", 1, 1..=PARTS_MAX);
    let unchanged = table.flag("unchanged", false);
    if unchanged && parts > 1 {
        table.contradiction(
            "unchanged",
            "this is said of a file, which comes in one message; leave out either this or `parts`",
        );
    }
    let (phone, from) = (phone?, from?);
    if phone == from || !room(phone).contains(&from) {
        table.contradiction("from", "these two are not in one conversation; name somebody else who is in the phone's owner's");
    }
    Some(Expectation { phone, from, shows: shows?, answers, times, parts, unchanged })
}

fn room(member: Member) -> [Member; 3] {
    let room = ROOMS.into_iter().find(|(_, people)| people.contains(&member));
    room.map_or(cast::CAST, |(_, people)| people)
}

fn person(table: &mut Reader<'_, '_>, key: &'static str, rooms: usize) -> Option<Member> {
    let names = || cast::people(rooms).map(|person| person.name.to_lowercase()).collect::<Vec<_>>();
    let Some(name) = words(table, key) else {
        if !table.has(key) {
            table.absent(key, format!("who? write one of {}", names().join(", ")));
        }
        return None;
    };
    let found = cast::people(rooms).find(|person| person.name.eq_ignore_ascii_case(&name));
    if found.is_none() {
        let more = if rooms < ROOMS.len() {
            "; `conversations` at the top brings more people"
        } else {
            ""
        };
        let message =
            format!("nobody here has that name; write one of {}{more}", names().join(", "));
        table.contradiction(key, &message);
    }
    found
}

fn words(table: &mut Reader<'_, '_>, key: &'static str) -> Option<String> {
    table.text(key).map(|found| found.value.to_owned())
}

pub(super) fn some_words(table: &mut Reader<'_, '_>, key: &'static str) -> Option<String> {
    let text = words(table, key)?;
    if text.is_empty() {
        table.contradiction(key, "this is empty; write a text");
        return None;
    }
    Some(text)
}
