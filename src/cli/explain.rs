//! `interline explain`: what would arrive of an event on another platform, by which rule, and what it loses.

use super::{ExitCode, Outcome};
use crate::explain::{Circumstances, Explanation, Original, explain};
use anyhow::Context;
use clap::ValueEnum;
use interline_relay::ReactionForm;
use std::io::Write;
use std::path::PathBuf;

/// Print what would arrive of an event on another platform: in what form, by which rule, with which losses.
///
/// It asks the code that the daemon asks, and sends nothing. The forms are: native (as what it is), fallback (as
/// something else that carries its meaning), placeholder (a line that says what cannot be shown), refusal (not at all,
/// and the sender is told) and nothing (not at all, and nobody misses it). What a person would see stands behind
/// `|`; what has no words stands in square brackets. No config is read: say `--ffmpeg` and `--links` for a daemon that has
/// what they name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline explain whatsapp webhook.json --to instagram\n  \
    interline explain messenger webhook.json --to whatsapp --named --original unknown\n  \
    curl -s https://example.org/event | interline explain instagram - --to messenger --json")]
pub(super) struct Args {
    /// Which platform the event came from: whatsapp, messenger or instagram.
    bridge: String,
    /// The file that holds it, a webhook body or a native event; `-` or nothing for standard input.
    file: Option<PathBuf>,
    /// Which platform it would arrive on: whatsapp, messenger or instagram.
    #[arg(long, value_name = "PLATFORM")]
    to: String,
    /// What is known on the target of the message that the event answers or is about.
    #[arg(long, value_enum, default_value_t = About::Copied)]
    original: About,
    /// How the person's reaction until now had arrived, for an event that changes it.
    #[arg(long, value_enum, value_name = "FORM")]
    earlier_reaction: Option<Earlier>,
    /// As among more than two people, where the author's name stands before the words.
    #[arg(long)]
    named: bool,
    /// The author's name; without it that of the profile, where the platform tells one.
    #[arg(long)]
    name: Option<String>,
    /// As with `ffmpeg` installed, which converts sounds and films.
    #[arg(long)]
    ffmpeg: bool,
    /// As with `[media] listen` set, where what cannot be sent as a file is linked.
    #[arg(long)]
    links: bool,
    /// Print one JSON object an envelope, a line each.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum About {
    /// The target has a copy of it, which can be quoted.
    Copied,
    /// Its words are known, but the target has no copy.
    Known,
    /// Nothing.
    Unknown,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Earlier {
    /// Set on the target's copy.
    Native,
    /// Told in words.
    Text,
}

pub(super) fn run(args: &Args) -> Outcome {
    let source = super::bridge(&args.bridge)?;
    let target = super::bridge(&args.to)?;
    let body = super::normalize::read_bounded(args.file.as_deref())?;
    let circumstances = Circumstances {
        name: args.name.clone(),
        named: args.named,
        original: match args.original {
            About::Copied => Original::Copied,
            About::Known => Original::Known,
            About::Unknown => Original::Unknown,
        },
        earlier_reaction: args.earlier_reaction.map(|earlier| match earlier {
            Earlier::Native => ReactionForm::Native,
            Earlier::Text => ReactionForm::Text,
        }),
        ffmpeg: args.ffmpeg,
        links: args.links,
    };
    let explained =
        explain(source.as_ref(), &body, target.as_ref(), &circumstances).with_context(|| {
            format!(
                "this is no event of {} that can be read; give one as it came, or name another bridge",
                source.manifest().display_name
            )
        })?;
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    for (index, explanation) in explained.envelopes.iter().enumerate() {
        if args.json {
            serde_json::to_writer(&mut stdout, explanation)?;
            writeln!(stdout)?;
        } else {
            if index > 0 {
                writeln!(stdout)?;
            }
            print(&mut stdout, explanation, target.manifest().display_name)?;
        }
    }
    stdout.flush()?;
    if !explained.unreadable.is_empty() {
        let mut stderr = std::io::stderr().lock();
        writeln!(
            stderr,
            "note: {} unreadable, which become dead letters:",
            explained.unreadable.len()
        )?;
        for item in &explained.unreadable {
            writeln!(stderr, "  {item}")?;
        }
    }
    Ok(ExitCode::Done)
}

fn print(out: &mut impl Write, explanation: &Explanation, target: &str) -> std::io::Result<()> {
    let kind = explanation.kind.as_str();
    match explanation.because {
        Some(because) => writeln!(
            out,
            "{kind} to {target}: {}, by the rule {}: {}",
            explanation.form, because.rule, because.says
        )?,
        None => writeln!(out, "{kind} to {target}: {}", explanation.form)?,
    }
    for shown in &explanation.shown {
        for line in shown.seen.split('\n') {
            writeln!(out, "  | {}", printable(line))?;
        }
        if shown.quotes {
            writeln!(out, "    (quotes the copy there of what it is about)")?;
        }
    }
    for loss in &explanation.losses {
        writeln!(out, "  {}: {}", loss.rule, loss.says)?;
    }
    Ok(())
}

/// The line without what would change the terminal or turn its direction.
fn printable(line: &str) -> String {
    let harmless = |c: &char| {
        !c.is_control() && !matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    line.chars().filter(harmless).collect()
}
