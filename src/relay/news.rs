//! What an event tells of sends of ours, and asks of the store before it is acknowledged: markers, echoes, receipts.
//!
//! *Invariant:* the event is acknowledged only when all of it is recorded, and what follows from it confirmed (G1).

use super::lanes::Lanes;
use super::{Relay, RelayError, until_recorded};
use crate::wire::Marker;
use interline_envelope::{
    Address, Author, Dispatch, Envelope, IdKey, Origin, Redacted, Target, Unknown,
};
use interline_store::{EchoOf, NativeMessage, ReadByAll, ReadUpTo, Reading, Store};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How much longer than `deliver.settle_timeout` it may stay open whose echo came, while a send to the same person is
/// under way.
const UNDECIDED_MARGIN: Duration = Duration::from_secs(5);
const UNDECIDED_POLL: Duration = Duration::from_millis(200);

/// How long a receipt waits for the copy that was read to be recorded.
const COPY_MAX: Duration = Duration::from_secs(5);

/// What one event tells.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) settlements: Vec<Settlement>,
    pub(super) echoes: Vec<Echo>,
    pub(super) reads: Vec<Read>,
}

/// A person's status or echo that says what became of a send of ours.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) marker: Marker,
    pub(super) native_ids: Vec<Redacted<String>>,
}

/// An echo of a platform that gives no marker back: ours, or an operator's.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) message: NativeMessage,
    pub(super) likeness: Option<Redacted<String>>,
    /// The platform's clock: UTC milliseconds.
    pub(super) time: i64,
    /// What follows if it is an operator's.
    pub(super) dispatches: Vec<Dispatch>,
}

/// A person has read what others wrote.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) reader: Address,
    pub(super) up_to: ReadUpTo,
    pub(super) conversation: String,
    pub(super) alias: Author,
    pub(super) envelope: Envelope,
}

impl News {
    pub(super) const fn is_empty(&self) -> bool {
        let Self { settlements, echoes, reads } = self;
        settlements.is_empty() && echoes.is_empty() && reads.is_empty()
    }

    /// Records everything and publishes what follows.
    pub(super) async fn settle(
        self,
        relay: &Relay,
        lanes: &Lanes,
        stop: &CancellationToken,
    ) -> Result<(), RelayError> {
        let store = relay.store.as_ref();
        for Settlement { marker, native_ids } in self.settlements {
            until_recorded(|| store.settle(marker.dispatch, marker.request, native_ids.clone()))
                .await?;
        }
        let undecided_max = relay.live.get().config.deliver.settle_timeout + UNDECIDED_MARGIN;
        for echo in self.echoes {
            if whose(store, &echo, undecided_max, stop).await? == EchoOf::SomebodyElse {
                publish(lanes, echo.dispatches).await?;
            }
        }
        for read in self.reads {
            relay.under_way.until_none(&read.reader, COPY_MAX).await;
            tell_authors(store, &relay.ids, lanes, read).await?;
        }
        Ok(())
    }
}

/// Asks until it is known whose echo came.
async fn whose(
    store: &dyn Store,
    echo: &Echo,
    undecided_max: Duration,
    stop: &CancellationToken,
) -> Result<EchoOf, RelayError> {
    let deadline = Instant::now() + undecided_max;
    loop {
        let recognise =
            || store.recognise_echo(echo.message.clone(), echo.likeness.clone(), echo.time);
        let whose = until_recorded(recognise).await?.unwrap_or(EchoOf::Ours);
        if whose != EchoOf::Undecided {
            return Ok(whose);
        }
        if Instant::now() >= deadline {
            return Ok(EchoOf::SomebodyElse);
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(UNDECIDED_POLL) => {}
            () = stop.cancelled() => return Err(RelayError::Stopping),
        }
    }
}

async fn publish(lanes: &Lanes, dispatches: Vec<Dispatch>) -> Result<(), RelayError> {
    for dispatch in dispatches {
        lanes.publish(dispatch).await?;
    }
    Ok(())
}

/// Passes a receipt on to each author whose message now everybody has read, and then forgets it.
async fn tell_authors(
    store: &dyn Store,
    ids: &IdKey,
    lanes: &Lanes,
    read: Read,
) -> Result<(), RelayError> {
    let now = crate::clock::now_ms();
    let reading = until_recorded(|| store.read(&read.reader, read.up_to.clone(), now)).await?;
    let Reading { by_all, last } = reading.unwrap_or_default();
    publish(lanes, receipts(ids, &read, by_all)).await?;
    if let Some(last) = last {
        until_recorded(|| store.read_noted(&read.reader, last.clone())).await?;
    }
    Ok(())
}

/// One receipt an author, about the newest message: every platform takes it for the earlier ones too.
fn receipts(ids: &IdKey, read: &Read, by_all: Vec<ReadByAll>) -> Vec<Dispatch> {
    let mut newest: Vec<ReadByAll> = Vec::new();
    for one in by_all {
        newest.retain(|other| other.author != one.author);
        newest.push(one);
    }
    let receipt = |one: ReadByAll| {
        let target = Some(Target::Messages { native_ids: vec![one.copy] });
        let envelope = Envelope { target, ..read.envelope.clone() };
        Dispatch {
            v: 1,
            id: ids.dispatch_id(envelope.id, &one.author),
            lane: ids.lane_id(&read.conversation, &one.author),
            prev: None,
            conversation: read.conversation.clone(),
            to: one.author,
            author: read.alias.clone(),
            origin: Origin {
                account: read.reader.clone(),
                chat: envelope.chat.clone(),
                native_id: None,
                unknown: Unknown::new(),
            },
            hop: 1,
            expires: None,
            envelope,
            unknown: Unknown::new(),
        }
    };
    newest.into_iter().map(receipt).collect()
}
