//! A working pair of connections to one node, and the watch over them.
//!
//! Deliveries and acks have a connection of their own, since a broker that is short of memory blocks whole connections
//! that publish. A link is never mended: it is lost once, for one reason, and then dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::{Channel, Connection, ConnectionStatus, ErrorKind, Event};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connect::{Dialer, Opened};
use crate::declare::{self, DeclareReport};
use crate::errors::{BrokerFault, LinkError, LostReason, Role, TopologyError};
use crate::memory::Seat;
use crate::socket::Sockets;
use crate::topology::Topology;

/// Longest wait for the answer to one request on an open connection.
pub(crate) const RPC_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the connections' states are looked at beside their events, which do not tell of every ending.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

const CODE_NOT_FOUND: u16 = 404;
const CODE_OK: u16 = 200;

/// What a link's tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) lost: CancellationToken,
    reason: OnceLock<LostReason>,
    /// Asks the tasks to finish what is in flight and end.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    blocked: AtomicBool,
    far_end: FarEnd,
}

/// What a lost link still holds of the broker.
#[derive(Debug)]
enum FarEnd {
    Sockets(Sockets),
    Memory(Seat),
}

impl FarEnd {
    fn leave(&self) {
        match self {
            Self::Sockets(sockets) => sockets.shut(),
            Self::Memory(seat) => seat.leave(),
        }
    }
}

impl Shared {
    fn new(far_end: FarEnd) -> Self {
        Self {
            lost: CancellationToken::new(),
            reason: OnceLock::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            blocked: AtomicBool::new(false),
            far_end,
        }
    }

    /// Marks the link lost; only the first reason counts. Shuts the sockets, so that the broker requeues at once and
    /// the client's threads end.
    pub(crate) fn lose(&self, reason: LostReason) {
        if self.reason.set(reason.clone()).is_ok() {
            if !matches!(reason, LostReason::Closed) {
                tracing::warn!(error = %reason, "the link to the broker is lost");
            }
            self.lost.cancel();
            self.far_end.leave();
        }
    }

    /// Why the link is lost; [`LostReason::Closed`] where it is only ending.
    pub(crate) fn reason(&self) -> LostReason {
        self.reason.get().cloned().unwrap_or(LostReason::Closed)
    }

    /// Awaits `request` with a limit, and names what failed.
    pub(crate) async fn ask<T>(
        &self,
        role: Role,
        action: impl FnOnce() -> String,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, LinkError> {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err(LinkError::Lost(self.reason())),
            answer = tokio::time::timeout(RPC_TIMEOUT, request) => match answer {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) if error.is_amqp_soft_error() => {
                    Err(LinkError::Refused { action: action(), fault: error.into() })
                }
                Ok(Err(error)) => {
                    self.lose(LostReason::Connection { role, fault: error.into() });
                    Err(LinkError::Lost(self.reason()))
                }
                Err(_) => Err(LinkError::TimedOut { action: action(), limit: RPC_TIMEOUT }),
            }
        }
    }
}

/// How a link came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Everything in flight was settled, and the broker said goodbye.
    Cleanly,
    /// The deadline came first, or the link was lost: what was in flight is in doubt.
    ByForce,
}

/// Two open connections to the broker. Dropping it ends both at once; [`Link::close`] settles first.
#[derive(Debug)]
pub struct Link {
    pub(crate) transport: Transport,
    pub(crate) shared: Arc<Shared>,
}

/// What a link leads over.
#[derive(Debug)]
pub(crate) enum Transport {
    Amqp(Box<Amqp>),
    /// No connections: a place at a broker in this process.
    Memory(Seat),
}

#[derive(Debug)]
pub(crate) struct Amqp {
    consume: Connection,
    publish: Connection,
    dialer: Dialer,
}

impl Amqp {
    pub(crate) fn publish_timeout(&self) -> Duration {
        self.dialer.config.publish_timeout
    }

