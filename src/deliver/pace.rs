//! When an account's next request may leave: its budgets, and the quota that the platform's answers tell of.
//!
//! What is to wait for seconds (a pair's budget) waits in its lane, which moves to the store meanwhile; what is to wait
//! for a moment (the account's) takes its place in the row. In memory only: after a restart every budget is whole, and
//! the platform's own refusals are the net below.

use super::account::Delivering;
use super::gate::PauseReason;
use crate::live::Live;
use interline_envelope::{Address, Dispatch};
use interline_relay::{Bucket, Budgets, Charge, Pairs, Quota};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long the last news of the quota counts: an account that sends nothing hears nothing.
const QUOTA_NEWS_MAX: Duration = Duration::from_secs(5 * 60);
/// The platform's clock may count in whole milliseconds.
const CLOCKS_APART: Duration = Duration::from_millis(2);
/// From here on the news is worth a line of the log.
const QUOTA_WARN_PERCENT: u32 = 80;

/// One account's budgets.
#[derive(Debug)]
pub(super) struct Pacing {
    started: Instant,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    messages: Bucket,
    audio_video: Bucket,
    /// By the person's id.
    pairs: Pairs<String>,
    used_percent: u32,
    told_at: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { started: Instant::now(), spent: Mutex::default() }
    }
}

impl Pacing {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spent> {
        // Each critical section leaves every budget whole.
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until one may be sent to this person.
    pub(super) fn pair_wait(&self, budgets: &Budgets, to: &Address) -> Duration {
        budgets.pair.map_or(Duration::ZERO, |rate| {
            self.lock().pairs.wait(to.user.as_exposed_str(), rate, self.now())
        })
    }

    /// Takes a place among the messages with sound or film, and says how long it is until then.
    fn audio_video_turn(&self, budgets: &Budgets) -> Duration {
        budgets
            .audio_video
            .map_or(Duration::ZERO, |rate| self.lock().audio_video.reserve(rate, self.now()))
    }

    /// Takes a place among the account's messages, and says how long it is until then. `said`: what people wrote to the
    /// account since the last one.
    fn turn(&self, budgets: &Budgets, said: u32) -> Duration {
        let now = self.now();
        let mut spent = self.lock();
        let fresh = now.saturating_sub(spent.told_at) <= QUOTA_NEWS_MAX;
        let percent = if fresh { spent.used_percent } else { 0 };
        let Some(rate) = budgets.messages else { return Duration::ZERO };
        for _ in 0..if budgets.counts_inbound { said } else { 0 } {
            spent.messages.reserve(rate, now);
        }
        spent.messages.reserve(rate.slowed(percent), now)
    }

    /// Takes one from a pair's budget. The platform counted it before it answered: so its count is never behind ours.
    fn sent(&self, budgets: &Budgets, to: &Address) {
        if let Some(rate) = budgets.pair {
            self.lock().pairs.take(to.user.as_exposed_str().to_owned(), rate, self.now());
        }
    }

    /// Takes the news of the quota. True if the account slows down by it and did not before.
    fn told(&self, quota: Quota) -> bool {
        let now = self.now();
        let mut spent = self.lock();
        let before = std::mem::replace(&mut spent.used_percent, quota.used_percent);
        spent.told_at = now;
        before < QUOTA_WARN_PERCENT && quota.used_percent >= QUOTA_WARN_PERCENT
    }
}

impl Delivering {
    /// How long until one may be sent to the person of a dispatch; nothing if at once.
    pub(super) fn too_early(&self, live: &Live, dispatch: &Dispatch) -> Option<Duration> {
        let is_message = !dispatch.envelope.kind.is_fleeting();
        let account = self.account_now(live).filter(|_| is_message)?;
        let wait = self.pacing.pair_wait(&account.budgets, &dispatch.to);
        (!wait.is_zero()).then_some(wait + CLOCKS_APART)
    }

    /// Waits for the turn of a request with sound or film.
    pub(super) async fn audio_video_turn(&self, live: &Live, charge: Charge) {
        if charge == Charge::AudioVideo
            && let Some(account) = self.account_now(live)
        {
            let wait = self.pacing.audio_video_turn(&account.budgets);
            if !wait.is_zero() {
                self.sleep(wait).await;
            }
        }
    }

    /// Waits for the turn of a message.
    pub(super) async fn turn(&self, live: &Live, charge: Charge) {
        if charge != Charge::Free
            && let Some(account) = self.account_now(live)
        {
            let said = self.context.windows.take_said(&self.account);
            let wait = self.pacing.turn(&account.budgets, said);
            if !wait.is_zero() {
                self.sleep(wait).await;
            }
        }
    }

    /// A request to this person was answered, or may have been taken.
    pub(super) fn spent(&self, live: &Live, to: &Address, charge: Charge) {
        if charge != Charge::Free
            && let Some(account) = self.account_now(live)
        {
            self.pacing.sent(&account.budgets, to);
        }
    }

    /// Obeys what an answer tells of the quota, before the platform says no: slower from four fifths of it on, a
    /// pause at its end.
    pub(super) fn heed(&self, quota: Quota) {
        if self.pacing.told(quota) {
            warn!(account_ref = %self.account, percent = quota.used_percent,
                "the account has used most of its quota; it goes slower");
        }
        if let Some(asked) = quota.pause()
            && let Some(long) = self.gate.pause(PauseReason::Throttled, Some(asked))
        {
            info!(account_ref = %self.account, reason = PauseReason::Throttled.as_str(),
                percent = quota.used_percent, seconds = long.as_secs(),
                "the account's quota is used up; it pauses, and its backlog stays in the broker");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_relay::Rate;

    fn budgets() -> Budgets {
        Budgets {
            messages: Some(Rate::per_second(80)),
            counts_inbound: true,
            audio_video: Some(Rate::per_second(10)),
            pair: Some(Rate::new(Duration::from_secs(6), 45)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_write_is_taken_from_the_accounts_budget_where_the_platform_counts_it() {
        let (pacing, deaf) = (Pacing::default(), Pacing::default());
        assert!(pacing.turn(&budgets(), 80) > Duration::from_millis(900));
        assert_eq!(deaf.turn(&Budgets { counts_inbound: false, ..budgets() }, 80), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_news_of_a_quota_slows_an_account_down_until_other_news_or_none_for_long() {
        let pacing = Pacing::default();
        let quota = |used_percent| Quota { used_percent, blocked_for: None };
        let spent = || {
            let waits = (0..100).map(|_| pacing.turn(&budgets(), 0));
            waits.last().unwrap_or_default()
        };
        assert!(pacing.told(quota(90)), "the first news of it is told");
        assert!(!pacing.told(quota(95)));
        assert!(spent() > Duration::from_secs(4));
        tokio::time::advance(QUOTA_NEWS_MAX + Duration::from_secs(1)).await;
        assert!(spent() < Duration::from_millis(1_400), "old news does not count");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!pacing.told(quota(20)));
        assert!(spent() < Duration::from_millis(1_400));
    }
}
