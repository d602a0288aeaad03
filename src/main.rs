//! The `interline` program: parse, start telemetry, run one command, turn its result into an exit code.

use clap::Parser;
use interline::cli::{Cli, ExitCode, Failure};
use interline::config::ConfigErrors;
use std::io::Write;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let code = match interline::cli::run(cli) {
        Ok(code) => code,
        // As of any filter: whoever reads no further, such as `head`, has what it wanted.
        Err(Failure { error, .. }) if is_reader_gone(&error) => ExitCode::Done,
        Err(Failure { error, code }) => match tell(&error) {
            Ok(()) => code,
            Err(_) => ExitCode::Failed,
        },
    };
    std::process::ExitCode::from(code as u8)
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Mistakes of a config one a line, as compilers tell theirs; else the chain of causes: what, then why.
fn tell(error: &anyhow::Error) -> std::io::Result<()> {
    let mut stderr = std::io::stderr().lock();
    let mistakes = error.downcast_ref::<ConfigErrors>().map_or(0, |wrong| wrong.findings().len());
    if mistakes > 0 {
        let noun = if mistakes == 1 { "mistake" } else { "mistakes" };
        return writeln!(stderr, "{error}\ninterline: the config has {mistakes} {noun}");
    }
    let mut said = error.to_string();
    writeln!(stderr, "interline: {said}")?;
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some errors repeat their cause in their own words.
        if !said.contains(&cause) {
            writeln!(stderr, "  because: {cause}")?;
        }
        said = cause;
    }
    Ok(())
}
