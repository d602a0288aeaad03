//! One attempt at a dispatch: plan, intent, send, interpret, record.
//!
//! *Invariant:* the intent of a request is durable before its first byte leaves, and its outcome is durable before
//! the next request's intent (G5). *Invariant:* consent is asked before every request (G6).

use super::account::Delivering;
use super::gate::{Pass, PauseReason};
use super::http::TransportError;
use super::pausing::pair_backoff;
use super::plan::{self, Plan, PlanError, Planned, Waits};
use super::record::Intended;
use super::{reactions, references};
use crate::clock::now_ms;
use crate::config::Uncertain;
use crate::dead::Reason;
use crate::live::Live;
use crate::media::NotCarried;
use futures_util::FutureExt;
use interline_bridge_api::{Certainty, Class, Failure, Outcome, Request, RetryVerdict, Scope};
use interline_envelope::{Dispatch, DispatchId, Part, Redacted};
use interline_relay::excerpt;
use interline_store::{
    Awaited, DispatchRow, DispatchState, NativeMessage, NewCopy, ReceiptWanted, RequestOutcome,
    RequestPlan, RequestRow, RequestState, StoreError,
};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error, warn};

/// How many graphemes of a message are kept for quotes.
const EXCERPT_GRAPHEMES_MAX: usize = 80;
/// How often a request of unknown fate is looked up while its marker or echo is waited for.
const SETTLE_POLL: Duration = Duration::from_millis(200);

/// What follows from an attempt.
#[derive(Debug)]
pub(super) enum Step {
    /// Finished and recorded, now or before.
    Done,
    /// It can never be delivered as it is.
    Dead { reason: Reason, error: String },
    /// It failed for now; the lane waits.
    Again { after: Duration },
    /// It is too early; nothing failed.
    Wait { after: Duration, cause: Early },
    /// Not before something else is there; the lane goes on without it.
    Park { awaits: Awaited },
    /// What was parked before it was let go meanwhile: that goes first.
    Behind,
    /// The daemon stops, or the channel is gone: the broker or the store brings it again.
    Abandon,
}

/// What a dispatch waits for that is too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// The pair's budget.
    Budget,
    /// The person, who has to write first.
    Window,
}

/// What became of one request.
enum Sent {
    Yes,
    Step(Step),
}

/// What an attempt is about; cheap to copy, so that the lane can move the job meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) dispatch: std::sync::Arc<Dispatch>,
    pub(super) replayed: u32,
    pub(super) attempts: u32,
    /// True once it goes without what it is about.
    pub(super) goes_without: bool,
    /// The held row before which it was picked.
    pub(super) goes_before: Option<DispatchId>,
}

impl Delivering {
    /// Tries to deliver a dispatch. Not cancel-safe.
    pub(super) async fn attempt(&self, of: Attempt) -> Step {
        // A lane whose task died would hold its conversation for ever: a bug costs the one dispatch (G10).
        match AssertUnwindSafe(self.try_attempt(&of)).catch_unwind().await {
            Err(_) => Step::Dead {
                reason: Reason::CodecPanicked,
                error: "delivering it panicked; this is a bug".to_owned(),
            },
            // No dead letter is put down for it.
            Ok(Ok(Step::Dead { error, .. })) if of.dispatch.envelope.kind.is_fleeting() => {
                debug!(dispatch_id = %of.dispatch.id, error, disposition = "refused", "a receipt comes to nothing");
                let ended = self.end(&of.dispatch, DispatchState::Refused).await;
                ended.unwrap_or_else(|_| Step::Again { after: self.backoff(&of) })
            }
            Ok(Ok(step)) => step,
            Ok(Err(error)) => {
                error!(%error, dispatch_id = %of.dispatch.id, "the store failed; the dispatch will be retried");
                Step::Again { after: self.backoff(&of) }
            }
        }
    }

