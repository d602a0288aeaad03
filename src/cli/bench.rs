//! `interline bench`: how fast this machine and broker are.

use super::{ExitCode, Outcome};
use crate::bench::ingest::Posts;
use crate::bench::shovel::Node;
use crate::bench::{BenchError, Figures, Load, bare, median, relay as stage, shovel};
use crate::config::LogFormat;
use interline_broker::QueueKind;
use std::io::Write;

/// Measure how fast this machine and broker are.
///
/// Each bench makes queues of its own, runs the stage as it runs in production (store on disk, publisher confirms),
/// checks that nothing was lost, and removes its queues again. With --shovel, `bench relay` times RabbitMQ's own
/// shovel over the same load, in turn with its own rounds: what counts is the ratio of the two, since the machine's
/// speed cancels out. With --bare it times a relay that only takes, publishes and acks with the same AMQP client:
/// what the stage costs beyond it is the stage's own work.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "Examples:
  interline bench relay --broker amqp://guest:guest@127.0.0.1:5672/%2f
  interline bench relay --conversations 10000 --people 3 --queues classic
  interline bench relay --bare --shovel rabbit@$(hostname -s)
  interline bench ingest --rate 1000 --messages 30000"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Relay(RelayArgs),
    Ingest(IngestArgs),
}

/// Time the ingest stage: signed webhooks over HTTP into a platform's queue.
///
/// With --rate, requests are due at fixed times, and what a late one waited counts too; without it they follow as fast
/// as answers come. Sender and daemon share this process, so a sender elsewhere (`wrk`) sees more webhooks a second.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  interline bench ingest\n  interline bench ingest --rate 1000 --messages 30000 --json"
)]
struct IngestArgs {
    /// The broker.
    #[arg(
        long,
        value_name = "URL",
        default_value = "amqp://guest:guest@127.0.0.1:5672/%2f",
        value_parser = broker_url
    )]
    broker: String,
    /// How many webhooks, of one message each.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: u32,
    /// How many are due a second. Left out: as many as go.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// How many are under way at once, at most.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Into what kind of queue.
    #[arg(long, value_enum, value_name = "KIND", default_value = "quorum")]
    queues: Queues,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Time the relay stage: a full platform queue into the dispatch queues.
///
/// The queues have a name of their own for each round, and are removed at its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline bench relay --messages 100000\n  \
    interline bench relay --shovel rabbit@$(hostname -s) --json")]
struct RelayArgs {
    /// The broker.
    #[arg(
        long,
        value_name = "URL",
        default_value = "amqp://guest:guest@127.0.0.1:5672/%2f",
        value_parser = broker_url
    )]
    broker: String,
    /// How many messages.
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// In how many conversations.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    conversations: u32,
    /// Of how many people each.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=3))]
    people: u32,
    /// Through what kind of queue.
    #[arg(long, value_enum, value_name = "KIND", default_value = "quorum")]
    queues: Queues,
    /// How many unacknowledged messages the consumer holds.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    prefetch: u16,
    /// How many rounds; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Time RabbitMQ's shovel too; NODE is what `rabbitmqctl -n` calls the broker. Needs its plugin rabbitmq_shovel.
    #[arg(long, value_name = "NODE")]
    shovel: Option<String>,
    /// Time a bare relay on the same AMQP client too.
    #[arg(long)]
    bare: bool,
    /// The program that orders the shovel.
    #[arg(long, value_name = "PROGRAM", default_value = "rabbitmqctl")]
    rabbitmqctl: String,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Queues {
    /// Replicated.
    Quorum,
    /// On one node.
    Classic,
}

impl Queues {
    const fn kind(self) -> QueueKind {
        match self {
            Self::Quorum => QueueKind::Quorum,
            Self::Classic => QueueKind::Classic,
        }
    }
}

/// A URL as it was written, if it is one.
fn broker_url(text: &str) -> Result<String, interline_broker::UrlError> {
    text.parse::<interline_broker::BrokerUrl>().map(|_| text.to_owned())
}

pub(super) fn run(args: &Args, verbose: u8) -> Outcome {
    crate::telemetry::init_quiet(verbose, LogFormat::Human);
    match &args.command {
        Command::Relay(args) => relay(args),
        Command::Ingest(args) => ingest(args),
    }
}

