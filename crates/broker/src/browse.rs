//! Looks into a queue without consuming it: what `interline dead` needs.
//!
//! Invariant: a message leaves a queue here only by [`Browser::remove`], [`Taken::remove`] or [`Link::purge`]. All else
//! that is fetched returns to the queue when the throw-away channel closes.
//!
//! A quorum queue puts what a consumer returns behind what was returned before, and not into its old place. So this
//! fetches with one consumer and not with `basic.get`, which counts as a consumer of its own each time, and always
//! fetches [`WINDOW`] messages, so that all that was ever returned here returns together, in order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{FieldTable, ShortString};

use crate::consumer::next_generation;
use crate::errors::{LinkError, Role};
use crate::link::{Link, Shared, Transport, name_missing_queue};
use crate::message::{Delivery, DeliveryTag, SHORT_STRING_BYTES_MAX};

/// How many messages a look fetches, whatever it was asked for.
const WINDOW: u16 = 1000;
/// A queue from which nothing comes for this long is taken to be at its end. What an earlier look returned is back a
/// few milliseconds after its channel closed.
const BROWSE_IDLE_MAX: Duration = Duration::from_millis(500);

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Ready, so without those that a consumer holds unacked.
    pub messages: u32,
    /// Consumers.
    pub consumers: u32,
}

/// Walks through a queue from its front. What it yields stays in the queue unless it is removed, and is hidden from
/// others until the browser is closed or dropped.
#[derive(Debug)]
pub struct Browser {
    // Closed by hand before the consumer goes, or by the drop of both.
    channel: Channel,
    stream: lapin::Consumer,
    generation: u64,
    shared: Arc<Shared>,
}

impl Browser {
    /// The next message; `None` at the end of the queue, or when 1000 messages are out that were not removed. At the
    /// end it takes half a second to be sure.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn next(&mut self) -> Result<Option<Delivery>, LinkError> {
        let Ok(next) = tokio::time::timeout(BROWSE_IDLE_MAX, self.stream.next()).await else {
            return Ok(None);
        };
        let next = async { next.transpose() };
        let delivery = self.shared.ask(Role::Consume, || "read a message".to_owned(), next).await?;
        Ok(delivery.map(|delivery| Delivery::from_amqp(delivery, self.generation)))
    }

    /// Removes a message that this browser yielded from the queue. To move a message, publish it first and remove it
    /// after the confirm. Certain once [`Browser::close`] has succeeded.
    ///
    /// # Errors
    /// [`LinkError`]; the message may then be in the queue still.
    pub async fn remove(&mut self, tag: DeliveryTag) -> Result<(), LinkError> {
        if tag.generation != self.generation {
            return Ok(());
        }
        let ack = self.channel.basic_ack(tag.number, BasicAckOptions::default());
        self.shared.ask(Role::Consume, || "remove a message".to_owned(), ack).await
    }

    /// Gives back what was not removed. The queue shows it again a few milliseconds later.
    ///
    /// # Errors
    /// [`LinkError`]; the messages are back all the same, as soon as the broker notices the loss.
    pub async fn close(self) -> Result<(), LinkError> {
        let close = self.channel.close(200, "done".into());
        self.shared.ask(Role::Consume, || "close a channel".to_owned(), close).await
    }
}

/// One message, held until it is removed; dropped, it returns to the queue.
#[derive(Debug)]
pub struct Taken {
    /// The message.
    pub delivery: Delivery,
    browser: Browser,
}

impl Taken {
    /// Removes the message from its queue. To move a message, publish it first and remove it after the confirm.
    ///
    /// # Errors
    /// [`LinkError`]; the message may then be in the queue still.
    pub async fn remove(mut self) -> Result<(), LinkError> {
        self.browser.remove(self.delivery.tag).await?;
        // The answer to the close is the proof that the ack before it was read.
        self.browser.close().await
    }

