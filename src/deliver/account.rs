//! One account's delivery: its consumer, its lanes, its gate.
//!
//! It lives as long as the account is configured, over any number of broker connections: each consumer is a
//! *session*, and what an old session delivered is dropped unsent, since the broker delivers it again.

use super::attempt::Attempt;
use super::bury::BuryError;
use super::context::DeliverContext;
use super::gate::{Gate, Pass};
use super::http::TransportError;
use super::job::{Job, Source, Ticket};
use super::lane::{self, Lane};
use super::observe::Seen;
use super::pace::Pacing;
use super::recent::Recent;
use crate::clock::{millis, now_ms};
use crate::config::{Egress, Order};
use crate::dead::Reason;
use crate::live::{Account, Live};
use crate::media::Carrier;
use crate::wire::{HEADER_FAILURES, HEADER_REPLAYED, Wire};
use interline_bridge_api::{Outcome, Request};
use interline_broker::{Acker, Consumer, Delivery, Link, LinkError, LostReason, topology};
use interline_envelope::{AccountRef, Address, DispatchId, IdKey, LaneId, Redacted};
use interline_relay::LanePolicy;
use interline_store::{DispatchState, HeldStage, Store, StoreError};
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info};

const BATCH_MAX: usize = 64;
/// A pause longer than this gives the account's deliveries back to the broker.
const SHORT_PAUSE_MAX: Duration = Duration::from_secs(20);
/// How often the gate is looked at.
const PAUSE_LOOK: Duration = Duration::from_secs(1);

/// Times and bounds of the stage, from the config as it is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) lane: LanePolicy,
    pub(super) prev_timeout: Duration,
    pub(super) settle_timeout: Duration,
    pub(super) retry_min: Duration,
    pub(super) retry_max: Duration,
    pub(super) parked_max_age: Duration,
    held_max_age: Duration,
}

/// One account's delivery.
pub struct Delivering {
    pub(super) context: DeliverContext,
    pub(super) account: AccountRef,
    pub(super) gate: Arc<Gate>,
    pub(super) pacing: Pacing,
    /// Bounds requests under way; of its own, so that a platform that hangs holds up no other.
    in_flight: Arc<Semaphore>,
    lanes: Mutex<HashMap<LaneId, Arc<Lane>>>,
    tasks: TaskTracker,
    session: AtomicU64,
    prefetch_used: AtomicU16,
    session_changed: Notify,
    recent: Mutex<Recent>,
    pub(super) seen: Mutex<Seen>,
    /// The lanes whose senders were told that the account waits for an operator, and that sent nothing since.
    pub(super) told_of_pause: Mutex<HashSet<LaneId>>,
    /// Since when its queue is consumed; nothing while it is not.
    consumed_since: Mutex<Option<Instant>>,
}

impl Delivering {
    /// An account that delivers nothing yet.
    pub fn new(context: DeliverContext, account: AccountRef) -> Arc<Self> {
        let in_flight = usize::from(context.live.get().config.deliver.in_flight_requests_max);
        let delivering = Arc::new(Self {
            context,
            account,
            gate: Arc::new(Gate::default()),
            pacing: Pacing::default(),
            in_flight: Arc::new(Semaphore::new(in_flight)),
            lanes: Mutex::default(),
            tasks: TaskTracker::new(),
            session: AtomicU64::new(0),
            prefetch_used: AtomicU16::new(0),
            session_changed: Notify::new(),
            recent: Mutex::default(),
            seen: Mutex::default(),
            told_of_pause: Mutex::default(),
            consumed_since: Mutex::default(),
        });
        delivering.context.wakes.register(&delivering);
        delivering
    }

    /// Starts the lanes that the store holds rows for. To be called once, before anything is consumed.
    ///
    /// # Errors
    /// [`StoreError`] if the rows cannot be read.
    pub async fn resume_held(self: &Arc<Self>) -> Result<(), StoreError> {
        let held = self.store().held_lanes(HeldStage::Deliver, Some(&self.account)).await?;
        let mut lanes = self.lock_lanes();
        for row in held {
            self.look_at_held(&mut lanes, row.lane);
        }
        Ok(())
    }

