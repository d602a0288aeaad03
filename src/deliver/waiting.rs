//! What becomes of a dispatch whose person's window is closed: it waits in its lane, the person is invited once.
//!
//! Called by lanes and attempts. *Invariant:* no tag is ever used to get round a window.

use super::account::Delivering;
use super::attempt::{Early, Step};
use super::plan::{recipient, render};
use super::windows::Listener;
use crate::clock::now_ms;
use interline_bridge_api::{Outcome, Outgoing};
use interline_envelope::Dispatch;
use interline_relay::Passage;
use interline_store::StoreError;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// How often a dispatch that waits for its person is looked at without news: it may have waited for too long.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

impl Delivering {
    /// How long a dispatch waits for its person at least; nothing if it may be tried.
    pub(super) async fn window_wait(
        &self,
        dispatch: &Dispatch,
    ) -> Result<Option<Duration>, StoreError> {
        let account = self.account_now(&self.live());
        let hours = account.and_then(|account| account.bridge.manifest().window_hours);
        let is_message = !dispatch.envelope.kind.is_fleeting();
        let Some(hours) = hours.filter(|_| is_message) else { return Ok(None) };
        Ok(match self.context.windows.passage(&dispatch.to, hours, now_ms()).await? {
            Passage::Open => None,
            Passage::Closed => Some(LOOK_EVERY),
            Passage::ClosedFor(left) => {
                Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LOOK_EVERY))
            }
        })
    }

    /// The platform said that the window is closed. `asked_at`: when it was asked, so that what the person writes from
    /// then on counts as later.
    pub(super) async fn window_refused(
        &self,
        dispatch: &Dispatch,
        asked_at: i64,
    ) -> Result<Step, StoreError> {
        debug!(dispatch_id = %dispatch.id, disposition = "hold", "a person's window is closed");
        self.context.windows.refused(&dispatch.to, asked_at).await?;
        Ok(Step::Wait { after: LOOK_EVERY, cause: Early::Window })
    }

    /// From now on no opening of this person's window is missed.
    pub(super) fn listen(&self, dispatch: &Dispatch) -> Listener {
        self.context.windows.listen(&dispatch.to)
    }

    /// Sends the template that invites the person to write again, if the account has one and none was sent since the
    /// window closed. What becomes of it is not waited for: it is an offer, not a message.
    pub(super) async fn invite(&self, dispatch: &Dispatch) {
        let live = self.live();
        let Some(account) = self.account_now(&live) else { return };
        let Some(template) = &account.window_template else { return };
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| {
            account.bridge.invitation(&template.name, &template.language)
        }));
        let Ok(Some(action)) = made else { return };
        let outgoing = Outgoing::new(recipient(&dispatch.to), action);
        let Ok(request) = render(&account, &outgoing) else { return };
        let Some((pass, _place)) = self.pass().await else { return };
        self.turn(&live, request.charge).await;
        let live = self.live();
        if self.is_stopping() || self.refused_by_consent(&live, dispatch).is_some() {
            return;
        }
        // The person may have written while this waited for its turn.
        if matches!(self.window_wait(dispatch).await, Ok(None)) {
            return;
        }
        match self.context.windows.may_invite(&dispatch.to, now_ms()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                return error!(%error, "whether a person was invited cannot be written down; nobody is invited");
            }
        }
        let started = std::time::Instant::now();
        let answer = self.transmit(&live, &request).await;
        self.spent(&live, &dispatch.to, request.charge);
        self.observe_answer(&answer, started.elapsed());
        match answer {
            Ok(Outcome::Sent { .. } | Outcome::Located(_)) => {
                pass.succeeded();
                info!(account_ref = %self.account, "a person whose window is closed was invited to write");
            }
            Ok(Outcome::Failed(failure)) => {
                warn!(account_ref = %self.account, error = %failure,
                    "a person could not be invited to write; is `window_template` an approved template without variables?");
            }
            Err(error) => {
                warn!(account_ref = %self.account, %error, "an invitation to write got no answer");
            }
        }
    }
}
