//! One queue: its messages in order, its bounds, and the consumers that wait for it.
//!
//! A message keeps its position for life, so one that is requeued stands where it stood. Pure but for the clock that
//! the caller passes.

use crate::errors::Failure;
use crate::message::{Entry, integer, text};
use amq_protocol::types::FieldTable;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Names one consumer of the whole broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerKey {
    pub(crate) connection: u64,
    pub(crate) channel: u16,
    pub(crate) tag: Arc<str>,
}

/// What the arguments of a declaration ask for.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) is_quorum: bool,
    pub(crate) single_active: bool,
    pub(crate) delivery_limit: Option<u32>,
    /// Exchange and, where one is given, the routing key.
    pub(crate) dead_letter: Option<(String, Option<String>)>,
    /// A dead letter waits in its queue until every queue that it is routed to, and one at least, takes it.
    pub(crate) dead_letters_at_least_once: bool,
    /// How long messages stay that name no shorter time.
    time_to_live: Option<Duration>,
    length_max: Option<u64>,
    bytes_max: Option<u64>,
    rejects_publish: bool,
}

impl Settings {
    /// Reads the arguments; those that RabbitMQ knows and this broker does not act upon are accepted.
    pub(crate) fn parse(
        arguments: &FieldTable,
        quorum_delivery_limit: Option<u32>,
    ) -> Result<Self, Failure> {
        let string = |name: &str| match arguments.inner().get(name) {
            None => Ok(None),
            Some(value) => text(value).map(Some).ok_or_else(|| invalid(name)),
        };
        let number = |name: &str| match arguments.inner().get(name) {
            None => Ok(None),
            Some(value) => match integer(value).map(u64::try_from) {
                Some(Ok(number)) => Ok(Some(number)),
                Some(Err(_)) | None => Err(invalid(name)),
            },
        };
        let is_quorum = match string("x-queue-type")?.as_deref() {
            None | Some("classic") => false,
            Some("quorum") => true,
            Some(_) => return Err(invalid("x-queue-type")),
        };
        let rejects_publish = match string("x-overflow")?.as_deref() {
            None | Some("drop-head") => false,
            Some("reject-publish") => true,
            Some(_) => return Err(invalid("x-overflow")),
        };
        let at_least_once = match string("x-dead-letter-strategy")?.as_deref() {
            None | Some("at-most-once") => false,
            // A queue that may drop falls back to at-most-once, as in RabbitMQ.
            Some("at-least-once") => is_quorum && rejects_publish,
            Some(_) => return Err(invalid("x-dead-letter-strategy")),
        };
        let single_active = match arguments.inner().get("x-single-active-consumer") {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| invalid("x-single-active-consumer"))?,
        };
        let own_limit =
            number("x-delivery-limit")?.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
        let dead_letter_key = string("x-dead-letter-routing-key")?;
        let dead_letter = match string("x-dead-letter-exchange")? {
            Some(exchange) => Some((exchange, dead_letter_key)),
            None if dead_letter_key.is_some() => return Err(invalid("x-dead-letter-routing-key")),
            None => None,
        };
        Ok(Self {
            is_quorum,
            single_active,
            delivery_limit: if is_quorum { own_limit.or(quorum_delivery_limit) } else { None },
            dead_letter,
            dead_letters_at_least_once: at_least_once,
            time_to_live: number("x-message-ttl")?.map(Duration::from_millis),
            length_max: number("x-max-length")?,
            bytes_max: number("x-max-length-bytes")?,
            rejects_publish,
        })
    }
}

fn invalid(name: &str) -> Failure {
    Failure::precondition(&format!("invalid arg '{name}' for queue"))
}

/// What became of a message that was offered to a queue.
#[derive(Debug)]
pub(crate) enum Pushed {
    Stored,
    /// Stored, and these oldest ones had to go.
    Overflowed(Vec<Entry>),
    /// The queue is full and refuses.
    Refused,
}

/// One queue. `bytes` counts ready and unacked messages.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Tells this queue from a later one of the same name.
    pub(crate) id: u64,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// The connection it belongs to, if it is exclusive.
    pub(crate) exclusive_to: Option<u64>,
    pub(crate) arguments: FieldTable,
    pub(crate) settings: Settings,
    pub(crate) unacked: usize,
    pub(crate) bytes: u64,
    pub(crate) consumers: VecDeque<ConsumerKey>,
    pub(crate) has_exclusive_consumer: bool,
    ready: BTreeMap<u64, Entry>,
    ready_bytes: u64,
    /// Dead letters that found no place yet, and why they died.
    parked: VecDeque<(Entry, &'static str)>,
    next_position: u64,
}

