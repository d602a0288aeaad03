//! What an account that pauses means to those who wait for it, how it comes to pause, and how long a failure waits.
//!
//! Called by attempts. The gate says when to go on.

use super::account::Delivering;
use super::attempt::{Attempt, Early, Step};
use super::gate::{Pass, PauseReason};
use interline_bridge_api::{Class, Failure, RetryVerdict, Scope};
use interline_envelope::{Dispatch, LaneId};
use interline_notice::Cause;
use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{error, warn};

impl Delivering {
    /// Puts the account to rest and says so, once a pause.
    pub(super) fn pause(&self, reason: PauseReason, asked: Option<Duration>, failure: &Failure) {
        let Some(long) = self.gate.pause(reason, asked) else { return };
        let seconds = long.as_secs();
        if reason.needs_operator() {
            error!(account_ref = %self.account, reason = reason.as_str(), error = %failure, seconds,
                "the account cannot send until an operator acts; its backlog stays in the broker");
        } else {
            warn!(account_ref = %self.account, reason = reason.as_str(), error = %failure, seconds,
                "the account pauses; its backlog stays in the broker");
        }
    }

    pub(super) fn platform_failed(&self, dispatch: &Dispatch) {
        if let Some(long) = self.gate.failed(dispatch.lane) {
            warn!(account_ref = %self.account, reason = PauseReason::Down.as_str(), seconds = long.as_secs(),
                "several conversations fail in a row; the account pauses");
        }
    }

    /// The account cannot take a file now. It is no attempt: what stands in a file's place is for files that cannot be had.
    pub(super) fn upload_refused(&self, of: &Attempt, failure: &Failure) -> Step {
        match failure.class.retry() {
            RetryVerdict::WhenAccountRecovers => self.pause_until_mended(failure),
            RetryVerdict::AfterBackoff
            | RetryVerdict::WhenWindowOpens
            | RetryVerdict::WhenThreadReturns
            | RetryVerdict::Never => {
                self.pause(PauseReason::Throttled, failure.retry_after, failure);
            }
        }
        Step::Wait { after: self.backoff(of), cause: Early::Budget }
    }

    /// Puts the account to rest until an operator acts.
    pub(super) fn pause_until_mended(&self, failure: &Failure) {
        let is_blocked = failure.class == Class::Blocked;
        let reason = if is_blocked { PauseReason::Blocked } else { PauseReason::Reauth };
        self.pause(reason, failure.retry_after, failure);
    }

    /// Waits at the gate. Who wrote what waits there for an operator is told so, once.
    pub(super) async fn pass_telling(
        &self,
        dispatch: &Dispatch,
    ) -> Option<(Pass, OwnedSemaphorePermit)> {
        if self.gate.paused().is_some_and(|(reason, _)| reason.needs_operator()) {
            let is_new = self.told_of_pause().insert(dispatch.lane);
            if is_new && !self.tell_if_possible(dispatch, Cause::AccountPaused).await {
                self.told_of_pause().remove(&dispatch.lane);
            }
        }
        self.pass().await
    }

    /// The platform took a request of this lane. Who waits at the next pause is told anew.
    pub(super) fn has_sent(&self, pass: &Pass, lane: LaneId) {
        if pass.succeeded() {
            self.told_of_pause().clear();
        } else {
            self.told_of_pause().remove(&lane);
        }
    }

    pub(super) fn told_of_pause(&self) -> std::sync::MutexGuard<'_, HashSet<LaneId>> {
        self.told_of_pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn backoff(&self, of: &Attempt) -> Duration {
        let settings = self.settings();
        let seed = u64::from_be_bytes(*of.dispatch.lane.as_bytes());
        interline_relay::backoff(
            of.attempts.saturating_add(1),
            seed,
            settings.retry_min,
            settings.retry_max,
        )
    }
}

/// WhatsApp's pair limit: 4^n seconds.
pub(super) fn pair_backoff(failure: &Failure, attempts: u32) -> Option<Duration> {
    (failure.scope == Scope::Pair && failure.class == Class::Throttle).then(|| {
        failure
            .retry_after
            .unwrap_or_else(|| Duration::from_secs(4_u64.saturating_pow(attempts.min(6))))
    })
}
