//! The names and arguments of every exchange, queue and binding: the AMQP contract as code.
//!
//! Pure. Invariant: no argument lets the broker drop a message; a full queue refuses the publish instead.
//!
//! Source: RabbitMQ guides "Quorum queues" (delivery limit, at-least-once dead-lettering), "Queue length limit",
//! "Single active consumer".

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// How often a message may be delivered without an ack before the broker dead-letters it. RabbitMQ 4 defaults to 20,
/// and innocents that were prefetched through 20 crashes would go: the daemon counts for itself.
pub const DELIVERY_LIMIT: i64 = 1_000_000;
/// Most messages in a platform's events queue.
pub const EVENTS_MESSAGES_MAX: i64 = 10_000_000;
/// Most messages in an account's dispatch queue.
pub const DISPATCH_MESSAGES_MAX: i64 = 10_000_000;
/// Most messages in a platform's egress queue.
pub const EGRESS_MESSAGES_MAX: i64 = 1_000_000;
/// Most dead letters.
pub const DEAD_MESSAGES_MAX: i64 = 1_000_000;

/// The topic exchange for native events.
#[must_use]
pub fn events_exchange(prefix: &str) -> String {
    format!("{prefix}.events")
}

/// The queue of a platform's native events.
#[must_use]
pub fn events_queue(prefix: &str, platform: &str) -> String {
    format!("{prefix}.events.{platform}")
}

/// The routing key of an account's events and dispatches.
#[must_use]
pub fn account_key(platform: &str, account: &str) -> String {
    format!("{platform}.{account}")
}

/// The topic exchange for dispatches.
#[must_use]
pub fn dispatch_exchange(prefix: &str) -> String {
    format!("{prefix}.dispatch")
}

/// The queue of an account's dispatches.
#[must_use]
pub fn dispatch_queue(prefix: &str, platform: &str, account: &str) -> String {
    format!("{prefix}.dispatch.{platform}.{account}")
}

/// The queue of rendered requests for a platform whose backend consumes RabbitMQ itself. It is published to through
/// the default exchange (`""`), with its name as the routing key.
#[must_use]
pub fn egress_queue(prefix: &str, platform: &str) -> String {
    format!("{prefix}.egress.{platform}")
}

/// The topic exchange for dead letters.
#[must_use]
pub fn dead_exchange(prefix: &str) -> String {
    format!("{prefix}.dead")
}

/// The queue of dead letters.
#[must_use]
pub fn dead_queue(prefix: &str) -> String {
    format!("{prefix}.dead")
}

/// A durable topic exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Its name.
    pub name: String,
}

/// Where a queue's dead letters go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The exchange.
    pub exchange: String,
    /// The key, which tells the queue they come from.
    pub routing_key: String,
}

/// What kind of queue it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Replicated.
    Quorum,
    /// On one node; the broker offers no quorum queues.
    Classic,
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        })
    }
}

/// A durable queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// What it is asked to be; where the broker offers no quorum queue it becomes a classic one.
    pub kind: QueueKind,
    /// True where a second consumer must wait until the first is gone, so that order is kept.
    pub single_active_consumer: bool,
    /// Beyond this the broker refuses publishes.
    pub messages_max: i64,
    /// Where the broker itself puts what it gives up; `None` for the queue of dead letters.
    pub dead_letter: Option<DeadLetter>,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// From.
    pub exchange: String,
    /// To.
    pub queue: String,
    /// Topic pattern.
    pub routing_key: String,
}

/// The value of a queue's argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Argument {
    /// `t`
    Bool(bool),
    /// `l`
    Int(i64),
    /// `S`
    Text(String),
}

impl Queue {
    /// The `x-` arguments that it is declared with; `quorum` says which type.
    #[must_use]
    pub fn arguments(&self, quorum: bool) -> BTreeMap<&'static str, Argument> {
        let text = |text: &str| Argument::Text(text.to_owned());
        let mut arguments = BTreeMap::from([
            ("x-queue-type", text(if quorum { "quorum" } else { "classic" })),
            ("x-overflow", text("reject-publish")),
            ("x-max-length", Argument::Int(self.messages_max)),
        ]);
        if self.single_active_consumer {
            arguments.insert("x-single-active-consumer", Argument::Bool(true));
        }
        if quorum {
            arguments.insert("x-delivery-limit", Argument::Int(DELIVERY_LIMIT));
        }
        if let Some(dead) = &self.dead_letter {
            arguments.insert("x-dead-letter-exchange", text(&dead.exchange));
            arguments.insert("x-dead-letter-routing-key", text(&dead.routing_key));
            if quorum {
                // At most once, the default, would drop a letter that the dead queue does not take at once. A broker
                // too old for it, or without its feature flag `stream_queue`, falls back to the default by itself.
                arguments.insert("x-dead-letter-strategy", text("at-least-once"));
            }
        }
        arguments
    }
}

/// Everything that has to exist at the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// Declared first.
    pub exchanges: Vec<Exchange>,
    /// Then the queues, that of dead letters before those that need it.
    pub queues: Vec<Queue>,
    /// Then the bindings.
    pub bindings: Vec<Binding>,
}

