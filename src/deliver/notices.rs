//! Tells people that something they sent did not arrive, or not yet.
//!
//! A notice is a dispatch of its own, to its sender's own account: it goes through the queue, the lane, the checks and
//! the records that every dispatch goes through. Its id follows from the conversation, the cause and the hour, so that
//! what is told twice arrives once. *Invariant:* there is no notice about a notice. *Invariant:* the broker has confirmed
//! it before what caused it is finished.

use super::account::Delivering;
use super::bury::BuryError;
use crate::clock::{millis, now_ms};
use crate::dead::Reason;
use crate::live::Live;
use crate::relay::dispatch_message;
use crate::wire::Wire;
use interline_broker::{PublishError, Publisher};
use interline_envelope::{
    Author, Dispatch, Envelope, IdInput, IdKey, Kind, LaneId, NativeKey, Origin, Part, ReplyTo,
    Unknown,
};
use interline_notice::{Cause, HOUR, Language, Limiter, notice};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use tracing::{debug, warn};

/// Who is shown as the author.
pub(crate) const AUTHOR: &str = "Interline";
/// Where a notice's envelope says that it is one, and why.
const MARK: &str = "notice";
/// How many notices an hour all people together can get.
const AN_HOUR_MAX: usize = 10_000;

/// What was told, all accounts together.
#[derive(Clone, Debug)]
pub struct Notices {
    told: Arc<Mutex<Limiter<LaneId>>>,
    since: Instant,
}

impl Default for Notices {
    fn default() -> Self {
        Self { told: Arc::new(Mutex::new(Limiter::new(AN_HOUR_MAX))), since: Instant::now() }
    }
}

/// What it takes to tell somebody something.
pub(crate) struct Telling<'a> {
    pub(crate) live: &'a Live,
    pub(crate) ids: &'a IdKey,
    pub(crate) wire: &'a Wire,
    pub(crate) publisher: &'a Publisher,
}

impl Notices {
    fn told(&self) -> std::sync::MutexGuard<'_, Limiter<LaneId>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the sender of a dispatch why it does not arrive, once an hour for each cause and conversation, and waits for
    /// the broker's confirm.
    ///
    /// # Errors
    /// [`PublishError`]: nobody was told, and it may be tried again.
    pub(crate) async fn tell(
        &self,
        with: Telling<'_>,
        about: &Dispatch,
        cause: Cause,
    ) -> Result<(), PublishError> {
        let Some(cause) = cause_for(about.envelope.kind, cause) else { return Ok(()) };
        let Some(dispatch) = notice_of(with.live, with.ids, about, cause) else { return Ok(()) };
        if !self.told().allows(cause, dispatch.lane, self.since.elapsed()) {
            return Ok(());
        }
        let told = with.publish(&dispatch).await;
        match &told {
            Ok(()) => debug!(dispatch_id = %about.id, cause = cause.as_str(), "its sender is told"),
            Err(_) => self.told().take_back(cause, dispatch.lane),
        }
        match told {
            // Whose account delivers nothing any more, or has too much to deliver, is told nothing: what died must not
            // wait for it.
            Err(error) if error.is_refusal() => {
                warn!(%error, dispatch_id = %about.id, cause = cause.as_str(), "a sender's queue takes no notice");
                Ok(())
            }
            told => told,
        }
    }
}

impl Telling<'_> {
    async fn publish(&self, dispatch: &Dispatch) -> Result<(), PublishError> {
        let Ok(sealed) = self.wire.seal(dispatch) else { return Ok(()) };
        let prefix = &self.live.config.broker.prefix;
        let message = dispatch_message(prefix, &dispatch.to.account, dispatch.id, sealed, None);
        self.publisher.publish(message).await
    }
}

/// Why a dead letter's sender is told something; nothing where there is nobody to tell, or nothing that was said.
const fn cause_of(reason: Reason) -> Option<Cause> {
    match reason {
        Reason::Expired | Reason::Overflow => Some(Cause::Expired),
        Reason::Recipient | Reason::Handover => Some(Cause::Unreachable),
        Reason::FailedLater => Some(Cause::FailedLater),
        Reason::Uncertain => Some(Cause::Uncertain),
        Reason::NotBridged => Some(Cause::NotBridged),
        Reason::CodecPanicked
        | Reason::TooLarge
        | Reason::Unreadable
        | Reason::Unrenderable
        | Reason::Refused
        | Reason::Config
        | Reason::Permanent
        | Reason::Poison => Some(Cause::Refused),
        // Who is no member is told nothing; the rest names nobody.
        Reason::NotAMember
        | Reason::NoConversation
        | Reason::Malformed
        | Reason::UnreadableItem
        | Reason::WrongSecret => None,
    }
}

/// The same for what became of a message afterwards, where that says more.
fn cause_for(kind: Kind, cause: Cause) -> Option<Cause> {
    // What only waits is not given up.
    let waits = matches!(cause, Cause::WindowClosed | Cause::AccountPaused);
    match kind {
        Kind::Message | Kind::Reaction | Kind::Unsupported => Some(cause),
        Kind::Edit | Kind::Delete if waits => Some(cause),
        Kind::Edit => Some(Cause::EditNotPossible),
        Kind::Delete => Some(Cause::UnsendNotPossible),
        // Nobody waits for these.
        Kind::Status
        | Kind::Typing
        | Kind::Referral
        | Kind::System
        | Kind::Handover
        | Kind::Account => None,
    }
}

