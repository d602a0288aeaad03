//! Lets a dispatch wait in the store for the message that it is about, while its lane goes on.
//!
//! Called by the lane's own task. The store lets it go into the lane's held rows; see `references` for what is waited
//! for.

use super::account::Delivering;
use super::job::{Job, Source};
use super::lane::{Lane, UPSTREAM_RETRY, under_pressure};
use super::order::{behind, stands_behind};
use super::references::waits_until;
use crate::clock::{millis, now_ms};
use interline_envelope::Kind;
use interline_store::{Awaited, NewParked, Parked, StoreError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

/// How often an answer looks for what it answers.
const TARGET_POLL: Duration = Duration::from_millis(100);

/// What becomes of a dispatch that is to wait for what it is about.
pub(super) enum Waiting {
    /// It is tried again at once.
    Over,
    /// What it waits for stands behind it, and goes first.
    LetsPass(Box<Job>),
    /// It waits in the store; the lane goes on.
    Parked,
}

/// Lets a dispatch wait for what it is about. A message keeps its place among those of its lane; what is about another
/// message need not.
pub(super) async fn wait_for_target(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    blocked_since: Option<Instant>,
    awaits: Awaited,
) -> Waiting {
    let is_message = job.dispatch.envelope.kind == Kind::Message;
    let (until, is_late) = waits_until(on, job);
    if !is_late && !is_message {
        return match parked(lane, on, job, blocked_since, awaits, until).await {
            Some(Parked::Waits) => Waiting::Parked,
            Some(Parked::Here) | None => Waiting::Over,
        };
    }
    if is_message || !job.parks {
        if let Some(first) = behind(lane, on, &awaits, is_late).await {
            return Waiting::LetsPass(Box::new(first));
        }
    } else if let Some(id) = stands_behind(lane, on, &awaits).await {
        // It has its place in the lane: its end is waited for, however long that takes.
        let until = now_ms().saturating_add(millis(on.settings().parked_max_age));
        return match parked(lane, on, job, blocked_since, Awaited::End(id), until).await {
            Some(Parked::Waits) => Waiting::Parked,
            Some(Parked::Here) => {
                // It has ended, and stands there all the same, delivered once more: there is nothing to wait for.
                job.goes_without = true;
                Waiting::Over
            }
            None => Waiting::Over,
        };
    }
    if is_late {
        job.goes_without = true;
    } else {
        let poll = if on.consumes_since().is_some() { TARGET_POLL } else { UPSTREAM_RETRY };
        under_pressure(lane, on, job, blocked_since, on.sleep(poll)).await;
    }
    Waiting::Over
}

/// Lets a dispatch wait in the store, and the lane go on; nothing if it cannot wait there now.
async fn parked(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    blocked_since: Option<Instant>,
    awaits: Awaited,
    until: i64,
) -> Option<Parked> {
    match park(on, job, awaits, until).await {
        Ok(Parked::Waits) => {
            on.note_finished(job.dispatch.id);
            if let Source::Queue(ticket) = &job.source {
                ticket.ack();
            }
            Some(Parked::Waits)
        }
        Ok(Parked::Here) => Some(Parked::Here),
        Err(error) => {
            // Where no more can wait it goes on without what it is about; another failure passes.
            job.parks = !matches!(error, StoreError::ParkedFull { .. });
            warn!(%error, dispatch_id = %job.dispatch.id, "a dispatch cannot be parked");
            if job.parks {
                under_pressure(lane, on, job, blocked_since, on.sleep(UPSTREAM_RETRY)).await;
            }
            None
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
