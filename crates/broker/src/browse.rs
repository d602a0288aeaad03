//! Looks into a queue without consuming it: what `interline dead` needs.
//!
//! Invariant: a message leaves a queue here only by [`Taken::remove`] or [`Link::purge`]. All else that is fetched
//! returns to its place when the throw-away channel closes.

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::{FieldTable, ShortString};

use crate::errors::{LinkError, Role};
use crate::link::{Link, Shared, name_missing_queue};
use crate::message::{Delivery, SHORT_STRING_BYTES_MAX};
use std::sync::Arc;

/// The tags of browsed messages belong to no consumer; no acker takes them.
const NO_GENERATION: u64 = 0;

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Ready, so without those that a consumer holds unacked.
    pub messages: u32,
    /// Consumers.
    pub consumers: u32,
}

/// One message, held until it is removed; dropped, it returns to its place in the queue.
#[derive(Debug)]
pub struct Taken {
    /// The message.
    pub delivery: Delivery,
    channel: Channel,
    shared: Arc<Shared>,
}

impl Taken {
    /// Removes the message from its queue. To move a message, publish it first and remove it after the confirm.
    ///
    /// # Errors
    /// [`LinkError`]; the message may then be in the queue still.
    pub async fn remove(self) -> Result<(), LinkError> {
        let action = || "remove a message".to_owned();
        let ack = self.channel.basic_ack(self.delivery.tag.number, BasicAckOptions::default());
        self.shared.ask(Role::Consume, action, ack).await?;
        // The answer to the close is the proof that the ack before it was taken.
        self.shared.ask(Role::Consume, action, self.channel.close(200, "done".into())).await
    }

    /// Puts the message back into its place, and waits until it is there.
    ///
    /// # Errors
    /// [`LinkError`]; the message is back all the same, as soon as the broker notices the loss.
    pub async fn put_back(self) -> Result<(), LinkError> {
        let close = self.channel.close(200, "done".into());
        self.shared.ask(Role::Consume, || "put a message back".to_owned(), close).await
    }
}

impl Link {
    /// How full `queue` is.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn depth(&self, queue: &str) -> Result<QueueDepth, LinkError> {
        let name = known_length(queue)?;
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

    /// Copies of the first `max` ready messages of `queue`, in order; all stay in the queue. Each look counts as a
    /// delivery (`redelivered`, delivery count). Not for queues with a single active consumer, which refuse it.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn peek(&self, queue: &str, max: usize) -> Result<Vec<Delivery>, LinkError> {
        let channel = self.channel(Role::Consume).await?;
        let mut copies = Vec::new();
        while copies.len() < max
            && let Some(delivery) = self.get(&channel, queue).await?
        {
            copies.push(delivery);
        }
        self.end(channel).await?;
        Ok(copies)
    }

    /// Takes the first ready message of `queue` whose id is `message_id`, looking at `scan_max` messages at most. All
    /// others that were looked at return to the queue when the message is removed, put back or dropped.
    ///
    /// # Errors
    /// [`LinkError::NoSuchQueue`], or another [`LinkError`].
    pub async fn take(
        &self,
        queue: &str,
        message_id: &str,
        scan_max: usize,
    ) -> Result<Option<Taken>, LinkError> {
        let channel = self.channel(Role::Consume).await?;
        for _ in 0..scan_max {
            let Some(delivery) = self.get(&channel, queue).await? else { break };
            if delivery.properties.message_id.as_deref() == Some(message_id) {
                return Ok(Some(Taken { delivery, channel, shared: Arc::clone(&self.shared) }));
            }
        }
        self.end(channel).await?;
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

    async fn get(&self, channel: &Channel, queue: &str) -> Result<Option<Delivery>, LinkError> {
        let get = channel.basic_get(known_length(queue)?, BasicGetOptions::default());
        let message = self
            .shared
            .ask(Role::Consume, || format!("get a message of {queue}"), get)
            .await
            .map_err(|error| name_missing_queue(error, queue))?;
        Ok(message.map(|message| Delivery::from_amqp(message.delivery, NO_GENERATION)))
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
