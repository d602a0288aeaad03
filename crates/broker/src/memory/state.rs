//! Everything that the broker in memory knows: exchanges, queues, links, and the faults that were ordered.
//!
//! Pure but for the channels into which deliveries are put. Invariant: what a link asks for after its end is not done.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use tokio::sync::mpsc;

use super::queue::{Listener, MemoryQueue};
use super::{Depth, PublishFault, topic};
use crate::browse::QueueDepth;
use crate::declare::{DeclareReport, DeclaredQueue};
use crate::errors::{BrokerFault, TopologyError};
use crate::ledger::AckFrame;
use crate::link::Shared;
use crate::message::{Delivery, OutMessage};
use crate::topology::{Binding, Queue, Topology};

#[derive(Default)]
pub(super) struct State {
    /// Each with its bindings.
    exchanges: BTreeMap<String, Vec<Binding>>,
    queues: BTreeMap<String, MemoryQueue>,
    links: BTreeMap<u64, Weak<Shared>>,
    last_link: u64,
    /// Publishes of all links so far.
    publish_count: u64,
    /// By the number of the publish that they are meant for, in the order in which they were given.
    faults: Vec<(u64, PublishFault)>,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stored,
    /// No queue is bound for it.
    Unroutable,
    /// One of its queues is full, or it was ordered so. Other queues of its may hold it.
    Refused,
    /// The channel is closed for it, and so the link is lost.
    NoSuchExchange,
    /// Every link is to be lost before it is confirmed.
    LoseLinks,
    /// Its link had ended.
    NotAttached,
}

impl Verdict {
    pub(super) fn is_stored(self) -> bool {
        self == Self::Stored
    }
}

pub(super) fn not_found(what: &str, name: &str) -> BrokerFault {
    BrokerFault::said(
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND),
        format!("NOT_FOUND - no {what} '{name}' in memory"),
    )
}

// -- links

impl State {
    pub(super) fn next_link(&mut self) -> u64 {
        self.last_link += 1;
        self.last_link
    }

    pub(super) fn attach(&mut self, link: u64, shared: Weak<Shared>) {
        self.links.insert(link, shared);
    }

    pub(super) fn detach(&mut self, link: u64) {
        self.links.remove(&link);
        for queue in self.queues.values_mut() {
            queue.end_listeners(|listener| listener.link == link);
        }
    }

    /// Ends all links, and says whom to tell.
    pub(super) fn detach_all(&mut self) -> Vec<Weak<Shared>> {
        for queue in self.queues.values_mut() {
            queue.end_listeners(|_| true);
        }
        std::mem::take(&mut self.links).into_values().collect()
    }

    pub(super) fn order(&mut self, fault: PublishFault, after: u64) {
        self.faults.push((self.publish_count.saturating_add(after).saturating_add(1), fault));
    }

    fn fault_of_this(&mut self) -> Option<PublishFault> {
        self.publish_count += 1;
        let due = self.faults.iter().position(|(number, _)| *number <= self.publish_count)?;
        Some(self.faults.remove(due).1)
    }
}

// -- messages

impl State {
    pub(super) fn publish(&mut self, link: u64, message: &Arc<OutMessage>) -> Verdict {
        if !self.links.contains_key(&link) {
            return Verdict::NotAttached;
        }
        match self.fault_of_this() {
            None => self.store(message),
            Some(PublishFault::Refuse) => Verdict::Refused,
            Some(PublishFault::StoreThenLose) => {
                self.store(message);
                Verdict::LoseLinks
            }
            Some(PublishFault::LoseFirst) => Verdict::LoseLinks,
        }
    }

    /// Puts a message into every queue that is bound for it.
    pub(super) fn store(&mut self, message: &Arc<OutMessage>) -> Verdict {
        let key = message.routing_key.as_str();
        let mut names = Vec::new();
        if message.exchange.is_empty() {
            names.push(key);
        } else {
            let Some(bindings) = self.exchanges.get(&message.exchange) else {
                return Verdict::NoSuchExchange;
            };
            let bound = bindings.iter().filter(|bound| topic::matches(&bound.routing_key, key));
            names.extend(bound.map(|bound| bound.queue.as_str()));
            // A queue that is bound twice takes it once.
            names.sort_unstable();
            names.dedup();
        }
        let mut verdict = Verdict::Unroutable;
        for name in names {
            let Some(queue) = self.queues.get_mut(name) else { continue };
            if queue.is_full() {
                verdict = Verdict::Refused;
                continue;
            }
            queue.push(Arc::clone(message));
            if verdict == Verdict::Unroutable {
                verdict = Verdict::Stored;
            }
        }
        verdict
    }

