//! How fast an account may send, and to one person: budgets that the platform would enforce, kept before it has to.
//!
//! Called by deliver. Pure: `now` is the time since any fixed moment, by a clock that never goes back. It decides how
//! long to wait and never waits itself; who waits, and where, is the lane's business.
//! *Invariant:* in no stretch of time are more taken than the rate allows, and whoever waits as told is let through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// From how much of its quota on an account goes slower, in percent.
const SLOW_FROM_PERCENT: u32 = 80;
/// At how much it stops.
const FULL_PERCENT: u32 = 100;
/// The pause of an account whose quota is used up, where the platform names no time.
const FULL_PAUSE: Duration = Duration::from_secs(60);

/// One in each `every_us`, and up to `burst` at once, borrowed from later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// The time for one, in microseconds. 0: no limit.
    pub every_us: u64,
    /// So many at once, if none was taken before. At least 1.
    pub burst: u32,
}

impl Rate {
    /// One in each `every`, `burst` at once.
    pub fn new(every: Duration, burst: u32) -> Self {
        let every_us = u64::try_from(every.as_micros()).unwrap_or(u64::MAX);
        Self { every_us, burst: if burst == 0 { 1 } else { burst } }
    }

    /// At most `count` in every second, wherever it begins: a tenth of them at once, the others spread. 0: no limit.
    pub const fn per_second(count: u32) -> Self {
        let tenth = count / 10;
        let burst = if tenth == 0 { 1 } else { tenth };
        // The burst and what follows it fall into one second.
        let spread = (count + 1).saturating_sub(burst) as u64;
        Self { every_us: if count == 0 { 0 } else { 1_000_000_u64.div_ceil(spread) }, burst }
    }

    const fn every(self) -> Duration {
        Duration::from_micros(self.every_us)
    }

    /// The time that the burst is borrowed from.
    fn room(self) -> Duration {
        self.every().saturating_mul(self.burst.saturating_sub(1))
    }

    /// The same budget for an account that has used `percent` of its quota: whole up to 80, a twentieth at 99.
    pub fn slowed(self, percent: u32) -> Self {
        if percent <= SLOW_FROM_PERCENT {
            return self;
        }
        let left = u64::from(FULL_PERCENT.saturating_sub(percent).max(1));
        let whole = u64::from(FULL_PERCENT - SLOW_FROM_PERCENT);
        Self { every_us: self.every_us.saturating_mul(whole) / left, burst: 1 }
    }
}

/// What a platform allows an account. What is absent has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Budgets {
    /// Messages of the account.
    pub messages: Option<Rate>,
    /// True if what people write to the account counts as well.
    pub counts_inbound: bool,
    /// Of the messages, those with sound or film.
    pub audio_video: Option<Rate>,
    /// Messages of the account to one person.
    pub pair: Option<Rate>,
}

/// Which budgets a request is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// A message: the account's and the pair's.
    #[default]
    Message,
    /// A message with sound or film: theirs as well.
    AudioVideo,
    /// None: receipts, typing, look-ups, uploads.
    Free,
}

/// A budget in use: the moment up to which it is spent. A new one is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    spent_until: Duration,
}

impl Bucket {
    /// How long until one may be taken; nothing if at once.
    pub fn wait(&self, rate: Rate, now: Duration) -> Duration {
        self.spent_until.saturating_sub(now).saturating_sub(rate.room())
    }

    /// Takes one, whether or not it is time, and says how long whoever took it has to wait: a place in the row.
    pub fn reserve(&mut self, rate: Rate, now: Duration) -> Duration {
        let wait = self.wait(rate, now);
        self.spent_until = self.spent_until.max(now).saturating_add(rate.every());
        wait
    }

    /// True if nothing is borrowed any more.
    pub fn is_whole(&self, now: Duration) -> bool {
        self.spent_until <= now
    }
}

/// A bucket for each pair that has borrowed.
#[derive(Clone, Debug)]
pub struct Pairs<K> {
    buckets: HashMap<K, Bucket>,
    /// At this number those that are whole again are dropped.
    prune_at: usize,
}

/// At most so many pairs are remembered.
const PAIRS_MAX: usize = 16_384;
const PRUNE_FIRST: usize = 1_024;

