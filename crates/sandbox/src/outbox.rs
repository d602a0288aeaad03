//! Posts webhooks, in the order of speaking, until each is answered with 200.
//!
//! One outbox and one task an account. A failed POST (no connection, no answer in time, any status but 200) is repeated
//! with the same bytes after a wait that doubles. Messenger and Instagram give up after an hour of failures, by the
//! platforms' clock: the account is unsubscribed, what waits for it and what happens until it subscribes again is lost.
//! WhatsApp gives up one POST after seven days. Bounded in updates. Source: platform facts, section 2.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::clock::millis;
use crate::config::{Delivery, Kind};
use crate::counts::{Tally, add};
use crate::meta_json::{meta_bytes, signature};
use crate::state::Hub;
use crate::webhook::body_of;

/// The most updates that Meta puts into one POST.
const BATCH_MAX: usize = 1_000;

/// Messenger and Instagram unsubscribe an app whose webhook has failed for so long.
const UNSUBSCRIBED_AFTER: Duration = Duration::from_secs(3_600);

/// WhatsApp posts a webhook again for so long; two pages disagree (36 hours), and this is the more patient.
const LOST_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);

/// One thing to tell the operator.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// WhatsApp: an item of `messages[]` with the `contacts[]` entry that belongs to it.
    Message { contact: Value, message: Value },
    /// WhatsApp: an item of `statuses[]`, with its contact if it has one.
    Status { contact: Option<Value>, status: Value },
    /// Messenger, Instagram: one messaging event.
    Event(Value),
}

/// The updates of one account that wait for its webhook.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<VecDeque<Update>>,
    wake: Notify,
    put: AtomicU64,
    done: AtomicU64,
    /// How many requests were taken whose receipts are not queued yet.
    owing: AtomicU64,
    wrong_signatures: AtomicU64,
    unsubscribed: AtomicBool,
    /// When the first POST since the last success failed; 0: none did.
    failing_since_ms: AtomicU64,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Update>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_room(&self, count: usize, max: usize) -> bool {
        self.queue().len() + count <= max
    }

    /// Puts updates behind those that wait, and returns how many were ever put. Without room they are dropped and
    /// counted: a phone asks [`Self::has_room`] first, so this can only strike receipts.
    pub(crate) fn put(&self, updates: Vec<Update>, max: usize, tallies: [&Tally; 2]) -> u64 {
        let count = updates.len() as u64;
        let mut queue = self.queue();
        if !self.is_subscribed() {
            for tally in tallies {
                add(&tally.updates_lost, count);
            }
            return self.put.load(Ordering::Acquire);
        }
        if queue.len() + updates.len() > max {
            for tally in tallies {
                add(&tally.updates_dropped, count);
            }
            return self.put.load(Ordering::Acquire);
        }
        queue.extend(updates);
        let put = self.put.fetch_add(count, Ordering::AcqRel) + count;
        drop(queue);
        for tally in tallies {
            add(&tally.updates, count);
        }
        self.wake.notify_one();
        put
    }

    /// How many updates were answered with 200, copies included in their first, or given up.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.owing.load(Ordering::Acquire) == 0 && self.done() >= self.put.load(Ordering::Acquire)
    }

    /// Receipts will be put: until [`Self::owes_no_more`] the outbox is not idle.
    pub(crate) fn owes(&self) {
        self.owing.fetch_add(1, Ordering::AcqRel);
    }

    /// The receipts of one [`Self::owes`] were put.
    pub(crate) fn owes_no_more(&self) {
        self.owing.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn left(&self) -> u64 {
        self.put.load(Ordering::Acquire).saturating_sub(self.done())
    }

    /// Looks at the URL and the settings again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        !self.unsubscribed.load(Ordering::Acquire)
    }

    /// From now on updates are queued and posted.
    pub(crate) fn subscribe(&self) {
        let _queue = self.queue();
        self.failing_since_ms.store(0, Ordering::Release);
        self.unsubscribed.store(false, Ordering::Release);
    }

    /// From now on updates are lost, beginning with those that wait.
    pub(crate) fn unsubscribe(&self, tallies: [&Tally; 2]) {
        let mut queue = self.queue();
        self.unsubscribed.store(true, Ordering::Release);
        let count = queue.len() as u64;
        queue.clear();
        drop(queue);
        self.lose(count, tallies);
    }

    /// Counts updates that will not be posted any more.
    fn lose(&self, count: u64, tallies: [&Tally; 2]) {
        for tally in tallies {
            add(&tally.updates_lost, count);
        }
        self.done.fetch_add(count, Ordering::AcqRel);
    }

    /// Notes a POST's success; else how long all had failed when this one began.
    fn failing_for_ms(&self, taken: bool, began_ms: u64) -> u64 {
        if taken {
            self.failing_since_ms.store(0, Ordering::Release);
            return 0;
        }
        let since = &self.failing_since_ms;
        let before = since.compare_exchange(0, began_ms, Ordering::AcqRel, Ordering::Acquire);
        before.map_or_else(|since_ms| began_ms.saturating_sub(since_ms), |_none| 0)
    }

    pub(crate) fn sign_wrongly(&self, posts: u64) {
        self.wrong_signatures.fetch_add(posts, Ordering::AcqRel);
    }

    fn takes_wrong_signature(&self) -> bool {
        let fewer = |left: u64| left.checked_sub(1);
        self.wrong_signatures.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }
}

