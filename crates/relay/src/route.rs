//! Decides where an envelope goes, and under what name.
//!
//! Called by the relay stage. Pure: no clock, no I/O, cannot fail.
//! *Invariant:* nothing goes back to the participant that it came from.

use crate::Seat;
use interline_envelope::{Author, Envelope, Kind, Redacted, SystemChange, Unknown};
use unicode_segmentation::UnicodeSegmentation;

/// Where an envelope goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A dispatch for each of [`Seat::others`].
    ToOthers,
    /// A dispatch for the author of the message that it is about, if that changes what they see. Who that is stands
    /// in the store.
    ToAuthor,
    /// No dispatch.
    Absorbed(Absorbed),
}

/// Why an envelope is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absorbed {
    /// The account itself sent it.
    Echo,
    /// Another app owns the thread.
    Standby,
    /// An old message, synchronised now.
    History,
    /// Nobody else is in the conversation.
    Alone,
    /// Somebody is writing. (No platform tells us; a plugin may.)
    Typing,
    /// An ad, a link or a code opened the chat.
    Referral,
    /// A person's ids changed.
    System,
    /// Thread control moved.
    Handover,
    /// About the account itself.
    Account,
    /// An item that could not be read.
    Unsupported,
}

impl Absorbed {
    /// The word in logs, metrics and dead letters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Standby => "standby",
            Self::History => "history",
            Self::Alone => "alone",
            Self::Typing => "typing",
            Self::Referral => "referral",
            Self::System => "system",
            Self::Handover => "handover",
            Self::Account => "account",
            Self::Unsupported => "unsupported",
        }
    }

    /// What it means, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Echo => "The account itself sent it.",
            Self::Standby => "Another app owns the thread.",
            Self::History => "It is an old message that was synchronised now.",
            Self::Alone => "Nobody else is in the conversation.",
            Self::Typing => "Somebody is writing.",
            Self::Referral => "An ad, a link or a code opened the chat.",
            Self::System => "A person's ids changed.",
            Self::Handover => "Thread control moved.",
            Self::Account => "It is about the account itself.",
            Self::Unsupported => "It could not be read, or names nobody.",
        }
    }

    /// True if somebody said something that nobody will see: it belongs into the dead letters (G4).
    pub const fn is_loss(self) -> bool {
        match self {
            Self::Unsupported | Self::Alone => true,
            Self::Echo
            | Self::Standby
            | Self::History
            | Self::Typing
            | Self::Referral
            | Self::System
            | Self::Handover
            | Self::Account => false,
        }
    }
}

/// Decides where an envelope goes.
pub fn route(envelope: &Envelope, seat: Seat<'_>) -> Route {
    if envelope.echo {
        return Route::Absorbed(Absorbed::Echo);
    }
    if envelope.standby {
        return Route::Absorbed(Absorbed::Standby);
    }
    if envelope.history {
        return Route::Absorbed(Absorbed::History);
    }
    match envelope.kind {
        Kind::Message | Kind::Edit | Kind::Delete | Kind::Reaction => {
            if seat.others().next().is_none() {
                Route::Absorbed(Absorbed::Alone)
            } else {
                Route::ToOthers
            }
        }
        // That somebody has another number is told; a new scoped id is the platform's own business.
        Kind::System if is_new_number(envelope) && seat.others().next().is_some() => {
            Route::ToOthers
        }
        Kind::Status => Route::ToAuthor,
        Kind::Typing => Route::Absorbed(Absorbed::Typing),
        Kind::Referral => Route::Absorbed(Absorbed::Referral),
        Kind::System => Route::Absorbed(Absorbed::System),
        Kind::Handover => Route::Absorbed(Absorbed::Handover),
        Kind::Account => Route::Absorbed(Absorbed::Account),
        Kind::Unsupported => Route::Absorbed(Absorbed::Unsupported),
    }
}

fn is_new_number(envelope: &Envelope) -> bool {
    envelope.system.as_ref().is_some_and(|system| system.change == SystemChange::Number)
}

/// The longest alias, in grapheme clusters.
pub const ALIAS_GRAPHEMES_MAX: usize = 40;
/// The longest alias, in bytes: a "grapheme" of a thousand combining marks must not flood the target.
const ALIAS_BYTES_MAX: usize = 160;

