//! Messages that a platform took and reported as failed later (WhatsApp 131047, 131026, 131053 …).
//!
//! Acted on as if the send itself had been refused: what may pass goes back to its lane and is sent once more, what is
//! final becomes a dead letter of the message. A message that arrived after all stays arrived.

use super::lanes::dispatch_message;
use super::{Relay, RelayError, STORE_RETRY, dead_letter, until_recorded};
use crate::dead::{DeadLetter, Reason, Stage};
use crate::live::Live;
use crate::wire::{HEADER_FAILURES, HEADER_REPLAYED, Marker, TYPE_DISPATCH};
use interline_bridge_api::{Failure, RetryVerdict};
use interline_broker::{Delivery, HeaderValue, OutMessage, PublishError, Publisher, topology};
use interline_envelope::{AccountRef, Address, Redacted};
use interline_notice::Cause;
use interline_store::{FailedLater, StoreError};
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// How often a message that passes is sent once more.
const FAILURES_MAX: u32 = 5;
/// How long until a message that is still being recorded is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// After so many looks it counts as one that nobody knows.
const LOOKS_MAX: u32 = 25;
/// How often a queue is asked to take a message back.
const PUBLISHES_MAX: u32 = 5;
/// How long until it is asked again.
const PUBLISH_AGAIN: Duration = Duration::from_millis(200);

/// A status that says: it failed after all.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) marker: Marker,
    /// Whom it was for; nothing if that person is in no conversation any more.
    pub(super) person: Option<Address>,
    /// The platform's id of the send that failed.
    pub(super) native_id: Redacted<String>,
    /// When it failed, by the platform's clock: UTC milliseconds.
    pub(super) at: i64,
    pub(super) failure: Failure,
}

/// What is kept of a message that failed for good.
struct Fatal {
    account: AccountRef,
    body: Vec<u8>,
    since: i64,
    failures: u32,
}

/// How often a message that failed so is sent once more.
const fn passes_max(failure: &Failure) -> u32 {
    match failure.class.retry() {
        RetryVerdict::WhenWindowOpens => u32::MAX,
        RetryVerdict::AfterBackoff | RetryVerdict::WhenAccountRecovers => FAILURES_MAX,
        RetryVerdict::WhenThreadReturns | RetryVerdict::Never => 0,
    }
}

/// Publishes what is to be sent again. A queue that refuses it for a moment is asked once more.
async fn goes_back(publisher: &Publisher, message: OutMessage) -> Result<(), PublishError> {
    for _ in 1..PUBLISHES_MAX {
        match publisher.publish(message.clone()).await {
            Err(error) if error.is_refusal() => tokio::time::sleep(PUBLISH_AGAIN).await,
            published => return published,
        }
    }
    publisher.publish(message).await
}

impl Relay {
    /// Acts on a failure that an event tells of.
    ///
    /// # Errors
    /// [`RelayError`]; the event is not acknowledged then and comes again.
    pub(super) async fn act_on(
        &self,
        later: Later,
        live: &Live,
        event: &Delivery,
        publisher: &Publisher,
    ) -> Result<(), RelayError> {
        let prefix = &live.config.broker.prefix;
        let (account, body, since, failures) = match self.failed_later(&later).await? {
            FailedLater::Sent { account, body, since, failures } => {
                (account, body, since, failures)
            }
            FailedLater::NoNews => {
                debug!(dispatch_id = %later.marker.dispatch, "a failure is no news");
                return Ok(());
            }
            FailedLater::InItsLane { since, failures } => {
                self.note_window(&later, since, failures).await?;
                info!(dispatch_id = %later.marker.dispatch, error = %later.failure,
                    "a part of a message failed after it was taken; its lane sees to it");
                return Ok(());
            }
            FailedLater::UnderWay | FailedLater::Unknown => {
                let error =
                    format!("the platform took the message and said later: {}", later.failure);
                if let Some(letter) = dead_letter(live, event, vec![(Reason::FailedLater, error)]) {
                    self.metrics.dead_letter(Stage::Relay, letter.reason);
                    publisher.publish(letter.into_message(prefix)).await?;
                }
                return Ok(());
            }
        };
        let id = later.marker.dispatch;
        if failures <= passes_max(&later.failure) {
            self.note_window(&later, since, failures).await?;
            info!(dispatch_id = %id, error = %later.failure, "a message failed after it was taken; it goes back to its lane");
            let mut message = dispatch_message(prefix, &account, id, body.clone(), None);
            let headers = &mut message.properties.headers;
            headers.insert(HEADER_REPLAYED.into(), HeaderValue::Int(1));
            headers.insert(HEADER_FAILURES.into(), HeaderValue::Int(i64::from(failures)));
            match goes_back(publisher, message).await {
                // An operator can replay it, and the others of this platform flow on.
                Err(error) if error.is_refusal() => {
                    warn!(dispatch_id = %id, %error, "a message that failed finds no way back to its lane");
                }
                published => return Ok(published?),
            }
        }
        let fatal = Fatal { account, body, since, failures };
        self.give_up(&later, live, fatal, publisher).await
    }

