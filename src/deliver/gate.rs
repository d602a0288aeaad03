//! Whether an account may send now.
//!
//! An account that is down, throttled, blocked or needs a new token closes its gate; its lanes wait before it, its
//! consumer lets go of what waits for long, and the backlog stays in RabbitMQ. When the time is up one lane tries; if
//! it succeeds the gate is open again for all.

use interline_envelope::LaneId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many lanes in a row must fail, without a success between, before the account counts as down.
const FAILING_LANES_FOR_DOWN: usize = 3;
/// The first pause of an account that is down.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause before it is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why an account does not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseReason {
    /// Its token or link is dead.
    Reauth,
    /// The platform restricts the business.
    Blocked,
    /// It was too fast.
    Throttled,
    /// Its API does not answer, or answers nothing but errors.
    Down,
}

impl PauseReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Reauth, Self::Blocked, Self::Throttled, Self::Down];

    /// The word in logs and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reauth => "reauth",
            Self::Blocked => "blocked",
            Self::Throttled => "throttled",
            Self::Down => "down",
        }
    }

    /// True if an operator must act.
    pub const fn needs_operator(self) -> bool {
        matches!(self, Self::Reauth | Self::Blocked)
    }
}

#[derive(Debug)]
enum State {
    Open,
    Paused {
        until: Instant,
        reason: PauseReason,
    },
    /// One lane is trying.
    Probing {
        reason: PauseReason,
    },
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Pauses since the last success; each doubles the next.
    pauses: u32,
    failing: HashSet<LaneId>,
}

/// One account's gate.
#[derive(Debug)]
pub(super) struct Gate {
    inner: Mutex<Inner>,
    changed: Notify,
    pause_min: Duration,
    pause_max: Duration,
}

/// Leave to send one request. Dropped without a word, a probe counts as not tried.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    probing: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(PAUSE_MIN, PAUSE_MAX)
    }
}

impl Gate {
    /// An open gate with the first and the longest pause.
    pub(super) fn new(pause_min: Duration, pause_max: Duration) -> Self {
        Self {
            inner: Mutex::new(Inner { state: State::Open, pauses: 0, failing: HashSet::new() }),
            changed: Notify::new(),
            pause_min,
            pause_max,
        }
    }

