//! What follows from one native event: dispatches, dead letters, settlements. Synchronous and without I/O.

use super::later::Later;
use crate::config::Order;
use crate::dead::Reason;
use crate::deliver::Arrival;
use crate::live::Live;
use crate::wire::Marker;
use interline_bridge_api::{BodyError, Bridge, ChatKind, Normalized};
use interline_envelope::{
    AccountRef, Address, Dispatch, Envelope, IdKey, Kind, Origin, Redacted, StatusState, Target,
    Unknown,
};
use interline_relay::{Absorbed, Binding, Route, Seat, alias, opens_window, route};
use std::panic::AssertUnwindSafe;
use tracing::debug;

/// A person's status or echo that says what became of a send of ours.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) marker: Marker,
    pub(super) native_ids: Vec<Redacted<String>>,
}

/// What follows from one native event.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) dead: Vec<(Reason, String)>,
    pub(super) settlements: Vec<Settlement>,
    pub(super) bindings: Vec<Binding>,
    pub(super) arrivals: Vec<Arrival>,
    pub(super) openings: Vec<Opening>,
    pub(super) failed: Vec<Later>,
    /// Messages of ours that arrived, on platforms that may report failures later.
    pub(super) arrived: Vec<Marker>,
}

/// A person wrote, so that the account may write freely to them for a while.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) person: Address,
    /// By the platform's clock: UTC milliseconds.
    pub(super) at: i64,
}

/// Translates one body. A panic, of the codec or of what follows, is a dead letter (G10).
pub(super) fn translate(
    live: &Live,
    ids: &IdKey,
    bridge: &dyn Bridge,
    body: &[u8],
) -> Consequences {
    let followed = AssertUnwindSafe(|| follow(live, ids, bridge, body));
    std::panic::catch_unwind(followed).unwrap_or_else(|_| {
        let error = "the codec panicked; this is a bug in the bridge".to_owned();
        Consequences { dead: vec![(Reason::CodecPanicked, error)], ..Consequences::default() }
    })
}

fn follow(live: &Live, ids: &IdKey, bridge: &dyn Bridge, body: &[u8]) -> Consequences {
    let mut out = Consequences::default();
    match bridge.normalize(ids, body) {
        Err(error) => out.dead.push((reason_of(&error), error.to_string())),
        Ok(Normalized { envelopes, unreadable }) => {
            out.dead.extend(
                unreadable.into_iter().map(|item| (Reason::UnreadableItem, item.to_string())),
            );
            for envelope in envelopes {
                one(live, ids, bridge, envelope, &mut out);
            }
        }
    }
    out
}

fn reason_of(error: &BodyError) -> Reason {
    match error {
        BodyError::TooLarge { .. } | BodyError::TooManyItems => Reason::TooLarge,
        BodyError::Json(_) | BodyError::Foreign { .. } => Reason::Malformed,
    }
}

fn one(live: &Live, ids: &IdKey, bridge: &dyn Bridge, envelope: Envelope, out: &mut Consequences) {
    if let Some(settlement) = settlement(&envelope) {
        out.settlements.push(settlement);
    }
    if envelope.kind == Kind::Status {
        return status(live, bridge, envelope, out);
    }
    let account = AccountRef::new(envelope.platform.clone(), &envelope.account);
    let Some(person) = envelope.from.as_ref().filter(|_| !envelope.echo) else {
        return absorb(
            bridge,
            &envelope,
            if envelope.echo { Absorbed::Echo } else { absorbed_without_person(&envelope) },
            out,
        );
    };
    out.bindings.extend(live.directory.learn(&account, person));
    let Some(seat) = live.directory.find(&account, person) else {
        if carries_words(&envelope) {
            let error = format!(
                "nobody in a conversation of account {account} wrote it; add the person to one"
            );
            out.dead.push((Reason::NoConversation, error));
        }
        return;
    };
    if opens_window(&envelope)
        && let Some(own) = seat.own()
    {
        out.openings.push(Opening { person: own.address.clone(), at: envelope.time });
    }
    if let Some(binding) = renewed(&envelope, seat) {
        live.directory.remember(&binding);
        out.bindings.push(binding);
    }
    let targets: Vec<Address> = match route(&envelope, seat) {
        Route::ToOthers => seat.others().map(|participant| participant.address.clone()).collect(),
        Route::ToAuthor => return,
        Route::Absorbed(why) => return absorb(bridge, &envelope, why, out),
    };
    let Some(own) = seat.own().map(|participant| participant.address.clone()) else { return };
    let author = alias(seat, &envelope, bridge.manifest().display_name);
    let conversation = seat.conversation.name.to_string();
    for to in targets {
        out.dispatches.push(Dispatch {
            v: 1,
            id: ids.dispatch_id(envelope.id, &to),
            lane: ids.lane_id(&conversation, &to),
            prev: None,
            conversation: conversation.clone(),
            to,
            author: author.clone(),
            origin: Origin {
                account: own.clone(),
                chat: envelope.chat.clone(),
                native_id: envelope.native_id.clone(),
                unknown: Unknown::new(),
            },
            hop: 1,
            expires: None,
            envelope: envelope.clone(),
            unknown: Unknown::new(),
        });
    }
}

