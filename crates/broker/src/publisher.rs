//! Publishes, and waits for the broker's word on each message.
//!
//! One task owns the channel: the client confuses confirms when several share one. The task takes what is ready,
//! starts all of it at once, so that the client writes it to the socket in one piece, and goes on while the confirms
//! are out. What is in flight is bounded by a semaphore whose permits are given back when a message is settled.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use crate::errors::{LinkError, LostReason, PublishError, Role};
use crate::link::{Link, Shared, close_channel};
use crate::message::OutMessage;
use crate::returns::{Fate, Identity, Returns};

/// How many publishes are started at once.
const BATCH_MAX: usize = 64;
/// How often the oldest publish in flight is looked at, as a part of the time limit.
const CHECKS_PER_TIMEOUT: u32 = 8;
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Publishes on one channel. Cloning is cheap; all clones share the bound of messages in flight.
#[derive(Clone, Debug)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    slots: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// The broker's word on one message; resolves once. Dropping it changes nothing about the publish.
#[derive(Debug)]
#[must_use = "a message counts as published only when its confirm says so"]
pub struct Confirm {
    answer: oneshot::Receiver<Result<(), PublishError>>,
    shared: Arc<Shared>,
}

impl Future for Confirm {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer
            .poll_unpin(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(PublishError::Lost(self.shared.reason()))))
    }
}

impl Link {
    /// A publisher with a channel of its own.
    ///
    /// `in_flight_max`: how many messages may be sent and unconfirmed at once; at least 1.
    ///
    /// # Errors
    /// [`LinkError::Refused`], [`LinkError::TimedOut`], [`LinkError::Lost`].
    pub async fn publisher(&self, in_flight_max: usize) -> Result<Publisher, LinkError> {
        let in_flight_max = in_flight_max.clamp(1, Semaphore::MAX_PERMITS);
        let channel = self.channel(Role::Publish).await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        self.shared.ask(Role::Publish, || "confirm publishes".to_owned(), confirms).await?;
        let (jobs, queue) = mpsc::channel(in_flight_max);
        let slots = Arc::new(Semaphore::new(in_flight_max));
        let task = Task {
            shared: Arc::clone(&self.shared),
            slots: Arc::clone(&slots),
            timeout: self.publish_timeout(),
            pending: BTreeMap::new(),
            returns: Returns::default(),
        };
        self.shared.tasks.spawn(task.run(channel, queue));
        Ok(Publisher { jobs, slots, shared: Arc::clone(&self.shared) })
    }
}

impl Publisher {
    /// Hands `message` to the publishing task and returns its confirm. Messages are published in the order in which
    /// these calls return; each waits only while `in_flight_max` messages are unconfirmed.
    ///
    /// Cancel-safe: a dropped call has sent nothing.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`]; [`PublishError::Closed`] where the link is lost or closing. Nothing was sent then.
    pub async fn send(&self, message: OutMessage) -> Result<Confirm, PublishError> {
        message.check_bounds()?;
        let closed = || PublishError::Closed(self.shared.reason());
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        // The queue has a place for each slot, so this never finds it full.
        self.jobs.try_send(Job { message, reply, slot }).map_err(|_| closed())?;
        Ok(Confirm { answer, shared: Arc::clone(&self.shared) })
    }

    /// Sends `message` and waits for its confirm.
    ///
    /// # Errors
    /// [`PublishError`]. Success means that the broker has taken responsibility for the message.
    pub async fn publish(&self, message: OutMessage) -> Result<(), PublishError> {
        self.send(message).await?.await
    }
}

#[derive(Debug)]
struct Job {
    message: OutMessage,
    reply: oneshot::Sender<Result<(), PublishError>>,
    slot: OwnedSemaphorePermit,
}

/// A message that was started and is not yet settled.
struct Pending {
    identity: Identity,
    started: Instant,
    waiter: Waiter,
}

struct Waiter {
    reply: oneshot::Sender<Result<(), PublishError>>,
    _slot: OwnedSemaphorePermit,
}

impl Waiter {
    fn answer(self, answer: Result<(), PublishError>) {
        // The sender may have stopped waiting; the message is settled all the same.
        drop(self.reply.send(answer));
    }
}

struct Task {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    timeout: Duration,
    pending: BTreeMap<u64, Pending>,
    returns: Returns<Waiter>,
}

async fn publish(
    channel: &Channel,
    number: u64,
    message: OutMessage,
) -> (u64, lapin::Result<Confirmation>) {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let (exchange, key) =
        (ShortString::from(message.exchange), ShortString::from(message.routing_key));
    let properties = message.properties.to_amqp();
    let confirmation =
        match channel.basic_publish(exchange, key, options, &message.body, properties).await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
    (number, confirmation)
}

