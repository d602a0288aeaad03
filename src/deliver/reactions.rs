//! What stands of a person's reaction on the target: what replaces it, or takes it away, has to undo just that.
//!
//! Asked for before the plan, written with the first intent: a plan that was interrupted goes on as it began.

use super::account::Delivering;
use interline_envelope::{Dispatch, EnvelopeId, Kind, ReactionAction, Target};
use interline_relay::{Action, Outgoing, ReactionForm};
use interline_store::{NewReaction, Reacted, ReactionShown, StoreError};

/// A message that somebody reacts to, and how the reaction of the same person that stands until now was shown.
#[derive(Debug)]
pub(super) struct Earlier {
    message: EnvelopeId,
    pub(super) form: Option<ReactionForm>,
}

/// Nothing where a dispatch is no reaction, or nobody knows the message that it is `about`.
pub(super) async fn earlier(
    on: &Delivering,
    dispatch: &Dispatch,
    about: Option<EnvelopeId>,
) -> Result<Option<Earlier>, StoreError> {
    let about = about.filter(|_| dispatch.envelope.reaction.is_some());
    let Some(message) = about else { return Ok(None) };
    let by = &dispatch.origin.account;
    let stands = on.store().reacted(message, by, &dispatch.to).await?;
    let form = stands.and_then(|stands| stands.shown).map(|shown| match shown {
        ReactionShown::Set => ReactionForm::Native,
        ReactionShown::Told => ReactionForm::Text,
    });
    Ok(Some(Earlier { message, form }))
}

impl Earlier {
    /// What stands once these requests were sent.
    pub(super) fn then(&self, dispatch: &Dispatch, outgoings: &[Outgoing]) -> Option<NewReaction> {
        let reaction = dispatch.envelope.reaction.as_ref()?;
        let sets = |outgoing: &Outgoing| {
            matches!(&outgoing.action, Action::Reaction { emoji: Some(_), .. })
        };
        let shown = match reaction.action {
            ReactionAction::Add if outgoings.iter().any(sets) => Some(ReactionShown::Set),
            ReactionAction::Add => Some(ReactionShown::Told),
            ReactionAction::Remove => None,
        };
        let by = dispatch.origin.account.clone();
        let stands = Reacted { shown, dispatch: dispatch.id };
        Some(NewReaction { message: self.message, by, stands })
    }
}

/// True if something newer stands in the place of a reaction that was begun before and is to be sent once more: the
/// platform took it, took the newer one, and said then that the older had failed. What is told in words is told all the
/// same.
pub(super) async fn is_superseded(
    on: &Delivering,
    dispatch: &Dispatch,
) -> Result<bool, StoreError> {
    let Some(Target::Messages { native_ids }) = &dispatch.envelope.target else { return Ok(false) };
    let Some(native_id) = native_ids.first() else { return Ok(false) };
    if dispatch.envelope.kind != Kind::Reaction || dispatch.author.named {
        return Ok(false);
    }
    let by = &dispatch.origin.account;
    let Some(message) = on.store().envelope_of(&by.account, &by.user, native_id).await? else {
        return Ok(false);
    };
    let stands = on.store().reacted(message.envelope, by, &dispatch.to).await?;
    Ok(stands.is_some_and(|stands| stands.dispatch != dispatch.id))
}
