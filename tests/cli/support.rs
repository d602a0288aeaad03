//! Running the program, and a config to run it with.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Panics unless the exit code is as wanted, with all that was printed.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// Standard output as one JSON value a line.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program, in an environment that holds nothing of this machine's.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interline"));
    for name in ["INTERLINE_CONFIG", "RUST_LOG", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs it with nothing on standard input.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, b"")
}

/// Runs it with that on standard input.
pub(crate) fn run_with(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = program(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end without reading it.
    let _written = child.stdin.take().unwrap().write_all(input).is_ok();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// One of this test's own webhook bodies.
pub(crate) fn fixture(name: &str) -> String {
    format!("{}/tests/cli/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a config in it.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("interline.db");
        let config = config.replace("STORE", &store.display().to_string());
        std::fs::write(folder.path().join("interline.toml"), config).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> String {
        let path: PathBuf = self.folder.path().join("interline.toml");
        path.display().to_string()
    }
}

/// Two accounts and a conversation; nobody listens at that broker.
pub(crate) const CONFIG: &str = r#"[broker]
urls = ["amqp://guest:guest@127.0.0.1:1/%2f"]

[store]
url = "sqlite:STORE"

[[account]]
bridge = "whatsapp"
id = "106540352242922"
access_token = "token"
app_secret = "secret"
verify_token = "verify"

[[account]]
bridge = "instagram"
id = "17841400000000001"
access_token = "token"
app_secret = "secret"
verify_token = "verify"

[[conversation]]
name = "alice-and-bob"
participants = [
  "whatsapp/106540352242922/15550001111",
  "instagram/17841400000000001/1700000000000001",
]
"#;