/// A participant's id changed: the new one belongs to the same seat.
fn renewed(envelope: &Envelope, seat: Seat<'_>) -> Option<Binding> {
    let current = envelope.system.as_ref()?.current.clone()?;
    Some(Binding { id: current, address: seat.own()?.address.clone() })
}

/// A status of ours changes nothing that others see, but for a failure: the message will not arrive after all.
fn status(live: &Live, bridge: &dyn Bridge, envelope: Envelope, out: &mut Consequences) {
    let Some(status) = &envelope.status else { return };
    if let Some(marker) = status.marker.as_deref().and_then(Marker::parse) {
        match status.state {
            StatusState::Failed => match later(live, bridge, &envelope, marker) {
                Some(later) => out.failed.push(later),
                None => out.dead.push((Reason::FailedLater, failed_later(&envelope))),
            },
            StatusState::Delivered | StatusState::Read | StatusState::Played
                if bridge.manifest().fails_later =>
            {
                out.arrived.push(marker);
            }
            StatusState::Delivered
            | StatusState::Read
            | StatusState::Played
            | StatusState::Sent
            | StatusState::Other(_) => {}
        }
    }
    let is_final = match status.state {
        StatusState::Delivered | StatusState::Read | StatusState::Played | StatusState::Failed => {
            true
        }
        StatusState::Sent | StatusState::Other(_) => false,
    };
    let account = AccountRef::new(envelope.platform, &envelope.account);
    let awaited =
        is_final && live.account(&account).is_some_and(|now| now.order == Order::Delivered);
    if let Some(of) = envelope.target.filter(|_| awaited) {
        out.arrivals.push(Arrival { account, chat: envelope.chat, of });
    }
}

/// What a `failed` status is about; nothing where it does not say enough to act on.
fn later(live: &Live, bridge: &dyn Bridge, envelope: &Envelope, marker: Marker) -> Option<Later> {
    let failure = bridge.judge(envelope.status.as_ref()?.error.as_ref()?)?;
    let Target::Messages { native_ids } = envelope.target.as_ref()? else { return None };
    let account = AccountRef::new(envelope.platform.clone(), &envelope.account);
    let seat = envelope.from.as_ref().and_then(|person| live.directory.find(&account, person));
    Some(Later {
        marker,
        native_id: native_ids.first()?.clone(),
        person: seat.and_then(|seat| Some(seat.own()?.address.clone())),
        at: envelope.time,
        failure,
    })
}

/// The words of the dead letter of a status that nothing is known of.
fn failed_later(envelope: &Envelope) -> String {
    let code = envelope.status.as_ref().and_then(|status| Some(status.error.as_ref()?.code));
    let code = code.map_or_else(String::new, |code| format!(": code {code}"));
    format!("the platform took the message and said later that it failed{code}")
}

/// The news that a send of ours arrived: a status or an echo that carries our marker.
fn settlement(envelope: &Envelope) -> Option<Settlement> {
    let from_status = envelope.status.as_ref().and_then(|status| status.marker.as_deref());
    let from_echo = || envelope.extra.get("metadata").and_then(serde_json::Value::as_str);
    let marker =
        Marker::parse(from_status.or_else(|| if envelope.echo { from_echo() } else { None })?)?;
    let own = || envelope.native_id.iter().cloned().collect();
    let native_ids = match &envelope.target {
        Some(Target::Messages { native_ids }) if envelope.kind == Kind::Status => {
            native_ids.clone()
        }
        Some(_) | None => own(),
    };
    Some(Settlement { marker, native_ids })
}