    /// Consumes the account's queue until the broker is lost or the daemon stops. While the account is paused for
    /// long, nothing is consumed and the backlog stays in the broker.
    ///
    /// # Errors
    /// [`LinkError`] or the reason of the loss; the supervisor connects again.
    pub async fn run(
        self: Arc<Self>,
        link: Arc<Link>,
        stop: CancellationToken,
    ) -> Result<(), DeliverError> {
        let queue = {
            let live = self.live();
            topology::dispatch_queue(
                &live.config.broker.prefix,
                self.account.platform.as_str(),
                &self.account.account,
            )
        };
        info!(account_ref = %self.account, "deliver started");
        while !stop.is_cancelled() {
            if self.long_pause() {
                tokio::select! {
                    biased;
                    () = self.gate.changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(250)) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            let prefetch = self.prefetch();
            let (consumer, acker) = link.consumer(&queue, prefetch, "interline").await?;
            *self.consumed_since() = Some(Instant::now());
            let ended = self.consume(consumer, &acker, &stop).await;
            *self.consumed_since() = None;
            self.next_session();
            ended?;
        }
        Ok(())
    }

    /// How much may be out at once. Never less than before: what the broker gives back after a crash must fit, or a
    /// later delivery could overtake an earlier one.
    fn prefetch(&self) -> u16 {
        let wanted = self.live().config.deliver.prefetch;
        self.prefetch_used.fetch_max(wanted, Ordering::SeqCst).max(wanted)
    }

    async fn consume(
        self: &Arc<Self>,
        mut consumer: Consumer,
        acker: &Acker,
        stop: &CancellationToken,
    ) -> Result<(), DeliverError> {
        let session = self.session.load(Ordering::SeqCst);
        loop {
            if self.long_pause() {
                info!(account_ref = %self.account, "the account's backlog stays in the broker for now");
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.gate.changed() => {}
                // A change between two waits is not told.
                () = tokio::time::sleep(PAUSE_LOOK) => {}
                batch = consumer.next_batch(BATCH_MAX) => {
                    for delivery in batch? {
                        self.accept(delivery, acker, session).await?;
                    }
                }
            }
        }
        if self.is_stopping() {
            // Drain: what is in flight settles and is acknowledged on the channel that it came on.
            self.tasks.close();
            self.tasks.wait().await;
            acker.flush().await?;
        }
        consumer.close().await;
        Ok(())
    }

    /// Puts one delivery into its lane; what is no dispatch of ours is dead-lettered.
    async fn accept(
        self: &Arc<Self>,
        delivery: Delivery,
        acker: &Acker,
        session: u64,
    ) -> Result<(), DeliverError> {
        let message_id = delivery.message_id();
        let replayed = delivery.int_header(HEADER_REPLAYED);
        let replayed = replayed.map_or(0, |times| u32::try_from(times).unwrap_or(0));
        let failures = delivery.int_header(HEADER_FAILURES);
        let failures = failures.map_or(0, |times| u32::try_from(times).unwrap_or(0));
        let ticket = Ticket { acker: acker.clone(), tag: delivery.tag, session };
        match self.context.wire.open(message_id, &delivery.body) {
            Ok(dispatch) => {
                self.push(Job {
                    dispatch: Arc::new(dispatch),
                    sealed: delivery.body,
                    replayed,
                    attempts: failures,
                    failures,
                    since_ms: now_ms(),
                    turn_ms: now_ms(),
                    parks: true,
                    goes_without: false,
                    goes_before: None,
                    source: Source::Queue(ticket),
                });
            }
            Err(error) => {
                error!(account_ref = %self.account, %error, disposition = "dead-letter", "a dispatch cannot be read");
                let id = message_id.unwrap_or("unknown").to_owned();
                self.publish_dead(
                    delivery.body,
                    id,
                    Reason::Unreadable,
                    &error.to_string(),
                    1,
                    now_ms(),
                    replayed,
                )
                .await?;
                ticket.ack();
            }
        }
        Ok(())
    }

    fn push(self: &Arc<Self>, job: Job) {
        let id = job.dispatch.lane;
        let mut lanes = self.lock_lanes();
        if let Some(lane) = lanes.get(&id) {
            lane.push(job);
            return;
        }
        let lane = Arc::new(Lane::new(id, false));
        lane.push(job);
        lanes.insert(id, lane.clone());
        drop(lanes);
        self.tasks.spawn(lane::run(lane, self.clone()));
    }

    /// Lets a lane look at its held rows: something was moved there.
    pub(super) fn wake_held(self: &Arc<Self>, id: LaneId) {
        self.look_at_held(&mut self.lock_lanes(), id);
    }

    fn look_at_held(self: &Arc<Self>, lanes: &mut HashMap<LaneId, Arc<Lane>>, id: LaneId) {
        if let Some(lane) = lanes.get(&id) {
            lane.look_at_held();
            return;
        }
        let lane = Arc::new(Lane::new(id, true));
        lanes.insert(id, lane.clone());
        self.tasks.spawn(lane::run(lane, self.clone()));
    }

    pub(super) fn forget_if_idle(&self, id: LaneId) -> bool {
        let mut lanes = self.lock_lanes();
        let idle = lanes.get(&id).is_none_or(|lane| lane.is_idle());
        if idle {
            lanes.remove(&id);
        }
        idle
    }

    pub(super) fn lock_lanes(&self) -> std::sync::MutexGuard<'_, HashMap<LaneId, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_session(&self) {
        self.session.fetch_add(1, Ordering::SeqCst);
        self.session_changed.notify_waiters();
    }

