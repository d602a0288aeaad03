//! Dead-lettering: a message leaves its queue for the queue's dead-letter exchange, with its history in `x-death`.
//!
//! Source: RabbitMQ, "Dead Letter Exchanges". A message that would come back to a queue it already died in, without
//! having been rejected, is dropped, so that two full queues cannot pass messages back and forth for ever.

use crate::message::{Entry, Message, integer, text, with_headers, without_expiration};
use crate::queue::Pushed;
use crate::state::State;
use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, LongString};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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

    /// Sends what left `queue` because of `reason` to the queue's dead-letter exchange, if it has one.
    pub(crate) fn dead_letter(&mut self, queue: &str, entries: Vec<Entry>, reason: &'static str) {
        let mut open: VecDeque<(String, Entry, &'static str)> =
            entries.into_iter().map(|entry| (queue.to_owned(), entry, reason)).collect();
        while let Some((queue, entry, reason)) = open.pop_front() {
            let settings = self.queues.get(queue.as_str()).map(|queue| &queue.settings);
            let Some((exchange, key)) = settings.and_then(|settings| settings.dead_letter.clone())
            else {
                continue;
            };
            let routing_key = key.unwrap_or_else(|| entry.message.routing_key.clone());
            // An exchange that does not exist loses the message, as in RabbitMQ.
            let Ok(targets) = self.route(&exchange, &routing_key) else { continue };
            let (head, deaths) = dead_head(&queue, &entry.message, reason);
            let body = entry.message.body.clone();
            let message =
                Arc::new(Message { exchange, routing_key, head, body, time_to_live: None });
            for name in targets {
                let is_cycle =
                    reason != "rejected" && deaths.iter().any(|died_in| **died_in == *name);
                let Some(target) = self.queues.get_mut(&name).filter(|_| !is_cycle) else {
                    continue;
                };
                if let Pushed::Overflowed(dropped) = target.push(Entry::new(message.clone(), None))
                {
                    open.extend(
                        dropped.into_iter().map(|entry| (name.to_string(), entry, "maxlen")),
                    );
                }
                self.dirty.insert(name);
            }
        }
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