impl Topology {
    /// Interline's own: an events queue for each of `platforms`, a dispatch queue for each of `accounts` (platform,
    /// account), an egress queue for each of `egress_platforms`, and the dead letters.
    #[must_use]
    pub fn interline(
        prefix: &str,
        platforms: &[&str],
        accounts: &[(&str, &str)],
        egress_platforms: &[&str],
    ) -> Self {
        let mut topology = Self::default();
        for name in [events_exchange(prefix), dispatch_exchange(prefix), dead_exchange(prefix)] {
            topology.exchanges.push(Exchange { name });
        }
        topology.queues.push(Queue {
            name: dead_queue(prefix),
            kind: QueueKind::Quorum,
            single_active_consumer: false,
            messages_max: DEAD_MESSAGES_MAX,
            dead_letter: None,
        });
        topology.bind(dead_exchange(prefix), dead_queue(prefix), "#".to_owned());
        for platform in platforms {
            let name =
                topology.queue(prefix, events_queue(prefix, platform), true, EVENTS_MESSAGES_MAX);
            topology.bind(events_exchange(prefix), name, format!("{platform}.#"));
        }
        for (platform, account) in accounts {
            let name = topology.queue(
                prefix,
                dispatch_queue(prefix, platform, account),
                true,
                DISPATCH_MESSAGES_MAX,
            );
            topology.bind(dispatch_exchange(prefix), name, account_key(platform, account));
        }
        for platform in egress_platforms {
            topology.queue(prefix, egress_queue(prefix, platform), false, EGRESS_MESSAGES_MAX);
        }
        topology
    }

    /// The same with every queue of this kind.
    #[must_use]
    pub fn with_queues(mut self, kind: QueueKind) -> Self {
        self.queues.iter_mut().for_each(|queue| queue.kind = kind);
        self
    }

    fn queue(
        &mut self,
        prefix: &str,
        name: String,
        single_active_consumer: bool,
        messages_max: i64,
    ) -> String {
        let dead_letter = DeadLetter { exchange: dead_exchange(prefix), routing_key: name.clone() };
        let queue = Queue {
            name: name.clone(),
            kind: QueueKind::Quorum,
            single_active_consumer,
            messages_max,
            dead_letter: Some(dead_letter),
        };
        if !self.queues.contains(&queue) {
            self.queues.push(queue);
        }
        name
    }

    fn bind(&mut self, exchange: String, queue: String, routing_key: String) {
        let binding = Binding { exchange, queue, routing_key };
        if !self.bindings.contains(&binding) {
            self.bindings.push(binding);
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for exchange in &self.exchanges {
            writeln!(f, "exchange {}  topic, durable", exchange.name)?;
        }
        for queue in &self.queues {
            write!(
                f,
                "queue    {}  {}, durable, at most {} messages",
                queue.name, queue.kind, queue.messages_max
            )?;
            if queue.single_active_consumer {
                write!(f, ", single active consumer")?;
            }
            writeln!(f)?;
        }
        for binding in &self.bindings {
            writeln!(
                f,
                "binding  {} -> {}  {}",
                binding.exchange, binding.queue, binding.routing_key
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topology_has_every_name_of_the_contract() {
        let topology = Topology::interline(
            "interline",
            &["whatsapp"],
            &[("whatsapp", "1065")],
            &["messenger"],
        );
        let shown = topology.to_string();
        let expected = "\
exchange interline.events  topic, durable
exchange interline.dispatch  topic, durable
exchange interline.dead  topic, durable
queue    interline.dead  quorum, durable, at most 1000000 messages
queue    interline.events.whatsapp  quorum, durable, at most 10000000 messages, single active consumer
queue    interline.dispatch.whatsapp.1065  quorum, durable, at most 10000000 messages, single active consumer
queue    interline.egress.messenger  quorum, durable, at most 1000000 messages
binding  interline.dead -> interline.dead  #
binding  interline.events -> interline.events.whatsapp  whatsapp.#
binding  interline.dispatch -> interline.dispatch.whatsapp.1065  whatsapp.1065
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn g9_every_queue_is_bounded_and_refuses_instead_of_dropping() {
        let topology = Topology::interline("p", &["a", "b"], &[("a", "1"), ("b", "2")], &["a"]);
        for queue in &topology.queues {
            for quorum in [true, false] {
                let arguments = queue.arguments(quorum);
                assert_eq!(
                    arguments["x-overflow"],
                    Argument::Text("reject-publish".into()),
                    "{}",
                    queue.name
                );
                assert!(matches!(arguments["x-max-length"], Argument::Int(1..)), "{}", queue.name);
                assert_eq!(arguments.contains_key("x-delivery-limit"), quorum);
                let strategy = arguments.get("x-dead-letter-strategy");
                assert_eq!(strategy.is_some(), quorum && queue.dead_letter.is_some());
            }
        }
    }

    #[test]
    fn naming_a_platform_or_account_twice_declares_it_once() {
        let topology =
            Topology::interline("p", &["a", "a"], &[("a", "1"), ("a", "1")], &["a", "a"]);
        assert_eq!((topology.queues.len(), topology.bindings.len()), (4, 3));
    }
}
