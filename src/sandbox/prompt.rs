//! What can be typed into a sandbox: who does what.

use super::cast::Member;
use super::demo::PHOTO;
use bytes::Bytes;
use interline_sandbox::{Phone, PhoneError, Seen};

/// How to type it.
pub const HELP: &str = "\
alice Hello             say it            (bob and carla do the same on their platforms)
bob /reply 1 Hello      answer message 1 of Bob's screen
carla /react 2 ❤        react to message 2 of Carla's screen; without a sign: take it back
alice /photo Caption    send a photo      (captions exist on WhatsApp only)
alice /place            send a place      (WhatsApp and Messenger)
bob /edit 3 Hello       change what Bob said
carla /unsend 3         take back what Carla said (WhatsApp and Instagram)
bob /read               read everything on Bob's screen
help                    this list
quit                    end it";

/// One line that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing.
    Empty,
    /// The list of what can be typed.
    Help,
    /// The end.
    Quit,
    /// Somebody does something.
    Do(Member, Deed),
}

/// What somebody does. Messages are named by their number on that person's screen, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Says a text.
    Say(String),
    /// Answers a message.
    Reply(usize, String),
    /// Reacts to a message; nothing takes it back.
    React(usize, Option<String>),
    /// Sends a photo, with or without words under it.
    Photo(Option<String>),
    /// Sends a place.
    Place,
    /// Changes an own message.
    Edit(usize, String),
    /// Takes an own message back.
    Unsend(usize),
    /// Reads everything.
    Read,
}