    /// Says goodbye on both connections. False if one of them was not answered.
    async fn close(&self) -> bool {
        let (publish, consume) = futures_util::join!(
            self.publish.close(CODE_OK, "done".into()),
            self.consume.close(CODE_OK, "done".into()),
        );
        for (role, closed) in [(Role::Publish, &publish), (Role::Consume, &consume)] {
            if let Err(error) = closed {
                tracing::debug!(%role, %error, "a connection did not close cleanly");
            }
        }
        publish.is_ok() && consume.is_ok()
    }
}

impl Link {
    pub(crate) fn new(consume: Opened, publish: Opened, dialer: Dialer) -> Self {
        let sockets = Sockets::default();
        sockets.adopt(&consume.sockets);
        sockets.adopt(&publish.sockets);
        let shared = Arc::new(Shared::new(FarEnd::Sockets(sockets)));
        let blocked_max = dialer.config.blocked_max;
        for (role, connection) in
            [(Role::Consume, &consume.connection), (Role::Publish, &publish.connection)]
        {
            let watch = Watch {
                role,
                shared: Arc::clone(&shared),
                blocked_max,
                status: connection.status().clone(),
            };
            shared.tasks.spawn(watch.run(connection.events_listener()));
        }
        let (consume, publish) = (consume.connection, publish.connection);
        Self { transport: Transport::Amqp(Box::new(Amqp { consume, publish, dialer })), shared }
    }

    /// A link to a broker in memory. It has no tasks before it has publishers and consumers: nothing is to be watched.
    pub(crate) fn in_memory(seat: Seat) -> Self {
        let shared = Arc::new(Shared::new(FarEnd::Memory(seat.clone())));
        Self { transport: Transport::Memory(seat), shared }
    }

    /// Declares the topology on a short-lived connection of its own, so that a refusal harms nothing. Idempotent.
    /// Queues become quorum queues, or classic ones where the broker offers no quorum, as the report then says.
    ///
    /// # Errors
    /// [`TopologyError`]; among them a queue that exists with other arguments.
    pub async fn declare(&self, topology: &Topology) -> Result<DeclareReport, TopologyError> {
        match &self.transport {
            Transport::Amqp(amqp) => declare::declare(&amqp.dialer, topology).await,
            Transport::Memory(seat) => seat.declare(topology).await,
        }
    }

    /// Deletes the topology's queues, whatever they hold, and its exchanges. For benches and tests.
    ///
    /// # Errors
    /// [`TopologyError`]. What is gone already is no error.
    pub async fn undeclare(&self, topology: &Topology) -> Result<(), TopologyError> {
        match &self.transport {
            Transport::Amqp(amqp) => declare::undeclare(&amqp.dialer, topology).await,
            Transport::Memory(seat) => seat.undeclare(topology).await,
        }
    }

    /// True once [`Link::lost`] would resolve.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.lost.is_cancelled()
    }

    /// Waits until the link is of no more use, and says why. Cancel-safe.
    pub async fn lost(&self) -> LostReason {
        self.shared.lost.cancelled().await;
        self.shared.reason()
    }

    /// A handle on the link's end that may outlive the link.
    #[must_use]
    pub fn lost_token(&self) -> CancellationToken {
        self.shared.lost.child_token()
    }

    /// True while the broker holds back publishing (`connection.blocked`: short of memory or disk).
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.shared.blocked.load(Ordering::SeqCst)
    }

    /// A fresh channel on the connection of `role`. A link to a broker in memory has none, and says so.
    pub(crate) async fn channel(&self, role: Role) -> Result<Channel, LinkError> {
        let action = || "open a channel".to_owned();
        match &self.transport {
            Transport::Amqp(amqp) => {
                let connection = if role == Role::Publish { &amqp.publish } else { &amqp.consume };
                self.shared.ask(role, action, connection.create_channel()).await
            }
            Transport::Memory(_) => Err(LinkError::Refused {
                action: action(),
                fault: BrokerFault::said(
                    AMQPErrorKind::Hard(AMQPHardError::NOTIMPLEMENTED),
                    "a broker in memory has no channels".to_owned(),
                ),
            }),
        }
    }

    /// Settles and closes: publishes in flight get their confirms, acks handed over are written, each consumer's
    /// channel is closed, then both connections. After `deadline` the rest is cut off.
    pub async fn close(self, deadline: Duration) -> Closed {
        let started = Instant::now();
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let settled = tokio::time::timeout(deadline, self.shared.tasks.wait()).await.is_ok();
        let was_lost = self.is_lost();
        let mut clean = settled && !was_lost;
        if clean {
            let closing = async {
                match &self.transport {
                    Transport::Amqp(amqp) => amqp.close().await,
                    Transport::Memory(_) => true,
                }
            };
            let remaining = deadline.saturating_sub(started.elapsed());
            clean = tokio::time::timeout(remaining, closing).await.unwrap_or(false);
        }
        self.shared.lose(LostReason::Closed);
        if clean { Closed::Cleanly } else { Closed::ByForce }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.lose(LostReason::Closed);
        self.shared.tasks.close();
    }
}

