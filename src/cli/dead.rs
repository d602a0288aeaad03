//! `interline dead`: what could not be delivered, and sending it once more.

use super::{ExitCode, Failure, Outcome};
use crate::config::{Config, Servers};
use crate::dead;
use crate::wire::HEADER_REPLAYED;
use anyhow::{Context, bail};
use interline_broker::{Delivery, HeaderValue, Link, OutMessage, Properties, topology};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The most dead letters that are looked at in one call.
const LETTERS_MAX: usize = 10_000;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const PUBLISHES_IN_FLIGHT: usize = 16;

/// Look at what could not be delivered, and send it once more.
///
/// Dead letters wait in a queue of the broker, each with its reason, and with its body as it was.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  interline dead list\n  interline dead show 4f1c\n  interline dead replay 4f1c"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the dead letters: id, reason, stage, error.
    ///
    /// It shows no content and no person.
    #[command(after_help = "Example:\n  interline dead list --json --config interline.toml")]
    List {
        /// Print one JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print one dead letter's story.
    ///
    /// The body of a dispatch stays sealed; that of an event is what the platform sent.
    #[command(after_help = "Example:\n  interline dead show 4f1c --config interline.toml")]
    Show {
        /// Its id, as `list` prints it; the beginning is enough if only one has it.
        id: String,
        /// Print the body too, a sealed one in hex. It is somebody's message.
        #[arg(long)]
        body: bool,
    },
    /// Send dead letters once more.
    ///
    /// Each goes back to where it died and leaves the dead letters only after the broker confirmed it; what was
    /// delivered meanwhile is not delivered twice.
    #[command(
        after_help = "Examples:\n  interline dead replay 4f1c\n  interline dead replay --all"
    )]
    Replay {
        /// Its id, or the beginning of it.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Remove one dead letter for good.
    ///
    /// Nobody will ever get what it holds.
    #[command(after_help = "Example:\n  interline dead drop 4f1c")]
    Drop {
        /// Its id, or the beginning of it.
        id: String,
    },
}

pub(super) fn run(path: &Path, args: &Args) -> Outcome {
    let config = super::load_for_broker(path)?;
    if config.broker.servers == Servers::Embedded {
        return Err(anyhow::anyhow!(
            "the embedded broker lives inside the daemon and keeps nothing; dead letters need RabbitMQ in [broker] urls"
        )
        .into());
    }
    let connect = crate::daemon::connect_config(&config, None).map_err(Failure::config)?;
    super::runtime()?.block_on(async {
        let link = interline_broker::connect(&connect).await?;
        let done = act(&config, &link, &args.command).await;
        link.close(CLOSE_TIMEOUT).await;
        done
    })?;
    Ok(ExitCode::Done)
}

async fn act(config: &Config, link: &Link, command: &Command) -> anyhow::Result<()> {
    let queue = topology::dead_queue(&config.broker.prefix);
    let letters = link.peek(&queue, LETTERS_MAX).await?;
    match command {
        Command::List { json } => list(&letters, *json),
        Command::Show { id, body } => show(find(&letters, id)?, *body),
        Command::Replay { id, all } => {
            let ids: Vec<String> = match id {
                Some(id) if !all => vec![id_of(find(&letters, id)?).to_owned()],
                Some(_) | None => letters.iter().map(|letter| id_of(letter).to_owned()).collect(),
            };
            replay(link, &queue, &ids).await
        }
        Command::Drop { id } => {
            let id = id_of(find(&letters, id)?);
            match link.take(&queue, id).await? {
                Some(taken) => taken.remove().await?,
                None => bail!(
                    "the dead letter {id} is gone, somebody else replayed or dropped it; `interline dead list` shows what is left"
                ),
            }
            Ok(writeln!(std::io::stdout(), "dropped {id}")?)
        }
    }
}

fn list(letters: &[Delivery], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if letters.is_empty() && !json {
        writeln!(out, "no dead letters")?;
    }
    for letter in letters {
        if json {
            writeln!(out, "{}", story(letter))?;
        } else {
            let id: String = id_of(letter).chars().take(12).collect();
            let (reason, stage) =
                (text(letter, dead::HEADER_REASON), text(letter, dead::HEADER_STAGE));
            writeln!(out, "{id}  {reason:<18} {stage:<8} {}", text(letter, dead::HEADER_ERROR))?;
        }
    }
    Ok(())
}

