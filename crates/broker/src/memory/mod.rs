//! A broker in this process's memory, without AMQP, sockets, threads and timers: whatever speaks to a broker through a
//! [`Link`] can be run on one thread with a paused clock, thousands of times.
//!
//! It stands behind the same types as a connection, and keeps the same promises; the contract test runs against it too.
//! It is only for tests: nothing is written anywhere, and nothing is left when the last clone is dropped.
//!
//! Not as RabbitMQ does it: a publish is confirmed after its delivery was handed to a consumer, an ack that was written
//! has been acted upon, a full queue refuses at once, what is given back stands at its old place however often that
//! happens. A message's `expiration` and a queue's dead-lettering are not acted upon, [`Link::is_blocked`] is never
//! true, and of the ways to look into a queue only [`Link::depth`] works.

mod publishing;
mod queue;
mod seat;
mod state;
mod topic;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::errors::{BrokerFault, LostReason, Role};
use crate::link::Link;
use crate::message::OutMessage;
use state::State;

pub(crate) use publishing::publish;
pub(crate) use seat::{Outlet, Seat};

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting.
    pub ready: usize,
    /// On the way to a consumer, or given out by it and not yet acked.
    pub unacked: usize,
}

/// What happens to a publish instead of being stored and confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// The broker nacks it, as a full queue does. It is not stored.
    Refuse,
    /// It is stored, and every link is lost before the confirm.
    StoreThenLose,
    /// Every link is lost before it is stored.
    LoseFirst,
}

/// What a link awaits before messages are taken, between that and their confirms, and before acks are acted upon.
pub type Turn = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A broker in memory. Cheap to clone; clones are one broker.
#[derive(Clone, Default)]
pub struct MemoryBroker {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Told of every change.
    changed: watch::Sender<()>,
}

impl MemoryBroker {
    /// An empty one: without exchanges and queues.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A link to it, as [`connect`](crate::connect()) gives it. It never fails, and takes no time.
    ///
    /// The tasks of the link's publishers and consumers belong to the tokio runtime in which those are made.
    #[must_use]
    pub fn connect(&self) -> Link {
        self.connect_in_turn(Arc::new(|| Box::pin(tokio::task::yield_now())))
    }

    /// The same, where every step takes what `turn` takes. It may never end: a link that is lost does not wait for it.
    #[must_use]
    pub fn connect_in_turn(&self, turn: Turn) -> Link {
        let number = self.with(State::next_link);
        let link = Link::in_memory(Seat::new(self.clone(), number, turn));
        self.with(|state| state.attach(number, Arc::downgrade(&link.shared)));
        link
    }

    /// How full each queue is.
    #[must_use]
    pub fn depths(&self) -> BTreeMap<String, Depth> {
        self.with(|state| state.depths())
    }

    /// Takes all ready messages out of `queue`, in order. None where there is no such queue.
    #[must_use]
    pub fn drain(&self, queue: &str) -> Vec<OutMessage> {
        let drained = self.change(|state| state.drain(queue));
        drained.into_iter().map(Arc::unwrap_or_clone).collect()
    }

    /// Publishes as an operator would, from outside of any link; faults that were ordered do not count it. True if a
    /// queue took it.
    pub fn put(&self, message: OutMessage) -> bool {
        self.change(|state| state.store(&Arc::new(message)).is_stored())
    }

    /// Waits until `holds`, which is asked now and after every change. Cancel-safe.
    pub async fn wait_until(&self, mut holds: impl FnMut(&BTreeMap<String, Depth>) -> bool) {
        let mut changed = self.inner.changed.subscribe();
        while !holds(&self.depths()) {
            // It cannot fail: this clone keeps the sender.
            if changed.changed().await.is_err() {
                break;
            }
        }
    }

    /// Ends every link, as a broker that restarts does. What was delivered and not acked is ready again at its old
    /// place, marked as redelivered; confirms that are out never come.
    pub fn lose_links(&self) {
        // All are gone before any is told, so that nothing passes from one that is ending to another.
        let lost = self.change(State::detach_all);
        for shared in lost.into_iter().filter_map(|shared| shared.upgrade()) {
            shared.lose(cut());
        }
    }

    /// Orders `fault` for the publish that comes after `after` more, counted over all links from now. Of two orders for
    /// one publish the second falls on the next.
    pub fn order(&self, fault: PublishFault, after: u64) {
        self.with(|state| state.order(fault, after));
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.inner.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, and tells those who wait for a change.
    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = self.with(act);
        self.inner.changed.send_replace(());
        result
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").field("depths", &self.depths()).finish()
    }
}

fn cut() -> LostReason {
    LostReason::Connection { role: Role::Consume, fault: BrokerFault::aborted() }
}
