//! The daemon: opens what it needs; `stages.rs` starts the stages, `supervisor.rs` keeps them running and drains them.
//!
//! It connects to the broker again and again with a back-off; each connection is a *session* with its own topology
//! check, publishers and consumers. What outlives a session: the webhook server (it answers 503 meanwhile), the
//! lanes of each account, the store.

mod media;
mod stages;
mod storage;
mod supervisor;

use crate::admin::StatusSocket;
use crate::config::{Config, Servers};
use crate::deliver::Http;
use crate::live::{Live, LiveHandle};
use crate::media::MediaServer;
use crate::metrics::Metrics;
use crate::status::Overview;
use interline_broker::{BrokerUrls, ConnectConfig, Topology};
use interline_embedded_broker::EmbeddedBroker;
use interline_store::{Store, StoreError};
pub use stages::{Stages, StartError, TaskEnd};
use std::net::SocketAddr;
use std::sync::Arc;
pub use storage::{root_key, root_key_path, status_socket_path};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The config contradicts itself; a checked one does not.
    #[error(transparent)]
    Directory(#[from] interline_relay::DirectoryError),
    /// The store cannot be opened or fails for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A server cannot listen.
    #[error(
        "cannot listen on {listen}; is another program there, is it no address of this machine, or a port below 1024? \
         Change {key}, or stop that program"
    )]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// The key of the config that says so.
        key: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What systemd handed over is no listener.
    #[error(
        "the listener that systemd hands over cannot be used; interline.socket needs one ListenStream= with an address \
         and a port"
    )]
    HandedOver(#[source] std::io::Error),
    /// The HTTP client cannot be built.
    #[error(
        "the HTTP client cannot be built; are the system's CA certificates installed (ca-certificates)?"
    )]
    Http(#[source] reqwest::Error),
    /// The embedded broker cannot start.
    #[error("the embedded broker cannot start; is the loopback interface up?")]
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
            Self::Listen { .. } | Self::HandedOver(_) | Self::Http(_) | Self::Embedded(_) => false,
        }
    }
}

/// A daemon that is ready to run.
pub struct Daemon {
    stages: Stages,
    overview: Overview,
    embedded: Option<EmbeddedBroker>,
    listener: Option<TcpListener>,
    listen: Option<SocketAddr>,
    admin: Option<TcpListener>,
    media: Option<(TcpListener, MediaServer)>,
    status: Option<StatusSocket>,
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
        Self::open_on(config, None).await
    }

    /// The same with a listener for webhooks that somebody else has bound, and holds while the daemon is away: then
    /// `[ingest] listen` is not used.
    ///
    /// # Errors
    /// [`DaemonError`] says what is missing.
    pub async fn open_on(
        config: Config,
        webhooks: Option<std::net::TcpListener>,
    ) -> Result<(Self, Handle), DaemonError> {
        let metrics = Metrics::new();
        let (store, root) = storage::open(&config, &metrics)?;
        let store: Arc<dyn Store> = Arc::new(store);
        let deliver = config.deliver;
        let http = Http::new(deliver.connect_timeout, deliver.request_timeout)
            .map_err(DaemonError::Http)?;
        let embedded = embedded_broker(&config).await?;
        let listener = listen_for_webhooks(&config, webhooks).await?;
        let listen = listener.as_ref().and_then(|bound| bound.local_addr().ok());
        let admin = bind(config.admin.listen, "[admin] listen").await?;
        let status = status_socket(&config).await;
        let live = LiveHandle::new(Live::new(config)?);
        let stop = CancellationToken::new();
        let (send_reload, reloads) = mpsc::channel(1);
        let (media, server) = media::open(&live, &http, &root, &metrics).await?;
        let ffmpeg = media.conversions().sounds_and_films;
        let overview = Overview::new(store.clone(), metrics.clone(), stop.clone(), ffmpeg);
        let stages = Stages::new(live, store, &root, http, media, metrics, stop.clone()).await?;
        let handle = Handle { stop: stop.clone(), reloads: send_reload };
        let daemon = Self {
            stages,
            overview,
            embedded,
            listener,
            listen,
            admin,
            media: server,
            status,
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
}

/// The broker inside the daemon, where the config asks for it.
async fn embedded_broker(config: &Config) -> Result<Option<EmbeddedBroker>, DaemonError> {
    match &config.broker.servers {
        Servers::Embedded => {
            let started = EmbeddedBroker::start(interline_embedded_broker::Config::default());
            Ok(Some(started.await.map_err(DaemonError::Embedded)?))
        }
        Servers::Nodes(_) => Ok(None),
    }
}

/// What was handed over, else what the config says; nothing without the ingest stage.
async fn listen_for_webhooks(
    config: &Config,
    handed_over: Option<std::net::TcpListener>,
) -> Result<Option<TcpListener>, DaemonError> {
    match handed_over.filter(|_| config.stages.ingest) {
        Some(listener) => Ok(Some(take(listener)?)),
        None => {
            let ingest = config.stages.ingest.then_some(config.ingest.listen);
            bind(ingest, "[ingest] listen").await
        }
    }
}

fn take(listener: std::net::TcpListener) -> Result<TcpListener, DaemonError> {
    listener.set_nonblocking(true).map_err(DaemonError::HandedOver)?;
    TcpListener::from_std(listener).map_err(DaemonError::HandedOver)
}

async fn bind(
    listen: Option<SocketAddr>,
    key: &'static str,
) -> Result<Option<TcpListener>, DaemonError> {
    let Some(listen) = listen else { return Ok(None) };
    match TcpListener::bind(listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(DaemonError::Listen { listen, key, source }),
    }
}

/// A daemon that cannot tell its status works all the same.
async fn status_socket(config: &Config) -> Option<StatusSocket> {
    match StatusSocket::bind(&status_socket_path(config)).await {
        Ok(socket) => Some(socket),
        Err(error) => {
            warn!(%error, "`interline status` will not work: its socket cannot be made; see [admin] socket");
            None
        }
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
        .with_queues(live.config.broker.queue_type)
}

async fn restore_bindings(live: &Live, store: &dyn Store) -> Result<(), StoreError> {
    for (address, id) in store.bindings().await? {
        live.directory.remember(&interline_relay::Binding { id, address });
    }
    Ok(())
}
