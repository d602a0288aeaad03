//! What Prometheus may count. Labels are closed words and the operator's own accounts, never a person (G8).

use crate::dead::{Reason, Stage};
use interline_envelope::{AccountRef, Platform};
use interline_relay::Loss;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the name of every metric begins with.
const PREFIX: &str = "interline";
/// Upper bounds in seconds, from a millisecond to ten minutes.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

/// A bridge as a label: what is counted for every event copies no text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bridge(Platform);

impl EncodeLabelValue for Bridge {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    bridge: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    bridge: Bridge,
    disposition: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAccount {
    bridge: Bridge,
    account: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Send {
    bridge: String,
    account: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dead {
    stage: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lost {
    bridge: String,
    loss: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBridge {
    bridge: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMedia {
    bridge: String,
    outcome: &'static str,
}

type Histograms = Family<OfBridge, Histogram, fn() -> Histogram>;

/// What became of an event at the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Others hear of it.
    Relayed,
    /// It concerns nobody else: a status, an echo, a read receipt.
    Absorbed,
    /// It is a dead letter, or one of its items is.
    DeadLetter,
}

impl Disposition {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Absorbed => "absorbed",
            Self::DeadLetter => "dead-letter",
        }
    }
}

/// What became of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaFate {
    /// The target has it as it was.
    Copied,
    /// The target has it in another format.
    Converted,
    /// A link stands in its place.
    Linked,
    /// A line that says so stands in its place.
    NotShown,
    /// It could not be had or handed over, and is tried again.
    Retried,
}

impl MediaFate {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Converted => "converted",
            Self::Linked => "linked",
            Self::NotShown => "not-shown",
            Self::Retried => "retried",
        }
    }
}

/// Gauges that are read when Prometheus asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    /// Those of the config, and no others.
    pub(crate) accounts: Vec<AccountLevels>,
    pub(crate) broker_connected: bool,
    pub(crate) held_rows: u64,
    pub(crate) parked_rows: u64,
    pub(crate) store_bytes: u64,
}

/// The gauges of one account.
#[derive(Clone, Debug)]
pub(crate) struct AccountLevels {
    pub(crate) account: AccountRef,
    pub(crate) lanes: usize,
    pub(crate) is_paused: bool,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    names: Vec<String>,
    webhooks: Family<Webhook, Counter>,
    events: Family<Event, Counter>,
    dispatches: Family<OfAccount, Counter>,
    sends: Family<Send, Counter>,
    dead: Family<Dead, Counter>,
    dead_since_start: AtomicU64,
    losses: Family<Lost, Counter>,
    media: Family<OfMedia, Counter>,
    media_bytes: Family<OfBridge, Counter>,
    downloads: Family<OfBridge, Counter>,
    downloaded_bytes: Family<OfBridge, Counter>,
    lanes: Family<OfAccount, Gauge>,
    paused: Family<OfAccount, Gauge>,
    reading: Mutex<()>,
    send_seconds: Histograms,
    lane_seconds: Histograms,
    lag_seconds: Histograms,
    commit_seconds: Histogram,
    connections: Counter,
    connected: Gauge,
    held: Gauge,
    parked: Gauge,
    bytes: Gauge,
}

/// The daemon's numbers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// The registry, and what its metrics are called.
struct Catalogue {
    registry: Registry,
    names: Vec<String>,
}

impl Catalogue {
    fn plain<M: Metric + TypedMetric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.registry.register(name, help, metric.clone());
        self.note::<M>(name);
        metric
    }

    fn timed<M: Metric + TypedMetric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        self.note::<M>(&format!("{name}_seconds"));
        metric
    }

    fn note<M: TypedMetric>(&mut self, name: &str) {
        let suffix = if M::TYPE.as_str() == "counter" { "_total" } else { "" };
        self.names.push(format!("{PREFIX}_{name}{suffix}"));
    }
}

fn by_bridge() -> Histograms {
    Histograms::new_with_constructor(seconds)
}

