//! What one channel of one connection holds: an unfinished publish, unacked deliveries, consumers, confirms.

use crate::codec::ContentHead;
use crate::errors::Failure;
use crate::message::Entry;
use amq_protocol::protocol::basic;
use bytes::BytesMut;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A publish whose content has not wholly come yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) publish: basic::Publish,
    pub(crate) head: Option<ContentHead>,
    pub(crate) body: BytesMut,
}

/// A delivery that waits to be settled.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) queue: Arc<str>,
    pub(crate) queue_id: u64,
    pub(crate) position: u64,
    /// `None` once the broker took the message back by itself: the client's answer then changes nothing.
    pub(crate) entry: Option<Entry>,
    /// `None` for `basic.get`.
    pub(crate) consumer: Option<Arc<str>>,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) queue: Arc<str>,
    pub(crate) no_ack: bool,
    pub(crate) prefetch: u16,
    pub(crate) unacked: usize,
}

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// Number of the latest publish, once confirms are selected.
    pub(crate) confirms: Option<u64>,
    /// Confirms that an order holds back: number, and whether it is an ack.
    pub(crate) held: Vec<(u64, bool)>,
    pub(crate) unacked: BTreeMap<u64, Unacked>,
    pub(crate) consumers: HashMap<Arc<str>, Consumer>,
    pub(crate) incoming: Option<Incoming>,
    /// The queue that an empty name means.
    pub(crate) last_queue: String,
    /// Prefetch of consumers to come.
    pub(crate) prefetch: u16,
    /// Prefetch that all consumers share (`global`).
    pub(crate) shared_prefetch: u16,
    /// True after this side closed it: everything is ignored until the client agrees.
    pub(crate) is_closing: bool,
    shared_unacked: usize,
    last_tag: u64,
}

impl Channel {
    /// A channel that this side has closed.
    pub(crate) fn closing() -> Self {
        Self { is_closing: true, ..Self::default() }
    }

    /// Whether `tag` may be given one more message.
    pub(crate) fn can_take(&self, tag: &str) -> bool {
        let Some(consumer) = self.consumers.get(tag) else { return false };
        let below =
            |prefetch: u16, unacked: usize| prefetch == 0 || unacked < usize::from(prefetch);
        !self.is_closing
            && (consumer.no_ack
                || (below(consumer.prefetch, consumer.unacked)
                    && below(self.shared_prefetch, self.shared_unacked)))
    }

    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    pub(crate) fn remember(&mut self, tag: u64, unacked: Unacked) {
        if let Some(consumer) = unacked.consumer.as_ref() {
            self.shared_unacked += 1;
            if let Some(consumer) = self.consumers.get_mut(consumer) {
                consumer.unacked += 1;
            }
        }
        self.unacked.insert(tag, unacked);
    }

    /// The deliveries that an ack, nack or reject is about.
    pub(crate) fn take_unacked(
        &mut self,
        tag: u64,
        multiple: bool,
    ) -> Result<Vec<Unacked>, Failure> {
        let taken: Vec<Unacked> = match multiple {
            true if tag == 0 => std::mem::take(&mut self.unacked).into_values().collect(),
            true if tag <= self.last_tag
                && self.unacked.first_key_value().is_some_and(|(first, _)| *first <= tag) =>
            {
                let rest = self.unacked.split_off(&(tag + 1));
                std::mem::replace(&mut self.unacked, rest).into_values().collect()
            }
            true => return Err(unknown_tag(tag)),
            false => vec![self.unacked.remove(&tag).ok_or_else(|| unknown_tag(tag))?],
        };
        for name in taken.iter().filter_map(|unacked| unacked.consumer.as_ref()) {
            self.shared_unacked = self.shared_unacked.saturating_sub(1);
            if let Some(consumer) = self.consumers.get_mut(name) {
                consumer.unacked = consumer.unacked.saturating_sub(1);
            }
        }
        Ok(taken)
    }
}

fn unknown_tag(tag: u64) -> Failure {
    Failure::precondition(&format!("unknown delivery tag {tag}"))
}
