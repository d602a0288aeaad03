//! Client libraries that others wrote for the real platforms, against the simulated ones.
//!
//! What they send a person's phone shows, and what a person says they take from the webhook. So the sandbox is not
//! only what its own tests believe it to be. The libraries are installed by `cargo xtask test`, in the versions that
//! `requirements.txt` and `package-lock.json` pin; without them these tests say that they were skipped.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, also in its helpers"
)]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod kapso;
mod messenger;
mod pywa;
mod support;
