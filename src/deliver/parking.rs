//! Lets a dispatch wait in the store for the message that it is about, while its lane goes on.
//!
//! Called by the lane's own task. The store lets it go into the lane's held rows; see `references` for what is waited
//! for.

use super::account::Delivering;
use super::job::{Job, Source};
use super::lane::{Lane, UPSTREAM_RETRY, under_pressure};
use interline_store::{Awaited, NewParked, Parked, StoreError};
use tokio::time::Instant;
use tracing::{debug, warn};

/// Lets a dispatch wait for what it is about, and the lane go on. False if it is to be tried again at once.
pub(super) async fn parked(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    blocked_since: Option<Instant>,
    awaits: Awaited,
    until: i64,
) -> bool {
    match park(on, job, awaits, until).await {
        Ok(Parked::Waits) => {
            on.note_finished(job.dispatch.id);
            if let Source::Queue(ticket) = &job.source {
                ticket.ack();
            }
            true
        }
        Ok(Parked::Here) => false,
        Err(error) => {
            // Where no more can wait it goes on without what it is about; another failure passes.
            job.parks = !matches!(error, StoreError::HeldFull { .. });
            warn!(%error, dispatch_id = %job.dispatch.id, "a dispatch cannot be parked");
            if job.parks {
                under_pressure(lane, on, job, blocked_since, on.sleep(UPSTREAM_RETRY)).await;
            }
            false
        }
    }
}

/// Writes a dispatch to the store's parked rows.
async fn park(
    on: &Delivering,
    job: &Job,
    awaits: Awaited,
    until: i64,
) -> Result<Parked, StoreError> {
    let held = match &job.source {
        Source::Queue(_) => None,
        Source::Held { seq } => Some(*seq),
    };
    let new = NewParked {
        awaits,
        dispatch: job.dispatch.id,
        lane: job.dispatch.lane,
        target: on.account_ref().clone(),
        body: job.sealed.to_vec(),
        held,
        since: job.since_ms,
        until,
    };
    debug!(dispatch_id = %job.dispatch.id, disposition = "park", "a dispatch waits for what it is about");
    on.store().park_if_absent(new).await
}
