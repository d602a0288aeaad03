//! The daemon as a child process, the three platforms simulated in the test's process, a broker beside them.
//!
//! The simulated phones are the recorder: they live outside the daemon's process and count what it does, over any
//! number of its deaths.

use interline_embedded_broker::{EmbeddedBroker, Snapshot};
use interline_rabbit_node::RabbitNode;
use interline_sandbox::{AccountConfig, Config, Kind, Person, Phone, Platforms, Seen};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long anything may take before a test gives up. Generous: it is no measure of speed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) const WHATSAPP: &str = "106540352242922";
pub(crate) const MESSENGER: &str = "104500000000001";
pub(crate) const INSTAGRAM: &str = "17841400000000001";

/// The broker of a test: outside the daemon's process in both cases, so it survives the daemon's deaths.
pub(crate) enum Broker {
    /// In the test's process, with faults to order.
    Mock(EmbeddedBroker),
    /// A private node of the real one.
    Rabbit(Box<RabbitNode>),
}

impl Broker {
    pub(crate) async fn mock() -> Option<Self> {
        Some(Self::Mock(
            EmbeddedBroker::start(interline_embedded_broker::Config::default()).await.unwrap(),
        ))
    }

    /// Nothing where RabbitMQ is not installed: the test is skipped, and says so.
    pub(crate) async fn rabbit() -> Option<Self> {
        tokio::task::spawn_blocking(RabbitNode::start)
            .await
            .unwrap()
            .unwrap()
            .map(|node| Self::Rabbit(Box::new(node)))
    }

    /// The mock, for its faults and its numbers.
    #[track_caller]
    pub(crate) fn as_mock(&self) -> &EmbeddedBroker {
        match self {
            Self::Mock(broker) => broker,
            Self::Rabbit(_) => panic!("this test orders faults of the mock"),
        }
    }

    /// Waits until the mock holds nothing any more but dead letters: what is not delivered is in the store.
    pub(crate) async fn until_empty(&self) {
        let all_empty = |now: &Snapshot| {
            let mut queues = now.queues.iter().filter(|(name, _)| !name.ends_with(".dead"));
            queues.all(|(_, depth)| depth.ready + depth.unacked == 0)
        };
        self.as_mock().wait_until(all_empty, LIMIT).await.unwrap();
    }

    pub(crate) fn uri(&self) -> String {
        match self {
            Self::Mock(broker) => broker.uri(),
            Self::Rabbit(node) => node.uri(),
        }
    }

    /// Stops the node and starts it again; what is durable stays.
    pub(crate) fn restart(&mut self) {
        self.go_away();
        self.come_back();
    }

    /// The broker refuses connections until [`Self::come_back`]; those that stand are cut.
    pub(crate) fn go_away(&mut self) {
        blocking(|| match self {
            Self::Mock(broker) => {
                tokio::runtime::Handle::current().block_on(broker.faults().listener_down());
                broker.faults().restart(false);
            }
            Self::Rabbit(node) => node.stop(),
        });
    }

    pub(crate) fn come_back(&mut self) {
        blocking(|| match self {
            Self::Mock(broker) => {
                tokio::runtime::Handle::current().block_on(broker.faults().listener_up());
            }
            Self::Rabbit(node) => node.start_again().unwrap(),
        });
    }

    /// Cuts every connection; the broker goes on.
    pub(crate) fn cut(&self) {
        match self {
            Self::Mock(broker) => broker.faults().cut_all(),
            Self::Rabbit(node) => {
                blocking(|| node.control(&["close_all_connections", "a test"]).unwrap());
            }
        }
    }

    /// Holds its sockets and answers nothing, as a machine that hangs, or goes on.
    pub(crate) fn hang(&self, hangs: bool) {
        match self {
            Self::Mock(broker) if hangs => broker.faults().freeze(),
            Self::Mock(broker) => broker.faults().thaw(),
            Self::Rabbit(node) if hangs => node.freeze(),
            Self::Rabbit(node) => node.thaw(),
        }
    }

