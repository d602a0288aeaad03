//! The relay stage: a platform's events in, dispatches for each participant out.
//!
//! One task a platform. It takes what the consumer has ready, publishes what follows from it concurrently, and
//! acknowledges an event when everything that follows is confirmed or recorded (G1). It keeps no store rows for what
//! flows; ids are deterministic, so a repeated event makes the same dispatches, and deliver sends each once (G2).

mod lanes;
mod later;
mod news;
mod poison;
mod translate;

use crate::dead::{DeadLetter, Reason, Stage};
use crate::live::{Live, LiveHandle};
use crate::metrics::{Disposition, Metrics};
use crate::wire::{TYPE_ANSWER, TYPE_EVENT, Wire};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use interline_bridge_api::Bridge;
use interline_broker::{
    Acker, Consumer, Delivery, DeliveryTag, LostReason, PublishError, Publisher, topology,
};
use interline_envelope::{Address, Dispatch, IdKey};
use interline_store::{Store, StoreError};
pub use lanes::Lanes;
pub(crate) use lanes::dispatch_message;
use news::News;
use poison::{Poison, Verdict};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use translate::{Consequences, Opening, translate};

/// How many events are taken at once.
const BATCH_MAX: usize = 64;
/// How long to wait before a store that failed is asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What the stage works with.
#[derive(Clone)]
pub struct Relay {
    /// Accounts and conversations as they are now.
    pub live: LiveHandle,
    /// The store, for settlements, held dispatches and poison.
    pub store: Arc<dyn Store>,
    /// K_id.
    pub ids: IdKey,
    /// Seals dispatches.
    pub wire: Wire,
    /// Platform backends' answers on their way to deliver.
    pub answers: crate::deliver::Answers,
    /// News of arrivals on its way to deliver.
    pub arrivals: crate::deliver::Arrivals,
    /// When people may be written to.
    pub windows: crate::deliver::Windows,
    /// To whom a request is under way, so that a receipt waits for its copy.
    pub under_way: crate::deliver::UnderWay,
    /// The daemon's numbers.
    pub metrics: Metrics,
}