/// Posts one account's updates until the platform stops.
pub(crate) async fn run(hub: Arc<Hub>, account: String, outbox: Arc<Outbox>, tally: Arc<Tally>) {
    let stop = hub.stop.clone();
    let poster = Arc::new(Poster { hub, account, outbox, tally });
    // Dropping the work at any point is safe: a POST that was not answered is simply not done.
    if stop.run_until_cancelled(poster.work()).await.is_some() {
        tracing::error!("a webhook worker ended by itself");
    }
}

struct Poster {
    hub: Arc<Hub>,
    account: String,
    outbox: Arc<Outbox>,
    tally: Arc<Tally>,
}

impl Poster {
    async fn work(self: Arc<Self>) {
        let mut open = JoinSet::new();
        let mut before: Vec<Update> = Vec::new();
        loop {
            self.make_room(&mut open).await;
            let mut batches = vec![self.next_batch().await];
            self.gather(&mut batches).await;
            for batch in batches.into_iter().rev() {
                self.make_room(&mut open).await;
                let copies = copies(&batch, &before, self.hub.settings().delivery);
                before.clone_from(&batch);
                let poster = Arc::clone(&self);
                open.spawn(async move { poster.deliver(batch, copies).await });
            }
        }
    }

    /// Waits until one more POST may be open.
    async fn make_room(&self, open: &mut JoinSet<()>) {
        while open.len() >= self.hub.settings().delivery.in_flight_max.max(1) {
            if open.join_next().await.is_none() {
                return;
            }
        }
    }

    /// Takes further batches, as many as are to go out in the opposite order, as far as they come in time.
    async fn gather(&self, batches: &mut Vec<Vec<Update>>) {
        let delivery = self.hub.settings().delivery;
        let until = Instant::now() + delivery.batch_linger;
        while batches.len() < delivery.reversed {
            let Ok(batch) = timeout_at(until, self.next_batch()).await else { return };
            batches.push(batch);
        }
    }

    /// Waits for updates and a URL, and takes as many as one POST may carry.
    async fn next_batch(&self) -> Vec<Update> {
        let mut linger_until = None;
        loop {
            // Read anew each time: a test changes the settings while this waits.
            let delivery = self.hub.settings().delivery;
            let max = delivery.batch_max.clamp(1, BATCH_MAX);
            {
                let mut queue = self.outbox.queue();
                let full = queue.len() >= max;
                let lingered = linger_until.is_some_and(|until| Instant::now() >= until);
                if !queue.is_empty()
                    && (full || lingered || delivery.batch_linger.is_zero() || max == 1)
                {
                    let count = queue.len().min(max);
                    return queue.drain(..count).collect();
                }
                if !queue.is_empty() && linger_until.is_none() {
                    linger_until = Some(Instant::now() + delivery.batch_linger);
                }
            }
            match linger_until {
                None => self.outbox.wake.notified().await,
                Some(until) => {
                    // Elapsed is the other way to go on: the loop looks at the clock itself.
                    drop(timeout_at(until, self.outbox.wake.notified()).await);
                }
            }
        }
    }

    async fn deliver(&self, batch: Vec<Update>, copies: Vec<Vec<Update>>) {
        let count = batch.len() as u64;
        let tallies = [&self.hub.tally, &*self.tally];
        if self.post_until_taken(&batch).await {
            for copy in &copies {
                // A copy that is given up changes nothing: its updates were taken before.
                let _taken = self.post_until_taken(copy).await;
            }
            for tally in tallies {
                add(&tally.updates_taken, count);
            }
            self.outbox.done.fetch_add(count, Ordering::AcqRel);
        } else {
            self.outbox.lose(count, tallies);
        }
        self.hub.touch();
    }

