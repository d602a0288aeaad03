//! Publishes, and waits for the broker's word on each message.
//!
//! One task owns the channel: the client confuses confirms when several share one. The task takes what is ready,
//! starts all of it at once, so that the client writes it to the socket in one piece, and goes on while the confirms
//! are out. What is in flight is bounded by a semaphore whose permits are given back when a message is settled.
//!
//! The client tells first that a message was written, then that it was confirmed. It writes in order, so only the last
//! message of all that were started wakes the task when it was written; those before it are looked at then.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use crate::errors::{LinkError, LostReason, PublishError, Role};
use crate::link::{Link, Shared, Transport, close_channel};
use crate::memory;
use crate::message::OutMessage;
use crate::returns::{Fate, Identified, Identity, Returns};

/// How many batches are taken from the queue at once.
pub(crate) const JOBS_MAX: usize = 64;
/// More in flight than this is never asked for: a semaphore counts whole batches in 32 bits.
const IN_FLIGHT_LIMIT: usize = 1 << 24;
/// How often the oldest publish in flight is looked at, as a part of the time limit.
const CHECKS_PER_TIMEOUT: u32 = 8;
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Publishes on one channel. Cloning is cheap; all clones share the bound of messages in flight.
#[derive(Clone, Debug)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    slots: Arc<Semaphore>,
    in_flight_max: usize,
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
        let in_flight_max = in_flight_max.clamp(1, IN_FLIGHT_LIMIT);
        let (jobs, queue) = mpsc::channel(in_flight_max);
        let slots = Arc::new(Semaphore::new(in_flight_max));
        match &self.transport {
            Transport::Amqp(amqp) => {
                let channel = self.channel(Role::Publish).await?;
                let confirms = channel.confirm_select(ConfirmSelectOptions::default());
                self.shared.ask(Role::Publish, || "confirm publishes".to_owned(), confirms).await?;
                let task = Task {
                    shared: Arc::clone(&self.shared),
                    slots: Arc::clone(&slots),
                    timeout: amqp.publish_timeout(),
                    pending: BTreeMap::new(),
                    returns: Returns::default(),
                    next_number: 0,
                };
                self.shared.tasks.spawn(task.run(channel, queue));
            }
            Transport::Memory(seat) => {
                seat.answered(&self.shared).await?;
                self.shared.tasks.spawn(memory::publish(
                    seat.clone(),
                    Arc::clone(&self.shared),
                    Arc::clone(&slots),
                    queue,
                ));
            }
        }
        Ok(Publisher { jobs, slots, in_flight_max, shared: Arc::clone(&self.shared) })
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
    pub async fn send(&self, message: impl Into<Arc<OutMessage>>) -> Result<Confirm, PublishError> {
        let message = message.into();
        message.check_bounds()?;
        let slot = self.slots(1).await?;
        let (confirm, publish) = self.publish_of(message, slot);
        self.jobs.try_send(Job::One(publish)).map_err(|_| self.closed())?;
        Ok(confirm)
    }

    /// The same for several messages in order: they are handed over together, so that the client writes them to the
    /// socket together. One confirm each.
    ///
    /// Not cancel-safe: a dropped call may have sent the first of them.
    ///
    /// # Errors
    /// As [`Publisher::send`]. The first of them may have been sent where the link is lost meanwhile.
    pub async fn send_all(
        &self,
        messages: Vec<Arc<OutMessage>>,
    ) -> Result<Vec<Confirm>, PublishError> {
        messages.iter().try_for_each(|message| message.check_bounds())?;
        let mut confirms = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter();
        while messages.len() > 0 {
            let count = messages.len().min(self.in_flight_max);
            let mut slots = self.slots(count).await?;
            let mut batch = Vec::with_capacity(count);
            for message in messages.by_ref().take(count) {
                let Some(slot) = slots.split(1) else { break };
                let (confirm, publish) = self.publish_of(message, slot);
                confirms.push(confirm);
                batch.push(publish);
            }
            self.jobs.try_send(Job::Several(batch)).map_err(|_| self.closed())?;
        }
        Ok(confirms)
    }

    fn closed(&self) -> PublishError {
        PublishError::Closed(self.shared.reason())
    }

    /// Waits for room in flight. The queue of jobs has a place for each slot, so it is never found full.
    async fn slots(&self, count: usize) -> Result<OwnedSemaphorePermit, PublishError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Arc::clone(&self.slots).acquire_many_owned(count).await.map_err(|_| self.closed())
    }

    fn publish_of(
        &self,
        message: Arc<OutMessage>,
        slot: OwnedSemaphorePermit,
    ) -> (Confirm, Publish) {
        let (reply, answer) = oneshot::channel();
        let confirm = Confirm { answer, shared: Arc::clone(&self.shared) };
        (confirm, Publish { message, reply, _slot: slot })
    }

    /// Sends `message` and waits for its confirm.
    ///
    /// # Errors
    /// [`PublishError`]. Success means that the broker has taken responsibility for the message.
    pub async fn publish(&self, message: impl Into<Arc<OutMessage>>) -> Result<(), PublishError> {
        self.send(message).await?.await
    }
}

