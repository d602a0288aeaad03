//! The `interline` program: parse, start telemetry, run one command, turn its result into an exit code.

use clap::Parser;
use interline::cli::{Cli, ExitCode, Failure};
use std::io::Write;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let code = match interline::cli::run(cli) {
        Ok(code) => code,
        Err(Failure { error, code }) => {
            // The chain of causes, one a line: what, then why.
            let mut stderr = std::io::stderr().lock();
            let mut said = error.to_string();
            let mut told = writeln!(stderr, "interline: {said}").is_ok();
            for cause in error.chain().skip(1).map(ToString::to_string) {
                // Some errors repeat their cause in their own words.
                if !said.ends_with(&cause) {
                    told &= writeln!(stderr, "  because: {cause}").is_ok();
                }
                said = cause;
            }
            if told { code } else { ExitCode::Failed }
        }
    };
    std::process::ExitCode::from(code as u8)
}
