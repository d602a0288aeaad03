//! The relay's side of lanes: it publishes each lane in order, also where the target's queue refuses for a while.
//!
//! Shared by the relay tasks of all platforms, since one lane is fed by every other participant. What is refused
//! waits in its lane and is tried again; after `relay.target_refusal_timeout` it moves to the store's `held` rows,
//! its event is acknowledged, and later dispatches of the lane append there until the rows are drained, in order.

use super::RelayError;
use crate::clock::now_ms;
use crate::live::LiveHandle;
use crate::metrics::Metrics;
use crate::wire::{TYPE_DISPATCH, Wire, WireError, traceparent};
use interline_broker::{Confirm, Headers, OutMessage, Properties, Publisher, topology};
use interline_envelope::{AccountRef, Dispatch, DispatchId, LaneId};
use interline_store::{HeldBody, HeldStage, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often held dispatches are offered to their queue again.
const DRAIN_EVERY: Duration = Duration::from_secs(2);
const DRAIN_ROWS: usize = 64;

#[derive(Debug, Default)]
struct Lane {
    /// The dispatch published last, while the broker has not confirmed it.
    unconfirmed: Option<(u64, DispatchId)>,
    /// The numbers of those that wait, in order.
    waiting: BTreeSet<u64>,
    /// True while the store holds rows of this lane.
    held: bool,
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<LaneId, Lane>,
    next: u64,
}

/// All lanes that something is on its way in, or held for.
pub struct Lanes {
    state: Mutex<State>,
    /// Some lane changed.
    changed: Notify,
    /// Held by whoever moves rows of any lane in or out of the store, so that `held` and the rows agree.
    held_rows: tokio::sync::Mutex<()>,
    publisher: Publisher,
    store: Arc<dyn Store>,
    wire: Wire,
    live: LiveHandle,
    metrics: Metrics,
    /// Cancelled when the connection's session ends: whoever waits in a lane gives up, and its event comes again.
    stop: CancellationToken,
}

/// A dispatch on its way.
pub(super) struct Published {
    seq: u64,
    lane: LaneId,
    id: DispatchId,
    account: AccountRef,
    message: Arc<OutMessage>,
    /// False where it has to wait behind others of its lane.
    may_go: bool,
    confirm: Option<Confirm>,
}

impl Published {
    /// What is to be published now, if anything.
    pub(super) fn message(&self) -> Option<&Arc<OutMessage>> {
        self.may_go.then_some(&self.message)
    }

    /// Notes that [`Published::message`] was handed to the broker.
    pub(super) fn sent(&mut self, confirm: Confirm) {
        self.confirm = Some(confirm);
    }
}

impl Lanes {
    /// Knows the lanes that the store holds rows for.
    ///
    /// # Errors
    /// [`interline_store::StoreError`] if they cannot be read.
    pub async fn load(
        publisher: Publisher,
        store: Arc<dyn Store>,
        wire: Wire,
        live: LiveHandle,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Result<Self, interline_store::StoreError> {
        let mut state = State::default();
        for lane in store.held_lanes(HeldStage::Relay, None).await? {
            state.lanes.entry(lane.lane).or_default().held = true;
        }
        Ok(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            held_rows: tokio::sync::Mutex::new(()),
            publisher,
            store,
            wire,
            live,
            metrics,
            stop,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Every critical section leaves the map whole at every point.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a dispatch its place in its lane. The caller then publishes it, in the order of these calls, or lets it
    /// wait behind what its lane already waits for.
    ///
    /// # Errors
    /// [`RelayError::Seal`]
    pub(super) fn line_up(&self, mut dispatch: Dispatch) -> Result<Published, RelayError> {
        let (seq, may_go) = {
            let mut state = self.lock();
            state.next += 1;
            let seq = state.next;
            let lane = state.lanes.entry(dispatch.lane).or_default();
            let may_go = lane.waiting.is_empty() && !lane.held;
            // Also what waits names it: it may be refused, and come behind.
            dispatch.prev = lane.unconfirmed.map(|(_, id)| id).filter(|prev| *prev != dispatch.id);
            if may_go {
                lane.unconfirmed = Some((seq, dispatch.id));
            } else {
                lane.waiting.insert(seq);
            }
            (seq, may_go)
        };
        let message = Arc::new(self.message(&dispatch)?);
        let (lane, id, account) = (dispatch.lane, dispatch.id, dispatch.to.account);
        Ok(Published { seq, lane, id, account, message, may_go, confirm: None })
    }

    /// Publishes a dispatch and waits until the broker confirmed it, or it is held.
    pub(super) async fn publish(&self, dispatch: Dispatch) -> Result<(), RelayError> {
        let mut one = self.line_up(dispatch)?;
        if let Some(message) = one.message() {
            let confirm = self.publisher.send(message.clone()).await?;
            one.sent(confirm);
        }
        self.confirmed(one).await
    }

    pub(super) const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    fn message(&self, dispatch: &Dispatch) -> Result<OutMessage, WireError> {
        let prefix = &self.live.get().config.broker.prefix;
        let body = self.wire.seal(dispatch)?;
        let trace = traceparent(dispatch.envelope.id.as_bytes(), dispatch.lane.as_bytes());
        Ok(dispatch_message(prefix, &dispatch.to.account, dispatch.id, body, Some(trace)))
    }

    /// Waits until the broker confirmed a dispatch, or it is held.
    pub(super) async fn confirmed(&self, one: Published) -> Result<(), RelayError> {
        let Published { seq, lane, id, account, message, confirm, .. } = one;
        if let Some(confirm) = confirm {
            match confirm.await {
                Ok(()) => {
                    self.metrics.dispatched(&account);
                    self.forget(lane, seq);
                    return Ok(());
                }
                Err(error) if error.is_refusal() => {
                    warn!(dispatch_id = %id, %error, "a target's queue refuses; its lane waits");
                    let mut state = self.lock();
                    let lane = state.lanes.entry(lane).or_default();
                    lane.waiting.insert(seq);
                    lane.unconfirmed = lane.unconfirmed.filter(|(last, _)| *last != seq);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Rare, and large: it is not to make the future of every dispatch large.
        Box::pin(async {
            tokio::select! {
                biased;
                result = self.wait_in_lane(seq, lane, id, &account, message) => result,
                () = self.stop.cancelled() => Err(RelayError::Stopping),
            }
        })
        .await
    }

    async fn wait_in_lane(
        &self,
        seq: u64,
        lane: LaneId,
        id: DispatchId,
        account: &AccountRef,
        message: Arc<OutMessage>,
    ) -> Result<(), RelayError> {
        let since = Instant::now();
        let mut attempt = 0;
        loop {
            self.until_first(lane, seq).await;
            let timeout = self.live.get().config.relay.target_refusal_timeout;
            let is_late = self.is_held(lane) || since.elapsed() >= timeout;
            if is_late && self.hold(lane, id, account, &message).await {
                self.forget(lane, seq);
                return Ok(());
            }
            // Where it cannot be held its queue may have room again. What is held goes first.
            if !self.is_held(lane) {
                match self.publisher.send(message.clone()).await?.await {
                    Ok(()) => {
                        self.metrics.dispatched(account);
                        self.forget(lane, seq);
                        return Ok(());
                    }
                    Err(error) if error.is_refusal() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            attempt += 1;
            tokio::time::sleep(interline_relay::backoff(attempt, seq, RETRY_MIN, RETRY_MAX)).await;
        }
    }

    /// Waits until everything of the lane that came before `seq` is gone.
    async fn until_first(&self, lane: LaneId, seq: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let first = self.lock().lanes.get(&lane).and_then(|lane| lane.waiting.first().copied());
            if first.is_none_or(|first| first >= seq) {
                return;
            }
            changed.await;
        }
    }

    fn is_held(&self, lane: LaneId) -> bool {
        self.lock().lanes.get(&lane).is_some_and(|lane| lane.held)
    }

    async fn hold(
        &self,
        lane: LaneId,
        id: DispatchId,
        account: &AccountRef,
        message: &OutMessage,
    ) -> bool {
        let _rows = self.held_rows.lock().await;
        let body = HeldBody {
            dispatch: id,
            body: message.body.to_vec(),
            held_at: now_ms(),
            attempts: 0,
            first: false,
        };
        match self.store.hold(HeldStage::Relay, lane, account, vec![body]).await {
            Ok(_) => {
                let was_held =
                    std::mem::replace(&mut self.lock().lanes.entry(lane).or_default().held, true);
                if !was_held {
                    info!(account_ref = %account, "a lane is held until its queue takes it");
                }
                debug!(dispatch_id = %id, account_ref = %account, "a dispatch is held");
                true
            }
            Err(error) => {
                error!(%error, "a refused dispatch cannot be held; its event stays with the broker");
                false
            }
        }
    }

    fn forget(&self, lane: LaneId, seq: u64) {
        let mut state = self.lock();
        if let Some(entry) = state.lanes.get_mut(&lane) {
            let waited = entry.waiting.remove(&seq);
            entry.unconfirmed = entry.unconfirmed.filter(|(last, _)| *last != seq);
            if entry.waiting.is_empty() && entry.unconfirmed.is_none() && !entry.held {
                state.lanes.remove(&lane);
            }
            drop(state);
            if waited {
                self.changed.notify_waiters();
            }
        }
    }

    /// Offers held dispatches to their queues, again and again, until it is told to stop.
    ///
    /// # Errors
    /// [`RelayError`] if the broker is gone.
    pub async fn drain(&self) -> Result<(), RelayError> {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(DRAIN_EVERY) => {}
                () = self.stop.cancelled() => return Ok(()),
            }
            let held: Vec<LaneId> =
                self.lock().lanes.iter().filter(|(_, lane)| lane.held).map(|(id, _)| *id).collect();
            for lane in held {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                self.drain_lane(lane).await?;
            }
        }
    }

    async fn drain_lane(&self, lane: LaneId) -> Result<(), RelayError> {
        let _rows = self.held_rows.lock().await;
        let prefix = self.live.get().config.broker.prefix.clone();
        loop {
            let rows = match self.store.held_peek(HeldStage::Relay, lane, None, DRAIN_ROWS).await {
                Ok(rows) => rows,
                Err(error) => {
                    error!(%error, "held dispatches cannot be read; trying again");
                    return Ok(());
                }
            };
            if rows.is_empty() {
                let mut state = self.lock();
                if let Some(entry) = state.lanes.get_mut(&lane) {
                    entry.held = false;
                }
                drop(state);
                self.forget(lane, 0);
                info!("a held lane flows again");
                return Ok(());
            }
            for row in rows {
                let message = dispatch_message(&prefix, &row.account, row.dispatch, row.body, None);
                match self.publisher.send(message).await?.await {
                    Ok(()) => self.metrics.dispatched(&row.account),
                    Err(error) if error.is_refusal() => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                if let Err(error) = self.store.held_release(HeldStage::Relay, lane, row.seq).await {
                    // It is published again, and deliver sends it once.
                    error!(%error, "a held dispatch cannot be removed");
                    return Ok(());
                }
            }
        }
    }
}

/// A sealed dispatch as it goes to its queue. `trace` is not known of one that was held.
pub(crate) fn dispatch_message(
    prefix: &str,
    to: &AccountRef,
    id: DispatchId,
    sealed: Vec<u8>,
    trace: Option<String>,
) -> OutMessage {
    let id = id.to_string();
    let mut headers = Headers::from([
        ("cloudEvents:specversion".into(), "1.0".into()),
        ("cloudEvents:id".into(), id.clone().into()),
        ("cloudEvents:source".into(), "/interline/relay".into()),
        ("cloudEvents:type".into(), TYPE_DISPATCH.into()),
    ]);
    headers.extend(trace.map(|trace| ("traceparent".into(), trace.into())));
    OutMessage {
        exchange: topology::dispatch_exchange(prefix),
        routing_key: routing_key(to),
        body: sealed.into(),
        properties: Properties {
            message_id: Some(id),
            kind: Some(TYPE_DISPATCH.into()),
            headers,
            ..Properties::default()
        },
    }
}

fn routing_key(account: &AccountRef) -> String {
    format!("{}.{}", account.platform, account.account)
}
