//! Speaks AMQP 0-9-1 to RabbitMQ, or to the embedded broker; the only crate that knows the client library. For tests
//! with a paused clock there is a broker without sockets and threads behind the same types, [`memory`].
//!
//! Called by the daemon's stages and commands. Knows no bridge and no envelope: bodies are bytes. It never reconnects
//! and never retries: whatever fails is said once, and [`Link::lost`] resolves. The supervisor then drops the link,
//! backs off, calls [`connect`] again, declares again and consumes again.
//!
//! Invariants:
//! - A publish counts as done only on an ack of the broker for a message that was not returned.
//! - One task owns each publish channel and one task each consumer's acks, so neither is ever reordered.
//! - Nothing is ever nacked or requeued by hand; what was not acked returns when its channel closes.
//! - Every wait on the broker has a time limit, and a lost link's sockets are shut, so no thread outlives it for long.
//!
//! The client library writes whole messages to its log (target [`LOG_TARGET_WITH_BODIES`]): a daemon that promises
//! that no content reaches a log must switch that target off whatever level its operator chose.

mod acks;
mod bare;
mod browse;
mod connect;
mod consumer;
mod declare;
mod errors;
mod ledger;
mod link;
pub mod memory;
mod message;
mod publisher;
mod returns;
mod socket;
pub mod topology;
mod urls;

pub use acks::Acker;
pub use browse::{Browser, QueueDepth, Taken};
pub use connect::{ConnectConfig, connect};
pub use consumer::Consumer;
pub use declare::{DeclareReport, DeclaredQueue};
pub use errors::{
    AttemptError, BrokerFault, ConnectError, ConnectFailure, LinkError, LostReason, PublishError,
    Retry, Role, TopologyError,
};
pub use link::{Closed, Link};
pub use message::{
    BODY_BYTES_MAX, Delivery, DeliveryTag, HeaderValue, Headers, OutMessage, PROPERTIES_BYTES_MAX,
    Properties,
};
pub use publisher::{Confirm, Publisher};
pub use topology::{QueueKind, Topology};
pub use urls::{BrokerUrl, BrokerUrls, UrlError};

/// The log target (and prefix of targets) under which the client library writes frames and returned messages,
/// bodies included: a subscriber must drop it to keep content out of logs.
pub const LOG_TARGET_WITH_BODIES: &str = "lapin";
