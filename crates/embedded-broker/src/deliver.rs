//! From the queues to the consumers, and what the consumers answer.

use crate::channel::{Consumer, Unacked};
use crate::codec::{DeliverHead, put_content, put_deliver};
use crate::errors::Failure;
use crate::queue::ConsumerKey;
use crate::state::{OUT_BYTES_MAX, Phase, State};
use amq_protocol::protocol::{AMQPClass, basic};
use std::sync::Arc;
use tokio::time::Instant;

impl State {
    /// Delivers from one queue as long as there are a message that is due and a consumer with room.
    pub(crate) fn deliver(&mut self, name: &Arc<str>) {
        let Self { queues, connections, orders, counters, next_due, .. } = self;
        let Some(queue) = queues.get_mut(name).filter(|_| !orders.holds_deliveries) else { return };
        while let Some(first) = queue.first() {
            if first.is_expired() {
                return;
            }
            if let Some(due) = first.due.filter(|due| *due > Instant::now()) {
                *next_due = Some(next_due.map_or(due, |earlier| earlier.min(due)));
                return;
            }
            let key = queue.next_consumer(|key| {
                let Some(connection) = connections.get_mut(&key.connection) else { return false };
                let has_room = connection.out.len() < OUT_BYTES_MAX;
                connection.is_starved |= !has_room;
                let channel = connection.channels.get(&key.channel);
                has_room
                    && connection.phase == Phase::Running
                    && channel.is_some_and(|channel| channel.can_take(&key.tag))
            });
            let Some(key) = key else { return };
            let Some(connection) = connections.get_mut(&key.connection) else { return };
            let Some(channel) = connection.channels.get_mut(&key.channel) else { return };
            let Some((position, entry)) = queue.take_first() else { return };
            let delivery_tag = channel.next_tag();
            let head = DeliverHead {
                consumer_tag: &key.tag,
                delivery_tag,
                redelivered: entry.redelivered,
                exchange: &entry.message.exchange,
                routing_key: &entry.message.routing_key,
            };
            put_deliver(&mut connection.out, key.channel, &head);
            let properties = entry.properties(queue.settings.is_quorum);
            let frame_bytes_max = connection.frame_bytes_max;
            put_content(
                &mut connection.out,
                key.channel,
                &properties,
                &entry.message.body,
                frame_bytes_max,
            );
            connection.wake.notify_one();
            counters.delivered += 1;
            if channel.consumers.get(&key.tag).is_some_and(|consumer| consumer.no_ack) {
                queue.settle(&entry);
            } else {
                let (queue, queue_id, consumer) = (name.clone(), queue.id, Some(key.tag));
                channel.remember(
                    delivery_tag,
                    Unacked { queue, queue_id, position, entry: Some(entry), consumer },
                );
            }
        }
    }

    pub(crate) fn on_consume(
        &mut self,
        id: u64,
        number: u16,
        consume: basic::Consume,
    ) -> Result<(), Failure> {
        let name = self.named_queue(id, number, consume.queue.as_str())?;
        let tag: Arc<str> = match consume.consumer_tag.as_str() {
            "" => format!("amq.ctag-{}", self.next_id()).into(),
            tag => tag.into(),
        };
        if self.channel(id, number)?.consumers.contains_key(&tag) {
            return Err(Failure::not_allowed(&format!("attempt to reuse consumer tag '{tag}'")));
        }
        let queue = self.usable_queue(id, &name)?;
        if queue.has_exclusive_consumer || (consume.exclusive && !queue.consumers.is_empty()) {
            return Err(Failure::access_refused(&format!(
                "queue '{name}' in vhost '/' in exclusive use"
            )));
        }
        queue.has_exclusive_consumer = consume.exclusive;
        queue.consumers.push_back(ConsumerKey {
            connection: id,
            channel: number,
            tag: tag.clone(),
        });
        let channel = self.channel(id, number)?;
        let (no_ack, prefetch) = (consume.no_ack, channel.prefetch);
        channel
            .consumers
            .insert(tag.clone(), Consumer { queue: name.clone(), no_ack, prefetch, unacked: 0 });
        if !consume.nowait {
            let consumer_tag = tag.as_ref().into();
            self.reply(
                id,
                number,
                basic::AMQPMethod::ConsumeOk(basic::ConsumeOk { consumer_tag }),
            )?;
        }
        self.dirty.insert(name);
        Ok(())
    }

    pub(crate) fn on_cancel(
        &mut self,
        id: u64,
        number: u16,
        cancel: basic::Cancel,
    ) -> Result<(), Failure> {
        // An unknown tag is answered as well: RabbitMQ does, and a cancel may cross the broker's own.
        let tag: Arc<str> = cancel.consumer_tag.as_str().into();
        if let Some(consumer) = self.channel(id, number)?.consumers.remove(&tag) {
            if let Some(queue) = self.queues.get_mut(&consumer.queue) {
                queue.detach(&ConsumerKey { connection: id, channel: number, tag });
            }
            self.delete_if_abandoned(&consumer.queue);
            self.dirty.insert(consumer.queue);
        }
        if cancel.nowait {
            return Ok(());
        }
        let cancel_ok = basic::CancelOk { consumer_tag: cancel.consumer_tag };
        self.reply(id, number, basic::AMQPMethod::CancelOk(cancel_ok))
    }