impl Delivering {
    /// Tells the sender of a dead letter, if there is something to tell, and waits for the broker's confirm.
    pub(super) async fn tell_of_dead(
        &self,
        dispatch: &Dispatch,
        reason: Reason,
    ) -> Result<(), BuryError> {
        let Some(cause) = cause_of(reason) else { return Ok(()) };
        self.tell(dispatch, cause).await
    }

    /// Tells the sender of a dispatch that waits or arrives without something; nothing depends on it. False if that
    /// could not be said now.
    pub(super) async fn tell_if_possible(&self, about: &Dispatch, cause: Cause) -> bool {
        let told = self.tell(about, cause).await;
        if let Err(error) = &told {
            warn!(%error, dispatch_id = %about.id, cause = cause.as_str(), "a sender cannot be told what becomes of a message");
        }
        told.is_ok()
    }

    /// Tells the sender of a dispatch why it does not arrive, once an hour for each cause and conversation.
    async fn tell(&self, about: &Dispatch, cause: Cause) -> Result<(), BuryError> {
        let publisher = self.context.publisher().ok_or(BuryError::NoBroker)?;
        let (live, ids, wire) = (&self.live(), self.ids(), &self.context.wire);
        let with = Telling { live, ids, wire, publisher: &publisher };
        Ok(self.context.notices.tell(with, about, cause).await?)
    }
}

/// The notice about a dispatch; nothing for one that is a notice itself, or whose sender cannot be told.
fn notice_of(live: &Live, ids: &IdKey, about: &Dispatch, cause: Cause) -> Option<Dispatch> {
    let to = &about.origin.account;
    live.account(&to.account)?;
    let seat = live.directory.seat_of(to)?;
    // What an operator wrote into somebody's chat is not that person's.
    let is_theirs = !about.envelope.echo && !about.envelope.extra.contains_key(MARK);
    if !is_theirs || *seat.conversation.name != about.conversation {
        return None;
    }
    let own = seat.own()?;
    let language = own.language.as_deref().and_then(Language::of_tag).unwrap_or_default();
    // Where there is one other only, everybody knows who is meant.
    let others = seat.others().filter(|_| seat.conversation.participants.len() > 2);
    let recipient = others.into_iter().find(|other| other.address == about.to);
    let recipient = recipient.and_then(|other| other.name.as_ref());
    let text = notice(cause, language, recipient.map(|name| name.as_exposed_str()));
    let envelope = envelope(ids, about, cause, text);
    Some(Dispatch {
        v: 1,
        id: ids.dispatch_id(envelope.id, to),
        lane: ids.lane_id(&about.conversation, to),
        prev: None,
        conversation: about.conversation.clone(),
        to: to.clone(),
        author: Author { alias: AUTHOR.into(), named: true, unknown: Unknown::new() },
        origin: Origin { native_id: None, ..about.origin.clone() },
        hop: about.hop,
        expires: None,
        envelope,
        unknown: Unknown::new(),
    })
}

/// One for all notices of a cause in a conversation within an hour of the clock: what a daemon told before it was
/// restarted is known as told to the one that follows.
fn key_of(cause: Cause, conversation: &str, now_ms: i64) -> String {
    format!("{MARK}:{}:{}:{conversation}", cause.as_str(), now_ms.div_euclid(millis(HOUR)))
}

/// What the sender is told, as if it had been said in their own chat: an answer to what they said.
fn envelope(ids: &IdKey, about: &Dispatch, cause: Cause, text: String) -> Envelope {
    let account = &about.origin.account.account;
    let now = now_ms();
    let key = key_of(cause, &about.conversation, now);
    let id = ids.envelope_id(&IdInput {
        kind: Kind::Message,
        platform: account.platform.as_str(),
        account: &account.account,
        chat: about.origin.chat.as_exposed_str(),
        actor: AUTHOR,
        native: NativeKey::Id(&key),
        time_ms: 0,
        discriminator: &[],
    });
    let chat = about.origin.chat.as_exposed_str();
    let platform = account.platform.clone();
    // All of an hour are one, also to the store, which looks by time.
    let time = now.div_euclid(millis(HOUR)).saturating_mul(millis(HOUR));
    let mut envelope = Envelope::new(id, Kind::Message, platform, &*account.account, chat, time);
    envelope.parts = vec![Part::text(text)];
    envelope.extra.insert(MARK.to_owned(), cause.as_str().into());
    let original = about.origin.native_id.clone().filter(|_| about.envelope.kind == Kind::Message);
    envelope.reply_to = original.map(|native_id| ReplyTo::Message { native_id });
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_is_one_notice_within_an_hour_of_the_clock_also_to_a_daemon_that_was_restarted() {
        let at = |minutes: i64| 1_700_000_400_000 + minutes * 60_000;
        let key = |minutes| key_of(Cause::Refused, "c", at(minutes));
        assert_eq!(key(0), key(30));
        assert_ne!(key(0), key(60));
        assert_ne!(key(0), key_of(Cause::Expired, "c", at(0)));
        assert_ne!(key(0), key_of(Cause::Refused, "other", at(0)));
    }

    #[test]
    fn an_edit_that_waits_is_told_as_waiting_and_one_that_came_to_nothing_as_not_possible() {
        let told = |cause| cause_for(Kind::Edit, cause);
        assert_eq!(told(Cause::WindowClosed), Some(Cause::WindowClosed));
        assert_eq!(told(Cause::AccountPaused), Some(Cause::AccountPaused));
        assert_eq!(told(Cause::Refused), Some(Cause::EditNotPossible));
    }
}
