//! A private RabbitMQ node for tests: own name, ports, folders and cookie; gone when the test is.
//!
//! Used by the contract tests of the broker crate and by the daemon's end-to-end tests. Knows no AMQP beyond the
//! greeting. Everything here blocks: async tests call it at their start, or through `spawn_blocking`.
//!
//! Invariant: no process outlives the test's, however that ends: the node and its name server (epmd) run under
//! `setpriv --pdeathsig KILL`, started by a thread that lives as long as they should.

mod process;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use process::Guarded;

const BIN: &str = "/usr/lib/rabbitmq/bin";
/// A node has been seen to need 4 to 8 s on an idle machine; tests run on busy ones.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const GREETING_LIMIT: Duration = Duration::from_secs(2);

/// Tells the nodes of one process apart.
static NODES: AtomicU32 = AtomicU32::new(1);

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file, port or process could not be had.
    #[error("cannot prepare a RabbitMQ node: {0}")]
    Io(#[from] std::io::Error),
    /// It ended, or did not answer in time.
    #[error("the RabbitMQ node did not start ({problem}); its log ends with:\n{log}")]
    NotStarted {
        /// What was seen.
        problem: String,
        /// The end of its logs.
        log: String,
    },
    /// `rabbitmqctl` failed.
    #[error("rabbitmqctl {arguments:?} failed: {output}")]
    Control {
        /// What was asked.
        arguments: Vec<String>,
        /// What it said.
        output: String,
    },
}

/// A node that listens on loopback. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct RabbitNode {
    name: String,
    port: Port,
    dist_port: Port,
    epmd_port: u16,
    cookie: String,
    home: tempfile::TempDir,
    options: Options,
    server: Option<Guarded>,
    /// `None` where it uses that of the node it joined.
    _epmd: Option<(Guarded, Port)>,
}

/// Where the nodes' ports are taken from.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES_MAX: u32 = 100;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Plugins that come with RabbitMQ, such as `rabbitmq_shovel`.
    pub plugins: Vec<&'static str>,
    /// Beyond this it blocks publishing, in megabytes.
    pub memory_mb: u32,
    /// Erlang's threads; 1 where tests share the machine with the node.
    pub schedulers: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { plugins: Vec::new(), memory_mb: 512, schedulers: 1 }
    }
}

impl RabbitNode {
    /// Starts a node and waits until it greets. `None` where RabbitMQ is not installed: the reason is printed, and the
    /// test should return.
    ///
    /// # Errors
    /// [`NodeError`] where RabbitMQ is installed and does not start.
    ///
    /// # Panics
    /// Where RabbitMQ is not installed and `INTERLINE_REQUIRE_ALL=1` says that no test may be skipped.
    pub fn start() -> Result<Option<Self>, NodeError> {
        Self::start_with(&Options::default())
    }

    /// The same with plugins, or larger.
    ///
    /// # Errors
    /// As [`RabbitNode::start`].
    ///
    /// # Panics
    /// As [`RabbitNode::start`].
    pub fn start_with(options: &Options) -> Result<Option<Self>, NodeError> {
        if !is_installed() {
            return Ok(None);
        }
        let port = Port::draw()?;
        let epmd_port = port.number;
        let epmd = Guarded::spawn(move || {
            let mut command = Command::new("setpriv");
            command.args([
                "--pdeathsig",
                "KILL",
                "epmd",
                "-port",
                &epmd_port.to_string(),
                "-address",
                "127.0.0.1",
            ]);
            command.env_clear().env("PATH", PATH);
            command
        })?;
        let cookie = format!("INTERLINE{}{epmd_port}", std::process::id());
        let mut node = Self::prepare(epmd_port, cookie, Some((epmd, port)), options.clone())?;
        node.start_again()?;
        Ok(Some(node))
    }

