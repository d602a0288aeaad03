//! What can go wrong with the broker, one enum for each boundary, and what may be done about it.
//!
//! Invariant: no text here holds a password, a body or a header.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lapin::protocol::{AMQPError, AMQPErrorKind};

/// An error of the client library or the broker, as it was said.
#[derive(Clone, Debug)]
pub struct BrokerFault(pub(crate) lapin::Error);

impl BrokerFault {
    /// An answer of a broker that speaks no AMQP, as one that does would give it.
    pub(crate) fn said(kind: AMQPErrorKind, text: String) -> Self {
        Self(lapin::ErrorKind::ProtocolError(AMQPError::new(kind, text.into())).into())
    }

    /// A connection that ended without a word.
    pub(crate) fn aborted() -> Self {
        Self(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into())
    }

    /// The AMQP reply code (404, 406, 320 …), where the broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        if let lapin::ErrorKind::ProtocolError(error) = self.0.kind() {
            Some(error.get_id())
        } else {
            None
        }
    }

    /// The broker's own text, where it gave one.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let lapin::ErrorKind::ProtocolError(error) = self.0.kind() {
            Some(error.get_message().to_string())
        } else {
            None
        }
    }

    /// What may help, as the end of a sentence.
    fn mend(&self) -> &'static str {
        match self.code() {
            Some(403) => {
                "; give the user of [broker] urls configure, write and read on the prefix, and write on amq.default, \
                 by rabbitmqctl set_permissions"
            }
            Some(406) => {
                "; does a queue's argument, a policy or the broker's consumer_timeout differ from what Interline \
                 needs? `interline topology` prints what it declares"
            }
            Some(_) => "; the broker's log says more",
            None => "; is the broker up, and does the network reach it?",
        }
    }
}

impl fmt::Display for BrokerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.text()) {
            (Some(code), Some(text)) => write!(f, "the broker answered {code}: {text}"),
            _ => self.0.fmt(f),
        }
    }
}

impl std::error::Error for BrokerFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<lapin::Error> for BrokerFault {
    fn from(error: lapin::Error) -> Self {
        Self(error)
    }
}

/// Which of a link's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Deliveries and their acks.
    Consume,
    /// Publishes and their confirms.
    Publish,
    /// A short-lived one, for declaring.
    Declare,
}

impl Role {
    /// As it stands in the connection's name at the broker.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::Publish => "publish",
            Self::Declare => "declare",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why no link could be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// Every URL was tried once, and none gave both connections.
    #[error("no broker of [broker] urls can be used: {}", listed(.failures))]
    NoneUsable {
        /// One a URL, in the order tried.
        failures: Vec<ConnectFailure>,
    },
    /// The file with the operator's own certificate authority cannot be used.
    #[error("the CA file {} cannot be read ({source}); [broker] ca_file must name a readable PEM file", path.display())]
    CaFile {
        /// As configured.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<std::io::Error>,
    },
}

/// What became of one URL.
#[derive(Clone, Debug)]
pub struct ConnectFailure {
    /// Which node, without credentials.
    pub url: String,
    /// Why not.
    pub error: AttemptError,
}

fn listed(failures: &[ConnectFailure]) -> String {
    failures
        .iter()
        .map(|failure| format!("{}: {}", failure.url, failure.error))
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why one node could not be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AttemptError {
    /// The name has no address.
    #[error("its name cannot be resolved ({0}); check the host in [broker] urls, and DNS")]
    Unresolved(#[source] BrokerFault),
    /// No TCP connection.
    #[error("it cannot be reached ({0}); is the broker up, and does a firewall allow the port?")]
    Unreachable(#[source] BrokerFault),
    /// TLS failed: not a TLS port, unknown issuer, wrong name, expired.
    #[error(
        "no secure connection ({0}); check that the port speaks TLS, and name your own CA as [broker] ca_file"
    )]
    Tls(#[source] BrokerFault),
    /// 403 while logging in.
    #[error("it refused the login ({0}); check user and password in [broker] urls")]
    LoginRefused(#[source] BrokerFault),
    /// 530 while opening the virtual host.
    #[error(
        "it refused the virtual host ({0}); check the URL's last part and the user's permissions"
    )]
    VhostRefused(#[source] BrokerFault),
    /// The AMQP handshake failed otherwise.
    #[error("the AMQP handshake failed ({0}); is this an AMQP 0-9-1 port?")]
    Handshake(#[source] BrokerFault),
    /// No answer in time.
    #[error(
        "it did not answer within {0:?}, as [broker] connect_timeout says; is it up, and does a firewall allow the port?"
    )]
    TimedOut(Duration),
}

impl ConnectError {
    /// What may help. Everything here may heal while the daemon waits, but a refused login or a bad CA file needs the
    /// operator: it is worth an error in the log, and still a retry.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::CaFile { .. } => Retry::Never,
            Self::NoneUsable { .. } => Retry::Later,
        }
    }

    /// True where at least one node answered and all that answered refused us: the config is wrong, not the network.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::CaFile { .. } => true,
            Self::NoneUsable { failures } => failures.iter().any(|failure| {
                matches!(
                    failure.error,
                    AttemptError::LoginRefused(_) | AttemptError::VhostRefused(_)
                )
            }),
        }
    }
}

