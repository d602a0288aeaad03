//! RabbitMQ's own shovel over the same load: what an operator would use to move messages without looking at them.

use super::{
    BenchError, CLOSE_TIMEOUT, Figures, Load, WHATSAPP, body, config, connect, fill, watch,
};
use crate::ingest::event;
use interline_broker::topology::{Exchange, Queue};
use interline_broker::{OutMessage, Topology};
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
    async fn control(&self, arguments: &[&str]) -> Result<(), BenchError> {
        let output = Command::new(&self.rabbitmqctl)
            .args(["-q", "-n", &self.name])
            .args(arguments)
            .output()
            .await
            .map_err(|error| BenchError::Shovel(format!("{}: {error}", self.rabbitmqctl)))?;
        if output.status.success() {
            return Ok(());
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
) -> Result<Figures, BenchError> {
    let folder = tempfile::Builder::new()
        .prefix("interline-bench-")
        .tempdir()
        .map_err(BenchError::Folder)?;
    let config = config(folder.path(), broker, prefix, Load { conversations: 1, ..load })?;
    let (from, to) = (format!("{prefix}.from"), format!("{prefix}.to"));
    let queue = |name: &str| Queue {
        name: name.to_owned(),
        kind: load.queues,
        single_active_consumer: false,
        messages_max: interline_broker::topology::EVENTS_MESSAGES_MAX,
        dead_letter: None,
    };
    let topology = Topology {
        exchanges: Vec::<Exchange>::new(),
        queues: vec![queue(&from), queue(&to)],
        bindings: Vec::new(),
    };
    let link = connect(&config).await?;
    link.declare(&topology).await?;
    let messages = (0..load.messages).map(|n| OutMessage {
        exchange: String::new(),
        routing_key: from.clone(),
        ..event(prefix, "whatsapp", WHATSAPP, body(load, n))
    });
    fill(&link, messages).await?;
    let order = serde_json::json!({
        "src-protocol": "amqp091", "src-uri": "amqp://", "src-queue": from,
        "src-prefetch-count": load.prefetch,
        "dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-queue": to,
        "ack-mode": "on-confirm",
    });
    node.control(&["set_parameter", "shovel", prefix, &order.to_string()]).await?;
    let watched = watch(&link, std::slice::from_ref(&to), load.messages as u64).await;
    let cleared = node.control(&["clear_parameter", "shovel", prefix]).await;
    link.undeclare(&topology).await?;
    link.close(CLOSE_TIMEOUT).await;
    cleared?;
    Ok(Figures { per_second: watched?, cpu_us: None, peak_rss_kib: None })
}
