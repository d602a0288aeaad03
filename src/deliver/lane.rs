//! A lane: what goes to one participant of one conversation, strictly in order.
//!
//! A retry waits inside its lane. A lane that is blocked for long, or that holds many deliveries, moves what it holds
//! to the store's `held` rows, in order, and acknowledges; while rows remain, later dispatches append there. A lane that
//! is merely early (the pair's budget) moves at once. What a blocked lane gets while the store has no room for it is
//! dead-lettered. So no conversation starves another of prefetch, and nothing stays unacknowledged for long (G3, G9).
//!
//! A lane outlives the broker's channel: it finishes the request that it is in and drops what it has queued, which
//! the broker delivers again. *Invariant:* only the lane's own task takes held rows away; what the store lets go of what
//! was parked is put behind them.

use super::account::Delivering;
use super::attempt::{Early, Step};
use super::job::{Job, Source};
use super::windows::Listener;
use crate::dead::Reason;
use interline_envelope::{Address, Dispatch, DispatchId, Kind, LaneId};
use interline_notice::Cause;
use interline_store::{Awaited, HeldBody, HeldRow, HeldStage, NewParked, Parked, StoreError};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, error, warn};

/// How many held rows are read at once.
const HELD_ROWS_READ: usize = 16;
/// A wait up to this is not worth a move to the store.
const SHORT_WAIT_MAX: Duration = Duration::from_millis(250);
/// What a dead letter says that found no room.
const OVERFLOW: &str = "its lane is blocked, and the store has no room for what it holds";
/// How often an answer looks for what it answers.
const TARGET_POLL: Duration = Duration::from_millis(100);
/// How long to wait before the store or the dead-letter queue is asked again.
const UPSTREAM_RETRY: Duration = Duration::from_secs(1);

/// One lane's queue. Its task runs while there is something to do.
#[derive(Debug)]
pub(super) struct Lane {
    id: LaneId,
    state: Mutex<LaneState>,
    wake: Notify,
    /// Rows were put before the current job.
    overtaken: Notify,
}

#[derive(Debug, Default)]
struct LaneState {
    queue: VecDeque<Job>,
    /// True while the store holds rows of this lane.
    held: bool,
    /// True while the store refuses more rows of this lane.
    full: bool,
    /// True once rows were put before the others.
    returned: bool,
    /// True while its head waits for the person to write.
    awaits_person: bool,
    /// Who was told so. Bounded by the participants of the conversation.
    told: HashSet<Address>,
    /// How often rows came from elsewhere: what was parked is let go into the held rows.
    looks: u64,
}

/// What became of the wish to move to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Yes,
    /// There is no room.
    Full,
    /// The store fails.
    Failed,
}

enum Next {
    Job(Job),
    Held,
    /// The head names a predecessor that has not come yet.
    WaitForPrev(DispatchId),
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