    async fn try_attempt(&self, of: &Attempt) -> Result<Step, StoreError> {
        let dispatch = &*of.dispatch;
        let mut row = self.store().dispatch(dispatch.id, dispatch.envelope.time).await?;
        if row.as_ref().is_some_and(|row| row.state == DispatchState::Dead) && of.replayed > 0 {
            self.store().reopen(dispatch.id, dispatch.envelope.time).await?;
            row = self.store().dispatch(dispatch.id, dispatch.envelope.time).await?;
        }
        if row.as_ref().is_some_and(|row| row.state != DispatchState::Open) {
            return Ok(Step::Done);
        }
        let live = self.live();
        if let Some(step) = self.refused_by_consent(&live, dispatch) {
            return Ok(step);
        }
        if dispatch.expires.is_some_and(|expires| expires <= now_ms()) {
            return self.end(dispatch, DispatchState::Refused).await;
        }
        if row.as_ref().is_some_and(|row| row.requests.iter().any(is_rejected)) {
            return Ok(self.refused_before(&live));
        }
        // Before the plan: what waits must not have uploaded its media. What became of a send is found out before that:
        // it may be on the phone.
        let is_uncertain = row.as_ref().is_some_and(|row| row.requests.iter().any(is_intended));
        let sends = row.as_ref().is_none_or(has_unsent) && !is_uncertain;
        if sends && row.is_some() && self.is_out_of_date(dispatch).await? {
            debug!(dispatch_id = %dispatch.id, disposition = "refused", "its author took it back, or reacted anew");
            return self.end(dispatch, DispatchState::Refused).await;
        }
        if sends && let Some(after) = self.window_wait(dispatch).await? {
            return Ok(Step::Wait { after, cause: Early::Window });
        }
        if let Some(after) = self.too_early(&live, dispatch) {
            return Ok(Step::Wait { after, cause: Early::Budget });
        }
        let (requests, begun) = match row {
            Some(row) => match requests_of(&row) {
                Ok(requests) => (requests, Some(row)),
                Err(error) => return Ok(Step::Dead { reason: Reason::Unreadable, error }),
            },
            None => match self.planned(of).await? {
                Ok(requests) => (requests, None),
                Err(step) => return Ok(step),
            },
        };
        if requests.is_empty() {
            let released = self.store().record_copies(self.origin_copy(dispatch)).await?;
            self.context.wakes.wake(&released);
            return self.end(dispatch, DispatchState::Done).await;
        }
        self.send_all(of, &requests, begun).await
    }

    /// Plans a dispatch that was not begun, or says what follows where there is no plan.
    async fn planned(&self, of: &Attempt) -> Result<Result<Vec<Planned>, Step>, StoreError> {
        let dispatch = &*of.dispatch;
        // What is carried before the first request needs the account as well.
        if has_media(dispatch) && self.pass_telling(dispatch).await.is_none() {
            return Ok(Err(Step::Abandon));
        }
        Ok(Err(match plan::plan(self, &self.live(), dispatch, Waits::of(of)).await {
            Ok(Plan { requests, tells }) => {
                if let Some(cause) = tells {
                    self.tell_if_possible(dispatch, cause).await;
                }
                return Ok(Ok(requests));
            }
            Err(PlanError::Store(error)) => return Err(error),
            Err(PlanError::Media(NotCarried::Refused(failure))) => {
                self.upload_refused(of, &failure)
            }
            Err(PlanError::Behind) => Step::Behind,
            Err(PlanError::Waits(awaits)) => Step::Park { awaits },
            Err(error @ (PlanError::NotTheAuthor | PlanError::TargetTakenBack)) => {
                debug!(dispatch_id = %dispatch.id, %error, disposition = "refused", "a dispatch comes to nothing");
                self.end(dispatch, DispatchState::Refused).await?
            }
            Err(error) => match error.reason() {
                Some(reason) => Step::Dead { reason, error: error.to_string() },
                None => {
                    warn!(dispatch_id = %dispatch.id, %error, "there is no plan yet; trying again");
                    Step::Again { after: self.backoff(of) }
                }
            },
        }))
    }

    /// True if what was begun before must not be sent any more.
    async fn is_out_of_date(&self, dispatch: &Dispatch) -> Result<bool, StoreError> {
        Ok(self.was_taken_back(dispatch).await? || reactions::is_superseded(self, dispatch).await?)
    }