/// Why a line cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Nobody has that name.
    #[error(
        "nobody here is called `{0}`; begin with alice, bob or carla, as in: alice Hello (`help` shows more)"
    )]
    Nobody(String),
    /// Somebody does nothing.
    #[error("what does {0} do? For example: {1} Hello (`help` shows more)")]
    Nothing(&'static str, String),
    /// There is no such command.
    #[error("there is no /{0}; `help` shows what there is")]
    NoSuchDeed(String),
    /// A number is missing.
    #[error(
        "/{deed} wants the number of a message on {name}'s screen first, as in: /{deed} 1 (`help` shows more)"
    )]
    NoNumber {
        /// The command.
        deed: String,
        /// The person.
        name: &'static str,
    },
    /// There is no message of that number.
    #[error("{name}'s screen has no message {number}; it has {count}")]
    NoSuchMessage {
        /// The person.
        name: &'static str,
        /// The number.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// The platform cannot do that.
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

/// Reads a line.
///
/// # Errors
/// [`LineError`] says how to write it.
pub fn parse(line: &str) -> Result<Line, LineError> {
    let line = line.trim();
    match line {
        "" => return Ok(Line::Empty),
        "help" | "/help" | "?" => return Ok(Line::Help),
        "quit" | "/quit" | "exit" => return Ok(Line::Quit),
        _ => {}
    }
    let (name, rest) = word(line);
    let bare_name = name.trim_end_matches([':', '>']);
    let member = Member::named(bare_name).ok_or_else(|| LineError::Nobody(name.to_owned()))?;
    if rest.is_empty() {
        return Err(LineError::Nothing(member.name, member.name.to_lowercase()));
    }
    let Some(command) = rest.strip_prefix('/') else {
        return Ok(Line::Do(member, Deed::Say(rest.to_owned())));
    };
    let (deed, rest) = word(command);
    let numbered = || {
        let (number, rest) = word(rest);
        let no_number = || LineError::NoNumber { deed: deed.to_owned(), name: member.name };
        Ok::<_, LineError>((number.parse::<usize>().map_err(|_| no_number())?, rest.to_owned()))
    };
    let some = |text: String| (!text.is_empty()).then_some(text);
    let deed = match deed {
        "reply" => numbered().map(|(number, text)| Deed::Reply(number, text))?,
        "react" => numbered().map(|(number, sign)| Deed::React(number, some(sign)))?,
        "edit" => numbered().map(|(number, text)| Deed::Edit(number, text))?,
        "unsend" => numbered().map(|(number, _)| Deed::Unsend(number))?,
        "photo" => Deed::Photo(some(rest.to_owned())),
        "place" => Deed::Place,
        "read" => Deed::Read,
        other => return Err(LineError::NoSuchDeed(other.to_owned())),
    };
    Ok(Line::Do(member, deed))
}

/// The first word, and what comes behind it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Does it.
///
/// # Errors
/// [`LineError::NoSuchMessage`], or what the platform does not have.
pub fn act(member: &Member, phone: &Phone, deed: Deed) -> Result<(), LineError> {
    let view = phone.view();
    let id = |number: usize| {
        let seen: Option<&Seen> = number.checked_sub(1).and_then(|index| view.get(index));
        let (name, count) = (member.name, view.len());
        seen.map(|seen| seen.native_id.as_str()).ok_or(LineError::NoSuchMessage {
            name,
            number,
            count,
        })
    };
    match deed {
        Deed::Say(text) => phone.say(text).map(drop)?,
        Deed::Reply(number, text) => phone.reply(id(number)?, text).map(drop)?,
        Deed::React(number, Some(sign)) => phone.react(id(number)?, &sign).map(drop)?,
        Deed::React(number, None) => phone.unreact(id(number)?).map(drop)?,
        Deed::Photo(caption) => {
            let photo = Bytes::from_static(PHOTO);
            phone.photo(photo, "image/png", caption.as_deref()).map(drop)?;
        }
        Deed::Place => {
            let (name, address) = (Some("Café Central"), Some("Herrengasse 14, Vienna"));
            phone.location(48.2104, 16.3654, name, address).map(drop)?;
        }
        Deed::Edit(number, text) => phone.edit(id(number)?, text).map(drop)?,
        Deed::Unsend(number) => phone.unsend(id(number)?).map(drop)?,
        Deed::Read => phone.read().map(drop)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cast::{ALICE, BOB, CARLA};

    #[test]
    fn a_line_says_who_does_what() {
        let read = |line: &str| parse(line).unwrap();
        assert_eq!(read("alice Hello  there"), Line::Do(ALICE, Deed::Say("Hello  there".into())));
        assert_eq!(read(" Bob: hi "), Line::Do(BOB, Deed::Say("hi".into())));
        assert_eq!(read("bob /reply 2 yes"), Line::Do(BOB, Deed::Reply(2, "yes".into())));
        assert_eq!(read("carla /react 3 ❤"), Line::Do(CARLA, Deed::React(3, Some("❤".into()))));
        assert_eq!(read("carla /react 3"), Line::Do(CARLA, Deed::React(3, None)));
        assert_eq!(read("alice /photo"), Line::Do(ALICE, Deed::Photo(None)));
        assert_eq!(read("alice /unsend 1"), Line::Do(ALICE, Deed::Unsend(1)));
        assert_eq!((read(""), read("help"), read("quit")), (Line::Empty, Line::Help, Line::Quit));
    }

    #[test]
    fn a_line_that_cannot_be_followed_says_how_to_write_it() {
        let refused = |line: &str| parse(line).unwrap_err().to_string();
        assert!(refused("dave Hello").contains("alice, bob or carla"));
        assert!(refused("alice").contains("alice Hello"));
        assert!(refused("alice /dance").contains("no /dance"));
        assert!(refused("alice /reply soon").contains("/reply 1"));
    }

    #[test]
    fn the_help_lists_every_deed_and_every_line_of_it_is_understood() {
        for line in HELP.lines() {
            let example = line.split("  ").next().unwrap_or_default();
            assert!(parse(example).is_ok(), "{example}");
        }
        for deed in ["reply", "react", "photo", "place", "edit", "unsend", "read"] {
            assert!(HELP.contains(&format!("/{deed}")), "{deed}");
        }
    }
}
