//! The media listener: gives out, under an address of `link`, what could not be sent as such.
//!
//! `GET` and `HEAD` of `/media/<ticket>`. Bytes are fetched from the origin anew and pass through: nothing of them is
//! kept. Ranges are answered, so that a download goes on where it broke. What is given out is a stranger's: browsers
//! may neither guess its type nor run what is in it.

use super::body::{Incoming, Limits};
use super::fetch::{Bounds, Fetch, FetchError, chunks};
use super::link::{Links, NoTicket, Ticket};
use super::name;
use super::range::{Wanted, wanted};
use super::sniff::{HEAD_BYTES, UNKNOWN, sniffed};
use crate::clock::now_ms;
use crate::deliver::Http;
use crate::live::{Account, LiveHandle};
use crate::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use interline_bridge_api::Located;
use interline_envelope::{Media, Redacted};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// How long one transfer may take.
const TRANSFER_MAX: Duration = Duration::from_secs(30 * 60);
/// How long somebody may take nothing of what is written to them.
const READER_IDLE_MAX: Duration = Duration::from_secs(60);
/// How long those who find no place are asked to wait.
const RETRY_AFTER: &str = "30";

/// What the listener works with.
#[derive(Clone, Debug)]
pub struct MediaServer {
    /// Accounts as they are now.
    pub live: LiveHandle,
    /// Fetches from the origins.
    pub http: Http,
    /// Reads addresses.
    pub links: Links,
    /// The daemon's numbers.
    pub metrics: Metrics,
}

#[derive(Clone)]
struct Shared {
    server: MediaServer,
    places: Arc<Semaphore>,
}

/// A medium that somebody asks for.
struct Asked {
    ticket: Ticket,
    source: Arc<Account>,
    located: Located,
    media: Media,
    bounds: Bounds,
}

impl MediaServer {
    /// Serves until `stop` is cancelled; what is under way then is cut, and goes on by a range later.
    ///
    /// # Errors
    /// What accepting connections fails with.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let places = usize::from(self.live.get().config.media.transfers_max);
        info!(listen = %listener.local_addr()?, "the media listener started");
        let shared = Shared { server: self, places: Arc::new(Semaphore::new(places)) };
        let app = Router::new().route("/media/{ticket}", get(give).head(tell)).with_state(shared);
        tokio::select! {
            biased;
            ended = async { axum::serve(Patient(listener), app).await } => ended,
            () = stop.cancelled() => Ok(()),
        }
    }
}

/// Accepts connections that are given up when nobody reads.
struct Patient(TcpListener);

impl axum::serve::Listener for Patient {
    type Io = Pin<Box<TimeoutStream<TcpStream>>>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(READER_IDLE_MAX));
        (Box::pin(stream), address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// `HEAD`: what it is and how long, without a byte of it.
async fn tell(State(shared): State<Shared>, Path(ticket): Path<String>) -> Response {
    match asked(&shared, &ticket).await {
        Ok(asked) => {
            let length = asked.located.bytes;
            let mut headers = about(&asked.ticket, asked.ticket.mime.as_deref().unwrap_or(UNKNOWN));
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, length.into());
                headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            // The length is that of the file; there is no body.
            (StatusCode::OK, headers, Body::empty()).into_response()
        }
        Err(refusal) => refusal,
    }
}

/// `GET`: all of it, or the range that is asked for.
async fn give(
    State(shared): State<Shared>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Ok(place) = shared.places.clone().try_acquire_owned() else {
        let wait = [(header::RETRY_AFTER, RETRY_AFTER)];
        return (StatusCode::SERVICE_UNAVAILABLE, wait, "too many downloads at once\n")
            .into_response();
    };
    let asked = match asked(&shared, &ticket).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    // There are no validators here, so nothing that a client has is known to be of this file.
    let range = range.filter(|_| !headers.contains_key(header::IF_RANGE));
    let wanted = asked.located.bytes.map_or(Wanted::All, |length| wanted(range, length));
    let given = match (wanted, asked.located.bytes) {
        (Wanted::Part { first, last }, Some(length)) => {
            part(&shared, &asked, first, last, length, place).await
        }
        (Wanted::Unsatisfiable, Some(length)) => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response();
        }
        (Wanted::All | Wanted::Part { .. } | Wanted::Unsatisfiable, _) => {
            all(&shared, &asked, place).await
        }
    };
    given.unwrap_or_else(|error| refused(&error))
}

/// Opens the ticket and asks the origin where the medium is.
async fn asked(shared: &Shared, ticket: &str) -> Result<Asked, Response> {
    let gone = |status: StatusCode, words: &'static str| (status, words).into_response();
    let server = &shared.server;
    let ticket = server.links.ticket(ticket, now_ms() / 1000).map_err(|error| match error {
        NoTicket::Unknown => gone(StatusCode::NOT_FOUND, "there is nothing here\n"),
        NoTicket::Expired => gone(StatusCode::GONE, "this link has expired\n"),
    })?;
    let live = server.live.get();
    let source = live.account(&ticket.account());
    let source =
        source.ok_or_else(|| gone(StatusCode::NOT_FOUND, "there is nothing here any more\n"))?;
    let bounds = Bounds {
        bytes_max: live.config.deliver.media_bytes_max,
        idle_max: live.config.deliver.request_timeout,
        total_max: TRANSFER_MAX,
    };
    let mut media = Media::new(ticket.kind);
    media.id = Some(ticket.id.clone());
    let fetch = Fetch { http: &server.http, source: &source, bounds };
    let located = fetch.locate(&media).await.map_err(|error| refused(&error))?;
    Ok(Asked { ticket, source, located, media, bounds })
}

