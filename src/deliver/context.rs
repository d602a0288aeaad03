//! What the deliveries of all accounts share, over any number of connections.

use super::{Answers, Arrivals, Http, Notices, UnderWay, Wakes, Windows};
use crate::live::LiveHandle;
use crate::media::Carrier;
use crate::metrics::Metrics;
use crate::wire::Wire;
use interline_broker::Publisher;
use interline_envelope::IdKey;
use interline_store::Store;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What all accounts share.
#[derive(Clone)]
pub struct DeliverContext {
    /// Accounts and conversations as they are now.
    pub live: LiveHandle,
    /// The record.
    pub store: Arc<dyn Store>,
    /// Opens dispatches.
    pub wire: Wire,
    /// The HTTP client.
    pub http: Http,
    /// Platform backends' answers.
    pub answers: Answers,
    /// News of what reached people's devices.
    pub arrivals: Arrivals,
    /// K_id, to know the dispatch of an envelope that a dependent is about.
    pub ids: IdKey,
    /// Who was told what.
    pub notices: Notices,
    /// When people may be written to.
    pub windows: Windows,
    /// To whom a request is under way, for receipts.
    pub under_way: UnderWay,
    /// The lanes of all accounts, for what was parked.
    pub wakes: Wakes,
    /// The daemon's numbers.
    pub metrics: Metrics,
    /// The current connection; nothing while the broker is away.
    pub connection: watch::Receiver<Option<Connection>>,
    /// Carries media from platform to platform.
    pub media: Carrier,
    /// Cancelled when the daemon drains.
    pub stop: CancellationToken,
}

/// A connection to the broker, as those see it that outlive it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// For webhooks, dead letters, notices and egress.
    pub publisher: Publisher,
    /// Since when, on a clock that nobody sets.
    pub since: Instant,
}

impl DeliverContext {
    pub(super) fn publisher(&self) -> Option<Publisher> {
        self.connection.borrow().as_ref().map(|connection| connection.publisher.clone())
    }
}
