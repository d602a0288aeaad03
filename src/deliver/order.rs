//! Who goes before whom in a lane: predecessors by name, and the messages that answers wait for.
//!
//! Called by the lane's own task alone.

use super::account::Delivering;
use super::job::{Job, Source};
use super::lane::{HELD_ROWS_READ, Lane, open_row, run_job};
use interline_envelope::{DispatchId, Kind};
use interline_store::{Awaited, HeldRow, HeldStage};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::warn;

/// Waits until the predecessor was finished elsewhere, comes, or is given up on. `time`: its successor's.
pub(super) async fn wait_for_prev(
    lane: &Lane,
    on: &Delivering,
    prev: DispatchId,
    time: Option<i64>,
) {
    let settings = on.settings();
    let deadline = Instant::now() + settings.prev_timeout;
    if let Some(time) = time
        && on.finished_in_store(prev, time).await
    {
        on.note_finished(prev);
        return;
    }
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(deadline) => break,
            () = on.stopped() => return,
            () = lane.wake.notified() => {
                if on.was_finished(prev) || lane.lock().queue.iter().any(|job| job.dispatch.id == prev) {
                    return;
                }
            }
        }
    }
    warn!(dispatch_id = %prev, "a predecessor did not come in time; its lane goes on");
    on.note_finished(prev);
}

/// Lets pass what an answer has overtaken; the answer is next again. Meanwhile it stands at the head of the queue, or is
/// the first held row, so that it keeps its place if the lane moves to the store.
pub(super) async fn let_pass(lane: &Lane, on: &Arc<Delivering>, job: Job, first: Job) {
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

/// A predecessor that stands elsewhere in the lane, or its own, and so on. An error is one that has not come.
pub(super) async fn predecessor(
    lane: &Lane,
    on: &Delivering,
    mut prev: DispatchId,
) -> Result<Job, DispatchId> {
    // Repetitions may name each other: then any of them goes.
    for hop in 0.. {
        let job = behind(lane, on, &Awaited::End(prev)).await.ok_or(prev)?;
        match job.dispatch.prev.filter(|prev| hop < HELD_ROWS_READ && !on.was_finished(*prev)) {
            None => return Ok(job),
            Some(earlier) => prev = earlier,
        }
        if matches!(job.source, Source::Queue(_)) {
            lane.lock().queue.push_front(job);
        }
    }
    Err(prev)
}

/// What an answer or a successor waits for, if it stands behind it in the lane.
pub(super) async fn behind(lane: &Lane, on: &Delivering, awaits: &Awaited) -> Option<Job> {
    match lane.take(awaits) {
        None => held_of(lane, on, awaits).await,
        taken => taken,
    }
}

/// What an answer waits for, if it is held: a message only among the first rows of the lane.
async fn held_of(lane: &Lane, on: &Delivering, awaits: &Awaited) -> Option<Job> {
    if !lane.is_held() {
        return None;
    }
    let stage = HeldStage::Deliver;
    let rows = match awaits {
        Awaited::End(id) => {
            on.store().held_find(stage, lane.id, *id).await.ok()?.into_iter().collect()
        }
        Awaited::Message(_) => on.store().held_peek(stage, lane.id, HELD_ROWS_READ).await.ok()?,
    };
    let ahead = lane.lock().ahead.clone();
    let rows = rows.into_iter().filter(|row: &HeldRow| !ahead.contains(&row.dispatch));
    rows.filter_map(|row| open_row(on, row).ok()).find(|job| is_awaited(job, awaits))
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
