//! To whom a request is under way in this moment.
//!
//! A person who has the chat open reads a message before the platform's answer has come back to us. Whoever hears of
//! that waits here until the copy is recorded. In memory only: after a crash nobody knows what was under way, and a
//! receipt that comes then marks what is recorded.

use interline_envelope::Address;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Counts by recipient. As many entries as there may be requests under way.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<HashMap<Address, u32>>,
    ended: Notify,
}

/// One request, until it is dropped.
#[derive(Debug)]
pub(super) struct OnItsWay {
    shared: Arc<Shared>,
    to: Address,
}

impl UnderWay {
    /// A request to `to` is about to leave.
    pub(super) fn begin(&self, to: &Address) -> OnItsWay {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(to.clone()).or_default() += 1;
        OnItsWay { shared: self.0.clone(), to: to.clone() }
    }

    fn is_none(&self, to: &Address) -> bool {
        !self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).contains_key(to)
    }

    /// Waits until nothing is under way to `to`, or for `limit`. Cancel-safe.
    pub(crate) async fn until_none(&self, to: &Address, limit: Duration) {
        let none = async {
            loop {
                let mut ended = std::pin::pin!(self.0.ended.notified());
                ended.as_mut().enable();
                if self.is_none(to) {
                    return;
                }
                ended.await;
            }
        };
        // Whatever is under way for longer than that may be under way for hours.
        drop(tokio::time::timeout(limit, none).await);
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.to) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.to);
            }
        }
        drop(counts);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_waits_for_what_is_under_way_to_a_person_and_for_nothing_else() {
        let under_way = UnderWay::default();
        let (bob, carol) = ("messenger/1/2", "messenger/1/3");
        let [bob, carol] = [bob, carol].map(|text| Address::parse(text).unwrap());
        let (first, second) = (under_way.begin(&bob), under_way.begin(&bob));
        under_way.until_none(&carol, Duration::ZERO).await;
        let limit = Duration::from_secs(10);
        let started = tokio::time::Instant::now();
        under_way.until_none(&bob, limit).await;
        assert_eq!(started.elapsed(), limit, "it does not wait for ever");
        drop(first);
        let waits = under_way.until_none(&bob, limit);
        let ends = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(second);
        };
        let started = tokio::time::Instant::now();
        tokio::join!(waits, ends);
        assert_eq!(started.elapsed(), Duration::from_secs(1));
    }
}
