//! Moves what a blocked lane holds to the store's `held` rows, in order, and acknowledges it (G3, G9).
//!
//! Called by the lane's own task alone. Where the store has no room, what waits behind the current job of a lane that is
//! blocked is dead-lettered, so that it does not use up the account's prefetch.

use super::account::Delivering;
use super::job::{Job, Source};
use super::lane::{Lane, OVERFLOW, bury};
use crate::dead::Reason;
use interline_store::{HeldBody, HeldStage, StoreError};
use std::collections::HashSet;
use tracing::{debug, error, warn};

/// What became of the wish to move to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Yes,
    /// There is no room.
    Full,
    /// The store fails.
    Failed,
}

pub(super) fn has_deliveries(lane: &Lane, on: &Delivering, job: &Job) -> bool {
    on.is_unacknowledged(job) || !lane.lock().queue.is_empty()
}

/// Frees the account's prefetch of this lane: by the store or, where that has no room and the lane is blocked, by dead
/// letters of what waits behind the current job. A lane that goes on, however slowly, keeps what it has. False if it
/// could not.
pub(super) async fn make_room(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    is_blocked: bool,
) -> bool {
    let moved = hold(lane, on, job).await;
    lane.lock().full = moved == Moved::Full;
    match moved {
        Moved::Yes => true,
        Moved::Failed => false,
        Moved::Full => {
            if is_blocked || lane.awaits_person() {
                overflow(lane, on).await;
            }
            false
        }
    }
}

/// Dead-letters what a blocked lane has queued, oldest first.
async fn overflow(lane: &Lane, on: &Delivering) {
    loop {
        let Some(queued) = lane.lock().queue.pop_front() else { return };
        if !on.is_current(&queued) {
            continue;
        }
        if !bury(on, &queued, Reason::Overflow, OVERFLOW).await {
            lane.lock().queue.push_front(queued);
            return;
        }
        on.observe_end(&queued);
        on.note_finished(queued.dispatch.id);
        if let Source::Queue(ticket) = &queued.source {
            ticket.ack();
        }
    }
}

/// Moves the current job and all that is queued to the store, in order, and acknowledges them.
async fn hold(lane: &Lane, on: &Delivering, job: &mut Job) -> Moved {
    let mut bodies = Vec::new();
    let mut tickets = Vec::new();
    let head = match &job.source {
        Source::Queue(ticket) => {
            tickets.push(ticket.clone());
            bodies.push(held_body(job));
            true
        }
        Source::Held { .. } => false,
    };
    let taken: Vec<Job> = {
        let state = lane.lock();
        state.queue.iter().cloned().collect()
    };
    for queued in &taken {
        if let Source::Queue(ticket) = &queued.source {
            tickets.push(ticket.clone());
            bodies.push(held_body(queued));
        }
    }
    let is_held: HashSet<_> = taken.iter().map(Job::delivery).collect();
    let count = bodies.len();
    if let Err(error) = reopen_replayed(on, head.then_some(&*job).into_iter().chain(&taken)).await {
        error!(%error, "a blocked lane cannot be moved to the store; its deliveries stay with the broker");
        return Moved::Failed;
    }
    match on.store().hold(HeldStage::Deliver, lane.id, on.account_ref(), bodies).await {
        Ok(seqs) => {
            {
                let mut state = lane.lock();
                state.held = true;
                if taken.iter().any(|queued| queued.failures > 0) {
                    state.returned = true;
                    lane.overtaken.notify_one();
                }
                // What arrived while the store wrote stays: at the end, or before all where it comes back.
                state.queue.retain(|queued| !is_held.contains(&queued.delivery()));
            }
            if head && let Some(seq) = seqs.first() {
                job.source = Source::Held { seq: *seq };
            }
            for ticket in tickets {
                ticket.ack();
            }
            if lane.awaits_person() {
                for queued in &taken {
                    lane.tell(on, &queued.dispatch).await;
                }
            }
            debug!(count, "a lane moved to the store");
            Moved::Yes
        }
        Err(error @ StoreError::HeldFull { .. }) => {
            warn!(account_ref = %on.account_ref(), %error, "a blocked lane finds no room in the store");
            Moved::Full
        }
        Err(error) => {
            error!(%error, "a blocked lane cannot be moved to the store; its deliveries stay with the broker");
            Moved::Failed
        }
    }
}

/// A held row does not say that an operator replayed it: its dispatch is opened again before it is held, or the row
/// would be taken for one that is dead already.
async fn reopen_replayed(
    on: &Delivering,
    jobs: impl Iterator<Item = &Job>,
) -> Result<(), StoreError> {
    for job in jobs.filter(|job| job.replayed > 0) {
        on.store().reopen(job.dispatch.id, job.dispatch.envelope.time).await?;
    }
    Ok(())
}

fn held_body(job: &Job) -> HeldBody {
    HeldBody {
        dispatch: job.dispatch.id,
        body: job.sealed.to_vec(),
        held_at: job.since_ms,
        attempts: job.attempts,
        first: job.failures > 0,
    }
}
