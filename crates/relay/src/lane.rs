//! The decisions of a lane: how long to wait before the next try, and when to move what it holds to the store.
//!
//! Called by deliver, which owns the queues and the clock. Pure: every duration is an argument.

use interline_envelope::DispatchId;
use std::time::Duration;

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
    /// How many deliveries it may hold.
    pub deliveries_max: usize,
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self { blocked_max: Duration::from_secs(30), deliveries_max: 32 }
    }
}

impl LanePolicy {
    /// True if the lane has to move what it holds to the store's `held` table, since its head is blocked for too
    /// long or too much is waiting behind it.
    ///
    /// `blocked_for`: how long its head has failed, nothing while it flows; `deliveries`: how many it holds.
    pub fn must_hold(&self, blocked_for: Option<Duration>, deliveries: usize) -> bool {
        deliveries >= self.deliveries_max
            || blocked_for.is_some_and(|blocked| blocked >= self.blocked_max)
    }
}

/// Which of a queue goes first: its head, or the predecessor that it names, which may name one too. Repetitions may name
/// each other: then any of them goes.
///
/// # Errors
/// The predecessor that has not come.
pub fn first_to_go(
    queue: impl Iterator<Item = (DispatchId, Option<DispatchId>)> + Clone,
    was_finished: impl Fn(DispatchId) -> bool,
) -> Result<usize, DispatchId> {
    let mut at = 0;
    for _ in queue.clone() {
        let prev = queue.clone().nth(at).and_then(|(_, prev)| prev);
        let Some(prev) = prev.filter(|prev| !was_finished(*prev)) else { break };
        at = queue.clone().position(|(id, _)| id == prev).ok_or(prev)?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn the_wait_grows_from_its_least_to_its_most() {
        for seed in 0..100 {
            assert_eq!(backoff(1, seed, MIN, MAX), MIN);
            let fourth = backoff(4, seed, MIN, MAX);
            assert!((4 * MIN..=8 * MIN).contains(&fourth), "{fourth:?}");
            for attempt in [20, 33, u32::MAX] {
                let late = backoff(attempt, seed, MIN, MAX);
                assert!((MAX / 2..=MAX).contains(&late), "{late:?}");
            }
        }
    }

    #[test]
    fn the_wait_is_one_for_a_seed_and_differs_between_lanes() {
        assert_eq!(backoff(5, 7, MIN, MAX), backoff(5, 7, MIN, MAX));
        let waits: std::collections::HashSet<_> =
            (0..100).map(|seed| backoff(5, seed, MIN, MAX)).collect();
        assert!(waits.len() > 90, "{}", waits.len());
    }

    #[test]
    fn no_wait_at_all_is_no_panic() {
        assert_eq!(backoff(0, 1, Duration::ZERO, Duration::ZERO), Duration::ZERO);
        assert_eq!(backoff(3, 1, MAX, MIN), MIN);
    }

    #[test]
    fn a_lane_moves_out_when_it_is_blocked_for_too_long_or_full() {
        let policy = LanePolicy { blocked_max: Duration::from_secs(30), deliveries_max: 32 };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert!(!policy.must_hold(None, 31));
        assert!(!policy.must_hold(seconds(29), 31));
        assert!(policy.must_hold(seconds(30), 1));
        assert!(policy.must_hold(None, 32));
        assert_eq!(policy, LanePolicy::default());
    }

    const fn id(n: u8) -> DispatchId {
        DispatchId::from_bytes([n; 16])
    }

    fn first(queue: &[(u8, Option<u8>)], finished: &[u8]) -> Result<usize, DispatchId> {
        let queue = queue.iter().map(|(of, prev)| (id(*of), prev.map(id)));
        first_to_go(queue, |of| finished.iter().any(|n| id(*n) == of))
    }

    #[test]
    fn g3_a_predecessor_does_not_overtake_its_own_predecessor() {
        // Two relays publish into one lane: the second's first names the last that the first had lined up.
        let queue = [(8, Some(3)), (1, None), (2, Some(1)), (3, Some(2))];
        assert_eq!(first(&queue, &[]), Ok(1));
        assert_eq!(first(&[queue[0], queue[2], queue[3]], &[1]), Ok(1));
        assert_eq!(first(&[queue[0], queue[3]], &[1, 2]), Ok(1));
        assert_eq!(first(&queue, &[1, 2, 3]), Ok(0), "all that it names is finished");
    }

    #[test]
    fn a_predecessor_that_has_not_come_is_waited_for_and_a_circle_is_not() {
        assert_eq!(first(&[(8, Some(3)), (3, Some(2))], &[]), Err(id(2)));
        assert!(first(&[(1, Some(2)), (2, Some(1))], &[]).is_ok());
    }
}