fn show(letter: &Delivery, body: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &story(letter))?;
    writeln!(out)?;
    if body {
        // What is sealed is no text, and a terminal would take some of its bytes for orders.
        match std::str::from_utf8(&letter.body) {
            Ok(text) => writeln!(out, "{text}")?,
            Err(_) => writeln!(out, "{}", hex::encode(&letter.body))?,
        }
    }
    Ok(())
}

async fn replay(link: &Link, queue: &str, ids: &[String]) -> anyhow::Result<()> {
    let publisher = link.publisher(PUBLISHES_IN_FLIGHT).await?;
    let mut out = std::io::stdout().lock();
    for id in ids {
        let Some(taken) = link.take(queue, id).await? else {
            bail!(
                "the dead letter {id} is gone, somebody else replayed or dropped it; `interline dead list` shows what is left"
            );
        };
        let message = back_to_where_it_died(&taken.delivery);
        match publisher.publish(message).await {
            Ok(()) => taken.remove().await?,
            Err(error) => {
                taken.put_back().await?;
                return Err(error).with_context(|| {
                    format!("the dead letter {id} could not be replayed and is still there; mend the cause, and replay it again")
                });
            }
        }
        writeln!(out, "replayed {id}")?;
    }
    Ok(())
}

/// A letter of ours says where it died; one that the broker put here itself has its queue's name for a routing key.
fn back_to_where_it_died(letter: &Delivery) -> OutMessage {
    let get = |name| letter.text_header(name).map(str::to_owned);
    let replayed = letter.int_header(HEADER_REPLAYED).unwrap_or(0);
    let mut properties = Properties {
        message_id: letter.message_id().map(str::to_owned),
        kind: get(dead::HEADER_TYPE).or_else(|| letter.kind().map(str::to_owned)).map(Into::into),
        ..Properties::default()
    };
    properties.headers.insert(HEADER_REPLAYED.into(), HeaderValue::Int(replayed.saturating_add(1)));
    let (exchange, routing_key) = get(dead::HEADER_EXCHANGE)
        .zip(get(dead::HEADER_ROUTING_KEY))
        .unwrap_or_else(|| (String::new(), letter.routing_key.clone()));
    OutMessage { exchange, routing_key, body: letter.body.clone(), properties }
}

fn find<'a>(letters: &'a [Delivery], id: &str) -> anyhow::Result<&'a Delivery> {
    let mut fitting = letters.iter().filter(|letter| id_of(letter).starts_with(id));
    match (fitting.next(), fitting.next()) {
        (Some(letter), None) => Ok(letter),
        (Some(_), Some(_)) => bail!("several dead letters begin with {id}; write more of the id"),
        (None, _) => bail!("there is no dead letter {id}; `interline dead list` shows them"),
    }
}

fn id_of(letter: &Delivery) -> &str {
    letter.message_id().unwrap_or_default()
}

fn text<'a>(letter: &'a Delivery, header: &str) -> &'a str {
    letter.text_header(header).unwrap_or("-")
}

fn story(letter: &Delivery) -> serde_json::Value {
    let number = |header| letter.int_header(header);
    serde_json::json!({
        "id": id_of(letter),
        "reason": text(letter, dead::HEADER_REASON),
        "stage": text(letter, dead::HEADER_STAGE),
        "error": text(letter, dead::HEADER_ERROR),
        "attempts": number(dead::HEADER_ATTEMPTS),
        "first_ms": number(dead::HEADER_FIRST),
        "last_ms": number(dead::HEADER_LAST),
        "replayed": number(HEADER_REPLAYED),
        "type": text(letter, dead::HEADER_TYPE),
        "exchange": text(letter, dead::HEADER_EXCHANGE),
        "routing_key": text(letter, dead::HEADER_ROUTING_KEY),
        "bytes": letter.body.len(),
    })
}
