//! Opens the two connections of a link, trying each URL once.
//!
//! No retry and no recovery of the client library is used: the supervisor decides when to try again. An attempt that
//! times out has its socket shut, so that it leaves no thread behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::{Connection, ConnectionProperties};

use crate::errors::{AttemptError, BrokerFault, ConnectError, ConnectFailure, Role};
use crate::link::Link;
use crate::socket::Sockets;
use crate::urls::{BrokerUrl, BrokerUrls};

const CODE_ACCESS_REFUSED: u16 = 403;
const CODE_NOT_ALLOWED: u16 = 530;
const CODE_NOT_FOUND: u16 = 404;

/// How to reach the broker, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// The nodes, in the order in which they are tried.
    pub urls: BrokerUrls,
    /// For each URL and connection: address, TCP, TLS and AMQP handshake together.
    pub connect_timeout: Duration,
    /// The interval of heartbeats, in whole seconds, at least one; the broker may ask for a shorter one. A silent peer
    /// is given up after twice this interval.
    pub heartbeat: Duration,
    /// A PEM file with the operator's own certificate authority, trusted beside Mozilla's list.
    pub ca_file: Option<PathBuf>,
    /// How the connections are named at the broker; their role is put behind it.
    pub connection_name: String,
    /// A publish that is not confirmed within this loses the link.
    pub publish_timeout: Duration,
    /// A broker that blocks publishing (`connection.blocked`) for longer than this loses the link.
    pub blocked_max: Duration,
}

impl ConnectConfig {
    /// With the defaults: 10 s to connect, heartbeats every 10 s, 30 s for a confirm, 60 s blocked.
    #[must_use]
    pub fn new(urls: BrokerUrls, connection_name: impl Into<String>) -> Self {
        Self {
            urls,
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            ca_file: None,
            connection_name: connection_name.into(),
            publish_timeout: Duration::from_secs(30),
            blocked_max: Duration::from_secs(60),
        }
    }

    fn heartbeat_secs(&self) -> u16 {
        u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1)
    }
}

/// Opens a link: tries each URL once, in turn, until one node gives both connections. Must run inside a tokio runtime,
/// which the link's tasks then belong to.
///
/// Cancel safety: dropping the future gives the attempt up; its socket closes with it.
///
/// # Errors
/// [`ConnectError::CaFile`] if the CA file cannot be read; [`ConnectError::NoneUsable`] with one reason a URL.
pub async fn connect(config: &ConnectConfig) -> Result<Link, ConnectError> {
    let tls = tls_config(config.ca_file.as_deref()).await?;
    let mut failures = Vec::new();
    for url in config.urls.iter() {
        match connect_to(url, config, &tls).await {
            Ok(link) => return Ok(link),
            Err(error) => failures.push(ConnectFailure { url: url.to_string(), error }),
        }
    }
    Err(ConnectError::NoneUsable { failures })
}

async fn connect_to(
    url: &BrokerUrl,
    config: &ConnectConfig,
    tls: &OwnedTLSConfig,
) -> Result<Link, AttemptError> {
    let dialer = Dialer { url: url.clone(), config: config.clone(), tls: tls.clone() };
    let consume = dialer.open(Role::Consume).await?;
    let publish = dialer.open(Role::Publish).await?;
    tracing::info!(broker = %url, "connected to the broker");
    Ok(Link::new(consume, publish, dialer))
}

async fn tls_config(ca_file: Option<&Path>) -> Result<OwnedTLSConfig, ConnectError> {
    let Some(path) = ca_file else { return Ok(OwnedTLSConfig::default()) };
    let failed = |error| ConnectError::CaFile { path: path.to_owned(), source: Arc::new(error) };
    let pem = tokio::fs::read_to_string(path).await.map_err(failed)?;
    // The client library would silently trust nothing more where the file holds no certificate.
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(failed(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "it holds no PEM certificate",
        )));
    }
    Ok(OwnedTLSConfig { cert_chain: Some(pem), identity: None })
}

/// One connection, and a handle on its socket.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) sockets: Sockets,
}

/// Opens connections to one node.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    url: BrokerUrl,
    pub(crate) config: ConnectConfig,
    tls: OwnedTLSConfig,
}

