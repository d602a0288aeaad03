//! What a native id of the origin's chat is on the target.
//!
//! Ids are resolved here and not in the relay, since only deliver knows what has arrived. A dependent never precedes
//! its target (G3): while the message that it is about may still come, it is told what to wait for.

use super::account::Delivering;
use super::job::Job;
use super::plan::PlanError;
use crate::clock::{millis, now_ms};
use interline_envelope::{
    Address, Dispatch, DispatchId, EnvelopeId, Kind, Redacted, ReplyTo, Target,
};
use interline_relay::Reference;
use interline_store::{Awaited, DispatchState, HeldStage, Known, NativeMessage, StoreError};
use std::time::Duration;

/// The longest wait of an answer for what it answers: its words matter more than the quote, and it waits in its lane,
/// since what was said later must not overtake it.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a dispatch refers to, as its target knows it.
#[derive(Debug)]
pub(super) struct References {
    /// What `envelope.reply_to` is.
    pub(super) reply: Reference,
    /// What `envelope.target` is.
    pub(super) target: Reference,
    /// Which message that is, if it is known.
    pub(super) about: Option<EnvelopeId>,
}

/// Until when a dispatch waits at least for what it is about, UTC milliseconds, and whether that is over. An answer's
/// time begins with its turn: what its lane waited for before has nothing to do with it. What is waited for has all the
/// time from when it can come: the account's queue is consumed.
pub(super) fn waits_until(on: &Delivering, job: &Job) -> (i64, bool) {
    let age_max = on.settings().parked_max_age;
    let (since_ms, long) = if is_plain(job.dispatch.envelope.kind) {
        (job.turn_ms, age_max.min(REPLY_WAIT_MAX))
    } else {
        (job.since_ms, age_max)
    };
    let consumed = on.consumes_since();
    let could_come = now_ms() - millis(consumed.map_or(Duration::ZERO, |since| since.elapsed()));
    let until = since_ms.max(could_come).saturating_add(millis(long));
    (until, !job.parks || (consumed.is_some() && now_ms() >= until))
}

/// True for what has words of its own, so that it waits for a moment only.
const fn is_plain(kind: Kind) -> bool {
    matches!(kind, Kind::Message | Kind::Unsupported)
}

/// True if a dependent finds others of its lane let go that were parked before it: it must not overtake them, and what
/// takes a reaction away that was not set yet would leave it standing.
///
/// `goes_before`: the row that stood first when this one was picked before it.
pub(super) async fn is_behind(
    on: &Delivering,
    dispatch: &Dispatch,
    goes_before: Option<DispatchId>,
) -> Result<bool, StoreError> {
    if !matches!(dispatch.envelope.kind, Kind::Edit | Kind::Delete | Kind::Reaction) {
        return Ok(false);
    }
    let held = on.store().held_peek(HeldStage::Deliver, dispatch.lane, None, 1).await?;
    let first = held.first().map(|row| row.dispatch);
    Ok(first.is_some_and(|first| first != dispatch.id && Some(first) != goes_before))
}

/// The message that a dispatch carries on. Edits, reactions and deletions carry the id of the message that they are
/// about, not one of their own.
pub(super) fn carried(dispatch: &Dispatch) -> Option<NativeMessage> {
    let origin = &dispatch.origin;
    let native_id = origin.native_id.clone().filter(|_| dispatch.envelope.kind == Kind::Message)?;
    let Address { account, user: chat } = origin.account.clone();
    Some(NativeMessage { account, chat, native_id })
}