/// Closes a task's channel, unless the link is lost: the client would close a dropped channel too, but at a time of its
/// own, which may fall into the closing of the connection and spoil that.
pub(crate) async fn close_channel(channel: &Channel, shared: &Shared) {
    let closing = tokio::time::timeout(RPC_TIMEOUT, channel.close(CODE_OK, "done".into()));
    tokio::select! {
        biased;
        () = shared.lost.cancelled() => {}
        closed = closing => if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("a channel was closed already, or its closing got no answer");
        }
    }
}

/// Turns a missing queue into an error of its own.
pub(crate) fn name_missing_queue(error: LinkError, queue: &str) -> LinkError {
    match error {
        LinkError::Refused { fault, .. } if fault.code() == Some(CODE_NOT_FOUND) => {
            LinkError::NoSuchQueue { queue: queue.to_owned() }
        }
        other @ (LinkError::Refused { .. }
        | LinkError::NoSuchQueue { .. }
        | LinkError::TimedOut { .. }
        | LinkError::Lost(_)) => other,
    }
}

/// Watches one connection.
struct Watch {
    role: Role,
    shared: Arc<Shared>,
    blocked_max: Duration,
    status: ConnectionStatus,
}

impl Watch {
    async fn run(self, events: impl futures_util::Stream<Item = Event> + Send) {
        let mut events = std::pin::pin!(events.fuse());
        let mut ticks = tokio::time::interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut blocked_since: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = self.shared.lost.cancelled() => break,
                () = self.shared.stop.cancelled() => break,
                event = events.next() => match event {
                    Some(Event::Error(error)) => self.on_error(error),
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(role = %self.role, reason, "the broker blocks publishing");
                    }
                    Some(Event::ConnectionUnblocked) => tracing::info!(role = %self.role, "the broker takes publishes again"),
                    Some(_) => {}
                    None => {
                        ticks.tick().await;
                    }
                },
                _ = ticks.tick() => {}
            }
            self.look(&mut blocked_since);
        }
    }

    /// Errors of channels come here too; those have their own task to report them. A missed heartbeat is none of those,
    /// and may be told of before the connection counts as lost.
    fn on_error(&self, error: lapin::Error) {
        let role = self.role;
        if matches!(error.kind(), ErrorKind::MissingHeartbeatError) {
            self.shared.lose(LostReason::HeartbeatMissed { role });
        } else if !self.status.connected() {
            self.shared.lose(LostReason::Connection { role, fault: error.into() });
        }
    }

    fn look(&self, blocked_since: &mut Option<Instant>) {
        if !self.status.connected() {
            let fault = BrokerFault::aborted();
            self.shared.lose(LostReason::Connection { role: self.role, fault });
        }
        let blocked = self.status.blocked();
        if self.role == Role::Publish {
            self.shared.blocked.store(blocked, Ordering::SeqCst);
        }
        if !blocked {
            *blocked_since = None;
        } else if blocked_since.get_or_insert_with(Instant::now).elapsed() > self.blocked_max {
            self.shared.lose(LostReason::Blocked(self.blocked_max));
        }
    }
}
