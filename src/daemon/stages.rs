//! What the stages share for as long as the process lives, and how they are started on one connection.

use super::{restore_bindings, topology_of};
use crate::deliver::{
    Answers, Arrivals, Connection, DeliverContext, DeliverError, Delivering, Http, Notices,
    UnderWay, Wakes, Windows,
};
use crate::ingest::Ingest;
use crate::live::{Live, LiveHandle};
use crate::media::Carrier;
use crate::metrics::Metrics;
use crate::relay::{Lanes, Relay, RelayError};
use crate::wire::Wire;
use interline_broker::{Link, Publisher, topology};
use interline_envelope::{AccountRef, IdKey, RootKey};
use interline_store::{Store, StoreError};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a stage's task ended with.
#[derive(Debug)]
pub enum TaskEnd {
    /// The relay of one platform, or what drains its lanes.
    Relay(Result<(), RelayError>),
    /// The delivery of one account.
    Deliver(AccountRef, Result<(), DeliverError>),
}

/// Why the stages cannot start on a connection.
#[derive(Debug)]
pub enum StartError {
    /// The store cannot be read: no other connection mends that.
    Store(StoreError),
    /// The broker refuses what they need.
    Broker(Box<dyn std::error::Error + Send + Sync>),
}

impl StartError {
    fn broker(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Broker(Box::new(error))
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The stages of one process.
pub struct Stages {
    pub(super) context: DeliverContext,
    connection: watch::Sender<Option<Connection>>,
    /// In the order of the config.
    delivering: Vec<Arc<Delivering>>,
}

impl Stages {
    /// Stages that do not run yet. `stop` begins the drain of all that is under way.
    ///
    /// # Errors
    /// [`StoreError`] if what participants are also called cannot be read.
    pub async fn new(
        live: LiveHandle,
        store: Arc<dyn Store>,
        root: &RootKey,
        http: Http,
        media: Carrier,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        restore_bindings(&live.get(), store.as_ref()).await?;
        let connection = watch::Sender::new(None);
        let context = DeliverContext {
            live,
            wire: Wire::new(root),
            http,
            answers: Answers::default(),
            arrivals: Arrivals::default(),
            ids: IdKey::new(root),
            notices: Notices::default(),
            windows: Windows::new(store.clone()),
            store,
            under_way: UnderWay::default(),
            wakes: Wakes::default(),
            metrics,
            connection: connection.subscribe(),
            media,
            stop,
        };
        Ok(Self { context, connection, delivering: Vec::new() })
    }

    /// What takes webhooks, whether or not there is a connection.
    pub fn ingest(&self) -> Ingest {
        Ingest {
            live: self.context.live.clone(),
            connection: self.context.connection.clone(),
            metrics: self.context.metrics.clone(),
        }
    }

    /// Lets go, when its time comes, of what waits for something that does not come; until the stages stop.
    pub fn expire(&self) -> impl Future<Output = std::io::Result<()>> + Send + use<> {
        let DeliverContext { store, wakes, live, connection, stop, .. } = self.context.clone();
        crate::deliver::expire(store, wakes, live, connection, stop)
    }

    /// The accounts that deliver. One that a reload took away keeps what it has of lanes, but does not count.
    pub(super) fn delivering(&self) -> Vec<Arc<Delivering>> {
        let live = self.context.live.get();
        let counts = |one: &&Arc<Delivering>| live.account(one.account_ref()).is_some();
        self.delivering.iter().filter(counts).cloned().collect()
    }

    pub(super) fn delivering_of(&self, account: &AccountRef) -> Option<&Arc<Delivering>> {
        self.delivering.iter().find(|delivering| delivering.account_ref() == account)
    }

    /// Starts the stages that the config asks for on a connection, each in tasks of its own, until `stop`.
    ///
    /// # Errors
    /// [`StartError`]; what was started already ends with `tasks`.
    pub async fn start(
        &mut self,
        link: &Arc<Link>,
        stop: &CancellationToken,
        tasks: &mut JoinSet<TaskEnd>,
    ) -> Result<(), StartError> {
        let live = self.context.live.get();
        link.declare(&topology_of(&live)).await.map_err(StartError::broker)?;
        let in_flight = usize::from(live.config.broker.publish_in_flight);
        let publisher = link.publisher(in_flight).await.map_err(StartError::broker)?;
        let for_all = link.publisher(in_flight).await.map_err(StartError::broker)?;
        let connection = Connection { publisher: for_all, since: Instant::now() };
        self.connection.send_replace(Some(connection));
        if live.config.stages.relay {
            self.relay(&live, link, publisher, stop, tasks).await?;
        }
        if live.config.stages.deliver {
            for account in live.accounts() {
                let delivering = self.deliver(&account.of).await?;
                let (of, link, stop) = (account.of.clone(), link.clone(), stop.clone());
                tasks.spawn(async move { TaskEnd::Deliver(of, delivering.run(link, stop).await) });
            }
        }
        Ok(())
    }

    /// The connection is gone.
    pub fn disconnected(&self) {
        self.connection.send_replace(None);
    }

    async fn relay(
        &self,
        live: &Live,
        link: &Arc<Link>,
        publisher: Publisher,
        stop: &CancellationToken,
        tasks: &mut JoinSet<TaskEnd>,
    ) -> Result<(), StartError> {
        let lanes = Lanes::load(
            publisher.clone(),
            self.context.store.clone(),
            self.context.wire.clone(),
            self.context.live.clone(),
            self.context.metrics.clone(),
            stop.clone(),
        )
        .await?;
        let lanes = Arc::new(lanes);
        let drain = lanes.clone();
        tasks.spawn(async move { TaskEnd::Relay(drain.drain().await) });
        for bridge in live.bridges_in_use() {
            let relay = self.relay_of();
            let queue =
                topology::events_queue(&live.config.broker.prefix, bridge.manifest().id.as_str());
            let prefetch = live.config.broker.prefetch;
            let consumer = link.consumer(&queue, prefetch, "interline").await;
            let (consumer, acker) = consumer.map_err(StartError::broker)?;
            let (publisher, lanes, stop) = (publisher.clone(), lanes.clone(), stop.clone());
            tasks.spawn(async move {
                TaskEnd::Relay(relay.run(bridge, consumer, acker, publisher, lanes, stop).await)
            });
        }
        Ok(())
    }

    fn relay_of(&self) -> Relay {
        let context = self.context.clone();
        Relay {
            live: context.live,
            store: context.store,
            ids: context.ids,
            wire: context.wire,
            answers: context.answers,
            arrivals: context.arrivals,
            windows: context.windows,
            under_way: context.under_way,
            notices: context.notices,
            metrics: context.metrics,
        }
    }

    async fn deliver(&mut self, of: &AccountRef) -> Result<Arc<Delivering>, StoreError> {
        if let Some(delivering) = self.delivering_of(of) {
            return Ok(delivering.clone());
        }
        let delivering = Delivering::new(self.context.clone(), of.clone());
        delivering.resume_held().await?;
        self.delivering.push(delivering.clone());
        Ok(delivering)
    }
}