    async fn was_taken_back(&self, dispatch: &Dispatch) -> Result<bool, StoreError> {
        let Some(message) = references::carried(dispatch) else { return Ok(false) };
        self.store().is_buried(&message.account, &message.chat, &message.native_id).await
    }

    /// Records the end of a dispatch that needs no further request.
    async fn end(&self, dispatch: &Dispatch, state: DispatchState) -> Result<Step, StoreError> {
        self.finish(dispatch, state).await?;
        Ok(Step::Done)
    }

    async fn send_all(
        &self,
        of: &Attempt,
        requests: &[Planned],
        begun: Option<DispatchRow>,
    ) -> Result<Step, StoreError> {
        let mut begun = begun.map(|row| row.requests);
        for (n, Planned { request, .. }) in requests.iter().enumerate() {
            let state = begun.as_ref().and_then(|rows| rows.get(n)).map(|row| row.state.clone());
            let last = n + 1 == requests.len();
            let sent = match state {
                Some(RequestState::Sent { native_ids, .. }) => {
                    // Where a marker settled it, its copies are not recorded yet, and replies look for them.
                    let sent = self.record_sent(of, n, native_ids, last).await?;
                    if last {
                        // Its own outcome would have finished the dispatch.
                        debug!(dispatch_id = %of.dispatch.id, "a request of unknown fate was settled by its marker");
                    }
                    sent
                }
                Some(RequestState::Rejected) => Sent::Step(self.refused_before(&self.live())),
                Some(RequestState::Intended { .. }) => {
                    match self.resolve_uncertain(of, n, request, last).await? {
                        // It is asked anew whether the rest may follow.
                        Sent::Yes => Sent::Step(Step::Again { after: Duration::ZERO }),
                        Sent::Step(step) => Sent::Step(step),
                    }
                }
                Some(RequestState::Planned) | None => {
                    let first_intent = begun.is_none();
                    let sent = self.intend_and_send(of, n, requests, first_intent, last).await?;
                    if first_intent {
                        begun = Some(Vec::new());
                    }
                    sent
                }
            };
            if let Sent::Step(step) = sent {
                return Ok(step);
            }
        }
        // The outcome of the last request finished the record; this says the same once more.
        self.end(&of.dispatch, DispatchState::Done).await
    }

    /// Waits at the gate, asks for consent, makes the intent durable, sends, records.
    async fn intend_and_send(
        &self,
        of: &Attempt,
        n: usize,
        requests: &[Planned],
        first_intent: bool,
        last: bool,
    ) -> Result<Sent, StoreError> {
        let dispatch = &*of.dispatch;
        let Some(Planned { request, .. }) = requests.get(n) else { return Ok(Sent::Yes) };
        let live = self.live();
        if let Some(after) = self.too_early(&live, dispatch).filter(|_| !first_intent) {
            return Ok(Sent::Step(Step::Wait { after, cause: Early::Budget }));
        }
        self.audio_video_turn(&live, request.charge).await;
        let Some((pass, place)) = self.pass_telling(dispatch).await else {
            return Ok(Sent::Step(Step::Abandon));
        };
        self.turn(&live, request.charge).await;
        if self.is_stopping() {
            return Ok(Sent::Step(Step::Abandon));
        }
        let live = self.live();
        if let Some(step) = self.refused_by_consent(&live, dispatch) {
            return Ok(Sent::Step(step));
        }
        let _on_its_way = self.context.under_way.begin(&dispatch.to);
        let intended_at = now_ms();
        match self.intend(&live, of, n, requests, first_intent, intended_at).await? {
            Intended::Now => {}
            Intended::AlreadySent(native_ids) => {
                return self.record_sent(of, n, native_ids, last).await;
            }
            Intended::Not(step) => return Ok(Sent::Step(step)),
        }
        let started = Instant::now();
        let answer = self.transmit(&live, request).await;
        self.spent(&live, &dispatch.to, request.charge);
        self.observe_answer(&answer, started.elapsed());
        drop(place);
        self.record(of, n, request, intended_at, last, answer, &pass).await
    }