    /// Gives the message back.
    ///
    /// # Errors
    /// [`LinkError`]; the message is back all the same, as soon as the broker notices the loss.
    pub async fn put_back(self) -> Result<(), LinkError> {
        self.browser.close().await
    }
}

impl Link {
    /// How full `queue` is.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn depth(&self, queue: &str) -> Result<QueueDepth, LinkError> {
        let name = known_length(queue)?;
        if let Transport::Memory(seat) = &self.transport {
            seat.answered(&self.shared).await?;
            return seat.depth(queue);
        }
        let channel = self.channel(Role::Consume).await?;
        let options =
            QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
        let declare = channel.queue_declare(name, options, FieldTable::default());
        let declared = self
            .shared
            .ask(Role::Consume, || format!("tell how full {queue} is"), declare)
            .await
            .map_err(|error| name_missing_queue(error, queue))?;
        self.end(channel).await?;
        Ok(QueueDepth { messages: declared.message_count(), consumers: declared.consumer_count() })
    }

    /// Starts to walk through `queue`, which should have no single active consumer: behind one, nothing comes. Each
    /// look counts as a delivery (`redelivered`, delivery count).
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn browse(&self, queue: &str) -> Result<Browser, LinkError> {
        let name = known_length(queue)?;
        let channel = self.channel(Role::Consume).await?;
        let qos = channel.basic_qos(WINDOW, BasicQosOptions::default());
        self.shared.ask(Role::Consume, || "set the prefetch".to_owned(), qos).await?;
        let options = BasicConsumeOptions::default();
        let consume =
            channel.basic_consume(name, ShortString::default(), options, FieldTable::default());
        let stream = self
            .shared
            .ask(Role::Consume, || format!("browse {queue}"), consume)
            .await
            .map_err(|error| name_missing_queue(error, queue))?;
        Ok(Browser {
            channel,
            stream,
            generation: next_generation(),
            shared: Arc::clone(&self.shared),
        })
    }

    /// Copies of the first `max` ready messages of `queue` (at most 1000), in order; all stay in the queue.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn peek(&self, queue: &str, max: usize) -> Result<Vec<Delivery>, LinkError> {
        let mut browser = self.browse(queue).await?;
        let mut copies = Vec::new();
        while copies.len() < max
            && let Some(delivery) = browser.next().await?
        {
            copies.push(delivery);
        }
        browser.close().await?;
        Ok(copies)
    }

    /// Takes the message with this id out of the first 1000 ready ones of `queue`. The others that were looked at
    /// return to the queue when it is removed, put back or dropped.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn take(&self, queue: &str, message_id: &str) -> Result<Option<Taken>, LinkError> {
        let mut browser = self.browse(queue).await?;
        while let Some(delivery) = browser.next().await? {
            if delivery.message_id() == Some(message_id) {
                return Ok(Some(Taken { delivery, browser }));
            }
        }
        browser.close().await?;
        Ok(None)
    }

    /// Drops all ready messages of `queue`, for good, and says how many.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn purge(&self, queue: &str) -> Result<u32, LinkError> {
        let name = known_length(queue)?;
        let channel = self.channel(Role::Consume).await?;
        let purge = channel.queue_purge(name, QueuePurgeOptions::default());
        let count = self
            .shared
            .ask(Role::Consume, || format!("purge {queue}"), purge)
            .await
            .map_err(|error| name_missing_queue(error, queue))?;
        self.end(channel).await?;
        Ok(count)
    }

    async fn end(&self, channel: Channel) -> Result<(), LinkError> {
        let close = channel.close(200, "done".into());
        self.shared.ask(Role::Consume, || "close a channel".to_owned(), close).await
    }
}

fn known_length(queue: &str) -> Result<ShortString, LinkError> {
    if queue.len() > SHORT_STRING_BYTES_MAX {
        return Err(LinkError::NoSuchQueue { queue: queue.to_owned() });
    }
    Ok(ShortString::from(queue))
}
