//! Makes durable what is about to be sent, what it takes to send it again, and what the platform answered.
//!
//! The answer is known in this moment only: were it forgotten because the store failed, a request that was sent would
//! count as one of unknown fate, and might be sent again. So it is written until the store takes it.

use super::account::Delivering;
use super::attempt::{Attempt, Step, number, request_plan};
use super::plan::Planned;
use super::references;
use crate::live::Live;
use interline_envelope::{Dispatch, Redacted};
use interline_store::{
    Begun, DispatchState, Intent, NewCopy, NewDispatch, NewSent, RequestOutcome, StoreError,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// What followed from an intent.
pub(super) enum Intended {
    /// It is durable: the request may be sent.
    Now,
    /// The platform had it already, by these ids.
    AlreadySent(Vec<Redacted<String>>),
    /// There is nothing to send in this attempt.
    Not(Step),
}

/// How long to wait before a store that failed is asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl Delivering {
    /// Makes the intent of request `n` durable, with what it takes to send the dispatch again. `now`: UTC milliseconds.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be written; nothing may be sent then.
    pub(super) async fn intend(
        &self,
        live: &Live,
        of: &Attempt,
        n: usize,
        requests: &[Planned],
        first: bool,
        now: i64,
    ) -> Result<Intended, StoreError> {
        let dispatch = &*of.dispatch;
        let intent = async {
            if first {
                self.begin(dispatch, requests, now).await
            } else {
                self.intend_again(dispatch, n, now).await
            }
        };
        let (intended, kept) = tokio::join!(intent, self.keep_sent(live, dispatch, requests, now));
        let intended = intended?;
        if let (Intended::Now, Err(error)) = (&intended, kept) {
            // Nothing of it left: its fate is known.
            self.not_sent(of, n).await?;
            return Err(error);
        }
        Ok(intended)
    }

    async fn begin(
        &self,
        dispatch: &Dispatch,
        requests: &[Planned],
        now: i64,
    ) -> Result<Intended, StoreError> {
        let plans = requests.iter().map(request_plan).collect();
        let carries = references::carried(dispatch);
        let (id, time, to) = (dispatch.id, dispatch.envelope.time, dispatch.to.clone());
        let reaction = requests.first().and_then(|first| first.reaction.clone());
        let begin = NewDispatch { id, time, to, plans, carries, reaction };
        let (begun, released) = self.store().begin(begin, now).await?;
        self.context.wakes.wake(&released);
        Ok(match begun {
            Begun::Now => Intended::Now,
            // It began in the meantime; the next look finds its plan.
            Begun::Before => Intended::Not(Step::Again { after: Duration::ZERO }),
            Begun::TakenBack => {
                debug!(dispatch_id = %dispatch.id, disposition = "refused", "its author took it back before it came");
                Intended::Not(Step::Done)
            }
        })
    }

    async fn intend_again(
        &self,
        dispatch: &Dispatch,
        n: usize,
        now: i64,
    ) -> Result<Intended, StoreError> {
        let (id, time) = (dispatch.id, dispatch.envelope.time);
        Ok(match self.store().intend(id, time, number(n), now).await? {
            Intent::AlreadySent { native_ids } => Intended::AlreadySent(native_ids),
            Intent::Written => Intended::Now,
        })
    }

    /// Keeps what it takes to send a dispatch again, where the platform may say later that it failed. Before the first
    /// byte leaves, since the report may be faster than the answer; before each request, since what was kept may be gone.
    async fn keep_sent(
        &self,
        live: &Live,
        dispatch: &Dispatch,
        requests: &[Planned],
        since: i64,
    ) -> Result<(), StoreError> {
        let account = self.account_now(live);
        if !account.is_some_and(|account| account.bridge.manifest().fails_later) {
            return Ok(());
        }
        // What came sealed can be sealed again; if not, its failure is told as one that nobody knows.
        let Ok(body) = self.wire().seal(dispatch) else { return Ok(()) };
        let sent = NewSent {
            id: dispatch.id,
            envelope: dispatch.envelope.id,
            time: dispatch.envelope.time,
            to: dispatch.to.clone(),
            body,
            plans: requests.iter().map(request_plan).collect(),
            since,
        };
        self.store().keep_sent(sent).await
    }

    /// Writes what became of request `n`, and with the last one the end of the dispatch. True if a request is to be sent
    /// again before it can end.
    ///
    /// # Errors
    /// [`StoreError`] if the daemon stops before the store takes it, or the store can never take it.
    pub(super) async fn record_outcome(
        &self,
        dispatch: &Dispatch,
        n: u16,
        outcome: RequestOutcome,
        copies: Vec<NewCopy>,
        finish: Option<DispatchState>,
    ) -> Result<bool, StoreError> {
        let (id, time) = (dispatch.id, dispatch.envelope.time);
        let recorded = until_written(&self.context.stop, || {
            self.store().outcome(id, time, n, outcome.clone(), copies.clone(), finish)
        })
        .await?;
        self.context.wakes.wake(&recorded.released);
        Ok(recorded.goes_again)
    }

    /// Writes the end of a dispatch, and wakes what waited for it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub(super) async fn finish(
        &self,
        dispatch: &Dispatch,
        state: DispatchState,
    ) -> Result<(), StoreError> {
        let released = self.store().finish(dispatch.id, dispatch.envelope.time, state).await?;
        self.context.wakes.wake(&released);
        Ok(())
    }
}

/// Tries a write until it is done, the daemon stops, or trying again is no use.
async fn until_written<T, W: Future<Output = Result<T, StoreError>>>(
    stop: &CancellationToken,
    mut write: impl FnMut() -> W,
) -> Result<T, StoreError> {
    loop {
        let error = match write().await {
            Err(error @ (StoreError::Sqlite(_) | StoreError::Commit(_))) => error,
            done => return done,
        };
        error!(%error, "a platform's answer cannot be recorded; trying again");
        tokio::select! {
            biased;
            () = tokio::time::sleep(STORE_RETRY) => {}
            () = stop.cancelled() => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_full() -> StoreError {
        StoreError::Commit("database or disk is full".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn g5_what_a_platform_answered_is_written_until_the_store_takes_it() {
        let (stop, mut tries) = (CancellationToken::new(), 0);
        let written = until_written(&stop, || {
            tries += 1;
            std::future::ready(if tries < 5 { Err(disk_full()) } else { Ok(tries) })
        });
        assert_eq!(written.await.unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_stops_does_not_wait_for_its_store() {
        let stop = CancellationToken::new();
        stop.cancel();
        let written = until_written(&stop, || std::future::ready(Err::<(), _>(disk_full())));
        assert!(matches!(written.await, Err(StoreError::Commit(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_can_never_take_is_said_at_once() {
        let (stop, mut tries) = (CancellationToken::new(), 0);
        let written = until_written(&stop, || {
            tries += 1;
            std::future::ready(Err::<(), _>(StoreError::Unknown))
        });
        assert!(matches!(written.await, Err(StoreError::Unknown)));
        assert_eq!(tries, 1);
    }
}
