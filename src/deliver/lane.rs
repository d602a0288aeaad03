//! A lane: what goes to one participant of one conversation, strictly in order.
//!
//! A retry waits inside its lane. A lane that is blocked for long, or that holds many deliveries, moves what it holds
//! to the store's `held` rows, in order, and acknowledges; while rows remain, later dispatches append there. A lane that
//! is merely early (the pair's budget) moves at once. What a blocked lane gets while the store has no room for it is
//! dead-lettered. So no blocked conversation starves another of prefetch, and nothing stays unacknowledged for long (G3,
//! G9). A lane that goes on keeps what it has, also where that is much and the store is full.
//!
//! A lane outlives the broker's channel: it finishes the request that it is in and drops what it has queued, which
//! the broker delivers again. *Invariant:* only the lane's own task takes held rows away; what the store lets go of what
//! was parked is put before them.

use super::account::Delivering;
use super::attempt::{Early, Step};
use super::holding::{has_deliveries, make_room};
use super::job::{Job, Source};
use super::order::{Predecessor, is_awaited, let_pass, predecessor, wait_for_prev};
use super::parking::{Waiting, wait_for_target};
use super::windows::Listener;
use crate::clock::now_ms;
use crate::dead::Reason;
use crate::wire::WireError;
use futures_util::future::{Either, select};
use interline_envelope::{Address, Dispatch, DispatchId, LaneId};
use interline_notice::Cause;
use interline_relay::first_to_go;
use interline_store::{Awaited, HeldRow, HeldStage};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::error;

/// How many held rows are read at once.
pub(super) const HELD_ROWS_READ: usize = 16;
/// A wait up to this is not worth a move to the store.
const SHORT_WAIT_MAX: Duration = Duration::from_millis(250);
/// What a dead letter says that found no room.
pub(super) const OVERFLOW: &str =
    "its lane is blocked, and the store has no room for what it holds";
/// How long to wait before the store or the dead-letter queue is asked again.
pub(super) const UPSTREAM_RETRY: Duration = Duration::from_secs(1);

/// One lane's queue. Its task runs while there is something to do.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    state: Mutex<LaneState>,
    pub(super) wake: Notify,
    /// Rows were put before the current job.
    pub(super) overtaken: Notify,
}

#[derive(Debug, Default)]
pub(super) struct LaneState {
    pub(super) queue: VecDeque<Job>,
    /// True while the store holds rows of this lane.
    pub(super) held: bool,
    /// True while the store refuses more rows of this lane.
    pub(super) full: bool,
    /// True once rows were put before the others.
    pub(super) returned: bool,
    /// True while its head waits for the person to write.
    awaits_person: bool,
    /// Who was told so. Bounded by the participants of the conversation.
    told: HashSet<Address>,
    /// How often rows came from elsewhere: what was parked is let go into the held rows.
    pub(super) looks: u64,
    /// What is let pass what waits for it. As many as stand in the lane at most.
    pub(super) ahead: Vec<DispatchId>,
}

enum Next {
    Job(Job),
    Held,
    /// The head names a predecessor that has not come yet; how often rows had come by then.
    WaitForPrev(DispatchId, u64),
    Idle,
}

impl Lane {
    pub(super) fn new(id: LaneId, held: bool) -> Self {
        Self {
            id,
            state: Mutex::new(LaneState { held, ..LaneState::default() }),
            wake: Notify::new(),
            overtaken: Notify::new(),
        }
    }

