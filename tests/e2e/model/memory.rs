//! A play in memory: the daemon's stages on a paused clock, a broker and platforms that are called and not connected to.

use super::draw::{Dice, Play};
use super::ground::{BrokerFails, Ground};
use super::points::{Count, Points};
use super::stage::Stage;
use super::{DELIVER_LINES, RELAY_SECTION, log, seats};
use crate::harness::{Seat, UNPACED, cast, people_toml, tail};
use crate::queues::PREFIX;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use interline::config::{Config, SecretSource};
use interline::daemon::{Stages, StartError, TaskEnd};
use interline::deliver::Http;
use interline::live::{Live, LiveHandle};
use interline::media::{Carrier, Converter};
use interline::metrics::Metrics;
use interline_broker::memory::{Depth, MemoryBroker, PublishFault, Turn};
use interline_broker::{HeaderValue, Link, OutMessage, Properties, topology};
use interline_envelope::RootKey;
use interline_sandbox::{Clock, Kind, Platform, Platforms, Webhooks};
use interline_store::{Settings, SqliteStore, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Noon of a day that has passed, UTC milliseconds: every play begins then.
const BEGINS_MS: u64 = 1_764_158_400_000;
/// So many deliveries wait in a lane at most: few, so that lanes often move to the store.
const LANE_DELIVERIES_MAX: usize = 4;
/// Between a connection's loss and the next.
const RECONNECTS_AFTER: Duration = Duration::from_millis(50);
/// How long a drain may take.
const DRAINS_MAX: Duration = Duration::from_secs(30);
/// How often the store is looked at for whether it is empty.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// One is enough: it is built once, and knows nobody.
static HTTP: LazyLock<Http> =
    LazyLock::new(|| Http::new(Duration::from_secs(5), Duration::from_secs(5)).unwrap());

/// Since when, or from when on, the broker is there.
type BackAt = Arc<Mutex<Instant>>;

/// Who answers webhooks now.
type Door = Arc<Mutex<Option<(Router, CancellationToken)>>>;

/// One start of the daemon.
#[derive(Clone)]
struct Run {
    store: Arc<SqliteStore>,
    dead: CancellationToken,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// What a daemon is started with, again and again.
struct Machine {
    platforms: Vec<Platform>,
    broker: MemoryBroker,
    config: String,
    dice: Arc<Mutex<Dice>>,
    count: Arc<Count>,
    door: Door,
    back_at: BackAt,
}

pub(super) struct Memory {
    platforms: Platforms,
    broker: MemoryBroker,
    back_at: BackAt,
    /// The newest start.
    run: watch::Receiver<Option<Run>>,
    _tasks: JoinSet<()>,
}

impl Memory {
    /// Performs a play, on this thread and on a clock of its own. `moments`: the seed of when things happen; `logs`: keep
    /// what the daemon says, for whoever looks for the cause of a failure.
    pub(super) fn perform(play: &Play, moments: u64, count: &Arc<Count>, logs: bool) {
        let _logs = logs.then(log::keep);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let ground = Self::new(seats(&play.cast), moments, count.clone());
            Stage::new(play, ground).perform(play).await;
        });
    }

    fn new(seats: Vec<Seat>, moments: u64, count: Arc<Count>) -> Self {
        interline::clock::follow_runtime(i64::try_from(BEGINS_MS).unwrap());
        let door = Door::default();
        let conversations = vec![("play".to_owned(), seats)];
        let platforms = Platforms::in_memory(
            cast(&conversations, "daemon"),
            Clock::beginning_at(BEGINS_MS),
            webhooks(&door),
        )
        .unwrap();
        let people = people_toml(&platforms, |_| UNPACED.to_owned(), &conversations);
        let config = format!(
            "[broker]\nurls = [\"amqp://broker\"]\n[store]\nurl = \"sqlite:memory.db\"\n\
             [media]\nffmpeg = \"\"\n[deliver]\n{DELIVER_LINES}\nlane_deliveries_max = {LANE_DELIVERIES_MAX}\n{RELAY_SECTION}\n{people}"
        );
        let broker = MemoryBroker::new();
        let back_at = Arc::new(Mutex::new(Instant::now()));
        let machine = Machine {
            platforms: platforms.all().into_iter().cloned().collect(),
            broker: broker.clone(),
            config,
            dice: Arc::new(Mutex::new(Dice::of_moments(moments))),
            count,
            door,
            back_at: back_at.clone(),
        };
        let (runs, run) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(machine.keep_running(runs));
        Self { platforms, broker, back_at, run, _tasks: tasks }
    }

    fn run(&self) -> Run {
        self.run.borrow().clone().expect("the daemon was started")
    }
}