    /// Notes that the person has to write first, if the failure says so.
    async fn note_window(
        &self,
        later: &Later,
        since: i64,
        failures: u32,
    ) -> Result<(), RelayError> {
        if later.failure.class.retry() == RetryVerdict::WhenWindowOpens
            && let Some(person) = &later.person
        {
            // The window was closed when the message was sent. The report may come after the person has written, and a
            // clock that is ahead of ours would keep the window closed too.
            let at = later.at.min(crate::clock::now_ms());
            let at = if failures <= 1 { at.min(since) } else { at };
            until_recorded(|| self.windows.refused(person, at)).await?;
        }
        Ok(())
    }

    /// Dead-letters a message that failed for good, and tells its sender.
    async fn give_up(
        &self,
        later: &Later,
        live: &Live,
        fatal: Fatal,
        publisher: &Publisher,
    ) -> Result<(), RelayError> {
        let (id, prefix) = (later.marker.dispatch, &live.config.broker.prefix);
        let Fatal { account, body, since, failures } = fatal;
        let reason = Reason::of(later.failure.class).unwrap_or(Reason::FailedLater);
        error!(dispatch_id = %id, account_ref = %account, reason = reason.as_str(), error = %later.failure,
            disposition = "dead-letter", "a message failed after it was taken");
        self.metrics.dead_letter(Stage::Deliver, reason);
        let about = self.wire.open(Some(&id.to_string()), &body);
        let letter = DeadLetter {
            reason,
            stage: Stage::Deliver,
            attempts: failures,
            error: format!("the platform took it and said later: {}", later.failure),
            first_ms: since,
            body: body.into(),
            message_id: id.to_string(),
            kind: TYPE_DISPATCH,
            exchange: topology::dispatch_exchange(prefix),
            routing_key: topology::account_key(account.platform.as_str(), &account.account),
            replayed: 0,
        };
        publisher.publish(letter.into_message(prefix)).await?;
        // One that was sealed with another key has no sender who can be told.
        if let Ok(about) = about {
            self.tell(publisher, &about, Cause::FailedLater).await?;
        }
        until_recorded(|| self.store.failure_told(id)).await?;
        Ok(())
    }

    /// Takes what the store knows of the message; waits while its sending is still being recorded.
    async fn failed_later(&self, later: &Later) -> Result<FailedLater, RelayError> {
        let Marker { dispatch, request } = later.marker;
        let passes_max = passes_max(&later.failure);
        let mut looks = 0;
        loop {
            match self.store.failed_later(dispatch, request, &later.native_id, passes_max).await {
                Ok(FailedLater::UnderWay) if looks < LOOKS_MAX => {
                    if looks == 0 {
                        // It was taken at any rate, whose answer may be lost.
                        let native_ids = vec![later.native_id.clone()];
                        let settle = || self.store.settle(dispatch, request, native_ids.clone());
                        until_recorded(settle).await?;
                    }
                    looks += 1;
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Ok(known) => return Ok(known),
                Err(StoreError::Closed) => return Err(RelayError::StoreClosed),
                Err(failure @ (StoreError::Sqlite(_) | StoreError::Commit(_))) => {
                    error!(error = %failure, "what became of a send cannot be looked up; trying again");
                    tokio::time::sleep(STORE_RETRY).await;
                }
                Err(failure) => {
                    error!(error = %failure, "what became of a send can never be looked up");
                    return Ok(FailedLater::Unknown);
                }
            }
        }
    }
}
