//! The log: for people on a terminal, JSON elsewhere, on standard error.
//!
//! *Invariant:* the AMQP client's own log target is always off, whatever the operator chose: at `trace` it writes
//! whole messages (G8). *Invariant:* of a panic the log says where, and what only if the words stand in the code.

use crate::config::LogFormat;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::ffi::OsString;
use std::io::IsTerminal;
use tracing::{error, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
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

/// What a play says without `-v`: what goes wrong, and not that the embedded broker keeps nothing.
const QUIET: &str = "warn,interline_embedded_broker=error";

/// Starts logging. `verbose`: 0 for `info`, 1 for `debug`, more for `trace`; `RUST_LOG` decides instead if it is set.
pub fn init(verbose: u8, format: LogFormat) {
    start(["info", "debug", "trace"][usize::from(verbose.min(2))], format);
}

/// The same for a play, whose output is not its log: a step quieter.
pub fn init_quiet(verbose: u8, format: LogFormat) {
    start([QUIET, "info", "debug", "trace"][usize::from(verbose.min(3))], format);
}

/// The same for a command that ends with an answer: its own words say what failed.
pub fn init_command(verbose: u8) {
    // Only a mistake in RUST_LOG itself is told without being asked.
    const SILENT: &str = "off,interline::telemetry=warn";
    start([SILENT, "info", "debug", "trace"][usize::from(verbose.min(3))], LogFormat::Human);
}

fn start(levels: &str, format: LogFormat) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (filter, unreadable) = filter(&asked, levels);
    let terminal = std::io::stderr().is_terminal();
    let human = match format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let coloured = has_colours(terminal, std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
    let silent = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(SILENT.map(|target| (target, LevelFilter::OFF)));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(coloured);
    let registry = tracing_subscriber::registry().with(filter);
    let result = if human {
        registry.with(layer.with_target(false).with_filter(silent)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true).with_filter(silent)).try_init()
    };
    // A second start in one process (tests) keeps the first log.
    drop(result);
    if let Some(error) = unreadable {
        warn!(%error, "RUST_LOG is left out, since it cannot be read; write it as interline=debug,warn");
    }
}

/// What `RUST_LOG` asks for, or `levels` where it asks for nothing or cannot be read, and then why not.
fn filter(asked: &str, levels: &str) -> (EnvFilter, Option<ParseError>) {
    if asked.trim().is_empty() {
        return (EnvFilter::new(levels), None);
    }
    match EnvFilter::builder().parse(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(levels), Some(error)),
    }
}

/// Colours are for a terminal that shows them, and for a person who wants them.
///
/// Source: <https://no-color.org>: set and not empty means none.
fn has_colours(terminal: bool, no_color: Option<OsString>, term: Option<OsString>) -> bool {
    let unwanted = no_color.is_some_and(|value| !value.is_empty());
    let dumb = term.is_some_and(|term| term == "dumb");
    terminal && !unwanted && !dumb
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
    fn colours_are_for_a_terminal_whose_owner_wants_them() {
        let set = |value: &str| Some(OsString::from(value));
        assert!(has_colours(true, None, set("xterm")));
        assert!(has_colours(true, set(""), None));
        assert!(!has_colours(false, None, set("xterm")));
        assert!(!has_colours(true, set("1"), set("xterm")));
        assert!(!has_colours(true, None, set("dumb")));
    }

    #[test]
    fn a_rust_log_that_cannot_be_read_changes_nothing_and_is_told() {
        for asked in ["", " "] {
            let (levels, unreadable) = filter(asked, "info");
            assert_eq!((levels.to_string(), unreadable.is_none()), ("info".to_owned(), true));
        }
        let (levels, unreadable) = filter("interline=debug,warn", "info");
        assert!(levels.to_string().contains("interline=debug") && unreadable.is_none(), "{levels}");
        let (levels, unreadable) = filter("interline=loud", "info");
        assert_eq!(levels.to_string(), "info");
        assert!(unreadable.is_some());
    }

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
