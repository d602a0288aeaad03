//! The log: for people on a terminal, JSON elsewhere, on standard error.
//!
//! *Invariant:* the AMQP client's own log target is always off, whatever the operator chose: at `trace` it writes
//! whole messages (G8). *Invariant:* of a panic the log says where, and what only if the words stand in the code.

use crate::config::LogFormat;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Targets that write bodies, headers or addresses of the wire, and are silent whatever `RUST_LOG` says.
const SILENT: [&str; 6] = [
    interline_broker::LOG_TARGET_WITH_BODIES,
    "amq_protocol",
    "hyper",
    "hyper_util",
    "reqwest",
    "h2",
];

/// What a command says without `-v` that has something else to show: what goes wrong, and not that the embedded broker
/// keeps nothing.
const QUIET: &str = "warn,interline_embedded_broker=error";

/// Starts logging. `verbose`: 0 for `info`, 1 for `debug`, more for `trace`; `RUST_LOG` decides instead if it is set.
pub fn init(verbose: u8, format: LogFormat) {
    let levels = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    start(levels, format);
}

/// The same for a command whose output is not its log: a step quieter.
pub fn init_quiet(verbose: u8, format: LogFormat) {
    match verbose.checked_sub(1) {
        None => start(QUIET, format),
        Some(verbose) => init(verbose, format),
    }
}

fn start(levels: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(levels));
    let terminal = std::io::stderr().is_terminal();
    let human = match format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let silent = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(SILENT.map(|target| (target, LevelFilter::OFF)));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let registry = tracing_subscriber::registry().with(filter);
    let result = if human {
        registry.with(layer.with_target(false).with_filter(silent)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true).with_filter(silent)).try_init()
    };
    // A second start in one process (tests) keeps the first log.
    drop(result);
}

/// Puts panics into the log, instead of onto standard error with whatever they quote. A codec that panics on an event
/// would else write the event's words down (G8).
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = own_words(panic.payload());
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            error!(place, words, %backtrace, "the code panicked; this is a bug");
        } else {
            error!(place, words, "the code panicked; this is a bug");
        }
    }));
}

/// A panic's words if they are a literal; formatted ones may hold anything.
fn own_words(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("withheld, since they may quote content")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g8_a_panic_tells_words_of_the_code_and_none_that_were_put_together() {
        let words = |panics: fn()| {
            let payload = std::panic::catch_unwind(panics).expect_err("it panics");
            own_words(payload.as_ref())
        };
        assert_eq!(words(|| panic!("no such state")), "no such state");
        let quoted = words(|| {
            let text = String::from("äöü");
            drop(text.get(1..).map_or_else(|| panic!("inside of {text}"), str::to_owned));
        });
        assert!(!quoted.contains("äöü") && quoted.starts_with("withheld"), "{quoted}");
    }
}