/// Resolves both references of a dispatch. `may_wait`: false once it has waited long enough.
pub(super) async fn resolve(
    on: &Delivering,
    dispatch: &Dispatch,
    may_wait: bool,
) -> Result<References, PlanError> {
    let reply = match &dispatch.envelope.reply_to {
        // A notice to the sender: it answers in the chat that the message was written in.
        Some(ReplyTo::Message { native_id }) if dispatch.to == dispatch.origin.account => {
            Reference::Native { ids: vec![native_id.clone()], excerpt: None }
        }
        Some(ReplyTo::Message { native_id }) => {
            match one(on, dispatch, native_id, may_wait).await {
                // Its own words were not taken back.
                Err(PlanError::TargetTakenBack) => Reference::Unknown,
                known => known?.1,
            }
        }
        Some(ReplyTo::Story { .. }) | None => Reference::None,
    };
    let (about, target) = match &dispatch.envelope.target {
        Some(Target::Messages { native_ids }) => match native_ids.first() {
            Some(native_id) => one(on, dispatch, native_id, may_wait).await?,
            None => (None, Reference::None),
        },
        Some(Target::Watermark { .. }) | None => (None, Reference::None),
    };
    Ok(References { reply, target, about })
}

async fn one(
    on: &Delivering,
    dispatch: &Dispatch,
    native_id: &Redacted<String>,
    may_wait: bool,
) -> Result<(Option<EnvelopeId>, Reference), PlanError> {
    let origin = &dispatch.origin.account;
    let store = on.store();
    let Some(known) = store.envelope_of(&origin.account, &origin.user, native_id).await? else {
        return Ok((None, unknown(on, dispatch, native_id, may_wait).await?));
    };
    if is_of_somebody_else(dispatch, &known) {
        return Err(PlanError::NotTheAuthor);
    }
    let copies = store.copies_of(known.envelope, &dispatch.to).await?;
    let carrier = on.ids().dispatch_id(known.envelope, &dispatch.to);
    let is_delete = dispatch.envelope.kind == Kind::Delete;
    let state = if may_wait || is_delete { store.state_of(carrier).await? } else { None };
    // Its own dispatch may be behind this one, or be held, or have come in part. Nothing brings people what they wrote
    // themselves: a copy of their edit or reaction in words is no message of their own.
    let comes = match state {
        None => copies.is_empty() && known.writer.as_ref() != Some(&dispatch.to),
        Some(state) => state == DispatchState::Open,
    };
    if may_wait && comes {
        return Err(PlanError::Waits(Awaited::End(carrier)));
    }
    if is_delete {
        store.forget_sent(carrier).await?;
        // What did not arrive, or in part, does not arrive later either, nor when it is replayed.
        if copies.is_empty() || state == Some(DispatchState::Dead) {
            store.bury(&origin.account, &origin.user, native_id, now_ms()).await?;
        }
    }
    if copies.is_empty() {
        if is_delete {
            return Ok((Some(known.envelope), Reference::Unknown));
        }
        let reference = Reference::Known { excerpt: known.excerpt, author: known.author };
        return Ok((Some(known.envelope), reference));
    }
    let ids = copies.into_iter().map(|copy| copy.native_id).collect();
    Ok((Some(known.envelope), Reference::Native { ids, excerpt: known.excerpt }))
}

/// A message that nobody has seen yet: an event may have overtaken it. A deletion does not wait: it leaves word, so that
/// the message, if it comes, is not passed on.
async fn unknown(
    on: &Delivering,
    dispatch: &Dispatch,
    native_id: &Redacted<String>,
    may_wait: bool,
) -> Result<Reference, PlanError> {
    let origin = &dispatch.origin.account;
    let (account, chat) = (origin.account.clone(), origin.user.clone());
    if dispatch.envelope.kind == Kind::Delete {
        on.store().bury(&account, &chat, native_id, now_ms()).await?;
        return Ok(Reference::Unknown);
    }
    if may_wait {
        let native_id = native_id.clone();
        return Err(PlanError::Waits(Awaited::Message(NativeMessage { account, chat, native_id })));
    }
    if on.store().is_buried(&account, &chat, native_id).await? {
        return Err(PlanError::TargetTakenBack);
    }
    Ok(Reference::Unknown)
}

/// Only the author edits or takes back; a copy that Interline sent into the chat is nobody's to change there.
fn is_of_somebody_else(dispatch: &Dispatch, known: &Known) -> bool {
    matches!(dispatch.envelope.kind, Kind::Edit | Kind::Delete) && known.is_original == Some(false)
}
