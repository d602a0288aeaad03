//! Decides where an envelope goes, and under what name.
//!
//! Called by the relay stage. Pure: no clock, no I/O, cannot fail.
//! *Invariant:* nothing goes back to the participant that it came from.

use crate::Seat;
use interline_envelope::{Author, Envelope, Kind, Redacted, Unknown};
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
        Kind::Status => Route::ToAuthor,
        Kind::Typing => Route::Absorbed(Absorbed::Typing),
        Kind::Referral => Route::Absorbed(Absorbed::Referral),
        Kind::System => Route::Absorbed(Absorbed::System),
        Kind::Handover => Route::Absorbed(Absorbed::Handover),
        Kind::Account => Route::Absorbed(Absorbed::Account),
        Kind::Unsupported => Route::Absorbed(Absorbed::Unsupported),
    }
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
        .unwrap_or_else(|| format!("Someone on {platform_name}"));
    Author {
        alias: Redacted::new(name),
        named: seat.conversation.names_authors(),
        unknown: Unknown::new(),
    }
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
        let is_space = grapheme.chars().all(|c| c.is_whitespace() || c.is_control());
        if is_space {
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
