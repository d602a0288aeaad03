//! `interline bridges`: what each platform can be sent, and what it tells.

use super::{ExitCode, Outcome};
use interline_bridge_api::{Bridge, Capabilities, ChatKind};
use interline_relay::{MediaRule, ReactionRule};
use std::fmt::Display;
use std::io::Write;

/// List the built-in bridges and what can be sent through each: texts, media, reactions, with their limits.
///
/// What a target cannot show arrives as the best form that it can. The limits are the platforms' own.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline bridges\n  interline bridges --json")]
pub(super) struct Args {
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut out = std::io::stdout().lock();
    for (n, bridge) in crate::bridges::all().iter().enumerate() {
        let capabilities = bridge.capabilities(ChatKind::Direct);
        if args.json {
            writeln!(out, "{}", as_json(bridge.as_ref(), capabilities))?;
        } else {
            if n > 0 {
                writeln!(out)?;
            }
            print(&mut out, bridge.as_ref(), capabilities)?;
        }
    }
    Ok(ExitCode::Done)
}

fn as_json(bridge: &dyn Bridge, capabilities: &Capabilities) -> serde_json::Value {
    let manifest = bridge.manifest();
    let kinds: Vec<&str> = manifest.kinds.iter().map(|kind| kind.as_str()).collect();
    serde_json::json!({
        "bridge": manifest.id.as_str(),
        "name": manifest.display_name,
        "version": manifest.version,
        "contract": manifest.contract,
        "api_url": manifest.api_url,
        "kinds": kinds,
        "capabilities": capabilities,
    })
}

fn print(
    out: &mut impl Write,
    bridge: &dyn Bridge,
    capabilities: &Capabilities,
) -> std::io::Result<()> {
    let manifest = bridge.manifest();
    writeln!(
        out,
        "{} ({} {}), {}",
        manifest.id.as_str(),
        manifest.display_name,
        manifest.version,
        manifest.api_url
    )?;
    let mut line = |word: &str, what: &dyn Display| writeln!(out, "  {word:<10} {what}");
    let text = capabilities.text;
    line("text", &format_args!("up to {} {}", text.max, word(&text.unit)))?;
    for rule in &capabilities.media {
        line(&word(&rule.media), &media(rule))?;
    }
    let reactions = match &capabilities.reaction {
        ReactionRule::None => "no".to_owned(),
        ReactionRule::Any => "any emoji".to_owned(),
        ReactionRule::Only(emoji) => emoji.join(" "),
    };
    line("reactions", &reactions)?;
    line("reply", &as_quote(capabilities.reply))?;
    for (name, native) in [("location", capabilities.location), ("contacts", capabilities.contacts)]
    {
        line(name, &as_text(native))?;
    }
    line("edit", &yes(capabilities.edit))?;
    line("delete", &yes(capabilities.delete))?;
    let marker = match capabilities.marker_bytes_max {
        Some(_) => "a send of unknown fate is settled by the marker that comes back",
        None => "none comes back: a send of unknown fate follows the policy `uncertain`",
    };
    line("marker", &marker)?;
    let kinds: Vec<&str> = manifest.kinds.iter().map(|kind| kind.as_str()).collect();
    line("tells", &kinds.join(", "))
}

fn media(rule: &MediaRule) -> String {
    let mut said = match rule.bytes_max {
        small @ ..1_000_000 => format!("up to {} KB", small / 1000),
        large => format!("up to {} MB", large / 1_000_000),
    };
    if !rule.mimes.is_empty() {
        said = format!("{said}, {}", rule.mimes.join(" "));
    }
    if let Some(caption) = rule.caption {
        said = format!("{said}, caption up to {} {}", caption.max, word(&caption.unit));
    }
    said
}

/// The word that a value has in JSON.
fn word(value: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned));
    word.unwrap_or_default().replace("utf8_bytes", "bytes of UTF-8")
}

const fn as_quote(native: bool) -> &'static str {
    if native { "as a native quote" } else { "as a quoted line of text" }
}

const fn as_text(native: bool) -> &'static str {
    if native { "natively" } else { "as text" }
}

const fn yes(native: bool) -> &'static str {
    if native { "natively" } else { "as a new message that says so" }
}
