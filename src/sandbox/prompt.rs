//! What can be typed into a sandbox: words that somebody says, and what else people do with their phones.
//!
//! One of the three speaks at a time; the prompt shows the platform of that one. Pure but for [`act`], which does it.

use super::cast::{CAST, Member};
use super::demo::{MP4, OGG, PHOTO};
use crate::config::parse_duration;
use bytes::Bytes;
use interline_sandbox::{Kind, Phone, PhoneError, Seen};
use std::time::Duration;

/// How to type it.
pub const HELP: &str = "\
Hello                  say it, as the one whose platform the prompt shows
instagram>             speak as Carla from now on  (whatsapp> is Alice, messenger> is Bob; /as bob does the same)
instagram> Hello       the same, and say it at once
bob Hello              Bob says it, and you go on as who you are
/reply 1 Hello         answer message 1 on your screen  (without a number: what the others wrote last)
/react 1 ❤             react to it
/unreact 1             take that back
/photo Look at this    send a photo, with words under it  (on Messenger and Instagram they come after it)
/voice                 send a voice note
/place                 send a place  (WhatsApp and Messenger)
/heart                 send a heart  (Instagram)
/edit 3 Hello          change what you said
/unsend 3              take back what you said  (WhatsApp and Instagram)
/read                  read everything on your screen
/say bob is late       say words that would mean something else here
/phone                 show your whole screen
/clock 25h             let the platforms' clock run ahead: after 24 hours nobody may be written to who did not write
/window                close only the window of the one you speak as
/where                 where everything listens, with tokens
/help                  this list
/quit                  end it  (Ctrl-C does, too)";

/// The least that one must know.
pub const FIRST_WORDS: &str = "\
instagram>             speak as Carla from now on  (whatsapp> is Alice, messenger> is Bob)
/reply 1 Hello         answer message 1 on your screen
/react 1 ❤             react to it
/photo                 send a photo
/help                  what else people can do
/quit                  end it";

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// Who speaks from now on.
    pub speaker: Member,
    /// What is to be done.
    pub what: Line,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing.
    Empty,
    /// Somebody else speaks from now on.
    Switch,
    /// The list of what can be typed.
    Help,
    /// Where everything listens.
    Places,
    /// The speaker's whole screen.
    Screen,
    /// The platforms' clock runs ahead.
    Clock(Duration),
    /// The speaker's messaging window closes.
    Window,
    /// The end.
    Quit,
    /// Somebody does something.
    Do(Member, Deed),
}

/// What somebody does. Messages are named by their number on that person's screen, from 1; without one it is the newest
/// that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Says a text.
    Say(String),
    /// Answers a message.
    Reply(Option<usize>, String),
    /// Reacts to a message.
    React(Option<usize>, String),
    /// Takes a reaction back.
    Unreact(Option<usize>),
    /// Sends a photo, with or without words under it.
    Photo(Option<String>),
    /// Sends a voice note.
    Voice,
    /// Sends a place.
    Place,
    /// Sends Instagram's heart.
    Heart,
    /// Changes an own message.
    Edit(Option<usize>, String),
    /// Takes an own message back.
    Unsend(Option<usize>),
    /// Reads everything.
    Read,
}

