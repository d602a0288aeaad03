//! What an operator sees of an account's delivery: numbers and status.

use super::account::Delivering;
use super::http::TransportError;
use super::job::Job;
use super::lane::Lane;
use crate::clock::now_ms;
use crate::status::{AccountStatus, LastError};
use interline_bridge_api::Outcome;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// What an operator may want to know.
#[derive(Debug, Default)]
pub(super) struct Seen {
    lag_ms: Option<i64>,
    last_error: Option<LastError>,
}

impl Delivering {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Two values that stand alone: no panic leaves them half written.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered, or not.
    pub(super) fn observe_answer(&self, answer: &Result<Outcome, TransportError>, took: Duration) {
        let (class, error) = match answer {
            Ok(Outcome::Sent { .. } | Outcome::Located(_)) => ("sent", None),
            Ok(Outcome::Failed(failure)) => (failure.class.as_str(), Some(failure.to_string())),
            Err(error) => ("no-answer", Some(error.to_string())),
        };
        self.context.metrics.send(&self.account, class, took);
        if let Some(error) = error {
            self.seen().last_error = Some(LastError { at_ms: now_ms(), error });
        }
    }

    /// A dispatch reached its end.
    pub(super) fn observe_end(&self, job: &Job) {
        let now = now_ms();
        let lag_ms = now.saturating_sub(job.dispatch.envelope.time);
        self.context.metrics.finished(&self.account, now.saturating_sub(job.since_ms), lag_ms);
        self.seen().lag_ms = Some(lag_ms);
    }

    /// How the account is now.
    pub(crate) fn status(&self) -> AccountStatus {
        let paused = self.gate.paused();
        let resumes = paused.map(|(_, until)| until.saturating_duration_since(Instant::now()));
        let (lanes, held_lanes, awaited_people) = {
            let lanes = self.lock_lanes();
            let count = |is: fn(&Lane) -> bool| lanes.values().filter(|lane| is(lane)).count();
            (lanes.len(), count(Lane::is_held), count(Lane::awaits_person))
        };
        let seen = self.seen();
        AccountStatus {
            account: self.account.to_string(),
            paused: paused.map(|(reason, _)| reason.as_str().to_owned()),
            resumes_in_seconds: resumes.map(|left| left.as_secs()),
            lanes,
            held_lanes,
            awaited_people,
            lag_ms: seen.lag_ms,
            last_error: seen.last_error.clone(),
        }
    }
}