    /// What the answer means, made durable.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request's fate, used once")]
    async fn record(
        &self,
        of: &Attempt,
        n: usize,
        request: &Request,
        intended_at: i64,
        last: bool,
        answer: Result<Outcome, TransportError>,
        pass: &Pass,
    ) -> Result<Sent, StoreError> {
        match answer {
            Ok(Outcome::Sent { native_ids }) => {
                self.has_sent(pass, of.dispatch.lane);
                let sent = self.record_sent(of, n, native_ids.clone(), last).await?;
                self.until_delivered(&self.live(), &of.dispatch.to, &native_ids).await;
                Ok(sent)
            }
            Ok(Outcome::Located(_)) => {
                pass.succeeded();
                self.record_sent(of, n, Vec::new(), last).await
            }
            Ok(Outcome::Failed(failure)) => {
                self.record_failure(of, n, request, intended_at, last, &failure).await
            }
            Err(error) => {
                self.platform_failed(&of.dispatch);
                warn!(dispatch_id = %of.dispatch.id, attempt = of.attempts, %error, "a request got no answer");
                if error.certainty() == Certainty::NotSent || request.idempotent {
                    self.not_sent(of, n).await?;
                    return Ok(Sent::Step(Step::Again { after: self.backoff(of) }));
                }
                self.resolve_uncertain(of, n, request, last).await
            }
        }
    }

    async fn record_failure(
        &self,
        of: &Attempt,
        n: usize,
        request: &Request,
        intended_at: i64,
        last: bool,
        failure: &Failure,
    ) -> Result<Sent, StoreError> {
        let dispatch = &*of.dispatch;
        match failure.certainty {
            Certainty::Sent => {
                return self.record_sent(of, n, Vec::new(), last).await;
            }
            Certainty::MaybeSent if !request.idempotent => {
                self.platform_failed(dispatch);
                warn!(dispatch_id = %dispatch.id, error = %failure, "a request's fate is unknown");
                return self.resolve_uncertain(of, n, request, last).await;
            }
            Certainty::MaybeSent | Certainty::NotSent => {}
        }
        let after = failure.retry_after.unwrap_or_else(|| self.backoff(of));
        match failure.class.retry() {
            RetryVerdict::AfterBackoff => {
                self.not_sent(of, n).await?;
                if failure.scope == Scope::Account && failure.class == Class::Throttle {
                    self.pause(PauseReason::Throttled, failure.retry_after, failure);
                } else if failure.class == Class::Retryable {
                    self.platform_failed(dispatch);
                }
                debug!(dispatch_id = %dispatch.id, error = %failure, "a request will be retried");
                Ok(Sent::Step(Step::Again {
                    after: pair_backoff(failure, of.attempts).unwrap_or(after),
                }))
            }
            RetryVerdict::WhenAccountRecovers => {
                self.not_sent(of, n).await?;
                self.pause_until_mended(failure);
                Ok(Sent::Step(Step::Again { after: Duration::ZERO }))
            }
            RetryVerdict::WhenWindowOpens => {
                self.not_sent(of, n).await?;
                Ok(Sent::Step(self.window_refused(dispatch, intended_at).await?))
            }
            RetryVerdict::WhenThreadReturns | RetryVerdict::Never => {
                let outcome = RequestOutcome::Rejected;
                self.record_outcome(dispatch, number(n), outcome, Vec::new(), None).await?;
                Ok(Sent::Step(Step::Dead {
                    // What passes got another verdict than these.
                    reason: Reason::of(failure.class).unwrap_or(Reason::Permanent),
                    error: failure.to_string(),
                }))
            }
        }
    }

