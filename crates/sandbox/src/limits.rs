//! How much a platform lets an account send: per second, per person, per hour.
//!
//! Off unless [`crate::Settings::limits`] says otherwise, since most tests are about something else. All by the
//! platforms' own clock. Source: platform facts, section 4 (rates).

use std::time::Duration;

use crate::clock::{Clock, millis};
use crate::config::Kind;

/// What the hour's calls are measured by in `X-App-Usage` where nothing limits them.
const CALLS_PER_HOUR: u32 = 5_000;

const HOUR_MS: u64 = 3_600_000;

/// The limits of one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Messages of one account in a second: 130429, 613, 613/2534040. WhatsApp counts what people say as well.
    pub messages_per_second: Option<u32>,
    /// Messenger, Instagram: of these with sound or film.
    pub media_per_second: Option<u32>,
    /// WhatsApp: messages of one account to one person: 131056.
    pub pair: Option<PairLimit>,
    /// Calls of any sort in an hour: code 4.
    pub calls_per_hour: Option<u32>,
}

/// One message to one person in so much time, and how many may be borrowed from later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairLimit {
    /// The time for one.
    pub every: Duration,
    /// So many at once, if none was sent before.
    pub burst: u32,
}

impl Limits {
    /// None at all.
    pub const NONE: Self = Self {
        messages_per_second: None,
        media_per_second: None,
        pair: None,
        calls_per_hour: None,
    };

    /// What the platform's documentation says.
    #[must_use]
    pub fn documented(kind: Kind) -> Self {
        let pair = PairLimit { every: Duration::from_secs(6), burst: 45 };
        match kind {
            Kind::WhatsApp => {
                Self { messages_per_second: Some(80), pair: Some(pair), ..Self::NONE }
            }
            Kind::Messenger => {
                Self { messages_per_second: Some(300), media_per_second: Some(10), ..Self::NONE }
            }
            // Two pages disagree (300 and 100); this is the stricter.
            Kind::Instagram => {
                Self { messages_per_second: Some(100), media_per_second: Some(10), ..Self::NONE }
            }
        }
    }
}

/// What the usage headers say instead of what was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Percent of the calls.
    pub call_count: u32,
    /// Percent of the time.
    pub total_time: u32,
    /// Percent of the CPU time.
    pub total_cputime: u32,
    /// `estimated_time_to_regain_access`, in minutes.
    pub regain_minutes: u32,
}

impl Usage {
    pub(crate) fn of_calls(percent: u32) -> Self {
        let (total_time, total_cputime) = (percent / 2, percent / 4);
        Self { call_count: percent, total_time, total_cputime, regain_minutes: 0 }
    }
}

/// A bucket that fills by each use and drains by time, in microseconds of the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    full_until_us: u64,
}

impl Meter {
    /// Uses one, if `burst` at once and one in each `every` allow it; else how long it is too early.
    /// `strict`: what comes too early is counted all the same, up to one more burst.
    pub(crate) fn take(
        &mut self,
        clock: &Clock,
        every: Duration,
        burst: u32,
        strict: bool,
    ) -> Result<(), Duration> {
        let now_us = clock.now_ms().saturating_mul(1_000);
        let every_us = u64::try_from(every.as_micros()).unwrap_or(u64::MAX).max(1);
        let room_us = every_us.saturating_mul(u64::from(burst.saturating_sub(1)));
        let full_us = self.full_until_us.max(now_us);
        let early_us = (full_us - now_us).saturating_sub(room_us);
        if early_us == 0 {
            self.full_until_us = full_us.saturating_add(every_us);
            return Ok(());
        }
        if strict {
            let most_us = now_us.saturating_add(room_us.saturating_mul(2));
            self.full_until_us = full_us.saturating_add(every_us).min(most_us.max(full_us));
        }
        Err(Duration::from_micros(early_us))
    }

    pub(crate) fn per_second(&mut self, clock: &Clock, count: u32) -> Result<(), Duration> {
        let count = count.max(1);
        self.take(clock, Duration::from_secs(1) / count, count, true)
    }
}

/// The calls of the running hour.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hour {
    began_ms: u64,
    calls: u32,
}

impl Hour {
    /// Counts a call. Too many: how long until the hour is over.
    pub(crate) fn count(&mut self, clock: &Clock, most: Option<u32>) -> Result<(), Duration> {
        let now_ms = clock.now_ms();
        if now_ms.saturating_sub(self.began_ms) >= HOUR_MS {
            *self = Self { began_ms: now_ms, calls: 0 };
        }
        self.calls = self.calls.saturating_add(1);
        if most.is_none_or(|most| self.calls <= most) {
            return Ok(());
        }
        Err(Duration::from_millis((self.began_ms + HOUR_MS).saturating_sub(now_ms)))
    }

    /// Percent of what the hour allows.
    pub(crate) fn percent(&self, most: Option<u32>) -> u32 {
        let most = u64::from(most.unwrap_or(CALLS_PER_HOUR)).max(1);
        u32::try_from((u64::from(self.calls) * 100 / most).min(100)).unwrap_or(100)
    }
}

/// Minutes of a wait, as the header names them: none for one that is shorter.
pub(crate) fn minutes(wait: Duration) -> u32 {
    if wait < Duration::from_secs(60) {
        return 0;
    }
    u32::try_from(millis(wait).div_ceil(60_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_its_burst_and_then_one_each_six_seconds() {
        let clock = Clock::default();
        let mut meter = Meter::default();
        let six = Duration::from_secs(6);
        let mut take = || meter.take(&clock, six, 45, false);
        assert!((0..45).all(|_| take().is_ok()));
        assert!(take().is_err() && take().is_err());
        clock.advance(six);
        assert!(take().is_ok() && take().is_err());
        clock.advance(six * 45);
        assert!((0..45).all(|_| take().is_ok()));
        assert!(take().is_err());
    }

    #[test]
    fn an_account_that_goes_on_while_it_is_throttled_is_throttled_longer() {
        let clock = Clock::default();
        let mut meter = Meter::default();
        assert!((0..80).all(|_| meter.per_second(&clock, 80).is_ok()));
        let first = (0..20).find_map(|_| meter.per_second(&clock, 80).err()).unwrap();
        let last = (0..40).filter_map(|_| meter.per_second(&clock, 80).err()).next_back().unwrap();
        assert!(last > first, "{first:?} {last:?}");
        clock.advance(Duration::from_secs(3));
        assert!((0..80).all(|_| meter.per_second(&clock, 80).is_ok()));
    }

    #[test]
    fn an_hour_that_is_over_counts_anew() {
        let clock = Clock::default();
        let mut hour = Hour::default();
        assert!(hour.count(&clock, Some(2)).is_ok() && hour.count(&clock, Some(2)).is_ok());
        assert_eq!(hour.percent(Some(2)), 100);
        let wait = hour.count(&clock, Some(2)).unwrap_err();
        assert_eq!(minutes(wait), 60);
        clock.advance(wait);
        assert!(hour.count(&clock, Some(2)).is_ok());
    }
}
