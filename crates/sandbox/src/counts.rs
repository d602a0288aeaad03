//! What happened, in numbers: of a platform, and of each account.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose head was read.
    pub requests_seen: u64,
    /// Sends that were taken: messages, reactions, read marks, typing.
    pub accepted: u64,
    /// Of these: messages that a person sees. A send that is accepted twice counts twice.
    pub messages_accepted: u64,
    /// Requests that are open now.
    pub in_flight: u64,
    /// Requests that the API's own rules refused.
    pub refused: u64,
    /// Requests that an ordered fault struck.
    pub struck: u64,
    /// Updates that were to be posted (messages, reactions, receipts, echoes).
    pub updates: u64,
    /// Updates that were in a POST that was answered with 200.
    pub updates_taken: u64,
    /// Updates that found no room.
    pub updates_dropped: u64,
    /// Updates that nobody will hear of: the account was not subscribed, or its webhook failed for too long.
    pub updates_lost: u64,
    /// Attempts to post.
    pub posts: u64,
    /// Posts that were answered with 200.
    pub posts_taken: u64,
    /// Posts that were no first attempt.
    pub retries: u64,
}

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests_seen: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) messages_accepted: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) struck: AtomicU64,
    pub(crate) updates: AtomicU64,
    pub(crate) updates_taken: AtomicU64,
    pub(crate) updates_dropped: AtomicU64,
    pub(crate) updates_lost: AtomicU64,
    pub(crate) posts: AtomicU64,
    pub(crate) posts_taken: AtomicU64,
    pub(crate) retries: AtomicU64,
}

impl Tally {
    pub(crate) fn snapshot(&self) -> Counts {
        let read = |number: &AtomicU64| number.load(Ordering::Acquire);
        Counts {
            requests_seen: read(&self.requests_seen),
            accepted: read(&self.accepted),
            messages_accepted: read(&self.messages_accepted),
            in_flight: read(&self.in_flight),
            refused: read(&self.refused),
            struck: read(&self.struck),
            updates: read(&self.updates),
            updates_taken: read(&self.updates_taken),
            updates_dropped: read(&self.updates_dropped),
            updates_lost: read(&self.updates_lost),
            posts: read(&self.posts),
            posts_taken: read(&self.posts_taken),
            retries: read(&self.retries),
        }
    }
}

/// Adds to one number.
pub(crate) fn add(number: &AtomicU64, count: u64) {
    number.fetch_add(count, Ordering::AcqRel);
}
