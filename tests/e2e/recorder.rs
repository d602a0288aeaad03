//! Counts over the daemon's deaths what the phones show: lost, out of order, doubled.
//!
//! A send that was under way when the daemon was killed may come twice where the platform gives no marker back. A lane
//! sends one after another, so that is at most the last message that its phone showed at the kill: any other double is
//! an error, and so is a double that does not follow its first copy at once.

use crate::harness::{LIMIT, World};
use interline_sandbox::Seen;
use std::collections::{BTreeSet, HashMap};

/// What the daemon says when a send of unknown fate is sent once more.
pub(crate) const SENT_AGAIN: &str = "a request of unknown fate is sent again";

/// The kills so far.
#[derive(Default)]
pub(crate) struct Recorder {
    kills: usize,
    /// Requests that the platforms were working on when the daemon was killed.
    open: u64,
    /// The order numbers of what each phone showed last at a kill.
    last_at_kills: BTreeSet<u64>,
}

/// What was counted on phones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) messages: usize,
    pub(crate) lost: usize,
    pub(crate) out_of_order: usize,
    pub(crate) doubled: usize,
    /// Of these: what no kill explains.
    pub(crate) unexplained: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.lost += other.lost;
        self.out_of_order += other.out_of_order;
        self.doubled += other.doubled;
        self.unexplained += other.unexplained;
    }
}

impl Recorder {
    /// Kills the daemon, and notes what every phone shows last.
    pub(crate) async fn kill(&mut self, world: &mut World) {
        self.kills += 1;
        self.open +=
            world.platforms.all().iter().map(|platform| platform.counts().in_flight).sum::<u64>();
        world.kill();
        for platform in world.platforms.all() {
            let quiet = platform.wait_for_counts(|counts| counts.in_flight == 0);
            let quiet = tokio::time::timeout(LIMIT, quiet).await;
            assert!(quiet.is_ok(), "a request outlives its client: {:?}", platform.counts());
            for phone in platform.phones() {
                self.last_at_kills.extend(phone.received().last().map(|seen| seen.order));
            }
        }
    }

    pub(crate) fn kills(&self) -> usize {
        self.kills
    }

    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// Compares what one phone received with what it should have. `tokens` takes a message apart into what is wanted:
    /// one token, or several where a long text came in pieces.
    pub(crate) fn count(
        &self,
        received: &[Seen],
        wanted: &[String],
        tokens: impl Fn(&Seen) -> Vec<String>,
    ) -> Count {
        let place: HashMap<&str, usize> =
            wanted.iter().enumerate().map(|(n, token)| (token.as_str(), n)).collect();
        let mut count = Count { messages: received.len(), ..Count::default() };
        let mut found = vec![false; wanted.len()];
        let mut next = 0;
        let mut before: Option<(&Seen, Vec<String>)> = None;
        for seen in received {
            let these = tokens(seen);
            if let Some((first, of)) = &before
                && *of == these
            {
                count.doubled += 1;
                count.unexplained += usize::from(!self.last_at_kills.contains(&first.order));
                before = Some((seen, these));
                continue;
            }
            for token in &these {
                match place.get(token.as_str()) {
                    Some(n) if *n >= next => {
                        next = *n + 1;
                        found[*n] = true;
                    }
                    // An old one, or one that nobody said.
                    Some(_) | None => count.out_of_order += 1,
                }
            }
            before = Some((seen, these));
        }
        count.lost = found.iter().filter(|found| !**found).count();
        count
    }
}

/// A message's text as its only token.
pub(crate) fn whole_text(seen: &Seen) -> Vec<String> {
    vec![seen.text().unwrap_or("not a text").to_owned()]
}
