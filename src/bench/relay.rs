//! The relay stage under load, and the check of what it drained.

use super::meter::Meter;
use super::{
    BenchError, CLOSE_TIMEOUT, Figures, INSTAGRAM, LOOK_EVERY, Load, MESSENGER, WHATSAPP, body,
    config, connect, figures, fill, folder, topology, watch,
};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::ingest::event;
use crate::wire::Wire;
use interline_broker::{Link, topology as names};
use interline_envelope::{LaneId, RootKey};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a drained queue may take to say that it is empty.
const COUNT_SETTLES_WITHIN: Duration = Duration::from_secs(10);

/// Fills the platform's queue, drains it with the relay stage, checks the dispatches, removes the queues.
///
/// # Errors
/// [`BenchError`]; among them dispatches that are lost, doubled or out of order.
pub async fn round(
    broker: &str,
    prefix: &str,
    load: Load,
    broker_process: Option<u32>,
) -> Result<Figures, BenchError> {
    let folder = folder()?;
    let config = config(folder.path(), broker, prefix, load)?;
    let topology = topology(&config)?;
    let link = connect(&config).await?;
    link.declare(&topology).await?;
    let result = drained(&link, &config, load, broker_process).await;
    link.undeclare(&topology).await?;
    link.close(CLOSE_TIMEOUT).await;
    result
}

async fn drained(
    link: &Link,
    config: &Config,
    load: Load,
    broker_process: Option<u32>,
) -> Result<Figures, BenchError> {
    let prefix = config.broker.prefix.as_str();
    let messages = (0..load.messages).map(|n| event(prefix, "whatsapp", WHATSAPP, body(load, n)));
    fill(link, messages).await?;
    let mut queues = vec![names::dispatch_queue(prefix, "messenger", MESSENGER)];
    if load.people > 2 {
        queues.push(names::dispatch_queue(prefix, "instagram", INSTAGRAM));
    }
    let wanted = load.messages as u64 * queues.len() as u64;
    let root = crate::daemon::root_key(config).map_err(crate::daemon::DaemonError::from)?;
    let meter = Meter::start(broker_process);
    let (daemon, handle) = Daemon::open(config.clone()).await?;
    let mut running = JoinSet::new();
    running.spawn(daemon.run());
    let watched = watch(link, &queues, wanted).await;
    let cost = meter.read();
    handle.stop();
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| BenchError::Wrong(error.to_string()))??;
    }
    let dispatches_a_second = watched?;
    for queue in &queues {
        check(link, queue, &root, load).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_second = dispatches_a_second / queues.len() as f64;
    Ok(figures(load, per_second, Some(cost)))
}

/// Every message once, and each lane in the order in which its conversation was filled.
async fn check(link: &Link, queue: &str, root: &RootKey, load: Load) -> Result<(), BenchError> {
    let wire = Wire::new(root);
    let (mut consumer, acker) = link.consumer(queue, u16::MAX, "interline-bench").await?;
    let mut ids = HashSet::with_capacity(load.messages);
    let mut last: HashMap<LaneId, i64> = HashMap::new();
    while ids.len() < load.messages {
        for delivery in consumer.next_batch(256).await? {
            let dispatch = wire
                .open(delivery.message_id(), &delivery.body)
                .map_err(|error| BenchError::Wrong(error.to_string()))?;
            if !ids.insert(dispatch.id) {
                return Err(BenchError::Wrong(format!("dispatch {} came twice", dispatch.id)));
            }
            let before = last.insert(dispatch.lane, dispatch.envelope.time);
            if before.is_some_and(|before| before >= dispatch.envelope.time) {
                return Err(BenchError::Wrong(format!("lane {} is out of order", dispatch.lane)));
            }
            acker.ack(delivery.tag);
        }
    }
    acker.flush().await?;
    // A quorum queue's count follows its acks a moment later, and only while their channel is open.
    let until = Instant::now() + COUNT_SETTLES_WITHIN;
    loop {
        match link.depth(queue).await?.messages {
            0 => break,
            left if Instant::now() > until => {
                return Err(BenchError::Wrong(format!("{left} dispatches too many")));
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    consumer.close().await;
    Ok(())
}
