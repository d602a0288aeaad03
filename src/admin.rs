//! How an operator looks into the running daemon: `/metrics`, `/live` and `/ready` over HTTP, and a Unix socket that
//! `interline status` reads one JSON object from. Nothing here changes anything, and nothing names a person.

use crate::status::{Overview, Status};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tracing::{info, warn};

/// The text format of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long one reader of the socket may take.
const READER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long `interline status` waits for the daemon.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest status that is read: some 10,000 accounts.
const STATUS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Answers `/metrics`, `/live` and `/ready`. Never returns while the listener works.
pub(crate) async fn serve_http(listener: TcpListener, overview: Overview) {
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .with_state(overview);
    if let Err(error) = axum::serve(listener, app).await {
        warn!(%error, "the admin address no longer answers");
    }
}

async fn metrics(State(overview): State<Overview>) -> Response {
    match overview.metrics().await {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn live(State(overview): State<Overview>) -> Response {
    let reasons: &[&str] =
        if overview.is_live().await { &[] } else { &["the store does not answer"] };
    verdict("live", reasons)
}

async fn ready(State(overview): State<Overview>) -> Response {
    verdict("ready", &overview.reasons_against_ready())
}

/// 200, or 503 with the reasons.
fn verdict<S: serde::Serialize>(word: &str, reasons: &[S]) -> Response {
    let well = reasons.is_empty();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ word: well, "reasons": reasons }))).into_response()
}

/// The status socket; its file goes when this is dropped.
pub(crate) struct StatusSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl StatusSocket {
    /// Binds it, for the daemon's own user only. A file that a killed daemon left behind is replaced.
    ///
    /// # Errors
    /// What binding fails with; [`std::io::ErrorKind::AddrInUse`] if another daemon answers there.
    pub(crate) async fn bind(path: &Path) -> std::io::Result<Self> {
        if path.exists() {
            if UnixStream::connect(path).await.is_ok() {
                return Err(std::io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers whoever connects with one status. Never returns.
    pub(crate) async fn serve(self, overview: Overview) {
        info!("status can be asked for");
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a reader of the status cannot be accepted");
                    tokio::time::sleep(READER_TIMEOUT).await;
                    continue;
                }
            };
            let told = tokio::time::timeout(READER_TIMEOUT, tell(stream, &overview)).await;
            if !matches!(told, Ok(Ok(()))) {
                warn!("a reader of the status went away before it was told");
            }
        }
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        // Gone already is as good.
        drop(std::fs::remove_file(&self.path));
    }
}

async fn tell(mut stream: UnixStream, overview: &Overview) -> std::io::Result<()> {
    let status = serde_json::to_vec(&overview.status().await)?;
    stream.write_all(&status).await?;
    stream.shutdown().await
}

/// Asks the daemon at `path` how it is.
///
/// # Errors
/// What connecting or reading fails with; [`std::io::ErrorKind::InvalidData`] if the answer is no status.
pub(crate) async fn ask(path: &Path) -> std::io::Result<Status> {
    let answer = async {
        let stream = UnixStream::connect(path).await?;
        let mut text = Vec::new();
        stream.take(STATUS_BYTES_MAX).read_to_end(&mut text).await?;
        Ok(serde_json::from_slice(&text)?)
    };
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(late)?
}
