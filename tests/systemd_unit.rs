//! The unit is valid and closed: systemd's own tools say so.

#![expect(
    clippy::unwrap_used,
    reason = "a check that cannot be run has failed, wherever in this file"
)]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// On systemd's scale from 0 (closed) to 10 (open).
const EXPOSURE_MAX: f64 = 1.5;

const SERVICE: &str = include_str!("../systemd/interline.service");
const SOCKET: &str = include_str!("../systemd/interline.socket");
const WASM: &str = include_str!("../systemd/interline.service.d/wasm.conf");

/// The unit with a program that exists here: the real one is not installed where the tests run.
fn unit(folder: &Path) -> PathBuf {
    let path = folder.join("interline.service");
    std::fs::write(&path, SERVICE.replace("/usr/bin/interline", "/bin/true")).unwrap();
    path
}

/// What the service says for a key, in order.
fn settings<'a>(unit: &'a str, key: &'a str) -> Vec<&'a str> {
    let of_key = move |line: &'a str| line.strip_prefix(key)?.strip_prefix('=');
    unit.lines().filter_map(of_key).collect()
}

/// Nothing where systemd's tools are not installed.
fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let started = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    if started.is_err() {
        println!("skipped: systemd-analyze is not installed");
    }
    started.ok()
}

fn exposure(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("Overall exposure level"))?;
    line.rsplit_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_the_unit_alone_with_its_socket_and_with_its_drop_in()
{
    let folder = tempfile::tempdir().unwrap();
    let service = unit(folder.path());
    check_verified(&service);
    let socket = folder.path().join("interline.socket");
    std::fs::write(&socket, SOCKET).unwrap();
    check_verified(&socket);
    drop_in(folder.path());
    check_verified(&service);
}

#[track_caller]
fn check_verified(unit: &Path) {
    let Some(output) = analyze(&["verify"], unit) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let about_the_unit: Vec<&str> =
        said.lines().filter(|line| line.contains("interline")).collect();
    assert!(output.status.success() && about_the_unit.is_empty(), "{said}");
}

fn drop_in(folder: &Path) {
    let folder = folder.join("interline.service.d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("wasm.conf"), WASM).unwrap();
}

#[test]
fn the_drop_in_for_a_wasm_host_opens_executable_memory_and_nothing_else() {
    let report = |folder: &Path| {
        let output = analyze(&["security", "--offline=yes", "--no-pager"], &unit(folder))?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let folder = tempfile::tempdir().unwrap();
    let Some(closed) = report(folder.path()) else { return };
    drop_in(folder.path());
    let opened = report(folder.path()).unwrap();
    let open = |report: &str| -> Vec<String> {
        let marked = report.lines().filter(|line| line.starts_with('✗'));
        marked.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    };
    let (before, after) = (open(&closed), open(&opened));
    let more: Vec<&String> = after.iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(more, ["MemoryDenyWriteExecute="], "{opened}");
    assert!(exposure(&opened).unwrap() <= EXPOSURE_MAX, "{opened}");
}

#[test]
fn the_unit_starts_only_with_a_checked_config_and_not_again_for_what_a_person_must_mend() {
    let setting = |key| settings(SERVICE, key);
    assert_eq!(setting("Type"), ["notify"]);
    assert_eq!(
        setting("ExecStartPre"),
        ["/usr/bin/interline check --config /etc/interline/interline.toml"]
    );
    assert_eq!(setting("Restart"), ["on-failure"]);
    let code = interline::cli::ExitCode::Config as i32;
    assert_eq!(setting("RestartPreventExitStatus"), [code.to_string()]);
    assert_eq!(setting("DynamicUser"), ["yes"]);
    assert_eq!(setting("LoadCredential").len(), 1, "the root key; the others are the operator's");
    assert_eq!(setting("WatchdogSec"), ["30s"]);
}

#[test]
fn the_socket_listens_where_the_config_does_without_it() {
    let listen = interline::config::Ingest::default().listen.to_string();
    assert_eq!(settings(SOCKET, "ListenStream"), [listen]);
}

#[test]
fn systemd_calls_the_unit_closed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = analyze(&["security", "--offline=yes", "--no-pager"], &unit(folder.path()))
    else {
        return;
    };
    let report = String::from_utf8_lossy(&output.stdout);
    let level = exposure(&report).unwrap();
    assert!(level <= EXPOSURE_MAX, "exposure {level}:\n{report}");
}

#[test]
fn an_open_unit_would_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open.service");
    std::fs::write(&path, "[Service]\nExecStart=/bin/true\n").unwrap();
    let Some(output) = analyze(&["security", "--offline=yes", "--no-pager"], &path) else { return };
    assert!(exposure(&String::from_utf8_lossy(&output.stdout)).unwrap() > EXPOSURE_MAX);
}

#[test]
fn the_unit_waits_longer_for_the_drain_than_the_config_does() {
    let stop = settings(SERVICE, "TimeoutStopSec");
    let stop: Option<u64> = stop.first().and_then(|stop| stop.strip_suffix('s')?.parse().ok());
    let deadline = interline::config::Shutdown::default().deadline;
    assert!(std::time::Duration::from_secs(stop.unwrap()) > deadline);
}
