//! `interline sandbox`: the whole of it on one machine, with nothing else installed.

use super::{ExitCode, Outcome};
use crate::config::LogFormat;
use crate::sandbox::demo::{self, Played};
use crate::sandbox::live::{self, Output};
use crate::sandbox::screen::{self, Style};
use crate::sandbox::script::{self, ScriptError};
use crate::sandbox::{Sandbox, SandboxError, Setup};
use std::future::Future;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How many typed lines wait at most.
const TYPED_MAX: usize = 16;
/// Of a longer screen, the beginning and the end are printed.
const SCREEN_LINES_MAX: usize = 24;
/// So many messages each.
const SCREEN_ENDS: usize = 5;

/// Try it on this machine: no account, no RabbitMQ, no config, no network needed.
///
/// Starts a broker in memory, the three platforms simulated, and the daemon as it really is, in one process on loopback
/// sockets.
///
/// Without --script it stays up until Ctrl-C. Alice is on WhatsApp, Bob on Messenger, Carla on Instagram. At the prompt
/// you speak as one of them: type Hello after `whatsapp>`, and see it arrive on the other two phones. `instagram>` makes
/// you Carla, /reply, /react and /photo do what a phone does, /help lists the rest. It says where everything listens, so
/// that other programs can join in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  interline sandbox --script demo          play a conversation, show and check every phone
  interline sandbox                        speak yourself
  interline sandbox --script demo --json   the play, for a program
  interline sandbox --script ./own.toml    play what you wrote

A script of your own is a TOML file of steps and of what every phone must show:

  [[step]]
  who = \"alice\"
  say = \"Hello\"

  [[expect]]
  phone = \"bob\"
  from = \"alice\"
  shows = \"Alice: Hello\"

