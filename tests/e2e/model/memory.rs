//! A play in memory: the daemon's stages on a paused clock, a broker and platforms that are called and not connected to.
//!
//! Every step into the store, the broker and the platforms is a *point*: it takes a moment that the seed chooses, so that
//! what is under way at the same time goes on in any order, and a daemon that was killed comes no further than the next
//! one. What it had done before stays done, as with a process that ends.

use super::draw::{Dice, Play};
use super::ground::{BrokerFails, Ground};
use super::stage::Stage;
use super::{DELIVER_LINES, RELAY_SECTION, seats};
use crate::harness::{Seat, UNPACED, cast, people_toml, tail};
use crate::queues::PREFIX;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use interline::config::{Config, SecretSource};
use interline::daemon::{Stages, TaskEnd};
use interline::deliver::{Http, Peers, TransportError};
use interline::live::{Live, LiveHandle};
use interline::media::{Carrier, Converter};
use interline::metrics::Metrics;
use interline_broker::memory::{Depth, MemoryBroker, PublishFault};
use interline_broker::{Link, OutMessage, Properties, topology};
use interline_envelope::RootKey;
use interline_sandbox::{Clock, Kind, Platform, Platforms, Unanswered, Webhooks};
use interline_store::{Settings, SqliteStore, Store, Turn};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Noon of a day that has passed, UTC milliseconds: every play begins then.
const BEGINS_MS: u64 = 1_764_158_400_000;
/// Between a connection's loss and the next.
const RECONNECTS_AFTER: Duration = Duration::from_millis(50);
/// How long a drain may take.
const DRAINS_MAX: Duration = Duration::from_secs(30);
/// How often the store is looked at for whether it is empty.
const LOOKS_EVERY: Duration = Duration::from_millis(20);
/// A request to a platform takes less than this many milliseconds.
const REQUEST_MS_MAX: usize = 4;

/// One is enough: it is built once, and knows nobody.
static HTTP: LazyLock<Http> =
    LazyLock::new(|| Http::new(Duration::from_secs(5), Duration::from_secs(5)).unwrap());

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

/// The steps of one daemon into what it does not own.
#[derive(Clone)]
struct Points {
    dead: CancellationToken,
    dice: Arc<Mutex<Dice>>,
}

impl Points {
    /// Takes a moment, shorter than `ms_max` milliseconds, and mostly none. A dead daemon comes no further.
    async fn pass(&self, ms_max: usize) {
        let ms = {
            let mut dice = self.dice.lock().unwrap();
            if dice.below(4) == 0 { dice.below(ms_max) } else { 0 }
        };
        if ms == 0 {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap())).await;
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    fn turn(&self) -> Turn {
        let points = self.clone();
        Arc::new(move || {
            let points = points.clone();
            Box::pin(async move { points.pass(2).await })
        })
    }

    /// The platforms, as the daemon reaches them.
    fn peers(&self, platforms: &Platforms) -> Peers {
        let platforms: Vec<Platform> = platforms.all().into_iter().cloned().collect();
        let points = self.clone();
        Arc::new(move |request| {
            let (platforms, points) = (platforms.clone(), points.clone());
            Box::pin(async move {
                points.pass(REQUEST_MS_MAX).await;
                let host = format!("http://{}", request.uri().host().unwrap_or_default());
                let platform = platforms.iter().find(|platform| platform.base_url() == host);
                let platform = platform.expect("the daemon asks the platforms alone");
                let answer = tokio::select! {
                    biased;
                    answer = platform.answer(request) => answer,
                    () = points.dead.cancelled() => std::future::pending().await,
                };
                points.pass(REQUEST_MS_MAX).await;
                answer.map_err(|unanswered| match unanswered {
                    Unanswered::Refused => TransportError::Unreachable(unanswered.into()),
                    Unanswered::Cut => TransportError::NoAnswer(unanswered.into()),
                })
            })
        })
    }
}

/// Who answers webhooks now.
type Door = Arc<Mutex<Option<(Router, CancellationToken)>>>;

/// One start of the daemon.
struct Run {
    store: Arc<SqliteStore>,
    dead: CancellationToken,
    stop: CancellationToken,
    task: AbortHandle,
    ended: CancellationToken,
}

pub(super) struct Memory {
    platforms: Platforms,
    broker: MemoryBroker,
    config: String,
    dice: Arc<Mutex<Dice>>,
    door: Door,
    run: Option<Run>,
    tasks: JoinSet<()>,
}

