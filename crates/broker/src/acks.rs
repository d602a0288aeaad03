//! Writes a consumer's acks: one task, so that they are never reordered.
//!
//! [`Acker::ack`] only notes the tag; the task takes all that was noted since it last wrote, merges it (see `ledger`)
//! and writes it. What is noted is bounded by the prefetch, since a tag counts once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use lapin::Channel;
use lapin::options::BasicAckOptions;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::errors::{LostReason, Role};
use crate::ledger::{AckFrame, Ledger};
use crate::link::{Shared, close_channel};
use crate::memory::Outlet;
use crate::message::DeliveryTag;

/// Where acks are noted.
#[derive(Debug)]
pub(crate) struct Desk {
    generation: u64,
    state: Mutex<State>,
    noted: Notify,
    /// How many of the acks noted were written.
    written: watch::Sender<u64>,
    /// Set once the channel is closed.
    pub(crate) done: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    noted_count: u64,
}

impl Desk {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            generation,
            state: Mutex::default(),
            noted: Notify::new(),
            written: watch::Sender::new(0),
            done: CancellationToken::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn delivered(&self, tag: DeliveryTag) {
        self.state().ledger.delivered(tag.number);
    }

    fn take_frames(&self) -> (Vec<AckFrame>, u64) {
        let mut state = self.state();
        (state.ledger.take_frames(), state.noted_count)
    }
}

/// Acks deliveries of one consumer. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Acker {
    desk: Arc<Desk>,
    shared: Arc<Shared>,
}

impl Acker {
    pub(crate) fn new(desk: Arc<Desk>, shared: Arc<Shared>) -> Self {
        Self { desk, shared }
    }

    /// Hands `tag` to the acking task; never waits. Acks of another consumer's tags, second acks and acks after the
    /// loss of the link do nothing: the broker delivers such a message again, and no ack can prevent that.
    pub fn ack(&self, tag: DeliveryTag) {
        if tag.generation != self.desk.generation {
            return;
        }
        let settled = {
            let mut state = self.desk.state();
            let settled = state.ledger.settle(tag.number);
            state.noted_count += u64::from(settled);
            settled
        };
        if settled {
            self.desk.noted.notify_one();
        }
    }

    /// Waits until all acks handed over so far were written to the broker. Cancel-safe.
    ///
    /// # Errors
    /// Why the link was lost, if it was before they were written.
    pub async fn flush(&self) -> Result<(), LostReason> {
        let target = self.desk.state().noted_count;
        let mut written = self.desk.written.subscribe();
        tokio::select! {
            biased;
            _ = written.wait_for(|written| *written >= target) => Ok(()),
            () = self.desk.done.cancelled() => Err(self.shared.reason()),
        }
    }

    /// How many deliveries were given out by the consumer and not yet handed to [`Acker::ack`].
    #[must_use]
    pub fn open_count(&self) -> u64 {
        self.desk.state().ledger.open_count()
    }
}

/// Where acks are written to.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a consumer, and only tests have the small variant"
)]
pub(crate) enum Target {
    Amqp {
        channel: Channel,
        /// The client's consumer, which would cancel itself if it were dropped before the channel is closed.
        keep_alive: lapin::Consumer,
    },
    Memory(Outlet),
}

impl Target {
    async fn write(&self, frames: &[AckFrame], shared: &Shared) -> lapin::Result<()> {
        match self {
            Self::Amqp { channel, .. } => write(channel, frames, shared).await,
            Self::Memory(outlet) => {
                outlet.ack(frames, shared).await;
                Ok(())
            }
        }
    }

    async fn close(self, shared: &Shared) {
        match self {
            Self::Amqp { channel, keep_alive } => {
                close_channel(&channel, shared).await;
                drop(keep_alive);
            }
            Self::Memory(outlet) => outlet.close(),
        }
    }
}

/// Writes acks until told to stop, then closes the channel: directly, since a cancel before it would let the next
/// consumer start on later deliveries while ours are still out.
pub(crate) async fn run(
    target: Target,
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            biased;
            () = shared.lost.cancelled() => break,
            () = desk.noted.notified() => {}
            () = stop.cancelled() => stopping = true,
        }
        let (frames, noted_count) = desk.take_frames();
        if !frames.is_empty()
            && let Err(error) = target.write(&frames, &shared).await
        {
            shared.lose(LostReason::Channel { role: Role::Consume, fault: error.into() });
            break;
        }
        if shared.lost.is_cancelled() {
            break;
        }
        desk.written.send_replace(noted_count);
    }
    target.close(&shared).await;
    desk.done.cancel();
}

async fn write(channel: &Channel, frames: &[AckFrame], shared: &Shared) -> lapin::Result<()> {
    // Started in order and awaited together, so that the client writes them to the socket in one piece.
    let writes = frames
        .iter()
        .map(|frame| channel.basic_ack(frame.tag, BasicAckOptions { multiple: frame.multiple }));
    tokio::select! {
        biased;
        written = join_all(writes) => written.into_iter().collect(),
        () = shared.lost.cancelled() => Ok(()),
    }
}
