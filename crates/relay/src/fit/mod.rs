//! Makes an envelope's content acceptable to a target: what is native stays native, the rest degrades by rule.
//!
//! Called by deliver before the first request of a dispatch. Pure: no clock, no I/O, cannot fail. It transcodes
//! nothing and knows no platform's name: what a target can show stands in its [`crate::Capabilities`].
//! *Invariant:* every text is within the target's limit.
//! *Invariant:* a plan without requests says why, by its [`Form`].

mod about;
mod draft;
mod excerpt;
mod lead;
mod lines;
mod marks;
mod media;
mod split;
#[cfg(test)]
mod tests;
mod visible;
mod ways;

pub use excerpt::excerpt;
pub use media::{caption_apart, instead_of_media};
pub use ways::{Conversion, Conversions, MediaWay, media_ways};

use crate::{FitInput, Form, Loss, Plan, Refusal};
use draft::Draft;
use interline_envelope::{Kind, Part};

/// Plans what is to be sent for one dispatch. The markers are left to the caller.
///
/// `docs/fidelity.md` shows what comes of each kind on each platform.
pub fn fit(input: &FitInput<'_>) -> Plan {
    if input.envelope.parts.iter().any(|part| matches!(part, Part::Sealed { .. })) {
        let form = Form::Refusal(Refusal::Sealed);
        return Plan { outgoings: Vec::new(), losses: vec![Loss::Sealed], form };
    }
    let mut draft = Draft::new(input);
    match input.envelope.kind {
        Kind::Message => draft.message(),
        Kind::Edit => draft.edit(),
        Kind::Delete => draft.delete(),
        Kind::Reaction => draft.reaction(),
        Kind::Status => draft.status(),
        Kind::Typing => draft.typing(),
        Kind::System => draft.system(),
        Kind::Referral | Kind::Handover | Kind::Account => {
            draft.show_nothing(Loss::NotForPeople);
        }
        Kind::Unsupported => draft.unsupported(),
    }
    draft.finish()
}
