//! The daemon: opens what it needs, starts the stages, keeps them running, drains them.
//!
//! It connects to the broker again and again with a back-off; each connection is a *session* with its own topology
//! check, publishers and consumers. What outlives a session: the webhook server (it answers 503 meanwhile), the
//! lanes of each account, the store.

use crate::config::{Config, Section, Servers, StoreUrl};
use crate::deliver::{
    Answers, Arrivals, DeliverContext, DeliverError, Delivering, Http, MEDIA_AT_ONCE,
};
use crate::ingest::Ingest;
use crate::live::{Live, LiveHandle};
use crate::relay::{Lanes, Relay, RelayError};
use crate::wire::Wire;
use interline_broker::{BrokerUrls, ConnectConfig, Link, Publisher, Topology};
use interline_embedded_broker::EmbeddedBroker;
use interline_envelope::{AccountRef, IdKey, RootKey};
use interline_store::{RootKeyFile, SqliteStore, Store, StoreError};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long closing a connection may take when nothing waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often old rows are dropped.
const RETAIN_EVERY: Duration = Duration::from_hours(1);

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The config contradicts itself; a checked one does not.
    #[error(transparent)]
    Directory(#[from] interline_relay::DirectoryError),
    /// The store cannot be opened or fails for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The webhook server cannot listen.
    #[error(
        "cannot listen on {listen}; is another program there? Change [ingest] listen, or stop that program"
    )]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client cannot be built.
    #[error(
        "the HTTP client cannot be built; are the system's CA certificates installed (ca-certificates)?"
    )]
    Http(#[source] reqwest::Error),
    /// The embedded broker cannot start.
    #[error("the embedded broker cannot start")]
    Embedded(#[source] std::io::Error),
    /// A broker URL cannot be used.
    #[error(transparent)]
    Urls(#[from] interline_broker::UrlError),
}

impl DaemonError {
    /// True if the operator must mend the config or a key (`EX_CONFIG`).
    pub fn is_config(&self) -> bool {
        match self {
            Self::Directory(_) | Self::Urls(_) => true,
            Self::Store(error) => error.is_config(),
            Self::Listen { .. } | Self::Http(_) | Self::Embedded(_) => false,
        }
    }
}

/// Why a session ended.
enum SessionEnd {
    /// The daemon drains.
    Stopped,
    /// Accounts changed: a new session takes the new topology.
    Reloaded,
    /// The broker is gone.
    Lost,
}

/// What a stage's task ended with.
enum TaskEnd {
    Relay(Result<(), RelayError>),
    Deliver(AccountRef, Result<(), DeliverError>),
}

/// A daemon that is ready to run.
pub struct Daemon {
    live: LiveHandle,
    store: Arc<dyn Store>,
    ids: IdKey,
    wire: Wire,
    answers: Answers,
    arrivals: Arrivals,
    publisher: watch::Sender<Option<Publisher>>,
    delivering: HashMap<AccountRef, Arc<Delivering>>,
    context: DeliverContext,
    embedded: Option<EmbeddedBroker>,
    listener: Option<TcpListener>,
    listen: Option<SocketAddr>,
    stop: CancellationToken,
    reloads: mpsc::Receiver<Config>,
}

/// Tells a running daemon what to do.
#[derive(Clone, Debug)]
pub struct Handle {
    stop: CancellationToken,
    reloads: mpsc::Sender<Config>,
}

impl Handle {
    /// Starts the drain.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Takes over a new, checked config.
    pub async fn reload(&self, config: Config) {
        if self.reloads.send(config).await.is_err() {
            warn!("the daemon is stopping; the new config is not taken over");
        }
    }
}

impl Daemon {
    /// Opens the store and the webhook listener, and builds everything that needs no broker.
    ///
    /// # Errors
    /// [`DaemonError`] says what is missing.
    pub async fn open(config: Config) -> Result<(Self, Handle), DaemonError> {
        let (store, root) = open_store(&config)?;
        let store: Arc<dyn Store> = Arc::new(store);
        let deliver = config.deliver;
        let http = Http::new(deliver.connect_timeout, deliver.request_timeout)
            .map_err(DaemonError::Http)?;
        let embedded = match &config.broker.servers {
            Servers::Embedded => Some(
                EmbeddedBroker::start(interline_embedded_broker::Config::default())
                    .await
                    .map_err(DaemonError::Embedded)?,
            ),
            Servers::Nodes(_) => None,
        };
        let (listener, listen) = match config.stages.ingest {
            true => {
                let listen = config.ingest.listen;
                let bound = TcpListener::bind(listen)
                    .await
                    .map_err(|source| DaemonError::Listen { listen, source })?;
                let listen = bound.local_addr().unwrap_or(listen);
                (Some(bound), Some(listen))
            }
            false => (None, None),
        };
        let live = LiveHandle::new(Live::new(config)?);
        restore_bindings(&live.get(), store.as_ref()).await?;
        let publisher = watch::Sender::new(None);
        let stop = CancellationToken::new();
        let (send_reload, reloads) = mpsc::channel(1);
        let (wire, answers, arrivals) = (Wire::new(&root), Answers::default(), Arrivals::default());
        let context = DeliverContext {
            live: live.clone(),
            store: store.clone(),
            wire: wire.clone(),
            http,
            answers: answers.clone(),
            arrivals: arrivals.clone(),
            publisher: publisher.subscribe(),
            media: Arc::new(Semaphore::new(MEDIA_AT_ONCE)),
            stop: stop.clone(),
        };
        let handle = Handle { stop: stop.clone(), reloads: send_reload };
        let ids = IdKey::new(&root);
        let daemon = Self {
            live,
            store,
            ids,
            wire,
            answers,
            arrivals,
            publisher,
            delivering: HashMap::new(),
            context,
            embedded,
            listener,
            listen,
            stop,
            reloads,
        };
        Ok((daemon, handle))
    }

    /// Where webhooks are taken.
    pub const fn listen(&self) -> Option<SocketAddr> {
        self.listen
    }

    /// The embedded broker, if that is the one in use.
    pub const fn embedded(&self) -> Option<&EmbeddedBroker> {
        self.embedded.as_ref()
    }

    /// Runs until it is told to stop, then drains within `[shutdown] deadline`.
    ///
    /// # Errors
    /// [`DaemonError`] if something fails that no reconnect mends.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        let mut services = JoinSet::new();
        let ingest_stop = self.stop.child_token();
        if let Some(listener) = self.listener.take() {
            let ingest = Ingest { live: self.live.clone(), publisher: self.publisher.subscribe() };
            services.spawn(ingest.run(listener, ingest_stop));
        }
        services.spawn(retain(self.store.clone(), self.stop.clone()));
        // Until the store is closed: a drain may take its time.
        let mut watchdog = JoinSet::new();
        watchdog.spawn(crate::systemd::watchdog(self.store.clone()));
        crate::systemd::ready();
        self.keep_connected().await?;
        crate::systemd::stopping();
        let deadline = self.live.get().config.shutdown.deadline;
        if tokio::time::timeout(deadline, async { while services.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            warn!("webhook requests were still open at the deadline");
        }
        watchdog.shutdown().await;
        self.store.close().await?;
        if let Some(embedded) = &self.embedded {
            embedded.stop().await;
        }
        info!("stopped");
        Ok(())
    }

    async fn keep_connected(&mut self) -> Result<(), DaemonError> {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let config = self.connect_config()?;
            let (min, max) = {
                let live = self.live.get();
                (live.config.broker.reconnect_backoff_min, live.config.broker.reconnect_backoff_max)
            };
            let started = Instant::now();
            let link = tokio::select! {
                link = interline_broker::connect(&config) => link,
                () = self.stop.cancelled() => return Ok(()),
            };
            match link {
                Ok(link) => match self.session(Arc::new(link)).await? {
                    SessionEnd::Stopped => return Ok(()),
                    SessionEnd::Reloaded => {
                        failures = 0;
                        continue;
                    }
                    // A session that held for a while starts the back-off anew.
                    SessionEnd::Lost if started.elapsed() > max => failures = 0,
                    SessionEnd::Lost => {}
                },
                Err(error) => {
                    warn!(%error, "the broker cannot be reached; webhooks are answered 503 meanwhile")
                }
            }
            failures += 1;
            let wait = interline_relay::backoff(failures, std::process::id().into(), min, max);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
                Some(config) = self.reloads.recv() => { self.take_over(config).await?; }
            }
        }
        Ok(())
    }

    /// One broker connection, from the topology check to the loss or the drain.
    async fn session(&mut self, link: Arc<Link>) -> Result<SessionEnd, DaemonError> {
        let live = self.live.get();
        let session_stop = self.stop.child_token();
        let mut tasks = JoinSet::new();
        match self.start(&live, &link, &session_stop, &mut tasks).await {
            Ok(()) => info!("connected to the broker"),
            Err(StartError::Store(error)) => return Err(error.into()),
            Err(StartError::Broker(error)) => {
                error!(%error, "the broker is there, but the stages cannot start on it; trying again");
                close(link).await;
                return Ok(SessionEnd::Lost);
            }
        }
        let end = loop {
            tokio::select! {
                // Once the daemon stops its tasks end too, and that must not be taken for a loss.
                biased;
                () = self.stop.cancelled() => break SessionEnd::Stopped,
                reason = link.lost() => {
                    warn!(%reason, "the broker is gone; what was not acknowledged comes again");
                    break SessionEnd::Lost;
                }
                Some(ended) = tasks.join_next() => {
                    report(ended);
                    break SessionEnd::Lost;
                }
                Some(config) = self.reloads.recv() => {
                    if self.take_over(config).await? {
                        break SessionEnd::Reloaded;
                    }
                }
            }
        };
        session_stop.cancel();
        let deadline = match end {
            SessionEnd::Lost => CLOSE_TIMEOUT,
            SessionEnd::Stopped | SessionEnd::Reloaded => self.live.get().config.shutdown.deadline,
        };
        let drained =
            tokio::time::timeout(deadline, async { while tasks.join_next().await.is_some() {} })
                .await;
        if drained.is_err() && !matches!(end, SessionEnd::Lost) {
            warn!("the drain took longer than its deadline; what is open comes again");
        }
        tasks.shutdown().await;
        self.publisher.send_replace(None);
        close(link).await;
        Ok(end)
    }

    async fn start(
        &mut self,
        live: &Arc<Live>,
        link: &Arc<Link>,
        stop: &CancellationToken,
        tasks: &mut JoinSet<TaskEnd>,
    ) -> Result<(), StartError> {
        let config = &live.config;
        link.declare(&topology_of(live)).await.map_err(StartError::broker)?;
        let in_flight = usize::from(config.broker.publish_in_flight);
        let publisher = link.publisher(in_flight).await.map_err(StartError::broker)?;
        self.publisher
            .send_replace(Some(link.publisher(in_flight).await.map_err(StartError::broker)?));
        if config.stages.relay {
            let lanes = Lanes::load(
                publisher.clone(),
                self.store.clone(),
                self.wire.clone(),
                self.live.clone(),
                stop.clone(),
            )
            .await?;
            let lanes = Arc::new(lanes);
            let drain = lanes.clone();
            tasks.spawn(async move { TaskEnd::Relay(drain.drain().await) });
            for bridge in live.bridges_in_use() {
                let relay = Relay {
                    live: self.live.clone(),
                    store: self.store.clone(),
                    ids: self.ids.clone(),
                    wire: self.wire.clone(),
                    answers: self.answers.clone(),
                    arrivals: self.arrivals.clone(),
                };
                let queue = interline_broker::topology::events_queue(
                    &config.broker.prefix,
                    bridge.manifest().id.as_str(),
                );
                let (consumer, acker) = link
                    .consumer(&queue, config.broker.prefetch, "interline")
                    .await
                    .map_err(StartError::broker)?;
                let (publisher, lanes, stop) = (publisher.clone(), lanes.clone(), stop.clone());
                tasks.spawn(async move {
                    TaskEnd::Relay(relay.run(bridge, consumer, acker, publisher, lanes, stop).await)
                });
            }
        }
        if config.stages.deliver {
            for account in live.accounts() {
                let delivering = self.delivering_of(&account.of).await?;
                let (of, link, stop) = (account.of.clone(), link.clone(), stop.clone());
                tasks.spawn(async move { TaskEnd::Deliver(of, delivering.run(link, stop).await) });
            }
        }
        Ok(())
    }

    async fn delivering_of(&mut self, of: &AccountRef) -> Result<Arc<Delivering>, StoreError> {
        if let Some(delivering) = self.delivering.get(of) {
            return Ok(delivering.clone());
        }
        let delivering = Delivering::new(self.context.clone(), of.clone());
        delivering.resume_held().await?;
        self.delivering.insert(of.clone(), delivering.clone());
        Ok(delivering)
    }

    /// Takes a new config over. True if the session must start anew for it.
    async fn take_over(&self, mut config: Config) -> Result<bool, DaemonError> {
        crate::systemd::reloading();
        let old = self.live.get();
        let changes = Config::diff_for_reload(&old.config, &config);
        for section in changes.need_restart() {
            warn!(
                section = section.as_str(),
                "this change needs a restart; the old setting stays in force"
            );
        }
        config.broker = old.config.broker.clone();
        config.store = old.config.store.clone();
        config.root_key.clone_from(&old.config.root_key);
        config.stages = old.config.stages;
        config.ingest.listen = old.config.ingest.listen;
        let new = match Live::new(config) {
            Ok(new) => new,
            Err(error) => {
                error!(%error, "the new config is wrong; the old one stays in force");
                crate::systemd::ready();
                return Ok(false);
            }
        };
        restore_bindings(&new, self.store.as_ref()).await?;
        self.live.replace(new);
        for account in &changes.accounts_changed {
            if let Some(delivering) = self.delivering.get(account) {
                delivering.reset();
            }
        }
        let sections: Vec<_> = changes.sections.iter().map(|section| section.as_str()).collect();
        info!(?sections, "the config was reloaded");
        crate::systemd::ready();
        let anew = !changes.accounts_added.is_empty() || !changes.accounts_removed.is_empty();
        Ok(anew || changes.sections.contains(&Section::Accounts))
    }

    fn connect_config(&self) -> Result<ConnectConfig, DaemonError> {
        let live = self.live.get();
        connect_config(&live.config, self.embedded.as_ref().map(EmbeddedBroker::uri))
    }
}

