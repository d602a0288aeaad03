//! `interline render`: the request that a platform would be sent.

use super::{ExitCode, Outcome};
use anyhow::Context;
use interline_bridge_api::{Outgoing, RenderContext};
use std::io::Write;
use std::path::PathBuf;

/// Print the request that a platform would be sent.
///
/// Reads one thing to be sent, as JSON, and prints the request without credentials.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Which platform it is for: whatsapp, messenger or instagram.
    bridge: String,
    /// The file that holds it; `-` or nothing for standard input.
    file: Option<PathBuf>,
    /// The account that sends it; it stands in the request's path.
    #[arg(long, default_value = "ACCOUNT")]
    account: String,
}

const EXAMPLE: &str = r#"Example:
  echo '{"to": {"user": "15550001111"}, "action": {"text": {"text": "hi"}}}' |
    interline render whatsapp --account 106540352242922"#;

pub(super) fn run(args: &Args) -> Outcome {
    let bridge = super::bridge(&args.bridge)?;
    let bytes = super::normalize::read_bounded(args.file.as_deref())?;
    let outgoing: Outgoing = serde_json::from_slice(&bytes)
        .context("this is not a thing to be sent; `interline render --help` shows its form")?;
    let context = RenderContext { account: &args.account, send_as: &args.account };
    let request = bridge.render(&context, &outgoing)?;
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &request)?;
    writeln!(stdout)?;
    Ok(ExitCode::Done)
}
