//! docs/setup.md, walked through as it stands: its commands, its config, its rights at the broker.

use super::blocks;
use interline_rabbit_node::RabbitNode;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PAGE: &str = include_str!("../../../docs/setup.md");
const UNIT: &str = include_str!("../../../systemd/interline.service");
/// Generous: it is no measure of speed.
const LIMIT: Duration = Duration::from_secs(120);
const WHATSAPP: &str = include_str!("../fixtures/whatsapp.json");
const INSTAGRAM: &str = include_str!("../fixtures/instagram.json");
const BOB: &str = "1700000000000001";
const STRANGER: &str = "1700000000007777";

/// A machine of this test's own: its folders instead of the system's, its node for RabbitMQ.
struct Machine {
    root: TempDir,
    node: RabbitNode,
    listen: SocketAddr,
    daemon: Option<Child>,
}

impl Machine {
    /// Nothing where a program of the page is not installed.
    fn new() -> Option<Self> {
        for program in ["curl", "openssl"] {
            if Command::new(program).arg("--version").output().is_err() {
                println!("skipped: {program} is not installed");
                return None;
            }
        }
        let node = RabbitNode::start().unwrap()?;
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "credentials"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        let control = RabbitNode::control_program().display().to_string();
        let wrappers = [
            ("rabbitmqctl", format!("exec {control} -q -n {} \"$@\"", node.name())),
            ("interline", format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_interline"))),
        ];
        for (name, line) in wrappers {
            use std::os::unix::fs::PermissionsExt;
            let path = root.path().join("bin").join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Some(Self { root, node, listen: free_address(), daemon: None })
    }

    /// What stands on the page, with this machine's places.
    fn here(&self, text: &str) -> String {
        let root = self.root.path().display().to_string();
        text.replace("/etc/interline/credentials", &format!("{root}/credentials"))
            .replace("/var/lib/interline", &format!("{root}/state"))
            // The user is made by systemd-sysusers.
            .replace("-o interline -g interline ", "")
            .replace(":5672/", &format!(":{}/", self.node.port()))
            .replace("127.0.0.1:8080", &self.listen.to_string())
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-euc", &self.here(script)]).env_clear().envs(self.node.environment());
        let path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.root.path().display());
        command.env("PATH", path).env("INTERLINE_CONFIG", self.config());
        command.env("CREDENTIALS_DIRECTORY", self.root.path().join("credentials"));
        command.current_dir(self.root.path());
        command
    }

    #[track_caller]
    fn run(&self, script: &str) -> Output {
        let output = self.shell(script).output().unwrap();
        assert!(output.status.success(), "{script}\n{output:?}");
        output
    }

    fn printed(&self, script: &str) -> String {
        String::from_utf8(self.run(script).stdout).unwrap().trim().to_owned()
    }

    fn config(&self) -> std::path::PathBuf {
        self.root.path().join("interline.toml")
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.root.path().join("log")).unwrap();
        let mut run = self.shell("exec interline run");
        self.daemon = Some(run.stderr(log).stdout(Stdio::null()).spawn().unwrap());
        let status = self.until("interline status", |out| out.contains(", ready"));
        assert!(status.lines().next().unwrap().ends_with("ready"), "{status}");
    }

