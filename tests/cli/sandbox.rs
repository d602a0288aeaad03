//! `sandbox`: from an empty folder, with nothing else installed.

use crate::support::{program, run};
use interline::sandbox::{Sandbox, demo};
use interline_sandbox::{Fault, Kind, Order};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Generous: it is no measure of speed.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn the_demo_holds_and_prints_every_phone() {
    let ran = run(&["sandbox", "--script", "demo"]).ended(0);
    for title in ["Alice's phone, WhatsApp", "Bob's phone, Messenger", "Carla's phone, Instagram"] {
        assert!(ran.out.contains(title), "{ran:#?}");
    }
    assert!(ran.out.contains("◂ Bob: On Messenger, and I can hear you.   (answers 1)"), "{ran:#?}");
    assert!(ran.out.contains("✓ Carla on Instagram reads Bob's long text"), "{ran:#?}");
    assert!(ran.out.contains("checks hold.") && !ran.out.contains('✗'), "{ran:#?}");
    assert!(!ran.out.contains('\u{1b}'), "no colours where no terminal is: {ran:#?}");
    assert!(ran.err.is_empty(), "nothing goes wrong: {ran:#?}");
}

#[test]
fn the_demo_for_programs_is_one_json_object() {
    let played = run(&["sandbox", "--script", "demo", "--json"]).ended(0).json();
    assert_eq!(played["holds"], true);
    let phones = played["phones"].as_array().unwrap();
    assert_eq!(phones.len(), 3);
    for phone in phones {
        assert!(!phone["screen"].as_array().unwrap().is_empty(), "{phone:#}");
    }
    for check in played["checks"].as_array().unwrap() {
        assert_eq!(check["holds"], true, "{check:#}");
    }
    let carla = &phones[2];
    assert_eq!(carla["platform"], "instagram");
    for message in carla["screen"].as_array().unwrap() {
        assert!(message["text"].as_str().is_none_or(|text| text.len() <= 1000), "{message:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_on_which_a_platform_refuses_a_person_does_not_hold_and_says_what_is_missing() {
    let mut sandbox = Sandbox::start().await.unwrap();
    let refused = Order::next(Fault::graph(400, 100, None)).until_released();
    sandbox.platforms().of(Kind::Messenger).order(refused);
    // Everything else is there long before; what is refused never comes.
    let played = demo::play(&mut sandbox, Duration::from_secs(2)).await.unwrap();
    sandbox.stop(false).await.unwrap();
    assert!(!played.holds());
    let check = |name: &str| {
        let check = played.checks.iter().find(|check| check.name == name);
        check.unwrap_or_else(|| panic!("{name}: {:#?}", played.checks))
    };
    let missing = check("Bob on Messenger gets Alice's text");
    assert!(!missing.holds, "{missing:?}");
    assert!(
        missing.expected.contains("Alice: Hi both!") && missing.seen == "nothing",
        "{missing:?}"
    );
    let dead = check("Every queue is empty, also the dead letters");
    assert!(!dead.holds && dead.seen.contains("in interline.dead"), "{dead:?}");
}

/// Types lines into a live sandbox and reads what it says.
struct Live {
    child: Child,
    typed: ChildStdin,
    said: Receiver<String>,
}

impl Live {
    fn start(arguments: &[&str], temporary: &Path) -> Self {
        let mut child = program(arguments)
            .env("TMPDIR", temporary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let typed = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        // A thread, so that waiting for a line has a limit. It ends with the sandbox.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).map_while(|line| say.send(line).ok()).for_each(drop);
        });
        Self { child, typed, said }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.typed, "{line}").unwrap();
    }

    /// The next line that holds all of these.
    fn until(&mut self, wanted: &[&str]) -> String {
        let mut all = Vec::new();
        while let Ok(line) = self.said.recv_timeout(LIMIT) {
            if wanted.iter().all(|wanted| line.contains(wanted)) {
                return line;
            }
            all.push(line);
        }
        panic!("it never said {wanted:?}, but {all:#?}")
    }

    fn ended(&mut self) -> Option<i32> {
        // The output ends with the program.
        let last = loop {
            if let Err(end) = self.said.recv_timeout(LIMIT) {
                break end;
            }
        };
        assert_eq!(last, RecvTimeoutError::Disconnected, "it does not end");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn people_speak_by_what_is_typed_and_ctrl_c_ends_it_with_nothing_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut live = Live::start(&["sandbox"], temporary.path());
    for place in ["amqp://", "interline.toml", "/webhooks/whatsapp", "sandbox-token-", "verify"] {
        live.until(&[place]);
    }
    live.until(&["You speak as Alice on WhatsApp."]);
    live.until(&["/quit"]);
    live.types("Hello");
    live.until(&["Bob", "1 ◂ Alice: Hello"]);
    live.types("/dance");
    live.types("messenger> /reply 1 Hi Alice");
    live.until(&["Alice", "2 ◂ Bob: Hi Alice   (answers 1)"]);
    live.types("instagram>");
    live.until(&["You speak as Carla on Instagram now."]);
    live.types("alice Still there?");
    live.until(&["Carla", "3 ◂ Alice: Still there?"]);
    live.types("/react 1");
    live.until(&["Alice", "◂ Carla reacted ❤ to \"Hello\""]);
    let status =
        Command::new("kill").args(["-INT", &live.child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(live.ended(), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn phones_do_at_the_prompt_what_phones_do() {
    let temporary = tempfile::tempdir().unwrap();
    let mut live = Live::start(&["sandbox"], temporary.path());
    live.types("/photo The harbour");
    live.until(&["Bob", "[photo, image/png, 68 bytes]"]);
    live.until(&["Bob", "Alice: The harbour"]);
    live.types("/voice");
    live.until(&["Alice", "2 ▸ [voice note"]);
    live.types("/as bob");
    live.types("Helo");
    live.until(&["Carla", "Bob: Helo"]);
    live.types("/photo Without a caption");
    live.until(&["Carla", "Bob: Without a caption"]);
    live.types("/edit With words");
    live.until(&["Bob", "▸ With words   (edited)"]);
    live.types("carla: Ciao");
    live.until(&["Bob", "◂ Carla: Ciao"]);
    live.types("instagram> /unsend");
    live.until(&["Carla", "▸ Ciao   (taken back)"]);
    live.types("/heart");
    live.until(&["Carla", "▸ ❤"]);
    live.types("/phone");
    live.until(&["Carla's phone, Instagram"]);
    live.until(&["Carla", "Ciao   (taken back)"]);
    live.types("/quit");
    assert_eq!(live.ended(), Some(0));
}

#[test]
fn the_platforms_clock_is_moved_and_a_window_closed_at_the_prompt() {
    let temporary = tempfile::tempdir().unwrap();
    let mut live = Live::start(&["sandbox"], temporary.path());
    live.types("messenger> /window");
    live.until(&["Bob may be written to again once Bob has said something."]);
    live.types("Here I am");
    live.until(&["Alice", "◂ Bob: Here I am"]);
    live.types("whatsapp> And I hear you");
    live.until(&["Bob", "◂ Alice: And I hear you"]);
    live.types("/clock 1h");
    live.until(&["The platforms' clock is 1h ahead."]);
    live.types("/quit");
    assert_eq!(live.ended(), Some(0));
}

#[test]
fn for_programs_a_live_sandbox_says_where_everything_is_and_then_each_message() {
    let temporary = tempfile::tempdir().unwrap();
    let mut live = Live::start(&["sandbox", "--json", "--keep"], temporary.path());
    let places: Value = serde_json::from_str(&live.until(&["broker"])).unwrap();
    assert!(places["broker"].as_str().unwrap().starts_with("amqp://"), "{places:#}");
    let people = places["people"].as_array().unwrap();
    assert!(people.iter().all(|person| person["api_url"].is_string()), "{places:#}");
    let config = places["config"].as_str().unwrap().to_owned();
    // Other commands can be given its config while it runs.
    run(&["check", "--config", &config]).ended(0);
    let dead = run(&["dead", "list", "--config", &config]);
    live.types("carla Ciao");
    let heard: Value = serde_json::from_str(&live.until(&["Carla: Ciao"])).unwrap();
    assert_eq!(heard["message"]["by_owner"], false);
    live.types("quit");
    assert_eq!(live.ended(), Some(0));
    assert_eq!(dead.ended(0).out, "no dead letters\n");
    assert!(Path::new(&config).is_file(), "--keep leaves it");
}
