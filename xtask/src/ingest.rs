//! `cargo xtask bench ingest`: signed webhooks into a private RabbitMQ, at a rate and as fast as they go.
//!
//! The rate and its latencies come from `interline bench ingest`; the most that goes, from `wrk`, which others wrote and
//! which runs in a process of its own.

use crate::{bench, needs, say};
use anyhow::{Context, bail};
use interline_rabbit_node::{Options, RabbitNode};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the daemon may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// True if every load ran and was checked.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    needs::ensure_rabbitmq()?;
    needs::ensure("wrk", &["wrk"], "see https://github.com/wg/wrk")?;
    let interline = bench::release(root)?;
    for queues in ["classic", "quorum"] {
        let options = Options { plugins: Vec::new(), memory_mb: 4096, schedulers: 2 };
        let node = RabbitNode::start_with(&options)?.context("RabbitMQ is not installed")?;
        for load in [&["--rate", "1000", "--messages", "30000"][..], &["--messages", "50000"]] {
            let done = Command::new(&interline)
                .args(["bench", "ingest", "--broker", &node.uri(), "--queues", queues])
                .args(load)
                .status()?;
            if !done.success() {
                return Ok(false);
            }
        }
        if !wrk(root, &interline, &node, queues)? {
            return Ok(false);
        }
    }
    say("the figures of another machine or day are not comparable")?;
    Ok(true)
}

/// A daemon with its ingest stage alone, until this is dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn wrk(root: &Path, interline: &Path, node: &RabbitNode, queues: &str) -> anyhow::Result<bool> {
    let folder = root.join("target/bench-ingest");
    std::fs::create_dir_all(&folder)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = folder.join("interline.toml");
    std::fs::write(
        &config,
        format!(
            "[broker]\nurls = [{:?}]\nprefix = \"wrk\"\nqueue_type = \"{queues}\"\n\
             [stages]\nrelay = false\ndeliver = false\n\
             [store]\nurl = \"sqlite:{}\"\n[ingest]\nlisten = \"127.0.0.1:{port}\"\n\
             [[account]]\nbridge = \"whatsapp\"\nid = \"106540352242922\"\n\
             app_secret = \"bench\"\nverify_token = \"bench\"\n",
            node.uri(),
            folder.join("bench.db").display(),
        ),
    )?;
    let quiet = || -> Command {
        let mut command = Command::new(interline);
        command.arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let _daemon = Daemon(quiet().arg("run").spawn()?);
    let started = Instant::now();
    while !quiet().arg("status").status()?.success() {
        if started.elapsed() > READY_WITHIN {
            bail!(
                "the daemon is not ready after {READY_WITHIN:?}; run it with {}",
                config.display()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    say(&format!("wrk, 32 connections, {queues} queues:"))?;
    // An answer other than 2xx has a line of its own in what wrk prints.
    let done = Command::new("wrk")
        .args(["--threads", "1", "--connections", "32", "--duration", "15s", "--latency"])
        .arg("--script")
        .arg(root.join("xtask/src/ingest.lua"))
        .arg(format!("http://127.0.0.1:{port}/webhooks/whatsapp"))
        .output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    say(said.trim_end())?;
    Ok(done.status.success() && !said.contains("Non-2xx") && !said.contains("Socket errors"))
}

#[cfg(test)]
mod tests {
    const SCRIPT: &str = include_str!("ingest.lua");

    #[test]
    fn what_wrk_posts_is_signed() {
        let between = |begin: &str, end: &str| {
            let rest = SCRIPT.split(begin).nth(1).unwrap_or_default();
            rest.split(end).next().unwrap_or_default()
        };
        let body = between("[[", "]]");
        assert!(body.len() > 500, "{body}");
        let wanted = interline::bench::ingest::signature(body.as_bytes());
        assert_eq!(format!("sha256={}", between("\"sha256=", "\"")), wanted);
    }
}
