//! The daemon that lets people on WhatsApp, Instagram and Messenger talk to each other, over RabbitMQ.
//!
//! Wiring and I/O only: what is decided is decided in the pure crates. `src/main.rs` is the program.

mod admin;
pub mod bench;
pub mod bridges;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod daemon;
pub mod dead;
pub mod deliver;
pub mod explain;
pub mod ingest;
pub mod live;
pub mod media;
pub mod metrics;
pub mod relay;
pub mod sandbox;
pub mod status;
mod systemd;
pub mod telemetry;
pub mod wire;