    /// Starts another node and joins it to the cluster of `self`. The new node must be dropped first.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start_joined(&self) -> Result<Self, NodeError> {
        let mut node =
            Self::prepare(self.epmd_port, self.cookie.clone(), None, Options::default())?;
        node.start_again()?;
        node.control(&["stop_app"])?;
        node.control(&["join_cluster", &self.name])?;
        node.control(&["start_app"])?;
        node.wait_for_greeting()?;
        Ok(node)
    }

    fn prepare(
        epmd_port: u16,
        cookie: String,
        epmd: Option<(Guarded, Port)>,
        options: Options,
    ) -> Result<Self, NodeError> {
        let home = tempfile::Builder::new().prefix("interline-rabbit-").tempdir()?;
        let cookie_path = home.path().join(".erlang.cookie");
        fs::write(&cookie_path, &cookie)?;
        fs::set_permissions(&cookie_path, fs::Permissions::from_mode(0o600))?;
        let memory = options.memory_mb;
        let config = format!("vm_memory_high_watermark.absolute = {memory}MB\n{CONFIG}");
        fs::write(home.path().join("rabbitmq.conf"), config)?;
        fs::write(
            home.path().join("enabled_plugins"),
            format!("[{}].\n", options.plugins.join(",")),
        )?;
        fs::write(home.path().join("rabbitmq-env.conf"), "")?;
        let name = format!(
            "interline{}x{}@localhost",
            std::process::id(),
            NODES.fetch_add(1, Ordering::Relaxed)
        );
        let (port, dist_port) = (Port::draw()?, Port::draw()?);
        Ok(Self {
            name,
            port,
            dist_port,
            epmd_port,
            cookie,
            home,
            options,
            server: None,
            _epmd: epmd,
        })
    }

    /// What `rabbitmqctl -n` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `rabbitmqctl` that belongs to it.
    pub fn control_program() -> PathBuf {
        Path::new(BIN).join("rabbitmqctl")
    }

    /// Where it listens: user and password `guest`, virtual host `/`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port())
    }

    /// The AMQP port, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Starts the node again on the same data and the same port, and waits until it greets.
    ///
    /// # Errors
    /// [`NodeError::NotStarted`], [`NodeError::Io`].
    pub fn start_again(&mut self) -> Result<(), NodeError> {
        let (home, environment) = (self.home.path().to_owned(), self.environment());
        self.server = Some(Guarded::spawn(move || {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(Path::new(BIN).join("rabbitmq-server"));
            command.env_clear().envs(environment).current_dir(home);
            // Makes the start script become the Erlang machine instead of guarding it as a child of its own.
            command.env("RUNNING_UNDER_SYSTEMD", "true");
            command
        })?);
        self.wait_for_greeting()
    }

    /// Kills the node as a power cut would. Its data stays for [`RabbitNode::start_again`], but for one thing: a quorum
    /// queue that was declared within the last second is not found again, since RabbitMQ writes its identity down late.
    /// Stop and start the node once after declaring, where the kill may come soon.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Asks the node to stop, and waits until it has; kills it where it takes too long. Its data stays.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.terminate(STOP_LIMIT);
        }
    }

    /// Freezes the node: it holds its sockets and answers nothing, as a machine that hangs.
    pub fn freeze(&self) {
        if let Some(server) = &self.server {
            server.set_frozen(true);
        }
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self) {
        if let Some(server) = &self.server {
            server.set_frozen(false);
        }
    }

    /// Runs `rabbitmqctl` for this node and returns what it printed. Takes a second or two.
    ///
    /// # Errors
    /// [`NodeError::Control`] with what it said.
    pub fn control(&self, arguments: &[&str]) -> Result<String, NodeError> {
        let mut command = Command::new(Path::new(BIN).join("rabbitmqctl"));
        command.args(["-q", "-n", &self.name]).args(arguments).env_clear().envs(self.environment());
        let Output { status, stdout, stderr } = command.current_dir(self.home.path()).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if status.success() {
            return Ok(text(&stdout));
        }
        Err(NodeError::Control {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            output: text(&stdout) + &text(&stderr),
        })
    }

    /// What `rabbitmqctl` wants in its environment to find this node.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.home.path().join(name).display().to_string();
        vec![
            ("PATH", PATH.to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", path("")),
            ("ERL_EPMD_PORT", self.epmd_port.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", self.name.clone()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", self.port.number.to_string()),
            ("RABBITMQ_DIST_PORT", self.dist_port.number.to_string()),
            ("RABBITMQ_MNESIA_BASE", path("data")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
            ("RABBITMQ_PID_FILE", path("pid")),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!("+S {0}:{0} +SDio 2 +A 2 +sbwt none", self.options.schedulers),
            ),
            ("RABBITMQ_CTL_ERL_ARGS", "+S 1:1 +sbwt none".to_owned()),
        ]
    }

    fn wait_for_greeting(&mut self) -> Result<(), NodeError> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if greets(self.port()) {
                return Ok(());
            }
            if self.server.as_mut().is_none_or(Guarded::has_ended) {
                return Err(self.not_started("it ended"));
            }
            // A port has no event to wait for.
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(self.not_started("it does not answer"))
    }

    fn not_started(&self, problem: &str) -> NodeError {
        let mut log = String::new();
        for entry in fs::read_dir(self.home.path().join("log")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(20).collect();
            log.extend(tail.into_iter().rev().flat_map(|line| [line, "\n"]));
        }
        NodeError::NotStarted { problem: problem.to_owned(), log }
    }
}

