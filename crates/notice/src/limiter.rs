//! How often somebody is told the same.

use crate::Cause;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// For how long one cause is not told again in one place.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Remembers what was told. `Place` is where: one person in one conversation.
///
/// It holds a bounded number of notices; when all of them are younger than an hour, nobody is told anything more, since
/// whoever causes so many must not be able to make more noise by it.
#[derive(Debug)]
pub struct Limiter<Place> {
    told: HashMap<(Cause, Place), Duration>,
    max: usize,
}

impl<Place: Eq + Hash> Limiter<Place> {
    /// `max`: how many notices of the last hour are remembered, and so can be given.
    pub fn new(max: usize) -> Self {
        Self { told: HashMap::new(), max }
    }

    /// True if the person is to be told now; it is remembered as told.
    ///
    /// `now`: the time since any fixed moment, by a clock that never goes back.
    pub fn allows(&mut self, cause: Cause, place: Place, now: Duration) -> bool {
        let key = (cause, place);
        let is_recent = |told: &Duration| now.saturating_sub(*told) < HOUR;
        if self.told.get(&key).is_some_and(is_recent) {
            return false;
        }
        if self.told.len() >= self.max && !self.told.contains_key(&key) {
            self.told.retain(|_, told| is_recent(told));
            if self.told.len() >= self.max {
                return false;
            }
        }
        self.told.insert(key, now);
        true
    }

    /// Forgets that somebody was told, since it could not be handed over.
    pub fn take_back(&mut self, cause: Cause, place: Place) {
        self.told.remove(&(cause, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_cause_is_told_once_an_hour_in_one_place() {
        let mut limiter = Limiter::new(10);
        assert!(limiter.allows(Cause::Refused, "office", MINUTE));
        assert!(!limiter.allows(Cause::Refused, "office", MINUTE * 2));
        assert!(limiter.allows(Cause::Refused, "home", MINUTE * 2));
        assert!(limiter.allows(Cause::Expired, "office", MINUTE * 2));
        assert!(!limiter.allows(Cause::Refused, "office", MINUTE * 60));
        assert!(limiter.allows(Cause::Refused, "office", MINUTE * 61));
        assert!(!limiter.allows(Cause::Refused, "office", MINUTE * 62));
    }

    #[test]
    fn what_could_not_be_handed_over_may_be_told_again() {
        let mut limiter = Limiter::new(10);
        assert!(limiter.allows(Cause::Refused, "office", MINUTE));
        limiter.take_back(Cause::Refused, "office");
        assert!(limiter.allows(Cause::Refused, "office", MINUTE));
    }

    #[test]
    fn a_full_memory_makes_no_more_noise_until_an_hour_has_passed() {
        let mut limiter = Limiter::new(2);
        assert!(limiter.allows(Cause::Refused, 1, MINUTE));
        assert!(limiter.allows(Cause::Refused, 2, MINUTE * 2));
        assert!(!limiter.allows(Cause::Refused, 3, MINUTE * 3));
        assert!(limiter.allows(Cause::Refused, 3, MINUTE * 61));
        assert!(!limiter.allows(Cause::Refused, 2, MINUTE * 61));
    }

    proptest! {
        #[test]
        fn no_hour_ever_holds_two_of_one_cause_and_place_nor_more_than_the_bound(
            steps in proptest::collection::vec((0_u8..3, 0_u8..4, 0_u64..40), 0..200),
            max in 1_usize..6,
        ) {
            let mut limiter = Limiter::new(max);
            let mut now = Duration::ZERO;
            let mut told: Vec<(Cause, u8, Duration)> = Vec::new();
            for (cause, place, minutes) in steps {
                now += MINUTE * u32::try_from(minutes).unwrap();
                let cause = Cause::ALL[usize::from(cause)];
                if limiter.allows(cause, place, now) {
                    let recent = told.iter().filter(|(_, _, at)| now - *at < HOUR);
                    let recent: Vec<_> = recent.collect();
                    prop_assert!(recent.len() < max);
                    prop_assert!(!recent.iter().any(|(c, p, _)| (*c, *p) == (cause, place)));
                    told.push((cause, place, now));
                }
                prop_assert!(limiter.told.len() <= max);
            }
        }
    }
}
