//! The daemon that lets people on WhatsApp, Instagram and Messenger talk to each other, over RabbitMQ.
//!
//! Wiring and I/O only: what is decided is decided in the pure crates. `src/main.rs` is the program.

pub mod config;
