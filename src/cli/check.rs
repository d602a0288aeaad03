//! `interline check`: what is wrong with the config, all of it at once.

use super::{ExitCode, Failure, Outcome};
use crate::config::{Config, Servers, StoreUrl};
use crate::media::Converter;
use anyhow::Context;
use interline_store::SqliteStore;
use std::io::Write;
use std::path::Path;

/// Check the config, and say all that is wrong with it at once.
///
/// Reads the config, fetches its secrets and looks at the store; each mistake is told with its key and line. Exits with
/// 0 if the daemon can run with it, with 78 if not. It talks to no broker and no platform. The systemd unit runs it
/// before every start.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  interline check --config interline.toml")]
pub(super) struct Args {
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> Outcome {
    let config = super::load_and_warn(path)?;
    let StoreUrl::Sqlite(store_path) = &config.store.url;
    let store = if SqliteStore::exists(store_path).map_err(Failure::config)? {
        let root = super::root_key(&config)?;
        Some(SqliteStore::inspect(store_path, &root).map_err(Failure::config)?)
    } else {
        let parent = store_path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
            return Err(Failure::config(anyhow::anyhow!(
                "the store's folder {} is not there; make it, or let systemd make it with StateDirectory=interline",
                parent.display()
            )));
        }
        None
    };
    let brokers = match &config.broker.servers {
        Servers::Embedded => "embedded (keeps nothing)".to_owned(),
        Servers::Nodes(urls) if urls.len() == 1 => "1 node".to_owned(),
        Servers::Nodes(urls) => format!("{} nodes", urls.len()),
    };
    crate::daemon::connect_config(&config, None).map_err(Failure::config).map(drop).or_else(
        |failure| {
            if matches!(config.broker.servers, Servers::Embedded) { Ok(()) } else { Err(failure) }
        },
    )?;
    print(&config, args.json, path, store_path, store.as_ref(), &brokers)
        .context("the answer cannot be printed; is its reader gone, or the disk full?")?;
    Ok(ExitCode::Done)
}

fn print(
    config: &Config,
    json: bool,
    path: &Path,
    store_path: &Path,
    store: Option<&interline_store::Info>,
    brokers: &str,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let version = store.map(|info| info.schema_version);
    let converter = Converter::find(&config.media.ffmpeg);
    let ffmpeg = converter.ffmpeg();
    if json {
        let object = serde_json::json!({
            "config": path,
            "accounts": config.accounts.len(),
            "conversations": config.conversations.len(),
            "broker": brokers,
            "store": {"path": store_path, "exists": store.is_some(), "schema_version": version},
            "ffmpeg": ffmpeg,
        });
        return writeln!(out, "{object}");
    }
    writeln!(out, "{} is fine", path.display())?;
    writeln!(out, "  accounts       {}", config.accounts.len())?;
    writeln!(out, "  conversations  {}", config.conversations.len())?;
    writeln!(out, "  broker         {brokers}")?;
    match ffmpeg {
        Some(ffmpeg) => writeln!(out, "  ffmpeg         {}", ffmpeg.display())?,
        None => writeln!(out, "  ffmpeg         none: sounds and films are not converted")?,
    }
    match version {
        Some(version) => {
            writeln!(out, "  store          {}, schema version {version}", store_path.display())
        }
        None => writeln!(out, "  store          {}, made at the first start", store_path.display()),
    }
}