docs/sandbox-scripts.md has all that can stand in it.")]
pub(super) struct Args {
    /// Play a script and end: exit code 0 if every phone shows what it must, else 1.
    ///
    /// demo: text, answer, reaction, photo, voice notes, a place, and a text too long for Instagram.
    /// storm: many messages in three conversations, with webhooks posted twice and batched anew.
    /// outage: platforms that fail, hang and throttle, and a broker that is cut off; all arrives once.
    /// odd: stickers, contacts, polls, edits, unsends, emoji, endless words, right-to-left text.
    /// fidelity: voice notes, a sticker, 10,000 characters of emoji, answers, a reaction, an edit, an unsend.
    #[arg(long, value_parser = script, value_name = "NAME|FILE", verbatim_doc_comment)]
    script: Option<Script>,
    /// Print JSON: with a script one object with phones and checks; else one object a line.
    #[arg(long)]
    json: bool,
    /// Leave the folder with config, store and key behind, and say where it is.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Debug)]
enum Script {
    Demo,
    Written(Arc<script::Script>),
}

impl Script {
    fn setup(&self) -> Setup {
        match self {
            Self::Demo => Setup::default(),
            Self::Written(script) => script.setup.clone(),
        }
    }
}

fn script(name: &str) -> Result<Script, ScriptError> {
    if name == "demo" { Ok(Script::Demo) } else { script::load(name).map(Script::Written) }
}

pub(super) fn run(args: &Args, verbose: u8) -> Outcome {
    crate::telemetry::init_quiet(verbose, LogFormat::Human);
    let setup = args.script.as_ref().map_or_else(Setup::default, Script::setup);
    let (code, kept) = super::runtime()?.block_on(async {
        let mut stop = std::pin::pin!(stop()?);
        let mut sandbox = tokio::select! {
            started = Sandbox::start_with(&setup) => started?,
            () = &mut stop => return Err(SandboxError::Interrupted),
        };
        let ended = match &args.script {
            Some(script) => tokio::select! {
                played = play(&mut sandbox, script, args.json) => played,
                () = &mut stop => Err(SandboxError::Interrupted),
            },
            None => stay(&mut sandbox, args.json, stop).await.map(|()| ExitCode::Done),
        };
        let stopped = sandbox.stop(args.keep).await;
        Ok::<_, SandboxError>((ended?, stopped?))
    })?;
    if let Some(folder) = kept {
        writeln!(std::io::stderr(), "config, store and key are in {}", folder.display())?;
    }
    Ok(code)
}

fn style() -> Style {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Style { coloured: wanted && std::io::stdout().is_terminal() }
}

async fn play(
    sandbox: &mut Sandbox,
    script: &Script,
    json: bool,
) -> Result<ExitCode, SandboxError> {
    let played = match script {
        Script::Demo => demo::play(sandbox, demo::LIMIT).await?,
        Script::Written(script) => script::play(sandbox, script).await?,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if json {
        serde_json::to_writer_pretty(&mut out, &as_json(&played)).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        tell(&mut out, &played, style())?;
    }
    out.flush()?;
    Ok(if played.holds() { ExitCode::Done } else { ExitCode::Failed })
}

/// Every screen, then every check, then the verdict.
fn tell(out: &mut impl Write, played: &Played, style: Style) -> std::io::Result<()> {
    for (member, view) in &played.screens {
        writeln!(out, "{}", style.strong(&screen::title(member)))?;
        let left_out = match view.len() {
            count if count > SCREEN_LINES_MAX => SCREEN_ENDS..count - SCREEN_ENDS,
            _ => 0..0,
        };
        for (index, (seen, line)) in view.iter().zip(screen::lines(view)).enumerate() {
            if left_out.contains(&index) {
                if index == left_out.start {
                    writeln!(out, "   … {} more", left_out.len())?;
                }
                continue;
            }
            let line = if seen.mine { style.dim(&line) } else { line };
            writeln!(out, "  {:>2} {line}", index + 1)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", style.strong("What every phone must show"))?;
    for check in &played.checks {
        if check.holds {
            writeln!(out, "  {} {}", style.good("✓"), check.name)?;
        } else {
            writeln!(out, "  {} {}", style.bad("✗"), check.name)?;
            writeln!(out, "      expected  {}", check.expected)?;
            writeln!(out, "      seen      {}", check.seen)?;
        }
    }
    let (all, held) = (played.checks.len(), played.checks.iter().filter(|c| c.holds).count());
    match played.holds() {
        true => writeln!(out, "\n{}", style.good(&format!("All {all} checks hold."))),
        false => {
            let verdict = format!("{} of {all} checks do not hold.", all - held);
            writeln!(out, "\n{}", style.bad(&verdict))
        }
    }
}

fn as_json(played: &Played) -> serde_json::Value {
    let phones: Vec<_> = played
        .screens
        .iter()
        .map(|(member, view)| {
            serde_json::json!({
                "person": member.name,
                "platform": member.kind.word(),
                "address": member.address(),
                "screen": screen::json(view),
            })
        })
        .collect();
    serde_json::json!({"holds": played.holds(), "phones": phones, "checks": played.checks})
}

/// Ends with SIGTERM or Ctrl-C, either of which it catches from now on.
fn stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn stay(
    sandbox: &mut Sandbox,
    json: bool,
    stop: impl Future<Output = ()>,
) -> Result<(), SandboxError> {
    let (send, typed) = mpsc::channel(TYPED_MAX);
    // A thread of its own that nobody waits for: a read from a terminal cannot be cancelled.
    std::thread::Builder::new().name("typed".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let prompt = !json && std::io::stdin().is_terminal() && out.is_terminal();
    let output = Output { out: &mut out, err: &mut err, style: style(), json, prompt };
    live::run(sandbox, typed, output, stop).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::cast::CAST;
    use crate::sandbox::demo::Check;

    #[test]
    fn a_check_that_fails_is_told_with_what_was_expected_and_what_is_seen() {
        let check = |name: &str, holds| Check {
            name: name.to_owned(),
            holds,
            expected: "“a”".to_owned(),
            seen: "nothing".to_owned(),
        };
        let checks = vec![check("Bob gets it", true), check("Carla gets it", false)];
        let screens = CAST.map(|member| (member, Vec::new())).to_vec();
        let played = Played { checks, screens };
        let mut out = Vec::new();
        tell(&mut out, &played, Style { coloured: false }).unwrap();
        let out = String::from_utf8(out).unwrap();
        let told = "  ✓ Bob gets it\n  ✗ Carla gets it\n      expected  “a”\n      seen      nothing\n\n\
                    1 of 2 checks do not hold.\n";
        assert!(out.ends_with(told), "{out}");
        assert_eq!(as_json(&played)["holds"], false);
    }
}