impl Machine {
    /// Starts the daemon, and again whenever it died, until it is stopped.
    async fn keep_running(self, runs: watch::Sender<Option<Run>>) {
        let mut store = None;
        loop {
            let mut tasks = JoinSet::new();
            let run = self.start(store.take(), &mut tasks).await;
            runs.send_replace(Some(run.clone()));
            tokio::select! {
                biased;
                () = run.ended.cancelled() => return,
                () = run.dead.cancelled() => {}
                Some(Err(error)) = tasks.join_next() => std::panic::resume_unwind(error.into_panic()),
            }
            tasks.abort_all();
            self.broker.lose_links();
            // What is left of it waits at its points for ever, and what sleeps between them wakes and ends.
            run.stop.cancel();
            store = Some(run.store);
        }
    }

    async fn start(&self, before: Option<Arc<SqliteStore>>, tasks: &mut JoinSet<()>) -> Run {
        let dead = CancellationToken::new();
        let (dice, count) = (self.dice.clone(), self.count.clone());
        let points = Points { dead: dead.clone(), dice, count };
        let root = RootKey::from_bytes(&[7; 32]).unwrap();
        let store = match before {
            None => {
                let now_ms = interline::clock::now_ms;
                let settings = Settings { now_ms, ..Settings::default() };
                SqliteStore::in_memory(&root, &settings, points.at_store())
            }
            Some(store) => {
                store.next_run(points.at_store()).map(|next| next.expect("it is in memory"))
            }
        };
        let store = Arc::new(store.unwrap());
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let run = Run { store: store.clone(), dead, stop, ended };
        tasks.spawn(self.run(&root, store, &points, &run));
        run
    }

    /// Keeps the stages connected until they are stopped; then they drain.
    fn run(
        &self,
        root: &RootKey,
        store: Arc<SqliteStore>,
        points: &Points,
        run: &Run,
    ) -> impl Future<Output = ()> + Send + 'static {
        let bridges: Vec<String> = interline::bridges::ids();
        let source = SecretSource { env: Box::new(|_| None), credentials_directory: None };
        let path = Path::new("/memory/interline.toml");
        let (config, _) = Config::parse(path, &self.config, &bridges, &source).unwrap();
        let peers = points.peers(self.platforms.clone());
        let http = HTTP.without_network(config.deliver.request_timeout, peers);
        let metrics = Metrics::new();
        let folder = std::env::temp_dir();
        let converter = Converter::find("");
        let media = Carrier::new(http.clone(), folder, 0, converter, None, metrics.clone());
        let live = LiveHandle::new(Live::new(config).unwrap());
        let (root, door, run) = (root.clone(), self.door.clone(), run.clone());
        let (broker, back_at) = (self.broker.clone(), self.back_at.clone());
        let way = Way { broker, back_at, turn: points.at_broker() };
        async move {
            let stop = run.stop.clone();
            let stages = Stages::new(live, store, &root, http, media, metrics, stop).await.unwrap();
            *door.lock().unwrap() = Some((stages.ingest().router(), run.dead));
            connected(stages, way, run.stop).await;
            run.ended.cancel();
        }
    }
}

/// From a daemon to the broker.
struct Way {
    broker: MemoryBroker,
    back_at: BackAt,
    turn: Turn,
}

impl Way {
    async fn connect(&self) -> Link {
        loop {
            let back_at = *self.back_at.lock().unwrap();
            if back_at <= Instant::now() {
                return self.broker.connect_in_turn(self.turn.clone());
            }
            tokio::time::sleep_until(back_at).await;
        }
    }
}

/// Keeps the stages connected until they are stopped; then they drain.
async fn connected(mut stages: Stages, way: Way, stop: CancellationToken) {
    let mut others = JoinSet::new();
    others.spawn(stages.expire());
    while !stop.is_cancelled() {
        let link = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            link = way.connect() => Arc::new(link),
        };
        let session = stop.child_token();
        let mut tasks: JoinSet<TaskEnd> = JoinSet::new();
        match stages.start(&link, &session, &mut tasks).await {
            Ok(()) => tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = link.lost() => {}
                ended = tasks.join_next() => panicked(ended),
            },
            Err(StartError::Store(error)) => panic!("{error}"),
            Err(StartError::Broker(_)) => {}
        }
        let drains = stop.is_cancelled();
        session.cancel();
        let drained = async {
            while let Some(ended) = tasks.join_next().await {
                panicked(Some(ended));
            }
        };
        let limit = if drains { DRAINS_MAX } else { RECONNECTS_AFTER };
        let drained = tokio::time::timeout(limit, drained).await.is_ok();
        assert!(drained || !drains, "the stages drain in time");
        tasks.shutdown().await;
        stages.disconnected();
        drop(link);
        tokio::time::sleep(RECONNECTS_AFTER).await;
    }
}