/// Why a line cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Nobody has that name.
    #[error("nobody here is called `{0}`; name a platform or a person, as in: /as instagram")]
    Nobody(String),
    /// There is no such command.
    #[error(
        "there is no /{0}; /help shows what there is, and /say says words that begin with a slash"
    )]
    NoSuchDeed(String),
    /// Words are missing.
    #[error("/{deed} wants {wants}, as in: {example}")]
    Incomplete {
        /// The command.
        deed: String,
        /// What is missing.
        wants: &'static str,
        /// How to write it.
        example: &'static str,
    },
    /// There is no message of that number.
    #[error("{name}'s screen has no message {number}; it has {count} (/phone shows them)")]
    NoSuchMessage {
        /// The person.
        name: &'static str,
        /// The number.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// No message fits.
    #[error("{name}'s screen shows nothing {whose} yet; say something first")]
    NothingYet {
        /// The person.
        name: &'static str,
        /// Whose message is looked for.
        whose: &'static str,
    },
    /// The platform cannot do that.
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

/// Reads a line that is typed while `speaker` speaks.
///
/// # Errors
/// [`LineError`] says how to write it.
pub fn parse(line: &str, speaker: Member) -> Result<Typed, LineError> {
    let line = line.trim();
    let (first, rest) = word(line);
    if let Some((name, said)) = line.split_once('>')
        && let Some(speaker) = named(name.trim())
    {
        let typed = parse(said, speaker)?;
        let what = if typed.what == Line::Empty { Line::Switch } else { typed.what };
        return Ok(Typed { speaker: typed.speaker, what });
    }
    let plain = |what| Ok(Typed { speaker, what });
    match line {
        "" => return plain(Line::Empty),
        "help" | "?" => return plain(Line::Help),
        "quit" | "exit" => return plain(Line::Quit),
        _ => {}
    }
    if let (Some(speaker), true) = (named(first), rest.is_empty()) {
        return Ok(Typed { speaker, what: Line::Switch });
    }
    if let Some(member) = addressed(first) {
        let what = match rest.strip_prefix('/') {
            Some(command) => command_of(command, member)?,
            None => Line::Do(member, Deed::Say(rest.to_owned())),
        };
        return plain(what);
    }
    let Some(command) = line.strip_prefix('/') else {
        return plain(Line::Do(speaker, Deed::Say(line.to_owned())));
    };
    let (name, rest) = word(command);
    if name == "as" {
        let speaker =
            named(rest.trim_end_matches('>')).ok_or_else(|| LineError::Nobody(rest.to_owned()))?;
        return Ok(Typed { speaker, what: Line::Switch });
    }
    plain(command_of(command, speaker)?)
}

/// A person by name or by platform, in whatever case.
fn named(word: &str) -> Option<Member> {
    let of_platform = |member: &Member| member.kind.word().eq_ignore_ascii_case(word);
    Member::named(word).or_else(|| CAST.into_iter().find(of_platform))
}

/// Who is to speak in `bob Hello` and `Bob: Hello`. A capital and no colon is how a text may begin.
fn addressed(word: &str) -> Option<Member> {
    let bare = word.trim_end_matches(':');
    let is_address = bare.len() < word.len() || word.chars().all(char::is_lowercase);
    Member::named(bare).filter(|_| is_address)
}

/// What stands behind the slash.
fn command_of(command: &str, member: Member) -> Result<Line, LineError> {
    let (name, rest) = word(command);
    let some = || (!rest.is_empty()).then(|| rest.to_owned());
    let incomplete =
        |wants, example| LineError::Incomplete { deed: name.to_owned(), wants, example };
    let words = |example| some().ok_or_else(|| incomplete("words", example));
    let numbered = |example| {
        let (number, words) = number(rest);
        if words.is_empty() { Err(incomplete("words", example)) } else { Ok((number, words)) }
    };
    let deed = match name {
        "help" => return Ok(Line::Help),
        "where" => return Ok(Line::Places),
        "phone" => return Ok(Line::Screen),
        "window" => return Ok(Line::Window),
        "quit" | "exit" => return Ok(Line::Quit),
        "clock" => {
            let time = parse_duration(rest);
            return time.map(Line::Clock).ok_or_else(|| incomplete("a time", "/clock 25h"));
        }
        "say" => Deed::Say(words("/say Hello")?),
        "reply" => numbered("/reply 1 Hello").map(|(number, text)| Deed::Reply(number, text))?,
        "react" => match number(rest) {
            (number, sign) if sign.is_empty() => Deed::React(number, "❤".to_owned()),
            (number, sign) => Deed::React(number, sign),
        },
        "unreact" => Deed::Unreact(number(rest).0),
        "photo" => Deed::Photo(some()),
        "voice" => Deed::Voice,
        "place" => Deed::Place,
        "heart" => Deed::Heart,
        "edit" => numbered("/edit 1 Hello").map(|(number, text)| Deed::Edit(number, text))?,
        "unsend" => Deed::Unsend(number(rest).0),
        "read" => Deed::Read,
        other => return Err(LineError::NoSuchDeed(other.to_owned())),
    };
    Ok(Line::Do(member, deed))
}

/// The number at the beginning, if there is one, and what comes behind it.
fn number(text: &str) -> (Option<usize>, String) {
    let (first, rest) = word(text);
    match first.trim_start_matches('#').parse() {
        Ok(number) => (Some(number), rest.to_owned()),
        Err(_) => (None, text.to_owned()),
    }
}

/// The first word, and what comes behind it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Does it.
///
/// # Errors
/// [`LineError::NoSuchMessage`], [`LineError::NothingYet`], or what the platform does not have.
pub fn act(member: &Member, phone: &Phone, deed: Deed) -> Result<(), LineError> {
    let view = phone.view();
    let find = |number: Option<usize>, own: bool| found(member, &view, number, own);
    match deed {
        Deed::Say(text) => phone.say(text).map(drop)?,
        Deed::Reply(number, text) => phone.reply(find(number, false)?, text).map(drop)?,
        Deed::React(number, sign) => phone.react(find(number, false)?, &sign).map(drop)?,
        Deed::Unreact(number) => phone.unreact(find(number, false)?).map(drop)?,
        Deed::Photo(caption) => {
            let photo = Bytes::from_static(PHOTO);
            let has_captions = member.kind == Kind::WhatsApp;
            let under = caption.as_deref().filter(|_| has_captions);
            phone.photo(photo, "image/png", under)?;
            // Where words cannot stand under a photo, people write them after it.
            if let Some(words) = caption.filter(|_| !has_captions) {
                phone.say(words)?;
            }
        }
        Deed::Voice if member.kind == Kind::WhatsApp => {
            phone.voice(Bytes::from_static(OGG)).map(drop)?;
        }
        Deed::Voice => phone.voice(Bytes::from_static(MP4)).map(drop)?,
        Deed::Place => {
            let (name, address) = (Some("Café Central"), Some("Herrengasse 14, Vienna"));
            phone.location(48.2104, 16.3654, name, address).map(drop)?;
        }
        Deed::Heart => phone.heart().map(drop)?,
        Deed::Edit(number, text) => phone.edit(find(number, true)?, text).map(drop)?,
        Deed::Unsend(number) => phone.unsend(find(number, true)?).map(drop)?,
        Deed::Read => phone.read().map(drop)?,
    }
    Ok(())
}

/// The id of the message of that number, or of the newest of the others or of one's own.
fn found<'a>(
    member: &Member,
    view: &'a [Seen],
    number: Option<usize>,
    own: bool,
) -> Result<&'a str, LineError> {
    let name = member.name;
    let Some(number) = number else {
        let whose = if own { "of one's own" } else { "of the others" };
        let newest = view.iter().rfind(|seen| seen.mine == own && !seen.unsent);
        let nothing = LineError::NothingYet { name, whose };
        return newest.map(|seen| seen.native_id.as_str()).ok_or(nothing);
    };
    let seen = number.checked_sub(1).and_then(|index| view.get(index));
    let missing = LineError::NoSuchMessage { name, number, count: view.len() };
    seen.map(|seen| seen.native_id.as_str()).ok_or(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cast::{ALICE, BOB, CARLA};

    /// What a line means while Alice speaks.
    fn read(line: &str) -> Typed {
        parse(line, ALICE).unwrap()
    }

    fn does(line: &str) -> Deed {
        match read(line) {
            Typed { speaker: ALICE, what: Line::Do(ALICE, deed) } => deed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_said_by_the_one_who_speaks_unless_it_names_another() {
        assert_eq!(does("Hello  there"), Deed::Say("Hello  there".into()));
        assert_eq!(does("/say /shrug"), Deed::Say("/shrug".into()));
        assert_eq!(does("Bob, are you there?"), Deed::Say("Bob, are you there?".into()));
        assert_eq!(does("2 > 1"), Deed::Say("2 > 1".into()));
        for other in ["bob Hi", " Bob: Hi ", "bob: Hi"] {
            let bob = Typed { speaker: ALICE, what: Line::Do(BOB, Deed::Say("Hi".into())) };
            assert_eq!(read(other), bob, "{other}");
        }
        let reply = Line::Do(BOB, Deed::Reply(Some(2), "yes".into()));
        assert_eq!(read("bob /reply 2 yes").what, reply);
    }

    #[test]
    fn a_platform_with_the_sign_of_the_prompt_changes_who_speaks() {
        let carla = Typed { speaker: CARLA, what: Line::Switch };
        for line in
            ["instagram>", "instagram> ", "Instagram", "carla", "/as carla", "/as instagram"]
        {
            assert_eq!(read(line), carla, "{line}");
        }
        let says = |member, text: &str| Line::Do(member, Deed::Say(text.to_owned()));
        assert_eq!(read("instagram> Ciao"), Typed { speaker: CARLA, what: says(CARLA, "Ciao") });
        assert_eq!(read("messenger>Hi > you").what, says(BOB, "Hi > you"));
        let heart = Typed { speaker: CARLA, what: Line::Do(CARLA, Deed::Heart) };
        assert_eq!(read("instagram> /heart"), heart);
    }

    #[test]
    fn messages_are_named_by_their_number_or_are_the_newest() {
        assert_eq!(does("/reply 2 yes"), Deed::Reply(Some(2), "yes".into()));
        assert_eq!(does("/reply yes, 2"), Deed::Reply(None, "yes, 2".into()));
        assert_eq!(does("/react 3 🎉"), Deed::React(Some(3), "🎉".into()));
        assert_eq!(does("/react 🎉"), Deed::React(None, "🎉".into()));
        assert_eq!(does("/react #3"), Deed::React(Some(3), "❤".into()));
        assert_eq!(does("/unreact 3"), Deed::Unreact(Some(3)));
        assert_eq!(does("/photo"), Deed::Photo(None));
        assert_eq!(
            (does("/unsend 1"), does("/unsend")),
            (Deed::Unsend(Some(1)), Deed::Unsend(None))
        );
        assert_eq!(read("/clock 25h").what, Line::Clock(Duration::from_secs(25 * 3_600)));
        for (line, what) in [("", Line::Empty), ("help", Line::Help), ("/quit", Line::Quit)] {
            assert_eq!(read(line).what, what);
        }
    }

    #[test]
    fn a_line_that_cannot_be_followed_says_how_to_write_it() {
        let refused = |line: &str| parse(line, ALICE).unwrap_err().to_string();
        assert!(refused("/as dave").contains("/as instagram"));
        assert!(refused("/dance").contains("no /dance"));
        assert!(refused("/reply").contains("/reply 1 Hello"));
        assert!(refused("/edit 1").contains("/edit 1 Hello"));
        assert!(refused("/clock soon").contains("/clock 25h"));
    }

    #[test]
    fn the_help_lists_every_command_and_every_line_of_it_is_understood() {
        for line in HELP.lines().chain(FIRST_WORDS.lines()) {
            let example = line.split("  ").next().unwrap_or_default();
            assert!(parse(example, ALICE).is_ok(), "{example}");
        }
        for name in
            ["as", "say", "reply", "react", "unreact", "photo", "voice", "place", "heart", "edit"]
        {
            assert!(HELP.contains(&format!("/{name}")), "{name}");
        }
        for name in ["unsend", "read", "phone", "clock", "window", "where", "help", "quit"] {
            assert!(HELP.contains(&format!("/{name}")), "{name}");
        }
    }
}