    /// A request may have been sent: wait for its marker, then follow the account's policy.
    async fn resolve_uncertain(
        &self,
        of: &Attempt,
        n: usize,
        request: &Request,
        last: bool,
    ) -> Result<Sent, StoreError> {
        let dispatch = &*of.dispatch;
        if request.idempotent {
            self.not_sent(of, n).await?;
            return Ok(Sent::Step(Step::Again { after: Duration::ZERO }));
        }
        let settle_timeout = self.settings().settle_timeout;
        // Not since it was sent: the platform may have taken it only when nobody waited for its answer any more.
        let began = Instant::now();
        loop {
            let row = self.store().dispatch(dispatch.id, dispatch.envelope.time).await?;
            match row.as_ref().and_then(|row| row.requests.get(n)).map(|request| &request.state) {
                Some(RequestState::Sent { native_ids, .. }) => {
                    debug!(dispatch_id = %dispatch.id, "a request of unknown fate was settled by its marker");
                    return self.record_sent(of, n, native_ids.clone(), last).await;
                }
                // It was taken, and failed later.
                Some(RequestState::Planned) => {
                    return Ok(Sent::Step(Step::Again { after: self.backoff(of) }));
                }
                Some(RequestState::Rejected) => {
                    return Ok(Sent::Step(self.refused_before(&self.live())));
                }
                Some(RequestState::Intended { .. }) | None => {}
            }
            // While the broker is away no marker comes, and when it is back those of before are still on their way.
            let waits_since = self.hears_since().map(|since| since.max(began));
            let waited = waits_since.map_or(Duration::ZERO, |since| since.elapsed());
            let left = settle_timeout.saturating_sub(waited);
            if left.is_zero() {
                break;
            }
            self.sleep(SETTLE_POLL.min(left)).await;
            if self.is_stopping() {
                return Ok(Sent::Step(Step::Abandon));
            }
        }
        let live = self.live();
        let policy = self
            .account_now(&live)
            .map_or(live.config.deliver.uncertain, |account| account.uncertain);
        match policy {
            Uncertain::Resend => {
                warn!(dispatch_id = %dispatch.id, "a request of unknown fate is sent again, as `uncertain` says");
                let outcome = RequestOutcome::Uncertain;
                self.record_outcome(dispatch, number(n), outcome, Vec::new(), None).await?;
                // Ever more rarely: where the platform takes it and never says so, each time is one more for the person.
                Ok(Sent::Step(Step::Again { after: self.backoff(of) }))
            }
            Uncertain::Hold => Ok(Sent::Step(Step::Dead {
                reason: Reason::Uncertain,
                error: "the request may have been sent, and the account's policy is to hold it"
                    .to_owned(),
            })),
        }
    }

    pub(super) async fn not_sent(&self, of: &Attempt, n: usize) -> Result<(), StoreError> {
        let outcome = RequestOutcome::NotSent;
        self.record_outcome(&of.dispatch, number(n), outcome, Vec::new(), None).await.map(drop)
    }

    /// The platform has it: with the last request the dispatch is done.
    async fn record_sent(
        &self,
        of: &Attempt,
        n: usize,
        native_ids: Vec<Redacted<String>>,
        last: bool,
    ) -> Result<Sent, StoreError> {
        let dispatch = &*of.dispatch;
        let receipt = self.receipt_wanted(dispatch);
        let mut copies: Vec<NewCopy> = native_ids
            .iter()
            .map(|native_id| NewCopy {
                account: dispatch.to.account.clone(),
                chat: dispatch.to.user.clone(),
                native_id: native_id.clone(),
                envelope: dispatch.envelope.id,
                participant: dispatch.to.clone(),
                part: number(n),
                excerpt: excerpt(&dispatch.envelope, EXCERPT_GRAPHEMES_MAX),
                author: Some(dispatch.author.alias.clone()),
                is_original: false,
                writer: dispatch.origin.account.clone(),
                receipt: receipt.clone(),
                at: now_ms(),
            })
            .collect();
        copies.extend(self.origin_copy(dispatch));
        let outcome = RequestOutcome::Sent { native_ids };
        let finish = last.then_some(DispatchState::Done);
        let goes_again = self.record_outcome(dispatch, number(n), outcome, copies, finish).await?;
        Ok(match (last, goes_again) {
            (false, _) => Sent::Yes,
            (true, false) => Sent::Step(Step::Done),
            (true, true) => Sent::Step(Step::Again { after: self.backoff(of) }),
        })
    }

