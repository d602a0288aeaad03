//! Makes durable what it takes to send a dispatch again, and what the platform answered.
//!
//! The answer is known in this moment only: were it forgotten because the store failed, a request that was sent would
//! count as one of unknown fate, and might be sent again. So it is written until the store takes it.

use super::account::Delivering;
use super::attempt::request_plan;
use super::plan::Planned;
use crate::live::Live;
use interline_envelope::Dispatch;
use interline_store::{DispatchState, NewCopy, NewSent, RequestOutcome, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// How long to wait before a store that failed is asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

impl Delivering {
    /// Keeps what it takes to send a dispatch again, where the platform may say later that it failed. Before the first
    /// byte leaves, since the report may be faster than the answer.
    pub(super) async fn keep_sent(
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
            time: dispatch.envelope.time,
            to: dispatch.to.clone(),
            body,
            plans: requests.iter().map(request_plan).collect(),
            since,
        };
        self.store().keep_sent(sent).await
    }

    /// Writes what became of request `n`, and with the last one the end of the dispatch.
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
    ) -> Result<(), StoreError> {
        let (id, time) = (dispatch.id, dispatch.envelope.time);
        until_written(&self.context.stop, || {
            self.store().outcome(id, time, n, outcome.clone(), copies.clone(), finish)
        })
        .await
        .map(|released| self.context.wakes.wake(&released))
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
