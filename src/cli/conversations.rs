//! `interline conversations`: who hears whom, as the config has it.

use super::{ExitCode, Outcome};
use crate::config::Config;
use std::io::Write;
use std::path::Path;

/// List the conversations of the config and who hears whom.
///
/// Addresses of people are shown only with --addresses, since what a terminal shows is often logged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline conversations --config interline.toml\n  \
    interline conversations --config interline.toml --addresses --json")]
pub(super) struct Args {
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    json: bool,
    /// Show each participant's whole address instead of the account alone.
    #[arg(long)]
    addresses: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> Outcome {
    let (config, _warnings) =
        Config::load_unfetched(path, &crate::bridges::ids()).map_err(super::Failure::config)?;
    let mut out = std::io::stdout().lock();
    for conversation in &config.conversations {
        let participants: Vec<String> = conversation
            .participants
            .iter()
            .map(|participant| match args.addresses {
                true => participant.address.to_exposed_string(),
                false => format!("{}/…", participant.address.account),
            })
            .collect();
        if args.json {
            let object =
                serde_json::json!({"name": &*conversation.name, "participants": participants});
            writeln!(out, "{object}")?;
        } else {
            writeln!(out, "{}: {}", conversation.name, participants.join("  "))?;
        }
    }
    if config.conversations.is_empty() && !args.json {
        writeln!(
            out,
            "no conversation is configured; add a [[conversation]] to {}",
            path.display()
        )?;
    }
    Ok(ExitCode::Done)
}
