//! How fast the relay stage drains a platform's queue, in the same run as RabbitMQ's own shovel and as a bare relay;
//! and how fast the ingest stage takes webhooks.
//!
//! The load is what a platform sends: a text webhook of some 580 bytes. The stage does its whole job: the daemon runs
//! as it does in production, with its store on disk and the other two stages off. What it drained is checked.

pub mod bare;
pub mod ingest;
mod meter;
mod passage;
pub mod relay;
pub mod shovel;

use crate::config::{Config, ConfigErrors, SecretSource};
use crate::daemon::{DaemonError, connect_config, topology_of};
use crate::live::Live;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use interline_broker::{
    ConnectError, Link, LinkError, LostReason, OutMessage, PublishError, QueueKind, TopologyError,
};
use meter::Cost;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// The sender's account, and those of the recipients.
const WHATSAPP: &str = "106540352242922";
const MESSENGER: &str = "104500000000001";
const INSTAGRAM: &str = "17841400000000001";
/// How many publishes of the load wait for their confirms at once.
const FILL_IN_FLIGHT: usize = 2000;
/// How often the queues are looked at while they are drained.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A drain that makes no progress for this long has failed.
const STALLED_AFTER: Duration = Duration::from_secs(60);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is put into the platform's queue.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// Messages, evenly over the conversations.
    pub messages: usize,
    /// Conversations.
    pub conversations: usize,
    /// Participants of each: 2 or 3.
    pub people: usize,
    /// What kind of queue it goes through.
    #[serde(serialize_with = "as_text")]
    pub queues: QueueKind,
    /// How many unacknowledged messages the consumer holds.
    pub prefetch: u16,
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    const fn count(&self) -> f64 {
        self.messages as f64
    }
}

fn as_text<S: serde::Serializer>(kind: &QueueKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kind)
}

/// What one drain took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Source messages a second, from the last look that found none come out to the one that found all.
    pub per_second: f64,
    /// This process's CPU time for each source message, in microseconds; absent where another process did the work.
    pub cpu_us: Option<f64>,
    /// The broker's CPU time for each source message, in microseconds; absent where its process is not known.
    pub broker_cpu_us: Option<f64>,
    /// This process's peak of resident memory while it drained, in KiB; absent where another process did the work.
    pub peak_rss_kib: Option<u64>,
}

/// `per_second`: source messages. `cost`: absent where another process did the work.
fn figures(load: Load, per_second: f64, cost: Option<Cost>) -> Figures {
    let each = |us: f64| us / load.count();
    Figures {
        per_second,
        cpu_us: cost.map(|cost| each(cost.own_us)),
        broker_cpu_us: cost.and_then(|cost| cost.broker_us).map(each),
        peak_rss_kib: cost.and_then(|cost| cost.peak_rss_kib),
    }
}

