//! The daemon's one wall clock. Back-off and deadlines use the monotonic clock instead.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

thread_local! {
    /// Where the clock of this thread's runtime began, if time goes by that: UTC milliseconds.
    static BEGAN: Cell<Option<(i64, Instant)>> = const { Cell::new(None) };
}

/// Milliseconds since the Unix epoch, UTC; 0 on a machine whose clock stands before it.
pub fn now_ms() -> i64 {
    if let Some((began_ms, began)) = BEGAN.get() {
        return began_ms.saturating_add(millis(began.elapsed()));
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A duration as wall-clock times are counted.
pub(crate) fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// From now on this thread's wall clock goes by its runtime's, and begins at `began_ms` (UTC milliseconds): for stages
/// that run in a test, on one thread whose clock is paused.
pub fn follow_runtime(began_ms: i64) {
    BEGAN.set(Some((began_ms, Instant::now())));
}
