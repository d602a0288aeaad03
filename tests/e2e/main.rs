//! End to end: real sockets, real AMQP, the daemon as a child process that is killed.

mod harness;
mod pairs;