    /// Raises the alarm that blocks publishers, or ends it.
    pub(crate) fn alarm(&self, rings: bool) {
        match self {
            Self::Mock(broker) if rings => broker.faults().block(),
            Self::Mock(broker) => broker.faults().unblock(),
            Self::Rabbit(node) => {
                let limit = if rings { "0" } else { "0.6" };
                blocking(|| node.control(&["set_vm_memory_high_watermark", limit]).unwrap());
            }
        }
    }
}

/// Lets the other tasks of the test go on meanwhile: the platforms run in the test's process.
fn blocking<T>(what: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(what)
}

/// Makes two tests of one scenario: against the mock broker and against RabbitMQ.
macro_rules! against_both_brokers {
    ($($(#[$doc:meta])* $name:ident => $scenario:ident;)+) => {
        mod mock { $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
            if let Some(broker) = crate::harness::Broker::mock().await { super::$scenario(broker).await; }
        })+ }
        mod rabbitmq { $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
            if let Some(broker) = crate::harness::Broker::rabbit().await { super::$scenario(broker).await; }
        })+ }
    };
}
pub(crate) use against_both_brokers;

/// Where a conversation's participants are.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) kind: Kind,
    pub(crate) account: String,
    pub(crate) person: String,
    pub(crate) name: String,
}

impl Seat {
    pub(crate) fn address(&self) -> String {
        format!("{}/{}/{}", self.kind.word(), self.account, self.person)
    }
}

pub(crate) fn whatsapp(n: usize, name: &str) -> Seat {
    seat(Kind::WhatsApp, WHATSAPP, format!("1555000{n:04}"), name)
}

pub(crate) fn messenger(n: usize, name: &str) -> Seat {
    seat(Kind::Messenger, MESSENGER, format!("610000000000{n:04}"), name)
}

pub(crate) fn instagram(n: usize, name: &str) -> Seat {
    seat(Kind::Instagram, INSTAGRAM, format!("170000000000{n:04}"), name)
}

pub(crate) fn seat(kind: Kind, account: &str, person: String, name: &str) -> Seat {
    Seat { kind, account: account.to_owned(), person, name: name.to_owned() }
}

/// Lines of an account that is not paced.
pub(crate) const UNPACED: &str = "messages_per_second = 0\npair_interval = \"0s\"";

/// Platforms with everybody of the conversations on them, whose webhooks go to `host`.
pub(crate) fn cast(conversations: &[(String, Vec<Seat>)], host: &str) -> Config {
    let mut config = Config::default();
    for (kind, platform) in [
        (Kind::WhatsApp, &mut config.whatsapp),
        (Kind::Messenger, &mut config.messenger),
        (Kind::Instagram, &mut config.instagram),
    ] {
        platform.settings.delivery.retry_first = Duration::from_millis(50);
        platform.settings.delivery.retry_max = Duration::from_millis(500);
        for seat in
            conversations.iter().flat_map(|(_, seats)| seats).filter(|seat| seat.kind == kind)
        {
            let person = Person::new(&seat.person, &seat.name);
            match platform.accounts.iter_mut().find(|account| account.id == seat.account) {
                Some(account) => account.people.push(person),
                None => {
                    let url = format!("http://{host}/webhooks/{}", kind.word());
                    platform
                        .accounts
                        .push(AccountConfig::new(&seat.account).posting_to(url).with(person));
                }
            }
        }
    }
    config
}

/// The accounts, with further lines for each, and the conversations of a daemon's config.
pub(crate) fn people_toml(
    platforms: &Platforms,
    lines: impl Fn(Kind) -> String,
    conversations: &[(String, Vec<Seat>)],
) -> String {
    let mut toml = String::new();
    for platform in platforms.all() {
        let (bridge, lines) = (platform.kind().word(), lines(platform.kind()));
        for account in platform.accounts() {
            let id = account.id().to_owned();
            writeln!(toml, "[[account]]\nbridge = {bridge:?}\nid = {id:?}").unwrap();
            writeln!(toml, "api_url = {:?}", platform.api_url()).unwrap();
            writeln!(toml, "access_token = \"sandbox-token-{id}\"").unwrap();
            writeln!(toml, "app_secret = \"sandbox-secret-{id}\"").unwrap();
            writeln!(toml, "verify_token = \"sandbox-verify-{id}\"\n{lines}").unwrap();
        }
    }
    for (name, seats) in conversations {
        let participants: Vec<String> = seats.iter().map(Seat::address).collect();
        writeln!(toml, "[[conversation]]\nname = {name:?}\nparticipants = {participants:?}\n")
            .unwrap();
    }
    toml
}

