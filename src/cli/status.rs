//! `interline status`: how the running daemon is.

use super::{ExitCode, Failure, Outcome};
use crate::config::Config;
use crate::status::{AccountStatus, Status};
use anyhow::Context;
use std::io::Write;
use std::path::Path;

/// Ask the running daemon how it is: broker, store, each account, what waits and what failed last.
///
/// Exits with 0 if it is ready, with 1 if it is not, or is not running. It reads the config only to find the
/// daemon's socket ([admin] socket, by default beside the store), and must run as the daemon's user or as root.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo interline status\n  interline status --json --config interline.toml"
)]
pub(super) struct Args {
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(path: &Path, args: &Args) -> Outcome {
    let (config, _warnings) =
        Config::load_unfetched(path, &crate::bridges::ids()).map_err(Failure::config)?;
    let socket = crate::daemon::status_socket_path(&config);
    let status = super::runtime()?.block_on(crate::admin::ask(&socket)).with_context(|| {
        format!(
            "the daemon does not answer at {}; is it running (systemctl status interline), and are you its user or root?",
            socket.display()
        )
    })?;
    print(&status, args.json)
        .context("the status cannot be printed; is its reader gone, or the disk full?")?;
    if status.ready {
        return Ok(ExitCode::Done);
    }
    Err(Failure::from(anyhow::anyhow!(
        "the daemon is not ready: {}; its log says more (journalctl -u interline)",
        status.reasons.join("; ")
    )))
}

fn print(status: &Status, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return writeln!(out, "{}", serde_json::to_string(status)?);
    }
    let ready = if status.ready { "ready" } else { "NOT READY" };
    writeln!(out, "interline {}, up {}, {ready}", status.version, span(status.uptime_seconds))?;
    let broker = if status.broker.connected { "connected" } else { "away" };
    writeln!(out, "  broker        {broker} for {}", span(status.broker.seconds))?;
    if let Some(error) = &status.broker.last_error {
        writeln!(out, "                last lost: {error}")?;
    }
    match &status.store {
        Some(store) => writeln!(
            out,
            "  store         {}, {} KiB, {} held, {} parked",
            store.path,
            store.bytes / 1024,
            store.held,
            store.parked
        )?,
        None => writeln!(out, "  store         DOES NOT ANSWER")?,
    }
    let ffmpeg = if status.ffmpeg { "found" } else { "none: sounds and films are not converted" };
    writeln!(out, "  ffmpeg        {ffmpeg}")?;
    writeln!(out, "  dead letters  {} since the start", status.dead_letters)?;
    for account in &status.accounts {
        print_account(&mut out, account)?;
    }
    Ok(())
}

fn print_account(out: &mut impl Write, account: &AccountStatus) -> std::io::Result<()> {
    let state = match (&account.paused, account.resumes_in_seconds) {
        (Some(why), Some(seconds)) => format!("PAUSED ({why}), tried again in {}", span(seconds)),
        (Some(why), None) => format!("PAUSED ({why})"),
        (None, _) => "sends".to_owned(),
    };
    write!(out, "  {}  {state}, {} lanes", account.account, account.lanes)?;
    if account.held_lanes > 0 {
        write!(out, " ({} of them held)", account.held_lanes)?;
    }
    if account.awaited_people > 0 {
        write!(out, ", {} people have to write first", account.awaited_people)?;
    }
    match account.lag_ms {
        Some(lag) => writeln!(out, ", last lag {lag} ms")?,
        None => writeln!(out, ", nothing sent yet")?,
    }
    if let Some(last) = &account.last_error {
        let ago = crate::clock::now_ms().saturating_sub(last.at_ms) / 1000;
        let ago = span(u64::try_from(ago).unwrap_or(0));
        writeln!(out, "                last error {ago} ago: {}", last.error)?;
    }
    Ok(())
}

/// Seconds as a person says them.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_time_is_said_in_the_unit_that_a_person_would_choose() {
        let said = [0, 119, 120, 7199, 7200, 172_800].map(span);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }
}
