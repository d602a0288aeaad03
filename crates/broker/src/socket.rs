//! Handles on a link's sockets, to end what would otherwise hang.
//!
//! The client library runs each connection on a thread of its own, and that thread waits for as long as a silent peer
//! keeps the socket open: after a connect that timed out, and while closing. Shutting the socket ends the thread.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

/// The sockets of one link, or of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Mutex<Vec<TcpStream>>);

impl Sockets {
    /// Keeps a second handle on `socket`.
    pub(crate) fn keep(&self, socket: &impl AsFd) -> std::io::Result<()> {
        let handle = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(())
    }

    /// Takes over what `other` holds.
    pub(crate) fn adopt(&self, other: &Self) {
        let mut theirs = other.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(&mut theirs);
    }

    /// Shuts both directions of every socket. Harmless where one is closed already.
    pub(crate) fn shut(&self) {
        for socket in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Err(error) = socket.shutdown(Shutdown::Both) {
                tracing::trace!(%error, "a broker socket was closed already");
            }
        }
    }
}
