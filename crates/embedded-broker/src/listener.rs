//! The listening socket, and the clock that wakes delayed messages.

use crate::connection::serve;
use crate::handle::Shared;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How connections are received, by order of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Served.
    Open,
    /// Accepted and closed at once.
    Slams,
    /// Accepted, and then nothing.
    Silent,
    /// Nobody listens: refused by the operating system.
    Down,
}

/// Silent connections that are kept; further ones are closed.
const SILENT_MAX: usize = 1024;
/// Between two attempts to listen again on the old port, or to accept after an error.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Accepts connections until the broker stops.
pub(crate) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let mut door = shared.door.subscribe();
    let mut listener = Some(listener);
    let mut silent: Vec<TcpStream> = Vec::new();
    loop {
        let wanted = *door.borrow_and_update();
        if wanted != Door::Silent {
            silent.clear();
        }
        if wanted == Door::Down {
            listener = None;
        } else if listener.is_none() {
            match TcpListener::bind(shared.address).await {
                Ok(bound) => listener = Some(bound),
                Err(error) => tracing::warn!(%error, "the embedded broker cannot listen again yet"),
            }
        }
        shared.listens.send_replace(listener.is_some());
        tokio::select! {
            () = shared.stop.cancelled() => return,
            changed = door.changed() => if changed.is_err() { return },
            () = sleep(RETRY_AFTER), if listener.is_none() && wanted != Door::Down => {}
            accepted = accept(listener.as_ref()) => match accepted {
                Ok((stream, _)) if wanted == Door::Silent => {
                    shared.change(|state| state.counters.accepted += 1);
                    silent.truncate(SILENT_MAX - 1);
                    silent.push(stream);
                }
                Ok((stream, _)) if wanted == Door::Slams => {
                    drop(stream);
                    shared.change(|state| state.counters.accepted += 1);
                }
                Ok((stream, _)) => {
                    shared.change(|state| state.counters.accepted += 1);
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection stays without TCP_NODELAY");
                    }
                    shared.tasks.spawn(serve(shared.clone(), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker could not accept a connection");
                    sleep(RETRY_AFTER).await;
                }
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Delivers delayed messages when they are due.
pub(crate) async fn keep_time(shared: Arc<Shared>) {
    loop {
        let due = shared.lock().next_due;
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.delayed.notified() => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                shared.change(|state| {
                    state.next_due = None;
                    let names: Vec<_> = state.queues.keys().cloned().collect();
                    state.dirty.extend(names);
                });
            }
        }
    }
}