/// Why a bench failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No folder for the store.
    #[error("the folder for the store cannot be made; TMPDIR chooses another one")]
    Folder(#[source] std::io::Error),
    /// No runtime for the bare relay.
    #[error("the bare relay cannot have a runtime; are there too many open files or threads?")]
    Runtime(#[source] std::io::Error),
    /// The config that the bench wrote is refused.
    #[error("the bench's own config is refused, which is a mistake of this program; report it")]
    Config(#[from] ConfigErrors),
    /// The daemon cannot start or failed.
    #[error("the daemon failed")]
    Daemon(#[from] DaemonError),
    /// The broker cannot be reached.
    #[error("the broker cannot be reached; --broker names another one")]
    Connect(#[from] ConnectError),
    /// A queue cannot be made.
    #[error("a queue cannot be made")]
    Topology(#[from] TopologyError),
    /// A message cannot be published.
    #[error("the load cannot be published")]
    Publish(#[from] PublishError),
    /// A queue cannot be used.
    #[error("a queue cannot be used")]
    Link(#[from] LinkError),
    /// The broker is gone.
    #[error("the broker is gone")]
    Lost(#[from] LostReason),
    /// Nothing moves.
    #[error("the drain made no progress for {} s, at {at} of {of}; is the broker short of memory or disk? Fewer --messages need less", STALLED_AFTER.as_secs())]
    Stalled {
        /// Messages that came out.
        at: u64,
        /// Of how many.
        of: u64,
    },
    /// What came out is not what went in.
    #[error("what came out is wrong: {0}; report it, with the broker's version")]
    Wrong(String),
    /// A webhook cannot be posted.
    #[error(
        "a webhook got no answer; do --connections exceed this machine's open files (ulimit -n)?"
    )]
    Post(#[source] reqwest::Error),
    /// A webhook is not taken.
    #[error(
        "a webhook was answered {status} instead of 200; the broker is too slow for this load, or --rate too high for \
         this machine: order less"
    )]
    Answered {
        /// The HTTP status.
        status: u16,
    },
    /// The shovel cannot be ordered.
    #[error(
        "the shovel cannot be started: {0}; it needs the plugin rabbitmq_shovel, and --rabbitmqctl a program that may order NODE"
    )]
    Shovel(String),
}

fn folder() -> Result<TempDir, BenchError> {
    tempfile::Builder::new().prefix("interline-bench-").tempdir().map_err(BenchError::Folder)
}

/// The config of the relay stage under load.
fn config(folder: &Path, broker: &str, prefix: &str, load: Load) -> Result<Config, BenchError> {
    let mut toml = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        toml.push_str(&line.to_string());
        toml.push('\n');
    };
    line(format_args!("[broker]\nurls = [{}]\nprefix = {prefix:?}", serde_json::json!(broker)));
    line(format_args!("queue_type = \"{}\"\nprefetch = {}", load.queues, load.prefetch));
    line(format_args!("[stages]\ningest = false\ndeliver = false"));
    line(format_args!(
        "[store]\nurl = {:?}",
        format!("sqlite:{}", folder.join("bench.db").display())
    ));
    for (bridge, id) in [("whatsapp", WHATSAPP), ("messenger", MESSENGER), ("instagram", INSTAGRAM)]
    {
        line(format_args!("[[account]]\nbridge = \"{bridge}\"\nid = \"{id}\""));
    }
    for n in 0..load.conversations {
        line(format_args!("[[conversation]]\nname = \"bench-{n}\"\nparticipants = ["));
        line(format_args!("  \"whatsapp/{WHATSAPP}/{}\",", sender(n)));
        line(format_args!("  \"messenger/{MESSENGER}/7{n:015}\","));
        if load.people > 2 {
            line(format_args!("  \"instagram/{INSTAGRAM}/8{n:015}\","));
        }
        line(format_args!("]"));
    }
    let nowhere = SecretSource { env: Box::new(|_| None), credentials_directory: None };
    let path = folder.join("bench.toml");
    Ok(Config::parse(&path, &toml, &crate::bridges::ids(), &nowhere)?.0)
}

fn sender(conversation: usize) -> String {
    format!("1555{conversation:07}")
}

/// The text webhook of message `n`, some 580 bytes.
fn body(load: Load, n: usize) -> Bytes {
    let conversation = n % load.conversations;
    let from = sender(conversation);
    serde_json::json!({
        "object": "whatsapp_business_account",
        "entry": [{
            "id": "102290129340398",
            "changes": [{
                "value": {
                    "messaging_product": "whatsapp",
                    "metadata": {
                        "display_phone_number": "15550783881",
                        "phone_number_id": WHATSAPP,
                    },
                    "contacts": [{"profile": {"name": "Sheena Nelson"}, "wa_id": from}],
                    "messages": [{
                        "from": from,
                        "id": format!("wamid.HBgLMTU1NTAwMDAwMDAVAgASGBQzQTRB{n:016X}AA=="),
                        "timestamp": (1_700_000_000 + n).to_string(),
                        "type": "text",
                        "text": {"body": "Does it come in another colour? I would rather have the blue one, or \
                                          a green one if there is no blue one left in the shop today."},
                    }],
                },
                "field": "messages",
            }],
        }],
    })
    .to_string()
    .into()
}

async fn connect(config: &Config) -> Result<Link, BenchError> {
    Ok(interline_broker::connect(&connect_config(config, None)?).await?)
}

/// Publishes the load and waits until all of it is confirmed.
async fn fill(link: &Link, messages: impl Iterator<Item = OutMessage>) -> Result<(), BenchError> {
    let publisher = link.publisher(FILL_IN_FLIGHT).await?;
    let mut confirms = FuturesUnordered::new();
    for message in messages {
        confirms.push(publisher.send(message).await?);
        if confirms.len() >= FILL_IN_FLIGHT
            && let Some(confirmed) = confirms.next().await
        {
            confirmed?;
        }
    }
    while let Some(confirmed) = confirms.next().await {
        confirmed?;
    }
    Ok(())
}

/// Watches `queues` until they hold `wanted` messages, and answers with the rate from the last look that saw none.
async fn watch(link: &Link, queues: &[String], wanted: u64) -> Result<f64, BenchError> {
    let mut since = Instant::now();
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let mut out = 0;
        for queue in queues {
            out += u64::from(link.depth(queue).await?.messages);
        }
        let now = Instant::now();
        if out == 0 {
            since = now;
        }
        if out >= wanted {
            let seconds = (now - since).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            return Ok(wanted as f64 / seconds.max(f64::EPSILON));
        }
        if out != last {
            (last, moved) = (out, now);
        } else if now - moved > STALLED_AFTER {
            return Err(BenchError::Stalled { at: out, of: wanted });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The middle of some figures, by rate.
pub fn median(mut figures: Vec<Figures>) -> Option<Figures> {
    figures.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let middle = figures.len().checked_sub(1)? / 2;
    figures.get(middle).copied()
}

fn topology(config: &Config) -> Result<interline_broker::Topology, BenchError> {
    Ok(topology_of(&Live::new(config.clone()).map_err(DaemonError::from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load =
        Load { messages: 3, conversations: 2, people: 2, queues: QueueKind::Classic, prefetch: 10 };

    #[test]
    fn the_load_is_as_large_as_a_platforms_text_and_each_message_is_another() {
        let bodies = [0, 1, 2].map(|n| body(LOAD, n));
        for body in &bodies {
            assert!((560..620).contains(&body.len()), "{}", body.len());
        }
        assert!(bodies[0] != bodies[1] && bodies[0] != bodies[2]);
    }

    #[test]
    fn the_middle_of_three_is_neither_the_best_nor_the_worst() {
        let at = |per_second| figures(LOAD, per_second, None);
        let middle = median(vec![at(3.0), at(1.0), at(2.0)]).unwrap();
        assert!((middle.per_second - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_none());
    }
}
