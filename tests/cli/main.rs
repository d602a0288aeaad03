//! The commands, run as an operator runs them: the program itself, its exit code, what it prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod config;
mod dead;
mod docs;
mod explain;
mod help;
mod messages;
mod normalize;
mod operators;
mod readme;
mod sandbox;
mod script;
mod support;
