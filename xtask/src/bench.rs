//! `cargo xtask bench`: the relay stage beside RabbitMQ's shovel and a bare relay on a private node, in one run; and
//! `cargo xtask bench parts`: how long the codecs and the pure decisions take.

use crate::{needs, say};
use anyhow::{Context, bail};
use interline_rabbit_node::{Options, RabbitNode};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Conversations and people in each: the two loads.
const LOADS: [(&str, &str); 2] = [("1", "2"), ("10000", "3")];

/// What the table of docs/performance.md begins with.
const HEAD: &str = "\
| queues | conversations | shovel, messages/s | bare relay | relay | relay to shovel | bare's CPU a message | relay's CPU | broker's CPU: shovel, bare, relay | relay's peak memory |
|---|---|---|---|---|---|---|---|---|---|";

/// True if every load ran and was checked. Prints the table of docs/performance.md at the end.
pub(crate) fn relay(root: &Path, messages: &str) -> anyhow::Result<bool> {
    needs::ensure_rabbitmq()?;
    let interline = release(root)?;
    let mut rows = Vec::new();
    for queues in ["classic", "quorum"] {
        for (conversations, people) in LOADS {
            say(&format!("{queues} queues, {conversations} conversations of {people} ..."))?;
            // A fresh node each time: what an earlier load left on disk would weigh on a later one.
            let options =
                Options { plugins: vec!["rabbitmq_shovel"], memory_mb: 4096, schedulers: 2 };
            let node = RabbitNode::start_with(&options)?.context("RabbitMQ is not installed")?;
            let done = Command::new(&interline)
                .args(["bench", "relay", "--broker", &node.uri(), "--messages", messages])
                .args(["--conversations", conversations, "--people", people, "--queues", queues])
                .args(["--bare", "--json", "--shovel", node.name(), "--rabbitmqctl"])
                .arg(RabbitNode::control_program())
                .envs(node.environment())
                .stderr(Stdio::inherit())
                .output()?;
            if !done.status.success() {
                return Ok(false);
            }
            let report = serde_json::from_slice(&done.stdout).context("the bench's report")?;
            let row = row(&report).context("the bench's report lacks a figure")?;
            say(&row)?;
            rows.push(row);
        }
    }
    say(&format!("\n{HEAD}\n{}\n", rows.join("\n")))?;
    say(
        "medians of one run; the figures of another machine or day are not comparable, the ratios are",
    )?;
    Ok(true)
}

/// Builds the program as it is released, and says where it is.
pub(crate) fn release(root: &Path) -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "-p", "interline"])
        .current_dir(root)
        .status()?;
    if !built.success() {
        bail!("the release build failed");
    }
    let target: PathBuf =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    Ok(target.join("release/interline"))
}

/// A line of the table; none if a figure is missing.
fn row(report: &Value) -> Option<String> {
    let (load, median) = (&report["load"], &report["median"]);
    let of = |peer: &str, figure: &str| median[peer][figure].as_f64();
    let rate = |peer| of(peer, "per_second");
    let broker = |peer| of(peer, "broker_cpu_us");
    Some(format!(
        "| {} | {} of {} | {:.0} | {:.0} | {:.0} | {:.2} | {:.1} µs | {:.1} µs | {:.0}, {:.0}, {:.0} µs | {:.0} MiB |",
        load["queues"].as_str()?,
        load["conversations"],
        load["people"],
        rate("shovel")?,
        rate("bare")?,
        rate("relay")?,
        rate("relay")? / rate("shovel")?,
        of("bare", "cpu_us")?,
        of("relay", "cpu_us")?,
        broker("shovel")?,
        broker("bare")?,
        broker("relay")?,
        of("relay", "peak_rss_kib")? / 1024.0,
    ))
}

/// True if all of criterion's benches ran.
pub(crate) fn parts(root: &Path) -> anyhow::Result<bool> {
    let ran = Command::new(env!("CARGO"))
        .args(["bench", "--workspace", "--bench", "parts"])
        .current_dir(root)
        .status()?;
    Ok(ran.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_of_the_table_has_every_figure_and_is_none_without_one() {
        let all = json!({"per_second": 1000.4, "cpu_us": 20.04, "broker_cpu_us": 90.4, "peak_rss_kib": 20480});
        let mut report = json!({
            "load": {"queues": "quorum", "conversations": 1, "people": 2},
            "median": {"shovel": all.clone(), "bare": all.clone(), "relay": all},
        });
        report["median"]["relay"]["per_second"] = json!(900);
        assert_eq!(
            row(&report).unwrap(),
            "| quorum | 1 of 2 | 1000 | 1000 | 900 | 0.90 | 20.0 µs | 20.0 µs | 90, 90, 90 µs | 20 MiB |"
        );
        report["median"]["bare"] = Value::Null;
        assert_eq!(row(&report), None);
    }
}
