//! The clock of the simulated platforms, which a test or a script can move.
//!
//! One clock for all three. It runs as the machine's does, or from a given time on as the runtime's, which a test may
//! pause; plus what it was moved. Whatever the platforms measure goes
//! by it: messaging windows, pair and rate limits, the lives of media URLs, how long "typing…" shows, how long a webhook
//! has failed, faults for a time, and the waits before a redelivery. Webhooks carry its time. It never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

/// The platforms' clock. Cheap to clone; every clone is the same clock.
///
/// ```
/// # use std::time::Duration;
/// let clock = interline_sandbox::Clock::default();
/// let before = clock.now_ms();
/// clock.advance(Duration::from_secs(24 * 3_600));
/// assert!(clock.now_ms() >= before + 24 * 3_600_000);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When the runtime's clock began, and what it showed; nothing for the machine's.
    began: Option<(Instant, u64)>,
    moved_ms: watch::Sender<u64>,
    latest_ms: AtomicU64,
}

impl Clock {
    /// A clock that now shows `began_ms` (milliseconds since the Unix epoch) and runs as the runtime's does.
    #[must_use]
    pub fn beginning_at(began_ms: u64) -> Self {
        let began = Some((Instant::now(), began_ms));
        Self { inner: Arc::new(Inner { began, ..Inner::default() }) }
    }

    /// Milliseconds since the Unix epoch, by this clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let Inner { began, moved_ms, latest_ms } = &*self.inner;
        let now = match began {
            // Parts of a millisecond have not passed yet: who slept until a time must find that it has come.
            Some((began, began_ms)) => {
                let passed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                began_ms.saturating_add(passed)
            }
            None => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        };
        let now = now.saturating_add(*moved_ms.borrow());
        // The machine's clock may be set back; this one stands still meanwhile.
        latest_ms.fetch_max(now, Ordering::AcqRel).max(now)
    }

    /// Moves it on. Whoever waits by it, for a redelivery or a slow answer, waits that much less.
    pub fn advance(&self, time: Duration) {
        self.inner.moved_ms.send_modify(|moved| *moved = moved.saturating_add(millis(time)));
    }

    /// How far it was moved in all.
    #[must_use]
    pub fn moved(&self) -> Duration {
        Duration::from_millis(*self.inner.moved_ms.borrow())
    }

    /// Waits until that time has come, or the clock was moved over it. Cancel-safe.
    pub(crate) async fn sleep_until(&self, until_ms: u64) {
        let mut moved = self.inner.moved_ms.subscribe();
        loop {
            let left = until_ms.saturating_sub(self.now_ms());
            if left == 0 {
                return;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_millis(left)) => return,
                told = moved.changed() => if told.is_err() { return },
            }
        }
    }
}

/// Whole milliseconds, the part of one counted as one, so that no wait becomes none.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_clock_is_moved_over_it() {
        let clock = Clock::default();
        let hour = Duration::from_secs(3_600);
        let wait = clock.sleep_until(clock.now_ms() + millis(hour));
        tokio::pin!(wait);
        tokio::select! {
            biased;
            () = &mut wait => panic!("an hour has not passed"),
            () = tokio::task::yield_now() => {}
        }
        clock.advance(hour / 2);
        tokio::select! {
            biased;
            () = &mut wait => panic!("half an hour is no hour"),
            () = tokio::task::yield_now() => {}
        }
        clock.advance(hour / 2);
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
        assert_eq!(clock.moved(), hour);
    }

    #[test]
    fn the_clock_never_goes_back_and_clones_are_one_clock() {
        let clock = Clock::default();
        let other = clock.clone();
        let before = clock.now_ms();
        other.advance(Duration::from_secs(60));
        assert!(clock.now_ms() >= before + 60_000);
        assert!(clock.now_ms() <= other.now_ms());
    }
}
