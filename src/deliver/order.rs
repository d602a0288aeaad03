//! Who goes before whom in a lane: predecessors by name, and the messages that answers wait for.
//!
//! Called by the lane's own task alone.

use super::account::Delivering;
use super::job::{Job, Source};
use super::lane::{HELD_ROWS_READ, Lane, UPSTREAM_RETRY, open_row, run_job};
use interline_envelope::{DispatchId, Kind};
use interline_store::{Awaited, HeldStage, StoreError};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, warn};

/// Waits until a predecessor has passed or comes, or is given up on. Returns also when what the lane holds has changed, or
/// its deliveries are no longer ours: then it is to be looked at anew. `looks`: how often rows had come when it was missed.
pub(super) async fn wait_for_prev(lane: &Lane, on: &Delivering, prev: DispatchId, looks: u64) {
    let mut session_ended = std::pin::pin!(on.session_ended());
    session_ended.as_mut().enable();
    match on.has_passed(prev).await {
        Ok(true) => return on.note_finished(prev),
        Ok(false) => {}
        Err(error) => {
            error!(%error, "what became of a predecessor cannot be read; trying again");
            return on.sleep(UPSTREAM_RETRY).await;
        }
    }
    let timeout = on.settings().prev_timeout;
    let began = Instant::now();
    let mut deadline = began + timeout;
    loop {
        {
            let state = lane.lock();
            let has_come = state.queue.iter().any(|job| job.dispatch.id == prev);
            if has_come || state.looks != looks || on.was_finished(prev) {
                return;
            }
        }
        tokio::select! {
            biased;
            () = on.stopped() => return,
            () = &mut session_ended => return,
            () = lane.wake.notified() => {}
            () = tokio::time::sleep_until(deadline) => {
                // Nothing can come while the broker is away or the account is paused.
                let since = on.consumes_since().map(|since| since.max(began));
                let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
                if waited >= timeout {
                    break;
                }
                deadline = Instant::now() + (timeout - waited);
            }
        }
    }
    warn!(dispatch_id = %prev, "a predecessor did not come in time; its lane goes on");
    on.note_finished(prev);
}

/// Lets pass what a dispatch has overtaken and waits for; the dispatch is next again. Meanwhile it stands at the head of
/// the queue, or is the first held row, so that it keeps its place if the lane moves to the store.
pub(super) async fn let_pass(lane: &Lane, on: &Arc<Delivering>, job: Job, mut first: Job) {
    first.goes_before = job.goes_before.or(Some(job.dispatch.id));
    if matches!(job.source, Source::Queue(_)) {
        lane.lock().queue.push_front(job);
    }
    let id = first.dispatch.id;
    lane.lock().ahead.push(id);
    let _finished = Box::pin(run_job(lane, on, first)).await;
    let mut state = lane.lock();
    state.ahead.retain(|ahead| *ahead != id);
    // Its row may have been read already, and is gone.
    state.returned = true;
}

/// What became of the search for a predecessor.
pub(super) enum Predecessor {
    /// It is next, or its own predecessor is, and so on.
    Here(Job),
    /// This one has not come.
    Missing(DispatchId),
}

/// Looks for a predecessor in the queue and in all held rows of the lane.
///
/// # Errors
/// [`StoreError`] if the rows cannot be read.
pub(super) async fn predecessor(
    lane: &Lane,
    on: &Delivering,
    prev: DispatchId,
) -> Result<Predecessor, StoreError> {
    let mut first = prev;
    // Repetitions may name each other: then any of them goes.
    let mut seen = HashSet::from([first]);
    loop {
        let queued = {
            let state = lane.lock();
            let job = state.queue.iter().find(|job| job.dispatch.id == first);
            job.map(|job| job.dispatch.prev)
        };
        let (row, earlier) = match queued {
            Some(earlier) => (None, earlier),
            None => match held(lane, on, first).await? {
                Some(job) => {
                    let earlier = job.dispatch.prev;
                    (Some(job), earlier)
                }
                None => return Ok(Predecessor::Missing(first)),
            },
        };
        match earlier.filter(|earlier| !on.was_finished(*earlier) && seen.insert(*earlier)) {
            Some(earlier) => first = earlier,
            None => {
                let job = row.or_else(|| lane.take(&Awaited::End(first)));
                return Ok(job.map_or(Predecessor::Missing(first), Predecessor::Here));
            }
        }
    }
}

/// A held dispatch, wherever in its lane it stands.
async fn held(lane: &Lane, on: &Delivering, id: DispatchId) -> Result<Option<Job>, StoreError> {
    let row = on.store().held_find(HeldStage::Deliver, lane.id, id).await?;
    Ok(row.and_then(|row| open_row(on, &row).ok()))
}

/// What a dispatch waits for, if it stands behind it in the lane. `far`: among all held rows, and not the first alone.
pub(super) async fn behind(
    lane: &Lane,
    on: &Delivering,
    awaits: &Awaited,
    far: bool,
) -> Option<Job> {
    match lane.take(awaits) {
        None => held_of(lane, on, awaits, far).await,
        taken => taken,
    }
}

/// The same, where it stays in its place.
pub(super) async fn stands_behind(
    lane: &Lane,
    on: &Delivering,
    awaits: &Awaited,
) -> Option<DispatchId> {
    let queued = {
        let state = lane.lock();
        let queued = state.queue.iter().find(|job| is_awaited(job, awaits));
        queued.map(|job| job.dispatch.id)
    };
    match queued {
        None => held_of(lane, on, awaits, true).await.map(|job| job.dispatch.id),
        queued => queued,
    }
}

/// What a dispatch waits for, if it is held.
async fn held_of(lane: &Lane, on: &Delivering, awaits: &Awaited, far: bool) -> Option<Job> {
    if !lane.is_held() {
        return None;
    }
    let may_go = |job: &Job| !lane.lock().ahead.contains(&job.dispatch.id);
    if let Awaited::End(id) = awaits {
        return held(lane, on, *id).await.ok()?.filter(may_go);
    }
    let mut after = None;
    loop {
        // What cannot be read now is looked for again soon.
        let rows = on.store().held_peek(HeldStage::Deliver, lane.id, after, HELD_ROWS_READ);
        let rows = rows.await.ok()?;
        after = Some(rows.last()?.seq);
        let mut jobs = rows.iter().filter_map(|row| open_row(on, row).ok());
        if let Some(job) = jobs.find(|job| is_awaited(job, awaits) && may_go(job)) {
            return Some(job);
        }
        if !far {
            return None;
        }
    }
}

pub(super) fn is_awaited(job: &Job, awaits: &Awaited) -> bool {
    match awaits {
        Awaited::End(id) => job.dispatch.id == *id,
        Awaited::Message(message) => {
            let origin = &job.dispatch.origin;
            job.dispatch.envelope.kind == Kind::Message
                && origin.native_id.as_ref() == Some(&message.native_id)
                && origin.account.account == message.account
        }
    }
}