/// Who is shown as the author: the config's name, else that of the profile, else `Someone on Instagram`.
/// Never an id, a handle or a number.
///
/// `platform_name`: the name that people know the origin by.
pub fn alias(seat: Seat<'_>, envelope: &Envelope, platform_name: &str) -> Author {
    let configured = seat.own().and_then(|own| own.name.as_ref()).map(Redacted::as_exposed_str);
    let profile = envelope
        .from
        .as_ref()
        .and_then(|person| person.name.as_ref())
        .map(Redacted::as_exposed_str)
        // People without a profile name appear under their number.
        .filter(|name| !is_number(name));
    let name = configured
        .and_then(clean_name)
        .or_else(|| profile.and_then(clean_name))
        .unwrap_or_else(|| unnamed(platform_name));
    Author {
        alias: Redacted::new(name),
        named: seat.conversation.names_authors(),
        unknown: Unknown::new(),
    }
}

/// Who is shown as the author where no name is known.
pub fn unnamed(platform_name: &str) -> String {
    format!("Someone on {platform_name}")
}

/// True if the text is made of digits and what stands between them in a telephone number.
fn is_number(name: &str) -> bool {
    name.chars().any(char::is_numeric)
        && name.chars().all(|c| c.is_numeric() || !c.is_alphanumeric())
}

/// One line without control characters, or nothing if nothing visible is left.
fn clean_name(name: &str) -> Option<String> {
    let mut clean = String::with_capacity(name.len().min(ALIAS_BYTES_MAX));
    for grapheme in name.graphemes(true).take(4 * ALIAS_GRAPHEMES_MAX) {
        if grapheme.chars().all(char::is_whitespace) {
            if !clean.is_empty() && !clean.ends_with(' ') {
                clean.push(' ');
            }
            continue;
        }
        if clean.len() + grapheme.len() > ALIAS_BYTES_MAX {
            break;
        }
        clean.extend(grapheme.chars().filter(|c| !c.is_control() && !is_invisible_control(*c)));
    }
    let short: String = clean.trim().graphemes(true).take(ALIAS_GRAPHEMES_MAX).collect();
    let short = short.trim_end();
    (short.chars().any(|c| !is_blank(c))).then(|| short.to_owned())
}