/// Set when a waker is used.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Takes everything that is ready, without exception: `returns` rests on that. A set of futures may also say that it
/// is not ready only to yield; it then wakes its task, which tells the two apart.
fn take_all_ready<S: Stream + Unpin>(stream: &mut S, mut take: impl FnMut(S::Item)) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    loop {
        woken.0.store(false, Ordering::SeqCst);
        match stream.poll_next_unpin(&mut context) {
            Poll::Ready(Some(item)) => take(item),
            Poll::Ready(None) => break,
            Poll::Pending if woken.0.load(Ordering::SeqCst) => {}
            Poll::Pending => break,
        }
    }
}

impl Task {
    async fn run(mut self, channel: Channel, mut queue: mpsc::Receiver<Job>) {
        let mut in_flight = FuturesUnordered::new();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut next_number = 0_u64;
        let mut checks =
            tokio::time::interval((self.timeout / CHECKS_PER_TIMEOUT).max(CHECK_INTERVAL_MIN));
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        while open || !in_flight.is_empty() {
            tokio::select! {
                biased;
                () = self.shared.lost.cancelled() => break,
                Some((number, confirmation)) = in_flight.next(), if !in_flight.is_empty() => {
                    self.on_confirmation(number, confirmation);
                    take_all_ready(&mut in_flight, |(number, confirmation)| self.on_confirmation(number, confirmation));
                    self.end_round(in_flight.is_empty());
                }
                taken = queue.recv_many(&mut batch, BATCH_MAX), if open => {
                    open = taken > 0;
                    for job in batch.drain(..) {
                        next_number += 1;
                        let message = self.note(next_number, job);
                        in_flight.push(publish(&channel, next_number, message));
                    }
                }
                _ = checks.tick() => self.check_oldest(),
                () = self.shared.stop.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
        self.slots.close();
        queue.close();
        while let Ok(job) = queue.try_recv() {
            Waiter { reply: job.reply, _slot: job.slot }
                .answer(Err(PublishError::Closed(self.shared.reason())));
        }
        self.abandon();
        close_channel(&channel, &self.shared).await;
    }

    fn note(&mut self, number: u64, job: Job) -> OutMessage {
        let Job { message, reply, slot } = job;
        let identity = Identity {
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            message_id: message.properties.message_id.clone().unwrap_or_default(),
        };
        let waiter = Waiter { reply, _slot: slot };
        self.pending.insert(number, Pending { identity, started: Instant::now(), waiter });
        message
    }

    fn on_confirmation(&mut self, number: u64, confirmation: lapin::Result<Confirmation>) {
        let confirmation = match confirmation {
            Ok(confirmation) => confirmation,
            // The broker closes the channel for a missing exchange, say: all that is in flight is in doubt.
            Err(error) => {
                let (role, fault) = (Role::Publish, crate::errors::BrokerFault::from(error));
                return self.shared.lose(if fault.code().is_some() {
                    LostReason::Channel { role, fault }
                } else {
                    LostReason::Connection { role, fault }
                });
            }
        };
        let Some(pending) = self.pending.remove(&number) else { return };
        let acked = confirmation.is_ack();
        let carried = confirmation.take_message().map(|message| Identity {
            exchange: message.exchange.as_str().to_owned(),
            routing_key: message.routing_key.as_str().to_owned(),
            message_id: message
                .properties
                .message_id()
                .as_ref()
                .map(|id| id.as_str().to_owned())
                .unwrap_or_default(),
        });
        let is_carrier = carried.is_some();
        self.returns.carried(carried);
        if acked {
            self.returns.confirmed(pending.identity, pending.waiter, is_carrier);
        } else {
            let Identity { exchange, routing_key, .. } = pending.identity;
            pending.waiter.answer(Err(PublishError::Refused { exchange, routing_key }));
        }
    }

    fn end_round(&mut self, nothing_in_flight: bool) {
        for (identity, waiter, fate) in self.returns.end_round(nothing_in_flight) {
            let Identity { exchange, routing_key, .. } = identity;
            waiter.answer(match fate {
                Fate::Stored => Ok(()),
                Fate::Unroutable => Err(PublishError::Unroutable { exchange, routing_key }),
            });
        }
    }

    /// A confirm that does not come leaves the message's fate unknown; the whole link is then given up, since nothing
    /// says that later confirms are any better.
    fn check_oldest(&mut self) {
        let overdue = |pending: &Pending| pending.started.elapsed() >= self.timeout;
        let expired: Vec<u64> = self
            .pending
            .iter()
            .take_while(|(_, pending)| overdue(pending))
            .map(|(number, _)| *number)
            .collect();
        for number in &expired {
            if let Some(pending) = self.pending.remove(number) {
                pending.waiter.answer(Err(PublishError::TimedOut(self.timeout)));
            }
        }
        if !expired.is_empty() {
            self.shared.lose(LostReason::ConfirmTimedOut(self.timeout));
        }
    }

    fn abandon(&mut self) {
        let reason = self.shared.reason();
        let pending = std::mem::take(&mut self.pending).into_values().map(|pending| pending.waiter);
        for waiter in pending.chain(self.returns.abandon()) {
            waiter.answer(Err(PublishError::Lost(reason.clone())));
        }
    }
}