fn of(account: &AccountRef) -> OfAccount {
    OfAccount { bridge: Bridge(account.platform.clone()), account: account.account.clone() }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let registry = Registry::with_prefix(PREFIX);
        let mut at = Catalogue { registry, names: Vec::new() };
        let sends = "From a request's first byte to its answer";
        let waits = "From a dispatch's arrival to its end";
        let lag = "From the source platform's clock to the target's answer";
        let commits = "One group commit of the store";
        let inner = Inner {
            webhooks: at.plain("webhooks", "Webhook requests answered"),
            events: at.plain("events", "Native events taken from the platforms' queues"),
            dispatches: at.plain("dispatches", "Dispatches handed to an account's queue"),
            sends: at.plain("sends", "Requests to a platform by what came of them"),
            dead: at.plain("dead_letters", "Dead letters put down"),
            dead_since_start: AtomicU64::new(0),
            losses: at.plain("losses", "What was lost on the way to what a target can show"),
            media: at.plain("media", "Media by what became of them at their target"),
            media_bytes: at.plain("media_bytes", "Bytes of media handed to a platform"),
            downloads: at.plain("media_downloads", "Downloads of linked media begun"),
            downloaded_bytes: at.plain("media_downloaded_bytes", "Bytes of linked media given out"),
            lanes: at.plain("lanes", "Lanes with something to send"),
            paused: at.plain("account_paused", "1 while the account does not send"),
            reading: Mutex::new(()),
            send_seconds: at.timed("send", sends, by_bridge()),
            lane_seconds: at.timed("lane_wait", waits, by_bridge()),
            lag_seconds: at.timed("lag", lag, by_bridge()),
            commit_seconds: at.timed("store_commit", commits, seconds()),
            connections: at.plain("broker_connections", "Connections made to the broker"),
            connected: at.plain("broker_connected", "1 while the broker is connected"),
            held: at.plain("held_rows", "Dispatches that wait in the store"),
            parked: at.plain("parked_rows", "Dependents that wait for their target"),
            bytes: at.plain("store_bytes", "Size of the store's file"),
            names: at.names,
            registry: at.registry,
        };
        Self(Arc::new(inner))
    }

    /// The name of every metric as Prometheus knows it: a counter with `_total`, a histogram without `_bucket`.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    pub(crate) fn webhook(&self, bridge: &str, status: u16) {
        let label = Webhook { bridge: bridge.to_owned(), status };
        self.0.webhooks.get_or_create(&label).inc();
    }

    pub(crate) fn event(&self, bridge: &Platform, disposition: Disposition) {
        let label = Event { bridge: Bridge(bridge.clone()), disposition: disposition.as_str() };
        self.0.events.get_or_create(&label).inc();
    }

    pub(crate) fn dispatched(&self, account: &AccountRef) {
        self.0.dispatches.get_or_create(&of(account)).inc();
    }

    /// `class`: `sent`, a class of failure, or `no-answer`.
    pub(crate) fn send(&self, account: &AccountRef, class: &'static str, took: Duration) {
        let (bridge, account) = (account.platform.as_str().to_owned(), account.account.to_string());
        self.0
            .send_seconds
            .get_or_create(&OfBridge { bridge: bridge.clone() })
            .observe(took.as_secs_f64());
        self.0.sends.get_or_create(&Send { bridge, account, class }).inc();
    }

    /// A dispatch reached its end after `waited` in its lane; its envelope is `lag_ms` old.
    pub(crate) fn finished(&self, account: &AccountRef, waited_ms: i64, lag_ms: i64) {
        let label = OfBridge { bridge: account.platform.as_str().to_owned() };
        self.0.lane_seconds.get_or_create(&label).observe(seconds_of(waited_ms));
        self.0.lag_seconds.get_or_create(&label).observe(seconds_of(lag_ms));
    }

    pub(crate) fn dead_letter(&self, stage: Stage, reason: Reason) {
        let label = Dead { stage: stage.as_str(), reason: reason.as_str() };
        self.0.dead.get_or_create(&label).inc();
        self.0.dead_since_start.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them since the start.
    pub(crate) fn dead_letters(&self) -> u64 {
        self.0.dead_since_start.load(Ordering::Relaxed)
    }

    /// Something arrives in a form that has less than it had.
    pub(crate) fn loss(&self, target: &AccountRef, loss: Loss) {
        let label = Lost { bridge: target.platform.as_str().to_owned(), loss: loss.as_str() };
        self.0.losses.get_or_create(&label).inc();
    }

    /// `bytes`: what the target took.
    pub(crate) fn media(&self, target: &AccountRef, fate: MediaFate, bytes: u64) {
        let bridge = target.platform.as_str().to_owned();
        let label = OfMedia { bridge: bridge.clone(), outcome: fate.as_str() };
        self.0.media.get_or_create(&label).inc();
        self.0.media_bytes.get_or_create(&OfBridge { bridge }).inc_by(bytes);
    }

    /// Somebody follows a link to a medium of this account.
    pub(crate) fn download(&self, origin: &AccountRef) {
        let bridge = origin.platform.as_str().to_owned();
        self.0.downloads.get_or_create(&OfBridge { bridge }).inc();
    }

    pub(crate) fn downloaded(&self, origin: &AccountRef, bytes: u64) {
        let bridge = origin.platform.as_str().to_owned();
        self.0.downloaded_bytes.get_or_create(&OfBridge { bridge }).inc_by(bytes);
    }

    pub(crate) fn connected(&self) {
        self.0.connections.inc();
    }

    /// What the store calls after each commit.
    pub(crate) fn commit_observer(&self) -> impl Fn(Duration) + std::marker::Send + Sync + 'static {
        let histogram = self.0.commit_seconds.clone();
        move |took| histogram.observe(took.as_secs_f64())
    }

    /// The OpenMetrics text.
    pub(crate) fn render(&self, levels: Levels) -> Result<String, std::fmt::Error> {
        let gauge = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        gauge(&self.0.connected, u64::from(levels.broker_connected));
        gauge(&self.0.held, levels.held_rows);
        gauge(&self.0.parked, levels.parked_rows);
        gauge(&self.0.bytes, levels.store_bytes);
        // One reader at a time: an account that is gone is not shown any more.
        let _reading = self.0.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.lanes.clear();
        self.0.paused.clear();
        for AccountLevels { account, lanes, is_paused } in levels.accounts {
            let label = of(&account);
            self.0.lanes.get_or_create(&label).set(i64::try_from(lanes).unwrap_or(i64::MAX));
            self.0.paused.get_or_create(&label).set(i64::from(is_paused));
        }
        let mut out = String::new();
        text::encode(&mut out, &self.0.registry)?;
        Ok(out)
    }
}

/// Seconds of a difference of two clocks, which may be negative by their skew.
fn seconds_of(ms: i64) -> f64 {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_reads_has_the_names_of_the_catalogue() {
        let metrics = Metrics::new();
        metrics.webhook("whatsapp", 200);
        metrics.dead_letter(Stage::Relay, Reason::Poison);
        let text = metrics.render(Levels::default()).unwrap();
        let mut shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        assert!(shown.clone().count() >= 8, "{text}");
        assert!(shown.all(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            metrics.names().contains(&format!("{name}{suffix}"))
        }));
        assert!(text.contains("interline_webhooks_total{"), "{text}");
    }
}
