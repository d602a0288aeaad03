//! A link's place at the broker in memory: what a pair of connections is to one that is elsewhere.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::state::{Verdict, not_found};
use super::{MemoryBroker, Turn};
use crate::browse::QueueDepth;
use crate::declare::{DeclareReport, short};
use crate::errors::{LinkError, LostReason, Role, TopologyError};
use crate::ledger::AckFrame;
use crate::link::Shared;
use crate::message::{Delivery, OutMessage};
use crate::topology::Topology;

/// One link's place. Clones are one place.
#[derive(Clone)]
pub(crate) struct Seat {
    broker: MemoryBroker,
    link: u64,
    turn: Turn,
}

impl Seat {
    pub(super) fn new(broker: MemoryBroker, link: u64, turn: Turn) -> Self {
        Self { broker, link, turn }
    }

    /// Takes a turn. False where the link is lost meanwhile.
    pub(super) async fn turn(&self, shared: &Shared) -> bool {
        tokio::select! {
            biased;
            () = shared.lost.cancelled() => false,
            () = (self.turn)() => true,
        }
    }

    /// Ends the link at the broker, which takes back what was not acked.
    pub(crate) fn leave(&self) {
        self.broker.change(|state| state.detach(self.link));
    }

    /// Lets others run, as they would while a request is on its way to a broker and back.
    pub(crate) async fn answered(&self, shared: &Shared) -> Result<(), LinkError> {
        tokio::task::yield_now().await;
        if shared.lost.is_cancelled() {
            return Err(LinkError::Lost(shared.reason()));
        }
        Ok(())
    }

    /// Takes a message. Where that ends links, they are lost when this returns.
    pub(super) fn publish(&self, message: &Arc<OutMessage>, shared: &Shared) -> Verdict {
        let verdict = self.broker.change(|state| state.publish(self.link, message));
        match verdict {
            Verdict::LoseLinks => self.broker.lose_links(),
            Verdict::NoSuchExchange => {
                let fault = not_found("exchange", &message.exchange);
                shared.lose(LostReason::Channel { role: Role::Publish, fault });
            }
            Verdict::Stored | Verdict::Unroutable | Verdict::Refused | Verdict::NotAttached => {}
        }
        verdict
    }

    pub(crate) fn consume(
        &self,
        queue: &str,
        prefetch_count: u16,
        generation: u64,
    ) -> Result<(mpsc::Receiver<Delivery>, Outlet), LinkError> {
        let consume =
            self.broker.change(|state| state.consume(self.link, queue, generation, prefetch_count));
        let missing = || LinkError::NoSuchQueue { queue: queue.to_owned() };
        let outlet = Outlet { seat: self.clone(), queue: queue.to_owned(), generation };
        Ok((consume.ok_or_else(missing)?, outlet))
    }

    pub(crate) fn depth(&self, queue: &str) -> Result<QueueDepth, LinkError> {
        let depth = self.broker.with(|state| state.depth(queue));
        depth.ok_or_else(|| LinkError::NoSuchQueue { queue: queue.to_owned() })
    }

    pub(crate) async fn declare(
        &self,
        topology: &Topology,
    ) -> Result<DeclareReport, TopologyError> {
        check_names(topology)?;
        tokio::task::yield_now().await;
        self.broker.change(|state| state.declare(topology))
    }

    pub(crate) async fn undeclare(&self, topology: &Topology) -> Result<(), TopologyError> {
        check_names(topology)?;
        tokio::task::yield_now().await;
        self.broker.change(|state| state.undeclare(topology));
        Ok(())
    }
}

fn check_names(topology: &Topology) -> Result<(), TopologyError> {
    let exchanges = topology.exchanges.iter().map(|exchange| &exchange.name);
    let queues = topology.queues.iter().map(|queue| &queue.name);
    let keys = topology.bindings.iter().map(|binding| &binding.routing_key);
    exchanges.chain(queues).chain(keys).try_for_each(|name| short(name).map(drop))
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("link", &self.link).finish_non_exhaustive()
    }
}

/// A consumer's place: where its acks go.
#[derive(Debug)]
pub(crate) struct Outlet {
    seat: Seat,
    queue: String,
    generation: u64,
}

impl Outlet {
    /// Has the broker act upon acks, unless the link is lost first.
    pub(crate) async fn ack(&self, frames: &[AckFrame], shared: &Shared) {
        if self.seat.turn(shared).await {
            self.seat.broker.change(|state| state.ack(&self.queue, self.generation, frames));
        }
    }

    /// Ends the consumer; what it had not acked is ready again.
    pub(crate) fn close(self) {
        self.seat.broker.change(|state| state.end_consumer(&self.queue, self.generation));
    }
}
