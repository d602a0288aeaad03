//! A dispatch on its way through a lane, and where it came from.

use interline_broker::{Acker, DeliveryTag};
use interline_envelope::{Dispatch, DispatchId};
use std::sync::Arc;

/// The broker's claim on a delivery. Stale once the channel that it came on is gone.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) acker: Acker,
    pub(super) tag: DeliveryTag,
    /// The number of the consumer that it came on.
    pub(super) session: u64,
}

impl Ticket {
    /// Acknowledges. After the channel was lost this does nothing: the broker delivers again.
    pub(super) fn ack(&self) {
        self.acker.ack(self.tag);
    }
}

/// Who keeps a dispatch safe while it is worked on.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The broker, unacknowledged.
    Queue(Ticket),
    /// The store's `held` rows.
    Held {
        /// The row.
        seq: u64,
    },
}

/// A dispatch on its way through a lane.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) dispatch: Arc<Dispatch>,
    /// The body as it was on the queue.
    pub(super) sealed: bytes::Bytes,
    /// How many times an operator replayed it.
    pub(super) replayed: u32,
    /// Failed attempts so far, those before a restart of a held one included.
    pub(super) attempts: u32,
    /// How often the platform took it and reported it as failed later: it goes before what was not sent yet.
    pub(super) failures: u32,
    /// When this daemon first saw it: UTC milliseconds.
    pub(super) since_ms: i64,
    /// When its turn in its lane came: UTC milliseconds.
    pub(super) turn_ms: i64,
    /// False once there was no room to let it wait for what it is about.
    pub(super) parks: bool,
    /// True once it has waited for long enough, and goes without what it is about.
    pub(super) goes_without: bool,
    /// The held row before which it was picked, since that names it or waits for it.
    pub(super) goes_before: Option<DispatchId>,
    pub(super) source: Source,
}

impl Job {
    /// Which delivery of which consumer this is; nothing for a held row.
    pub(super) const fn delivery(&self) -> Option<(u64, DeliveryTag)> {
        match &self.source {
            Source::Queue(ticket) => Some((ticket.session, ticket.tag)),
            Source::Held { .. } => None,
        }
    }
}