fn absorb(bridge: &dyn Bridge, envelope: &Envelope, why: Absorbed, out: &mut Consequences) {
    debug!(envelope_id = %envelope.id, kind = envelope.kind.as_str(), disposition = why.as_str(), "absorbed");
    // What somebody said and nobody will hear is not dropped in silence, even where it is not bridged yet. Echoes of
    // our own sends are no loss; those of an operator's answers are told apart by our marker.
    let lost = match why {
        Absorbed::Echo => carries_words(envelope) && is_foreign_echo(bridge, envelope),
        Absorbed::Standby
        | Absorbed::History
        | Absorbed::Alone
        | Absorbed::Typing
        | Absorbed::Referral
        | Absorbed::System
        | Absorbed::Handover
        | Absorbed::Account => why.is_loss() && carries_words(envelope),
        Absorbed::Unsupported => !envelope.history,
    };
    if lost && envelope.from.is_none() && !envelope.echo {
        // Somebody may have said something, and nobody can tell who: an operator can look at the bytes.
        let error =
            "the item is not known to this version, or names nobody; its body has all of it";
        out.dead.push((Reason::UnreadableItem, error.to_owned()));
    } else if lost {
        out.dead.push((
            Reason::NotBridged,
            format!("{}: this kind of event is not bridged", why.as_str()),
        ));
    }
}

/// True for an echo that certainly is not of our own making: the platform gives our marker back, and this has none.
/// Where it gives none back (Instagram), an echo may always be ours.
fn is_foreign_echo(bridge: &dyn Bridge, envelope: &Envelope) -> bool {
    bridge.capabilities(ChatKind::Direct).marker_bytes_max.is_some()
        && settlement(envelope).is_none()
}

const fn absorbed_without_person(envelope: &Envelope) -> Absorbed {
    match envelope.kind {
        Kind::Handover => Absorbed::Handover,
        Kind::Account => Absorbed::Account,
        Kind::System => Absorbed::System,
        Kind::Referral => Absorbed::Referral,
        Kind::Typing => Absorbed::Typing,
        Kind::Message
        | Kind::Edit
        | Kind::Delete
        | Kind::Reaction
        | Kind::Status
        | Kind::Unsupported => Absorbed::Unsupported,
    }
}

const fn carries_words(envelope: &Envelope) -> bool {
    matches!(envelope.kind, Kind::Message | Kind::Edit | Kind::Delete | Kind::Reaction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SecretSource};
    use interline_bridge_api::{
        Capabilities, Manifest, Outcome, Outgoing, RenderContext, RenderError, Request, Response,
        Split,
    };
    use std::path::Path;
    use std::sync::Arc;

    /// Messenger's codec with a bug outside of `normalize`.
    struct Broken(Arc<dyn Bridge>);

    impl Bridge for Broken {
        fn manifest(&self) -> &Manifest {
            self.0.manifest()
        }
        fn capabilities(&self, _: ChatKind) -> &Capabilities {
            panic!("a bug")
        }
        fn split(&self, body: &[u8]) -> Result<Split, BodyError> {
            self.0.split(body)
        }
        fn normalize(&self, ids: &IdKey, event: &[u8]) -> Result<Normalized, BodyError> {
            self.0.normalize(ids, event)
        }
        fn render(&self, c: &RenderContext<'_>, o: &Outgoing) -> Result<Request, RenderError> {
            self.0.render(c, o)
        }
        fn interpret(&self, request: &Request, response: &Response) -> Outcome {
            self.0.interpret(request, response)
        }
    }

    fn live() -> Live {
        let text = "[broker]\nurls = [\"embedded\"]\n";
        let source = SecretSource { env: Box::new(|_| None), credentials_directory: None };
        let known = crate::bridges::ids();
        let (config, _) = Config::parse(Path::new("c.toml"), text, &known, &source).unwrap();
        Live::new(config).unwrap()
    }

    /// The account's own answer, which no daemon of ours sent.
    const ECHO: &str = r#"{"object":"page","entry":[{"id":"2","time":1,"messaging":[{
        "sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1700000000000,
        "message":{"mid":"m","text":"by hand","is_echo":true}}]}]}"#;

    #[test]
    fn g10_a_panic_anywhere_in_a_codec_is_one_dead_letter() {
        let ids = IdKey::published_test_key();
        let messenger = crate::bridges::find("messenger").unwrap();
        let whole = translate(&live(), &ids, messenger.as_ref(), ECHO.as_bytes());
        assert_eq!(whole.dead.first().map(|(reason, _)| *reason), Some(Reason::NotBridged));
        let broken = translate(&live(), &ids, &Broken(messenger), ECHO.as_bytes());
        assert_eq!(broken.dead.first().map(|(reason, _)| *reason), Some(Reason::CodecPanicked));
        assert!(broken.dispatches.is_empty() && broken.dead.len() == 1);
    }
}
