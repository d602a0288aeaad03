//! What an embedded broker is started with.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The settings of one embedded broker. Every limit is a hard bound of the memory that clients can make it hold.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one, which stays the same for the life of the broker.
    pub listen: SocketAddr,
    /// The only user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The largest body of a message; a larger one closes its channel with 406, as RabbitMQ does.
    pub message_bytes_max: u64,
    /// Messages held in all queues; above it publishers are blocked, as by RabbitMQ's memory alarm.
    pub stored_bytes_max: u64,
    /// The largest frame in bytes, offered to clients; at least 8192.
    pub frame_bytes_max: u32,
    /// Channels of one connection.
    pub channels_max: u16,
    /// Open connections; further ones are closed when they are accepted.
    pub connections_max: usize,
    /// The heartbeat interval offered to clients, in whole seconds; zero turns it off.
    pub heartbeat: Duration,
    /// How long a client may take until its connection is open.
    pub handshake_timeout: Duration,
    /// `x-delivery-limit` of quorum queues that name none. RabbitMQ 4 has 20; `None` is RabbitMQ 3.
    pub quorum_delivery_limit: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            message_bytes_max: 16 * 1024 * 1024,
            stored_bytes_max: 1024 * 1024 * 1024,
            frame_bytes_max: 131_072,
            channels_max: 2047,
            connections_max: 1024,
            heartbeat: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            quorum_delivery_limit: Some(20),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything but the password.
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("user", &self.user)
            .field("message_bytes_max", &self.message_bytes_max)
            .field("stored_bytes_max", &self.stored_bytes_max)
            .field("frame_bytes_max", &self.frame_bytes_max)
            .field("channels_max", &self.channels_max)
            .field("connections_max", &self.connections_max)
            .field("heartbeat", &self.heartbeat)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("quorum_delivery_limit", &self.quorum_delivery_limit)
            .finish_non_exhaustive()
    }
}

/// The smallest frame that clients agree to; some take a smaller one, or zero, for no bound at all.
const FRAME_BYTES_MIN: u32 = 8192;

impl Config {
    /// Refuses what would mean the opposite of a bound on the wire.
    pub(crate) fn check(&self) -> io::Result<()> {
        let refused = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        match self {
            Self { frame_bytes_max: 0..FRAME_BYTES_MIN, .. } => {
                refused("frame_bytes_max must be at least 8192")
            }
            Self { channels_max: 0, .. } => refused("channels_max must be at least 1"),
            _ => Ok(()),
        }
    }
}