    /// Runs it again and again until its output is as wanted.
    fn until(&self, script: &str, wanted: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let output = self.shell(script).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if wanted(&text) {
                return text;
            }
            let log = std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < LIMIT, "{script}: {output:?}\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The page's signed request, with messages in it.
    fn posts(&self, signed: &str, bridge: &str, body: &str) {
        let script = signed.replace(r#"{"object":"whatsapp_business_account","entry":[]}"#, body);
        assert_ne!(script, signed);
        let script = script.replace("/webhooks/whatsapp", &format!("/webhooks/{bridge}"));
        assert_eq!(self.printed(&script), "200");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _gone = daemon.kill();
            let _code = daemon.wait();
        }
    }
}

/// A free port of a loopback address that no other process uses: on 127.0.0.1 a connection could take it before the
/// daemon does.
fn free_address() -> SocketAddr {
    let [_, b, c, d] = std::process::id().to_be_bytes();
    // Never 127.0.0.1, none of those of the end-to-end tests, and none of all zeros or ones behind the first byte.
    let own = Ipv4Addr::new(127, b | 0x80, c, d.clamp(1, 254));
    TcpListener::bind((own, 0)).unwrap().local_addr().unwrap()
}

/// The page's third chapter, where somebody pastes.
fn pasted(block: &str) -> String {
    let line = |line: &str| match line.strip_prefix("cat > ") {
        Some(rest) => {
            let name = rest.split_whitespace().next().unwrap();
            format!("echo secret-of-{name} > {name}")
        }
        None => line.to_owned(),
    };
    block.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn whoever_follows_the_page_has_a_daemon_that_takes_webhooks_with_no_more_rights_than_it_needs() {
    let Some(mut machine) = Machine::new() else { return };
    machine.run(blocks(PAGE, "## 1.", "sh")[1]);
    machine.run(blocks(PAGE, "## 2.", "sh")[0]);
    machine.run(&pasted(blocks(PAGE, "## 3.", "sh")[0]));
    let page = machine.here(blocks(PAGE, "## 4.", "toml")[0]);
    // Bob's messages go to a backend at the broker: nothing here leaves this machine.
    let token = "access_token = { credential = \"instagram-token\" }";
    let config = page.replace(token, "egress = \"queue\"");
    assert_ne!(config, page);

    std::fs::write(machine.config(), &page).unwrap();
    let declared = machine.run(blocks(PAGE, "## 4.", "sh")[1]);
    let said = String::from_utf8_lossy(&declared.stderr).into_owned();
    assert!(said.ends_with("all of them quorum queues\n"), "{said}");

    std::fs::write(machine.config(), config.replace("[broker]", "[broker]\nprefix = \"other\""))
        .unwrap();
    let refused = machine.shell("interline topology --declare").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("does not let this user declare other.events"), "{said}");
    assert!(said.contains("rabbitmqctl set_permissions"), "{said}");

    std::fs::write(machine.config(), config).unwrap();
    machine.start();
    let [_, asks, signed] = blocks(PAGE, "## 6.", "sh")[..] else { panic!("not three blocks") };
    assert_eq!(machine.printed(asks), "42");
    assert_eq!(machine.printed(signed), "200");

    machine.posts(signed, "whatsapp", WHATSAPP);
    let queues = "rabbitmqctl list_queues -p interline --no-table-headers name messages_ready";
    machine.until(queues, |out| out.contains("interline.egress.instagram\t1"));

    // Who a stranger is, the dead letter tells.
    machine.posts(signed, "instagram", &INSTAGRAM.replace(BOB, STRANGER));
    let list = machine.until("interline dead list", |out| out.contains("no-conversation"));
    let id = list.lines().find(|line| line.contains("no-conversation")).unwrap();
    let id = id.split_whitespace().next().unwrap();
    let shown = machine.printed(&format!("interline dead show {id} --body"));
    let documents = serde_json::Deserializer::from_str(&shown).into_iter::<serde_json::Value>();
    let [_story, body] = &documents.collect::<Result<Vec<_>, _>>().unwrap()[..] else {
        panic!("{shown}")
    };
    assert_eq!(body["entry"][0]["messaging"][0]["sender"]["id"], STRANGER, "{shown}");
    let replayed = machine.printed("interline dead replay --all");
    assert!(replayed.starts_with("replayed "), "{replayed}");
    machine.until("interline dead list", |out| out.contains("no-conversation"));
}

#[test]
fn the_unit_hands_over_every_secret_that_the_config_of_the_page_names() {
    let named = |text: &'static str| text.split("{ credential = \"").skip(1);
    let config = blocks(PAGE, "## 4.", "toml")[0];
    let wanted: BTreeSet<&str> =
        named(config).map(|rest| rest.split('"').next().unwrap()).collect();
    let lines = blocks(PAGE, "## 4.", "ini")[0].lines().chain(UNIT.lines());
    let mut loaded = BTreeSet::new();
    for line in lines.filter_map(|line| line.strip_prefix("LoadCredential=")) {
        let (name, file) = line.split_once(':').unwrap();
        assert_eq!(file, format!("/etc/interline/credentials/{name}"));
        loaded.insert(name);
    }
    assert_eq!(loaded, wanted);
    // And each of them is made in one of the chapters before.
    let scripts = ["## 1.", "## 2.", "## 3."].map(|chapter| blocks(PAGE, chapter, "sh").join("\n"));
    for name in wanted {
        let made = scripts.iter().any(|script| script.contains(&format!("> {name}")));
        assert!(made, "{name} is never made");
    }
}

#[test]
fn every_file_that_the_page_installs_is_in_the_tree() {
    let install = blocks(PAGE, "## 1.", "sh")[0];
    let sources = install.split_whitespace().filter(|word| word.starts_with("systemd/"));
    let mut count = 0;
    for source in sources {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).is_file(), "{source}");
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn every_command_of_the_page_is_shell() {
    for part in PAGE.split("```sh\n").skip(1) {
        let script = part.split("\n```").next().unwrap();
        let output = Command::new("sh").args(["-nc", script]).output().unwrap();
        assert!(output.status.success(), "{script}\n{output:?}");
    }
}
