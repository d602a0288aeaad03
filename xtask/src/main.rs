//! The project's chores, run as `cargo xtask CHORE`. A chore a file.

mod bench;
mod clients;
mod fidelity;
mod ingest;
mod mutants;
mod needs;
mod schema;
mod soak;
mod test;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test              install what the tests need, then check format, lints, docs, tests and dependencies
cargo xtask bench [MESSAGES]   time the relay stage beside RabbitMQ's shovel: two queue types, two loads
cargo xtask bench ingest       time signed webhooks into RabbitMQ: at 1,000 a second, and as fast as they go
cargo xtask bench parts        time the codecs, fit and the envelope by themselves (criterion)
cargo xtask soak [SEEDS]      try the libraries' properties and play random conversations, on what nobody has seen
cargo xtask mutants-model      see that the model notices when parking, ordering, de-duplication or intent is off
cargo xtask schema [--check]  write docs/*.schema.json and docs/asyncapi.yaml from the types, or say what differs
cargo xtask fidelity [--check]  write docs/fidelity.md, what arrives of what, or say what differs
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run(root()),
        ["bench", "ingest"] => ingest::run(root()),
        ["bench"] => bench::relay(root(), "50000"),
        ["bench", "parts"] => bench::parts(root()),
        ["bench", messages] => bench::relay(root(), messages),
        ["soak"] => soak::run(root(), soak::SEEDS),
        ["soak", seeds] => soak::run(root(), seeds),
        ["mutants-model"] => mutants::run(root()),
        ["schema"] => schema::run(root(), false),
        ["schema", "--check"] => schema::run(root(), true),
        ["fidelity"] => fidelity::run(root(), false),
        ["fidelity", "--check"] => fidelity::run(root(), true),
        [] | ["help" | "--help" | "-h"] => say(HELP.trim_end()).map(|()| true),
        [wrong, ..] => Err(anyhow::anyhow!(
            "there is no chore `{wrong}` with these arguments; the chores are:\n{HELP}"
        )),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let told = writeln!(std::io::stderr(), "xtask: {error:#}");
            if told.is_ok() { ExitCode::FAILURE } else { ExitCode::from(2) }
        }
    }
}

/// The checkout: the folder above this package.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// Prints a line at once, so that it stands before what a step prints.
fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
