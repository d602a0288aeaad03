//! Whether an account may send to a person now: limits first, then the messaging window.
//!
//! Called under the platform's lock, right before a send is taken, so that two sends cannot both be the last one.
//! Source: platform facts, section 4 (windows, rates) and section 5 (their errors).

use std::time::Duration;

use crate::accept::Deed;
use crate::config::Kind;
use crate::graph_error::GraphError;
use crate::limits::minutes;
use crate::seen::{Content, MediaKind};
use crate::state::State;

/// How long `HUMAN_AGENT` may answer.
const HUMAN_AGENT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// WhatsApp's words for a closed window.
const CLOSED: &str = "Message failed to send because more than 24 hours have passed since the customer last replied to \
                      this number.";

/// What lets a send through while the window is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nothing.
    None,
    /// `MESSAGE_TAG` with `HUMAN_AGENT`: seven days.
    HumanAgent,
    /// A template: always.
    Template,
}

/// The deed as it is to be taken: itself, or on WhatsApp a failure that is told later.
pub(crate) fn admit(
    kind: Kind,
    state: &mut State,
    account: &str,
    deed: Deed,
) -> Result<Deed, GraphError> {
    let (person, pass) = match &deed {
        Deed::Show { person, pass, .. } => (person, *pass),
        Deed::React { person, .. } => (person, Pass::None),
        Deed::Read { .. } | Deed::Typing { .. } | Deed::Fail { .. } => return Ok(deed),
    };
    let person = person.clone();
    throttle(kind, state, account, &person, &deed)?;
    let (now_ms, window) = (state.now_ms(), state.settings.window);
    let Some(phone) = state.phone(account, &person) else { return Ok(deed) };
    let open = match pass {
        Pass::None => phone.heard_within(now_ms, window),
        Pass::HumanAgent => {
            phone.heard_within(now_ms, window.map(|window| window.max(HUMAN_AGENT)))
        }
        Pass::Template => true,
    };
    if open {
        return Ok(deed);
    }
    match (kind, deed) {
        (Kind::WhatsApp, Deed::Show { marker, .. } | Deed::React { marker, .. }) => {
            Ok(Deed::Fail {
                recipient: person,
                marker,
                code: 131_047,
                title: "Re-engagement message".to_owned(),
                details: CLOSED.to_owned(),
            })
        }
        (kind, _) => Err(GraphError::window(kind)),
    }
}

/// The limits that are set, the account's before the pair's.
fn throttle(
    kind: Kind,
    state: &mut State,
    account_id: &str,
    person: &str,
    deed: &Deed,
) -> Result<(), GraphError> {
    let (limits, clock) = (state.settings.limits, state.clock.clone());
    let Some(account) = state.accounts.get_mut(account_id) else { return Ok(()) };
    let too_fast = |wait: Duration| GraphError {
        regain_minutes: Some(minutes(wait)),
        ..GraphError::throttle(kind)
    };
    if let Some(count) = limits.messages_per_second {
        account.meters.messages.per_second(&clock, count).map_err(too_fast)?;
    }
    if let (Some(count), true) = (limits.media_per_second, is_sound_or_film(deed)) {
        account.meters.media.per_second(&clock, count).map_err(too_fast)?;
    }
    if let (Some(pair), Some(phone)) = (limits.pair, account.phones.get_mut(person)) {
        let taken = phone.pair.take(&clock, pair.every, pair.burst, false);
        taken.map_err(|_wait| GraphError::throttle_pair())?;
    }
    Ok(())
}

fn is_sound_or_film(deed: &Deed) -> bool {
    let Deed::Show { content: Content::Media(media), .. } = deed else { return false };
    matches!(media.kind, MediaKind::Audio | MediaKind::Voice | MediaKind::Video)
}
