//! `interline topology`: the exchanges and queues that a config needs.

use super::{ExitCode, Failure, Outcome};
use crate::config::Servers;
use crate::live::Live;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Print the exchanges and queues that the config needs, or declare them on the broker.
///
/// Declaring is idempotent. The daemon does it at every start, so this is for operators whose daemon may not, and for
/// looking.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline topology --config interline.toml\n  \
    interline topology --config interline.toml --declare")]
pub(super) struct Args {
    /// Make them on the broker of the config.
    #[arg(long)]
    declare: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> Outcome {
    let config = super::load_for_broker(path)?;
    let embedded = config.broker.servers == Servers::Embedded;
    let live = Live::new(config).map_err(Failure::config)?;
    let topology = crate::daemon::topology_of(&live);
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &topology)?;
        writeln!(out)?;
    } else {
        write!(out, "{topology}")?;
    }
    if args.declare {
        if embedded {
            return Err(anyhow::anyhow!(
                "the embedded broker lives inside the daemon, so nothing can be declared on it; name a RabbitMQ in [broker] urls"
            )
            .into());
        }
        let connect = crate::daemon::connect_config(&live.config, None).map_err(Failure::config)?;
        let report = super::runtime()?.block_on(async {
            let link = interline_broker::connect(&connect).await?;
            let report = link.declare(&topology).await;
            link.close(CLOSE_TIMEOUT).await;
            Ok::<_, anyhow::Error>(report?)
        })?;
        let kind = if report.has_classic_queues() {
            "some as classic queues, which are not replicated: this broker offers no quorum queues"
        } else {
            "all of them quorum queues"
        };
        writeln!(std::io::stderr(), "declared {} queues, {kind}", report.queues.len())?;
    }
    Ok(ExitCode::Done)
}
