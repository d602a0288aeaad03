//! From `basic.publish` to the queues, and the confirms on the way back.

use crate::channel::{Channel, Incoming};
use crate::codec::{ContentHead, put_confirm, put_content, put_method};
use crate::errors::Failure;
use crate::exchange::Target;
use crate::faults::{Answer, Release};
use crate::message::{Entry, Message};
use crate::queue::Pushed;
use crate::state::State;
use amq_protocol::protocol::{AMQPClass, basic};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const NO_ROUTE: u16 = 312;

impl State {
    pub(crate) fn on_publish(
        &mut self,
        id: u64,
        number: u16,
        publish: basic::Publish,
    ) -> Result<(), Failure> {
        if publish.immediate {
            return Err(Failure::not_implemented("immediate=true"));
        }
        let name = publish.exchange.as_str();
        match self.exchanges.get(name) {
            Some(exchange) if exchange.internal => {
                return Err(Failure::access_refused(&format!(
                    "cannot publish to internal exchange '{name}' in vhost '/'"
                )));
            }
            None if !name.is_empty() => return Err(Failure::no_exchange(name)),
            Some(_) | None => {}
        }
        self.channel(id, number)?.incoming =
            Some(Incoming { publish, head: None, body: BytesMut::new() });
        self.block_if_alarmed(id);
        Ok(())
    }

    pub(crate) fn on_head(
        &mut self,
        id: u64,
        number: u16,
        head: ContentHead,
    ) -> Result<(), Failure> {
        let bytes_max = self.config.message_bytes_max;
        let channel = self.channel(id, number)?;
        let Some(incoming) = channel.incoming.as_mut().filter(|incoming| incoming.head.is_none())
        else {
            return Err(Failure::unexpected_frame("a content header that no publish announced"));
        };
        if head.body_bytes > bytes_max {
            let text = format!(
                "message size {} is larger than configured max size {bytes_max}",
                head.body_bytes
            );
            return Err(Failure::precondition(&text));
        }
        read_time_to_live(&head)?;
        incoming.head = Some(head);
        self.finish_publish(id, number)
    }

    pub(crate) fn on_body(&mut self, id: u64, number: u16, chunk: Bytes) -> Result<(), Failure> {
        let Some(Incoming { head: Some(head), body, .. }) =
            self.channel(id, number)?.incoming.as_mut()
        else {
            return Err(Failure::unexpected_frame("a body that no content header announced"));
        };
        if (body.len() + chunk.len()) as u64 > head.body_bytes {
            return Err(Failure::frame("more body than the content header announced"));
        }
        if body.is_empty() {
            *body = BytesMut::from(chunk);
        } else {
            body.extend_from_slice(&chunk);
        }
        self.finish_publish(id, number)
    }

    fn finish_publish(&mut self, id: u64, number: u16) -> Result<(), Failure> {
        let channel = self.channel(id, number)?;
        let is_whole = |incoming: &mut Incoming| {
            incoming.head.as_ref().is_some_and(|head| head.body_bytes == incoming.body.len() as u64)
        };
        let Some(Incoming { publish, head: Some(head), body }) = channel.incoming.take_if(is_whole)
        else {
            return Ok(());
        };
        let confirm = channel.confirms.as_mut().map(|latest| {
            *latest += 1;
            *latest
        });
        // Checked again: the exchange may have been deleted while the content was under way.
        let (exchange, routing_key) =
            (publish.exchange.to_string(), publish.routing_key.to_string());
        let answer = self.orders.answer_to(&exchange, &routing_key);
        let targets = match answer {
            Some(_) => BTreeSet::new(),
            None => self.route(&exchange, &routing_key)?,
        };
        let time_to_live = read_time_to_live(&head)?;
        let body = body.freeze();
        let message = Arc::new(Message { exchange, routing_key, head, body, time_to_live });
        let is_ack = match answer {
            Some(Answer::Nack) => false,
            Some(Answer::Return) | None => {
                if targets.is_empty() && publish.mandatory {
                    self.return_message(id, number, &message)?;
                }
                self.store(&message, targets)
            }
        };
        if let Some(tag) = confirm {
            self.confirm(id, number, tag, is_ack)?;
        }
        Ok(())
    }

