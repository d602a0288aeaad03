//! The decisions of a lane: how long to wait before the next try, and when to move what it holds to the store.
//!
//! Called by deliver, which owns the queues and the clock. Pure: every time is an argument.

use std::time::{Duration, Instant};

/// How long to wait before try number `attempt` (the first retry is 1): between half and the whole of
/// `min * 2^(attempt - 1)`, at least `min`, at most `max`. Deterministic in `seed`, so that a test can tell, while
/// lanes with different seeds do not strike at one moment.
pub fn backoff(attempt: u32, seed: u64, min: Duration, max: Duration) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let ceiling = min.saturating_mul(factor).min(max);
    let half = ceiling / 2;
    let span_nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    let noise = mixed(seed ^ u64::from(attempt).rotate_left(32));
    let jitter = Duration::from_nanos(if span_nanos == 0 { 0 } else { noise % (span_nanos + 1) });
    (half + jitter).max(min).min(max)
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): neighbouring seeds give unrelated numbers.
const fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// When a lane may no longer keep deliveries unacknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanePolicy {
    /// How long its head may be blocked.
    pub blocked_max: Duration,
    /// How many deliveries it may hold while its head is blocked.
    pub deliveries_max: usize,
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self { blocked_max: Duration::from_secs(30), deliveries_max: 32 }
    }
}

impl LanePolicy {
    /// True if the lane has to move what it holds to the store's `held` table.
    ///
    /// `blocked_since`: when its head failed first, nothing while it flows; `now`: the same monotonic clock;
    /// `deliveries`: how many it holds.
    pub fn must_hold(
        &self,
        blocked_since: Option<Instant>,
        now: Instant,
        deliveries: usize,
    ) -> bool {
        blocked_since.is_some_and(|since| {
            deliveries >= self.deliveries_max
                || now.saturating_duration_since(since) >= self.blocked_max
        })
    }

    /// When [`Self::must_hold`] becomes true by time alone.
    pub fn deadline(&self, blocked_since: Instant) -> Instant {
        blocked_since.checked_add(self.blocked_max).unwrap_or(blocked_since)
    }
}
