//! The commands, a file each. They parse, call the library, print; they hold no logic of the walk.

mod bench;
mod bridges;
mod check;
mod conversations;
mod dead;
mod explain;
mod normalize;
mod render;
mod run;
mod sandbox;
mod status;
mod topology;

use crate::config::{Config, Finding, SecretSource};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Lets people on WhatsApp, Instagram and Messenger talk to each other, over RabbitMQ.
#[derive(Debug, Parser)]
#[command(name = "interline", version, max_term_width = 100, after_help = WHERE_TO_BEGIN)]
pub struct Cli {
    /// The config file.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "INTERLINE_CONFIG",
        default_value = "/etc/interline/interline.toml"
    )]
    config: PathBuf,
    /// Say more, and with -vv still more: `run` logs debug, then trace, the others begin with info. RUST_LOG, where
    /// set, decides instead.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const WHERE_TO_BEGIN: &str = "\
Try it without anything else installed:
  interline sandbox --script demo
Then write a config (config.example.toml has every key), check it, and run it:
  interline check --config interline.toml
  interline run --config interline.toml";

#[derive(Debug, Subcommand)]
enum Command {
    // The help of a command stands at its arguments.
    Run(run::Args),
    Sandbox(sandbox::Args),
    Check(check::Args),
    Normalize(normalize::Args),
    Explain(explain::Args),
    Render(render::Args),
    Topology(topology::Args),
    Conversations(conversations::Args),
    Status(status::Args),
    Dead(dead::Args),
    Bridges(bridges::Args),
    Bench(bench::Args),
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// `EX_CONFIG`: the config, or the key that it names, must be mended first.
    Config = 78,
}

/// A command that failed: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// What, why, how to mend.
    pub error: anyhow::Error,
    /// The exit code.
    pub code: ExitCode,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), code: ExitCode::Failed }
    }
}

impl Failure {
    fn config(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), code: ExitCode::Config }
    }
}

type Outcome = Result<ExitCode, Failure>;

/// Runs one command.
///
/// # Errors
/// [`Failure`], to be printed by `main`.
pub fn run(cli: Cli) -> Outcome {
    let Cli { config, verbose, command } = cli;
    let has_a_log_of_its_own =
        matches!(command, Command::Run(_) | Command::Sandbox(_) | Command::Bench(_));
    if !has_a_log_of_its_own {
        crate::telemetry::init_command(verbose);
    }
    match command {
        Command::Run(_) => run::run(&config, verbose),
        Command::Sandbox(args) => sandbox::run(&args, verbose),
        Command::Check(args) => check::run(&config, &args),
        Command::Normalize(args) => normalize::run(&config, &args),
        Command::Explain(args) => explain::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Topology(args) => topology::run(&config, &args),
        Command::Conversations(args) => conversations::run(&config, &args),
        Command::Status(args) => status::run(&config, &args),
        Command::Bridges(args) => bridges::run(&args),
        Command::Bench(args) => bench::run(&args, verbose),
        Command::Dead(args) => dead::run(&config, &args),
    }
}

/// Loads the config; mistakes make the command exit with 78.
fn load(path: &Path) -> Result<Config, Failure> {
    load_with_warnings(path).map(|(config, _warnings)| config)
}

/// The same for a command that is about the config, or that starts with it: warnings go to stderr.
fn load_and_warn(path: &Path) -> Result<Config, Failure> {
    let (config, warnings) = load_with_warnings(path)?;
    let mut stderr = std::io::stderr().lock();
    for warning in warnings {
        writeln!(stderr, "warning: {warning}")?;
    }
    Ok(config)
}

/// Loads the config for a command that talks to the broker alone.
fn load_for_broker(path: &Path) -> Result<Config, Failure> {
    Config::load_for_broker(path, &crate::bridges::ids(), &SecretSource::process())
        .map_err(Failure::config)
}

fn load_with_warnings(path: &Path) -> Result<(Config, Vec<Finding>), Failure> {
    Config::load(path, &crate::bridges::ids(), &SecretSource::process()).map_err(Failure::config)
}

/// A runtime for a command that talks to the broker.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// A bridge by its id, or an error that lists them all.
fn bridge(id: &str) -> Result<std::sync::Arc<dyn interline_bridge_api::Bridge>, Failure> {
    crate::bridges::find(id).ok_or_else(|| {
        anyhow::anyhow!(
            "there is no bridge `{id}`; name one of {}",
            crate::bridges::ids().join(", ")
        )
        .into()
    })
}

/// The root key of a config, or exit code 78.
fn root_key(config: &Config) -> Result<interline_envelope::RootKey, Failure> {
    crate::daemon::root_key(config).map_err(Failure::config)
}