/// How to reach the broker of a config. `embedded`: the address of the one inside this process.
///
/// # Errors
/// [`interline_broker::UrlError`] if a URL cannot be used.
pub fn connect_config(
    config: &Config,
    embedded: Option<String>,
) -> Result<ConnectConfig, DaemonError> {
    let urls: Vec<String> = match (&config.broker.servers, embedded) {
        (_, Some(uri)) => vec![uri],
        (Servers::Embedded, None) => Vec::new(),
        (Servers::Nodes(urls), None) => urls.iter().map(|url| url.expose().to_owned()).collect(),
    };
    let urls = BrokerUrls::parse(&urls)?;
    let mut connect = ConnectConfig::new(urls, "interline");
    connect.connect_timeout = config.broker.connect_timeout;
    connect.heartbeat = config.broker.heartbeat;
    connect.ca_file.clone_from(&config.broker.ca_file);
    connect.publish_timeout = config.broker.publish_timeout;
    connect.blocked_max = config.broker.blocked_timeout;
    Ok(connect)
}

/// Every exchange and queue that a config needs.
pub fn topology_of(live: &Live) -> Topology {
    let bridges = live.bridges_in_use();
    let platforms: Vec<&str> = bridges.iter().map(|bridge| bridge.manifest().id.as_str()).collect();
    let accounts: Vec<(&str, &str)> = live
        .accounts()
        .map(|account| (account.of.platform.as_str(), &*account.of.account))
        .collect();
    let mut egress: Vec<&str> = live
        .accounts()
        .filter(|account| account.egress == crate::config::Egress::Queue)
        .map(|account| account.of.platform.as_str())
        .collect();
    egress.sort_unstable();
    egress.dedup();
    Topology::interline(&live.config.broker.prefix, &platforms, &accounts, &egress)
}