impl Drop for RabbitNode {
    fn drop(&mut self) {
        // Before the folder goes.
        self.kill();
    }
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CONFIG: &str = "\
disk_free_limit.absolute = 20MB
heartbeat = 30
log.file.level = warning
log.console = false
cluster_partition_handling = ignore
";

#[expect(clippy::print_stderr, reason = "a skipped test says so where its output is read")]
fn is_installed() -> bool {
    let server: PathBuf = Path::new(BIN).join("rabbitmq-server");
    if server.exists() {
        return true;
    }
    let message = "skipped: rabbitmq-server is not installed; apt-get install rabbitmq-server";
    assert!(
        std::env::var_os("INTERLINE_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{message}"
    );
    eprintln!("{message}");
    false
}

/// A port of one node alone, also while that is stopped: it is below those that the system gives to connections, and no
/// other node draws it.
#[derive(Debug)]
struct Port {
    number: u16,
    /// The same port of UDP, which a node has no use for: who holds it has the other, too.
    _held: UdpSocket,
}

impl Port {
    /// One that nobody holds or listens on.
    fn draw() -> Result<Self, NodeError> {
        let mut tries = 0;
        loop {
            let random =
                RandomState::new().build_hasher().finish() % u64::from(PORTS.end - PORTS.start);
            let number = PORTS.start + u16::try_from(random).unwrap_or(0);
            match Self::take(number) {
                Ok(port) => return Ok(port),
                Err(_) if tries < PORT_TRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(number: u16) -> std::io::Result<Self> {
        let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, number))?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number))?;
        Ok(Self { number, _held: held })
    }
}

/// True where an AMQP 0-9-1 server answers the protocol header with its `connection.start`, a method frame.
fn greets(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let greeting = || -> std::io::Result<u8> {
        let mut socket = TcpStream::connect_timeout(&address, GREETING_LIMIT)?;
        socket.set_read_timeout(Some(GREETING_LIMIT))?;
        socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0_u8];
        socket.read_exact(&mut first)?;
        Ok(first[0])
    };
    greeting().is_ok_and(|first| first == 1)
}

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn a_port_that_a_node_has_drawn_is_drawn_by_no_other() {
        let port = Port::draw().expect("a port is free");
        assert!(Port::take(port.number).is_err());
    }
}