#[derive(Debug)]
pub(crate) enum Job {
    One(Publish),
    Several(Vec<Publish>),
}

impl Job {
    pub(crate) fn into_publishes(self) -> Vec<Publish> {
        match self {
            Self::One(one) => vec![one],
            Self::Several(several) => several,
        }
    }
}

/// Ends the taking of jobs: what nobody has started is answered as not sent.
pub(crate) fn refuse_rest(shared: &Shared, slots: &Semaphore, queue: &mut mpsc::Receiver<Job>) {
    slots.close();
    queue.close();
    while let Ok(job) = queue.try_recv() {
        for publish in job.into_publishes() {
            publish.answer(Err(PublishError::Closed(shared.reason())));
        }
    }
}

/// A message on its way, and who waits for the broker's word on it.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) message: Arc<OutMessage>,
    reply: oneshot::Sender<Result<(), PublishError>>,
    _slot: OwnedSemaphorePermit,
}

impl Publish {
    pub(crate) fn answer(self, answer: Result<(), PublishError>) {
        // The sender may have stopped waiting; the message is settled all the same.
        drop(self.reply.send(answer));
    }
}

impl Identified for Publish {
    fn identity(&self) -> Identity {
        Identity {
            exchange: self.message.exchange.clone(),
            routing_key: self.message.routing_key.clone(),
            message_id: self.message.properties.message_id.clone().unwrap_or_default(),
        }
    }
}

/// A message that was started and is not yet settled.
struct Pending {
    started: Instant,
    publish: Publish,
}

struct Task {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    timeout: Duration,
    pending: BTreeMap<u64, Pending>,
    returns: Returns<Publish>,
    next_number: u64,
}

/// Messages that were handed to the client and not yet taken as written, in order, by number.
type Writing<'c> = VecDeque<(u64, Write<'c>)>;

enum Write<'c> {
    Underway(Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send + 'c>>),
    Done(lapin::Result<PublisherConfirm>),
}

impl Write<'_> {
    /// True once it is done.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Underway(write) = self
            && let Poll::Ready(written) = write.as_mut().poll(cx)
        {
            *self = Self::Done(written);
        }
        matches!(self, Self::Done(_))
    }
}

/// A message that was written. It resolves to the broker's word.
struct Confirming {
    number: u64,
    confirm: PublisherConfirm,
}

impl Future for Confirming {
    type Output = (u64, lapin::Result<Confirmation>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        self.confirm.poll_unpin(cx).map(|confirmation| (number, confirmation))
    }
}

