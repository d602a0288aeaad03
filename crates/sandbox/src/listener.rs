//! A listening port that can refuse, come back on the same number, and cut a connection.
//!
//! The port stays reserved while it refuses: a bound socket that does not listen answers "connection refused" and
//! keeps the number from everybody else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections that the kernel queues before they are accepted.
const BACKLOG: u32 = 1_024;

/// The wait after `accept` failed for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// A port on loopback that is ours whether or not it listens.
pub(crate) struct Port {
    address: SocketAddr,
    _reserved: TcpSocket,
}

impl Port {
    /// Reserves `address`; port 0 takes a free one.
    pub(crate) fn reserve(address: SocketAddr) -> io::Result<Self> {
        let reserved = socket_at(address)?;
        Ok(Self { address: reserved.local_addr()?, _reserved: reserved })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen; connections die when `down` is cancelled.
    pub(crate) fn listen(&self, down: CancellationToken) -> io::Result<Gate> {
        let listener = socket_at(self.address)?.listen(BACKLOG)?;
        Ok(Gate { listener, down })
    }
}

fn socket_at(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A listener whose connections can be cut.
pub(crate) struct Gate {
    listener: TcpListener,
    down: CancellationToken,
}

impl Listener for Gate {
    type Io = Wire;
    type Addr = Cutter;

    async fn accept(&mut self) -> (Wire, Cutter) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Small answers must not wait for the peer's delayed ack; without it they are only slower.
                    drop(stream.set_nodelay(true));
                    let cutter = Cutter::new();
                    let down = Box::pin(self.down.clone().cancelled_owned());
                    return (Wire { stream, down, cutter: cutter.clone() }, cutter);
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Cutter> {
        Ok(Cutter::new())
    }
}

/// Cuts one connection: nothing more is written to it.
#[derive(Clone, Debug)]
pub(crate) struct Cutter {
    cut: Arc<AtomicBool>,
}

impl Cutter {
    /// For a request that comes by no connection.
    pub(crate) fn new() -> Self {
        Self { cut: Arc::new(AtomicBool::new(false)) }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// From now on every write fails, so that the answer that the handler returns never leaves.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Gate>> for Cutter {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A connection that ends when its listener goes down or its cutter was used.
pub(crate) struct Wire {
    stream: TcpStream,
    down: Pin<Box<WaitForCancellationFutureOwned>>,
    cutter: Cutter,
}

impl Wire {
    fn is_dead(&mut self, cx: &mut Context<'_>) -> bool {
        self.cutter.is_cut() || self.down.as_mut().poll(cx).is_ready()
    }
}

fn dead<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_dead(cx) {
            return dead();
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_dead(cx) {
            return dead();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