impl<K> Default for Pairs<K> {
    fn default() -> Self {
        Self { buckets: HashMap::new(), prune_at: PRUNE_FIRST }
    }
}

impl<K: Eq + Hash> Pairs<K> {
    /// How long until one may be sent to this person.
    pub fn wait<Q: Eq + Hash + ?Sized>(&self, pair: &Q, rate: Rate, now: Duration) -> Duration
    where
        K: std::borrow::Borrow<Q>,
    {
        self.buckets.get(pair).map_or(Duration::ZERO, |bucket| bucket.wait(rate, now))
    }

    /// Takes one from a pair's budget.
    pub fn take(&mut self, pair: K, rate: Rate, now: Duration) {
        if self.buckets.len() >= self.prune_at && !self.buckets.contains_key(&pair) {
            self.prune(now);
        }
        self.buckets.entry(pair).or_default().reserve(rate, now);
    }

    /// Drops what is whole again; where that is not enough, those that owe least.
    fn prune(&mut self, now: Duration) {
        self.buckets.retain(|_, bucket| !bucket.is_whole(now));
        if self.buckets.len() >= PAIRS_MAX {
            let mut owing: Vec<Duration> =
                self.buckets.values().map(|bucket| bucket.spent_until).collect();
            let half = owing.len() / 2;
            let (_, middle, _) = owing.select_nth_unstable(half);
            let middle = *middle;
            self.buckets.retain(|_, bucket| bucket.spent_until > middle);
        }
        // Looked at again when it has doubled, so that a full map is not walked through for each message.
        self.prune_at = (self.buckets.len() * 2).clamp(PRUNE_FIRST, PAIRS_MAX);
    }

    /// How many pairs are remembered.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// True if no pair is remembered.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

/// What a platform's answer says of an account's quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// How much of it is used, in percent: that of the many that is nearest to its end.
    pub used_percent: u32,
    /// How long calls are blocked, if they are.
    pub blocked_for: Option<Duration>,
}