enum StartError {
    Store(StoreError),
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

fn report(ended: Result<TaskEnd, tokio::task::JoinError>) {
    match ended {
        Ok(TaskEnd::Relay(Ok(())) | TaskEnd::Deliver(_, Ok(()))) => {}
        Ok(TaskEnd::Relay(Err(error))) => {
            warn!(%error, "the relay stage starts anew")
        }
        Ok(TaskEnd::Deliver(account, Err(error))) => {
            warn!(%error, account_ref = %account, "the deliver stage starts anew");
        }
        Err(error) => error!(%error, "a stage's task died; the stages start anew"),
    }
}

async fn close(link: Arc<Link>) {
    if let Ok(link) = Arc::try_unwrap(link) {
        link.close(CLOSE_TIMEOUT).await;
    }
}

/// Where the store's root key is kept when the config names none.
pub fn root_key_path(config: &Config) -> PathBuf {
    let StoreUrl::Sqlite(path) = &config.store.url;
    path.with_file_name("root.key")
}

/// The root key: from the config, or from beside the store, where it is made once with a new store.
///
/// # Errors
/// [`StoreError`] if the key file is unreadable or missing beside an existing store.
pub fn root_key(config: &Config) -> Result<RootKey, StoreError> {
    if let Some(key) = config.root_key() {
        return Ok(key);
    }
    let StoreUrl::Sqlite(path) = &config.store.url;
    RootKeyFile::load_or_create(&root_key_path(config), path.exists())
}

fn open_store(config: &Config) -> Result<(SqliteStore, RootKey), StoreError> {
    let root = root_key(config)?;
    let StoreUrl::Sqlite(path) = &config.store.url;
    let store = SqliteStore::open(path, &root, &store_settings(config))?;
    Ok((store, root))
}

fn store_settings(config: &Config) -> interline_store::Settings {
    interline_store::Settings {
        held_rows_max: config.store.held_rows_max,
        dispatch_retention: config.store.dispatch_retention,
        copy_retention: config.store.copy_retention,
        ..interline_store::Settings::default()
    }
}

async fn restore_bindings(live: &Live, store: &dyn Store) -> Result<(), StoreError> {
    for (address, id) in store.bindings().await? {
        live.directory.remember(&interline_relay::Binding { id, address });
    }
    Ok(())
}

async fn retain(store: Arc<dyn Store>, stop: CancellationToken) -> std::io::Result<()> {
    loop {
        if let Err(error) = store.retain(crate::clock::now_ms()).await {
            error!(%error, "old rows cannot be dropped");
        }
        tokio::select! {
            () = tokio::time::sleep(RETAIN_EVERY) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}
