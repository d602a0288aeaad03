//! The relay stage: a platform's events in, dispatches for each participant out.
//!
//! One task a platform. It takes what the consumer has ready, publishes what follows from it concurrently, and
//! acknowledges an event when everything that follows is confirmed or recorded (G1). It keeps no store rows for what
//! flows; ids are deterministic, so a repeated event makes the same dispatches, and deliver sends each once (G2).

mod following;
mod lanes;
mod later;
mod news;
mod poison;
mod translate;

use crate::dead::{DeadLetter, Reason, Stage};
use crate::deliver::{Announcement, Telling};
use crate::live::{Live, LiveHandle};
use crate::metrics::{Disposition, Metrics};
use crate::wire::{TYPE_ANSWER, TYPE_EVENT, Wire, WireError, event_key};
use following::{Aftermath, Event, Following, Pending, Settled, Settling};
use futures_util::StreamExt;
use interline_bridge_api::Bridge;
use interline_broker::{Acker, Consumer, Delivery, LostReason, PublishError, Publisher, topology};
use interline_envelope::{Dispatch, IdKey};
use interline_notice::Cause;
use interline_store::{Store, StoreError};
pub use lanes::Lanes;
pub(crate) use lanes::dispatch_message;
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
    /// What was told to whom.
    pub notices: crate::deliver::Notices,
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
    /// The system gives no randomness to seal a dispatch with.
    #[error("the relay stage cannot seal a dispatch: {0}")]
    Seal(#[from] WireError),
    /// The store is closed; what it should remember is not acknowledged.
    #[error("the relay stage lost the store; the line before says why")]
    StoreClosed,
}

/// What one run of the stage works with.
struct Session {
    acker: Acker,
    publisher: Publisher,
    lanes: Arc<Lanes>,
    poison: Poison,
    pending: Pending,
    settling: Settling,
}

impl Session {
    async fn acknowledge(&mut self, settled: Settled) -> Result<(), RelayError> {
        match settled.result {
            Ok(()) => self.acker.ack(settled.tag),
            Err(RelayError::Stopping) => return Ok(()),
            Err(error) => return Err(error),
        }
        if let Some(key) = settled.poison_key {
            self.poison.closed(key).await;
        }
        Ok(())
    }

    async fn publish(&mut self, following: &mut Following) -> Result<(), RelayError> {
        following.publish(&self.publisher, &self.settling, &mut self.pending).await
    }

