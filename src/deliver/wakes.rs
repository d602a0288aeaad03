//! Wakes the lanes whose parked dispatches were let go, whichever account they belong to.
//!
//! A copy that one account records may be what a dispatch for another account waits for. The store moves that to the
//! held rows of its lane; here the lane hears of it. A wake that gets lost costs nothing but time: the rows are found
//! at the next start.

use super::account::Delivering;
use super::context::Connection;
use crate::clock::now_ms;
use crate::live::LiveHandle;
use interline_envelope::AccountRef;
use interline_store::Released;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// How often it is looked whether something has waited long enough.
const EXPIRY_EVERY: Duration = Duration::from_secs(1);

/// Every account's delivery, by account. One for each account of the config, so it is as bounded as that.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<Mutex<HashMap<AccountRef, Weak<Delivering>>>>);

impl Wakes {
    pub(super) fn register(&self, delivering: &Arc<Delivering>) {
        let account = delivering.account_ref().clone();
        self.lock().insert(account, Arc::downgrade(delivering));
    }

    /// Lets each lane look at its held rows.
    pub(super) fn wake(&self, released: &[Released]) {
        for Released { account, lane } in released {
            let delivering = self.lock().get(account).and_then(Weak::upgrade);
            match delivering {
                Some(delivering) => delivering.wake_held(*lane),
                None => {
                    debug!(account_ref = %account, "a parked dispatch was let go; nobody delivers for its account now")
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AccountRef, Weak<Delivering>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of what has waited for long enough, until the daemon stops. Cancel-safe.
pub(crate) async fn expire(
    store: Arc<dyn interline_store::Store>,
    wakes: Wakes,
    live: LiveHandle,
    connection: watch::Receiver<Option<Connection>>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    loop {
        let since = connection.borrow().as_ref().map(|connection| connection.since);
        let age_max = live.get().config.deliver.parked_max_age;
        // What could not come while the broker was away has all its time from when it is back.
        if since.is_some_and(|since| since.elapsed() >= age_max) {
            match store.parked_expired(now_ms()).await {
                Ok(released) => wakes.wake(&released),
                Err(error) => error!(%error, "parked dispatches cannot be read; trying again"),
            }
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(EXPIRY_EVERY) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}
