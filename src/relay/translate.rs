//! What follows from one native event: dispatches, dead letters, settlements. Synchronous and without I/O.

use super::later::Later;
use super::news::{Echo, News, Read, Settlement};
use crate::config::{OperatorMessages, Order};
use crate::dead::Reason;
use crate::deliver::{Arrival, NOTICE_AUTHOR};
use crate::live::{Account, Live};
use crate::wire::Marker;
use interline_bridge_api::{BodyError, Bridge, ChatKind, Normalized};
use interline_envelope::{
    AccountRef, Address, Author, Dispatch, ENVELOPE_BYTES_MAX, Envelope, IdKey, Kind, Origin, Part,
    Redacted, Status, StatusState, Target, Unknown,
};
use interline_notice::Cause;
use interline_relay::{
    Absorbed, Binding, Participant, Route, Seat, alias, likeness_of_echo, opens_window, route,
    unnamed,
};
use interline_store::{NativeMessage, ReadUpTo};
use std::panic::AssertUnwindSafe;
use tracing::debug;

/// What follows from one native event.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) dead: Vec<(Reason, String)>,
    pub(super) news: News,
    pub(super) bindings: Vec<Binding>,
    pub(super) arrivals: Vec<Arrival>,
    pub(super) openings: Vec<Opening>,
    pub(super) failed: Vec<Later>,
    /// Messages of ours that arrived, on platforms that may report failures later.
    pub(super) arrived: Vec<Marker>,
    /// What is not passed on, and why, as its senders are told.
    pub(super) refused: Vec<(Dispatch, Cause)>,
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
    // An id is twice in a dispatch, and nothing else of the body is.
    if body.len() > ENVELOPE_BYTES_MAX / 2 {
        refuse_oversized(&mut out);
    }
    out
}

/// Takes out what is too large for a queue: its event is dead-lettered whole.
fn refuse_oversized(out: &mut Consequences) {
    let Consequences { dispatches, dead, news, refused, .. } = out;
    let later = news.echoes.iter_mut().map(|echo| &mut echo.dispatches);
    for list in std::iter::once(dispatches).chain(later) {
        list.retain(|dispatch| {
            // It gets a predecessor's id when it is published.
            let whole = Dispatch { prev: Some(dispatch.id), ..dispatch.clone() };
            let Err(error) = whole.write_json(&mut Vec::new()) else { return true };
            dead.push((Reason::TooLarge, error.to_string()));
            // It reaches none of the others, so none is named.
            let to = dispatch.origin.account.clone();
            refused.push((Dispatch { to, ..whole }, Cause::Refused));
            false
        });
    }
}

fn reason_of(error: &BodyError) -> Reason {
    match error {
        BodyError::TooLarge { .. } | BodyError::TooManyItems => Reason::TooLarge,
        BodyError::Json(_) | BodyError::Foreign { .. } => Reason::Malformed,
    }
}