    /// Something was moved to the held rows of this lane.
    pub(super) fn look_at_held(&self) {
        let mut state = self.lock();
        state.held = true;
        state.looks += 1;
        drop(state);
        self.wake.notify_one();
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
    async fn tell(&self, on: &Delivering, dispatch: &Dispatch) {
        let is_new = self.lock().told.insert(dispatch.origin.account.clone());
        if is_new && let Err(error) = on.tell(dispatch, Cause::WindowClosed).await {
            warn!(%error, dispatch_id = %dispatch.id, "the sender of a message that waits cannot be told");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LaneState> {
        // Each critical section below leaves the queue whole at every point, so a poisoned lock is still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a dispatch waits for out of the queue, if it stands behind it.
    fn take(&self, awaits: &Awaited) -> Option<Job> {
        let mut state = self.lock();
        let at = state.queue.iter().position(|job| match awaits {
            Awaited::End(id) => job.dispatch.id == *id,
            Awaited::Message(message) => {
                let origin = &job.dispatch.origin;
                job.dispatch.envelope.kind == Kind::Message
                    && origin.native_id.as_ref() == Some(&message.native_id)
                    && origin.account.account == message.account
            }
        })?;
        state.queue.remove(at)
    }

    fn next(&self, on: &Delivering) -> Next {
        let mut state = self.lock();
        state.queue.retain(|job| on.is_current(job));
        if state.held {
            return Next::Held;
        }
        let Some(head) = state.queue.front() else { return Next::Idle };
        let Some(prev) = head.dispatch.prev.filter(|prev| !on.was_finished(*prev)) else {
            return state.queue.pop_front().map_or(Next::Idle, Next::Job);
        };
        match state.queue.iter().position(|job| job.dispatch.id == prev) {
            Some(at) => state.queue.remove(at).map_or(Next::Idle, Next::Job),
            None => Next::WaitForPrev(prev),
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
            Next::WaitForPrev(prev) => wait_for_prev(&lane, &on, prev).await,
            Next::Idle => {
                if on.forget_if_idle(lane.id) {
                    return;
                }
            }
        }
    }
}

/// Waits until the predecessor was finished elsewhere, comes, or is given up on.
async fn wait_for_prev(lane: &Lane, on: &Delivering, prev: DispatchId) {
    let settings = on.settings();
    let deadline = Instant::now() + settings.prev_timeout;
    let known = lane.lock().queue.front().map(|job| job.dispatch.envelope.time);
    if let Some(time) = known
        && on.finished_in_store(prev, time).await
    {
        on.note_finished(prev);
        return;
    }
    loop {
        tokio::select! {
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

/// Works off held rows, oldest first, until none is left.
async fn run_held(lane: &Arc<Lane>, on: &Arc<Delivering>) {
    let looks = lane.lock().looks;
    let rows = match on.store().held_peek(HeldStage::Deliver, lane.id, HELD_ROWS_READ).await {
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
    for row in rows {
        if on.is_stopping() {
            return;
        }
        match open_row(on, row) {
            Ok(job) => {
                // The next row must wait for this one.
                let done = run_job(lane, on, job).await;
                // What came back meanwhile stands before the rows that were read here.
                if !done || std::mem::take(&mut lane.lock().returned) {
                    return;
                }
            }
            Err(seq) => {
                error!("a held row cannot be opened; it is left out");
                if let Err(error) = on.store().held_release(HeldStage::Deliver, lane.id, seq).await
                {
                    error!(%error, "a held row cannot be removed");
                    return;
                }
            }
        }
    }
}

fn open_row(on: &Delivering, row: HeldRow) -> Result<Job, u64> {
    let dispatch =
        on.wire().open(Some(&row.dispatch.to_string()), &row.body).map_err(|_| row.seq)?;
    Ok(Job {
        dispatch: Arc::new(dispatch),
        sealed: row.body.into(),
        replayed: 0,
        attempts: row.attempts,
        failures: 0,
        since_ms: row.held_at,
        parks: true,
        source: Source::Held { seq: row.seq },
    })
}

/// Sees one dispatch through: attempts, waits, and what follows from the last one. True if it is finished.
async fn run_job(lane: &Lane, on: &Arc<Delivering>, mut job: Job) -> bool {
    let mut blocked_since: Option<Instant> = None;
    let mut listener = None;
    if job.failures > 0 {
        // The platform took it and said later that it failed.
        let wait = on.sleep(on.backoff(&on.attempt_of(&job)));
        under_pressure(lane, on, &mut job, None, wait).await;
    }
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
                on.observe_end(&job);
                on.note_finished(job.dispatch.id);
                settle(lane, on, job).await;
                return true;
            }
            Step::Dead { reason, error } => {
                // The verdict stands: what is tried again is the dead letter, not the dispatch.
                while !bury(on, &job, reason, &error).await {
                    let again = on.sleep(UPSTREAM_RETRY);
                    under_pressure(lane, on, &mut job, blocked_since, again).await;
                    if on.is_stopping() || !on.is_current(&job) {
                        return false;
                    }
                }
                on.observe_end(&job);
                on.note_finished(job.dispatch.id);
                settle(lane, on, job).await;
                return true;
            }
            // A message keeps its place among those of its lane; what is about another message need not.
            Step::Park { awaits, .. } if job.dispatch.envelope.kind == Kind::Message => {
                match lane.take(&awaits) {
                    // It overtook what it answers.
                    Some(first) => drop(Box::pin(run_job(lane, on, first)).await),
                    None => {
                        under_pressure(lane, on, &mut job, blocked_since, on.sleep(TARGET_POLL))
                            .await;
                    }
                }
            }
            Step::Park { awaits, until } => {
                if parked(lane, on, &mut job, blocked_since, awaits, until).await {
                    return true;
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
            Step::Abandon => return false,
        }
    }
}

/// Lets a dispatch wait for what it is about, and the lane go on. False if it is to be tried again at once.
async fn parked(
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

/// Waits for `work`, and meanwhile moves the lane to the store when it must.
async fn under_pressure<T>(
    lane: &Lane,
    on: &Delivering,
    job: &mut Job,
    blocked_since: Option<Instant>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let started = blocked_since.unwrap_or_else(Instant::now);
    let mut deadline = started + on.settings().lane.blocked_max;
    loop {
        if must_hold(lane, on, job, started) && !make_room(lane, on, job).await {
            // What is unacknowledged stays with the broker, and is tried again later.
            deadline = Instant::now() + UPSTREAM_RETRY;
        }
        // A stale delivery is not held, so its deadline must not wake the lane again and again.
        let in_queue = matches!(job.source, Source::Queue(_)) && on.is_current(job);
        let waits = in_queue || deadline > Instant::now();
        tokio::select! {
            result = &mut work => return result,
            () = lane.wake.notified() => {}
            () = tokio::time::sleep_until(deadline), if waits => {}
        }
        if !waits {
            deadline = Instant::now() + UPSTREAM_RETRY;
        }
    }
}

fn must_hold(lane: &Lane, on: &Delivering, job: &Job, started: Instant) -> bool {
    let mut state = lane.lock();
    state.queue.retain(|queued| on.is_current(queued));
    let in_queue = matches!(job.source, Source::Queue(_)) && on.is_current(job);
    if state.held {
        return !state.queue.is_empty() || in_queue;
    }
    let deliveries = state.queue.len() + usize::from(in_queue);
    on.settings().lane.must_hold(in_queue.then(|| started.elapsed()), deliveries)
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
        make_room(lane, on, job).await;
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

fn has_deliveries(lane: &Lane, on: &Delivering, job: &Job) -> bool {
    let in_queue = matches!(job.source, Source::Queue(_)) && on.is_current(job);
    in_queue || !lane.lock().queue.is_empty()
}

/// Frees the account's prefetch of this lane: by the store or, where that has no room, by dead letters of what waits
/// behind the current job. False if it could not.
async fn make_room(lane: &Lane, on: &Delivering, job: &mut Job) -> bool {
    let moved = hold(lane, on, job).await;
    lane.lock().full = moved == Moved::Full;
    match moved {
        Moved::Yes => true,
        Moved::Failed => false,
        Moved::Full => {
            overflow(lane, on).await;
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
                // What arrived while the store wrote is at the end; what was written is at the front.
                let kept = state.queue.len().min(taken.len());
                state.queue.drain(..kept);
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
async fn bury(on: &Delivering, job: &Job, reason: Reason, error: &str) -> bool {
    match on.bury(job, reason, error).await {
        Ok(()) => true,
        Err(error) => {
            error!(%error, dispatch_id = %job.dispatch.id, "a dead letter cannot be put down; trying again");
            false
        }
    }
}
