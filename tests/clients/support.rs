//! Starts the simulated platforms, and a client's script as a child that prints a JSON object a line.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use interline_sandbox::{AccountConfig, Config, Content, Person, Platform, Platforms, Seen};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

pub(crate) const NUMBER: &str = "106540352242922";
pub(crate) const SAM: &str = "15550001111";
pub(crate) const PAGE: &str = "104500000000001";
pub(crate) const MIA: &str = "6100000000000001";

/// Generous: it is no measure of speed.
const LIMIT: Duration = Duration::from_secs(120);

/// What a script is written in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    Python,
    Node,
}

impl Language {
    /// The program, the folder of its libraries, and the file that pins them.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Python => ("python3", "python", "requirements.txt"),
            Self::Node => ("node", "node", "package-lock.json"),
        }
    }

    /// Where the libraries are, or why there are none.
    fn libraries(self) -> Result<PathBuf, String> {
        let (program, folder, pins) = self.parts();
        let found = std::process::Command::new(program).arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return Err(format!("{program} is not installed"));
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let folder = target.join("clients").join(folder);
        // The installer leaves this file last.
        let installed = std::fs::read(folder.join("installed")).ok();
        if installed != Some(std::fs::read(scripts().join(pins)).unwrap()) {
            return Err(format!("the libraries of {pins} are not installed"));
        }
        Ok(folder)
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A script that runs. It ends with its test.
pub(crate) struct Client {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stdin: Option<ChildStdin>,
}

impl Client {
    /// Starts `script` with `setting` as JSON in its environment; `None` where it cannot run and may be skipped.
    pub(crate) fn start(language: Language, script: &str, setting: &Value) -> Option<Self> {
        let libraries = match language.libraries() {
            Ok(libraries) => libraries,
            Err(why) => {
                let required = std::env::var_os("INTERLINE_REQUIRE_ALL").is_some_and(|v| v == "1");
                assert!(!required, "{why}, and INTERLINE_REQUIRE_ALL=1 asks for it");
                println!("skipped: {why}; `cargo xtask test` installs what is missing");
                return None;
            }
        };
        let mut child = Command::new(language.parts().0)
            .arg(scripts().join(script))
            // Nothing from outside: no proxy, no setting of a library.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PYTHONPATH", &libraries)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NODE_PATH", libraries.join("node_modules"))
            .env("SETTING", setting.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take();
        Some(Self { child, lines, stdin })
    }

    /// The same for a script that hears: it prints where its webhook is, which is then subscribed.
    pub(crate) async fn hearing(
        language: Language,
        script: &str,
        platform: &Platform,
    ) -> Option<Self> {
        let mut client = Self::start(language, script, &setting(platform))?;
        let account = platform.accounts().remove(0);
        account.set_webhook_url(client.line().await["webhook"].as_str());
        account.subscribe().await.unwrap();
        Some(client)
    }

    /// The next line that it prints; `None` once it has ended well.
    async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        if let Some(line) = line.expect("the script printed nothing more").unwrap() {
            return Some(serde_json::from_str(&line).unwrap());
        }
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "the script failed ({status}); its words stand above");
        None
    }

    /// The next line, which must be there.
    pub(crate) async fn line(&mut self) -> Value {
        self.next().await.expect("the script ended too early")
    }

    /// Gives it a line to read.
    pub(crate) async fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// All that it prints until it ends, as one object: every line is `{"step": result}`.
    pub(crate) async fn results(mut self) -> Value {
        self.stdin = None;
        let mut results = json!({});
        while let Some(line) = self.next().await {
            for (step, result) in line.as_object().unwrap() {
                results[step] = result.clone();
            }
        }
        results
    }
}

/// WhatsApp with Sam and Messenger with Mia.
pub(crate) async fn platforms() -> Platforms {
    let mut config = Config::default();
    let number = AccountConfig::new(NUMBER).with(Person::new(SAM, "Sam Sample"));
    config.whatsapp.accounts.push(number);
    config.messenger.accounts.push(AccountConfig::new(PAGE).with(Person::new(MIA, "Mia Sample")));
    Platforms::start(config).await.unwrap()
}

/// What a script must know of a platform's first account and person.
fn setting(platform: &Platform) -> Value {
    let account = platform.accounts()[0].config().unwrap();
    json!({
        "url": platform.base_url(),
        "account": account.id,
        "token": account.access_token,
        "secret": account.app_secret,
        "verify": account.verify_token,
        "person": account.people[0].id,
    })
}

/// The same for a script that sends: something that the person said, a picture, and a link to the picture.
pub(crate) async fn sending(platform: &Platform) -> (Value, JoinSet<()>) {
    let (link, host) = host().await;
    let mut setting = setting(platform);
    setting["said"] = json!(platform.phones()[0].say("I said this").unwrap());
    setting["link"] = json!(link);
    setting["picture"] = json!(hex::encode(png()));
    (setting, host)
}

/// A small PNG, or at least something that begins like one.
pub(crate) fn png() -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 200]].concat()
}

/// A host with that picture, and the picture's URL.
async fn host() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/picture.png", listener.local_addr().unwrap());
    let picture = get(|| async { ([(CONTENT_TYPE, "image/png")], png()) });
    let router = Router::new().route("/picture.png", picture);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, tasks)
}

/// What a script was told of its sends, and what the phone then shows.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) results: Value,
    pub(crate) seen: Vec<Seen>,
}

impl Screen {
    /// The message whose native id that step was told.
    #[track_caller]
    pub(crate) fn shown(&self, step: &str) -> &Seen {
        let found = self.seen.iter().find(|seen| self.results[step] == seen.native_id);
        found.unwrap_or_else(|| panic!("{step} is not shown: {self:#?}"))
    }

    /// What can be tapped on that message.
    #[track_caller]
    pub(crate) fn titles(&self, step: &str) -> Vec<&str> {
        let Content::Choices { choices, .. } = &self.shown(step).content else {
            panic!("{step} has no choices: {self:#?}")
        };
        choices.iter().map(|choice| choice.title.as_str()).collect()
    }
}

/// Whether the line has all these fields with these values.
#[track_caller]
pub(crate) fn assert_has(line: &Value, fields: Value) {
    for (key, value) in fields.as_object().unwrap() {
        assert_eq!(&line[key], value, "`{key}` of {line}");
    }
}
