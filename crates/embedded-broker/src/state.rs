//! All that the broker knows, as plain data; everything that changes it is a method without waiting.
//!
//! Called by the connection tasks and by the orders of tests, always under the one mutex. [`State::settle`] ends every
//! change: it delivers what became deliverable and raises or lowers the alarm.

use crate::channel::Channel;
use crate::codec::put_method;
use crate::config::Config;
use crate::errors::Failure;
use crate::exchange::{Exchange, Kind, Target};
use crate::faults::Orders;
use crate::handle::{QueueDepth, Snapshot};
use crate::queue::{ConsumerKey, Queue};
use amq_protocol::protocol::{AMQPClass, basic, channel, connection};
use bytes::BytesMut;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Deliveries to a connection pause while this much waits to be written to it.
pub(crate) const OUT_BYTES_MAX: usize = 1024 * 1024;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    AwaitsStartOk,
    AwaitsTuneOk,
    AwaitsOpen,
    Running,
    /// This side sent `connection.close`.
    Closing,
    /// Everything is said; what is left in `out` is the last.
    Over,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) phase: Phase,
    pub(crate) out: BytesMut,
    pub(crate) wake: Arc<Notify>,
    pub(crate) cut: CancellationToken,
    pub(crate) channels: BTreeMap<u16, Channel>,
    pub(crate) channels_max: u16,
    pub(crate) frame_bytes_max: usize,
    pub(crate) heartbeat_seconds: u16,
    pub(crate) knows_blocked: bool,
    /// It published while the alarm was on: nothing more is read from it.
    pub(crate) is_blocked: bool,
    /// Its full buffer kept a queue from delivering.
    pub(crate) is_starved: bool,
}

impl Connection {
    /// Appends a method to what is sent.
    pub(crate) fn say(&mut self, channel: u16, method: AMQPClass) {
        put_method(&mut self.out, channel, method);
        self.wake.notify_one();
    }
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: u64,
    pub(crate) stored: u64,
    pub(crate) confirmed: u64,
    pub(crate) refused: u64,
    pub(crate) returned: u64,
    pub(crate) delivered: u64,
    pub(crate) acked: u64,
}

/// All state of one broker.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) exchanges: HashMap<String, Exchange>,
    pub(crate) queues: HashMap<Arc<str>, Queue>,
    pub(crate) connections: HashMap<u64, Connection>,
    /// Queues that may have something to deliver.
    pub(crate) dirty: BTreeSet<Arc<str>>,
    /// Channels with confirms to send at the end of this change.
    pub(crate) coalescing: BTreeSet<(u64, u16)>,
    pub(crate) orders: Orders,
    pub(crate) counters: Counters,
    /// When the first delayed message is due.
    pub(crate) next_due: Option<Instant>,
    is_alarmed: bool,
    last_id: u64,
}

