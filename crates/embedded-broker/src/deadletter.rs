//! Dead-lettering: a message leaves its queue for the queue's dead-letter exchange, with its history in `x-death`.
//!
//! Source: RabbitMQ, "Dead Letter Exchanges" and, for `at-least-once`, "Quorum Queues". A message that would come back to a queue it already died in, without
//! having been rejected, is dropped, so that two full queues cannot pass messages back and forth for ever.

use crate::message::{Entry, Message, integer, text, with_headers, without_expiration};
use crate::queue::{Pushed, Queue};
use crate::state::State;
use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, LongString};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A message that has left its queue, and why.
struct Death {
    queue: String,
    entry: Entry,
    reason: &'static str,
}

impl State {
    /// Dead-letters what has expired at the head of a queue, and has the clock wake for what will.
    pub(crate) fn expire(&mut self, name: &Arc<str>) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        let expired = queue.take_expired();
        if let Some(expires) = queue.first().and_then(|first| first.expires) {
            self.next_due = Some(self.next_due.map_or(expires, |due| due.min(expires)));
        }
        if !expired.is_empty() {
            // What stands first now may be delivered.
            self.dirty.insert(name.clone());
            self.dead_letter(name, expired, "expired");
        }
    }

    /// Sends what left `queue` because of `reason` to the queue's dead-letter exchange, if it has one. Where the queue
    /// does so at least once, what finds no place waits in the queue.
    pub(crate) fn dead_letter(&mut self, queue: &str, entries: Vec<Entry>, reason: &'static str) {
        let mut open: VecDeque<Death> = entries
            .into_iter()
            .map(|entry| Death { queue: queue.to_owned(), entry, reason })
            .collect();
        while let Some(death) = open.pop_front() {
            if let Some(kept) = self.bury(death, &mut open)
                && let Some(queue) = self.queues.get_mut(kept.queue.as_str())
            {
                queue.park(kept.entry, kept.reason);
            }
        }
    }

    /// Tries again to send the dead letters that wait in their queues. True if one went.
    pub(crate) fn retry_parked(&mut self) -> bool {
        let waiting = self.queues.iter().filter(|(_, queue)| queue.has_parked());
        let mut moved = false;
        for name in waiting.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            while let Some((entry, reason)) = self.queues.get_mut(&name).and_then(Queue::unpark) {
                let mut open = VecDeque::new();
                let death = Death { queue: name.to_string(), entry, reason };
                if let Some(kept) = self.bury(death, &mut open) {
                    if let Some(queue) = self.queues.get_mut(&name) {
                        queue.park_first(kept.entry, kept.reason);
                    }
                    break;
                }
                moved = true;
                for overflowed in open {
                    self.dead_letter(&overflowed.queue, vec![overflowed.entry], overflowed.reason);
                }
            }
        }
        moved
    }

    /// One death. Adds to `open` what it pushed out of other queues; gives it back if it has to wait.
    fn bury(&mut self, death: Death, open: &mut VecDeque<Death>) -> Option<Death> {
        let queue = self.queues.get(death.queue.as_str())?;
        let at_least_once = queue.settings.dead_letters_at_least_once;
        let (exchange, key) = queue.settings.dead_letter.clone()?;
        let routing_key = key.unwrap_or_else(|| death.entry.message.routing_key.clone());
        // Without at-least-once, an exchange that does not exist loses the message, as in RabbitMQ.
        let targets = self.route(&exchange, &routing_key).unwrap_or_default();
        let bytes = death.entry.message.stored_bytes();
        let is_full = |name: &Arc<str>| {
            self.queues.get(name).is_some_and(|target| target.would_refuse(bytes))
        };
        if at_least_once && (targets.is_empty() || targets.iter().any(is_full)) {
            return Some(death);
        }
        let (head, died_in) = dead_head(&death.queue, &death.entry.message, death.reason);
        let body = death.entry.message.body.clone();
        let message = Arc::new(Message { exchange, routing_key, head, body, time_to_live: None });
        for name in targets {
            let is_cycle = death.reason != "rejected" && died_in.iter().any(|dead| **dead == *name);
            let Some(target) = self.queues.get_mut(&name).filter(|_| !is_cycle) else { continue };
            if let Pushed::Overflowed(dropped) = target.push(Entry::new(message.clone(), None)) {
                open.extend(dropped.into_iter().map(|entry| Death {
                    queue: name.to_string(),
                    entry,
                    reason: "maxlen",
                }));
            }
            self.dirty.insert(name);
        }
        None
    }
}

/// The content header with this death added, and the queues that the message has died in.
fn dead_head(
    queue: &str,
    message: &Message,
    reason: &str,
) -> (crate::codec::ContentHead, Vec<String>) {
    let mut died_in = Vec::new();
    let mut head = message.head.clone();
    // Else it would expire again in the next queue. It stays in `x-death`.
    head.expiration = None;
    head.properties = with_headers(&without_expiration(&head.properties), |headers| {
        let mut deaths: Vec<FieldTable> = match headers.inner().get("x-death") {
            Some(AMQPValue::FieldArray(list)) => {
                list.as_slice().iter().filter_map(|v| v.as_field_table().cloned()).collect()
            }
            Some(_) | None => Vec::new(),
        };
        let field = |death: &FieldTable, name: &str| death.inner().get(name).and_then(text);
        let known = deaths.iter().position(|death| {
            field(death, "queue").as_deref() == Some(queue)
                && field(death, "reason").as_deref() == Some(reason)
        });
        let mut death = match known {
            Some(at) => deaths.remove(at),
            None => new_death(queue, message, reason),
        };
        let count = death.inner().get("count").and_then(integer).unwrap_or(0);
        death.insert("count".into(), AMQPValue::LongLongInt(count + 1));
        deaths.insert(0, death);
        died_in = deaths.iter().filter_map(|death| field(death, "queue")).collect();
        if !headers.contains_key("x-first-death-queue") {
            headers.insert("x-first-death-queue".into(), string(queue));
            headers.insert("x-first-death-reason".into(), string(reason));
            headers.insert("x-first-death-exchange".into(), string(&message.exchange));
        }
        let deaths: Vec<AMQPValue> = deaths.into_iter().map(AMQPValue::FieldTable).collect();
        headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(deaths)));
    });
    (head, died_in)
}

fn new_death(queue: &str, message: &Message, reason: &str) -> FieldTable {
    let mut death = FieldTable::default();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let keys = FieldArray::from(vec![string(&message.routing_key)]);
    death.insert("queue".into(), string(queue));
    death.insert("reason".into(), string(reason));
    death.insert("exchange".into(), string(&message.exchange));
    death.insert("routing-keys".into(), AMQPValue::FieldArray(keys));
    death.insert("time".into(), AMQPValue::Timestamp(seconds));
    if let Some(expiration) = message.head.expiration.as_deref() {
        death.insert("original-expiration".into(), string(expiration));
    }
    death
}

fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text.as_bytes().to_vec()))
}