impl Memory {
    /// Performs a play, on this thread and on a clock of its own.
    ///
    /// `logs`: keep what the daemon says, for whoever looks for the cause of a failure.
    pub(super) fn perform(play: &Play, logs: bool) {
        let _logs = logs.then(|| {
            LOG.lock().unwrap().clear();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::DEBUG)
                .with_ansi(false)
                .with_timer(SinceTheBeginning(Instant::now()))
                .with_writer(|| LogWriter);
            tracing::subscriber::set_default(subscriber.finish())
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let ground = Self::new(seats(&play.cast), play.seed).await;
            Stage::new(play, ground).perform(play).await;
        });
    }

    async fn new(seats: Vec<Seat>, seed: u64) -> Self {
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
             [media]\nffmpeg = \"\"\n[deliver]\n{DELIVER_LINES}\n{RELAY_SECTION}\n{people}"
        );
        let dice = Arc::new(Mutex::new(Dice::of_moments(seed)));
        let mut memory = Self {
            platforms,
            broker: MemoryBroker::new(),
            config,
            dice,
            door,
            run: None,
            tasks: JoinSet::new(),
        };
        memory.start(None).await;
        memory
    }

    async fn start(&mut self, before: Option<Arc<SqliteStore>>) {
        let points = Points { dead: CancellationToken::new(), dice: self.dice.clone() };
        let root = RootKey::from_bytes(&[7; 32]).unwrap();
        let store = match before {
            None => SqliteStore::in_memory(&root, &Settings::default(), points.turn()),
            Some(store) => store.next_run(points.turn()).map(|next| next.expect("it is in memory")),
        };
        let store = Arc::new(store.unwrap());
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let stages = self.stages(&root, store.clone(), &points, &stop).await;
        let router = stages.ingest().router();
        *self.door.lock().unwrap() = Some((router, points.dead.clone()));
        let run = run(stages, self.broker.clone(), stop.clone(), ended.clone());
        let task = self.tasks.spawn(run);
        self.run = Some(Run { store, dead: points.dead, stop, task, ended });
    }

    async fn stages(
        &self,
        root: &RootKey,
        store: Arc<SqliteStore>,
        points: &Points,
        stop: &CancellationToken,
    ) -> Stages {
        let bridges: Vec<String> = interline::bridges::ids();
        let source = SecretSource { env: Box::new(|_| None), credentials_directory: None };
        let path = Path::new("/memory/interline.toml");
        let (config, _) = Config::parse(path, &self.config, &bridges, &source).unwrap();
        let http =
            HTTP.without_network(config.deliver.request_timeout, points.peers(&self.platforms));
        let metrics = Metrics::new();
        let folder = std::env::temp_dir();
        let converter = Converter::find("");
        let media = Carrier::new(http.clone(), folder, 0, converter, None, metrics.clone());
        let live = LiveHandle::new(Live::new(config).unwrap());
        Stages::new(live, store, root, http, media, metrics, stop.clone()).await.unwrap()
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

/// Keeps the stages connected until they are stopped; then they drain.
async fn run(
    mut stages: Stages,
    broker: MemoryBroker,
    stop: CancellationToken,
    ended: CancellationToken,
) {
    let mut others = JoinSet::new();
    others.spawn(stages.expire());
    while !stop.is_cancelled() {
        let link: Arc<Link> = Arc::new(broker.connect());
        let session = stop.child_token();
        let mut tasks: JoinSet<TaskEnd> = JoinSet::new();
        if stages.start(&link, &session, &mut tasks).await.is_ok() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = link.lost() => {}
                _ = tasks.join_next() => {}
            }
        }
        let drains = stop.is_cancelled();
        session.cancel();
        let drained = async { while tasks.join_next().await.is_some() {} };
        let limit = if drains { DRAINS_MAX } else { RECONNECTS_AFTER };
        let drained = tokio::time::timeout(limit, drained).await.is_ok();
        assert!(drained || !drains, "the stages drain in time");
        tasks.shutdown().await;
        stages.disconnected();
        drop(link);
        tokio::time::sleep(RECONNECTS_AFTER).await;
    }
    ended.cancel();
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
        let Run { store, dead, stop, task, .. } = self.run.take().expect("the daemon runs");
        dead.cancel();
        task.abort();
        self.broker.lose_links();
        stop.cancel();
        self.start(Some(store)).await;
    }

    async fn put_event(&self, kind: Kind, account: &str, body: String) {
        self.broker.put(OutMessage {
            exchange: topology::events_exchange(PREFIX),
            routing_key: topology::account_key(kind.word(), account),
            properties: Properties::default(),
            body: body.into(),
        });
    }

    async fn until_quiet(&self) {
        let store = &self.run.as_ref().expect("the daemon runs").store;
        let quiet = async {
            loop {
                self.broker.wait_until(is_empty).await;
                let info = store.info().await.unwrap();
                if info.held_rows + info.parked_rows == 0 && is_empty(&self.broker.depths()) {
                    return;
                }
                tokio::time::sleep(LOOKS_EVERY).await;
            }
        };
        if tokio::time::timeout(Self::LIMIT, quiet).await.is_err() {
            let depths = self.broker.depths();
            panic!(
                "it does not become quiet: {:?}, {depths:?}\n{}",
                store.info().await,
                self.log()
            );
        }
    }

    async fn dead(&self) -> Vec<String> {
        let letters = self.broker.drain(&topology::dead_queue(PREFIX));
        letters.iter().map(|letter| format!("{letter:?}")).collect()
    }

    async fn stop(&mut self) {
        let Run { stop, ended, .. } = self.run.take().expect("the daemon runs");
        stop.cancel();
        ended.cancelled().await;
    }

    fn log(&self) -> String {
        tail(&String::from_utf8_lossy(&LOG.lock().unwrap()))
    }
}
