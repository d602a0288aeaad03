//! The ingest stage: a platform's webhooks in, native events on its queue out.
//!
//! A body is checked, taken apart, published item by item, and answered 200 only after every confirm (G1). Where the
//! broker is away the answer is 503, and the platform delivers again. A body that is signed but unreadable is
//! dead-lettered and answered 200: it would be as unreadable the next time (G10).

use crate::clock::now_ms;
use crate::dead::{DeadLetter, Reason, Stage};
use crate::deliver::Connection;
use crate::live::{Account, Live, LiveHandle};
use crate::metrics::Metrics;
use crate::wire::{TYPE_EVENT, event_key, traceparent};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use interline_bridge_api::{Bridge, Item, Split};
use interline_broker::{OutMessage, Properties, PublishError, Publisher, topology};
use interline_graph::{SIGNATURE_HEADER, SignatureError, answer_challenge, verify_signature};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// How long the platform is asked to wait before it delivers again.
const RETRY_AFTER: &str = "5";

/// Makes message ids unique within the process, also for a body that comes twice at once.
static NEXT_EVENT: AtomicU64 = AtomicU64::new(0);

/// What the stage works with.
#[derive(Clone)]
pub struct Ingest {
    /// Accounts as they are now.
    pub live: LiveHandle,
    /// The current connection; nothing while the broker is away.
    pub connection: watch::Receiver<Option<Connection>>,
    /// The daemon's numbers.
    pub metrics: Metrics,
}

#[derive(Clone)]
struct Shared {
    ingest: Ingest,
    places: Arc<Semaphore>,
}

impl Ingest {
    /// Serves webhooks until `stop` is cancelled, then answers what it has begun.
    ///
    /// # Errors
    /// What accepting connections fails with.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let app = self.router();
        info!(listen = %listener.local_addr()?, "ingest started");
        axum::serve(listener, app)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
    }

    /// What answers webhooks.
    pub fn router(self) -> Router {
        let places = usize::from(self.live.get().config.ingest.requests_in_flight_max);
        let shared = Shared { ingest: self, places: Arc::new(Semaphore::new(places)) };
        Router::new().route("/webhooks/{bridge}", get(verify).post(receive)).with_state(shared)
    }
}

/// `GET`: the platform asks whether this address is ours (`hub.challenge`).
async fn verify(
    State(shared): State<Shared>,
    Path(bridge): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let live = shared.ingest.live.get();
    let tokens: Vec<_> =
        live.accounts_of(&bridge).filter_map(|account| account.verify_token.clone()).collect();
    if tokens.is_empty() {
        return refuse(StatusCode::NOT_FOUND, "no account of this bridge is configured");
    }
    let query = query.unwrap_or_default();
    let known: Vec<&[u8]> = tokens.iter().map(|token| token.expose().as_bytes()).collect();
    match answer_challenge(url::form_urlencoded::parse(query.as_bytes()), &known) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text.into_owned())
            .into_response(),
        Err(error) => {
            warn!(bridge, %error, "a webhook subscription was refused");
            let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::FORBIDDEN);
            (status, error.to_string()).into_response()
        }
    }
}

/// `POST`: events.
async fn receive(
    State(shared): State<Shared>,
    Path(bridge): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let response = take(&shared, &bridge, &headers, body).await;
    // A stranger's path is no label.
    if response.status() != StatusCode::NOT_FOUND {
        shared.ingest.metrics.webhook(&bridge, response.status().as_u16());
    }
    response
}

