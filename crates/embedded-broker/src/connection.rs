//! The socket of one connection: bytes in, bytes out, heartbeats, timeouts.
//!
//! One task reads and writes at the same time, so a client that does not read cannot keep its acks from being heard.

use crate::codec::{PROTOCOL_HEADER, decode, put_heartbeat};
use crate::handle::Shared;
use crate::state::{Connection, OUT_BYTES_MAX, Phase};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

const READ_BYTES: usize = 64 * 1024;
/// How long a client may take to answer `connection.close`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const NO_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the socket needs to know after the state has changed.
struct Turn {
    phase: Phase,
    out: BytesMut,
    may_read: bool,
    mutes_heartbeats: bool,
    heartbeat: Duration,
}

/// Serves one client until it leaves, is cut, or the broker stops.
pub(crate) async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let mut header = [0; PROTOCOL_HEADER.len()];
    let greeting = tokio::select! {
        () = shared.stop.cancelled() => return,
        greeting = timeout(shared.config.handshake_timeout, stream.read_exact(&mut header)) => greeting,
    };
    if !matches!(greeting, Ok(Ok(_))) {
        return;
    }
    if header != *PROTOCOL_HEADER {
        if let Err(error) = stream.write_all(PROTOCOL_HEADER).await {
            tracing::debug!(%error, "a client of another protocol left");
        }
        return;
    }
    let (wake, cut) = (Arc::new(Notify::new()), shared.stop.child_token());
    let id = register(&shared, wake.clone(), cut.clone());
    if let Some(id) = id {
        let ended = converse(&shared, id, &mut stream, &wake, &cut).await;
        shared.change(|state| state.drop_connection(id));
        tracing::debug!(
            connection = id,
            error = ended.err().map(tracing::field::display),
            "a connection ended"
        );
    }
}

fn register(shared: &Shared, wake: Arc<Notify>, cut: CancellationToken) -> Option<u64> {
    shared.change(|state| {
        if state.connections.len() >= state.config.connections_max {
            tracing::warn!(
                connections = state.connections.len(),
                "a connection above the maximum was closed"
            );
            return None;
        }
        let id = state.next_id();
        let connection = Connection {
            phase: Phase::AwaitsStartOk,
            out: BytesMut::new(),
            wake,
            cut,
            channels: BTreeMap::new(),
            channels_max: state.config.channels_max,
            frame_bytes_max: state.config.frame_bytes_max as usize,
            heartbeat_seconds: 0,
            knows_blocked: false,
            is_blocked: false,
            is_starved: false,
        };
        state.connections.insert(id, connection);
        state.greet(id).ok().map(|()| id)
    })
}

async fn converse(
    shared: &Shared,
    id: u64,
    stream: &mut TcpStream,
    wake: &Notify,
    cut: &CancellationToken,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let (mut input, mut pending) = (BytesMut::new(), BytesMut::new());
    let (started, mut closing_since) = (Instant::now(), None);
    let (mut last_read, mut last_write) = (started, started);
    let mut frozen = shared.frozen.subscribe();
    loop {
        if *frozen.borrow_and_update() {
            tokio::select! {
                () = cut.cancelled() => return Ok(()),
                thawed = frozen.wait_for(|is_frozen| !is_frozen) => if thawed.is_err() { return Ok(()) },
            }
            (last_read, last_write) = (Instant::now(), Instant::now());
        }
        let Some(turn) = take_turn(shared, id, &mut input, pending.is_empty()) else {
            return Ok(());
        };
        if pending.is_empty() {
            pending = turn.out;
        }
        if turn.phase == Phase::Over && pending.is_empty() {
            return writer.shutdown().await;
        }
        // What is not read cannot be missed.
        if !turn.may_read {
            last_read = Instant::now();
        }
        let (beats, closes) = match turn.phase {
            Phase::Running if !turn.heartbeat.is_zero() => {
                (last_write + turn.heartbeat / 2, last_read + turn.heartbeat * 2)
            }
            Phase::Running => (started + NO_DEADLINE, Instant::now() + NO_DEADLINE),
            Phase::AwaitsStartOk | Phase::AwaitsTuneOk | Phase::AwaitsOpen => {
                (started + NO_DEADLINE, started + shared.config.handshake_timeout)
            }
            Phase::Closing | Phase::Over => (
                started + NO_DEADLINE,
                *closing_since.get_or_insert_with(Instant::now) + CLOSE_TIMEOUT,
            ),
        };
        input.reserve(READ_BYTES);
        tokio::select! {
            () = cut.cancelled() => return Ok(()),
            read = reader.read_buf(&mut input), if turn.may_read => {
                if read? == 0 {
                    // What it was going to be told is still sent: it may have closed its side only.
                    shared.change(|state| state.end_connection(id));
                }
                last_read = Instant::now();
            }
            written = writer.write_buf(&mut pending), if !pending.is_empty() => {
                written?;
                last_write = Instant::now();
            }
            () = wake.notified() => {}
            changed = frozen.changed() => if changed.is_err() { return Ok(()) },
            () = sleep_until(closes) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the client was silent")),
            () = sleep_until(beats), if pending.is_empty() => {
                last_write = Instant::now();
                if !turn.mutes_heartbeats {
                    put_heartbeat(&mut pending);
                }
            }
        }
    }
}

/// Answers the whole frames in `input` and fetches what is to be sent; `None` once the connection is gone.
fn take_turn(shared: &Shared, id: u64, input: &mut BytesMut, wants_out: bool) -> Option<Turn> {
    let mut state = shared.lock();
    let mut is_changed = false;
    while let Some(connection) = state.connections.get_mut(&id) {
        if connection.is_blocked
            || connection.out.len() >= OUT_BYTES_MAX
            || connection.phase == Phase::Over
        {
            break;
        }
        let frame_bytes_max = connection.frame_bytes_max;
        match decode(input, frame_bytes_max) {
            Ok(Some(frame)) => state.on_frame(id, frame),
            Ok(None) => break,
            Err(failure) => {
                // Where one frame ends and the next begins is no longer known.
                input.clear();
                if connection.phase == Phase::Closing {
                    connection.phase = Phase::Over;
                }
                state.fail(id, 0, &failure);
            }
        }
        is_changed = true;
        // A cut that this frame brought about comes before the next frame.
        if state.orders.cut_now {
            break;
        }
    }
    if let Some(connection) = state.connections.get_mut(&id)
        && std::mem::take(&mut connection.is_starved)
    {
        let queues = connection.channels.values().flat_map(|channel| channel.consumers.values());
        let queues: Vec<_> = queues.map(|consumer| consumer.queue.clone()).collect();
        state.dirty.extend(queues);
        is_changed = true;
    }
    if is_changed {
        state.settle();
    }
    let mutes_heartbeats = state.orders.mutes_heartbeats;
    let turn = state.connections.get_mut(&id).map(|connection| Turn {
        phase: connection.phase,
        out: if wants_out { connection.out.split() } else { BytesMut::new() },
        may_read: !connection.is_blocked
            && connection.out.len() < OUT_BYTES_MAX
            && connection.phase != Phase::Over,
        mutes_heartbeats,
        heartbeat: Duration::from_secs(connection.heartbeat_seconds.into()),
    });
    let is_delayed = state.next_due.is_some();
    drop(state);
    if is_changed {
        shared.announce(is_delayed);
    }
    turn
}