/// How far an attempt came, so that its failure can be named.
#[derive(Default)]
struct Attempt {
    stage: AtomicU8,
    sockets: Sockets,
}

const STAGE_RESOLVE: u8 = 0;
const STAGE_TCP: u8 = 1;
const STAGE_TLS: u8 = 2;
const STAGE_AMQP: u8 = 3;

impl Attempt {
    fn reached(&self, stage: u8) {
        self.stage.store(stage, Ordering::SeqCst);
    }

    fn classify(&self, fault: BrokerFault) -> AttemptError {
        match (self.stage.load(Ordering::SeqCst), fault.code()) {
            (STAGE_RESOLVE, _) => AttemptError::Unresolved(fault),
            (STAGE_TCP, _) => AttemptError::Unreachable(fault),
            (STAGE_TLS, _) => AttemptError::Tls(fault),
            (_, Some(CODE_ACCESS_REFUSED)) => AttemptError::LoginRefused(fault),
            (_, Some(CODE_NOT_ALLOWED | CODE_NOT_FOUND)) => AttemptError::VhostRefused(fault),
            _ => AttemptError::Handshake(fault),
        }
    }
}

/// Shuts an attempt's sockets unless it succeeded, however it ends: by an error, a timeout or a dropped future.
struct ShutOnDrop(Arc<Attempt>);

impl Drop for ShutOnDrop {
    fn drop(&mut self) {
        self.0.sockets.shut();
    }
}

impl Dialer {
    pub(crate) async fn open(&self, role: Role) -> Result<Opened, AttemptError> {
        let limit = self.config.connect_timeout;
        let attempt = Arc::new(Attempt::default());
        let guard = ShutOnDrop(Arc::clone(&attempt));
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} {role}", self.config.connection_name).into())
            .with_client_property("product".into(), "Interline".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
            // The first connect would otherwise be retried out of sight.
            .configure_backoff(|backoff| backoff.with_max_times(0));
        let runtime =
            lapin::runtime::default_runtime().map_err(|error| attempt.classify(error.into()))?;
        let (dialled, url, tls) = (Arc::clone(&attempt), self.url.clone(), self.tls.clone());
        let handshake = Connection::connector(
            self.url.to_uri(self.config.heartbeat_secs()),
            runtime,
            // Runs on the connection's own thread, which no one can cancel: it carries its own limit.
            async move |_, runtime| {
                let dialling = async {
                    let host = url.host().to_owned();
                    let mut last_error = std::io::Error::other("the name has no address");
                    for address in tokio::net::lookup_host((host.as_str(), url.port())).await? {
                        dialled.reached(STAGE_TCP);
                        match AsyncTcpStream::connect(&runtime, address).await {
                            Ok(stream) => {
                                if let AsyncTcpStream::Plain(plain) = &stream {
                                    plain.get_ref().set_nodelay(true)?;
                                    dialled.sockets.keep(plain.get_ref())?;
                                }
                                if !url.is_tls() {
                                    dialled.reached(STAGE_AMQP);
                                    return Ok(stream);
                                }
                                dialled.reached(STAGE_TLS);
                                let stream = stream.into_tls(url.host(), tls.as_ref()).await?;
                                // A build without TLS would hand the plain stream back, and send the password on it.
                                if matches!(stream, AsyncTcpStream::Plain(_)) {
                                    return Err(std::io::Error::other("this build has no TLS"));
                                }
                                dialled.reached(STAGE_AMQP);
                                return Ok(stream);
                            }
                            Err(error) => last_error = error,
                        }
                    }
                    Err(last_error)
                };
                let timed_out =
                    || std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
                let stream = tokio::time::timeout(limit, dialling)
                    .await
                    .unwrap_or_else(|_| Err(timed_out()))?;
                Ok(stream)
            },
            properties,
        );
        let connection = match tokio::time::timeout(limit, handshake).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(attempt.classify(error.into())),
            Err(_) => return Err(AttemptError::TimedOut(limit)),
        };
        let sockets = Sockets::default();
        sockets.adopt(&attempt.sockets);
        drop(guard);
        Ok(Opened { connection, sockets })
    }
}