    pub(crate) fn on_get(&mut self, id: u64, number: u16, get: &basic::Get) -> Result<(), Failure> {
        let name = self.named_queue(id, number, get.queue.as_str())?;
        self.expire(&name);
        let queue = self.usable_queue(id, &name)?;
        let Some((position, entry)) = queue.take_first() else {
            return self.reply(id, number, basic::AMQPMethod::GetEmpty(basic::GetEmpty {}));
        };
        if get.no_ack {
            queue.settle(&entry);
        }
        let (left, queue_id) = (queue.ready_count(), queue.id);
        let properties = entry.properties(queue.settings.is_quorum);
        self.counters.delivered += 1;
        let message = entry.message.clone();
        let redelivered = entry.redelivered;
        let channel = self.channel(id, number)?;
        let delivery_tag = channel.next_tag();
        if !get.no_ack {
            channel.remember(
                delivery_tag,
                Unacked { queue: name, queue_id, position, entry: Some(entry), consumer: None },
            );
        }
        let get_ok = basic::GetOk {
            delivery_tag,
            redelivered,
            exchange: message.exchange.as_str().into(),
            routing_key: message.routing_key.as_str().into(),
            message_count: u32::try_from(left).unwrap_or(u32::MAX),
        };
        self.reply(id, number, basic::AMQPMethod::GetOk(get_ok))?;
        let connection = self.connection(id)?;
        put_content(
            &mut connection.out,
            number,
            &properties,
            &message.body,
            connection.frame_bytes_max,
        );
        Ok(())
    }

    pub(crate) fn on_ack(
        &mut self,
        id: u64,
        number: u16,
        tag: u64,
        multiple: bool,
    ) -> Result<(), Failure> {
        for unacked in self.channel(id, number)?.take_unacked(tag, multiple)? {
            let Some(entry) = unacked.entry else { continue };
            self.counters.acked += 1;
            if let Some(queue) =
                self.queues.get_mut(&unacked.queue).filter(|queue| queue.id == unacked.queue_id)
            {
                queue.settle(&entry);
                if !self.dirty.contains(&unacked.queue) {
                    self.dirty.insert(unacked.queue);
                }
            }
        }
        Ok(())
    }

    /// Answers `basic.nack` and `basic.reject`.
    pub(crate) fn on_nack(
        &mut self,
        id: u64,
        number: u16,
        nack: &basic::Nack,
    ) -> Result<(), Failure> {
        for unacked in self.channel(id, number)?.take_unacked(nack.delivery_tag, nack.multiple)? {
            if nack.requeue {
                self.requeue(unacked);
                continue;
            }
            let Some(entry) = unacked.entry else { continue };
            if let Some(queue) =
                self.queues.get_mut(&unacked.queue).filter(|queue| queue.id == unacked.queue_id)
            {
                queue.settle(&entry);
                self.dirty.insert(unacked.queue.clone());
                self.dead_letter(&unacked.queue, vec![entry], "rejected");
            }
        }
        Ok(())
    }

    /// `basic.recover` with requeue: everything unacked on the channel comes back.
    pub(crate) fn recover(&mut self, id: u64, number: u16, requeue: bool) -> Result<(), Failure> {
        if !requeue {
            return Err(Failure::not_implemented("requeue=false"));
        }
        for unacked in self.channel(id, number)?.take_unacked(0, true)? {
            self.requeue(unacked);
        }
        Ok(())
    }

    /// Puts one delivery back where it stood, or to the dead letters if it came back too often.
    pub(crate) fn requeue(&mut self, unacked: Unacked) {
        let Some(entry) = unacked.entry else { return };
        let queue =
            self.queues.get_mut(&unacked.queue).filter(|queue| queue.id == unacked.queue_id);
        let Some(queue) = queue else { return };
        let spent = queue.requeue(unacked.position, entry);
        self.dirty.insert(unacked.queue.clone());
        if let Some(spent) = spent {
            self.dead_letter(&unacked.queue, vec![spent], "delivery_limit");
        }
    }

    /// Takes every unacked message back without a word, as a quorum queue does whose leader lost sight of the
    /// consumer's node: answers to the old deliveries are ignored.
    pub(crate) fn redeliver_unacked(&mut self) {
        let mut back = Vec::new();
        for channel in
            self.connections.values_mut().flat_map(|connection| connection.channels.values_mut())
        {
            for unacked in channel.unacked.values_mut() {
                let entry = unacked.entry.take();
                let (queue, queue_id, position) =
                    (unacked.queue.clone(), unacked.queue_id, unacked.position);
                back.push(Unacked { queue, queue_id, position, entry, consumer: None });
            }
        }
        back.into_iter().for_each(|unacked| self.requeue(unacked));
    }

    pub(crate) fn reply(
        &mut self,
        id: u64,
        number: u16,
        method: basic::AMQPMethod,
    ) -> Result<(), Failure> {
        self.connection(id)?.say(number, AMQPClass::Basic(method));
        Ok(())
    }
}
