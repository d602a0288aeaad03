//! `interline run`: the daemon.

use super::{ExitCode, Failure, Outcome};
use crate::config::{Config, SecretSource};
use crate::daemon::{Daemon, DaemonError, Handle};
use std::path::Path;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// Run the daemon until SIGTERM or Ctrl-C.
///
/// SIGHUP reloads accounts and conversations; a config with mistakes is refused, and the old one stays. The first
/// SIGTERM drains: what is under way is finished within [shutdown] deadline. A second one ends it at once; nothing is
/// lost by that, the broker brings again what was open.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  interline run --config interline.toml")]
pub(super) struct Args {}

pub(super) fn run(path: &Path, verbose: u8) -> Outcome {
    let (config, warnings) = super::load_with_warnings(path)?;
    crate::telemetry::init(verbose, config.log.format);
    for warning in warnings {
        warn!(%warning, "the config");
    }
    crate::telemetry::log_panics();
    let webhooks = crate::systemd::listener().map_err(DaemonError::HandedOver).map_err(failure)?;
    super::runtime()?.block_on(async {
        let (daemon, handle) = Daemon::open_on(config, webhooks).await.map_err(failure)?;
        // Before the daemon says that it is ready: from then on a SIGHUP must not end it.
        let caught = Signals::catch();
        let mut signals = tokio::task::JoinSet::new();
        signals.spawn(listen(path.to_owned(), handle, caught));
        let done = daemon.run().await.map_err(failure);
        signals.shutdown().await;
        done
    })?;
    Ok(ExitCode::Done)
}

fn failure(error: DaemonError) -> Failure {
    let code = if error.is_config() { ExitCode::Config } else { ExitCode::Failed };
    Failure { error: error.into(), code }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Turns signals into orders.
async fn listen(path: std::path::PathBuf, handle: Handle, caught: std::io::Result<Signals>) {
    let Signals { mut terminate, mut interrupt, mut hangup } = match caught {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "signals cannot be listened to; stop the daemon with SIGKILL, nothing is lost");
            return;
        }
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => match Config::load(&path, &crate::bridges::ids(), &SecretSource::process()) {
                Ok((config, warnings)) => {
                    for warning in warnings {
                        warn!(%warning, "the new config");
                    }
                    handle.reload(config).await;
                }
                Err(error) => error!(%error, "the new config is wrong; the old one stays in force"),
            },
        }
    }
    info!("draining");
    handle.stop();
    // A second signal means now.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    warn!("stopped before the drain was done; what was open comes again");
    std::process::exit(1);
}
