//! The WhatsApp codec from outside: what webhooks mean, what requests look like, what is refused.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "helpers of tests panic and print where a test would"
)]

mod answers;
mod bounds;
mod meaning;
mod mistakes;
mod requests;
mod shared_webhooks;
mod support;
