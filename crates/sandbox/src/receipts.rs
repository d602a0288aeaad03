//! Receipts and echoes: what an account is told of its own sends.

use std::sync::Arc;

use crate::counts::Tally;
use crate::outbox::{Outbox, Update, wait_until_done};
use crate::state::{AccountState, Hub};

/// The updates that follow from a request that was taken: queued when this is dropped. Until then the account's
/// outbox is not idle.
pub(crate) struct Receipts {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    tally: Arc<Tally>,
    updates: Vec<Update>,
}

impl Receipts {
    pub(crate) fn owed(hub: &Arc<Hub>, account: &AccountState, updates: Vec<Update>) -> Self {
        account.outbox.owes();
        Self {
            hub: Arc::clone(hub),
            outbox: Arc::clone(&account.outbox),
            tally: Arc::clone(&account.tally),
            updates,
        }
    }

    /// Queues them, and returns once they are posted and answered with 200, or the platform stops.
    pub(crate) async fn put_and_taken(mut self) {
        let mark = self.put();
        wait_until_done(&self.hub, &self.outbox, mark, &self.hub.stop).await;
    }

    /// Queues what is left, and returns how many updates the outbox was ever given.
    fn put(&mut self) -> u64 {
        let outbox_max = self.hub.settings().outbox_max;
        let updates = std::mem::take(&mut self.updates);
        self.outbox.put(updates, outbox_max, [&self.hub.tally, &*self.tally])
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        self.put();
        self.outbox.owes_no_more();
        self.hub.touch();
    }
}
