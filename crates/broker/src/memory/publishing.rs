//! The task of a publisher whose broker is in memory. It takes the same jobs as the one that owns a channel.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::seat::Seat;
use super::state::Verdict;
use crate::errors::PublishError;
use crate::link::Shared;
use crate::publisher::{JOBS_MAX, Job, Publish, refuse_rest};

/// Publishes until the link ends. It needs no clock: what was taken is confirmed as soon as others have run.
pub(crate) async fn publish(
    seat: Seat,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    mut queue: mpsc::Receiver<Job>,
) {
    let mut jobs = Vec::with_capacity(JOBS_MAX);
    let mut open = true;
    while open {
        tokio::select! {
            biased;
            () = shared.lost.cancelled() => break,
            taken = queue.recv_many(&mut jobs, JOBS_MAX) => {
                open = taken > 0;
                if open {
                    let publishes = jobs.drain(..).flat_map(Job::into_publishes);
                    take(publishes.collect(), &seat, &shared).await;
                }
            }
            () = shared.stop.cancelled(), if !queue.is_closed() => queue.close(),
        }
    }
    refuse_rest(&shared, &slots, &mut queue);
}

/// A link that is lost before the confirms are read never hears them, whatever the broker did.
async fn take(publishes: Vec<Publish>, seat: &Seat, shared: &Shared) {
    seat.turn(shared).await;
    let take = |publish: Publish| {
        let verdict = seat.publish(&publish.message, shared);
        (publish, verdict)
    };
    let unconfirmed: Vec<(Publish, Verdict)> = publishes.into_iter().map(take).collect();
    let is_heard = seat.turn(shared).await;
    for (publish, verdict) in unconfirmed {
        let answer = if is_heard {
            word(&publish, verdict, shared)
        } else {
            Err(PublishError::Lost(shared.reason()))
        };
        publish.answer(answer);
    }
}

fn word(publish: &Publish, verdict: Verdict, shared: &Shared) -> Result<(), PublishError> {
    let exchange = publish.message.exchange.clone();
    let routing_key = publish.message.routing_key.clone();
    match verdict {
        Verdict::Stored => Ok(()),
        Verdict::Unroutable => Err(PublishError::Unroutable { exchange, routing_key }),
        Verdict::Refused => Err(PublishError::Refused { exchange, routing_key }),
        Verdict::NoSuchExchange | Verdict::LoseLinks | Verdict::NotAttached => {
            Err(PublishError::Lost(shared.reason()))
        }
    }
}