/// Why a link is of no more use. All that was in flight is in doubt: publishes may have been stored, acks may not
/// have been taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LostReason {
    /// A connection broke or was closed by the broker.
    #[error("the {role} connection to the broker ended ({fault}){}", fault.mend())]
    Connection {
        /// Which.
        role: Role,
        /// How.
        #[source]
        fault: BrokerFault,
    },
    /// Nothing was heard from the broker for twice the heartbeat.
    #[error(
        "the broker has sent nothing on the {role} connection for twice the heartbeat; is the machine or the network \
         between overloaded?"
    )]
    HeartbeatMissed {
        /// On which connection.
        role: Role,
    },
    /// The broker closed a channel: a protocol error, a missing exchange, a delivery unacked for too long.
    #[error("the broker closed a {role} channel ({fault}){}", fault.mend())]
    Channel {
        /// On which connection.
        role: Role,
        /// Its reason.
        #[source]
        fault: BrokerFault,
    },
    /// The broker cancelled a consumer, as it does when the queue is deleted or its leader moves.
    #[error("the broker cancelled the consumer of {queue}; was the queue deleted?")]
    ConsumerCancelled {
        /// Whose consumer.
        queue: String,
    },
    /// The broker held back all publishes (`connection.blocked`) for too long.
    #[error(
        "the broker has blocked publishing for {0:?}; it is short of memory or disk space, `rabbitmq-diagnostics alarms` says which; free some"
    )]
    Blocked(Duration),
    /// A publish got no confirm in time.
    #[error(
        "a publish was not confirmed within {0:?}; is the broker overloaded, or its disk slow?"
    )]
    ConfirmTimedOut(Duration),
    /// We closed it.
    #[error("the connection to the broker was closed by us")]
    Closed,
}

/// Why a publish did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker returned it: no queue takes it. It was not stored.
    #[error(
        "no queue is bound to \"{exchange}\" for {routing_key}; \
         declare the topology with `interline topology --declare`, or check [broker] in the config"
    )]
    Unroutable {
        /// Where it was published to.
        exchange: String,
        /// With which key.
        routing_key: String,
    },
    /// The broker nacked it, mostly because a queue is full. It was not stored (in every queue).
    #[error(
        "the broker refused a message for {routing_key} at \"{exchange}\"; a queue behind it is full or failing, \
         `rabbitmqctl list_queues` shows which"
    )]
    Refused {
        /// Where it was published to.
        exchange: String,
        /// With which key.
        routing_key: String,
    },
    /// It exceeds a bound, and was not sent.
    #[error(
        "the message's {what} has {bytes} bytes, and at most {bytes_max} are allowed, so it was not sent; shorten it"
    )]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The link was lost before the confirm: whether the message was stored is unknown.
    #[error("whether a message was stored is unknown: {0}")]
    Lost(#[source] LostReason),
    /// No confirm in time: whether the message was stored is unknown, and the link is lost.
    #[error(
        "whether a message was stored is unknown: no confirm within {0:?}; is the broker overloaded, or its disk slow?"
    )]
    TimedOut(Duration),
    /// The link was already lost or closed: the message was not sent.
    #[error("the message was not sent: {0}")]
    Closed(#[source] LostReason),
}

/// What may be done after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same again fails again.
    Never,
    /// The same, after a pause, on the same link.
    Later,
    /// The same, on a new link.
    AfterReconnect,
}