    /// Appends a delivery.
    pub(super) fn push(&self, job: Job) {
        let mut state = self.lock();
        if job.failures > 0 {
            // What was sent before stays before what was not.
            let after = state.queue.iter().rposition(|queued| queued.failures > 0);
            state.queue.insert(after.map_or(0, |at| at + 1), job);
        } else {
            state.queue.push_back(job);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Something was moved before the held rows of this lane.
    pub(super) fn look_at_held(&self) {
        let mut state = self.lock();
        state.held = true;
        state.returned = true;
        state.looks += 1;
        drop(state);
        self.wake.notify_one();
    }

    /// Lets what is held before a job go first: a delivery stays at the head of the queue, a row where it is.
    fn yield_to_held(&self, job: Job) {
        if matches!(job.source, Source::Queue(_)) {
            self.lock().queue.push_front(job);
        }
        self.look_at_held();
    }

    /// True if nothing is queued or held: the lane may be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.queue.is_empty() && !state.held
    }

    /// True while the store holds rows of this lane.
    pub(super) fn is_held(&self) -> bool {
        self.lock().held
    }

    /// True while its head waits for the person to write.
    pub(super) fn awaits_person(&self) -> bool {
        self.lock().awaits_person
    }

    /// Tells the sender of a dispatch, once, that it waits for the person.
    pub(super) async fn tell(&self, on: &Delivering, dispatch: &Dispatch) {
        let is_new = self.lock().told.insert(dispatch.origin.account.clone());
        if is_new && !on.tell_if_possible(dispatch, Cause::WindowClosed).await {
            self.lock().told.remove(&dispatch.origin.account);
        }
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, LaneState> {
        // Each critical section below leaves the queue whole at every point, so a poisoned lock is still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a dispatch waits for out of the queue, if it stands behind it.
    pub(super) fn take(&self, awaits: &Awaited) -> Option<Job> {
        let mut state = self.lock();
        let wanted = |job: &Job| is_awaited(job, awaits) && !state.ahead.contains(&job.dispatch.id);
        let at = state.queue.iter().position(wanted)?;
        state.queue.remove(at)
    }

    fn next(&self, on: &Delivering) -> Next {
        let mut state = self.lock();
        state.queue.retain(|job| on.is_current(job));
        if state.held {
            return Next::Held;
        }
        if state.queue.is_empty() {
            return Next::Idle;
        }
        let queue = state.queue.iter().map(|job| (job.dispatch.id, job.dispatch.prev));
        match first_to_go(queue, |id| on.was_finished(id)) {
            Ok(at) => state.queue.remove(at).map_or(Next::Idle, Next::Job),
            Err(prev) => Next::WaitForPrev(prev, state.looks),
        }
    }
}

/// Runs a lane until it has nothing left to do, or the daemon stops.
pub(super) async fn run(lane: Arc<Lane>, on: Arc<Delivering>) {
    loop {
        if on.is_stopping() {
            return;
        }
        match lane.next(&on) {
            Next::Job(job) => {
                run_job(&lane, &on, job).await;
            }
            Next::Held => run_held(&lane, &on).await,
            Next::WaitForPrev(prev, looks) => wait_for_prev(&lane, &on, prev, looks).await,
            Next::Idle => {
                if on.forget_if_idle(lane.id) {
                    return;
                }
            }
        }
    }
}

/// Works off held rows, oldest first, until none is left.
async fn run_held(lane: &Arc<Lane>, on: &Arc<Delivering>) {
    let looks = lane.lock().looks;
    let rows = match on.store().held_peek(HeldStage::Deliver, lane.id, None, HELD_ROWS_READ).await {
        Ok(rows) => rows,
        Err(error) => {
            error!(%error, "held rows cannot be read; trying again");
            on.sleep(UPSTREAM_RETRY).await;
            return;
        }
    };
    if rows.is_empty() {
        let mut state = lane.lock();
        // What came since the look is there to be looked at.
        state.held = state.looks != looks;
        return;
    }
    let mut jobs = VecDeque::with_capacity(rows.len());
    for row in rows {
        match open_row(on, &row) {
            Ok(job) => jobs.push_back(job),
            Err(error) => {
                if !buried_unreadable(lane, on, row, &error).await {
                    return on.sleep(UPSTREAM_RETRY).await;
                }
            }
        }
    }
    while let Some(head) = jobs.front().map(|job| job.dispatch.id) {
        if on.is_stopping() {
            return;
        }
        let ids = jobs.iter().map(|job| (job.dispatch.id, job.dispatch.prev));
        let next = match first_to_go(ids, |id| on.was_finished(id)) {
            Ok(at) => jobs.remove(at),
            // The lane may have moved to the store before its predecessor came.
            Err(prev) => match predecessor(lane, on, prev).await {
                Ok(Predecessor::Here(job)) => Some(job),
                // The rows are looked at anew: what was let go meanwhile stands before them.
                Ok(Predecessor::Missing(prev)) => {
                    return wait_for_prev(lane, on, prev, looks).await;
                }
                Err(error) => {
                    error!(%error, "held rows cannot be read; trying again");
                    return on.sleep(UPSTREAM_RETRY).await;
                }
            },
        };
        let Some(mut job) = next else { return };
        if job.dispatch.id != head {
            job.goes_before = Some(head);
        }
        // The next row must wait for this one.
        let done = run_job(lane, on, job).await;
        // What came back meanwhile stands before the rows that were read here.
        if !done || std::mem::take(&mut lane.lock().returned) {
            return;
        }
    }
}

/// Dead-letters a held row that is no dispatch of ours, as of an earlier version. False if it has to stay for now.
async fn buried_unreadable(lane: &Lane, on: &Delivering, row: HeldRow, error: &WireError) -> bool {
    error!(account_ref = %on.account_ref(), %error, disposition = "dead-letter", "a dispatch cannot be read");
    let HeldRow { seq, dispatch, body, held_at, attempts, .. } = row;
    let (id, error) = (dispatch.to_string(), error.to_string());
    // Its letter may be down already, and its row could not be removed.
    if !on.was_finished(dispatch) {
        let letter =
            on.publish_dead(body.into(), id, Reason::Unreadable, &error, attempts, held_at, 0);
        if let Err(error) = letter.await {
            error!(%error, dispatch_id = %dispatch, "a dead letter cannot be put down; trying again");
            return false;
        }
        on.note_finished(dispatch);
    }
    let removed = on.store().held_release(HeldStage::Deliver, lane.id, seq).await;
    if let Err(error) = &removed {
        error!(%error, "a held row cannot be removed");
    }
    removed.is_ok()
}

pub(super) fn open_row(on: &Delivering, row: &HeldRow) -> Result<Job, WireError> {
    let dispatch = on.wire().open(Some(&row.dispatch.to_string()), &row.body)?;
    Ok(Job {
        dispatch: Arc::new(dispatch),
        sealed: row.body.clone().into(),
        replayed: 0,
        attempts: row.attempts,
        failures: 0,
        since_ms: row.held_at,
        turn_ms: row.held_at,
        parks: true,
        goes_without: false,
        goes_before: None,
        source: Source::Held { seq: row.seq },
    })
}

/// Sees one dispatch through: attempts, waits, and what follows from the last one. True if it is finished.
pub(super) async fn run_job(lane: &Lane, on: &Arc<Delivering>, mut job: Job) -> bool {
    let mut blocked_since: Option<Instant> = None;
    let mut listener = None;
    if job.failures > 0 {
        // The platform took it and said later that it failed.
        let wait = on.sleep(on.backoff(&on.attempt_of(&job)));
        under_pressure(lane, on, &mut job, None, wait).await;
    }
    job.turn_ms = now_ms();
    loop {
        if on.is_stopping() || !on.is_current(&job) {
            return false;
        }
        let attempt = on.attempt(on.attempt_of(&job));
        let step = under_pressure(lane, on, &mut job, blocked_since, attempt).await;
        match step {
            Step::Done => {
                if listener.is_some() {
                    lane.lock().told.clear();
                }
                finish(lane, on, job).await;
                return true;
            }
            Step::Dead { reason, error } => {
                if !buried(lane, on, &mut job, reason, &error, blocked_since).await {
                    return false;
                }
                finish(lane, on, job).await;
                return true;
            }
            Step::Park { awaits } => {
                match wait_for_target(lane, on, &mut job, blocked_since, awaits).await {
                    Waiting::Over => {}
                    Waiting::LetsPass(first) => {
                        let_pass(lane, on, job, *first).await;
                        return false;
                    }
                    Waiting::Parked => return true,
                }
            }
            Step::Again { after } => {
                let since = *blocked_since.get_or_insert_with(Instant::now);
                job.attempts = job.attempts.saturating_add(1);
                if give_up(lane, on, &job, since).await {
                    settle(lane, on, job).await;
                    return true;
                }
                under_pressure(lane, on, &mut job, blocked_since, on.sleep(after)).await;
            }
            Step::Wait { after, cause } => {
                let since = *blocked_since.get_or_insert_with(Instant::now);
                if give_up(lane, on, &job, since).await {
                    settle(lane, on, job).await;
                    return true;
                }
                let slept =
                    wait_early(lane, on, &mut job, since, after, cause, &mut listener).await;
                if slept && matches!(job.source, Source::Held { .. }) {
                    // The rows are looked at anew: what came back meanwhile goes first.
                    return false;
                }
            }
            Step::Behind => {
                lane.yield_to_held(job);
                return false;
            }
            Step::Abandon => return false,
        }
    }
}

/// Puts a dead letter down. The verdict stands: what is tried again is the letter, not the dispatch. False if the
/// dispatch comes again.
async fn buried(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    reason: Reason,
    error: &str,
    blocked_since: Option<Instant>,
) -> bool {
    while !bury(on, job, reason, error).await {
        under_pressure(lane, on, job, blocked_since, on.sleep(UPSTREAM_RETRY)).await;
        if on.is_stopping() || !on.is_current(job) {
            return false;
        }
    }
    true
}

/// Waits for `work`, and meanwhile moves the lane to the store when it must.
pub(super) async fn under_pressure<T>(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    blocked_since: Option<Instant>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let started = blocked_since.unwrap_or_else(Instant::now);
    let mut retry_at = started;
    loop {
        let (now, blocked_at) = (Instant::now(), started + on.settings().lane.blocked_max);
        if retry_at <= now && must_hold(lane, on, job, now - started) {
            let room = std::pin::pin!(make_room(lane, on, job, now >= blocked_at));
            // The work goes on meanwhile, or an answer that is there could be taken for none.
            match select(work.as_mut(), room).await {
                Either::Left((result, room)) => {
                    room.await;
                    return result;
                }
                // What is unacknowledged stays with the broker, and is tried again later.
                Either::Right((false, _)) => retry_at = Instant::now() + UPSTREAM_RETRY,
                Either::Right((true, _)) => {}
            }
        }
        // A stale delivery is not held, so its deadline must not wake the lane again and again.
        let in_queue = on.is_unacknowledged(job);
        let look_at = if retry_at > now { retry_at } else { blocked_at };
        let looks = look_at > now && (in_queue || look_at == retry_at);
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = lane.wake.notified() => {}
            () = tokio::time::sleep_until(look_at), if looks => {}
        }
    }
}

fn must_hold(lane: &Lane, on: &Delivering, job: &Job, blocked_for: Duration) -> bool {
    let mut state = lane.lock();
    state.queue.retain(|queued| on.is_current(queued));
    let in_queue = on.is_unacknowledged(job);
    if state.held {
        return !state.queue.is_empty() || in_queue;
    }
    let deliveries = state.queue.len() + usize::from(in_queue);
    on.settings().lane.must_hold(in_queue.then_some(blocked_for), deliveries)
}

/// Lets a dispatch wait that is too early. What waits for long waits in the store, out of the others' way. False if it
/// has to be looked at once more before it waits.
async fn wait_early(
    lane: &Lane,
    on: &Arc<Delivering>,
    job: &mut Job,
    blocked_since: Instant,
    after: Duration,
    cause: Early,
    listener: &mut Option<Listener>,
) -> bool {
    if after > SHORT_WAIT_MAX && has_deliveries(lane, on, job) {
        let blocked_max = on.settings().lane.blocked_max;
        let is_blocked = cause == Early::Window || blocked_since.elapsed() >= blocked_max;
        make_room(lane, on, job, is_blocked).await;
    }
    let (since, dispatch) = (Some(blocked_since), job.dispatch.clone());
    match (cause, &*listener) {
        (Early::Budget, _) => {
            under_pressure(lane, on, job, since, on.sleep(after)).await;
            true
        }
        // From here on no opening is missed; the next look tells whether one was before.
        (Early::Window, None) => {
            *listener = Some(on.listen(&dispatch));
            lane.tell(on, &dispatch).await;
            under_pressure(lane, on, job, since, on.invite(&dispatch)).await;
            false
        }
        (Early::Window, Some(listener)) => {
            lane.lock().awaits_person = true;
            let after = after.min(on.time_left(job));
            let wait = async {
                tokio::select! {
                    biased;
                    () = listener.opened() => {}
                    () = on.sleep(after) => {}
                    () = lane.overtaken.notified() => {}
                }
            };
            under_pressure(lane, on, job, since, wait).await;
            lane.lock().awaits_person = false;
            true
        }
    }
}

/// True if a dispatch is given up, and its dead letter safe: it waited for too long, or is in the way of others.
async fn give_up(lane: &Lane, on: &Delivering, job: &Job, blocked_since: Instant) -> bool {
    let blocked = blocked_since.elapsed() >= on.settings().lane.blocked_max;
    let in_the_way = blocked && lane.lock().full && matches!(job.source, Source::Queue(_));
    let (reason, error) = if in_the_way {
        (Reason::Overflow, OVERFLOW)
    } else if let Some(reason) = on.given_up(job) {
        (reason, "no attempt succeeded in time")
    } else {
        return false;
    };
    let buried = bury(on, job, reason, error).await;
    if buried {
        on.observe_end(job);
        on.note_finished(job.dispatch.id);
    }
    buried
}

/// Counts a dispatch as finished, for its successors and for the operator, and lets it go.
async fn finish(lane: &Lane, on: &Delivering, job: Job) {
    on.observe_end(&job);
    on.note_finished(job.dispatch.id);
    settle(lane, on, job).await;
}

/// Acknowledges a delivery, or removes a held row: the dispatch is finished and recorded.
async fn settle(lane: &Lane, on: &Delivering, job: Job) {
    match job.source {
        Source::Queue(ticket) => ticket.ack(),
        Source::Held { seq } => {
            if let Err(error) = on.store().held_release(HeldStage::Deliver, lane.id, seq).await {
                // The row comes again, and its record says that it is done.
                error!(%error, "a held row cannot be removed");
                on.sleep(UPSTREAM_RETRY).await;
            }
        }
    }
}

/// Publishes a dead letter and records the dispatch as dead. True if both are safe.
pub(super) async fn bury(on: &Delivering, job: &Job, reason: Reason, error: &str) -> bool {
    match on.bury(job, reason, error).await {
        Ok(()) => true,
        Err(error) => {
            error!(%error, dispatch_id = %job.dispatch.id, "a dead letter cannot be put down; trying again");
            false
        }
    }
}