fn one(live: &Live, ids: &IdKey, bridge: &dyn Bridge, envelope: Envelope, out: &mut Consequences) {
    if let Some(settlement) = settlement(&envelope) {
        out.news.settlements.push(settlement);
    }
    if envelope.kind == Kind::Status {
        return status(live, bridge, envelope, out);
    }
    let account = AccountRef::new(envelope.platform.clone(), &envelope.account);
    if envelope.echo {
        return echo(live, ids, bridge, envelope, out);
    }
    let Some(person) = &envelope.from else {
        return absorb(&envelope, absorbed_without_person(&envelope), out);
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
    let author = || alias(seat, &envelope, bridge.manifest().display_name);
    let targets: Vec<Address> = match route(&envelope, seat) {
        Route::ToOthers => seat.others().map(|participant| participant.address.clone()).collect(),
        Route::ToAuthor => return,
        Route::Absorbed(why) => {
            // What has no id of its own need not be something that the person said.
            if why == Absorbed::Unsupported && envelope.native_id.is_some() {
                let to_itself = seat.own().map(|own| own.address.clone()).into_iter().collect();
                let about = dispatches(ids, seat, &author(), &envelope, to_itself);
                out.refused.extend(about.into_iter().map(|about| (about, Cause::NotBridged)));
            }
            return absorb(&envelope, why, out);
        }
    };
    let author = author();
    out.dispatches.extend(dispatches(ids, seat, &author, &envelope, targets));
}

/// An envelope bound for each of its targets.
fn dispatches(
    ids: &IdKey,
    seat: Seat<'_>,
    author: &Author,
    envelope: &Envelope,
    targets: Vec<Address>,
) -> Vec<Dispatch> {
    let Some(own) = seat.own().map(|participant| participant.address.clone()) else {
        return Vec::new();
    };
    let conversation = seat.conversation.name.to_string();
    let bound = |to: Address| Dispatch {
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
    };
    targets.into_iter().map(bound).collect()
}

/// What the account itself sent: an echo of ours is absorbed; what somebody wrote by hand is heard by all but the person
/// who has it already.
fn echo(live: &Live, ids: &IdKey, bridge: &dyn Bridge, envelope: Envelope, out: &mut Consequences) {
    // A marker of any Interline, also of another daemon with the same account: two that hear each other would never end.
    if settlement(&envelope).is_some() {
        return debug!(envelope_id = %envelope.id, disposition = "echo", "absorbed");
    }
    let account = AccountRef::new(envelope.platform.clone(), &envelope.account);
    let seat = envelope.to.as_ref().and_then(|person| live.directory.find(&account, person));
    let live_account = live.account(&account);
    let (Some(seat), Some(of)) = (seat, live_account) else { return };
    let gives_markers_back = bridge.capabilities(ChatKind::Direct).marker_bytes_max.is_some();
    let is_heard = carries_words(&envelope) && of.operator_messages == OperatorMessages::Relay;
    let was_passed_on = is_heard && !gives_markers_back && bears_a_name(live, seat, &envelope);
    if was_passed_on {
        debug!(envelope_id = %envelope.id, disposition = "echo", "an Interline passed it on, this one or another");
    }
    let mut operators = Vec::new();
    if is_heard && !was_passed_on && !envelope.history && !envelope.standby {
        // Always by name: else it would look as if the other person had said it.
        let alias = operator_of(&of).to_owned().into();
        let author = Author { alias, named: true, unknown: Unknown::new() };
        let targets = seat.others().map(|participant| participant.address.clone()).collect();
        operators = dispatches(ids, seat, &author, &envelope, targets);
    }
    match (gives_markers_back, seat.own(), envelope.native_id.clone()) {
        (false, Some(own), Some(native_id)) => {
            let Address { account, user: chat } = own.address.clone();
            let message = NativeMessage { account, chat, native_id };
            let likeness = likeness_of_echo(&envelope);
            out.news.echoes.push(Echo {
                message,
                likeness,
                time: envelope.time,
                dispatches: operators,
            });
        }
        (true, _, _) | (_, None, _) | (_, _, None) => out.dispatches.extend(operators),
    }
}

/// Under what name people hear what was written by hand for an account.
fn operator_of(account: &Account) -> &str {
    account.name.as_deref().unwrap_or(account.bridge.manifest().display_name)
}

/// True if a name of the conversation stands before the words, as what an Interline passes on has it. Where no marker
/// comes back, two daemons with the same accounts know each other by it: else each would pass on for ever what the other
/// did.
fn bears_a_name(live: &Live, seat: Seat<'_>, envelope: &Envelope) -> bool {
    let Some(Part::Text { text, .. }) = envelope.parts.first() else { return false };
    let begins = |name: &str| {
        text.as_exposed_str().strip_prefix(name).is_some_and(|rest| rest.starts_with(": "))
    };
    let is_of = |participant: &Participant| {
        let of_person = participant.name.as_ref().map(Redacted::as_exposed_str);
        let of_account = live.account(&participant.address.account);
        of_person.is_some_and(begins)
            || of_account.is_some_and(|of| {
                begins(operator_of(&of)) || begins(&unnamed(of.bridge.manifest().display_name))
            })
    };
    begins(NOTICE_AUTHOR) || seat.conversation.participants.iter().any(is_of)
}

/// A participant's id changed: the new one belongs to the same seat.
fn renewed(envelope: &Envelope, seat: Seat<'_>) -> Option<Binding> {
    let current = envelope.system.as_ref()?.current.clone()?;
    Some(Binding { id: current, address: seat.own()?.address.clone() })
}

/// A status of ours tells its author that it was read, or that the message will not arrive after all.
fn status(live: &Live, bridge: &dyn Bridge, envelope: Envelope, out: &mut Consequences) {
    out.news.reads.extend(read(live, bridge, &envelope));
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

/// Somebody has read what the others wrote, and their conversation lets the authors see that.
fn read(live: &Live, bridge: &dyn Bridge, envelope: &Envelope) -> Option<Read> {
    let state = &envelope.status.as_ref()?.state;
    if !matches!(state, StatusState::Read | StatusState::Played) {
        return None;
    }
    let account = AccountRef::new(envelope.platform.clone(), &envelope.account);
    let seat = live.directory.find(&account, envelope.from.as_ref()?)?;
    let up_to = match envelope.target.as_ref()? {
        Target::Watermark { watermark } => ReadUpTo::Time(*watermark),
        Target::Messages { native_ids } => ReadUpTo::Message(native_ids.last()?.clone()),
    };
    let reader = seat.own()?.address.clone();
    let envelope = bare_status(envelope, state.clone());
    seat.conversation.receipts.then(|| Read {
        reader,
        up_to,
        conversation: seat.conversation.name.to_string(),
        alias: alias(seat, &envelope, bridge.manifest().display_name),
        envelope,
    })
}

/// What a receipt needs of a status, which shows nobody's name. The rest has no bound: what others put into a send comes
/// back with it.
fn bare_status(of: &Envelope, state: StatusState) -> Envelope {
    let (platform, chat) = (of.platform.clone(), of.chat.as_exposed_str());
    let bare = Envelope::new(of.id, of.kind, platform, of.account.clone(), chat, of.time);
    let status = Status { state, error: None, marker: None, unknown: Unknown::new() };
    Envelope { status: Some(status), ..bare }
}

fn absorb(envelope: &Envelope, why: Absorbed, out: &mut Consequences) {
    debug!(envelope_id = %envelope.id, kind = envelope.kind.as_str(), disposition = why.as_str(), "absorbed");
    // What somebody said and nobody will hear is not dropped in silence, even where it is not bridged yet.
    let lost = match why {
        Absorbed::Echo
        | Absorbed::Standby
        | Absorbed::History
        | Absorbed::Alone
        | Absorbed::Typing
        | Absorbed::Referral
        | Absorbed::System
        | Absorbed::Handover
        | Absorbed::Account => why.is_loss() && carries_words(envelope),
        Absorbed::Unsupported => !envelope.history,
    };
    if lost && envelope.from.is_none() {
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
        let text = r#"
            broker.urls = ["embedded"]
            [[account]]
            bridge = "messenger"
            id = "2"
            access_token = "token"
            app_secret = "secret"
            verify_token = "word"
            [[conversation]]
            name = "pair"
            participants = ["messenger/2/1", "messenger/2/3"]
        "#;
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
        assert!(whole.dead.is_empty() && whole.dispatches.len() == 1);
        let broken = translate(&live(), &ids, &Broken(messenger), ECHO.as_bytes());
        assert_eq!(broken.dead.first().map(|(reason, _)| *reason), Some(Reason::CodecPanicked));
        assert!(broken.dispatches.is_empty() && broken.dead.len() == 1);
    }
}