/// A daemon with its platforms and its folder.
pub(crate) struct World {
    pub(crate) platforms: Platforms,
    pub(crate) conversations: Vec<(String, Vec<Seat>)>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) listen: SocketAddr,
    daemon: Option<Child>,
    /// TOML that is put behind the sections, such as `settle_timeout` lines under `[deliver]`.
    pub(crate) deliver: String,
    pub(crate) extra: String,
    /// Further lines under `[broker]`, `[store]` and `[ingest]`.
    pub(crate) broker_lines: String,
    pub(crate) store_lines: String,
    pub(crate) ingest_lines: String,
    /// True to keep the platforms' documented rates; else nothing is paced, since most tests are about something else.
    pub(crate) paced: bool,
    /// Lines that are put into every `[[account]]`.
    pub(crate) account_lines: String,
    /// Lines that are put into every `[[account]]` of WhatsApp.
    pub(crate) whatsapp_lines: String,
    pub(crate) broker_urls: Vec<String>,
    pub(crate) log_level: String,
    /// Environment variables for the daemon.
    pub(crate) env: Vec<(String, String)>,
}

impl World {
    /// Platforms with everybody of the conversations on them, and a config for a daemon; nothing is started yet.
    pub(crate) async fn new(broker_url: &str, conversations: Vec<(String, Vec<Seat>)>) -> Self {
        let listen = free_address();
        let platforms = Platforms::start(cast(&conversations, &listen.to_string())).await.unwrap();
        Self {
            platforms,
            conversations,
            folder: tempfile::tempdir().unwrap(),
            listen,
            daemon: None,
            deliver: "settle_timeout = \"1s\"\nretry_backoff_min = \"50ms\"\nretry_backoff_max = \"500ms\"\n".to_owned(),
            extra: String::new(),
            broker_lines: String::new(),
            store_lines: String::new(),
            ingest_lines: String::new(),
            paced: false,
            account_lines: String::new(),
            whatsapp_lines: String::new(),
            broker_urls: vec![broker_url.to_owned()],
            log_level: "info".to_owned(),
            env: Vec::new(),
        }
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("interline.toml")
    }

