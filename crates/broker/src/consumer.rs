//! Takes deliveries from one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::acks::{self, Acker, Desk};
use crate::errors::{LinkError, LostReason, Role};
use crate::link::{Link, Shared, name_missing_queue};
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
    stream: lapin::Consumer,
    channel: Channel,
    queue: String,
    generation: u64,
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    ended: Option<LostReason>,
    _stop: DropGuard,
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
        let generation = next_generation();
        let channel = self.channel(Role::Consume).await?;
        let qos = channel.basic_qos(prefetch_count.max(1), BasicQosOptions::default());
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
        let stop = self.shared.stop.child_token();
        let desk = Arc::new(Desk::new(generation));
        let (shared, keep_alive) = (Arc::clone(&self.shared), stream.clone());
        self.shared.tasks.spawn(acks::run(
            channel.clone(),
            keep_alive,
            Arc::clone(&desk),
            shared,
            stop.clone(),
        ));
        let acker = Acker::new(Arc::clone(&desk), Arc::clone(&self.shared));
        let consumer = Consumer {
            stream,
            channel,
            queue: queue.to_owned(),
            generation,
            desk,
            shared: Arc::clone(&self.shared),
            ended: None,
            _stop: stop.drop_guard(),
        };
        Ok((consumer, acker))
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
            first = self.stream.next() => self.taken(first),
        };
        let mut batch = vec![first.inspect_err(|reason| self.ended = Some(reason.clone()))?];
        while batch.len() < max
            && let Some(next) = self.stream.next().now_or_never()
        {
            match self.taken(next) {
                Ok(delivery) => batch.push(delivery),
                Err(reason) => {
                    self.ended = Some(reason);
                    break;
                }
            }
        }
        if let Some(last) = batch.last() {
            self.desk.delivered(last.tag);
        }
        Ok(batch)
    }

    fn taken(
        &self,
        next: Option<lapin::Result<lapin::message::Delivery>>,
    ) -> Result<Delivery, LostReason> {
        match next {
            Some(Ok(delivery)) if delivery.acker.usable() => {
                Ok(Delivery::from_amqp(delivery, self.generation))
            }
            // Buffered when the channel ended: its ack would come too late.
            Some(Ok(_)) => Err(self.reason_of_end(None)),
            Some(Err(error)) => Err(self.reason_of_end(Some(error))),
            None => Err(self.reason_of_end(None)),
        }
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
            None if self.channel.status().connected() => {
                LostReason::ConsumerCancelled { queue: self.queue.clone() }
            }
            None => {
                let fault = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
                LostReason::Connection {
                    role: Role::Consume,
                    fault: lapin::Error::from(fault).into(),
                }
            }
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
