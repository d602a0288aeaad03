//! `interline normalize`: what a webhook body or native event means, one envelope a line.

use super::{ExitCode, Failure, Outcome};
use anyhow::Context;
use interline_envelope::{BODY_BYTES_MAX, IdKey};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Print what a webhook body or native event means, one envelope a line.
///
/// The fields are those of docs/envelope.schema.json. Items that cannot be read are told on stderr and never stop their
/// neighbours. A body that is no event at all exits with 1 and says what is wrong and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline normalize whatsapp webhook.json\n  \
    curl -s https://example.org/event | interline normalize messenger")]
pub(super) struct Args {
    /// Which platform the event came from: whatsapp, messenger or instagram.
    bridge: String,
    /// The file that holds it; `-` or nothing for standard input.
    file: Option<PathBuf>,
    /// Make ids with the root key of the config, as the daemon does, instead of the published test key.
    #[arg(long)]
    keyed: bool,
}

pub(super) fn run(config: &Path, args: &Args) -> Outcome {
    let bridge = super::bridge(&args.bridge)?;
    let body = read_bounded(args.file.as_deref())?;
    let ids = if args.keyed {
        IdKey::new(&super::root_key(&super::load(config)?)?)
    } else {
        writeln!(
            std::io::stderr(),
            "note: ids are made with the published test key; --keyed takes the config's"
        )?;
        IdKey::published_test_key()
    };
    let normalized = bridge.normalize(&ids, &body).with_context(|| {
        format!(
            "this is no event of {} that can be read; give one as it came, or name another bridge",
            bridge.manifest().display_name
        )
    })?;
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    for envelope in &normalized.envelopes {
        stdout.write_all(&envelope.to_json()?)?;
        stdout.write_all(b"\n")?;
    }
    stdout.flush()?;
    if !normalized.unreadable.is_empty() {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "note: {} unreadable:", normalized.unreadable.len())?;
        for item in &normalized.unreadable {
            writeln!(stderr, "  {item}")?;
        }
    }
    Ok(ExitCode::Done)
}

/// Reads a file or standard input, one byte over the bound at most, so that the codec can say that it is too large.
pub(super) fn read_bounded(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    match file {
        Some(path) if path.as_os_str() != "-" => std::fs::File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut body))
            .with_context(|| {
                format!(
                    "{} cannot be read; name a file, or none for standard input",
                    path.display()
                )
            })?,
        _ => std::io::stdin()
            .take(limit)
            .read_to_end(&mut body)
            .context("standard input cannot be read; name a file instead")?,
    };
    Ok(body)
}