impl Quota {
    /// How long the account has to pause, before the platform says no; nothing while it may go on.
    pub fn pause(&self) -> Option<Duration> {
        let full = self.used_percent >= FULL_PERCENT || self.blocked_for.is_some();
        full.then(|| self.blocked_for.unwrap_or(FULL_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rates() -> impl Strategy<Value = Rate> {
        prop_oneof![
            (1..2_000_u32).prop_map(Rate::per_second),
            (1..20_000_u64, 1..100_u32)
                .prop_map(|(every, burst)| Rate::new(Duration::from_millis(every), burst)),
        ]
    }

    /// When so many who come one after another, `gaps` apart, are let through.
    fn let_through(rate: Rate, gaps: &[u64]) -> Vec<Duration> {
        let (mut bucket, mut now) = (Bucket::default(), Duration::ZERO);
        let mut times = Vec::new();
        for gap in gaps {
            now += Duration::from_micros(*gap);
            now += bucket.wait(rate, now);
            assert_eq!(bucket.reserve(rate, now), Duration::ZERO, "whoever waits as told may go");
            times.push(now);
        }
        times
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_are_more_taken_than_the_rate_allows(
            rate in rates(),
            gaps in prop::collection::vec(0..3_000_000_u64, 1..200),
            stretch in 1..400_000_000_u64,
        ) {
            let times = let_through(rate, &gaps);
            let most = u64::from(rate.burst) - 1 + stretch.div_ceil(rate.every_us);
            for (n, from) in times.iter().enumerate() {
                let until = *from + Duration::from_micros(stretch);
                let taken = times[n..].iter().filter(|time| **time < until).count();
                prop_assert!(taken as u64 <= most, "{taken} > {most}");
            }
        }

        #[test]
        fn a_rate_per_second_holds_in_every_second(
            count in 1..2_000_u32,
            gaps in prop::collection::vec(0..50_000_u64, 1..400),
        ) {
            let times = let_through(Rate::per_second(count), &gaps);
            for (n, from) in times.iter().enumerate() {
                let taken = times[n..].iter().filter(|time| **time < *from + SECOND).count();
                prop_assert!(taken <= count as usize, "{taken} > {count}");
            }
        }

        #[test]
        fn a_row_of_reservations_is_let_through_as_if_each_had_waited(
            rate in rates(),
            gaps in prop::collection::vec(0..2_000_000_u64, 1..200),
        ) {
            let (mut bucket, mut now) = (Bucket::default(), Duration::ZERO);
            let mut reserved = Vec::new();
            for gap in &gaps {
                now += Duration::from_micros(*gap);
                reserved.push(now + bucket.reserve(rate, now));
            }
            for pair in reserved.windows(2) {
                prop_assert!(pair[0] <= pair[1], "first come, first served");
            }
            for (n, from) in reserved.iter().enumerate().skip(rate.burst as usize) {
                let back = reserved[n - rate.burst as usize];
                prop_assert!(*from - back >= rate.every(), "{n}");
            }
        }

        #[test]
        fn pairs_do_not_spend_each_others_budget(
            takes in prop::collection::vec((0..4_u8, 0..10_000_000_u64), 1..200),
        ) {
            let rate = Rate::new(Duration::from_secs(6), 45);
            let mut pairs = Pairs::default();
            let mut alone = HashMap::<u8, Bucket>::new();
            let mut now = Duration::ZERO;
            for (who, gap) in takes {
                now += Duration::from_micros(gap);
                let expected = alone.entry(who).or_default().reserve(rate, now);
                prop_assert_eq!(pairs.wait(&who, rate, now), expected);
                pairs.take(who, rate, now);
            }
        }
    }

    #[test]
    fn a_thousand_messages_to_a_pair_take_their_burst_and_then_six_seconds_each() {
        let rate = Rate::new(Duration::from_secs(6), 45);
        let times = let_through(rate, &[0; 1_000]);
        assert_eq!(times[44], Duration::ZERO);
        assert_eq!(times[45], Duration::from_secs(6));
        assert_eq!(times[999], Duration::from_secs(6 * (1_000 - 45)));
    }

    #[test]
    fn eighty_a_second_are_sent_at_nearly_eighty_a_second() {
        let times = let_through(Rate::per_second(80), &[0; 800]);
        let took = times[799];
        assert!(took < Duration::from_millis(11_000), "{took:?}");
    }

    #[test]
    fn no_rate_is_no_limit() {
        for rate in [Rate::per_second(0), Rate::new(Duration::ZERO, 0)] {
            assert_eq!(let_through(rate, &[0; 100]).last(), Some(&Duration::ZERO));
        }
    }

    #[test]
    fn g9_pairs_that_owe_nothing_are_forgotten_and_the_others_bounded() {
        let rate = Rate::new(Duration::from_secs(6), 45);
        let mut pairs = Pairs::default();
        for n in 0..100_000_u32 {
            // Each owes six seconds, which have passed long before the next thousand came.
            pairs.take(n, rate, Duration::from_millis(100) * n);
        }
        assert!(pairs.len() <= PRUNE_FIRST, "{}", pairs.len());
        for n in 0..100_000_u32 {
            pairs.take(n, rate, Duration::ZERO);
        }
        assert!(pairs.len() <= PAIRS_MAX, "{}", pairs.len());
        for _ in 0..100 {
            pairs.take(7, rate, Duration::ZERO);
        }
        for n in 200_000..220_000_u32 {
            pairs.take(n, rate, Duration::ZERO);
        }
        assert!(pairs.wait(&7, rate, Duration::ZERO) > Duration::ZERO, "who owes most stays");
    }

    #[test]
    fn an_account_goes_slower_from_four_fifths_of_its_quota_and_stops_at_its_end() {
        let rate = Rate::per_second(80);
        assert_eq!(rate.slowed(0), rate);
        assert_eq!(rate.slowed(80), rate);
        let every = |percent| rate.slowed(percent).every_us;
        assert_eq!(every(90), rate.every_us * 2);
        assert_eq!(every(99), rate.every_us * 20);
        assert!(every(95) > every(90) && every(300) == every(99));
        let pause = |used_percent, blocked_for| Quota { used_percent, blocked_for }.pause();
        assert_eq!(pause(99, None), None);
        assert_eq!(pause(100, None), Some(FULL_PAUSE));
        let named = Some(Duration::from_secs(19 * 60));
        assert_eq!((pause(100, named), pause(25, named)), (named, named));
    }
}
