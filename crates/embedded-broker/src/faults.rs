//! Faults to order: what networks and real brokers do to clients, on demand and repeatable.
//!
//! Refuses to do what no real broker would: a message that was confirmed is never lost but by a wipe.

use crate::errors::Failure;
use crate::handle::Shared;
use crate::listener::Door;
use crate::queue::Queue;
use crate::state::State;
use std::sync::Arc;
use std::time::Duration;

/// In which form held confirms are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// One by one, oldest first.
    InOrder,
    /// One by one, newest first.
    Reversed,
    /// As few as possible, each for all before it (`multiple`).
    Multiple,
}

/// What a rule does to a publish.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Nack,
    Return,
}

#[derive(Debug)]
struct Rule {
    /// `None` is any.
    exchange: Option<String>,
    /// `None` is any.
    routing_key: Option<String>,
    /// `None` is for ever.
    left: Option<u64>,
    answer: Answer,
}

impl Rule {
    /// For the next publishes, wherever they go.
    const fn next(count: u64, answer: Answer) -> Self {
        Self { exchange: None, routing_key: None, left: Some(count), answer }
    }

    /// For every publish with this routing key.
    fn of_key(routing_key: &str, answer: Answer) -> Self {
        Self { exchange: None, routing_key: Some(routing_key.to_owned()), left: None, answer }
    }
}

/// The orders that stand.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) holds_confirms: bool,
    pub(crate) coalesces_confirms: bool,
    pub(crate) holds_deliveries: bool,
    pub(crate) delay: Option<Duration>,
    pub(crate) alarm: bool,
    pub(crate) mutes_heartbeats: bool,
    pub(crate) refuses_login: bool,
    pub(crate) cut_now: bool,
    cut_after: Option<u64>,
    rules: Vec<Rule>,
}

impl Orders {
    /// What was ordered for a publish with this routing key; uses the order up.
    pub(crate) fn answer_to(&mut self, exchange: &str, routing_key: &str) -> Option<Answer> {
        let is = |wanted: &Option<String>, one| wanted.as_deref().is_none_or(|name| name == one);
        let takes =
            |rule: &Rule| is(&rule.exchange, exchange) && is(&rule.routing_key, routing_key);
        let at = self.rules.iter().position(takes)?;
        let rule = self.rules.get_mut(at)?;
        let answer = rule.answer;
        rule.left = rule.left.map(|left| left.saturating_sub(1));
        if rule.left == Some(0) {
            self.rules.remove(at);
        }
        Some(answer)
    }

    /// A publish was stored: it may be the one after which the connections are cut.
    pub(crate) fn count_stored(&mut self) {
        self.cut_after = self.cut_after.map(|left| left.saturating_sub(1));
        if self.cut_after == Some(0) {
            self.cut_after = None;
            self.cut_now = true;
        }
    }
}

