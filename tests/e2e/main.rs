//! End to end: real sockets, real AMQP, the daemon as a child process that is killed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, also in the helpers of a scenario"
)]

mod brokers;
mod canaries;
mod content;
mod crashes;
mod dependents;
mod egress;
mod failing;
mod harness;
mod ingest;
mod media;
mod model;
mod notices;
mod operators;
mod own_sends;
mod pace;
mod pairs;
mod platforms;
mod privacy;
mod queues;
mod receipts;
mod recorder;
mod review;
mod service;
mod show;
mod talk;
mod windows;