async fn all(
    shared: &Shared,
    asked: &Asked,
    place: OwnedSemaphorePermit,
) -> Result<Response, FetchError> {
    let fetch = Fetch { http: &shared.server.http, source: &asked.source, bounds: asked.bounds };
    let mut found = fetch.open(&asked.media, asked.located.clone()).await?;
    let claimed = asked.ticket.mime.as_deref().or(found.claimed.as_deref()).map(str::to_owned);
    let mime = sniffed(found.incoming.peek(HEAD_BYTES).await?, claimed.as_deref());
    let mut headers = about(&asked.ticket, &mime);
    if let Some(length) = found.incoming.length() {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if asked.located.bytes.is_some() {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let (stream, _fate) = found.incoming.into_stream();
    let body = Body::from_stream(counted(stream, shared, asked, place));
    Ok((StatusCode::OK, headers, body).into_response())
}

/// Bytes `first` to `last`. An origin that knows no ranges gives all, and what comes before is dropped here.
async fn part(
    shared: &Shared,
    asked: &Asked,
    first: u64,
    last: u64,
    length: u64,
    place: OwnedSemaphorePermit,
) -> Result<Response, FetchError> {
    let fetch = Fetch { http: &shared.server.http, source: &asked.source, bounds: asked.bounds };
    let range = format!("bytes={first}-{last}");
    let answer = fetch.answer(&asked.located, Some(&range)).await?;
    let begins = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
    if is_part && !begins.is_some_and(|range| range.starts_with(&format!("bytes {first}-"))) {
        return Err(FetchError::Changed);
    }
    let skip = if is_part { 0 } else { first };
    let limits = Limits { bytes_max: asked.bounds.bytes_max, idle_max: asked.bounds.idle_max };
    let (stream, _fate) = Incoming::new(chunks(answer), None, None, limits)?.into_stream();
    let count = last - first + 1;
    let mut headers = about(&asked.ticket, asked.ticket.mime.as_deref().unwrap_or(UNKNOWN));
    headers.insert(header::CONTENT_LENGTH, count.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    let body = Body::from_stream(counted(cut(stream, skip, count), shared, asked, place));
    Ok((StatusCode::PARTIAL_CONTENT, headers, body).into_response())
}

/// `count` bytes of a stream, after the first `skip`.
fn cut<S>(
    stream: S,
    skip: u64,
    count: u64,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<S>
where
    S: Stream<Item = std::io::Result<Bytes>> + Send,
{
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    stream
        .scan((skip, count), move |(skip, count), chunk| {
            if *count == 0 {
                return std::future::ready(None);
            }
            let chunk = chunk.map(|mut chunk| {
                let dropped = chunk.split_to(size(*skip).min(chunk.len()));
                *skip -= dropped.len() as u64;
                chunk.truncate(size(*count));
                *count -= chunk.len() as u64;
                chunk
            });
            std::future::ready(Some(chunk))
        })
        .filter(|chunk| std::future::ready(!chunk.as_ref().is_ok_and(Bytes::is_empty)))
}

/// Counts what is given out; the place is free again when the stream ends or is dropped.
fn counted<S>(
    stream: S,
    shared: &Shared,
    asked: &Asked,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<S>
where
    S: Stream<Item = std::io::Result<Bytes>> + Send,
{
    let (metrics, account) = (shared.server.metrics.clone(), asked.source.of.clone());
    metrics.download(&account);
    stream.inspect(move |chunk| {
        let _held = &place;
        if let Ok(chunk) = chunk {
            metrics.downloaded(&account, chunk.len() as u64);
        }
    })
}

/// What is said of a file: its type and name, and that no browser may make more of it.
fn about(ticket: &Ticket, mime: &str) -> HeaderMap {
    let mime = shown_type(mime);
    let given = ticket.filename.as_ref().map(Redacted::as_exposed_str);
    let name = name::clean(given, ticket.kind, mime);
    let how =
        if mime.starts_with("image/") || mime.starts_with("audio/") || mime.starts_with("video/") {
            "inline"
        } else {
            "attachment"
        };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
    // RFC 6266: for old clients the plain name, for all others the true one.
    let disposition = format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    let mut headers = HeaderMap::new();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    let value = |text: &str| HeaderValue::from_str(text).ok();
    headers.insert(header::CONTENT_TYPE, value(mime).unwrap_or(HeaderValue::from_static(UNKNOWN)));
    headers.extend(value(&disposition).map(|value| (header::CONTENT_DISPOSITION, value)));
    headers
}

/// Types that a browser shows without running anything; all others are bytes.
fn shown_type(mime: &str) -> &str {
    const SHOWN: [&str; 12] = [
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "audio/ogg",
        "audio/mpeg",
        "audio/mp4",
        "audio/aac",
        "video/mp4",
        "video/webm",
        "application/pdf",
        "text/plain",
    ];
    if SHOWN.contains(&mime) || mime.starts_with("application/vnd.") || mime == "application/zip" {
        mime
    } else {
        UNKNOWN
    }
}

fn refused(error: &FetchError) -> Response {
    debug!(%error, "a linked medium cannot be given out");
    let status = if matches!(error, FetchError::Gone | FetchError::Status(404 | 410)) {
        StatusCode::GONE
    } else if error.may_pass() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::BAD_GATEWAY
    };
    (status, "the platform does not give this file out now\n").into_response()
}