    /// The queues that a routing key leads to, through bound exchanges as well.
    pub(crate) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
    ) -> Result<BTreeSet<Arc<str>>, Failure> {
        let mut queues = BTreeSet::new();
        if exchange.is_empty() {
            queues.extend(self.queues.get_key_value(routing_key).map(|(name, _)| name.clone()));
            return Ok(queues);
        }
        if !self.exchanges.contains_key(exchange) {
            return Err(Failure::no_exchange(exchange));
        }
        let (mut seen, mut open) = (HashSet::from([exchange]), vec![exchange]);
        while let Some(exchange) = open.pop().and_then(|name| self.exchanges.get(name)) {
            for target in exchange.targets(routing_key) {
                match target {
                    Target::Queue(name) => queues.extend(
                        self.queues.get_key_value(name.as_str()).map(|(name, _)| name.clone()),
                    ),
                    Target::Exchange(name) if seen.insert(name) => open.push(name),
                    Target::Exchange(_) => {}
                }
            }
        }
        Ok(queues)
    }

    /// Puts a message into its queues; false if one of them refused it.
    fn store(&mut self, message: &Arc<Message>, targets: BTreeSet<Arc<str>>) -> bool {
        let due = self.orders.delay.map(|delay| Instant::now() + delay);
        let (mut is_taken, mut is_stored) = (true, false);
        for name in targets {
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            match queue.push(Entry::new(message.clone(), due)) {
                Pushed::Stored => is_stored = true,
                Pushed::Overflowed(dropped) => {
                    is_stored = true;
                    self.dead_letter(&name, dropped, "maxlen");
                }
                Pushed::Refused => is_taken = false,
            }
            self.dirty.insert(name);
        }
        if is_stored {
            self.counters.stored += 1;
            self.orders.count_stored();
        }
        is_taken
    }

    fn return_message(&mut self, id: u64, number: u16, message: &Message) -> Result<(), Failure> {
        self.counters.returned += 1;
        let connection = self.connection(id)?;
        let returned = basic::Return {
            reply_code: NO_ROUTE,
            reply_text: "NO_ROUTE".into(),
            exchange: message.exchange.as_str().into(),
            routing_key: message.routing_key.as_str().into(),
        };
        put_method(
            &mut connection.out,
            number,
            AMQPClass::Basic(basic::AMQPMethod::Return(returned)),
        );
        let properties = &message.head.properties;
        put_content(
            &mut connection.out,
            number,
            properties,
            &message.body,
            connection.frame_bytes_max,
        );
        Ok(())
    }

    fn confirm(&mut self, id: u64, number: u16, tag: u64, is_ack: bool) -> Result<(), Failure> {
        let (holds, coalesces) = (self.orders.holds_confirms, self.orders.coalesces_confirms);
        // Once a publish has brought about a cut, its confirm must never leave.
        if holds || coalesces || self.orders.cut_now {
            self.channel(id, number)?.held.push((tag, is_ack));
            if coalesces && !holds {
                self.coalescing.insert((id, number));
            }
            return Ok(());
        }
        self.counters.confirmed += u64::from(is_ack);
        self.counters.refused += u64::from(!is_ack);
        put_confirm(&mut self.connection(id)?.out, number, tag, is_ack, false);
        Ok(())
    }

    /// Sends the confirms that one channel holds back.
    pub(crate) fn release_confirms(&mut self, id: u64, number: u16, release: Release) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(Channel { held, .. }) = connection.channels.get_mut(&number) else { return };
        let mut held = std::mem::take(held);
        self.counters.confirmed += held.iter().filter(|(_, is_ack)| *is_ack).count() as u64;
        self.counters.refused += held.iter().filter(|(_, is_ack)| !is_ack).count() as u64;
        match release {
            Release::InOrder => {}
            Release::Reversed => held.reverse(),
            Release::Multiple => {
                for run in held.chunk_by(|(_, before), (_, after)| before == after) {
                    if let Some((tag, is_ack)) = run.last() {
                        put_confirm(&mut connection.out, number, *tag, *is_ack, true);
                    }
                }
                held.clear();
            }
        }
        for (tag, is_ack) in held {
            put_confirm(&mut connection.out, number, tag, is_ack, false);
        }
        connection.wake.notify_one();
    }
}

/// The time to live that `expiration` asks for; what is no number is refused, as by RabbitMQ.
fn read_time_to_live(head: &ContentHead) -> Result<Option<Duration>, Failure> {
    let Some(expiration) = head.expiration.as_deref() else { return Ok(None) };
    let milliseconds: u32 = expiration
        .parse()
        .map_err(|_| Failure::precondition(&format!("invalid expiration '{expiration}'")))?;
    Ok(Some(Duration::from_millis(milliseconds.into())))
}