    /// Has `interline dead` publish all dead letters again.
    pub(crate) fn replay_all(&self) {
        let mut replay = Command::new(env!("CARGO_BIN_EXE_interline"));
        replay.args(["dead", "replay", "--all", "--config"]).arg(self.config_path());
        // The broker runs in this process and must go on meanwhile.
        let output = tokio::task::block_in_place(|| replay.output()).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.folder.path().join("interline.db")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits until the daemon has said these words, in any of its runs.
    pub(crate) async fn until_logged(&self, words: &str) {
        let wait = async {
            while !self.log().contains(words) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{words} is never logged");
    }

    /// Writes the config as it is now.
    pub(crate) fn write_config(&self) {
        let mut toml = String::new();
        writeln!(toml, "[broker]\nurls = {:?}\nreconnect_backoff_min = \"50ms\"", self.broker_urls)
            .unwrap();
        writeln!(toml, "reconnect_backoff_max = \"500ms\"\n{}", self.broker_lines).unwrap();
        writeln!(toml, "[store]\nurl = \"sqlite:{}\"", self.store_path().display()).unwrap();
        writeln!(toml, "{}\n", self.store_lines).unwrap();
        writeln!(toml, "[ingest]\nlisten = \"{}\"", self.listen).unwrap();
        writeln!(toml, "{}\n", self.ingest_lines).unwrap();
        writeln!(toml, "[deliver]\n{}", self.deliver).unwrap();
        writeln!(toml, "{}", self.extra).unwrap();
        let lines = |kind| {
            let pace = if self.paced { "" } else { UNPACED };
            let of_kind = if kind == Kind::WhatsApp { &self.whatsapp_lines } else { "" };
            format!("{of_kind}\n{pace}\n{}", self.account_lines)
        };
        toml += &people_toml(&self.platforms, lines, &self.conversations);
        std::fs::write(self.config_path(), toml).unwrap();
    }

    /// Starts the daemon, or starts it again. Its log is appended to one file over all starts.
    pub(crate) fn start(&mut self) {
        self.write_config();
        self.start_with(&["run"]);
    }

    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        let log = std::fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_interline"))
            .args(arguments)
            .arg("--config")
            .arg(self.config_path())
            .env("RUST_LOG", &self.log_level)
            .env_remove("NOTIFY_SOCKET")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    /// Starts it as systemd does for `interline.socket`: the listener is handed over.
    pub(crate) fn start_on(&mut self, listener: &TcpListener) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        self.write_config();
        let log = std::fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        // Only the shell knows the pid that the daemon will have.
        let hand_over =
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run --config \"$1\" 3<&0 </dev/null";
        let child = Command::new("sh")
            .args(["-c", hand_over, env!("CARGO_BIN_EXE_interline")])
            .arg(self.config_path())
            .env("RUST_LOG", &self.log_level)
            .env_remove("NOTIFY_SOCKET")
            .envs(self.env.iter().cloned())
            .stdin(OwnedFd::from(listener.try_clone().unwrap()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.daemon.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// SIGTERM, and the exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits until the daemon ended by itself.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut child = self.daemon.take().expect("the daemon runs");
        let started = std::time::Instant::now();
        while started.elapsed() < LIMIT {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("the daemon does not end\n--- log ---\n{}", tail(&self.log()));
    }

    /// Waits until the daemon has written these words so many times, over all its starts.
    pub(crate) async fn until_log(&self, words: &str, times: usize) {
        let written = async {
            while self.log().matches(words).count() < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let written = tokio::time::timeout(LIMIT, written).await;
        assert!(written.is_ok(), "not {times} times {words:?} in\n{}", tail(&self.log()));
    }

    pub(crate) fn phone(&self, seat: &Seat) -> Phone {
        self.platforms.of(seat.kind).account(&seat.account).unwrap().phone(&seat.person).unwrap()
    }

    /// Waits until a phone shows what is wanted; a failure shows what it shows instead, and the daemon's log.
    pub(crate) async fn until(
        &self,
        seat: &Seat,
        what: &str,
        wanted: impl Fn(&[Seen]) -> bool,
    ) -> Vec<Seen> {
        match self.phone(seat).wait_for(wanted, LIMIT).await {
            Ok(view) => view,
            Err(_) => panic!(
                "{what}: {} shows {:#?}\n--- log ---\n{}",
                seat.name,
                self.phone(seat).received_texts(),
                tail(&self.log())
            ),
        }
    }

    /// Waits until a phone has received exactly these texts, and shows the difference if it has not.
    pub(crate) async fn until_texts(&self, seat: &Seat, wanted: &[String]) {
        let phone = self.phone(seat);
        let enough = |view: &[Seen]| view.iter().filter(|seen| !seen.mine).count() >= wanted.len();
        let reached = phone.wait_for(enough, LIMIT).await.is_ok();
        let texts = phone.received_texts();
        assert!(
            reached && texts == wanted,
            "{} shows\n{texts:#?}\ninstead of\n{wanted:#?}\n--- log ---\n{}",
            seat.name,
            tail(&self.log())
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(120)..].join("\n")
}

/// A free port of a loopback address of this test's own. On 127.0.0.1 a connection of another test could take the port
/// while the daemon is dead.
pub(crate) fn free_address() -> SocketAddr {
    static USED: AtomicU32 = AtomicU32::new(0);
    let n = std::process::id().wrapping_mul(16).wrapping_add(USED.fetch_add(1, Ordering::Relaxed));
    let [_, b, c, d] = n.to_be_bytes();
    // Never 127.0.0.1, and no address of all zeros or ones behind the first byte.
    let own = Ipv4Addr::new(127, b | 0x40, c, d.clamp(1, 254));
    TcpListener::bind((own, 0)).unwrap().local_addr().unwrap()
}

pub(crate) fn texts(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix} {n}")).collect()
}