    pub(super) fn drain(&mut self, queue: &str) -> Vec<Arc<OutMessage>> {
        self.queues.get_mut(queue).map(MemoryQueue::drain).unwrap_or_default()
    }

    pub(super) fn depths(&self) -> BTreeMap<String, Depth> {
        let depth = |queue: &MemoryQueue| Depth {
            ready: queue.ready_count(),
            unacked: queue.unacked_count(),
        };
        self.queues.iter().map(|(name, queue)| (name.clone(), depth(queue))).collect()
    }

    pub(super) fn depth(&self, queue: &str) -> Option<QueueDepth> {
        let queue = self.queues.get(queue)?;
        Some(QueueDepth {
            messages: number(queue.ready_count()),
            consumers: number(queue.listener_count()),
        })
    }

    /// `None` where there is no such queue.
    pub(super) fn consume(
        &mut self,
        link: u64,
        queue: &str,
        generation: u64,
        prefetch_count: u16,
    ) -> Option<mpsc::Receiver<Delivery>> {
        let queue = self.queues.get_mut(queue)?;
        let (listener, deliveries) = Listener::new(link, generation, prefetch_count);
        // The consumer of a link that has ended hears nothing but that end.
        if self.links.contains_key(&link) {
            queue.listen(listener);
        }
        Some(deliveries)
    }

    pub(super) fn ack(&mut self, queue: &str, generation: u64, frames: &[AckFrame]) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.ack(generation, frames);
        }
    }

    pub(super) fn end_consumer(&mut self, queue: &str, generation: u64) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.end_listeners(|listener| listener.generation == generation);
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

// -- topology

impl State {
    pub(super) fn declare(&mut self, topology: &Topology) -> Result<DeclareReport, TopologyError> {
        for exchange in &topology.exchanges {
            self.exchanges.entry(exchange.name.clone()).or_default();
        }
        let mut report = DeclareReport::default();
        for settings in &topology.queues {
            report.queues.push(self.declare_queue(settings)?);
        }
        for binding in &topology.bindings {
            self.bind(binding)?;
        }
        Ok(report)
    }

    fn declare_queue(&mut self, settings: &Queue) -> Result<DeclaredQueue, TopologyError> {
        let name = settings.name.clone();
        let fresh = || MemoryQueue::new(settings.clone());
        let queue = self.queues.entry(name.clone()).or_insert_with(fresh);
        if let Some(argument) = queue.differing_argument(settings) {
            let text = format!("PRECONDITION_FAILED - inequivalent arg '{argument}' for {name}");
            let kind = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
            let fault = BrokerFault::said(kind, text);
            return Err(TopologyError::QueueDiffers { queue: name, fault });
        }
        let (messages, consumers) = (number(queue.ready_count()), number(queue.listener_count()));
        Ok(DeclaredQueue { name, kind: settings.kind, messages, consumers })
    }

    fn bind(&mut self, binding: &Binding) -> Result<(), TopologyError> {
        let refused = |what, name| {
            let fault = not_found(what, name);
            Err(TopologyError::Refused { name: binding.queue.clone(), fault })
        };
        if !self.queues.contains_key(&binding.queue) {
            return refused("queue", &binding.queue);
        }
        let Some(bindings) = self.exchanges.get_mut(&binding.exchange) else {
            return refused("exchange", &binding.exchange);
        };
        if !bindings.contains(binding) {
            bindings.push(binding.clone());
        }
        Ok(())
    }

    /// Consumers of a queue that is deleted hear of its end.
    pub(super) fn undeclare(&mut self, topology: &Topology) {
        for queue in &topology.queues {
            self.queues.remove(&queue.name);
            for bindings in self.exchanges.values_mut() {
                bindings.retain(|binding| binding.queue != queue.name);
            }
        }
        for exchange in &topology.exchanges {
            self.exchanges.remove(&exchange.name);
        }
    }
}
