//! The handle of a running broker: start, stop, look, and wait for what happens.

use crate::config::Config;
use crate::errors::Failure;
use crate::faults::Faults;
use crate::listener::{Door, keep_time, listen};
use crate::state::State;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What the tasks of one broker share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) frozen: watch::Sender<bool>,
    pub(crate) door: watch::Sender<Door>,
    pub(crate) listens: watch::Sender<bool>,
    /// A delayed message was stored.
    pub(crate) delayed: Notify,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl fmt::Debug for Shared {
    // Bodies and the password stay inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere fails its own test or task; the state is plain data and stays usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, settles it and tells those who wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        state.settle();
        let is_delayed = state.next_due.is_some();
        drop(state);
        self.announce(is_delayed);
        result
    }

    /// Tells those who wait that something changed.
    pub(crate) fn announce(&self, is_delayed: bool) {
        if is_delayed {
            self.delayed.notify_one();
        }
        if self.changes.receiver_count() > 0 {
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that wait for a consumer.
    pub ready: usize,
    /// Messages that were delivered and are not settled yet.
    pub unacked: usize,
    /// Consumers; with a single active consumer also those that wait for their turn.
    pub consumers: usize,
}

/// The broker at one moment. The counters run from the start of the broker.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Connections whose handshake is done.
    pub connections: usize,
    /// Open channels of all connections.
    pub channels: usize,
    /// Connections that are blocked by the alarm, from which nothing is read.
    pub blocked: usize,
    /// Every queue by its name.
    pub queues: BTreeMap<String, QueueDepth>,
    /// Connections accepted by the listener, whatever became of them.
    pub accepted: u64,
    /// Publishes that at least one queue stored.
    pub stored: u64,
    /// Publishes that were acked.
    pub confirmed: u64,
    /// Publishes that were nacked.
    pub refused: u64,
    /// Messages returned as unroutable.
    pub returned: u64,
    /// Deliveries, each redelivery counted.
    pub delivered: u64,
    /// Deliveries that a client acked.
    pub acked: u64,
    /// Confirms that [`Faults::hold_confirms`] holds back.
    pub held_confirms: usize,
}

impl Snapshot {
    /// The depth of a queue; a queue that does not exist is empty.
    pub fn depth(&self, queue: &str) -> QueueDepth {
        self.queues.get(queue).copied().unwrap_or_default()
    }
}

/// The condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not get into the awaited state within {limit:?}; at last it was {last:?}")]
pub struct WaitError {
    /// How long was waited.
    pub limit: Duration,
    /// The broker at the end.
    pub last: Box<Snapshot>,
}

/// A running AMQP 0-9-1 server in memory. A clone is another handle of the same broker; the last one dropped stops it.
#[derive(Clone, Debug)]
pub struct EmbeddedBroker {
    shared: Arc<Shared>,
    faults: Faults,
    _stop_on_drop: Arc<DropGuard>,
}

impl EmbeddedBroker {
    /// Starts to listen.
    ///
    /// # Errors
    /// Those of binding `config.listen`, for example that the port is taken; `InvalidInput` for a bound that clients
    /// would take for none.
    pub async fn start(config: Config) -> io::Result<Self> {
        config.check()?;
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let config = Arc::new(config);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(config.clone())),
            config,
            address,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            frozen: watch::Sender::new(false),
            door: watch::Sender::new(Door::Open),
            listens: watch::Sender::new(true),
            delayed: Notify::new(),
            changes: watch::Sender::new(0),
        });
        shared.tasks.spawn(listen(shared.clone(), listener));
        shared.tasks.spawn(keep_time(shared.clone()));
        tracing::warn!(%address, "the embedded broker keeps everything in memory only: what it holds is lost when it stops");
        let _stop_on_drop = Arc::new(shared.stop.clone().drop_guard());
        Ok(Self { faults: Faults::new(shared.clone()), shared, _stop_on_drop })
    }

    /// Where to connect, with user and password: `amqp://guest:guest@127.0.0.1:PORT/%2f`.
    pub fn uri(&self) -> String {
        let Config { user, password, .. } = self.shared.config.as_ref();
        format!("amqp://{}:{}@{}/%2f", escaped(user), escaped(password), self.shared.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Closes every connection with 320 and ends every task. What is stored is lost. Not cancel-safe in that a
    /// cancelled call leaves the tasks ending by themselves.
    pub async fn stop(&self) {
        let shutdown = Failure::forced("broker forced connection closure with reason 'shutdown'");
        self.shared.change(|state| {
            let ids: Vec<u64> = state.connections.keys().copied().collect();
            for id in ids {
                state.close_connection(id, &shutdown);
                if let Some(connection) = state.connections.get_mut(&id) {
                    // Nobody waits for the client's agreement: the process is about to end.
                    connection.phase = crate::state::Phase::Over;
                }
            }
        });
        let told = self.wait(|state| state.connections.is_empty(), STOP_TIMEOUT).await;
        if !told {
            tracing::debug!("a connection was cut because its client does not read");
        }
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// How full a queue is; `None` if it does not exist.
    pub fn depth(&self, queue: &str) -> Option<QueueDepth> {
        self.shared.lock().depth(queue)
    }

    /// The names of all queues, sorted.
    pub fn queues(&self) -> Vec<String> {
        self.snapshot().queues.into_keys().collect()
    }

    /// The broker at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.lock().snapshot()
    }

    /// Waits until `what` holds. It is asked after every change, without polling. Cancel-safe.
    ///
    /// # Errors
    /// [`WaitError`] if it does not hold within `limit`.
    pub async fn wait_until(
        &self,
        what: impl Fn(&Snapshot) -> bool,
        limit: Duration,
    ) -> Result<Snapshot, WaitError> {
        let holds = self.wait(|state| what(&state.snapshot()), limit).await;
        let last = self.snapshot();
        if holds { Ok(last) } else { Err(WaitError { limit, last: Box::new(last) }) }
    }

    async fn wait(&self, what: impl Fn(&State) -> bool, limit: Duration) -> bool {
        let mut changes = self.shared.changes.subscribe();
        let waiting = async {
            while !what(&self.shared.lock()) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }

    /// What a test may order this broker to do wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// How long [`EmbeddedBroker::stop`] lets clients read the good-bye.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            escaped + &char::from(byte).to_string()
        }
        _ => escaped + &format!("%{byte:02X}"),
    })
}
