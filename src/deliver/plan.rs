//! Turns a dispatch into the requests that its target will get: references, fit, media, rendering.
//!
//! Everything here happens before the first intent, and nothing of it is seen by anybody: what fails can be tried
//! again from the start.

use super::account::Delivering;
use super::attempt::Attempt;
use super::reactions;
use super::references::{self, References};
use crate::dead::Reason;
use crate::live::{Account, Live};
use crate::media::{Carried, NotCarried};
use interline_bridge_api::{ChatKind, Outgoing, RenderContext, RenderError, Request};
use interline_envelope::{Address, Dispatch, DispatchId, Redacted};
use interline_notice::Cause;
use interline_relay::{
    Action, FitInput, Form, Loss, Means, MediaLinks, OriginTraits, Recipient, Refusal, likeness_of,
};
use interline_store::{Awaited, NewReaction, StoreError};
use std::panic::AssertUnwindSafe;
use tracing::debug;

/// How often media are tried before a line of text takes their place.
const MEDIA_ATTEMPTS_MAX: u32 = 5;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the codec cannot render what fit made of it: {0}")]
    Render(#[from] RenderError),
    #[error("the codec panicked; this is a bug in the bridge: report it")]
    Panicked,
    #[error(transparent)]
    Media(#[from] NotCarried),
    #[error("the account is no longer in the config; put it back and reload")]
    NoAccount,
    #[error("refused: {}", .0.as_str())]
    Refused(Refusal),
    #[error("the message that it is about is not there yet")]
    Waits(Awaited),
    #[error("what was parked before it was let go, and goes first")]
    Behind,
    #[error("somebody changed or took back a message that is not theirs")]
    NotTheAuthor,
    #[error("the message that it is about was taken back before it came")]
    TargetTakenBack,
}

/// One request of a plan.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) request: Request,
    /// What an echo of it looks like, where the platform gives no marker back.
    pub(super) likeness: Option<Redacted<String>>,
    /// On the first: what stands of a reaction once its intent is written.
    pub(super) reaction: Option<NewReaction>,
}

/// What is to be done for a dispatch.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) requests: Vec<Planned>,
    /// What the sender is told of it.
    pub(super) tells: Option<Cause>,
}

/// What a plan may still wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// For the message that it is about, instead of doing without it; false once it goes without.
    pub(super) references: bool,
    /// For media, instead of putting a line of text in their place; false once it has waited for long enough.
    pub(super) media: bool,
    /// Not for this held row.
    pub(super) goes_before: Option<DispatchId>,
}

impl Waits {
    /// What an attempt may wait for now.
    pub(super) fn of(of: &Attempt) -> Self {
        Self {
            references: !of.goes_without,
            media: of.attempts < MEDIA_ATTEMPTS_MAX,
            goes_before: of.goes_before,
        }
    }
}

impl PlanError {
    /// The reason of the dead letter; nothing for what may pass.
    pub(super) const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Store(_)
            | Self::Media(_)
            | Self::Waits(_)
            | Self::Behind
            | Self::NotTheAuthor
            | Self::TargetTakenBack => None,
            Self::Render(_) => Some(Reason::Unrenderable),
            Self::Panicked => Some(Reason::CodecPanicked),
            Self::NoAccount => Some(Reason::NotAMember),
            Self::Refused(_) => Some(Reason::Refused),
        }
    }
}