/// A stage may end where the broker is lost, and never by a panic.
fn panicked(ended: Option<Result<TaskEnd, JoinError>>) {
    if let Some(Err(error)) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// True if every queue but that of the dead letters is empty.
fn is_empty(depths: &BTreeMap<String, Depth>) -> bool {
    let mut queues = depths.iter().filter(|(name, _)| !name.ends_with(".dead"));
    queues.all(|(_, depth)| depth.ready + depth.unacked == 0)
}

/// Has whoever stands at the door answer webhooks; nobody does once that one is dead.
fn webhooks(door: &Door) -> Webhooks {
    let door = door.clone();
    Arc::new(move |request: Request| {
        let door = door.lock().unwrap().clone();
        Box::pin(async move {
            let (router, dead) = door?;
            tokio::select! {
                biased;
                Ok(answer) = router.oneshot(request) => Some::<Response>(answer),
                () = dead.cancelled() => None,
            }
        })
    })
}

impl Ground for Memory {
    /// Longer than the pauses of an account that fails again and again.
    const LIMIT: Duration = Duration::from_hours(1);

    fn platforms(&self) -> &Platforms {
        &self.platforms
    }

    fn broker_fails(&self, how: BrokerFails) {
        match how {
            BrokerFails::Cuts => self.broker.lose_links(),
            BrokerFails::IsAway { ms } => {
                *self.back_at.lock().unwrap() = Instant::now() + Duration::from_millis(ms);
                self.broker.lose_links();
            }
            BrokerFails::Refuses { after } => self.broker.order(PublishFault::Refuse, after),
            BrokerFails::StoresAndCuts { after } => {
                self.broker.order(PublishFault::StoreThenLose, after);
            }
            BrokerFails::CutsBeforeStoring { after } => {
                self.broker.order(PublishFault::LoseFirst, after);
            }
        }
    }

    async fn kill(&mut self) {
        let mut run = self.run.clone();
        run.mark_unchanged();
        self.run().dead.cancel();
        run.changed().await.expect("it is started again");
    }

    async fn put_event(&self, kind: Kind, account: &str, body: String) {
        let taken = self.broker.put(OutMessage {
            exchange: topology::events_exchange(PREFIX),
            routing_key: topology::account_key(kind.word(), account),
            properties: Properties::default(),
            body: body.into(),
        });
        assert!(taken, "the events queue was declared before anybody spoke");
    }

    async fn until_quiet(&self) {
        let quiet = async {
            let mut run = self.run.clone();
            loop {
                self.broker.wait_until(is_empty).await;
                let store = run.borrow_and_update().clone().expect("the daemon was started").store;
                let info = tokio::select! {
                    biased;
                    info = store.info() => info.unwrap(),
                    started = run.changed() => {
                        started.expect("the daemon does not panic");
                        continue;
                    }
                };
                if info.held_rows + info.parked_rows == 0 && is_empty(&self.broker.depths()) {
                    return;
                }
                tokio::time::sleep(LOOKS_EVERY).await;
            }
        };
        if tokio::time::timeout(Self::LIMIT, quiet).await.is_err() {
            panic!("it does not become quiet: {:?}\n{}", self.broker.depths(), self.log());
        }
    }

    async fn dead(&self) -> Vec<String> {
        let letters = self.broker.drain(&topology::dead_queue(PREFIX));
        let header = |letter: &OutMessage, name| {
            let value = letter.properties.headers.get(name).and_then(HeaderValue::as_text);
            value.unwrap_or_default().to_owned()
        };
        let story = |letter: &OutMessage| {
            let (reason, error) =
                (header(letter, "interline-reason"), header(letter, "interline-error"));
            format!("{reason}: {error} ({:?})", letter.properties.message_id)
        };
        letters.iter().map(story).collect()
    }

    async fn stop(&mut self) {
        let mut run = self.run.clone();
        let stopped = async {
            loop {
                let Run { stop, ended, .. } =
                    run.borrow_and_update().clone().expect("the daemon was started");
                stop.cancel();
                tokio::select! {
                    biased;
                    () = ended.cancelled() => return,
                    started = run.changed() => started.expect("the daemon does not panic"),
                }
            }
        };
        let stopped = tokio::time::timeout(Self::LIMIT, stopped).await;
        assert!(stopped.is_ok(), "the daemon stops");
    }

    fn log(&self) -> String {
        tail(&log::kept())
    }
}
