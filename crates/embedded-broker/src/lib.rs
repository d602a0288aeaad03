//! An AMQP 0-9-1 server in memory, with faults to order.
//!
//! It serves `url = "embedded"`, the sandbox and tests, so that the whole program has one client path. The reference
//! is RabbitMQ: replies, error codes and orders of events are its own, and a fault does nothing that a real broker or
//! its network would not do. One virtual host (`/`), one user, PLAIN logins, no TLS.
//!
//! It refuses to be a production broker: it keeps nothing across a stop of the process, and says so when it starts.
//!
//! Inside, all state is plain data behind one mutex (`state`): `connection` moves bytes, `codec` turns them
//! into frames, `session` answers the frames, `topology`, `publish` and `deliver` change the state, `faults` gives
//! orders to it. No lock guard crosses an await.

mod channel;
mod codec;
mod config;
mod connection;
mod deadletter;
mod deliver;
mod errors;
mod exchange;
mod faults;
mod handle;
mod listener;
mod message;
mod publish;
mod queue;
mod session;
mod state;
mod topology;

pub use config::Config;
pub use faults::{Faults, Release};
pub use handle::{EmbeddedBroker, QueueDepth, Snapshot, WaitError};