impl State {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let mut state = Self {
            config,
            exchanges: HashMap::new(),
            queues: HashMap::new(),
            connections: HashMap::new(),
            dirty: BTreeSet::new(),
            coalescing: BTreeSet::new(),
            orders: Orders::default(),
            counters: Counters::default(),
            next_due: None,
            is_alarmed: false,
            last_id: 0,
        };
        state.predeclare();
        state
    }

    fn predeclare(&mut self) {
        for (name, kind) in
            [("amq.direct", Kind::Direct), ("amq.fanout", Kind::Fanout), ("amq.topic", Kind::Topic)]
        {
            self.exchanges.entry(name.to_owned()).or_insert_with(|| Exchange::predeclared(kind));
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn connection(&mut self, id: u64) -> Result<&mut Connection, Failure> {
        self.connections.get_mut(&id).ok_or_else(|| Failure::internal("the connection is gone"))
    }

    pub(crate) fn channel(&mut self, id: u64, number: u16) -> Result<&mut Channel, Failure> {
        let channel = self.connection(id)?.channels.get_mut(&number);
        channel.ok_or_else(|| Failure::channel("expected 'channel.open'"))
    }

    /// Ends a change: confirms, deliveries, the alarm, and a cut that an order brought about.
    pub(crate) fn settle(&mut self) {
        if self.orders.cut_now {
            self.orders.cut_now = false;
            self.cut_all();
        }
        for (id, number) in std::mem::take(&mut self.coalescing) {
            self.release_confirms(id, number, crate::faults::Release::Multiple);
        }
        loop {
            while let Some(name) = self.dirty.pop_first() {
                self.deliver(&name);
                self.expire(&name);
            }
            if !self.retry_parked() {
                break;
            }
        }
        let stored_bytes: u64 = self.queues.values().map(|queue| queue.bytes).sum();
        let was_alarmed = self.is_alarmed;
        self.is_alarmed = self.orders.alarm || stored_bytes > self.config.stored_bytes_max;
        if was_alarmed && !self.is_alarmed {
            for connection in
                self.connections.values_mut().filter(|connection| connection.is_blocked)
            {
                connection.is_blocked = false;
                connection.wake.notify_one();
                if connection.knows_blocked {
                    let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
                    connection.say(0, AMQPClass::Connection(unblocked));
                }
            }
        }
    }

    /// A connection begins to publish: under an alarm it is blocked from here on, as RabbitMQ does it.
    pub(crate) fn block_if_alarmed(&mut self, id: u64) {
        if !self.is_alarmed && !self.orders.alarm {
            return;
        }
        let Some(connection) =
            self.connections.get_mut(&id).filter(|connection| !connection.is_blocked)
        else {
            return;
        };
        connection.is_blocked = true;
        if connection.knows_blocked {
            let blocked = connection::Blocked { reason: "low on memory".into() };
            connection.say(0, AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)));
        }
    }

    /// Closes a channel or, for a hard failure, the connection, and takes back what it held.
    pub(crate) fn fail(&mut self, id: u64, number: u16, failure: &Failure) {
        tracing::warn!(
            code = failure.code,
            channel = number,
            is_hard = failure.is_hard,
            "a client was refused"
        );
        if failure.is_hard || number == 0 {
            self.close_connection(id, failure)
        } else {
            self.close_channel(id, number, failure)
        }
    }

    pub(crate) fn close_channel(&mut self, id: u64, number: u16, failure: &Failure) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(channel) =
            connection.channels.get_mut(&number).filter(|channel| !channel.is_closing)
        else {
            return;
        };
        let channel = std::mem::replace(channel, Channel::closing());
        let close = channel::Close {
            reply_code: failure.code,
            reply_text: failure.short_text().into(),
            class_id: failure.method.0,
            method_id: failure.method.1,
        };
        connection.say(number, AMQPClass::Channel(channel::AMQPMethod::Close(close)));
        self.release(id, number, channel);
    }

    pub(crate) fn close_connection(&mut self, id: u64, failure: &Failure) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if matches!(connection.phase, Phase::Closing | Phase::Over) {
            return;
        }
        connection.phase = Phase::Closing;
        connection.is_blocked = false;
        let close = connection::Close {
            reply_code: failure.code,
            reply_text: failure.short_text().into(),
            class_id: failure.method.0,
            method_id: failure.method.1,
        };
        connection.say(0, AMQPClass::Connection(connection::AMQPMethod::Close(close)));
        self.release_connection(id);
    }

    /// The client has nothing more to say: everything it held comes back, what is left to send is sent.
    pub(crate) fn end_connection(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::Over;
            connection.is_blocked = false;
        }
        self.release_connection(id);
    }

    /// The connection is gone: everything it held comes back.
    pub(crate) fn drop_connection(&mut self, id: u64) {
        self.release_connection(id);
        if let Some(connection) = self.connections.remove(&id) {
            connection.cut.cancel();
        }
    }

    pub(crate) fn cut_all(&mut self) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        // All at once: nothing may be redelivered to a connection that is about to be cut as well.
        for id in &ids {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.phase = Phase::Over;
            }
        }
        ids.into_iter().for_each(|id| self.drop_connection(id));
    }

    /// Takes back what the channels of a connection held, and its exclusive queues.
    pub(crate) fn release_connection(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for (number, channel) in std::mem::take(&mut connection.channels) {
            self.release(id, number, channel);
        }
        let owned = self.queues.iter().filter(|(_, queue)| queue.exclusive_to == Some(id));
        for name in owned.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.delete_queue(&name);
        }
    }

    /// Takes back what a closed channel held: first its consumers, so that nothing returns to it, then the messages.
    pub(crate) fn release(&mut self, id: u64, number: u16, channel: Channel) {
        let mut touched = BTreeSet::new();
        for (tag, consumer) in channel.consumers {
            let key = ConsumerKey { connection: id, channel: number, tag };
            if let Some(queue) = self.queues.get_mut(&consumer.queue) {
                queue.detach(&key);
            }
            touched.insert(consumer.queue);
        }
        for unacked in channel.unacked.into_values() {
            self.requeue(unacked);
        }
        touched.iter().for_each(|name| self.delete_if_abandoned(name));
        self.dirty.extend(touched);
    }

    /// Deletes an auto-delete queue whose last consumer has gone.
    pub(crate) fn delete_if_abandoned(&mut self, name: &str) {
        if self
            .queues
            .get(name)
            .is_some_and(|queue| queue.auto_delete && queue.consumers.is_empty())
        {
            self.delete_queue(name);
        }
    }

    /// Deletes a queue, its bindings, and tells its consumers. Says how many messages went with it.
    pub(crate) fn delete_queue(&mut self, name: &str) -> usize {
        let Some(queue) = self.queues.remove(name) else { return 0 };
        for key in &queue.consumers {
            let Some(connection) = self.connections.get_mut(&key.connection) else { continue };
            if let Some(channel) = connection.channels.get_mut(&key.channel) {
                channel.consumers.remove(&key.tag);
                let cancel = basic::Cancel { consumer_tag: key.tag.as_ref().into(), nowait: true };
                connection.say(key.channel, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
            }
        }
        let target = Target::Queue(name.to_owned());
        let mut abandoned = Vec::new();
        for (exchange_name, exchange) in &mut self.exchanges {
            if exchange.forget(&target) && exchange.auto_delete && exchange.is_unused() {
                abandoned.push(exchange_name.clone());
            }
        }
        abandoned.iter().for_each(|name| self.delete_exchange(name));
        queue.ready_count()
    }

    /// Deletes an exchange and every binding that leads to it.
    pub(crate) fn delete_exchange(&mut self, name: &str) {
        self.exchanges.remove(name);
        let target = Target::Exchange(name.to_owned());
        for exchange in self.exchanges.values_mut() {
            exchange.forget(&target);
        }
    }

    /// What a restart of the node leaves: nothing after a wipe, else what is durable.
    pub(crate) fn restart(&mut self, wipe: bool) {
        self.cut_all();
        let gone = |durable: bool| wipe || !durable;
        let queues = self.queues.iter().filter(|(_, queue)| gone(queue.durable));
        for name in queues.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.delete_queue(&name);
        }
        let exchanges = self.exchanges.iter().filter(|(_, exchange)| gone(exchange.durable));
        for name in exchanges.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.delete_exchange(&name);
        }
        self.queues.values_mut().for_each(Queue::forget_transient);
        self.predeclare();
    }

    pub(crate) fn depth(&self, name: &str) -> Option<QueueDepth> {
        let queue = self.queues.get(name)?;
        Some(QueueDepth {
            ready: queue.ready_count(),
            unacked: queue.unacked,
            consumers: queue.consumers.len(),
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let names = self.queues.keys();
        let channels =
            || self.connections.values().flat_map(|connection| connection.channels.values());
        Snapshot {
            connections: self
                .connections
                .values()
                .filter(|connection| connection.phase == Phase::Running)
                .count(),
            channels: channels().filter(|channel| !channel.is_closing).count(),
            blocked: self.connections.values().filter(|connection| connection.is_blocked).count(),
            queues: names.filter_map(|name| Some((name.to_string(), self.depth(name)?))).collect(),
            accepted: self.counters.accepted,
            stored: self.counters.stored,
            confirmed: self.counters.confirmed,
            refused: self.counters.refused,
            returned: self.counters.returned,
            delivered: self.counters.delivered,
            acked: self.counters.acked,
            held_confirms: channels().map(|channel| channel.held.len()).sum(),
        }
    }
}