/// Why the stage ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The broker is gone; the supervisor connects again.
    #[error("the relay stage lost the broker: {0}")]
    Lost(#[from] LostReason),
    /// A publish failed in a way that leaves the channel unusable.
    #[error("the relay stage cannot publish: {0}")]
    Publish(#[from] PublishError),
    /// A target still refused when the session ended; the event is not acknowledged and comes again.
    #[error("the relay stage stops while a target's queue refuses; what is open comes again")]
    Stopping,
    /// The store is closed; what it should remember is not acknowledged.
    #[error("the relay stage lost the store; the line before says why")]
    StoreClosed,
}

/// One event whose consequences are on their way.
struct Settled {
    tag: DeliveryTag,
    poison_key: Option<[u8; 16]>,
    result: Result<(), RelayError>,
}

impl Relay {
    /// Runs the stage for one platform until the broker is lost or `stop` is cancelled; then it waits for what is on
    /// its way, acknowledges it, and returns.
    ///
    /// # Errors
    /// [`RelayError`] if the broker is gone. Nothing is lost: what is not acknowledged comes again.
    pub async fn run(
        &self,
        bridge: Arc<dyn Bridge>,
        mut consumer: Consumer,
        acker: Acker,
        publisher: Publisher,
        lanes: Arc<Lanes>,
        stop: CancellationToken,
    ) -> Result<(), RelayError> {
        let platform = bridge.manifest().id.clone();
        let mut poison =
            Poison::new(self.store.clone(), self.live.get().config.relay.poison_runs_max);
        let mut pending = FuturesUnordered::new();
        info!(bridge = %platform, "relay started");
        let result = loop {
            tokio::select! {
                biased;
                Some(settled) = pending.next() => {
                    if let Err(error) = self.acknowledge(&acker, &mut poison, settled).await {
                        break Err(error);
                    }
                }
                () = stop.cancelled() => break Ok(()),
                batch = consumer.next_batch(BATCH_MAX) => {
                    let mut batch = match batch {
                        Ok(batch) => VecDeque::from(batch),
                        Err(lost) => break Err(lost.into()),
                    };
                    while !batch.is_empty() {
                        let verdicts = poison.judge(batch.make_contiguous()).await;
                        let judged: Vec<_> = batch.drain(..verdicts.len().min(batch.len())).collect();
                        for (delivery, verdict) in judged.into_iter().zip(verdicts) {
                            let suspect = verdict != Verdict::Fine;
                            if suspect {
                                // Nothing else is open while a suspect is tried once more.
                                while let Some(settled) = pending.next().await {
                                    self.acknowledge(&acker, &mut poison, settled).await?;
                                }
                            }
                            let following = self.follow(&bridge, delivery, verdict, &publisher, &lanes, &stop).await?;
                            pending.push(following);
                            if suspect {
                                while let Some(settled) = pending.next().await {
                                    self.acknowledge(&acker, &mut poison, settled).await?;
                                }
                            }
                        }
                    }
                }
            }
        };
        if result.is_ok() {
            while let Some(settled) = pending.next().await {
                self.acknowledge(&acker, &mut poison, settled).await?;
            }
            poison.flush().await;
            acker.flush().await?;
        }
        debug!(bridge = %platform, "relay stopped");
        result
    }

    async fn acknowledge(
        &self,
        acker: &Acker,
        poison: &mut Poison,
        settled: Settled,
    ) -> Result<(), RelayError> {
        match settled.result {
            Ok(()) => acker.ack(settled.tag),
            Err(RelayError::Stopping) => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(key) = settled.poison_key {
            poison.closed(key).await;
        }
        Ok(())
    }

    /// Publishes what follows from one event, in order; the future that comes back waits for the confirms.
    async fn follow(
        &self,
        bridge: &Arc<dyn Bridge>,
        delivery: Delivery,
        verdict: Verdict,
        publisher: &Publisher,
        lanes: &Arc<Lanes>,
        stop: &CancellationToken,
    ) -> Result<impl Future<Output = Settled> + use<>, RelayError> {
        let live = self.live.get();
        let tag = delivery.tag;
        let poison_key = delivery.redelivered.then(|| poison::key_of(&delivery.body));
        let mut confirms = Vec::new();
        let mut published = Vec::new();
        let mut news = News::default();
        let mut opened = Vec::new();
        let mut arrived = Vec::new();
        let kind = delivery.properties.kind.as_deref();
        if kind == Some(TYPE_ANSWER) {
            self.hand_over(bridge.as_ref(), &delivery).await?;
        } else {
            let consequences = match verdict {
                Verdict::Poison(runs) => poisoned(runs),
                Verdict::Fine | Verdict::Alone => {
                    translate(&live, &self.ids, bridge.as_ref(), &delivery.body)
                }
            };
            let Consequences {
                dispatches,
                dead,
                news: of_sends,
                bindings,
                arrivals,
                openings,
                failed,
                arrived: told,
            } = consequences;
            arrived = told;
            for later in failed {
                // One after another, so that what goes back to its lane goes back in order.
                self.act_on(later, &live, &delivery, publisher).await?;
            }
            opened = self.openings(openings);
            news = of_sends;
            self.remember(bindings).await;
            self.metrics.event(bridge.manifest().id.as_str(), disposition(&dispatches, &dead));
            arrivals.into_iter().for_each(|arrival| self.arrivals.note(arrival));
            for dispatch in dispatches {
                published.push(lanes.publish(dispatch).await?);
            }
            if let Some(letter) = dead_letter(&live, &delivery, dead) {
                warn!(bridge = %bridge.manifest().id, disposition = "dead-letter", error = letter.error,
                    reason = letter.reason.as_str(), "an event is dead-lettered");
                self.metrics.dead_letter(Stage::Relay, letter.reason);
                let prefix = &live.config.broker.prefix;
                confirms.push(publisher.send(letter.into_message(prefix)).await?);
            }
        }
        let (relay, lanes, stop) = (self.clone(), lanes.clone(), stop.clone());
        Ok(async move {
            let result = async {
                // All at once: a refusal in one lane must be known to it while another lane waits.
                try_join_all(published.into_iter().map(|one| lanes.confirmed(one))).await?;
                for confirm in confirms {
                    confirm.await?;
                }
                for (person, at) in opened {
                    until_recorded(|| relay.windows.opened(&person, at)).await?;
                }
                for marker in arrived {
                    let told = || relay.store.arrived_later(marker.dispatch, marker.request);
                    until_recorded(told).await?;
                }
                news.settle(&relay, &lanes, &stop).await
            };
            Settled { tag, poison_key, result: result.await }
        })
    }

    async fn hand_over(&self, bridge: &dyn Bridge, delivery: &Delivery) -> Result<(), RelayError> {
        until_recorded(|| self.answers.hand_over(bridge, self.store.as_ref(), delivery)).await?;
        Ok(())
    }

    /// Counts what people said, and picks the openings of windows that have to be written down.
    fn openings(&self, openings: Vec<Opening>) -> Vec<(Address, i64)> {
        let now = crate::clock::now_ms();
        let mut news = Vec::new();
        for Opening { person, at } in openings {
            self.windows.said(&person.account);
            // Whole seconds may stand for any moment in them; a clock that is ahead of ours proves nothing.
            let at = at.saturating_add(999).min(now);
            if self.windows.is_news(&person, at) {
                news.push((person, at));
            }
        }
        news
    }

    async fn remember(&self, bindings: Vec<interline_relay::Binding>) {
        for binding in bindings {
            if let Err(error) = self.store.bind(&binding.address, &binding.id).await {
                // It is learned again from the next event that carries both ids.
                warn!(%error, "a learned id of a participant cannot be remembered");
            }
        }
    }
}

const fn disposition(dispatches: &[Dispatch], dead: &[(Reason, String)]) -> Disposition {
    if !dead.is_empty() {
        Disposition::DeadLetter
    } else if dispatches.is_empty() {
        Disposition::Absorbed
    } else {
        Disposition::Relayed
    }
}

fn poisoned(runs: u32) -> Consequences {
    let error = format!("it was open in {runs} runs of the daemon that crashed");
    Consequences { dead: vec![(Reason::Poison, error)], ..Consequences::default() }
}

/// One dead letter for an event, however many of its items died; the body holds them all.
fn dead_letter(
    live: &Live,
    delivery: &Delivery,
    dead: Vec<(Reason, String)>,
) -> Option<DeadLetter> {
    let more = dead.len().saturating_sub(1);
    let (reason, mut error) = dead.into_iter().next()?;
    if more > 0 {
        error = format!("{error} (and {more} more items of this body)");
    }
    let replayed = delivery
        .properties
        .headers
        .get(crate::wire::HEADER_REPLAYED)
        .and_then(interline_broker::HeaderValue::as_int)
        .map_or(0, |times| u32::try_from(times).unwrap_or(u32::MAX));
    Some(DeadLetter {
        reason,
        stage: Stage::Relay,
        attempts: 1,
        error,
        first_ms: crate::clock::now_ms(),
        body: delivery.body.clone(),
        message_id: delivery
            .properties
            .message_id
            .clone()
            .unwrap_or_else(|| hex::encode(poison::key_of(&delivery.body))),
        kind: TYPE_EVENT,
        exchange: topology::events_exchange(&live.config.broker.prefix),
        routing_key: delivery.routing_key.clone(),
        replayed,
    })
}

/// Tries to record what an event tells until it is done: the event is not acknowledged before. A row that is damaged
/// stays so, and must not hold up what comes behind it: then there is no answer.
async fn until_recorded<T, W: Future<Output = Result<T, StoreError>>>(
    mut write: impl FnMut() -> W,
) -> Result<Option<T>, RelayError> {
    loop {
        match write().await {
            Ok(answer) => return Ok(Some(answer)),
            Err(StoreError::Closed) => return Err(RelayError::StoreClosed),
            Err(error @ (StoreError::Sqlite(_) | StoreError::Commit(_))) => {
                error!(%error, "what became of a send cannot be recorded; trying again");
                tokio::time::sleep(STORE_RETRY).await;
            }
            Err(error) => {
                error!(%error, "what became of a send can never be recorded");
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn recorded(
        answers: Vec<Result<(), StoreError>>,
    ) -> (Result<Option<()>, RelayError>, usize) {
        let mut left = answers.into_iter();
        let done = until_recorded(|| std::future::ready(left.next().unwrap())).await;
        (done, left.count())
    }

    #[tokio::test(start_paused = true)]
    async fn g1_news_of_a_send_is_acknowledged_only_when_it_is_recorded() {
        let full = || Err(StoreError::Commit("the disk is full".to_owned()));
        let (done, left) = recorded(vec![full(), full(), Ok(()), Ok(())]).await;
        assert!(done.is_ok() && left == 1, "it is tried until it is recorded, and then no more");
        let (done, _) = recorded(vec![full(), Err(StoreError::Closed)]).await;
        assert!(matches!(done, Err(RelayError::StoreClosed)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_row_holds_up_no_event() {
        let (done, left) = recorded(vec![Err(StoreError::Damaged), Ok(())]).await;
        assert!(done.is_ok() && left == 1);
    }
}