fn ingest(args: &IngestArgs) -> Outcome {
    let posts = Posts {
        messages: args.messages as usize,
        rate: args.rate,
        connections: args.connections,
        queues: args.queues.kind(),
    };
    let prefix = format!("interline-bench-{}", std::process::id());
    let answers =
        super::runtime()?.block_on(crate::bench::ingest::round(&args.broker, &prefix, posts))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::json!({"load": posts, "answers": answers}))?;
        return Ok(ExitCode::Done);
    }
    let rate =
        posts.rate.map_or_else(|| "as fast as they go".to_owned(), |n| format!("{n} due a second"));
    writeln!(
        out,
        "{} webhooks, {rate}, {} at once, {} queues:",
        posts.messages, posts.connections, posts.queues
    )?;
    writeln!(
        out,
        "  ingest  {:>8.0} webhooks a second; p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        answers.per_second, answers.p50_ms, answers.p99_ms, answers.max_ms
    )?;
    Ok(ExitCode::Done)
}

fn relay(args: &RelayArgs) -> Outcome {
    let load = Load {
        messages: args.messages as usize,
        conversations: args.conversations as usize,
        people: args.people as usize,
        queues: args.queues.kind(),
        prefetch: args.prefetch.max(1),
    };
    let node = args
        .shovel
        .as_ref()
        .map(|name| Node { rabbitmqctl: args.rabbitmqctl.clone(), name: name.clone() });
    let peers = super::runtime()?.block_on(rounds(args, load, node.as_ref()))?;
    print(load, &peers, args.json)?;
    Ok(ExitCode::Done)
}

/// The figures of each round.
#[derive(Default)]
struct Peers {
    shovel: Vec<Figures>,
    bare: Vec<Figures>,
    relay: Vec<Figures>,
}

async fn rounds(args: &RelayArgs, load: Load, node: Option<&Node>) -> Result<Peers, BenchError> {
    let mut peers = Peers::default();
    let process = match node {
        Some(node) => node.process().await?,
        None => None,
    };
    for round in 0..args.rounds {
        let prefix = format!("interline-bench-{}-{round}", std::process::id());
        if let Some(node) = node {
            peers.shovel.push(shovel::round(&args.broker, &prefix, load, node, process).await?);
        }
        if args.bare {
            peers.bare.push(bare::round(&args.broker, &prefix, load, process).await?);
        }
        peers.relay.push(stage::round(&args.broker, &prefix, load, process).await?);
    }
    Ok(peers)
}

fn print(load: Load, peers: &Peers, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let middle = |figures: &[Figures]| median(figures.to_vec());
    let (shovel, bare, relay) = (middle(&peers.shovel), middle(&peers.bare), middle(&peers.relay));
    if json {
        let object = serde_json::json!({
            "load": load, "relay": peers.relay, "shovel": peers.shovel, "bare": peers.bare,
            "median": {"relay": relay, "shovel": shovel, "bare": bare},
        });
        return writeln!(out, "{object}");
    }
    writeln!(
        out,
        "{} messages, {} conversations of {}, {} queues, prefetch {}; {} rounds, medians:",
        load.messages,
        load.conversations,
        load.people,
        load.queues,
        load.prefetch,
        peers.relay.len()
    )?;
    for (name, figures) in [("shovel", shovel), ("bare", bare), ("relay", relay)] {
        let Some(Figures { per_second, cpu_us, broker_cpu_us, peak_rss_kib }) = figures else {
            continue;
        };
        write!(out, "  {name:7} {per_second:>8.0} messages a second")?;
        if let Some(us) = cpu_us {
            write!(out, ", {us:.1} µs of CPU each")?;
        }
        if let Some(us) = broker_cpu_us {
            write!(out, ", the broker's {us:.1} µs")?;
        }
        if let Some(kib) = peak_rss_kib {
            write!(out, ", peak memory {} MiB", kib / 1024)?;
        }
        writeln!(out)?;
    }
    if let (Some(relay), Some(shovel)) = (relay, shovel) {
        writeln!(out, "  ratio   {:>8.2}", relay.per_second / shovel.per_second)?;
    }
    Ok(())
}