    /// False for a delivery of a channel that is gone.
    pub(super) fn is_current(&self, job: &Job) -> bool {
        match &job.source {
            Source::Queue(ticket) => ticket.session == self.session.load(Ordering::SeqCst),
            Source::Held { .. } => true,
        }
    }

    /// True for what the broker gives to nobody else meanwhile, and would give again.
    pub(super) fn is_unacknowledged(&self, job: &Job) -> bool {
        matches!(job.source, Source::Queue(_)) && self.is_current(job)
    }

    fn long_pause(&self) -> bool {
        self.gate.paused().is_some_and(|(_, until)| {
            until.saturating_duration_since(Instant::now()) > SHORT_PAUSE_MAX
        })
    }

    /// The account's settings changed: it may send again at once.
    pub fn reset(&self) {
        self.gate.reset();
        self.told_of_pause().clear();
    }

    /// Waits until the account may send and a place among the requests under way is free; nothing if the daemon stops
    /// or the channel is lost.
    pub(super) async fn pass(&self) -> Option<(Pass, OwnedSemaphorePermit)> {
        let changed = self.session_changed.notified();
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => None,
            pass = self.gate.pass() => {
                let permit = self.in_flight.clone().acquire_owned().await.ok()?;
                if self.is_stopping() { None } else { Some((pass, permit)) }
            }
            () = changed => None,
        }
    }

    pub(super) const fn media(&self) -> &Carrier {
        &self.context.media
    }

    /// Waits, but not longer than the daemon runs or the channel stands.
    pub(super) async fn sleep(&self, long: Duration) {
        tokio::select! {
            biased;
            () = tokio::time::sleep(long) => {}
            () = self.context.stop.cancelled() => {}
            () = self.session_changed.notified() => {}
        }
    }

    /// Carries one request to the platform and reads its answer.
    pub(super) async fn transmit(
        &self,
        live: &Live,
        request: &Request,
    ) -> Result<Outcome, TransportError> {
        let Some(account) = live.account(&self.account) else {
            return Err(TransportError::NoAccount);
        };
        let response = match account.egress {
            Egress::Http => self.context.http.send(&account, request, None).await?,
            Egress::Queue => {
                let publisher = self.context.publisher().ok_or(TransportError::NoBroker)?;
                let timeout = live.config.deliver.egress_answer_timeout;
                let queue = topology::egress_queue(
                    &live.config.broker.prefix,
                    self.account.platform.as_str(),
                );
                self.context.answers.ask(&publisher, queue, request, timeout).await?
            }
        };
        let read =
            || (account.bridge.interpret(request, &response), account.bridge.quota(&response));
        let (outcome, quota) = std::panic::catch_unwind(AssertUnwindSafe(read))
            .map_err(|_| TransportError::Uninterpretable)?;
        self.heed(quota);
        Ok(outcome)
    }

    /// Waits until what was just sent reached the person's device, where the account's `order` asks for it.
    pub(super) async fn until_delivered(
        &self,
        live: &Live,
        to: &Address,
        native_ids: &[Redacted<String>],
    ) {
        let ordered = self.account_now(live).is_some_and(|now| now.order == Order::Delivered);
        if !ordered || native_ids.is_empty() {
            return;
        }
        let limit = live.config.deliver.delivered_timeout;
        tokio::select! {
            biased;
            arrived = self.context.arrivals.wait(&self.account, &to.user, native_ids, now_ms(), limit) => {
                if !arrived {
                    debug!(account_ref = %self.account, "no delivered status in time; the lane goes on");
                }
            }
            () = self.context.stop.cancelled() => {}
        }
    }

    /// How long a dispatch may still wait.
    pub(super) fn time_left(&self, job: &Job) -> Duration {
        let waited = u64::try_from(now_ms().saturating_sub(job.since_ms)).unwrap_or(0);
        // A moment more, so that it has waited for too long when it is looked at then.
        (self.settings().held_max_age + Duration::from_millis(50))
            .saturating_sub(Duration::from_millis(waited))
    }

    /// The reason to give a dispatch up, if it waited for too long.
    pub(super) fn given_up(&self, job: &Job) -> Option<Reason> {
        let age_max = millis(self.settings().held_max_age);
        (now_ms().saturating_sub(job.since_ms) > age_max).then_some(Reason::Expired)
    }

    pub(super) fn was_finished(&self, id: DispatchId) -> bool {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(super) fn note_finished(&self, id: DispatchId) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// True if the store says that a dispatch is finished, or parked: then its lane has gone on without it.
    pub(super) async fn has_passed(&self, id: DispatchId) -> Result<bool, StoreError> {
        let state = self.store().state_of(id).await?;
        let has_ended = state.is_some_and(|state| state != DispatchState::Open);
        Ok(has_ended || self.store().is_parked(id).await?)
    }

    /// Ends once the deliveries that are taken now are no longer ours.
    pub(super) fn session_ended(&self) -> Notified<'_> {
        self.session_changed.notified()
    }

    /// Since when news of what was sent can come, all of which passes the broker; nothing while that is away.
    pub(super) fn hears_since(&self) -> Option<Instant> {
        self.context.connection.borrow().as_ref().map(|connection| connection.since)
    }

    /// Since when the account's dispatches can come; nothing while they cannot.
    pub(super) fn consumes_since(&self) -> Option<Instant> {
        // What was noted of a consumer that went with its connection counts no longer.
        Some(self.hears_since()?.max((*self.consumed_since())?))
    }

    fn consumed_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.consumed_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> Settings {
        let live = self.live();
        let deliver = &live.config.deliver;
        Settings {
            lane: LanePolicy {
                blocked_max: deliver.lane_blocked_timeout,
                deliveries_max: usize::from(deliver.lane_deliveries_max),
            },
            prev_timeout: deliver.prev_timeout,
            settle_timeout: deliver.settle_timeout,
            retry_min: deliver.retry_backoff_min,
            retry_max: deliver.retry_backoff_max,
            parked_max_age: deliver.parked_max_age,
            held_max_age: live.config.store.held_max_age,
        }
    }

    pub(super) fn attempt_of(&self, job: &Job) -> Attempt {
        let dispatch = job.dispatch.clone();
        Attempt {
            dispatch,
            replayed: job.replayed,
            attempts: job.attempts,
            goes_without: job.goes_without,
            goes_before: job.goes_before,
        }
    }

    pub(super) fn live(&self) -> Arc<Live> {
        self.context.live.get()
    }

    pub(super) fn account_now(&self, live: &Live) -> Option<Arc<Account>> {
        live.account(&self.account)
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.context.store.as_ref()
    }

    pub(super) const fn ids(&self) -> &IdKey {
        &self.context.ids
    }

    pub(super) const fn wire(&self) -> &Wire {
        &self.context.wire
    }

    pub(crate) const fn account_ref(&self) -> &AccountRef {
        &self.account
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.context.stop.is_cancelled()
    }

    pub(super) async fn stopped(&self) {
        self.context.stop.cancelled().await;
    }
}

/// Why an account's consumption ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The queue cannot be consumed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The broker is gone.
    #[error("the deliver stage lost the broker: {0}")]
    Lost(#[from] LostReason),
    /// A dead letter cannot be put down.
    #[error(
        "a dead letter cannot be put down ({0}); what it is about stays with the broker, and comes again"
    )]
    Bury(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<BuryError> for DeliverError {
    fn from(error: BuryError) -> Self {
        Self::Bury(Box::new(error))
    }
}