    /// Who wants to know when a message is read; nothing where the conversation keeps that to itself.
    fn receipt_wanted(&self, dispatch: &Dispatch) -> Option<ReceiptWanted> {
        let live = self.live();
        let conversation = live.directory.conversation(&dispatch.conversation)?;
        let author = dispatch.origin.account.clone();
        // What the account itself said was written by nobody who could see a receipt, and what is told of a message is
        // none of its author's: somebody reads up to it all the same.
        let is_told = references::carried(dispatch).is_some() && !dispatch.envelope.echo;
        let readers = if is_told { conversation.participants.len().saturating_sub(1) } else { 0 };
        let readers = u16::try_from(readers).unwrap_or(u16::MAX);
        conversation.receipts.then_some(ReceiptWanted { author, readers })
    }

    /// The origin's own copy, so that a reply to one's own message resolves.
    fn origin_copy(&self, dispatch: &Dispatch) -> Vec<NewCopy> {
        let copy = |message: NativeMessage| NewCopy {
            account: message.account,
            chat: message.chat,
            native_id: message.native_id,
            envelope: dispatch.envelope.id,
            participant: dispatch.origin.account.clone(),
            part: 0,
            excerpt: excerpt(&dispatch.envelope, EXCERPT_GRAPHEMES_MAX),
            author: Some(dispatch.author.alias.clone()),
            is_original: true,
            writer: dispatch.origin.account.clone(),
            receipt: None,
            at: now_ms(),
        };
        references::carried(dispatch).map(copy).into_iter().collect()
    }

    /// What was refused has its dead letter, unless the daemon died before that, or the platform said so later.
    fn refused_before(&self, live: &Live) -> Step {
        let later = self.account_now(live).is_some_and(|of| of.bridge.manifest().fails_later);
        Step::Dead {
            reason: if later { Reason::FailedLater } else { Reason::Permanent },
            error: "the platform refused it, or said later that it failed for good; the log of that time has its code"
                .to_owned(),
        }
    }

    pub(super) fn refused_by_consent(&self, live: &Live, dispatch: &Dispatch) -> Option<Step> {
        let member = live.directory.is_member(&dispatch.conversation, &dispatch.to);
        let heard = live.directory.is_member(&dispatch.conversation, &dispatch.origin.account);
        (!member || !heard).then(|| Step::Dead {
            reason: Reason::NotAMember,
            error: "the sender or the recipient no longer takes part in the conversation"
                .to_owned(),
        })
    }
}

/// True if files are to be carried to the target.
fn has_media(dispatch: &Dispatch) -> bool {
    dispatch.envelope.parts.iter().any(|part| matches!(part, Part::Media(_)))
}

const fn is_intended(request: &RequestRow) -> bool {
    matches!(request.state, RequestState::Intended { .. })
}

const fn is_rejected(request: &RequestRow) -> bool {
    matches!(request.state, RequestState::Rejected)
}

/// True if a request is left that the platform is not known to have.
fn has_unsent(row: &DispatchRow) -> bool {
    row.requests.iter().any(|request| !matches!(request.state, RequestState::Sent { .. }))
}

pub(super) fn number(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

pub(super) fn request_plan(planned: &Planned) -> RequestPlan {
    // A rendered request is a tree of strings and numbers: its encoding cannot fail.
    let body = serde_json::to_vec(&planned.request).unwrap_or_default();
    RequestPlan { body, likeness: planned.likeness.clone() }
}

fn requests_of(row: &DispatchRow) -> Result<Vec<Planned>, String> {
    let read = |row: &RequestRow| {
        let likeness = row.likeness.clone();
        serde_json::from_slice(&row.plan).map(|request| Planned {
            request,
            likeness,
            reaction: None,
        })
    };
    row.requests.iter().map(read).collect::<Result<_, _>>().map_err(|error| {
        format!("the stored plan of this dispatch cannot be read: {error}; was it written by a later version?")
    })
}