    /// Waits until the gate is open, or until this caller may try. Cancel-safe.
    pub(super) async fn pass(self: &Arc<Self>) -> Pass {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let until = match self.try_pass() {
                Ok(pass) => return pass,
                Err(until) => until,
            };
            match until {
                Some(until) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(until) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    fn try_pass(self: &Arc<Self>) -> Result<Pass, Option<Instant>> {
        let mut inner = self.lock();
        match inner.state {
            State::Open => Ok(Pass { gate: self.clone(), probing: false }),
            State::Probing { .. } => Err(None),
            State::Paused { until, reason } => {
                if Instant::now() < until {
                    return Err(Some(until));
                }
                inner.state = State::Probing { reason };
                Ok(Pass { gate: self.clone(), probing: true })
            }
        }
    }

    /// Closes the gate, for as long as the platform asks or else for a time that doubles with every pause. Says how
    /// long, or nothing if it was closed already.
    pub(super) fn pause(&self, reason: PauseReason, asked: Option<Duration>) -> Option<Duration> {
        let mut inner = self.lock();
        // One whose time is up is being tried, by whoever says this: it begins anew.
        if matches!(inner.state, State::Paused { until, .. } if Instant::now() < until) {
            return None;
        }
        let doubled = self
            .pause_min
            .saturating_mul(1_u32.checked_shl(inner.pauses.min(16)).unwrap_or(u32::MAX));
        let long = asked.unwrap_or_else(|| doubled.min(self.pause_max));
        inner.pauses = inner.pauses.saturating_add(1);
        inner.state = State::Paused { until: Instant::now() + long, reason };
        drop(inner);
        self.changed.notify_waiters();
        Some(long)
    }

    /// Opens the gate at once: the operator changed the account.
    pub(super) fn reset(&self) {
        let mut inner = self.lock();
        inner.state = State::Open;
        inner.pauses = 0;
        inner.failing.clear();
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A lane's request failed by the platform's fault. Says how long the account now pauses, if it counts as down.
    pub(super) fn failed(&self, lane: LaneId) -> Option<Duration> {
        let probing = {
            let mut inner = self.lock();
            inner.failing.insert(lane);
            if inner.failing.len() < FAILING_LANES_FOR_DOWN
                && !matches!(inner.state, State::Probing { .. })
            {
                return None;
            }
            inner.failing.clear();
            matches!(inner.state, State::Probing { .. })
        };
        // A probe that failed only renews the pause; the news is not told again.
        self.pause(PauseReason::Down, None).filter(|_| !probing)
    }

    /// Why the account pauses and until when; nothing while it sends.
    pub(super) fn paused(&self) -> Option<(PauseReason, Instant)> {
        match self.lock().state {
            State::Open => None,
            State::Paused { until, reason } => Some((reason, until)),
            State::Probing { reason } => Some((reason, Instant::now())),
        }
    }

    /// Resolves when the state changes next. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// True if that opened the gate.
    fn succeeded(&self) -> bool {
        let mut inner = self.lock();
        inner.failing.clear();
        inner.pauses = 0;
        // A success that was under way when the account was paused does not open the gate; only a probe's does.
        let opens = matches!(inner.state, State::Probing { .. });
        if opens {
            inner.state = State::Open;
        }
        drop(inner);
        if opens {
            self.changed.notify_waiters();
        }
        opens
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing that holds this lock can panic between two writes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The platform took the request. True if the account sends again because of it.
    pub(super) fn succeeded(&self) -> bool {
        self.gate.succeeded()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.probing {
            return;
        }
        let mut inner = self.gate.lock();
        if let State::Probing { reason } = inner.state {
            inner.state = State::Paused { until: Instant::now(), reason };
            drop(inner);
            self.gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(n: u8) -> LaneId {
        LaneId::from_bytes([n; 8])
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_account_lets_one_lane_try_and_opens_when_it_succeeds() {
        let gate = Arc::new(Gate::default());
        assert_eq!(
            gate.pause(PauseReason::Throttled, Some(Duration::from_secs(5))),
            Some(Duration::from_secs(5))
        );
        let before = Instant::now();
        let probe = gate.pass().await;
        assert_eq!(before.elapsed(), Duration::from_secs(5));
        assert!(gate.try_pass().is_err(), "a second lane waits for the first one's news");
        probe.succeeded();
        drop(probe);
        assert!(gate.try_pass().is_ok());
        assert_eq!(gate.paused(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_success_of_a_probe_says_that_the_account_sends_again() {
        let gate = Arc::new(Gate::default());
        let before = gate.pass().await;
        assert!(!before.succeeded());
        gate.pause(PauseReason::Reauth, None);
        assert!(!before.succeeded(), "it was under way when the account was paused");
        assert!(gate.pass().await.succeeded());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_lets_the_next_lane_try() {
        let gate = Arc::new(Gate::default());
        gate.pause(PauseReason::Down, None);
        let probe = gate.pass().await;
        drop(probe);
        let again = gate.pass().await;
        assert!(again.probing);
    }

    #[tokio::test(start_paused = true)]
    async fn one_failing_lane_does_not_stop_the_account_but_three_in_a_row_do() {
        let gate = Arc::new(Gate::default());
        for _ in 0..10 {
            assert_eq!(gate.failed(lane(1)), None);
        }
        gate.failed(lane(2));
        gate.pass().await.succeeded();
        assert_eq!(gate.failed(lane(3)), None, "a success between starts the count anew");
        assert_eq!(gate.failed(lane(4)), None);
        assert_eq!(gate.failed(lane(5)), Some(PAUSE_MIN));
    }

    /// Whoever carries a file takes leave to try before it, and has given it back when the upload is refused.
    #[tokio::test(start_paused = true)]
    async fn a_pause_whose_time_is_up_is_renewed_and_doubled_and_one_that_lasts_is_not() {
        let gate = Arc::new(Gate::default());
        assert_eq!(gate.pause(PauseReason::Reauth, None), Some(PAUSE_MIN));
        assert_eq!(gate.pause(PauseReason::Reauth, None), None);
        drop(gate.pass().await);
        assert_eq!(gate.pause(PauseReason::Reauth, None), Some(2 * PAUSE_MIN));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_their_bound() {
        let gate = Arc::new(Gate::default());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.extend(gate.pause(PauseReason::Down, None).map(|pause| pause.as_secs()));
            drop(gate.pass().await);
            gate.lock().state = State::Open;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
