//! Takes deliveries from one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::acks::{self, Acker, Desk, Target};
use crate::errors::{BrokerFault, LinkError, LostReason, Role};
use crate::link::{Link, Shared, Transport, name_missing_queue};
use crate::message::{Delivery, SHORT_STRING_BYTES_MAX};

/// Numbers consumers, so that a tag of a lost one is never acked on its successor's channel.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::Relaxed)
}

/// One queue's deliveries. Dropping it writes the acks handed over so far and closes the channel; what was not acked
/// returns to the queue, before all that was not yet delivered.
///
/// A quorum queue puts what returns behind what returned before. So order is kept across any number of losses only if
/// each successor takes all that returned: its prefetch must not be smaller than that of its predecessor.
#[derive(Debug)]
pub struct Consumer {
    source: Source,
    queue: String,
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    ended: Option<LostReason>,
    _stop: DropGuard,
}

/// Where deliveries come from.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a consumer, and only tests have the small variant"
)]
enum Source {
    Amqp { stream: lapin::Consumer, channel: Channel, generation: u64 },
    Memory(mpsc::Receiver<Delivery>),
}

impl Source {
    /// The next delivery, or what the client says of the end. Cancel-safe.
    async fn next(&mut self) -> Result<Delivery, Option<lapin::Error>> {
        match self {
            Self::Amqp { stream, generation, .. } => match stream.next().await {
                Some(Ok(delivery)) if delivery.acker.usable() => {
                    Ok(Delivery::from_amqp(delivery, *generation))
                }
                // Buffered when the channel ended: its ack would come too late.
                Some(Ok(_)) | None => Err(None),
                Some(Err(error)) => Err(Some(error)),
            },
            Self::Memory(inbox) => inbox.recv().await.ok_or(None),
        }
    }

    /// False once the broker has closed the channel.
    fn is_open(&self) -> bool {
        match self {
            Self::Amqp { channel, .. } => channel.status().connected(),
            // Such a broker closes no channel but with the whole link.
            Self::Memory(_) => true,
        }
    }
}

impl Link {
    /// Consumes `queue`, with at most `prefetch_count` deliveries unacked (0 would mean no bound, and counts as 1).
    ///
    /// `tag`: how the broker shows the consumer; it is made unique here. At most 200 bytes are used.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`]; [`LinkError::Refused`], as for a queue that another consumes exclusively;
    /// [`LinkError::TimedOut`]; [`LinkError::Lost`].
    pub async fn consumer(
        &self,
        queue: &str,
        prefetch_count: u16,
        tag: &str,
    ) -> Result<(Consumer, Acker), LinkError> {
        if queue.len() > SHORT_STRING_BYTES_MAX {
            return Err(LinkError::NoSuchQueue { queue: queue.to_owned() });
        }
        let (generation, prefetch_count) = (next_generation(), prefetch_count.max(1));
        let (source, target) = match &self.transport {
            Transport::Amqp(_) => self.amqp_source(queue, prefetch_count, tag, generation).await?,
            Transport::Memory(seat) => {
                seat.answered(&self.shared).await?;
                let (inbox, outlet) = seat.consume(queue, prefetch_count, generation)?;
                (Source::Memory(inbox), Target::Memory(outlet))
            }
        };
        let stop = self.shared.stop.child_token();
        let desk = Arc::new(Desk::new(generation));
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(acks::run(target, Arc::clone(&desk), shared, stop.clone()));
        let acker = Acker::new(Arc::clone(&desk), Arc::clone(&self.shared));
        let consumer = Consumer {
            source,
            queue: queue.to_owned(),
            desk,
            shared: Arc::clone(&self.shared),
            ended: None,
            _stop: stop.drop_guard(),
        };
        Ok((consumer, acker))
    }

    async fn amqp_source(
        &self,
        queue: &str,
        prefetch_count: u16,
        tag: &str,
        generation: u64,
    ) -> Result<(Source, Target), LinkError> {
        let channel = self.channel(Role::Consume).await?;
        let qos = channel.basic_qos(prefetch_count, BasicQosOptions::default());
        self.shared.ask(Role::Consume, || "set the prefetch".to_owned(), qos).await?;
        let tag: String = tag.chars().take(50).collect();
        let consume = channel.basic_consume(
            ShortString::from(queue),
            ShortString::from(format!("{tag}.{generation}")),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let stream = self
            .shared
            .ask(Role::Consume, || format!("consume {queue}"), consume)
            .await
            .map_err(|error| name_missing_queue(error, queue))?;
        let target = Target::Amqp { channel: channel.clone(), keep_alive: stream.clone() };
        Ok((Source::Amqp { stream, channel, generation }, target))
    }
}

impl Consumer {
    /// Waits for a delivery, and takes with it all that are ready: at least one, at most `max` (and at least 1).
    ///
    /// Cancel-safe: a delivery is taken only by a call that returns it.
    ///
    /// # Errors
    /// Why there will be no more: the link is lost or closing, the channel was closed, or the broker cancelled the
    /// consumer. Deliveries that were buffered at a loss are dropped: the broker delivers them again.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, LostReason> {
        if let Some(reason) = &self.ended {
            return Err(reason.clone());
        }
        let first = tokio::select! {
            biased;
            () = self.shared.lost.cancelled() => Err(self.shared.reason()),
            () = self.desk.done.cancelled() => Err(self.shared.reason()),
            first = self.source.next() => first.map_err(|error| self.reason_of_end(error)),
        };
        let mut batch = vec![first.inspect_err(|reason| self.ended = Some(reason.clone()))?];
        while batch.len() < max
            && let Some(next) = self.source.next().now_or_never()
        {
            match next {
                Ok(delivery) => batch.push(delivery),
                Err(error) => {
                    self.ended = Some(self.reason_of_end(error));
                    break;
                }
            }
        }
        if let Some(last) = batch.last() {
            self.desk.delivered(last.tag);
        }
        Ok(batch)
    }

    fn reason_of_end(&self, error: Option<lapin::Error>) -> LostReason {
        if self.shared.lost.is_cancelled() || self.shared.stop.is_cancelled() {
            return self.shared.reason();
        }
        match error {
            Some(error) if error.is_amqp_soft_error() => {
                LostReason::Channel { role: Role::Consume, fault: error.into() }
            }
            Some(error) => LostReason::Connection { role: Role::Consume, fault: error.into() },
            None if self.source.is_open() => {
                LostReason::ConsumerCancelled { queue: self.queue.clone() }
            }
            None => LostReason::Connection { role: Role::Consume, fault: BrokerFault::aborted() },
        }
    }

    /// Writes the acks handed over so far and closes the channel. What was not acked is back in the queue a few
    /// milliseconds later, and the next consumer starts with it.
    ///
    /// RabbitMQ holds back acks of a channel that has more than 32 in the works at a quorum queue, and forgets them
    /// when the channel closes: some of many acks that were written just before may come again.
    pub async fn close(self) {
        let done: CancellationToken = self.desk.done.clone();
        drop(self);
        done.cancelled().await;
    }
}