/// Marks that turn the direction of what follows: in a name they would garble the whole message.
const fn is_invisible_control(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FE0F}' | '\u{3164}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribution, Conversation, Participant};
    use interline_envelope::{Address, EnvelopeId, Person, Platform, SystemEvent};

    fn conversation(people: usize, name: Option<&str>) -> Conversation {
        let participants = (0..people).map(|n| Participant {
            address: Address::parse(&format!("instagram/1/{n}")).unwrap(),
            name: name.map(Redacted::from),
            scoped_id: None,
            language: None,
        });
        let participants = participants.collect();
        let attribution = Attribution::Auto;
        Conversation { name: "c".into(), participants, attribution, receipts: true }
    }

    fn envelope(kind: Kind) -> Envelope {
        let platform = Platform::new("instagram").unwrap();
        Envelope::new(EnvelopeId::from_bytes([0; 16]), kind, platform, "1", "2", 0)
    }

    fn routed(envelope: &Envelope, people: usize) -> Route {
        let conversation = conversation(people, None);
        route(envelope, Seat { conversation: &conversation, participant: 0 })
    }

    #[test]
    fn what_people_say_goes_to_all_others() {
        for kind in [Kind::Message, Kind::Edit, Kind::Delete, Kind::Reaction] {
            assert_eq!(routed(&envelope(kind), 3), Route::ToOthers);
            assert_eq!(routed(&envelope(kind), 1), Route::Absorbed(Absorbed::Alone));
        }
        assert_eq!(routed(&envelope(Kind::Status), 3), Route::ToAuthor);
    }

    #[test]
    fn what_is_not_for_people_is_absorbed_with_its_reason() {
        for (kind, why) in [
            (Kind::Typing, "typing"),
            (Kind::Referral, "referral"),
            (Kind::System, "system"),
            (Kind::Handover, "handover"),
            (Kind::Account, "account"),
            (Kind::Unsupported, "unsupported"),
        ] {
            let Route::Absorbed(absorbed) = routed(&envelope(kind), 3) else { panic!("{kind:?}") };
            assert_eq!(absorbed.as_str(), why);
        }
    }

    #[test]
    fn a_new_number_is_told_to_all_others() {
        let (previous, current, unknown) = (None, None, Unknown::new());
        let change = SystemChange::Number;
        let system = Some(SystemEvent { change, previous, current, unknown });
        let event = Envelope { system, ..envelope(Kind::System) };
        assert_eq!(routed(&event, 3), Route::ToOthers);
        assert_eq!(routed(&event, 1), Route::Absorbed(Absorbed::System));
    }

    #[test]
    fn echoes_standby_and_history_are_never_live_whatever_they_are() {
        for kind in [Kind::Message, Kind::Status, Kind::Reaction] {
            let event = || envelope(kind);
            let absorbed = |envelope| routed(&envelope, 3);
            let (echo, standby) = (Absorbed::Echo, Absorbed::Standby);
            assert_eq!(absorbed(Envelope { echo: true, ..event() }), Route::Absorbed(echo));
            assert_eq!(absorbed(Envelope { standby: true, ..event() }), Route::Absorbed(standby));
            let history = Envelope { history: true, ..event() };
            assert_eq!(absorbed(history), Route::Absorbed(Absorbed::History));
        }
    }

    fn alias_of(configured: Option<&str>, profile: Option<&str>) -> String {
        let conversation = conversation(2, configured);
        let mut message = envelope(Kind::Message);
        let name = profile.map(Redacted::from);
        message.from = Some(Person { name, ..Person::new("17841400000000001") });
        let seat = Seat { conversation: &conversation, participant: 0 };
        alias(seat, &message, "Instagram").alias.into_exposed()
    }

    #[test]
    fn the_alias_is_the_configs_name_else_the_profiles_else_the_platforms() {
        assert_eq!(alias_of(Some("Alice"), Some("alice93")), "Alice");
        assert_eq!(alias_of(None, Some("Alice")), "Alice");
        assert_eq!(alias_of(None, None), "Someone on Instagram");
        assert_eq!(alias_of(Some(" "), Some("\u{200B}\u{2060}")), "Someone on Instagram");
    }

    #[test]
    fn g8_a_number_or_an_id_is_never_an_alias() {
        for number in
            ["+1 (555) 000-1111", "15550001111", "١٥٥٥٠٠٠١١١١", "17841400000000001", "~ +49 30 1"]
        {
            assert_eq!(alias_of(None, Some(number)), "Someone on Instagram", "{number}");
        }
        assert_eq!(alias_of(None, Some("Alice 2")), "Alice 2");
        let mut nobody = envelope(Kind::Message);
        nobody.from = None;
        let conversation = conversation(2, None);
        let seat = Seat { conversation: &conversation, participant: 0 };
        assert_eq!(alias(seat, &nobody, "Instagram").alias.expose(), "Someone on Instagram");
    }

    #[test]
    fn an_alias_is_one_short_line_without_control_characters() {
        assert_eq!(alias_of(None, Some("A\u{7}l\r\nice\t\tB\u{202E}ob ")), "Al ice Bob");
        assert_eq!(alias_of(None, Some(&"👨‍👩‍👧‍👦".repeat(50))).len() % "👨‍👩‍👧‍👦".len(), 0);
        assert_eq!(alias_of(None, Some(&"é".repeat(50))).chars().count(), 40);
        assert!(alias_of(None, Some(&format!("A{}", "\u{301}".repeat(5000)))).len() < 200);
        assert_eq!(alias_of(None, Some("👩‍🚀 Zoë")), "👩‍🚀 Zoë");
    }

    #[test]
    fn authors_are_named_where_more_than_two_hear_each_other() {
        let named = |people, attribution| {
            let conversation = Conversation { attribution, ..conversation(people, None) };
            let seat = Seat { conversation: &conversation, participant: 0 };
            alias(seat, &envelope(Kind::Message), "Instagram").named
        };
        assert!(!named(2, Attribution::Auto));
        assert!(named(3, Attribution::Auto));
        assert!(named(2, Attribution::Always));
        assert!(!named(3, Attribution::Never));
    }
}
