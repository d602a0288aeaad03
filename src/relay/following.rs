//! What follows from the events that were taken together, on its way to the broker in one piece.
//!
//! Filled by the relay stage, event by event. Each event is settled by itself: one whose lane waits holds up no other.

use super::lanes::{Lanes, Published};
use super::news::News;
use super::{Relay, RelayError, until_recorded};
use crate::deliver::Announcement;
use crate::wire::Marker;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use interline_broker::{Confirm, DeliveryTag, OutMessage, Publisher};
use interline_envelope::Dispatch;
use interline_notice::Cause;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many messages are gathered before they are published.
const MESSAGES_MAX: usize = 64;

/// One event, and what is to happen before it is acknowledged.
pub(super) struct Event {
    pub(super) tag: DeliveryTag,
    pub(super) poison_key: Option<[u8; 16]>,
    pub(super) dispatches: Vec<Published>,
    pub(super) letter: Option<Arc<OutMessage>>,
    /// Most events have none.
    pub(super) aftermath: Option<Box<Aftermath>>,
}

/// What is recorded once everything that follows from an event is published.
pub(super) struct Aftermath {
    /// Whose windows it opened.
    pub(super) openings: Vec<Announcement>,
    /// Messages of ours that arrived.
    pub(super) arrived: Vec<Marker>,
    /// What is not passed on, and why, as its senders are told.
    pub(super) refused: Vec<(Dispatch, Cause)>,
    pub(super) news: News,
}

impl Aftermath {
    /// Nothing if there is nothing to record.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        let Self { openings, arrived, refused, news } = &self;
        let is_empty =
            openings.is_empty() && arrived.is_empty() && refused.is_empty() && news.is_empty();
        (!is_empty).then(|| Box::new(self))
    }

    async fn record(
        self,
        relay: &Relay,
        lanes: &Lanes,
        stop: &CancellationToken,
    ) -> Result<(), RelayError> {
        for opening in self.openings {
            until_recorded(|| opening.record()).await?;
        }
        for marker in self.arrived {
            until_recorded(|| relay.store.arrived_later(marker.dispatch, marker.request)).await?;
        }
        for (about, cause) in self.refused {
            relay.tell(lanes.publisher(), &about, cause).await?;
        }
        self.news.settle(relay, lanes, stop).await
    }
}

/// One event of which everything that follows is done, or failed.
pub(super) struct Settled {
    pub(super) tag: DeliveryTag,
    pub(super) poison_key: Option<[u8; 16]>,
    pub(super) result: Result<(), RelayError>,
}

/// The events whose consequences are on their way.
pub(super) type Pending = FuturesUnordered<Pin<Box<dyn Future<Output = Settled> + Send>>>;

/// Events whose consequences are ready to be published.
#[derive(Default)]
pub(super) struct Following {
    events: Vec<Event>,
    messages: Vec<Arc<OutMessage>>,
}

impl Following {
    pub(super) fn add(&mut self, event: Event) {
        let dispatches = event.dispatches.iter().filter_map(Published::message);
        self.messages.extend(dispatches.chain(&event.letter).cloned());
        self.events.push(event);
    }

    /// True once there is so much that more of it would make nothing faster.
    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= MESSAGES_MAX
    }

    /// Publishes everything in order. The futures that are added to `pending` wait for what was published.
    ///
    /// # Errors
    /// [`RelayError`] if the broker is gone.
    pub(super) async fn publish(
        &mut self,
        publisher: &Publisher,
        settling: &Settling,
        pending: &mut Pending,
    ) -> Result<(), RelayError> {
        let messages = std::mem::take(&mut self.messages);
        let mut confirms = publisher.send_all(messages).await?.into_iter();
        for mut event in self.events.drain(..) {
            for dispatch in &mut event.dispatches {
                if dispatch.message().is_some()
                    && let Some(confirm) = confirms.next()
                {
                    dispatch.sent(confirm);
                }
            }
            let letter = event.letter.is_some().then(|| confirms.next()).flatten();
            pending.push(Box::pin(settled(event, letter, settling.clone())));
        }
        Ok(())
    }
}

/// What settling an event takes; shared by all events of a session.
#[derive(Clone)]
pub(super) struct Settling(Arc<(Relay, Arc<Lanes>, CancellationToken)>);

impl Settling {
    pub(super) fn new(relay: &Relay, lanes: &Arc<Lanes>, stop: &CancellationToken) -> Self {
        Self(Arc::new((relay.clone(), lanes.clone(), stop.clone())))
    }
}

async fn settled(event: Event, letter: Option<Confirm>, settling: Settling) -> Settled {
    let Event { tag, poison_key, dispatches, aftermath, .. } = event;
    let (relay, lanes, stop) = &*settling.0;
    let result = async {
        // All at once: a refusal in one lane must be known to it while another lane waits.
        try_join_all(dispatches.into_iter().map(|one| lanes.confirmed(one))).await?;
        if let Some(letter) = letter {
            letter.await?;
        }
        match aftermath {
            // Rare, and large.
            Some(aftermath) => Box::pin(aftermath.record(relay, lanes, stop)).await,
            None => Ok(()),
        }
    };
    Settled { tag, poison_key, result: result.await }
}