impl Queue {
    pub(crate) fn new(id: u64, arguments: FieldTable, settings: Settings) -> Self {
        Self {
            id,
            durable: false,
            auto_delete: false,
            exclusive_to: None,
            arguments,
            settings,
            unacked: 0,
            bytes: 0,
            consumers: VecDeque::new(),
            has_exclusive_consumer: false,
            ready: BTreeMap::new(),
            ready_bytes: 0,
            parked: VecDeque::new(),
            next_position: 0,
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// The oldest ready message.
    pub(crate) fn first(&self) -> Option<&Entry> {
        self.ready.first_key_value().map(|(_, entry)| entry)
    }

    /// Takes a new message, or refuses it, or drops the oldest for it.
    pub(crate) fn push(&mut self, mut entry: Entry) -> Pushed {
        let bytes = entry.message.stored_bytes();
        if self.would_refuse(bytes) {
            return Pushed::Refused;
        }
        let own = entry.message.time_to_live;
        let time_to_live = [own, self.settings.time_to_live].into_iter().flatten().min();
        entry.expires = time_to_live.and_then(|stays| Instant::now().checked_add(stays));
        self.ready.insert(self.next_position, entry);
        self.next_position += 1;
        self.ready_bytes += bytes;
        self.bytes += bytes;
        let mut dropped = Vec::new();
        while !self.settings.rejects_publish && self.exceeds(0, 0) {
            let Some((_, entry)) = self.take_first() else { break };
            self.settle(&entry);
            dropped.push(entry);
        }
        if dropped.is_empty() { Pushed::Stored } else { Pushed::Overflowed(dropped) }
    }

    /// Whether a message of this size would be refused now.
    pub(crate) fn would_refuse(&self, bytes: u64) -> bool {
        self.settings.rejects_publish && self.exceeds(1, bytes)
    }

    fn exceeds(&self, more: u64, more_bytes: u64) -> bool {
        let length = self.ready.len() as u64 + more;
        self.settings.length_max.is_some_and(|max| length > max)
            || self.settings.bytes_max.is_some_and(|max| self.ready_bytes + more_bytes > max)
    }

    /// Takes the oldest ready message to deliver it: it counts as unacked until it is settled or requeued.
    pub(crate) fn take_first(&mut self) -> Option<(u64, Entry)> {
        let (position, entry) = self.ready.pop_first()?;
        self.ready_bytes -= entry.message.stored_bytes();
        self.unacked += 1;
        Some((position, entry))
    }

    /// Keeps a dead letter until there is a place for it.
    pub(crate) fn park(&mut self, entry: Entry, reason: &'static str) {
        self.bytes += entry.message.stored_bytes();
        self.parked.push_back((entry, reason));
    }

    /// Puts back what [`unpark`](Self::unpark) took.
    pub(crate) fn park_first(&mut self, entry: Entry, reason: &'static str) {
        self.bytes += entry.message.stored_bytes();
        self.parked.push_front((entry, reason));
    }

    pub(crate) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Takes the oldest dead letter that waits.
    pub(crate) fn unpark(&mut self) -> Option<(Entry, &'static str)> {
        let (entry, reason) = self.parked.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.message.stored_bytes());
        Some((entry, reason))
    }

    /// Removes the expired messages at the head; one behind an unexpired message stays, as in RabbitMQ.
    pub(crate) fn take_expired(&mut self) -> Vec<Entry> {
        let mut expired = Vec::new();
        while self.first().is_some_and(Entry::is_expired) {
            let Some((_, entry)) = self.take_first() else { break };
            self.settle(&entry);
            expired.push(entry);
        }
        expired
    }

    /// A taken message has gone for good.
    pub(crate) fn settle(&mut self, entry: &Entry) {
        self.unacked = self.unacked.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.message.stored_bytes());
    }

    /// A taken message comes back to where it stood, or is given back because it came back too often.
    pub(crate) fn requeue(&mut self, position: u64, mut entry: Entry) -> Option<Entry> {
        entry.redelivered = true;
        entry.delivery_count = entry.delivery_count.saturating_add(1);
        if self.settings.delivery_limit.is_some_and(|limit| entry.delivery_count > limit) {
            self.settle(&entry);
            return Some(entry);
        }
        self.unacked = self.unacked.saturating_sub(1);
        self.ready_bytes += entry.message.stored_bytes();
        self.ready.insert(position, entry);
        None
    }

    /// Drops what is ready; says how many.
    pub(crate) fn purge(&mut self) -> usize {
        let count = self.ready.len();
        self.ready.clear();
        self.bytes -= self.ready_bytes;
        self.ready_bytes = 0;
        count
    }

    /// Drops the messages that a restart of the node does not keep.
    pub(crate) fn forget_transient(&mut self) {
        if !self.settings.is_quorum {
            self.ready.retain(|_, entry| entry.message.head.is_persistent);
            self.ready_bytes = self.ready.values().map(|entry| entry.message.stored_bytes()).sum();
            self.bytes = self.ready_bytes;
        }
    }

    /// Forgets an ordered delay: every message may go at once.
    pub(crate) fn make_due(&mut self) {
        self.ready.values_mut().for_each(|entry| entry.due = None);
    }

    /// Removes a consumer; true if it was there.
    pub(crate) fn detach(&mut self, key: &ConsumerKey) -> bool {
        let before = self.consumers.len();
        self.consumers.retain(|consumer| consumer != key);
        if self.consumers.is_empty() {
            self.has_exclusive_consumer = false;
        }
        self.consumers.len() < before
    }

    /// The consumer that gets the next message: in turn, or only ever the first with a single active consumer.
    pub(crate) fn next_consumer(
        &mut self,
        mut can_take: impl FnMut(&ConsumerKey) -> bool,
    ) -> Option<ConsumerKey> {
        if self.settings.single_active {
            return self.consumers.front().filter(|key| can_take(key)).cloned();
        }
        for _ in 0..self.consumers.len() {
            self.consumers.rotate_left(1);
            if let Some(key) = self.consumers.back()
                && can_take(key)
            {
                return Some(key.clone());
            }
        }
        None
    }
}