/// Gives orders to a broker. Every order works at once and stands until it is taken back, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn order(&self, order: impl FnOnce(&mut State)) {
        self.shared.change(order);
    }

    async fn set_door(&self, door: Door, listens: bool) {
        self.shared.door.send_replace(door);
        // An error means that the broker is stopped, and a stopped broker does not listen anyway.
        let mut seen = self.shared.listens.subscribe();
        tokio::select! {
            () = self.shared.stop.cancelled() => {}
            result = seen.wait_for(|now| *now == listens) => drop(result),
        }
    }

    /// Stops to listen: connecting is refused. Connections that stand are left alone. Returns once it is so.
    pub async fn listener_down(&self) {
        self.set_door(Door::Down, false).await;
    }

    /// Listens again on the same port and serves. Returns once it is so.
    pub async fn listener_up(&self) {
        self.set_door(Door::Open, true).await;
    }

    /// Accepts connections and closes them at once, until [`listener_up`](Self::listener_up).
    pub async fn accept_and_close(&self) {
        self.set_door(Door::Slams, true).await;
    }

    /// Accepts connections and says nothing, until [`listener_up`](Self::listener_up).
    pub async fn accept_silently(&self) {
        self.set_door(Door::Silent, true).await;
    }

    /// Cuts every connection, as a pulled plug does; unacked messages are requeued.
    pub fn cut_all(&self) {
        self.order(State::cut_all);
    }

    /// Cuts every connection after `count` more publishes were stored; the last one's confirm is not sent. Once.
    pub fn cut_after_stored(&self, count: u64) {
        self.order(|state| {
            state.orders.cut_after = Some(count).filter(|count| *count > 0);
            state.orders.cut_now |= count == 0;
        });
    }

    /// Neither reads nor writes any more, but keeps the connections open: a half-open peer.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Ends a [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }

    /// Sends no heartbeats.
    pub fn mute_heartbeats(&self, mutes: bool) {
        self.order(|state| state.orders.mutes_heartbeats = mutes);
    }

    /// Raises the memory alarm: a connection that publishes from now on is told `connection.blocked`, and nothing
    /// more is read from it, its publish included, as RabbitMQ does.
    pub fn block(&self) {
        self.order(|state| state.orders.alarm = true);
    }

    /// Ends the alarm; blocked connections are told `connection.unblocked`.
    pub fn unblock(&self) {
        self.order(|state| state.orders.alarm = false);
    }

    /// Holds confirms back until they are released.
    pub fn hold_confirms(&self) {
        self.order(|state| state.orders.holds_confirms = true);
    }

    /// Sends the held confirms and holds no more.
    pub fn release_confirms(&self, release: Release) {
        self.order(|state| {
            state.orders.holds_confirms = false;
            let channels = state
                .connections
                .iter()
                .flat_map(|(id, of)| of.channels.keys().map(|number| (*id, *number)));
            for (id, number) in channels.collect::<Vec<_>>() {
                state.release_confirms(id, number, release);
            }
        });
    }

    /// Confirms what came together with one `multiple`; returns then stand before the confirms of later messages.
    pub fn coalesce_confirms(&self, coalesces: bool) {
        self.order(|state| state.orders.coalesces_confirms = coalesces);
    }

    /// Nacks the next `count` publishes; they are not stored.
    pub fn nack_next(&self, count: u64) {
        self.add_rule(Rule::next(count, Answer::Nack));
    }

    /// Nacks every publish with this routing key, until [`clear_rules`](Self::clear_rules).
    pub fn nack_routing_key(&self, routing_key: &str) {
        self.add_rule(Rule::of_key(routing_key, Answer::Nack));
    }

    /// The same for what is published to this exchange, and not for what others have by that key.
    pub fn nack_at_exchange(&self, exchange: &str, routing_key: &str) {
        let exchange = Some(exchange.to_owned());
        self.add_rule(Rule { exchange, ..Rule::of_key(routing_key, Answer::Nack) });
    }

    /// Treats the next `count` publishes as unroutable: mandatory ones are returned.
    pub fn return_next(&self, count: u64) {
        self.add_rule(Rule::next(count, Answer::Return));
    }

    /// Treats every publish with this routing key as unroutable, until [`clear_rules`](Self::clear_rules).
    pub fn return_routing_key(&self, routing_key: &str) {
        self.add_rule(Rule::of_key(routing_key, Answer::Return));
    }

    /// Takes back all orders to nack and to return.
    pub fn clear_rules(&self) {
        self.order(|state| state.orders.rules.clear());
    }

    fn add_rule(&self, rule: Rule) {
        // What was ordered for none of the next stands in nobody's way.
        if rule.left != Some(0) {
            self.order(|state| state.orders.rules.push(rule));
        }
    }

    /// Stores, but delivers to no consumer until [`release_deliveries`](Self::release_deliveries).
    pub fn hold_deliveries(&self) {
        self.order(|state| state.orders.holds_deliveries = true);
    }

    /// Delivers again.
    pub fn release_deliveries(&self) {
        self.order(|state| {
            state.orders.holds_deliveries = false;
            deliver_all(state);
        });
    }

    /// Delivers every message stored from now on only after `delay`; `None` ends it, for stored messages as well.
    pub fn delay_deliveries(&self, delay: Option<Duration>) {
        self.order(|state| {
            state.orders.delay = delay;
            if delay.is_none() {
                state.queues.values_mut().for_each(Queue::make_due);
                deliver_all(state);
            }
        });
    }

    /// Closes every open channel with this code and text. Soft codes: 311, 313, 403 to 406.
    pub fn close_channels(&self, code: u16, text: &str) {
        let failure = Failure::new(code, text);
        self.order(|state| {
            let channels = state
                .connections
                .iter()
                .flat_map(|(id, of)| of.channels.keys().map(|number| (*id, *number)));
            for (id, number) in channels.collect::<Vec<_>>() {
                state.close_channel(id, number, &failure);
            }
        });
    }

    /// Closes every connection with this code and text, for example 320 for an operator's order.
    pub fn close_connections(&self, code: u16, text: &str) {
        let failure = Failure::new(code, text);
        self.order(|state| {
            let ids: Vec<u64> = state.connections.keys().copied().collect();
            ids.into_iter().for_each(|id| state.close_connection(id, &failure));
        });
    }

    /// Deletes a queue with what it holds; its consumers are told `basic.cancel`.
    pub fn delete_queue(&self, queue: &str) {
        self.order(|state| {
            state.delete_queue(queue);
        });
    }

    /// Refuses every login with 403.
    pub fn refuse_login(&self, refuses: bool) {
        self.order(|state| state.orders.refuses_login = refuses);
    }

    /// Takes every unacked message back and delivers it again, without a word to those who hold it; what they answer
    /// is ignored. Quorum queues do this when they lose sight of the consumer's node.
    pub fn redeliver_unacked(&self) {
        self.order(State::redeliver_unacked);
    }

    /// Restarts the node: connections are cut, what is not durable is gone; with `wipe` everything is.
    pub fn restart(&self, wipe: bool) {
        self.order(|state| state.restart(wipe));
    }
}

fn deliver_all(state: &mut State) {
    let names: Vec<_> = state.queues.keys().cloned().collect();
    state.dirty.extend(names);
}
