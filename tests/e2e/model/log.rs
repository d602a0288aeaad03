//! What the daemon says in a play in memory, with the time on the paused clock.

use std::sync::Mutex;
use tokio::time::Instant;
use tracing::subscriber::DefaultGuard;

/// Keeps what this thread's daemon says until the guard goes, and forgets what was said before.
pub(super) fn keep() -> DefaultGuard {
    LOG.lock().unwrap().clear();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_timer(SinceTheBeginning(Instant::now()))
        .with_writer(|| LogWriter);
    tracing::subscriber::set_default(subscriber.finish())
}

/// What was kept.
pub(super) fn kept() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

/// What the daemon said, where one play at a time is performed.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Milliseconds on the paused clock.
struct SinceTheBeginning(Instant);

impl tracing_subscriber::fmt::time::FormatTime for SinceTheBeginning {
    fn format_time(
        &self,
        to: &mut tracing_subscriber::fmt::format::Writer<'_>,
    ) -> std::fmt::Result {
        write!(to, "{:6}", self.0.elapsed().as_millis())
    }
}