async fn take(shared: &Shared, bridge: &str, headers: &HeaderMap, body: Body) -> Response {
    let live = shared.ingest.live.get();
    let accounts: Vec<_> = live.accounts_of(bridge).cloned().collect();
    let Some(codec) = accounts.first().map(|account| account.bridge.clone()) else {
        return refuse(StatusCode::NOT_FOUND, "no account of this bridge is configured");
    };
    let Ok(_place) = shared.places.try_acquire() else {
        return unavailable("too many webhooks at once");
    };
    let body_bytes_max = usize::try_from(live.config.ingest.body_bytes_max).unwrap_or(usize::MAX);
    let read = tokio::time::timeout(
        live.config.ingest.request_timeout,
        axum::body::to_bytes(body, body_bytes_max),
    );
    let body = match read.await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or was cut off");
        }
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
    };
    let given = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    let signed_by = match signers(&accounts, given, &body) {
        Ok(signers) => signers,
        Err(error) => {
            warn!(bridge, %error, "a webhook was refused");
            return refuse(StatusCode::UNAUTHORIZED, "the signature is missing or wrong");
        }
    };
    let connection = shared.ingest.connection.borrow().clone();
    let Some(Connection { publisher, .. }) = connection else {
        return unavailable("the broker is away");
    };
    let Outgoing { messages, dead } = outgoing(&live, codec.as_ref(), &accounts, &signed_by, body);
    match publish_all(&publisher, messages, live.config.ingest.confirm_timeout).await {
        Ok(count) => {
            debug!(bridge, count, "a webhook was taken");
            dead.into_iter()
                .for_each(|reason| shared.ingest.metrics.dead_letter(Stage::Ingest, reason));
            StatusCode::OK.into_response()
        }
        Err(error) => {
            error!(
                bridge,
                error,
                "a webhook could not be handed to the broker; the platform will deliver it again"
            );
            unavailable("the broker did not confirm")
        }
    }
}

/// The accounts whose app secret signed the body. Every secret is tried, so that the time tells nothing.
fn signers(
    accounts: &[Arc<Account>],
    given: Option<&str>,
    body: &[u8],
) -> Result<Vec<Arc<Account>>, SignatureError> {
    let mut error = SignatureError::Missing;
    let mut signers = Vec::new();
    let mut tried: Vec<(&str, bool)> = Vec::new();
    for account in accounts {
        let Some(secret) = account.app_secret.as_ref().map(|secret| secret.expose()) else {
            continue;
        };
        let known = tried.iter().find(|(other, _)| *other == secret).map(|(_, fits)| *fits);
        let fits =
            known.unwrap_or_else(|| match verify_signature(secret.as_bytes(), body, given) {
                Ok(()) => true,
                Err(why) => {
                    error = why;
                    false
                }
            });
        tried.push((secret, fits));
        if fits {
            signers.push(account.clone());
        }
    }
    if signers.is_empty() { Err(error) } else { Ok(signers) }
}

/// What follows from one webhook.
#[derive(Default)]
struct Outgoing {
    messages: Vec<OutMessage>,
    /// Why some of the messages are dead letters.
    dead: Vec<Reason>,
}

/// The body's items for the events exchange; what cannot be one goes to the dead letters.
fn outgoing(
    live: &Live,
    codec: &dyn Bridge,
    accounts: &[Arc<Account>],
    signed_by: &[Arc<Account>],
    body: Bytes,
) -> Outgoing {
    let prefix = &live.config.broker.prefix;
    let platform = codec.manifest().id.as_str();
    let mut out = Outgoing::default();
    let split = std::panic::catch_unwind(AssertUnwindSafe(|| codec.split(&body)));
    let Split { items, unreadable } = match split {
        Ok(Ok(split)) => split,
        Ok(Err(error)) => {
            out.bury(prefix, platform, Reason::Malformed, error.to_string(), body);
            return out;
        }
        Err(_) => {
            let error = "the codec panicked; this is a bug in the bridge".to_owned();
            out.bury(prefix, platform, Reason::CodecPanicked, error, body);
            return out;
        }
    };
    out.messages.reserve(items.len());
    let mut foreign = 0_usize;
    for Item { account, body } in items {
        let ours = accounts.iter().any(|known| *known.of.account == *account);
        if ours && !signed_by.iter().any(|signer| *signer.of.account == *account) {
            // One app's secret must not speak for another app's account.
            foreign += 1;
            let error = format!(
                "the item is for account {account}, but another account's app secret signed it"
            );
            out.bury(prefix, platform, Reason::WrongSecret, error, body.into());
            continue;
        }
        out.messages.push(event(prefix, platform, &account, body.into()));
    }
    if foreign > 0 {
        warn!(
            bridge = platform,
            foreign,
            disposition = "dead-letter",
            "items were signed by another account's secret"
        );
    }
    if !unreadable.is_empty() {
        let (count, first) =
            (unreadable.len(), unreadable.first().map(ToString::to_string).unwrap_or_default());
        warn!(
            bridge = platform,
            count,
            error = first,
            disposition = "dead-letter",
            "items cannot be read"
        );
        out.bury(prefix, platform, Reason::UnreadableItem, first, body);
    }
    out
}

