//! What systemd is told: readiness, reloads, the end, and that the daemon is alive. Without systemd all of it is
//! silent.

use interline_store::Store;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// The listener for webhooks, where `interline.socket` holds it: over a restart of the daemon too, so that connections
/// wait instead of being refused.
///
/// Call it once, before any thread is started: it takes the descriptor out of the environment.
///
/// # Errors
/// What was handed over is no TCP listener.
///
/// Source: `sd_listen_fds(3)`.
pub(crate) fn listener() -> std::io::Result<Option<std::net::TcpListener>> {
    listenfd::ListenFd::from_env().take_tcp_listener(0)
}

/// Tells systemd that webhooks are taken: the listener is bound and the store is open.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells systemd that a new config is being taken over; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "systemd cannot be told about the reload: no monotonic clock"),
    }
}

/// Tells systemd that the drain has begun.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Tells systemd that the daemon is alive, three times within `WatchdogSec`, for as long as the tasks run *and* the store's
/// writer answers: a daemon whose writer hangs takes nothing off the queues, and systemd starts it anew. Returns at
/// once where no watchdog was asked for.
pub(crate) async fn watchdog(store: Arc<dyn Store>) {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        beat(store.as_ref(), limit, || notify(&[NotifyState::Watchdog])).await;
    }
}

async fn beat(store: &dyn Store, limit: Duration, tell: impl Fn()) {
    loop {
        match tokio::time::timeout(limit, store.info()).await {
            Ok(Ok(_)) => tell(),
            Ok(Err(error)) => {
                error!(%error, "the store fails; systemd is not told that all is well")
            }
            Err(_) => error!("the store does not answer; systemd is not told that all is well"),
        }
        tokio::time::sleep(limit / 3).await;
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told about the daemon's state");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interline_envelope::RootKey;
    use interline_store::{Settings, SqliteStore};
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn beats(store: &SqliteStore) -> u32 {
        let told = AtomicU32::new(0);
        let tell = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let beating = beat(store, Duration::from_millis(300), tell);
        drop(tokio::time::timeout(Duration::from_secs(1), beating).await);
        told.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn systemd_is_told_that_all_is_well_only_while_the_store_answers() {
        let folder = tempfile::tempdir().unwrap();
        let root = RootKey::generate().unwrap();
        let store =
            SqliteStore::open(&folder.path().join("a.db"), &root, &Settings::default()).unwrap();
        assert!(beats(&store).await >= 1);
        store.close().await.unwrap();
        assert_eq!(beats(&store).await, 0);
    }
}
