//! What others rely on: the published schemas, and the contract that every bridge keeps.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bridges;
mod samples;
mod schemas;