impl Outgoing {
    fn bury(&mut self, prefix: &str, platform: &str, reason: Reason, error: String, body: Bytes) {
        self.messages.push(dead(prefix, platform, reason, error, body));
        self.dead.push(reason);
    }
}

/// One native item as it goes to the events exchange.
pub(crate) fn event(prefix: &str, platform: &str, account: &str, body: Bytes) -> OutMessage {
    let key = event_key(&body);
    let id = hex::encode(key);
    let mut span = [0; 8];
    span.copy_from_slice(&key[8..]);
    OutMessage {
        exchange: topology::events_exchange(prefix),
        routing_key: topology::account_key(platform, routable(account)),
        properties: Properties {
            message_id: Some(format!("{id}.{:x}", NEXT_EVENT.fetch_add(1, Ordering::Relaxed))),
            kind: Some(TYPE_EVENT.into()),
            content_type: Some("application/json".into()),
            headers: BTreeMap::from([
                ("cloudEvents:specversion".into(), "1.0".into()),
                ("cloudEvents:id".into(), id.into()),
                ("cloudEvents:source".into(), format!("/webhooks/{platform}").into()),
                ("cloudEvents:type".into(), TYPE_EVENT.into()),
                ("traceparent".into(), traceparent(&key, &span).into()),
            ]),
            ..Properties::default()
        },
        body,
    }
}

fn dead(prefix: &str, platform: &str, reason: Reason, error: String, body: Bytes) -> OutMessage {
    warn!(
        bridge = platform,
        reason = reason.as_str(),
        error,
        disposition = "dead-letter",
        "a body is dead-lettered"
    );
    DeadLetter {
        reason,
        stage: Stage::Ingest,
        attempts: 1,
        error,
        first_ms: now_ms(),
        message_id: hex::encode(event_key(&body)),
        body,
        kind: TYPE_EVENT,
        exchange: topology::events_exchange(prefix),
        routing_key: topology::account_key(platform, "unknown"),
        replayed: 0,
    }
    .into_message(prefix)
}

/// An account id that can stand in a routing key; others share one key, and relay says what is wrong with them.
fn routable(account: &str) -> &str {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if account.is_empty() || account.len() > 128 || !account.bytes().all(allowed) {
        "unknown"
    } else {
        account
    }
}

async fn publish_all(
    publisher: &Publisher,
    messages: Vec<OutMessage>,
    confirm_timeout: Duration,
) -> Result<usize, String> {
    let publish = async {
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            confirms.push(publisher.send(message).await?);
        }
        let count = confirms.len();
        join_all(confirms).await.into_iter().collect::<Result<(), PublishError>>()?;
        Ok(count)
    };
    match tokio::time::timeout(confirm_timeout, publish).await {
        Ok(result) => result.map_err(|error: PublishError| error.to_string()),
        Err(_) => Err(format!("no confirm within {confirm_timeout:?}")),
    }
}

fn unavailable(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], why).into_response()
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}
