//! `cargo xtask bench`: the relay stage beside RabbitMQ's shovel on a private node, in one run.

use crate::{needs, say};
use anyhow::{Context, bail};
use interline_rabbit_node::{Options, RabbitNode};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Conversations and people in each: the two loads.
const LOADS: [(&str, &str); 2] = [("1", "2"), ("10000", "3")];

/// True if every load ran and was checked.
pub(crate) fn run(root: &Path, messages: &str) -> anyhow::Result<bool> {
    needs::ensure_rabbitmq()?;
    let interline = release(root)?;
    for queues in ["classic", "quorum"] {
        for (conversations, people) in LOADS {
            // A fresh node each time: what an earlier load left on disk would weigh on a later one.
            let options =
                Options { plugins: vec!["rabbitmq_shovel"], memory_mb: 4096, schedulers: 2 };
            let node = RabbitNode::start_with(&options)?.context("RabbitMQ is not installed")?;
            let done = Command::new(&interline)
                .args(["bench", "relay", "--broker", &node.uri(), "--messages", messages])
                .args(["--conversations", conversations, "--people", people, "--queues", queues])
                .args(["--shovel", node.name(), "--rabbitmqctl"])
                .arg(RabbitNode::control_program())
                .envs(node.environment())
                .status()?;
            if !done.success() {
                return Ok(false);
            }
        }
    }
    say("the figures of another machine or day are not comparable; the ratios are")?;
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
