//! What the daemon says of itself: to `interline status`, to `/live` and `/ready`, to Prometheus.

use crate::deliver::Delivering;
use crate::metrics::{AccountLevels, Levels, Metrics};
use interline_store::Store;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the store may take to answer before the daemon counts as stuck.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The whole picture, as `interline status --json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Since its start.
    pub uptime_seconds: u64,
    /// True while webhooks are taken and handed on.
    pub ready: bool,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    /// The connection to the broker.
    pub broker: BrokerStatus,
    /// The store; absent if it does not answer.
    pub store: Option<StoreStatus>,
    /// Whether sounds and films can be converted.
    #[serde(default)]
    pub ffmpeg: bool,
    /// Dead letters put down since the start.
    pub dead_letters: u64,
    /// Every account that delivers.
    pub accounts: Vec<AccountStatus>,
}

/// The connection to the broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Whether it stands.
    pub connected: bool,
    /// For how long that has been so.
    pub seconds: u64,
    /// Why it was lost or could not be made, the last time.
    pub last_error: Option<String>,
}

/// The store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Where it lies.
    pub path: String,
    /// Its schema.
    pub schema_version: i64,
    /// Its size.
    pub bytes: u64,
    /// Dispatches that wait for their target.
    pub held: u64,
    /// Dependents that wait for what they are about.
    pub parked: u64,
}

/// One account's delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountStatus {
    /// `bridge/account`.
    pub account: String,
    /// Why it does not send now: `reauth`, `blocked`, `throttled`, `down`; absent while it sends.
    pub paused: Option<String>,
    /// When it is tried again.
    pub resumes_in_seconds: Option<u64>,
    /// Lanes with something to send.
    pub lanes: usize,
    /// Of those, the ones that wait in the store.
    pub held_lanes: usize,
    /// Of those, the ones whose person has to write before the platform takes more.
    #[serde(default)]
    pub awaited_people: usize,
    /// How old the last finished dispatch was, from the source platform's clock; absent before the first.
    pub lag_ms: Option<i64>,
    /// The last request that failed.
    pub last_error: Option<LastError>,
}

/// A request that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastError {
    /// When, in UTC milliseconds.
    pub at_ms: i64,
    /// What the platform said, without content.
    pub error: String,
}

#[derive(Debug)]
struct Broker {
    connected: bool,
    since: Instant,
    last_error: Option<String>,
}

struct Inner {
    started: Instant,
    broker: Mutex<Broker>,
    accounts: Mutex<Vec<Arc<Delivering>>>,
    draining: tokio_util::sync::CancellationToken,
    ffmpeg: bool,
    store: Arc<dyn Store>,
    metrics: Metrics,
}

/// Where the daemon's parts say how they are; cheap to clone.
#[derive(Clone)]
pub(crate) struct Overview(Arc<Inner>);

impl Overview {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        metrics: Metrics,
        draining: tokio_util::sync::CancellationToken,
        ffmpeg: bool,
    ) -> Self {
        let now = Instant::now();
        Self(Arc::new(Inner {
            started: now,
            broker: Mutex::new(Broker { connected: false, since: now, last_error: None }),
            accounts: Mutex::default(),
            draining,
            ffmpeg,
            store,
            metrics,
        }))
    }

    pub(crate) fn connected(&self) {
        self.0.metrics.connected();
        self.broker(|broker| {
            broker.connected = true;
            broker.since = Instant::now();
        });
    }

    /// The broker is gone, or cannot be reached. The time counts from the first such news.
    pub(crate) fn disconnected(&self, why: String) {
        self.broker(|broker| {
            if broker.connected {
                broker.connected = false;
                broker.since = Instant::now();
            }
            broker.last_error = Some(why);
        });
    }

    pub(crate) fn delivering(&self, accounts: Vec<Arc<Delivering>>) {
        *self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    fn broker<T>(&self, with: impl FnOnce(&mut Broker) -> T) -> T {
        with(&mut self.0.broker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn accounts(&self) -> Vec<Arc<Delivering>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn store(&self) -> Option<interline_store::Info> {
        tokio::time::timeout(STORE_ANSWERS_WITHIN, self.0.store.info()).await.ok()?.ok()
    }

    /// Why webhooks cannot be taken and handed on; nothing if they can.
    pub(crate) fn reasons_against_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.0.draining.is_cancelled() {
            reasons.push("the daemon is stopping".to_owned());
        }
        let away = self.broker(|broker| {
            (!broker.connected)
                .then(|| (broker.since.elapsed().as_secs(), broker.last_error.clone()))
        });
        if let Some((seconds, why)) = away {
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            reasons.push(format!("no connection to the broker for {seconds} s{why}"));
        }
        reasons
    }

    /// True while the tasks run and the store answers.
    pub(crate) async fn is_live(&self) -> bool {
        self.store().await.is_some()
    }

    /// The OpenMetrics text.
    pub(crate) async fn metrics(&self) -> Result<String, std::fmt::Error> {
        let levels = |account: &Arc<Delivering>| {
            let (account, status) = (account.account_ref().clone(), account.status());
            AccountLevels { account, lanes: status.lanes, is_paused: status.paused.is_some() }
        };
        let info = self.store().await;
        self.0.metrics.render(Levels {
            accounts: self.accounts().iter().map(levels).collect(),
            broker_connected: self.broker(|broker| broker.connected),
            held_rows: info.as_ref().map_or(0, |info| info.held_rows),
            parked_rows: info.as_ref().map_or(0, |info| info.parked_rows),
            store_bytes: info.as_ref().map_or(0, |info| info.bytes),
        })
    }

    pub(crate) async fn status(&self) -> Status {
        let reasons = self.reasons_against_ready();
        let mut accounts: Vec<_> = self.accounts().iter().map(|account| account.status()).collect();
        accounts.sort_by(|a, b| a.account.cmp(&b.account));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.0.started.elapsed().as_secs(),
            ready: reasons.is_empty(),
            reasons,
            broker: self.broker(|broker| BrokerStatus {
                connected: broker.connected,
                seconds: broker.since.elapsed().as_secs(),
                last_error: broker.last_error.clone(),
            }),
            store: self.store().await.map(|info| StoreStatus {
                path: info.path.display().to_string(),
                schema_version: i64::from(info.schema_version),
                bytes: info.bytes,
                held: info.held_rows,
                parked: info.parked_rows,
            }),
            ffmpeg: self.0.ffmpeg,
            dead_letters: self.0.metrics.dead_letters(),
            accounts,
        }
    }
}
