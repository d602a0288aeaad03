//! Dead letters of the stage: published, confirmed, recorded.

use super::account::Delivering;
use super::job::Job;
use crate::dead::{DeadLetter, Reason, Stage};
use crate::wire::TYPE_DISPATCH;
use interline_broker::{PublishError, topology};
use interline_store::{DispatchState, StoreError};
use tracing::warn;

/// Why a dead letter could not be put down.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuryError {
    #[error(
        "there is no connection to the broker; it is made again by itself, `interline status` says what keeps it"
    )]
    NoBroker,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Delivering {
    /// Publishes a dead letter, tells its sender, waits for the confirms, records the dispatch as dead.
    pub(super) async fn bury(
        &self,
        job: &Job,
        reason: Reason,
        error: &str,
    ) -> Result<(), BuryError> {
        let dispatch = &job.dispatch;
        warn!(dispatch_id = %dispatch.id, account_ref = %self.account, reason = reason.as_str(), error,
            attempt = job.attempts, disposition = "dead-letter", "a dispatch is dead-lettered");
        let id = dispatch.id.to_string();
        let attempts = job.attempts.saturating_add(1);
        self.publish_dead(
            job.sealed.clone(),
            id,
            reason,
            error,
            attempts,
            job.since_ms,
            job.replayed,
        )
        .await?;
        self.tell_of_dead(dispatch, reason).await?;
        self.finish(dispatch, DispatchState::Dead).await?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the story of a dead letter, told once")]
    pub(super) async fn publish_dead(
        &self,
        body: bytes::Bytes,
        message_id: String,
        reason: Reason,
        error: &str,
        attempts: u32,
        first_ms: i64,
        replayed: u32,
    ) -> Result<(), BuryError> {
        let publisher = self.context.publisher().ok_or(BuryError::NoBroker)?;
        let prefix = self.live().config.broker.prefix.clone();
        let letter = DeadLetter {
            reason,
            stage: Stage::Deliver,
            attempts,
            error: error.to_owned(),
            first_ms,
            body,
            message_id,
            kind: TYPE_DISPATCH,
            exchange: topology::dispatch_exchange(&prefix),
            routing_key: topology::account_key(
                self.account.platform.as_str(),
                &self.account.account,
            ),
            replayed,
        };
        publisher.publish(letter.into_message(&prefix)).await?;
        self.context.metrics.dead_letter(Stage::Deliver, reason);
        Ok(())
    }
}
