//! docs/operations.md.

use super::{block, table};
use crate::support::{Folder, Ran, program, run};
use interline::config::Section;
use interline::dead::{Reason, Stage};
use interline::deliver::PauseReason;
use interline::metrics::Metrics;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("../../../docs/operations.md");

/// Generous: it is no measure of speed.
const LIMIT: Duration = Duration::from_secs(120);

/// The first cells of the table below a heading, without their backticks; every other cell but `labels` says something.
fn listed(heading: &str, may_be_empty: Option<usize>) -> Vec<&'static str> {
    let rows = table(PAGE, heading);
    for row in &rows {
        let empty =
            |(column, cell): (usize, &&str)| cell.is_empty() && may_be_empty != Some(column);
        assert!(!row.iter().enumerate().any(empty), "an empty cell: {row:?}");
    }
    rows.iter().map(|row| row[0].trim_matches('`')).collect()
}

#[test]
fn the_page_has_every_metric() {
    assert_eq!(listed("## Metrics", Some(2)), Metrics::new().names());
}

#[test]
fn the_page_says_of_what_kind_each_metric_is() {
    for row in table(PAGE, "## Metrics") {
        let name = row[0].trim_matches('`');
        let kind = match name {
            name if name.ends_with("_total") => "counter",
            name if name.ends_with("_seconds") => "histogram",
            _ => "gauge",
        };
        assert_eq!(row[1], kind, "{name}");
    }
}

#[test]
fn the_page_has_every_reason_for_a_pause() {
    assert_eq!(listed("## Pauses", None), PauseReason::ALL.map(PauseReason::as_str));
}

#[test]
fn the_page_has_every_reason_for_a_dead_letter_and_every_stage() {
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed("## Dead letters", None), reasons);
    let text = PAGE.split("## Dead letters").nth(1).unwrap().split('|').next().unwrap();
    for stage in Stage::ALL {
        assert!(text.contains(&format!("`{}`", stage.as_str())), "{stage:?}");
    }
}

#[test]
fn the_page_says_of_every_part_of_the_config_how_it_is_taken_over() {
    let rows = table(PAGE, "## Stopping and reloading");
    let said: Vec<(&str, bool)> =
        rows.iter().map(|row| (row[0].trim_matches('`'), row[1] != "reload")).collect();
    let are = Section::ALL.map(|section| (section.as_str(), section.needs_restart()));
    assert_eq!(said, are);
}

#[test]
fn every_command_that_the_page_names_exists() {
    let words = PAGE.split('`').skip(1).step_by(2).chain(PAGE.lines());
    let commands = words.filter_map(|text| text.strip_prefix("interline "));
    let mut seen = 0;
    for command in commands {
        let command = command.split('#').next().unwrap();
        let words = command
            .split_whitespace()
            .take_while(|word| word.chars().all(|char| char.is_ascii_lowercase()));
        let arguments: Vec<&str> = words.chain(["--help"]).collect();
        run(&arguments).ended(0);
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

/// A daemon with a broker inside; killed when the test ends before it does.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Folder) -> Self {
        let run = program(&["run", "--config", &folder.config()]).stderr(Stdio::null()).spawn();
        let daemon = Self(run.unwrap());
        let started = Instant::now();
        while run_status(folder).code != Some(0) {
            assert!(started.elapsed() < LIMIT, "{:?}", run_status(folder));
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _code = self.0.wait();
    }
}

fn run_status(folder: &Folder) -> Ran {
    run(&["status", "--config", &folder.config()])
}

#[test]
fn a_backup_by_the_commands_of_the_page_is_a_store_that_its_key_opens_and_no_other() {
    let config = "root_key = { file = \"root.key\" }\n[broker]\nurls = [\"embedded\"]\n\
        [store]\nurl = \"sqlite:interline.db\"\n[stages]\ningest = false\n";
    let (old, new) = (Folder::with(config), Folder::with(config));
    for folder in [&old, &new] {
        std::fs::write(folder.path().join("root.key"), "11".repeat(32)).unwrap();
    }
    Daemon::start(&old).stop();
    let commands = block(PAGE, "## Backup", "sh");
    let copy = commands.lines().find(|line| line.starts_with("cp ")).unwrap();
    let copy = copy
        .replace("/var/lib/interline", &old.path().display().to_string())
        .replace("BACKUP", &new.path().display().to_string());
    assert!(Command::new("sh").args(["-c", &copy]).status().unwrap().success(), "{copy}");

    let check = run(&["check", "--config", &new.config()]).ended(0);
    assert!(check.out.contains("schema version"), "{check:?}");
    Daemon::start(&new).stop();
    std::fs::write(new.path().join("root.key"), "22".repeat(32)).unwrap();
    let check = run(&["check", "--config", &new.config()]).ended(78);
    assert!(check.err.contains("the root key does not belong to the store"), "{check:?}");
}