impl PublishError {
    /// What may be done.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unroutable { .. } | Self::Refused { .. } => Retry::Later,
            Self::TooLarge { .. } => Retry::Never,
            Self::Lost(_) | Self::TimedOut(_) | Self::Closed(_) => Retry::AfterReconnect,
        }
    }

    /// True where the broker took the message for this queue, and did not keep it: another time it may.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Unroutable { .. } | Self::Refused { .. } => true,
            Self::TooLarge { .. } | Self::Closed(_) | Self::Lost(_) | Self::TimedOut(_) => false,
        }
    }

    /// True where the broker may hold the message all the same, so that a retry may double it.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        match self {
            // A fan-out that one of several queues refused is in the others; nothing of ours fans out.
            Self::Unroutable { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Closed(_) => false,
            Self::Lost(_) | Self::TimedOut(_) => true,
        }
    }
}

/// Why something asked of a link was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// The queue does not exist.
    #[error(
        "the queue {queue} does not exist; declare the topology with `interline topology --declare`"
    )]
    NoSuchQueue {
        /// Its name.
        queue: String,
    },
    /// The broker refused it and closed the channel; the link stays usable.
    #[error("the broker refused to {action} ({fault}){}", fault.mend())]
    Refused {
        /// What was asked.
        action: String,
        /// Its reason.
        #[source]
        fault: BrokerFault,
    },
    /// No answer in time.
    #[error(
        "the broker did not answer the request to {action} within {limit:?}; is it overloaded?"
    )]
    TimedOut {
        /// What was asked.
        action: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The link is lost.
    #[error(transparent)]
    Lost(#[from] LostReason),
}

/// Why the topology is not as it should be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TopologyError {
    /// The queue exists, but was declared otherwise.
    #[error(
        "the queue {queue} exists with other arguments ({fault}); drain and delete it (rabbitmqctl delete_queue \
         {queue}) and start again, or choose another [broker] prefix"
    )]
    QueueDiffers {
        /// Its name.
        queue: String,
        /// Which argument, as the broker says.
        #[source]
        fault: BrokerFault,
    },
    /// The exchange exists, but is of another kind.
    #[error(
        "the exchange {exchange} exists with other settings ({fault}); delete it and start again, or choose another \
         [broker] prefix"
    )]
    ExchangeDiffers {
        /// Its name.
        exchange: String,
        /// Which setting, as the broker says.
        #[source]
        fault: BrokerFault,
    },
    /// The user may not declare.
    #[error(
        "the broker does not let this user declare {name} ({fault}); grant it configure, write and read on the prefix \
         by rabbitmqctl set_permissions"
    )]
    Forbidden {
        /// Queue or exchange.
        name: String,
        /// Its reason.
        #[source]
        fault: BrokerFault,
    },
    /// AMQP names have at most 255 bytes.
    #[error(
        "the name {name} is longer than 255 bytes; choose a shorter [broker] prefix or account id"
    )]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// The broker refused for another reason.
    #[error("the broker refused to declare {name} ({fault}){}", fault.mend())]
    Refused {
        /// Queue, exchange or binding.
        name: String,
        /// Its reason.
        #[source]
        fault: BrokerFault,
    },
    /// No connection for declaring.
    #[error("no connection for declaring: {0}")]
    Unconnected(#[source] AttemptError),
    /// No answer in time.
    #[error(
        "the broker did not answer the declaration of {name} within {limit:?}; is it overloaded?"
    )]
    TimedOut {
        /// Queue, exchange or binding.
        name: String,
        /// How long we waited.
        limit: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::AMQPSoftError;

    fn said(kind: AMQPSoftError) -> String {
        let fault = BrokerFault::said(AMQPErrorKind::Soft(kind), "its own words".to_owned());
        LostReason::Channel { role: Role::Publish, fault }.to_string()
    }

    #[test]
    fn a_refusal_says_what_the_broker_said_and_how_to_mend_it() {
        for (kind, mend) in [
            (AMQPSoftError::ACCESSREFUSED, "rabbitmqctl set_permissions"),
            (AMQPSoftError::PRECONDITIONFAILED, "`interline topology` prints"),
            (AMQPSoftError::RESOURCELOCKED, "the broker's log says more"),
        ] {
            let text = said(kind);
            assert!(text.contains("its own words") && text.contains(mend), "{text}");
        }
    }
}
