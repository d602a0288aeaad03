//! Where a play takes place: the platforms, a broker, and a daemon that can be killed.

use interline_sandbox::{Kind, Platforms};
use std::time::Duration;

/// How the broker fails once.
#[derive(Clone, Copy, Debug)]
pub(super) enum BrokerFails {
    /// Every connection is cut.
    Cuts,
    /// Every connection is cut, and there is none for so long.
    IsAway { ms: u64 },
    /// It refuses a message, as a full queue does.
    Refuses { after: u64 },
    /// It stores a message, and the connections are gone before it says so.
    StoresAndCuts { after: u64 },
    /// The connections are gone before it has stored a message.
    CutsBeforeStoring { after: u64 },
}

pub(super) trait Ground {
    /// How long anything may take before a play counts as failed, on the clock of this ground.
    const LIMIT: Duration;

    fn platforms(&self) -> &Platforms;

    /// Lets the broker fail once.
    fn broker_fails(&self, how: BrokerFails);

    /// Ends the daemon as a power cut does, and starts it again.
    async fn kill(&mut self);

    /// Puts bytes on a platform's events queue.
    async fn put_event(&self, kind: Kind, account: &str, body: String);

    /// Waits until every queue but that of the dead letters is empty and nothing is under way.
    async fn until_quiet(&self);

    /// Why there are dead letters.
    async fn dead(&self) -> Vec<String>;

    /// Stops the daemon, which drains.
    async fn stop(&mut self);

    /// What the daemon said last.
    fn log(&self) -> String;
}
