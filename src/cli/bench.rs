//! `interline bench`: how fast this machine and broker are.

use super::{ExitCode, Outcome};
use crate::bench::shovel::Node;
use crate::bench::{Figures, Load, median, relay, shovel};
use crate::config::LogFormat;
use interline_broker::QueueKind;
use std::io::Write;

/// Measure how fast the relay stage drains a platform's queue on this machine and broker.
///
/// Fills a queue of its own with text webhooks, drains it with the relay stage as it runs in production (store on
/// disk, publisher confirms), checks that every dispatch is there once and in order, and removes its queues again.
/// With --shovel it times RabbitMQ's own shovel over the same load, in turn with its own rounds: what counts is the
/// ratio of the two, since the machine's speed cancels out.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "Examples:
  interline bench relay --broker amqp://guest:guest@127.0.0.1:5672/%2f
  interline bench relay --conversations 10000 --people 3 --queues classic
  interline bench relay --shovel rabbit@$(hostname -s)"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Relay(RelayArgs),
}

/// Time the relay stage: a full platform queue into the dispatch queues.
///
/// The queues have a name of their own for each round, and are removed at its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  interline bench relay --messages 100000\n  \
    interline bench relay --shovel rabbit@$(hostname -s) --json")]
struct RelayArgs {
    /// The broker.
    #[arg(long, value_name = "URL", default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
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

pub(super) fn run(args: &Args, verbose: u8) -> Outcome {
    let Command::Relay(args) = &args.command;
    crate::telemetry::init_quiet(verbose, LogFormat::Human);
    let load = Load {
        messages: args.messages as usize,
        conversations: args.conversations as usize,
        people: args.people as usize,
        queues: match args.queues {
            Queues::Quorum => QueueKind::Quorum,
            Queues::Classic => QueueKind::Classic,
        },
        prefetch: args.prefetch.max(1),
    };
    let node = args
        .shovel
        .as_ref()
        .map(|name| Node { rabbitmqctl: args.rabbitmqctl.clone(), name: name.clone() });
    let (ours, theirs) = super::runtime()?.block_on(async {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..args.rounds {
            let prefix = format!("interline-bench-{}-{round}", std::process::id());
            if let Some(node) = &node {
                theirs.push(shovel::round(&args.broker, &prefix, load, node).await?);
            }
            ours.push(relay::round(&args.broker, &prefix, load).await?);
        }
        Ok::<_, crate::bench::BenchError>((ours, theirs))
    })?;
    print(load, ours, theirs, args.json)?;
    Ok(ExitCode::Done)
}

fn print(load: Load, ours: Vec<Figures>, theirs: Vec<Figures>, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let object = serde_json::json!({
            "load": load, "relay": ours, "shovel": theirs,
            "median": {"relay": median(ours.clone()), "shovel": median(theirs.clone())},
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
        ours.len()
    )?;
    let shovel = median(theirs);
    if let Some(shovel) = shovel {
        writeln!(out, "  shovel  {:>8.0} messages a second", shovel.per_second)?;
    }
    if let Some(relay) = median(ours) {
        write!(out, "  relay   {:>8.0} messages a second", relay.per_second)?;
        if let (Some(cpu), Some(rss)) = (relay.cpu_us, relay.peak_rss_kib) {
            write!(out, ", {cpu:.1} µs of CPU each, peak memory {} MiB", rss / 1024)?;
        }
        writeln!(out)?;
        if let Some(shovel) = shovel {
            writeln!(out, "  ratio   {:>8.2}", relay.per_second / shovel.per_second)?;
        }
    }
    Ok(())
}
