//! The daemon with everything around it in one process: broker, platforms, people.
//!
//! Nothing is short-circuited: webhooks and sends are HTTP on loopback, the broker is spoken to in AMQP, the daemon is
//! the one that `interline run` starts, with a config in the operator's language.

pub mod cast;
pub mod demo;
pub mod live;
pub mod prompt;
pub mod screen;
pub mod script;

use crate::config::{Config, ConfigErrors, SecretSource};
use crate::daemon::{Daemon, DaemonError, Handle};
use cast::{CAST, Member};
use interline_embedded_broker::EmbeddedBroker;
use interline_sandbox::{Phone, PhoneError, Platforms, StartError, SubscribeError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::{JoinError, JoinSet};

/// How long the daemon may take to connect. Generous: it is no measure of speed.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Why a sandbox cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no place for the store.
    #[error(
        "the folder for the store cannot be made or written; is the disk full? TMPDIR chooses another one"
    )]
    Folder(#[source] std::io::Error),
    /// The broker cannot listen.
    #[error("the broker in memory cannot start; is the loopback interface up?")]
    Broker(#[source] std::io::Error),
    /// The platforms cannot start.
    #[error("the simulated platforms cannot start; is the loopback interface up?")]
    Platforms(#[from] StartError),
    /// The config that the sandbox wrote is refused.
    #[error("the sandbox's own config is refused, which is a mistake of this program; report it")]
    Config(#[from] ConfigErrors),
    /// The daemon cannot start, or ended with an error.
    #[error("the daemon failed")]
    Daemon(#[from] DaemonError),
    /// The daemon ended, though nobody told it to.
    #[error("the daemon ended by itself; -v shows its log")]
    Ended,
    /// The daemon and the broker do not find each other.
    #[error("the daemon did not connect to the broker in {CONNECT_LIMIT:?}; -v shows its log")]
    NotConnected,
    /// The daemon's task panicked.
    #[error(
        "the daemon panicked, which is a mistake of this program; report it, with the log that -v shows"
    )]
    Panicked(#[source] JoinError),
    /// A webhook subscription was refused.
    #[error("a platform could not subscribe to the daemon's webhook")]
    Subscribe(#[from] SubscribeError),
    /// A person cannot do what the script says.
    #[error("a person cannot do what the script says")]
    Phone(#[from] PhoneError),
    /// A step of a script cannot be done.
    #[error("the step at line {line} of the script cannot be done")]
    Step {
        /// Where the step begins.
        line: u32,
        /// Why.
        #[source]
        source: PhoneError,
    },
    /// Somebody ended it before it was over.
    #[error("the play was ended before it was over; start it again to see all of it")]
    Interrupted,
    /// The output is closed.
    #[error("the output cannot be written; is its reader gone, or the disk full?")]
    Print(#[from] std::io::Error),
}

/// How a sandbox is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many conversations of three there are, at most as many as [`cast::ROOMS`] has.
    pub rooms: usize,
    /// How long the daemon waits for news of a send whose fate is unknown; `None`: as long as it does by default.
    pub settle_timeout: Option<Duration>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { rooms: 1, settle_timeout: None }
    }
}

/// A running sandbox. [`Sandbox::stop`] ends it in order; dropping it ends it at once.
pub struct Sandbox {
    platforms: Platforms,
    broker: EmbeddedBroker,
    handle: Handle,
    daemon: JoinSet<Result<(), DaemonError>>,
    folder: TempDir,
    webhooks: SocketAddr,
}

impl Sandbox {
    /// Starts broker, platforms and daemon, and subscribes the platforms' webhooks to the daemon.
    ///
    /// # Errors
    /// [`SandboxError`] says which of them did not start.
    pub async fn start() -> Result<Self, SandboxError> {
        Self::start_with(&Setup::default()).await
    }

    /// The same, set up otherwise.
    ///
    /// # Errors
    /// [`SandboxError`] says what did not start.
    pub async fn start_with(setup: &Setup) -> Result<Self, SandboxError> {
        let folder = tempfile::Builder::new()
            .prefix("interline-sandbox-")
            .tempdir()
            .map_err(SandboxError::Folder)?;
        let broker = EmbeddedBroker::start(interline_embedded_broker::Config::default())
            .await
            .map_err(SandboxError::Broker)?;
        let platforms = Platforms::start(cast::platforms(setup.rooms)).await?;
        let store = folder.path().join("interline.db");
        let text = cast::daemon_config(&broker.uri(), &store, &platforms, setup);
        let path = folder.path().join("interline.toml");
        std::fs::write(&path, &text).map_err(SandboxError::Folder)?;
        // It has no secrets but its own, so the environment decides nothing.
        let nowhere = SecretSource { env: Box::new(|_| None), credentials_directory: None };
        let (config, _secrets_stand_in_the_config) =
            Config::parse(&path, &text, &crate::bridges::ids(), &nowhere)?;
        let (daemon, handle) = Daemon::open(config).await?;
        let webhooks = daemon.listen().ok_or(SandboxError::Ended)?;
        let mut running = JoinSet::new();
        running.spawn(daemon.run());
        let sandbox = Self { platforms, broker, handle, daemon: running, folder, webhooks };
        for member in CAST {
            if let Some(account) = sandbox.platforms.of(member.kind).account(member.account) {
                account.set_webhook_url(Some(&sandbox.webhook_url(&member)));
                account.subscribe().await?;
            }
        }
        sandbox.until_connected().await?;
        Ok(sandbox)
    }

    /// Waits until every stage of the daemon consumes its queue: one of events for each platform, one of dispatches
    /// for each account.
    async fn until_connected(&self) -> Result<(), SandboxError> {
        let consumed = |broker: &interline_embedded_broker::Snapshot| {
            broker.queues.values().filter(|depth| depth.consumers > 0).count() >= 2 * CAST.len()
        };
        let connected = self.broker.wait_until(consumed, CONNECT_LIMIT).await;
        connected.map(drop).map_err(|_| SandboxError::NotConnected)
    }

    /// Where a member's platform posts its webhooks.
    pub fn webhook_url(&self, member: &Member) -> String {
        format!("http://{}/webhooks/{}", self.webhooks, member.kind.word())
    }

    /// The platforms.
    pub const fn platforms(&self) -> &Platforms {
        &self.platforms
    }

    /// The broker.
    pub const fn broker(&self) -> &EmbeddedBroker {
        &self.broker
    }

    /// The daemon's config, which other commands can be given with `--config`.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("interline.toml")
    }

    /// The folder of config, store and key.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A member's phone.
    ///
    /// # Errors
    /// [`PhoneError::Gone`]; everybody of the cast is there from the start.
    pub fn phone(&self, member: &Member) -> Result<Phone, PhoneError> {
        member.phone(&self.platforms).ok_or(PhoneError::Gone)
    }

    /// Returns when the daemon ends, which it should not before [`Sandbox::stop`]. Cancel-safe.
    pub async fn ended(&mut self) -> SandboxError {
        match self.daemon.join_next().await {
            Some(ended) => error_of(ended).unwrap_or(SandboxError::Ended),
            None => SandboxError::Ended,
        }
    }

    /// Drains the daemon, then stops the broker and the platforms. `keep`: leaves the folder, whose path is returned.
    ///
    /// # Errors
    /// What the daemon ended with, or that the folder cannot be removed.
    pub async fn stop(mut self, keep: bool) -> Result<Option<PathBuf>, SandboxError> {
        self.handle.stop();
        let mut error = None;
        while let Some(ended) = self.daemon.join_next().await {
            error = error_of(ended).or(error);
        }
        self.broker.stop().await;
        self.platforms.stop().await;
        let kept = if keep {
            Some(self.folder.keep())
        } else {
            self.folder.close().map_err(SandboxError::Folder)?;
            None
        };
        error.map_or(Ok(kept), Err)
    }
}

fn error_of(ended: Result<Result<(), DaemonError>, JoinError>) -> Option<SandboxError> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.into()),
        Err(error) => Some(SandboxError::Panicked(error)),
    }
}