async fn write(channel: &Channel, message: Arc<OutMessage>) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let (exchange, key) = (
        ShortString::from(message.exchange.as_str()),
        ShortString::from(message.routing_key.as_str()),
    );
    let properties = message.properties.to_amqp();
    channel.basic_publish(exchange, key, options, &message.body, properties).await
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
        let (mut writing, mut in_flight) = (Writing::new(), FuturesUnordered::new());
        let mut jobs = Vec::with_capacity(JOBS_MAX);
        let mut checks =
            tokio::time::interval((self.timeout / CHECKS_PER_TIMEOUT).max(CHECK_INTERVAL_MIN));
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        while open || !in_flight.is_empty() || !writing.is_empty() {
            tokio::select! {
                biased;
                () = self.shared.lost.cancelled() => break,
                Some((number, confirmation)) = in_flight.next(), if !in_flight.is_empty() => {
                    self.on_confirmation(number, confirmation);
                    self.take_all_confirmations(&mut writing, &mut in_flight);
                    self.end_round(in_flight.is_empty() && writing.is_empty());
                }
                () = last_written(&mut writing), if !writing.is_empty() => {
                    self.take_written(&mut writing, &mut in_flight);
                }
                taken = queue.recv_many(&mut jobs, JOBS_MAX), if open => {
                    open = taken > 0;
                    let now = Instant::now();
                    for job in jobs.drain(..) {
                        match job {
                            Job::One(one) => self.start(&channel, one, now, &mut writing),
                            Job::Several(several) => for one in several {
                                self.start(&channel, one, now, &mut writing);
                            },
                        }
                    }
                    self.take_written(&mut writing, &mut in_flight);
                }
                _ = checks.tick() => self.check_oldest(),
                () = self.shared.stop.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
        refuse_rest(&self.shared, &self.slots, &mut queue);
        self.abandon();
        close_channel(&channel, &self.shared).await;
    }

    /// Hands a message to the client: its frames stand in the client's queue when this returns.
    fn start<'c>(
        &mut self,
        channel: &'c Channel,
        publish: Publish,
        now: Instant,
        writing: &mut Writing<'c>,
    ) {
        self.next_number += 1;
        let mut write = Write::Underway(Box::pin(write(channel, Arc::clone(&publish.message))));
        self.pending.insert(self.next_number, Pending { started: now, publish });
        write.poll(&mut Context::from_waker(Waker::noop()));
        writing.push_back((self.next_number, write));
    }

    /// Takes from the front what was written meanwhile. True if there was any.
    fn take_written(
        &mut self,
        writing: &mut Writing<'_>,
        in_flight: &mut FuturesUnordered<Confirming>,
    ) -> bool {
        let mut any = false;
        let mut context = Context::from_waker(Waker::noop());
        while writing.front_mut().is_some_and(|(_, write)| write.poll(&mut context))
            && let Some((number, Write::Done(written))) = writing.pop_front()
        {
            any = true;
            match written {
                Ok(confirm) => in_flight.push(Confirming { number, confirm }),
                Err(error) => self.on_confirmation(number, Err(error)),
            }
        }
        any
    }

    /// Takes every confirmation that is there, also of messages that were not yet seen to be written.
    fn take_all_confirmations(
        &mut self,
        writing: &mut Writing<'_>,
        in_flight: &mut FuturesUnordered<Confirming>,
    ) {
        loop {
            take_all_ready(in_flight, |(number, confirmation)| {
                self.on_confirmation(number, confirmation);
            });
            // One that was confirmed before those just taken was written before them too, so it is found here.
            if !self.take_written(writing, in_flight) {
                break;
            }
        }
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
        let Some(Pending { publish, .. }) = self.pending.remove(&number) else { return };
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
            self.returns.confirmed(publish, is_carrier);
        } else {
            let Identity { exchange, routing_key, .. } = publish.identity();
            publish.answer(Err(PublishError::Refused { exchange, routing_key }));
        }
    }

    fn end_round(&mut self, nothing_in_flight: bool) {
        self.returns.end_round(nothing_in_flight, |publish, fate| match fate {
            Fate::Stored => publish.answer(Ok(())),
            Fate::Unroutable => {
                let Identity { exchange, routing_key, .. } = publish.identity();
                publish.answer(Err(PublishError::Unroutable { exchange, routing_key }));
            }
        });
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
            if let Some(Pending { publish, .. }) = self.pending.remove(number) {
                publish.answer(Err(PublishError::TimedOut(self.timeout)));
            }
        }
        if !expired.is_empty() {
            self.shared.lose(LostReason::ConfirmTimedOut(self.timeout));
        }
    }

    fn abandon(&mut self) {
        let reason = self.shared.reason();
        let pending =
            std::mem::take(&mut self.pending).into_values().map(|pending| pending.publish);
        for publish in pending.chain(self.returns.abandon()) {
            publish.answer(Err(PublishError::Lost(reason.clone())));
        }
    }
}

/// Waits until the last message that was started is written; those before it are written by then, unless the
/// connection ends.
async fn last_written(writing: &mut Writing<'_>) {
    std::future::poll_fn(|cx| {
        let underway = |write: &&mut (u64, Write<'_>)| matches!(write.1, Write::Underway(_));
        let last = writing.iter_mut().rev().find(underway);
        if last.is_none_or(|(_, last)| last.poll(cx)) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await
}
