//! RabbitMQ's own shovel over the same load: what an operator would use to move messages without looking at them.

use super::meter::{Cost, Meter};
use super::passage::Passage;
use super::{BenchError, Figures, Load, figures, watch};
use tokio::process::Command;

/// How the broker's node is ordered about.
#[derive(Clone, Debug)]
pub struct Node {
    /// The program.
    pub rabbitmqctl: String,
    /// `rabbit@host`.
    pub name: String,
}

impl Node {
    /// The node's process on this machine.
    ///
    /// # Errors
    /// [`BenchError::Shovel`] if it cannot be asked.
    pub async fn process(&self) -> Result<Option<u32>, BenchError> {
        let said = self.control(&["eval", "list_to_integer(os:getpid())."]).await?;
        Ok(said.trim().parse().ok())
    }

    async fn control(&self, arguments: &[&str]) -> Result<String, BenchError> {
        let output = Command::new(&self.rabbitmqctl)
            .args(["-q", "-n", &self.name])
            .args(arguments)
            .output()
            .await
            .map_err(|error| BenchError::Shovel(format!("{}: {error}", self.rabbitmqctl)))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(BenchError::Shovel(format!(
            "{said}; is the plugin rabbitmq_shovel enabled, and may you run {}?",
            self.rabbitmqctl
        )))
    }
}

/// Fills a queue, lets the shovel move it to another of the same kind (on-confirm, same prefetch, inside the node:
/// its fastest form), removes both.
///
/// # Errors
/// [`BenchError`].
pub async fn round(
    broker: &str,
    prefix: &str,
    load: Load,
    node: &Node,
    broker_process: Option<u32>,
) -> Result<Figures, BenchError> {
    let passage = Passage::fill(broker, prefix, load).await?;
    let order = serde_json::json!({
        "src-protocol": "amqp091", "src-uri": "amqp://", "src-queue": passage.from,
        "src-prefetch-count": load.prefetch,
        "dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-queue": passage.to,
        "ack-mode": "on-confirm",
    });
    let meter = Meter::start(broker_process);
    node.control(&["set_parameter", "shovel", prefix, &order.to_string()]).await?;
    let watched =
        watch(&passage.link, std::slice::from_ref(&passage.to), load.messages as u64).await;
    let Cost { broker_us, .. } = meter.read();
    let cleared = node.control(&["clear_parameter", "shovel", prefix]).await;
    passage.remove().await?;
    cleared?;
    let mut moved = figures(load, watched?, None);
    moved.broker_cpu_us = broker_us.map(|us| us / load.count());
    Ok(moved)
}