/// Plans a dispatch for its target.
pub(super) async fn plan(
    on: &Delivering,
    live: &Live,
    dispatch: &Dispatch,
    waits: Waits,
) -> Result<Plan, PlanError> {
    let Some(account) = on.account_now(live) else { return Err(PlanError::NoAccount) };
    let references = references::resolve(on, dispatch, waits.references).await;
    // After the look, since what is let go is in the held rows as soon as its message is there to be seen.
    if references::is_behind(on, dispatch, waits.goes_before).await? {
        return Err(PlanError::Behind);
    }
    let References { reply, target, about } = references?;
    let earlier = reactions::earlier(on, dispatch, about).await?;
    let to = recipient(&dispatch.to);
    let origin_bridge = live.bridge(&dispatch.origin.account.account.platform);
    let capabilities = account.capabilities(ChatKind::Direct);
    let capabilities = capabilities.as_ref();
    let origin = origin_bridge.as_ref().map_or_else(
        || OriginTraits::from(capabilities),
        |bridge| OriginTraits::from(bridge.capabilities(ChatKind::Direct)),
    );
    let links = on.media().links_of(&dispatch.origin.account.account);
    let links = links.as_ref().map(|links| links as &dyn MediaLinks);
    let input = FitInput {
        envelope: &dispatch.envelope,
        author: &dispatch.author,
        to: &to,
        capabilities,
        origin,
        reply: &reply,
        target: &target,
        earlier_reaction: earlier.as_ref().and_then(|earlier| earlier.form),
        mark_forwarded: false,
        means: Means { conversions: on.media().conversions(), links },
    };
    let fitted = interline_relay::fit(&input);
    if let Form::Refusal(refusal) = fitted.form {
        return Err(PlanError::Refused(refusal));
    }
    let mut losses = fitted.losses;
    let outgoings = with_media(on, live, &input, dispatch, fitted.outgoings, waits.media);
    let (outgoings, lost, tells) = outgoings.await?;
    losses.extend(lost);
    let mut reaction = earlier.and_then(|earlier| earlier.then(dispatch, &outgoings));
    let mut requests = Vec::with_capacity(outgoings.len());
    for (index, mut outgoing) in outgoings.into_iter().enumerate() {
        let marker = crate::wire::Marker {
            dispatch: dispatch.id,
            request: u16::try_from(index).unwrap_or(u16::MAX),
        };
        outgoing.marker = capabilities.marker_bytes_max.map(|_| marker.to_string());
        let mut request = render(&account, &outgoing)?;
        request.marker = Some(marker.to_string());
        let is_marked = capabilities.marker_bytes_max.is_some();
        let likeness = if is_marked { None } else { likeness_of(&outgoing.action) };
        requests.push(Planned { request, likeness, reaction: reaction.take() });
    }
    for loss in &losses {
        on.context.metrics.loss(&account.of, *loss);
    }
    if !losses.is_empty() {
        let losses: Vec<&str> = losses.iter().map(|loss| loss.as_str()).collect();
        debug!(dispatch_id = %dispatch.id, ?losses, form = fitted.form.as_str(), "fitted with losses");
    }
    Ok(Plan { requests, tells })
}

/// The same, with all media where the target can show them from.
async fn with_media(
    on: &Delivering,
    live: &Live,
    input: &FitInput<'_>,
    dispatch: &Dispatch,
    fitted: Vec<Outgoing>,
    wait_for_media: bool,
) -> Result<(Vec<Outgoing>, Vec<Loss>, Option<Cause>), PlanError> {
    let Some(account) = on.account_now(live) else { return Err(PlanError::NoAccount) };
    let (mut outgoings, mut losses) = (Vec::with_capacity(fitted.len()), Vec::new());
    let mut not_shown = None;
    for mut outgoing in fitted {
        let Action::Media(media) = outgoing.action else {
            outgoings.push(outgoing);
            continue;
        };
        let carried = on.media().carry_all(live, &account, dispatch, input, media, wait_for_media);
        let carried = carried.await?;
        let Carried { actions, losses: lost, .. } = carried;
        losses.extend(lost);
        not_shown = not_shown.or(carried.not_shown);
        for action in actions {
            // The first that is shown carries the quote.
            let reply_to = outgoing.reply_to.take();
            outgoings.push(Outgoing { reply_to, ..Outgoing::new(input.to.clone(), action) });
        }
    }
    Ok((outgoings, losses, not_shown))
}

/// Renders one request; a panic of the codec costs this dispatch, not the daemon (G10).
pub(crate) fn render(account: &Account, outgoing: &Outgoing) -> Result<Request, PlanError> {
    let context = RenderContext { account: &account.of.account, send_as: &account.send_as };
    std::panic::catch_unwind(AssertUnwindSafe(|| account.bridge.render(&context, outgoing)))
        .map_err(|_| PlanError::Panicked)?
        .map(|request| Request { charge: outgoing.charge(), ..request })
        .map_err(PlanError::from)
}

/// The participant as the platform wants to be told: by the plainest id, or by the scoped one if that is all we have.
pub(super) fn recipient(to: &Address) -> Recipient {
    let user = to.user.as_exposed_str();
    // A BSUID is `CC.` and letters or digits; phone digits, PSIDs and IGSIDs have no dot.
    if user.contains('.') {
        Recipient::ScopedId(to.user.clone())
    } else {
        Recipient::User(to.user.clone())
    }
}
