//! Events that crash the daemon: counted by the daemon itself, tried once more alone, then dead-lettered (G10).
//!
//! The broker's own count is no use: it also counts the innocents that were prefetched when another event crashed
//! the process. Only redelivered events are counted, and only while they are being worked on: while a suspect is tried
//! alone, nothing that stands behind it is.

use crate::wire::event_key;
use interline_broker::Delivery;
use interline_store::Store;
use std::sync::Arc;
use tracing::{error, warn};

/// How many closed events are forgotten in one write.
const CLOSED_BATCH: usize = 64;

/// What to do with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Fine,
    /// It was open in several crashed runs: nothing else may be open with it.
    Alone,
    /// It was open in so many crashed runs, the last time alone.
    Poison(u32),
}

/// The count of crashed runs, kept in the store.
pub(super) struct Poison {
    store: Arc<dyn Store>,
    runs_max: u32,
    closed: Vec<[u8; 16]>,
}

impl Poison {
    pub(super) fn new(store: Arc<dyn Store>, runs_max: u32) -> Self {
        Self { store, runs_max, closed: Vec::new() }
    }

    /// Notes that the redelivered events of a batch are open now, up to and including the first suspect, and says
    /// what to do with each up to there. The rest is to be judged when the suspect is done.
    pub(super) async fn judge(&self, batch: &[Delivery]) -> Vec<Verdict> {
        let redelivered = batch.iter().filter(|delivery| delivery.redelivered);
        let keys: Vec<_> = redelivered.map(|delivery| event_key(&delivery.body)).collect();
        if keys.is_empty() {
            return vec![Verdict::Fine; batch.len()];
        }
        match self.store.events_opened(keys, self.runs_max).await {
            Ok(runs) => {
                verdicts(batch.iter().map(|delivery| delivery.redelivered), &runs, self.runs_max)
            }
            Err(error) => {
                error!(%error, "redelivered events cannot be counted; they are taken as they are");
                vec![Verdict::Fine; batch.len()]
            }
        }
    }

    /// An event is done: its count is forgotten, a few at a time.
    pub(super) async fn closed(&mut self, key: [u8; 16]) {
        self.closed.push(key);
        if self.closed.len() >= CLOSED_BATCH {
            self.flush().await;
        }
    }

    /// Forgets what is done.
    pub(super) async fn flush(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        if let Err(error) = self.store.events_closed(std::mem::take(&mut self.closed)).await {
            error!(%error, "finished events cannot be forgotten");
        }
    }
}

/// One verdict for each event up to and including the first suspect. `runs`: those of the redelivered ones among them.
fn verdicts(redelivered: impl Iterator<Item = bool>, runs: &[u32], runs_max: u32) -> Vec<Verdict> {
    let mut runs = runs.iter();
    let mut verdicts = Vec::new();
    for redelivered in redelivered {
        let one = match redelivered {
            true => runs.next().map_or(Verdict::Fine, |runs| verdict(*runs, runs_max)),
            false => Verdict::Fine,
        };
        verdicts.push(one);
        if one != Verdict::Fine {
            break;
        }
    }
    verdicts
}

fn verdict(crashed_runs: u32, runs_max: u32) -> Verdict {
    match crashed_runs.checked_sub(runs_max) {
        None => Verdict::Fine,
        Some(0) => {
            warn!(crashed_runs, "an event was open in crashed runs; it is tried once more, alone");
            Verdict::Alone
        }
        Some(_) => Verdict::Poison(crashed_runs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_an_event_is_tried_alone_after_three_crashed_runs_and_dead_lettered_after_the_fourth() {
        assert_eq!(
            [0, 2, 3, 4].map(|runs| verdict(runs, 3)),
            [Verdict::Fine, Verdict::Fine, Verdict::Alone, Verdict::Poison(4)]
        );
    }

    #[test]
    fn g10_nothing_behind_a_suspect_is_judged_before_it_is_done() {
        let judged = verdicts([false, true, true, true, false].into_iter(), &[0, 3], 3);
        assert_eq!(judged, [Verdict::Fine, Verdict::Fine, Verdict::Alone]);
        let judged = verdicts([true, false].into_iter(), &[4], 3);
        assert_eq!(judged, [Verdict::Poison(4)]);
        let judged = verdicts([true, false].into_iter(), &[2], 3);
        assert_eq!(judged, [Verdict::Fine, Verdict::Fine]);
    }
}