    /// Waits until nothing is on its way any more.
    async fn settle_all(&mut self) -> Result<(), RelayError> {
        while let Some(settled) = self.pending.next().await {
            self.acknowledge(settled).await?;
        }
        Ok(())
    }
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
        let poison = Poison::new(self.store.clone(), self.live.get().config.relay.poison_runs_max);
        let settling = Settling::new(self, &lanes, &stop);
        let pending = Pending::new();
        let mut session = Session { acker, publisher, lanes, poison, pending, settling };
        info!(bridge = %platform, "relay started");
        let result = loop {
            tokio::select! {
                biased;
                Some(settled) = session.pending.next() => {
                    if let Err(error) = session.acknowledge(settled).await {
                        break Err(error);
                    }
                }
                () = stop.cancelled() => break Ok(()),
                batch = consumer.next_batch(BATCH_MAX) => match batch {
                    Ok(batch) => self.take(&bridge, batch.into(), &mut session).await?,
                    Err(lost) => break Err(lost.into()),
                },
            }
        };
        if result.is_ok() {
            session.settle_all().await?;
            session.poison.flush().await;
            session.acker.flush().await?;
        }
        debug!(bridge = %platform, "relay stopped");
        result
    }

    /// Publishes what follows from a batch of events.
    async fn take(
        &self,
        bridge: &Arc<dyn Bridge>,
        mut batch: VecDeque<Delivery>,
        session: &mut Session,
    ) -> Result<(), RelayError> {
        while !batch.is_empty() {
            let verdicts = session.poison.judge(batch.make_contiguous()).await;
            let judged: Vec<_> = batch.drain(..verdicts.len().min(batch.len())).collect();
            let mut following = Following::default();
            for (delivery, verdict) in judged.into_iter().zip(verdicts) {
                let suspect = verdict != Verdict::Fine;
                // Nothing that is ready is to wait for the store, as an answer does.
                if suspect || following.is_full() || delivery.kind() == Some(TYPE_ANSWER) {
                    session.publish(&mut following).await?;
                }
                if suspect {
                    // Nothing else is open while a suspect is tried once more.
                    session.settle_all().await?;
                }
                self.follow(bridge, delivery, verdict, session, &mut following).await?;
                if suspect {
                    session.publish(&mut following).await?;
                    session.settle_all().await?;
                }
            }
            session.publish(&mut following).await?;
        }
        Ok(())
    }

    /// Adds what follows from one event to what is about to be published.
    async fn follow(
        &self,
        bridge: &Arc<dyn Bridge>,
        delivery: Delivery,
        verdict: Verdict,
        session: &mut Session,
        following: &mut Following,
    ) -> Result<(), RelayError> {
        let mut event = Event {
            tag: delivery.tag,
            poison_key: delivery.redelivered.then(|| event_key(&delivery.body)),
            dispatches: Vec::new(),
            letter: None,
            aftermath: None,
        };
        if delivery.kind() == Some(TYPE_ANSWER) {
            self.hand_over(bridge.as_ref(), &delivery).await?;
        } else {
            let live = self.live.get();
            let consequences = match verdict {
                Verdict::Poison(runs) => poisoned(runs),
                Verdict::Fine | Verdict::Alone => {
                    translate(&live, &self.ids, bridge.as_ref(), &delivery.body)
                }
            };
            let Consequences {
                dispatches,
                dead,
                news,
                bindings,
                arrivals,
                openings,
                failed,
                arrived,
                refused,
            } = consequences;
            if !failed.is_empty() {
                // What came before goes first.
                session.publish(following).await?;
            }
            for later in failed {
                // One after another, so that what goes back to its lane goes back in order.
                self.act_on(later, &live, &delivery, &session.publisher).await?;
            }
            let openings = self.openings(openings);
            event.aftermath = Aftermath { openings, arrived, refused, news }.boxed();
            self.remember(bindings).await;
            self.metrics.event(&bridge.manifest().id, disposition(&dispatches, &dead));
            arrivals.into_iter().for_each(|arrival| self.arrivals.note(arrival));
            for dispatch in dispatches {
                event.dispatches.push(session.lanes.line_up(dispatch)?);
            }
            if let Some(letter) = dead_letter(&live, &delivery, dead) {
                warn!(bridge = %bridge.manifest().id, disposition = "dead-letter", error = letter.error,
                    reason = letter.reason.as_str(), "an event is dead-lettered");
                self.metrics.dead_letter(Stage::Relay, letter.reason);
                let prefix = &live.config.broker.prefix;
                event.letter = Some(Arc::new(letter.into_message(prefix)));
            }
        }
        following.add(event);
        Ok(())
    }

    async fn hand_over(&self, bridge: &dyn Bridge, delivery: &Delivery) -> Result<(), RelayError> {
        until_recorded(|| self.answers.hand_over(bridge, self.store.as_ref(), delivery)).await?;
        Ok(())
    }

    /// Counts what people said, and picks the openings of windows that have to be written down.
    fn openings(&self, openings: Vec<Opening>) -> Vec<Announcement> {
        let now = crate::clock::now_ms();
        let mut news = Vec::new();
        for Opening { person, at } in openings {
            self.windows.said(&person.account);
            // Whole seconds may stand for any moment in them; a clock that is ahead of ours proves nothing.
            let at = at.saturating_add(999).min(now);
            news.extend(self.windows.announce(&person, at));
        }
        news
    }

    /// Tells the sender of a dispatch why it does not arrive.
    async fn tell(
        &self,
        publisher: &Publisher,
        about: &Dispatch,
        cause: Cause,
    ) -> Result<(), RelayError> {
        let live = self.live.get();
        let with = Telling { live: &live, ids: &self.ids, wire: &self.wire, publisher };
        Ok(self.notices.tell(with, about, cause).await?)
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
        .int_header(crate::wire::HEADER_REPLAYED)
        .map_or(0, |times| u32::try_from(times).unwrap_or(u32::MAX));
    Some(DeadLetter {
        reason,
        stage: Stage::Relay,
        attempts: 1,
        error,
        first_ms: crate::clock::now_ms(),
        body: delivery.body.clone(),
        message_id: delivery
            .message_id()
            .map(str::to_owned)
            .unwrap_or_else(|| hex::encode(event_key(&delivery.body))),
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