    /// True once it was answered with 200, false once it was given up.
    async fn post_until_taken(&self, updates: &[Update]) -> bool {
        let Some(body) = self.body(updates) else { return false };
        let clock = self.hub.clock();
        let first_ms = clock.now_ms();
        let mut wait = Duration::ZERO;
        let mut attempt = 0_u64;
        while self.outbox.is_subscribed() {
            let delivery = self.hub.settings().delivery;
            // Waits begin with the attempt: whoever saw it, and moves the clock then, ends its wait.
            let began_ms = clock.now_ms();
            let taken = self.post(&body, attempt, delivery).await;
            let failing_ms = self.outbox.failing_for_ms(taken, began_ms);
            if taken {
                return true;
            }
            match self.hub.kind {
                Kind::WhatsApp if began_ms - first_ms >= millis(LOST_AFTER) => return false,
                Kind::Messenger | Kind::Instagram if failing_ms >= millis(UNSUBSCRIBED_AFTER) => {
                    self.outbox.unsubscribe([&self.hub.tally, &*self.tally]);
                    return false;
                }
                Kind::WhatsApp | Kind::Messenger | Kind::Instagram => {}
            }
            attempt += 1;
            wait = (wait * 2)
                .clamp(delivery.retry_first, delivery.retry_max.max(delivery.retry_first));
            clock.sleep_until(began_ms.saturating_add(millis(wait))).await;
        }
        false
    }

    fn body(&self, updates: &[Update]) -> Option<Bytes> {
        let state = self.hub.lock();
        let (now_ms, form) = (state.now_ms(), state.settings.instagram_form);
        let account = state.accounts.get(&self.account)?;
        let body = body_of(self.hub.kind, form, &account.config, updates, now_ms);
        drop(state);
        Some(meta_bytes(&body).into())
    }

    /// One attempt; true if it was answered with 200.
    async fn post(&self, body: &Bytes, attempt: u64, delivery: Delivery) -> bool {
        let (url, secret) = loop {
            let woken = self.hub.changed.subscribe();
            if !self.outbox.is_subscribed() {
                return false;
            }
            let target = self.hub.lock().accounts.get(&self.account).map(|account| {
                (account.config.webhook_url.clone(), account.config.app_secret.clone())
            });
            match target {
                Some((Some(url), secret)) => break (url, secret),
                Some((None, _)) | None => wait_for_change(woken).await,
            }
        };
        let secret =
            if self.outbox.takes_wrong_signature() { format!("not-{secret}") } else { secret };
        for tally in [&self.hub.tally, &*self.tally] {
            add(&tally.posts, 1);
            if attempt > 0 {
                add(&tally.retries, 1);
            }
        }
        let signature = signature(&secret, body);
        let posted = self.hub.web.post(&url, &signature, body.clone(), delivery.timeout).await;
        let taken = match posted {
            Ok(status) => status == 200,
            Err(error) => {
                tracing::debug!(attempt, error, "a webhook was not taken");
                false
            }
        };
        if taken {
            for tally in [&self.hub.tally, &*self.tally] {
                add(&tally.posts_taken, 1);
            }
        }
        // Who waits for counts of posts and retries looks again.
        self.hub.touch();
        taken
    }
}

/// The further POSTs that repeat `batch`, each a list of updates.
fn copies(batch: &[Update], before: &[Update], delivery: Delivery) -> Vec<Vec<Update>> {
    let mut copies = Vec::new();
    for _ in 1..delivery.copies.max(1) {
        if !delivery.rebatch {
            copies.push(batch.to_vec());
        } else if batch.len() > 1 {
            copies.extend(batch.iter().map(|update| vec![update.clone()]));
        } else {
            copies.push(before.iter().chain(batch).cloned().collect());
        }
    }
    copies
}

async fn wait_for_change(mut changed: tokio::sync::watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        // The hub is gone, and with it this task's reason: the stop token ends it.
        std::future::pending::<()>().await;
    }
}

/// Waits until `done` reaches `mark`, or the platform stops.
pub(crate) async fn wait_until_done(
    hub: &Hub,
    outbox: &Outbox,
    mark: u64,
    stop: &CancellationToken,
) {
    let mut changed = hub.changed.subscribe();
    while outbox.done() < mark {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            told = changed.changed() => if told.is_err() { return },
        }
    }
}
