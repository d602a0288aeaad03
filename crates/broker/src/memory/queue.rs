//! One queue of the broker in memory, and the consumers that wait for it.
//!
//! A message keeps its position for life, so one that is given back stands where it stood.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::ledger::AckFrame;
use crate::message::{Delivery, DeliveryTag, OutMessage};
use crate::topology::{Queue, QueueKind};

/// A message in a queue.
pub(super) struct Entry {
    pub(super) message: Arc<OutMessage>,
    /// How often it was out and came back.
    returned_count: i64,
}

/// A queue: its settings, what is ready, and who listens.
pub(super) struct MemoryQueue {
    pub(super) settings: Queue,
    ready: BTreeMap<u64, Entry>,
    next_position: u64,
    /// The next to be served is in front. The front one alone is served where only one may be active.
    listeners: VecDeque<Listener>,
}

/// A consumer, as the broker sees it.
pub(super) struct Listener {
    pub(super) generation: u64,
    pub(super) link: u64,
    prefetch_count: usize,
    last_tag: u64,
    /// By tag: its position, and the message.
    unacked: BTreeMap<u64, (u64, Entry)>,
    inbox: mpsc::Sender<Delivery>,
}

impl Listener {
    /// With the end from which its deliveries are taken.
    pub(super) fn new(
        link: u64,
        generation: u64,
        prefetch_count: u16,
    ) -> (Self, mpsc::Receiver<Delivery>) {
        let prefetch_count = usize::from(prefetch_count.max(1));
        let (inbox, deliveries) = mpsc::channel(prefetch_count);
        let unacked = BTreeMap::new();
        (Self { generation, link, prefetch_count, last_tag: 0, unacked, inbox }, deliveries)
    }

    fn has_room(&self) -> bool {
        self.unacked.len() < self.prefetch_count
    }

    fn take(&mut self, position: u64, entry: Entry, kind: QueueKind) {
        self.last_tag += 1;
        let tag = DeliveryTag { generation: self.generation, number: self.last_tag };
        let redelivered = entry.returned_count > 0;
        let counted = (redelivered && kind == QueueKind::Quorum).then_some(entry.returned_count);
        let delivery = Delivery::in_memory(&entry.message, tag, redelivered, counted);
        self.unacked.insert(tag.number, (position, entry));
        // It is never full, since what is in it is unacked. Where nobody reads it any more the consumer was dropped:
        // the message comes back when its task has noticed.
        drop(self.inbox.try_send(delivery));
    }

    fn acked(&mut self, frame: AckFrame) {
        if frame.multiple {
            self.unacked = self.unacked.split_off(&(frame.tag + 1));
        } else {
            self.unacked.remove(&frame.tag);
        }
    }
}

impl MemoryQueue {
    pub(super) fn new(settings: Queue) -> Self {
        Self { settings, ready: BTreeMap::new(), next_position: 0, listeners: VecDeque::new() }
    }

    /// An argument that `other` would be declared with and this one was not, or the other way round.
    pub(super) fn differing_argument(&self, other: &Queue) -> Option<&'static str> {
        let arguments = |queue: &Queue| queue.arguments(queue.kind == QueueKind::Quorum);
        let (ours, theirs) = (arguments(&self.settings), arguments(other));
        let mut names = ours.keys().chain(theirs.keys());
        names.find(|name| ours.get(*name) != theirs.get(*name)).copied()
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn unacked_count(&self) -> usize {
        self.listeners.iter().map(|listener| listener.unacked.len()).sum()
    }

    pub(super) fn listener_count(&self) -> usize {
        self.listeners.len()
    }

    /// True where it refuses publishes. What is out does not count.
    pub(super) fn is_full(&self) -> bool {
        usize::try_from(self.settings.messages_max).is_ok_and(|max| self.ready.len() >= max)
    }

    /// Puts `message` behind all others.
    pub(super) fn push(&mut self, message: Arc<OutMessage>) {
        self.next_position += 1;
        self.ready.insert(self.next_position, Entry { message, returned_count: 0 });
        self.deliver();
    }

    pub(super) fn drain(&mut self) -> Vec<Arc<OutMessage>> {
        std::mem::take(&mut self.ready).into_values().map(|entry| entry.message).collect()
    }

    pub(super) fn listen(&mut self, listener: Listener) {
        self.listeners.push_back(listener);
        self.deliver();
    }

    /// Acts upon acks of a consumer. Those of one that is gone do nothing.
    pub(super) fn ack(&mut self, generation: u64, frames: &[AckFrame]) {
        let listener = self.listeners.iter_mut().find(|listener| listener.generation == generation);
        if let Some(listener) = listener {
            for frame in frames {
                listener.acked(*frame);
            }
            self.deliver();
        }
    }

    /// Ends the consumers of which `is_gone` is true: what they had not acked is ready again, before any of it goes to
    /// those that stay.
    pub(super) fn end_listeners(&mut self, is_gone: impl Fn(&Listener) -> bool) {
        let (gone, stay): (VecDeque<_>, _) =
            std::mem::take(&mut self.listeners).into_iter().partition(is_gone);
        self.listeners = stay;
        for listener in gone {
            for (position, mut entry) in listener.unacked.into_values() {
                entry.returned_count += 1;
                self.ready.insert(position, entry);
            }
        }
        self.deliver();
    }

    /// Hands out what is ready, as far as there is room.
    fn deliver(&mut self) {
        while let Some(first) = self.ready.first_entry() {
            let served = if self.settings.single_active_consumer {
                self.listeners.front_mut().filter(|listener| listener.has_room())
            } else {
                // Each in turn.
                let next = self.listeners.iter().position(Listener::has_room);
                next.and_then(|index| self.listeners.remove(index)).and_then(|listener| {
                    self.listeners.push_back(listener);
                    self.listeners.back_mut()
                })
            };
            let Some(listener) = served else { break };
            let (position, entry) = first.remove_entry();
            listener.take(position, entry, self.settings.kind);
        }
    }
}
